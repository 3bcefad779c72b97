#include "daemon/kept.h"
#include "daemon/supervisor_fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/admin.h"
#include "conf/conf.h"
#include "daemon/agent.h"
#include "daemon/daemon.h"
#include "daemon/ipc.h"
#include "daemon/sandbox.h"
#include "view/cells.h"

enum { FAKE_SOCKETS = 16, FAKE_MAX_FILE = 4096 };
#define FAKE_BEAT (50 * NS_PER_MS)

/* --- the configuration room, in small --- */

struct conf_env conf_env_real(void)
{
    return (struct conf_env){0};
}

void conf_problems_free(struct conf_problems *p)
{
    *p = (struct conf_problems){0};
}

void conf_problems_print(const struct conf_problems *p, bool colour, struct buf *out)
{
    buf_printf(out, "%u problems\n", p->n);
}

static void add_socket(struct view *v, uint8_t use, struct str text)
{
    struct view_socket *s = &v->sockets[v->n_sockets];
    s->slot = v->n_sockets++;
    s->use = use;
    if (use == SOCKET_HTTP) {
        CHECK(addr_parse(text, &s->addr));
        return;
    }
    s->addr.kind = ADDR_UNIX;
    str_copy(s->addr.path, sizeof s->addr.path, text);
}

static void add_cluster(struct view *v, struct str address)
{
    struct view_node *node = arena_array(&v->arena, 1, sizeof *node);
    struct addr a;
    CHECK(node && addr_parse(address, &a));
    *node = (struct view_node){.name = STR("a"), .zone = STR(""), .address = a, .votes = true};
    v->cluster = (struct view_cluster){.name = STR("test"),
                                       .nodes = node,
                                       .n_nodes = 1,
                                       .n_voters = 1,
                                       .key_file = STR("/dev/null"),
                                       .coordinator = {.kind = COORDINATOR_MANAGED},
                                       .heartbeat = 50 * NS_PER_MS,
                                       .suspect_after = NS_PER_S,
                                       .lease = NS_PER_S,
                                       .demotion = NS_PER_S};
    for (uint32_t use = SOCKET_GOSSIP; use <= SOCKET_LINK; use++) {
        struct view_socket *s = &v->sockets[v->n_sockets];
        *s = (struct view_socket){.use = use, .addr = a, .slot = v->n_sockets++};
    }
}

static void add_line(struct view *v, struct str line, uint32_t *problems)
{
    if (str_starts(line, STR("http ")))
        add_socket(v, SOCKET_HTTP, (struct str){line.p + 5, line.n - 5});
    else if (str_starts(line, STR("log ")))
        add_socket(v, SOCKET_ACCESS_LOG, (struct str){line.p + 4, line.n - 4});
    else if (str_starts(line, STR("agent ")))
        add_cluster(v, (struct str){line.p + 6, line.n - 6});
    else if (str_starts(line, STR("stubborn")))
        v->file = STR("stubborn");
    else if (str_starts(line, STR("mute")))
        v->file = STR("mute");
    else if (str_starts(line, STR("dies")))
        v->file = STR("dies");
    else
        ++*problems;
}

int conf_load(const char *path, const struct conf_env *env, struct view **out,
              struct conf_problems *problems, struct err *e)
{
    struct buf text = {0};
    int r = file_read(path, FAKE_MAX_FILE, &text, e);
    if (r)
        return r;
    struct view *v = view_new();
    CHECK(v && (v->sockets = arena_array(&v->arena, FAKE_SOCKETS, sizeof *v->sockets)));
    v->workers = 1;
    v->file = STR("fake");
    for (char *line = text.p, *end = text.p + text.n; line < end;) {
        size_t n = strcspn(line, "\n");
        add_line(v, (struct str){line, n}, &problems->n);
        line += n + 1;
    }
    buf_free(&text);
    if (problems->n) {
        view_free(v);
        return err_set(e, ERR_INVAL, "%s has problems", path);
    }
    *out = v;
    return 0;
}

/* Nobody shares a configuration here. */
int shared_conf_start(const struct conf_place *p, struct shared_start *out, struct err *e)
{
    return conf_load(p->file, NULL, &out->view, &out->problems, e);
}

void shared_start_free(struct shared_start *s)
{
    view_free(s->view);
    conf_problems_free(&s->problems);
    *s = (struct shared_start){0};
}

