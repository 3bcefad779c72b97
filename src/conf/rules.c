/* The rules that a service and a route have alike: changes of header fields, rate limits, copies,
 * second tries. */
#include "conf/builder.h"
#include "conf/field.h"

/* In the order in which they are applied: what is removed may be added again. */
static const struct {
    const char *key;
    uint8_t op;
    bool request;
} edits[] = {
    {"request-remove", EDIT_REMOVE, true}, {"request-set", EDIT_SET, true},
    {"request-add", EDIT_ADD, true},       {"response-remove", EDIT_REMOVE, false},
    {"response-set", EDIT_SET, false},     {"response-add", EDIT_ADD, false},
};

/* What a bucket can hold, in ns. */
#define RATE_APART  1000ull
#define RATE_REFILL (30ull * 24 * 3600 * 1000000000)

/* A name, or "Name: value". False after a problem was reported. */
static bool edit_parts(struct conf *c, const struct value *v, uint8_t op, bool request,
                       struct str *name, struct str *value)
{
    *name = v->text;
    *value = STR("");
    if (op == EDIT_REMOVE)
        return field_may_change(c, v, *name, request, false);
    if (!field_split(v->text, name, value) || !value->n) {
        conf_complain(c, &v->place, "as in \"X-Env: prod\"",
                      "'" STR_FMT "' is not a header field with its value", STR_ARG(conf_shown(v)));
        return false;
    }
    if (!field_may_change(c, v, *name, request, op == EDIT_SET))
        return false;
    if (!field_is_line(*value)) {
        conf_complain(c, &v->place, "", "'" STR_FMT "' has a control character",
                      STR_ARG(conf_shown(v)));
        return false;
    }
    if (!field_template(c, v, *value))
        return false;
    if (!str_eq_nocase(*name, STR("host")) || memchr(value->p, '{', value->n) ||
        field_is_authority(*value))
        return true;
    conf_complain(c, &v->place, "as in \"Host: inner.example:80\"", "'" STR_FMT "' names no host",
                  STR_ARG(conf_shown(v)));
    return false;
}

static bool is_there(const struct view_edit *list, uint32_t n, uint8_t op, struct str name)
{
    for (uint32_t i = 0; i < n; i++)
        if (list[i].op == op && str_eq_nocase(list[i].name, name))
            return true;
    return false;
}

static void add_edit(struct builder *b, const struct value *v, size_t row, struct view_rules *r)
{
    struct str name, value;
    bool request = edits[row].request;
    struct view_edit *list = request ? r->request : r->response;
    uint32_t *n = request ? &r->n_request : &r->n_response;
    if (v->bad || !edit_parts(b->c, v, edits[row].op, request, &name, &value))
        return;
    if (edits[row].op != EDIT_ADD && is_there(list, *n, edits[row].op, name)) {
        conf_complain(b->c, &v->place, "", "'" STR_FMT "' is in %s twice", STR_ARG(conf_shown(v)),
                      edits[row].key);
        return;
    }
    struct view_edit *e = &list[(*n)++];
    *e = (struct view_edit){edits[row].op, arena_str(&b->v->arena, name),
                            arena_str(&b->v->arena, value)};
    b->c->nomem |= !e->name.p || !e->value.p;
}

/* Room for all that the statements name; false when there is none. */
static bool make_room(struct builder *b, enum block_id id, const struct seen *seen, bool request,
                      struct view_rules *r)
{
    const struct node *first = NULL;
    uint32_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(edits); i++) {
        const struct node *k = settings_seen(seen, id, edits[i].key);
        if (!k || edits[i].request != request)
            continue;
        first = k;
        n += build_count_items(k->value);
    }
    if (n > VIEW_MAX_WORDS) {
        conf_complain(b->c, &first->place, "", "more than %d header fields are changed",
                      VIEW_MAX_WORDS);
        return false;
    }
    struct view_edit *list = build_array(b, n, sizeof *list);
    if (request)
        r->request = list;
    else
        r->response = list;
    return list;
}

