/* What the order under way is good for: when control starts where one was before it, and when a
 * second question comes before the first is answered. */
#include "recover/failover.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define NOW UINT64_C(1000000000)

struct world {
    struct failover core;
    struct failover_lease lease;
    uint64_t ticket; /* of the agent's last order */
    enum failover_act act;
    uint64_t ordered_epoch;
    struct role_message sent;
    bool ordered, dropped;
    uint64_t gate; /* of the row */
    struct failover_row row;
    uint64_t wanted; /* the epoch that the lease was asked for under */
    uint64_t cas_ticket, expected;
    struct failover_record asked;
};

static bool host_cas(void *context, uint64_t ticket, uint64_t expected,
                     const struct failover_record *r)
{
    struct world *w = context;
    w->cas_ticket = ticket;
    w->expected = expected;
    w->asked = *r;
    return true;
}

static bool host_read(void *context, uint64_t ticket)
{
    (void)context, (void)ticket;
    return false;
}

static bool host_agent(void *context, uint64_t ticket, enum failover_act act, uint64_t epoch,
                       uint8_t place)
{
    struct world *w = context;
    (void)place;
    w->ordered_epoch = epoch;
    w->ticket = ticket;
    w->act = act;
    w->ordered = true;
    return true;
}

static void host_lease(void *context, struct failover_lease *out)
{
    *out = ((struct world *)context)->lease;
}

static void host_want(void *context, uint64_t epoch)
{
    ((struct world *)context)->wanted = epoch;
}

static void host_confirm(void *context, uint64_t gate, uint64_t epoch)
{
    (void)context, (void)gate, (void)epoch;
}

static void host_drop(void *context)
{
    struct world *w = context;
    w->dropped = true;
    w->lease = (struct failover_lease){.state = LEASE_IDLE};
}

static void host_send(void *context, uint8_t place, const struct role_message *message)
{
    (void)place;
    if (message->kind != ROLE_SAYS)
        ((struct world *)context)->sent = *message;
}

static void host_row(void *context, const struct failover_row *row)
{
    ((struct world *)context)->gate = row->gate;
    ((struct world *)context)->row = *row;
}

static void host_news(void *context, const struct failover_news *news)
{
    (void)context, (void)news;
}

static bool host_quiet(void *context, uint64_t hold)
{
    (void)context, (void)hold;
    return true;
}

static uint64_t host_wall(void *context)
{
    (void)context;
    return NOW / 1000000;
}

static void begin(struct world *w)
{
    struct failover_params p = {
        .lease = {.lease = 300000000, .demote = 100000000, .beat = 50000000, .rho = 5000},
        .role = 7,
        .n = 3,
        .sync = 1};
    struct failover_host h = {.context = w,
                              .cas = host_cas,
                              .read = host_read,
                              .agent = host_agent,
                              .lease = host_lease,
                              .want = host_want,
                              .confirm = host_confirm,
                              .drop = host_drop,
                              .send = host_send,
                              .row = host_row,
                              .news = host_news,
                              .quiet = host_quiet,
                              .wall = host_wall};
    failover_init(&w->core, &p, &h, NOW);
}

/* The one before held the lease of epoch 5, and its gate was open under that of `gate`. */
static struct world *resumed(uint64_t gate)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    struct failover_row row = {.gate = gate, .epoch = 5, .primary = 1, .sync = 1, .insync = 2};
    w->lease =
        (struct failover_lease){.state = LEASE_HELD, .epoch = 5, .deadline = NOW + 200000000};
    w->gate = UINT64_MAX;
    begin(w);
    failover_resume(&w->core, &row, gate == 5, NOW);
    return w;
}

static void the_gate_stays_open_while_the_lease_lasts(void **state)
{
    struct world *w = resumed(5);
    (void)state;
    failover_run(&w->core, NOW);
    assert_false(w->ordered);
    assert_false(w->dropped);
    assert_true(w->gate == UINT64_MAX || w->gate == 5);
    free(w);
}

