/* The admin server: any bytes as one connection's requests, through a real socket and loop.
 *
 * Whatever comes: every answer is well-formed HTTP with the length it says, every JSON body parses,
 * the connection ends, and nothing of it stays. */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admin/inside.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
    struct loop *loop;
    struct view *view;
    struct cells cells;
    struct judge judge;
    struct beat_watch watch;
    struct events events;
    struct admin *admin;
    struct list askers, tellers;
    struct task answer;
    /* the client's end */
    struct io io;
    int fd;
    struct str to_send;
    struct buf got;
};

static const struct view *host_view(void *context)
{
    return ((struct world *)context)->view;
}

static const struct cells *host_cells(void *context)
{
    return &((struct world *)context)->cells;
}

static const struct judge *host_judge(void *context, uint32_t slot)
{
    return &((struct world *)context)->judge;
}

static int host_reload(void *context, struct admin_reload *r, struct err *e)
{
    struct world *w = context;
    list_push_back(&w->askers, &r->link);
    loop_defer(w->loop, &w->answer);
    return 0;
}

static void on_answer(struct task *task)
{
    static const struct str changes[] = {{"one", 3}};
    struct world *w = CONTAINER_OF(task, struct world, answer);
    struct admin_reload_result taken = {.epoch = 2, .changed = true, .list = changes, .n_list = 1};
    while (!list_empty(&w->askers)) {
        struct admin_reload *r = LIST_ENTRY(w->askers.next, struct admin_reload, link);
        list_remove(&r->link);
        r->done(r, &taken);
    }
    while (!list_empty(&w->tellers)) {
        struct admin_telling *t = LIST_ENTRY(w->tellers.next, struct admin_telling, link);
        list_remove(&t->link);
        t->done(t, &t->told);
    }
}

static int host_drain(void *context, uint32_t slot, bool on, bool *changed, struct err *e)
{
    CHECK(slot < 2);
    *changed = on;
    return 0;
}

/* Half of the changes are answered at once. */
static int host_tell(void *context, const struct told_change *change, struct admin_telling *waits,
                     struct admin_told *told, struct err *e)
{
    struct world *w = context;
    *told = (struct admin_told){.added = change->n, .epoch = 3, .text = ""};
    for (uint32_t i = 0; i < change->n; i++)
        CHECK(change->items[i].name.n || change->items[i].addr.kind != ADDR_NONE);
    if (change->n % 2)
        return 0;
    waits->told = *told;
    list_push_back(&w->tellers, &waits->link);
    loop_defer(w->loop, &w->answer);
    return 1;
}

static int host_restart(void *context, bool gently, struct err *e)
{
    return 0;
}

static int host_upgrade(void *context, struct str path, struct err *e)
{
    (void)context;
    CHECK(path.n < 4096);
    return 0;
}

static const struct admin_change *host_change(void *context)
{
    static const struct admin_change none;
    (void)context;
    return &none;
}

