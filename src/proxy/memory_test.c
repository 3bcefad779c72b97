/* Memory that runs out on the data plane, at every single allocation of every kind of conversation.
 *
 * A conversation is held again and again, and the first, second, third... allocation that the proxy
 * makes in it fails, until none is left to fail. After each: the client had the right answer, an
 * error in due form, or the end of its connection; never anything else. Nothing is counted as under
 * way, every request has one outcome, and the same conversation goes well.
 *
 * Each in two ways. *Fresh*: every time a new proxy, which has nothing to reuse, and which has
 * given back all memory and descriptors at its end. *Worn*: one proxy for all, which holds on to
 * blocks, requests and connections, and has given back everything at its end. */
#include "proxy/memory_rig_test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 400 /* allocations in one conversation; more mean that it never ends */ };

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"
#define HELLO     ((struct expected){200, "hello", NULL, NULL})

/* --- conversations --- */

static void two_requests(void)
{
    int fd = dial();
    send_text(fd, GET("/"));
    if (hear(fd, HELLO)) {
        send_text(fd, GET("/again"));
        hear(fd, HELLO);
    }
    close(fd);
}

/* A head that comes in two parts, whose first is parked. */
static void a_head_in_parts(void)
{
    int fd = dial();
    send_text(fd, "GET / HTTP/1.1\r\nHo");
    usleep(500);
    send_text(fd, "st: x\r\n\r\n");
    hear(fd, HELLO);
    close(fd);
}

static char *many_bytes(size_t n)
{
    char *p = malloc(n + 1);
    for (size_t i = 0; i < n; i++)
        p[i] = (char)('a' + i * 7 % 23);
    p[n] = 0;
    return p;
}

static void put(const char *path, size_t n)
{
    char *body = many_bytes(n), head[128];
    int fd = dial();
    snprintf(head, sizeof head, "PUT %s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", path,
             n);
    send_text(fd, head);
    usleep(200); /* the body arrives by itself */
    send_text(fd, body);
    hear(fd, (struct expected){200, body, NULL, NULL});
    close(fd);
    free(body);
}

static void a_body_kept_for_replay(void)
{
    put("/cut", 12000); /* a cuts: b gets all of it again */
    put("/", 3000);
}

static void chunks_both_ways(void)
{
    ask("PUT /chunked HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        "5\r\nabcde\r\n3\r\nfgh\r\n0\r\n\r\n",
        (struct expected){200, "abcdefgh", NULL, NULL});
}

/* --- rules --- */

static struct view_edit *edits(struct view *v, uint32_t *n, const struct view_edit *list,
                               uint32_t count)
{
    struct view_edit *e = arena_array(&v->arena, count, sizeof *e);
    memcpy(e, list, count * sizeof *e);
    *n = count;
    return e;
}

static struct view_words words(struct view *v, struct str word)
{
    struct view_words w = {arena_alloc(&v->arena, sizeof *w.list), 1};
    w.list[0] = word;
    return w;
}

static struct view_route *routes(struct view *v, uint32_t n)
{
    struct view_service *s = v->services;
    s->n_routes = n;
    return s->routes = arena_array(&v->arena, n, sizeof *s->routes);
}

static void with_edits(struct view *v)
{
    const struct view_edit request[] = {{EDIT_SET, STR("X-Client"), STR("{client} {method} {uri}")},
                                        {EDIT_ADD, STR("X-Id"), STR("{request-id}")},
                                        {EDIT_REMOVE, STR("Cookie"), STR("")}};
    const struct view_edit response[] = {{EDIT_REMOVE, STR("Server"), STR("")},
                                         {EDIT_ADD, STR("X-Where"), STR("{service} {route}")}};
    struct view_route *r = routes(v, 1);
    r->name = STR("api");
    r->match.paths = words(v, STR("/api"));
    r->targets = arena_alloc(&v->arena, sizeof *r->targets);
    r->targets[0] = (struct view_target){1, 1};
    r->n_targets = 1;
    r->rewrite = STR("/v2");
    r->rules.request = edits(v, &r->rules.n_request, request, 3);
    r->rules.response = edits(v, &r->rules.n_response, response, 2);
    r->rules.request[1].name = STR("X-Other");
    v->services[0].rules.request = edits(v, &v->services[0].rules.n_request, request, 2);
    v->services[0].rules.response = edits(v, &v->services[0].rules.n_response, response, 1);
}

