// Decoders and encoders behind one small interface, all at one sampling rate of the pipeline.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "transcoder.h"

namespace causeway {

class Decoder {
 public:
  virtual ~Decoder() = default;
  // Appends the packet's samples; false when it cannot be decoded.
  virtual bool decode(std::span<const uint8_t> payload, std::vector<int16_t>& out) = 0;
  // Samples that the payload holds, 0 when unknown.
  virtual size_t duration(std::span<const uint8_t> payload) const = 0;
  // Appends `samples` in the place of a lost packet; `next` is the packet after it, when that is there (in-band FEC).
  virtual void conceal(size_t samples, std::span<const uint8_t> next, std::vector<int16_t>& out) = 0;
  virtual size_t memoryBytes() const = 0;
};

class Encoder {
 public:
  virtual ~Encoder() = default;
  // Bytes written, 0 when nothing is to be sent (DTX).
  virtual size_t encode(std::span<const int16_t> samples, std::span<uint8_t> out) = 0;
  // Share of the packets that the receiver misses, 0 to 1: what redundancy is worth to it.
  virtual void expectLoss(double) {}
  virtual size_t memoryBytes() const = 0;
};

std::unique_ptr<Decoder> makeDecoder(const PayloadFormat& format, uint32_t rate, std::string& error);
std::unique_ptr<Encoder> makeEncoder(const PayloadFormat& format, uint32_t rate, std::string& error);

}  // namespace causeway
