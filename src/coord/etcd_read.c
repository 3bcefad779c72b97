#include "coord/etcd_json.h"

#include <jansson.h>
#include <stdio.h>

#include "base/base64.h"

enum { ITEM_LIST_MAX = 1 << 20 }; /* keys in one answer */

static int broken(struct err *e, const char *what)
{
    return err_set(e, ERR_PROTO, "that is not how etcd answers: %s", what);
}

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "no memory for an answer of etcd");
}

static int parse(struct str text, json_t **root, struct err *e)
{
    json_error_t je;
    *root = json_loadb(text.p ? text.p : "", text.n, 0, &je);
    if (*root && json_is_object(*root))
        return 0;
    if (!*root && json_error_code(&je) == json_error_out_of_memory)
        return no_memory(e);
    json_decref(*root);
    *root = NULL;
    return broken(e, "it is no JSON object");
}

/* A number, as the string that the gateway writes or as itself; 0 when it is left out. */
static bool read_u64(const json_t *object, const char *name, uint64_t *out)
{
    const json_t *v = json_object_get(object, name);
    *out = 0;
    if (!v)
        return true;
    if (json_is_integer(v) && json_integer_value(v) >= 0) {
        *out = (uint64_t)json_integer_value(v);
        return true;
    }
    struct str text = {json_string_value(v), json_string_length(v)};
    return json_is_string(v) && str_u64(text, UINT64_MAX, out);
}

static bool is_true(const json_t *object, const char *name)
{
    return json_is_true(json_object_get(object, name));
}

static int read_header(const json_t *object, struct etcd_header *h, struct err *e)
{
    const json_t *v = json_object_get(object, "header");
    *h = (struct etcd_header){0};
    if (!json_is_object(v))
        return broken(e, "it has no header");
    if (!read_u64(v, "cluster_id", &h->cluster) || !read_u64(v, "member_id", &h->member) ||
        !read_u64(v, "revision", &h->revision) || !read_u64(v, "raft_term", &h->term))
        return broken(e, "a number in its header is none");
    return 0;
}

int etcd_read_txn(struct str body, struct etcd_header *h, bool *succeeded, struct err *e)
{
    json_t *root;
    int bad = parse(body, &root, e);
    if (bad)
        return bad;
    const json_t *v = json_object_get(root, "succeeded");
    bad = read_header(root, h, e);
    if (!bad && v && !json_is_boolean(v))
        bad = broken(e, "\"succeeded\" is neither true nor false");
    if (!bad && h->revision == 0)
        bad = broken(e, "its revision is 0");
    *succeeded = json_is_true(v);
    json_decref(root);
    return bad;
}

int etcd_read_token(struct str body, struct buf *out, struct err *e)
{
    json_t *root;
    int bad = parse(body, &root, e);
    if (bad)
        return bad;
    const json_t *v = json_object_get(root, "token");
    buf_clear(out);
    if (!json_string_length(v))
        bad = broken(e, "it has no token");
    for (size_t i = 0; !bad && i < json_string_length(v); i++)
        if ((uint8_t)json_string_value(v)[i] <= ' ' || (uint8_t)json_string_value(v)[i] >= 0x7f)
            bad = broken(e, "its token has a character that fits no header");
    if (!bad && !(buf_add(out, json_string_value(v), json_string_length(v)) && buf_add(out, "", 1)))
        bad = no_memory(e);
    json_decref(root);
    return bad;
}

/* --- keys and values --- */

void etcd_items_free(struct etcd_items *items)
{
    mem_free(items->p);
    buf_free(&items->bytes);
    *items = (struct etcd_items){0};
}

/* Room for everything that a text of this length can hold, so that no append moves bytes. */
static int items_begin(struct etcd_items *out, size_t text_n, size_t n, struct err *e)
{
    *out = (struct etcd_items){0};
    if (n > ITEM_LIST_MAX)
        return broken(e, "it has too many keys");
    if (n == 0)
        return 0;
    out->p = mem_zero(n, sizeof *out->p);
    if (!out->p || !buf_reserve(&out->bytes, text_n))
        return no_memory(e);
    return 0;
}

