/* Units of one-time tokens: their text, and the book of those that are open. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mesh/mesh_token.h"

#define NOW (1000000 * NS_PER_S)
#define TTL (600 * NS_PER_S)

struct book {
    char dir[64], path[80];
    struct tokens *t;
    struct addr at;
};

static void book_open(struct book *b)
{
    *b = (struct book){.dir = "/tmp/token-test-XXXXXX"};
    assert_non_null(mkdtemp(b->dir));
    snprintf(b->path, sizeof b->path, "%s/tokens", b->dir);
    assert_true(addr_parse(STR("10.0.0.1:7300"), &b->at));
    assert_int_equal(tokens_open(&b->t, b->path, NULL), 0);
}

static void book_again(struct book *b)
{
    tokens_free(b->t);
    assert_int_equal(tokens_open(&b->t, b->path, NULL), 0);
}

static void book_close(struct book *b)
{
    tokens_free(b->t);
    unlink(b->path);
    rmdir(b->dir);
}

static struct token make(struct book *b, const char *node)
{
    struct token k;
    assert_int_equal(tokens_make(b->t, STR("prod"), &b->at, str_of(node), TTL, NOW, &k, NULL), 0);
    return k;
}

static int use(struct book *b, const struct token *k, const char *node, uint64_t now, struct err *e)
{
    uint8_t proof[TOKEN_PROOF];
    assert_true(token_proof(k->secret, proof));
    return tokens_use(b->t, k->id, proof, str_of(node), now, e);
}

/* --- text --- */

static void a_token_reads_back(void **state)
{
    struct book b;
    struct buf text = {0};
    struct token again;
    (void)state;
    book_open(&b);
    struct token k = make(&b, "");
    token_print(&k, &text);
    assert_false(text.failed);
    assert_true(text.n < 200 && str_starts(buf_str(&text), STR("hf1.")));
    assert_int_equal(token_parse(buf_str(&text), &again, NULL), 0);
    assert_true(addr_eq(&again.at, &k.at));
    assert_string_equal(again.cluster, "prod");
    assert_int_equal(again.id, k.id);
    assert_memory_equal(again.secret, k.secret, SEAL_SECRET);
    buf_free(&text);
    book_close(&b);
}

static void every_letter_counts(void **state)
{
    struct book b;
    struct buf text = {0};
    struct token out;
    struct err e;
    (void)state;
    book_open(&b);
    struct token k = make(&b, "");
    token_print(&k, &text);
    for (size_t i = 0; i < text.n; i++) {
        char was = text.p[i];
        text.p[i] = was == 'A' ? 'B' : 'A';
        assert_int_equal(token_parse(buf_str(&text), &out, &e), -ERR_INVAL);
        text.p[i] = was;
        assert_int_equal(token_parse((struct str){text.p, i}, &out, &e), -ERR_INVAL);
    }
    buf_add(&text, "A", 1);
    assert_int_equal(token_parse(buf_str(&text), &out, &e), -ERR_INVAL);
    assert_int_equal(token_parse(STR(""), &out, &e), -ERR_INVAL);
    buf_free(&text);
    book_close(&b);
}

/* --- the book --- */

static void a_token_works_once(void **state)
{
    struct book b;
    struct err e = {0};
    (void)state;
    book_open(&b);
    struct token k = make(&b, "");
    assert_int_equal(tokens_count(b.t, NOW), 1);
    assert_int_equal(use(&b, &k, "d", NOW + 1, &e), 0);
    assert_int_equal(tokens_count(b.t, NOW), 0);
    assert_int_equal(use(&b, &k, "e", NOW + 2, &e), -ERR_DENIED);
    assert_non_null(strstr(e.text, "used already, by node d at 1970-01-12 13:46:40 UTC"));
    book_again(&b); /* also after a restart */
    assert_int_equal(use(&b, &k, "e", NOW + 2, &e), -ERR_DENIED);
    assert_non_null(strstr(e.text, "used already"));
    book_close(&b);
}

static void a_token_outlives_a_restart_but_not_its_time(void **state)
{
    struct book b;
    struct err e = {0};
    (void)state;
    book_open(&b);
    struct token k = make(&b, ""), late = make(&b, "");
    book_again(&b);
    assert_int_equal(use(&b, &k, "d", NOW + TTL - 1, &e), 0);
    assert_int_equal(use(&b, &late, "d", NOW + TTL, &e), -ERR_DENIED);
    assert_non_null(strstr(e.text, "has expired"));
    book_close(&b);
}

static void a_token_may_be_for_one_node(void **state)
{
    struct book b;
    struct err e = {0};
    (void)state;
    book_open(&b);
    struct token k = make(&b, "d");
    assert_int_equal(use(&b, &k, "e", NOW, &e), -ERR_DENIED);
    assert_non_null(strstr(e.text, "for node d and not for e"));
    assert_int_equal(use(&b, &k, "d", NOW, &e), 0);
    book_close(&b);
}

