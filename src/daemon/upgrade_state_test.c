/* What one supervisor leaves to the next comes through whole or not at all. */
#include "daemon/upgrade_state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

enum { HASH = 8 };

static void fill(struct upgrade_state *s, struct upgrade_socket sockets[3])
{
    *s = (struct upgrade_state){.ipc_version = 1,
                                .view_format = 2,
                                .cells_version = 3,
                                .version = "1.2.3",
                                .file = "/etc/holdfast.conf",
                                .state = "/var/lib/holdfast",
                                .node = "b",
                                .log_level = 2,
                                .workers = 4,
                                .serving = 1,
                                .epoch = UINT64_C(1) << 40,
                                .generations = 7,
                                .change = 9,
                                .boot = 10,
                                .lock_fd = 5,
                                .admin_fd = 6,
                                .cells_fd = 7,
                                .view_fd = 8,
                                .notify_fd = -1,
                                .n_children = 2,
                                .n_sockets = 3,
                                .sockets = sockets};
    s->children[0] = (struct upgrade_child){.pid = 100, .fd = 10, .started = 11};
    s->children[1] = (struct upgrade_child){.row = 2,
                                            .role = PROXY_SERVES,
                                            .pid = 101,
                                            .fd = 12,
                                            .generation = 7,
                                            .started = 13,
                                            .sent = 14,
                                            .taken = 14,
                                            .stop_ticks = 30};
    static const char *const addresses[] = {"127.0.0.1:80", "[::1]:53", "unix:/run/a.sock"};
    for (int i = 0; i < 3; i++) {
        sockets[i] = (struct upgrade_socket){.socket.use = (uint8_t)i, .fd = i == 2 ? -1 : 20 + i};
        assert_true(addr_parse(str_of(addresses[i]), &sockets[i].socket.addr));
    }
}

static void encode(const struct upgrade_state *s, struct buf *out)
{
    buf_clear(out);
    upgrade_state_encode(s, out);
    assert_false(out->failed);
}

static int decode(struct str bytes)
{
    struct upgrade_state s;
    struct err e = {0};
    int r = upgrade_state_decode(bytes, &s, &e);
    assert_true(r == 0 || e.text[0]);
    upgrade_state_free(&s);
    return r;
}

static void it_comes_back_as_it_was(void **state)
{
    struct upgrade_socket sockets[3];
    struct upgrade_state a, b;
    struct buf one = {0}, two = {0};
    fill(&a, sockets);
    encode(&a, &one);
    assert_int_equal(upgrade_state_decode(buf_str(&one), &b, NULL), 0);
    assert_string_equal(b.file, a.file);
    assert_string_equal(b.version, a.version);
    assert_string_equal(b.node, "b");
    assert_int_equal(b.notify_fd, -1);
    assert_int_equal(b.children[1].generation, 7);
    assert_int_equal(b.children[1].stop_ticks, 30);
    assert_int_equal(b.sockets[2].fd, -1);
    assert_true(addr_eq(&b.sockets[1].socket.addr, &a.sockets[1].socket.addr));
    encode(&b, &two);
    assert_true(str_eq(buf_str(&one), buf_str(&two)));
    upgrade_state_free(&b);
    buf_free(&one);
    buf_free(&two);
}

/* Written by a program that knew of no nodes. */
static void the_format_before_is_read(void **state)
{
    struct upgrade_socket sockets[3];
    struct upgrade_state s, back;
    struct buf b = {0}, old = {0};
    fill(&s, sockets);
    encode(&s, &b);
    size_t at = 5 * 4 + 4 + strlen(s.version) + 4 + strlen(s.file) + 4 + strlen(s.state);
    put_u32(&old, UPGRADE_MAGIC);
    put_u32(&old, UPGRADE_FORMAT_OLDEST);
    buf_add(&old, b.p + 8, at - 8);
    at += 4 + strlen(s.node);
    buf_add(&old, b.p + at, b.n - HASH - at);
    put_u64(&old, str_hash(buf_str(&old)));
    assert_false(old.failed);
    assert_int_equal(upgrade_state_decode(buf_str(&old), &back, NULL), 0);
    assert_string_equal(back.node, "");
    assert_string_equal(back.state, s.state);
    assert_int_equal(back.n_sockets, 3);
    upgrade_state_free(&back);
    buf_free(&old);
    buf_free(&b);
}

