#include "coord/bundle.h"

#include <stdio.h>
#include <stdlib.h>

#include "os/digest.h"

static const struct str magic = {"HFB1", 4};
enum { FILE_LEAST = 4 + 1 + 4 /* bytes of one, encoded */ };

void bundle_free(struct bundle *b)
{
    arena_free(&b->arena);
    *b = (struct bundle){0};
}

static bool name_valid(struct str name)
{
    if (name.n == 0 || name.n > BUNDLE_NAME)
        return false;
    for (size_t i = 0; i < name.n; i++)
        if ((unsigned char)name.p[i] < 0x20 || name.p[i] == 0x7f)
            return false;
    return true;
}

static int compare(struct str a, struct str b)
{
    size_t n = MIN(a.n, b.n);
    int order = n ? memcmp(a.p, b.p, n) : 0;
    return order ? order : (a.n > b.n) - (a.n < b.n);
}

const struct bundle_file *bundle_find(const struct bundle *b, struct str name)
{
    for (uint32_t i = 0; i < b->n; i++)
        if (str_eq(b->files[i].name, name))
            return &b->files[i];
    return NULL;
}

static bool grow(struct bundle *b)
{
    if (b->n < b->cap)
        return true;
    uint32_t cap = b->cap ? b->cap * 2 : 8;
    struct bundle_file *more = arena_array(&b->arena, cap, sizeof *more);
    if (!more)
        return false;
    if (b->n)
        memcpy(more, b->files, b->n * sizeof *more);
    b->files = more;
    b->cap = cap;
    return true;
}

/* A copy; both are valid. */
static bool append(struct bundle *b, struct str name, struct str text)
{
    if (!grow(b))
        return false;
    struct bundle_file f = {arena_str(&b->arena, name), arena_str(&b->arena, text)};
    if (!f.name.p || !f.text.p)
        return false;
    b->files[b->n++] = f;
    return true;
}

int bundle_add(struct bundle *b, struct str name, struct str text, struct err *e)
{
    const struct bundle_file *there = bundle_find(b, name);
    if (there && str_eq(there->text, text))
        return 0;
    if (there)
        return err_set(e, ERR_BUSY, STR_FMT " changed while the configuration was read",
                       STR_ARG(name));
    if (!name_valid(name))
        return err_set(e, ERR_INVAL, "a file's name has 1 to %d bytes and no control characters",
                       BUNDLE_NAME);
    if (b->n == BUNDLE_FILES)
        return err_set(e, ERR_LIMIT, "the configuration has more than %d files", BUNDLE_FILES);
    if (!append(b, name, text))
        return err_set(e, ERR_NOMEM, "no memory for " STR_FMT, STR_ARG(name));
    if (b->n == 1)
        b->main = b->files[0].name;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    const struct bundle_file *const *x = a, *const *y = b;
    return compare((*x)->name, (*y)->name);
}

static int too_large(const struct bundle *b, size_t bytes, struct err *e)
{
    const struct bundle_file *most = &b->files[0];
    for (uint32_t i = 1; i < b->n; i++)
        if (b->files[i].text.n > most->text.n)
            most = &b->files[i];
    return err_set(e, ERR_LIMIT,
                   "the configuration and its files have %zu KiB, above the %d KiB that a version "
                   "may have; the largest is " STR_FMT " with %zu KiB",
                   (bytes + 1023) / 1024, BUNDLE_MAX / 1024, STR_ARG(most->name),
                   (most->text.n + 1023) / 1024);
}

static size_t size_of(const struct bundle *b)
{
    size_t bytes = magic.n + 4 + b->main.n + 4;
    for (uint32_t i = 0; i < b->n; i++)
        bytes += 8 + b->files[i].name.n + b->files[i].text.n;
    return bytes;
}

int bundle_encode(const struct bundle *b, struct buf *out, struct err *e)
{
    CHECK(b->n > 0);
    size_t bytes = size_of(b);
    if (bytes > BUNDLE_MAX)
        return too_large(b, bytes, e);
    const struct bundle_file **sorted = mem_zero(b->n, sizeof *sorted);
    for (uint32_t i = 0; sorted && i < b->n; i++)
        sorted[i] = &b->files[i];
    if (sorted)
        qsort(sorted, b->n, sizeof *sorted, by_name);
    buf_add_str(out, magic);
    put_str(out, b->main);
    put_u32(out, b->n);
    for (uint32_t i = 0; sorted && i < b->n; i++) {
        put_str(out, sorted[i]->name);
        put_str(out, sorted[i]->text);
    }
    bool ok = sorted && !out->failed;
    mem_free(sorted);
    return ok ? 0 : err_set(e, ERR_NOMEM, "no memory for the configuration's files");
}

static int refuse(struct bundle *out, enum err_code code, const char *why, struct err *e)
{
    bundle_free(out);
    return err_set(e, code, "the files of a configuration cannot be read: %s", why);
}

int bundle_decode(struct str bytes, struct bundle *out, struct err *e)
{
    if (bytes.n > BUNDLE_MAX || !str_starts(bytes, magic))
        return refuse(out, ERR_PROTO, bytes.n > BUNDLE_MAX ? "too large" : "not ours", e);
    struct reader r = reader_of(bytes.p + magic.n, bytes.n - magic.n);
    struct str main = get_str(&r), last = {NULL, 0};
    uint32_t n = get_count(&r, FILE_LEAST);
    if (r.failed || n > BUNDLE_FILES)
        return refuse(out, ERR_PROTO, "cut short, or too many", e);
    for (uint32_t i = 0; i < n; i++) {
        struct str name = get_str(&r), text = get_str(&r);
        if (r.failed || !name_valid(name) || (i && compare(last, name) >= 0))
            return refuse(out, ERR_PROTO, "a file is malformed or out of order", e);
        if (!append(out, name, text))
            return refuse(out, ERR_NOMEM, "no memory", e);
        last = name;
    }
    if (!reader_done(&r))
        return refuse(out, ERR_PROTO, "something follows", e);
    const struct bundle_file *first = bundle_find(out, main);
    if (!first)
        return refuse(out, ERR_PROTO, "its main file is missing", e);
    out->main = first->name;
    return 0;
}

bool bundle_digest(struct str bytes, char hex[BUNDLE_DIGEST])
{
    uint8_t digest[DIGEST_BYTES];
    hex[0] = 0;
    if (!digest_sha256(bytes, digest))
        return false;
    for (size_t i = 0; i < DIGEST_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    return true;
}
