#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "mesh/seal.h"

/* Secrets of 32 bytes 'a' and 'b', and what sha256sum says of them. */
#define A_SECRET "YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE="
#define B_SECRET "YmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmI="
#define A_LINE   "3ba3f5f4 use " A_SECRET "\n"
#define B_LINE   "bdb33976 accept " B_SECRET "\n"

static void a_file_is_read(void **state)
{
    struct keyring k;
    struct err e = {0};
    static const char text[] =
        "# keys\n\n  \t\r\n" B_LINE "  3ba3f5f4\tuse  " A_SECRET "  # the old one\r\n";
    assert_int_equal(keyring_parse(str_of(text), &k, &e), 0);
    assert_int_equal(k.n, 2);
    assert_int_equal(k.keys[0].id, 0xbdb33976);
    assert_false(k.keys[0].use);
    assert_memory_equal(k.keys[0].secret, "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", SEAL_SECRET);
    assert_ptr_equal(keyring_in_use(&k), &k.keys[1]);
    assert_int_equal(k.keys[1].id, 0x3ba3f5f4);
    assert_int_equal(keyring_parse(str_of("3ba3f5f4 use " A_SECRET), &k, &e), 0); /* no line end */
}

static void mistakes_are_named_with_their_line(void **state)
{
    static const struct {
        const char *text, *said;
    } cases[] = {
        {"", "there is no key: 'holdfast key new FILE' makes one"},
        {"# nothing\n\n", "there is no key"},
        {B_LINE, "no key is in state 'use'"},
        {"# a\n3ba3f5f4\n", "line 2: the state of a key is"},
        {A_LINE "bdb33976 use " B_SECRET "\n", "line 2: a second key is in state 'use'"},
        {A_LINE "\n" A_LINE, "line 3: this key is there already"},
        {"3BA3F5F4 use " A_SECRET, "line 1: a key begins with its id"},
        {"3ba3f5f use " A_SECRET, "line 1: a key begins with its id"},
        {A_SECRET " use 3ba3f5f4", "line 1: a key begins with its id"},
        {"3ba3f5f4 " A_SECRET " use", "line 1: the state of a key is"},
        {"3ba3f5f4 uses " A_SECRET, "line 1: the state of a key is"},
        {"3ba3f5f4 use", "line 1: the secret is not 32 bytes"},
        {"3ba3f5f4 use " A_SECRET "=", "line 1: the secret is not 32 bytes"},
        {"3ba3f5f4 use YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYW==", "line 1: the secret is"},
        {"3ba3f5f4 use YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWF=", "line 1: the secret is"},
        {"3ba3f5f4 use YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhY-E=", "line 1: the secret is"},
        {"3ba3f5f4 use " A_SECRET " more", "line 1: there is more behind the secret"},
        {"3ba3f5f4 use " B_SECRET, "line 1: id and secret do not belong together"},
        {"bdb33976 use " A_SECRET, "line 1: id and secret do not belong together"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct keyring k;
        struct err e = {0};
        assert_int_equal(keyring_parse(str_of(cases[i].text), &k, &e), -ERR_INVAL);
        if (strncmp(e.text, cases[i].said, strlen(cases[i].said)) != 0)
            fail_msg("case %zu says: %s", i, e.text);
        assert_int_equal(k.n, 0);
        assert_null(strstr(e.text, "YW")); /* no part of a secret */
        assert_null(strstr(e.text, "Ym"));
        const uint8_t zeros[sizeof k] = {0};
        assert_memory_equal(&k, zeros, sizeof k);
    }
}

/* A secret cut or changed anywhere is noticed. */
static void a_damaged_secret_is_noticed(void **state)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
    static const char line[] = "3ba3f5f4 use " A_SECRET;
    char text[sizeof line];
    struct keyring k;
    for (size_t i = 13; i < sizeof line - 1; i++)
        for (const char *d = digits; *d; d++) {
            memcpy(text, line, sizeof line);
            text[i] = *d;
            int want = *d == line[i] ? 0 : -ERR_INVAL;
            assert_int_equal(keyring_parse(str_of(text), &k, NULL), want);
        }
    for (size_t n = 0; n < sizeof line - 1; n++)
        assert_int_equal(keyring_parse((struct str){line, n}, &k, NULL), -ERR_INVAL);
}

static void what_is_printed_is_read_again(void **state)
{
    struct keyring k = {0}, again;
    struct err e = {0};
    for (uint8_t i = 0; i < SEAL_KEYS_MAX; i++) {
        uint8_t secret[SEAL_SECRET];
        for (unsigned b = 0; b < SEAL_SECRET; b++)
            secret[b] = (uint8_t)(i * 37 + b * 11 + 251);
        assert_int_equal(keyring_add(&k, secret, &e), 0);
        struct buf out = {0}, second = {0};
        keyring_print(&k, &out);
        assert_false(out.failed);
        assert_int_equal(keyring_parse(buf_str(&out), &again, &e), 0);
        keyring_print(&again, &second);
        assert_true(str_eq(buf_str(&out), buf_str(&second)));
        assert_memory_equal(again.keys[0].secret, secret, sizeof secret);
        buf_free(&second);
        buf_free(&out);
    }
    assert_int_equal(keyring_add(&k, (const uint8_t[SEAL_SECRET]){1}, &e), -ERR_LIMIT);
}

