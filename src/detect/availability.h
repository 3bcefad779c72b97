/* availability: the arithmetic that users plan with: from how often a node fails, how long it is
 * away, how fast a failure is seen and answered, and how many copies and voters there are, to the
 * downtime of a year and the probability that data is lost.
 *
 * Nodes fail independently, each after `mtbf` on average, and are back after `repair`; both are
 * exponential, so a node is away for the share
 *
 *   u = repair / (mtbf + repair)
 *
 *   failovers   year / mtbf                     the primary's node fails
 *   switching   failovers (detect + failover)   nobody serves
 *   copies      year u^n                        all n copies are away at once
 *   voters      year sum_{k >= majority} C(v, k) u^k (1 - u)^(v - k)
 *                                               no majority of v voters: no lease is renewed
 *   downtime    switching + copies + voters     an upper bound: these overlap
 *   unavailable downtime / year
 *
 * Data is lost when the last copy goes before another was made. A node loses its data after
 * `data_mtbf` on average, and `resync` later its successor has a copy; copies are made side by
 * side. With a = resync / data_mtbf the rate is
 *
 *   loss        n a^(n - 1) / data_mtbf         for a << 1: the paths n, n - 1, ... 0 of a chain
 *   probability 1 - exp(-loss year)
 *
 * With asynchronous replication a failover loses in addition what was acknowledged within the lag:
 * `lost_writes` seconds of writes a year, failovers times lag. With `sync` of k an acknowledged
 * write is on 1 + k nodes before it is acknowledged, and a single failure loses none.
 *
 * What it leaves out: failures that nodes have in common (power, a bad release, a network), which
 * in practice are the larger part; therefore it is a bound on what redundancy can give.
 *
 * Pure. Sources: birth and death chains of repairable systems as in K. S. Trivedi, "Probability and
 * Statistics with Reliability, Queuing, and Computer Science Applications", 2nd ed., chapter 8;
 * mean time to data loss: Patterson, Gibson and Katz, "A Case for RAID", SIGMOD 1988. */
#ifndef HF_DETECT_AVAILABILITY_H
#define HF_DETECT_AVAILABILITY_H

#include <stdint.h>

#define AVAILABILITY_YEAR (365.25 * 24 * 3600) /* s */
enum { AVAILABILITY_COPIES = 16, AVAILABILITY_VOTERS = 5 };

struct availability_plan {
    double mtbf, repair;      /* s, of a node; over 0 */
    double detect, failover;  /* s; 0 or more */
    double data_mtbf, resync; /* s, over 0: a node's data is gone; a new copy is whole */
    double lag;               /* s that asynchronous replicas are behind */
    uint32_t copies;          /* 1 to AVAILABILITY_COPIES */
    uint32_t voters;          /* 1 to AVAILABILITY_VOTERS */
    uint32_t sync;            /* replicas that a write waits for, below copies */
};

struct availability {
    double failovers;                 /* a year; 0 with one copy: there is nobody to take over */
    double switching, copies, voters; /* s of downtime a year, by cause */
    double downtime;                  /* s a year, all of them; at most a year */
    double available;                 /* share, 0 to 1 */
    double loss;                      /* times a year that all copies are lost */
    double loss_probability;          /* in a year */
    double lost_writes;               /* s of acknowledged writes a year */
};

struct availability availability_of(const struct availability_plan *p);

#endif
