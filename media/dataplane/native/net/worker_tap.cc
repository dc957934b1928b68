// Copies of what arrives: to other endpoints of the same worker, and to a recording. Nothing is allocated for a packet.
#include <algorithm>
#include <array>
#include <cstring>

#include "recorder.h"
#include "worker.h"

namespace causeway {

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

bool Worker::tap(Endpoint& from, Endpoint& to, std::string& error) {
  Copies& copies = copiesOf(from);
  const auto end = copies.taps.begin() + static_cast<std::ptrdiff_t>(copies.count);
  if (std::find(copies.taps.begin(), end, &to) != end) return true;
  if (copies.count == Copies::kMaxTaps) {
    error = "an endpoint is copied to " + std::to_string(Copies::kMaxTaps) + " others at most";
    return false;
  }
  copies.taps[copies.count++] = &to;
  copiesOf(to).sources.push_back(&from);
  counters_.taps.add();
  return true;
}

void Worker::untap(Endpoint& from, Endpoint& to) {
  if (!from.copies) return;
  Copies& copies = *from.copies;
  const auto end = copies.taps.begin() + static_cast<std::ptrdiff_t>(copies.count);
  const auto found = std::find(copies.taps.begin(), end, &to);
  if (found == end) return;
  std::move(found + 1, end, found);
  copies.count--;
  std::erase(to.copies->sources, &from);
  counters_.taps.subtract();
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
  while (endpoint.copies->count > 0) untap(endpoint, *endpoint.copies->taps[0]);
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
  for (size_t i = 0; i < copies.count; i++) {
    Endpoint& to = *copies.taps[i];
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
}

}  // namespace causeway
