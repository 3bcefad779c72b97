/* throttle: requests above a rate are answered 429 (RFC 6585) at once.
 *
 * The answer says when to come again (Retry-After, RFC 9110), and what the limit is and what of it
 * is left (RateLimit-Policy and RateLimit, draft-ietf-httpapi-ratelimit-headers-10). Limits hold
 * for each value of what they are `per`: a client's address (of IPv6 its /64, since that is what a
 * customer has), a header field, a cookie, a parameter, a path. A request that has no such value
 * counts for its client's address, so that leaving it out is no way round. */
#include <inttypes.h>
#include <stdio.h>

#include "proxy/internal.h"

static struct str source(const struct peer *p)
{
    size_t n = p->kind == ADDR_IP6 ? 8 : p->kind == ADDR_IP4 ? 4 : 0;
    return (struct str){(const char *)p->ip, n};
}

/* Kinds are apart: an address is not a cookie that has its bytes. */
static uint64_t bucket_of(const struct exchange *x, const struct http_head *h,
                          const struct view_hash *per)
{
    const struct client *c = x->client;
    if (per->kind == HASH_NONE)
        return 1;
    struct str value = key_text(per, h);
    return value.p ? sip_pair(&c->worker->secret, STR("value"), value)
                   : sip_pair(&c->worker->secret, STR("source"), source(&c->peer));
}

static const char *name_of(uint8_t kind)
{
    switch ((enum hash_kind)kind) {
    case HASH_SOURCE: return "address";
    case HASH_HEADER: return "header";
    case HASH_COOKIE: return "cookie";
    case HASH_PATH: return "path";
    case HASH_QUERY: return "query";
    case HASH_NONE:
    case HASH_KINDS: break;
    }
    return "all";
}

static uint64_t seconds(uint64_t ns)
{
    return ns / NS_PER_S + (ns % NS_PER_S > 0);
}

/* `wait` ns until the next one may pass; a window is told where it is whole seconds. */
static void tell(struct throttle *t, const struct view_rate *r, uint64_t wait)
{
    const char *name = name_of(r->per.kind);
    int n = snprintf(t->policy, sizeof t->policy, "\"%s\";q=%" PRIu32, name, r->requests);
    if (r->every % NS_PER_S == 0)
        snprintf(t->policy + n, sizeof t->policy - (size_t)n, ";w=%" PRIu64, seconds(r->every));
    snprintf(t->left, sizeof t->left, "\"%s\";r=0;t=%" PRIu64, name, seconds(wait));
    snprintf(t->after, sizeof t->after, "%" PRIu64, seconds(wait));
    t->fields[0] = (struct http_edit){HTTP_EDIT_SET, STR("Retry-After"), str_of(t->after)};
    t->fields[1] = (struct http_edit){HTTP_EDIT_SET, STR("RateLimit-Policy"), str_of(t->policy)};
    t->fields[2] = (struct http_edit){HTTP_EDIT_SET, STR("RateLimit"), str_of(t->left)};
    t->extra = (struct http_edits){t->fields, ARRAY_LEN(t->fields)};
}

static bool refused_by(struct exchange *x, const struct http_head *h, const struct rules *rules,
                       struct throttle *t)
{
    uint64_t now = loop_now(x->client->worker->loop);
    for (uint32_t i = 0; i < rules->rates->n; i++) {
        const struct view_rate *r = &rules->conf->rates[i];
        uint64_t key = bucket_of(x, h, &r->per);
        uint64_t wait = rate_take(shared_rate(rules->rates->list[i]), key, now, NULL);
        if (wait == 0)
            continue;
        tell(t, r, wait);
        return true;
    }
    return false;
}

bool throttled(struct exchange *x, const struct http_head *h, struct throttle *t)
{
    for (uint32_t i = 0; i < x->n_rules; i++)
        if (refused_by(x, h, x->rules[i], t))
            return true;
    return false;
}
