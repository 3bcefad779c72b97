/* The cluster block: who belongs to it, and which of them this node is.
 *
 * The file is the same on every node, so it cannot say which one reads it. In this order: the name
 * that was given (--node); the one node whose address this machine has; the one that is called as
 * this machine is. Anything else is a mistake that is better told than guessed away: two nodes that
 * take themselves for the same one would each refute what the other says.
 *
 * Of the key only the file's place goes into the view, so that a view never holds a secret. That it
 * is there, and not open to everybody, is looked at here; its contents are the mesh's. */
#include "conf/address.h"
#include "conf/backends.h"
#include "conf/builder.h"

#include <stdlib.h>

enum { NAMES_SHOWN = 8, OTHERS = 0007 /* permission bits */ };
#define SUSPECT_LEAST (200ull * 1000000)
#define LEASE_LEAST   (300ull * 1000000)
#define LEASE_USUAL   6 /* heartbeats */
#define CLUSTER_KEY   "the cluster's key"

static const char how_new[] = "'holdfast key new' makes one, and every node gets a copy of it";

bool conf_names_file(struct str key)
{
    const struct setting *s = schema_setting(schema_block(BLOCK_CLUSTER), key);
    return s && s->kind == KIND_KEY;
}

/* --- nodes --- */

/* A node, and the statement that made it; the node's place is the statement's. */
struct made {
    struct view_node node;
    const struct node *from;
};

struct nodes {
    struct builder *b;
    uint16_t port;
    struct made *list;
    uint32_t n;
};

static bool is_near_taken(struct nodes *k, const struct value *v, const struct addr *a)
{
    for (uint32_t i = 0; i < k->n; i++) {
        if (!addr_eq(&k->list[i].node.address, a))
            continue;
        conf_complain(k->b->c, &v->place, "",
                      "'" STR_FMT "' is the address of node " STR_FMT " already",
                      STR_ARG(conf_shown(v)), STR_ARG(k->list[i].node.name));
        return true;
    }
    return false;
}

static bool name_node(struct nodes *k, const struct node *n, struct view_node *to)
{
    struct conf *c = k->b->c;
    const struct value *arg = backends_argument(c, n, BLOCK_NODE);
    struct str name = arg ? build_name(k->b, arg, "node") : (struct str){NULL, 0};
    if (!name.p)
        return false;
    if (name.p[0] == '.') { /* it becomes the name of a directory */
        conf_complain(c, &arg->place, "", "a node's name does not begin with '.'");
        return false;
    }
    for (uint32_t i = 0; i < k->n; i++) {
        if (!str_eq(k->list[i].node.name, name))
            continue;
        conf_complain(c, &arg->place, "", "a second node '" STR_FMT "' (the first is at %s)",
                      STR_ARG(name), conf_where(c, &k->list[i].from->place));
        return false;
    }
    to->name = name;
    return true;
}

static void add_node(struct nodes *k, const struct node *n)
{
    struct conf *c = k->b->c;
    struct made *m = &k->list[k->n];
    struct seen seen;
    uint32_t errors = c->problems->errors;
    *m = (struct made){.from = n}; /* a refused one may have been here */
    bool ok = name_node(k, n, &m->node);
    settings_apply(c, BLOCK_NODE, n->children, &m->node, &seen);
    const struct value *at = settings_value(&seen, BLOCK_NODE, "address");
    if (!settings_seen(&seen, BLOCK_NODE, "address") && !n->damaged &&
        c->problems->errors == errors)
        conf_complain(c, &n->place, "write 'node NAME { address = 10.0.0.1 }'",
                      "this node has no address");
    if (!at || at->kind == VALUE_LIST || !address_node(c, at, k->port, &m->node.address) ||
        is_near_taken(k, at, &m->node.address))
        ok = false;
    m->node.place = (uint16_t)k->n;
    k->n += ok;
}

static int by_name(const void *a, const void *b)
{
    struct str x = ((const struct made *)a)->node.name, y = ((const struct made *)b)->node.name;
    int order = memcmp(x.p, y.p, MIN(x.n, y.n));
    return order ? order : (x.n > y.n) - (x.n < y.n);
}

