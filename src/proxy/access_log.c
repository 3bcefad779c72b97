#include "proxy/access_log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "os/os.h"

struct access_log {
    char path[108];
    int fd; /* stays the same number: a fresh file is duplicated onto it */
};

/* Records in the ring: u32 length, u32 file index, the line. `head` and `tail` count bytes ever
 * written and read. */
struct log_ring {
    _Atomic uint64_t head; /* the worker's */
    char apart[64];        /* no cache line with the other side's count */
    _Atomic uint64_t tail; /* the writer's */
    struct logger *logger;
    struct log_ring *next;
    cell *dropped;
    char bytes[LOG_RING_BYTES];
};

struct logger {
    pthread_t thread;
    bool running;
    int wake_fd;
    atomic_bool stopping;
    pthread_mutex_t lock; /* files and rings being added */
    struct access_log files[LOG_FILES_MAX];
    uint32_t n_files;
    struct log_ring *rings;
    void (*complain)(void *context, const char *text);
    void *context;
    bool complained; /* a file could not be written; said once until it works again */
};

/* --- the worker's side --- */

static void copy_in(struct log_ring *r, uint64_t at, const void *p, size_t n)
{
    size_t offset = at % LOG_RING_BYTES, first = MIN(n, LOG_RING_BYTES - offset);
    memcpy(r->bytes + offset, p, first);
    memcpy(r->bytes, (const char *)p + first, n - first);
}

static void copy_out(const struct log_ring *r, uint64_t at, void *p, size_t n)
{
    size_t offset = at % LOG_RING_BYTES, first = MIN(n, LOG_RING_BYTES - offset);
    memcpy(p, r->bytes + offset, first);
    memcpy((char *)p + first, r->bytes, n - first);
}

void log_write(struct log_ring *r, struct access_log *log, struct str line)
{
    uint32_t n = (uint32_t)MIN(line.n, (size_t)LOG_LINE_MAX);
    uint32_t header[2] = {n + 1, (uint32_t)(log - r->logger->files)};
    uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&r->tail, memory_order_acquire);
    if (LOG_RING_BYTES - (head - tail) < sizeof header + header[0]) {
        cell_add(r->dropped, 1);
        return;
    }
    copy_in(r, head, header, sizeof header);
    copy_in(r, head + sizeof header, line.p, n);
    copy_in(r, head + sizeof header + n, "\n", 1);
    atomic_store_explicit(&r->head, head + sizeof header + header[0], memory_order_release);
    if (head != tail)
        return; /* the writer is at work on this ring */
    uint64_t one = 1;
    ssize_t w = write(r->logger->wake_fd, &one, sizeof one);
    (void)w; /* full: it wakes in any case */
}

/* --- the writer's side --- */

static void say_lost(struct logger *g, const struct access_log *f)
{
    char text[256];
    snprintf(text, sizeof text, "cannot write the access log %s: %s; lines are lost until it can",
             f->path, strerror(errno));
    g->complain(g->context, text);
}

static void write_line(struct logger *g, const struct access_log *f, const char *p, size_t n)
{
    while (n) {
        ssize_t w = write(f->fd, p, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0) {
            if (!g->complained)
                say_lost(g, f);
            g->complained = true;
            return;
        }
        p += w;
        n -= (size_t)w;
    }
    g->complained = false;
}

/* Empties a ring, lines for the same file in one write. */
static void drain_ring(struct logger *g, struct log_ring *r)
{
    char batch[32 * 1024];
    size_t n = 0;
    uint32_t file = 0;
    uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    uint64_t head = atomic_load_explicit(&r->head, memory_order_acquire);
    while (tail != head) {
        uint32_t header[2];
        copy_out(r, tail, header, sizeof header);
        CHECK(header[0] <= LOG_LINE_MAX + 1 && header[1] < LOG_FILES_MAX);
        if (n && (header[1] != file || n + header[0] > sizeof batch)) {
            write_line(g, &g->files[file], batch, n);
            n = 0;
        }
        file = header[1];
        copy_out(r, tail + sizeof header, batch + n, header[0]);
        n += header[0];
        tail += sizeof header + header[0];
        atomic_store_explicit(&r->tail, tail, memory_order_release);
        head = atomic_load_explicit(&r->head, memory_order_acquire);
    }
    if (n)
        write_line(g, &g->files[file], batch, n);
}

static void *run(void *argument)
{
    struct logger *g = argument;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    for (bool last = false; !last;) {
        struct pollfd wake = {.fd = g->wake_fd, .events = POLLIN};
        poll(&wake, 1,
             1000); /* a wake-up lost to a race between full and empty costs a second at most */
        uint64_t count;
        ssize_t n = read(g->wake_fd, &count, sizeof count);
        (void)n; /* nobody woke us: look all the same */
        last = atomic_load(&g->stopping);
        pthread_mutex_lock(&g->lock);
        struct log_ring *first = g->rings;
        pthread_mutex_unlock(&g->lock);
        for (struct log_ring *r = first; r; r = r->next)
            drain_ring(g, r);
    }
    return NULL;
}

int logger_new(struct logger **out, void (*complain)(void *context, const char *text),
               void *context, struct err *e)
{
    struct logger *g = mem_zero(1, sizeof *g);
    if (!g)
        return err_set(e, ERR_NOMEM, "no memory for the access log");
    g->complain = complain;
    g->context = context;
    pthread_mutex_init(&g->lock, NULL);
    g->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int r = 0;
    if (g->wake_fd < 0)
        r = err_errno(e, "cannot make an event descriptor");
    else if ((errno = pthread_create(&g->thread, NULL, run, g)))
        r = err_errno(e, "cannot start the access log's thread");
    else
        g->running = true;
    if (r) {
        logger_free(g);
        return r;
    }
    *out = g;
    return 0;
}

void logger_free(struct logger *g)
{
    if (!g)
        return;
    if (g->running) {
        uint64_t one = 1;
        atomic_store(&g->stopping, true);
        ssize_t n = write(g->wake_fd, &one, sizeof one);
        (void)n;
        pthread_join(g->thread, NULL);
    }
    for (uint32_t i = 0; i < g->n_files; i++)
        close(g->files[i].fd);
    while (g->rings) {
        struct log_ring *next = g->rings->next;
        mem_free(g->rings);
        g->rings = next;
    }
    if (g->wake_fd >= 0)
        close(g->wake_fd);
    pthread_mutex_destroy(&g->lock);
    mem_free(g);
}

struct access_log *logger_file(struct logger *g, struct str path, int fd)
{
    for (uint32_t i = 0; i < g->n_files; i++)
        if (str_eq(str_of(g->files[i].path), path)) {
            dup3(fd, g->files[i].fd,
                 O_CLOEXEC); /* fails only on interruption: then the old file goes on */
            close(fd);
            return &g->files[i];
        }
    if (g->n_files == LOG_FILES_MAX) {
        close(fd);
        return NULL;
    }
    struct access_log *f = &g->files[g->n_files++];
    str_copy(f->path, sizeof f->path, path);
    f->fd = fd;
    return f;
}

struct log_ring *logger_ring(struct logger *g, cell *dropped, struct err *e)
{
    struct log_ring *r = mem_zero(1, sizeof *r);
    if (!r) {
        err_set(e, ERR_NOMEM, "no memory for an access log ring");
        return NULL;
    }
    r->logger = g;
    r->dropped = dropped;
    pthread_mutex_lock(&g->lock);
    r->next = g->rings;
    g->rings = r;
    pthread_mutex_unlock(&g->lock);
    return r;
}
