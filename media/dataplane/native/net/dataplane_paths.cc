// Where media goes: from one endpoint to another, on the lines of one transport, into copies and recordings; and what is played.
#include "dataplane.h"

namespace causeway {

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

}  // namespace causeway
