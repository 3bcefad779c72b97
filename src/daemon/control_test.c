/* Control with a supervisor and a proxy that are this test: at the other ends of two socketpairs,
 * on the same loop. Files lie in a directory of their own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/control.h"

enum { SLOTS = 8, SERVICES = 4 };

struct world {
    struct loop *loop;
    struct log log;
    struct control c;
    struct control_options o;
    char dir[64], file[96];
    int cells_fd;
    struct cells cells;
    struct ipc supervisor, proxy; /* our ends */
    struct timer limit;
    bool over;
    /* what the supervisor heard */
    struct view *offered; /* the latest */
    unsigned offers, restarts;
    /* what an asker heard */
    unsigned answers;
    int code;
    bool changed;
    uint64_t epoch;
    char text[256];
    size_t n_changes, n_problems;
};

static struct world *the_world;

static void on_supervisor(struct ipc *ipc, struct ipc_message *m)
{
    struct world *w = the_world;
    if (m->type == IPC_RESTART) {
        w->restarts++;
        return;
    }
    assert_int_equal(m->type, IPC_VIEW);
    uint64_t epoch = get_u64(&m->body);
    struct buf bytes = {0};
    struct err e = {0};
    int fd = ipc_take_fd(m);
    assert_true(fd >= 0 && reader_done(&m->body));
    assert_int_equal(memfd_read(fd, VIEW_MAX_BYTES, &bytes, &e), 0);
    close(fd);
    view_free(w->offered);
    assert_int_equal(view_decode(buf_str(&bytes), &w->offered, &e), 0);
    assert_int_equal(w->offered->epoch, epoch);
    buf_free(&bytes);
    w->offers++;
}

static void on_gone(struct ipc *ipc, const char *why)
{
}

static void on_other(struct ipc *ipc, struct ipc_message *m)
{
}

static void on_limit(struct timer *t)
{
    struct world *w = CONTAINER_OF(t, struct world, limit);
    w->over = true;
    loop_stop(w->loop);
}

/* Turns the loop for ns. */
static void turn(struct world *w, uint64_t ns)
{
    struct err e = {0};
    loop_timer_set(w->loop, &w->limit, loop_refresh(w->loop) + ns);
    assert_int_equal(loop_run(w->loop, &e), 0);
    loop_timer_stop(w->loop, &w->limit);
}

/* Turns the loop until the condition holds; fails after ten seconds. */
#define UNTIL(w, condition)                                                                        \
    do {                                                                                           \
        uint64_t until_ = clock_now() + 10 * NS_PER_S;                                             \
        while (!(condition) && clock_now() < until_)                                               \
            turn((w), NS_PER_MS);                                                                  \
        assert_true(condition);                                                                    \
    } while (0)

static void send_message(struct ipc *to, enum ipc_type type, struct buf *body, int fd)
{
    assert_false(body->failed);
    assert_int_equal(ipc_send(to, type, buf_str(body), &fd, fd >= 0, NULL), 0);
    buf_free(body);
}

static void send_epoch(struct world *w, enum ipc_type type, uint64_t epoch)
{
    struct buf b = {0};
    put_u64(&b, epoch);
    send_message(&w->supervisor, type, &b, -1);
}

static void write_file(struct world *w, const char *text)
{
    assert_int_equal(file_replace(w->file, str_of(text), 0600, NULL), 0);
}

static const char two[] = "workers = 1\n"
                          "service web {\n"
                          "  listen = http://127.0.0.1:8080\n"
                          "  backend 127.0.0.1:1 { name = a }\n"
                          "  backend 127.0.0.1:2 { name = b }\n"
                          "  check { none = yes }\n"
                          "}\n";

static struct ipc pair_end(struct world *w, int *other,
                           void (*hear)(struct ipc *, struct ipc_message *))
{
    int fds[2];
    assert_int_equal(net_message_pair(fds, NULL), 0);
    *other = fds[1];
    return (struct ipc){.fd = fds[0], .on_message = hear, .on_gone = on_gone};
}

