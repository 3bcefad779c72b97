/* The engine of one machine: the map in a SQLite file (embedded_db.h), and a thread that waits for
 * the disk.
 *
 * Threads. The loop's thread puts jobs into a queue (bounded: requests under way, watches and one
 * that is past its deadline) and takes finished ones from another; the worker does them one after
 * the other, in order. Both queues lie under one mutex, which nobody holds while waiting for a disk
 * or a callback. An eventfd wakes the loop. A job belongs to the queue that it is in; the one being
 * worked at to the worker, but for its `request` and `watch`, which only the loop's thread uses.
 *
 * Watches need no history: a watch is a job that reads all there is, and since jobs finish in
 * order, exactly the changes that finish after it are news to it.
 *
 * A deadline takes a job that was not begun out of the queue (it has no effect and FAILED); one
 * that is being worked at goes on (UNKNOWN), and watches are told of it when it is done.
 *
 * Trouble with the disk. What fails before its commit has not happened. After a commit that failed,
 * and after any error of reading, the file must be settled (db_settle) before it is used again: at
 * once, then after 50 ms, 100 ms ... 1 s while that fails. Until then the engine is not reachable:
 * changes are refused, ranges and watches wait. The change whose commit failed waits too, and is
 * answered when settling has shown what became of it; past its deadline it is UNKNOWN.
 *
 * A disk that hangs, hangs the worker alone: nobody is answered, deadlines pass, and after
 * COORD_SILENCE the engine is not reachable. coord_free waits for the worker. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "coord/embedded_db.h"
#include "coord/engine.h"

#define RETRY_FIRST (50 * NS_PER_MS) /* doubled each time, up to the last */
#define RETRY_LAST  NS_PER_S

enum kind { CAS, READ_RANGE, READ_WATCH };

struct job {
    struct list link;
    enum kind kind;
    struct coord_request *request; /* NULL: nobody waits for it any more */
    struct coord_watch *watch;
    bool begun, finished; /* under the mutex */
    struct str prefix;
    struct coord_op *ops;
    uint32_t n;
    enum coord_outcome outcome;
    uint64_t revision;
    struct db_change change;
    struct db_items found;
    struct err why;
    char bytes[]; /* the prefix */
};

struct embedded {
    struct coord c;
    struct io io;       /* the eventfd */
    struct list coming; /* finished jobs, taken over by the loop */
    pthread_t worker;
    bool has_worker;
    int fd;
    pthread_mutex_t mutex;
    pthread_cond_t work;
    /* under the mutex: */
    struct list queue, finished;
    bool stop, sick;
    struct err why; /* of sick */
    /* the worker's: */
    struct db *db;
};

static struct embedded *embedded_of(struct coord *c)
{
    return CONTAINER_OF(c, struct embedded, c);
}

static void job_free(struct job *j)
{
    list_remove(&j->link);
    db_items_free(&j->found);
    mem_free(j->ops);
    mem_free(j);
}

static void free_all(struct list *jobs)
{
    list_for_each_safe (it, jobs)
        job_free(LIST_ENTRY(it, struct job, link));
}

/* ---- The worker ---- */

static void wake_loop(const struct embedded *m)
{
    uint64_t one = 1;
    ssize_t n = write(m->fd, &one, sizeof one);
    (void)n; /* it fails only when the counter is full, and then the loop is woken already */
}

/* The mutex is held. */
static void finish(struct embedded *m, struct job *j)
{
    j->finished = true;
    list_remove(&j->link);
    list_push_back(&m->finished, &j->link);
    wake_loop(m);
}

static void fail(struct embedded *m, struct job *j, const struct err *why)
{
    j->outcome = COORD_FAILED;
    j->why = *why;
    finish(m, j);
}

static void end_of_cas(struct embedded *m, struct job *j)
{
    j->outcome = j->change.outcome;
    j->revision = j->change.revision;
    finish(m, j);
}

static enum db_end do_job(struct embedded *m, struct job *j)
{
    if (j->kind == CAS)
        return db_cas(m->db, j->ops, j->n, &j->change, &j->why);
    j->outcome = COORD_DONE;
    j->revision = db_revision(m->db);
    return db_range(m->db, j->prefix, &j->found, &j->why);
}

/* Waits for work, or a while. The mutex is held. */
static void wait_for_work(struct embedded *m, uint64_t ns)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    uint64_t nsec = (uint64_t)at.tv_nsec + ns;
    at.tv_sec += (time_t)(nsec / NS_PER_S);
    at.tv_nsec = (long)(nsec % NS_PER_S);
    pthread_cond_timedwait(&m->work, &m->mutex, &at);
}

/* While the file cannot be used nothing changes. The mutex is held. */
static void refuse_changes(struct embedded *m)
{
    list_for_each_safe (it, &m->queue) {
        struct job *j = LIST_ENTRY(it, struct job, link);
        if (j->kind == CAS && !j->begun)
            fail(m, j, &m->why);
    }
}

