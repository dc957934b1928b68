/* STUN binding as ICE uses it (RFC 8445 §7, RFC 8489): the controlling side's check, and the answer to the peer's. */
#pragma once
#include <netinet/in.h>
#include <stdint.h>

#define STUN_MAX 256

typedef enum { STUN_OTHER, STUN_REQUEST, STUN_SUCCESS, STUN_ERROR } StunType;

typedef struct {
  StunType type;
  uint8_t transaction[12];
} StunMessage;

/* A check with USE-CANDIDATE. `username`: theirs:ours. Returns its length. */
int stun_check(uint8_t out[STUN_MAX], const uint8_t transaction[12], const char *username, const char *their_pwd);
/* The success response to a check from `mapped`. */
int stun_answer(uint8_t out[STUN_MAX], const uint8_t transaction[12], const struct sockaddr_in *mapped,
                const char *our_pwd);
/* `pwd`: what MESSAGE-INTEGRITY has to be made with; anything else is STUN_OTHER. */
StunMessage stun_read(const uint8_t *bytes, int length, const char *pwd);
