/* miner: which event a line of a log tells of, learnt from the lines alone.
 *
 * A template is what the lines of one event have in common: words, some of them variable. The words
 * of a line (words.h) lead to its template in one of two ways:
 *
 *   known: lines with these words came before. One look into a table of keys; most lines end here.
 *   new: the templates with as many words and the same head are compared, and the line belongs to
 *        the one that has most of the line's constant words in their places. Words that differ
 *        become variable. Is none like it, the line founds a template.
 *
 * The head is what stands before the message: times and numbers, levels, single signs, and syslog's
 * "host program:" and "program[1234]:". Since it is the same in many events it tells nothing about
 * likeness, and must be equal. With e of the line's c constant words behind the head equal:
 *
 *   no constant of the template differs, e >= c * 4 / 10             the template's
 *   e >= c * 8 / 10                                                    joined
 *   e >= c * 5 / 10, and MINER_SIBLINGS templates differ from the
 *   line in the same places as the best (MINER_SIBLINGS_FIRST where the first word is one of them):
 *   a place with so many values is a parameter                         all joined
 *   else                                                               a new one
 *
 * This is Drain (P. He, J. Zhu, Z. Zheng, M. Lyu, "Drain: An Online Log Parsing Approach with Fixed
 * Depth Tree", ICWS 2017), with the head in place of the tree's first words (which splits events
 * that begin with a parameter), a table of keys before it, and siblings instead of one threshold
 * (which joins short events that differ in one word).
 *
 * Bounds: `most` templates; over it the one that was seen least recently is forgotten. At most
 * MINER_COMPARED are compared, the latest of their kind. Memory: miner_bytes, at most
 * MINER_BYTES_MOST with MINER_MOST templates. Owned by one thread. Pure. */
#ifndef HF_DETECT_LOGS_MINER_H
#define HF_DETECT_LOGS_MINER_H

#include "detect/logs/rates.h"
#include "detect/logs/words.h"

enum {
    MINER_MOST = 4096,
    MINER_BYTES_MOST = 4 << 20,
    MINER_COMPARED = 128,
    MINER_SIBLINGS = 3,
    MINER_SIBLINGS_FIRST = 12,
    MINER_TEXT = 160
};

struct template
{
    uint64_t lines;  /* of it */
    uint32_t window; /* of them, since the owner set it to 0 */
    uint16_t n;      /* words */
    uint16_t head;
    uint64_t id;                  /* of its words when it was founded; it keeps it */
    uint64_t bucket;              /* of its length and its head */
    uint32_t serial;              /* no two have the same */
    uint16_t next, previous;      /* in its bucket */
    uint16_t newer, older;        /* of all, by use */
    bool error;                   /* it tells of an error, by its words */
    bool known;                   /* the owner's; a new one takes it from one that is half alike */
    uint8_t raised, times, quiet; /* the owner's */
    struct rate rate;             /* the owner's */
    uint16_t text_n, text_cap;
    uint32_t *words; /* 0: variable. Behind them, the text */
};

struct miner;

/* Told, where not NULL, before a template goes: `into` is NULL if it is forgotten, else it was
 * joined with that one. */
typedef void miner_gone_fn(void *context, struct template *gone, struct template *into);

struct miner *miner_new(uint32_t most, miner_gone_fn *gone, void *context); /* NULL: no memory */
void miner_free(struct miner *m);
/* The template that the line belongs to, now counted. NULL: it has no words, or memory is out. The
 * template is valid until the next call. *founded: it is new. */
struct template *miner_line(struct miner *m, struct str line, bool *founded);
/* "<*>" stands for what is variable. Not terminated. */
struct str template_text(const struct template *t);

/* A template from before: its id, head, marks and rate, words and text. False: no memory, or full.
 */
bool miner_restore(struct miner *m, const struct template *from, struct str text);

/* Each template, by number: NULL where there is none. */
uint32_t miner_slots(const struct miner *m);
struct template *miner_slot(const struct miner *m, uint32_t i);
uint32_t miner_templates(const struct miner *m);
size_t miner_bytes(const struct miner *m);
#endif
