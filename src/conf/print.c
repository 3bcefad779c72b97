#include "conf/print.h"

#include "conf/scalar.h"

bool has_field(const struct setting *s)
{
    return s->offset != NO_FIELD || s->kind == KIND_STATUS;
}

static uint64_t number_of(const struct setting *s, const void *target)
{
    const char *field = (const char *)target + s->offset;
    uint64_t number = 0;
    uint32_t small;
    uint16_t code;
    if (s->bytes == sizeof number) {
        memcpy(&number, field, sizeof number);
        return number;
    }
    if (s->bytes == sizeof code) {
        memcpy(&code, field, sizeof code);
        return code;
    }
    memcpy(&small, field, sizeof small);
    return small;
}

static const struct view_words *words_of(const struct setting *s, const void *target)
{
    return (const struct view_words *)((const char *)target + s->offset);
}

static struct str text_of(const struct setting *s, const void *target)
{
    struct str text;
    memcpy(&text, (const char *)target + s->offset, sizeof text);
    return text;
}

static void print_retry_on(uint32_t on, struct buf *out)
{
    static const char *const names[] = {"connect", "reset", "timeout", "5xx"};
    const char *before = "{";
    if (!on) {
        buf_printf(out, "none");
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (on >> i & 1) {
            buf_printf(out, "%s%s", before, names[i]);
            before = ", ";
        }
    }
    buf_printf(out, "}");
}

/* As a string of the file: what would end it, or a line, is escaped. */
void print_text(struct str s, struct buf *out)
{
    buf_add(out, "\"", 1);
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '\n' || c == '\t')
            buf_printf(out, c == '\n' ? "\\n" : "\\t");
        else
            buf_printf(out, c == '"' || c == '\\' || c == '$' ? "\\%c" : "%c", c);
    }
    buf_add(out, "\"", 1);
}

/* As a word where it can be one. */
static void print_word(struct str s, struct buf *out)
{
    bool bare = s.n > 0;
    for (size_t i = 0; i < s.n; i++)
        bare &= (unsigned char)s.p[i] > 0x20 && !strchr("\"#{},;=$\\", s.p[i]);
    if (bare)
        buf_add(out, s.p, s.n);
    else
        print_text(s, out);
}

static void print_words(const struct view_words *w, struct buf *out)
{
    if (w->n == 0)
        buf_printf(out, "any");
    else if (w->n == 1)
        print_word(w->list[0], out);
    for (uint32_t i = 0; w->n > 1 && i < w->n; i++) {
        buf_printf(out, i ? ", " : "{");
        print_word(w->list[i], out);
    }
    if (w->n > 1)
        buf_printf(out, "}");
}

static bool same_words(const struct view_words *a, const struct view_words *b)
{
    bool same = a->n == b->n;
    for (uint32_t i = 0; same && i < a->n; i++)
        same = str_eq(a->list[i], b->list[i]);
    return same;
}

static void print_status(const struct view_check *c, struct buf *out)
{
    buf_printf(out, "%u", c->status_min);
    if (c->status_max != c->status_min)
        buf_printf(out, "-%u", c->status_max);
}

static void print_hash(const struct view_hash *h, struct buf *out)
{
    static const char *const kinds[HASH_KINDS] = {
        [HASH_SOURCE] = "source",  [HASH_PATH] = "path",    [HASH_HEADER] = "header:",
        [HASH_COOKIE] = "cookie:", [HASH_QUERY] = "query:", [HASH_NONE] = "all"};
    buf_printf(out, "%s" STR_FMT, kinds[h->kind], STR_ARG(h->name));
}

static const struct view_hash *hash_of(const struct setting *s, const void *target)
{
    return (const struct view_hash *)((const char *)target + s->offset);
}

static bool same_hash(const struct view_hash *a, const struct view_hash *b)
{
    return a->kind == b->kind && str_eq(a->name, b->name);
}

static uint8_t byte_of(const struct setting *s, const void *target)
{
    return *((const uint8_t *)target + s->offset);
}

/* Of a rate limit the source is called address. */
static void print_per(const struct view_hash *h, struct buf *out)
{
    if (h->kind == HASH_SOURCE)
        buf_printf(out, "address");
    else
        print_hash(h, out);
}

/* A known name as it is, a text as a string. */
static void print_form(struct str form, struct buf *out)
{
    if (form.n && memchr(form.p, '{', form.n))
        print_text(form, out);
    else
        buf_add_str(out, form);
}

static void print_number(const struct setting *s, uint64_t number, struct buf *out)
{
    char text[SCALAR_TEXT_MAX];
    if (s->kind == KIND_DURATION)
        buf_printf(out, "%s", scalar_duration_text(number, text));
    else if (s->kind == KIND_SIZE)
        buf_printf(out, "%s", scalar_size_text(number, text));
    else if (s->kind == KIND_SHARE)
        buf_printf(out, "%s", scalar_share_text(number, text));
    else
        buf_printf(out, "%llu", (unsigned long long)number);
}

static void print_byte(const struct setting *s, uint8_t byte, struct buf *out)
{
    buf_printf(out, "%s",
               s->kind == KIND_BALANCE ? algorithm_name((enum algorithm)byte) : s->choices[byte]);
}

void print_setting(const struct setting *s, const void *target, struct buf *out)
{
    CHECK(has_field(s));
    switch (schema_field(s)) {
    case FIELD_NUMBER: print_number(s, number_of(s, target), out); return;
    case FIELD_TEXT:
        if (s->kind == KIND_FORM)
            print_form(text_of(s, target), out);
        else
            print_text(text_of(s, target), out);
        return;
    case FIELD_WORDS: print_words(words_of(s, target), out); return;
    case FIELD_HASH:
        if (s->kind == KIND_PER)
            print_per(hash_of(s, target), out);
        else
            print_hash(hash_of(s, target), out);
        return;
    case FIELD_BYTE: print_byte(s, byte_of(s, target), out); return;
    case FIELD_STATUS: print_status(target, out); return;
    case FIELD_RETRY: print_retry_on(((const struct view_retry *)target)->on, out); return;
    case FIELD_NONE: UNREACHABLE();
    }
}

bool same_setting(const struct setting *s, const void *a, const void *b)
{
    const struct view_check *one = a, *other = b;
    switch (schema_field(s)) {
    case FIELD_NUMBER: return number_of(s, a) == number_of(s, b);
    case FIELD_TEXT: return str_eq(text_of(s, a), text_of(s, b));
    case FIELD_WORDS: return same_words(words_of(s, a), words_of(s, b));
    case FIELD_HASH: return same_hash(hash_of(s, a), hash_of(s, b));
    case FIELD_BYTE: return byte_of(s, a) == byte_of(s, b);
    case FIELD_STATUS:
        return one->status_min == other->status_min && one->status_max == other->status_max;
    case FIELD_RETRY:
        return ((const struct view_retry *)a)->on == ((const struct view_retry *)b)->on;
    case FIELD_NONE: return true;
    }
    return true;
}
