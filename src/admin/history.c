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
            if (n++ < WHY_NOW_MAX)
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
    if (view_service_find(v, name) || view_node_find(v, name) || why_instance(v, name, &s))
        return true;
    for (uint32_t i = 0; i < v->n_beats; i++)
        if (str_eq(v->beats[i].name, name))
            return true;
    struct admin_held h;
    for (size_t at = 0; held_next(a, &at, &h);)
        if (str_eq(str_of(h.name), name))
            return true;
    return str_eq(name, str_of(a->host.node));
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
    json_t *now = why_now(c->admin, subject);
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
        put_why(c, NULL, q->subject, why_now(c->admin, q->subject));
}