static void the_book_alone_opens_nothing(void **state)
{
    struct book b;
    struct err e = {0};
    uint8_t key[SEAL_SECRET], proof[TOKEN_PROOF];
    (void)state;
    book_open(&b);
    struct token k = make(&b, "");
    assert_true(tokens_link_key(b.t, k.id, key));
    assert_false(tokens_link_key(b.t, k.id + 1, key));
    assert_true(token_proof(key, proof)); /* all that stands in it */
    assert_int_equal(tokens_use(b.t, k.id, proof, STR("d"), NOW, &e), -ERR_DENIED);
    assert_non_null(strstr(e.text, "forged"));
    assert_int_equal(tokens_count(b.t, NOW), 1);
    struct stat st;
    assert_int_equal(stat(b.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    book_close(&b);
}

static void the_book_is_bounded(void **state)
{
    struct book b;
    struct token k;
    struct err e = {0};
    (void)state;
    book_open(&b);
    for (unsigned i = 0; i < TOKENS_MAX; i++)
        make(&b, "");
    assert_int_equal(tokens_make(b.t, STR("prod"), &b.at, STR(""), TTL, NOW, &k, &e), -ERR_LIMIT);
    for (unsigned round = 1; round < 10; round++) /* expired ones make room in the end */
        for (unsigned i = 0; i < TOKENS_MAX; i++)
            assert_int_equal(
                tokens_make(b.t, STR("prod"), &b.at, STR(""), TTL, NOW + round * TTL, &k, &e), 0);
    book_again(&b);
    assert_int_equal(tokens_count(b.t, NOW + 9 * TTL), TOKENS_MAX);
    assert_int_equal(use(&b, &k, "d", NOW + 9 * TTL, &e), 0);
    book_close(&b);
}

static void what_makes_no_sense_is_refused(void **state)
{
    struct book b;
    struct token k;
    struct err e = {0};
    (void)state;
    book_open(&b);
    assert_int_equal(
        tokens_make(b.t, STR("prod"), &b.at, STR(""), TTL + 8 * 24 * 3600 * NS_PER_S, NOW, &k, &e),
        -ERR_INVAL);
    assert_int_equal(tokens_make(b.t, STR("prod"), &b.at, STR(""), 0, NOW, &k, &e), -ERR_INVAL);
    assert_int_equal(tokens_make(b.t, STR("prod"), &b.at, STR("a b"), TTL, NOW, &k, &e),
                     -ERR_INVAL);
    k = make(&b, "");
    assert_int_equal(use(&b, &k, "a\nb", NOW, &e), -ERR_INVAL);
    assert_int_equal(tokens_count(b.t, NOW), 1); /* not used up by that */
    tokens_free(b.t);
    assert_int_equal(file_replace(b.path, STR("0123456789abcdef 1 0 x y - -\n"), 0600, NULL), 0);
    assert_int_equal(tokens_open(&b.t, b.path, &e), -ERR_PROTO);
    assert_non_null(strstr(e.text, "line 1"));
    b.t = NULL;
    book_close(&b);
}

static void what_is_not_on_the_disk_did_not_happen(void **state)
{
    struct book b;
    struct token k;
    struct err e = {0};
    (void)state;
    book_open(&b);
    k = make(&b, "");
    assert_int_equal(unlink(b.path), 0);
    assert_int_equal(rmdir(b.dir), 0); /* whoever may write everywhere: there is no such place */
    assert_int_equal(use(&b, &k, "d", NOW, &e), -ERR_IO);
    struct token other;
    assert_int_equal(tokens_make(b.t, STR("prod"), &b.at, STR(""), TTL, NOW, &other, &e), -ERR_IO);
    assert_int_equal(tokens_count(b.t, NOW), 1);
    assert_int_equal(mkdir(b.dir, 0700), 0);
    assert_int_equal(use(&b, &k, "d", NOW, &e), 0);
    book_close(&b);
}

static void every_allocation_may_fail(void **state)
{
    struct book b;
    (void)state;
    book_open(&b);
    for (unsigned long at = 1; at < 50; at++) {
        struct token k;
        struct buf text = {0};
        mem_fail_at(at);
        int rc = tokens_make(b.t, STR("prod"), &b.at, STR(""), TTL, NOW, &k, NULL);
        if (rc == 0) {
            token_print(&k, &text);
            if (!text.failed)
                rc = use(&b, &k, "d", NOW, NULL);
        }
        bool failed = mem_failed();
        mem_fail_at(0);
        assert_true(rc == 0 || rc == -ERR_NOMEM);
        assert_true(failed || (rc == 0 && !text.failed));
        buf_free(&text);
        if (!failed)
            break;
        book_again(&b);
    }
    book_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_reads_back),
        cmocka_unit_test(every_letter_counts),
        cmocka_unit_test(a_token_works_once),
        cmocka_unit_test(a_token_outlives_a_restart_but_not_its_time),
        cmocka_unit_test(a_token_may_be_for_one_node),
        cmocka_unit_test(the_book_alone_opens_nothing),
        cmocka_unit_test(the_book_is_bounded),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(what_is_not_on_the_disk_did_not_happen),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
