#include "options.h"

#include <stdlib.h>

const char options_help[] =
    "usage: holdfast-sim [--seed S] [--seeds N] [--nodes N] [--seconds S] [options]\n"
    "\n"
    "Runs whole clusters of the daemon's own membership and sealing under virtual time, breaks\n"
    "links, processes, disks and clocks by a schedule drawn from a seed, and checks the "
    "invariants\n"
    "I20 to I29 of docs/invariants.md after every event. docs/simulator.md tells more.\n"
    "\n"
    "  --seed S        the first seed, decimal or 0x...; drawn and printed when it is not given\n"
    "  --seeds N       so many seeds, one after the other (1)\n"
    "  --hours H       fresh seeds until the time is over\n"
    "  --nodes N       nodes of each cluster; 0 lets the seed decide, between 2 and 40 (5)\n"
    "  --seconds S     virtual seconds of each run (60)\n"
    "  --faults TEXT   this schedule instead of one from the seed; '' is none\n"
    "  --jitter FILE   processes run late as this recording says: microseconds, one a line;\n"
    "                  \"invented\" is a built-in long-tailed distribution\n"
    "  --wan           100 to 200 ms round trip, 1% loss\n"
    "  --plain         without sealing\n"
    "  --rotate        the cluster's key changes now and then\n"
    "  --primary       with a service of kind primary on the first five: I1 to I3 and I5 too\n"
    "  --rate PPM      of --primary: how wrong its clocks' rates may be (50000, which is assumed)\n"
    "  --trace         prints what happens; twice: every datagram\n"
    "  --replay FILE   runs every line of a file such as sim/seeds.txt\n"
    "  --save FILE     appends the lines that replay what was found\n"
    "  --first         ends with the first seed that breaks something (twenty)\n"
    "  --no-shrink     prints a found schedule as it was drawn\n"
    "  --jobs N        processes (1)\n"
    "  --json          figures for programs\n"
    "\n"
    "  --days D        measures false failures in D quiet days of --nodes nodes (3) under "
    "--jitter\n"
    "  --week          the same for a week of 5 nodes on a wide area\n"
    "  --scale         traffic, detection and forming at 10, 100, 1,000 and 5,000 nodes, or "
    "--nodes\n"
    "\n"
    "Exits with 0 when all held, 1 when something was broken, 2 when it could not run.\n"
    "\n"
    "  holdfast-sim --seeds 10000 --jobs 2\n"
    "  holdfast-sim --seed 0x1f --faults '12.000+3.000 cut 0,1-2,3,4' --trace\n";

enum kind { FLAG, NUMBER, REAL, TEXT };
enum key {
    SEED,
    SEEDS,
    HOURS,
    NODES,
    SECONDS,
    FAULTS,
    JITTER,
    WAN,
    PLAIN,
    ROTATE,
    PRIMARY,
    RATE,
    TRACE,
    REPLAY,
    SAVE,
    NO_SHRINK,
    FIRST,
    JOBS,
    JSON,
    DAYS,
    WEEK,
    SCALE,
    HELP,
    KEYS
};
static const struct {
    const char *name;
    enum kind kind;
    uint64_t most;
} keys[KEYS] = {
    [SEED] = {"--seed", NUMBER, UINT64_MAX},
    [SEEDS] = {"--seeds", NUMBER, UINT64_C(1000000000)},
    [HOURS] = {"--hours", REAL, 10000},
    [NODES] = {"--nodes", NUMBER, 8192},
    [SECONDS] = {"--seconds", REAL, 100000000},
    [FAULTS] = {"--faults", TEXT, 0},
    [JITTER] = {"--jitter", TEXT, 0},
    [WAN] = {"--wan", FLAG, 0},
    [PLAIN] = {"--plain", FLAG, 0},
    [ROTATE] = {"--rotate", FLAG, 0},
    [PRIMARY] = {"--primary", FLAG, 0},
    [RATE] = {"--rate", NUMBER, 400000},
    [TRACE] = {"--trace", FLAG, 0},
    [REPLAY] = {"--replay", TEXT, 0},
    [SAVE] = {"--save", TEXT, 0},
    [NO_SHRINK] = {"--no-shrink", FLAG, 0},
    [FIRST] = {"--first", FLAG, 0},
    [JOBS] = {"--jobs", NUMBER, 256},
    [JSON] = {"--json", FLAG, 0},
    [DAYS] = {"--days", REAL, 100000},
    [WEEK] = {"--week", FLAG, 0},
    [SCALE] = {"--scale", FLAG, 0},
    [HELP] = {"--help", FLAG, 0},
};

