/* What changes of the rules of a service: of its own, of its routes, and of its pages. Where a text
 * may be secret its name is told and that it has changed. */
#include "conf/diff.h"
#include "conf/print.h"

/* The rules of the service, or of a route of it, in both views. */
struct pair {
    struct diff *d;
    struct str service;
    const char *part; /* "" or "route " */
    struct str name;  /* of the route */
    const struct view_rules *was, *is;
    bool hidden;
};

static void begin(const struct pair *p)
{
    diff_line(p->d, p->service, p->part, p->name);
}

static void say(const struct pair *p, const char *text)
{
    begin(p);
    buf_printf(p->d->out, "%s", text);
    diff_end(p->d);
}

/* --- header fields --- */

static const char *edit_name(const struct view_edit *e, bool request)
{
    static const char *const names[][2] = {[EDIT_REMOVE] = {"response-remove", "request-remove"},
                                           [EDIT_SET] = {"response-set", "request-set"},
                                           [EDIT_ADD] = {"response-add", "request-add"}};
    return names[e->op][request];
}

static bool same_edit(const struct view_edit *a, const struct view_edit *b)
{
    return a->op == b->op && str_eq_nocase(a->name, b->name) && str_eq(a->value, b->value);
}

static bool has_edit(const struct view_edit *list, uint32_t n, const struct view_edit *e)
{
    for (uint32_t i = 0; i < n; i++)
        if (same_edit(&list[i], e))
            return true;
    return false;
}

/* The one that sets the same field; others can be several of a name. */
static const struct view_edit *set_of(const struct view_edit *list, uint32_t n,
                                      const struct view_edit *e)
{
    for (uint32_t i = 0; i < n && e->op == EDIT_SET; i++)
        if (list[i].op == EDIT_SET && str_eq_nocase(list[i].name, e->name))
            return &list[i];
    return NULL;
}

static void edit_line(const struct pair *p, const char *sign, bool request,
                      const struct view_edit *e, const struct view_edit *to)
{
    struct buf *out = p->d->out;
    begin(p);
    buf_printf(out, "%s%s " STR_FMT, sign, edit_name(e, request), STR_ARG(e->name));
    if (p->hidden && to) {
        buf_printf(out, " changed");
    } else if (!p->hidden && e->op != EDIT_REMOVE) {
        buf_printf(out, " ");
        print_text(e->value, out);
        if (to) {
            buf_printf(out, " -> ");
            print_text(to->value, out);
        }
    }
    diff_end(p->d);
}

static void diff_edits(const struct pair *p, bool request)
{
    const struct view_edit *was = request ? p->was->request : p->was->response;
    const struct view_edit *is = request ? p->is->request : p->is->response;
    uint32_t n_was = request ? p->was->n_request : p->was->n_response;
    uint32_t n_is = request ? p->is->n_request : p->is->n_response;
    for (uint32_t i = 0; i < n_was; i++)
        if (!has_edit(is, n_is, &was[i]) && !set_of(is, n_is, &was[i]))
            edit_line(p, "- ", request, &was[i], NULL);
    for (uint32_t i = 0; i < n_is; i++) {
        const struct view_edit *old = set_of(was, n_was, &is[i]);
        if (!has_edit(was, n_was, &is[i]))
            edit_line(p, old ? "" : "+ ", request, old ? old : &is[i], old ? &is[i] : NULL);
    }
}

/* --- rates --- */

static bool same_rate(const struct view_rate *a, const struct view_rate *b)
{
    const struct block *block = schema_block(BLOCK_RATE);
    for (size_t i = 0; i < schema_count(block); i++)
        if (!same_setting(schema_at(block, i), a, b))
            return false;
    return true;
}

static uint32_t count_rate(const struct view_rules *r, const struct view_rate *rate)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->n_rates; i++)
        n += same_rate(&r->rates[i], rate);
    return n;
}

