#include "bundle.h"

#include <algorithm>
#include <cstring>

namespace causeway {
namespace {

constexpr uint8_t kSenderReport = 200;
constexpr uint8_t kReceiverReport = 201;
constexpr uint8_t kDescription = 202;
constexpr uint8_t kBye = 203;
constexpr uint8_t kTransportFeedback = 205;
constexpr uint8_t kPayloadFeedback = 206;
constexpr uint8_t kExtended = 207;
constexpr size_t kBlock = 24;
constexpr int kForeign = -3;

// Calls `each` with every packet of a compound.
template <typename Each>
void walk(std::span<const uint8_t> compound, const Each& each) {
  size_t at = 0;
  while (at + 8 <= compound.size()) {
    const size_t length = 4 * (size_t{readU16(&compound[at + 2])} + 1);
    if (length < 8 || at + length > compound.size()) return;
    each(compound.subspan(at, length));
    at += length;
  }
}

size_t firstBlock(uint8_t type) { return type == kSenderReport ? 28 : 8; }

}  // namespace

std::span<const uint8_t> headerElement(std::span<const uint8_t> packet, uint8_t id) {
  if (packet.size() < 12 || (packet[0] & 0x10) == 0) return {};
  const size_t start = 12 + 4u * (packet[0] & 0x0f);
  if (start + 4 > packet.size()) return {};
  const uint16_t profile = readU16(&packet[start]);
  const size_t end = start + 4 + 4u * readU16(&packet[start + 2]);
  if (end > packet.size()) return {};
  const bool twoBytes = (profile & 0xfff0) == 0x1000;
  if (!twoBytes && profile != 0xbede) return {};
  size_t at = start + 4;
  while (at < end) {
    if (packet[at] == 0) {
      at++;
      continue;
    }
    if (twoBytes && at + 2 > end) return {};
    const uint8_t own = twoBytes ? packet[at] : packet[at] >> 4;
    const size_t length = twoBytes ? packet[at + 1] : (packet[at] & 0x0f) + 1u;
    // RFC 8285 §4.2: 15 ends it.
    if (!twoBytes && own == 15) return {};
    at += twoBytes ? 2 : 1;
    if (at + length > end) return {};
    if (own == id) return packet.subspan(at, length);
    at += length;
  }
  return {};
}

size_t insertElement(uint8_t* packet, size_t length, size_t room, uint8_t id, std::string_view value) {
  if (length < 12 || (packet[0] & 0x10) != 0 || id == 0 || id > 14 || value.empty() || value.size() > 16) return length;
  const size_t start = 12 + 4u * (packet[0] & 0x0f);
  const size_t words = (1 + value.size() + 3) / 4;
  const size_t more = 4 + 4 * words;
  if (start > length || length + more > room) return length;
  std::memmove(packet + start + more, packet + start, length - start);
  uint8_t* p = packet + start;
  std::memset(p, 0, more);
  writeU16(p, 0xbede);
  writeU16(p + 2, static_cast<uint16_t>(words));
  p[4] = static_cast<uint8_t>(id << 4 | (value.size() - 1));
  std::memcpy(p + 5, value.data(), value.size());
  packet[0] |= 0x10;
  return length + more;
}

int SsrcTable::find(uint32_t ssrc) const {
  for (size_t i = 0; i < count_; i++) {
    if (entries_[i].ssrc == ssrc) return entries_[i].line;
  }
  return -1;
}

int SsrcTable::heard(uint32_t ssrc, Micros now) {
  for (size_t i = 0; i < count_; i++) {
    if (entries_[i].ssrc != ssrc) continue;
    entries_[i].usedAt = now;
    return entries_[i].line;
  }
  return -1;
}

SsrcTable::Entry* SsrcTable::oldest(bool learntOnly) {
  Entry* found = nullptr;
  for (Entry& entry : entries_) {
    if (learntOnly && entry.signalled) continue;
    if (found == nullptr || entry.usedAt < found->usedAt) found = &entry;
  }
  return found;
}

bool SsrcTable::put(uint32_t ssrc, uint8_t line, bool signalled, Micros now) {
  for (size_t i = 0; i < count_; i++) {
    if (entries_[i].ssrc != ssrc) continue;
    entries_[i] = {ssrc, line, signalled || entries_[i].signalled, now};
    return true;
  }
  if (count_ < kMax) {
    entries_[count_++] = {ssrc, line, signalled, now};
    return true;
  }
  Entry* place = oldest(true);
  if (place == nullptr || now - place->usedAt < kSilentUs) return false;
  *place = {ssrc, line, signalled, now};
  return true;
}

void SsrcTable::putAnyway(uint32_t ssrc, uint8_t line, Micros now) {
  if (find(ssrc) >= 0 || count_ < kMax) put(ssrc, line, false, now);
  else *oldest(false) = {ssrc, line, false, now};
}

void SsrcTable::renumber(std::span<const int> now) {
  size_t kept = 0;
  for (size_t i = 0; i < count_; i++) {
    Entry entry = entries_[i];
    const int line = entry.line < now.size() ? now[entry.line] : -1;
    if (line < 0) continue;
    entry.line = static_cast<uint8_t>(line);
    entry.signalled = false;
    entries_[kept++] = entry;
  }
  count_ = kept;
}

void BundleTable::set(std::vector<Line> lines, std::span<const int> renumbered, Micros now) {
  lines_ = std::move(lines);
  midExtensions_ = 0;
  for (const Line& line : lines_) midExtensions_ |= static_cast<uint16_t>(1u << line.midExtension);
  midExtensions_ &= 0x7ffe;
  received_.renumber(renumbered);
  sent_.renumber(renumbered);
  byPayloadType_.fill(kNobody);
  for (size_t pt = 0; pt < byPayloadType_.size(); pt++) {
    size_t owners = 0;
    for (size_t i = 0; i < lines_.size(); i++) {
      if (!lines_[i].payloadTypes[pt]) continue;
      owners++;
      byPayloadType_[pt] = static_cast<int8_t>(i);
    }
    if (owners != 1) byPayloadType_[pt] = kNobody;
  }
  for (size_t i = 0; i < lines_.size(); i++) {
    for (const uint32_t ssrc : lines_[i].ssrcs) received_.put(ssrc, static_cast<uint8_t>(i), true, now);
  }
}

// kNobody: it names none; kForeign: one that is not here.
int BundleTable::lineByMid(std::span<const uint8_t> packet) const {
  bool named = false;
  for (uint8_t id = 1; id < 15; id++) {
    if ((midExtensions_ >> id & 1) == 0) continue;
    const auto mid = headerElement(packet, id);
    if (mid.empty()) continue;
    named = true;
    for (size_t i = 0; i < lines_.size(); i++) {
      if (lines_[i].midExtension == id && lines_[i].mid.size() == mid.size() && std::memcmp(lines_[i].mid.data(), mid.data(), mid.size()) == 0)
        return static_cast<int>(i);
    }
  }
  // With several numbers it may have been something else on this line.
  return named && (midExtensions_ & (midExtensions_ - 1)) == 0 ? kForeign : kNobody;
}

int BundleTable::lineOf(const RtpHeader& header, std::span<const uint8_t> packet, Micros now) {
  const int known = received_.heard(header.ssrc, now);
  const int said = midExtensions_ != 0 && (packet[0] & 0x10) != 0 ? lineByMid(packet) : kNobody;
  if (said == kForeign) return kNobody;
  int line = said >= 0 ? said : known;
  if (line < 0) line = byPayloadType_[header.pt];
  if (line < 0) return kNobody;
  if (line != known && !received_.put(header.ssrc, static_cast<uint8_t>(line), false, now)) return kCrowded;
  return line;
}

void BundleTable::sent(uint32_t ssrc, size_t line, Micros now) {
  if (sent_.heard(ssrc, now) != static_cast<int>(line)) sent_.putAnyway(ssrc, static_cast<uint8_t>(line), now);
}

// RFC 9143 §9.2: what a sender says of itself is of the line it sends on; what it says of a stream of ours, of the line
// that we send that on.
uint32_t BundleTable::linesOfOne(std::span<const uint8_t> packet) const {
  const uint8_t* p = packet.data();
  const uint8_t type = p[1];
  const unsigned count = p[0] & 0x1f;
  const uint32_t own = bitOf(received_.find(readU32(p + 4)));
  const auto ours = [&](size_t at) { return at + 4 <= packet.size() ? bitOf(sent_.find(readU32(p + at))) : 0; };
  uint32_t lines = 0;
  switch (type) {
    case kSenderReport:
    case kReceiverReport:
      if (type == kSenderReport || count == 0) lines = own;
      for (unsigned i = 0; i < count; i++) lines |= ours(firstBlock(type) + kBlock * i);
      return lines;
    case kBye:
      for (unsigned i = 0; i < count && 8 + 4 * i <= packet.size(); i++) lines |= bitOf(received_.find(readU32(p + 4 + 4 * i)));
      return lines;
    case kTransportFeedback:
    case kPayloadFeedback:
      lines = ours(8);
      if (lines == 0 && type == kPayloadFeedback && count == 4) {
        // FIR names its streams in its entries (RFC 5104 §4.3.1).
        for (size_t at = 12; at + 8 <= packet.size(); at += 8) lines |= ours(at);
      } else if (lines == 0 && type == kPayloadFeedback && count == 15 && packet.size() >= 20) {
        for (size_t i = 0; i < p[16]; i++) lines |= ours(20 + 4 * i);
      }
      return lines != 0 ? lines : own;
    case kExtended:
      // VoIP metrics are about what we send (RFC 3611 §4.7).
      for (size_t at = 8; at + 8 <= packet.size(); at += 4 * (size_t{readU16(p + at + 2)} + 1)) {
        if (p[at] == 7) lines |= ours(at + 4);
      }
      return lines != 0 ? lines : own;
    default:
      return own;
  }
}

uint32_t BundleTable::linesOf(std::span<const uint8_t> compound) const {
  uint32_t lines = 0;
  uint32_t described = 0;
  walk(compound, [&](std::span<const uint8_t> packet) { (packet[1] == kDescription ? described : lines) |= linesOfOne(packet); });
  return lines != 0 ? lines : described;
}

size_t BundleTable::extract(std::span<const uint8_t> compound, size_t line, std::span<uint8_t> out) const {
  const uint32_t bit = 1u << line;
  size_t length = 0;
  walk(compound, [&](std::span<const uint8_t> packet) {
    const uint8_t type = packet[1];
    // The name of the sender goes with all that it says.
    if (type != kDescription && (linesOfOne(packet) & bit) == 0) return;
    uint8_t* o = out.data() + length;
    if (type != kSenderReport && type != kReceiverReport) {
      std::memcpy(o, packet.data(), packet.size());
      length += packet.size();
      return;
    }
    // Of a sender on another line only the blocks are left: a receiver's report.
    const bool sender = type == kSenderReport && (bitOf(received_.find(readU32(&packet[4]))) & bit) != 0;
    size_t at = sender ? 28 : 8;
    std::memcpy(o, packet.data(), at);
    unsigned blocks = 0;
    for (unsigned i = 0; i < (packet[0] & 0x1fu); i++) {
      const uint8_t* block = &packet[firstBlock(type) + kBlock * i];
      if ((bitOf(sent_.find(readU32(block))) & bit) == 0) continue;
      std::memcpy(o + at, block, kBlock);
      at += kBlock;
      blocks++;
    }
    o[0] = static_cast<uint8_t>(0x80 | blocks);
    o[1] = sender ? kSenderReport : kReceiverReport;
    writeU16(o + 2, static_cast<uint16_t>(at / 4 - 1));
    length += at;
  });
  return length;
}

}  // namespace causeway
