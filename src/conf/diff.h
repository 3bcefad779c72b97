/* diff: what the files that tell changes share. Inside this room only. */
#ifndef HF_CONF_DIFF_H
#define HF_CONF_DIFF_H

#include "conf/conf.h"
#include "conf/schema.h"

struct diff {
    const struct view *now, *next;
    struct buf *out;
    int n;                           /* lines */
    struct view_index before, after; /* of now, of next */
};

/* diff.c. "service web: " and, if there is a part, "route api ". */
void diff_line(struct diff *d, struct str service, const char *part, struct str name);
void diff_end(struct diff *d);
/* "KEY A -> B" for each setting of the block that has a field and differs; hidden texts have only
 * changed. Skip: settings that are told in other words, NULL behind the last; may be NULL. */
void diff_settings(struct diff *d, const struct block *b, struct str service, const char *part,
                   struct str name, const void *was, const void *is, bool hidden,
                   const char *const *skip);

/* Whether it has a socket of the same use and address. */
bool diff_has_socket(const struct view *v, const struct view_socket *s);

/* diff_beats.c */
void diff_beats(struct diff *d);
/* diff_logs.c */
void diff_logs(struct diff *d);
/* diff_notify.c */
void diff_notify(struct diff *d);
/* diff_cluster.c */
void diff_cluster(struct diff *d);

/* diff_primary.c: of a service of kind primary; and "a, b, c", where it may run. */
void diff_primary(struct diff *d, const struct view_service *was, const struct view_service *is);
void diff_print_on(const struct view *v, const struct view_primary *p, struct buf *out);

/* diff_rules.c: rules, rates, routes and pages of a service. */
void diff_rules(struct diff *d, const struct view_service *was, const struct view_service *is);

#endif
