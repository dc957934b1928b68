#include "transcoder_config.h"

#include <algorithm>

#include "audio_codec.h"

namespace causeway {
namespace {

bool sameFormat(const PayloadFormat& a, const PayloadFormat& b) {
  return a.pt == b.pt && a.codec == b.codec && a.clockRate == b.clockRate && a.channels == b.channels && a.ptimeMs == b.ptimeMs &&
         a.bitrate == b.bitrate && a.fec == b.fec && a.dtx == b.dtx && a.maxPlaybackRate == b.maxPlaybackRate;
}

}  // namespace

bool sameTranscoding(const TranscoderConfig& a, const TranscoderConfig& b) {
  return std::equal(a.in.begin(), a.in.end(), b.in.begin(), b.in.end(), sameFormat) && sameFormat(a.out, b.out) &&
         std::equal(a.dtmf.begin(), a.dtmf.end(), b.dtmf.begin(), b.dtmf.end(),
                    [](const DtmfMap& x, const DtmfMap& y) {
                      return x.inPt == y.inPt && x.inClock == y.inClock && x.outPt == y.outPt && x.outClock == y.outClock;
                    }) &&
         a.jitterMinMs == b.jitterMinMs && a.jitterMaxMs == b.jitterMaxMs;
}

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
