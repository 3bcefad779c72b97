/* The resolver block: who is asked for the names of backends. And that of the audit, which is
 * shorter. */
#include "conf/address.h"
#include "conf/backends.h"

static void add_server(struct conf *c, const struct value *v)
{
    struct view_resolver *r = &c->view->resolver;
    struct addr addr;
    if (!address_nameserver(c, v, &addr))
        return;
    for (uint32_t i = 0; i < r->n_servers; i++) {
        if (!addr_eq(&r->servers[i], &addr))
            continue;
        conf_complain(c, &v->place, "", "'" STR_FMT "' is a name server already",
                      STR_ARG(conf_shown(v)));
        return;
    }
    if (r->n_servers == VIEW_MAX_NAMESERVERS)
        conf_complain(c, &v->place, "", "more than %d name servers", VIEW_MAX_NAMESERVERS);
    else
        r->servers[r->n_servers++] = addr;
}

static void add_servers(struct conf *c, const struct node *n)
{
    struct view_resolver *r = &c->view->resolver;
    if (!n || !n->value || n->value->bad)
        return;
    r->servers = arena_array(&c->view->arena, VIEW_MAX_NAMESERVERS, sizeof *r->servers);
    if (!r->servers) {
        c->nomem = true;
        return;
    }
    if (n->value->kind != VALUE_LIST)
        add_server(c, n->value);
    for (const struct value *i = n->value->items; i; i = i->next)
        add_server(c, i);
}

void resolver_build(struct conf *c, const struct node *top)
{
    struct node parent = {.children = (struct node *)(uintptr_t)top};
    struct view_resolver *r = &c->view->resolver;
    struct seen seen;
    const struct node *n = settings_block(c, &parent, BLOCK_RESOLVER);
    settings_apply(c, BLOCK_RESOLVER, n ? n->children : NULL, r, &seen);
    add_servers(c, settings_seen(&seen, BLOCK_RESOLVER, "nameserver"));
    if (r->ttl_least <= r->ttl_most)
        return;
    const struct node *at = settings_seen(&seen, BLOCK_RESOLVER, "ttl-min");
    if (!at)
        at = settings_seen(&seen, BLOCK_RESOLVER, "ttl-max");
    conf_complain(c, &at->place, "", "ttl-min is above ttl-max");
}

void audit_build(struct conf *c, const struct node *top)
{
    struct node parent = {.children = (struct node *)(uintptr_t)top};
    struct seen seen;
    const struct node *n = settings_block(c, &parent, BLOCK_AUDIT);
    settings_apply(c, BLOCK_AUDIT, n ? n->children : NULL, &c->view->audit, &seen);
}
