#include "dataplane.h"

#include <cerrno>
#include <cstring>
#include <functional>

namespace causeway {
namespace {

constexpr const char* kIceLengths = "the shared port needs ICE credentials of at least 4 and 22 characters";  // RFC 8445 §5.3

bool longEnough(const IceCredentials& ice) { return ice.ufrag.size() >= 4 && ice.pwd.size() >= 22; }

}  // namespace

std::unique_ptr<Dataplane> Dataplane::create(const DataplaneOptions& options, EventSink sink, std::string& error) {
  std::unique_ptr<Dataplane> plane(new Dataplane());
  plane->options_ = options;
  plane->sink_ = std::move(sink);
  plane->identity_ = DtlsIdentity::create(error);
  if (!plane->identity_) return nullptr;
  if (options.interfaces.empty() || options.portMin > options.portMax || options.threads == 0) {
    error = "at least one interface, one thread, and portMin up to portMax are needed";
    return nullptr;
  }
  plane->ports_ = std::make_unique<PortRange>(options.portMin, options.portMax, options.tos);
  plane->portsOf_.resize(options.interfaces.size());
  for (unsigned i = 0; i < options.threads; i++) {
    plane->workers_.push_back(std::make_unique<Worker>(*plane->identity_, plane->sink_));
    if (!plane->workers_.back()->start(error)) return nullptr;
  }
  Dataplane* const self = plane.get();
  plane->recorder_ = std::make_unique<Recorder>(options.threads, [self](const RecordingResult& result) {
    Event event;
    event.type = Event::Type::kRecording;
    event.recording = result;
    self->sink_(std::move(event));
  });
  for (const Interface& interface : options.interfaces) {
    Address address;
    if (!Address::parse(interface.address, options.webrtcPort, address)) {
      error = "interface " + interface.name + ": \"" + interface.address + "\" is no IP address";
      return nullptr;
    }
    const int fd = bindUdp(address, options.tos);
    if (fd < 0) {
      error = "cannot listen on udp " + interface.address + ":" + std::to_string(options.webrtcPort) + ": " + std::strerror(errno);
      return nullptr;
    }
    const int bytes = 4 << 20;
    ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
    ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    plane->shared_.push_back(std::make_unique<SharedPort>(fd, interface.name));
    const size_t index = plane->shared_.size() - 1;
    if (!plane->workers_[index % plane->workers_.size()]->serve(plane->shared_.back().get(), error)) return nullptr;
  }
  return plane;
}

Dataplane::~Dataplane() { close(); }

void Dataplane::close() {
  std::vector<uint64_t> ids;
  ids.reserve(endpoints_.size());
  for (const auto& entry : endpoints_) ids.push_back(entry.first);
  for (const uint64_t id : ids) closeEndpoint(id);
  for (const auto& worker : workers_) {
    cpuBefore_ += worker->cpuMs();
    worker->stop();
  }
  if (recorder_) recorder_->stop();
  workers_.clear();
  shared_.clear();
}

Endpoint* Dataplane::find(uint64_t id) {
  const auto found = endpoints_.find(id);
  return found == endpoints_.end() ? nullptr : found->second.get();
}

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

bool Dataplane::setPath(uint64_t fromId, uint64_t toId, const PathSpec& spec, Failure& failure) {
  Endpoint* from = find(fromId);
  Endpoint* to = find(toId);
  if (from == nullptr || to == nullptr) {
    failure = {"closed", "the endpoint is closed"};
    return false;
  }
  if (from->worker != to->worker) {
    failure = {"bad-argument", "both ends of a path need the same affinity"};
    return false;
  }
  const Worker::Hold hold(*from->worker);
  std::string error;
  if (from->worker->setPath(*from, *to, spec, error)) return true;
  failure = {"bad-argument", error};
  return false;
}

bool Dataplane::clearPath(uint64_t fromId, uint64_t toId, Failure&) {
  Endpoint* from = find(fromId);
  if (from == nullptr) return true;
  const Worker::Hold hold(*from->worker);
  if (from->out && from->out->to->id == toId) from->worker->clearPath(*from);
  return true;
}

bool Dataplane::setBundle(uint64_t carrierId, const BundleSpec& spec, Failure& failure) {
  Endpoint* carrier = find(carrierId);
  if (carrier == nullptr) {
    failure = {"closed", "the endpoint is closed"};
    return false;
  }
  std::vector<Endpoint*> lines;
  for (const BundleSpec::Line& line : spec.lines) {
    Endpoint* endpoint = find(line.endpoint);
    if (endpoint == nullptr || &endpoint->transport() != carrier || lines.size() >= BundleTable::kMaxLines) {
      failure = {"bad-argument", "a bundle is of at most " + std::to_string(BundleTable::kMaxLines) + " lines that use its transport"};
      return false;
    }
    lines.push_back(endpoint);
  }
  const Worker::Hold hold(*carrier->worker);
  carrier->worker->setBundle(*carrier, spec, std::move(lines));
  return true;
}

bool Dataplane::play(uint64_t to, std::shared_ptr<const Clip> clip, const PlayOptions& options, bool behind, Failure& failure) {
  Endpoint* endpoint = find(to);
  if (endpoint == nullptr) {
    failure = {"closed", "the endpoint is closed"};
    return false;
  }
  ClipReader::prepare();
  std::string error;
  const Worker::Hold hold(*endpoint->worker);
  if (endpoint->worker->play(*endpoint, std::move(clip), options, behind, error)) return true;
  failure = {"bad-argument", error};
  return false;
}

bool Dataplane::stopPlaying(uint64_t to, uint64_t& playback, uint32_t& positionMs) {
  Endpoint* endpoint = find(to);
  if (endpoint == nullptr) return false;
  const Worker::Hold hold(*endpoint->worker);
  endpoint->worker->stopPlaying(*endpoint, playback, positionMs);
  return playback != 0;
}

bool Dataplane::press(uint64_t to, const KeyPress& key, Failure& failure) {
  Endpoint* endpoint = find(to);
  if (endpoint == nullptr) {
    failure = {"closed", "the endpoint is closed"};
    return false;
  }
  std::string error;
  const Worker::Hold hold(*endpoint->worker);
  if (endpoint->worker->press(*endpoint, key, error)) return true;
  failure = {"bad-argument", error};
  return false;
}

bool Dataplane::tap(uint64_t fromId, uint64_t toId, bool on, const TapSpec* spec, Failure& failure) {
  Endpoint* from = find(fromId);
  Endpoint* to = find(toId);
  if (from == nullptr || to == nullptr) {
    if (!on) return true;
    failure = {"closed", "the endpoint is closed"};
    return false;
  }
  if (from->worker != to->worker || from == to) {
    failure = {"bad-argument", "both ends of a tap need the same affinity"};
    return false;
  }
  const Worker::Hold hold(*from->worker);
  if (!on) {
    from->worker->untap(*from, *to);
    return true;
  }
  std::string error;
  if (from->worker->tap(*from, *to, spec, error)) return true;
  failure = {"bad-argument", error};
  return false;
}

void Dataplane::release(const Endpoint& endpoint) {
  const bool pair = endpoint.rtcpFd >= 0;
  ports_->release(endpoint.port, pair);
  for (size_t i = 0; i < options_.interfaces.size(); i++) {
    if (options_.interfaces[i].name == endpoint.spec.interface) portsOf_[i] -= pair ? 2 : 1;
  }
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

uint64_t Dataplane::openRecording(const std::string& file, Failure& failure) {
  std::string error;
  const uint64_t id = recorder_->open(file, error);
  if (id == 0) failure = {"bad-argument", error};
  else recorded_[id];
  return id;
}

bool Dataplane::record(uint64_t recording, uint64_t id, bool on, Failure& failure) {
  Endpoint* endpoint = find(id);
  const auto found = recorded_.find(recording);
  if (endpoint == nullptr || found == recorded_.end()) {
    if (!on) return true;
    failure = {"closed", endpoint == nullptr ? "the endpoint is closed" : "the recording is closed"};
    return false;
  }
  size_t index = 0;
  while (workers_[index].get() != endpoint->worker) index++;
  Address local;
  for (const Interface& interface : options_.interfaces) {
    if (interface.name == endpoint->spec.interface) Address::parse(interface.address, endpoint->port, local);
  }
  if (on) found->second.insert(id);
  else if (found->second.erase(id) == 0) return true;
  const Worker::Hold hold(*endpoint->worker);
  endpoint->worker->record(*endpoint, on ? recorder_->ring(index) : nullptr, recording, local);
  return true;
}

void Dataplane::closeRecording(uint64_t recording) {
  const auto found = recorded_.find(recording);
  if (found == recorded_.end()) return;
  for (const uint64_t id : found->second) {
    Endpoint* endpoint = find(id);
    if (endpoint == nullptr) continue;
    const Worker::Hold hold(*endpoint->worker);
    endpoint->worker->record(*endpoint, nullptr, recording, {});
  }
  recorded_.erase(found);
  recorder_->close(recording);
}

bool Dataplane::stats(uint64_t id, EndpointStats& out) {
  Endpoint* endpoint = find(id);
  if (endpoint == nullptr) return false;
  const Worker::Hold hold(*endpoint->worker);
  endpoint->worker->stats(*endpoint, out);
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

std::vector<uint64_t> Dataplane::idle(int64_t olderThanMs) {
  std::vector<uint64_t> ids;
  const Micros now = monotonicNow();
  for (const auto& [id, endpoint] : endpoints_) {
    const Worker::Hold hold(*endpoint->worker);
    const Micros since = endpoint->lastRtpAt < 0 ? endpoint->openedAt : endpoint->lastRtpAt;
    if (now - since > olderThanMs * 1000) ids.push_back(id);
  }
  return ids;
}

Totals Dataplane::totals() {
  Totals totals;
  const auto sum = [&totals](const Counters& counters) {
    totals.endpoints += counters.endpoints.get();
    totals.paths += counters.paths.get();
    totals.transcoders += counters.transcoders.get();
    totals.nativeBytes += static_cast<int64_t>(counters.nativeBytes.get());
    totals.packetsReceived += counters.packetsReceived.get();
    totals.packetsSent += counters.packetsSent.get();
    totals.bytesReceived += counters.bytesReceived.get();
    totals.bytesSent += counters.bytesSent.get();
    for (size_t i = 0; i < kDropCount; i++) totals.dropped[i] += counters.dropped[i].get();
    totals.dtlsConnected += counters.dtlsConnected.get();
    totals.dtlsFailed += counters.dtlsFailed.get();
    totals.iceChecksSent += counters.iceChecksSent.get();
    totals.iceChecksAnswered += counters.iceChecksAnswered.get();
    totals.iceChecksHeld += counters.iceChecksHeld.get();
    totals.iceCandidatesRefused += counters.iceCandidatesRefused.get();
    totals.iceFailed += counters.iceFailed.get();
    totals.consentLost += counters.consentLost.get();
    totals.taps += counters.taps.get();
    totals.tappedPackets += counters.tappedPackets.get();
  };
  for (const auto& worker : workers_) sum(worker->counters());
  for (const auto& port : shared_) sum(port->counters());
  recorder_->totals(totals);
  totals.portsInUse = ports_->inUse();
  totals.portsTotal = ports_->total();
  for (size_t i = 0; i < portsOf_.size(); i++) totals.portsByInterface.emplace_back(options_.interfaces[i].name, portsOf_[i]);
  totals.threads = static_cast<unsigned>(workers_.size());
  totals.cpuMs = cpuBefore_;
  for (const auto& worker : workers_) {
    totals.threadCpuMs.push_back(worker->cpuMs());
    totals.cpuMs += totals.threadCpuMs.back();
  }
  return totals;
}

}  // namespace causeway
