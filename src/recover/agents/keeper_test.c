/* What all keepers do: orders one at a time, no old epoch, nothing without the lease and nothing
 * past it. The command is a real one, host and clock of the lease are the test's. */
#include "recover/agents/keeper.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>
#include <cmocka.h>

/* The kernel has no process for anybody: the linker puts this before its own. */
pid_t __real_fork(void);
pid_t __wrap_fork(void);

static int no_process; /* the n-th from now on is refused; 0: none */

pid_t __wrap_fork(void)
{
    if (no_process == 0 || --no_process)
        return __real_fork();
    errno = EAGAIN;
    return -1;
}

struct world {
    struct loop *loop;
    struct timer end, moment;
    struct keeper *keeper;
    struct keeper_host host;
    uint64_t until, epoch;
    const char *words[4], *hook[2];
    struct agent_report report;
    uint32_t reports, answers, ended;
    uint64_t ticket;
    int code;
    char sentence[256];
    int wait_state; /* the loop stops at a report of it; -1 */
    uint32_t wait_answers;
};

static void on_late(struct timer *t)
{
    (void)t;
    fail_msg("nothing happened");
}

static void on_moment(struct timer *t)
{
    loop_stop(CONTAINER_OF(t, struct world, moment)->loop);
}

static void host_fill(void *context, struct program *what)
{
    (void)context;
    (void)what;
}

static uint64_t host_lease(void *context, uint32_t slot, uint64_t *epoch)
{
    const struct world *w = context;
    assert_int_equal(slot, 3);
    *epoch = w->epoch;
    return w->until;
}

static const char *const *host_words(void *context, const char *service, enum keeper_words which)
{
    struct world *w = context;
    assert_string_equal(service, "job");
    if (which == WORDS_HOOK)
        return w->hook[0] ? w->hook : NULL;
    return which == WORDS_COMMAND && w->words[0] ? w->words : NULL;
}

static void host_report(void *context, const struct agent_report *r)
{
    struct world *w = context;
    w->report = *r;
    w->reports++;
    if (w->wait_state == r->state)
        loop_stop(w->loop);
}

static void host_answer(void *context, uint64_t ticket, int code, const char *sentence,
                        uint64_t history, uint64_t position)
{
    struct world *w = context;
    (void)history;
    (void)position;
    w->answers++;
    w->ticket = ticket;
    w->code = code;
    str_copy(w->sentence, sizeof w->sentence, str_of(sentence));
    if (w->answers == w->wait_answers)
        loop_stop(w->loop);
}

static void host_log(void *context, bool warning, const char *text)
{
    (void)context;
    (void)warning;
    (void)text;
}

static void host_ended(void *context, struct keeper *k)
{
    struct world *w = context;
    assert_ptr_equal(k, w->keeper);
    w->ended++;
}

static struct agent_instance sample(enum instance_kind kind)
{
    struct agent_instance i = {.service = "job",
                               .kind = (uint8_t)kind,
                               .slot = 3,
                               .n_places = 2,
                               .places = {{.name = "a"}, {.name = "b"}},
                               .demotion = 100 * NS_PER_MS,
                               .hang_after = NS_PER_S,
                               .password = "00112233445566778899aabbccddeeff",
                               .gate_password = "ffeeddccbbaa99887766554433221100"};
    assert_true(addr_parse(STR("127.0.0.1:1"), &i.places[0].address));
    assert_true(addr_parse(STR("127.0.0.2:1"), &i.places[1].address));
    return i;
}

static void open_world(struct world *w)
{
    *w = (struct world){.words = {"/bin/sleep", "1000"}, .wait_state = -1};
    w->host = (struct keeper_host){w,           "/nowhere",  host_fill, host_lease, host_words,
                                   host_report, host_answer, host_log,  host_ended};
    assert_int_equal(loop_new(&w->loop, NULL), 0);
    timer_init(&w->end, on_late);
    timer_init(&w->moment, on_moment);
    loop_timer_set(w->loop, &w->end, loop_now(w->loop) + 20 * NS_PER_S);
}

