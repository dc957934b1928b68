/* The HMAC's two inner states are kept per key, which OpenSSL 3 offers only through its older SHA1 calls. */
#define OPENSSL_API_COMPAT 0x10100000L
#include "srtp.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

struct Srtp {
  uint8_t salt[14];
  EVP_CIPHER_CTX *cipher;
  SHA_CTX inner, outer;
};

/* Key derivation with a rate of 0 (RFC 3711 §4.3.1). */
static void derive(const uint8_t *key, const uint8_t *salt, int label, uint8_t *out, int length) {
  uint8_t iv[16] = {0}, zero[32] = {0};
  memcpy(iv, salt, 14);
  iv[7] ^= (uint8_t)label;
  EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
  int written;
  EVP_EncryptInit_ex(c, EVP_aes_128_ctr(), NULL, key, iv);
  EVP_EncryptUpdate(c, out, &written, zero, length);
  EVP_CIPHER_CTX_free(c);
}

static void half(SHA_CTX *state, const uint8_t *key, uint8_t pad_byte) {
  uint8_t pad[64];
  memset(pad, pad_byte, sizeof pad);
  for (int i = 0; i < 20; i++) pad[i] ^= key[i];
  SHA1_Init(state);
  SHA1_Update(state, pad, sizeof pad);
}

Srtp *srtp_new(const uint8_t key_salt[SRTP_KEY_SALT]) {
  Srtp *s = calloc(1, sizeof *s);
  uint8_t key[16], auth[20];
  derive(key_salt, key_salt + 16, 0, key, 16);
  derive(key_salt, key_salt + 16, 1, auth, 20);
  derive(key_salt, key_salt + 16, 2, s->salt, 14);
  s->cipher = EVP_CIPHER_CTX_new();
  EVP_EncryptInit_ex(s->cipher, EVP_aes_128_ctr(), NULL, key, NULL);
  half(&s->inner, auth, 0x36);
  half(&s->outer, auth, 0x5c);
  return s;
}

Srtp *srtp_new_base64(const char *text) {
  uint8_t bytes[64];
  if (strlen(text) != 40 || EVP_DecodeBlock(bytes, (const uint8_t *)text, 40) < SRTP_KEY_SALT) return NULL;
  return srtp_new(bytes);
}

/* Counter mode is its own inverse (RFC 3711 §4.1.1). */
static void crypt(Srtp *s, uint8_t *p, int length, uint32_t roc) {
  uint8_t iv[16] = {0};
  memcpy(iv, s->salt, 14);
  for (int i = 0; i < 4; i++) iv[4 + i] ^= p[8 + i];
  const uint8_t index[6] = {roc >> 24, roc >> 16, roc >> 8, roc, p[2], p[3]};
  for (int i = 0; i < 6; i++) iv[8 + i] ^= index[i];
  int written;
  EVP_EncryptInit_ex(s->cipher, NULL, NULL, NULL, iv);
  EVP_EncryptUpdate(s->cipher, p + 12, &written, p + 12, length - 12);
}

static void tag_of(Srtp *s, const uint8_t *p, int length, uint32_t roc, uint8_t tag[SRTP_TAG]) {
  const uint8_t index[4] = {roc >> 24, roc >> 16, roc >> 8, roc};
  uint8_t digest[20];
  SHA_CTX state = s->inner;
  SHA1_Update(&state, p, (size_t)length);
  SHA1_Update(&state, index, 4);
  SHA1_Final(digest, &state);
  state = s->outer;
  SHA1_Update(&state, digest, 20);
  SHA1_Final(digest, &state);
  memcpy(tag, digest, SRTP_TAG);
}

int srtp_protect(Srtp *s, uint8_t *packet, int length, uint32_t roc) {
  crypt(s, packet, length, roc);
  tag_of(s, packet, length, roc, packet + length);
  return length + SRTP_TAG;
}

int srtp_unprotect(Srtp *s, uint8_t *packet, int length, uint32_t roc) {
  uint8_t tag[SRTP_TAG];
  length -= SRTP_TAG;
  if (length < 12) return -1;
  tag_of(s, packet, length, roc, tag);
  if (memcmp(tag, packet + length, SRTP_TAG) != 0) return -1;
  crypt(s, packet, length, roc);
  return length;
}
