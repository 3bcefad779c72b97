/* How a service's backends are checked, retried, ejected, limited and kept to: the blocks whose
 * settings the table reads, and the few rules between settings that it cannot say. */
#include "conf/policies.h"
#include "conf/settings.h"

#define MS 1000000ull

/* Settings that only an HTTP check has. */
static void refuse_http_settings(struct conf *c, const struct seen *seen)
{
    static const char *const keys[] = {"status", "body", "host"};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const struct node *n = settings_seen(seen, BLOCK_CHECK, keys[i]);
        if (n)
            conf_complain(c, &n->place, "add 'http = /PATH'", "%s is for HTTP checks only",
                          keys[i]);
    }
}

static void check_times(struct conf *c, const struct seen *seen, struct view_check *k)
{
    const struct node *fast = settings_seen(seen, BLOCK_CHECK, "fast");
    const struct node *timeout = settings_seen(seen, BLOCK_CHECK, "timeout");
    if (!k->fast_interval)
        k->fast_interval = MIN(MAX(k->interval / 5, 50 * MS), k->interval);
    else if (k->fast_interval > k->interval && fast)
        conf_complain(c, &fast->place, "", "fast is longer than every");
    if (!k->timeout)
        k->timeout = MIN(k->interval, 1000 * MS);
    else if (k->timeout > k->interval && timeout)
        conf_warn(c, &timeout->place, "",
                  "timeout is longer than every: checks of a backend that hangs come late");
}

static bool is_secret(const struct seen *seen, const char *key)
{
    const struct node *n = settings_seen(seen, BLOCK_CHECK, key);
    return n && n->value && n->value->secret;
}

static void check_kind(struct conf *c, const struct seen *seen, struct view_check *k)
{
    const struct node *http = settings_seen(seen, BLOCK_CHECK, "http");
    const struct node *tcp_at = settings_seen(seen, BLOCK_CHECK, "tcp");
    const struct node *none_at = settings_seen(seen, BLOCK_CHECK, "none");
    bool tcp = settings_flag(c, tcp_at), none = settings_flag(c, none_at);
    if ((http != NULL) + tcp + none > 1)
        conf_complain(c, http ? &http->place : &tcp_at->place, "",
                      "a check is one of http, tcp and none");
    k->kind = none ? CHECK_NONE : http ? CHECK_HTTP : CHECK_TCP;
    if (!http && !none)
        refuse_http_settings(c, seen);
    k->secret = is_secret(seen, "http") || is_secret(seen, "host") || is_secret(seen, "body");
}

/* A UDP service's instances need not listen to TCP as well. */
static void no_check_for_udp(const struct view_service *s, const struct node *n,
                             struct view_check *k)
{
    if (s->mode == VIEW_UDP && !n)
        k->kind = CHECK_NONE;
}

static void build_check(struct conf *c, const struct node *n, struct view_check *k)
{
    struct seen seen;
    settings_apply(c, BLOCK_CHECK, n ? n->children : NULL, k, &seen);
    check_kind(c, &seen, k);
    check_times(c, &seen, k);
    if (!n || !n->value || n->value->bad)
        return;
    if (str_eq(n->value->text, STR("none")) || str_eq(n->value->text, STR("off")))
        k->kind = CHECK_NONE;
    else
        conf_complain(c, &n->value->place, "write 'check { ... }' or 'check = none'",
                      "check is a block");
}

static void check_eject(struct conf *c, const struct seen *seen, const struct view_eject *e)
{
    const struct node *hold = settings_seen(seen, BLOCK_EJECT, "hold");
    const struct node *most = settings_seen(seen, BLOCK_EJECT, "hold-max");
    const struct node *slow = settings_seen(seen, BLOCK_EJECT, "slow");
    if (e->hold > e->hold_max && (hold || most))
        conf_complain(c, hold ? &hold->place : &most->place, "", "hold is longer than hold-max");
    if (slow && e->slow_permille && e->slow_permille < 1500)
        conf_complain(c, &slow->place, "300% is three times the median; 0% is never",
                      "slow is at least 150%%: half of the backends are always above the median");
}

static void check_sticky(struct conf *c, const struct node *n, const struct seen *seen,
                         struct view_sticky *k)
{
    const struct node *ttl = settings_seen(seen, BLOCK_STICKY, "ttl");
    const struct node *secure = settings_seen(seen, BLOCK_STICKY, "secure");
    if (!settings_seen(seen, BLOCK_STICKY, "mode"))
        k->kind = STICKY_INSERT;
    if (k->kind != STICKY_OFF && !settings_seen(seen, BLOCK_STICKY, "cookie") && !n->damaged)
        conf_complain(c, &n->place, "add 'cookie = SRV'", "sticky needs the name of a cookie");
    if (k->kind != STICKY_LEARN)
        return;
    if (!ttl)
        k->ttl = 3600 * 1000 * MS;
    else if (!k->ttl)
        conf_complain(c, &ttl->place, "ttl = 1h", "what is learnt must be forgotten some time");
    if (secure && k->secure)
        conf_complain(c, &secure->place, "", "secure is for mode = insert only");
}

void policies_build(struct conf *c, const struct node *service, struct view_service *s)
{
    for (int i = BLOCK_CHECK; i <= BLOCK_STICKY; i++) {
        struct seen seen;
        const struct node *n = settings_block(c, service, (enum block_id)i);
        void *target = (char *)s + schema_block((enum block_id)i)->offset;
        if (i == BLOCK_CHECK) {
            build_check(c, n, target);
            no_check_for_udp(s, n, target);
            continue;
        }
        settings_apply(c, (enum block_id)i, n ? n->children : NULL, target, &seen);
        if (i == BLOCK_EJECT)
            check_eject(c, &seen, target);
        if (i == BLOCK_STICKY && n)
            check_sticky(c, n, &seen, target);
    }
}