static void a_route_with_edits(void)
{
    ask("GET /api/users?x=1 HTTP/1.1\r\nHost: x\r\nCookie: a=b\r\n\r\n",
        (struct expected){200, "hello", "\r\nX-Where: other api\r\n", "Server:"});
}

static void with_own_answers(struct view *v)
{
    struct view_route *r = routes(v, 3);
    r[0].name = STR("old");
    r[0].match.paths = words(v, STR("/old"));
    r[0].action = ROUTE_REDIRECT;
    r[0].status = 301;
    r[0].location = STR("https://{host}/new{rest}?{query}");
    r[1].name = STR("tea");
    r[1].match.paths = words(v, STR("/tea"));
    r[1].action = ROUTE_RESPOND;
    r[1].status = 418;
    r[1].body = STR("short and stout");
    r[1].type = STR("text/plain");
    r[2].name = STR("nobody");
    r[2].match.paths = words(v, STR("/nobody"));
    r[2].targets = arena_alloc(&v->arena, sizeof *r->targets);
    r[2].targets[0] = (struct view_target){1, 1};
    r[2].n_targets = 1;
    v->services[1].n_instances = 0;
    v->services[1].dynamic = true;
    struct view_service *s = v->services;
    s->n_pages = 1;
    s->pages = arena_alloc(&v->arena, sizeof *s->pages);
    s->pages[0] = (struct view_page){5, STR("text/html"), STR("<h1>Sorry</h1>")};
}

static void a_redirect(void)
{
    ask(GET("/old/a?b=c"),
        (struct expected){301, NULL, "\r\nLocation: https://x/new/a?b=c\r\n", NULL});
}

static void an_answer_of_our_own(void)
{
    ask(GET("/tea"), (struct expected){418, "short and stout", NULL, NULL});
}

static void an_error_page(void)
{
    ask(GET("/nobody"), (struct expected){503, "<h1>Sorry</h1>", NULL, NULL});
}

/* --- more than one instance --- */

static void with_a_dead_instance(struct view *v)
{
    v->services[0].instances[0].addr = *rig_dead();
}

static void a_retry(void)
{
    ask(GET("/"), HELLO);
    ask(GET("/"), HELLO);
}

static void with_a_hedge(struct view *v)
{
    v->services[0].rules.hedge_after = 2 * NS_PER_MS;
    v->services[0].rules.hedge_permille = 0;
    v->services[0].trace = TRACE_START;
}

/* One of them goes to a, which is slow, first. */
static void a_hedge(void)
{
    ask(GET("/slow"), HELLO);
    ask(GET("/slow"), HELLO);
}

static void with_a_mirror(struct view *v)
{
    v->services[0].rules.mirror_permille = 1000;
    v->services[0].rules.mirror = 1;
}

static void a_mirror(void)
{
    put("/", 2000);
}

static void with_inserted_sessions(struct view *v)
{
    v->services[0].sticky = (struct view_sticky){STICKY_INSERT, STR("SRV"), 60 * NS_PER_S, false};
}

/* The cookie is a favour: without memory the client stays without, and has its answer. */
static void an_inserted_session(void)
{
    char request[256];
    if (!ask(GET("/"), HELLO))
        return;
    const char *cookie = strstr(heard(), "\r\nSet-Cookie: SRV=");
    assert_true(cookie || memory_hit());
    snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: x\r\nCookie: %.*s\r\n\r\n",
             cookie ? (int)strcspn(cookie + 14, ";") : 0, cookie ? cookie + 14 : "");
    ask(request, HELLO);
}

static void with_learnt_sessions(struct view *v)
{
    v->services[0].sticky = (struct view_sticky){STICKY_LEARN, STR("SID"), 60 * NS_PER_S, false};
}

static void a_learnt_session(void)
{
    ask(GET("/login"),
        (struct expected){200, "hello", "\r\nSet-Cookie: SID=abc; Path=/\r\n", NULL});
    ask("GET / HTTP/1.1\r\nHost: x\r\nCookie: SID=abc\r\n\r\n", HELLO);
}

/* --- bounds --- */

static void with_a_bound_of_clients(struct view *v)
{
    v->services[0].limits.connections = 3;
    v->services[0].limits.connections_per_address = 2;
}

