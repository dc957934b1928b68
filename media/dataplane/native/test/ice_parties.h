// What the ICE tests play with: a net in virtual time, parties on it that have an agent, and others that only answer.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "../net/ice_agent.h"

namespace causeway::test {

inline Address at(const std::string& host, uint16_t port) {
  Address out;
  Address::parse(host, port, out);
  return out;
}

inline constexpr Micros kMs = 1000;
inline constexpr Micros kSecond = 1'000'000;
inline constexpr Micros kWay = 20 * kMs;  // of a packet from one to the other
inline const IceCredentials kLeft{"left", "left-password-012345678901"};
inline const IceCredentials kRight{"right", "right-password-01234567890"};

inline IceCandidate candidate(const Address& address, uint32_t priority, uint8_t component = 1) { return {address, priority, component, IceKind::kHost}; }

struct Packet {
  Micros at = 0;
  Address from, to;
  std::vector<uint8_t> bytes;
};

// Everybody with an address, and the packets between them.
class Net {
 public:
  using Handler = std::function<void(const Packet&, Micros)>;
  std::map<std::string, Handler> hosts;
  std::function<bool(const Packet&)> loses = [](const Packet&) { return false; };
  std::vector<Packet> sent;
  Micros now = 0;

  void send(const Address& from, const Address& to, std::span<const uint8_t> bytes) {
    Packet packet{now + kWay, from, to, {bytes.begin(), bytes.end()}};
    sent.push_back(packet);
    if (!loses(packet)) queue_.push_back(std::move(packet));
  }
  // `due`: what has to be done by the clock, and when next.
  void run(Micros until, const std::function<Micros()>& due) {
    for (;;) {
      Micros next = due();
      if (!queue_.empty()) next = std::min(next, queue_.front().at);
      if (next > until) break;
      now = std::max(now, next);
      while (!queue_.empty() && queue_.front().at <= now) {
        const Packet packet = std::move(queue_.front());
        queue_.pop_front();
        const auto found = hosts.find(name(packet.to));
        if (found != hosts.end()) found->second(packet, now);
      }
    }
    now = until;
  }
  static std::string name(const Address& address) { return address.host() + ":" + std::to_string(address.port()); }

 private:
  std::deque<Packet> queue_;
};

// An agent with its socket, as a worker drives it.
class Party {
 public:
  IceAgent agent;
  Address own;
  IceCredentials ours;
  bool conflicts = false;  // it has refused a role
  std::vector<IceAgent::Failure> failed;
  std::vector<Packet> seen;
  std::map<std::string, int> nominations;  // our USE-CANDIDATE, by where it went
  Net& net;

  Party(Net& n, const Address& address, const IceCredentials& credentials, bool controlling, uint64_t seed)
      : agent(seed, controlling, seed), own(address), ours(credentials), net(n) {
    net.hosts[Net::name(address)] = [this](const Packet& packet, Micros now) { receive(packet, now); };
  }
  void know(const IceCredentials& theirs, const std::vector<IceCandidate>& candidates, bool lite = false) {
    IceAgent::Peer peer;
    peer.ours = ours;
    peer.theirs = theirs;
    peer.lite = lite;
    peer.family = AF_INET;
    peer.candidates = candidates;
    agent.update(peer, net.now);
    send();
  }
  Micros due() {
    if (agent.nextDeadline() <= net.now) send();
    return agent.nextDeadline();
  }
  Address target() const { return agent.target(1, net.now); }
  IceReport report() const {
    IceReport out;
    agent.report(out, net.now);
    return out;
  }

 private:
  void receive(const Packet& packet, Micros now) {
    seen.push_back(packet);
    uint8_t out[256];
    StunRequest request;
    StunResponse response;
    if (parseBindingRequest(packet.bytes, request)) {
      if (!integrityHolds(packet.bytes, request, ours.pwd)) return;
      if (agent.request(packet.from, 1, request, now) == IceAgent::Verdict::kConflict) {
        conflicts = true;
        net.send(own, packet.from, {out, writeRoleConflict(out, request, ours.pwd)});
        return;
      }
      net.send(own, packet.from, {out, writeBindingSuccess(out, request, packet.from, ours.pwd)});
    } else if (parseBindingResponse(packet.bytes, response)) {
      agent.response(packet.from, 1, packet.bytes, response, now);
    }
    send();
  }
  void send() {
    IceAgent::Check out;
    while (agent.poll(net.now, out, [](const Address&) { return true; })) {
      uint8_t bytes[kStunCheckMax];
      const size_t length = writeBindingRequest(bytes, out.stun);
      if (out.stun.useCandidate) nominations[Net::name(out.to)]++;
      net.send(own, out.to, {bytes, length});
    }
    agent.takeChange();
    if (const auto failure = agent.takeFailure(); failure != IceAgent::Failure::kNone) failed.push_back(failure);
  }
};

// Answers what comes with right credentials, as a lite agent does.
inline void answers(Net& net, const Address& address, const IceCredentials& ours) {
  net.hosts[Net::name(address)] = [&net, address, ours](const Packet& packet, Micros) {
    StunRequest request;
    uint8_t out[256];
    if (!parseBindingRequest(packet.bytes, request) || !integrityHolds(packet.bytes, request, ours.pwd)) return;
    net.send(address, packet.from, {out, writeBindingSuccess(out, request, packet.from, ours.pwd)});
  };
}

inline const Address kA = at("10.0.0.1", 4000);
inline const Address kB = at("10.0.0.2", 5000);
inline const Address kB2 = at("10.0.0.2", 5001);
inline const Address kNowhere = at("10.9.9.9", 9);

// Checks of the peer: what kind, and what it makes of it.
inline StunRequest heard(bool nominates, bool controlling = true, uint64_t tieBreaker = 1) {
  StunRequest request;
  request.useCandidate = nominates;
  (controlling ? request.controlling : request.controlled) = true;
  request.tieBreaker = tieBreaker;
  request.priority = 700;
  return request;
}

}  // namespace causeway::test
