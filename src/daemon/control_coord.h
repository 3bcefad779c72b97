/* control_coord: the coordinator that this node belongs to, by its configuration. Inside this room.
 *
 *   control_coord.c    which engine; the keys `cluster` and `voters`; what is told of it
 *   control_managed.c  the record, and managed.h's steps: chosen, done one at a time
 *   control_standing.c what nodes tell each other, and managed.h's facts
 *   control_voters.c   the voters of an external one
 *   control_members.c  what etcd says of itself, and the changes of its members
 *   control_etcd.c     etcd of this node: the agent, its certificates, its process
 *   control_disk.c     how long its disk takes to sync, and the timers that follow from it
 *   control_space.c    the room in etcd's files
 *   control_backup.c   backups
 *   control_restore.c  the two ways of a restore
 *
 * One node's etcd is looked at each POLL_NS, and after each change; the next step is chosen then.
 */
#ifndef HF_CONTROL_COORD_H
#define HF_CONTROL_COORD_H

#include "admin/coordinator.h"
#include "coord/coord.h"
#include "coord/etcd_members.h"
#include "coord/etcd_space.h"
#include "coord/etcd_timers.h"
#include "coord/standing.h"
#include "daemon/agent.h"
#include "daemon/coord_record.h"
#include "daemon/paths.h"
#include "view/view.h"

struct control;

/* What another node said last. */
struct coord_peer {
    char name[MANAGED_NAME]; /* empty: unused */
    uint64_t at;             /* ns; 0: nothing since its link came up */
    struct standing said;
};

/* A place that this node gave, as the leader. */
struct coord_place {
    uint64_t place, member;
};

/* The members, as the latest leader told them. */
struct coord_list {
    struct managed_line line;
    uint64_t term, at;
    uint32_t n;
    struct standing_member members[MANAGED_MEMBERS];
};

/* What is under way and must end before the next step. */
enum coord_busy {
    COORD_IDLE,
    COORD_STARTING, /* the agent starts etcd */
    COORD_STOPPING, /* ... stops it; then its data goes aside, then `next` becomes the record */
    COORD_ASIDE,
    COORD_CHANGING, /* etcd changes its members */
    COORD_VOTING,   /* voters are written */
};

/* This node's disk, as the agent measures it. */
struct coord_disk {
    struct disk_judge judge;
    struct agent_disk figures; /* the latest */
    uint64_t ticket;           /* 0: none is under way */
    uint64_t asked, measured;  /* ns; measured 0: never */
    uint64_t next;             /* ns: not before */
    uint64_t changed;          /* the level was another before */
    uint64_t since;            /* the agent is there */
};

/* The room in etcd's files; all but the alarms is the leader's business. */
struct coord_space {
    struct etcd_members *ask;        /* owned */
    uint64_t after;                  /* ns: nothing is done before */
    uint64_t alarm_at, compacted_at; /* ns; alarm 0: there is none */
    bool whose;                      /* the alarm is of `full` */
    uint32_t n_full;
    uint64_t full[ETCD_MEMBERS_MAX];
    struct {
        uint64_t member, at;
    } tried[SPACE_MEMBERS]; /* to defragment it */
    bool told_full, told_corrupt;
};

struct coordinating {
    uint8_t kind; /* enum coordinator_kind */
    bool open;    /* a view is in force */
    struct coord *coord;
    struct coord_watch *watch_cluster, *watch_voters, *watch_head;
    char endpoints[1024]; /* that the engine has, for a comparison */
    bool was_reachable;
    /* Keys, as they are. */
    bool cluster_known, has_cluster, voters_known;
    uint64_t voters_in_key;    /* their version there */
    uint64_t voters_revision;  /* 0: the key is not there */
    struct voters voters, was; /* version 0: not known */
    struct voters_patience patience;
    /* Managed. */
    struct coord_record record;
    bool damaged;             /* the record: nothing is done */
    struct managed_line line; /* that the engine is open for */
    struct agent_line agent;
    struct agent_state etcd;
    bool agent_known;
    uint64_t ticket;
    enum coord_busy busy;
    struct coord_record next; /* after COORD_ASIDE */
    bool leaves;              /* when it has stopped its data goes aside */
    bool start_next;          /* and then etcd starts */
    uint64_t restart_at;      /* for new authorities; 0: not */
    bool authorities_known;   /* whether the member that runs has read them, or restarts */
    uint64_t ran_since;       /* 0: it does not run */
    uint64_t settings;
    struct coord_disk disk;
    struct coord_space space;
    uint32_t pace;                   /* the level of timers that all members should have */
    uint64_t turn;                   /* leading: of the member that is to start again */
    uint64_t told_leader, told_term; /* the latest of which an event told */
    uint64_t leader_gone; /* ns: its member runs and knows no leader since then; 0: it knows one */
    enum managed_why resting; /* what is waited for, and since when */
    uint64_t rest_since;
    struct managed_step step; /* the latest, for people */
    char text[256];           /* the same in words */
    struct etcd_members *ask; /* owned */
    struct etcd_told status;  /* of the own member; `member` 0: it does not answer */
    uint64_t status_at, list_at, asked_at, said_at, backoff_until, backoff, compacted_at;
    struct coord_list list;
    struct coord_place places[VIEW_MAX_NODES];
    uint64_t change_after; /* ns: not before, since one failed */
    uint32_t adding;       /* node that a learner is added for, and the place */
    uint64_t adding_place;
    struct coord_peer peers[VIEW_MAX_NODES];
    bool full, told_full;
    struct buf said; /* the latest that was told to the others */
    struct timer tick;
    /* Backups. */
    uint64_t backup_at, backup_next; /* wall ns of the latest; clock ns of the next */
    char backup_path[512];
    bool backing_up;
    /* A restore from a file. */
    char restore_from[512];   /* the file whose keys are to be written; empty: none */
    struct json_t *restoring; /* owned; its contents while they are written */
    size_t restore_done;      /* keys */
    uint32_t restore_pending; /* under way */
    /* Its own, or with record.raise that of a restore without a file. */
    uint64_t restore_target, restore_revision; /* to be passed; reached */
};

