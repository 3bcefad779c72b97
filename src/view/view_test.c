/* The codec is driven over every truncation and every single-byte corruption of a full view, the
 * slots over reloads. */
#include "view/format.h"
#include "view/view.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define SECOND 1000000000ull

static struct addr address(const char *text)
{
    struct addr a;
    assert_true(addr_parse(str_of(text), &a));
    return a;
}

static void add_instances(struct view *v, struct view_service *s, const char *const *names)
{
    while (names[s->n_instances])
        s->n_instances++;
    s->instances = arena_array(&v->arena, s->n_instances, sizeof *s->instances);
    for (uint32_t i = 0; i < s->n_instances; i++)
        s->instances[i] = (struct view_instance){str_of(names[i]), address("10.0.0.1:80"), 1, 0};
}

static void defaults(struct view_service *s)
{
    s->access_log = -1;
    s->check =
        (struct view_check){CHECK_HTTP, STR("/health"), STR("web.example"), 200,    399, STR("ok"),
                            true,       SECOND,         SECOND / 5,         SECOND, 2,   3};
    s->timeouts = (struct view_timeouts){1, 2, 3, 4, 5, 6, 7};
    s->retry = (struct view_retry){RETRY_CONNECT | RETRY_5XX, 3, 200, 32, 65536};
    s->eject = (struct view_eject){5, 700, SECOND, 30 * SECOND};
    s->limits = (struct view_limits){16384, 100, 1ull << 40, 1000, 10, 100};
}

/* Services by name; of each, instances by name. Names are string literals. */
static struct view *make(const char *const *services, const char *const *instances)
{
    struct view *v = view_new();
    assert_non_null(v);
    while (services[v->n_services])
        v->n_services++;
    v->services = arena_array(&v->arena, v->n_services, sizeof *v->services);
    for (uint32_t i = 0; i < v->n_services; i++) {
        v->services[i].name = str_of(services[i]);
        defaults(&v->services[i]);
        add_instances(v, &v->services[i], instances);
    }
    return v;
}

#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})

static struct view_words words(struct view *v, const char *one)
{
    struct view_words w = {arena_array(&v->arena, 1, sizeof *w.list), 1};
    w.list[0] = str_of(one);
    return w;
}

/* One of everything. */
static void add_traffic(struct view *v, struct view_service *s)
{
    s->admit = (struct view_admit){100, 10, 50, SECOND};
    s->breaker = (struct view_breaker){500, 20, 10 * SECOND, 5 * SECOND};
    s->sticky = (struct view_sticky){STICKY_INSERT, STR("SRV"), SECOND, true};
    s->n_routes = 2;
    s->routes = arena_array(&v->arena, 2, sizeof *s->routes);
    struct view_route *r = &s->routes[0];
    r->name = STR("api");
    r->match = (struct view_match){words(v, "*.example.com"), words(v, "/v1"), words(v, "GET"),
                                   words(v, "x-beta: yes"),   words(v, "a=b"), words(v, "c")};
    r->n_targets = 1;
    r->targets = arena_array(&v->arena, 1, sizeof *r->targets);
    r->targets[0] = (struct view_target){1, 95};
    r->rewrite = STR("/v2");
    struct view_rules *rules = &r->rules;
    rules->n_request = rules->n_response = rules->n_rates = 1;
    rules->request = arena_array(&v->arena, 1, sizeof *rules->request);
    rules->request[0] = (struct view_edit){EDIT_SET, STR("X-Env"), STR("prod")};
    rules->response = arena_array(&v->arena, 1, sizeof *rules->response);
    rules->response[0] = (struct view_edit){EDIT_REMOVE, STR("Server"), STR("")};
    rules->rates = arena_array(&v->arena, 1, sizeof *rules->rates);
    rules->rates[0] = (struct view_rate){{HASH_NONE, STR("")}, 100, 20, SECOND, 1024};
    rules->mirror_permille = 100;
    rules->mirror = 1;
    rules->idempotent = true;
    rules->hedge_after = SECOND;
    rules->hedge_permille = 950;
    rules->secret = true;
    s->routes[1] = (struct view_route){
        .name = STR("old"), .action = ROUTE_REDIRECT, .location = STR("/new{rest}"), .status = 301};
    s->n_pages = 1;
    s->pages = arena_array(&v->arena, 1, sizeof *s->pages);
    s->pages[0] = (struct view_page){503, STR("text/html"), STR("<p>later</p>")};
}

/* Instances that come and go, and what gives them. */
static void add_sources(struct view *v, struct view_service *s)
{
    s->dynamic = true;
    s->instances[1].origin = ORIGIN_DNS;
    s->instances[1].source = STR("api.internal:80");
    s->instances[1].own_weight = 9;
    s->n_sources = 2;
    s->sources = arena_array(&v->arena, 2, sizeof *s->sources);
    s->sources[0] = (struct view_source){
        SOURCE_HOST, STR("api.internal"), 80, {.name = STR(""), .weight = 3, .source = STR("")}};
    s->sources[1] = (struct view_source){
        SOURCE_DIR, STR("/etc/web.d"), 0, {.name = STR(""), .source = STR("")}};
    v->audit = (struct view_audit){3600 * SECOND, 1 << 20, 5000};
    v->resolver.n_servers = 1;
    v->resolver.servers = arena_array(&v->arena, 1, sizeof *v->resolver.servers);
    v->resolver.servers[0] = address("127.0.0.1:53");
    v->resolver.timeout = v->resolver.ttl_least = SECOND;
    v->resolver.ttl_most = 300 * SECOND;
}

