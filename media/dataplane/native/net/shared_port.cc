#include "shared_port.h"

#include <unistd.h>

#include <optional>

#include "stun.h"
#include "worker.h"

namespace causeway {
namespace {

constexpr int kRounds = 4;          // batches that are read before the worker's own sockets get their turn
constexpr size_t kMaxSources = 16;  // of one endpoint

}  // namespace

SharedPort::~SharedPort() { ::close(fd_); }

bool SharedPort::add(const std::string& ufrag, Endpoint* endpoint) {
  const std::lock_guard lock(mutex_);
  if (!byUfrag_.emplace(ufrag, endpoint).second) return false;
  byId_[endpoint->id] = endpoint;
  auto& names = ufragsOf_[endpoint];
  names.push_back(ufrag);
  // Of earlier restarts none but the last can still be in use.
  if (names.size() > 2) {
    byUfrag_.erase(names.front());
    names.erase(names.begin());
  }
  return true;
}

void SharedPort::remove(Endpoint* endpoint) {
  const std::lock_guard lock(mutex_);
  const auto names = ufragsOf_.find(endpoint);
  if (names != ufragsOf_.end()) {
    for (const std::string& ufrag : names->second) byUfrag_.erase(ufrag);
    ufragsOf_.erase(names);
    byId_.erase(endpoint->id);
  }
  const auto sources = sourcesOf_.find(endpoint);
  if (sources == sourcesOf_.end()) return;
  for (const Address& address : sources->second) {
    const auto found = bySource_.find(address);
    if (found != bySource_.end() && found->second == endpoint) bySource_.erase(found);
  }
  sourcesOf_.erase(sources);
}

// Of nobody here: counted for the node alone.
void SharedPort::refused(size_t bytes, Drop why) {
  counters_.packetsReceived.add();
  counters_.bytesReceived.add(bytes);
  counters_.dropped[why].add();
}

Endpoint* SharedPort::ownerOf(std::span<const uint8_t> packet, const Address& from, bool& check) {
  check = looksLikeStun(packet);
  if (!check) {
    const auto found = bySource_.find(from);
    if (found != bySource_.end()) return found->second;
    refused(packet.size(), kDropUnknownSource);
    return nullptr;
  }
  if (isBindingResponse(packet)) {
    const auto found = byId_.find(ownerOfIceTransaction(&packet[8]));
    if (found != byId_.end()) return found->second;
  }
  if (isBindingIndication(packet) && bySource_.contains(from)) return nullptr;
  StunRequest request;
  if (parseBindingRequest(packet, request)) {
    const size_t colon = request.username.find(':');
    const auto found = byUfrag_.find(std::string(request.username.substr(0, colon)));
    if (found != byUfrag_.end()) return found->second;
  }
  refused(packet.size(), kDropIce);
  return nullptr;
}

void SharedPort::remember(const Address& from, Endpoint* endpoint) {
  const auto known = bySource_.find(from);
  if (known != bySource_.end() && known->second == endpoint) return;
  auto& sources = sourcesOf_[endpoint];
  if (sources.size() >= kMaxSources) {
    const auto oldest = bySource_.find(sources.front());
    if (oldest != bySource_.end() && oldest->second == endpoint) bySource_.erase(oldest);
    sources.erase(sources.begin());
  }
  sources.push_back(from);
  bySource_[from] = endpoint;
}

void SharedPort::expect(const Address& from, Endpoint* endpoint) {
  const std::lock_guard lock(mutex_);
  if (from.known() && !bySource_.contains(from)) remember(from, endpoint);
}

void SharedPort::readAll(ReadBatch& batch) {
  for (int round = 0; round < kRounds; round++) {
    const size_t count = batch.read(fd_);
    if (count == 0) return;
    const std::lock_guard lock(mutex_);
    const Micros now = monotonicNow();
    // Runs for one worker under one taking of its lock.
    std::optional<Worker::Hold> hold;
    Worker* held = nullptr;
    for (size_t i = 0; i < count; i++) {
      const Address from = batch.from(i);
      bool check = false;
      Endpoint* endpoint = ownerOf(batch.packet(i), from, check);
      if (endpoint == nullptr) continue;
      if (endpoint->worker != held) {
        if (held != nullptr) held->outbox().closeBatch();
        hold.reset();
        held = endpoint->worker;
        hold.emplace(*held);
        held->outbox().openBatch();
      }
      const bool proven = held->datagram(*endpoint, false, from, batch.packet(i), now);
      if (check && proven) remember(from, endpoint);
    }
    if (held != nullptr) held->outbox().closeBatch();
    hold.reset();
    if (count < kReadBatch) return;
  }
}

}  // namespace causeway
