/* front: one client of a service of kind primary, and its way on.
 *
 * The way is sought when the client comes, and again when the leg leads where no way leads any
 * more: the gate here has shut, or another node is the primary. A client that is between two
 * commands is led on with what its connection is (talk.h); one that waits for a reply is cut, since
 * nobody knows whether its command took effect. A node that passed a client on is told (gate_mark)
 * that all it was not answered was not taken, and leads the client on itself. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/front.h"

static uint64_t now_of(const struct passage *p)
{
    return loop_now(p->client->worker->loop);
}

/* --- ending --- */

void passage_end(struct worker *w, struct list *link)
{
    (void)w;
    struct passage *p = LIST_ENTRY(link, struct passage, link);
    talk_free(&p->talk);
    buf_free(&p->prelude);
    buf_free(&p->kept);
    mem_free(p);
}

void passage_drop_leg(struct passage *p)
{
    if (passage_hops(p) && p->framed && p->go &&
        !p->kept_lost) { /* kept: they will go from there */
        stream_consume(&p->client->s, p->client->worker, p->go);
        p->go = 0;
    }
    if (p->leg.io.fd >= 0)
        stream_close(&p->leg, p->client->worker);
    p->leg.io.fd = -1;
    if (!list_empty(&p->round)) {
        list_remove(&p->round);
        committer_note(p->door);
    }
    door_here(p, false);
    door_reader(p, false);
    if (p->reached_at)
        cell_add(&p->door->counts->tunnels, UINT64_MAX); /* minus one */
    p->reached_at = 0;
    p->connected = p->marked = false;
    p->seen = p->covered = p->in_round = 0;
    p->astray_since = 0;
    p->talk.answer = (struct resp_frame){0};
}

static void count(const struct passage *p)
{
    struct service_row *row = p->door->counts;
    struct listener_row *listener = p->client->listener->row;
    uint64_t us = (now_of(p) - p->began_at) / NS_PER_US;
    cell_add(&row->bytes_in, p->bytes_in);
    cell_add(&row->bytes_out, p->bytes_out);
    cell_add(&row->latency_us_sum, us);
    cell_add(&row->latency[latency_bucket(us)], 1);
    cell_add(&listener->bytes_in, p->bytes_in);
    cell_add(&listener->bytes_out, p->bytes_out);
}

void passage_abort(struct passage *p)
{
    CHECK(!p->closed);
    p->closed = true;
    count(p);
    door_wait_over(p);
    passage_drop_leg(p);
    list_remove(&p->link);
    p->client->passage = NULL;
    if (p->door->held)
        loop_defer(p->client->worker->loop, &p->door->settle);
    door_unref(p->door);
    worker_bury(p->client->worker, GRAVE_PASSAGE, &p->link);
}

void passage_cut(struct passage *p)
{
    struct client *c = p->client;
    net_set_reset_on_close(c->s.io.fd);
    client_close(c);
}

void passage_return(struct passage *p)
{
    struct client *c = p->client;
    passage_abort(p);
    client_send(c, (struct str){gate_mark, GATE_MARK}, (struct str){0});
    if (c->s.broken)
        client_close(c);
    else
        client_linger(c);
}

/* --- the way on --- */

static struct addr client_addr(const struct client *c)
{
    struct addr a = {.kind = c->peer.kind, .port = c->peer.port};
    memcpy(a.ip, c->peer.ip, sizeof a.ip);
    return a;
}

/* What another node is told, or the instance where the service wants that. */
static bool introduce(struct passage *p)
{
    const struct client *c = p->client;
    struct addr from = client_addr(c), to = {0};
    char header[PROXY_HEADER_WRITTEN_MAX];
    uint8_t version = p->door->service->conf->proxy_out;
    size_t n = 0;
    net_local_addr(c->s.io.fd, &to);
    if (to.kind != ADDR_IP4 && to.kind != ADDR_IP6)
        to = c->listener->addr;
    if (from.kind != ADDR_IP4 && from.kind != ADDR_IP6)
        from = to; /* a nameless client of a proxy before ours */
    if (passage_hops(p))
        n = proxy_header_write_hop(&from, &to, p->framed ? PROXY_HOP_MARKED : 0, header);
    else if (version)
        n = proxy_header_write(version, &from, &to, header);
    return buf_add(&p->prelude, header, n);
}

