/* lease: each rule of docs/protocol/lease.md by itself. What they amount to together is
 * lease_world_test.c. */
#include "recover/lease.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define MS     UINT64_C(1000000)
#define START  (1000000 * MS)
#define ROLE   UINT64_C(4711)
#define SELF   UINT64_C(11)
#define OTHER  UINT64_C(22)
#define OWN    UINT64_C(900) /* incarnations */
#define THEIRS UINT64_C(901)

static const struct lease_params params = {300 * MS, 100 * MS, 50 * MS, 5000};
static const uint64_t three[] = {SELF, OTHER, 33};

static struct lease_message renewal(uint64_t incarnation, uint64_t epoch, uint64_t round)
{
    return (struct lease_message){.kind = LEASE_RENEW,
                                  .role = ROLE,
                                  .epoch = epoch,
                                  .incarnation = incarnation,
                                  .round = round,
                                  .voters = 1};
}

static struct lease_voter *voter(void)
{
    static struct lease_voter v;
    lease_voter_init(&v, &params, START);
    lease_voter_set(&v, 1, true);
    return &v;
}

/* What the voter answers; 0: it acknowledged. */
static enum lease_refusal ask(struct lease_voter *v, uint64_t from, struct lease_message m,
                              uint64_t now)
{
    struct lease_message answer;
    assert_true(lease_voter_receive(v, from, &m, now, &answer));
    assert_int_equal(answer.round, m.round);
    assert_int_equal(answer.incarnation, m.incarnation);
    assert_int_equal(answer.epoch, m.epoch);
    if (answer.kind == LEASE_ACK)
        return 0;
    assert_int_equal(answer.kind, LEASE_REFUSED);
    return answer.refusal;
}

/* --- the voter --- */

static void the_promise_is_long_enough(void **state)
{
    (void)state;
    uint64_t p = lease_promise(&params);
    assert_true(p >= 404 * MS && p <= 405 * MS);
    assert_int_equal(lease_params_check(&params, NULL), 0);
    struct lease_params bad = params;
    bad.beat = 76 * MS;
    assert_int_equal(lease_params_check(&bad, NULL), -ERR_INVAL);
    bad = params;
    bad.rho = 200000;
    assert_int_equal(lease_params_check(&bad, NULL), -ERR_INVAL);
    bad = params;
    bad.demote = 301 * MS;
    assert_int_equal(lease_params_check(&bad, NULL), -ERR_INVAL);
}

static void a_voter_that_started_is_quiet_for_a_promise(void **state)
{
    (void)state;
    struct lease_voter *v = voter();
    uint64_t p = lease_promise(&params);
    assert_int_equal(ask(v, OTHER, renewal(THEIRS, 1, 1), START), LEASE_QUIET);
    assert_int_equal(ask(v, OTHER, renewal(THEIRS, 1, 2), START + p - 1), LEASE_QUIET);
    assert_int_equal(ask(v, OTHER, renewal(THEIRS, 1, 3), START + p), 0);
}

static void a_promise_is_for_one(void **state)
{
    (void)state;
    struct lease_voter *v = voter();
    uint64_t p = lease_promise(&params), t = START + p;
    assert_int_equal(ask(v, SELF, renewal(OWN, 1, 1), t), 0);
    assert_int_equal(ask(v, OTHER, renewal(THEIRS, 2, 1), t + 1), LEASE_TAKEN);
    assert_int_equal(ask(v, SELF, renewal(OWN + 1, 2, 1), t + 1), LEASE_TAKEN); /* started anew */
    assert_int_equal(ask(v, OTHER, renewal(THEIRS, 2, 2), t + p - 1), LEASE_TAKEN);
    assert_int_equal(ask(v, OTHER, renewal(THEIRS, 2, 3), t + p), 0);
    assert_int_equal(ask(v, SELF, renewal(OWN, 3, 2), t + p), LEASE_TAKEN);
}

static void a_refused_epoch_counts(void **state)
{
    (void)state;
    struct lease_voter *v = voter();
    uint64_t t = START + lease_promise(&params);
    assert_int_equal(ask(v, SELF, renewal(OWN, 4, 1), t), 0);
    assert_int_equal(ask(v, OTHER, renewal(THEIRS, 5, 1), t), LEASE_TAKEN);
    struct lease_message m = renewal(OWN, 4, 2), answer;
    assert_true(lease_voter_receive(v, SELF, &m, t, &answer));
    assert_int_equal(answer.kind, LEASE_REFUSED);
    assert_int_equal(answer.refusal, LEASE_OLD_EPOCH);
    assert_int_equal(answer.seen, 5);
    assert_int_equal(ask(v, SELF, renewal(OWN, 6, 3), t), 0);
}

