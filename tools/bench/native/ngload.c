/* ngload: a load of ng requests over UDP, bencode, with a window of calls in work.
 *
 * usage: ngload -a ADDRESS -p PORT -n CALLS [-w WINDOW] [-s STEPS] [-k KIND] [-t TAG] [-P PID] [-r PER_SECOND]
 *
 * STEPS: letters of what is done to each call in turn: o(ffer), a(nswer), d(elete). `oad` (the default) leaves nothing
 * behind; `oa` leaves the calls standing, and `d` with the same TAG takes them away.
 * KIND: plain (RTP/AVP to RTP/AVP), srtp (the offerer speaks SDES, the answerer plain RTP).
 * A request without a reply is sent again after 500 ms, five times. Prints one line of JSON; a refusal or a missing
 * reply is counted, and the first reason is shown. Ends with 1 when there was any. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bencode.h"
#include "clock.h"
#include "histogram.h"
#include "usage.h"

#define MAX_WINDOW 1024
#define MAX_REQUEST 4096
#define AGAIN_NS 500000000ULL
#define TRIES 6
#define KEY "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd"

/* One call in work. */
typedef struct {
  int busy, call, step, tries, length;
  uint64_t begun, sent;
  char request[MAX_REQUEST];
} Lane;

static struct {
  int fd, calls, window, relay_pid, srtp, next, done;
  const char *steps, *tag;
  double per_second;
  uint64_t begun, requests, repeats, refused, silent, stray;
  char reason[160];
  Histogram latency[3]; /* offer, answer, delete */
  Lane lane[MAX_WINDOW];
} run;

static void fail(const char *what) {
  fprintf(stderr, "ngload: %s: %s\n", what, strerror(errno));
  exit(2);
}

static int kind_of(char step) { return step == 'o' ? 0 : step == 'a' ? 1 : 2; }

static void put_sdp(Writer *w, const char *address, int port, int secure) {
  char sdp[1024];
  snprintf(sdp, sizeof sdp,
           "v=0\r\no=- 4711 1 IN IP4 %s\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\nm=audio %d RTP/%s 0 8 101\r\n"
           "a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n%s"
           "a=ptime:20\r\na=sendrecv\r\n",
           address, address, port, secure ? "SAVP" : "AVP",
           secure ? "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" KEY "\r\n" : "");
  put_member(w, "sdp", sdp);
}

/* What a SIP proxy sends. The cookie is `<tag>_<lane>_<call>_<step>`, with the
 * step's letter: another run with the same tag must not be taken for a repetition. */
static void compose(Lane *lane, int index) {
  char head[128], call_id[128];
  char step = run.steps[lane->step];
  int port = 10000 + lane->call % 20000 * 2;
  Writer w = {lane->request, lane->request + sizeof lane->request};
  snprintf(head, sizeof head, "%s_%d_%d_%c d", run.tag, index, lane->call, step);
  snprintf(call_id, sizeof call_id, "%s-%d@bench.invalid", run.tag, lane->call);
  put_raw(&w, head);
  put_member(&w, "command", step == 'o' ? "offer" : step == 'a' ? "answer" : "delete");
  put_member(&w, "call-id", call_id);
  put_member(&w, "from-tag", "caller");
  if (step == 'a') put_member(&w, "to-tag", "callee");
  if (step == 'd') {
    put_string(&w, "delete-delay");
    put_raw(&w, "i0e");
  } else {
    put_member(&w, "ICE", "remove");
    if (run.srtp) put_member(&w, "DTLS", "off");
    if (run.srtp && step == 'o') put_member(&w, "transport-protocol", "RTP/AVP");
    put_string(&w, "replace");
    put_raw(&w, "l6:origin18:session-connectione");
    put_string(&w, "flags");
    put_raw(&w, "l13:trust-addresse");
    put_string(&w, "received-from");
    put_raw(&w, step == 'o' ? "l3:IP49:127.0.1.1e" : "l3:IP49:127.0.1.2e");
    put_sdp(&w, step == 'o' ? "127.0.1.1" : "127.0.1.2", port, run.srtp && step == 'o');
  }
  put_raw(&w, "e");
  if (w.at == w.end) {
    errno = EMSGSIZE;
    fail("request");
  }
  lane->length = (int)(w.at - lane->request);
  lane->tries = 0;
}

