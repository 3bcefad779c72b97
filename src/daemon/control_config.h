/* control_config: what control keeps of the configuration that all nodes share. Inside this room.
 *
 *   control_config.c   this node follows: the versions core (coord/versions.h) says what is to be
 *                      fetched, kept on disk and used; using is a reload
 *   config_load.c      what is read for a reload and at the start
 *   config_said.c      what nodes say of themselves
 *   config_show.c      what operators see
 *   control_apply.c    what operators ask: plan, apply, roll back, history; with
 *                      control_compare.c and control_tell.c, see control_asking.h */
#ifndef HF_CONTROL_CONFIG_H
#define HF_CONTROL_CONFIG_H

#include "admin/admin.h"
#include "coord/coord.h"
#include "coord/versions.h"
#include "daemon/kept.h"

enum { CONFIG_ASKS = 64 /* under way at most */ };

struct control;

/* What a node says of itself. */
struct node_adoption {
    char name[64];
    struct version_adopted says;
};

struct configuring {
    struct coord *coord; /* control_coord.c's; NULL: there is none now */
    struct coord_watch *head, *nodes;
    bool begun; /* the first view is in force */
    struct adopter adopter;
    struct timer due;
    struct shared_conf used;    /* what reloads are made from */
    struct shared_conf target;  /* what the adopter wants to be used */
    bool wanted, running;       /* the next transaction is the target's; the one under way is */
    struct admin_reload reload; /* by which it asks for one */
    struct buf left;            /* lines: what else the own file says, at the latest reload */
    struct node_adoption *said; /* owned; VIEW_MAX_NODES */
    uint32_t n_said;
    struct version_adopted own; /* what is to be said of this node */
    bool own_said, saying;
    char refused[VERSION_PROBLEM]; /* the problem that was told last */
    struct list asks;              /* struct asking */
    uint32_t n_asks;
    uint64_t kept_most;   /* the highest number in STATE/config */
    uint64_t renumber_at; /* ns: when head, which is behind, is written anew; 0: it is not */
    bool renumbering;     /* it is being written */
    uint64_t below;       /* the first view is of a version below this one; 0: of any */
    uint64_t fallen_from; /* a newer version that was kept and could not be used at the start */
    char fallen[VERSION_PROBLEM]; /* why; empty: there was none, or the coordinator has said more */
    char own_problem[KEPT_OWN_TEXT]; /* of the own file; empty: it is well */
    struct buf own_copy; /* of the own file as it was read for the view that is under way */
};

/* Before anything may fail. */
void configuring_init(struct control *c);
void configuring_end(struct control *c);
/* c->view is in force; was: the one before, or NULL. */
void configuring_adopt(struct control *c, const struct view *was);
/* The coordinator is there (until it is told otherwise), or is none (NULL: before it is freed). */
void configuring_coord(struct control *c, struct coord *coord);
/* config_load.c. For a reload: reads what this node is to run. */
int configuring_load(struct control *c, struct view **out, struct conf_problems *problems,
                     struct err *e);
/* The supervisor refused the first view: true when there is an older version to start with. */
bool configuring_refused(struct control *c, const char *why);
/* The view that was read is in force. */
void configuring_keep_own(struct control *c);
/* What is kept is read; what cannot be is set aside, so that it is told once. */
void configuring_check_kept(struct control *c);
/* Why this node does not run what is in force, as far as it knows; may be empty. */
const char *configuring_problem(const struct control *c);
/* The transaction is over. */
void configuring_idle(struct control *c);
/* What conf is asked with: the own file, the state directory, which node; name holds that. */
struct conf_place configuring_place(const struct control *c, char name[256]);
/* As the others call this node. */
struct str control_name(const struct control *c);
/* Something of the adopter has changed. */
void configuring_settle(struct control *c);
/* config_said.c: what is new of this node; a watcher of VERSIONS_NODE. */
void configuring_say(struct control *c);
void configuring_nodes(void *context, const struct coord_item *items, uint32_t n, uint64_t revision,
                       bool whole);

/* For struct admin_host. */
int configuring_picture(void *context, struct admin_config *out, struct err *e);
int configuring_ask(void *context, const struct admin_config_ask *ask, struct admin_config_wait *w,
                    struct err *e);
/* No number that is above this one was ever used, as far as this node knows. */
uint64_t configuring_highest(struct control *c);
/* control_apply.c: head is written anew, above all; the reason is told if that fails. */
void asking_renumber(struct control *c);
/* control_apply.c: head is another, or the coordinator is gone. */
void asking_wake(struct control *c);
void asking_end(struct control *c, const char *why);
void admin_version_of(const struct version *v, struct admin_version *out);

#endif
