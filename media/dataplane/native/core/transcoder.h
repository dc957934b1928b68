// One direction of a transcoded audio stream, without sockets, threads or clocks:
// RTP in -> jitter buffer -> concealment -> codec -> RTP out, with `now` as an argument.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace causeway {

// Microseconds of a monotonic clock.
using Micros = int64_t;
inline constexpr Micros kNever = std::numeric_limits<Micros>::max();

enum class Codec : uint8_t { kPcmu, kPcma, kOpus, kComfortNoise };

struct PayloadFormat {
  uint8_t pt = 0;
  Codec codec = Codec::kPcmu;
  uint32_t clockRate = 8000;
  uint8_t channels = 1;
  uint16_t ptimeMs = 20;
  // Opus only.
  int32_t bitrate = 0;          // 0: chosen from the sampling rate
  bool fec = true;
  bool dtx = false;
  uint32_t maxPlaybackRate = 48000;
};

struct DtmfMap {
  uint8_t inPt = 0;
  uint32_t inClock = 8000;
  uint8_t outPt = 0;
  uint32_t outClock = 8000;
};

struct TranscoderConfig {
  std::vector<PayloadFormat> in;
  PayloadFormat out;
  std::vector<DtmfMap> dtmf;
  uint32_t jitterMinMs = 40;
  uint32_t jitterMaxMs = 400;
  uint32_t ssrc = 0;
  uint16_t firstSequence = 0;
  uint32_t firstTimestamp = 0;
  bool marker = true;  // on the first packet
};

struct TranscoderStats {
  uint64_t packetsIn = 0;
  uint64_t packetsOut = 0;
  uint64_t late = 0;            // arrived after their playout time
  uint64_t duplicates = 0;
  uint64_t unknownPayload = 0;  // payload type or clock not negotiated
  uint64_t decodeErrors = 0;
  uint64_t playedMs = 0;
  uint64_t concealedMs = 0;
  double shortenedMs = 0;       // by leaving out periods
  double lengthenedMs = 0;
  uint32_t targetDelayMs = 0;
  uint32_t bufferedMs = 0;
};

class Player;

class Transcoder {
 public:
  // Null, with a reason in `error`, when a codec cannot be made.
  static std::unique_ptr<Transcoder> create(const TranscoderConfig& config, std::string& error);
  virtual ~Transcoder() = default;
  Transcoder() = default;
  Transcoder(const Transcoder&) = delete;
  Transcoder& operator=(const Transcoder&) = delete;

  // One decrypted RTP packet, any bytes; nothing it holds can throw.
  virtual void push(Micros now, std::span<const uint8_t> rtp) = 0;
  // When poll() has something to do; kNever before the first packet and in silence.
  virtual Micros nextDeadline() const = 0;
  // One plain RTP packet into `out` (at least 1,500 bytes); its length, 0 when nothing is due.
  // Call until it gives 0.
  virtual size_t poll(Micros now, std::span<uint8_t> out) = 0;
  // What is mixed into what is sent from `begin` on, whether anybody is heard or not, until it ends; null: no more of it.
  // It outlives the transcoder, or is taken back.
  virtual void mixIn(Player* player, Micros begin) = 0;
  // Of a receiver's report (RFC 3550 §6.4.1): the share of our packets that it misses, 0 to 1.
  virtual void expectLoss(double share) = 0;
  virtual TranscoderStats stats() const = 0;
  // Bytes this object holds, for the node's memory counters.
  virtual size_t memoryBytes() const = 0;
};

}  // namespace causeway
