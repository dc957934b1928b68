#include "g711.h"

#include <array>
#include <bit>
#include <cstddef>

namespace causeway {
namespace {

constexpr int16_t expandMu(uint8_t value) {
  const auto v = static_cast<uint8_t>(~value);
  const int magnitude = ((((v & 0x0f) << 3) + 132) << ((v >> 4) & 7)) - 132;
  return static_cast<int16_t>(v & 0x80 ? -magnitude : magnitude);
}

constexpr int16_t expandA(uint8_t value) {
  const auto v = static_cast<uint8_t>(value ^ 0x55);
  const int segment = (v >> 4) & 7;
  int magnitude = ((v & 0x0f) << 4) + 8;
  if (segment > 0) magnitude = (magnitude + 0x100) << (segment - 1);
  return static_cast<int16_t>(v & 0x80 ? magnitude : -magnitude);
}

template <typename F>
constexpr std::array<int16_t, 256> tabulate(F expand) {
  std::array<int16_t, 256> table{};
  for (int i = 0; i < 256; i++) table[static_cast<size_t>(i)] = expand(static_cast<uint8_t>(i));
  return table;
}

constexpr auto kMu = tabulate(expandMu);
constexpr auto kA = tabulate(expandA);

}  // namespace

int16_t muLawToLinear(uint8_t value) { return kMu[value]; }
int16_t aLawToLinear(uint8_t value) { return kA[value]; }

uint8_t linearToMuLaw(int16_t sample) {
  constexpr int kBias = 132;
  constexpr int kClip = 32635;
  int magnitude = sample;
  const int sign = magnitude < 0 ? 0x80 : 0;
  if (magnitude < 0) magnitude = -magnitude;
  if (magnitude > kClip) magnitude = kClip;
  magnitude += kBias;
  const int exponent = std::bit_width(static_cast<unsigned>(magnitude)) - 8;
  const int mantissa = (magnitude >> (exponent + 3)) & 0x0f;
  return static_cast<uint8_t>(~(sign | exponent << 4 | mantissa));
}

uint8_t linearToALaw(int16_t sample) {
  int magnitude = sample;
  const int sign = magnitude >= 0 ? 0x80 : 0;
  if (magnitude < 0) magnitude = -magnitude - 1;
  const int width = std::bit_width(static_cast<unsigned>(magnitude));
  const int segment = width <= 8 ? 0 : width - 8;
  const int mantissa = segment == 0 ? (magnitude >> 4) & 0x0f : (magnitude >> (segment + 3)) & 0x0f;
  return static_cast<uint8_t>((sign | segment << 4 | mantissa) ^ 0x55);
}

}  // namespace causeway
