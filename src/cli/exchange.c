#include "cli/exchange.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/os.h"

enum { READ_BYTES = 16 * 1024 };

#define SLICE_NS (NS_PER_S / 5) /* at most this long without asking `interrupted` */

void exchange_close(struct exchange *x)
{
    if (x->fd >= 0)
        close(x->fd);
    x->fd = -1;
}

/* Until fd is ready (at least a slice if it is -1), the deadline is over, or we are interrupted. */
static int wait_for(struct exchange *x, int fd, short events, uint64_t deadline, struct err *e)
{
    for (;;) {
        uint64_t now = clock_now();
        if (now >= deadline)
            return err_set(e, ERR_TIMEOUT, "it took too long");
        uint64_t slice = MIN(deadline - now, SLICE_NS);
        struct pollfd p = {.fd = fd, .events = events};
        int r = poll(&p, 1, (int)((slice + NS_PER_MS - 1) / NS_PER_MS));
        if (r < 0 && errno != EINTR)
            return err_errno(e, "cannot wait");
        if (r > 0)
            return 0;
        if (x->interrupted && x->interrupted(x->arg))
            return err_set(e, ERR_BUSY, "interrupted");
        if (fd < 0)
            return 0;
    }
}

/* A full queue of connections is a node that accepts none just now: it may in a moment. */
static int connect_to(struct exchange *x, struct err *e)
{
    uint64_t deadline = MIN(x->deadline, clock_now() + x->connect_within);
    while ((x->fd = net_connect(&x->to, e)) < 0) {
        x->fd = -1;
        if (errno != EAGAIN)
            return err_set(e, ERR_ABSENT, "nobody answers");
        int rc = wait_for(x, -1, 0, deadline, e);
        if (rc)
            return rc;
    }
    if (x->to.kind == ADDR_UNIX)
        return 0;
    int rc = wait_for(x, x->fd, POLLOUT, deadline, e);
    if (!rc && net_connect_result(x->fd))
        rc = err_set(e, ERR_ABSENT, "nobody answers");
    return rc;
}

static int send_all(struct exchange *x, struct str s, struct err *e)
{
    while (s.n) {
        ssize_t n = send(x->fd, s.p, s.n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0) {
            s.p += n;
            s.n -= (size_t)n;
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return err_errno(e, "cannot send");
        int rc = wait_for(x, x->fd, POLLOUT, x->deadline, e);
        if (rc)
            return rc;
    }
    return 0;
}

static int receive(struct exchange *x, struct answer *a, struct err *e)
{
    char bytes[READ_BYTES];
    while (!a->whole) {
        int rc = wait_for(x, x->fd, POLLIN, x->deadline, e);
        if (rc)
            return rc;
        ssize_t n = recv(x->fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (n < 0)
            return err_errno(e, "cannot receive");
        rc = n ? answer_add(a, bytes, (size_t)n, e) : answer_end(a, e);
        if (rc)
            return rc;
    }
    return 0;
}

static int once(struct exchange *x, struct str request, struct answer *a, struct err *e)
{
    int rc = x->fd < 0 ? connect_to(x, e) : 0;
    if (!rc)
        rc = send_all(x, request, e);
    if (!rc)
        rc = receive(x, a, e);
    if (rc || !a->keep_alive)
        exchange_close(x);
    return rc;
}

static int write_request(const struct exchange *x, struct buf *b, const char *method,
                         const char *path, struct str body, struct err *e)
{
    CHECK(!strpbrk(path, " \r\n"));
    if (strlen(path) > EXCHANGE_PATH_MAX)
        return err_set(e, ERR_INVAL, "a name is too long to be asked for");
    buf_printf(b, "%s %s HTTP/1.1\r\nHost: node\r\nUser-Agent: holdfast/" HF_VERSION "\r\n", method,
               path);
    if (body.n)
        buf_printf(b, "Content-Type: application/json\r\n");
    if (strcmp(method, "GET") != 0)
        buf_printf(b, "Content-Length: %zu\r\n", body.n);
    if (x->token[0])
        buf_printf(b, "Authorization: Bearer %s\r\n", x->token);
    buf_printf(b, "\r\n");
    buf_add_str(b, body);
    return b->failed ? err_set(e, ERR_NOMEM, "out of memory") : 0;
}

int exchange_ask(struct exchange *x, const char *method, const char *path, uint64_t within,
                 struct answer *out, struct err *e)
{
    struct buf request = {0};
    bool kept = x->fd >= 0;
    int rc = write_request(x, &request, method, path, x->body, e);
    if (rc)
        return rc;
    x->deadline = clock_now() + within;
    rc = once(x, buf_str(&request), out, e);
    bool broke = rc == -ERR_IO || rc == -ERR_PROTO;
    if (broke && kept && !out->began && strcmp(method, "GET") == 0)
        rc = once(x, buf_str(&request), out, e);
    buf_free(&request);
    return rc;
}
