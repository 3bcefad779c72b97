/* The routes: a table of paths and what answers them. */
#include "admin/inside.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>

struct route {
    bool write; /* POST; else GET and HEAD */
    const char *path;
    void (*answer)(struct conn *c, const struct captures *m);
    uint32_t right; /* RIGHT_* that a token needs for it */
    uint8_t method; /* HTTP_PUT or HTTP_DELETE; 0: as write says */
};

void route_error(struct conn *c, unsigned status, const char *code, const char *text,
                 json_t *suggestions, json_t *problems)
{
    struct json_object error = json_begin(), o = json_begin_schema("error");
    json_put_text(&error, "code", code);
    json_put_text(&error, "text", text);
    json_put(&o, "error", json_end(&error));
    if (suggestions)
        json_put(&o, "suggestions", suggestions);
    if (problems)
        json_put(&o, "problems", problems);
    conn_answer_json(c, status, json_end(&o));
}

void route_error_of(struct conn *c, const struct err *e)
{
    static const struct {
        uint8_t code;
        uint16_t status;
        const char *name;
    } table[] = {
        {ERR_NOMEM, 500, "nomem"},   {ERR_IO, 500, "io"},           {ERR_ABSENT, 404, "absent"},
        {ERR_BUSY, 503, "busy"},     {ERR_TIMEOUT, 504, "timeout"}, {ERR_DENIED, 409, "refused"},
        {ERR_INVAL, 422, "invalid"}, {ERR_LIMIT, 422, "limit"},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].code == -e->code) {
            route_error(c, table[i].status, table[i].name, e->text, NULL, NULL);
            return;
        }
    route_error(c, 500, "io", e->text, NULL, NULL);
}

static void answer_version(struct conn *c, const struct captures *m)
{
    (void)m;
    struct json_object o = json_begin_schema("version");
    json_t *api = json_array();
    if (!json_push(api, json_string("v1")))
        o.bad = true;
    json_put_text(&o, "version", HF_VERSION);
    json_put(&o, "api", api);
    conn_answer_json(c, 200, json_end(&o));
}

static void answer_status(struct conn *c, const struct captures *m)
{
    (void)m;
    if (!c->admin->host.view(c->admin->host.context))
        route_error(c, 503, "busy", "the node is still starting", NULL, NULL);
    else
        conn_answer_json(c, 200, status_json(c->admin));
}

static void answer_metrics(struct conn *c, const struct captures *m)
{
    enum exposition_form form = exposition_accepted(m->accept);
    buf_clear(&c->body);
    metrics_write(c->admin, form, &c->body);
    conn_answer(c, 200, exposition_content_type(form));
}

/* The value of a key of the query, still encoded; false: it is not there. */
static bool query_value(struct str query, const char *key, struct str *out)
{
    struct str want = str_of(key);
    while (query.n) {
        const char *end = memchr(query.p, '&', query.n);
        size_t n = end ? (size_t)(end - query.p) : query.n;
        struct str part = {query.p, n};
        if (str_starts(part, want) && n > want.n && part.p[want.n] == '=') {
            *out = (struct str){part.p + want.n + 1, n - want.n - 1};
            return true;
        }
        query.p += MIN(n + 1, query.n);
        query.n -= MIN(n + 1, query.n);
    }
    return false;
}

bool query_u64(struct str query, const char *key, uint64_t min, uint64_t max, uint64_t *out,
               bool *given)
{
    struct str value;
    if (!query_value(query, key, &value))
        return true;
    if (given)
        *given = true;
    return str_u64(value, max, out) && *out >= min;
}

static bool decode(struct str s, char out[SEGMENT_MAX]);

bool query_text(struct str query, const char *key, char out[SEGMENT_MAX], bool *given)
{
    struct str value;
    if (!query_value(query, key, &value))
        return true;
    *given = true;
    return decode(value, out);
}

static void answer_polled(struct conn *c)
{
    conn_answer_json(c, 200, events_json(c->admin->host.events, c->poll_after, c->poll_limit));
}

