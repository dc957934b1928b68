/* The streams of a load: one flow is one direction of one call.
 *
 * Text form, one line each:
 *   S <index> <local ip> <local port>                  a UDP socket, which calls may share
 *   F <id> <class> <tx socket> <dst ip> <dst port> <rx socket> <src ip> <src port> <payload> <pt> <tick> <tx key> <rx key>
 * A flow is sent from socket tx to dst, and must come out at socket rx from src. Classes 0 (A to B) and 1 (B to A) are
 * counted apart. Payload: `raw:N` (N bytes that carry a stamp, so that what comes out can be checked) or the name of a
 * file of frames. tick: how far the RTP timestamp moves a packet. Keys: SDES inline parameters or `-`. */
#pragma once
#include <netinet/in.h>
#include <stdint.h>

#include "srtp.h"

#define LOG_SIZE 1024 /* packets of which the send time is known: 20 s of a flow */
#define MAX_FRAMES 256

typedef struct {
  char name[32];
  int frames, offset[MAX_FRAMES], length[MAX_FRAMES];
  uint8_t *bytes;
} Payload;

typedef struct {
  int id, class, tx, rx, pt, tick, slot;
  int raw_length; /* 0: frames of `payload` */
  struct sockaddr_in dst, src;
  Payload *payload;
  Srtp *tx_key, *rx_key;
  uint32_t ssrc, timestamp;
  uint16_t seq;
  unsigned frame;
  uint64_t *log; /* send time by sequence number; bit 0: in the measured window, bit 1: came out */
  uint64_t sent, received;
  int32_t seq_offset; /* what the relay adds to sequence numbers */
  int synced, have_last;
  uint16_t last_seq;
} Flow;

typedef struct {
  int fd;
  struct sockaddr_in address;
} Socket;

typedef struct {
  Flow *flow;
  int flows;
  Socket *socket;
  int sockets;
  Flow **table; /* open addressing by (rx socket, source) */
  uint32_t mask;
} Load;

/* Ends the process with a message when the file cannot be read. `folder` holds <payload>.frames. */
void load_read(Load *load, const char *file, const char *folder);
/* Whose packet it is; NULL when nobody's. */
Flow *load_find(const Load *load, int rx, const struct sockaddr_in *source);
