/* What etcd answers, from JSON (etcd_json.h). */
#include "coord/etcd_json.h"

#include <stdio.h>

#include "base/base64.h"
#include "coord/etcd_scan.h"

static int broken(struct err *e, const char *what)
{
    return err_set(e, ERR_PROTO, "that is not how etcd answers: %s", what);
}

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "no memory for an answer of etcd");
}

static int parse(struct str text, struct str *root, struct err *e)
{
    if (scan_value(text, false, root) && scan_is_object(*root))
        return 0;
    return broken(e, "it is no JSON object");
}

/* A number, as the string that the gateway writes or as itself; 0 when it is left out. */
static bool read_u64(struct str object, const char *name, uint64_t *out)
{
    struct str text = scan_get(object, name);
    *out = 0;
    if (!text.p)
        return true;
    (void)scan_string(text, &text);
    return str_u64(text, UINT64_MAX, out);
}

static int read_header(struct str object, struct etcd_header *h, struct err *e)
{
    struct str v = scan_get(object, "header");
    *h = (struct etcd_header){0};
    if (!scan_is_object(v))
        return broken(e, "it has no header");
    if (!read_u64(v, "cluster_id", &h->cluster) || !read_u64(v, "member_id", &h->member) ||
        !read_u64(v, "revision", &h->revision) || !read_u64(v, "raft_term", &h->term))
        return broken(e, "a number in its header is none");
    return 0;
}

int etcd_read_txn(struct str body, struct etcd_header *h, bool *succeeded, struct err *e)
{
    struct str root;
    int bad = parse(body, &root, e);
    bad = bad ? bad : read_header(root, h, e);
    if (bad)
        return bad;
    struct str v = scan_get(root, "succeeded");
    if (v.p && !scan_is_true(v) && !str_eq(v, STR("false")))
        return broken(e, "\"succeeded\" is neither true nor false");
    if (h->revision == 0)
        return broken(e, "its revision is 0");
    *succeeded = scan_is_true(v);
    return 0;
}

int etcd_read_token(struct str body, struct buf *out, struct err *e)
{
    struct str root, token = {0};
    int bad = parse(body, &root, e);
    buf_clear(out);
    if (bad)
        return bad;
    if (!scan_string(scan_get(root, "token"), &token) || !token.n)
        return broken(e, "it has no token");
    for (size_t i = 0; i < token.n; i++)
        if (token.p[i] <= ' ' || token.p[i] == '\\' || (uint8_t)token.p[i] >= 0x7f)
            return broken(e, "its token has a character that fits no header");
    return buf_add_str(out, token) && buf_add(out, "", 1) ? 0 : no_memory(e);
}

/* --- keys and values --- */

void etcd_items_free(struct etcd_items *items)
{
    mem_free(items->p);
    buf_free(&items->bytes);
    *items = (struct etcd_items){0};
}

/* Room for everything that a text of this length can hold, so that no append moves bytes. */
static int items_begin(struct etcd_items *out, struct str list, struct err *e)
{
    uint32_t n = scan_count(list);
    *out = (struct etcd_items){0};
    if (n == 0)
        return 0;
    out->p = mem_zero(n, sizeof *out->p);
    if (!out->p || !buf_reserve(&out->bytes, list.n))
        return no_memory(e);
    return 0;
}

static bool read_bytes(struct str object, const char *name, struct buf *bytes, struct str *out)
{
    struct str text = scan_get(object, name);
    size_t begin = bytes->n;
    *out = STR("");
    if (!text.p)
        return true;
    const char *before = bytes->p;
    if (!scan_string(text, &text) || !base64_read(text, bytes))
        return false;
    CHECK(bytes->p == before);
    *out = (struct str){bytes->p + begin, bytes->n - begin};
    return true;
}

/* Whether the seam has a name for this key. */
static bool can_be_named(struct str key)
{
    return key.n > 0 && key.n <= COORD_KEY_MAX && !memchr(key.p, 0, key.n);
}

/* One of "kvs", or "kv" of an event. last: its key, absolute. */
static int read_item(struct str kv, const struct etcd_scope *scope, bool gone,
                     struct etcd_items *out, struct str *last, uint64_t *revision, struct err *e)
{
    struct coord_item item = {.gone = gone};
    if (!read_bytes(kv, "key", &out->bytes, last) ||
        !read_bytes(kv, "value", &out->bytes, &item.value))
        return broken(e, "a key or value is no base64");
    if (!read_u64(kv, "mod_revision", &item.revision) || item.revision == 0)
        return broken(e, "a key has no revision");
    if (!str_starts(*last, scope->prefix))
        return broken(e, "it has a key that was not asked for");
    *revision = item.revision;
    item.key = (struct str){last->p + scope->strip, last->n - scope->strip};
    if (can_be_named(item.key))
        out->p[out->n++] = item;
    return 0;
}

static bool is_after(struct str key, struct str before)
{
    size_t shared = MIN(before.n, key.n);
    int order = shared ? memcmp(before.p, key.p, shared) : 0;
    return order < 0 || (order == 0 && before.n < key.n);
}

