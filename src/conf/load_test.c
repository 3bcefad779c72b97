/* What files mean: values, defaults, includes, references; and that neither memory that runs out
 * nor size makes anything else of them than an error. Messages are golden_test's. */
#include "conf/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "conf/memory_env.h"

#define MS    1000000ull
#define S     (1000 * MS)
#define SMALL "service web { listen = http://127.0.0.1:8080; backend 127.0.0.1:3000 }"

static int load(struct memory_world *w, struct view **out, struct conf_problems *p, struct err *e)
{
    struct conf_env env = memory_env(w);
    return conf_load(w->files[0].path, &env, out, p, e);
}

/* One file that must be good. */
static struct view *good(const char *text)
{
    struct memory_file f = {"web.conf", str_of(text)};
    struct memory_world w = {&f, 1, NULL, 0};
    struct conf_problems p = {0};
    struct view *v = NULL;
    struct err e = {0};
    if (load(&w, &v, &p, &e)) {
        struct buf b = {0};
        conf_problems_print(&p, false, &b);
        fail_msg("%s\n%.*s", e.text, STR_ARG(buf_str(&b)));
    }
    conf_problems_free(&p);
    return v;
}

#define CLUSTER                                                                                    \
    "cluster prod {\n key = file:cluster.key\n"                                                    \
    "node b { address = 10.0.0.2 zone = south }\n"                                                 \
    "node a { address = 10.0.0.1 zone = north }\n"                                                 \
    "node c { address = \"[fd00::3]:7301\" role = witness }\n}\n"

/* A cluster's file on the node of this name, or where it is found out. */
static int as_node(const char *text, const char *name, struct view **out, char *problem,
                   size_t size)
{
    const struct memory_file files[] = {{"d/web.conf", str_of(text)},
                                        {"d/cluster.key", STR("two\nlines")}};
    struct memory_world w = {files, ARRAY_LEN(files), NULL, 0};
    struct conf_env env = memory_env(&w);
    struct conf_problems p = {0};
    struct err e = {0};
    env.node = name;
    int rc = conf_load(files[0].path, &env, out, &p, &e);
    snprintf(problem, size, "%s|%s", p.n ? p.list[0].text : "", p.n ? p.list[0].hint : "");
    conf_problems_free(&p);
    assert_true(w.reads == 1); /* never the key */
    return rc;
}

static void a_cluster(void **state)
{
    struct view *v = NULL;
    char problem[300];
    assert_int_equal(as_node(CLUSTER SMALL, NULL, &v, problem, sizeof problem), 0);
    const struct view_cluster *k = &v->cluster;
    assert_true(str_eq(k->name, STR("prod")));
    assert_true(str_eq(k->key_file, STR("/d/cluster.key")));
    assert_int_equal(k->heartbeat, 50 * MS);
    assert_int_equal(k->suspect_after, 200 * MS);
    assert_int_equal(k->n_nodes, 3);
    assert_true(str_eq(k->nodes[0].name, STR("a")));
    assert_int_equal(k->nodes[1].address.port, 7300);
    assert_int_equal(k->nodes[2].address.port, 7301);
    assert_int_equal(k->nodes[2].role, NODE_WITNESS);
    assert_true(str_eq(view_self(v)->name, STR("a"))); /* by its address */
    assert_true(str_eq(v->zone, STR("north")));
    assert_int_equal(v->n_sockets, 3);
    assert_int_equal(v->sockets[1].use, SOCKET_LINK);
    assert_int_equal(v->sockets[2].use, SOCKET_GOSSIP);
    assert_true(addr_eq(&v->sockets[2].addr, &k->nodes[0].address));
    assert_int_equal(k->coordinator.kind, COORDINATOR_MANAGED);
    assert_int_equal(k->n_voters, 0);
    assert_int_equal(k->nodes[0].place, 1); /* of the file */
    assert_int_equal(k->nodes[1].place, 0);
    view_free(v);
    assert_int_equal(as_node("zone = x\n" CLUSTER SMALL, "c", &v, problem, sizeof problem), 0);
    assert_true(str_eq(view_self(v)->name, STR("c")));
    assert_true(str_eq(v->zone, STR("x"))); /* the file's own counts more */
    view_free(v);
}

