/* follow_place: where in which file one stands, so that the file is known again: under another
 * name, in another process, as a copy.
 *
 * The first bytes and those before the position are kept: two files with the same device, inode and
 * birth are one, and a file of any name that has the same bytes in both places is a copy of it. The
 * encoding has a version and a hash; a decoder refuses what is damaged. Pure. */
#ifndef HF_SENSE_FOLLOW_PLACE_H
#define HF_SENSE_FOLLOW_PLACE_H

#include "base/base.h"

enum { PLACE_EDGE = 64, PLACES_MOST = 32 };

struct place {
    uint64_t device, inode, birth; /* birth: ns since 1970; 0: not known */
    uint64_t at;                   /* bytes before this one were read */
    uint64_t until;                /* ns since 1970: copies of it were made before */
    bool open;                     /* more may come */
    bool amid;                     /* the rest of the line there does not count */
    uint8_t head_n, tail_n;
    char head[PLACE_EDGE]; /* the first bytes */
    char tail[PLACE_EDGE]; /* the bytes before `at` */
};

bool place_same_file(const struct place *a, const struct place *b);

/* n places, oldest first, and what is older than what may still be unread. */
void places_put(struct buf *out, const struct place *p, uint32_t n, uint64_t floor);
/* False: the bytes are damaged, or there are none. */
bool places_get(struct str bytes, struct place p[PLACES_MOST], uint32_t *n, uint64_t *floor);

#endif
