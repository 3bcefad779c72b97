/* The configuration is read once, by the supervisor itself, before anything starts: a mistake is
 * told on the terminal at once, and the paths that it names are known from the operator, not from
 * control. Later readings are control's. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "conf/conf.h"
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

int supervisor_check(struct supervisor *s, struct err *e)
{
    struct conf_env env = daemon_conf_env(s->options->node);
    struct conf_problems problems = {0};
    int r = conf_load(s->options->file, &env, &s->checked.view, &problems, e);
    if (problems.n)
        print(&problems);
    conf_problems_free(&problems);
    return r;
}
