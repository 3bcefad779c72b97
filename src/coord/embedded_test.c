/* The embedded engine: its file, its disk's faults, and what is left after a kill. The contract
 * (contract_test.c) is tested there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "coord/embedded_db.h"
#include "coord/faulty_disk_test.h"

static struct fixture {
    struct loop *loop;
    struct faulty_disk *disk;
    struct timer tick;
    char folder[64], path[80], log[88];
} f;

static void on_tick(struct timer *t)
{
    loop_stop(f.loop);
}

static int setup(void **state)
{
    memset(&f, 0, sizeof f);
    f.disk = faulty_disk();
    assert_int_equal(loop_new(&f.loop, NULL), 0);
    timer_init(&f.tick, on_tick);
    snprintf(f.folder, sizeof f.folder, "/tmp/hf-embedded-XXXXXX");
    assert_non_null(mkdtemp(f.folder));
    snprintf(f.path, sizeof f.path, "%s/map.db", f.folder);
    snprintf(f.log, sizeof f.log, "%s-wal", f.path);
    return 0;
}

static int teardown(void **state)
{
    faulty_disk_heal(f.disk);
    loop_free(f.loop);
    unlink(f.path);
    unlink(f.log);
    assert_int_equal(rmdir(f.folder), 0);
    return 0;
}

static void turn(uint64_t ms)
{
    loop_timer_set(f.loop, &f.tick, clock_now() + ms * NS_PER_MS);
    assert_int_equal(loop_run(f.loop, NULL), 0);
}

/* ---- The file, without the thread ---- */

static struct db *open_db(void)
{
    struct db *db = NULL;
    struct err e = {0};
    if (db_open(&db, f.path, &e))
        print_error("%s\n", e.text);
    assert_non_null(db);
    return db;
}

static enum db_end db_put(struct db *db, const char *key, uint64_t expected, const char *value,
                          struct db_change *change)
{
    struct err e;
    struct coord_op op = {str_of(key), str_of(value), expected, COORD_PUT};
    return db_cas(db, &op, 1, change, &e);
}

static void expect(struct db *db, const char *want)
{
    struct db_items l;
    struct buf b = {0};
    assert_int_equal(db_range(db, STR(""), &l, NULL), DB_OK);
    for (uint32_t i = 0; i < l.n; i++)
        assert_true(buf_printf(&b, "%s" STR_FMT "=" STR_FMT "@%llu", i ? " " : "",
                               STR_ARG(l.items[i].key), STR_ARG(l.items[i].value),
                               (unsigned long long)l.items[i].revision));
    assert_true(buf_add(&b, "", 1));
    assert_string_equal(b.p, want);
    buf_free(&b);
    db_items_free(&l);
}