#define NODES                                                                                      \
    "node a { address = 10.0.0.1 }\nnode b { address = 10.0.0.2 }\n"                               \
    "node c { address = 10.0.0.3 }\n}\n" SMALL

static void who_keeps_and_who_votes(void **state)
{
    struct view *v = NULL;
    char problem[300];
    assert_int_equal(as_node("cluster p {\nkey = file:cluster.key; coordinator = none\n" NODES, "a",
                             &v, problem, sizeof problem),
                     0);
    assert_int_equal(v->cluster.coordinator.kind, COORDINATOR_NONE);
    view_free(v);
    assert_int_equal(
        as_node("cluster p {\nkey = file:cluster.key; voters = b\n"
                "coordinator = {https://10.0.0.9:2379/, http://etcd.example:80}\n"
                "coordinator-password = file:cluster.key; coordinator-user = x\n" NODES,
                "a", &v, problem, sizeof problem),
        0);
    const struct view_coordinator *k = &v->cluster.coordinator;
    assert_int_equal(k->kind, COORDINATOR_EXTERNAL);
    assert_int_equal(k->n_endpoints, 2);
    assert_true(str_eq(k->endpoints[0], STR("https://10.0.0.9:2379")));
    assert_true(str_eq(k->endpoints[1], STR("http://etcd.example:80")));
    assert_true(str_eq(k->password_file, STR("/d/cluster.key")));
    assert_true(str_eq(k->user, STR("x")));
    assert_int_equal(v->cluster.n_voters, 1);
    assert_true(v->cluster.nodes[1].votes && !v->cluster.nodes[0].votes);
    view_free(v);
    assert_int_equal(
        as_node("cluster p { node a { address = 10.0.0.9 } }\n" SMALL, NULL, &v, problem, 300), 0);
    assert_int_equal(v->cluster.coordinator.kind, COORDINATOR_LOCAL);
    view_free(v);
}

static void a_witness_hosts_nothing(void **state)
{
    struct view *v = NULL;
    char problem[300];
    assert_int_equal(as_node(CLUSTER SMALL, "c", &v, problem, sizeof problem), 0);
    assert_int_equal(v->n_services, 0);
    assert_int_equal(v->n_sockets, 2);
    assert_int_equal(v->sockets[0].use, SOCKET_LINK);
    assert_int_equal(v->sockets[1].use, SOCKET_GOSSIP);
    assert_true(addr_eq(&v->sockets[1].addr, &view_self(v)->address));
    view_free(v);
    /* and what it will never open must be right all the same */
    assert_int_equal(
        as_node(CLUSTER "service web { backend 127.0.0.1:1 }\n", "c", &v, problem, sizeof problem),
        -ERR_INVAL);
}

static void a_cluster_may_do_without_services(void **state)
{
    struct view *v = NULL;
    char problem[300];
    assert_int_equal(as_node(CLUSTER, "a", &v, problem, sizeof problem), 0);
    assert_int_equal(v->n_services, 0);
    view_free(v);
}

static void heartbeats_set_what_is_silence(void **state)
{
    struct view *v = NULL;
    char problem[300];
    assert_int_equal(as_node("cluster p { heartbeat = 1s; node a { address = 10.0.0.9 } }\n" SMALL,
                             NULL, &v, problem, sizeof problem),
                     0);
    assert_int_equal(v->cluster.suspect_after, 4 * S);
    assert_int_equal(v->n_sockets, 1); /* without a key nobody can come */
    view_free(v);
}

static void the_node_must_be_one_of_the_cluster(void **state)
{
    struct view *v = NULL;
    char problem[300];
    assert_int_equal(as_node("cluster prod { node north { address = 10.0.0.1 } }\n" SMALL, "nroth",
                             &v, problem, sizeof problem),
                     -ERR_INVAL);
    assert_string_equal(problem, "this is node 'nroth', and cluster prod has no node of that name"
                                 "|did you mean 'north'?");
    assert_int_equal(as_node(CLUSTER SMALL, "other", &v, problem, sizeof problem), -ERR_INVAL);
    assert_string_equal(problem, "this is node 'other', and cluster prod has no node of that name"
                                 "|its nodes are a, b and c");
    assert_int_equal(as_node(SMALL, "a", &v, problem, sizeof problem), -ERR_INVAL);
    assert_string_equal(problem, "this is node 'a' of a cluster, and the file has none"
                                 "|add 'cluster NAME { ... }', or start without --node");
}

