#include "ports.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>

namespace causeway {
namespace {

constexpr rlim_t kSparedFiles = 256;  // descriptors that media never takes: control, metrics and logs go on

// They are given lowest first: one near the limit says that nearly all are taken.
bool nearFileLimit(int fd) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return false;
  return static_cast<rlim_t>(fd) + kSparedFiles >= limit.rlim_cur;
}

}  // namespace

void markUdp(int fd, uint8_t tos) {
  int family = AF_INET;
  socklen_t size = sizeof(family);
  ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size);
  const int value = tos;
  ::setsockopt(fd, family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP, family == AF_INET6 ? IPV6_TCLASS : IP_TOS, &value, sizeof(value));
}

int bindUdp(const Address& address, uint8_t marked) {
  const int fd = ::socket(address.family(), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  if (address.family() == AF_INET6) {
    const int on = 1;
    ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
  }
  const int tos = marked;
  ::setsockopt(fd, address.family() == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP, address.family() == AF_INET6 ? IPV6_TCLASS : IP_TOS, &tos, sizeof(tos));
  if (::bind(fd, address.sockaddrPtr(), address.length()) != 0) {
    const int saved = errno;
    ::close(fd);
    errno = saved;
    return -1;
  }
  return fd;
}

bool PortRange::bind(const std::string& host, bool pair, Bound& out) {
  const std::lock_guard lock(mutex_);
  const size_t count = taken_.size();
  const size_t start = std::uniform_int_distribution<size_t>(0, count - 1)(random_);
  for (size_t i = 0; i < count; i++) {
    const size_t at = (start + i) % count;
    const auto port = static_cast<uint16_t>(min_ + at);
    if (taken_[at]) continue;
    if (pair && (port % 2 != 0 || port == max_ || taken_[at + 1])) continue;
    Address address;
    if (!Address::parse(host, port, address)) return false;
    const int rtp = bindUdp(address, tos_);
    if (rtp < 0) {
      if (errno != EADDRINUSE) return false;
      continue;
    }
    if (nearFileLimit(rtp)) {
      ::close(rtp);
      return false;
    }
    int rtcp = -1;
    if (pair) {
      Address::parse(host, static_cast<uint16_t>(port + 1), address);
      rtcp = bindUdp(address, tos_);
      if (rtcp < 0) {
        ::close(rtp);
        continue;
      }
      taken_[at + 1] = true;
      inUse_++;
    }
    taken_[at] = true;
    inUse_++;
    out = {rtp, rtcp, port};
    return true;
  }
  return false;
}

void PortRange::release(uint16_t port, bool pair) {
  const std::lock_guard lock(mutex_);
  taken_[port - min_] = false;
  inUse_--;
  if (pair) {
    taken_[port - min_ + 1u] = false;
    inUse_--;
  }
}

uint64_t PortRange::inUse() {
  const std::lock_guard lock(mutex_);
  return inUse_;
}

}  // namespace causeway