static uint32_t format_of(const struct buf *b)
{
    struct reader r = reader_of(b->p + 4, 4);
    return get_u32(&r);
}

/* Where no agent runs a program from before can still be gone back to. */
static void an_agent_raises_the_format(void **state)
{
    struct upgrade_socket sockets[3];
    struct upgrade_state s, back;
    struct buf b = {0};
    fill(&s, sockets);
    encode(&s, &b);
    assert_int_equal(format_of(&b), UPGRADE_FORMAT_PLAIN);
    s.children[s.n_children++] =
        (struct upgrade_child){.row = UPGRADE_AGENT, .pid = 102, .fd = 30, .started = 15};
    encode(&s, &b);
    assert_int_equal(format_of(&b), UPGRADE_FORMAT);
    assert_int_equal(upgrade_state_decode(buf_str(&b), &back, NULL), 0);
    assert_int_equal(back.children[2].row, UPGRADE_AGENT);
    assert_int_equal(back.children[2].pid, 102);
    upgrade_state_free(&back);
    b.p[4] = UPGRADE_FORMAT_PLAIN; /* which has none */
    b.n -= HASH;
    put_u64(&b, str_hash(buf_str(&b)));
    assert_int_equal(decode(buf_str(&b)), -ERR_PROTO);
    buf_free(&b);
}

static void every_damage_is_noticed(void **state)
{
    struct upgrade_socket sockets[3];
    struct upgrade_state s;
    struct buf b = {0};
    fill(&s, sockets);
    encode(&s, &b);
    for (size_t i = 0; i < b.n; i++) {
        assert_int_equal(decode((struct str){b.p, i}), -ERR_PROTO);
        b.p[i] ^= 0x20;
        assert_int_equal(decode(buf_str(&b)), -ERR_PROTO);
        b.p[i] ^= 0x20;
    }
    assert_int_equal(decode(buf_str(&b)), 0);
    buf_free(&b);
}

/* What is well written and cannot be. */
static void nonsense_is_refused(void **state)
{
    struct upgrade_socket sockets[3];
    struct upgrade_state s;
    struct buf b = {0};
#define REFUSED(what)                                                                              \
    do {                                                                                           \
        fill(&s, sockets);                                                                         \
        what;                                                                                      \
        encode(&s, &b);                                                                            \
        assert_int_equal(decode(buf_str(&b)), -ERR_PROTO);                                         \
    } while (0)
    REFUSED(s.workers = 0);
    REFUSED(s.workers = CELLS_MAX_WORKERS + 1);
    REFUSED(s.serving = CELLS_BANKS);
    REFUSED(s.lock_fd = -1);
    REFUSED(s.view_fd = 2); /* standard error */
    REFUSED(s.view_fd = s.lock_fd);
    REFUSED(sockets[0].fd = s.children[0].fd);
    REFUSED(s.children[0].pid = 0);
    REFUSED(s.children[0].fd = -1);
    REFUSED(s.children[0].row = 2); /* twice */
    REFUSED(s.children[1].row = UPGRADE_CHILDREN);
    REFUSED(s.children[1].role = PROXY_ROLES);
    REFUSED(sockets[1].socket.use = SOCKET_USES);
    REFUSED(sockets[1].socket.addr.kind = 77);
    REFUSED(s.file[0] = 0);
    REFUSED(s.state[0] = 0);
#undef REFUSED
    buf_free(&b);
}

static void memory_may_end_anywhere(void **state)
{
    struct upgrade_socket sockets[3];
    struct upgrade_state s;
    struct buf b = {0};
    int r = -ERR_NOMEM;
    fill(&s, sockets);
    encode(&s, &b);
    for (uint64_t n = 1; r == -ERR_NOMEM; n++) {
        mem_fail_at(n);
        r = decode(buf_str(&b));
        mem_fail_at(0);
        assert_true(r == 0 || r == -ERR_NOMEM);
        assert_true(n < 100);
    }
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_comes_back_as_it_was),    cmocka_unit_test(the_format_before_is_read),
        cmocka_unit_test(an_agent_raises_the_format), cmocka_unit_test(every_damage_is_noticed),
        cmocka_unit_test(nonsense_is_refused),        cmocka_unit_test(memory_may_end_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
