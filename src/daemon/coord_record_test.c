/* What a node keeps of the coordinator and of the voters: there and back, by old files, by damaged
 * ones, and when memory ends. */
#include "daemon/coord_record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "os/os.h"

static char path[64];

static int setup(void **state)
{
    int fd;
    str_copy(path, sizeof path, STR("/tmp/holdfast-record-XXXXXX"));
    fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    return 0;
}

static int teardown(void **state)
{
    unlink(path);
    return 0;
}

static void put(const char *text)
{
    assert_int_equal(file_replace(path, str_of(text), 0600, NULL), 0);
}

static struct coord_record full(void)
{
    struct coord_record r = {
        .founding = true, .restoring = true, .filling = true, .raise = UINT64_C(1) << 63};
    r.said = (struct managed_said){.record = MANAGED_DATA,
                                   .line = {.generation = 3, .draw = UINT64_MAX},
                                   .place = UINT64_MAX - 1,
                                   .member = UINT64_C(0x8000000000000001),
                                   .founder = "node-a"};
    for (int i = 0; i < MANAGED_ID; i++)
        r.said.line.id[i] = (uint8_t)(i * 17);
    return r;
}

static void expect_same(const struct coord_record *a, const struct coord_record *b)
{
    assert_int_equal(a->said.record, b->said.record);
    assert_memory_equal(a->said.line.id, b->said.line.id, MANAGED_ID);
    assert_true(a->said.line.generation == b->said.line.generation);
    assert_true(a->said.line.draw == b->said.line.draw);
    assert_true(a->said.place == b->said.place);
    assert_true(a->said.member == b->said.member);
    assert_string_equal(a->said.founder, b->said.founder);
    assert_int_equal(a->founding, b->founding);
    assert_int_equal(a->restoring, b->restoring);
    assert_int_equal(a->filling, b->filling);
    assert_true(a->raise == b->raise);
}

static void a_record_is_read_as_it_was_written(void **state)
{
    struct coord_record r = full(), got;
    struct stat st;
    for (int kind = 0; kind < MANAGED_RECORDS; kind++) {
        r.said.record = (uint8_t)kind;
        r.founding = kind == MANAGED_DATA;
        r.restoring = kind != MANAGED_DATA;
        assert_int_equal(coord_record_save(path, &r, NULL), 0);
        assert_int_equal(coord_record_load(path, &got, NULL), 0);
        expect_same(&r, &got);
    }
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
}

static void without_a_file_it_is_never(void **state)
{
    struct coord_record r = full(), never = {.founding = false};
    unlink(path);
    assert_int_equal(coord_record_load(path, &r, NULL), 0);
    expect_same(&r, &never);
}

/* "Never" would let the node found another coordinator beside the one that it belongs to. */
static void a_damaged_record_is_not_never(void **state)
{
    static const char *const broken[] = {
        "",
        "\n",
        "null",
        "[]",
        "{}",
        "{\"record\":\"data\"",
#define LINE "\"id\":\"000102030405060708090a0b0c0d0e0f\",\"generation\":\"1\",\"draw\":\"2\""
#define REST "\"founder\":\"\",\"place\":\"0\",\"member\":\"0\""
        "{\"record\":\"mine\"," LINE "," REST "}",
        "{\"record\":1," LINE "," REST "}",
        "{\"record\":\"data\",\"id\":\"00\",\"generation\":\"1\",\"draw\":\"2\"," REST "}",
        "{\"record\":\"data\",\"id\":\"000102030405060708090a0b0c0d0e0G\",\"generation\":\"1\","
        "\"draw\":\"2\"," REST "}",
        "{\"record\":\"data\"," LINE "}",
        "{\"record\":\"data\"," LINE ",\"founder\":\"\",\"place\":\"-1\",\"member\":\"0\"}",
        "{\"record\":\"data\"," LINE ",\"founder\":\"\",\"place\":-1,\"member\":\"0\"}",
        "{\"record\":\"data\"," LINE
        ",\"founder\":\"\",\"place\":\"18446744073709551616\",\"member\":\"0\"}",
        "{\"record\":\"data\",\"record\":\"never\"," LINE "," REST "}",
        "{\"record\":\"data\"," LINE "," REST "} and more",
        "{\"record\":\"data\"," LINE ",\"founder\":"
        "\"0123456789012345678901234567890123456789012345678901234567890123456789\","
        "\"place\":\"0\",\"member\":\"0\"}",
    };
    struct coord_record r;
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        struct err e = {0};
        put(broken[i]);
        if (coord_record_load(path, &r, &e) != -ERR_PROTO)
            fail_msg("taken for a record: %s", broken[i]);
        assert_non_null(strstr(e.text, path));
    }
    put("{\"record\":\"data\"," LINE "," REST "}"); /* the least that is one; numbers may be such */
    assert_int_equal(coord_record_load(path, &r, NULL), 0);
    assert_false(r.founding || r.restoring || r.filling || r.raise);
    assert_int_equal(r.said.line.draw, 2);
}

