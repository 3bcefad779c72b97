/* Routes that the audit answers: what happened in a span of time, and why a subject is as it is.
 *
 * Questions are answered by the audit's thread; the connection waits. What the audit could not
 * write (yet) is in the ring, which holds the latest events in any case: those behind the last that
 * was written come from there, so that a full disk hides nothing that is still in memory. */
#include "admin/inside.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define ANSWER_NS (10 * NS_PER_S)

enum { NOW_MAX = 64 /* instances of a service that are told of */ };

/* ---- the query ---- */

static bool digits(struct str *s, size_t n, uint32_t least, uint32_t most, int *out)
{
    uint64_t v;
    if (s->n < n || !str_u64((struct str){s->p, n}, most, &v) || v < least)
        return false;
    *out = (int)v;
    s->p += n;
    s->n -= n;
    return true;
}

static bool sign(struct str *s, char c)
{
    if (s->n == 0 || s->p[0] != c)
        return false;
    s->p++;
    s->n--;
    return true;
}

/* RFC 3339 in UTC, with milliseconds or without; or seconds since 1970. */
static bool parse_time(struct str s, uint64_t *wall)
{
    struct tm t = {0};
    int ms = 0;
    uint64_t seconds;
    if (str_u64(s, UINT64_C(9000000000), &seconds)) {
        *wall = seconds * NS_PER_S;
        return true;
    }
    bool ok = digits(&s, 4, 1970, 2200, &t.tm_year) && sign(&s, '-') &&
              digits(&s, 2, 1, 12, &t.tm_mon) && sign(&s, '-') &&
              digits(&s, 2, 1, 31, &t.tm_mday) && sign(&s, 'T') &&
              digits(&s, 2, 0, 23, &t.tm_hour) && sign(&s, ':') &&
              digits(&s, 2, 0, 59, &t.tm_min) && sign(&s, ':') && digits(&s, 2, 0, 60, &t.tm_sec);
    if (ok && sign(&s, '.'))
        ok = digits(&s, 3, 0, 999, &ms);
    if (!ok || !sign(&s, 'Z') || s.n)
        return false;
    t.tm_year -= 1900;
    t.tm_mon -= 1;
    *wall = (uint64_t)timegm(&t) * NS_PER_S + (uint64_t)ms * NS_PER_MS;
    return true;
}

/* False: it is there, and no time. */
static bool query_time(struct str query, const char *key, uint64_t *wall)
{
    char text[SEGMENT_MAX];
    bool given = false;
    if (!query_text(query, key, text, &given))
        return false;
    return !given || parse_time(str_of(text), wall);
}

static bool query_name(struct str query, const char *key, char *out, size_t size)
{
    char text[SEGMENT_MAX];
    bool given = false;
    if (!query_text(query, key, text, &given) || (given && strlen(text) >= size))
        return false;
    if (given)
        str_copy(out, size, str_of(text));
    return true;
}

bool history_wanted(struct str query)
{
    static const char *const keys[] = {"since", "until", "subject", "code", "from"};
    char text[SEGMENT_MAX];
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        bool given = false;
        if (!query_text(query, keys[i], text, &given) || given)
            return true;
    }
    return false;
}

static struct audit *audit_of(const struct conn *c)
{
    const struct admin_host *h = &c->admin->host;
    return h->audit ? h->audit(h->context) : NULL;
}

/* ---- events ---- */

static bool is_of(const char *subject, const char *wanted)
{
    size_t n = strlen(wanted);
    return n == 0 || (strncmp(subject, wanted, n) == 0 && (subject[n] == 0 || subject[n] == '/'));
}

static bool fits(const struct event *ev, const struct audit_question *q)
{
    return ev->wall >= q->since && (q->until == 0 || ev->wall <= q->until) &&
           is_of(ev->subject, q->subject) &&
           (q->code[0] == 0 || strcmp(q->code, event_code_name((enum event_code)ev->code)) == 0);
}

/* Events of the ring behind `after`, up to `room`; *next is where to go on. */
static void add_ring(const struct events *e, const struct audit_question *q, uint64_t after,
                     uint32_t room, uint64_t *next, struct buf *out)
{
    *next = MAX(after, e->next - 1);
    for (const struct event *ev = events_after(e, after); ev; ev = events_next(e, ev)) {
        if (!fits(ev, q))
            continue;
        if (room-- == 0) {
            *next = ev->seq - 1;
            return;
        }
        json_t *one = event_json(ev);
        buf_add(out, ",", out->p[out->n - 1] == '[' ? 0 : 1);
        if (one)
            json_write(one, out);
        else
            out->failed = true;
        json_decref(one);
    }
}

