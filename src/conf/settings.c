#include "conf/settings.h"

#include <stdio.h>

#include "conf/choices.h"
#include "conf/scalar.h"
#include "conf/words.h"
#include "view/log_format.h"

enum { RANGE_MAX = 192 };

const char *settings_takes(struct conf *c, const struct setting *s)
{
    char range[RANGE_MAX];
    schema_range(s, range, sizeof range);
    return conf_text(c, "%s takes %s", s->key, range);
}

void settings_wrong(struct conf *c, const struct setting *s, const struct value *v, const char *why)
{
    conf_complain(c, &v->place, settings_takes(c, s), "'" STR_FMT "' %s", STR_ARG(conf_shown(v)),
                  why);
}

const char *settings_did_you_mean(struct conf *c, const struct suggest *g)
{
    return conf_text(c, "did you mean '" STR_FMT "'?", STR_ARG(g->name[0]));
}

static void store(const struct setting *s, void *target, uint64_t number)
{
    char *field = (char *)target + s->offset;
    if (s->bytes == sizeof(uint64_t)) {
        memcpy(field, &number, sizeof number);
    } else if (s->bytes == sizeof(uint32_t)) {
        uint32_t small = (uint32_t)number;
        CHECK(s->max <= UINT32_MAX);
        memcpy(field, &small, sizeof small);
    } else {
        uint16_t code = (uint16_t)number;
        CHECK(s->bytes == sizeof code && s->max <= UINT16_MAX);
        memcpy(field, &code, sizeof code);
    }
}

/* The first unit that makes a valid value of these digits; NULL when none does. */
static const char *fitting_unit(const struct setting *s, struct str digits)
{
    static const struct {
        const char *unit;
        uint64_t factor;
    } known[] = {{"s", 1000000000}, {"ms", 1000000}, {"m", 60000000000}};
    uint64_t n;
    if (s->kind == KIND_SHARE)
        return str_u64(digits, 100, &n) ? "%" : NULL;
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (str_u64(digits, UINT64_MAX / known[i].factor, &n) && n * known[i].factor >= s->min &&
            n * known[i].factor <= s->max)
            return known[i].unit;
    return NULL;
}

/* A number whose unit is missing or unknown. */
static void bad_unit(struct conf *c, const struct setting *s, const struct value *v)
{
    bool bare = v->text.n && v->text.p[v->text.n - 1] >= '0' && v->text.p[v->text.n - 1] <= '9';
    const char *fit = bare && !v->secret ? fitting_unit(s, v->text) : NULL;
    const char *hint = s->kind == KIND_DURATION ? "units of time are us, ms, s, m, h and d"
                       : s->kind == KIND_SIZE   ? "units of size are k, m, g and t"
                                                : settings_takes(c, s);
    if (fit)
        hint = conf_text(c, "did you mean '" STR_FMT "%s'?", STR_ARG(conf_shown(v)), fit);
    conf_complain(c, &v->place, hint, "'" STR_FMT "' has %s", STR_ARG(conf_shown(v)),
                  bare ? "no unit" : "an unknown unit");
}

static void set_number(struct conf *c, const struct setting *s, const struct value *v, void *target)
{
    uint64_t number = 0;
    enum scalar_result r = SCALAR_SYNTAX;
    const char *what = "is not a number";
    switch ((enum kind)s->kind) {
    case KIND_COUNT: r = scalar_count(v->text, &number); break;
    case KIND_DURATION:
        r = scalar_duration(v->text, &number);
        what = "is not a duration";
        break;
    case KIND_SIZE:
        r = scalar_size(v->text, &number);
        what = "is not a size";
        break;
    case KIND_SHARE:
        r = scalar_share(v->text, &number);
        what = "is not a percentage";
        break;
    default: UNREACHABLE();
    }
    if (r == SCALAR_SYNTAX)
        settings_wrong(c, s, v, what);
    else if (r == SCALAR_UNIT)
        bad_unit(c, s, v);
    else if (r == SCALAR_HUGE || number < s->min || number > s->max)
        settings_wrong(c, s, v, "is out of range");
    else
        store(s, target, number);
}

