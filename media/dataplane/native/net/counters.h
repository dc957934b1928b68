// Counters of one worker or one shared port: one writer at a time (who holds its lock), readers without it. Plain adds
// on the packet path, not locked ones.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "types.h"

namespace causeway {

class Count {
 public:
  void add(uint64_t n = 1) { value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed); }
  void subtract(uint64_t n = 1) { add(~n + 1); }
  uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

struct Counters {
  Count packetsReceived;
  Count packetsSent;
  Count bytesReceived;
  Count bytesSent;
  std::array<Count, kDropCount> dropped;
  Count endpoints;
  Count paths;
  Count transcoders;
  Count nativeBytes;
  Count dtlsConnected;
  Count dtlsFailed;
  Count iceChecksSent;
  Count iceChecksAnswered;
  Count iceChecksHeld;
  Count iceCandidatesRefused;
  Count iceFailed;
  Count consentLost;
  Count taps;
  Count tappedPackets;
};

}  // namespace causeway
