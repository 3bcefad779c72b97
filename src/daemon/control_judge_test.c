/* Evidence from the proxy: who is believed, what is counted, what becomes of it. */
#include "daemon/control_fixture.h"

static void evidence_becomes_verdict_cell_and_event(void **state)
{
    static struct world w;
    world_open(&w);
    write_file(&w, quiet);
    first_view(&w);
    uint32_t slot = instance(&w, "a")->slot, other = instance(&w, "b")->slot;
    const struct instance_verdict *v = cells_verdict(&w.cells, slot);
    assert_int_equal(cell_get(&v->verdict), VERDICT_SUSPECT);
    send_signals(&w, request(slot, SIGNAL_REQ_RESET, 1), 5);
    UNTIL(&w, cell_get(&v->verdict) == VERDICT_FAILED);
    assert_int_equal(cell_get(&v->reason), REASON_REQUESTS_FAIL);
    assert_int_equal(cell_get(&cells_verdict(&w.cells, other)->verdict), VERDICT_SUSPECT);
    const struct event *e = last_event(&w, EVENT_INSTANCE_VERDICT);
    CHECK(e);
    assert_string_equal(e->subject, "web/a");
    assert_int_equal(e->to, VERDICT_FAILED);
    assert_true(e->n_evidence > 0);
    assert_int_equal(e->evidence[e->n_evidence - 1].kind, SIGNAL_REQ_RESET);
    world_close(&w);
}

/* Answers come by the rows' counters; one that was told by a signal too counts once. */
static void answers_are_counted_once(void **state)
{
    static struct world w;
    world_open(&w);
    write_file(&w, quiet);
    first_view(&w);
    uint32_t slot = instance(&w, "a")->slot;
    cell *ok = &cells_instance(&w.cells, 0, slot)->ok;
    const struct judge *j = &w.c.subjects[slot].judge;
    cell_set(ok, 10);
    UNTIL(&w, j->window_ok == 10);
    assert_int_equal(j->verdict, VERDICT_HEALTHY);
    cell_add(ok, 3);
    send_signals(&w, request(slot, SIGNAL_REQ_OK, 3), 1);
    UNTIL(&w, j->window_ok == 13);
    cell_add(ok, 1);
    UNTIL(&w, j->window_ok == 14); /* the three are not in this difference */
    /* four failures, an answer that only the row knows, four more: never five in a row */
    send_signals(&w, request(slot, SIGNAL_REQ_5XX, 1), 4);
    UNTIL(&w, j->bad_requests == 4);
    cell_add(ok, 1);
    send_signals(&w, request(slot, SIGNAL_REQ_5XX, 1), 4);
    UNTIL(&w, j->window_bad == 8);
    assert_int_equal(j->bad_requests, 4);
    assert_int_equal(j->window_ok, 15);
    assert_int_not_equal(j->verdict, VERDICT_FAILED);
    world_close(&w);
}

static void nonsense_from_the_proxy_is_dropped(void **state)
{
    static struct world w;
    world_open(&w);
    write_file(&w, quiet);
    first_view(&w);
    uint32_t slot = instance(&w, "a")->slot;
    const struct judge *j = &w.c.subjects[slot].judge;
    send_signals(&w, request(slot, SIGNAL_CHECK_REFUSED, 1), 3); /* checks are ours alone */
    send_signals(&w, request(VIEW_MAX_SLOTS, SIGNAL_REQ_5XX, 1), 1);
    struct signal ours = request(slot, SIGNAL_REQ_5XX, 1);
    ours.observer = 0;
    send_signals(&w, ours, 1);
    struct buf b = {0};
    put_u32(&b, 1000000);
    send_message(&w.proxy, IPC_SIGNALS, &b, -1);
    UNTIL(&w, w.c.nonsense == 4);
    send_signals(&w, request(SLOTS - 1, SIGNAL_REQ_5XX, 1),
                 1); /* a slot that nobody has: no harm */
    struct signal future = request(slot, SIGNAL_REQ_5XX, 1);
    send_signals(&w, future, 1);
    UNTIL(&w, j->bad_requests == 1);
    assert_int_equal(w.c.nonsense, 4);
    assert_int_equal(w.c.events.by_code[EVENT_SIGNALS_DROPPED], 1);
    assert_int_equal(j->bad_checks, 0);
    world_close(&w);
}

