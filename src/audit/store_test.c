/* The store: bounds, questions, damage, and a disk and memory that fail. */
#include "audit/inside.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "audit/faulty_vfs.h"

#define DAY (24 * 3600 * NS_PER_S)

static const struct audit_limits wide = {30 * DAY, 1000000, UINT64_C(1) << 30};

struct fixture {
    char dir[64], path[96];
    struct store store;
    struct buf bytes;
    uint64_t seq, wall;
};

static struct fixture *made(void **state)
{
    return *state;
}

static void open_as(struct fixture *f, const struct audit_limits *l)
{
    struct err e = {0};
    int r = store_open(&f->store, f->path, "faulty", "a", "boot-1", l, &e);
    if (r)
        print_error("%s\n", e.text);
    assert_int_equal(r, 0);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    strcpy(f->dir, "/tmp/audit-store-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof f->path, "%s/audit.db", f->dir);
    faulty_begin();
    f->wall = 100 * DAY;
    open_as(f, &wide);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = made(state);
    char command[128];
    store_close(&f->store);
    buf_free(&f->bytes);
    snprintf(command, sizeof command, "rm -rf %s", f->dir);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

/* What a test says of a record; the rest is made up. */
struct one {
    enum audit_kind kind;
    const char *subject, *code;
};

static void queue(struct fixture *f, struct one o)
{
    struct audit_signal evidence = {
        STR("check-refused"), STR("control"), STR(""), f->seq + 1, 0, 3};
    f->seq++;
    f->wall += NS_PER_S;
    struct audit_record r = {
        .seq = f->seq,
        .boot = f->seq * NS_PER_S,
        .wall = f->wall,
        .epoch = 1,
        .kind = o.kind,
        .code = str_of(o.code ? o.code : "instance-verdict"),
        .level = STR("info"),
        .subject_kind = STR("instance"),
        .subject = str_of(o.subject),
        .after = o.kind == AUDIT_VERDICT ? STR("failed") : STR(""),
        .text = STR("what happened, in a sentence that is about as long as they are"),
        .evidence = &evidence,
        .n_evidence = 1,
    };
    assert_true(record_pack(&f->bytes, &r));
}

static int flush(struct fixture *f, struct err *e)
{
    struct str left = buf_str(&f->bytes);
    int r = 0;
    while (r == 0 && left.n)
        r = store_write(&f->store, &left, 1000, e);
    buf_drop_front(&f->bytes, f->bytes.n - left.n);
    return r;
}

static void add(struct fixture *f, struct one o)
{
    queue(f, o);
    assert_int_equal(flush(f, NULL), 0);
}

static struct store_answer asked(struct fixture *f, struct audit_question q)
{
    struct store_answer a;
    struct err e = {0};
    q.limit = q.limit ? q.limit : AUDIT_ANSWER_ROWS;
    int r = store_ask(&f->store, &q, &a, &e);
    if (r)
        print_error("%s\n", e.text);
    assert_int_equal(r, 0);
    buf_add(&a.rows, "", 1);
    buf_add(&a.then, "", 1);
    buf_add(&a.names, "", 1);
    return a;
}

static uint32_t count(struct fixture *f, struct audit_question q)
{
    struct store_answer a = asked(f, q);
    uint32_t n = a.n;
    store_answer_free(&a);
    return n;
}

static struct audit_question why(const char *subject)
{
    struct audit_question q = {.kind = AUDIT_WHY};
    str_copy(q.subject, sizeof q.subject, str_of(subject));
    return q;
}

static uint32_t occurrences(const char *text, const char *what)
{
    uint32_t n = 0;
    for (const char *p = text; (p = strstr(p, what)); p += strlen(what))
        n++;
    return n;
}

/* ---- what it holds ---- */

static void test_records_are_there_after_it_was_opened_again(void **state)
{
    struct fixture *f = made(state);
    struct stat st;
    for (int i = 0; i < 5; i++)
        add(f, (struct one){AUDIT_VERDICT, "web/a", NULL});
    store_close(&f->store);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    open_as(f, &wide);
    assert_int_equal(f->store.rows, 5);
    struct store_answer a = asked(f, (struct audit_question){.kind = AUDIT_SPAN});
    assert_int_equal(a.n, 5);
    assert_non_null(strstr(a.rows.p, "{\"seq\":1,\"time\":\"1970-04-11T00:00:01.000Z\""));
    assert_non_null(strstr(a.rows.p, "\"boot\":\"boot-1\",\"node\":\"a\""));
    assert_non_null(strstr(a.rows.p, "\"to\":\"failed\",\"evidence\":[{\"signal\":"));
    assert_null(strstr(a.rows.p, "\"by\""));
    store_answer_free(&a);
}

static void test_a_span_has_its_ends_and_a_cursor(void **state)
{
    struct fixture *f = made(state);
    uint64_t begin = f->wall;
    for (int i = 0; i < 10; i++)
        add(f, (struct one){i % 2 ? AUDIT_EVENT : AUDIT_VERDICT, i % 2 ? "proxy" : "web/a",
                            i % 2 ? "process-exit" : NULL});
    struct audit_question q = {.since = begin + 3 * NS_PER_S, .until = begin + 8 * NS_PER_S};
    assert_int_equal(count(f, q), 6);
    q.limit = 4;
    struct store_answer a = asked(f, q);
    assert_true(a.more);
    assert_int_equal(a.n, 4);
    q.from = a.next;
    store_answer_free(&a);
    a = asked(f, q);
    assert_false(a.more);
    assert_int_equal(a.n, 2);
    assert_non_null(strstr(a.rows.p, "{\"seq\":7,"));
    store_answer_free(&a);
    strcpy(q.code, "process-exit");
    q.from = 0;
    assert_int_equal(count(f, q), 3);
    strcpy(q.subject, "web");
    assert_int_equal(count(f, q), 0);
    q.code[0] = 0;
    assert_int_equal(count(f, q), 3);
    assert_int_equal(count(f, (struct audit_question){.since = f->wall + 1}), 0);
}

static void test_a_clock_that_went_back_hides_nothing(void **state)
{
    struct fixture *f = made(state);
    add(f, (struct one){AUDIT_EVENT, "x", NULL});
    uint64_t since = f->wall + 1;
    f->wall += DAY;
    add(f, (struct one){AUDIT_EVENT, "x", NULL});
    f->wall -= DAY;
    add(f, (struct one){AUDIT_EVENT, "x", NULL});
    assert_int_equal(count(f, (struct audit_question){.since = since}), 2);
}

static void test_why_finds_a_service_an_instance_and_an_address(void **state)
{
    struct fixture *f = made(state);
    add(f, (struct one){AUDIT_VERDICT, "web/10.0.0.1:80", NULL});
    add(f, (struct one){AUDIT_VERDICT, "web/10.0.0.2:80", NULL});
    add(f, (struct one){AUDIT_VERDICT, "web-next/10.0.0.2:80", NULL});
    add(f, (struct one){AUDIT_DECISION, "web/10.0.0.1:80", "drain"});
    struct store_answer a = asked(f, why("web"));
    assert_int_equal(a.n, 3);
    assert_true(strstr(a.rows.p, "drain") < strstr(a.rows.p, "10.0.0.2"));
    assert_int_equal(occurrences(a.then.p, "\"seq\""), 2);
    store_answer_free(&a);
    a = asked(f, why("web/10.0.0.1:80"));
    assert_int_equal(a.n, 2);
    assert_int_equal(occurrences(a.then.p, "\"seq\":1,"), 1);
    store_answer_free(&a);
    a = asked(f, why("10.0.0.1:80"));
    assert_string_equal(a.subject, "web/10.0.0.1:80");
    assert_int_equal(a.n, 2);
    store_answer_free(&a);
    a = asked(f, why("10.0.0.2:80"));
    assert_int_equal(a.n, 0);
    assert_string_equal(a.names.p, "\"web-next/10.0.0.2:80\",\"web/10.0.0.2:80\"");
    assert_false(a.near);
    store_answer_free(&a);
    a = asked(f, why("wep"));
    assert_int_equal(a.n + a.n_names, 0);
    assert_string_equal(a.subject, "wep");
    store_answer_free(&a);
    a = asked(f, why("web/10.0.0.1:81"));
    assert_true(a.near);
    assert_non_null(strstr(a.names.p, "\"web/10.0.0.1:80\""));
    store_answer_free(&a);
}

static void test_why_tells_how_it_was_then(void **state)
{
    struct fixture *f = made(state);
    add(f, (struct one){AUDIT_VERDICT, "web/a", NULL});
    uint64_t then = f->wall;
    add(f, (struct one){AUDIT_VERDICT, "web/a", NULL});
    struct audit_question q = why("web/a");
    q.until = then;
    struct store_answer a = asked(f, q);
    assert_int_equal(a.n, 1);
    assert_int_equal(occurrences(a.then.p, "\"seq\":1,"), 1);
    store_answer_free(&a);
    q.until = then - 1;
    a = asked(f, q);
    assert_int_equal(a.n, 0);
    store_answer_free(&a);
}

static void test_an_answer_is_bounded_in_bytes(void **state)
{
    struct fixture *f = made(state);
    struct audit_signal evidence[AUDIT_EVIDENCE];
    static char says[300];
    memset(says, 's', sizeof says);
    for (int i = 0; i < AUDIT_EVIDENCE; i++)
        evidence[i] = (struct audit_signal){STR("x"), STR("y"), {says, sizeof says}, 1, 1, 1};
    struct audit_record r = {
        .subject = STR("big"), .evidence = evidence, .n_evidence = AUDIT_EVIDENCE};
    for (int i = 0; i < 400; i++)
        assert_true(record_pack(&f->bytes, &r));
    assert_int_equal(flush(f, NULL), 0);
    struct store_answer a = asked(f, (struct audit_question){.kind = AUDIT_SPAN});
    assert_true(a.more && a.n < 400 && a.rows.n < 3 << 20);
    store_answer_free(&a);
}

/* ---- its bounds ---- */

static void prune_all(struct fixture *f)
{
    int code = 0;
    while (store_prune(&f->store, f->wall, &code, NULL))
        ;
    assert_int_equal(code, 0);
}

static void test_too_many_rows_go_decisions_last(void **state)
{
    struct fixture *f = made(state);
    f->store.limits.rows = 1000;
    for (int i = 0; i < 300; i++)
        queue(f, (struct one){AUDIT_DECISION, "web/a", "drain"});
    for (int i = 0; i < 3000; i++)
        queue(f, (struct one){AUDIT_VERDICT, "web/a", NULL});
    assert_int_equal(flush(f, NULL), 0);
    prune_all(f);
    assert_true(f->store.rows <= 1000 && f->store.rows > 800);
    assert_int_equal(f->store.lasting, 300);
    uint64_t rows = f->store.rows;
    assert_int_equal(store_count(&f->store, NULL), 0);
    assert_int_equal(f->store.rows, rows); /* as it was reckoned */
    for (int i = 0; i < 3000; i++)
        queue(f, (struct one){AUDIT_DECISION, "web/a", "drain"});
    assert_int_equal(flush(f, NULL), 0);
    prune_all(f);
    assert_true(f->store.rows <= 1000);
    assert_true(f->store.lasting < 900); /* they do not drive out the rest */
}

static void test_the_latest_verdict_of_each_stays(void **state)
{
    struct fixture *f = made(state);
    add(f, (struct one){AUDIT_VERDICT, "web/quiet", NULL});
    f->store.limits.rows = 500;
    for (int i = 0; i < 2000; i++)
        queue(f, (struct one){AUDIT_VERDICT, "web/loud", NULL});
    assert_int_equal(flush(f, NULL), 0);
    prune_all(f);
    assert_int_equal(count(f, why("web/quiet")), 1);
    /* but not where there is nothing else to take */
    f->store.limits.rows = 200;
    char name[32];
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "web/%d", i);
        queue(f, (struct one){AUDIT_VERDICT, name, NULL});
    }
    assert_int_equal(flush(f, NULL), 0);
    prune_all(f);
    assert_true(f->store.rows <= 200);
}

