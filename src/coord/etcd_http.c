#include "coord/etcd_http.h"

#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/file.h"
#include "os/watch.h"

enum {
    ROUNDS = 32, /* of ready sockets in a turn of the loop */
    READY = 16,  /* sockets a round */
    PEM_MAX = 1024 * 1024,
    SILENT_MS = 3000, /* a connection whose peer acknowledges nothing for so long is dead */
};

/* A file whose content libcurl gets. */
struct pem {
    char *path; /* NULL: none */
    struct file_stamp stamp;
    struct buf bytes;
};

struct etcd_http {
    struct loop *loop;
    CURLM *multi;
    struct io io; /* of the epoll instance that has libcurl's sockets */
    int epoll_fd;
    struct timer timer;
    struct task again; /* more is ready, or libcurl wants a turn at once, or something is to tell */
    bool timeout_now;
    struct list fresh; /* calls that have something to tell */
    struct pem ca, cert, key;
};

/* --- libcurl's sockets and timer --- */

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *known)
{
    struct etcd_http *h = context;
    struct epoll_event ev = {.data.fd = fd};
    if (what == CURL_POLL_REMOVE) {
        (void)epoll_ctl(h->epoll_fd, EPOLL_CTL_DEL, fd, &ev); /* it may be closed already */
        return 0;
    }
    ev.events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
    if (epoll_ctl(h->epoll_fd, EPOLL_CTL_ADD, fd, &ev) == 0)
        return 0;
    return errno == EEXIST && epoll_ctl(h->epoll_fd, EPOLL_CTL_MOD, fd, &ev) == 0 ? 0 : -1;
}

static int on_timeout(CURLM *multi, long ms, void *context)
{
    struct etcd_http *h = context;
    h->timeout_now = ms == 0;
    if (ms == 0)
        loop_defer(h->loop, &h->again);
    if (ms > 0)
        loop_timer_set(h->loop, &h->timer, clock_now() + (uint64_t)ms * NS_PER_MS);
    else
        loop_timer_stop(h->loop, &h->timer);
    return 0;
}

static void turn(struct etcd_http *h, curl_socket_t fd, int ready)
{
    int running;
    (void)curl_multi_socket_action(h->multi, fd, ready, &running);
}

static void note(struct etcd_http *h, struct etcd_call *c)
{
    if (list_empty(&c->fresh))
        list_push_back(&h->fresh, &c->fresh);
}

static void collect_ended(struct etcd_http *h)
{
    int left;
    for (CURLMsg *m; (m = curl_multi_info_read(h->multi, &left));) {
        char *call = NULL;
        if (m->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &call);
        struct etcd_call *c = (struct etcd_call *)(void *)call;
        c->ended = true;
        c->result = (int)m->data.result;
        note(h, c);
    }
}

/* --- who waits is told --- */

static void wipe_buf(struct buf *b)
{
    if (b->p)
        wipe(b->p, b->cap);
    buf_clear(b);
}

static void release(struct etcd_call *c)
{
    list_remove(&c->fresh);
    (void)curl_multi_remove_handle(c->http->multi, c->easy);
    curl_easy_cleanup(c->easy);
    curl_slist_free_all(c->headers);
    c->easy = c->headers = NULL;
    c->http = NULL;
    if (c->secret)
        wipe_buf(&c->request);
}

static void explain(struct etcd_call *c)
{
    const char *text = c->detail[0] ? c->detail : curl_easy_strerror((CURLcode)c->result);
    if (c->answer.failed)
        err_set(&c->why, ERR_NOMEM, "no memory for its answer");
    else if (c->overflow)
        err_set(&c->why, ERR_LIMIT, "its answer has more than %zu bytes", c->answer_max);
    else if (c->result == CURLE_OPERATION_TIMEDOUT)
        err_set(&c->why, ERR_TIMEOUT, "it %s",
                c->sent ? "does not answer" : "cannot be reached in time");
    else if (c->result == CURLE_OUT_OF_MEMORY)
        err_set(&c->why, ERR_NOMEM, "no memory to ask it");
    else
        err_set(&c->why, ERR_IO, "%s", text);
}

static void finish(struct etcd_call *c)
{
    long status = 0;
    curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    c->status = c->result == CURLE_OK && status > 0 ? (unsigned)status : 0;
    if (!c->status)
        explain(c);
    release(c);
    c->on_done(c);
}

static void tell(struct etcd_http *h)
{
    struct list now = LIST_INIT(now);
    while (!list_empty(&h->fresh)) {
        struct list *first = h->fresh.next;
        list_remove(first);
        list_push_back(&now, first);
    }
    /* Whoever is told may stop any of the others: that takes it out of this list. */
    while (!list_empty(&now)) {
        struct etcd_call *c = LIST_ENTRY(now.next, struct etcd_call, fresh);
        list_remove(&c->fresh);
        if (c->ended)
            finish(c);
        else if (c->on_data)
            c->on_data(c);
    }
}

/* --- turns --- */

