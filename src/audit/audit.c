/* The thread, the queue, and what the owner sees of them.
 *
 * Two buffers change places: the owner adds to one under the lock, the thread writes the other and
 * takes the owner's when it is done. So at most twice `queue` bytes wait. The thread lingers a
 * moment over new records, so that many become one transaction (LINGER_NS); that, and the time that
 * the disk takes, is what a killed process loses. Questions are answered by the thread, after all
 * that was added before them.
 *
 * When nothing can be written, what is there stays and is tried again every RETRY_NS; meanwhile the
 * queue fills, and what does not fit is counted. A damaged file is set aside and a new one begun.
 */
#include "audit/inside.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define LINGER_NS (50 * NS_PER_MS)
#define RETRY_NS  NS_PER_S
#define SYNC_NS   (5 * NS_PER_S)
#define END_NS    (2 * NS_PER_S)

enum { BATCH = 1000, NEWS = 8, KEEP_BYTES = 256 * 1024 };

struct audit_job {
    struct list link;      /* in asked, then in answered */
    struct audit_ask *ask; /* the owner's; NULL: nobody waits any more */
    struct audit_question question;
    struct store_answer answer;
    struct err err;
    uint64_t written;
};

struct news {
    enum audit_news what;
    uint64_t n;
    char text[320];
};

struct audit {
    struct audit_options o;
    char path[4096], node[256], vfs[32];
    pthread_t thread;
    bool running;
    pthread_mutex_t lock;
    pthread_cond_t more; /* CLOCK_MONOTONIC */

    /* under the lock */
    struct buf filling;
    struct list asked, answered;
    struct audit_limits limits;
    struct audit_counts counts;
    uint64_t lost; /* not told yet */
    struct news news[NEWS];
    uint32_t n_news;
    bool stop, asleep;

    /* the thread's */
    struct store store;
    bool open, failing;
    struct buf writing;
    struct str left;            /* of writing */
    uint64_t sync_at, retry_at; /* boot ns; 0: no need */

    /* the owner's */
    struct io wake;
    int wake_fd;
    uint32_t n_asks;
    struct buf packed;
};

static void ring(int fd)
{
    uint64_t one = 1;
    ssize_t n = write(fd, &one, sizeof one);
    (void)n; /* full: it is awake already */
}

/* ---- the thread ---- */

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
    int r = store_open(&a->store, a->path, a->vfs[0] ? a->vfs : NULL, a->node, boot, &a->limits, e);
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

static void *run(void *argument)
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

/* ---- the owner ---- */

bool audit_add(struct audit *a, const struct audit_record *r)
{
    buf_clear(&a->packed);
    bool ok = record_pack(&a->packed, r);
    pthread_mutex_lock(&a->lock);
    bool first = a->filling.n == 0;
    ok = ok && buf_add_str(&a->filling, buf_str(&a->packed));
    a->filling.failed = false;
    if (!ok) {
        a->lost++;
        a->counts.lost++;
    }
    bool hurry = (first && a->asleep) || a->filling.n > a->o.queue / 4;
    pthread_mutex_unlock(&a->lock);
    if (ok && hurry)
        pthread_cond_signal(&a->more);
    return ok;
}

void audit_set_limits(struct audit *a, const struct audit_limits *l)
{
    pthread_mutex_lock(&a->lock);
    a->limits = *l;
    pthread_mutex_unlock(&a->lock);
}

struct audit_counts audit_counts(struct audit *a)
{
    pthread_mutex_lock(&a->lock);
    struct audit_counts n = a->counts;
    n.waiting = a->filling.n;
    pthread_mutex_unlock(&a->lock);
    return n;
}

int audit_ask(struct audit *a, struct audit_ask *ask, const struct audit_question *q, struct err *e)
{
    CHECK(!ask->job && q->limit >= 1 && q->limit <= AUDIT_ANSWER_ROWS);
    if (a->n_asks == AUDIT_ASKS)
        return err_set(e, ERR_BUSY, "the audit has %d questions to answer already", AUDIT_ASKS);
    struct audit_job *job = mem_zero(1, sizeof *job);
    if (!job)
        return err_set(e, ERR_NOMEM, "no memory to ask the audit");
    job->ask = ask;
    job->question = *q;
    ask->job = job;
    a->n_asks++;
    pthread_mutex_lock(&a->lock);
    list_push_back(&a->asked, &job->link);
    pthread_mutex_unlock(&a->lock);
    pthread_cond_signal(&a->more);
    return 0;
}

