/* What each node says of the shared configuration: which version it runs, and why that is not the
 * one in force. Under `config/node/NAME` in the coordinator, so that whoever applies sees who does
 * not follow. */
#include "daemon/control.h"

#include <stdio.h>

#define SAY_WITHIN (5 * NS_PER_S)

static uint64_t now(const struct control *c)
{
    return loop_now(c->loop);
}

static bool same_said(const struct version_adopted *a, const struct version_adopted *b)
{
    return a->number == b->number && strcmp(a->problem, b->problem) == 0;
}

static void on_said(void *context, const struct coord_answer *a)
{
    struct control *c = context;
    struct configuring *g = &c->configuring;
    g->saying = false;
    g->own_said = a->outcome == COORD_DONE && g->own_said;
    if (a->outcome == COORD_DONE)
        configuring_say(c);
    else /* the timer will */
        configuring_settle(c);
}

/* One at a time; what changes meanwhile is in the next. */
void configuring_say(struct control *c)
{
    struct configuring *g = &c->configuring;
    struct version_adopted is = {.number = g->used.version.number};
    char key[256];
    struct buf text = {0};
    snprintf(is.problem, sizeof is.problem, "%s",
             g->adopter.problem.code ? g->adopter.problem.text : "");
    for (char *p = is.problem; *p; p++)
        *p = (unsigned char)*p < 0x20 || *p == 0x7f ? ' ' : *p;
    if (!g->coord || !g->begun || g->saying || (g->own_said && same_said(&is, &g->own)))
        return;
    snprintf(key, sizeof key, VERSIONS_NODE STR_FMT, STR_ARG(control_name(c)));
    struct coord_op op = {.key = str_of(key), .expected = COORD_ANY, .act = COORD_PUT};
    if (version_adopted_write(&is, &text, NULL) == 0) {
        op.value = buf_str(&text);
        g->saying = coord_cas(g->coord, &op, 1, now(c) + SAY_WITHIN, on_said, c, NULL, NULL) == 0;
    }
    g->own = is;
    g->own_said = g->saying;
    buf_free(&text);
}

/* ---- what the others say ---- */

static void hear_node(struct configuring *g, const struct coord_item *item)
{
    struct str prefix = STR(VERSIONS_NODE);
    struct str name = {item->key.p + prefix.n, item->key.n - MIN(prefix.n, item->key.n)};
    struct version_adopted says = {0};
    uint32_t i = 0;
    if (!g->said && !(g->said = mem_zero(VIEW_MAX_NODES, sizeof *g->said)))
        return; /* people see less */
    while (i < g->n_said && !str_eq(str_of(g->said[i].name), name))
        i++;
    if (item->gone && i < g->n_said)
        g->said[i] = g->said[--g->n_said];
    if (item->gone || i == VIEW_MAX_NODES || name.n >= sizeof g->said->name ||
        version_adopted_read(item->value, &says, NULL))
        return;
    str_copy(g->said[i].name, sizeof g->said[i].name, name);
    g->said[i].says = says;
    g->n_said = MAX(g->n_said, i + 1);
}

/* A restore may have brought back what this node said long ago. */
static void check_own(struct control *c)
{
    struct configuring *g = &c->configuring;
    bool same = false;
    for (uint32_t i = 0; i < g->n_said; i++)
        if (str_eq(str_of(g->said[i].name), control_name(c)))
            same = same_said(&g->said[i].says, &g->own);
    if (same || g->saying || !g->own_said)
        return;
    g->own_said = false;
    configuring_settle(c);
}

void configuring_nodes(void *context, const struct coord_item *items, uint32_t n, uint64_t revision,
                       bool whole)
{
    struct control *c = context;
    char own[256];
    bool mine = whole;
    (void)revision;
    snprintf(own, sizeof own, VERSIONS_NODE STR_FMT, STR_ARG(control_name(c)));
    if (whole)
        c->configuring.n_said = 0;
    for (uint32_t i = 0; i < n; i++) {
        hear_node(&c->configuring, &items[i]);
        mine |= str_eq(items[i].key, str_of(own));
    }
    if (mine)
        check_own(c);
}