struct value {
    uint64_t number;
    double real;
    const char *text;
};

static void set(struct options *o, enum key key, const struct value *v)
{
    switch (key) {
    case SEED:
        o->seed = v->number;
        o->seed_given = true;
        break;
    case SEEDS: o->seeds = v->number; break;
    case HOURS: o->hours = v->real; break;
    case NODES: o->nodes = (uint32_t)v->number; break;
    case SECONDS: o->seconds = v->real; break;
    case FAULTS: o->faults = v->text; break;
    case JITTER: o->jitter = v->text; break;
    case WAN: o->wan = true; break;
    case PLAIN: o->plain = true; break;
    case ROTATE: o->rotate = true; break;
    case PRIMARY: o->primary = true; break;
    case RATE: o->rate = (uint32_t)v->number; break;
    case TRACE: o->trace++; break;
    case REPLAY: o->replay = v->text; break;
    case SAVE: o->save = v->text; break;
    case NO_SHRINK: o->no_shrink = true; break;
    case FIRST: o->first = true; break;
    case JOBS: o->jobs = (uint32_t)v->number; break;
    case JSON: o->json = true; break;
    case DAYS: o->days = v->real; break;
    case WEEK: o->week = true; break;
    case SCALE: o->scale = true; break;
    case HELP: o->help = true; break;
    case KEYS: UNREACHABLE();
    }
}

static bool read_value(enum key key, const char *text, struct value *v)
{
    char *end;
    v->text = text;
    switch (keys[key].kind) {
    case TEXT: return true;
    case NUMBER:
        v->number = strtoull(text, &end, 0);
        return *text >= '0' && *text <= '9' && !*end && v->number <= keys[key].most;
    case REAL:
        v->real = strtod(text, &end);
        return *text >= '0' && *text <= '9' && !*end && v->real <= (double)keys[key].most;
    case FLAG: break;
    }
    UNREACHABLE();
}

int options_parse(struct options *o, int argc, char *const *argv, struct err *e)
{
    *o = (struct options){
        .seeds = 1, .nodes = UINT32_MAX, .rate = UINT32_MAX, .seconds = 60, .jobs = 1};
    for (int i = 1; i < argc; i++) {
        uint32_t k = 0;
        struct value v = {0};
        while (k < KEYS && strcmp(argv[i], keys[k].name) != 0)
            k++;
        if (k == KEYS)
            return err_set(e, ERR_INVAL, "%s is no option; --help lists them", argv[i]);
        if (keys[k].kind != FLAG && i + 1 == argc)
            return err_set(e, ERR_INVAL, "%s needs a value", argv[i]);
        if (keys[k].kind != FLAG && !read_value((enum key)k, argv[++i], &v))
            return err_set(e, ERR_INVAL, "%s %s is not a number within bounds", keys[k].name,
                           argv[i]);
        set(o, (enum key)k, &v);
    }
    return 0;
}

int options_split(char *line, char **words, int most, int *n, struct err *e)
{
    *n = 0;
    for (char *p = line; *p;) {
        char end = ' ';
        while (*p && strchr(" \t\r\n", *p))
            p++;
        if (!*p || *p == '#')
            return 0;
        if (*n == most)
            return err_set(e, ERR_LIMIT, "a line has more than %d words", most);
        if (*p == '\'')
            end = *p++;
        words[(*n)++] = p;
        while (*p && (end == '\'' ? *p != end : !strchr(" \t\r\n", *p)))
            p++;
        if (end == '\'' && !*p)
            return err_set(e, ERR_INVAL, "a quote is not closed");
        if (*p)
            *p++ = '\0';
    }
    return 0;
}
