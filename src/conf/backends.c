/* The backends of a service: instances with an address, which the file names for good, and sources
 * that give instances while the service runs: names to be looked up, a directory of drop-in files.
 * A drop-in file holds backend statements and nothing else (docs/discovery.md). */
#include "conf/backends.h"

#include "conf/address.h"
#include "conf/logs.h"

struct backends {
    struct conf *c;
    struct view_service *s;
    struct map names; /* of instances and sources -> node */
    uint32_t room, sources;
    bool dropin;
};

static bool is_backend(const struct node *n)
{
    return str_eq(n->name, STR("backend"));
}

static uint32_t count_backends(const struct node *children)
{
    uint32_t count = 0;
    for (const struct node *n = children; n; n = n->next)
        count += is_backend(n);
    return count;
}

/* Whether a block of this name may stand where b may. */
static bool is_beside(const struct block *b, struct str name)
{
    for (int i = 0; i < BLOCKS; i++)
        if (b->parents >> i & 1 && schema_child((enum block_id)i, name) != BLOCKS)
            return true;
    return false;
}

/* "backend 10.0.0.1:80  check { }" on one line: the next statement looks like an argument. */
static void too_many_arguments(struct conf *c, const struct node *n, const struct block *b)
{
    const struct value *extra = n->args->next;
    const char *hint = conf_text(c, "write '%s %s'", b->name, b->argument);
    if (is_beside(b, extra->text))
        hint = "is a ';' or a line end missing before it?";
    conf_complain(c, &extra->place, hint, "unexpected '" STR_FMT "' behind %s",
                  STR_ARG(conf_shown(extra)), b->name);
}

const struct value *backends_argument(struct conf *c, const struct node *n, enum block_id id)
{
    const struct block *b = schema_block(id);
    if (!n->value && n->args && !n->args->next)
        return n->args->bad ? NULL : n->args;
    const char *form = conf_text(c, "write '%s %s'", b->name, b->argument);
    if (n->value)
        conf_complain(c, &n->place, form, "%s is written without '='", b->name);
    else if (!n->args)
        conf_complain(c, &n->place, form, "%s needs %s", b->name, b->argument);
    else if (!n->damaged) /* else the parser has said why there are more */
        too_many_arguments(c, n, b);
    return NULL;
}

static bool forwards_to_itself(const struct conf *c, const struct view_service *s,
                               const struct addr *a)
{
    for (uint32_t i = 0; i < s->n_sockets; i++)
        if (addr_eq(&c->view->sockets[s->sockets[i]].addr, a))
            return true;
    return false;
}

/* A name that no backend of the service has; false after a problem. */
static bool is_new(struct backends *b, struct str name, const struct node *n,
                   const struct value *shown, const char *hint)
{
    const struct node *first = map_get(&b->names, name);
    if (first)
        conf_complain(b->c, &shown->place, hint,
                      "another backend is called '" STR_FMT "' already (%s)",
                      STR_ARG(conf_shown(shown)), conf_where(b->c, &first->place));
    /* The map hands out what it was given; nobody writes through it. */
    else if (!map_put(&b->names, name, (void *)(uintptr_t)n))
        b->c->nomem = true;
    return !first && !b->c->nomem;
}

/* The name in the file, or the address. */
static void name_instance(struct conf *c, struct view_instance *i)
{
    char text[ADDR_TEXT_MAX];
    if (i->name.n)
        return;
    i->name = arena_str(&c->view->arena, (struct str){text, addr_format(&i->addr, text)});
    c->nomem |= !i->name.p;
}

static void add_instance(struct backends *b, const struct node *n, const struct value *arg,
                         const struct node *named, const struct view_instance *read)
{
    struct view_instance *i = &b->s->instances[b->s->n_instances];
    if (forwards_to_itself(b->c, b->s, &read->addr)) {
        conf_complain(b->c, &arg->place, "", "the service would forward to its own listener");
        return;
    }
    *i = *read;
    name_instance(b->c, i);
    if (!b->c->nomem && is_new(b, i->name, n, named && named->value ? named->value : arg,
                               "give one of them a 'name'"))
        logs_of_backend(b->c, n, b->s->n_instances++);
}

static void add_source(struct backends *b, const struct node *n, const struct value *arg,
                       const struct node *named, const struct view_instance *read,
                       const struct address_backend *from)
{
    if (b->dropin) {
        conf_complain(b->c, &arg->place, "names belong into the configuration file",
                      "'" STR_FMT "' is a name: a drop-in file holds addresses",
                      STR_ARG(conf_shown(arg)));
        return;
    }
    if (named) {
        conf_complain(b->c, &named->place, "instances are called by their addresses",
                      "a host name may give several instances: it takes no 'name'");
        return;
    }
    if (b->s->n_sources == b->sources) {
        conf_complain(b->c, &arg->place, "", "more than %d names", VIEW_MAX_SOURCES - 1);
        return;
    }
    struct view_source *source = &b->s->sources[b->s->n_sources];
    *source = (struct view_source){
        .kind = from->srv ? SOURCE_SRV : SOURCE_HOST, .port = from->port, .like = *read};
    source->like.source = STR("");
    source->name = arena_str(&b->c->view->arena, from->name);
    b->c->nomem |= !source->name.p;
    if (!b->c->nomem && is_new(b, arg->text, n, arg, ""))
        b->s->n_sources++;
}

