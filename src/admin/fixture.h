/* What this room's tests share: a node that is not there. A view of one service with two instances,
 * shared cells with numbers in them, judges, and a host that counts what it is asked. */
#ifndef HF_ADMIN_FIXTURE_H
#define HF_ADMIN_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "admin/inside.h"

enum { FIXTURE_WORKERS = 2 };

struct fixture {
    struct loop *loop;
    struct view *view;
    struct cells cells;
    void *region;
    struct judge judges[2];
    struct beat_watch watches[2];
    struct events events;
    struct findings held;
    struct admin *admin;
    bool draining[2];
    unsigned reloads, restarts, upgrades;
    char program[64];
    struct admin_change change;
    struct admin_reload *asked; /* the latest reload */
    struct told_change told;    /* the latest change of instances; items of the first 8 */
    struct told_item items[8];
    unsigned tells;
    int tell_answers; /* of the next tell() */
    struct admin_telling *telling;
    int reload_refuses; /* error code of the next reload() */
    bool alone;         /* this node is in no cluster */
    unsigned leaves;
    bool maintained[3];
    int maintenance_refuses; /* error code of the next maintenance() */
    int keys_refuse;         /* error code of the next ticket(), keys() or rotate() */
    unsigned rotations, forced;
    uint64_t ttl; /* of the latest ticket */
    char ticket_node[64];
    struct admin_config_ask config; /* the latest; who and bundle are below */
    char config_bundle[64], config_who[64];
    bool unapplied;                                   /* no version is in force yet */
    int config_refuses;                               /* error code of the next config_ask() */
    const struct admin_config_result *config_answers; /* at once; NULL: later */
    struct list config_waits;
    unsigned role_looks, role_asks;
    int role_refuses, role_ask_refuses; /* error code of the next */
    bool role_lost;                     /* no primary acts */
    enum admin_role_ask role_what;      /* the latest */
    int role_to;
};

static inline const struct view *fixture_view(void *context)
{
    return ((struct fixture *)context)->view;
}

static inline const struct cells *fixture_cells(void *context)
{
    return &((struct fixture *)context)->cells;
}

static inline const struct judge *fixture_judge(void *context, uint32_t slot)
{
    return slot < 2 ? &((struct fixture *)context)->judges[slot] : NULL;
}

static inline int fixture_reload(void *context, struct admin_reload *r, struct err *e)
{
    struct fixture *f = context;
    f->reloads++;
    if (f->reload_refuses)
        return err_set(e, (enum err_code)f->reload_refuses, "no reload today");
    f->asked = r;
    static struct list askers;
    list_init(&askers);
    list_push_back(&askers, &r->link);
    return 0;
}

/* Version 3 runs here, and 4 is in force. */
static inline int fixture_config(void *context, struct admin_config *out, struct err *e)
{
    const struct fixture *f = context;
    static const struct admin_version v = {
        .when = 1000, .digest = "d", .who = "root", .node = "a", .note = "why", .changes = "x\ny"};
    out->used = out->head = v;
    out->used.number = f->unapplied ? 0 : 3;
    out->head.number = f->unapplied ? 0 : 4;
    out->head.from = 2;
    out->revision = 17;
    out->head_known = out->reachable = true;
    out->coordinator = "model";
    out->problem = "it cannot";
    out->own_problem = "web.conf has 1 error";
    out->nodes = arena_array(&out->arena, 1, sizeof *out->nodes);
    if (!out->nodes)
        return err_set(e, ERR_NOMEM, "no memory");
    out->nodes[0] = (struct admin_adoption){STR("host-a"), true, true, true, 3, "it cannot"};
    out->n_nodes = f->alone ? 0 : 1;
    return 0;
}

/* Says what it was asked in what it answers. */
static inline int fixture_config_ask(void *context, const struct admin_config_ask *ask,
                                     struct admin_config_wait *w, struct err *e)
{
    struct fixture *f = context;
    f->config = *ask;
    str_copy(f->config_bundle, sizeof f->config_bundle, ask->bundle);
    str_copy(f->config_who, sizeof f->config_who, ask->who);
    if (f->config_refuses)
        return err_set(e, (enum err_code)f->config_refuses, "no configuration today");
    if (f->config_answers)
        w->done(w, f->config_answers);
    else
        list_push_back(&f->config_waits, &w->link);
    return 0;
}

