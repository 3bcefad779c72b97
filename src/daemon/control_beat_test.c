/* Watched jobs in control: what comes by every way, what does not, and what a restart keeps. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "daemon/control_fixture.h"

#define TOKEN "0123456789abcdef0123"

static void write_conf(struct world *w, const char *beats)
{
    char text[2048], path[128];
    snprintf(path, sizeof path, "%s/token", w->dir);
    assert_int_equal(file_replace(path, STR(TOKEN "\n"), 0600, NULL), 0);
    snprintf(text, sizeof text, "%s%s", two, beats);
    write_file(w, text);
}

static void open_world(struct world *w, const char *beats)
{
    world_open(w);
    write_conf(w, beats);
    first_view(w);
}

static void close_world(struct world *w)
{
    char path[128];
    snprintf(path, sizeof path, "%s/token", w->dir);
    unlink(path);
    world_close(w);
}

static const struct beat_watch *watch(struct world *w, uint32_t i)
{
    const struct beat_watch *b = beating_watch(&w->c, i);
    assert_non_null(b);
    return b;
}

static void a_silent_job_is_told_of(void **state)
{
    static struct world w;
    open_world(&w, "beat quick { every = 100ms  grace = 100ms }\nbeat slow { every = 1h }\n");
    assert_null(beating_watch(&w.c, 2));
    assert_int_equal(watch(&w, 0)->reason, REASON_BEAT_AWAITED);
    beating_take(&w.c, 0, false, STR(""));
    assert_int_equal(watch(&w, 0)->verdict, VERDICT_HEALTHY);
    assert_null(last_event(&w, EVENT_BEAT_BACK)); /* it had not failed */
    UNTIL(&w, last_event(&w, EVENT_BEAT_MISSING));
    const struct event *e = last_event(&w, EVENT_BEAT_MISSING);
    CHECK(e);
    assert_string_equal(e->subject, "quick");
    assert_int_equal(e->to, VERDICT_FAILED);
    assert_int_equal(e->reason, REASON_BEAT_MISSING);
    assert_int_equal(e->evidence[e->n_evidence - 1].kind, SIGNAL_BEAT_MISSING);
    beating_take(&w.c, 0, false, STR(""));
    e = last_event(&w, EVENT_BEAT_BACK);
    CHECK(e);
    assert_int_equal(e->from, VERDICT_FAILED);
    assert_int_equal(watch(&w, 1)->reason, REASON_BEAT_AWAITED);
    close_world(&w);
}

static void a_failed_job_is_told_of(void **state)
{
    static struct world w;
    open_world(&w, "beat slow { every = 1h }\n");
    beating_take(&w.c, 0, true, STR("disk full"));
    const struct event *e = last_event(&w, EVENT_BEAT_FAILED);
    CHECK(e);
    assert_string_equal(e->subject, "slow");
    assert_non_null(strstr(e->text, "disk full"));
    beating_take(&w.c, 0, true, STR("again"));
    assert_int_equal(w.c.events.by_code[EVENT_BEAT_FAILED], 1);
    assert_string_equal(watch(&w, 0)->text, "again");
    beating_take(&w.c, 0, false, STR(""));
    assert_int_equal(w.c.events.by_code[EVENT_BEAT_BACK], 1);
    close_world(&w);
}

/* A beat that comes late and before the timer has looked: it was missing all the same. */
static void what_was_missed_was_missed(void **state)
{
    static struct world w;
    open_world(&w, "beat quick { every = 100ms  grace = 0 }\n");
    beating_take(&w.c, 0, false, STR(""));
    uint64_t due = watch(&w, 0)->now + 150 * NS_PER_MS;
    loop_timer_stop(w.loop, &w.c.beating.due);
    UNTIL(&w, loop_now(w.loop) > due);
    assert_int_equal(watch(&w, 0)->verdict, VERDICT_HEALTHY);
    beating_take(&w.c, 0, false, STR(""));
    assert_int_equal(w.c.events.by_code[EVENT_BEAT_MISSING], 1);
    assert_int_equal(w.c.events.by_code[EVENT_BEAT_BACK], 1);
    UNTIL(&w, w.c.events.by_code[EVENT_BEAT_MISSING] == 2); /* and the timer goes again */
    close_world(&w);
}

static void a_restart_keeps_what_was_known(void **state)
{
    static struct world w;
    open_world(&w, "beat backup { every = 1h }\nbeat report { every = 1h }\n");
    beating_take(&w.c, 0, false, STR(""));
    beating_take(&w.c, 1, true, STR("disk \"full\"\xff"));
    control_end(&w);
    control_start(&w);
    assert_null(beating_watch(&w.c, 0)); /* no view yet */
    w.offers = 0;
    first_view(&w);
    assert_int_equal(watch(&w, 0)->reason, REASON_BEATS);
    assert_int_equal(watch(&w, 0)->beats, 1);
    assert_true(beat_age(watch(&w, 0), loop_now(w.loop)) < 60 * NS_PER_S);
    assert_int_equal(watch(&w, 1)->reason, REASON_BEAT_FAILED);
    assert_int_equal(watch(&w, 1)->failures, 1);
    assert_int_equal(w.c.events.by_code[EVENT_BEAT_FAILED], 0); /* it was told */
    close_world(&w);
}