static void control_start(struct world *w)
{
    int other;
    struct err e = {0};
    struct ipc ours = pair_end(w, &other, on_supervisor);
    int fd = ours.fd;
    w->supervisor = ours;
    assert_int_equal(ipc_open(&w->supervisor, w->loop, fd, &e), 0);
    int cells = fcntl(w->cells_fd, F_DUPFD_CLOEXEC, 0);
    assert_int_equal(control_open(&w->c, w->loop, &w->log, &w->o, other, cells, &e), 0);
    struct ipc proxy = pair_end(w, &other, on_other);
    fd = proxy.fd;
    w->proxy = proxy;
    assert_int_equal(ipc_open(&w->proxy, w->loop, fd, &e), 0);
    struct buf none = {0};
    send_message(&w->supervisor, IPC_PEER, &none, other);
    close(other);
}

static void control_end(struct world *w)
{
    ipc_close(&w->supervisor);
    ipc_close(&w->proxy);
    control_close(&w->c);
}

static void world_open(struct world *w)
{
    *w = (struct world){0};
    the_world = w;
    struct err e = {0};
    void *region;
    size_t size;
    assert_int_equal(loop_new(&w->loop, &e), 0);
    assert_int_equal(log_open(&w->log, "control", "error", &e), 0);
    timer_init(&w->limit, on_limit);
    str_copy(w->dir, sizeof w->dir, STR("/tmp/holdfast-control-XXXXXX"));
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->file, sizeof w->file, "%s/web.conf", w->dir);
    write_file(w, two);
    w->cells_fd = memfd_region("cells", cells_size(1, SERVICES, SLOTS), &e);
    assert_true(w->cells_fd >= 0);
    assert_int_equal(memfd_map(w->cells_fd, &region, &size, &e), 0);
    cells_format(region, 1, SERVICES, SLOTS, loop_now(w->loop));
    assert_int_equal(cells_attach(&w->cells, region, size, &e), 0);
    w->o = (struct control_options){.file = w->file,
                                    .state_dir = w->dir,
                                    .node = "n",
                                    .reload_deadline = 10 * NS_PER_S,
                                    .probes = 16};
    control_start(w);
}

static void world_close(struct world *w)
{
    static const char *const names[] = {"web.conf", "epoch", "drains.json"};
    control_end(w);
    view_free(w->offered);
    munmap(w->cells.header, w->cells.size);
    close(w->cells_fd);
    loop_free(w->loop);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", w->dir, names[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(w->dir), 0); /* nothing else was left behind */
}

/* A fresh start up to the first view in force. */
static void first_view(struct world *w)
{
    send_epoch(w, IPC_NO_VIEW, 0);
    UNTIL(w, w->offers == 1);
    send_epoch(w, IPC_VIEW_TAKEN, w->offered->epoch);
    UNTIL(w, w->c.view != NULL);
}

static void on_answer(struct admin_reload *r, const struct admin_reload_result *result)
{
    struct world *w = the_world;
    w->answers++;
    w->code = result->code;
    w->changed = result->changed;
    w->epoch = result->epoch;
    w->n_changes = result->n_list;
    w->n_problems = result->n_problems;
    str_copy(w->text, sizeof w->text, str_of(result->code ? result->text : ""));
}

static struct admin_reload asker(void)
{
    struct admin_reload r = {.done = on_answer};
    list_init(&r.link);
    return r;
}

static uint64_t saved_epoch(struct world *w)
{
    char path[128];
    struct buf text = {0};
    snprintf(path, sizeof path, "%s/epoch", w->dir);
    assert_int_equal(file_read(path, 64, &text, NULL), 0);
    uint64_t v = strtoull(text.p, NULL, 10);
    buf_free(&text);
    return v;
}

/* The newest event with this code, or NULL. */
static const struct event *last_event(struct world *w, enum event_code code)
{
    const struct event *found = NULL;
    for (const struct event *e = events_after(&w->c.events, 0); e; e = events_next(&w->c.events, e))
        if (e->code == code)
            found = e;
    return found;
}

static const struct view_instance *instance(struct world *w, const char *name)
{
    const struct view_service *s = view_service_find(w->c.view, STR("web"));
    const struct view_instance *in = view_instance_find(s, str_of(name));
    assert_non_null(in);
    return in;
}

