/* A client for this room's tests: on the same loop as the server, so that no thread and no sleep is
 * needed. It sends bytes as they are given and takes one answer at a time. */
#ifndef HF_ADMIN_CLIENT_H
#define HF_ADMIN_CLIENT_H

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admin/fixture.h"

struct client {
    struct loop *loop;
    struct io io;
    int fd;
    struct buf in; /* all that came and was not taken */
    bool eof;
};

struct server {
    struct fixture f;
    char dir[64], path[100];
    struct timer timer;
};

static inline void server_open(struct server *s)
{
    struct addr a = {.kind = ADDR_UNIX};
    fixture_open(&s->f, fixture_new_view("web"));
    snprintf(s->dir, sizeof s->dir, "/tmp/holdfast-admin-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    snprintf(s->path, sizeof s->path, "%s/admin.sock", s->dir);
    str_copy(a.path, sizeof a.path, str_of(s->path));
    int fd = net_listen(&a, 128, NULL);
    assert_true(fd >= 0);
    assert_int_equal(admin_listen(s->f.admin, fd, false, NULL), 0);
}

static inline void server_close(struct server *s)
{
    fixture_close(&s->f);
    unlink(s->path);
    rmdir(s->dir);
}

static inline void client_ready(struct io *io, unsigned ready)
{
    struct client *c = CONTAINER_OF(io, struct client, io);
    for (;;) {
        assert_true(buf_reserve(&c->in, 65536));
        ssize_t n = recv(c->fd, c->in.p + c->in.n, c->in.cap - c->in.n, MSG_DONTWAIT);
        if (n > 0) {
            c->in.n += (size_t)n;
            loop_stop(c->loop);
            continue;
        }
        if (n == 0 || errno == ECONNRESET) {
            c->eof = true;
            loop_stop(c->loop);
        }
        return;
    }
}

static inline void client_open_at(struct client *c, struct loop *l, const struct addr *a)
{
    *c = (struct client){.loop = l};
    io_init(&c->io, client_ready);
    c->fd = net_connect(a, NULL);
    assert_true(c->fd >= 0);
    assert_int_equal(loop_io_start(l, &c->io, c->fd, NULL), 0);
}

static inline void client_open(struct client *c, struct server *s)
{
    struct addr a = {.kind = ADDR_UNIX};
    str_copy(a.path, sizeof a.path, str_of(s->path));
    client_open_at(c, s->f.loop, &a);
}

static inline void client_close(struct client *c)
{
    loop_io_stop(c->loop, &c->io);
    close(c->fd);
    buf_free(&c->in);
}

struct net_timer {
    struct timer timer;
    struct loop *loop;
    bool fired;
};

static inline void net_fired(struct timer *t)
{
    struct net_timer *n = CONTAINER_OF(t, struct net_timer, timer);
    n->fired = true;
    loop_stop(n->loop);
}

/* Turns the loop until something came, the end included, or the time is over: false. */
static inline bool client_wait(struct client *c, uint64_t ns)
{
    struct net_timer net = {.loop = c->loop};
    struct err e = {0};
    timer_init(&net.timer, net_fired);
    loop_timer_set(c->loop, &net.timer, loop_refresh(c->loop) + ns);
    assert_int_equal(loop_run(c->loop, &e), 0);
    loop_timer_stop(c->loop, &net.timer);
    return !net.fired;
}

/* Turns the loop where the server must read first. */
static inline void client_send(struct client *c, struct str bytes)
{
    while (bytes.n) {
        ssize_t n = send(c->fd, bytes.p, bytes.n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) {
            client_wait(c, NS_PER_MS);
            if (c->eof || c->in.n)
                return;
            continue;
        }
        if (n < 0)
            return; /* the server may have closed already: the answer tells */
        bytes.p += n;
        bytes.n -= (size_t)n;
    }
}

struct answer {
    unsigned status;
    char head[1024];
    struct buf body;
    json_t *json;
};

static inline bool client_whole(const struct client *c, bool head_only, size_t *head, size_t *body)
{
    const char *end = c->in.n ? memmem(c->in.p, c->in.n, "\r\n\r\n", 4) : NULL;
    if (!end)
        return false;
    *head = (size_t)(end + 4 - c->in.p);
    const char *field = memmem(c->in.p, *head, "Content-Length: ", 16);
    *body = field && !head_only ? strtoul(field + 16, NULL, 10) : 0;
    return c->in.n >= *head + *body;
}

/* The next answer; fails the test when there is none in five seconds. */
static inline struct answer client_take(struct client *c, bool head_only)
{
    struct answer a = {0};
    size_t head = 0, body = 0;
    while (!client_whole(c, head_only, &head, &body)) {
        assert_false(c->eof);
        assert_true(client_wait(c, 5 * NS_PER_S));
    }
    str_copy(a.head, sizeof a.head, (struct str){c->in.p, head});
    assert_int_equal(sscanf(a.head, "HTTP/1.1 %u ", &a.status), 1);
    assert_true(buf_add(&a.body, c->in.p + head, body));
    a.json = json_loadb(a.body.p ? a.body.p : "", a.body.n, 0, NULL);
    buf_drop_front(&c->in, head + body);
    return a;
}

static inline void answer_end(struct answer *a)
{
    json_decref(a->json);
    buf_free(&a->body);
}

static inline struct answer ask(struct client *c, const char *method, const char *target)
{
    struct buf b = {0};
    buf_printf(&b, "%s %s HTTP/1.1\r\nHost: node\r\n\r\n", method, target);
    client_send(c, buf_str(&b));
    buf_free(&b);
    return client_take(c, strcmp(method, "HEAD") == 0);
}

static inline struct answer ask_with(struct client *c, const char *method, const char *target,
                                     const char *body)
{
    struct buf b = {0};
    buf_printf(&b, "%s %s HTTP/1.1\r\nHost: node\r\nContent-Length: %zu\r\n\r\n%s", method, target,
               strlen(body), body);
    client_send(c, buf_str(&b));
    buf_free(&b);
    return client_take(c, false);
}

static inline const char *error_code(const struct answer *a)
{
    const char *code =
        json_string_value(json_object_get(json_object_get(a->json, "error"), "code"));
    return code ? code : "";
}

/* One question, and its answer: this status, and this word in it. */
static inline void expect(struct client *c, const char *method, const char *target,
                          const char *body, unsigned status, const char *word)
{
    struct answer a = ask_with(c, method, target, body);
    char *whole = json_dumps(a.json, JSON_COMPACT);
    assert_non_null(whole);
    if (a.status != status || !strstr(whole, word))
        fail_msg("%s %s %s: %u %s", method, target, body, a.status, whole);
    mem_free(whole);
    answer_end(&a);
}

#endif
