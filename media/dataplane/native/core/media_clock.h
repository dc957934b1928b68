// A sender's timestamps as places on a line of microseconds, across changes of clock and jumps.
#pragma once

#include <cstdint>
#include <cstdlib>

#include "transcoder.h"

namespace causeway {

class MediaClock {
 public:
  void forget() { started_ = false; }

  // `anew`: the line has begun again here, so that lateness cannot be told from what came before.
  Micros place(uint32_t timestamp, uint32_t clockRate, Micros now, bool& anew) {
    anew = !started_;
    if (!started_) {
      started_ = true;
      timestamp_ = timestamp;
      at_ = 0;
      base_ = now;
    }
    const auto step = static_cast<int32_t>(timestamp - timestamp_);
    const Micros place = at_ + static_cast<Micros>(step) * 1'000'000 / static_cast<int64_t>(clockRate);
    if (step > 0) {
      // Moved along in whole steps of the clock, so that rounding does not add up.
      at_ = place;
      timestamp_ = timestamp;
    }
    // It has jumped by seconds: that is no lateness.
    if (std::abs(place - (now - base_)) > 5'000'000) {
      base_ = now - place;
      anew = true;
    }
    return place;
  }

 private:
  bool started_ = false;
  uint32_t timestamp_ = 0;
  Micros at_ = 0;
  Micros base_ = 0;
};

}  // namespace causeway