static void rate_lines(const struct pair *p, const char *sign, const struct view_rules *of,
                       const struct view_rules *other)
{
    const struct block *b = schema_block(BLOCK_RATE);
    for (uint32_t i = 0; i < of->n_rates; i++) {
        if (count_rate(other, &of->rates[i]) >= count_rate(of, &of->rates[i]))
            continue;
        begin(p);
        buf_printf(p->d->out, "%s rate {", sign);
        for (size_t k = 0; k < schema_count(b); k++) {
            buf_printf(p->d->out, " %s = ", schema_at(b, k)->key);
            print_setting(schema_at(b, k), &of->rates[i], p->d->out);
        }
        buf_printf(p->d->out, " }");
        diff_end(p->d);
    }
}

/* --- what refers to other services --- */

static struct str service_name(const struct view *v, uint32_t i)
{
    return i < v->n_services ? v->services[i].name : STR("?");
}

static struct str mirror_name(const struct view *v, const struct view_rules *r)
{
    return r->mirror_permille ? service_name(v, r->mirror) : STR("none");
}

static void diff_shared(const struct pair *p)
{
    static const char *const without_mirror[] = {"mirror-share", NULL};
    struct str from = mirror_name(p->d->now, p->was), to = mirror_name(p->d->next, p->is);
    bool mirrors = p->was->mirror_permille && p->is->mirror_permille;
    diff_edits(p, true);
    diff_edits(p, false);
    rate_lines(p, "-", p->was, p->is);
    rate_lines(p, "+", p->is, p->was);
    if (!str_eq(from, to)) {
        begin(p);
        buf_printf(p->d->out, "mirror " STR_FMT " -> " STR_FMT, STR_ARG(from), STR_ARG(to));
        diff_end(p->d);
    }
    diff_settings(p->d, schema_block(BLOCK_RULES), p->service, p->part, p->name, p->was, p->is,
                  p->hidden, mirrors ? NULL : without_mirror);
}

/* --- routes --- */

static const struct view_route *find(const struct view_service *s, struct str name)
{
    for (uint32_t i = 0; i < s->n_routes; i++)
        if (str_eq(s->routes[i].name, name))
            return &s->routes[i];
    return NULL;
}

static void print_targets(const struct view *v, const struct view_route *r, struct buf *out)
{
    buf_printf(out, "to ");
    if (r->n_targets == 0)
        buf_printf(out, "own backends");
    for (uint32_t i = 0; i < r->n_targets; i++) {
        buf_printf(out, "%s" STR_FMT,
                   i                  ? ", "
                   : r->n_targets > 1 ? "{"
                                      : "",
                   STR_ARG(service_name(v, r->targets[i].service)));
        if (r->n_targets > 1)
            buf_printf(out, ":%u", r->targets[i].weight);
    }
    if (r->n_targets > 1)
        buf_printf(out, "}");
}

static void print_action(const struct view *v, const struct view_route *r, bool hidden,
                         struct buf *out)
{
    switch ((enum route_action)r->action) {
    case ROUTE_FORWARD: print_targets(v, r, out); return;
    case ROUTE_REDIRECT:
        buf_printf(out, "redirect %u", r->status);
        if (!hidden) {
            buf_printf(out, " ");
            print_text(r->location, out);
        }
        return;
    case ROUTE_RESPOND: buf_printf(out, "respond %u", r->status); return;
    case ROUTE_ACTIONS: return;
    }
}

static void diff_action(const struct pair *p, const struct view_route *was,
                        const struct view_route *is)
{
    struct buf from = {0}, to = {0};
    print_action(p->d->now, was, p->hidden, &from);
    print_action(p->d->next, is, p->hidden, &to);
    p->d->out->failed |= from.failed || to.failed;
    if (!str_eq(buf_str(&from), buf_str(&to))) {
        begin(p);
        buf_printf(p->d->out, STR_FMT " -> " STR_FMT, STR_ARG(buf_str(&from)),
                   STR_ARG(buf_str(&to)));
        diff_end(p->d);
    } else if (!str_eq(was->location, is->location)) {
        say(p, "redirect changed");
    }
    buf_free(&from);
    buf_free(&to);
}

