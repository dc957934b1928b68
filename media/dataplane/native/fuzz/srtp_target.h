// SRTP and SRTCP differ by three names only. Input: the suite and the session parameters of SDES (a byte each), then
// steps: a byte of what to do, a byte of length, so many bytes of packet.
#pragma once

#include <cstring>

#include "../core/rtp.h"
#include "../net/srtp.h"
#include "target.h"

namespace causeway::fuzz {

template <bool kRtcp>
int srtpTarget(const uint8_t* data, size_t size) {
  const auto protect = [](SrtpContext& context, uint8_t* p, size_t& n) { return kRtcp ? context.protectRtcp(p, n) : context.protect(p, n); };
  const auto unprotect = [](SrtpContext& context, uint8_t* p, size_t& n) {
    const size_t before = n;
    const SrtpResult result = kRtcp ? context.unprotectRtcp(p, n) : context.unprotect(p, n);
    require(n <= before, "a packet does not grow by decryption");
    require(result == SrtpResult::kOk || n == before, "what is refused keeps its length");
    return result;
  };
  Feed feed(data, size);
  const auto suite = static_cast<SrtpSuite>(feed.byte() % 12);
  const uint8_t parameters = feed.byte();
  const SrtpKey key{suite,
                    std::vector<uint8_t>(srtpKeyLength(suite), 7),
                    std::vector<uint8_t>(srtpSaltLength(suite), 9),
                    (parameters & 1) != 0,
                    (parameters & 2) != 0,
                    (parameters & 4) != 0};
  const auto sender = SrtpContext::create(key);
  const auto receiver = SrtpContext::create(key);
  const bool gcm = suite == SrtpSuite::kAeadAes128Gcm || suite == SrtpSuite::kAeadAes256Gcm;
  require((sender && receiver) || (gcm && (parameters & 7) != 0), "a context can be made");
  if (!sender || !receiver) return 0;
  // Without authentication everything is believed, and what a stranger sends moves the window.
  const bool proof = kRtcp || (parameters & 4) == 0 || gcm;
  uint16_t sequence = 65'500;  // not far from its wrap
  while (!feed.empty()) {
    const uint8_t step = feed.byte();
    const auto bytes = feed.take(feed.byte());
    if ((step & 3) == 0) {
      // As it came. Only a tag of 32 bits could be guessed, and not by us.
      Exact packet(bytes);
      size_t length = packet.size();
      require(unprotect(*receiver, packet.data(), length) != SrtpResult::kOk || !proof, "nobody without the key is believed");
      continue;
    }
    Exact packet(bytes, kSrtpTrailer);
    if (packet.size() < 12) continue;
    packet.data()[0] = static_cast<uint8_t>(0x80 | (packet.data()[0] & (kRtcp ? 0x1f : 0x3f)));
    if (!kRtcp) writeU16(packet.data() + 2, sequence = static_cast<uint16_t>(sequence + 1 + (step >> 5)));
    size_t length = packet.size();
    if (!protect(*sender, packet.data(), length)) continue;  // a header that is longer than the packet
    require(length <= packet.size() + kSrtpTrailer, "protecting keeps within its room");
    const std::span<const uint8_t> sealed(packet.data(), length);
    if ((step & 3) == 2) {
      Exact changed(sealed);
      changed.data()[(step >> 2) * 7u % length] ^= static_cast<uint8_t>(1 + (step >> 4));
      size_t changedLength = length;
      require(unprotect(*receiver, changed.data(), changedLength) != SrtpResult::kOk || !proof, "a changed packet is refused");
    }
    Exact copy(sealed);
    size_t copyLength = length;
    const SrtpResult result = unprotect(*receiver, copy.data(), copyLength);
    if (!proof && result != SrtpResult::kOk) continue;
    require(result == SrtpResult::kOk, "an honest packet comes through");
    require(copyLength == bytes.size(), "with the length that it had");
    require(!proof || std::memcmp(copy.data() + 12, bytes.data() + 12, copyLength - 12) == 0, "and with what was in it");
    if ((step & 3) == 3) {
      Exact again(sealed);
      size_t againLength = length;
      require(unprotect(*receiver, again.data(), againLength) == SrtpResult::kReplay, "once only");
    }
  }
  return 0;
}

}  // namespace causeway::fuzz
