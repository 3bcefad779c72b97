/* Every byte in every kind of place: accepted where the RFCs' grammar has it, refused elsewhere.
 * The sets are written down here a second time, as strings, from the RFCs. */
#include "wire/http1_test.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS  "0123456789"
#define TCHAR   "!#$%&'*+-.^_`|~" DIGITS LETTERS
#define SUB     "!$&'()*+;="
#define PRINTED "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~" DIGITS LETTERS

struct place {
    const char *name;
    enum http1_case_kind kind;
    const char *before, *after;
    const char *accepted;
    bool above; /* 0x80 to 0xff as well */
};

/* A byte that ends the place it stands in (a space in a target) must be followed by what makes the
 * message wrong, else it would be accepted for another reason. */
static const struct place places[] = {
    {"method", CASE_REQUEST, "G", "T / HTTP/1.1\r\nHost: a\r\n\r\n", TCHAR, false},
    {"method, first", CASE_REQUEST, "", "ET / HTTP/1.1\r\nHost: a\r\n\r\n", TCHAR, false},
    {"path", CASE_REQUEST, "GET /a", "b HTTP/1.1\r\nHost: a\r\n\r\n",
     "-._~!$&'()*+,;=:@/%[]{}|^`?" DIGITS LETTERS, false},
    {"query", CASE_REQUEST, "GET /a?", "b HTTP/1.1\r\nHost: a\r\n\r\n",
     "-._~!$&'()*+,;=:@/%[]{}|^`?\\" DIGITS LETTERS, false},
    {"target, first", CASE_REQUEST, "GET ", "a HTTP/1.1\r\nHost: a\r\n\r\n", "/", false},
    {"version, minor", CASE_REQUEST, "GET / HTTP/1.", "\r\nHost: a\r\n\r\n", DIGITS, false},
    {"version, major", CASE_REQUEST, "GET / HTTP/", ".1\r\nHost: a\r\n\r\n", "1", false},
    {"behind the version", CASE_REQUEST, "GET / HTTP/1.1", "\r\nHost: a\r\n\r\n", "", false},
    {"field name", CASE_REQUEST, "GET / HTTP/1.1\r\nHost: a\r\na", "b: c\r\n\r\n", TCHAR ":",
     false},
    {"field name, first", CASE_REQUEST, "GET / HTTP/1.1\r\nHost: a\r\n", "b: c\r\n\r\n", TCHAR,
     false},
    {"before the colon", CASE_REQUEST, "GET / HTTP/1.1\r\nHost: a\r\nab", ": c\r\n\r\n", TCHAR ":",
     false},
    {"value", CASE_REQUEST, "GET / HTTP/1.1\r\nHost: a\r\na: b", "c\r\n\r\n", PRINTED " \t", true},
    {"value, first", CASE_REQUEST, "GET / HTTP/1.1\r\nHost: a\r\na:", "b\r\n\r\n", PRINTED " \t",
     true},
    {"value, last", CASE_REQUEST, "GET / HTTP/1.1\r\nHost: a\r\na: b", "\r\n\r\n", PRINTED " \t",
     true},
    {"host", CASE_REQUEST, "GET / HTTP/1.1\r\nHost: a", "b\r\n\r\n", "-._~" SUB DIGITS LETTERS,
     false},
    {"port", CASE_REQUEST, "GET / HTTP/1.1\r\nHost: a:8", "\r\n\r\n", DIGITS " \t", false},
    {"length", CASE_REQUEST, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1", "1\r\n\r\n", DIGITS,
     false},
    {"coding", CASE_REQUEST, "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chun", "ed\r\n\r\n",
     "kK", false},
    {"option", CASE_REQUEST, "GET / HTTP/1.1\r\nHost: a\r\nConnection: a", "b\r\n\r\n", TCHAR ",",
     false},
    {"reason", CASE_RESPONSE, "HTTP/1.1 200 O", "K\r\n\r\n", PRINTED " \t", true},
    {"status, first", CASE_RESPONSE, "HTTP/1.1 ", "02 X\r\n\r\n", "123456789", false},
    {"status, last", CASE_RESPONSE, "HTTP/1.1 20", " OK\r\n\r\n", DIGITS, false},
    {"behind the status", CASE_RESPONSE, "HTTP/1.1 200", "OK\r\n\r\n", " ", false},
    {"size, first", CASE_CHUNKED, "", "\r\n\r\nxxxxxxxxxxxxxxxx", "0", false},
    {"size", CASE_CHUNKED, "0", "\r\n\r\nxxxxxxxxxxxxxxxx", "0", false},
    {"extension name", CASE_CHUNKED, "0;a", "b\r\n\r\n", TCHAR ";=", false},
    {"extension name, first", CASE_CHUNKED, "0;", "b\r\n\r\n", TCHAR, false},
    {"extension value", CASE_CHUNKED, "0;a=b", "c\r\n\r\n", TCHAR ";", false},
    {"quoted extension", CASE_CHUNKED, "0;a=\"b", "nc\"\r\n\r\n",
     "!#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ \t" DIGITS LETTERS, true},
    {"behind a quote", CASE_CHUNKED, "0;a=\"b\"", "c\r\n\r\n", ";", false},
    {"behind the size's CR", CASE_CHUNKED, "0\r", "\r\n", "\n", false},
    {"behind a chunk", CASE_CHUNKED, "1\r\nx", "\n0\r\n\r\n", "\r", false},
    {"payload", CASE_CHUNKED, "1\r\n", "\r\n0\r\n\r\n", PRINTED " \t\r\n", true},
    {"trailer name", CASE_CHUNKED, "0\r\na", "b: c\r\n\r\n", TCHAR ":", false},
    {"trailer value", CASE_CHUNKED, "0\r\na: b", "c\r\n\r\n", PRINTED " \t", true},
};

static int result_of(const struct place *x, char byte)
{
    static struct http_head h;
    const struct http_refusal *why;
    char text[256], to[256];
    size_t before = strlen(x->before), after = strlen(x->after), n = before + 1 + after;
    memcpy(text, x->before, before);
    text[before] = byte;
    memcpy(text + before + 1, x->after, after);
    char *p = exactly(text, n);
    struct http_chunked c = {0};
    size_t payload, used;
    int r = x->kind == CASE_CHUNKED ? http1_case_decode(&c, p, n, n, to, &payload, &used, &why)
                                    : http1_case_parse(x->kind, p, n, 0, &h, &why);
    free(p);
    return r;
}

static bool expected(const struct place *x, unsigned byte)
{
    if (byte >= 0x80)
        return x->above;
    return byte && strchr(x->accepted, (int)byte);
}

static void every_byte_in_every_place(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(places); i++)
        for (unsigned byte = 0; byte < 256; byte++) {
            const struct place *x = &places[i];
            /* Payload may hold the control characters, too. */
            bool accept = expected(x, byte) || strcmp(x->name, "payload") == 0;
            int r = result_of(x, (char)byte);
            if ((r == HTTP_DONE) != accept)
                fail_msg("%s: byte 0x%02x gives %d", x->name, byte, r);
            /* Only what could go on, and has not yet, may be waited for. */
            if (!accept && r == HTTP_MORE)
                fail_msg("%s: byte 0x%02x is waited upon", x->name, byte);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_byte_in_every_place)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
