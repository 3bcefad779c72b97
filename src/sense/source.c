#include "sense/source.h"

#include <stdarg.h>
#include <stdio.h>

#include "sense/keep.h"
#include "view/cells.h"

/* ---- which it is ---- */

static uint64_t mix(uint64_t h, const void *p, size_t n)
{
    const unsigned char *c = p;
    for (size_t i = 0; i < n; i++)
        h = (h ^ c[i]) * UINT64_C(1099511628211);
    return h;
}

static uint64_t mix_str(uint64_t h, struct str s)
{
    uint64_t n = s.n;
    return mix(mix(h, &n, sizeof n), s.p, s.n);
}

uint64_t source_key(const struct view_read_log *l)
{
    uint64_t h = mix(UINT64_C(14695981039346656037), &l->subject, 1);
    h = mix_str(mix_str(h, l->service), l->instance);
    return mix_str(mix_str(h, l->path), l->unit);
}

uint64_t source_shape(const struct view_read_log *l)
{
    uint64_t h = source_key(l);
    for (uint32_t i = 0; i < l->n_rules; i++) {
        const struct view_log_rule *r = &l->rules[i];
        h = mix_str(mix_str(h, r->match), r->except);
        h = mix(mix(mix(h, &r->over, 4), &r->window, 8), &r->verdict, 1);
    }
    for (uint32_t i = 0; i < l->packs.n; i++)
        h = mix_str(h, l->packs.list[i]);
    return mix(h, &l->learn, sizeof l->learn);
}

/* ---- what is found ---- */

struct said {
    char text[FINDING_SAYS];
};

/* "5 lines matched FATAL|PANIC in 10s in /var/log/app.log", "redis-save: a line in ..." */
__attribute__((format(printf, 2, 3))) static void say_into(struct said *out, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(out->text, sizeof out->text, fmt, args);
    va_end(args);
}

static void say_rule(const struct source *s, const struct logs_finding *f, struct said *out)
{
    const struct logs_rule *r = f->rule;
    double window = (double)r->window / (double)NS_PER_S;
    bool pack = r->name[0] != 0;
    const struct view_log_rule *own = NULL;
    for (uint32_t i = 0; !pack && i < s->log.n_rules; i++)
        if (r == rules_get(s->rules, i))
            own = &s->log.rules[i];
    say_into(out, "%llu line%s of %.60s matched %.70s in %g s (%u in %g s are too many)",
             (unsigned long long)f->lines, f->lines == 1 ? "" : "s", s->place,
             pack  ? r->name
             : own ? own->match.p
                   : "a rule",
             window, r->over, window);
}

static void say_rate(const struct source *s, const struct logs_finding *f, struct said *out)
{
    say_into(out, "%llu lines of a kind in 5 s where there were %.1f before, in %.60s: %.*s",
             (unsigned long long)f->lines, (double)f->was, s->place, (int)MIN(f->text.n, 60u),
             f->text.p);
}

static void say_other(const struct source *s, const struct logs_finding *f, struct said *out)
{
    if (f->kind == LOGS_NEW_ERROR)
        say_into(out, "an error of a kind that was not there while %.60s was learnt: %.*s",
                 s->place, (int)MIN(f->text.n, 90u), f->text.p);
    else
        say_into(out, "%llu bytes of %.60s were skipped: they came faster than they can be read",
                 (unsigned long long)f->lines, s->place);
}

static uint64_t key_of(const struct source *s, const struct logs_finding *f)
{
    uint64_t key = mix(s->key, &f->kind, sizeof f->kind);
    for (uint32_t i = 0; f->rule && i < rules_n(s->rules); i++)
        if (f->rule == rules_get(s->rules, i))
            return mix(key, &i, sizeof i);
    return mix(key, &f->template, sizeof f->template);
}

static void on_found(void *context, const struct logs_finding *f)
{
    static const enum finding_kind kinds[LOGS_KINDS] = {FINDING_LOG_RULE, FINDING_LOG_NEW_ERROR,
                                                        FINDING_LOG_RATE, FINDING_LOG_FLOOD};
    struct source *s = context;
    struct said said;
    if (f->kind == LOGS_RULE)
        say_rule(s, f, &said);
    else if (f->kind == LOGS_RATE)
        say_rate(s, f, &said);
    else
        say_other(s, f, &said);
    sense_say(s->sense, &(struct sense_finding){
                            .gone = s->ending || !f->raised,
                            .subject = (enum subject_kind)s->log.subject,
                            .name = str_of(s->name),
                            .signal = {.at = loop_now(sense_loop(s->sense)),
                                       .kind = kinds[f->kind],
                                       .verdict = f->rule && f->rule->failed ? VERDICT_FAILED
                                                                             : VERDICT_DEGRADED,
                                       .key = key_of(s, f),
                                       .weight = 1,
                                       .says = str_of(said.text),
                                       .sample = f->kind == LOGS_FLOOD ? STR("") : f->text}});
}