/* Before anything may fail. */
void coordinating_init(struct control *c);
void coordinating_end(struct control *c);
/* c->view is in force, and meshing_adopt was called; was: the one before, or NULL. */
void coordinating_adopt(struct control *c, const struct view *was);
/* A new line to the agent. Owned. */
void coordinating_agent(struct control *c, int fd);
/* MESH_COORD of an authenticated node; a link came up, or went. */
void coordinating_message(struct control *c, struct str from, struct str bytes);
void coordinating_link(struct control *c, struct str node, bool up);
/* The cluster's keys may be others. */
void coordinating_keys(struct control *c);
/* Whether this node's member knows the authorities of all keys, as far as it can. */
bool coordinating_keys_known(struct control *c);

/* Between the files. */
void coordinating_tell(struct control *c, enum event_level level, const char *subject,
                       const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void coord_look(struct control *c); /* soon */
/* control_coord.c */
void coord_write_voters(struct control *c, const struct voters *v, const struct voters *was,
                        bool first);
void coord_follow_line(struct control *c);
/* control_coord_ends.c */
uint32_t coord_voter_urls(struct control *c, char urls[VIEW_MAX_ENDPOINTS][ETCD_MEMBER_URL]);
bool coord_same_endpoints(struct coordinating *g, char urls[][ETCD_MEMBER_URL], uint32_t n);
void coord_endpoints(struct control *c);
/* Somebody has fallen silent, or is heard again. */
void coord_hear(struct control *c);
/* control_managed.c */
int managed_begin(struct control *c, struct err *e);
void managed_tick(struct control *c);
void managed_consider(struct control *c); /* the next step, if nothing is under way */
bool managed_save(struct control *c, const struct coord_record *r);
void managed_leaves(struct control *c);  /* etcd has stopped */
void managed_emptied(struct control *c); /* its data is aside */
int managed_restore(struct control *c, const struct coord_record *r, bool empty, struct err *e);
/* control_standing.c */
struct coord_facts {
    struct managed_node nodes[VIEW_MAX_NODES];
    struct managed_member members[MANAGED_MEMBERS];
    char founder[MANAGED_NAME];
    struct managed_facts f; /* points into the others */
};
void managed_gather(struct control *c, struct coord_facts *a);
void managed_say(struct control *c, bool again);
/* voters_ready: as far as promises go, the set may change. */
bool coord_may_change_voters(struct control *c);
/* control_voters.c: an external coordinator, with each tick. */
void coord_voters_tick(struct control *c);
struct str managed_wanted(const struct control *c, struct voters *out); /* and who would found */
bool managed_hears(struct control *c, uint32_t node, const struct standing **out);
bool managed_leads(const struct control *c); /* the member of this node does */
uint32_t managed_owner(const struct control *c, const struct standing_member *m);
/* control_members.c */
bool members_poll(struct control *c);
bool members_change(struct control *c, const struct managed_step *s);
/* control_etcd.c */
void coord_agent_init(struct control *c);
struct addr coord_port(const struct view_node *n, uint16_t more);
void coord_url(const struct view_node *n, uint16_t more, char out[ETCD_MEMBER_URL]);
bool coord_url_addr(const char *url, struct addr *out);
int coord_tls(struct control *c, struct err *e);
int coord_tls_files(const struct control *c, char ca[PATHS_MAX], char cert[PATHS_MAX],
                    char key[PATHS_MAX], struct err *e);
bool coord_restarts(struct control *c);
int coord_start(struct control *c, struct err *e);
int coord_stop(struct control *c, struct err *e);
int coord_aside(struct control *c, struct err *e);
/* control_disk.c */
void disk_tick(struct control *c);
/* The agent answers; d NULL: it could not. */
void disk_measured(struct control *c, const struct agent_disk *d);
void disk_forget_agent(struct control *c);
void disk_look(struct control *c); /* something was slow, or went: soon */
/* The first start of etcd waits for a figure. */
bool disk_awaited(const struct control *c);
uint32_t disk_level(const struct control *c);
bool disk_is_steady(const struct control *c);  /* the level has been the same for a while */
uint32_t disk_timers(const struct control *c); /* the level that the member here runs with */
/* control_space.c */
void space_tick(struct control *c);
void space_alarms(struct control *c); /* of the status that has come */
/* control_backup.c */
#define COORD_BACKUP_FORMAT "holdfast coordinator 1"
void coord_applied(struct control *c); /* a configuration was: a backup soon */
void coord_backup_tick(struct control *c);
/* control_restore.c */
void coord_restore_begin(struct control *c);
void coord_restore_tick(struct control *c);
void coord_restore_end(struct control *c);
/* For struct admin_host. */
int coordinating_picture(void *context, struct admin_coordinator *out, struct err *e);
int coordinating_backup(void *context, struct err *e);
int coordinating_restore(void *context, const char *from, bool force, struct err *e);
#endif
