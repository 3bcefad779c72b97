/* format: what the two halves of the codec share. Inside this room only. */
#ifndef HF_VIEW_FORMAT_H
#define HF_VIEW_FORMAT_H

#include "base/str.h"

enum {
    VIEW_MAGIC = 0x57564648, /* "HFVW" */
    /* The least bytes that a record takes, so that a count can be trusted before its records. */
    VIEW_TOKEN_MIN = 4 + 32 + 4,
    VIEW_BEAT_MIN = 4 + 8 + 8 + 1 + 32,
    VIEW_NOTIFY_MIN = 4 + 4 + 4 + 4 + 8,
    VIEW_LOG_RULE_MIN = 4 + 4 + 4 + 8 + 1,
    VIEW_LOG_MIN = 1 + 4 + 4 + 4 + 4 + 4 + 4 + 8,
    VIEW_ADDR_MIN = 1 + 2 + 16 + 4,
    VIEW_NODE_MIN = 4 + 4 + VIEW_ADDR_MIN + 1 + 2 + 1,
    VIEW_SOCKET_MIN = 1 + VIEW_ADDR_MIN + 4,
    VIEW_INSTANCE_MIN = 4 + 4 + VIEW_ADDR_MIN + 4 + 4 + 4 + 4 + 4 + 1 + 4,
    VIEW_SOURCE_MIN = 1 + 4 + 2 + VIEW_INSTANCE_MIN,
    VIEW_EDIT_MIN = 1 + 4 + 4,
    VIEW_RATE_MIN = 1 + 4 + 4 + 4 + 8 + 4,
    VIEW_RULES_MIN = 3 * 4 + 4 + 4 + 1 + 8 + 4 + 1,
    VIEW_ROUTE_MIN = 4 + 6 * 4 + 1 + 4 + 4 + 4 + 2 + 4 + 4 + VIEW_RULES_MIN,
    VIEW_PAGE_MIN = 2 + 4 + 4,
    VIEW_TRAFFIC_MIN = 20 + 24 + 14 + VIEW_RULES_MIN + 4 + 4,
    VIEW_SERVICE_MIN = 1 + 1 + 4 + 12 + 8 + 3 + 4 + 8 + 4 + 4 + 4 + 4 + 1 + 4 + 16 + 5 + 50 + 56 +
                       88 + VIEW_TRAFFIC_MIN + 1,
};

struct buf;
struct view_service;
struct view_words;
/* encode.c */
uint64_t view_sum(struct str bytes); /* what ends an encoding */
void put_service(struct buf *b, const struct view_service *s);
/* encode_rules.c */
void put_words(struct buf *b, const struct view_words *w);
void put_traffic(struct buf *b, const struct view_service *s);

#endif