static inline int fixture_drain(void *context, uint32_t slot, bool on, bool *changed, struct err *e)
{
    struct fixture *f = context;
    *changed = f->draining[slot] != on;
    f->draining[slot] = on;
    cell_set(&cells_verdict(&f->cells, slot)->draining, on);
    return 0;
}

static inline int fixture_tell(void *context, const struct told_change *change,
                               struct admin_telling *waits, struct admin_told *told, struct err *e)
{
    struct fixture *f = context;
    f->tells++;
    f->told = *change;
    for (uint32_t i = 0; i < change->n && i < 8; i++)
        f->items[i] = change->items[i];
    if (f->tell_answers < 0)
        return err_set(e, (enum err_code) - f->tell_answers, "no change today");
    *told = (struct admin_told){.added = 2, .updated = 1, .epoch = 9};
    static struct list askers;
    list_init(&askers);
    if (f->tell_answers > 0)
        list_push_back(&askers, &waits->link);
    f->telling = waits;
    return f->tell_answers;
}

static inline int fixture_restart(void *context, bool gently, struct err *e)
{
    ((struct fixture *)context)->restarts += gently ? 1 : 100;
    return 0;
}

static inline int fixture_upgrade(void *context, struct str path, struct err *e)
{
    str_copy(((struct fixture *)context)->program, sizeof((struct fixture *)context)->program,
             path);
    ((struct fixture *)context)->upgrades++;
    return 0;
}

static inline const struct admin_change *fixture_change(void *context)
{
    return &((struct fixture *)context)->change;
}

static inline struct addr fixture_address(const char *text);

/* host-a, which is asked; host-b, which it hears; host-c, which nobody hears any more. */
static inline int fixture_cluster(void *context, struct admin_cluster *out, struct err *e)
{
    static const struct {
        const char *name, *address;
        struct member_info info;
    } nodes[] = {
        {"host-a",
         "10.0.0.1:7300",
         {.id = 1, .incarnation = 4, .observers = 1, .hearing = 1, .self = true}},
        {"host-b",
         "10.0.0.2:7300",
         {.id = 2, .incarnation = 9, .rtt = 187000, .observers = 1, .hearing = 1, .zone = 1}},
        {"host-c",
         "[::1]:7300",
         {.id = 3, .incarnation = 2, .observers = 2, .silent = 2, .witness = true}},
    };
    static const uint8_t states[] = {MEMBER_ALIVE, MEMBER_ALIVE, MEMBER_FAILED};
    static const uint8_t reasons[] = {MEMBER_SELF, MEMBER_HEARD, MEMBER_AGREED};
    struct fixture *f = context;
    uint64_t now = loop_now(f->loop);
    if (f->alone)
        return err_set(e, ERR_ABSENT, "alone");
    out->name = STR("prod");
    out->members = arena_array(&out->arena, ARRAY_LEN(nodes), sizeof *out->members);
    struct str *names = arena_array(&out->arena, 2, sizeof *names);
    if (!out->members || !names)
        return err_set(e, ERR_NOMEM, "no memory");
    for (uint32_t i = 0; i < ARRAY_LEN(nodes); i++) {
        struct admin_member *m = &out->members[out->n++];
        *m = (struct admin_member){.name = str_of(nodes[i].name), .zone = STR("")};
        m->address = fixture_address(nodes[i].address);
        m->info = nodes[i].info;
        m->info.state = states[i];
        m->info.reason = reasons[i];
        m->info.since = now - (12 + i) * NS_PER_S;
        m->info.heard_at = i ? now - i * NS_PER_S : 0;
        m->info.maintenance = f->maintained[i];
    }
    names[0] = out->members[0].name;
    names[1] = out->members[1].name;
    out->members[0].hearing = names + 1;
    out->members[1].hearing = out->members[2].silent = names;
    out->members[0].n_hearing = out->members[1].n_hearing = 1;
    out->members[2].n_silent = 2;
    out->members[1].zone = STR("east");
    out->explain = STR("host-a and host-c cannot reach each other");
    out->health = 2;
    out->left = f->leaves > 1;
    out->mesh = (struct admin_mesh_counts){.sent = 10,
                                           .received = 9,
                                           .sent_bytes = 1000,
                                           .received_bytes = 900,
                                           .links = 1,
                                           .real_time = true};
    out->mesh.refused[0].reason = "forged";
    out->mesh.refused[0].n = 3;
    out->mesh.refused[1].reason = "replayed";
    out->mesh.n_refused = 2;
    return 0;
}

