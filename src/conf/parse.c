/* Statements from tokens:
 *
 *   file      = { statement }
 *   statement = name "=" value | name { argument } [ "{" { statement } "}" ] | "include" argument
 *   value     = word | string | "{" [ item { "," item } ] "}"
 *
 * A statement with '=' ends with its value, so that several stand on one line; one without ends
 * with its line, a ';' or its block. Line ends inside lists, and before a block's '{', mean
 * nothing. Recursive descent; the depth is bounded, and so is everything that is made. After a
 * mistake it goes on at the next place that can be a statement. */
#include "conf/lex.h"
#include "conf/tree.h"

#include <stdlib.h>

struct parser {
    struct conf *c;
    struct lexer lexer;
    struct token token; /* the current one, not used yet */
    uint32_t file;
    uint32_t depth;
    bool damaged; /* something of the current block was lost */
};

static void advance(struct parser *p, enum lex_mode mode)
{
    p->token = lex_next(&p->lexer, mode);
}

static struct place place_of(const struct parser *p)
{
    return (struct place){p->file, p->token.at, p->token.length};
}

static bool is(const struct parser *p, enum token_kind kind)
{
    return p->token.kind == kind;
}

/* Ends the file early when memory or a bound is out. */
static void stop(struct parser *p)
{
    p->lexer.at = (uint32_t)p->lexer.text.n;
    p->token = (struct token){TOKEN_END, {"", 0}, p->lexer.at, 0};
    p->damaged = true;
}

static void *make(struct parser *p, size_t size)
{
    struct conf *c = p->c;
    if (c->statements == CONF_MAX_STATEMENTS) {
        struct place at = place_of(p);
        if (!c->too_large)
            conf_complain(c, &at, "", "more than %d statements", CONF_MAX_STATEMENTS);
        c->too_large = true;
        stop(p);
        return NULL;
    }
    c->statements++;
    void *made = arena_alloc(&c->arena, size);
    if (!made) {
        c->nomem = true;
        stop(p);
    }
    return made;
}

/* From a '{' past its '}', whatever is between. */
static void skip_block(struct parser *p)
{
    uint32_t open = 0;
    do {
        open += is(p, TOKEN_OPEN);
        open -= is(p, TOKEN_CLOSE);
        advance(p, LEX_NAME);
    } while (open && !is(p, TOKEN_END));
    p->damaged = true;
}

static void unterminated(struct parser *p)
{
    struct place at = place_of(p);
    conf_complain(p->c, &at, "", "this string is not closed on its line");
    p->damaged = true;
}

/* A value from the current word or string. named: see conf_resolve. */
static struct value *take_scalar(struct parser *p, enum lex_mode mode, bool named)
{
    struct value *v = make(p, sizeof *v);
    if (!v)
        return NULL;
    v->kind = is(p, TOKEN_STRING) ? VALUE_STRING : VALUE_WORD;
    v->raw = p->token.raw;
    v->place = place_of(p);
    conf_resolve_or_wait(p->c, v, named);
    advance(p, mode);
    return v;
}

static bool at_scalar(const struct parser *p)
{
    return is(p, TOKEN_WORD) || is(p, TOKEN_STRING);
}

static void skip_lines(struct parser *p)
{
    while (is(p, TOKEN_LINE))
        advance(p, LEX_NAME);
}

/* One step in a list that is not an item: true when the list ends here. */
static bool list_mistake(struct parser *p, const struct place *open, struct str name)
{
    struct place at = place_of(p);
    switch (p->token.kind) {
    case TOKEN_END: conf_complain(p->c, open, "", "this '{' is never closed"); break;
    case TOKEN_EQUALS:
        conf_complain(p->c, &at,
                      conf_text(p->c,
                                "for a block write '" STR_FMT " {'; an item with '=' is quoted",
                                STR_ARG(name)),
                      "'=' inside a list");
        while (!is(p, TOKEN_CLOSE) && !is(p, TOKEN_END))
            advance(p, LEX_NAME);
        if (is(p, TOKEN_CLOSE))
            advance(p, LEX_NAME);
        break;
    case TOKEN_OPEN:
        conf_complain(p->c, &at, "", "a list inside a list");
        skip_block(p);
        return false;
    case TOKEN_UNTERMINATED:
        unterminated(p);
        advance(p, LEX_NAME);
        return false;
    default:
        conf_complain(p->c, &at, "items are separated by ','", "an item of the list is missing");
        advance(p, LEX_NAME);
        return false;
    }
    p->damaged = true;
    return true;
}