/* As many as fit, and no more; their names do not all go into one message. */
static void a_cluster_is_bounded(void **state)
{
    struct view *v = NULL;
    char problem[300];
    for (unsigned n = VIEW_MAX_NODES; n <= VIEW_MAX_NODES + 1; n++) {
        struct buf b = {0};
        buf_printf(&b, "cluster big { key = file:cluster.key\n");
        for (unsigned i = 0; i < n; i++)
            buf_printf(&b, "node n%03u { address = 10.1.0.%u }\n", i, i + 1);
        buf_printf(&b, "}\n" SMALL "%c", 0);
        int rc = as_node(b.p, "n127", &v, problem, sizeof problem);
        assert_int_equal(rc, n == VIEW_MAX_NODES ? 0 : -ERR_INVAL);
        if (rc)
            assert_string_equal(problem, "more than 128 nodes|");
        else
            assert_int_equal(v->cluster.self, VIEW_MAX_NODES - 1);
        if (rc == 0) {
            view_free(v);
            rc = as_node(b.p, NULL, &v, problem, sizeof problem);
            assert_int_equal(rc, -ERR_INVAL);
            assert_non_null(strstr(problem, "n006, n007 and 120 more|"));
        }
        buf_free(&b);
    }
}

static void defaults(void **state)
{
    struct view *v = good(SMALL);
    const struct view_service *s = &v->services[0];
    assert_int_equal(v->workers, 4);
    assert_int_equal(v->epoch, 0);
    assert_true(str_eq(v->file, STR("web.conf")));
    assert_int_equal(v->n_services, 1);
    assert_true(str_eq(s->name, STR("web")));
    assert_int_equal(s->n_sockets, 1);
    assert_int_equal(v->sockets[s->sockets[0]].addr.port, 8080);
    assert_int_equal(s->access_log, -1);
    assert_int_equal(s->balance, ALGORITHM_LEAST_REQUESTS);
    assert_int_equal(s->n_instances, 1);
    assert_true(str_eq(s->instances[0].name, STR("127.0.0.1:3000")));
    assert_int_equal(s->instances[0].weight, 1);
    assert_int_equal(s->check.kind, CHECK_TCP);
    assert_int_equal(s->check.interval, S);
    assert_int_equal(s->check.fast_interval, 200 * MS);
    assert_int_equal(s->check.timeout, S);
    assert_int_equal(s->check.rise, 2);
    assert_int_equal(s->check.fall, 3);
    assert_int_equal(s->check.status_min, 200);
    assert_int_equal(s->check.status_max, 399);
    assert_int_equal(s->check.path.n + s->check.host.n + s->check.body.n, 0);
    const struct view_timeouts t = {60 * S, 10 * S,   500 * MS, 30 * S,
                                    60 * S, 3600 * S, 30 * S,   30 * S};
    assert_memory_equal(&s->timeouts, &t, sizeof t);
    assert_int_equal(s->retry.on, RETRY_CONNECT | RETRY_RESET | RETRY_TIMEOUT);
    assert_int_equal(s->retry.attempts, 3);
    assert_int_equal(s->retry.budget_permille, 200);
    assert_int_equal(s->retry.reserve, 32);
    assert_int_equal(s->retry.replay_max, 65536);
    assert_int_equal(s->eject.after, 5);
    assert_int_equal(s->eject.share_permille, 700);
    assert_int_equal(s->eject.hold, S);
    assert_int_equal(s->eject.hold_max, 30 * S);
    assert_int_equal(s->limits.head_bytes, 16384);
    assert_int_equal(s->limits.head_fields, 100);
    assert_int_equal(s->limits.body_bytes, 0);
    view_free(v);
}

