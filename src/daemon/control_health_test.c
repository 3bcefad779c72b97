/* What nodes tell each other of instances, and what control makes of it: cells, events, and who
 * counts. */
#include "daemon/control_fixture.h"

enum { SENT_MAX = 64 };

struct sent {
    char to[64];
    char bytes[512];
    size_t n;
};

static struct mesh_double {
    struct sent sent[SENT_MAX];
    unsigned n;
    bool isolated;
} mesh;

static void on_send(void *context, struct str node, struct str bytes)
{
    struct sent *s = &mesh.sent[mesh.n++ % SENT_MAX];
    assert_true(bytes.n <= sizeof s->bytes && health_check(bytes));
    str_copy(s->to, sizeof s->to, node);
    memcpy(s->bytes, bytes.p, bytes.n);
    s->n = bytes.n;
}

static bool on_isolated(void *context)
{
    return mesh.isolated;
}

static const char conf[] = "workers = 1\n"
                           "service web {\n"
                           "  listen = http://127.0.0.1:8080\n"
                           "  backend 127.0.0.1:1 { name = a }\n"
                           "  backend 127.0.0.2:2 { name = b }\n"
                           "  backend unix:/run/c.sock { name = c }\n"
                           "  check { none = yes }\n"
                           "  eject { after = 2 hold = 10s }\n"
                           "}\n";

static struct view_node node_of(const char *name, const char *address)
{
    struct view_node n = {.name = str_of(name), .zone = STR("")};
    assert_true(addr_parse(str_of(address), &n.address));
    return n;
}

/* This node is a; a file of keys and sockets would say the same. */
static void make_cluster(struct world *w, const char *a, const char *b)
{
    struct view *v = w->c.view;
    v->cluster = (struct view_cluster){.name = STR("prod"), .n_nodes = 3};
    v->cluster.nodes = arena_array(&v->arena, 3, sizeof *v->cluster.nodes);
    v->cluster.nodes[0] = node_of("a", a);
    v->cluster.nodes[1] = node_of("b", b);
    v->cluster.nodes[2] = node_of("c", "127.0.0.3:7300");
}

static void open_alone(struct world *w)
{
    mesh = (struct mesh_double){0};
    world_open(w);
    write_file(w, conf);
    first_view(w);
}

static void open_cluster(struct world *w)
{
    static const char *const names[] = {"a", "b", "c"};
    struct health_line line = {NULL, on_send, on_isolated};
    open_alone(w);
    make_cluster(w, "127.0.0.1:7300", "127.0.0.2:7300");
    control_health_connect(&w->c, &line);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        control_health_member(&w->c, str_of(names[i]), MEMBER_ALIVE, false);
}

/* The mesh is gone before the view that has it is. */
static void close_cluster(struct world *w)
{
    w->c.view->cluster.n_nodes = 0;
    control_health_connect(&w->c, NULL);
    world_close(w);
}

static void hears(struct world *w, const char *from, bool isolated, const char *instance,
                  enum reason reason)
{
    struct health_writer out;
    struct buf b = {0};
    struct health_record r = {.service = STR("web"),
                              .verdict = (uint8_t)reason_verdict(reason),
                              .reason = (uint8_t)reason,
                              .age_ms = 5000};
    assert_true(addr_parse(str_of(instance), &r.instance));
    health_begin(&out, &b, isolated);
    assert_true(health_put(&out, &r));
    control_health_message(&w->c, str_of(from), buf_str(&b));
    buf_free(&b);
}

#define A "127.0.0.1:1"
#define B "127.0.0.2:2"

static void is(struct world *w, const char *name, enum verdict v, enum reason r)
{
    const struct instance_verdict *cells = cells_verdict(&w->cells, instance(w, name)->slot);
    assert_int_equal(cell_get(&cells->reason), r);
    assert_int_equal(cell_get(&cells->verdict), v);
}

static uint64_t reason_in_force(struct world *w, const char *name)
{
    return cell_get(&cells_verdict(&w->cells, instance(w, name)->slot)->reason);
}

/* The record of an instance in what was sent last, or NULL's verdict. */
static uint8_t told(const struct sent *s, const char *address, uint8_t fallback)
{
    struct health_reader r;
    struct health_record one;
    struct addr a;
    assert_true(addr_parse(str_of(address), &a));
    health_open(&r, (struct str){s->bytes, s->n});
    while (health_next(&r, &one))
        if (addr_eq(&one.instance, &a) && str_eq(one.service, STR("web")))
            fallback = one.verdict;
    return fallback;
}