/* Behind an item: a comma, a line end, or the end of the list. */
static void list_separator(struct parser *p)
{
    bool line = is(p, TOKEN_LINE);
    skip_lines(p);
    if (is(p, TOKEN_COMMA)) {
        advance(p, LEX_NAME);
    } else if (at_scalar(p) && !line) {
        struct place at = place_of(p);
        conf_complain(p->c, &at, "", "a ',' is missing before this item");
        p->damaged = true;
    }
}

static struct value *parse_list(struct parser *p, struct str name)
{
    struct value *list = make(p, sizeof *list), **tail;
    if (!list)
        return NULL;
    struct place open = place_of(p);
    list->kind = VALUE_LIST;
    list->raw = list->text = STR("{...}");
    list->place = open;
    tail = &list->items;
    advance(p, LEX_NAME);
    for (;;) {
        skip_lines(p);
        if (at_scalar(p)) {
            struct value *item = take_scalar(p, LEX_NAME, false);
            if (!item)
                return NULL;
            *tail = item;
            tail = &item->next;
            list_separator(p);
        } else if (is(p, TOKEN_CLOSE)) {
            advance(p, LEX_NAME);
            return list;
        } else if (list_mistake(p, &open, name)) {
            return NULL;
        }
    }
}

/* Behind '='. NULL after a problem. */
static struct value *parse_value(struct parser *p, const struct place *equals, struct str name)
{
    if (at_scalar(p))
        return take_scalar(p, LEX_NAME, conf_names_file(name));
    if (is(p, TOKEN_OPEN))
        return parse_list(p, name);
    if (is(p, TOKEN_UNTERMINATED)) {
        unterminated(p);
        advance(p, LEX_NAME);
        return NULL;
    }
    conf_complain(p->c, equals,
                  is(p, TOKEN_EQUALS) ? "a value that begins with '=' is written in quotes" : "",
                  "a value is missing after '='");
    p->damaged = true;
    bool again = is(p, TOKEN_EQUALS);
    if (again || is(p, TOKEN_COMMA))
        advance(p, again ? LEX_VALUE : LEX_NAME);
    if (again && at_scalar(p)) /* what was meant */
        advance(p, LEX_NAME);
    return NULL;
}

static struct node *parse_block(struct parser *p, const struct place *open);

static void parse_children(struct parser *p, struct node *n)
{
    struct place open = place_of(p);
    if (p->depth >= CONF_MAX_NESTING) {
        conf_complain(p->c, &open, "", "blocks are nested more than %d deep", CONF_MAX_NESTING);
        skip_block(p);
        return;
    }
    bool outside = p->damaged;
    advance(p, LEX_NAME);
    n->block = true;
    p->damaged = false;
    p->depth++;
    n->children = parse_block(p, &open);
    p->depth--;
    n->damaged = p->damaged;
    p->damaged |= outside;
}

/* A block's '{' may stand on a line of its own. */
static bool block_follows(struct parser *p)
{
    struct lexer lexer = p->lexer;
    struct token token = p->token;
    skip_lines(p);
    if (is(p, TOKEN_OPEN))
        return true;
    p->lexer = lexer;
    p->token = token;
    return false;
}

