/* What etcd is asked, as JSON (etcd_json.h). */
#include "coord/etcd_json.h"

#include "base/base64.h"

static void put_text(struct buf *b, const char *text)
{
    buf_add(b, text, strlen(text));
}

/* "name":"<base64 of both>" */
static void put_bytes(struct buf *b, const char *name, struct str first, struct str second)
{
    struct buf both = {0};
    buf_add_str(&both, first);
    buf_add_str(&both, second);
    if (both.failed)
        b->failed = true;
    buf_printf(b, "\"%s\":\"", name);
    base64_write(buf_str(&both), b);
    put_text(b, "\"");
    buf_free(&both);
}

/* The first key behind all that begin with the prefix: its last byte that can be raised, raised.
 * None: a single NUL, which etcd takes for "to the end". */
static void put_end(struct buf *b, struct str prefix)
{
    char last;
    while (prefix.n && (uint8_t)prefix.p[prefix.n - 1] == 0xff)
        prefix.n--;
    if (!prefix.n) {
        put_bytes(b, "range_end", (struct str){"\0", 1}, STR(""));
        return;
    }
    last = (char)((uint8_t)prefix.p[prefix.n - 1] + 1);
    prefix.n--;
    put_bytes(b, "range_end", prefix, (struct str){&last, 1});
}

/* etcd takes no empty key: the first there can be is a single NUL. */
static void put_begin(struct buf *b, struct str prefix)
{
    put_bytes(b, "key", prefix.n ? prefix : (struct str){"\0", 1}, STR(""));
}

static void put_compares(struct buf *b, struct str prefix, const struct coord_op *ops, uint32_t n)
{
    bool first = true;
    put_text(b, "\"compare\":[");
    for (uint32_t i = 0; i < n; i++) {
        if (ops[i].expected == COORD_ANY)
            continue;
        put_text(b, first ? "{" : ",{");
        first = false;
        put_bytes(b, "key", prefix, ops[i].key);
        buf_printf(b, ",\"target\":\"MOD\",\"result\":\"EQUAL\",\"mod_revision\":\"%llu\"}",
                   (unsigned long long)ops[i].expected);
    }
    put_text(b, "]");
}

static void put_change(struct buf *b, struct str prefix, const struct coord_op *op)
{
    switch (op->act) {
    case COORD_PUT:
        put_text(b, "{\"request_put\":{");
        put_bytes(b, "key", prefix, op->key);
        put_text(b, ",");
        put_bytes(b, "value", op->value, STR(""));
        break;
    case COORD_REMOVE:
        put_text(b, "{\"request_delete_range\":{");
        put_bytes(b, "key", prefix, op->key);
        break;
    case COORD_LEAVE: UNREACHABLE();
    }
    put_text(b, "}}");
}

/* A transaction that changes nothing is a read for etcd, and one whose branches have no read that
 * must be linearizable is answered from what this member knows, however old (isTxnSerializable in
 * etcdserver/v3_server.go: true for no operations at all). So there is such a read in both
 * branches. */
static void put_look(struct buf *b, struct str prefix, struct str key)
{
    put_text(b, "{\"request_range\":{");
    put_bytes(b, "key", prefix, key);
    put_text(b, ",\"keys_only\":true}}");
}

bool etcd_ask_txn(struct str prefix, const struct coord_op *ops, uint32_t n, struct buf *out)
{
    bool first = true;
    put_text(out, "{");
    put_compares(out, prefix, ops, n);
    put_text(out, ",\"success\":[");
    for (uint32_t i = 0; i < n; i++) {
        if (ops[i].act == COORD_LEAVE)
            continue;
        put_text(out, first ? "" : ",");
        first = false;
        put_change(out, prefix, &ops[i]);
    }
    if (first) {
        put_look(out, prefix, ops[0].key);
        put_text(out, "],\"failure\":[");
        put_look(out, prefix, ops[0].key);
    }
    put_text(out, "]}");
    return !out->failed;
}

bool etcd_ask_range(const struct etcd_range *r, struct buf *out)
{
    put_text(out, "{");
    if (r->after.n)
        put_bytes(out, "key", r->after, (struct str){"\0", 1});
    else
        put_begin(out, r->prefix);
    if (!r->one) {
        put_text(out, ",");
        put_end(out, r->prefix);
    }
    if (r->limit)
        buf_printf(out, ",\"limit\":\"%u\"", (unsigned)r->limit);
    if (r->revision)
        buf_printf(out, ",\"revision\":\"%llu\"", (unsigned long long)r->revision);
    put_text(out, r->keys_only ? ",\"keys_only\":true}" : "}");
    return !out->failed;
}

bool etcd_ask_watch(struct str prefix, uint64_t from, struct buf *out)
{
    put_text(out, "{\"create_request\":{");
    put_begin(out, prefix);
    put_text(out, ",");
    put_end(out, prefix);
    buf_printf(out, ",\"start_revision\":\"%llu\",\"progress_notify\":true,\"fragment\":true}}",
               (unsigned long long)from);
    return !out->failed;
}

/* As a JSON string; bytes above ASCII go as they are, which is right for UTF-8. */
static void put_quoted(struct buf *b, const char *text)
{
    put_text(b, "\"");
    for (; *text; text++) {
        if ((uint8_t)*text < 0x20 || *text == '"' || *text == '\\')
            buf_printf(b, "\\u%04x", (unsigned)(uint8_t)*text);
        else
            buf_add(b, text, 1);
    }
    put_text(b, "\"");
}

bool etcd_ask_token(const char *user, const char *password, struct buf *out)
{
    put_text(out, "{\"name\":");
    put_quoted(out, user);
    put_text(out, ",\"password\":");
    put_quoted(out, password);
    put_text(out, "}");
    return !out->failed;
}
