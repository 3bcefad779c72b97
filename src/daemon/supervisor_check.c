/* The configuration is read once, by the supervisor itself, before anything starts: a mistake is
 * told on the terminal at once, and the paths that the own file names are known from the operator,
 * not from control. Later readings are control's. Where nodes share a configuration it is what this
 * node adopted last (kept.h), with what is local to the node from its own file. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "conf/conf.h"
#include "daemon/kept.h"
#include "daemon/supervisor.h"

static void print(const struct conf_problems *p)
{
    const char *no_colour = getenv("NO_COLOR");
    const char *terminal = getenv("TERM");
    bool colour = isatty(STDERR_FILENO) && !(no_colour && *no_colour) && terminal &&
                  strcmp(terminal, "dumb") != 0;
    struct buf text = {0};
    conf_problems_print(p, colour, &text);
    if (text.n)
        fwrite(text.p, 1, text.n, stderr);
    buf_free(&text);
}

/* The paths that the operator named himself. */
static void read_own(struct supervisor *s)
{
    struct conf_env env = daemon_conf_env(s->options->node);
    struct conf_problems ignored = {0};
    if (conf_load(s->options->file, &env, &s->own, &ignored, NULL))
        s->own = NULL;
    conf_problems_free(&ignored);
}

static void tell(struct supervisor *s, const struct shared_start *start)
{
    struct str notes = buf_str(&start->notes);
    while (notes.n) {
        const char *end = memchr(notes.p, '\n', notes.n);
        size_t n = end ? (size_t)(end - notes.p) : notes.n;
        log_warning(&s->log, "%.*s", (int)MIN(n, 400u), notes.p);
        notes.p += MIN(n + 1, notes.n);
        notes.n -= MIN(n + 1, notes.n);
    }
    if (start->own[0])
        log_warning(&s->log, "%s", start->own);
    if (start->used.version.number)
        log_info(&s->log, "version %llu of the cluster's configuration is used",
                 (unsigned long long)start->used.version.number);
}

static int check(struct supervisor *s, uint64_t below, struct err *e)
{
    struct conf_place p = {s->options->file, s->state, s->options->node};
    struct shared_start start = {.below = below};
    int r = shared_conf_start(&p, &start, e);
    tell(s, &start);
    s->shared = start.used.version.number;
    view_free(s->checked.view);
    s->checked.view = start.view;
    start.view = NULL;
    if (r == 0 && s->shared && !s->own)
        read_own(s);
    if (start.problems.n)
        print(&start.problems);
    shared_start_free(&start);
    return r;
}

int supervisor_check(struct supervisor *s, struct err *e)
{
    return check(s, 0, e);
}

int supervisor_check_older(struct supervisor *s, struct err *e)
{
    return check(s, s->shared, e);
}