/* It may have ordered the promotion and not have seen its end. */
static void what_was_half_done_is_undone_before_the_lease_is_given_up(void **state)
{
    struct world *w = resumed(0);
    (void)state;
    failover_run(&w->core, NOW);
    assert_true(w->ordered && w->act == FAILOVER_DEMOTE);
    assert_false(w->dropped);
    assert_int_equal(w->gate, 0);
    failover_agent_answer(&w->core, w->ticket, true, 0, NOW + 1000000);
    failover_run(&w->core, NOW + 1000000);
    assert_true(w->dropped);
    free(w);
}

static void ask(struct world *w, uint8_t from, uint64_t epoch)
{
    struct role_message m = {.kind = ROLE_FENCE, .role = 7, .epoch = epoch};
    failover_hear(&w->core, from, &m, NOW);
}

/* Two nodes ask, the second under a later epoch: the order for the first does not fence for it. */
static void an_older_order_answers_no_later_question(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    (void)state;
    assert_non_null(w);
    begin(w);
    ask(w, 1, 4);
    failover_run(&w->core, NOW);
    assert_true(w->ordered && w->act == FAILOVER_FENCE && w->ordered_epoch == 4);
    uint64_t first = w->ticket;
    ask(w, 2, 5);
    failover_agent_answer(&w->core, first, true, 100, NOW);
    assert_int_not_equal(w->sent.kind, ROLE_FENCED);
    failover_run(&w->core, NOW);
    assert_true(w->act == FAILOVER_FENCE && w->ordered_epoch == 5);
    failover_agent_answer(&w->core, w->ticket, true, 200, NOW);
    assert_int_equal(w->sent.kind, ROLE_FENCED);
    assert_true(w->sent.epoch == 5 && w->sent.position == 200);
    free(w);
}

/* All lost what they had. Who has most of what is left is the one whom a fence would prefer: the
 * recorded primary leaves it to that one, which does not wait until it has been idle for long. */
static void of_those_that_began_anew_who_has_most_takes_its_turn(void **state)
{
    struct role_params p = {
        .lease = 300000000, .beat = 50000000, .agent_patience = NOW, .idle_patience = 100 * NOW};
    struct role_facts f = {
        .n = 2,
        .coordinator = true,
        .record = {.known = true, .revision = 9, .epoch = 5, .primary = 1, .wanted = ROLE_NOBODY},
        .better = ROLE_NOBODY};
    (void)state;
    for (uint8_t self = 0; self < 2; self++)
        for (uint64_t more = 0; more < 2; more++) {
            struct role r;
            for (uint8_t i = 0; i < 2; i++)
                f.nodes[i] =
                    (struct role_node){.alive = true, .well = true, .instance = INSTANCE_REPLICA};
            f.nodes[0].position = more * 100;
            f.self = self;
            role_init(&r, &p, 1, NOW);
            enum role_what what = role_step(&r, &f, NOW).what;
            enum role_what without = self ? ROLE_ACQUIRE : ROLE_NOTHING;
            assert_int_equal(what, !more ? without : self ? ROLE_NOTHING : ROLE_CAS);
        }
}

/* --- what was asked of the coordinator may land --- */

static void learn(struct world *w, uint64_t revision, uint16_t insync, bool forced)
{
    struct failover_record k = {.from = ROLE_NOBODY,
                                .r = {.known = true,
                                      .revision = revision,
                                      .epoch = 5,
                                      .primary = 0,
                                      .insync = insync,
                                      .sync = 1,
                                      .forced = forced,
                                      .wanted = ROLE_NOBODY}};
    failover_learn(&w->core, &k, NOW);
}

static void report(struct world *w, enum role_instance instance, uint64_t data)
{
    struct failover_report r = {.instance = (uint8_t)instance, .well = true, .data = data};
    failover_surroundings(&w->core, true, false, 0);
    failover_node(&w->core, 0, true, false, false);
    failover_reported(&w->core, &r, NOW);
}

