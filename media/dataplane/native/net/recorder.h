// Recordings: packets as they arrived, in pcap files. Workers put them into rings, one a worker; one thread of its own
// takes them out, writes, and flushes every second; there is none while nothing is recorded. A ring that is full loses packets, which are counted: no worker ever
// waits for a disk.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "address.h"
#include "types.h"

namespace causeway {

// Micros since 1970.
Micros wallClock();

// One writer at a time (who holds the worker's lock), one reader (the recorder's thread).
class RecordingRing {
 public:
  static constexpr size_t kBytes = size_t{4} << 20;  // 17,000 packets of 20 ms of G.711

  void push(uint64_t recording, Micros at, const Address& from, const Address& to, std::span<const uint8_t> packet);
  uint64_t lost() const { return lost_.load(std::memory_order_relaxed); }

 private:
  friend class Recorder;
  struct Entry {
    uint32_t bytes = 0;  // of the packet; kSkip: the rest of the ring is empty
    uint64_t recording = 0;
    Micros at = 0;
    Address from;
    Address to;
  };
  static constexpr uint32_t kSkip = ~uint32_t{0};
  static size_t sizeOf(size_t packet) { return (sizeof(Entry) + packet + 7) / 8 * 8; }
  // Calls `each` for all that is there.
  void drain(const std::function<void(const Entry&, std::span<const uint8_t>)>& each);

  const std::unique_ptr<uint8_t[]> bytes_ = std::make_unique_for_overwrite<uint8_t[]>(kBytes);
  std::atomic<uint64_t> head_{0};  // written so far
  std::atomic<uint64_t> tail_{0};  // read so far
  std::atomic<uint64_t> lost_{0};
};

class Recorder {
 public:
  static constexpr size_t kMaxRecordings = 2000;

  // `closed`, on the recorder's thread, once for every recording.
  Recorder(size_t workers, std::function<void(const RecordingResult&)> closed);
  ~Recorder();

  // Makes the file, which must not be there, and writes its header. 0, and `error`, when that fails.
  uint64_t open(const std::string& file, std::string& error);
  // What was pushed before is still written. Nobody pushes for it any more.
  void close(uint64_t recording);
  // Of a worker; there is one as long as a recording is open.
  RecordingRing* ring(size_t worker) { return rings_[worker].get(); }
  // Writes and closes everything, and joins the thread.
  void stop();
  void totals(Totals& out);

 private:
  // What the recorder's thread has of one recording.
  struct File {
    int fd = -1;
    RecordingResult result;
    std::vector<uint8_t> waiting;
  };
  struct Command {
    uint64_t recording = 0;
    int fd = -1;  // < 0: close
  };

  void run();
  void take(const RecordingRing::Entry& entry, std::span<const uint8_t> packet);
  void flush(File& file);
  void finish(uint64_t recording);

  std::function<void(const RecordingResult&)> closed_;
  std::unordered_map<uint64_t, File> files_;  // of the thread alone
  std::mutex mutex_;                          // of what follows; never held over a system call on a file
  std::condition_variable changed_;
  std::vector<Command> commands_;
  std::unordered_set<uint64_t> open_;
  // Made when the first recording opens, freed by the thread behind the last one, before it ends.
  std::vector<std::unique_ptr<RecordingRing>> rings_;
  bool stopping_ = false;
  bool running_ = false;  // the thread lives as long as there is a recording
  uint64_t next_ = 1;
  uint64_t lostBefore_ = 0;  // by rings that are gone
  std::thread thread_;
  std::atomic<uint64_t> packets_{0};
  std::atomic<uint64_t> bytes_{0};
  std::atomic<uint64_t> lostOnDisk_{0};
};

}  // namespace causeway
