/* dtlsload: plays many WebRTC parties that arrive at once: an ICE check, a DTLS-SRTP handshake as client, one packet
 * each way.
 *
 * usage: dtlsload -g PEM                        writes a key and certificate (ECDSA P-256), prints its fingerprint
 *        dtlsload -c PEM -f PARTIES [-w WINDOW] [-P PID]
 *
 * PARTIES, one line each:
 *   <node ip> <node port> <their ufrag> <their pwd> <our ufrag> <our pwd> <their SHA-256 fingerprint>
 *   <our port> <plain node ip> <plain node port> <plain party's port>
 * We are at 127.0.1.1, the plain party at 127.0.1.2. What is measured ends with the last handshake; after it, one
 * packet goes each way between the encrypted and the plain side of every call, and has to come out as it went in.
 * Prints one line of JSON. Ends with 1 when a handshake failed or a packet did not come through. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "histogram.h"
#include "srtp.h"
#include "stun.h"
#include "usage.h"

#define MAX_PARTIES 9000
#define AGAIN_NS 500000000ULL
#define TRIES 10
#define FINGERPRINT_TEXT 96
#define PAYLOAD 160

typedef enum { WAITING, CHECKING, SHAKING, CONNECTED, FAILED } State;

typedef struct {
  State state;
  int fd, plain_fd, tries;
  struct sockaddr_in node, plain_node, local;
  char their_ufrag[64], their_pwd[128], our_ufrag[64], our_pwd[128], fingerprint[FINGERPRINT_TEXT];
  uint8_t transaction[12];
  uint64_t begun, sent, shaking_since;
  SSL *ssl;
  Srtp *send, *receive;
  int to_plain, to_secure;
} Party;

static struct {
  Party *party;
  int parties, next, active, connected, failed, poller;
  SSL_CTX *context;
  uint64_t check_repeats, dtls_repeats;
  Histogram whole, handshake;
  char reason[200];
} run;

static void fail(const char *what) {
  fprintf(stderr, "dtlsload: %s: %s\n", what, errno ? strerror(errno) : ERR_reason_error_string(ERR_get_error()));
  exit(2);
}

static void fingerprint_of(X509 *certificate, char text[FINGERPRINT_TEXT]) {
  uint8_t digest[32];
  unsigned length = sizeof digest;
  if (!X509_digest(certificate, EVP_sha256(), digest, &length)) fail("digest");
  for (unsigned i = 0; i < 32; i++) sprintf(text + 3 * i, i < 31 ? "%02X:" : "%02X", digest[i]);
}

static int generate(const char *path) {
  EVP_PKEY *key = EVP_EC_gen("P-256");
  X509 *certificate = X509_new();
  FILE *f = fopen(path, "w");
  if (!key || !certificate || !f) fail(path);
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -86400);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 86400 * 30);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC, (const uint8_t *)"bench", -1, -1, 0);
  X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
  X509_set_pubkey(certificate, key);
  if (!X509_sign(certificate, key, EVP_sha256())) fail("sign");
  if (!PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) || !PEM_write_X509(f, certificate)) fail(path);
  char text[FINGERPRINT_TEXT];
  fingerprint_of(certificate, text);
  puts(text);
  return fclose(f);
}

/* Any certificate passes here: which one it must be, the fingerprint says (RFC 8122 §5). */
static int accept_any(int preverified, X509_STORE_CTX *store) {
  (void)preverified;
  (void)store;
  return 1;
}

static void open_context(const char *pem) {
  run.context = SSL_CTX_new(DTLS_client_method());
  if (!run.context || SSL_CTX_use_PrivateKey_file(run.context, pem, SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_use_certificate_file(run.context, pem, SSL_FILETYPE_PEM) != 1)
    fail(pem);
  SSL_CTX_set_min_proto_version(run.context, DTLS1_2_VERSION);
  SSL_CTX_set_verify(run.context, SSL_VERIFY_PEER, accept_any);
  SSL_CTX_set_session_cache_mode(run.context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(run.context, SSL_OP_NO_QUERY_MTU | SSL_OP_NO_TICKET);
  /* 0 is success here. */
  if (SSL_CTX_set_tlsext_use_srtp(run.context, "SRTP_AES128_CM_SHA1_80") != 0) fail("use_srtp");
}

static int open_socket(const char *ip, int port, const struct sockaddr_in *peer, struct sockaddr_in *local) {
  *local = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  inet_pton(AF_INET, ip, &local->sin_addr);
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)local, sizeof *local) != 0) fail("bind");
  if (connect(fd, (const struct sockaddr *)peer, sizeof *peer) != 0) fail("connect");
  return fd;
}

