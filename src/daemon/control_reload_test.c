/* The reload transaction, from asking to the answer. */
#include "daemon/control_fixture.h"

static void a_fresh_start_compiles_the_file(void **state)
{
    static struct world w;
    world_open(&w);
    first_view(&w);
    assert_int_equal(w.c.view->epoch, 1);
    assert_int_equal(saved_epoch(&w), 1);
    assert_int_equal(w.offered->n_services, 1);
    assert_int_equal(cell_get(&w.cells.processes[PROCESS_CONTROL].epoch), 1);
    assert_non_null(last_event(&w, EVENT_VIEW_TAKEN));
    uint64_t beat = cell_get(&w.cells.processes[PROCESS_CONTROL].beat);
    UNTIL(&w, cell_get(&w.cells.processes[PROCESS_CONTROL].beat) > beat);
    world_close(&w);
}

static void a_refused_view_changes_nothing(void **state)
{
    static struct world w;
    world_open(&w);
    first_view(&w);
    const struct view *before = w.c.view;
    struct admin_reload r = asker();
    write_file(&w, "service web { listen = http://127.0.0.1:8081  backend 127.0.0.1:9 }\n"
                   "workers = 1\n");
    assert_int_equal(reload_request(&w.c, &r, NULL), 0);
    UNTIL(&w, w.offers == 2);
    assert_int_equal(w.answers, 0);
    assert_ptr_equal(w.c.view, before);
    struct buf b = {0};
    put_u64(&b, w.offered->epoch);
    put_str(&b, STR("cannot listen on 127.0.0.1:8081"));
    send_message(&w.supervisor, IPC_VIEW_REFUSED, &b, -1);
    UNTIL(&w, w.answers == 1);
    assert_int_equal(w.code, -ERR_DENIED);
    assert_string_equal(w.text, "cannot listen on 127.0.0.1:8081");
    assert_ptr_equal(w.c.view, before);
    assert_int_equal(w.epoch, 1);
    assert_int_equal(saved_epoch(&w), 2); /* an epoch once offered is never given again */
    assert_non_null(last_event(&w, EVENT_RELOAD_REFUSED));
    world_close(&w);
}

static void a_taken_view_is_answered_with_its_changes(void **state)
{
    static struct world w;
    world_open(&w);
    first_view(&w);
    uint32_t slot_b = instance(&w, "b")->slot;
    struct admin_reload r = asker(), second = asker();
    write_file(&w, "workers = 1\n"
                   "service web {\n"
                   "  listen = http://127.0.0.1:8080\n"
                   "  backend 127.0.0.1:2 { name = b }\n"
                   "  backend 127.0.0.1:3 { name = c }\n"
                   "}\n");
    assert_int_equal(reload_request(&w.c, &r, NULL), 0);
    assert_int_equal(reload_request(&w.c, &second, NULL), 0);
    UNTIL(&w, w.offers == 2);
    /* the slot that is new has its first verdict before anybody can read it */
    const struct view_service *s = view_service_find(w.offered, STR("web"));
    uint32_t slot_c = view_instance_find(s, STR("c"))->slot;
    assert_int_equal(cell_get(&cells_verdict(&w.cells, slot_c)->verdict), VERDICT_SUSPECT);
    assert_int_equal(cell_get(&cells_verdict(&w.cells, slot_c)->changes), 1);
    send_epoch(&w, IPC_VIEW_TAKEN, 17); /* not ours: ignored */
    turn(&w, 5 * NS_PER_MS);
    assert_int_equal(w.answers, 0);
    send_epoch(&w, IPC_VIEW_TAKEN, 2);
    UNTIL(&w, w.answers == 2);
    assert_int_equal(w.code, 0);
    assert_true(w.changed);
    assert_int_equal(w.epoch, 2);
    assert_true(w.n_changes >= 2);
    assert_int_equal(instance(&w, "b")->slot, slot_b);
    assert_int_equal(w.offers, 2); /* both askers were answered by one transaction */
    world_close(&w);
}

static void an_identical_file_is_no_change(void **state)
{
    static struct world w;
    world_open(&w);
    first_view(&w);
    struct admin_reload r = asker();
    assert_int_equal(reload_request(&w.c, &r, NULL), 0);
    UNTIL(&w, w.answers == 1);
    assert_int_equal(w.code, 0);
    assert_false(w.changed);
    assert_int_equal(w.epoch, 1);
    assert_int_equal(w.offers, 1);
    world_close(&w);
}