bool kept_has_below(const char *state, uint64_t number)
{
    return false;
}

/* --- what both children share --- */

struct fake;

struct fake_listener {
    struct io io;
    struct fake *owner;
    int fd;
};

struct fake {
    struct loop *loop;
    struct cells cells;
    struct ipc supervisor;
    struct timer beat;
    uint32_t row, also; /* rows to beat in */
    uint64_t epoch;
    /* control */
    const char *file;
    int admin_fd;
    struct io admin;
    bool deaf; /* it broke the protocol and lives on all the same */
    struct agent_line agent;
    const char *etcd;   /* what the agent says of it */
    int asker;          /* the connection whose answer is due; -1 */
    char change[320];   /* the latest that it was told */
    char children[100]; /* what it was told of the proxy: "started", "ended STATUS" */
    /* proxy */
    struct view *view;
    struct fake_listener listeners[FAKE_SOCKETS];
    bool waits; /* to be told to accept */
    bool handed_over;
};

static void on_beat(struct timer *t)
{
    struct fake *f = CONTAINER_OF(t, struct fake, beat);
    cell_add(&f->cells.processes[f->row].beat, 1);
    if (f->also)
        cell_add(&f->cells.processes[f->also].beat, 1);
    loop_timer_set(f->loop, t, loop_now(f->loop) + FAKE_BEAT);
}

static void on_gone(struct ipc *c, const char *why)
{
    struct fake *f = CONTAINER_OF(c, struct fake, supervisor);
    if (!f->deaf)
        loop_stop(f->loop);
}

static void fake_init(struct fake *f, uint32_t row)
{
    *f = (struct fake){.row = row, .asker = -1, .admin_fd = -1};
    for (size_t i = 0; i < FAKE_SOCKETS; i++)
        f->listeners[i] = (struct fake_listener){.owner = f, .fd = -1};
}

static void fake_open(struct fake *f, enum sandbox_role role)
{
    void *region;
    size_t size;
    CHECK(sandbox_enter(role, NULL, NULL) == 0);
    CHECK(memfd_map(IPC_FD_CELLS, &region, &size, NULL) == 0);
    f->cells.header = region; /* its sizes may be spoilt: see end_view */
    f->cells.header->workers = 1;
    CHECK(cells_attach(&f->cells, region, size, NULL) == 0);
    CHECK(loop_new(&f->loop, NULL) == 0);
    f->supervisor.on_gone = on_gone;
    CHECK(ipc_open(&f->supervisor, f->loop, IPC_FD_SUPERVISOR, NULL) == 0);
    timer_init(&f->beat, on_beat);
    on_beat(&f->beat);
}

static void drop_sockets(struct fake *f)
{
    for (size_t i = 0; i < FAKE_SOCKETS; i++) {
        struct fake_listener *l = &f->listeners[i];
        if (l->fd < 0)
            continue;
        loop_io_stop(f->loop, &l->io);
        close(l->fd);
        l->fd = -1;
    }
}

static int fake_run(struct fake *f)
{
    CHECK(loop_run(f->loop, NULL) == 0);
    drop_sockets(f);
    ipc_close(&f->supervisor);
    if (f->agent.loop)
        agent_line_close(&f->agent);
    loop_free(f->loop);
    view_free(f->view);
    return 0;
}

/* --- control --- */

static void reply(struct fake *f, const char *text)
{
    if (f->asker < 0)
        return;
    ssize_t n = write(f->asker, text, strlen(text));
    CHECK(n > 0);
    close(f->asker);
    f->asker = -1;
}

static void offer(struct fake *f, uint64_t epoch, struct str bytes)
{
    struct buf body = {0};
    int fd = memfd_sealed("view", bytes, NULL);
    CHECK(fd >= 0);
    put_u64(&body, epoch);
    CHECK(ipc_send(&f->supervisor, IPC_VIEW, buf_str(&body), &fd, 1, NULL) == 0);
    close(fd);
    buf_free(&body);
}

static void load(struct fake *f, uint64_t epoch)
{
    struct conf_problems problems = {0};
    struct view *v;
    struct buf bytes = {0};
    if (conf_load(f->file, NULL, &v, &problems, NULL)) {
        reply(f, "bad file\n");
        return;
    }
    v->epoch = epoch;
    view_encode(v, &bytes);
    offer(f, v->epoch, buf_str(&bytes));
    buf_free(&bytes);
    view_free(v);
}

