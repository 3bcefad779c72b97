#include "daemon/upgrade_state.h"

enum { HASH = 8, CHILD_BYTES = 4 * 5 + 4 * 8, SOCKET_MIN = 1 + 1 + 2 + 16 + 4 + 4 };

void upgrade_state_free(struct upgrade_state *s)
{
    mem_free(s->sockets);
    s->sockets = NULL;
    s->n_sockets = 0;
}

void upgrade_state_each(const struct upgrade_state *s, void (*f)(int fd, void *context),
                        void *context)
{
    const int32_t own[] = {s->lock_fd, s->admin_fd, s->cells_fd, s->view_fd, s->notify_fd};
    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        if (own[i] >= 0)
            f(own[i], context);
    for (uint32_t i = 0; i < s->n_children; i++)
        f(s->children[i].fd, context);
    for (uint32_t i = 0; i < s->n_sockets; i++)
        if (s->sockets[i].fd >= 0)
            f(s->sockets[i].fd, context);
}

/* --- out --- */

static void put_fd(struct buf *b, int32_t fd)
{
    put_u32(b, (uint32_t)(fd + 1));
}

static void put_child(struct buf *b, const struct upgrade_child *c)
{
    put_u32(b, c->row);
    put_u32(b, c->role);
    put_u32(b, c->pid);
    put_fd(b, c->fd);
    put_u64(b, c->generation);
    put_u64(b, c->started);
    put_u64(b, c->sent);
    put_u64(b, c->taken);
    put_u32(b, c->stop_ticks);
}

static void put_socket(struct buf *b, const struct upgrade_socket *s)
{
    put_u8(b, s->socket.use);
    put_u8(b, s->socket.addr.kind);
    put_u16(b, s->socket.addr.port);
    buf_add(b, s->socket.addr.ip, sizeof s->socket.addr.ip);
    put_str(b, s->socket.addr.kind == ADDR_UNIX ? str_of(s->socket.addr.path) : STR(""));
    put_fd(b, s->fd);
}

/* Canonical: one format for one state. */
static bool has_agent(const struct upgrade_state *s)
{
    for (uint32_t i = 0; i < s->n_children; i++)
        if (s->children[i].row == UPGRADE_AGENT)
            return true;
    return false;
}

void upgrade_state_encode(const struct upgrade_state *s, struct buf *out)
{
    size_t start = out->n;
    put_u32(out, UPGRADE_MAGIC);
    put_u32(out, has_agent(s) ? UPGRADE_FORMAT : UPGRADE_FORMAT_PLAIN);
    put_u32(out, s->ipc_version);
    put_u32(out, s->view_format);
    put_u32(out, s->cells_version);
    put_str(out, str_of(s->version));
    put_str(out, str_of(s->file));
    put_str(out, str_of(s->state));
    put_str(out, str_of(s->node));
    put_u32(out, s->log_level);
    put_u32(out, s->workers);
    put_u32(out, s->serving);
    put_u64(out, s->epoch);
    put_u64(out, s->generations);
    put_u64(out, s->change);
    put_u64(out, s->boot);
    put_fd(out, s->lock_fd);
    put_fd(out, s->admin_fd);
    put_fd(out, s->cells_fd);
    put_fd(out, s->view_fd);
    put_fd(out, s->notify_fd);
    put_u32(out, s->n_children);
    for (uint32_t i = 0; i < s->n_children; i++)
        put_child(out, &s->children[i]);
    put_u32(out, s->n_sockets);
    for (uint32_t i = 0; i < s->n_sockets; i++)
        put_socket(out, &s->sockets[i]);
    if (!out->failed)
        put_u64(out, str_hash((struct str){out->p + start, out->n - start}));
}

/* --- in --- */

/* Below 3 lie standard input, output and error, and no process opens a million. */
static int32_t get_fd(struct reader *r, bool may_lack)
{
    uint32_t raw = get_u32(r);
    if ((raw == 0 && !may_lack) || (raw != 0 && (raw < 4 || raw > 1u << 24)))
        r->failed = true;
    return r->failed ? -1 : (int32_t)raw - 1;
}

static void get_name(struct reader *r, char *out, size_t size)
{
    struct str s = get_str(r);
    if (s.n >= size || (s.n && memchr(s.p, 0, s.n)))
        r->failed = true;
    else
        str_copy(out, size, s);
}

static uint32_t get_below(struct reader *r, uint32_t limit)
{
    uint32_t v = get_u32(r);
    if (v >= limit)
        r->failed = true;
    return r->failed ? 0 : v;
}

static void get_child(struct reader *r, struct upgrade_child *c)
{
    c->row = get_below(r, UPGRADE_CHILDREN);
    c->role = get_below(r, PROXY_ROLES);
    c->pid = get_below(r, INT32_MAX);
    c->fd = get_fd(r, false);
    c->generation = get_u64(r);
    c->started = get_u64(r);
    c->sent = get_u64(r);
    c->taken = get_u64(r);
    c->stop_ticks = get_u32(r);
    if (c->pid == 0)
        r->failed = true;
}

