/* http1_edit: lists of edits put together for one head, and what of them is written.
 *
 * Lists are applied one after the other, and edits in their order: what a later edit sets or
 * removes, an earlier one has written in vain. So nothing is applied step by step: a field of the
 * head is left out when any edit sets or removes its name, and an edit's own field is written
 * unless a later edit does so. */
#ifndef HF_HTTP1_EDIT_H
#define HF_HTTP1_EDIT_H

#include "wire/http1_out.h"

enum { HTTP1_EDIT_SETS = HTTP_EDIT_LISTS + 2 }; /* own answers put two of their own before */

struct http1_edit_set {
    uint32_t n;
    uint32_t replaced; /* FIELD_BIT of each known field that is set or removed */
    bool others;       /* so are fields that are not known */
    struct str host;   /* to be written as Host; empty if not set */
    const struct http_edits *lists[HTTP1_EDIT_SETS];
};

/* Most requests have lists of rules with nothing in them. */
static inline bool http1_any_edits(const struct http_edits *lists, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (lists[i].n)
            return true;
    return false;
}
/* Puts lists behind those that are there. */
void http1_edits_join(struct http1_edit_set *e, const struct http_edits *lists, uint32_t n);
/* An edit sets or removes this field, which is of a kind that is not known (`replaced` tells of the
 * others). */
bool http1_edited(const struct http1_edit_set *e, const struct http_header *x);
/* The fields that edits write. */
void http1_put_edits(struct out *o, const struct http1_edit_set *e);

#endif
