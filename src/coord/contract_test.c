/* The contract on every engine: the rigs.
 *
 * The model and the embedded engine always; etcd when HOLDFAST_ETCD names its endpoints
 * (URL,URL...), with HOLDFAST_ETCD_CA, _CERT and _KEY where it asks for them. "etcd" as argument:
 * that alone. */
#include "coord/contract_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "coord/etcd.h"
#include "coord/faulty_disk_test.h"
#include "coord/model.h"

/* ---- The model ---- */

static struct model *model;

static void model_begin(struct loop *l)
{
    assert_int_equal(model_new(&model, l, NULL), 0);
}

/* The same with requests that overtake each other. */
static void slow_model_begin(struct loop *l)
{
    model_begin(l);
    model_delay(model, 0, 3 * NS_PER_MS, 1);
}

static void model_end(void)
{
    model_free(model);
    model = NULL;
}

static struct coord *model_open(struct loop *l)
{
    struct coord *c = NULL;
    assert_int_equal(coord_model_new(&c, model, NULL), 0);
    return c;
}

static void model_is_away(bool away)
{
    model_away(model, away);
}

static void model_forgets(void)
{
    model_compact(model);
}

static void model_unknown(bool happens)
{
    model_order(model, happens ? MODEL_UNANSWERED : MODEL_LOST, 1);
}

/* ---- The embedded engine, on a disk that can be ordered to fail ---- */

static struct faulty_disk *disk;
static char folder[64], path[80];

static void embedded_begin(struct loop *l)
{
    disk = faulty_disk();
    snprintf(folder, sizeof folder, "/tmp/hf-coord-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/map.db", folder);
}

static void embedded_end(void)
{
    faulty_disk_heal(disk);
    unlink(path);
    assert_int_equal(rmdir(folder), 0); /* closed, it leaves nothing but the map */
}

static struct coord *embedded_open(struct loop *l)
{
    struct coord *c = NULL;
    struct err e = {0};
    if (coord_embedded_new(&c, l, path, &e))
        print_error("%s\n", e.text);
    assert_non_null(c);
    return c;
}

/* What it has read it keeps in memory, so that only who writes finds out. */
static void embedded_away(bool away)
{
    struct got g = {0};
    struct coord_op op = put("away", 0, "");
    faulty_disk_heal(disk);
    if (!away)
        return;
    faulty_disk_gone(disk);
    assert_int_equal(coord_cas(k.c, &op, 1, clock_now() + 50 * NS_PER_MS, on_done, &g, NULL, NULL),
                     0);
    await(&g);
    assert_int_equal(g.outcome, COORD_UNKNOWN);
}

/* It happens: the disk takes longer than the caller waits. It does not: the disk fails, and is good
 * again only later. */
static void embedded_unknown(bool happens)
{
    if (happens)
        faulty_disk_slow(disk, 200 * NS_PER_MS, 1);
    else
        faulty_disk_gone_for(disk, 200 * NS_PER_MS);
}

/* ---- An etcd that is there ---- */

enum { ENDPOINTS = 16 };

static char prefix[64];
static const char *endpoints[ENDPOINTS];
static uint32_t n_endpoints, maps;
static struct etcd_http_options files;

/* Each case has a prefix of its own. */
static void real_begin(struct loop *l)
{
    snprintf(prefix, sizeof prefix, "contract/%ld/%u/", (long)getpid(), maps++);
}

static struct coord *real_open(struct loop *l)
{
    struct coord *c = NULL;
    struct err e = {0};
    const struct coord_etcd_options o = {
        .endpoints = endpoints,
        .n_endpoints = n_endpoints,
        .prefix = prefix,
        .ca = files.ca,
        .cert = files.cert,
        .key = files.key,
    };
    if (coord_etcd_new(&c, l, &o, &e))
        print_error("%s\n", e.text);
    assert_non_null(c);
    return c;
}

/* This connection has nobody to ask. */
static void real_cut(struct coord *c, bool away)
{
    static const char *const nowhere[] = {"http://127.0.0.1:1"};
    assert_int_equal(
        coord_etcd_endpoints(c, away ? nowhere : endpoints, away ? 1 : n_endpoints, NULL), 0);
}

static void real_away(bool away)
{
    real_cut(k.c, away);
}

static void on_told(struct etcd_call *c)
{
    loop_stop(k.loop);
}

