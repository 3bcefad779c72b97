/* bench_logs: what the log core makes of files, and how fast. For tests and for people who tune it.
 *
 *   bench_logs FILE             lines per second of processor time
 *   bench_logs --matches PACK FILE    the lines that rules match, each with its rule's number; the
 * rules bench_logs --groups FILE    for each line "L" and its group, then the groups: "J" was
 * joined with another, "T" lines, error or not, text */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "detect/logs/logs.h"

static struct str read_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        perror(path);
        exit(1);
    }
    struct buf b = {0};
    char piece[65536];
    for (size_t n; (n = fread(piece, 1, sizeof piece, f));)
        if (!buf_add(&b, piece, n))
            exit(1);
    fclose(f);
    return buf_str(&b);
}

/* Groups that were joined, by their ids. */
struct joined {
    uint64_t gone, into;
};
struct joins {
    struct joined *all;
    size_t n;
};

static void gone(void *context, struct template *t, struct template *into)
{
    struct joins *j = context;
    j->all = mem_resize(j->all, (j->n + 1) * sizeof *j->all);
    if (!j->all)
        exit(1);
    j->all[j->n++] = (struct joined){t->id, into ? into->id : t->id};
}

static int groups(const char *path)
{
    struct joins joins = {0};
    struct miner *m = miner_new(MINER_MOST, gone, &joins);
    struct lines l = {0};
    struct str bytes = read_file(path), line;
    while (lines_next(&l, &bytes, &line) || lines_last(&l, &line)) {
        bool founded;
        const struct template *t = miner_line(m, line, &founded);
        printf("L %016llx\n", t ? (unsigned long long)t->id : 0);
    }
    for (size_t i = 0; i < joins.n; i++)
        printf("J %016llx %016llx\n", (unsigned long long)joins.all[i].gone,
               (unsigned long long)joins.all[i].into);
    for (uint32_t i = 0; i < miner_slots(m); i++) {
        const struct template *t = miner_slot(m, i);
        if (t)
            printf("T %016llx %llu %d " STR_FMT "\n", (unsigned long long)t->id,
                   (unsigned long long)t->lines, t->error, STR_ARG(template_text(t)));
    }
    return 0;
}

static void print_rule(void *context, uint32_t rule)
{
    struct str *line = context;
    printf("%u\t" STR_FMT "\n", rule, STR_ARG(*line));
}

/* Each line that rules of the pack match, and the rule's name before it. */
static int matches(const char *pack, const char *path)
{
    enum logs_pack p = logs_pack_of(str_of(pack));
    if (p == LOGS_PACKS)
        return 2;
    uint32_t n;
    const struct logs_rule *all = logs_pack_rules(p, &n);
    struct err e;
    struct rules *r = rules_new(all, n, &e);
    if (!r) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    struct lines l = {0};
    struct str bytes = read_file(path), line;
    while (lines_next(&l, &bytes, &line))
        rules_match(r, line, print_rule, &line);
    for (uint32_t i = 0; i < n; i++)
        printf("#%u\t%s\n", i, all[i].name);
    return 0;
}

static void ignore(void *context, uint32_t rule)
{
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* All packs, and what a user may write. */
static struct rules *all_rules(void)
{
    struct logs_rule all[RULES_MOST] = {
        {.name = "user", .match = "FATAL|PANIC", .over = 5, .window = 10000000000}};
    uint32_t n = 1;
    for (uint32_t p = 0; p < LOGS_PACKS; p++) {
        uint32_t more;
        const struct logs_rule *pack = logs_pack_rules((enum logs_pack)p, &more);
        memcpy(all + n, pack, more * sizeof *pack);
        n += more;
    }
    return rules_new(all, n, NULL);
}

enum part { PART_SPLIT, PART_RULES, PART_MINE, PART_ALL, PARTS };

/* Seconds for one way through the bytes. */
static double run(enum part part, struct logs *l, struct rules *r, struct str bytes)
{
    struct str line;
    struct lines file = {0};
    double from = now_s();
    if (part == PART_SPLIT)
        while (lines_next(&file, &bytes, &line))
            ;
    else if (part == PART_RULES)
        while (lines_next(&file, &bytes, &line))
            rules_match(r, line, ignore, NULL);
    else
        for (uint64_t now = 1; bytes.n; now += 1000000) {
            struct str piece = {bytes.p, MIN(bytes.n, 65536)};
            logs_feed(l, &file, piece, now);
            bytes = (struct str){bytes.p + piece.n, bytes.n - piece.n};
        }
    double took = now_s() - from;
    lines_free(&file);
    return took;
}

/* The fastest of some rounds: what else the machine does only ever adds. */
static int bench(const char *path)
{
    static const char *const names[PARTS] = {"split", "split, rules", "split, mine",
                                             "all together"};
    struct str all = read_file(path), bytes = all, line;
    struct rules *r = all_rules();
    struct lines count = {0};
    while (lines_next(&count, &bytes, &line))
        ;
    printf("%llu lines, %.1f bytes each, %u rules\n", (unsigned long long)count.n,
           (double)all.n / (double)MAX(count.n, 1), rules_n(r));
    for (uint32_t part = 0; part < PARTS; part++) {
        struct logs_params p = {.rules = part == PART_ALL ? r : NULL, .learn = true};
        double best = 1e9;
        for (int round = 0; round < 5; round++) {
            struct logs *l = logs_new(&p, 0);
            double took = run((enum part)part, l, r, all);
            best = MIN(best, took);
            if (part == PART_ALL && round == 0)
                printf("%u templates, %zu bytes; %llu lines matched\n",
                       miner_templates(logs_miner(l)), miner_bytes(logs_miner(l)),
                       (unsigned long long)logs_counts(l)->matched);
            logs_free(l);
        }
        printf("%-13s %9.0f lines a second of processor time, %.0f ns each\n", names[part],
               (double)count.n / best, best * 1e9 / (double)count.n);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--groups") == 0)
        return groups(argv[2]);
    if (argc == 4 && strcmp(argv[1], "--matches") == 0)
        return matches(argv[2], argv[3]);
    if (argc == 2)
        return bench(argv[1]);
    fprintf(stderr, "usage: bench_logs [--groups] FILE\n");
    return 2;
}
