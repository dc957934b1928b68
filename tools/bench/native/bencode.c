#include "bencode.h"

#include <stdio.h>
#include <string.h>

static void put_bytes(Writer *w, const char *bytes, size_t length) {
  if ((size_t)(w->end - w->at) < length) {
    w->end = w->at;
    return;
  }
  memcpy(w->at, bytes, length);
  w->at += length;
}

void put_raw(Writer *w, const char *text) { put_bytes(w, text, strlen(text)); }

void put_string(Writer *w, const char *text) {
  char head[24];
  snprintf(head, sizeof head, "%zu:", strlen(text));
  put_raw(w, head);
  put_raw(w, text);
}

void put_member(Writer *w, const char *key, const char *value) {
  put_string(w, key);
  put_string(w, value);
}

/* Behind one value; NULL when it is not whole. `string` and `length`: its bytes when it is a string. */
static const char *skip(const char *at, const char *end, const char **string, size_t *length, int depth) {
  *string = NULL;
  if (at >= end || depth > 16) return NULL;
  if (*at == 'i') {
    const char *e = memchr(at, 'e', (size_t)(end - at));
    return e ? e + 1 : NULL;
  }
  if (*at == 'l' || *at == 'd') {
    const char *inner;
    size_t n;
    for (at++; at && at < end && *at != 'e';) at = skip(at, end, &inner, &n, depth + 1);
    *string = NULL;
    return at && at < end ? at + 1 : NULL;
  }
  size_t n = 0;
  for (; at < end && *at >= '0' && *at <= '9' && n < 1000000; at++) n = n * 10 + (size_t)(*at - '0');
  if (at >= end || *at != ':' || (size_t)(end - at - 1) < n) return NULL;
  *string = at + 1;
  *length = n;
  return at + 1 + n;
}

const char *find_string(const char *text, size_t length, const char *key, size_t *found) {
  const char *at = text + 1, *end = text + length;
  if (length < 2 || *text != 'd') return NULL;
  while (at && at < end && *at != 'e') {
    const char *name, *value;
    size_t name_length, value_length;
    at = skip(at, end, &name, &name_length, 0);
    if (!at || !name) return NULL;
    int hit = name_length == strlen(key) && memcmp(name, key, name_length) == 0;
    at = skip(at, end, &value, &value_length, 0);
    if (hit && at && value) {
      *found = value_length;
      return value;
    }
  }
  return NULL;
}
