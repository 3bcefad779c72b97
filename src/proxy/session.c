/* session: sticky sessions (balance/sticky.h).
 *
 * Insert: an answer sets our cookie, unless the client's request had the one that names the
 * instance which answered. The client's cookie is passed on as it came. Learn: the instance's
 * Set-Cookie is looked at; when the instance of a session is gone and another answers, the session
 * is its from then on.
 *
 * The tokens of instances follow from their names alone, so that every worker, node and restart
 * reads them alike; they hide names and addresses from whoever looks, not from who guesses. */
#include "proxy/internal.h"

static const struct sip_key token_key = {
    {UINT64_C(0x686f6c6466617374), UINT64_C(0x737469636b792031)}};

int session_members_open(struct service *s, struct err *e)
{
    if (s->conf->sticky.kind == STICKY_OFF)
        return 0;
    for (uint32_t i = 0; i < s->pool.n; i++)
        s->pool.members[i].key = key_of_instance(s->conf->name, s->conf->instances[i].name);
    return sticky_members_open(&s->sessions, &token_key, &s->pool, e);
}

static uint64_t hash(const struct exchange *x, struct str value)
{
    return sip_pair(&x->client->worker->secret, STR("session"), value);
}

static struct sticky_table *table(const struct exchange *x)
{
    return shared_sessions(x->service->common->sessions);
}

void session_look(struct exchange *x, const struct http_head *h)
{
    const struct view_sticky *conf = &x->service->conf->sticky;
    const struct view_hash by = {.kind = HASH_COOKIE, .name = conf->cookie};
    struct str value = conf->kind == STICKY_OFF ? (struct str){NULL, 0} : key_text(&by, h);
    if (!value.p)
        return;
    if (conf->kind == STICKY_INSERT) {
        x->token = sticky_read(value);
        return;
    }
    x->session = hash(x, value);
    x->token = sticky_find(table(x), x->session, x->started_at);
}

int session_pick(struct exchange *x)
{
    struct service *s = x->service;
    if (!x->token)
        return PICK_NOBODY;
    int member = sticky_member(&s->sessions, x->token);
    int picked = member < 0 ? PICK_NOBODY : service_pick_sticky(s, &x->tried, (uint32_t)member);
    if (picked != PICK_FULL)
        cell_add(picked < 0 ? &s->row->unstuck : &s->row->stuck, 1);
    return picked;
}

static void learn(struct exchange *x, const struct http_head *h, uint64_t token)
{
    struct str value;
    uint64_t now = loop_now(x->client->worker->loop);
    if (set_cookie_find(h, x->service->conf->sticky.cookie, &value) && value.n)
        sticky_learn(table(x), hash(x, value), token, now);
    else if (x->token && x->token != token)
        sticky_learn(table(x), x->session, token, now); /* it has moved */
}

/* Into the exchange's arena; false: memory is out, and the client stays without. */
static bool write_cookie(struct exchange *x, uint64_t token, struct http_edit *edit)
{
    enum { ATTRIBUTES = 128 }; /* bytes, at most */
    const struct view_sticky *conf = &x->service->conf->sticky;
    char digits[STICKY_TOKEN_SIZE];
    sticky_write(token, digits);
    const struct set_cookie c = {
        .name = conf->cookie,
        .value = {digits, sizeof digits},
        .path = STR("/"),
        .max_age = conf->ttl ? (int64_t)MAX(conf->ttl / NS_PER_S, 1) : -1,
        .http_only = true,
        .secure = conf->secure,
        .same_site = COOKIE_SAME_SITE_LAX,
    };
    size_t room = conf->cookie.n + sizeof digits + ATTRIBUTES;
    char *text = arena_alloc(&x->arena, room);
    size_t n = text ? set_cookie_write(&c, text, room) : 0;
    *edit = (struct http_edit){HTTP_EDIT_ADD, STR("Set-Cookie"), {text, n}};
    return n > 0;
}

uint8_t session_mark(struct exchange *x, const struct http_head *h)
{
    struct service *s = x->service;
    if (s->conf->sticky.kind == STICKY_OFF)
        return x->n_rules;
    uint64_t token = sticky_token(&token_key, s->pool.members[x->member].key);
    if (s->conf->sticky.kind == STICKY_LEARN) {
        learn(x, h, token);
        return x->n_rules;
    }
    struct http_edit *edit = token == x->token ? NULL : arena_array(&x->arena, 1, sizeof *edit);
    if (!edit || !write_cookie(x, token, edit))
        return x->n_rules;
    CHECK(x->n_rules < ARRAY_LEN(x->edits));
    x->edits[x->n_rules] = (struct http_edits){edit, 1};
    return (uint8_t)(x->n_rules + 1);
}
