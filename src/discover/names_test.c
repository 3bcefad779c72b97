/* Units of names and their questions, against a name server that is this test: on the same loop,
 * over real sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "discover/names_inside.h"

enum mood {
    MOOD_ANSWERS,
    MOOD_SILENT,
    MOOD_SERVFAIL,
    MOOD_NXDOMAIN,
    MOOD_EMPTY,
    MOOD_NO_OPT,  /* minds OPT */
    MOOD_FORGED,  /* answers of another number and to another question come before */
    MOOD_NONSENSE /* bytes */
};

struct world {
    struct loop *loop;
    struct io io;
    struct timer limit;
    int fd;
    char dir[64], resolv[96], hosts[96];
    struct names *names;
    struct view *view;
    uint8_t mood, first, n; /* answers are 10.0.0.first .. */
    unsigned asked, changes, failures, backs;
    char told[320];
};

static void reply(struct world *w, const struct dns_question *q, uint16_t id, uint8_t rcode,
                  const struct addr *to)
{
    struct buf out = {0};
    struct dns_writer writer;
    struct dns_head head = {.id = id, .response = true, .rcode = rcode};
    dns_begin(&writer, &out, &head, DNS_UDP_PLAIN);
    dns_put_question(&writer, q);
    for (uint8_t i = 0; rcode == DNS_NOERROR && q->type == DNS_A && i < w->n; i++) {
        struct dns_record r = {.name = q->name, .type = DNS_A, .class = DNS_IN, .ttl = 0};
        memcpy(r.ip, (uint8_t[]){10, 0, 0, (uint8_t)(w->first + i)}, 4);
        dns_put_record(&writer, &r);
    }
    assert_true(dns_end(&writer));
    net_datagram_send(w->fd, out.p, out.n, to);
    buf_free(&out);
}

static bool has_opt(struct dns_message m)
{
    struct dns_record r;
    while (dns_next(&m, &r) == 1)
        if (r.type == DNS_OPT)
            return true;
    return false;
}

static void serve(struct world *w, const struct dns_message *m, const struct addr *from)
{
    const struct dns_question *q = &m->question;
    struct dns_question other = *q;
    uint16_t id = m->head.id;
    assert_true(dns_name_parse(STR("other.test"), &other.name));
    switch ((enum mood)w->mood) {
    case MOOD_SILENT: return;
    case MOOD_SERVFAIL: reply(w, q, id, DNS_SERVFAIL, from); return;
    case MOOD_NXDOMAIN: reply(w, q, id, DNS_NXDOMAIN, from); return;
    case MOOD_NO_OPT:
        if (has_opt(*m)) {
            reply(w, q, id, DNS_FORMERR, from);
            return;
        }
        break;
    case MOOD_FORGED:
        w->first += 100;
        reply(w, q, (uint16_t)(id + 1), DNS_NOERROR, from);
        reply(w, &other, id, DNS_NOERROR, from);
        w->first -= 100;
        break;
    case MOOD_NONSENSE: net_datagram_send(w->fd, "nonsense", 8, from); break;
    case MOOD_EMPTY: /* the world has none */
    case MOOD_ANSWERS: break;
    }
    reply(w, q, id, DNS_NOERROR, from);
}

static void on_query(struct io *io, unsigned ready)
{
    struct world *w = CONTAINER_OF(io, struct world, io);
    char bytes[1500];
    struct addr from;
    int n;
    (void)ready;
    while ((n = net_datagram_receive(w->fd, bytes, sizeof bytes, &from)) >= 0) {
        struct dns_message m;
        assert_int_equal(dns_open(&m, (struct str){bytes, (size_t)n}), 0);
        assert_true(m.head.recursion_desired);
        w->asked++;
        serve(w, &m, &from);
    }
}

static void on_changed(void *context)
{
    ((struct world *)context)->changes++;
}

static void on_tell(void *context, bool failed, const char *name, const char *text)
{
    struct world *w = context;
    assert_string_equal(name, "api.test");
    w->failures += failed;
    w->backs += !failed;
    snprintf(w->told, sizeof w->told, "%s", text);
}

static void on_limit(struct timer *t)
{
    loop_stop(CONTAINER_OF(t, struct world, limit)->loop);
}

static void turn(struct world *w, uint64_t ns)
{
    loop_timer_set(w->loop, &w->limit, loop_refresh(w->loop) + ns);
    assert_int_equal(loop_run(w->loop, NULL), 0);
    loop_timer_stop(w->loop, &w->limit);
}

#define UNTIL(w, condition)                                                                        \
    do {                                                                                           \
        uint64_t until_ = clock_now() + 10 * NS_PER_S;                                             \
        while (!(condition) && clock_now() < until_)                                               \
            turn((w), NS_PER_MS);                                                                  \
        assert_true(condition);                                                                    \
    } while (0)