static void test_what_is_old_goes_decisions_later(void **state)
{
    struct fixture *f = made(state);
    f->store.limits.keep = 10 * DAY;
    for (int i = 0; i < 20; i++)
        queue(f, (struct one){i % 2 ? AUDIT_DECISION : AUDIT_VERDICT, "web/a", NULL});
    assert_int_equal(flush(f, NULL), 0);
    f->wall += 11 * DAY;
    add(f, (struct one){AUDIT_VERDICT, "web/a", NULL});
    prune_all(f);
    assert_int_equal(f->store.rows, 11);
    f->wall += 31 * DAY;
    prune_all(f);
    assert_int_equal(f->store.rows, 1); /* the latest verdict */
    f->wall += 31 * DAY;
    prune_all(f);
    assert_int_equal(f->store.rows, 0);
}

static void test_bytes_bound_the_file(void **state)
{
    struct fixture *f = made(state);
    f->store.limits.bytes = 2 << 20;
    struct stat st;
    for (int round = 0; round < 40; round++) {
        for (int i = 0; i < 500; i++)
            queue(f, (struct one){AUDIT_VERDICT, "web/a", NULL});
        assert_int_equal(flush(f, NULL), 0);
        prune_all(f);
    }
    assert_int_equal(store_sync(&f->store, NULL), 0);
    assert_int_equal(stat(f->path, &st), 0);
    assert_true(st.st_size <= 2 << 20);
    assert_true(f->store.rows > 2000);
    f->store.limits.bytes = 1 << 20; /* a smaller bound gives back what is above it */
    prune_all(f);
    for (int i = 0; i < 5; i++)
        prune_all(f);
    store_close(&f->store);
    assert_int_equal(stat(f->path, &st), 0);
    assert_true(st.st_size <= 1 << 20);
    open_as(f, &wide);
}

