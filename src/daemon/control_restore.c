/* The two ways of a restore of the coordinator.
 *
 * A restore begins a new generation of the line (coord/managed.h), with a draw of its own:
 *
 *   without a file   etcd of this node goes on alone with the data that it has; the others put
 *                    theirs aside and join
 *   from a file      (managed) this node founds anew, writes the keys of the file, and the others
 *                    join; (else) the keys are written into the coordinator that is there
 *
 * The file lies in STATE/restore.json until all of it is written, so that a crash goes on with it.
 * At last the revision is raised above all that anybody has seen. */
#include "daemon/control.h"
#include "daemon/paths.h"

#include <jansson.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base64.h"

#define WRITE_NS (5 * NS_PER_S)
enum { FILE_MAX = 200 * 1024 * 1024, RAISE_MARGIN = 1000, RAISE_MOST = 200000 };

static struct coordinating *g_of(struct control *c)
{
    return &c->coordinating;
}

/* --- from a file --- */

static int restore_path(const struct control *c, char path[PATHS_MAX], struct err *e)
{
    return paths_join(path, c->o.state_dir, "restore.json", e);
}

static int load(const char *path, json_t **out, struct err *e)
{
    struct buf text = {0};
    json_error_t why;
    int r = file_read(path, FILE_MAX, &text, e);
    *out = r ? NULL : json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, &why);
    const char *format = json_string_value(json_object_get(*out, "format"));
    if (r == 0 && (!format || strcmp(format, COORD_BACKUP_FORMAT) != 0 ||
                   !json_is_array(json_object_get(*out, "items"))))
        r = err_set(e, ERR_INVAL, "%s is no backup of a coordinator", path);
    buf_free(&text);
    if (r) {
        json_decref(*out);
        *out = NULL;
    }
    return r;
}

/* Above everything that anybody has seen. */
static uint64_t highest(struct control *c, uint64_t least)
{
    const struct standing *s;
    for (uint32_t i = 0; i < c->view->cluster.n_nodes; i++)
        if (i != c->view->cluster.self && managed_hears(c, i, &s))
            least = MAX(least, s->revision);
    return least + RAISE_MARGIN;
}

static void go_on(struct control *c);
static void raise_only(struct control *c);

static void on_put(void *context, const struct coord_answer *a)
{
    struct control *c = context;
    struct coordinating *g = g_of(c);
    g->restore_pending -= g->restore_pending > 0;
    if (g->record.raise) {
        if (a->outcome == COORD_DONE)
            g->restore_revision = MAX(g->restore_revision, a->revision);
        raise_only(c);
    }
    if (!g->restoring)
        return;
    if (a->outcome == COORD_DONE)
        g->restore_revision = MAX(g->restore_revision, a->revision);
    else if (g->restore_done < json_array_size(json_object_get(g->restoring, "items")) + 1)
        g->restore_done--; /* once more: what it is to be does not depend on what it was */
    go_on(c);
}

static bool put(struct control *c, struct str key, struct str value)
{
    struct coord_op op = {key, value, COORD_ANY, COORD_PUT};
    bool ok =
        coord_cas(g_of(c)->coord, &op, 1, loop_now(c->loop) + WRITE_NS, on_put, c, NULL, NULL) == 0;
    g_of(c)->restore_pending += ok;
    return ok;
}

/* The voters are those of today. */
static bool put_voters(struct control *c)
{
    struct voters v, none = {0};
    struct buf text = {0};
    const struct standing *s;
    managed_wanted(c, &v);
    v.version = g_of(c)->voters.version + 1;
    for (uint32_t i = 0; i < c->view->cluster.n_nodes; i++)
        if (i != c->view->cluster.self && managed_hears(c, i, &s))
            v.version = MAX(v.version, s->voters + 1);
    bool ok = coord_voters_write(&v, &none, clock_wall() / NS_PER_MS, &text) &&
              put(c, STR("voters"), buf_str(&text));
    buf_free(&text);
    return ok;
}

static bool put_next(struct control *c)
{
    struct coordinating *g = g_of(c);
    const json_t *items = json_object_get(g->restoring, "items");
    size_t n = json_array_size(items);
    const json_t *item = json_array_get(items, g->restore_done);
    const char *key = json_string_value(json_object_get(item, "key"));
    const char *value = json_string_value(json_object_get(item, "value"));
    struct buf bytes = {0};
    bool ok = true, alone = c->view->cluster.n_nodes == 0;
    if (g->restore_done == n && !alone)
        ok = put_voters(c);
    else if (key && value && strcmp(key, "voters") != 0)
        ok = base64_read(str_of(value), &bytes) && put(c, str_of(key), buf_str(&bytes));
    buf_free(&bytes);
    g->restore_done += ok;
    return ok;
}