static void a_reload_keeps_by_name(void **state)
{
    static struct world w;
    open_world(&w, "beat a { every = 1h }\nbeat b { every = 1h }\n");
    beating_take(&w.c, 0, false, STR(""));
    beating_take(&w.c, 1, true, STR("why"));
    write_conf(&w, "beat b { every = 2h }\nbeat c { every = 1h }\n");
    reload_hangup(&w.c);
    UNTIL(&w, w.offers == 2);
    send_epoch(&w, IPC_VIEW_TAKEN, 2);
    UNTIL(&w, w.c.view->epoch == 2);
    assert_int_equal(watch(&w, 0)->reason, REASON_BEAT_FAILED);
    assert_int_equal(watch(&w, 0)->params.every, 7200 * NS_PER_S);
    assert_int_equal(watch(&w, 1)->reason, REASON_BEAT_AWAITED);
    assert_null(beating_watch(&w.c, 2));
    close_world(&w);
}

static void a_damaged_file_is_passed_over(void **state)
{
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "{\"beats\": 7}",
        "{\"beats\": [7, {}, {\"name\": \"\"}]}",
        "{\"beats\": [{\"name\": \"backup\", \"reason\": \"serving\", \"last\": -5}]}",
        "{\"beats\": [{\"name\": \"backup\", \"reason\": \"beat\", \"beats\": -1}]}",
        "{\"beats\": [{\"name\": \"backup\", \"reason\": 5, \"last\": 99999999999999999}]}"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        static struct world w;
        char path[128];
        world_open(&w);
        write_conf(&w, "beat backup { every = 1h }\n");
        control_end(&w);
        snprintf(path, sizeof path, "%s/beats.json", w.dir);
        assert_int_equal(file_replace(path, str_of(texts[i]), 0600, NULL), 0);
        control_start(&w);
        first_view(&w);
        assert_int_equal(watch(&w, 0)->reason, REASON_BEAT_AWAITED);
        assert_int_equal(watch(&w, 0)->beats, 0);
        close_world(&w);
    }
}

/* ---- doors ---- */

static int door(struct world *w, bool datagrams, struct addr *at)
{
    int fd;
    assert_true(addr_parse(STR("127.0.0.1:1"), at));
    at->port = 0;
    fd = datagrams ? net_datagram_listen(at, NULL) : net_listen(at, 128, NULL);
    assert_true(fd >= 0);
    assert_true(net_local_addr(fd, at));
    assert_int_equal(beat_doors_open(w->c.beating.doors, fd, datagrams, NULL), 0);
    return fd;
}

static const char secured[] = "beat backup { every = 1h  token = file:token }\n"
                              "beat open { every = 1h }\n";

static void datagrams_are_taken(void **state)
{
    static struct world w;
    struct addr at;
    open_world(&w, secured);
    door(&w, true, &at);
    int fd = net_datagram_connect(&at, NULL);
    const struct beat_door_counts zero = beat_doors_counts(w.c.beating.doors);
    assert_int_equal(zero.taken, 0);
#define SEND(text) assert_int_equal(net_datagram_send(fd, text, sizeof(text) - 1, NULL), 0)
    SEND("backup " TOKEN "\n");
    UNTIL(&w, watch(&w, 0)->beats == 1);
    SEND("backup wrong-wrong-wrong-wrong\n");
    SEND("backup\n");
    SEND("nobody\n");
    SEND("what is this\n");
    SEND("");
    SEND("open failed no paper\n");
    UNTIL(&w, watch(&w, 1)->beats == 1);
    assert_string_equal(watch(&w, 1)->text, "no paper");
    assert_int_equal(watch(&w, 0)->beats, 1);
    struct beat_door_counts n = beat_doors_counts(w.c.beating.doors);
    assert_int_equal(n.taken, 2);
    assert_int_equal(n.denied, 3);
    assert_int_equal(n.malformed, 2);
    close(fd);
    close_world(&w);
}

/* What the other side says until it closes, or until `lines` lines are there. */
static void talk(struct world *w, int fd, const char *say, char *out, size_t size)
{
    size_t n = 0;
    assert_int_equal(send(fd, say, strlen(say), MSG_NOSIGNAL), (ssize_t)strlen(say));
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    for (int i = 0; i < 10000; i++) {
        turn(w, NS_PER_MS);
        ssize_t got = recv(fd, out + n, size - 1 - n, MSG_DONTWAIT);
        if (got == 0)
            break;
        n += got > 0 ? (size_t)got : 0;
    }
    out[n] = 0;
    close(fd);
}

