/* Who may do what over TCP: the table of attempts, and every route through a real socket. */
#include "admin/client.h"

#define SECRET_ALL  "0123456789abcdef0123456789abcdef"
#define SECRET_READ "abcdefghijklmnopqrstuvwxyz012345"

static struct addr ip(unsigned i)
{
    struct addr a = {.kind = ADDR_IP4, .port = (uint16_t)(1000 + i)};
    a.ip[0] = 10;
    a.ip[2] = (uint8_t)(i >> 8);
    a.ip[3] = (uint8_t)i;
    return a;
}

static void ten_refusals_bar_an_address_for_a_while(void **state)
{
    static struct access a;
    uint64_t now = 100 * NS_PER_S;
    struct addr one = ip(1), other = ip(2);
    a = (struct access){0};
    for (int i = 0; i < ACCESS_TRIES; i++) {
        assert_false(access_barred(&a, &one, now));
        one.port++;
        assert_int_equal(access_refused(&a, &one, now += NS_PER_S / 2), i == ACCESS_TRIES - 1);
    }
    assert_true(access_barred(&a, &one, now));
    assert_false(access_barred(&a, &other, now));
    assert_true(access_barred(&a, &one, now + ACCESS_WINDOW - 1));
    assert_false(access_barred(&a, &one, now + ACCESS_WINDOW));
    assert_false(access_refused(&a, &one, now + ACCESS_WINDOW)); /* counted anew */
    /* slowly, for ever */
    a = (struct access){0};
    for (int i = 0; i < 1000; i++)
        assert_false(access_refused(&a, &one, now += 2 * NS_PER_S));
}

static void the_table_is_bounded(void **state)
{
    static struct access a;
    uint64_t now = 100 * NS_PER_S;
    a = (struct access){0};
    for (int i = 0; i < ACCESS_TRIES; i++) {
        struct addr last = ip(ACCESS_ADDRESSES - 1);
        access_refused(&a, &last, now + NS_PER_S);
    }
    for (unsigned i = 0; i < ACCESS_ADDRESSES - 1; i++) {
        struct addr from = ip(i);
        assert_false(access_refused(&a, &from, now));
    }
    struct addr fresh = ip(5000), last = ip(ACCESS_ADDRESSES - 1);
    assert_false(access_refused(&a, &fresh, now + NS_PER_S));
    assert_true(access_barred(&a, &last, now + NS_PER_S)); /* the oldest went, not this one */
}

static struct view *view_with_tokens(void)
{
    struct view *v = fixture_new_view("web");
    v->tokens = arena_array(&v->arena, 2, sizeof *v->tokens);
    v->n_tokens = 2;
    v->tokens[0] = (struct view_token){.name = STR("all"), .rights = (1u << RIGHTS) - 1};
    v->tokens[1] = (struct view_token){.name = STR("reader"), .rights = RIGHT_READ};
    assert_true(digest_sha256(STR(SECRET_ALL), v->tokens[0].digest));
    assert_true(digest_sha256(STR(SECRET_READ), v->tokens[1].digest));
    return v;
}

static void a_token_is_known_by_its_secret(void **state)
{
    struct view *v = view_with_tokens();
    assert_ptr_equal(access_token(v, STR("Bearer " SECRET_ALL)), &v->tokens[0]);
    assert_ptr_equal(access_token(v, STR("bearer   " SECRET_READ "  ")), &v->tokens[1]);
    static const struct str none[] = {
        {"", 0},
        {"Bearer", 6},
        {"Bearer ", 7},
        {"Bearer  ", 8},
        {"Basic " SECRET_ALL, 38},
        {"Bearer" SECRET_ALL, 38},
        {"Bearer " SECRET_ALL "x", 40},
        {"Bearer x", 8},
    };
    for (size_t i = 0; i < ARRAY_LEN(none); i++)
        assert_null(access_token(v, none[i]));
    assert_null(access_token(NULL, STR("Bearer " SECRET_ALL)));
    view_free(v);
}

static void rights_in_words(void **state)
{
    struct buf b = {0};
    access_rights_text(0, &b);
    assert_true(str_eq(buf_str(&b), STR("none")));
    buf_clear(&b);
    access_rights_text(RIGHT_READ | RIGHT_DRAIN | RIGHT_UPGRADE, &b);
    assert_true(str_eq(buf_str(&b), STR("read, drain, upgrade")));
    buf_free(&b);
}

/* --- through a socket --- */

static void open_door(struct server *s, struct addr *at)
{
    fixture_open(&s->f, view_with_tokens());
    *at = fixture_address("127.0.0.1:1");
    at->port = 0;
    int fd = net_listen(at, 128, NULL);
    assert_true(fd >= 0);
    assert_true(net_local_addr(fd, at));
    assert_int_equal(admin_listen(s->f.admin, fd, ADMIN_TOKEN, NULL), 0);
}

