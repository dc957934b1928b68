// Telephone-events that we make ourselves (RFC 4733 §2.5): one after another, each packet of its time.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "rtp.h"
#include "transcoder.h"

namespace causeway {

struct KeyPress {
  uint8_t event = 0;
  uint8_t volume = 8;  // dBm0 without its sign
  uint32_t durationMs = 250;
  uint32_t pauseMs = 100;  // before the next one
  uint8_t pt = 101;
  uint32_t clockRate = 8000;
};

class EventSender {
 public:
  static constexpr size_t kQueue = 32;
  static constexpr Micros kEveryUs = 20'000;
  static constexpr int kEnds = 3;  // RFC 4733 §2.5.1.4

  bool add(const KeyPress& key, Micros now) {
    if (count_ == kQueue) return false;
    keys_[(head_ + count_) % kQueue] = key;
    if (count_++ == 0) dueAt_ = std::max(now, restUntil_);
    return true;
  }
  size_t size() const { return count_; }
  // The voice is silent meanwhile: from an event's first packet to the first of its ends.
  bool pressed() const { return count_ > 0 && packets_ > 0 && ends_ == 0; }
  Micros nextDeadline() const { return count_ == 0 ? kNever : dueAt_; }

  // The payload type and the four bytes behind the header, when a packet is due; `first`: it begins an event, whose
  // timestamp all of its packets have.
  bool poll(Micros now, uint8_t* payload, uint8_t& pt, bool& first) {
    if (count_ == 0 || dueAt_ > now) return false;
    const KeyPress& key = keys_[head_];
    // A thread that was held up does not send in a burst what it has missed.
    if (now - dueAt_ > 5 * kEveryUs) dueAt_ = now;
    first = packets_ == 0;
    packets_++;
    const uint32_t ms = std::min<uint32_t>(packets_ * static_cast<uint32_t>(kEveryUs / 1000), key.durationMs);
    if (ms == key.durationMs) ends_++;
    pt = key.pt;
    payload[0] = key.event;
    payload[1] = static_cast<uint8_t>((ends_ > 0 ? 0x80 : 0) | (key.volume & 0x3f));
    writeU16(payload + 2, static_cast<uint16_t>(std::min<uint64_t>(uint64_t{ms} * key.clockRate / 1000, 0xffff)));
    dueAt_ += kEveryUs;
    if (ends_ == kEnds) {
      restUntil_ = dueAt_ + Micros{key.pauseMs} * 1000;
      head_ = (head_ + 1) % kQueue;
      count_--;
      packets_ = 0;
      ends_ = 0;
      dueAt_ = restUntil_;
    }
    return true;
  }

 private:
  std::array<KeyPress, kQueue> keys_{};
  size_t head_ = 0;
  size_t count_ = 0;
  uint32_t packets_ = 0;  // of the event that is being sent
  int ends_ = 0;
  Micros dueAt_ = 0;
  Micros restUntil_ = 0;
};

}  // namespace causeway
