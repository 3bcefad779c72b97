#include "detect/logs/source.h"

const char *logs_kind_name(enum logs_kind k)
{
    static const char *const names[LOGS_KINDS] = {"log-rule", "log-new-error", "log-rate",
                                                  "log-flood"};
    return names[k];
}

static void tell(struct logs *l, const struct logs_finding *f)
{
    l->counts.raised[f->kind] += f->raised;
    if (l->p.found)
        l->p.found(l->p.context, f);
}

/* ---- rules ---- */

static void tell_rule(struct logs *l, uint32_t i, bool raised, struct str line)
{
    l->rules[i].raised = raised;
    tell(l, &(struct logs_finding){.kind = LOGS_RULE,
                                   .raised = raised,
                                   .rule = rules_get(l->p.rules, i),
                                   .lines = l->rules[i].window.sum,
                                   .text = line});
}

static void matched(void *context, uint32_t i)
{
    struct logs *l = context;
    const struct logs_rule *rule = rules_get(l->p.rules, i);
    struct rule_state *s = &l->rules[i];
    l->counts.matched++;
    window_add(&s->window, rule->window, l->now, 1);
    if (!s->raised && s->window.sum >= rule->over)
        tell_rule(l, i, true, l->line);
}

static void clear_rules(struct logs *l)
{
    uint32_t n = l->p.rules ? rules_n(l->p.rules) : 0;
    for (uint32_t i = 0; i < n; i++) {
        const struct logs_rule *rule = rules_get(l->p.rules, i);
        struct rule_state *s = &l->rules[i];
        if (s->raised && window_sum(&s->window, rule->window, l->now) <= rule->over / 2)
            tell_rule(l, i, false, (struct str){0});
    }
}

/* ---- templates ---- */

static void tell_template(struct logs *l, enum logs_kind kind, const struct template *t,
                          bool raised)
{
    tell(l, &(struct logs_finding){.kind = kind,
                                   .raised = raised,
                                   .template = t->id,
                                   .change = (enum rate_change)t->rate.change,
                                   .lines = t->window,
                                   .was = t->rate.was,
                                   .text = template_text(t)});
}

static bool is_raised(const struct template *t, enum logs_kind kind)
{
    return t->raised >> kind & 1;
}

static void raise_template(struct logs *l, enum logs_kind kind, struct template *t)
{
    if (is_raised(t, kind) || l->raised[kind] >= LOGS_RAISED_MOST)
        return;
    t->raised |= (uint8_t)(1 << kind);
    l->raised[kind]++;
    tell_template(l, kind, t, true);
}

static void clear_template(struct logs *l, enum logs_kind kind, struct template *t)
{
    if (!is_raised(t, kind))
        return;
    t->raised &= (uint8_t) ~(1 << kind);
    l->raised[kind]--;
    tell_template(l, kind, t, false);
}

/* The miner lets a template go: whatever was raised for it ends. */
static void gone(void *context, struct template *t, struct template *into)
{
    struct logs *l = context;
    l->counts.joined += into != NULL;
    l->counts.forgotten += !into;
    clear_template(l, LOGS_NEW_ERROR, t);
    clear_template(l, LOGS_RATE, t);
}

static void mine(struct logs *l, struct str line)
{
    bool founded;
    struct template *t = miner_line(l->miner, line, &founded);
    if (!t) {
        l->counts.unmined++;
        return;
    }
    l->counts.founded += founded;
    if (__builtin_expect(t->known, 1))
        return;
    if (!logs_learnt(l) || !t->error)
        t->known = true;
    else
        raise_template(l, LOGS_NEW_ERROR, t);
}

static void quieten(struct logs *l, struct template *t)
{
    if (!is_raised(t, LOGS_NEW_ERROR))
        return;
    t->quiet = t->window ? 0 : (uint8_t)(t->quiet + 1);
    if (t->quiet < LOGS_QUIET)
        return;
    t->quiet = 0;
    t->known = ++t->times >= LOGS_TIMES;
    clear_template(l, LOGS_NEW_ERROR, t);
}

static void tick_template(struct logs *l, struct template *t, struct rate_tick tick)
{
    tick.lines = t->window;
    tick.error = t->error;
    if (rate_tick(&t->rate, &tick)) {
        if (t->rate.change != RATE_STEADY)
            raise_template(l, LOGS_RATE, t);
        else
            clear_template(l, LOGS_RATE, t);
    }
}

static float growth(const struct logs *l)
{
    return l->total.ticks >= l->learn && l->total.mean > 1 ? (float)l->tick_lines / l->total.mean
                                                           : 1;
}

static void tick_total(struct logs *l, struct rate_tick tick)
{
    tick.lines = l->tick_lines;
    tick.growth = 1;
    tick.total = true;
    if (!rate_tick(&l->total, &tick))
        return;
    tell(l, &(struct logs_finding){.kind = LOGS_RATE,
                                   .raised = l->total.change != RATE_STEADY,
                                   .change = (enum rate_change)l->total.change,
                                   .lines = l->tick_lines,
                                   .was = l->total.was,
                                   .text = STR("all lines")});
}

