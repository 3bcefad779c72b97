/* gatectl: a proxy in this process with one service of kind primary, and the hand that writes its
 * cells, as control would.
 *
 *   gatectl SELF NODES LISTEN PORT [KEY=VALUE...]
 *
 * NODES are addresses, parted by commas, one for each place; SELF is the place of this one; LISTEN
 * is where the service listens at each of them, PORT where its instances do. Keys: agent=redis|
 * process, hold=MS, clients=N (that may be held), workers=N.
 *
 * Reads a command a line, writes a line of JSON when it is done:
 *
 *   set CELL=VALUE ...  of the role's row; "+5" is in so many ms. Then the workers are told
 *   quiet CELL=VALUE ...  the same, and nobody is told
 *   secret TEXT         what the gate says to its instance
 *   row                 the sums of the service's rows
 *   flood MS EVERY      sets lease_until to now + MS every EVERY ms, until the next command */
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "os/os.h"
#include "proxy/proxy.h"

enum { MOST_NODES = 8 };

struct ctl {
    struct loop *loop;
    struct cells cells;
    struct proxy *proxy;
    struct io input;
    struct timer flood;
    uint64_t lease, every;
    char text[4096];
    size_t n;
    uint32_t workers;
};

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "gatectl: bad %s\n", what);
    exit(2);
}

static void say(json_t *event)
{
    json_dumpf(event, stdout, JSON_COMPACT);
    putchar('\n');
    fflush(stdout);
    json_decref(event);
}

/* --- what the proxy asks of us --- */

static void on_taken(void *context, uint64_t epoch)
{
    say(json_pack("{ss sI}", "event", "taken", "pid", (json_int_t)getpid()));
}

static bool on_evidence(void *context, const struct signal *s)
{
    return true;
}

static void on_complaint(void *context, const char *text)
{
    fprintf(stderr, "gatectl: %s\n", text);
}

static void on_drained(void *context)
{
    exit(0);
}

/* --- commands --- */

struct cell_name {
    const char *name;
    size_t offset;
};
#define CELL(field)                                                                                \
    {                                                                                              \
#field, offsetof(struct role_row, field)                                                   \
    }
static const struct cell_name role_cells[] = {CELL(lease_until), CELL(lease_epoch), CELL(gate),
                                              CELL(hold),        CELL(epoch),       CELL(primary),
                                              CELL(sync),        CELL(insync)};

static cell *role_cell(struct ctl *c, const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(role_cells); i++)
        if (strcmp(role_cells[i].name, name) == 0)
            return (cell *)((char *)cells_role(&c->cells, 0) + role_cells[i].offset);
    must(false, name);
    return NULL;
}

static void set(struct ctl *c, char *word)
{
    char *equals = strchr(word, '=');
    must(equals != NULL, word);
    *equals = 0;
    uint64_t v = strtoull(equals + 1, NULL, 10);
    if (equals[1] == '+')
        v = clock_now() + v * NS_PER_MS;
    cell_set(role_cell(c, word), v);
}