static struct addr bound_to(int fd)
{
    struct addr a;
    assert_true(net_local_addr(fd, &a));
    return a;
}

static struct view *view_of(struct world *w, const char *name)
{
    struct view *v = view_new();
    v->services = arena_array(&v->arena, 1, sizeof *v->services);
    v->n_services = 1;
    v->services[0].name = STR("web");
    v->services[0].sources = arena_array(&v->arena, 1, sizeof(struct view_source));
    v->services[0].n_sources = name != NULL;
    if (name)
        v->services[0].sources[0] = (struct view_source){
            .kind = SOURCE_HOST, .name = str_of(name), .port = 80, .like = {.weight = 2}};
    v->resolver.n_servers = 1;
    v->resolver.servers = arena_array(&v->arena, 1, sizeof *v->resolver.servers);
    v->resolver.servers[0] = bound_to(w->fd);
    v->resolver.timeout = 20 * NS_PER_MS;
    v->resolver.ttl_least = v->resolver.ttl_most = 10 * NS_PER_MS;
    return v;
}

static int setup(void **state)
{
    static struct world world;
    struct world *w = &world;
    struct addr any;
    *w = (struct world){.first = 1, .n = 2};
    assert_int_equal(loop_new(&w->loop, NULL), 0);
    timer_init(&w->limit, on_limit);
    io_init(&w->io, on_query);
    for (uint16_t port = 20000; port < 60000; port++) {
        any = (struct addr){.kind = ADDR_IP4, .ip = {127, 0, 0, 1}, .port = port};
        if ((w->fd = net_datagram_listen(&any, NULL)) >= 0)
            break;
    }
    assert_int_equal(loop_io_start(w->loop, &w->io, w->fd, NULL), 0);
    strcpy(w->dir, "/tmp/names-test-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->resolv, sizeof w->resolv, "%s/resolv.conf", w->dir);
    snprintf(w->hosts, sizeof w->hosts, "%s/hosts", w->dir);
    struct names_options o = {w->resolv, w->hosts};
    struct names_owner owner = {w, on_changed, on_tell};
    assert_int_equal(names_new(&w->names, w->loop, &o, &owner, NULL), 0);
    w->view = view_of(w, "api.test");
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    names_free(w->names);
    view_free(w->view);
    loop_io_stop(w->loop, &w->io);
    close(w->fd);
    loop_free(w->loop);
    unlink(w->resolv);
    unlink(w->hosts);
    return rmdir(w->dir);
}

static void follow(struct world *w)
{
    assert_int_equal(names_follow(w->names, w->view, NULL, NULL), 0);
}

static const struct records *good(struct world *w)
{
    static const struct records none;
    const struct name *m = names_find(w->names, STR("api.test"), false);
    return m ? &m->good : &none;
}

static bool is(struct world *w, uint8_t first, uint32_t n)
{
    const struct records *r = good(w);
    for (uint32_t i = 0; i < r->n; i++)
        if (r->list[i].addr.ip[3] != first + i)
            return false;
    return r->n == n;
}

static void answers_count_at_once(void **state)
{
    struct world *w = *state;
    follow(w);
    UNTIL(w, is(w, 1, 2));
    assert_int_equal(w->changes, 1);
    unsigned asked = w->asked;
    UNTIL(w, w->asked > asked + 6); /* the same again */
    assert_int_equal(w->changes, 1);
    w->n = 1;
    UNTIL(w, is(w, 1, 1));
    w->first = 9;
    w->n = 3;
    UNTIL(w, is(w, 9, 3));
    assert_int_equal(w->failures, 0);
}

static void no_answer_keeps_the_last(void **state)
{
    static const uint8_t moods[] = {MOOD_SERVFAIL, MOOD_NXDOMAIN, MOOD_SILENT};
    struct world *w = *state;
    follow(w);
    UNTIL(w, is(w, 1, 2));
    for (unsigned i = 0; i < ARRAY_LEN(moods); i++) {
        w->mood = moods[i];
        UNTIL(w, w->failures == i + 1);
        assert_non_null(strstr(w->told, "the 2 addresses of before stay"));
        unsigned asked = w->asked;
        UNTIL(w, w->asked > asked + 4);
        assert_int_equal(w->failures, i + 1); /* said once */
        assert_true(is(w, 1, 2));
        w->mood = MOOD_ANSWERS;
        UNTIL(w, w->backs == i + 1);
    }
    w->n = 0;
    UNTIL(w, w->failures == 4);
    assert_true(is(w, 1, 2));
    assert_int_equal(w->changes, 1);
}

static void who_minds_options_is_asked_plainly(void **state)
{
    struct world *w = *state;
    w->mood = MOOD_NO_OPT;
    follow(w);
    UNTIL(w, is(w, 1, 2));
}

static void forged_answers_are_not_heard(void **state)
{
    struct world *w = *state;
    w->mood = MOOD_FORGED;
    follow(w);
    UNTIL(w, good(w)->n);
    assert_true(is(w, 1, 2));
    w->mood = MOOD_NONSENSE;
    w->first = 5;
    UNTIL(w, is(w, 5, 2));
}

static void the_next_server_is_asked(void **state)
{
    struct world *w = *state;
    struct addr deaf = {.kind = ADDR_IP4, .ip = {127, 0, 0, 1}, .port = 9};
    w->view->resolver.servers = arena_array(&w->view->arena, 2, sizeof deaf);
    w->view->resolver.servers[0] = deaf;
    w->view->resolver.servers[1] = bound_to(w->fd);
    w->view->resolver.n_servers = 2;
    follow(w);
    UNTIL(w, is(w, 1, 2));
    assert_int_equal(w->failures, 0);
}

static void the_systems_hosts_come_first(void **state)
{
    struct world *w = *state;
    assert_int_equal(
        file_replace(w->hosts, STR("10.0.0.77 other api.test\n10.0.0.78 api.test\n"), 0600, NULL),
        0);
    follow(w);
    UNTIL(w, is(w, 77, 2));
    assert_int_equal(w->asked, 0);
}

static void a_search_list_is_tried(void **state)
{
    struct world *w = *state;
    assert_int_equal(file_replace(w->resolv, STR("search x.test y.test\n"), 0600, NULL), 0);
    w->mood = MOOD_NXDOMAIN;
    follow(w);
    UNTIL(w, w->failures == 1);
    assert_in_range(w->asked, 6, 12); /* A and AAAA, as it is and twice more */
}

static void what_is_not_named_is_forgotten(void **state)
{
    struct world *w = *state;
    follow(w);
    UNTIL(w, is(w, 1, 2));
    struct view *other = view_of(w, NULL);
    assert_int_equal(names_follow(w->names, other, w->view, NULL), 0); /* a reload that may fail */
    assert_true(is(w, 1, 2));
    assert_int_equal(names_follow(w->names, other, NULL, NULL), 0);
    assert_int_equal(good(w)->n, 0);
    unsigned asked = w->asked;
    turn(w, 50 * NS_PER_MS);
    assert_in_range(w->asked, asked, asked + 2); /* what was under way */
    view_free(other);
}

static void good_answers_outlive_us(void **state)
{
    struct world *w = *state;
    struct names *next;
    follow(w);
    UNTIL(w, is(w, 1, 2));
    json_t *kept = names_json(w->names);
    assert_non_null(kept);
    w->mood = MOOD_SILENT;
    names_free(w->names);
    struct names_options o = {w->resolv, w->hosts};
    struct names_owner owner = {w, on_changed, on_tell};
    assert_int_equal(names_new(&next, w->loop, &o, &owner, NULL), 0);
    w->names = next;
    names_load(w->names, kept);
    follow(w);
    assert_true(is(w, 1, 2));
    UNTIL(w, w->failures == 1);
    assert_true(is(w, 1, 2));
    json_decref(kept);
}

static void a_store_may_hold_anything(void **state)
{
    static const char *const texts[] = {
        "{}",
        "[1, {}]",
        "[{\"name\": \"api.test\"}]",
        "[{\"name\": \"\", \"type\": \"host\"}]",
        "[{\"name\": \"api.test\", \"type\": \"host\", \"records\": [1, \"x\", \"10.0.0.300\", "
        "\"unix:/run\"]}]",
        "[{\"name\": \"api.test\", \"type\": \"srv\", \"records\": [1, {}, {\"target\": \"x\", "
        "\"port\": 1}, {\"target\": \"x.\"}]}]",
    };
    struct world *w = *state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        json_t *json = json_loads(texts[i], 0, NULL);
        assert_non_null(json);
        names_load(w->names, json);
        assert_int_equal(good(w)->n, 0);
        json_decref(json);
    }
}

/* Whatever allocation fails, an answer comes in the end. */
static void memory_may_run_out(void **state)
{
    struct world *w = *state;
    for (unsigned long i = 1; i < 60; i++) {
        mem_fail_at(i);
        int rc = names_follow(w->names, w->view, NULL, NULL);
        turn(w, 12 * NS_PER_MS);
        mem_fail_at(0);
        assert_true(rc == 0 || rc == -ERR_LIMIT);
    }
    follow(w);
    UNTIL(w, is(w, 1, 2));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(answers_count_at_once),
        TEST(no_answer_keeps_the_last),
        TEST(who_minds_options_is_asked_plainly),
        TEST(forged_answers_are_not_heard),
        TEST(the_next_server_is_asked),
        TEST(the_systems_hosts_come_first),
        TEST(a_search_list_is_tried),
        TEST(what_is_not_named_is_forgotten),
        TEST(good_answers_outlive_us),
        TEST(a_store_may_hold_anything),
        TEST(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
