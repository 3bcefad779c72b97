#include "daemon/supervisor_diff.h"

/* A listening socket is one whatever is spoken on it: a service that changes from http:// to tcp://
 * keeps it. */
static bool listens(const struct view_socket *s)
{
    return s->use != SOCKET_ACCESS_LOG;
}

static bool same(const struct view_socket *a, const struct view_socket *b)
{
    return listens(a) && listens(b) && (a->use == SOCKET_UDP) == (b->use == SOCKET_UDP) &&
           a->addr.kind == b->addr.kind && a->addr.port == b->addr.port &&
           addr_eq(&a->addr, &b->addr);
}

static bool taken(const int32_t *from, size_t n, size_t index)
{
    for (size_t i = 0; i < n; i++)
        if (from[i] == (int32_t)index)
            return true;
    return false;
}

/* The search starts behind the last hit: an edited list keeps its order mostly, and each search is
 * then one step. */
void supervisor_diff(const struct view_socket *now, size_t n_now, const struct view_socket *next,
                     size_t n_next, int32_t *from)
{
    size_t start = 0;
    for (size_t i = 0; i < n_next; i++) {
        from[i] = SOCKET_NEW;
        if (next[i].use == SOCKET_ACCESS_LOG)
            continue;
        for (size_t k = 0; k < n_now; k++) {
            size_t at = (start + k) % n_now;
            if (same(&now[at], &next[i]) && !taken(from, i, at)) {
                from[i] = (int32_t)at;
                start = at + 1;
                break;
            }
        }
    }
}