static void answer_events(struct conn *c, const struct captures *m)
{
    const struct events *e = c->admin->host.events;
    uint64_t after = 0, wait = 0, limit = 1000, last = 0;
    bool tail = false;
    if (history_wanted(m->query)) {
        answer_history(c, m);
        return;
    }
    if (!query_u64(m->query, "after", 0, UINT64_MAX, &after, NULL) ||
        !query_u64(m->query, "wait", 0, 60, &wait, NULL) ||
        !query_u64(m->query, "limit", 1, 1000, &limit, NULL) ||
        !query_u64(m->query, "last", 0, 1000, &last, &tail)) {
        route_error(c, 400, "malformed",
                    "after is a sequence number, wait 0 to 60 seconds, limit 1 to 1000, last 0 to "
                    "1000",
                    NULL, NULL);
        return;
    }
    if (tail) {
        limit = MAX(last, UINT64_C(1));
        after = e->next - 1 - MIN(last, e->next - e->first);
    }
    c->poll_after = after;
    c->poll_limit = (uint32_t)limit;
    if (wait == 0 || events_after(e, after)) {
        answer_polled(c);
        return;
    }
    list_push_back(&c->admin->polls, &c->poll);
    conn_wait(c, loop_now(c->admin->loop) + wait * NS_PER_S);
}

void route_wake_polls(struct admin *a)
{
    list_for_each_safe (it, &a->polls) {
        struct conn *c = LIST_ENTRY(it, struct conn, poll);
        if (events_after(a->host.events, c->poll_after))
            answer_polled(c);
    }
}

void route_timeout(struct conn *c)
{
    if (!list_empty(&c->poll))
        answer_polled(c);
    else
        route_error(c, 504, "timeout", "control did not finish in time", NULL, NULL);
    list_remove(&c->reload.link);
    list_remove(&c->telling.link);
    list_remove(&c->config.link);
    audit_forget(&c->ask);
}

static json_t *problem_json(const struct admin_problem *p)
{
    struct json_object o = json_begin();
    json_put_str(&o, "file", p->file);
    json_put_u64(&o, "line", p->line);
    json_put_u64(&o, "column", p->column);
    json_put_str(&o, "text", p->text);
    json_put(&o, "hint", p->hint.n ? json_text(p->hint) : json_null());
    return json_end(&o);
}

json_t *problems_json(const struct admin_problem *list, size_t n)
{
    json_t *a = json_array();
    for (size_t i = 0; i < n; i++)
        if (!json_push(a, problem_json(&list[i]))) {
            json_decref(a);
            return NULL;
        }
    return a;
}

static json_t *reloaded_json(const struct admin_reload_result *r)
{
    struct json_object o = json_begin_schema("reload");
    json_t *changes = json_array();
    json_t *left = json_array();
    for (size_t i = 0; i < r->n_list; i++)
        if (!json_push(changes, json_text(r->list[i])))
            o.bad = true;
    for (size_t i = 0; i < r->n_left; i++)
        if (!json_push(left, json_text(r->left[i])))
            o.bad = true;
    json_put_u64(&o, "epoch", r->epoch);
    json_put_bool(&o, "changed", r->changed);
    json_put(&o, "changes", changes);
    json_put_u64(&o, "version", r->version);
    json_put(&o, "left_out", left);
    return json_end(&o);
}

static void on_reloaded(struct admin_reload *reload, const struct admin_reload_result *r)
{
    struct conn *c = CONTAINER_OF(reload, struct conn, reload);
    if (r->code == 0) {
        conn_answer_json(c, 200, reloaded_json(r));
    } else if (r->n_problems) {
        route_error(c, 422, "invalid", r->text, NULL, problems_json(r->problems, r->n_problems));
    } else {
        struct err e = {.code = r->code};
        str_copy(e.text, sizeof e.text, str_of(r->text));
        route_error_of(c, &e);
    }
}

static void answer_reload(struct conn *c, const struct captures *m)
{
    (void)m;
    const struct admin_host *h = &c->admin->host;
    struct err e = {0};
    c->reload.done = on_reloaded;
    if (h->reload(h->context, &c->reload, &e)) {
        route_error_of(c, &e);
        return;
    }
    /* Control answers each within its own deadline; this is only the net below it. */
    conn_wait(c, loop_now(c->admin->loop) + 120 * NS_PER_S);
}