static void row(struct ctl *c)
{
#define ROW(field)                                                                                 \
    {                                                                                              \
#field, offsetof(struct service_row, field)                                                \
    }
    static const struct cell_name cells[] = {
        ROW(held),    ROW(held_total), ROW(hold_refused),  ROW(cut_deposed),
        ROW(led_on),  ROW(commits),    ROW(commit_us_sum), ROW(commit_since),
        ROW(tunnels), ROW(relayed),    ROW(bytes_in),      ROW(bytes_out)};
    json_t *sums = json_object();
    for (size_t i = 0; i < ARRAY_LEN(cells); i++) {
        uint64_t sum = 0;
        for (uint32_t k = 0; k < c->workers; k++)
            sum += cell_get((cell *)((char *)cells_service(&c->cells, k, 0) + cells[i].offset));
        json_object_set_new(sums, cells[i].name, json_integer((json_int_t)sum));
    }
    uint64_t quiet = 0, buffers = 0, hold = cell_get(&cells_role(&c->cells, 0)->hold);
    for (uint32_t k = 0; k < c->workers; k++) {
        quiet += cell_get(&cells_service(&c->cells, k, 0)->quiet) == hold;
        buffers += cell_get(&c->cells.processes[PROCESS_WORKER0 + k].buffers);
    }
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    json_object_set_new(sums, "quiet", json_integer((json_int_t)quiet));
    json_object_set_new(sums, "buffers", json_integer((json_int_t)buffers));
    json_object_set_new(sums, "now", json_integer((json_int_t)clock_now()));
    json_object_set_new(sums, "cpu_us",
                        json_integer((used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000 +
                                     used.ru_utime.tv_usec + used.ru_stime.tv_usec));
    say(sums);
}

static void on_flood(struct timer *t)
{
    struct ctl *c = CONTAINER_OF(t, struct ctl, flood);
    cell_set(&cells_role(&c->cells, 0)->lease_until, clock_now() + c->lease);
    loop_timer_set(c->loop, t, loop_now(c->loop) + c->every);
}

static void command(struct ctl *c, char *text)
{
    char *save, *first = strtok_r(text, " ", &save);
    if (!first)
        return;
    loop_timer_stop(c->loop, &c->flood);
    bool tell = strcmp(first, "set") == 0;
    if (tell || strcmp(first, "quiet") == 0) {
        for (char *p; (p = strtok_r(NULL, " ", &save));)
            set(c, p);
        if (tell)
            proxy_roles_changed(c->proxy);
    } else if (strcmp(first, "secret") == 0) {
        char *secret = strtok_r(NULL, " ", &save);
        must(proxy_set_secret(c->proxy, STR("cache"), str_of(secret ? secret : ""), NULL) == 0,
             "secret");
    } else if (strcmp(first, "flood") == 0) {
        char *lease = strtok_r(NULL, " ", &save), *every = strtok_r(NULL, " ", &save);
        must(lease && every, "flood");
        c->lease = strtoull(lease, NULL, 10) * NS_PER_MS;
        c->every = strtoull(every, NULL, 10) * NS_PER_MS;
        on_flood(&c->flood);
    } else if (strcmp(first, "row") == 0) {
        row(c);
        return;
    } else {
        must(false, first);
    }
    say(json_pack("{ss sI}", "event", "done", "now", (json_int_t)clock_now()));
}

static void on_input(struct io *io, unsigned ready)
{
    struct ctl *c = CONTAINER_OF(io, struct ctl, input);
    ssize_t n;
    while ((n = read(STDIN_FILENO, c->text + c->n, sizeof c->text - 1 - c->n)) > 0) {
        c->n += (size_t)n;
        c->text[c->n] = 0;
        for (char *end; (end = strchr(c->text, '\n'));) {
            *end = 0;
            char line[sizeof c->text];
            str_copy(line, sizeof line, str_of(c->text));
            c->n -= (size_t)(end + 1 - c->text);
            memmove(c->text, end + 1, c->n + 1);
            command(c, line);
        }
    }
    if (n == 0)
        exit(0);
}

/* --- start --- */

static const char *option(int argc, char **argv, const char *key, const char *otherwise)
{
    size_t n = strlen(key);
    for (int i = 5; i < argc; i++)
        if (strncmp(argv[i], key, n) == 0 && argv[i][n] == '=')
            return argv[i] + n + 1;
    return otherwise;
}

static struct addr address(const char *host, const char *port)
{
    char text[ADDR_TEXT_MAX];
    struct addr a;
    snprintf(text, sizeof text, "%s:%s", host, port);
    must(addr_parse(str_of(text), &a), text);
    return a;
}

static void make_cluster(struct view *v, char *nodes, uint32_t self)
{
    v->cluster.nodes = arena_array(&v->arena, MOST_NODES, sizeof *v->cluster.nodes);
    for (char *save, *p = strtok_r(nodes, ",", &save); p; p = strtok_r(NULL, ",", &save)) {
        must(v->cluster.n_nodes < MOST_NODES, "nodes");
        uint32_t i = v->cluster.n_nodes++;
        v->cluster.nodes[i] = (struct view_node){.name = STR("n"), .address = address(p, "7000")};
    }
    v->cluster.self = self;
    v->cluster.lease = 300 * NS_PER_MS;
    v->cluster.demotion = 100 * NS_PER_MS;
    must(self < v->cluster.n_nodes, "place");
}

static void make_service(struct view *v, int argc, char **argv)
{
    struct view_service *s = v->services = arena_alloc(&v->arena, sizeof *s);
    must(s != NULL, "memory");
    *s = (struct view_service){.name = STR("cache"), .mode = VIEW_TCP, .dynamic = true};
    s->sockets = arena_alloc(&v->arena, sizeof *s->sockets);
    s->sockets[0] = 0;
    s->n_sockets = 1;
    s->access_log = -1;
    s->balance = ALGORITHM_ROUND_ROBIN;
    s->timeouts =
        (struct view_timeouts){3600 * NS_PER_S, 10 * NS_PER_S,   NS_PER_S,    5 * NS_PER_S,
                               10 * NS_PER_S,   3600 * NS_PER_S, 2 * NS_PER_S};
    s->limits = (struct view_limits){16384, 100, 0};
    struct view_primary *p = &s->primary;
    p->agent = strcmp(option(argc, argv, "agent", "redis"), "redis") ? AGENT_PROCESS : AGENT_REDIS;
    p->n_on = v->cluster.n_nodes;
    for (uint32_t i = 0; i < p->n_on; i++)
        p->on[i] = i;
    p->port = (uint16_t)atoi(argv[4]);
    p->hold = strtoull(option(argc, argv, "hold", "10000"), NULL, 10) * NS_PER_MS;
    p->hold_clients = (uint32_t)atoi(option(argc, argv, "clients", "1000"));
}

static void start(struct ctl *c, int argc, char **argv)
{
    struct view *v = view_new();
    must(v != NULL, "memory");
    v->epoch = 1;
    v->workers = c->workers;
    make_cluster(v, argv[2], (uint32_t)atoi(argv[1]));
    v->n_sockets = v->n_services = 1;
    v->sockets = arena_alloc(&v->arena, sizeof *v->sockets);
    struct addr listen = v->cluster.nodes[v->cluster.self].address;
    listen.port = (uint16_t)atoi(argv[3]);
    v->sockets[0] = (struct view_socket){.use = SOCKET_TCP, .addr = listen};
    make_service(v, argc, argv);
    struct err e;
    int *fds = mem_alloc(sizeof *fds);
    fds[0] = net_listen(&listen, 512, &e);
    if (fds[0] < 0)
        fprintf(stderr, "gatectl: %s\n", e.text);
    must(fds[0] >= 0, "address");
    must(proxy_take_view(c->proxy, v, fds, &e) == 0, "view");
}

int main(int argc, char **argv)
{
    static struct ctl c;
    must(argc >= 5, "arguments");
    signal(SIGPIPE, SIG_IGN);
    CHECK(loop_new(&c.loop, NULL) == 0);
    c.workers = (uint32_t)atoi(option(argc, argv, "workers", "2"));
    size_t size = cells_size(c.workers, 1, 1);
    void *region = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(region != MAP_FAILED);
    cells_format(region, c.workers, 1, 1, clock_now());
    CHECK(cells_attach(&c.cells, region, size, NULL) == 0);
    const struct proxy_host host = {&c, on_taken, on_evidence, on_complaint, on_drained};
    CHECK(proxy_new(&c.proxy, c.loop, &c.cells, &host, NULL) == 0);
    timer_init(&c.flood, on_flood);
    start(&c, argc, argv);
    io_init(&c.input, on_input);
    CHECK(fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK) == 0);
    CHECK(loop_io_start(c.loop, &c.input, STDIN_FILENO, NULL) == 0);
    return loop_run(c.loop, NULL);
}
