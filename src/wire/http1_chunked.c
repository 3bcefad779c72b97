/* http1_chunked: the chunked transfer coding (RFC 9112, 7.1) as a table: state and class of byte
 * give the next state, and what is not in the table is refused.
 *
 * The grammar is the strict one: no whitespace around sizes and extensions, no bare LF, extensions
 * of tokens and quoted strings only. Trailers follow the rules of fields, and those that frame or
 * route are refused: whoever reads them behind us might believe them. */
#include "wire/http1_class.h"
#include "wire/http1_field.h"
#include "wire/http1_refuse.h"

enum byte_class {
    C_OTHER, /* controls but HTAB */
    C_HEX,
    C_TOKEN, /* the other token bytes */
    C_SEMICOLON,
    C_EQUALS,
    C_QUOTE,
    C_BACKSLASH,
    C_COLON,
    C_BLANK,
    C_TEXT, /* the other printable bytes and those above 0x7f */
    C_CR,
    C_LF,
    CLASSES
};

enum state {
    SIZE_FIRST, /* the zero-initialised decoder */
    SIZE,
    EXT_NAME_FIRST,
    EXT_NAME,
    EXT_VALUE_FIRST,
    EXT_TOKEN,
    EXT_QUOTED,
    EXT_PAIR,
    EXT_END,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    LINE_FIRST, /* of the trailer section */
    NAME,
    VALUE,
    VALUE_LF,
    LAST_LF,
    ENDED,
    FAILED,
    STATES
};

/* What the table cannot say. */
enum action { NOTHING, DIGIT, SIZE_DONE, NAME_BYTE };

struct row {
    uint8_t refuse; /* for what has no next state */
    uint8_t action; /* done with each byte that has one */
    uint8_t next[CLASSES];
};

#define GO(s)     ((s) + 1) /* 0 is "refused" */
#define TOKENS(s) [C_HEX] = GO(s), [C_TOKEN] = GO(s)
#define QUOTABLE(s)                                                                                \
    TOKENS(s), [C_SEMICOLON] = GO(s), [C_EQUALS] = GO(s), [C_COLON] = GO(s), [C_BLANK] = GO(s),    \
               [C_TEXT] = GO(s)

static const struct row rows[STATES] = {
    [SIZE_FIRST] = {REFUSE_CHUNK_SIZE, DIGIT, {[C_HEX] = GO(SIZE)}},
    [SIZE] = {REFUSE_CHUNK_SIZE,
              DIGIT,
              {[C_HEX] = GO(SIZE), [C_SEMICOLON] = GO(EXT_NAME_FIRST), [C_CR] = GO(SIZE_LF)}},
    [EXT_NAME_FIRST] = {REFUSE_CHUNK_EXTENSION, NOTHING, {TOKENS(EXT_NAME)}},
    [EXT_NAME] = {REFUSE_CHUNK_EXTENSION,
                  NOTHING,
                  {TOKENS(EXT_NAME), [C_EQUALS] = GO(EXT_VALUE_FIRST),
                   [C_SEMICOLON] = GO(EXT_NAME_FIRST), [C_CR] = GO(SIZE_LF)}},
    [EXT_VALUE_FIRST] = {REFUSE_CHUNK_EXTENSION,
                         NOTHING,
                         {TOKENS(EXT_TOKEN), [C_QUOTE] = GO(EXT_QUOTED)}},
    [EXT_TOKEN] = {REFUSE_CHUNK_EXTENSION,
                   NOTHING,
                   {TOKENS(EXT_TOKEN), [C_SEMICOLON] = GO(EXT_NAME_FIRST), [C_CR] = GO(SIZE_LF)}},
    [EXT_QUOTED] = {REFUSE_CHUNK_EXTENSION,
                    NOTHING,
                    {QUOTABLE(EXT_QUOTED), [C_BACKSLASH] = GO(EXT_PAIR), [C_QUOTE] = GO(EXT_END)}},
    [EXT_PAIR] =
        {REFUSE_CHUNK_EXTENSION,
         NOTHING,
         {QUOTABLE(EXT_QUOTED), [C_BACKSLASH] = GO(EXT_QUOTED), [C_QUOTE] = GO(EXT_QUOTED)}},
    [EXT_END] = {REFUSE_CHUNK_EXTENSION,
                 NOTHING,
                 {[C_SEMICOLON] = GO(EXT_NAME_FIRST), [C_CR] = GO(SIZE_LF)}},
    [SIZE_LF] = {REFUSE_BARE_CR, SIZE_DONE, {[C_LF] = GO(DATA)}},
    [DATA_CR] = {REFUSE_CHUNK_END, NOTHING, {[C_CR] = GO(DATA_LF)}},
    [DATA_LF] = {REFUSE_CHUNK_END, NOTHING, {[C_LF] = GO(SIZE_FIRST)}},
    [LINE_FIRST] = {REFUSE_FIELD_NAME, NAME_BYTE, {TOKENS(NAME), [C_CR] = GO(LAST_LF)}},
    [NAME] = {REFUSE_FIELD_NAME, NAME_BYTE, {TOKENS(NAME), [C_COLON] = GO(VALUE)}},
    [VALUE] = {REFUSE_CONTROL,
               NOTHING,
               {QUOTABLE(VALUE), [C_BACKSLASH] = GO(VALUE), [C_QUOTE] = GO(VALUE),
                [C_CR] = GO(VALUE_LF)}},
    [VALUE_LF] = {REFUSE_BARE_CR, NOTHING, {[C_LF] = GO(LINE_FIRST)}},
    [LAST_LF] = {REFUSE_BARE_CR, NOTHING, {[C_LF] = GO(ENDED)}},
};