/* Until nothing is ready. False: there may be more. */
static bool drain(struct etcd_http *h)
{
    struct epoll_event ready[READY];
    for (int round = 0; round < ROUNDS; round++) {
        int n = epoll_wait(h->epoll_fd, ready, READY, 0);
        if (n == 0)
            return true;
        for (int i = 0; i < n; i++) {
            uint32_t ev = ready[i].events;
            int what = (ev & EPOLLIN ? CURL_CSELECT_IN : 0) |
                       (ev & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                       (ev & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
            turn(h, ready[i].data.fd, what);
        }
    }
    return false;
}

static void go_on(struct etcd_http *h)
{
    if (!drain(h))
        loop_defer(h->loop, &h->again);
    collect_ended(h);
    tell(h);
}

static void on_ready(struct io *io, unsigned ready)
{
    go_on(CONTAINER_OF(io, struct etcd_http, io));
}

static void on_timer(struct timer *t)
{
    struct etcd_http *h = CONTAINER_OF(t, struct etcd_http, timer);
    turn(h, CURL_SOCKET_TIMEOUT, 0);
    go_on(h);
}

static void on_again(struct task *t)
{
    struct etcd_http *h = CONTAINER_OF(t, struct etcd_http, again);
    if (h->timeout_now) {
        h->timeout_now = false;
        turn(h, CURL_SOCKET_TIMEOUT, 0);
    }
    go_on(h);
}

/* --- files --- */

static int pem_open(struct pem *p, const char *path, struct err *e)
{
    if (!path)
        return 0;
    p->path = mem_alloc(strlen(path) + 1);
    if (!p->path)
        return err_set(e, ERR_NOMEM, "no memory for the name of a file");
    memcpy(p->path, path, strlen(path) + 1);
    return 0;
}

static int pem_refresh(struct pem *p, struct err *e)
{
    struct file_stamp now;
    struct buf bytes = {0};
    if (!p->path)
        return 0;
    int bad = file_stamp(p->path, &now, e);
    if (bad || (p->bytes.n && memcmp(&now, &p->stamp, sizeof now) == 0))
        return bad;
    bad = file_read(p->path, PEM_MAX, &bytes, e);
    if (!bad && !bytes.n)
        bad = err_set(e, ERR_INVAL, "%s is empty", p->path);
    if (bad) {
        buf_free(&bytes);
        return bad;
    }
    wipe_buf(&p->bytes);
    buf_free(&p->bytes);
    p->bytes = bytes;
    p->stamp = now;
    return 0;
}

static void pem_close(struct pem *p)
{
    wipe_buf(&p->bytes);
    buf_free(&p->bytes);
    mem_free(p->path);
}

int etcd_http_refresh(struct etcd_http *h, struct err *e)
{
    int bad = pem_refresh(&h->ca, e);
    bad = bad ? bad : pem_refresh(&h->cert, e);
    return bad ? bad : pem_refresh(&h->key, e);
}

/* --- making --- */

static int open_loop(struct etcd_http *h, struct err *e)
{
    h->multi = curl_multi_init();
    h->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (h->epoll_fd < 0)
        return err_errno(e, "cannot make an epoll instance");
    if (!h->multi || curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, on_socket) ||
        curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h) ||
        curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, on_timeout) ||
        curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h))
        return err_set(e, ERR_NOMEM, "no memory for HTTP connections");
    return loop_io_start(h->loop, &h->io, h->epoll_fd, e);
}

int etcd_http_new(struct etcd_http **out, struct loop *l, const struct etcd_http_options *o,
                  struct err *e)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT))
        return err_set(e, ERR_NOMEM, "libcurl does not start");
    struct etcd_http *h = mem_zero(1, sizeof *h);
    if (!h) {
        curl_global_cleanup();
        return err_set(e, ERR_NOMEM, "no memory for HTTP connections");
    }
    h->loop = l;
    h->epoll_fd = -1;
    io_init(&h->io, on_ready);
    timer_init(&h->timer, on_timer);
    task_init(&h->again, on_again);
    list_init(&h->fresh);
    int bad = pem_open(&h->ca, o->ca, e);
    bad = bad ? bad : pem_open(&h->cert, o->cert, e);
    bad = bad ? bad : pem_open(&h->key, o->key, e);
    bad = bad ? bad : etcd_http_refresh(h, e);
    bad = bad ? bad : open_loop(h, e);
    if (bad) {
        etcd_http_free(h);
        return bad;
    }
    *out = h;
    return 0;
}

void etcd_http_free(struct etcd_http *h)
{
    if (!h)
        return;
    CHECK(list_empty(&h->fresh));
    curl_multi_cleanup(h->multi);
    loop_timer_stop(h->loop, &h->timer);
    task_cancel(&h->again);
    loop_io_stop(h->loop, &h->io);
    if (h->epoll_fd >= 0)
        close(h->epoll_fd);
    pem_close(&h->ca);
    pem_close(&h->cert);
    pem_close(&h->key);
    mem_free(h);
    curl_global_cleanup();
}

/* --- a call --- */

static size_t on_body(char *p, size_t one, size_t n, void *context)
{
    struct etcd_call *c = context;
    c->overflow = c->answer.n + n > c->answer_max;
    if (c->overflow || !buf_add(&c->answer, p, n))
        return 0;
    if (c->on_data)
        note(c->http, c);
    return n;
}

