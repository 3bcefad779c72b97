/* What a member of etcd 3.4 answers, as it was recorded, and what else may come; and what is asked
 * of it, against a listener that says what it is told to. */
#include "coord/etcd_members.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#define HEADER                                                                                     \
    "\"header\":{\"cluster_id\":\"324952591200643719\",\"member_id\":\"3319814642761637952\","     \
    "\"revision\":\"14\",\"raft_term\":\"2\"}"

static int read_as(enum etcd_question q, const char *body, struct etcd_told *t)
{
    struct err e = {0};
    int r = etcd_read_told(q, str_of(body), t, &e);
    assert_true(r == 0 || (r == -ERR_PROTO && e.text[0]));
    return r;
}

/* --- reading --- */

static void a_status_is_of_the_member_itself(void **state)
{
    struct etcd_told t;
    assert_int_equal(read_as(ETCD_STATUS,
                             "{" HEADER ",\"version\":\"3.4.23\",\"dbSize\":\"24576\","
                             "\"leader\":\"7\",\"raftIndex\":\"19\",\"raftTerm\":\"3\","
                             "\"raftAppliedIndex\":\"18\",\"dbSizeInUse\":\"16384\"}",
                             &t),
                     0);
    assert_true(t.cluster == 324952591200643719 && t.member == 3319814642761637952);
    assert_true(t.revision == 14 && t.term == 3 && t.leader == 7 && t.applied == 18);
    assert_true(t.bytes == 24576 && t.used == 16384 && !t.learner && !t.no_space && !t.corrupt);
    assert_string_equal(t.version, "3.4.23");
    assert_int_equal(read_as(ETCD_STATUS, "{" HEADER ",\"isLearner\":true}", &t), 0);
    assert_true(t.learner && t.leader == 0 && t.term == 2); /* the header's */
}

static void a_status_tells_of_alarms(void **state)
{
    struct etcd_told t;
    assert_int_equal(
        read_as(ETCD_STATUS, "{\"errors\":[\"memberID:33 alarm:NOSPACE \",\"no leader\"]}", &t), 0);
    assert_true(t.no_space && !t.corrupt && t.n_full == 0);
    assert_int_equal(read_as(ETCD_STATUS, "{\"errors\":[\"memberID:33 alarm:CORRUPT \"]}", &t), 0);
    assert_true(!t.no_space && t.corrupt);
    assert_int_equal(read_as(ETCD_STATUS, "{\"errors\":\"NOSPACE\"}", &t), -ERR_PROTO);
}

static void alarms_tell_whose_they_are(void **state)
{
    struct etcd_told t;
    assert_int_equal(read_as(ETCD_ALARMS, "{}", &t), 0);
    assert_true(!t.no_space && !t.corrupt && t.n_full == 0);
    assert_int_equal(read_as(ETCD_ALARMS,
                             "{\"alarms\":[{\"memberID\":\"3\",\"alarm\":\"NOSPACE\"},"
                             "{\"memberID\":\"4\",\"alarm\":\"CORRUPT\"},{\"alarm\":\"NOSPACE\"}]}",
                             &t),
                     0);
    assert_true(t.no_space && t.corrupt && t.n_full == 2 && t.full[0] == 3 && t.full[1] == 0);
    assert_int_equal(read_as(ETCD_ALARMS, "{\"alarms\":[{\"memberID\":\"3\"}]}", &t), -ERR_PROTO);
    assert_int_equal(read_as(ETCD_ALARMS, "{\"alarms\":[7]}", &t), -ERR_PROTO);
    assert_int_equal(read_as(ETCD_ALARMS, "{\"alarms\":{}}", &t), -ERR_PROTO);
}

static void members_are_listed(void **state)
{
    struct etcd_told t;
    assert_int_equal(
        read_as(ETCD_ADD,
                "{" HEADER ",\"member\":{\"ID\":\"1268\"},\"members\":[{\"ID\":\"33\","
                "\"name\":\"a\",\"peerURLs\":[\"https://10.0.0.1:7302\",\"https://x\"]},"
                "{\"ID\":\"1268\",\"peerURLs\":[],\"isLearner\":true}]}",
                &t),
        0);
    assert_true(t.added == 1268 && t.n == 2 && t.members[0].id == 33 && !t.members[0].learner);
    assert_string_equal(t.members[0].name, "a");
    assert_string_equal(t.members[0].peer, "https://10.0.0.1:7302");
    assert_true(t.members[1].learner && !t.members[1].name[0] && !t.members[1].peer[0]);
}

