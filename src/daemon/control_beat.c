/* Jobs that say themselves that they live: one watch (detect/beat.h) for each beat of the view.
 *
 * Beats come by the admin API (who may use it may beat) and over the network (beat_door.c), where a
 * beat that has a token must bring it. What becomes of a watch is told by events: missing, failed,
 * back.
 *
 * The file STATE/beats.json lets them outlive this process and the boot. It has times of the wall
 * clock, which alone goes on while the machine is off; a watch itself knows ages only. It is
 * written at most once in SAVE_NS: what came in between is lost with a crash, and forgiven by
 * beat_restore's grace. Sockets belong to the supervisor, so that what comes while control restarts
 * waits in them. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "daemon/control.h"
#include "daemon/paths.h"

#define SAVE_NS NS_PER_S

enum { BEATS_MAX_BYTES = 4 * 1024 * 1024 };

/* ---- what is told ---- */

static void tell(struct control *c, const struct beat_row *row, enum verdict was)
{
    static const struct {
        uint8_t code, level;
    } by_reason[REASONS] = {
        [REASON_BEAT_MISSING] = {EVENT_BEAT_MISSING, EVENT_WARNING},
        [REASON_BEAT_FAILED] = {EVENT_BEAT_FAILED, EVENT_WARNING},
        [REASON_BEATS] = {EVENT_BEAT_BACK, EVENT_INFO},
    };
    const struct beat_watch *w = &row->watch;
    uint8_t code = by_reason[w->reason].code;
    if (code == 0 || (code == EVENT_BEAT_BACK && was != VERDICT_FAILED))
        return;
    char why[EVENT_TEXT_MAX];
    beat_explain(w, loop_now(c->loop), why, sizeof why);
    struct event *ev =
        control_event(c, (enum event_code)code, (enum event_level)by_reason[w->reason].level);
    event_subject(ev, "%s", row->name);
    event_text(ev, "%s", why);
    ev->from = (uint8_t)was;
    ev->to = (uint8_t)w->verdict;
    ev->reason = (uint8_t)w->reason;
    _Static_assert((int)BEAT_EVIDENCE <= (int)JUDGE_EVIDENCE, "an event holds it all");
    uint64_t n = MIN(w->evidence_n, (uint64_t)BEAT_EVIDENCE);
    for (uint64_t i = 0; i < n; i++)
        ev->evidence[i] = w->evidence[(w->evidence_n - n + i) % BEAT_EVIDENCE];
    ev->n_evidence = (uint8_t)n;
    char rule[AUDIT_TEXT_MAX];
    judge_rule(w->reason, NULL, rule, sizeof rule);
    audit_rule(c, "%s", rule);
    control_event_end(c, ev);
}

static void save_later(struct control *c)
{
    if (!timer_is_set(&c->beating.save))
        loop_timer_set(c->loop, &c->beating.save, loop_now(c->loop) + SAVE_NS);
}

static void tick(struct control *c, struct beat_row *row)
{
    enum verdict was = row->watch.verdict;
    if (!beat_tick(&row->watch, loop_now(c->loop)))
        return;
    tell(c, row, was);
    save_later(c);
}

static void plan(struct control *c)
{
    struct beating *b = &c->beating;
    uint64_t at = UINT64_MAX;
    for (uint32_t i = 0; c->view && i < b->n; i++)
        at = MIN(at, beat_deadline(&b->rows[i].watch));
    if (at == UINT64_MAX)
        loop_timer_stop(c->loop, &b->due);
    else
        loop_timer_set(c->loop, &b->due, MAX(at, loop_now(c->loop) + NS_PER_MS));
}

static void on_due(struct timer *t)
{
    struct control *c = CONTAINER_OF(t, struct control, beating.due);
    for (uint32_t i = 0; i < c->beating.n; i++)
        if (beat_deadline(&c->beating.rows[i].watch) <= loop_now(c->loop))
            tick(c, &c->beating.rows[i]);
    plan(c);
}

/* ---- what comes ---- */

