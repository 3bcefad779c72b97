/* The machine: pressure, queues, tables, the clock; its interfaces and devices. */
#include "detect/vitals.h"

#include <math.h>
#include <string.h>

#include "detect/vitals_gauge.h"

#define S         UINT64_C(1000000000)
#define STEP      (S / 2)  /* the clock is slewed by 500 ppm at most: this is no slewing */
#define LOOKS_GAP (10 * S) /* counters of before so long a gap say nothing of now */

/* Weights: of looks a second apart, with kinds that fade in 10 s: 0.4 raises at the third, 0.25 at
 * the fifth, 0.15 at the eighth. */
static const struct vital_rule rules[GAUGES] = {
    [GAUGE_CPU] = {FINDING_CPU_PRESSURE, 0.9, 0.45, 0.15},
    [GAUGE_MEMORY] = {FINDING_MEMORY_PRESSURE, 0.2, 0.1, 0.4},
    [GAUGE_IO] = {FINDING_IO_PRESSURE, 0.8, 0.4, 0.15},
    [GAUGE_RUNNING] = {FINDING_RUN_QUEUE, 4, 2, 0.25},
    [GAUGE_TASKS] = {FINDING_PROCESSES, 0.9, 0.8, 1},
    [GAUGE_FILES] = {FINDING_DESCRIPTORS, 0.9, 0.8, 1},
    [GAUGE_CONNECTIONS] = {FINDING_CONNTRACK, 0.9, 0.8, 1},
    [GAUGE_OOM] = {FINDING_OOM_KILL, 1, 1, 1},
    [GAUGE_CLOCK] = {FINDING_CLOCK_STEP, 1, 1, 1},
};
static const struct vital_rule nic_down = {FINDING_NIC_DOWN, 1, 1, 1};
static const struct vital_rule nic_errors = {FINDING_NIC_ERRORS, 0.001, 0.0001, 0.4};
/* times what is usual */
static const struct vital_rule device_slow = {FINDING_DISK_SLOW, 8, 3, 0.4};
enum { NIC_ENOUGH = 100, DEVICE_ENOUGH = 5, DEVICE_KNOWN = 30, DEVICE_MEMORY = 300 };
#define DEVICE_LEAST_MS 50.0
#define CROWD           3.0 /* running tasks a processor: fewer wait hardly */

void vitals_init(struct vitals *v, const struct vitals_host *host, struct str node)
{
    *v = (struct vitals){.host = *host, .node = node};
}

static struct vital_of of_node(const struct vitals *v, uint64_t key, uint64_t now)
{
    return (struct vital_of){&v->host, SUBJECT_NODE, v->node, key, now};
}

/* The share of the time in which tasks waited. Counters that went back are another boot's. */
static double share(uint64_t now, uint64_t before, uint64_t ns)
{
    return now < before || ns == 0 ? 0 : MIN((double)(now - before) * 1000 / (double)ns, 1.0);
}

static double part(uint64_t n, uint64_t most)
{
    return most ? (double)n / (double)most : 0;
}

static void look_at_pressure(struct vitals *v, const struct vitals_sample *s)
{
    const struct vitals_sample *l = &v->last;
    struct vital_of of = of_node(v, 0, s->at);
    uint64_t ns = s->at - l->at;
    uint32_t has = s->has & l->has;
    double crowd = s->has & VITAL_TASKS ? part(s->running, MAX(s->processors, 1u)) : CROWD;
    if (has & VITAL_CPU) {
        double some = share(s->cpu_some, l->cpu_some, ns);
        vital_step(&of, &v->gauges[GAUGE_CPU], &rules[GAUGE_CPU], crowd >= CROWD ? some : 0,
                   "some task waited for a processor %.0f%% of the time, %.0f%% is too much",
                   some * 100, rules[GAUGE_CPU].raise * 100);
    }
    if (has & VITAL_MEMORY) {
        double some = share(s->memory_some, l->memory_some, ns);
        double full = share(s->memory_full, l->memory_full, ns);
        vital_step(&of, &v->gauges[GAUGE_MEMORY], &rules[GAUGE_MEMORY], MAX(some, 2 * full),
                   "some task waited for memory %.0f%% of the time and all did %.0f%%; "
                   "%.0f%% or %.0f%% is too much",
                   some * 100, full * 100, rules[GAUGE_MEMORY].raise * 100,
                   rules[GAUGE_MEMORY].raise * 50);
    }
    if (has & VITAL_IO) {
        double full = share(s->io_full, l->io_full, ns);
        vital_step(&of, &v->gauges[GAUGE_IO], &rules[GAUGE_IO], full,
                   "all tasks waited for disks %.0f%% of the time, %.0f%% is too much", full * 100,
                   rules[GAUGE_IO].raise * 100);
    }
}