static void get_children(struct reader *r, struct upgrade_state *s)
{
    unsigned seen = 0;
    s->n_children = get_below(r, UPGRADE_CHILDREN + 1);
    for (uint32_t i = 0; i < s->n_children && !r->failed; i++) {
        get_child(r, &s->children[i]);
        if (seen >> s->children[i].row & 1)
            r->failed = true;
        seen |= 1u << s->children[i].row;
    }
    if (r->failed)
        s->n_children = 0;
}

static void get_socket(struct reader *r, struct upgrade_socket *s)
{
    struct addr *a = &s->socket.addr;
    s->socket.use = get_u8(r);
    a->kind = get_u8(r);
    a->port = get_u16(r);
    for (size_t i = 0; i < sizeof a->ip; i++)
        a->ip[i] = get_u8(r);
    get_name(r, a->path, sizeof a->path);
    s->fd = get_fd(r, true);
    if (s->socket.use >= SOCKET_USES || a->kind > ADDR_UNIX || (a->kind != ADDR_UNIX && a->path[0]))
        r->failed = true;
}

static bool get_sockets(struct reader *r, struct upgrade_state *s)
{
    uint32_t n = get_count(r, SOCKET_MIN);
    if (r->failed || n > VIEW_MAX_SOCKETS) {
        r->failed = true;
        return true;
    }
    s->sockets = mem_zero(n + 1, sizeof *s->sockets);
    if (!s->sockets)
        return false;
    s->n_sockets = n;
    for (uint32_t i = 0; i < n && !r->failed; i++)
        get_socket(r, &s->sockets[i]);
    return true;
}

static bool get_all(struct reader *r, uint32_t format, struct upgrade_state *s)
{
    s->ipc_version = get_u32(r);
    s->view_format = get_u32(r);
    s->cells_version = get_u32(r);
    get_name(r, s->version, sizeof s->version);
    get_name(r, s->file, sizeof s->file);
    get_name(r, s->state, sizeof s->state);
    if (format > UPGRADE_FORMAT_OLDEST)
        get_name(r, s->node, sizeof s->node);
    s->log_level = get_u32(r);
    s->workers = get_below(r, CELLS_MAX_WORKERS + 1);
    s->serving = get_below(r, CELLS_BANKS);
    s->epoch = get_u64(r);
    s->generations = get_u64(r);
    s->change = get_u64(r);
    s->boot = get_u64(r);
    s->lock_fd = get_fd(r, false);
    s->admin_fd = get_fd(r, false);
    s->cells_fd = get_fd(r, false);
    s->view_fd = get_fd(r, false);
    s->notify_fd = get_fd(r, true);
    get_children(r, s);
    return get_sockets(r, s);
}

struct seen {
    struct map fds;
    bool twice, failed;
};

static void note(int fd, void *context)
{
    struct seen *seen = context;
    struct str key = {(const char *)&fd, sizeof fd};
    if (map_get(&seen->fds, key))
        seen->twice = true;
    else if (!map_put(&seen->fds, key, seen))
        seen->failed = true;
}

static int check_fds(const struct upgrade_state *s, struct err *e)
{
    struct seen seen = {0};
    upgrade_state_each(s, note, &seen);
    map_free(&seen.fds);
    if (seen.failed)
        return err_set(e, ERR_NOMEM, "no memory to read the state of the program before");
    return seen.twice ? err_set(e, ERR_PROTO, "the state names a descriptor twice") : 0;
}

int upgrade_state_decode(struct str bytes, struct upgrade_state *out, struct err *e)
{
    *out = (struct upgrade_state){0};
    struct reader r = reader_of(bytes.p, bytes.n);
    uint32_t magic = get_u32(&r), format = get_u32(&r);
    if (r.failed || magic != UPGRADE_MAGIC || bytes.n < HASH + 8)
        return err_set(e, ERR_PROTO, "these bytes are not the state of a supervisor");
    if (format < UPGRADE_FORMAT_OLDEST || format > UPGRADE_FORMAT)
        return err_set(e, ERR_PROTO, "the state has format %u, and this program knows %u", format,
                       UPGRADE_FORMAT);
    struct reader tail = reader_of(bytes.p + bytes.n - HASH, HASH);
    if (get_u64(&tail) != str_hash((struct str){bytes.p, bytes.n - HASH}))
        return err_set(e, ERR_PROTO, "the state is damaged");
    r.end -= HASH;
    if (!get_all(&r, format, out))
        return err_set(e, ERR_NOMEM, "no memory to read the state of the program before");
    if (!reader_done(&r) || has_agent(out) != (format > UPGRADE_FORMAT_PLAIN) ||
        out->workers == 0 || !out->file[0] || !out->state[0])
        return err_set(e, ERR_PROTO, "the state is malformed");
    return check_fds(out, e);
}
