/* What nodes say to each other about leases, over a net that the test is: several `leases`, each
 * with the row of a role that outlives it. */
#include "mesh/leases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define MS   UINT64_C(1000000)
#define ROLE UINT64_C(7)

enum { NODES = 3, ROWS = 40, AIR = 512 };

struct node {
    struct world *world;
    uint64_t id;
    struct leases *leases;
    struct role_row rows[ROWS];
    struct votes_head head;
    struct vote_row votes[CELLS_VOTES];
    bool cut;
    uint32_t nudged, differs, sent;
    struct lease_terms theirs;
};
struct parcel {
    uint64_t from, to;
    size_t n;
    uint8_t p[LEASE_DATAGRAM_MAX];
};
struct world {
    uint64_t now;
    struct node nodes[NODES];
    struct parcel air[AIR];
    uint32_t flying;
};

static const struct lease_params PARAMS = {300 * MS, 100 * MS, 50 * MS, 5000};

static void on_send(void *context, uint64_t to, const void *p, size_t n)
{
    struct node *x = context;
    struct world *w = x->world;
    assert_true(w->flying < AIR && n <= LEASE_DATAGRAM_MAX && to != x->id);
    x->sent++;
    if (x->cut)
        return;
    struct parcel *a = &w->air[w->flying++];
    *a = (struct parcel){.from = x->id, .to = to, .n = n};
    memcpy(a->p, p, n);
}

static void on_effect(void *context)
{
    ((struct node *)context)->nudged++;
}

static void on_differs(void *context, uint64_t node, const struct lease_terms *theirs,
                       const struct lease_terms *ours)
{
    struct node *x = context;
    (void)node;
    (void)ours;
    x->differs++;
    x->theirs = *theirs;
}

static void start(struct world *w, uint32_t i)
{
    struct node *x = &w->nodes[i];
    struct leases_host h = {x, on_send, on_effect, on_differs};
    uint64_t ids[NODES];
    for (uint32_t k = 0; k < NODES; k++)
        ids[k] = w->nodes[k].id;
    assert_int_equal(leases_new(&x->leases, x->id, &PARAMS, w->now * 1000 + i, 0, &h, w->now, NULL),
                     0);
    leases_votes(x->leases, &x->head, x->votes);
    assert_true(leases_voters(x->leases, 1, ids, NODES, w->now));
}

static void end(struct world *w, uint32_t i)
{
    leases_free(w->nodes[i].leases);
    w->nodes[i].leases = NULL;
}

static int set_up(void **state)
{
    struct world *w = aligned_alloc(64, (sizeof *w + 63) / 64 * 64);
    assert_non_null(w);
    memset(w, 0, sizeof *w);
    w->now = 1000 * MS;
    for (uint32_t i = 0; i < NODES; i++)
        w->nodes[i] = (struct node){.world = w, .id = 100 + i};
    for (uint32_t i = 0; i < NODES; i++)
        start(w, i);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    for (uint32_t i = 0; i < NODES; i++)
        end(w, i);
    free(w);
    return 0;
}

/* All that is in the air arrives, and what that leads to. */
static void settle(struct world *w)
{
    for (uint32_t i = 0; i < w->flying; i++) {
        struct parcel p = w->air[i];
        struct node *to = &w->nodes[p.to - 100];
        if (to->leases && !to->cut)
            assert_true(leases_receive(to->leases, p.from, p.p, p.n, w->now));
    }
    w->flying = 0;
}

static void pass(struct world *w, uint64_t ns)
{
    for (uint64_t end = w->now + ns; w->now < end; w->now += MS) {
        for (uint32_t i = 0; i < NODES; i++)
            if (w->nodes[i].leases && leases_next(w->nodes[i].leases) <= w->now)
                leases_tick(w->nodes[i].leases, w->now);
        settle(w);
    }
}

static struct mesh_lease lease_of(struct world *w, uint32_t i, uint64_t role)
{
    struct mesh_lease l = {0};
    assert_true(leases_read(w->nodes[i].leases, role, w->now, &l));
    return l;
}

