// Which pair media takes: what a check that has held, or failed, says of its pair, and which pair is nominated.
#include <algorithm>

#include "ice_agent.h"

namespace causeway {
namespace {

constexpr Micros kOneMindUs = 5'000'000;       // nominations within it are one (aggressive) and the best counts; later ones replace
constexpr Micros kConsentLeastUs = 4'000'000;  // RFC 7675 §5.1: 5 s, ±20 %
constexpr Micros kConsentSpreadUs = 1'900'000;
constexpr Micros kSlotUs = 100'000;  // consent of many endpoints goes at once: one waking for all, their answers in batches

}  // namespace

Micros IceAgent::consentAt(Micros now) {
  const Micros at = now + kConsentLeastUs + static_cast<Micros>(random() % static_cast<uint64_t>(kConsentSpreadUs));
  return at - at % kSlotUs + kSlotUs;
}

// Regular nomination (RFC 8445 §8.1.1): the best pair that holds, once no better one can be expected.
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

}  // namespace causeway
