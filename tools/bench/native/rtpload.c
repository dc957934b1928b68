/* rtpload: sends the RTP of many calls through a relay and measures what comes out, and what the relay's process paid.
 *
 * usage: rtpload -f FLOWS [-t SECONDS] [-w WARM_UP] [-p PID] [-d FOLDER]
 *
 * FLOWS: see flows.h. 50 packets a second and flow, spread over 80 slots of 0.25 ms in every 20 ms, one sendmmsg for
 * each socket of a slot. Receive times are the kernel's (SO_TIMESTAMPNS), so that the generator's own scheduling is not
 * counted as latency. On loopback the receive path of a packet runs in its sender's context: the relay is charged for its
 * sends up to the generator's socket, the generator for those up to the relay's. That holds for every relay alike.
 * Prints one line of JSON; times in microseconds unless named otherwise. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "clock.h"
#include "usage.h"

#define SLOTS 80
#define SLOT_NS 250000ULL
#define BATCH 64
#define MAX_PACKET 1600
#define LATE_NS 2000000ULL
/* Sending goes on behind the window, so that relays which buffer frames emit the last measured one. */
#define TAIL_NS 600000000ULL
#define SETTLE_NS 400000000ULL
#define RECEIVE_BUFFER (1 << 20)

typedef struct {
  double relay_cpu_s, own_cpu_s, busy_s;
  uint64_t at;
} Reading;

typedef struct {
  Reading from, to;
  uint64_t slots, late_slots, late_max_ns, send_failures;
} Window;

static Load load;
static Counts counts;
static int relay_pid, poller;

static void fail(const char *what) {
  fprintf(stderr, "rtpload: %s: %s\n", what, strerror(errno));
  exit(2);
}

static void open_sockets(void) {
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  poller = epoll_create1(0);
  for (int i = 0; i < load.sockets; i++) {
    Socket *s = &load.socket[i];
    const int on = 1, buffer = RECEIVE_BUFFER;
    s->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    if (s->fd < 0) fail("socket");
    setsockopt(s->fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
    if (setsockopt(s->fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer) != 0)
      setsockopt(s->fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    if (bind(s->fd, (struct sockaddr *)&s->address, sizeof s->address) != 0) fail("bind");
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, s->fd, &event) != 0) fail("epoll_ctl");
  }
}

/* When the kernel took the packet in; now, when it does not say. */
static uint64_t time_of(struct msghdr *message) {
  for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
    struct timespec t;
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SO_TIMESTAMPNS) continue;
    memcpy(&t, CMSG_DATA(c), sizeof t);
    return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
  }
  return now_ns();
}

/* Takes in what is there, at most eight batches a socket. Returns the number of packets. */
static int drain(int timeout_ms) {
  static struct mmsghdr message[BATCH];
  static struct iovec part[BATCH];
  static uint8_t bytes[BATCH][MAX_PACKET];
  static struct sockaddr_in source[BATCH];
  static _Alignas(struct cmsghdr) char control[BATCH][64];
  struct epoll_event event[64];
  int ready = epoll_wait(poller, event, 64, timeout_ms), total = 0;
  for (int i = 0; i < ready; i++) {
    int index = (int)event[i].data.u32, got = BATCH;
    for (int round = 0; round < 8 && got == BATCH; round++) {
      for (int k = 0; k < BATCH; k++) {
        part[k] = (struct iovec){bytes[k], MAX_PACKET};
        message[k].msg_hdr = (struct msghdr){.msg_name = &source[k],
                                             .msg_namelen = sizeof source[k],
                                             .msg_iov = &part[k],
                                             .msg_iovlen = 1,
                                             .msg_control = control[k],
                                             .msg_controllen = sizeof control[k]};
      }
      got = recvmmsg(load.socket[index].fd, message, BATCH, MSG_DONTWAIT, NULL);
      for (int k = 0; k < got; k++)
        check_packet(&load, &counts, index, bytes[k], (int)message[k].msg_len, &source[k], time_of(&message[k].msg_hdr));
      if (got > 0) total += got;
    }
  }
  return total;
}