static void transmit(Lane *lane) {
  lane->sent = now_ns();
  if (lane->tries++ == 0) lane->begun = lane->sent;
  /* A full socket is a lost request: it is sent again like any other. */
  send(run.fd, lane->request, (size_t)lane->length, 0);
}

/* Into a free lane with the next call, no faster than asked. */
static void begin(int index) {
  Lane *lane = &run.lane[index];
  lane->busy = 0;
  if (run.next == run.calls) return;
  if (run.per_second > 0 && run.next / run.per_second > (double)(now_ns() - run.begun) / 1e9) return;
  lane->busy = 1;
  lane->call = run.next++;
  lane->step = 0;
  compose(lane, index);
  transmit(lane);
  run.requests++;
}

static void finish(int index) {
  run.done++;
  begin(index);
}

static void on_reply(char *text, size_t length) {
  int index, call;
  char step;
  size_t tag = strlen(run.tag), found = 0;
  text[length] = 0;
  char *body = memchr(text, ' ', length);
  if (!body || strncmp(text, run.tag, tag) != 0 || sscanf(text + tag, "_%d_%d_%c ", &index, &call, &step) != 3 ||
      index < 0 || index >= run.window || !run.lane[index].busy || run.lane[index].call != call ||
      run.steps[run.lane[index].step] != step) {
    run.stray++; /* the second reply to a request that went out twice */
    return;
  }
  Lane *lane = &run.lane[index];
  body++;
  length -= (size_t)(body - text);
  const char *result = find_string(body, length, "result", &found);
  int fine = result && found == 2 && memcmp(result, "ok", 2) == 0;
  size_t sdp_length = 0;
  if (fine && step != 'd') {
    const char *sdp = find_string(body, length, "sdp", &sdp_length);
    fine = sdp && memmem(sdp, sdp_length, "m=audio ", 8) && !memmem(sdp, sdp_length, "m=audio 0 ", 10);
  }
  if (!fine) {
    const char *reason = find_string(body, length, "error-reason", &found);
    if (run.refused++ == 0)
      snprintf(run.reason, sizeof run.reason, "%.*s", reason ? (int)found : 9, reason ? reason : "no reason");
    for (char *c = run.reason; *c; c++)
      if (*c == '"' || *c == '\\' || *c < ' ') *c = '?'; /* it goes into JSON as it is */
    finish(index);
    return;
  }
  histogram_add(&run.latency[kind_of(step)], now_ns() - lane->begun);
  if (!run.steps[++lane->step]) {
    finish(index);
    return;
  }
  compose(lane, index);
  transmit(lane);
  run.requests++;
}

static void repeat_late(void) {
  uint64_t now = now_ns();
  for (int i = 0; i < run.window; i++) {
    Lane *lane = &run.lane[i];
    if (!lane->busy) begin(i);
    if (!lane->busy || now - lane->sent < AGAIN_NS) continue;
    if (lane->tries == TRIES) {
      run.silent++;
      finish(i);
      continue;
    }
    run.repeats++;
    transmit(lane);
  }
}

static void loop(void) {
  static char text[65536];
  for (int i = 0; i < run.window; i++) begin(i);
  uint64_t looked = now_ns();
  while (run.done < run.calls) {
    struct pollfd poller = {run.fd, POLLIN, 0};
    int wait = run.per_second > 0 ? 1 : 100;
    if (poll(&poller, 1, wait) > 0)
      for (ssize_t n; (n = recv(run.fd, text, sizeof text - 1, MSG_DONTWAIT)) > 0;) on_reply(text, (size_t)n);
    if (now_ns() - looked < (uint64_t)wait * 1000000) continue;
    looked = now_ns();
    repeat_late();
  }
}

