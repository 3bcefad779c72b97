/* Units of joining: a node with links and tokens in a thread of its own, and machines that ask. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "mesh/links.h"
#include "mesh/mesh_join.h"

struct server {
    char dir[64], path[80];
    struct loop *loop;
    struct links *links;
    struct tokens *tokens;
    struct keyring keys;
    struct addr at;
    struct view_node nodes[2];
    struct view_cluster cluster;
    pthread_t thread;
    unsigned joined, refused;
    char node[TOKEN_NAME_MAX + 1];
    bool no_keys;
};

static struct str on_name(void *context, uint64_t id)
{
    (void)context;
    (void)id;
    return STR("");
}

static void on_complain(void *context, const char *text)
{
    (void)context;
    (void)text;
}

static bool on_guest_key(void *context, uint64_t token, uint8_t secret[SEAL_SECRET])
{
    struct server *s = context;
    return tokens_link_key(s->tokens, token, secret);
}

static int on_keys(void *context, struct keyring *out, struct err *e)
{
    struct server *s = context;
    if (s->no_keys)
        return err_set(e, ERR_IO, "cannot read the key file");
    *out = s->keys;
    return 0;
}

static void on_guest(void *context, uint64_t token, const struct addr *from, struct str bytes,
                     struct buf *answer)
{
    struct server *s = context;
    struct join_host h = {s, on_keys};
    struct err why = {0};
    (void)from;
    bool ok =
        join_answer(s->tokens, token, bytes, &s->cluster, &h, clock_wall(), answer, s->node, &why);
    s->joined += ok;
    s->refused += !ok;
}

static void *serve(void *context)
{
    struct server *s = context;
    loop_run(s->loop, NULL);
    return NULL;
}

static void server_open(struct server *s)
{
    struct links_host h = {.context = s,
                           .name = on_name,
                           .complain = on_complain,
                           .guest_key = on_guest_key,
                           .guest = on_guest};
    int fd = -1;
    *s = (struct server){.dir = "/tmp/join-test-XXXXXX"};
    assert_non_null(mkdtemp(s->dir));
    snprintf(s->path, sizeof s->path, "%s/tokens", s->dir);
    assert_int_equal(
        keyring_add(&s->keys, (const uint8_t *)"the key of this cluster, 32 byte", NULL), 0);
    assert_int_equal(tokens_open(&s->tokens, s->path, NULL), 0);
    assert_int_equal(loop_new(&s->loop, NULL), 0);
    assert_int_equal(links_new(&s->links, s->loop, STR("prod"), 1, &s->keys, &h, NULL), 0);
    for (unsigned port = 22000 + (unsigned)getpid() % 5000; fd < 0; port += 3) {
        char text[ADDR_TEXT_MAX];
        snprintf(text, sizeof text, "127.0.0.1:%u", port);
        assert_true(addr_parse(str_of(text), &s->at));
        fd = net_listen(&s->at, 16, NULL);
    }
    assert_int_equal(links_set_listener(s->links, fd, NULL), 0);
    s->nodes[0] = (struct view_node){.name = STR("a"), .zone = STR("z1"), .address = s->at};
    s->nodes[1] = (struct view_node){
        .name = STR("d"), .zone = STR(""), .address = s->at, .role = NODE_WITNESS};
    s->cluster = (struct view_cluster){.name = STR("prod"), .nodes = s->nodes, .n_nodes = 2};
}

static void server_run(struct server *s)
{
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_rest(struct server *s)
{
    loop_wake_and_stop(s->loop);
    assert_int_equal(pthread_join(s->thread, NULL), 0);
}

static void server_close(struct server *s)
{
    links_free(s->links);
    loop_free(s->loop);
    tokens_free(s->tokens);
    unlink(s->path);
    rmdir(s->dir);
}

static struct token token_for(struct server *s, const char *node)
{
    struct token k;
    assert_int_equal(tokens_make(s->tokens, STR("prod"), &s->at, str_of(node), 600 * NS_PER_S,
                                 clock_wall(), &k, NULL),
                     0);
    return k;
}

static int ask(struct server *s, const struct token *k, const char *node, struct err *e)
{
    struct join_result r;
    server_run(s);
    int rc = join_ask(k, str_of(node), &r, e);
    server_rest(s);
    if (rc == 0) {
        assert_int_equal(r.keys.n, 1);
        assert_int_equal(r.keys.keys[0].id, s->keys.keys[0].id);
        assert_memory_equal(r.keys.keys[0].secret, s->keys.keys[0].secret, SEAL_SECRET);
        assert_int_equal(r.n_nodes, 2);
        assert_string_equal(r.nodes[0].name, "a");
        assert_string_equal(r.nodes[0].zone, "z1");
        assert_string_equal(r.nodes[1].name, "d");
        assert_true(r.nodes[1].witness && !r.nodes[0].witness && addr_eq(&r.nodes[1].at, &s->at));
        join_result_end(&r);
    } else {
        assert_int_equal(r.keys.n, 0);
        assert_null(r.nodes);
    }
    return rc;
}

static void a_machine_with_a_token_gets_the_keys_once(void **state)
{
    struct server s;
    struct err e = {0};
    (void)state;
    server_open(&s);
    struct token k = token_for(&s, "");
    assert_int_equal(ask(&s, &k, "d", &e), 0);
    assert_int_equal(s.joined, 1);
    assert_string_equal(s.node, "d");
    assert_int_equal(ask(&s, &k, "e", &e), -ERR_DENIED);
    assert_non_null(strstr(e.text, "has been used already, by node d"));
    assert_int_equal(s.refused, 1);
    server_close(&s);
}

static void every_refusal_says_why(void **state)
{
    struct server s;
    struct err e = {0};
    (void)state;
    server_open(&s);
    struct token k = token_for(&s, "d"), other = k;
    assert_int_equal(ask(&s, &k, "e", &e), -ERR_DENIED);
    assert_non_null(strstr(e.text, "for node d and not for e"));
    str_copy(other.cluster, sizeof other.cluster, STR("test"));
    assert_int_equal(ask(&s, &other, "d", &e), -ERR_DENIED);
    assert_non_null(strstr(e.text, "belongs to prod"));
    s.no_keys = true;
    assert_int_equal(ask(&s, &k, "d", &e), -ERR_DENIED);
    assert_non_null(strstr(e.text, "cannot read the key file"));
    s.no_keys = false;
    other = k;
    other.id++;
    assert_int_equal(ask(&s, &other, "d", &e), -ERR_DENIED);
    assert_non_null(strstr(e.text, "does not know this token"));
    other = k;
    other.secret[0] ^= 1;
    assert_int_equal(ask(&s, &other, "d", &e), -ERR_DENIED);
    assert_non_null(strstr(e.text, "does not know this token"));
    links_set_listener(s.links, -1, NULL);
    assert_int_equal(ask(&s, &k, "d", &e), -ERR_ABSENT);
    assert_non_null(strstr(e.text, "nobody answers at 127.0.0.1"));
    assert_int_equal(s.joined, 0);
    assert_int_equal(tokens_count(s.tokens, clock_wall()), 1); /* none of this used it up */
    server_close(&s);
}