static struct answer ask_as(struct server *s, const struct addr *at, const char *method,
                            const char *target, const char *secret)
{
    struct client c;
    struct buf b = {0};
    client_open_at(&c, s->f.loop, at);
    buf_printf(&b, "%s %s HTTP/1.1\r\nHost: node\r\n", method, target);
    if (secret)
        buf_printf(&b, "Authorization: Bearer %s\r\n", secret);
    buf_printf(&b, "\r\n");
    client_send(&c, buf_str(&b));
    buf_free(&b);
    struct answer a = client_take(&c, false);
    client_close(&c);
    return a;
}

static void expect_at(struct server *s, const struct addr *at, const char *method,
                      const char *target, const char *secret, unsigned status)
{
    struct answer a = ask_as(s, at, method, target, secret);
    if (a.status != status)
        fail_msg("%s %s: %u, not %u", method, target, a.status, status);
    assert_int_equal(strstr(a.head, "WWW-Authenticate: Bearer") != NULL, status == 401);
    answer_end(&a);
}

static void every_route_needs_a_token_and_its_right(void **state)
{
    struct server s = {0};
    struct addr at;
    const char *path, *method;
    uint32_t right;
    open_door(&s, &at);
    for (size_t i = 0; route_at(i, &path, &method, &right); i++) {
        assert_true(right && (right & (right - 1)) == 0 && right < 1u << RIGHTS);
        expect_at(&s, &at, method, path, NULL, 401);
        s.f.admin->access = (struct access){0};
        if (!(right & RIGHT_READ))
            expect_at(&s, &at, method, path, SECRET_READ, 403);
    }
    assert_int_equal(s.f.reloads + s.f.restarts, 0);
    expect_at(&s, &at, "GET", "/v1/status", SECRET_READ, 200);
    expect_at(&s, &at, "GET", "/v1/status", SECRET_ALL, 200);
    expect_at(&s, &at, "GET", "/metrics", SECRET_ALL, 200);
    expect_at(&s, &at, "GET", "/v1/nothing", SECRET_READ, 404);
    expect_at(&s, &at, "POST", "/v1/services/web/instances/10.0.0.1:80/drain", SECRET_ALL, 200);
    assert_true(s.f.draining[0]);
    fixture_close(&s.f);
}

static void a_refusal_says_why(void **state)
{
    struct server s = {0};
    struct addr at;
    open_door(&s, &at);
    struct answer a = ask_as(&s, &at, "POST", "/v1/reload", SECRET_READ);
    assert_int_equal(a.status, 403);
    const char *text = json_string_value(json_object_get(json_object_get(a.json, "error"), "text"));
    assert_string_equal(text, "token \"reader\" has not the right to reload; it has: read");
    answer_end(&a);
    a = ask_as(&s, &at, "GET", "/v1/status", "wrong");
    assert_string_equal(error_code(&a), "unauthorized");
    assert_null(memmem(a.body.p, a.body.n, "wrong", 5));
    answer_end(&a);
    fixture_close(&s.f);
}

static void who_guesses_is_not_heard(void **state)
{
    struct server s = {0};
    struct addr at;
    open_door(&s, &at);
    for (int i = 0; i < ACCESS_TRIES; i++)
        expect_at(&s, &at, "GET", "/v1/status", "guess", 401);
    expect_at(&s, &at, "GET", "/v1/status", "guess", 429);
    expect_at(&s, &at, "GET", "/v1/status", SECRET_ALL, 429); /* nor is a right guess told apart */
    assert_int_equal(s.f.events.by_code[EVENT_ADMIN_DENIED], 1);
    s.f.admin->access.list[0].since -= ACCESS_WINDOW;
    expect_at(&s, &at, "GET", "/v1/status", SECRET_ALL, 200);
    fixture_close(&s.f);
}

static void strangers_leave_places_for_the_operator(void **state)
{
    struct server s = {0};
    struct addr at;
    struct client all[ADMIN_MAX_STRANGERS + 8];
    open_door(&s, &at);
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        client_open_at(&all[i], s.f.loop, &at);
        client_send(&all[i], STR("GET ")); /* never ends */
    }
    for (int turns = 0; turns < 5000 && s.f.admin->n_strangers < ADMIN_MAX_STRANGERS; turns++)
        client_wait(&all[0], NS_PER_MS);
    assert_int_equal(s.f.admin->n_strangers, ADMIN_MAX_STRANGERS);
    assert_true(s.f.admin->n_conns < ADMIN_MAX_CONNECTIONS);
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        client_close(&all[i]);
    fixture_close(&s.f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_refusals_bar_an_address_for_a_while),
        cmocka_unit_test(the_table_is_bounded),
        cmocka_unit_test(a_token_is_known_by_its_secret),
        cmocka_unit_test(rights_in_words),
        cmocka_unit_test(every_route_needs_a_token_and_its_right),
        cmocka_unit_test(a_refusal_says_why),
        cmocka_unit_test(who_guesses_is_not_heard),
        cmocka_unit_test(strangers_leave_places_for_the_operator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