static void look_at_tables(struct vitals *v, const struct vitals_sample *s)
{
    struct vital_of of = of_node(v, 0, s->at);
    if (s->has & VITAL_TASKS)
        vital_step(&of, &v->gauges[GAUGE_RUNNING], &rules[GAUGE_RUNNING],
                   part(s->running, MAX(s->processors, 1u)),
                   "%llu tasks want to run on %u processors", (unsigned long long)s->running,
                   s->processors);
    if ((s->has & VITAL_TASKS) && (s->has & VITAL_TASKS_MOST))
        vital_step(&of, &v->gauges[GAUGE_TASKS], &rules[GAUGE_TASKS], part(s->tasks, s->tasks_most),
                   "%llu tasks of at most %llu", (unsigned long long)s->tasks,
                   (unsigned long long)s->tasks_most);
    if (s->has & VITAL_FILES)
        vital_step(&of, &v->gauges[GAUGE_FILES], &rules[GAUGE_FILES], part(s->files, s->files_most),
                   "%llu open files of at most %llu", (unsigned long long)s->files,
                   (unsigned long long)s->files_most);
    if (s->has & VITAL_CONNECTIONS)
        vital_step(&of, &v->gauges[GAUGE_CONNECTIONS], &rules[GAUGE_CONNECTIONS],
                   part(s->connections, s->connections_most),
                   "%llu connections are tracked of at most %llu",
                   (unsigned long long)s->connections, (unsigned long long)s->connections_most);
}

static void look_at_kernel(struct vitals *v, const struct vitals_sample *s)
{
    const struct vitals_sample *l = &v->last;
    struct vital_of of = of_node(v, 0, s->at);
    uint32_t has = s->has & l->has;
    if (has & VITAL_OOM) {
        uint64_t killed = s->oom_kills > l->oom_kills ? s->oom_kills - l->oom_kills : 0;
        vital_step(&of, &v->gauges[GAUGE_OOM], &rules[GAUGE_OOM], (double)killed,
                   "the kernel killed %llu process%s for want of memory",
                   (unsigned long long)killed, killed == 1 ? "" : "es");
    }
    if (has & VITAL_AHEAD) {
        int64_t by = s->ahead - l->ahead;
        bool stepped = by >= (int64_t)STEP || by <= -(int64_t)STEP;
        vital_step(&of, &v->gauges[GAUGE_CLOCK], &rules[GAUGE_CLOCK], stepped,
                   "the time of day jumped by %+.3f s", (double)by / 1e9);
    }
}

void vitals_look(struct vitals *v, const struct vitals_sample *s)
{
    bool first = v->last.at == 0;
    if (!first && s->at <= v->last.at)
        return;
    if (!first && s->at - v->last.at < LOOKS_GAP)
        look_at_pressure(v, s);
    if (!first)
        look_at_kernel(v, s);
    look_at_tables(v, s);
    v->last = *s;
}

/* ---- interfaces ---- */

static struct vitals_nic *nic_of(struct vitals *v, const char *name)
{
    for (uint32_t i = 0; i < v->n_nics; i++)
        if (strncmp(v->nics[i].name, name, VITALS_NAME) == 0)
            return &v->nics[i];
    if (v->n_nics == VITALS_NICS)
        return NULL;
    struct vitals_nic *n = &v->nics[v->n_nics++];
    *n = (struct vitals_nic){0};
    str_copy(n->name, VITALS_NAME, (struct str){name, strnlen(name, VITALS_NAME - 1)});
    return n;
}