static unsigned effects_of(struct world *w, uint32_t i)
{
    uint64_t role;
    unsigned all = 0, some;
    while (leases_effect(w->nodes[i].leases, &role, &some))
        all |= some;
    return all;
}

static void add_role(struct world *w, uint32_t i, uint64_t role, uint32_t row)
{
    struct node *x = &w->nodes[i];
    assert_int_equal(leases_role(x->leases, role, &x->rows[row], w->now, NULL), 0);
}

static bool may_act(const struct world *w, uint32_t i, uint32_t row)
{
    return cell_get(&w->nodes[i].rows[row].lease_until) > w->now;
}

/* The role is held by a node under an epoch. */
static void hold(struct world *w, uint32_t i, uint64_t role, uint64_t epoch)
{
    leases_want(w->nodes[i].leases, role, epoch, w->now);
    settle(w);
    struct mesh_lease l = lease_of(w, i, role);
    assert_int_equal(l.state, LEASE_GATE);
    assert_true(leases_confirm(w->nodes[i].leases, role, l.gate, epoch, w->now));
    effects_of(w, i);
}

static void until_voters_speak(struct world *w)
{
    pass(w, lease_promise(&PARAMS) + MS);
}

/* --- tests --- */

static void voters_are_quiet_and_then_a_role_is_held(void **state)
{
    struct world *w = *state;
    add_role(w, 0, ROLE, 0);
    leases_want(w->nodes[0].leases, ROLE, 1, w->now);
    pass(w, 400 * MS);
    assert_int_equal(lease_of(w, 0, ROLE).state, LEASE_ACQUIRING);
    pass(w, 60 * MS);
    assert_int_equal(lease_of(w, 0, ROLE).state, LEASE_GATE);
    assert_int_equal(effects_of(w, 0), LEASE_ENTERED);
    assert_false(may_act(w, 0, 0)); /* nothing at the gate */
    assert_false(
        leases_confirm(w->nodes[0].leases, ROLE, lease_of(w, 0, ROLE).gate + 1, 1, w->now));
    assert_true(leases_confirm(w->nodes[0].leases, ROLE, lease_of(w, 0, ROLE).gate, 1, w->now));
    assert_true(may_act(w, 0, 0));
    assert_int_equal(cell_get(&w->nodes[0].rows[0].lease_epoch), 1);
    for (int i = 0; i < 100; i++) {
        pass(w, 10 * MS);
        assert_true(may_act(w, 0, 0));
    }
    assert_int_equal(effects_of(w, 0), 0);
}

static void another_waits_until_the_promise_is_over(void **state)
{
    struct world *w = *state;
    until_voters_speak(w);
    add_role(w, 0, ROLE, 0);
    add_role(w, 1, ROLE, 0);
    hold(w, 0, ROLE, 1);
    w->nodes[0].cut = true;
    uint64_t cut = w->now, free_at = 0;
    leases_want(w->nodes[1].leases, ROLE, 2, w->now);
    while (!free_at && w->now < cut + 1000 * MS) {
        pass(w, MS);
        if (lease_of(w, 1, ROLE).state == LEASE_GATE)
            free_at = w->now;
        assert_false(free_at && may_act(w, 0, 0));
    }
    assert_in_range(free_at - cut, lease_promise(&PARAMS), lease_promise(&PARAMS) + 55 * MS);
    assert_int_equal(effects_of(w, 0) & LEASE_LAPSED, LEASE_LAPSED);
    assert_int_equal(cell_get(&w->nodes[0].rows[0].lease_until), 0);
}

static void what_is_dropped_is_free_at_once(void **state)
{
    struct world *w = *state;
    until_voters_speak(w);
    add_role(w, 0, ROLE, 0);
    add_role(w, 1, ROLE, 0);
    hold(w, 0, ROLE, 1);
    leases_drop(w->nodes[0].leases, ROLE, w->now);
    assert_int_equal(cell_get(&w->nodes[0].rows[0].lease_until), 0); /* before anything leaves */
    settle(w);
    hold(w, 1, ROLE, 2);
    assert_true(may_act(w, 1, 0));
}

