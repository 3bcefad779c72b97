/* Routes of roles: who is the primary of each service that has one, how the others follow, and what
 * an operator wants of it. All of it is asked of control anew: nothing is kept here. */
#include "admin/inside.h"

bool role_picture(const struct admin *a, const struct view_service *s, struct admin_role *out)
{
    struct err e = {0};
    *out = (struct admin_role){.primary = ADMIN_NOBODY, .wanted = ADMIN_NOBODY};
    out->last.from = out->last.to = ADMIN_NOBODY;
    return a->host.role && a->host.role(a->host.context, s, out, &e) == 0;
}

struct str role_node_name(const struct view *v, const struct view_service *s, int place)
{
    if (place < 0 || (uint32_t)place >= s->primary.n_on)
        return STR("");
    return v->cluster.nodes[s->primary.on[place]].name;
}

static json_t *name_json(const struct view *v, const struct view_service *s, int place)
{
    struct str name = role_node_name(v, s, place);
    return name.n ? json_text(name) : json_null();
}

/* Of a time that may lie behind us. */
static uint64_t ms_left(uint64_t until, uint64_t now)
{
    return until > now ? (until - now) / NS_PER_MS : 0;
}

static json_t *candidate_json(const struct view *v, const struct view_service *s, int place,
                              const struct admin_role *r)
{
    const struct admin_role_node *n = &r->nodes[place];
    struct json_object o = json_begin();
    json_put(&o, "node", name_json(v, s, place));
    json_put_bool(&o, "self", s->primary.on[place] == v->cluster.self);
    json_put_bool(&o, "primary", place == r->primary);
    json_put_bool(&o, "heard", n->heard);
    json_put_bool(&o, "alive", n->alive);
    json_put_bool(&o, "maintenance", n->maintenance);
    json_put_text(&o, "instance", n->instance ? n->instance : "unknown");
    json_put_bool(&o, "well", n->well);
    json_put_bool(&o, "in_sync", n->insync);
    json_put_u64(&o, "position", n->position);
    json_put(&o, "lag_bytes", n->lag_known ? json_integer((json_int_t)n->lag_bytes) : json_null());
    if (n->lag_known)
        json_put_real(&o, "lag_seconds", (double)n->lag / (double)NS_PER_S);
    else
        json_put(&o, "lag_seconds", json_null());
    json_put_text(&o, "why_not", n->why_not);
    return json_end(&o);
}

static json_t *candidates_json(const struct view *v, const struct view_service *s,
                               const struct admin_role *r)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < s->primary.n_on; i++)
        if (!json_push(list, candidate_json(v, s, (int)i, r))) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static json_t *insync_json(const struct view *v, const struct view_service *s,
                           const struct admin_role *r)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < s->primary.n_on; i++)
        if (r->nodes[i].insync && !json_push(list, name_json(v, s, (int)i))) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static json_t *request_json(const struct admin_role_request *q)
{
    struct json_object o = json_begin();
    json_put_u64(&o, "number", q->number);
    json_put_text(&o, "what", q->number ? q->what : "none");
    json_put_text(&o, "state", q->number ? q->state : "none");
    json_put_text(&o, "text", q->text);
    return json_end(&o);
}

static json_t *last_json(const struct view *v, const struct view_service *s,
                         const struct admin_role_last *l)
{
    if (!l->epoch)
        return json_null();
    struct json_object o = json_begin();
    json_put_u64(&o, "epoch", l->epoch);
    json_put(&o, "from", name_json(v, s, l->from));
    json_put(&o, "to", name_json(v, s, l->to));
    json_put_bool(&o, "planned", l->planned);
    json_put(&o, "time", l->wall ? json_time(l->wall) : json_null());
    json_put(&o, "took_ms",
             l->took ? json_integer((json_int_t)(l->took / NS_PER_MS)) : json_null());
    json_put_text(&o, "why", l->why);
    return json_end(&o);
}

static void put_record(struct json_object *o, const struct view *v, const struct view_service *s,
                       const struct admin_role *r)
{
    json_put_bool(o, "recorded", r->recorded);
    json_put_u64(o, "epoch", r->epoch);
    json_put(o, "primary", name_json(v, s, r->primary));
    json_put_bool(o, "acts", r->acts);
    json_put(o, "wanted", name_json(v, s, r->wanted));
    json_put_bool(o, "paused", r->paused);
    json_put(o, "time", r->wall ? json_time(r->wall) : json_null());
    json_put_text(o, "who", r->who);
    json_put_text(o, "why", r->why);
}

