/* The chain of a failover as text, and roles, on made-up answers. */
#include "cli/chain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cli/picture.h"
#include "cli/reasons.h"

#define NOW (UINT64_C(1795412067) * 1000000000) /* 2026-11-23T05:34:27Z */

static json_t *parse(const char *json)
{
    char *copy = strdup(json);
    for (char *p = copy; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    json_t *out = json_loads(copy, 0, NULL);
    assert_non_null(out);
    free(copy);
    return out;
}

static char *chain_of(const char *json)
{
    struct term term = {0};
    struct buf out = {0};
    json_t *why = parse(json);
    chain_print(&term, NOW, why, &out);
    buf_add(&out, "", 1);
    assert_false(out.failed);
    json_decref(why);
    return out.p; /* mem_free's */
}

/* A step of a record: its name, whom it is about, how many ms before the record. */
#define STEP(NAME, NODE, MS)                                                                       \
    "{'signal': '" NAME "', 'observer': 'node " NODE "', 'count': 1, 'detail': 0, "                \
    "'age_seconds': " MS "}"
#define PROMOTED                                                                                   \
    "{'time': '2026-11-23T05:34:20.412Z', 'code': 'role-promoted', 'subject': 'cache', 'from': "   \
    "'a', 'to': 'b', 'reason': 'failover', 'rule': 'node a failed', 'evidence': ["

static const char lost_node[] =
    "{'subject': 'cache', 'at': null, 'now': [], 'records': [" PROMOTED
    "{'signal': 'lost', 'observer': 'node a', 'count': 1, 'detail': 0, 'age_seconds': 0.412},"
    "{'signal': 'agreed', 'observer': 'node a', 'count': 1, 'detail': 0, 'age_seconds': 0.161,"
    " 'says': 'b and c do not hear it'}," STEP("challenge", "b", "0.161") "," STEP(
        "recorded", "b",
        "0.151") ","
                 "{'signal': 'fenced', 'observer': 'node c', 'count': 1, 'detail': 90211,"
                 " 'age_seconds': 0.056}," STEP("leased", "b", "0.058") "," STEP(
                     "confirmed", "b",
                     "0.048") "," STEP("promote", "b", "0.048") "," STEP("promoted", "b",
                                                                         "0") "," STEP("sung", "c",
                                                                                       "0") "]}]}";

static void a_lost_node(void **state)
{
    char *text = chain_of(lost_node);
    assert_string_equal(
        text, "The last failover, a -> b, 05:34:20.412, 412 ms\n"
              "  node a failed\n"
              "      0 ms  lost        a: the last sign of it\n"
              "    251 ms  agreed      a: b and c do not hear it\n"
              "    251 ms  challenge   b: asks the coordinator for the next epoch\n"
              "    261 ms  recorded    b: the record names it\n"
              "    354 ms  leased      b: a majority of the voters acknowledges it\n"
              "    356 ms  fenced      c: takes nothing more from it, at offset 90211\n"
              "    364 ms  confirmed   b: the epoch is still its own\n"
              "    364 ms  promote     b: its agent is told\n"
              "    412 ms  promoted    b: takes writes\n"
              "    412 ms  sung        c: \n"
              "  Where the time went: until it was known 251 ms (61%), the voters' promise 93 ms "
              "(23%), the promotion 48 ms (12%), the coordinator 18 ms (4%), fencing 2 ms (0%).\n"
              "\n");
    mem_free(text);
}

static void catching_up_takes_until_the_next_step(void **state)
{
    char *text = chain_of("{'now': [], 'records': [" PROMOTED STEP("held", "a", "0.030") "," STEP(
        "catch-up", "c", "0.025") "," STEP("promote", "b", "0.005") "," STEP("promoted", "b",
                                                                             "0") "]}]}");
    assert_non_null(strstr(text, "catching up 20 ms (67%)"));
    assert_non_null(strstr(text, "deciding 5 ms"));
    mem_free(text);
}

static void on_another_node_it_says_whom_to_ask(void **state)
{
    char *text = chain_of("{'now': [{'kind': 'role', 'subject': 'cache', 'primary': 'b', "
                          "'candidates': [{'node': 'a', 'self': true}, {'node': 'b', 'self': "
                          "false}]}], 'records': []}");
    assert_string_equal(text, "What led to it is recorded on node b: ask there.\n");
    mem_free(text);
    text = chain_of("{'now': [{'kind': 'role', 'subject': 'cache', 'primary': 'b', 'candidates': "
                    "[{'node': 'b', 'self': true}]}], 'records': []}");
    assert_string_equal(text, "");
    mem_free(text);
    text = chain_of("{'now': [{'kind': 'role', 'primary': 'c', 'candidates': []}], 'records': "
                    "[" PROMOTED STEP("promoted", "a", "0") "]}]}");
    assert_non_null(strstr(text, "What led to its present primary is recorded on node c"));
    assert_non_null(strstr(text, "The last failover, a -> b"));
    mem_free(text);
    text = chain_of("{'now': [{'kind': 'role', 'primary': 'b', 'candidates': []}], 'records': "
                    "[{'code': 'role-told', 'from': 'a', 'to': 'b', 'evidence': [" STEP(
                        "promoted", "b", "0") "]}]}");
    assert_null(strstr(text, "ask there"));
    assert_non_null(strstr(text, "The last failover, a -> b"));
    mem_free(text);
}

static void what_has_no_role_has_no_chain(void **state)
{
    static const char *const none[] = {
        "{}", "{'now': 7, 'records': [{}, 3]}",
        "{'now': [], 'records': [{'code': 'role-promoted', 'evidence': []}]}",
        "{'now': [], 'records': [{'code': 'drain', 'evidence': [{'signal': 'lost'}]}]}"};
    for (size_t i = 0; i < ARRAY_LEN(none); i++) {
        char *text = chain_of(none[i]);
        assert_string_equal(text, "");
        mem_free(text);
    }
    char *text = chain_of("{'records': [{'code': 'role-promoted', 'evidence': [4, {'signal': "
                          "'x\\u001b[31m', 'age_seconds': 1e300}]}]}");
    assert_null(strchr(text, 27));
    mem_free(text);
}

/* Its record is told in a line: the steps stand above. */
static void its_record_is_short(void **state)
{
    struct term term = {0};
    struct reasons r = {&term, NOW, 0};
    struct buf out = {0};
    json_t *why = parse(lost_node);
    reasons_records(&r, why, &out);
    buf_add(&out, "", 1);
    assert_string_equal(out.p, "05:34:20.412  a -> b (failover)\n"
                               "    node a failed\n"
                               "    10 steps, 412 ms (--json)\n");
    buf_free(&out);
    json_decref(why);
}

/* --- roles --- */

static char *roles_of(const char *json)
{
    struct term term = {0};
    struct buf out = {0};
    json_t *answer = parse(json);
    picture_roles(&term, NOW, answer, &out);
    buf_add(&out, "", 1);
    assert_false(out.failed);
    json_decref(answer);
    return out.p;
}

static void roles_are_told_whole(void **state)
{
    char *text = roles_of(
        "{'roles': [{'service': 'cache', 'agent': 'redis', 'sync': 1, 'acknowledgements': 1,"
        " 'known': true, 'recorded': true, 'epoch': 8, 'primary': 'b', 'acts': true,"
        " 'wanted': null, 'paused': false, 'time': '2026-11-23T05:34:20.412Z', 'who': 'b',"
        " 'why': 'node a failed', 'coordinator': true, 'waits': '', 'held': false,"
        " 'candidates': ["
        "{'node': 'a', 'instance': 'unknown', 'alive': false, 'heard': false, 'position': 0,"
        " 'why_not': 'it has failed'},"
        "{'node': 'b', 'primary': true, 'instance': 'primary', 'alive': true, 'heard': true,"
        " 'well': true, 'in_sync': true, 'position': 90211, 'why_not': 'ignored'},"
        "{'node': 'c', 'instance': 'replica', 'alive': true, 'heard': true, 'well': true,"
        " 'in_sync': true, 'position': 90000, 'lag_bytes': 211, 'lag_seconds': 1.5,"
        " 'why_not': ''}],"
        " 'request': {'number': 0, 'state': 'none'},"
        " 'last': {'epoch': 8, 'from': 'a', 'to': 'b', 'planned': false, 'took_ms': 412}}]}");
    assert_string_equal(text,
                        "cache (redis): primary b, epoch 8\n"
                        "  since 05:34:20.412, by b: node a failed\n"
                        "  last: a -> b, failover, 412 ms without writes\n"
                        "  writes wait for 1 replica\n"
                        "  NODE  INSTANCE  STATE  SYNC           LAG  POSITION  WHY NOT\n"
                        "  a     unknown   gone   no               -         -  it has failed\n"
                        "  b     primary   well   yes              -     90211  -\n"
                        "  c     replica   well   yes   211 B, 1.5 s     90000  -\n");
    mem_free(text);
}

static void a_role_without_a_primary_says_why(void **state)
{
    static const char lost[] =
        "{'roles': [{'service': 'cache', 'agent': 'process', 'known': true, 'recorded': true,"
        " 'epoch': 8, 'primary': 'b', 'acts': false, 'paused': true, 'wanted': 'c',"
        " 'waits': 'the coordinator cannot be reached', 'coordinator': false,"
        " 'request': {'state': 'running', 'what': 'switchover', 'text': 'waits for c'}}]}";
    char *text = roles_of(lost);
    assert_string_equal(
        text, "cache (process): no primary takes writes; the record names b, epoch 8, goes to c, "
              "in maintenance: nothing is decided; waits: the coordinator cannot be reached\n"
              "  asked for: switchover, waits for c\n"
              "  the coordinator cannot be reached: nobody is promoted meanwhile\n");
    mem_free(text);
    json_t *answer = parse(lost);
    assert_string_equal(picture_headless(answer), "cache");
    json_decref(answer);
    text = roles_of("{'roles': [{'service': 'x', 'agent': 'redis', 'known': false}]}");
    assert_string_equal(text, "x (redis): nothing is known of its role yet\n"
                              "  writes wait for no replica\n");
    mem_free(text);
    text = roles_of("{'roles': []}");
    assert_string_equal(text, "no service has a primary: none has an 'agent'\n");
    mem_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lost_node),
        cmocka_unit_test(catching_up_takes_until_the_next_step),
        cmocka_unit_test(on_another_node_it_says_whom_to_ask),
        cmocka_unit_test(what_has_no_role_has_no_chain),
        cmocka_unit_test(its_record_is_short),
        cmocka_unit_test(roles_are_told_whole),
        cmocka_unit_test(a_role_without_a_primary_says_why),
    };
    setenv("TZ", "UTC", 1);
    return cmocka_run_group_tests_name("chain", tests, NULL, NULL);
}
