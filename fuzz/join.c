/* What a machine that joins and a node say to each other, tokens as somebody typed them, and what
 * nodes say while the key becomes another: any bytes, the first of which says as what. What is
 * accepted keeps its bounds, and a rotation never leaves a key ring without a key in use. */
#include <stddef.h>
#include <stdint.h>

#include "mesh/mesh_join.h"
#include "mesh/mesh_keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_token(struct str text)
{
    struct token t, again;
    struct buf b = {0};
    if (token_parse(text, &t, NULL))
        return;
    CHECK(t.at.kind != ADDR_NONE && t.cluster[0]);
    token_print(&t, &b);
    CHECK(!b.failed && token_parse(buf_str(&b), &again, NULL) == 0 && again.id == t.id);
    buf_free(&b);
}

static void read_question(struct str bytes)
{
    struct join_question q;
    if (!join_read_question(bytes, &q))
        return;
    CHECK(q.node.n > 0 && q.node.p + q.node.n <= bytes.p + bytes.n);
    CHECK(q.cluster.p >= bytes.p && q.cluster.p + q.cluster.n <= q.node.p);
}

static void read_answer(struct str bytes)
{
    struct join_result r;
    struct err e = {0};
    if (join_read_answer(bytes, &r, &e)) {
        CHECK(e.code && r.n_nodes == 0 && !r.nodes && r.keys.n == 0);
        return;
    }
    CHECK(r.n_nodes <= VIEW_MAX_NODES && keyring_in_use(&r.keys));
    for (uint32_t i = 0; i < r.n_nodes; i++)
        CHECK(r.nodes[i].name[0] && r.nodes[i].at.kind != ADDR_NONE);
    join_result_end(&r);
}

/* --- a node while keys change --- */

static uint32_t on_nodes(void *context, struct rotation_node *out, uint32_t max)
{
    (void)context;
    (void)max;
    out[0] = (struct rotation_node){STR("a"), "alive", true, true};
    out[1] = (struct rotation_node){STR("b"), "alive", true, false};
    return 2;
}

static void on_send(void *context, struct str node, struct str bytes)
{
    (void)context;
    CHECK(node.n == 1 && bytes.n > 0);
}

static int on_read(void *context, struct keyring *out, struct err *e)
{
    (void)e;
    *out = *(struct keyring *)context;
    return 0;
}

static int on_write(void *context, const struct keyring *keys, struct err *e)
{
    (void)e;
    CHECK(keys->n > 0 && keys->n <= SEAL_KEYS_MAX && keyring_in_use(keys));
    *(struct keyring *)context = *keys;
    return 0;
}

static int on_adopt(void *context, struct err *e)
{
    (void)context;
    (void)e;
    return 0;
}

static void on_entropy(void *context, void *out, size_t n)
{
    (void)context;
    memset(out, 7, n);
}

static void on_tell(void *context, bool bad, const char *text)
{
    (void)context;
    (void)bad;
    CHECK(text[0]);
}

/* Messages of a byte's length each, to a node that drives nothing. */
static void hear(struct str bytes)
{
    static const uint8_t secret[SEAL_SECRET] = "the first key";
    struct keyring keys = {0};
    struct rotation_host h = {&keys,    on_nodes, on_send,    on_read,
                              on_write, on_adopt, on_entropy, on_tell};
    struct rotation *r = NULL;
    CHECK(keyring_add(&keys, secret, NULL) == 0);
    if (rotation_open(&r, "/nowhere/fuzz-join", &h, NULL))
        return;
    for (uint64_t now = 1; bytes.n; now += NS_PER_S) {
        size_t n = MIN((size_t)(uint8_t)bytes.p[0], bytes.n - 1);
        rotation_hear(r, STR("b"), (struct str){bytes.p + 1, n}, now);
        bytes = (struct str){bytes.p + 1 + n, bytes.n - 1 - n};
    }
    CHECK(keyring_in_use(&keys));
    rotation_free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct str rest = {(const char *)data + 1, size - 1};
    switch (data[0] % 4) {
    case 0: read_token(rest); break;
    case 1: read_question(rest); break;
    case 2: read_answer(rest); break;
    default: hear(rest); break;
    }
    return 0;
}
