/* What operators ask of the configuration that all nodes share: plan, apply, roll back, history.
 *
 * Each question is a struct asking that goes from step to step as answers of the coordinator come,
 * and ends by answering whoever still waits. Whoever leaves takes nothing back: what was asked goes
 * on. An application is written against the head that it was planned with (coord/versions.h), so
 * that of two at once one is told to plan again.
 *
 *   WAITS  the head that it was planned with is not known here yet
 *   FILES  of a rollback: the version that is to be repeated is read; of the question for files
 *   BASE   the version in force is read, when this node has it not at hand
 *   WRITES the application's own steps
 *   READS  of a history: one version after another, newest first */
#include "daemon/control_asking.h"

#include <stdio.h>

#define STEP_WITHIN (5 * NS_PER_S)
#define ASK_WITHIN  (20 * NS_PER_S)

static uint64_t now(const struct asking *a)
{
    return loop_now(a->c->loop);
}

/* ---- ends ---- */

void asking_free(struct asking *a)
{
    struct control *c = a->c;
    if (a->pending)
        coord_cancel(a->at, a->ticket);
    loop_timer_stop(c->loop, &a->timer);
    list_remove(&a->link);
    while (!list_empty(&a->waiter))
        list_remove(a->waiter.next);
    c->configuring.n_asks--;
    if (a->applying)
        application_free(&a->application);
    shared_conf_free(&a->old);
    buf_free(&a->bundle);
    buf_free(&a->changes);
    buf_free(&a->risks);
    buf_free(&a->left);
    mem_free(a->list);
    mem_free(a);
}

void asking_end(struct control *c, const char *why)
{
    struct err e = {0};
    err_set(&e, ERR_BUSY, "%s", why);
    while (!list_empty(&c->configuring.asks))
        asking_fail(LIST_ENTRY(c->configuring.asks.next, struct asking, link), &e);
}

/* ---- asking the coordinator ---- */

static void on_answer(void *context, const struct coord_answer *answer);
static void go_on(struct asking *a);

static void read_key(struct asking *a, enum step step, uint64_t number)
{
    char key[VERSION_KEY];
    struct err e = {0};
    version_key(number, key);
    a->step = (uint8_t)step;
    a->number = number;
    a->at = a->c->configuring.coord;
    a->pending = a->at && coord_range(a->at, str_of(key), now(a) + STEP_WITHIN, on_answer, a,
                                      &a->ticket, &e) == 0;
    if (!a->at)
        err_set(&e, ERR_BUSY, "there is no coordinator to read version %llu from",
                (unsigned long long)number);
    if (!a->pending)
        asking_fail(a, &e);
}

/* ---- an application ---- */

/* Whole lines, as many as fit. */
static void put_changes(struct version *v, struct str text)
{
    size_t n = MIN(text.n, sizeof v->changes - 1);
    while (n && n < text.n && text.p[n - 1] != '\n')
        n--;
    for (size_t i = 0; i < n; i++)
        v->changes[i] = (unsigned char)text.p[i] < 0x20 && text.p[i] != '\n' ? ' ' : text.p[i];
    if (n && v->changes[n - 1] == '\n')
        n--;
    v->changes[n] = 0;
}

static void put_id(struct version *v)
{
    uint8_t random[(VERSION_ID - 1) / 2];
    entropy(random, sizeof random);
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(v->id + 2 * i, 3, "%02x", random[i]);
}

static void end_application(struct asking *a)
{
    struct err e = {0};
    switch (a->application.end) {
    case APPLICATION_DONE:
        asking_tell_applied(a);
        asking_tell_version(a, &a->application.version, false);
        return;
    case APPLICATION_CONFLICT: asking_conflicts(a, a->application.version.number); return;
    case APPLICATION_FAILED:
        e = a->application.e;
        if (!e.code)
            e.code = -ERR_IO;
        break;
    case APPLICATION_OPEN:
        err_set(&e, ERR_TIMEOUT,
                "the coordinator did not answer in time: whether version %llu was applied is not "
                "known; 'holdfast history' tells",
                (unsigned long long)a->application.version.number);
        break;
    }
    asking_fail(a, &e);
}

static void step_application(struct asking *a)
{
    struct application *p = &a->application;
    struct err e = {0};
    a->at = a->c->configuring.coord;
    while (p->next != APPLICATION_OVER && now(a) < a->until) {
        if (p->wait) {
            loop_timer_set(a->c->loop, &a->timer, MIN(now(a) + p->wait, a->until));
            p->wait = 0;
            return;
        }
        uint64_t within = MIN(now(a) + STEP_WITHIN, a->until);
        int r = p->next == APPLICATION_CAS
                    ? coord_cas(a->at, p->ops, p->n_ops, within, on_answer, a, &a->ticket, &e)
                    : coord_range(a->at, p->key, within, on_answer, a, &a->ticket, &e);
        a->pending = r == 0;
        if (a->pending)
            return;
        struct coord_answer none = {.outcome = COORD_FAILED, .why = &e};
        application_answered(p, &none);
    }
    end_application(a);
}

