/* The thread that writes, and answers questions. See audit.c for how it shares the queue. */
#include "audit/thread.h"

#include <signal.h>
#include <time.h>
#include <stdio.h>
#include <unistd.h>

#define LINGER_NS (50 * NS_PER_MS)
#define RETRY_NS  NS_PER_S
#define SYNC_NS   (5 * NS_PER_S)

enum { BATCH = 1000, KEEP_BYTES = 256 * 1024 };

static void ring(int fd)
{
    uint64_t one = 1;
    ssize_t n = write(fd, &one, sizeof one);
    (void)n; /* full: it is awake already */
}

/* With the lock. The latest of a kind counts: they say how things are. */
static void tell(struct audit *a, enum audit_news what, uint64_t n, const char *text)
{
    struct news *at = NULL;
    for (uint32_t i = 0; i < a->n_news; i++)
        if (a->news[i].what == what)
            at = &a->news[i];
    if (!at) {
        at = a->n_news < NEWS ? &a->news[a->n_news++] : &a->news[NEWS - 1];
        *at = (struct news){.what = what};
    }
    at->n += n;
    str_copy(at->text, sizeof at->text, str_of(text));
    ring(a->wake_fd);
}

static void tell_locked(struct audit *a, enum audit_news what, uint64_t n, const char *text)
{
    pthread_mutex_lock(&a->lock);
    tell(a, what, n, text);
    pthread_mutex_unlock(&a->lock);
}

static void read_boot_id(char out[64])
{
    struct buf text = {0};
    out[0] = 0;
    if (file_read("/proc/sys/kernel/random/boot_id", 64, &text, NULL) == 0)
        str_copy(out, 64, str_trim((struct str){text.p, text.n - (text.n > 0)}));
    buf_free(&text);
}

static int open_once(struct audit *a, struct err *e)
{
    char boot[64];
    read_boot_id(boot);
    pthread_mutex_lock(&a->lock);
    struct audit_limits limits = a->limits;
    pthread_mutex_unlock(&a->lock);
    int r = store_open(&a->store, a->path, a->vfs[0] ? a->vfs : NULL, a->node, boot, &limits, e);
    a->open = r == 0;
    return r;
}

/* What is damaged, or of a program that came later, makes room. */
static int set_aside(struct audit *a, int why, struct err *e)
{
    char text[320];
    const char *tail = why == -ERR_PROTO ? "damaged" : "newer";
    str_copy(text, sizeof text, str_of(e->text));
    store_close(&a->store);
    a->open = false;
    int r = store_set_aside(a->path, tail, e);
    if (r)
        return r;
    char said[320];
    snprintf(said, sizeof said, "%.100s.%s: %.180s", a->path, tail, text);
    tell_locked(a, AUDIT_DAMAGED, 1, said);
    return 0;
}

static bool makes_room(int code)
{
    return code == -ERR_PROTO || code == -ERR_EXISTS;
}

static int open_store(struct audit *a, struct err *e)
{
    if (a->open)
        return 0;
    int r = open_once(a, e);
    if (makes_room(r) && set_aside(a, r, e) == 0)
        r = open_once(a, e);
    return r;
}

/* A failure of the store itself: how it goes on from here. */
static void failed(struct audit *a, int code, struct err *e)
{
    if (makes_room(code) && set_aside(a, code, e) == 0 && open_store(a, e) == 0)
        return;
    a->retry_at = clock_now() + RETRY_NS;
    if (!a->failing)
        tell_locked(a, AUDIT_FAILS, 1, e->text);
    a->failing = true;
}

static void worked(struct audit *a)
{
    a->retry_at = 0;
    if (!a->failing)
        return;
    a->failing = false;
    tell_locked(a, AUDIT_WORKS, 1, "");
}

/* Without the lock, which the owner must not wait for: what is written is let go. */
static void let_go(struct audit *a)
{
    if (a->left.n)
        return;
    if (a->writing.cap > KEEP_BYTES)
        buf_free(&a->writing);
    buf_clear(&a->writing);
    a->writing.limit = a->o.queue;
}

/* With the lock: takes what the owner has added. */
static void take(struct audit *a)
{
    if (a->left.n || a->filling.n == 0)
        return;
    struct buf empty = a->writing;
    a->writing = a->filling;
    a->left = buf_str(&a->writing);
    a->filling = empty;
    if (a->lost) {
        tell(a, AUDIT_LOST, a->lost, "");
        a->lost = 0;
    }
}

static int prune(struct audit *a, struct err *e)
{
    int code = 0;
    pthread_mutex_lock(&a->lock);
    a->store.limits = a->limits;
    bool busy = a->filling.n > a->o.queue / 2;
    pthread_mutex_unlock(&a->lock);
    /* In a storm, too, the file stays in its bounds. */
    for (int steps = busy ? 1 : 4; steps > 0 || a->store.bytes > a->store.limits.bytes; steps--)
        if (!store_prune(&a->store, clock_wall(), &code, e))
            break;
    return code;
}

