/* adopt: a worker takes a view.
 *
 * New services and listeners are made first; only when all of that has worked do they replace the
 * old ones, in steps that cannot fail. If something fails, all is as it was.
 *
 * What has not changed is not made anew, so that a reload costs what it changes: a service whose
 * revision is the same moves on to the new view as it is; a listener stays while its descriptor
 * and what is spoken on it stay, and is given its service. Who has clients or requests under way
 * notices nothing. Clients of a listener that has left the view are asked to leave. */
#include "proxy/internal.h"

/* What a view brings, built aside until all of it stands. Those that stay are in it too, with a
 * reference. */
struct draft {
    struct shared_view *sv;
    struct service **services;   /* by index in the view; NULL: of another worker */
    struct listener **listeners; /* by index in view->sockets; only those with a service */
};

static bool in_use(const struct listener *l)
{
    return l->epoch != 0;
}

/* --- making --- */

/* A datagram socket is one worker's: all datagrams of a client must meet the same table. */
static bool is_mine(const struct worker *w, const struct view_socket *k)
{
    char text[ADDR_TEXT_MAX];
    if (k->use != SOCKET_UDP)
        return true;
    size_t n = addr_format(&k->addr, text);
    return str_hash((struct str){text, n}) % w->proxy_workers == w->index;
}

static bool any_mine(const struct worker *w, const struct view *v, const struct view_service *s)
{
    for (uint32_t i = 0; i < s->n_sockets; i++)
        if (is_mine(w, &v->sockets[s->sockets[i]]))
            return true;
    return s->n_sockets == 0;
}

static struct listener *listener_before(const struct worker *w, int fd, uint8_t mode)
{
    struct listener *l = (uint32_t)fd < w->n_numbers ? w->by_number[fd] : NULL;
    return l && l->service->conf->mode == mode ? l : NULL;
}

static bool room_for_number(struct worker *w, int fd)
{
    uint32_t need = (uint32_t)fd + 1;
    if (need <= w->n_numbers)
        return true;
    need = MAX(need, w->n_numbers * 2);
    struct listener **more = mem_resize(w->by_number, need * sizeof(struct listener *));
    if (!more)
        return false;
    for (uint32_t i = w->n_numbers; i < need; i++)
        more[i] = NULL;
    w->by_number = more;
    w->n_numbers = need;
    return true;
}

static struct listener *listener_new(struct worker *w, const struct view_socket *k, int fd,
                                     struct service *s)
{
    struct listener *l = mem_zero(1, sizeof *l);
    if (!l)
        return NULL;
    list_init(&l->link);
    l->refs = 1;
    l->worker = w;
    l->addr = k->addr;
    l->fd = fd;
    l->service = s;
    l->row = cells_listener(&w->cells, w->lane, k->slot);
    service_ref(s);
    io_init(&l->io, worker_on_acceptable);
    return l;
}

static int draft_listener(struct worker *w, struct draft *d, uint32_t socket, struct service *s,
                          struct err *e)
{
    const struct view_socket *k = &d->sv->view->sockets[socket];
    int fd = d->sv->fds[socket];
    if (!is_mine(w, k))
        return 0;
    struct listener *l = listener_before(w, fd, s->conf->mode);
    if (l) {
        l->refs++;
        d->listeners[socket] = l;
        return 0;
    }
    l = room_for_number(w, fd) ? listener_new(w, k, fd, s) : NULL;
    if (!l)
        return err_set(e, ERR_NOMEM, "no memory for a listener");
    d->listeners[socket] = l;
    int r = k->use == SOCKET_UDP ? udp_listener_new(w, s, &k->addr, l->row, fd, &l->udp, e) : 0;
    if (r || !listener_may_start(w, l) || (!l->udp && w->by_number[fd]))
        return r; /* the last: once that one has stopped */
    return listener_start(w, l, e);
}

static int draft_service(struct worker *w, struct draft *d, uint32_t i, struct err *e)
{
    const struct view_service *conf = &d->sv->view->services[i];
    struct service *before = w->by_slot[conf->slot];
    int r = 0;
    if (!any_mine(w, d->sv->view, conf))
        return 0;
    if (before && !str_eq(before->conf->name, conf->name))
        before = NULL;
    if (before && before->revision == d->sv->revision[i]) {
        service_ref(before);
        d->services[i] = before;
    } else {
        r = service_new(w, d->sv, i, before, &d->services[i], e);
    }
    for (uint32_t k = 0; r == 0 && k < conf->n_sockets; k++)
        r = draft_listener(w, d, conf->sockets[k], d->services[i], e);
    return r;
}

static void draft_free(struct worker *w, struct draft *d)
{
    const struct view *v = d->sv->view;
    for (uint32_t i = 0; d->listeners && i < v->n_sockets; i++) {
        struct listener *l = d->listeners[i];
        if (l && !in_use(l))
            loop_io_stop(w->loop, &l->io);
        if (l)
            listener_unref(l);
    }
    for (uint32_t i = 0; d->services && i < v->n_services; i++)
        if (d->services[i])
            service_unref(d->services[i]);
    mem_free(d->listeners);
    mem_free(d->services);
}

