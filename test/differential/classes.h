/* classes: the differences between the two parsers that are explained. */
#ifndef HF_CLASSES_H
#define HF_CLASSES_H

#include "oracle.h"
#include "wire/http1_cases.h"

/* One message, read by both. */
struct reading {
    enum http1_case_kind kind;
    const char *p;
    size_t n;
    /* ours */
    int result;
    const struct http_refusal *why;
    struct http_head head;
    size_t used;
    uint64_t payload, text;
    struct oracle theirs;
};

/* Nothing to explain. */
bool reading_agrees(const struct reading *r);

/* The number of the first class that explains a difference, or a negative one. */
int class_of(const struct reading *r);
/* NULL behind the last. */
const char *class_name(int class);

#endif
