/* Gauges that a dead proxy left behind. Counters go on where they stood, but what was open is open
 * no more. The rows belong to the workers alone; between their death and the start of the next ones
 * nobody writes but the supervisor. Sizes are our own constants: the header of the region can be
 * written by every child. */
#include "daemon/supervisor.h"

static void clear_instance(struct supervisor *s, uint32_t worker, const struct view_instance *i)
{
    struct instance_row *row = &s->cells.instances[(size_t)worker * VIEW_MAX_SLOTS + i->slot];
    cell_set(&row->inflight, 0);
    cell_set(&row->idle, 0);
}

static void clear_worker(struct supervisor *s, uint32_t worker)
{
    const struct view *v = s->now.view;
    cell_set(&s->cells.processes[PROCESS_WORKER0 + worker].connections, 0);
    for (uint32_t i = 0; v && i < v->n_sockets; i++) {
        size_t row = (size_t)worker * CELLS_LISTENERS + v->sockets[i].slot;
        cell_set(&s->cells.listeners[row].open, 0);
    }
    for (uint32_t i = 0; v && i < v->n_services; i++) {
        const struct view_service *service = &v->services[i];
        size_t row = (size_t)worker * VIEW_MAX_SERVICES + service->slot;
        cell_set(&s->cells.services[row].tunnels, 0);
        for (uint32_t k = 0; k < service->n_instances; k++)
            clear_instance(s, worker, &service->instances[k]);
    }
}

void supervisor_clear_gauges(struct supervisor *s)
{
    if (s->now.view_fd < 0)
        return; /* no view was ever served */
    for (uint32_t w = 0; w < s->workers; w++)
        clear_worker(s, w);
}
