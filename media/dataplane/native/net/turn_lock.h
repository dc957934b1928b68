// The lock of one worker. Its own thread takes it once for everything that a wake-up brought, and lets those go first
// who wait already: a mutex alone would let a busy thread take it again and again while a command waits.
#pragma once

#include <atomic>
#include <mutex>

namespace causeway {

class TurnLock {
 public:
  // Anybody but the worker's own thread.
  void lock() {
    waiting_.fetch_add(1, std::memory_order_relaxed);
    mutex_.lock();
    waiting_.fetch_sub(1, std::memory_order_release);
    waiting_.notify_all();
  }
  void lockAfterOthers() {
    for (int n = waiting_.load(std::memory_order_acquire); n > 0; n = waiting_.load(std::memory_order_acquire)) waiting_.wait(n);
    mutex_.lock();
  }
  void unlock() { mutex_.unlock(); }

 private:
  std::mutex mutex_;
  std::atomic<int> waiting_{0};
};

}  // namespace causeway