/* Readers are a user of their own, who may not write, whatever the instance is by then. */
static bool authenticate(struct passage *p)
{
    const char *user = p->reads ? "reader" : "default";
    char secret[SECRET_MAX];
    size_t n =
        !passage_hops(p) && p->framed
            ? proxy_gate_secret(p->client->worker->proxy, p->door->service->conf->name, secret)
            : 0;
    p->authenticates = n > 0;
    if (n == 0)
        return true;
    p->swallow = 1;
    return buf_printf(&p->prelude, "*3\r\n$4\r\nAUTH\r\n$%zu\r\n%s\r\n$%zu\r\n%.*s\r\n",
                      strlen(user), user, n, (int)n, secret);
}

/* All that the leg is told before the client's own bytes: who it is, what the connection was, and
 * what another node did not take. */
static bool write_prelude(struct passage *p)
{
    uint32_t replies = 0;
    buf_clear(&p->prelude);
    p->prelude_sent = p->swallow = 0;
    p->swallowed = (struct resp_frame){0};
    if (!introduce(p) || !authenticate(p) || !talk_replay(&p->talk, &p->prelude, &replies))
        return false;
    p->swallow += replies;
    passage_trim(p);
    return buf_add_str(&p->prelude, buf_str(&p->kept));
}

static void leg_ready(struct io *io, unsigned ready)
{
    struct passage *p = CONTAINER_OF(io, struct passage, leg.io);
    stream_ready(&p->leg, ready);
    client_run(p->client);
}

static bool reach(struct passage *p, const struct addr *to, const struct addr *from)
{
    int fd;
    CHECK(p->leg.io.fd < 0);
    do
        fd = net_connect_from(from, to, NULL);
    while (fd < 0 && (errno == EMFILE || errno == ENFILE) && pressure_give_up(p->client->worker));
    if (fd < 0)
        return false;
    stream_init(&p->leg, leg_ready);
    p->leg.writable = false;
    net_set_nodelay(fd);
    if (loop_io_start(p->client->worker->loop, &p->leg.io, fd, NULL)) {
        close(fd);
        p->leg.io.fd = -1;
        return false;
    }
    return true;
}

/* --- readers --- */

/* One that another node passed on is led to the primary here: it has looked for replicas. */
static bool seeks_replica(const struct passage *p)
{
    return p->reads && !p->client->hop;
}

static void avoid(struct passage *p)
{
    p->door->avoid_until[p->place] = now_of(p) + AVOID_NS;
}

/* A leg to a replica. False: there is none that is fit. */
static bool find_replica(struct passage *p)
{
    struct door *d = p->door;
    for (int place; (place = door_replica(d)) >= 0;) {
        p->place = (uint8_t)place;
        if (reach(p, &d->places.at[place], NULL)) {
            door_reader(p, true);
            return true;
        }
        avoid(p);
    }
    return false;
}

/* A leg to where the way leads. False: there is none now. */
static bool find_way(struct passage *p)
{
    struct door *d = p->door;
    if (seeks_replica(p) && find_replica(p))
        return true;
    if (seeks_replica(p) && door_conf(d)->only_replicas)
        return false;
    uint16_t port = p->client->listener->addr.port;
    struct addr to, self;
    bool known = false, bound = door_node(d, d->self, 0, &self);
    switch (gate_way(&d->seen, d->self, p->client->hop)) {
    case GATE_HERE:
        if (gate_holds(&d->seen, now_of(p)))
            return false;
        known = door_node(d, d->self, door_conf(d)->port, &to);
        bound = false;
        break;
    case GATE_THERE: known = door_node(d, d->seen.primary, port, &to); break;
    case GATE_WAIT: return false;
    }
    bool here = d->seen.until != 0;
    if (!known || !reach(p, &to, bound && self.kind == to.kind ? &self : NULL))
        return false;
    p->place = (uint8_t)(here ? MAX(d->self, 0) : d->seen.primary);
    door_here(p, here);
    return true;
}

static void hold(struct passage *p)
{
    struct door *d = p->door;
    uint64_t now = now_of(p), most = door_conf(d)->hold;
    p->state = PASSAGE_WAITS;
    if (!list_empty(&p->waiting))
        return;
    if (!p->waits_since) {
        p->waits_since = now;
        cell_add(&d->counts->held_total, 1);
    }
    if (now - p->waits_since >= most || !door_has_room(d)) {
        cell_add(&d->counts->hold_refused, 1);
        passage_cut(p);
        return;
    }
    door_wait(p);
    client_deadline(p->client, p->waits_since + most - now);
}

