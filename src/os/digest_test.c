#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "os/digest.h"

/* FIPS 180-4's examples. */
static void known_digests(void **state)
{
    static const struct {
        struct str text;
        const char *hex;
    } cases[] = {
        {{"", 0}, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {{"abc", 3}, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56},
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint8_t out[DIGEST_BYTES];
        char hex[2 * DIGEST_BYTES + 1];
        assert_true(digest_sha256(cases[i].text, out));
        for (size_t k = 0; k < DIGEST_BYTES; k++)
            snprintf(hex + 2 * k, 3, "%02x", out[k]);
        assert_string_equal(hex, cases[i].hex);
    }
}

/* RFC 4231, cases 2 and 6. */
static void known_hmacs(void **state)
{
    static const uint8_t jefe[] = {0x5b, 0xdc, 0xc1, 0x46}, lng[] = {0x60, 0xe4, 0x31, 0x59};
    uint8_t out[DIGEST_BYTES];
    char key[131];
    memset(key, 0xaa, sizeof key);
    assert_true(digest_hmac(STR("Jefe"), STR("what do ya want for nothing?"), out));
    assert_memory_equal(out, jefe, sizeof jefe);
    assert_true(digest_hmac((struct str){key, sizeof key},
                            STR("Test Using Larger Than Block-Size Key - Hash Key First"), out));
    assert_memory_equal(out, lng, sizeof lng);
}

static void two_are_the_same_only_when_every_byte_is(void **state)
{
    uint8_t a[DIGEST_BYTES] = {0}, b[DIGEST_BYTES] = {0};
    assert_true(digest_same(a, b));
    for (size_t i = 0; i < DIGEST_BYTES; i++) {
        b[i] = 1;
        assert_false(digest_same(a, b));
        b[i] = 0;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_digests),
        cmocka_unit_test(known_hmacs),
        cmocka_unit_test(two_are_the_same_only_when_every_byte_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