/* What was written into the body, unless memory ran out meanwhile. */
static void answer_body(struct conn *c)
{
    if (!c->body.failed) {
        conn_answer(c, 200, "application/json");
        return;
    }
    buf_free(&c->body);
    conn_answer_json(c, 500, NULL);
}

static void put_events(struct conn *c, const struct audit_answer *a)
{
    const struct events *e = c->admin->host.events;
    struct buf *out = &c->body;
    uint64_t next = e->next - 1;
    bool more = a && a->more;
    buf_clear(out);
    buf_printf(out, "{\"schema\":\"holdfast.events.v1\",\"events\":[");
    if (a)
        buf_add_str(out, buf_str(a->rows));
    if (!more && !out->failed)
        add_ring(e, &c->question, a ? a->written : 0, c->question.limit - (a ? a->n : 0), &next,
                 out);
    buf_printf(out, "],\"next\":%" PRIu64 ",\"lost\":0,\"more\":%s,\"cursor\":%" PRIu64 "}\n", next,
               more ? "true" : "false", a ? a->next : 0);
    answer_body(c);
}

static void on_events(struct audit_ask *ask, const struct audit_answer *a)
{
    struct conn *c = CONTAINER_OF(ask, struct conn, ask);
    put_events(c, a->code ? NULL : a); /* what is in memory, where there is no more */
}

static void ask(struct conn *c, void (*done)(struct audit_ask *, const struct audit_answer *))
{
    struct err e = {0};
    c->ask.done = done;
    if (audit_ask(audit_of(c), &c->ask, &c->question, &e))
        route_error_of(c, &e);
    else
        conn_wait(c, loop_now(c->admin->loop) + ANSWER_NS);
}

void answer_history(struct conn *c, const struct captures *m)
{
    struct audit_question *q = &c->question;
    uint64_t limit = AUDIT_ANSWER_ROWS;
    *q = (struct audit_question){.kind = AUDIT_SPAN};
    if (!query_time(m->query, "since", &q->since) || !query_time(m->query, "until", &q->until) ||
        !query_name(m->query, "subject", q->subject, sizeof q->subject) ||
        !query_name(m->query, "code", q->code, sizeof q->code) ||
        !query_u64(m->query, "from", 0, INT64_MAX, &q->from, NULL) ||
        !query_u64(m->query, "limit", 1, AUDIT_ANSWER_ROWS, &limit, NULL)) {
        route_error(c, 400, "malformed",
                    "since and until are times, as in 2026-11-23T05:34:27Z, or seconds since 1970; "
                    "subject and code are names, from is a cursor, limit 1 to 1000",
                    NULL, NULL);
        return;
    }
    q->limit = (uint32_t)limit;
    if (audit_of(c))
        ask(c, on_events);
    else
        put_events(c, NULL);
}

/* ---- why: what it is now ---- */

static json_t *about(const char *kind, struct str name, json_t *o)
{
    if (!o)
        return NULL;
    json_t *with = json_pack("{s:s, s:o}", "kind", kind, "subject", json_text(name));
    if (!with || json_object_update(with, o)) {
        json_decref(with);
        with = NULL;
    }
    json_decref(o);
    return with;
}

static json_t *instance_now(struct admin *a, const struct view_service *s,
                            const struct view_instance *in)
{
    char name[AUDIT_NAME_MAX];
    int n = snprintf(name, sizeof name, "%.*s/%.*s", (int)MIN(s->name.n, 80u), s->name.p,
                     (int)MIN(in->name.n, 120u), in->name.p);
    struct str text = {name, MIN((size_t)MAX(n, 0), sizeof name - 1)};
    return about("instance", text, instance_json(a, in));
}

static bool add_role(struct admin *a, const struct view *v, const struct view_service *s,
                     json_t *list)
{
    return !view_is_primary(s) || json_push(list, about("role", s->name, role_json(a, v, s)));
}

/* Those that are not healthy first, so that the bound takes only what is well. */
static bool add_service(struct admin *a, const struct view_service *s, json_t *list)
{
    for (int well = 0; well < 2; well++)
        for (uint32_t i = 0; i < s->n_instances && json_array_size(list) < NOW_MAX; i++) {
            bool healthy = admin_shown(a, s->instances[i].slot).verdict == VERDICT_HEALTHY;
            if (healthy == well && !json_push(list, instance_now(a, s, &s->instances[i])))
                return false;
        }
    return true;
}

static bool add_named(json_t *all, const char *kind, const char *name, json_t *list)
{
    size_t i;
    json_t *one;
    bool ok = true;
    json_array_foreach(all, i, one)
    {
        const char *its = json_string_value(json_object_get(one, "name"));
        if (its && strcmp(its, name) == 0)
            ok &= json_push(list, about(kind, str_of(name), json_incref(one)));
    }
    return ok;
}

