// The threads, the shared ports and the sums over them all.
#include "dataplane.h"

#include <cerrno>
#include <cstring>

namespace causeway {

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

bool Dataplane::stats(uint64_t id, EndpointStats& out) {
  Endpoint* endpoint = find(id);
  if (endpoint == nullptr) return false;
  const Worker::Hold hold(*endpoint->worker);
  endpoint->worker->stats(*endpoint, out);
  return true;
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
