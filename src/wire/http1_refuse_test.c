/* The refusal table: every row of the cases is refused with its code, every code has a row, and
 * docs/http1.md has the same codes with the same status and the clauses of the cases. */
#include <stdio.h>

#include "wire/http1_test.h"

static const struct http_refusal *refusal_of(const struct http1_refused_case *c)
{
    static struct http_head h;
    const struct http_refusal *why = NULL;
    char *p = exactly(c->bytes.p, c->bytes.n), *to = malloc(c->bytes.n);
    int r;
    if (c->kind == CASE_CHUNKED) {
        struct http_chunked chunked = {0};
        size_t payload, used;
        r = http1_case_decode(&chunked, p, c->bytes.n, c->bytes.n, to, &payload, &used, &why);
    } else {
        r = http1_case_parse(c->kind, p, c->bytes.n, 0, &h, &why);
    }
    free(p);
    free(to);
    return r == HTTP_REFUSED ? why : NULL;
}

static void every_case_is_refused_with_its_code(void **state)
{
    for (size_t i = 0; i < http1_refused_count; i++) {
        const struct http1_refused_case *c = &http1_refused_cases[i];
        const struct http_refusal *why = refusal_of(c);
        if (!why)
            fail_msg("%s (%s) is accepted", c->name, c->code);
        else if (strcmp(why->code, c->code) != 0 || why->status != c->status)
            fail_msg("%s: %u %s, not %u %s", c->name, why->status, why->code, c->status, c->code);
    }
}

static void every_refusal_has_a_case(void **state)
{
    const struct http_refusal *r;
    for (unsigned i = 0; (r = http_refusal_at(i)); i++) {
        size_t cases = 0;
        for (size_t k = 0; k < http1_refused_count; k++)
            cases += strcmp(http1_refused_cases[k].code, r->code) == 0;
        if (cases == 0)
            fail_msg("no case for %s", r->code);
        for (unsigned k = 0; k < i; k++)
            assert_string_not_equal(http_refusal_at(k)->code, r->code);
    }
}

static char *read_document(void)
{
    FILE *f = fopen(HTTP1_DOC, "r");
    assert_non_null(f);
    char *text = calloc(1, 1 << 18);
    assert_non_null(text);
    assert_true(fread(text, 1, (1 << 18) - 1, f) > 0);
    fclose(f);
    return text;
}

/* The document's row for a code: "| `code` | status | clauses | ...". */
static struct str row_of(const char *text, const char *code)
{
    char start[64];
    snprintf(start, sizeof start, "\n| `%s` | ", code);
    const char *row = strstr(text, start);
    if (!row)
        fail_msg("the document has no row for %s", code);
    row += strlen(start);
    assert_null(strstr(row, start));
    return (struct str){row, strcspn(row, "\n")};
}

static void the_document_has_every_refusal(void **state)
{
    char *text = read_document();
    const struct http_refusal *r;
    for (unsigned i = 0; (r = http_refusal_at(i)); i++) {
        char status[8];
        snprintf(status, sizeof status, "%u |", r->status);
        if (!str_starts(row_of(text, r->code), str_of(status)))
            fail_msg("another status than %u in the document's row for %s", r->status, r->code);
    }
    free(text);
}

static void the_document_has_no_other_refusal(void **state)
{
    char *text = read_document();
    char *from = strstr(text, "<!-- refusals -->"), *to = strstr(text, "<!-- end -->");
    assert_true(from && to && from < to);
    unsigned rows = 0, refusals = 0;
    for (char *p = from; (p = strstr(p, "\n| `")) && p < to; p++)
        rows++;
    while (http_refusal_at(refusals))
        refusals++;
    assert_int_equal(rows, refusals);
    free(text);
}

static void the_document_has_the_clauses(void **state)
{
    char *text = read_document();
    for (size_t i = 0; i < http1_refused_count; i++) {
        const struct http1_refused_case *c = &http1_refused_cases[i];
        struct str row = row_of(text, c->code);
        if (!memmem(row.p, row.n, c->clause, strlen(c->clause)))
            fail_msg("the document's row for %s does not cite %s", c->code, c->clause);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_is_refused_with_its_code),
        cmocka_unit_test(every_refusal_has_a_case),
        cmocka_unit_test(the_document_has_every_refusal),
        cmocka_unit_test(the_document_has_no_other_refusal),
        cmocka_unit_test(the_document_has_the_clauses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
