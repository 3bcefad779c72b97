/* The proxy's main thread: views to the workers, acknowledgements to the host. */
#include "proxy/proxy.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/guard.h"
#include "proxy/front.h"
#include "proxy/secret.h"

struct proxy {
    struct loop *loop;
    struct cells cells;
    struct proxy_host host;
    struct logger *logger;
    struct guard *guard;
    struct secrets *secrets;
    struct worker *workers;
    uint32_t n_workers; /* those that were started */

    struct shared_view *current;
    struct shared_view *before; /* older ones, by `older`, until all workers have moved on */
    uint64_t told_epoch;
    uint64_t revisions; /* of services, given out so far */
    struct sip_key secret;
    struct limit *places; /* owned; by slot: requests under way at an instance */

    /* written by the workers */
    struct io news_io;
    int news_fd; /* eventfd */
    atomic_uint drained;
    bool held, draining, told_drained;
};

static struct process_row *proxy_row(const struct proxy *p)
{
    return &p->cells.processes[cells_proxy_row(p->cells.workers, p->cells.bank)];
}

/* --- shared views --- */

static void close_fds(struct shared_view *sv)
{
    for (uint32_t i = 0; sv->fds && i < sv->view->n_sockets; i++)
        if (sv->fds[i] >= 0) {
            if (!sv->lent || !sv->lent[i])
                close(sv->fds[i]);
            sv->fds[i] = -1;
        }
}

void shared_view_ref(struct shared_view *sv)
{
    atomic_fetch_add(&sv->refs, 1);
}

void shared_view_unref(struct shared_view *sv)
{
    if (atomic_fetch_sub(&sv->refs, 1) != 1)
        return;
    close_fds(sv);
    mem_free(sv->fds);
    mem_free(sv->lent);
    mem_free(sv->revision);
    for (uint32_t i = 0; sv->commons && i < sv->view->n_services; i++)
        common_unref(sv->commons[i]);
    mem_free(sv->commons);
    mem_free(sv->logs);
    view_free(sv->view);
    mem_free(sv);
}

/* Takes v and fds in any case. */
static struct shared_view *shared_view_new(struct view *v, int *fds, struct err *e)
{
    struct shared_view *sv = mem_zero(1, sizeof *sv);
    if (!sv) {
        for (uint32_t i = 0; i < v->n_sockets; i++)
            if (fds[i] >= 0)
                close(fds[i]);
        mem_free(fds);
        view_free(v);
        err_set(e, ERR_NOMEM, "no memory for a view");
        return NULL;
    }
    atomic_store(&sv->refs, 1);
    sv->view = v;
    sv->fds = fds;
    sv->lent = mem_zero(v->n_sockets, sizeof *sv->lent);
    sv->revision = mem_zero(v->n_services, sizeof *sv->revision);
    sv->commons = mem_zero(v->n_services, sizeof(struct common *));
    sv->logs = mem_zero(v->n_sockets, sizeof(struct access_log *));
    if (!sv->lent || !sv->revision || !sv->commons || !sv->logs) {
        shared_view_unref(sv);
        err_set(e, ERR_NOMEM, "no memory for a view");
        return NULL;
    }
    return sv;
}

static void open_logs(struct proxy *p, struct shared_view *sv)
{
    for (uint32_t i = 0; i < sv->view->n_sockets; i++)
        if (sv->view->sockets[i].use == SOCKET_ACCESS_LOG && sv->fds[i] >= 0) {
            sv->logs[i] =
                logger_file(p->logger, str_of(sv->view->sockets[i].addr.path), sv->fds[i]);
            sv->fds[i] = -1;
        }
}

/* --- what stays from the view in use to the next --- */

static bool same_file(int a, int b)
{
    struct stat x, y;
    return a >= 0 && b >= 0 && fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev &&
           x.st_ino == y.st_ino;
}

/* A listening socket that stays keeps its number, so that workers need not touch what waits on it.
 */
static void keep_numbers(struct shared_view *now, struct shared_view *next, const int32_t *from)
{
    for (uint32_t i = 0; i < next->view->n_sockets; i++) {
        int32_t k = from[i];
        if (k == VIEW_SOCKET_NEW || !same_file(now->fds[k], next->fds[i]))
            continue;
        close(next->fds[i]);
        next->fds[i] = now->fds[k];
        now->lent[k] = true;
    }
}

/* Equal revisions: the workers keep such a service as it is, with all that they share of it. Memory
 * out: it counts as changed. */
