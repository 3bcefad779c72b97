/* A word is a run of characters that mean nothing else. Blanks, line ends, quotes, # and { } , ;
 * end it, and = where a name is expected; "${" belongs to a word up to its brace, so that
 * references need no quotes. */
#include "conf/lex.h"

enum { REFERENCE_MAX = 256 };

static bool at_reference(const struct lexer *l, uint32_t i)
{
    return l->text.p[i] == '$' && i + 1 < l->text.n && l->text.p[i + 1] == '{';
}

/* Past "${NAME}"; only past the "$" when there is no end within a name's length. */
static uint32_t skip_reference(const struct lexer *l, uint32_t i)
{
    for (uint32_t k = i + 2; k < l->text.n && k < i + REFERENCE_MAX && l->text.p[k] != '\n'; k++)
        if (l->text.p[k] == '}')
            return k + 1;
    return i + 1;
}

static bool ends_word(char c, enum lex_mode mode)
{
    switch (c) {
    case ' ':
    case '\t':
    case '\r':
    case '\n':
    case '"':
    case '#':
    case '{':
    case '}':
    case ',':
    case ';': return true;
    case '=': return mode == LEX_NAME;
    default: return false;
    }
}

static void skip_blanks(struct lexer *l)
{
    while (l->at < l->text.n) {
        char c = l->text.p[l->at];
        if (c == '#')
            while (l->at < l->text.n && l->text.p[l->at] != '\n')
                l->at++;
        else if (c == ' ' || c == '\t' || c == '\r')
            l->at++;
        else
            return;
    }
}

static struct token token_from(struct lexer *l, enum token_kind kind, uint32_t start)
{
    return (struct token){kind, {l->text.p + start, l->at - start}, start, l->at - start};
}

static struct token lex_string(struct lexer *l)
{
    uint32_t start = l->at++;
    while (l->at < l->text.n && l->text.p[l->at] != '\n') {
        char c = l->text.p[l->at++];
        if (c == '\\' && l->at < l->text.n && l->text.p[l->at] != '\n')
            l->at++;
        if (c == '"') {
            struct token t = token_from(l, TOKEN_STRING, start);
            t.raw = (struct str){t.raw.p + 1, t.raw.n - 2};
            return t;
        }
    }
    return token_from(l, TOKEN_UNTERMINATED, start);
}

static struct token lex_word(struct lexer *l, enum lex_mode mode)
{
    uint32_t start = l->at++;
    if (at_reference(l, start))
        l->at = skip_reference(l, start);
    while (l->at < l->text.n && !ends_word(l->text.p[l->at], mode))
        l->at = at_reference(l, l->at) ? skip_reference(l, l->at) : l->at + 1;
    return token_from(l, TOKEN_WORD, start);
}

struct token lex_next(struct lexer *l, enum lex_mode mode)
{
    skip_blanks(l);
    uint32_t start = l->at;
    if (start >= l->text.n)
        return token_from(l, TOKEN_END, start);
    enum token_kind kind;
    switch (l->text.p[start]) {
    case '\n': kind = TOKEN_LINE; break;
    case ';': kind = TOKEN_SEMICOLON; break;
    case '{': kind = TOKEN_OPEN; break;
    case '}': kind = TOKEN_CLOSE; break;
    case '=': kind = TOKEN_EQUALS; break;
    case ',': kind = TOKEN_COMMA; break;
    case '"': return lex_string(l);
    default: return lex_word(l, mode);
    }
    l->at++;
    return token_from(l, kind, start);
}