static const struct sent *last_sent(void)
{
    assert_true(mesh.n > 0);
    return &mesh.sent[(mesh.n - 1) % SENT_MAX];
}

static void what_is_thought_is_told(void **state)
{
    static struct world w;
    open_cluster(&w);
    assert_int_equal(mesh.n, 1); /* all of it, as soon as there is a mesh */
    assert_string_equal(last_sent()->to, "");
    assert_int_equal(told(last_sent(), A, 99), VERDICT_SUSPECT);
    assert_int_equal(told(last_sent(), B, 99), VERDICT_SUSPECT);
    assert_int_equal(told(last_sent(), "unix:/run/c.sock", 99), 99); /* another place elsewhere */
    send_signals(&w, request(instance(&w, "a")->slot, SIGNAL_REQ_RESET, 1), 2);
    UNTIL(&w, mesh.n == 2); /* what changed, and only that */
    assert_int_equal(told(last_sent(), A, 99), VERDICT_FAILED);
    assert_int_equal(told(last_sent(), B, 99), 99);
    control_health_link(&w.c, STR("b"), false);
    assert_int_equal(mesh.n, 2);
    control_health_link(&w.c, STR("b"), true);
    assert_int_equal(mesh.n, 3);
    assert_string_equal(last_sent()->to, "b");
    assert_int_equal(told(last_sent(), B, 99), VERDICT_SUSPECT);
    UNTIL(&w, mesh.n == 4); /* and again, for whom it did not reach */
    assert_string_equal(last_sent()->to, "");
    assert_int_equal(told(last_sent(), A, 99), VERDICT_FAILED);
    close_cluster(&w);
}

static void loopback_is_another_place_on_each_machine(void **state)
{
    struct health_line line = {NULL, on_send, NULL};
    static struct world w;
    open_alone(&w);
    make_cluster(&w, "10.0.0.1:7300", "10.0.0.2:7300");
    control_health_connect(&w.c, &line);
    assert_int_equal(mesh.n, 0);
    control_health_member(&w.c, STR("b"), MEMBER_ALIVE, false);
    control_health_member(&w.c, STR("c"), MEMBER_ALIVE, false);
    hears(&w, "b", false, A, REASON_CHECKS_FAIL);
    hears(&w, "c", false, A, REASON_CHECKS_FAIL);
    is(&w, "a", VERDICT_SUSPECT, REASON_UNCHECKED);
    close_cluster(&w);
}

static void others_fail_what_is_not_known_here(void **state)
{
    static struct world w;
    open_cluster(&w);
    hears(&w, "b", false, A, REASON_CHECKS_FAIL);
    is(&w, "a", VERDICT_SUSPECT, REASON_UNCHECKED); /* one alone fails nothing for others */
    hears(&w, "c", false, A, REASON_REQUESTS_FAIL);
    is(&w, "a", VERDICT_FAILED, REASON_AGREED);
    is(&w, "b", VERDICT_SUSPECT, REASON_UNCHECKED);
    const struct event *e = last_event(&w, EVENT_INSTANCE_VERDICT);
    CHECK(e);
    assert_int_equal(e->to, VERDICT_FAILED);
    assert_int_equal(e->reason, REASON_AGREED);
    assert_non_null(strstr(e->text, "unknown here, failed from b and c"));
    assert_int_equal(w.c.subjects[instance(&w, "a")->slot].judge.reason, REASON_UNCHECKED);
    /* what works here works here, whatever others say */
    send_signals(&w, request(instance(&w, "a")->slot, SIGNAL_REQ_OK, 1), 1);
    UNTIL(&w, reason_in_force(&w, "a") == REASON_SERVING);
    hears(&w, "b", false, A, REASON_CHECKS_FAIL);
    is(&w, "a", VERDICT_HEALTHY, REASON_SERVING);
    close_cluster(&w);
}

