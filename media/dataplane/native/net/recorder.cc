#include "recorder.h"

#include <fcntl.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

#include "pcap.h"

namespace causeway {
namespace {

constexpr auto kLook = std::chrono::milliseconds(20);  // a ring fills in longer than that at 800,000 packets a second
constexpr auto kFlush = std::chrono::seconds(1);
constexpr size_t kWaiting = 16 * 1024;  // bytes of one file that wait for its flush

}  // namespace

Micros wallClock() {
  timespec t{};
  clock_gettime(CLOCK_REALTIME, &t);
  return Micros{t.tv_sec} * 1'000'000 + t.tv_nsec / 1000;
}

void RecordingRing::push(uint64_t recording, Micros at, const Address& from, const Address& to, std::span<const uint8_t> packet) {
  const size_t size = sizeOf(packet.size());
  const uint64_t head = head_.load(std::memory_order_relaxed);
  const uint64_t tail = tail_.load(std::memory_order_acquire);
  size_t place = head % kBytes;
  const size_t behind = kBytes - place;
  const size_t skipped = behind < size ? behind : 0;
  if (head - tail + skipped + size > kBytes) {
    lost_.store(lost_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    return;
  }
  if (skipped > 0) {
    std::memcpy(bytes_.get() + place, &kSkip, sizeof(kSkip));
    place = 0;
  }
  const Entry entry{static_cast<uint32_t>(packet.size()), recording, at, from, to};
  std::memcpy(bytes_.get() + place, &entry, sizeof(entry));
  std::memcpy(bytes_.get() + place + sizeof(entry), packet.data(), packet.size());
  head_.store(head + skipped + size, std::memory_order_release);
}

void RecordingRing::drain(const std::function<void(const Entry&, std::span<const uint8_t>)>& each) {
  const uint64_t head = head_.load(std::memory_order_acquire);
  uint64_t tail = tail_.load(std::memory_order_relaxed);
  while (tail != head) {
    const uint8_t* at = bytes_.get() + tail % kBytes;
    uint32_t bytes = 0;
    std::memcpy(&bytes, at, sizeof(bytes));
    if (bytes == kSkip) {
      tail += kBytes - tail % kBytes;
      continue;
    }
    Entry entry;
    std::memcpy(&entry, at, sizeof(entry));
    each(entry, {at + sizeof(entry), entry.bytes});
    tail += sizeOf(entry.bytes);
    tail_.store(tail, std::memory_order_release);
  }
  tail_.store(tail, std::memory_order_release);
}

Recorder::Recorder(size_t workers, std::function<void(const RecordingResult&)> closed) : closed_(std::move(closed)), rings_(workers) {}

Recorder::~Recorder() { stop(); }

uint64_t Recorder::open(const std::string& file, std::string& error) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_ || open_.size() >= kMaxRecordings) {
      error = "there are " + std::to_string(open_.size()) + " recordings already";
      return 0;
    }
  }
  const int fd = ::open(file.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0600);
  const PcapHeader header;
  if (fd < 0 || ::write(fd, &header, sizeof(header)) != static_cast<ssize_t>(sizeof(header))) {
    error = std::string("cannot write the recording: ") + std::strerror(errno);
    if (fd >= 0) ::close(fd);
    return 0;
  }
  const std::lock_guard lock(mutex_);
  for (auto& ring : rings_) {
    if (!ring) ring = std::make_unique<RecordingRing>();
  }
  if (!running_) {
    // The last one has done its work and is on its way out, if it is not out.
    if (thread_.joinable()) thread_.join();
    running_ = true;
    thread_ = std::thread([this] { run(); });
    pthread_setname_np(thread_.native_handle(), "recorder");
  }
  const uint64_t id = next_++;
  open_.insert(id);
  commands_.push_back({id, fd});
  changed_.notify_one();
  return id;
}

void Recorder::close(uint64_t recording) {
  const std::lock_guard lock(mutex_);
  if (open_.erase(recording) == 0) return;
  commands_.push_back({recording, -1});
  changed_.notify_one();
}

void Recorder::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (const uint64_t id : open_) commands_.push_back({id, -1});
    open_.clear();
    changed_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

void Recorder::totals(Totals& out) {
  const std::lock_guard lock(mutex_);
  out.recordings = open_.size();
  out.recordedPackets = packets_.load(std::memory_order_relaxed);
  out.recordedBytes = bytes_.load(std::memory_order_relaxed);
  out.recordingLost = lostBefore_ + lostOnDisk_.load(std::memory_order_relaxed);
  for (const auto& ring : rings_) {
    if (!ring) continue;
    out.recordingLost += ring->lost();
    out.nativeBytes += static_cast<int64_t>(RecordingRing::kBytes);
  }
}

void Recorder::run() {
  auto flushAt = std::chrono::steady_clock::now() + kFlush;
  std::vector<Command> commands;
  while (true) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, kLook, [this] { return stopping_ || !commands_.empty(); });
      commands.swap(commands_);
    }
    for (const Command& command : commands) {
      if (command.fd < 0) continue;
      File& file = files_[command.recording];
      file.fd = command.fd;
      file.result.recording = command.recording;
    }
    // Whoever closes has pushed before: it is all here.
    for (const auto& ring : rings_) {
      if (ring) ring->drain([this](const auto& entry, auto packet) { take(entry, packet); });
    }
    for (const Command& command : commands) {
      if (command.fd < 0) finish(command.recording);
    }
    commands.clear();
    if (std::chrono::steady_clock::now() >= flushAt) {
      for (auto& [id, file] : files_) flush(file);
      flushAt = std::chrono::steady_clock::now() + kFlush;
    }
    const std::lock_guard lock(mutex_);
    if (!files_.empty() || !commands_.empty() || !open_.empty()) continue;
    for (auto& ring : rings_) {
      if (ring) lostBefore_ += ring->lost();
      ring.reset();
    }
    running_ = false;
    return;
  }
}

void Recorder::take(const RecordingRing::Entry& entry, std::span<const uint8_t> packet) {
  const auto found = files_.find(entry.recording);
  if (found == files_.end()) return;
  File& file = found->second;
  if (!file.result.error.empty() || !appendPcapPacket(file.waiting, entry.at, entry.from, entry.to, packet)) {
    lostOnDisk_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  file.result.packets++;
  packets_.fetch_add(1, std::memory_order_relaxed);
  if (file.waiting.size() >= kWaiting) flush(file);
}

// A disk that takes no more ends the file where it is; the call goes on.
void Recorder::flush(File& file) {
  size_t done = 0;
  while (done < file.waiting.size() && file.result.error.empty()) {
    const auto written = ::write(file.fd, file.waiting.data() + done, file.waiting.size() - done);
    if (written > 0) done += static_cast<size_t>(written);
    else if (errno != EINTR) file.result.error = std::strerror(errno);
  }
  file.result.bytes += done;
  bytes_.fetch_add(done, std::memory_order_relaxed);
  file.waiting.clear();
}

void Recorder::finish(uint64_t recording) {
  const auto found = files_.find(recording);
  if (found == files_.end()) return;
  flush(found->second);
  if (::close(found->second.fd) != 0 && found->second.result.error.empty()) found->second.result.error = std::strerror(errno);
  closed_(found->second.result);
  files_.erase(found);
}

}  // namespace causeway
