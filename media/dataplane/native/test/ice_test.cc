// The full ICE agent in virtual time: two of them against each other, and one against peers that are lite, silent, lossy
// or of the same role. Prints one line a check; ends with 1 when one fails.
#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "../net/check_budget.h"
#include "check.h"
#include "ice_parties.h"

using namespace causeway;
using namespace causeway::test;

namespace {

void bothFull() {
  Net net;
  Party a(net, kA, kLeft, true, 1);
  Party b(net, kB, kRight, false, 2);
  a.know(kRight, {candidate(kNowhere, 900), candidate(kB, 800)});
  b.know(kLeft, {candidate(kA, 800)});
  net.run(kSecond, [&] { return std::min(a.due(), b.due()); });
  check(a.target() == kB && b.target() == kA, "two full agents find each other, though the best candidate is dead");
  check(a.agent.nominated(1) && b.agent.nominated(1), "both know which pair is nominated");
  check(a.nominations.size() == 1 && b.nominations.empty(), "who is controlling nominates, and the other does not");
  const size_t before = net.sent.size();
  net.run(3600 * kSecond, [&] { return std::min(a.due(), b.due()); });
  const size_t consent = net.sent.size() - before;
  check(a.target() == kB && b.target() == kA && a.failed.empty(), "an hour later consent still holds");
  // 720 of each at 5 s, with their answers.
  check(consent > 2600 && consent < 3200, "for " + std::to_string(consent) + " packets of consent in that hour");
}

void sameRole() {
  for (const bool controlling : {true, false}) {
    Net net;
    Party a(net, kA, kLeft, controlling, 3);
    Party b(net, kB, kRight, controlling, 4);
    a.know(kRight, {candidate(kB, 800)});
    b.know(kLeft, {candidate(kA, 800)});
    net.run(2 * kSecond, [&] { return std::min(a.due(), b.due()); });
    check(a.agent.nominated(1) && b.agent.nominated(1) && a.report().role != b.report().role,
          std::string("two that are ") + (controlling ? "controlling" : "controlled") + " agree who it is");
    check(a.conflicts || b.conflicts, "by a 487");
  }
}

void lossy() {
  std::mt19937 random(7);
  int connected = 0;
  constexpr int kRuns = 200;
  for (int run = 0; run < kRuns; run++) {
    Net net;
    net.loses = [&](const Packet&) { return random() % 100 < 25; };
    Party a(net, kA, kLeft, run % 2 == 0, random());
    Party b(net, kB, kRight, run % 3 == 0, random());
    a.know(kRight, {candidate(kNowhere, 900), candidate(kB, 800)});
    b.know(kLeft, {candidate(kA, 800)});
    net.run(35 * kSecond, [&] { return std::min(a.due(), b.due()); });
    if (a.agent.nominated(1) && b.agent.nominated(1)) connected++;
  }
  check(connected >= kRuns - 2, "with 25 % of all packets lost " + std::to_string(connected) + " of 200 connect, whatever the roles");
}

void litePeer() {
  Net net;
  answers(net, kB, kRight);
  Party a(net, kA, kLeft, false, 5);
  a.know(kRight, {candidate(kNowhere, 900), candidate(kB, 800)}, true);
  net.run(kSecond, [&] { return a.due(); });
  check(a.target() == kB && a.agent.nominated(1) && a.nominations[Net::name(kB)] == 1 && a.report().role == IceRole::kControlling,
        "towards a lite peer we are controlling, check and nominate");
}

void controlled() {
  Net net;
  answers(net, kB, kRight);
  answers(net, kB2, kRight);
  Party a(net, kA, kLeft, false, 6);
  a.know(kRight, {candidate(kB, 800)});
  net.run(kSecond, [&] { return a.due(); });
  check(a.target() == kB && !a.agent.nominated(1), "before a nomination the first pair that holds will do");
  net.run(20 * kSecond, [&] { return a.due(); });
  check(!a.agent.nominated(1) && a.nominations.empty(), "who is controlled never nominates");
  a.agent.request(kB2, 1, heard(true), net.now);
  check(a.target() == kB, "a nomination counts once our own check has held");
  net.run(21 * kSecond, [&] { return a.due(); });
  check(a.target() == kB2 && a.agent.nominated(1), "then the pair that the peer nominates is taken, though its candidate was learnt");
  a.agent.request(kB, 1, heard(true), net.now);
  net.run(22 * kSecond, [&] { return a.due(); });
  check(a.target() == kB, "and another, when it changes its mind");
  a.agent.request(kB2, 1, heard(true), net.now);
  net.run(23 * kSecond, [&] { return a.due(); });
  check(a.target() == kB, "of those that are nominated at once the best counts");
  const size_t before = net.sent.size();
  for (int i = 0; i < 100; i++) {
    a.agent.request(kB, 1, heard(true), net.now);
    net.run(net.now + kSecond, [&] { return a.due(); });
  }
  check(net.sent.size() - before <= 2 * 100 / 4, "who nominates the same again and again is asked for consent alone");
}

void silence() {
  Net net;
  Party a(net, kA, kLeft, true, 8);
  std::vector<IceCandidate> many;
  for (uint16_t i = 0; i < 50; i++) many.push_back(candidate(at("10.9.9.9", static_cast<uint16_t>(1000 + i)), 1000U - i));
  a.know(kRight, many);
  net.run(10 * kSecond, [&] { return a.due(); });
  std::set<std::string> places;
  for (const Packet& packet : net.sent) places.insert(Net::name(packet.to));
  check(places.size() == IceAgent::kMaxCandidates && a.report().refused == 30, "20 of 50 candidates are checked");
  check(net.sent.size() <= 10 * kSecond / IceAgent::kPaceUs, "not more than one check in 50 ms: " + std::to_string(net.sent.size()) + " in 10 s");
  net.run(100 * kSecond, [&] { return a.due(); });
  check(net.sent.size() <= 7 * IceAgent::kMaxCandidates, std::to_string(net.sent.size()) + " checks in all, then it is given up");
  check(a.failed == std::vector{IceAgent::Failure::kNoPair} && !a.target().known() && a.agent.nextDeadline() == kNever, "which is told once; then nothing is due");
  answers(net, kB, kRight);
  a.agent.request(kB, 1, heard(false, false), net.now);
  net.run(101 * kSecond, [&] { return a.due(); });
  check(a.target() == kB && a.agent.nominated(1), "a check that comes later revives it");
}

void learnedBound() {
  Net net;
  Party a(net, kA, kLeft, false, 9);
  a.know(kRight, {});
  for (uint16_t i = 0; i < 5000; i++) a.agent.request(at("10.9.9.9", static_cast<uint16_t>(1000 + i)), 1, heard(false), net.now);
  net.run(100 * kSecond, [&] { return a.due(); });
  check(a.report().candidates.size() == IceAgent::kMaxLearned, "ten candidates are learnt from checks, no more");
  for (int i = 0; i < 100'000; i++) {
    a.agent.request(at("10.9.9.9", 1000), 1, heard(false), net.now);
    net.run(net.now + 60 * kMs, [&] { return a.due(); });
  }
  check(net.sent.size() <= IceAgent::kMaxChecks, "whoever checks without an answer gets " + std::to_string(net.sent.size()) + " checks of ours at most");
}

void badAnswers() {
  Net net;
  answers(net, kB, kRight);
  Party a(net, kA, kLeft, true, 10);
  a.know({"right", "another-password-0123456789"}, {candidate(kB, 800)});
  net.run(kSecond, [&] { return a.due(); });
  check(!a.target().known(), "a peer with another password is none");

  Net moved;
  // It answers from elsewhere than it was asked (RFC 8445 §7.2.5.2.1).
  moved.hosts[Net::name(kB)] = [&moved](const Packet& packet, Micros) {
    StunRequest request;
    uint8_t out[256];
    parseBindingRequest(packet.bytes, request);
    moved.send(kB2, packet.from, {out, writeBindingSuccess(out, request, packet.from, kRight.pwd)});
  };
  Party b(moved, kA, kLeft, true, 11);
  b.know(kRight, {candidate(kB, 800)});
  moved.run(kSecond, [&] { return b.due(); });
  check(!b.target().known() && b.report().candidates[0].state == std::string("failed"), "an answer from elsewhere fails the pair");
}

void consent() {
  Net net;
  answers(net, kB, kRight);
  Party a(net, kA, kLeft, true, 12);
  a.know(kRight, {candidate(kB, 800)});
  net.run(60 * kSecond, [&] { return a.due(); });
  check(a.target() == kB, "with consent media goes");
  bool gone = true;
  net.loses = [&gone](const Packet&) { return gone; };
  net.run(80 * kSecond, [&] { return a.due(); });
  check(a.target() == kB, "for 20 s more without it");
  gone = false;
  net.run(90 * kSecond, [&] { return a.due(); });
  check(a.target() == kB && a.failed.empty(), "it may come back");
  gone = true;
  net.run(130 * kSecond, [&] { return a.due(); });
  check(!a.target().known() && a.failed == std::vector{IceAgent::Failure::kConsent}, "after 30 s none goes, which is told once");
  const size_t before = net.sent.size();
  gone = false;
  a.agent.request(kB, 1, heard(false, false), net.now);
  net.run(600 * kSecond, [&] { return a.due(); });
  check(net.sent.size() == before && !a.target().known(), "and nothing is asked again");
  a.ours = {"anew", kLeft.pwd};
  a.know({"others", kRight.pwd}, {candidate(kB, 800)});
  net.run(601 * kSecond, [&] { return a.due(); });
  check(a.target() == kB && a.agent.nominated(1), "until ICE restarts");
}

void restart() {
  Net net;
  answers(net, kB, kRight);
  Party a(net, kA, kLeft, true, 13);
  a.know(kRight, {candidate(kB, 800)});
  net.run(kSecond, [&] { return a.due(); });
  const IceCredentials next{"later", "later-password-01234567890"};
  a.ours = {"anew", kLeft.pwd};
  a.know(next, {candidate(kB2, 800)});
  net.run(25 * kSecond, [&] { return a.due(); });
  check(a.target() == kB && a.report().state == std::string("restarting"), "media goes on while ICE restarts, with the consent of before");
  net.run(60 * kSecond, [&] { return a.due(); });
  check(a.target() == kB, "for as long as that lasts");
  answers(net, kB2, next);
  a.agent.request(kB2, 1, heard(false, false), net.now);
  net.run(62 * kSecond, [&] { return a.due(); });
  check(a.target() == kB2 && a.agent.nominated(1) && a.report().role == IceRole::kControlling, "until another pair is nominated, in the same role");
}

void trickled() {
  Net net;
  answers(net, kB, kRight);
  Party a(net, kA, kLeft, true, 14);
  a.know(kRight, {candidate(kNowhere, 900)});
  net.run(2 * kSecond, [&] { return a.due(); });
  a.know(kRight, {candidate(kNowhere, 900), candidate(kB, 800), candidate(at("2001:db8::1", 5000), 950)});
  net.run(4 * kSecond, [&] { return a.due(); });
  check(a.target() == kB && a.report().candidates.size() == 2, "a candidate that comes later is checked, one of another family is not");
}

void components() {
  Net net;
  IceAgent agent(15, true, 15);
  IceAgent::Peer peer{kLeft, kRight, false, 2, AF_INET, {}};
  const std::vector<IceCandidate> both = {candidate(kB, 800, 1), candidate(kB2, 799, 2)};
  peer.candidates = both;
  agent.update(peer, 0);
  IceAgent::Check out;
  std::set<int> asked;
  bool stray = true;
  for (Micros now = 0; now < kSecond; now += 10 * kMs) {
    while (agent.poll(now, out, [](const Address&) { return true; })) {
      asked.insert(out.component);
      uint8_t bytes[kStunCheckMax];
      uint8_t answer[256];
      StunRequest request;
      StunResponse response;
      parseBindingRequest({bytes, writeBindingRequest(bytes, out.stun)}, request);
      const std::span<const uint8_t> packet{answer, writeBindingSuccess(answer, request, kA, kRight.pwd)};
      parseBindingResponse(packet, response);
      stray = stray && agent.response(out.to, out.component == 1 ? 2 : 1, packet, response, now) == IceAgent::Answer::kStray;
      agent.response(out.to, out.component, packet, response, now);
    }
  }
  check(stray && asked.size() == 2, "an answer on the port of the other component is none");
  check(agent.target(1, kSecond) == kB && agent.target(2, kSecond) == kB2 && agent.nominated(2), "RTP and RTCP each have their pair");
}

void transactions() {
  bool ok = true;
  std::mt19937_64 random(3);
  for (int i = 0; i < 1000; i++) {
    const uint64_t endpoint = random() & 0xffff'ffff'ffff;
    const uint64_t nonce = random() & 0xffff'ffff'ffff;
    uint8_t transaction[12];
    writeIceTransaction(endpoint, nonce, transaction);
    ok = ok && ownerOfIceTransaction(transaction) == endpoint && nonceOfIceTransaction(transaction) == nonce;
  }
  check(ok, "a transaction says whose it is");
}

void budget() {
  CheckBudget budget(42);
  const Address victim = at("192.0.2.1", 1);
  int sent = 0;
  for (Micros now = 0; now < 60 * kSecond; now += kMs) {
    for (uint16_t call = 0; call < 10; call++) {
      Address port = victim;
      port.setPort(static_cast<uint16_t>(1 + call));
      if (budget.take(port, now)) sent++;
    }
  }
  check(sent <= 400 + 60 * 50, "a host that never answers gets " + std::to_string(sent) + " checks of 600,000 in a minute, whatever its ports");
  sent = 0;
  const Address alive = at("192.0.2.200", 1);
  for (Micros now = 0; now < 10 * kSecond; now += kMs) {
    if (!budget.take(alive, now)) continue;
    sent++;
    budget.answered(alive, now);
  }
  check(sent == 10'000, "one that answers gets all");
}

}  // namespace

int main() {
  bothFull();
  sameRole();
  lossy();
  litePeer();
  controlled();
  silence();
  learnedBound();
  badAnswers();
  consent();
  restart();
  trickled();
  components();
  transactions();
  budget();
  return checked();
}