static inline int fixture_coordinator(void *context, struct admin_coordinator *out, struct err *e)
{
    struct fixture *f = context;
    if (f->alone)
        return err_set(e, ERR_ABSENT, "alone");
    out->kind = "managed";
    out->open = out->reachable = true;
    out->revision = 42;
    out->n_members = 3;
    out->voters = 7;
    out->n_voters = 2;
    str_copy(out->voter[0], sizeof out->voter[0], STR("host-a"));
    str_copy(out->voter[1], sizeof out->voter[1], STR("host-c"));
    out->record = "data";
    out->etcd = "running";
    out->bytes = 4096;
    out->full = true;
    out->heartbeat_ms = 400;
    out->sync_median = 3 * NS_PER_MS;
    return 0;
}

static inline int fixture_leave(void *context, struct err *e)
{
    ((struct fixture *)context)->leaves++;
    return 0;
}

static inline int fixture_maintenance(void *context, struct str node, bool on, bool *changed,
                                      struct err *e)
{
    struct fixture *f = context;
    uint32_t i = (uint32_t)(node.p[node.n - 1] - 'a');
    if (f->maintenance_refuses)
        return err_set(e, (enum err_code)f->maintenance_refuses, "it cannot be told now");
    *changed = f->maintained[i] != on;
    f->maintained[i] = on;
    return 0;
}

static inline int fixture_ticket(void *context, struct str node, uint64_t ttl,
                                 struct admin_ticket *out, struct err *e)
{
    struct fixture *f = context;
    if (f->keys_refuse)
        return err_set(e, (enum err_code)f->keys_refuse, "not now");
    f->ttl = ttl;
    str_copy(f->ticket_node, sizeof f->ticket_node, node);
    *out = (struct admin_ticket){.id = 0xa1, .cluster = STR("prod"), .expires_at = ttl};
    assert_true(addr_parse(STR("10.0.0.1:7300"), &out->at));
    assert_true(buf_add_str(&out->text, STR("hf1.secret")));
    return 0;
}

static inline int fixture_keys(void *context, struct admin_keys *out, struct err *e)
{
    struct fixture *f = context;
    if (f->keys_refuse)
        return err_set(e, (enum err_code)f->keys_refuse, "not now");
    out->file = STR("/etc/cluster.key");
    out->n = 2;
    out->keys[0].id = 0xbeef;
    out->keys[1].id = 0xcafe;
    out->keys[1].use = true;
    out->number = f->rotations;
    out->state = "running";
    out->step = "accept";
    out->force = f->forced > 0;
    out->key = 0xbeef;
    str_copy(out->text, sizeof out->text, STR("waits for b"));
    out->n_nodes = 1;
    out->nodes[0].name = STR("b");
    return 0;
}

static inline int fixture_rotate(void *context, bool force, struct err *e)
{
    struct fixture *f = context;
    if (f->keys_refuse)
        return err_set(e, (enum err_code)f->keys_refuse, "not now");
    f->rotations++;
    f->forced += force;
    return 0;
}

static inline const struct beat_watch *fixture_beat(void *context, uint32_t index)
{
    struct fixture *f = context;
    return index < f->view->n_beats && index < ARRAY_LEN(f->watches) ? &f->watches[index] : NULL;
}

