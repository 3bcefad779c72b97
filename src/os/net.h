/* net: sockets in the shape that the loop wants (non-blocking, close-on-exec), addresses as struct
 * addr. */
#ifndef HF_NET_H
#define HF_NET_H

#include <sys/types.h>

#include "base/base.h"

/* A listening stream socket, or a negative error; what it accepts sends small packets at once
 * (TCP_NODELAY). An abandoned Unix socket file is replaced; one
 * that somebody serves is ERR_EXISTS. */
enum { NET_UNSENT_MAX = 256 * 1024 }; /* bytes that an accepted connection takes ahead of sending */
int net_listen(const struct addr *a, int backlog, struct err *e);
/* A socket on its way to a: connected, or in progress (writable when decided; net_connect_result
 * tells). Returns the descriptor. */
int net_connect(const struct addr *a, struct err *e);
/* The same from an address of this machine (NULL: any), with any port. */
int net_connect_from(const struct addr *from, const struct addr *a, struct err *e);
/* 0 when connected, else the errno of the failed attempt. */
int net_connect_result(int fd);
/* The next waiting connection, or -errno. from may be NULL. */
int net_accept(int listen_fd, struct addr *from);
/* Whether an interface of this machine has the address, whatever its port; all of 127.0.0.0/8 is
 * here. False too when that cannot be found out. */
bool net_has_address(const struct addr *a);
/* The address that a connection came to. False: unknown. */
bool net_local_addr(int fd, struct addr *out);
/* A bound datagram socket; IP addresses only. */
int net_datagram_listen(const struct addr *a, struct err *e);
/* A datagram socket that sends to a and hears only a. */
int net_datagram_connect(const struct addr *a, struct err *e);
/* One datagram: its length, 0 included, or -errno. from may be NULL. A datagram longer than n is
 * cut. */
int net_datagram_receive(int fd, void *p, size_t size, struct addr *from);
/* 0 or -errno. to is NULL on a connected socket. */
int net_datagram_send(int fd, const void *p, size_t size, const struct addr *to);

/* Small packets at once (TCP_NODELAY). Harmless on Unix sockets. */
void net_set_nodelay(int fd);
/* Closing sends RST instead of FIN: for a client that must not take what it got for complete. */
void net_set_reset_on_close(int fd);

/* A pair of connected SOCK_SEQPACKET sockets: messages keep their boundaries. */
int net_message_pair(int fds[2], struct err *e);
/* Sends one message with descriptors. 0, ERR_BUSY when the peer is slow, ERR_IO when it is gone. */
int net_message_send(int fd, const void *p, size_t n, const int *fds, size_t n_fds, struct err *e);
/* Receives one. Returns its length, 0 when the peer is gone, or ERR_BUSY when there is none. At
 * most max_fds descriptors arrive, now the caller's; a message that is longer than n or brings more
 * is ERR_PROTO and its descriptors are closed. */
ssize_t net_message_receive(int fd, void *p, size_t n, int *fds, size_t max_fds, size_t *n_fds,
                            struct err *e);

#endif