static void break_protocol(struct fake *f)
{
    f->deaf = true;
    CHECK(net_message_send(f->supervisor.fd, "x", 1, NULL, 0, NULL) == 0);
}

const char *fake_program(char out[256])
{
    CHECK(out); /* UndefinedBehaviorSanitizer's own look has gcc believe that it may be */
    ssize_t n = readlink("/proc/self/exe", out, 255);
    CHECK(n > 0);
    out[n] = 0;
    const char *slash = strrchr(out, '/');
    CHECK(slash);
    return slash + 1;
}

/* To the program beside the file. */
static void ask_for_upgrade(struct fake *f)
{
    char own[256];
    struct buf path = {0}, body = {0};
    const char *slash = strrchr(f->file, '/');
    buf_add(&path, f->file, (size_t)(slash + 1 - f->file));
    buf_add_str(&path, str_of(fake_program(own)));
    put_str(&body, buf_str(&path));
    CHECK(!body.failed &&
          ipc_send(&f->supervisor, IPC_UPGRADE, buf_str(&body), NULL, 0, NULL) == 0);
    buf_free(&path);
    buf_free(&body);
}

static void command(struct fake *f, const char *word)
{
    bool offers = strchr("lsd", word[0]) && strcmp(word, "state") != 0; /* answered later */
    char text[400];
    const struct process_row *worker =
        &f->cells.processes[cells_proxy_row(1, cells_serving(&f->cells)) + 1];
    snprintf(text, sizeof text, "%llu %ld %llu\n", (unsigned long long)f->epoch, (long)getpid(),
             (unsigned long long)cell_get(&worker->connections));
    if (strcmp(word, "load") == 0)
        load(f, f->epoch + 1);
    else if (strcmp(word, "stale") == 0)
        load(f, f->epoch);
    else if (strcmp(word, "damaged") == 0)
        offer(f, f->epoch + 1, STR("no view"));
    else if (strcmp(word, "nonsense") == 0)
        break_protocol(f);
    else if (strcmp(word, "restart") == 0)
        CHECK(ipc_send(&f->supervisor, IPC_RESTART, STR("\0\0\0\0\4\0\0\0test"), NULL, 0, NULL) ==
              0);
    else if (strcmp(word, "handover") == 0)
        CHECK(ipc_send(&f->supervisor, IPC_RESTART, STR("\1\0\0\0\4\0\0\0test"), NULL, 0, NULL) ==
              0);
    else if (strcmp(word, "upgrade") == 0)
        ask_for_upgrade(f);
    if (strcmp(word, "change") == 0)
        snprintf(text, sizeof text, "%s\n", f->change);
    else if (strcmp(word, "children") == 0)
        snprintf(text, sizeof text, "%s\n", f->children);
    else if (strcmp(word, "agent") == 0)
        snprintf(text, sizeof text, "%llu %s\n",
                 (unsigned long long)cell_get(&f->cells.processes[PROCESS_AGENT].pid),
                 agent_line_is_open(&f->agent) ? f->etcd : "-");
    else if (strcmp(word, "epoch") == 0) /* of the supervisor's own row */
        snprintf(text, sizeof text, "epoch %llu\n",
                 (unsigned long long)cell_get(&f->cells.processes[PROCESS_SUPERVISOR].epoch));
    if (!offers)
        reply(f, text);
}

/* The command came with the connection: the test writes before it waits. */
static void on_admin(struct io *io, unsigned ready)
{
    struct fake *f = CONTAINER_OF(io, struct fake, admin);
    for (int fd; (fd = net_accept(f->admin_fd, NULL)) >= 0;) {
        char word[32] = "";
        ssize_t n;
        while ((n = read(fd, word, sizeof word - 1)) < 0)
            continue;
        word[strcspn(word, "\n")] = 0;
        if (f->asker >= 0)
            close(f->asker);
        f->asker = fd;
        command(f, word);
    }
}

