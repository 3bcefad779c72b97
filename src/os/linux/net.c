/* Sockets, for real. */
#include "os/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { MAX_PASSED_FDS = 253 }; /* SCM_MAX_FD of Linux */

union any_address {
    struct sockaddr any;
    struct sockaddr_in ip4;
    struct sockaddr_in6 ip6;
    struct sockaddr_un local;
};

static socklen_t to_sockaddr(const struct addr *a, union any_address *out)
{
    memset(out, 0, sizeof *out);
    switch ((enum addr_kind)a->kind) {
    case ADDR_IP4:
        out->ip4.sin_family = AF_INET;
        out->ip4.sin_port = htons(a->port);
        memcpy(&out->ip4.sin_addr, a->ip, 4);
        return sizeof out->ip4;
    case ADDR_IP6:
        out->ip6.sin6_family = AF_INET6;
        out->ip6.sin6_port = htons(a->port);
        memcpy(&out->ip6.sin6_addr, a->ip, 16);
        return sizeof out->ip6;
    case ADDR_UNIX: {
        size_t n = strnlen(a->path, sizeof a->path);
        CHECK(n < sizeof out->local.sun_path);
        out->local.sun_family = AF_UNIX;
        memcpy(out->local.sun_path, a->path, n);
        if (a->path[0] == '@')
            out->local.sun_path[0] = 0;
        return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (a->path[0] != '@'));
    }
    case ADDR_NONE: break;
    }
    UNREACHABLE();
}

static void from_sockaddr(const union any_address *in, struct addr *a)
{
    memset(a, 0, sizeof *a);
    if (in->any.sa_family == AF_INET) {
        a->kind = ADDR_IP4;
        a->port = ntohs(in->ip4.sin_port);
        memcpy(a->ip, &in->ip4.sin_addr, 4);
    } else if (in->any.sa_family == AF_INET6) {
        a->port = ntohs(in->ip6.sin6_port);
        if (IN6_IS_ADDR_V4MAPPED(&in->ip6.sin6_addr)) {
            a->kind = ADDR_IP4;
            memcpy(a->ip, in->ip6.sin6_addr.s6_addr + 12, 4);
        } else {
            a->kind = ADDR_IP6;
            memcpy(a->ip, &in->ip6.sin6_addr, 16);
        }
    } else {
        a->kind = ADDR_UNIX; /* clients of Unix sockets have no name */
    }
}

static int new_socket(const union any_address *s, struct err *e)
{
    int fd = socket(s->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return fd >= 0 ? fd : err_errno(e, "cannot make a socket");
}

/* A socket file whose owner is gone blocks bind; one that somebody serves must not be stolen. */
static int clear_abandoned(const struct addr *a, struct err *e)
{
    struct stat st;
    if (a->kind != ADDR_UNIX || a->path[0] == '@' || lstat(a->path, &st) || !S_ISSOCK(st.st_mode))
        return 0;
    int fd = net_connect(a, NULL);
    if (fd >= 0) {
        close(fd);
        return err_set(e, ERR_EXISTS, "another process listens on %s", a->path);
    }
    return unlink(a->path) ? err_errno(e, "cannot replace the abandoned socket %s", a->path) : 0;
}

int net_listen(const struct addr *a, int backlog, struct err *e)
{
    char text[ADDR_TEXT_MAX];
    addr_format(a, text);
    int r = clear_abandoned(a, e);
    if (r)
        return r;
    union any_address s;
    socklen_t n = to_sockaddr(a, &s);
    int fd = new_socket(&s, e);
    if (fd < 0)
        return fd;
    int one = 1;
    if (a->kind != ADDR_UNIX && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one))
        goto failed;
    if (a->kind == ADDR_IP6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one))
        goto failed;
    /* What is accepted inherits it: a client that reads nothing pins so much here, and not as much
     * as the kernel would like to keep for a fast one. */
    int unsent = NET_UNSENT_MAX;
    if (a->kind != ADDR_UNIX &&
        setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent))
        goto failed;
    if (bind(fd, &s.any, n) || listen(fd, backlog))
        goto failed;
    net_set_nodelay(fd); /* accepted sockets inherit it: tcp(7) */
    return fd;