static void open_job(struct world *w)
{
    struct agent_instance spec = sample(KIND_PROCESS);
    open_world(w);
    assert_int_equal(keeper_open(&w->keeper, w->loop, &w->host, &spec, NULL), 0);
    assert_int_equal(w->report.state, INSTANCE_REPLICA);
}

static void close_world(struct world *w)
{
    if (w->keeper)
        keeper_close(w->keeper);
    loop_timer_stop(w->loop, &w->end);
    loop_free(w->loop);
}

static void order(struct world *w, enum instance_order what, uint64_t epoch, uint64_t ticket)
{
    struct agent_role o = {.what = (uint8_t)what, .epoch = epoch, .primary = ROLE_NOBODY};
    str_copy(o.service, sizeof o.service, STR("job"));
    if (what == ORDER_FOLLOW)
        o.primary = 1;
    keeper_order(w->keeper, &o, ticket);
}

static void until_state(struct world *w, enum role_instance state)
{
    w->wait_state = (int)state;
    if (w->report.state != state)
        assert_int_equal(loop_run(w->loop, NULL), 0);
    w->wait_state = -1;
}

static void hold(struct world *w, uint64_t epoch, uint64_t ms)
{
    w->epoch = epoch;
    w->until = loop_refresh(w->loop) + ms * NS_PER_MS;
}

static void nothing_is_promoted_without_its_lease(void **state)
{
    struct world w;
    open_job(&w);
    order(&w, ORDER_PROMOTE, 5, 1);
    assert_true(w.answers == 1 && w.ticket == 1 && w.code == -ERR_DENIED);
    hold(&w, 4, 1000);
    order(&w, ORDER_PROMOTE, 5, 2);
    assert_true(w.ticket == 2 && w.code == -ERR_DENIED);
    hold(&w, 5, 0);
    order(&w, ORDER_PROMOTE, 5, 3);
    assert_true(w.ticket == 3 && w.code == -ERR_DENIED && w.report.state == INSTANCE_REPLICA);
    hold(&w, 5, 60000);
    order(&w, ORDER_PROMOTE, 5, 4);
    assert_true(w.ticket == 4 && w.code == 0 && w.report.state == INSTANCE_PRIMARY);
    assert_true(w.report.pid && w.report.history == 5);
    close_world(&w);
}

static void old_epochs_are_refused_but_for_what_is_safe(void **state)
{
    struct world w;
    open_job(&w);
    order(&w, ORDER_FENCE, 7, 1);
    assert_int_equal(w.code, 0);
    static const enum instance_order refused[] = {ORDER_FOLLOW, ORDER_FENCE, ORDER_PROMOTE};
    hold(&w, 6, 60000);
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        order(&w, refused[i], 6, 2 + i);
        assert_true(w.ticket == 2 + i && w.code == -ERR_DENIED);
        assert_non_null(strstr(w.sentence, "7"));
    }
    order(&w, ORDER_DEMOTE, 6, 9);
    assert_true(w.ticket == 9 && w.code == 0 && w.report.epoch == 7);
    order(&w, ORDER_VIP_TAKE, 7, 10);
    assert_int_equal(w.code, -ERR_ABSENT);
    close_world(&w);
}

static void a_later_order_ends_the_one_before(void **state)
{
    struct world w;
    open_job(&w);
    hold(&w, 1, 60000);
    order(&w, ORDER_PROMOTE, 1, 1);
    until_state(&w, INSTANCE_PRIMARY);
    order(&w, ORDER_DEMOTE, 1, 2); /* waits for the command's end */
    assert_int_equal(w.answers, 1);
    w.wait_answers = 3;
    order(&w, ORDER_FOLLOW, 2, 3);
    assert_true(w.answers == 2 && w.ticket == 2 && w.code == -ERR_BUSY);
    assert_int_equal(loop_run(w.loop, NULL), 0);
    assert_true(w.ticket == 3 && w.code == 0 && w.report.follows == 1);
    close_world(&w);
}

