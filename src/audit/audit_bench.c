/* audit_bench: what a million events cost the loop that they come from, and what is left of them.
 * No test: it measures, and judges nothing. Usage: bench_audit [DIR [EVENTS [PER_TURN]]]
 *
 * A loop adds PER_TURN events each millisecond, as in a storm of changing verdicts, and measures
 * each audit_add and each turn; the same loop without the audit is measured before. */
#include "audit/inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

struct run {
    struct loop *loop;
    struct audit *audit; /* NULL: the loop alone */
    struct timer tick;
    uint64_t events, per_turn, added, refused;
    uint32_t *adds, *turns; /* ns */
    uint64_t n_turns;
};

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void say(const char *what, uint32_t *ns, uint64_t n)
{
    double sum = 0;
    for (uint64_t i = 0; i < n; i++)
        sum += ns[i];
    qsort(ns, n, sizeof *ns, by_size);
    printf("%-34s mean %8.0f ns, p50 %7u, p99 %8u, p99.9 %8u, max %9u\n", what, sum / (double)n,
           ns[n / 2], ns[n * 99 / 100], ns[n * 999 / 1000], ns[n - 1]);
}

/* The record of an instance that failed: eight signals. */
static bool add(struct run *r)
{
    char subject[64], text[128];
    struct audit_signal signals[8];
    uint64_t now = clock_now();
    for (uint32_t i = 0; i < ARRAY_LEN(signals); i++)
        signals[i] = (struct audit_signal){i % 2 ? STR("check-refused") : STR("check-ok"),
                                           STR("control"),
                                           STR(""),
                                           now - i,
                                           200,
                                           i};
    int n = snprintf(subject, sizeof subject, "web/10.0.0.%u:3000", (unsigned)(r->added % 250));
    int m = snprintf(text, sizeof text,
                     "suspect -> failed (checks-fail): 3 checks in a row failed, last failure: "
                     "connection refused, 0.%u s ago.",
                     (unsigned)(r->added % 10));
    struct audit_record record = {.seq = r->added,
                                  .boot = now,
                                  .wall = clock_wall(),
                                  .kind = AUDIT_VERDICT,
                                  .code = STR("instance-verdict"),
                                  .level = STR("warning"),
                                  .subject_kind = STR("instance"),
                                  .subject = {subject, (size_t)n},
                                  .before = STR("suspect"),
                                  .after = STR("failed"),
                                  .reason = STR("checks-fail"),
                                  .text = {text, (size_t)m},
                                  .rule = STR("failed: 3 checks or more failed in a row (fall)"),
                                  .evidence = signals,
                                  .n_evidence = ARRAY_LEN(signals)};
    uint64_t began = clock_now();
    bool ok = !r->audit || audit_add(r->audit, &record);
    r->adds[r->added] = (uint32_t)MIN(clock_now() - began, (uint64_t)UINT32_MAX);
    return ok;
}

static void on_tick(struct timer *t)
{
    struct run *r = CONTAINER_OF(t, struct run, tick);
    uint64_t began = clock_now();
    for (uint64_t i = 0; i < r->per_turn && r->added < r->events; i++) {
        r->refused += !add(r);
        r->added++;
    }
    r->turns[r->n_turns++] = (uint32_t)MIN(clock_now() - began, (uint64_t)UINT32_MAX);
    if (r->added == r->events)
        loop_stop(r->loop);
    else
        loop_timer_set(r->loop, t, loop_now(r->loop) + NS_PER_MS);
}

static void storm(struct run *r, const char *name)
{
    char what[64];
    r->added = r->refused = r->n_turns = 0;
    timer_init(&r->tick, on_tick);
    loop_timer_set(r->loop, &r->tick, loop_refresh(r->loop));
    uint64_t began = clock_now();
    loop_run(r->loop, NULL);
    double seconds = (double)(clock_now() - began) / 1e9;
    printf("%s: %llu events in %.1f s, %llu at a time\n", name, (unsigned long long)r->added,
           seconds, (unsigned long long)r->per_turn);
    snprintf(what, sizeof what, "  one event");
    say(what, r->adds, r->added);
    snprintf(what, sizeof what, "  a turn of the loop");
    say(what, r->turns, r->n_turns);
}

static void on_news(void *context, enum audit_news what, uint64_t n, const char *text)
{
    (void)context;
    if (what != AUDIT_LOST) /* those are counted below */
        printf("  news %d: %llu %s\n", (int)what, (unsigned long long)n, text);
}

static double cpu(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)u.ru_utime.tv_sec + (double)u.ru_utime.tv_usec / 1e6 +
           (double)u.ru_stime.tv_sec + (double)u.ru_stime.tv_usec / 1e6;
}

int main(int argc, char **argv)
{
    char path[256];
    struct run r = {.events = argc > 2 ? strtoull(argv[2], NULL, 10) : 1000000,
                    .per_turn = argc > 3 ? strtoull(argv[3], NULL, 10) : 20};
    struct audit_options o = {.path = path,
                              .node = "a",
                              .limits = {30 * 86400 * NS_PER_S, 200000, 64 << 20},
                              .queue = 4 << 20,
                              .news = on_news};
    snprintf(path, sizeof path, "%s/audit-bench.db", argc > 1 ? argv[1] : "/tmp");
    r.adds = mem_alloc(r.events * sizeof *r.adds);
    r.turns = mem_alloc(r.events * sizeof *r.turns);
    if (!r.adds || !r.turns || loop_new(&r.loop, NULL))
        return 1;
    storm(&r, "without an audit");
    o.loop = r.loop;
    if (audit_new(&r.audit, &o, NULL))
        return 1;
    double before = cpu();
    uint64_t began = clock_now();
    storm(&r, "with one");
    audit_free(r.audit);
    double seconds = (double)(clock_now() - began) / 1e9;
    struct stat st = {0};
    struct rusage u;
    stat(path, &st);
    getrusage(RUSAGE_SELF, &u);
    printf(
        "  %llu had no place; %.2f us of CPU for each event, both threads; %.1f s until the last "
        "was "
        "written\n  file %lld KiB; at most %ld KiB in memory, of which %llu of this measurement\n",
        (unsigned long long)r.refused, (cpu() - before) * 1e6 / (double)r.events, seconds,
        (long long)st.st_size / 1024, u.ru_maxrss,
        (unsigned long long)(2 * r.events * sizeof *r.adds / 1024));
    remove(path);
    loop_free(r.loop);
    mem_free(r.adds);
    mem_free(r.turns);
    return 0;
}
