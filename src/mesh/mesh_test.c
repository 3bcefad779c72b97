/* Three nodes in one process, with real sockets on loopback. */
#include "mesh/mesh.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
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

static void on_look(struct timer *t)
{
    struct site *s = CONTAINER_OF(t, struct site, look);
    uint64_t now = loop_now(s->loop);
    for (int i = 0; i < NODES; i++)
        if (s->nodes[i].mesh)
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
    struct mesh_host host = {n, on_changed, on_message, on_link, on_complaint};
    struct err e = {0};
    n->view = n->view ? n->view : view_of(s, i);
    if (mesh_new(&n->mesh, s->loop, n->view, str_of(n->dir), &host, &e))
        fail_msg("%s", e.text);
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
        cmocka_unit_test_setup_teardown(strangers_are_counted_and_told_of_once, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