static void lists_have_bounds(void **state)
{
    struct buf b = {0};
    struct etcd_told t;
    buf_printf(&b, "{\"members\":[");
    for (int i = 0; i < ETCD_MEMBERS_MAX; i++)
        buf_printf(&b, "%s{\"ID\":\"%d\"}", i ? "," : "", i + 1);
    size_t n = b.n;
    buf_printf(&b, "]}");
    assert_int_equal(etcd_read_told(ETCD_LIST, buf_str(&b), &t, NULL), 0);
    assert_int_equal(t.n, ETCD_MEMBERS_MAX);
    b.n = n;
    buf_printf(&b, ",{\"ID\":\"99\"}]}");
    assert_int_equal(etcd_read_told(ETCD_LIST, buf_str(&b), &t, NULL), -ERR_PROTO);
    buf_clear(&b);
    buf_printf(&b, "{\"alarms\":[");
    for (int i = 0; i <= ETCD_MEMBERS_MAX; i++)
        buf_printf(&b, "%s{\"memberID\":\"1\",\"alarm\":\"NOSPACE\"}", i ? "," : "");
    buf_printf(&b, "]}");
    assert_int_equal(etcd_read_told(ETCD_ALARMS, buf_str(&b), &t, NULL), -ERR_PROTO);
    buf_free(&b);
}

static void what_is_no_answer_is_refused(void **state)
{
    static const struct {
        enum etcd_question question;
        const char *body;
    } bad[] = {
        {ETCD_STATUS, ""},
        {ETCD_STATUS, "[]"},
        {ETCD_STATUS, "{\"header\":7}"},
        {ETCD_STATUS, "{\"header\":{\"revision\":\"-1\"}}"},
        {ETCD_STATUS, "{\"dbSize\":\"many\"}"},
        {ETCD_STATUS, "{\"leader\":\"18446744073709551616\"}"},
        {ETCD_STATUS, "{\"version\":\"3.4.23-and-much-more-than-fits\"}"},
        {ETCD_STATUS, "{\"version\":3}"},
        {ETCD_LIST, "{\"members\":{}}"},
        {ETCD_LIST, "{\"members\":[7]}"},
        {ETCD_LIST, "{\"members\":[{\"ID\":\"x\"}]}"},
        {ETCD_LIST, "{\"members\":[{\"peerURLs\":[7]}]}"},
        {ETCD_ADD, "{\"member\":[]}"},
        {ETCD_DISARM, "{\"alarms\":7}"},
    };
    struct etcd_told t;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (read_as(bad[i].question, bad[i].body, &t) != -ERR_PROTO)
            fail_msg("accepted: %s", bad[i].body);
    /* what nobody looks into */
    assert_int_equal(read_as(ETCD_DEFRAGMENT, "{}", &t), 0);
    assert_int_equal(read_as(ETCD_COMPACT, "{" HEADER "}", &t), 0);
    assert_int_equal(t.revision, 14);
}

/* --- asking --- */

static struct {
    struct loop *loop;
    struct timer late;
    struct io listener, conn;
    char url[64];
    const char *answer; /* with its status line; NULL: it hangs up */
    struct buf heard;
    uint32_t asked, told;
    struct etcd_told got;
    struct err why;
    enum etcd_question question;
} k;

static void hang_up(void)
{
    int fd = k.conn.fd;
    if (fd < 0)
        return;
    loop_io_stop(k.loop, &k.conn);
    close(fd);
}

static void say(void)
{
    const char *body = strchr(k.answer, '\n') + 1;
    struct buf b = {0};
    buf_printf(&b, "HTTP/1.1 %.*s\r\nContent-Length: %zu\r\n\r\n%s", (int)(body - k.answer - 1),
               k.answer, strlen(body), body);
    assert_int_equal(send(k.conn.fd, b.p, b.n, MSG_NOSIGNAL), b.n);
    buf_free(&b);
}

