// Seeded mutations against everything that reads bytes from the network, offline. Built with sanitizers by
// tools/native-check.mjs; finding nothing is the result.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "../core/rtcp.h"
#include "../core/rtp.h"
#include "../core/telephone_event.h"
#include "../core/transcoder.h"
#include "../net/dtls.h"
#include "../net/srtp.h"
#include "../net/stun.h"

using namespace causeway;

namespace {

using Bytes = std::vector<uint8_t>;

class Mutator {
 public:
  explicit Mutator(uint32_t seed) : random_(seed) {}
  uint32_t below(uint32_t n) { return n == 0 ? 0 : static_cast<uint32_t>(random_() % n); }
  Bytes mutate(Bytes bytes) {
    for (uint32_t changes = 1 + below(6); changes > 0 && !bytes.empty(); changes--) {
      const uint32_t at = below(static_cast<uint32_t>(bytes.size()));
      switch (below(5)) {
        case 0: bytes[at] ^= static_cast<uint8_t>(1u << below(8)); break;
        case 1: bytes[at] = static_cast<uint8_t>(below(256)); break;
        case 2: bytes.resize(at); break;
        case 3: bytes.insert(bytes.begin() + at, below(64), static_cast<uint8_t>(below(256))); break;
        default: bytes.erase(bytes.begin() + at); break;
      }
    }
    if (bytes.size() > 1500) bytes.resize(1500);
    return bytes;
  }

