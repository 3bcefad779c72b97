/* leases: nodes of which nothing runs but the mesh and its leases, and a judge of them.
 *
 *   leases node DIR NAME NODES KEY ROLES LEASE_MS DEMOTION_MS keen|patient
 *   leases watch DIR NAMES ROLES DEMOTION_MS
 *
 * NODES: NAME=ADDRESS,NAME=ADDRESS,... in the same order everywhere; the first three or five vote.
 *
 * `node` is a supervisor with one child, which it starts again whenever it dies: the child has the
 * mesh, and for each role an owner that is as simple as can be: it takes a role that its record
 * names it for, challenges for one whose owner has failed (patient), or whenever it likes (keen),
 * and keeps to the protocol (docs/protocol/lease.md). The records lie in DIR/records, one word a
 * role: memory that all share is a coordinator that is always there. What the child holds lies in
 * DIR/NAME.cells and outlives it. It prints the number of each child.
 *
 * `watch` looks at the cells of all nodes, five thousand times a second, and prints a line for each
 * new holding, {"at", "role", "node", "epoch"}, and for each time that two held one role at once,
 * with the demotion of who had it before counted in, or an epoch was not above the one before:
 * {"wrong", "at", ...}. It ends when its input does.
 *
 * It is made of holdfast's own code, but for the judge: that knows the cells and nothing else. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/prng.h"
#include "mesh/mesh.h"
#include "os/os.h"
#include "view/cells.h"

enum { NODES_MAX = 8, ROLES_MAX = 256, PORT = 7300, STEP_MS = 5 };

static _Noreturn void die(const char *what, const char *why)
{
    fprintf(stderr, "leases: %s: %s\n", what, why);
    exit(1);
}

static void *map_file(const char *path, size_t size, bool make)
{
    struct stat st;
    int fd = open(path, O_RDWR | O_CLOEXEC | (make ? O_CREAT : 0), 0600);
    if (fd < 0 && !make)
        return NULL;
    if (fd < 0 || (make && ftruncate(fd, (off_t)size)) || fstat(fd, &st))
        die(path, strerror(errno));
    void *p = (size_t)st.st_size < size
                  ? NULL
                  : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        die(path, strerror(errno));
    close(fd);
    return p;
}

/* anew: the node's own, which it makes; else whatever it has made last, once it is there. */
static struct cells cells_of(const char *dir, const char *node, uint32_t roles, bool anew)
{
    char path[4096];
    struct cells c;
    struct err e = {0};
    size_t size = cells_size(1, roles, 1);
    snprintf(path, sizeof path, "%s/%s.cells", dir, node);
    if (anew) {
        unlink(path);
        cells_format(map_file(path, size, true), 1, roles, 1, clock_now());
    }
    for (;;) {
        void *p = map_file(path, size, false);
        if (p && cells_attach(&c, p, size, &e) == 0)
            return c;
        if (p)
            munmap(p, size);
        usleep(1000);
    }
}

/* ---- a node ---- */

struct node {
    const char *dir, *name, *key;
    uint32_t n, self, roles;
    char names[NODES_MAX][16];
    struct addr at[NODES_MAX];
    uint64_t lease, demotion;
    bool keen;
    int datagrams, links;
    _Atomic uint64_t *records; /* epoch << 8 | 1 + node */
    struct cells cells;
    struct loop *loop;
    struct mesh *mesh;
    struct view *view;
    struct timer step;
    struct prng prng;
    uint64_t ids[ROLES_MAX], quiet[ROLES_MAX];
    bool failed[NODES_MAX];
};

static bool chance(struct node *x, uint32_t of)
{
    return x->keen && prng_below(&x->prng, of) == 0;
}

static void raise_epoch(struct node *x, uint32_t role, uint64_t record)
{
    uint64_t mine = ((record >> 8) + 1) << 8 | (1 + x->self);
    if (atomic_compare_exchange_strong(&x->records[role], &record, mine))
        mesh_lease_want(x->mesh, x->ids[role], mine >> 8);
}

static void when_idle(struct node *x, uint32_t role, uint64_t record, uint64_t now)
{
    uint32_t owner = record & 255;
    if (now < x->quiet[role])
        return;
    if (owner == 1 + x->self)
        mesh_lease_want(x->mesh, x->ids[role], record >> 8);
    else if (owner ? x->failed[owner - 1] || chance(x, 1000) : x->self == role % x->n)
        raise_epoch(x, role, record);
    x->quiet[role] = now + prng_below(&x->prng, 20) * NS_PER_MS;
}

static void when_held(struct node *x, uint32_t role, uint64_t record, const struct mesh_lease *l)
{
    bool mine = (record & 255) == 1 + x->self, higher = record >> 8 > l->epoch;
    if (higher && mine)
        mesh_lease_want(x->mesh, x->ids[role], record >> 8);
    else if ((l->outdated || higher) && chance(x, 2))
        raise_epoch(x, role, record);
    else if (higher || chance(x, 2000))
        mesh_lease_drop(x->mesh, x->ids[role]);
}