/* Three nodes, and the sockets of this one. */
static void add_cluster(struct view *v)
{
    struct view_cluster *k = &v->cluster;
    k->name = STR("prod");
    k->n_nodes = 3;
    k->nodes = arena_array(&v->arena, 3, sizeof *k->nodes);
    k->nodes[0] =
        (struct view_node){STR("a"), STR("z1"), address("10.0.0.1:7300"), NODE_MEMBER, 2, false};
    k->nodes[1] =
        (struct view_node){STR("b"), STR(""), address("[fd00::2]:7301"), NODE_MEMBER, 0, true};
    k->nodes[2] =
        (struct view_node){STR("ba"), STR(""), address("10.0.0.1:7302"), NODE_WITNESS, 1, false};
    k->self = 1;
    k->key_file = STR("/etc/cluster.key");
    k->heartbeat = 50 * (SECOND / 1000);
    k->suspect_after = 200 * (SECOND / 1000);
    k->lease = 300 * (SECOND / 1000);
    k->demotion = 100 * (SECOND / 1000);
    k->n_voters = 1;
    k->coordinator = (struct view_coordinator){.kind = COORDINATOR_EXTERNAL,
                                               .n_endpoints = 2,
                                               .ca_file = STR("/etc/ca.pem"),
                                               .cert_file = STR("/etc/cert.pem"),
                                               .key_file = STR("/etc/key.pem"),
                                               .password_file = STR("/etc/password"),
                                               .user = STR("holdfast")};
    k->coordinator.endpoints = arena_array(&v->arena, 2, sizeof(struct str));
    k->coordinator.endpoints[0] = STR("https://10.0.0.9:2379");
    k->coordinator.endpoints[1] = STR("https://10.0.0.10:2379");
    v->sockets[3] = (struct view_socket){SOCKET_LINK, k->nodes[1].address};
    v->sockets[4] = (struct view_socket){SOCKET_GOSSIP, k->nodes[1].address};
}

static void add_logs(struct view *v)
{
    v->n_logs = 2;
    v->logs = arena_array(&v->arena, 2, sizeof *v->logs);
    struct view_log_rule *r = arena_array(&v->arena, 1, sizeof *r);
    r[0] = (struct view_log_rule){STR("FATAL|PANIC"), STR("test"), 5, 10 * SECOND, VERDICT_FAILED};
    v->logs[0] = (struct view_read_log){.subject = SUBJECT_INSTANCE,
                                        .service = STR("web"),
                                        .instance = STR("10.0.0.1:80"),
                                        .path = STR("/var/log/app.log"),
                                        .rules = r,
                                        .n_rules = 1};
    struct str *packs = arena_array(&v->arena, 1, sizeof *packs);
    packs[0] = STR("systemd");
    v->logs[1] = (struct view_read_log){.subject = SUBJECT_NODE,
                                        .unit = STR("redis.service"),
                                        .packs = {packs, 1},
                                        .learn = 300 * SECOND};
}

static void add_notifies(struct view *v)
{
    struct str *events = arena_array(&v->arena, 1, sizeof *events);
    events[0] = STR("error");
    v->n_notifies = 2;
    v->notifies = arena_array(&v->arena, 2, sizeof *v->notifies);
    v->notifies[0] = (struct view_notify){STR("a"), STR("h"), STR("/etc/key"), {events, 1}, SECOND};
    v->notifies[1] = (struct view_notify){STR("dev"), STR("http://c"), STR(""), {NULL, 0}, SECOND};
}

static void add_beats(struct view *v)
{
    add_notifies(v);
    v->n_beats = 2;
    v->beats = arena_array(&v->arena, 2, sizeof *v->beats);
    v->beats[0] = (struct view_beat){STR("backup"), 3600 * SECOND, 60 * SECOND, true, {1, 2, 3}};
    v->beats[1] = (struct view_beat){STR("report"), SECOND, 0, false, {0}};
    v->sockets[5] = (struct view_socket){SOCKET_BEAT, address("127.0.0.1:7301")};
    v->sockets[6] = (struct view_socket){SOCKET_BEAT_DATAGRAM, address("127.0.0.1:7301")};
}

static struct view_words command(struct view *v, const char *program, const char *argument)
{
    struct view_words w = {arena_array(&v->arena, 2, sizeof *w.list), 2};
    w.list[0] = str_of(program);
    w.list[1] = str_of(argument);
    return w;
}

/* Of kind primary, on two nodes. */
static void add_primary(struct view *v, struct view_service *s)
{
    struct addr vip = address("10.0.0.100:1");
    vip.port = 0;
    s->mode = VIEW_TCP;
    s->n_instances = 0;
    s->check = (struct view_check){.kind = CHECK_NONE};
    v->sockets[7] = (struct view_socket){SOCKET_TCP, address("0.0.0.0:26379")};
    s->n_sockets = 1;
    s->sockets = arena_array(&v->arena, 1, sizeof(uint32_t));
    s->sockets[0] = 7;
    s->primary = (struct view_primary){.agent = AGENT_REDIS,
                                       .on = {1, 0},
                                       .n_on = 2,
                                       .port = 6379,
                                       .vip = vip,
                                       .vip_prefix = 24,
                                       .vip_interface = STR("eth0"),
                                       .sync = 1,
                                       .strict = true,
                                       .lag_bytes = 1000,
                                       .lag_time = SECOND,
                                       .n_readers = 1,
                                       .only_replicas = true,
                                       .redis = words(v, "maxmemory 1g"),
                                       .hook = command(v, "/bin/hook", ""),
                                       .hang_after = SECOND,
                                       .hold = SECOND,
                                       .hold_clients = 100,
                                       .failback = true,
                                       .flaps = 3,
                                       .flap_window = 60 * SECOND,
                                       .apart = words(v, "web")};
}