static void on_conn(struct io *io, unsigned ready)
{
    char some[4096];
    for (ssize_t n; (n = recv(io->fd, some, sizeof some, 0)) >= 0;) {
        if (n == 0) {
            hang_up();
            return;
        }
        assert_true(buf_add(&k.heard, some, (size_t)n));
    }
    if (k.heard.n && k.heard.p[k.heard.n - 1] == '}') {
        k.asked++;
        if (k.answer)
            say();
        else
            hang_up();
    }
}

static void on_listener(struct io *io, unsigned ready)
{
    for (int fd; (fd = net_accept(io->fd, NULL)) >= 0;) {
        hang_up();
        assert_int_equal(loop_io_start(k.loop, &k.conn, fd, NULL), 0);
    }
}

static void on_late(struct timer *t)
{
    fail_msg("no answer");
}

static void on_told(void *context, enum etcd_question q, const struct etcd_told *t)
{
    k.told++;
    k.question = q;
    k.got = *t;
    k.why = t->why ? *t->why : (struct err){0};
    loop_stop(k.loop);
}

static struct etcd_members *begin(void)
{
    struct etcd_members *m = NULL;
    struct sockaddr_in in;
    socklen_t n = sizeof in;
    struct addr any;
    memset(&k, 0, sizeof k);
    assert_int_equal(loop_new(&k.loop, NULL), 0);
    io_init(&k.listener, on_listener);
    io_init(&k.conn, on_conn);
    timer_init(&k.late, on_late);
    assert_true(addr_parse(STR("127.0.0.1:1"), &any));
    any.port = 0;
    int fd = net_listen(&any, 8, NULL);
    assert_true(fd >= 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &n), 0);
    snprintf(k.url, sizeof k.url, "http://127.0.0.1:%u", ntohs(in.sin_port));
    assert_int_equal(loop_io_start(k.loop, &k.listener, fd, NULL), 0);
    assert_int_equal(etcd_members_new(&m, k.loop, NULL, NULL, NULL, NULL), 0);
    return m;
}

static void end(struct etcd_members *m)
{
    int fd = k.listener.fd;
    etcd_members_free(m);
    hang_up();
    loop_io_stop(k.loop, &k.listener);
    close(fd);
    buf_free(&k.heard);
    loop_free(k.loop);
}

static void ask(struct etcd_members *m, struct etcd_ask a, const char *answer)
{
    struct err e = {0};
    a.at = k.url;
    a.limit = a.limit ? a.limit : 20 * NS_PER_S;
    k.answer = answer;
    k.told = k.asked = 0;
    buf_clear(&k.heard);
    assert_int_equal(etcd_members_ask(m, &a, on_told, NULL, &e), 0);
    assert_true(etcd_members_busy(m) && k.told == 0);
    assert_int_equal(etcd_members_ask(m, &a, on_told, NULL, &e), -ERR_BUSY);
    loop_timer_set(k.loop, &k.late, clock_now() + 30 * NS_PER_S);
    assert_int_equal(loop_run(k.loop, NULL), 0);
    loop_timer_stop(k.loop, &k.late);
    assert_true(!etcd_members_busy(m) && k.told == 1 && k.question == a.question);
}

static void assert_asked(const char *path, const char *body)
{
    char line[128];
    snprintf(line, sizeof line, "POST %s HTTP/1.1\r\n", path);
    if (!str_starts(buf_str(&k.heard), str_of(line)))
        fail_msg("%s was to be asked, not %.60s", path, k.heard.p);
    size_t n = strlen(body);
    assert_true(k.heard.n > n);
    if (memcmp(k.heard.p + k.heard.n - n, body, n) != 0)
        fail_msg("%s: not %s, but ...%.*s", path, body, (int)(n + 10),
                 k.heard.p + k.heard.n - n - 10);
}

