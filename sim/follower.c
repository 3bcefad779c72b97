/* follower: what a node's process has of the coordinator. As in the daemon, what has come is read
 * when the process runs, one after the other, and time passes afterwards.
 *
 * Its timers run by the world's time: a clock that is some hundred ppm wrong makes no difference to
 * them. */
#include "coordinator.h"
#include "primary.h"

#include <stdio.h>

enum {
    GIVE_UP_S = 10,   /* who applied wants to know how it ended */
    REWATCH_MS = 400, /* until a watch is asked for again, at most */
    RETRY_MS = 1000,
    ROLLBACK_ONE_IN = 5,
    ROLLBACK_FAR = 5,
};

static uint64_t below(const struct follower *f, uint64_t bound)
{
    return prng_below(&f->coordinator->draw, bound);
}

static void tell(struct follower *f, struct happening h)
{
    h.node = f->node->index;
    world_tell(f->node->world, &h);
}

/* ---- what it runs, and what its disk has */

static void run_version(struct follower *f, const struct version *v)
{
    f->force = *v;
    coordinator_mix(f->coordinator, (uint64_t)f->node->index << 40 ^ v->number);
    tell(f, (struct happening){.kind = HAPPENED_FORCE, .version = &f->force});
}

static void on_fetch(void *context, uint64_t number)
{
    char key[VERSION_KEY];
    version_key(number, key);
    coordinator_range(context, ASK_FETCH, str_of(key));
}

static void on_keep(void *context, const struct version *v, struct str bundle)
{
    struct follower *f = context;
    static const struct err full = {-ERR_IO, "no space left on the disk"};
    if (f->node->disk_full) {
        adopter_kept(&f->adopter, v->number, &full, f->node->world->now);
        return;
    }
    struct errand *a = errand_new(f, ERRAND_LANDED, 0, 0);
    a->version = *v;
    errand_land(f, a);
}

static void older_leave(struct follower *f)
{
    f->kept[0] = f->kept[1];
    f->kept[1] = (struct version){0};
}

static void on_use(void *context, const struct version *v, struct str bundle)
{
    struct follower *f = context;
    static const struct err refused = {-ERR_IO, "an address is in use"};
    if (f->refuses) {
        adopter_used(&f->adopter, v->number, &refused, f->node->world->now);
        return;
    }
    run_version(f, v);
    if (version_same(v, &f->kept[1]))
        older_leave(f);
    adopter_used(&f->adopter, v->number, NULL, f->node->world->now);
}

/* ---- applications */

static void end_application(struct follower *f)
{
    struct application *a = &f->application;
    tell(f,
         (struct happening){.kind = HAPPENED_APPLIED, .version = &a->version, .end = (int)a->end});
    application_free(a);
    f->applying = false;
}

static void do_step(struct follower *f)
{
    struct application *a = &f->application;
    if (a->next == APPLICATION_OVER || f->node->world->now > f->give_up)
        end_application(f);
    else if (a->next == APPLICATION_CAS)
        coordinator_cas(f, ASK_APPLY, a->ops, a->n_ops);
    else
        coordinator_range(f, ASK_APPLY, a->key);
}

static void step(struct follower *f)
{
    if (f->application.next == APPLICATION_OVER || !f->application.wait)
        do_step(f);
    else
        errand_later(f->coordinator, errand_new(f, ERRAND_STEP, 0, f->apply_id),
                     f->application.wait);
}

static void begin_application(struct follower *f, struct str bundle, uint64_t from)
{
    struct version wanted = {.when = f->node->world->now / MS, .from = from, .who = "operator"};
    struct err e = {0};
    snprintf(wanted.node, sizeof wanted.node, "%s", f->node->name);
    snprintf(wanted.id, sizeof wanted.id, "%016llx%016llx",
             (unsigned long long)prng_next(&f->coordinator->draw),
             (unsigned long long)prng_next(&f->coordinator->draw));
    if (!bundle.n)
        bundle = str_of(wanted.id);
    if (application_begin(&f->application, &f->adopter.head, f->adopter.used.number, &wanted,
                          bundle, &e))
        sim_die("%s cannot apply: %s", f->node->name, e.text);
    f->applying = true;
    tell(f, (struct happening){.kind = HAPPENED_PLANNED, .version = &f->application.version});
    do_step(f);
}

