// Packets that wait for their turn, by sequence number. Fixed number of slots, whose storage is kept for reuse.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace causeway {

class PacketBuffer {
 public:
  static constexpr size_t kSlots = 64;

  struct Slot {
    bool used = false;
    // Not audio (telephone-event): takes a sequence number and nothing else.
    bool skip = false;
    bool comfortNoise = false;
    uint8_t format = 0;  // index into the accepted formats
    int64_t sequence = 0;
    uint32_t timestamp = 0;
    std::vector<uint8_t> payload;
  };

  // Null when it is there already: a duplicate. A packet that is out of reach gives way to the new one.
  Slot* put(int64_t sequence, std::span<const uint8_t> payload) {
    Slot& slot = at(sequence);
    if (slot.used && slot.sequence == sequence) return nullptr;
    if (!slot.used) count_++;
    slot.used = true;
    slot.skip = false;
    slot.comfortNoise = false;
    slot.sequence = sequence;
    slot.payload.assign(payload.begin(), payload.end());
    return &slot;
  }

  Slot* find(int64_t sequence) {
    Slot& slot = at(sequence);
    return slot.used && slot.sequence == sequence ? &slot : nullptr;
  }

  void release(Slot& slot) {
    slot.used = false;
    count_--;
  }

  void clear() {
    for (Slot& slot : slots_) slot.used = false;
    count_ = 0;
  }

  size_t count() const { return count_; }

  size_t memoryBytes() const {
    size_t bytes = 0;
    for (const Slot& slot : slots_) bytes += slot.payload.capacity();
    return bytes;
  }

 private:
  Slot& at(int64_t sequence) { return slots_[static_cast<size_t>(sequence) % kSlots]; }
  std::array<Slot, kSlots> slots_;
  size_t count_ = 0;
};

}  // namespace causeway
