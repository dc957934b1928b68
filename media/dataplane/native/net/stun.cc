#include "stun.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>
#include <cstring>

#include "../core/rtp.h"

namespace causeway {
namespace {

constexpr uint32_t kCookie = 0x2112A442;
constexpr uint32_t kFingerprintXor = 0x5354554e;

std::array<uint32_t, 256> makeCrcTable() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t c = i;
    for (int k = 0; k < 8; k++) c = c & 1 ? 0xedb88320U ^ (c >> 1) : c >> 1;
    table[i] = c;
  }
  return table;
}

uint32_t crc32(std::span<const uint8_t> bytes) {
  static const std::array<uint32_t, 256> table = makeCrcTable();
  uint32_t c = 0xffffffffU;
  for (uint8_t byte : bytes) c = table[(c ^ byte) & 0xff] ^ (c >> 8);
  return c ^ 0xffffffffU;
}

// HMAC-SHA1 over the message up to the attribute, with a length field that ends behind it (RFC 8489 §14.5).
void integrityOf(std::span<const uint8_t> packet, size_t offset, std::string_view password, uint8_t out[20]) {
  std::array<uint8_t, 1500> copy;
  std::memcpy(copy.data(), packet.data(), offset);
  writeU16(copy.data() + 2, static_cast<uint16_t>(offset + 24 - 20));
  unsigned length = 20;
  HMAC(EVP_sha1(), password.data(), static_cast<int>(password.size()), copy.data(), offset, out, &length);
}

size_t finish(std::span<uint8_t> out, size_t length, std::string_view password) {
  writeU16(&out[length], 0x0008);
  writeU16(&out[length + 2], 20);
  integrityOf(out, length, password, &out[length + 4]);
  length += 24;
  writeU16(&out[2], static_cast<uint16_t>(length + 8 - 20));
  writeU16(&out[length], 0x8028);
  writeU16(&out[length + 2], 4);
  writeU32(&out[length + 4], crc32(out.first(length)) ^ kFingerprintXor);
  return length + 8;
}

void begin(std::span<uint8_t> out, uint16_t type, const uint8_t* transaction) {
  writeU16(&out[0], type);
  writeU32(&out[4], kCookie);
  std::memcpy(&out[8], transaction, 12);
}

uint64_t readU64(const uint8_t* p) { return uint64_t{readU32(p)} << 32 | readU32(p + 4); }

// Walks over the attributes of a message with its header right; `each` gets those that the integrity covers, and says
// whether it can be. False: it cannot be read, has no integrity, or a FINGERPRINT that is wrong or not the last.
template <typename Each>
bool walk(std::span<const uint8_t> packet, size_t& integrityOffset, bool& fingerprint, Each each) {
  if (packet.size() < 20 || packet.size() > 1400 || packet.size() % 4 != 0) return false;
  if (readU32(&packet[4]) != kCookie || size_t{readU16(&packet[2])} + 20 != packet.size()) return false;
  size_t offset = 20;
  while (offset + 4 <= packet.size()) {
    const uint16_t type = readU16(&packet[offset]);
    const size_t length = readU16(&packet[offset + 2]);
    const size_t padded = (length + 3) & ~size_t{3};
    if (offset + 4 + padded > packet.size() || fingerprint) return false;
    const uint8_t* value = packet.data() + offset + 4;
    if (integrityOffset != 0 && type != 0x8028) {
      // What stands behind the integrity is not covered by it (RFC 8489 §14.5).
      offset += 4 + padded;
      continue;
    }
    if (type == 0x0008) {
      if (length != 20) return false;
      integrityOffset = offset;
    } else if (type == 0x8028) {
      if (length != 4 || readU32(value) != (crc32(packet.first(offset)) ^ kFingerprintXor)) return false;
      fingerprint = true;
    } else if (!each(type, value, length)) {
      return false;
    }
    offset += 4 + padded;
  }
  return offset == packet.size() && integrityOffset != 0;
}

}  // namespace

