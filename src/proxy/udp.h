/* udp: datagram services. Datagrams of one client go to one instance, and its answers go back to
 * that client.
 *
 * A *flow* is a client's address and port, and a connected socket to the instance that was picked
 * for it. Connected, so that the kernel lets in only that instance's answers and reports its
 * refusals (ICMP port unreachable) as errors. A flow ends after `timeout { flow }` without a
 * datagram, or after `replies` answers where the protocol is one of questions and answers. Flows
 * are bounded: the one unused for longest makes room.
 *
 * A listening UDP socket belongs to one worker (its index in the view modulo the workers), so that
 * all datagrams of a client meet the same table. Nothing is retried: a datagram may be lost on its
 * way as everywhere, and who sends it knows.
 *
 * Evidence: an answer is an answered request; a refusal is certain; where `replies` is set, a
 * question without an answer within `first-byte` is a time-out. */
#ifndef HF_PROXY_UDP_H
#define HF_PROXY_UDP_H

#include "base/base.h"

struct worker;
struct service;
struct listener_row;
struct udp_listener;

enum { UDP_FLOWS_MAX = 16384, UDP_DATAGRAM_MAX = 65535, UDP_BATCH = 64 };

/* Takes a reference of the service and a duplicate of the descriptor. Reads nothing yet. */
int udp_listener_new(struct worker *w, struct service *s, const struct addr *addr,
                     struct listener_row *row, int fd, struct udp_listener **out, struct err *e);
/* A reload: new flows are the new service's; those whose instance has left end with their client's
 * next datagram. */
void udp_listener_move(struct udp_listener *u, struct service *s);
/* Ends all flows. */
void udp_listener_free(struct udp_listener *u);
/* Begins to read; harmless when it does already. */
int udp_listener_read(struct udp_listener *u, struct err *e);
/* Another proxy reads the socket now: the flows that are there go on towards their clients, until
 * they end as always. */
void udp_listener_hand_over(struct udp_listener *u);
/* No new flows; those without an open question end now, the others with their answer. */
void udp_listener_drain(struct udp_listener *u);
void udp_listener_end_flows(struct udp_listener *u);
uint32_t udp_listener_flows(const struct udp_listener *u);
const struct addr *udp_listener_addr(const struct udp_listener *u);
struct service *udp_listener_service(const struct udp_listener *u);
/* Ends flows that have been silent for too long. From the worker's tick. */
void udp_listener_tick(struct udp_listener *u);

#endif