static void read_parties(const char *file) {
  char line[1024], node[64], plain[64];
  int port, our_port, plain_port, plain_party;
  FILE *f = fopen(file, "r");
  if (!f) fail(file);
  run.party = calloc(MAX_PARTIES, sizeof *run.party);
  while (run.parties < MAX_PARTIES && fgets(line, sizeof line, f)) {
    Party *p = &run.party[run.parties++];
    if (sscanf(line, "%63s %d %63s %127s %63s %127s %95s %d %63s %d %d", node, &port, p->their_ufrag, p->their_pwd,
               p->our_ufrag, p->our_pwd, p->fingerprint, &our_port, plain, &plain_port, &plain_party) != 11)
      fail("not a party");
    p->node = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    p->plain_node = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)plain_port)};
    inet_pton(AF_INET, node, &p->node.sin_addr);
    inet_pton(AF_INET, plain, &p->plain_node.sin_addr);
    struct sockaddr_in unused;
    p->fd = open_socket("127.0.1.1", our_port, &p->node, &p->local);
    p->plain_fd = open_socket("127.0.1.2", plain_party, &p->plain_node, &unused);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = p};
    if (epoll_ctl(run.poller, EPOLL_CTL_ADD, p->fd, &event) != 0) fail("epoll_ctl");
  }
  fclose(f);
}

static void end_with(Party *p, State state, const char *reason) {
  p->state = state;
  run.active--;
  if (state == CONNECTED) {
    run.connected++;
    uint64_t now = now_ns();
    histogram_add(&run.whole, now - p->begun);
    histogram_add(&run.handshake, now - p->shaking_since);
  } else if (run.failed++ == 0) {
    snprintf(run.reason, sizeof run.reason, "%s", reason ? reason : "unknown");
  }
}

static void send_check(Party *p) {
  uint8_t bytes[STUN_MAX];
  char username[160];
  snprintf(username, sizeof username, "%s:%s", p->their_ufrag, p->our_ufrag);
  RAND_bytes(p->transaction, sizeof p->transaction);
  p->sent = now_ns();
  p->tries++;
  send(p->fd, bytes, (size_t)stun_check(bytes, p->transaction, username, p->their_pwd), 0);
}

/* Keys of both directions (RFC 5764 §4.2), after the certificate has been compared with the one in the SDP. */
static void take_keys(Party *p) {
  uint8_t material[60], key_salt[SRTP_KEY_SALT];
  char text[FINGERPRINT_TEXT];
  X509 *certificate = SSL_get1_peer_certificate(p->ssl);
  if (!certificate) {
    end_with(p, FAILED, "no certificate");
    return;
  }
  fingerprint_of(certificate, text);
  X509_free(certificate);
  if (strcasecmp(text, p->fingerprint) != 0) {
    end_with(p, FAILED, "the certificate is not the one of the SDP");
    return;
  }
  if (!SSL_get_selected_srtp_profile(p->ssl) ||
      SSL_export_keying_material(p->ssl, material, sizeof material, "EXTRACTOR-dtls_srtp", 19, NULL, 0, 0) != 1) {
    end_with(p, FAILED, "no SRTP profile");
    return;
  }
  for (int server = 0; server < 2; server++) {
    memcpy(key_salt, material + 16 * server, 16);
    memcpy(key_salt + 16, material + 32 + 14 * server, 14);
    *(server ? &p->receive : &p->send) = srtp_new(key_salt);
  }
  end_with(p, CONNECTED, NULL);
}

static void shake(Party *p) {
  ERR_clear_error();
  int result = SSL_do_handshake(p->ssl);
  if (result == 1) {
    take_keys(p);
    return;
  }
  int error = SSL_get_error(p->ssl, result);
  if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
    end_with(p, FAILED, error == SSL_ERROR_SSL ? ERR_reason_error_string(ERR_peek_error()) : strerror(errno));
}

