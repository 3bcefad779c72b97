/* coord: a coordinator's engine at the end of two pipes, for tests that drive histories through it.
 *
 *   coord ENGINE [--faults] [--ca FILE] [--cert FILE] [--key FILE]
 *
 * ENGINE is embedded:PATH, or etcd:PREFIX,URL,URL... (with these files, where it asks for them).
 * Reads one JSON object a line, answers with one a line, in the order of what happens; requests are
 * under way at the same time. `id` is the asker's own. Times are CLOCK_BOOTTIME in ns: `start`
 * before the engine was called, `end` when its answer was there.
 *
 *   {"id": 1, "do": "cas", "ms": 2000, "ops": [{"key": "a", "act": "put", "expected": 0, "value":
 * "x"}]}
 *   {"id": 2, "do": "range", "prefix": "", "ms": 2000}
 *   {"id": 3, "do": "watch", "prefix": ""}        {"id": 3, "do": "unwatch"}
 *   {"id": 4, "do": "health"}
 *   {"id": 5, "do": "disk", "fault": "slow", "ms": 100, "times": 1}     only with --faults; also
 *       "gone" (ms), "full" (bytes), "sync" (times, forget), "write" (times), "heal"
 *
 *   {"id": 1, "outcome": "done", "revision": 7, "start": 1, "end": 2}     or "conflict", "unknown",
 *       "failed" (with "why"), "refused" (at once, with "why"); a range has "items"
 *   {"watch": 3, "whole": true, "revision": 7, "at": 2, "items": [{"key", "value", "revision",
 * "gone"}]}
 *
 * act is "put", "remove" or "leave"; expected -1 is any. It ends when its input does. Unlike the
 * other tools it is made of holdfast's own code: it carries, and judges nothing. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "coord/coord.h"
#include "coord/faulty_disk_test.h"

enum { LINE_MAX_BYTES = 4 * 1024 * 1024, WATCHES = COORD_WATCHES };

struct program {
    struct loop *loop;
    struct coord *c;
    struct io in;
    struct buf line;
    struct faulty_disk *disk;
    const char *ca, *cert, *key;
    struct watch {
        struct program *p;
        json_int_t id;
        struct coord_watch *w;
    } watches[WATCHES];
};

struct asked {
    json_int_t id;
    uint64_t start;
};

static _Noreturn void die(const char *what, const char *why)
{
    fprintf(stderr, "coord: %s: %s\n", what, why);
    exit(1);
}

static void say(json_t *o)
{
    if (!o || json_dumpf(o, stdout, JSON_COMPACT) || fputc('\n', stdout) == EOF || fflush(stdout))
        die("stdout", strerror(errno));
    json_decref(o);
}

static json_t *items_of(const struct coord_item *items, uint32_t n)
{
    json_t *all = json_array();
    for (uint32_t i = 0; i < n; i++)
        json_array_append_new(
            all, json_pack("{s:s%, s:s%, s:I, s:b}", "key", items[i].key.p, items[i].key.n, "value",
                           items[i].value.n ? items[i].value.p : "", items[i].value.n, "revision",
                           (json_int_t)items[i].revision, "gone", items[i].gone));
    return all;
}

static void on_done(void *context, const struct coord_answer *a)
{
    static const char *const outcomes[] = {[COORD_DONE] = "done",
                                           [COORD_CONFLICT] = "conflict",
                                           [COORD_UNKNOWN] = "unknown",
                                           [COORD_FAILED] = "failed"};
    struct asked *q = context;
    json_t *o =
        json_pack("{s:I, s:s, s:I, s:I, s:I, s:o}", "id", q->id, "outcome", outcomes[a->outcome],
                  "revision", (json_int_t)a->revision, "start", (json_int_t)q->start, "end",
                  (json_int_t)clock_now(), "items", items_of(a->items, a->n));
    if (a->why)
        json_object_set_new(o, "why", json_string(a->why->text));
    say(o);
    mem_free(q);
}

static void refused(json_int_t id, const struct err *e)
{
    say(json_pack("{s:I, s:s, s:s}", "id", id, "outcome", "refused", "why", e->text));
}

static const char *text(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}

static uint64_t number(const json_t *o, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(o, name)); /* -1 is COORD_ANY */
}

