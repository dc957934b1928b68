// Endpoints from their opening to their end: their ports, their thread, what is known of their far sides.
#include <functional>

#include "dataplane.h"

namespace causeway {
namespace {

constexpr const char* kIceLengths = "the shared port needs ICE credentials of at least 4 and 22 characters";  // RFC 8445 §5.3

bool longEnough(const IceCredentials& ice) { return ice.ufrag.size() >= 4 && ice.pwd.size() >= 22; }

}  // namespace

bool Dataplane::open(const EndpointSpec& spec, Opened& opened, Failure& failure) {
  if (workers_.empty()) {
    failure = {"closed", "the packet path is closed"};
    return false;
  }
  Endpoint* const carrier = spec.socket == SocketKind::kCarried ? find(spec.carrier) : nullptr;
  const std::string& name = carrier != nullptr ? carrier->spec.interface : spec.interface;
  size_t index = 0;
  while (index < options_.interfaces.size() && options_.interfaces[index].name != name) index++;
  if (index == options_.interfaces.size()) {
    failure = {"no-interface", "there is no interface \"" + name + "\""};
    return false;
  }
  const Interface& interface = options_.interfaces[index];
  auto endpoint = std::make_unique<Endpoint>();
  endpoint->id = nextId_++;
  endpoint->spec = spec;
  endpoint->worker = workers_[std::hash<std::string>{}(spec.affinity) % workers_.size()].get();
  if (spec.socket == SocketKind::kCarried) {
    if (carrier == nullptr || carrier->spec.socket == SocketKind::kCarried || carrier->spec.raw || carrier->worker != endpoint->worker) {
      failure = {"bad-argument", "a bundled line needs an endpoint of the same affinity that has sockets"};
      return false;
    }
    endpoint->port = carrier->port;
    endpoint->spec.interface = carrier->spec.interface;
  } else if (spec.socket == SocketKind::kShared) {
    if (!spec.ice || !longEnough(*spec.ice)) {
      failure = {"bad-argument", kIceLengths};
      return false;
    }
    endpoint->shared = shared_[index].get();
    endpoint->rtpFd = endpoint->shared->fd();
    endpoint->port = options_.webrtcPort;
  } else {
    PortRange::Bound bound;
    if (!ports_->bind(interface.address, spec.socket == SocketKind::kPair, bound)) {
      failure = {"no-ports", "no free port from " + std::to_string(options_.portMin) + " to " + std::to_string(options_.portMax)};
      return false;
    }
    endpoint->rtpFd = bound.rtp;
    endpoint->rtcpFd = bound.rtcp;
    endpoint->port = bound.port;
    endpoint->tos = options_.tos;
    portsOf_[index] += bound.rtcp >= 0 ? 2 : 1;
  }
  {
    const Worker::Hold hold(*endpoint->worker);
    if (carrier != nullptr) endpoint->worker->ride(*endpoint, *carrier);
    if (!endpoint->worker->add(*endpoint)) {
      endpoint->worker->remove(*endpoint);
      if (endpoint->shared == nullptr) release(*endpoint);
      failure = {"no-ports", "the socket cannot be watched"};
      return false;
    }
  }
  // Last: from here on the shared port's thread may find it.
  if (endpoint->shared != nullptr && !endpoint->shared->add(spec.ice->ufrag, endpoint.get())) {
    const Worker::Hold hold(*endpoint->worker);
    endpoint->worker->remove(*endpoint);
    failure = {"bad-argument", "the ICE ufrag is in use"};
    return false;
  }
  opened = {endpoint->id, interface.advertised, endpoint->port,
            endpoint->rtcpFd >= 0 ? static_cast<uint16_t>(endpoint->port + 1) : uint16_t{0}};
  endpoints_.emplace(endpoint->id, std::move(endpoint));
  return true;
}

bool Dataplane::configure(uint64_t id, const RemoteSpec& remote, Failure& failure) {
  Endpoint* endpoint = find(id);
  if (endpoint == nullptr) {
    failure = {"closed", "the endpoint is closed"};
    return false;
  }
  const auto& ice = endpoint->spec.ice;
  if (remote.localIce && ice && remote.localIce->ufrag != ice->ufrag) {
    if (!longEnough(*remote.localIce)) {
      failure = {"bad-argument", kIceLengths};
      return false;
    }
    if (endpoint->shared != nullptr && !endpoint->shared->add(remote.localIce->ufrag, endpoint)) {
      failure = {"bad-argument", "the ICE ufrag is in use"};
      return false;
    }
  }
  if (endpoint->shared != nullptr && remote.iceRole == IceRole::kUnchecked) endpoint->shared->expect(remote.rtp, endpoint);
  const Worker::Hold hold(*endpoint->worker);
  endpoint->worker->configure(*endpoint, remote);
  return true;
}

bool Dataplane::move(uint64_t id, const std::string& affinity, Failure& failure) {
  Endpoint* endpoint = find(id);
  if (endpoint == nullptr) {
    failure = {"closed", "the endpoint is closed"};
    return false;
  }
  // Lines of one transport are of one thread: they would all have to go at once.
  if (endpoint->bundled) {
    failure = {"bad-argument", "a bundled endpoint stays with its thread"};
    return false;
  }
  Worker* const to = workers_[std::hash<std::string>{}(affinity) % workers_.size()].get();
  endpoint->spec.affinity = affinity;
  if (to == endpoint->worker) return true;
  for (auto& [recording, ids] : recorded_) ids.erase(id);
  bool watched = true;
  const auto hand = [&] {
    {
      const Worker::Hold hold(*endpoint->worker);
      endpoint->worker->detach(*endpoint);
      endpoint->worker = to;
    }
    const Worker::Hold hold(*to);
    watched = to->attach(*endpoint);
  };
  // The thread of the shared port finds it by its worker.
  if (endpoint->shared != nullptr) endpoint->shared->alone(hand);
  else hand();
  if (!watched) failure = {"no-ports", "the socket cannot be watched"};
  return watched;
}

bool Dataplane::mark(uint64_t id, std::optional<uint8_t> tos, Failure& failure) {
  Endpoint* endpoint = find(id);
  if (endpoint == nullptr) {
    failure = {"closed", "the endpoint is closed"};
    return false;
  }
  const Worker::Hold hold(*endpoint->worker);
  endpoint->worker->mark(*endpoint, tos.value_or(options_.tos));
  return true;
}

void Dataplane::closeEndpoint(uint64_t id) {
  const auto found = endpoints_.find(id);
  if (found == endpoints_.end()) return;
  Endpoint& endpoint = *found->second;
  if (endpoint.shared != nullptr) endpoint.shared->remove(&endpoint);
  {
    const Worker::Hold hold(*endpoint.worker);
    endpoint.worker->remove(endpoint);
  }
  if (endpoint.rtpFd >= 0 && endpoint.shared == nullptr) release(endpoint);
  for (auto& [recording, ids] : recorded_) ids.erase(id);
  endpoints_.erase(found);
}

void Dataplane::release(const Endpoint& endpoint) {
  const bool pair = endpoint.rtcpFd >= 0;
  ports_->release(endpoint.port, pair);
  for (size_t i = 0; i < options_.interfaces.size(); i++) {
    if (options_.interfaces[i].name == endpoint.spec.interface) portsOf_[i] -= pair ? 2 : 1;
  }
}

}  // namespace causeway