static void the_file_is_its_owners_alone_and_lasts(void **state)
{
    struct db_change c;
    struct stat st;
    mode_t before = umask(0);
    struct db *db = open_db();
    assert_int_equal(db_put(db, "a", 0, "1", &c), DB_OK);
    assert_int_equal(c.revision, DB_FIRST + 1);
    assert_int_equal(stat(f.path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(stat(f.log, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    db_close(db);
    assert_int_equal(chmod(f.path, 0644), 0);
    db = open_db();
    umask(before);
    assert_int_equal(stat(f.path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(db_revision(db), DB_FIRST + 1);
    expect(db, "a=1@2");
    db_close(db);
    assert_int_equal(access(f.log, F_OK), -1); /* nothing beside it when it is closed */
}

/* A copy of what the log and the file are after a kill: the file as it is, and its log. */
static void every_change_is_in_the_file_when_it_is_done(void **state)
{
    char copy[128], command[512];
    struct db_change c;
    struct db *db = open_db();
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(db_put(db, "a", COORD_ANY, "1", &c), DB_OK);
    uint64_t syncs = faulty_disk_syncs(f.disk);
    assert_int_equal(db_put(db, "b", 0, "2", &c), DB_OK);
    assert_int_equal(faulty_disk_syncs(f.disk), syncs + 1); /* and it was synced */
    snprintf(copy, sizeof copy, "%s/copy", f.folder);
    snprintf(command, sizeof command, "cp %s %s && cp %s %s-wal", f.path, copy, f.log, copy);
    assert_int_equal(system(command), 0);
    db_close(db);
    unlink(f.path);
    assert_int_equal(rename(copy, f.path), 0);
    snprintf(command, sizeof command, "%s-wal", copy);
    assert_int_equal(rename(command, f.log), 0);
    db = open_db();
    expect(db, "a=1@6 b=2@7");
    db_close(db);
}

static void write_file(const char *bytes, size_t n, off_t at, int flags)
{
    int fd = open(f.path, O_WRONLY | O_CREAT | flags, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, n, at), n);
    close(fd);
}

static void refused(enum err_code code, const char *says)
{
    struct db *db = NULL;
    struct coord *c = NULL;
    struct err e = {0};
    assert_int_equal(db_open(&db, f.path, &e), -(int)code);
    assert_null(db);
    assert_non_null(strstr(e.text, f.path));
    if (!strstr(e.text, says))
        print_error("%s\n", e.text);
    assert_non_null(strstr(e.text, says));
    assert_int_equal(coord_embedded_new(&c, f.loop, f.path, &e), -(int)code);
    assert_null(c);
}

static void sqlite_does(const char *text)
{
    sqlite3 *s;
    assert_int_equal(sqlite3_open(f.path, &s), SQLITE_OK);
    assert_int_equal(sqlite3_exec(s, "PRAGMA locking_mode = EXCLUSIVE", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_exec(s, text, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(s), SQLITE_OK);
}

static void what_is_not_ours_is_left_as_it_is(void **state)
{
    static char text[9000], is[9000];
    memset(text, 'x', sizeof text);
    write_file(text, sizeof text, 0, 0);
    refused(ERR_INVAL, "move it away");
    int fd = open(f.path, O_RDONLY);
    assert_int_equal(read(fd, is, sizeof is), sizeof is);
    assert_memory_equal(is, text, sizeof is);
    close(fd);
    unlink(f.path);
    sqlite_does("CREATE TABLE t(x)");
    refused(ERR_INVAL, "some other program's database");
    sqlite_does("INSERT INTO t VALUES(1)"); /* not turned into a log's file either */
    assert_int_equal(access(f.log, F_OK), -1);
}

static void newer_versions_are_refused(void **state)
{
    db_close(open_db());
    sqlite_does("PRAGMA user_version = 2");
    refused(ERR_INVAL, "version 2");
    sqlite_does("PRAGMA user_version = 1");
    db_close(open_db());
}

static void what_cannot_be_opened_says_why(void **state)
{
    struct db *db = NULL;
    struct err e = {0};
    char path[128];
    snprintf(path, sizeof path, "%s/absent/map.db", f.folder);
    assert_int_equal(db_open(&db, path, &e), -ERR_IO);
    assert_non_null(strstr(e.text, "No such file"));
    assert_true(db_open(&db, f.folder, &e) < 0);
    assert_null(db);
}

static void an_unfinished_beginning_is_begun_again(void **state)
{
    write_file("", 0, 0, 0); /* killed after making the file */
    db_close(open_db());
    unlink(f.path);
    sqlite_does("PRAGMA journal_mode = WAL"); /* and after preparing it */
    struct db *db = open_db();
    expect(db, "");
    db_close(db);
}

static void fill(uint32_t n)
{
    struct db_change c;
    char key[16];
    static char value[3000];
    memset(value, 'v', sizeof value - 1);
    struct db *db = open_db();
    for (uint32_t i = 0; i < n; i++) {
        snprintf(key, sizeof key, "key-%u", i);
        assert_int_equal(db_put(db, key, 0, value, &c), DB_OK);
    }
    db_close(db);
}

static void damage_is_found_when_it_is_opened(void **state)
{
    struct stat st;
    char noise[400];
    uint32_t found = 0;
    memset(noise, 0xa5, sizeof noise);
    fill(40);
    assert_int_equal(stat(f.path, &st), 0);
    for (off_t at = DB_PAGE; at + DB_PAGE < st.st_size; at += 2 * DB_PAGE) {
        char was[sizeof noise];
        int fd = open(f.path, O_RDWR);
        assert_int_equal(pread(fd, was, sizeof was, at), sizeof was);
        assert_int_equal(pwrite(fd, noise, sizeof noise, at), sizeof noise);
        struct db *db = NULL;
        struct err e = {0};
        if (db_open(&db, f.path, &e)) {
            assert_true(strstr(e.text, "backup") != NULL);
            found++;
        }
        db_close(db); /* bytes of a value are nobody's structure */
        assert_int_equal(pwrite(fd, was, sizeof was, at), sizeof was);
        close(fd);
    }
    assert_true(found >= 10);
    assert_int_equal(truncate(f.path, st.st_size / 2), 0);
    refused(ERR_IO, "backup");
}

static void a_file_that_contradicts_itself_is_refused(void **state)
{
    fill(3);
    sqlite_does("UPDATE map SET revision = 2");
    refused(ERR_IO, "contradicts itself");
    sqlite_does("DELETE FROM map");
    refused(ERR_INVAL, "lacks");
}

static void two_at_once_are_refused(void **state)
{
    struct db *db = open_db();
    pid_t child = fork();
    if (child == 0) {
        struct db *second = NULL;
        struct err e = {0};
        int r = db_open(&second, f.path, &e);
        _exit(r == -ERR_BUSY && strstr(e.text, "another holdfast") ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    db_close(db);
}

/* ---- A disk that fails at any moment ---- */

/* One change on a disk with this fault; then what it says must be what the file holds. */
static void change_with_fault(struct db *db, uint64_t *revision, uint32_t *done, uint32_t * not )
{
    struct db_change c = {0};
    char value[24], want[64];
    uint64_t before = *revision;
    snprintf(value, sizeof value, "%u", *done + *not );
    enum db_end end = db_put(db, "a", before > DB_FIRST ? before : 0, value, &c);
    bool happened = end == DB_OK;
    faulty_disk_heal(f.disk);
    if (end == DB_SICK || end == DB_UNSETTLED) {
        assert_int_equal(db_settle(db, NULL), 0);
        happened = db_revision(db) == c.revision;
        assert_true(happened ? end == DB_UNSETTLED : db_revision(db) == before);
    }
    assert_int_equal(db_revision(db), before + happened);
    *revision = db_revision(db);
    *done += happened;
    *not += !happened;
    if (!happened)
        return;
    snprintf(want, sizeof want, "a=%s@%llu", value, (unsigned long long)*revision);
    expect(db, want);
}

static void expect_revision_when_opened_again(struct db *db, uint64_t revision)
{
    db_close(db);
    db = open_db();
    assert_int_equal(db_revision(db), revision);
    db_close(db);
}

static void a_disk_that_is_full_at_any_byte(void **state)
{
    struct db *db = open_db();
    uint64_t revision = db_revision(db);
    uint32_t done = 0, not = 0;
    for (int64_t room = 0; room < 30000; room += 397) {
        faulty_disk_room(f.disk, room);
        change_with_fault(db, &revision, &done, &not );
    }
    assert_true(done > 5 && not > 5);
    expect_revision_when_opened_again(db, revision);
}

static void a_write_that_fails(void **state)
{
    struct db *db = open_db();
    uint64_t revision = db_revision(db);
    uint32_t done = 0, not = 0;
    for (uint32_t i = 0; i < 30; i++) {
        faulty_disk_fail_write(f.disk, 1);
        change_with_fault(db, &revision, &done, &not );
        change_with_fault(db, &revision, &done, &not );
    }
    assert_true(done >= 30 && not > 5);
    expect_revision_when_opened_again(db, revision);
}

/* Whether the kernel then holds what was written or forgets it, nobody is told what is not so. */
static void a_sync_that_fails(void **state)
{
    for (uint32_t forget = 0; forget < 2; forget++) {
        struct db *db = open_db();
        uint64_t revision = db_revision(db);
        uint32_t done = 0, not = 0;
        for (uint32_t i = 0; i < 30; i++) {
            faulty_disk_fail_sync(f.disk, 1, forget);
            change_with_fault(db, &revision, &done, &not );
            change_with_fault(db, &revision, &done, &not );
        }
        assert_int_equal(not, forget ? 30 : 0);
        expect_revision_when_opened_again(db, revision);
        unlink(f.path);
    }
}

static void an_older_file_is_not_taken_for_the_present(void **state)
{
    char copy[88], command[256];
    struct db_change c;
    struct err e = {0};
    fill(2);
    snprintf(copy, sizeof copy, "%s-old", f.path);
    snprintf(command, sizeof command, "cp %s %s", f.path, copy);
    assert_int_equal(system(command), 0);
    struct db *db = open_db();
    assert_int_equal(db_put(db, "a", 0, "1", &c), DB_OK);
    faulty_disk_fail_sync(f.disk, 1, false);
    assert_int_equal(db_put(db, "a", c.revision, "2", &c), DB_UNSETTLED);
    faulty_disk_heal(f.disk);
    faulty_disk_gone(f.disk); /* closed by this, and not opened */
    assert_int_equal(db_settle(db, &e), -ERR_IO);
    faulty_disk_heal(f.disk);
    unlink(f.path);
    assert_true(db_settle(db, &e) < 0); /* nor is a new one made in its place */
    assert_int_equal(access(f.path, F_OK), -1);
    unlink(f.log);
    assert_int_equal(rename(copy, f.path), 0);
    assert_int_equal(db_settle(db, &e), -ERR_IO);
    assert_non_null(strstr(e.text, "older file"));
    db_close(db);
}

/* ---- No memory, at any allocation, SQLite's own included ---- */

static void *sqlite_alloc(int n)
{
    int *p = mem_alloc((size_t)n + 16);
    if (!p)
        return NULL;
    *p = n;
    return (char *)p + 16;
}

static void sqlite_free(void *p)
{
    mem_free(p ? (char *)p - 16 : NULL);
}

static int sqlite_size(void *p)
{
    return p ? *(int *)(void *)((char *)p - 16) : 0;
}

static void *sqlite_resize(void *p, int n)
{
    void *to = sqlite_alloc(n);
    if (!to)
        return NULL;
    memcpy(to, p, (size_t)MIN(n, sqlite_size(p)));
    sqlite_free(p);
    return to;
}

static int sqlite_round(int n)
{
    return (n + 7) & ~7;
}

static int sqlite_begin(void *p)
{
    return SQLITE_OK;
}

static void sqlite_end(void *p)
{
}

static void opening_without_memory(void **state)
{
    unsigned long at = 1;
    for (bool failed = true; failed; at++) {
        struct db *db = NULL;
        struct err e = {0};
        mem_fail_at(at);
        int r = db_open(&db, f.path, &e);
        failed = mem_failed();
        mem_fail_at(0);
        if (r) {
            assert_null(db);
            assert_true(failed && e.text[0]);
        } else {
            expect(db, "");
            db_close(db);
        }
        assert_true(at < 10000);
    }
    assert_true(at > 100);
}

static void changing_and_reading_without_memory(void **state)
{
    struct db *db = open_db();
    struct db_change c;
    struct db_items l;
    unsigned long at = 1;
    assert_int_equal(db_put(db, "a", 0, "0", &c), DB_OK);
    for (bool failed = true; failed; at++) {
        uint64_t revision = db_revision(db);
        struct coord_op ops[] = {{STR("a"), STR("1"), revision, COORD_PUT},
                                 {STR("b"), STR("2"), COORD_ANY, COORD_PUT}};
        struct err e = {0};
        mem_fail_at(at);
        enum db_end end = db_cas(db, ops, 2, &c, &e);
        enum db_end read = end == DB_OK ? db_range(db, STR("a"), &l, &e) : DB_REFUSED;
        failed = mem_failed();
        mem_fail_at(0);
        if (read == DB_OK)
            db_items_free(&l);
        if (end == DB_SICK || end == DB_UNSETTLED || read == DB_SICK)
            assert_int_equal(db_settle(db, NULL), 0);
        if (end == DB_OK)
            assert_int_equal(db_revision(db), revision + 1);
        else
            assert_true(failed && e.text[0]);
        if (db_revision(db) == revision) { /* so that the next one is as expected */
            struct coord_op again = {STR("a"), STR("0"), COORD_ANY, COORD_PUT};
            assert_int_equal(db_cas(db, &again, 1, &c, NULL), DB_OK);
        } else {
            struct coord_op touch = {STR("a"), STR("0"), db_revision(db), COORD_PUT};
            assert_int_equal(db_cas(db, &touch, 1, &c, NULL), DB_OK);
        }
        assert_true(at < 10000);
    }
    db_close(db);
}

static void an_engine_without_memory_is_not_made(void **state)
{
    unsigned long at = 1;
    for (bool failed = true; failed; at++) {
        struct coord *c = NULL;
        struct err e = {0};
        mem_fail_at(at);
        int r = coord_embedded_new(&c, f.loop, f.path, &e);
        failed = mem_failed();
        mem_fail_at(0);
        assert_true(r == 0 ? c != NULL : c == NULL && e.text[0]);
        coord_free(c);
    }
}

/* ---- With the thread ---- */

struct got {
    uint32_t times;
    enum coord_outcome outcome;
    uint64_t revision;
    int why;
    uint64_t at;
};

static void on_done(void *context, const struct coord_answer *a)
{
    *(struct got *)context = (struct got){((struct got *)context)->times + 1, a->outcome,
                                          a->revision, a->why ? a->why->code : 0, clock_now()};
    loop_stop(f.loop);
}

static struct coord *open_engine(void)
{
    struct coord *c = NULL;
    assert_int_equal(coord_embedded_new(&c, f.loop, f.path, NULL), 0);
    return c;
}

static void ask(struct coord *c, const char *key, uint64_t ms, struct got *g)
{
    struct coord_op op = {str_of(key), STR("v"), COORD_ANY, COORD_PUT};
    *g = (struct got){0};
    assert_int_equal(coord_cas(c, &op, 1, clock_now() + ms * NS_PER_MS, on_done, g, NULL, NULL), 0);
}

static void await(struct got *g)
{
    for (uint64_t end = clock_now() + 20 * NS_PER_S; !g->times;) {
        assert_true(clock_now() < end);
        turn(20);
    }
    assert_int_equal(g->times, 1);
}

static void a_hanging_disk_holds_up_nobody(void **state)
{
    struct got one, two, three;
    struct coord_health h;
    struct coord *c = open_engine();
    faulty_disk_slow(f.disk, 4 * NS_PER_S, 1);
    uint64_t begun = clock_now();
    ask(c, "one", 100, &one);
    ask(c, "two", 200, &two);
    ask(c, "three", 19000, &three);
    await(&one);
    await(&two);
    assert_int_equal(one.outcome, COORD_UNKNOWN); /* it was being written */
    assert_int_equal(two.outcome, COORD_FAILED);  /* it was not begun, and never is */
    assert_true(two.at - begun < 2 * NS_PER_S);
    coord_health(c, &h);
    assert_true(h.reachable);
    turn(3200 - (clock_now() - begun) / NS_PER_MS);
    coord_health(c, &h);
    assert_false(h.reachable);
    await(&three);
    assert_int_equal(three.outcome, COORD_DONE);
    assert_int_equal(three.revision, DB_FIRST + 2); /* after one, without two */
    coord_health(c, &h);
    assert_true(h.reachable);
    coord_free(c);
}

static void after_a_failed_sync_the_answer_is_what_is_so(void **state)
{
    for (uint32_t forget = 0; forget < 2; forget++) {
        struct got g;
        struct coord_health h;
        struct coord *c = open_engine();
        coord_health(c, &h);
        faulty_disk_fail_sync(f.disk, 1, forget);
        ask(c, "a", 15000, &g);
        await(&g);
        assert_int_equal(g.outcome, forget ? COORD_FAILED : COORD_DONE);
        faulty_disk_heal(f.disk);
        uint64_t was = h.revision;
        ask(c, "b", 15000, &g);
        await(&g);
        assert_int_equal(g.outcome, COORD_DONE);
        assert_int_equal(g.revision, was + (forget ? 1 : 2));
        coord_free(c);
    }
}

static void a_full_disk_is_told_and_outlived(void **state)
{
    struct got g;
    struct coord_health h;
    struct coord *c = open_engine();
    faulty_disk_room(f.disk, 0);
    ask(c, "a", 300, &g);
    await(&g);
    assert_true(g.outcome == COORD_UNKNOWN || g.outcome == COORD_FAILED);
    ask(c, "b", 300, &g);
    await(&g);
    assert_int_not_equal(g.outcome, COORD_DONE);
    faulty_disk_heal(f.disk);
    for (uint64_t end = clock_now() + 10 * NS_PER_S;;) {
        assert_true(clock_now() < end);
        ask(c, "c", 5000, &g);
        await(&g);
        if (g.outcome == COORD_DONE)
            break;
        turn(20);
    }
    coord_health(c, &h);
    assert_true(h.reachable);
    coord_free(c);
    struct db *db = open_db();
    assert_int_equal(db_revision(db), g.revision);
    db_close(db);
}

static uint32_t count_entries(const char *path)
{
    DIR *d = opendir(path);
    uint32_t n = 0;
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void it_leaves_no_thread_and_no_descriptor(void **state)
{
    struct got g;
    uint32_t files = count_entries("/proc/self/fd"), threads = count_entries("/proc/self/task");
    for (uint32_t i = 0; i < 20; i++) {
        struct coord *c = open_engine();
        ask(c, "a", 1000, &g);
        if (i % 2)
            await(&g);
        coord_free(c);
    }
    assert_int_equal(count_entries("/proc/self/fd"), files);
    assert_int_equal(count_entries("/proc/self/task"), threads);
}

/* ---- Killed at any moment ---- */

/* Writes, one after the other, and tells each revision that was done. */
static void write_until_killed(int out)
{
    struct db *db = open_db();
    struct db_change c;
    static char value[20000];
    memset(value, 'v', sizeof value - 1);
    for (;;) {
        uint64_t is = db_revision(db);
        char key[16];
        snprintf(key, sizeof key, "key-%u", (unsigned)(is % 50));
        if (db_put(db, key, COORD_ANY, value, &c) != DB_OK)
            _exit(1);
        if (write(out, &c.revision, sizeof c.revision) != sizeof c.revision)
            _exit(1);
    }
}

static void what_was_done_outlives_a_kill(void **state)
{
    struct prng r;
    uint64_t last = DB_FIRST;
    prng_seed(&r, 5);
    for (uint32_t round = 0; round < 40; round++) {
        int pipe_[2], status;
        uint64_t told;
        assert_int_equal(pipe(pipe_), 0);
        pid_t child = fork();
        if (child == 0) {
            close(pipe_[0]);
            write_until_killed(pipe_[1]);
        }
        close(pipe_[1]);
        assert_int_equal(read(pipe_[0], &told, sizeof told), sizeof told);
        turn(1 + prng_below(&r, 30));
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        assert_true(told == last + 1);
        while (read(pipe_[0], &last, sizeof last) == sizeof last)
            told = last;
        close(pipe_[0]);
        struct db *db = open_db();
        last = db_revision(db);
        assert_true(last == told || last == told + 1); /* done, or on its way when it was killed */
        db_close(db);
    }
    assert_true(last > 100);
}

int main(void)
{
    static const sqlite3_mem_methods memory = {sqlite_alloc, sqlite_free,  sqlite_resize,
                                               sqlite_size,  sqlite_round, sqlite_begin,
                                               sqlite_end,   NULL};
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &memory) != SQLITE_OK)
        return 1;
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(the_file_is_its_owners_alone_and_lasts),
        T(every_change_is_in_the_file_when_it_is_done),
        T(what_is_not_ours_is_left_as_it_is),
        T(newer_versions_are_refused),
        T(what_cannot_be_opened_says_why),
        T(an_unfinished_beginning_is_begun_again),
        T(damage_is_found_when_it_is_opened),
        T(a_file_that_contradicts_itself_is_refused),
        T(two_at_once_are_refused),
        T(a_disk_that_is_full_at_any_byte),
        T(a_write_that_fails),
        T(a_sync_that_fails),
        T(an_older_file_is_not_taken_for_the_present),
        T(opening_without_memory),
        T(changing_and_reading_without_memory),
        T(an_engine_without_memory_is_not_made),
        T(a_hanging_disk_holds_up_nobody),
        T(after_a_failed_sync_the_answer_is_what_is_so),
        T(a_full_disk_is_told_and_outlived),
        T(it_leaves_no_thread_and_no_descriptor),
        T(what_was_done_outlives_a_kill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