static void add_backend(struct backends *b, const struct node *n)
{
    struct view_instance read = {0};
    struct address_backend address;
    struct seen seen;
    const struct value *arg = backends_argument(b->c, n, BLOCK_BACKEND);
    if (!arg && n->args && n->args->next)
        return; /* the block may be another's */
    settings_apply(b->c, BLOCK_BACKEND, n->children, &read, &seen);
    if (!arg || !address_backend(b->c, arg, &address))
        return;
    const struct node *named = settings_seen(&seen, BLOCK_BACKEND, "name");
    read.source = STR("");
    read.own_weight = read.weight;
    read.addr = address.addr;
    if (address.name.n)
        logs_no_place(b->c, n, "a host name may give several instances: it takes no log");
    else if (b->dropin)
        logs_no_place(b->c, n, "a log belongs into the configuration file");
    if (address.name.n)
        add_source(b, n, arg, named, &read, &address);
    else
        add_instance(b, n, arg, named, &read);
}

static void add_backends(struct backends *b, const struct node *children, const char *who)
{
    uint32_t n = count_backends(children), used = 0;
    b->room = MIN(n, (uint32_t)POOL_MAX);
    b->s->instances =
        b->room ? arena_array(&b->c->view->arena, b->room, sizeof *b->s->instances) : NULL;
    b->c->nomem |= b->room && !b->s->instances;
    for (const struct node *k = children; k && b->room && !b->c->nomem; k = k->next) {
        if (!is_backend(k))
            continue;
        if (used++ == b->room) {
            conf_complain(b->c, &k->place, "", "%s has more than %d backends", who, POOL_MAX);
            break;
        }
        add_backend(b, k);
    }
}

/* backends-from = DIRECTORY */
static void add_directory(struct backends *b, const struct node *children)
{
    const struct node *n = children;
    struct addr path;
    while (n && !str_eq(n->name, STR("backends-from")))
        n = n->next;
    if (!n || !n->value || n->value->bad || n->value->kind == VALUE_LIST ||
        !address_directory(b->c, n->value, &path))
        return;
    struct view_source *source = &b->s->sources[b->s->n_sources];
    *source =
        (struct view_source){.kind = SOURCE_DIR, .like = {.name = STR(""), .source = STR("")}};
    source->name = arena_str(&b->c->view->arena, str_of(path.path));
    b->c->nomem |= !source->name.p;
    b->s->n_sources += !b->c->nomem;
}

static void check_weights(struct conf *c, const struct node *service, const struct view_service *s,
                          const char *who)
{
    uint32_t weights = 0;
    for (uint32_t i = 0; i < s->n_instances; i++)
        weights += s->instances[i].weight;
    if (s->n_instances && weights == 0 && s->n_sources == 0 && !s->dynamic)
        conf_warn(c, &service->place, "", "every backend of %s has weight 0", who);
}

void backends_build(struct conf *c, const struct node *service, bool complete,
                    struct view_service *s, const char *who)
{
    struct backends b = {.c = c, .s = s};
    uint32_t statements = count_backends(service->children);
    b.sources = MIN(statements, (uint32_t)VIEW_MAX_SOURCES - 1);
    s->sources = arena_array(&c->view->arena, b.sources + 1, sizeof *s->sources);
    if (!s->sources) {
        c->nomem = true;
        return;
    }
    add_backends(&b, service->children, who);
    add_directory(&b, service->children);
    map_free(&b.names);
    if (statements == 0 && s->n_sources == 0 && !s->dynamic && complete)
        conf_complain(c, &service->place, "add 'backend ADDRESS:PORT'", "%s has no backend", who);
    check_weights(c, service, s, who);
}

void backends_build_dropin(struct conf *c, const struct node *top, struct view_service *s)
{
    struct backends b = {.c = c, .s = s, .dropin = true};
    for (const struct node *n = top; n; n = n->next)
        if (!is_backend(n))
            conf_complain(c, &n->place, "write 'backend ADDRESS:PORT'",
                          "'" STR_FMT "' has no place in a drop-in file: it holds backends only",
                          STR_ARG(conf_clip(n->name)));
    add_backends(&b, top, "the file");
    map_free(&b.names);
}