static void each_question_has_its_words(void **state)
{
    static const struct {
        struct etcd_ask ask;
        const char *path, *body;
    } all[] = {
        {{.question = ETCD_STATUS}, "/v3/maintenance/status", "{}"},
        {{.question = ETCD_LIST}, "/v3/cluster/member/list", "{}"},
        {{.question = ETCD_ADD, .url = "https://10.0.0.3:7302"},
         "/v3/cluster/member/add",
         "{\"peerURLs\":[\"https://10.0.0.3:7302\"],\"isLearner\":true}"},
        {{.question = ETCD_PROMOTE, .id = UINT64_MAX},
         "/v3/cluster/member/promote",
         "{\"ID\":\"18446744073709551615\"}"},
        {{.question = ETCD_REMOVE, .id = 7}, "/v3/cluster/member/remove", "{\"ID\":\"7\"}"},
        {{.question = ETCD_LEAD, .id = 7},
         "/v3/maintenance/transfer-leadership",
         "{\"targetID\":\"7\"}"},
        {{.question = ETCD_ALARMS}, "/v3/maintenance/alarm", "{\"action\":\"GET\"}"},
        {{.question = ETCD_DISARM, .id = 7},
         "/v3/maintenance/alarm",
         "{\"action\":\"DEACTIVATE\",\"memberID\":\"7\",\"alarm\":\"NOSPACE\"}"},
        {{.question = ETCD_COMPACT, .revision = 12},
         "/v3/kv/compaction",
         "{\"revision\":\"12\",\"physical\":true}"},
        {{.question = ETCD_DEFRAGMENT}, "/v3/maintenance/defragment", "{}"},
    };
    struct etcd_members *m = begin();
    _Static_assert(ARRAY_LEN(all) == ETCD_QUESTIONS, "each question is asked");
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        ask(m, all[i].ask, "200 OK\n{" HEADER "}");
        assert_true(k.got.code == 0 && !k.got.why && k.got.revision == 14);
        assert_asked(all[i].path, all[i].body);
    }
    end(m);
}

static void a_refusal_says_why(void **state)
{
    struct etcd_members *m = begin();
    ask(m, (struct etcd_ask){.question = ETCD_PROMOTE, .id = 7},
        "412 No\n{\"error\":\"etcdserver: can only promote a learner member which is in sync with "
        "leader\",\"code\":9}");
    assert_true(k.got.code == -ERR_DENIED && strstr(k.why.text, "in sync with leader"));
    ask(m, (struct etcd_ask){.question = ETCD_STATUS}, "200 OK\n<html>}");
    assert_int_equal(k.got.code, -ERR_PROTO);
    assert_true(k.got.member == 0 && k.why.text[0]);
    end(m);
}

/* A change that may have happened is not asked for again; a question may be. */
static void a_change_is_sent_once(void **state)
{
    struct etcd_members *m = begin();
    ask(m, (struct etcd_ask){.question = ETCD_STATUS}, "200 OK\n{" HEADER "}");
    ask(m, (struct etcd_ask){.question = ETCD_REMOVE, .id = 7}, NULL);
    assert_true(k.got.code < 0 && k.why.text[0]);
    assert_int_equal(k.asked, 1);
    end(m);
}

static void who_is_silent_has_a_limit(void **state)
{
    struct etcd_members *m = begin();
    int fd = k.listener.fd;
    loop_io_stop(k.loop, &k.listener); /* the kernel connects, nobody reads */
    ask(m, (struct etcd_ask){.question = ETCD_STATUS, .limit = 50 * NS_PER_MS}, NULL);
    assert_true(k.got.code < 0 && k.why.text[0]);
    close(fd);
    k.listener.fd = -1;
    struct etcd_ask a = {.question = ETCD_STATUS, .at = k.url, .limit = NS_PER_S};
    assert_int_equal(etcd_members_ask(m, &a, on_told, NULL, NULL), 0);
    etcd_members_free(m); /* what is under way is forgotten */
    etcd_members_free(NULL);
    hang_up();
    buf_free(&k.heard);
    loop_free(k.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_status_is_of_the_member_itself),
        cmocka_unit_test(a_status_tells_of_alarms),
        cmocka_unit_test(alarms_tell_whose_they_are),
        cmocka_unit_test(members_are_listed),
        cmocka_unit_test(lists_have_bounds),
        cmocka_unit_test(what_is_no_answer_is_refused),
        cmocka_unit_test(each_question_has_its_words),
        cmocka_unit_test(a_refusal_says_why),
        cmocka_unit_test(a_change_is_sent_once),
        cmocka_unit_test(who_is_silent_has_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
