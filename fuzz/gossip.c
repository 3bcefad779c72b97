/* A membership message from anybody: reading stays inside the input and its bounds, and what was
 * read is written again and reads the same. */
#include <stddef.h>
#include <stdint.h>

#include "wire/gossip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_bounds(const struct gossip *g)
{
    CHECK(g->n_hearing <= GOSSIP_HEARING_MAX && g->n_rumours <= GOSSIP_RUMOURS_MAX);
    CHECK(g->incarnation > 0 && g->incarnation <= GOSSIP_INCARNATION_MAX);
    for (size_t i = 0; i < g->n_hearing; i++)
        CHECK(g->hearing[i] <= GOSSIP_SILENT);
    for (size_t i = 0; i < g->n_rumours; i++)
        CHECK(g->rumours[i].state <= GOSSIP_LEFT &&
              g->rumours[i].incarnation <= GOSSIP_INCARNATION_MAX);
}

static void check_same(const struct gossip *a, const struct gossip *b)
{
    CHECK(a->kind == b->kind && a->flags == b->flags && a->incarnation == b->incarnation);
    CHECK(a->sequence == b->sequence && a->answers == b->answers && a->stamp == b->stamp);
    CHECK(a->echo == b->echo && a->held == b->held && a->subject == b->subject);
    CHECK(a->has_subject == b->has_subject && a->has_hearing == b->has_hearing);
    CHECK(a->n_hearing == b->n_hearing && a->n_rumours == b->n_rumours);
    CHECK(memcmp(a->ids, b->ids, a->n_hearing * sizeof a->ids[0]) == 0);
    CHECK(memcmp(a->hearing, b->hearing, a->n_hearing) == 0);
    for (size_t i = 0; i < a->n_rumours; i++) {
        const struct gossip_rumour *r = &a->rumours[i], *s = &b->rumours[i];
        CHECK(r->id == s->id && r->incarnation == s->incarnation && r->accuser == s->accuser);
        CHECK(r->state == s->state && r->maintenance == s->maintenance);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gossip g, again;
    uint8_t out[GOSSIP_MAX];
    if (!gossip_read(data, size, &g))
        return 0;
    check_bounds(&g);
    size_t n = gossip_write(&g, out);
    CHECK(gossip_read(out, n, &again));
    check_same(&g, &again);
    return 0;
}
