#include "check.h"

#include <string.h>

#define SYNC_WITHIN_NS 2000000000ULL
#define OLDEST_NS 15000000000ULL

void stamp(uint8_t *payload, int length, int flow, uint64_t sent) {
  const uint32_t magic = STAMP_MAGIC, id = (uint32_t)flow;
  memcpy(payload, &magic, 4);
  memcpy(payload + 4, &id, 4);
  memcpy(payload + 8, &sent, 8);
  memset(payload + STAMP_SIZE, FILLER, (size_t)(length - STAMP_SIZE));
}

/* The send time in the stamp; 0 when the packet is not the one that this flow sent (and then it is counted). */
static uint64_t read_stamp(const Flow *f, Counts *counts, const uint8_t *p, int length) {
  uint32_t magic, id;
  uint64_t sent;
  memcpy(&magic, p + 12, 4);
  memcpy(&id, p + 16, 4);
  memcpy(&sent, p + 20, 8);
  if (length != 12 + f->raw_length || p[0] != 0x80 || (p[1] & 0x7f) != f->pt || magic != STAMP_MAGIC) {
    counts->corrupt++;
    return 0;
  }
  for (int i = 12 + STAMP_SIZE; i < length; i++) {
    if (p[i] == FILLER) continue;
    counts->corrupt++;
    return 0;
  }
  if (id != (uint32_t)f->id) {
    counts->wrong_flow++;
    return 0;
  }
  return sent;
}

/* What the relay adds to the sequence numbers: nothing, or its own start; then this is taken for the newest packet. */
static void synchronise(Flow *f, uint16_t seq, uint64_t at) {
  uint64_t sent = f->log[seq & (LOG_SIZE - 1)] & ~FLAGS;
  int kept = sent && sent <= at && at - sent < SYNC_WITHIN_NS && (int16_t)(seq - f->seq) < 0;
  f->seq_offset = kept ? 0 : (int16_t)(seq - (uint16_t)(f->seq - 1));
  f->synced = 1;
}

static uint64_t *logged(Flow *f, uint16_t seq) { return &f->log[(uint16_t)(seq - f->seq_offset) & (LOG_SIZE - 1)]; }

void check_packet(const Load *load, Counts *counts, int rx, uint8_t *p, int length, const struct sockaddr_in *source,
                  uint64_t at) {
  Flow *f = load_find(load, rx, source);
  if (!f || length < 12 || p[0] >> 6 != 2) {
    counts->stray++;
    return;
  }
  f->received++;
  uint16_t seq = (uint16_t)(p[2] << 8 | p[3]);
  if (!f->synced) synchronise(f, seq, at);
  int verify = f->rx_key && f->received % VERIFY_EVERY == 1;
  if (verify) {
    int plain = srtp_unprotect(f->rx_key, p, length, 0);
    if (plain < 0) plain = srtp_unprotect(f->rx_key, p, length, 1); /* a relay with a start of its own may have rolled over */
    if (plain < 0) {
      counts->bad_auth++;
      return;
    }
    counts->verified++;
    length = plain;
  } else if (f->rx_key && f->raw_length && length != 12 + f->raw_length + SRTP_TAG) {
    counts->corrupt++;
    return;
  }
  uint64_t *entry = logged(f, seq);
  if (f->raw_length && (verify || !f->rx_key)) {
    uint64_t sent = read_stamp(f, counts, p, length);
    if (sent == 0) return;
    if ((*entry & ~FLAGS) != (sent & ~FLAGS)) {
      counts->corrupt++; /* a whole payload under another packet's number */
      return;
    }
  } else {
    /* A relay that buffers frames started at an older packet than the newest: move until the times make sense. */
    for (int k = 0; k < 8 && ((*entry & ~FLAGS) == 0 || *entry > at || at - *entry > OLDEST_NS); k++) {
      f->seq_offset++;
      counts->resync++;
      entry = logged(f, seq);
    }
  }
  if (f->have_last && (int16_t)(seq - f->last_seq) <= 0) {
    counts->reordered++;
  } else {
    f->last_seq = seq;
    f->have_last = 1;
  }
  /* A relay that codes has packets of its own: it conceals, stretches and drops, and then counts on from there. */
  if (f->raw_length && *entry & CAME_OUT) {
    counts->duplicate++;
    return;
  }
  uint64_t sent = *entry & ~FLAGS;
  *entry |= CAME_OUT;
  if (!(*entry & IN_WINDOW)) return;
  counts->received[f->class]++;
  histogram_add(&counts->latency[f->class], at > sent ? at - sent : 0);
}
