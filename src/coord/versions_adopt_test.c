/* An adopter, asked and answered by the test. */
#include "coord/versions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

enum { FETCHED, KEPT, USED };
#define S UINT64_C(1000000000)

struct rig {
    struct adopter a;
    char log[256];   /* what the adopter asked for: "f7 k7 u7 " */
    bool at_once[3]; /* answered inside the request, well */
    uint64_t now, asked;
    struct buf text;
    struct coord_item item;
};

static void answer_range(struct rig *r, uint64_t number, char id);

static void note(struct rig *r, const char *what, uint64_t number)
{
    size_t n = strlen(r->log);
    snprintf(r->log + n, sizeof r->log - n, "%s%llu ", what, (unsigned long long)number);
    r->asked = number;
}

static void on_fetch(void *context, uint64_t number)
{
    struct rig *r = context;
    note(r, "f", number);
    if (r->at_once[FETCHED])
        answer_range(r, number, 'a');
}

static void on_keep(void *context, const struct version *v, struct str bundle)
{
    struct rig *r = context;
    assert_true(str_starts(bundle, STR("bundle ")));
    note(r, "k", v->number);
    if (r->at_once[KEPT])
        adopter_kept(&r->a, v->number, NULL, r->now);
}

static void on_use(void *context, const struct version *v, struct str bundle)
{
    struct rig *r = context;
    assert_true(str_starts(bundle, STR("bundle ")));
    note(r, "u", v->number);
    if (r->at_once[USED])
        adopter_used(&r->a, v->number, NULL, r->now);
}

/* The version of this number, and its bundle. */
static struct version make(uint64_t number, char id, struct buf *record, struct buf *head)
{
    struct application a;
    struct versions_head base = {.revision = 1, .version = {.number = number - 1}};
    struct version w = {.when = 1, .who = "ada", .node = "a"};
    struct err e = {0};
    char bundle[32];
    memset(w.id, id, VERSION_ID - 1);
    snprintf(bundle, sizeof bundle, "bundle %llu", (unsigned long long)number);
    assert_int_equal(application_begin(&a, &base, 0, &w, str_of(bundle), &e), 0);
    w = a.version;
    if (record)
        buf_add_str(record, buf_str(&a.record));
    if (head)
        buf_add_str(head, buf_str(&a.head));
    application_free(&a);
    return w;
}

static void answer_range(struct rig *r, uint64_t number, char id)
{
    struct buf record = {0};
    char key[VERSION_KEY];
    make(number, id, &record, NULL);
    version_key(number, key);
    struct coord_item item = {.key = str_of(key), .value = buf_str(&record), .revision = 9};
    struct coord_answer answer = {.outcome = COORD_DONE, .items = &item, .n = 1};
    adopter_fetched(&r->a, number, &answer, r->now);
    buf_free(&record);
}

static void answer_outcome(struct rig *r, uint64_t number, enum coord_outcome outcome)
{
    struct coord_answer answer = {.outcome = outcome};
    adopter_fetched(&r->a, number, &answer, r->now);
}

static void head(struct rig *r, uint64_t number, char id)
{
    struct buf text = {0};
    make(number, id, NULL, &text);
    struct coord_item item = {.key = STR(VERSIONS_HEAD), .value = buf_str(&text), .revision = 9};
    adopter_head(&r->a, &item, r->now);
    buf_free(&text);
}

static struct rig *rig_new(uint64_t used)
{
    struct rig *r = mem_zero(1, sizeof *r);
    struct adopter_params p = adopter_defaults();
    struct adopter_host h = {r, on_fetch, on_keep, on_use};
    struct version v = {0};
    if (used)
        v = make(used, 'a', NULL, NULL);
    r->now = S;
    r->at_once[FETCHED] = r->at_once[KEPT] = r->at_once[USED] = true;
    adopter_begin(&r->a, &p, &h, used ? &v : NULL);
    return r;
}

static void rig_free(struct rig *r)
{
    adopter_free(&r->a);
    mem_free(r);
}

static void asked(struct rig *r, const char *what)
{
    assert_string_equal(r->log, what);
    r->log[0] = '\0';
}

static void runs(const struct rig *r, uint64_t number, int problem)
{
    assert_int_equal(r->a.used.number, number);
    assert_int_equal(r->a.problem.code, problem);
}

static const struct err trouble = {-ERR_IO, "no space"};

static void newer_is_fetched_kept_used(void **state)
{
    struct rig *r = rig_new(0);
    adopter_head(&r->a, NULL, r->now); /* nobody has applied */
    asked(r, "");
    runs(r, 0, 0);
    head(r, 1, 'a');
    asked(r, "f1 k1 u1 ");
    runs(r, 1, 0);
    head(r, 4, 'a'); /* it was away */
    asked(r, "f4 k4 u4 ");
    runs(r, 4, 0);
    assert_true(adopter_deadline(&r->a) == UINT64_MAX);
    rig_free(r);
}

