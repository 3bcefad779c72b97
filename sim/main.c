/* holdfast-sim: runs seeds and says how they end. See options.c for its command line, run.c for
 * what one seed is. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "jobs.h"
#include "measure.h"
#include "nemesis.h"
#include "options.h"
#include "primary.h"
#include "run.h"
#include "shrink.h"

enum { SHRINK_TRIES = 400, FOUND_MOST = 20, WORDS_MOST = 32, LINE_MOST = 1 << 16 };

struct session {
    struct options o;
    struct plan plan;
    struct faults given;
    struct jitter jitter, invented;
    double began;
    uint64_t done, broken, faults, events, packets, fewest;
};

static double clock_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The line that makes this run again. */
static void put_line(const struct session *s, const struct outcome *r, const struct faults *f,
                     struct buf *out)
{
    buf_printf(out, "holdfast-sim --seed 0x%llx --nodes %u", (unsigned long long)r->seed, r->nodes);
    if (s->o.seconds != 60)
        buf_printf(out, " --seconds %g", s->o.seconds);
    buf_printf(out, "%s%s%s", s->o.wan ? " --wan" : "", s->o.plain ? " --plain" : "",
               s->o.primary ? " --primary" : "");
    if (s->o.rate != UINT32_MAX)
        buf_printf(out, " --rate %u", s->o.rate);
    if (s->o.jitter)
        buf_printf(out, " --jitter %s", s->o.jitter);
    buf_printf(out, " --faults '");
    faults_print(f, r->nodes, out);
    buf_printf(out, "'");
}

struct narrowing {
    const struct plan *plan;
    const struct outcome *found;
};

static bool still_breaks(void *context, const struct faults *f)
{
    struct narrowing *n = context;
    struct plan p = *n->plan;
    struct outcome again;
    p.faults = f;
    p.trace = NULL;
    p.nodes = n->found->nodes;
    run_seed(&p, n->found->seed, &again);
    return again.broken == n->found->broken;
}

static void save(const struct session *s, struct str line)
{
    FILE *f = s->o.save ? fopen(s->o.save, "a") : NULL;
    if (s->o.save && !f)
        sim_die("cannot write %s", s->o.save);
    if (f) {
        fprintf(f, STR_FMT "\n", STR_ARG(line));
        fclose(f);
    }
}

/* Says what was broken, and the smallest schedule that breaks it. */
static void report(struct session *s, const struct outcome *r)
{
    struct faults f;
    struct narrowing n = {&s->plan, r};
    struct shrink_test test = {&n, still_breaks};
    struct buf line = {0};
    uint32_t drawn, tries = 0;
    run_faults(&s->plan, r->seed, &f);
    drawn = f.n;
    if (!s->o.no_shrink && !s->plan.trace && s->o.jobs)
        tries = shrink(&f, &test, SHRINK_TRIES);
    put_line(s, r, &f, &line);
    fprintf(stderr, "I%d broken at %.3f s by seed 0x%llx (%u nodes, %s%s%s): %s\n", (int)r->broken,
            (double)r->broken_at / 1e9, (unsigned long long)r->seed, r->nodes,
            r->probing ? "probing" : "all pairs", r->wan ? ", wide area" : "",
            r->late ? ", jitter" : "", r->text);
    if (tries)
        fprintf(stderr, "  %u of %u faults are enough (%u runs). ", f.n, drawn, tries);
    fprintf(stderr, "  Replay:\n" STR_FMT "\n", STR_ARG(sim_text(&line)));
    save(s, sim_text(&line));
    buf_free(&line);
}

/* ---- seeds */

static void work(void *context, const struct job *j)
{
    struct session *s = context;
    struct outcome r;
    for (uint64_t i = j->index; s->o.hours > 0 || i < s->o.seeds; i += j->count) {
        if (s->o.hours > 0 && clock_s() - s->began > s->o.hours * 3600)
            return;
        run_seed(&s->plan, s->o.seed + i, &r);
        job_write(j, &r, sizeof r);
    }
}

static bool collect(void *context, const void *record)
{
    struct session *s = context;
    const struct outcome *r = record;
    s->done++;
    s->faults += r->faults;
    s->events += r->events;
    s->packets += r->packets;
    s->fewest = MIN(s->fewest, r->faults);
    if (r->broken) {
        s->broken++;
        report(s, r);
    }
    return s->broken < (s->o.first ? 1 : FOUND_MOST);
}

static void summarise(const struct session *s)
{
    double took = clock_s() - s->began;
    if (s->o.json)
        printf(
            "{\"seed\": \"0x%llx\", \"seeds\": %llu, \"broken\": %llu, \"faults\": %llu, "
            "\"fewest_faults\": %llu, \"events\": %llu, \"datagrams\": %llu, \"seconds\": %.2f}\n",
            (unsigned long long)s->o.seed, (unsigned long long)s->done,
            (unsigned long long)s->broken, (unsigned long long)s->faults,
            (unsigned long long)s->fewest, (unsigned long long)s->events,
            (unsigned long long)s->packets, took);
    else
        printf("%llu seeds from 0x%llx, %llu broken: %llu faults (at least %llu each), %llu "
               "datagrams, %llu events in %.1f s (%.1f seeds/s)\n",
               (unsigned long long)s->done, (unsigned long long)s->o.seed,
               (unsigned long long)s->broken, (unsigned long long)s->faults,
               (unsigned long long)s->fewest, (unsigned long long)s->packets,
               (unsigned long long)s->events, took, (double)s->done / took);
}