bool parseBindingRequest(std::span<const uint8_t> packet, StunRequest& request) {
  if (packet.size() < 20 || readU16(&packet[0]) != 0x0001) return false;
  request.transaction = &packet[8];
  bool fingerprint = false;
  const bool read = walk(packet, request.integrityOffset, fingerprint, [&](uint16_t type, const uint8_t* value, size_t length) {
    if (type == 0x0006) request.username = std::string_view(reinterpret_cast<const char*>(value), length);
    else if (type == 0x0025) request.useCandidate = true;
    else if (type == 0x0024 && length == 4) request.priority = readU32(value);
    else if (type == 0x8029 || type == 0x802a) {
      (type == 0x8029 ? request.controlled : request.controlling) = true;
      if (length == 8) request.tieBreaker = readU64(value);
    }
    return true;
  });
  return read && fingerprint && !request.username.empty();
}

bool parseBindingResponse(std::span<const uint8_t> packet, StunResponse& response) {
  if (!isBindingResponse(packet)) return false;
  response.transaction = &packet[8];
  response.success = packet[1] == 0x01;
  bool fingerprint = false;
  return walk(packet, response.integrityOffset, fingerprint, [&](uint16_t type, const uint8_t* value, size_t length) {
    if (type == 0x0009 && length >= 4) response.error = static_cast<uint16_t>((value[2] & 7) * 100 + value[3]);
    return true;
  });
}

bool integrityHolds(std::span<const uint8_t> packet, size_t integrityOffset, std::string_view password) {
  uint8_t wanted[20];
  integrityOf(packet, integrityOffset, password, wanted);
  uint8_t difference = 0;
  for (size_t i = 0; i < 20; i++) difference |= static_cast<uint8_t>(wanted[i] ^ packet[integrityOffset + 4 + i]);
  return difference == 0;
}

size_t writeBindingRequest(std::span<uint8_t> out, const StunCheck& check) {
  begin(out, 0x0001, check.transaction);
  size_t length = 20;
  const auto attribute = [&](uint16_t type, size_t size) {
    writeU16(&out[length], type);
    writeU16(&out[length + 2], static_cast<uint16_t>(size));
    uint8_t* const value = out.data() + length + 4;
    const size_t padded = (size + 3) & ~size_t{3};
    std::memset(value, 0, padded);
    length += 4 + padded;
    return value;
  };
  std::memcpy(attribute(0x0006, check.username.size()), check.username.data(), check.username.size());
  writeU32(attribute(0x0024, 4), check.priority);
  uint8_t* const role = attribute(check.controlling ? 0x802a : 0x8029, 8);
  writeU32(role, static_cast<uint32_t>(check.tieBreaker >> 32));
  writeU32(role + 4, static_cast<uint32_t>(check.tieBreaker));
  if (check.useCandidate) attribute(0x0025, 0);
  return finish(out, length, check.password);
}

size_t writeBindingSuccess(std::span<uint8_t> out, const StunRequest& request, const Address& from, const std::string& password) {
  begin(out, 0x0101, request.transaction);
  const size_t ip = from.ipLength();
  writeU16(&out[20], 0x0020);
  writeU16(&out[22], static_cast<uint16_t>(4 + ip));
  out[24] = 0;
  out[25] = ip == 4 ? 1 : 2;
  writeU16(&out[26], static_cast<uint16_t>(from.port() ^ (kCookie >> 16)));
  // XORed with the cookie, and behind it with the transaction id.
  for (size_t i = 0; i < ip; i++) out[28 + i] = static_cast<uint8_t>(from.ip()[i] ^ out[4 + i]);
  return finish(out, 28 + ip, password);
}

size_t writeRoleConflict(std::span<uint8_t> out, const StunRequest& request, const std::string& password) {
  static constexpr char kReason[] = "Role Conflict";
  begin(out, 0x0111, request.transaction);
  const size_t length = sizeof(kReason) - 1;
  const size_t padded = (length + 3) & ~size_t{3};
  writeU16(&out[20], 0x0009);
  writeU16(&out[22], static_cast<uint16_t>(4 + length));
  std::memset(&out[24], 0, 4 + padded);
  out[26] = 4;
  out[27] = 87;
  std::memcpy(&out[28], kReason, length);
  return finish(out, 28 + padded, password);
}

}  // namespace causeway