static struct asked *asked(json_int_t id)
{
    struct asked *q = mem_alloc(sizeof *q);
    if (!q)
        die("memory", "none");
    *q = (struct asked){id, clock_now()};
    return q;
}

static void do_cas(struct program *p, json_int_t id, const json_t *o)
{
    const json_t *list = json_object_get(o, "ops");
    struct coord_op ops[COORD_OPS];
    struct err e;
    uint32_t n = 0;
    for (; n < MIN(json_array_size(list), COORD_OPS); n++) {
        const json_t *op = json_array_get(list, n);
        const char *act = text(op, "act");
        ops[n] = (struct coord_op){str_of(text(op, "key")), str_of(text(op, "value")),
                                   number(op, "expected"),
                                   !strcmp(act, "put")      ? COORD_PUT
                                   : !strcmp(act, "remove") ? COORD_REMOVE
                                                            : COORD_LEAVE};
    }
    struct asked *q = asked(id);
    if (coord_cas(p->c, ops, n, q->start + number(o, "ms") * NS_PER_MS, on_done, q, NULL, &e)) {
        refused(id, &e);
        mem_free(q);
    }
}

static void do_range(struct program *p, json_int_t id, const json_t *o)
{
    struct err e;
    struct asked *q = asked(id);
    if (coord_range(p->c, str_of(text(o, "prefix")), q->start + number(o, "ms") * NS_PER_MS,
                    on_done, q, NULL, &e)) {
        refused(id, &e);
        mem_free(q);
    }
}

static void on_changes(void *context, const struct coord_item *items, uint32_t n, uint64_t revision,
                       bool whole)
{
    const struct watch *w = context;
    say(json_pack("{s:I, s:b, s:I, s:I, s:o}", "watch", w->id, "whole", whole, "revision",
                  (json_int_t)revision, "at", (json_int_t)clock_now(), "items",
                  items_of(items, n)));
}

static void do_watch(struct program *p, json_int_t id, const json_t *o)
{
    struct err e;
    for (uint32_t i = 0; i < WATCHES; i++) {
        struct watch *w = &p->watches[i];
        if (w->w)
            continue;
        *w = (struct watch){p, id, NULL};
        const struct coord_watcher watcher = {w, on_changes};
        if (coord_watch(p->c, str_of(text(o, "prefix")), &watcher, &w->w, &e))
            refused(id, &e);
        return;
    }
    err_set(&e, ERR_BUSY, "no watch is left");
    refused(id, &e);
}

static void do_unwatch(struct program *p, json_int_t id)
{
    for (uint32_t i = 0; i < WATCHES; i++)
        if (p->watches[i].w && p->watches[i].id == id) {
            coord_unwatch(p->watches[i].w);
            p->watches[i].w = NULL;
        }
}

static void do_health(struct program *p, json_int_t id)
{
    struct coord_health h;
    coord_health(p->c, &h);
    say(json_pack("{s:I, s:b, s:I, s:I, s:s, s:s, s:s}", "id", id, "reachable", h.reachable,
                  "revision", (json_int_t)h.revision, "last_ns", (json_int_t)h.last_ns, "engine",
                  h.engine, "at", h.at, "problem", h.problem));
}

static void do_disk(struct program *p, const json_t *o)
{
    const char *fault = text(o, "fault");
    uint32_t times = (uint32_t)number(o, "times");
    if (!p->disk)
        die("disk", "faults are ordered with --faults");
    if (!strcmp(fault, "slow"))
        faulty_disk_slow(p->disk, number(o, "ms") * NS_PER_MS, times);
    else if (!strcmp(fault, "gone"))
        faulty_disk_gone_for(p->disk, number(o, "ms") * NS_PER_MS);
    else if (!strcmp(fault, "full"))
        faulty_disk_room(p->disk, (int64_t)number(o, "bytes"));
    else if (!strcmp(fault, "sync"))
        faulty_disk_fail_sync(p->disk, times, json_is_true(json_object_get(o, "forget")));
    else if (!strcmp(fault, "write"))
        faulty_disk_fail_write(p->disk, times);
    else if (!strcmp(fault, "heal"))
        faulty_disk_heal(p->disk);
    else
        die("no such fault", fault);
}

