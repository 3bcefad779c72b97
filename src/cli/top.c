/* top: the status as a live picture, once a second, with rates from the difference of two answers.
 *
 * While the node does not answer, the last picture stays and the foot line says since when. Keys
 * work meanwhile: node_ask asks us several times a second whether it should give up. */
#include "cli/top.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/figures.h"
#include "cli/node.h"
#include "cli/json.h"
#include "cli/picture.h"
#include "cli/screen.h"
#include "os/os.h"

struct top_options {
    struct node_place node;
    bool once, json;
};

static const struct option options[] = {
    {"once", 0, NULL, "print one picture and end", OPTION_FLAG, offsetof(struct top_options, once)},
    {"json", 0, NULL, "print one JSON object per line and second", OPTION_FLAG,
     offsetof(struct top_options, json)},
    CLI_OPTIONS_NODE(struct top_options),
};

static const struct usage usage = {
    .command = "top",
    .about = "Shows services, listeners and instances live, once a second, those that need a look\n"
             "first. Keys: q quits; the arrows, j, k, space and b scroll. Prints one picture when\n"
             "the output is not a terminal.",
    .examples = "  holdfast top\n  holdfast top --json --once | jq '.services[0]'",
    .options = options,
    .n_options = ARRAY_LEN(options),
};

struct sample {
    struct reply reply;
    uint64_t at; /* ns */
};

struct top {
    struct term term;
    struct node node;
    struct screen screen;
    struct sample now, before;
    json_t *sorted;     /* the newest answer, in order of need */
    struct err trouble; /* code 0: the last question was answered */
    size_t scroll;
    bool quit;
};

enum { REFRESH_MS = 1000 };

static uint64_t elapsed_ms(uint64_t since)
{
    return (clock_now() - since) / NS_PER_MS;
}

static int ask(struct top *t)
{
    struct reply r;
    struct err e;
    if (node_ask(&t->node, "GET", "/v1/status", 0, &r, &e)) {
        t->trouble = e;
        return CLI_UNREACHABLE;
    }
    if (r.status != 200) {
        err_set(&t->trouble, ERR_BUSY, "%s", json_text(json_object_get(r.json, "error"), "text"));
        reply_free(&r);
        return CLI_BAD;
    }
    t->trouble.code = 0;
    reply_free(&t->before.reply);
    t->before = t->now;
    t->now = (struct sample){r, clock_now()};
    return CLI_OK;
}

static double seconds_between(const struct top *t)
{
    return (double)(t->now.at - t->before.at) / (double)NS_PER_S;
}

static struct picture picture_of(struct top *t)
{
    const json_t *now = t->now.reply.json, *before = t->before.reply.json;
    json_decref(t->sorted);
    t->sorted = figures_sorted(now, before, seconds_between(t));
    return (struct picture){
        .now = t->sorted ? t->sorted : now,
        .before = before,
        .seconds = seconds_between(t),
        .term = &t->term,
        .live = true,
    };
}

static void foot_line(const struct top *t, struct buf *out)
{
    if (t->trouble.code)
        text_printf(out, &t->term, COLOUR_RED, "no answer for %llu s: %s",
                    (unsigned long long)(elapsed_ms(t->now.at) / 1000), t->trouble.text);
    else
        text_printf(out, &t->term, COLOUR_DIM, "%s  q quits, arrows scroll",
                    json_text(t->now.reply.json, "time"));
}

static void draw(struct top *t)
{
    struct buf body = {0}, foot = {0}, frame = {0};
    struct picture p = picture_of(t);
    picture_node(&p, &body);
    picture_services(&p, &body);
    foot_line(t, &foot);
    const char *stop = body.n ? memchr(body.p, '\n', body.n) : NULL;
    if (stop && !body.failed) {
        size_t head = (size_t)(stop - body.p);
        top_frame(&t->term, (struct str){stop + 1, body.n - head - 1}, &t->scroll,
                  (struct str){body.p, head}, buf_str(&foot), &frame);
    }
    if (!frame.failed && !screen_write(buf_str(&frame)))
        t->quit = true;
    buf_free(&body);
    buf_free(&foot);
    buf_free(&frame);
}

