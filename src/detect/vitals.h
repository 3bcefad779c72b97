/* vitals: what a machine's own numbers say of it: stalls, memory, tables that run full, disks,
 * interfaces, the clock. docs/vitals.md has the table: what is read, formula, thresholds.
 *
 * Numbers and time come in (struct vitals_sample and the others, each value as the kernel counts
 * it, each may be missing), findings go out (findings.h) through `found` and `gone`: at each look
 * while a condition stays, once when it is over. Every condition is a gauge with two thresholds:
 *
 *     value >= raise           found, with the weight of its rule
 *     clear <= value < raise   stays found if it was, with a weight that only keeps it
 *     value < clear            gone
 *
 * A look that saw it once is no finding: weights below 1 add up over looks (findings.h), so that
 * what lasts half a second raises nothing. What the kernel says for certain (a process was killed
 * for want of memory, a disk returned an error) has no threshold.
 *
 * What grows (memory, descriptors of a process) is judged by its trend: the Theil-Sen slope (the
 * median of the slopes between all pairs: saw teeth and single steps do not move it) and Kendall's
 * tau (how steadily it grows), over the latest points at three scales; found when the limit will be
 * met within the scale's horizon. It is a prediction: it degrades and never fails.
 *
 * Pure: no clock, no file, no allocation. One owner. Bounded: VITALS_NICS, VITALS_DEVICES; more are
 * not looked at.
 *
 * Sources: Linux Documentation/accounting/psi.rst, admin-guide/iostats.rst, proc(5), sysfs-class-
 * net; P. K. Sen, "Estimates of the regression coefficient based on Kendall's tau", JASA 1968;
 * software aging: S. Garg et al., "A methodology for detection and estimation of software aging",
 * ISSRE 1998. */
#ifndef HF_DETECT_VITALS_H
#define HF_DETECT_VITALS_H

#include "base/base.h"
#include "detect/findings.h"

enum { VITALS_NICS = 64, VITALS_DEVICES = 64, VITALS_NAME = 48 };

/* Where what is found goes. name: the subject's, as findings.h has it. */
struct vitals_host {
    void *context;
    void (*found)(void *context, enum subject_kind kind, struct str name,
                  const struct finding_signal *s);
    void (*gone)(void *context, enum subject_kind kind, struct str name, enum finding_kind what,
                 uint64_t key, uint64_t now);
};

/* One condition. Zeroed: it is not there. */
struct vital_gauge {
    bool on;
    uint64_t said; /* ns, the latest `found` */
};

/* ---- the machine ---- */

enum vital { /* bits of vitals_sample.has */
             VITAL_CPU = 1 << 0,
             VITAL_MEMORY = 1 << 1,
             VITAL_IO = 1 << 2,
             VITAL_TASKS = 1 << 3, /* running, tasks */
             VITAL_TASKS_MOST = 1 << 4,
             VITAL_FILES = 1 << 5,
             VITAL_CONNECTIONS = 1 << 6,
             VITAL_OOM = 1 << 7,
             VITAL_AHEAD = 1 << 8,
};

struct vitals_sample {
    uint64_t at;         /* ns, CLOCK_BOOTTIME */
    uint32_t has;        /* enum vital: what could be read */
    uint32_t processors; /* at least 1 */
    /* us since boot in which some task, or every one, waited: /proc/pressure */
    uint64_t cpu_some, memory_some, memory_full, io_full;
    uint64_t running, tasks; /* /proc/loadavg: want a processor now; there are */
    uint64_t tasks_most;     /* the smaller of pid_max and threads-max */
    uint64_t files, files_most;
    uint64_t connections, connections_most; /* nf_conntrack */
    uint64_t oom_kills;                     /* since boot */
    int64_t ahead;                          /* ns, CLOCK_REALTIME less CLOCK_BOOTTIME */
};

struct vitals_nic {
    char name[VITALS_NAME]; /* "eth0" */
    bool up;                /* it is wanted */
    bool carrier;           /* it works */
    bool counts;            /* the counters are known */
    uint64_t packets, bad; /* both ways, since it is there; bad: errors and drops by the hardware */
    /* the judge's */
    bool worked; /* it had a carrier once */
    bool seen;
    struct vital_gauge down, errors;
};