static int write_batch(struct audit *a, struct err *e)
{
    struct audit_counts *n = &a->counts;
    uint64_t before = a->store.total;
    int r = store_write(&a->store, &a->left, BATCH, e);
    if (r == -ERR_LIMIT) { /* of the file, or of the disk: less is more */
        int code;
        store_prune(&a->store, clock_wall(), &code, NULL);
    }
    if (r)
        return r;
    uint64_t written = a->store.total - before;
    if (a->sync_at == 0)
        a->sync_at = clock_now() + SYNC_NS;
    r = prune(a, e);
    pthread_mutex_lock(&a->lock);
    n->written += written;
    n->rows = a->store.rows;
    n->bytes = a->store.bytes;
    pthread_mutex_unlock(&a->lock);
    return r;
}

/* Writes until nothing is left, or nothing can be written. */
static void write_all(struct audit *a)
{
    struct err e = {0};
    int r = open_store(a, &e);
    while (r == 0) {
        let_go(a);
        pthread_mutex_lock(&a->lock);
        take(a);
        bool stop = a->stop;
        pthread_mutex_unlock(&a->lock);
        if (a->left.n == 0)
            break;
        r = write_batch(a, &e);
        if (makes_room(r) && !stop) {
            failed(a, r, &e);
            r = a->failing ? -ERR_IO : 0;
            if (r)
                return;
        }
    }
    if (r)
        failed(a, r, &e);
    else
        worked(a);
}

static void sync_store(struct audit *a)
{
    struct err e = {0};
    a->sync_at = 0;
    int r = a->open ? store_sync(&a->store, &e) : 0;
    if (r)
        failed(a, r, &e);
}

static void answer(struct audit *a, struct audit_job *job)
{
    int r = open_store(a, &job->err);
    if (r == 0)
        r = store_ask(&a->store, &job->question, &job->answer, &job->err);
    if (r == -ERR_PROTO) {
        struct err e = job->err;
        failed(a, r, &e);
    }
    job->written = a->store.written;
    pthread_mutex_lock(&a->lock);
    list_push_back(&a->answered, &job->link);
    pthread_mutex_unlock(&a->lock);
    ring(a->wake_fd);
}

/* With the lock. */
static struct audit_job *next_job(struct audit *a)
{
    if (list_empty(&a->asked))
        return NULL;
    struct audit_job *job = LIST_ENTRY(a->asked.next, struct audit_job, link);
    list_remove(&job->link);
    return job;
}

static void answer_all(struct audit *a)
{
    for (;;) {
        pthread_mutex_lock(&a->lock);
        struct audit_job *job = next_job(a);
        pthread_mutex_unlock(&a->lock);
        if (!job)
            return;
        if (a->retry_at <= clock_now())
            write_all(a); /* what was added before the question came */
        answer(a, job);
    }
}

/* With the lock: until `at` (boot ns), or until there is something to do at once. */
static void wait_until(struct audit *a, uint64_t at)
{
    struct timespec t;
    uint64_t now = clock_now(), left = at > now ? at - now : 0;
    if (at == UINT64_MAX) {
        pthread_cond_wait(&a->more, &a->lock);
        return;
    }
    clock_gettime(CLOCK_MONOTONIC, &t);
    uint64_t end = (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec + left;
    t = (struct timespec){(time_t)(end / NS_PER_S), (long)(end % NS_PER_S)};
    pthread_cond_timedwait(&a->more, &a->lock, &t);
}

static uint64_t next_time(const struct audit *a)
{
    uint64_t at = a->sync_at ? a->sync_at : UINT64_MAX;
    return a->retry_at ? MIN(at, a->retry_at) : at;
}

/* With the lock: waits for work; false when the end has come. */
static bool await(struct audit *a)
{
    while (!a->stop && list_empty(&a->asked) && next_time(a) > clock_now() &&
           (a->failing || a->filling.n == 0)) {
        a->asleep = true;
        wait_until(a, next_time(a));
        a->asleep = false;
    }
    uint64_t linger = clock_now() + LINGER_NS;
    while (!a->stop && list_empty(&a->asked) && a->filling.n && a->filling.n < a->o.queue / 4 &&
           clock_now() < linger)
        wait_until(a, linger);
    return !a->stop;
}

void *thread_run(void *argument)
{
    struct audit *a = argument;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL); /* signals are the owner's */
    pthread_setname_np(pthread_self(), "audit");
    /* It never takes a processor from the owner by waking up. Refused or not, it goes on. */
    pthread_setschedparam(pthread_self(), SCHED_BATCH, &(struct sched_param){0});
    bool on = true;
    write_all(a); /* opens it */
    while (on) {
        pthread_mutex_lock(&a->lock);
        on = await(a);
        pthread_mutex_unlock(&a->lock);
        if (a->retry_at <= clock_now())
            write_all(a);
        answer_all(a);
        if (a->sync_at && a->sync_at <= clock_now())
            sync_store(a);
    }
    if (a->open)
        store_close(&a->store);
    return NULL;
}
