// Puts length, MESSAGE-INTEGRITY and FINGERPRINT of a STUN message right, so that mutations get behind the checksums.
#pragma once

#include <openssl/hmac.h>

#include <cstdint>
#include <span>
#include <string>

#include "../core/rtp.h"

namespace causeway::fuzz {

inline constexpr uint32_t kStunCookie = 0x2112A442;
inline constexpr uint32_t kFingerprintXor = 0x5354554e;
enum StunRepair : uint8_t { kStunHeader = 1, kStunIntegrity = 2, kStunFingerprint = 4 };

// By hand, bit by bit: another one than the one under test.
inline uint32_t crc32(std::span<const uint8_t> bytes) {
  uint32_t c = 0xffffffffU;
  for (const uint8_t byte : bytes) {
    c ^= byte;
    for (int k = 0; k < 8; k++) c = c & 1 ? 0xedb88320U ^ (c >> 1) : c >> 1;
  }
  return ~c;
}

inline void repairStun(std::span<uint8_t> packet, uint8_t what, const std::string& password) {
  if (packet.size() < 20) return;
  if (what & kStunHeader) {
    writeU16(&packet[0], 1);
    writeU16(&packet[2], static_cast<uint16_t>(packet.size() - 20));
    writeU32(&packet[4], kStunCookie);
  }
  for (size_t at = 20; at + 4 <= packet.size();) {
    const uint16_t type = readU16(&packet[at]);
    const size_t length = readU16(&packet[at + 2]);
    if (at + 4 + length > packet.size()) return;
    if (type == 0x0008 && length == 20 && (what & kStunIntegrity)) {
      // The length field ends behind the attribute while it is hashed (RFC 8489 §14.5).
      const uint16_t kept = readU16(&packet[2]);
      writeU16(&packet[2], static_cast<uint16_t>(at + 24 - 20));
      unsigned size = 20;
      HMAC(EVP_sha1(), password.data(), static_cast<int>(password.size()), packet.data(), at, &packet[at + 4], &size);
      writeU16(&packet[2], kept);
    }
    if (type == 0x8028 && length == 4 && (what & kStunFingerprint)) {
      writeU32(&packet[at + 4], crc32(packet.first(at)) ^ kFingerprintXor);
    }
    at += 4 + ((length + 3) & ~size_t{3});
  }
}

}  // namespace causeway::fuzz