/* False after a problem: then some may be missing. */
static bool add_nodes(struct nodes *k, const struct node *cluster)
{
    struct conf *c = k->b->c;
    uint32_t n = build_count(cluster->children, "node"), used = 0, errors = c->problems->errors;
    uint32_t room = MIN(n, (uint32_t)VIEW_MAX_NODES);
    if (n == 0 && !cluster->damaged && !c->env->partial)
        conf_complain(c, &cluster->place, "add 'node NAME { address = 10.0.0.1 }'",
                      "the cluster has no node");
    k->list = room ? arena_array(&c->arena, room, sizeof *k->list) : NULL;
    c->nomem |= room && !k->list;
    for (const struct node *i = cluster->children; i && k->list; i = i->next) {
        if (!build_is(i, "node"))
            continue;
        if (used++ == room) {
            conf_complain(c, &i->place, "", "more than %d nodes", VIEW_MAX_NODES);
            break;
        }
        add_node(k, i);
    }
    if (k->n)
        qsort(k->list, k->n, sizeof *k->list, by_name);
    return k->n && c->problems->errors == errors && !c->nomem;
}

static bool keep_nodes(struct nodes *k, struct view_cluster *out)
{
    out->nodes = build_array(k->b, k->n, sizeof *out->nodes);
    if (!out->nodes)
        return false;
    for (uint32_t i = 0; i < k->n; i++)
        out->nodes[i] = k->list[i].node;
    out->n_nodes = k->n;
    return true;
}

/* --- which of them this is --- */

typedef bool which(const struct conf *c, const struct view_node *n);

static bool has_address(const struct conf *c, const struct view_node *n)
{
    return c->env->has_address(c->env->self, &n->address);
}

/* As the machine is called, with its domain or without. */
static bool has_name(const struct conf *c, const struct view_node *n)
{
    struct str host = str_of(c->env->host);
    struct str first = {host.p, strcspn(host.p, ".")};
    return host.n && (str_eq_nocase(n->name, host) || str_eq_nocase(n->name, first));
}

static bool everybody(const struct conf *c, const struct view_node *n)
{
    return true;
}

/* "a, b and c" of those that are so; *n is how many, *last the last of them. */
static const char *names_of(struct conf *c, const struct view_cluster *k, which *is, uint32_t *n,
                            uint32_t *last)
{
    struct buf text = {0};
    uint32_t total = *n = 0;
    for (uint32_t i = 0; i < k->n_nodes; i++)
        total += is(c, &k->nodes[i]);
    for (uint32_t i = 0; i < k->n_nodes; i++) {
        if (!is(c, &k->nodes[i]))
            continue;
        *last = i;
        if (++*n > NAMES_SHOWN)
            continue;
        bool end = *n == total;
        buf_printf(&text, "%s" STR_FMT,
                   *n == 1 ? ""
                   : end   ? " and "
                           : ", ",
                   STR_ARG(k->nodes[i].name));
    }
    if (total > NAMES_SHOWN)
        buf_printf(&text, " and %u more", total - NAMES_SHOWN);
    const char *out = text.failed ? "" : conf_text(c, STR_FMT, STR_ARG(buf_str(&text)));
    c->nomem |= text.failed;
    buf_free(&text);
    return out;
}

static bool choose_given(struct conf *c, struct view_cluster *k, const struct node *at)
{
    struct str name = str_of(c->env->node);
    struct suggest near = suggest_for(name);
    uint32_t n, last;
    for (uint32_t i = 0; i < k->n_nodes; i++) {
        suggest_try(&near, k->nodes[i].name);
        if (!str_eq(k->nodes[i].name, name))
            continue;
        k->self = i;
        return true;
    }
    const char *hint = near.n
                           ? settings_did_you_mean(c, &near)
                           : conf_text(c, "its nodes are %s", names_of(c, k, everybody, &n, &last));
    conf_complain(c, &at->place, hint,
                  "this is node '" STR_FMT "', and cluster " STR_FMT " has no node of that name",
                  STR_ARG(conf_clip(name)), STR_ARG(k->name));
    return false;
}