static void errors_in_the_file_are_all_told(void **state)
{
    static struct world w;
    world_open(&w);
    first_view(&w);
    struct admin_reload r = asker();
    write_file(&w, "service web {\n  listn = http://127.0.0.1:8080\n  backend no*sense\n}\n");
    assert_int_equal(reload_request(&w.c, &r, NULL), 0);
    UNTIL(&w, w.answers == 1);
    assert_int_equal(w.code, -ERR_INVAL);
    assert_true(w.n_problems >= 2);
    assert_int_equal(w.offers, 1);
    /* a file that is not there is a sentence */
    unlink(w.file);
    assert_int_equal(reload_request(&w.c, &r, NULL), 0);
    UNTIL(&w, w.answers == 2);
    assert_int_not_equal(w.code, 0);
    assert_non_null(strstr(w.text, "web.conf"));
    assert_int_equal(w.c.view->epoch, 1);
    world_close(&w);
}

static void the_number_of_workers_is_fixed(void **state)
{
    static struct world w;
    world_open(&w);
    first_view(&w);
    struct admin_reload r = asker();
    write_file(&w, "workers = 2\nservice web { listen = http://127.0.0.1:8080  backend "
                   "127.0.0.1:9 }\n");
    assert_int_equal(reload_request(&w.c, &r, NULL), 0);
    UNTIL(&w, w.answers == 1);
    assert_int_equal(w.code, -ERR_DENIED);
    assert_non_null(strstr(w.text, "workers changes from 1 to 2"));
    assert_int_equal(w.offers, 1);
    assert_int_equal(saved_epoch(&w), 1);
    world_close(&w);
}

/* More than the shared tables hold: refused before anybody's row is touched. */
static void tables_that_are_full_refuse(void **state)
{
    static struct world w;
    struct buf text = {0};
    world_open(&w);
    first_view(&w);
    struct admin_reload r = asker();
    buf_printf(&text, "workers = 1\nservice web {\n listen = http://127.0.0.1:8080\n");
    for (int i = 0; i <= SLOTS; i++)
        buf_printf(&text, " backend 127.0.0.1:%d\n", 100 + i);
    assert_true(buf_add(&text, "}\n", 3));
    write_file(&w, text.p);
    buf_free(&text);
    assert_int_equal(reload_request(&w.c, &r, NULL), 0);
    UNTIL(&w, w.answers == 1);
    assert_int_equal(w.code, -ERR_DENIED);
    assert_non_null(strstr(w.text, "more than 8 instances"));
    assert_int_equal(w.offers, 1);
    world_close(&w);
}

static void a_silent_supervisor_leaves_it_undecided(void **state)
{
    static struct world w;
    world_open(&w);
    first_view(&w);
    w.c.o.reload_deadline = 20 * NS_PER_MS;
    struct admin_reload r = asker();
    struct err e = {0};
    write_file(&w, "workers = 1\nservice web { listen = http://127.0.0.1:8080  backend "
                   "127.0.0.1:9 }\n");
    assert_int_equal(reload_request(&w.c, &r, NULL), 0);
    UNTIL(&w, w.answers == 1);
    assert_int_equal(w.code, -ERR_TIMEOUT);
    assert_int_equal(w.c.view->epoch, 1);
    assert_int_equal(reload_request(&w.c, &r, &e), -ERR_BUSY);
    /* the answer counts when it comes, and reloads go on */
    send_epoch(&w, IPC_VIEW_TAKEN, 2);
    UNTIL(&w, w.c.view->epoch == 2);
    assert_int_equal(w.answers, 1);
    w.c.o.reload_deadline = 10 * NS_PER_S;
    write_file(&w, two);
    assert_int_equal(reload_request(&w.c, &r, NULL), 0);
    UNTIL(&w, w.offers == 3);
    send_epoch(&w, IPC_VIEW_TAKEN, 3);
    UNTIL(&w, w.answers == 2);
    assert_int_equal(w.code, 0);
    world_close(&w);
}

static void waiting_is_bounded_and_read_anew(void **state)
{
    static struct world w;
    struct admin_reload r = asker(), more[9];
    world_open(&w);
    first_view(&w);
    write_file(&w, "workers = 1\nservice web { listen = http://127.0.0.1:8080  backend "
                   "127.0.0.1:9 }\n");
    assert_int_equal(reload_request(&w.c, &r, NULL), 0);
    UNTIL(&w, w.offers == 2);
    write_file(&w, two); /* after the first was read */
    for (int i = 0; i < 9; i++) {
        more[i] = asker();
        assert_int_equal(reload_request(&w.c, &more[i], NULL), i < 8 ? 0 : -ERR_BUSY);
    }
    list_remove(&more[3].link); /* an asker that left */
    send_epoch(&w, IPC_VIEW_TAKEN, 2);
    UNTIL(&w, w.answers == 1);
    UNTIL(&w, w.offers == 3);
    send_epoch(&w, IPC_VIEW_TAKEN, 3);
    UNTIL(&w, w.answers == 8);
    assert_int_equal(w.c.view->services[0].n_instances, 2);
    world_close(&w);
}

