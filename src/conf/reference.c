/* The table of settings as Markdown: docs/configuration.md holds it between two marks, and a test
 * compares them, so that the documentation cannot fall behind. */
#include "conf/conf.h"
#include "conf/schema.h"

#include <stdio.h>

enum { RANGE_MAX = 192 };

/* A block whose statements are all the node's own, or one inside such a block. */
static bool is_local(const struct block *b)
{
    for (int id = BLOCK_TOP + 1; id < BLOCKS; id++)
        if (b->parents >> id & 1 && is_local(schema_block((enum block_id)id)))
            return true;
    return b->parents & 1u << BLOCK_TOP && schema_locality(BLOCK_TOP, str_of(b->name)) == LOCAL_OWN;
}

static const char *local_text(enum block_id id, const struct setting *s)
{
    switch (schema_locality(id == BLOCK_PRIMARY ? BLOCK_SERVICE : id, str_of(s->key))) {
    case LOCAL_NOT: return "";
    case LOCAL_OWN: return " (local to a node)";
    case LOCAL_FIRST: return " (a node's own file may say otherwise)";
    }
    UNREACHABLE();
}

static void title(enum block_id id, struct buf *out)
{
    const struct block *b = schema_block(id);
    const char *local = is_local(b) ? " All of it is local to a node." : "";
    if (id == BLOCK_TOP)
        buf_printf(out, "### At the top of the file\n\n");
    else if (id == BLOCK_RULES)
        buf_printf(out, "### Rules of a service or route\n\n%s\n\n", b->help);
    else if (id == BLOCK_PRIMARY)
        buf_printf(out, "### A service with an `agent`\n\n%s\n\n", b->help);
    else if (b->argument)
        buf_printf(out, "### `%s %s { }`\n\n%s%s\n\n", b->name, b->argument, b->help, local);
    else
        buf_printf(out, "### `%s { }`\n\n%s%s\n\n", b->name, b->help, local);
}

static void fallback(const struct setting *s, struct buf *out)
{
    size_t n = strlen(s->fallback);
    if (n == 0)
        buf_printf(out, "none");
    else if (s->fallback[0] == '(')
        buf_printf(out, "%.*s", (int)n - 2, s->fallback + 1);
    else
        buf_printf(out, "`%s`", s->fallback);
}

void conf_reference(struct buf *out)
{
    char range[RANGE_MAX];
    for (int id = 0; id < BLOCKS; id++) {
        const struct block *b = schema_block((enum block_id)id);
        title((enum block_id)id, out);
        buf_printf(out, "| key | takes | default | meaning |\n|---|---|---|---|\n");
        for (size_t i = 0; i < b->n; i++) {
            const struct setting *s = &b->settings[i];
            schema_range(s, range, sizeof range);
            buf_printf(out, "| `%s` | %s | ", s->key, range);
            fallback(s, out);
            buf_printf(out, " | %s%s |\n", s->help, local_text((enum block_id)id, s));
        }
        buf_printf(out, "\n");
    }
}
