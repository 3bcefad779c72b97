#include "proxy/udp.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/internal.h"

enum { BUCKETS = 4096 }; /* of the flow table; a power of two */

struct flow {
    struct io io; /* to the instance */
    int fd;
    struct list bucket,
        age; /* in the listener's table, and from the longest unused to the latest */
    struct udp_listener *listener;
    struct service *service; /* holds a reference */
    struct target *target;   /* holds a reference */
    uint32_t member;
    struct addr client;
    uint64_t active_at, asked_at; /* ns; asked_at is 0 while no question is open */
    uint32_t replies;
    bool closed;
};

struct udp_listener {
    struct io io;
    int fd; /* a duplicate of the view's: the same socket as long as the address stays */
    struct worker *worker;
    struct service *service; /* holds a reference */
    struct listener_row *row;
    struct addr addr;
    uint64_t secret; /* of the hash: clients choose their ports, not their buckets */
    bool draining;
    uint32_t n;
    struct task resume;
    struct list age, dead; /* `dead` is freed when no handler holds one any more */
    struct task bury;
    struct list buckets[BUCKETS];
    char datagram[UDP_DATAGRAM_MAX]; /* scratch */
};

const struct addr *udp_listener_addr(const struct udp_listener *u)
{
    return &u->addr;
}

struct service *udp_listener_service(const struct udp_listener *u)
{
    return u->service;
}

uint32_t udp_listener_flows(const struct udp_listener *u)
{
    return u->n;
}

/* --- the table --- */

static struct list *bucket_of(struct udp_listener *u, const struct addr *a)
{
    char key[sizeof a->ip + sizeof a->port + sizeof u->secret];
    memcpy(key, &u->secret, sizeof u->secret);
    memcpy(key + sizeof u->secret, a->ip, sizeof a->ip);
    memcpy(key + sizeof u->secret + sizeof a->ip, &a->port, sizeof a->port);
    return &u->buckets[str_hash((struct str){key, sizeof key}) % BUCKETS];
}

static struct flow *find(struct udp_listener *u, const struct addr *client)
{
    struct list *bucket = bucket_of(u, client);
    list_for_each (it, bucket) {
        struct flow *f = LIST_ENTRY(it, struct flow, bucket);
        if (addr_eq(&f->client, client))
            return f;
    }
    return NULL;
}

static void touch(struct flow *f)
{
    f->active_at = loop_now(f->listener->worker->loop);
    list_remove(&f->age);
    list_push_back(&f->listener->age, &f->age);
}

static void on_bury(struct task *t)
{
    struct udp_listener *u = CONTAINER_OF(t, struct udp_listener, bury);
    while (!list_empty(&u->dead)) {
        struct flow *f = LIST_ENTRY(u->dead.next, struct flow, age);
        list_remove(&f->age);
        mem_free(f);
    }
}

static void flow_end(struct flow *f)
{
    if (f->closed)
        return;
    struct udp_listener *u = f->listener;
    struct loop *l = u->worker->loop;
    f->closed = true;
    loop_io_stop(l, &f->io);
    close(f->fd);
    list_remove(&f->bucket);
    list_remove(&f->age);
    list_push_back(&u->dead, &f->age);
    loop_defer(l, &u->bury);
    u->n--;
    cell_add(&u->row->open, UINT64_MAX);             /* minus one */
    cell_add(&f->service->row->tunnels, UINT64_MAX); /* minus one */
    cell_add(&f->target->row->inflight, UINT64_MAX);
    service_done(f->service, f->member);
    target_unref(f->target);
    service_unref(f->service);
}

/* --- from the instance --- */

/* The socket has an error: nobody listens there, or the way is broken. */
static void flow_failed(struct flow *f, int error)
{
    if (error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH)
        target_signal(f->target, SIGNAL_REQ_REFUSED, 0);
    flow_end(f);
}

static void count_answer(struct flow *f)
{
    struct worker *w = f->listener->worker;
    uint64_t now = loop_now(w->loop);
    if (f->asked_at) {
        target_ok(f->target, (now - f->asked_at) / NS_PER_US);
        service_observe(f->service, f->member, OUTCOME_OK, now - f->asked_at);
    }
    f->asked_at = 0;
    f->replies++;
}

static void on_instance(struct io *io, unsigned ready)
{
    struct flow *f = CONTAINER_OF(io, struct flow, io);
    struct udp_listener *u = f->listener;
    (void)ready;
    while (!f->closed) {
        int n = net_datagram_receive(f->fd, u->datagram, sizeof u->datagram, NULL);
        if (n == -EAGAIN)
            return;
        if (n < 0) {
            flow_failed(f, -n);
            return;
        }
        count_answer(f);
        touch(f);
        cell_add(&f->service->row->bytes_out, (uint64_t)n);
        cell_add(&u->row->bytes_out, (uint64_t)n);
        net_datagram_send(u->fd, u->datagram, (size_t)n,
                          &f->client); /* a full socket drops it, as any hop may */
        bool answered = f->service->conf->replies && f->replies >= f->service->conf->replies;
        if (answered || u->draining)
            flow_end(f);
    }
}

/* --- from the client --- */

