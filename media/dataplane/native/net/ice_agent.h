// A full ICE agent of one endpoint: checks of its one host candidate a component against the peer's, in either role
// (RFC 8445), and consent on the pair that was chosen (RFC 7675). Pure: no sockets, `now` is an argument; what is to be
// sent is polled.
//
// No pair is ever frozen (§6.1.2.6): with one local candidate all would be thawed within the first round trip. For the same
// reason the priority of the peer's candidate alone is the order of the pairs.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ice_transaction.h"
#include "stun.h"
#include "types.h"

namespace causeway {

class IceAgent {
 public:
  static constexpr size_t kMaxCandidates = 20;  // of SDP; more are refused
  static constexpr size_t kMaxLearned = 10;     // peer-reflexive ones
  static constexpr uint32_t kMaxChecks = 200;   // sent before a pair is nominated; then it is given up
  static constexpr Micros kPaceUs = 50'000;     // Ta, RFC 8445 §14.2
  static constexpr Micros kSettleUs = 250'000;  // a better candidate may still answer
  static constexpr Micros kConsentUs = 30'000'000;
  static constexpr Micros kPatienceUs = 40'000'000;  // of the seven sendings of a check (§14.3): 39.5 s

  struct Peer {
    IceCredentials ours;
    IceCredentials theirs;
    bool lite = false;
    uint8_t components = 1;
    int family = 0;  // of our candidate; others cannot be reached
    std::span<const IceCandidate> candidates;
  };
  struct Check {
    Address to;
    uint8_t component = 1;
    StunCheck stun;  // its names are the agent's, until it is changed
  };
  enum class Verdict : uint8_t { kAnswer, kConflict };
  // What a response is: none to us, an error or from elsewhere than asked, or the proof of its source.
  enum class Answer : uint8_t { kStray, kHeard, kProven };
  enum class Failure : uint8_t { kNone, kNoPair, kConsent };

  // `controlling`: as offer and answer have it; a conflict may turn it.
  IceAgent(uint64_t endpoint, bool controlling, uint64_t seed) : endpoint_(endpoint), controlling_(controlling), random_(seed) { tieBreaker_ = random(); }

  // What signaling knows of the peer. Other names of ours or of the peer restart: media goes on over the pair that was
  // chosen until another is nominated. More candidates trickle in. Returns how many were refused.
  size_t update(const Peer& peer, Micros now);
  // A check with our credentials of now has come. `kConflict`: is to be answered by 487.
  Verdict request(const Address& from, uint8_t component, const StunRequest& request, Micros now);
  Answer response(const Address& from, uint8_t component, std::span<const uint8_t> packet, const StunResponse& response, Micros now);

  // The next check, until there is none. `allow` is asked for places that have not answered yet.
  bool poll(Micros now, Check& out, const std::function<bool(const Address&)>& allow);
  Micros nextDeadline() const { return next_; }

  // Where media goes; unknown while there is no pair whose check has held, and without consent.
  Address target(uint8_t component, Micros now) const {
    const Chosen& chosen = chosen_[component - 1];
    return chosen.known && now - chosen.answeredAt < kConsentUs ? chosen.address : Address();
  }
  // Something else was chosen since this was asked last.
  bool takeChange() { return std::exchange(changed_, false); }
  Failure takeFailure() { return std::exchange(failure_, Failure::kNone); }
  bool nominated(uint8_t component) const { return chosen_[component - 1].nominated; }
  uint8_t components() const { return components_; }
  void report(IceReport& out, Micros now) const;
  size_t memoryBytes() const;

 private:
  enum class State : uint8_t { kWaiting, kInProgress, kSucceeded, kFailed, kLeft };
  struct Pair {
    Address remote;
    uint32_t priority = 0;
    uint8_t component = 1;
    IceKind kind = IceKind::kHost;
    State state = State::kWaiting;
    bool triggered = false;
    bool valid = false;           // a check has held
    bool nominating = false;      // the next check, or the one under way, nominates
    bool wanted = false;          // the peer has nominated it
    bool sentControlling = false;
    uint8_t sent = 0;             // times, of the check under way
    Micros dueAt = 0;             // not before; of a check under way: sent again, or given up
    uint64_t nonce = 0;           // of the check under way, and of the one before: its answer counts, too
    uint64_t formerNonce = 0;
    uint64_t nominatingNonce = 0;
    bool active() const { return state == State::kWaiting || state == State::kInProgress; }
  };
  struct Chosen {
    bool known = false;
    bool nominated = false;
    bool former = false;  // of before a restart, with the credentials of then
    uint32_t priority = 0;
    Address address;
    Micros nominatedAt = 0;
    Micros answeredAt = 0;
    Micros askAt = kNever;
    std::array<uint64_t, 2> nonces{};
  };

  uint64_t random();
  uint64_t nonce();
  Micros consentAt(Micros now);
  size_t add(const Peer& peer);
  Pair* find(const Address& remote, uint8_t component);
  void expire(Micros now);
  void nominate(Micros now);
  bool askConsent(Micros now, Check& out);
  bool sendNext(Micros now, Check& out, const std::function<bool(const Address&)>& allow);
  void write(Pair& pair, Micros now, Check& out);
  void fill(Check& out, uint64_t nonce, bool former) const;
  void succeed(Pair& pair, bool nominates, Micros now);
  void fail(Pair& pair);
  void choose(const Pair& pair, bool nominated, Micros now);
  void take(bool controlling);
  bool done() const;
  bool lost() const;
  void schedule();

  const uint64_t endpoint_;
  bool controlling_;
  bool litePeer_ = false;
  uint8_t components_ = 1;
  uint64_t random_;
  uint64_t tieBreaker_ = 0;
  std::string ours_;
  IceCredentials theirs_;
  std::string username_;  // "<theirs>:<ours>", as is the former one
  std::string formerUsername_;
  std::string formerPassword_;
  std::vector<Pair> pairs_;
  std::array<Chosen, 2> chosen_;
  std::array<Micros, 2> firstValidAt_{-1, -1};
  Micros startedAt_ = 0;
  Micros pacedAt_ = 0;  // no check before
  Micros nominateAt_ = kNever;
  Micros next_ = kNever;
  uint32_t checks_ = 0;
  uint32_t spent_ = 0;  // of kMaxChecks
  uint32_t answers_ = 0;
  uint32_t held_ = 0;
  uint32_t refused_ = 0;
  bool changed_ = false;
  bool gaveUp_ = false;
  Failure failure_ = Failure::kNone;
};

}  // namespace causeway
