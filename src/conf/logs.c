/* The logs that are read for what they tell: of a backend, of a service, or, at the top of the
 * file, of the node. Several log statements of one log are one log with several rules. */
#include "conf/logs.h"

#include "conf/backends.h"
#include "conf/builder.h"
#include "conf/scalar.h"
#include "conf/settings.h"
#include "detect/logs/logs.h"

#define LEARN_USUALLY (300 * UINT64_C(1000000000))
#define JOURNAL       STR("journal:")

_Static_assert((int)VIEW_MAX_LOG_PATTERN == (int)RULES_PATTERN_MOST, "patterns of a view");
_Static_assert((int)VIEW_MAX_LOG_OVER == (int)RULES_OVER_MOST, "thresholds of a view");

uint32_t logs_count(const struct node *children)
{
    uint32_t n = 0;
    for (; children; children = children->next)
        n += build_is(children, "log") + logs_count(children->children);
    return n;
}

/* ---- settings ---- */

/* 5/10s */
static void read_over(struct conf *c, const struct value *v, struct view_log_rule *r)
{
    const struct setting *s = schema_setting(schema_block(BLOCK_LOG), STR("over"));
    const char *slash = v->text.n ? memchr(v->text.p, '/', v->text.n) : NULL;
    uint64_t lines = 0, window = 0;
    if (!slash) {
        settings_wrong(c, s, v, "is no number of lines in a time");
        return;
    }
    struct str first = {v->text.p, (size_t)(slash - v->text.p)};
    struct str rest = {slash + 1, v->text.n - first.n - 1};
    if (!str_u64(first, VIEW_MAX_LOG_OVER, &lines) || lines == 0)
        settings_wrong(c, s, v, "has no number of lines from 1 to 1000000 before the '/'");
    else if (scalar_duration(rest, &window) != SCALAR_OK || window < s->min || window > s->max)
        settings_wrong(c, s, v, "has no time from 1s to 1d behind the '/'");
    else
        r->over = (uint32_t)lines, r->window = window;
}

/* Compiled once here, so that a pattern that is wrong is told of with its place. */
static bool check_pattern(struct conf *c, const struct value *v, struct str text)
{
    struct logs_rule one = {.name = "match", .match = text.p, .over = 1, .window = WINDOW_PARTS};
    struct err e = {0};
    if (memchr(text.p, 0, text.n) || text.n > VIEW_MAX_LOG_PATTERN) {
        conf_complain(c, &v->place, "", "a pattern has at most %d bytes, and no NUL",
                      VIEW_MAX_LOG_PATTERN);
        return false;
    }
    struct rules *r = rules_new(&one, 1, &e);
    rules_free(r);
    if (!r && e.code == -ERR_NOMEM)
        c->nomem = true;
    const char *where = strstr(e.text, "byte ");
    if (!r && !c->nomem)
        conf_complain(c, &v->place,
                      "patterns are Perl's regular expressions; in a text a '\\' is written '\\\\'",
                      "'" STR_FMT "' is no pattern: %s", STR_ARG(conf_shown(v)),
                      where ? where : e.text);
    return r != NULL;
}

static struct str pattern(struct conf *c, const struct seen *seen, const char *key)
{
    const struct value *v = settings_value(seen, BLOCK_LOG, key);
    if (!v || v->kind == VALUE_LIST)
        return STR("");
    struct str copy = arena_str(&c->view->arena, v->text);
    c->nomem |= !copy.p;
    return copy.p && check_pattern(c, v, copy) ? copy : STR("");
}

static const char *known_packs(struct conf *c)
{
    const char *text = "";
    for (unsigned p = 0; p < LOGS_PACKS; p++)
        text = conf_text(c, "%s%s%s", text, p == 0 ? "" : ", ", logs_pack_name((enum logs_pack)p));
    return text;
}