static inline void fixture_beaten(void *context, uint32_t index, bool failed, struct str text)
{
    struct fixture *f = context;
    struct signal s = {
        .at = loop_now(f->loop), .count = 1, .kind = failed ? SIGNAL_BEAT_FAILED : SIGNAL_BEAT_OK};
    beat_signal(&f->watches[index], &s, text);
}

static inline struct admin_beat_counts fixture_beat_counts(void *context)
{
    return (struct admin_beat_counts){11, 12, 13, 14};
}

static inline struct addr fixture_address(const char *text)
{
    struct addr a;
    assert_true(addr_parse(str_of(text), &a));
    return a;
}

static inline struct view *fixture_new_view(const char *service)
{
    struct view *v = view_new();
    assert_non_null(v);
    v->epoch = 7;
    v->workers = FIXTURE_WORKERS;
    v->file = STR("/etc/holdfast.conf");
    v->sockets = arena_array(&v->arena, 1, sizeof *v->sockets);
    v->n_sockets = 1;
    v->sockets[0] = (struct view_socket){SOCKET_HTTP, fixture_address("0.0.0.0:8080")};
    v->beats = arena_array(&v->arena, 2, sizeof *v->beats);
    v->n_beats = 2;
    v->beats[0] = (struct view_beat){STR("backup"), 60 * NS_PER_S, 30 * NS_PER_S, true, {7}};
    v->beats[1] = (struct view_beat){STR("report"), 5 * NS_PER_S, 0, false, {0}};
    v->services = arena_array(&v->arena, 1, sizeof *v->services);
    v->n_services = 1;
    struct view_service *s = &v->services[0];
    s->name = str_of(service);
    s->access_log = -1;
    s->balance = ALGORITHM_LEAST_REQUESTS;
    s->sockets = arena_array(&v->arena, 1, sizeof *s->sockets);
    s->n_sockets = 1;
    s->instances = arena_array(&v->arena, 2, sizeof *s->instances);
    s->n_instances = 2;
    s->instances[0] = (struct view_instance){
        .name = STR("10.0.0.1:80"), .addr = fixture_address("10.0.0.1:80"), .weight = 1, .slot = 0};
    s->instances[1] = (struct view_instance){
        .name = STR("b/1"), .addr = fixture_address("unix:/run/b.sock"), .weight = 2, .slot = 1};
    return v;
}

/* A second service, of kind primary: cache on a, b and c; this node is a. */
static inline void fixture_add_primary(struct view *v)
{
    static struct view_node nodes[3];
    static const char *const names[3] = {"a", "b", "c"};
    struct view_service *list = arena_array(&v->arena, 2, sizeof *list);
    assert_non_null(list);
    list[0] = v->services[0];
    list[1] = (struct view_service){.name = STR("cache"),
                                    .slot = 1,
                                    .mode = VIEW_TCP,
                                    .access_log = -1,
                                    .primary = {.agent = AGENT_REDIS,
                                                .on = {1, 0, 2},
                                                .n_on = 3,
                                                .port = 6379,
                                                .sync = 1,
                                                .vip_interface = STR("")}};
    for (uint32_t i = 0; i < 3; i++)
        nodes[i] = (struct view_node){.name = str_of(names[i]), .zone = STR("")};
    v->services = list;
    v->n_services = 2;
    v->cluster.name = STR("prod");
    v->cluster.nodes = nodes;
    v->cluster.n_nodes = 3;
}

