/* words: a line of a log made into words, the variable ones masked.
 *
 * A word is a run of bytes between separators: blanks and = , : ; ( ) [ ] { } | \ " ' `. A word
 * is variable, and its hash 0, where it
 *
 *   holds a digit (numbers, addresses, times, most hexadecimal and UUIDs, sda1);
 *   holds a slash or an @ (paths, names of two parts, mail addresses), or is a question mark;
 *   is the name of a month or a weekday, in three letters, among the first words;
 *   is quoted: from a quotation mark that no word touches on the left to its like that no word
 *   touches on the right. Behind msg=, message= and event= the words inside count instead.
 *
 * A statement is one variable word up to the line's end: behind "statement:" and the like, and
 * where a word of SQL in capitals (SELECT) stands behind a colon.
 *
 * So is a unit of systemd with its description ("dbus.service - D-Bus System Message Bus.").
 *
 * Neighbours that are variable are one word: "2026-11-23 21:38:04.123", "10.0.0.1:3000" and lists
 * of numbers of any length. Of a JSON object in one line, only the texts of what is told and how
 * bad it is count (msg, message, event, log, level, severity and the like), or its keys if there is
 * none.
 *
 * Only the first WORDS_BYTES bytes and WORDS_MAX words are looked at. So two lines with the same
 * words have the same key, whatever their parameters.
 *
 * One pass with bit masks of 64 bytes each (AVX2 where there is such), no allocation. The idea of
 * masks is D. Lemire and G. Langdale's ("Parsing gigabytes of JSON per second", VLDB Journal 2019).
 * Pure. */
#ifndef HF_DETECT_LOGS_WORDS_H
#define HF_DETECT_LOGS_WORDS_H

#include "base/base.h"

enum { WORDS_MAX = 48, WORDS_BYTES = 1024 };

struct words {
    uint32_t n;
    bool object;  /* of JSON, and what is told in it */
    uint64_t key; /* of all hashes in their order */
    uint32_t hash[WORDS_MAX];
    uint16_t from[WORDS_MAX], to[WORDS_MAX]; /* in the line; of several variable ones, all */
};

void words_of(struct str line, struct words *w);
/* The same without AVX2: for tests. */
void words_of_portably(struct str line, struct words *w);
/* Of a constant word; never 0. */
uint32_t word_hash(struct str word);

#endif
