// STUN binding requests and responses of ICE (RFC 8489, RFC 8445): read, prove, write.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "address.h"

namespace causeway {

struct StunRequest {
  const uint8_t* transaction = nullptr;  // 12 bytes
  std::string_view username;             // "<ours>:<theirs>"
  bool useCandidate = false;
  bool controlled = false;  // the role that the peer claims (RFC 8445 §7.3.1.1)
  bool controlling = false;
  uint64_t tieBreaker = 0;
  uint32_t priority = 0;  // that a candidate learnt by this check would have
  size_t integrityOffset = 0;
};

struct StunResponse {
  const uint8_t* transaction = nullptr;  // 12 bytes
  bool success = false;
  uint16_t error = 0;  // 487: role conflict
  size_t integrityOffset = 0;
};

// A check of ours. Names and password are the peer's side of it: the username is "<theirs>:<ours>".
struct StunCheck {
  std::string_view username;
  std::string_view password;
  uint8_t transaction[12] = {};
  uint32_t priority = 0;
  uint64_t tieBreaker = 0;
  bool controlling = false;
  bool useCandidate = false;
};

// ufrag and password have at most 256 characters (RFC 8839 §5.4).
inline constexpr size_t kIceNameMax = 256;
inline constexpr size_t kStunCheckMax = 20 + 4 + 2 * kIceNameMax + 4 + 8 + 12 + 4 + 24 + 8;

inline bool looksLikeStun(std::span<const uint8_t> p) { return p.size() >= 20 && p[0] < 4; }
// It keeps a binding alive, and nothing else (RFC 8445 §11).
inline bool isBindingIndication(std::span<const uint8_t> p) { return p.size() >= 20 && p[0] == 0 && p[1] == 0x11; }
inline bool isBindingResponse(std::span<const uint8_t> p) { return p.size() >= 20 && p[0] == 1 && (p[1] == 0x01 || p[1] == 0x11); }

// A binding request with USERNAME, MESSAGE-INTEGRITY and a right FINGERPRINT; anything else is false.
bool parseBindingRequest(std::span<const uint8_t> packet, StunRequest& request);
// A success or error response with MESSAGE-INTEGRITY, and a right FINGERPRINT if any.
bool parseBindingResponse(std::span<const uint8_t> packet, StunResponse& response);
bool integrityHolds(std::span<const uint8_t> packet, size_t integrityOffset, std::string_view password);
inline bool integrityHolds(std::span<const uint8_t> packet, const StunRequest& request, std::string_view password) {
  return integrityHolds(packet, request.integrityOffset, password);
}
// Into `out` (at least 128 bytes); the length.
size_t writeBindingSuccess(std::span<uint8_t> out, const StunRequest& request, const Address& from, const std::string& password);
size_t writeRoleConflict(std::span<uint8_t> out, const StunRequest& request, const std::string& password);
// Into `out` (at least kStunCheckMax bytes); the length.
size_t writeBindingRequest(std::span<uint8_t> out, const StunCheck& check);

}  // namespace causeway
