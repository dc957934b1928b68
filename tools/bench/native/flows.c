#include "flows.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FLOWS 20000
#define MAX_SOCKETS 8192
#define MAX_PAYLOADS 16

static void fail(const char *what, const char *detail) {
  fprintf(stderr, "rtpload: %s: %s\n", what, detail);
  exit(2);
}

/* <folder>/<name>.frames: 16 bit length and bytes of one 20 ms frame after the other. */
static Payload *payload_of(const char *name, const char *folder) {
  static Payload known[MAX_PAYLOADS];
  static int count;
  for (int i = 0; i < count; i++)
    if (strcmp(known[i].name, name) == 0) return &known[i];
  if (count == MAX_PAYLOADS) fail("too many payloads", name);
  char path[512];
  snprintf(path, sizeof path, "%s/%s.frames", folder, name);
  FILE *f = fopen(path, "rb");
  if (!f) fail(path, strerror(errno));
  Payload *p = &known[count++];
  snprintf(p->name, sizeof p->name, "%s", name);
  p->bytes = malloc(1 << 20);
  int at = 0, high, low;
  while (p->frames < MAX_FRAMES && (high = fgetc(f)) != EOF && (low = fgetc(f)) != EOF) {
    int length = high << 8 | low;
    if (at + length > 1 << 20 || fread(p->bytes + at, 1, (size_t)length, f) != (size_t)length) break;
    p->offset[p->frames] = at;
    p->length[p->frames++] = length;
    at += length;
  }
  fclose(f);
  if (p->frames == 0) fail(path, "no frames");
  return p;
}

static struct sockaddr_in address_of(const char *ip, int port) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  if (inet_pton(AF_INET, ip, &a.sin_addr) != 1) fail("not an address", ip);
  return a;
}

static Srtp *key_of(const char *text) {
  if (strcmp(text, "-") == 0) return NULL;
  Srtp *key = srtp_new_base64(text);
  if (!key) fail("not an SDES key", text);
  return key;
}

static void read_flow(Load *load, const char *line, const char *folder) {
  if (load->flows == MAX_FLOWS) fail("too many flows", line);
  int number = load->flows, to_port, from_port;
  Flow *f = &load->flow[load->flows++];
  char to[64], from[64], payload[32], tx_key[128], rx_key[128];
  if (sscanf(line, "F %d %d %d %63s %d %d %63s %d %31s %d %d %127s %127s", &f->id, &f->class, &f->tx, to, &to_port,
             &f->rx, from, &from_port, payload, &f->pt, &f->tick, tx_key, rx_key) != 13)
    fail("not a flow", line);
  if (f->tx < 0 || f->tx >= MAX_SOCKETS || f->rx < 0 || f->rx >= MAX_SOCKETS || f->class < 0 || f->class > 1)
    fail("not a flow", line);
  f->dst = address_of(to, to_port);
  f->src = address_of(from, from_port);
  if (strncmp(payload, "raw:", 4) == 0)
    f->raw_length = atoi(payload + 4);
  else
    f->payload = payload_of(payload, folder);
  f->tx_key = key_of(tx_key);
  f->rx_key = key_of(rx_key);
  f->ssrc = 0x10000000U + (uint32_t)number * 2654435761U;
  f->seq = (uint16_t)((number * 7919) & 0x7fff); /* the lower half: no roll-over in any run that lasts less than 650 s */
  f->timestamp = (uint32_t)number * 104729U;
  f->frame = (unsigned)number * 37U;
  f->log = calloc(LOG_SIZE, sizeof *f->log);
}

static uint32_t hash(int rx, const struct sockaddr_in *a) {
  uint32_t h = a->sin_addr.s_addr * 2654435761U ^ a->sin_port * 40503U ^ (uint32_t)rx * 6362123U;
  return h ^ h >> 15;
}

Flow *load_find(const Load *load, int rx, const struct sockaddr_in *source) {
  for (uint32_t h = hash(rx, source) & load->mask; load->table[h]; h = (h + 1) & load->mask) {
    Flow *f = load->table[h];
    if (f->rx == rx && f->src.sin_port == source->sin_port && f->src.sin_addr.s_addr == source->sin_addr.s_addr)
      return f;
  }
  return NULL;
}

void load_read(Load *load, const char *file, const char *folder) {
  FILE *f = fopen(file, "r");
  if (!f) fail(file, strerror(errno));
  load->flow = calloc(MAX_FLOWS, sizeof *load->flow);
  load->socket = calloc(MAX_SOCKETS, sizeof *load->socket);
  char line[1024];
  while (fgets(line, sizeof line, f)) {
    if (line[0] == 'F') read_flow(load, line, folder);
    if (line[0] != 'S') continue;
    int index, port;
    char ip[64];
    if (sscanf(line, "S %d %63s %d", &index, ip, &port) != 3 || index < 0 || index >= MAX_SOCKETS)
      fail("not a socket", line);
    load->socket[index].address = address_of(ip, port);
    if (index >= load->sockets) load->sockets = index + 1;
  }
  fclose(f);
  uint32_t size = 1;
  while (size < (uint32_t)load->flows * 4) size <<= 1;
  load->table = calloc(size, sizeof *load->table);
  load->mask = size - 1;
  for (int i = 0; i < load->flows; i++) {
    uint32_t h = hash(load->flow[i].rx, &load->flow[i].src) & load->mask;
    while (load->table[h]) h = (h + 1) & load->mask;
    load->table[h] = &load->flow[i];
  }
}
