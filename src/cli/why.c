/* why: what a service, an instance, a node or a beat is, and why: the last verdicts and decisions
 * with the evidence that tipped them, newest first. */
#include <stdio.h>
#include <time.h>

#include "cli/chain.h"
#include "cli/cli.h"
#include "cli/json.h"
#include "cli/moment.h"
#include "cli/node.h"
#include "cli/reasons.h"

struct why_options {
    struct node_place node;
    const char *at;
    bool all, json;
};

enum { SOME = 50, BATCH = 1000, LINES = 24 };

static const struct option options[] = {
    {"at", 0, "TIME", "how it was then: 10m (ago), 14:05, 2026-11-23T14:05", OPTION_TEXT,
     offsetof(struct why_options, at)},
    {"all", 0, NULL, "everything that is kept about it, not a screenful", OPTION_FLAG,
     offsetof(struct why_options, all)},
    CLI_OPTION_JSON(struct why_options),
    CLI_OPTIONS_NODE(struct why_options),
};

static const struct usage usage = {
    .command = "why",
    .operands = "SUBJECT",
    .min_operands = 1,
    .max_operands = 1,
    .about =
        "Prints what SUBJECT is, since when, and why: the last verdicts and decisions about it,\n"
        "newest first, with the rule and the signals that tipped them, who saw them and when.\n"
        "SUBJECT is a service, SERVICE/INSTANCE, an instance's address, a node or a beat. Of a\n"
        "service with a primary: the steps of the last failover, and where the time went.",
    .examples = "  holdfast why web\n  holdfast why web/10.0.0.11:3000 --at 14:05\n"
                "  holdfast why web --all --json | jq '.records[].reason'",
    .options = options,
    .n_options = ARRAY_LEN(options),
};

struct why {
    struct why_options o;
    const char *subject;
    struct term term;
    struct node node;
    uint64_t now, at; /* ns since 1970 */
};

static uint64_t wall(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

/* from: behind this cursor; 0: from the newest. */
static int ask(struct why *w, uint64_t from, struct reply *r, struct err *e)
{
    struct buf path = {0};
    char at[MOMENT_MAX];
    buf_printf(&path, "/v1/why?limit=%d&subject=", w->o.all ? BATCH : SOME);
    node_segment(&path, str_of(w->subject));
    if (w->at) {
        moment_format(w->at, at);
        buf_printf(&path, "&at=%s", at);
    }
    if (from)
        buf_printf(&path, "&from=%llu", (unsigned long long)from);
    buf_add(&path, "", 1);
    int code = path.failed ? err_set(e, ERR_NOMEM, "out of memory")
                           : node_ask(&w->node, "GET", path.p, 10, r, e);
    buf_free(&path);
    return code;
}

static bool print_text(struct why *w, const json_t *answer, bool first)
{
    struct reasons r = {&w->term, w->now, 0};
    struct buf out = {0};
    if (!w->o.all)
        r.lines = w->term.terminal && w->term.rows > 12 ? w->term.rows - 8 : LINES;
    if (first) {
        reasons_state(&r, answer, &out);
        buf_add(&out, "\n", 1);
        chain_print(&w->term, w->now, answer, &out);
    }
    const char *problem = json_text(answer, "problem");
    bool cut = !*problem && (first || json_array_size(json_object_get(answer, "records")))
                   ? reasons_records(&r, answer, &out)
                   : false;
    if (!w->o.all && (cut || json_flag(answer, "more")))
        buf_printf(&out, "Older ones: holdfast why --all\n");
    bool ok = !out.failed && cli_write(stdout, &out);
    buf_free(&out);
    if (*problem)
        cli_fail(CLI_OK, "what was recorded cannot be told: %s", problem);
    return ok;
}

static int print_all(struct why *w)
{
    struct err e;
    struct reply r;
    uint64_t from = 0;
    bool more = true;
    for (bool first = true; more; first = false) {
        if (ask(w, from, &r, &e))
            return cli_fail(CLI_UNREACHABLE, "%s", e.text);
        int code = r.status == 200 ? CLI_OK : node_refused(&r);
        if (w->o.json)
            reply_print(&r);
        else if (code == CLI_OK && !print_text(w, r.json, first))
            code = cli_fail(CLI_BAD, "cannot write to the standard output");
        more = w->o.all && json_flag(r.json, "more");
        from = (uint64_t)json_integer_value(json_object_get(r.json, "cursor"));
        reply_free(&r);
        if (code != CLI_OK)
            return code;
    }
    return CLI_OK;
}

int command_why(int argc, char **argv)
{
    struct why w = {.now = wall()};
    const char *operands[OPERANDS_MAX];
    struct err e;
    int code;
    if (!cli_options(&usage, argc, argv, &w.o, operands, &code))
        return code;
    w.subject = operands[0];
    if (w.o.at && !moment_parse(str_of(w.o.at), w.now, &w.at))
        return cli_fail(CLI_USAGE, "--at takes 10m (ago), 14:05 or 2026-11-23T14:05, not '%s'",
                        w.o.at);
    if (node_open(&w.node, &w.o.node, &e))
        return cli_fail(CLI_USAGE, "%s", e.text);
    w.term = term_of(stdout);
    code = print_all(&w);
    node_close(&w.node);
    return code;
}