static bool choose(struct conf *c, struct view_cluster *k, const struct node *at)
{
    static const char hint[] = "say which one this machine is with --node NAME";
    uint32_t n, last = 0;
    if (c->env->partial)
        return false;
    if (c->env->node)
        return choose_given(c, k, at);
    const char *names = names_of(c, k, has_address, &n, &last), *what = "has the addresses of";
    if (n == 0) {
        names = names_of(c, k, has_name, &n, &last);
        what = "has the name of";
    }
    if (n > 1) {
        conf_complain(c, &at->place, hint, "this machine %s several nodes: %s", what, names);
        return false;
    }
    if (n == 0 && k->n_nodes > 1) {
        names = names_of(c, k, everybody, &n, &last);
        conf_complain(c, &at->place, hint,
                      "this machine ('%s') has the address and the name of none of the nodes %s",
                      c->env->host, names);
        return false;
    }
    k->self = last;
    return true;
}

/* --- the key --- */

/* It is there, and closed to others if it is secret. */
static bool check_file(struct conf *c, const struct value *v, const char *what, bool secret)
{
    struct conf_file file = {0};
    struct err why = {0};
    const struct conf_env *env = conf_env_at(c, &v->place);
    int rc = env->inspect(env->self, v->text.p, &file, &why);
    if (rc == -ERR_NOMEM)
        c->nomem = true;
    else if (rc == -ERR_ABSENT)
        conf_complain(c, &v->place, strcmp(what, CLUSTER_KEY) == 0 ? how_new : "",
                      "%s file " STR_FMT " does not exist", what, STR_ARG(v->text));
    else if (rc)
        conf_complain(c, &v->place, "", "%s", why.text);
    else if (!file.regular)
        conf_complain(c, &v->place, "", "%s " STR_FMT " is not a file", what, STR_ARG(v->text));
    else if (secret && file.mode & OTHERS)
        conf_complain(c, &v->place, conf_text(c, "chmod o= " STR_FMT, STR_ARG(v->text)),
                      "everybody on this machine may read %s file " STR_FMT " (mode %03o)", what,
                      STR_ARG(v->text), file.mode);
    else
        return true;
    return false;
}

static struct str absolute(struct conf *c, const struct value *v)
{
    struct buf path = {0};
    struct err why = {0};
    const struct conf_env *env = conf_env_at(c, &v->place);
    int rc = env->absolute(env->self, v->text.p, &path, &why);
    if (rc && rc != -ERR_NOMEM)
        conf_complain(c, &v->place, "", "%s", why.text);
    struct str out = rc ? STR("") : arena_str(&c->view->arena, buf_str(&path));
    c->nomem |= rc == -ERR_NOMEM || path.failed || !out.p;
    buf_free(&path);
    return out.p ? out : STR("");
}

struct str cluster_file(struct conf *c, const struct value *v, const char *what, bool secret)
{
    if (!v || v->bad || v->kind == VALUE_LIST)
        return STR("");
    if (!v->refers) {
        conf_complain(c, &v->place, "write file:PATH", "%s stands in a file of its own", what);
        return STR("");
    }
    check_file(c, v, what, secret);
    return absolute(c, v);
}

/* The mesh looks into it. */
static void check_key(struct conf *c, const struct value *v)
{
    struct err why = {0};
    const struct conf_env *env = conf_env_at(c, &v->place);
    int rc = env->check_key ? env->check_key(env->self, v->text.p, &why) : 0;
    if (rc == -ERR_NOMEM)
        c->nomem = true;
    else if (rc)
        conf_complain(c, &v->place, "", "%s", why.text);
}

static void build_key(struct conf *c, const struct node *n, bool several, const struct node *at,
                      struct view_cluster *k)
{
    uint32_t errors = c->problems->errors;
    if (!n && several)
        conf_complain(c, &at->place, "add 'key = file:cluster.key'; 'holdfast key new' makes one",
                      "the cluster has several nodes and no key");
    k->key_file = cluster_file(c, n ? n->value : NULL, CLUSTER_KEY, true);
    if (k->key_file.n && c->problems->errors == errors)
        check_key(c, n->value);
}

/* --- the block --- */