/* ---- what is read ---- */

static struct process_row *row_of(const struct source *s)
{
    return sense_host(s->sense)->row;
}

static void on_bytes(void *context, struct lines *file, struct str bytes, uint64_t now)
{
    struct source *s = context;
    uint64_t lines = logs_counts(s->core)->lines;
    logs_feed(s->core, file, bytes, now);
    s->moved = true;
    cell_add(&row_of(s)->log_bytes, bytes.n);
    cell_add(&row_of(s)->log_lines, logs_counts(s->core)->lines - lines);
}

static void on_end(void *context, struct lines *file, uint64_t now)
{
    struct source *s = context;
    uint64_t lines = logs_counts(s->core)->lines;
    logs_end(s->core, file, now);
    cell_add(&row_of(s)->log_lines, logs_counts(s->core)->lines - lines);
}

static void on_shed(void *context, uint64_t bytes, uint64_t lines, uint64_t now)
{
    struct source *s = context;
    s->moved = true;
    cell_add(&row_of(s)->log_shed_bytes, bytes);
    cell_add(&row_of(s)->log_shed_lines, lines);
    logs_shed(s->core, bytes, now);
}

static void on_state(void *context, enum follow_state state, const char *text)
{
    struct source *s = context;
    bool warns = state == FOLLOW_DENIED || state == FOLLOW_UNFIT || state == FOLLOW_FAILS;
    if (text && *text)
        sense_log(s->sense, warns, "%s", text);
    else
        sense_log(s->sense, warns, "%s: %s", s->place, follow_state_name(state));
}

/* ---- the files that are kept ---- */

static struct str file_of(const struct source *s, const char *ending, char out[64])
{
    int n = snprintf(out, 64, "%016llx.%s", (unsigned long long)s->key, ending);
    return (struct str){out, (size_t)n};
}

static void keep_place(struct source *s, uint64_t now)
{
    struct buf b = {0};
    char name[64];
    s->placed = now;
    s->moved = false;
    if (!s->follow)
        return;
    follow_save(s->follow, &b);
    if (!b.failed)
        keep_write(sense_host(s->sense)->folder, file_of(s, "at", name).p, buf_str(&b));
    buf_free(&b);
}

static void keep_learnt(struct source *s, uint64_t now)
{
    struct buf b = {0};
    char name[64];
    s->learnt = now;
    if (!s->log.learn)
        return;
    logs_baseline_put(s->core, &b);
    if (!b.failed)
        keep_write(sense_host(s->sense)->folder, file_of(s, "learnt", name).p, buf_str(&b));
    buf_free(&b);
}

static void get_learnt(struct source *s)
{
    struct buf b = {0};
    struct err e = {0};
    char name[64];
    if (!s->log.learn || !keep_read(sense_host(s->sense)->folder, file_of(s, "learnt", name).p,
                                    LOGS_BASELINE_MOST, &b))
        return;
    if (logs_baseline_get(s->core, buf_str(&b), &e))
        sense_log(s->sense, true, "%s: %s", s->place, e.text);
    buf_free(&b);
}

/* ---- its life ---- */

/* Texts of the view are not terminated everywhere, and go with it. */
static const char *copy(struct source *s, struct str text)
{
    struct str c = arena_str(&s->arena, text);
    return c.p;
}

static uint32_t count_rules(const struct view_read_log *l)
{
    uint32_t n = l->n_rules, more;
    for (uint32_t i = 0; i < l->packs.n; i++) {
        enum logs_pack p = logs_pack_of(l->packs.list[i]);
        if (p < LOGS_PACKS && logs_pack_rules(p, &more))
            n += more;
    }
    return n;
}

static bool fill_rules(struct source *s, const struct view_read_log *l, struct logs_rule *all)
{
    uint32_t n = 0, more;
    for (; n < l->n_rules; n++) {
        const struct view_log_rule *r = &l->rules[n];
        s->log.rules[n].match.p = copy(s, r->match);
        all[n] = (struct logs_rule){.name = "",
                                    .match = s->log.rules[n].match.p,
                                    .except = r->except.n ? copy(s, r->except) : NULL,
                                    .over = r->over,
                                    .window = r->window,
                                    .failed = r->verdict == VERDICT_FAILED};
        if (!all[n].match || (r->except.n && !all[n].except))
            return false;
    }
    for (uint32_t i = 0; i < l->packs.n; i++) {
        enum logs_pack p = logs_pack_of(l->packs.list[i]);
        if (p == LOGS_PACKS)
            continue;
        const struct logs_rule *pack = logs_pack_rules(p, &more);
        memcpy(all + n, pack, more * sizeof *all);
        n += more;
    }
    return true;
}

