/* lex: characters to tokens, one at a time. Inside this room only. Pure; no memory. */
#ifndef HF_CONF_LEX_H
#define HF_CONF_LEX_H

#include "base/base.h"

enum token_kind {
    TOKEN_END,
    TOKEN_LINE, /* the end of a line */
    TOKEN_SEMICOLON,
    TOKEN_WORD,   /* raw is the word */
    TOKEN_STRING, /* raw is what is between the quotes */
    TOKEN_OPEN,
    TOKEN_CLOSE,
    TOKEN_EQUALS,
    TOKEN_COMMA,
    TOKEN_UNTERMINATED, /* a string without its closing quote on its line */
};

struct token {
    enum token_kind kind;
    struct str raw;
    uint32_t at, length; /* in the source, quotes included */
};

struct lexer {
    struct str text;
    uint32_t at;
};

/* Where a '=' ends a word, and where it is part of one: "a=b" is a setting, "a = /x?y=z" has one
 * value. */
enum lex_mode { LEX_NAME, LEX_VALUE };

struct token lex_next(struct lexer *l, enum lex_mode mode);

#endif