static struct view *full(void)
{
    struct view *v = make(NAMES("web", "api", "cache"), NAMES("a", "b", "c"));
    v->epoch = 7;
    v->workers = 3;
    v->version = 42;
    v->file = STR("/etc/web.conf");
    v->zone = STR("a");
    v->n_sockets = 8;
    v->sockets = arena_array(&v->arena, 8, sizeof *v->sockets);
    v->sockets[0] = (struct view_socket){SOCKET_HTTP, address("0.0.0.0:8080")};
    v->sockets[1] = (struct view_socket){SOCKET_ACCESS_LOG, address("unix:/tmp/log")};
    v->sockets[2] = (struct view_socket){SOCKET_HTTP, address("[::1]:8081")};
    add_cluster(v);
    add_beats(v);
    add_logs(v);
    v->services[0].n_sockets = 2;
    v->services[0].sockets = arena_array(&v->arena, 2, sizeof(uint32_t));
    v->services[0].sockets[1] = 2;
    v->services[0].access_log = 1;
    v->services[0].proxy_in = true;
    v->services[0].replies = 3;
    v->services[0].trace = TRACE_START;
    v->services[0].instances[1].max_requests = 7;
    v->services[0].instances[2].zone = STR("b");
    add_traffic(v, &v->services[0]);
    add_sources(v, &v->services[0]);
    v->services[1].check = (struct view_check){.kind = CHECK_NONE};
    v->services[1].balance = ALGORITHM_LEAST_REQUESTS;
    v->services[1].instances[2].addr = address("unix:@app");
    add_primary(v, &v->services[2]);
    assert_int_equal(view_assign_slots(v, NULL, NULL), 0);
    return v;
}

static struct buf encoded(const struct view *v)
{
    struct buf b = {0};
    view_encode(v, &b);
    assert_false(b.failed);
    return b;
}

static void round_trip(void **state)
{
    struct view *v = full(), *back = NULL;
    struct buf one = encoded(v);
    struct err e = {0};
    assert_int_equal(view_decode(buf_str(&one), &back, &e), 0);
    struct buf two = encoded(back);
    assert_int_equal(one.n, two.n);
    assert_memory_equal(one.p, two.p, one.n);

    assert_int_equal(back->epoch, 7);
    assert_int_equal(back->workers, 3);
    assert_true(str_eq(back->file, STR("/etc/web.conf")));
    assert_true(str_eq(view_self(back)->name, STR("b")));
    assert_int_equal(view_node_find(back, STR("ba"))->role, NODE_WITNESS);
    assert_null(view_node_find(back, STR("c")));
    assert_true(view_self(back)->votes && !view_node_find(back, STR("a"))->votes);
    assert_int_equal(view_node_find(back, STR("a"))->place, 2);
    const struct view_coordinator *k = &back->cluster.coordinator;
    assert_int_equal(k->kind, COORDINATOR_EXTERNAL);
    assert_true(str_eq(k->endpoints[1], STR("https://10.0.0.10:2379")));
    assert_true(str_eq(k->password_file, STR("/etc/password")));
    assert_true(str_eq(k->user, STR("holdfast")));
    assert_int_equal(back->n_beats, 2);
    assert_true(str_eq(back->beats[0].name, STR("backup")) && back->beats[0].secret);
    assert_int_equal(back->beats[0].grace, 60 * SECOND);
    assert_int_equal(back->beats[0].digest[2], 3);
    assert_int_equal(back->n_notifies, 2);
    assert_true(str_eq(back->notifies[0].key_file, STR("/etc/key")));
    assert_int_equal(back->notifies[1].repeat, SECOND);
    assert_int_equal(back->n_logs, 2);
    assert_true(str_eq(back->logs[0].path, STR("/var/log/app.log")));
    assert_true(str_eq(back->logs[0].rules[0].except, STR("test")));
    assert_int_equal(back->logs[0].rules[0].over, 5);
    assert_int_equal(back->logs[0].rules[0].window, 10 * SECOND);
    assert_int_equal(back->logs[0].rules[0].verdict, VERDICT_FAILED);
    assert_true(str_eq(back->logs[1].unit, STR("redis.service")));
    assert_true(str_eq(back->logs[1].packs.list[0], STR("systemd")));
    assert_int_equal(back->logs[1].learn, 300 * SECOND);
    assert_true(str_eq(back->cluster.key_file, STR("/etc/cluster.key")));
    const struct view_service *web = view_service_find(back, STR("web"));
    assert_non_null(web);
    assert_int_equal(web->sockets[1], 2);
    assert_int_equal(web->access_log, 1);
    assert_true(addr_eq(&back->sockets[2].addr, &v->sockets[2].addr));
    assert_memory_equal(&web->timeouts, &v->services[0].timeouts, sizeof web->timeouts);
    assert_memory_equal(&web->retry, &v->services[0].retry, sizeof web->retry);
    assert_memory_equal(&web->eject, &v->services[0].eject, sizeof web->eject);
    assert_memory_equal(&web->limits, &v->services[0].limits, sizeof web->limits);
    assert_true(str_eq(web->check.path, STR("/health")));
    assert_true(str_eq(web->check.host, STR("web.example")));
    assert_true(str_eq(web->check.body, STR("ok")));
    assert_int_equal(web->check.status_max, 399);
    assert_true(web->check.secret);
    assert_true(web->proxy_in);
    assert_int_equal(web->replies, 3);
    assert_int_equal(web->trace, TRACE_START);
    assert_int_equal(web->mode, VIEW_HTTP);
    assert_int_equal(web->check.fast_interval, SECOND / 5);
    assert_memory_equal(&web->admit, &v->services[0].admit, sizeof web->admit);
    assert_memory_equal(&web->breaker, &v->services[0].breaker, sizeof web->breaker);
    assert_int_equal(web->instances[1].max_requests, 7);
    assert_true(str_eq(web->instances[2].zone, STR("b")));
    assert_true(str_eq(back->zone, STR("a")));
    assert_true(web->dynamic);
    assert_int_equal(web->instances[1].origin, ORIGIN_DNS);
    assert_int_equal(web->instances[1].own_weight, 9);
    assert_true(str_eq(web->instances[1].source, STR("api.internal:80")));
    assert_int_equal(web->n_sources, 2);
    assert_true(str_eq(web->sources[0].name, STR("api.internal")));
    assert_int_equal(web->sources[0].port, 80);
    assert_int_equal(web->sources[0].like.weight, 3);
    assert_int_equal(web->sources[1].kind, SOURCE_DIR);
    assert_true(addr_eq(&back->resolver.servers[0], &v->resolver.servers[0]));
    assert_int_equal(back->resolver.ttl_most, 300 * SECOND);
    assert_memory_equal(&back->audit, &v->audit, sizeof v->audit);
    const struct view_route *r = &web->routes[0];
    assert_true(str_eq(r->match.cookies.list[0], STR("c")));
    assert_true(str_eq(r->rewrite, STR("/v2")));
    assert_int_equal(r->targets[0].weight, 95);
    assert_true(str_eq(r->rules.response[0].name, STR("Server")));
    assert_int_equal(r->rules.rates[0].keys, 1024);
    assert_int_equal(r->rules.mirror, 1);
    assert_true(r->rules.idempotent);
    assert_int_equal(r->rules.hedge_permille, 950);
    assert_true(r->rules.secret);
    assert_int_equal(web->routes[1].status, 301);
    assert_true(str_eq(web->pages[0].body, STR("<p>later</p>")));
    const struct view_service *api = view_service_find(back, STR("api"));
    assert_int_equal(api->access_log, -1);
    assert_int_equal(api->balance, ALGORITHM_LEAST_REQUESTS);
    const struct view_instance *c = view_instance_find(api, STR("c"));
    assert_true(addr_eq(&c->addr, &v->services[1].instances[2].addr));
    assert_int_equal(c->slot, v->services[1].instances[2].slot);
    assert_null(view_instance_find(api, STR("d")));
    assert_null(view_service_find(back, STR("we")));
    buf_free(&one);
    buf_free(&two);
    view_free(v);
    view_free(back);
    view_free(NULL);
}

