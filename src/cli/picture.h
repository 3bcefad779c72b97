/* picture: a node's status as text, for `status` and `top`. Pure: an answer of GET /v1/status goes
 * in, lines come out. */
#ifndef HF_CLI_PICTURE_H
#define HF_CLI_PICTURE_H

#include <jansson.h>

#include "cli/term.h"

struct picture {
    const json_t *now;
    const json_t *before; /* an older answer, or NULL: then the node's own rates are shown */
    double seconds;       /* between the two */
    bool live;            /* for top: rates of errors, and of each listening address */
    const struct term *term;
};

/* Who and since when; processes that were restarted or do not turn; the cluster, live with its
 * members. */
void picture_node(const struct picture *p, struct buf *out);
/* How the nodes of a cluster are, in a line, and who cannot reach whom. cluster: an answer of GET
 * /v1/members, or the `cluster` of a status; null says nothing. */
void picture_cluster(const struct picture *p, const json_t *cluster, struct buf *out);
/* A row for each of its members. */
void picture_members(const struct picture *p, const json_t *cluster, struct buf *out);
/* A member that is suspect or failed and not in maintenance, or NULL. */
const char *picture_missing(const json_t *cluster);
/* Every service with its instances, and why those that are not healthy are not. */
void picture_services(const struct picture *p, struct buf *out);
/* Every watched job; and only how many there are, with those that are not healthy. */
void picture_beats(const struct picture *p, struct buf *out);
void picture_beats_short(const struct picture *p, struct buf *out);
/* Who is the primary of a service, or why nobody is: a piece of a line. role: of a status, or
 * whole.
 */
void picture_role_line(const struct term *t, const json_t *role, struct buf *out);
/* How far a candidate is behind; nothing where it is not known. */
void picture_lag(const json_t *candidate, struct buf *out);
/* An answer of GET /v1/roles; now: ns since 1970. */
void picture_roles(const struct term *t, uint64_t now, const json_t *answer, struct buf *out);
/* A service of it whose primary takes no writes, or NULL. */
const char *picture_headless(const json_t *answer);
/* A service without a healthy instance that takes requests, or NULL. */
const char *picture_unserved(const json_t *status);

#endif
