#include "request_batch.h"

#include <net/if.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "address.h"

namespace causeway {
namespace {

constexpr int kSocketBuffer = 1 << 20;

socklen_t lengthOf(const sockaddr_storage& address) { return address.ss_family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in); }

}  // namespace

bool RequestBatch::parse(const std::string& text, uint16_t port, sockaddr_storage& out) {
  const size_t percent = text.find('%');
  Address address;
  if (!Address::parse(text.substr(0, percent), port, address)) return false;
  std::memset(&out, 0, sizeof(out));
  std::memcpy(&out, address.sockaddrPtr(), address.length());
  if (percent != std::string::npos && out.ss_family == AF_INET6)
    reinterpret_cast<sockaddr_in6&>(out).sin6_scope_id = if_nametoindex(text.c_str() + percent + 1);
  return true;
}

int RequestBatch::listenAt(const sockaddr_storage& at) {
  const int fd = ::socket(at.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &kSocketBuffer, sizeof(kSocketBuffer));
  ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &kSocketBuffer, sizeof(kSocketBuffer));
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&at), lengthOf(at)) == 0) return fd;
  const int saved = errno;
  ::close(fd);
  errno = saved;
  return -1;
}

RequestBatch::RequestBatch(int fd, uint8_t* input) : fd_(fd) {
  for (size_t i = 0; i < kRequests; i++) {
    vectors_[i] = {input + i * kRequestBytes, kRequestBytes};
    std::memset(&messages_[i], 0, sizeof(mmsghdr));
    messages_[i].msg_hdr.msg_iov = &vectors_[i];
    messages_[i].msg_hdr.msg_iovlen = 1;
    messages_[i].msg_hdr.msg_name = &sources_[i];
  }
}

RequestBatch::~RequestBatch() { close(); }

void RequestBatch::close() {
  if (fd_ < 0) return;
  flush();
  ::close(fd_);
  fd_ = -1;
}

size_t RequestBatch::read() {
  if (fd_ < 0) return 0;
  for (auto& message : messages_) message.msg_hdr.msg_namelen = sizeof(sockaddr_storage);
  const int count = ::recvmmsg(fd_, messages_.data(), kRequests, MSG_DONTWAIT, nullptr);
  if (count <= 0) return 0;
  reading_ = true;
  counters_.requests += static_cast<uint64_t>(count);
  return static_cast<size_t>(count);
}

std::string RequestBatch::host(size_t i) const {
  const sockaddr_storage& source = sources_[i];
  std::string host = Address::from(source).host();
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(source);
  char name[IF_NAMESIZE] = "";
  if (source.ss_family == AF_INET6 && v6.sin6_scope_id != 0 && if_indextoname(v6.sin6_scope_id, name) != nullptr) host += std::string("%") + name;
  return host;
}

uint16_t RequestBatch::port(size_t i) const { return Address::from(sources_[i]).port(); }

void RequestBatch::done() {
  reading_ = false;
  flush();
}

void RequestBatch::reply(const sockaddr_storage& to, const uint8_t* bytes, size_t length) {
  if (fd_ < 0) return;
  replies_[waiting_].to = to;
  replies_[waiting_].bytes.assign(bytes, bytes + length);
  if (++waiting_ == kReplies || !reading_) flush();
}

void RequestBatch::flush() {
  std::array<mmsghdr, kReplies> messages;
  std::array<iovec, kReplies> vectors;
  std::memset(messages.data(), 0, sizeof(messages));
  for (size_t i = 0; i < waiting_; i++) {
    vectors[i] = {replies_[i].bytes.data(), replies_[i].bytes.size()};
    messages[i].msg_hdr.msg_iov = &vectors[i];
    messages[i].msg_hdr.msg_iovlen = 1;
    messages[i].msg_hdr.msg_name = &replies_[i].to;
    messages[i].msg_hdr.msg_namelen = lengthOf(replies_[i].to);
  }
  for (size_t i = 0; i < waiting_;) {
    const int sent = ::sendmmsg(fd_, &messages[i], static_cast<unsigned>(waiting_ - i), MSG_DONTWAIT);
    if (sent > 0) {
      counters_.replies += static_cast<uint64_t>(sent);
      i += static_cast<size_t>(sent);
    } else {
      // The first one is refused; the others go on.
      counters_.refused++;
      i++;
    }
  }
  waiting_ = 0;
}

}  // namespace causeway
