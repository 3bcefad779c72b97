/* Any bytes as a view: as they are; with their hash repaired, so that what lies behind it is
 * reached; and as edits of a good view (two bytes where, one byte what), so that the depths are
 * reached whatever the format becomes. What is accepted is what every reader relies on, and encodes
 * to the same bytes. */
#include <stddef.h>
#include <stdint.h>

#include "view/format.h"
#include "view/view.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HASH = 8 };

static void check_view(struct view *v, struct str from)
{
    struct buf again = {0};
    CHECK(view_verify(v, NULL) == 0);
    view_encode(v, &again);
    CHECK(!again.failed && again.n == from.n && memcmp(again.p, from.p, from.n) == 0);
    buf_free(&again);
    for (uint32_t i = 0; i < v->n_services; i++) {
        const struct view_service *s = &v->services[i];
        CHECK(view_service_find(v, s->name) == s);
        for (uint32_t k = 0; k < s->n_sockets; k++)
            CHECK(v->sockets[s->sockets[k]].use == view_mode_use(s->mode));
        for (uint32_t k = 0; k < s->n_instances; k++)
            CHECK(s->instances[k].slot < VIEW_MAX_SLOTS);
    }
    CHECK(view_assign_slots(v, NULL, NULL) == 0);
    v->epoch = 1;
    CHECK(view_verify(v, NULL) == 0);
}

static void decode(struct str bytes)
{
    struct view *v = NULL;
    struct err e = {0};
    int rc = view_decode(bytes, &v, &e);
    CHECK((rc == 0) == (v != NULL));
    CHECK(rc == 0 || e.text[0]);
    if (v)
        check_view(v, bytes);
    view_free(v);
}

/* With its last bytes replaced by the hash of the others. */
static void decode_repaired(struct str bytes)
{
    struct buf b = {0};
    buf_add(&b, bytes.p, bytes.n - HASH);
    put_u64(&b, view_sum(buf_str(&b)));
    CHECK(!b.failed);
    decode(buf_str(&b));
    buf_free(&b);
}

static void add_instances(struct view *v, struct view_service *s, uint32_t first)
{
    static const char *const texts[] = {"10.0.0.1:80", "[2001:db8::1]:80", "unix:/run/a"};
    s->n_instances = ARRAY_LEN(texts);
    s->instances = arena_array(&v->arena, s->n_instances, sizeof *s->instances);
    for (uint32_t i = 0; i < s->n_instances; i++) {
        struct view_instance *n = &s->instances[i];
        *n = (struct view_instance){.name = str_of(texts[i]), .weight = 1, .slot = first + i};
        CHECK(addr_parse(n->name, &n->addr));
    }
}

static void add_cluster(struct view *v)
{
    struct view_cluster *k = &v->cluster;
    k->name = STR("prod");
    k->n_nodes = 3;
    k->nodes = arena_array(&v->arena, k->n_nodes, sizeof *k->nodes);
    k->nodes[0].name = STR("a");
    k->nodes[1] = (struct view_node){.name = STR("b"), .zone = STR("z"), .role = NODE_WITNESS};
    CHECK(addr_parse(STR("10.0.0.1:7300"), &k->nodes[0].address));
    CHECK(addr_parse(STR("[fd00::2]:7300"), &k->nodes[1].address));
    k->nodes[2] = (struct view_node){.name = STR("c"), .zone = STR(""), .place = 2};
    k->nodes[1].place = 1;
    CHECK(addr_parse(STR("10.0.0.3:7300"), &k->nodes[2].address));
    k->coordinator.kind = COORDINATOR_MANAGED;
    k->key_file = STR("/k");
    k->heartbeat = VIEW_HEARTBEAT_MIN;
    k->suspect_after = VIEW_LEAST_SILENCE * k->heartbeat;
    k->lease = k->demotion = VIEW_LEAST_LEASE * k->heartbeat;
    v->sockets[3].addr = v->sockets[4].addr = k->nodes[0].address;
}

