/* control_role: the services of kind primary at this node. Inside this room.
 *
 *   control_role.c        one failover.h for each such service; with the view, its timer
 *   control_role_host.c   what it orders: the coordinator, the lease, other nodes, the cells
 *   control_role_agent.c  the instance here: what the agent is told, and what it reports
 *   control_role_lead.c   the coordinator's leader is rather not where a primary is
 *   control_role_tell.c   events and their evidence; the admin API: how it is, what is asked for
 *
 * Nodes that are no candidates have one too: it looks on, and keeps the cells' record for the
 * proxies. All of it is told facts whenever they change and runs at once: nothing here waits. */
#ifndef HF_CONTROL_ROLE_H
#define HF_CONTROL_ROLE_H

#include "admin/roles.h"
#include "coord/coord.h"
#include "daemon/agent.h"
#include "os/os.h"
#include "recover/failover.h"

struct control;
struct rolling;

enum { ROLE_ASKS = 8 /* of the coordinator, under way */, ROLE_ORDERS = 4 /* to the agent */ };

/* To the coordinator. */
struct role_asked {
    struct role_here *role;
    uint64_t ticket, coord_ticket; /* failover.h's (0: nothing is asked), the coordinator's */
    bool cas;
};
struct role_ordered {
    uint64_t ticket, line_ticket; /* failover.h's, the line's; 0 */
};

struct role_here {
    struct control *owner;
    char name[FAILOVER_NAME];
    uint64_t id;
    uint32_t service, slot; /* index in the view; row of the cells */
    uint32_t n;
    uint8_t self;
    char names[ROLE_NODES][FAILOVER_NAME];
    struct str places[ROLE_NODES]; /* the same */
    bool kept;                     /* the view at hand names it */
    struct failover core;
    struct timer due;
    bool runs, again;
    struct role_asked asked[ROLE_ASKS];
    struct role_ordered ordered[ROLE_ORDERS];
    struct agent_report report;
    bool reported;
    char fault[ADMIN_REASON_MAX]; /* what was told of the primary's loss */
    /* What an operator asked for. */
    struct admin_role_request request;
    enum admin_role_ask ask;
    uint8_t ask_to, ask_from;
    uint64_t ask_ticket, ask_since;
    /* Of a switchover away from here: the hold that was told of, and how long writers waited until
     * which epoch took writes, ns. */
    uint64_t held_told, held_for, held_epoch;
    uint8_t named, before; /* by the record, now and before that; ROLE_NOBODY */
    bool address_owed;     /* the agent could not be told to take it */
};

struct rolling {
    struct role_here **rows; /* owned */
    uint32_t n;
    uint64_t incarnation, requests;
    uint64_t lead_at;    /* ns: the coordinator's lead is not looked at before */
    struct coord *coord; /* NULL: there is none now */
    struct coord_watch *watch;
    bool again; /* memory ran out: what was to be told or watched is not */
};

void rolling_init(struct control *c); /* before anything may fail */
void rolling_end(struct control *c);
/* c->view is in force, mesh and coordinator know it. */
void rolling_adopt(struct control *c);
/* The coordinator is open; NULL: it is about to be closed. */
void rolling_coord(struct control *c, struct coord *coord);
/* A new line to the agent; the one before is gone. */
void rolling_agent(struct control *c);
void rolling_agent_gone(struct control *c);
/* The cluster's key is another. */
void rolling_keys(struct control *c);
/* True: the answer was one of these. */
bool rolling_answer(struct control *c, const struct agent_answer *a);
void rolling_report(struct control *c, const struct agent_report *a);
/* MESH_ROLE of an authenticated node; a link came up; membership changed; leases. */
void rolling_message(struct control *c, struct str from, struct str bytes);
void rolling_link(struct control *c);
void rolling_members(struct control *c);
/* Now and then: what memory ran out for is done again. */
void rolling_tick(struct control *c);
void rolling_lead(struct control *c);
void rolling_lease(struct control *c, uint64_t role, unsigned effects);
/* control_role_tell.c: what this node began came about, or what was asked for. */
void role_held_step(struct role_here *r);
/* For struct admin_host. */
int rolling_role(void *context, const struct view_service *s, struct admin_role *out,
                 struct err *e);
int rolling_ask(void *context, const struct view_service *s, enum admin_role_ask what, int to,
                struct err *e);

/* Between the files. */
void role_run(struct role_here *r);
/* Tells the proxies how far behind the replicas are. Returns when it is to be called again. */
uint64_t role_tell_replicas(struct role_here *r, uint64_t now);
struct role_here *role_find(struct control *c, struct str name);
const char *role_place_name(const struct role_here *r, uint8_t place); /* "nobody" */
struct failover_host role_host(struct role_here *r);
/* Whatever is under way at the coordinator will not be answered. */
void role_forget_asked(struct role_here *r);
void role_tell_instance(struct role_here *r);
void role_stop_instance(struct role_here *r);
bool role_order(struct role_here *r, uint64_t ticket, enum failover_act act, uint64_t epoch,
                uint8_t place);
/* The service's address comes to this node, or leaves it. */
void role_address(struct role_here *r, bool take);
/* What was asked for is not waited for any more. */
void role_forget_wish(struct role_here *r);
void role_news(struct role_here *r, const struct failover_news *news);
void role_ask_step(struct role_here *r);

#endif
