/* Log-linear histogram of durations: 64 steps for each doubling, so a percentile is at most 1.6 % off. */
#pragma once
#include <stdint.h>

#define HISTOGRAM_BUCKETS 4096

typedef struct {
  uint64_t count[HISTOGRAM_BUCKETS];
  uint64_t total;
  uint64_t max_ns;
} Histogram;

static inline void histogram_add(Histogram *h, uint64_t ns) {
  uint64_t unit = ns / 100; /* steps of 0.1 us at the fine end */
  int bucket;
  if (unit < 128) {
    bucket = (int)unit;
  } else {
    int shift = 63 - __builtin_clzll(unit) - 6;
    bucket = (shift << 6) + (int)(unit >> shift);
  }
  h->count[bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1]++;
  h->total++;
  if (ns > h->max_ns) h->max_ns = ns;
}

/* Microseconds below which `share` (0..1) of the durations are; 0 when there are none. */
static inline double histogram_us(const Histogram *h, double share) {
  uint64_t seen = 0;
  for (int i = 0; h->total && i < HISTOGRAM_BUCKETS; i++) {
    seen += h->count[i];
    if ((double)seen < share * (double)h->total) continue;
    if (i < 128) return i / 10.0;
    int shift = (i >> 6) - 1;
    return (double)((uint64_t)(64 + (i & 63)) << shift) / 10.0;
  }
  return 0;
}
