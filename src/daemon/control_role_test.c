/* Roles where something is missing or ends in between: memory, the coordinator, the service. */
#include "daemon/control_fixture.h"

#include "coord/model.h"

struct rig {
    struct world w;
    struct model *model;
    struct coord *coord, *other; /* control's, and somebody's who writes the record */
    char key[128];
};

#define BASE                                                                                       \
    "workers = 1\nservice web { listen = http://127.0.0.1:8080  backend 127.0.0.1:1 }\n"           \
    "cluster prod {\nkey = file:cluster.key; coordinator = http://127.0.0.1:9\n"                   \
    "node a { address = 127.0.0.1:7301 }\nnode b { address = 127.0.0.2:7301 }\n}\n"
#define CRON "service cron { agent = process  command = /bin/true }\n"

static void on_recorded(void *context, const struct coord_answer *a)
{
    bool *recorded = context;
    assert_int_equal(a->outcome, COORD_DONE);
    *recorded = true;
}

/* b is primary, so that nothing is wanted of a, which is this node. */
static void record_somebody(struct rig *r)
{
    static const struct str names[] = {{"a", 1}, {"b", 1}};
    struct failover_record record = {
        .r = {.epoch = 1, .primary = 1, .wanted = ROLE_NOBODY, .insync = 3}, .from = ROLE_NOBODY};
    struct buf text = {0};
    uint64_t ticket;
    assert_true(failover_record_write(&record, names, 2, &text));
    struct coord_op op = {STR("service/cron"), buf_str(&text), 0, COORD_PUT};
    bool recorded = false;
    uint64_t late = clock_now() + 10 * NS_PER_S;
    assert_int_equal(coord_cas(r->other, &op, 1, late, on_recorded, &recorded, &ticket, NULL), 0);
    UNTIL(&r->w, recorded);
    buf_free(&text);
}

static int set_up(void **state)
{
    static struct rig r;
    r = (struct rig){0};
    world_open(&r.w);
    snprintf(r.key, sizeof r.key, "%s/cluster.key", r.w.dir);
    assert_int_equal(
        file_replace(r.key, STR("630dcd29 use AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"),
                     0600, NULL),
        0);
    r.w.c.o.self = "a";
    write_file(&r.w, BASE CRON);
    first_view(&r.w);
    assert_int_equal(r.w.c.rolling.n, 1);
    assert_int_equal(model_new(&r.model, r.w.loop, NULL), 0);
    model_delay(r.model, NS_PER_MS, NS_PER_MS, 1);
    assert_int_equal(coord_model_new(&r.coord, r.model, NULL), 0);
    assert_int_equal(coord_model_new(&r.other, r.model, NULL), 0);
    record_somebody(&r);
    *state = &r;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *r = *state;
    rolling_coord(&r->w.c, NULL);
    coord_free(r->coord);
    coord_free(r->other);
    model_free(r->model);
    unlink(r->key);
    world_close(&r->w);
    return 0;
}

static const struct view_service *cron(struct rig *r)
{
    const struct view *v = r->w.c.view;
    for (uint32_t i = 0; i < v->n_services; i++)
        if (str_eq(v->services[i].name, STR("cron")))
            return &v->services[i];
    fail_msg("the service is not there");
    return NULL;
}

static bool is_known(struct rig *r)
{
    return r->w.c.rolling.n == 1 && r->w.c.rolling.rows[0]->core.record.r.epoch == 1;
}

static void know(struct rig *r)
{
    rolling_coord(&r->w.c, r->coord);
    UNTIL(&r->w, is_known(r));
}

static void pause_it(struct rig *r)
{
    struct err e = {0};
    if (rolling_ask(&r->w.c, cron(r), ADMIN_ROLE_PAUSE, ADMIN_NOBODY, &e))
        fail_msg("%s", e.text);
}

static struct admin_role_request asked_for(struct rig *r)
{
    struct admin_role out = {0};
    assert_int_equal(rolling_role(&r->w.c, cron(r), &out, NULL), 0);
    return out.request;
}

static uint64_t answered(struct rig *r)
{
    struct coord_health h;
    coord_health(r->coord, &h);
    return h.done + h.conflicts + h.unknown + h.failed;
}

static void what_is_asked_for_is_answered(void **state)
{
    struct rig *r = *state;
    know(r);
    pause_it(r);
    assert_string_equal(asked_for(r).state, "running");
    UNTIL(&r->w, strcmp(asked_for(r).state, "done") == 0);
    UNTIL(&r->w, r->w.c.rolling.rows[0]->core.record.r.paused);
}

