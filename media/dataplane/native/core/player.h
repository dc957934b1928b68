// Recorded sound that is mixed into a stream: clips one after another, each repeated, cut short, or begun in the middle.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace causeway {

// Mono, 16 bit. Shared by all who play it.
struct Clip {
  uint32_t rate = 8000;
  std::vector<int16_t> samples;
};

// Reads a clip at any rate: a windowed sinc, evaluated for each sample.
class ClipReader {
 public:
  // Makes the table of the window; whoever calls it first spares the packet path that.
  static void prepare();
  // `position`: a sample of the clip, or what lies between two.
  static int16_t at(const Clip& clip, double position, uint32_t rate);
};

struct PlayOptions {
  uint64_t id = 0;
  uint32_t times = 1;
  uint32_t startMs = 0;  // of the first time
  uint32_t limitMs = 0;  // of all times together; 0: none
  bool mutePeer = false;
};

class Player {
 public:
  static constexpr size_t kQueue = 16;

  // False when so many are waiting already, or the clip holds nothing.
  bool add(std::shared_ptr<const Clip> clip, const PlayOptions& options);
  void clear();
  // As if all of it had been played.
  void finishAll();
  bool ended() const { return count_ == 0; }
  size_t size() const { return count_; }
  // Of the clip that is being played.
  uint64_t id() const { return count_ > 0 ? items_[head_].options.id : 0; }
  uint32_t positionMs() const;
  // Adds what is due to one frame of what the listener is to hear.
  void mix(std::span<int16_t> frame, uint32_t rate);
  // The next clip that has come to its end since; 0 when there is none.
  uint64_t takeFinished();

 private:
  struct Item {
    std::shared_ptr<const Clip> clip;
    PlayOptions options;
    double position = 0;  // in samples of the clip
    double playedMs = 0;
    uint32_t timesLeft = 1;
  };
  // False: it has ended.
  bool advance(Item& item, uint32_t rate);
  void finish();

  std::array<Item, kQueue> items_;
  size_t head_ = 0;
  size_t count_ = 0;
  std::array<uint64_t, kQueue> finished_{};
  size_t finishedCount_ = 0;
};

}  // namespace causeway
