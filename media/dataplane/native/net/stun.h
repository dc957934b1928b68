// STUN binding requests of ICE (RFC 8489, RFC 8445), for the lite side: read, prove, answer.
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
  bool controlled = false;  // the peer claims to be controlled: so do we, being lite (RFC 8445 §7.3.1.1)
  size_t integrityOffset = 0;
};

inline bool looksLikeStun(std::span<const uint8_t> p) { return p.size() >= 20 && p[0] < 4; }

// A binding request with USERNAME, MESSAGE-INTEGRITY and a right FINGERPRINT; anything else is false.
bool parseBindingRequest(std::span<const uint8_t> packet, StunRequest& request);
bool integrityHolds(std::span<const uint8_t> packet, const StunRequest& request, const std::string& password);
// Into `out` (at least 128 bytes); the length.
size_t writeBindingSuccess(std::span<uint8_t> out, const StunRequest& request, const Address& from, const std::string& password);
size_t writeRoleConflict(std::span<uint8_t> out, const StunRequest& request, const std::string& password);

}  // namespace causeway