/* The configuration names the service no more, and its answer comes to nobody. */
static void what_is_asked_for_ends_with_its_service(void **state)
{
    struct rig *r = *state;
    know(r);
    pause_it(r);
    uint64_t before = answered(r);
    struct view_service *s = (struct view_service *)(uintptr_t)cron(r);
    uint8_t agent = s->primary.agent;
    s->primary.agent = AGENT_NONE;
    rolling_adopt(&r->w.c);
    assert_int_equal(r->w.c.rolling.n, 0);
    turn(&r->w, 20 * NS_PER_MS);
    assert_int_equal(answered(r), before);
    s->primary.agent = agent;
    rolling_adopt(&r->w.c);
}

static void what_is_asked_for_ends_with_the_coordinator(void **state)
{
    struct rig *r = *state;
    know(r);
    pause_it(r);
    rolling_coord(&r->w.c, NULL);
    assert_string_equal(asked_for(r).state, "failed");
    assert_non_null(strstr(asked_for(r).text, "ask again"));
    rolling_coord(&r->w.c, r->coord);
    UNTIL(&r->w, is_known(r));
    struct err e;
    int rc = rolling_ask(&r->w.c, cron(r), ADMIN_ROLE_GO_ON, ADMIN_NOBODY, &e);
    assert_true(rc == 0 || rc == -ERR_INVAL || rc == -ERR_DENIED);
}

/* What could not be watched is, a little later: nobody would tell of the primary otherwise. */
static void the_record_is_known_though_memory_ran_out(void **state)
{
    struct rig *r = *state;
    bool done = false;
    for (unsigned long n = 1; !done; n++) {
        struct role_here *h = r->w.c.rolling.rows[0];
        h->core.record.r.epoch = 0;
        mem_fail_at(n);
        rolling_coord(&r->w.c, r->coord);
        turn(&r->w, 10 * NS_PER_MS);
        done = !mem_failed();
        mem_fail_at(0);
        UNTIL(&r->w, is_known(r));
        rolling_coord(&r->w.c, NULL);
        assert_true(n < 100);
    }
}

/* A service that there was no memory for is there at the next look; nothing else has changed. */
static void a_service_begins_though_memory_ran_out(void **state)
{
    struct rig *r = *state;
    struct view_service *s = (struct view_service *)(uintptr_t)cron(r);
    uint8_t agent = s->primary.agent;
    bool done = false;
    know(r);
    for (unsigned long n = 1; !done; n++) {
        s->primary.agent = AGENT_NONE;
        rolling_adopt(&r->w.c);
        assert_int_equal(r->w.c.rolling.n, 0);
        s->primary.agent = agent;
        mem_fail_at(n);
        rolling_adopt(&r->w.c);
        done = !mem_failed();
        mem_fail_at(0);
        UNTIL(&r->w, is_known(r));
        assert_true(n < 100);
    }
}

/* A wish that cannot be written for want of memory is refused, or comes about. */
static void a_wish_is_refused_or_comes_about(void **state)
{
    struct rig *r = *state;
    bool done = false, on = true;
    know(r);
    /* enough to record it, to answer and to learn of it; then whatever else control does */
    for (unsigned long n = 1; n < 60 && !done; n++) {
        struct err e = {0};
        mem_fail_at(n);
        int rc = rolling_ask(&r->w.c, cron(r), on ? ADMIN_ROLE_PAUSE : ADMIN_ROLE_GO_ON,
                             ADMIN_NOBODY, &e);
        turn(&r->w, 10 * NS_PER_MS);
        done = !mem_failed();
        mem_fail_at(0);
        assert_true(rc == 0 || (rc == -ERR_NOMEM && e.text[0]));
        if (rc)
            continue;
        UNTIL(&r->w, strcmp(asked_for(r).state, "running") != 0);
        if (strcmp(asked_for(r).state, "done") == 0) {
            UNTIL(&r->w, r->w.c.rolling.rows[0]->core.record.r.paused == on);
            on = !on;
        }
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(what_is_asked_for_is_answered),
        T(what_is_asked_for_ends_with_its_service),
        T(what_is_asked_for_ends_with_the_coordinator),
        T(the_record_is_known_though_memory_ran_out),
        T(a_service_begins_though_memory_ran_out),
        T(a_wish_is_refused_or_comes_about),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
