// SRTP and SRTCP (RFC 3711, RFC 6188, RFC 7714) of one direction: packets, indices, replay windows.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "srtp_session.h"

namespace causeway {

struct SrtpKey {
  SrtpSuite suite = SrtpSuite::kAesCm128Sha1_80;
  std::vector<uint8_t> key;
  std::vector<uint8_t> salt;
  // Session parameters of SDES (RFC 4568 §6.3).
  bool unencryptedRtp = false;
  bool unencryptedRtcp = false;
  bool unauthenticatedRtp = false;
  bool operator==(const SrtpKey&) const = default;
};

inline size_t srtpKeyLength(SrtpSuite suite) { return srtpSuite(suite).key; }
inline size_t srtpSaltLength(SrtpSuite suite) { return srtpSuite(suite).salt; }

enum class SrtpResult : uint8_t { kOk, kMalformed, kAuthentication, kReplay };

inline constexpr size_t kSrtpTrailer = 40;  // room behind the packet that protecting may need

// Session keys as they are, for known answers.
struct SrtpSessionKeys {
  std::vector<uint8_t> key;
  std::vector<uint8_t> salt;
  std::vector<uint8_t> auth;
};

// AES in counter mode as a PRF (RFC 3711 §4.3.3, RFC 6188 §3); labels of §4.3.1.
bool srtpDerive(std::span<const uint8_t> key, std::span<const uint8_t> salt, uint8_t label, std::span<uint8_t> out);

class SrtpContext {
 public:
  // Null when a key has the wrong length or the library refuses.
  static std::unique_ptr<SrtpContext> create(const SrtpKey& key);
  // The same session keys for SRTP and SRTCP.
  static std::unique_ptr<SrtpContext> withSession(const SrtpKey& parameters, const SrtpSessionKeys& keys);
  SrtpContext(const SrtpContext&) = delete;
  SrtpContext& operator=(const SrtpContext&) = delete;

  // In place; `length` changes. The buffer has kSrtpTrailer bytes behind the packet.
  bool protect(uint8_t* packet, size_t& length);
  SrtpResult unprotect(uint8_t* packet, size_t& length);
  bool protectRtcp(uint8_t* packet, size_t& length);
  SrtpResult unprotectRtcp(uint8_t* packet, size_t& length);
  size_t memoryBytes() const;
  const char* suite() const { return suite_; }
  // Whether a packet that unprotect() takes has proven to be of who has the keys.
  bool authenticates() const { return tagSize_ > 0; }
  // Where the first packet of a stream belongs (RFC 3711 §3.3.1), when its rollovers are known from elsewhere.
  void startAt(uint32_t ssrc, uint64_t index);

 private:
  struct Stream {
    uint32_t ssrc = 0;
    bool started = false;
    bool rtcpStarted = false;
    uint32_t rtcpIndex = 0;
    uint64_t highest = 0;  // ROC and sequence
    uint64_t window = 0;
    uint64_t rtcpWindow = 0;
    uint64_t usedAt = 0;  // of `uses_`
  };
  SrtpContext() = default;
  const char* suite_ = "";
  void settle(const SrtpKey& key);
  Stream* find(uint32_t ssrc);
  Stream& stream(uint32_t ssrc);
  bool cipher(const uint8_t* packet, size_t header, size_t length, uint64_t index);
  bool cipherRtcp(const uint8_t* packet, size_t length, uint32_t eIndex);

  SrtpCipher cipher_ = SrtpCipher::kCounter;
  uint8_t tagSize_ = 10;
  bool encryptRtp_ = true;
  bool encryptRtcp_ = true;
  SrtpSession rtp_;
  SrtpSession rtcp_;
  std::vector<Stream> streams_;
  uint64_t uses_ = 0;
  uint32_t sentRtcpIndex_ = 0;
};

}  // namespace causeway
