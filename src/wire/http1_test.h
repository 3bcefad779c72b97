/* http1_test: what cmocka wants included, once. */
#ifndef HF_HTTP1_TEST_H
#define HF_HTTP1_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "wire/http1_cases.h"

/* An exact copy, so that a sanitizer sees a read beyond n. The caller frees it. */
static inline char *exactly(const char *p, size_t n)
{
    char *copy = malloc(n ? n : 1);
    assert_non_null(copy);
    if (n)
        memcpy(copy, p, n);
    return copy;
}

#endif
