/* Three nodes in one process, with real sockets on loopback. */
#include "mesh/mesh.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/prng.h"

enum { NODES = 3 };
#define PATIENCE_NS (20 * NS_PER_S)

struct node {
    struct mesh *mesh;
    struct view *view;
    char dir[64];
    char heard[256]; /* the last message */
    uint32_t complaints;
    bool hangs;        /* its control does not turn */
    unsigned effects;  /* of the lease's, since they were looked at */
    struct rows *rows; /* outlive the mesh, as shared memory does */
};
struct rows {
    struct role_row role;
    struct votes_head head;
    struct vote_row votes[CELLS_VOTES];
};
struct site {
    struct loop *loop;
    struct timer look;
    struct node nodes[NODES];
    struct addr at[NODES];
    char dir[32], key[80];
    bool (*until)(struct site *);
    uint64_t deadline;
    bool reached;
};

static void on_changed(void *context, const struct member_change *c, struct str node)
{
    (void)context;
    (void)c;
    assert_true(node.n == 1);
}

static void on_message(void *context, struct str from, enum mesh_kind kind, struct str bytes)
{
    struct node *n = context;
    snprintf(n->heard, sizeof n->heard, "%.*s/%d/%.*s", (int)from.n, from.p, kind, (int)bytes.n,
             bytes.p);
}

static void on_link(void *context, struct str node, bool up)
{
    (void)context;
    (void)node;
    (void)up;
}

static void on_complaint(void *context, const char *text)
{
    struct node *n = context;
    n->complaints++;
    print_message("%s\n", text);
}

static void on_lease(void *context, uint64_t role, unsigned effects)
{
    struct node *n = context;
    assert_int_equal(role, mesh_role(STR("cache")));
    n->effects |= effects;
}

static void on_look(struct timer *t)
{
    struct site *s = CONTAINER_OF(t, struct site, look);
    uint64_t now = loop_now(s->loop);
    for (int i = 0; i < NODES; i++)
        if (s->nodes[i].mesh && !s->nodes[i].hangs)
            mesh_beat(s->nodes[i].mesh);
    s->reached = s->until(s);
    if (s->reached || now > s->deadline)
        loop_stop(s->loop);
    else
        loop_timer_set(s->loop, t, now + 5 * NS_PER_MS);
}

static void wait_until(struct site *s, bool (*until)(struct site *))
{
    struct err e = {0};
    s->until = until;
    s->deadline = clock_now() + PATIENCE_NS;
    loop_timer_set(s->loop, &s->look, clock_now());
    assert_int_equal(loop_run(s->loop, &e), 0);
    assert_true(s->reached);
}

/* --- a site --- */

static int bound(int type, struct addr *a)
{
    struct err e = {0};
    int fd = type == SOCK_DGRAM ? net_datagram_listen(a, &e) : net_listen(a, 16, &e);
    if (fd < 0)
        fail_msg("%s", e.text);
    return fd;
}

static struct view *view_of(const struct site *s, uint32_t self)
{
    struct view *v = view_new();
    struct view_cluster *c = &v->cluster;
    assert_non_null(v);
    c->name = STR("prod");
    c->key_file = str_of(s->key);
    c->heartbeat = 20 * NS_PER_MS;
    c->suspect_after = 100 * NS_PER_MS;
    c->lease = 400 * NS_PER_MS;
    c->demotion = 100 * NS_PER_MS;
    c->n_nodes = NODES;
    c->self = self;
    c->nodes = arena_array(&v->arena, NODES, sizeof *c->nodes);
    assert_non_null(c->nodes);
    for (uint32_t i = 0; i < NODES; i++) {
        static const char *const names[NODES] = {"a", "b", "c"};
        c->nodes[i] = (struct view_node){.name = str_of(names[i]), .address = s->at[i]};
    }
    return v;
}

static void start_node(struct site *s, uint32_t i)
{
    struct node *n = &s->nodes[i];
    struct mesh_host host = {n, on_changed, on_message, on_link, on_complaint, .lease = on_lease};
    struct err e = {0};
    n->view = n->view ? n->view : view_of(s, i);
    if (mesh_new(&n->mesh, s->loop, n->view, str_of(n->dir), &host, &e))
        fail_msg("%s", e.text);
    mesh_lease_votes(n->mesh, &n->rows->head, n->rows->votes);
    mesh_lease_voters(n->mesh, 1, (struct str[]){STR("a"), STR("b"), STR("c")}, NODES);
    assert_int_equal(mesh_lease_role(n->mesh, mesh_role(STR("cache")), &n->rows->role, &e), 0);
    mesh_set_sockets(n->mesh, bound(SOCK_DGRAM, &s->at[i]), bound(SOCK_STREAM, &s->at[i]));
}