static int on_sending(void *context, char *to, char *from, int to_port, int from_port)
{
    struct etcd_call *c = context;
    if (c->once && c->sent)
        return CURL_PREREQFUNC_ABORT;
    c->sent = true;
    return CURL_PREREQFUNC_OK;
}

static int on_connected(void *context, curl_socket_t fd, curlsocktype purpose)
{
    unsigned ms = SILENT_MS;
    int count = 3;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
    return CURL_SOCKOPT_OK;
}

#define SET(option, value) (ok = ok && curl_easy_setopt(easy, option, value) == CURLE_OK)

static bool set_target(CURL *easy, struct etcd_call *c)
{
    char url[512];
    bool ok = snprintf(url, sizeof url, "%s%s", c->base, c->path) < (int)sizeof url;
    SET(CURLOPT_URL, url);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_PROXY, ""); /* whatever the environment says */
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_HTTPHEADER, (struct curl_slist *)c->headers);
    SET(CURLOPT_POST, 1L);
    SET(CURLOPT_POSTFIELDS, c->request.p);
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)c->request.n);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L); /* waits for no name server */
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)(c->connect_ns / NS_PER_MS));
    SET(CURLOPT_TIMEOUT_MS, (long)(c->limit_ns / NS_PER_MS));
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_TCP_KEEPIDLE, 1L);
    SET(CURLOPT_TCP_KEEPINTVL, 1L);
    return ok;
}

static bool set_callbacks(CURL *easy, struct etcd_call *c)
{
    bool ok = true;
    SET(CURLOPT_PRIVATE, c);
    SET(CURLOPT_ERRORBUFFER, c->detail);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, c);
    SET(CURLOPT_PREREQFUNCTION, on_sending);
    SET(CURLOPT_PREREQDATA, c);
    SET(CURLOPT_SOCKOPTFUNCTION, on_connected);
    return ok;
}

static bool set_pem(CURL *easy, CURLoption option, const struct pem *p)
{
    struct curl_blob blob = {p->bytes.p, p->bytes.n, CURL_BLOB_COPY};
    return !p->path || curl_easy_setopt(easy, option, &blob) == CURLE_OK;
}

/* Without sessions that are kept: a certificate is looked at whenever a connection begins. */
static bool set_tls(CURL *easy, const struct etcd_http *h)
{
    bool ok = true;
    SET(CURLOPT_SSL_SESSIONID_CACHE, 0L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (h->ca.path) {
        SET(CURLOPT_CAINFO, NULL);
        SET(CURLOPT_CAPATH, NULL); /* else the system's authorities would be good as well */
    }
    return ok && set_pem(easy, CURLOPT_CAINFO_BLOB, &h->ca) &&
           set_pem(easy, CURLOPT_SSLCERT_BLOB, &h->cert) &&
           set_pem(easy, CURLOPT_SSLKEY_BLOB, &h->key);
}

static bool add_header(struct etcd_call *c, const char *line)
{
    struct curl_slist *more = curl_slist_append(c->headers, line);
    if (more)
        c->headers = more;
    return more != NULL;
}

static bool add_headers(struct etcd_call *c)
{
    struct buf line = {0};
    bool ok = add_header(c, "Content-Type: application/json") && add_header(c, "Expect:") &&
              add_header(c, "Accept:");
    for (uint32_t i = 0; ok && i < c->n_lines; i++)
        ok = add_header(c, c->lines[i]);
    if (ok && c->require_leader)
        ok = add_header(c, "Grpc-Metadata-hasleader: true");
    if (ok && c->token) {
        ok = buf_printf(&line, "Authorization: %s", c->token) && buf_add(&line, "", 1) &&
             add_header(c, line.p);
        wipe_buf(&line);
    }
    buf_free(&line);
    return ok;
}

void etcd_call_init(struct etcd_call *c, void (*on_done)(struct etcd_call *))
{
    *c = (struct etcd_call){.on_done = on_done};
    list_init(&c->fresh);
}

int etcd_call_start(struct etcd_http *h, struct etcd_call *c, struct err *e)
{
    CHECK(!c->http && c->request.p);
    buf_clear(&c->answer);
    c->status = 0;
    c->sent = c->ended = c->overflow = false;
    c->why = (struct err){0};
    c->detail[0] = 0;
    c->http = h;
    c->easy = curl_easy_init();
    if (c->easy && add_headers(c) && set_target(c->easy, c) && set_callbacks(c->easy, c) &&
        set_tls(c->easy, h) && curl_multi_add_handle(h->multi, c->easy) == CURLM_OK)
        return 0;
    release(c);
    return err_set(e, ERR_NOMEM, "no memory for a request to %.100s", c->base);
}

void etcd_call_stop(struct etcd_call *c)
{
    if (c->http)
        release(c);
}

void etcd_call_end(struct etcd_call *c)
{
    etcd_call_stop(c);
    if (c->secret) {
        wipe_buf(&c->request);
        wipe_buf(&c->answer);
    }
    buf_free(&c->request);
    buf_free(&c->answer);
}
