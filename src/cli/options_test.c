/* Every form of every kind of option, every mistake with its sentence, and the help text. */
#include "cli/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct given {
    const char *state;
    uint64_t last;
    bool json;
};

static const struct option table[] = {
    {"state", 0, "DIR", "which directory", OPTION_TEXT, offsetof(struct given, state)},
    {"last", 'n', "N", "how many", OPTION_NUMBER, offsetof(struct given, last)},
    {"json", 'j', NULL, "for programs", OPTION_FLAG, offsetof(struct given, json)},
};

static const struct usage usage = {
    .command = "try",
    .operands = "FILE [MORE]",
    .min_operands = 1,
    .max_operands = 2,
    .about = "Tries.",
    .examples = "  holdfast try x",
    .options = table,
    .n_options = ARRAY_LEN(table),
};

static struct given given;
static const char *operands[OPERANDS_MAX];
static struct err err;

/* Parses "try" and the words after it, up to NULL. */
static int parse(const char *const *words)
{
    char *argv[12] = {(char *)(uintptr_t) "try"};
    int argc = 1;
    for (; words[argc - 1]; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc - 1];
    given = (struct given){0};
    err.text[0] = 0;
    return options_parse(&usage, argc, argv, &given, operands, &err);
}

#define PARSE(...) parse((const char *const[]){__VA_ARGS__, NULL})

static void test_forms(void **state)
{
    assert_int_equal(PARSE("f", "--state", "a", "--last=7", "--json"), 0);
    assert_string_equal(given.state, "a");
    assert_int_equal(given.last, 7);
    assert_true(given.json);
    assert_string_equal(operands[0], "f");
    assert_null(operands[1]);

    assert_int_equal(PARSE("-n", "8", "f", "-j", "g", "--state=b=c"), 0);
    assert_string_equal(given.state, "b=c");
    assert_int_equal(given.last, 8);
    assert_string_equal(operands[1], "g");

    assert_int_equal(PARSE("-n9", "--state", "-x", "-"), 0);
    assert_string_equal(given.state, "-x"); /* a value may look like an option */
    assert_string_equal(operands[0], "-");
    assert_int_equal(given.last, 9);

    assert_int_equal(PARSE("--", "--json", "--"), 0);
    assert_false(given.json);
    assert_string_equal(operands[0], "--json");
    assert_string_equal(operands[1], "--");

    assert_int_equal(PARSE("f", "--last=1", "--last=2"), 0);
    assert_int_equal(given.last, 2);
    assert_int_equal(PARSE("f", "--last=18446744073709551615"), 0);
    assert_true(given.last == UINT64_MAX);
}

static void test_help_wins_over_what_follows(void **state)
{
    assert_int_equal(PARSE("--help"), OPTIONS_HELP);
    assert_int_equal(PARSE("-h"), OPTIONS_HELP);
    assert_int_equal(PARSE("f", "--json", "--help", "--bogus"), OPTIONS_HELP);
}

static void refused(int rc, const char *sentence)
{
    assert_int_equal(rc, -ERR_INVAL);
    assert_string_equal(err.text, sentence);
}

static void test_mistakes(void **state)
{
    refused(parse((const char *const[]){NULL}), "try needs FILE [MORE]");
    refused(PARSE("f", "--jsn"), "try has no option --jsn: did you mean --json?");
    refused(PARSE("f", "--jsn=1"), "try has no option --jsn: did you mean --json?");
    refused(PARSE("f", "-state=x"), "try has no option -state: did you mean --state?");
    refused(PARSE("f", "--zzzzzzzzz"), "try has no option --zzzzzzzzz");
    refused(PARSE("f", "--hlep"), "try has no option --hlep: did you mean --help?");
    refused(PARSE("f", "-x"), "try has no option -x");
    refused(PARSE("f", "--json=yes"), "option --json takes no value");
    refused(PARSE("f", "-jx"), "option --json takes no value");
    refused(PARSE("f", "--state"), "option --state needs a value: --state DIR");
    refused(PARSE("f", "-n"), "option --last needs a value: --last N");
    refused(PARSE("f", "--state="), "option --state needs a DIR that is not empty");
    refused(PARSE("f", "--last=-1"), "option --last needs a whole number, not '-1'");
    refused(PARSE("f", "--last", "many"), "option --last needs a whole number, not 'many'");
    refused(PARSE("f", "--last=18446744073709551616"),
            "option --last needs a whole number, not '18446744073709551616'");
    refused(PARSE("f", "g", "h"), "try takes FILE [MORE] and no more: what is 'h'?");
}

static void test_help_text(void **state)
{
    struct buf out = {0};
    options_help(&usage, &out);
    assert_false(out.failed);
    buf_add(&out, "", 1);
    assert_string_equal(out.p, "Usage: holdfast try FILE [MORE] [options]\n\n"
                               "Tries.\n\n"
                               "Options:\n"
                               "  --state DIR          which directory\n"
                               "  -n, --last N         how many\n"
                               "  -j, --json           for programs\n"
                               "  -h, --help           print this text\n\n"
                               "Example:\n"
                               "  holdfast try x\n");
    buf_free(&out);
}

static void test_help_without_memory(void **state)
{
    bool clean = false;
    for (unsigned long n = 1; !clean; n++) {
        struct buf out = {0};
        mem_fail_at(n);
        options_help(&usage, &out);
        clean = !mem_failed();
        mem_fail_at(0);
        assert_int_equal(out.failed, !clean);
        buf_free(&out);
        assert_true(n < 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_help_wins_over_what_follows),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_help_text),
        cmocka_unit_test(test_help_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