bool settings_name_valid(struct str name)
{
    if (name.n == 0 || name.n > 63)
        return false;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '.' && c != '_' && c != '-')
            return false;
    }
    return true;
}

/* No blanks and nothing outside visible ASCII: what a request line and a Host field take. */
static bool is_visible(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= 0x20 || s.p[i] >= 0x7f)
            return false;
    return s.n > 0;
}

static bool text_valid(const struct setting *s, struct str text)
{
    switch ((enum kind)s->kind) {
    case KIND_TARGET: return is_visible(text) && text.p[0] == '/';
    case KIND_HOST: return is_visible(text) && !memchr(text.p, '/', text.n);
    case KIND_NAME:
    case KIND_LABEL: return settings_name_valid(text);
    default: return true;
    }
}

static void bad_text(struct conf *c, const struct setting *s, const struct value *v)
{
    if (s->kind == KIND_TARGET && is_visible(v->text) && !v->secret)
        conf_complain(c, &v->place,
                      conf_text(c, "did you mean '/" STR_FMT "'?", STR_ARG(conf_shown(v))),
                      "'" STR_FMT "' is not a path", STR_ARG(conf_shown(v)));
    else
        settings_wrong(c, s, v, "cannot be used here");
}

static void set_text(struct conf *c, const struct setting *s, const struct value *v, void *target)
{
    if (!text_valid(s, v->text)) {
        bad_text(c, s, v);
        return;
    }
    if (s->kind == KIND_NAME && v->secret) { /* it would show everywhere */
        conf_complain(c, &v->place, "", "a name cannot be a reference");
        return;
    }
    struct str copy = arena_str(&c->view->arena, v->text);
    if (copy.p)
        memcpy((char *)target + s->offset, &copy, sizeof copy);
    else
        c->nomem = true;
}

static void set_form(struct conf *c, const struct setting *s, const struct value *v, void *target)
{
    struct log_format format;
    struct err e;
    struct str copy = arena_str(&c->view->arena, v->text);
    if (!copy.p)
        c->nomem = true;
    else if (v->secret) /* every line would show it */
        conf_complain(c, &v->place, "", "a form cannot be a reference");
    else if (log_format_compile(v->text, &format, &e))
        conf_complain(c, &v->place, settings_takes(c, s), "%s cannot be used: %s", s->key, e.text);
    else
        memcpy((char *)target + s->offset, &copy, sizeof copy);
}

static void set_status(struct conf *c, const struct setting *s, const struct value *v,
                       struct view_check *check)
{
    uint64_t low, high;
    const char *dash = v->text.n ? memchr(v->text.p, '-', v->text.n) : NULL;
    struct str first = v->text, last = v->text;
    if (dash) {
        first.n = (size_t)(dash - v->text.p);
        last = (struct str){dash + 1, v->text.n - first.n - 1};
    }
    if (!str_u64(first, UINT16_MAX, &low) || !str_u64(last, UINT16_MAX, &high)) {
        settings_wrong(c, s, v, "is not a range of status codes");
    } else if (low < 100 || high > 599 || low > high) {
        conf_complain(c, &v->place, "codes are 100 to 599, the lower one first",
                      "'" STR_FMT "' is out of range", STR_ARG(conf_shown(v)));
    } else {
        check->status_min = (uint16_t)low;
        check->status_max = (uint16_t)high;
    }
}