/* The nearest names, nearest first; NULL when memory is out: the answer does without them. */
static json_t *nearest_json(const struct suggest *s)
{
    json_t *a = json_array();
    for (unsigned i = 0; i < s->n; i++)
        if (!json_push(a, json_text(s->name[i]))) {
            json_decref(a);
            return NULL;
        }
    return a;
}

void route_absent(struct conn *c, const struct suggest *s, const char *fmt, ...)
{
    char text[2 * SEGMENT_MAX + 64];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    route_error(c, 404, "absent", text, nearest_json(s), NULL);
}

const struct view_service *route_service(struct conn *c, const char *name)
{
    const struct view *v = c->admin->host.view(c->admin->host.context);
    if (!v) {
        route_error(c, 503, "busy", "the node is still starting", NULL, NULL);
        return NULL;
    }
    const struct view_service *s = view_service_find(v, str_of(name));
    if (s)
        return s;
    struct suggest near = suggest_for(str_of(name));
    for (uint32_t i = 0; i < v->n_services; i++)
        suggest_try(&near, v->services[i].name);
    route_absent(c, &near, "service \"%s\" does not exist", name);
    return NULL;
}

static const struct view_instance *find_instance(struct conn *c, const struct captures *m)
{
    const struct view_service *s = route_service(c, m->name[0]);
    struct suggest near;
    if (!s)
        return NULL;
    const struct view_instance *in = view_instance_find(s, str_of(m->name[1]));
    if (!in) {
        near = suggest_for(str_of(m->name[1]));
        for (uint32_t i = 0; i < s->n_instances; i++)
            suggest_try(&near, s->instances[i].name);
        route_absent(c, &near, "instance \"%s\" does not exist in service \"%s\"", m->name[1],
                     m->name[0]);
    }
    return in;
}

static void set_drain(struct conn *c, const struct captures *m, bool on)
{
    struct admin *a = c->admin;
    const struct view_instance *in = find_instance(c, m);
    if (!in)
        return;
    struct err e = {0};
    bool changed = false;
    if (a->host.drain(a->host.context, in->slot, on, &changed, &e)) {
        route_error_of(c, &e);
        return;
    }
    struct instance_totals t;
    totals_instance(a->host.cells(a->host.context), a->host.view(a->host.context)->workers,
                    in->slot, &t);
    struct json_object o = json_begin_schema("drain");
    json_put_text(&o, "service", m->name[0]);
    json_put_str(&o, "instance", in->name);
    json_put_bool(&o, "draining", on);
    json_put_bool(&o, "changed", changed);
    json_put_u64(&o, "inflight", t.inflight);
    conn_answer_json(c, 200, json_end(&o));
}

static void answer_drain(struct conn *c, const struct captures *m)
{
    set_drain(c, m, true);
}

static void answer_resume(struct conn *c, const struct captures *m)
{
    set_drain(c, m, false);
}

/* The number that the change which was just asked for is above; one that runs is that one. */
static uint64_t change_before(const struct admin_host *h)
{
    const struct admin_change *g = h->change(h->context);
    return g->number && g->state == CHANGE_RUNS ? g->number - 1 : g->number;
}

static void answer_restart(struct conn *c, const struct captures *m)
{
    const struct admin_host *h = &c->admin->host;
    struct err e = {0};
    uint64_t now = 0;
    if (!query_u64(m->query, "now", 0, 1, &now, NULL)) {
        route_error(c, 400, "malformed", "now is 0 or 1", NULL, NULL);
        return;
    }
    if (h->restart_proxy(h->context, now == 0, &e)) {
        route_error_of(c, &e);
        return;
    }
    struct json_object o = json_begin_schema("restart");
    json_put_text(&o, "process", "proxy");
    json_put_bool(&o, "restarting", true);
    json_put_bool(&o, "gently", now == 0);
    json_put_u64(&o, "before", change_before(h));
    conn_answer_json(c, 202, json_end(&o));
}