static const char everything[] =
    "workers = 2\nadmin { metrics = http://[::1]:9464 }\n"
    "service web\n{\n listen = {http://0.0.0.0:80,\n http://[::]:8081/,\n}\n"
    " listen = http://unix:/run/web.sock\n"
    " balance = round-robin; access-log = /var/log/web.log\n"
    " backend 10.0.0.11:3000 { weight = 2 name = first }\n"
    " backend [2001:db8::1]:3000\n backend unix:@app { weight = 0 }\n backend localhost\n"
    " check { http = /health?deep=yes&x=1 every = 2s fast = 250ms timeout = 800ms rise = 1 fall = 5"
    " status = 204 body = \"a \\\"b\\\" \\\\ \\n\\t\\${X}\" host = web.example.com:8080 }\n"
    " timeout { client-idle = 75s request-head = 5s connect = 200ms first-byte = 10s idle = 1m "
    "tunnel = 1d drain = 0 }\n"
    " retry { on = {5xx, connect} attempts = 1 budget = 12.5% reserve = 0 replay = 128K }\n"
    " eject { after = 0 share = 50% hold = 2s hold-max = 1m }\n"
    " limit { head = 32k fields = 64 body = 10m }\n}\n"
    "service b { listen = http://127.0.0.1:81; backend 10.0.0.1; check = none; retry { on = none }"
    " access-log = /var/log/web.log }\n";

static void every_setting(void **state)
{
    struct view *v = good(everything);
    const struct view_service *s = &v->services[0];
    assert_int_equal(v->workers, 2);
    assert_int_equal(v->n_sockets, 6);
    assert_int_equal(v->sockets[0].use, SOCKET_METRICS);
    assert_int_equal(v->sockets[0].addr.kind, ADDR_IP6);
    assert_int_equal(s->n_sockets, 3);
    assert_string_equal(v->sockets[s->sockets[2]].addr.path, "/run/web.sock");
    assert_int_equal(s->balance, ALGORITHM_ROUND_ROBIN);
    assert_string_equal(v->sockets[s->access_log].addr.path, "/var/log/web.log");
    assert_int_equal(s->access_log, v->services[1].access_log); /* one file, opened once */
    assert_int_equal(s->n_instances, 4);
    assert_true(str_eq(s->instances[0].name, STR("first")));
    assert_int_equal(s->instances[0].weight, 2);
    assert_true(str_eq(s->instances[1].name, STR("[2001:db8::1]:3000")));
    assert_true(str_eq(s->instances[2].name, STR("unix:@app")));
    assert_int_equal(s->instances[2].weight, 0);
    assert_true(str_eq(s->instances[3].name, STR("127.0.0.1:80")));
    assert_int_equal(s->check.kind, CHECK_HTTP);
    assert_true(str_eq(s->check.path, STR("/health?deep=yes&x=1")));
    assert_true(str_eq(s->check.body, STR("a \"b\" \\ \n\t${X}")));
    assert_true(str_eq(s->check.host, STR("web.example.com:8080")));
    assert_false(s->check.secret);
    assert_int_equal(s->check.status_min, 204);
    assert_int_equal(s->check.status_max, 204);
    assert_int_equal(s->check.interval, 2 * S);
    assert_int_equal(s->check.fast_interval, 250 * MS);
    assert_int_equal(s->check.timeout, 800 * MS);
    const struct view_timeouts t = {75 * S, 5 * S, 200 * MS, 10 * S, 60 * S, 86400 * S, 30 * S, 0};
    assert_memory_equal(&s->timeouts, &t, sizeof t);
    assert_int_equal(s->retry.on, RETRY_5XX | RETRY_CONNECT);
    assert_int_equal(s->retry.budget_permille, 125);
    assert_int_equal(s->retry.replay_max, 131072);
    assert_int_equal(s->eject.after, 0);
    assert_int_equal(s->limits.body_bytes, 10 << 20);
    assert_int_equal(v->services[1].check.kind, CHECK_NONE);
    assert_int_equal(v->services[1].retry.on, 0);
    assert_int_equal(v->services[1].instances[0].addr.port, 80);
    view_free(v);
}

