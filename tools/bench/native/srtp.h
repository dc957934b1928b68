/* SRTP with AES_CM_128_HMAC_SHA1_80 (RFC 3711), one direction of one stream, for a load generator: no replay window,
 * and the caller counts roll-overs. */
#pragma once
#include <stdint.h>

#define SRTP_TAG 10
#define SRTP_KEY_SALT 30

typedef struct Srtp Srtp;

/* From master key and salt. */
Srtp *srtp_new(const uint8_t key_salt[SRTP_KEY_SALT]);
/* From the text of an SDES inline parameter (RFC 4568 §6.1). NULL when it does not hold 30 bytes. */
Srtp *srtp_new_base64(const char *text);
/* Encrypts the payload behind a 12 byte header in place and appends the tag. Returns the new length. */
int srtp_protect(Srtp *s, uint8_t *packet, int length, uint32_t roc);
/* Authenticates and decrypts in place. Returns the length without the tag, -1 when the tag is wrong. */
int srtp_unprotect(Srtp *s, uint8_t *packet, int length, uint32_t roc);