/* A control that is killed and started again within the lease. */
static void a_restart_within_the_lease_goes_on(void **state)
{
    struct world *w = *state;
    until_voters_speak(w);
    add_role(w, 0, ROLE, 0);
    hold(w, 0, ROLE, 5);
    pass(w, 120 * MS);
    uint64_t round = cell_get(&w->nodes[0].rows[0].round);
    uint64_t until = cell_get(&w->nodes[0].rows[0].lease_until);
    end(w, 0);
    pass(w, 100 * MS);
    start(w, 0);
    add_role(w, 0, ROLE, 0);
    struct mesh_lease l = lease_of(w, 0, ROLE);
    assert_int_equal(l.state, LEASE_HELD);
    assert_int_equal(l.epoch, 5);
    assert_int_equal(l.deadline, until);
    for (int i = 0; i < 50; i++) {
        assert_true(may_act(w, 0, 0));
        pass(w, 10 * MS);
    }
    assert_true(cell_get(&w->nodes[0].rows[0].round) > round);
    assert_int_equal(effects_of(w, 0), 0);
}

/* Too late for the lease, but still the same holder: nobody has to wait until its own promise is
 * over. */
static void a_restart_after_the_lease_goes_through_the_gate(void **state)
{
    struct world *w = *state;
    until_voters_speak(w);
    add_role(w, 0, ROLE, 0);
    hold(w, 0, ROLE, 5);
    end(w, 0);
    pass(w, 320 * MS);
    start(w, 0);
    add_role(w, 0, ROLE, 0);
    assert_int_equal(lease_of(w, 0, ROLE).state, LEASE_IDLE);
    assert_false(may_act(w, 0, 0));
    hold(w, 0, ROLE, 5);
}

/* Acknowledgements of rounds that the one before had sent count for nothing. */
static void rounds_of_before_do_not_count(void **state)
{
    struct world *w = *state;
    until_voters_speak(w);
    add_role(w, 0, ROLE, 0);
    hold(w, 0, ROLE, 5);
    uint64_t until = cell_get(&w->nodes[0].rows[0].lease_until);
    w->now += 50 * MS;
    leases_tick(w->nodes[0].leases, w->now); /* a round that is under way */
    assert_int_equal(w->flying, 2);
    end(w, 0);
    start(w, 0);
    add_role(w, 0, ROLE, 0);
    settle(w);
    assert_int_equal(lease_of(w, 0, ROLE).deadline, until);
    leases_tick(w->nodes[0].leases, w->now);
    settle(w);
    assert_true(lease_of(w, 0, ROLE).deadline > until);
}

static void assert_not_resumed(struct world *w, uint64_t role, uint64_t until)
{
    struct role_row *row = &w->nodes[0].rows[0];
    cell_set(&row->role, ROLE);
    cell_set(&row->incarnation, 9);
    cell_set(&row->lease_epoch, 5);
    cell_set(&row->lease_until, until);
    add_role(w, 0, role, 0);
    assert_int_equal(lease_of(w, 0, role).state, LEASE_IDLE);
    assert_int_equal(cell_get(&row->lease_until), 0);
    assert_int_equal(leases_role(w->nodes[0].leases, role, NULL, w->now, NULL), 0);
}

static void a_row_that_makes_no_sense_is_no_lease(void **state)
{
    struct world *w = *state;
    assert_not_resumed(w, ROLE + 1, w->now + 100 * MS); /* of another role */
    assert_not_resumed(w, ROLE, w->now);                /* over */
    assert_not_resumed(w, ROLE, w->now + 301 * MS);     /* longer than any */
    assert_not_resumed(w, ROLE, UINT64_MAX);
}

/* Wherever a control dies in the middle of its stores: what it leaves never says more than what was
 * held. Each store is a step here. */
static void a_role_that_is_removed_leaves_nothing(void **state)
{
    struct world *w = *state;
    until_voters_speak(w);
    add_role(w, 0, ROLE, 0);
    hold(w, 0, ROLE, 5);
    assert_int_equal(leases_role(w->nodes[0].leases, ROLE, NULL, w->now, NULL), 0);
    assert_false(may_act(w, 0, 0));
    struct mesh_lease l;
    assert_false(leases_read(w->nodes[0].leases, ROLE, w->now, &l));
    add_role(w, 0, ROLE, 0); /* somebody else, who has to wait */
    leases_want(w->nodes[0].leases, ROLE, 5, w->now);
    settle(w);
    assert_int_equal(lease_of(w, 0, ROLE).state, LEASE_ACQUIRING);
}