static void a_hangup_reloads(void **state)
{
    static struct world w;
    world_open(&w);
    first_view(&w);
    write_file(&w, "workers = 1\nservice web { listen = http://127.0.0.1:8080  backend "
                   "127.0.0.1:9 }\n");
    struct buf none = {0};
    send_message(&w.supervisor, IPC_RELOAD, &none, -1);
    UNTIL(&w, w.offers == 2);
    send_epoch(&w, IPC_VIEW_TAKEN, 2);
    UNTIL(&w, w.c.view->epoch == 2);
    world_close(&w);
}

#define SERVICE "workers = 1\nservice web { listen = http://127.0.0.1:8080  backend 127.0.0.1:1 }\n"
#define PROD(x) SERVICE "cluster prod {\nkey = file:cluster.key; coordinator = none\n" x "\n}\n"
#define A       "node a { address = 127.0.0.1:7301 }\n"
#define B       "node b { address = 127.0.0.2:7301 }\n"

/* One more reload of this file; its result is in w->code. */
static void reload_to(struct world *w, const char *text)
{
    struct admin_reload r = asker();
    unsigned answers = w->answers, offers = w->offers;
    write_file(w, text);
    assert_int_equal(reload_request(&w->c, &r, NULL), 0);
    UNTIL(w, w->answers > answers || w->offers > offers);
    if (w->offers > offers)
        send_epoch(w, IPC_VIEW_TAKEN, w->offered->epoch);
    UNTIL(w, w->answers > answers);
}

static void write_key(struct world *w, char path[128], unsigned mode)
{
    snprintf(path, 128, "%s/cluster.key", w->dir);
    assert_int_equal(
        file_replace(path, STR("630dcd29 use AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"), mode,
                     NULL),
        0);
}

/* Once in a cluster, always the same node of the same one; all else may change. */
static void a_node_stays_who_it_is(void **state)
{
    static struct world w;
    char key[128];
    world_open(&w);
    write_key(&w, key, 0600);
    w.c.o.self = "b"; /* as --node says */
    write_file(&w, PROD(A B));
    first_view(&w);
    assert_true(str_eq(view_self(w.c.view)->name, STR("b")));
    reload_to(&w, PROD(A "node b { address = 127.0.0.3:7302 }\nnode c { address = 10.0.0.1 }\n"));
    assert_int_equal(w.code, 0);
    assert_int_equal(w.n_changes, 2);
    assert_int_equal(view_self(w.c.view)->address.port, 7302);
    uint64_t epoch = w.c.view->epoch;
    reload_to(&w, SERVICE "cluster test {\nkey = file:cluster.key; coordinator = none\n" A B "}\n");
    assert_int_equal(w.code, -ERR_DENIED);
    assert_non_null(strstr(w.text, "cluster prod becomes cluster test"));
    reload_to(&w, SERVICE);
    assert_int_equal(w.code, -ERR_INVAL);
    assert_int_equal(w.n_problems, 1);
    reload_to(&w, PROD(A));
    assert_int_equal(w.code, -ERR_INVAL);
    assert_int_equal(file_replace(key, STR("nonsense\n"), 0600, NULL), 0);
    reload_to(&w, PROD(A B));
    assert_int_equal(w.code, -ERR_INVAL);
    write_key(&w, key, 0604);
    reload_to(&w, PROD(A B));
    assert_int_equal(w.code, -ERR_INVAL);
    unlink(key);
    reload_to(&w, PROD(A B));
    assert_int_equal(w.code, -ERR_INVAL);
    assert_int_equal(w.c.view->epoch, epoch);
    world_close(&w);
}

/* A node that was alone, and was not told its name: its view says it from then on. */
static void a_cluster_may_begin(void **state)
{
    static struct world w;
    char key[128], name[256];
    world_open(&w);
    write_key(&w, key, 0600);
    write_file(&w, SERVICE);
    first_view(&w);
    assert_null(control_self(&w.c, name));
    reload_to(&w, PROD(A "node far { address = 192.0.2.1 }\n"));
    assert_int_equal(w.code, 0);
    assert_string_equal(control_self(&w.c, name), "a");
    reload_to(&w, PROD(A B)); /* its addresses alone would not tell any more */
    assert_int_equal(w.code, 0);
    assert_true(str_eq(view_self(w.c.view)->name, STR("a")));
    unlink(key);
    world_close(&w);
}

