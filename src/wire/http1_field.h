/* http1_field: the fields that a proxy must understand: their names and what is done with them. */
#ifndef HF_HTTP1_FIELD_H
#define HF_HTTP1_FIELD_H

#include "wire/http1.h"

#define FIELD_BIT(field) (1u << (field))

/* By length and lower-cased bytes; the name is a token. */
enum http_field http1_field_of(struct str name);
/* Ends at the next hop whether Connection names it or not. */
bool http1_field_hop(enum http_field f);

/* False when a trailer section may not have the field (RFC 9110, 6.5.1): it frames, routes,
 * authenticates, or tells how content is to be read. The name is lower-cased. */
bool http1_trailer_allowed(struct str name);

/* The next element of a comma-separated list, blanks and empty elements left out; false at its end.
 * Not for lists whose elements may hold quoted commas. */
bool http1_list_next(struct str *rest, struct str *item);

bool http1_is_token(struct str s);

#endif
