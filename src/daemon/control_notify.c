/* Operators are told of events by webhooks (docs/notifications.md). What is told and when is
 * notify/notify.h's to decide; here are the requests, the spool and the news.
 *
 * Each event that is committed is offered to every destination of the view. One request for each is
 * under way at a time, by libcurl on control's own loop (coord/etcd_http.h): nothing waits for it.
 * The key is read from its file for each request and wiped after it.
 *
 * The file STATE/notify.json has what waits, so that it outlives this process and the boot. It is
 * written at most once in SAVE_NS: what came in between is lost with a crash (the audit has it),
 * what was sent in between is sent again, under the same id.
 *
 * News (failing, back, dropped) are events too. They are made in turns of their own, never while
 * another event is committed. Of its own failing nobody is told by the one that fails. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "coord/etcd_http.h"
#include "daemon/control.h"
#include "daemon/paths.h"
#include "notify/notify.h"

#define SAVE_NS    NS_PER_S
#define CONNECT_NS (5 * NS_PER_S)
#define LIMIT_NS   (10 * NS_PER_S)

enum {
    KEY_MAX = 4096,
    ANSWER_MAX = 64 * 1024,
    SPOOL_MAX = 16 * 1024 * 1024,
    ID_MAX = 320,
    NAME_MAX_ = 64,
};

struct notify_to {
    struct notifying *owner;
    char name[NAME_MAX_];
    struct notify *core; /* owned */
    struct etcd_call call;
    char why[160]; /* what was wrong with the latest */
};

struct notifying {
    struct control *c;
    struct etcd_http *http; /* owned; NULL before the first destination */
    struct notify_to *to[VIEW_MAX_NOTIFIES];
    uint32_t n;
    struct timer due, save;
    json_t *spool; /* of the life before; NULL once the first view has it */
    bool adopted;
};

_Static_assert((int)NOTIFY_SUBJECT_MAX == (int)EVENT_SUBJECT_MAX, "a subject");
_Static_assert((int)NOTIFY_TEXT_MAX == (int)EVENT_TEXT_MAX, "a text");
_Static_assert((int)EVENT_CODES <= (int)NOTIFY_CODES, "bits of codes");

/* ---- what an event is ---- */

enum trouble { NONE, VERDICT, BEAT, MEMBER, PARTITION, SOURCE, KEPT, PRIMARY, TELLING };

/* Codes that are always one or the other; a verdict's level tells. */
static const struct {
    uint8_t trouble;
    bool over;
} troubles[EVENT_CODES] = {
    [EVENT_INSTANCE_VERDICT] = {VERDICT, false}, [EVENT_BEAT_MISSING] = {BEAT, false},
    [EVENT_BEAT_FAILED] = {BEAT, false},         [EVENT_BEAT_BACK] = {BEAT, true},
    [EVENT_NODE_SUSPECT] = {MEMBER, false},      [EVENT_NODE_FAILED] = {MEMBER, false},
    [EVENT_NODE_ALIVE] = {MEMBER, true},         [EVENT_NODE_LEFT] = {MEMBER, true},
    [EVENT_PARTITION] = {PARTITION, false},      [EVENT_PARTITION_HEALED] = {PARTITION, true},
    [EVENT_SOURCE_FAILED] = {SOURCE, false},     [EVENT_SOURCE_BACK] = {SOURCE, true},
    [EVENT_AUDIT_FAILED] = {KEPT, false},        [EVENT_AUDIT_BACK] = {KEPT, true},
    [EVENT_ROLE_LOST] = {PRIMARY, false},        [EVENT_ROLE_PROMOTED] = {PRIMARY, true},
    [EVENT_ROLE_TOLD] = {PRIMARY, true},         [EVENT_NOTIFY_FAILED] = {TELLING, false},
    [EVENT_NOTIFY_BACK] = {TELLING, true},
};

static struct notify_event event_of(const struct event *ev)
{
    struct notify_event to = {.seq = ev->seq,
                              .wall = ev->wall,
                              .code = ev->code,
                              .level = ev->level,
                              .judged = event_has_verdict(ev),
                              .from = ev->from,
                              .to = ev->to,
                              .reason = ev->reason,
                              .trouble = troubles[ev->code].trouble,
                              .over = troubles[ev->code].over};
    if (ev->code == EVENT_INSTANCE_VERDICT)
        to.over = ev->level == EVENT_INFO;
    str_copy(to.subject, sizeof to.subject, str_of(ev->subject));
    str_copy(to.text, sizeof to.text, str_of(ev->text));
    str_copy(to.by, sizeof to.by, str_of(ev->by));
    return to;
}

