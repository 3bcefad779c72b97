/* What the owner sees of the queue and of the thread behind it (thread.c).
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
#include "audit/thread.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define END_NS (2 * NS_PER_S)

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
    errno = pthread_create(&a->thread, NULL, thread_run, a);
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
