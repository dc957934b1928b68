#pragma once

#include <cstdint>

namespace causeway {

// The VoIP metrics block of an extended report (RFC 3611 §4.7), as the far end measured what it received. 127 means
// unknown for the levels and factors.
struct VoipMetrics {
  uint32_t ssrc = 0;
  uint8_t lossRate = 0;     // of 256
  uint8_t discardRate = 0;  // of 256
  uint8_t burstDensity = 0;
  uint8_t gapDensity = 0;
  uint16_t burstMs = 0;
  uint16_t gapMs = 0;
  uint16_t roundTripMs = 0;
  uint16_t endSystemMs = 0;
  uint8_t rFactor = 127;
  uint8_t mosLq = 127;  // times 10
  uint8_t mosCq = 127;
  uint16_t jitterBufferMs = 0;
};

}  // namespace causeway