static bool name_cluster(struct builder *b, const struct node *n, struct view_cluster *k)
{
    const struct value *arg = backends_argument(b->c, n, BLOCK_CLUSTER);
    struct str name = arg ? build_name(b, arg, "cluster") : (struct str){NULL, 0};
    if (name.p)
        k->name = name;
    if (name.p && !n->block && !n->damaged)
        conf_complain(b->c, &n->place, "write 'cluster NAME { key = file:PATH  node ... }'",
                      "cluster " STR_FMT " has no block", STR_ARG(name));
    return name.p && n->block;
}

static void check_timing(struct conf *c, const struct seen *seen, struct view_cluster *k)
{
    const struct node *silence = settings_seen(seen, BLOCK_CLUSTER, "suspect-after");
    if (!silence)
        k->suspect_after = MAX(4 * k->heartbeat, SUSPECT_LEAST);
    else if (k->suspect_after < VIEW_LEAST_SILENCE * k->heartbeat)
        conf_complain(c, &silence->place, "four heartbeats are usual",
                      "suspect-after is less than %d heartbeats", VIEW_LEAST_SILENCE);
}

/* As lease_params_check wants them. */
static void check_lease(struct conf *c, const struct seen *seen, struct view_cluster *k)
{
    const struct node *lease = settings_seen(seen, BLOCK_CLUSTER, "lease");
    const struct node *demotion = settings_seen(seen, BLOCK_CLUSTER, "demotion");
    if (!lease)
        k->lease = MAX(LEASE_USUAL * k->heartbeat, LEASE_LEAST);
    else if (k->lease < VIEW_LEAST_LEASE * k->heartbeat)
        conf_complain(c, &lease->place, "six heartbeats are usual",
                      "lease is less than %d heartbeats, each of which renews it",
                      VIEW_LEAST_LEASE);
    if (k->demotion > k->lease)
        conf_complain(c, demotion ? &demotion->place : &lease->place, "",
                      "demotion is longer than lease");
}

/* The first cluster block; others are complained about. */
static const struct node *find_cluster(struct conf *c, const struct node *top)
{
    const struct node *first = NULL;
    for (const struct node *n = top; n; n = n->next) {
        if (!build_is(n, "cluster"))
            continue;
        if (first)
            conf_complain(c, &n->place, "a node belongs to one cluster",
                          "a second cluster block (the first is at %s)",
                          conf_where(c, &first->place));
        else
            first = n;
    }
    return first;
}

static void build(struct builder *b, const struct node *n, struct view_cluster *k)
{
    struct conf *c = b->c;
    struct cluster_block block = {0};
    struct seen seen;
    uint32_t errors = c->problems->errors;
    if (!name_cluster(b, n, &block.cluster))
        return;
    settings_apply(c, BLOCK_CLUSTER, n->children, &block, &seen);
    check_timing(c, &seen, &block.cluster);
    check_lease(c, &seen, &block.cluster);
    struct nodes nodes = {.b = b, .port = block.port};
    bool all = add_nodes(&nodes, n);
    bool complete = !n->damaged && c->problems->errors == errors;
    build_key(c, settings_seen(&seen, BLOCK_CLUSTER, "key"), complete && nodes.n > 1, n,
              &block.cluster);
    if (!all || n->damaged || !keep_nodes(&nodes, &block.cluster) || !choose(c, &block.cluster, n))
        return;
    coordinator_build(b, &seen, n, &block.cluster);
    *k = block.cluster;
    const struct addr *own = &k->nodes[k->self].address;
    const char *who = conf_text(c, "node " STR_FMT, STR_ARG(k->nodes[k->self].name));
    if (k->key_file.n && build_socket(b, SOCKET_LINK, own, n, who))
        build_socket(b, SOCKET_GOSSIP, own, n, who);
}

void cluster_build(struct builder *b, const struct node *top, const struct node *zone)
{
    struct view *v = b->v;
    const struct node *n = find_cluster(b->c, top);
    struct place start = {0, 0, 0};
    v->cluster = (struct view_cluster){.name = STR(""), .key_file = STR("")};
    if (n)
        build(b, n, &v->cluster);
    else if (b->c->env->node && !b->c->env->partial && b->c->problems->errors == 0)
        conf_complain(b->c, &start, "add 'cluster NAME { ... }', or start without --node",
                      "this is node '%s' of a cluster, and the file has none", b->c->env->node);
    const struct view_node *self = view_self(v);
    if (self && !zone)
        v->zone = self->zone;
}
