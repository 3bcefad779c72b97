/* bundle: a configuration and the files that it is made of, as bytes.
 *
 * What nodes agree on is not a path but contents: the main file, what it includes, and the pages
 * that it names. Secrets are never among them: `file:` references, keys and variables stay on each
 * node. Names are as the configuration wrote them, seen from the directory of the main file
 * ("conf.d/web.conf", or absolute as written); they are keys here and never opened.
 *
 * Encoded: "HFB1", the main file's name, and every file as name and contents, ordered by name.
 * Equal files give equal bytes, and so an equal digest (SHA-256 of the bytes, in hex). The decoder
 * takes nothing that the encoder would not write: an encoded bundle has one form.
 *
 * Pure; the caller owns what it is given. Sizes are bounded so that a bundle, in base64, fits into
 * a value of the coordinator beside what is told of its version. */
#ifndef HF_COORD_BUNDLE_H
#define HF_COORD_BUNDLE_H

#include "base/base.h"

enum {
    BUNDLE_MAX = 560 * 1024, /* bytes, encoded: 747 KiB in base64 */
    BUNDLE_FILES = 2048,
    BUNDLE_NAME = 1024, /* bytes of a name */
    BUNDLE_DIGEST = 65, /* hex and its end */
};

struct bundle_file {
    struct str name, text; /* terminated */
};

/* Zero-initialise; bundle_free ends it. */
struct bundle {
    struct arena arena;
    struct str main; /* the name of one of the files */
    struct bundle_file *files;
    uint32_t n, cap;
};

void bundle_free(struct bundle *b);
/* A copy of both; the first that is added is the main file. The same file again is no news; with
 * other contents it is refused (ERR_BUSY: it changed meanwhile). ERR_INVAL: no name for a file. */
int bundle_add(struct bundle *b, struct str name, struct str text, struct err *e);
/* NULL when there is none. */
const struct bundle_file *bundle_find(const struct bundle *b, struct str name);

/* ERR_LIMIT, with the greatest file in words, when it is above BUNDLE_MAX. */
int bundle_encode(const struct bundle *b, struct buf *out, struct err *e);
/* *out is empty before; on failure it is again. ERR_PROTO. */
int bundle_decode(struct str bytes, struct bundle *out, struct err *e);
/* Of encoded bytes. False: memory is out. */
bool bundle_digest(struct str bytes, char hex[BUNDLE_DIGEST]);

#endif
