/* Cookies from anybody: what is found lies inside the input and is what a plain search finds, and
 * what is written of it reads back as it was. */
#include <stddef.h>
#include <stdint.h>

#include "wire/cookie.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void within(struct str s, struct str whole)
{
    CHECK(s.p >= whole.p && s.p + s.n <= whole.p + whole.n);
}

/* A pair never reaches over a ';', and its name holds no '='. */
static void check_pair(const struct cookie *c, struct str whole)
{
    within(c->name, whole);
    within(c->value, whole);
    CHECK(c->name.n > 0 && c->value.p > c->name.p);
    CHECK(!memchr(c->name.p, '=', c->name.n));
    CHECK(!memchr(c->name.p, ';', (size_t)(c->value.p - c->name.p) + c->value.n));
}

static void check_written(const struct cookie *c, size_t seed)
{
    static char to[8192];
    const struct set_cookie in = {.name = c->name,
                                  .value = c->value,
                                  .path = seed & 1 ? STR("/a") : STR(""),
                                  .max_age = seed & 2 ? (int64_t)seed : -1,
                                  .http_only = seed & 4,
                                  .secure = seed & 8};
    size_t n = set_cookie_write(&in, to, sizeof to);
    CHECK(n == 0 || !set_cookie_wrong(&in));
    if (n == 0)
        return;
    CHECK(!memchr(to, '\r', n) && !memchr(to, '\n', n) && !memchr(to, 0, n));
    struct cookie again;
    CHECK(set_cookie_split((struct str){to, n}, &again));
    CHECK(str_eq(again.name, c->name) && str_eq(again.value, c->value));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str whole = {(const char *)data, size}, rest = whole;
    struct cookie c, first;
    size_t pairs = 0;
    if (size == 0)
        return 0;
    while (cookie_next(&rest, &c)) {
        check_pair(&c, whole);
        check_written(&c, size);
        CHECK(++pairs <= size);
    }
    CHECK(rest.n == 0);
    if (set_cookie_split(whole, &first))
        check_pair(&first, whole);
    return 0;
}