static void past_the_deadline_it_rests_though_nobody_asks(void **state)
{
    struct world w;
    open_job(&w);
    hold(&w, 1, 200);
    order(&w, ORDER_PROMOTE, 1, 1);
    until_state(&w, INSTANCE_PRIMARY);
    uint64_t deadline = w.until;
    until_state(&w, INSTANCE_REPLICA);
    uint64_t at = loop_refresh(w.loop);
    assert_true(at >= deadline && at < deadline + NS_PER_S && w.report.pid == 0);
    close_world(&w);
}

static void a_lease_of_a_higher_epoch_goes_on_and_one_given_up_does_not(void **state)
{
    struct world w;
    open_job(&w);
    hold(&w, 1, 100);
    order(&w, ORDER_PROMOTE, 1, 1);
    until_state(&w, INSTANCE_PRIMARY);
    hold(&w, 2, 60000);
    uint64_t pid = w.report.pid;
    order(&w, ORDER_PROMOTE, 2, 2);
    assert_true(w.code == 0 && w.report.pid == pid && w.report.epoch == 2);
    w.until = 0;
    until_state(&w, INSTANCE_REPLICA);
    close_world(&w);
}

static void a_fence_under_its_own_epoch_only_asks(void **state)
{
    struct world w;
    open_job(&w);
    hold(&w, 1, 60000);
    order(&w, ORDER_PROMOTE, 1, 1);
    until_state(&w, INSTANCE_PRIMARY);
    order(&w, ORDER_FENCE, 1, 2);
    assert_true(w.ticket == 2 && w.code == 0 && w.report.state == INSTANCE_PRIMARY);
    w.wait_answers = 3;
    order(&w, ORDER_FENCE, 2, 3);
    assert_int_equal(loop_run(w.loop, NULL), 0);
    assert_true(w.ticket == 3 && w.code == 0 && w.report.state == INSTANCE_REPLICA);
    close_world(&w);
}

static void a_line_that_is_gone_is_not_answered(void **state)
{
    struct world w;
    open_job(&w);
    hold(&w, 1, 60000);
    order(&w, ORDER_PROMOTE, 1, 1);
    order(&w, ORDER_DEMOTE, 1, 2);
    keeper_forget(w.keeper);
    until_state(&w, INSTANCE_REPLICA);
    assert_int_equal(w.answers, 1);
    order(&w, ORDER_STOP, 0, 3);
    assert_true(w.ended == 1 && w.ticket == 3 && w.code == 0);
    close_world(&w);
}

static void memory_may_run_out(void **state)
{
    static const enum instance_kind kinds[] = {KIND_REDIS, KIND_PROCESS, KIND_HOOK};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct agent_instance spec = sample(kinds[i]);
        bool done = false;
        for (unsigned long n = 1; !done; n++) {
            struct world w;
            open_world(&w);
            mem_fail_at(n);
            int r = keeper_open(&w.keeper, w.loop, &w.host, &spec, NULL);
            done = !mem_failed();
            mem_fail_at(0);
            assert_true(r == 0 || (!done && r == -ERR_NOMEM));
            if (r)
                w.keeper = NULL;
            close_world(&w);
        }
    }
}

