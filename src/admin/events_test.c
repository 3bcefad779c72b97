/* The ring of events, and that every code is documented. */
#include <stdio.h>

#include "admin/fixture.h"

static void add(struct events *e, enum event_code code, const char *text)
{
    struct event *ev = events_begin(e, code, EVENT_INFO, 5, 6, 7);
    str_copy(ev->text, sizeof ev->text, str_of(text));
    events_commit(e);
}

static void numbers_rise_from_the_start(void **state)
{
    struct events e;
    assert_int_equal(events_init(&e, 4, 1000, NULL), 0);
    assert_null(events_after(&e, 0));
    assert_null(events_after(&e, 5000));
    add(&e, EVENT_DRAIN, "one");
    add(&e, EVENT_RESUME, "two");
    const struct event *ev = events_after(&e, 0);
    assert_int_equal(ev->seq, 1000);
    assert_string_equal(ev->text, "one");
    ev = events_next(&e, ev);
    assert_int_equal(ev->seq, 1001);
    assert_int_equal(ev->boot, 5);
    assert_int_equal(ev->wall, 6);
    assert_int_equal(ev->epoch, 7);
    assert_null(events_next(&e, ev));
    assert_null(events_after(&e, 1001));
    assert_int_equal(events_after(&e, 1000)->seq, 1001);
    /* from before this control, and from another boot */
    assert_int_equal(events_after(&e, 17)->seq, 1000);
    assert_int_equal(events_after(&e, 1002)->seq, 1000);
    events_free(&e);
}

/* Against a model: the last four of all that were added. */
static void a_full_ring_drops_the_oldest(void **state)
{
    struct events e;
    assert_int_equal(events_init(&e, 4, 10, NULL), 0);
    for (uint64_t n = 1; n <= 20; n++) {
        add(&e, EVENT_DRAIN, "x");
        uint64_t held = MIN(n, UINT64_C(4)), oldest = 10 + n - held, newest = 10 + n - 1;
        assert_int_equal(events_after(&e, 0)->seq, oldest);
        uint64_t seen = 0;
        for (const struct event *ev = events_after(&e, 0); ev; ev = events_next(&e, ev))
            assert_int_equal(ev->seq, oldest + seen++);
        assert_int_equal(seen, held);
        for (uint64_t after = 1; after < newest; after++) {
            uint64_t first_wanted = MAX(after + 1, UINT64_C(10));
            assert_int_equal(events_lost(&e, after),
                             first_wanted < oldest ? oldest - first_wanted : 0);
        }
        assert_int_equal(events_lost(&e, 0), 0);
        assert_int_equal(e.by_code[EVENT_DRAIN], n);
    }
    events_free(&e);
}

static void evidence_is_copied_oldest_first(void **state)
{
    struct judge j;
    struct judge_params p = {.checked = true, .rise = 1, .fall = 3};
    struct event ev = {0};
    judge_init(&j, &p, 1);
    event_evidence(&ev, &j);
    assert_int_equal(ev.n_evidence, 0);
    for (uint32_t i = 0; i < 20; i++) {
        struct signal s = {.at = 10 + i, .count = 1, .detail = i};
        s.kind = i % 2 ? SIGNAL_CHECK_OK : SIGNAL_CHECK_BAD;
        judge_signal(&j, &s);
    }
    event_evidence(&ev, &j);
    assert_int_equal(ev.n_evidence, JUDGE_EVIDENCE);
    for (uint32_t i = 0; i < JUDGE_EVIDENCE; i++)
        assert_int_equal(ev.evidence[i].detail, 20 - JUDGE_EVIDENCE + i);
}

static void out_of_memory_is_an_error(void **state)
{
    struct events e;
    struct err why = {0};
    mem_fail_at(1);
    assert_int_equal(events_init(&e, 4, 1, &why), -ERR_NOMEM);
    mem_fail_at(0);
}

static void every_code_is_documented(void **state)
{
    struct buf doc = {0};
    assert_int_equal(file_read(EVENTS_DOC, 1 << 20, &doc, NULL), 0);
    assert_true(buf_add(&doc, "", 1));
    unsigned rows = 0;
    for (const char *at = doc.p; (at = strstr(at, "\n| `")); at++)
        rows++;
    assert_int_equal(rows, EVENT_CODES);
    for (unsigned i = 0; i < EVENT_CODES; i++) {
        char row[64];
        snprintf(row, sizeof row, "\n| `%s` |", event_code_name((enum event_code)i));
        assert_non_null(strstr(doc.p, row));
    }
    buf_free(&doc);
}