static void with_a_breaker(struct view *v)
{
    v->services[0].breaker = (struct view_breaker){900, 1000, NS_PER_S, NS_PER_S};
    v->services[0].balance = ALGORITHM_CONSISTENT_HASH;
    v->services[0].hash = (struct view_hash){HASH_HEADER, STR("X-Key")};
    v->services[0].retry.on |= RETRY_5XX;
}

/* One of the keys leads to a first. */
static void an_answer_tried_again(void)
{
    for (int i = 0; i < 8; i++) {
        char request[128];
        snprintf(request, sizeof request, "GET /500 HTTP/1.1\r\nHost: x\r\nX-Key: %d\r\n\r\n", i);
        if (!ask(request, HELLO))
            return;
    }
}

static void with_a_rate(struct view *v)
{
    struct view_rules *r = &v->services[0].rules;
    r->n_rates = 1;
    r->rates = arena_alloc(&v->arena, sizeof *r->rates);
    r->rates[0] = (struct view_rate){{HASH_HEADER, STR("X-Key")}, 1, 1, 3600 * NS_PER_S, 1024};
}

static void a_rate_limited_answer(void)
{
    static unsigned key;
    char request[128];
    int fd = dial();
    snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: x\r\nX-Key: %u\r\n\r\n", ++key);
    send_text(fd, request);
    if (hear(fd, HELLO)) {
        send_text(fd, request);
        hear(fd, (struct expected){429, NULL, "\r\nRetry-After: ", NULL});
    }
    close(fd);
}

static void with_one_place(struct view *v)
{
    v->services[0].admit = (struct view_admit){1, 0, 8, 9 * NS_PER_S};
    v->services[0].instances[1].weight = 0;
}

static void a_request_that_waits(void)
{
    int first = dial(), second = dial();
    send_text(first, GET("/nap"));
    usleep(1000);
    send_text(second, GET("/"));
    hear(first, HELLO);
    hear(second, HELLO);
    close(first);
    close(second);
}

/* --- what is told --- */

static void with_a_log(struct view *v)
{
    v->services[0].access_log = 1;
    v->services[0].log = (struct view_log){STR("json"), 1000, 1};
}

static void a_line_of_the_log(void)
{
    two_requests();
}

static void with_spans(struct view *v)
{
    v->services[0].trace = TRACE_SPAN;
}

static void a_span(void)
{
    ask("GET / HTTP/1.1\r\nHost: x\r\n"
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n",
        HELLO);
}

/* --- tunnels --- */

static const char upgrade[] =
    "GET /up HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";

static void an_upgrade(void)
{
    int fd = dial();
    send_text(fd, upgrade);
    if (hear(fd, (struct expected){101, NULL, "Upgrade: echo\r\n", NULL}))
        echo(fd, "tunnelled", 9);
    close(fd);
}

static void a_few_bytes(void)
{
    int fd = dial();
    echo(fd, "ping", 4);
    close(fd);
}

/* An instance that echoes gives a reply to every command: an array is both. */
static void with_a_gate(struct view *v)
{
    struct view_service *s = &v->services[0];
    v->cluster.nodes = arena_alloc(&v->arena, sizeof *v->cluster.nodes);
    v->cluster.nodes[0] = (struct view_node){.name = STR("a"), .address = s->instances[0].addr};
    v->cluster.n_nodes = 1;
    s->primary = (struct view_primary){.agent = AGENT_REDIS,
                                       .n_on = 1,
                                       .port = s->instances[0].addr.port,
                                       .hold = 9 * NS_PER_S,
                                       .hold_clients = 8};
    s->n_instances = 0;
    s->dynamic = true;
}

static void open_gate(uint64_t epoch)
{
    struct role_row *r = rig_role();
    cell_set(&r->lease_until, UINT64_MAX);
    cell_set(&r->lease_epoch, 1);
    cell_set(&r->gate, epoch);
}

/* Between two commands the gate shuts; when it is open again, the connection is what it was. */
static void a_command_through_a_gate(void)
{
    static const char select[] = "*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n";
    static const char ping[] = "*1\r\n$4\r\nPING\r\n";
    open_gate(1);
    int fd = dial();
    if (echo(fd, select, sizeof select - 1) && echo(fd, ping, sizeof ping - 1)) {
        struct pollfd w = {.fd = fd, .events = POLLIN};
        uint64_t before = cell_get(&rig_row(0)->led_on);
        open_gate(0);
        for (int i = 0; i < 10000 && cell_get(&rig_row(0)->led_on) == before; i++)
            if (poll(&w, 1, 1)) /* cut: memory ran out */
                break;
        open_gate(1);
        echo(fd, ping, sizeof ping - 1);
    }
    close(fd);
}

