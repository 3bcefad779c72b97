/* What a view promises of its rules of HTTP traffic. */
#include "view/verify.h"

/* A field that frames the message, or that belongs to one connection, is the proxy's own. */
bool view_edit_name_valid(struct str name)
{
    static const char *const own[] = {"connection",        "keep-alive", "te",
                                      "transfer-encoding", "trailer",    "upgrade",
                                      "content-length",    "expect",     "max-forwards"};
    if (name.n > 6 && str_eq_nocase((struct str){name.p, 6}, STR("proxy-")))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        if (str_eq_nocase(name, str_of(own[i])))
            return false;
    if (name.n > 6 && str_eq_nocase((struct str){name.p, 6}, STR("proxy-")))
        return false;
    for (size_t i = 0; i < name.n; i++) { /* a token: RFC 9110, 5.6.2 */
        char c = name.p[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alnum && !(c && strchr("!#$%&'*+-.^_`|~", c)))
            return false;
    }
    return name.n > 0 && name.n <= 256;
}

/* No control characters: nothing in it ends a line of a head. */
static bool is_line(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 ? s.p[i] != '\t' : s.p[i] == 0x7f)
            return false;
    return s.n <= 4096;
}

/* Of a request Host may be set, of a response it has no place. */
static bool host_valid(const struct view_edit *e, bool request)
{
    return !str_eq_nocase(e->name, STR("host")) || (request && e->op == EDIT_SET);
}

static bool edits_valid(const struct view_edit *list, uint32_t n, bool request)
{
    if (n > VIEW_MAX_WORDS)
        return false;
    for (uint32_t i = 0; i < n; i++)
        if (list[i].op > EDIT_ADD || !view_edit_name_valid(list[i].name) ||
            !is_line(list[i].value) || !host_valid(&list[i], request))
            return false;
    return true;
}

static bool rates_valid(const struct view_rules *r)
{
    if (r->n_rates > VIEW_MAX_RATES)
        return false;
    for (uint32_t i = 0; i < r->n_rates; i++) {
        const struct view_rate *l = &r->rates[i];
        bool named =
            l->per.kind == HASH_HEADER || l->per.kind == HASH_COOKIE || l->per.kind == HASH_QUERY;
        if (l->per.kind >= HASH_KINDS || named != (l->per.name.n > 0) || l->requests == 0 ||
            l->burst == 0 || l->every == 0 || l->every > VIEW_MAX_DURATION || l->keys == 0 ||
            l->keys > VIEW_MAX_RATE_KEYS)
            return false;
    }
    return true;
}

static bool is_http(const struct view *v, uint32_t service)
{
    return service < v->n_services && v->services[service].mode == VIEW_HTTP;
}

static bool rules_valid(const struct view *v, const struct view_rules *r)
{
    return edits_valid(r->request, r->n_request, true) &&
           edits_valid(r->response, r->n_response, false) && rates_valid(r) &&
           r->mirror_permille <= 1000 && (r->mirror_permille == 0 || is_http(v, r->mirror)) &&
           r->hedge_after <= VIEW_MAX_DURATION && r->hedge_permille < 1000;
}

static bool words_valid(const struct view_words *w, bool (*one)(struct str))
{
    if (w->n > VIEW_MAX_WORDS)
        return false;
    for (uint32_t i = 0; i < w->n; i++)
        if (w->list[i].n == 0 || !is_line(w->list[i]) || (one && !one(w->list[i])))
            return false;
    return true;
}

static bool is_path(struct str s)
{
    return s.p[0] == '/' || (s.n > 1 && s.p[0] == '=' && s.p[1] == '/') ||
           (s.n > 1 && s.p[0] == '*');
}

static bool match_valid(const struct view_match *m)
{
    return words_valid(&m->hosts, NULL) && words_valid(&m->paths, is_path) &&
           words_valid(&m->methods, NULL) && words_valid(&m->headers, NULL) &&
           words_valid(&m->queries, NULL) && words_valid(&m->cookies, NULL);
}

static bool targets_valid(const struct view *v, const struct view_route *r)
{
    uint32_t weights = 0;
    if (r->n_targets > VIEW_MAX_TARGETS)
        return false;
    for (uint32_t i = 0; i < r->n_targets; i++) {
        if (!is_http(v, r->targets[i].service) || r->targets[i].weight > VIEW_MAX_WEIGHT)
            return false;
        weights += r->targets[i].weight;
    }
    return r->n_targets == 0 || weights > 0;
}

static bool action_valid(const struct view *v, const struct view_route *r)
{
    switch (r->action) {
    case ROUTE_FORWARD: return targets_valid(v, r) && is_line(r->rewrite);
    case ROUTE_REDIRECT:
        return r->status >= 300 && r->status <= 399 && r->location.n && is_line(r->location);
    case ROUTE_RESPOND:
        return r->status >= 200 && r->status <= 599 && r->body.n <= VIEW_MAX_PAGE &&
               is_line(r->type);
    default: return false;
    }
}

static int verify_routes(const struct view *v, const struct view_service *s, struct err *e)
{
    struct map names = {0};
    int rc = 0;
    for (uint32_t i = 0; i < s->n_routes && !rc; i++) {
        const struct view_route *r = &s->routes[i];
        if (r->name.n == 0 || !match_valid(&r->match) || !action_valid(v, r) ||
            !rules_valid(v, &r->rules))
            rc = verify_bad(e, s->name, "an invalid route");
        else
            rc = verify_unique(&names, r->name, s->name, "two routes of one name", e);
    }
    map_free(&names);
    return rc;
}

static bool pages_valid(const struct view_service *s)
{
    if (s->n_pages > VIEW_MAX_PAGES)
        return false;
    for (uint32_t i = 0; i < s->n_pages; i++) {
        const struct view_page *p = &s->pages[i];
        bool class = p->status == 4 || p->status == 5;
        if ((!class && (p->status < 400 || p->status > 599)) || p->body.n > VIEW_MAX_PAGE ||
            !is_line(p->type))
            return false;
    }
    return true;
}

static bool sticky_valid(const struct view_sticky *k)
{
    return k->kind <= STICKY_LEARN && k->ttl <= VIEW_MAX_DURATION &&
           (k->kind == STICKY_OFF || view_edit_name_valid(k->cookie));
}

int verify_traffic(const struct view *v, const struct view_service *s, struct err *e)
{
    if (s->n_routes > VIEW_MAX_ROUTES || s->admit.wait > VIEW_MAX_DURATION ||
        s->breaker.failed_permille > 1000 || s->breaker.window > VIEW_MAX_DURATION ||
        s->breaker.rest > VIEW_MAX_DURATION || !sticky_valid(&s->sticky) || !pages_valid(s))
        return verify_bad(e, s->name, "a traffic setting out of range");
    if (!rules_valid(v, &s->rules))
        return verify_bad(e, s->name, "an invalid rule");
    if (s->mode != VIEW_HTTP && s->n_routes)
        return verify_bad(e, s->name, "routes without HTTP");
    return verify_routes(v, s, e);
}
