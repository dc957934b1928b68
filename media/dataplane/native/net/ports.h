// The UDP ports of the range, bound on demand: an even one with the next, or one alone.
#pragma once

#include <cstdint>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "address.h"

namespace causeway {

// A non-blocking UDP socket; -1 with errno. Port 0 takes any.
int bindUdp(const Address& address, uint8_t tos);
// IP_TOS, or the traffic class of IPv6, of what it sends.
void markUdp(int fd, uint8_t tos);

class PortRange {
 public:
  PortRange(uint16_t min, uint16_t max, uint8_t tos) : min_(min), max_(max), tos_(tos), taken_(static_cast<size_t>(max - min) + 1), random_(std::random_device{}()) {}

  struct Bound {
    int rtp = -1;
    int rtcp = -1;
    uint16_t port = 0;
  };
  // False when nothing in the range can be had, or the process runs out of descriptors. Ports are drawn at random: who guesses a call's port guesses among all.
  bool bind(const std::string& host, bool pair, Bound& out);
  void release(uint16_t port, bool pair);
  uint64_t inUse();
  uint64_t total() const { return taken_.size(); }

 private:
  const uint16_t min_;
  const uint16_t max_;
  const uint8_t tos_;
  std::mutex mutex_;
  std::vector<bool> taken_;
  uint64_t inUse_ = 0;
  std::mt19937 random_;
};

}  // namespace causeway
