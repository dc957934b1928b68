// Binding requests and responses of ICE (RFC 8489, RFC 8445). Input: a byte of what is to be put right before reading (1:
// length, 2: MESSAGE-INTEGRITY, 4: FINGERPRINT), so that mutations get behind the checksums; then the packet. It is read as
// what it is, and as a response with the same attributes.
#include "../net/stun.h"

#include <algorithm>
#include <cstring>

#include "../core/rtp.h"
#include "../net/ice_agent.h"
#include "stun_message.h"
#include "target.h"

using namespace causeway;
using causeway::fuzz::require;

namespace {

const std::string kPassword = "cwpassword0123456789abcd";

// An answer of ours: readable by its own length fields, with a right checksum at its end.
void checkAnswer(std::span<const uint8_t> answer, const StunRequest& request, uint16_t type) {
  require(answer.size() >= 20 + 24 + 8 && answer.size() <= 128, "an answer fits");
  require(readU16(&answer[0]) == type && readU16(&answer[2]) + 20u == answer.size(), "its header is right");
  require(std::memcmp(&answer[8], request.transaction, 12) == 0, "it has the transaction of the request");
  const size_t end = answer.size() - 8;
  require(readU16(&answer[end]) == 0x8028 && readU32(&answer[end + 4]) == (fuzz::crc32(answer.first(end)) ^ fuzz::kFingerprintXor), "its FINGERPRINT is right");
}

void asResponse(std::span<uint8_t> packet, uint8_t repair) {
  if (packet.size() < 20) return;
  packet[0] = 1;
  if (packet[1] != 0x11) packet[1] = 1;
  fuzz::repairStun(packet, repair & ~fuzz::kStunHeader, kPassword);
  StunResponse response;
  if (!parseBindingResponse(packet, response)) return;
  require(response.integrityOffset >= 20 && response.integrityOffset + 24 <= packet.size(), "the integrity of a response lies within it");
  require(response.error < 1000 && response.success == (packet[1] == 1), "it is a success, or an error with a code");
  ownerOfIceTransaction(response.transaction);
  integrityHolds(packet, response.integrityOffset, kPassword);
}

// A check of ours with these names can be read, and proven, by ours.
void writesChecks(std::span<const uint8_t> bytes) {
  const std::string names(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(std::min(bytes.size(), 2 * kIceNameMax + 1)));
  if (names.empty()) return;
  StunCheck check;
  check.username = names;
  check.password = kPassword;
  check.useCandidate = names.size() % 2 == 0;
  check.controlling = names.size() % 3 == 0;
  check.priority = 7;
  check.tieBreaker = 0x0123456789abcdef;
  writeIceTransaction(names.size(), 5, check.transaction);
  std::unique_ptr<uint8_t[]> out(new uint8_t[kStunCheckMax]);
  const std::span<const uint8_t> packet{out.get(), writeBindingRequest({out.get(), kStunCheckMax}, check)};
  StunRequest request;
  require(parseBindingRequest(packet, request) && integrityHolds(packet, request, kPassword), "a check of ours holds");
  require(request.username == names && request.useCandidate == check.useCandidate && request.priority == 7, "it says what it should");
  require(request.controlling == check.controlling && request.controlled != check.controlling && request.tieBreaker == check.tieBreaker, "in its role");
  require(ownerOfIceTransaction(request.transaction) == names.size(), "and whose it is");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  fuzz::Exact packet({data + 1, size - 1});
  fuzz::repairStun(packet.span(), data[0], kPassword);
  looksLikeStun(packet.span());
  StunRequest request;
  if (!parseBindingRequest(packet.span(), request)) {
    writesChecks(packet.span());
    asResponse(packet.span(), data[0]);
    return 0;
  }
  const char* begin = reinterpret_cast<const char*>(packet.data());
  const char* end = begin + packet.size();
  require(request.username.data() >= begin && request.username.data() + request.username.size() <= end, "the user name lies within the packet");
  require(request.integrityOffset + 24 <= packet.size(), "so does the integrity");
  const bool holds = integrityHolds(packet.span(), request, kPassword);
  require(!holds || !integrityHolds(packet.span(), request, kPassword + "x"), "another password does not hold");
  // A bit of what the integrity covers, and it holds no more. The length field is replaced before hashing.
  if (holds) {
    const size_t at = 4 + size % (request.integrityOffset - 4);
    packet.data()[at] ^= 1;
    require(!integrityHolds(packet.span(), request, kPassword), "a changed packet does not hold");
    packet.data()[at] ^= 1;
  }
  std::unique_ptr<uint8_t[]> out(new uint8_t[128]);
  for (const char* host : {"192.0.2.1", "2001:db8::1"}) {
    Address from;
    Address::parse(host, 40000, from);
    checkAnswer({out.get(), writeBindingSuccess({out.get(), 128}, request, from, kPassword)}, request, 0x0101);
  }
  checkAnswer({out.get(), writeRoleConflict({out.get(), 128}, request, kPassword)}, request, 0x0111);
  asResponse(packet.span(), data[0]);
  return 0;
}