/* Its address is begun later, and taken if it was wanted meanwhile. */
static void memory_may_run_out_for_its_address(void **state)
{
    struct agent_instance spec = sample(KIND_PROCESS);
    (void)state;
    assert_true(addr_parse(STR("192.0.2.1:1"), &spec.vip));
    spec.vip.port = 0;
    spec.vip_prefix = 24;
    bool done = false, later = false;
    for (unsigned long n = 1; !done; n++) {
        struct world w;
        open_world(&w);
        mem_fail_at(n);
        int r = keeper_open(&w.keeper, w.loop, &w.host, &spec, NULL);
        done = !mem_failed();
        mem_fail_at(0);
        if (r)
            w.keeper = NULL;
        if (r == 0 && !w.keeper->vip) {
            hold(&w, 1, 60000);
            order(&w, ORDER_VIP_TAKE, 1, 1);
            assert_int_equal(w.code, -ERR_BUSY);
            later = true;
            while (!w.keeper->vip) { /* on_late ends it */
                loop_timer_set(w.loop, &w.moment, loop_refresh(w.loop) + 50 * NS_PER_MS);
                assert_int_equal(loop_run(w.loop, NULL), 0);
            }
            assert_true(w.keeper->vip_wanted && w.keeper->vip_epoch == 1);
        }
        close_world(&w);
    }
    assert_true(later);
}

static void memory_may_run_out_while_it_is_promoted(void **state)
{
    bool done = false;
    for (unsigned long n = 1; !done; n++) {
        struct world w;
        open_job(&w);
        hold(&w, 1, 60000);
        mem_fail_at(n);
        order(&w, ORDER_PROMOTE, 1, 1);
        done = !mem_failed();
        mem_fail_at(0);
        assert_int_equal(w.code, done ? 0 : -ERR_NOMEM);
        assert_int_equal(w.report.state == INSTANCE_PRIMARY, done);
        close_world(&w);
    }
}

/* Its leash's or its own. The order is answered, why it is not well is told, and it goes on trying
 * while it is wanted. */
static void there_may_be_no_process_for_it(void **state)
{
    (void)state;
    for (int n = 1; n <= 2; n++) {
        struct world w;
        open_job(&w);
        hold(&w, 1, 60000);
        no_process = n;
        order(&w, ORDER_PROMOTE, 1, 1);
        assert_int_equal(no_process, 0);
        assert_true(w.answers == 1 && w.code != 0 && w.sentence[0]);
        assert_false(w.report.well);
        assert_non_null(strstr(w.report.sentence, "started again in"));
        until_state(&w, INSTANCE_PRIMARY);
        assert_true(w.report.well && w.report.pid);
        order(&w, ORDER_DEMOTE, 1, 2);
        until_state(&w, INSTANCE_REPLICA);
        close_world(&w);
    }
}

/* A hook that cannot be run does what is safe as soon as it can: nobody else would. */
static void a_hook_without_a_process_is_run_later(void **state)
{
    struct agent_instance spec = sample(KIND_HOOK);
    struct world w;
    (void)state;
    open_world(&w);
    w.hook[0] = "/bin/true";
    no_process = 1;
    assert_int_equal(keeper_open(&w.keeper, w.loop, &w.host, &spec, NULL), 0);
    assert_false(w.report.well);
    assert_true(w.report.state == INSTANCE_DOWN);
    until_state(&w, INSTANCE_REPLICA);
    assert_true(w.report.well);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_promoted_without_its_lease),
        cmocka_unit_test(old_epochs_are_refused_but_for_what_is_safe),
        cmocka_unit_test(a_later_order_ends_the_one_before),
        cmocka_unit_test(past_the_deadline_it_rests_though_nobody_asks),
        cmocka_unit_test(a_lease_of_a_higher_epoch_goes_on_and_one_given_up_does_not),
        cmocka_unit_test(a_fence_under_its_own_epoch_only_asks),
        cmocka_unit_test(a_line_that_is_gone_is_not_answered),
        cmocka_unit_test(there_may_be_no_process_for_it),
        cmocka_unit_test(a_hook_without_a_process_is_run_later),
        cmocka_unit_test(memory_may_run_out),
        cmocka_unit_test(memory_may_run_out_for_its_address),
        cmocka_unit_test(memory_may_run_out_while_it_is_promoted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
