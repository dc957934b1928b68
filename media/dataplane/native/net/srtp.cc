#include "srtp.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>

#include <algorithm>
#include <cstring>

#include "../core/rtp.h"

namespace causeway {
namespace {

constexpr size_t kMaxStreams = 16;  // SSRCs of one direction that are remembered
constexpr size_t kGcmTag = 16;
constexpr size_t kRtcpTag = 10;  // SHA1_32 shortens the tag of SRTP only (RFC 3711 §5.2, RFC 4568 §6.2)

const EVP_CIPHER* cipherOf(SrtpSuite suite) {
  switch (suite) {
    case SrtpSuite::kAeadAes128Gcm: return EVP_aes_128_gcm();
    case SrtpSuite::kAeadAes256Gcm: return EVP_aes_256_gcm();
    default: return EVP_aes_128_ctr();
  }
}

// AES in counter mode as a PRF (RFC 3711 §4.3.3); 256-bit keys as in RFC 6188.
bool deriveKey(std::span<const uint8_t> key, std::span<const uint8_t> salt, uint8_t label, std::span<uint8_t> out) {
  uint8_t iv[16] = {};
  std::memcpy(iv, salt.data(), salt.size());
  iv[7] ^= label;
  EVP_CIPHER_CTX* ctx = EVP_CIPHER_CTX_new();
  if (ctx == nullptr) return false;
  const EVP_CIPHER* cipher = key.size() == 32 ? EVP_aes_256_ctr() : EVP_aes_128_ctr();
  std::memset(out.data(), 0, out.size());
  int written = 0;
  const bool ok = EVP_EncryptInit_ex(ctx, cipher, nullptr, key.data(), iv) == 1 &&
                  EVP_EncryptUpdate(ctx, out.data(), &written, out.data(), static_cast<int>(out.size())) == 1;
  EVP_CIPHER_CTX_free(ctx);
  return ok;
}

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

}  // namespace

size_t srtpKeyLength(SrtpSuite suite) { return suite == SrtpSuite::kAeadAes256Gcm ? 32 : 16; }
size_t srtpSaltLength(SrtpSuite suite) {
  return suite == SrtpSuite::kAeadAes128Gcm || suite == SrtpSuite::kAeadAes256Gcm ? 12 : 14;
}

std::unique_ptr<SrtpContext> SrtpContext::create(const SrtpKey& key) {
  if (key.key.size() != srtpKeyLength(key.suite) || key.salt.size() != srtpSaltLength(key.suite)) return nullptr;
  std::unique_ptr<SrtpContext> context(new SrtpContext());
  if (!context->derive(key)) return nullptr;
  return context;
}

SrtpContext::~SrtpContext() {
  for (Session* session : {&rtp_, &rtcp_}) {
    EVP_CIPHER_CTX_free(session->cipher);
    EVP_MAC_CTX_free(session->mac);
  }
}

bool SrtpContext::derive(const SrtpKey& key) {
  suite_ = key.suite;
  gcm_ = suite_ == SrtpSuite::kAeadAes128Gcm || suite_ == SrtpSuite::kAeadAes256Gcm;
  tagSize_ = gcm_ ? kGcmTag : suite_ == SrtpSuite::kAesCm128Sha1_32 ? 4 : 10;
  for (int rtcp = 0; rtcp < 2; rtcp++) {
    Session& session = rtcp ? rtcp_ : rtp_;
    std::vector<uint8_t> cipherKey(key.key.size());
    std::array<uint8_t, 20> auth{};
    const auto base = static_cast<uint8_t>(rtcp ? 3 : 0);
    if (!deriveKey(key.key, key.salt, base, cipherKey) || !deriveKey(key.key, key.salt, base + 1, auth) ||
        !deriveKey(key.key, key.salt, base + 2, std::span(session.salt).first(key.salt.size()))) {
      return false;
    }
    const bool ok = open(session, cipherKey, auth);
    OPENSSL_cleanse(cipherKey.data(), cipherKey.size());
    OPENSSL_cleanse(auth.data(), auth.size());
    if (!ok) return false;
  }
  return true;
}

bool SrtpContext::open(Session& session, std::span<const uint8_t> key, std::span<const uint8_t> auth) {
  session.cipher = EVP_CIPHER_CTX_new();
  if (session.cipher == nullptr || EVP_CipherInit_ex(session.cipher, cipherOf(suite_), nullptr, key.data(), nullptr, 1) != 1) return false;
  if (gcm_) return true;
  EVP_MAC* mac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
  if (mac == nullptr) return false;
  session.mac = EVP_MAC_CTX_new(mac);
  EVP_MAC_free(mac);
  char digest[] = "SHA1";
  const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end()};
  return session.mac != nullptr && EVP_MAC_init(session.mac, auth.data(), auth.size(), params) == 1;
}