/* Fuzzers and the corruption test repair the hash, so that what lies behind it is reached too. */
static void repair(struct buf *b)
{
    uint64_t h = view_sum((struct str){b->p, b->n - 8});
    b->n -= 8;
    put_u64(b, h);
}

static void every_truncation_is_refused(void **state)
{
    struct view *v = full(), *out = NULL;
    struct buf b = encoded(v);
    for (size_t n = 0; n < b.n; n++) {
        struct err e = {0};
        char *copy = mem_alloc(n); /* of exactly this size: reading past it is seen by ASan */
        memcpy(copy, b.p, n);
        assert_int_equal(view_decode((struct str){copy, n}, &out, &e), -ERR_PROTO);
        assert_int_not_equal(e.text[0], 0);
        if (n >= 16) {
            struct buf cut = {copy, n, n, n, false};
            repair(&cut);
            assert_int_equal(view_decode(buf_str(&cut), &out, NULL), -ERR_PROTO);
        }
        mem_free(copy);
    }
    assert_null(out);
    buf_add(&b, "x", 1);
    repair(&b);
    assert_int_equal(view_decode(buf_str(&b), &out, NULL), -ERR_PROTO);
    buf_free(&b);
    view_free(v);
}

/* What a reader relies on, written independently of verify.c. */
static void assert_sound(const struct view *v)
{
    uint32_t total = 0;
    assert_in_range(v->workers, 1, 64);
    for (uint32_t i = 0; i < v->n_services; i++) {
        const struct view_service *s = &v->services[i];
        assert_true(s->slot < VIEW_MAX_SERVICES);
        assert_true(s->balance < ALGORITHMS);
        for (uint32_t k = 0; k < s->n_sockets; k++) {
            assert_true(s->sockets[k] < v->n_sockets);
            assert_int_equal(v->sockets[s->sockets[k]].use, i == 2 ? SOCKET_TCP : SOCKET_HTTP);
        }
        assert_true(s->access_log == -1 ||
                    (s->access_log >= 0 && (uint32_t)s->access_log < v->n_sockets &&
                     v->sockets[s->access_log].use == SOCKET_ACCESS_LOG));
        for (uint32_t k = 0; k < s->n_instances; k++) {
            const struct view_instance *n = &s->instances[k];
            assert_true(n->slot < VIEW_MAX_SLOTS && n->weight <= 1000 && n->name.n);
            assert_ptr_equal(view_instance_find(s, n->name), n);
            assert_int_equal(n->name.p[n->name.n], 0);
            assert_in_range(n->addr.kind, ADDR_IP4, ADDR_UNIX);
        }
        for (uint32_t k = 0; k < s->primary.n_on && view_is_primary(s); k++) {
            assert_true(s->primary.on[k] < v->cluster.n_nodes);
            assert_true(v->cluster.nodes[s->primary.on[k]].role == NODE_MEMBER);
        }
        assert_true(!view_is_primary(s) || s->primary.sync < s->primary.n_on);
        total += s->n_instances;
        assert_ptr_equal(view_service_find(v, s->name), s);
        assert_in_range(s->retry.attempts, 1, 16);
        assert_true(s->check.kind == CHECK_NONE || (s->check.rise >= 1 && s->check.interval > 0));
    }
    assert_true(total <= VIEW_MAX_SLOTS);
}

