/* http1_field: the fields that a proxy must understand: their names and what is done with them. */
#ifndef HF_HTTP1_FIELD_H
#define HF_HTTP1_FIELD_H

#include "wire/http1.h"

#define FIELD_BIT(field) (1u << (field))

/* By length and lower-cased bytes; the name is a token. */
enum http_field http1_field_of(struct str name);

/* These end at the next hop whether Connection names them or not.
 *
 * Proxy-Authorization and Proxy-Authenticate end here: this is a gateway, it asks nobody for proxy
 * credentials and must not show an instance those that were meant for another proxy (RFC 9110,
 * 11.7). */
enum {
    HTTP1_HOP_FIELDS = FIELD_BIT(HTTP_FIELD_CONNECTION) | FIELD_BIT(HTTP_FIELD_KEEP_ALIVE) |
                       FIELD_BIT(HTTP_FIELD_PROXY_CONNECTION) |
                       FIELD_BIT(HTTP_FIELD_TRANSFER_ENCODING) | FIELD_BIT(HTTP_FIELD_TE) |
                       FIELD_BIT(HTTP_FIELD_UPGRADE) | FIELD_BIT(HTTP_FIELD_PROXY_AUTHORIZATION) |
                       FIELD_BIT(HTTP_FIELD_PROXY_AUTHENTICATE),
    /* Those of which http1_field_meaning has something to say. */
    HTTP1_MEANT_FIELDS = FIELD_BIT(HTTP_FIELD_CONTENT_LENGTH) |
                         FIELD_BIT(HTTP_FIELD_TRANSFER_ENCODING) |
                         FIELD_BIT(HTTP_FIELD_CONNECTION) | FIELD_BIT(HTTP_FIELD_UPGRADE) |
                         FIELD_BIT(HTTP_FIELD_HOST) | FIELD_BIT(HTTP_FIELD_TE) |
                         FIELD_BIT(HTTP_FIELD_EXPECT) | FIELD_BIT(HTTP_FIELD_MAX_FORWARDS),
};

/* False when a trailer section may not have the field (RFC 9110, 6.5.1): it frames, routes,
 * authenticates, or tells how content is to be read. The name is lower-cased. */
bool http1_trailer_allowed(struct str name);

/* The next element of a comma-separated list, blanks and empty elements left out; false at its end.
 * Not for lists whose elements may hold quoted commas. */
bool http1_list_next(struct str *rest, struct str *item);

bool http1_is_token(struct str s);

#endif
