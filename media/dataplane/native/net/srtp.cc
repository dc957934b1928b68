#include "srtp.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <cstring>

#include "../core/rtp.h"

namespace causeway {
namespace {

constexpr size_t kMaxStreams = 64;  // SSRCs of one direction that are remembered; a bundle has those of all its lines
constexpr size_t kGcmTag = 16;
constexpr size_t kRtcpTag = 10;
constexpr uint32_t kEncrypted = 0x80000000U;  // E of SRTCP
constexpr uint64_t kWindow = 64;              // packets that may come late (RFC 3711 §3.3.2)

// RTP header with CSRCs and extension: what stays in the clear.
size_t headerSize(const uint8_t* packet, size_t length) {
  if (length < 12 || (packet[0] >> 6) != 2) return 0;
  size_t offset = 12 + 4u * (packet[0] & 0x0f);
  if (packet[0] & 0x10) {
    if (offset + 4 > length) return 0;
    offset += 4 + 4u * readU16(packet + offset + 2);
  }
  return offset > length ? 0 : offset;
}

// Where a sequence number belongs, given the highest index so far (RFC 3711 §3.3.1).
uint64_t guessIndex(bool started, uint64_t highest, uint16_t sequence) {
  if (!started) return sequence;
  const auto step = static_cast<int16_t>(sequence - static_cast<uint16_t>(highest));
  const auto index = static_cast<int64_t>(highest) + step;
  return index < 0 ? sequence : static_cast<uint64_t>(index);
}

bool replayed(uint64_t highest, uint64_t window, uint64_t index) {
  if (index > highest) return false;
  const uint64_t age = highest - index;
  return age >= kWindow || (window >> age & 1) != 0;
}

// RFC 7714 §8.1 (ROC and SEQ), §9.1 (two zero octets and the SRTCP index).
void gcmIv(const SrtpSession& session, uint32_t ssrc, uint64_t index, bool rtcp, uint8_t iv[12]) {
  std::memset(iv, 0, 12);
  writeU32(iv + 2, ssrc);
  if (rtcp) writeU32(iv + 8, static_cast<uint32_t>(index));
  else {
    writeU32(iv + 6, static_cast<uint32_t>(index >> 16));
    writeU16(iv + 10, static_cast<uint16_t>(index));
  }
  for (int i = 0; i < 12; i++) iv[i] ^= session.salt()[i];
}

}  // namespace

bool srtpDerive(std::span<const uint8_t> key, std::span<const uint8_t> salt, uint8_t label, std::span<uint8_t> out) {
  uint8_t iv[16] = {};
  std::memcpy(iv, salt.data(), std::min<size_t>(salt.size(), 14));
  iv[7] ^= label;
  EVP_CIPHER_CTX* ctx = threadCipher(key.size() == 32 ? EVP_aes_256_ctr() : key.size() == 24 ? EVP_aes_192_ctr() : EVP_aes_128_ctr());
  if (ctx == nullptr) return false;
  std::memset(out.data(), 0, out.size());
  int written = 0;
  return EVP_EncryptInit_ex(ctx, nullptr, nullptr, key.data(), iv) == 1 &&
         EVP_EncryptUpdate(ctx, out.data(), &written, out.data(), static_cast<int>(out.size())) == 1;
}

std::unique_ptr<SrtpContext> SrtpContext::create(const SrtpKey& key) {
  if (key.key.size() != srtpKeyLength(key.suite) || key.salt.size() != srtpSaltLength(key.suite)) return nullptr;
  std::unique_ptr<SrtpContext> context(new SrtpContext());
  context->settle(key);
  std::array<uint8_t, 32> cipherKey{};
  std::array<uint8_t, 20> auth{};
  std::array<uint8_t, 14> salt{};
  const auto keySpan = std::span(cipherKey).first(key.key.size());
  const auto saltSpan = std::span(salt).first(key.salt.size());
  bool ok = true;
  for (int rtcp = 0; rtcp < 2 && ok; rtcp++) {
    const auto base = static_cast<uint8_t>(rtcp ? 3 : 0);
    ok = srtpDerive(key.key, key.salt, base, keySpan) && srtpDerive(key.key, key.salt, static_cast<uint8_t>(base + 1), auth) &&
         srtpDerive(key.key, key.salt, static_cast<uint8_t>(base + 2), saltSpan) &&
         (rtcp ? context->rtcp_ : context->rtp_).open(key.suite, keySpan, saltSpan, auth, rtcp == 0);
  }
  OPENSSL_cleanse(cipherKey.data(), cipherKey.size());
  OPENSSL_cleanse(auth.data(), auth.size());
  OPENSSL_cleanse(salt.data(), salt.size());
  if (!ok) return nullptr;
  return context;
}

std::unique_ptr<SrtpContext> SrtpContext::withSession(const SrtpKey& parameters, const SrtpSessionKeys& keys) {
  std::unique_ptr<SrtpContext> context(new SrtpContext());
  context->settle(parameters);
  for (SrtpSession* session : {&context->rtp_, &context->rtcp_}) {
    if (!session->open(parameters.suite, keys.key, keys.salt, keys.auth, session == &context->rtp_)) return nullptr;
  }
  return context;
}

// The session parameters mean nothing to GCM, which does both in one (RFC 7714 §14.2 allows none of them).
void SrtpContext::settle(const SrtpKey& key) {
  const SrtpSuiteInfo& suite = srtpSuite(key.suite);
  cipher_ = suite.cipher;
  suite_ = suite.name;
  const bool both = cipher_ == SrtpCipher::kGcm;
  tagSize_ = key.unauthenticatedRtp && !both ? 0 : suite.tag;
  encryptRtp_ = both || (!key.unencryptedRtp && cipher_ != SrtpCipher::kNull);
  encryptRtcp_ = both || (!key.unencryptedRtcp && cipher_ != SrtpCipher::kNull);
}

SrtpContext::Stream* SrtpContext::find(uint32_t ssrc) {
  for (Stream& stream : streams_) {
    if (stream.ssrc == ssrc) return &stream;
  }
  return nullptr;
}

// The place of an SSRC in the table; a new one takes that of the stream that has been silent longest: in a long call
// with many transfers and much music on hold the old ones never come back.
SrtpContext::Stream& SrtpContext::stream(uint32_t ssrc) {
  Stream* found = find(ssrc);
  if (found == nullptr) {
    if (streams_.size() < kMaxStreams) found = &streams_.emplace_back();
    else {
      found = &*std::min_element(streams_.begin(), streams_.end(), [](const Stream& a, const Stream& b) { return a.usedAt < b.usedAt; });
      *found = Stream{};
    }
    found->ssrc = ssrc;
  }
  found->usedAt = ++uses_;
  return *found;
}

void SrtpContext::startAt(uint32_t ssrc, uint64_t index) {
  Stream& s = stream(ssrc);
  s.started = true;
  s.highest = index;
}

bool SrtpContext::cipher(const uint8_t* packet, size_t header, size_t length, uint64_t index) {
  if (!encryptRtp_) return true;
  const std::span<uint8_t> payload(const_cast<uint8_t*>(packet) + header, length - header);
  if (cipher_ == SrtpCipher::kCounter) return rtp_.counter(readU32(packet + 8), index, payload);
  uint8_t iv[16] = {};
  std::memcpy(iv + 1, packet + 1, 11);
  writeU32(iv + 12, static_cast<uint32_t>(index >> 16));
  return rtp_.f8(iv, payload);
}

bool SrtpContext::cipherRtcp(const uint8_t* packet, size_t length, uint32_t eIndex) {
  const std::span<uint8_t> body(const_cast<uint8_t*>(packet) + 8, length - 8);
  if (cipher_ == SrtpCipher::kCounter) return rtcp_.counter(readU32(packet + 4), eIndex & ~kEncrypted, body);
  uint8_t iv[16] = {};
  writeU32(iv + 4, eIndex);
  std::memcpy(iv + 8, packet, 8);
  return rtcp_.f8(iv, body);
}

bool SrtpContext::protect(uint8_t* packet, size_t& length) {
  const size_t header = headerSize(packet, length);
  if (header == 0) return false;
  const uint32_t ssrc = readU32(packet + 8);
  Stream& s = stream(ssrc);
  const uint64_t index = guessIndex(s.started, s.highest, readU16(packet + 2));
  if (!s.started || index > s.highest) s.highest = index;
  s.started = true;
  if (cipher_ == SrtpCipher::kGcm) {
    uint8_t iv[12];
    gcmIv(rtp_, ssrc, index, false, iv);
    if (!rtp_.seal(iv, {packet, header}, {packet + header, length - header}, true)) return false;
    length += kGcmTag;
    return true;
  }
  if (!cipher(packet, header, length, index)) return false;
  if (tagSize_ == 0) return true;
  uint8_t roc[4];
  uint8_t full[20];
  writeU32(roc, static_cast<uint32_t>(index >> 16));
  rtp_.tag({packet, length}, roc, full);
  std::memcpy(packet + length, full, tagSize_);
  length += tagSize_;
  return true;
}

SrtpResult SrtpContext::unprotect(uint8_t* packet, size_t& length) {
  if (length < 12u + tagSize_) return SrtpResult::kMalformed;
  const size_t size = length - tagSize_;
  const size_t header = headerSize(packet, size);
  if (header == 0) return SrtpResult::kMalformed;
  const uint32_t ssrc = readU32(packet + 8);
  const Stream* before = find(ssrc);
  const bool started = before != nullptr && before->started;
  const uint64_t index = guessIndex(started, started ? before->highest : 0, readU16(packet + 2));
  if (started && replayed(before->highest, before->window, index)) return SrtpResult::kReplay;
  if (cipher_ == SrtpCipher::kGcm) {
    uint8_t iv[12];
    gcmIv(rtp_, ssrc, index, false, iv);
    if (!rtp_.seal(iv, {packet, header}, {packet + header, size - header}, false)) return SrtpResult::kAuthentication;
  } else {
    if (tagSize_ > 0) {
      uint8_t roc[4];
      uint8_t full[20];
      writeU32(roc, static_cast<uint32_t>(index >> 16));
      rtp_.tag({packet, size}, roc, full);
      if (CRYPTO_memcmp(full, packet + size, tagSize_) != 0) return SrtpResult::kAuthentication;
    }
    if (!cipher(packet, header, size, index)) return SrtpResult::kAuthentication;
  }
  // Only what has proven itself may take a place in the table or move the window.
  Stream& s = stream(ssrc);
  if (!s.started) {
    s.started = true;
    s.highest = index;
    s.window = 1;
  } else if (index > s.highest) {
    const uint64_t step = index - s.highest;
    s.window = step >= kWindow ? 1 : s.window << step | 1;
    s.highest = index;
  } else {
    s.window |= uint64_t{1} << (s.highest - index);
  }
  length = size;
  return SrtpResult::kOk;
}

bool SrtpContext::protectRtcp(uint8_t* packet, size_t& length) {
  if (length < 8) return false;
  const uint32_t ssrc = readU32(packet + 4);
  // One counter for all SSRCs: an index never comes twice, whichever stream was forgotten in between.
  sentRtcpIndex_ = (sentRtcpIndex_ + 1) & ~kEncrypted;
  const uint32_t eIndex = sentRtcpIndex_ | (encryptRtcp_ ? kEncrypted : 0);
  if (cipher_ == SrtpCipher::kGcm) {
    // The tag stands before E and the index, which are authenticated with the header (RFC 7714 §9.2).
    uint8_t aad[12];
    std::memcpy(aad, packet, 8);
    writeU32(aad + 8, eIndex);
    uint8_t iv[12];
    gcmIv(rtcp_, ssrc, sentRtcpIndex_, true, iv);
    if (!rtcp_.seal(iv, aad, {packet + 8, length - 8}, true)) return false;
    length += kGcmTag;
    writeU32(packet + length, eIndex);
    length += 4;
    return true;
  }
  if (encryptRtcp_ && !cipherRtcp(packet, length, eIndex)) return false;
  writeU32(packet + length, eIndex);
  length += 4;
  uint8_t full[20];
  rtcp_.tag({packet, length}, {}, full);
  std::memcpy(packet + length, full, kRtcpTag);
  length += kRtcpTag;
  return true;
}

SrtpResult SrtpContext::unprotectRtcp(uint8_t* packet, size_t& length) {
  const bool gcm = cipher_ == SrtpCipher::kGcm;
  const size_t trailer = gcm ? kGcmTag + 4 : kRtcpTag + 4;
  if (length < 8 + trailer) return SrtpResult::kMalformed;
  const uint32_t ssrc = readU32(packet + 4);
  const size_t body = length - trailer;
  const uint32_t eIndex = readU32(gcm ? packet + length - 4 : packet + body);
  const uint32_t index = eIndex & ~kEncrypted;
  const Stream* before = find(ssrc);
  if (before != nullptr && before->rtcpStarted && replayed(before->rtcpIndex, before->rtcpWindow, index)) return SrtpResult::kReplay;
  if (gcm) {
    uint8_t aad[12];
    std::memcpy(aad, packet, 8);
    writeU32(aad + 8, eIndex);
    uint8_t iv[12];
    gcmIv(rtcp_, ssrc, index, true, iv);
    if ((eIndex & kEncrypted) == 0) return SrtpResult::kAuthentication;  // nobody of ours sends it in the clear
    if (!rtcp_.seal(iv, aad, {packet + 8, body - 8}, false)) return SrtpResult::kAuthentication;
  } else {
    uint8_t full[20];
    rtcp_.tag({packet, body + 4}, {}, full);
    if (CRYPTO_memcmp(full, packet + body + 4, kRtcpTag) != 0) return SrtpResult::kAuthentication;
    // The sender says of each packet whether it is encrypted.
    const bool ciphered = (eIndex & kEncrypted) != 0 && cipher_ != SrtpCipher::kNull;
    if (ciphered && !cipherRtcp(packet, body, eIndex)) return SrtpResult::kAuthentication;
  }
  Stream& s = stream(ssrc);
  if (!s.rtcpStarted || index > s.rtcpIndex) {
    const uint64_t step = s.rtcpStarted ? index - s.rtcpIndex : kWindow;
    s.rtcpWindow = step >= kWindow ? 1 : s.rtcpWindow << step | 1;
    s.rtcpIndex = index;
    s.rtcpStarted = true;
  } else {
    s.rtcpWindow |= uint64_t{1} << (s.rtcpIndex - index);
  }
  length = body;
  return SrtpResult::kOk;
}

size_t SrtpContext::memoryBytes() const {
  // A cipher of OpenSSL's holds about a kilobyte.
  return sizeof(*this) + (rtp_.holdsCipher() ? 1024 : 0) + streams_.capacity() * sizeof(Stream);
}

}  // namespace causeway
