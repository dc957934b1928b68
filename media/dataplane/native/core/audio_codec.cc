#include "audio_codec.h"

#include <opus/opus.h>

#include <algorithm>
#include <cmath>

#include "g711.h"
#include "waveform.h"

namespace causeway {
namespace {

class G711Decoder final : public Decoder {
 public:
  G711Decoder(bool muLaw, uint32_t rate) : muLaw_(muLaw), concealer_(rate) {}

  bool decode(std::span<const uint8_t> payload, std::vector<int16_t>& out) override {
    const size_t start = out.size();
    out.resize(start + payload.size());
    for (size_t i = 0; i < payload.size(); i++) out[start + i] = muLaw_ ? muLawToLinear(payload[i]) : aLawToLinear(payload[i]);
    concealer_.good(std::span(out).subspan(start));
    return true;
  }
  size_t duration(std::span<const uint8_t> payload) const override { return payload.size(); }
  void conceal(size_t samples, std::span<const uint8_t>, std::vector<int16_t>& out) override {
    const size_t start = out.size();
    out.resize(start + samples);
    concealer_.conceal(std::span(out).subspan(start));
  }
  size_t memoryBytes() const override { return sizeof(*this) + concealer_.memoryBytes(); }

 private:
  bool muLaw_;
  Concealer concealer_;
};

class OpusAudioDecoder final : public Decoder {
 public:
  OpusAudioDecoder(OpusDecoder* decoder, uint32_t rate) : decoder_(decoder), rate_(rate) {}
  ~OpusAudioDecoder() override { opus_decoder_destroy(decoder_); }

  bool decode(std::span<const uint8_t> payload, std::vector<int16_t>& out) override {
    const size_t samples = duration(payload);
    if (samples == 0) return false;
    const size_t start = out.size();
    out.resize(start + samples);
    const int got = opus_decode(decoder_, payload.data(), static_cast<opus_int32>(payload.size()), out.data() + start,
                                static_cast<int>(samples), 0);
    out.resize(start + static_cast<size_t>(std::max(0, got)));
    return got > 0;
  }
  size_t duration(std::span<const uint8_t> payload) const override {
    if (payload.empty()) return 0;
    const int samples = opus_packet_get_nb_samples(payload.data(), static_cast<opus_int32>(payload.size()), static_cast<opus_int32>(rate_));
    return samples <= 0 || samples > static_cast<int>(rate_ * 120 / 1000) ? 0 : static_cast<size_t>(samples);
  }
  void conceal(size_t samples, std::span<const uint8_t> next, std::vector<int16_t>& out) override {
    // libopus conceals in steps of 2.5 ms.
    const size_t step = rate_ / 400;
    const size_t wanted = std::max(step, samples / step * step);
    const size_t start = out.size();
    out.resize(start + wanted);
    const bool fec = !next.empty() && duration(next) == wanted;
    const int got = opus_decode(decoder_, fec ? next.data() : nullptr, fec ? static_cast<opus_int32>(next.size()) : 0,
                                out.data() + start, static_cast<int>(wanted), fec ? 1 : 0);
    if (got <= 0) std::fill(out.begin() + static_cast<std::ptrdiff_t>(start), out.end(), int16_t{0});
  }
  size_t memoryBytes() const override { return sizeof(*this) + static_cast<size_t>(opus_decoder_get_size(1)); }

 private:
  OpusDecoder* decoder_;
  uint32_t rate_;
};

class G711Encoder final : public Encoder {
 public:
  explicit G711Encoder(bool muLaw) : muLaw_(muLaw) {}
  size_t encode(std::span<const int16_t> samples, std::span<uint8_t> out) override {
    const size_t n = std::min(samples.size(), out.size());
    for (size_t i = 0; i < n; i++) out[i] = muLaw_ ? linearToMuLaw(samples[i]) : linearToALaw(samples[i]);
    return n;
  }
  size_t memoryBytes() const override { return sizeof(*this); }

