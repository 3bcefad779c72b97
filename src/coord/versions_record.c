/* versions_record: the records of versions as JSON, written and read. */
#include "coord/versions.h"

#include <jansson.h>
#include <stdio.h>

static int memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "no memory for a version of the configuration");
}

bool version_same(const struct version *a, const struct version *b)
{
    return a->number == b->number && strcmp(a->digest, b->digest) == 0 && strcmp(a->id, b->id) == 0;
}

void version_key(uint64_t number, char out[VERSION_KEY])
{
    CHECK(number <= VERSION_MOST);
    snprintf(out, VERSION_KEY, VERSIONS_EACH "%010llu", (unsigned long long)number);
}

/* ---- what may stand in a record */

static bool hexadecimal(const char *text, size_t size)
{
    size_t n = strspn(text, "0123456789abcdef");
    return n == size - 1 && text[n] == '\0';
}

/* It is shown to people: nothing that moves a terminal's cursor. */
static bool one_line(const char *text)
{
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return false;
    return true;
}

static bool several_lines(const char *text)
{
    for (const char *p = text; *p; p++)
        if (((unsigned char)*p < 0x20 && *p != '\n') || *p == 0x7f)
            return false;
    return true;
}

static const char *wrong_with(const struct version *v)
{
    if (!v->number || v->number > VERSION_MOST || v->from >= v->number)
        return "number";
    if (!hexadecimal(v->digest, sizeof v->digest))
        return "digest";
    if (!hexadecimal(v->id, sizeof v->id))
        return "id";
    if (!v->who[0] || !one_line(v->who))
        return "who";
    if (!v->node[0] || !one_line(v->node))
        return "node";
    if (!several_lines(v->changes))
        return "changes";
    return one_line(v->note) ? NULL : "note";
}

/* ---- writing */

static bool put(json_t *o, const char *key, json_t *value)
{
    return json_object_set_new(o, key, value) == 0;
}

static bool put_all(json_t *o, const struct version *v)
{
    return put(o, "version", json_integer((json_int_t)v->number)) &&
           put(o, "digest", json_string(v->digest)) &&
           put(o, "when", json_integer((json_int_t)v->when)) &&
           put(o, "who", json_string(v->who)) && put(o, "node", json_string(v->node)) &&
           put(o, "note", json_string(v->note)) && put(o, "id", json_string(v->id)) &&
           (!v->changes[0] || put(o, "changes", json_string(v->changes))) &&
           (!v->from || put(o, "from", json_integer((json_int_t)v->from)));
}

static bool put_bundle(json_t *o, struct str bundle)
{
    struct buf text = {0};
    bool done = base64_write(bundle, &text) &&
                put(o, "bundle", json_stringn_nocheck(text.n ? text.p : "", text.n));
    buf_free(&text);
    return done;
}

static int append(const char *p, size_t n, void *out)
{
    return buf_add(out, p, n) ? 0 : -1;
}

int version_write(const struct version *v, const struct str *bundle, struct buf *out, struct err *e)
{
    const char *wrong = wrong_with(v);
    if (wrong || v->when > INT64_MAX)
        return err_set(e, ERR_INVAL, "a version's %s is malformed", wrong ? wrong : "time");
    if (bundle && bundle->n > VERSION_BUNDLE_MAX)
        return err_set(e, ERR_LIMIT, "the configuration has %zu bytes; at most %d fit", bundle->n,
                       VERSION_BUNDLE_MAX);
    json_t *o = json_object();
    bool done = o && put_all(o, v) && (!bundle || put_bundle(o, *bundle)) &&
                json_dump_callback(o, append, out, JSON_COMPACT) == 0;
    json_decref(o);
    return done && !out->failed ? 0 : memory(e);
}

/* ---- reading */

/* A string that fits; what is not there is empty. */
static bool get_text(const json_t *o, const char *key, char *out, size_t size)
{
    const json_t *v = json_object_get(o, key);
    out[0] = '\0';
    if (!v)
        return true;
    if (!json_is_string(v) || json_string_length(v) >= size)
        return false;
    str_copy(out, size, str_of(json_string_value(v)));
    return true;
}

static bool get_number(const json_t *o, const char *key, uint64_t *out)
{
    const json_t *v = json_object_get(o, key);
    json_int_t n = json_integer_value(v);
    *out = 0;
    if (!v)
        return true;
    if (!json_is_integer(v) || n < 0)
        return false;
    *out = (uint64_t)n;
    return true;
}