static void layout_does_not_matter(void **state)
{
    static const char *const texts[] = {
        SMALL,
        "\xef\xbb\xbf" SMALL,
        "service web\r\n\r\n{\r\nlisten=http://127.0.0.1:8080\r\nbackend 127.0.0.1:3000\r\n}\r\n",
        "#c\nservice \"web\" #c\n#c\n{ ;;\n listen = {\"http://127.0.0.1:8080\"} # c\n"
        "backend localhost:3000;}",
        "service web{listen={http://127.0.0.1:8080\n}backend 127.0.0.1:3000{}}",
    };
    struct view *first = good(texts[0]);
    for (size_t i = 1; i < ARRAY_LEN(texts); i++) {
        struct view *v = good(texts[i]);
        struct buf a = {0}, b = {0}, changes = {0};
        assert_int_equal(conf_diff(first, v, &changes), 0);
        view_encode(first, &a);
        view_encode(v, &b);
        assert_int_equal(a.n, b.n);
        assert_memory_equal(a.p, b.p, a.n);
        buf_free(&a);
        buf_free(&b);
        buf_free(&changes);
        view_free(v);
    }
    view_free(first);
}

/* A view that leaves this room is one that every other room accepts. */
static void views_travel(void **state)
{
    struct view *v = good(everything), *back = NULL;
    struct buf bytes = {0};
    assert_int_equal(view_assign_slots(v, NULL, NULL), 0);
    v->epoch = 1;
    view_encode(v, &bytes);
    assert_int_equal(view_decode(buf_str(&bytes), &back, NULL), 0);
    buf_free(&bytes);
    assert_int_equal(conf_diff(v, back, &bytes), 0);
    assert_int_equal(bytes.n, 0);
    view_free(v);
    view_free(back);
}

static void references(void **state)
{
    const struct memory_file files[] = {
        {"etc/web.conf",
         STR("service web { listen = http://127.0.0.1:${PORT}; backend env:BACKEND\n"
             "check { http = \"/${NAME}/x\" body = file:secret.txt host = env:EMPTY_NOT }\n"
             "retry { attempts = env:N } }")},
        {"etc/secret.txt", STR("pa${NAME}ss\r\n")},
    };
    static const char *const variables[] = {
        "PORT", "8080", "BACKEND", "10.0.0.1:80", "NAME", "api", "EMPTY_NOT", "h", "N", "7", NULL};
    struct memory_world w = {files, 2, variables, 0};
    struct conf_problems p = {0};
    struct view *v = NULL;
    assert_int_equal(load(&w, &v, &p, NULL), 0);
    const struct view_service *s = &v->services[0];
    assert_int_equal(v->sockets[0].addr.port, 8080);
    assert_true(str_eq(s->instances[0].name, STR("10.0.0.1:80")));
    assert_true(str_eq(s->check.path, STR("/api/x")));
    assert_true(str_eq(s->check.body, STR("pa${NAME}ss"))); /* data, not looked at again */
    assert_true(s->check.secret);
    assert_int_equal(s->retry.attempts, 7);
    view_free(v);
    conf_problems_free(&p);
}