static void messages_are_read_within_their_bounds(void **state)
{
    struct buf b = {0};
    struct join_question q;
    struct join_result r;
    struct err e = {0};
    (void)state;
    put_u16(&b, 1);
    for (unsigned i = 0; i < TOKEN_PROOF; i++)
        put_u8(&b, (uint8_t)i);
    put_str(&b, STR("prod"));
    put_str(&b, STR("d"));
    for (size_t n = 0; n < b.n; n++)
        assert_false(join_read_question((struct str){b.p, n}, &q));
    assert_true(join_read_question(buf_str(&b), &q));
    assert_true(str_eq(q.cluster, STR("prod")) && str_eq(q.node, STR("d")));
    buf_clear(&b);
    put_u16(&b, 1);
    put_u8(&b, 1);
    put_str(&b, STR("no"));
    for (size_t n = 0; n < b.n; n++)
        assert_int_equal(join_read_answer((struct str){b.p, n}, &r, &e), -ERR_PROTO);
    assert_int_equal(join_read_answer(buf_str(&b), &r, &e), -ERR_DENIED);
    assert_string_equal(e.text, "no");
    b.p[2] = 7;
    assert_int_equal(join_read_answer(buf_str(&b), &r, &e), -ERR_PROTO);
    buf_free(&b);
}

static void every_allocation_may_fail_at_who_asks(void **state)
{
    struct server s;
    (void)state;
    server_open(&s);
    for (unsigned long at = 1; at < 60; at++) {
        struct join_result r;
        struct token k = token_for(&s, "");
        server_run(&s);
        mem_fail_at(at);
        int rc = join_ask(&k, STR("d"), &r, NULL);
        bool failed = mem_failed();
        mem_fail_at(0);
        server_rest(&s);
        join_result_end(&r);
        assert_true(rc == 0 ? true : rc == -ERR_NOMEM);
        if (rc) { /* what is left open would fill the book */
            uint8_t proof[TOKEN_PROOF];
            assert_true(token_proof(k.secret, proof));
            tokens_use(s.tokens, k.id, proof, STR("x"), clock_wall(), NULL);
        }
        if (!failed) {
            assert_int_equal(rc, 0);
            server_close(&s);
            return;
        }
    }
    fail();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_machine_with_a_token_gets_the_keys_once),
        cmocka_unit_test(every_refusal_says_why),
        cmocka_unit_test(messages_are_read_within_their_bounds),
        cmocka_unit_test(every_allocation_may_fail_at_who_asks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