static void restored(struct control *c)
{
    struct coordinating *g = g_of(c);
    char path[PATHS_MAX];
    coordinating_tell(c, EVENT_WARNING, "restore", "%zu keys are restored from a backup",
                      json_array_size(json_object_get(g->restoring, "items")));
    json_decref(g->restoring);
    g->restoring = NULL;
    g->restore_from[0] = 0;
    if (restore_path(c, path, NULL) == 0)
        unlink(path);
    if (g->record.filling) {
        struct coord_record r = g->record;
        r.filling = false;
        managed_save(c, &r);
    }
    managed_say(c, true);
    coord_look(c);
}

/* One key after the other; then as many changes as the revision is to rise, many at a time. */
static void go_on(struct control *c)
{
    struct coordinating *g = g_of(c);
    size_t n = json_array_size(json_object_get(g->restoring, "items")) + 1;
    while (g->restore_done < n && g->restore_pending == 0)
        if (!put_next(c))
            return; /* the next tick tries again */
    if (g->restore_done < n)
        return;
    uint64_t left = g->restore_target > g->restore_revision
                        ? MIN(g->restore_target - g->restore_revision, (uint64_t)RAISE_MOST)
                        : 0;
    if (left == 0 && g->restore_pending == 0)
        restored(c);
    while (g->restoring && left > g->restore_pending && g->restore_pending < COORD_PENDING / 2)
        if (!put(c, STR("restored"), STR("{}")))
            return;
}

/* The same at the end of a restore without a file. The record has what is to be passed, from the
 * moment in which the restore begins: whoever is control when etcd is back goes on with it. */
static void raise_only(struct control *c)
{
    struct coordinating *g = g_of(c);
    struct coord_health h;
    if (!g->coord || !g->was_reachable || !g->voters_known || g->record.restoring)
        return;
    coord_health(g->coord, &h);
    g->restore_revision = MAX(h.revision, g->restore_revision);
    if (g->restore_revision >= g->record.raise) {
        struct coord_record r = g->record;
        r.raise = 0;
        managed_save(c, &r); /* or with the next tick */
        return;
    }
    uint64_t left = MIN(g->record.raise - g->restore_revision, (uint64_t)RAISE_MOST);
    while (left > g->restore_pending && g->restore_pending < COORD_PENDING / 2)
        if (!put(c, STR("restored"), STR("{}")))
            return;
}

void coord_restore_tick(struct control *c)
{
    struct coordinating *g = g_of(c);
    struct err e = {0};
    char path[PATHS_MAX];
    if (g->record.raise)
        raise_only(c);
    if (!g->restore_from[0] || !g->coord || !g->was_reachable || !g->voters_known)
        return;
    if (g->kind == COORDINATOR_MANAGED &&
        (g->busy != COORD_IDLE || g->record.founding || !g->record.filling))
        return; /* it is still the one that is given up, or has not begun */
    if (!g->restoring) {
        int r = restore_path(c, path, &e);
        r = r ? r : load(path, &g->restoring, &e);
        if (r) {
            coordinating_tell(c, EVENT_ERROR, "restore", "%s", e.text);
            g->restore_from[0] = 0;
            return;
        }
        uint64_t revision = (uint64_t)json_integer_value(json_object_get(g->restoring, "revision"));
        g->restore_target = highest(c, revision);
        g->restore_revision = 0;
        g->restore_done = 0;
    }
    if (g->restore_pending == 0)
        go_on(c);
}

/* What a control that starts finds; record: as it was read. One that died before the new line began
 * has given up nothing but, at most, its own member's data. */
void coord_restore_begin(struct control *c)
{
    struct coordinating *g = g_of(c);
    char path[PATHS_MAX];
    struct stat st;
    g->restore_from[0] = 0;
    if (restore_path(c, path, NULL) || stat(path, &st)) /* access() would look without our rights */
        return;
    if (g->kind != COORDINATOR_MANAGED || g->record.filling) {
        str_copy(g->restore_from, sizeof g->restore_from, str_of(path));
        return;
    }
    unlink(path);
    coordinating_tell(c, EVENT_WARNING, "restore",
                      "it was interrupted before it began: restore again");
}

