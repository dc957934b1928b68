// How a stream sounded: losses in bursts and gaps (RFC 3611 §4.7.2, appendix A.2), and the opinion that the E-model
// (ITU-T G.107) has of it.
#pragma once

#include <algorithm>
#include <cstdint>

#include "voip_metrics.h"

namespace causeway {

// One packet after the other: it came, or it is missing. Losses with fewer than 16 packets between them are a burst, if
// there is more than one; all else is a gap.
class LossPattern {
 public:
  void received() { since_++; }
  void lost() {
    lost_++;
    if (since_ >= kGmin) {
      done_ = with(done_, run_);
      run_ = {};
    } else {
      run_.received += since_;
    }
    run_.lost++;
    since_ = 0;
  }

  // The rates, densities and durations of `out`; a packet stands for `packetMs`.
  void write(VoipMetrics& out, uint64_t received, uint64_t discarded, double packetMs) const {
    const Sum sum = with(done_, run_);
    const uint64_t total = lost_ + received;
    const uint64_t gap = total - std::min(total, sum.burstPackets);
    out.lossRate = of256(lost_, total);
    out.discardRate = of256(discarded, total);
    out.burstDensity = of256(sum.burstLost, sum.burstPackets);
    out.gapDensity = of256(sum.gapLost, gap);
    out.burstMs = sum.bursts == 0 ? uint16_t{0} : clip(static_cast<double>(sum.burstPackets) * packetMs / static_cast<double>(sum.bursts));
    out.gapMs = clip(static_cast<double>(gap) * packetMs / static_cast<double>(std::max<uint64_t>(1, sum.bursts)));
  }

 private:
  static constexpr uint64_t kGmin = 16;
  struct Run {
    uint64_t lost = 0;
    uint64_t received = 0;
  };
  struct Sum {
    uint64_t bursts = 0;
    uint64_t burstLost = 0;
    uint64_t burstPackets = 0;
    uint64_t gapLost = 0;
  };
  static Sum with(Sum sum, const Run& run) {
    if (run.lost == 1) sum.gapLost++;
    if (run.lost > 1) {
      sum.bursts++;
      sum.burstLost += run.lost;
      sum.burstPackets += run.lost + run.received;
    }
    return sum;
  }
  static uint8_t of256(uint64_t part, uint64_t whole) {
    return whole == 0 ? uint8_t{0} : static_cast<uint8_t>(std::min<uint64_t>(255, part * 256 / whole));
  }
  static uint16_t clip(double ms) { return static_cast<uint16_t>(std::clamp(ms, 0.0, 65535.0)); }
  uint64_t lost_ = 0;
  uint64_t since_ = kGmin;  // packets that came since the last loss
  Run run_;
  Sum done_;
};

// What a codec costs by itself, and how much loss it bears (ITU-T G.113 appendix I; Opus: as G.711 with packet loss
// concealment, which is careful).
struct CodecImpairment {
  double ie = 0;
  double bpl = 25.1;
};

// 0 to 100. `delayMs`: mouth to ear; `lossPercent` with what came too late to be played.
inline double rFactorOf(double delayMs, double lossPercent, const CodecImpairment& codec) {
  const double delay = 0.024 * delayMs + (delayMs > 177.3 ? 0.11 * (delayMs - 177.3) : 0);
  const double loss = codec.ie + (95 - codec.ie) * lossPercent / (lossPercent + codec.bpl);
  return std::clamp(93.2 - delay - loss, 0.0, 100.0);
}

// 1 to 4.5 (ITU-T G.107 annex B).
inline double mosOf(double r) {
  if (r <= 0) return 1;
  return std::clamp(1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6, 1.0, 4.5);
}

}  // namespace causeway
