/* A view as bytes: fields in the order of view.h, little-endian, strings and arrays with a u32
 * count before them (base/codec.h). It begins with a magic number and the format, and ends with a
 * hash of all before, so that damage is noticed whatever it hits. decode.c is the mirror image: a
 * field that is added goes into both, and VIEW_FORMAT is raised. */
#include <endian.h>

#include "view/view.h"
#include "view/format.h"

static void put_addr(struct buf *b, const struct addr *a)
{
    put_u8(b, a->kind);
    put_u16(b, a->port);
    buf_add(b, a->ip, sizeof a->ip);
    put_str(b, a->kind == ADDR_UNIX ? str_of(a->path) : STR(""));
}

static void put_instance(struct buf *b, const struct view_instance *n)
{
    put_str(b, n->name);
    put_addr(b, &n->addr);
    put_u32(b, n->weight);
    put_u32(b, n->priority);
    put_u32(b, n->max_requests);
    put_str(b, n->zone);
    put_u32(b, n->own_weight);
    put_u8(b, n->origin);
    put_str(b, n->source);
    put_u32(b, n->slot);
}

static void put_sources(struct buf *b, const struct view_service *s)
{
    put_u8(b, s->dynamic);
    put_u32(b, s->n_sources);
    for (uint32_t i = 0; i < s->n_sources; i++) {
        put_u8(b, s->sources[i].kind);
        put_str(b, s->sources[i].name);
        put_u16(b, s->sources[i].port);
        put_instance(b, &s->sources[i].like);
    }
}

static void put_check(struct buf *b, const struct view_check *c)
{
    put_u8(b, c->kind);
    put_str(b, c->path);
    put_str(b, c->host);
    put_u16(b, c->status_min);
    put_u16(b, c->status_max);
    put_str(b, c->body);
    put_u8(b, c->secret);
    put_u64(b, c->interval);
    put_u64(b, c->fast_interval);
    put_u64(b, c->timeout);
    put_u32(b, c->rise);
    put_u32(b, c->fall);
}

static void put_timeouts(struct buf *b, const struct view_timeouts *t)
{
    put_u64(b, t->client_idle);
    put_u64(b, t->request_head);
    put_u64(b, t->connect);
    put_u64(b, t->first_byte);
    put_u64(b, t->idle);
    put_u64(b, t->tunnel);
    put_u64(b, t->flow);
    put_u64(b, t->drain);
}

static void put_policies(struct buf *b, const struct view_service *s)
{
    put_u32(b, s->retry.on);
    put_u32(b, s->retry.attempts);
    put_u32(b, s->retry.budget_permille);
    put_u32(b, s->retry.reserve);
    put_u64(b, s->retry.replay_max);
    put_u32(b, s->eject.after);
    put_u32(b, s->eject.share_permille);
    put_u64(b, s->eject.hold);
    put_u64(b, s->eject.hold_max);
    put_u32(b, s->eject.slow_permille);
    put_u64(b, s->eject.slow_least);
    put_u32(b, s->limits.head_bytes);
    put_u32(b, s->limits.head_fields);
    put_u64(b, s->limits.body_bytes);
    put_u32(b, s->limits.connections);
    put_u32(b, s->limits.connections_per_address);
    put_u64(b, s->limits.min_rate);
}

static void put_primary(struct buf *b, const struct view_primary *p)
{
    put_u8(b, p->agent);
    if (p->agent == AGENT_NONE)
        return;
    put_u32(b, p->n_on);
    for (uint32_t i = 0; i < p->n_on; i++)
        put_u32(b, p->on[i]);
    put_u16(b, p->port);
    put_addr(b, &p->vip);
    put_u8(b, p->vip_prefix);
    put_str(b, p->vip_interface);
    put_u32(b, p->sync);
    put_u8(b, p->strict);
    put_u64(b, p->lag_bytes);
    put_u64(b, p->lag_time);
    put_u32(b, p->n_readers);
    put_u8(b, p->only_replicas);
    put_words(b, &p->redis);
    put_words(b, &p->command);
    put_words(b, &p->hook);
    put_u64(b, p->hang_after);
    put_u64(b, p->hold);
    put_u32(b, p->hold_clients);
    put_u8(b, p->failback);
    put_u32(b, p->flaps);
    put_u64(b, p->flap_window);
    put_words(b, &p->apart);
}

void put_service(struct buf *b, const struct view_service *s)
{
    put_str(b, s->name);
    put_u32(b, s->slot);
    put_u8(b, s->mode);
    put_u8(b, s->proxy_in);
    put_u8(b, s->proxy_out);
    put_u32(b, s->replies);
    put_u8(b, s->trace);
    put_u8(b, s->hash.kind);
    put_str(b, s->hash.name);
    put_u32(b, s->hash_bound_permille);
    put_u32(b, s->group_permille);
    put_u32(b, s->subset);
    put_u64(b, s->slow_start);
    put_u32(b, s->n_sockets);
    for (uint32_t i = 0; i < s->n_sockets; i++)
        put_u32(b, s->sockets[i]);
    put_u32(b, (uint32_t)s->access_log);
    put_str(b, s->log.format);
    put_u32(b, s->log.sample_permille);
    put_u64(b, s->log.slow);
    put_u8(b, s->balance);
    put_u32(b, s->n_instances);
    for (uint32_t i = 0; i < s->n_instances; i++)
        put_instance(b, &s->instances[i]);
    put_sources(b, s);
    put_check(b, &s->check);
    put_timeouts(b, &s->timeouts);
    put_policies(b, s);
    put_traffic(b, s);
    put_primary(b, &s->primary);
}

