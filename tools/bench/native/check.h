/* What came out of the relay, packet by packet: is it ours, whole, at the right socket, once, and how late. */
#pragma once
#include "flows.h"
#include "histogram.h"

#define STAMP_MAGIC 0x43575331U
#define STAMP_SIZE 16
#define FILLER 0x55
#define IN_WINDOW 1ULL
#define CAME_OUT 2ULL
#define FLAGS 3ULL
/* Every how many packets of an encrypted flow are authenticated and decrypted: the generator has one core. */
#define VERIFY_EVERY 16

typedef struct {
  uint64_t sent[2], received[2]; /* in the measured window, by class */
  uint64_t stray;                /* from nobody we know, or not RTP */
  uint64_t wrong_flow;           /* a whole packet of another call */
  uint64_t corrupt;              /* stamp, payload type, length or filling are not what was sent */
  uint64_t bad_auth, verified;
  uint64_t duplicate, reordered, resync;
  Histogram latency[2];
} Counts;

/* The payload of a `raw:N` flow: magic, flow, send time, filling. */
void stamp(uint8_t *payload, int length, int flow, uint64_t sent);
/* `at`: when the kernel took it in, ns. The packet is decrypted in place where it is verified. */
void check_packet(const Load *load, Counts *counts, int rx, uint8_t *packet, int length, const struct sockaddr_in *source,
                  uint64_t at);