static uint8_t code_of(const char *name)
{
    unsigned i = 0;
    while (name && i < EVENT_CODES && strcmp(event_code_name((enum event_code)i), name) != 0)
        i++;
    return name ? (uint8_t)i : EVENT_CODES;
}

static uint8_t level_of(const char *name)
{
    unsigned i = 0;
    while (name && i < EVENT_LEVELS && strcmp(event_level_name((enum event_level)i), name) != 0)
        i++;
    return name ? (uint8_t)i : EVENT_LEVELS;
}

static struct notify_policy policy_of(const struct view_notify *t)
{
    struct notify_policy p = {.critical = EVENT_ERROR, .repeat = t->repeat};
    if (!t->events.n)
        p.levels = 1 << EVENT_WARNING | 1 << EVENT_ERROR;
    for (uint32_t i = 0; i < t->events.n; i++) {
        uint8_t level = level_of(t->events.list[i].p), code = code_of(t->events.list[i].p);
        if (level < EVENT_LEVELS)
            p.levels |= (uint8_t)(1 << level);
        else if (code < EVENT_CODES)
            p.codes[code / 8] |= (uint8_t)(1 << code % 8);
    }
    return p;
}

/* ---- as JSON ---- */

/* A text that was cut within a character still is one: what is not ASCII becomes '?'. */
static bool put_text(json_t *o, const char *key, const char *text)
{
    char plain[NOTIFY_TEXT_MAX];
    json_t *v = json_string(text);
    if (!v) {
        size_t n = str_copy(plain, sizeof plain, str_of(text));
        for (size_t i = 0; i < n; i++)
            plain[i] = (plain[i] & 0x80) ? '?' : plain[i];
        v = json_string(plain);
    }
    return v && json_object_set_new(o, key, v) == 0;
}

static bool put_number(json_t *o, const char *key, uint64_t n)
{
    return json_object_set_new(o, key, json_integer((json_int_t)n)) == 0;
}

/* What the spool and a request share. NULL: memory is out. */
static json_t *item_json(const struct notify_item *item)
{
    const struct notify_event *ev = &item->ev;
    json_t *o = json_object();
    bool ok = o && put_number(o, "seq", ev->seq) &&
              put_text(o, "code", event_code_name((enum event_code)ev->code)) &&
              put_text(o, "level", event_level_name((enum event_level)ev->level)) &&
              put_text(o, "subject", ev->subject) && put_text(o, "text", ev->text) &&
              put_text(o, "by", ev->by) && put_number(o, "repeats", item->repeats) &&
              json_object_set_new(o, "resolved", json_boolean(item->resolved)) == 0;
    if (ok && ev->judged)
        ok = put_text(o, "from", verdict_name((enum verdict)ev->from)) &&
             put_text(o, "to", verdict_name((enum verdict)ev->to)) &&
             put_text(o, "reason", reason_name((enum reason)ev->reason));
    if (ok)
        return o;
    json_decref(o);
    return NULL;
}

static const char *node_of(const struct control *c)
{
    return c->o.node ? c->o.node : "";
}

static void id_of(const struct control *c, const struct notify_event *ev, char id[ID_MAX])
{
    snprintf(id, ID_MAX, "%.200s-%" PRIu64 "-%" PRIu64, node_of(c), ev->wall / NS_PER_US, ev->seq);
}

static int append(const char *p, size_t n, void *out)
{
    return buf_add(out, p, n) ? 0 : -1;
}

static bool body_of(const struct control *c, const struct notify_item *item, const char *id,
                    struct buf *out)
{
    char key[NOTIFY_SUBJECT_MAX + 64];
    const struct notify_event *ev = &item->ev;
    snprintf(key, sizeof key, "%s/%s", event_code_name((enum event_code)ev->code), ev->subject);
    json_t *o = item_json(item);
    bool ok = o && put_number(o, "version", 1) && put_text(o, "id", id) &&
              put_text(o, "key", key) && put_text(o, "node", node_of(c)) &&
              json_object_set_new(o, "time", json_real((double)(ev->wall / NS_PER_MS) / 1e3)) == 0;
    ok = ok && json_dump_callback(o, append, out, JSON_COMPACT | JSON_SORT_KEYS) == 0;
    json_decref(o);
    return ok && !out->failed;
}

