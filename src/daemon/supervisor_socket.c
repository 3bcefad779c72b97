/* Opening what a view names: listening sockets, and access logs for appending.
 *
 * control is not trusted with the supervisor's rights. Where the supervisor is root, every path is
 * opened with the rights of control's own user first. Only where these do not suffice, and only if
 * the node's own file named the path at the start, when the supervisor read it itself, it uses its
 * own: what all nodes share came through control. In a reload it does so not through a symbolic
 * link, which somebody who took control over may have put there since. Addresses need no such care:
 * listening on a port gives nothing away. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/supervisor.h"

enum { BACKLOG = 4096 };

void held_init(struct held *h)
{
    *h = (struct held){.view_fd = -1};
}

static bool is_file(const struct addr *a)
{
    return a->kind == ADDR_UNIX && a->path[0] != '@';
}

/* Only a socket is removed: somebody may have put another file there since. */
static void remove_file(const struct addr *a)
{
    struct stat st;
    if (is_file(a) && lstat(a->path, &st) == 0 && S_ISSOCK(st.st_mode))
        unlink(a->path);
}

static bool is_stream(uint8_t use)
{
    return use != SOCKET_ACCESS_LOG && !socket_is_datagram(use);
}

/* ended: nobody is to listen there any more, not even a proxy that holds the socket and takes no
 * views: it would leave who connects waiting for ever. */
static void close_one(struct held *h, size_t i, bool ended)
{
    if (h->fds[i] < 0)
        return;
    if (ended && is_stream(h->view->sockets[i].use))
        shutdown(h->fds[i], SHUT_RDWR);
    if (ended && h->view->sockets[i].use != SOCKET_ACCESS_LOG)
        remove_file(&h->view->sockets[i].addr);
    close(h->fds[i]);
    h->fds[i] = -1;
}

void held_free(struct held *h)
{
    for (size_t i = 0; h->fds && i < h->view->n_sockets; i++)
        close_one(h, i, true);
    if (h->view_fd >= 0)
        close(h->view_fd);
    mem_free(h->fds);
    mem_free(h->from);
    view_free(h->view);
    held_init(h);
}

/* The proxy holds the same sockets: shutting them down ends the listening for all who do, whatever
 * the proxy is busy with. */
void held_stop_listening(struct held *h)
{
    for (size_t i = 0; h->fds && i < h->view->n_sockets; i++) {
        uint8_t use = h->view->sockets[i].use;
        if (use == SOCKET_HTTP || use == SOCKET_TCP)
            close_one(h, i, true);
    }
}

static int explain_listen(const struct addr *a, uint8_t use, int error, struct err *e)
{
    if (!e)
        return -(int)ERR_IO;
    const char *hint = NULL;
    char text[96];
    bool mesh = use == SOCKET_GOSSIP || use == SOCKET_LINK;
    if (error == EADDRINUSE && a->kind != ADDR_UNIX) {
        snprintf(text, sizeof text, "another program uses it; `ss -l%cnp 'sport = :%u'` names it",
                 socket_is_datagram(use) ? 'u' : 't', a->port);
        hint = text;
    } else if (error == EACCES && a->kind != ADDR_UNIX) {
        hint = "ports below 1024 need root or CAP_NET_BIND_SERVICE";
    } else if (error == EADDRNOTAVAIL) {
        hint = mesh ? "no interface of this machine has that address: is this another node? Say "
                      "which with --node NAME"
                    : "no interface of this machine has that address";
    }
    if (hint) {
        size_t n = strlen(e->text);
        snprintf(e->text + n, sizeof e->text - n, " (%s)", hint);
    }
    return e->code;
}

static int open_listener(const struct addr *a, uint8_t use, struct err *e)
{
    /* Who may connect to a Unix socket is decided by its directory. */
    mode_t before = umask(0111);
    errno = 0;
    int fd = socket_is_datagram(use) ? net_datagram_listen(a, e) : net_listen(a, BACKLOG, e);
    int error = errno;
    umask(before);
    return fd >= 0 ? fd : explain_listen(a, use, error, e);
}

/* O_NONBLOCK: a pipe without a reader must not hold the supervisor. */
static int open_log(const struct addr *a, int more, struct err *e)
{
    int fd = open(a->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | more,
                  0640);
    if (fd < 0)
        return err_errno(e, "cannot open the access log %s", a->path);
    struct stat st;
    if (fstat(fd, &st) == 0 && !S_ISBLK(st.st_mode))
        return fd;
    close(fd);
    return err_set(e, ERR_INVAL, "cannot write the access log to %s: it is a disk", a->path);
}

