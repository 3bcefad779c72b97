/* Texts that holdfast answers with itself: of a route, and of errors. A file is read once, with the
 * configuration, however many use it; a later change of it takes effect with the next reload. */
#include "conf/backends.h"
#include "conf/builder.h"

enum {
    PAGE_BYTES_MAX = 32 * 1024 * 1024
}; /* of all pages, each use counted: they are in the view */

/* By the end of a file's name. */
static const struct {
    const char *end, *type;
} types[] = {
    {".html", "text/html; charset=utf-8"},
    {".htm", "text/html; charset=utf-8"},
    {".json", "application/json"},
    {".xml", "application/xml"},
    {".svg", "image/svg+xml"},
    {".css", "text/css; charset=utf-8"},
};
static const char plain[] = "text/plain; charset=utf-8";

static struct str type_of(struct str path)
{
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        struct str end = str_of(types[i].end);
        if (path.n >= end.n && str_eq((struct str){path.p + path.n - end.n, end.n}, end))
            return str_of(types[i].type);
    }
    return str_of(plain);
}

/* The file's bytes in the view's arena; NULL after a problem. */
static const struct str *read_page(struct builder *b, const struct value *v, struct str path)
{
    struct conf *c = b->c;
    struct err why = {0};
    struct buf bytes = {0};
    struct str *page = arena_alloc(&c->arena, sizeof *page);
    const struct conf_env *env = conf_env_at(c, &v->place);
    int rc = page ? env->read(env->self, path.p, VIEW_MAX_PAGE, &bytes, &why) : -ERR_NOMEM;
    if (rc == 0)
        *page = bytes.n ? arena_str(&b->v->arena, buf_str(&bytes)) : STR("");
    if (rc == -ERR_NOMEM || (rc == 0 && !page->p)) {
        c->nomem = true;
        page = NULL;
    } else if (rc) {
        conf_complain(c, &v->place, "", "%s", why.text);
        page = NULL;
    } else {
        build_remember(b, &b->files, path, page);
    }
    buf_free(&bytes);
    return page;
}

static struct str page_file(struct builder *b, const struct value *v)
{
    if (v->secret || v->kind == VALUE_LIST || !v->text.n) { /* a path shows in problems */
        conf_complain(b->c, &v->place, "", "file takes a path, not a reference");
        return STR("");
    }
    struct str path = conf_path_beside(b->c, v->place.file, v->text);
    if (!path.p)
        return STR("");
    const struct str *page = map_get(&b->files, path);
    if (!page)
        page = read_page(b, v, path);
    return page ? *page : STR("");
}

/* All of them must fit into a view. */
static void count(struct builder *b, const struct node *n, size_t bytes)
{
    bool before = b->page_bytes > PAGE_BYTES_MAX;
    b->page_bytes += bytes;
    if (!before && b->page_bytes > PAGE_BYTES_MAX)
        conf_complain(b->c, &n->place, "", "all pages together have more than %d MiB",
                      PAGE_BYTES_MAX >> 20);
}

void page_fill(struct builder *b, enum block_id id, const struct seen *seen, struct str *body,
               struct str *type)
{
    const struct node *file = settings_seen(seen, id, "file");
    const struct node *text = settings_seen(seen, id, "text");
    const struct value *v = settings_value(seen, id, "file");
    if (file && text)
        conf_complain(b->c, &file->place, "", "a page is a file or a text, not both");
    if (v)
        *body = page_file(b, v);
    if (!type->n)
        *type = v ? type_of(v->text) : str_of(plain);
    if (file || text)
        count(b, file ? file : text, body->n);
}

/* 503, or 5xx as 5. 0 after a problem. */
static uint16_t page_status(struct conf *c, const struct value *v)
{
    uint64_t code;
    if (str_eq_nocase(v->text, STR("4xx")) || str_eq_nocase(v->text, STR("5xx")))
        return (uint16_t)(v->text.p[0] - '0');
    if (str_u64(v->text, 599, &code) && code >= 400)
        return (uint16_t)code;
    conf_complain(c, &v->place, "400 to 599, or 4xx or 5xx",
                  "'" STR_FMT "' is no status of an error", STR_ARG(conf_shown(v)));
    return 0;
}

static bool is_page_there(const struct view_service *s, uint16_t status)
{
    for (uint32_t i = 0; i < s->n_pages; i++)
        if (s->pages[i].status == status)
            return true;
    return false;
}

static void add_page(struct builder *b, const struct node *n, struct view_service *s)
{
    struct seen seen;
    struct view_page *p = &s->pages[s->n_pages];
    *p = (struct view_page){0}; /* a refused one may have been here */
    const struct value *arg = backends_argument(b->c, n, BLOCK_PAGE);
    if (!arg && n->args && n->args->next)
        return; /* the block may be another's */
    uint32_t errors = b->c->problems->errors;
    settings_apply(b->c, BLOCK_PAGE, n->children, p, &seen);
    page_fill(b, BLOCK_PAGE, &seen, &p->body, &p->type);
    if (!settings_seen(&seen, BLOCK_PAGE, "file") && !settings_seen(&seen, BLOCK_PAGE, "text") &&
        !n->damaged && arg && b->c->problems->errors == errors)
        conf_complain(b->c, &n->place, "add 'file = PATH' or 'text = \"...\"'",
                      "this error-page has no page");
    uint16_t status = arg ? page_status(b->c, arg) : 0;
    if (status && is_page_there(s, status)) {
        conf_complain(b->c, &arg->place, "", "a second error-page for '" STR_FMT "'",
                      STR_ARG(conf_shown(arg)));
        return;
    }
    p->status = status;
    s->n_pages += status != 0;
}

void pages_build(struct builder *b, const struct node *service, struct view_service *s)
{
    uint32_t n = build_count(service->children, "error-page");
    uint32_t room = MIN(n, (uint32_t)VIEW_MAX_PAGES), used = 0;
    s->pages = build_array(b, room, sizeof *s->pages);
    for (const struct node *k = service->children; k && s->pages && !b->c->nomem; k = k->next) {
        if (!build_is(k, "error-page"))
            continue;
        if (used++ == room) {
            conf_complain(b->c, &k->place, "", "more than %d error-pages", VIEW_MAX_PAGES);
            return;
        }
        add_page(b, k, s);
    }
}
