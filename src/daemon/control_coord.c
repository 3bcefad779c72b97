/* Which coordinator a node has. A node that is alone has a file in its state directory. */
#include "daemon/control_coord.h"

#include "daemon/control.h"
#include "daemon/paths.h"

void coordinating_init(struct control *c)
{
    c->configuring.coord = NULL;
}

void coordinating_end(struct control *c)
{
    struct coord *coord = c->configuring.coord;
    configuring_coord(c, NULL);
    coord_free(coord);
}

void coordinating_adopt(struct control *c)
{
    struct coord *coord = NULL;
    char path[PATHS_MAX];
    struct err e = {0};
    if (c->configuring.coord || c->view->cluster.coordinator.kind != COORDINATOR_LOCAL)
        return;
    int r = paths_join(path, c->o.state_dir, "coordinator.db", &e);
    r = r ? r : coord_embedded_new(&coord, c->loop, path, &e);
    if (r)
        log_error(c->log, "there is no coordinator: %s", e.text);
    else
        configuring_coord(c, coord);
}