static void start_handshake(Party *p) {
  p->state = SHAKING;
  p->shaking_since = now_ns();
  p->ssl = SSL_new(run.context);
  BIO *bio = BIO_new_dgram(p->fd, BIO_NOCLOSE);
  BIO_ctrl(bio, BIO_CTRL_DGRAM_SET_CONNECTED, 0, &p->node);
  SSL_set_bio(p->ssl, bio, bio);
  SSL_set_mtu(p->ssl, 1200);
  SSL_set_connect_state(p->ssl);
  shake(p);
}

static void on_stun(Party *p, const uint8_t *bytes, int length) {
  StunMessage ours = stun_read(bytes, length, p->their_pwd);
  if (ours.type == STUN_SUCCESS && p->state == CHECKING && memcmp(ours.transaction, p->transaction, 12) == 0) {
    start_handshake(p);
    return;
  }
  StunMessage theirs = stun_read(bytes, length, p->our_pwd);
  if (theirs.type != STUN_REQUEST) return;
  uint8_t answer[STUN_MAX];
  send(p->fd, answer, (size_t)stun_answer(answer, theirs.transaction, &p->node, p->our_pwd), 0);
}

/* STUN is taken out here; what looks like DTLS (RFC 7983 §7) is left to OpenSSL, which reads the socket itself. */
static void on_readable(Party *p) {
  uint8_t bytes[2048];
  for (;;) {
    ssize_t n = recv(p->fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
    if (n < 0) return;
    int dtls = n > 0 && bytes[0] >= 20 && bytes[0] <= 63;
    if (dtls && p->state == SHAKING) {
      shake(p);
      continue;
    }
    recv(p->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n > 0 && bytes[0] <= 3) on_stun(p, bytes, (int)n);
  }
}

static void begin_more(int window) {
  while (run.active < window && run.next < run.parties) {
    Party *p = &run.party[run.next++];
    run.active++;
    p->state = CHECKING;
    p->begun = now_ns();
    send_check(p);
  }
}

static void repeat_late(void) {
  uint64_t now = now_ns();
  for (int i = 0; i < run.next; i++) {
    Party *p = &run.party[i];
    if (p->state == CHECKING && now - p->sent > AGAIN_NS) {
      run.check_repeats++;
      if (p->tries == TRIES)
        end_with(p, FAILED, "no answer to ICE checks");
      else
        send_check(p);
    } else if (p->state == SHAKING) {
      /* OpenSSL's own timer: one second, doubled (RFC 6347 §4.2.4.1). */
      int fired = DTLSv1_handle_timeout(p->ssl);
      if (fired > 0) run.dtls_repeats++;
      if (fired < 0 || now - p->begun > 20000000000ULL) end_with(p, FAILED, "the handshake stood still");
    }
  }
}

static int rtp(uint8_t *packet, int index, int round, uint8_t filler) {
  const uint8_t header[12] = {0x80, 0, 0x10, (uint8_t)round, 0, 0, (uint8_t)round, 0, 1, 2, (uint8_t)(index >> 8), (uint8_t)index};
  memcpy(packet, header, sizeof header);
  memset(packet + 12, filler ^ index, PAYLOAD);
  return 12 + PAYLOAD;
}

static int is_ours(const uint8_t *packet, ssize_t length, int index, uint8_t filler) {
  if (length != 12 + PAYLOAD) return 0;
  for (int i = 12; i < length; i++)
    if (packet[i] != (uint8_t)(filler ^ index)) return 0;
  return 1;
}

/* Repeats until every packet has come through, at most 25 times: the node may still learn who is who. */
static void exchange(void) {
  uint8_t bytes[2048];
  for (int round = 0; round < 25; round++) {
    int missing = 0;
    for (int i = 0; i < run.parties; i++) {
      Party *p = &run.party[i];
      if (p->state != CONNECTED) continue;
      for (ssize_t n; (n = recv(p->plain_fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0;)
        p->to_plain |= is_ours(bytes, n, i, 0x33);
      for (ssize_t n; (n = recv(p->fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0;)
        if (bytes[0] >> 6 == 2 && n > 12 + SRTP_TAG && (bytes[1] & 0x7f) == 0)
          p->to_secure |= is_ours(bytes, srtp_unprotect(p->receive, bytes, (int)n, 0), i, 0x55);
      missing += !p->to_plain || !p->to_secure;
      if (!p->to_plain) send(p->fd, bytes, (size_t)srtp_protect(p->send, bytes, rtp(bytes, i, round, 0x33), 0), 0);
      if (!p->to_secure) send(p->plain_fd, bytes, (size_t)rtp(bytes, i, round, 0x55), 0);
      /* In small lots: one port takes them all. */
      if (i % 32 == 31) usleep(1000);
    }
    if (missing == 0) return;
    usleep(20000);
  }
}

static int load(int window, int pid) {
  double cpu_s = pid ? usage_cpu_s(pid) : 0, own_s = usage_own_cpu_s();
  uint64_t begun = now_ns(), looked = begun;
  while (run.connected + run.failed < run.parties) {
    struct epoll_event event[64];
    begin_more(window);
    int ready = epoll_wait(run.poller, event, 64, 50);
    for (int i = 0; i < ready; i++) on_readable(event[i].data.ptr);
    if (now_ns() - looked < 50000000ULL) continue;
    looked = now_ns();
    repeat_late();
  }
  double seconds = (double)(now_ns() - begun) / 1e9;
  cpu_s = pid ? usage_cpu_s(pid) - cpu_s : 0;
  own_s = usage_own_cpu_s() - own_s;
  exchange();
  int to_plain = 0, to_secure = 0;
  for (int i = 0; i < run.parties; i++) {
    to_plain += run.party[i].to_plain;
    to_secure += run.party[i].to_secure;
  }
  printf("{\"handshakes\":%d,\"failed\":%d,\"seconds\":%.3f,\"perS\":%.1f,\"nodeCpuS\":%.4f,\"perCoreS\":%.1f,", run.connected,
         run.failed, seconds, run.connected / seconds, cpu_s, cpu_s > 0 ? run.connected / cpu_s : 0);
  printf("\"nodeCorePct\":%.1f,\"clientCorePct\":%.1f,\"p50Ms\":%.2f,\"p99Ms\":%.2f,\"handshakeP50Ms\":%.2f,", 100 * cpu_s / seconds,
         100 * own_s / seconds, histogram_us(&run.whole, 0.5) / 1000, histogram_us(&run.whole, 0.99) / 1000,
         histogram_us(&run.handshake, 0.5) / 1000);
  printf("\"checkRepeats\":%lu,\"dtlsRepeats\":%lu,\"toPlain\":%d,\"toSecure\":%d,\"nodeRssKib\":%ld}\n", run.check_repeats,
         run.dtls_repeats, to_plain, to_secure, pid ? usage_rss_kib(pid) : 0);
  if (run.failed) fprintf(stderr, "dtlsload: %d handshakes failed; the first: %s\n", run.failed, run.reason);
  if (to_plain < run.parties || to_secure < run.parties)
    fprintf(stderr, "dtlsload: of %d packets %d came through to the plain side, %d to the encrypted one\n", run.parties,
            to_plain, to_secure);
  return run.failed || to_plain < run.parties || to_secure < run.parties;
}

int main(int argc, char **argv) {
  const char *pem = NULL, *file = NULL;
  int window = 64, pid = 0;
  for (int o; (o = getopt(argc, argv, "g:c:f:w:P:")) != -1;) switch (o) {
      case 'g': return generate(optarg);
      case 'c': pem = optarg; break;
      case 'f': file = optarg; break;
      case 'w': window = atoi(optarg); break;
      case 'P': pid = atoi(optarg); break;
      default: optind = argc; break;
    }
  if (!pem || !file || window < 1) {
    fprintf(stderr, "usage: dtlsload -g PEM | dtlsload -c PEM -f PARTIES [-w WINDOW] [-P PID]\n");
    return 2;
  }
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  run.poller = epoll_create1(0);
  open_context(pem);
  read_parties(file);
  return load(window, pid);
}
