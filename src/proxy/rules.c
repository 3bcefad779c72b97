#include "proxy/rules.h"

static bool has_placeholder(struct str s)
{
    return s.n && memchr(s.p, '{', s.n);
}

static int compile(const struct view_edit *from, uint32_t n, struct http_edits *to, bool *expand,
                   struct err *e)
{
    static const uint8_t ops[] = {
        [EDIT_REMOVE] = HTTP_EDIT_REMOVE, [EDIT_SET] = HTTP_EDIT_SET, [EDIT_ADD] = HTTP_EDIT_ADD};
    struct http_edit *list = n ? mem_zero(n, sizeof *list) : NULL;
    if (n && !list)
        return err_set(e, ERR_NOMEM, "no memory for header rules");
    *to = (struct http_edits){list, n};
    for (uint32_t i = 0; i < n; i++) {
        CHECK(from[i].op < ARRAY_LEN(ops));
        bool later = has_placeholder(from[i].value); /* its value is looked at when it is known */
        list[i] =
            (struct http_edit){ops[from[i].op], from[i].name, later ? STR("x") : from[i].value};
        const char *wrong = http_edit_wrong(&list[i]);
        if (wrong)
            return err_set(e, ERR_PROTO, "header " STR_FMT ": %s", STR_ARG(from[i].name), wrong);
        list[i].value = from[i].value;
        *expand |= later;
    }
    return 0;
}

int rules_open(struct rules *r, const struct view_rules *conf, struct err *e)
{
    *r = (struct rules){.conf = conf};
    int rc = compile(conf->request, conf->n_request, &r->request, &r->expand_request, e);
    if (!rc)
        rc = compile(conf->response, conf->n_response, &r->response, &r->expand_response, e);
    if (rc)
        rules_close(r);
    return rc;
}

static void move_list(const struct http_edits *edits, const struct view_edit *from, uint32_t n)
{
    struct http_edit *list = (struct http_edit *)(uintptr_t)edits->list; /* our own */
    CHECK(edits->n == n);
    for (uint32_t i = 0; i < n; i++) {
        list[i].name = from[i].name;
        list[i].value = from[i].value;
    }
}

void rules_move(struct rules *r, const struct view_rules *conf)
{
    move_list(&r->request, conf->request, conf->n_request);
    move_list(&r->response, conf->response, conf->n_response);
    r->conf = conf;
}

static void close_list(struct http_edits *e)
{
    mem_free((void *)(uintptr_t)e->list);
    *e = (struct http_edits){0};
}

void rules_close(struct rules *r)
{
    close_list(&r->request);
    close_list(&r->response);
}

/* A copy of the edit, its placeholders filled in: the exchange may outlive the view that it came
 * from. False: memory is out. */
static bool fill(struct http_edit *e, const struct route_values *v, struct arena *arena)
{
    struct buf text = {0};
    if (!has_placeholder(e->value)) {
        e->name = arena_str(arena, e->name);
        e->value = e->value.n ? arena_str(arena, e->value) : STR("");
        return e->name.p && e->value.p;
    }
    route_expand(e->value, v, &text);
    struct str value = str_trim(text.n ? buf_str(&text) : STR(""));
    e->value = value.n ? arena_str(arena, value) : STR("");
    e->name = arena_str(arena, e->name);
    bool ok = !text.failed && e->value.p && e->name.p;
    buf_free(&text);
    return ok;
}

static bool expand(const struct http_edits *from, const struct route_values *v, struct arena *arena,
                   struct http_edits *out)
{
    uint32_t n = 0;
    struct http_edit *list = arena_array(arena, from->n, sizeof *list);
    if (!list)
        return false;
    for (uint32_t i = 0; i < from->n; i++) {
        list[n] = from->list[i];
        if (!fill(&list[n], v, arena))
            return false;
        n += http_edit_wrong(&list[n]) == NULL; /* the client's bytes made it so: left out */
    }
    *out = (struct http_edits){list, n};
    return true;
}

bool rules_request(const struct rules *r, const struct route_values *v, struct arena *arena,
                   struct http_edits *out)
{
    *out = r->request;
    return !r->expand_request || expand(&r->request, v, arena, out);
}

bool rules_response(const struct rules *r, const struct route_values *v, struct arena *arena,
                    struct http_edits *out)
{
    *out = r->response;
    return !r->expand_response || expand(&r->response, v, arena, out);
}
