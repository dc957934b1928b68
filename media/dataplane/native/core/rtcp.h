// RTCP of one stream in each direction (RFC 3550 §6.4, appendix A): what we received, what we sent, round trip.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "quality.h"
#include "transcoder.h"
#include "voip_metrics.h"

namespace causeway {

// Receiver statistics of one SSRC (RFC 3550 §A.1, §A.3, §A.8).
class ReceiverStats {
 public:
  // `clockRate` of the payload; `arrival` in microseconds.
  void received(uint32_t ssrc, uint16_t sequence, uint32_t timestamp, uint32_t clockRate, Micros arrival);
  uint32_t ssrc() const { return ssrc_; }
  bool active() const { return active_; }
  int64_t expected() const { return active_ ? static_cast<int64_t>(extendedMax()) - baseSequence_ + 1 : 0; }
  int64_t lost() const;
  double jitterMs() const { return clockRate_ == 0 ? 0 : jitter_ / clockRate_ * 1000; }
  uint64_t packets() const { return totalPackets_; }
  uint32_t clockRate() const { return clockRate_; }
  // What it came to since the stream began, with what the far side of the decoder says: `discarded` packets came too late.
  VoipMetrics voipMetrics(uint64_t discarded, double bufferMs, double roundTripMs) const;
  // Fills the 24 bytes of a report block; resets the interval.
  void writeReportBlock(uint8_t* out, Micros now);
  void gotSenderReport(uint32_t ntpMiddle, Micros now) {
    lastSr_ = ntpMiddle;
    lastSrAt_ = now;
  }

  // RFC 3550 §A.1: rollovers and the highest sequence number.
  uint32_t extendedMax() const { return cycles_ + maxSequence_; }

 private:
  bool active_ = false;
  uint32_t ssrc_ = 0;
  uint16_t maxSequence_ = 0;
  uint32_t cycles_ = 0;
  int64_t baseSequence_ = 0;
  uint64_t received_ = 0;
  uint64_t totalPackets_ = 0;
  int64_t lostBefore_ = 0;  // of earlier SSRCs
  int64_t expectedPrior_ = 0;
  int64_t receivedPrior_ = 0;
  double jitter_ = 0;
  LossPattern pattern_;
  uint32_t lastTimestamp_ = 0;
  double packetMs_ = 20;
  int64_t lastTransit_ = 0;
  uint32_t clockRate_ = 8000;
  uint32_t lastSr_ = 0;
  Micros lastSrAt_ = 0;
};

struct SenderState {
  uint32_t ssrc = 0;
  uint32_t packets = 0;
  uint32_t octets = 0;
  uint32_t lastTimestamp = 0;
  Micros lastSentAt = 0;
  uint32_t clockRate = 8000;
};

// A compound packet: SR (or RR when nothing was sent) with one block, and SDES with a CNAME. `wallNtp` is the 64-bit
// NTP time of `now`. Returns the length; `out` holds at least 128 bytes.
size_t writeReport(std::span<uint8_t> out, const SenderState& sender, ReceiverStats* receiver, uint64_t wallNtp, Micros now,
                   const char* cname);

// An extended report with one block (RFC 3611 §4.7), to stand behind a report. `out` holds at least 44 bytes.
size_t writeExtended(std::span<uint8_t> out, uint32_t ssrc, const VoipMetrics& metrics);

// BYE (RFC 3550 §6.6) of a stream of ours that ends, with what goes before it in a compound. The length.
size_t writeBye(std::span<uint8_t> out, const SenderState& sender, ReceiverStats* receiver, uint64_t wallNtp, Micros now, const char* cname);

struct RtcpSeen {
  bool senderReport = false;
  uint32_t ntpMiddle = 0;
  bool bye = false;
  bool hasBlock = false;
  // Of the first block that is about `ours`.
  uint32_t lastSr = 0;
  uint32_t delaySinceLastSr = 0;
  uint8_t fractionLost = 0;
  bool hasVoip = false;
  VoipMetrics voip;
};

// Walks a compound packet; false when it is malformed.
bool parseRtcp(std::span<const uint8_t> packet, uint32_t ours, RtcpSeen& seen);

// Leaves, in place, of a well-formed compound what is about the way and all of its streams: transport-wide feedback and
// REMB, which may come with the RTCP of any line. The length, often 0.
size_t keepTransportFeedback(std::span<uint8_t> packet);

}  // namespace causeway
