#include "base/sip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/prng.h"

/* Key 00 01 .. 0f, message 00 01 .. of n bytes: the paper's appendix A (n = 15), and the reference
 * implementation's first vectors. */
static void the_published_vectors(void **state)
{
    static const uint64_t wanted[] = {
        UINT64_C(0x726fdb47dd0e0e31), UINT64_C(0x74f839c593dc67fd), UINT64_C(0x0d6c8009d9a94f5a),
        UINT64_C(0x85676696d7fb7e2d), UINT64_C(0xcf2794e0277187b7), UINT64_C(0x18765564cd99a68d),
        UINT64_C(0xcbc9466e58fee3ce), UINT64_C(0xab0200f58b01d137), UINT64_C(0x93f5f5799a932462),
    };
    struct sip_key key = {{UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)}};
    char message[15];
    for (size_t i = 0; i < sizeof message; i++)
        message[i] = (char)i;
    for (size_t n = 0; n < ARRAY_LEN(wanted); n++)
        assert_int_equal(sip_hash(&key, (struct str){message, n}), wanted[n]);
    assert_int_equal(sip_hash(&key, (struct str){message, 15}), UINT64_C(0xa129ca6149be45e5));
}

static void the_key_and_the_border_count(void **state)
{
    struct sip_key a = {{1, 2}}, b = {{1, 3}};
    assert_int_not_equal(sip_hash(&a, STR("x")), sip_hash(&b, STR("x")));
    assert_int_not_equal(sip_pair(&a, STR("ab"), STR("c")), sip_pair(&a, STR("a"), STR("bc")));
    assert_int_equal(sip_pair(&a, STR("ab"), STR("c")), sip_pair(&a, STR("ab"), STR("c")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_vectors),
        cmocka_unit_test(the_key_and_the_border_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
