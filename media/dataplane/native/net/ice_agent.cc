#include "ice_agent.h"

#include <sys/random.h>

#include <algorithm>
#include <cstring>

#include "../core/rtp.h"

namespace causeway {
namespace {

constexpr uint8_t kSendings = 7;                  // Rc, RFC 8489 §6.2.1
constexpr int64_t kLastWait = 16;                 // Rm, in RTOs
constexpr Micros kLeastRtoUs = 500'000;           // RFC 8445 §14.3
constexpr Micros kHeldUs = 250'000;               // asked again whether a check may go
constexpr Micros kOneMindUs = 5'000'000;          // nominations within it are one (aggressive) and the best counts; later ones replace
constexpr Micros kConsentLeastUs = 4'000'000;     // RFC 7675 §5.1: 5 s, ±20 %
constexpr Micros kConsentSpreadUs = 1'900'000;
constexpr Micros kSlotUs = 100'000;  // consent of many endpoints goes at once: one waking for all, their answers in batches
constexpr uint64_t kNonceMask = 0xffff'ffff'ffff;

uint64_t mixed(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

// Of this process: nobody reads from a transaction how many calls there have been.
uint64_t maskOf(uint64_t nonce) {
  static const uint64_t secret = [] {
    uint64_t value = 0;
    while (getrandom(&value, sizeof(value), 0) != sizeof(value)) {
    }
    return value;
  }();
  return mixed(nonce + secret) & kNonceMask;
}

void put48(uint8_t* out, uint64_t value) {
  for (int i = 0; i < 6; i++) out[i] = static_cast<uint8_t>(value >> (40 - 8 * i));
}

// Of a candidate that the peer learns by our check (RFC 8445 §5.1.2, §7.1.1).
uint32_t learnedPriority(uint8_t component) { return 110U << 24 | 65535U << 8 | (256U - component); }

}  // namespace

void writeIceTransaction(uint64_t endpoint, uint64_t nonce, uint8_t out[12]) {
  put48(out, (endpoint ^ maskOf(nonce)) & kNonceMask);
  put48(out + 6, nonce);
}

uint64_t ownerOfIceTransaction(const uint8_t transaction[12]) {
  uint64_t owner = 0;
  for (int i = 0; i < 6; i++) owner = owner << 8 | transaction[i];
  return owner ^ maskOf(nonceOfIceTransaction(transaction));
}

uint64_t IceAgent::random() { return mixed(random_ += 0x9e3779b97f4a7c15ULL); }

uint64_t IceAgent::nonce() {
  for (;;) {
    if (const uint64_t value = random() & kNonceMask; value != 0) return value;
  }
}

Micros IceAgent::consentAt(Micros now) {
  const Micros at = now + kConsentLeastUs + static_cast<Micros>(random() % static_cast<uint64_t>(kConsentSpreadUs));
  return at - at % kSlotUs + kSlotUs;
}

size_t IceAgent::update(const Peer& peer, Micros now) {
  const bool again = ours_ != peer.ours.ufrag || theirs_.ufrag != peer.theirs.ufrag || theirs_.pwd != peer.theirs.pwd;
  if (again) {
    const bool stands = std::any_of(chosen_.begin(), chosen_.end(), [](const Chosen& c) { return c.known && !c.former; });
    if (stands) {
      formerUsername_ = std::move(username_);
      formerPassword_ = std::move(theirs_.pwd);
    }
    for (Chosen& chosen : chosen_) {
      chosen.former = chosen.known;
      chosen.nominated = false;
    }
    ours_ = peer.ours.ufrag;
    theirs_ = peer.theirs;
    username_ = theirs_.ufrag + ":" + ours_;
    pairs_.clear();
    firstValidAt_ = {-1, -1};
    startedAt_ = now;
    checks_ = answers_ = held_ = refused_ = spent_ = 0;
    nominateAt_ = kNever;
    gaveUp_ = false;
    failure_ = Failure::kNone;
  }
  litePeer_ = peer.lite;
  if (litePeer_) controlling_ = true;
  components_ = peer.components;
  if (components_ == 1) {
    std::erase_if(pairs_, [](const Pair& pair) { return pair.component == 2; });
    chosen_[1] = Chosen{};
  }
  const size_t refused = done() || lost() ? 0 : add(peer);
  schedule();
  return refused;
}

size_t IceAgent::add(const Peer& peer) {
  size_t over = 0;
  size_t told = 0;
  for (const IceCandidate& candidate : peer.candidates) {
    if (candidate.component < 1 || candidate.component > components_) continue;
    if (!candidate.address.known() || candidate.address.family() != peer.family) continue;
    if (told >= kMaxCandidates) {
      over++;
      continue;
    }
    told++;
    if (Pair* known = find(candidate.address, candidate.component)) {
      known->kind = candidate.kind;
      known->priority = candidate.priority;
      continue;
    }
    Pair& pair = pairs_.emplace_back();
    pair.remote = candidate.address;
    pair.priority = candidate.priority;
    pair.component = candidate.component;
    pair.kind = candidate.kind;
  }
  const size_t fresh = over > refused_ ? over - refused_ : 0;
  refused_ = std::max(refused_, static_cast<uint32_t>(over));
  return fresh;
}

IceAgent::Pair* IceAgent::find(const Address& remote, uint8_t component) {
  for (Pair& pair : pairs_) {
    if (pair.component == component && pair.remote == remote) return &pair;
  }
  return nullptr;
}

IceAgent::Verdict IceAgent::request(const Address& from, uint8_t component, const StunRequest& request, Micros now) {
  // RFC 8445 §7.3.1.1. Towards a lite peer there is no other role for us.
  if (!litePeer_ && ((controlling_ && request.controlling) || (!controlling_ && request.controlled))) {
    const bool ours = tieBreaker_ >= request.tieBreaker;
    if (controlling_ == ours) return Verdict::kConflict;
    take(!controlling_);
  }
  if (component > components_ || lost()) return Verdict::kAnswer;
  const bool wanted = request.useCandidate && !controlling_;
  const Chosen& chosen = chosen_[component - 1];
  if (chosen.nominated && (!wanted || chosen.address == from)) return Verdict::kAnswer;
  Pair* pair = find(from, component);
  if (pair == nullptr) {
    // A peer-reflexive candidate (§7.3.1.3).
    const auto learnt = std::count_if(pairs_.begin(), pairs_.end(), [](const Pair& p) { return p.kind == IceKind::kPeerReflexive; });
    if (static_cast<size_t>(learnt) >= kMaxLearned) return Verdict::kAnswer;
    pair = &pairs_.emplace_back();
    pair->remote = from;
    pair->priority = request.priority;
    pair->component = component;
    pair->kind = IceKind::kPeerReflexive;
  }
  if (wanted) pair->wanted = true;
  if (pair->state == State::kSucceeded && now - startedAt_ < kPatienceUs) {
    if (wanted) succeed(*pair, true, now);
  } else if (!pair->nominating && (wanted || pair->state != State::kSucceeded)) {
    // A triggered check (§7.3.1.4), in the place of one that may have been lost, or is too long ago.
    pair->state = State::kWaiting;
    pair->triggered = true;
    pair->dueAt = 0;
  }
  schedule();
  return Verdict::kAnswer;
}

IceAgent::Answer IceAgent::response(const Address& from, uint8_t component, std::span<const uint8_t> packet, const StunResponse& response,
                                    Micros now) {
  const uint64_t nonce = nonceOfIceTransaction(response.transaction);
  if (nonce == 0 || component > components_) return Answer::kStray;
  Chosen& chosen = chosen_[component - 1];
  if (chosen.askAt != kNever && std::find(chosen.nonces.begin(), chosen.nonces.end(), nonce) != chosen.nonces.end()) {
    if (!integrityHolds(packet, response.integrityOffset, chosen.former ? formerPassword_ : theirs_.pwd)) return Answer::kStray;
    if (!response.success || !(from == chosen.address)) return Answer::kHeard;
    chosen.answeredAt = now;
    answers_++;
    schedule();
    return Answer::kProven;
  }
  for (Pair& pair : pairs_) {
    if (pair.component != component || (nonce != pair.nonce && nonce != pair.formerNonce)) continue;
    if (!integrityHolds(packet, response.integrityOffset, theirs_.pwd)) return Answer::kStray;
    answers_++;
    Answer answer = Answer::kHeard;
    if (!response.success) {
      if (response.error == 487 && nonce == pair.nonce && pair.state == State::kInProgress) {
        // §7.2.5.1
        if (pair.sentControlling == controlling_ && !litePeer_) {
          tieBreaker_ = random();
          take(!controlling_);
        }
        pair.state = State::kWaiting;
        pair.triggered = true;
        pair.dueAt = 0;
      } else if (pair.state == State::kInProgress) {
        fail(pair);
      }
    } else if (!(from == pair.remote)) {
      fail(pair);  // §7.2.5.2.1
    } else {
      answer = Answer::kProven;
      const bool nominates = controlling_ ? nonce == pair.nominatingNonce : pair.wanted;
      // Of the check before the one that nominates: that one is still under way.
      if (!pair.nominating || nominates) succeed(pair, nominates, now);
    }
    schedule();
    return answer;
  }
  return Answer::kStray;
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

// Regular nomination (§8.1.1): the best pair that holds, once no better one can be expected.
void IceAgent::nominate(Micros now) {
  nominateAt_ = kNever;
  if (!controlling_ || lost()) return;
  for (uint8_t component = 1; component <= components_; component++) {
    const Chosen& chosen = chosen_[component - 1];
    if (chosen.nominated) continue;
    Pair* best = nullptr;
    bool under = false;
    for (Pair& pair : pairs_) {
      if (pair.component != component) continue;
      under = under || pair.nominating;
      if (pair.state == State::kSucceeded && (best == nullptr || pair.priority > best->priority)) best = &pair;
    }
    if (under || best == nullptr) continue;
    const bool better = std::any_of(pairs_.begin(), pairs_.end(), [&](const Pair& pair) {
      return pair.component == component && pair.active() && pair.priority > best->priority;
    });
    const Micros settled = firstValidAt_[component - 1] + kSettleUs;
    if (better && now < settled) {
      nominateAt_ = std::min(nominateAt_, settled);
      continue;
    }
    best->nominating = true;
    best->state = State::kWaiting;
    best->triggered = true;
    best->dueAt = 0;
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

// A check of the pair has held. `nominates`: by our USE-CANDIDATE, or the peer's.
void IceAgent::succeed(Pair& pair, bool nominates, Micros now) {
  const bool fresh = pair.state == State::kInProgress;
  pair.state = State::kSucceeded;
  pair.triggered = false;
  pair.valid = true;
  pair.nominating = pair.nominating && !nominates;
  if (firstValidAt_[pair.component - 1] < 0) firstValidAt_[pair.component - 1] = now;
  Chosen& chosen = chosen_[pair.component - 1];
  const bool same = chosen.known && !chosen.former && chosen.address == pair.remote;
  if (same && fresh) chosen.answeredAt = now;
  if (nominates) {
    if (same && chosen.nominated) return;
    // Aggressive nomination (RFC 5245 §8.1.1.2) names several at once: the best of them counts.
    const bool worse = chosen.nominated && now - chosen.nominatedAt < kOneMindUs && pair.priority < chosen.priority;
    if (!worse) choose(pair, true, now);
  } else if (!chosen.known || now - chosen.answeredAt >= kConsentUs) {
    choose(pair, false, now);
  }
}

void IceAgent::fail(Pair& pair) {
  pair.state = State::kFailed;
  pair.valid = false;
  pair.triggered = false;
  pair.nominating = false;
  Chosen& chosen = chosen_[pair.component - 1];
  if (chosen.nominated || chosen.former || !(chosen.known && chosen.address == pair.remote)) return;
  const Pair* best = nullptr;
  for (const Pair& other : pairs_) {
    if (other.component == pair.component && other.valid && (best == nullptr || other.priority > best->priority)) best = &other;
  }
  if (best != nullptr) choose(*best, false, chosen.answeredAt);
}

void IceAgent::choose(const Pair& pair, bool nominated, Micros now) {
  Chosen& chosen = chosen_[pair.component - 1];
  if (!chosen.known || chosen.former || !(chosen.address == pair.remote)) {
    chosen = Chosen{};
    chosen.known = true;
    chosen.address = pair.remote;
    chosen.answeredAt = now;
    chosen.askAt = consentAt(now);
  }
  chosen.priority = pair.priority;
  if (nominated) chosen.nominatedAt = now;
  chosen.nominated = nominated;
  changed_ = true;
  if (!done()) return;
  spent_ = 0;
  // The rest is of no more use (§8.1.2).
  for (Pair& other : pairs_) {
    if (other.active()) other.state = State::kLeft;
    other.triggered = other.nominating = false;
  }
  pairs_.shrink_to_fit();
  for (std::string* text : {&formerUsername_, &formerPassword_}) std::string().swap(*text);
}

// The other role; what is under way goes out once more, in the new one.
void IceAgent::take(bool controlling) {
  controlling_ = controlling;
  for (Pair& pair : pairs_) {
    pair.wanted = false;
    if (pair.nominating && pair.valid) pair.state = State::kSucceeded;
    else if (pair.state == State::kInProgress) pair.state = State::kWaiting;
    if (pair.state == State::kWaiting) pair.dueAt = 0;
    pair.nominating = false;
  }
}

bool IceAgent::done() const {
  for (uint8_t i = 0; i < components_; i++) {
    if (!chosen_[i].nominated) return false;
  }
  return true;
}

bool IceAgent::lost() const { return chosen_[0].known && !chosen_[0].former && chosen_[0].askAt == kNever; }

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

void IceAgent::report(IceReport& out, Micros now) const {
  const Chosen& chosen = chosen_[0];
  out.role = controlling_ ? IceRole::kControlling : IceRole::kControlled;
  out.state = lost()                            ? "lost"
              : chosen.former                   ? "restarting"
              : chosen.known && chosen.nominated ? "completed"
              : chosen.known                    ? "connected"
              : gaveUp_                         ? "failed"
                                                : "checking";
  out.checks = checks_;
  out.answers = answers_;
  out.held = held_;
  out.refused = refused_;
  if (chosen.known) out.consentMs = (now - chosen.answeredAt) / 1000;
  static constexpr const char* kStates[] = {"waiting", "checked", "answered", "failed", "left"};
  for (const Pair& pair : pairs_) {
    const Chosen& of = chosen_[pair.component - 1];
    const bool taken = of.known && !of.former && of.address == pair.remote;
    const char* const state = pair.valid ? "answered" : kStates[static_cast<size_t>(pair.state)];
    out.candidates.push_back({pair.remote, pair.component, pair.kind, state, taken});
  }
}

size_t IceAgent::memoryBytes() const {
  return sizeof(IceAgent) + pairs_.capacity() * sizeof(Pair) + ours_.capacity() + theirs_.ufrag.capacity() + theirs_.pwd.capacity() +
         username_.capacity() + formerUsername_.capacity() + formerPassword_.capacity();
}

}  // namespace causeway
