// telephone-event (RFC 4733 §2.3) seen on its way: one word for each event, when it ends.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "rtp.h"

namespace causeway {

struct TelephoneEvent {
  uint8_t event = 0;
  uint8_t volume = 0;  // dBm0 without its sign
  uint32_t durationMs = 0;
};

class TelephoneEventWatch {
 public:
  // A packet of a telephone-event payload type. An event whose end was lost is told when the next one begins.
  std::optional<TelephoneEvent> packet(const RtpHeader& header, std::span<const uint8_t> payload, uint32_t clockRate) {
    if (payload.size() < 4 || clockRate == 0) return std::nullopt;
    const bool end = (payload[1] & 0x80) != 0;
    std::optional<TelephoneEvent> told;
    const bool other = !known_ || header.timestamp != timestamp_ || header.ssrc != ssrc_;
    if (other) {
      // A late packet of the event before: told already, and not to be told again.
      if (known_ && header.ssrc == ssrc_ && static_cast<int32_t>(header.timestamp - timestamp_) < 0) return std::nullopt;
      if (known_ && !told_) told = current_;
      known_ = true;
      told_ = false;
      timestamp_ = header.timestamp;
      ssrc_ = header.ssrc;
    }
    if (told_) return told;
    current_.event = payload[0];
    current_.volume = payload[1] & 0x3f;
    const uint32_t ms = static_cast<uint32_t>(uint64_t{readU16(&payload[2])} * 1000 / clockRate);
    if (other || ms > current_.durationMs) current_.durationMs = ms;
    if (end) {
      told_ = true;
      // One of two can be told at a time; that the lost end's was pressed matters as much: it goes first, this one with
      // the repetition of its end.
      if (told) told_ = false;
      else told = current_;
    }
    return told;
  }

 private:
  bool known_ = false;
  bool told_ = false;
  uint32_t timestamp_ = 0;
  uint32_t ssrc_ = 0;
  TelephoneEvent current_;
};

// The octet that is silence in a codec, and stays a valid frame however long the payload is; nothing for codecs that have
// none. G.722's is what its encoder settles on.
inline std::optional<uint8_t> silenceOf(uint8_t pt) {
  switch (pt) {
    case 0: return uint8_t{0xff};
    case 8: return uint8_t{0xd5};
    case 9: return uint8_t{0xfa};
    default: return std::nullopt;
  }
}

}  // namespace causeway