static void a_failure_of_the_own_path_is_told_as_such(void **state)
{
    static struct world w;
    open_cluster(&w);
    struct judge *j = &w.c.subjects[instance(&w, "a")->slot].judge;
    hears(&w, "b", false, A, REASON_CHECKS_PASS);
    hears(&w, "c", false, A, REASON_CHECKS_PASS);
    send_signals(&w, request(instance(&w, "a")->slot, SIGNAL_REQ_REFUSED, 1), 2);
    UNTIL(&w, reason_in_force(&w, "a") == REASON_REQUESTS_FAIL); /* others may see it in a moment */
    const struct instance_verdict *cells = cells_verdict(&w.cells, instance(&w, "a")->slot);
    assert_int_equal(cell_get(&cells->certain), 1);
    j->since -= 3 * NS_PER_S;
    UNTIL(&w, reason_in_force(&w, "a") == REASON_OWN_PATH);
    is(&w, "a", VERDICT_FAILED, REASON_OWN_PATH);
    assert_int_equal(cell_get(&cells->certain), 1);
    const struct event *e = last_event(&w, EVENT_INSTANCE_VERDICT);
    CHECK(e);
    assert_non_null(strstr(e->text, "failed here, healthy from b and c: my path"));
    /* the same after a restart, of which the judge has one of its own reasons */
    control_end(&w);
    control_start(&w);
    struct buf begin = {0}, bytes = {0};
    view_encode(w.offered, &bytes);
    int fd = memfd_sealed("view", buf_str(&bytes), NULL);
    put_u64(&begin, w.offered->epoch);
    send_message(&w.supervisor, IPC_VIEW_BEGIN, &begin, fd);
    close(fd);
    buf_free(&bytes);
    send_epoch(&w, IPC_VIEW_END, w.offered->epoch);
    UNTIL(&w, w.c.view != NULL);
    is(&w, "a", VERDICT_FAILED, REASON_REQUESTS_FAIL);
    world_close(&w);
}

static void who_does_not_count(void **state)
{
    static struct world w;
    open_cluster(&w);
    hears(&w, "b", false, A, REASON_CHECKS_FAIL);
    hears(&w, "c", true, A, REASON_CHECKS_FAIL); /* says of itself that it is isolated */
    is(&w, "a", VERDICT_SUSPECT, REASON_UNCHECKED);
    hears(&w, "c", false, A, REASON_CHECKS_FAIL);
    is(&w, "a", VERDICT_FAILED, REASON_AGREED);
    control_health_member(&w.c, STR("c"), MEMBER_SUSPECT, false);
    is(&w, "a", VERDICT_SUSPECT, REASON_UNCHECKED);
    control_health_member(&w.c, STR("c"), MEMBER_ALIVE, false);
    is(&w, "a", VERDICT_FAILED, REASON_AGREED);
    control_health_member(&w.c, STR("c"), MEMBER_FAILED, false); /* and what it said is forgotten */
    control_health_member(&w.c, STR("c"), MEMBER_ALIVE, false);
    is(&w, "a", VERDICT_SUSPECT, REASON_UNCHECKED);
    hears(&w, "c", false, A, REASON_CHECKS_FAIL);
    is(&w, "a", VERDICT_FAILED, REASON_AGREED);
    mesh.isolated = true; /* then only what is known here counts here, and nothing elsewhere */
    UNTIL(&w, reason_in_force(&w, "a") == REASON_UNCHECKED);
    control_health_link(&w.c, STR("b"), true);
    struct health_reader r;
    health_open(&r, (struct str){last_sent()->bytes, last_sent()->n});
    assert_true(r.isolated);
    mesh.isolated = false;
    UNTIL(&w, reason_in_force(&w, "a") == REASON_AGREED);
    for (uint32_t i = 0; i < w.c.health.n_peers; i++) /* silent for long */
        w.c.health.peers[i].seen[instance(&w, "a")->slot].at -= 7 * NS_PER_S;
    UNTIL(&w, reason_in_force(&w, "a") == REASON_UNCHECKED);
    hears(&w, "stranger", false, A, REASON_CHECKS_FAIL); /* nobody said that it is alive */
    hears(&w, "b", false, A, REASON_CHECKS_FAIL);
    is(&w, "a", VERDICT_SUSPECT, REASON_UNCHECKED);
    close_cluster(&w);
}

