/* Services of kind primary: one node of the cluster has the instance that takes writes, others
 * follow it (docs/failover.md).
 *
 * In two steps, because services are built before the cluster that they name nodes of: what the
 * service says for itself here, with its other settings, and what it says of nodes and other
 * services in primary_nodes.c, when all are there. What only a service with backends has is
 * refused, and the other way round, so that nobody relies on what is not done. */
#include "conf/primary.h"

#include <net/if.h>
#include <stdio.h>

#include "conf/address.h"

/* Of a service with backends, and settings that mean nothing without. */
static const char *const not_here[] = {
    "backend",     "balance", "hash-key",      "hash-balance-factor", "slow-start",
    "subset",      "check",   "backends-from", "priority-threshold",  "dynamic",
    "send-proxy",  "retry",   "eject",         "concurrency",         "breaker",
    "traceparent", "replies", "slow-log"};

static void refuse_backends(struct conf *c, const struct node *service, const char *agent)
{
    for (const struct node *n = service->children; n; n = n->next)
        for (size_t i = 0; i < ARRAY_LEN(not_here); i++)
            if (build_is(n, not_here[i]))
                conf_complain(c, &n->place, "a service has backends or an agent, not both",
                              "%s is not for a service with an agent (%s)", not_here[i], agent);
}

/* Settings that nobody reads because the service has no agent. */
static void refuse_roles(struct conf *c, const struct seen *seen)
{
    const struct block *b = schema_block(BLOCK_PRIMARY);
    if (settings_seen(seen, BLOCK_SERVICE, "agent"))
        return; /* misspelt, or none on purpose */
    for (size_t i = 0; i < b->n; i++) {
        const struct node *n = settings_seen(seen, BLOCK_SERVICE, b->settings[i].key);
        if (n)
            conf_complain(c, &n->place, "add 'agent = redis', or another one",
                          "%s is for a service with an agent", b->settings[i].key);
    }
}

/* --- listeners --- */

static bool is_wildcard(const struct addr *a)
{
    static const uint8_t zero[sizeof a->ip];
    return a->kind != ADDR_UNIX && memcmp(a->ip, zero, a->kind == ADDR_IP6 ? 16 : 4) == 0;
}

bool primary_refers(const struct value *v)
{
    const struct value *item = v && v->kind == VALUE_LIST ? v->items : v;
    for (; item; item = item->next)
        if (item->secret)
            return true;
    return false;
}

const struct node *primary_listener(const struct seen *seen, const struct view_service *s,
                                    uint32_t index)
{
    bool reads = index + s->primary.n_readers >= s->n_sockets;
    return settings_seen(seen, BLOCK_SERVICE, reads ? "replicas" : "listen");
}

/* Every node opens them, and the service's address moves between nodes. What a variable says may
 * differ between nodes: whether it is the node's own address is looked at when the cluster is
 * known. */
static void check_listeners(struct builder *b, const struct seen *seen, struct view_service *s,
                            const char *agent)
{
    for (uint32_t i = 0; i < s->n_sockets; i++) {
        const struct node *at = primary_listener(seen, s, i);
        const struct addr *a = &b->v->sockets[s->sockets[i]].addr;
        if (s->mode != VIEW_TCP) {
            conf_complain(b->c, &at->place, "listen to 'tcp://'",
                          "a service with an agent (%s) speaks TCP", agent);
            break;
        }
        if (is_wildcard(a) || primary_refers(at->value))
            continue;
        char text[ADDR_TEXT_MAX];
        addr_format(a, text);
        conf_complain(b->c, &at->place,
                      conf_text(b->c, "write 'tcp://%s:%u'",
                                a->kind == ADDR_IP6 ? "[::]" : "0.0.0.0", a->port ? a->port : 6379),
                      "every node leads clients to the primary, and not every node can listen to "
                      "'%s'",
                      text);
    }
    s->mode = VIEW_TCP;
}

/* --- the address that moves --- */

static bool ip_of(struct str text, struct addr *out)
{
    char with_port[ADDR_TEXT_MAX];
    bool six = text.n && memchr(text.p, ':', text.n);
    int n = snprintf(with_port, sizeof with_port, six ? "[" STR_FMT "]:1" : STR_FMT ":1",
                     STR_ARG(text));
    bool ok = n > 0 && (size_t)n < sizeof with_port &&
              addr_parse((struct str){with_port, (size_t)n}, out) && out->kind != ADDR_UNIX;
    out->port = 0;
    return ok;
}