/* ---- a request ---- */

static const struct view_notify *settings_of(const struct notify_to *t)
{
    const struct view *v = t->owner->c->view;
    for (uint32_t i = 0; v && i < v->n_notifies; i++)
        if (str_eq(v->notifies[i].name, str_of(t->name)))
            return &v->notifies[i];
    return NULL;
}

static void wipe_free(struct buf *b)
{
    if (b->p)
        wipe(b->p, b->cap);
    buf_free(b);
}

/* "webhook-signature: v1,...": as Standard Webhooks has it. */
static int sign(const struct view_notify *v, struct str content, struct buf *line, struct err *e)
{
    struct buf key = {0};
    uint8_t mac[DIGEST_BYTES];
    int r = file_read(v->key_file.p, KEY_MAX, &key, e);
    struct str k = buf_str(&key);
    while (r == 0 && k.n && (k.p[k.n - 1] == '\n' || k.p[k.n - 1] == '\r'))
        k.n--;
    if (r == 0 && !k.n)
        r = err_set(e, ERR_INVAL, "the file of its key is empty");
    if (r == 0 &&
        (!digest_hmac(k, content, mac) || !buf_add_str(line, STR("webhook-signature: v1,")) ||
         !base64_write((struct str){(const char *)mac, sizeof mac}, line) || !buf_add(line, "", 1)))
        r = err_set(e, ERR_NOMEM, "no memory to sign");
    wipe_free(&key);
    return r;
}

static int start(struct notify_to *t, const struct view_notify *v, const struct notify_item *item,
                 struct err *e)
{
    char id[ID_MAX], id_line[ID_MAX + 16], time_line[64];
    uint64_t now = clock_wall() / NS_PER_S;
    struct buf content = {0}, signature = {0};
    id_of(t->owner->c, &item->ev, id);
    snprintf(id_line, sizeof id_line, "webhook-id: %s", id);
    snprintf(time_line, sizeof time_line, "webhook-timestamp: %" PRIu64, now);
    buf_clear(&t->call.request);
    int r = body_of(t->owner->c, item, id, &t->call.request)
                ? 0
                : err_set(e, ERR_NOMEM, "no memory for a notification");
    if (r == 0 && (!buf_printf(&content, "%s.%" PRIu64 ".", id, now) ||
                   !buf_add_str(&content, buf_str(&t->call.request))))
        r = err_set(e, ERR_NOMEM, "no memory for a notification");
    if (r == 0 && v->key_file.n)
        r = sign(v, buf_str(&content), &signature, e);
    const char *lines[] = {id_line, time_line, signature.p};
    t->call.base = v->webhook.p;
    t->call.path = "";
    t->call.lines = lines;
    t->call.n_lines = signature.n ? 3 : 2;
    if (r == 0)
        r = etcd_call_start(t->owner->http, &t->call, e);
    t->call.lines = NULL; /* they are gone with this function */
    t->call.n_lines = 0;
    buf_free(&content);
    buf_free(&signature);
    return r;
}

static void wake(struct notifying *g)
{
    loop_timer_set(g->c->loop, &g->due, loop_now(g->c->loop));
}

static void save_later(struct notifying *g)
{
    if (!timer_is_set(&g->save))
        loop_timer_set(g->c->loop, &g->save, loop_now(g->c->loop) + SAVE_NS);
}

static enum notify_outcome outcome_of(unsigned status)
{
    if (status >= 200 && status < 300)
        return NOTIFY_SENT;
    return status == 400 || status == 413 || status == 422 ? NOTIFY_REFUSED : NOTIFY_FAILED;
}

static void on_done(struct etcd_call *call)
{
    struct notify_to *t = CONTAINER_OF(call, struct notify_to, call);
    if (call->status)
        snprintf(t->why, sizeof t->why, "it answers with status %u", call->status);
    else
        snprintf(t->why, sizeof t->why, "%.150s", call->why.text);
    notify_done(t->core, outcome_of(call->status), loop_now(t->owner->c->loop));
    save_later(t->owner);
    wake(t->owner);
}

