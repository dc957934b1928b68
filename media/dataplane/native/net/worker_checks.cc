// The full ICE agent of an endpoint: when it begins, what it sends, what its answers mean.
#include <sys/random.h>

#include "stun.h"
#include "worker.h"

namespace causeway {
namespace {

uint64_t seed() {
  uint64_t value = 0;
  while (getrandom(&value, sizeof(value), 0) != sizeof(value)) {
  }
  return value;
}

int familyOf(int fd) {
  sockaddr_storage own{};
  socklen_t length = sizeof(own);
  return ::getsockname(fd, reinterpret_cast<sockaddr*>(&own), &length) == 0 ? own.ss_family : AF_UNSPEC;
}

}  // namespace

// After a word of signaling. `before`: what was known of the peer until now.
void Worker::configureIce(Endpoint& endpoint, const RemoteSpec& before, Micros now) {
  const RemoteSpec& remote = endpoint.remote;
  endpoint.iceRole = remote.iceRole;
  if (!endpoint.spec.ice) return;
  if (remote.rules.newParty && before.ice && remote.ice && before.ice->ufrag != remote.ice->ufrag) {
    // Another one has answered: nothing goes to the one before.
    endpoint.checked.clear();
    endpoint.selected = endpoint.selectedRtcp = Address();
    endpoint.nominated = false;
    endpoint.formerIce.reset();
    endpoint.agent.reset();
  }
  if (!endpoint.fullIce() || !remote.ice) {
    endpoint.agent.reset();
    return;
  }
  const bool fresh = !endpoint.agent;
  if (fresh) {
    endpoint.agent = std::make_unique<IceAgent>(endpoint.id, remote.iceRole == IceRole::kControlling, seed());
    // What was chosen in another role was so on the peer's word alone.
    endpoint.selected = endpoint.selectedRtcp = Address();
    endpoint.nominated = false;
  }
  IceAgent::Peer peer;
  peer.ours = *endpoint.spec.ice;
  peer.theirs = *remote.ice;
  peer.lite = remote.litePeer;
  peer.components = endpoint.rtcpFd >= 0 && !remote.rtcpMux ? 2 : 1;
  peer.family = familyOf(endpoint.rtpFd);
  peer.candidates = remote.candidates;
  counters_.iceCandidatesRefused.add(endpoint.agent->update(peer, now));
  endpoint.remote.candidates = {};  // the agent has them
  if (fresh) {
    // Checks may come before the answer that says whose they are.
    for (const Endpoint::Checked& checked : endpoint.checked) {
      StunRequest early;
      early.priority = checked.priority;
      endpoint.agent->request(checked.address, checked.rtcp ? 2 : 1, early, now);
    }
  }
  runAgent(endpoint, now);
}

bool Worker::stunResponse(Endpoint& endpoint, bool viaRtcp, const Address& from, std::span<const uint8_t> packet, Micros now) {
  StunResponse response;
  IceAgent* const agent = endpoint.agent.get();
  if (agent == nullptr || !parseBindingResponse(packet, response)) {
    drop(endpoint, kDropIce);
    return false;
  }
  const auto answer = agent->response(from, viaRtcp ? 2 : 1, packet, response, now);
  if (answer == IceAgent::Answer::kStray) {
    drop(endpoint, kDropIce);
    return false;
  }
  counters_.iceChecksAnswered.add();
  checkBudget_.answered(from, now);
  const bool proven = answer == IceAgent::Answer::kProven;
  if (proven) checkHeld(endpoint, viaRtcp, from, 0, now);
  runAgent(endpoint, now);
  return proven;
}

// Whatever it has to say, to tell and to send now.
void Worker::runAgent(Endpoint& endpoint, Micros now) {
  IceAgent& agent = *endpoint.agent;
  const auto chosen = [&] {
    if (!agent.takeChange()) return;
    if (agent.components() == 2) endpoint.selectedRtcp = agent.target(2, now);
    const Address pair = agent.target(1, now);
    if (pair.known()) select(endpoint, pair, agent.nominated(1), now);
  };
  chosen();
  const auto allow = [this, now](const Address& to) {
    const bool ok = checkBudget_.take(to, now);
    if (!ok) counters_.iceChecksHeld.add();
    return ok;
  };
  IceAgent::Check check;
  while (agent.poll(now, check, allow)) {
    uint8_t packet[kStunCheckMax];
    const size_t length = writeBindingRequest(packet, check.stun);
    counters_.iceChecksSent.add();
    outbox_.sendNow(endpoint, check.component == 2 ? endpoint.rtcpFd : endpoint.rtpFd, check.to, {packet, length});
  }
  chosen();
  if (const auto failure = agent.takeFailure(); failure != IceAgent::Failure::kNone) {
    const bool consent = failure == IceAgent::Failure::kConsent;
    (consent ? counters_.consentLost : counters_.iceFailed).add();
    Event event;
    event.type = Event::Type::kIceFailed;
    event.endpoint = endpoint.id;
    event.reason = consent ? "consent" : "checks";
    event.remote = endpoint.selected;
    sink_(std::move(event));
  }
  reschedule(endpoint);
}

}  // namespace causeway