static void answer_handover(struct conn *c, const struct captures *m)
{
    static const char *const kinds[CHANGE_KINDS] = {"none", "restart", "upgrade"};
    static const char *const states[CHANGE_STATES] = {"running", "done", "failed"};
    (void)m;
    const struct admin_change *g = c->admin->host.change(c->admin->host.context);
    struct json_object o = json_begin_schema("handover");
    json_put_u64(&o, "number", g->number);
    json_put_text(&o, "kind", kinds[g->kind]);
    json_put_text(&o, "state", g->number ? states[g->state] : "none");
    json_put_text(&o, "text", g->text);
    conn_answer_json(c, 200, json_end(&o));
}

static void answer_upgrade(struct conn *c, const struct captures *m)
{
    const struct admin_host *h = &c->admin->host;
    struct str path = STR("");
    char text[SEGMENT_MAX];
    struct err e = {0};
    if (m->query.n) {
        struct str key = STR("binary=");
        struct str value = {m->query.p + key.n, m->query.n - MIN(key.n, m->query.n)};
        if (!str_starts(m->query, key) || !decode(value, text) || text[0] != '/') {
            route_error(c, 400, "malformed", "binary is an absolute path of at most 511 bytes",
                        NULL, NULL);
            return;
        }
        path = str_of(text);
    }
    if (h->upgrade(h->context, path, &e)) {
        route_error_of(c, &e);
        return;
    }
    struct json_object o = json_begin_schema("upgrade");
    json_put_bool(&o, "upgrading", true);
    json_put_u64(&o, "before", change_before(h));
    conn_answer_json(c, 202, json_end(&o));
}

/* A star stands for one percent-encoded segment, handed over decoded. */
static const struct route routes[] = {
    {false, "/v1/version", answer_version, RIGHT_READ, 0},
    {false, "/v1/status", answer_status, RIGHT_READ, 0},
    {false, "/v1/events", answer_events, RIGHT_READ, 0},
    {false, "/v1/why", answer_why, RIGHT_READ, 0},
    {false, "/metrics", answer_metrics, RIGHT_METRICS, 0},
    {true, "/v1/reload", answer_reload, RIGHT_RELOAD, 0},
    {true, "/v1/services/*/instances/*/drain", answer_drain, RIGHT_DRAIN, 0},
    {true, "/v1/services/*/instances/*/resume", answer_resume, RIGHT_DRAIN, 0},
    {false, "/v1/services/*/instances", answer_instances, RIGHT_READ, 0},
    {true, "/v1/services/*/instances", answer_instances_update, RIGHT_INSTANCES, 0},
    {true, "/v1/services/*/instances", answer_instances_set, RIGHT_INSTANCES, HTTP_PUT},
    {true, "/v1/services/*/instances", answer_instances_remove, RIGHT_INSTANCES, HTTP_DELETE},
    {true, "/v1/services/*/instances/*", answer_instance_remove, RIGHT_INSTANCES, HTTP_DELETE},
    {false, "/v1/beats", answer_beats, RIGHT_READ, 0},
    {true, "/v1/beats/*", answer_beat, RIGHT_BEAT, 0},
    {true, "/v1/processes/proxy/restart", answer_restart, RIGHT_RESTART, 0},
    {true, "/v1/upgrade", answer_upgrade, RIGHT_UPGRADE, 0},
    {false, "/v1/handover", answer_handover, RIGHT_READ, 0},
    {false, "/v1/config", answer_config, RIGHT_READ, 0},
    {false, "/v1/config/files", answer_config_files, RIGHT_APPLY, 0},
    {false, "/v1/config/history", answer_config_history, RIGHT_READ, 0},
    {true, "/v1/config/plan", answer_config_plan, RIGHT_APPLY, 0},
    {true, "/v1/config/apply", answer_config_apply, RIGHT_APPLY, 0},
    {true, "/v1/config/rollback", answer_config_rollback, RIGHT_APPLY, 0},
    {false, "/v1/members", answer_members, RIGHT_READ, 0},
    {true, "/v1/leave", answer_leave, RIGHT_CLUSTER, 0},
    {true, "/v1/maintenance", answer_maintenance, RIGHT_CLUSTER, 0},
    {true, "/v1/tokens", answer_token, RIGHT_KEYS, 0},
    {false, "/v1/coordinator", answer_coordinator, RIGHT_READ, 0},
    {true, "/v1/coordinator/backup", answer_coordinator_backup, RIGHT_CLUSTER, 0},
    {true, "/v1/coordinator/restore", answer_coordinator_restore, RIGHT_CLUSTER, 0},
    {false, "/v1/roles", answer_roles, RIGHT_READ, 0},
    {false, "/v1/roles/*", answer_role, RIGHT_READ, 0},
    {true, "/v1/roles/*/switchover", answer_role_switchover, RIGHT_ROLES, 0},
    {true, "/v1/roles/*/failover", answer_role_failover, RIGHT_ROLES, 0},
    {true, "/v1/roles/*/maintenance", answer_role_maintenance, RIGHT_ROLES, 0},
    {false, "/v1/keys", answer_keys, RIGHT_READ, 0},
    {true, "/v1/keys/rotate", answer_rotate, RIGHT_KEYS, 0},
};