static void verdicts_stay_over_a_reload_and_go_with_their_address(void **state)
{
    static struct world w;
    world_open(&w);
    write_file(&w, quiet);
    first_view(&w);
    uint32_t a = instance(&w, "a")->slot, b = instance(&w, "b")->slot;
    send_signals(&w, request(a, SIGNAL_REQ_RESET, 1), 5);
    send_signals(&w, request(b, SIGNAL_REQ_RESET, 1), 5);
    UNTIL(&w, w.c.subjects[b].judge.verdict == VERDICT_FAILED);
    write_file(&w, "workers = 1\n"
                   "service web {\n"
                   "  listen = http://127.0.0.1:8080\n"
                   "  backend 127.0.0.1:1 { name = a }\n"
                   "  backend 127.0.0.1:7 { name = b }\n"
                   "  check { none = yes }\n"
                   "  eject { after = 9 }\n"
                   "}\n");
    reload_hangup(&w.c);
    UNTIL(&w, w.offers == 2);
    assert_int_equal(cell_get(&cells_verdict(&w.cells, b)->verdict), VERDICT_FAILED);
    send_epoch(&w, IPC_VIEW_TAKEN, 2);
    UNTIL(&w, w.c.view->epoch == 2);
    assert_int_equal(w.c.subjects[a].judge.verdict, VERDICT_FAILED);
    assert_int_equal(w.c.subjects[a].judge.params.eject_after, 9);
    assert_int_equal(w.c.subjects[b].judge.verdict, VERDICT_SUSPECT);
    assert_int_equal(cell_get(&cells_verdict(&w.cells, a)->verdict), VERDICT_FAILED);
    assert_int_equal(cell_get(&cells_verdict(&w.cells, b)->verdict), VERDICT_SUSPECT);
    world_close(&w);
}

/* Answers of one instance, as a worker counts them. */
static void answer(struct world *w, uint32_t slot, uint32_t n, uint64_t latency_us)
{
    struct instance_row *row = cells_instance(&w->cells, 0, slot);
    cell_add(&row->requests, n);
    cell_add(&row->ok, n);
    cell_add(&row->latency_us_sum, n * latency_us);
    cell_add(&row->latency[latency_bucket(latency_us)], n);
}

static const char paced[] = "workers = 1\n"
                            "service web {\n"
                            "  listen = http://127.0.0.1:8080\n"
                            "  backend 127.0.0.1:1 { name = a }\n"
                            "  backend 127.0.0.1:2 { name = b }\n"
                            "  backend 127.0.0.1:3 { name = c }\n"
                            "  check { none = yes }\n"
                            "  eject { slow = 300%; hold = 50ms }\n"
                            "}\n";

static void paced_world(struct world *w, const char *text)
{
    world_open(w);
    control_end(w);
    w->o.pace_window = 20 * NS_PER_MS;
    w->o.pacer_look = 3600 * NS_PER_S; /* these tests are of who is left out */
    control_start(w);
    write_file(w, text);
    first_view(w);
}

/* All answer for a while, b as slowly as is said. */
static void answer_all(struct world *w, uint64_t slow_us)
{
    answer(w, instance(w, "a")->slot, 20, 38000);
    answer(w, instance(w, "b")->slot, 20, slow_us);
    answer(w, instance(w, "c")->slot, 20, 40000);
    turn(w, 5 * NS_PER_MS);
}

