/* Units of the access log: a ring that fills, and files that come and go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/os.h"
#include "proxy/access_log.h"

static const struct str line = {"192.0.2.1 - - \"GET / HTTP/1.1\" 200 128", 38};

static void on_complaint(void *context, const char *text)
{
    assert_non_null(strstr(text, "/var/log/"));
    atomic_fetch_add((atomic_uint *)context, 1);
}

static atomic_uint complaints;

struct files {
    char path[64];
    int fd;
};

static void temporary(struct files *f)
{
    strcpy(f->path, "/tmp/access-log-XXXXXX");
    f->fd = mkstemp(f->path);
    assert_true(f->fd >= 0);
}

static size_t count_lines(const char *path)
{
    struct buf b = {0};
    assert_int_equal(file_read(path, 64 << 20, &b, NULL), 0);
    size_t lines = 0;
    for (size_t i = 0; i < b.n; i++)
        lines += b.p[i] == '\n';
    buf_free(&b);
    return lines;
}

static void lines_reach_the_file_and_a_fresh_one_takes_over(void **state)
{
    (void)state;
    struct files first, second;
    temporary(&first);
    temporary(&second);
    struct logger *g;
    cell dropped = 0;
    assert_int_equal(logger_new(&g, on_complaint, &complaints, NULL), 0);
    struct log_ring *ring = logger_ring(g, &dropped, NULL);
    struct access_log *log = logger_file(g, STR("/var/log/a"), first.fd);
    for (int i = 0; i < 1000; i++)
        log_write(ring, log, line);
    struct stat st = {0};
    off_t whole = 1000 * ((off_t)line.n + 1);
    while (st.st_size < whole) /* written by the other thread */
        assert_int_equal(stat(first.path, &st), 0);
    assert_ptr_equal(logger_file(g, STR("/var/log/a"), second.fd), log);
    for (int i = 0; i < 10; i++)
        log_write(ring, log, line);
    logger_free(g);
    assert_int_equal(count_lines(first.path) + count_lines(second.path) + cell_get(&dropped), 1010);
    assert_int_equal(count_lines(second.path), 10);
    unlink(first.path);
    unlink(second.path);
}

/* The file is a pipe that nobody reads: the writer thread blocks, the worker does not. */
static void a_stuck_disk_drops_lines_and_stops_nobody(void **state)
{
    (void)state;
    int pipe_fds[2];
    assert_int_equal(pipe(pipe_fds), 0);
    struct logger *g;
    cell dropped = 0;
    assert_int_equal(logger_new(&g, on_complaint, &complaints, NULL), 0);
    struct log_ring *ring = logger_ring(g, &dropped, NULL);
    struct access_log *log = logger_file(g, STR("/var/log/b"), pipe_fds[1]);
    size_t written = 0;
    while (cell_get(&dropped) < 1000) {
        log_write(ring, log, line);
        written++;
    }
    assert_true(written > LOG_RING_BYTES / 200);
    close(pipe_fds[0]); /* the blocked write ends with an error */
    logger_free(g);
    assert_int_equal(atomic_load(&complaints), 1);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_reach_the_file_and_a_fresh_one_takes_over),
        cmocka_unit_test(a_stuck_disk_drops_lines_and_stops_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