/* Whatever is wrong with a value that came from outside, it is not printed. */
static void secrets_are_never_printed(void **state)
{
    static const char *const places[] = {
        "listen = %s",
        "listen = {%s}",
        "backend %s",
        "balance = %s",
        "access-log = %s",
        "backend 10.0.0.2 { weight = %s }",
        "backend 10.0.0.2 { name = %s }",
        "check { http = %s }",
        "check { http = / host = %s }",
        "check { http = / body = %s }",
        "check { http = / status = %s }",
        "check { tcp = %s }",
        "check = %s",
        "check { every = %s }",
        "timeout { idle = %s }",
        "retry { on = %s }",
        "retry { on = {connect, %s} }",
        "retry { budget = %s }",
        "limit { head = %s }",
        "include %s",
        "balance %s",
        "%s = 1",
        "timeout %s { }",
        "backend 10.0.0.2 %s",
    };
    static const char *const forms[] = {"env:SECRET", "file:secret", "\"${SECRET}\"", "x${SECRET}",
                                        "http://${SECRET}"};
    static const char *const values[] = {"hunter2",        "hunter2 hunter2", "/hunter2",
                                         "http://hunter2", "hunter2:80",      "/hunter2/\x01",
                                         "99999hunter2"};
    for (size_t i = 0; i < ARRAY_LEN(places) * ARRAY_LEN(forms) * ARRAY_LEN(values); i++) {
        const char *value = values[i % ARRAY_LEN(values)];
        char statement[128], text[512];
        snprintf(statement, sizeof statement, "%s",
                 places[i / ARRAY_LEN(values) / ARRAY_LEN(forms)]);
        char *hole = strstr(statement, "%s");
        snprintf(text, sizeof text,
                 "service web { listen = http://127.0.0.1:80\nbackend 10.0.0.1\n"
                 "%.*s%s%s\n}\n",
                 (int)(hole - statement), statement,
                 forms[i / ARRAY_LEN(values) % ARRAY_LEN(forms)], hole + 2);
        const struct memory_file files[] = {{"web.conf", str_of(text)}, {"secret", str_of(value)}};
        const char *const variables[] = {"SECRET", value, NULL};
        struct memory_world w = {files, 2, variables, 0};
        struct conf_problems p = {0};
        struct view *v = NULL;
        struct err e = {0};
        struct buf out = {0};
        int rc = load(&w, &v, &p, &e);
        conf_problems_print(&p, true, &out);
        buf_printf(&out, "%s", e.text);
        if (rc == 0) {
            struct view *plain = good(SMALL);
            plain->services[0].check.kind = CHECK_HTTP;
            if (v->services[0].check.secret)
                conf_diff(plain, v, &out);
            view_free(plain);
        }
        assert_null(memmem(out.p, out.n, "hunter2", 7));
        buf_free(&out);
        view_free(v);
        conf_problems_free(&p);
    }
}

static void includes_in_order(void **state)
{
    const struct memory_file files[] = {
        {"etc/web.conf", STR("include \"conf.d/*\"\nservice last { include x.conf\n }\n")},
        {"etc/conf.d/2", STR("service two { listen = http://127.0.0.1:2; backend 10.0.0.2 }")},
        {"etc/conf.d/1", STR("include ../one")},
        {"etc/conf.d/3", STR("")},
        {"etc/conf.d/../one", STR("service one { listen = http://127.0.0.1:1; backend 10.0.0.1 }")},
        {"etc/x.conf", STR("listen = http://127.0.0.1:3\nbackend 10.0.0.3\n")},
    };
    struct memory_world w = {files, 6, NULL, 0};
    struct conf_problems p = {0};
    struct view *v = NULL;
    assert_int_equal(load(&w, &v, &p, NULL), 0);
    assert_int_equal(v->n_services, 3);
    assert_true(str_eq(v->services[0].name, STR("one")));
    assert_true(str_eq(v->services[1].name, STR("two")));
    assert_true(str_eq(v->services[2].name, STR("last")));
    view_free(v);
    conf_problems_free(&p);
}