#define ANSWER_UNTIL(w, slow_us, condition)                                                        \
    do {                                                                                           \
        for (int i_ = 0; i_ < 1000 && !(condition); i_++)                                          \
            answer_all((w), (slow_us));                                                            \
        assert_true(condition);                                                                    \
    } while (0)

static void who_is_slower_than_the_pool_is_left_out_and_returns(void **state)
{
    static struct world w;
    paced_world(&w, paced);
    uint32_t slot = instance(&w, "b")->slot;
    const struct instance_verdict *v = cells_verdict(&w.cells, slot);
    const struct judge *j = &w.c.subjects[slot].judge;
    ANSWER_UNTIL(&w, 412000, cell_get(&v->reason) == REASON_SLOW);
    assert_int_equal(cell_get(&v->verdict), VERDICT_FAILED);
    assert_int_equal(cell_get(&v->certain), 0);
    assert_int_equal(j->slow.latency, 412000000);
    assert_int_equal(j->slow.median, 39000000);
    assert_int_equal(j->slow.others, 2);
    const struct event *e = last_event(&w, EVENT_INSTANCE_VERDICT);
    CHECK(e);
    assert_string_equal(e->subject, "web/b");
    assert_non_null(strstr(e->text, "Slower than the pool: 412 ms against 39 ms"));
    ANSWER_UNTIL(&w, 412000, cell_get(&v->reason) == REASON_RECOVERING);
    ANSWER_UNTIL(&w, 412000, cell_get(&v->reason) == REASON_SLOW);
    ANSWER_UNTIL(&w, 41000, cell_get(&v->verdict) == VERDICT_HEALTHY);
    assert_int_equal(w.c.subjects[instance(&w, "a")->slot].judge.verdict, VERDICT_HEALTHY);
    world_close(&w);
}

static void without_the_setting_nobody_is_compared(void **state)
{
    static struct world w;
    paced_world(&w, quiet);
    uint32_t a = instance(&w, "a")->slot, b = instance(&w, "b")->slot;
    for (int i = 0; i < 30; i++) {
        answer(&w, a, 20, 38000);
        answer(&w, b, 20, 41200000);
        turn(&w, 5 * NS_PER_MS);
    }
    UNTIL(&w, w.c.subjects[b].judge.verdict == VERDICT_HEALTHY);
    world_close(&w);
}

/* Where control starts anew, and where the setting goes, the slow one is not forgotten in between
 * and not left out for ever. */
static void slow_over_a_restart_and_a_reload(void **state)
{
    static struct world w;
    paced_world(&w, paced);
    uint32_t slot = instance(&w, "b")->slot;
    const struct instance_verdict *v = cells_verdict(&w.cells, slot);
    ANSWER_UNTIL(&w, 412000, cell_get(&v->reason) == REASON_SLOW);
    struct view *view = w.c.view;
    w.c.view = NULL; /* taken over by the successor, as the supervisor hands it on */
    control_end(&w);
    control_start(&w);
    control_adopt(&w.c, view, true);
    assert_int_equal(w.c.subjects[slot].judge.reason, REASON_SLOW);
    ANSWER_UNTIL(&w, 412000, cell_get(&v->reason) == REASON_RECOVERING);
    ANSWER_UNTIL(&w, 412000, cell_get(&v->reason) == REASON_SLOW);
    for (uint32_t i = 0; i < view->n_services; i++)
        view->services[i].eject.slow_permille = 0;
    UNTIL(&w, cell_get(&v->verdict) == VERDICT_HEALTHY);
    world_close(&w);
}

/* ---- pacers ---- */

static const char pool[] = "workers = 1\n"
                           "service web {\n"
                           "  listen = http://127.0.0.1:8080\n"
                           "  backend 127.0.0.1:1 { name = a }\n"
                           "  backend 127.0.0.1:2 { name = b }\n"
                           "  backend 127.0.0.1:3 { name = c }\n"
                           "  check { none = yes }\n"
                           "}\n";

