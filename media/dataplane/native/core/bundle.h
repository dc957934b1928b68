// Several media lines of one party on one transport (RFC 9143): which packet is of which line. No sockets, no clock, and
// nothing is allocated for a packet.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "rtp.h"
#include "transcoder.h"

namespace causeway {

// The value of an element of a header extension (RFC 8285 §4.2, §4.3); empty when it is not there.
std::span<const uint8_t> headerElement(std::span<const uint8_t> packet, uint8_t id);
// Puts one into a packet that has no header extension; `room`: of the buffer. The new length: the old one when the packet
// has an extension, or the buffer no room.
size_t insertElement(uint8_t* packet, size_t length, size_t room, uint8_t id, std::string_view value);

// Which line an SSRC is of. Bounded: when it is full, a learnt one that has been silent for 10 s makes room.
class SsrcTable {
 public:
  static constexpr size_t kMax = 64;
  static constexpr Micros kSilentUs = 10'000'000;

  // −1: not known.
  int find(uint32_t ssrc) const;
  // The same for a packet of now.
  int heard(uint32_t ssrc, Micros now);
  // False: there is no room.
  bool put(uint32_t ssrc, uint8_t line, bool signalled, Micros now);
  // The same; whatever has been silent longest makes room.
  void putAnyway(uint32_t ssrc, uint8_t line, Micros now);
  // Lines have other numbers now; −1: gone, with its SSRCs. What signaling said before is said anew.
  void renumber(std::span<const int> now);
  size_t size() const { return count_; }

 private:
  struct Entry {
    uint32_t ssrc = 0;
    uint8_t line = 0;
    bool signalled = false;
    Micros usedAt = 0;
  };
  Entry* oldest(bool learntOnly);
  std::array<Entry, kMax> entries_{};
  size_t count_ = 0;
};

class BundleTable {
 public:
  static constexpr size_t kMaxLines = 32;
  static constexpr int kNobody = -1;
  static constexpr int kCrowded = -2;  // there is no room for another SSRC

  struct Line {
    std::string mid;
    uint8_t midExtension = 0;  // the number of the element that carries it, 1 to 14 (RFC 9143 §15.1); 0: not negotiated
    std::bitset<128> payloadTypes;
    std::vector<uint32_t> ssrcs;  // of a=ssrc
  };

  // `renumbered`: what the lines of before are now.
  void set(std::vector<Line> lines, std::span<const int> renumbered, Micros now);
  const Line& line(size_t number) const { return lines_[number]; }

  // RFC 9143 §9.2: by MID, else by SSRC, else by a payload type that one line alone has. kNobody, kCrowded.
  int lineOf(const RtpHeader& header, std::span<const uint8_t> packet, Micros now);
  // What the party sends is known by it.
  bool knows(uint32_t ssrc) const { return received_.find(ssrc) >= 0; }
  // What we send to it: its reports are about these.
  void sent(uint32_t ssrc, size_t line, Micros now);

  // RTCP by what each packet of a compound is about, as bits; it has been read by parseRtcp().
  uint32_t linesOf(std::span<const uint8_t> compound) const;
  // The part of it that is about one line; blocks about others are left out. The length; `out` is as long as `compound`.
  size_t extract(std::span<const uint8_t> compound, size_t line, std::span<uint8_t> out) const;

 private:
  uint32_t bitOf(int line) const { return line < 0 ? 0 : 1u << line; }
  int lineByMid(std::span<const uint8_t> packet) const;
  uint32_t linesOfOne(std::span<const uint8_t> packet) const;
  std::vector<Line> lines_;
  std::array<int8_t, 128> byPayloadType_{};
  uint16_t midExtensions_ = 0;  // by bits: all lines should have the same, and some peers number them by line
  SsrcTable received_;
  SsrcTable sent_;
};

}  // namespace causeway
