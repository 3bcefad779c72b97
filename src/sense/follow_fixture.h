/* follow_fixture: a directory, a loop, and a log in it whose lines are kept. For tests. */
#ifndef HF_SENSE_FOLLOW_FIXTURE_H
#define HF_SENSE_FOLLOW_FIXTURE_H

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "sense/follow_inside.h"

#define FIXTURE_POLL (40 * NS_PER_MS)

struct fixture {
    char dir[64], log[96];
    struct loop *loop;
    struct follows *set;
    struct follow *follow;
    struct buf got; /* lines, each with its end; "|" where a file ended */
    struct buf saved;
    uint64_t shed_bytes, shed_lines, states;
    struct timer poll, end;
    const char *wanted;
    bool late;
};

static void on_bytes(void *context, struct lines *file, struct str bytes, uint64_t now)
{
    struct fixture *f = context;
    struct str line;
    (void)now;
    while (lines_next(file, &bytes, &line))
        buf_printf(&f->got, STR_FMT "\n", STR_ARG(line));
}

static void on_end(void *context, struct lines *file, uint64_t now)
{
    struct fixture *f = context;
    struct str line;
    (void)now;
    if (lines_last(file, &line))
        buf_printf(&f->got, STR_FMT "|\n", STR_ARG(line));
}

static void on_shed(void *context, uint64_t bytes, uint64_t lines, uint64_t now)
{
    struct fixture *f = context;
    (void)now;
    f->shed_bytes += bytes;
    f->shed_lines += lines;
}

static void on_state(void *context, enum follow_state s, const char *text)
{
    struct fixture *f = context;
    (void)s;
    (void)text;
    f->states++;
}

static inline bool has(struct fixture *f, const char *text)
{
    buf_add(&f->got, "", 1);
    f->got.n--;
    return strstr(f->got.p, text);
}

static void on_fixture_poll(struct timer *t)
{
    struct fixture *f = CONTAINER_OF(t, struct fixture, poll);
    if (f->wanted && has(f, f->wanted))
        loop_stop(f->loop);
    else
        loop_timer_set(f->loop, t, loop_now(f->loop) + NS_PER_MS);
}

static void on_fixture_end(struct timer *t)
{
    struct fixture *f = CONTAINER_OF(t, struct fixture, end);
    f->late = true;
    loop_stop(f->loop);
}

/* Turns for so long, or until this was read (NULL: nothing ends it). */
static inline bool turn(struct fixture *f, const char *wanted, uint64_t ms)
{
    f->wanted = wanted;
    f->late = false;
    loop_timer_set(f->loop, &f->poll, clock_now());
    loop_timer_set(f->loop, &f->end, clock_now() + ms * NS_PER_MS);
    assert_int_equal(loop_run(f->loop, NULL), 0);
    loop_timer_stop(f->loop, &f->poll);
    loop_timer_stop(f->loop, &f->end);
    return !f->late;
}

static inline void reads(struct fixture *f, const char *all)
{
    if (!turn(f, all, 20000) || strcmp(f->got.p, all) != 0)
        fail_msg("read:\n" STR_FMT "\nnot:\n%s", STR_ARG(f->got), all);
}

/* ... and nothing more, after all was looked at again. */
static inline void reads_only(struct fixture *f, const char *all)
{
    reads(f, all);
    turn(f, NULL, 3 * FIXTURE_POLL / NS_PER_MS);
    reads(f, all);
}

static inline void start(struct fixture *f)
{
    struct follow_owner owner = {
        .context = f, .bytes = on_bytes, .end = on_end, .shed = on_shed, .state = on_state};
    struct err e;
    if (follow_start(f->set, f->log, &owner, buf_str(&f->saved), &f->follow, &e))
        fail_msg("%s", e.text);
}

static inline bool await_state(struct fixture *f, enum follow_state s)
{
    for (int i = 0; i < 5000; i++) {
        if (follow_state(f->follow, NULL) == s)
            return true;
        turn(f, NULL, 1);
    }
    return false;
}

/* Followed from its end, which is where it stands when this returns. */
static inline void begin(struct fixture *f)
{
    start(f);
    for (int i = 0; i < 5000 && follow_state(f->follow, NULL) == FOLLOW_NEW; i++)
        turn(f, NULL, 1);
}

static inline void save(struct fixture *f)
{
    buf_clear(&f->saved);
    follow_save(f->follow, &f->saved);
    assert_false(f->saved.failed);
}

static inline const char *in_dir(struct fixture *f, const char *name)
{
    static char paths[4][160];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", f->dir, name);
    return path;
}

static inline void append_to(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static inline void append(struct fixture *f, const char *text)
{
    append_to(f->log, text);
}

static inline void move(struct fixture *f, const char *from, const char *to)
{
    assert_int_equal(rename(in_dir(f, from), in_dir(f, to)), 0);
}

static inline void copy(struct fixture *f, const char *from, const char *to)
{
    struct buf b = {0};
    assert_int_equal(file_read(in_dir(f, from), 1 << 30, &b, NULL), 0);
    int fd = open(in_dir(f, to), O_WRONLY | O_TRUNC | O_CREAT | O_CLOEXEC, 0644);
    assert_int_equal(write(fd, b.p, b.n), b.n);
    close(fd);
    buf_free(&b);
}

static inline void remove_all(const char *dir)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    assert_int_equal(system(command), 0);
}

static inline int fixture_setup(void **state)
{
    struct fixture *f = mem_zero(1, sizeof *f);
    strcpy(f->dir, "/tmp/follow-test-XXXXXX");
    if (!mkdtemp(f->dir) || loop_new(&f->loop, NULL) || follows_new(&f->set, f->loop, NULL))
        return -1;
    snprintf(f->log, sizeof f->log, "%s/app.log", f->dir);
    timer_init(&f->poll, on_fixture_poll);
    timer_init(&f->end, on_fixture_end);
    buf_reserve(&f->got, 1);
    f->set->calls.poll = FIXTURE_POLL;
    loop_timer_set(f->loop, &f->set->poll, loop_now(f->loop) + FIXTURE_POLL);
    *state = f;
    return 0;
}

static inline int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    follow_stop(f->follow);
    follows_free(f->set);
    loop_free(f->loop);
    remove_all(f->dir);
    buf_free(&f->got);
    buf_free(&f->saved);
    mem_free(f);
    return 0;
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

#endif