/* The descriptor is a pipe's: what arrives in the place of a socket can be told apart. */
static int end_of_pipe(struct world *w, uint64_t epoch, uint32_t index)
{
    int fds[2];
    struct buf b = {0};
    put_u64(&b, epoch);
    put_u32(&b, 1);
    put_u32(&b, index);
    assert_int_equal(pipe(fds), 0);
    send_message(&w->supervisor, IPC_VIEW_SOCKET, &b, fds[1]);
    close(fds[1]);
    assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    return fds[0];
}

static bool is_closed(int fd)
{
    char c;
    return read(fd, &c, 1) == 0;
}

/* A voter keeps promises for as long as it was told: nobody may hold a lease for longer. */
static void the_lease_is_fixed_while_somebody_holds_one(void **state)
{
#define PRIMARY(x)                                                                                 \
    SERVICE "cluster prod {\nkey = file:cluster.key; coordinator = http://127.0.0.1:9\n" A B x     \
            "\n}\nservice one { agent = process  command = /bin/true }\n"
    static struct world w;
    char key[128];
    world_open(&w);
    write_key(&w, key, 0600);
    w.c.o.self = "a";
    write_file(&w, PRIMARY(""));
    first_view(&w);
    reload_to(&w, PRIMARY("lease = 400ms"));
    assert_int_equal(w.code, -ERR_DENIED);
    assert_non_null(strstr(w.text, "lease changes from 300 to 400 ms"));
    reload_to(&w, PRIMARY("demotion = 50ms"));
    assert_int_equal(w.code, -ERR_DENIED);
    reload_to(&w, PRIMARY("heartbeat = 40ms"));
    assert_int_equal(w.code, 0);
    unlink(key);
    world_close(&w);
#undef PRIMARY
}

static void sockets_for_other_nodes_arrive(void **state)
{
    static struct world w;
    char key[128];
    world_open(&w);
    write_key(&w, key, 0600);
    w.c.o.self = "b";
    write_file(&w, PROD(A B));
    send_epoch(&w, IPC_NO_VIEW, 0);
    UNTIL(&w, w.offers == 1);
    assert_int_equal(w.offered->sockets[1].use, SOCKET_LINK);
    assert_int_equal(w.offered->sockets[2].use, SOCKET_GOSSIP);
    int link = end_of_pipe(&w, 1, 1), gossip = end_of_pipe(&w, 1, 2);
    int again = end_of_pipe(&w, 1, 2), proxy = end_of_pipe(&w, 1, 0);
    send_epoch(&w, IPC_VIEW_TAKEN, 1);
    UNTIL(&w, w.c.view != NULL);
    assert_non_null(w.c.meshing.mesh);
    assert_true(is_closed(gossip) && is_closed(proxy)); /* the later one counts; not ours */
    assert_false(is_closed(link) || is_closed(again));
    /* they are sent with each view */
    write_file(&w, PROD(A B "heartbeat = 100ms\n"));
    struct admin_reload r = asker();
    assert_int_equal(reload_request(&w.c, &r, NULL), 0);
    UNTIL(&w, w.offers == 2);
    int link2 = end_of_pipe(&w, 2, 1), gossip2 = end_of_pipe(&w, 2, 2);
    send_epoch(&w, IPC_VIEW_TAKEN, 2);
    UNTIL(&w, w.answers == 1);
    UNTIL(&w, is_closed(link) && is_closed(again)); /* the mesh has taken the others */
    assert_false(is_closed(link2) || is_closed(gossip2));
    unlink(key);
    world_close(&w);
    assert_true(is_closed(link2) && is_closed(gossip2)); /* at the end at the latest */
    const int all[] = {link, gossip, again, proxy, link2, gossip2};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        close(all[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_stays_who_it_is),
        cmocka_unit_test(a_cluster_may_begin),
        cmocka_unit_test(the_lease_is_fixed_while_somebody_holds_one),
        cmocka_unit_test(sockets_for_other_nodes_arrive),
        cmocka_unit_test(a_fresh_start_compiles_the_file),
        cmocka_unit_test(a_refused_view_changes_nothing),
        cmocka_unit_test(a_taken_view_is_answered_with_its_changes),
        cmocka_unit_test(an_identical_file_is_no_change),
        cmocka_unit_test(errors_in_the_file_are_all_told),
        cmocka_unit_test(the_number_of_workers_is_fixed),
        cmocka_unit_test(tables_that_are_full_refuse),
        cmocka_unit_test(a_silent_supervisor_leaves_it_undecided),
        cmocka_unit_test(waiting_is_bounded_and_read_anew),
        cmocka_unit_test(a_hangup_reloads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