static void rows_may_change_places(void **state)
{
    struct world *w = *state;
    until_voters_speak(w);
    add_role(w, 0, ROLE, 0);
    add_role(w, 0, ROLE + 1, 1);
    hold(w, 0, ROLE, 5);
    hold(w, 0, ROLE + 1, 6);
    add_role(w, 0, ROLE, 1);
    add_role(w, 0, ROLE + 1, 0);
    assert_true(may_act(w, 0, 0) && may_act(w, 0, 1));
    assert_int_equal(cell_get(&w->nodes[0].rows[0].lease_epoch), 6);
    assert_int_equal(cell_get(&w->nodes[0].rows[1].lease_epoch), 5);
    assert_int_equal(cell_get(&w->nodes[0].rows[1].role), ROLE);
    pass(w, 500 * MS);
    assert_true(may_act(w, 0, 0) && may_act(w, 0, 1));
    assert_int_equal(leases_role(w->nodes[0].leases, ROLE, NULL, w->now, NULL), 0);
    assert_true(may_act(w, 0, 0) && !may_act(w, 0, 1));
}

/* A holder of an epoch that is not the highest notices, and may raise it while it acts. */
static void a_higher_epoch_is_noticed_and_answered(void **state)
{
    struct world *w = *state;
    until_voters_speak(w);
    add_role(w, 0, ROLE, 0);
    add_role(w, 1, ROLE, 0);
    hold(w, 0, ROLE, 5);
    leases_want(w->nodes[1].leases, ROLE, 6, w->now);
    settle(w);
    leases_drop(w->nodes[1].leases, ROLE, w->now);
    settle(w);
    pass(w, 60 * MS);
    assert_int_equal(effects_of(w, 0), LEASE_OUTDATED);
    assert_true(lease_of(w, 0, ROLE).outdated);
    leases_want(w->nodes[0].leases, ROLE, 7, w->now);
    assert_true(may_act(w, 0, 0));
    assert_int_equal(cell_get(&w->nodes[0].rows[0].lease_epoch), 5);
    settle(w);
    struct mesh_lease l = lease_of(w, 0, ROLE);
    assert_true(l.state == LEASE_GATE && !l.outdated);
    assert_true(leases_confirm(w->nodes[0].leases, ROLE, l.gate, 7, w->now));
    assert_int_equal(cell_get(&w->nodes[0].rows[0].lease_epoch), 7);
    assert_true(may_act(w, 0, 0));
}

/* 40 roles, a beat: three datagrams to each of the two others. */
static void roles_share_datagrams(void **state)
{
    struct world *w = *state;
    until_voters_speak(w);
    for (uint32_t i = 0; i < ROWS; i++) {
        add_role(w, 0, ROLE + i, i);
        hold(w, 0, ROLE + i, 1);
        pass(w, 7 * MS); /* they do not begin together */
    }
    pass(w, 60 * MS);
    uint32_t before = w->nodes[0].sent, answers = w->nodes[1].sent;
    pass(w, 500 * MS);
    assert_in_range(w->nodes[0].sent - before, 9 * 6, 11 * 6);
    assert_int_equal((w->nodes[1].sent - answers) * 2, w->nodes[0].sent - before);
    for (uint32_t i = 0; i < ROWS; i++)
        assert_true(may_act(w, 0, i));
}

static void other_terms_count_for_nothing(void **state)
{
    struct world *w = *state;
    struct lease_params longer = PARAMS;
    until_voters_speak(w);
    add_role(w, 0, ROLE, 0);
    longer.lease = 400 * MS;
    leases_params(w->nodes[0].leases, &longer, w->now);
    leases_want(w->nodes[0].leases, ROLE, 1, w->now);
    pass(w, 500 * MS);
    assert_int_equal(lease_of(w, 0, ROLE).state, LEASE_ACQUIRING);
    assert_true(w->nodes[0].differs == 2 && w->nodes[1].differs == 1 && w->nodes[2].differs == 1);
    assert_int_equal(w->nodes[1].theirs.lease, 400 * MS);
    leases_params(w->nodes[1].leases, &longer, w->now);
    pass(w, 100 * MS);
    assert_int_equal(lease_of(w, 0, ROLE).state, LEASE_GATE); /* two of three */
    assert_int_equal(w->nodes[2].differs, 1);
}

