/* Routes of the cluster: who is there, as this node sees it, and what an operator tells it. */
#include "admin/inside.h"

static double age(uint64_t now, uint64_t then)
{
    return now > then ? (double)(now - then) / (double)NS_PER_S : 0;
}

bool cluster_picture(const struct admin *a, struct admin_cluster *out, struct err *e)
{
    *out = (struct admin_cluster){.n = 0};
    if (!a->host.cluster) {
        err_set(e, ERR_ABSENT, "alone");
        return false;
    }
    if (a->host.cluster(a->host.context, out, e))
        return false;
    CHECK(out->self < out->n);
    return true;
}

/* ---- what the coordinator tells of the members ---- */

/* Who votes, and which version of the configuration each runs; as far as this node knows. */
struct shared {
    struct admin_config config;
    struct admin_coordinator *coordinator;
    bool nomem;
};

static void shared_get(const struct admin *a, struct shared *s)
{
    const struct admin_host *h = &a->host;
    struct err e = {0};
    *s = (struct shared){.coordinator = mem_zero(1, sizeof *s->coordinator)};
    if (!config_picture(a, &s->config, &e))
        s->nomem = e.code == -ERR_NOMEM;
    s->nomem |= !s->coordinator;
    if (s->coordinator && h->coordinator)
        h->coordinator(h->context, s->coordinator, &e);
}

static void shared_free(struct shared *s)
{
    admin_config_free(&s->config);
    mem_free(s->coordinator);
}

/* Null: it is not known who votes. */
static json_t *voter_json(const struct shared *s, struct str name)
{
    const struct admin_coordinator *k = s->coordinator;
    bool votes = false;
    if (!k || !k->voters)
        return json_null();
    for (uint32_t i = 0; i < k->n_voters; i++)
        votes |= str_eq(str_of(k->voter[i]), name);
    return json_boolean(votes);
}

static void put_shared(struct json_object *o, const struct shared *s, struct str name)
{
    const struct admin_adoption *says = NULL;
    for (uint32_t i = 0; i < s->config.n_nodes; i++)
        if (str_eq(s->config.nodes[i].node, name) && s->config.nodes[i].told)
            says = &s->config.nodes[i];
    json_put(o, "voter", voter_json(s, name));
    json_put(o, "config_version", says ? json_integer((json_int_t)says->number) : json_null());
    json_put_text(o, "config_problem", says ? says->problem : "");
    o->bad |= s->nomem;
}

/* ---- as JSON ---- */

static json_t *names_json(const struct str *names, uint32_t n)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < n; i++)
        if (!json_push(list, json_text(names[i]))) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static json_t *observers_json(const struct admin_member *m, bool names)
{
    struct json_object o = json_begin();
    json_put_u64(&o, "count", m->info.observers);
    json_put_u64(&o, "hearing_count", m->info.hearing);
    json_put_u64(&o, "silent_count", m->info.silent);
    if (names) {
        json_put(&o, "hearing", names_json(m->hearing, m->n_hearing));
        json_put(&o, "silent", names_json(m->silent, m->n_silent));
    }
    return json_end(&o);
}

static void put_address(struct json_object *o, const struct admin_member *m)
{
    char address[ADDR_TEXT_MAX] = "";
    if (m->address.kind != ADDR_NONE)
        addr_format(&m->address, address);
    json_put_text(o, "address", address);
}

static json_t *member_json(const struct admin_member *m, const struct shared *s, uint64_t now,
                           bool names)
{
    const struct member_info *i = &m->info;
    struct json_object o = json_begin();
    json_put_str(&o, "name", m->name);
    put_address(&o, m);
    json_put_str(&o, "zone", m->zone);
    json_put_text(&o, "role", i->witness ? "witness" : "member");
    json_put_text(&o, "state", member_state_name((enum member_state)i->state));
    json_put_text(&o, "reason", member_reason_name((enum member_reason)i->reason));
    json_put_real(&o, "since_seconds", age(now, i->since));
    if (i->heard_at && !i->self)
        json_put_real(&o, "heard_ago_seconds", age(now, i->heard_at));
    else
        json_put(&o, "heard_ago_seconds", json_null());
    json_put_u64(&o, "incarnation", i->incarnation);
    json_put(&o, "rtt_us", i->rtt ? json_integer((json_int_t)(i->rtt / 1000)) : json_null());
    json_put_bool(&o, "maintenance", i->maintenance);
    json_put(&o, "observers", observers_json(m, names));
    put_shared(&o, s, m->name);
    return json_end(&o);
}

/* What a picture says of the whole. */
static void put_whole(struct json_object *o, const struct admin_cluster *k)
{
    uint64_t count[MEMBER_STATES] = {0};
    for (uint32_t i = 0; i < k->n; i++)
        count[MIN(k->members[i].info.state, (uint8_t)MEMBER_LEFT)]++;
    json_put_str(o, "cluster", k->name);
    json_put_str(o, "self", k->members[k->self].name);
    json_put_u64(o, "health", k->health);
    json_put_bool(o, "isolated", k->isolated);
    json_put_bool(o, "left", k->left);
    json_put_str(o, "explain", k->explain);
    struct json_object states = json_begin();
    for (unsigned s = 0; s < MEMBER_STATES; s++)
        json_put_u64(&states, member_state_name((enum member_state)s), count[s]);
    json_put(o, "states", json_end(&states));
}

static json_t *members_json(struct admin *a, const struct admin_cluster *k)
{
    struct shared s;
    shared_get(a, &s);
    struct json_object o = json_begin_schema("members");
    json_t *list = json_array();
    uint64_t now = loop_now(a->loop);
    put_whole(&o, k);
    for (uint32_t i = 0; i < k->n; i++)
        if (!json_push(list, member_json(&k->members[i], &s, now, true)))
            o.bad = true;
    shared_free(&s);
    json_put(&o, "members", list);
    return json_end(&o);
}

