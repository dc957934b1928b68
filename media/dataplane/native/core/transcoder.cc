// The pipeline of one direction. Playout is by timestamps: a missing sequence number is a loss, a jump of the timestamp
// without one is silence (RFC 3551 §4.1), an empty buffer is a delay that is made up for later by shortening. One file, and
// a long one: its steps share the state of the frame that is being made.
#include "transcoder.h"

#include <algorithm>
#include <cstring>

#include "audio_codec.h"
#include "delay_estimator.h"
#include "event_passage.h"
#include "media_clock.h"
#include "packet_buffer.h"
#include "player.h"
#include "rtp.h"
#include "transcoder_config.h"
#include "waveform.h"

namespace causeway {
namespace {

constexpr Micros kIdleUs = 1'000'000;  // nothing heard for so long: nothing is sent either
constexpr Micros kFadedUs = 100'000;   // concealment has come to silence

class TranscoderImpl final : public Transcoder {
 public:
  TranscoderImpl(const TranscoderConfig& config, uint32_t rate, std::unique_ptr<Encoder> encoder)
      : config_(config),
        rate_(rate),
        encoder_(std::move(encoder)),
        decoders_(config.in.size()),
        delay_(config.jitterMinMs, config.jitterMaxMs),
        outSequence_(config.firstSequence),
        outTimestamp_(config.firstTimestamp),
        frameSamples_(rate * config.out.ptimeMs / 1000),
        frameTicks_(config.out.clockRate * config.out.ptimeMs / 1000),
        frameUs_(Micros{config.out.ptimeMs} * 1000),
        marker_(config.marker) {
    pcm_.reserve(rate / 5);
    decoded_.reserve(rate / 5);
  }

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
        store(header, payload, 0, true);
        return;
      }
    }
    for (size_t i = 0; i < config_.in.size(); i++) {
      if (config_.in[i].pt != header.pt) continue;
      pushAudio(now, header, payload, i);
      return;
    }
    stats_.unknownPayload++;
    store(header, payload, 0, true);
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
        buffer_.clear();
        pcm_.clear();
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
    stats.targetDelayMs = delay_.targetMs();
    stats.bufferedMs = static_cast<uint32_t>(bufferedMs());
    return stats;
  }

  size_t memoryBytes() const override {
    size_t bytes = sizeof(*this) + buffer_.memoryBytes() + (pcm_.capacity() + decoded_.capacity()) * sizeof(int16_t) + encoder_->memoryBytes();
    for (const auto& decoder : decoders_) bytes += decoder ? decoder->memoryBytes() : 0;
    return bytes;
  }

 private:
  void restart(const RtpHeader& header) {
    heard_ = true;
    inSsrc_ = header.ssrc;
    extender_.reset();
    buffer_.clear();
    delay_.reset();
    playing_ = false;
    highestKnown_ = false;
    clock_.forget();
    events_.forget();
  }

  void pushAudio(Micros now, const RtpHeader& header, std::span<const uint8_t> payload, size_t format) {
    const PayloadFormat& in = config_.in[format];
    const bool noise = in.codec == Codec::kComfortNoise;
    if (!noise && format != inFormat_) {
      // Another codec has another clock: the time line begins anew, the delay that was learnt is kept.
      if (config_.in[inFormat_].clockRate != in.clockRate) clock_.forget();
      inFormat_ = format;
    }
    bool anew = false;
    const Micros place = clock_.place(header.timestamp, config_.in[inFormat_].clockRate, now, anew);
    if (anew) delay_.reset();
    // After silence the buffer fills anew: how long the silence was says nothing about the network.
    if (inputIdle_) delay_.rebase();
    delay_.arrived(now, place);
    PacketBuffer::Slot* slot = store(header, payload, static_cast<uint8_t>(format), false);
    if (slot == nullptr) return;
    slot->comfortNoise = noise;
    if (inputIdle_) start(now);
  }

  PacketBuffer::Slot* store(const RtpHeader& header, std::span<const uint8_t> payload, uint8_t format, bool skip) {
    int64_t sequence = extender_.extend(header.sequence);
    if (playing_ && sequence > nextSequence_ + static_cast<int64_t>(PacketBuffer::kSlots) - 1) {
      // A jump beyond the buffer: begin again from here.
      buffer_.clear();
      nextSequence_ = sequence;
      expectedKnown_ = false;
    }
    if (playing_ && sequence < nextSequence_) {
      if (nextSequence_ - sequence > 1000) {
        // The sender counts anew.
        buffer_.clear();
        extender_.reset();
        sequence = extender_.extend(header.sequence);
        nextSequence_ = sequence;
        expectedKnown_ = false;
      } else {
        stats_.late++;
        return nullptr;
      }
    }
    if (!playing_) {
      if (!highestKnown_ || sequence < nextSequence_) nextSequence_ = sequence;
      highestKnown_ = true;
      if (sequence - nextSequence_ >= static_cast<int64_t>(PacketBuffer::kSlots)) {
        buffer_.clear();
        nextSequence_ = sequence;
      }
    }
    PacketBuffer::Slot* slot = buffer_.put(sequence, skip ? std::span<const uint8_t>{} : payload);
    if (slot == nullptr) {
      stats_.duplicates++;
      return nullptr;
    }
    slot->format = format;
    slot->skip = skip;
    slot->timestamp = header.timestamp;
    newestSequence_ = buffer_.count() == 1 ? sequence : std::max(newestSequence_, sequence);
    return slot;
  }

  // The first packet, or the first after silence: playing begins when the target delay has passed.
  void start(Micros now) {
    inputIdle_ = false;
    inputFrom_ = now + Micros{delay_.targetMs()} * 1000;
    expectedKnown_ = false;
    levelMs_ = delay_.targetMs();
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

  // One frame of `frameSamples_`, encoded; 0 when nothing is to be sent.
  size_t frame(Micros now, std::span<uint8_t> out) {
    if (!inputIdle_ && now >= inputFrom_) {
      playing_ = true;
      // Each turn adds samples or advances the sequence; the bound is for what a hostile sender may contrive.
      for (int turn = 0; pcm_.size() < frameSamples_ && turn < 200; turn++) pull();
    }
    if (pcm_.size() < frameSamples_) pcm_.resize(frameSamples_, 0);
    if (!inputIdle_) stats_.playedMs += config_.out.ptimeMs;
    if (player_ != nullptr) player_->mix(std::span(pcm_).first(frameSamples_), rate_);
    const bool suppressed = events_.active(now);
    size_t length = 0;
    if (!suppressed) {
      length = encoder_->encode(std::span(pcm_).first(frameSamples_), out.subspan(12));
      if (length > 0) {
        writeRtp(out.data(), config_.out.pt, marker_, outSequence_++, outTimestamp_, config_.ssrc);
        marker_ = false;
        stats_.packetsOut++;
        length += 12;
      }
    }
    if (suppressed || length == 0) marker_ = true;
    pcm_.erase(pcm_.begin(), pcm_.begin() + static_cast<std::ptrdiff_t>(frameSamples_));
    return length;
  }

  void pull() {
    const uint32_t clock = config_.in[inFormat_].clockRate;
    PacketBuffer::Slot* head = buffer_.find(nextSequence_);
    if (head == nullptr) {
      if (buffer_.count() == 0) {
        starve();
        return;
      }
      // It is its turn and it is not there, but later ones are: lost.
      PacketBuffer::Slot* next = buffer_.find(nextSequence_ + 1);
      const bool useful = next != nullptr && !next->skip && !next->comfortNoise && next->format == inFormat_;
      nextSequence_++;
      if (next != nullptr && next->skip) return;
      conceal(lastFrameSamples_, useful ? std::span<const uint8_t>(next->payload) : std::span<const uint8_t>{});
      expectedTimestamp_ += static_cast<uint32_t>(uint64_t{lastFrameSamples_} * clock / rate_);
      return;
    }
    if (head->skip) {
      buffer_.release(*head);
      nextSequence_++;
      return;
    }
    const auto gap = expectedKnown_ ? static_cast<int32_t>(head->timestamp - expectedTimestamp_) : 0;
    const auto gapSamples = static_cast<int64_t>(gap) * rate_ / clock;
    if (gapSamples >= static_cast<int64_t>(rate_ / 200) && gapSamples < static_cast<int64_t>(rate_) * 60) {
      // Silence that the sender did not send: it lasts as long as the timestamps say, less what we are behind.
      const bool behind = bufferedMs() > static_cast<double>(delay_.targetMs()) + 20;
      const auto length = std::min<int64_t>(gapSamples, static_cast<int64_t>(frameSamples_));
      if (!behind) pcm_.resize(pcm_.size() + static_cast<size_t>(length), 0);
      expectedTimestamp_ += static_cast<uint32_t>(length * clock / rate_);
      updateLevel();
      return;
    }
    play(*head, clock);
  }

  void play(PacketBuffer::Slot& head, uint32_t clock) {
    nextSequence_++;
    starvedUs_ = 0;
    quiet_ = head.comfortNoise || head.payload.size() <= 2;
    decoded_.clear();
    if (!head.comfortNoise) {
      Decoder* decoder = decoderFor(head.format);
      if (decoder == nullptr || !decoder->decode(head.payload, decoded_)) {
        stats_.decodeErrors++;
        decoded_.assign(lastFrameSamples_, 0);
      }
      if (!decoded_.empty()) lastFrameSamples_ = std::min<size_t>(decoded_.size(), rate_ * 60 / 1000);
    }
    expectedTimestamp_ = head.timestamp + static_cast<uint32_t>(uint64_t{decoded_.size()} * clock / rate_);
    expectedKnown_ = true;
    buffer_.release(head);
    updateLevel();
    const double target = delay_.targetMs();
    if (levelMs_ > target + 15 && decoded_.size() >= rate_ / 100) {
      const size_t before = decoded_.size();
      if (removePeriod(decoded_, rate_)) {
        const double ms = static_cast<double>(before - decoded_.size()) * 1000 / rate_;
        levelMs_ -= ms;
        stats_.shortenedMs += ms;
      }
    } else if (levelMs_ < target * 0.5 && decoded_.size() >= rate_ / 100) {
      const size_t before = decoded_.size();
      if (insertPeriod(decoded_, rate_)) {
        const double ms = static_cast<double>(decoded_.size() - before) * 1000 / rate_;
        levelMs_ += ms;
        stats_.lengthenedMs += ms;
      }
    }
    // Beyond the bound of the buffer nothing but leaving out helps.
    if (bufferedMs() > config_.jitterMaxMs + 100) decoded_.clear();
    pcm_.insert(pcm_.end(), decoded_.begin(), decoded_.end());
  }

  // Nothing to play: late or ended. The time line stands still, so that what is late is still played.
  void starve() {
    // What has been missing for long is no loss but an end: it has faded out, and silence is what was sent.
    if (quiet_ || starvedUs_ >= kFadedUs) {
      pcm_.resize(pcm_.size() + frameSamples_, 0);
      return;
    }
    starvedUs_ += static_cast<Micros>(lastFrameSamples_) * 1'000'000 / rate_;
    conceal(lastFrameSamples_, {});
    updateLevel();
  }

  void conceal(size_t samples, std::span<const uint8_t> next) {
    Decoder* decoder = decoderFor(inFormat_);
    const size_t before = pcm_.size();
    if (decoder != nullptr) decoder->conceal(samples, next, pcm_);
    else pcm_.resize(before + samples, 0);
    // With FEC the packet's own speech is played; the rest is invented.
    if (next.empty()) stats_.concealedMs += (pcm_.size() - before) * 1000 / rate_;
  }

  double bufferedMs() const {
    const double pcm = static_cast<double>(pcm_.size()) * 1000 / rate_;
    if (buffer_.count() == 0) return pcm;
    // By sequence numbers: timestamps may jump, and silence that was not sent is not held either.
    const auto ahead = static_cast<double>(std::max<int64_t>(0, newestSequence_ - nextSequence_ + 1));
    return pcm + ahead * static_cast<double>(lastFrameSamples_) * 1000 / rate_;
  }

  void updateLevel() { levelMs_ += (bufferedMs() - levelMs_) / 16; }

  Decoder* decoderFor(size_t format) {
    auto& decoder = decoders_[format];
    if (!decoder && config_.in[format].codec != Codec::kComfortNoise) {
      std::string error;
      decoder = makeDecoder(config_.in[format], rate_, error);
    }
    return decoder.get();
  }

  const TranscoderConfig config_;
  const uint32_t rate_;
  std::unique_ptr<Encoder> encoder_;
  std::vector<std::unique_ptr<Decoder>> decoders_;
  DelayEstimator delay_;
  PacketBuffer buffer_;
  SequenceExtender extender_;
  TranscoderStats stats_;

  bool heard_ = false;
  uint32_t inSsrc_ = 0;
  size_t inFormat_ = 0;
  Micros lastHeard_ = 0;
  MediaClock clock_;

  bool playing_ = false;
  bool highestKnown_ = false;
  int64_t nextSequence_ = 0;
  int64_t newestSequence_ = 0;
  bool expectedKnown_ = false;
  uint32_t expectedTimestamp_ = 0;
  size_t lastFrameSamples_ = 160;
  bool quiet_ = false;
  Micros starvedUs_ = 0;
  double levelMs_ = 0;
  std::vector<int16_t> pcm_;
  std::vector<int16_t> decoded_;

  uint16_t outSequence_;
  uint32_t outTimestamp_;
  const size_t frameSamples_;
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