/* What was asked for, some time ago, by a person. */
static void plan(struct follower *f)
{
    uint64_t head = f->adopter.head.version.number;
    if (f->applying || f->asks[ASK_OLD] || !f->adopter.head_known)
        return;
    f->apply_id = ++f->coordinator->ids;
    f->give_up = f->node->world->now + GIVE_UP_S * SEC;
    if (head < 2 || below(f, ROLLBACK_ONE_IN)) {
        begin_application(f, STR(""), 0);
        return;
    }
    char key[VERSION_KEY];
    f->old = head - 1 - below(f, MIN(head - 1, ROLLBACK_FAR));
    version_key(f->old, key);
    coordinator_range(f, ASK_OLD, str_of(key));
}

static void roll_back(struct follower *f, const struct coord_answer *answer)
{
    struct version old;
    struct buf bundle = {0};
    struct err e = {0};
    if (answer->n && !f->applying) {
        if (version_read(answer->items[0].value, &old, &bundle, &e))
            sim_die("%s cannot read version %llu: %s", f->node->name, (unsigned long long)f->old,
                    e.text);
        begin_application(f, buf_str(&bundle), f->old);
    }
    buf_free(&bundle);
}

void follower_apply(struct follower *f)
{
    if (f->runs && !f->node->paused)
        errand_later(f->coordinator, errand_new(f, ERRAND_STEP, 1, 0), 0);
}

/* ---- answers */

static void answered(struct follower *f, uint32_t which, enum coord_outcome outcome,
                     const struct store_list *list)
{
    static const struct err away = {-ERR_TIMEOUT, "the coordinator is away"};
    struct coord_answer answer = {.outcome = outcome,
                                  .revision = list ? list->revision : 0,
                                  .items = list ? list->items : NULL,
                                  .n = list ? list->n : 0,
                                  .why = outcome >= COORD_UNKNOWN ? &away : NULL};
    f->asks[which] = 0;
    if (which >= ASK_ROLE) {
        primary_answered(f->node, which - ASK_ROLE, (int)outcome, list);
    } else if (which == ASK_FETCH) {
        adopter_fetched(&f->adopter, f->adopter.target.number, &answer, f->node->world->now);
    } else if (which == ASK_OLD) {
        roll_back(f, &answer);
    } else if (which == ASK_APPLY) {
        application_answered(&f->application, &answer);
        step(f);
    }
}

static bool asks_range(const struct follower *f, uint32_t which)
{
    return which == ASK_FETCH || which == ASK_OLD ||
           (which == ASK_APPLY && f->application.next == APPLICATION_RANGE) ||
           (which >= ASK_ROLE && primary_reads(f->node, which - ASK_ROLE));
}

static void on_answer(struct follower *f, const struct errand *a)
{
    if (a->id != f->asks[a->which])
        return;
    if (a->outcome == COORD_FAILED && asks_range(f, a->which))
        return; /* it is asked again until its deadline */
    answered(f, a->which, a->outcome, &a->list);
}

static void on_deadline(struct follower *f, const struct errand *a)
{
    if (a->which >= ASKS) {
        const struct sim_watch *k = &f->watches[a->which - ASKS];
        if (k->id == a->id && !k->connected)
            coordinator_watch(f, a->which - ASKS);
        return;
    }
    if (a->id == f->asks[a->which])
        answered(f, a->which, asks_range(f, a->which) ? COORD_FAILED : COORD_UNKNOWN, NULL);
}

/* ---- watches */

static void on_changes(struct follower *f, const struct errand *a)
{
    struct sim_watch *k = &f->watches[a->which];
    if (a->id != k->id)
        return;
    k->connected = true;
    k->seen = a->list.revision;
    tell(f, (struct happening){.kind = HAPPENED_TOLD,
                               .which = a->which,
                               .items = a->list.items,
                               .n = a->list.n,
                               .revision = a->list.revision,
                               .whole = a->whole});
    if (a->which == WATCH_VOTERS)
        voting_told(f, &a->list, a->whole);
    if (a->which == WATCH_ROLE)
        primary_told(f->node, &a->list, a->whole);
    if (a->which != WATCH_HEAD)
        return;
    if (a->whole && !a->list.n)
        adopter_head(&f->adopter, NULL, f->node->world->now);
    for (uint32_t i = 0; i < a->list.n; i++)
        adopter_head(&f->adopter, &a->list.items[i], f->node->world->now);
}

static void on_broken(struct follower *f, const struct errand *a)
{
    struct sim_watch *k = &f->watches[a->which];
    if (a->id != k->id)
        return;
    k->connected = false;
    errand_later(f->coordinator, errand_new(f, ERRAND_REWATCH, a->which, k->id),
                 below(f, REWATCH_MS * MS));
}

/* ---- its loop */