static bool named_at_start(const struct supervisor *s, const struct view_socket *k)
{
    const struct view *v = s->shared ? s->own : s->checked.view;
    for (size_t i = 0; v && i < v->n_sockets; i++)
        if (v->sockets[i].use == k->use && addr_eq(&v->sockets[i].addr, &k->addr))
            return true;
    return false;
}

static int open_plainly(const struct view_socket *k, int more, struct err *e)
{
    if (k->use == SOCKET_ACCESS_LOG)
        return open_log(&k->addr, more, e);
    return open_listener(&k->addr, k->use, e);
}

static int open_socket(struct supervisor *s, const struct view_socket *k, bool trusted,
                       struct err *e)
{
    if (!s->drops || !is_file(&k->addr))
        return open_plainly(k, 0, e);
    sandbox_act_as(&s->user);
    int r = open_plainly(k, 0, e);
    sandbox_act_as_self();
    if (r != -ERR_DENIED)
        return r;
    if (trusted || named_at_start(s, k))
        return open_plainly(k, trusted ? 0 : O_NOFOLLOW, e);
    if (e) {
        size_t n = strlen(e->text);
        snprintf(e->text + n, sizeof e->text - n, " (a reload opens new paths as the user %s; %s)",
                 s->user.name,
                 s->shared ? "name it in the node's own file and restart to have root open it"
                           : "a restart would open it as root");
    }
    return r;
}

/* A log that is open and cannot be opened anew goes on as it is: no reason to refuse a view. */
static int keep_log(struct supervisor *s, const struct view_socket *k, const struct held *now,
                    const struct err *why)
{
    for (size_t i = 0; now && now->fds && i < now->view->n_sockets; i++) {
        const struct view_socket *old = &now->view->sockets[i];
        if (old->use != SOCKET_ACCESS_LOG || now->fds[i] < 0 || !addr_eq(&old->addr, &k->addr))
            continue;
        log_warning(&s->log, "%s: the file that is open is kept", why->text);
        return fcntl(now->fds[i], F_DUPFD_CLOEXEC, 0);
    }
    return why->code;
}

static int open_new(struct supervisor *s, const struct view_socket *k, const struct held *now,
                    bool trusted, struct err *e)
{
    struct err why = {0};
    int r = open_socket(s, k, trusted, &why);
    if (r < 0 && k->use == SOCKET_ACCESS_LOG)
        r = keep_log(s, k, now, &why);
    if (r < 0 && e)
        *e = why;
    return r;
}

static void forget(struct held *h)
{
    mem_free(h->fds);
    mem_free(h->from);
    h->fds = NULL;
    h->from = NULL;
}

static void undo(struct held *h, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (h->from[i] == VIEW_SOCKET_NEW)
            close_one(h, i, true);
    forget(h);
}

int held_open(struct supervisor *s, struct held *h, const struct held *now, bool trusted,
              struct err *e)
{
    size_t n = h->view->n_sockets;
    bool some = now && now->fds;
    h->from = mem_zero(n + 1, sizeof *h->from);
    h->fds = mem_zero(n + 1, sizeof *h->fds);
    if (!h->from || !h->fds ||
        !view_keep_sockets(some ? now->view->sockets : NULL, some ? now->view->n_sockets : 0,
                           h->view->sockets, n, h->from)) {
        forget(h);
        return err_set(e, ERR_NOMEM, "no memory for %zu sockets", n);
    }
    int r = 0;
    for (size_t i = 0; i < n && r >= 0; i++) {
        bool new = h->from[i] == VIEW_SOCKET_NEW;
        r = new ? open_new(s, &h->view->sockets[i], now, trusted, e) : now->fds[h->from[i]];
        h->fds[i] = r;
        if (r < 0)
            undo(h, i);
    }
    return r < 0 ? r : 0;
}

void held_adopt(struct held *h, struct held *now)
{
    for (size_t i = 0; now->fds && i < h->view->n_sockets; i++)
        if (h->from[i] != VIEW_SOCKET_NEW)
            now->fds[h->from[i]] = -1;
    mem_free(h->from);
    h->from = NULL;
}
