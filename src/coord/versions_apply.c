/* versions_apply: one application, from the head that it was planned with to its outcome. */
#include "coord/versions.h"

#include <stdio.h>

enum { WAIT_MS = 200, ATTEMPTS = 4 };
#define WAIT (WAIT_MS * UINT64_C(1000000))

static struct str key_of(struct application *a, uint32_t which, uint64_t number)
{
    version_key(number, a->text[which]);
    return str_of(a->text[which]);
}

static bool digest_of(struct str bytes, char out[VERSION_DIGEST])
{
    uint8_t sum[DIGEST_BYTES];
    if (!digest_sha256(bytes, sum))
        return false;
    for (size_t i = 0; i < sizeof sum; i++)
        snprintf(out + 2 * i, 3, "%02x", sum[i]);
    return true;
}

static void put_ops(struct application *a)
{
    uint64_t number = a->version.number;
    a->ops[0] = (struct coord_op){.key = STR(VERSIONS_HEAD),
                                  .value = buf_str(&a->head),
                                  .expected = a->base.revision,
                                  .act = COORD_PUT};
    a->ops[1] = (struct coord_op){
        .key = key_of(a, 0, number), .value = buf_str(&a->record), .act = COORD_PUT};
    a->n_ops = 2;
    if (number > VERSIONS_KEPT)
        a->ops[a->n_ops++] = (struct coord_op){.key = key_of(a, 1, number - VERSIONS_KEPT),
                                               .expected = COORD_ANY,
                                               .act = COORD_REMOVE};
}

int application_begin(struct application *a, const struct versions_head *base, uint64_t highest,
                      const struct version *wanted, struct str bundle, struct err *e)
{
    *a = (struct application){.base = *base, .version = *wanted};
    a->version.number = MAX(base->version.number, highest) + 1;
    int failed = digest_of(bundle, a->version.digest)
                     ? version_write(&a->version, NULL, &a->head, e)
                     : err_set(e, ERR_NOMEM, "no memory for a digest");
    if (!failed)
        failed = version_write(&a->version, &bundle, &a->record, e);
    if (failed) {
        application_free(a);
        return failed;
    }
    put_ops(a);
    return 0;
}

void application_free(struct application *a)
{
    buf_free(&a->head);
    buf_free(&a->record);
    *a = (struct application){.next = APPLICATION_OVER};
}

/* ---- what follows from an answer */

static void over(struct application *a, enum application_end end)
{
    a->next = APPLICATION_OVER;
    a->end = end;
    a->wait = 0;
}

static void read_key(struct application *a, struct str key, uint64_t wait)
{
    a->next = APPLICATION_RANGE;
    a->key = key;
    a->wait = wait;
}

/* The same head once more: after that nothing that expects it as it was can happen. */
static void fence(struct application *a)
{
    struct err ignored;
    buf_clear(&a->head);
    if (!a->base.revision || version_write(&a->base.version, NULL, &a->head, &ignored)) {
        read_key(a, STR(VERSIONS_HEAD), WAIT); /* before the first version nothing can be fenced */
        return;
    }
    a->ops[0].value = buf_str(&a->head);
    a->n_ops = 1;
    a->fencing = true;
    a->next = APPLICATION_CAS;
    a->wait = 0;
}

/* The fence stands: what was written before never happens, nor did anybody else's. Once more. */
static void again(struct application *a, uint64_t revision)
{
    struct err ignored;
    a->base.revision = revision;
    a->fencing = false;
    buf_clear(&a->head);
    if (++a->attempts == ATTEMPTS || version_write(&a->version, NULL, &a->head, &ignored)) {
        over(a, APPLICATION_FAILED);
        err_set(&a->e, ERR_TIMEOUT,
                "the coordinator does not answer in time: nothing was changed, try again");
        return;
    }
    put_ops(a);
    a->next = APPLICATION_CAS;
    a->wait = 0;
}

static void on_cas(struct application *a, const struct coord_answer *answer)
{
    switch (answer->outcome) {
    case COORD_DONE:
        if (a->fencing)
            again(a, answer->revision);
        else
            over(a, APPLICATION_DONE);
        return;
    case COORD_CONFLICT:
        if (!a->fencing)
            over(a, APPLICATION_CONFLICT);
        else
            read_key(a, STR(VERSIONS_HEAD), 0); /* by whom? perhaps by this one */
        return;
    case COORD_FAILED:
        if (!a->fencing) {
            over(a, APPLICATION_FAILED);
            if (answer->why)
                a->e = *answer->why;
            return;
        }
        break;
    case COORD_UNKNOWN: break;
    }
    read_key(a, STR(VERSIONS_HEAD), WAIT);
}

static const struct coord_item *item_of(const struct coord_answer *answer, struct str key)
{
    for (uint32_t i = 0; i < answer->n; i++)
        if (str_eq(answer->items[i].key, key) && !answer->items[i].gone)
            return &answer->items[i];
    return NULL;
}

static void on_head(struct application *a, const struct coord_item *item)
{
    struct versions_head head = {0};
    if ((item ? item->revision : 0) == a->base.revision)
        fence(a);
    else if (item && versions_head(item, &head, &a->e) == 0 &&
             version_same(&head.version, &a->base.version))
        again(a, item->revision); /* a fence that is not known to have happened, or another's */
    else if (versions_head(item, &head, &a->e) == 0 && version_same(&head.version, &a->version))
        over(a, APPLICATION_DONE);
    else
        read_key(a, key_of(a, 0, a->version.number), 0);
    a->newest = head.version.number;
}

/* Head is another, so that this is the last word, unless so many followed that it was removed. */
static void on_record(struct application *a, const struct coord_item *item)
{
    struct version v;
    bool read = item && version_read(item->value, &v, NULL, &a->e) == 0;
    if (read && version_same(&v, &a->version))
        over(a, APPLICATION_DONE);
    else if (!item && a->newest >= a->version.number + VERSIONS_KEPT)
        over(a, APPLICATION_OPEN);
    else
        over(a, APPLICATION_CONFLICT);
}

void application_answered(struct application *a, const struct coord_answer *answer)
{
    CHECK(a->next != APPLICATION_OVER);
    if (a->next == APPLICATION_CAS)
        on_cas(a, answer);
    else if (answer->outcome != COORD_DONE)
        a->wait = WAIT;
    else if (str_eq(a->key, STR(VERSIONS_HEAD)))
        on_head(a, item_of(answer, a->key));
    else
        on_record(a, item_of(answer, a->key));
}