static void a_node_in_maintenance_keeps_its_verdicts(void **state)
{
    static struct world w;
    open_cluster(&w);
    uint32_t a = instance(&w, "a")->slot, b = instance(&w, "b")->slot;
    send_signals(&w, request(b, SIGNAL_REQ_OK, 1), 1);
    UNTIL(&w, reason_in_force(&w, "b") == REASON_SERVING);
    control_health_member(&w.c, STR("b"), MEMBER_ALIVE, true);
    send_signals(&w, request(b, SIGNAL_REQ_REFUSED, 1), 2);
    send_signals(&w, request(a, SIGNAL_REQ_REFUSED, 1), 2);
    UNTIL(&w, reason_in_force(&w, "a") == REASON_REQUESTS_FAIL); /* it is on another node */
    assert_int_equal(w.c.subjects[b].judge.verdict, VERDICT_FAILED);
    is(&w, "b", VERDICT_HEALTHY, REASON_SERVING);
    char text[256];
    health_explain(&w.c, b, text, sizeof text);
    assert_non_null(strstr(text, "Its node is in maintenance. "));
    control_health_member(&w.c, STR("b"), MEMBER_FAILED, true); /* as was to be expected */
    is(&w, "b", VERDICT_HEALTHY, REASON_SERVING);
    control_health_member(&w.c, STR("b"), MEMBER_ALIVE, false);
    is(&w, "b", VERDICT_FAILED, REASON_REQUESTS_FAIL);
    control_health_member(&w.c, STR("b"), MEMBER_ALIVE, true); /* what had failed before stays */
    is(&w, "b", VERDICT_FAILED, REASON_REQUESTS_FAIL);
    control_health_member(&w.c, STR("a"), MEMBER_ALIVE, true);
    is(&w, "a", VERDICT_FAILED, REASON_REQUESTS_FAIL);
    close_cluster(&w);
}

static void what_is_not_understood_changes_nothing(void **state)
{
    static struct world w;
    open_cluster(&w);
    control_health_message(&w.c, STR("b"), STR("nonsense"));
    control_health_message(&w.c, STR("b"), STR(""));
    assert_int_equal(w.c.health.malformed, 2);
    hears(&w, "b", false, "127.0.0.9:1", REASON_CHECKS_FAIL); /* an instance of another file */
    hears(&w, "c", false, "127.0.0.9:1", REASON_CHECKS_FAIL);
    hears(&w, "", false, A, REASON_CHECKS_FAIL);
    is(&w, "a", VERDICT_SUSPECT, REASON_UNCHECKED);
    assert_int_equal(w.c.health.malformed, 2);
    close_cluster(&w);
}

/* Peers come and go, more than there is room for; the latest ones have a place. */
static void there_is_room_for_so_many(void **state)
{
    static struct world w;
    open_cluster(&w);
    for (int round = 0; round < 2; round++)
        for (unsigned i = 0; i < 2 * FUSE_OBSERVERS; i++) {
            char name[16];
            snprintf(name, sizeof name, "n%u", i);
            control_health_member(&w.c, str_of(name), round ? MEMBER_LEFT : MEMBER_ALIVE, false);
        }
    assert_int_equal(w.c.health.n_peers, FUSE_OBSERVERS);
    control_health_member(&w.c, STR("late"), MEMBER_ALIVE, false);
    control_health_member(&w.c, STR("later"), MEMBER_ALIVE, false);
    hears(&w, "late", false, A, REASON_CHECKS_FAIL);
    hears(&w, "later", false, A, REASON_CHECKS_FAIL);
    is(&w, "a", VERDICT_FAILED, REASON_AGREED);
    close_cluster(&w);
}

static void without_memory(void **state)
{
    static struct world w;
    open_cluster(&w);
    for (unsigned long n = 1; n < 4; n++) {
        mem_fail_at(n);
        control_health_member(&w.c, STR("d"), MEMBER_ALIVE, false);
        control_health_link(&w.c, STR("b"), true);
        mem_fail_at(0);
    }
    hears(&w, "d", false, A, REASON_CHECKS_FAIL);
    hears(&w, "b", false, A, REASON_CHECKS_FAIL);
    is(&w, "a", VERDICT_FAILED, REASON_AGREED); /* it has a place by now */
    close_cluster(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_thought_is_told),
        cmocka_unit_test(loopback_is_another_place_on_each_machine),
        cmocka_unit_test(others_fail_what_is_not_known_here),
        cmocka_unit_test(a_failure_of_the_own_path_is_told_as_such),
        cmocka_unit_test(who_does_not_count),
        cmocka_unit_test(a_node_in_maintenance_keeps_its_verdicts),
        cmocka_unit_test(what_is_not_understood_changes_nothing),
        cmocka_unit_test(there_is_room_for_so_many),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