static void set_value(struct conf *c, const struct setting *s, const struct value *v, void *target)
{
    switch ((enum kind)s->kind) {
    case KIND_COUNT:
    case KIND_DURATION:
    case KIND_SIZE:
    case KIND_SHARE: set_number(c, s, v, target); return;
    case KIND_TEXT:
    case KIND_TARGET:
    case KIND_HOST:
    case KIND_LABEL:
    case KIND_NAME: set_text(c, s, v, target); return;
    case KIND_STATUS: set_status(c, s, v, target); return;
    case KIND_FORM: set_form(c, s, v, target); return;
    case KIND_RETRY_ON: choices_retry_on(c, s, v, target); return;
    case KIND_BALANCE: choices_balance(c, s, v, target); return;
    case KIND_CHOICE: choices_choice(c, s, v, target); return;
    case KIND_HASH:
    case KIND_PER: choices_hash(c, s, v, target); return;
    case KIND_HOSTS:
    case KIND_PATHS:
    case KIND_METHODS:
    case KIND_HEADERS:
    case KIND_PAIRS: words_list(c, s, v, target); return;
    case KIND_REWRITE:
    case KIND_LOCATION:
    case KIND_COOKIE:
    case KIND_TYPE: words_one(c, s, v, target); return;
    case KIND_FLAG:
    case KIND_LISTEN:
    case KIND_DOOR:
    case KIND_FIELDS:
    case KIND_NAMES:
    case KIND_TO:
    case KIND_SERVICE:
    case KIND_REDIRECT:
    case KIND_FILE:
    case KIND_LOG:
    case KIND_SECRET:
    case KIND_RIGHTS:
    case KIND_DIR:
    case KIND_SERVERS:
    case KIND_NODE:
    case KIND_KEY:
    case KIND_COORDINATOR:
    case KIND_VOTERS:
    case KIND_VIP:
    case KIND_COMMAND:
    case KIND_REDIS:
    case KIND_APART:
    case KIND_OVER:
    case KIND_PACKS:
    case KIND_EVENTS:
    case KINDS: return; /* the caller's */
    }
}

static void set_default(struct conf *c, const struct setting *s, void *target)
{
    struct str text = str_of(s->fallback);
    if (s->kind == KIND_RETRY_ON) {
        ((struct view_retry *)target)->on = RETRY_CONNECT | RETRY_RESET | RETRY_TIMEOUT;
    } else if (text.n && text.p[0] != '(') {
        struct value v = {.kind = VALUE_WORD, .text = text, .raw = text};
        set_value(c, s, &v, target);
    } else if (schema_field(s) == FIELD_TEXT) {
        struct str empty = STR("");
        memcpy((char *)target + s->offset, &empty, sizeof empty);
    }
}

static void *target_of(const struct block *b, size_t i, void *target)
{
    return (char *)target + schema_offset(b, i);
}

/* In words: where a statement stands. */
static const char *inside(struct conf *c, const struct block *b)
{
    return *b->name ? conf_text(c, "in %s", b->name) : "at the top of the file";
}

/* The hint for a name that this block does not know: one nearby, or the block that knows it. */
static const char *unknown_hint(struct conf *c, enum block_id id, const struct node *n)
{
    struct suggest g = suggest_for(n->name);
    const struct block *b = schema_block(id);
    if (c->problems->n == CONF_MAX_PROBLEMS)
        return ""; /* nobody will read it */
    for (size_t i = 0; i < schema_count(b); i++)
        suggest_try(&g, str_of(schema_at(b, i)->key));
    for (int i = BLOCK_TOP + 1; i < BLOCKS; i++)
        if (schema_block((enum block_id)i)->parents >> id & 1)
            suggest_try(&g, str_of(schema_block((enum block_id)i)->name));
    if (g.n && g.distance[0])
        return settings_did_you_mean(c, &g);
    for (int i = BLOCK_TOP; i < BLOCKS; i++) {
        const struct block *other = schema_block((enum block_id)i);
        bool child = schema_child((enum block_id)i, n->name) != BLOCKS;
        if (i == BLOCK_RULES || i == BLOCK_PRIMARY || (!child && !schema_setting(other, n->name)))
            continue; /* what blocks share is theirs */
        if (i == BLOCK_TOP)
            return "it belongs to the top of the file";
        return conf_text(c, "it belongs into %s %s block",
                         strchr("aeiou", *other->name) ? "an" : "a", other->name);
    }
    return g.n ? settings_did_you_mean(c, &g) : "";
}

static void unknown(struct conf *c, enum block_id id, const struct node *n)
{
    conf_complain(c, &n->place, unknown_hint(c, id, n), "unknown %s '" STR_FMT "' %s",
                  n->block ? "block" : "key", STR_ARG(conf_clip(n->name)),
                  inside(c, schema_block(id)));
}