/* A longer demotion than was promised for begins that much sooner; a longer lease is none until a
 * round was acknowledged under it. */
static void terms_change_under_a_lease(void **state)
{
    struct world *w = *state;
    struct lease_params other = PARAMS;
    until_voters_speak(w);
    add_role(w, 0, ROLE, 0);
    hold(w, 0, ROLE, 1);
    uint64_t until = cell_get(&w->nodes[0].rows[0].lease_until);
    w->now += 50 * MS;
    leases_tick(w->nodes[0].leases, w->now);
    other.lease = 800 * MS;
    other.demote = 130 * MS;
    leases_params(w->nodes[0].leases, &other, w->now);
    assert_int_equal(cell_get(&w->nodes[0].rows[0].lease_until), until - 30 * MS);
    settle(w); /* what was sent before */
    assert_int_equal(cell_get(&w->nodes[0].rows[0].lease_until), until - 30 * MS);
    for (uint32_t i = 1; i < NODES; i++)
        leases_params(w->nodes[i].leases, &other, w->now);
    pass(w, 60 * MS);
    assert_true(cell_get(&w->nodes[0].rows[0].lease_until) > w->now + 700 * MS);
    /* And back: promises that were given for longer stay. */
    w->nodes[0].cut = true;
    for (uint32_t i = 0; i < NODES; i++)
        leases_params(w->nodes[i].leases, &PARAMS, w->now);
    add_role(w, 1, ROLE, 0);
    leases_want(w->nodes[1].leases, ROLE, 2, w->now);
    pass(w, 700 * MS);
    assert_true(may_act(w, 0, 0));
    assert_int_not_equal(lease_of(w, 1, ROLE).state, LEASE_GATE);
}

/* What a restarted voter promised before, it keeps; and it need not be quiet. */
static void a_voter_that_restarts_keeps_its_promises(void **state)
{
    struct world *w = *state;
    until_voters_speak(w);
    add_role(w, 0, ROLE, 0);
    add_role(w, 1, ROLE, 0);
    hold(w, 0, ROLE, 5);
    for (uint32_t i = 1; i < NODES; i++) {
        end(w, i);
        start(w, i);
    }
    add_role(w, 1, ROLE, 0);
    pass(w, 400 * MS);
    assert_true(may_act(w, 0, 0)); /* with their votes */
    w->nodes[0].cut = true;
    for (uint32_t i = 1; i < NODES; i++) {
        end(w, i);
        start(w, i);
    }
    add_role(w, 1, ROLE, 0);
    leases_want(w->nodes[1].leases, ROLE, 6, w->now);
    while (may_act(w, 0, 0)) {
        assert_int_equal(lease_of(w, 1, ROLE).state, LEASE_ACQUIRING);
        pass(w, MS);
    }
    pass(w, 160 * MS);
    assert_int_equal(lease_of(w, 1, ROLE).state, LEASE_GATE);
}

/* One that died in the middle of a row, or whose memory is new, is quiet. */
static void a_voter_that_may_have_forgotten_is_quiet(void **state)
{
    struct world *w = *state;
    until_voters_speak(w);
    add_role(w, 0, ROLE, 0);
    hold(w, 0, ROLE, 5);
    for (int torn = 0; torn < 2; torn++) {
        pass(w, 500 * MS);
        assert_true(may_act(w, 0, 0));
        for (uint32_t i = 1; i < NODES; i++) {
            end(w, i);
            cell_set(torn ? &w->nodes[i].head.writing : &w->nodes[i].head.kept, (uint64_t)torn);
            start(w, i);
        }
        pass(w, 200 * MS);
        for (uint32_t i = 1; i < NODES; i++) { /* within the quiet time: it does not end sooner */
            end(w, i);
            start(w, i);
        }
        pass(w, 110 * MS);
        assert_false(may_act(w, 0, 0));
        pass(w, 160 * MS);
        struct mesh_lease l = lease_of(w, 0, ROLE);
        assert_int_equal(l.state, LEASE_GATE);
        assert_true(leases_confirm(w->nodes[0].leases, ROLE, l.gate, 5, w->now));
    }
}

