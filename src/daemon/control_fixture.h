/* What control's tests share: control with a supervisor and a proxy that are this test: at the
 * other ends of two socketpairs, on the same loop. Files lie in a directory of their own. */
#ifndef HF_CONTROL_FIXTURE_H
#define HF_CONTROL_FIXTURE_H
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

static inline void on_supervisor(struct ipc *ipc, struct ipc_message *m)
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

static inline void on_gone(struct ipc *ipc, const char *why)
{
}

static inline void on_other(struct ipc *ipc, struct ipc_message *m)
{
}

static inline void on_limit(struct timer *t)
{
    struct world *w = CONTAINER_OF(t, struct world, limit);
    w->over = true;
    loop_stop(w->loop);
}

/* Turns the loop for ns. */
static inline void turn(struct world *w, uint64_t ns)
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

static inline void send_message(struct ipc *to, enum ipc_type type, struct buf *body, int fd)
{
    assert_false(body->failed);
    assert_int_equal(ipc_send(to, type, buf_str(body), &fd, fd >= 0, NULL), 0);
    buf_free(body);
}

static inline void send_epoch(struct world *w, enum ipc_type type, uint64_t epoch)
{
    struct buf b = {0};
    put_u64(&b, epoch);
    send_message(&w->supervisor, type, &b, -1);
}

static inline void write_file(struct world *w, const char *text)
{
    assert_int_equal(file_replace(w->file, str_of(text), 0600, NULL), 0);
}

static const char two[] __attribute__((unused)) = "workers = 1\n"
                                                  "service web {\n"
                                                  "  listen = http://127.0.0.1:8080\n"
                                                  "  backend 127.0.0.1:1 { name = a }\n"
                                                  "  backend 127.0.0.1:2 { name = b }\n"
                                                  "  check { none = yes }\n"
                                                  "}\n";

static inline struct ipc pair_end(struct world *w, int *other,
                                  void (*hear)(struct ipc *, struct ipc_message *))
{
    int fds[2];
    assert_int_equal(net_message_pair(fds, NULL), 0);
    *other = fds[1];
    return (struct ipc){.fd = fds[0], .on_message = hear, .on_gone = on_gone};
}

static inline void control_start(struct world *w)
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
    struct buf bank = {0};
    put_u32(&bank, 0);
    send_message(&w->supervisor, IPC_PEER, &bank, other);
    close(other);
}

static inline void control_end(struct world *w)
{
    ipc_close(&w->supervisor);
    ipc_close(&w->proxy);
    control_close(&w->c);
}

static inline void world_open(struct world *w)
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

static inline void world_close(struct world *w)
{
    static const char *const names[] = {
        "web.conf",           "epoch",        "drains.json",    "discovered.json",
        "beats.json",         "incarnation",  "maintenance",    "audit.db",
        "audit.db-wal",       "audit.db-shm", "coordinator.db", "coordinator.db-wal",
        "coordinator.db-shm", "promise"};
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
static inline void first_view(struct world *w)
{
    send_epoch(w, IPC_NO_VIEW, 0);
    UNTIL(w, w->offers == 1);
    send_epoch(w, IPC_VIEW_TAKEN, w->offered->epoch);
    UNTIL(w, w->c.view != NULL);
}

static inline void on_answer(struct admin_reload *r, const struct admin_reload_result *result)
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

static inline struct admin_reload asker(void)
{
    struct admin_reload r = {.done = on_answer};
    list_init(&r.link);
    return r;
}

static inline uint64_t saved_epoch(struct world *w)
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
static inline const struct event *last_event(struct world *w, enum event_code code)
{
    const struct event *found = NULL;
    for (const struct event *e = events_after(&w->c.events, 0); e; e = events_next(&w->c.events, e))
        if (e->code == code)
            found = e;
    return found;
}

static inline const struct view_instance *instance(struct world *w, const char *name)
{
    const struct view_service *s = view_service_find(w->c.view, STR("web"));
    const struct view_instance *in = view_instance_find(s, str_of(name));
    assert_non_null(in);
    return in;
}

static inline void send_signals(struct world *w, struct signal s, unsigned times)
{
    struct buf b = {0};
    put_u32(&b, times);
    s.at = loop_refresh(w->loop);
    for (unsigned i = 0; i < times; i++)
        ipc_put_signal(&b, &s);
    send_message(&w->proxy, IPC_SIGNALS, &b, -1);
}

static inline struct signal request(uint32_t slot, enum signal_kind kind, uint32_t count)
{
    return (struct signal){.slot = slot, .count = count, .kind = (uint16_t)kind, .observer = 1};
}

static const char quiet[] __attribute__((unused)) = "workers = 1\n"
                                                    "service web {\n"
                                                    "  listen = http://127.0.0.1:8080\n"
                                                    "  backend 127.0.0.1:1 { name = a }\n"
                                                    "  backend 127.0.0.1:2 { name = b }\n"
                                                    "  check { none = yes }\n"
                                                    "  eject { after = 5 }\n"
                                                    "}\n";

#endif