void audit_forget(struct audit_ask *ask)
{
    if (ask->job)
        ask->job->ask = NULL; /* only the owner looks at it */
    ask->job = NULL;
}

static void deliver(struct audit_job *job)
{
    struct audit_ask *ask = job->ask;
    struct audit_answer answer = {
        .code = job->err.code,
        .text = job->err.text,
        .rows = &job->answer.rows,
        .n = job->answer.n,
        .more = job->answer.more,
        .next = job->answer.next,
        .written = job->written,
        .subject = job->answer.subject,
        .then = &job->answer.then,
        .names = &job->answer.names,
        .n_names = job->answer.n_names,
        .near = job->answer.near,
    };
    if (!ask)
        return;
    ask->job = NULL;
    ask->done(ask, &answer);
}

static void job_free(struct audit_job *job)
{
    store_answer_free(&job->answer);
    mem_free(job);
}

static void on_wake(struct io *io, unsigned ready)
{
    struct audit *a = CONTAINER_OF(io, struct audit, wake);
    struct news news[NEWS];
    struct list answered;
    uint64_t count;
    (void)ready;
    ssize_t got = read(io->fd, &count, sizeof count);
    (void)got; /* empty: somebody was faster */
    list_init(&answered);
    pthread_mutex_lock(&a->lock);
    uint32_t n = a->n_news;
    memcpy(news, a->news, sizeof news);
    a->n_news = 0;
    list_for_each_safe (it, &a->answered) {
        list_remove(it);
        list_push_back(&answered, it);
    }
    pthread_mutex_unlock(&a->lock);
    for (uint32_t i = 0; i < n; i++)
        a->o.news(a->o.context, news[i].what, news[i].n, news[i].text);
    list_for_each_safe (it, &answered) {
        struct audit_job *job = LIST_ENTRY(it, struct audit_job, link);
        list_remove(it);
        a->n_asks--;
        deliver(job);
        job_free(job);
    }
}

/* ---- start and end ---- */

static int start(struct audit *a, struct err *e)
{
    pthread_condattr_t clock;
    a->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (a->wake_fd < 0)
        return err_errno(e, "cannot make an event descriptor");
    int r = loop_io_start(a->o.loop, &a->wake, a->wake_fd, e);
    if (r)
        return r;
    pthread_mutex_init(&a->lock, NULL);
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&a->more, &clock);
    pthread_condattr_destroy(&clock);
    errno = pthread_create(&a->thread, NULL, run, a);
    if (errno)
        return err_errno(e, "cannot start a thread for the audit");
    a->running = true;
    return 0;
}

int audit_new(struct audit **out, const struct audit_options *o, struct err *e)
{
    struct audit *a = mem_zero(1, sizeof *a);
    if (!a || strlen(o->path) >= sizeof a->path - 16) {
        mem_free(a);
        return err_set(e, a ? ERR_LIMIT : ERR_NOMEM, "no memory for the audit");
    }
    a->o = *o;
    a->limits = o->limits;
    a->wake_fd = -1;
    a->filling.limit = o->queue;
    str_copy(a->path, sizeof a->path, str_of(o->path));
    str_copy(a->node, sizeof a->node, str_of(o->node));
    str_copy(a->vfs, sizeof a->vfs, str_of(o->vfs));
    list_init(&a->asked);
    list_init(&a->answered);
    io_init(&a->wake, on_wake);
    int r = start(a, e);
    if (r) {
        audit_free(a);
        return r;
    }
    *out = a;
    return 0;
}

/* False: the disk takes too long, and the thread goes on without us until the process ends. */
static bool join(struct audit *a)
{
    struct timespec end;
    pthread_mutex_lock(&a->lock);
    a->stop = true;
    pthread_mutex_unlock(&a->lock);
    pthread_cond_signal(&a->more);
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += (time_t)(END_NS / NS_PER_S);
    return pthread_timedjoin_np(a->thread, NULL, &end) == 0;
}

static void free_jobs(struct list *jobs)
{
    list_for_each_safe (it, jobs) {
        struct audit_job *job = LIST_ENTRY(it, struct audit_job, link);
        if (job->ask)
            job->ask->job = NULL;
        list_remove(it);
        job_free(job);
    }
}

void audit_free(struct audit *a)
{
    if (!a)
        return;
    loop_io_stop(a->o.loop, &a->wake);
    if (a->running && !join(a))
        return;
    if (a->wake_fd >= 0)
        close(a->wake_fd);
    free_jobs(&a->asked);
    free_jobs(&a->answered);
    buf_free(&a->filling);
    buf_free(&a->writing);
    buf_free(&a->packed);
    mem_free(a);
}