failed:
    r = err_errno(e, "cannot listen on %s", text);
    close(fd);
    return r;
}

/* The kernel chooses the port when it knows both ends: as many connections as there are ports, to
 * each of the others. */
static int bind_to(int fd, const struct addr *from, struct err *e)
{
    struct addr any_port = *from;
    union any_address s;
    int one = 1;
    any_port.port = 0;
    socklen_t n = to_sockaddr(&any_port, &s);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one); /* a kernel without it
                                                                              chooses now */
    return bind(fd, &s.any, n) ? err_errno(e, "cannot connect from an address") : 0;
}

int net_connect(const struct addr *a, struct err *e)
{
    return net_connect_from(NULL, a, e);
}

int net_connect_from(const struct addr *from, const struct addr *a, struct err *e)
{
    union any_address s;
    socklen_t n = to_sockaddr(a, &s);
    int fd = new_socket(&s, e);
    if (fd < 0)
        return fd;
    int bound = from ? bind_to(fd, from, e) : 0;
    if (bound) {
        int why = errno;
        close(fd);
        errno = why;
        return bound;
    }
    if (connect(fd, &s.any, n) && errno != EINPROGRESS) {
        char text[ADDR_TEXT_MAX];
        addr_format(a, text);
        int r = err_errno(e, "cannot connect to %s", text);
        int saved = errno;
        close(fd);
        errno = saved;
        return r;
    }
    return fd;
}

int net_connect_result(int fd)
{
    int error = 0;
    socklen_t n = sizeof error;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) ? errno : error;
}

int net_accept(int listen_fd, struct addr *from)
{
    union any_address s;
    socklen_t n = sizeof s;
    int fd = accept4(listen_fd, &s.any, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (from)
        from_sockaddr(&s, from);
    return fd;
}

static bool interface_has(const struct ifaddrs *i, const struct addr *a)
{
    struct addr own;
    union any_address s = {0};
    int family = i->ifa_addr ? i->ifa_addr->sa_family : AF_UNSPEC;
    if (family != (a->kind == ADDR_IP4 ? AF_INET : AF_INET6))
        return false;
    memcpy(&s, i->ifa_addr, family == AF_INET ? sizeof s.ip4 : sizeof s.ip6);
    from_sockaddr(&s, &own);
    own.port = a->port;
    return addr_eq(&own, a);
}

bool net_has_address(const struct addr *a)
{
    struct ifaddrs *all = NULL;
    bool found = false;
    if (a->kind == ADDR_IP4 && a->ip[0] == 127)
        return true;
    if ((a->kind != ADDR_IP4 && a->kind != ADDR_IP6) || getifaddrs(&all))
        return false;
    for (const struct ifaddrs *i = all; i && !found; i = i->ifa_next)
        found = interface_has(i, a);
    freeifaddrs(all);
    return found;
}

/* --- datagrams --- */

static int datagram_socket(const struct addr *a, union any_address *s, socklen_t *n, struct err *e)
{
    if (a->kind != ADDR_IP4 && a->kind != ADDR_IP6)
        return err_set(e, ERR_INVAL, "datagrams need an IP address");
    *n = to_sockaddr(a, s);
    int fd = socket(s->any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return fd >= 0 ? fd : err_errno(e, "cannot make a socket");
}

int net_datagram_listen(const struct addr *a, struct err *e)
{
    union any_address s;
    socklen_t n = 0;
    int one = 1, fd = datagram_socket(a, &s, &n, e);
    if (fd < 0)
        return fd;
    bool only_six =
        a->kind != ADDR_IP6 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one) == 0;
    if (only_six && bind(fd, &s.any, n) == 0)
        return fd;
    char text[ADDR_TEXT_MAX];
    addr_format(a, text);
    int r = err_errno(e, "cannot listen on %s (UDP)", text);
    close(fd);
    return r;
}

int net_datagram_connect(const struct addr *a, struct err *e)
{
    union any_address s;
    socklen_t n = 0;
    int fd = datagram_socket(a, &s, &n, e);
    if (fd < 0 || connect(fd, &s.any, n) == 0)
        return fd;
    char text[ADDR_TEXT_MAX];
    addr_format(a, text);
    int r = err_errno(e, "cannot send to %s", text);
    close(fd);
    return r;
}

int net_datagram_receive(int fd, void *p, size_t size, struct addr *from)
{
    union any_address s;
    socklen_t n = sizeof s;
    ssize_t got;
    do
        got = recvfrom(fd, p, size, MSG_DONTWAIT, &s.any, &n);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return -errno;
    if (from)
        from_sockaddr(&s, from);
    return (int)got;
}

int net_datagram_send(int fd, const void *p, size_t size, const struct addr *to)
{
    union any_address s;
    socklen_t n = to ? to_sockaddr(to, &s) : 0;
    ssize_t sent;
    do
        sent = sendto(fd, p, size, MSG_DONTWAIT | MSG_NOSIGNAL, to ? &s.any : NULL, n);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

bool net_local_addr(int fd, struct addr *out)
{
    union any_address s;
    socklen_t n = sizeof s;
    if (getsockname(fd, &s.any, &n))
        return false;
    from_sockaddr(&s, out);
    return true;
}

void net_set_nodelay(int fd)
{
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one,
               sizeof one); /* ENOTSUP on Unix sockets, which never delay */
}

void net_set_reset_on_close(int fd)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now,
               sizeof now); /* without it the close is a plain one: nothing to do about that */
}