static int keep_services(struct proxy *p, const struct shared_view *now, struct shared_view *next,
                         struct err *e)
{
    int r = 0;
    struct buf scratch[2] = {{0}, {0}};
    struct view_index before = {.v = now ? now->view : NULL};
    for (uint32_t i = 0; r == 0 && i < next->view->n_services; i++) {
        const struct view_service *s = &next->view->services[i];
        const struct view_service *was = view_index_find(&before, i, s->name);
        bool same = was && view_same_service(now->view, was, next->view, s, scratch);
        next->revision[i] = same ? now->revision[was - now->view->services] : ++p->revisions;
        struct common *had = was ? now->commons[was - now->view->services] : NULL;
        if (same)
            next->commons[i] = common_ref(had);
        else
            r = common_new(s, was, had, p->n_workers, &next->commons[i], e);
    }
    view_index_free(&before);
    buf_free(&scratch[0]);
    buf_free(&scratch[1]);
    return r;
}

static int keep(struct proxy *p, struct shared_view *next, struct err *e)
{
    struct shared_view *now = p->current;
    int r = keep_services(p, now, next, e);
    if (r || !now)
        return r;
    uint32_t n = next->view->n_sockets;
    int32_t *from = mem_zero(n, sizeof *from);
    if (!from || !view_keep_sockets(now->view->sockets, now->view->n_sockets, next->view->sockets,
                                    n, from)) {
        mem_free(from);
        return err_set(e, ERR_NOMEM, "no memory for a view");
    }
    keep_numbers(now, next, from);
    mem_free(from);
    return 0;
}

/* --- news from the workers --- */

static void tell_main(struct proxy *p)
{
    uint64_t one = 1;
    ssize_t n = write(p->news_fd, &one, sizeof one);
    (void)n; /* full: the main thread wakes in any case */
}

void proxy_worker_took(struct proxy *p, struct worker *w, uint64_t epoch)
{
    atomic_store_explicit(&w->took, epoch, memory_order_release);
    tell_main(p);
}

void proxy_worker_drained(struct proxy *p)
{
    atomic_fetch_add(&p->drained, 1);
    tell_main(p);
}

void proxy_complain(struct proxy *p, const char *format, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    p->host.complain(p->host.context, text);
}

static void complain_of_log(void *context, const char *text)
{
    proxy_complain(context, "%s", text);
}

struct guard *proxy_guard(struct proxy *p)
{
    return p->guard;
}

size_t proxy_gate_secret(struct proxy *p, struct str service, char out[SECRET_MAX])
{
    return secrets_get(p->secrets, service, out, SECRET_MAX);
}

bool proxy_evidence(struct proxy *p, const struct signal *s)
{
    return p->host.evidence(p->host.context, s);
}

void proxy_wake(struct proxy *p, uint32_t worker)
{
    CHECK(worker < p->n_workers);
    worker_wake(&p->workers[worker]);
}

static bool all_took(const struct proxy *p)
{
    for (uint32_t i = 0; i < p->n_workers; i++)
        if (atomic_load_explicit(&p->workers[i].took, memory_order_acquire) !=
            p->current->view->epoch)
            return false;
    return true;
}

/* No worker accepts from the older views' sockets any more: they are closed, however long their
 * connections live. */
static void forget_before(struct proxy *p)
{
    while (p->before) {
        struct shared_view *sv = p->before;
        p->before = sv->older;
        close_fds(sv);
        shared_view_unref(sv);
    }
}

static void on_news(struct io *io, unsigned ready)
{
    struct proxy *p = CONTAINER_OF(io, struct proxy, news_io);
    uint64_t count;
    ssize_t n = read(io->fd, &count, sizeof count);
    (void)n;
    (void)ready;
    if (p->current && p->told_epoch != p->current->view->epoch && all_took(p)) {
        p->told_epoch = p->current->view->epoch;
        forget_before(p);
        cell_set(&proxy_row(p)->epoch, p->told_epoch);
        p->host.view_taken(p->host.context, p->told_epoch);
    }
    if (p->draining && !p->told_drained && atomic_load(&p->drained) >= p->n_workers) {
        p->told_drained = true;
        p->host.drained(p->host.context);
    }
}

/* --- the front door --- */

