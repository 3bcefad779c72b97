/* Backups of what lies in the coordinator; control_restore.c gives them back.
 *
 * A backup is all keys as of one revision, as JSON in STATE/backup, of whatever engine: made each
 * hour and after each apply by nodes that vote, the last KEPT stay. So it can be read by people,
 * and given back to a coordinator of any kind. */
#include "daemon/control.h"
#include "daemon/paths.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base64.h"

#define HOUR_NS  (3600 * NS_PER_S)
#define RETRY_NS (60 * NS_PER_S)
#define RANGE_NS (30 * NS_PER_S)
#define APPLY_NS (2 * NS_PER_S) /* after one: several at once make one backup */
enum { KEPT = 8 };
static const char prefix[] = "coordinator-";

static struct coordinating *g_of(struct control *c)
{
    return &c->coordinating;
}

/* --- the file --- */

static int append(const char *p, size_t n, void *out)
{
    return buf_add(out, p, n) ? 0 : -1;
}

static bool put_item(json_t *list, const struct coord_item *i)
{
    struct buf value = {0};
    bool ok = base64_write(i->value, &value);
    json_t *item =
        ok ? json_pack("{s:s%,s:s%,s:I}", "key", i->key.p, i->key.n, "value",
                       value.p ? value.p : "", value.n, "revision", (json_int_t)i->revision)
           : NULL;
    buf_free(&value);
    return item && json_array_append_new(list, item) == 0;
}

static bool backup_text(const struct control *c, const struct coord_answer *a, struct buf *out)
{
    json_t *list = json_array(), *root = NULL;
    struct str name = c->view->cluster.name;
    bool ok = list != NULL;
    for (uint32_t i = 0; ok && i < a->n; i++)
        ok = put_item(list, &a->items[i]);
    if (ok)
        root = json_pack("{s:s,s:s%,s:I,s:I,s:O}", "format", COORD_BACKUP_FORMAT, "cluster",
                         name.p ? name.p : "", name.n, "revision", (json_int_t)a->revision, "when",
                         (json_int_t)(clock_wall() / NS_PER_MS), "items", list);
    json_decref(list);
    ok =
        root && json_dump_callback(root, append, out, JSON_INDENT(1)) == 0 && buf_add(out, "\n", 1);
    json_decref(root);
    return ok && !out->failed;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names end with the time, so the first are the oldest. */
static void prune(const char *dir)
{
    enum { MOST = 256 };
    char *names[MOST], path[PATHS_MAX];
    uint32_t n = 0;
    DIR *d = opendir(dir);
    struct dirent *entry;
    while (d && n < MOST && (entry = readdir(d)) != NULL) {
        size_t size = strlen(entry->d_name) + 1;
        if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0 ||
            (names[n] = mem_alloc(size)) == NULL)
            continue;
        memcpy(names[n++], entry->d_name, size);
    }
    if (d)
        closedir(d);
    if (n)
        qsort(names, n, sizeof *names, by_name);
    for (uint32_t i = 0; i < n; i++) {
        if (i + KEPT < n && paths_join(path, dir, names[i], NULL) == 0)
            unlink(path);
        mem_free(names[i]);
    }
}

static int write_backup(struct control *c, const struct coord_answer *a, char path[PATHS_MAX],
                        struct err *e)
{
    char dir[PATHS_MAX], name[64];
    struct buf text = {0};
    snprintf(name, sizeof name, "%s%012llu.json", prefix,
             (unsigned long long)(clock_wall() / NS_PER_S));
    int r = paths_join(dir, c->o.state_dir, "backup", e);
    if (r == 0 && mkdir(dir, 0700) && errno != EEXIST)
        r = err_errno(e, "cannot make %s", dir);
    r = r ? r : paths_join(path, dir, name, e);
    if (r == 0 && !backup_text(c, a, &text))
        r = err_set(e, ERR_NOMEM, "no memory for a backup");
    r = r ? r : file_replace(path, buf_str(&text), 0600, e);
    buf_free(&text);
    if (r == 0)
        prune(dir);
    return r;
}

/* --- making one --- */

static void on_range(void *context, const struct coord_answer *a)
{
    struct control *c = context;
    struct coordinating *g = g_of(c);
    struct err e = {0};
    char path[PATHS_MAX] = "";
    uint64_t now = loop_now(c->loop);
    int r = a->outcome == COORD_DONE ? write_backup(c, a, path, &e)
                                     : err_set(&e, ERR_IO, "%s", a->why->text);
    g->backup_next = now + (r ? RETRY_NS : HOUR_NS);
    if (r) {
        coordinating_tell(c, EVENT_WARNING, "backup", "it fails: %s", e.text);
    } else {
        g->backup_at = clock_wall();
        str_copy(g->backup_path, sizeof g->backup_path, str_of(path));
        log_info(c->log, "coordinator: %u keys of revision %llu are backed up in %s", a->n,
                 (unsigned long long)a->revision, path);
    }
    g->backing_up = false;
}

static int backup(struct control *c, struct err *e)
{
    struct coordinating *g = g_of(c);
    if (g->backing_up)
        return err_set(e, ERR_BUSY, "a backup is being made");
    if (!g->coord)
        return err_set(e, ERR_ABSENT, "this node has no coordinator");
    int r = coord_range(g->coord, STR(""), loop_now(c->loop) + RANGE_NS, on_range, c, NULL, e);
    g->backing_up = r == 0;
    return r;
}

int coordinating_backup(void *context, struct err *e)
{
    return backup(context, e);
}

void coord_applied(struct control *c)
{
    struct coordinating *g = g_of(c);
    g->backup_next = MIN(g->backup_next, loop_now(c->loop) + APPLY_NS);
}

void coord_backup_tick(struct control *c)
{
    struct coordinating *g = g_of(c);
    const struct view_node *self = view_self(c->view);
    bool mine = !self || g->kind == COORDINATOR_LOCAL || voters_has(&g->voters, self->name);
    if (!g->coord || !g->was_reachable || g->backing_up || g->restore_from[0] || !mine ||
        loop_now(c->loop) < g->backup_next)
        return;
    if (backup(c, NULL))
        g->backup_next = loop_now(c->loop) + RETRY_NS;
}
