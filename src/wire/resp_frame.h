/* resp_frame: where one value of RESP ends and the next begins (redis.io/docs/reference/
 * protocol-spec, versions 2 and 3), whatever pieces the bytes come in. Pure, and no memory but its
 * own: a value is followed by how many more belong to it, never by its nesting.
 *
 * It frames and does not read: bytes within a bulk string are skipped. What it refuses is what no
 * length can be taken from; streamed values of RESP3 ("$?") are among that, since no server sends
 * them. */
#ifndef HF_RESP_FRAME_H
#define HF_RESP_FRAME_H

#include "base/base.h"

enum { RESP_LINE_MAX = 64 * 1024 }; /* of an inline command, as the server's own bound */

enum { RESP_MORE = 0, RESP_DONE = 1, RESP_BAD = -1 };

/* All zero: at the beginning of a value. */
struct resp_frame {
    uint64_t left;     /* values that are still to come, this one included; 0: none has begun */
    uint64_t skip;     /* bytes of the present one's payload that are still to come */
    uint32_t line;     /* bytes of the present line so far */
    char head[24];     /* its first ones */
    char type;         /* the first byte of the whole value; 0: an inline command */
    bool empty;        /* an inline command without a word, or an array of nothing */
    bool inline_words; /* a command that is no array */
};

/* A reply, or a push. *used: how many of the bytes belong to it. */
int resp_frame_reply(struct resp_frame *f, const char *p, size_t n, size_t *used);
/* A command: an array, or a line of words. `empty` ones are not answered. */
int resp_frame_command(struct resp_frame *f, const char *p, size_t n, size_t *used);
static inline bool resp_frame_between(const struct resp_frame *f)
{
    return f->left == 0 && f->skip == 0;
}

/* The first words of a command that lies whole in p, at most `most` of them; those of a command
 * that goes on behind n are the ones that are whole. Returns how many. */
size_t resp_words(const char *p, size_t n, struct str *words, size_t most);

#endif
