/* Who keeps what all nodes agree on, and who votes (docs/coordinator.md).
 *
 * Where etcd is to run beside a node it has two ports next to the node's own, so that nodes of one
 * machine must not be too near each other. Of an etcd that is there already the endpoints stand in
 * the file and the secrets in files of their own, as the cluster's key does. */
#include "conf/builder.h"
#include "conf/field.h"

#include <stdlib.h>

/* --- who keeps it --- */

static bool endpoint_valid(struct str s)
{
    struct str scheme = STR("http://"), secure = STR("https://");
    bool tls = str_starts(s, secure);
    if (!tls && !str_starts(s, scheme))
        return false;
    size_t skip = tls ? secure.n : scheme.n;
    struct str at = {s.p + skip, s.n - skip};
    const char *bracket = at.n ? memrchr(at.p, ']', at.n) : NULL;
    size_t from = bracket ? (size_t)(bracket - at.p) : 0;
    return field_is_authority(at) && memchr(at.p + from, ':', at.n - from);
}

static void add_endpoint(struct conf *c, const struct value *v, struct view_coordinator *k)
{
    struct str s = v->text;
    if (v->bad)
        return;
    if (s.n && s.p[s.n - 1] == '/')
        s.n--;
    if (v->secret) {
        conf_complain(c, &v->place, "", "an endpoint cannot be a reference");
    } else if (!endpoint_valid(s)) {
        conf_complain(c, &v->place,
                      "coordinator takes managed, none or endpoints, as in https://10.0.0.9:2379",
                      "'" STR_FMT "' is no endpoint", STR_ARG(conf_shown(v)));
    } else {
        k->endpoints[k->n_endpoints] = arena_str(&c->view->arena, s);
        c->nomem |= !k->endpoints[k->n_endpoints].p;
        k->n_endpoints++;
    }
}

static void build_endpoints(struct builder *b, const struct value *v, struct view_coordinator *k)
{
    struct conf *c = b->c;
    uint32_t n = build_count_items(v);
    k->kind = COORDINATOR_EXTERNAL;
    if (n == 0 || n > VIEW_MAX_ENDPOINTS) {
        conf_complain(c, &v->place, "", "endpoints are 1 to %d", VIEW_MAX_ENDPOINTS);
        return;
    }
    k->endpoints = build_array(b, n, sizeof *k->endpoints);
    if (!k->endpoints)
        return;
    if (v->kind != VALUE_LIST)
        add_endpoint(c, v, k);
    for (const struct value *i = v->kind == VALUE_LIST ? v->items : NULL; i; i = i->next)
        add_endpoint(c, i, k);
}

static bool is_word(const struct value *v, const char *word)
{
    return v && v->kind != VALUE_LIST && !v->secret && str_eq(v->text, str_of(word));
}

static void build_kind(struct builder *b, const struct seen *seen, struct view_cluster *k)
{
    struct view_coordinator *to = &k->coordinator;
    const struct value *v = settings_value(seen, BLOCK_CLUSTER, "coordinator");
    if (!v)
        to->kind = k->key_file.n ? COORDINATOR_MANAGED : COORDINATOR_LOCAL;
    else if (is_word(v, "none"))
        to->kind = COORDINATOR_NONE;
    else if (!is_word(v, "managed"))
        build_endpoints(b, v, to);
    else if (k->key_file.n)
        to->kind = COORDINATOR_MANAGED;
    else
        conf_complain(b->c, &v->place, "add 'key = file:cluster.key'; 'holdfast key new' makes one",
                      "a managed coordinator needs the cluster's key");
}

/* --- of endpoints --- */

