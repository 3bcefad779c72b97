/* versions_adopt: how a node follows head. */
#include "coord/versions.h"

#include <stdio.h>

/* A build with -Dplant=N has fault N, for the simulator to find: */
#ifndef HF_PLANT
#define HF_PLANT 0
#endif
enum { PLANT_UNKEPT = 7 /* a version is used before it has been kept */ };

enum { AGAIN_MS = 500, RETRY_MS = 5000 };

struct adopter_params adopter_defaults(void)
{
    return (struct adopter_params){AGAIN_MS * UINT64_C(1000000), RETRY_MS * UINT64_C(1000000)};
}

void adopter_begin(struct adopter *a, const struct adopter_params *p, const struct adopter_host *h,
                   const struct version *used)
{
    *a = (struct adopter){.params = *p, .host = *h, .due = UINT64_MAX};
    if (used)
        a->used = *used;
}

void adopter_free(struct adopter *a)
{
    buf_free(&a->bundle);
    *a = (struct adopter){.due = UINT64_MAX};
}

/* ---- steps */

static void wait(struct adopter *a, enum adopter_phase phase, uint64_t until)
{
    a->phase = phase;
    a->due = until;
}

static void rest(struct adopter *a)
{
    const struct version *head = &a->head.version;
    buf_free(&a->bundle);
    wait(a, ADOPTER_RESTING, UINT64_MAX);
    a->problem.code = 0;
    if (!a->head_known)
        return;
    if (!head->number && a->used.number)
        err_set(
            &a->problem, ERR_INVAL,
            "the coordinator has no version, and %llu runs here: apply a configuration once more",
            (unsigned long long)a->used.number);
    else if (head->number < a->used.number)
        err_set(
            &a->problem, ERR_INVAL,
            "the coordinator has version %llu, older than %llu that runs here: it gets a number "
            "above that",
            (unsigned long long)head->number, (unsigned long long)a->used.number);
    else if (head->number && !version_same(head, &a->used))
        err_set(&a->problem, ERR_INVAL,
                "the coordinator has another version %llu than the one that runs here: it gets a "
                "number above that",
                (unsigned long long)head->number);
}

/* Goes for head, whatever was tried before. */
static void follow(struct adopter *a)
{
    if (!a->head_known || a->head.version.number <= a->used.number) {
        rest(a);
        return;
    }
    a->target = a->head.version;
    buf_clear(&a->bundle);
    wait(a, ADOPTER_FETCHING, UINT64_MAX);
    a->host.fetch(a->host.context, a->target.number);
}

static void keep(struct adopter *a)
{
    wait(a, ADOPTER_KEEPING, UINT64_MAX);
    a->host.keep(a->host.context, &a->target, buf_str(&a->bundle));
}

static void use(struct adopter *a)
{
    wait(a, ADOPTER_USING, UINT64_MAX);
    a->host.use(a->host.context, &a->target, buf_str(&a->bundle));
}

/* It did not work. Newer ones may. */
static void put_off(struct adopter *a, enum adopter_phase phase, uint64_t until)
{
    if (a->head.version.number > a->target.number)
        follow(a);
    else
        wait(a, phase, until);
}

static void fail(struct adopter *a, const char *what, const struct err *e)
{
    a->problem = *e;
    if (!a->problem.code)
        a->problem.code = -ERR_IO;
    err_wrap(&a->problem, "version %llu cannot be %s", (unsigned long long)a->target.number, what);
}

static bool awaits(const struct adopter *a, enum adopter_phase phase, uint64_t number)
{
    return a->phase == phase && a->target.number == number;
}

/* ---- events */

void adopter_head(struct adopter *a, const struct coord_item *item, uint64_t now)
{
    struct versions_head head;
    struct err e = {0};
    if (versions_head(item, &head, &e)) {
        a->problem = e;
        return;
    }
    a->head = head;
    a->head_known = true;
    switch (a->phase) {
    case ADOPTER_RESTING:
    case ADOPTER_UNFETCHED: follow(a); break;
    case ADOPTER_UNKEPT:
    case ADOPTER_UNUSED:
        if (!version_same(&head.version, &a->target))
            follow(a);
        break;
    case ADOPTER_FETCHING: /* that one first: it was in force, and comes in no time */
    case ADOPTER_KEEPING:
    case ADOPTER_USING: break;
    }
}

static int read_answer(struct adopter *a, const struct coord_answer *answer, struct err *e)
{
    char key[VERSION_KEY];
    struct version v;
    version_key(a->target.number, key);
    for (uint32_t i = 0; i < answer->n; i++) {
        if (!str_eq(answer->items[i].key, str_of(key)))
            continue;
        int failed = version_read(answer->items[i].value, &v, &a->bundle, e);
        if (failed || version_same(&v, &a->target))
            return failed;
        return err_set(e, ERR_PROTO, "head and history differ");
    }
    return err_set(e, ERR_ABSENT, "it is not in the history");
}

void adopter_fetched(struct adopter *a, uint64_t number, const struct coord_answer *answer,
                     uint64_t now)
{
    struct err e = {0};
    if (!awaits(a, ADOPTER_FETCHING, number))
        return;
    buf_clear(&a->bundle);
    if (answer->outcome != COORD_DONE) {
        put_off(a, ADOPTER_UNFETCHED, now + a->params.again);
    } else if (read_answer(a, answer, &e)) {
        fail(a, "read", &e);
        put_off(a, ADOPTER_UNFETCHED, now + a->params.again);
    } else if (HF_PLANT == PLANT_UNKEPT) {
        use(a);
    } else {
        keep(a);
    }
}

void adopter_kept(struct adopter *a, uint64_t number, const struct err *failed, uint64_t now)
{
    if (!awaits(a, ADOPTER_KEEPING, number))
        return;
    if (failed) {
        fail(a, "kept on disk", failed);
        put_off(a, ADOPTER_UNKEPT, now + a->params.retry);
    } else if (HF_PLANT == PLANT_UNKEPT) {
        follow(a);
    } else {
        use(a);
    }
}

void adopter_used(struct adopter *a, uint64_t number, const struct err *failed, uint64_t now)
{
    if (!awaits(a, ADOPTER_USING, number))
        return;
    if (failed) {
        fail(a, "used by this node", failed);
        put_off(a, ADOPTER_UNUSED, now + a->params.retry);
        return;
    }
    a->used = a->target;
    a->problem.code = 0;
    if (HF_PLANT == PLANT_UNKEPT)
        keep(a);
    else
        follow(a);
}

bool adopter_overtaken(const struct adopter *a)
{
    const struct version *head = &a->head.version;
    return a->head_known && head->number && head->number <= a->used.number &&
           !version_same(head, &a->used);
}

uint64_t adopter_deadline(const struct adopter *a)
{
    return a->due;
}

void adopter_tick(struct adopter *a, uint64_t now)
{
    if (now < a->due)
        return;
    switch (a->phase) {
    case ADOPTER_UNFETCHED: follow(a); break;
    case ADOPTER_UNKEPT: keep(a); break;
    case ADOPTER_UNUSED: use(a); break;
    case ADOPTER_RESTING:
    case ADOPTER_FETCHING:
    case ADOPTER_KEEPING:
    case ADOPTER_USING: UNREACHABLE();
    }
}