/* The process before may have asked for a second node in sync, and answers wait for it. The record
 * has it not, or not yet: to go on alone would be to acknowledge what that node lacks when it may
 * be promoted. */
static void who_goes_on_keeps_to_the_row_that_it_found(void **state)
{
    struct world *w = resumed(5);
    (void)state;
    learn(w, 9, 1, false);
    report(w, INSTANCE_PRIMARY, 5);
    failover_run(&w->core, NOW);
    assert_int_equal(w->row.sync, 1);
    assert_true(w->expected == 9 && w->asked.r.epoch == 5 && w->asked.r.insync == 1);
    failover_cas_answer(&w->core, w->cas_ticket, FAILOVER_UNKNOWN, 0, NOW);
    failover_run(&w->core, NOW);
    assert_int_equal(w->row.sync, 1);
    uint64_t later = NOW + 60000000;
    failover_run(&w->core, later); /* once more */
    failover_cas_answer(&w->core, w->cas_ticket, FAILOVER_DONE, 10, later);
    failover_run(&w->core, later);
    assert_int_equal(w->row.sync, 0);
    free(w);
}

static void what_was_asked_for_is_not_forgotten_with_the_lease(void **state)
{
    struct world *w = resumed(5);
    (void)state;
    learn(w, 9, 1, false);
    report(w, INSTANCE_PRIMARY, 5);
    failover_run(&w->core, NOW);
    assert_int_equal(w->core.insync.stage, INSYNC_WRITES);
    w->lease = (struct failover_lease){.state = LEASE_IDLE};
    failover_run(&w->core, NOW);
    assert_int_equal(w->gate, 0);
    assert_int_equal(w->core.insync.stage, INSYNC_WRITES);
    learn(w, 10, 1, false);
    failover_run(&w->core, NOW);
    assert_int_equal(w->core.insync.stage, INSYNC_RESTS);
    free(w);
}

/* Whoever finds its name in the record, or began anew since it acted, acts under another epoch. */
static void an_epoch_has_one_history(void **state)
{
    (void)state;
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    begin(w);
    learn(w, 9, 1, false);
    report(w, INSTANCE_REPLICA, 5);
    failover_run(&w->core, NOW);
    assert_true(w->expected == 9 && w->asked.r.epoch == 6 && w->asked.r.primary == 0);
    assert_int_equal(w->wanted, 0);
    failover_cas_answer(&w->core, w->cas_ticket, FAILOVER_DONE, 10, NOW);
    failover_run(&w->core, NOW);
    assert_int_equal(w->wanted, 6);
    w->core.acted = 6;
    w->core.role.state = ROLE_REPLICA;
    w->wanted = 0;
    report(w, INSTANCE_REPLICA, 6); /* its lease was over, its data is what it was */
    failover_run(&w->core, 2 * NOW);
    assert_int_equal(w->wanted, 6);
    w->core.role.state = ROLE_REPLICA;
    report(w, INSTANCE_REPLICA, 0);
    failover_run(&w->core, 3 * NOW);
    assert_int_equal(w->asked.r.epoch, 7);
    free(w);
}

/* It has the operator's word, which goes with the epoch. */
static void a_forced_epoch_is_taken_as_it_is(void **state)
{
    (void)state;
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    begin(w);
    learn(w, 9, 1, true);
    report(w, INSTANCE_REPLICA, 4);
    failover_run(&w->core, NOW);
    assert_int_equal(w->wanted, 5);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_gate_stays_open_while_the_lease_lasts),
        cmocka_unit_test(what_was_half_done_is_undone_before_the_lease_is_given_up),
        cmocka_unit_test(an_older_order_answers_no_later_question),
        cmocka_unit_test(of_those_that_began_anew_who_has_most_takes_its_turn),
        cmocka_unit_test(who_goes_on_keeps_to_the_row_that_it_found),
        cmocka_unit_test(what_was_asked_for_is_not_forgotten_with_the_lease),
        cmocka_unit_test(an_epoch_has_one_history),
        cmocka_unit_test(a_forced_epoch_is_taken_as_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
