/* builder: what the files that make a view of statements share. Inside this room only.
 *
 * Services are built in the order of the file, and may name services that come later: such a name
 * is a link, noted while its service is built and resolved when all are there. */
#ifndef HF_CONF_BUILDER_H
#define HF_CONF_BUILDER_H

#include "conf/settings.h"

struct link;
struct primary_later;

struct builder {
    struct conf *c;
    struct view *v;
    struct map services;             /* name -> node */
    struct map led;                  /* names that a route or mirror leads to, valid or not */
    struct map sockets;              /* "L10.0.0.1:80" or "F/path" -> socket_owner */
    struct map files;                /* path -> struct str, of pages */
    struct link *links;              /* the latest first */
    struct primary_later *primaries; /* services whose nodes are to be looked at */
    size_t page_bytes;               /* of all pages */
    uint32_t cap_sockets;
    uint32_t instances; /* in all services */
    uint32_t logs_left; /* statements that there is room for */
};

/* build.c. A socket that no value of the file names; false after a problem.
 */
bool build_socket(struct builder *b, enum socket_use use, const struct addr *addr,
                  const struct node *n, const char *who);
/* Zeroed memory of the view, NULL when there is none or n is 0. */
void *build_array(struct builder *b, size_t n, size_t size);
void build_remember(struct builder *b, struct map *m, struct str key, const void *value);
bool build_is(const struct node *n, const char *name);
uint32_t build_count(const struct node *children, const char *name);
/* The values of a setting: one, or the items of a list. */
uint32_t build_count_items(const struct value *v);
/* The listeners that a setting of the block, which may be NULL, names for this use: SOCKET_METRICS,
 * SOCKET_ADMIN, or SOCKET_BEAT for both kinds of beats. */
void build_listen(struct builder *b, const struct node *block, const char *key, enum socket_use use,
                  const char *who);
/* Whether only this machine reaches it. */
bool build_is_near(const struct addr *a);
/* Whether it has backends of its own, now or later; some may be misspelt. */
bool build_has_backends(const struct node *n, const struct view_service *s);
/* A copy of a name in the view; .p is NULL after a problem. What: "service". */
struct str build_name(struct builder *b, const struct value *v, const char *what);

/* rules.c: the rules of a service, or of one of its routes, from the block n. */
void rules_build(struct builder *b, const struct node *n, enum block_id id, const struct seen *seen,
                 const struct view_service *from, struct view_rules *r);

/* routes.c */
void routes_build(struct builder *b, const struct node *service, struct view_service *s);

/* pages.c: the body and type of a page from the settings file, text and type of its block, which
 * are in seen. Type is what the block has, or empty. */
void page_fill(struct builder *b, enum block_id id, const struct seen *seen, struct str *body,
               struct str *type);
/* tokens.c */
void tokens_build(struct builder *b, const struct node *admin);
/* The digest of the secret that n refers to; false when there is none, or after a problem. */
bool tokens_secret(struct conf *c, const struct node *n, uint8_t digest[32]);
/* beats.c */
void beats_build(struct builder *b, const struct node *top);
/* notify.c */
void notify_build(struct builder *b, const struct node *top);
/* cluster.c: the nodes, and which of them this is. */
void cluster_build(struct builder *b, const struct node *top, const struct node *zone);
/* A file that the block names and whose contents stay there: its absolute path, or "". secret: it
 * must be closed to others. what: "the cluster's key". */
struct str cluster_file(struct conf *c, const struct value *v, const char *what, bool secret);
/* coordinator.c: who keeps what the nodes agree on, and who votes. k has its nodes and key. */
void coordinator_build(struct builder *b, const struct seen *seen, const struct node *at,
                       struct view_cluster *k);

void pages_build(struct builder *b, const struct node *service, struct view_service *s);

/* links.c. Notes every name that a route or mirror leads to. */
void links_expect(struct builder *b, const struct node *top);
bool links_lead_to(const struct builder *b, struct str name);
/* The value names a service in its first n bytes; its index is written to *index in the end. */
void links_add(struct builder *b, const struct value *v, size_t n, const char *key,
               const struct view_service *from, uint32_t *index);
void links_resolve(struct builder *b);

#endif