static void stop_node(struct site *s, uint32_t i)
{
    mesh_free(s->nodes[i].mesh);
    s->nodes[i].mesh = NULL;
}

static void write_key(const struct site *s)
{
    struct keyring k = {0};
    struct buf text = {0};
    struct err e = {0};
    uint8_t secret[SEAL_SECRET];
    entropy(secret, sizeof secret);
    assert_int_equal(keyring_add(&k, secret, &e), 0);
    keyring_print(&k, &text);
    assert_int_equal(file_replace(s->key, buf_str(&text), 0600, &e), 0);
    buf_free(&text);
}

static int set_up(void **state)
{
    struct site *s = calloc(1, sizeof *s);
    struct err e = {0};
    uint16_t port = (uint16_t)(20000 + getpid() % 20000);
    assert_int_equal(loop_new(&s->loop, &e), 0);
    timer_init(&s->look, on_look);
    snprintf(s->dir, sizeof s->dir, "/tmp/hf-mesh-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    snprintf(s->key, sizeof s->key, "%s/key", s->dir);
    write_key(s);
    for (uint32_t i = 0; i < NODES; i++) {
        s->nodes[i].rows = aligned_alloc(64, sizeof(struct rows));
        assert_non_null(s->nodes[i].rows);
        memset(s->nodes[i].rows, 0, sizeof(struct rows));
        s->at[i] = (struct addr){
            .kind = ADDR_IP4, .port = (uint16_t)(port + i), .ip = {127, 0, 0, (uint8_t)(i + 1)}};
        snprintf(s->nodes[i].dir, sizeof s->nodes[i].dir, "%s/%u", s->dir, i);
        assert_int_equal(dir_make(s->nodes[i].dir, 0700, &e), 0);
    }
    for (uint32_t i = 0; i < NODES; i++)
        start_node(s, i);
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct site *s = *state;
    char command[128];
    for (uint32_t i = 0; i < NODES; i++) {
        stop_node(s, i);
        view_free(s->nodes[i].view);
        free(s->nodes[i].rows);
    }
    loop_timer_stop(s->loop, &s->look);
    loop_free(s->loop);
    snprintf(command, sizeof command, "rm -rf %s", s->dir);
    int r = system(command);
    free(s);
    return r;
}

/* How many of the members that this node knows are in a state. */
static uint32_t count(const struct site *s, uint32_t node, enum member_state state)
{
    const struct mesh *m = s->nodes[node].mesh;
    const struct membership *members = mesh_borrow(m);
    uint32_t n = 0;
    for (uint32_t i = 0; i < member_count(members); i++)
        n += member_at(members, i).state == state;
    mesh_return(m);
    return n;
}

static bool all_alive(struct site *s)
{
    for (uint32_t i = 0; i < NODES; i++)
        if (count(s, i, MEMBER_ALIVE) != NODES || mesh_counts(s->nodes[i].mesh).links != NODES - 1)
            return false;
    return true;
}

static bool c_is_gone(struct site *s)
{
    return count(s, 0, MEMBER_FAILED) == 1 && count(s, 1, MEMBER_FAILED) == 1;
}

static bool c_has_left(struct site *s)
{
    return count(s, 0, MEMBER_LEFT) == 1 && count(s, 1, MEMBER_LEFT) == 1 &&
           mesh_left(s->nodes[2].mesh);
}

static bool both_heard(struct site *s)
{
    return strcmp(s->nodes[1].heard, "a/1/hello") == 0 &&
           strcmp(s->nodes[2].heard, "a/1/hello") == 0;
}

/* --- tests --- */

static void a_node_that_dies_is_failed_for_both_others_and_returns(void **state)
{
    struct site *s = *state;
    wait_until(s, all_alive);
    stop_node(s, 2);
    wait_until(s, c_is_gone);
    start_node(s, 2);
    wait_until(s, all_alive);
}

static void messages_reach_all(void **state)
{
    struct site *s = *state;
    struct err e = {0};
    wait_until(s, all_alive);
    assert_int_equal(mesh_send(s->nodes[0].mesh, STR(""), MESH_HEALTH, STR("hello"), &e), 0);
    wait_until(s, both_heard);
    assert_int_equal(mesh_send(s->nodes[0].mesh, STR("nobody"), MESH_HEALTH, STR("x"), &e),
                     -ERR_ABSENT);
}

static void who_leaves_has_left(void **state)
{
    struct site *s = *state;
    wait_until(s, all_alive);
    mesh_leave(s->nodes[2].mesh);
    wait_until(s, c_has_left);
    stop_node(s, 2);
    start_node(s, 2);
    wait_until(s, all_alive);
}

static struct mesh_lease lease_of(const struct site *s, uint32_t i)
{
    struct mesh_lease l = {0};
    assert_true(mesh_lease_read(s->nodes[i].mesh, mesh_role(STR("cache")), &l));
    return l;
}

static bool may_act(const struct site *s, uint32_t i)
{
    return cell_get(&s->nodes[i].rows->role.lease_until) > clock_now();
}

static bool a_is_at_the_gate(struct site *s)
{
    return s->nodes[0].effects & LEASE_ENTERED && lease_of(s, 0).state == LEASE_GATE;
}

static bool b_is_at_the_gate(struct site *s)
{
    struct mesh_lease l = lease_of(s, 1);
    assert_false(l.state == LEASE_GATE && may_act(s, 0));
    if (l.state == LEASE_IDLE) /* it was at the gate for a while, or gave up */
        mesh_lease_want(s->nodes[1].mesh, mesh_role(STR("cache")), 2);
    return l.state == LEASE_GATE;
}

static bool a_second_is_over(struct site *s)
{
    return clock_now() + PATIENCE_NS > s->deadline + NS_PER_S;
}

static void a_holds(struct site *s)
{
    uint64_t role = mesh_role(STR("cache"));
    wait_until(s, all_alive);
    mesh_lease_want(s->nodes[0].mesh, role, 1);
    do
        wait_until(s, a_is_at_the_gate);
    while (!mesh_lease_confirm(s->nodes[0].mesh, role, lease_of(s, 0).gate, 1));
    s->nodes[0].effects = 0;
    assert_true(may_act(s, 0));
    assert_int_equal(cell_get(&s->nodes[0].rows->role.lease_epoch), 1);
}

static void a_role_is_held_until_its_node_is_gone(void **state)
{
    struct site *s = *state;
    a_holds(s);
    wait_until(s, a_second_is_over);
    if (s->nodes[0].effects == 0) /* else this machine was too busy to renew */
        assert_true(lease_of(s, 0).state == LEASE_HELD);
    stop_node(s, 0);
    wait_until(s, b_is_at_the_gate);
    assert_false(may_act(s, 0));
    assert_false(may_act(s, 1));
    start_node(s, 0);
    assert_int_equal(lease_of(s, 0).state, LEASE_IDLE); /* too late */
}

/* All voters at once, too. */
static void a_lease_outlives_its_control(void **state)
{
    struct site *s = *state;
    for (int try = 0; try < 20; try++) {
        a_holds(s);
        for (uint32_t i = 0; i < NODES; i++)
            stop_node(s, i);
        for (uint32_t i = 0; i < NODES; i++)
            start_node(s, i);
        if (lease_of(s, 0).state != LEASE_HELD)
            continue; /* that took longer than the lease */
        wait_until(s, a_second_is_over);
        if (s->nodes[0].effects == 0) {
            assert_true(may_act(s, 0));
            return;
        }
    }
    fail_msg("this machine is too busy to tell");
}

static void what_is_dropped_is_taken_at_once(void **state)
{
    struct site *s = *state;
    a_holds(s);
    mesh_lease_drop(s->nodes[0].mesh, mesh_role(STR("cache")));
    assert_false(may_act(s, 0));
    wait_until(s, b_is_at_the_gate);
    assert_true(
        mesh_lease_confirm(s->nodes[1].mesh, mesh_role(STR("cache")), lease_of(s, 1).gate, 2));
    assert_true(may_act(s, 1));
}

static bool a_acts_no_more(struct site *s)
{
    return !may_act(s, 0);
}

/* Whose loop does not turn renews nothing after a while. It votes all the same: c is gone, and b
 * needs its vote. */
static void a_control_that_hangs_loses_its_leases_and_votes_on(void **state)
{
    struct site *s = *state;
    uint64_t at = clock_now();
    a_holds(s);
    s->nodes[0].hangs = true;
    wait_until(s, a_acts_no_more);
    assert_true(clock_now() - at > MESH_PATIENCE_NS);
    stop_node(s, 2);
    wait_until(s, b_is_at_the_gate);
    s->nodes[0].hangs = false;
    wait_until(s, a_second_is_over);
    assert_false(may_act(s, 0));
}

static bool a_has_complained(struct site *s)
{
    return s->nodes[0].complaints > 0 && s->nodes[1].complaints > 0;
}

/* Of two nodes with other terms neither has the other's vote; and the longer promise is kept. */
static void other_terms_are_told(void **state)
{
    struct site *s = *state;
    struct err e = {0};
    char path[96];
    struct buf text = {0};
    wait_until(s, all_alive);
    s->nodes[0].view->cluster.lease = 900 * NS_PER_MS;
    assert_int_equal(mesh_set_view(s->nodes[0].mesh, s->nodes[0].view, &e), 0);
    mesh_lease_want(s->nodes[0].mesh, mesh_role(STR("cache")), 1);
    wait_until(s, a_has_complained);
    assert_int_equal(lease_of(s, 0).state, LEASE_ACQUIRING);
    snprintf(path, sizeof path, "%s/promise", s->nodes[0].dir);
    assert_int_equal(file_read(path, 64, &text, &e), 0);
    uint64_t ms = strtoull(text.p, NULL, 10) / NS_PER_MS;
    assert_in_range(ms, 1000, 1011);
    buf_free(&text);
    assert_true(mesh_lease_longest(s->nodes[0].mesh) > 1010 * NS_PER_MS);
}

static uint64_t kept_promise(struct site *s)
{
    struct buf text = {0};
    char path[96];
    snprintf(path, sizeof path, "%s/promise", s->nodes[0].dir);
    uint64_t ns =
        file_read(path, 64, &text, NULL) || !buf_add(&text, "", 1) ? 0 : strtoull(text.p, NULL, 10);
    buf_free(&text);
    return ns;
}

static bool its_promise_is_kept(struct site *s)
{
    return kept_promise(s) > 1000 * NS_PER_MS;
}

static bool its_disk_was_told_of(struct site *s)
{
    return s->nodes[0].complaints > 0;
}

/* Its file cannot be written: that is told once, and it is when it can be. */
static void a_promise_is_kept_once_the_disk_takes_it(void **state)
{
    struct site *s = *state;
    struct err e = {0};
    char path[96];
    wait_until(s, all_alive);
    snprintf(path, sizeof path, "%s/promise", s->nodes[0].dir);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    for (int i = 0; i < NODES; i++) { /* no node complains of another's terms */
        s->nodes[i].view->cluster.lease = 900 * NS_PER_MS;
        assert_int_equal(mesh_set_view(s->nodes[i].mesh, s->nodes[i].view, &e), 0);
    }
    wait_until(s, its_disk_was_told_of);
    assert_int_equal(rmdir(path), 0);
    wait_until(s, its_promise_is_kept);
    assert_int_equal(s->nodes[0].complaints, 1);
}

static bool a_has_refused(struct site *s)
{
    return mesh_counts(s->nodes[0].mesh).refused[SEAL_SHORT] >= 2 && s->nodes[0].complaints > 0;
}

static void strangers_are_counted_and_told_of_once(void **state)
{
    struct site *s = *state;
    struct err e = {0};
    wait_until(s, all_alive);
    int fd = net_datagram_connect(&s->at[0], &e);
    assert_true(fd >= 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(net_datagram_send(fd, "x", 1, NULL), 0);
    wait_until(s, a_has_refused);
    assert_int_equal(s->nodes[0].complaints, 1);
    assert_int_equal(count(s, 0, MEMBER_ALIVE), NODES);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_node_that_dies_is_failed_for_both_others_and_returns,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(messages_reach_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_leaves_has_left, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_role_is_held_until_its_node_is_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_lease_outlives_its_control, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_dropped_is_taken_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_control_that_hangs_loses_its_leases_and_votes_on, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(other_terms_are_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_promise_is_kept_once_the_disk_takes_it, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(strangers_are_counted_and_told_of_once, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