int proxy_new(struct proxy **out, struct loop *l, const struct cells *cells,
              const struct proxy_host *host, struct err *e)
{
    struct proxy *p = mem_zero(1, sizeof *p);
    if (!p)
        return err_set(e, ERR_NOMEM, "no memory for the proxy");
    p->loop = l;
    p->cells = *cells;
    p->host = *host;
    entropy(&p->secret, sizeof p->secret);
    p->places = mem_zero(cells->header->slots, sizeof *p->places);
    io_init(&p->news_io, on_news);
    p->guard = guard_new(&p->secret);
    p->secrets = secrets_new();
    p->news_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int r = p->news_fd < 0 ? err_errno(e, "cannot make an event descriptor")
            : p->places && p->guard && p->secrets
                ? logger_new(&p->logger, complain_of_log, p, e)
                : err_set(e, ERR_NOMEM, "no memory for the proxy");
    if (r == 0)
        r = loop_io_start(l, &p->news_io, p->news_fd, e);
    if (r) {
        proxy_free(p);
        return r;
    }
    *out = p;
    return 0;
}

static int start_workers(struct proxy *p, uint32_t n, struct err *e)
{
    p->workers = mem_zero(n, sizeof *p->workers);
    if (!p->workers)
        return err_set(e, ERR_NOMEM, "no memory for %u workers", n);
    for (uint32_t i = 0; i < n; i++) {
        struct worker *w = &p->workers[i];
        w->cells = p->cells;
        w->proxy_workers = n;
        w->held = p->held;
        w->secret = p->secret;
        w->places = p->places;
        w->row = proxy_row(p) + 1 + i;
        w->lane = cells_lane(&p->cells, p->cells.bank, i);
        cell_set(&w->row->epoch, 0);
        w->log = logger_ring(p->logger, &w->row->log_dropped, e);
        p->n_workers++;
        int r = w->log ? worker_start(w, p, i, e) : -(int)ERR_NOMEM;
        if (r)
            return r;
    }
    return 0;
}

int proxy_take_view(struct proxy *p, struct view *v, int *fds, struct err *e)
{
    uint32_t workers = v->workers;
    struct shared_view *sv = shared_view_new(v, fds, e);
    if (!sv)
        return -(int)ERR_NOMEM;
    if (workers == 0 || workers > p->cells.header->workers ||
        (p->n_workers && workers != p->n_workers)) {
        shared_view_unref(sv);
        return err_set(e, ERR_INVAL, "a view for %u workers came to a proxy with %u", workers,
                       p->n_workers ? p->n_workers : p->cells.header->workers);
    }
    int r = p->workers ? 0 : start_workers(p, workers, e);
    if (r == 0)
        r = keep(p, sv, e);
    if (r) {
        shared_view_unref(sv);
        return r;
    }
    open_logs(p, sv);
    for (uint32_t i = 0; i < v->n_services; i++)
        common_limit(sv->commons[i], &v->services[i], p->places);
    if (p->current) {
        p->current->older = p->before;
        p->before = p->current;
    }
    p->current = sv;
    for (uint32_t i = 0; i < p->n_workers; i++) {
        shared_view_ref(sv);
        worker_command(&p->workers[i], sv, 0);
    }
    return 0;
}

static void order(struct proxy *p, enum order what)
{
    for (uint32_t i = 0; i < p->n_workers; i++)
        worker_command(&p->workers[i], NULL, what);
    if (p->n_workers == 0)
        tell_main(p);
}

void proxy_roles_changed(struct proxy *p)
{
    for (uint32_t i = 0; i < p->n_workers; i++)
        worker_wake(&p->workers[i]);
}

int proxy_set_secret(struct proxy *p, struct str service, struct str secret, struct err *e)
{
    if (secret.n > PROXY_SECRET_MAX)
        return err_set(e, ERR_LIMIT, "a service's secret has more than %d bytes", PROXY_SECRET_MAX);
    return secrets_set(p->secrets, service, secret, e);
}

void proxy_hold(struct proxy *p)
{
    CHECK(p->n_workers == 0);
    p->held = true;
}

void proxy_accept(struct proxy *p)
{
    p->held = false;
    order(p, ORDER_ACCEPT);
}

void proxy_hand_over(struct proxy *p)
{
    if (p->draining)
        return;
    p->draining = true;
    order(p, ORDER_HAND_OVER);
}

void proxy_drain(struct proxy *p)
{
    p->draining = true;
    order(p, ORDER_DRAIN);
}

void proxy_free(struct proxy *p)
{
    if (!p)
        return;
    for (uint32_t i = 0; i < p->n_workers; i++)
        worker_end(&p->workers[i]);
    if (p->current)
        shared_view_unref(p->current);
    forget_before(p);
    logger_free(p->logger);
    guard_free(p->guard);
    secrets_free(p->secrets);
    loop_io_stop(p->loop, &p->news_io);
    if (p->news_fd >= 0)
        close(p->news_fd);
    mem_free(p->workers);
    mem_free(p->places);
    mem_free(p);
}