static int read_keys(struct str kvs, const struct etcd_scope *scope, struct etcd_page *out,
                     struct err *e)
{
    int bad = items_begin(&out->items, kvs, e);
    for (struct str at = {0}; !bad && scan_next(kvs, &at); out->present++) {
        struct str before = out->last;
        uint64_t revision;
        bad = read_item(at, scope, false, &out->items, &out->last, &revision, e);
        if (!bad && out->present && !is_after(out->last, before))
            bad = broken(e, "its keys are not in order");
    }
    return bad;
}

static int read_page(struct str root, const struct etcd_scope *scope, struct etcd_page *out,
                     struct err *e)
{
    struct str kvs = scan_get(root, "kvs");
    int bad = read_header(root, &out->header, e);
    if (!bad && kvs.p && !scan_is_array(kvs))
        bad = broken(e, "\"kvs\" is no list");
    if (!bad && out->header.revision == 0)
        bad = broken(e, "its revision is 0");
    out->more = scan_is_true(scan_get(root, "more"));
    if (!bad)
        bad = read_keys(kvs, scope, out, e);
    if (!bad && out->more && !out->present)
        bad = broken(e, "it is empty and says that there is more");
    return bad;
}

int etcd_read_range(struct str body, const struct etcd_scope *scope, struct etcd_page *out,
                    struct err *e)
{
    struct str root;
    *out = (struct etcd_page){0};
    int bad = parse(body, &root, e);
    bad = bad ? bad : read_page(root, scope, out, e);
    if (bad) {
        etcd_items_free(&out->items);
        out->last = (struct str){0};
    }
    return bad;
}

/* --- refusals --- */

/* {"error": "...", "message": "...", "code": 14}; of a watch "http_code", "grpc_code" instead. */
static void read_error(struct str object, struct etcd_refusal *out)
{
    struct str text = scan_get(object, "message");
    uint64_t code = 0, http = 0;
    if (!text.p)
        text = scan_get(object, "error");
    if (!read_u64(object, "code", &code) || code == 0)
        (void)read_u64(object, "grpc_code", &code);
    if (read_u64(object, "http_code", &http) && http > 0 && http < 1000)
        out->http = (unsigned)http;
    out->grpc = code < 1000 ? (unsigned)code : 0;
    scan_text(text, out->text, sizeof out->text);
}

void etcd_read_refusal(unsigned http, struct str body, struct etcd_refusal *out)
{
    struct str root;
    *out = (struct etcd_refusal){.http = http};
    /* A trailer follows the object in the gateway's errors. */
    if (scan_value(body, true, &root))
        read_error(root, out);
    if (!out->text[0])
        snprintf(out->text, sizeof out->text, "it answers with HTTP status %u", http);
}

/* --- a line of a watch --- */

static int read_events(struct str events, const struct etcd_scope *scope, struct etcd_line *out,
                       struct err *e)
{
    int bad = items_begin(&out->changes, events, e);
    for (struct str at = {0}; !bad && scan_next(events, &at);) {
        bool gone = str_eq(scan_get(at, "type"), STR("\"DELETE\""));
        struct str key;
        uint64_t revision = 0;
        bad = read_item(scan_get(at, "kv"), scope, gone, &out->changes, &key, &revision, e);
        if (!bad && revision < out->newest)
            bad = broken(e, "its changes are not in order");
        out->newest = MAX(out->newest, revision);
    }
    return bad;
}

static int read_result(struct str result, const struct etcd_scope *scope, struct etcd_line *out,
                       struct err *e)
{
    struct str events = scan_get(result, "events");
    uint64_t compacted;
    int bad = read_header(result, &out->header, e);
    if (!bad && !read_u64(result, "compact_revision", &compacted))
        bad = broken(e, "its compact_revision is no number");
    if (bad)
        return bad;
    out->fragment = scan_is_true(scan_get(result, "fragment"));
    if (scan_is_true(scan_get(result, "canceled"))) {
        out->kind = compacted ? ETCD_LINE_COMPACTED : ETCD_LINE_ENDED;
        scan_text(scan_get(result, "cancel_reason"), out->why.text, sizeof out->why.text);
        return 0;
    }
    out->kind = scan_is_true(scan_get(result, "created")) ? ETCD_LINE_CREATED : ETCD_LINE_CHANGES;
    if (events.p && !scan_is_array(events))
        return broken(e, "\"events\" is no list");
    return read_events(events, scope, out, e);
}

int etcd_read_line(struct str line, const struct etcd_scope *scope, struct etcd_line *out,
                   struct err *e)
{
    struct str root;
    *out = (struct etcd_line){0};
    int bad = parse(line, &root, e);
    if (bad)
        return bad;
    struct str result = scan_get(root, "result"), error = scan_get(root, "error");
    if (scan_is_object(result)) {
        bad = read_result(result, scope, out, e);
    } else if (error.p) {
        out->kind = ETCD_LINE_ENDED;
        read_error(scan_is_object(error) ? error : root, &out->why);
    } else {
        bad = broken(e, "it has neither a result nor an error");
    }
    if (!bad && out->kind == ETCD_LINE_ENDED && !out->why.text[0])
        snprintf(out->why.text, sizeof out->why.text, "it ended the watch");
    if (bad)
        etcd_items_free(&out->changes);
    return bad;
}
