// How many checks may go to a host that has answered none. SDP can name anybody: without it, many calls that all name one
// third party would make a flood of small packets towards it (RFC 8445 §19.5.1). Pure; hosts share its slots by a keyed
// hash, so that nobody can choose whom to share with.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "../core/transcoder.h"
#include "address.h"

namespace causeway {

class CheckBudget {
 public:
  static constexpr uint32_t kMost = 400;       // unanswered at once
  static constexpr uint32_t kPerSecond = 50;   // forgiven
  static constexpr uint32_t kPerAnswer = 8;    // a check and its repetitions
  explicit CheckBudget(uint64_t key) : key_(key) {}

  // False: not now.
  bool take(const Address& to, Micros now) {
    Slot& slot = slotOf(to, now);
    if (slot.debt >= kMost) return false;
    slot.debt++;
    return true;
  }
  void answered(const Address& from, Micros now) {
    Slot& slot = slotOf(from, now);
    slot.debt -= std::min(slot.debt, kPerAnswer);
  }

 private:
  struct Slot {
    uint32_t debt = 0;
    Micros at = 0;
  };
  Slot& slotOf(const Address& host, Micros now) {
    uint64_t hash = key_;
    for (size_t i = 0; i < host.ipLength(); i++) hash = (hash ^ host.ip()[i]) * 0x9e3779b97f4a7c15ULL;
    Slot& slot = slots_[(hash >> 32) % slots_.size()];
    const Micros forgiven = (now - slot.at) * kPerSecond / 1'000'000;
    if (forgiven > 0) {
      slot.debt -= static_cast<uint32_t>(std::min<Micros>(slot.debt, forgiven));
      slot.at = now;
    }
    return slot;
  }
  const uint64_t key_;
  std::array<Slot, 1024> slots_{};
};

}  // namespace causeway