json_t *role_json(const struct admin *a, const struct view *v, const struct view_service *s)
{
    struct admin_role r;
    const struct view_primary *p = &s->primary;
    bool known = role_picture(a, s, &r);
    uint64_t now = loop_now(a->loop);
    struct json_object o = json_begin();
    json_put_str(&o, "service", s->name);
    json_put_text(&o, "agent", view_agent_name(p->agent));
    json_put_u64(&o, "sync", p->sync);
    json_put_bool(&o, "strict", p->strict);
    json_put_bool(&o, "known", known);
    put_record(&o, v, s, &r);
    json_put_text(&o, "state",
                  r.state                              ? r.state
                  : view_place(s, v->cluster.self) < 0 ? "none"
                                                       : "unknown");
    json_put(&o, "lease_left_ms",
             r.lease_until ? json_integer((json_int_t)ms_left(r.lease_until, now)) : json_null());
    json_put_bool(&o, "held", r.hold_until > now);
    json_put_u64(&o, "acknowledgements", r.sync);
    json_put(&o, "in_sync", insync_json(v, s, &r));
    json_put_text(&o, "waits", r.waits);
    json_put_bool(&o, "coordinator", r.coordinator);
    json_put(&o, "candidates", candidates_json(v, s, &r));
    json_put(&o, "request", request_json(&r.request));
    json_put(&o, "last", last_json(v, s, &r.last));
    return json_end(&o);
}

/* All of the view, or one of them. */
static void tell(struct conn *c, unsigned status, const struct view_service *one)
{
    struct admin *a = c->admin;
    const struct view *v = a->host.view(a->host.context);
    struct json_object o = json_begin_schema("roles");
    json_t *list = json_array();
    json_put_text(&o, "node", a->host.node);
    for (uint32_t i = 0; i < v->n_services; i++) {
        const struct view_service *s = &v->services[i];
        if (view_is_primary(s) && (!one || s == one) && !json_push(list, role_json(a, v, s)))
            o.bad = true;
    }
    json_put(&o, "roles", list);
    conn_answer_json(c, status, json_end(&o));
}

void answer_roles(struct conn *c, const struct captures *m)
{
    (void)m;
    if (!c->admin->host.view(c->admin->host.context))
        route_error(c, 503, "busy", "the node is still starting", NULL, NULL);
    else
        tell(c, 200, NULL);
}

/* NULL after an answer. */
static const struct view_service *find(struct conn *c, const char *name)
{
    const struct view_service *s = route_service(c, name);
    struct suggest near;
    if (!s || view_is_primary(s))
        return s;
    const struct view *v = c->admin->host.view(c->admin->host.context);
    near = suggest_for(s->name);
    for (uint32_t i = 0; i < v->n_services; i++)
        if (view_is_primary(&v->services[i]))
            suggest_try(&near, v->services[i].name);
    route_absent(c, &near, "service \"%s\" has no primary: it has backends, no agent", name);
    return NULL;
}

void answer_role(struct conn *c, const struct captures *m)
{
    const struct view_service *s = find(c, m->name[0]);
    if (s)
        tell(c, 200, s);
}

/* The candidate that is named; false after an answer. */
static bool find_place(struct conn *c, const struct view_service *s, const char *node, int *place)
{
    const struct view *v = c->admin->host.view(c->admin->host.context);
    struct suggest near = suggest_for(str_of(node));
    for (uint32_t i = 0; i < s->primary.n_on; i++) {
        struct str name = role_node_name(v, s, (int)i);
        suggest_try(&near, name);
        if (!str_eq(name, str_of(node)))
            continue;
        *place = (int)i;
        return true;
    }
    route_absent(c, &near, "service \"" STR_FMT "\" does not run on node \"%.64s\"",
                 STR_ARG(s->name), node);
    return false;
}

static void carry_out(struct conn *c, const struct view_service *s, enum admin_role_ask what,
                      int to)
{
    const struct admin_host *h = &c->admin->host;
    struct err e = {0};
    if (!h->role_ask)
        route_error(c, 503, "busy", "this node knows nothing of roles yet", NULL, NULL);
    else if (h->role_ask(h->context, s, what, to, &e))
        route_error_of(c, &e);
    else
        tell(c, 202, s);
}

