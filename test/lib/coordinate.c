/* coordinate: the engine for etcd as a program, for tests with real etcd.
 *
 *   coordinate [--prefix P] [--ca F] [--cert F --key F] [--user U --password P] ENDPOINT...
 *
 * A line of stdin is a request, a line of stdout what came of it, as JSON:
 *
 *   put ID KEY VALUE EXPECTED MS      EXPECTED: a revision, 0, or "any"; MS: until the deadline
 *   fill ID KEY BYTES MS              put of a value of so many bytes
 *   remove ID KEY EXPECTED MS
 *   leave ID KEY EXPECTED MS          only compares
 *   range ID PREFIX MS                "-" is the empty prefix
 *   watch ID PREFIX                   a line for each call
 *   health ID
 *   endpoints ID URL...
 *
 * Unlike the programs that judge from outside it is made of the code under test. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "coord/coord.h"

enum { URLS = 16, WORDS = 24 };

static struct loop *loop;
static struct coord *coord;
static struct io input;
static struct buf unread;

struct request {
    char id[32];
    uint64_t begun;
};

static const char *const OUTCOMES[] = {"done", "conflict", "unknown", "failed"};

static void say_text(struct str s)
{
    putchar('"');
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = (uint8_t)s.p[i];
        if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\')
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    putchar('"');
}

/* Long values by their length. */
static void say_items(const struct coord_item *items, uint32_t n)
{
    printf("\"items\":[");
    for (uint32_t i = 0; i < n; i++) {
        char length[32];
        struct str v = items[i].value;
        if (v.n > 64) {
            v.n = (size_t)snprintf(length, sizeof length, "%zu bytes", v.n);
            v.p = length;
        }
        printf(i ? ",[" : "[");
        say_text(items[i].key);
        printf(",");
        say_text(v);
        printf(",%llu,%s]", (unsigned long long)items[i].revision,
               items[i].gone ? "true" : "false");
    }
    printf("]}\n");
    fflush(stdout);
}

static void on_done(void *context, const struct coord_answer *a)
{
    struct request *r = context;
    printf("{\"id\":\"%s\",\"outcome\":\"%s\",\"revision\":%llu,\"ms\":%.3f,\"why\":", r->id,
           OUTCOMES[a->outcome], (unsigned long long)a->revision,
           (double)(clock_now() - r->begun) / 1e6);
    say_text(str_of(a->why ? a->why->text : ""));
    printf(",");
    say_items(a->items, a->n);
    free(r);
}

static void on_changes(void *context, const struct coord_item *items, uint32_t n, uint64_t revision,
                       bool whole)
{
    printf("{\"watch\":\"%s\",\"whole\":%s,\"revision\":%llu,", (const char *)context,
           whole ? "true" : "false", (unsigned long long)revision);
    say_items(items, n);
}

static void say_health(const char *id)
{
    struct coord_health h;
    coord_health(coord, &h);
    printf("{\"id\":\"%s\",\"reachable\":%s,\"revision\":%llu,\"at\":\"%s\",\"problem\":", id,
           h.reachable ? "true" : "false", (unsigned long long)h.revision, h.at);
    say_text(str_of(h.problem));
    printf(",\"done\":%llu,\"unknown\":%llu}\n", (unsigned long long)h.done,
           (unsigned long long)h.unknown);
    fflush(stdout);
}

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "coordinate: %s\n", what);
    exit(1);
}

static struct request *request_new(const char *id)
{
    struct request *r = calloc(1, sizeof *r);
    if (!r)
        die("no memory");
    snprintf(r->id, sizeof r->id, "%s", id);
    r->begun = clock_now();
    return r;
}

static uint64_t in_ms(const char *ms)
{
    return clock_now() + strtoull(ms, NULL, 10) * NS_PER_MS;
}

static uint64_t expected(const char *text)
{
    return strcmp(text, "any") == 0 ? COORD_ANY : strtoull(text, NULL, 10);
}

static void change(char **w, enum coord_do act, struct str value, const char *revision,
                   const char *ms)
{
    struct err e = {0};
    struct coord_op op = {str_of(w[2]), value, expected(revision), act};
    if (coord_cas(coord, &op, 1, in_ms(ms), on_done, request_new(w[1]), NULL, &e))
        die(e.text);
}

