// What is heard of a sender: its packets in their order, and of them frames of samples when they are due. Playout is by
// timestamps: a missing sequence number is a loss, a jump of the timestamp without one is silence (RFC 3551 §4.1), an empty
// buffer is a delay that is made up for later by shortening. In a header, so that the transcoder is compiled with it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "audio_codec.h"
#include "delay_estimator.h"
#include "media_clock.h"
#include "packet_buffer.h"
#include "rtp.h"
#include "transcoder.h"
#include "waveform.h"

namespace causeway {

class Playout {
 public:
  // `config` and `stats` outlive it.
  Playout(const TranscoderConfig& config, uint32_t rate, TranscoderStats& stats)
      : config_(config),
        rate_(rate),
        frameSamples_(rate * config.out.ptimeMs / 1000),
        stats_(stats),
        decoders_(config.in.size()),
        delay_(config.jitterMinMs, config.jitterMaxMs) {
    pcm_.reserve(rate / 5);
    decoded_.reserve(rate / 5);
  }

  // Another stream.
  void restart() {
    extender_.reset();
    buffer_.clear();
    delay_.reset();
    playing_ = false;
    highestKnown_ = false;
    clock_.forget();
  }

  // `format`: its place among those that are accepted; `afterSilence`: nobody was heard. False: it comes too late, or again.
  bool push(Micros now, const RtpHeader& header, std::span<const uint8_t> payload, size_t format, bool afterSilence) {
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
    if (afterSilence) delay_.rebase();
    delay_.arrived(now, place);
    PacketBuffer::Slot* slot = store(header, payload, static_cast<uint8_t>(format), false);
    if (slot == nullptr) return false;
    slot->comfortNoise = noise;
    return true;
  }

  // Not audio.
  void skip(const RtpHeader& header) { store(header, {}, 0, true); }

  // The first packet, or the first after silence, has come.
  void begin() {
    expectedKnown_ = false;
    levelMs_ = delay_.targetMs();
  }

  // Samples for a frame at least.
  void fill() {
    playing_ = true;
    // Each turn adds samples or advances the sequence; the bound is for what a hostile sender may contrive.
    for (int turn = 0; pcm_.size() < frameSamples_ && turn < 200; turn++) pull();
  }

  // The next frame, of silence where nothing else is; it stays until it is dropped.
  std::span<int16_t> frame() {
    if (pcm_.size() < frameSamples_) pcm_.resize(frameSamples_, 0);
    return std::span(pcm_).first(frameSamples_);
  }
  void dropFrame() { pcm_.erase(pcm_.begin(), pcm_.begin() + static_cast<std::ptrdiff_t>(frameSamples_)); }

  void clear() {
    buffer_.clear();
    pcm_.clear();
  }

  uint32_t targetMs() const { return delay_.targetMs(); }

  double bufferedMs() const {
    const double pcm = static_cast<double>(pcm_.size()) * 1000 / rate_;
    if (buffer_.count() == 0) return pcm;
    // By sequence numbers: timestamps may jump, and silence that was not sent is not held either.
    const auto ahead = static_cast<double>(std::max<int64_t>(0, newestSequence_ - nextSequence_ + 1));
    return pcm + ahead * static_cast<double>(lastFrameSamples_) * 1000 / rate_;
  }

  size_t memoryBytes() const {
    size_t bytes = buffer_.memoryBytes() + (pcm_.capacity() + decoded_.capacity()) * sizeof(int16_t);
    for (const auto& decoder : decoders_) bytes += decoder ? decoder->memoryBytes() : 0;
    return bytes;
  }

 private:
  static constexpr Micros kFadedUs = 100'000;  // concealment has come to silence

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

  void updateLevel() { levelMs_ += (bufferedMs() - levelMs_) / 16; }

  Decoder* decoderFor(size_t format) {
    auto& decoder = decoders_[format];
    if (!decoder && config_.in[format].codec != Codec::kComfortNoise) {
      std::string error;
      decoder = makeDecoder(config_.in[format], rate_, error);
    }
    return decoder.get();
  }

  const TranscoderConfig& config_;
  const uint32_t rate_;
  const size_t frameSamples_;
  TranscoderStats& stats_;
  std::vector<std::unique_ptr<Decoder>> decoders_;
  DelayEstimator delay_;
  PacketBuffer buffer_;
  SequenceExtender extender_;
  MediaClock clock_;
  size_t inFormat_ = 0;

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
};

}  // namespace causeway
