// Operations on 16-bit speech that keep its pitch: shorten, lengthen, and continue where packets are missing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace causeway {

// Takes one pitch period out of `samples` (in place), or puts one in. False when no period fits well enough; silence
// always fits.
bool removePeriod(std::vector<int16_t>& samples, uint32_t rate);
bool insertPeriod(std::vector<int16_t>& samples, uint32_t rate);

// Concealment for codecs that have none of their own: the last pitch period goes on, fading to silence
// (the approach of ITU-T G.711 Appendix I).
class Concealer {
 public:
  explicit Concealer(uint32_t rate);
  // What was decoded; after a gap its beginning is blended with the continued past.
  void good(std::span<int16_t> samples);
  void conceal(std::span<int16_t> out);
  size_t memoryBytes() const { return history_.capacity() * sizeof(int16_t); }

 private:
  void startGap();
  int16_t next();
  uint32_t rate_;
  std::vector<int16_t> history_;  // the last 40 ms, oldest first
  size_t period_ = 0;
  size_t position_ = 0;
  size_t concealed_ = 0;  // samples since the gap began
  bool inGap_ = false;
};

}  // namespace causeway
