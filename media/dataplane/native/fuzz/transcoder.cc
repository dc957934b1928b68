// The audio pipeline: jitter buffer, concealment, codecs, telephone-events. Input: the configuration (two bytes), then
// steps: time since the last (one byte, quarters of a frame), a byte of what to put right, a byte of length, a packet.
#include "../core/transcoder.h"

#include <cstring>

#include "../core/rtp.h"
#include "target.h"

using namespace causeway;
using causeway::fuzz::require;

namespace {

TranscoderConfig configOf(uint8_t codecs, uint8_t rest) {
  const PayloadFormat pcmu{0, Codec::kPcmu, 8000, 1, 20, 0, true, false, 48000};
  const PayloadFormat pcma{8, Codec::kPcma, 8000, 1, 20, 0, true, false, 48000};
  const PayloadFormat noise{13, Codec::kComfortNoise, 8000, 1, 20, 0, true, false, 48000};
  const PayloadFormat opus{111, Codec::kOpus, 48000, 2, 20, 0, true, (rest & 1) != 0, rest & 2 ? 16000u : 48000u};
  TranscoderConfig config;
  config.in = codecs & 1 ? std::vector{opus, pcma, noise} : std::vector{pcmu, pcma, noise, opus};
  config.out = codecs & 2 ? opus : codecs & 4 ? pcma : pcmu;
  config.out.ptimeMs = codecs & 8 ? 20 : codecs & 16 ? 10 : 60;
  config.dtmf = {{101, 8000, 110, config.out.clockRate}};
  config.jitterMinMs = rest & 4 ? 0 : 40;
  config.jitterMaxMs = rest & 8 ? 40 : 400;
  config.firstSequence = rest & 16 ? 65'530 : 1;
  config.firstTimestamp = rest & 32 ? 0xffff'ff00u : 1;
  return config;
}

class Run {
 public:
  explicit Run(const TranscoderConfig& config) : config_(config), out_(new uint8_t[1500]) {
    std::string error;
    transcoder_ = Transcoder::create(config, error);
    require(transcoder_ != nullptr, "a transcoder can be made");
  }

  void push(Micros now, std::span<const uint8_t> packet) { transcoder_->push(now, packet); }

  void poll(Micros now) {
    for (int turn = 0;; turn++) {
      require(turn < 64, "one moment brings a bounded number of packets");
      const size_t length = transcoder_->poll(now, {out_.get(), 1500});
      if (length == 0) break;
      RtpHeader header;
      require(length <= 1500 && parseRtp({out_.get(), length}, header), "what comes out is RTP");
      require(header.pt == config_.out.pt || header.pt == config_.dtmf[0].outPt, "of the agreed type");
      require(!started_ || header.sequence == static_cast<uint16_t>(lastSequence_ + 1), "numbered one by one");
      require(header.ssrc == config_.ssrc, "with our SSRC");
      started_ = true;
      lastSequence_ = header.sequence;
    }
    require(transcoder_->nextDeadline() > now, "after that there is nothing to be done now");
    require(transcoder_->memoryBytes() < 2'000'000, "what a sender can make us hold is bounded");
  }

  bool asleep() const { return transcoder_->nextDeadline() == kNever; }

 private:
  const TranscoderConfig config_;
  std::unique_ptr<Transcoder> transcoder_;
  std::unique_ptr<uint8_t[]> out_;
  bool started_ = false;
  uint16_t lastSequence_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Feed feed(data, size);
  const uint8_t codecs = feed.byte();
  const TranscoderConfig config = configOf(codecs, feed.byte());
  Run run(config);
  Micros now = 1'000'000;
  uint16_t sequence = 65'530;
  uint32_t timestamp = 0xffff'f000u;
  for (int steps = 0; !feed.empty() && steps < 64; steps++) {
    // A byte with its highest bit is a long pause.
    const uint8_t passed = feed.byte();
    now += passed & 0x80 ? Micros{passed & 0x7f} * 500'000 : Micros{passed} * 5'000;
    const uint8_t right = feed.byte();
    const auto bytes = feed.take(feed.byte());
    fuzz::Exact packet(bytes);
    if (packet.size() >= 12) {
      uint8_t* p = packet.data();
      if (right & 1) p[0] = static_cast<uint8_t>(0x80 | (p[0] & 0x3f & (right >> 2)));
      if (right & 2) {
        sequence++;
        timestamp += 160;
        writeRtp(p, right & 0x80 ? 101 : config.in[(right >> 4) % config.in.size()].pt, false, sequence, timestamp, 42);
      }
    }
    run.push(now, packet.span());
    run.poll(now);
  }
  // When nobody speaks any more, it falls asleep: a thread is not woken for ever, and nothing is sent for ever.
  for (int frame = 0; frame < 400 && !run.asleep(); frame++) {
    now += 10'000;
    run.poll(now);
  }
  require(run.asleep(), "it falls asleep");
  return 0;
}