static void on_client(struct io *io, unsigned ready)
{
    struct world *w = CONTAINER_OF(io, struct world, io);
    while (w->to_send.n) {
        ssize_t n = send(w->fd, w->to_send.p, w->to_send.n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            break;
        size_t sent = n < 0 ? w->to_send.n : (size_t)n; /* the server may have had enough */
        w->to_send.p += sent;
        w->to_send.n -= sent;
        if (w->to_send.n == 0)
            shutdown(w->fd, SHUT_WR);
    }
    for (;;) {
        CHECK(buf_reserve(&w->got, 65536));
        ssize_t n = recv(w->fd, w->got.p + w->got.n, w->got.cap - w->got.n, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            loop_stop(w->loop);
            return;
        }
        w->got.n += (size_t)n;
    }
}

static int host_cluster(void *context, struct admin_cluster *out, struct err *e)
{
    static const char *const names[] = {"n", "o"};
    out->name = STR("c");
    out->members = arena_array(&out->arena, ARRAY_LEN(names), sizeof *out->members);
    CHECK(out->members);
    for (; out->n < ARRAY_LEN(names); out->n++)
        out->members[out->n] = (struct admin_member){
            .name = str_of(names[out->n]), .zone = STR(""), .info = {.id = out->n}};
    out->explain = STR("");
    return 0;
}

static int host_leave(void *context, struct err *e)
{
    return 0;
}

static int host_maintenance(void *context, struct str node, bool on, bool *changed, struct err *e)
{
    CHECK(str_eq(node, STR("n")) || str_eq(node, STR("o")));
    *changed = on;
    return 0;
}

static const struct beat_watch *host_beat(void *context, uint32_t index)
{
    return index == 0 ? &((struct world *)context)->watch : NULL;
}

static void host_beaten(void *context, uint32_t index, bool failed, struct str text)
{
    struct world *w = context;
    struct signal s = {.at = loop_now(w->loop), .count = 1};
    s.kind = failed ? SIGNAL_BEAT_FAILED : SIGNAL_BEAT_OK;
    CHECK(index == 0);
    beat_signal(&w->watch, &s, text);
}

static struct admin_beat_counts host_beat_counts(void *context)
{
    (void)context;
    return (struct admin_beat_counts){0};
}

static struct view *make_view(void)
{
    struct view *v = view_new();
    v->epoch = 1;
    v->file = STR("f");
    v->services = arena_array(&v->arena, 1, sizeof *v->services);
    v->n_services = 1;
    v->services[0].name = STR("web");
    v->services[0].instances = arena_array(&v->arena, 2, sizeof *v->services[0].instances);
    v->services[0].n_instances = 2;
    v->services[0].instances[0].name = STR("a");
    v->services[0].instances[1].name = STR("b/1");
    v->services[0].instances[1].slot = 1;
    v->beats = arena_array(&v->arena, 1, sizeof *v->beats);
    v->n_beats = 1;
    v->beats[0] = (struct view_beat){STR("backup"), NS_PER_S, NS_PER_S, false, {0}};
    v->tokens = arena_array(&v->arena, 1, sizeof *v->tokens);
    v->n_tokens = 1;
    v->tokens[0] = (struct view_token){.name = STR("t"), .rights = RIGHT_READ | RIGHT_DRAIN};
    CHECK(digest_sha256(STR("secret-of-the-token"), v->tokens[0].digest));
    for (int i = 0; i < 2; i++)
        CHECK(addr_parse(STR("127.0.0.1:80"), &v->services[0].instances[i].addr));
    return v;
}

static void make(struct world *w)
{
    struct judge_params p = {.checked = true, .rise = 2, .fall = 3};
    struct beat_params times = {NS_PER_S, NS_PER_S};
    size_t size = (cells_size(1, 1, 2) + 4095) / 4096 * 4096;
    void *region = aligned_alloc(4096, size);
    CHECK(region && loop_new(&w->loop, NULL) == 0);
    memset(region, 0, size);
    cells_format(region, 1, 1, 2, 1);
    CHECK(cells_attach(&w->cells, region, size, NULL) == 0);
    w->view = make_view();
    judge_init(&w->judge, &p, loop_now(w->loop));
    beat_init(&w->watch, &times, loop_now(w->loop));
    CHECK(events_init(&w->events, 4, 10, NULL) == 0);
    for (int i = 0; i < 6; i++) {
        events_begin(&w->events, EVENT_DRAIN, EVENT_INFO, 1, 2, 1);
        events_commit(&w->events);
    }
    list_init(&w->askers);
    list_init(&w->tellers);
    task_init(&w->answer, on_answer);
    io_init(&w->io, on_client);
    struct admin_host host = {.context = w,
                              .events = &w->events,
                              .node = "n",
                              .view = host_view,
                              .cells = host_cells,
                              .judge = host_judge,
                              .reload = host_reload,
                              .drain = host_drain,
                              .tell = host_tell,
                              .restart_proxy = host_restart,
                              .upgrade = host_upgrade,
                              .change = host_change,
                              .cluster = host_cluster,
                              .leave = host_leave,
                              .maintenance = host_maintenance,
                              .beat = host_beat,
                              .beaten = host_beaten,
                              .beat_counts = host_beat_counts};
    CHECK(admin_new(&w->admin, w->loop, &host, NULL) == 0);
}

/* One answer at the front of the bytes; false at their end. HEAD is told by its absent body only to
 * the client that asked: here the body that follows must be another answer, or JSON, or metrics. */
static bool check_answer(struct str *s)
{
    static const struct http_limits limits = {65536, 64};
    static struct http_head h;
    const struct http_refusal *why = NULL;
    if (s->n == 0)
        return false;
    CHECK(http_parse_response(s->p, s->n, 0, HTTP_GET, &limits, &h, &why) == HTTP_DONE);
    s->p += h.bytes;
    s->n -= h.bytes;
    if (h.status == 100 || h.length == 0 || (s->n >= 5 && memcmp(s->p, "HTTP/", 5) == 0))
        return true;
    if (s->n == 0)
        return false; /* HEAD at the end */
    CHECK(h.framing == HTTP_BODY_LENGTH && s->n >= h.length);
    bool json = false;
    for (uint32_t i = 0; i < h.n_headers; i++)
        json |= str_eq(h.headers[i].value, STR("application/json"));
    if (json) {
        json_t *j = json_loadb(s->p, (size_t)h.length, 0, NULL);
        CHECK(json_is_object(j));
        json_decref(j);
    }
    s->p += h.length;
    s->n -= (size_t)h.length;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world w;
    int fds[2];
    if (!w.loop)
        make(&w);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    enum admin_door door = size && data[0] == 'M'   ? ADMIN_METRICS
                           : size && data[0] == 'T' ? ADMIN_TOKEN
                                                    : ADMIN_LOCAL;
    if (door != ADMIN_LOCAL)
        data++, size--;
    struct addr peer = {.kind = ADDR_IP4};
    w.admin->access = (struct access){0};
    conn_open(w.admin, fds[0], door, &peer);
    w.fd = fds[1];
    w.to_send = (struct str){(const char *)data, size};
    buf_clear(&w.got);
    if (size == 0)
        shutdown(w.fd, SHUT_WR);
    CHECK(loop_io_start(w.loop, &w.io, w.fd, NULL) == 0);
    CHECK(loop_run(w.loop, NULL) == 0);
    loop_io_stop(w.loop, &w.io);
    close(w.fd);
    struct str got = buf_str(&w.got);
    while (check_answer(&got))
        ;
    CHECK(w.admin->n_conns == 0 && list_empty(&w.admin->polls) && list_empty(&w.askers) &&
          list_empty(&w.tellers));
    return 0;
}
