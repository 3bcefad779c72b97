/* The bodies of the messages about services' instances. Pure. As agent_message.c: whoever receives
 * checks. */
#include "daemon/agent.h"
#include "daemon/agent_field.h"

enum { PLACE_MIN = 4 + ADDR_BYTES, FOLLOWER_BYTES = 1 + 8 + 8 };

/* --- out --- */

void agent_put_instance(struct buf *b, const struct agent_instance *i)
{
    put_str(b, str_of(i->service));
    put_u8(b, i->kind);
    put_u32(b, i->slot);
    put_u8(b, i->place);
    put_u32(b, i->n_places);
    for (uint32_t k = 0; k < i->n_places; k++) {
        put_str(b, str_of(i->places[k].name));
        put_addr(b, &i->places[k].address);
    }
    put_u32(b, i->sync);
    put_u8(b, i->strict);
    put_u8(b, i->vip.kind != ADDR_NONE);
    if (i->vip.kind != ADDR_NONE)
        put_addr(b, &i->vip);
    put_u8(b, i->vip_prefix);
    put_str(b, str_of(i->vip_interface));
    put_u64(b, i->demotion);
    put_u64(b, i->hang_after);
    put_str(b, str_of(i->password));
    put_str(b, str_of(i->gate_password));
}

void agent_put_role(struct buf *b, const struct agent_role *r, uint64_t ticket)
{
    put_u64(b, ticket);
    put_str(b, str_of(r->service));
    put_u8(b, r->what);
    put_u64(b, r->epoch);
    put_u8(b, r->primary);
}

void agent_put_report(struct buf *b, const struct agent_report *r)
{
    put_str(b, str_of(r->service));
    put_u8(b, r->kind);
    put_u8(b, r->state);
    put_u8(b, r->well);
    put_u8(b, r->joined);
    put_u8(b, r->vip);
    put_u8(b, r->follows);
    put_u64(b, r->epoch);
    put_u64(b, r->history);
    put_u64(b, r->position);
    put_u32(b, r->pid);
    put_u32(b, r->starts);
    put_u64(b, r->since);
    put_u32(b, r->n_followers);
    for (uint32_t k = 0; k < r->n_followers; k++) {
        put_u8(b, r->followers[k].connected);
        put_u64(b, r->followers[k].position);
        put_u64(b, r->followers[k].lag);
    }
    put_str(b, str_of(r->sentence));
}

/* --- in --- */

static uint8_t get_u8_below(struct reader *r, uint8_t limit)
{
    uint8_t v = get_u8(r);
    if (v >= limit)
        r->failed = true;
    return r->failed ? 0 : v;
}

static uint8_t get_place(struct reader *r)
{
    uint8_t v = get_u8(r);
    if (v >= ROLE_NODES && v != ROLE_NOBODY)
        r->failed = true;
    return r->failed ? ROLE_NOBODY : v;
}

static uint8_t get_places(struct reader *r, size_t least)
{
    uint32_t n = get_count(r, least);
    if (n > ROLE_NODES)
        r->failed = true;
    return r->failed ? 0 : (uint8_t)n;
}

static void get_vip(struct reader *r, struct agent_instance *i)
{
    if (get_flag(r))
        get_addr(r, &i->vip);
    i->vip_prefix = get_u8(r);
    get_text(r, i->vip_interface, sizeof i->vip_interface);
}

int agent_get_instance(struct reader *r, struct agent_instance *i, struct err *e)
{
    *i = (struct agent_instance){0};
    get_text(r, i->service, sizeof i->service);
    i->kind = get_u8(r);
    i->slot = get_u32(r);
    i->place = get_u8(r);
    i->n_places = get_places(r, PLACE_MIN);
    for (uint32_t k = 0; k < i->n_places && !r->failed; k++) {
        get_text(r, i->places[k].name, sizeof i->places[k].name);
        get_addr(r, &i->places[k].address);
    }
    i->sync = get_u32(r);
    i->strict = get_flag(r);
    get_vip(r, i);
    i->demotion = get_u64(r);
    i->hang_after = get_u64(r);
    get_text(r, i->password, sizeof i->password);
    get_text(r, i->gate_password, sizeof i->gate_password);
    if (!reader_done(r))
        return err_set(e, ERR_PROTO, "what an instance should be is malformed");
    return instance_check(i, e);
}

bool agent_get_role(struct reader *r, struct agent_role *o, uint64_t *ticket)
{
    *o = (struct agent_role){0};
    *ticket = get_u64(r);
    get_text(r, o->service, sizeof o->service);
    o->what = get_u8(r);
    o->epoch = get_u64(r);
    o->primary = get_u8(r);
    return reader_done(r) && agent_role_check(o);
}

static void get_followers(struct reader *r, struct agent_report *o)
{
    o->n_followers = get_places(r, FOLLOWER_BYTES);
    for (uint32_t k = 0; k < o->n_followers; k++) {
        o->followers[k].connected = get_flag(r);
        o->followers[k].position = get_u64(r);
        o->followers[k].lag = get_u64(r);
    }
}

bool agent_get_report(struct reader *r, struct agent_report *o)
{
    *o = (struct agent_report){0};
    get_text(r, o->service, sizeof o->service);
    o->kind = get_u8_below(r, INSTANCE_KINDS);
    o->state = get_u8_below(r, INSTANCE_PRIMARY + 1);
    o->well = get_flag(r);
    o->joined = get_flag(r);
    o->vip = get_flag(r);
    o->follows = get_place(r);
    o->epoch = get_u64(r);
    o->history = get_u64(r);
    o->position = get_u64(r);
    o->pid = get_u32(r);
    o->starts = get_u32(r);
    o->since = get_u64(r);
    get_followers(r, o);
    get_text(r, o->sentence, sizeof o->sentence);
    return reader_done(r);
}