/* ---- reload ---- */

static void a_fresh_start_compiles_the_file(void **state)
{
    static struct world w;
    world_open(&w);
    first_view(&w);
    assert_int_equal(w.c.view->epoch, 1);
    assert_int_equal(saved_epoch(&w), 1);
    assert_int_equal(w.offered->n_services, 1);
    assert_int_equal(cell_get(&w.cells.processes[PROCESS_CONTROL].epoch), 1);
    assert_non_null(last_event(&w, EVENT_VIEW_TAKEN));
    uint64_t beat = cell_get(&w.cells.processes[PROCESS_CONTROL].beat);
    UNTIL(&w, cell_get(&w.cells.processes[PROCESS_CONTROL].beat) > beat);
    world_close(&w);
}

static void a_refused_view_changes_nothing(void **state)
{
    static struct world w;
    world_open(&w);
    first_view(&w);
    const struct view *before = w.c.view;
    struct admin_reload r = asker();
    write_file(&w, "service web { listen = http://127.0.0.1:8081  backend 127.0.0.1:9 }\n"
                   "workers = 1\n");
    assert_int_equal(reload_request(&w.c, &r, NULL), 0);
    UNTIL(&w, w.offers == 2);
    assert_int_equal(w.answers, 0);
    assert_ptr_equal(w.c.view, before);
    struct buf b = {0};
    put_u64(&b, w.offered->epoch);
    put_str(&b, STR("cannot listen on 127.0.0.1:8081"));
    send_message(&w.supervisor, IPC_VIEW_REFUSED, &b, -1);
    UNTIL(&w, w.answers == 1);
    assert_int_equal(w.code, -ERR_DENIED);
    assert_string_equal(w.text, "cannot listen on 127.0.0.1:8081");
    assert_ptr_equal(w.c.view, before);
    assert_int_equal(w.epoch, 1);
    assert_int_equal(saved_epoch(&w), 2); /* an epoch once offered is never given again */
    assert_non_null(last_event(&w, EVENT_RELOAD_REFUSED));
    world_close(&w);
}

static void a_taken_view_is_answered_with_its_changes(void **state)
{
    static struct world w;
    world_open(&w);
    first_view(&w);
    uint32_t slot_b = instance(&w, "b")->slot;
    struct admin_reload r = asker(), second = asker();
    write_file(&w, "workers = 1\n"
                   "service web {\n"
                   "  listen = http://127.0.0.1:8080\n"
                   "  backend 127.0.0.1:2 { name = b }\n"
                   "  backend 127.0.0.1:3 { name = c }\n"
                   "}\n");
    assert_int_equal(reload_request(&w.c, &r, NULL), 0);
    assert_int_equal(reload_request(&w.c, &second, NULL), 0);
    UNTIL(&w, w.offers == 2);
    /* the slot that is new has its first verdict before anybody can read it */
    const struct view_service *s = view_service_find(w.offered, STR("web"));
    uint32_t slot_c = view_instance_find(s, STR("c"))->slot;
    assert_int_equal(cell_get(&cells_verdict(&w.cells, slot_c)->verdict), VERDICT_SUSPECT);
    assert_int_equal(cell_get(&cells_verdict(&w.cells, slot_c)->changes), 1);
    send_epoch(&w, IPC_VIEW_TAKEN, 17); /* not ours: ignored */
    turn(&w, 5 * NS_PER_MS);
    assert_int_equal(w.answers, 0);
    send_epoch(&w, IPC_VIEW_TAKEN, 2);
    UNTIL(&w, w.answers == 2);
    assert_int_equal(w.code, 0);
    assert_true(w.changed);
    assert_int_equal(w.epoch, 2);
    assert_true(w.n_changes >= 2);
    assert_int_equal(instance(&w, "b")->slot, slot_b);
    assert_int_equal(w.offers, 2); /* both askers were answered by one transaction */
    world_close(&w);
}

static void an_identical_file_is_no_change(void **state)
{
    static struct world w;
    world_open(&w);
    first_view(&w);
    struct admin_reload r = asker();
    assert_int_equal(reload_request(&w.c, &r, NULL), 0);
    UNTIL(&w, w.answers == 1);
    assert_int_equal(w.code, 0);
    assert_false(w.changed);
    assert_int_equal(w.epoch, 1);
    assert_int_equal(w.offers, 1);
    world_close(&w);
}