static void report(double seconds, double cpu_s, double own_s) {
  static const char *const names[] = {"offer", "answer", "delete"};
  printf("{\"calls\":%d,\"window\":%d,\"seconds\":%.4f,\"callsPerS\":%.1f,\"requests\":%lu,\"requestsPerS\":%.1f,", run.calls,
         run.window, seconds, run.calls / seconds, run.requests, (double)run.requests / seconds);
  printf("\"peerCpuS\":%.4f,\"peerCorePct\":%.1f,\"cpuUsPerCall\":%.2f,\"clientCorePct\":%.1f,\"peerRssKib\":%ld,", cpu_s,
         100 * cpu_s / seconds, 1e6 * cpu_s / run.calls, 100 * own_s / seconds,
         run.relay_pid ? usage_rss_kib(run.relay_pid) : 0);
  for (int i = 0; i < 3; i++)
    if (run.latency[i].total)
      printf("\"%sP50Us\":%.1f,\"%sP99Us\":%.1f,", names[i], histogram_us(&run.latency[i], 0.5), names[i],
             histogram_us(&run.latency[i], 0.99));
  printf("\"repeats\":%lu,\"refused\":%lu,\"silent\":%lu,\"stray\":%lu,\"reason\":\"%s\"}\n", run.repeats, run.refused,
         run.silent, run.stray, run.reason);
  if (run.refused) fprintf(stderr, "ngload: refused: %s\n", run.reason);
}

int main(int argc, char **argv) {
  struct sockaddr_in at = {.sin_family = AF_INET};
  run.window = 32;
  run.steps = "oad";
  run.tag = "t";
  for (int o; (o = getopt(argc, argv, "a:p:n:w:s:k:t:P:r:")) != -1;) switch (o) {
      case 'a': inet_pton(AF_INET, optarg, &at.sin_addr); break;
      case 'p': at.sin_port = htons((uint16_t)atoi(optarg)); break;
      case 'n': run.calls = atoi(optarg); break;
      case 'w': run.window = atoi(optarg); break;
      case 's': run.steps = optarg; break;
      case 'k': run.srtp = strcmp(optarg, "srtp") == 0; break;
      case 't': run.tag = optarg; break;
      case 'P': run.relay_pid = atoi(optarg); break;
      case 'r': run.per_second = atof(optarg); break;
      default: run.calls = 0; optind = argc; break;
    }
  if (!at.sin_addr.s_addr || !at.sin_port || run.calls < 1 || run.window < 1 || run.window > MAX_WINDOW ||
      !run.steps[0] || strlen(run.steps) > 3 || strspn(run.steps, "oad") != strlen(run.steps) || strlen(run.tag) > 32) {
    fprintf(stderr, "usage: ngload -a ADDRESS -p PORT -n CALLS [-w WINDOW] [-s STEPS] [-k KIND] [-t TAG] [-P PID] [-r RATE]\n");
    return 2;
  }
  int buffer = 1 << 20;
  run.fd = socket(AF_INET, SOCK_DGRAM, 0);
  if (run.fd < 0 || connect(run.fd, (struct sockaddr *)&at, sizeof at) != 0) fail("socket");
  setsockopt(run.fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
  double cpu_s = run.relay_pid ? usage_cpu_s(run.relay_pid) : 0, own_s = usage_own_cpu_s();
  run.begun = now_ns();
  loop();
  double seconds = (double)(now_ns() - run.begun) / 1e9;
  report(seconds, run.relay_pid ? usage_cpu_s(run.relay_pid) - cpu_s : 0, usage_own_cpu_s() - own_s);
  return run.refused || run.silent ? 1 : 0;
}
