/* Starts, restarts, drains and the end. */
#include "daemon/control_fixture.h"

static void drain(struct world *w, const char *name, bool on)
{
    const struct admin_host h = control_host(&w->c);
    bool changed = false;
    assert_int_equal(h.drain(&w->c, instance(w, name)->slot, on, &changed, NULL), 0);
    assert_true(changed);
}

static void give_view(struct world *w, const struct view *v)
{
    struct buf bytes = {0}, b = {0};
    view_encode(v, &bytes);
    int fd = memfd_sealed("view", buf_str(&bytes), NULL);
    assert_true(fd >= 0);
    put_u64(&b, v->epoch);
    send_message(&w->supervisor, IPC_VIEW_BEGIN, &b, fd);
    close(fd);
    buf_free(&bytes);
    send_epoch(w, IPC_VIEW_END, v->epoch);
}

static void a_restart_goes_on_where_it_was(void **state)
{
    static struct world w;
    world_open(&w);
    write_file(&w, quiet);
    first_view(&w);
    uint32_t a = instance(&w, "a")->slot, b = instance(&w, "b")->slot;
    cell_set(&cells_instance(&w.cells, 0, b)->ok, 500);
    send_signals(&w, request(a, SIGNAL_REQ_RESET, 1), 5);
    UNTIL(&w, w.c.subjects[a].judge.verdict == VERDICT_FAILED);
    UNTIL(&w, w.c.subjects[b].judge.verdict == VERDICT_HEALTHY);
    uint64_t since = w.c.subjects[a].judge.since, last = w.c.events.next;
    drain(&w, "b", true);
    control_end(&w);
    write_file(&w, "this is no configuration any more");
    control_start(&w);
    give_view(&w, w.offered);
    UNTIL(&w, w.c.view != NULL);
    assert_int_equal(w.offers, 1);
    assert_int_equal(w.c.view->epoch, 1);
    assert_int_equal(w.c.subjects[a].judge.verdict, VERDICT_FAILED);
    assert_int_equal(w.c.subjects[a].judge.since, since);
    assert_int_equal(w.c.subjects[b].judge.verdict, VERDICT_HEALTHY);
    assert_int_equal(cell_get(&cells_verdict(&w.cells, b)->draining), 1);
    assert_true(w.c.events.start >= last);
    /* what was answered before the restart is not answered again */
    turn(&w, 700 * NS_PER_MS);
    assert_int_equal(w.c.subjects[b].judge.window_ok, 0);
    world_close(&w);
}

static void a_new_daemon_keeps_epoch_and_drains(void **state)
{
    static struct world w;
    world_open(&w);
    first_view(&w);
    drain(&w, "b", true);
    assert_int_equal(cell_get(&cells_verdict(&w.cells, instance(&w, "b")->slot)->draining), 1);
    control_end(&w);
    memset(w.cells.verdicts, 0, SLOTS * sizeof *w.cells.verdicts); /* a new region */
    w.offers = 0;
    control_start(&w);
    first_view(&w);
    assert_int_equal(w.c.view->epoch, 2);
    assert_int_equal(cell_get(&cells_verdict(&w.cells, instance(&w, "b")->slot)->draining), 1);
    assert_int_equal(cell_get(&cells_verdict(&w.cells, instance(&w, "a")->slot)->draining), 0);
    drain(&w, "b", false);
    assert_int_equal(cell_get(&cells_verdict(&w.cells, instance(&w, "b")->slot)->draining), 0);
    assert_false(drains_has(&w.c, STR("web"), STR("b")));
    world_close(&w);
}

static void a_drain_ends_with_its_instance(void **state)
{
    static struct world w;
    world_open(&w);
    first_view(&w);
    drain(&w, "b", true);
    static const char *const texts[] = {
        "workers = 1\nservice web { listen = http://127.0.0.1:8080  backend "
        "127.0.0.1:1 { name = a } }\n",
        two};
    for (unsigned i = 0; i < 2; i++) {
        write_file(&w, texts[i]);
        reload_hangup(&w.c);
        UNTIL(&w, w.offers == 2 + i);
        send_epoch(&w, IPC_VIEW_TAKEN, 2 + i);
        UNTIL(&w, w.c.view->epoch == 2 + i);
    }
    assert_int_equal(cell_get(&cells_verdict(&w.cells, instance(&w, "b")->slot)->draining), 0);
    world_close(&w);
}

