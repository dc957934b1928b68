// SRTP and SRTCP (RFC 3711, RFC 7714) of one direction, on EVP.
#pragma once

#include <openssl/evp.h>

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace causeway {

enum class SrtpSuite : uint8_t { kAesCm128Sha1_80, kAesCm128Sha1_32, kAeadAes128Gcm, kAeadAes256Gcm };

struct SrtpKey {
  SrtpSuite suite = SrtpSuite::kAesCm128Sha1_80;
  std::vector<uint8_t> key;
  std::vector<uint8_t> salt;
  bool operator==(const SrtpKey&) const = default;
};

// 16 + 14, 16 + 12 or 32 + 12 bytes (RFC 3711 §8.2, RFC 7714 §12).
size_t srtpKeyLength(SrtpSuite suite);
size_t srtpSaltLength(SrtpSuite suite);

enum class SrtpResult : uint8_t { kOk, kMalformed, kAuthentication, kReplay };

inline constexpr size_t kSrtpTrailer = 40;  // room behind the packet that protecting may need

class SrtpContext {
 public:
  // Null when a key has the wrong length or the library refuses.
  static std::unique_ptr<SrtpContext> create(const SrtpKey& key);
  ~SrtpContext();
  SrtpContext(const SrtpContext&) = delete;
  SrtpContext& operator=(const SrtpContext&) = delete;

  // In place; `length` changes. The buffer has kSrtpTrailer bytes behind the packet.
  bool protect(uint8_t* packet, size_t& length);
  SrtpResult unprotect(uint8_t* packet, size_t& length);
  bool protectRtcp(uint8_t* packet, size_t& length);
  SrtpResult unprotectRtcp(uint8_t* packet, size_t& length);
  size_t memoryBytes() const;

 private:
  struct Stream {
    bool started = false;
    uint64_t highest = 0;  // ROC and sequence
    uint64_t window = 0;
    uint64_t usedAt = 0;  // of `uses_`
    uint32_t rtcpIndex = 0;
    bool rtcpStarted = false;
    uint64_t rtcpWindow = 0;
  };
  struct Session {
    EVP_CIPHER_CTX* cipher = nullptr;
    EVP_MAC_CTX* mac = nullptr;
    std::array<uint8_t, 14> salt{};
  };
  SrtpContext() = default;
  bool derive(const SrtpKey& key);
  bool open(Session& session, std::span<const uint8_t> key, std::span<const uint8_t> auth);
  Stream& stream(uint32_t ssrc);
  bool cipherCm(Session& session, uint32_t ssrc, uint64_t index, uint8_t* data, size_t size);
  void tag(Session& session, std::span<const uint8_t> data, const uint8_t roc[4], uint8_t out[20]);
  bool seal(Session& session, const uint8_t iv[12], std::span<const uint8_t> aad, uint8_t* data, size_t size, bool encrypt);
  void gcmIv(const Session& session, uint32_t ssrc, uint64_t index, bool rtcp, uint8_t iv[12]) const;

  SrtpSuite suite_ = SrtpSuite::kAesCm128Sha1_80;
  bool gcm_ = false;
  size_t tagSize_ = 10;
  Session rtp_;
  Session rtcp_;
  std::unordered_map<uint32_t, Stream> streams_;
  uint64_t uses_ = 0;
  uint32_t sentRtcpIndex_ = 0;
};

}  // namespace causeway