void coord_restore_end(struct control *c)
{
    json_decref(g_of(c)->restoring);
    g_of(c)->restoring = NULL;
    g_of(c)->restore_pending = 0;
}

/* --- what is asked for --- */

/* The next generation of whatever line is known; a new one when none is. */
static struct managed_line next_line(struct control *c)
{
    struct coordinating *g = g_of(c);
    struct managed_line l = g->record.said.line;
    const struct standing *s;
    static const uint8_t none[MANAGED_ID];
    for (uint32_t i = 0; i < c->view->cluster.n_nodes; i++) {
        if (i == c->view->cluster.self || !managed_hears(c, i, &s) ||
            s->said.record == MANAGED_NEVER)
            continue;
        if (memcmp(l.id, none, sizeof none) == 0)
            l = s->said.line;
        else if (managed_same_id(&l, &s->said.line) && s->said.line.generation > l.generation)
            l.generation = s->said.line.generation;
    }
    if (memcmp(l.id, none, sizeof none) == 0)
        entropy(l.id, sizeof l.id);
    l.generation++;
    entropy(&l.draw, sizeof l.draw);
    return l;
}

static int copy_file(struct control *c, const char *from, struct err *e)
{
    char path[PATHS_MAX];
    struct buf text = {0};
    json_t *root = NULL;
    int r = load(from, &root, e);
    json_decref(root);
    r = r ? r : file_read(from, FILE_MAX, &text, e);
    r = r ? r : restore_path(c, path, e);
    r = r ? r : file_replace(path, buf_str(&text), 0600, e);
    buf_free(&text);
    if (r == 0)
        str_copy(g_of(c)->restore_from, sizeof g_of(c)->restore_from, str_of(path));
    return r;
}

static int restore_alone(struct control *c, struct err *e)
{
    struct coordinating *g = g_of(c);
    struct coord_record r = g->record;
    struct coord_health h = {.revision = 0};
    if (r.said.record != MANAGED_DATA || r.founding)
        return err_set(e, ERR_ABSENT,
                       "this node has no data of the coordinator: run it on a voter that has, or "
                       "restore --from a backup");
    if (g->coord)
        coord_health(g->coord, &h);
    r.said.line = next_line(c);
    r.restoring = true;
    r.raise = highest(c, MAX(h.revision, r.raise));
    g->restore_revision = 0;
    coordinating_tell(c, EVENT_WARNING, "restore",
                      "an operator restores it from what this node has: generation %llu",
                      (unsigned long long)r.said.line.generation);
    return managed_restore(c, &r, false, e);
}

static int restore_from(struct control *c, const char *from, struct err *e)
{
    struct coordinating *g = g_of(c);
    struct coord_record r = {.founding = true, .filling = true};
    int rc = copy_file(c, from, e);
    if (rc)
        return rc;
    coordinating_tell(c, EVENT_WARNING, "restore", "an operator restores it from %.200s", from);
    if (g->kind != COORDINATOR_MANAGED)
        return 0;
    r.said.record = MANAGED_DATA;
    r.said.line = next_line(c);
    rc = managed_restore(c, &r, true, e);
    if (rc)
        coord_restore_begin(c); /* nothing has begun */
    return rc;
}

int coordinating_restore(void *context, const char *from, bool force, struct err *e)
{
    struct control *c = context;
    struct coordinating *g = g_of(c);
    if (g->restore_from[0] || g->record.restoring)
        return err_set(e, ERR_BUSY, "a restore is under way");
    if (g->kind == COORDINATOR_NONE)
        return err_set(e, ERR_ABSENT, "this node has no coordinator");
    if (g->kind == COORDINATOR_MANAGED && g->damaged)
        return err_set(e, ERR_IO, "STATE/coordinator.json is damaged: see the log");
    if (g->kind == COORDINATOR_MANAGED && !g->agent_known)
        return err_set(e, ERR_BUSY, "the agent is not there: try again");
    if (g->kind == COORDINATOR_MANAGED && g->was_reachable && !force)
        return err_set(e, ERR_EXISTS, "the coordinator is well: nothing is to be restored");
    if (from && *from)
        return restore_from(c, from, e);
    if (g->kind != COORDINATOR_MANAGED)
        return err_set(e, ERR_INVAL, "only --from a backup: nothing here lost its quorum");
    return restore_alone(c, e);
}
