/* cluster: what the admin API says of the nodes that know each other, and what it may ask of them.
 *
 * A picture of one moment, filled in by the host for one answer (struct admin_host, `cluster`) and
 * freed with it: nothing here is kept. All of it lies in the picture's own arena, or outlives the
 * answer anyway (the view). This room does not know the mesh. */
#ifndef HF_ADMIN_CLUSTER_H
#define HF_ADMIN_CLUSTER_H

#include "base/base.h"
#include "member/member.h"
#include "view/view.h"

enum {
    CLUSTER_OBSERVERS_MAX = 32, /* names told of who hears a member, and of who does not */
    CLUSTER_REFUSALS_MAX = 16,
    CLUSTER_EXPLAIN_MAX = 4096,
};

struct admin_member {
    struct str name, zone; /* zone empty: none */
    struct addr address;   /* ADDR_NONE: not known */
    struct member_info info;
    struct str *hearing, *silent; /* names of observers that say that they hear it, and do not */
    uint32_t n_hearing, n_silent; /* at most CLUSTER_OBSERVERS_MAX; info has the whole counts */
};

/* Since the node started. */
struct admin_mesh_counts {
    uint64_t sent, received, sent_bytes, received_bytes; /* datagrams */
    struct {
        const char *reason; /* "forged"; constant */
        uint64_t n;
    } refused[CLUSTER_REFUSALS_MAX];
    uint32_t n_refused;
    uint32_t links; /* up now */
    bool real_time; /* heartbeats come before all ordinary work of the machine */
};

struct admin_cluster {
    struct arena arena;
    struct str name;
    struct admin_member *members; /* in the order of their names, this node among them */
    uint32_t n, self;             /* which of members this one is */
    struct str explain;           /* cuts, one English sentence a line; empty: none */
    uint32_t health;              /* 1 well .. MEMBER_HEALTH_MAX */
    bool isolated;                /* a minority: it agrees with nobody */
    bool left;                    /* this node said goodbye, and it is known or given up */
    struct admin_mesh_counts mesh;
};

/* Fills in all but `mesh`. v: where names, addresses and zones come from; a member that it does not
 * name is called by name(), which answers "" for one that is not known. *out is empty, and the
 * caller's to free in any case. */
int admin_cluster_fill(struct admin_cluster *out, const struct membership *m,
                       const struct view_cluster *v, const char *(*name)(void *, uint64_t),
                       void *context, struct err *e);
void admin_cluster_free(struct admin_cluster *c);

#endif