static bool led_on(void)
{
    uint64_t times = cell_get(&rig_row(0)->led_on);
    return times && cell_get(&rig_row(0)->relayed) > times;
}

/* Replies wait for a replica at 127.0.0.2. */
static void with_rounds(struct view *v)
{
    with_a_gate(v);
    struct view_node *nodes = arena_array(&v->arena, 2, sizeof *nodes);
    nodes[0] = nodes[1] = v->cluster.nodes[0];
    nodes[1].name = STR("b");
    nodes[1].address.ip[3] = 2;
    v->cluster.nodes = nodes;
    v->cluster.n_nodes = v->services[0].primary.n_on = 2;
    v->services[0].primary.on[1] = 1;
    v->services[0].primary.sync = 1;
}

static void open_gate_with_sync(void)
{
    struct role_row *r = rig_role();
    cell_set(&r->primary, 1);
    cell_set(&r->insync, 3);
    cell_set(&r->sync, 1);
    open_gate(1);
}

static void a_reply_that_a_round_covers(void)
{
    static const char ping[] = "*1\r\n$4\r\nPING\r\n";
    open_gate_with_sync();
    int fd = dial();
    if (echo(fd, ping, sizeof ping - 1))
        echo(fd, ping, sizeof ping - 1);
    close(fd);
}

static bool committed(void)
{
    return cell_get(&rig_row(0)->commits) > 0;
}

/* Nothing comes; how long it has been waited for is told. */
static void a_reply_that_no_round_covers(void)
{
    static const char ping[] = "*1\r\n$4\r\nPING\r\n";
    open_gate_with_sync();
    int fd = dial();
    send_text(fd, ping);
    struct pollfd w = {.fd = fd, .events = POLLIN};
    for (int i = 0; i < 10000 && !cell_get(&rig_row(0)->commit_since); i++)
        if (poll(&w, 1, 1))
            break;
    if (poll(&w, 1, 2) && !memory_hit())
        fail_msg("it came, or was cut, for no reason");
    net_set_reset_on_close(fd); /* who only says that he ends may wait for it still */
    close(fd);
}

/* The gate goes while its rounds are being refused; then it comes again. */
static bool gate_is_gone;

static void with_rounds_or_none(struct view *v)
{
    if (!gate_is_gone)
        with_rounds(v);
}

static void a_gate_that_goes(void)
{
    struct timespec moment = {.tv_nsec = 20 * 1000000}; /* longer than it waits to connect anew */
    a_reply_that_no_round_covers();
    gate_is_gone = true;
    rig_reload();
    nanosleep(&moment, NULL);
    gate_is_gone = false;
    rig_reload();
}

/* So many that they are spliced. */
static void many_spliced_bytes(void)
{
    enum { SIZE = 1024 * 1024 };
    char *p = many_bytes(SIZE);
    int fd = dial();
    echo(fd, p, SIZE);
    close(fd);
    free(p);
}

static void with_hellos(struct view *v)
{
    v->services[0].proxy_in = true;
}

static void a_hello(void)
{
    ask("PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\n" GET("/"), HELLO);
}

static void a_hello_before_bytes(void)
{
    static const char hello[] = "PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\n";
    int fd = dial();
    send_text(fd, hello);
    echo(fd, "ping", 4);
    close(fd);
}

/* --- datagrams --- */

static void with_answers(struct view *v)
{
    v->services[0].replies = 1;
    v->services[0].timeouts.idle = NS_PER_S;
}

/* One may be lost when memory is out; else each is answered. */
static void a_flow(void)
{
    int fd = net_datagram_connect(rig_datagrams(), NULL);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char back[8];
    assert_int_equal(send(fd, "ping", 4, 0), 4);
    int waited = 0, ready;
    while (!(ready = poll(&p, 1, 10)) && !memory_hit())
        assert_true(++waited < 2000);
    if (ready) {
        assert_int_equal(recv(fd, back, sizeof back, 0), 4);
        assert_memory_equal(back, "ping", 4);
    }
    close(fd);
}

/* --- views --- */

