/* supervisor_diff: which sockets a new view keeps. Pure.
 *
 * A socket is known by its use and its address. What is open and named again is kept and never
 * rebound, so that no connection that waits in it is lost. Access logs are the exception: each view
 * opens them anew, so that a reload follows a rotated file. */
#ifndef HF_SUPERVISOR_DIFF_H
#define HF_SUPERVISOR_DIFF_H

#include "view/view.h"

enum { SOCKET_NEW = -1 };

/* from[i] becomes the index in `now` of the socket that next[i] keeps, or SOCKET_NEW. No two keep
 * the same. */
void supervisor_diff(const struct view_socket *now, size_t n_now, const struct view_socket *next,
                     size_t n_next, int32_t *from);

#endif
