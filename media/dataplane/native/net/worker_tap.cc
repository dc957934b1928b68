// Copies of what arrives: to other endpoints of the same worker, as it came or coded, and to a recording. Nothing is
// allocated for a packet.
#include <algorithm>
#include <array>
#include <cstring>

#include "../core/transcoder_config.h"
#include "recorder.h"
#include "worker.h"

namespace causeway {
namespace {

constexpr Micros kReportUs = 5'000'000;  // RFC 3550 §6.2

}  // namespace

Copies& Worker::copiesOf(Endpoint& endpoint) {
  if (!endpoint.copies) {
    endpoint.copies = std::make_unique<Copies>();
    openForCopies(endpoint);
    countBytes(endpoint);
  }
  return *endpoint.copies;
}

void Worker::openForCopies(Endpoint& endpoint) {
  auto& srtp = endpoint.copies->srtp;
  srtp = endpoint.remote.copyKey ? SrtpContext::create(*endpoint.remote.copyKey) : nullptr;
  // The stream may have rolled over since it began (RFC 3711 §3.3.1).
  if (srtp && endpoint.receiver.active()) srtp->startAt(endpoint.receiver.ssrc(), endpoint.receiver.extendedMax());
}

bool Worker::tap(Endpoint& from, Endpoint& to, const TapSpec* spec, std::string& error) {
  Copies& copies = copiesOf(from);
  const auto end = copies.taps.begin() + static_cast<std::ptrdiff_t>(copies.count);
  const auto known = std::find_if(copies.taps.begin(), end, [&](const Tap& tap) { return tap.to == &to; });
  if (known != end) return codeTap(from, *known, spec, error);
  if (copies.count == Copies::kMaxTaps) {
    error = "an endpoint is copied to " + std::to_string(Copies::kMaxTaps) + " others at most";
    return false;
  }
  copiesOf(to).sources.push_back(&from);
  Tap& tap = copies.taps[copies.count++];
  tap.to = &to;
  counters_.taps.add();
  if (codeTap(from, tap, spec, error)) return true;
  untap(from, to);
  return false;
}

void Worker::untap(Endpoint& from, Endpoint& to) {
  if (!from.copies) return;
  Copies& copies = *from.copies;
  const auto end = copies.taps.begin() + static_cast<std::ptrdiff_t>(copies.count);
  const auto found = std::find_if(copies.taps.begin(), end, [&](const Tap& tap) { return tap.to == &to; });
  if (found == end) return;
  endCoding(*found);
  std::move(found + 1, end, found);
  copies.taps[--copies.count] = {};
  std::erase(to.copies->sources, &from);
  counters_.taps.subtract();
  reschedule(from);
}

// What the receiver does not take, in a stream of our own; a change goes on where that stream was.
bool Worker::codeTap(Endpoint& from, Tap& tap, const TapSpec* spec, std::string& error) {
  if (spec != nullptr && tap.coding && sameTranscoding(tap.coding->spec.coding, spec->coding)) {
    tap.coding->spec.untouched = spec->untouched;
    return true;
  }
  Endpoint& to = *tap.to;
  std::unique_ptr<TapCoding> coding;
  const Micros now = monotonicNow();
  if (spec != nullptr) {
    TranscoderConfig config = spec->coding;
    config.ssrc = to.sender.ssrc;
    config.firstSequence = static_cast<uint16_t>(to.lastSequence + 1);
    const Micros since = to.sender.lastSentAt > 0 ? now - to.sender.lastSentAt : 0;
    config.firstTimestamp = to.sender.lastTimestamp + static_cast<uint32_t>(since * config.out.clockRate / 1'000'000);
    coding = std::make_unique<TapCoding>();
    coding->spec = *spec;
    coding->transcoder = Transcoder::create(config, error);
    if (!coding->transcoder) return false;
    coding->countedBytes = sizeof(TapCoding) + coding->transcoder->memoryBytes();
  }
  endCoding(tap);
  if (coding) {
    to.sender.clockRate = coding->spec.coding.out.clockRate;
    to.copies->coded++;
    to.reportAt = std::min(to.reportAt, now + kReportUs / 2);
    counters_.transcoders.add();
    counters_.nativeBytes.add(coding->countedBytes);
    tap.coding = std::move(coding);
    reschedule(to);
  }
  reschedule(from);
  return true;
}

void Worker::endCoding(Tap& tap) {
  if (!tap.coding) return;
  Endpoint& to = *tap.to;
  counters_.transcoders.subtract();
  counters_.nativeBytes.subtract(tap.coding->countedBytes);
  tap.coding.reset();
  to.copies->coded--;
  if (!to.originates()) to.reportAt = kNever;
  reschedule(to);
}

void Worker::record(Endpoint& endpoint, RecordingRing* ring, uint64_t recording, const Address& local) {
  // Another recording may have it by now.
  if (ring == nullptr && (!endpoint.copies || endpoint.copies->recording != recording)) return;
  Copies& copies = copiesOf(endpoint);
  copies.ring = ring;
  copies.recording = recording;
  copies.local = local;
}

void Worker::dropCopies(Endpoint& endpoint) {
  if (!endpoint.copies) return;
  while (endpoint.copies->count > 0) untap(endpoint, *endpoint.copies->taps[0].to);
  for (Endpoint* source : std::vector<Endpoint*>(endpoint.copies->sources)) untap(*source, endpoint);
  endpoint.copies.reset();
  countBytes(endpoint);
}

void Worker::copy(Endpoint& endpoint, bool rtcp, bool viaRtcp, const Address& from, uint8_t* packet, size_t length, Micros now) {
  Copies& copies = *endpoint.copies;
  if (copies.count == 0 && copies.ring == nullptr) return;
  std::array<uint8_t, kPacketSize> opened;
  if (copies.srtp) {
    std::memcpy(opened.data(), packet, length);
    packet = opened.data();
    const SrtpResult result = rtcp ? copies.srtp->unprotectRtcp(packet, length) : copies.srtp->unprotect(packet, length);
    // What nobody can open is no copy; who gets the packet itself will see.
    if (result != SrtpResult::kOk) return;
  }
  if (copies.ring != nullptr) {
    Address local = copies.local;
    if (viaRtcp) local.setPort(static_cast<uint16_t>(local.port() + 1));
    copies.ring->push(copies.recording, wallClock(), from, local, {packet, length});
  }
  for (size_t i = 0; i < copies.count; i++) copyTo(endpoint, copies.taps[i], rtcp, packet, length, now);
}

// As it came, in a stream of ours, or not at all: what the receiver neither takes nor can be given.
void Worker::copyTo(Endpoint& from, Tap& tap, bool rtcp, uint8_t* packet, size_t length, Micros now) {
  Endpoint& to = *tap.to;
  if (tap.coding) {
    TapCoding& coding = *tap.coding;
    // Their reports are about a stream that it does not get.
    if (rtcp && coding.active) return;
    if (!rtcp && !from.spec.raw) {
      const uint8_t pt = packet[1] & 0x7f;
      const TranscoderConfig& config = coding.spec.coding;
      const bool speech = std::any_of(config.in.begin(), config.in.end(), [pt](const PayloadFormat& f) { return f.pt == pt; });
      const bool event = !speech && std::any_of(config.dtmf.begin(), config.dtmf.end(), [pt](const DtmfMap& m) { return m.inPt == pt; });
      if (speech) coding.active = true;
      else if (coding.spec.untouched.test(pt)) coding.active = false;
      else if (!event) return;
      if (coding.active) {
        counters_.tappedPackets.add();
        coding.transcoder->push(now, {packet, length});
        pollTaps(from, now);
        reschedule(from);
        return;
      }
    }
  }
  std::array<uint8_t, kPacketSize> own;
  uint8_t* bytes = packet;
  if (to.transport().encrypted() || to.bundled) {
    // Protecting works in place, and the packet has other ways to go.
    std::memcpy(own.data(), packet, length);
    bytes = own.data();
  }
  counters_.tappedPackets.add();
  if (rtcp) sendRtcp(to, bytes, length, false, now);
  else sendRtp(to, bytes, length, false, now);
}

void Worker::pollTaps(Endpoint& from, Micros now) {
  std::array<uint8_t, kPacketSize> packet;
  Copies& copies = *from.copies;
  for (size_t i = 0; i < copies.count; i++) {
    Tap& tap = copies.taps[i];
    if (!tap.coding || tap.coding->transcoder->nextDeadline() > now) continue;
    for (int turn = 0; turn < 64; turn++) {
      const size_t length = tap.coding->transcoder->poll(now, std::span(packet).first(kPacketSize - kSrtpTrailer));
      if (length == 0) break;
      sendOwn(*tap.to, packet.data(), length, now);
    }
    const uint64_t bytes = sizeof(TapCoding) + tap.coding->transcoder->memoryBytes();
    counters_.nativeBytes.add(bytes - tap.coding->countedBytes);
    tap.coding->countedBytes = bytes;
  }
}

// What a subscriber reports to miss of the streams that are made for it.
void Worker::expectLossOfCopies(const Endpoint& to, double share) {
  for (const Endpoint* from : to.copies->sources) {
    for (size_t i = 0; i < from->copies->count; i++) {
      const Tap& tap = from->copies->taps[i];
      if (tap.to == &to && tap.coding) tap.coding->transcoder->expectLoss(share);
    }
  }
}

Micros Worker::nextTap(const Copies& copies) {
  Micros next = kNever;
  for (size_t i = 0; i < copies.count; i++) {
    if (copies.taps[i].coding) next = std::min(next, copies.taps[i].coding->transcoder->nextDeadline());
  }
  return next;
}

}  // namespace causeway
