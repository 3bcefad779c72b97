#include "coord/voters.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define NS 1000000000ull

static struct voters set(const char *letters)
{
    struct voters v = {.version = 1};
    for (; *letters; letters++)
        assert_true(voters_add(&v, (struct str){letters, 1}));
    return v;
}

static const char *letters(const struct voters *v, char out[8])
{
    for (uint32_t i = 0; i < v->n; i++)
        out[i] = v->names[i][0];
    out[v->n] = 0;
    return out;
}

static void sets(void **state)
{
    char text[8];
    struct voters v = set("cab"), longer = {0};
    assert_string_equal(letters(&v, text), "abc");
    assert_false(voters_add(&v, STR("b")));
    assert_false(voters_add(&v, STR("")));
    assert_true(voters_remove(&v, STR("b")) && !voters_remove(&v, STR("b")));
    assert_string_equal(letters(&v, text), "ac");
    assert_true(voters_add(&v, STR("d")) && voters_add(&v, STR("e")) && voters_add(&v, STR("f")));
    assert_false(voters_add(&v, STR("g")));
    assert_int_equal(voters_majority(&v), 3);
    assert_true(voters_add(&longer, STR("node-10")) && voters_add(&longer, STR("node-1")) &&
                voters_add(&longer, STR("nod")));
    assert_string_equal(longer.names[0], "nod");
    assert_string_equal(longer.names[1], "node-1");
    assert_string_equal(longer.names[2], "node-10");
    struct voters a = set("abc"), b = set("cba"), c = set("abd");
    assert_true(voters_same(&a, &b) && !voters_same(&a, &c));
}

/* "an" is node a in zone n; a star behind it: the file names it. */
static const char *chosen(const char *nodes, char out[8])
{
    struct voters_node list[32];
    struct voters v;
    uint32_t n = 0;
    for (; *nodes; n++) {
        list[n] = (struct voters_node){{nodes, 1}, {nodes + 1, nodes[1] != '-'}, false};
        nodes += 2;
        if (*nodes == '*') {
            list[n].named = true;
            nodes++;
        }
        nodes += *nodes == ' ';
    }
    voters_choose(list, n, &v);
    assert_int_equal(v.version, 0);
    return letters(&v, out);
}

static void who_should_vote(void **state)
{
    char text[8];
    static const struct {
        const char *nodes, *voters;
    } cases[] = {
        {"", ""},
        {"a-", "a"},
        {"b- a-", "b"}, /* of two the first alone */
        {"c- a- b-", "abc"},
        {"d- c- b- a-", "bcd"},
        {"e- d- c- b- a-", "abcde"},
        {"g- f- e- d- c- b- a-", "cdefg"},
        {"an bn cn ds", "abd"}, /* the zones first, then the file's order */
        {"an bn cs dt", "acd"},
        {"an bn cn dn en fs gs", "abcfg"},
        {"an bn cn dn en fn gs", "abcdg"},
        {"an bs ct du ev fw", "abcde"},
        {"an b- cn d-", "abc"}, /* no zone is one too */
        {"an bn* cs", "b"},
        {"an bn* cs* dt* e-", "bcd"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(chosen(cases[i].nodes, text), cases[i].voters);
}

static bool is_b(void *context, struct str name)
{
    return str_eq(name, STR("b"));
}

static void steps(void **state)
{
    char text[8];
    static const struct {
        const char *from, *to, *way[8];
    } cases[] = {
        {"abc", "abc", {0}},
        {"a", "abc", {"ab", "abc"}},
        {"abc", "abcde", {"abcd", "abcde"}},
        {"abcde", "abc", {"abce", "abc"}},
        {"abc", "a", {"ac", "a"}},
        {"abc", "acd", {"abcd", "acd"}},
        {"abcde", "bcdef", {"bcde", "bcdef"}},
        {"abc", "def", {"abcd", "acd", "acde", "cde", "cdef", "def"}}, /* b goes first */
        {"a", "b", {"ab", "b"}},
        {"ab", "c", {"a", "ac", "c"}},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct voters now = set(cases[i].from), wanted = set(cases[i].to), next;
        for (size_t k = 0; cases[i].way[k]; k++) {
            assert_true(voters_next(&now, &wanted, is_b, NULL, &next));
            assert_string_equal(letters(&next, text), cases[i].way[k]);
            assert_int_equal(next.version, now.version + 1);
            now = next;
        }
        assert_false(voters_next(&now, &wanted, is_b, NULL, &next));
    }
}

/* From every set of six nodes to every other one: one node at a time, never more than five, never
 * nobody, and there after as many steps as nodes differ. Majorities of neighbours share a node. */
static void every_way_ends(void **state)
{
    for (unsigned from = 1; from < 64; from++) {
        for (unsigned to = 1; to < 64; to++) {
            struct voters now = {.version = 1}, wanted = {0}, next;
            uint32_t steps = 0;
            if (__builtin_popcount(from) > 5 || __builtin_popcount(to) > 5)
                continue;
            for (unsigned i = 0; i < 6; i++) {
                char name = (char)('a' + i);
                if (from >> i & 1)
                    voters_add(&now, (struct str){&name, 1});
                if (to >> i & 1)
                    voters_add(&wanted, (struct str){&name, 1});
            }
            while (voters_next(&now, &wanted, NULL, NULL, &next)) {
                uint32_t shared = 0;
                for (uint32_t i = 0; i < next.n; i++)
                    shared += voters_has(&now, str_of(next.names[i]));
                assert_true(shared == MIN(now.n, next.n));
                assert_true(voters_majority(&now) + voters_majority(&next) > MAX(now.n, next.n));
                now = next;
                steps++;
            }
            assert_true(voters_same(&now, &wanted));
            assert_int_equal(steps, __builtin_popcount(from ^ to));
        }
    }
}

static uint64_t adopted(void *context, struct str name)
{
    const uint64_t *versions = context;
    return versions[name.p[0] - 'a'];
}

static void a_change_waits(void **state)
{
    const uint64_t P = 5 * NS;
    struct voters was = set("abc"), now = set("abcd"), none = {0};
    struct voters_patience p = {0};
    uint64_t kept[5] = {4, 3, 3, 4, 0};
    now.version = 4;
    assert_true(voters_ready(&p, &now, &none, adopted, kept, P, NS));
    p = (struct voters_patience){0};
    assert_false(voters_ready(&p, &now, &was, adopted, kept, P, NS)); /* d does not count */
    assert_false(voters_ready(&p, &now, &was, adopted, kept, P, 100 * NS));
    kept[1] = 5; /* later ones count */
    assert_false(voters_ready(&p, &now, &was, adopted, kept, P, 200 * NS));
    kept[1] = 3; /* it was seen once */
    assert_false(voters_ready(&p, &now, &was, adopted, kept, P, 200 * NS + P - 1));
    assert_true(voters_ready(&p, &now, &was, adopted, kept, P, 200 * NS + P));
    now.version = 5; /* another change begins to wait */
    assert_false(voters_ready(&p, &now, &was, adopted, kept, P, 300 * NS));
}

static void older_versions_are_refused(void **state)
{
    assert_true(voters_accept(0, 1) && voters_accept(3, 3) && voters_accept(3, 7));
    assert_false(voters_accept(3, 2));
    assert_false(voters_accept(0, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets),           cmocka_unit_test(who_should_vote),
        cmocka_unit_test(steps),          cmocka_unit_test(every_way_ends),
        cmocka_unit_test(a_change_waits), cmocka_unit_test(older_versions_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