static const char *method_of(const struct route *r)
{
    return r->method == HTTP_PUT      ? "PUT"
           : r->method == HTTP_DELETE ? "DELETE"
           : r->write                 ? "POST"
                                      : "GET";
}

bool route_at(size_t i, const char **path, const char **method, uint32_t *right)
{
    if (i >= ARRAY_LEN(routes))
        return false;
    *path = routes[i].path;
    *method = method_of(&routes[i]);
    *right = routes[i].right;
    return true;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char l = (char)(c | 0x20);
    return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

/* False: too long, a bad escape, or a NUL. */
static bool decode(struct str s, char out[SEGMENT_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        char ch = s.p[i];
        if (ch == '%') {
            int high = i + 2 < s.n ? hex(s.p[i + 1]) : -1, low = high < 0 ? -1 : hex(s.p[i + 2]);
            if (low < 0)
                return false;
            ch = (char)(high * 16 + low);
            i += 2;
        }
        if (n == SEGMENT_MAX - 1 || ch == 0)
            return false;
        out[n++] = ch;
    }
    out[n] = 0;
    return n > 0;
}

/* The next segment behind a slash; false at the end. */
static bool segment(struct str *path, struct str *out)
{
    if (path->n == 0 || path->p[0] != '/')
        return false;
    const char *from = path->p + 1;
    size_t left = path->n - 1;
    const char *end = left ? memchr(from, '/', left) : NULL;
    size_t n = end ? (size_t)(end - from) : left;
    *out = (struct str){from, n};
    *path = (struct str){from + n, left - n};
    return true;
}

static bool matches(const struct route *r, struct str path, struct captures *m)
{
    struct str pattern = str_of(r->path), want, have;
    size_t captured = 0;
    while (segment(&pattern, &want)) {
        if (!segment(&path, &have))
            return false;
        if (!str_eq(want, STR("*"))) {
            if (!str_eq(want, have))
                return false;
            continue;
        }
        CHECK(captured < ARRAY_LEN(m->name));
        if (!decode(have, m->name[captured++]))
            return false;
    }
    return path.n == 0;
}

static void no_route(struct conn *c, const struct request *r)
{
    struct suggest near;
    near = suggest_for(r->path);
    for (size_t i = 0; i < ARRAY_LEN(routes); i++)
        if (c->door != ADMIN_METRICS || str_eq(str_of(routes[i].path), STR("/metrics")))
            suggest_try(&near, str_of(routes[i].path));
    route_error(c, 404, "absent", "no such path", nearest_json(&near), NULL);
}

static bool takes(const struct route *r, uint8_t method)
{
    if (r->method)
        return method == r->method;
    return r->write ? method == HTTP_POST : method == HTTP_GET || method == HTTP_HEAD;
}

/* Adds the route's method to the line that a 405 has. */
static void allow(struct conn *c, const struct route *r, bool more)
{
    const char *method = r->write || r->method ? method_of(r) : "GET, HEAD";
    size_t n = more ? strlen(c->allow) - 2 : 0; /* without its end */
    snprintf(c->allow + n, sizeof c->allow - n, "%s%s\r\n", more ? ", " : "Allow: ", method);
    c->extra = c->allow;
}

/* --- who may --- */

static void too_many(struct conn *c)
{
    struct admin *a = c->admin;
    const struct view *v = a->host.view(a->host.context);
    char from[ADDR_TEXT_MAX];
    addr_format_ip(&c->peer, from);
    struct event *ev = events_begin(a->host.events, EVENT_ADMIN_DENIED, EVENT_WARNING,
                                    loop_now(a->loop), clock_wall(), v ? v->epoch : 0);
    str_copy(ev->subject, sizeof ev->subject, str_of(from));
    snprintf(ev->text, sizeof ev->text,
             "%d requests to the admin API without a valid token: refused for %llu s", ACCESS_TRIES,
             (unsigned long long)(ACCESS_WINDOW / NS_PER_S));
    events_commit(a->host.events);
}

const struct view_token *route_token(struct conn *c, struct str authorization)
{
    struct admin *a = c->admin;
    uint64_t now = loop_now(a->loop);
    if (access_barred(&a->access, &c->peer, now)) {
        c->keep_alive = false;
        c->extra = "Retry-After: 10\r\n";
        route_error(c, 429, "denied", "too many requests without a valid token: wait", NULL, NULL);
        return NULL;
    }
    const struct view_token *t = access_token(a->host.view(a->host.context), authorization);
    if (t)
        return t;
    if (access_refused(&a->access, &c->peer, now))
        too_many(c);
    c->keep_alive = false;
    c->extra = "WWW-Authenticate: Bearer realm=\"holdfast\"\r\n";
    route_error(c, 401, "unauthorized",
                authorization.n ? "this token is not known here"
                                : "send a token: 'Authorization: Bearer TOKEN'",
                NULL, NULL);
    return NULL;
}

/* False after an answer. */
static bool may(struct conn *c, const struct route *route, const struct view_token *t)
{
    struct buf text = {0};
    if (t->rights & route->right)
        return true;
    buf_printf(&text, "token \"" STR_FMT "\" has not the right to %s; it has: ", STR_ARG(t->name),
               route->right ? view_right_name((unsigned)__builtin_ctz(route->right)) : "this");
    access_rights_text(t->rights, &text);
    buf_add(&text, "", 1);
    route_error(c, 403, "forbidden", text.failed ? "this token has not the right to it" : text.p,
                NULL, NULL);
    buf_free(&text);
    return false;
}

/* Who sent it, for what is kept of it. */
static void describe(const struct conn *c, const struct view_token *t, char out[EVENT_BY_MAX])
{
    char from[ADDR_TEXT_MAX];
    struct ucred peer;
    socklen_t n = sizeof peer;
    if (t) {
        addr_format_ip(&c->peer, from);
        snprintf(out, EVENT_BY_MAX, "token %.*s from %.45s", (int)MIN(t->name.n, 32u), t->name.p,
                 from);
    } else if (getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 && peer.pid) {
        snprintf(out, EVENT_BY_MAX, "uid %u (process %d) over the node's socket", peer.uid,
                 peer.pid);
    } else {
        snprintf(out, EVENT_BY_MAX, "an operator over the node's socket");
    }
}

/* What changes something is done in its sender's name. */
static void answer_as(struct conn *c, const struct route *route, const struct captures *m,
                      const struct view_token *t)
{
    const struct admin_host *h = &c->admin->host;
    char who[EVENT_BY_MAX];
    bool told = h->asked && (route->write || route->method);
    if (told) {
        describe(c, t, who);
        h->asked(h->context, who);
    }
    route->answer(c, m);
    if (told)
        h->asked(h->context, NULL);
}

void route_request(struct conn *c, const struct request *r)
{
    const struct view_token *token = NULL;
    if (c->door == ADMIN_TOKEN && !(token = route_token(c, r->authorization)))
        return;
    struct captures m = {.query = r->query, .accept = r->accept, .body = r->body};
    bool known = false;
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        if (!matches(&routes[i], r->path, &m))
            continue;
        if (c->door == ADMIN_METRICS && routes[i].answer != answer_metrics)
            break;
        if (takes(&routes[i], r->method)) {
            if (token)
                snprintf(c->who, sizeof c->who, "token " STR_FMT, STR_ARG(token->name));
            if (!token || may(c, &routes[i], token))
                answer_as(c, &routes[i], &m, token);
            return;
        }
        allow(c, &routes[i], known);
        known = true;
    }
    if (known)
        route_error(c, 405, "method", "this path has another method: see Allow", NULL, NULL);
    else
        no_route(c, r);
}
