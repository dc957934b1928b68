#include "source_learner.h"

#include <algorithm>

namespace causeway {
namespace {

constexpr Micros kWindowUs = 3'000'000;  // as rtpengine's users know it
constexpr Micros kGapUs = 500'000;       // while learning: so long silent, another may be the one
constexpr size_t kMaxFormer = 8;

// How much a source is like what signaling has said: nothing of it, the port of SDP, the host that signaling comes from, the
// host of SDP, its host and port.
enum Likeness : int8_t { kNothing, kPort, kSignalingHost, kHost, kExact };
constexpr Micros kSilentUs = 1'000'000;  // frozen: so long silent, and its stream may have moved

}  // namespace

void SourceLearner::signalled(const Address& expected, const LearningRules& rules, Micros now) {
  if (rules.newParty) {
    leave(source_);
    leave(expected_);
    std::erase(former_, expected);
  }
  if (rules.newParty || !(expected == expected_)) {
    learnt_ = false;
    again_ = false;
    rank_ = -1;
    source_ = Address();
  }
  again_ = (again_ || frozen_) && !rules.newParty;
  frozen_ = learnt_ && (rules.strictSource || rules.learning == Learning::kImmediate || rules.learning == Learning::kAsymmetric);
  expected_ = expected;
  rules_ = rules;
  windowAt_ = now;
}

void SourceLearner::leave(const Address& place) {
  if (!place.known() || isFormer(place)) return;
  if (former_.size() >= kMaxFormer) former_.erase(former_.begin());
  former_.push_back(place);
}

bool SourceLearner::isFormer(const Address& from) const { return std::find(former_.begin(), former_.end(), from) != former_.end(); }

void SourceLearner::reopen(Micros now) {
  frozen_ = false;
  again_ = true;
  rank_ = -1;
  windowAt_ = now;
}

int SourceLearner::likeness(const Address& from) const {
  if (expected_.known() && expected_.sameHost(from)) return expected_.port() == from.port() ? kExact : kHost;
  // A party behind a NAT mostly has one address for all that it sends.
  if (rules_.signaling.family() != AF_UNSPEC && rules_.signaling.sameHost(from)) return kSignalingHost;
  return expected_.known() && expected_.port() == from.port() ? kPort : kNothing;
}

SourceVerdict SourceLearner::judge(const Address& from, const SourceProof& proof, Micros now) const {
  if (rules_.learning == Learning::kOff) return from == expected_ ? SourceVerdict::kKnown : SourceVerdict::kRefused;
  if (!former_.empty() && isFormer(from)) return SourceVerdict::kRefused;
  if (learnt_ && from == source_) return SourceVerdict::kKnown;
  const bool same = proof.keys || proof.sameSsrc;
  if (proofNeeded_ && !same && !(from == expected_)) return SourceVerdict::kRefused;
  if (!learnt_) return SourceVerdict::kFirst;
  const Micros silent = now - takenAt_;
  if (!frozen_) {
    if (!again_) {
      const int rank = likeness(from);
      if (rank > rank_ && (rank >= kSignalingHost || rules_.learning == Learning::kHeuristic)) return SourceVerdict::kBetter;
      if (silent >= kGapUs) return SourceVerdict::kMoved;
    } else if (silent >= kGapUs && (same || source_.sameHost(from))) {
      return SourceVerdict::kMoved;
    }
    return SourceVerdict::kRefused;
  }
  if (rules_.mediaHandover && (same || silent >= kSilentUs)) return same ? SourceVerdict::kMoved : SourceVerdict::kHandover;
  if (!rules_.strictSource && same && silent >= kSilentUs) return SourceVerdict::kMoved;
  return SourceVerdict::kRefused;
}

void SourceLearner::take(const Address& from, SourceVerdict verdict, Micros now) {
  takenAt_ = now;
  if (verdict == SourceVerdict::kRefused || rules_.learning == Learning::kOff) return;
  if (verdict != SourceVerdict::kKnown) {
    source_ = from;
    rank_ = static_cast<int8_t>(likeness(from));
    // Of the heuristic the time runs from the first packet: there is nothing to compare before it.
    if (!learnt_ && rules_.learning == Learning::kHeuristic) windowAt_ = now;
    learnt_ = true;
  }
  if (frozen_) return;
  const bool at = rules_.learning == Learning::kImmediate || rules_.learning == Learning::kAsymmetric;
  frozen_ = at || rank_ == kExact || now - windowAt_ >= kWindowUs;
}

}  // namespace causeway