static void another_set_of_the_same_version_makes_quiet(void **state)
{
    struct world *w = *state;
    uint64_t one = w->nodes[0].id;
    until_voters_speak(w);
    add_role(w, 0, ROLE, 0);
    assert_true(leases_voters(w->nodes[0].leases, 1, &one, 1, w->now));
    leases_want(w->nodes[0].leases, ROLE, 1, w->now);
    pass(w, 400 * MS);
    assert_int_equal(lease_of(w, 0, ROLE).state, LEASE_ACQUIRING);
    pass(w, 60 * MS);
    assert_int_equal(lease_of(w, 0, ROLE).state, LEASE_GATE);
}

static void sets_of_voters_only_rise(void **state)
{
    struct world *w = *state;
    uint64_t one = w->nodes[0].id, two[] = {100, 101};
    until_voters_speak(w);
    add_role(w, 0, ROLE, 0);
    assert_true(leases_voters(w->nodes[0].leases, 3, &one, 1, w->now));
    assert_false(leases_voters(w->nodes[0].leases, 2, two, 2, w->now));
    hold(w, 0, ROLE, 1); /* by its own vote */
    uint32_t sent = w->nodes[0].sent;
    pass(w, 400 * MS);
    assert_true(may_act(w, 0, 0));
    assert_int_equal(w->nodes[0].sent, sent);
}

static void what_is_malformed_is_refused(void **state)
{
    struct world *w = *state;
    uint8_t bytes[LEASE_DATAGRAM_MAX] = {LEASE_VERSION, 1, LEASE_MESSAGE};
    assert_false(leases_receive(w->nodes[0].leases, 101, bytes, 1, w->now));
    assert_false(leases_receive(w->nodes[0].leases, 101, bytes, sizeof bytes, w->now));
    assert_true(
        leases_receive(w->nodes[0].leases, 101, bytes, LEASE_HEADER + LEASE_MESSAGE, w->now));
}

static void roles_have_a_bound_and_memory_too(void **state)
{
    struct world *w = *state;
    struct node *x = &w->nodes[0];
    struct leases *l;
    struct leases_host h = {x, on_send, on_effect, on_differs};
    struct err e = {0};
    for (uint64_t i = 0; i < LEASES_ROLES; i++)
        assert_int_equal(leases_role(x->leases, ROLE + i, &x->rows[i % ROWS], w->now, &e), 0);
    assert_int_equal(leases_role(x->leases, 1, &x->rows[0], w->now, &e), -ERR_LIMIT);
    mem_fail_at(1);
    assert_int_equal(leases_new(&l, 1, &PARAMS, 1, 0, &h, w->now, &e), -ERR_NOMEM);
    mem_fail_at(0);
    assert_null(l);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(voters_are_quiet_and_then_a_role_is_held),
        TEST(another_waits_until_the_promise_is_over),
        TEST(what_is_dropped_is_free_at_once),
        TEST(a_restart_within_the_lease_goes_on),
        TEST(a_restart_after_the_lease_goes_through_the_gate),
        TEST(rounds_of_before_do_not_count),
        TEST(a_row_that_makes_no_sense_is_no_lease),
        TEST(a_role_that_is_removed_leaves_nothing),
        TEST(rows_may_change_places),
        TEST(a_higher_epoch_is_noticed_and_answered),
        TEST(roles_share_datagrams),
        TEST(other_terms_count_for_nothing),
        TEST(terms_change_under_a_lease),
        TEST(a_voter_that_restarts_keeps_its_promises),
        TEST(a_voter_that_may_have_forgotten_is_quiet),
        TEST(another_set_of_the_same_version_makes_quiet),
        TEST(sets_of_voters_only_rise),
        TEST(what_is_malformed_is_refused),
        TEST(roles_have_a_bound_and_memory_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