void passage_lead(struct passage *p)
{
    if (!find_way(p)) {
        hold(p);
        return;
    }
    door_wait_over(p);
    p->state = PASSAGE_REACHES;
    client_deadline(p->client, p->door->service->conf->timeouts.connect);
    if (!write_prelude(p))
        passage_cut(p);
}

/* The leg did not come about: whoever is primary there may not be ready, or there any more. */
static void lead_failed(struct passage *p)
{
    if (p->replica)
        avoid(p);
    passage_drop_leg(p);
    hold(p);
}

/* --- being led --- */

/* Replies to what the prelude asked. False: not all are in yet, or it has ended. */
static bool swallow(struct passage *p)
{
    struct worker *w = p->client->worker;
    while (p->swallow) {
        struct str bytes = stream_bytes(&p->leg);
        if (bytes.n == 0 && !stream_fill(&p->leg, w))
            break;
        size_t used;
        bytes = stream_bytes(&p->leg);
        int r = resp_frame_reply(&p->swallowed, bytes.p, bytes.n, &used);
        bool refused = p->authenticates && p->swallowed.type == '-' &&
                       memmem(bytes.p, used, "WRONGPASS", 9) != NULL;
        stream_consume(&p->leg, w, used);
        if (refused)
            door_refused(p->door, p->place);
        if (r == RESP_BAD || refused) {
            lead_failed(p);
            return false;
        }
        if (r == RESP_DONE) {
            p->swallow--;
            p->authenticates = false;
        }
    }
    if (p->swallow && (p->leg.eof || p->leg.broken))
        lead_failed(p);
    return p->swallow == 0;
}

static bool send_prelude(struct passage *p)
{
    struct str rest = {p->prelude.p + p->prelude_sent, p->prelude.n - p->prelude_sent};
    if (rest.n && p->here && !door_open(p->door)) {
        lead_failed(p);
        return false;
    }
    p->prelude_sent += (uint32_t)stream_send(&p->leg, rest, (struct str){0});
    if (p->leg.broken)
        lead_failed(p);
    return p->state == PASSAGE_REACHES && p->prelude_sent == p->prelude.n;
}

static void reached(struct passage *p)
{
    struct service_row *row = p->door->counts;
    p->state = PASSAGE_PASSES;
    p->waits_since = 0;
    p->reached_at = p->active_at = now_of(p);
    buf_free(&p->prelude);
    if (!passage_hops(p))
        buf_free(&p->kept);
    if (seeks_replica(p))
        cell_add(p->replica ? &row->read_replica : &row->read_primary, 1);
    cell_add(&row->tunnels, 1);
    cell_add(&row->relayed, 1);
    client_deadline(p->client, p->door->service->conf->timeouts.tunnel);
}

static void run_reaches(struct passage *p)
{
    struct stream *leg = &p->leg;
    if (!p->connected) {
        if (leg->hangup && net_connect_result(leg->io.fd)) {
            lead_failed(p);
            return;
        }
        p->connected = leg->writable;
    }
    if (p->connected && send_prelude(p) && swallow(p))
        reached(p);
}

/* Who waits and has gone is not waited for. */
static void run_waits(struct passage *p)
{
    struct client *c = p->client;
    if (c->s.hangup && !c->s.eof)
        stream_fill(&c->s, c->worker);
    if (c->s.broken || (c->s.eof && stream_bytes(&c->s).n == 0 && p->kept.n == 0)) {
        client_close(c);
        return;
    }
    const struct door *d = p->door;
    if (c->hop && c->hop_marked && !d->seen.until && d->seen.primary != d->self)
        passage_return(p);
    else
        passage_lead(p);
}

/* --- a way that leads elsewhere now --- */

/* Of a reader: its replica is not fit any more; or it is at the primary, and a replica is fit. */
static bool astray_reader(const struct passage *p)
{
    const struct door *d = p->door;
    if (p->replica)
        return !(d->reads.fit >> p->place & 1);
    return d->reads.fit && passage_movable(p) && p->state == PASSAGE_PASSES &&
           door_replica(p->door) >= 0;
}

static bool astray(const struct passage *p)
{
    const struct door *d = p->door;
    if (seeks_replica(p) && (p->replica || astray_reader(p)))
        return astray_reader(p);
    switch (gate_way(&d->seen, d->self, p->client->hop)) {
    case GATE_HERE: return !p->here;
    case GATE_THERE: return p->here || p->place != d->seen.primary;
    case GATE_WAIT: return p->here;
    }
    UNREACHABLE();
}

static void cut_deposed(struct passage *p)
{
    cell_add(p->replica ? &p->door->counts->read_left : &p->door->counts->cut_deposed, 1);
    passage_cut(p);
}