/* The state directory is gone: the node goes on, and says so once. */
static void an_unwritable_state_is_told_once(void **state)
{
    static struct world w;
    world_open(&w);
    first_view(&w);
    w.c.o.state_dir = "/nonexistent/holdfast";
    drain(&w, "b", true);
    drain(&w, "b", false);
    assert_int_equal(w.c.events.by_code[EVENT_STATE_UNSAVED], 1);
    w.c.o.state_dir = w.dir;
    drain(&w, "b", true);
    w.c.o.state_dir = "/nonexistent/holdfast";
    drain(&w, "b", false);
    assert_int_equal(w.c.events.by_code[EVENT_STATE_UNSAVED], 2);
    world_close(&w);
}

static void a_damaged_view_makes_it_read_the_file(void **state)
{
    static struct world w;
    world_open(&w);
    struct buf b = {0};
    put_u64(&b, 9);
    int fd = memfd_sealed("view", STR("nonsense"), NULL);
    send_message(&w.supervisor, IPC_VIEW_BEGIN, &b, fd);
    close(fd);
    send_epoch(&w, IPC_VIEW_END, 9);
    UNTIL(&w, w.offers == 1);
    assert_int_equal(w.offered->epoch, 10);
    send_epoch(&w, IPC_VIEW_TAKEN, 10);
    UNTIL(&w, w.c.view != NULL);
    assert_int_equal(w.c.view->n_services, 1);
    world_close(&w);
}

static void tell_child(struct world *w, uint32_t process, uint32_t now, uint32_t status,
                       const char *text)
{
    struct buf b = {0};
    put_u32(&b, process);
    put_u32(&b, now);
    put_u32(&b, 4711);
    put_u32(&b, status);
    put_str(&b, str_of(text));
    send_message(&w->supervisor, IPC_CHILD, &b, -1);
}

/* The words say nothing about what happened, and an orderly end has the status of a start. */
static void starts_and_ends_of_processes_are_events(void **state)
{
    static const struct {
        uint32_t now, status;
        enum event_code code;
        enum event_level level;
    } table[] = {
        {IPC_CHILD_STARTED, 0, EVENT_PROCESS_START, EVENT_INFO},
        {IPC_CHILD_ENDED, 0, EVENT_PROCESS_EXIT, EVENT_INFO},
        {IPC_CHILD_ENDED, 9, EVENT_PROCESS_EXIT, EVENT_ERROR},
    };
    static struct world w;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        world_open(&w);
        first_view(&w);
        tell_child(&w, PROCESS_WORKER0, IPC_CHILD_ENDED, 0, "of no process that there is");
        tell_child(&w, PROCESS_PROXY, IPC_CHILD_STATES, 0, "of no kind that there is");
        tell_child(&w, PROCESS_PROXY, table[i].now, table[i].status, "words");
        UNTIL(&w, last_event(&w, table[i].code) != NULL);
        const struct event *e = last_event(&w, table[i].code);
        CHECK(e != NULL);
        assert_string_equal(e->subject, "proxy");
        assert_string_equal(e->text, "process 4711: words");
        assert_int_equal(e->level, table[i].level);
        bool exit = table[i].code == EVENT_PROCESS_EXIT;
        assert_null(last_event(&w, exit ? EVENT_PROCESS_START : EVENT_PROCESS_EXIT));
        world_close(&w);
    }
}

static void it_ends_when_it_is_told_or_left_alone(void **state)
{
    static struct world w;
    struct err e = {0};
    world_open(&w);
    first_view(&w);
    struct buf b = {0};
    put_u32(&b, 1);
    send_message(&w.supervisor, IPC_STOP, &b, -1);
    assert_int_equal(loop_run(w.loop, &e), 0);
    assert_int_equal(w.c.result, 0);
    ipc_close(&w.supervisor);
    assert_int_equal(loop_run(w.loop, &e), 0);
    assert_int_equal(w.c.result, 1);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_restart_goes_on_where_it_was),
        cmocka_unit_test(a_new_daemon_keeps_epoch_and_drains),
        cmocka_unit_test(a_drain_ends_with_its_instance),
        cmocka_unit_test(an_unwritable_state_is_told_once),
        cmocka_unit_test(a_damaged_view_makes_it_read_the_file),
        cmocka_unit_test(starts_and_ends_of_processes_are_events),
        cmocka_unit_test(it_ends_when_it_is_told_or_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