/* "backend 10.0.0.1:80 weight = 2": the '=' comes after arguments. */
static void stray_equals(struct parser *p, struct node *n)
{
    struct place at = place_of(p);
    conf_complain(p->c, &at,
                  conf_text(p->c, "settings go into braces: '" STR_FMT " ... { name = value }'",
                            STR_ARG(n->name)),
                  "unexpected '='");
    p->damaged = n->damaged = true;
    advance(p, LEX_VALUE);
    if (at_scalar(p))
        advance(p, LEX_NAME);
    else if (is(p, TOKEN_OPEN))
        skip_block(p);
}

static void parse_arguments(struct parser *p, struct node *n)
{
    struct value **tail = &n->args;
    while (at_scalar(p)) {
        struct value *v = take_scalar(p, LEX_NAME, false);
        if (!v)
            return;
        *tail = v;
        tail = &v->next;
    }
    if (is(p, TOKEN_EQUALS))
        stray_equals(p, n);
    else if (is(p, TOKEN_UNTERMINATED)) {
        unterminated(p);
        advance(p, LEX_NAME);
    } else if (block_follows(p))
        parse_children(p, n);
}

static struct node *parse_statement(struct parser *p)
{
    struct node *n = make(p, sizeof *n);
    if (!n)
        return NULL;
    n->name = p->token.raw;
    n->place = place_of(p);
    advance(p, LEX_NAME);
    if (!is(p, TOKEN_EQUALS)) {
        parse_arguments(p, n);
        return n;
    }
    struct place equals = place_of(p);
    advance(p, LEX_VALUE);
    n->value = parse_value(p, &equals, n->name);
    if (n->value && is(p, TOKEN_OPEN)) {
        struct place at = place_of(p);
        bool touches = at.at == n->value->place.at + n->value->place.length;
        conf_complain(p->c, &at,
                      touches ? "a value with braces is written in quotes"
                              : "a block is written without '='",
                      "a block behind the value of '" STR_FMT "'", STR_ARG(n->name));
        skip_block(p);
        if (touches && at_scalar(p)) /* the rest of the value */
            advance(p, LEX_NAME);
    }
    return n->value ? n : NULL;
}

struct found {
    struct conf *c;
    struct place from;
    const char **paths;
    size_t n, cap;
};