static void step(struct node *x, uint32_t role)
{
    struct mesh_lease l;
    uint64_t now = clock_now();
    if (!mesh_lease_read(x->mesh, x->ids[role], &l))
        die("a role", "is not there");
    uint64_t record = atomic_load(&x->records[role]); /* after the gate was seen */
    bool mine = (record & 255) == 1 + x->self && record >> 8 == l.epoch;
    switch (l.state) {
    case LEASE_IDLE: when_idle(x, role, record, now); break;
    case LEASE_ACQUIRING:
        if (!mine && !l.deadline)
            mesh_lease_drop(x->mesh, x->ids[role]);
        break;
    case LEASE_GATE:
        if (!mine || !mesh_lease_confirm(x->mesh, x->ids[role], l.gate, record >> 8))
            mesh_lease_drop(x->mesh, x->ids[role]);
        break;
    case LEASE_HELD: when_held(x, role, record, &l); break;
    case LEASE_STATES: break;
    }
}

static void on_lease(void *context, uint64_t id, unsigned effects)
{
    struct node *x = context;
    for (uint32_t i = 0; i < x->roles; i++)
        if (x->ids[i] == id && effects & LEASE_GAVE_UP)
            x->quiet[i] = clock_now() + prng_below(&x->prng, x->lease);
    for (uint32_t i = 0; i < x->roles; i++)
        if (x->ids[i] == id)
            step(x, i);
}

static void on_step(struct timer *t)
{
    struct node *x = CONTAINER_OF(t, struct node, step);
    mesh_beat(x->mesh);
    for (uint32_t i = 0; i < x->roles; i++)
        step(x, i);
    loop_timer_set(x->loop, t, loop_now(x->loop) + STEP_MS * NS_PER_MS);
}

static void on_changed(void *context, const struct member_change *c, struct str name)
{
    struct node *x = context;
    for (uint32_t i = 0; i < x->n; i++)
        if (str_eq(name, str_of(x->names[i])))
            x->failed[i] = c->info.state == MEMBER_FAILED;
}

static void on_message(void *context, struct str from, enum mesh_kind kind, struct str bytes)
{
}

static void on_link(void *context, struct str node, bool up)
{
}

static void on_complaint(void *context, const char *text)
{
    fprintf(stderr, "%s\n", text);
}

static void make_view(struct node *x)
{
    x->view = view_new();
    struct view_cluster *c = &x->view->cluster;
    c->name = STR("prod");
    c->key_file = str_of(x->key);
    c->heartbeat = 50 * NS_PER_MS;
    c->suspect_after = 200 * NS_PER_MS;
    c->lease = x->lease;
    c->demotion = x->demotion;
    c->n_nodes = x->n;
    c->self = x->self;
    c->nodes = arena_array(&x->view->arena, x->n, sizeof *c->nodes);
    for (uint32_t i = 0; i < x->n; i++)
        c->nodes[i] = (struct view_node){.name = str_of(x->names[i]), .address = x->at[i]};
}

static void add_roles(struct node *x)
{
    struct err e = {0};
    for (uint32_t i = 0; i < x->roles; i++) {
        char name[16];
        snprintf(name, sizeof name, "role%u", i);
        x->ids[i] = mesh_role(str_of(name));
        if (mesh_lease_role(x->mesh, x->ids[i], cells_role(&x->cells, i), &e))
            die("a role", e.text);
    }
}

static _Noreturn void child(struct node *x)
{
    struct mesh_host host = {x, on_changed, on_message, on_link, on_complaint, .lease = on_lease};
    struct str voters[LEASE_VOTERS_MAX];
    uint32_t n_voters = x->n >= 5 ? 5 : x->n >= 3 ? 3 : 1;
    struct err e = {0};
    uint64_t seed;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    entropy(&seed, sizeof seed);
    prng_seed(&x->prng, seed);
    make_view(x);
    if (loop_new(&x->loop, &e) || mesh_new(&x->mesh, x->loop, x->view, str_of(x->dir), &host, &e))
        die(x->name, e.text);
    for (uint32_t i = 0; i < n_voters; i++)
        voters[i] = str_of(x->names[i]);
    mesh_lease_votes(x->mesh, x->cells.votes_head, x->cells.votes);
    mesh_lease_voters(x->mesh, 1, voters, n_voters);
    add_roles(x);
    mesh_set_sockets(x->mesh, x->datagrams, x->links);
    timer_init(&x->step, on_step);
    loop_timer_set(x->loop, &x->step, clock_now());
    if (loop_run(x->loop, &e))
        die(x->name, e.text);
    exit(0);
}

static void parse_nodes(struct node *x, char *text)
{
    for (char *at = strtok(text, ","); at && x->n < NODES_MAX; at = strtok(NULL, ",")) {
        char *address = strchr(at, '=');
        char where[64];
        *address++ = 0;
        snprintf(x->names[x->n], sizeof x->names[0], "%s", at);
        snprintf(where, sizeof where, "%s:%d", address, PORT);
        if (!addr_parse(str_of(where), &x->at[x->n]))
            die(where, "is no address");
        if (strcmp(at, x->name) == 0)
            x->self = x->n;
        x->n++;
    }
}

