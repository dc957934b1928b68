// The thread: what woke it, whose turn it is, what is due.
#include "worker.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <random>

namespace causeway {
namespace {

// What epoll gives back: a place and its generation, a shared port, or the wake-up.
constexpr uint64_t kWakeId = ~uint64_t{0};
constexpr uint64_t kSharedBit = uint64_t{1} << 63;
constexpr int kEvents = 64;         // sockets that one turn serves, under one taking of the lock
constexpr int kMaxDue = 10'000;     // deadlines of one turn
constexpr Micros kLongestSleepUs = 1'000'000;
constexpr long kTimerSlackNs = 1000;  // the kernel's 50 µs would be a jitter of ours

}  // namespace

Micros monotonicNow() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return Micros{t.tv_sec} * 1'000'000 + t.tv_nsec / 1000;
}

Worker::Worker(const DtlsIdentity& identity, const EventSink& sink)
    : identity_(identity), sink_(sink), outbox_(counters_), checkBudget_(std::random_device{}()) {}

Worker::~Worker() {
  stop();
  if (epoll_ >= 0) ::close(epoll_);
  if (wake_ >= 0) ::close(wake_);
}

bool Worker::start(std::string& error) {
  epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  wake_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kWakeId;
  if (epoll_ < 0 || wake_ < 0 || ::epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_, &event) != 0) {
    error = std::string("cannot start a media thread: ") + std::strerror(errno);
    return false;
  }
  running_ = true;
  thread_ = std::thread([this] { run(); });
  pthread_setname_np(thread_.native_handle(), "media");
  pthread_getcpuclockid(thread_.native_handle(), &cpuClock_);
  return true;
}

void Worker::stop() {
  if (!running_.exchange(false)) return;
  wake();
  thread_.join();
}

bool Worker::serve(SharedPort* port, std::string& error) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kSharedBit | reinterpret_cast<uint64_t>(port);
  if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, port->fd(), &event) == 0) return true;
  error = std::strerror(errno);
  return false;
}

double Worker::cpuMs() const {
  if (!running_) return 0;
  timespec t{};
  clock_gettime(cpuClock_, &t);
  return static_cast<double>(t.tv_sec) * 1000 + static_cast<double>(t.tv_nsec) / 1e6;
}

void Worker::wake() {
  const uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(wake_, &one, sizeof(one));
}

Worker::Hold::Hold(Worker& worker) : worker_(worker) { worker_.lock_.lock(); }

Worker::Hold::~Hold() {
  const Micros next = worker_.deadlines_.earliest();
  const bool early = next < worker_.sleepingUntil_;
  if (early) worker_.sleepingUntil_ = next;
  worker_.lock_.unlock();
  if (early) worker_.wake();
}

void Worker::run() {
  ::prctl(PR_SET_TIMERSLACK, kTimerSlackNs);
  auto batch = std::make_unique<ReadBatch>();
  std::array<epoll_event, kEvents> events;
  int count = 0;
  while (running_) {
    for (int i = 0; i < count; i++) {
      const uint64_t id = events[static_cast<size_t>(i)].data.u64;
      if (id == kWakeId) {
        uint64_t sink = 0;
        [[maybe_unused]] const auto got = ::read(wake_, &sink, sizeof(sink));
      } else if (id & kSharedBit) {
        reinterpret_cast<SharedPort*>(id & ~kSharedBit)->readAll(*batch);
      }
    }
    lock_.lockAfterOthers();
    turn_++;
    Micros now = monotonicNow();
    for (int i = 0; i < count; i++) {
      const uint64_t id = events[static_cast<size_t>(i)].data.u64;
      if (id & kSharedBit) continue;
      Socket& socket = sockets_[static_cast<uint32_t>(id)];
      if (socket.endpoint != nullptr && socket.generation == id >> 32) readSocket(socket, *batch, now);
    }
    Micros next = deadlines_.earliest();
    if (next != kNever) {
      now = monotonicNow();
      for (int turns = 0; turns < kMaxDue && next <= now; turns++, next = deadlines_.earliest()) tick(*deadlines_.first(), now);
    }
    sleepingUntil_ = next;
    lock_.unlock();
    if (next == kNever) {
      // Without a time-out the kernel need not set a timer for every sleep.
      count = ::epoll_wait(epoll_, events.data(), kEvents, -1);
    } else {
      const Micros wait = std::clamp<Micros>(next - now, 0, kLongestSleepUs);
      const timespec timeout{wait / 1'000'000, wait % 1'000'000 * 1000};
      count = ::epoll_pwait2(epoll_, events.data(), kEvents, &timeout, nullptr);
    }
  }
}

// Of a call one packet waits here as a rule. A socket that has more in two turns running is read in batches.
void Worker::readSocket(Socket& socket, ReadBatch& batch, Micros now) {
  Endpoint& endpoint = *socket.endpoint;
  const bool rtcp = socket.rtcp;
  const int fd = rtcp ? endpoint.rtcpFd : endpoint.rtpFd;
  const bool again = socket.turn + 1 == turn_;
  socket.turn = turn_;
  if (!again) {
    if (batch.readOne(fd) == 1) datagram(endpoint, rtcp, batch.from(0), batch.packet(0), now);
    return;
  }
  const size_t count = batch.read(fd);
  if (count > 1) outbox_.openBatch();
  for (size_t i = 0; i < count; i++) datagram(endpoint, rtcp, batch.from(i), batch.packet(i), now);
  if (count > 1) outbox_.closeBatch();
}

bool Worker::watch(Endpoint& endpoint, bool rtcp, int fd, uint32_t& place) {
  if (freePlaces_.empty()) {
    place = static_cast<uint32_t>(sockets_.size());
    sockets_.emplace_back();
  } else {
    place = freePlaces_.back();
    freePlaces_.pop_back();
  }
  Socket& socket = sockets_[place];
  socket.endpoint = &endpoint;
  socket.rtcp = rtcp;
  socket.turn = turn_ - 2;
  epoll_event event{};
  event.events = EPOLLIN;
  // Bit 63 stays clear.
  socket.generation = (socket.generation + 1) & 0x7fffffff;
  event.data.u64 = uint64_t{socket.generation} << 32 | place;
  return ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0;
}

void Worker::unwatch(uint32_t place) {
  sockets_[place].endpoint = nullptr;
  freePlaces_.push_back(place);
}

}  // namespace causeway