/* ---- what goes wrong ---- */

static void test_damage_is_found_and_set_aside(void **state)
{
    struct fixture *f = made(state);
    struct err e = {0};
    for (int i = 0; i < 200; i++)
        queue(f, (struct one){AUDIT_VERDICT, "web/a", NULL});
    assert_int_equal(flush(f, NULL), 0);
    store_close(&f->store);
    int fd = open(f->path, O_WRONLY);
    static const char junk[4096] = "this is no page of a table";
    for (int page = 1; page < 12; page++)
        assert_int_equal(pwrite(fd, junk, sizeof junk, page * 4096), sizeof junk);
    close(fd);
    int r = store_open(&f->store, f->path, "faulty", "a", "boot-1", &wide, &e);
    assert_int_equal(r, -ERR_PROTO);
    assert_int_equal(store_set_aside(f->path, "damaged", &e), 0);
    char aside[128];
    snprintf(aside, sizeof aside, "%s.damaged", f->path);
    assert_int_equal(access(aside, F_OK), 0);
    open_as(f, &wide);
    assert_int_equal(f->store.rows, 0);
}

static void test_a_file_that_is_no_audit_is_damage(void **state)
{
    struct fixture *f = made(state);
    struct err e = {0};
    store_close(&f->store);
    int fd = open(f->path, O_WRONLY | O_TRUNC);
    assert_int_equal(write(fd, "hello, this is a letter to nobody\n", 34), 34);
    close(fd);
    assert_int_equal(store_open(&f->store, f->path, "faulty", "a", "b", &wide, &e), -ERR_PROTO);
    assert_int_equal(truncate(f->path, 0), 0);
    open_as(f, &wide); /* an empty one is new */
}

