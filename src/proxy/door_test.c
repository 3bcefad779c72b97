/* A gate as one worker sees it, with passages that do what the test says. */
#include "proxy/front.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <sys/mman.h>

enum { CLIENTS = 3, SERVICES = 1, SLOTS = 1 };

struct test {
    struct worker w;
    struct view view;
    struct view_node node;
    struct view_service conf;
    struct shared_view shared;
    struct service service;
    struct door *door;
    void *region;
    size_t size;
    struct client clients[CLIENTS];
    struct passage passages[CLIENTS];
    unsigned ran[CLIENTS];
    struct list buried;
    void (*on_run)(struct test *, size_t client);
};
static struct test *the_test;

/* --- what a door calls --- */

void client_run(struct client *c)
{
    struct test *t = the_test;
    size_t i = (size_t)(c - t->clients);
    assert_true(i < CLIENTS);            /* else the list led to something else */
    assert_false(t->passages[i].closed); /* else to one that has ended */
    t->ran[i]++;
    t->on_run(t, i);
}

void passage_cut(struct passage *p)
{
    p->closed = true;
    list_remove(&p->link);
    list_push_back(&the_test->buried, &p->link);
}

bool passage_quiet(const struct passage *p)
{
    return p->state != PASSAGE_PASSES;
}

void committer_init(struct committer *m)
{
    m->s.io.fd = -1;
}

void committer_judge(struct door *d)
{
    (void)d;
}

void committer_end(struct door *d)
{
    (void)d;
}

void proxy_complain(struct proxy *p, const char *format, ...)
{
    (void)p;
    (void)format;
}

/* --- the rig --- */

static int set_up(void **state)
{
    struct test *t = the_test = mem_zero(1, sizeof *t);
    assert_non_null(t);
    t->size = cells_size(1, SERVICES, SLOTS);
    t->region = mmap(NULL, t->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cells_format(t->region, 1, SERVICES, SLOTS, clock_now());
    assert_int_equal(cells_attach(&t->w.cells, t->region, t->size, NULL), 0);
    assert_int_equal(loop_new(&t->w.loop, NULL), 0);
    list_init(&t->w.doors);
    list_init(&t->buried);
    t->view.cluster.nodes = &t->node;
    t->view.cluster.n_nodes = 1;
    t->conf.primary = (struct view_primary){.agent = AGENT_REDIS, .n_on = 1, .hold_clients = 8};
    t->shared.view = &t->view;
    t->service = (struct service){.conf = &t->conf, .shared = &t->shared};
    t->door = door_get(&t->w, 0);
    assert_non_null(t->door);
    door_serve(t->door, &t->service);
    for (size_t i = 0; i < CLIENTS; i++) {
        struct passage *p = &t->passages[i];
        p->client = &t->clients[i];
        p->door = t->door;
        list_init(&p->waiting);
        list_init(&p->round);
        list_push_back(&t->door->passages, &p->link);
    }
    *state = t;
    return 0;
}

static int tear_down(void **state)
{
    struct test *t = *state;
    door_leave(t->door, &t->service);
    door_unref(t->door);
    loop_free(t->w.loop);
    munmap(t->region, t->size);
    mem_free(t);
    return 0;
}

static void open_gate(struct test *t, uint64_t epoch)
{
    struct role_row *r = cells_role(&t->w.cells, 0);
    cell_set(&r->lease_until, UINT64_MAX);
    cell_set(&r->lease_epoch, 1);
    cell_set(&r->gate, epoch);
}

/* --- a look within a look --- */

static void nothing(struct test *t, size_t client)
{
    (void)t;
    (void)client;
}

/* The first finds the gate shut when its bytes are to go, and looks: all others are cut then. */
static void looks_again(struct test *t, size_t client)
{
    if (t->ran[client] == 1 && client == 0) {
        open_gate(t, 0);
        door_look(t->door);
    } else if (!t->door->seen.until && client != 0) {
        passage_cut(&t->passages[client]);
    }
}

static void a_change_has_each_of_them_run(void **state)
{
    struct test *t = *state;
    t->on_run = nothing;
    open_gate(t, 1);
    door_look(t->door);
    door_look(t->door); /* nothing has changed */
    for (size_t i = 0; i < CLIENTS; i++)
        assert_int_equal(t->ran[i], 1);
}

/* What ends meanwhile is in a graveyard, and nobody goes on from there. */
static void a_change_in_the_midst_of_a_change_ends_others(void **state)
{
    struct test *t = *state;
    t->on_run = looks_again;
    open_gate(t, 1);
    door_look(t->door);
    assert_false(t->passages[0].closed);
    assert_true(t->passages[1].closed && t->passages[2].closed);
    assert_true(t->door->passages.next == &t->passages[0].link);
    assert_true(t->door->passages.prev == &t->passages[0].link);
    assert_int_equal(t->door->seen.until, 0);
}

/* Whoever waits is looked at in turn, though the one before ended the next. */
static void ends_the_next(struct test *t, size_t client)
{
    size_t next = client + 1;
    if (next < CLIENTS && !t->passages[next].closed) {
        door_wait_over(&t->passages[next]);
        passage_cut(&t->passages[next]);
    }
}

static void who_waits_may_end_another_who_waits(void **state)
{
    struct test *t = *state;
    for (size_t i = 0; i < CLIENTS; i++)
        door_wait(&t->passages[i]);
    t->on_run = ends_the_next;
    t->door->look.on_fire(&t->door->look);
    assert_int_equal(t->ran[0], 1);
    assert_int_equal(t->ran[1], 0);
    assert_int_equal(t->ran[2], 1);
    assert_int_equal(t->door->n_waiting, 2);
    t->on_run = nothing;
    door_wait_over(&t->passages[0]);
    door_wait_over(&t->passages[2]);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_change_has_each_of_them_run),
        T(a_change_in_the_midst_of_a_change_ends_others),
        T(who_waits_may_end_another_who_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