static void other_sets_and_strangers_are_refused(void **state)
{
    (void)state;
    struct lease_voter *v = voter();
    uint64_t t = START + lease_promise(&params);
    struct lease_message m = renewal(OWN, 1, 1), answer;
    m.voters = 2;
    assert_int_equal(ask(v, SELF, m, t), LEASE_OTHER_SET);
    lease_voter_set(v, 2, true);
    assert_int_equal(ask(v, SELF, m, t), 0);
    m.voters = 1;
    assert_int_equal(ask(v, SELF, m, t), LEASE_OTHER_SET);
    lease_voter_set(v, 3, false);
    m.voters = 3;
    assert_int_equal(ask(v, SELF, m, t), LEASE_OTHER_SET);
    m.kind = LEASE_ACK;
    assert_false(lease_voter_receive(v, SELF, &m, t, &answer));
    m = renewal(OWN, 1, 0);
    assert_false(lease_voter_receive(v, SELF, &m, t, &answer));
}

static void a_release_frees_what_it_names(void **state)
{
    (void)state;
    struct lease_voter *v = voter();
    uint64_t t = START + lease_promise(&params);
    struct lease_message gone = renewal(OWN, 1, 2), answer;
    gone.kind = LEASE_RELEASE;
    assert_int_equal(ask(v, SELF, renewal(OWN, 1, 1), t), 0);
    assert_false(lease_voter_receive(v, OTHER, &gone, t, &answer)); /* not his */
    assert_int_equal(ask(v, OTHER, renewal(THEIRS, 1, 1), t), LEASE_TAKEN);
    assert_false(lease_voter_receive(v, SELF, &gone, t, &answer));
    assert_int_equal(ask(v, SELF, renewal(OWN, 1, 2), t), LEASE_VOID); /* overtaken by it */
    assert_int_equal(ask(v, OTHER, renewal(THEIRS, 1, 2), t), 0);
    /* A copy that is late frees nothing that was acknowledged since. */
    gone.incarnation = THEIRS;
    gone.round = 2;
    assert_int_equal(ask(v, OTHER, renewal(THEIRS, 1, 3), t), 0);
    assert_false(lease_voter_receive(v, OTHER, &gone, t, &answer));
    assert_int_equal(ask(v, SELF, renewal(OWN, 2, 4), t), LEASE_TAKEN);
}

static void promises_are_bounded(void **state)
{
    (void)state;
    struct lease_voter *v = voter();
    uint64_t p = lease_promise(&params), t = START + p;
    for (uint64_t i = 0; i < LEASE_ROLES_MAX; i++) {
        struct lease_message m = renewal(OWN, 1, 1);
        m.role = i;
        assert_int_equal(ask(v, SELF, m, t + i), 0);
    }
    assert_int_equal(ask(v, OTHER, renewal(THEIRS, 1, 1), t + p - 1), LEASE_FULL);
    assert_int_equal(ask(v, OTHER, renewal(THEIRS, 1, 2), t + p), 0); /* the oldest is over */
    struct lease_message m = renewal(THEIRS, 2, 9);
    m.role = 1;
    assert_int_equal(ask(v, OTHER, m, t + p), LEASE_TAKEN); /* and only that */
}

/* --- the holder --- */

static struct lease_holder holder(void)
{
    struct lease_holder h;
    lease_holder_init(&h, &params, ROLE, OWN);
    lease_holder_voters(&h, 1, three, 3);
    return h;
}

static struct lease_message ack(const struct lease_message *m)
{
    struct lease_message a = *m;
    a.kind = LEASE_ACK;
    a.seen = m->epoch;
    return a;
}

/* Has the lease of epoch 5, by a round sent at START, and went through the gate. */
static struct lease_holder held(struct lease_message *round)
{
    struct lease_holder h = holder();
    assert_int_equal(lease_want(&h, 5, START, round), LEASE_SEND);
    struct lease_message a = ack(round);
    assert_int_equal(lease_receive(&h, SELF, &a, START + MS), 0);
    assert_int_equal(lease_receive(&h, SELF, &a, START + MS), 0); /* twice is once */
    assert_int_equal(lease_deadline(&h, START + MS), 0);
    assert_int_equal(lease_receive(&h, OTHER, &a, START + 2 * MS), LEASE_ENTERED);
    assert_int_equal(lease_deadline(&h, START + 2 * MS), 0); /* not through the gate yet */
    assert_true(lease_confirm(&h, h.gate, 5, START + 3 * MS));
    assert_int_equal(lease_deadline(&h, START + 3 * MS), START + 300 * MS);
    return h;
}