static void add_words(struct view *v, struct view_words *w, const char *word)
{
    w->list = arena_array(&v->arena, 1, sizeof *w->list);
    w->list[0] = str_of(word);
    w->n = 1;
}

static void add_primary(struct view *v, struct view_service *s)
{
    *s = (struct view_service){.name = STR("cache"), .slot = 2, .mode = VIEW_TCP, .access_log = -1};
    s->retry.attempts = 1;
    s->n_sockets = 1;
    s->sockets = arena_array(&v->arena, 1, sizeof *s->sockets);
    s->sockets[0] = 5;
    s->primary = (struct view_primary){.agent = AGENT_REDIS,
                                       .n_on = 2,
                                       .on = {2, 0},
                                       .port = 6379,
                                       .vip = {.kind = ADDR_IP4, .ip = {10, 0, 0, 100}},
                                       .vip_prefix = 24,
                                       .vip_interface = STR("e"),
                                       .sync = 1,
                                       .hang_after = 1};
    add_words(v, &s->primary.hook, "/h");
    add_words(v, &s->primary.apart, "web");
}

/* Three services and a cluster, with everything in them. */
static struct view *sample(void)
{
    struct view *v = view_new();
    v->epoch = 1;
    v->file = STR("f");
    v->n_sockets = 6;
    v->sockets = arena_array(&v->arena, v->n_sockets, sizeof *v->sockets);
    v->sockets[0].use = SOCKET_HTTP;
    v->sockets[1].use = SOCKET_ACCESS_LOG;
    v->sockets[2].use = SOCKET_TCP;
    v->sockets[3].use = SOCKET_LINK;
    v->sockets[4].use = SOCKET_GOSSIP;
    v->sockets[5].use = SOCKET_TCP;
    for (uint32_t i = 0; i < v->n_sockets; i++)
        v->sockets[i].slot = i;
    CHECK(addr_parse(STR("127.0.0.1:80"), &v->sockets[0].addr));
    CHECK(addr_parse(STR("unix:/log"), &v->sockets[1].addr));
    CHECK(addr_parse(STR("[::1]:81"), &v->sockets[2].addr));
    CHECK(addr_parse(STR("0.0.0.0:26379"), &v->sockets[5].addr));
    add_cluster(v);
    v->n_services = 3;
    v->services = arena_array(&v->arena, v->n_services, sizeof *v->services);
    add_primary(v, &v->services[2]);
    for (uint32_t i = 0; i < 2; i++) {
        struct view_service *s = &v->services[i];
        s->name = i ? STR("db") : STR("web");
        s->slot = i;
        s->mode = i ? VIEW_TCP : VIEW_HTTP;
        s->n_sockets = 1;
        s->sockets = arena_array(&v->arena, 1, sizeof *s->sockets);
        s->sockets[0] = i ? 2 : 0;
        s->access_log = i ? -1 : 1;
        s->check = (struct view_check){.kind = CHECK_HTTP,
                                       .path = STR("/"),
                                       .status_min = 200,
                                       .status_max = 299,
                                       .interval = 1,
                                       .fast_interval = 1,
                                       .timeout = 1,
                                       .rise = 1,
                                       .fall = 1};
        s->retry.attempts = 1;
        add_instances(v, s, 3 * i);
    }
    CHECK(view_verify(v, NULL) == 0);
    return v;
}

static void decode_edited(const uint8_t *data, size_t size)
{
    struct view *v = sample();
    struct buf b = {0};
    view_encode(v, &b);
    view_free(v);
    for (size_t i = 0; i + 2 < size; i += 3)
        b.p[((size_t)data[i] << 8 | data[i + 1]) % b.n] = (char)data[i + 2];
    decode_repaired(buf_str(&b));
    buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = {(const char *)data, size};
    decode(bytes);
    if (size >= HASH)
        decode_repaired(bytes);
    decode_edited(data, MIN(size, (size_t)96)); /* a few edits go deep, many go nowhere */
    return 0;
}