/* One packet of a flow into `p`. Returns its length. */
static int write_packet(Flow *f, uint8_t *p, uint64_t sent) {
  const uint8_t header[12] = {0x80,
                              (uint8_t)(f->pt | (f->sent ? 0 : 0x80)),
                              f->seq >> 8,
                              f->seq & 0xff,
                              f->timestamp >> 24,
                              f->timestamp >> 16 & 0xff,
                              f->timestamp >> 8 & 0xff,
                              f->timestamp & 0xff,
                              f->ssrc >> 24,
                              f->ssrc >> 16 & 0xff,
                              f->ssrc >> 8 & 0xff,
                              f->ssrc & 0xff};
  int length = f->raw_length;
  memcpy(p, header, sizeof header);
  if (length) {
    stamp(p + 12, length, f->id, sent);
  } else {
    int frame = (int)(f->frame++ % (unsigned)f->payload->frames);
    length = f->payload->length[frame];
    memcpy(p + 12, f->payload->bytes + f->payload->offset[frame], (size_t)length);
  }
  f->log[f->seq & (LOG_SIZE - 1)] = sent;
  length += 12;
  if (f->tx_key) length = srtp_protect(f->tx_key, p, length, 0);
  f->seq++;
  f->timestamp += (uint32_t)f->tick;
  f->sent++;
  return length;
}

/* The flows of one slot, one call for each sending socket. */
static void send_slot(Flow **first, Flow **end, int measured, Window *window) {
  static struct mmsghdr message[BATCH];
  static struct iovec part[BATCH];
  static uint8_t bytes[BATCH][MAX_PACKET];
  while (first < end) {
    int n = 0, tx = (*first)->tx;
    uint64_t sent = (now_ns() & ~FLAGS) | (measured ? IN_WINDOW : 0);
    for (; first < end && (*first)->tx == tx && n < BATCH; first++, n++) {
      Flow *f = *first;
      part[n] = (struct iovec){bytes[n], (size_t)write_packet(f, bytes[n], sent)};
      message[n].msg_hdr = (struct msghdr){
          .msg_name = &f->dst, .msg_namelen = sizeof f->dst, .msg_iov = &part[n], .msg_iovlen = 1};
      if (measured) counts.sent[f->class]++;
    }
    for (int done = 0; done < n;) {
      int r = sendmmsg(load.socket[tx].fd, message + done, (unsigned)(n - done), 0);
      if (r <= 0) window->send_failures++;
      done += r > 0 ? r : 1;
    }
  }
}

static int by_slot(const void *a, const void *b) {
  const Flow *x = *(Flow *const *)a, *y = *(Flow *const *)b;
  if (x->slot != y->slot) return x->slot - y->slot;
  return x->tx != y->tx ? x->tx - y->tx : x->id - y->id;
}

static Reading reading(void) {
  return (Reading){relay_pid ? usage_cpu_s(relay_pid) : 0, usage_own_cpu_s(), usage_machine_busy_s(), now_ns()};
}

static void wait_until(uint64_t due) {
  for (uint64_t t = now_ns(); t < due; t = now_ns()) {
    uint64_t left = due - t;
    if (left <= 60000 || drain(0) > 0) continue;
    nanosleep(&(struct timespec){0, left > 150000 ? 80000 : 20000}, NULL);
  }
}

static void run(double warm_up_s, double seconds, Window *window) {
  Flow **order = malloc((size_t)load.flows * sizeof *order);
  int start[SLOTS + 1];
  for (int i = 0; i < load.flows; i++) {
    load.flow[i].slot = load.flow[i].tx % SLOTS;
    order[i] = &load.flow[i];
  }
  qsort(order, (size_t)load.flows, sizeof *order, by_slot);
  for (int slot = 0, i = 0; slot <= SLOTS; slot++) {
    while (i < load.flows && order[i]->slot < slot) i++;
    start[slot] = i;
  }
  uint64_t begin = now_ns() + 5000000, from = begin + (uint64_t)(warm_up_s * 1e9), to = from + (uint64_t)(seconds * 1e9);
  for (uint64_t k = 0;; k++) {
    uint64_t due = begin + k * SLOT_NS;
    if (due >= to + TAIL_NS) break;
    wait_until(due);
    int measured = due >= from && due < to;
    if (measured && !window->from.at) window->from = reading();
    if (due >= to && !window->to.at) window->to = reading();
    if (measured) {
      uint64_t late = now_ns() - due;
      window->slots++;
      if (late > window->late_max_ns) window->late_max_ns = late;
      if (late > LATE_NS) window->late_slots++;
    }
    send_slot(order + start[k % SLOTS], order + start[k % SLOTS + 1], measured, window);
    drain(0);
  }
  for (uint64_t end = now_ns() + SETTLE_NS; now_ns() < end;) drain(5);
  free(order);
}

