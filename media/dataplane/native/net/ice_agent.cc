// What the agent is told: by signaling, by checks of the peer and by its answers.
#include "ice_agent.h"

#include <algorithm>

namespace causeway {

uint64_t IceAgent::random() { return mixed(random_ += 0x9e3779b97f4a7c15ULL); }

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
