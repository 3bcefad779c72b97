#include "recover/agents/command.h"

#include <stdio.h>

#include "recover/agents/process.h"

struct command {
    struct runner runner;
    struct timer limit;
    struct buf output;
    bool late;
    command_done *done;
    void *context;
};

static void end(struct command *c)
{
    loop_timer_stop(c->runner.loop, &c->limit);
    buf_free(&c->output);
    mem_free(c);
}

static void on_output(struct runner *p, struct str bytes)
{
    struct command *c = CONTAINER_OF(p, struct command, runner);
    if (!c->output.failed && !buf_add_str(&c->output, bytes))
        runner_stop(p, 0);
}

static void on_exit(struct runner *p, int status)
{
    struct command *c = CONTAINER_OF(p, struct command, runner);
    struct command_end e = {status, c->late, c->output.failed, buf_str(&c->output)};
    c->done(c->context, &e);
    end(c);
}

static void on_limit(struct timer *t)
{
    struct command *c = CONTAINER_OF(t, struct command, limit);
    c->late = true;
    runner_stop(&c->runner, 0);
}

int command_start(struct command **out, struct loop *l, const struct program *what, uint64_t limit,
                  command_done *done, void *context, struct err *e)
{
    struct command *c = mem_zero(1, sizeof *c);
    if (!c)
        return err_set(e, ERR_NOMEM, "no memory to run %s", what->path);
    runner_init(&c->runner, l);
    c->runner.on_output = on_output;
    c->runner.on_exit = on_exit;
    c->output.limit = COMMAND_OUTPUT;
    c->done = done;
    c->context = context;
    timer_init(&c->limit, on_limit);
    int r = runner_start(&c->runner, what, e);
    if (r) {
        end(c);
        return r;
    }
    loop_timer_set(l, &c->limit, loop_now(l) + limit);
    *out = c;
    return 0;
}

void command_abandon(struct command *c)
{
    if (!c)
        return;
    runner_abandon(&c->runner);
    end(c);
}

/* The last line, made printable. */
static void last_words(struct str output, char out[160])
{
    while (output.n && output.p[output.n - 1] == '\n')
        output.n--;
    for (size_t i = output.n; i > 0; i--)
        if (output.p[i - 1] == '\n') {
            output.p += i;
            output.n -= i;
            break;
        }
    str_copy(out, 160, output);
    for (char *p = out; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 127)
            *p = '?';
}

int command_result(const struct command_end *e, const char *name, struct err *why)
{
    char words[160], what[96];
    if (e->late)
        return err_set(why, ERR_TIMEOUT, "%s took too long and was killed", name);
    if (e->chatty)
        return err_set(why, ERR_LIMIT, "%s printed more than %d bytes and was killed", name,
                       COMMAND_OUTPUT);
    if (e->status == 0)
        return 0;
    runner_tell(e->status, what, sizeof what);
    last_words(e->output, words);
    return err_set(why, ERR_IO, "%s %s%s%s", name, what, words[0] ? ": " : "", words);
}