static void test_another_version_is_not_touched(void **state)
{
    struct fixture *f = made(state);
    struct err e = {0};
    add(f, (struct one){AUDIT_VERDICT, "web/a", NULL});
    assert_int_equal(store_run(&f->store, "PRAGMA user_version = 107", &e), 0);
    store_close(&f->store);
    open_as(f, &wide); /* newer, and still readable by its number */
    assert_int_equal(f->store.rows, 1);
    assert_int_equal(store_run(&f->store, "PRAGMA user_version = 200", &e), 0);
    store_close(&f->store);
    assert_int_equal(store_open(&f->store, f->path, "faulty", "a", "b", &wide, &e), -ERR_EXISTS);
    assert_non_null(strstr(e.text, "its version is 200"));
}

static void test_a_full_disk_and_one_that_fails(void **state)
{
    static const struct {
        int sqlite, code;
    } faults[] = {{SQLITE_FULL, -ERR_LIMIT}, {SQLITE_IOERR_WRITE, -ERR_IO}};
    struct fixture *f = made(state);
    add(f, (struct one){AUDIT_VERDICT, "web/a", NULL});
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        struct err e = {0};
        queue(f, (struct one){AUDIT_VERDICT, "web/a", NULL});
        size_t waiting = f->bytes.n;
        atomic_store(&faulty.write, faults[i].sqlite);
        assert_int_equal(flush(f, &e), faults[i].code);
        assert_int_equal(f->bytes.n, waiting); /* nothing of it is lost */
        assert_int_equal(f->store.rows, i + 1);
        assert_int_equal(flush(f, &e), faults[i].code);
        atomic_store(&faulty.write, 0);
        assert_int_equal(flush(f, &e), 0);
        assert_int_equal(f->store.rows, i + 2);
        assert_int_equal(count(f, why("web/a")), i + 2);
    }
    struct err e = {0};
    atomic_store(&faulty.sync, SQLITE_IOERR_FSYNC);
    assert_int_equal(store_sync(&f->store, &e), -ERR_IO);
    atomic_store(&faulty.sync, 0);
    assert_int_equal(store_sync(&f->store, &e), 0);
}

