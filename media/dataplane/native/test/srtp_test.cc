// SRTP against known packets (the well-known vectors that implementations check each other with), the turn of the
// sequence number, replays, and many SSRCs in one call. Prints one line a check; ends with 1 when one fails.
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "../core/rtp.h"
#include "../net/srtp.h"

using namespace causeway;

namespace {

using Bytes = std::vector<uint8_t>;
int failures = 0;

void check(bool ok, const std::string& what) {
  std::printf("%s %s\n", ok ? "ok  " : "FAIL", what.c_str());
  if (!ok) failures++;
}

Bytes hex(const std::string& text) {
  Bytes out;
  for (size_t i = 0; i + 1 < text.size(); i += 2) out.push_back(static_cast<uint8_t>(std::stoi(text.substr(i, 2), nullptr, 16)));
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
  const SrtpKey cm{SrtpSuite::kAesCm128Sha1_80, hex("e1f97a0d3e018be0d64fa32c06de4139"), hex("0ec675ad498afeebb6960b3aabe6")};
  known("AES_CM_128_HMAC_SHA1_80", cm, Kind::kRtp, rtp, hex("800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb"));
  known("AES_CM_128_HMAC_SHA1_80, RTCP", cm, Kind::kRtcp, rtcp, hex("81c8000bcafebabe7128035be487b9bdbef89041f977a5a880000001993e08cd54d6c1230798"));
  SrtpKey brief = cm;
  brief.suite = SrtpSuite::kAesCm128Sha1_32;
  // RFC 3711 §5.2: only the tag of SRTP is shorter.
  known("AES_CM_128_HMAC_SHA1_32", brief, Kind::kRtp, rtp, hex("800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc"));
  known("AES_CM_128_HMAC_SHA1_32, RTCP", brief, Kind::kRtcp, rtcp, hex("81c8000bcafebabe7128035be487b9bdbef89041f977a5a880000001993e08cd54d6c1230798"));
  const SrtpKey gcm{SrtpSuite::kAeadAes128Gcm, hex("000102030405060708090a0b0c0d0e0f"), hex("a0a1a2a3a4a5a6a7a8a9aaab")};
  known("AEAD_AES_128_GCM", gcm, Kind::kRtp, rtp, hex("800f1234decafbadcafebabec5002ede04cfdd2eb91159e0880aa06ed2976826f796b201df3131a127e8a392"));
  known("AEAD_AES_128_GCM, RTCP", gcm, Kind::kRtcp, rtcp, hex("81c8000bcafebabec98b8b5df0392a55852b6c21ac8e7025c52c6fbea2b3b446ea31123ba88ce61e80000001"));
}

Bytes packetOf(uint32_t ssrc, uint16_t sequence) {
  Bytes packet(12 + 20, 0x55);
  writeRtp(packet.data(), 0, false, sequence, sequence * 160u, ssrc);
  return packet;
}

void runs() {
  for (const SrtpSuite suite : {SrtpSuite::kAesCm128Sha1_80, SrtpSuite::kAeadAes256Gcm}) {
    const std::string name = suite == SrtpSuite::kAeadAes256Gcm ? "AEAD_AES_256_GCM" : "AES_CM_128_HMAC_SHA1_80";
    const SrtpKey key{suite, Bytes(srtpKeyLength(suite), 3), Bytes(srtpSaltLength(suite), 4)};
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
  runs();
  std::printf("%d failed\n", failures);
  return failures == 0 ? 0 : 1;
}