static void includes_are_bounded(void **state)
{
    /* Circles that the names hide: "./a" is another text than "a". */
    const struct memory_file circle[] = {{"a", STR("include b\ninclude b\n" SMALL)},
                                         {"b", STR("include a\n")}};
    struct memory_world w = {circle, 2, NULL, 0};
    struct conf_problems p = {0};
    struct view *v = NULL;
    assert_int_equal(load(&w, &v, &p, NULL), -ERR_INVAL);
    assert_int_equal(p.errors, 2);
    assert_non_null(strstr(p.list[0].text, "would include itself"));
    conf_problems_free(&p);

    /* A chain that is too long. */
    const struct memory_file chain[] = {{"0", STR("include 1\n" SMALL)}, {"1", STR("include 2")},
                                        {"2", STR("include 3")},         {"3", STR("include 4")},
                                        {"4", STR("include 5")},         {"5", STR("include 6")},
                                        {"6", STR("include 7")},         {"7", STR("include 8")},
                                        {"8", STR("include 9")},         {"9", STR("")}};
    w = (struct memory_world){chain, 10, NULL, 0};
    assert_int_equal(load(&w, &v, &p, NULL), -ERR_INVAL);
    assert_int_equal(p.errors, 1);
    assert_string_equal(p.list[0].file, "8");
    conf_problems_free(&p);

    /* A tree that would grow without end: each level includes the next eight times. */
    struct memory_file tree[10];
    char names[10][2], text[10][128];
    for (int i = 0; i < 10; i++) {
        text[i][0] = 0;
        names[i][0] = (char)('0' + i);
        names[i][1] = 0;
        for (int k = 0; k < 8 && i < 8; k++)
            snprintf(text[i] + strlen(text[i]), sizeof text[i] - strlen(text[i]), "include %d\n",
                     i + 1);
        tree[i] = (struct memory_file){names[i], str_of(text[i])};
    }
    w = (struct memory_world){tree, 10, NULL, 0};
    assert_int_equal(load(&w, &v, &p, NULL), -ERR_INVAL);
    assert_int_equal(w.reads, CONF_MAX_FILES);
    conf_problems_free(&p);
}

static void an_absent_file(void **state)
{
    struct memory_file f = {"other", STR("")};
    struct memory_world w = {&f, 1, NULL, 0};
    struct conf_env env = memory_env(&w);
    struct conf_problems p = {0};
    struct view *v = NULL;
    struct err e = {0};
    assert_int_equal(conf_load("web.conf", &env, &v, &p, &e), -ERR_ABSENT);
    assert_string_equal(e.text, "web.conf does not exist");
    assert_int_equal(conf_load("web.conf", &env, &v, &p, NULL), -ERR_ABSENT);
    assert_int_equal(p.n, 0);
    assert_null(v);
    conf_problems_free(&p);
}

/* The n-th allocation fails, for every n: an error, no leak (ASan), and never a wrong view. */
static void every_allocation_may_fail(void **state)
{
    static const char bad[] = "service web { blance = x\n backend y\n timeout = 1\n listen = 80\n}";
    const struct memory_file files[] = {
        {"web.conf", {everything, sizeof everything - 1}},
        {"inc.conf", STR("include \"inc/*\"\n" SMALL "\n")},
        {"inc/a", STR("service a { listen = http://127.0.0.1:1; backend env:B }\n")},
        {"inc/b", STR("service b { listen = http://127.0.0.1:2; backend file:../b }\n")},
        {"inc/../b", STR("10.0.0.1:80\n")},
        {"bad.conf", {bad, sizeof bad - 1}},
        {"dir/cluster.conf", STR(CLUSTER SMALL)},
        {"dir/primary.conf",
         STR(CLUSTER
             "service cache { agent = redis  listen = tcp://0.0.0.0:26379; hook = {/bin/a, b}\n"
             "vip = 10.0.0.100/24  apart = cron }\n"
             "service cron { agent = process  command = {/bin/cron, -f, \"\"} }\n"
             "service bad { agent = process  on = {nobody, b}  listen = tcp://127.0.0.1:9 }\n")},
        {"none.conf", STR("cluster prod { key = file:x\nnode b { address = 10.0.0.2 }\n"
                          "node c { address = 10.0.0.3 }\n}\n" SMALL)},
        {"dir/cluster.key", STR("key")},
    };
    static const char *const variables[] = {"B", "10.0.0.2:80", NULL};
    static const struct {
        const char *path;
        int result;
    } cases[] = {{"web.conf", 0},
                 {"inc.conf", 0},
                 {"bad.conf", -ERR_INVAL},
                 {"dir/cluster.conf", 0},
                 {"dir/primary.conf", -ERR_INVAL},
                 {"none.conf", -ERR_INVAL}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        unsigned long n = 0;
        for (int rc = -ERR_NOMEM; rc != cases[i].result;) {
            struct memory_world w = {files, ARRAY_LEN(files), variables, 0};
            struct conf_env env = memory_env(&w);
            struct conf_problems p = {0};
            struct view *v = NULL;
            struct err e = {0};
            mem_fail_at(++n);
            rc = conf_load(cases[i].path, &env, &v, &p, &e);
            int happened = mem_failed();
            mem_fail_at(0);
            assert_true(rc == cases[i].result || rc == -ERR_NOMEM);
            assert_int_equal(rc == -ERR_NOMEM, happened);
            assert_true((rc == 0) == (v != NULL));
            view_free(v);
            conf_problems_free(&p);
        }
        assert_true(n > 5);
    }
}

