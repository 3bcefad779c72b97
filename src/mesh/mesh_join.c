#include "mesh/mesh_join.h"

#include <stdio.h>

#include "mesh/link.h"
#include "mesh/mesh.h"

enum { JOIN_VERSION = 1, JOINED = 0, REFUSED = 1 };
#define ASK_NS (10 * NS_PER_S)

/* --- messages --- */

static void write_question(struct buf *b, const struct join_question *q)
{
    put_u16(b, JOIN_VERSION);
    buf_add(b, q->proof, sizeof q->proof);
    put_str(b, q->cluster);
    put_str(b, q->node);
    put_str(b, STR("holdfast " HF_VERSION));
}

static bool get_bytes(struct reader *r, void *out, size_t n)
{
    if (r->failed || (size_t)(r->end - r->p) < n)
        return false;
    memcpy(out, r->p, n);
    r->p += n;
    return true;
}

bool join_read_question(struct str bytes, struct join_question *out)
{
    struct reader r = reader_of(bytes.p, bytes.n);
    uint16_t version = get_u16(&r);
    if (version < JOIN_VERSION || !get_bytes(&r, out->proof, sizeof out->proof))
        return false;
    out->cluster = get_str(&r);
    out->node = get_str(&r);
    return !r.failed && out->node.n > 0;
}

static void write_nodes(struct buf *b, const struct view_cluster *c)
{
    char at[ADDR_TEXT_MAX];
    put_u32(b, c->n_nodes);
    for (uint32_t i = 0; i < c->n_nodes; i++) {
        const struct view_node *n = &c->nodes[i];
        put_str(b, n->name);
        put_str(b, (struct str){at, addr_format(&n->address, at)});
        put_u8(b, n->role == NODE_WITNESS);
        put_str(b, n->zone);
    }
}

static bool name_of(struct str s, char out[TOKEN_NAME_MAX + 1])
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return false; /* it goes to a terminal and into a file */
    return s.n <= TOKEN_NAME_MAX && str_copy(out, TOKEN_NAME_MAX + 1, s) == s.n;
}

static bool read_node(struct reader *r, struct join_node *n)
{
    struct str name = get_str(r), at = get_str(r);
    n->witness = get_u8(r) == 1;
    struct str zone = get_str(r);
    return !r->failed && name.n && name_of(name, n->name) && name_of(zone, n->zone) &&
           addr_parse(at, &n->at);
}

static int malformed(struct err *e)
{
    return err_set(e, ERR_PROTO, "the node's answer makes no sense: does it run a later release?");
}

static int read_joined(struct reader *r, struct join_result *out, struct err *e)
{
    struct str text = get_str(r);
    if (r->failed)
        return malformed(e);
    int rc = keyring_parse(text, &out->keys, e);
    if (rc)
        return err_wrap(e, "the keys that the node sent");
    uint32_t n = get_count(r, 4 + 4 + 1 + 4);
    if (n > VIEW_MAX_NODES)
        return malformed(e);
    out->nodes = mem_zero(MAX(n, 1u), sizeof *out->nodes);
    if (!out->nodes)
        return err_set(e, ERR_NOMEM, "no memory for the nodes of the cluster");
    for (; out->n_nodes < n; out->n_nodes++)
        if (!read_node(r, &out->nodes[out->n_nodes]))
            return malformed(e);
    return r->failed ? malformed(e) : 0;
}

int join_read_answer(struct str bytes, struct join_result *out, struct err *e)
{
    struct reader r = reader_of(bytes.p, bytes.n);
    uint16_t version = get_u16(&r);
    uint8_t code = get_u8(&r);
    *out = (struct join_result){0};
    if (r.failed || version < JOIN_VERSION || code > REFUSED)
        return malformed(e);
    if (code == REFUSED) {
        struct str why = get_str(&r);
        if (r.failed)
            return malformed(e);
        return err_set(e, ERR_DENIED, STR_FMT, (int)MIN(why.n, 240u), why.p);
    }
    int rc = read_joined(&r, out, e);
    if (rc)
        join_result_end(out);
    return rc;
}

void join_result_end(struct join_result *r)
{
    keyring_wipe(&r->keys);
    mem_free(r->nodes);
    *r = (struct join_result){0};
}

/* --- the node that answers --- */

static int hand_out(const struct view_cluster *c, const struct join_host *h, struct buf *answer,
                    struct err *e)
{
    struct keyring keys = {0};
    struct buf text = {0};
    int r = h->keys(h->context, &keys, e);
    if (r == 0) {
        buf_reserve(&text, KEYRING_TEXT_MAX);
        keyring_print(&keys, &text);
        /* All at once, so that no copy of it stays behind. */
        buf_reserve(answer, MESH_MESSAGE_MAX / 2);
        put_u16(answer, JOIN_VERSION);
        put_u8(answer, JOINED);
        put_str(answer, buf_str(&text));
        write_nodes(answer, c);
        if (text.failed || answer->failed)
            r = err_set(e, ERR_NOMEM, "no memory to answer");
    }
    if (text.p)
        wipe(text.p, text.cap);
    buf_free(&text);
    keyring_wipe(&keys);
    return r;
}