/* --- putting in place: nothing fails from here on --- */

static void install_services(struct worker *w, struct draft *d)
{
    const struct view *v = d->sv->view;
    for (uint32_t i = 0; i < v->n_services; i++) {
        struct service *s = d->services[i];
        if (s && s->epoch)
            service_move(s, d->sv, i);
        else if (s)
            service_activate(s);
        if (s)
            s->epoch = v->epoch;
    }
}

static void retire_services(struct worker *w, uint64_t epoch)
{
    list_for_each_safe (it, &w->services) {
        struct service *s = LIST_ENTRY(it, struct service, link);
        if (s->epoch == epoch)
            continue;
        service_leave(s);
        list_remove(&s->link);
        w->by_slot[s->conf->slot] = NULL;
        service_unref(s);
    }
}

/* The list takes the draft's references of those that are new. */
static void list_services(struct worker *w, struct draft *d)
{
    for (uint32_t i = 0; i < d->sv->view->n_services; i++) {
        struct service *s = d->services[i];
        if (!s)
            continue;
        if (w->by_slot[s->conf->slot] == s) {
            service_unref(s);
            continue;
        }
        list_push_back(&w->services, &s->link);
        w->by_slot[s->conf->slot] = s;
    }
}

static void give_service(struct listener *l, struct service *s)
{
    if (l->service == s)
        return;
    struct service *old = l->service;
    l->service = s;
    service_ref(s);
    if (l->udp)
        udp_listener_move(l->udp, s);
    service_unref(old);
}

static void mark_listeners(struct draft *d)
{
    const struct view *v = d->sv->view;
    for (uint32_t i = 0; i < v->n_services; i++)
        for (uint32_t k = 0; k < v->services[i].n_sockets; k++) {
            struct listener *l = d->listeners[v->services[i].sockets[k]];
            if (!l)
                continue;
            give_service(l, d->services[i]);
            l->reads = k + v->services[i].primary.n_readers >= v->services[i].n_sockets;
            if (in_use(l))
                l->refs--; /* the list has its own; not the last */
            l->epoch = v->epoch;
        }
}

/* Those that are not in the view of this epoch. True: there were some. */
static bool retire_listeners(struct worker *w, uint64_t epoch)
{
    bool any = false;
    list_for_each_safe (it, &w->listeners) {
        struct listener *l = LIST_ENTRY(it, struct listener, link);
        if (l->epoch == epoch)
            continue;
        any = true;
        loop_io_stop(w->loop, &l->io);
        l->retired = true;
        w->by_number[l->fd] = NULL;
        list_remove(&l->link);
        list_push_back(&w->retired, &l->link);
        listener_unref(l);
    }
    return any;
}

static void list_listeners(struct worker *w, struct draft *d)
{
    for (uint32_t i = 0; i < d->sv->view->n_sockets; i++) {
        struct listener *l = d->listeners[i];
        if (!l || w->by_number[l->fd] == l)
            continue;
        w->by_number[l->fd] = l;
        list_push_back(&w->listeners, &l->link);
        if (listener_may_start(w, l) && listener_start(w, l, NULL))
            w->accept_paused = true; /* the next tick tries again */
    }
}

static void ask_clients_to_leave(struct worker *w)
{
    list_for_each_safe (it, &w->clients) {
        struct client *c = LIST_ENTRY(it, struct client, link);
        if (c->listener->retired)
            client_drain(c);
    }
}

static void install(struct worker *w, struct draft *d)
{
    uint64_t epoch = d->sv->view->epoch;
    install_services(w, d);
    mark_listeners(d);
    bool left = retire_listeners(w, epoch);
    list_listeners(w, d);
    retire_services(w, epoch);
    list_services(w, d);
    if (left)
        ask_clients_to_leave(w);
    mem_free(d->listeners);
    mem_free(d->services);
}

/* --- the front door --- */

int worker_take_view(struct worker *w, struct shared_view *sv, struct err *e)
{
    const struct view *v = sv->view;
    struct draft d = {.sv = sv};
    d.services = mem_zero(v->n_services, sizeof *d.services);
    d.listeners = mem_zero(v->n_sockets, sizeof *d.listeners);
    int r = d.services && d.listeners ? 0 : err_set(e, ERR_NOMEM, "no memory for a view");
    for (uint32_t i = 0; r == 0 && i < v->n_services; i++)
        r = draft_service(w, &d, i, e);
    if (r) {
        draft_free(w, &d);
        return r;
    }
    install(w, &d);
    struct shared_view *old = w->view;
    w->view = sv; /* takes over the inbox's reference */
    cell_set(&w->row->epoch, v->epoch);
    proxy_worker_took(w->proxy, w, v->epoch);
    if (old)
        shared_view_unref(old);
    return 0;
}

void worker_leave_view(struct worker *w)
{
    retire_listeners(w, 0);
    retire_services(w, 0);
}

struct service *worker_service(struct worker *w, const struct service *from, uint32_t index)
{
    const struct view *v = from->shared->view;
    CHECK(index < v->n_services);
    struct service *s = w->by_slot[v->services[index].slot];
    return s && str_eq(s->conf->name, v->services[index].name) ? s : NULL;
}
