/* bench_logs: what the log core makes of files, and how fast. For tests and for people who tune it.
 *
 *   bench_logs FILE             lines per second of processor time
 *   bench_logs --matches PACK FILE    the lines that rules match, each with its rule's number; the
 * rules bench_logs --groups FILE    for each line "L" and its group, then the groups: "J" was
 * joined with another, "T" lines, error or not, text */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "detect/logs/lines.h"
#include "detect/logs/miner.h"
#include "detect/logs/packs.h"

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

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int bench(const char *path)
{
    struct str all = read_file(path), line;
    struct miner *m = miner_new(MINER_MOST, NULL, NULL);
    for (int round = 0; round < 5; round++) {
        struct lines l = {0}, l2 = {0};
        struct str bytes = all;
        double t0 = now_s();
        while (lines_next(&l, &bytes, &line))
            ;
        double t1 = now_s();
        bytes = all;
        bool founded;
        while (lines_next(&l2, &bytes, &line))
            miner_line(m, line, &founded);
        double t2 = now_s();
        printf("split %.0f lines/s, mine %.0f lines/s, %u templates, %zu bytes\n",
               (double)l.n / (t1 - t0), (double)l.n / (t2 - t1), miner_templates(m),
               miner_bytes(m));
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