static void send_next(struct notify_to *t)
{
    struct err e = {0};
    uint64_t now = loop_now(t->owner->c->loop);
    const struct view_notify *v = settings_of(t);
    const struct notify_item *item = v ? notify_next(t->core, now) : NULL;
    if (item && start(t, v, item, &e)) {
        snprintf(t->why, sizeof t->why, "%.150s", e.text);
        notify_done(t->core, NOTIFY_FAILED, now);
    }
}

/* ---- news ---- */

static void say(struct notify_to *t, enum notify_news what, uint64_t dropped)
{
    static const struct {
        uint8_t code, level;
    } told[] = {[NOTIFY_FAILS] = {EVENT_NOTIFY_FAILED, EVENT_WARNING},
                [NOTIFY_WORKS] = {EVENT_NOTIFY_BACK, EVENT_INFO},
                [NOTIFY_DROPS] = {EVENT_NOTIFY_DROPPED, EVENT_WARNING},
                [NOTIFY_DROPPED] = {EVENT_NOTIFY_DROPPED, EVENT_WARNING}};
    struct event *ev = control_event(t->owner->c, (enum event_code)told[what].code,
                                     (enum event_level)told[what].level);
    event_by(ev, "");
    event_subject(ev, "%s", t->name);
    if (what == NOTIFY_FAILS)
        event_text(ev, "cannot be told: %s; it is tried again, for 6 h", t->why);
    else if (what == NOTIFY_WORKS)
        event_text(ev, "can be told again; %u wait", notify_waiting(t->core));
    else if (what == NOTIFY_DROPS)
        event_text(ev, "events will not be told: %s",
                   notify_waiting(t->core) == NOTIFY_QUEUE ? "its queue is full" : t->why);
    else
        event_text(ev, "%" PRIu64 " events were not told; holdfast events has them", dropped);
    control_event_end(t->owner->c, ev);
}

static void on_due(struct timer *timer)
{
    struct notifying *g = CONTAINER_OF(timer, struct notifying, due);
    uint64_t now = loop_now(g->c->loop), at = UINT64_MAX, dropped;
    for (uint32_t i = 0; i < g->n; i++) {
        struct notify_to *t = g->to[i];
        for (enum notify_news what; (what = notify_news(t->core, &dropped)) != NOTIFY_NO_NEWS;)
            say(t, what, dropped);
        send_next(t);
    }
    for (uint32_t i = 0; i < g->n; i++)
        at = MIN(at, notify_deadline(g->to[i]->core));
    if (at != UINT64_MAX)
        loop_timer_set(g->c->loop, timer, MAX(at, now + NS_PER_MS));
    else
        loop_timer_stop(g->c->loop, timer);
}

/* ---- an event happens ---- */

static bool is_about(const struct notify_event *ev, const struct notify_to *t)
{
    return (ev->code == EVENT_NOTIFY_FAILED || ev->code == EVENT_NOTIFY_BACK) &&
           strcmp(ev->subject, t->name) == 0;
}

void notifying_event(struct control *c, const struct event *ev)
{
    struct notifying *g = c->notifying;
    if (!g || g->n == 0)
        return;
    struct notify_event offered = event_of(ev);
    bool taken = false;
    for (uint32_t i = 0; i < g->n; i++)
        if (!is_about(&offered, g->to[i]))
            taken |= notify_offer(g->to[i]->core, &offered, loop_now(c->loop));
    if (taken) {
        save_later(g);
        wake(g);
    }
}

bool notifying_counts(void *context, uint32_t i, struct admin_notify *out)
{
    const struct notifying *g = ((struct control *)context)->notifying;
    if (!g || i >= g->n)
        return false;
    struct notify_counts k = notify_counts(g->to[i]->core);
    *out = (struct admin_notify){.name = g->to[i]->name,
                                 .sent = k.sent,
                                 .failed = k.failed,
                                 .held = k.held,
                                 .dropped = k.shed + k.given_up,
                                 .waiting = notify_waiting(g->to[i]->core)};
    return true;
}

/* ---- the spool ---- */

static bool add_waiting(json_t *items, const struct notify_item *item)
{
    json_t *o = item_json(item);
    bool ok = o && put_number(o, "wall", item->ev.wall);
    if (ok)
        return json_array_append_new(items, o) == 0;
    json_decref(o);
    return false;
}