static bool run_seeds(struct session *s)
{
    uint64_t died = 0;
    s->fewest = UINT64_MAX;
    if (s->plan.trace) {
        struct outcome r;
        run_seed(&s->plan, s->o.seed, &r);
        collect(s, &r);
    } else if (!jobs_run(s->o.jobs, sizeof(struct outcome), work, collect, s, &died)) {
        sim_die("the job with seed 0x%llx has died", (unsigned long long)(s->o.seed + died));
    }
    summarise(s);
    return s->broken == 0;
}

/* ---- what is asked for */

static void prepare(struct session *s)
{
    struct err e = {0};
    struct options *o = &s->o;
    uint32_t nodes = o->nodes == UINT32_MAX ? 5 : o->nodes;
    s->began = clock_s();
    jitter_invent(&s->invented);
    if (o->jitter && strcmp(o->jitter, "invented") == 0)
        jitter_invent(&s->jitter);
    else if (o->jitter && jitter_read(&s->jitter, o->jitter, &e))
        sim_die("%s", e.text);
    if (o->faults &&
        faults_parse(str_of(o->faults), MIN(MAX(nodes, 1), FAULT_NODES), &s->given, &e))
        sim_die("%s", e.text);
    if (!o->seed_given && (o->seeds > 1 || o->hours > 0 || o->replay == NULL))
        o->seed = ((uint64_t)time(NULL) << 20) & UINT64_C(0xffffffffff);
    s->plan = (struct plan){.nodes = nodes,
                            .length = (uint64_t)(o->seconds * 1e9),
                            .plain = o->plain,
                            .wan = o->wan,
                            .rotate = o->rotate,
                            .primary = o->primary,
                            .rate = o->rate == UINT32_MAX ? PRIMARY_RHO : o->rate,
                            .wan_drawn = true,
                            .jitter = o->jitter ? &s->jitter : NULL,
                            .invented = &s->invented,
                            .faults = o->faults ? &s->given : NULL,
                            .trace = o->trace ? stdout : NULL,
                            .datagrams = o->trace > 1};
    if (nodes == 1 || nodes > FAULT_NODES || o->seconds < 8)
        sim_die("a run with faults has 2 to %d nodes and lasts 8 seconds or more", FAULT_NODES);
}

static void release(struct session *s)
{
    jitter_free(&s->jitter);
    jitter_free(&s->invented);
}

static bool quiet(struct session *s, bool week)
{
    struct options *o = &s->o;
    uint32_t nodes = o->nodes == UINT32_MAX ? (week ? 5 : 3) : o->nodes;
    if (nodes < 2 || nodes > 16)
        sim_die("this is measured with 2 to 16 nodes");
    struct quiet q = {.seed = o->seed,
                      .length = (uint64_t)((week ? 7 : o->days) * 86400e9),
                      .nodes = nodes,
                      .jobs = o->jobs,
                      .wan = o->wan || week,
                      .json = o->json,
                      .jitter = o->jitter ? &s->jitter
                                : week    ? NULL
                                          : &s->invented,
                      .recording = o->jitter ? o->jitter
                                   : week    ? "no jitter"
                                             : "invented jitter"};
    return measure_quiet(&q);
}

static void scale(const struct session *s)
{
    static const uint32_t sizes[] = {10, 100, 1000, 5000};
    if (s->o.nodes != UINT32_MAX)
        measure_scale(&s->o.nodes, 1, s->o.seed, s->o.json);
    else
        measure_scale(sizes, ARRAY_LEN(sizes), s->o.seed, s->o.json);
}

static bool replay_file(const char *path);

static bool carry_out(struct session *s)
{
    bool well = true;
    if (s->o.replay)
        return replay_file(s->o.replay);
    if (s->o.scale) {
        s->began = clock_s();
        scale(s);
        return true;
    }
    if (s->o.days > 0 || s->o.week) {
        struct options o = s->o;
        s->o.nodes = UINT32_MAX;
        s->o.seconds = 60;
        prepare(s);
        s->o.nodes = o.nodes;
        well = quiet(s, o.week);
    } else {
        prepare(s);
        well = run_seeds(s);
    }
    release(s);
    return well;
}

/* Each line is a command; all are run, and what breaks is told. */
static bool replay_file(const char *path)
{
    FILE *f = fopen(path, "r");
    char *line = sim_zero(1, LINE_MOST), *words[WORDS_MOST];
    uint32_t lines = 0, broken = 0;
    if (!f)
        sim_die("cannot open %s", path);
    for (int n; fgets(line, LINE_MOST, f);) {
        struct session s = {0};
        struct err e = {0};
        if (options_split(line, words, WORDS_MOST, &n, &e))
            sim_die("%s: %s", path, e.text);
        if (!n)
            continue;
        if (options_parse(&s.o, n, words, &e) || s.o.replay)
            sim_die("%s: %s", path, e.text);
        s.o.no_shrink = true;
        broken += !carry_out(&s);
        lines++;
    }
    fclose(f);
    mem_free(line);
    printf("%u lines of %s, %u broken\n", lines, path, broken);
    return broken == 0;
}

int main(int argc, char **argv)
{
    struct session s = {0};
    struct err e = {0};
    if (options_parse(&s.o, argc, argv, &e))
        sim_die("%s", e.text);
    if (s.o.help) {
        printf("%s", options_help);
        return 0;
    }
    return carry_out(&s) ? 0 : 1;
}
