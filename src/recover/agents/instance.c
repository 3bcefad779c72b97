#include "recover/agents/instance.h"

#define DEMOTION_MOST (60 * UINT64_C(1000000000))
#define HANG_MOST     (3600 * UINT64_C(1000000000))
enum { PASSWORD_LEAST = 32, IP4_BITS = 32, IP6_BITS = 128 };

const char *instance_kind_name(enum instance_kind k)
{
    switch (k) {
    case KIND_NONE: return "none";
    case KIND_REDIS: return "redis";
    case KIND_PROCESS: return "process";
    case KIND_HOOK: return "hook";
    case INSTANCE_KINDS: break;
    }
    UNREACHABLE();
}

const char *instance_order_name(enum instance_order o)
{
    switch (o) {
    case ORDER_FOLLOW: return "follow";
    case ORDER_FENCE: return "fence";
    case ORDER_PROMOTE: return "promote";
    case ORDER_DEMOTE: return "demote";
    case ORDER_STOP: return "stop";
    case ORDER_VIP_TAKE: return "take the address";
    case ORDER_VIP_LEAVE: return "leave the address";
    case INSTANCE_ORDERS: break;
    }
    UNREACHABLE();
}

/* Becomes the end of a directory's name ("redis-NAME") and the value of a variable: no '/', nothing
 * that a terminal or a shell would take for more. */
static bool is_name(const char *s, size_t size)
{
    size_t n = strnlen(s, size);
    for (size_t i = 0; i < n; i++) {
        char c = s[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '.' || c == '_' || c == '-'))
            return false;
    }
    return n > 0 && n < size;
}

static bool is_password(const char s[INSTANCE_PASSWORD])
{
    size_t n = strnlen(s, INSTANCE_PASSWORD);
    for (size_t i = 0; i < n; i++)
        if (!((s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'f')))
            return false;
    return n >= PASSWORD_LEAST && n < INSTANCE_PASSWORD;
}

static bool is_ip(const struct addr *a)
{
    return a->kind == ADDR_IP4 || a->kind == ADDR_IP6;
}

static int check_places(const struct agent_instance *i, struct err *e)
{
    if (i->n_places == 0 || i->n_places > ROLE_NODES || i->place >= i->n_places)
        return err_set(e, ERR_INVAL, "%s: place %u of %u cannot be", i->service, i->place,
                       i->n_places);
    for (uint32_t k = 0; k < i->n_places; k++) {
        const struct instance_place *p = &i->places[k];
        if (!is_name(p->name, sizeof p->name))
            return err_set(e, ERR_INVAL, "%s: the node at place %u has a name that cannot be",
                           i->service, k);
        if (!is_ip(&p->address) || (i->kind == KIND_REDIS && p->address.port == 0))
            return err_set(e, ERR_INVAL, "%s: node %s has no address and port for it", i->service,
                           p->name);
        for (uint32_t j = 0; j < k; j++)
            if (strcmp(i->places[j].name, p->name) == 0)
                return err_set(e, ERR_INVAL, "%s: node %s has two places", i->service, p->name);
    }
    return 0;
}

static int check_vip(const struct agent_instance *i, struct err *e)
{
    unsigned bits = i->vip.kind == ADDR_IP4 ? IP4_BITS : IP6_BITS;
    if (i->vip_interface[0] && !is_name(i->vip_interface, sizeof i->vip_interface))
        return err_set(e, ERR_INVAL, "%s: its address has an interface that cannot be", i->service);
    if (i->vip.kind == ADDR_NONE)
        return 0;
    if (!is_ip(&i->vip) || i->vip.port || i->vip_prefix == 0 || i->vip_prefix > bits)
        return err_set(e, ERR_INVAL, "%s: its address is none", i->service);
    return 0;
}

int instance_check(const struct agent_instance *i, struct err *e)
{
    if (!is_name(i->service, sizeof i->service))
        return err_set(e, ERR_INVAL, "a service has a name that cannot be");
    if (i->kind == KIND_NONE || i->kind >= INSTANCE_KINDS)
        return err_set(e, ERR_INVAL, "%s: there is no agent %u", i->service, i->kind);
    int r = check_places(i, e);
    r = r ? r : check_vip(i, e);
    if (r)
        return r;
    if (i->sync >= ROLE_NODES)
        return err_set(e, ERR_INVAL, "%s: %u synchronous replicas are too many", i->service,
                       i->sync);
    if (i->demotion == 0 || i->demotion > DEMOTION_MOST || i->hang_after == 0 ||
        i->hang_after > HANG_MOST)
        return err_set(e, ERR_INVAL, "%s: its times are out of range", i->service);
    if (i->kind == KIND_REDIS && (!is_password(i->password) || !is_password(i->gate_password) ||
                                  strcmp(i->password, i->gate_password) == 0))
        return err_set(e, ERR_INVAL, "%s: its passwords cannot be", i->service);
    return 0;
}

bool agent_role_check(const struct agent_role *r)
{
    bool names = r->what == ORDER_FOLLOW;
    return is_name(r->service, sizeof r->service) && r->what < INSTANCE_ORDERS &&
           (names ? r->primary < ROLE_NODES : r->primary == ROLE_NOBODY);
}