static void answered(struct fake *f, struct ipc_message *m)
{
    char text[400];
    uint64_t epoch = get_u64(&m->body);
    bool taken = m->type == IPC_VIEW_TAKEN;
    struct str why = taken ? STR("") : get_str(&m->body);
    if (taken)
        f->epoch = epoch;
    snprintf(text, sizeof text, "%s %llu " STR_FMT "\n", taken ? "taken" : "refused",
             (unsigned long long)epoch, STR_ARG(why));
    reply(f, text);
}

static void child_told(struct fake *f, struct ipc_message *m)
{
    uint32_t process = get_u32(&m->body), now = get_u32(&m->body), pid = get_u32(&m->body);
    uint32_t status = get_u32(&m->body);
    get_str(&m->body);
    CHECK(reader_done(&m->body) && pid && now < IPC_CHILD_STATES);
    size_t n = strlen(f->children);
    if (process == PROCESS_PROXY && now == IPC_CHILD_STARTED)
        snprintf(f->children + n, sizeof f->children - n, "started;");
    else if (process == PROCESS_PROXY)
        snprintf(f->children + n, sizeof f->children - n, "ended %u;", status);
}

static void control_message(struct ipc *c, struct ipc_message *m)
{
    struct fake *f = CONTAINER_OF(c, struct fake, supervisor);
    if (m->type == IPC_ADMIN_SOCKET) {
        f->admin_fd = ipc_take_fd(m);
        CHECK(loop_io_start(f->loop, &f->admin, f->admin_fd, NULL) == 0);
    } else if (m->type == IPC_NO_VIEW || m->type == IPC_RELOAD) {
        load(f, f->epoch + 1);
    } else if (m->type == IPC_VIEW_END) {
        f->epoch = get_u64(&m->body);
        cell_set(&f->cells.processes[PROCESS_CONTROL].epoch, f->epoch);
    } else if (m->type == IPC_VIEW_TAKEN || m->type == IPC_VIEW_REFUSED) {
        answered(f, m);
    } else if (m->type == IPC_CHILD) {
        child_told(f, m);
    } else if (m->type == IPC_CHANGE) {
        static const char *const states[CHANGE_STATES] = {"runs", "done", "failed"};
        uint64_t number = get_u64(&m->body);
        uint32_t kind = get_u32(&m->body), state = get_u32(&m->body);
        struct str said = get_str(&m->body);
        CHECK(reader_done(&m->body) && kind < CHANGE_KINDS && state < CHANGE_STATES);
        snprintf(f->change, sizeof f->change, "%llu %s " STR_FMT, (unsigned long long)number,
                 states[state], STR_ARG(said));
    } else if (m->type == IPC_AGENT) {
        f->etcd = "-";
        CHECK(agent_line_open(&f->agent, ipc_take_fd(m), NULL) == 0);
    } else if (m->type == IPC_STOP) {
        loop_stop(f->loop);
    }
}

static void agent_state(void *context, const struct agent_state *s)
{
    ((struct fake *)context)->etcd = agent_life_name(s->life);
}

static void agent_answered(void *context, const struct agent_answer *a)
{
    UNREACHABLE();
}

static void agent_gone(void *context, const char *why)
{
    ((struct fake *)context)->etcd = "-";
}

int fake_control_main(int argc, char **argv)
{
    struct fake f;
    fake_init(&f, PROCESS_CONTROL);
    CHECK((argc == 7 || argc == 9) && strcmp(argv[1], "--file") == 0 &&
          strcmp(argv[3], "--state") == 0);
    f.file = argv[2];
    f.supervisor.on_message = control_message;
    io_init(&f.admin, on_admin);
    fake_open(&f, SANDBOX_CONTROL);
    agent_line_init(&f.agent, f.loop);
    f.agent.context = &f;
    f.agent.on_state = agent_state;
    f.agent.on_answer = agent_answered;
    f.agent.on_gone = agent_gone;
    return fake_run(&f);
}

/* The real one, for whom the header is mended that the fake proxy spoils. */
int fake_agent_main(int argc, char **argv)
{
    void *region;
    size_t size;
    CHECK(memfd_map(IPC_FD_CELLS, &region, &size, NULL) == 0);
    ((struct cells_header *)region)->workers = 1;
    return agent_main(argc, argv);
}

/* --- proxy --- */

