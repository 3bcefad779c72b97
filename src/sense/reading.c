/* The logs that the view in force wants read on this node. */
#include "sense/reading.h"

#include <stdio.h>
#include <string.h>

#include "sense/keep.h"
#include "sense/source.h"

#define TICK_NS (250 * NS_PER_MS)

struct reading {
    struct sense *sense;
    struct follows *follows;
    struct list sources;
    struct timer tick;
};

static void on_tick(struct timer *t)
{
    struct reading *r = CONTAINER_OF(t, struct reading, tick);
    uint64_t now = loop_now(sense_loop(r->sense));
    list_for_each (it, &r->sources)
        source_tick(CONTAINER_OF(it, struct source, link), now);
    loop_timer_set(sense_loop(r->sense), t, now + TICK_NS);
}

int reading_new(struct reading **out, struct sense *s, struct err *e)
{
    struct reading *r = mem_zero(1, sizeof *r);
    if (!r)
        return err_set(e, ERR_NOMEM, "no memory to read logs");
    r->sense = s;
    list_init(&r->sources);
    timer_init(&r->tick, on_tick);
    int rc = follows_new(&r->follows, sense_loop(s), e);
    if (rc) {
        mem_free(r);
        return rc;
    }
    *out = r;
    return 0;
}

void reading_free(struct reading *r)
{
    if (!r)
        return;
    loop_timer_stop(sense_loop(r->sense), &r->tick);
    while (!list_empty(&r->sources))
        source_free(CONTAINER_OF(r->sources.next, struct source, link), false);
    follows_free(r->follows);
    mem_free(r);
}

void reading_repeat(struct reading *r)
{
    list_for_each (it, &r->sources)
        source_repeat(CONTAINER_OF(it, struct source, link));
}

/* ---- which ---- */

static bool same_host(const struct addr *a, const struct addr *b)
{
    return a->kind == b->kind && a->kind != ADDR_UNIX &&
           memcmp(a->ip, b->ip, a->kind == ADDR_IP4 ? 4 : 16) == 0;
}

/* A backend's log is where the backend is: not here if it has another node's address, unless that
 * is this one's too (nodes of one machine). */
bool reading_is_here(const struct view *v, const struct addr *a)
{
    const struct view_node *self = view_self(v);
    if (!self || a->kind == ADDR_UNIX || same_host(a, &self->address))
        return true;
    for (uint32_t i = 0; i < v->cluster.n_nodes; i++)
        if (same_host(a, &v->cluster.nodes[i].address))
            return false;
    return true;
}

static bool is_wanted(const struct view *v, const struct view_read_log *l)
{
    if (l->subject != SUBJECT_INSTANCE)
        return true;
    const struct view_service *s = view_service_find(v, l->service);
    const struct view_instance *i = s ? view_instance_find(s, l->instance) : NULL;
    return i && reading_is_here(v, &i->addr);
}

static struct source *find(const struct reading *r, uint64_t shape)
{
    list_for_each (it, &r->sources) {
        struct source *s = CONTAINER_OF(it, struct source, link);
        if (s->shape == shape)
            return s;
    }
    return NULL;
}

/* ---- a view ---- */

static void begin(struct reading *r, const struct view_read_log *l)
{
    struct err e = {0};
    struct source *s = source_new(r->sense, r->follows, l, &e);
    if (!s) {
        sense_log(r->sense, true, "log %s" STR_FMT STR_FMT " is not read: %s",
                  l->unit.n ? "journal:" : "", STR_ARG(l->path), STR_ARG(l->unit), e.text);
        return;
    }
    s->met = true;
    list_push_back(&r->sources, &s->link);
}

/* Ends those that are wanted no more: first, so that a changed one goes on where it stood. */
static void end_unwanted(struct reading *r)
{
    for (struct list *it = r->sources.next, *next; it != &r->sources; it = next) {
        struct source *s = CONTAINER_OF(it, struct source, link);
        next = it->next;
        if (!s->met)
            source_free(s, true);
    }
}

static bool is_known(void *context, const char *name)
{
    const struct reading *r = context;
    char key[24];
    list_for_each (it, &r->sources) {
        const struct source *s = CONTAINER_OF(it, struct source, link);
        snprintf(key, sizeof key, "%016llx.", (unsigned long long)s->key);
        if (strncmp(name, key, strlen(key)) == 0)
            return true;
    }
    return false;
}

void reading_adopt(struct reading *r, const struct view *v)
{
    list_for_each (it, &r->sources)
        CONTAINER_OF(it, struct source, link)->met = false;
    for (uint32_t i = 0; i < v->n_logs; i++) {
        struct source *s = is_wanted(v, &v->logs[i]) ? find(r, source_shape(&v->logs[i])) : NULL;
        if (s)
            s->met = true;
    }
    end_unwanted(r);
    for (uint32_t i = 0; i < v->n_logs; i++)
        if (is_wanted(v, &v->logs[i]) && !find(r, source_shape(&v->logs[i])))
            begin(r, &v->logs[i]);
    keep_sweep(sense_host(r->sense)->folder, is_known, r);
    if (list_empty(&r->sources))
        loop_timer_stop(sense_loop(r->sense), &r->tick);
    else if (!timer_is_set(&r->tick))
        on_tick(&r->tick);
}