static void begin_application(struct asking *a)
{
    struct err e = {0};
    a->wanted.when = clock_wall() / NS_PER_MS;
    str_copy(a->wanted.node, sizeof a->wanted.node, control_name(a->c));
    put_id(&a->wanted);
    put_changes(&a->wanted, buf_str(&a->changes));
    a->applying = application_begin(&a->application, &a->head, configuring_highest(a->c),
                                    &a->wanted, buf_str(&a->bundle), &e) == 0;
    a->step = STEP_WRITES;
    if (a->applying)
        step_application(a);
    else
        asking_fail(a, &e);
}

static void decide(struct asking *a)
{
    if (a->renumbers) {
        begin_application(a);
        return;
    }
    if (!asking_compare(a))
        return;
    if (a->what == CONFIG_PLAN)
        asking_tell_plan(a);
    else if (a->head.version.number && asking_same_files(a))
        asking_tell_version(a, &a->head.version, true);
    else if (a->risks.n && !a->yes)
        asking_tell_risks(a);
    else
        begin_application(a);
}

/* ---- steps ---- */

/* Whether the head that it is about is known. */
static bool head_is_there(struct asking *a)
{
    const struct adopter *d = &a->c->configuring.adopter;
    if (!d->head_known && a->what != CONFIG_PLAN)
        return false;
    if (a->has_base && d->head.revision < a->base)
        return false;
    a->head = d->head;
    if (!d->head_known)
        a->head.version = a->c->configuring.used.version;
    return true;
}

static void with_bundle(struct asking *a)
{
    if (!head_is_there(a)) {
        a->step = STEP_WAITS;
        loop_timer_set(a->c->loop, &a->timer, now(a) + STEP_WITHIN);
        return;
    }
    if (a->has_base && a->head.revision != a->base && a->what != CONFIG_PLAN)
        asking_conflicts(a, a->head.version.number);
    else if (a->head.version.number && !asking_at_hand(a) && !a->renumbers)
        read_key(a, STEP_BASE, a->head.version.number);
    else
        decide(a);
}

static const struct coord_item *item_of(const struct coord_answer *answer, uint64_t number)
{
    char key[VERSION_KEY];
    version_key(number, key);
    for (uint32_t i = 0; i < answer->n; i++)
        if (str_eq(answer->items[i].key, str_of(key)) && !answer->items[i].gone)
            return &answer->items[i];
    return NULL;
}

/* Numbers may be missing: after a restore, those that were used before it. */
static void on_history(struct asking *a, const struct coord_answer *answer)
{
    const struct coord_item *item = item_of(answer, a->number);
    uint64_t head = a->c->configuring.adopter.head.version.number;
    if (item && version_read(item->value, &a->list[a->n], NULL, NULL) == 0)
        a->n++;
    if (a->n == a->count || a->number == 1 || head >= a->number + VERSIONS_KEPT)
        asking_tell_history(a);
    else
        read_key(a, STEP_READS, a->number - 1);
}

static void on_files(struct asking *a, const struct coord_answer *answer)
{
    const struct coord_item *item = item_of(answer, a->number);
    struct buf bundle = {0};
    struct version v;
    struct err e = {0};
    int r = item ? version_read(item->value, &v, &bundle, &e)
                 : err_set(&e, ERR_ABSENT,
                           "there is no version %llu: 'holdfast history' lists those that are kept",
                           (unsigned long long)a->number);
    if (r == 0 && a->what == CONFIG_ROLLBACK) {
        a->wanted.from = v.number;
        a->bundle = bundle;
        with_bundle(a);
        return;
    }
    r = r ? r : shared_conf_read(&a->old, &v, buf_str(&bundle), &e);
    buf_free(&bundle);
    if (r)
        asking_fail(a, &e);
    else if (a->step == STEP_FILES)
        asking_tell_files(a, &a->old);
    else
        with_bundle(a);
}

static void on_answer(void *context, const struct coord_answer *answer)
{
    struct asking *a = context;
    struct err e = {0};
    a->pending = false;
    if (a->step == STEP_WRITES) {
        application_answered(&a->application, answer);
        step_application(a);
    } else if (answer->outcome != COORD_DONE) {
        e = *answer->why;
        err_wrap(&e, "the coordinator did not say");
        asking_fail(a, &e);
    } else if (a->step == STEP_READS) {
        on_history(a, answer);
    } else {
        on_files(a, answer);
    }
}

static void on_timer(struct timer *t)
{
    struct asking *a = CONTAINER_OF(t, struct asking, timer);
    struct err e = {0};
    if (a->step == STEP_WRITES) {
        step_application(a);
        return;
    }
    err_set(&e, ERR_BUSY,
            "the coordinator has not said what is in force: nothing can be applied without it; "
            "what serves goes on");
    asking_fail(a, &e);
}

void asking_wake(struct control *c)
{
    list_for_each_safe (it, &c->configuring.asks) {
        struct asking *a = LIST_ENTRY(it, struct asking, link);
        if (a->step == STEP_WAITS && !a->pending)
            with_bundle(a);
    }
}