static void diff_route(struct diff *d, struct str service, const struct view_route *was,
                       const struct view_route *is)
{
    static const char *const told[] = {"respond", "redirect", "text", NULL};
    struct pair p = {d,
                     service,
                     "route ",
                     is->name,
                     &was->rules,
                     &is->rules,
                     was->rules.secret || is->rules.secret};
    struct block own = *schema_block(BLOCK_ROUTE);
    own.rules = NO_FIELD; /* those follow in words of their own */
    diff_settings(d, &own, service, p.part, p.name, was, is, p.hidden, told);
    diff_action(&p, was, is);
    if (!str_eq(was->body, is->body))
        say(&p, "text changed");
    diff_shared(&p);
}

/* Whether those that stay come one after the other as they did. */
static bool same_order(const struct view_service *was, const struct view_service *is)
{
    const struct view_route *last = NULL;
    for (uint32_t i = 0; i < is->n_routes; i++) {
        const struct view_route *old = find(was, is->routes[i].name);
        if (old && last && old < last)
            return false;
        last = old ? old : last;
    }
    return true;
}

static void diff_routes(struct diff *d, const struct view_service *was,
                        const struct view_service *is)
{
    for (uint32_t i = 0; i < was->n_routes; i++)
        if (!find(is, was->routes[i].name)) {
            diff_line(d, is->name, "", STR(""));
            buf_printf(d->out, "- route " STR_FMT, STR_ARG(was->routes[i].name));
            diff_end(d);
        }
    for (uint32_t i = 0; i < is->n_routes; i++) {
        const struct view_route *old = find(was, is->routes[i].name);
        if (old) {
            diff_route(d, is->name, old, &is->routes[i]);
            continue;
        }
        diff_line(d, is->name, "+ route ", is->routes[i].name);
        print_action(d->next, &is->routes[i], is->routes[i].rules.secret, d->out);
        diff_end(d);
    }
    if (!same_order(was, is)) {
        diff_line(d, is->name, "", STR(""));
        buf_printf(d->out, "routes are in another order");
        diff_end(d);
    }
}

/* --- pages --- */

static const struct view_page *find_page(const struct view_service *s, uint16_t status)
{
    for (uint32_t i = 0; i < s->n_pages; i++)
        if (s->pages[i].status == status)
            return &s->pages[i];
    return NULL;
}

static void page_line(struct diff *d, struct str service, const char *sign, uint16_t status,
                      const char *what)
{
    diff_line(d, service, "", STR(""));
    buf_printf(d->out, "%serror-page %u%s%s", sign, status, status < 10 ? "xx" : "", what);
    diff_end(d);
}

static void diff_pages(struct diff *d, const struct view_service *was,
                       const struct view_service *is)
{
    for (uint32_t i = 0; i < was->n_pages; i++)
        if (!find_page(is, was->pages[i].status))
            page_line(d, is->name, "- ", was->pages[i].status, "");
    for (uint32_t i = 0; i < is->n_pages; i++) {
        const struct view_page *page = &is->pages[i], *old = find_page(was, page->status);
        if (!old)
            page_line(d, is->name, "+ ", page->status, "");
        else if (!str_eq(old->body, page->body) || !str_eq(old->type, page->type))
            page_line(d, is->name, "", page->status, " changed");
    }
}

void diff_rules(struct diff *d, const struct view_service *was, const struct view_service *is)
{
    struct pair p = {
        d, is->name, "", STR(""), &was->rules, &is->rules, was->rules.secret || is->rules.secret};
    diff_shared(&p);
    diff_routes(d, was, is);
    diff_pages(d, was, is);
}
