/* fuse: what several nodes see of one instance, made into the verdict that this node acts on.
 *
 * Each node judges every instance over its own path (detect.h) and tells the others. "The instance
 * is dead" and "my path to it is dead" look alike from one place only. The rules:
 *
 *   1. What fails over the own path is failed here, whatever others see: this node cannot use it.
 *      If more of the others reach it than not, and they had the time to see the same (`settle`),
 *      the reason is own-path.
 *   2. What works over the own path works here: with good evidence of its own that is fresh, this
 *      node needs nobody else's.
 *   3. Otherwise (nothing is known here yet, or what is known is old, or the first checks fail) the
 *      others decide: failed if at least two of them say so, and they are more than half of those
 *      who know, this node included where it knows. So one bad observer fails nothing for others,
 *      and of two observers both must agree.
 *   4. Who knows: who counts (the caller says so: alive, and neither isolated nor in a minority),
 *      told it within `fresh`, and has evidence: an instance that is unchecked there is unknown.
 *   5. Certainty (detect.h) is of the own path only.
 *   6. What another node that counts sees from inside (its log, its machine: finding_is_inside) is
 *      believed, the worst of it, where it is worse than what is known here: it is no matter of
 *      paths. For the same reason a failure found here so is never my path.
 *
 * Own verdicts are told, never fused ones: nobody hears his own echo.
 *
 * Pure: no clock, no allocation. Source: P. Huang et al., "Gray Failure: The Achilles' Heel of
 * Cloud-Scale Systems", HotOS 2017 (differential observability). */
#ifndef HF_DETECT_FUSE_H
#define HF_DETECT_FUSE_H

#include "detect/detect.h"

enum { FUSE_OBSERVERS = 128 };

/* What one node thinks of one instance. Times are of this node's clock. */
struct observation {
    uint64_t node;   /* whose; the caller's numbers */
    uint64_t at;     /* ns, when it was told last; of the own one: of its latest evidence */
    uint64_t since;  /* ns, when the verdict became this */
    uint8_t verdict; /* enum verdict */
    uint8_t reason;  /* enum reason; unknown ones of newer programs included */
    bool certain;
    bool counts; /* of others: rule 4 */
    bool good;   /* of the own one: its latest evidence is good */
};
/* The own one. */
struct observation observation_of(const struct judge *j);

struct fused {
    enum verdict verdict;
    enum reason reason;
    bool certain;
    bool kept;               /* the node is in maintenance: what was good stays */
    bool others;             /* decided by what others see: rule 3 */
    uint32_t observers;      /* who know, this node included where it knows */
    uint32_t seen[VERDICTS]; /* of them, who see what */
};

/* ns. */
struct fuse_params {
    uint64_t fresh;  /* an older observation does not count */
    uint64_t settle; /* a failure here is the own path's only when it is older */
};

/* others: n of them, at most FUSE_OBSERVERS are looked at. */
struct fused fuse(const struct observation *own, const struct observation *others, uint32_t n,
                  const struct fuse_params *p, uint64_t now);
/* Nothing on a node in maintenance is judged worse than it was: good is the best verdict since
 * then, the one before included. */
void fuse_keep(struct fused *f, enum verdict good, enum reason good_reason);
/* Whether `o`, of another node, is one of those who know. */
bool observation_knows(const struct observation *o, uint64_t fresh, uint64_t now);
/* Who sees what, in words: "failed here, healthy from b and c: my path". Empty where nobody else
 * knows. name: of a node; NULL is passed over. Terminated, cut to fit; returns the length. */
size_t fuse_explain(const struct fused *f, const struct observation *own,
                    const struct observation *others, uint32_t n, uint64_t fresh, uint64_t now,
                    const char *(*name)(void *context, uint64_t node), void *context, char *out,
                    size_t size);

#endif
