// A packet comes in: what it is, whether its source may be heard, what it holds, where it goes.
#include <algorithm>
#include <cstring>

#include "../core/rtp.h"
#include "worker.h"

namespace causeway {
namespace {

constexpr Micros kRefusedAgainUs = 5'000'000;   // the same source is told of again
constexpr uint32_t kRefusalsPerSecond = 100;    // of one worker; more are counted, not told
constexpr Micros kConsentUs = 30'000'000;       // RFC 7675 §5.1: no check for so long, no media

// The clock of a relayed payload type, where nobody has said: static ones are of 8 kHz, dynamic ones mostly Opus.
uint32_t clockRateOf(const Endpoint& endpoint, uint8_t pt) {
  if (!endpoint.out) return pt < 96 ? 8000 : 48000;
  for (const EventFormat& format : endpoint.out->spec.events) {
    if (format.pt == pt) return format.clockRate;
  }
  if (endpoint.out->transcoder) {
    for (const PayloadFormat& format : endpoint.out->spec.transcode->in) {
      if (format.pt == pt) return format.clockRate;
    }
    for (const DtmfMap& map : endpoint.out->spec.transcode->dtmf) {
      if (map.inPt == pt) return map.inClock;
    }
  }
  return pt < 96 ? 8000 : 48000;
}

// It passes unopened: only its header can be read.
bool sealed(const Endpoint& endpoint) { return endpoint.remote.copyKey.has_value(); }

// Somebody else has it, or its file.
bool copied(const Endpoint& endpoint) { return endpoint.copies && (endpoint.copies->count > 0 || endpoint.copies->ring != nullptr); }

}  // namespace

void Worker::drop(Endpoint& endpoint, Drop why) {
  endpoint.dropped[why]++;
  counters_.dropped[why].add();
}

// Counted, remembered and told: who was not heard, and why.
void Worker::refuse(Endpoint& endpoint, bool rtcp, const Address& from, Drop why, Micros now) {
  drop(endpoint, why);
  if (!endpoint.record) endpoint.record = std::make_unique<SourceRecord>();
  SourceRecord& record = *endpoint.record;
  auto known = std::find_if(record.refused.begin(), record.refused.end(),
                            [&](const RefusedSource& r) { return r.from == from && r.rtcp == rtcp && r.why == why; });
  bool tell = false;
  if (known == record.refused.end()) {
    if (record.refused.size() >= SourceRecord::kMaxRefused) {
      record.refusedElsewhere++;
      return;
    }
    record.refused.push_back({from, now, now, 0, rtcp, why});
    known = record.refused.end() - 1;
    tell = true;
  } else {
    tell = now - known->lastAt >= kRefusedAgainUs;
  }
  known->packets++;
  if (!tell) return;
  known->lastAt = now;
  if (now - refusalsToldAt_ >= 1'000'000) {
    refusalsToldAt_ = now;
    refusalsTold_ = 0;
  }
  if (refusalsTold_++ >= kRefusalsPerSecond) return;
  Event event;
  event.type = Event::Type::kRefused;
  event.endpoint = endpoint.id;
  event.rtcp = rtcp;
  event.reason = kDropNames[why];
  event.remote = from;
  event.packets = known->packets;
  sink_(std::move(event));
}

void Worker::learned(Endpoint& endpoint, bool rtcp, const Address& from, SourceVerdict how, Micros now) {
  if (!endpoint.record) endpoint.record = std::make_unique<SourceRecord>();
  auto& list = endpoint.record->learned;
  if (list.size() >= SourceRecord::kMaxLearned) list.erase(list.begin());
  list.push_back({from, now, rtcp, endpoint.ice(), how});
  Event event;
  event.type = endpoint.ice() ? Event::Type::kIce : Event::Type::kLearned;
  event.endpoint = endpoint.id;
  event.rtcp = rtcp;
  event.connected = true;
  if (!endpoint.ice()) event.reason = kVerdictNames[static_cast<size_t>(how)];
  event.remote = from;
  sink_(std::move(event));
}

bool Worker::datagram(Endpoint& endpoint, bool viaRtcp, const Address& from, std::span<uint8_t> packet, Micros now) {
  counters_.packetsReceived.add();
  counters_.bytesReceived.add(packet.size());
  if (packet.empty()) {
    drop(endpoint, kDropMalformed);
    return false;
  }
  if (endpoint.spec.raw) {
    rawPacket(endpoint, from, packet, now);
    return false;
  }
  // RFC 7983 §7.
  const uint8_t first = packet[0];
  if (first < 4) return stun(endpoint, viaRtcp, from, packet, now);
  if (first >= 20 && first <= 63) {
    dtlsDatagram(endpoint, from, packet, now);
    return false;
  }
  if (first < 128 || first > 191 || packet.size() < 8) {
    drop(endpoint, kDropMalformed);
    return false;
  }
  if (viaRtcp || looksLikeRtcp(packet)) rtcpPacket(endpoint, viaRtcp, from, packet.data(), packet.size(), now);
  else rtpPacket(endpoint, from, packet.data(), packet.size(), now);
  return false;
}

// Before anything is spent on the packet: keys are taken for proven, decrypt() will see.
SourceVerdict Worker::judge(const Endpoint& endpoint, bool rtcp, const Address& from, uint32_t ssrc, Micros now) const {
  if (!endpoint.configured) return SourceVerdict::kRefused;
  if (endpoint.ice()) {
    const bool held = std::any_of(endpoint.checked.begin(), endpoint.checked.end(),
                                  [&](const auto& c) { return c.address == from && now - c.at < kConsentUs; });
    return held ? SourceVerdict::kKnown : SourceVerdict::kRefused;
  }
  const bool keys = endpoint.receiveSrtp && (rtcp || endpoint.receiveSrtp->authenticates());
  // A party that sends no RTCP would leave its place to anybody: it comes from the host that RTP comes from, or proves itself.
  const Address& host = endpoint.rtp.learnt() ? endpoint.rtp.source() : endpoint.rtp.expected();
  if (rtcp && !keys && host.known() && !from.sameHost(host)) return SourceVerdict::kRefused;
  const bool same = (endpoint.receiver.active() && ssrc == endpoint.receiver.ssrc()) || (endpoint.bundle && endpoint.bundle->table.knows(ssrc));
  const SourceProof proof{keys, same};
  return (rtcp ? endpoint.rtcp : endpoint.rtp).judge(from, proof, now);
}

void Worker::take(Endpoint& endpoint, bool rtcp, const Address& from, SourceVerdict verdict, Micros now) {
  if (endpoint.ice()) return;
  (rtcp ? endpoint.rtcp : endpoint.rtp).take(from, verdict, now);
  if (verdict == SourceVerdict::kKnown) return;
  // RTCP has moved with it, by a way of its own.
  const bool apart = endpoint.rtcp.learnt() && !endpoint.rtcp.source().sameHost(from);
  if (!rtcp && (verdict >= SourceVerdict::kMoved || apart)) endpoint.rtcp.reopen(now);
  learned(endpoint, rtcp, from, verdict, now);
}

bool Worker::decrypt(Endpoint& endpoint, bool rtcp, const Address& from, uint8_t* packet, size_t& length, Micros now) {
  if (!endpoint.receiveSrtp) {
    drop(endpoint, kDropNoKeys);
    return false;
  }
  const SrtpResult result = rtcp ? endpoint.receiveSrtp->unprotectRtcp(packet, length) : endpoint.receiveSrtp->unprotect(packet, length);
  if (result == SrtpResult::kOk) return true;
  if (result == SrtpResult::kAuthentication) refuse(endpoint, rtcp, from, kDropAuthentication, now);
  else drop(endpoint, result == SrtpResult::kReplay ? kDropReplay : kDropMalformed);
  return false;
}

// T.38 over UDPTL and the like: a stream by its source alone.
void Worker::rawPacket(Endpoint& endpoint, const Address& from, std::span<uint8_t> packet, Micros now) {
  const SourceVerdict verdict = judge(endpoint, false, from, 0, now);
  if (verdict == SourceVerdict::kRefused) {
    refuse(endpoint, false, from, kDropUnknownSource, now);
    return;
  }
  take(endpoint, false, from, verdict, now);
  endpoint.lastRtpAt = now;
  endpoint.receivedPackets++;
  endpoint.receivedBytes += packet.size();
  if (endpoint.copies) copy(endpoint, false, false, from, packet.data(), packet.size(), now);
  if (!endpoint.out) {
    if (!copied(endpoint)) drop(endpoint, kDropNoPath);
    return;
  }
  if (endpoint.out->spec.gate != Gate::kOpen) {
    drop(endpoint, kDropGated);
    return;
  }
  sendRtp(*endpoint.out->to, packet.data(), packet.size(), true, now);
}

void Worker::rtpPacket(Endpoint& endpoint, const Address& from, uint8_t* packet, size_t length, Micros now) {
  if (length < 12) {
    drop(endpoint, kDropMalformed);
    return;
  }
  const SourceVerdict verdict = judge(endpoint, false, from, readU32(packet + 8), now);
  if (verdict == SourceVerdict::kRefused) {
    refuse(endpoint, false, from, kDropUnknownSource, now);
    return;
  }
  if (endpoint.encrypted() && !decrypt(endpoint, false, from, packet, length, now)) return;
  RtpHeader header;
  if (!parseRtp({packet, length}, header, sealed(endpoint))) {
    drop(endpoint, kDropMalformed);
    return;
  }
  take(endpoint, false, from, verdict, now);
  if (!endpoint.bundle) [[likely]] relayRtp(endpoint, from, header, packet, length, now);
  else if (Endpoint* line = lineOf(endpoint, header, {packet, length}, now)) relayRtp(*line, from, header, packet, length, now);
}

// A packet of the line's own party has come.
void Worker::relayRtp(Endpoint& endpoint, const Address& from, const RtpHeader& header, uint8_t* packet, size_t length, Micros now) {
  const bool first = endpoint.lastRtpAt < 0;
  endpoint.lastRtpAt = now;
  endpoint.receivedPackets++;
  endpoint.receivedBytes += length;
  endpoint.receiver.received(header.ssrc, header.sequence, header.timestamp, clockRateOf(endpoint, header.pt), now);
  if (first) {
    Event event;
    event.type = Event::Type::kFirstPacket;
    event.endpoint = endpoint.id;
    event.remote = from;
    sink_(std::move(event));
  }
  if (endpoint.copies) copy(endpoint, false, false, from, packet, length, now);
  if (!endpoint.out) {
    if (!copied(endpoint)) drop(endpoint, kDropNoPath);
    return;
  }
  if (endpoint.out->watched && !passGate(endpoint, header, packet)) {
    drop(endpoint, kDropGated);
    return;
  }
  Path& path = *endpoint.out;
  if (!path.transcoder) {
    if (path.to->voice) {
      intoVoice(endpoint, header, packet, length, now);
      return;
    }
    if (header.ssrc != path.relayed.ssrc || static_cast<int16_t>(header.sequence - path.relayed.sequence) >= 0)
      path.relayed = {header.ssrc, header.sequence, header.timestamp, header.pt, now};
    sendRtp(*path.to, packet, length, true, now);
    return;
  }
  path.transcoder->push(now, {packet, length});
  pollTranscoder(endpoint, now);
  reschedule(endpoint);
}

// Telephone-events are told of and may be held back; the rest passes, is held back, or becomes silence.
bool Worker::passGate(Endpoint& endpoint, const RtpHeader& header, uint8_t* packet) {
  Path& path = *endpoint.out;
  for (const EventFormat& format : path.spec.events) {
    if (format.pt != header.pt) continue;
    if (path.spec.detectEvents && !sealed(endpoint)) {
      if (const auto key = path.events.packet(header, {packet + header.payloadOffset, header.payloadSize}, format.clockRate)) {
        Event event;
        event.type = Event::Type::kDtmf;
        event.endpoint = endpoint.id;
        event.key = *key;
        sink_(std::move(event));
      }
    }
    return !path.spec.blockEvents;
  }
  if (path.spec.gate == Gate::kOpen) return true;
  if (path.spec.gate == Gate::kBlocked) return false;
  const auto silence = silenceOf(header.pt);
  if (!silence || sealed(endpoint)) return false;
  std::memset(packet + header.payloadOffset, *silence, header.payloadSize);
  return true;
}

void Worker::rtcpPacket(Endpoint& endpoint, bool viaRtcp, const Address& from, uint8_t* packet, size_t length, Micros now) {
  // What comes to the RTP port is of RTP's source, and teaches nothing.
  const bool own = viaRtcp && !endpoint.remote.rtcpMux;
  const SourceVerdict verdict = judge(endpoint, own, from, readU32(packet + 4), now);
  const bool stray = !own && verdict != SourceVerdict::kKnown && !endpoint.encrypted() && !(from == endpoint.rtp.expected());
  if (verdict == SourceVerdict::kRefused || stray) {
    refuse(endpoint, true, from, kDropUnknownSource, now);
    return;
  }
  if (endpoint.encrypted() && !decrypt(endpoint, true, from, packet, length, now)) return;
  RtcpSeen seen;
  // What passes unopened tells us nothing.
  if (!sealed(endpoint) && !parseRtcp({packet, length}, endpoint.sender.ssrc, seen)) {
    drop(endpoint, kDropMalformed);
    return;
  }
  if (own) take(endpoint, true, from, verdict, now);
  endpoint.rtcpCounts.receivedPackets++;
  endpoint.rtcpCounts.receivedBytes += length;
  endpoint.rtcpCounts.lastReceivedAt = now;
  if (!endpoint.bundle) [[likely]] relayRtcp(endpoint, viaRtcp, from, packet, length, true, seen, now);
  else bundledRtcp(endpoint, viaRtcp, from, {packet, length}, seen, now);
}

// `stays`: see sendRtp.
void Worker::relayRtcp(Endpoint& endpoint, bool viaRtcp, const Address& from, uint8_t* packet, size_t length, bool stays, const RtcpSeen& seen,
                       Micros now) {
  if (seen.senderReport) endpoint.receiver.gotSenderReport(seen.ntpMiddle, now);
  if (seen.hasBlock && seen.lastSr != 0) {
    const auto middle = static_cast<uint32_t>(ntpNow() >> 16);
    const auto trip = static_cast<int32_t>(middle - seen.lastSr - seen.delaySinceLastSr);
    if (trip >= 0) endpoint.roundTripMs = trip * 1000.0 / 65536.0;
  }
  if (seen.hasBlock) {
    if (endpoint.voice && endpoint.voice->mixer) endpoint.voice->mixer->expectLoss(seen.fractionLost / 256.0);
    for (Endpoint* feeder : endpoint.feeders) {
      if (feeder->out->transcoder) feeder->out->transcoder->expectLoss(seen.fractionLost / 256.0);
    }
  }
  if (seen.hasBlock && endpoint.copies) expectLossOfCopies(endpoint, seen.fractionLost / 256.0);
  if (seen.hasVoip) {
    if (!endpoint.voip) endpoint.voip = std::make_unique<VoipMetrics>();
    *endpoint.voip = seen.voip;
  }
  if (endpoint.copies) copy(endpoint, true, viaRtcp, from, packet, length, now);
  if (!endpoint.out) return;
  // Where we decode and encode, both streams are ours to report on; else the parties' reports are about each other.
  if (endpoint.originates()) length = keepTransportFeedback({packet, length});
  if (length == 0) return;
  sendRtcp(*endpoint.out->to, packet, length, stays, now);
}

}  // namespace causeway
