// RTP packets (RFC 3550 §5.1) and sequence arithmetic. No allocation, no exceptions: bad bytes give `false`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace causeway {

inline uint16_t readU16(const uint8_t* p) { return static_cast<uint16_t>(p[0] << 8 | p[1]); }
inline uint32_t readU32(const uint8_t* p) {
  return static_cast<uint32_t>(p[0]) << 24 | static_cast<uint32_t>(p[1]) << 16 | static_cast<uint32_t>(p[2]) << 8 | p[3];
}
inline void writeU16(uint8_t* p, uint16_t v) {
  p[0] = static_cast<uint8_t>(v >> 8);
  p[1] = static_cast<uint8_t>(v);
}
inline void writeU32(uint8_t* p, uint32_t v) {
  writeU16(p, static_cast<uint16_t>(v >> 16));
  writeU16(p + 2, static_cast<uint16_t>(v));
}

struct RtpHeader {
  uint8_t pt = 0;
  bool marker = false;
  uint16_t sequence = 0;
  uint32_t timestamp = 0;
  uint32_t ssrc = 0;
  // Offsets into the packet: header with CSRCs and extension, then payload without padding.
  size_t payloadOffset = 0;
  size_t payloadSize = 0;
};

// `sealed`: of SRTP that is not opened. Its last octet is that of a tag, not the length of its padding.
inline bool parseRtp(std::span<const uint8_t> packet, RtpHeader& header, bool sealed = false) {
  if (packet.size() < 12 || (packet[0] >> 6) != 2) return false;
  size_t offset = 12 + 4u * (packet[0] & 0x0f);
  if (packet[0] & 0x10) {
    if (offset + 4 > packet.size()) return false;
    offset += 4 + 4u * readU16(&packet[offset + 2]);
  }
  if (offset > packet.size()) return false;
  size_t size = packet.size() - offset;
  if ((packet[0] & 0x20) && !sealed) {
    if (size == 0) return false;
    const uint8_t padding = packet[packet.size() - 1];
    if (padding == 0 || padding > size) return false;
    size -= padding;
  }
  header.marker = (packet[1] & 0x80) != 0;
  header.pt = packet[1] & 0x7f;
  header.sequence = readU16(&packet[2]);
  header.timestamp = readU32(&packet[4]);
  header.ssrc = readU32(&packet[8]);
  header.payloadOffset = offset;
  header.payloadSize = size;
  return true;
}

// Writes the 12 fixed bytes.
inline void writeRtp(uint8_t* out, uint8_t pt, bool marker, uint16_t sequence, uint32_t timestamp, uint32_t ssrc) {
  out[0] = 0x80;
  out[1] = static_cast<uint8_t>(pt | (marker ? 0x80 : 0));
  writeU16(out + 2, sequence);
  writeU32(out + 4, timestamp);
  writeU32(out + 8, ssrc);
}

// RTCP on a port that also carries RTP (RFC 5761 §4): packet types 192–223 where RTP has marker and payload type.
inline bool looksLikeRtcp(std::span<const uint8_t> packet) {
  return packet.size() >= 8 && (packet[0] >> 6) == 2 && packet[1] >= 192 && packet[1] <= 223;
}

// A 16-bit sequence number on a line without wraps.
class SequenceExtender {
 public:
  int64_t extend(uint16_t sequence) {
    if (!started_) {
      started_ = true;
      last_ = sequence;
      return last_;
    }
    const auto step = static_cast<int16_t>(sequence - static_cast<uint16_t>(last_));
    const int64_t extended = last_ + step;
    if (extended > last_) last_ = extended;
    return extended;
  }
  void reset() { started_ = false; }

 private:
  bool started_ = false;
  int64_t last_ = 0;
};

}  // namespace causeway
