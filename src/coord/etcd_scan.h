/* etcd_scan: reads JSON in place: no copy, no tree, no allocation.
 *
 * jansson is not used for what etcd answers: when memory runs out while it reads a long string, it
 * drops a character and goes on (2.14, lex_save ignores strbuffer_append_byte's failure), so that a
 * revision may come out as another number. Here a text is checked once, as a whole, and then walked
 * over; values are views of it.
 *
 * Stricter readers exist: numbers are any of their characters, and text need not be UTF-8. Whoever
 * uses a value checks it for what it must be. Source: RFC 8259. */
#ifndef HF_COORD_ETCD_SCAN_H
#define HF_COORD_ETCD_SCAN_H

#include "base/base.h"

enum { SCAN_DEPTH = 32 };

/* Whether text is one JSON value, or begins with one if `more` may follow. out: that value. */
bool scan_value(struct str text, bool more, struct str *out);

/* The rest is for values that scan_value has accepted, and what comes out of them. */

/* The value of a member, the last one of that name; .p is NULL: there is none, or it is no
 * object. */
struct str scan_get(struct str object, const char *name);
bool scan_is_object(struct str value);
bool scan_is_array(struct str value);
/* Walks over an array: *at begins as {NULL, 0}. False: that was all. */
bool scan_next(struct str array, struct str *at);
uint32_t scan_count(struct str array);
bool scan_is_true(struct str value);
/* A string's characters as they stand, escapes included. False: it is no string. */
bool scan_string(struct str value, struct str *out);
/* For people's eyes: one line of ASCII, cut to fit; other characters become "?". */
void scan_text(struct str value, char *out, size_t size);

#endif