static void add_pack(struct conf *c, const struct value *v, struct view_words *w)
{
    if (v->bad)
        return;
    if (logs_pack_of(v->text) == LOGS_PACKS) {
        conf_complain(c, &v->place, conf_text(c, "there are %s", known_packs(c)),
                      "there are no rules for '" STR_FMT "'", STR_ARG(conf_shown(v)));
        return;
    }
    for (uint32_t i = 0; i < w->n; i++)
        if (str_eq(w->list[i], v->text))
            return;
    if (!w->list)
        w->list = arena_array(&c->view->arena, LOGS_PACKS, sizeof *w->list);
    struct str copy = w->list ? arena_str(&c->view->arena, v->text) : (struct str){0};
    c->nomem |= !copy.p;
    if (copy.p)
        w->list[w->n++] = copy;
}

/* ---- one statement ---- */

static void check_readable(struct conf *c, const struct value *v, struct str path)
{
    const struct conf_env *env = c->env;
    struct err why = {0}, remedy = {0};
    if (path.n && env->readable && !env->readable(env->self, path.p, &why, &remedy))
        conf_warn(c, &v->place, conf_text(c, "%s", remedy.text), "%s", why.text);
}

/* "journal:redis" is the unit redis.service; else a path. False after a problem. */
static bool read_place(struct conf *c, const struct value *v, struct view_read_log *l)
{
    struct str unit = {v->text.p, v->text.n};
    bool journal = str_starts(v->text, JOURNAL);
    if (journal)
        unit = (struct str){v->text.p + JOURNAL.n, v->text.n - JOURNAL.n};
    if (v->kind == VALUE_LIST || unit.n == 0 || memchr(unit.p, 0, unit.n) ||
        unit.n >= VIEW_MAX_LOG_PATH || (!journal && unit.p[0] != '/')) {
        conf_complain(c, &v->place, "as in /var/log/app.log, or journal:app.service",
                      "'" STR_FMT "' is neither an absolute path nor a unit of the journal",
                      STR_ARG(conf_shown(v)));
        return false;
    }
    bool whole = memchr(unit.p, '.', unit.n) || str_eq(unit, STR("kernel"));
    const char *name = journal && !whole ? conf_text(c, STR_FMT ".service", STR_ARG(unit)) : NULL;
    struct str copy = arena_str(&c->view->arena, name ? str_of(name) : unit);
    c->nomem |= !copy.p;
    l->path = journal ? STR("") : copy;
    l->unit = journal ? copy : STR("");
    return copy.p != NULL;
}

/* The log of the same subject and place, or a new one. */
static struct view_read_log *log_of(struct builder *b, const struct view_read_log *like,
                                    uint32_t rules)
{
    for (uint32_t i = 0; i < b->v->n_logs; i++) {
        struct view_read_log *l = &b->v->logs[i];
        if (l->subject == like->subject && str_eq(l->service, like->service) &&
            str_eq(l->instance, like->instance) && str_eq(l->path, like->path) &&
            str_eq(l->unit, like->unit))
            return l;
    }
    struct view_read_log *l = &b->v->logs[b->v->n_logs];
    *l = *like;
    l->rules = build_array(b, rules, sizeof *l->rules);
    b->v->n_logs += l->rules != NULL;
    return l->rules ? l : NULL;
}

static void add_rule(struct builder *b, const struct node *n, struct view_read_log *l,
                     const struct seen *seen, const struct log_block *read)
{
    struct view_log_rule r = {.over = 1, .window = 60 * UINT64_C(1000000000), .except = STR("")};
    const struct value *over = settings_value(seen, BLOCK_LOG, "over");
    r.match = pattern(b->c, seen, "match");
    r.except = pattern(b->c, seen, "except");
    r.verdict = read->verdict ? VERDICT_FAILED : VERDICT_DEGRADED;
    if (over && over->kind != VALUE_LIST)
        read_over(b->c, over, &r);
    if (!r.match.n)
        return;
    if (l->n_rules == VIEW_MAX_LOG_RULES)
        conf_complain(b->c, &n->place, "", "more than %d rules for one log", VIEW_MAX_LOG_RULES);
    else
        l->rules[l->n_rules++] = r;
}

/* Settings that need a match. */
static void check_alone(struct conf *c, const struct seen *seen)
{
    static const char *const keys[] = {"except", "over", "verdict"};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const struct node *n = settings_seen(seen, BLOCK_LOG, keys[i]);
        if (n && !settings_seen(seen, BLOCK_LOG, "match"))
            conf_complain(c, &n->place, "add 'match = \"...\"'", "%s without match says nothing",
                          keys[i]);
    }
}