static struct flow *flow_new(struct udp_listener *u, const struct addr *client)
{
    struct worker *w = u->worker;
    struct service *s = u->service;
    struct tried tried = {.n = 0};
    size_t ip = client->kind == ADDR_IP6 ? 16 : 4;
    int member = service_pick(s, &tried, key_of_source(client->ip, ip));
    if (member < 0) {
        cell_add(&s->row->no_instance, 1);
        return NULL;
    }
    struct target *t = s->targets[member];
    struct flow *f = mem_zero(1, sizeof *f);
    int fd = f ? net_datagram_connect(&t->addr, NULL) : -1;
    if (fd < 0 || (io_init(&f->io, on_instance), loop_io_start(w->loop, &f->io, fd, NULL))) {
        if (fd >= 0)
            close(fd);
        mem_free(f);
        cell_add(&u->row->refused, 1);
        service_done(s, (uint32_t)member);
        return NULL;
    }
    f->fd = fd;
    f->listener = u;
    f->client = *client;
    f->member = (uint32_t)member;
    f->service = s;
    service_ref(s);
    f->target = t;
    t->refs++;
    list_push_back(bucket_of(u, client), &f->bucket);
    list_push_back(&u->age, &f->age);
    u->n++;
    cell_add(&s->row->requests, 1);
    cell_add(&s->row->relayed, 1);
    cell_add(&s->row->tunnels, 1);
    cell_add(&u->row->open, 1);
    cell_add(&u->row->accepted, 1);
    cell_add(&t->row->requests, 1);
    cell_add(&t->row->inflight, 1);
    return f;
}

static void forward(struct udp_listener *u, const struct addr *client, struct str datagram)
{
    struct flow *f = find(u, client);
    if (f && (f->target->service == NULL || f->target->judge.verdict == VERDICT_FAILED)) {
        flow_end(f); /* its instance has gone or is dead: the next datagram is as good a time as any
                        to change */
        f = NULL;
    }
    if (!f && u->draining)
        return;
    if (!f && u->n >= UDP_FLOWS_MAX)
        flow_end(LIST_ENTRY(u->age.next, struct flow, age));
    if (!f && !(f = flow_new(u, client)))
        return;
    touch(f);
    if (!f->asked_at)
        f->asked_at = f->active_at;
    cell_add(&f->service->row->bytes_in, datagram.n);
    cell_add(&u->row->bytes_in, datagram.n);
    int error = net_datagram_send(f->fd, datagram.p, datagram.n, NULL);
    if (error < 0 && error != -EAGAIN)
        flow_failed(f, -error);
}

static void receive(struct udp_listener *u)
{
    struct worker *w = u->worker;
    for (int i = 0; i < UDP_BATCH; i++) {
        struct addr client;
        int n = net_datagram_receive(u->fd, u->datagram, sizeof u->datagram, &client);
        if (n == -EAGAIN)
            return;
        if (n >= 0)
            forward(u, &client, (struct str){u->datagram, (size_t)n});
    }
    loop_defer(w->loop, &u->resume); /* more are there: the others first */
}

static void on_client(struct io *io, unsigned ready)
{
    if (ready & IO_READ)
        receive(CONTAINER_OF(io, struct udp_listener, io));
}

static void on_resume(struct task *t)
{
    receive(CONTAINER_OF(t, struct udp_listener, resume));
}

/* --- life --- */

void udp_listener_tick(struct udp_listener *u)
{
    uint64_t now = loop_now(u->worker->loop);
    list_for_each_safe (it, &u->age) {
        struct flow *f = LIST_ENTRY(it, struct flow, age);
        const struct view_service *conf = f->service->conf;
        bool waited =
            conf->replies && f->asked_at && now - f->asked_at >= conf->timeouts.first_byte;
        if (waited)
            target_signal(f->target, SIGNAL_REQ_TIMEOUT, 0);
        if (waited || now - f->active_at >= conf->timeouts.flow)
            flow_end(f);
    }
}

int udp_listener_new(struct worker *w, struct service *s, const struct addr *addr,
                     struct listener_row *row, int fd, struct udp_listener **out, struct err *e)
{
    struct udp_listener *u = mem_zero(1, sizeof *u);
    if (!u)
        return err_set(e, ERR_NOMEM, "no memory for a UDP listener");
    u->worker = w;
    u->service = s;
    u->row = row;
    u->addr = *addr;
    entropy(&u->secret, sizeof u->secret);
    list_init(&u->age);
    list_init(&u->dead);
    for (int i = 0; i < BUCKETS; i++)
        list_init(&u->buckets[i]);
    task_init(&u->resume, on_resume);
    task_init(&u->bury, on_bury);
    io_init(&u->io, on_client);
    u->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (u->fd < 0) {
        int r = err_errno(e, "cannot keep a UDP socket");
        mem_free(u);
        return r;
    }
    service_ref(s);
    *out = u;
    return 0;
}

void udp_listener_move(struct udp_listener *u, struct service *s)
{
    service_ref(s);
    service_unref(u->service);
    u->service = s;
}

int udp_listener_read(struct udp_listener *u, struct err *e)
{
    return u->io.fd >= 0 ? 0 : loop_io_start(u->worker->loop, &u->io, u->fd, e);
}

void udp_listener_hand_over(struct udp_listener *u)
{
    task_cancel(&u->resume);
    loop_io_stop(u->worker->loop, &u->io);
}

void udp_listener_drain(struct udp_listener *u)
{
    u->draining = true;
    list_for_each_safe (it, &u->age) {
        struct flow *f = LIST_ENTRY(it, struct flow, age);
        if (!f->asked_at)
            flow_end(f);
    }
}

void udp_listener_end_flows(struct udp_listener *u)
{
    while (!list_empty(&u->age))
        flow_end(LIST_ENTRY(u->age.next, struct flow, age));
}

void udp_listener_free(struct udp_listener *u)
{
    udp_listener_end_flows(u);
    task_cancel(&u->bury);
    task_cancel(&u->resume);
    on_bury(&u->bury);
    loop_io_stop(u->worker->loop, &u->io);
    close(u->fd);
    service_unref(u->service);
    mem_free(u);
}
