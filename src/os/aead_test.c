#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "os/aead.h"

static size_t unhex(const char *text, uint8_t *out)
{
    size_t n = strlen(text) / 2;
    for (size_t i = 0; i < n; i++) {
        unsigned byte;
        assert_int_equal(sscanf(text + 2 * i, "%2x", &byte), 1);
        out[i] = (uint8_t)byte;
    }
    return n;
}

static struct str unhex_str(const char *text, uint8_t *out)
{
    return (struct str){(char *)out, unhex(text, out)};
}

static const struct {
    const char *key, *nonce, *header, *plain, *sealed;
} ciphers[] = {
    /* D. McGrew, J. Viega, "The Galois/Counter Mode of Operation", test cases 13, 14 and 16 */
    {"0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000",
     "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
    {"0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000",
     "", "00000000000000000000000000000000",
     "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"},
    {"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
     "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
     "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
     "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
     "76fc6ece0f4e1768cddf8853bb2d551b"},
};

static void known_ciphertexts(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(ciphers); i++) {
        uint8_t key[AEAD_KEY], nonce[AEAD_NONCE], ad[64], plain[128], want[128], got[128];
        unhex(ciphers[i].key, key);
        unhex(ciphers[i].nonce, nonce);
        struct str header = unhex_str(ciphers[i].header, ad);
        size_t n = unhex(ciphers[i].plain, plain), sealed = unhex(ciphers[i].sealed, want);
        struct aead *a = aead_new(key);
        assert_non_null(a);
        for (int again = 0; again < 2; again++) { /* the context is used again */
            assert_true(aead_seal(a, nonce, header, plain, n, got));
            assert_memory_equal(got, want, sealed);
            assert_true(aead_open(a, nonce, header, got, sealed, got)); /* in place */
            assert_memory_equal(got, plain, n);
        }
        aead_free(a);
    }
}

static void a_changed_bit_does_not_open(void **state)
{
    uint8_t key[AEAD_KEY] = {1}, nonce[AEAD_NONCE] = {2}, sealed[5 + AEAD_TAG], out[5];
    const uint8_t zeros[5] = {0};
    struct str header = STR("who");
    struct aead *a = aead_new(key);
    assert_true(aead_seal(a, nonce, header, "hello", 5, sealed));
    for (size_t bit = 0; bit < 8 * sizeof sealed; bit++) {
        sealed[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(aead_open(a, nonce, header, sealed, sizeof sealed, out));
        assert_memory_equal(out, zeros, sizeof out);
        sealed[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t n = 0; n < sizeof sealed; n++)
        assert_false(aead_open(a, nonce, header, sealed, n, out));
    assert_false(aead_open(a, nonce, STR("whom"), sealed, sizeof sealed, out));
    nonce[0]++;
    assert_false(aead_open(a, nonce, header, sealed, sizeof sealed, out));
    nonce[0]--;
    assert_true(aead_open(a, nonce, header, sealed, sizeof sealed, out));
    assert_memory_equal(out, "hello", 5);
    aead_free(a);
}

/* RFC 4231, cases 1, 2 and 6. */
static void known_codes(void **state)
{
    uint8_t key[131], out[HMAC_BYTES], want[HMAC_BYTES];
    memset(key, 0x0b, 20);
    assert_true(hmac_sha256((struct str){(char *)key, 20}, STR("Hi There"), out));
    unhex("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7", want);
    assert_memory_equal(out, want, HMAC_BYTES);
    assert_true(hmac_sha256(STR("Jefe"), STR("what do ya want for nothing?"), out));
    unhex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843", want);
    assert_memory_equal(out, want, HMAC_BYTES);
    memset(key, 0xaa, sizeof key);
    assert_true(hmac_sha256((struct str){(char *)key, sizeof key},
                            STR("Test Using Larger Than Block-Size Key - Hash Key First"), out));
    unhex("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54", want);
    assert_memory_equal(out, want, HMAC_BYTES);
}

/* RFC 5869, appendices A.1 to A.3. */
static void known_derivations(void **state)
{
    static const struct {
        const char *secret, *salt, *info, *out;
    } cases[] = {
        {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "000102030405060708090a0b0c",
         "f0f1f2f3f4f5f6f7f8f9",
         "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"},
        {"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
         "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
         "404142434445464748494a4b4c4d4e4f",
         "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f"
         "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"
         "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf",
         "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecf"
         "d0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeef"
         "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
         "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
         "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
         "cc30c58179ec3e87c14c01d5c1f3434f1d87"},
        {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "",
         "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint8_t secret[128], salt[128], info[128], want[128], out[128];
        size_t n = unhex(cases[i].out, want);
        assert_true(hkdf_sha256(unhex_str(cases[i].secret, secret), unhex_str(cases[i].salt, salt),
                                unhex_str(cases[i].info, info), out, n));
        assert_memory_equal(out, want, n);
    }
}

static void what_is_wiped_is_gone(void **state)
{
    uint8_t p[100], zeros[100] = {0};
    memset(p, 7, sizeof p);
    wipe(p, sizeof p);
    assert_memory_equal(p, zeros, sizeof p);
}

static void two_are_the_same_only_when_every_byte_is(void **state)
{
    uint8_t a[16] = {0}, b[16] = {0};
    assert_true(same_bytes(a, b, sizeof a));
    for (size_t i = 0; i < sizeof a; i++) {
        b[i] = 1;
        assert_false(same_bytes(a, b, sizeof a));
        assert_true(same_bytes(a, b, i));
        b[i] = 0;
    }
}

static void without_memory_there_is_none(void **state)
{
    mem_fail_at(1);
    assert_null(aead_new((const uint8_t[AEAD_KEY]){0}));
    mem_fail_at(0);
    aead_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_ciphertexts),
        cmocka_unit_test(a_changed_bit_does_not_open),
        cmocka_unit_test(known_codes),
        cmocka_unit_test(known_derivations),
        cmocka_unit_test(what_is_wiped_is_gone),
        cmocka_unit_test(two_are_the_same_only_when_every_byte_is),
        cmocka_unit_test(without_memory_there_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