static json_t *to_json(const struct notify_to *t)
{
    json_t *items = json_array();
    bool ok = items != NULL;
    for (uint32_t i = 0; ok && i < notify_waiting(t->core); i++)
        ok = add_waiting(items, notify_at(t->core, i));
    for (uint32_t i = 0; ok && i < NOTIFY_ROWS; i++)
        if (notify_held(t->core, i))
            ok = add_waiting(items, notify_held(t->core, i));
    json_t *o = ok ? json_pack("{s:s,s:O}", "name", t->name, "items", items) : NULL;
    json_decref(items);
    return o;
}

static bool spool_text(const struct notifying *g, struct buf *out)
{
    json_t *list = json_array();
    bool ok = list != NULL;
    for (uint32_t i = 0; ok && i < g->n; i++)
        ok = json_array_append_new(list, to_json(g->to[i])) == 0;
    json_t *root = ok ? json_pack("{s:i,s:O}", "schema", 1, "notify", list) : NULL;
    json_decref(list);
    ok = root && json_dump_callback(root, append, out, JSON_COMPACT) == 0;
    json_decref(root);
    return ok && !out->failed;
}

static void save(struct notifying *g)
{
    char path[PATHS_MAX];
    struct buf text = {0};
    struct err e = {0};
    int r = paths_join(path, g->c->o.state_dir, "notify.json", &e);
    if (r == 0 && !spool_text(g, &text))
        r = err_set(&e, ERR_NOMEM, "no memory to save the notifications");
    if (r == 0)
        r = file_replace(path, buf_str(&text), 0640, &e);
    buf_free(&text);
    control_unsaved(g->c, r ? &e : NULL);
}

static void on_save(struct timer *t)
{
    save(CONTAINER_OF(t, struct notifying, save));
}

static void load(struct notifying *g)
{
    char path[PATHS_MAX];
    struct buf text = {0};
    struct err e = {0};
    json_error_t why = {.text = ""};
    int r = paths_join(path, g->c->o.state_dir, "notify.json", &e);
    if (r == 0)
        r = file_read(path, SPOOL_MAX, &text, &e);
    g->spool = r ? NULL : json_loadb(text.p ? text.p : "", text.n, 0, &why);
    if (!g->spool && r != -ERR_ABSENT)
        log_warning(g->c->log, "the notifications of before are lost: %s", r ? e.text : why.text);
    buf_free(&text);
}

static void copy_text(const json_t *o, const char *key, char *to, size_t size)
{
    const char *text = json_string_value(json_object_get(o, key));
    str_copy(to, size, str_of(text ? text : ""));
}

static uint8_t verdict_of(const json_t *o, const char *key)
{
    const char *name = json_string_value(json_object_get(o, key));
    unsigned i = 0;
    while (name && i < VERDICTS && strcmp(verdict_name((enum verdict)i), name) != 0)
        i++;
    return name && i < VERDICTS ? (uint8_t)i : 0;
}

static uint8_t reason_of(const json_t *o)
{
    const char *name = json_string_value(json_object_get(o, "reason"));
    unsigned i = 0;
    while (name && i < REASONS && strcmp(reason_name((enum reason)i), name) != 0)
        i++;
    return name && i < REASONS ? (uint8_t)i : 0;
}

/* One of a code that this version does not know is left out. */
static void restore(struct notify_to *t, const json_t *o)
{
    struct notify_item item = {
        .since = loop_now(t->owner->c->loop),
        .repeats = (uint32_t)json_integer_value(json_object_get(o, "repeats")),
        .resolved = json_is_true(json_object_get(o, "resolved")),
        .ev = {.seq = (uint64_t)json_integer_value(json_object_get(o, "seq")),
               .wall = (uint64_t)json_integer_value(json_object_get(o, "wall")),
               .code = code_of(json_string_value(json_object_get(o, "code"))),
               .level = level_of(json_string_value(json_object_get(o, "level"))),
               .judged = json_object_get(o, "to") != NULL,
               .from = verdict_of(o, "from"),
               .to = verdict_of(o, "to"),
               .reason = reason_of(o)}};
    copy_text(o, "subject", item.ev.subject, sizeof item.ev.subject);
    copy_text(o, "text", item.ev.text, sizeof item.ev.text);
    copy_text(o, "by", item.ev.by, sizeof item.ev.by);
    if (item.ev.code < EVENT_CODES && item.ev.level < EVENT_LEVELS)
        notify_push(t->core, &item);
}