static void handle(struct follower *f, const struct errand *a)
{
    switch (a->kind) {
    case ERRAND_ANSWER: on_answer(f, a); break;
    case ERRAND_DEADLINE: on_deadline(f, a); break;
    case ERRAND_CHANGES: on_changes(f, a); break;
    case ERRAND_BROKEN: on_broken(f, a); break;
    case ERRAND_REWATCH:
        if (a->id == f->watches[a->which].id)
            coordinator_watch(f, a->which);
        break;
    case ERRAND_STEP:
        if (a->which)
            plan(f);
        else if (f->applying && a->id == f->apply_id)
            do_step(f);
        break;
    case ERRAND_LANDED:
        adopter_kept(&f->adopter, a->version.number, NULL, f->node->world->now);
        break;
    case ERRAND_BEAT: voting_beat(f); break;
    case ERRAND_SAYS: voting_heard(f, a->which, a->id); break;
    case ERRAND_VOTERS: break; /* the next beat says so */
    case ERRAND_CAS:
    case ERRAND_RANGE:
    case ERRAND_WATCH: UNREACHABLE();
    }
}

static void wake_at(struct follower *f, uint64_t at)
{
    if (at >= f->due)
        return;
    f->due = at;
    queue_put(&f->node->world->queue,
              (struct event){at, 0, EVENT_FOLLOW, f->node->index, f->node->life, NULL});
}

static void want_run(struct follower *f)
{
    uint64_t now = f->node->world->now;
    if (f->runs && !f->node->paused)
        wake_at(f, now + (f->node->slow ? below(f, 2 * f->node->slow) : 0));
}

/* The process goes on. */
void follower_resume(struct follower *f)
{
    uint64_t due = f->runs ? adopter_deadline(&f->adopter) : NEVER;
    if (f->first)
        want_run(f);
    if (due != NEVER && !f->node->paused)
        wake_at(f, MAX(due, f->node->world->now));
}

void follower_run(struct follower *f, uint64_t life)
{
    uint64_t now = f->node->world->now;
    if (life != f->node->life || now < f->due)
        return;
    f->due = NEVER;
    if (!f->runs || f->node->paused)
        return;
    for (struct errand *a; (a = f->first);) {
        f->first = a->next;
        handle(f, a);
        coordinator_drop(a);
    }
    adopter_tick(&f->adopter, now);
    tell(f, (struct happening){.kind = HAPPENED_FOLLOWED});
    if (adopter_deadline(&f->adopter) != NEVER)
        wake_at(f, adopter_deadline(&f->adopter));
}

void follower_arrive(struct follower *f, struct errand *a)
{
    if (f->arrive) {
        f->arrive(f, a);
        coordinator_drop(a);
        return;
    }
    if (!f->runs || a->life != f->node->life) {
        coordinator_drop(a);
        return;
    }
    if (a->kind == ERRAND_LANDED)
        f->kept[1] = a->version;
    if (a->kind == ERRAND_VOTERS)
        voting_landed(f, &a->voters);
    a->next = NULL;
    if (f->first)
        f->last->next = a;
    else
        f->first = a;
    f->last = a;
    want_run(f);
}

/* ---- its life */

void follower_start(struct follower *f)
{
    if (f->arrive)
        return;
    struct adopter_params p = adopter_defaults();
    struct adopter_host h = {f, on_fetch, on_keep, on_use};
    if (f->kept[1].number && !f->refuses)
        older_leave(f);
    const struct version *newest = &f->kept[0];
    p.retry = RETRY_MS * MS;
    f->runs = true;
    f->due = NEVER;
    adopter_begin(&f->adopter, &p, &h, newest->number ? newest : NULL);
    run_version(f, newest);
    if (f->coordinator->wanted.n)
        voting_start(f);
    for (uint32_t k = 0; k < WATCHES; k++)
        if (coordinator_watched(f->coordinator, k))
            coordinator_watch(f, k);
}

/* Now, as by SIGKILL: what was under way to its disk is lost. */
void follower_stop(struct follower *f)
{
    if (!f->runs)
        return;
    f->runs = false;
    f->lands = 0;
    f->due = NEVER;
    for (struct errand *a; (a = f->first);) {
        f->first = a->next;
        coordinator_drop(a);
    }
    for (uint32_t k = 0; k < WATCHES; k++)
        f->watches[k] = (struct sim_watch){0};
    for (uint32_t k = 0; k < ASKS; k++)
        f->asks[k] = 0;
    adopter_free(&f->adopter);
    application_free(&f->application);
    f->applying = false;
}

void follower_wipe(struct follower *f)
{
    f->kept[0] = f->kept[1] = (struct version){0};
    voting_wipe(f);
    tell(f, (struct happening){.kind = HAPPENED_WIPED});
}

void follower_free(struct follower *f)
{
    follower_stop(f);
}
