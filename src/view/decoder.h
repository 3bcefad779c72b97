/* decoder: what the files that read a view share. Inside this room only. */
#ifndef HF_VIEW_DECODER_H
#define HF_VIEW_DECODER_H

#include "view/view.h"

/* Reading goes on after a failure: the reader returns zeros, and memory that is out is told apart
 * at the end. */
struct decoder {
    struct reader r;
    struct view *v;
    bool nomem;
};

/* Zeroed room for n records of at least `min` encoded bytes each; *n becomes 0 when that fails. */
void *get_array(struct decoder *d, uint32_t *n, size_t min, size_t size);
struct str get_text(struct decoder *d);
/* 0 or 1: another byte is damage. */
bool get_bool(struct decoder *d);
/* decode_rules.c: at most VIEW_MAX_WORDS of them, and the rules of HTTP traffic. */
void get_words(struct decoder *d, struct view_words *w);
void get_traffic(struct decoder *d, struct view_service *s);

#endif