/* The bits behind the prefix are all zero, or, in IPv4, all one: no host has such an address. */
static bool names_network(const struct addr *a, uint32_t prefix)
{
    uint32_t bits = a->kind == ADDR_IP4 ? 32 : 128, ones = 0;
    if (prefix + 1 >= bits)
        return false;
    for (uint32_t i = prefix; i < bits; i++)
        ones += a->ip[i / 8] >> (7 - i % 8) & 1;
    return ones == 0 || (a->kind == ADDR_IP4 && ones == bits - prefix);
}

/* Where no other machine may be reached. */
static bool is_special(const struct addr *a)
{
    if (a->kind == ADDR_IP4)
        return a->ip[0] == 0 || a->ip[0] == 127 || a->ip[0] >= 224;
    return is_wildcard(a) || build_is_near(a) || a->ip[0] == 0xff ||
           (a->ip[0] == 0xfe && (a->ip[1] & 0xc0) == 0x80);
}

static void build_vip(struct conf *c, const struct value *v, struct view_primary *p)
{
    static const char *const hint = "write an address and its network's bits, as in 10.0.0.100/24";
    const char *slash = v->text.n ? memchr(v->text.p, '/', v->text.n) : NULL;
    struct str ip = {v->text.p, slash ? (size_t)(slash - v->text.p) : v->text.n};
    struct addr a = {0};
    uint64_t prefix = 0;
    if (!ip_of(ip, &a)) {
        conf_complain(c, &v->place, hint, "'" STR_FMT "' is no address", STR_ARG(conf_shown(v)));
        return;
    }
    uint32_t most = a.kind == ADDR_IP4 ? 32 : 128;
    struct str bits = slash ? (struct str){slash + 1, v->text.n - ip.n - 1} : STR("");
    if (!slash)
        conf_complain(c, &v->place, hint, "'" STR_FMT "' does not say how large its network is",
                      STR_ARG(conf_shown(v)));
    else if (!str_u64(bits, most, &prefix) || prefix == 0)
        conf_complain(c, &v->place, hint, "the network's bits are 1 to %u", most);
    else if (is_special(&a))
        conf_complain(c, &v->place, "", "'" STR_FMT "' is no address that can move between nodes",
                      STR_ARG(conf_shown(v)));
    else if (names_network(&a, (uint32_t)prefix))
        conf_complain(c, &v->place, "", "'" STR_FMT "' is a network's address, not a machine's",
                      STR_ARG(conf_shown(v)));
    else {
        p->vip = a;
        p->vip_prefix = (uint8_t)prefix;
    }
}

/* A listener of the other family does not take what comes for the address. */
static void check_vip(struct builder *b, const struct seen *seen, const struct view_service *s)
{
    const struct view_primary *p = &s->primary;
    const struct node *vip = settings_seen(seen, BLOCK_SERVICE, "vip");
    const struct node *where = settings_seen(seen, BLOCK_SERVICE, "vip-interface");
    bool heard = s->n_sockets == p->n_readers;
    for (uint32_t i = 0; i + p->n_readers < s->n_sockets; i++)
        heard |= b->v->sockets[s->sockets[i]].addr.kind == p->vip.kind;
    if (vip && p->vip.kind && !heard)
        conf_complain(b->c, &vip->place,
                      p->vip.kind == ADDR_IP4 ? "add 'listen = tcp://0.0.0.0:PORT'"
                                              : "add 'listen = tcp://[::]:PORT'",
                      "nobody listens at the vip: it is %s, and the listeners are not",
                      p->vip.kind == ADDR_IP4 ? "IPv4" : "IPv6");
    if (where && !vip)
        conf_complain(b->c, &where->place, "add 'vip = 10.0.0.100/24'", "there is no vip");
    if (where && p->vip_interface.n >= IFNAMSIZ)
        conf_complain(b->c, &where->place, "", "an interface's name has at most %d characters",
                      IFNAMSIZ - 1);
}

/* --- commands --- */

static bool word_valid(struct conf *c, const struct value *v, bool first)
{
    if (v->bad)
        return false;
    if (v->secret)
        conf_complain(c, &v->place, "give it a file that it reads itself",
                      "a command's words show in every list of processes: they cannot be "
                      "references");
    else if (first && (v->text.n == 0 || v->text.p[0] != '/'))
        conf_complain(c, &v->place, "write it with its absolute path",
                      "'" STR_FMT "' is not the path of a program", STR_ARG(conf_shown(v)));
    else
        return true;
    return false;
}