/* What may be asked, and what its body may hold: a node, and one flag. */
static const struct form {
    bool node;
    const char *flag; /* NULL: none */
    bool needed;      /* the flag is */
    const char *text;
} forms[ADMIN_ROLE_ASKS] = {
    [ADMIN_ROLE_SWITCH] = {true, NULL, false, "the body is {\"to\": NODE}, or nothing"},
    [ADMIN_ROLE_FORCE] = {true, "force", true,
                          "the body is {\"to\": NODE, \"force\": true}; \"to\" may be left out"},
    [ADMIN_ROLE_PAUSE] = {false, "on", true, "the body is {\"on\": true}, or false"},
};

/* False: it has other keys, or something else in them. */
static bool read_body(const json_t *root, const struct form *f, const char **to, bool *on)
{
    const json_t *node = f->node ? json_object_get(root, "to") : NULL;
    const json_t *flag = f->flag ? json_object_get(root, f->flag) : NULL;
    *to = json_string_value(node);
    *on = json_is_true(flag);
    return json_is_object(root) && json_object_size(root) == (node ? 1u : 0u) + (flag ? 1u : 0u) &&
           (!node || json_is_string(node)) && (!flag || json_is_boolean(flag)) &&
           (flag || !f->needed);
}

static void ask_for(struct conn *c, const struct captures *m, enum admin_role_ask what)
{
    json_error_t why;
    struct str body = m->body.n ? m->body : STR("{}");
    const struct view_service *s = find(c, m->name[0]);
    const char *to;
    bool on;
    int place = ADMIN_NOBODY;
    if (!s)
        return;
    json_t *root = json_loadb(body.p, body.n, JSON_REJECT_DUPLICATES, &why);
    if (!read_body(root, &forms[what], &to, &on))
        route_error(c, 422, "invalid", forms[what].text, NULL, NULL);
    else if (what == ADMIN_ROLE_FORCE && !on)
        route_error(c, 422, "invalid",
                    "a failover that is forced may lose writes: say \"force\": true, or ask for a "
                    "switchover",
                    NULL, NULL);
    else if (!to || find_place(c, s, to, &place))
        carry_out(c, s, what == ADMIN_ROLE_PAUSE && !on ? ADMIN_ROLE_GO_ON : what, place);
    json_decref(root);
}

void answer_role_switchover(struct conn *c, const struct captures *m)
{
    ask_for(c, m, ADMIN_ROLE_SWITCH);
}

void answer_role_failover(struct conn *c, const struct captures *m)
{
    ask_for(c, m, ADMIN_ROLE_FORCE);
}

void answer_role_maintenance(struct conn *c, const struct captures *m)
{
    ask_for(c, m, ADMIN_ROLE_PAUSE);
}

/* ---- in short, of a status ---- */

enum verdict role_verdict(const struct admin *a, const struct view_service *s)
{
    struct admin_role r;
    uint32_t bad = 0;
    if (!role_picture(a, s, &r) || !r.recorded)
        return VERDICT_SUSPECT;
    for (uint32_t i = 0; i < s->primary.n_on; i++)
        bad += !r.nodes[i].alive || (r.nodes[i].heard && !r.nodes[i].well);
    return !r.acts ? VERDICT_FAILED : bad ? VERDICT_DEGRADED : VERDICT_HEALTHY;
}

json_t *role_short_json(const struct admin *a, const struct view *v, const struct view_service *s)
{
    struct admin_role r;
    if (!view_is_primary(s))
        return json_null();
    bool known = role_picture(a, s, &r);
    uint64_t insync = 0;
    for (uint32_t i = 0; i < s->primary.n_on; i++)
        insync += r.nodes[i].insync;
    struct json_object o = json_begin();
    json_put_text(&o, "agent", view_agent_name(s->primary.agent));
    json_put_bool(&o, "known", known);
    put_record(&o, v, s, &r);
    json_put_u64(&o, "candidates", s->primary.n_on);
    json_put_u64(&o, "in_sync", insync);
    json_put_text(&o, "waits", r.waits);
    return json_end(&o);
}
