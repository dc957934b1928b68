// telephone-event (RFC 4733) on its way past a transcoder: straight through, with payload type, duration and time line of
// the other side.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "rtp.h"
#include "transcoder.h"

namespace causeway {

class EventPassage {
 public:
  static constexpr size_t kPacket = 16;

  bool waiting() const { return count_ > 0; }
  // An event that stands in place of the audio at this time; one without a packet for 120 ms is over.
  bool active(Micros now) {
    active_ = active_ && now - lastAt_ < kOverUs;
    return active_;
  }
  // Whether the packet begins an event: its timestamp is then that of `outTimestamp`.
  bool begins(uint32_t inTimestamp) const { return !known_ || inTimestamp != inTimestamp_; }
  void forget() { known_ = false; }

  void push(Micros now, const DtmfMap& map, uint32_t inTimestamp, std::span<const uint8_t> payload, uint32_t ssrc, uint32_t outTimestamp) {
    if (payload.size() < 4 || count_ == kQueue) return;
    const bool first = begins(inTimestamp);
    if (first) {
      known_ = true;
      inTimestamp_ = inTimestamp;
      outTimestamp_ = outTimestamp;
    }
    auto& packet = packets_[(head_ + count_) % kQueue];
    count_++;
    writeRtp(packet.data(), map.outPt, first, 0, outTimestamp_, ssrc);
    std::copy_n(payload.begin(), 4, packet.begin() + 12);
    const uint64_t duration = uint64_t{readU16(&payload[2])} * map.outClock / map.inClock;
    writeU16(packet.data() + 14, static_cast<uint16_t>(std::min<uint64_t>(duration, 0xffff)));
    // The end is repeated: audio may go on after the first of the three.
    active_ = (payload[1] & 0x80) == 0;
    lastAt_ = now;
  }

  // The oldest one that waits, with its place in the stream.
  size_t pop(std::span<uint8_t> out, uint16_t sequence) {
    auto& packet = packets_[head_];
    head_ = (head_ + 1) % kQueue;
    count_--;
    writeU16(packet.data() + 2, sequence);
    std::copy_n(packet.begin(), kPacket, out.begin());
    return kPacket;
  }

 private:
  static constexpr size_t kQueue = 16;
  static constexpr Micros kOverUs = 120'000;
  std::array<std::array<uint8_t, kPacket>, kQueue> packets_{};
  size_t head_ = 0;
  size_t count_ = 0;
  bool known_ = false;
  uint32_t inTimestamp_ = 0;
  uint32_t outTimestamp_ = 0;
  bool active_ = false;
  Micros lastAt_ = 0;
};

}  // namespace causeway