static void add_word(struct conf *c, const struct value *v, struct view_words *to)
{
    if (!word_valid(c, v, to->n == 0))
        return;
    struct str word = v->text.n ? arena_str(&c->view->arena, v->text) : STR("");
    c->nomem |= !word.p;
    to->list[to->n++] = word;
}

/* One text is a program without arguments: blanks in it would be guessed at. */
static void build_command(struct builder *b, const struct seen *seen, const char *key,
                          struct view_words *to)
{
    struct conf *c = b->c;
    const struct value *v = settings_value(seen, BLOCK_SERVICE, key);
    uint32_t n = build_count_items(v);
    if (!v)
        return;
    if (n == 0 || n > VIEW_MAX_COMMAND) {
        conf_complain(c, &v->place, "", "%s has 1 to %d words", key, VIEW_MAX_COMMAND);
        return;
    }
    if (v->kind != VALUE_LIST && memchr(v->text.p, ' ', v->text.n)) {
        conf_complain(c, &v->place, "write its words as a list: {/usr/bin/worker, --queue, mail}",
                      "%s is one word, the program", key);
        return;
    }
    to->list = build_array(b, n, sizeof *to->list);
    if (!to->list)
        return;
    uint32_t errors = c->problems->errors;
    if (v->kind != VALUE_LIST)
        add_word(c, v, to);
    for (const struct value *i = v->items; i && errors == c->problems->errors; i = i->next)
        add_word(c, i, to);
}

/* --- Redis's own settings --- */

static bool redis_valid(struct conf *c, const struct value *v)
{
    struct str name;
    struct suggest near;
    if (v->bad)
        return false;
    if (v->secret) {
        conf_complain(c, &v->place, "", "a setting of Redis cannot be a reference");
        return false;
    }
    switch (view_redis_setting(v->text, &name)) {
    case VIEW_REDIS_FINE: return true;
    case VIEW_REDIS_OWNED:
        conf_complain(c, &v->place, "leave it out", "holdfast sets '" STR_FMT "' of Redis itself",
                      STR_ARG(name));
        return false;
    case VIEW_REDIS_BAD:
        conf_complain(c, &v->place, "write its name and its value, as in \"maxmemory 1g\"",
                      "'" STR_FMT "' is no setting of Redis with a plain value",
                      STR_ARG(conf_shown(v)));
        return false;
    case VIEW_REDIS_UNKNOWN: break;
    }
    near = suggest_for(name);
    for (size_t i = 0; view_redis_name(i); i++)
        suggest_try(&near, str_of(view_redis_name(i)));
    conf_complain(c, &v->place,
                  near.n ? settings_did_you_mean(c, &near)
                         : "docs/agents.md has those that may be set",
                  "'" STR_FMT "' is no setting of Redis that may be set here", STR_ARG(name));
    return false;
}

static void build_redis(struct builder *b, const struct seen *seen, struct view_words *to)
{
    const struct value *v = settings_value(seen, BLOCK_SERVICE, "redis");
    uint32_t n = build_count_items(v);
    if (!v || n == 0)
        return;
    if (n > VIEW_MAX_COMMAND) {
        conf_complain(b->c, &v->place, "", "redis has at most %d settings", VIEW_MAX_COMMAND);
        return;
    }
    to->list = build_array(b, n, sizeof *to->list);
    for (const struct value *i = v->kind == VALUE_LIST ? v->items : v; to->list && i; i = i->next) {
        struct str text =
            redis_valid(b->c, i) ? arena_str(&b->c->view->arena, i->text) : (struct str){NULL, 0};
        if (text.p)
            to->list[to->n++] = text;
        if (v->kind != VALUE_LIST)
            break;
    }
}

