/* contacts: the nodes of the view by their id on the wire: names and addresses. Inside this room;
 * one thread. At most VIEW_MAX_NODES, kept in the order of their ids. */
#ifndef HF_MESH_CONTACTS_H
#define HF_MESH_CONTACTS_H

#include "base/base.h"
#include "view/view.h"

struct contact {
    uint64_t id;
    struct addr addr;
    struct str name; /* owned */
    bool seen;       /* since contacts_begin */
};
struct contacts {
    struct contact list[VIEW_MAX_NODES];
    uint32_t n;
};

/* NULL: nobody. */
const struct contact *contacts_find(const struct contacts *p, uint64_t id);
const struct contact *contacts_named(const struct contacts *p, struct str name);
/* Between contacts_begin and contacts_end all that are to be are put; contacts_end drops the
 * others, `gone` hears of each before. */
void contacts_begin(struct contacts *p);
/* Adds one, or changes its address. ERR_EXISTS when another name has this id. */
int contacts_put(struct contacts *p, uint64_t id, struct str name, const struct addr *a,
                 struct err *e);
void contacts_end(struct contacts *p, void (*gone)(void *context, const struct contact *),
                  void *context);
void contacts_free(struct contacts *p);

#endif