// The place of an SSRC in the table; a new one takes that of the stream that has been silent longest: in a long call
// with many transfers and much music on hold the old ones never come back.
SrtpContext::Stream& SrtpContext::stream(uint32_t ssrc) {
  auto found = streams_.find(ssrc);
  if (found == streams_.end()) {
    if (streams_.size() >= kMaxStreams) {
      streams_.erase(std::min_element(streams_.begin(), streams_.end(),
                                      [](const auto& a, const auto& b) { return a.second.usedAt < b.second.usedAt; }));
    }
    found = streams_.emplace(ssrc, Stream{}).first;
  }
  found->second.usedAt = ++uses_;
  return found->second;
}

// RFC 3711 §4.1.1: IV = salt ⊕ SSRC ⊕ index.
bool SrtpContext::cipherCm(Session& session, uint32_t ssrc, uint64_t index, uint8_t* data, size_t size) {
  uint8_t iv[16] = {};
  std::memcpy(iv, session.salt.data(), 14);
  for (int i = 0; i < 4; i++) iv[4 + i] ^= static_cast<uint8_t>(ssrc >> (24 - 8 * i));
  for (int i = 0; i < 6; i++) iv[8 + i] ^= static_cast<uint8_t>(index >> (40 - 8 * i));
  int written = 0;
  return EVP_CipherInit_ex(session.cipher, nullptr, nullptr, nullptr, iv, 1) == 1 &&
         EVP_CipherUpdate(session.cipher, data, &written, data, static_cast<int>(size)) == 1;
}

void SrtpContext::tag(Session& session, std::span<const uint8_t> data, const uint8_t roc[4], uint8_t out[20]) {
  size_t length = 20;
  EVP_MAC_init(session.mac, nullptr, 0, nullptr);
  EVP_MAC_update(session.mac, data.data(), data.size());
  if (roc != nullptr) EVP_MAC_update(session.mac, roc, 4);
  EVP_MAC_final(session.mac, out, &length, 20);
}

void SrtpContext::gcmIv(const Session& session, uint32_t ssrc, uint64_t index, bool rtcp, uint8_t iv[12]) const {
  std::memset(iv, 0, 12);
  writeU32(iv + 2, ssrc);
  // RFC 7714 §8.1 (ROC and SEQ), §9.1 (two zero octets and the SRTCP index).
  if (rtcp) writeU32(iv + 8, static_cast<uint32_t>(index));
  else {
    writeU32(iv + 6, static_cast<uint32_t>(index >> 16));
    writeU16(iv + 10, static_cast<uint16_t>(index));
  }
  for (int i = 0; i < 12; i++) iv[i] ^= session.salt[static_cast<size_t>(i)];
}