/* --- messages with descriptors --- */

int net_message_pair(int fds[2], struct err *e)
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds))
        return err_errno(e, "cannot make a socket pair");
    return 0;
}

int net_message_send(int fd, const void *p, size_t n, const int *fds, size_t n_fds, struct err *e)
{
    CHECK(n > 0 && n_fds <= MAX_PASSED_FDS);
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * MAX_PASSED_FDS)];
    struct iovec part = {(void *)(uintptr_t)p, n};
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
    if (n_fds) {
        m.msg_control = control;
        m.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
        memset(control, 0, m.msg_controllen);
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
    }
    ssize_t sent;
    do
        sent = sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    if (sent >= 0)
        return 0;
    if (errno == EAGAIN || errno == ENOBUFS || errno == ETOOMANYREFS)
        return err_set(e, ERR_BUSY, "the other process is slow to read its messages");
    return err_errno(e, "cannot send a message");
}

/* Takes the descriptors that came with a message; those beyond max are closed and counted. */
static size_t take_fds(struct msghdr *m, int *fds, size_t max)
{
    size_t n = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t here = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < here; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (n < max)
                fds[n] = fd;
            else
                close(fd);
            n++;
        }
    }
    return n;
}

ssize_t net_message_receive(int fd, void *p, size_t n, int *fds, size_t max_fds, size_t *n_fds,
                            struct err *e)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * MAX_PASSED_FDS)];
    struct iovec part = {p, n};
    struct msghdr m = {.msg_iov = &part,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = sizeof control};
    *n_fds = 0;
    ssize_t got;
    do
        got = recvmsg(fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got < 0 && errno == EAGAIN)
        return err_set(e, ERR_BUSY, "no message");
    if (got < 0 && errno == ECONNRESET)
        return 0;
    if (got < 0)
        return err_errno(e, "cannot receive a message");
    size_t came = take_fds(&m, fds, max_fds);
    if (came > max_fds || (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
        for (size_t i = 0; i < MIN(came, max_fds); i++)
            close(fds[i]);
        return err_set(e, ERR_PROTO, "a message is longer or brings more descriptors than allowed");
    }
    *n_fds = came;
    return got;
}
