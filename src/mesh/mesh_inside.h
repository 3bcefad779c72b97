/* What mesh.c and mesh_lease.c share. Inside this room. */
#ifndef HF_MESH_INSIDE_H
#define HF_MESH_INSIDE_H

#include "mesh/contacts.h"
#include "mesh/links.h"
#include "mesh/mesh.h"
#include "mesh/pulse.h"

struct mesh {
    struct loop *loop;
    struct mesh_host host;
    struct pulse *pulse;
    struct links *links;
    struct contacts contacts; /* changed here only, with the pulse's lock */
    char cluster[256];        /* its name */
    char state_dir[4096];
    uint64_t incarnation; /* that it began with */
    struct timer save;    /* ... is not on the disk yet */
    bool save_failed;
    /* leases */
    uint64_t promise;  /* P of the terms in force */
    uint64_t kept;     /* P as it stands on the disk: none that was promised is longer */
    uint64_t terms_at; /* since when the terms are in force */
    uint64_t keep_at;  /* P could not be kept, and is tried again then; 0: it could */
};

/* What a disk did not take is tried again after so long. */
#define MESH_KEEP_AGAIN (1 * NS_PER_S)

/* mesh.c */
void mesh_complain(struct mesh *m, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A number in a file of the state directory. mesh_kept: 0 where there is none, or none that can be
 * read: that is no reason not to start. */
int mesh_keep(const struct mesh *m, const char *name, uint64_t number, struct err *e);
uint64_t mesh_kept(struct mesh *m, const char *name);

/* mesh_lease.c */
/* For a mesh that begins: the terms, and until when this node may not vote. */
void mesh_lease_begin(struct mesh *m, const struct view_cluster *c, struct lease_params *terms,
                      uint64_t *quiet);
void mesh_lease_terms(struct mesh *m, const struct view_cluster *c);
void mesh_lease_beat(struct mesh *m);
void mesh_lease_news(void *context, uint64_t role, unsigned effects);

#endif