struct vitals_device {
    char name[VITALS_NAME]; /* "sda" */
    uint64_t operations;    /* completed reads and writes */
    uint64_t ms;            /* that these took, together */
    /* the judge's */
    bool seen;
    uint32_t known; /* looks that `typical` is made of, at most some */
    double typical; /* ms of one operation: the mean of logarithms, fading */
    struct vital_gauge slow;
};

enum {
    GAUGE_CPU,
    GAUGE_MEMORY,
    GAUGE_IO,
    GAUGE_RUNNING,
    GAUGE_TASKS,
    GAUGE_FILES,
    GAUGE_CONNECTIONS,
    GAUGE_OOM,
    GAUGE_CLOCK,
    GAUGES
};

struct vitals {
    struct vitals_host host;
    struct str node; /* the owner's, outlives it */
    struct vitals_sample last;
    struct vital_gauge gauges[GAUGES];
    struct vitals_nic nics[VITALS_NICS];
    struct vitals_device devices[VITALS_DEVICES];
    uint32_t n_nics, n_devices;
};

void vitals_init(struct vitals *v, const struct vitals_host *host, struct str node);
/* A look, about every second. The first one of each value only tells where counters stand. */
void vitals_look(struct vitals *v, const struct vitals_sample *s);
/* All interfaces there are (the judge's fields do not count): one that is wanted and has lost its
 * carrier, or damages more than 1 of 1,000 packets. One that disappears is forgotten. */
void vitals_nics(struct vitals *v, const struct vitals_nic *now, uint32_t n, uint64_t at);
/* All block devices there are: one whose operations take much longer than they used to. */
void vitals_devices(struct vitals *v, const struct vitals_device *now, uint32_t n, uint64_t at);
/* There is another listener: what is there is said again at the next look. */
void vitals_repeat(struct vitals *v);

/* ---- a file system that somebody needs ---- */

struct vitals_space {
    uint64_t size, free; /* bytes, free: for those without rights */
    uint64_t inodes, inodes_free;
    bool read_only;
};

enum vitals_write { WRITE_DONE, WRITE_FULL, WRITE_READ_ONLY, WRITE_ERROR, WRITE_REFUSED };

enum { GAUGE_NEARLY_FULL, GAUGE_FULL, GAUGE_READ_ONLY, GAUGE_ERROR, GAUGE_SLOW, DISK_GAUGES };

struct vitals_disk {
    struct vitals_host host;
    char name[256];     /* of the subject: "b:/var/lib/holdfast" */
    double nearly_full; /* share; 0.95 */
    bool was_writable;  /* a file system that was never is meant to be read-only */
    bool space_full, probe_full, space_read_only, probe_read_only;
    uint32_t known; /* writes that `typical` is made of, at most some */
    double typical; /* s of a write: the mean of logarithms, fading */
    struct vital_gauge gauges[DISK_GAUGES];
};

/* False: the name does not fit. */
bool vitals_disk_init(struct vitals_disk *d, const struct vitals_host *host, struct str name,
                      double nearly_full);
void vitals_disk_space(struct vitals_disk *d, const struct vitals_space *s, uint64_t now);
/* A small write with its sync has ended, after `took` ns. */
void vitals_disk_wrote(struct vitals_disk *d, enum vitals_write how, uint64_t took, uint64_t now);
/* It is under way, since `for_` ns. To be said every second or two. */
void vitals_disk_waits(struct vitals_disk *d, uint64_t for_, uint64_t now);
void vitals_disk_repeat(struct vitals_disk *d);

/* ---- a process that somebody needs ---- */

enum { TREND_POINTS = 32, TREND_SCALES = 3 };

struct trend {
    float value[TREND_POINTS]; /* a ring, oldest at `n % TREND_POINTS` when full */
    float at[TREND_POINTS];    /* s since `from` */
    uint64_t from, next;       /* ns */
    uint32_t n;                /* ever */
};

struct vitals_process_sample {
    uint64_t at;                  /* ns */
    uint64_t memory, memory_most; /* bytes; most 0: no limit is known, none is predicted */
    uint64_t files, files_most;   /* open descriptors; files_most 0: they are not known */
};

/* Of one process: zeroed when another takes its place. */
struct vitals_process {
    struct trend memory[TREND_SCALES], files;
    struct vital_gauge leak, descriptors;
};
void vitals_process_look(struct vitals_process *p, const struct vitals_host *host,
                         enum subject_kind kind, struct str name,
                         const struct vitals_process_sample *s);

#endif