static void what_cannot_be_read_is_told(void **state)
{
    struct coord_record r;
    struct err e = {0};
    put("");
    assert_int_equal(truncate(path, 1 << 20), 0);
    assert_true(coord_record_load(path, &r, &e) < 0);
    assert_int_not_equal(e.code, -ERR_ABSENT);
    e = (struct err){0};
    assert_true(coord_record_save("/tmp/holdfast-record-absent/x", &r, &e) < 0);
    assert_true(e.text[0]);
}

static struct voters voters_of(uint64_t version, const char *names)
{
    struct voters v = {.version = version};
    for (; *names; names++)
        assert_true(voters_add(&v, (struct str){names, 1}));
    return v;
}

static void voters_are_read_as_they_were_written(void **state)
{
    struct voters v = voters_of(7, "abcde"), was = voters_of(0, "abcd"), a, b;
    struct buf text = {0};
    assert_true(coord_voters_write(&v, &was, 1234, &text));
    assert_int_equal(coord_voters_read(buf_str(&text), &a, &b, NULL), 0);
    assert_true(voters_same(&a, &v) && a.version == 7);
    assert_true(voters_same(&b, &was) && b.version == 0);
    buf_clear(&text);
    assert_true(coord_voters_write(&v, &(struct voters){0}, 1, &text)); /* the first have no past */
    assert_int_equal(coord_voters_read(buf_str(&text), &a, &b, NULL), 0);
    assert_int_equal(b.n, 0);
    buf_free(&text);
}

static void no_voters_are_refused(void **state)
{
    static const char *const broken[] = {
        "",
        "{}",
        "{\"version\":0,\"nodes\":[\"a\"],\"was\":[]}",
        "{\"version\":-1,\"nodes\":[\"a\"],\"was\":[]}",
        "{\"nodes\":[\"a\"],\"was\":[]}",
        "{\"version\":1,\"nodes\":[],\"was\":[]}",
        "{\"version\":1,\"nodes\":\"a\",\"was\":[]}",
        "{\"version\":1,\"nodes\":[1],\"was\":[]}",
        "{\"version\":1,\"nodes\":[\"\"],\"was\":[]}",
        "{\"version\":1,\"nodes\":[\"a\",\"a\"],\"was\":[]}",
        "{\"version\":1,\"nodes\":[\"a\\u0000\"],\"was\":[]}",
        "{\"version\":1,\"nodes\":[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\"],\"was\":[]}",
        "{\"version\":1,\"nodes\":[\"a\"]}",
    };
    struct voters v, was;
    for (size_t i = 0; i < ARRAY_LEN(broken); i++)
        if (coord_voters_read(str_of(broken[i]), &v, &was, NULL) != -ERR_PROTO)
            fail_msg("taken for voters: %s", broken[i]);
}

/* What failed for memory says so, and what lay there stays. */
static void memory_may_end_anywhere(void **state)
{
    struct coord_record r = full(), got;
    assert_int_equal(coord_record_save(path, &r, NULL), 0);
    r.said.line.generation++;
    for (uint64_t at = 1;; at++) {
        mem_fail_at(at);
        int rc = coord_record_save(path, &r, NULL);
        bool failed = mem_failed();
        mem_fail_at(0);
        assert_int_equal(coord_record_load(path, &got, NULL), 0);
        assert_int_equal(got.said.line.generation, rc ? 3 : 4);
        assert_true(failed || rc == 0);
        if (!failed)
            break;
    }
    for (uint64_t at = 1;; at++) {
        mem_fail_at(at);
        int rc = coord_record_load(path, &got, NULL);
        bool failed = mem_failed();
        mem_fail_at(0);
        assert_true(rc == 0 ? got.said.record == MANAGED_DATA : failed && rc == -ERR_NOMEM);
        if (!failed)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_read_as_it_was_written),
        cmocka_unit_test(without_a_file_it_is_never),
        cmocka_unit_test(a_damaged_record_is_not_never),
        cmocka_unit_test(what_cannot_be_read_is_told),
        cmocka_unit_test(voters_are_read_as_they_were_written),
        cmocka_unit_test(no_voters_are_refused),
        cmocka_unit_test(memory_may_end_anywhere),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