static void set_sick(struct embedded *m, bool sick, const struct err *why)
{
    m->sick = sick;
    if (why)
        m->why = *why;
    wake_loop(m);
}

/* Until the file is good again, or the end. The mutex is held, but not while the disk works. */
static bool settle(struct embedded *m)
{
    for (uint64_t pause = RETRY_FIRST;; pause = MIN(2 * pause, RETRY_LAST)) {
        pthread_mutex_unlock(&m->mutex);
        struct err again;
        int bad = db_settle(m->db, &again);
        pthread_mutex_lock(&m->mutex);
        if (!bad)
            break;
        set_sick(m, true, &again);
        uint64_t until = clock_now() + pause;
        while (!m->stop && clock_now() < until) {
            refuse_changes(m);
            wait_for_work(m, until - MIN(clock_now(), until));
        }
        if (m->stop)
            return false;
    }
    set_sick(m, false, NULL);
    return true;
}

/* What became of a change whose commit failed, now that the file is good again. */
static void resolve(struct embedded *m, struct job *j)
{
    if (db_revision(m->db) == j->change.revision)
        end_of_cas(m, j);
    else
        fail(m, j, &j->why);
}

/* No memory for what a watch must be told: after what else there is, and a while. */
static void try_later(struct embedded *m, struct job *j)
{
    j->begun = false;
    list_remove(&j->link);
    list_push_back(&m->queue, &j->link);
    wait_for_work(m, RETRY_FIRST);
}

/* One job to its end. The mutex is held, but not while the disk works. */
static void work_at(struct embedded *m, struct job *j)
{
    j->begun = true;
    pthread_mutex_unlock(&m->mutex);
    enum db_end end = do_job(m, j);
    pthread_mutex_lock(&m->mutex);
    switch (end) {
    case DB_OK:
        if (j->kind == CAS)
            end_of_cas(m, j);
        else
            finish(m, j);
        break;
    case DB_REFUSED:
        if (j->kind == READ_WATCH)
            try_later(m, j);
        else
            fail(m, j, &j->why);
        break;
    case DB_SICK:
        if (j->kind == CAS)
            fail(m, j, &j->why);
        else
            j->begun = false; /* again, when the file is good */
        settle(m);
        break;
    case DB_UNSETTLED:
        if (settle(m))
            resolve(m, j);
        break;
    }
}

static void *worker(void *context)
{
    struct embedded *m = context;
    pthread_mutex_lock(&m->mutex);
    while (!m->stop)
        if (list_empty(&m->queue))
            pthread_cond_wait(&m->work, &m->mutex);
        else
            work_at(m, LIST_ENTRY(m->queue.next, struct job, link));
    pthread_mutex_unlock(&m->mutex);
    return NULL;
}

/* ---- The loop's side ---- */

/* What this change made of its keys, for one watch: those with its prefix. */
static uint32_t items_for(const struct coord_watch *w, const struct job *j,
                          struct coord_item items[COORD_OPS])
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < j->n; i++) {
        const struct coord_op *op = &j->ops[i];
        if ((j->change.changed & 1u << i) && str_starts(op->key, w->prefix))
            items[n++] =
                (struct coord_item){op->key, op->value, j->revision, op->act == COORD_REMOVE};
    }
    return n;
}

static void tell_watches(struct embedded *m, const struct job *j)
{
    list_for_each (it, &m->c.watches) {
        struct coord_watch *w = LIST_ENTRY(it, struct coord_watch, link);
        struct coord_item items[COORD_OPS];
        uint32_t n = items_for(w, j, items);
        if (n)
            coord_tell(w, items, n, j->revision, false);
    }
}

static void arrive(struct embedded *m, struct job *j)
{
    bool happened = j->kind == CAS && j->outcome == COORD_DONE && j->change.changed;
    if (j->outcome != COORD_FAILED)
        coord_reached(&m->c);
    if (j->request) {
        struct coord_answer a = {j->outcome, j->revision, j->found.items, j->found.n, NULL};
        if (j->outcome == COORD_FAILED)
            a = (struct coord_answer){.outcome = COORD_FAILED, .why = &j->why};
        coord_answer(j->request, &a);
    }
    if (j->watch) {
        j->watch->own = NULL;
        coord_tell(j->watch, j->found.items, j->found.n, j->revision, true);
    }
    if (happened)
        tell_watches(m, j);
    job_free(j);
}

static void take_finished(struct embedded *m, struct err *why, bool *sick)
{
    pthread_mutex_lock(&m->mutex);
    while (!list_empty(&m->finished)) {
        struct list *first = m->finished.next;
        list_remove(first);
        list_push_back(&m->coming, first);
    }
    *sick = m->sick;
    *why = m->why;
    pthread_mutex_unlock(&m->mutex);
}

