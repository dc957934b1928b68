// What every fuzz target shares. A target is one file with LLVMFuzzerTestOneInput; it is linked either with libFuzzer or
// with mutation_driver.cc, and states what must hold for any input, not only that nothing crashes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <span>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace causeway::fuzz {

inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "PROPERTY %s\n", what);
  std::fflush(stderr);
  std::abort();
}

// Takes an input apart from the front; what is asked for beyond its end is zero, or short.
class Feed {
 public:
  Feed(const uint8_t* data, size_t size) : left_(data, size) {}
  bool empty() const { return left_.empty(); }
  uint8_t byte() {
    if (left_.empty()) return 0;
    const uint8_t value = left_[0];
    left_ = left_.subspan(1);
    return value;
  }
  uint16_t word() {
    const uint8_t high = byte();
    return static_cast<uint16_t>(high << 8 | byte());
  }
  std::span<const uint8_t> take(size_t wanted) {
    const auto out = left_.first(wanted < left_.size() ? wanted : left_.size());
    left_ = left_.subspan(out.size());
    return out;
  }
  std::span<const uint8_t> rest() { return take(left_.size()); }

 private:
  std::span<const uint8_t> left_;
};

// A copy whose end is the end of its allocation, so that the sanitizer sees the first byte read beyond it.
class Exact {
 public:
  explicit Exact(std::span<const uint8_t> bytes, size_t room = 0) : data_(new uint8_t[bytes.size() + room]), size_(bytes.size()) {
    for (size_t i = 0; i < size_; i++) data_[i] = bytes[i];
  }
  uint8_t* data() { return data_.get(); }
  size_t size() const { return size_; }
  std::span<uint8_t> span() { return {data_.get(), size_}; }

 private:
  std::unique_ptr<uint8_t[]> data_;
  size_t size_;
};

}  // namespace causeway::fuzz
