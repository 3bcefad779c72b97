/* What a view promises of its instances, and of what gives them. */
#include "view/verify.h"

static bool like_valid(const struct view_instance *n)
{
    return n->weight <= VIEW_MAX_WEIGHT && n->own_weight <= VIEW_MAX_WEIGHT &&
           n->priority < POOL_GROUPS && n->origin < ORIGINS;
}

static bool instance_valid(const struct view_instance *n)
{
    bool sourced = n->origin == ORIGIN_DNS || n->origin == ORIGIN_DROPIN;
    return n->name.n && verify_addr(&n->addr) && like_valid(n) && n->slot < VIEW_MAX_SLOTS &&
           sourced == (n->source.n > 0);
}

enum { FEW = 24 };

/* For few instances cheaper than a table: a view may have thousands of such services. */
static bool named_before(const struct view_service *s, uint32_t at)
{
    for (uint32_t i = 0; i < at; i++)
        if (str_eq(s->instances[i].name, s->instances[at].name))
            return true;
    return false;
}

int verify_instances(const struct view_service *s, struct err *e)
{
    struct map names = {0};
    int rc = 0;
    bool few = s->n_instances <= FEW;
    for (uint32_t i = 0; i < s->n_instances && !rc; i++) {
        const struct view_instance *n = &s->instances[i];
        if (!instance_valid(n))
            rc = verify_bad(e, s->name, "an invalid instance");
        else if (few && named_before(s, i))
            rc = verify_bad(e, s->name, "two instances of one name");
        else if (!few)
            rc = verify_unique(&names, n->name, s->name, "two instances of one name", e);
    }
    map_free(&names);
    return rc;
}

static bool source_valid(const struct view_source *n)
{
    if (n->kind >= SOURCE_KINDS || n->name.n == 0 || !like_valid(&n->like))
        return false;
    return (n->kind == SOURCE_HOST) == (n->port != 0) &&
           (n->kind != SOURCE_DIR || n->name.p[0] == '/');
}

int verify_sources(const struct view_service *s, struct err *e)
{
    if (s->n_sources > VIEW_MAX_SOURCES)
        return verify_bad(e, s->name, "too many sources");
    for (uint32_t i = 0; i < s->n_sources; i++)
        if (!source_valid(&s->sources[i]))
            return verify_bad(e, s->name, "an invalid source of instances");
    return 0;
}

int verify_resolver(const struct view_resolver *r, struct err *e)
{
    if (r->n_servers > VIEW_MAX_NAMESERVERS || r->timeout > VIEW_MAX_DURATION ||
        r->ttl_most > VIEW_MAX_DURATION || r->ttl_least > r->ttl_most)
        return verify_bad(e, STR(""), "an invalid resolver");
    for (uint32_t i = 0; i < r->n_servers; i++)
        if (!verify_addr(&r->servers[i]) || r->servers[i].kind == ADDR_UNIX)
            return verify_bad(e, STR(""), "an invalid name server");
    return 0;
}

int verify_audit(const struct view_audit *a, struct err *e)
{
    if (a->keep > VIEW_MAX_DURATION || a->size > UINT64_C(1) << 30 || a->rows > 10000000)
        return verify_bad(e, STR(""), "an invalid bound of the audit");
    return 0;
}
