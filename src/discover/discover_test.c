/* Units of the whole room: what is kept on disk and what a disk that fails does; drop-in files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "discover/discover.h"

struct world {
    struct loop *loop;
    struct timer limit;
    struct discover *d;
    struct view *view;
    char dir[64], state[80], kept[120], files[80], a[100], b[100];
    unsigned changes, unsaved, notes[3];
    char told[400], subject[200];
};

static void on_changed(void *context)
{
    ((struct world *)context)->changes++;
}

static void on_note(void *context, enum discover_note note, const char *subject, const char *text)
{
    struct world *w = context;
    w->notes[note]++;
    snprintf(w->subject, sizeof w->subject, "%s", subject);
    snprintf(w->told, sizeof w->told, "%s", text);
}

static void on_unsaved(void *context, const struct err *e)
{
    ((struct world *)context)->unsaved += e != NULL;
}

static void on_limit(struct timer *t)
{
    loop_stop(CONTAINER_OF(t, struct world, limit)->loop);
}

static void turn(struct world *w, uint64_t ns)
{
    loop_timer_set(w->loop, &w->limit, loop_refresh(w->loop) + ns);
    assert_int_equal(loop_run(w->loop, NULL), 0);
    loop_timer_stop(w->loop, &w->limit);
}

#define UNTIL(w, condition)                                                                        \
    do {                                                                                           \
        uint64_t until_ = clock_now() + 10 * NS_PER_S;                                             \
        while (!(condition) && clock_now() < until_)                                               \
            turn((w), NS_PER_MS);                                                                  \
        assert_true(condition);                                                                    \
    } while (0)

static struct view *view_of(const char *directory)
{
    struct view *v = view_new();
    v->services = arena_array(&v->arena, 1, sizeof *v->services);
    v->n_services = 1;
    struct view_service *s = &v->services[0];
    *s = (struct view_service){
        .name = STR("web"), .access_log = -1, .retry = {.attempts = 1}, .dynamic = true};
    s->hash.name = s->check.path = s->check.host = s->check.body = STR("");
    s->sources = arena_array(&v->arena, 1, sizeof *s->sources);
    s->n_sources = directory != NULL;
    s->sources[0] = (struct view_source){.kind = SOURCE_DIR,
                                         .name = str_of(directory),
                                         .like = {.name = STR(""), .source = STR("")}};
    return v;
}

static void open_again(struct world *w)
{
    struct discover_options o = {w->state, "/dev/null", "/dev/null"};
    struct discover_owner owner = {w, on_changed, on_note, on_unsaved};
    struct err e = {0};
    discover_free(w->d);
    w->d = NULL;
    assert_int_equal(discover_new(&w->d, w->loop, &o, &owner, &e), 0);
}

static int setup(void **state)
{
    static struct world world;
    struct world *w = &world;
    *w = (struct world){0};
    assert_int_equal(loop_new(&w->loop, NULL), 0);
    timer_init(&w->limit, on_limit);
    strcpy(w->dir, "/tmp/discover-test-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->state, sizeof w->state, "%s/state", w->dir);
    snprintf(w->files, sizeof w->files, "%s/web.d", w->dir);
    snprintf(w->kept, sizeof w->kept, "%s/state/discovered.json", w->dir);
    snprintf(w->a, sizeof w->a, "%s/web.d/a.conf", w->dir);
    snprintf(w->b, sizeof w->b, "%s/web.d/b.conf", w->dir);
    assert_int_equal(mkdir(w->state, 0700) | mkdir(w->files, 0700), 0);
    open_again(w);
    w->view = view_of(w->files);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    char command[100];
    discover_free(w->d);
    view_free(w->view);
    loop_free(w->loop);
    snprintf(command, sizeof command, "rm -r %s", w->dir);
    return system(command);
}

/* The names of all instances that a merge gives, each with a blank behind it. */
static const char *given(struct world *w)
{
    static char text[4096];
    struct merge_report report;
    struct view *v = NULL;
    struct err e = {0};
    if (discover_merge(w->d, w->view, &v, &report, &e))
        fail_msg("%s", e.text);
    text[0] = 0;
    for (uint32_t i = 0; i < v->services[0].n_instances; i++) {
        strcat(text, v->services[0].instances[i].name.p);
        strcat(text, " ");
    }
    view_free(v);
    return text;
}

