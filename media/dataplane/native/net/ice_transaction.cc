#include "ice_transaction.h"

#include <sys/random.h>

namespace causeway {
namespace {

// Of this process: nobody reads from a transaction how many calls there have been.
uint64_t maskOf(uint64_t nonce) {
  static const uint64_t secret = [] {
    uint64_t value = 0;
    while (getrandom(&value, sizeof(value), 0) != sizeof(value)) {
    }
    return value;
  }();
  return mixed(nonce + secret) & kNonceMask;
}

void put48(uint8_t* out, uint64_t value) {
  for (int i = 0; i < 6; i++) out[i] = static_cast<uint8_t>(value >> (40 - 8 * i));
}

}  // namespace

void writeIceTransaction(uint64_t endpoint, uint64_t nonce, uint8_t out[12]) {
  put48(out, (endpoint ^ maskOf(nonce)) & kNonceMask);
  put48(out + 6, nonce);
}

uint64_t ownerOfIceTransaction(const uint8_t transaction[12]) {
  uint64_t owner = 0;
  for (int i = 0; i < 6; i++) owner = owner << 8 | transaction[i];
  return owner ^ maskOf(nonceOfIceTransaction(transaction));
}

}  // namespace causeway