static void build_files(struct builder *b, const struct seen *seen, struct view_coordinator *k)
{
    const struct {
        const char *key, *what;
        struct str *to;
        bool secret;
    } files[] = {
        {"coordinator-ca", "the coordinator's authority", &k->ca_file, false},
        {"coordinator-cert", "the certificate for the coordinator", &k->cert_file, false},
        {"coordinator-key", "the certificate's key", &k->key_file, true},
        {"coordinator-password", "the coordinator's password", &k->password_file, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        *files[i].to = cluster_file(b->c, settings_value(seen, BLOCK_CLUSTER, files[i].key),
                                    files[i].what, files[i].secret);
}

/* Settings that come in pairs, and those that nobody reads. */
static void check_pairs(struct conf *c, const struct seen *seen, struct view_coordinator *k)
{
    static const char *const keys[] = {"coordinator-ca", "coordinator-cert", "coordinator-key",
                                       "coordinator-user", "coordinator-password"};
    static const uint8_t other[] = {0, 2, 1, 4, 3};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const struct node *n = settings_seen(seen, BLOCK_CLUSTER, keys[i]);
        if (n && k->kind != COORDINATOR_EXTERNAL)
            conf_complain(c, &n->place,
                          "add 'coordinator = https://10.0.0.9:2379', or leave it out",
                          "%s is for a coordinator with endpoints", keys[i]);
        else if (n && !settings_seen(seen, BLOCK_CLUSTER, keys[other[i]]))
            conf_complain(c, &n->place, "", "%s needs %s", keys[i], keys[other[i]]);
    }
}

/* --- who votes --- */

static struct view_node *find_node(struct view_cluster *k, struct str name)
{
    for (uint32_t i = 0; i < k->n_nodes; i++)
        if (str_eq(k->nodes[i].name, name))
            return &k->nodes[i];
    return NULL;
}

static void add_voter(struct conf *c, const struct value *v, struct view_cluster *k)
{
    struct view_node *n = v->bad ? NULL : find_node(k, v->text);
    struct suggest near = suggest_for(v->text);
    if (v->bad)
        return;
    for (uint32_t i = 0; i < k->n_nodes; i++)
        suggest_try(&near, k->nodes[i].name);
    if (!n)
        conf_complain(c, &v->place, near.n ? settings_did_you_mean(c, &near) : "",
                      "there is no node '" STR_FMT "' that could vote", STR_ARG(conf_shown(v)));
    else if (n->votes)
        conf_complain(c, &v->place, "", "node " STR_FMT " votes already", STR_ARG(n->name));
    else
        k->n_voters += n->votes = true;
}

static void build_voters(struct builder *b, const struct seen *seen, struct view_cluster *k)
{
    const struct value *v = settings_value(seen, BLOCK_CLUSTER, "voters");
    uint32_t n = build_count_items(v), errors = b->c->problems->errors;
    if (!v)
        return;
    if (v->kind != VALUE_LIST)
        add_voter(b->c, v, k);
    for (const struct value *i = v->kind == VALUE_LIST ? v->items : NULL; i; i = i->next)
        add_voter(b->c, i, k);
    if (errors == b->c->problems->errors && (n % 2 == 0 || n > VIEW_MAX_VOTERS))
        conf_complain(b->c, &v->place, "an even one more survives no further loss",
                      "%u nodes vote; it takes 1, 3 or 5", n);
}

/* --- ports --- */

static bool same_host(const struct addr *a, const struct addr *b)
{
    struct addr one = *a, other = *b;
    one.port = other.port = 1;
    return addr_eq(&one, &other);
}

static void check_ports(struct conf *c, const struct node *at, const struct view_cluster *k)
{
    for (uint32_t i = 0; i < k->n_nodes; i++) {
        const struct view_node *n = &k->nodes[i];
        if (n->address.port > UINT16_MAX - VIEW_COORD_PEER)
            conf_complain(c, &at->place, "", "node " STR_FMT " has no two ports above its own (%u)",
                          STR_ARG(n->name), n->address.port);
        for (uint32_t j = 0; j < i; j++) {
            const struct view_node *m = &k->nodes[j];
            int apart = (int)n->address.port - m->address.port;
            if (same_host(&n->address, &m->address) && abs(apart) < VIEW_COORD_PORTS)
                conf_complain(c, &at->place,
                              "the coordinator takes the two ports above each node's; or write "
                              "'coordinator = none'",
                              "the ports of nodes " STR_FMT " and " STR_FMT
                              ", of one address, are less than %d apart",
                              STR_ARG(m->name), STR_ARG(n->name), VIEW_COORD_PORTS);
        }
    }
}

void coordinator_build(struct builder *b, const struct seen *seen, const struct node *at,
                       struct view_cluster *k)
{
    build_kind(b, seen, k);
    build_files(b, seen, &k->coordinator);
    check_pairs(b->c, seen, &k->coordinator);
    build_voters(b, seen, k);
    if (k->coordinator.kind == COORDINATOR_MANAGED)
        check_ports(b->c, at, k);
}