static int serve(struct tokens *t, uint64_t id, struct str question, const struct view_cluster *c,
                 const struct join_host *h, uint64_t now, struct buf *answer, char *node,
                 struct err *e)
{
    struct join_question q;
    if (!join_read_question(question, &q))
        return err_set(e, ERR_PROTO,
                       "the question makes no sense: does it come from a later "
                       "release?");
    str_copy(node, TOKEN_NAME_MAX + 1, q.node);
    if (!str_eq(q.cluster, c->name))
        return err_set(e, ERR_DENIED,
                       "the token is for another cluster: this node belongs to " STR_FMT,
                       STR_ARG(c->name));
    int r = hand_out(c, h, answer, e);
    return r ? r : tokens_use(t, id, q.proof, q.node, now, e);
}

bool join_answer(struct tokens *t, uint64_t id, struct str question,
                 const struct view_cluster *cluster, const struct join_host *h, uint64_t now,
                 struct buf *answer, char *node, struct err *why)
{
    node[0] = 0;
    int r = serve(t, id, question, cluster, h, now, answer, node, why);
    if (r == 0)
        return true;
    if (answer->p)
        wipe(answer->p, answer->cap);
    buf_free(answer);
    put_u16(answer, JOIN_VERSION);
    put_u8(answer, REFUSED);
    put_str(answer, str_of(why->text));
    return false;
}

/* --- the machine that asks --- */

struct asking {
    struct loop *loop;
    struct link_tls *tls;
    struct link *link;
    const struct token *token;
    struct str node;
    char at[ADDR_TEXT_MAX];
    struct timer late;
    struct join_result *out;
    struct err *e;
    int result;
    bool answered;
};

static void finish(struct asking *a, int result)
{
    a->result = result;
    a->answered = true;
    loop_stop(a->loop);
}

static void on_up(struct link *k)
{
    struct asking *a = link_owner(k);
    struct join_question q = {.cluster = str_of(a->token->cluster), .node = a->node};
    struct buf b = {0};
    bool ok = buf_reserve(&b, 2 * TOKEN_TEXT_MAX) && token_proof(a->token->secret, q.proof);
    write_question(&b, &q);
    if (!ok || b.failed || link_send(k, MESH_JOIN, buf_str(&b), NULL))
        finish(a, err_set(a->e, ERR_NOMEM, "no memory to ask"));
    if (b.p)
        wipe(b.p, b.cap);
    wipe(&q, sizeof q);
    buf_free(&b);
}

static void on_message(struct link *k, uint16_t kind, struct str bytes)
{
    struct asking *a = link_owner(k);
    if (kind == MESH_JOIN && !a->answered)
        finish(a, join_read_answer(bytes, a->out, a->e));
}

static int explain(struct asking *a, enum link_why why, const char *text)
{
    const char *at = a->at;
    switch (why) {
    case LINK_UNREACHABLE:
        return err_set(a->e, ERR_ABSENT,
                       "nobody answers at %s (%s): is the node running, and may TCP pass to it?",
                       at, text);
    case LINK_KEY:
        return err_set(a->e, ERR_DENIED,
                       "the node at %s does not know this token: it was made by another node, or "
                       "is more than a day old; make another one with 'holdfast token'",
                       at);
    case LINK_PLAIN:
    case LINK_LATE:
    case LINK_MALFORMED:
    case LINK_FLOOD:
        return err_set(a->e, ERR_PROTO, "what answers at %s is no holdfast node (%s)", at, text);
    case LINK_VERSION: return err_set(a->e, ERR_PROTO, "the node at %s: %s", at, text);
    case LINK_NOMEM: return err_set(a->e, ERR_NOMEM, "%s", text);
    case LINK_GOODBYE:
    case LINK_SILENT:
    case LINK_BROKEN:
    case LINK_DROPPED:
    case LINK_WHYS: break;
    }
    return err_set(a->e, ERR_IO, "the node at %s ended the connection (%s): try again", at, text);
}

static void on_gone(struct link *k, enum link_why why, const char *text)
{
    struct asking *a = link_owner(k);
    a->link = NULL;
    if (!a->answered)
        finish(a, explain(a, why, text));
}

static void on_late(struct timer *t)
{
    struct asking *a = CONTAINER_OF(t, struct asking, late);
    finish(a, err_set(a->e, ERR_TIMEOUT, "the node at %s does not answer", a->at));
}

static int ask(struct asking *a)
{
    static const struct link_host host = {NULL, on_up, on_message, on_gone};
    struct identity who = {.guest = true, .token = a->token->id};
    char text[IDENTITY_MAX + 1];
    uint8_t key[SEAL_SECRET];
    struct str identity = {text, identity_write(&who, text)};
    if (!token_link_key(a->token->secret, key))
        return err_set(a->e, ERR_NOMEM, "no memory to ask");
    int r = link_connect(&a->link, a->tls, a->loop, &a->token->at, identity, key, &host, a, a->e);
    wipe(key, sizeof key);
    if (r)
        return r;
    loop_timer_set(a->loop, &a->late, loop_refresh(a->loop) + ASK_NS);
    r = loop_run(a->loop, a->e);
    loop_timer_stop(a->loop, &a->late);
    if (a->link)
        link_end(a->link);
    return r ? r : a->result;
}

int join_ask(const struct token *t, struct str node, struct join_result *out, struct err *e)
{
    struct err local = {0};
    struct asking a = {.token = t, .node = node, .out = out, .e = e ? e : &local};
    *out = (struct join_result){0};
    addr_format(&t->at, a.at);
    timer_init(&a.late, on_late);
    int r = loop_new(&a.loop, a.e);
    if (r == 0)
        r = link_tls_new(&a.tls, a.e);
    if (r == 0)
        r = ask(&a);
    link_tls_free(a.tls);
    loop_free(a.loop);
    return r;
}
