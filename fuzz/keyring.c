/* Any text as a key file: what is read is printed and read again as the same, and what is said of a
 * mistake has no word of the text in it that could be a secret. */
#include <stddef.h>
#include <stdint.h>

#include "mesh/seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Nothing of 12 bytes in a row that stands in both. */
static void check_discreet(const char *said, struct str text)
{
    enum { LONG = 12 };
    size_t n = strlen(said);
    text.n = MIN(text.n, 200); /* what is quoted would be so early or late alike */
    for (size_t i = 0; i + LONG <= n; i++)
        if (!strchr("'", said[i]))
            for (size_t k = 0; k + LONG <= text.n; k++)
                CHECK(memcmp(said + i, text.p + k, LONG) != 0 || memchr(said + i, ' ', LONG));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct keyring k, again;
    struct err e = {0};
    if (keyring_parse(text, &k, &e)) {
        CHECK(e.text[0] && k.n == 0);
        check_discreet(e.text, text);
        return 0;
    }
    struct buf out = {0}, second = {0};
    CHECK(k.n >= 1 && k.n <= SEAL_KEYS_MAX && keyring_in_use(&k));
    keyring_print(&k, &out);
    CHECK(!out.failed && keyring_parse(buf_str(&out), &again, &e) == 0);
    keyring_print(&again, &second);
    CHECK(str_eq(buf_str(&out), buf_str(&second)));
    buf_free(&out);
    buf_free(&second);
    return 0;
}