static void restore_all(struct notify_to *t)
{
    json_t *one, *item;
    size_t i, k;
    json_array_foreach(json_object_get(t->owner->spool, "notify"), i, one)
    {
        const char *name = json_string_value(json_object_get(one, "name"));
        if (!name || strcmp(name, t->name) != 0)
            continue;
        json_array_foreach(json_object_get(one, "items"), k, item) restore(t, item);
    }
}

/* ---- the view ---- */

static void forget(struct notify_to *t)
{
    etcd_call_end(&t->call);
    notify_free(t->core);
    mem_free(t);
}

static struct notify_to *made(struct notifying *g, const struct view_notify *v, struct err *e)
{
    struct etcd_http_options none = {0};
    struct notify_policy p = policy_of(v);
    struct notify_to *t = mem_zero(1, sizeof *t);
    int r = t ? notify_new(&t->core, &p, clock_wall(), e)
              : err_set(e, ERR_NOMEM, "no memory for notifications");
    if (r == 0 && !g->http)
        r = etcd_http_new(&g->http, g->c->loop, &none, e);
    if (r) {
        if (t)
            notify_free(t->core);
        mem_free(t);
        return NULL;
    }
    t->owner = g;
    str_copy(t->name, sizeof t->name, v->name);
    etcd_call_init(&t->call, on_done);
    t->call.connect_ns = CONNECT_NS;
    t->call.limit_ns = LIMIT_NS;
    t->call.answer_max = ANSWER_MAX;
    restore_all(t);
    return t;
}

static struct notify_to *taken(struct notifying *g, const struct view_notify *v)
{
    struct notify_policy p = policy_of(v);
    for (uint32_t i = 0; i < g->n; i++) {
        struct notify_to *t = g->to[i];
        if (!t || !str_eq(v->name, str_of(t->name)))
            continue;
        notify_set_policy(t->core, &p);
        g->to[i] = NULL;
        return t;
    }
    return NULL;
}

/* What happened before the first view of this process: nobody could be told yet. */
static void catch_up(struct control *c)
{
    const struct event *ev = events_after(&c->events, 0);
    for (; ev; ev = events_next(&c->events, ev))
        notifying_event(c, ev);
}

void notifying_adopt(struct control *c)
{
    struct notifying *g = c->notifying;
    struct notify_to *next[VIEW_MAX_NOTIFIES];
    struct err e = {0};
    uint32_t n = 0;
    for (uint32_t i = 0; g && i < c->view->n_notifies; i++) {
        const struct view_notify *v = &c->view->notifies[i];
        struct notify_to *t = taken(g, v);
        t = t ? t : made(g, v, &e);
        if (t)
            next[n++] = t;
        else
            log_error(c->log, "nobody is told of events as " STR_FMT ": %s", STR_ARG(v->name),
                      e.text);
    }
    if (!g)
        return;
    for (uint32_t i = 0; i < g->n; i++)
        if (g->to[i])
            forget(g->to[i]);
    if (n || g->n)
        save_later(g);
    memcpy(g->to, next, n * sizeof *next);
    g->n = n;
    json_decref(g->spool);
    g->spool = NULL;
    if (!g->adopted)
        catch_up(c);
    g->adopted = true;
    wake(g);
}

void notifying_init(struct control *c)
{
    struct notifying *g = c->notifying = mem_zero(1, sizeof *g);
    if (!g) {
        log_error(c->log, "no memory for notifications: nobody is told of events");
        return;
    }
    g->c = c;
    timer_init(&g->due, on_due);
    timer_init(&g->save, on_save);
    load(g);
}

void notifying_end(struct control *c)
{
    struct notifying *g = c->notifying;
    if (!g)
        return;
    if (timer_is_set(&g->save))
        save(g);
    loop_timer_stop(c->loop, &g->due);
    loop_timer_stop(c->loop, &g->save);
    for (uint32_t i = 0; i < g->n; i++)
        forget(g->to[i]);
    etcd_http_free(g->http);
    json_decref(g->spool);
    mem_free(g);
    c->notifying = NULL;
}