static void it_holds_from_the_sending_of_a_majority_s_round(void **state)
{
    (void)state;
    struct lease_message m;
    struct lease_holder h = held(&m);
    assert_int_equal(lease_next(&h), START + 50 * MS);
    assert_int_equal(lease_tick(&h, START + 49 * MS, &m), 0);
    assert_int_equal(lease_tick(&h, START + 60 * MS, &m), LEASE_SEND);
    struct lease_message a = ack(&m);
    lease_receive(&h, SELF, &a, START + 250 * MS);
    assert_int_equal(lease_deadline(&h, START + 250 * MS), START + 300 * MS);
    lease_receive(&h, 33, &a, START + 250 * MS);
    assert_int_equal(lease_deadline(&h, START + 250 * MS), START + 360 * MS);
    assert_int_equal(lease_deadline(&h, START + 360 * MS), 0);
}

static void only_its_own_acknowledgements_count(void **state)
{
    (void)state;
    struct lease_holder h = holder();
    struct lease_message m, a;
    lease_want(&h, 5, START, &m);
    a = ack(&m);
    assert_int_equal(lease_receive(&h, SELF, &a, START), 0);
    struct lease_message wrong[] = {a, a, a, a, a, a};
    wrong[0].epoch++;
    wrong[1].incarnation++;
    wrong[2].round++;
    wrong[3].role++;
    wrong[4].voters++;
    wrong[5].kind = LEASE_RENEW;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_int_equal(lease_receive(&h, OTHER, &wrong[i], START), 0);
    assert_int_equal(lease_receive(&h, 77, &a, START), 0); /* no voter */
    assert_int_equal(h.state, LEASE_ACQUIRING);
    assert_int_equal(lease_receive(&h, OTHER, &a, START), LEASE_ENTERED);
}

static void a_lapse_needs_the_gate_again(void **state)
{
    (void)state;
    struct lease_message m;
    struct lease_holder h = held(&m);
    uint64_t gate = h.gate, late = START + 300 * MS;
    assert_int_equal(lease_tick(&h, START + 250 * MS, &m), LEASE_SEND);
    struct lease_message a = ack(&m);
    /* A majority answers the later round, but after the deadline: what was before is over. */
    assert_int_equal(lease_receive(&h, SELF, &a, late), LEASE_LAPSED);
    assert_int_equal(lease_receive(&h, OTHER, &a, late), 0);
    assert_int_equal(h.state, LEASE_ACQUIRING);
    assert_int_equal(lease_tick(&h, late, &m), LEASE_SEND);
    a = ack(&m);
    lease_receive(&h, SELF, &a, late + MS);
    assert_int_equal(lease_receive(&h, OTHER, &a, late + MS), LEASE_ENTERED);
    assert_false(lease_confirm(&h, gate, 5, late + MS)); /* a read of the time before */
    assert_false(lease_confirm(&h, h.gate, 6, late + MS));
    assert_true(lease_confirm(&h, h.gate, 5, late + MS));
}

static void the_gate_closes_with_the_lease(void **state)
{
    (void)state;
    struct lease_holder h = holder();
    struct lease_message m, a;
    lease_want(&h, 5, START, &m);
    a = ack(&m);
    lease_receive(&h, SELF, &a, START);
    lease_receive(&h, OTHER, &a, START);
    assert_false(lease_confirm(&h, h.gate, 5, START + 300 * MS));
    assert_int_equal(lease_tick(&h, START + 300 * MS, &m), LEASE_LAPSED | LEASE_SEND);
}

static void a_higher_epoch_ends_the_renewals(void **state)
{
    (void)state;
    struct lease_message m, no;
    struct lease_holder h = held(&m);
    no = ack(&m);
    no.kind = LEASE_REFUSED;
    no.seen = 6;
    assert_int_equal(lease_receive(&h, 33, &no, START + 10 * MS), LEASE_OUTDATED);
    assert_int_equal(lease_receive(&h, 33, &no, START + 10 * MS), 0); /* told once */
    assert_int_equal(lease_tick(&h, START + 100 * MS, &m), 0);
    assert_int_equal(lease_deadline(&h, START + 100 * MS), START + 300 * MS);
    assert_int_equal(lease_want(&h, 5, START + 100 * MS, &m), LEASE_OUTDATED);
    /* It answers with an epoch of its own, and acts on the old one until its time is over. */
    assert_int_equal(lease_want(&h, 7, START + 110 * MS, &m), LEASE_SEND);
    assert_int_equal(m.epoch, 7);
    assert_int_equal(lease_deadline(&h, START + 110 * MS), START + 300 * MS);
    struct lease_message a = ack(&m);
    lease_receive(&h, SELF, &a, START + 120 * MS);
    assert_int_equal(lease_receive(&h, OTHER, &a, START + 120 * MS), LEASE_ENTERED);
    assert_int_equal(lease_deadline(&h, START + 120 * MS), START + 300 * MS);
    struct lease_holder slow = h;
    assert_true(lease_confirm(&h, h.gate, 7, START + 130 * MS));
    assert_int_equal(lease_deadline(&h, START + 130 * MS), START + 410 * MS);
    assert_true(lease_tick(&slow, START + 300 * MS, &m) & LEASE_LAPSED);
    assert_int_equal(lease_deadline(&slow, START + 300 * MS), 0);
    assert_true(lease_confirm(&slow, slow.gate, 7, START + 310 * MS));
}

