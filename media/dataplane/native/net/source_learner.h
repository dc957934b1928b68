// Where a party really sends from, when SDP may be wrong about it: the learning modes of the ng protocol. Pure: no
// sockets, no clock. A packet is judged before it costs anything, and taken once it has proven itself.
#pragma once

#include <cstdint>
#include <vector>

#include "../core/transcoder.h"
#include "address.h"

namespace causeway {

enum class Learning : uint8_t {
  kOff,         // the address of SDP, both ways
  kAsymmetric,  // sent to the address of SDP; received from whom speaks first
  kImmediate,   // who speaks first
  kDelayed,     // who speaks first, at once, until somebody at its host of SDP or of signaling; frozen by the first packet
                // 3 s after the last word of signaling
  kHeuristic,   // who is likest to SDP within 3 s
};

struct LearningRules {
  Learning learning = Learning::kHeuristic;
  bool strictSource = false;   // never left, once frozen
  bool mediaHandover = false;  // followed, though frozen
  bool newParty = false;       // another party answers here: where the one before was is not it
  Address signaling{};        // where its signaling comes from, by host; unknown when nobody has said
};

// What is known of the stream a packet claims to be part of.
struct SourceProof {
  bool keys = false;      // it is, or will have been, authenticated
  bool sameSsrc = false;  // of the stream so far
};

enum class SourceVerdict : uint8_t {
  kRefused,
  kKnown,     // from where it came before
  kFirst,     // the first one
  kBetter,    // liker to SDP than the one before
  kMoved,     // the same stream from elsewhere
  kHandover,  // another stream, and media handover is allowed
};
inline constexpr const char* kVerdictNames[] = {"refused", "known", "first", "better", "moved", "handover"};

class SourceLearner {
 public:
  // `proofNeeded`: of RTCP. Nobody's report comes first for sure, so a stranger's might: it is heard from the address of
  // SDP, or with the keys or the SSRC of the stream.
  explicit SourceLearner(bool proofNeeded = false) : proofNeeded_(proofNeeded) {}
  // A word of signaling: where SDP says that the party is, and the rules. An address that stays keeps what was learnt,
  // but may be moved from within the next 3 s.
  void signalled(const Address& expected, const LearningRules& rules, Micros now);
  SourceVerdict judge(const Address& from, const SourceProof& proof, Micros now) const;
  // The packet has proven itself: `verdict` is what judge() said of it.
  void take(const Address& from, SourceVerdict verdict, Micros now);
  // Its sibling has moved: anything may be its new place that can be told to be the same party.
  void reopen(Micros now);
  // Where to send; unknown before there is a word of it.
  const Address& target() const { return learnt_ && rules_.learning > Learning::kAsymmetric ? source_ : expected_; }
  const Address& source() const { return rules_.learning == Learning::kOff ? expected_ : source_; }
  bool learnt() const { return learnt_; }
  bool frozen() const { return frozen_; }
  const Address& expected() const { return expected_; }

 private:
  int likeness(const Address& from) const;
  bool isFormer(const Address& from) const;
  void leave(const Address& place);
  Address expected_;
  Address source_;
  LearningRules rules_;
  bool proofNeeded_;
  bool learnt_ = false;
  bool frozen_ = false;
  bool again_ = false;  // it had been frozen before
  int8_t rank_ = -1;
  Micros windowAt_ = 0;  // when the 3 s began
  Micros takenAt_ = 0;
  std::vector<Address> former_;  // of parties that answered before, the last few
};

}  // namespace causeway