static bool read_bytes(const json_t *object, const char *name, struct buf *bytes, struct str *out)
{
    const json_t *v = json_object_get(object, name);
    size_t begin = bytes->n;
    *out = (struct str){"", 0};
    if (!v)
        return true;
    struct str text = {json_string_value(v), json_string_length(v)};
    const char *before = bytes->p;
    if (!json_is_string(v) || !base64_read(text, bytes))
        return false;
    CHECK(bytes->p == before || begin == 0);
    *out = (struct str){bytes->p + begin, bytes->n - begin};
    return true;
}

/* Whether the seam has a name for this key. */
static bool can_be_named(struct str key)
{
    return key.n > 0 && key.n <= COORD_KEY_MAX && !memchr(key.p, 0, key.n);
}

/* One of "kvs", or "kv" of an event. last: its key, absolute. */
static int read_item(const json_t *kv, struct str prefix, bool gone, struct etcd_items *out,
                     struct str *last, uint64_t *revision, struct err *e)
{
    struct coord_item item = {.gone = gone};
    if (!read_bytes(kv, "key", &out->bytes, last) ||
        !read_bytes(kv, "value", &out->bytes, &item.value))
        return broken(e, "a key or value is no base64");
    if (!read_u64(kv, "mod_revision", &item.revision) || item.revision == 0)
        return broken(e, "a key has no revision");
    if (!str_starts(*last, prefix))
        return broken(e, "it has a key that was not asked for");
    *revision = item.revision;
    item.key = (struct str){last->p + prefix.n, last->n - prefix.n};
    if (can_be_named(item.key))
        out->p[out->n++] = item;
    return 0;
}

static int read_page(const json_t *root, size_t n, struct str prefix, struct etcd_page *out,
                     struct err *e)
{
    const json_t *kvs = json_object_get(root, "kvs");
    int bad = read_header(root, &out->header, e);
    if (!bad && kvs && !json_is_array(kvs))
        bad = broken(e, "\"kvs\" is no list");
    if (!bad && out->header.revision == 0)
        bad = broken(e, "its revision is 0");
    if (!bad)
        bad = items_begin(&out->items, n, json_array_size(kvs), e);
    out->more = is_true(root, "more");
    for (size_t i = 0; !bad && i < json_array_size(kvs); i++) {
        struct str before = out->last;
        uint64_t revision;
        bad = read_item(json_array_get(kvs, i), prefix, false, &out->items, &out->last, &revision, e);
        size_t shared = MIN(before.n, out->last.n);
        int order = shared ? memcmp(before.p, out->last.p, shared) : 0;
        if (!bad && i && (order > 0 || (order == 0 && before.n >= out->last.n)))
            bad = broken(e, "its keys are not in order");
        out->present++;
    }
    if (!bad && out->more && !out->present)
        bad = broken(e, "it is empty and says that there is more");
    return bad;
}

int etcd_read_range(struct str body, struct str prefix, struct etcd_page *out, struct err *e)
{
    json_t *root;
    *out = (struct etcd_page){0};
    int bad = parse(body, &root, e);
    if (bad)
        return bad;
    bad = read_page(root, body.n, prefix, out, e);
    json_decref(root);
    if (bad) {
        etcd_items_free(&out->items);
        out->last = (struct str){0};
    }
    return bad;
}

/* --- refusals --- */

static void copy_text(char *to, size_t size, const char *text)
{
    snprintf(to, size, "%s", text);
    for (char *p = to; *p; p++)
        if ((uint8_t)*p < ' ' || (uint8_t)*p == 0x7f)
            *p = ' ';
}

