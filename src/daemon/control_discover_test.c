/* What the API tells, from asking to the view that is served. */
#include "daemon/control_fixture.h"

static struct admin_told heard;
static char heard_text[256];
static unsigned n_heard;

static void on_told(struct admin_telling *t, const struct admin_told *told)
{
    (void)t;
    heard = *told;
    str_copy(heard_text, sizeof heard_text, str_of(told->text));
    n_heard++;
}

static struct admin_telling teller(void)
{
    struct admin_telling t = {.done = on_told};
    list_init(&t.link);
    return t;
}

static int tell(struct world *w, enum told_mode mode, const char *address, enum told_drain drain,
                struct admin_telling *t, struct admin_told *told)
{
    struct told_item item = {.name = STR(""), .drain = (uint8_t)drain};
    struct told_change c = {(uint8_t)mode, STR("web"), &item, 1};
    struct err e = {0};
    if (!addr_parse(str_of(address), &item.addr))
        item.name = str_of(address);
    int r = discovering_tell(&w->c, &c, t, told, &e);
    assert_true(r >= 0 || e.text[0]);
    return r;
}

static void a_change_is_answered_when_it_is_served(void **state)
{
    static struct world w;
    struct admin_telling t = teller();
    struct admin_told told;
    world_open(&w);
    n_heard = 0;
    assert_int_equal(tell(&w, TOLD_UPDATE, "127.0.0.1:9", TOLD_AS_IT_IS, &t, &told), -ERR_BUSY);
    first_view(&w);
    assert_int_equal(tell(&w, TOLD_UPDATE, "127.0.0.1:9", TOLD_DRAIN, &t, &told), 1);
    UNTIL(&w, w.offers == 2);
    const struct view_service *s = view_service_find(w.offered, STR("web"));
    const struct view_instance *n = view_instance_find(s, STR("127.0.0.1:9"));
    assert_non_null(n);
    assert_int_equal(n->origin, ORIGIN_API);
    assert_int_equal(cell_get(&cells_verdict(&w.cells, n->slot)->draining), 1);
    assert_int_equal(n_heard, 0);
    assert_null(last_event(&w, EVENT_INSTANCE_ADDED));
    send_epoch(&w, IPC_VIEW_TAKEN, 2);
    UNTIL(&w, n_heard == 1);
    assert_int_equal(heard.code, 0);
    assert_int_equal(heard.added, 1);
    assert_int_equal(heard.drained, 1);
    assert_int_equal(heard.epoch, 2);
    assert_non_null(strstr(last_event(&w, EVENT_INSTANCE_ADDED)->text, "from the API"));
    /* the same again is answered at once, without a view */
    assert_int_equal(tell(&w, TOLD_UPDATE, "127.0.0.1:9", TOLD_DRAIN, &t, &told), 0);
    assert_int_equal(told.added + told.updated + told.drained, 0);
    /* and a drain alone needs none */
    assert_int_equal(tell(&w, TOLD_UPDATE, "127.0.0.1:9", TOLD_RESUME, &t, &told), 0);
    assert_int_equal(told.drained, 1);
    turn(&w, 100 * NS_PER_MS);
    assert_int_equal(w.offers, 2);
    assert_int_equal(cell_get(&cells_verdict(&w.cells, n->slot)->draining), 0);
    world_close(&w);
}

static void what_comes_meanwhile_is_in_the_next(void **state)
{
    static struct world w;
    struct admin_telling t[3] = {teller(), teller(), teller()};
    struct admin_told told;
    world_open(&w);
    first_view(&w);
    n_heard = 0;
    assert_int_equal(tell(&w, TOLD_UPDATE, "127.0.0.1:9", TOLD_AS_IT_IS, &t[0], &told), 1);
    UNTIL(&w, w.offers == 2);
    assert_int_equal(tell(&w, TOLD_UPDATE, "127.0.0.1:10", TOLD_AS_IT_IS, &t[1], &told), 1);
    assert_int_equal(tell(&w, TOLD_REMOVE, "127.0.0.1:9", TOLD_AS_IT_IS, &t[2], &told), 1);
    turn(&w, 100 * NS_PER_MS);
    assert_int_equal(w.offers, 2); /* one at a time */
    send_epoch(&w, IPC_VIEW_TAKEN, 2);
    UNTIL(&w, w.offers == 3);
    assert_int_equal(n_heard, 1);
    const struct view_service *s = view_service_find(w.offered, STR("web"));
    assert_null(view_instance_find(s, STR("127.0.0.1:9")));
    assert_non_null(view_instance_find(s, STR("127.0.0.1:10")));
    send_epoch(&w, IPC_VIEW_TAKEN, 3);
    UNTIL(&w, n_heard == 3);
    assert_int_equal(w.c.view->epoch, 3);
    world_close(&w);
}