 private:
  std::mt19937 random_;
};

Bytes rtp(uint8_t pt, uint16_t sequence, uint32_t timestamp, size_t payload) {
  Bytes out(12 + payload, 0x55);
  writeRtp(out.data(), pt, false, sequence, timestamp, 42);
  return out;
}

void transcoders(Mutator& mutator, int rounds) {
  for (int direction = 0; direction < 2; direction++) {
    TranscoderConfig config;
    const PayloadFormat pcmu{0, Codec::kPcmu, 8000, 1, 20, 0, true, false, 48000};
    const PayloadFormat opus{111, Codec::kOpus, 48000, 2, 20, 0, true, false, 48000};
    const PayloadFormat noise{13, Codec::kComfortNoise, 8000, 1, 20, 0, true, false, 48000};
    config.in = direction == 0 ? std::vector{pcmu, noise} : std::vector{opus};
    config.out = direction == 0 ? opus : pcmu;
    config.dtmf = {{101, 8000, 110, 48000}};
    std::string error;
    auto transcoder = Transcoder::create(config, error);
    if (!transcoder) std::abort();
    Micros now = 1'000'000;
    uint8_t out[1600];
    for (int i = 0; i < rounds; i++) {
      now += mutator.below(40'000);
      const auto pt = static_cast<uint8_t>(mutator.below(8) == 0 ? 101 : direction == 0 ? 0 : 111);
      Bytes packet = rtp(pt, static_cast<uint16_t>(i), static_cast<uint32_t>(i) * 160, 1 + mutator.below(300));
      if (mutator.below(2) == 0) packet = mutator.mutate(std::move(packet));
      transcoder->push(now, packet);
      for (int turn = 0; turn < 64 && transcoder->poll(now, out) > 0; turn++) {
      }
    }
    // However hostile the sender was: what it can make us hold is bounded.
    if (transcoder->memoryBytes() > 2'000'000) {
      std::printf("FAIL a transcoder holds %zu bytes\n", transcoder->memoryBytes());
      std::exit(1);
    }
  }
}

void srtp(Mutator& mutator, int rounds) {
  for (const SrtpSuite suite : {SrtpSuite::kAesCm128Sha1_80, SrtpSuite::kAesCm128Sha1_32, SrtpSuite::kAeadAes128Gcm, SrtpSuite::kAeadAes256Gcm,
                                SrtpSuite::kF8128Sha1_80}) {
    SrtpKey key;
    key.suite = suite;
    key.key = Bytes(srtpKeyLength(suite), 7);
    key.salt = Bytes(srtpSaltLength(suite), 9);
    auto sender = SrtpContext::create(key);
    auto receiver = SrtpContext::create(key);
    if (!sender || !receiver) std::abort();
    int good = 0;
    for (int i = 0; i < rounds; i++) {
      const bool rtcp = i % 4 == 3;
      Bytes plain = rtp(0, static_cast<uint16_t>(i), static_cast<uint32_t>(i) * 160, 160);
      if (rtcp) {
        plain[1] = 200;
        plain.resize(28);
        writeU32(plain.data() + 4, 42);
      }
      Bytes packet = plain;
      size_t length = packet.size();
      packet.resize(length + kSrtpTrailer);
      if (!(rtcp ? sender->protectRtcp(packet.data(), length) : sender->protect(packet.data(), length))) std::abort();
      packet.resize(length);
      Bytes bad = mutator.mutate(packet);
      size_t badLength = bad.size();
      bad.resize(badLength + 64);
      const bool changed = badLength != length || std::memcmp(bad.data(), packet.data(), length) != 0;
      const SrtpResult refused = rtcp ? receiver->unprotectRtcp(bad.data(), badLength) : receiver->unprotect(bad.data(), badLength);
      if (changed && refused == SrtpResult::kOk && suite != SrtpSuite::kAesCm128Sha1_32) {
        std::printf("FAIL a changed packet was taken (suite %d)\n", static_cast<int>(suite));
        std::exit(1);
      }
      if (changed) {
        const SrtpResult taken = rtcp ? receiver->unprotectRtcp(packet.data(), length) : receiver->unprotect(packet.data(), length);
        if (taken == SrtpResult::kOk && length == plain.size() && std::memcmp(packet.data(), plain.data(), length) == 0) good++;
      } else good++;
    }
    if (good < rounds * 9 / 10) {
      std::printf("FAIL only %d of %d packets came through (suite %d)\n", good, rounds, static_cast<int>(suite));
      std::exit(1);
    }
  }
}

void parsers(Mutator& mutator, int rounds) {
  const Bytes report = {0x81, 200, 0, 12, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 1,
                        0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  Bytes stun = {0, 1, 0, 44, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 6, 0, 8, 'a', 'b', 'c', 'd', ':', 'e', 'f', 'g',
                0, 8, 0, 20};
  stun.resize(stun.size() + 20);
  const Bytes tail = {0x80, 0x28, 0, 4, 0, 0, 0, 0};
  stun.insert(stun.end(), tail.begin(), tail.end());
  Bytes extended = {0x80, 207, 0, 10, 0, 0, 0, 7, 7, 0, 0, 8};
  extended.resize(44);
  TelephoneEventWatch watch;
  for (int i = 0; i < rounds; i++) {
    RtcpSeen seen;
    parseRtcp(mutator.mutate(report), 2, seen);
    parseRtcp(mutator.mutate(extended), 2, seen);
    const Bytes key = mutator.mutate(rtp(101, static_cast<uint16_t>(i), static_cast<uint32_t>(i / 4) * 160, 4));
    RtpHeader of;
    if (parseRtp(key, of)) watch.packet(of, std::span(key).subspan(of.payloadOffset, of.payloadSize), 8000);
    const Bytes request = mutator.mutate(stun);
    StunRequest parsed;
    if (parseBindingRequest(request, parsed)) integrityHolds(request, parsed, "password");
    RtpHeader header;
    parseRtp(mutator.mutate(rtp(0, 1, 1, 20)), header);
  }
}

void handshakes(Mutator& mutator, int rounds) {
  std::string error;
  const auto identity = DtlsIdentity::create(error);
  if (!identity) {
    std::printf("FAIL %s\n", error.c_str());
    std::exit(1);
  }
  for (int i = 0; i < rounds; i++) {
    // A client and a server; every second datagram between them is mutated.
    std::vector<Bytes> toServer;
    std::vector<Bytes> toClient;
    auto client = DtlsSession::create(*identity, true, {}, [&](std::span<const uint8_t> b) { toServer.emplace_back(b.begin(), b.end()); });
    auto server = DtlsSession::create(*identity, false, {}, [&](std::span<const uint8_t> b) { toClient.emplace_back(b.begin(), b.end()); });
    client->start(1000);
    for (int turn = 0; turn < 6; turn++) {
      for (auto* queue : {&toServer, &toClient}) {
        auto datagrams = std::move(*queue);
        queue->clear();
        for (Bytes& datagram : datagrams) {
          const Bytes bytes = mutator.below(2) == 0 ? mutator.mutate(datagram) : datagram;
          (queue == &toServer ? server : client)->handle(2000 + turn, bytes);
        }
      }
    }
    // No fingerprint was agreed: nobody may ever be connected.
    if (client->state() == DtlsSession::State::kConnected || server->state() == DtlsSession::State::kConnected) {
      std::printf("FAIL connected without a fingerprint\n");
      std::exit(1);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 2000;
  Mutator mutator(argc > 2 ? static_cast<uint32_t>(std::atoi(argv[2])) : 1);
  transcoders(mutator, rounds);
  srtp(mutator, rounds);
  parsers(mutator, rounds * 10);
  handshakes(mutator, rounds / 50);
  std::printf("ok   %d rounds\n", rounds);
  return 0;
}