/* The mark has come: what was not answered was not taken, and is repeated there. */
static bool goes_on(const struct passage *p)
{
    return p->marked ? !p->kept_lost : passage_movable(p);
}

/* For replies of a node that is not primary any more: so long it may be one after another was named
 * (lease.md). What comes later left it earlier and was on the way; there is no more. */
static uint64_t patience(const struct passage *p)
{
    const struct view_cluster *k = &p->door->service->shared->view->cluster;
    return k->lease + k->demotion;
}

/* True: it has left its leg. */
static bool leave(struct passage *p)
{
    bool lost = astray(p);
    if (!lost && !p->marked) {
        p->astray_since = 0;
        return false;
    }
    if (goes_on(p)) {
        cell_add(p->replica ? &p->door->counts->read_left : &p->door->counts->led_on, 1);
        if (p->client->hop && p->client->hop_marked) {
            passage_return(p);
            return true;
        }
        bool again = p->marked && !lost; /* the record is not here yet: not at once */
        passage_drop_leg(p);
        if (again)
            hold(p);
        else
            passage_lead(p);
        return true;
    }
    if (p->here || p->marked) {
        cut_deposed(p);
        return true;
    }
    if (!p->astray_since) { /* its node may have replies for us, and the mark */
        p->astray_since = now_of(p);
        client_deadline(p->client, patience(p));
    }
    return false;
}

static void run_passes(struct passage *p)
{
    const struct door *d = p->door;
    if (leave(p))
        return;
    p->talk.stop = p->astray_since || (p->here && d->held);
    passage_pump(p);
    if (!p->closed && p->state == PASSAGE_PASSES && (p->marked || p->astray_since))
        leave(p);
    if (!p->closed && d->held && p->here)
        loop_defer(p->client->worker->loop, &p->door->settle);
}

void passage_run(struct passage *p)
{
    if (!p->door->service) {
        passage_cut(p);
        return;
    }
    if (p->state == PASSAGE_REACHES && astray(p)) {
        passage_drop_leg(p);
        passage_lead(p);
        return;
    }
    switch ((enum passage_state)p->state) {
    case PASSAGE_WAITS: run_waits(p); break;
    case PASSAGE_REACHES: break;
    case PASSAGE_PASSES: run_passes(p); return;
    case PASSAGE_STATES: UNREACHABLE();
    }
    if (!p->closed && p->state == PASSAGE_REACHES)
        run_reaches(p);
    if (!p->closed && p->state == PASSAGE_PASSES)
        run_passes(p);
}

void passage_timeout(struct passage *p)
{
    uint64_t now = now_of(p);
    if (!p->door->service) {
        passage_cut(p);
        return;
    }
    switch ((enum passage_state)p->state) {
    case PASSAGE_WAITS:
        cell_add(&p->door->counts->hold_refused, 1);
        passage_cut(p);
        return;
    case PASSAGE_REACHES: lead_failed(p); return;
    case PASSAGE_PASSES: {
        uint64_t due = p->astray_since ? p->astray_since + patience(p)
                                       : p->active_at + p->door->service->conf->timeouts.tunnel;
        if (now < due)
            client_deadline(p->client, due - now);
        else if (p->astray_since)
            cut_deposed(p);
        else
            client_close(p->client);
        return;
    }
    case PASSAGE_STATES: break;
    }
    UNREACHABLE();
}

bool front_listens(const struct listener *l, const struct addr *from)
{
    const struct view *v = l->service->shared->view;
    for (uint32_t i = 0; i < v->cluster.n_nodes; i++) {
        struct addr a = v->cluster.nodes[i].address;
        a.port = from->port;
        if (addr_eq(&a, from))
            return true;
    }
    return false;
}

void passage_begin(struct client *c, struct service *s)
{
    door_look(s->door); /* before it is one of those that are turned to */
    struct passage *p = mem_zero(1, sizeof *p);
    if (!p) {
        client_close(c);
        return;
    }
    p->client = c;
    p->door = s->door;
    p->door->refs++;
    p->framed = s->conf->primary.agent == AGENT_REDIS;
    p->reads = c->listener->reads;
    p->leg.io.fd = -1;
    p->began_at = p->active_at = loop_now(c->worker->loop);
    list_init(&p->link);
    list_init(&p->waiting);
    list_init(&p->round);
    list_push_back(&p->door->passages, &p->link);
    c->passage = p;
    c->keep = false;
    c->state = CLIENT_PASSAGE;
    passage_lead(p);
}