static void keys_come_and_go(void **state)
{
    struct keyring k = {0};
    struct err e = {0};
    const uint8_t a[SEAL_SECRET] = {1}, b[SEAL_SECRET] = {2};
    assert_null(keyring_in_use(&k));
    assert_int_equal(keyring_add(&k, a, &e), 0);
    uint32_t id_a = k.keys[0].id;
    assert_true(k.keys[0].use); /* the only one */
    assert_int_equal(keyring_add(&k, a, &e), -ERR_EXISTS);
    assert_int_equal(keyring_add(&k, b, &e), 0);
    uint32_t id_b = k.keys[0].id; /* newest first */
    assert_int_equal(k.keys[1].id, id_a);
    assert_int_equal(keyring_in_use(&k)->id, id_a);
    assert_int_equal(keyring_drop(&k, id_a, &e), -ERR_DENIED);
    assert_int_equal(keyring_use(&k, id_a + 1, &e), -ERR_ABSENT);
    assert_int_equal(keyring_in_use(&k)->id, id_a);
    assert_int_equal(keyring_use(&k, id_b, &e), 0);
    assert_int_equal(keyring_in_use(&k)->id, id_b);
    assert_int_equal(keyring_drop(&k, id_a + 1, &e), -ERR_ABSENT);
    assert_int_equal(keyring_drop(&k, id_a, &e), 0);
    assert_int_equal(k.n, 1);
    assert_null(keyring_find(&k, id_a));
    const uint8_t zeros[sizeof k.keys[1]] = {0};
    assert_memory_equal(&k.keys[1], zeros, sizeof zeros);
}

static void too_much_is_refused(void **state)
{
    struct keyring k;
    struct err e;
    static char text[KEYRING_TEXT_MAX + 1];
    memset(text, '\n', sizeof text);
    assert_int_equal(keyring_parse((struct str){text, sizeof text}, &k, &e), -ERR_LIMIT);
    struct buf many = {0};
    struct keyring one = {0};
    for (uint8_t i = 0; i <= SEAL_KEYS_MAX; i++) {
        keyring_wipe(&one);
        assert_int_equal(keyring_add(&one, (const uint8_t[SEAL_SECRET]){i}, &e), 0);
        one.keys[0].use = i == 0;
        keyring_print(&one, &many);
    }
    assert_int_equal(keyring_parse(buf_str(&many), &k, &e), -ERR_INVAL);
    assert_string_equal(e.text, "line 27: there are more than 8 keys: drop old ones with "
                                "'holdfast key drop'");
    buf_free(&many);
}

/* On disk: made, changed and read; each allocation fails once, and the file stays. */
static void a_file_is_made_and_changed(void **state)
{
    char dir[] = "/tmp/keyring-test-XXXXXX", path[64];
    struct keyring k = {0}, again;
    struct err e;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/key", dir);
    assert_int_equal(keyring_add(&k, (const uint8_t[SEAL_SECRET]){1}, &e), 0);
    assert_int_equal(keyring_load(path, &again, &e), -ERR_ABSENT);
    assert_int_equal(keyring_save(path, &k, &e), -ERR_ABSENT);
    assert_int_equal(keyring_create(path, &k, &e), 0);
    assert_int_equal(keyring_create(path, &k, &e), -ERR_EXISTS);
    assert_int_equal(keyring_add(&k, (const uint8_t[SEAL_SECRET]){2}, &e), 0);
    mem_fail_at(1);
    assert_int_equal(keyring_save(path, &k, &e), -ERR_NOMEM);
    mem_fail_at(1);
    assert_int_equal(keyring_load(path, &again, &e), -ERR_NOMEM);
    mem_fail_at(0);
    assert_int_equal(keyring_load(path, &again, &e), 0);
    assert_int_equal(again.n, 1);
    assert_int_equal(keyring_save(path, &k, &e), 0);
    assert_int_equal(keyring_load(path, &again, &e), 0);
    assert_int_equal(again.n, 2);
    assert_int_equal(again.keys[0].id, k.keys[0].id);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("nonsense\n", f);
    fclose(f);
    assert_int_equal(keyring_load(path, &again, &e), -ERR_INVAL);
    assert_non_null(strstr(e.text, "/key: line 1: a key begins with its id"));
    unlink(path);
    rmdir(dir);
}

/* printf 'prod\0a' | sha256sum, read as a little-endian number */
static void a_node_has_an_id(void **state)
{
    assert_true(node_id(STR("prod"), STR("a")) != node_id(STR("prod"), STR("b")));
    assert_true(node_id(STR("prod"), STR("a")) != node_id(STR("proda"), STR("")));
    assert_int_equal(node_id(STR("prod"), STR("a")), UINT64_C(0x0c7872b077daab3c));
    mem_fail_at(1);
    assert_int_equal(node_id(STR("prod"), STR("a")), 0);
    mem_fail_at(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_read),
        cmocka_unit_test(mistakes_are_named_with_their_line),
        cmocka_unit_test(a_damaged_secret_is_noticed),
        cmocka_unit_test(what_is_printed_is_read_again),
        cmocka_unit_test(keys_come_and_go),
        cmocka_unit_test(too_much_is_refused),
        cmocka_unit_test(a_file_is_made_and_changed),
        cmocka_unit_test(a_node_has_an_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
