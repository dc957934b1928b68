// The one UDP port of all ICE legs on one interface: by ufrag until a check has held, then by address. Lock order: this
// mutex, then a worker's lock.
#pragma once

#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "counters.h"
#include "datagrams.h"

namespace causeway {

class SharedPort {
 public:
  SharedPort(int fd, std::string interface) : fd_(fd), interface_(std::move(interface)) {}
  ~SharedPort();
  SharedPort(const SharedPort&) = delete;
  SharedPort& operator=(const SharedPort&) = delete;
  int fd() const { return fd_; }
  const std::string& interface() const { return interface_; }
  const Counters& counters() const { return counters_; }
  // Checks for this name are the endpoint's; another name restarts ICE. False when the ufrag is taken.
  bool add(const std::string& ufrag, Endpoint* endpoint);
  void remove(Endpoint* endpoint);
  // While nobody is handed what arrives here.
  template <typename Work>
  void alone(const Work& work) {
    const std::lock_guard lock(mutex_);
    work();
  }
  // Nobody checks there: what comes from `from` is the endpoint's, unless somebody else has proven that it is his.
  void expect(const Address& from, Endpoint* endpoint);
  // Reads what waits and hands it to the workers; by the thread that serves this port, without its lock.
  void readAll(ReadBatch& batch);

 private:
  Endpoint* ownerOf(std::span<const uint8_t> packet, const Address& from, bool& check);
  void refused(size_t bytes, Drop why);
  void remember(const Address& from, Endpoint* endpoint);
  const int fd_;
  const std::string interface_;
  Counters counters_;  // of what is nobody's here
  std::mutex mutex_;
  std::unordered_map<std::string, Endpoint*> byUfrag_;
  std::unordered_map<uint64_t, Endpoint*> byId_;  // answers to checks of ours
  std::unordered_map<Endpoint*, std::vector<std::string>> ufragsOf_;  // the present one, and the one before a restart
  std::unordered_map<Address, Endpoint*, AddressHash> bySource_;
  std::unordered_map<Endpoint*, std::vector<Address>> sourcesOf_;
};

}  // namespace causeway
