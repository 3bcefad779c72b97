/* Keys and tokens over the API: what is asked is what was meant, a mistake is refused, and a secret
 * is told only to who asked for it. */
#include <poll.h>

#include "admin/client.h"

static void a_token_is_made_as_it_was_asked_for(void **state)
{
    struct server s;
    struct client c;
    (void)state;
    server_open(&s);
    client_open(&c, &s);
    expect(&c, "POST", "/v1/tokens", "", 201, "\"token\":\"hf1.secret\"");
    assert_true(s.f.ttl == 600 * NS_PER_S && s.f.ticket_node[0] == 0);
    expect(&c, "POST", "/v1/tokens", "{\"ttl_seconds\": 90, \"node\": \"d\"}", 201,
           "\"id\":\"00000000000000a1\",\"cluster\":\"prod\",\"address\":\"10.0.0.1:7300\","
           "\"node\":\"d\",\"ttl_seconds\":90,\"expires\":\"1970-01-01T00:01:30.000Z\"");
    assert_true(s.f.ttl == 90 * NS_PER_S);
    assert_string_equal(s.f.ticket_node, "d");
    static const char *const wrong[] = {"{\"ttl_seconds\": 0}",
                                        "{\"ttl_seconds\": 604801}",
                                        "{\"ttl_seconds\": \"1\"}",
                                        "{\"node\": 1}",
                                        "{\"name\": \"d\"}",
                                        "[]",
                                        "{"};
    s.f.ttl = 0;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        expect(&c, "POST", "/v1/tokens", wrong[i], 422, "the body is");
    assert_int_equal(s.f.ttl, 0);
    s.f.keys_refuse = ERR_LIMIT;
    expect(&c, "POST", "/v1/tokens", "", 422, "not now");
    client_close(&c);
    server_close(&s);
}

static void a_rotation_is_begun_and_told_of(void **state)
{
    struct server s;
    struct client c;
    (void)state;
    server_open(&s);
    client_open(&c, &s);
    expect(&c, "GET", "/v1/keys", "", 200,
           "\"keys\":[{\"id\":\"0000beef\",\"state\":\"accept\"},{\"id\":\"0000cafe\",\"state\":"
           "\"use\"}],\"rotation\":null");
    expect(&c, "POST", "/v1/keys/rotate", "", 202,
           "\"state\":\"running\",\"step\":\"accept\",\"key\":\"0000beef\",\"force\":false,"
           "\"text\":\"waits for b\",\"nodes\":[{\"name\":\"b\",\"done\":false}]");
    assert_true(s.f.rotations == 1 && s.f.forced == 0);
    expect(&c, "POST", "/v1/keys/rotate?force=1", "", 202, "\"force\":true");
    assert_true(s.f.rotations == 2 && s.f.forced == 1);
    expect(&c, "POST", "/v1/keys/rotate?force=yes", "", 400, "force is 0 or 1");
    s.f.keys_refuse = ERR_DENIED;
    expect(&c, "POST", "/v1/keys/rotate", "", 409, "not now");
    expect(&c, "GET", "/v1/keys", "", 409, "not now");
    assert_int_equal(s.f.rotations, 2);
    client_close(&c);
    server_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_is_made_as_it_was_asked_for),
        cmocka_unit_test(a_rotation_is_begun_and_told_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