static void errors_in_the_file_are_all_told(void **state)
{
    static struct world w;
    world_open(&w);
    first_view(&w);
    struct admin_reload r = asker();
    write_file(&w, "service web {\n  listn = http://127.0.0.1:8080\n  backend nonsense\n}\n");
    assert_int_equal(reload_request(&w.c, &r, NULL), 0);
    UNTIL(&w, w.answers == 1);
    assert_int_equal(w.code, -ERR_INVAL);
    assert_true(w.n_problems >= 2);
    assert_int_equal(w.offers, 1);
    /* a file that is not there is a sentence */
    unlink(w.file);
    assert_int_equal(reload_request(&w.c, &r, NULL), 0);
    UNTIL(&w, w.answers == 2);
    assert_int_not_equal(w.code, 0);
    assert_non_null(strstr(w.text, "web.conf"));
    assert_int_equal(w.c.view->epoch, 1);
    world_close(&w);
}

static void the_number_of_workers_is_fixed(void **state)
{
    static struct world w;
    world_open(&w);
    first_view(&w);
    struct admin_reload r = asker();
    write_file(&w, "workers = 2\nservice web { listen = http://127.0.0.1:8080  backend "
                   "127.0.0.1:9 }\n");
    assert_int_equal(reload_request(&w.c, &r, NULL), 0);
    UNTIL(&w, w.answers == 1);
    assert_int_equal(w.code, -ERR_DENIED);
    assert_non_null(strstr(w.text, "workers changes from 1 to 2"));
    assert_int_equal(w.offers, 1);
    assert_int_equal(saved_epoch(&w), 1);
    world_close(&w);
}

/* More than the shared tables hold: refused before anybody's row is touched. */
static void tables_that_are_full_refuse(void **state)
{
    static struct world w;
    struct buf text = {0};
    world_open(&w);
    first_view(&w);
    struct admin_reload r = asker();
    buf_printf(&text, "workers = 1\nservice web {\n listen = http://127.0.0.1:8080\n");
    for (int i = 0; i <= SLOTS; i++)
        buf_printf(&text, " backend 127.0.0.1:%d\n", 100 + i);
    assert_true(buf_add(&text, "}\n", 3));
    write_file(&w, text.p);
    buf_free(&text);
    assert_int_equal(reload_request(&w.c, &r, NULL), 0);
    UNTIL(&w, w.answers == 1);
    assert_int_equal(w.code, -ERR_DENIED);
    assert_non_null(strstr(w.text, "more than 8 instances"));
    assert_int_equal(w.offers, 1);
    world_close(&w);
}

static void a_silent_supervisor_leaves_it_undecided(void **state)
{
    static struct world w;
    world_open(&w);
    first_view(&w);
    w.c.o.reload_deadline = 20 * NS_PER_MS;
    struct admin_reload r = asker();
    struct err e = {0};
    write_file(&w, "workers = 1\nservice web { listen = http://127.0.0.1:8080  backend "
                   "127.0.0.1:9 }\n");
    assert_int_equal(reload_request(&w.c, &r, NULL), 0);
    UNTIL(&w, w.answers == 1);
    assert_int_equal(w.code, -ERR_TIMEOUT);
    assert_int_equal(w.c.view->epoch, 1);
    assert_int_equal(reload_request(&w.c, &r, &e), -ERR_BUSY);
    /* the answer counts when it comes, and reloads go on */
    send_epoch(&w, IPC_VIEW_TAKEN, 2);
    UNTIL(&w, w.c.view->epoch == 2);
    assert_int_equal(w.answers, 1);
    w.c.o.reload_deadline = 10 * NS_PER_S;
    write_file(&w, two);
    assert_int_equal(reload_request(&w.c, &r, NULL), 0);
    UNTIL(&w, w.offers == 3);
    send_epoch(&w, IPC_VIEW_TAKEN, 3);
    UNTIL(&w, w.answers == 2);
    assert_int_equal(w.code, 0);
    world_close(&w);
}