/* b is primary, a follows, c is gone; places are b, a, c. */
static inline int fixture_role(void *context, const struct view_service *s, struct admin_role *out,
                               struct err *e)
{
    struct fixture *f = context;
    f->role_looks++;
    if (f->role_refuses)
        return err_set(e, (enum err_code)f->role_refuses, "nothing is known");
    *out = (struct admin_role){.recorded = true,
                               .epoch = 8,
                               .primary = 0,
                               .wanted = ADMIN_NOBODY,
                               .acts = !f->role_lost,
                               .coordinator = true,
                               .state = "replica",
                               .lease_until = loop_now(f->loop) + 5 * NS_PER_S,
                               .sync = 1,
                               .wall = 1000 * NS_PER_S,
                               .who = "b",
                               .why = "node c failed",
                               .request = {3, "switchover", "running", "waits"},
                               .last = {8, 2, 0, false, 1000 * NS_PER_S, 412 * NS_PER_MS, "gone"}};
    out->nodes[0] = (struct admin_role_node){.heard = true,
                                             .alive = true,
                                             .insync = true,
                                             .well = true,
                                             .instance = "primary",
                                             .position = 90211};
    out->nodes[1] = out->nodes[0];
    out->nodes[1].instance = "replica";
    out->nodes[1].lag_known = true;
    out->nodes[1].lag_bytes = 211;
    out->nodes[1].lag = 1500 * NS_PER_MS;
    str_copy(out->nodes[2].why_not, ADMIN_REASON_MAX, STR("it has failed"));
    return 0;
}

static inline int fixture_role_ask(void *context, const struct view_service *s,
                                   enum admin_role_ask what, int to, struct err *e)
{
    struct fixture *f = context;
    if (f->role_ask_refuses)
        return err_set(e, (enum err_code)f->role_ask_refuses, "not now");
    f->role_asks++;
    f->role_what = what;
    f->role_to = to;
    return 0;
}

/* Numbers that differ from row to row, so that a mix-up shows. */
static inline void fixture_count(struct fixture *f)
{
    for (uint32_t w = 0; w < FIXTURE_WORKERS; w++) {
        struct service_row *s = cells_service(&f->cells, w, 0);
        cell_set(&s->requests, 100 + w);
        cell_set(&s->status[2], 90 + w);
        cell_set(&s->status[5], 3);
        cell_set(&s->retries, 4);
        cell_set(&s->latency[24], 50); /* up to 2^-10 s */
        cell_set(&s->latency[28], 50); /* up to 2^-9 s */
        cell_set(&s->latency_us_sum, 100000);
        struct instance_row *a = cells_instance(&f->cells, w, 0);
        cell_set(&a->requests, 60 + w);
        cell_set(&a->ok, 55);
        cell_set(&a->refused, 2);
        cell_set(&a->inflight, 1);
        cell_set(&a->latency[24], 55);
        cell_set(&a->latency_us_sum, 50000);
    }
    cell_set(&cells_instance(&f->cells, 1, 1)->verdict, VERDICT_DEGRADED);
    struct process_row *p = f->cells.processes;
    cell_set(&p[PROCESS_PROXY].pid, 4003);
    cell_set(&p[PROCESS_PROXY].starts, 2);
    cell_set(&p[PROCESS_PROXY].role, PROXY_DRAINS);
    cell_set(&p[PROCESS_WORKER0 + 1].connections, 12);
}

/* ---- what the senses hold: something against the service "web", and against this node ---- */

static inline const struct findings *fixture_held(void *context, enum subject_kind kind,
                                                  struct str name)
{
    struct fixture *f = context;
    return kind == SUBJECT_SERVICE && str_eq(name, STR("web")) ? &f->held : NULL;
}

static inline const struct findings *fixture_held_at(void *context, uint32_t slot)
{
    struct fixture *f = context;
    return slot == 1 ? &f->held : NULL;
}

static inline bool fixture_held_next(void *context, size_t *at, struct admin_held *out)
{
    static const struct {
        enum subject_kind kind;
        const char *name;
    } all[] = {{SUBJECT_SERVICE, "web"}, {SUBJECT_DISK, "host-a:/srv"}};
    struct fixture *f = context;
    if (*at >= ARRAY_LEN(all) || !f->held.n)
        return false;
    *out = (struct admin_held){all[*at].kind, all[*at].name, &f->held};
    ++*at;
    return true;
}

static bool fixture_notify(void *context, uint32_t i, struct admin_notify *out)
{
    (void)context;
    *out = (struct admin_notify){
        .name = "ops", .sent = 3, .failed = 2, .held = 1, .dropped = 4, .waiting = 5};
    return i == 0;
}

