#include "stun.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#define COOKIE 0x2112A442U
#define FINGERPRINT_XOR 0x5354554eU

enum {
  USERNAME = 0x0006,
  MESSAGE_INTEGRITY = 0x0008,
  XOR_MAPPED_ADDRESS = 0x0020,
  PRIORITY = 0x0024,
  USE_CANDIDATE = 0x0025,
  FINGERPRINT = 0x8028,
  ICE_CONTROLLING = 0x802A
};

static void put16(uint8_t *p, unsigned v) {
  p[0] = (uint8_t)(v >> 8);
  p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v) {
  put16(p, v >> 16);
  put16(p + 2, v & 0xffff);
}

static unsigned get16(const uint8_t *p) { return (unsigned)(p[0] << 8 | p[1]); }

static int attribute(uint8_t *out, int at, unsigned type, const void *value, int length) {
  int padded = (length + 3) & ~3;
  put16(out + at, type);
  put16(out + at + 2, (unsigned)length);
  memset(out + at + 4, 0, (size_t)padded);
  memcpy(out + at + 4, value, (size_t)length);
  return at + 4 + padded;
}

static int begin(uint8_t *out, unsigned type, const uint8_t transaction[12]) {
  put16(out, type);
  put16(out + 2, 0);
  put32(out + 4, COOKIE);
  memcpy(out + 8, transaction, 12);
  return 20;
}

static uint32_t crc32(const uint8_t *p, int length) {
  uint32_t c = 0xffffffffU;
  for (int i = 0; i < length; i++) {
    c ^= p[i];
    for (int k = 0; k < 8; k++) c = c & 1 ? 0xedb88320U ^ (c >> 1) : c >> 1;
  }
  return ~c;
}

/* Over the message up to the attribute, its length field as if the message ended behind it (RFC 8489 §14.5). */
static void integrity(uint8_t *message, int at, const char *pwd, uint8_t digest[20]) {
  unsigned length = 20;
  put16(message + 2, (unsigned)(at + 24 - 20));
  HMAC(EVP_sha1(), pwd, (int)strlen(pwd), message, (size_t)at, digest, &length);
}

static int finish(uint8_t *out, int at, const char *pwd) {
  uint8_t digest[20], check[4];
  integrity(out, at, pwd, digest);
  at = attribute(out, at, MESSAGE_INTEGRITY, digest, 20);
  put16(out + 2, (unsigned)(at + 8 - 20));
  put32(check, crc32(out, at) ^ FINGERPRINT_XOR);
  return attribute(out, at, FINGERPRINT, check, 4);
}

int stun_check(uint8_t out[STUN_MAX], const uint8_t transaction[12], const char *username, const char *their_pwd) {
  const uint8_t priority[4] = {0x6e, 0x7f, 0x1e, 0xff}, tie_breaker[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  int at = begin(out, 0x0001, transaction);
  size_t length = strlen(username);
  at = attribute(out, at, USERNAME, username, length > 128 ? 128 : (int)length);
  at = attribute(out, at, PRIORITY, priority, 4);
  at = attribute(out, at, ICE_CONTROLLING, tie_breaker, 8);
  at = attribute(out, at, USE_CANDIDATE, "", 0);
  return finish(out, at, their_pwd);
}

int stun_answer(uint8_t out[STUN_MAX], const uint8_t transaction[12], const struct sockaddr_in *mapped,
                const char *our_pwd) {
  uint8_t value[8] = {0, 1};
  put16(value + 2, ntohs(mapped->sin_port) ^ (COOKIE >> 16));
  put32(value + 4, ntohl(mapped->sin_addr.s_addr) ^ COOKIE);
  int at = begin(out, 0x0101, transaction);
  at = attribute(out, at, XOR_MAPPED_ADDRESS, value, 8);
  return finish(out, at, our_pwd);
}

StunMessage stun_read(const uint8_t *bytes, int length, const char *pwd) {
  StunMessage message = {STUN_OTHER, {0}};
  uint8_t copy[1500], digest[20];
  if (length < 20 || length > (int)sizeof copy || bytes[0] > 3 || (int)get16(bytes + 2) != length - 20) return message;
  memcpy(message.transaction, bytes + 8, 12);
  memcpy(copy, bytes, (size_t)length);
  int at = 20, proven = 0;
  while (at + 4 <= length) {
    int size = (int)get16(bytes + at + 2);
    if (at + 4 + size > length) return message;
    if (get16(bytes + at) == MESSAGE_INTEGRITY && size == 20) {
      integrity(copy, at, pwd, digest);
      proven = memcmp(digest, bytes + at + 4, 20) == 0;
      break;
    }
    at += 4 + ((size + 3) & ~3);
  }
  if (!proven) return message;
  unsigned type = get16(bytes);
  message.type = type == 0x0001 ? STUN_REQUEST : type == 0x0101 ? STUN_SUCCESS : type == 0x0111 ? STUN_ERROR : STUN_OTHER;
  return message;
}
