#include "coord/etcd_fake_test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/base64.h"
#include "coord/etcd_scan.h"

static void put_header(const struct fake *f, struct buf *b)
{
    buf_printf(b,
               "\"header\":{\"cluster_id\":\"7\",\"member_id\":\"8\",\"revision\":\"%llu\","
               "\"raft_term\":\"2\"}",
               (unsigned long long)f->map.revision);
}

static void put64(struct buf *b, const char *name, struct str bytes)
{
    buf_printf(b, "\"%s\":\"", name);
    base64_write(bytes, b);
    buf_printf(b, "\"");
}

static struct str get64(struct str object, const char *name, struct buf *b)
{
    struct str text = {0};
    buf_clear(b);
    if (scan_string(scan_get(object, name), &text))
        assert_true(base64_read(text, b));
    return buf_str(b);
}

static uint64_t number(struct str object, const char *name)
{
    struct str text = scan_get(object, name);
    uint64_t v = 0;
    if (text.p) {
        scan_string(text, &text);
        assert_true(str_u64(text, UINT64_MAX, &v));
    }
    return v;
}

/* --- connections --- */

static void conn_close(struct fake_conn *c, bool reset)
{
    if (c->io.fd < 0)
        return;
    int fd = c->io.fd;
    if (reset)
        net_set_reset_on_close(fd);
    loop_io_stop(c->fake->loop, &c->io);
    close(fd);
    task_cancel(&c->more);
    buf_free(&c->in);
    buf_free(&c->out);
    buf_free(&c->prefix);
    c->watches = false;
}