static int make_rules(struct source *s, const struct view_read_log *l, struct err *e)
{
    uint32_t n = count_rules(l);
    if (n == 0)
        return 0;
    struct logs_rule *all = arena_array(&s->arena, n, sizeof *all);
    s->log.rules = arena_array(&s->arena, MAX(l->n_rules, 1u), sizeof *s->log.rules);
    if (!all || !s->log.rules)
        return err_set(e, ERR_NOMEM, "no memory for rules");
    if (l->n_rules)
        memcpy(s->log.rules, l->rules, l->n_rules * sizeof *l->rules);
    if (!fill_rules(s, l, all))
        return err_set(e, ERR_NOMEM, "no memory for rules");
    s->rules = rules_new(all, n, e);
    return s->rules ? 0 : e->code;
}

static bool name_it(struct source *s, const struct view_read_log *l)
{
    if (l->subject == SUBJECT_NODE)
        snprintf(s->name, sizeof s->name, "%s", sense_host(s->sense)->node);
    else
        snprintf(s->name, sizeof s->name, STR_FMT "%s" STR_FMT, STR_ARG(l->service),
                 l->instance.n ? "/" : "", STR_ARG(l->instance));
    struct buf b = {0};
    buf_printf(&b, "%s" STR_FMT STR_FMT, l->unit.n ? "journal:" : "", STR_ARG(l->path),
               STR_ARG(l->unit));
    s->place = b.failed ? NULL : copy(s, buf_str(&b));
    buf_free(&b);
    return s->place != NULL;
}

static int begin_core(struct source *s, struct err *e)
{
    struct logs_params p = {.rules = s->rules,
                            .learn = s->log.learn != 0,
                            .learning = s->log.learn,
                            .found = on_found,
                            .context = s};
    s->core = logs_new(&p, loop_now(sense_loop(s->sense)));
    if (!s->core)
        return err_set(e, ERR_NOMEM, "no memory to read a log");
    get_learnt(s);
    return 0;
}

static int begin_reading(struct source *s, struct follows *follows, const struct view_read_log *l,
                         struct err *e)
{
    struct follow_owner owner = {s, on_bytes, on_end, on_shed, on_state};
    struct buf saved = {0};
    char name[64];
    if (!str_eq(str_of(s->place), l->path))
        return err_set(e, ERR_ABSENT, "the journal cannot be read");
    keep_read(sense_host(s->sense)->folder, file_of(s, "at", name).p, FOLLOW_SAVED_MOST, &saved);
    int r = follow_start(follows, s->place, &owner, buf_str(&saved), &s->follow, e);
    buf_free(&saved);
    return r;
}

static int begin(struct source *s, struct follows *follows, const struct view_read_log *l,
                 struct err *e)
{
    s->log =
        (struct view_read_log){.subject = l->subject, .learn = l->learn, .n_rules = l->n_rules};
    s->key = source_key(l);
    s->shape = source_shape(l);
    s->learnt = s->placed = s->repeated = loop_now(sense_loop(s->sense));
    if (!name_it(s, l))
        return err_set(e, ERR_NOMEM, "no memory to read a log");
    int r = make_rules(s, l, e);
    r = r ? r : begin_core(s, e);
    return r ? r : begin_reading(s, follows, l, e);
}

struct source *source_new(struct sense *sense, struct follows *follows,
                          const struct view_read_log *l, struct err *e)
{
    struct source *s = mem_zero(1, sizeof *s);
    if (!s) {
        err_set(e, ERR_NOMEM, "no memory to read a log");
        return NULL;
    }
    list_init(&s->link);
    s->sense = sense;
    if (begin(s, follows, l, e) == 0)
        return s;
    source_free(s, false);
    return NULL;
}

void source_free(struct source *s, bool over)
{
    list_remove(&s->link);
    if (s->core && s->follow) {
        uint64_t now = loop_now(sense_loop(s->sense));
        keep_place(s, now);
        keep_learnt(s, now);
    }
    follow_stop(s->follow);
    s->ending = over;
    if (s->core && over)
        logs_tell(s->core);
    logs_free(s->core);
    rules_free(s->rules);
    arena_free(&s->arena);
    mem_free(s);
}

/* ---- time ---- */

void source_repeat(struct source *s)
{
    s->repeated = loop_now(sense_loop(s->sense));
    logs_tell(s->core);
}

uint64_t source_due(const struct source *s)
{
    return MIN(logs_due(s->core), s->repeated + SENSE_REPEAT);
}

void source_tick(struct source *s, uint64_t now)
{
    logs_tick(s->core, now);
    if (now - s->repeated >= SENSE_REPEAT)
        source_repeat(s);
    if (s->moved && now - s->placed >= SOURCE_KEEP_PLACE)
        keep_place(s, now);
    if (now - s->learnt >= SOURCE_KEEP_LEARNT)
        keep_learnt(s, now);
}
