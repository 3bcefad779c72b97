/* docs/configuration.md holds the table of settings as conf_reference writes it, and the table
 * itself keeps its rules. test_conf_reference FILE; without a file it prints the table. */
#include "conf/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "conf/memory_env.h"
#include "conf/print.h"
#include "os/os.h"

static const char *document;

static void the_document_is_up_to_date(void **state)
{
    static const char begin[] = "<!-- reference: begin -->\n", end[] = "<!-- reference: end -->";
    struct buf text = {0}, want = {0};
    assert_int_equal(file_read(document, 1 << 20, &text, NULL), 0);
    conf_reference(&want);
    buf_add(&text, "", 1);
    const char *from = strstr(text.p, begin), *to = strstr(text.p, end);
    assert_true(from && to && from < to);
    from += strlen(begin);
    struct str got = {from, (size_t)(to - from)};
    if (!str_eq(got, buf_str(&want)))
        fail_msg("the table in %s is old; this is the new one:\n%.*s", document,
                 STR_ARG(buf_str(&want)));
    buf_free(&text);
    buf_free(&want);
}

/* The struct that a block fills, of a service that has one of each. */
static const void *made_of(const struct view_service *s, enum block_id id)
{
    switch (id) {
    case BLOCK_BACKEND: return &s->instances[0];
    case BLOCK_RULES: return &s->rules;
    case BLOCK_RATE: return &s->rules.rates[0];
    case BLOCK_ROUTE: return &s->routes[0];
    case BLOCK_PAGE: return &s->pages[0];
    default: return (const char *)s + schema_block(id)->offset;
    }
}

/* The defaults that the table writes are those that a file without the setting gets. */
static void defaults_are_as_written(void **state)
{
    const struct memory_file f = {"f", STR("service s { listen = http://127.0.0.1:1\n"
                                           "backend 10.0.0.1\n"
                                           "rate { requests = 1 }\nroute r { }\n"
                                           "error-page 503 { text = x }\n}")};
    struct memory_world w = {&f, 1, NULL, 0};
    struct conf_env env = memory_env(&w);
    struct conf_problems p = {0};
    struct view *v = NULL;
    assert_int_equal(conf_load("f", &env, &v, &p, NULL), 0);
    size_t compared = 0;
    for (int id = BLOCK_SERVICE; id < BLOCKS; id++) {
        const struct block *b = schema_block((enum block_id)id);
        for (size_t i = 0; i < b->n; i++) {
            const struct setting *s = &b->settings[i];
            struct buf text = {0};
            if (!has_field(s) || !s->fallback[0] || s->fallback[0] == '(')
                continue;
            print_setting(s, made_of(&v->services[0], (enum block_id)id), &text);
            bool same = str_eq(buf_str(&text), str_of(s->fallback));
            bool minute = str_eq(buf_str(&text), STR("1m")) && !strcmp(s->fallback, "60s");
            if (!same && !minute)
                fail_msg("%s %s is " STR_FMT, b->name, s->key, STR_ARG(buf_str(&text)));
            buf_free(&text);
            compared++;
        }
    }
    assert_true(compared >= 45);
    view_free(v);
    conf_problems_free(&p);
}

static void a_setting_keeps_its_rules(const struct block *b, size_t i, int id)
{
    const struct setting *s = schema_at(b, i);
    assert_int_equal(schema_find(b, str_of(s->key)), i); /* no key twice */
    assert_int_equal(schema_child((enum block_id)id, str_of(s->key)), BLOCKS);
    assert_true(s->min <= s->max && s->help[0]);
    assert_true(has_field(s) == (schema_field(s) != FIELD_NONE));
    assert_true(s->bytes == 0 || s->bytes == 2 || s->bytes == 4 || s->bytes == 8);
    assert_true(s->bytes != 4 || s->max <= UINT32_MAX);
    assert_true(s->bytes != 2 || s->max <= UINT16_MAX);
    assert_true(s->kind != KIND_DURATION || s->max <= VIEW_MAX_DURATION);
}

static void the_table_keeps_its_rules(void **state)
{
    for (int id = 0; id < BLOCKS; id++) {
        const struct block *b = schema_block((enum block_id)id);
        assert_true(schema_count(b) <= MAX_SETTINGS);
        assert_true(b->parents || id == BLOCK_TOP || id == BLOCK_RULES || id == BLOCK_PRIMARY);
        for (size_t i = 0; i < schema_count(b); i++)
            a_setting_keeps_its_rules(b, i, id);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_document_is_up_to_date),
        cmocka_unit_test(defaults_are_as_written),
        cmocka_unit_test(the_table_keeps_its_rules),
    };
    if (argc < 2) {
        struct buf b = {0};
        conf_reference(&b);
        return fwrite(b.p, 1, b.n, stdout) == b.n ? 0 : 1;
    }
    document = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