static bool add_member(struct admin *a, const char *name, json_t *list)
{
    json_t *one = member_json_of(a, str_of(name));
    return !one || json_push(list, about("node", str_of(name), one));
}

/* The instance of "service/name", or NULL. */
static const struct view_instance *instance_of(const struct view *v, struct str text,
                                               const struct view_service **service)
{
    const char *slash = text.n ? memchr(text.p, '/', text.n) : NULL;
    if (!slash)
        return NULL;
    struct str first = {text.p, (size_t)(slash - text.p)};
    struct str rest = {slash + 1, text.n - first.n - 1};
    *service = view_service_find(v, first);
    return *service ? view_instance_find(*service, rest) : NULL;
}

/* An array of all that is known now of a subject by its full name; NULL: no memory. */
static json_t *now_json(struct admin *a, const char *subject)
{
    const struct view *v = a->host.view(a->host.context);
    const struct view_service *s = NULL;
    json_t *list = json_array(), *beats = v ? beats_json(a) : NULL;
    bool ok = list != NULL;
    if (ok && v && (s = view_service_find(v, str_of(subject))))
        ok = add_role(a, v, s, list) && add_service(a, s, list);
    const struct view_instance *in = ok && v ? instance_of(v, str_of(subject), &s) : NULL;
    if (in)
        ok = json_push(list, instance_now(a, s, in));
    ok = ok && add_named(beats, "beat", subject, list) && add_member(a, subject, list);
    json_decref(beats);
    if (ok)
        return list;
    json_decref(list);
    return NULL;
}

/* ---- why: whose name it is ---- */

/* Writes the full name of the one that is meant; the number of those it could be, their names in
 * `list`. */
static uint32_t resolve(const struct view *v, struct str name, char *out, size_t size, json_t *list)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < v->n_services; i++) {
        const struct view_service *s = &v->services[i];
        for (uint32_t k = 0; k < s->n_instances; k++) {
            const struct view_instance *in = &s->instances[k];
            char address[ADDR_TEXT_MAX];
            struct str at = {address, addr_format(&in->addr, address)};
            if (!str_eq(in->name, name) && !str_eq(at, name))
                continue;
            snprintf(out, size, "%.*s/%.*s", (int)MIN(s->name.n, 80u), s->name.p,
                     (int)MIN(in->name.n, 119u), in->name.p);
            if (n++ < NOW_MAX)
                json_push(list, json_text(str_of(out)));
        }
    }
    return n;
}

/* "web/10.0.0.11:3000" where the instance is called otherwise. */
static bool resolve_address(const struct view *v, struct str name, char *out, size_t size)
{
    const char *slash = memchr(name.p, '/', name.n);
    const struct view_service *s =
        slash ? view_service_find(v, (struct str){name.p, (size_t)(slash - name.p)}) : NULL;
    for (uint32_t k = 0; s && k < s->n_instances; k++) {
        char address[ADDR_TEXT_MAX];
        struct str at = {address, addr_format(&s->instances[k].addr, address)};
        struct str rest = {slash + 1, name.n - s->name.n - 1};
        if (!str_eq(at, rest))
            continue;
        snprintf(out, size, "%.*s/%.*s", (int)MIN(s->name.n, 80u), s->name.p,
                 (int)MIN(s->instances[k].name.n, 119u), s->instances[k].name.p);
        return true;
    }
    return false;
}

static bool is_a_name(struct admin *a, const struct view *v, struct str name)
{
    const struct view_service *s;
    if (view_service_find(v, name) || view_node_find(v, name) || instance_of(v, name, &s))
        return true;
    for (uint32_t i = 0; i < v->n_beats; i++)
        if (str_eq(v->beats[i].name, name))
            return true;
    (void)a;
    return false;
}

/* False after an answer: it could be several. */
static bool find_subject(struct conn *c, struct audit_question *q)
{
    const struct view *v = c->admin->host.view(c->admin->host.context);
    char full[AUDIT_NAME_MAX + 1] = "";
    struct str name = str_of(q->subject);
    if (!v || is_a_name(c->admin, v, name))
        return true;
    if (resolve_address(v, name, full, sizeof full)) {
        str_copy(q->subject, sizeof q->subject, str_of(full));
        return true;
    }
    json_t *list = json_array();
    uint32_t n = list ? resolve(v, name, full, sizeof full, list) : 0;
    if (n > 1) {
        char text[AUDIT_NAME_MAX + 96];
        snprintf(text, sizeof text, "\"%s\" is an instance of %u services: say which one",
                 q->subject, n);
        route_error(c, 409, "ambiguous", text, list, NULL);
        return false;
    }
    if (n == 1)
        str_copy(q->subject, sizeof q->subject, str_of(full));
    json_decref(list);
    return true;
}

