// Transaction ids of our checks. One says which endpoint asked, so that a shared port finds it without a table: its id,
// masked, and 48 random bits.
#pragma once

#include <cstdint>

namespace causeway {

inline constexpr uint64_t kNonceMask = 0xffff'ffff'ffff;

void writeIceTransaction(uint64_t endpoint, uint64_t nonce, uint8_t out[12]);
uint64_t ownerOfIceTransaction(const uint8_t transaction[12]);
inline uint64_t nonceOfIceTransaction(const uint8_t t[12]) {
  uint64_t nonce = 0;
  for (int i = 6; i < 12; i++) nonce = nonce << 8 | t[i];
  return nonce;
}

// Every bit of the result hangs on every bit of `z` (SplitMix64).
inline uint64_t mixed(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

}  // namespace causeway