static void every_corruption_is_refused_or_sound(void **state)
{
    struct view *v = full();
    struct buf good = encoded(v);
    size_t accepted = 0;
    for (size_t at = 0; at < good.n; at++) {
        for (int byte = 0; byte < 256; byte++) {
            struct buf b = {0};
            struct view *out = NULL;
            if ((uint8_t)good.p[at] == byte)
                continue;
            buf_add(&b, good.p, good.n);
            b.p[at] = (char)byte;
            assert_int_equal(view_decode(buf_str(&b), &out, NULL), -ERR_PROTO);
            repair(&b);
            if (at < b.n - 8 && view_decode(buf_str(&b), &out, NULL) == 0) {
                assert_sound(out);
                accepted++;
            }
            view_free(out);
            buf_free(&b);
        }
    }
    assert_true(accepted > 1000); /* names, ports and durations may be anything */
    buf_free(&good);
    view_free(v);
}

static void bounds_are_checked(void **state)
{
    struct view *v = full(), *out;
    struct view_service *web = &v->services[0];
#define REFUSED(lvalue, value)                                                                     \
    do {                                                                                           \
        __typeof__(lvalue) was = (lvalue);                                                         \
        struct err e = {0};                                                                        \
        (lvalue) = (value);                                                                        \
        struct buf b = encoded(v);                                                                 \
        assert_int_equal(view_decode(buf_str(&b), &out, &e), -ERR_PROTO);                          \
        assert_int_equal(view_verify(v, &e), -ERR_PROTO);                                          \
        buf_free(&b);                                                                              \
        (lvalue) = was;                                                                            \
        assert_int_equal(view_verify(v, &e), 0);                                                   \
    } while (0)
    REFUSED(v->workers, 0u);
    REFUSED(v->workers, 65u);
    REFUSED(web->name, STR(""));
    REFUSED(web->name, STR("api"));
    REFUSED(web->slot, (uint32_t)VIEW_MAX_SERVICES);
    REFUSED(web->slot, v->services[1].slot);
    REFUSED(web->sockets[0], 1u); /* the access log */
    REFUSED(web->sockets[0], 3u);
    REFUSED(web->mode, (uint8_t)VIEW_MODES);
    REFUSED(web->mode, (uint8_t)VIEW_TCP); /* its listeners speak HTTP */
    REFUSED(web->proxy_out, (uint8_t)1);
    REFUSED(web->replies, (uint32_t)VIEW_MAX_REPLIES + 1);
    REFUSED(web->trace, (uint8_t)TRACES);
    REFUSED(web->access_log, 0);
    REFUSED(web->access_log, -2);
    REFUSED(web->access_log, 3);
    REFUSED(web->balance, (uint8_t)ALGORITHMS);
    REFUSED(web->instances[0].name, STR(""));
    REFUSED(web->instances[0].origin, (uint8_t)ORIGINS);
    REFUSED(web->instances[0].origin, (uint8_t)ORIGIN_DNS); /* without a name */
    REFUSED(web->instances[0].own_weight, 1001u);
    REFUSED(web->sources[0].kind, (uint8_t)SOURCE_KINDS);
    REFUSED(web->sources[0].kind, (uint8_t)SOURCE_SRV); /* has a port of its own */
    REFUSED(web->sources[0].port, (uint16_t)0);
    REFUSED(web->sources[0].name, STR(""));
    REFUSED(web->sources[0].like.weight, 1001u);
    REFUSED(web->sources[1].name, STR("web.d"));
    REFUSED(v->resolver.ttl_least, v->resolver.ttl_most + 1);
    REFUSED(v->resolver.servers[0].port, (uint16_t)0);
    REFUSED(v->audit.size, (uint64_t)2 << 30);
    REFUSED(v->audit.rows, (uint32_t)20000000);
    struct view_route *route = &web->routes[0];
    struct view_rules *rules = &route->rules;
    REFUSED(route->name, STR("old"));
    REFUSED(route->name, STR(""));
    REFUSED(route->action, (uint8_t)ROUTE_ACTIONS);
    REFUSED(route->targets[0].service, 2u);
    REFUSED(route->targets[0].weight, 0u);
    REFUSED(route->match.paths.list[0], STR("v1"));
    REFUSED(route->match.hosts.list[0], STR(""));
    REFUSED(route->rewrite, STR("/a\r\nb"));
    REFUSED(web->routes[1].location, STR(""));
    REFUSED(web->routes[1].status, (uint16_t)200);
    REFUSED(rules->request[0].name, STR("Content-Length"));
    REFUSED(rules->request[0].name, STR("X Y"));
    REFUSED(rules->request[0].value, STR("a\nb"));
    REFUSED(rules->request[0].op, (uint8_t)3);
    REFUSED(rules->rates[0].requests, 0u);
    REFUSED(rules->rates[0].every, UINT64_C(0));
    REFUSED(rules->rates[0].per.kind, (uint8_t)HASH_HEADER); /* of no name */
    REFUSED(rules->rates[0].keys, (uint32_t)VIEW_MAX_RATE_KEYS + 1);
    REFUSED(rules->mirror, 2u);
    REFUSED(rules->mirror_permille, 1001u);
    REFUSED(rules->hedge_permille, 1000u);
    REFUSED(web->pages[0].status, (uint16_t)399);
    REFUSED(web->sticky.cookie, STR(""));
    REFUSED(web->sticky.kind, (uint8_t)3);
    REFUSED(web->breaker.failed_permille, 1001u);
    REFUSED(web->hash.kind, (uint8_t)HASH_NONE);
    REFUSED(web->instances[0].name, STR("b"));
    REFUSED(web->instances[0].slot, (uint32_t)VIEW_MAX_SLOTS);
    REFUSED(web->instances[0].slot, v->services[1].instances[2].slot);
    REFUSED(web->instances[0].weight, 1001u);
    REFUSED(web->instances[0].addr.kind, (uint8_t)ADDR_NONE);
    REFUSED(web->instances[0].addr.port, (uint16_t)0);
    REFUSED(web->check.kind, (uint8_t)3);
    REFUSED(web->check.path, STR("health"));
    REFUSED(web->check.status_min, (uint16_t)400);
    REFUSED(web->check.status_max, (uint16_t)600);
    REFUSED(web->check.interval, (uint64_t)0);
    REFUSED(web->check.fast_interval, (uint64_t)0);
    REFUSED(web->check.timeout, VIEW_MAX_DURATION + 1);
    REFUSED(web->check.rise, 0u);
    REFUSED(web->check.fall, 101u);
    REFUSED(web->timeouts.drain, VIEW_MAX_DURATION + 1);
    REFUSED(web->retry.on, 16u);
    REFUSED(web->retry.attempts, 0u);
    REFUSED(web->retry.attempts, 17u);
    REFUSED(web->retry.budget_permille, 1001u);
    REFUSED(web->retry.replay_max, (uint64_t)VIEW_MAX_REPLAY + 1);
    REFUSED(web->eject.share_permille, 1001u);
    REFUSED(web->eject.hold_max, UINT64_MAX);
    REFUSED(web->limits.head_fields, 257u);
    REFUSED(web->limits.connections, VIEW_MAX_CONNECTIONS + 1u);
    REFUSED(web->limits.connections_per_address, VIEW_MAX_CONNECTIONS + 1u);
    REFUSED(web->limits.min_rate, VIEW_MAX_MIN_RATE + 1ull);
    REFUSED(v->sockets[0].use, (uint8_t)SOCKET_USES);
    REFUSED(v->sockets[1].addr.path[0], '@');
    REFUSED(v->sockets[2].addr, v->sockets[0].addr);
    REFUSED(v->sockets[6].addr, address("unix:/run/beats"));
    REFUSED(v->sockets[6].use, (uint8_t)SOCKET_BEAT); /* of the other's address */
    REFUSED(v->logs[0].subject, SUBJECT_DISK);
    REFUSED(v->logs[0].service, STR(""));
    REFUSED(v->logs[0].instance, STR(""));
    REFUSED(v->logs[0].path, STR("app.log"));
    REFUSED(v->logs[0].unit, STR("a.service"));
    REFUSED(v->logs[0].rules[0].match, STR(""));
    REFUSED(v->logs[0].rules[0].over, 0);
    REFUSED(v->logs[0].rules[0].window, (uint64_t)0);
    REFUSED(v->logs[0].rules[0].verdict, VERDICT_SUSPECT);
    REFUSED(v->logs[1].learn, VIEW_MAX_DURATION + 1);
    REFUSED(v->notifies[1].name, STR("a"));
    REFUSED(v->beats[1].name, STR("backup"));
    REFUSED(v->beats[1].name, STR(""));
    REFUSED(v->beats[1].every, (uint64_t)0);
    REFUSED(v->beats[1].every, VIEW_MAX_DURATION + 1);
    REFUSED(v->beats[1].grace, VIEW_MAX_DURATION + 1);
    struct view_cluster *k = &v->cluster;
    REFUSED(k->name, STR(""));
    REFUSED(k->self, 3u);
    REFUSED(k->self, 0u); /* the sockets are another node's */
    REFUSED(k->key_file, STR("cluster.key"));
    REFUSED(k->key_file, STR(""));
    REFUSED(k->heartbeat, VIEW_HEARTBEAT_MIN - 1);
    REFUSED(k->heartbeat, VIEW_HEARTBEAT_MAX + 1);
    REFUSED(k->suspect_after, 3 * k->heartbeat - 1);
    REFUSED(k->suspect_after, VIEW_MAX_DURATION + 1);
    REFUSED(k->lease, VIEW_LEAST_LEASE * k->heartbeat - 1);
    REFUSED(k->lease, VIEW_LEASE_MAX + 1);
    REFUSED(k->demotion, (uint64_t)0);
    REFUSED(k->demotion, k->lease + 1);
    REFUSED(k->nodes[0].name, STR(""));
    REFUSED(k->nodes[0].name, STR("b"));
    REFUSED(k->nodes[0].name, STR("bb"));
    REFUSED(k->nodes[0].role, (uint8_t)NODE_ROLES);
    REFUSED(k->nodes[0].address, k->nodes[2].address);
    REFUSED(k->nodes[0].address, address("unix:/run/a"));
    REFUSED(k->nodes[0].address.port, (uint16_t)0);
    REFUSED(k->nodes[0].place, (uint16_t)0);
    REFUSED(k->nodes[0].place, (uint16_t)3);
    REFUSED(k->nodes[0].votes, true); /* two */
    REFUSED(k->n_voters, 3u);
    REFUSED(k->coordinator.kind, (uint8_t)COORDINATOR_KINDS);
    REFUSED(k->coordinator.kind, (uint8_t)COORDINATOR_MANAGED);
    REFUSED(k->coordinator.kind, (uint8_t)COORDINATOR_LOCAL);
    REFUSED(k->coordinator.n_endpoints, 0u);
    REFUSED(k->coordinator.endpoints[1], STR(""));
    REFUSED(k->coordinator.ca_file, STR("ca.pem"));
    REFUSED(k->coordinator.key_file, STR(""));
    REFUSED(k->coordinator.user, STR(""));
    REFUSED(v->sockets[3].use, (uint8_t)SOCKET_TCP);
    REFUSED(v->sockets[4].use, (uint8_t)SOCKET_UDP);
    REFUSED(v->sockets[4].addr, k->nodes[2].address);
    struct view_service *cache = &v->services[2];
    struct view_primary *p = &cache->primary;
    REFUSED(p->agent, (uint8_t)AGENTS);
    REFUSED(p->agent, (uint8_t)AGENT_PROCESS); /* without a command */
    REFUSED(p->command, command(v, "/bin/true", "x"));
    REFUSED(p->hook, command(v, "true", "x"));
    REFUSED(p->hook, command(v, "", "x"));
    REFUSED(p->n_on, 0u);
    REFUSED(p->n_on, 1u); /* and waits for another */
    REFUSED(p->on[0], 0u);
    REFUSED(p->on[0], 2u); /* a witness */
    REFUSED(p->on[1], 3u);
    REFUSED(p->port, (uint16_t)0);
    REFUSED(p->sync, 2u);
    REFUSED(p->vip.kind, (uint8_t)0);
    REFUSED(p->vip.kind, (uint8_t)ADDR_UNIX);
    REFUSED(p->vip.port, (uint16_t)1);
    struct addr vip = p->vip;
    p->vip = (struct addr){0};
    assert_int_equal(view_verify(v, NULL), -ERR_PROTO); /* bits of nothing */
    p->vip = vip;
    REFUSED(p->vip_prefix, (uint8_t)0);
    REFUSED(p->vip_prefix, (uint8_t)33);
    REFUSED(p->hang_after, (uint64_t)0);
    REFUSED(p->hang_after, VIEW_MAX_DURATION + 1);
    REFUSED(p->hold, VIEW_MAX_DURATION + 1);
    REFUSED(p->lag_time, VIEW_MAX_DURATION + 1);
    REFUSED(p->flap_window, VIEW_MAX_DURATION + 1);
    REFUSED(p->hold_clients, (uint32_t)VIEW_MAX_CONNECTIONS + 1);
    REFUSED(cache->dynamic, true);
    REFUSED(cache->mode, (uint8_t)VIEW_HTTP);
    REFUSED(v->sockets[7].addr, address("10.0.0.1:26379"));
#undef REFUSED
    view_free(v);
}