static void repeat(struct buf *b, const char *text, size_t times)
{
    for (size_t i = 0; i < times; i++)
        buf_add_str(b, str_of(text));
}

/* An input that must be refused in bounded time and stack, with problems that fit. */
static void refuse(struct buf *text)
{
    struct memory_file f = {"web.conf", buf_str(text)};
    struct memory_world w = {&f, 1, NULL, 0};
    struct conf_problems p = {0};
    struct view *v = NULL;
    assert_false(text->failed);
    assert_int_equal(load(&w, &v, &p, NULL), -ERR_INVAL);
    assert_true(p.n <= CONF_MAX_PROBLEMS && p.n > 0);
    conf_problems_free(&p);
    buf_free(text);
}

static void depth_and_size_are_bounded(void **state)
{
    struct buf b = {0};
    repeat(&b, "a {", 1000000);
    refuse(&b);
    repeat(&b, "{", 1000000);
    refuse(&b);
    repeat(&b, "a\n", 1000000);
    refuse(&b);
    repeat(&b, "a = {b,", 500000);
    refuse(&b);
    buf_printf(&b, "a = {");
    repeat(&b, "b,", 1000000);
    refuse(&b);
    repeat(&b, "\"", 1000000);
    refuse(&b);
    repeat(&b, "}", 1000000);
    refuse(&b);
    repeat(&b, "a ", 1000000);
    refuse(&b);
    repeat(&b, "a = ${A}${B} ", 200000);
    refuse(&b);
    buf_printf(&b, "a = ");
    repeat(&b, "${", 500000);
    refuse(&b);
    repeat(&b, "workers = 1\n", 100000);
    refuse(&b);
    repeat(&b, SMALL "\n", 20000);
    refuse(&b);
}

static void tables_are_bounded(void **state)
{
    struct buf b = {0};
    buf_printf(&b, "service web { listen = http://127.0.0.1:8080\n");
    for (int i = 0; i < 1024; i++)
        buf_printf(&b, "backend 10.0.%d.%d\n", i / 250, i % 250 + 1);
    size_t full = b.n;
    buf_printf(&b, "}");
    buf_add(&b, "", 1);
    view_free(good(b.p));
    b.n = full;
    buf_printf(&b, "backend 10.1.0.1 }");
    refuse(&b);
    for (int i = 0; i < 4097; i++)
        buf_printf(&b, "service s%d { listen = http://unix:@%d; backend 10.0.0.1 }\n", i, i);
    refuse(&b);
    for (int i = 0; i < 17; i++) {
        buf_printf(&b, "service s%d { listen = http://unix:@%d\n", i, i);
        for (int k = 0; k < 1000; k++)
            buf_printf(&b, "backend 10.0.%d.%d\n", k / 250, k % 250 + 1);
        buf_printf(&b, "}\n");
    }
    refuse(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(every_setting),
        cmocka_unit_test(a_cluster),
        cmocka_unit_test(who_keeps_and_who_votes),
        cmocka_unit_test(a_witness_hosts_nothing),
        cmocka_unit_test(a_cluster_may_do_without_services),
        cmocka_unit_test(heartbeats_set_what_is_silence),
        cmocka_unit_test(the_node_must_be_one_of_the_cluster),
        cmocka_unit_test(a_cluster_is_bounded),
        cmocka_unit_test(layout_does_not_matter),
        cmocka_unit_test(views_travel),
        cmocka_unit_test(references),
        cmocka_unit_test(secrets_are_never_printed),
        cmocka_unit_test(includes_in_order),
        cmocka_unit_test(includes_are_bounded),
        cmocka_unit_test(an_absent_file),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(depth_and_size_are_bounded),
        cmocka_unit_test(tables_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