static void found_add(void *arg, const char *path)
{
    struct found *f = arg;
    if (f->n == CONF_MAX_FILES)
        return;
    if (f->n == f->cap) {
        size_t cap = f->cap ? f->cap * 2 : 16;
        const char **more = arena_array(&f->c->arena, cap, sizeof *more);
        if (more && f->n)
            memcpy(more, f->paths, f->n * sizeof *more);
        if (more) {
            f->paths = more;
            f->cap = cap;
        }
    }
    const char *copy = arena_cstr(&f->c->arena, str_of(path));
    if (f->n == f->cap || !copy)
        f->c->nomem = true;
    else
        f->paths[f->n++] = copy;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool includes_itself(const struct conf *c, uint32_t file, struct str path)
{
    for (int32_t i = (int32_t)file; i >= 0; i = c->sources[i].from)
        if (str_eq(c->sources[i].path, path))
            return true;
    return false;
}

static void include_file(struct parser *p, struct str path, const struct place *from,
                         struct node ***tail)
{
    struct conf *c = p->c;
    if (includes_itself(c, p->file, path)) {
        conf_complain(c, from, "", STR_FMT " would include itself", STR_ARG(path));
        return;
    }
    if (c->sources[p->file].depth == CONF_MAX_INCLUDES) {
        conf_complain(c, from, "", "files include each other more than %d deep", CONF_MAX_INCLUDES);
        return;
    }
    int file = conf_source_read(c, path, from, NULL);
    if (file < 0) {
        p->damaged = true;
        return;
    }
    **tail = conf_parse(c, (uint32_t)file, p->depth, &p->damaged);
    while (**tail)
        *tail = &(**tail)->next;
}

static void include(struct parser *p, const struct node *n, struct node ***tail)
{
    struct conf *c = p->c;
    struct value *v = n->args;
    if (v)
        conf_resolve_now(c, v);
    if (!v || v->next || n->block || (v->text.n == 0 && !v->bad)) {
        conf_complain(c, &n->place, "write 'include \"conf.d/*.conf\"'",
                      "include takes one file or pattern");
        return;
    }
    if (v->secret) { /* a path shows in problems; what is secret must not */
        conf_complain(c, &v->place, "", "include takes a path, not a reference");
        return;
    }
    struct str path = conf_path_beside(c, p->file, v->text);
    if (v->bad || !path.p) {
        p->damaged = true;
        return;
    }
    if (!strpbrk(path.p, "*?[")) {
        include_file(p, path, &v->place, tail);
        return;
    }
    struct found f = {.c = c, .from = v->place};
    struct err why = {0};
    const struct conf_env *env = conf_env_at(c, &v->place);
    int rc = env->glob(env->self, path.p, found_add, &f, &why);
    if (rc == -ERR_NOMEM)
        c->nomem = true;
    else if (rc)
        conf_complain(c, &v->place, "", "%s", why.text);
    if (f.n)
        qsort(f.paths, f.n, sizeof *f.paths, by_name);
    for (size_t i = 0; i < f.n && !c->nomem && !c->too_large; i++)
        include_file(p, str_of(f.paths[i]), &v->place, tail);
}

/* A token that begins no statement. */
static void block_mistake(struct parser *p)
{
    struct place at = place_of(p);
    switch (p->token.kind) {
    case TOKEN_CLOSE:
        conf_complain(p->c, &at, "", "this '}' closes nothing");
        advance(p, LEX_NAME);
        break;
    case TOKEN_OPEN:
        conf_complain(p->c, &at, "", "this '{' has no name before it");
        skip_block(p);
        break;
    case TOKEN_UNTERMINATED:
        unterminated(p);
        advance(p, LEX_NAME);
        break;
    case TOKEN_STRING:
        conf_complain(p->c, &at, "", "a name is expected here, not a string");
        while (at_scalar(p))
            advance(p, LEX_NAME);
        break;
    case TOKEN_COMMA:
        conf_complain(p->c, &at, "statements are separated by blanks, lines or ';'",
                      "unexpected ','");
        advance(p, LEX_NAME);
        break;
    default:
        conf_complain(p->c, &at, "", "this '=' has no name before it");
        advance(p, LEX_VALUE);
        if (at_scalar(p))
            advance(p, LEX_NAME);
        break;
    }
    p->damaged = true;
}

/* The statements up to '}', which is taken, or up to the end of the file when open is NULL. */
static struct node *parse_block(struct parser *p, const struct place *open)
{
    struct node *first = NULL, **tail = &first;
    for (;;) {
        if (is(p, TOKEN_LINE) || is(p, TOKEN_SEMICOLON)) {
            advance(p, LEX_NAME);
        } else if (is(p, TOKEN_WORD)) {
            struct node *n = parse_statement(p);
            if (n && str_eq(n->name, STR("include"))) {
                include(p, n, &tail);
            } else if (n) {
                *tail = n;
                tail = &n->next;
            }
        } else if (is(p, TOKEN_END)) {
            if (open && !p->c->too_large && !p->c->nomem)
                conf_complain(p->c, open, "", "this '{' is never closed");
            p->damaged |= open != NULL;
            return first;
        } else if (is(p, TOKEN_CLOSE) && open) {
            advance(p, LEX_NAME);
            return first;
        } else {
            block_mistake(p);
        }
    }
}

struct node *conf_parse(struct conf *c, uint32_t file, uint32_t depth, bool *damaged)
{
    struct parser p = {.c = c, .lexer = {c->sources[file].text, 0}, .file = file, .depth = depth};
    if (c->sources[file].unreadable) {
        *damaged = true;
        return NULL;
    }
    advance(&p, LEX_NAME);
    struct node *first = parse_block(&p, NULL);
    *damaged |= p.damaged;
    return first;
}
