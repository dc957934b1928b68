// A relayed stream that goes on where another one towards the same listener has stopped: one SSRC, sequence numbers and
// timestamps without a jump.
#pragma once

#include <algorithm>
#include <cstdint>

#include "rtcp.h"
#include "rtp.h"

namespace causeway {

class StreamRewrite {
 public:
  // What has been relayed so far has gone out as it came.
  void adopt(uint32_t ssrc, Micros now) {
    source_ = ssrc;
    anchored_ = true;
    timeHolds_ = true;
    sequenceOffset_ = 0;
    timestampOffset_ = 0;
    anchorSequence_ = 0;
    anchoredAt_ = now - kSettledUs;
  }
  // Something else has been sent meanwhile: the next packet is numbered after it. `sameTime`: the sender's time line still
  // holds (it was only interrupted).
  void interrupt(bool sameTime) {
    anchored_ = false;
    timeHolds_ = timeHolds_ && sameTime;
  }
  // In place. False: a packet of before the interruption; there is no number left for it. `frameMs`: what one packet holds.
  bool apply(uint8_t* packet, const RtpHeader& header, uint32_t frameMs, SenderState& sent, uint16_t& lastSequence, Micros now) {
    if (!anchored_ || header.ssrc != source_) anchor(header, frameMs, sent, lastSequence, now);
    else if (now - anchoredAt_ < kSettledUs && static_cast<int16_t>(header.sequence - anchorSequence_) < 0) return false;
    const auto sequence = static_cast<uint16_t>(header.sequence + sequenceOffset_);
    const uint32_t timestamp = header.timestamp + timestampOffset_;
    writeU16(packet + 2, sequence);
    writeU32(packet + 4, timestamp);
    writeU32(packet + 8, sent.ssrc);
    if (static_cast<int16_t>(sequence - lastSequence) > 0) {
      lastSequence = sequence;
      sent.lastTimestamp = timestamp;
      sent.lastSentAt = now;
    }
    return true;
  }

  // How many frames behind the last packet the next one belongs: right behind it, unless there was silence.
  static Micros framesSince(const SenderState& sent, uint32_t frameMs, Micros now) {
    const Micros frame = Micros{std::max(1u, frameMs)} * 1000;
    const Micros since = sent.lastSentAt > 0 ? now - sent.lastSentAt : 0;
    return since < 3 * frame ? 1 : (since + frame / 2) / frame;
  }

 private:
  static constexpr Micros kSettledUs = 1'000'000;  // so long a packet may be late

  void anchor(const RtpHeader& header, uint32_t frameMs, const SenderState& sent, uint16_t lastSequence, Micros now) {
    const bool same = timeHolds_ && header.ssrc == source_ &&
                      static_cast<int32_t>(header.timestamp + timestampOffset_ - sent.lastTimestamp) > 0;
    if (!same) {
      const auto frames = static_cast<uint32_t>(framesSince(sent, frameMs, now));
      timestampOffset_ = sent.lastTimestamp + frames * (sent.clockRate * frameMs / 1000) - header.timestamp;
    }
    sequenceOffset_ = static_cast<uint16_t>(lastSequence + 1 - header.sequence);
    anchorSequence_ = header.sequence;
    anchoredAt_ = now;
    anchored_ = true;
    timeHolds_ = true;
    source_ = header.ssrc;
  }

  uint32_t source_ = 0;
  uint16_t sequenceOffset_ = 0;
  uint32_t timestampOffset_ = 0;
  uint16_t anchorSequence_ = 0;
  Micros anchoredAt_ = 0;
  bool anchored_ = false;
  bool timeHolds_ = false;
};

}  // namespace causeway