static void on_client(struct io *io, unsigned ready)
{
    struct fake_listener *l = CONTAINER_OF(io, struct fake_listener, io);
    struct stat st;
    CHECK(fstat(l->fd, &st) == 0);
    for (int fd; (fd = net_accept(l->fd, NULL)) >= 0;) {
        char text[96];
        int n = snprintf(text, sizeof text, "%ld %llu %llu\n", (long)getpid(),
                         (unsigned long long)l->owner->epoch, (unsigned long long)st.st_ino);
        CHECK(write(fd, text, (size_t)n) == n);
        close(fd);
    }
}

static void begin_view(struct fake *f, struct ipc_message *m)
{
    struct buf bytes = {0};
    drop_sockets(f);
    view_free(f->view);
    CHECK(m->n_fds == 1 && memfd_read(m->fds[0], VIEW_MAX_BYTES, &bytes, NULL) == 0);
    CHECK(view_decode(buf_str(&bytes), &f->view, NULL) == 0);
    buf_free(&bytes);
}

static void use_socket(struct fake *f, uint32_t index, int fd)
{
    struct fake_listener *l = &f->listeners[index];
    if (f->view->sockets[index].use == SOCKET_ACCESS_LOG) {
        CHECK(dprintf(fd, "%llu\n", (unsigned long long)f->view->epoch) > 0);
        close(fd);
        return;
    }
    l->fd = fd; /* nobody is answered before the view is complete */
}

static void use_sockets(struct fake *f, struct ipc_message *m)
{
    uint64_t epoch = get_u64(&m->body);
    uint32_t n = get_u32(&m->body);
    CHECK(epoch == f->view->epoch && n == m->n_fds);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t index = get_u32(&m->body);
        CHECK(!m->body.failed && index < f->view->n_sockets);
        use_socket(f, index, m->fds[i]);
        m->fds[i] = -1;
    }
}

static void accept_now(struct fake *f)
{
    f->waits = false;
    for (size_t i = 0; i < FAKE_SOCKETS; i++)
        if (f->listeners[i].fd >= 0)
            CHECK(loop_io_start(f->loop, &f->listeners[i].io, f->listeners[i].fd, NULL) == 0);
}

static void end_view(struct fake *f)
{
    struct buf b = {0};
    f->epoch = f->view->epoch;
    if (f->waits && str_eq(f->view->file, STR("mute")))
        return;
    CHECK(!f->waits || !str_eq(f->view->file, STR("dies")));
    if (!f->waits && !f->handed_over)
        accept_now(f);
    f->cells.header->workers = UINT32_MAX; /* what a proxy that somebody took over might do */
    put_u64(&b, f->epoch);
    CHECK(ipc_send(&f->supervisor, IPC_VIEW_TAKEN, buf_str(&b), NULL, 0, NULL) == 0);
    buf_free(&b);
}

static bool is(const struct fake *f, const char *word)
{
    return f->view && str_eq(f->view->file, str_of(word));
}

static void proxy_message(struct ipc *c, struct ipc_message *m)
{
    struct fake *f = CONTAINER_OF(c, struct fake, supervisor);
    if (m->type == IPC_VIEW_BEGIN) {
        begin_view(f, m);
    } else if (m->type == IPC_VIEW_SOCKET) {
        use_sockets(f, m);
    } else if (m->type == IPC_VIEW_END) {
        end_view(f);
    } else if (m->type == IPC_ACCEPT) {
        accept_now(f);
    } else if (m->type == IPC_HAND_OVER) {
        drop_sockets(f);
        f->handed_over = true;
        if (!is(f, "stubborn"))
            loop_stop(f->loop);
    } else if (m->type == IPC_STOP) {
        bool drain = get_u32(&m->body) == 1;
        if (!drain || !is(f, "stubborn"))
            loop_stop(f->loop);
    }
}

int fake_proxy_main(int argc, char **argv)
{
    struct fake f;
    fake_init(&f, PROCESS_PROXY);
    CHECK(argc >= 5 && strcmp(argv[3], "--bank") == 0);
    f.row = cells_proxy_row(1, (uint32_t)atoi(argv[4]));
    f.also = f.row + 1;
    f.waits = argc == 6;
    for (size_t i = 0; i < FAKE_SOCKETS; i++)
        io_init(&f.listeners[i].io, on_client);
    f.supervisor.on_message = proxy_message;
    fake_open(&f, SANDBOX_PROXY);
    cell_add(&f.cells.processes[f.also].connections, 1);
    return fake_run(&f);
}
