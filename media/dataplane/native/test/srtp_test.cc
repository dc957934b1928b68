// SRTP against known packets (the well-known vectors that implementations check each other with), the turn of the
// sequence number, replays, and many SSRCs in one call. Prints one line a check; ends with 1 when one fails.
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "../core/rtp.h"
#include "../net/srtp.h"
#include "check.h"

using namespace causeway;

namespace {

using Bytes = std::vector<uint8_t>;
Bytes hex(const std::string& text) {
  Bytes out;
  for (size_t i = 0; i + 1 < text.size(); i += 2) out.push_back(static_cast<uint8_t>(std::stoi(text.substr(i, 2), nullptr, 16)));
  return out;
}

SrtpKey keyOf(SrtpSuite suite, Bytes key, Bytes salt) {
  SrtpKey out;
  out.suite = suite;
  out.key = std::move(key);
  out.salt = std::move(salt);
  return out;
}

enum class Kind { kRtp, kRtcp };

bool protect(SrtpContext& context, Kind kind, Bytes& packet) {
  size_t length = packet.size();
  packet.resize(length + kSrtpTrailer);
  const bool ok = kind == Kind::kRtp ? context.protect(packet.data(), length) : context.protectRtcp(packet.data(), length);
  packet.resize(length);
  return ok;
}

SrtpResult unprotect(SrtpContext& context, Kind kind, Bytes& packet) {
  size_t length = packet.size();
  const SrtpResult result = kind == Kind::kRtp ? context.unprotect(packet.data(), length) : context.unprotectRtcp(packet.data(), length);
  packet.resize(length);
  return result;
}

void known(const std::string& name, const SrtpKey& key, Kind kind, const Bytes& plain, const Bytes& sealed) {
  const auto sender = SrtpContext::create(key);
  const auto receiver = SrtpContext::create(key);
  Bytes packet = plain;
  check(sender && protect(*sender, kind, packet) && packet == sealed, name + ": what we send");
  packet = sealed;
  check(receiver && unprotect(*receiver, kind, packet) == SrtpResult::kOk && packet == plain, name + ": what we receive");
  packet = sealed;
  check(receiver && unprotect(*receiver, kind, packet) == SrtpResult::kReplay, name + ": not twice");
}

void vectors() {
  const Bytes rtp = hex("800f1234decafbadcafebabeabababababababababababababababab");
  const Bytes rtcp = hex("81c8000bcafebabeabababababababababababababababab");
  const SrtpKey cm = keyOf(SrtpSuite::kAesCm128Sha1_80, hex("e1f97a0d3e018be0d64fa32c06de4139"), hex("0ec675ad498afeebb6960b3aabe6"));
  known("AES_CM_128_HMAC_SHA1_80", cm, Kind::kRtp, rtp, hex("800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb"));
  known("AES_CM_128_HMAC_SHA1_80, RTCP", cm, Kind::kRtcp, rtcp, hex("81c8000bcafebabe7128035be487b9bdbef89041f977a5a880000001993e08cd54d6c1230798"));
  SrtpKey brief = cm;
  brief.suite = SrtpSuite::kAesCm128Sha1_32;
  // RFC 3711 §5.2: only the tag of SRTP is shorter.
  known("AES_CM_128_HMAC_SHA1_32", brief, Kind::kRtp, rtp, hex("800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc"));
  known("AES_CM_128_HMAC_SHA1_32, RTCP", brief, Kind::kRtcp, rtcp, hex("81c8000bcafebabe7128035be487b9bdbef89041f977a5a880000001993e08cd54d6c1230798"));
  const SrtpKey gcm = keyOf(SrtpSuite::kAeadAes128Gcm, hex("000102030405060708090a0b0c0d0e0f"), hex("a0a1a2a3a4a5a6a7a8a9aaab"));
  known("AEAD_AES_128_GCM", gcm, Kind::kRtp, rtp, hex("800f1234decafbadcafebabec5002ede04cfdd2eb91159e0880aa06ed2976826f796b201df3131a127e8a392"));
  known("AEAD_AES_128_GCM, RTCP", gcm, Kind::kRtcp, rtcp, hex("81c8000bcafebabec98b8b5df0392a55852b6c21ac8e7025c52c6fbea2b3b446ea31123ba88ce61e80000001"));
}

// Key derivation: RFC 3711 B.3, RFC 6188 §7.
void derivations() {
  struct Case {
    const char* name;
    const char* key;
    const char* salt;
    const char* cipher;
    const char* derivedSalt;
    const char* auth;
  };
  const Case cases[] = {
      {"128", "e1f97a0d3e018be0d64fa32c06de4139", "0ec675ad498afeebb6960b3aabe6", "c61e7a93744f39ee10734afe3ff7a087",
       "30cbbc08863d8c85d49db34a9ae1", "cebe321f6ff7716b6fd4ab49af256a156d38baa4"},
      {"192", "73edc66c4fa15776fb57f9505c17136550ffda71f3e8e5f1", "c8522f3acd4ce86d5add78edbb11",
       "31874736a8f1143870c26e4857d8a5b2c4a354407faadabb", "2372b82d639b6d8503a47adc0a6c", "355b10973cd95b9eacf4061c7e1a7151e7cfbfcb"},
      {"256", "f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6", "3b04803de51ee7c96423ab5b78d2",
       "5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4", "fa31791685ca444a9e07c6c64e93",
       "fd9c32d39ed5fbb5a9dc96b30818454d1313dc05"},
  };
  for (const Case& c : cases) {
    const char* wanted[] = {c.cipher, c.auth, c.derivedSalt};
    bool ok = true;
    for (uint8_t label = 0; label < 3; label++) {
      const Bytes expected = hex(wanted[label]);
      Bytes out(expected.size());
      ok = ok && srtpDerive(hex(c.key), hex(c.salt), label, out) && out == expected;
    }
    check(ok, std::string("keys derived from a master key of ") + c.name + " bits");
  }
}

// What the RFCs give with session keys; `roc` as they have it.
void session(const std::string& name, SrtpSuite suite, const SrtpSessionKeys& keys, uint32_t roc, const Bytes& plain, const Bytes& sealed) {
  SrtpKey parameters;
  parameters.suite = suite;
  parameters.unauthenticatedRtp = true;
  const auto context = SrtpContext::withSession(parameters, keys);
  if (!context) {
    check(false, name + ": a context");
    return;
  }
  const uint64_t index = uint64_t{roc} << 16 | readU16(plain.data() + 2);
  if (index > 0) context->startAt(readU32(plain.data() + 8), index - 1);
  Bytes packet = plain;
  check(protect(*context, Kind::kRtp, packet) && packet == sealed, name);
}

void sessions() {
  // RFC 3711 B.1.
  session("F8 of RFC 3711", SrtpSuite::kF8128Sha1_80, {hex("234829008467be186c3de14aae72d62c"), hex("32f2870d"), Bytes(20)}, 0xd462564a,
          hex("806e5cba50681de55c62159970736575646f72616e646f6d6e65737320697320746865206e6578742062657374207468696e67"),
          hex("806e5cba50681de55c621599019ce7a26e7854014a6366aa95d4eefd1ad4172a14f9faf455b7f1d4b62bd08f562c0eef7c4802"));
  // RFC 3711 B.2: the keystream.
  session("AES-CM of RFC 3711", SrtpSuite::kAesCm128Sha1_80,
          {hex("2b7e151628aed2a6abf7158809cf4f3c"), hex("f0f1f2f3f4f5f6f7f8f9fafbfcfd"), Bytes(20)}, 0,
          hex("800000000000000000000000" + std::string(96, '0')),
          hex("800000000000000000000000e03ead0935c95e80e166b16dd92b4eb4d23513162b02d0f72a43a2fe4a5f97ab41e95b3bb0a2e8dd477901e4fca894c0"));
  // RFC 7714 §16.1.1, §16.2.1.
  const Bytes gaul = hex("8040f17b8041f8d35501a0b247616c6c696120657374206f6d6e69732064697669736120696e207061727465732074726573");
  const std::string key = "000102030405060708090a0b0c0d0e0f";
  const Bytes salt = hex("517569642070726f2071756f");
  session("AES-128-GCM of RFC 7714", SrtpSuite::kAeadAes128Gcm, {hex(key), salt, {}}, 0, gaul,
          hex("8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833899d7f27beb16a9152cf765ee4390cce"));
  const Bytes longKey = hex(key + "101112131415161718191a1b1c1d1e1f");
  session("AES-256-GCM of RFC 7714", SrtpSuite::kAeadAes256Gcm, {longKey, salt, {}}, 0, gaul,
          hex("8040f17b8041f8d35501a0b232b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b7aa3db36dfffd6b0f9bb7878d7a76c13"));
  // RFC 7714 §17.1: the SRTCP index is 0x5d4.
  SrtpKey parameters;
  parameters.suite = SrtpSuite::kAeadAes128Gcm;
  const auto context = SrtpContext::withSession(parameters, {hex(key), salt, {}});
  Bytes packet;
  bool ok = context != nullptr;
  for (int i = 0; ok && i < 0x5d4; i++) {
    packet = hex("81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeefdeadbeefdeadbeef");
    ok = protect(*context, Kind::kRtcp, packet);
  }
  check(ok && packet == hex("81c8000d4d61727363e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded0bb9275bc84aa45896cf4d2fc5abf87245d9eade800005d4"),
        "AES-128-GCM of RFC 7714, RTCP");
}

Bytes packetOf(uint32_t ssrc, uint16_t sequence) {
  Bytes packet(12 + 20, 0x55);
  writeRtp(packet.data(), 0, false, sequence, sequence * 160u, ssrc);
  return packet;
}

// Every suite with every session parameter: there and back, in the clear where it says so, and one bit changed.
void parameters() {
  for (size_t i = 0; i < static_cast<size_t>(SrtpSuite::kCount); i++) {
    const auto suite = static_cast<SrtpSuite>(i);
    const SrtpCipher cipher = srtpSuite(suite).cipher;
    for (int flags = 0; flags < 8; flags++) {
      SrtpKey key = keyOf(suite, Bytes(srtpKeyLength(suite), 5), Bytes(srtpSaltLength(suite), 6));
      key.unencryptedRtp = (flags & 1) != 0;
      key.unencryptedRtcp = (flags & 2) != 0;
      key.unauthenticatedRtp = (flags & 4) != 0;
      const auto sender = SrtpContext::create(key);
      const auto receiver = SrtpContext::create(key);
      const bool gcm = cipher == SrtpCipher::kGcm;
      bool ok = sender && receiver;
      for (const Kind kind : {Kind::kRtp, Kind::kRtcp}) {
        if (!ok) break;
        Bytes plain(60, 0x55);
        if (kind == Kind::kRtp) writeRtp(plain.data(), 0, false, 7, 1120, 9);
        else {
          const Bytes header = {0x80, 200, 0, 14, 0, 0, 0, 9};
          std::copy(header.begin(), header.end(), plain.begin());
        }
        Bytes packet = plain;
        ok = protect(*sender, kind, packet);
        const size_t clearFrom = kind == Kind::kRtp ? 12 : 8;
        const bool clear = std::memcmp(packet.data() + clearFrom, plain.data() + clearFrom, plain.size() - clearFrom) == 0;
        const bool shouldBeClear = !gcm && (cipher == SrtpCipher::kNull || (kind == Kind::kRtp ? key.unencryptedRtp : key.unencryptedRtcp));
        ok = ok && clear == shouldBeClear;
        const bool tagged = gcm || kind == Kind::kRtcp || !key.unauthenticatedRtp;
        ok = ok && tagged == (packet.size() > plain.size());
        Bytes wrong = packet;
        wrong[20] ^= 1;
        if (tagged) ok = ok && unprotect(*receiver, kind, wrong) == SrtpResult::kAuthentication;
        ok = ok && unprotect(*receiver, kind, packet) == SrtpResult::kOk && packet == plain;
      }
      if (!ok || flags == 7) check(ok, std::string(srtpSuite(suite).name) + ": there and back with every session parameter (" + std::to_string(flags) + ")");
    }
  }
}

void runs() {
  for (const SrtpSuite suite : {SrtpSuite::kAesCm128Sha1_80, SrtpSuite::kAeadAes256Gcm, SrtpSuite::kF8128Sha1_80}) {
    const std::string name = srtpSuite(suite).name;
    const SrtpKey key = keyOf(suite, Bytes(srtpKeyLength(suite), 3), Bytes(srtpSaltLength(suite), 4));
    // Two turns of the sequence number, with a loss now and then, from starts around the turn.
    for (const uint16_t start : {0, 1, 32767, 65535}) {
      auto sender = SrtpContext::create(key);
      auto receiver = SrtpContext::create(key);
      bool ok = true;
      for (uint32_t i = 0; i < 140'000; i++) {
        const auto sequence = static_cast<uint16_t>(start + i);
        Bytes packet = packetOf(1, sequence);
        ok = ok && protect(*sender, Kind::kRtp, packet);
        if (i % 97 == 5) continue;
        ok = ok && unprotect(*receiver, Kind::kRtp, packet) == SrtpResult::kOk && packet == packetOf(1, sequence);
      }
      check(ok, name + ": two turns of the sequence number from " + std::to_string(start));
    }
    auto sender = SrtpContext::create(key);
    auto receiver = SrtpContext::create(key);
    Bytes late = packetOf(9, 100);
    protect(*sender, Kind::kRtp, late);
    bool ok = true;
    for (uint16_t i = 101; i < 160; i++) {
      Bytes packet = packetOf(9, i);
      protect(*sender, Kind::kRtp, packet);
      ok = ok && unprotect(*receiver, Kind::kRtp, packet) == SrtpResult::kOk;
    }
    Bytes again = late;
    check(ok && unprotect(*receiver, Kind::kRtp, late) == SrtpResult::kOk, name + ": out of order within the window");
    check(unprotect(*receiver, Kind::kRtp, again) == SrtpResult::kReplay, name + ": the same again");
    Bytes wrong = packetOf(9, 200);
    protect(*sender, Kind::kRtp, wrong);
    wrong.back() ^= 1;
    check(unprotect(*receiver, Kind::kRtp, wrong) == SrtpResult::kAuthentication, name + ": one bit changed");
    // A long call with a new SSRC at each transfer; the memory stays bounded.
    ok = true;
    for (uint32_t ssrc = 1000; ssrc < 1500; ssrc++) {
      Bytes packet = packetOf(ssrc, 5);
      ok = ok && protect(*sender, Kind::kRtp, packet) && unprotect(*receiver, Kind::kRtp, packet) == SrtpResult::kOk;
      Bytes report(28, 0);
      report[0] = 0x80;
      report[1] = 200;
      report[3] = 6;
      writeU32(report.data() + 4, ssrc);
      ok = ok && protect(*sender, Kind::kRtcp, report) && unprotect(*receiver, Kind::kRtcp, report) == SrtpResult::kOk;
    }
    check(ok && receiver->memoryBytes() < 8192, name + ": 500 SSRCs one after the other");
  }
}

}  // namespace

int main() {
  vectors();
  derivations();
  sessions();
  parameters();
  runs();
  return checked();
}