static inline struct admin_found fixture_found(void *context)
{
    (void)context;
    return (struct admin_found){.raised = {[FINDING_LOG_RULE] = 3}, .refused = 2};
}

/* From now on. */
static inline void fixture_hold(struct fixture *f, enum verdict verdict)
{
    struct finding_signal s = {.at = loop_now(f->loop),
                               .kind = FINDING_LOG_RULE,
                               .verdict = verdict,
                               .key = 0xabc,
                               .weight = 1,
                               .says = STR("5 lines matched FATAL in 10 s")};
    assert_true(findings_signal(&f->held, &s));
}

static inline void fixture_open(struct fixture *f, struct view *view)
{
    *f = (struct fixture){.view = view};
    struct err e = {0};
    assert_int_equal(loop_new(&f->loop, &e), 0);
    size_t size = cells_size(FIXTURE_WORKERS, 4, 8);
    f->region = aligned_alloc(4096, (size + 4095) / 4096 * 4096);
    assert_non_null(f->region);
    list_init(&f->config_waits);
    memset(f->region, 0, size);
    cells_format(f->region, FIXTURE_WORKERS, 4, 8, loop_now(f->loop) - 100 * NS_PER_S);
    assert_int_equal(cells_attach(&f->cells, f->region, size, &e), 0);
    fixture_count(f);
    struct judge_params params = {.checked = true, .rise = 2, .fall = 3, .eject_after = 5};
    params.hold = params.hold_max = params.interval = params.fast_interval = NS_PER_S;
    for (int i = 0; i < 2; i++)
        judge_init(&f->judges[i], &params, loop_now(f->loop));
    struct signal passed = {
        .at = loop_now(f->loop), .count = 1, .kind = SIGNAL_CHECK_OK, .detail = 900};
    judge_signal(&f->judges[0], &passed);
    for (uint32_t i = 0; view && i < view->n_beats; i++) {
        struct beat_params times = {view->beats[i].every, view->beats[i].grace};
        beat_init(&f->watches[i], &times, loop_now(f->loop) - 10 * NS_PER_S);
        beat_tick(&f->watches[i], loop_now(f->loop));
    }
    assert_int_equal(events_init(&f->events, 8, 1000, &e), 0);
    struct admin_host host = {
        .coordinator = fixture_coordinator,
        .context = f,
        .events = &f->events,
        .node = "host-a",
        .view = fixture_view,
        .cells = fixture_cells,
        .judge = fixture_judge,
        .reload = fixture_reload,
        .drain = fixture_drain,
        .tell = fixture_tell,
        .restart_proxy = fixture_restart,
        .upgrade = fixture_upgrade,
        .change = fixture_change,
        .cluster = fixture_cluster,
        .leave = fixture_leave,
        .maintenance = fixture_maintenance,
        .ticket = fixture_ticket,
        .keys = fixture_keys,
        .rotate = fixture_rotate,
        .role = fixture_role,
        .role_ask = fixture_role_ask,
        .config = fixture_config,
        .config_ask = fixture_config_ask,
        .held = fixture_held,
        .held_at = fixture_held_at,
        .held_next = fixture_held_next,
        .found = fixture_found,
        .notify = fixture_notify,
        .beat = fixture_beat,
        .beaten = fixture_beaten,
        .beat_counts = fixture_beat_counts,
    };
    assert_int_equal(admin_new(&f->admin, f->loop, &host, &e), 0);
}

static inline void fixture_close(struct fixture *f)
{
    admin_free(f->admin);
    events_free(&f->events);
    view_free(f->view);
    loop_free(f->loop);
    free(f->region);
}

static inline void fixture_event(struct fixture *f, enum event_code code, const char *text)
{
    struct event *ev =
        events_begin(&f->events, code, EVENT_INFO, loop_now(f->loop), clock_wall(), 7);
    str_copy(ev->text, sizeof ev->text, str_of(text));
    events_commit(&f->events);
}

#endif
