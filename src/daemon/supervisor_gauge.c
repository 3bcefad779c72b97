/* Gauges that a dead proxy left behind, and rows whose instance has gone. Counters go on where they
 * stood, but what was open is open no more. The rows belong to the workers alone; between their
 * death and the start of the next ones nobody writes but the supervisor. Sizes are our own
 * constants: the header of the region can be written by every child. */
#include "daemon/supervisor.h"

static struct instance_row *instance_row(struct supervisor *s, uint32_t lane, uint32_t slot)
{
    return &s->cells.instances[(size_t)lane * VIEW_MAX_SLOTS + slot];
}

static void clear_instance(struct instance_row *row)
{
    cell_set(&row->inflight, 0);
    cell_set(&row->idle, 0);
    cell_set(&row->verdict, VERDICT_HEALTHY); /* it has none any more */
}

static void clear_worker(struct supervisor *s, uint32_t bank, uint32_t worker)
{
    const struct view *v = s->now.view;
    uint32_t lane = bank * s->workers + worker;
    cell_set(&s->cells.processes[cells_proxy_row(s->workers, bank) + 1 + worker].connections, 0);
    for (uint32_t i = 0; v && i < v->n_sockets; i++) {
        size_t row = (size_t)lane * CELLS_LISTENERS + v->sockets[i].slot;
        cell_set(&s->cells.listeners[row].open, 0);
    }
    for (uint32_t i = 0; v && i < v->n_services; i++) {
        const struct view_service *service = &v->services[i];
        size_t row = (size_t)lane * VIEW_MAX_SERVICES + service->slot;
        cell_set(&s->cells.services[row].tunnels, 0);
        cell_set(&s->cells.services[row].waiting, 0);
        cell_set(&s->cells.services[row].held, 0);
        cell_set(&s->cells.services[row].commit_since, 0);
        cell_set(&s->cells.services[row].breaker, 0);
        for (uint32_t k = 0; k < service->n_instances; k++)
            clear_instance(instance_row(s, lane, service->instances[k].slot));
    }
}

void supervisor_clear_gauges(struct supervisor *s, uint32_t bank)
{
    if (s->now.view_fd < 0)
        return; /* no view was ever served */
    for (uint32_t w = 0; w < s->workers; w++)
        clear_worker(s, bank, w);
}

/* --- slots that change hands --- */

static void zero_row(struct instance_row *row)
{
    cell *cells = (cell *)row;
    for (size_t i = 0; i < sizeof *row / sizeof *cells; i++)
        cell_set(&cells[i], 0);
}

static void clear_slot(struct supervisor *s, uint32_t slot)
{
    for (uint32_t bank = 0; bank < CELLS_BANKS; bank++) {
        const struct child *c = &s->children[CHILD_PROXY + bank];
        if (child_runs(c) || c->generation == 0)
            continue;
        for (uint32_t w = 0; w < s->workers; w++)
            zero_row(instance_row(s, bank * s->workers + w, slot));
    }
}

void supervisor_clear_new(struct supervisor *s, const struct view *now, const struct view *next)
{
    uint64_t used[VIEW_MAX_SLOTS / 64] = {0};
    for (uint32_t i = 0; now && i < now->n_services; i++)
        for (uint32_t k = 0; k < now->services[i].n_instances; k++) {
            uint32_t slot = now->services[i].instances[k].slot;
            used[slot / 64] |= UINT64_C(1) << slot % 64;
        }
    for (uint32_t i = 0; i < next->n_services; i++)
        for (uint32_t k = 0; k < next->services[i].n_instances; k++) {
            uint32_t slot = next->services[i].instances[k].slot;
            if (!(used[slot / 64] >> slot % 64 & 1))
                clear_slot(s, slot);
        }
}