static void build_edits(struct builder *b, enum block_id id, const struct seen *seen, bool request,
                        struct view_rules *r)
{
    if (!make_room(b, id, seen, request, r))
        return;
    for (size_t i = 0; i < ARRAY_LEN(edits); i++) {
        const struct value *v =
            edits[i].request == request ? settings_value(seen, id, edits[i].key) : NULL;
        if (v && v->kind != VALUE_LIST)
            add_edit(b, v, i, r);
        for (const struct value *k = v ? v->items : NULL; k; k = k->next)
            add_edit(b, k, i, r);
    }
}

static void build_rate(struct builder *b, const struct node *n, struct view_rate *r)
{
    struct seen seen;
    uint32_t errors = b->c->problems->errors;
    settings_form(b->c, n, schema_block(BLOCK_RATE));
    settings_apply(b->c, BLOCK_RATE, n->children, r, &seen);
    if (!settings_seen(&seen, BLOCK_RATE, "requests") && !n->damaged &&
        b->c->problems->errors == errors)
        conf_complain(b->c, &n->place, "add 'requests = 100'",
                      "this rate does not say how many requests");
    if (!settings_seen(&seen, BLOCK_RATE, "burst"))
        r->burst = r->requests;
    if (b->c->problems->errors != errors || !r->requests)
        return;
    uint64_t apart = r->every / r->requests; /* two requests at this rate */
    if (apart < RATE_APART)
        conf_complain(b->c, &n->place, "at most 1000000 a second",
                      "this rate is too high to be counted");
    else if (r->burst > RATE_REFILL / apart)
        conf_complain(b->c, &n->place, "a lower burst, or a shorter time",
                      "this burst takes more than 30 days to be allowed again");
}

static void build_rates(struct builder *b, const struct node *children, struct view_rules *r)
{
    uint32_t n = MIN(build_count(children, "rate"), (uint32_t)VIEW_MAX_RATES);
    r->rates = build_array(b, n, sizeof *r->rates);
    for (const struct node *k = children; k && r->rates; k = k->next) {
        if (!build_is(k, "rate"))
            continue;
        if (r->n_rates == n) {
            conf_complain(b->c, &k->place, "", "more than %d rates", VIEW_MAX_RATES);
            return;
        }
        build_rate(b, k, &r->rates[r->n_rates++]);
    }
}

static void build_mirror(struct builder *b, enum block_id id, const struct seen *seen,
                         const struct view_service *from, struct view_rules *r)
{
    const struct node *mirror = settings_seen(seen, id, "mirror");
    const struct node *share = settings_seen(seen, id, "mirror-share");
    const struct value *v = settings_value(seen, id, "mirror");
    if (!mirror && share)
        conf_complain(b->c, &share->place, "add 'mirror = SERVICE'", "mirror-share without mirror");
    if (!share || !settings_value(seen, id, "mirror-share"))
        r->mirror_permille = 1000;
    if (!v || v->kind == VALUE_LIST)
        r->mirror_permille = 0;
    else
        links_add(b, v, v->text.n, "mirror", from, &r->mirror);
}

static bool is_secret(const struct value *v)
{
    bool secret = v && v->secret;
    for (const struct value *i = v ? v->items : NULL; i; i = i->next)
        secret |= i->secret;
    return secret;
}

void rules_build(struct builder *b, const struct node *n, enum block_id id, const struct seen *seen,
                 const struct view_service *from, struct view_rules *r)
{
    const struct block *block = schema_block(id);
    build_edits(b, id, seen, true, r);
    build_edits(b, id, seen, false, r);
    build_rates(b, n->children, r);
    build_mirror(b, id, seen, from, r);
    for (size_t i = id == BLOCK_ROUTE ? 0 : block->n; i < schema_count(block); i++)
        r->secret |= seen->node[i] && is_secret(seen->node[i]->value);
}
