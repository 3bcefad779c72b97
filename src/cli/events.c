/* events: what happened on the node, oldest first; with --follow, as it happens.
 *
 * Following outlives restarts of the control process: while nobody answers it says so once and asks
 * again every second. Sequence numbers rise over such restarts (docs/admin-api.md). */
#include <stdio.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/node.h"
#include "cli/json.h"
#include "cli/moment.h"
#include "cli/term.h"

struct events_options {
    struct node_place node;
    const char *since, *until, *subject, *code;
    uint64_t last;
    bool follow, json;
};

enum { LATEST = 50, WAIT = 25, BATCH = 1000 };

static const struct option options[] = {
    {"follow", 'f', NULL, "go on with new events as they come", OPTION_FLAG,
     offsetof(struct events_options, follow)},
    {"since", 0, "TIME", "all since then: 10m (ago), 14:05, 2026-11-23T14:05; or after a number",
     OPTION_TEXT, offsetof(struct events_options, since)},
    {"until", 0, "TIME", "only those up to then", OPTION_TEXT,
     offsetof(struct events_options, until)},
    {"subject", 0, "NAME", "only those about it: web, web/10.0.0.11:3000, a node", OPTION_TEXT,
     offsetof(struct events_options, subject)},
    {"code", 0, "CODE", "only those with this code (docs/events.md)", OPTION_TEXT,
     offsetof(struct events_options, code)},
    {"last", 'n', "N", "the latest N events (default 50)", OPTION_NUMBER,
     offsetof(struct events_options, last)},
    {"json", 0, NULL, "print one JSON object per line", OPTION_FLAG,
     offsetof(struct events_options, json)},
    CLI_OPTIONS_NODE(struct events_options),
};

static const struct usage usage = {
    .command = "events",
    .about = "Prints what happened: changes of verdicts with their evidence, reloads, drains,\n"
             "restarts. Without options, the latest 50 events, oldest first. --since, --until,\n"
             "--subject and --code look through all that the node keeps on disk, and --follow\n"
             "goes on from there.",
    .examples = "  holdfast events --follow\n  holdfast events --since 2h --subject web\n"
                "  holdfast events --json --last 1000 > events.jsonl",
    .options = options,
    .n_options = ARRAY_LEN(options),
};

struct events {
    struct events_options o;
    struct term term;
    struct node node;
    uint64_t after;
    bool kept;             /* it is the audit that is asked */
    uint64_t since, until; /* ns since 1970 */
};

static enum colour level_colour(const char *level)
{
    if (strcmp(level, "error") == 0)
        return COLOUR_RED;
    if (strcmp(level, "warning") == 0)
        return COLOUR_YELLOW;
    return COLOUR_NONE;
}

static void print_text(const struct events *v, const json_t *event, struct buf *out)
{
    const char *level = json_text(event, "level");
    text_coloured(out, &v->term, COLOUR_DIM, str_of(json_text(event, "time")));
    buf_add(out, "  ", 2);
    text_printf(out, &v->term, level_colour(level), "%-7s", level);
    buf_add(out, "  ", 2);
    text_coloured(out, &v->term, COLOUR_BOLD, str_of(json_text(event, "subject")));
    buf_add(out, "  ", *json_text(event, "subject") ? 2 : 0);
    text_clean(out, str_of(json_text(event, "text")));
    buf_add(out, "\n", 1);
}

static void print_json(const json_t *event, struct buf *out)
{
    json_t *line = json_pack("{s:s}", "schema", "holdfast.event.v1");
    json_object_update(line, (json_t *)(uintptr_t)event); /* takes references only */
    char *text = json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(15));
    json_decref(line);
    if (!text)
        out->failed = true;
    buf_add_str(out, str_of(text));
    buf_add(out, "\n", 1);
    free(text);
}

/* Those that come while following are looked through here; the node has done so with the others. */
static bool is_wanted(const struct events *v, const json_t *event)
{
    const char *subject = json_text(event, "subject"), *name = v->o.subject;
    size_t n = name ? strlen(name) : 0;
    bool about = !n || (strncmp(subject, name, n) == 0 && (!subject[n] || subject[n] == '/'));
    return about && (!v->o.code || strcmp(v->o.code, json_text(event, "code")) == 0) &&
           (!v->until || moment_of(str_of(json_text(event, "time"))) <= v->until);
}

/* Prints a batch. False when it cannot be printed, or nobody reads. */
static bool print_batch(struct events *v, const json_t *answer)
{
    const json_t *all = json_object_get(answer, "events");
    struct buf out = {0};
    size_t i;
    const json_t *event;
    if (json_number(answer, "lost") > 0)
        cli_fail(CLI_OK, "%.0f older events are no longer kept", json_number(answer, "lost"));
    json_array_foreach(all, i, event)
    {
        if (!is_wanted(v, event))
            continue;
        if (v->o.json)
            print_json(event, &out);
        else
            print_text(v, event, &out);
    }
    bool ok = !out.failed && cli_write(stdout, &out) && fflush(stdout) == 0;
    buf_free(&out);
    return ok;
}

static int ask(struct events *v, bool latest, unsigned wait, struct reply *r, struct err *e)
{
    char path[128];
    if (latest)
        snprintf(path, sizeof path, "/v1/events?last=%llu", (unsigned long long)v->o.last);
    else
        snprintf(path, sizeof path, "/v1/events?after=%llu&wait=%u&limit=%d",
                 (unsigned long long)v->after, wait, BATCH);
    return node_ask(&v->node, "GET", path, wait, r, e);
}