static void on_finished(struct io *io, unsigned ready)
{
    struct embedded *m = CONTAINER_OF(io, struct embedded, io);
    uint64_t times;
    struct err why;
    bool sick;
    if (!(ready & IO_READ) || read(m->fd, &times, sizeof times) < 0)
        return;
    take_finished(m, &why, &sick);
    while (!list_empty(&m->coming))
        arrive(m, LIST_ENTRY(m->coming.next, struct job, link));
    if (sick)
        coord_lost(&m->c, &why);
    else
        coord_reached(&m->c);
}

static struct job *job_new(enum kind kind, struct str prefix)
{
    struct job *j = mem_alloc(sizeof *j + prefix.n);
    if (!j)
        return NULL;
    *j = (struct job){.kind = kind};
    memcpy(j->bytes, prefix.n ? prefix.p : "", prefix.n);
    j->prefix = (struct str){j->bytes, prefix.n};
    return j;
}

static void enqueue(struct embedded *m, struct job *j)
{
    pthread_mutex_lock(&m->mutex);
    list_push_back(&m->queue, &j->link);
    pthread_cond_signal(&m->work);
    pthread_mutex_unlock(&m->mutex);
}

static int begin(struct coord *c, struct coord_request *r, struct err *e)
{
    struct job *j = job_new(r->is_range ? READ_RANGE : CAS, r->prefix);
    if (!j)
        return err_set(e, ERR_NOMEM, "no memory for a request to the coordinator");
    j->request = r;
    j->ops = r->ops;
    j->n = r->n;
    r->ops = NULL;
    r->own = j;
    enqueue(embedded_of(c), j);
    return 0;
}

/* Nobody waits for it any more: out of the queue, if it was not begun. True: it had an effect, or
 * may have one yet. */
static bool abandon(struct embedded *m, struct job *j)
{
    pthread_mutex_lock(&m->mutex);
    bool waits = !j->begun && !j->finished;
    bool effect = j->finished ? j->outcome == COORD_DONE : j->begun;
    if (waits)
        list_remove(&j->link);
    pthread_mutex_unlock(&m->mutex);
    if (waits)
        job_free(j);
    return effect;
}

static bool drop(struct coord *c, struct coord_request *r)
{
    struct job *j = r->own;
    j->request = NULL;
    return abandon(embedded_of(c), j);
}

static int watch(struct coord *c, struct coord_watch *w, struct err *e)
{
    struct job *j = job_new(READ_WATCH, w->prefix);
    if (!j)
        return err_set(e, ERR_NOMEM, "no memory to watch the coordinator");
    j->watch = w;
    w->own = j;
    enqueue(embedded_of(c), j);
    return 0;
}

static void unwatch(struct coord *c, struct coord_watch *w)
{
    struct job *j = w->own;
    if (!j)
        return;
    j->watch = NULL;
    w->own = NULL;
    abandon(embedded_of(c), j);
}

static void end(struct embedded *m)
{
    if (m->has_worker) {
        pthread_mutex_lock(&m->mutex);
        m->stop = true;
        pthread_cond_signal(&m->work);
        pthread_mutex_unlock(&m->mutex);
        pthread_join(m->worker, NULL);
    }
    loop_io_stop(m->c.loop, &m->io);
    if (m->fd >= 0)
        close(m->fd);
    free_all(&m->queue);
    free_all(&m->finished);
    free_all(&m->coming);
    db_close(m->db);
    pthread_cond_destroy(&m->work);
    pthread_mutex_destroy(&m->mutex);
    mem_free(m);
}

static void free_embedded(struct coord *c)
{
    end(embedded_of(c));
}

static const struct coord_engine engine = {"embedded", begin, drop, watch, unwatch, free_embedded};

static void init(struct embedded *m, struct loop *l)
{
    pthread_condattr_t clock;
    coord_init(&m->c, &engine, l);
    io_init(&m->io, on_finished);
    m->fd = -1;
    list_init(&m->coming);
    list_init(&m->queue);
    list_init(&m->finished);
    pthread_mutex_init(&m->mutex, NULL);
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&m->work, &clock);
    pthread_condattr_destroy(&clock);
}

/* Signals are for the loop's thread. */
static int start_worker(struct embedded *m, struct err *e)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&m->worker, NULL, worker, m);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    m->has_worker = !failed;
    errno = failed;
    return failed ? err_errno(e, "cannot start a thread for the coordinator") : 0;
}

int coord_embedded_new(struct coord **out, struct loop *l, const char *path, struct err *e)
{
    struct embedded *m = mem_zero(1, sizeof *m);
    if (!m)
        return err_set(e, ERR_NOMEM, "no memory for a coordinator");
    init(m, l);
    int bad = db_open(&m->db, path, e);
    if (!bad && (m->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
        bad = err_errno(e, "cannot make an eventfd");
    bad = bad ? bad : loop_io_start(l, &m->io, m->fd, e);
    bad = bad ? bad : start_worker(m, e);
    if (bad) {
        coord_end(&m->c);
        end(m);
        return bad;
    }
    coord_at(&m->c, path);
    coord_seen(&m->c, db_revision(m->db));
    coord_reached(&m->c);
    *out = &m->c;
    return 0;
}