static int call(const struct addr *at)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(at->port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memcpy(&a.sin_addr, at->ip, 4);
    assert_int_equal(connect(fd, (struct sockaddr *)(void *)&a, sizeof a), 0);
    return fd;
}

static void connections_are_answered(void **state)
{
    static const struct {
        const char *say, *answer;
    } cases[] = {
        {"backup " TOKEN "\n", "ok\n"},
        {"open ok\r\nopen failed x\n", "ok\nok\n"},
        {"open", "ok\n"}, /* without its end, at the end */
        {"open\nwhat?\nopen\n", "ok\nerror: write NAME [TOKEN] [ok | failed TEXT]\n"},
        {"backup\n", "error: there is no such beat here, or this is not its token\n"},
        {"nobody " TOKEN "\n", "error: there is no such beat here, or this is not its token\n"},
    };
    static struct world w;
    char got[4096], line[1100];
    struct addr at;
    open_world(&w, secured);
    door(&w, false, &at);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        talk(&w, call(&at), cases[i].say, got, sizeof got);
        assert_string_equal(got, cases[i].answer);
    }
    assert_int_equal(watch(&w, 0)->beats, 1);
    assert_int_equal(watch(&w, 1)->beats, 4);
    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = 0;
    talk(&w, call(&at), line, got, sizeof got);
    assert_string_equal(got, "error: the line is longer than 1024 bytes\n");
    close_world(&w);
}

static void guesses_end(void **state)
{
    static struct world w;
    char got[256];
    struct addr at;
    open_world(&w, secured);
    door(&w, false, &at);
    for (int i = 0; i < 10; i++) {
        talk(&w, call(&at), "backup guess-guess-guess-guess\n", got, sizeof got);
        assert_non_null(strstr(got, "not its token"));
    }
    talk(&w, call(&at), "backup " TOKEN "\n", got, sizeof got);
    assert_non_null(strstr(got, "come back later"));
    assert_int_equal(watch(&w, 0)->beats, 0);
    close_world(&w);
}

static uint64_t flood(struct world *w, int fd)
{
    for (int i = 0; i < 100; i++)
        net_datagram_send(fd, "open\n", 5, NULL);
    return beat_doors_counts(w->c.beating.doors).dropped;
}

static void there_are_bounds(void **state)
{
    static struct world w;
    int fds[BEAT_DOOR_CONNECTIONS + 1];
    struct addr at, datagrams;
    char got[64];
    open_world(&w, secured);
    door(&w, false, &at);
    door(&w, true, &datagrams);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        fds[i] = call(&at);
    UNTIL(&w, beat_doors_counts(w.c.beating.doors).dropped == 1);
    int refused = 0;
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        refused += recv(fds[i], got, sizeof got, MSG_DONTWAIT) == 0;
        close(fds[i]);
    }
    assert_int_equal(refused, 1);
    turn(&w, 20 * NS_PER_MS);
    int fd = net_datagram_connect(&datagrams, NULL);
    uint64_t before = beat_doors_counts(w.c.beating.doors).dropped;
    UNTIL(&w, flood(&w, fd) > before);
    assert_true(beat_doors_counts(w.c.beating.doors).taken >= BEAT_DOOR_LINES_A_SECOND);
    close(fd);
    close_world(&w);
}

/* Wherever memory ends, nothing is left behind and what is in force stays so. */
static void without_memory(void **state)
{
    static struct world w;
    struct addr at;
    open_world(&w, secured);
    for (unsigned long n = 1; n < 12; n++) {
        int fd;
        assert_true(addr_parse(STR("127.0.0.1:1"), &at));
        at.port = 0;
        fd = net_listen(&at, 16, NULL);
        mem_fail_at(n);
        beat_doors_open(w.c.beating.doors, fd, false, NULL);
        mem_fail_at(0);
        mem_fail_at(n);
        beating_take(&w.c, 0, true, STR("why"));
        mem_fail_at(0);
    }
    assert_int_equal(watch(&w, 0)->beats, 11);
    mem_fail_at(1);
    beating_adopt(&w.c);
    mem_fail_at(0);
    assert_null(beating_watch(&w.c, 0));
    beating_adopt(&w.c);
    assert_int_equal(watch(&w, 0)->reason, REASON_BEAT_AWAITED);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_silent_job_is_told_of),
        cmocka_unit_test(a_failed_job_is_told_of),
        cmocka_unit_test(what_was_missed_was_missed),
        cmocka_unit_test(a_restart_keeps_what_was_known),
        cmocka_unit_test(a_reload_keeps_by_name),
        cmocka_unit_test(a_damaged_file_is_passed_over),
        cmocka_unit_test(datagrams_are_taken),
        cmocka_unit_test(connections_are_answered),
        cmocka_unit_test(guesses_end),
        cmocka_unit_test(there_are_bounds),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
