/* verify: what its files share. Inside this room only. */
#ifndef HF_VIEW_VERIFY_H
#define HF_VIEW_VERIFY_H

#include "view/view.h"

int verify_bad(struct err *e, struct str where, const char *what);
/* Puts the key into the set; complains when it was there. */
int verify_unique(struct map *set, struct str key, struct str where, const char *what,
                  struct err *e);
bool verify_addr(const struct addr *a);
/* verify_source.c: instances, and what gives them. */
int verify_audit(const struct view_audit *a, struct err *e);
int verify_resolver(const struct view_resolver *r, struct err *e);
int verify_instances(const struct view_service *s, struct err *e);
int verify_sources(const struct view_service *s, struct err *e);
/* verify_cluster.c */
int verify_cluster(const struct view *v, struct err *e);
/* verify_log.c */
int verify_logs(const struct view *v, struct err *e);
/* verify_primary.c */
int verify_primary(const struct view *v, const struct view_service *s, struct err *e);
/* verify_rules.c */
int verify_traffic(const struct view *v, const struct view_service *s, struct err *e);

#endif
