/* http1_inside: what the parts of the head parser share. Each returns REFUSE_NONE or the reason.
 *
 * A head goes through them in this order:
 *   http1_scan        whole, and free of bytes that no head may hold
 *   first line        http1_request.c with http1_target.c, or http1_response.c
 *   http1_fields      names, values, and the meaning of each field that is known
 *   http1_settle      what several fields mean together: framing, connection options */
#ifndef HF_HTTP1_INSIDE_H
#define HF_HTTP1_INSIDE_H

#include "wire/http1_refuse.h"

/* What the fields said, beside what goes into struct http_head at once. */
struct http1_facts {
    bool request;
    bool close, persist, upgrade; /* options of Connection */
    bool nominates;               /* Connection names something else */
    uint32_t options;             /* how many there were */
    bool upgrade_refused;         /* Upgrade names what is never tunnelled */
};

/* All of the head but the fields, for parsers to fill in. */
void http1_head_clear(struct http_head *h);

/* "HTTP/1.x" at *p: steps behind it. */
enum http1_refuse http1_version(const char **p, const char *end, struct http_head *h);

/* The field section [p, end), its empty line included. `whole` ends the readable bytes. */
enum http1_refuse http1_fields(const char *p, const char *end, const char *whole, uint32_t max,
                               struct http_head *h, struct http1_facts *f);

/* One field's own meaning (http1_meaning.c). */
enum http1_refuse http1_field_meaning(enum http_field field, struct str value, struct http_head *h,
                                      struct http1_facts *f);
/* All fields together. */
enum http1_refuse http1_settle(struct http_head *h, const struct http1_facts *f);

/* uri-host [ ":" port ] (RFC 9110, 7.2; RFC 3986, 3.2.2). */
bool http1_authority_valid(struct str s, bool port_required);
/* The form of h->target: sets path, and host for the absolute and the authority form. */
enum http1_refuse http1_target(struct http_head *h);

#endif
