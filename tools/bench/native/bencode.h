/* Enough of bencode to write ng requests and to find members of a reply. */
#pragma once
#include <stddef.h>

typedef struct {
  char *at, *end;
} Writer;

/* All of them stop writing, and never write beyond `end`, when the room is used up. */
void put_raw(Writer *w, const char *text);
void put_string(Writer *w, const char *text);
void put_member(Writer *w, const char *key, const char *value);

/* The string member `key` of the dictionary `text`; NULL when there is none or the text is no dictionary. */
const char *find_string(const char *text, size_t length, const char *key, size_t *found);