/* A node may be alone, or the only one of its cluster, with sockets if it has a key. */
static void a_cluster_may_be_small(void **state)
{
    struct view *v = full();
    struct err e;
    v->cluster.nodes += 1;
    v->cluster.coordinator = (struct view_coordinator){.kind = COORDINATOR_MANAGED};
    v->cluster.n_nodes = 1;
    v->cluster.self = 0;
    v->n_services = 2;
    assert_int_equal(view_verify(v, &e), 0);
    v->cluster.key_file = STR("");
    assert_int_equal(view_verify(v, &e), -ERR_PROTO);
    v->n_sockets = 3;
    assert_int_equal(view_verify(v, &e), -ERR_PROTO);
    v->cluster.coordinator.kind = COORDINATOR_LOCAL;
    assert_int_equal(view_verify(v, &e), 0);
    v->cluster = (struct view_cluster){.key_file = STR("/k")};
    assert_int_equal(view_verify(v, &e), -ERR_PROTO);
    v->cluster = (struct view_cluster){0};
    assert_int_equal(view_verify(v, &e), 0);
    assert_null(view_self(v));
    view_free(v);
}

static void format_and_size(void **state)
{
    struct view *v = full(), *out;
    struct buf b = encoded(v);
    struct err e = {0};
    b.p[4] = 9;
    repair(&b);
    assert_int_equal(view_decode(buf_str(&b), &out, &e), -ERR_PROTO);
    assert_string_equal(e.text, "the view has format 9, this program reads format 7");
    assert_int_equal(view_decode((struct str){b.p, VIEW_MAX_BYTES + 1u}, &out, &e), -ERR_LIMIT);
    buf_free(&b);
    view_free(v);
    b.limit = 100; /* an encoding that does not fit is marked failed, not cut */
    v = full();
    view_encode(v, &b);
    assert_true(b.failed);
    buf_free(&b);
    view_free(v);
}