static void look_at_nic(struct vitals *v, struct vitals_nic *n, const struct vitals_nic *s,
                        uint64_t at)
{
    struct vital_of of = of_node(v, vital_key(n->name), at);
    bool compared = n->counts && s->counts && s->packets >= n->packets && s->bad >= n->bad;
    uint64_t packets = compared ? s->packets - n->packets : 0, bad = compared ? s->bad - n->bad : 0;
    n->worked |= s->up && s->carrier;
    vital_step(&of, &n->down, &nic_down, n->worked && s->up && !s->carrier, "%s has no carrier",
               n->name);
    if (packets + bad >= NIC_ENOUGH || n->errors.on)
        vital_step(&of, &n->errors, &nic_errors, part(bad, packets + bad),
                   "%s damaged or dropped %llu of %llu packets", n->name, (unsigned long long)bad,
                   (unsigned long long)(packets + bad));
    n->counts = s->counts;
    n->packets = s->packets;
    n->bad = s->bad;
    n->up = s->up;
    n->carrier = s->carrier;
    n->seen = true;
}

static void forget_nic(struct vitals *v, uint32_t i, uint64_t at)
{
    struct vitals_nic *n = &v->nics[i];
    struct vital_of of = of_node(v, vital_key(n->name), at);
    vital_step(&of, &n->down, &nic_down, 0, "%s", n->name);
    vital_step(&of, &n->errors, &nic_errors, 0, "%s", n->name);
    v->nics[i] = v->nics[--v->n_nics];
}

void vitals_nics(struct vitals *v, const struct vitals_nic *now, uint32_t n, uint64_t at)
{
    for (uint32_t i = 0; i < v->n_nics; i++)
        v->nics[i].seen = false;
    for (uint32_t i = 0; i < n; i++) {
        struct vitals_nic *known = nic_of(v, now[i].name);
        if (known)
            look_at_nic(v, known, &now[i], at);
    }
    for (uint32_t i = v->n_nics; i-- > 0;)
        if (!v->nics[i].seen)
            forget_nic(v, i, at);
}

/* ---- devices ---- */

static struct vitals_device *device_of(struct vitals *v, const char *name)
{
    for (uint32_t i = 0; i < v->n_devices; i++)
        if (strncmp(v->devices[i].name, name, VITALS_NAME) == 0)
            return &v->devices[i];
    if (v->n_devices == VITALS_DEVICES)
        return NULL;
    struct vitals_device *d = &v->devices[v->n_devices++];
    *d = (struct vitals_device){0};
    str_copy(d->name, VITALS_NAME, (struct str){name, strnlen(name, VITALS_NAME - 1)});
    return d;
}

/* "b:sda" */
static struct str device_subject(const struct vitals *v, const char *device, char out[256])
{
    size_t n = str_copy(out, 256, v->node);
    n += str_copy(out + n, 256 - n, STR(":"));
    n += str_copy(out + n, 256 - n, str_of(device));
    return (struct str){out, n};
}

static void judge_device(struct vitals *v, struct vitals_device *d, double each, uint64_t at)
{
    char name[256];
    struct vital_of of = {&v->host, SUBJECT_DISK, device_subject(v, d->name, name), 0, at};
    double usual = exp(d->typical), times = each / usual;
    bool judged = d->known >= DEVICE_KNOWN && each >= DEVICE_LEAST_MS;
    if (d->known)
        vital_step(&of, &d->slow, &device_slow, judged ? times : 0,
                   "an operation takes %.1f ms, usual are %.1f", each, usual);
    if (!d->slow.on)
        vital_learn(&d->typical, &d->known, each, DEVICE_MEMORY);
}

static void look_at_device(struct vitals *v, struct vitals_device *d, const struct vitals_device *s,
                           uint64_t at)
{
    bool compared = d->seen && s->operations >= d->operations && s->ms >= d->ms;
    uint64_t done = compared ? s->operations - d->operations : 0;
    if (done >= DEVICE_ENOUGH)
        judge_device(v, d, (double)(s->ms - d->ms) / (double)done, at);
    d->operations = s->operations;
    d->ms = s->ms;
    d->seen = true;
}

void vitals_devices(struct vitals *v, const struct vitals_device *now, uint32_t n, uint64_t at)
{
    for (uint32_t i = 0; i < n; i++) {
        struct vitals_device *known = device_of(v, now[i].name);
        if (known)
            look_at_device(v, known, &now[i], at);
    }
}

void vitals_repeat(struct vitals *v)
{
    for (uint32_t i = 0; i < GAUGES; i++)
        v->gauges[i].said = 0;
    for (uint32_t i = 0; i < v->n_nics; i++)
        v->nics[i].down.said = v->nics[i].errors.said = 0;
}