static void watched_world(struct world *w)
{
    world_open(w);
    control_end(w);
    w->o.pacer_look = 20 * NS_PER_MS; /* one that is much later judges nobody */
    control_start(w);
    write_file(w, pool);
    first_view(w);
}

static const struct finding *raised(struct world *w, enum subject_kind kind, const char *name)
{
    const struct finding_subject *s = control_held(&w->c, kind, str_of(name));
    return s ? findings_worst(&s->findings) : NULL;
}

static void who_is_slower_is_degraded_without_a_setting(void **state)
{
    static struct world w;
    watched_world(&w);
    uint32_t slot = instance(&w, "b")->slot;
    const struct instance_verdict *v = cells_verdict(&w.cells, slot);
    ANSWER_UNTIL(&w, 200000, cell_get(&v->verdict) == VERDICT_DEGRADED);
    const struct finding *f = raised(&w, SUBJECT_INSTANCE, "web/b");
    CHECK(f);
    assert_int_equal(f->kind, FINDING_SLOWER_THAN_POOL);
    assert_int_equal(f->observer, FINDER_CONTROL);
    assert_non_null(strstr(f->says, "the median of 2 others"));
    const struct event *e = last_event(&w, EVENT_FINDING_RAISED);
    CHECK(e);
    assert_string_equal(e->subject, "web/b");
    assert_null(raised(&w, SUBJECT_INSTANCE, "web/a"));
    assert_null(raised(&w, SUBJECT_SERVICE, "web"));
    ANSWER_UNTIL(&w, 39000, f->gone); /* its hold goes on */
    world_close(&w);
}

static void who_errs_is_degraded(void **state)
{
    static struct world w;
    watched_world(&w);
    uint32_t slot = instance(&w, "c")->slot;
    const struct instance_verdict *v = cells_verdict(&w.cells, slot);
    for (int i = 0; i < 2000 && cell_get(&v->verdict) != VERDICT_DEGRADED; i++) {
        cell_add(&cells_instance(&w.cells, 0, slot)->errors_5xx, i > 200 ? 20 : 0);
        answer_all(&w, 40000);
    }
    const struct finding *f = raised(&w, SUBJECT_INSTANCE, "web/c");
    CHECK(f);
    assert_int_equal(f->kind, FINDING_MORE_ERRORS);
    assert_null(raised(&w, SUBJECT_INSTANCE, "web/b"));
    world_close(&w);
}

/* A worker's rows begin anew, and what a slot's former subject answered is not its successor's. */
static void counters_that_fall_and_slots_that_change_say_nothing(void **state)
{
    static struct world w;
    watched_world(&w);
    uint32_t slot = instance(&w, "b")->slot;
    struct instance_row *row = cells_instance(&w.cells, 0, slot);
    for (int i = 0; i < 50; i++) {
        answer_all(&w, 40000);
        if (i % 10)
            continue;
        for (int k = 0; k < LATENCY_BUCKETS; k++)
            cell_set(&row->latency[k], 0);
        cell_set(&row->errors_5xx, i == 20 ? 1000 : 0);
        cell_set(&row->requests, 0);
        pacers_begin(&w.c, slot);
    }
    assert_null(raised(&w, SUBJECT_INSTANCE, "web/b"));
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(evidence_becomes_verdict_cell_and_event),
        cmocka_unit_test(answers_are_counted_once),
        cmocka_unit_test(nonsense_from_the_proxy_is_dropped),
        cmocka_unit_test(verdicts_stay_over_a_reload_and_go_with_their_address),
        cmocka_unit_test(who_is_slower_than_the_pool_is_left_out_and_returns),
        cmocka_unit_test(without_the_setting_nobody_is_compared),
        cmocka_unit_test(slow_over_a_restart_and_a_reload),
        cmocka_unit_test(who_is_slower_is_degraded_without_a_setting),
        cmocka_unit_test(who_errs_is_degraded),
        cmocka_unit_test(counters_that_fall_and_slots_that_change_say_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
