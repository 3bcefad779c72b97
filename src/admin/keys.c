/* Routes of the cluster's keys: a token for a machine that joins, and their rotation. A secret
 * passes here only as the token that was asked for. */
#include "admin/inside.h"

#include <stdio.h>

enum { TTL_DEFAULT = 600, TTL_MAX = 7 * 24 * 3600 /* seconds */ };

/* --- tokens --- */

struct asked {
    uint64_t ttl;
    struct str node;
};

/* {"ttl_seconds": N, "node": NAME}, both or either left out; a key that is not known is refused,
 * since it may be a mistake. */
static bool read_asked(const json_t *root, struct asked *out)
{
    const json_t *ttl = json_object_get(root, "ttl_seconds");
    const json_t *node = json_object_get(root, "node");
    size_t known = (ttl ? 1u : 0u) + (node ? 1u : 0u);
    *out = (struct asked){TTL_DEFAULT, STR("")};
    if (!json_is_object(root) || json_object_size(root) != known)
        return false;
    if (ttl &&
        (!json_is_integer(ttl) || json_integer_value(ttl) < 1 || json_integer_value(ttl) > TTL_MAX))
        return false;
    if (ttl)
        out->ttl = (uint64_t)json_integer_value(ttl);
    if (node && !json_is_string(node))
        return false;
    if (node)
        out->node = (struct str){json_string_value(node), json_string_length(node)};
    return true;
}

static json_t *ticket_json(const struct admin_ticket *t, const struct asked *asked)
{
    struct json_object o = json_begin_schema("token");
    char at[ADDR_TEXT_MAX], id[24];
    addr_format(&t->at, at);
    snprintf(id, sizeof id, "%016llx", (unsigned long long)t->id);
    json_put_text(&o, "id", id);
    json_put_str(&o, "cluster", t->cluster);
    json_put_text(&o, "address", at);
    json_put(&o, "node", asked->node.n ? json_text(asked->node) : json_null());
    json_put_u64(&o, "ttl_seconds", asked->ttl);
    json_put(&o, "expires", json_time(t->expires_at));
    json_put_str(&o, "token", buf_str(&t->text));
    return json_end(&o);
}

static void make_ticket(struct conn *c, const struct asked *asked)
{
    struct admin_ticket t = {.id = 0};
    struct err e = {0};
    const struct admin_host *h = &c->admin->host;
    if (h->ticket(h->context, asked->node, asked->ttl * NS_PER_S, &t, &e))
        route_error_of(c, &e);
    else
        conn_answer_json(c, 201, ticket_json(&t, asked));
    if (t.text.p)
        wipe(t.text.p, t.text.cap);
    buf_free(&t.text);
}

void answer_token(struct conn *c, const struct captures *m)
{
    struct asked asked;
    json_error_t why;
    struct str body = m->body.n ? m->body : STR("{}");
    json_t *root = json_loadb(body.p, body.n, JSON_REJECT_DUPLICATES, &why);
    if (read_asked(root, &asked))
        make_ticket(c, &asked);
    else
        route_error(c, 422, "invalid",
                    "the body is {\"ttl_seconds\": 1 to 604800, \"node\": NAME}, or without "
                    "either",
                    NULL, NULL);
    json_decref(root);
}

/* --- keys --- */

static json_t *key_json(uint32_t id, bool use)
{
    struct json_object o = json_begin();
    char text[16];
    snprintf(text, sizeof text, "%08x", id);
    json_put_text(&o, "id", text);
    json_put_text(&o, "state", use ? "use" : "accept");
    return json_end(&o);
}

static json_t *node_json(struct str name, bool done)
{
    struct json_object o = json_begin();
    json_put_str(&o, "name", name);
    json_put_bool(&o, "done", done);
    return json_end(&o);
}

static json_t *rotation_json(const struct admin_keys *k)
{
    struct json_object o = json_begin();
    json_t *nodes = json_array();
    char number[24], key[16];
    for (uint32_t i = 0; i < k->n_nodes; i++)
        if (!json_push(nodes, node_json(k->nodes[i].name, k->nodes[i].done)))
            o.bad = true;
    snprintf(number, sizeof number, "%016llx", (unsigned long long)k->number);
    snprintf(key, sizeof key, "%08x", k->key);
    json_put_text(&o, "number", number);
    json_put_text(&o, "state", k->state);
    json_put_text(&o, "step", k->step);
    json_put_text(&o, "key", key);
    json_put_bool(&o, "force", k->force);
    json_put_text(&o, "text", k->text);
    json_put(&o, "nodes", nodes);
    return json_end(&o);
}

static json_t *keys_json(const struct admin_keys *k)
{
    struct json_object o = json_begin_schema("keys");
    json_t *keys = json_array();
    for (uint32_t i = 0; i < k->n; i++)
        if (!json_push(keys, key_json(k->keys[i].id, k->keys[i].use)))
            o.bad = true;
    json_put_str(&o, "file", k->file);
    json_put(&o, "keys", keys);
    json_put(&o, "rotation", k->number ? rotation_json(k) : json_null());
    return json_end(&o);
}

static void tell_keys(struct conn *c, unsigned status)
{
    struct err e = {0};
    const struct admin_host *h = &c->admin->host;
    struct admin_keys *k = mem_zero(1, sizeof *k);
    if (!k)
        conn_answer_json(c, 500, NULL);
    else if (h->keys(h->context, k, &e))
        route_error_of(c, &e);
    else
        conn_answer_json(c, status, keys_json(k));
    mem_free(k);
}

void answer_keys(struct conn *c, const struct captures *m)
{
    (void)m;
    tell_keys(c, 200);
}

void answer_rotate(struct conn *c, const struct captures *m)
{
    struct err e = {0};
    const struct admin_host *h = &c->admin->host;
    bool force = str_eq(m->query, STR("force=1"));
    if (m->query.n && !force && !str_eq(m->query, STR("force=0")))
        route_error(c, 400, "malformed", "force is 0 or 1", NULL, NULL);
    else if (h->rotate(h->context, force, &e))
        route_error_of(c, &e);
    else
        tell_keys(c, 202);
}