// Encrypts and puts the tag behind the data, or checks the tag there and decrypts.
bool SrtpContext::seal(Session& session, const uint8_t iv[12], std::span<const uint8_t> aad, uint8_t* data, size_t size, bool encrypt) {
  EVP_CIPHER_CTX* ctx = session.cipher;
  int written = 0;
  if (EVP_CipherInit_ex(ctx, nullptr, nullptr, nullptr, iv, encrypt ? 1 : 0) != 1) return false;
  if (!encrypt && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, kGcmTag, data + size) != 1) return false;
  if (EVP_CipherUpdate(ctx, nullptr, &written, aad.data(), static_cast<int>(aad.size())) != 1) return false;
  if (size > 0 && EVP_CipherUpdate(ctx, data, &written, data, static_cast<int>(size)) != 1) return false;
  uint8_t end[16];
  if (EVP_CipherFinal_ex(ctx, end, &written) != 1) return false;
  return !encrypt || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, kGcmTag, data + size) == 1;
}

bool SrtpContext::protect(uint8_t* packet, size_t& length) {
  const size_t header = headerSize(packet, length);
  if (header == 0) return false;
  const uint32_t ssrc = readU32(packet + 8);
  Stream* s = &stream(ssrc);
  const uint64_t index = guessIndex(s->started, s->highest, readU16(packet + 2));
  if (!s->started || index > s->highest) s->highest = index;
  s->started = true;
  if (gcm_) {
    uint8_t iv[12];
    gcmIv(rtp_, ssrc, index, false, iv);
    if (!seal(rtp_, iv, {packet, header}, packet + header, length - header, true)) return false;
    length += kGcmTag;
    return true;
  }
  if (!cipherCm(rtp_, ssrc, index, packet + header, length - header)) return false;
  uint8_t roc[4];
  uint8_t full[20];
  writeU32(roc, static_cast<uint32_t>(index >> 16));
  tag(rtp_, {packet, length}, roc, full);
  std::memcpy(packet + length, full, tagSize_);
  length += tagSize_;
  return true;
}

SrtpResult SrtpContext::unprotect(uint8_t* packet, size_t& length) {
  if (length < 12 + tagSize_) return SrtpResult::kMalformed;
  const size_t size = length - tagSize_;
  const size_t header = headerSize(packet, size);
  if (header == 0) return SrtpResult::kMalformed;
  const uint32_t ssrc = readU32(packet + 8);
  const auto found = streams_.find(ssrc);
  const Stream before = found == streams_.end() ? Stream{} : found->second;
  const uint64_t index = guessIndex(before.started, before.highest, readU16(packet + 2));
  if (before.started && index <= before.highest) {
    const uint64_t age = before.highest - index;
    if (age >= 64 || (before.window >> age & 1) != 0) return SrtpResult::kReplay;
  }
  if (gcm_) {
    uint8_t iv[12];
    gcmIv(rtp_, ssrc, index, false, iv);
    if (!seal(rtp_, iv, {packet, header}, packet + header, size - header, false)) return SrtpResult::kAuthentication;
  } else {
    uint8_t roc[4];
    uint8_t full[20];
    writeU32(roc, static_cast<uint32_t>(index >> 16));
    tag(rtp_, {packet, size}, roc, full);
    if (CRYPTO_memcmp(full, packet + size, tagSize_) != 0) return SrtpResult::kAuthentication;
    if (!cipherCm(rtp_, ssrc, index, packet + header, size - header)) return SrtpResult::kAuthentication;
  }
  // Only what has proven itself may take a place in the table or move the window.
  Stream* s = &stream(ssrc);
  if (!s->started) {
    s->started = true;
    s->highest = index;
    s->window = 1;
  } else if (index > s->highest) {
    const uint64_t step = index - s->highest;
    s->window = step >= 64 ? 1 : s->window << step | 1;
    s->highest = index;
  } else {
    s->window |= uint64_t{1} << (s->highest - index);
  }
  length = size;
  return SrtpResult::kOk;
}