static void put_resolver(struct buf *b, const struct view_resolver *r)
{
    put_u32(b, r->n_servers);
    for (uint32_t i = 0; i < r->n_servers; i++)
        put_addr(b, &r->servers[i]);
    put_u64(b, r->timeout);
    put_u64(b, r->ttl_least);
    put_u64(b, r->ttl_most);
}

static void put_beats(struct buf *b, const struct view *v)
{
    put_u32(b, v->n_beats);
    for (uint32_t i = 0; i < v->n_beats; i++) {
        put_str(b, v->beats[i].name);
        put_u64(b, v->beats[i].every);
        put_u64(b, v->beats[i].grace);
        put_u8(b, v->beats[i].secret);
        buf_add(b, v->beats[i].digest, sizeof v->beats[i].digest);
    }
}

static void put_notifies(struct buf *b, const struct view *v)
{
    put_u32(b, v->n_notifies);
    for (uint32_t i = 0; i < v->n_notifies; i++) {
        const struct view_notify *t = &v->notifies[i];
        put_str(b, t->name);
        put_str(b, t->webhook);
        put_str(b, t->key_file);
        put_words(b, &t->events);
        put_u64(b, t->repeat);
    }
}

static void put_logs(struct buf *b, const struct view *v)
{
    put_u32(b, v->n_logs);
    for (uint32_t i = 0; i < v->n_logs; i++) {
        const struct view_read_log *l = &v->logs[i];
        put_u8(b, l->subject);
        put_str(b, l->service);
        put_str(b, l->instance);
        put_str(b, l->path);
        put_str(b, l->unit);
        put_words(b, &l->packs);
        put_u32(b, l->n_rules);
        for (uint32_t k = 0; k < l->n_rules; k++) {
            put_str(b, l->rules[k].match);
            put_str(b, l->rules[k].except);
            put_u32(b, l->rules[k].over);
            put_u64(b, l->rules[k].window);
            put_u8(b, l->rules[k].verdict);
        }
        put_u64(b, l->learn);
    }
}

static void put_coordinator(struct buf *b, const struct view_coordinator *c)
{
    put_u8(b, c->kind);
    put_u32(b, c->n_endpoints);
    for (uint32_t i = 0; i < c->n_endpoints; i++)
        put_str(b, c->endpoints[i]);
    put_str(b, c->ca_file);
    put_str(b, c->cert_file);
    put_str(b, c->key_file);
    put_str(b, c->password_file);
    put_str(b, c->user);
}

static void put_cluster(struct buf *b, const struct view_cluster *k)
{
    put_str(b, k->name);
    put_u32(b, k->n_nodes);
    for (uint32_t i = 0; i < k->n_nodes; i++) {
        put_str(b, k->nodes[i].name);
        put_str(b, k->nodes[i].zone);
        put_addr(b, &k->nodes[i].address);
        put_u8(b, k->nodes[i].role);
        put_u16(b, k->nodes[i].place);
        put_u8(b, k->nodes[i].votes);
    }
    put_u32(b, k->self);
    put_str(b, k->key_file);
    put_u64(b, k->heartbeat);
    put_u64(b, k->suspect_after);
    put_u64(b, k->lease);
    put_u64(b, k->demotion);
    put_u32(b, k->n_voters);
    put_coordinator(b, &k->coordinator);
}

/* Eight bytes at a time; every step can be undone, so no change of one word is lost. */
uint64_t view_sum(struct str bytes)
{
    uint64_t h = bytes.n;
    for (; bytes.n; bytes.p += MIN(bytes.n, 8), bytes.n -= MIN(bytes.n, 8)) {
        uint64_t word = 0;
        memcpy(&word, bytes.p, MIN(bytes.n, 8));
        h = (h ^ le64toh(word)) * 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
    }
    return h;
}

void view_encode(const struct view *v, struct buf *out)
{
    size_t start = out->n;
    put_u32(out, VIEW_MAGIC);
    put_u32(out, VIEW_FORMAT);
    put_u64(out, v->epoch);
    put_u64(out, v->version);
    put_u32(out, v->workers);
    put_str(out, v->file);
    put_str(out, v->zone);
    put_resolver(out, &v->resolver);
    put_u64(out, v->audit.keep);
    put_u64(out, v->audit.size);
    put_u32(out, v->audit.rows);
    put_u32(out, v->n_sockets);
    for (uint32_t i = 0; i < v->n_sockets; i++) {
        put_u8(out, v->sockets[i].use);
        put_addr(out, &v->sockets[i].addr);
        put_u32(out, v->sockets[i].slot);
    }
    put_u32(out, v->n_services);
    for (uint32_t i = 0; i < v->n_services; i++)
        put_service(out, &v->services[i]);
    put_u32(out, v->n_tokens);
    for (uint32_t i = 0; i < v->n_tokens; i++) {
        put_str(out, v->tokens[i].name);
        buf_add(out, v->tokens[i].digest, sizeof v->tokens[i].digest);
        put_u32(out, v->tokens[i].rights);
    }
    put_beats(out, v);
    put_logs(out, v);
    put_notifies(out, v);
    put_cluster(out, &v->cluster);
    if (!out->failed)
        put_u64(out, view_sum((struct str){out->p + start, out->n - start}));
}
