/* The scanner in its portable form gives the same as the one built for this machine. */
#include <ctype.h>

#include "wire/http1_scan.h"
#include "wire/http1_test.h"

/* http1_scan.c compiled once more, with HTTP1_PORTABLE. */
int http1_scan_portable(const char *p, size_t n, size_t seen, const struct http_limits *lim,
                        bool request, struct http1_scan *out);
const char *http1_find_cr_portable(const char *p, const char *end);
const char *http1_skip_name_portable(const char *p, const char *end);

static void compare(const char *bytes, size_t n, size_t seen, bool request)
{
    struct http1_scan a, b;
    char *p = exactly(bytes, n);
    int ra = http1_scan(p, n, seen, &http1_case_limits, request, &a);
    int rb = http1_scan_portable(p, n, seen, &http1_case_limits, request, &b);
    free(p);
    assert_int_equal(ra, rb);
    if (ra == HTTP_REFUSED)
        assert_int_equal(a.refuse, b.refuse);
    if (ra == HTTP_DONE)
        assert_true(a.begin == b.begin && a.end == b.end);
}

static void both_scan_the_cases_alike(void **state)
{
    for (size_t i = 0; i < http1_refused_count; i++)
        for (size_t n = 0; n <= MIN(http1_refused_cases[i].bytes.n, 200u); n++)
            compare(http1_refused_cases[i].bytes.p, n, n / 2,
                    http1_refused_cases[i].kind == CASE_REQUEST);
}

/* Few kinds of byte, so that line ends of all sorts fall on all offsets. */
static void both_scan_noise_alike(void **state)
{
    static const char kinds[] = "a\r\n\r\n\r\nabcdefgh\t \x7f\x80\xff:";
    struct prng r;
    prng_seed(&r, 1);
    for (int i = 0; i < 200000; i++) {
        char text[64] = "HT";
        size_t n = prng_below(&r, sizeof text);
        for (size_t k = prng_below(&r, 3); k < n; k++)
            text[k] = kinds[prng_below(&r, sizeof kinds - (i % 4 ? 8 : 0))];
        compare(text, n, n ? prng_below(&r, n) : 0, i & 1);
    }
}

static void both_find_a_cr_anywhere(void **state)
{
    for (size_t at = 0; at < 70; at++) {
        char text[72];
        memset(text, 'x', sizeof text);
        text[at] = '\r';
        char *p = exactly(text, at + 2);
        assert_ptr_equal(http1_find_cr(p, p + at + 2), p + at);
        assert_ptr_equal(http1_find_cr_portable(p, p + at + 2), p + at);
        free(p);
    }
}

/* Every byte behind names of every length, with and without bytes to read behind it. */
static void both_skip_names_alike(void **state)
{
    for (unsigned byte = 0; byte < 256; byte++)
        for (size_t at = 0; at < 40; at++)
            for (size_t n = at + 1; n < 42; n += 20) {
                char text[42];
                memset(text, at & 1 ? 'z' : 'A', sizeof text);
                text[at] = (char)byte;
                char *p = exactly(text, n);
                bool part = byte == '-' || (byte < 0x80 && isalpha((int)byte));
                const char *stop = http1_skip_name(p, p + n);
                assert_ptr_equal(stop, p + (part ? n : at));
                assert_ptr_equal(http1_skip_name_portable(p, p + n), stop);
                free(p);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_scan_the_cases_alike),
        cmocka_unit_test(both_scan_noise_alike),
        cmocka_unit_test(both_find_a_cr_anywhere),
        cmocka_unit_test(both_skip_names_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
