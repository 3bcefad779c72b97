/* The listening socket, and room for those who have proved nothing yet: links.h tells the bounds. */
#include <errno.h>
#include <unistd.h>

#include "mesh/links_inside.h"

enum { ACCEPT_TURN = 16 };
#define PAUSE_NS (250 * NS_PER_MS)

/* --- accepting --- */

static bool same_ip(const struct addr *a, const struct addr *b)
{
    return a->kind == b->kind && memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

static bool is_of_a_node(const struct links *s, const struct addr *a)
{
    list_for_each (it, &s->order)
        if (same_ip(&LIST_ENTRY(it, struct node, link)->at, a))
            return true;
    return false;
}

static uint32_t count_from(const struct links *s, const struct addr *a, struct line **oldest)
{
    uint32_t n = 0;
    list_for_each (it, &s->incoming) {
        struct line *l = LIST_ENTRY(it, struct line, link);
        if (same_ip(&l->from, a))
            *oldest = n++ ? *oldest : l;
    }
    return n;
}

/* The oldest line of the address with the most of them; those of nodes only if there is no other.
 */
static struct line *most_crowded(const struct links *s)
{
    struct line *worst = NULL;
    uint32_t most = 0;
    list_for_each (it, &s->incoming) {
        struct line *l = LIST_ENTRY(it, struct line, link), *oldest = NULL;
        uint32_t n = count_from(s, &l->from, &oldest);
        n += is_of_a_node(s, &l->from) ? 0 : LINKS_PENDING;
        if (n > most) {
            most = n;
            worst = oldest;
        }
    }
    return worst;
}

static void make_room(struct links *s, const struct addr *from)
{
    struct line *oldest = NULL;
    if (count_from(s, from, &oldest) < LINKS_PENDING_EACH)
        oldest = s->n_incoming >= LINKS_PENDING ? most_crowded(s) : NULL;
    if (!oldest)
        return;
    s->counts.refused++;
    oldest->claim = "too many connections that prove nothing";
    line_refused(oldest, LINK_DROPPED, "");
    line_drop(oldest);
}

static void take_in(struct links *s, int fd, const struct addr *from)
{
    make_room(s, from);
    struct line *l = line_new(s, from);
    if (!l) {
        close(fd);
        return;
    }
    if (link_accept(&l->k, s->tls, s->loop, fd, from, &line_host, l, NULL)) {
        mem_free(l);
        return;
    }
    list_push_back(&s->incoming, &l->link);
    s->n_incoming++;
}

/* Level-triggered; out of descriptors it would turn the loop without end, hence the pause. */
static void on_accept(struct io *io, unsigned ready)
{
    struct links *s = CONTAINER_OF(io, struct links, io);
    (void)ready;
    for (int i = 0; i < ACCEPT_TURN; i++) {
        struct addr from = {0};
        int fd = net_accept(s->listen_fd, &from);
        if (fd == -EAGAIN)
            return;
        if (fd == -ECONNABORTED || fd == -EINTR)
            continue;
        if (fd < 0) {
            loop_io_stop(s->loop, io);
            loop_timer_set(s->loop, &s->pause, loop_now(s->loop) + PAUSE_NS);
            return;
        }
        take_in(s, fd, &from);
    }
}

static void on_pause(struct timer *t)
{
    struct links *s = CONTAINER_OF(t, struct links, pause);
    if (loop_io_start_shared(s->loop, &s->io, s->listen_fd, NULL))
        loop_timer_set(s->loop, t, loop_now(s->loop) + PAUSE_NS);
}

int links_set_listener(struct links *s, int fd, struct err *e)
{
    loop_io_stop(s->loop, &s->io);
    loop_timer_stop(s->loop, &s->pause);
    if (s->listen_fd >= 0)
        close(s->listen_fd);
    s->listen_fd = fd;
    if (fd < 0)
        return 0;
    int r = loop_io_start_shared(s->loop, &s->io, fd, e);
    if (r) {
        close(fd);
        s->listen_fd = -1;
    }
    return r;
}

void accepting_init(struct links *s)
{
    s->listen_fd = -1;
    io_init(&s->io, on_accept);
    timer_init(&s->pause, on_pause);
}
