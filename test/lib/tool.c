/* tool: see tool.h. */
#include "tool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

uint64_t tool_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

void tool_die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, errno ? strerror(errno) : "failed");
    exit(2);
}

const char *tool_option(int argc, char **argv, const char *name)
{
    for (int i = 1; i + 1 < argc; i++)
        if (strncmp(argv[i], "--", 2) == 0 && strcmp(argv[i] + 2, name) == 0)
            return argv[i + 1];
    return NULL;
}

uint64_t tool_number(int argc, char **argv, const char *name, uint64_t otherwise)
{
    const char *v = tool_option(argc, argv, name);
    return v ? strtoull(v, NULL, 10) : otherwise;
}

static struct sockaddr_in address(const char *where)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    char host[64];
    const char *colon = strrchr(where, ':');
    if (!colon || (size_t)(colon - where) >= sizeof host) {
        fprintf(stderr, "not an address: %s\n", where);
        exit(2);
    }
    memcpy(host, where, (size_t)(colon - where));
    host[colon - where] = 0;
    a.sin_port = htons((uint16_t)atoi(colon + 1));
    if (inet_pton(AF_INET, host, &a.sin_addr) != 1) {
        fprintf(stderr, "not an IPv4 address: %s\n", where);
        exit(2);
    }
    return a;
}

static int tcp_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0)
        tool_die("socket");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

int tool_listen(const char *where)
{
    struct sockaddr_in a = address(where);
    int fd = tcp_socket(), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 1024))
        tool_die(where);
    return fd;
}

int tool_connect(const char *where)
{
    struct sockaddr_in a = address(where);
    int fd = tcp_socket();
    if (connect(fd, (struct sockaddr *)&a, sizeof a) && errno != EINPROGRESS) {
        close(fd);
        return -1;
    }
    return fd;
}

int tool_connect_result(int fd)
{
    int e = 0;
    socklen_t n = sizeof e;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &n) ? errno : e;
}

void tool_watch(int epoll, int fd, uint32_t events, void *data, bool add)
{
    struct epoll_event e = {.events = events, .data.ptr = data};
    if (epoll_ctl(epoll, add ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &e))
        tool_die("epoll_ctl");
}

uint32_t tool_fnv(uint32_t sum, const void *p, size_t n)
{
    const uint8_t *b = p;
    for (size_t i = 0; i < n; i++)
        sum = (sum ^ b[i]) * 16777619u;
    return sum;
}

bool tool_field(const char *head, size_t n, const char *name, char *value, size_t size)
{
    size_t len = strlen(name);
    const char *end = head + n, *line = memchr(head, '\n', n);
    while (line && ++line + len + 1 < end) {
        const char *eol = memchr(line, '\r', (size_t)(end - line));
        if (eol && strncasecmp(line, name, len) == 0 && line[len] == ':') {
            const char *v = line + len + 1;
            while (v < eol && *v == ' ')
                v++;
            size_t k = (size_t)(eol - v) < size - 1 ? (size_t)(eol - v) : size - 1;
            memcpy(value, v, k);
            value[k] = 0;
            return true;
        }
        line = memchr(line, '\n', (size_t)(end - line));
    }
    return false;
}

size_t tool_head_end(const char *p, size_t n)
{
    const char *e = n ? memmem(p, n, "\r\n\r\n", 4) : NULL;
    return e ? (size_t)(e - p) + 4 : 0;
}

bool tool_lines_read(struct tool_lines *l, void (*line)(void *arg, char *text), void *arg)
{
    ssize_t n = read(STDIN_FILENO, l->bytes + l->n, sizeof l->bytes - l->n);
    if (n <= 0)
        return n < 0 && (errno == EAGAIN || errno == EINTR);
    l->n += (size_t)n;
    char *eol;
    while ((eol = memchr(l->bytes, '\n', l->n))) {
        *eol = 0;
        line(arg, l->bytes);
        size_t used = (size_t)(eol - l->bytes) + 1;
        l->n -= used;
        memmove(l->bytes, l->bytes + used, l->n);
    }
    if (l->n == sizeof l->bytes)
        l->n = 0;
    return true;
}

void tool_samples_add(struct tool_samples *s, uint64_t us)
{
    if (s->n == s->cap) {
        s->cap = s->cap ? s->cap * 2 : 4096;
        s->v = realloc(s->v, s->cap * sizeof *s->v);
        if (!s->v)
            tool_die("memory");
    }
    s->v[s->n++] = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

static int ascending(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

void tool_samples_sort(struct tool_samples *s)
{
    if (s->n)
        qsort(s->v, s->n, sizeof *s->v, ascending);
}

uint32_t tool_samples_at(const struct tool_samples *s, unsigned permille)
{
    return s->n ? s->v[(s->n - 1) * permille / 1000] : 0;
}