static void range(const char *id, const char *prefix, const char *ms)
{
    struct err e = {0};
    struct str p = strcmp(prefix, "-") == 0 ? STR("") : str_of(prefix);
    if (coord_range(coord, p, in_ms(ms), on_done, request_new(id), NULL, &e))
        die(e.text);
}

static void watch(const char *id, const char *prefix)
{
    struct err e = {0};
    struct coord_watch *w;
    struct coord_watcher to = {request_new(id), on_changes};
    if (coord_watch(coord, strcmp(prefix, "-") == 0 ? STR("") : str_of(prefix), &to, &w, &e))
        die(e.text);
}

static void fill(char **w)
{
    size_t n = strtoull(w[3], NULL, 10);
    char *value = malloc(n + 1);
    if (!value)
        die("no memory");
    for (size_t i = 0; i < n; i++)
        value[i] = (char)('a' + i % 26);
    change(w, COORD_PUT, (struct str){value, n}, "any", w[4]);
    free(value);
}

static void obey(char **w, int n)
{
    struct err e = {0};
    if (n == 6 && strcmp(w[0], "put") == 0)
        change(w, COORD_PUT, str_of(w[3]), w[4], w[5]);
    else if (n == 5 && strcmp(w[0], "fill") == 0)
        fill(w);
    else if (n == 5 && strcmp(w[0], "remove") == 0)
        change(w, COORD_REMOVE, STR(""), w[3], w[4]);
    else if (n == 5 && strcmp(w[0], "leave") == 0)
        change(w, COORD_LEAVE, STR(""), w[3], w[4]);
    else if (n == 4 && strcmp(w[0], "range") == 0)
        range(w[1], w[2], w[3]);
    else if (n == 3 && strcmp(w[0], "watch") == 0)
        watch(w[1], w[2]);
    else if (n == 2 && strcmp(w[0], "health") == 0)
        say_health(w[1]);
    else if (n < 3 || strcmp(w[0], "endpoints"))
        die("what?");
    else if (coord_etcd_endpoints(coord, (const char *const *)w + 2, (uint32_t)n - 2, &e))
        die(e.text);
}

static void obey_line(char *line)
{
    char *words[WORDS];
    int n = 0;
    for (char *save, *w = strtok_r(line, " ", &save); w && n < WORDS;
         w = strtok_r(NULL, " ", &save))
        words[n++] = w;
    if (n)
        obey(words, n);
}

static void on_input(struct io *io, unsigned ready)
{
    char some[4096];
    ssize_t n;
    while ((n = read(0, some, sizeof some)) > 0)
        if (!buf_add(&unread, some, (size_t)n))
            die("no memory");
    for (char *end; unread.n && (end = memchr(unread.p, '\n', unread.n));) {
        *end = 0;
        obey_line(unread.p);
        buf_drop_front(&unread, (size_t)(end - unread.p) + 1);
    }
    if (n == 0)
        loop_stop(loop);
}

int main(int argc, char **argv)
{
    const char *urls[URLS];
    struct err e = {0};
    struct coord_etcd_options o = {.endpoints = urls, .prefix = "hf/test/"};
    const struct {
        const char *name;
        const char **value;
    } options[] = {{"--prefix", &o.prefix}, {"--ca", &o.ca},     {"--cert", &o.cert},
                   {"--key", &o.key},       {"--user", &o.user}, {"--password", &o.password}};
    for (int i = 1; i < argc; i++) {
        bool known = false;
        for (size_t k = 0; k < ARRAY_LEN(options) && i + 1 < argc && !known; k++) {
            known = strcmp(argv[i], options[k].name) == 0;
            if (known)
                *options[k].value = argv[++i];
        }
        if (!known && o.n_endpoints < URLS)
            urls[o.n_endpoints++] = argv[i];
    }
    if (loop_new(&loop, &e) || coord_etcd_new(&coord, loop, &o, &e))
        die(e.text);
    (void)fcntl(0, F_SETFL, O_NONBLOCK);
    io_init(&input, on_input);
    if (loop_io_start(loop, &input, 0, &e) || loop_run(loop, &e))
        die(e.text);
    loop_io_stop(loop, &input);
    coord_free(coord);
    loop_free(loop);
    buf_free(&unread);
    return 0;
}