static void an_outdated_one_that_lapses_is_idle(void **state)
{
    (void)state;
    struct lease_message m, no;
    struct lease_holder h = held(&m);
    no = ack(&m);
    no.kind = LEASE_REFUSED;
    no.seen = 6;
    lease_receive(&h, 33, &no, START + 10 * MS);
    assert_int_equal(lease_tick(&h, START + 300 * MS, &m), LEASE_LAPSED);
    assert_int_equal(h.state, LEASE_IDLE);
    assert_int_equal(lease_next(&h), UINT64_MAX);
}

static void it_gives_up_after_two_leases_and_a_half(void **state)
{
    (void)state;
    struct lease_holder h = holder();
    struct lease_message m;
    uint64_t now = START;
    unsigned effects = lease_want(&h, 1, now, &m), sent = 0;
    while (!(effects & LEASE_GAVE_UP)) {
        sent += effects & LEASE_SEND ? 1 : 0;
        now = lease_next(&h);
        effects = lease_tick(&h, now, &m);
    }
    assert_int_equal(now, START + 750 * MS);
    assert_int_equal(sent, 15);
    assert_int_equal(lease_want(&h, 1, now, &m), LEASE_SEND);
    assert_int_equal(m.round, 16); /* no number of a round comes twice */
}

static void what_was_dropped_counts_no_more(void **state)
{
    (void)state;
    struct lease_message m, gone;
    struct lease_holder h = held(&m);
    lease_tick(&h, START + 50 * MS, &m);
    struct lease_message a = ack(&m);
    assert_true(lease_drop(&h, START + 60 * MS, &gone));
    assert_int_equal(gone.kind, LEASE_RELEASE);
    assert_int_equal(gone.round, m.round);
    assert_int_equal(lease_deadline(&h, START + 60 * MS), 0);
    assert_int_equal(lease_want(&h, 5, START + 61 * MS, &m), LEASE_SEND);
    assert_int_equal(lease_receive(&h, SELF, &a, START + 62 * MS), 0);
    assert_int_equal(lease_receive(&h, OTHER, &a, START + 62 * MS), 0);
    assert_int_equal(h.state, LEASE_ACQUIRING);
}

static void another_set_of_voters_counts_anew(void **state)
{
    static const uint64_t five[] = {SELF, OTHER, 33, 44, 55};
    (void)state;
    struct lease_message m;
    struct lease_holder h = held(&m);
    struct lease_message old = ack(&m);
    lease_holder_voters(&h, 2, five, 5);
    assert_int_equal(lease_deadline(&h, START + 10 * MS), START + 300 * MS);
    lease_tick(&h, START + 50 * MS, &m);
    struct lease_message a = ack(&m);
    old.round = m.round;
    lease_receive(&h, SELF, &a, START + 51 * MS);
    lease_receive(&h, OTHER, &a, START + 51 * MS);
    lease_receive(&h, 33, &old, START + 51 * MS);
    assert_int_equal(lease_deadline(&h, START + 51 * MS), START + 300 * MS);
    lease_receive(&h, 55, &a, START + 51 * MS);
    assert_int_equal(lease_deadline(&h, START + 51 * MS), START + 350 * MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_promise_is_long_enough),
        cmocka_unit_test(a_voter_that_started_is_quiet_for_a_promise),
        cmocka_unit_test(a_promise_is_for_one),
        cmocka_unit_test(a_refused_epoch_counts),
        cmocka_unit_test(other_sets_and_strangers_are_refused),
        cmocka_unit_test(a_release_frees_what_it_names),
        cmocka_unit_test(promises_are_bounded),
        cmocka_unit_test(it_holds_from_the_sending_of_a_majority_s_round),
        cmocka_unit_test(only_its_own_acknowledgements_count),
        cmocka_unit_test(a_lapse_needs_the_gate_again),
        cmocka_unit_test(the_gate_closes_with_the_lease),
        cmocka_unit_test(a_higher_epoch_ends_the_renewals),
        cmocka_unit_test(an_outdated_one_that_lapses_is_idle),
        cmocka_unit_test(it_gives_up_after_two_leases_and_a_half),
        cmocka_unit_test(what_was_dropped_counts_no_more),
        cmocka_unit_test(another_set_of_voters_counts_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
