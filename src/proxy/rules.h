/* rules: a view's header edits, made ready for the writers of heads. Pure.
 *
 * An edit whose value has placeholders is filled in for each request, into the exchange's arena;
 * the others are used as they are. */
#ifndef HF_PROXY_RULES_H
#define HF_PROXY_RULES_H

#include "balance/quantile.h"
#include "proxy/route.h"

struct rates;

/* Of a service or of one of its routes. */
struct rules {
    const struct view_rules *conf;
    struct http_edits request, response;  /* owned */
    bool expand_request, expand_response; /* some value has a placeholder */
    struct quantile slow;                 /* of the answers: for conf->hedge_permille */
    const struct rates *rates;            /* common.h: those of conf->rates; the service's */
};

/* conf stays the caller's and must outlive the rules. ERR_PROTO when an edit may not be done. */
int rules_open(struct rules *r, const struct view_rules *conf, struct err *e);
/* conf is of a newer view and says the same: from here on nothing points into the older one. */
void rules_move(struct rules *r, const struct view_rules *conf);
/* Zeroed rules are allowed. */
void rules_close(struct rules *r);

/* The edits for one request. False: memory is out. */
bool rules_request(const struct rules *r, const struct route_values *v, struct arena *arena,
                   struct http_edits *out);
bool rules_response(const struct rules *r, const struct route_values *v, struct arena *arena,
                    struct http_edits *out);

#endif
