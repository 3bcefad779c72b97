/* loop: one thread waits here for descriptors, timers and deferred work.
 *
 * Readiness is edge-triggered: a handler must read or write until it would block, or remember that
 * it did not. One epoll_ctl per descriptor's life. Timers lie in a wheel of 4 ms slots: setting and
 * stopping costs O(1); they fire up to one slot late, never early. The time is CLOCK_BOOTTIME in
 * nanoseconds, read once per turn: loop_now() is that reading.
 *
 * Ownership: struct io, timer and task are embedded in their owners, who must stop them before they
 * go. Inside a handler the owner of another descriptor may be ended safely: loop_io_stop also
 * forgets an event already fetched for it. */
#ifndef HF_LOOP_H
#define HF_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"

enum {
    IO_READ = 1,
    IO_WRITE = 2,
    IO_HANGUP = 4
}; /* HANGUP: the peer closed its side or an error is pending; read or write tells */

struct io {
    void (*on_ready)(struct io *io, unsigned ready);
    int fd;         /* -1 when stopped */
    uint32_t event; /* private: position in the batch being handled, + 1 */
};

struct timer {
    struct list link;
    uint64_t at; /* ns; 0 when stopped */
    void (*on_fire)(struct timer *t);
};

/* Runs once, after the current batch of events and before the loop waits again. */
struct task {
    struct list link;
    void (*run)(struct task *t);
};

struct loop;

int loop_new(struct loop **out, struct err *e);
void loop_free(struct loop *l); /* NULL is allowed */

/* Turns until loop_stop. 0, or an error of epoll_wait. */
int loop_run(struct loop *l, struct err *e);
void loop_stop(struct loop *l);
/* As loop_stop, from another thread or a signal handler. */
void loop_wake_and_stop(struct loop *l);
uint64_t loop_now(const struct loop *l);
/* Reads the clock again, after long work inside a handler. */
uint64_t loop_refresh(struct loop *l);
uint64_t loop_turns(const struct loop *l);

void io_init(struct io *io, void (*on_ready)(struct io *, unsigned));
/* Watches fd for reading and writing, edge-triggered. The descriptor stays the caller's. */
int loop_io_start(struct loop *l, struct io *io, int fd, struct err *e);
/* Watches a listening socket shared with other threads: level-triggered, one thread woken
 * (EPOLLEXCLUSIVE), reading only. */
int loop_io_start_shared(struct loop *l, struct io *io, int fd, struct err *e);
void loop_io_stop(struct loop *l, struct io *io); /* does not close fd */
/* Stops and closes with one system call. Only for a descriptor that nobody else holds, neither by
 * dup nor in another process: the kernel would go on to watch what is still open. */
void loop_io_close(struct loop *l, struct io *io);

void timer_init(struct timer *t, void (*on_fire)(struct timer *));
void loop_timer_set(struct loop *l, struct timer *t, uint64_t at); /* moves it if it is set */
void loop_timer_stop(struct loop *l, struct timer *t);
static inline bool timer_is_set(const struct timer *t)
{
    return t->at != 0;
}

void task_init(struct task *t, void (*run)(struct task *));
void loop_defer(struct loop *l, struct task *t); /* once, however often called before it runs */
void task_cancel(struct task *t);

/* CLOCK_BOOTTIME in ns, straight from the kernel. */
uint64_t clock_now(void);
/* The wall clock in ns since 1970, for people's eyes only: it may jump. */
uint64_t clock_wall(void);
/* Bytes from the kernel's random number generator; never fails short. */
void entropy(void *p, size_t n);

#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)

#endif
