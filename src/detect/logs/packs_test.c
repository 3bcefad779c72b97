#include "detect/logs/packs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "detect/logs/literals.h"

/* Lines that programs wrote, one a line of PACK.txt: the rule that must match it, or "-", a tab,
 * the line. */
static const char *folder;

static void see(void *context, uint32_t rule)
{
    bool *seen = context;
    seen[rule] = true;
}

static bool expected(const char *names, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = names; (at = strstr(at, name)); at += n)
        if ((at == names || at[-1] == ',') && (at[n] == ',' || at[n] == 0))
            return true;
    return false;
}

/* One line of the file: exactly the rules named match. */
static void check_line(struct rules *r, char *text, uint32_t *used)
{
    char *tab = strchr(text, '\t');
    assert_non_null(tab);
    *tab = 0;
    text += *text == '~';
    bool seen[RULES_MOST] = {0};
    rules_match(r, str_of(tab + 1), see, seen);
    for (uint32_t i = 0; i < rules_n(r); i++) {
        const char *name = rules_get(r, i)->name;
        if (seen[i] != expected(text, name))
            fail_msg("%s %s: %s", name, seen[i] ? "matches" : "does not match", tab + 1);
        used[i] += seen[i];
    }
}

static void check_pack(enum logs_pack p)
{
    char path[512], text[2 * 8192];
    uint32_t n, used[RULES_MOST] = {0}, others = 0;
    const struct logs_rule *all = logs_pack_rules(p, &n);
    struct rules *r = rules_new(all, n, NULL);
    assert_non_null(r);
    snprintf(path, sizeof path, "%s/%s.txt", folder, logs_pack_name(p));
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(text, sizeof text, f)) {
        text[strcspn(text, "\n")] = 0;
        others += text[0] == '-' && text[1] == '\t';
        check_line(r, text, used);
    }
    fclose(f);
    for (uint32_t i = 0; i < n; i++)
        if (used[i] == 0)
            fail_msg("%s: no line of a program shows it", all[i].name);
    assert_true(others >= 20);
    rules_free(r);
}

static void each_rule_matches_what_the_program_writes_and_nothing_else(void **state)
{
    for (uint32_t p = 0; p < LOGS_PACKS; p++)
        check_pack((enum logs_pack)p);
}

static void packs_are_found_by_name(void **state)
{
    for (uint32_t p = 0; p < LOGS_PACKS; p++)
        assert_int_equal(logs_pack_of(str_of(logs_pack_name((enum logs_pack)p))), p);
    assert_int_equal(logs_pack_of(STR("nothing")), LOGS_PACKS);
}

/* Or it would cost a match on every line. */
static void each_rule_has_a_text_to_look_for(void **state)
{
    for (uint32_t p = 0; p < LOGS_PACKS; p++) {
        uint32_t n;
        const struct logs_rule *all = logs_pack_rules((enum logs_pack)p, &n);
        for (uint32_t i = 0; i < n; i++) {
            if (literals_of(str_of(all[i].match)).n == 0)
                fail_msg("%s", all[i].name);
            assert_false(all[i].failed);
        }
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule_matches_what_the_program_writes_and_nothing_else),
        cmocka_unit_test(packs_are_found_by_name),
        cmocka_unit_test(each_rule_has_a_text_to_look_for),
    };
    folder = argc > 1 ? argv[1] : ".";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