static void tick_templates(struct logs *l, bool judged)
{
    if (!l->miner)
        return;
    struct rate_tick tick = {
        .growth = growth(l), .learn = l->learn, .tests = miner_templates(l->miner)};
    for (uint32_t i = 0; i < miner_slots(l->miner); i++) {
        struct template *t = miner_slot(l->miner, i);
        if (!t)
            continue;
        quieten(l, t);
        if (judged)
            tick_template(l, t, tick);
        t->window = 0;
    }
    if (judged)
        tick_total(l, tick);
    l->ticks += judged && l->ticks < l->learn;
}

/* ---- time ---- */

static void tick_flood(struct logs *l)
{
    l->flood_quiet = l->tick_shed ? 0 : l->flood_quiet + 1;
    if (!l->flood || l->flood_quiet < LOGS_QUIET)
        return;
    l->flood = false;
    tell(l, &(struct logs_finding){.kind = LOGS_FLOOD, .lines = l->counts.shed});
}

void logs_tick(struct logs *l, uint64_t now)
{
    l->now = MAX(l->now, now);
    if (l->now < l->due)
        return;
    uint64_t late = (l->now - l->due) / RATES_TICK;
    bool paused = late >= LOGS_PAUSE;
    uint64_t n = paused ? 1 : late + 1;
    l->due += (late + 1) * RATES_TICK;
    for (uint64_t i = 0; i < n; i++) {
        tick_templates(l, !paused && !l->tick_shed);
        tick_flood(l);
        l->tick_lines = 0;
        l->tick_shed = false;
    }
    clear_rules(l);
}

uint64_t logs_due(const struct logs *l)
{
    return l->due;
}

/* ---- lines ---- */

static inline void one_line(struct logs *l, struct str line)
{
    l->counts.lines++;
    l->tick_lines++;
    l->line = line;
    if (l->p.rules)
        rules_match(l->p.rules, line, matched, l);
    if (l->miner)
        mine(l, line);
}

void logs_line(struct logs *l, struct str line, uint64_t now)
{
    logs_tick(l, now);
    l->counts.bytes += line.n;
    line.n = MIN(line.n, LINES_LONGEST);
    one_line(l, line);
}

void logs_feed(struct logs *l, struct lines *file, struct str bytes, uint64_t now)
{
    struct str line;
    logs_tick(l, now);
    l->counts.bytes += bytes.n;
    while (lines_next(file, &bytes, &line))
        one_line(l, line);
}

void logs_end(struct logs *l, struct lines *file, uint64_t now)
{
    struct str line;
    logs_tick(l, now);
    if (lines_last(file, &line))
        one_line(l, line);
}

void logs_shed(struct logs *l, uint64_t bytes, uint64_t now)
{
    logs_tick(l, now);
    l->counts.shed += bytes;
    l->tick_shed = true;
    if (l->flood)
        return;
    l->flood = true;
    l->flood_quiet = 0;
    tell(l, &(struct logs_finding){.kind = LOGS_FLOOD, .raised = true, .lines = bytes});
}

/* ---- as a whole ---- */

struct logs *logs_new(const struct logs_params *p, uint64_t now)
{
    struct logs *l = mem_zero(1, sizeof *l);
    if (!l)
        return NULL;
    l->p = *p;
    l->now = now;
    l->due = now + RATES_TICK;
    uint64_t ticks = p->learning ? p->learning / RATES_TICK : RATES_LEAST;
    l->learn = (uint32_t)MIN(MAX(ticks, LOGS_LEARN_LEAST), UINT32_MAX);
    uint32_t n = p->rules ? rules_n(p->rules) : 0;
    l->rules = mem_zero(MAX(n, 1), sizeof *l->rules);
    l->miner = p->learn ? miner_new(MINER_MOST, gone, l) : NULL;
    if (!l->rules || (p->learn && !l->miner)) {
        logs_free(l);
        return NULL;
    }
    return l;
}

void logs_free(struct logs *l)
{
    if (!l)
        return;
    miner_free(l->miner);
    mem_free(l->rules);
    mem_free(l);
}

bool logs_learnt(const struct logs *l)
{
    return l->ticks >= l->learn;
}

const struct logs_counts *logs_counts(const struct logs *l)
{
    return &l->counts;
}

const struct miner *logs_miner(const struct logs *l)
{
    return l->miner;
}

static void tell_templates(struct logs *l)
{
    for (uint32_t i = 0; l->miner && i < miner_slots(l->miner); i++) {
        const struct template *t = miner_slot(l->miner, i);
        if (t && is_raised(t, LOGS_NEW_ERROR))
            tell_template(l, LOGS_NEW_ERROR, t, true);
        if (t && is_raised(t, LOGS_RATE))
            tell_template(l, LOGS_RATE, t, true);
    }
}

void logs_tell(struct logs *l)
{
    struct logs_counts counts = l->counts; /* nothing new is raised */
    for (uint32_t i = 0; l->p.rules && i < rules_n(l->p.rules); i++)
        if (l->rules[i].raised)
            tell_rule(l, i, true, (struct str){0});
    tell_templates(l);
    if (l->flood)
        tell(l,
             &(struct logs_finding){.kind = LOGS_FLOOD, .raised = true, .lines = l->counts.shed});
    l->counts = counts;
}
