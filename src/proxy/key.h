/* key: what a request is placed by (view_hash), as 64 bits. Pure.
 *
 * A request without the header, cookie or parameter is placed by its client's address, so that it
 * has a place at all. The bits depend on the key alone: every worker, node and restart places it
 * alike. */
#ifndef HF_PROXY_KEY_H
#define HF_PROXY_KEY_H

#include "view/view.h"
#include "wire/http1.h"

/* Of a client's address, without its port. */
uint64_t key_of_source(const uint8_t *ip, size_t n);
/* h may be NULL: only the address is known. */
uint64_t key_of(const struct view_hash *by, const struct http_head *h, const uint8_t *ip, size_t n);
/* What of the request it names; .p is NULL when the request has none. */
struct str key_text(const struct view_hash *by, const struct http_head *h);
/* The value of the first "name=value" or "name" among parts divided by `separator`; false when
 * there is none. */
bool key_part(struct str list, char separator, struct str name, struct str *value);
/* Of an instance: the same whatever its place in the configuration. Never 0. */
uint64_t key_of_instance(struct str service, struct str instance);

#endif
