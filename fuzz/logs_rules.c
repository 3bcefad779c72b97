/* A pattern, a zero byte, and lines: compiling and matching keep their bounds, and what is looked
 * for before the pattern is tried never hides a match. */
#include <stddef.h>
#include <stdint.h>

#include "detect/logs/logs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void mark(void *context, uint32_t rule)
{
    *(bool *)context = rule == 0;
}

static void check_line(struct rules *r, struct str line)
{
    bool seen = false;
    uint64_t given_up = rules_given_up(r);
    bool wanted = rules_match_one(r, 0, line);
    rules_match(r, line, mark, &seen);
    CHECK(seen == wanted || rules_given_up(r) != given_up);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size ? memchr(data, 0, size) : NULL;
    if (!end)
        return 0;
    struct logs_rule one = {.name = "it", .match = (const char *)data, .over = 1, .window = 1000};
    struct err e;
    struct rules *r = rules_new(&one, 1, &e);
    if (!r) {
        CHECK(e.code < 0 && e.text[0]);
        return 0;
    }
    struct str bytes = {(const char *)end + 1, size - (size_t)(end - data) - 1}, line;
    struct lines l = {0};
    while (lines_next(&l, &bytes, &line) || lines_last(&l, &line))
        check_line(r, line);
    lines_free(&l);
    rules_free(r);
    return 0;
}