bool SrtpContext::protectRtcp(uint8_t* packet, size_t& length) {
  if (length < 8) return false;
  const uint32_t ssrc = readU32(packet + 4);
  // One counter for all SSRCs: an index never comes twice, whichever stream was forgotten in between.
  sentRtcpIndex_ = (sentRtcpIndex_ + 1) & 0x7fffffff;
  const uint32_t index = sentRtcpIndex_;
  if (gcm_) {
    // The tag stands before E and the index, which are authenticated with the header (RFC 7714 §9.2).
    uint8_t aad[12];
    std::memcpy(aad, packet, 8);
    writeU32(aad + 8, index | 0x80000000U);
    uint8_t iv[12];
    gcmIv(rtcp_, ssrc, index, true, iv);
    if (!seal(rtcp_, iv, aad, packet + 8, length - 8, true)) return false;
    length += kGcmTag;
    writeU32(packet + length, index | 0x80000000U);
    length += 4;
    return true;
  }
  if (!cipherCm(rtcp_, ssrc, index, packet + 8, length - 8)) return false;
  writeU32(packet + length, index | 0x80000000U);
  length += 4;
  uint8_t full[20];
  tag(rtcp_, {packet, length}, nullptr, full);
  std::memcpy(packet + length, full, kRtcpTag);
  length += kRtcpTag;
  return true;
}

SrtpResult SrtpContext::unprotectRtcp(uint8_t* packet, size_t& length) {
  const size_t trailer = gcm_ ? kGcmTag + 4 : kRtcpTag + 4;
  if (length < 8 + trailer) return SrtpResult::kMalformed;
  const uint32_t ssrc = readU32(packet + 4);
  const size_t body = length - trailer;
  const uint8_t* word = gcm_ ? packet + length - 4 : packet + body;
  const uint32_t eIndex = readU32(word);
  const uint32_t index = eIndex & 0x7fffffff;
  const auto found = streams_.find(ssrc);
  const Stream before = found == streams_.end() ? Stream{} : found->second;
  if (before.rtcpStarted && index <= before.rtcpIndex) {
    const uint32_t age = before.rtcpIndex - index;
    if (age >= 64 || (before.rtcpWindow >> age & 1) != 0) return SrtpResult::kReplay;
  }
  if (gcm_) {
    uint8_t aad[12];
    std::memcpy(aad, packet, 8);
    writeU32(aad + 8, eIndex);
    uint8_t iv[12];
    gcmIv(rtcp_, ssrc, index, true, iv);
    if ((eIndex & 0x80000000U) == 0) return SrtpResult::kAuthentication;  // unencrypted SRTCP: nobody of ours sends it
    if (!seal(rtcp_, iv, aad, packet + 8, body - 8, false)) return SrtpResult::kAuthentication;
  } else {
    uint8_t full[20];
    tag(rtcp_, {packet, body + 4}, nullptr, full);
    if (CRYPTO_memcmp(full, packet + body + 4, kRtcpTag) != 0) return SrtpResult::kAuthentication;
    if ((eIndex & 0x80000000U) != 0 && !cipherCm(rtcp_, ssrc, index, packet + 8, body - 8)) return SrtpResult::kAuthentication;
  }
  Stream* s = &stream(ssrc);
  if (!s->rtcpStarted || index > s->rtcpIndex) {
    const uint32_t step = s->rtcpStarted ? index - s->rtcpIndex : 64;
    s->rtcpWindow = step >= 64 ? 1 : s->rtcpWindow << step | 1;
    s->rtcpIndex = index;
    s->rtcpStarted = true;
  } else {
    s->rtcpWindow |= uint64_t{1} << (s->rtcpIndex - index);
  }
  length = body;
  return SrtpResult::kOk;
}

size_t SrtpContext::memoryBytes() const {
  // Four OpenSSL contexts of a few hundred bytes each, and the streams.
  return sizeof(*this) + 2048 + streams_.size() * (sizeof(Stream) + 32);
}

}  // namespace causeway
