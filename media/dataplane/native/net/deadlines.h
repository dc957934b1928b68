// Endpoints by their next deadline: a binary heap that knows where each one stands, so that a change moves it without an
// allocation.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "endpoint.h"

namespace causeway {

class Deadlines {
 public:
  Micros earliest() const { return heap_.empty() ? kNever : heap_.front()->scheduledAt; }
  Endpoint* first() const { return heap_.empty() ? nullptr : heap_.front(); }

  // kNever takes it out.
  void set(Endpoint& endpoint, Micros at) {
    if (endpoint.scheduledAt == at) return;
    const bool was = endpoint.scheduledAt != kNever;
    endpoint.scheduledAt = at;
    if (!was) {
      endpoint.heapIndex = heap_.size();
      heap_.push_back(&endpoint);
      up(endpoint.heapIndex);
    } else if (at == kNever) {
      const size_t i = endpoint.heapIndex;
      place(i, heap_.back());
      heap_.pop_back();
      if (i < heap_.size()) {
        up(i);
        down(i);
      }
    } else {
      up(endpoint.heapIndex);
      down(endpoint.heapIndex);
    }
  }

 private:
  void place(size_t i, Endpoint* endpoint) {
    heap_[i] = endpoint;
    endpoint->heapIndex = i;
  }
  void exchange(size_t i, size_t j) {
    Endpoint* const other = heap_[i];
    place(i, heap_[j]);
    place(j, other);
  }
  void up(size_t i) {
    while (i > 0 && heap_[i]->scheduledAt < heap_[(i - 1) / 2]->scheduledAt) {
      exchange(i, (i - 1) / 2);
      i = (i - 1) / 2;
    }
  }
  void down(size_t i) {
    for (;;) {
      size_t least = i;
      for (const size_t child : {2 * i + 1, 2 * i + 2}) {
        if (child < heap_.size() && heap_[child]->scheduledAt < heap_[least]->scheduledAt) least = child;
      }
      if (least == i) return;
      exchange(i, least);
      i = least;
    }
  }
  std::vector<Endpoint*> heap_;
};

}  // namespace causeway