static void flush(struct fake_conn *c)
{
    bool trickles = c->fake->ends[c->end].fault == FAKE_TRICKLES;
    while (c->io.fd >= 0 && c->out.n) {
        size_t most = trickles ? MIN(c->out.n, (size_t)7) : c->out.n;
        ssize_t n = send(c->io.fd, c->out.p, most, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            conn_close(c, false);
        if (n < 0)
            return;
        buf_drop_front(&c->out, (size_t)n);
        if (trickles) {
            loop_defer(c->fake->loop, &c->more);
            return;
        }
    }
}

static void on_more(struct task *t)
{
    flush(CONTAINER_OF(t, struct fake_conn, more));
}

static void reply(struct fake_conn *c, unsigned status, const char *phrase, struct str body)
{
    buf_printf(&c->out,
               "HTTP/1.1 %u %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
               status, phrase, body.n);
    buf_add_str(&c->out, body);
    flush(c);
}

static void refuse(struct fake_conn *c, unsigned status, unsigned code, const char *text)
{
    struct buf b = {0};
    buf_printf(&b, "{\"error\":\"%s\",\"message\":\"%s\",\"code\":%u}", text, text, code);
    reply(c, status, "No", buf_str(&b));
    buf_free(&b);
}

static void chunk(struct fake_conn *c, struct str line)
{
    buf_printf(&c->out, "%zx\r\n", line.n + 1);
    buf_add_str(&c->out, line);
    buf_printf(&c->out, "\n\r\n");
}

/* --- watches --- */

static void put_event(struct buf *b, const struct coord_item *item)
{
    buf_printf(b, item->gone ? "{\"type\":\"DELETE\",\"kv\":{" : "{\"kv\":{");
    put64(b, "key", item->key);
    buf_printf(b, ",\"mod_revision\":\"%llu\"", (unsigned long long)item->revision);
    if (!item->gone) {
        buf_printf(b, ",");
        put64(b, "value", item->value);
    }
    buf_printf(b, "}}");
}

static void send_events(struct fake_conn *c, const struct store_list *l)
{
    struct buf b = {0};
    for (uint32_t i = 0; i < l->n;) {
        uint32_t n = c->fake->fragments ? 1 : l->n;
        buf_printf(&b, "{\"result\":{");
        put_header(c->fake, &b);
        buf_printf(&b, ",%s\"events\":[", i + n < l->n ? "\"fragment\":true," : "");
        for (uint32_t k = 0; k < n; k++, i++) {
            buf_printf(&b, k ? "," : "");
            put_event(&b, &l->items[i]);
        }
        buf_printf(&b, "]}}");
        chunk(c, buf_str(&b));
        buf_clear(&b);
    }
    buf_free(&b);
    flush(c);
}

static void send_line(struct fake_conn *c, const char *rest)
{
    struct buf b = {0};
    buf_printf(&b, "{\"result\":{");
    put_header(c->fake, &b);
    buf_printf(&b, ",%s}}", rest);
    chunk(c, buf_str(&b));
    buf_free(&b);
    flush(c);
}

static void send_changes(struct fake_conn *c)
{
    struct fake *f = c->fake;
    struct store_list l = {0};
    uint64_t after = c->next - 1 - (f->twice && c->next > f->map.compacted + 2);
    if (c->next > f->map.revision || f->stalls)
        return;
    if (f->loses) {
        c->next = f->map.revision + 1;
        return;
    }
    if (c->next - 1 < f->map.compacted) {
        send_line(c, "\"canceled\":true,\"compact_revision\":\"5\"");
        c->watches = false;
        return;
    }
    assert_int_equal(store_since(&f->map, buf_str(&c->prefix), after, &l, NULL), 0);
    c->next = f->map.revision + 1;
    send_events(c, &l);
    store_list_free(&l);
}

static void changed(struct fake *f)
{
    for (uint32_t i = 0; i < FAKE_CONNS; i++)
        if (f->conns[i].io.fd >= 0 && f->conns[i].watches &&
            f->ends[f->conns[i].end].fault != FAKE_SILENT)
            send_changes(&f->conns[i]);
}

static void watch(struct fake_conn *c, struct str root)
{
    struct str create = scan_get(root, "create_request");
    assert_true(scan_is_true(scan_get(create, "progress_notify")));
    get64(create, "key", &c->prefix);
    c->next = number(create, "start_revision");
    assert_true(c->next > 0);
    c->watches = true;
    buf_printf(&c->out, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    if (c->next - 1 >= c->fake->map.compacted)
        send_line(c, "\"created\":true");
    send_changes(c);
}

/* --- transactions --- */

static void read_ops(struct str root, struct coord_op *ops, uint32_t *n, struct buf *keys,
                     struct buf *values)
{
    struct str at = {0}, compares = scan_get(root, "compare"), changes = scan_get(root, "success");
    *n = 0;
    while (scan_next(compares, &at)) {
        ops[*n] = (struct coord_op){.act = COORD_LEAVE, .expected = number(at, "mod_revision")};
        ops[*n].key = get64(at, "key", &keys[*n]);
        ++*n;
    }
    for (at = (struct str){0}; scan_next(changes, &at);) {
        struct str put = scan_get(at, "request_put"), del = scan_get(at, "request_delete_range");
        struct buf name = {0};
        uint32_t i = 0;
        if (!put.p && !del.p)
            continue;
        get64(put.p ? put : del, "key", &name);
        while (i < *n && !str_eq(ops[i].key, buf_str(&name)))
            i++;
        if (i == *n) {
            buf_add_str(&keys[i], buf_str(&name));
            ops[(*n)++] = (struct coord_op){.key = buf_str(&keys[i]), .expected = COORD_ANY};
        }
        ops[i].act = put.p ? COORD_PUT : COORD_REMOVE;
        if (put.p)
            ops[i].value = get64(put, "value", &values[i]);
        buf_free(&name);
    }
}

static bool apply(struct fake *f, struct str root)
{
    struct coord_op ops[COORD_OPS];
    struct buf keys[COORD_OPS] = {0}, values[COORD_OPS] = {0};
    uint32_t n;
    enum coord_outcome outcome;
    read_ops(root, ops, &n, keys, values);
    assert_int_equal(store_cas(&f->map, ops, n, &outcome, NULL), 0);
    for (uint32_t i = 0; i < COORD_OPS; i++) {
        buf_free(&keys[i]);
        buf_free(&values[i]);
    }
    f->txns_done++;
    changed(f);
    return outcome == COORD_DONE;
}

static void txn(struct fake_conn *c, struct str root)
{
    struct fake *f = c->fake;
    enum fake_txn what = f->txn;
    struct buf b = {0};
    f->txn = FAKE_TXN_GOOD;
    f->ends[c->end].txns++;
    switch (what) {
    case FAKE_TXN_LOST_AND_RESET: conn_close(c, true); return;
    case FAKE_TXN_NO_SPACE: refuse(c, 429, 8, "etcdserver: mvcc: database space exceeded"); return;
    case FAKE_TXN_TOO_MANY: refuse(c, 429, 8, "etcdserver: too many requests"); return;
    case FAKE_TXN_GOOD:
    case FAKE_TXN_DONE_AND_RESET:
    case FAKE_TXN_DONE_AND_SILENT:
    case FAKE_TXN_TIMED_OUT:
    case FAKE_TXN_GARBAGE: break;
    }
    bool done = apply(f, root);
    if (what == FAKE_TXN_DONE_AND_RESET)
        conn_close(c, true);
    if (what == FAKE_TXN_TIMED_OUT)
        refuse(c, 503, 14, "etcdserver: request timed out");
    if (what == FAKE_TXN_GARBAGE)
        reply(c, 200, "OK", STR("{\"header\":{\"revision\":\"0\"}}"));
    if (what != FAKE_TXN_GOOD)
        return;
    buf_printf(&b, "{");
    put_header(f, &b);
    buf_printf(&b, done ? ",\"succeeded\":true}" : "}");
    reply(c, 200, "OK", buf_str(&b));
    buf_free(&b);
}

/* --- ranges --- */

static bool is_in(struct str key, struct str begin, struct str end)
{
    int low = memcmp(key.p, begin.p, MIN(key.n, begin.n));
    if (low < 0 || (low == 0 && key.n < begin.n))
        return false;
    if (!end.n)
        return str_eq(key, begin);
    if (end.n == 1 && !end.p[0])
        return true;
    int high = memcmp(key.p, end.p, MIN(key.n, end.n));
    return high < 0 || (high == 0 && key.n < end.n);
}

/* The state as of which pages are read: that of the first page. */
static const struct store *state_of(struct fake *f, uint64_t revision)
{
    if (!revision || revision == f->map.revision)
        return &f->map;
    return revision == f->page.revision && revision > f->map.compacted ? &f->page : NULL;
}

static void range(struct fake_conn *c, struct str root)
{
    struct fake *f = c->fake;
    struct buf b = {0}, begin = {0}, end = {0};
    struct store_list l = {0};
    uint64_t limit = number(root, "limit"), n = 0;
    const struct store *s = state_of(f, number(root, "revision"));
    bool keys_only = scan_is_true(scan_get(root, "keys_only")), more = false;
    get64(root, "key", &begin);
    get64(root, "range_end", &end);
    if (!s) {
        refuse(c, 400, 11, "etcdserver: mvcc: required revision has been compacted");
        buf_free(&begin);
        buf_free(&end);
        return;
    }
    assert_int_equal(store_range(s, STR(""), &l, NULL), 0);
    buf_printf(&b, "{");
    put_header(f, &b);
    buf_printf(&b, ",\"kvs\":[");
    for (uint32_t i = 0; i < l.n && !more; i++) {
        if (!is_in(l.items[i].key, buf_str(&begin), buf_str(&end)))
            continue;
        more = limit && n == limit;
        if (more)
            break;
        buf_printf(&b, n++ ? ",{" : "{");
        put64(&b, "key", l.items[i].key);
        buf_printf(&b, ",\"mod_revision\":\"%llu\"", (unsigned long long)l.items[i].revision);
        if (!keys_only && l.items[i].value.n) {
            buf_printf(&b, ",");
            put64(&b, "value", l.items[i].value);
        }
        buf_printf(&b, "}");
    }
    buf_printf(&b, more ? "],\"more\":true}" : "]}");
    if (more && s == &f->map) {
        store_free(&f->page);
        assert_int_equal(store_copy(&f->page, &f->map, NULL), 0);
    }
    if (f->page_max && b.n > f->page_max)
        refuse(c, 429, 8, "grpc: received message larger than max (9 vs. 8)");
    else
        reply(c, 200, "OK", buf_str(&b));
    store_list_free(&l);
    buf_free(&b);
    buf_free(&begin);
    buf_free(&end);
}

/* --- requests --- */

static void login(struct fake_conn *c, struct str root)
{
    struct buf b = {0};
    struct str password = {0};
    c->fake->logins++;
    scan_string(scan_get(root, "password"), &password);
    if (!str_eq(password, str_of(c->fake->password))) {
        refuse(c, 400, 3, "etcdserver: authentication failed, invalid user ID or password");
        return;
    }
    buf_printf(&b, "{\"token\":\"token.%u\"}", c->fake->token);
    reply(c, 200, "OK", buf_str(&b));
    buf_free(&b);
}

static bool is_known(struct fake_conn *c, struct str head)
{
    char wanted[64];
    struct buf text = {0};
    snprintf(wanted, sizeof wanted, "Authorization: token.%u\r\n", c->fake->token);
    buf_add_str(&text, head);
    buf_add(&text, "", 1);
    bool known = !c->fake->password || strstr(text.p, wanted);
    buf_free(&text);
    return known;
}

static void answer(struct fake_conn *c, struct str head, struct str body)
{
    struct str root;
    assert_true(str_starts(head, STR("POST /v3/")));
    assert_true(scan_value(body, false, &root));
    if (str_starts(head, STR("POST /v3/auth/authenticate ")))
        login(c, root);
    else if (!is_known(c, head))
        refuse(c, 401, 16, "etcdserver: invalid auth token");
    else if (str_starts(head, STR("POST /v3/kv/txn ")))
        txn(c, root);
    else if (str_starts(head, STR("POST /v3/kv/range ")))
        range(c, root);
    else if (str_starts(head, STR("POST /v3/watch ")))
        watch(c, root);
    else
        reply(c, 404, "Not Found", STR("Not Found\n"));
}

static void request(struct fake_conn *c, struct str head, struct str body)
{
    struct fake_end *end = &c->fake->ends[c->end];
    end->requests++;
    switch (end->fault) {
    case FAKE_GOOD:
    case FAKE_TRICKLES: answer(c, head, body); return;
    case FAKE_SILENT: return;
    case FAKE_REFUSES:
    case FAKE_RESETS: conn_close(c, true); return;
    case FAKE_503: refuse(c, 503, 14, "etcdserver: no leader"); return;
    case FAKE_PROXY_503: reply(c, 503, "No", STR("<html>try again</html>")); return;
    case FAKE_GARBAGE: reply(c, 200, "OK", STR("{\"header\":{\"revision\":")); return;
    case FAKE_HUGE:
        buf_printf(&c->out, "HTTP/1.1 200 OK\r\n\r\n");
        for (uint32_t i = 0; i < 20 * 1024; i++)
            buf_printf(&c->out, "%01024d", 7);
        flush(c);
        return;
    }
}

static void take_requests(struct fake_conn *c)
{
    while (c->io.fd >= 0 && c->in.n) {
        const char *end = memmem(c->in.p, c->in.n, "\r\n\r\n", 4);
        if (!end)
            return;
        struct str head = {c->in.p, (size_t)(end - c->in.p) + 4};
        const char *length = memmem(head.p, head.n, "Content-Length: ", 16);
        assert_non_null(length);
        size_t n = strtoul(length + 16, NULL, 10), all = head.n + n;
        if (c->in.n < all)
            return;
        request(c, head, (struct str){head.p + head.n, n});
        if (c->io.fd >= 0)
            buf_drop_front(&c->in, all);
    }
}

static void on_ready(struct io *io, unsigned ready)
{
    struct fake_conn *c = CONTAINER_OF(io, struct fake_conn, io);
    char some[4096];
    for (;;) {
        ssize_t n = recv(io->fd, some, sizeof some, 0);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n <= 0) {
            conn_close(c, false);
            return;
        }
        assert_true(buf_add(&c->in, some, (size_t)n));
    }
    take_requests(c);
    flush(c);
}

static void on_accept(struct io *io, unsigned ready)
{
    struct fake_end *end = CONTAINER_OF(io, struct fake_end, io);
    struct fake *f = end->fake;
    int fd;
    while ((fd = net_accept(io->fd, NULL)) >= 0) {
        uint32_t i = 0;
        while (i < FAKE_CONNS && f->conns[i].io.fd >= 0)
            i++;
        assert_true(i < FAKE_CONNS);
        end->connections++;
        f->conns[i].end = (uint32_t)(end - f->ends);
        assert_int_equal(loop_io_start(f->loop, &f->conns[i].io, fd, NULL), 0);
    }
}

/* --- making, and faults --- */

static void listen_at(struct fake_end *end)
{
    struct sockaddr_in in;
    socklen_t n = sizeof in;
    int fd = net_listen(&end->at, 64, NULL);
    assert_true(fd >= 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &n), 0);
    snprintf(end->url, sizeof end->url, "http://127.0.0.1:%u", ntohs(in.sin_port));
    assert_true(addr_parse(str_of(end->url + 7), &end->at));
    assert_int_equal(loop_io_start(end->fake->loop, &end->io, fd, NULL), 0);
}

