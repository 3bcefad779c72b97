/* bundle_env: the two worlds that a shared configuration is read in. Here conf/ and coord/ meet.
 *
 *   collect   reads from the disk and puts every shared file into a bundle, under the name that the
 *             configuration has for it, seen from the directory of the main file
 *   bundled   reads shared files from a bundle, and nowhere else; keys and what `file:` refers to
 *             from the disk, seen from the directory of the node's own file
 *
 * What `file:` and `env:` refer to never comes into a bundle: conf reads it by another function. */
#ifndef HF_BUNDLE_ENV_H
#define HF_BUNDLE_ENV_H

#include "conf/conf.h"
#include "coord/bundle.h"
#include "daemon/paths.h"

struct bundle_world {
    struct conf_env real;
    const struct bundle *from; /* bundled: borrowed */
    struct bundle *into;       /* collect: borrowed */
    char base[PATHS_MAX];      /* a directory with its slash, or empty */
    struct err why;            /* collect: what kept a file out; code 0: nothing */
};

/* own: the node's own file, whose directory relative names are seen from. */
struct conf_env bundle_env(struct bundle_world *w, const struct bundle *from, const char *own,
                           const char *node);
/* file: the main file; its name in the bundle is what follows the last slash. */
struct conf_env bundle_collect(struct bundle_world *w, struct bundle *into, const char *file);

#endif