static void a_refused_view_is_tried_again(void **state)
{
    static struct world w;
    struct admin_telling t = teller();
    struct admin_told told;
    world_open(&w);
    first_view(&w);
    n_heard = 0;
    assert_int_equal(tell(&w, TOLD_UPDATE, "127.0.0.1:9", TOLD_AS_IT_IS, &t, &told), 1);
    UNTIL(&w, w.offers == 2);
    struct buf b = {0};
    put_u64(&b, 2);
    put_str(&b, STR("no descriptors"));
    send_message(&w.supervisor, IPC_VIEW_REFUSED, &b, -1);
    UNTIL(&w, n_heard == 1);
    assert_int_equal(heard.code, -ERR_DENIED);
    assert_string_equal(heard_text, "no descriptors");
    assert_string_equal(last_event(&w, EVENT_RELOAD_REFUSED)->subject, "discovery");
    assert_int_equal(w.c.view->epoch, 1);
    /* a reload brings it as well, at once */
    struct admin_reload r = asker();
    assert_int_equal(reload_request(&w.c, &r, NULL), 0);
    UNTIL(&w, w.offers == 3);
    assert_non_null(
        view_instance_find(view_service_find(w.offered, STR("web")), STR("127.0.0.1:9")));
    send_epoch(&w, IPC_VIEW_TAKEN, 3);
    UNTIL(&w, w.answers == 1);
    world_close(&w);
}

/* Something may still be written for whoever had the row a moment ago. */
static void a_row_rests(void **state)
{
    static struct world w;
    struct admin_telling t[3] = {teller(), teller(), teller()};
    struct admin_told told;
    world_open(&w);
    first_view(&w);
    tell(&w, TOLD_UPDATE, "127.0.0.1:9", TOLD_AS_IT_IS, &t[0], &told);
    UNTIL(&w, w.offers == 2);
    send_epoch(&w, IPC_VIEW_TAKEN, 2);
    UNTIL(&w, w.c.view->epoch == 2);
    uint32_t slot = instance(&w, "127.0.0.1:9")->slot;
    tell(&w, TOLD_REMOVE, "127.0.0.1:9", TOLD_AS_IT_IS, &t[1], &told);
    UNTIL(&w, w.offers == 3);
    send_epoch(&w, IPC_VIEW_TAKEN, 3);
    UNTIL(&w, w.c.view->epoch == 3);
    tell(&w, TOLD_UPDATE, "127.0.0.1:10", TOLD_AS_IT_IS, &t[2], &told);
    UNTIL(&w, w.offers == 4);
    send_epoch(&w, IPC_VIEW_TAKEN, 4);
    UNTIL(&w, w.c.view->epoch == 4);
    assert_int_not_equal(instance(&w, "127.0.0.1:10")->slot, slot);
    world_close(&w);
}

static void what_cannot_be_served_is_refused(void **state)
{
    static struct world w;
    struct admin_telling t = teller();
    struct admin_told told;
    world_open(&w);
    first_view(&w);
    assert_int_equal(tell(&w, TOLD_UPDATE, "127.0.0.1:8080", TOLD_AS_IT_IS, &t, &told), -ERR_INVAL);
    assert_int_equal(tell(&w, TOLD_UPDATE, "nobody", TOLD_DRAIN, &t, &told), -ERR_ABSENT);
    assert_int_equal(tell(&w, TOLD_REMOVE, "a", TOLD_AS_IT_IS, &t, &told), -ERR_DENIED);
    turn(&w, 100 * NS_PER_MS);
    assert_int_equal(w.offers, 1);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_is_answered_when_it_is_served),
        cmocka_unit_test(what_comes_meanwhile_is_in_the_next),
        cmocka_unit_test(a_refused_view_is_tried_again),
        cmocka_unit_test(a_row_rests),
        cmocka_unit_test(what_cannot_be_served_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