static void close_listener(struct fake_end *end)
{
    int fd = end->io.fd;
    if (fd < 0)
        return;
    loop_io_stop(end->fake->loop, &end->io);
    close(fd);
}

void fake_init(struct fake *f, struct loop *l)
{
    *f = (struct fake){.loop = l};
    store_init(&f->map);
    store_init(&f->page);
    for (uint32_t i = 0; i < FAKE_CONNS; i++) {
        f->conns[i].fake = f;
        io_init(&f->conns[i].io, on_ready);
        task_init(&f->conns[i].more, on_more);
    }
    for (uint32_t i = 0; i < FAKE_ENDS; i++) {
        f->ends[i].fake = f;
        io_init(&f->ends[i].io, on_accept);
        assert_true(addr_parse(STR("127.0.0.1:1"), &f->ends[i].at));
        f->ends[i].at.port = 0;
        listen_at(&f->ends[i]);
    }
}

void fake_cut(struct fake *f, uint32_t end)
{
    for (uint32_t i = 0; i < FAKE_CONNS; i++)
        if (f->conns[i].end == end)
            conn_close(&f->conns[i], true);
}

void fake_free(struct fake *f)
{
    for (uint32_t i = 0; i < FAKE_ENDS; i++) {
        fake_cut(f, i);
        close_listener(&f->ends[i]);
    }
    store_free(&f->map);
    store_free(&f->page);
}

void fake_fault(struct fake *f, uint32_t end, enum fake_fault fault)
{
    f->ends[end].fault = fault;
    if (fault == FAKE_REFUSES) {
        close_listener(&f->ends[end]);
        fake_cut(f, end);
    } else if (f->ends[end].io.fd < 0) {
        listen_at(&f->ends[end]);
    }
}

static void change(struct fake *f, struct coord_op op)
{
    enum coord_outcome outcome;
    assert_int_equal(store_cas(&f->map, &op, 1, &outcome, NULL), 0);
    assert_int_equal(outcome, COORD_DONE);
    changed(f);
}

void fake_put(struct fake *f, const char *key, const char *value)
{
    change(f, (struct coord_op){str_of(key), str_of(value), COORD_ANY, COORD_PUT});
}

void fake_remove(struct fake *f, const char *key)
{
    change(f, (struct coord_op){str_of(key), STR(""), COORD_ANY, COORD_REMOVE});
}

void fake_compact(struct fake *f)
{
    store_compact(&f->map, f->map.revision);
}