/* `siblings`: how many rules its log can have at most. */
static void add_log(struct builder *b, const struct node *n, struct view_read_log like,
                    uint32_t siblings)
{
    struct log_block read = {0};
    struct seen seen;
    const struct value *arg = backends_argument(b->c, n, BLOCK_LOG);
    settings_apply(b->c, BLOCK_LOG, n->children, &read, &seen);
    check_alone(b->c, &seen);
    if (!arg || !read_place(b->c, arg, &like))
        return;
    check_readable(b->c, arg, like.path);
    struct view_read_log *l = log_of(b, &like, siblings);
    if (!l)
        return;
    const struct value *packs = settings_value(&seen, BLOCK_LOG, "rules");
    if (packs && packs->kind != VALUE_LIST)
        add_pack(b->c, packs, &l->packs);
    for (const struct value *i = packs ? packs->items : NULL; i; i = i->next)
        add_pack(b->c, i, &l->packs);
    if (settings_seen(&seen, BLOCK_LOG, "match"))
        add_rule(b, n, l, &seen, &read);
    if (settings_seen(&seen, BLOCK_LOG, "learn"))
        l->learn = read.learn;
    else if (!packs && !settings_seen(&seen, BLOCK_LOG, "match"))
        l->learn = LEARN_USUALLY;
}

static void add_logs(struct builder *b, const struct node *children, struct view_read_log like)
{
    uint32_t n = build_count(children, "log");
    for (const struct node *k = children; k; k = k->next)
        if (build_is(k, "log"))
            add_log(b, k, like, MIN(n, (uint32_t)VIEW_MAX_LOG_RULES));
}

/* ---- all ---- */

void logs_expect(struct builder *b, const struct node *top)
{
    uint32_t n = logs_count(top);
    struct place start = {0, 0, 0};
    if (n > VIEW_MAX_LOGS)
        conf_complain(b->c, &start, "", "%u logs, more than %d", n, VIEW_MAX_LOGS);
    b->v->logs = build_array(b, MIN(n, (uint32_t)VIEW_MAX_LOGS), sizeof *b->v->logs);
    b->logs_left = b->v->logs ? MIN(n, (uint32_t)VIEW_MAX_LOGS) : 0;
}

static bool takes(struct builder *b, const struct node *children)
{
    uint32_t n = build_count(children, "log");
    bool ok = n && n <= b->logs_left;
    b->logs_left -= ok ? n : 0;
    return ok;
}

void logs_of_node(struct builder *b, const struct node *top)
{
    if (takes(b, top))
        add_logs(b, top,
                 (struct view_read_log){
                     .subject = SUBJECT_NODE, .service = STR(""), .instance = STR("")});
}

void logs_of_service(struct builder *b, const struct node *n, const struct view_service *s)
{
    struct view_read_log like = {
        .subject = SUBJECT_SERVICE, .service = s->name, .instance = STR("")};
    if (takes(b, n->children))
        add_logs(b, n->children, like);
    for (const struct backend_logs *k = b->c->logs; k; k = k->next) {
        like = (struct view_read_log){.subject = SUBJECT_INSTANCE,
                                      .service = s->name,
                                      .instance = s->instances[k->instance].name};
        if (takes(b, k->node->children))
            add_logs(b, k->node->children, like);
    }
    b->c->logs = NULL;
}

void logs_of_backend(struct conf *c, const struct node *n, uint32_t instance)
{
    struct backend_logs *k =
        build_count(n->children, "log") ? arena_alloc(&c->arena, sizeof *k) : NULL;
    if (!k) {
        c->nomem |= build_count(n->children, "log") > 0;
        return;
    }
    *k = (struct backend_logs){.node = n, .instance = instance, .next = c->logs};
    c->logs = k;
}

void logs_no_place(struct conf *c, const struct node *n, const char *why)
{
    for (const struct node *k = n->children; k; k = k->next)
        if (build_is(k, "log"))
            conf_complain(c, &k->place, "", "%s", why);
}