/* Texts are terminated for those who print them: a NUL inside would hide the rest. */
static void texts_hold_no_nul(void **state)
{
    struct view *v = full(), *out;
    v->services[0].instances[0].name = (struct str){"a\0b", 3};
    struct buf b = encoded(v);
    assert_int_equal(view_decode(buf_str(&b), &out, NULL), -ERR_PROTO);
    buf_free(&b);
    view_free(v);
}

static void an_unassigned_view_travels(void **state)
{
    struct view *v = make(NAMES("web", "api"), NAMES("a", "b")), *out = NULL;
    struct buf b = encoded(v);
    assert_int_equal(view_decode(buf_str(&b), &out, NULL), 0); /* epoch 0: all slots are 0 */
    view_free(out);
    buf_free(&b);
    v->epoch = 1;
    b = encoded(v);
    assert_int_equal(view_decode(buf_str(&b), &out, NULL), -ERR_PROTO);
    buf_free(&b);
    view_free(v);
}

static uint32_t slot_of(const struct view *v, const char *service, const char *instance)
{
    const struct view_service *s = view_service_find(v, str_of(service));
    assert_non_null(s);
    const struct view_instance *n = view_instance_find(s, str_of(instance));
    assert_non_null(n);
    return n->slot;
}

static void slots_stay_over_reloads(void **state)
{
    struct view *one = make(NAMES("web", "api"), NAMES("a", "b", "c"));
    struct view *two = make(NAMES("new", "api", "web"), NAMES("c", "d", "a"));
    struct view *three = make(NAMES("api"), NAMES("e", "a", "f", "b"));
    assert_int_equal(view_assign_slots(one, NULL, NULL), 0);
    assert_int_equal(view_assign_slots(two, one, NULL), 0);
    assert_int_equal(view_assign_slots(three, two, NULL), 0);
    one->epoch = two->epoch = three->epoch = 1; /* verify: nothing twice */
    assert_int_equal(view_verify(one, NULL), 0);
    assert_int_equal(view_verify(two, NULL), 0);
    assert_int_equal(view_verify(three, NULL), 0);

    assert_int_equal(two->services[2].slot, one->services[0].slot);
    assert_int_equal(two->services[1].slot, one->services[1].slot);
    assert_int_equal(three->services[0].slot, one->services[1].slot);
    assert_int_equal(slot_of(two, "web", "a"), slot_of(one, "web", "a"));
    assert_int_equal(slot_of(two, "api", "c"), slot_of(one, "api", "c"));
    assert_int_equal(slot_of(three, "api", "a"), slot_of(one, "api", "a"));
    /* web's b left with the second view: its row rests for one view, then it is used again. */
    uint32_t left = slot_of(one, "web", "b");
    for (uint32_t i = 0; i < two->n_services; i++)
        for (uint32_t k = 0; k < two->services[i].n_instances; k++)
            assert_int_not_equal(two->services[i].instances[k].slot, left);
    assert_int_equal(slot_of(three, "api", "e"), left);
    view_free(one);
    view_free(two);
    view_free(three);
}

