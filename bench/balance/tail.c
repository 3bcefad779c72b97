/* tail: compares the tail latencies of all balancing algorithms, by simulation.
 * Usage: bench_balance_tail [--write FILE] [--seeds N]
 *
 * Prints tables in Markdown, or puts them into FILE between its two marks. Deterministic: the same
 * code makes the same tables. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scenarios.h"

#define BEGIN "<!-- comparison: begin -->\n"
#define END   "<!-- comparison: end -->\n"

struct result {
    double p50, p99, p999; /* ns */
    double imbalance, slow_share;
};

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "tail: %s\n", what);
    exit(1);
}

static struct result summarise(struct samples *all)
{
    samples_sort(all);
    struct result r = {
        .p50 = samples_at(all, 0.5),
        .p99 = samples_at(all, 0.99),
        .p999 = samples_at(all, 0.999),
        .imbalance = all->runs ? all->imbalance / all->runs : 0,
        .slow_share = all->picks ? (double)all->slow_picks / (double)all->picks : 0,
    };
    mem_free(all->ns);
    return r;
}

/* The first variant also tells what the requests are without a service: the least that there is. */
static void measure(uint32_t scenario, uint32_t seeds, struct result *rows)
{
    struct samples unloaded = {0};
    for (uint32_t v = 0; v < VARIANTS; v++) {
        struct samples all = {0};
        for (uint32_t seed = 1; seed <= seeds; seed++)
            if (!simulate(&scenarios[scenario], &variants[v], seed, &all, v ? NULL : &unloaded))
                die("out of memory");
        rows[v] = summarise(&all);
    }
    rows[VARIANTS] = summarise(&unloaded);
    fprintf(stderr, "%s\n", scenarios[scenario].name);
}

static const char *name_of(uint32_t row)
{
    return row < VARIANTS ? variants[row].name : "(no waiting, nothing slow)";
}

/* In ms; from ten seconds on a queue has grown all the time. */
static void put_time(struct buf *b, double ns)
{
    double ms = ns / (double)MS;
    if (ms >= 10000)
        buf_printf(b, " | %.0f s", ms / 1000);
    else
        buf_printf(b, ms < 10 ? " | %.1f" : " | %.0f", ms);
}

static void put_overview(struct buf *b, struct result results[SCENARIOS][VARIANTS + 1])
{
    buf_printf(b, "p99 in ms:\n\n| ");
    for (uint32_t s = 0; s < SCENARIOS; s++)
        buf_printf(b, "| %s ", scenarios[s].name);
    buf_printf(b, "|\n|---|");
    for (uint32_t s = 0; s < SCENARIOS; s++)
        buf_printf(b, "---|");
    for (uint32_t v = 0; v <= VARIANTS; v++) {
        buf_printf(b, "\n| %s", name_of(v));
        for (uint32_t s = 0; s < SCENARIOS; s++)
            put_time(b, results[s][v].p99);
        buf_printf(b, " |");
    }
    buf_printf(b, "\n\n");
}

static void put_scenario(struct buf *b, const struct scenario *s, const struct result *rows)
{
    bool slow = s->slow > 0 && s->slow < s->instances;
    buf_printf(b,
               "**%s**: %s.\n\n| | p50 | p99 | p99.9 | busiest / mean |%s\n|---|---|---|---|---|%s",
               s->name, s->what, slow ? " of requests to the slow |" : "", slow ? "---|" : "");
    for (uint32_t v = 0; v <= VARIANTS; v++) {
        buf_printf(b, "\n| %s", name_of(v));
        put_time(b, rows[v].p50);
        put_time(b, rows[v].p99);
        put_time(b, rows[v].p999);
        if (v == VARIANTS)
            buf_printf(b, slow ? " | | |" : " | |");
        else
            buf_printf(b, " | %.2f |", rows[v].imbalance);
        if (slow && v < VARIANTS)
            buf_printf(b, " %.1f %% |", rows[v].slow_share * 100);
    }
    buf_printf(b, "\n\n");
}

static void read_file(const char *path, struct buf *b)
{
    char piece[4096];
    FILE *f = fopen(path, "r");
    if (!f)
        die("the file cannot be read");
    for (size_t n; (n = fread(piece, 1, sizeof piece, f)) > 0;)
        buf_add(b, piece, n);
    fclose(f);
    buf_add(b, "", 1);
}

static void write_file(const char *path, const struct buf *tables)
{
    struct buf was = {0};
    read_file(path, &was);
    if (was.failed)
        die("out of memory");
    const char *text = (const char *)buf_str(&was).p;
    const char *begin = strstr(text, BEGIN), *end = begin ? strstr(begin, END) : NULL;
    if (!end)
        die("the file has no place for the comparison");
    FILE *f = fopen(path, "w");
    if (!f)
        die("the file cannot be written");
    fwrite(text, 1, (size_t)(begin - text) + strlen(BEGIN), f);
    fprintf(f, "\n%.*s", STR_ARG(buf_str(tables)));
    fputs(end, f);
    if (fclose(f))
        die("the file was not written");
    buf_free(&was);
}

int main(int argc, char **argv)
{
    static struct result results[SCENARIOS][VARIANTS + 1];
    const char *path = NULL;
    uint32_t seeds = 3;
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 < argc && strcmp(argv[i], "--write") == 0)
            path = argv[i + 1];
        else if (i + 1 < argc && strcmp(argv[i], "--seeds") == 0)
            seeds = (uint32_t)MAX(atoi(argv[i + 1]), 1);
        else
            die("usage: bench_balance_tail [--write FILE] [--seeds N]");
    }
    struct buf b = {0};
    for (uint32_t s = 0; s < SCENARIOS; s++)
        measure(s, seeds, results[s]);
    put_overview(&b, results);
    for (uint32_t s = 0; s < SCENARIOS; s++)
        put_scenario(&b, &scenarios[s], results[s]);
    if (b.failed)
        die("out of memory");
    if (path)
        write_file(path, &b);
    else
        printf(STR_FMT, STR_ARG(buf_str(&b)));
    buf_free(&b);
    return 0;
}