/* {"error": "...", "message": "...", "code": 14}; of a watch "http_code", "grpc_code" instead. */
static void read_error(const json_t *object, struct etcd_refusal *out)
{
    const char *text = json_string_value(json_object_get(object, "message"));
    uint64_t code = 0, http = 0;
    if (!text)
        text = json_string_value(json_object_get(object, "error"));
    if (!read_u64(object, "code", &code) || code == 0)
        read_u64(object, "grpc_code", &code);
    if (read_u64(object, "http_code", &http) && http > 0 && http < 1000)
        out->http = (unsigned)http;
    out->grpc = code < 1000 ? (unsigned)code : 0;
    if (text)
        copy_text(out->text, sizeof out->text, text);
}

void etcd_read_refusal(unsigned http, struct str body, struct etcd_refusal *out)
{
    json_error_t je;
    *out = (struct etcd_refusal){.http = http};
    /* A trailer follows the object in the gateway's errors. */
    json_t *root = json_loadb(body.p ? body.p : "", body.n, JSON_DISABLE_EOF_CHECK, &je);
    if (json_is_object(root))
        read_error(root, out);
    json_decref(root);
    if (!out->text[0])
        snprintf(out->text, sizeof out->text, "it answers with HTTP status %u", http);
}

/* --- a line of a watch --- */

static int read_events(const json_t *events, size_t n, struct str prefix, struct etcd_line *out,
                       struct err *e)
{
    int bad = items_begin(&out->changes, n, json_array_size(events), e);
    for (size_t i = 0; !bad && i < json_array_size(events); i++) {
        const json_t *event = json_array_get(events, i);
        const char *type = json_string_value(json_object_get(event, "type"));
        struct str key;
        uint64_t revision = 0;
        bad = read_item(json_object_get(event, "kv"), prefix, type && strcmp(type, "DELETE") == 0,
                        &out->changes, &key, &revision, e);
        if (!bad && revision < out->newest)
            bad = broken(e, "its changes are not in order");
        out->newest = MAX(out->newest, revision);
    }
    return bad;
}

static int read_result(const json_t *result, size_t n, struct str prefix, struct etcd_line *out,
                       struct err *e)
{
    const json_t *events = json_object_get(result, "events");
    const char *reason = json_string_value(json_object_get(result, "cancel_reason"));
    uint64_t compacted;
    int bad = read_header(result, &out->header, e);
    if (!bad && !read_u64(result, "compact_revision", &compacted))
        bad = broken(e, "its compact_revision is no number");
    if (bad)
        return bad;
    out->fragment = is_true(result, "fragment");
    if (is_true(result, "canceled")) {
        out->kind = compacted ? ETCD_LINE_COMPACTED : ETCD_LINE_ENDED;
        copy_text(out->why.text, sizeof out->why.text, reason ? reason : "it ended the watch");
        return 0;
    }
    out->kind = is_true(result, "created") ? ETCD_LINE_CREATED : ETCD_LINE_CHANGES;
    if (events && !json_is_array(events))
        return broken(e, "\"events\" is no list");
    return read_events(events, n, prefix, out, e);
}

int etcd_read_line(struct str line, struct str prefix, struct etcd_line *out, struct err *e)
{
    json_t *root;
    *out = (struct etcd_line){0};
    int bad = parse(line, &root, e);
    if (bad)
        return bad;
    const json_t *result = json_object_get(root, "result");
    const json_t *error = json_object_get(root, "error");
    if (json_is_object(result)) {
        bad = read_result(result, line.n, prefix, out, e);
    } else if (error) {
        out->kind = ETCD_LINE_ENDED;
        read_error(json_is_object(error) ? error : root, &out->why);
        if (!out->why.text[0])
            snprintf(out->why.text, sizeof out->why.text, "it ended the watch");
    } else {
        bad = broken(e, "it has neither a result nor an error");
    }
    json_decref(root);
    if (bad)
        etcd_items_free(&out->changes);
    return bad;
}