/* One question and its batch. *n is how many events came. */
static int step(struct events *v, bool latest, unsigned wait, size_t *n, struct err *e)
{
    struct reply r;
    int code = CLI_OK;
    *n = 0;
    if (ask(v, latest, wait, &r, e))
        return CLI_UNREACHABLE;
    if (r.status != 200) {
        code = node_refused(&r);
    } else if (!print_batch(v, r.json)) {
        code = cli_fail(CLI_BAD, "cannot write to the standard output");
    } else {
        const json_t *next = json_object_get(r.json, "next");
        *n = json_array_size(json_object_get(r.json, "events"));
        if (json_is_integer(next))
            v->after = (uint64_t)json_integer_value(next);
    }
    reply_free(&r);
    return code;
}

static void add_name(struct buf *path, const char *key, const char *name)
{
    if (!name)
        return;
    buf_printf(path, "&%s=", key);
    node_segment(path, str_of(name));
}

static void add_time(struct buf *path, const char *key, uint64_t wall)
{
    char text[MOMENT_MAX];
    moment_format(wall, text);
    buf_printf(path, "&%s=%s", key, text);
}

static int ask_kept(struct events *v, uint64_t from, struct reply *r, struct err *e)
{
    struct buf path = {0};
    buf_printf(&path, "/v1/events?limit=%d&from=%llu", BATCH, (unsigned long long)from);
    add_time(&path, "since", v->since);
    if (v->until)
        add_time(&path, "until", v->until);
    add_name(&path, "subject", v->o.subject);
    add_name(&path, "code", v->o.code);
    buf_add(&path, "", 1);
    int code = path.failed ? err_set(e, ERR_NOMEM, "out of memory")
                           : node_ask(&v->node, "GET", path.p, 10, r, e);
    buf_free(&path);
    return code;
}

/* All that the node keeps of that span; v->after is where following goes on. */
static int print_kept(struct events *v)
{
    struct err e;
    struct reply r;
    uint64_t from = 0;
    for (bool more = true; more;) {
        if (ask_kept(v, from, &r, &e))
            return cli_fail(CLI_UNREACHABLE, "%s", e.text);
        int code = r.status == 200 ? CLI_OK : node_refused(&r);
        if (code == CLI_OK && !print_batch(v, r.json))
            code = cli_fail(CLI_BAD, "cannot write to the standard output");
        more = json_flag(r.json, "more");
        from = (uint64_t)json_integer_value(json_object_get(r.json, "cursor"));
        v->after = (uint64_t)json_integer_value(json_object_get(r.json, "next"));
        reply_free(&r);
        if (code != CLI_OK)
            return code;
    }
    return CLI_OK;
}

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

static int follow(struct events *v)
{
    struct err e;
    size_t n;
    bool lost = false;
    for (;;) {
        int code = step(v, false, WAIT, &n, &e);
        if (code != CLI_OK && code != CLI_UNREACHABLE)
            return code;
        if (code == CLI_UNREACHABLE && !lost)
            cli_fail(CLI_OK, "%s; asking again every second", e.text);
        lost = code == CLI_UNREACHABLE;
        if (lost)
            pause_ms(1000);
        else if (n == 0)
            pause_ms(100); /* a node that answers empty at once must not make us spin */
    }
}

static int print_events(struct events *v)
{
    struct err e;
    size_t n;
    bool latest = !v->o.since;
    if (v->kept) {
        int kept = print_kept(v);
        return kept == CLI_OK && v->o.follow ? follow(v) : kept;
    }
    int code = step(v, latest, 0, &n, &e);
    while (code == CLI_OK && !latest && n == BATCH)
        code = step(v, false, 0, &n, &e);
    if (code == CLI_UNREACHABLE)
        return cli_fail(code, "%s", e.text);
    return code == CLI_OK && v->o.follow ? follow(v) : code;
}

/* Digits alone are a sequence number. False: neither that nor a time. */
static bool read_times(struct events *v)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    uint64_t now = (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
    bool number = v->o.since && str_u64(str_of(v->o.since), UINT64_MAX, &v->after);
    v->kept = (v->o.since && !number) || v->o.until || v->o.subject || v->o.code;
    if (v->o.until && !moment_parse(str_of(v->o.until), now, &v->until))
        return false;
    return !v->o.since || (number && !v->kept) || moment_parse(str_of(v->o.since), now, &v->since);
}

int command_events(int argc, char **argv)
{
    struct events v = {.o = {.last = LATEST}};
    const char *operands[OPERANDS_MAX];
    struct err e;
    int code;
    if (!cli_options(&usage, argc, argv, &v.o, operands, &code))
        return code;
    if (v.o.last < 1 || v.o.last > BATCH)
        return cli_fail(CLI_USAGE, "--last takes 1 to %d: use --since 0 for all that is kept",
                        BATCH);
    if (!read_times(&v))
        return cli_fail(CLI_USAGE, "--since and --until take 10m (ago), 14:05 or 2026-11-23T14:05; "
                                   "--since alone a sequence number, too");
    if (node_open(&v.node, &v.o.node, &e))
        return cli_fail(CLI_USAGE, "%s", e.text);
    v.term = term_of(stdout);
    code = print_events(&v);
    node_close(&v.node);
    return code;
}