/* What an agent needs, and what it has no use for. */
static void check_agent(struct conf *c, const struct seen *seen, const struct node *service,
                        bool complete, const struct view_primary *p)
{
    static const struct {
        const char *key;
        uint32_t agents; /* bits of those that have it */
    } only[] = {
        {"command", 1u << AGENT_PROCESS},     {"sync", 1u << AGENT_REDIS},
        {"strict", 1u << AGENT_REDIS},        {"lag-bytes", 1u << AGENT_REDIS},
        {"lag-time", 1u << AGENT_REDIS},      {"replicas", 1u << AGENT_REDIS},
        {"replicas-only", 1u << AGENT_REDIS}, {"redis", 1u << AGENT_REDIS},
    };
    for (size_t i = 0; i < ARRAY_LEN(only); i++) {
        const struct node *n = settings_seen(seen, BLOCK_SERVICE, only[i].key);
        if (n && !(only[i].agents >> p->agent & 1))
            conf_complain(c, &n->place, "", "%s is for agent = %s", only[i].key,
                          only[i].agents == 1u << AGENT_PROCESS ? "process" : "redis");
    }
    const struct node *at = settings_seen(seen, BLOCK_SERVICE, "agent");
    if (p->agent == AGENT_PROCESS && complete && !settings_seen(seen, BLOCK_SERVICE, "command"))
        conf_complain(c, &at->place, "add 'command = {/usr/bin/worker, --queue, mail}'",
                      "agent = process has no command to run");
    if (p->agent == AGENT_HOOK && complete && !settings_seen(seen, BLOCK_SERVICE, "hook"))
        conf_complain(c, &at->place, "add 'hook = {/usr/local/bin/move-address}'",
                      "agent = hook has nothing to tell of the role");
    const struct node *strict = settings_seen(seen, BLOCK_SERVICE, "strict");
    const struct node *alone = settings_seen(seen, BLOCK_SERVICE, "replicas-only");
    if (alone && p->only_replicas && p->n_readers == 0 && p->agent == AGENT_REDIS)
        conf_warn(c, &alone->place, "add 'replicas = tcp://0.0.0.0:26380'",
                  "replicas-only is not used: there is no listener for readers");
    if (strict && p->strict && p->sync == 0 && p->agent == AGENT_REDIS)
        conf_warn(c, &strict->place, "add 'sync = 1'", "strict is not used: sync is 0");
}

static void check_reachable(struct conf *c, const struct seen *seen, const struct node *service,
                            bool complete, const struct view_service *s)
{
    const struct node *at = settings_seen(seen, BLOCK_SERVICE, "agent");
    if (s->n_sockets && s->primary.port == 0 && complete)
        conf_complain(c, &at->place, "add 'port = PORT'",
                      "the listeners lead nowhere: where the instance listens is not said");
    if (s->n_sockets == s->primary.n_readers && s->primary.agent == AGENT_REDIS && complete)
        conf_warn(c, &service->place, "add 'listen = tcp://0.0.0.0:26379'",
                  "clients reach the primary through a listener only, and there is none");
}

/* --- other services --- */

static void build_apart(struct builder *b, const struct seen *seen, struct view_primary *p)
{
    const struct value *v = settings_value(seen, BLOCK_SERVICE, "apart");
    uint32_t n = build_count_items(v);
    if (!v || n == 0)
        return;
    if (n > VIEW_MAX_WORDS) {
        conf_complain(b->c, &v->place, "", "apart names at most %d services", VIEW_MAX_WORDS);
        return;
    }
    p->apart.list = build_array(b, n, sizeof *p->apart.list);
    if (!p->apart.list)
        return;
    for (const struct value *i = v->kind == VALUE_LIST ? v->items : v; i; i = i->next) {
        struct str name = i->bad ? (struct str){NULL, 0} : build_name(b, i, "service");
        if (name.p)
            p->apart.list[p->apart.n++] = name;
        if (v->kind != VALUE_LIST)
            break;
    }
}

bool primary_build(struct builder *b, const struct node *n, const struct seen *seen, bool complete,
                   struct view_service *s)
{
    struct view_primary *p = &s->primary;
    struct primary_later *later;
    if (p->agent == AGENT_NONE) {
        refuse_roles(b->c, seen);
        return false;
    }
    const char *agent = view_agent_name(p->agent);
    if (p->agent == AGENT_REDIS && !p->port)
        p->port = 6379;
    refuse_backends(b->c, n, agent);
    check_listeners(b, seen, s, agent);
    const struct value *vip = settings_value(seen, BLOCK_SERVICE, "vip");
    if (vip && vip->kind != VALUE_LIST)
        build_vip(b->c, vip, p);
    check_vip(b, seen, s);
    build_redis(b, seen, &p->redis);
    build_command(b, seen, "command", &p->command);
    build_command(b, seen, "hook", &p->hook);
    check_agent(b->c, seen, n, complete, p);
    check_reachable(b->c, seen, n, complete, s);
    build_apart(b, seen, p);
    later = arena_alloc(&b->c->arena, sizeof *later);
    b->c->nomem |= !later;
    if (later) {
        *later = (struct primary_later){b->primaries, n, *seen, (uint32_t)(s - b->v->services)};
        b->primaries = later;
    }
    return true;
}
