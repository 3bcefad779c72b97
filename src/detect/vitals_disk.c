/* A file system: its room, whether it may be written, and how long a small write takes. */
#include "detect/vitals.h"

#include <math.h>

#include "detect/vitals_gauge.h"

enum { WRITE_KNOWN = 5, WRITE_MEMORY = 200 };
#define CLEARS_BELOW 0.02  /* of the size, under what is nearly full */
#define FULL_SHARE   0.999 /* what is left is the allocator's */
#define LEAST_S      0.05  /* a write that takes less is never slow */
#define ANYWAY_S     1.0   /* ... one that takes more always */
#define TIMES        8.0   /* what is usual */
#define TIMES_CLEAR  3.0

static const struct vital_rule rules[DISK_GAUGES] = {
    [GAUGE_NEARLY_FULL] = {FINDING_DISK_NEARLY_FULL, 1, 1, 1},
    [GAUGE_FULL] = {FINDING_DISK_FULL, 1, 1, 1},
    [GAUGE_READ_ONLY] = {FINDING_DISK_READ_ONLY, 1, 1, 1},
    [GAUGE_ERROR] = {FINDING_DISK_ERROR, 1, 1, 1},
    /* Two slow writes in a row, and those are two seconds apart. */
    [GAUGE_SLOW] = {FINDING_DISK_SLOW, 1, TIMES_CLEAR / TIMES, 0.6},
};

bool vitals_disk_init(struct vitals_disk *d, const struct vitals_host *host, struct str name,
                      double nearly_full)
{
    *d = (struct vitals_disk){.host = *host, .nearly_full = nearly_full};
    return str_copy(d->name, sizeof d->name, name) == name.n;
}

static struct vital_of of_disk(const struct vitals_disk *d, uint64_t now)
{
    return (struct vital_of){&d->host, SUBJECT_DISK, str_of(d->name), 0, now};
}

static void say_full(struct vitals_disk *d, uint64_t now)
{
    struct vital_of of = of_disk(d, now);
    vital_step(&of, &d->gauges[GAUGE_FULL], &rules[GAUGE_FULL], d->space_full || d->probe_full,
               d->probe_full ? "a write found no room" : "no room is left");
}

static void say_read_only(struct vitals_disk *d, uint64_t now)
{
    struct vital_of of = of_disk(d, now);
    vital_step(&of, &d->gauges[GAUGE_READ_ONLY], &rules[GAUGE_READ_ONLY],
               d->space_read_only || d->probe_read_only,
               d->space_read_only ? "it is mounted read-only now"
                                  : "a write was refused: read-only");
}

static double used(uint64_t size, uint64_t free)
{
    return size ? 1 - (double)MIN(free, size) / (double)size : 0;
}

void vitals_disk_space(struct vitals_disk *d, const struct vitals_space *s, uint64_t now)
{
    struct vital_of of = of_disk(d, now);
    double room = used(s->size, s->free), names = used(s->inodes, s->inodes_free);
    double most = MAX(room, names);
    struct vital_gauge *nearly = &d->gauges[GAUGE_NEARLY_FULL];
    double bound = d->nearly_full - (nearly->on ? CLEARS_BELOW : 0);
    d->space_full = most >= FULL_SHARE;
    vital_step(&of, nearly, &rules[GAUGE_NEARLY_FULL], most >= bound, "%.1f%% %s, %.0f%% is much",
               most * 100, names > room ? "of its inodes are taken" : "of it is taken",
               d->nearly_full * 100);
    d->was_writable |= !s->read_only;
    d->space_read_only = s->read_only && d->was_writable;
    say_full(d, now);
    say_read_only(d, now);
}

/* value: 1 is slow. */
static void judge_time(struct vitals_disk *d, double took, const char *what, uint64_t now)
{
    struct vital_of of = of_disk(d, now);
    double usual = d->known >= WRITE_KNOWN ? exp(d->typical) : ANYWAY_S / TIMES;
    double bound = MIN(MAX(LEAST_S, TIMES * usual), ANYWAY_S);
    vital_step(&of, &d->gauges[GAUGE_SLOW], &rules[GAUGE_SLOW], took / bound,
               "a write of 4 KiB with its sync %s %.0f ms, usual are %.1f", what, took * 1e3,
               usual * 1e3);
}

void vitals_disk_wrote(struct vitals_disk *d, enum vitals_write how, uint64_t took, uint64_t now)
{
    struct vital_of of = of_disk(d, now);
    double s = (double)took / 1e9;
    d->probe_full = how == WRITE_FULL;
    d->probe_read_only = how == WRITE_READ_ONLY;
    say_full(d, now);
    say_read_only(d, now);
    vital_step(&of, &d->gauges[GAUGE_ERROR], &rules[GAUGE_ERROR], how == WRITE_ERROR,
               "a write failed with an input/output error");
    if (how != WRITE_DONE)
        return;
    judge_time(d, s, "took", now);
    if (!d->gauges[GAUGE_SLOW].on)
        vital_learn(&d->typical, &d->known, s, WRITE_MEMORY);
}

void vitals_disk_waits(struct vitals_disk *d, uint64_t for_, uint64_t now)
{
    double s = (double)for_ / 1e9;
    if (s >= ANYWAY_S)
        judge_time(d, s, "is under way since", now);
}

void vitals_disk_repeat(struct vitals_disk *d)
{
    for (uint32_t i = 0; i < DISK_GAUGES; i++)
        d->gauges[i].said = 0;
}
