// The rules of the packet path that need neither sockets nor threads, in virtual time: who may be heard, telephone-events,
// reports, deadlines. Prints one line a check; ends with 1 when one fails.
#include <cstdio>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "../core/bundle.h"
#include "../core/rtcp.h"
#include "../core/telephone_event.h"
#include "../net/deadlines.h"
#include "../net/dtls.h"
#include "../net/source_learner.h"
#include "check.h"

using namespace causeway;

namespace {

Address at(const char* host, uint16_t port) {
  Address out;
  Address::parse(host, port, out);
  return out;
}

constexpr Micros kMs = 1000;
const Address kSdp = at("10.0.0.1", 4000);      // what SDP says
const Address kNat = at("192.0.2.1", 61000);    // where it really comes from
const Address kOther = at("192.0.2.9", 7000);   // somebody else
const Address kMoved = at("192.0.2.1", 61001);  // after its NAT has changed its mind
constexpr SourceProof kNothing{};
constexpr SourceProof kSameSsrc{false, true};
constexpr SourceProof kKeys{true, false};

SourceLearner learner(Learning learning, bool strict = false, bool handover = false) {
  SourceLearner out;
  out.signalled(kSdp, {learning, strict, handover}, 0);
  return out;
}

// One packet: judged, and taken when it may be heard.
SourceVerdict packet(SourceLearner& l, const Address& from, Micros now, const SourceProof& proof = kNothing) {
  const SourceVerdict verdict = l.judge(from, proof, now);
  if (verdict != SourceVerdict::kRefused) l.take(from, verdict, now);
  return verdict;
}

void stream(SourceLearner& l, const Address& from, Micros since, Micros until) {
  for (Micros now = since; now < until; now += 20 * kMs) packet(l, from, now, kSameSsrc);
}

void learning() {
  using V = SourceVerdict;
  {
    // One offer, two answers: the first goes on sending until its CANCEL.
    SourceLearner l = learner(Learning::kDelayed);
    stream(l, kNat, 0, 500 * kMs);
    l.signalled(kOther, {Learning::kDelayed, false, false, true}, 500 * kMs);
    check(packet(l, kNat, 520 * kMs, kSameSsrc) == V::kRefused && l.target() == kOther, "a new party: the one before is not taken for it");
    check(packet(l, kMoved, 540 * kMs) == V::kFirst, "a new party: is learnt where it is");
    check(packet(l, kNat, 5'000 * kMs, kSameSsrc) == V::kRefused, "a new party: nor later");
    l.signalled(kSdp, {Learning::kDelayed, false, false, true}, 6'000 * kMs);
    check(packet(l, kMoved, 6'020 * kMs) == V::kRefused && packet(l, kSdp, 6'040 * kMs) == V::kFirst, "a new party: the first may come back");
  }
  {
    SourceLearner l = learner(Learning::kOff);
    check(packet(l, kNat, kMs) == V::kRefused && packet(l, kSdp, kMs) == V::kKnown && l.target() == kSdp, "off: the address of SDP and no other");
  }
  {
    SourceLearner l = learner(Learning::kAsymmetric);
    check(packet(l, kNat, kMs) == V::kFirst && l.target() == kSdp && l.source() == kNat, "asymmetric: sent to SDP, heard from whom speaks first");
    check(packet(l, kOther, 2 * kMs) == V::kRefused, "asymmetric: a second source is refused");
  }
  {
    SourceLearner l = learner(Learning::kImmediate);
    check(packet(l, kNat, kMs) == V::kFirst && l.frozen() && l.target() == kNat, "immediate: the first packet freezes");
    check(packet(l, kSdp, 2 * kMs) == V::kRefused, "immediate: not even the address of SDP after it");
  }
  {
    SourceLearner l = learner(Learning::kDelayed);
    check(packet(l, kNat, kMs) == V::kFirst && !l.frozen() && l.target() == kNat, "delayed: the first source at once, not for good");
    check(packet(l, kOther, 20 * kMs) == V::kRefused, "delayed: another while the first speaks is refused");
    check(packet(l, kSdp, 40 * kMs) == V::kBetter && l.frozen(), "delayed: the address of SDP itself settles it");
  }
  {
    SourceLearner l = learner(Learning::kDelayed);
    stream(l, kNat, kMs, 2990 * kMs);
    check(!l.frozen(), "delayed: not frozen before 3 s");
    check(packet(l, kNat, 3001 * kMs, kSameSsrc) == V::kKnown && l.frozen(), "delayed: the next packet after 3 s freezes");
    check(packet(l, kOther, 3010 * kMs) == V::kRefused, "delayed: frozen means frozen");
  }
  {
    SourceLearner l = learner(Learning::kDelayed);
    packet(l, kNat, kMs);
    check(packet(l, kOther, 400 * kMs) == V::kRefused && packet(l, kOther, 600 * kMs) == V::kMoved && l.target() == kOther,
          "delayed: within 3 s another may take over from one that has been silent for half a second");
  }
  {
    // Behind a NAT: its signaling comes from there, too.
    const LearningRules rules{Learning::kDelayed, false, false, false, at("192.0.2.1", 0)};
    const Address host = at("10.0.0.1", 5000);
    SourceLearner l;
    l.signalled(kSdp, rules, 0);
    check(packet(l, kOther, kMs) == V::kFirst && packet(l, kNat, 20 * kMs) == V::kBetter && l.target() == kNat,
          "delayed: a stranger that speaks first makes room for the host that signaling comes from");
    check(packet(l, kOther, 40 * kMs) == V::kRefused && packet(l, kMoved, 60 * kMs) == V::kRefused, "delayed: and nobody for who is no likelier");
    check(packet(l, host, 80 * kMs) == V::kBetter && packet(l, kNat, 100 * kMs) == V::kRefused && !l.frozen(), "delayed: but for the host of SDP");
    check(packet(l, kSdp, 120 * kMs) == V::kBetter && l.frozen(), "delayed: and for SDP's address, which settles it");
    l = SourceLearner();
    l.signalled(kSdp, rules, 0);
    stream(l, kOther, 0, 3010 * kMs);
    check(l.frozen() && packet(l, kNat, 3020 * kMs) == V::kRefused, "delayed: who has spoken for 3 s is not displaced by a host");
    l = SourceLearner();
    l.signalled(kSdp, {Learning::kImmediate, false, false, false, at("192.0.2.1", 0)}, 0);
    check(packet(l, kOther, kMs) == V::kFirst && packet(l, kNat, 20 * kMs) == V::kRefused, "immediate: is not displaced at all");
  }
  {
    SourceLearner l = learner(Learning::kHeuristic);
    const Address port = at("192.0.2.5", 4000);
    const Address host = at("10.0.0.1", 5000);
    check(packet(l, kNat, kMs) == V::kFirst && packet(l, port, 2 * kMs) == V::kBetter && packet(l, host, 3 * kMs) == V::kBetter &&
              packet(l, port, 4 * kMs) == V::kRefused && packet(l, kSdp, 5 * kMs) == V::kBetter && l.frozen(),
          "heuristic: any, then the port, then the address, then both");
    check(packet(l, host, 6 * kMs) == V::kRefused, "heuristic: nothing is likelier than SDP itself");
    l = SourceLearner();
    l.signalled(kSdp, {Learning::kHeuristic, false, false, false, at("192.0.2.1", 0)}, 0);
    check(packet(l, port, kMs) == V::kFirst && packet(l, kNat, 2 * kMs) == V::kBetter && packet(l, port, 3 * kMs) == V::kRefused &&
              packet(l, host, 4 * kMs) == V::kBetter,
          "heuristic: the host of signaling is likelier than the port, the host of SDP likelier than that");
  }
  {
    SourceLearner l = learner(Learning::kHeuristic);
    stream(l, kNat, 10'000 * kMs, 13'100 * kMs);
    check(l.frozen(), "heuristic: its 3 s begin with the first packet");
    check(packet(l, kSdp, 13'200 * kMs) == V::kRefused, "heuristic: after them nobody is compared any more");
  }
  for (const bool strict : {false, true}) {
    SourceLearner l = learner(Learning::kImmediate, strict);
    packet(l, kNat, 0);
    const std::string name = strict ? "strict source" : "no strict source";
    check(packet(l, kMoved, 900 * kMs, kSameSsrc) == V::kRefused, name + ": nobody takes the place of a stream that speaks");
    check(packet(l, kMoved, 1100 * kMs) == V::kRefused, name + ": nor a stranger that of one that is silent");
    check((packet(l, kMoved, 1200 * kMs, kSameSsrc) == V::kMoved) == !strict, name + ": its own stream may come from elsewhere after a second");
    check((packet(l, kSdp, 2300 * kMs, kKeys) == V::kMoved) == !strict, name + ": or who has its keys");
  }
  {
    SourceLearner l = learner(Learning::kImmediate, false, true);
    packet(l, kNat, 0);
    check(packet(l, kMoved, 20 * kMs, kSameSsrc) == V::kMoved, "handover: the same stream at once");
    check(packet(l, kOther, 40 * kMs) == V::kRefused && packet(l, kOther, 1100 * kMs) == V::kHandover, "handover: another after a second of silence");
  }
  {
    SourceLearner l = learner(Learning::kHeuristic);
    stream(l, kNat, 0, 4000 * kMs);
    l.signalled(kSdp, {Learning::kHeuristic, false, false}, 4000 * kMs);
    check(l.target() == kNat && packet(l, kNat, 4020 * kMs) == V::kKnown, "signaling that says nothing new loses nothing");
    l.signalled(at("10.0.0.2", 4000), {Learning::kHeuristic, false, false}, 4040 * kMs);
    check(l.target() == at("10.0.0.2", 4000) && !l.learnt(), "a new address in SDP begins anew");
  }
  {
    SourceLearner l(true);
    l.signalled(kSdp, {Learning::kImmediate, false, false}, 0);
    check(packet(l, kOther, kMs) == V::kRefused && packet(l, kNat, 2 * kMs, kSameSsrc) == V::kFirst, "RTCP: not who speaks first, but whose stream it is");
    check(packet(l, kOther, 9000 * kMs) == V::kRefused, "RTCP: its silence is no gap for strangers");
  }
  {
    SourceLearner l = learner(Learning::kDelayed);
    stream(l, kNat, 0, 4000 * kMs);
    l.signalled(kSdp, {Learning::kDelayed, false, false}, 4000 * kMs);
    check(packet(l, kOther, 4600 * kMs) == V::kRefused, "after a re-INVITE: a stranger gets nothing from half a second of silence");
    check(packet(l, kMoved, 4610 * kMs) == V::kMoved, "after a re-INVITE: the same host with another port does");
  }
}

RtpHeader header(uint32_t timestamp) {
  RtpHeader out;
  out.timestamp = timestamp;
  out.ssrc = 5;
  return out;
}

void events() {
  TelephoneEventWatch watch;
  const auto send = [&watch](uint8_t key, bool end, uint16_t duration, uint32_t timestamp) {
    const uint8_t payload[] = {key, static_cast<uint8_t>((end ? 0x80 : 0) | 10), static_cast<uint8_t>(duration >> 8), static_cast<uint8_t>(duration)};
    return watch.packet(header(timestamp), payload, 8000);
  };
  bool silent = true;
  for (uint16_t i = 1; i <= 5; i++) silent = silent && !send(5, false, static_cast<uint16_t>(160 * i), 1000);
  const auto told = send(5, true, 960, 1000);
  check(silent && told && told->event == 5 && told->durationMs == 120 && told->volume == 10, "an event is told when it ends");
  check(!send(5, true, 960, 1000) && !send(5, true, 960, 1000), "its repeated end is not told again");
  send(6, false, 400, 4000);
  const auto lost = send(7, false, 160, 8000);
  check(lost && lost->event == 6 && lost->durationMs == 50, "one whose end was lost is told when the next begins");
  check(!send(6, true, 400, 4000), "and its late end is not told again");
  const auto seven = send(7, true, 800, 8000);
  check(seven && seven->event == 7, "the next is told in its turn");
  const uint8_t stub[] = {1, 2};
  check(!watch.packet(header(9000), stub, 8000), "a payload that is too short is nothing");
}

void reports() {
  std::vector<uint8_t> xr = {0x80, 207, 0, 10, 0, 0, 0, 7, 7, 0, 0, 8, 0, 0, 0, 9, 64, 32, 128, 16, 0, 100, 1, 0,
                             0,    50,  0, 60, 0, 0, 0, 16, 93, 127, 42, 41, 0, 0, 0, 80, 0, 0, 0, 0};
  RtcpSeen seen;
  check(parseRtcp(xr, 1, seen) && seen.hasVoip && seen.voip.ssrc == 9 && seen.voip.lossRate == 64 && seen.voip.burstMs == 100 &&
            seen.voip.gapMs == 256 && seen.voip.roundTripMs == 50 && seen.voip.rFactor == 93 && seen.voip.mosLq == 42 &&
            seen.voip.jitterBufferMs == 80,
        "VoIP metrics of an extended report");
  xr[11] = 9;
  check(!parseRtcp(xr, 1, seen), "a block longer than its packet is refused");
  std::vector<uint8_t> out(512);
  SenderState sender;
  sender.ssrc = 77;
  sender.packets = 3;
  const size_t length = writeBye(out, sender, nullptr, 1, 1000, "name");
  seen = {};
  check(parseRtcp(std::span(out).first(length), 1, seen) && seen.bye && seen.senderReport, "BYE comes with a report");
  // RR, transport-wide feedback, PLI, REMB.
  std::vector<uint8_t> mixed = {0x80, 201, 0, 1, 0, 0, 0, 7,                                            //
                                0x8f, 205, 0, 4, 0, 0, 0, 7, 0, 0, 0, 8, 0, 1, 0, 0, 0, 0, 0, 1,        //
                                0x81, 206, 0, 2, 0, 0, 0, 7, 0, 0, 0, 8,                                //
                                0x8f, 206, 0, 5, 0, 0, 0, 7, 0, 0, 0, 0, 'R', 'E', 'M', 'B', 1, 0, 0, 9, 0, 0, 0, 8};
  const std::vector<uint8_t> before = mixed;
  const size_t kept = keepTransportFeedback(mixed);
  check(kept == 44 && std::equal(mixed.begin(), mixed.begin() + 20, before.begin() + 8) &&
            std::equal(mixed.begin() + 20, mixed.begin() + 44, before.begin() + 40),
        "of a compound only what is about the way is kept");
  check(keepTransportFeedback(std::span(out).first(length)) == 0, "of reports nothing");
}

void quality() {
  // 1,000 packets: five losses with three packets between them at 500, one alone at 800.
  ReceiverStats receiver;
  for (uint16_t i = 0; i < 1000; i++) {
    if ((i >= 500 && i < 520 && i % 4 == 0) || i == 800) continue;
    receiver.received(9, i, i * 160u, 8000, Micros{i} * 20'000);
  }
  const VoipMetrics metrics = receiver.voipMetrics(0, 40, 100);
  check(receiver.lost() == 6 && metrics.lossRate == 6 * 256 / 1000 && metrics.burstMs == 17 * 20 && metrics.burstDensity == 5 * 256 / 17 &&
            metrics.gapMs == (1000 - 17) * 20 && metrics.gapDensity == 256 / 983,
        "one burst of 17 packets and one gap");
  check(metrics.mosLq >= 41 && metrics.mosLq <= 44 && metrics.mosCq <= metrics.mosLq && metrics.endSystemMs == 60, "an opinion of 0.6 % loss");
  // ITU-T G.107: the default values give 93.2 and 4.41.
  check(mosOf(93.2) > 4.4 && mosOf(93.2) < 4.42 && rFactorOf(0, 0, {}) == 93.2 && mosOf(0) == 1, "the E-model at its ends");
  check(rFactorOf(300, 0, {}) < 80 && rFactorOf(0, 10, {}) < 70, "delay and loss cost");
  std::vector<uint8_t> out(44);
  RtcpSeen seen;
  check(writeExtended(out, 5, metrics) == 44 && parseRtcp(out, 1, seen) && seen.hasVoip && seen.voip.ssrc == 9 && seen.voip.burstMs == metrics.burstMs &&
            seen.voip.mosCq == metrics.mosCq && seen.voip.jitterBufferMs == 40,
        "an extended report says what was measured");
}

void deadlines() {
  std::mt19937 random(1);
  std::vector<Endpoint> endpoints(50);
  Deadlines heap;
  bool ok = true;
  for (int i = 0; i < 20'000; i++) {
    Endpoint& endpoint = endpoints[random() % endpoints.size()];
    heap.set(endpoint, random() % 4 == 0 ? kNever : static_cast<Micros>(random() % 1000));
    Micros least = kNever;
    for (const Endpoint& e : endpoints) least = std::min(least, e.scheduledAt);
    ok = ok && heap.earliest() == least && (least == kNever || heap.first()->scheduledAt == least);
  }
  for (Endpoint& endpoint : endpoints) heap.set(endpoint, kNever);
  check(ok && heap.first() == nullptr, "the earliest deadline is always at the top");
}

void handshake() {
  std::string error;
  const auto identity = DtlsIdentity::create(error);
  if (!identity) {
    check(false, "an identity: " + error);
    return;
  }
  Fingerprint fingerprint{"sha-256", {}};
  const std::string& text = identity->fingerprint();
  for (size_t i = 0; i < text.size(); i += 3) fingerprint.value.push_back(static_cast<uint8_t>(std::stoi(text.substr(i, 2), nullptr, 16)));
  std::vector<std::vector<uint8_t>> toServer;
  std::vector<std::vector<uint8_t>> toClient;
  auto client = DtlsSession::create(*identity, true, {fingerprint}, [&](auto b) { toServer.emplace_back(b.begin(), b.end()); });
  auto server = DtlsSession::create(*identity, false, {fingerprint}, [&](auto b) { toClient.emplace_back(b.begin(), b.end()); });
  client->start(1000);
  for (int turn = 0; turn < 5; turn++) {
    for (const auto& datagram : std::exchange(toServer, {})) server->handle(2000, datagram);
    for (const auto& datagram : std::exchange(toClient, {})) client->handle(2000, datagram);
  }
  const auto ours = server->takeKeys();
  const auto theirs = client->takeKeys();
  check(ours && theirs && ours->send == theirs->receive && ours->receive == theirs->send, "both ends of a handshake have the same keys");
  const size_t before = server->memoryBytes();
  server->tick(server->nextDeadline());
  const std::vector<uint8_t> late(40, 22);
  server->handle(60'000'000, late);
  check(server->state() == DtlsSession::State::kConnected && server->memoryBytes() < before / 10 && server->nextDeadline() == kNever,
        "half a minute later it is connected still, and small");
}

// An RTP packet with this header extension in front of five octets.
std::vector<uint8_t> extended(uint32_t ssrc, uint8_t pt, uint16_t profile, std::vector<uint8_t> elements) {
  std::vector<uint8_t> packet(12);
  writeRtp(packet.data(), pt, false, 1, 1, ssrc);
  if (!elements.empty()) {
    packet[0] |= 0x10;
    while (elements.size() % 4 != 0) elements.push_back(0);
    const auto words = static_cast<uint8_t>(elements.size() / 4);
    packet.insert(packet.end(), {static_cast<uint8_t>(profile >> 8), static_cast<uint8_t>(profile), 0, words});
    packet.insert(packet.end(), elements.begin(), elements.end());
  }
  packet.insert(packet.end(), {1, 2, 3, 4, 5});
  return packet;
}

void bundles() {
  constexpr uint16_t kOneByte = 0xbede;
  constexpr uint16_t kTwoBytes = 0x1000;
  const auto is = [](std::span<const uint8_t> element, const char* text) { return std::string(element.begin(), element.end()) == text; };
  check(is(headerElement(extended(1, 0, kOneByte, {0, 0, 0x10, 9, 0x31, 'a', 'b'}), 3), "ab"), "extension: behind padding and another element");
  check(is(headerElement(extended(1, 0, kTwoBytes, {1, 0, 3, 2, 'a', 'b'}), 3), "ab"), "extension: of two bytes, behind an empty one");
  check(headerElement(extended(1, 0, kOneByte, {0xf0, 9, 0x31, 'a', 'b'}), 3).empty(), "extension: 15 ends it");
  check(headerElement(extended(1, 0, kOneByte, {0x10, 9, 9, 0x3f}), 3).empty(), "extension: an element beyond its end is none");
  check(headerElement(extended(1, 0, 0x1234, {0x31, 'a', 'b'}), 3).empty(), "extension: one that nobody knows");
  {
    std::vector<uint8_t> packet = extended(7, 0, 0, {});
    const std::vector<uint8_t> plain = packet;
    packet.resize(100);
    check(insertElement(packet.data(), 17, 20, 3, "0") == 17, "naming: no room");
    const size_t length = insertElement(packet.data(), 17, packet.size(), 3, "0");
    check(length == 25 && is(headerElement({packet.data(), length}, 3), "0"), "naming: in front of the payload");
    check(insertElement(packet.data(), length, packet.size(), 3, "1") == length, "naming: not twice");
  }
  BundleTable table;
  std::vector<BundleTable::Line> lines(3);
  lines[0] = {"0", 3, {}, {}};
  lines[1] = {"1", 3, {}, {20}};
  lines[2] = {"2", 3, {}, {}};
  lines[0].payloadTypes.set(0);
  lines[1].payloadTypes.set(0);
  lines[2].payloadTypes.set(96);
  table.set(lines, {}, 0);
  const auto lineOf = [&](const std::vector<uint8_t>& packet, Micros now) {
    RtpHeader header;
    return parseRtp(packet, header) ? table.lineOf(header, packet, now) : -9;
  };
  check(lineOf(extended(20, 0, 0, {}), 0) == 1, "lines: a=ssrc");
  check(lineOf(extended(21, 96, 0, {}), 0) == 2, "lines: by a payload type of its own");
  check(lineOf(extended(22, 0, 0, {}), 0) == BundleTable::kNobody, "lines: one of two is nobody's");
  check(lineOf(extended(22, 0, kOneByte, {0x30, '0'}), 0) == 0 && lineOf(extended(22, 96, 0, {}), 0) == 0, "lines: by MID, and then by its SSRC before its type");
  check(lineOf(extended(22, 0, kOneByte, {0x30, '9'}), 0) == BundleTable::kNobody, "lines: a MID of nobody");
  for (uint32_t ssrc = 100; ssrc < 100 + SsrcTable::kMax - 3; ssrc++) lineOf(extended(ssrc, 96, 0, {}), 1'000 * kMs);
  check(lineOf(extended(9000, 96, 0, {}), 2'000 * kMs) == BundleTable::kCrowded, "lines: no more SSRCs than there is room for");
  // All but the two that go on have been silent for long.
  check(lineOf(extended(22, 0, 0, {}), 9'000 * kMs) == 0, "lines: one that goes on");
  check(lineOf(extended(9000, 96, 0, {}), 10'500 * kMs) == 2, "lines: room is made by one that has been silent");
  check(lineOf(extended(22, 0, 0, {}), 10'600 * kMs) == 0 && lineOf(extended(20, 0, 0, {}), 10'600 * kMs) == 1, "lines: not by who speaks, nor by a=ssrc");
  // A line goes: the others are known by what was learnt of them.
  lines.erase(lines.begin());
  const int now[] = {-1, 0, 1};
  table.set(lines, now, 11'000 * kMs);
  check(lineOf(extended(9000, 0, 0, {}), 11'000 * kMs) == 1, "lines: what was learnt stays when their numbers change");
  check(lineOf(extended(22, 8, 0, {}), 11'000 * kMs) == BundleTable::kNobody, "lines: with a line go its SSRCs");
}

}  // namespace

int main() {
  learning();
  events();
  reports();
  quality();
  deadlines();
  handshake();
  bundles();
  return checked();
}