void beating_take(struct control *c, uint32_t index, bool failed, struct str text)
{
    struct beating *b = &c->beating;
    CHECK(c->view && index < b->n);
    struct beat_row *row = &b->rows[index];
    uint64_t due = beat_deadline(&row->watch);
    struct signal s = {
        .at = loop_now(c->loop), .count = 1, .kind = failed ? SIGNAL_BEAT_FAILED : SIGNAL_BEAT_OK};
    tick(c, row); /* what was missed until now was missed */
    enum verdict was = row->watch.verdict;
    if (beat_signal(&row->watch, &s, text))
        tell(c, row, was);
    save_later(c);
    /* Its deadline moved on: the timer fires once in vain at the old one, which costs less than to
     * look at all watches with each beat. */
    if (due == UINT64_MAX || !timer_is_set(&b->due) || beat_deadline(&row->watch) < b->due.at)
        plan(c);
}

static bool on_line(void *context, const struct beat_line *l)
{
    struct control *c = context;
    uint8_t digest[DIGEST_BYTES] = {0};
    bool ok = c->view && (l->token.n == 0 || digest_sha256(l->token, digest));
    for (uint32_t i = 0; ok && i < c->view->n_beats; i++) {
        const struct view_beat *b = &c->view->beats[i];
        if (!str_eq(b->name, l->name))
            continue;
        if (b->secret && (l->token.n == 0 || !digest_same(b->digest, digest)))
            return false;
        beating_take(c, i, l->failed, l->text);
        return true;
    }
    return false;
}

const struct beat_watch *beating_watch(const struct control *c, uint32_t index)
{
    return c->view && index < c->beating.n ? &c->beating.rows[index].watch : NULL;
}

/* ---- the file ---- */

static json_t *row_json(const struct beat_row *row, uint64_t now, uint64_t wall)
{
    struct beat_memory m;
    beat_remember(&row->watch, now, &m);
    json_t *text = json_string(m.text);
    return json_pack("{s:s, s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:o}", "name", row->name, "reason",
                     reason_name((enum reason)m.reason), "heard", m.heard, "last",
                     (json_int_t)((wall - m.age) / NS_PER_MS), "since",
                     (json_int_t)((wall - m.since_age) / NS_PER_MS), "beats", (json_int_t)m.beats,
                     "failures", (json_int_t)m.failures, "missed", (json_int_t)m.missed, "text",
                     text ? text : json_string(""));
}

static int append(const char *p, size_t n, void *out)
{
    return buf_add(out, p, n) ? 0 : -1;
}

static bool file_text(const struct control *c, struct buf *out)
{
    json_t *list = json_array(), *root = NULL;
    uint64_t wall = clock_wall();
    bool ok = list != NULL;
    for (uint32_t i = 0; ok && i < c->beating.n; i++)
        ok = json_array_append_new(list, row_json(&c->beating.rows[i], loop_now(c->loop), wall)) ==
             0;
    if (ok)
        root = json_pack("{s:i,s:O}", "schema", 1, "beats", list);
    json_decref(list);
    ok =
        root && json_dump_callback(root, append, out, JSON_INDENT(1)) == 0 && buf_add(out, "\n", 1);
    json_decref(root);
    return ok && !out->failed; /* jansson passes over a key that could not be written */
}

static void save(struct control *c)
{
    char path[PATHS_MAX];
    struct buf text = {0};
    struct err e = {0};
    int r = paths_join(path, c->o.state_dir, "beats.json", &e);
    if (r == 0 && !file_text(c, &text))
        r = err_set(&e, ERR_NOMEM, "no memory to save the beats");
    if (r == 0)
        r = file_replace(path, buf_str(&text), 0640, &e);
    buf_free(&text);
    control_unsaved(c, r ? &e : NULL);
}

static void on_save(struct timer *t)
{
    save(CONTAINER_OF(t, struct control, beating.save));
}

static uint8_t reason_of(const char *name)
{
    for (unsigned r = REASON_BEAT_AWAITED; name && r < REASONS; r++)
        if (strcmp(reason_name((enum reason)r), name) == 0)
            return (uint8_t)r;
    return REASONS;
}

/* A clock that was set back makes no beat come from the future. */
static uint64_t age_of(const json_t *o, const char *key, uint64_t wall)
{
    json_int_t ms = json_integer_value(json_object_get(o, key));
    if (ms < 0 || (uint64_t)ms >= wall / NS_PER_MS)
        return 0;
    return wall - (uint64_t)ms * NS_PER_MS;
}

static uint64_t count_of(const json_t *o, const char *key)
{
    json_int_t n = json_integer_value(json_object_get(o, key));
    return n > 0 ? (uint64_t)n : 0;
}

