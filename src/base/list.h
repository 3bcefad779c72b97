/* list: an intrusive, doubly linked, circular list. A head is a node that links to itself; a node
 * is in one list at most. */
#ifndef HF_LIST_H
#define HF_LIST_H

#include <stdbool.h>

#include "base/check.h"

struct list {
    struct list *next, *prev;
};

#define LIST_INIT(head)                                                                            \
    {                                                                                              \
        &(head), &(head)                                                                           \
    }

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}

static inline void list_insert(struct list *node, struct list *before)
{
    node->prev = before->prev;
    node->next = before;
    before->prev->next = node;
    before->prev = node;
}

static inline void list_push_front(struct list *head, struct list *node)
{
    list_insert(node, head->next);
}

static inline void list_push_back(struct list *head, struct list *node)
{
    list_insert(node, head);
}

/* Leaves the node linked to itself, so that removing twice is harmless. */
static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

#define LIST_ENTRY(node, T, member) CONTAINER_OF(node, T, member)
#define list_for_each(it, head)     for (struct list *it = (head)->next; it != (head); it = it->next)
/* The current node may be removed. */
#define list_for_each_safe(it, head)                                                               \
    for (struct list *it = (head)->next, *it##_next = it->next; it != (head);                      \
         it = it##_next, it##_next = it->next)

#endif
