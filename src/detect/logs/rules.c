#include "detect/logs/rules.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "detect/logs/needles.h"

enum { PARENTHESES_MOST = 64 };

struct rule {
    struct logs_rule told;
    pcre2_code *match, *except;
};

struct rules {
    struct rule *all;
    uint32_t n;
    bool fast;
    uint64_t given_up;
    struct needles *needles;
    pcre2_general_context *memory;
    pcre2_compile_context *compiling;
    pcre2_match_context *matching;
    pcre2_match_data *data;
};

static void *take(PCRE2_SIZE n, void *context)
{
    return mem_alloc(n);
}

static void give(void *p, void *context)
{
    mem_free(p);
}

void rules_free(struct rules *r)
{
    if (!r)
        return;
    for (uint32_t i = 0; i < r->n; i++) {
        pcre2_code_free(r->all[i].match);
        pcre2_code_free(r->all[i].except);
    }
    mem_free(r->all);
    needles_free(r->needles);
    pcre2_match_data_free(r->data);
    pcre2_match_context_free(r->matching);
    pcre2_compile_context_free(r->compiling);
    pcre2_general_context_free(r->memory);
    mem_free(r);
}

static bool contexts(struct rules *r)
{
    r->memory = pcre2_general_context_create(take, give, NULL);
    if (!r->memory)
        return false;
    r->compiling = pcre2_compile_context_create(r->memory);
    r->matching = pcre2_match_context_create(r->memory);
    r->data = pcre2_match_data_create(1, r->memory);
    if (!r->compiling || !r->matching || !r->data)
        return false;
    pcre2_set_max_pattern_length(r->compiling, RULES_PATTERN_MOST);
    pcre2_set_parens_nest_limit(r->compiling, PARENTHESES_MOST);
    pcre2_set_match_limit(r->matching, RULES_STEPS);
    pcre2_set_depth_limit(r->matching, RULES_STEPS);
    pcre2_set_heap_limit(r->matching, RULES_HEAP_KIB);
    return true;
}

static int wrong(const char *pattern, int code, PCRE2_SIZE at, struct err *e)
{
    PCRE2_UCHAR said[160];
    if (pcre2_get_error_message(code, said, sizeof said) < 0)
        said[0] = 0;
    return err_set(e, code == PCRE2_ERROR_HEAP_FAILED ? ERR_NOMEM : ERR_INVAL,
                   "pattern \"%.60s\", byte %zu: %s", pattern, (size_t)at, (const char *)said);
}

static int compile(struct rules *r, const char *pattern, pcre2_code **out, struct err *e)
{
    int code;
    PCRE2_SIZE at;
    *out = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                         PCRE2_NEVER_BACKSLASH_C | PCRE2_NEVER_UTF | PCRE2_NEVER_UCP, &code, &at,
                         r->compiling);
    if (!*out)
        return wrong(pattern, code, at, e);
    if (pcre2_jit_compile(*out, PCRE2_JIT_COMPLETE) != 0)
        r->fast = false;
    return 0;
}

static int check(const struct logs_rule *rule, struct err *e)
{
    if (!*rule->match)
        return err_set(e, ERR_INVAL, "rule %s: an empty pattern matches every line", rule->name);
    if (rule->over < 1 || rule->over > RULES_OVER_MOST || rule->window < WINDOW_PARTS)
        return err_set(e, ERR_INVAL, "rule %s: over is 1 to %d lines in some time", rule->name,
                       RULES_OVER_MOST);
    return 0;
}

static int add(struct rules *r, const struct logs_rule *told, struct err *e)
{
    struct rule *rule = &r->all[r->n];
    if (check(told, e))
        return e->code;
    rule->told = *told;
    rule->told.match = rule->told.except = NULL;
    r->n++; /* freed with the set from here on */
    if (compile(r, told->match, &rule->match, e) ||
        (told->except && compile(r, told->except, &rule->except, e)))
        return err_wrap(e, "rule %s", told->name);
    struct literals l = literals_of(str_of(told->match));
    return needles_add(r->needles, r->n - 1, &l) ? 0 : err_set(e, ERR_NOMEM, "no memory for rules");
}

static int build(struct rules *r, const struct logs_rule *rules, uint32_t n, struct err *e)
{
    r->all = mem_zero(MAX(n, 1), sizeof *r->all);
    r->needles = needles_new();
    r->fast = true;
    if (!r->all || !r->needles || !contexts(r))
        return err_set(e, ERR_NOMEM, "no memory for %u rules", n);
    for (uint32_t i = 0; i < n; i++)
        if (add(r, &rules[i], e))
            return e->code;
    return needles_ready(r->needles) ? 0 : err_set(e, ERR_NOMEM, "no memory for rules");
}

struct rules *rules_new(const struct logs_rule *rules, uint32_t n, struct err *e)
{
    struct err own;
    e = e ? e : &own;
    if (n > RULES_MOST) {
        err_set(e, ERR_LIMIT, "%u rules are too many: at most %d", n, RULES_MOST);
        return NULL;
    }
    struct rules *r = mem_zero(1, sizeof *r);
    if (!r) {
        err_set(e, ERR_NOMEM, "no memory for rules");
        return NULL;
    }
    if (build(r, rules, n, e)) {
        rules_free(r);
        return NULL;
    }
    return r;
}

uint32_t rules_n(const struct rules *r)
{
    return r->n;
}

const struct logs_rule *rules_get(const struct rules *r, uint32_t i)
{
    return &r->all[i].told;
}

uint64_t rules_given_up(const struct rules *r)
{
    return r->given_up;
}

bool rules_fast(const struct rules *r)
{
    return r->fast;
}

static bool matches(struct rules *r, const pcre2_code *code, struct str line)
{
    PCRE2_SPTR p = line.n ? (PCRE2_SPTR)line.p : (PCRE2_SPTR) "";
    int n = pcre2_match(code, p, line.n, 0, 0, r->data, r->matching);
    if (n < 0 && n != PCRE2_ERROR_NOMATCH)
        r->given_up++;
    return n >= 0;
}

bool rules_match_one(struct rules *r, uint32_t rule, struct str line)
{
    const struct rule *one = &r->all[rule];
    return matches(r, one->match, line) && !(one->except && matches(r, one->except, line));
}

void rules_match(struct rules *r, struct str line, void (*matched)(void *context, uint32_t rule),
                 void *context)
{
    struct owners may;
    if (!needles_find(r->needles, line, &may))
        return;
    for (uint32_t i = 0; i < ARRAY_LEN(may.bits); i++)
        for (uint64_t b = may.bits[i]; b; b &= b - 1) {
            uint32_t rule = i * 64 + (uint32_t)__builtin_ctzll(b);
            if (rules_match_one(r, rule, line))
                matched(context, rule);
        }
}