static void obey(struct program *p, struct str line)
{
    json_error_t why;
    json_t *o = json_loadb(line.p, line.n, 0, &why);
    if (!o)
        die("not JSON", why.text);
    json_int_t id = json_integer_value(json_object_get(o, "id"));
    const char *what = text(o, "do");
    if (!strcmp(what, "cas"))
        do_cas(p, id, o);
    else if (!strcmp(what, "range"))
        do_range(p, id, o);
    else if (!strcmp(what, "watch"))
        do_watch(p, id, o);
    else if (!strcmp(what, "unwatch"))
        do_unwatch(p, id);
    else if (!strcmp(what, "health"))
        do_health(p, id);
    else if (!strcmp(what, "disk"))
        do_disk(p, o);
    else
        die("no such thing to do", what);
    json_decref(o);
}

static void obey_lines(struct program *p)
{
    const char *end;
    while (p->line.n && (end = memchr(p->line.p, '\n', p->line.n))) {
        size_t n = (size_t)(end - p->line.p);
        obey(p, (struct str){p->line.p, n});
        buf_drop_front(&p->line, n + 1);
    }
}

static void on_input(struct io *io, unsigned ready)
{
    struct program *p = CONTAINER_OF(io, struct program, in);
    char bytes[65536];
    ssize_t n;
    while ((n = read(io->fd, bytes, sizeof bytes)) > 0) {
        if (!buf_add(&p->line, bytes, (size_t)n))
            die("a line", "too long");
        obey_lines(p);
    }
    if (n == 0 || errno != EAGAIN)
        loop_stop(p->loop);
}

static int open_etcd(struct program *p, char *words, struct err *e)
{
    const char *urls[16];
    struct coord_etcd_options o = {.endpoints = urls, .ca = p->ca, .cert = p->cert, .key = p->key};
    char *save;
    o.prefix = strtok_r(words, ",", &save);
    for (char *u; o.n_endpoints < ARRAY_LEN(urls) && (u = strtok_r(NULL, ",", &save));)
        urls[o.n_endpoints++] = u;
    return coord_etcd_new(&p->c, p->loop, &o, e);
}

static void open_engine(struct program *p, char *engine)
{
    struct err e;
    int bad = 0;
    if (!strncmp(engine, "embedded:", 9))
        bad = coord_embedded_new(&p->c, p->loop, engine + 9, &e);
    else if (!strncmp(engine, "etcd:", 5))
        bad = open_etcd(p, engine + 5, &e);
    else
        die("no such engine", engine);
    if (bad)
        die(engine, e.text);
}

static void read_options(struct program *p, int n, char **words)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(words[i], "--faults"))
            p->disk = faulty_disk();
        else if (i + 1 == n)
            die("no such option", words[i]);
        else if (!strcmp(words[i], "--ca"))
            p->ca = words[++i];
        else if (!strcmp(words[i], "--cert"))
            p->cert = words[++i];
        else if (!strcmp(words[i], "--key"))
            p->key = words[++i];
        else
            die("no such option", words[i]);
}

int main(int argc, char **argv)
{
    struct program p = {.line.limit = LINE_MAX_BYTES};
    struct err e;
    if (argc < 2)
        die("usage", "coord ENGINE [--faults] [--ca FILE] [--cert FILE] [--key FILE]");
    read_options(&p, argc - 2, argv + 2);
    io_init(&p.in, on_input);
    fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
    if (loop_new(&p.loop, &e))
        die("loop", e.text);
    open_engine(&p, argv[1]);
    say(json_pack("{s:b, s:I}", "ready", 1, "at", (json_int_t)clock_now()));
    if (loop_io_start(p.loop, &p.in, STDIN_FILENO, &e) || loop_run(p.loop, &e))
        die("loop", e.text);
    loop_io_stop(p.loop, &p.in);
    coord_free(p.c);
    buf_free(&p.line);
    loop_free(p.loop);
    return 0;
}