/* True when the picture has to be drawn again. */
static bool take_event(struct top *t, enum screen_event event)
{
    size_t page = MAX(t->term.rows, 4u) - 3;
    switch (event) {
    case SCREEN_NONE: return false;
    case SCREEN_QUIT: t->quit = true; return false;
    case SCREEN_RESIZE: term_measure(&t->term, stdout); return true;
    case SCREEN_UP: t->scroll -= t->scroll > 0; return true;
    case SCREEN_DOWN: t->scroll++; return true;
    case SCREEN_PAGE_UP: t->scroll -= MIN(t->scroll, page); return true;
    case SCREEN_PAGE_DOWN: t->scroll += page; return true;
    }
    UNREACHABLE();
}

static bool interrupted(void *arg)
{
    struct top *t = arg;
    if (take_event(t, screen_wait(&t->screen, 0)) && !t->quit)
        draw(t);
    return t->quit;
}

static void wait_for_refresh(struct top *t, uint64_t since)
{
    for (uint64_t ms; !t->quit && (ms = elapsed_ms(since)) < REFRESH_MS;)
        if (take_event(t, screen_wait(&t->screen, (int)(REFRESH_MS - ms))))
            draw(t);
}

static int live(struct top *t)
{
    struct err e;
    if (screen_open(&t->screen, &e))
        return cli_fail(CLI_BAD, "%s", e.text);
    t->node.line.interrupted = interrupted;
    t->node.line.arg = t;
    while (!t->quit) {
        uint64_t since = clock_now();
        draw(t);
        wait_for_refresh(t, since);
        if (!t->quit)
            ask(t);
    }
    screen_close(&t->screen);
    return CLI_OK;
}

static int once(struct top *t)
{
    struct buf out = {0};
    struct picture p = picture_of(t);
    picture_node(&p, &out);
    picture_services(&p, &out);
    int code = out.failed ? cli_fail(CLI_BAD, "out of memory") : CLI_OK;
    cli_write(stdout, &out);
    buf_free(&out);
    return code;
}

static bool print_json(const struct top *t)
{
    json_t *figures = figures_json(t->now.reply.json, t->before.reply.json, seconds_between(t));
    char *text = figures ? json_dumps(figures, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;
    struct buf out = {0};
    buf_add_str(&out, str_of(text));
    buf_add(&out, "\n", 1);
    bool written = text && cli_write(stdout, &out) && fflush(stdout) == 0;
    free(text);
    buf_free(&out);
    json_decref(figures);
    return written;
}

/* The first line comes after a second: rates need two answers. */
static int stream(struct top *t, bool once)
{
    do {
        struct timespec second = {.tv_sec = REFRESH_MS / 1000};
        nanosleep(&second, NULL);
        int code = ask(t);
        if (code)
            return cli_fail(code, "%s", t->trouble.text);
        if (!print_json(t))
            return CLI_BAD;
    } while (!once);
    return CLI_OK;
}

int command_top(int argc, char **argv)
{
    struct top_options o = {0};
    struct top t = {0};
    const char *operands[OPERANDS_MAX];
    struct err e;
    int code;
    if (!cli_options(&usage, argc, argv, &o, operands, &code))
        return code;
    if (node_open(&t.node, &o.node, &e))
        return cli_fail(CLI_USAGE, "%s", e.text);
    t.term = term_of(stdout);
    code = ask(&t);
    if (code)
        cli_fail(code, "%s", t.trouble.text);
    else if (o.json)
        code = stream(&t, o.once);
    else
        code = t.term.terminal && !o.once ? live(&t) : once(&t);
    json_decref(t.sorted);
    reply_free(&t.now.reply);
    reply_free(&t.before.reply);
    node_close(&t.node);
    return code;
}
