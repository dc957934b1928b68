// A packet goes out: where to, protected, counted.
#include <time.h>

#include <algorithm>
#include <array>

#include "../core/rtp.h"
#include "worker.h"

namespace causeway {
namespace {

constexpr Micros kConsentUs = 30'000'000;  // RFC 7675 §5.1

}  // namespace

uint64_t ntpNow() {
  timespec t{};
  clock_gettime(CLOCK_REALTIME, &t);
  const auto seconds = static_cast<uint64_t>(t.tv_sec) + 2208988800ULL;
  return seconds << 32 | (static_cast<uint64_t>(t.tv_nsec) << 32) / 1'000'000'000ULL;
}

Address Worker::target(const Endpoint& endpoint, bool rtcp, Micros now) const {
  if (endpoint.agent) return endpoint.agent->target(rtcp && endpoint.agent->components() == 2 ? 2 : 1, now);
  if (endpoint.ice()) {
    if (endpoint.fullIce()) return {};
    const Address& pair = rtcp && !endpoint.remote.rtcpMux && endpoint.rtcpFd >= 0 ? endpoint.selectedRtcp : endpoint.selected;
    const auto known = std::find_if(endpoint.checked.begin(), endpoint.checked.end(), [&](const auto& c) { return c.address == pair; });
    if (known == endpoint.checked.end() || now - known->at >= kConsentUs) return {};
    return pair;
  }
  if (!rtcp || endpoint.remote.rtcpMux) return endpoint.rtp.target();
  // A learnt RTP source says more about where RTCP may go than an address of SDP that has proven wrong.
  if (endpoint.rtcp.learnt() || !endpoint.rtp.learnt() || endpoint.rtp.target() == endpoint.rtp.expected()) return endpoint.rtcp.target();
  if (endpoint.remote.rtcp.known() && !endpoint.remote.rtcp.sameHost(endpoint.remote.rtp)) return endpoint.remote.rtcp;
  Address next = endpoint.rtp.target();
  if (next.known()) next.setPort(static_cast<uint16_t>(next.port() + 1));
  return next;
}

void Worker::sendRtp(Endpoint& to, uint8_t* packet, size_t length, bool stays, Micros now) {
  const Endpoint& by = to.bundled ? boardBundle(to, packet, length, now) : to;
  const Address address = target(by, false, now);
  if (!address.known()) {
    drop(to, kDropNoRemote);
    return;
  }
  if (by.encrypted()) {
    if (!by.sendSrtp) {
      drop(to, kDropNoKeys);
      return;
    }
    if (length + kSrtpTrailer > kPacketSize || !by.sendSrtp->protect(packet, length)) {
      drop(to, kDropSend);
      return;
    }
  }
  to.sentPackets++;
  to.sentBytes += length;
  to.lastSentAt = now;
  if (stays) outbox_.send(to, by.rtpFd, address, {packet, length});
  else outbox_.sendNow(to, by.rtpFd, address, {packet, length});
}

void Worker::sendRtcp(Endpoint& to, uint8_t* packet, size_t length, bool stays, Micros now) {
  const Endpoint& by = to.transport();
  const Address address = target(by, true, now);
  if (!address.known() || length + kSrtpTrailer > kPacketSize) return;
  const size_t plain = length;
  if (by.encrypted() && (!by.sendSrtp || !by.sendSrtp->protectRtcp(packet, length))) return;
  to.rtcpCounts.sentPackets++;
  to.rtcpCounts.sentBytes += plain;
  const bool mux = by.remote.rtcpMux || by.rtcpFd < 0;
  const int fd = mux ? by.rtpFd : by.rtcpFd;
  if (stays) outbox_.send(to, fd, address, {packet, length});
  else outbox_.sendNow(to, fd, address, {packet, length});
}

void Worker::pollTranscoder(Endpoint& from, Micros now) {
  std::array<uint8_t, kPacketSize> packet;
  Endpoint& to = *from.out->to;
  for (int turn = 0; turn < 64; turn++) {
    const size_t length = from.out->transcoder->poll(now, std::span(packet).first(kPacketSize - kSrtpTrailer));
    if (length == 0) break;
    sendOwn(to, packet.data(), length, now);
  }
  if (to.voice) played(to);
}

// Of what this endpoint receives.
VoipMetrics Worker::quality(const Endpoint& endpoint) const {
  TranscoderStats playout;
  if (endpoint.out && endpoint.out->transcoder) playout = endpoint.out->transcoder->stats();
  return endpoint.receiver.voipMetrics(playout.late, playout.targetDelayMs, std::max(0.0, endpoint.roundTripMs));
}

void Worker::report(Endpoint& endpoint, bool bye, Micros now) {
  std::array<uint8_t, 512> packet;
  const auto write = bye ? writeBye : writeReport;
  size_t length = write(packet, endpoint.sender, &endpoint.receiver, ntpNow(), now, "causeway");
  // Who sends extended reports gets them.
  if (!bye && endpoint.voip && endpoint.receiver.active()) {
    length += writeExtended(std::span(packet).subspan(length), endpoint.sender.ssrc, quality(endpoint));
  }
  sendRtcp(endpoint, packet.data(), length, false, now);
}

}  // namespace causeway