static void a_reload(void)
{
    int fd = dial();
    send_text(fd, GET("/"));
    if (hear(fd, HELLO)) {
        rig_reload();
        send_text(fd, GET("/"));
        if (hear(fd, HELLO))
            ask(GET("/"), HELLO);
    }
    close(fd);
}

/* --- what proves that it was what its name says --- */

static bool retried(void)
{
    return cell_get(&rig_row(0)->retries) > 0;
}

static bool hedged(void)
{
    return cell_get(&rig_row(0)->hedges_won) > 0;
}

static bool mirrored(void)
{
    return cell_get(&rig_row(1)->mirrored) > 0;
}

static bool stuck(void)
{
    return cell_get(&rig_row(0)->stuck) > 0;
}

static bool limited(void)
{
    return cell_get(&rig_row(0)->rate_limited) > 0;
}

static bool waited(void)
{
    return cell_get(&rig_row(0)->waited) > 0;
}

static bool logged(void)
{
    return rig_log_bytes() > 0;
}

static bool relayed(void)
{
    return cell_get(&rig_row(0)->relayed) > 0;
}

/* One has a tunnel, one waits for its answer, and a third comes when the view has changed. */
static void a_reload_in_the_midst(void)
{
    int tunnel = dial(), waits = dial();
    send_text(tunnel, upgrade);
    if (hear(tunnel, (struct expected){101, NULL, "Upgrade: echo\r\n", NULL})) {
        send_text(waits, GET("/nap"));
        rig_reload();
        if (hear(waits, HELLO) && echo(tunnel, "tunnelled", 9))
            ask(GET("/"), HELLO);
    }
    close(waits);
    close(tunnel);
}

/* Each view has other instances than the one before. */
static void with_changing_instances(struct view *v)
{
    struct view_service *s = v->services;
    s->sticky = (struct view_sticky){STICKY_LEARN, STR("SID"), 60 * NS_PER_S, false};
    s->rules.n_rates = 1;
    s->rules.rates = arena_alloc(&v->arena, sizeof *s->rules.rates);
    s->rules.rates[0] =
        (struct view_rate){{HASH_NONE, STR("")}, 1000 + (uint32_t)v->epoch, 1000, NS_PER_S, 1024};
    s->n_instances = 1 + v->epoch % 2;
    s->admit = (struct view_admit){100 + (uint32_t)v->epoch, 0, 8, 9 * NS_PER_S};
    s->access_log = v->epoch % 2 ? 1 : -1;
}

static const struct conversation conversations[] = {
    {"two requests", VIEW_HTTP, NULL, two_requests},
    {"a head in parts", VIEW_HTTP, NULL, a_head_in_parts},
    {"a body kept for replay", VIEW_HTTP, NULL, a_body_kept_for_replay, retried, .blamed = true},
    {"chunks both ways", VIEW_HTTP, NULL, chunks_both_ways},
    {"a route with edits", VIEW_HTTP, with_edits, a_route_with_edits},
    {"a redirect", VIEW_HTTP, with_own_answers, a_redirect},
    {"an answer of our own", VIEW_HTTP, with_own_answers, an_answer_of_our_own},
    {"an error page", VIEW_HTTP, with_own_answers, an_error_page},
    {"a retry", VIEW_HTTP, with_a_dead_instance, a_retry, retried, .blamed = true},
    {"a hedge", VIEW_HTTP, with_a_hedge, a_hedge, hedged},
    {"a mirror", VIEW_HTTP, with_a_mirror, a_mirror, mirrored},
    {"an inserted session", VIEW_HTTP, with_inserted_sessions, an_inserted_session, stuck},
    {"a learnt session", VIEW_HTTP, with_learnt_sessions, a_learnt_session, stuck},
    {"a rate-limited answer", VIEW_HTTP, with_a_rate, a_rate_limited_answer, limited},
    {"a request that waits", VIEW_HTTP, with_one_place, a_request_that_waits, waited},
    {"clients within bounds", VIEW_HTTP, with_a_bound_of_clients, two_requests},
    {"an answer tried again", VIEW_HTTP, with_a_breaker, an_answer_tried_again, retried,
     .blamed = true},
    {"a line of the log", VIEW_HTTP, with_a_log, a_line_of_the_log, logged},
    {"a span", VIEW_HTTP, with_spans, a_span},
    {"an upgrade", VIEW_HTTP, NULL, an_upgrade},
    {"a hello", VIEW_HTTP, with_hellos, a_hello},
    {"a few bytes", VIEW_TCP, NULL, a_few_bytes, relayed},
    {"many spliced bytes", VIEW_TCP, NULL, many_spliced_bytes, relayed},
    {"a hello before bytes", VIEW_TCP, with_hellos, a_hello_before_bytes, relayed},
    {"a command through a gate", VIEW_TCP, with_a_gate, a_command_through_a_gate, led_on},
    {"a reply that a round covers", VIEW_TCP, with_rounds, a_reply_that_a_round_covers, committed,
     .rounds = ROUNDS_CONFIRMED},
    {"a reply that no round covers", VIEW_TCP, with_rounds, a_reply_that_no_round_covers,
     .rounds = ROUNDS_REFUSED},
    {"a gate that goes", VIEW_TCP, with_rounds_or_none, a_gate_that_goes, .rounds = ROUNDS_REFUSED},
    {"a flow", VIEW_UDP, with_answers, a_flow},
    {"a reload", VIEW_HTTP, NULL, a_reload, .reloads = true},
    {"a reload in the midst", VIEW_HTTP, NULL, a_reload_in_the_midst, .reloads = true},
    {"a reload of instances", VIEW_HTTP, with_changing_instances, a_reload_in_the_midst,
     .reloads = true},
    {"a reload of routes", VIEW_HTTP, with_edits, a_reload, .reloads = true},
};