static const char *get_all(const json_t *o, struct version *v)
{
    if (!get_number(o, "version", &v->number))
        return "number";
    if (!get_number(o, "when", &v->when))
        return "time";
    if (!get_number(o, "from", &v->from))
        return "from";
    if (!get_text(o, "digest", v->digest, sizeof v->digest))
        return "digest";
    if (!get_text(o, "id", v->id, sizeof v->id))
        return "id";
    if (!get_text(o, "who", v->who, sizeof v->who))
        return "who";
    if (!get_text(o, "node", v->node, sizeof v->node))
        return "node";
    if (!get_text(o, "changes", v->changes, sizeof v->changes))
        return "changes";
    return get_text(o, "note", v->note, sizeof v->note) ? wrong_with(v) : "note";
}

static bool digest_fits(struct str bytes, const char *digest)
{
    uint8_t sum[DIGEST_BYTES];
    char text[VERSION_DIGEST];
    if (!digest_sha256(bytes, sum))
        return false;
    for (size_t i = 0; i < sizeof sum; i++)
        snprintf(text + 2 * i, 3, "%02x", sum[i]);
    return strcmp(text, digest) == 0;
}

static int get_bundle(const json_t *o, const struct version *v, struct buf *out, struct err *e)
{
    const json_t *text = json_object_get(o, "bundle");
    size_t before = out->n;
    if (!json_is_string(text))
        return err_set(e, ERR_PROTO, "version %llu has no bundle", (unsigned long long)v->number);
    struct str base64 = {json_string_value(text), json_string_length(text)};
    bool whole = base64_read(base64, out);
    if (out->failed)
        return memory(e);
    if (!whole)
        return err_set(e, ERR_PROTO, "the bundle of version %llu is no base64",
                       (unsigned long long)v->number);
    if (digest_fits((struct str){out->p + before, out->n - before}, v->digest))
        return 0;
    out->n = before;
    return err_set(e, ERR_PROTO, "the bundle of version %llu does not have the digest %.12s...",
                   (unsigned long long)v->number, v->digest);
}

static int read_object(const json_t *o, struct version *out, struct buf *bundle, struct err *e)
{
    const char *wrong = json_is_object(o) ? get_all(o, out) : "JSON";
    if (wrong)
        return err_set(e, ERR_PROTO,
                       "the coordinator holds a version of the configuration whose %s is malformed",
                       wrong);
    return bundle ? get_bundle(o, out, bundle, e) : 0;
}

int version_read(struct str text, struct version *out, struct buf *bundle, struct err *e)
{
    json_error_t why;
    *out = (struct version){0};
    if (text.n > COORD_VALUE_MAX)
        return err_set(e, ERR_LIMIT, "a version of the configuration has %zu bytes", text.n);
    json_t *o = json_loadb(text.n ? text.p : "", text.n, JSON_REJECT_DUPLICATES, &why);
    if (!o && json_error_code(&why) == json_error_out_of_memory)
        return memory(e);
    int failed = read_object(o, out, bundle, e);
    json_decref(o);
    if (failed)
        *out = (struct version){0};
    return failed;
}

int versions_head(const struct coord_item *item, struct versions_head *out, struct err *e)
{
    *out = (struct versions_head){0};
    if (!item || item->gone)
        return 0;
    int failed = version_read(item->value, &out->version, NULL, e);
    out->revision = failed ? 0 : item->revision;
    return failed;
}

/* ---- what a node says of itself */

int version_adopted_write(const struct version_adopted *v, struct buf *out, struct err *e)
{
    json_t *o = json_object();
    bool done = o && put(o, "version", json_integer((json_int_t)v->number)) &&
                put(o, "problem", json_string(v->problem)) &&
                json_dump_callback(o, append, out, JSON_COMPACT) == 0;
    json_decref(o);
    return done && !out->failed ? 0 : memory(e);
}

int version_adopted_read(struct str text, struct version_adopted *out, struct err *e)
{
    json_error_t why;
    *out = (struct version_adopted){0};
    json_t *o = json_loadb(text.n ? text.p : "", text.n, JSON_REJECT_DUPLICATES, &why);
    if (!o && json_error_code(&why) == json_error_out_of_memory)
        return memory(e);
    bool fine = json_is_object(o) && get_number(o, "version", &out->number) &&
                out->number <= VERSION_MOST &&
                get_text(o, "problem", out->problem, sizeof out->problem) && one_line(out->problem);
    json_decref(o);
    if (fine)
        return 0;
    *out = (struct version_adopted){0};
    return err_set(e, ERR_PROTO, "what a node says of its configuration is malformed");
}
