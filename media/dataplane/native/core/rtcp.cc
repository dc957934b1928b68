#include "rtcp.h"

#include <algorithm>
#include <cstring>

#include "rtp.h"

namespace causeway {

void ReceiverStats::received(uint32_t ssrc, uint16_t sequence, uint32_t timestamp, uint32_t clockRate, Micros arrival) {
  totalPackets_++;
  const auto step = static_cast<uint16_t>(sequence - maxSequence_);
  constexpr uint16_t kMaxDropout = 3000;
  constexpr uint16_t kMaxMisorder = 100;
  const bool jump = active_ && step >= kMaxDropout && step <= static_cast<uint16_t>(65536 - kMaxMisorder);
  if (!active_ || ssrc != ssrc_ || jump) {
    // A new source, or one that began anew: what was lost before stays lost.
    if (active_) lostBefore_ += std::max<int64_t>(0, expected() - static_cast<int64_t>(received_));
    active_ = true;
    ssrc_ = ssrc;
    baseSequence_ = sequence;
    maxSequence_ = sequence;
    cycles_ = 0;
    received_ = 1;
    expectedPrior_ = 0;
    receivedPrior_ = 0;
    jitter_ = 0;
    pattern_ = {};
    pattern_.received();
    lastTimestamp_ = timestamp;
    clockRate_ = clockRate;
    lastTransit_ = arrival * clockRate / 1'000'000 - timestamp;
    return;
  }
  if (step < kMaxDropout) {
    if (sequence < maxSequence_) cycles_ += 1u << 16;
    maxSequence_ = sequence;
    for (uint16_t missing = 1; missing < step; missing++) pattern_.lost();
    const auto ticks = static_cast<int32_t>(timestamp - lastTimestamp_);
    if (step == 1 && ticks > 0 && static_cast<uint32_t>(ticks) <= clockRate / 5) packetMs_ = ticks * 1000.0 / clockRate;
    lastTimestamp_ = timestamp;
  }
  pattern_.received();
  received_++;
  if (clockRate != clockRate_) {
    clockRate_ = clockRate;
    lastTransit_ = arrival * clockRate / 1'000'000 - timestamp;
    return;
  }
  const int64_t transit = arrival * clockRate / 1'000'000 - timestamp;
  // Transit times wrap with the timestamp: only their 32-bit difference means anything.
  const auto difference = static_cast<int32_t>(static_cast<uint32_t>(transit) - static_cast<uint32_t>(lastTransit_));
  lastTransit_ = transit;
  const double d = difference < 0 ? -static_cast<double>(difference) : difference;
  jitter_ += (std::min(d, static_cast<double>(clockRate)) - jitter_) / 16;
}

int64_t ReceiverStats::lost() const {
  return lostBefore_ + std::max<int64_t>(0, expected() - static_cast<int64_t>(received_));
}

VoipMetrics ReceiverStats::voipMetrics(uint64_t discarded, double bufferMs, double roundTripMs) const {
  VoipMetrics out;
  out.ssrc = ssrc_;
  pattern_.write(out, received_, discarded, packetMs_);
  const auto clip = [](double ms) { return static_cast<uint16_t>(std::clamp(ms, 0.0, 65535.0)); };
  out.roundTripMs = clip(roundTripMs);
  out.jitterBufferMs = clip(bufferMs);
  out.endSystemMs = clip(bufferMs + packetMs_);
  const double total = static_cast<double>(received_) + static_cast<double>(std::max<int64_t>(0, expected() - static_cast<int64_t>(received_)));
  const double missing = total - static_cast<double>(received_) + static_cast<double>(discarded);
  const double percent = total <= 0 ? 0 : std::min(100.0, missing * 100 / total);
  const double r = rFactorOf(roundTripMs / 2 + bufferMs + packetMs_, percent, {});
  out.rFactor = static_cast<uint8_t>(r);
  out.mosCq = static_cast<uint8_t>(mosOf(r) * 10 + 0.5);
  // Of listening alone: without the delay.
  out.mosLq = static_cast<uint8_t>(mosOf(rFactorOf(0, percent, {})) * 10 + 0.5);
  return out;
}

void ReceiverStats::writeReportBlock(uint8_t* out, Micros now) {
  const int64_t expectedNow = expected();
  const int64_t expectedInterval = expectedNow - expectedPrior_;
  const int64_t receivedInterval = static_cast<int64_t>(received_) - receivedPrior_;
  expectedPrior_ = expectedNow;
  receivedPrior_ = static_cast<int64_t>(received_);
  const int64_t lostInterval = expectedInterval - receivedInterval;
  const int64_t fraction = expectedInterval <= 0 || lostInterval <= 0 ? 0 : std::min<int64_t>(255, (lostInterval << 8) / expectedInterval);
  const int64_t cumulative = std::clamp<int64_t>(expectedNow - static_cast<int64_t>(received_), -0x800000, 0x7fffff);
  writeU32(out, ssrc_);
  writeU32(out + 4, static_cast<uint32_t>(cumulative) & 0xffffff);
  out[4] = static_cast<uint8_t>(fraction);
  writeU32(out + 8, extendedMax());
  writeU32(out + 12, static_cast<uint32_t>(jitter_));
  writeU32(out + 16, lastSr_);
  writeU32(out + 20, lastSr_ == 0 ? 0 : static_cast<uint32_t>((now - lastSrAt_) * 65536 / 1'000'000));
}

size_t writeReport(std::span<uint8_t> out, const SenderState& sender, ReceiverStats* receiver, uint64_t wallNtp, Micros now,
                   const char* cname) {
  const bool isSender = sender.packets > 0;
  const bool block = receiver != nullptr && receiver->active();
  size_t length = isSender ? 28 : 8;
  uint8_t* p = out.data();
  p[0] = static_cast<uint8_t>(0x80 | (block ? 1 : 0));
  p[1] = isSender ? 200 : 201;
  writeU32(p + 4, sender.ssrc);
  if (isSender) {
    writeU32(p + 8, static_cast<uint32_t>(wallNtp >> 32));
    writeU32(p + 12, static_cast<uint32_t>(wallNtp));
    // The RTP time of this very moment (§6.4.1).
    const auto since = static_cast<uint32_t>((now - sender.lastSentAt) * sender.clockRate / 1'000'000);
    writeU32(p + 16, sender.lastTimestamp + since);
    writeU32(p + 20, sender.packets);
    writeU32(p + 24, sender.octets);
  }
  if (block) {
    receiver->writeReportBlock(p + length, now);
    length += 24;
  }
  writeU16(p + 2, static_cast<uint16_t>(length / 4 - 1));
  uint8_t* sdes = p + length;
  const size_t nameLength = std::min<size_t>(std::strlen(cname), 48);
  size_t sdesLength = 8 + 2 + nameLength + 1;
  sdesLength = (sdesLength + 3) & ~size_t{3};
  std::memset(sdes, 0, sdesLength);
  sdes[0] = 0x81;
  sdes[1] = 202;
  writeU16(sdes + 2, static_cast<uint16_t>(sdesLength / 4 - 1));
  writeU32(sdes + 4, sender.ssrc);
  sdes[8] = 1;
  sdes[9] = static_cast<uint8_t>(nameLength);
  std::memcpy(sdes + 10, cname, nameLength);
  return length + sdesLength;
}

size_t writeExtended(std::span<uint8_t> out, uint32_t ssrc, const VoipMetrics& metrics) {
  constexpr size_t kLength = 44;
  constexpr uint8_t kUnknown = 127;
  uint8_t* p = out.data();
  std::memset(p, 0, kLength);
  p[0] = 0x80;
  p[1] = 207;
  writeU16(p + 2, kLength / 4 - 1);
  writeU32(p + 4, ssrc);
  uint8_t* b = p + 8;
  b[0] = 7;
  writeU16(b + 2, 8);
  writeU32(b + 4, metrics.ssrc);
  b[8] = metrics.lossRate;
  b[9] = metrics.discardRate;
  b[10] = metrics.burstDensity;
  b[11] = metrics.gapDensity;
  writeU16(b + 12, metrics.burstMs);
  writeU16(b + 14, metrics.gapMs);
  writeU16(b + 16, metrics.roundTripMs);
  writeU16(b + 18, metrics.endSystemMs);
  // Levels, echo return loss: not measured. Gmin: see LossPattern.
  b[20] = b[21] = b[22] = kUnknown;
  b[23] = 16;
  b[24] = metrics.rFactor;
  b[25] = kUnknown;
  b[26] = metrics.mosLq;
  b[27] = metrics.mosCq;
  // Adaptive jitter buffer, concealment better than silence (§4.7.6).
  b[28] = 0xf0;
  writeU16(b + 30, metrics.jitterBufferMs);
  writeU16(b + 32, metrics.jitterBufferMs);
  writeU16(b + 34, metrics.jitterBufferMs);
  return kLength;
}

size_t writeBye(std::span<uint8_t> out, const SenderState& sender, ReceiverStats* receiver, uint64_t wallNtp, Micros now, const char* cname) {
  const size_t length = writeReport(out, sender, receiver, wallNtp, now, cname);
  uint8_t* bye = out.data() + length;
  bye[0] = 0x81;
  bye[1] = 203;
  writeU16(bye + 2, 1);
  writeU32(bye + 4, sender.ssrc);
  return length + 8;
}

namespace {

// The report blocks of an XR packet; those that are not VoIP metrics are passed over.
bool parseExtended(const uint8_t* p, size_t length, RtcpSeen& seen) {
  size_t offset = 8;
  while (offset + 4 <= length) {
    const uint8_t* b = p + offset;
    const size_t size = 4 * (size_t{readU16(b + 2)} + 1);
    if (offset + size > length) return false;
    if (b[0] == 7 && size == 36) {
      seen.hasVoip = true;
      seen.voip = {readU32(b + 4),   b[8],  b[9],  b[10], b[11], readU16(b + 12), readU16(b + 14), readU16(b + 16),
                   readU16(b + 18), b[24], b[26], b[27], readU16(b + 30)};
    }
    offset += size;
  }
  return offset == length;
}

}  // namespace

bool parseRtcp(std::span<const uint8_t> packet, uint32_t ours, RtcpSeen& seen) {
  size_t offset = 0;
  if (packet.size() < 8) return false;
  while (offset + 4 <= packet.size()) {
    const uint8_t* p = &packet[offset];
    if ((p[0] >> 6) != 2) return false;
    const size_t length = 4 * (size_t{readU16(p + 2)} + 1);
    if (offset + length > packet.size()) return false;
    const unsigned count = p[0] & 0x1f;
    const uint8_t type = p[1];
    if (type == 200 || type == 201) {
      const size_t blocks = type == 200 ? 28 : 8;
      if (length < blocks + 24u * count) return false;
      if (type == 200) {
        seen.senderReport = true;
        seen.ntpMiddle = readU32(p + 10);
      }
      for (unsigned i = 0; i < count; i++) {
        const uint8_t* b = p + blocks + 24u * i;
        if (readU32(b) != ours || seen.hasBlock) continue;
        seen.hasBlock = true;
        seen.fractionLost = b[4];
        seen.lastSr = readU32(b + 16);
        seen.delaySinceLastSr = readU32(b + 20);
      }
    } else if (type == 203) {
      seen.bye = true;
    } else if (type == 207) {
      if (length < 8 || !parseExtended(p, length, seen)) return false;
    }
    offset += length;
  }
  return offset == packet.size();
}

size_t keepTransportFeedback(std::span<uint8_t> packet) {
  size_t kept = 0;
  for (size_t offset = 0; offset + 4 <= packet.size();) {
    const uint8_t* p = &packet[offset];
    const size_t length = std::min(4 * (size_t{readU16(p + 2)} + 1), packet.size() - offset);
    const unsigned format = p[0] & 0x1f;
    const bool wide = p[1] == 205 && format == 15 && length >= 12;
    const bool remb = p[1] == 206 && format == 15 && length >= 16 && std::memcmp(p + 12, "REMB", 4) == 0;
    if (wide || remb) {
      std::memmove(&packet[kept], p, length);
      kept += length;
    }
    offset += length;
  }
  return kept;
}

}  // namespace causeway
