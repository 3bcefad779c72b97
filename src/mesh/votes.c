#include "mesh/votes.h"

_Static_assert((int)CELLS_VOTES == (int)LEASE_ROLES_MAX, "each promise has its row");

void votes_init(struct votes *v, const struct lease_params *p, uint64_t quiet, uint64_t now)
{
    *v = (struct votes){0};
    lease_voter_init(&v->voter, p, now);
    v->voter.quiet_until = MAX(v->voter.quiet_until, quiet);
}

/* --- writing --- */

static void keep(struct votes *v, const struct lease_promised *p)
{
    struct vote_row *row = &v->rows[p - v->voter.promised];
    cell_put(&v->head->writing, 1);
    cell_put(&row->role, p->role);
    cell_put(&row->holder, p->holder);
    cell_put(&row->incarnation, p->incarnation);
    cell_put(&row->seen, p->seen);
    cell_put(&row->until, p->until);
    cell_put(&row->round, p->round);
    cell_put(&row->released, p->released);
    cell_put(&v->head->writing, 0);
}

static void begin(struct votes *v)
{
    cell_put(&v->head->kept, 0);
    for (uint32_t i = 0; i < CELLS_VOTES; i++)
        if (cell_get(&v->rows[i].role))
            cell_put(&v->rows[i].role, 0);
    cell_put(&v->head->writing, 0);
    cell_put(&v->head->quiet_until, v->voter.quiet_until);
    cell_put(&v->head->kept, 1);
}

/* --- reading --- */

static struct lease_promised read_row(const struct vote_row *row)
{
    return (struct lease_promised){.used = true,
                                   .role = cell_get(&row->role),
                                   .holder = cell_get(&row->holder),
                                   .incarnation = cell_get(&row->incarnation),
                                   .seen = cell_get(&row->seen),
                                   .until = cell_get(&row->until),
                                   .round = cell_get(&row->round),
                                   .released = cell_get(&row->released)};
}

static void go_on(struct votes *v)
{
    v->voter.quiet_until = MIN(v->voter.quiet_until, cell_get(&v->head->quiet_until));
    for (uint32_t i = 0; i < CELLS_VOTES; i++)
        if (cell_get(&v->rows[i].role))
            v->voter.promised[i] = read_row(&v->rows[i]);
}

void votes_keep(struct votes *v, struct votes_head *head, struct vote_row *rows)
{
    if (v->head)
        return;
    v->head = head;
    v->rows = rows;
    if (cell_get(&head->kept) == 1 && !cell_get(&head->writing))
        go_on(v);
    else
        begin(v);
}

/* --- voting --- */

bool votes_receive(struct votes *v, uint64_t from, const struct lease_message *m, uint64_t now,
                   struct lease_message *answer)
{
    bool answers = lease_voter_receive(&v->voter, from, m, now, answer);
    const struct lease_promised *p = v->head ? lease_voter_find(&v->voter, m->role) : NULL;
    if (p)
        keep(v, p);
    return answers;
}

void votes_be_quiet(struct votes *v, uint64_t until)
{
    v->voter.quiet_until = MAX(v->voter.quiet_until, until);
    if (v->head)
        cell_put(&v->head->quiet_until, v->voter.quiet_until);
}