static bool read_row(struct beat_row *row, const json_t *o, uint64_t now, uint64_t wall)
{
    static const struct beat_params unknown = {0, 0}; /* until the view says them */
    const char *name = json_string_value(json_object_get(o, "name"));
    const char *text = json_string_value(json_object_get(o, "text"));
    struct beat_memory m = {
        .age = age_of(o, "last", wall),
        .since_age = age_of(o, "since", wall),
        .heard = json_is_true(json_object_get(o, "heard")),
        .reason = reason_of(json_string_value(json_object_get(o, "reason"))),
        .beats = count_of(o, "beats"),
        .failures = count_of(o, "failures"),
        .missed = count_of(o, "missed"),
    };
    if (!name || !*name || strlen(name) > BEAT_NAME_MAX)
        return false;
    str_copy(row->name, sizeof row->name, str_of(name));
    str_copy(m.text, sizeof m.text, str_of(text ? text : ""));
    beat_init(&row->watch, &unknown, now);
    beat_restore(&row->watch, &m);
    return true;
}

static void read_rows(struct control *c, json_t *root)
{
    struct beating *b = &c->beating;
    json_t *list = json_object_get(root, "beats"), *one;
    size_t i, n = MIN(json_array_size(list), (size_t)VIEW_MAX_BEATS);
    b->rows = mem_zero(MAX(n, (size_t)1), sizeof *b->rows);
    if (!b->rows) {
        log_warning(c->log, "the beats of before are lost: no memory");
        return;
    }
    json_array_foreach(list, i, one)
    {
        if (i < n && read_row(&b->rows[b->n], one, loop_now(c->loop), clock_wall()))
            b->n++;
    }
}

static void load(struct control *c)
{
    char path[PATHS_MAX];
    struct buf text = {0};
    struct err e = {0};
    int r = paths_join(path, c->o.state_dir, "beats.json", &e);
    if (r == 0)
        r = file_read(path, BEATS_MAX_BYTES, &text, &e);
    json_error_t why;
    json_t *root = r ? NULL : json_loadb(text.p ? text.p : "", text.n, 0, &why);
    if (root)
        read_rows(c, root);
    else if (r != -ERR_ABSENT)
        log_warning(c->log, "the beats of before are lost: %s", r ? e.text : why.text);
    json_decref(root);
    buf_free(&text);
}

/* ---- the view ---- */

static const struct beat_row *find(const struct beating *b, struct str name, uint32_t at)
{
    if (at < b->n && str_eq(str_of(b->rows[at].name), name))
        return &b->rows[at]; /* where it was */
    for (uint32_t i = 0; i < b->n; i++)
        if (str_eq(str_of(b->rows[i].name), name))
            return &b->rows[i];
    return NULL;
}

void beating_adopt(struct control *c)
{
    struct beating *b = &c->beating;
    uint32_t n = c->view->n_beats;
    bool kept = n == b->n;
    struct beat_row *rows = mem_zero(MAX(n, 1u), sizeof *rows);
    if (!rows) { /* the rows must be those of the view */
        log_error(c->log, "no memory to watch %u beats", n);
        b->n = 0;
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        const struct view_beat *v = &c->view->beats[i];
        struct beat_params p = {v->every, v->grace};
        const struct beat_row *was = find(b, v->name, i);
        kept &= was != NULL;
        if (was)
            rows[i] = *was;
        else
            beat_init(&rows[i].watch, &p, loop_now(c->loop));
        beat_set_params(&rows[i].watch, &p);
        str_copy(rows[i].name, sizeof rows[i].name, v->name);
    }
    mem_free(b->rows);
    b->rows = rows;
    b->n = n;
    if (!kept)
        save_later(c);
    plan(c);
}

int beating_init(struct control *c, struct err *e)
{
    struct beat_door_owner owner = {c, on_line};
    timer_init(&c->beating.due, on_due);
    timer_init(&c->beating.save, on_save);
    load(c);
    return beat_doors_new(&c->beating.doors, c->loop, &owner, e);
}

void beating_end(struct control *c)
{
    struct beating *b = &c->beating;
    beat_doors_free(b->doors);
    if (timer_is_set(&b->save))
        save(c);
    if (b->due.on_fire) {
        loop_timer_stop(c->loop, &b->due);
        loop_timer_stop(c->loop, &b->save);
    }
    mem_free(b->rows);
    *b = (struct beating){0};
}