static int tell(struct world *w, const char *address, struct err *e)
{
    struct told_item item = {.name = STR("")};
    struct told_change c = {TOLD_UPDATE, STR("web"), &item, 1};
    struct told_counts counts;
    assert_true(addr_parse(str_of(address), &item.addr));
    assert_int_equal(discover_tell(w->d, &c, w->view, &counts, e), 0);
    return discover_keep(w->d, e);
}

static void write_text(const char *path, const char *text)
{
    assert_int_equal(file_replace(path, str_of(text), 0600, NULL), 0);
}

static void follow(struct world *w)
{
    assert_int_equal(discover_follow(w->d, w->view, NULL, NULL, NULL), 0);
}

/* ---- the kept file ---- */

static void what_was_told_is_kept(void **state)
{
    struct world *w = *state;
    assert_int_equal(tell(w, "10.0.0.1:80", NULL), 0);
    assert_int_equal(tell(w, "10.0.0.2:80", NULL), 0);
    assert_string_equal(given(w), "10.0.0.1:80 10.0.0.2:80 ");
    open_again(w);
    assert_string_equal(given(w), "10.0.0.1:80 10.0.0.2:80 ");
    assert_true(discover_told(w->d, STR("web"), STR("10.0.0.2:80")));
    assert_int_equal(w->notes[DISCOVER_DAMAGED], 0);
}

static void what_cannot_be_kept_does_not_count(void **state)
{
    struct world *w = *state;
    struct err e = {0};
    char away[100];
    assert_int_equal(tell(w, "10.0.0.1:80", NULL), 0);
    snprintf(away, sizeof away, "%s/away", w->dir);
    assert_int_equal(rename(w->state, away), 0);
    assert_int_equal(tell(w, "10.0.0.2:80", &e), -ERR_IO);
    assert_string_equal(given(w), "10.0.0.1:80 ");
    assert_int_equal(rename(away, w->state), 0);
    assert_int_equal(tell(w, "10.0.0.2:80", NULL), 0);
    assert_string_equal(given(w), "10.0.0.1:80 10.0.0.2:80 ");
}

static void keeping_without_memory(void **state)
{
    struct world *w = *state;
    assert_int_equal(tell(w, "10.0.0.1:80", NULL), 0);
    struct told_item item = {.name = STR("")};
    struct told_change c = {TOLD_UPDATE, STR("web"), &item, 1};
    struct told_counts counts;
    assert_true(addr_parse(STR("10.0.0.2:80"), &item.addr));
    unsigned refused = 0;
    for (unsigned long i = 1;; i++) {
        assert_int_equal(discover_tell(w->d, &c, w->view, &counts, NULL), 0);
        mem_fail_at(i);
        int rc = discover_keep(w->d, NULL);
        mem_fail_at(0);
        if (rc == 0)
            break;
        assert_int_equal(rc, -ERR_NOMEM);
        assert_string_equal(given(w), "10.0.0.1:80 ");
        refused++;
    }
    assert_true(refused > 0);
    open_again(w);
    assert_string_equal(given(w), "10.0.0.1:80 10.0.0.2:80 ");
}

static void a_damaged_file_is_set_aside(void **state)
{
    static const char *const texts[] = {"", "{", "[]", "{\"schema\": 2}", "\0"};
    struct world *w = *state;
    char aside[140];
    snprintf(aside, sizeof aside, "%s.damaged", w->kept);
    for (unsigned i = 0; i < ARRAY_LEN(texts); i++) {
        write_text(w->kept, texts[i]);
        open_again(w);
        assert_int_equal(w->notes[DISCOVER_DAMAGED], i + 1);
        assert_string_equal(w->subject, w->kept);
        assert_int_equal(access(aside, F_OK), 0);
        assert_int_not_equal(access(w->kept, F_OK), 0);
        unlink(aside);
    }
    assert_int_equal(tell(w, "10.0.0.1:80", NULL), 0);
    assert_string_equal(given(w), "10.0.0.1:80 ");
}

/* ---- drop-in files ---- */