static void test_a_read_only_place(void **state)
{
    struct fixture *f = made(state);
    struct err e = {0};
    store_close(&f->store);
    assert_int_equal(store_open(&f->store, "/proc/audit.db", "faulty", "a", "b", &wide, &e),
                     -ERR_IO);
    assert_non_null(strstr(e.text, "cannot open /proc/audit.db"));
}

/* ---- memory ---- */

struct failing {
    sqlite3_mem_methods real;
    long at; /* the allocation to fail; 0: none */
    bool hit;
};
static struct failing failing;

static bool fails(void)
{
    if (failing.at && --failing.at == 0)
        failing.hit = true;
    return failing.hit; /* and all that follow, as when memory is out */
}
static void *failing_malloc(int n)
{
    return fails() ? NULL : failing.real.xMalloc(n);
}
static void *failing_realloc(void *p, int n)
{
    return fails() ? NULL : failing.real.xRealloc(p, n);
}

static void test_memory_runs_out_at_any_point(void **state)
{
    struct fixture *f = made(state);
    for (int i = 0; i < 20; i++)
        add(f, (struct one){AUDIT_VERDICT, "web/a", NULL});
    bool hit = true;
    for (long at = 1; hit; at += 1 + at / 16) {
        struct err e = {0};
        struct store_answer a = {.n = 0};
        struct audit_question q = why("web/b");
        q.limit = 10;
        store_close(&f->store);
        failing.at = at;
        int r = store_open(&f->store, f->path, "faulty", "a", "boot-1", &wide, &e);
        if (r == 0) {
            queue(f, (struct one){AUDIT_VERDICT, "web/a", NULL});
            r = flush(f, &e);
            int asked = store_ask(&f->store, &q, &a, &e);
            r = r ? r : asked;
            store_answer_free(&a);
        }
        hit = failing.hit;
        failing.at = 0;
        failing.hit = false;
        if (r && r != -ERR_NOMEM)
            print_error("at %ld: %s\n", at, e.text);
        assert_true(r == 0 || r == -ERR_NOMEM);
        assert_true(hit || r == 0);
        if (r == 0 || f->store.db == NULL)
            continue;
        assert_int_equal(flush(f, &e), 0); /* the same store goes on */
    }
    for (unsigned long at = 1;; at++) {
        struct err e = {0};
        struct store_answer a = {.n = 0};
        struct audit_question q = why("web/b");
        q.limit = 10;
        queue(f, (struct one){AUDIT_VERDICT, "web/a", NULL});
        mem_fail_at(at);
        int r = flush(f, &e), asked = store_ask(&f->store, &q, &a, &e);
        bool failed = mem_failed();
        mem_fail_at(0);
        assert_true((r == 0 || r == -ERR_NOMEM) && (asked == 0 || asked == -ERR_NOMEM));
        store_answer_free(&a);
        assert_int_equal(flush(f, &e), 0);
        if (!failed)
            return;
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_records_are_there_after_it_was_opened_again),
        TEST(test_a_span_has_its_ends_and_a_cursor),
        TEST(test_a_clock_that_went_back_hides_nothing),
        TEST(test_why_finds_a_service_an_instance_and_an_address),
        TEST(test_why_tells_how_it_was_then),
        TEST(test_an_answer_is_bounded_in_bytes),
        TEST(test_too_many_rows_go_decisions_last),
        TEST(test_the_latest_verdict_of_each_stays),
        TEST(test_what_is_old_goes_decisions_later),
        TEST(test_bytes_bound_the_file),
        TEST(test_damage_is_found_and_set_aside),
        TEST(test_a_file_that_is_no_audit_is_damage),
        TEST(test_another_version_is_not_touched),
        TEST(test_a_full_disk_and_one_that_fails),
        TEST(test_a_read_only_place),
        TEST(test_memory_runs_out_at_any_point),
    };
    sqlite3_config(SQLITE_CONFIG_GETMALLOC, &failing.real);
    sqlite3_mem_methods mine = failing.real;
    mine.xMalloc = failing_malloc;
    mine.xRealloc = failing_realloc;
    sqlite3_config(SQLITE_CONFIG_MALLOC, &mine);
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
