// One direction: what is heard (playout.h), what is mixed in, and the stream of our own that is made of them.
#include "transcoder.h"

#include <algorithm>

#include "audio_codec.h"
#include "event_passage.h"
#include "player.h"
#include "playout.h"
#include "rtp.h"
#include "transcoder_config.h"

namespace causeway {
namespace {

constexpr Micros kIdleUs = 1'000'000;  // nothing heard for so long: nothing is sent either

class TranscoderImpl final : public Transcoder {
 public:
  TranscoderImpl(const TranscoderConfig& config, uint32_t rate, std::unique_ptr<Encoder> encoder)
      : config_(config),
        rate_(rate),
        encoder_(std::move(encoder)),
        playout_(config_, rate, stats_),
        outSequence_(config.firstSequence),
        outTimestamp_(config.firstTimestamp),
        frameTicks_(config.out.clockRate * config.out.ptimeMs / 1000),
        frameUs_(Micros{config.out.ptimeMs} * 1000),
        marker_(config.marker) {}

  void push(Micros now, std::span<const uint8_t> packet) override {
    RtpHeader header;
    if (!parseRtp(packet, header)) {
      stats_.unknownPayload++;
      return;
    }
    if (!heard_ || header.ssrc != inSsrc_) restart(header);
    stats_.packetsIn++;
    lastHeard_ = now;
    const std::span<const uint8_t> payload = packet.subspan(header.payloadOffset, header.payloadSize);
    for (const DtmfMap& map : config_.dtmf) {
      if (map.inPt == header.pt) {
        events_.push(now, map, header.timestamp, payload, config_.ssrc, eventTimestamp(now));
        playout_.skip(header);
        return;
      }
    }
    for (size_t i = 0; i < config_.in.size(); i++) {
      if (config_.in[i].pt != header.pt) continue;
      if (playout_.push(now, header, payload, i, inputIdle_) && inputIdle_) start(now);
      return;
    }
    stats_.unknownPayload++;
    playout_.skip(header);
  }

  Micros nextDeadline() const override {
    if (events_.waiting()) return 0;
    return nextTick_;
  }

  size_t poll(Micros now, std::span<uint8_t> out) override {
    if (events_.waiting()) {
      stats_.packetsOut++;
      return events_.pop(out, outSequence_++);
    }
    while (nextTick_ <= now) {
      // Far behind (a stalled thread): what is long past is not played faster, it is left out.
      if (now - nextTick_ > 10 * frameUs_) {
        const Micros skipped = (now - nextTick_) / frameUs_;
        nextTick_ += skipped * frameUs_;
        outTimestamp_ += static_cast<uint32_t>(skipped) * frameTicks_;
      }
      const Micros tick = nextTick_;
      nextTick_ += frameUs_;
      // What is left then is less than a frame that stretching has made, or waits for a moment that its timestamp names.
      if (!inputIdle_ && tick - lastHeard_ > kIdleUs) {
        playout_.clear();
        inputIdle_ = true;
      }
      if (inputIdle_ && (player_ == nullptr || player_->ended())) {
        player_ = nullptr;
        nextTick_ = kNever;
        idleSince_ = tick;
        return 0;
      }
      const size_t length = frame(tick, out);
      outTimestamp_ += frameTicks_;
      if (length > 0) return length;
    }
    return 0;
  }

  void mixIn(Player* player, Micros begin) override {
    player_ = player;
    if (player == nullptr || nextTick_ != kNever) return;
    passSilence(begin);
    nextTick_ = begin;
  }

  void expectLoss(double share) override { encoder_->expectLoss(share); }

  TranscoderStats stats() const override {
    TranscoderStats stats = stats_;
    stats.targetDelayMs = playout_.targetMs();
    stats.bufferedMs = static_cast<uint32_t>(playout_.bufferedMs());
    return stats;
  }

  size_t memoryBytes() const override { return sizeof(*this) + playout_.memoryBytes() + encoder_->memoryBytes(); }

 private:
  void restart(const RtpHeader& header) {
    heard_ = true;
    inSsrc_ = header.ssrc;
    playout_.restart();
    events_.forget();
  }

  // The first packet, or the first after silence: playing begins when the target delay has passed.
  void start(Micros now) {
    inputIdle_ = false;
    inputFrom_ = now + Micros{playout_.targetMs()} * 1000;
    playout_.begin();
    // Something else is being heard: the clock runs.
    if (nextTick_ != kNever) return;
    passSilence(inputFrom_);
    nextTick_ = inputFrom_;
    marker_ = true;
  }

  // Nothing was sent since; its time has passed all the same.
  void passSilence(Micros until) {
    if (idleSince_ <= 0) return;
    const Micros silent = std::max<Micros>(0, (until - idleSince_) / frameUs_);
    outTimestamp_ += static_cast<uint32_t>(silent) * frameTicks_;
    idleSince_ = 0;
    if (silent > 0) marker_ = true;
  }

  // Where an event that begins now stands on the time line that we send.
  uint32_t eventTimestamp(Micros now) const {
    if (nextTick_ != kNever || idleSince_ == 0) return outTimestamp_;
    return outTimestamp_ + static_cast<uint32_t>((now - idleSince_) * config_.out.clockRate / 1'000'000);
  }

  // One frame, encoded; 0 when nothing is to be sent.
  size_t frame(Micros now, std::span<uint8_t> out) {
    if (!inputIdle_ && now >= inputFrom_) playout_.fill();
    const std::span<int16_t> pcm = playout_.frame();
    if (!inputIdle_) stats_.playedMs += config_.out.ptimeMs;
    if (player_ != nullptr) player_->mix(pcm, rate_);
    const bool suppressed = events_.active(now);
    size_t length = 0;
    if (!suppressed) {
      length = encoder_->encode(pcm, out.subspan(12));
      if (length > 0) {
        writeRtp(out.data(), config_.out.pt, marker_, outSequence_++, outTimestamp_, config_.ssrc);
        marker_ = false;
        stats_.packetsOut++;
        length += 12;
      }
    }
    if (suppressed || length == 0) marker_ = true;
    playout_.dropFrame();
    return length;
  }

  const TranscoderConfig config_;
  const uint32_t rate_;
  std::unique_ptr<Encoder> encoder_;
  TranscoderStats stats_;
  Playout playout_;

  bool heard_ = false;
  uint32_t inSsrc_ = 0;
  Micros lastHeard_ = 0;

  uint16_t outSequence_;
  uint32_t outTimestamp_;
  const uint32_t frameTicks_;
  const Micros frameUs_;
  Micros nextTick_ = kNever;
  Micros idleSince_ = 0;
  bool marker_;
  Player* player_ = nullptr;
  bool inputIdle_ = true;  // nobody is heard, and what was heard has been played
  Micros inputFrom_ = 0;   // when playing of what is heard begins

  EventPassage events_;
};

}  // namespace

std::unique_ptr<Transcoder> Transcoder::create(const TranscoderConfig& config, std::string& error) {
  if (!checkTranscoder(config, error)) return nullptr;
  const uint32_t rate = pipelineRate(config);
  auto encoder = makeEncoder(config.out, rate, error);
  if (!encoder) return nullptr;
  return std::make_unique<TranscoderImpl>(config, rate, std::move(encoder));
}

}  // namespace causeway