/* --- the sweep --- */

struct ledger {
    long blocks;
    unsigned descriptors;
};

static struct ledger ledger_open(void)
{
    return (struct ledger){memory_blocks(), rig_descriptors()};
}

static void ledger_close(struct ledger l, const char *name, unsigned long n)
{
    long leaked = memory_blocks() - l.blocks;
    unsigned now = rig_descriptors();
    if (leaked || now != l.descriptors)
        fail_msg("%s, allocation %lu: %ld blocks and %d descriptors are left", name, n, leaked,
                 (int)now - (int)l.descriptors);
}

/* Whether there was an n-th allocation. */
static bool with_one_failing(const struct conversation *c, unsigned long n)
{
    memory_arm(n);
    c->talk();
    rig_settle();
    bool hit = memory_disarm();
    memory_arm(0); /* from here on nothing excuses an error */
    c->talk();
    rig_settle();
    if (rig_evidence() && !c->blamed)
        fail_msg("%s, allocation %lu: an instance was blamed", c->name, n);
    return hit;
}

static unsigned long fresh(const struct conversation *c)
{
    for (unsigned long n = 1;; n++) {
        struct ledger l = ledger_open();
        rig_start(c);
        bool hit = with_one_failing(c, n);
        rig_stop();
        ledger_close(l, c->name, n);
        if (!hit)
            return n - 1;
        assert_true(n < MOST);
    }
}

static unsigned long worn(const struct conversation *c)
{
    struct ledger l = ledger_open();
    unsigned long n = 1;
    rig_start(c);
    c->talk();
    rig_settle();
    while (with_one_failing(c, n))
        assert_true(++n < MOST);
    if (c->proof && !c->proof())
        fail_msg("%s: it was something else", c->name);
    rig_stop();
    ledger_close(l, c->name, n);
    return n - 1;
}

static void every_allocation_fails_once(void **state)
{
    static bool broken; /* a conversation failed midway: the rig is in no state to go on */
    const struct conversation *c = *state;
    if (broken)
        fail_msg("not held: one before it failed");
    broken = true;
    uint64_t began = clock_now();
    unsigned long f = fresh(c), w = worn(c);
    if (getenv("HOLDFAST_VERBOSE"))
        print_message("%-24s fresh %3lu, worn %3lu allocations, %4llu ms\n", c->name, f, w,
                      (unsigned long long)((clock_now() - began) / NS_PER_MS));
    assert_true(f > 0);
    broken = false;
}

int main(int argc, char **argv)
{

    struct CMUnitTest tests[ARRAY_LEN(conversations)];
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < ARRAY_LEN(conversations); i++) {
        tests[i] = (struct CMUnitTest){conversations[i].name, every_allocation_fails_once, NULL,
                                       NULL, (void *)(uintptr_t)&conversations[i]};
    }
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    rig_open();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (!failed)
        rig_close();
    return failed;
}