static void waiting_is_bounded_and_read_anew(void **state)
{
    static struct world w;
    struct admin_reload r = asker(), more[9];
    world_open(&w);
    first_view(&w);
    write_file(&w, "workers = 1\nservice web { listen = http://127.0.0.1:8080  backend "
                   "127.0.0.1:9 }\n");
    assert_int_equal(reload_request(&w.c, &r, NULL), 0);
    UNTIL(&w, w.offers == 2);
    write_file(&w, two); /* after the first was read */
    for (int i = 0; i < 9; i++) {
        more[i] = asker();
        assert_int_equal(reload_request(&w.c, &more[i], NULL), i < 8 ? 0 : -ERR_BUSY);
    }
    list_remove(&more[3].link); /* an asker that left */
    send_epoch(&w, IPC_VIEW_TAKEN, 2);
    UNTIL(&w, w.answers == 1);
    UNTIL(&w, w.offers == 3);
    send_epoch(&w, IPC_VIEW_TAKEN, 3);
    UNTIL(&w, w.answers == 8);
    assert_int_equal(w.c.view->services[0].n_instances, 2);
    world_close(&w);
}

static void a_hangup_reloads(void **state)
{
    static struct world w;
    world_open(&w);
    first_view(&w);
    write_file(&w, "workers = 1\nservice web { listen = http://127.0.0.1:8080  backend "
                   "127.0.0.1:9 }\n");
    struct buf none = {0};
    send_message(&w.supervisor, IPC_RELOAD, &none, -1);
    UNTIL(&w, w.offers == 2);
    send_epoch(&w, IPC_VIEW_TAKEN, 2);
    UNTIL(&w, w.c.view->epoch == 2);
    world_close(&w);
}

/* ---- judging ---- */

static void send_signals(struct world *w, struct signal s, unsigned times)
{
    struct buf b = {0};
    put_u32(&b, times);
    s.at = loop_refresh(w->loop);
    for (unsigned i = 0; i < times; i++)
        ipc_put_signal(&b, &s);
    send_message(&w->proxy, IPC_SIGNALS, &b, -1);
}

static struct signal request(uint32_t slot, enum signal_kind kind, uint32_t count)
{
    return (struct signal){.slot = slot, .count = count, .kind = (uint16_t)kind, .observer = 1};
}

static const char quiet[] = "workers = 1\n"
                            "service web {\n"
                            "  listen = http://127.0.0.1:8080\n"
                            "  backend 127.0.0.1:1 { name = a }\n"
                            "  backend 127.0.0.1:2 { name = b }\n"
                            "  check { none = yes }\n"
                            "  eject { after = 5 }\n"
                            "}\n";

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

/* ---- restarts and drains ---- */

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
        cmocka_unit_test(a_fresh_start_compiles_the_file),
        cmocka_unit_test(a_refused_view_changes_nothing),
        cmocka_unit_test(a_taken_view_is_answered_with_its_changes),
        cmocka_unit_test(an_identical_file_is_no_change),
        cmocka_unit_test(errors_in_the_file_are_all_told),
        cmocka_unit_test(the_number_of_workers_is_fixed),
        cmocka_unit_test(tables_that_are_full_refuse),
        cmocka_unit_test(a_silent_supervisor_leaves_it_undecided),
        cmocka_unit_test(waiting_is_bounded_and_read_anew),
        cmocka_unit_test(a_hangup_reloads),
        cmocka_unit_test(evidence_becomes_verdict_cell_and_event),
        cmocka_unit_test(answers_are_counted_once),
        cmocka_unit_test(nonsense_from_the_proxy_is_dropped),
        cmocka_unit_test(verdicts_stay_over_a_reload_and_go_with_their_address),
        cmocka_unit_test(a_restart_goes_on_where_it_was),
        cmocka_unit_test(a_new_daemon_keeps_epoch_and_drains),
        cmocka_unit_test(a_drain_ends_with_its_instance),
        cmocka_unit_test(an_unwritable_state_is_told_once),
        cmocka_unit_test(a_damaged_view_makes_it_read_the_file),
        cmocka_unit_test(it_ends_when_it_is_told_or_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