/* "balance random" and "balance { ... }" instead of "balance = random". */
static bool has_value(struct conf *c, const struct setting *s, const struct node *n)
{
    if (n->value)
        return true;
    if (s->kind == KIND_FLAG && !n->args && !n->block)
        return true;
    if (n->block)
        conf_complain(c, &n->place, settings_takes(c, s), "%s is a setting, not a block", s->key);
    else if (n->args && !n->args->next)
        conf_complain(
            c, &n->place,
            conf_text(c, "did you mean '%s = " STR_FMT "'?", s->key, STR_ARG(conf_shown(n->args))),
            "%s needs a '='", s->key);
    else
        conf_complain(c, &n->place, settings_takes(c, s), "%s needs '=' and a value", s->key);
    return false;
}

static void apply_one(struct conf *c, const struct setting *s, const struct node *n, void *target,
                      const struct node **first)
{
    if (!has_value(c, s, n))
        return;
    if (*first && s->kind != KIND_LISTEN && s->kind != KIND_DOOR) {
        conf_complain(c, &n->place, "", "%s is set already (%s)", s->key,
                      conf_where(c, &(*first)->place));
        return;
    }
    if (!*first)
        *first = n;
    if (!n->value || n->value->bad)
        return;
    if (n->value->kind == VALUE_LIST && !schema_takes_list(s))
        conf_complain(c, &n->value->place, settings_takes(c, s), "%s takes one value, not a list",
                      s->key);
    else
        set_value(c, s, n->value, target);
}

void settings_apply(struct conf *c, enum block_id id, const struct node *children, void *target,
                    struct seen *seen)
{
    const struct block *b = schema_block(id);
    CHECK(schema_count(b) <= MAX_SETTINGS);
    *seen = (struct seen){0};
    for (size_t i = 0; i < schema_count(b); i++)
        set_default(c, schema_at(b, i), target_of(b, i, target));
    for (const struct node *n = children; n; n = n->next) {
        size_t i = schema_find(b, n->name);
        if (i != NO_FIELD)
            apply_one(c, schema_at(b, i), n, target_of(b, i, target), &seen->node[i]);
        else if (schema_child(id, n->name) == BLOCKS)
            unknown(c, id, n);
    }
}

const struct node *settings_seen(const struct seen *seen, enum block_id id, const char *key)
{
    size_t i = schema_find(schema_block(id), str_of(key));
    CHECK(i != NO_FIELD);
    return seen->node[i];
}

const struct value *settings_value(const struct seen *seen, enum block_id id, const char *key)
{
    const struct node *n = settings_seen(seen, id, key);
    return n && n->value && !n->value->bad ? n->value : NULL;
}

bool settings_flag(struct conf *c, const struct node *n)
{
    static const char *const yes[] = {"yes", "on", "true"}, *const no[] = {"no", "off", "false"};
    if (!n)
        return false;
    if (!n->value)
        return true;
    if (n->value->bad || n->value->kind == VALUE_LIST)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        if (str_eq(n->value->text, str_of(yes[i])))
            return true;
        if (str_eq(n->value->text, str_of(no[i])))
            return false;
    }
    conf_complain(c, &n->value->place, "write yes or no", "'" STR_FMT "' is neither yes nor no",
                  STR_ARG(conf_shown(n->value)));
    return false;
}

void settings_form(struct conf *c, const struct node *n, const struct block *b)
{
    if (!n->block)
        conf_complain(c, &n->place, conf_text(c, "write '%s { ... }'", b->name), "%s is a block",
                      b->name);
    else if (n->args)
        conf_complain(c, &n->args->place, "", "%s takes no argument", b->name);
}

const struct node *settings_block(struct conf *c, const struct node *parent, enum block_id id)
{
    const struct block *b = schema_block(id);
    const struct node *first = NULL;
    for (const struct node *n = parent->children; n; n = n->next) {
        if (n->name.n == 0 || n->name.p[0] != b->name[0] || !str_eq(n->name, str_of(b->name)))
            continue;
        if (first) {
            conf_complain(c, &n->place, "", "a second %s block (the first is at %s)", b->name,
                          conf_where(c, &first->place));
            continue;
        }
        first = n;
        if (id == BLOCK_CHECK && n->value)
            continue;
        settings_form(c, n, b);
    }
    return first;
}
