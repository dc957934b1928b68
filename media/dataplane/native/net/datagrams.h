// Datagrams in and out of sockets, without an allocation.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <span>

#include "counters.h"
#include "endpoint.h"

namespace causeway {

inline constexpr size_t kPacketSize = 1600;
inline constexpr size_t kReadBatch = 32;

// What one call to the kernel brought. Room is left behind each packet for what SRTP puts there: what is read can be
// protected and sent on where it lies.
class ReadBatch {
 public:
  ReadBatch();
  // How many; 0 when there is nothing (more).
  size_t read(int fd);
  // The same for a socket on which one packet waits as a rule: one is read, by the cheaper call.
  size_t readOne(int fd);
  std::span<uint8_t> packet(size_t i) { return {buffers_[i].data(), messages_[i].msg_len}; }
  Address from(size_t i) const { return Address::from(sources_[i]); }

 private:
  std::array<std::array<uint8_t, kPacketSize>, kReadBatch> buffers_;
  std::array<sockaddr_storage, kReadBatch> sources_;
  std::array<iovec, kReadBatch> vectors_;
  std::array<mmsghdr, kReadBatch> messages_;
};

// What leaves. One packet goes at once; while a batch is open, packets wait where they lie and leave together.
class Outbox {
 public:
  explicit Outbox(Counters& counters) : counters_(counters) {}
  // `bytes` stay where they are until the batch is closed.
  void send(Endpoint& endpoint, int fd, const Address& to, std::span<const uint8_t> bytes);
  // The same for bytes that will not stay.
  void sendNow(Endpoint& endpoint, int fd, const Address& to, std::span<const uint8_t> bytes);
  void openBatch() { batching_ = true; }
  void closeBatch() {
    flush();
    batching_ = false;
  }

 private:
  void flush();
  void lost(Endpoint& endpoint);
  Counters& counters_;
  bool batching_ = false;
  size_t count_ = 0;
  std::array<Endpoint*, kReadBatch> endpoints_;
  std::array<int, kReadBatch> fds_;
  std::array<Address, kReadBatch> to_;
  std::array<iovec, kReadBatch> vectors_;
};

}  // namespace causeway