/* Without the coordinator: what lies on this node's disk. */
static void history_kept(struct asking *a)
{
    uint64_t numbers[KEPT_MAX];
    uint32_t n = kept_list(a->c->o.state_dir, numbers);
    struct shared_conf s = {0};
    for (uint32_t i = 0; i < n && a->n < a->count; i++)
        if (kept_read(a->c->o.state_dir, numbers[i], &s, NULL) == 0)
            a->list[a->n++] = s.version;
    shared_conf_free(&s);
    asking_tell_history(a);
}

static bool is_reachable(const struct control *c)
{
    struct coord_health h = {.reachable = false};
    if (c->configuring.coord)
        coord_health(c->configuring.coord, &h);
    return h.reachable;
}

static void begin_history(struct asking *a)
{
    const struct adopter *d = &a->c->configuring.adopter;
    if (!is_reachable(a->c) || !d->head_known)
        history_kept(a);
    else if (d->head.version.number)
        read_key(a, STEP_READS, d->head.version.number);
    else
        asking_tell_history(a);
}

static void begin_files(struct asking *a)
{
    struct configuring *g = &a->c->configuring;
    struct err e = {0};
    if (g->used.version.number && (!a->number || a->number == g->used.version.number)) {
        asking_tell_files(a, &g->used);
    } else if (!a->number) {
        err_set(&e, ERR_ABSENT, "nobody has applied a configuration yet: each node has its own");
        asking_fail(a, &e);
    } else {
        read_key(a, STEP_FILES, a->number);
    }
}

static void go_on(struct asking *a)
{
    switch ((enum admin_config_what)a->what) {
    case CONFIG_PLAN:
    case CONFIG_APPLY: with_bundle(a); return;
    case CONFIG_ROLLBACK: read_key(a, STEP_FILES, a->number); return;
    case CONFIG_HISTORY: begin_history(a); return;
    case CONFIG_FILES: begin_files(a); return;
    }
    UNREACHABLE();
}

static int check(struct control *c, const struct admin_config_ask *ask, struct err *e)
{
    bool changes = ask->what == CONFIG_APPLY || ask->what == CONFIG_ROLLBACK;
    struct coord_health h = {.reachable = false};
    if (c->configuring.coord)
        coord_health(c->configuring.coord, &h);
    if (c->configuring.n_asks == CONFIG_ASKS)
        return err_set(e, ERR_BUSY, "%d plans and applications are under way: ask again later",
                       CONFIG_ASKS);
    if (!changes || h.reachable)
        return 0;
    if (!c->configuring.coord)
        return err_set(e, ERR_BUSY,
                       "there is no coordinator, which all nodes agree by: nothing can be applied; "
                       "what serves goes on");
    return err_set(e, ERR_BUSY,
                   "the coordinator is away, nothing can be applied; what serves goes on (%s)",
                   h.problem[0] ? h.problem : "it has not answered yet");
}

static struct asking *new_asking(struct control *c, const struct admin_config_ask *ask)
{
    struct asking *a = mem_zero(1, sizeof *a);
    if (!a)
        return NULL;
    a->c = c;
    a->what = ask->what;
    a->yes = ask->yes;
    a->has_base = ask->has_base;
    a->base = ask->base;
    a->number = ask->number;
    a->count = ask->count;
    a->until = loop_now(c->loop) + ASK_WITHIN;
    list_init(&a->waiter);
    timer_init(&a->timer, on_timer);
    str_copy(a->wanted.note, sizeof a->wanted.note, ask->note);
    str_copy(a->wanted.who, sizeof a->wanted.who, ask->who);
    a->list = ask->count ? mem_zero(ask->count, sizeof *a->list) : NULL;
    bool fits = buf_add_str(&a->bundle, ask->bundle) && (a->list || !ask->count);
    list_init(&a->link);
    c->configuring.n_asks++;
    if (fits)
        return a;
    asking_free(a);
    return NULL;
}

int configuring_ask(void *context, const struct admin_config_ask *ask, struct admin_config_wait *w,
                    struct err *e)
{
    struct control *c = context;
    int r = check(c, ask, e);
    if (r)
        return r;
    struct asking *a = new_asking(c, ask);
    if (!a)
        return err_set(e, ERR_NOMEM, "no memory for a configuration");
    list_push_back(&c->configuring.asks, &a->link);
    list_push_back(&a->waiter, &w->link);
    go_on(a);
    return 0;
}

void asking_renumber(struct control *c)
{
    const struct versions_head *head = &c->configuring.adopter.head;
    struct admin_config_ask ask = {.what = CONFIG_ROLLBACK,
                                   .number = head->version.number,
                                   .has_base = true,
                                   .base = head->revision,
                                   .who = STR("holdfast"),
                                   .note =
                                       STR("numbered anew, above what nodes ran before a restore")};
    struct asking *a = check(c, &ask, NULL) ? NULL : new_asking(c, &ask);
    if (!a)
        return; /* later */
    a->renumbers = c->configuring.renumbering = true;
    list_push_back(&c->configuring.asks, &a->link);
    go_on(a);
}
