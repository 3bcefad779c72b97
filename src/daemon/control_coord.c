/* Which coordinator a node has: a node that is alone a file in its state directory, a cluster an
 * etcd, if its configuration names one. Who needs it is told when it comes and before it goes. */
#include "daemon/control_coord.h"

#include <stdio.h>

#include "daemon/control.h"
#include "daemon/paths.h"

enum { PASSWORD_MAX = 4096 };

void coordinating_init(struct control *c)
{
    c->configuring.coord = NULL;
}

static void replace(struct control *c, struct coord *coord)
{
    struct coord *old = c->configuring.coord;
    configuring_coord(c, NULL);
    coord_free(old);
    if (coord)
        configuring_coord(c, coord);
}

void coordinating_end(struct control *c)
{
    replace(c, NULL);
}

static int open_local(struct control *c, struct coord **out, struct err *e)
{
    char path[PATHS_MAX];
    int r = paths_join(path, c->o.state_dir, "coordinator.db", e);
    return r ? r : coord_embedded_new(out, c->loop, path, e);
}

/* The first line of the file; it is wiped by who asks. */
static int read_password(struct str path, struct buf *out, struct err *e)
{
    int r = buf_reserve(out, 4 * (size_t)PASSWORD_MAX) /* no copy of it stays anywhere else */
                ? file_read(path.p, PASSWORD_MAX, out, e)
                : err_set(e, ERR_NOMEM, "no memory for the coordinator's password");
    for (size_t i = 0; r == 0 && i < out->n; i++)
        if (out->p[i] == '\n')
            out->n = i;
    if (r == 0 && !buf_add(out, "", 1))
        r = err_set(e, ERR_NOMEM, "no memory for the coordinator's password");
    return r;
}

static const char *or_null(struct str s)
{
    return s.n ? s.p : NULL;
}

static int open_external(struct control *c, struct coord **out, struct err *e)
{
    const struct view_coordinator *k = &c->view->cluster.coordinator;
    const char *endpoints[VIEW_MAX_ENDPOINTS];
    char prefix[128];
    struct buf password = {0};
    for (uint32_t i = 0; i < k->n_endpoints; i++)
        endpoints[i] = k->endpoints[i].p; /* texts of a view are terminated */
    snprintf(prefix, sizeof prefix, "holdfast/" STR_FMT "/", STR_ARG(c->view->cluster.name));
    int r = k->password_file.n ? read_password(k->password_file, &password, e) : 0;
    struct coord_etcd_options o = {.endpoints = endpoints,
                                   .n_endpoints = k->n_endpoints,
                                   .prefix = prefix,
                                   .ca = or_null(k->ca_file),
                                   .cert = or_null(k->cert_file),
                                   .key = or_null(k->key_file),
                                   .user = or_null(k->user),
                                   .password = k->password_file.n ? password.p : NULL};
    r = r ? r : coord_etcd_new(out, c->loop, &o, e);
    if (password.p)
        wipe(password.p, password.cap);
    buf_free(&password);
    return r;
}

/* Whether what is open serves the view too. */
static bool is_same(const struct view *was, const struct view *is)
{
    const struct view_coordinator *a = &was->cluster.coordinator, *b = &is->cluster.coordinator;
    bool same = a->kind == b->kind && a->n_endpoints == b->n_endpoints &&
                str_eq(a->ca_file, b->ca_file) && str_eq(a->cert_file, b->cert_file) &&
                str_eq(a->key_file, b->key_file) && str_eq(a->user, b->user) &&
                str_eq(a->password_file, b->password_file);
    for (uint32_t i = 0; same && i < a->n_endpoints; i++)
        same = str_eq(a->endpoints[i], b->endpoints[i]);
    return same;
}

void coordinating_adopt(struct control *c, const struct view *was)
{
    struct coord *coord = NULL;
    struct err e = {0};
    int r = 0;
    if (c->configuring.coord && was && is_same(was, c->view))
        return;
    switch ((enum coordinator_kind)c->view->cluster.coordinator.kind) {
    case COORDINATOR_LOCAL: r = open_local(c, &coord, &e); break;
    case COORDINATOR_EXTERNAL: r = open_external(c, &coord, &e); break;
    case COORDINATOR_MANAGED:
    case COORDINATOR_NONE:
    case COORDINATOR_KINDS: break;
    }
    if (r)
        log_error(c->log, "there is no coordinator: %s", e.text);
    replace(c, coord);
}