static void kept(void *keeper, const struct event *ev)
{
    uint64_t *seq = keeper;
    assert_int_equal(ev->seq, *seq + 1);
    *seq = ev->seq;
}

static void each_event_is_kept(void **state)
{
    struct events e;
    uint64_t seq = 9;
    assert_int_equal(events_init(&e, 4, 10, NULL), 0);
    e.keep = kept;
    e.keeper = &seq;
    for (int i = 0; i < 9; i++)
        add(&e, EVENT_DRAIN, "x");
    assert_int_equal(seq, 18);
    events_free(&e);
}

static void kinds_fit_the_codes(void **state)
{
    assert_int_equal(event_kind(EVENT_NODE_FAILED), AUDIT_VERDICT);
    assert_int_equal(event_kind(EVENT_DRAIN), AUDIT_DECISION);
    assert_int_equal(event_kind(EVENT_HAND_OVER), AUDIT_ACTION);
    assert_int_equal(event_kind(EVENT_AUDIT_LOST), AUDIT_EVENT);
    for (unsigned i = 0; i < EVENT_CODES; i++) { /* a verdict is always about somebody */
        enum event_code c = (enum event_code)i;
        struct event ev = {.code = (uint8_t)i};
        assert_true(event_kind(c) != AUDIT_VERDICT || event_subject_kind(c)[0]);
        assert_true(!event_has_verdict(&ev) || event_kind(c) == AUDIT_VERDICT);
    }
}

static void json_has_every_field(void **state)
{
    struct events e;
    json_use_mem();
    assert_int_equal(events_init(&e, 4, 10, NULL), 0);
    struct event *ev = events_begin(&e, EVENT_INSTANCE_VERDICT, EVENT_WARNING, 3000000000,
                                    UINT64_C(1795412067125000000), 7);
    ev->from = VERDICT_SUSPECT;
    ev->to = VERDICT_FAILED;
    ev->reason = REASON_CHECKS_FAIL;
    ev->n_evidence = 1;
    ev->evidence[0] = (struct signal){
        .at = 2000000000, .count = 2, .kind = SIGNAL_REQ_5XX, .observer = 3, .detail = 503};
    str_copy(ev->subject, sizeof ev->subject, STR("web/\xff"));
    str_copy(ev->by, sizeof ev->by, STR("uid 0"));
    events_commit(&e);
    json_t *j = events_json(&e, 0, 10);
    struct buf text = {0};
    json_write(j, &text);
    assert_true(buf_add(&text, "", 1));
    assert_string_equal(
        text.p, "{\"schema\":\"holdfast.events.v1\",\"next\":10,\"lost\":0,\"events\":[{\"seq\":10,"
                "\"time\":"
                "\"2026-11-23T05:34:27.125Z\",\"boot_ns\":3000000000,\"epoch\":7,\"code\":"
                "\"instance-verdict\",\"level\":\"warning\",\"kind\":\"verdict\","
                "\"subject_kind\":\"instance\",\"subject\":\"web/?\",\"text\":\"\","
                "\"from\":\"suspect\",\"to\":\"failed\",\"reason\":\"checks-fail\",\"by\":\"uid "
                "0\",\"evidence\":[{"
                "\"signal\":\"request-5xx\",\"count\":2,\"detail\":503,\"observer\":\"worker-2\","
                "\"age_seconds\":1.0}]}]}");
    json_decref(j);
    j = events_json(&e, 10, 10);
    assert_int_equal(json_integer_value(json_object_get(j, "next")), 10);
    assert_int_equal(json_array_size(json_object_get(j, "events")), 0);
    json_decref(j);
    buf_free(&text);
    events_free(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_rise_from_the_start),
        cmocka_unit_test(a_full_ring_drops_the_oldest),
        cmocka_unit_test(each_event_is_kept),
        cmocka_unit_test(kinds_fit_the_codes),
        cmocka_unit_test(evidence_is_copied_oldest_first),
        cmocka_unit_test(out_of_memory_is_an_error),
        cmocka_unit_test(every_code_is_documented),
        cmocka_unit_test(json_has_every_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
