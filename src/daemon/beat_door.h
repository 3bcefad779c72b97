/* beat_door: where jobs say over the network that they live: the I/O around wire/beat.h. Belongs to
 * control, one thread, its loop.
 *
 * A datagram is a line and is not answered. A TCP connection has any number of lines, each answered
 * with "ok" or one line that says what is wrong; after the latter it is closed. Bounded: so many
 * connections, each for as long as it takes to send a line, lines of BEAT_LINE_MAX bytes, and
 * LINES_A_SECOND lines in all, since each costs a digest: above that datagrams are dropped and
 * connections told to come back. An address that sends ten lines in ten seconds that name no beat
 * or not its token is not served over TCP for a while (admin/access.h); over UDP an address proves
 * nothing, so that anybody could have another one barred. */
#ifndef HF_DAEMON_BEAT_DOOR_H
#define HF_DAEMON_BEAT_DOOR_H

#include "os/os.h"
#include "wire/beat.h"

enum { BEAT_DOOR_CONNECTIONS = 64, BEAT_DOOR_LINES_A_SECOND = 1000 };

struct beat_door_owner {
    void *context;
    /* A line that was understood. False: there is no such beat, or this is not its token. */
    bool (*line)(void *context, const struct beat_line *l);
};

struct beat_door_counts {
    uint64_t taken;
    uint64_t malformed; /* not understood */
    uint64_t denied;    /* no such beat, or not its token */
    uint64_t dropped;   /* above the rate */
};

struct beat_doors;
int beat_doors_new(struct beat_doors **out, struct loop *l, const struct beat_door_owner *owner,
                   struct err *e);
void beat_doors_free(struct beat_doors *d); /* NULL is allowed */
/* Serves a listening or a datagram socket, which is taken in any case. */
int beat_doors_open(struct beat_doors *d, int fd, bool datagrams, struct err *e);
/* Closes those sockets; connections end by themselves. */
void beat_doors_close(struct beat_doors *d);
struct beat_door_counts beat_doors_counts(const struct beat_doors *d);

#endif