 private:
  bool muLaw_;
};

class OpusAudioEncoder final : public Encoder {
 public:
  OpusAudioEncoder(OpusEncoder* encoder, bool fec) : encoder_(encoder), fec_(fec) {}
  ~OpusAudioEncoder() override { opus_encoder_destroy(encoder_); }
  size_t encode(std::span<const int16_t> samples, std::span<uint8_t> out) override {
    const int bytes = opus_encode(encoder_, samples.data(), static_cast<int>(samples.size()), out.data(), static_cast<opus_int32>(out.size()));
    // One or two bytes: nothing to send (DTX).
    return bytes <= 2 ? 0 : static_cast<size_t>(bytes);
  }
  void expectLoss(double share) override {
    // Quick up, slow down: losses come in bursts.
    expected_ = std::max(share, expected_ * 0.75);
    const int percent = fec_ ? std::min(30, static_cast<int>(std::lround(expected_ * 100))) : 0;
    if (percent == told_) return;
    told_ = percent;
    opus_encoder_ctl(encoder_, OPUS_SET_PACKET_LOSS_PERC(percent));
  }
  size_t memoryBytes() const override { return sizeof(*this) + static_cast<size_t>(opus_encoder_get_size(1)); }

 private:
  OpusEncoder* encoder_;
  bool fec_;
  double expected_ = 0;
  int told_ = 0;
};

}  // namespace

std::unique_ptr<Decoder> makeDecoder(const PayloadFormat& format, uint32_t rate, std::string& error) {
  if (format.codec == Codec::kPcmu || format.codec == Codec::kPcma) {
    if (rate != 8000) {
      error = "G.711 needs a pipeline at 8000 Hz";
      return nullptr;
    }
    return std::make_unique<G711Decoder>(format.codec == Codec::kPcmu, rate);
  }
  int status = OPUS_OK;
  OpusDecoder* decoder = opus_decoder_create(static_cast<opus_int32>(rate), 1, &status);
  if (decoder == nullptr || status != OPUS_OK) {
    error = std::string("opus decoder: ") + opus_strerror(status);
    return nullptr;
  }
  return std::make_unique<OpusAudioDecoder>(decoder, rate);
}

std::unique_ptr<Encoder> makeEncoder(const PayloadFormat& format, uint32_t rate, std::string& error) {
  if (format.codec == Codec::kPcmu || format.codec == Codec::kPcma) {
    if (rate != 8000) {
      error = "G.711 needs a pipeline at 8000 Hz";
      return nullptr;
    }
    return std::make_unique<G711Encoder>(format.codec == Codec::kPcmu);
  }
  int status = OPUS_OK;
  OpusEncoder* encoder = opus_encoder_create(static_cast<opus_int32>(rate), 1, OPUS_APPLICATION_VOIP, &status);
  if (encoder == nullptr || status != OPUS_OK) {
    error = std::string("opus encoder: ") + opus_strerror(status);
    return nullptr;
  }
  const int32_t bitrate = format.bitrate > 0 ? format.bitrate : rate <= 16'000 ? 32'000 : 40'000;
  opus_encoder_ctl(encoder, OPUS_SET_BITRATE(bitrate));
  opus_encoder_ctl(encoder, OPUS_SET_SIGNAL(OPUS_SIGNAL_VOICE));
  // Narrow-band speech gains little above 5, and pays for it.
  opus_encoder_ctl(encoder, OPUS_SET_COMPLEXITY(rate <= 8000 ? 4 : 5));
  opus_encoder_ctl(encoder, OPUS_SET_INBAND_FEC(format.fec ? 1 : 0));
  // Redundancy is taken from the speech itself (10 dB of a tone at 32 kbit/s): only when the receiver reports loss.
  opus_encoder_ctl(encoder, OPUS_SET_PACKET_LOSS_PERC(0));
  opus_encoder_ctl(encoder, OPUS_SET_DTX(format.dtx ? 1 : 0));
  return std::make_unique<OpusAudioEncoder>(encoder, format.fec);
}

}  // namespace causeway
