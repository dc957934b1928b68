// How long packets must wait so that most of them are there when they are due: the 95th percentile of their delay
// beyond the quickest of late, from a histogram that forgets (the idea of WebRTC's NetEQ, in its simplest form).
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "transcoder.h"

namespace causeway {

class DelayEstimator {
 public:
  DelayEstimator(uint32_t minMs, uint32_t maxMs) : minMs_(minMs), maxMs_(std::max(minMs, maxMs)) { reset(); }

  void reset() {
    histogram_.fill(0);
    histogram_[1] = 1;
    started_ = false;
    count_ = 0;
  }

  // The sender's time line has moved against ours; what is known of the network stays.
  void rebase() { started_ = false; }

  // `mediaUs`: the packet's place on the sender's time line, from its timestamp.
  void arrived(Micros now, Micros mediaUs) {
    const Micros delay = now - mediaUs;
    if (!started_) {
      started_ = true;
      windowStart_ = now;
      minNow_ = minBefore_ = delay;
    }
    if (now - windowStart_ > kWindowUs) {
      minBefore_ = minNow_;
      minNow_ = delay;
      windowStart_ = now;
    }
    minNow_ = std::min(minNow_, delay);
    const Micros beyond = delay - std::min(minNow_, minBefore_);
    const auto bucket = static_cast<size_t>(std::clamp<Micros>(beyond / kBucketUs, 0, kBuckets - 1));
    // The first packets weigh more, so that the start adapts within a second.
    const double keep = std::min(0.998, 1 - 1.0 / (static_cast<double>(count_) + 2));
    count_++;
    for (double& value : histogram_) value *= keep;
    histogram_[bucket] += 1 - keep;
  }

  uint32_t targetMs() const {
    double sum = 0;
    for (double value : histogram_) sum += value;
    double seen = 0;
    size_t bucket = 0;
    for (; bucket + 1 < kBuckets; bucket++) {
      seen += histogram_[bucket];
      if (seen >= 0.95 * sum) break;
    }
    return std::clamp(static_cast<uint32_t>((bucket + 1) * kBucketUs / 1000) + 20, minMs_, maxMs_);
  }

 private:
  static constexpr Micros kBucketUs = 10'000;
  static constexpr size_t kBuckets = 64;
  static constexpr Micros kWindowUs = 2'000'000;
  uint32_t minMs_;
  uint32_t maxMs_;
  std::array<double, kBuckets> histogram_{};
  bool started_ = false;
  uint64_t count_ = 0;
  Micros windowStart_ = 0;
  Micros minNow_ = 0;
  Micros minBefore_ = 0;
};

}  // namespace causeway