static bool is_told(void *context)
{
    return ((struct etcd_call *)context)->ended;
}

static void ask_real(struct etcd_call *c, const char *where, const char *body)
{
    struct etcd_http *h;
    etcd_call_init(c, on_told);
    c->base = endpoints[0];
    c->path = where;
    c->connect_ns = c->limit_ns = soon() - clock_now();
    c->answer_max = 4096;
    assert_true(buf_add_str(&c->request, str_of(body)));
    assert_int_equal(etcd_http_new(&h, k.loop, &files, NULL), 0);
    assert_int_equal(etcd_call_start(h, c, NULL), 0);
    turn_until(is_told, c);
    assert_int_equal(c->status, 200);
    etcd_http_free(h);
}

static void real_compacts(void)
{
    struct etcd_call c;
    struct etcd_header h;
    bool succeeded;
    char body[64];
    ask_real(&c, "/v3/kv/range", "{\"key\":\"YQ==\"}");
    assert_int_equal(etcd_read_txn(buf_str(&c.answer), &h, &succeeded, NULL), 0);
    etcd_call_end(&c);
    snprintf(body, sizeof body, "{\"revision\":\"%llu\"}", (unsigned long long)h.revision);
    ask_real(&c, "/v3/kv/compaction", body);
    etcd_call_end(&c);
}

/* What a case left is removed: the etcd may be somebody's. */
static void remove_all(void *context, const struct coord_answer *a)
{
    static struct got last;
    assert_int_equal(a->outcome, COORD_DONE);
    for (uint32_t i = 0; i < a->n; i++) {
        struct coord_op op = {a->items[i].key, STR(""), COORD_ANY, COORD_REMOVE};
        assert_int_equal(coord_cas(k.c, &op, 1, soon(), on_done, &last, NULL, NULL), 0);
    }
    on_done(context, a);
}

static bool is_idle(void *context)
{
    struct coord_health h;
    coord_health(k.c, &h);
    return h.done + h.conflicts >= *(uint64_t *)context;
}

static void real_end(void)
{
    struct got g = {0};
    struct coord_health h;
    k.c = real_open(k.loop);
    assert_int_equal(coord_range(k.c, STR(""), soon(), remove_all, &g, NULL, NULL), 0);
    await(&g);
    uint64_t all = 1 + g.n;
    turn_until(is_idle, &all);
    coord_health(k.c, &h);
    assert_int_equal(h.failed + h.unknown, 0);
    buf_free(&g.text);
    coord_free(k.c);
    k.c = NULL;
}

static const struct rig etcd = {"etcd",    true,     true,          real_begin, real_end, real_open,
                                real_away, real_cut, real_compacts, NULL,       true};

static bool find_etcd(void)
{
    static char urls[1024];
    const char *given = getenv("HOLDFAST_ETCD");
    if (!given || !*given)
        return false;
    snprintf(urls, sizeof urls, "%s", given);
    files = (struct etcd_http_options){getenv("HOLDFAST_ETCD_CA"), getenv("HOLDFAST_ETCD_CERT"),
                                       getenv("HOLDFAST_ETCD_KEY")};
    char *rest = urls;
    for (char *url; n_endpoints < ENDPOINTS && (url = strtok_r(rest, ",", &rest));)
        endpoints[n_endpoints++] = url;
    return n_endpoints > 0;
}

static const struct rig rigs[] = {
    {"model", true, true, model_begin, model_end, model_open, model_is_away, coord_model_away,
     model_forgets, model_unknown},
    {"slow model", true, true, slow_model_begin, model_end, model_open, model_is_away,
     coord_model_away, model_forgets, model_unknown},
    {"embedded", false, true, embedded_begin, embedded_end, embedded_open, embedded_away, NULL,
     NULL, embedded_unknown},
};

static int run(const struct rig *rig)
{
    k.rig = rig;
    return contract_cases() + contract_faults();
}

int main(int argc, char **argv)
{
    int failed = 0;
    bool with_etcd = find_etcd(), only_etcd = argc > 1 && !strcmp(argv[1], "etcd");
    if (only_etcd && !with_etcd)
        return 2;
    for (uint32_t i = 0; i < ARRAY_LEN(rigs) && !only_etcd; i++)
        failed += run(&rigs[i]);
    if (with_etcd)
        failed += run(&etcd);
    return failed;
}
