/* Any bytes as the state that a supervisor leaves to the next program: as they are, with their hash
 * repaired, and as edits of a good one (two bytes where, one byte what). What is accepted is in
 * range, and encodes to the same bytes. */
#include <stddef.h>
#include <stdint.h>

#include "daemon/upgrade_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HASH = 8 };

static void count(int fd, void *context)
{
    CHECK(fd >= 3);
    ++*(unsigned *)context;
}

static void check_state(const struct upgrade_state *s, struct str from)
{
    struct buf again = {0};
    unsigned fds = 0;
    upgrade_state_encode(s, &again);
    CHECK(!again.failed && again.n == from.n && memcmp(again.p, from.p, from.n) == 0);
    buf_free(&again);
    CHECK(s->workers >= 1 && s->workers <= CELLS_MAX_WORKERS && s->serving < CELLS_BANKS);
    CHECK(s->n_children <= UPGRADE_CHILDREN && s->n_sockets <= VIEW_MAX_SOCKETS);
    for (uint32_t i = 0; i < s->n_children; i++)
        CHECK(s->children[i].row < UPGRADE_CHILDREN && s->children[i].pid > 0 &&
              s->children[i].role < PROXY_ROLES);
    upgrade_state_each(s, count, &fds);
    CHECK(fds >= 4 + s->n_children);
}

static void decode(struct str bytes)
{
    struct upgrade_state s;
    struct err e = {0};
    int r = upgrade_state_decode(bytes, &s, &e);
    if (r == 0)
        check_state(&s, bytes);
    else
        CHECK(e.text[0]);
    upgrade_state_free(&s);
}

/* With its last bytes replaced by the hash of the others. */
static void decode_repaired(struct str bytes)
{
    struct buf b = {0};
    buf_add(&b, bytes.p, bytes.n - HASH);
    put_u64(&b, str_hash(buf_str(&b)));
    CHECK(!b.failed);
    decode(buf_str(&b));
    buf_free(&b);
}

static void sample(struct buf *out)
{
    struct upgrade_socket sockets[2] = {{.socket.use = SOCKET_HTTP, .fd = 20},
                                        {.socket.use = SOCKET_ACCESS_LOG, .fd = -1}};
    struct upgrade_state s = {.version = "1.0",
                              .file = "/etc/a.conf",
                              .state = "/var/lib/a",
                              .node = "a",
                              .workers = 2,
                              .lock_fd = 5,
                              .admin_fd = 6,
                              .cells_fd = 7,
                              .view_fd = 8,
                              .notify_fd = -1,
                              .n_children = 2,
                              .children = {{.pid = 100, .fd = 10},
                                           {.row = 1, .role = PROXY_SERVES, .pid = 101, .fd = 11}},
                              .n_sockets = 2,
                              .sockets = sockets};
    CHECK(addr_parse(STR("127.0.0.1:80"), &sockets[0].socket.addr));
    CHECK(addr_parse(STR("unix:/var/log/a"), &sockets[1].socket.addr));
    upgrade_state_encode(&s, out);
    CHECK(!out->failed);
}

static void decode_edited(const uint8_t *data, size_t size)
{
    struct buf b = {0};
    sample(&b);
    decode(buf_str(&b));
    for (size_t i = 0; i + 3 <= size; i += 3) {
        size_t at = ((size_t)data[i] << 8 | data[i + 1]) % (b.n - HASH);
        b.p[at] = (char)data[i + 2];
    }
    decode_repaired(buf_str(&b));
    buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = {(const char *)data, size};
    decode(bytes);
    if (size >= HASH)
        decode_repaired(bytes);
    decode_edited(data, size);
    return 0;
}