/* Of a status: those that are not alive first, so that the bound takes only what is well. */
json_t *cluster_json(struct admin *a)
{
    struct admin_cluster k;
    struct err e = {0};
    if (!cluster_picture(a, &k, &e)) {
        admin_cluster_free(&k);
        return e.code == -ERR_ABSENT ? json_null() : NULL;
    }
    struct shared s;
    struct json_object o = json_begin();
    json_t *list = json_array();
    uint64_t now = loop_now(a->loop);
    shared_get(a, &s);
    put_whole(&o, &k);
    for (int well = 0; well < 2; well++)
        for (uint32_t i = 0; i < k.n && json_array_size(list) < STATUS_MEMBERS_MAX; i++)
            if ((k.members[i].info.state == MEMBER_ALIVE) == well &&
                !json_push(list, member_json(&k.members[i], &s, now, false)))
                o.bad = true;
    shared_free(&s);
    json_put(&o, "members", list);
    admin_cluster_free(&k);
    return json_end(&o);
}

json_t *member_json_of(struct admin *a, struct str name)
{
    struct admin_cluster k;
    struct err e = {0};
    json_t *found = NULL;
    struct shared s;
    bool any = cluster_picture(a, &k, &e);
    shared_get(a, &s);
    for (uint32_t i = 0; any && !found && i < k.n; i++)
        if (str_eq(k.members[i].name, name))
            found = member_json(&k.members[i], &s, loop_now(a->loop), true);
    shared_free(&s);
    admin_cluster_free(&k);
    return found;
}

/* ---- the routes ---- */

/* False after an answer. */
static bool route_cluster(struct conn *c, struct admin_cluster *out)
{
    struct err e = {0};
    if (cluster_picture(c->admin, out, &e))
        return true;
    admin_cluster_free(out);
    if (e.code == -ERR_ABSENT)
        route_error(c, 404, "absent",
                    "this node is in no cluster: its configuration names no other node", NULL,
                    NULL);
    else
        route_error_of(c, &e);
    return false;
}

void answer_members(struct conn *c, const struct captures *m)
{
    struct admin_cluster k;
    (void)m;
    if (!route_cluster(c, &k))
        return;
    json_t *answer = members_json(c->admin, &k);
    admin_cluster_free(&k);
    conn_answer_json(c, 200, answer);
}

void answer_leave(struct conn *c, const struct captures *m)
{
    const struct admin_host *h = &c->admin->host;
    struct admin_cluster k;
    struct err e = {0};
    (void)m;
    if (!route_cluster(c, &k))
        return;
    if (k.members[k.self].info.state != MEMBER_LEFT && h->leave(h->context, &e)) {
        admin_cluster_free(&k);
        route_error_of(c, &e);
        return;
    }
    struct json_object o = json_begin_schema("leave");
    json_put_str(&o, "cluster", k.name);
    json_put_str(&o, "node", k.members[k.self].name);
    json_put_bool(&o, "left", k.left);
    admin_cluster_free(&k);
    conn_answer_json(c, 202, json_end(&o));
}

static const struct admin_member *find_member(struct conn *c, const struct admin_cluster *k,
                                              struct str name)
{
    if (name.n == 0)
        return &k->members[k->self];
    struct suggest near = suggest_for(name);
    for (uint32_t i = 0; i < k->n; i++) {
        if (str_eq(k->members[i].name, name))
            return &k->members[i];
        suggest_try(&near, k->members[i].name);
    }
    route_absent(c, &near, "node \"%.*s\" does not exist in cluster \"%.*s\"",
                 (int)MIN(name.n, 64u), name.p, (int)MIN(k->name.n, 64u), k->name.p);
    return NULL;
}

/* {"on": true, "node": "b"}; without a node, this one. A key that is not known may be a mistake for
 * one that is. */
static bool read_maintenance(const json_t *root, bool *on, struct str *node)
{
    const json_t *flag = json_object_get(root, "on"), *name = json_object_get(root, "node");
    if (!json_is_boolean(flag) || json_object_size(root) != 1u + (name != NULL))
        return false;
    *on = json_is_true(flag);
    *node = (struct str){json_string_value(name), json_string_length(name)};
    return !name || node->n;
}

static void set_maintenance(struct conn *c, const struct admin_cluster *k, bool on, struct str node)
{
    const struct admin_host *h = &c->admin->host;
    const struct admin_member *one = find_member(c, k, node);
    bool changed = false;
    struct err e = {0};
    if (!one)
        return;
    if (h->maintenance(h->context, one->name, on, &changed, &e)) {
        route_error_of(c, &e);
        return;
    }
    struct json_object o = json_begin_schema("maintenance");
    json_put_str(&o, "cluster", k->name);
    json_put_str(&o, "node", one->name);
    json_put_bool(&o, "maintenance", on);
    json_put_bool(&o, "changed", changed);
    conn_answer_json(c, 200, json_end(&o));
}

void answer_maintenance(struct conn *c, const struct captures *m)
{
    struct admin_cluster k;
    json_error_t why;
    bool on = false;
    struct str node = STR("");
    if (!route_cluster(c, &k))
        return;
    json_t *root = json_loadb(m->body.n ? m->body.p : "", m->body.n, JSON_REJECT_DUPLICATES, &why);
    if (read_maintenance(root, &on, &node))
        set_maintenance(c, &k, on, node);
    else
        route_error(c, 422, "invalid",
                    "the body is {\"on\": true} for this node, or {\"on\": true, \"node\": NAME}",
                    NULL, NULL);
    json_decref(root);
    admin_cluster_free(&k);
}
