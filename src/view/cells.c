/* Where the tables of the shared region lie. Sizes come from the header, once, and are compared
 * with the region before anything points into it. */
#include "view/cells.h"
#include "view/view.h"

enum { ROW = 64 };

_Static_assert(sizeof(struct cells_header) <= ROW, "the header takes one row");
_Static_assert(sizeof(struct process_row) % ROW == 0, "no two writers share a cache line");
_Static_assert(sizeof(struct service_row) % ROW == 0, "no two writers share a cache line");
_Static_assert(sizeof(struct instance_verdict) % ROW == 0, "no two writers share a cache line");
_Static_assert(sizeof(struct instance_row) % ROW == 0, "no two writers share a cache line");
_Static_assert(sizeof(struct listener_row) % ROW == 0, "no two writers share a cache line");
_Static_assert(sizeof(struct role_row) == 4 * ROW, "its two writers share no cache line");
_Static_assert(sizeof(struct votes_head) == ROW && sizeof(struct vote_row) == ROW, "whole rows");
_Static_assert((int)CELLS_LISTENERS == (int)VIEW_MAX_SOCKETS, "every listener has its row");
_Static_assert((int)CELLS_PLACES == (int)VIEW_MAX_ON, "every place has its cell");
_Static_assert(sizeof(size_t) == 8, "the largest region must not overflow");

struct layout {
    size_t processes, services, verdicts, instances, listeners, roles, votes_head, votes, end;
};

static struct layout lay_out(uint32_t workers, uint32_t services, uint32_t slots)
{
    struct layout l;
    l.processes = ROW;
    size_t lanes = (size_t)CELLS_BANKS * workers;
    l.services = l.processes + cells_process_rows(workers) * sizeof(struct process_row);
    l.verdicts = l.services + lanes * services * sizeof(struct service_row);
    l.instances = l.verdicts + (size_t)slots * sizeof(struct instance_verdict);
    l.listeners = l.instances + lanes * slots * sizeof(struct instance_row);
    l.roles = l.listeners + lanes * CELLS_LISTENERS * sizeof(struct listener_row);
    l.votes_head = l.roles + (size_t)services * sizeof(struct role_row);
    l.votes = l.votes_head + sizeof(struct votes_head);
    l.end = l.votes + CELLS_VOTES * sizeof(struct vote_row);
    return l;
}

static bool sizes_valid(uint32_t workers, uint32_t services, uint32_t slots)
{
    return workers >= 1 && workers <= CELLS_MAX_WORKERS && services <= VIEW_MAX_SERVICES &&
           slots <= VIEW_MAX_SLOTS;
}

size_t cells_size(uint32_t workers, uint32_t services, uint32_t slots)
{
    CHECK(sizes_valid(workers, services, slots));
    return lay_out(workers, services, slots).end;
}

void cells_format(void *region, uint32_t workers, uint32_t services, uint32_t slots, uint64_t now)
{
    CHECK(sizes_valid(workers, services, slots));
    CHECK((uintptr_t)region % ROW == 0);
    struct cells_header *h = region;
    *h = (struct cells_header){CELLS_MAGIC, CELLS_VERSION, workers, services, slots, now};
}

int cells_attach(struct cells *c, void *region, size_t size, struct err *e)
{
    CHECK((uintptr_t)region % ROW == 0);
    if (size < sizeof(struct cells_header))
        return err_set(e, ERR_PROTO, "a region of %zu bytes is too small for shared tables", size);
    struct cells_header h;
    memcpy(&h, region, sizeof h);
    if (h.magic != CELLS_MAGIC || h.version != CELLS_VERSION)
        return err_set(e, ERR_PROTO, "the region does not hold shared tables of version %d",
                       CELLS_VERSION);
    if (!sizes_valid(h.workers, h.services, h.slots))
        return err_set(e, ERR_PROTO, "the shared tables have impossible sizes");
    struct layout l = lay_out(h.workers, h.services, h.slots);
    if (l.end > size)
        return err_set(e, ERR_PROTO, "the shared tables need %zu bytes, the region has %zu", l.end,
                       size);
    char *base = region;
    *c = (struct cells){
        .header = region,
        .processes = (void *)(base + l.processes),
        .services = (void *)(base + l.services),
        .verdicts = (void *)(base + l.verdicts),
        .instances = (void *)(base + l.instances),
        .listeners = (void *)(base + l.listeners),
        .roles = (void *)(base + l.roles),
        .votes_head = (void *)(base + l.votes_head),
        .votes = (void *)(base + l.votes),
        .size = l.end,
        .workers = h.workers,
    };
    return 0;
}

/* While two change places both may say that they serve: the younger one does. */
uint32_t cells_serving(const struct cells *c)
{
    uint32_t found = 0;
    uint64_t youngest = 0;
    for (uint32_t bank = 0; bank < CELLS_BANKS; bank++) {
        const struct process_row *r = &c->processes[cells_proxy_row(c->workers, bank)];
        uint64_t generation = cell_get(&r->generation);
        if (cell_get(&r->role) == PROXY_SERVES && generation > youngest) {
            youngest = generation;
            found = bank;
        }
    }
    return found;
}

static bool bank_has_clients(const struct cells *c, uint32_t bank)
{
    uint64_t role = cell_get(&c->processes[cells_proxy_row(c->workers, bank)].role);
    return role == PROXY_SERVES || role == PROXY_DRAINS;
}

bool cells_quiet(const struct cells *c, uint32_t slot, uint64_t hold)
{
    for (uint32_t bank = 0; bank < CELLS_BANKS; bank++)
        for (uint32_t k = 0; bank_has_clients(c, bank) && k < c->workers; k++)
            if (cell_get(&cells_service(c, cells_lane(c, bank, k), slot)->quiet) != hold)
                return false;
    return true;
}
