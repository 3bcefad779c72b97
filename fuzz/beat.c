/* A job's line from anybody: what is understood lies inside the line, keeps its bounds, and reads
 * the same when it is written again. */
#include <stddef.h>
#include <stdint.h>

#include "wire/beat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(struct str part, struct str whole)
{
    CHECK(part.n == 0 || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n));
}

static size_t put(char *to, size_t n, struct str s)
{
    if (s.n)
        memcpy(to + n, s.p, s.n);
    to[n + s.n] = ' ';
    return n + s.n + 1;
}

static void check_rewritten(const struct beat_line *l)
{
    char out[2 * BEAT_LINE_MAX];
    struct beat_line again;
    size_t n = put(out, 0, l->name);
    if (l->token.n)
        n = put(out, n, l->token);
    n = put(out, n, l->failed ? STR("failed") : STR("ok"));
    n = put(out, n, l->text);
    out[n++] = '\n';
    if (n > BEAT_LINE_MAX)
        return;
    CHECK(beat_read((struct str){out, n}, &again) == BEAT_LINE_OK);
    CHECK(str_eq(again.name, l->name) && str_eq(again.token, l->token));
    CHECK(str_eq(again.text, l->text) && again.failed == l->failed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str line = {(const char *)data, size};
    struct beat_line l;
    enum beat_result r = beat_read(line, &l);
    CHECK(r < BEAT_LINE_RESULTS && (r == BEAT_LINE_LONG) == (size > BEAT_LINE_MAX));
    if (r != BEAT_LINE_OK)
        return 0;
    check_inside(l.name, line);
    check_inside(l.token, line);
    check_inside(l.text, line);
    CHECK(l.name.n && l.name.n <= BEAT_NAME_MAX && l.token.n <= BEAT_TOKEN_MAX);
    CHECK(l.failed || l.text.n == 0);
    check_rewritten(&l);
    return 0;
}