static void files_come_and_go(void **state)
{
    struct world *w = *state;
    write_text(w->b, "backend 10.0.0.3:80\n");
    follow(w);
    assert_string_equal(given(w), "10.0.0.3:80 "); /* a new directory is read at once */
    write_text(w->a, "backend 10.0.0.1:80; backend 10.0.0.2:80 { name = two }\n");
    UNTIL(w, strcmp(given(w), "10.0.0.1:80 two 10.0.0.3:80 ") == 0);
    write_text(w->a, "backend 10.0.0.2:80\n");
    UNTIL(w, strcmp(given(w), "10.0.0.2:80 10.0.0.3:80 ") == 0);
    unlink(w->b);
    UNTIL(w, strcmp(given(w), "10.0.0.2:80 ") == 0);
    char other[120];
    snprintf(other, sizeof other, "%s/c.conf.bak", w->files);
    write_text(other, "backend 10.0.0.9:80\n");
    turn(w, 60 * NS_PER_MS);
    assert_string_equal(given(w), "10.0.0.2:80 ");
    assert_int_equal(w->notes[DISCOVER_FAILED], 0);
    struct view *none = view_of(NULL);
    assert_int_equal(discover_follow(w->d, none, NULL, NULL, NULL), 0);
    assert_string_equal(given(w), ""); /* nobody follows it */
    view_free(none);
}

static void a_mistake_keeps_what_was(void **state)
{
    static const char *const wrong[] = {"backend 10.0.0.1:80\nbackend api.internal:80\n",
                                        "service x { }\n", "backend {\n", "\xff\n"};
    struct world *w = *state;
    write_text(w->a, "backend 10.0.0.1:80\n");
    follow(w);
    for (unsigned i = 0; i < ARRAY_LEN(wrong); i++) {
        char place[160];
        write_text(w->a, wrong[i]);
        UNTIL(w, w->notes[DISCOVER_FAILED] == i + 1);
        assert_string_equal(w->subject, w->a);
        snprintf(place, sizeof place, "%s:%d:", w->a, i == 0 ? 2 : 1);
        assert_int_equal(strncmp(w->told, place, strlen(place)), 0);
        assert_non_null(strstr(w->told, "1 backend of before stays"));
        assert_string_equal(given(w), "10.0.0.1:80 ");
    }
    write_text(w->a, "backend 10.0.0.2:80\n");
    UNTIL(w, w->notes[DISCOVER_BACK] == 1);
    assert_string_equal(given(w), "10.0.0.2:80 ");
}

static void a_directory_that_is_gone_keeps_all(void **state)
{
    struct world *w = *state;
    char away[100];
    write_text(w->a, "backend 10.0.0.1:80\n");
    follow(w);
    snprintf(away, sizeof away, "%s/away", w->dir);
    assert_int_equal(rename(w->files, away), 0);
    UNTIL(w, w->notes[DISCOVER_FAILED] == 1);
    assert_string_equal(w->subject, w->files);
    assert_string_equal(given(w), "10.0.0.1:80 ");
    assert_int_equal(mkdir(w->files, 0700), 0);
    write_text(w->a, "backend 10.0.0.2:80\n");
    UNTIL(w, w->notes[DISCOVER_BACK] == 1);
    assert_string_equal(given(w), "10.0.0.2:80 ");
}

static void files_without_memory(void **state)
{
    struct world *w = *state;
    write_text(w->a, "backend 10.0.0.1:80\n");
    for (unsigned long i = 1; i < 40; i++) {
        struct view *none = view_of(NULL);
        mem_fail_at(i);
        int rc = discover_follow(w->d, w->view, NULL, NULL, NULL);
        mem_fail_at(0);
        assert_true(rc == 0 || rc == -ERR_NOMEM);
        assert_int_equal(discover_follow(w->d, none, NULL, NULL, NULL), 0);
        view_free(none);
    }
    follow(w);
    UNTIL(w, strcmp(given(w), "10.0.0.1:80 ") == 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_told_is_kept),
        TEST(what_cannot_be_kept_does_not_count),
        TEST(keeping_without_memory),
        TEST(a_damaged_file_is_set_aside),
        TEST(files_come_and_go),
        TEST(a_mistake_keeps_what_was),
        TEST(a_directory_that_is_gone_keeps_all),
        TEST(files_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
