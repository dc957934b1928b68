// A UDP socket for control protocols: requests are read in batches and replies leave in batches. Most of the cost of a small
// datagram is the system call and waking whoever waits for it, not the bytes. For one thread.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace causeway {

class RequestBatch {
 public:
  static constexpr size_t kRequests = 32;         // read at once; whoever reads has other work, too
  static constexpr size_t kRequestBytes = 65536;  // whatever a datagram holds
  static constexpr size_t kReplies = 16;          // leave at once: nobody waits for the whole batch

  struct Counters {
    uint64_t requests = 0;
    uint64_t replies = 0;
    uint64_t refused = 0;  // replies that the kernel did not take
  };

  // With the interface of a link-local address, `fe80::1%eth0` (RFC 4007 §11).
  static bool parse(const std::string& text, uint16_t port, sockaddr_storage& out);
  // A descriptor for the constructor; -1 with errno.
  static int listenAt(const sockaddr_storage& at);

  // Owns `fd`. `input`: kRequests times kRequestBytes octets, as long as it is open.
  RequestBatch(int fd, uint8_t* input);
  ~RequestBatch();
  RequestBatch(const RequestBatch&) = delete;
  RequestBatch& operator=(const RequestBatch&) = delete;

  int fd() const { return fd_; }
  bool open() const { return fd_ >= 0; }
  const Counters& counters() const { return counters_; }

  // How many requests have come, the i-th at i * kRequestBytes. Replies wait for each other until `done`.
  size_t read();
  size_t length(size_t i) const { return messages_[i].msg_len; }
  std::string host(size_t i) const;
  uint16_t port(size_t i) const;
  void done();

  // What the kernel does not take is lost and counted, as it might be lost on the way: the request comes again.
  void reply(const sockaddr_storage& to, const uint8_t* bytes, size_t length);
  // Sends what waits.
  void close();

 private:
  struct Reply {
    sockaddr_storage to;
    std::vector<uint8_t> bytes;
  };
  void flush();

  int fd_;
  Counters counters_;
  std::array<mmsghdr, kRequests> messages_;
  std::array<iovec, kRequests> vectors_;
  std::array<sockaddr_storage, kRequests> sources_;
  std::array<Reply, kReplies> replies_;
  size_t waiting_ = 0;
  bool reading_ = false;
};

}  // namespace causeway