static enum byte_class class_of(char c)
{
    switch (c) {
    case '\r': return C_CR;
    case '\n': return C_LF;
    case ' ':
    case '\t': return C_BLANK;
    case ';': return C_SEMICOLON;
    case '=': return C_EQUALS;
    case '"': return C_QUOTE;
    case '\\': return C_BACKSLASH;
    case ':': return C_COLON;
    default: break;
    }
    if (is_class(c, CLASS_HEX))
        return C_HEX;
    if (is_class(c, CLASS_TOKEN))
        return C_TOKEN;
    return is_class(c, CLASS_VALUE) ? C_TEXT : C_OTHER;
}

/* The reason for a byte that has no place in a state. */
static enum http1_refuse misplaced(enum state s, char c)
{
    bool fields = s >= LINE_FIRST;
    if (s == DATA_CR || s == DATA_LF)
        return REFUSE_CHUNK_END;
    if (rows[s].refuse == REFUSE_BARE_CR)
        return REFUSE_BARE_CR;
    if (c == '\n')
        return REFUSE_BARE_LF;
    if (fields && c == 0)
        return REFUSE_NUL;
    if (fields && is_blank(c))
        return s == LINE_FIRST ? REFUSE_OBS_FOLD : REFUSE_COLON_SPACE;
    return rows[s].refuse;
}

static enum http1_refuse size_digit(struct http_chunked *c, char byte)
{
    unsigned digit = byte <= '9' ? (unsigned)byte - '0' : ((unsigned)byte | 0x20) - 'a' + 10;
    if (c->line > HTTP_CHUNK_DIGITS || c->left > INT64_MAX >> 4)
        return REFUSE_CHUNK_OVERFLOW;
    c->left = c->left << 4 | digit;
    return REFUSE_NONE;
}

/* Only as much of a name is kept as tells the refused ones: a longer one is none of them. */
static enum http1_refuse name_byte(struct http_chunked *c, char byte)
{
    if (byte == ':') {
        struct str name = {c->name, c->name_len};
        return http1_trailer_allowed(name) ? REFUSE_NONE : REFUSE_TRAILER_NAME;
    }
    if (c->name_len < sizeof c->name)
        c->name[c->name_len++] = byte >= 'A' && byte <= 'Z' ? (char)(byte | 0x20) : byte;
    return REFUSE_NONE;
}

/* Enters a state that begins a line. */
static void begin_line(struct http_chunked *c, enum state s)
{
    c->state = (uint8_t)s;
    c->line = 0;
    c->name_len = 0;
}

static enum http1_refuse bounded(struct http_chunked *c, enum state s)
{
    if (s <= SIZE_LF)
        return ++c->line > HTTP_CHUNK_LINE ? REFUSE_CHUNK_LINE : REFUSE_NONE;
    if (s >= LINE_FIRST)
        return ++c->trailers > HTTP_TRAILER_BYTES ? REFUSE_TRAILER_SIZE : REFUSE_NONE;
    return REFUSE_NONE;
}

/* One byte outside the payload. */
static enum http1_refuse one_byte(struct http_chunked *c, char byte)
{
    enum state s = (enum state)c->state;
    enum http1_refuse r = bounded(c, s);
    if (r)
        return r;
    enum byte_class k = class_of(byte);
    if (!rows[s].next[k])
        return misplaced(s, byte);
    enum state next = (enum state)(rows[s].next[k] - 1);
    c->state = (uint8_t)next;
    switch ((enum action)rows[s].action) {
    case DIGIT: return k == C_HEX ? size_digit(c, byte) : REFUSE_NONE;
    case NAME_BYTE: return next == LAST_LF ? REFUSE_NONE : name_byte(c, byte);
    case SIZE_DONE: begin_line(c, c->left ? DATA : LINE_FIRST); return REFUSE_NONE;
    case NOTHING: break;
    }
    if (next == SIZE_FIRST || next == LINE_FIRST)
        begin_line(c, next);
    return REFUSE_NONE;
}

static struct str payload(struct http_chunked *c, const char *p, size_t n)
{
    size_t run = c->left < n ? (size_t)c->left : n;
    c->left -= run;
    if (c->left == 0)
        c->state = DATA_CR;
    return (struct str){p, run};
}

int http_chunked_step(struct http_chunked *c, const char *p, size_t n, size_t *used,
                      struct str *data, const struct http_refusal **why)
{
    *data = (struct str){p, 0};
    *used = 0;
    for (size_t i = 0; i < n && c->state != ENDED && c->state != FAILED; *used = i) {
        if (c->state == DATA) {
            if (data->n)
                return HTTP_MORE; /* one run a call */
            *data = payload(c, p + i, n - i);
            i += data->n;
            continue;
        }
        enum http1_refuse r = one_byte(c, p[i]);
        if (r) {
            c->state = FAILED;
            c->refusal = (uint8_t)r;
            break;
        }
        i++;
    }
    if (c->state == FAILED)
        return http1_refused((enum http1_refuse)c->refusal, why);
    return c->state == ENDED ? HTTP_DONE : HTTP_MORE;
}
