/* floor: the least that a relay in user space with a socket for each port can do. It reads the flows that rtpload will
 * send and passes each packet on, with no protocol at all: one recvfrom, one sendto.
 *
 * usage: floor FLOWS [FAULT]
 *
 * FAULT, to prove that rtpload sees it, done to every 100th packet: drop, duplicate, corrupt (one bit), mix (it takes the
 * way of another call), misroute (the party of another call gets it, out of the port of its own call).
 * Prints "ready" when it listens. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "flows.h"

#define EVERY 100
#define OTHER 16

typedef struct {
  int in, out;
  struct sockaddr_in to;
} Route;

static int open_port(const struct sockaddr_in *address) {
  static int opened[65536];
  int *fd = &opened[ntohs(address->sin_port)];
  if (*fd) return *fd;
  *fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  if (*fd < 0 || bind(*fd, (const struct sockaddr *)address, sizeof *address) != 0) {
    perror("floor");
    exit(2);
  }
  return *fd;
}

int main(int argc, char **argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: floor FLOWS [drop|duplicate|corrupt|mix|misroute]\n");
    return 2;
  }
  const char *fault = argc > 2 ? argv[2] : "";
  int corrupt = !strcmp(fault, "corrupt"), mix = !strcmp(fault, "mix"), misroute = !strcmp(fault, "misroute");
  int duplicate = !strcmp(fault, "duplicate"), drop = !strcmp(fault, "drop");
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  Load load = {0};
  load_read(&load, argv[1], ".");
  Route *routes = calloc((size_t)load.flows, sizeof *routes);
  int poller = epoll_create1(0);
  for (int i = 0; i < load.flows; i++) {
    Flow *f = &load.flow[i];
    routes[i] = (Route){open_port(&f->dst), open_port(&f->src), load.socket[f->rx].address};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &routes[i]};
    epoll_ctl(poller, EPOLL_CTL_ADD, routes[i].in, &event);
  }
  puts("ready");
  fflush(stdout);
  for (unsigned count = 0;;) {
    struct epoll_event event[128];
    int ready = epoll_wait(poller, event, 128, -1);
    for (int i = 0; i < ready; i++) {
      const Route *route = event[i].data.ptr;
      uint8_t bytes[2048];
      ssize_t length = recvfrom(route->in, bytes, sizeof bytes, 0, NULL, NULL);
      if (length < 0) continue;
      int now = ++count % EVERY == 0, times = now && drop ? 0 : now && duplicate ? 2 : 1;
      if (now && corrupt) bytes[length - 1] ^= 1;
      /* Not the next flow: it shares its socket with this one. */
      const Route *other = &routes[(route - routes + OTHER) % load.flows];
      const Route *to = now && (mix || misroute) ? other : route, *from = now && mix ? other : route;
      for (int k = 0; k < times; k++)
        sendto(from->out, bytes, (size_t)length, 0, (const struct sockaddr *)&to->to, sizeof to->to);
    }
  }
}