/* `count` instances in services of at most POOL_MAX, named by number with a prefix. */
static struct view *many(uint32_t services, uint32_t instances, char prefix)
{
    struct view *v = view_new();
    v->n_services = services;
    v->services = arena_array(&v->arena, services, sizeof *v->services);
    for (uint32_t i = 0; i < services; i++) {
        struct view_service *s = &v->services[i];
        char name[16];
        defaults(s);
        snprintf(name, sizeof name, "%c%u", prefix, i);
        s->name = arena_str(&v->arena, str_of(name));
        s->n_instances = instances;
        s->instances = arena_array(&v->arena, instances, sizeof *s->instances);
        for (uint32_t k = 0; k < instances; k++) {
            snprintf(name, sizeof name, "%c%u", prefix, k);
            s->instances[k].name = arena_str(&v->arena, str_of(name));
            s->instances[k].addr = address("10.0.0.1:80");
        }
    }
    return v;
}

static void full_tables(void **state)
{
    struct view *all = many(16, 1024, 'a'), *other = many(1, 1, 'b'), *same = many(16, 1024, 'a');
    struct err e = {0};
    assert_int_equal(view_assign_slots(all, NULL, &e), 0);
    all->epoch = 1;
    assert_int_equal(view_verify(all, &e), 0);
    assert_int_equal(view_assign_slots(same, all, &e), 0);
    assert_int_equal(view_assign_slots(other, all, &e), -ERR_LIMIT);
    assert_non_null(strstr(e.text, "instance b0 of service b0"));
    struct view *toomany = many(17, 1024, 'a');
    assert_int_equal(view_assign_slots(toomany, NULL, &e), -ERR_LIMIT);
    assert_int_equal(view_verify(toomany, &e), -ERR_PROTO);
    struct view *pool = many(1, 1025, 'a');
    assert_int_equal(view_verify(pool, &e), -ERR_PROTO);
    view_free(all);
    view_free(other);
    view_free(same);
    view_free(toomany);
    view_free(pool);

    struct view *services = many(4096, 0, 'a');
    other = many(1, 0, 'b');
    assert_int_equal(view_assign_slots(services, NULL, &e), 0);
    services->epoch = 1;
    assert_int_equal(view_verify(services, &e), 0);
    assert_int_equal(view_assign_slots(other, services, &e), -ERR_LIMIT);
    assert_non_null(strstr(e.text, "service b0"));
    view_free(services);
    view_free(other);
}

static void every_allocation_may_fail(void **state)
{
    struct view *v = full();
    struct buf good = encoded(v);
    unsigned long n = 0;
    do {
        struct view *out = NULL;
        struct err e = {0};
        mem_fail_at(++n);
        int rc = view_decode(buf_str(&good), &out, &e);
        mem_fail_at(0);
        assert_true(rc == 0 || rc == -ERR_NOMEM);
        assert_true((rc == 0) == (out != NULL));
        view_free(out);
        if (rc == 0)
            break;
    } while (n < 1000);
    assert_in_range(n, 10, 999);

    for (n = 1; n < 100; n++) {
        struct buf b = {0};
        mem_fail_at(n);
        view_encode(v, &b);
        int happened = mem_failed();
        mem_fail_at(0);
        assert_int_equal(b.failed, happened);
        buf_free(&b);
        if (!happened)
            break;
    }
    assert_in_range(n, 2, 99);
    mem_fail_at(1);
    assert_null(view_new());
    buf_free(&good);
    view_free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(every_corruption_is_refused_or_sound),
        cmocka_unit_test(bounds_are_checked),
        cmocka_unit_test(a_cluster_may_be_small),
        cmocka_unit_test(format_and_size),
        cmocka_unit_test(texts_hold_no_nul),
        cmocka_unit_test(an_unassigned_view_travels),
        cmocka_unit_test(slots_stay_over_reloads),
        cmocka_unit_test(full_tables),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