/* ---- why: the answer ---- */

/* Names in force that are near. */
static void suggest_all(const struct view *v, struct suggest *near)
{
    for (uint32_t i = 0; v && i < v->n_services; i++) {
        suggest_try(near, v->services[i].name);
        for (uint32_t k = 0; k < v->services[i].n_instances; k++)
            suggest_try(near, v->services[i].instances[k].name);
    }
    for (uint32_t i = 0; v && i < v->cluster.n_nodes; i++)
        suggest_try(near, v->cluster.nodes[i].name);
    for (uint32_t i = 0; v && i < v->n_beats; i++)
        suggest_try(near, v->beats[i].name);
}

static void answer_unknown(struct conn *c, const struct audit_answer *a)
{
    char text[AUDIT_NAME_MAX + 96];
    struct suggest near = suggest_for(str_of(c->question.subject));
    if (a->n_names && !a->near) {
        buf_printf(a->names, "]");
        char *list = NULL;
        if (asprintf(&list, "[%.*s", (int)a->names->n, a->names->p) < 0)
            list = NULL;
        snprintf(text, sizeof text, "\"%s\" could be several: say which one", c->question.subject);
        route_error(c, 409, "ambiguous", text, list ? json_loads(list, 0, NULL) : NULL, NULL);
        free(list);
        return;
    }
    suggest_all(c->admin->host.view(c->admin->host.context), &near);
    route_absent(c, &near,
                 "nothing is known of \"%s\": no service, instance, node or beat has this "
                 "name, and the audit has nothing of it",
                 c->question.subject);
}

static bool put_json(struct buf *out, const char *key, json_t *value)
{
    buf_printf(out, ",\"%s\":", key);
    if (value)
        json_write(value, out);
    else
        out->failed = true;
    json_decref(value);
    return !out->failed;
}

static void put_list(struct buf *out, const char *key, const struct buf *rows)
{
    buf_printf(out, ",\"%s\":[", key);
    if (rows)
        buf_add_str(out, buf_str(rows));
    buf_add(out, "]", 1);
}

static void put_why(struct conn *c, const struct audit_answer *a, const char *subject, json_t *now)
{
    struct buf *out = &c->body;
    buf_clear(out);
    buf_printf(out, "{\"schema\":\"holdfast.why.v1\"");
    put_json(out, "subject", json_text(str_of(subject)));
    put_json(out, "time", json_time(clock_wall()));
    put_json(out, "at", c->question.until ? json_time(c->question.until) : json_null());
    put_json(out, "problem",
             a && a->code == 0 ? json_null() : json_string(a ? a->text : "there is no audit"));
    put_json(out, "now", now);
    put_list(out, "then", a ? a->then : NULL);
    put_list(out, "records", a ? a->rows : NULL);
    buf_printf(out, ",\"more\":%s,\"cursor\":%" PRIu64 "}\n", a && a->more ? "true" : "false",
               a ? a->next : 0);
    answer_body(c);
}

static void on_why(struct audit_ask *ask, const struct audit_answer *a)
{
    struct conn *c = CONTAINER_OF(ask, struct conn, ask);
    const char *subject = a->code || a->n_names ? c->question.subject : a->subject;
    const struct view *v = c->admin->host.view(c->admin->host.context);
    json_t *now = now_json(c->admin, subject);
    bool known = v && is_a_name(c->admin, v, str_of(subject));
    if (a->code == 0 && a->n == 0 && a->then->n == 0 && json_array_size(now) == 0 && !known) {
        json_decref(now);
        answer_unknown(c, a);
        return;
    }
    put_why(c, a, subject, now);
}

void answer_why(struct conn *c, const struct captures *m)
{
    struct audit_question *q = &c->question;
    uint64_t limit = 50;
    *q = (struct audit_question){.kind = AUDIT_WHY};
    if (!query_name(m->query, "subject", q->subject, sizeof q->subject) || !q->subject[0] ||
        !query_time(m->query, "at", &q->until) ||
        !query_u64(m->query, "from", 0, INT64_MAX, &q->from, NULL) ||
        !query_u64(m->query, "limit", 1, AUDIT_ANSWER_ROWS, &limit, NULL)) {
        route_error(c, 400, "malformed",
                    "subject is the name of a service, instance, node or beat; at is a time, as in "
                    "2026-11-23T05:34:27Z, or seconds since 1970; limit 1 to 1000",
                    NULL, NULL);
        return;
    }
    q->limit = (uint32_t)limit;
    if (!find_subject(c, q))
        return;
    if (audit_of(c))
        ask(c, on_why);
    else
        put_why(c, NULL, q->subject, now_json(c->admin, q->subject));
}
