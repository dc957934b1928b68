// One thread of the packet path: its endpoints, their sockets and deadlines. Its mutex guards all of them; other threads
// that hold it may do what the thread itself does.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <unordered_map>

#include "endpoint.h"

namespace causeway {

using EventSink = std::function<void(Event)>;

// Counters of the process; relaxed atomics.
struct Counters {
  std::atomic<uint64_t> packetsReceived{0};
  std::atomic<uint64_t> packetsSent{0};
  std::atomic<uint64_t> bytesReceived{0};
  std::atomic<uint64_t> bytesSent{0};
  std::array<std::atomic<uint64_t>, kDropCount> dropped{};
  std::atomic<uint64_t> endpoints{0};
  std::atomic<uint64_t> paths{0};
  std::atomic<uint64_t> transcoders{0};
  std::atomic<int64_t> nativeBytes{0};
  std::atomic<uint64_t> dtlsConnected{0};
  std::atomic<uint64_t> dtlsFailed{0};
};

Micros monotonicNow();

inline constexpr size_t kPacketSize = 1600;
inline constexpr size_t kReadBatch = 32;

// Datagrams that one call to the kernel brought.
class ReadBatch {
 public:
  ReadBatch();
  // How many; 0 when there is nothing (more).
  size_t read(int fd);
  std::span<uint8_t> packet(size_t i) { return {buffers_[i].data(), messages_[i].msg_len}; }
  Address from(size_t i) const { return Address::from(sources_[i]); }

 private:
  std::array<std::array<uint8_t, kPacketSize>, kReadBatch> buffers_;
  std::array<sockaddr_storage, kReadBatch> sources_;
  std::array<iovec, kReadBatch> vectors_;
  std::array<mmsghdr, kReadBatch> messages_;
};

// The one UDP port of all ICE legs on one interface. Lock order: this mutex, then a worker's.
class SharedPort {
 public:
  SharedPort(int fd, std::string interface, Counters& counters) : fd_(fd), interface_(std::move(interface)), counters_(counters) {}
  ~SharedPort();
  int fd() const { return fd_; }
  const std::string& interface() const { return interface_; }
  bool add(const std::string& ufrag, Endpoint* endpoint);
  void remove(Endpoint* endpoint);
  void readAll(ReadBatch& batch);

 private:
  const int fd_;
  const std::string interface_;
  Counters& counters_;
  std::mutex mutex_;
  std::unordered_map<std::string, Endpoint*> byUfrag_;
  std::unordered_map<Address, Endpoint*, AddressHash> bySource_;
  std::unordered_map<Endpoint*, std::vector<Address>> sourcesOf_;
};

class Worker {
 public:
  Worker(Counters& counters, const DtlsIdentity& identity, const EventSink& sink);
  ~Worker();
  bool start(std::string& error);
  void stop();
  bool serve(SharedPort* port, uint64_t index, std::string& error);

  // All of these: under mutex().
  std::mutex& mutex() { return mutex_; }
  bool add(Endpoint& endpoint);
  void configure(Endpoint& endpoint, const RemoteSpec& remote);
  bool setPath(Endpoint& from, Endpoint& to, const PathSpec& spec, std::string& error);
  void clearPath(Endpoint& from);
  void remove(Endpoint& endpoint);
  void stats(const Endpoint& endpoint, EndpointStats& out) const;
  // A datagram for an endpoint; `viaRtcp`: it came to the RTCP socket. STUN of the shared port says whether its source is now proven.
  bool datagram(Endpoint& endpoint, bool viaRtcp, const Address& from, std::span<uint8_t> packet, Micros now);
  void flush();
  void wakeIfEarlier(Micros before);
  Micros earliest() const { return deadlines_.empty() ? kNever : deadlines_.begin()->first; }

  double cpuMs();

 private:
  struct Out {
    int fd = -1;
    Address to;
    size_t length = 0;
    Endpoint* endpoint = nullptr;
    std::array<uint8_t, kPacketSize> bytes;
  };
  static constexpr size_t kOutBatch = 64;

  void run();
  void readSocket(uint64_t id, ReadBatch& batch);
  void wake();
  void drop(Endpoint& endpoint, Drop why);
  bool stun(Endpoint& endpoint, const Address& from, std::span<const uint8_t> packet, Micros now);
  void dtlsDatagram(Endpoint& endpoint, const Address& from, std::span<const uint8_t> packet, Micros now);
  void afterDtls(Endpoint& endpoint, Micros now);
  bool mayAccept(Endpoint& endpoint, bool rtcp, const Address& from, Micros now);
  bool mayHaveMoved(const Endpoint& endpoint, const uint8_t* packet, size_t length, Micros now) const;
  bool learn(Endpoint& endpoint, bool rtcp, const Address& from, Micros now);
  void move(Endpoint& endpoint, const Address& from);
  void rtpPacket(Endpoint& endpoint, const Address& from, uint8_t* packet, size_t length, Micros now);
  void rtcpPacket(Endpoint& endpoint, const Address& from, uint8_t* packet, size_t length, Micros now);
  void pollTranscoder(Endpoint& from, Micros now);
  void sendRtp(Endpoint& to, const uint8_t* packet, size_t length, bool originated, Micros now);
  void sendRtcp(Endpoint& to, const uint8_t* packet, size_t length, Micros now);
  void report(Endpoint& endpoint, Micros now);
  Address target(Endpoint& endpoint, bool rtcp, Micros now) const;
  Out* slot();
  void commit(Out* out, Endpoint& endpoint, int fd, const Address& to, size_t length);
  void tick(Endpoint& endpoint, Micros now);
  void reschedule(Endpoint& endpoint);
  uint32_t clockRateOf(const Endpoint& endpoint, uint8_t pt) const;
  void countBytes(Endpoint& endpoint);
  void countTranscoder(Path& path);

  Counters& counters_;
  const DtlsIdentity& identity_;
  const EventSink& sink_;
  std::mutex mutex_;
  std::thread thread_;
  clockid_t cpuClock_{};
  std::atomic<bool> running_{false};
  int epoll_ = -1;
  int wake_ = -1;
  std::unordered_map<uint64_t, std::pair<Endpoint*, bool>> sockets_;
  std::unordered_map<uint64_t, Endpoint*> endpoints_;
  std::set<std::pair<Micros, uint64_t>> deadlines_;
  std::vector<std::unique_ptr<Out>> out_;
  size_t outCount_ = 0;
  std::vector<SharedPort*> shared_;
  Micros sleepingUntil_ = 0;
};

}  // namespace causeway
