#include "transcoder_config.h"

#include <algorithm>

#include "audio_codec.h"

namespace causeway {

uint32_t pipelineRate(const TranscoderConfig& config) {
  uint32_t rate = 48'000;
  auto narrow = [&rate](const PayloadFormat& format) {
    if (format.codec == Codec::kPcmu || format.codec == Codec::kPcma) rate = 8'000;
    else if (format.codec == Codec::kOpus) {
      for (uint32_t step : {8'000u, 12'000u, 16'000u, 24'000u, 48'000u}) {
        if (format.maxPlaybackRate <= step) {
          rate = std::min(rate, step);
          break;
        }
      }
    }
  };
  for (const PayloadFormat& format : config.in) narrow(format);
  narrow(config.out);
  return rate;
}

bool checkTranscoder(const TranscoderConfig& config, std::string& error) {
  if (config.in.empty()) {
    error = "no payload format to receive";
    return false;
  }
  const bool audio = std::any_of(config.in.begin(), config.in.end(), [](const auto& f) { return f.codec != Codec::kComfortNoise; });
  if (!audio || config.out.codec == Codec::kComfortNoise) {
    error = "comfort noise alone is no codec";
    return false;
  }
  if (config.out.ptimeMs < 10 || config.out.ptimeMs > 60 || config.out.ptimeMs % 10 != 0 || config.out.clockRate == 0) {
    error = "ptime must be 10, 20, 30, 40, 50 or 60 ms";
    return false;
  }
  const uint32_t rate = pipelineRate(config);
  if (config.out.codec == Codec::kOpus && config.out.ptimeMs != 10 && config.out.ptimeMs != 20 && config.out.ptimeMs != 40 && config.out.ptimeMs != 60) {
    error = "opus knows no frames of this ptime";
    return false;
  }
  for (const PayloadFormat& format : config.in) {
    if (format.codec != Codec::kComfortNoise && makeDecoder(format, rate, error) == nullptr) return false;
    if (format.clockRate == 0) {
      error = "a clock rate of 0";
      return false;
    }
  }
  return true;
}

}  // namespace causeway
