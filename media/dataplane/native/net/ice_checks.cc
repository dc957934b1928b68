// What the agent sends, and when: checks of its pairs, one every Ta, and consent on the pair that was chosen.
#include <algorithm>

#include "ice_agent.h"

namespace causeway {
namespace {

constexpr uint8_t kSendings = 7;         // Rc, RFC 8489 §6.2.1
constexpr int64_t kLastWait = 16;        // Rm, in RTOs
constexpr Micros kLeastRtoUs = 500'000;  // RFC 8445 §14.3
constexpr Micros kHeldUs = 250'000;      // asked again whether a check may go

// Of a candidate that the peer learns by our check (RFC 8445 §5.1.2, §7.1.1).
uint32_t learnedPriority(uint8_t component) { return 110U << 24 | 65535U << 8 | (256U - component); }

}  // namespace

uint64_t IceAgent::nonce() {
  for (;;) {
    if (const uint64_t value = random() & kNonceMask; value != 0) return value;
  }
}

bool IceAgent::poll(Micros now, Check& out, const std::function<bool(const Address&)>& allow) {
  expire(now);
  nominate(now);
  const bool more = askConsent(now, out) || sendNext(now, out, allow);
  schedule();
  return more;
}

void IceAgent::expire(Micros now) {
  for (Pair& pair : pairs_) {
    const bool over = pair.state == State::kInProgress && pair.sent >= kSendings && pair.dueAt <= now;
    if (over || (pair.active() && spent_ >= kMaxChecks)) fail(pair);
  }
  for (Chosen& chosen : chosen_) {
    if (!chosen.known || chosen.askAt == kNever || now - chosen.answeredAt < kConsentUs) continue;
    // RFC 7675 §5.1: nothing more until ICE is restarted.
    chosen.askAt = kNever;
    if (chosen.former || &chosen != &chosen_[0]) continue;
    for (Pair& pair : pairs_) pair.state = pair.active() ? State::kLeft : pair.state;
    failure_ = Failure::kConsent;
  }
  const bool found = chosen_[0].known && !chosen_[0].former;
  const bool active = std::any_of(pairs_.begin(), pairs_.end(), [](const Pair& pair) { return pair.active(); });
  if (!found && !active && !gaveUp_ && now - startedAt_ >= kPatienceUs) {
    gaveUp_ = true;
    failure_ = Failure::kNoPair;
  }
}

bool IceAgent::askConsent(Micros now, Check& out) {
  for (uint8_t component = 1; component <= components_; component++) {
    Chosen& chosen = chosen_[component - 1];
    if (!chosen.known || chosen.askAt > now) continue;
    chosen.askAt = consentAt(now);
    chosen.nonces = {nonce(), chosen.nonces[0]};
    out.to = chosen.address;
    out.component = component;
    fill(out, chosen.nonces[0], chosen.former);
    return true;
  }
  return false;
}

// Triggered checks first, then those that are due again, then those that wait, the best first.
bool IceAgent::sendNext(Micros now, Check& out, const std::function<bool(const Address&)>& allow) {
  if (now < pacedAt_) return false;
  const auto rank = [](const Pair& pair) { return (pair.triggered ? 2 : pair.state == State::kInProgress ? 1 : 0) * 4 - pair.component; };
  for (;;) {
    Pair* next = nullptr;
    for (Pair& pair : pairs_) {
      if (!pair.active() || pair.dueAt > now || (pair.state == State::kInProgress && pair.sent >= kSendings)) continue;
      if (next == nullptr || rank(pair) > rank(*next) || (rank(pair) == rank(*next) && pair.priority > next->priority)) next = &pair;
    }
    if (next == nullptr) return false;
    if (next->valid || allow(next->remote)) {
      write(*next, now, out);
      return true;
    }
    next->dueAt = now + kHeldUs;
    held_++;
  }
}

void IceAgent::write(Pair& pair, Micros now, Check& out) {
  if (pair.state != State::kInProgress) {
    pair.formerNonce = pair.nonce;
    pair.nonce = nonce();
    pair.nominatingNonce = pair.nominating ? pair.nonce : 0;
    pair.state = State::kInProgress;
    pair.sentControlling = controlling_;
    pair.triggered = false;
    pair.sent = 0;
  }
  const auto active = std::count_if(pairs_.begin(), pairs_.end(), [](const Pair& p) { return p.active(); });
  const Micros rto = std::max(kLeastRtoUs, kPaceUs * static_cast<Micros>(active));
  pair.sent++;
  pair.dueAt = now + (pair.sent < kSendings ? rto << (pair.sent - 1) : rto * kLastWait);
  pacedAt_ = now + kPaceUs;
  checks_++;
  spent_++;
  out.to = pair.remote;
  out.component = pair.component;
  fill(out, pair.nonce, false);
  out.stun.useCandidate = pair.nominatingNonce == pair.nonce;
}

void IceAgent::fill(Check& out, uint64_t nonce, bool former) const {
  out.stun = StunCheck{};
  out.stun.username = former ? formerUsername_ : username_;
  out.stun.password = former ? formerPassword_ : theirs_.pwd;
  writeIceTransaction(endpoint_, nonce, out.stun.transaction);
  out.stun.priority = learnedPriority(out.component);
  out.stun.tieBreaker = tieBreaker_;
  out.stun.controlling = controlling_;
}

void IceAgent::schedule() {
  next_ = nominateAt_;
  bool active = false;
  for (const Pair& pair : pairs_) {
    if (!pair.active()) continue;
    active = true;
    const bool last = pair.state == State::kInProgress && pair.sent >= kSendings;
    next_ = std::min(next_, last ? pair.dueAt : std::max(pair.dueAt, pacedAt_));
  }
  for (const Chosen& chosen : chosen_) {
    if (chosen.known && chosen.askAt != kNever) next_ = std::min({next_, chosen.askAt, chosen.answeredAt + kConsentUs});
  }
  const bool found = chosen_[0].known && !chosen_[0].former;
  if (!found && !active && !gaveUp_) next_ = std::min(next_, startedAt_ + kPatienceUs);
}

}  // namespace causeway