static void never_downwards_and_never_again(void **state)
{
    struct rig *r = rig_new(7);
    head(r, 7, 'a');
    asked(r, "");
    runs(r, 7, 0);
    head(r, 6, 'a'); /* a restore */
    asked(r, "");
    runs(r, 7, -ERR_INVAL);
    assert_non_null(strstr(r->a.problem.text, "older than 7"));
    assert_true(adopter_overtaken(&r->a));
    head(r, 7, 'b'); /* what was applied after it */
    asked(r, "");
    runs(r, 7, -ERR_INVAL);
    assert_true(adopter_overtaken(&r->a));
    head(r, 7, 'a');
    assert_false(adopter_overtaken(&r->a));
    head(r, 8, 'a');
    asked(r, "f8 k8 u8 ");
    runs(r, 8, 0);
    assert_false(adopter_overtaken(&r->a));
    adopter_head(&r->a, NULL, r->now); /* nothing that could be written anew */
    assert_false(adopter_overtaken(&r->a));
    rig_free(r);
}

static void one_at_a_time(void **state)
{
    struct rig *r = rig_new(1);
    r->at_once[FETCHED] = false;
    head(r, 2, 'a');
    head(r, 3, 'a');
    head(r, 4, 'a');
    asked(r, "f2 ");
    answer_range(r, 3, 'a'); /* nobody asked */
    asked(r, "");
    answer_range(r, 2, 'a');
    asked(r, "k2 u2 f4 ");
    answer_range(r, 2, 'a'); /* late */
    asked(r, "");
    answer_range(r, 4, 'a');
    asked(r, "k4 u4 ");
    adopter_kept(&r->a, 4, NULL, r->now);
    adopter_used(&r->a, 4, &trouble, r->now);
    runs(r, 4, 0);
    rig_free(r);
}

static void what_gets_no_answer_is_asked_again(void **state)
{
    struct rig *r = rig_new(1);
    r->at_once[FETCHED] = false;
    head(r, 2, 'a');
    asked(r, "f2 ");
    answer_outcome(r, 2, COORD_UNKNOWN);
    assert_true(adopter_deadline(&r->a) == r->now + S / 2);
    adopter_tick(&r->a, r->now);
    asked(r, "");
    r->now += S / 2;
    adopter_tick(&r->a, r->now);
    asked(r, "f2 ");
    answer_outcome(r, 2, COORD_DONE); /* it is not there: removed, and head's news on its way */
    runs(r, 1, -ERR_ABSENT);
    head(r, 3, 'a');
    asked(r, "f3 ");
    answer_range(r, 3, 'b'); /* not what head says */
    runs(r, 1, -ERR_PROTO);
    r->now = adopter_deadline(&r->a);
    adopter_tick(&r->a, r->now);
    answer_range(r, 3, 'a');
    runs(r, 3, 0);
    rig_free(r);
}

static void what_cannot_be_taken_stays_pending(void **state)
{
    struct rig *r = rig_new(1);
    r->at_once[USED] = false;
    head(r, 2, 'a');
    adopter_used(&r->a, 2, &trouble, r->now);
    asked(r, "f2 k2 u2 ");
    runs(r, 1, -ERR_IO);
    assert_non_null(strstr(r->a.problem.text, "version 2 cannot be used"));
    assert_true(adopter_deadline(&r->a) == r->now + 5 * S);
    r->now += 5 * S;
    adopter_tick(&r->a, r->now);
    adopter_used(&r->a, 2, &trouble, r->now);
    asked(r, "u2 ");
    head(r, 2, 'a'); /* no news */
    asked(r, "");
    head(r, 3, 'a'); /* with every newer one at once */
    asked(r, "f3 k3 u3 ");
    adopter_used(&r->a, 3, NULL, r->now);
    runs(r, 3, 0);
    rig_free(r);
}

static void what_cannot_be_kept_is_not_used(void **state)
{
    struct rig *r = rig_new(1);
    r->at_once[KEPT] = false;
    head(r, 2, 'a');
    adopter_kept(&r->a, 2, &trouble, r->now);
    asked(r, "f2 k2 ");
    runs(r, 1, -ERR_IO);
    r->now += 5 * S;
    adopter_tick(&r->a, r->now);
    asked(r, "k2 ");
    head(r, 3, 'a'); /* meanwhile */
    adopter_kept(&r->a, 2, &trouble, r->now);
    asked(r, "f3 k3 ");
    adopter_kept(&r->a, 3, NULL, r->now);
    asked(r, "u3 ");
    runs(r, 3, 0);
    rig_free(r);
}

static void head_that_is_gone_or_nonsense_changes_nothing(void **state)
{
    struct rig *r = rig_new(3);
    struct coord_item item = {.key = STR(VERSIONS_HEAD), .value = STR("{}"), .revision = 9};
    adopter_head(&r->a, &item, r->now);
    asked(r, "");
    runs(r, 3, -ERR_PROTO);
    item.gone = true;
    adopter_head(&r->a, &item, r->now);
    asked(r, "");
    runs(r, 3, -ERR_INVAL); /* the coordinator has nothing: older */
    head(r, 3, 'a');
    runs(r, 3, 0);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(newer_is_fetched_kept_used),
        cmocka_unit_test(never_downwards_and_never_again),
        cmocka_unit_test(one_at_a_time),
        cmocka_unit_test(what_gets_no_answer_is_asked_again),
        cmocka_unit_test(what_cannot_be_taken_stays_pending),
        cmocka_unit_test(what_cannot_be_kept_is_not_used),
        cmocka_unit_test(head_that_is_gone_or_nonsense_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
