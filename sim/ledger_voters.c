/* ledger_voters: what must hold of the set of voters, I47: it changes by one node at a time, and
 * not before a majority of the set before has adopted it and the longest promise has run out since.
 */
#include "ledger.h"

static unsigned long long ull(uint64_t v)
{
    return v;
}

/* By how many nodes they differ. */
static uint32_t difference(const struct voters *a, const struct voters *b)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < a->n; i++)
        n += !voters_has(b, str_of(a->names[i]));
    for (uint32_t i = 0; i < b->n; i++)
        n += !voters_has(a, str_of(b->names[i]));
    return n;
}

static void check_wait(struct ledger *l, const struct voters *next)
{
    uint64_t now = l->world->now;
    if (!l->were.n)
        return; /* the first set: nobody has promised anything before */
    if (!l->adopted_at)
        violated(l->v, I47_VOTERS,
                 "version %llu of the voters is there before a majority of those before %llu has "
                 "adopted that",
                 ull(next->version), ull(l->voters.version));
    else if (now - l->adopted_at < VOTERS_WAIT)
        violated(l->v, I47_VOTERS,
                 "version %llu of the voters is there %.1f s after a majority has adopted %llu",
                 ull(next->version), (double)(now - l->adopted_at) / 1e9, ull(l->voters.version));
}

/* How many of the set before have had the one in force on disk, at some time. */
static void count(struct ledger *l)
{
    uint32_t have = 0;
    for (uint32_t i = 0; i < l->world->o.nodes; i++)
        have += voters_has(&l->were, str_of(l->world->nodes[i].name)) &&
                l->nodes[i].voted_ever >= l->voters.version;
    if (!l->adopted_at && have >= voters_majority(&l->were))
        l->adopted_at = l->world->now;
}

void ledger_voters(struct ledger *l, const struct coord_op *op)
{
    struct voters next, was;
    if (op->act == COORD_REMOVE || !voting_read(op->value, &next, &was)) {
        violated(l->v, I47_VOTERS, "the voters cannot be read");
        return;
    }
    if (next.version != l->voters.version + 1)
        violated(l->v, I47_VOTERS, "the voters go from version %llu to %llu",
                 ull(l->voters.version), ull(next.version));
    if (l->voters.n && difference(&next, &l->voters) != 1)
        violated(l->v, I47_VOTERS, "versions %llu and %llu of the voters differ by %u nodes",
                 ull(l->voters.version), ull(next.version), difference(&next, &l->voters));
    if (!voters_same(&was, &l->voters))
        violated(l->v, I47_VOTERS, "version %llu of the voters says that others were before it",
                 ull(next.version));
    check_wait(l, &next);
    l->were = l->voters;
    l->voters = next;
    l->voters_at = l->world->now;
    l->adopted_at = 0;
}

void ledger_kept_voters(struct ledger *l, uint32_t node, uint64_t version)
{
    struct ledger_node *n = &l->nodes[node];
    if (version < n->voted || version > l->voters.version)
        violated(l->v, I47_VOTERS, "n%u adopts version %llu of the voters; it had %llu, of %llu",
                 node, ull(version), ull(n->voted), ull(l->voters.version));
    n->voted = version;
    if (version > n->voted_ever)
        n->voted_ever = version;
    count(l);
}

/* Whoever runs has them on disk. */
void ledger_settled_voters(struct ledger *l, uint64_t bound)
{
    struct coordinator *c = l->world->coordinator;
    uint64_t now = l->world->now, since = MAX(l->healed, l->voters_at);
    for (uint32_t i = 0; i < l->world->o.nodes && c->wanted.n && now >= since + bound; i++)
        if (c->followers[i].runs &&
            now >= MAX(l->nodes[i].started, c->followers[i].lands) + bound &&
            l->nodes[i].voted != l->voters.version)
            violated(l->v, I45_SAME,
                     "%.1f s after the last fault n%u has version %llu of the voters, not %llu",
                     (double)(now - since) / 1e9, i, ull(l->nodes[i].voted),
                     ull(l->voters.version));
}
