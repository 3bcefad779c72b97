#include "wire/http1_edit.h"

#include "wire/http1_class.h"
#include "wire/http1_field.h"
#include "wire/http1_inside.h"

/* What frames, or ends here: written from the parsed facts alone. */
enum {
    NEVER = FIELD_BIT(HTTP_FIELD_CONNECTION) | FIELD_BIT(HTTP_FIELD_KEEP_ALIVE) |
            FIELD_BIT(HTTP_FIELD_PROXY_CONNECTION) | FIELD_BIT(HTTP_FIELD_TRANSFER_ENCODING) |
            FIELD_BIT(HTTP_FIELD_CONTENT_LENGTH) | FIELD_BIT(HTTP_FIELD_TE) |
            FIELD_BIT(HTTP_FIELD_TRAILER) | FIELD_BIT(HTTP_FIELD_UPGRADE) |
            FIELD_BIT(HTTP_FIELD_EXPECT) | FIELD_BIT(HTTP_FIELD_MAX_FORWARDS) |
            FIELD_BIT(HTTP_FIELD_PROXY_AUTHORIZATION) | FIELD_BIT(HTTP_FIELD_PROXY_AUTHENTICATE),
};

static bool value_valid(struct str v)
{
    for (size_t i = 0; i < v.n; i++)
        if (!is_class(v.p[i], CLASS_VALUE))
            return false;
    return v.n == 0 || (!is_blank(v.p[0]) && !is_blank(v.p[v.n - 1]));
}

static bool is_proxy_name(struct str name)
{
    return name.n > 6 && str_eq_nocase((struct str){name.p, 6}, STR("proxy-"));
}

const char *http_edit_wrong(const struct http_edit *e)
{
    if (!http1_is_token(e->name))
        return "A field's name is made of letters, digits and !#$%&'*+-.^_`|~.";
    enum http_field field = http1_field_of(e->name);
    if ((NEVER & FIELD_BIT(field)) || is_proxy_name(e->name))
        return "This field frames the message or ends at the next hop: it is not for editing.";
    if (field == HTTP_FIELD_HOST && e->op != HTTP_EDIT_SET)
        return "A request has one Host: it can be set, not added to or removed.";
    if (e->op == HTTP_EDIT_REMOVE)
        return NULL;
    if (!value_valid(e->value))
        return "A field's value holds no control characters, and no blanks at its ends.";
    if (field == HTTP_FIELD_HOST && !http1_authority_valid(e->value, false))
        return "Host is a name or an address, with a port or without.";
    return NULL;
}

bool http_path_valid(struct str path)
{
    unsigned allowed = CLASS_PATH;
    for (size_t i = 0; i < path.n; i++) {
        if (path.p[i] == '?')
            allowed = CLASS_QUERY;
        if (!is_class(path.p[i], allowed))
            return false;
    }
    return path.n > 0 && path.p[0] == '/';
}

static void join_one(struct http1_edit_set *e, const struct http_edits *list)
{
    CHECK(e->n < HTTP1_EDIT_SETS);
    e->lists[e->n++] = list;
    for (uint32_t i = 0; i < list->n; i++) {
        const struct http_edit *x = &list->list[i];
        enum http_field field = http1_field_of(x->name);
        if (field == HTTP_FIELD_HOST && x->op == HTTP_EDIT_SET)
            e->host = x->value;
        if (x->op != HTTP_EDIT_ADD)
            e->replaced |= FIELD_BIT(field);
    }
}

void http1_edits_join(struct http1_edit_set *e, const struct http_edits *lists, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (lists[i].n)
            join_one(e, &lists[i]);
    e->others |= e->replaced & FIELD_BIT(HTTP_FIELD_OTHER);
    e->replaced &= ~(NEVER | FIELD_BIT(HTTP_FIELD_OTHER));
}

/* An edit from list `from`, its entry `at`, on sets or removes the name. */
static bool replaced_from(const struct http1_edit_set *e, uint32_t from, uint32_t at,
                          struct str name)
{
    for (uint32_t k = from; k < e->n; k++, at = 0)
        for (uint32_t i = at; i < e->lists[k]->n; i++) {
            const struct http_edit *x = &e->lists[k]->list[i];
            if (x->op != HTTP_EDIT_ADD && x->name.n == name.n && str_eq_nocase(x->name, name))
                return true;
        }
    return false;
}

bool http1_edited(const struct http1_edit_set *e, const struct http_header *x)
{
    return x->field == HTTP_FIELD_OTHER && e->others && replaced_from(e, 0, 0, x->name);
}

static void put_edit(struct out *o, const struct http_edit *x)
{
    put_view(o, x->name);
    PUT(o, ": ");
    put_view(o, x->value);
    PUT(o, "\r\n");
}

/* Host is written where it belongs, and what may not be edited not at all, whatever the caller let
 * through. */
void http1_put_edits(struct out *o, const struct http1_edit_set *e)
{
    for (uint32_t k = 0; k < e->n; k++)
        for (uint32_t i = 0; i < e->lists[k]->n; i++) {
            const struct http_edit *x = &e->lists[k]->list[i];
            uint32_t kind = FIELD_BIT(http1_field_of(x->name));
            if (x->op == HTTP_EDIT_REMOVE || (kind & (NEVER | FIELD_BIT(HTTP_FIELD_HOST))))
                continue;
            if (!replaced_from(e, k, i + 1, x->name))
                put_edit(o, x);
        }
}