static void report(const Window *w) {
  uint64_t sent = counts.sent[0] + counts.sent[1], received = counts.received[0] + counts.received[1];
  double real_s = (double)(w->to.at - w->from.at) / 1e9, cpu_s = w->to.relay_cpu_s - w->from.relay_cpu_s;
  double own_s = w->to.own_cpu_s - w->from.own_cpu_s, others_s = w->to.busy_s - w->from.busy_s - own_s - cpu_s;
  static Histogram both;
  int silent = 0;
  for (int i = 0; i < load.flows; i++) silent += load.flow[i].received == 0;
  for (int c = 0; c < 2; c++) {
    const Histogram *h = &counts.latency[c];
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++) both.count[i] += h->count[i];
    both.total += h->total;
    if (h->max_ns > both.max_ns) both.max_ns = h->max_ns;
  }
  printf("{\"flows\":%d,\"seconds\":%.2f,\"sent\":%lu,\"received\":%lu,\"lost\":%ld,", load.flows, real_s, sent, received,
         (long)(sent - received));
  printf("\"relayCpuS\":%.3f,\"relayCorePct\":%.2f,\"cpuSPerMpkt\":%.4f,\"relayRssMb\":%.1f,", cpu_s, 100 * cpu_s / real_s,
         received ? cpu_s / ((double)received / 1e6) : 0, relay_pid ? (double)usage_rss_kib(relay_pid) / 1024 : 0);
  printf("\"p50Us\":%.1f,\"p90Us\":%.1f,\"p99Us\":%.1f,\"p999Us\":%.1f,\"maxUs\":%.1f,", histogram_us(&both, 0.5),
         histogram_us(&both, 0.9), histogram_us(&both, 0.99), histogram_us(&both, 0.999), (double)both.max_ns / 1e3);
  printf("\"abP50Us\":%.1f,\"abP99Us\":%.1f,\"baP50Us\":%.1f,\"baP99Us\":%.1f,", histogram_us(&counts.latency[0], 0.5),
         histogram_us(&counts.latency[0], 0.99), histogram_us(&counts.latency[1], 0.5),
         histogram_us(&counts.latency[1], 0.99));
  printf("\"generatorCorePct\":%.1f,\"othersCorePct\":%.1f,\"lateSlots\":%lu,\"lateMaxUs\":%.0f,\"sendFailures\":%lu,",
         100 * own_s / real_s, others_s > 0 ? 100 * others_s / real_s : 0, w->late_slots, (double)w->late_max_ns / 1e3,
         w->send_failures);
  printf("\"silentFlows\":%d,\"stray\":%lu,\"wrongFlow\":%lu,\"corrupt\":%lu,\"badAuth\":%lu,\"verified\":%lu,", silent,
         counts.stray, counts.wrong_flow, counts.corrupt, counts.bad_auth, counts.verified);
  printf("\"duplicate\":%lu,\"reordered\":%lu,\"resync\":%lu}\n", counts.duplicate, counts.reordered, counts.resync);
}

int main(int argc, char **argv) {
  const char *flows = NULL, *folder = ".";
  double seconds = 6, warm_up_s = 2;
  for (int o; (o = getopt(argc, argv, "f:t:w:p:d:")) != -1;) switch (o) {
      case 'f': flows = optarg; break;
      case 't': seconds = atof(optarg); break;
      case 'w': warm_up_s = atof(optarg); break;
      case 'p': relay_pid = atoi(optarg); break;
      case 'd': folder = optarg; break;
      default: flows = NULL; optind = argc; break;
    }
  if (!flows || seconds <= 0 || seconds > 300) {
    fprintf(stderr, "usage: rtpload -f FLOWS [-t SECONDS] [-w WARM_UP] [-p PID] [-d FOLDER]\n");
    return 2;
  }
  load_read(&load, flows, folder);
  prctl(PR_SET_TIMERSLACK, 1000UL, 0, 0, 0);
  open_sockets();
  Window window = {0};
  run(warm_up_s, seconds, &window);
  report(&window);
  return 0;
}