static int node(char **a)
{
    static struct node x;
    struct err e = {0};
    x = (struct node){.dir = a[0], .name = a[1], .key = a[3], .roles = (uint32_t)atoi(a[4])};
    parse_nodes(&x, a[2]);
    x.lease = (uint64_t)atoi(a[5]) * NS_PER_MS;
    x.demotion = (uint64_t)atoi(a[6]) * NS_PER_MS;
    x.keen = strcmp(a[7], "keen") == 0;
    char state[4096];
    snprintf(state, sizeof state, "%s/records", x.dir);
    x.records = map_file(state, ROLES_MAX * sizeof *x.records, true);
    x.cells = cells_of(x.dir, x.name, x.roles, true);
    snprintf(state, sizeof state, "%s/%s.state", x.dir, x.name);
    mkdir(state, 0700);
    x.dir = state;
    x.datagrams = net_datagram_listen(&x.at[x.self], &e);
    x.links = net_listen(&x.at[x.self], 16, &e);
    if (x.datagrams < 0 || x.links < 0)
        die(x.name, e.text);
    for (;;) {
        pid_t pid = fork();
        if (pid == 0)
            child(&x);
        printf("%ld\n", (long)pid);
        fflush(stdout);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
}

/* ---- the judge ---- */

struct seen {
    uint64_t until, epoch;
};
struct watcher {
    uint32_t n, roles;
    uint64_t demotion;
    struct cells cells[NODES_MAX];
    struct seen first[ROLES_MAX][NODES_MAX], again[ROLES_MAX][NODES_MAX];
    uint64_t holder_epoch[ROLES_MAX]; /* the highest so far */
    int holder[ROLES_MAX];
};

static void look(struct watcher *j, struct seen to[ROLES_MAX][NODES_MAX])
{
    for (uint32_t r = 0; r < j->roles; r++)
        for (uint32_t i = 0; i < j->n; i++) {
            const struct role_row *row = cells_role(&j->cells[i], r);
            to[r][i].until = atomic_load(&row->lease_until);
            to[r][i].epoch = atomic_load(&row->lease_epoch);
        }
}

static void judge_role(struct watcher *j, uint32_t r, uint64_t now, const char *names)
{
    for (uint32_t i = 0; i < j->n; i++) {
        struct seen was = j->first[r][i], is = j->again[r][i];
        if (was.until <= now || is.until <= now || was.epoch != is.epoch)
            continue; /* it did not hold all the while */
        if (j->holder[r] != (int)i || j->holder_epoch[r] != is.epoch) {
            if (is.epoch < j->holder_epoch[r] ||
                (is.epoch == j->holder_epoch[r] && j->holder[r] != (int)i))
                printf("{\"wrong\": \"epoch\", \"at\": %llu, \"role\": %u, \"node\": \"%c\", "
                       "\"epoch\": %llu}\n",
                       (unsigned long long)now, r, names[i], (unsigned long long)is.epoch);
            j->holder[r] = (int)i;
            j->holder_epoch[r] = is.epoch;
            printf("{\"at\": %llu, \"role\": %u, \"node\": \"%c\", \"epoch\": %llu}\n",
                   (unsigned long long)now, r, names[i], (unsigned long long)is.epoch);
        }
        for (uint32_t k = 0; k < j->n; k++) {
            struct seen other = j->first[r][k], still = j->again[r][k];
            if (k != i && other.until && still.until && other.epoch == still.epoch &&
                still.until + j->demotion > now)
                printf("{\"wrong\": \"two\", \"at\": %llu, \"role\": %u, \"node\": \"%c\", "
                       "\"other\": \"%c\"}\n",
                       (unsigned long long)now, r, names[i], names[k]);
        }
    }
}

/* Cells of one node cannot be read in the same instant as another's: what stands there at two looks
 * stood there between them. */
static int watch(char **a)
{
    static struct watcher j;
    const char *names = a[1];
    j.n = (uint32_t)strlen(names);
    j.roles = (uint32_t)atoi(a[2]);
    j.demotion = (uint64_t)atoi(a[3]) * NS_PER_MS;
    for (uint32_t i = 0; i < j.n; i++)
        j.cells[i] = cells_of(a[0], (char[]){names[i], 0}, j.roles, false);
    for (uint32_t r = 0; r < j.roles; r++)
        j.holder[r] = -1;
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    const struct timespec pause = {0, 200000};
    while (ppoll(&in, 1, &pause, NULL) == 0) {
        look(&j, j.first);
        uint64_t now = clock_now();
        look(&j, j.again);
        for (uint32_t r = 0; r < j.roles; r++)
            judge_role(&j, r, now, names);
        fflush(stdout);
    }
    printf("{\"end\": true}\n");
    return 0;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (argc == 10 && strcmp(argv[1], "node") == 0)
        return node(argv + 2);
    if (argc == 6 && strcmp(argv[1], "watch") == 0)
        return watch(argv + 2);
    die("arguments", "see leases.c");
}
