/* dropins: directories whose files *.conf hold backends. Inside this room only.
 *
 * A directory is watched, and looked at again from time to time for what a watch misses. A file is
 * read when its place, size or time of change is another; files count in the order of their names.
 * A file that cannot be understood keeps what it gave before and is told with its first mistake; a
 * file that is gone gives nothing; a directory that is gone keeps everything, as one that is not
 * mounted. Whoever replaces a file by renaming another over it is never read half written. */
#ifndef HF_DISCOVER_DROPINS_H
#define HF_DISCOVER_DROPINS_H

#include "conf/conf.h"
#include "discover/merge.h"
#include "os/os.h"

struct dropins;

struct dropins_owner {
    void *context;
    void (*changed)(void *context);
    /* bad: a file or directory cannot be read, or (not bad) it can again. Said once each. */
    void (*tell)(void *context, bool bad, const char *path, const char *text);
};

int dropins_new(struct dropins **out, struct loop *l, const struct dropins_owner *owner,
                struct err *e);
void dropins_free(struct dropins *d); /* NULL is allowed */

/* The directories of a view are followed from now on, and those of another one (or NULL): others
 * are forgotten. New ones are read at once. before (or NULL): what a file that cannot be read gave
 * before, by a control before this one. */
int dropins_follow(struct dropins *d, const struct view *v, const struct view *also,
                   const struct view *before, struct err *e);
void dropins_give(struct dropins *d, const struct view_source *source, struct merge_sink *sink);

#endif
