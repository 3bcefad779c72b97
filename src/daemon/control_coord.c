/* Which coordinator this node has, and what lies in it that is control's own: `cluster` and
 * `voters`. */
#include "daemon/control.h"
#include "daemon/paths.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define TICK_NS      (200 * NS_PER_MS)
#define CAS_NS       (5 * NS_PER_S)
#define BACKUP_FIRST (300 * NS_PER_S)

static struct coordinating *g_of(struct control *c)
{
    return &c->coordinating;
}

void coordinating_tell(struct control *c, enum event_level level, const char *subject,
                       const char *fmt, ...)
{
    char text[EVENT_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    struct event *ev = control_event(c, EVENT_COORDINATOR, level);
    event_subject(ev, "%s", subject);
    event_text(ev, "%s", text);
    control_event_end(c, ev);
}

void coord_look(struct control *c)
{
    struct coordinating *g = g_of(c);
    if (g->kind == COORDINATOR_MANAGED)
        loop_timer_set(c->loop, &g->tick, loop_now(c->loop) + NS_PER_MS);
}

/* --- voters --- */

static int voters_path(const struct control *c, char path[PATHS_MAX], struct err *e)
{
    return paths_join(path, c->o.state_dir, "voters", e);
}

static void load_voters(struct control *c)
{
    struct coordinating *g = g_of(c);
    char path[PATHS_MAX];
    struct buf text = {0};
    struct err e = {0};
    int r = voters_path(c, path, &e);
    r = r ? r : file_read(path, 64 * 1024, &text, &e);
    if (r == 0)
        r = coord_voters_read(buf_str(&text), &g->voters, &g->was, &e);
    if (r && r != -ERR_ABSENT)
        coordinating_tell(c, EVENT_ERROR, "", "STATE/voters: %s", e.text);
    buf_free(&text);
}

static bool keep_voters(struct control *c, const struct voters *v, const struct voters *was)
{
    char path[PATHS_MAX];
    struct buf text = {0};
    struct err e = {0};
    int r = voters_path(c, path, &e);
    if (r == 0 && !coord_voters_write(v, was, clock_wall() / NS_PER_MS, &text))
        r = err_set(&e, ERR_NOMEM, "no memory to keep the voters");
    r = r ? r : file_replace(path, buf_str(&text), 0640, &e);
    buf_free(&text);
    if (r)
        control_unsaved(c, &e);
    return r == 0;
}

static void names_text(const struct voters *v, struct buf *out)
{
    for (uint32_t i = 0; i < v->n; i++)
        buf_printf(out, "%s%s", i ? ", " : "", v->names[i]);
}

static void take_voters(struct control *c, const struct coord_item *item)
{
    struct coordinating *g = g_of(c);
    struct voters v, was;
    struct err e = {0};
    struct buf text = {0};
    g->voters_revision = item->gone ? 0 : item->revision;
    g->voters_in_key = 0;
    if (item->gone)
        return;
    if (coord_voters_read(item->value, &v, &was, &e)) {
        coordinating_tell(c, EVENT_ERROR, "voters", "%s", e.text);
        return;
    }
    g->voters_in_key = v.version;
    if (!voters_accept(g->voters.version, v.version)) {
        coordinating_tell(c, EVENT_WARNING, "voters",
                          "version %llu is refused: this node has seen %llu",
                          (unsigned long long)v.version, (unsigned long long)g->voters.version);
        return;
    }
    bool news = v.version != g->voters.version;
    if (news && !keep_voters(c, &v, &was))
        return;
    g->voters = v;
    g->was = was;
    names_text(&v, &text);
    if (news && !text.failed)
        coordinating_tell(c, EVENT_INFO, "voters", "version %llu: " STR_FMT,
                          (unsigned long long)v.version, STR_ARG(buf_str(&text)));
    buf_free(&text);
    meshing_voters(c);
    coord_endpoints(c);
    coord_look(c);
}

static void on_voters(void *context, const struct coord_item *items, uint32_t n, uint64_t revision,
                      bool whole)
{
    struct control *c = context;
    if (whole)
        g_of(c)->voters_revision = g_of(c)->voters_in_key = 0;
    for (uint32_t i = 0; i < n; i++)
        if (str_eq(items[i].key, STR("voters")))
            take_voters(c, &items[i]);
    g_of(c)->voters_known |= whole;
    (void)revision;
}

static void on_cluster(void *context, const struct coord_item *items, uint32_t n, uint64_t revision,
                       bool whole)
{
    struct control *c = context;
    struct coordinating *g = g_of(c);
    if (whole)
        g->has_cluster = false;
    for (uint32_t i = 0; i < n; i++)
        if (str_eq(items[i].key, STR("cluster")))
            g->has_cluster = !items[i].gone;
    g->cluster_known |= whole;
    (void)revision;
}

/* Somebody applied a configuration. */
static void on_head(void *context, const struct coord_item *items, uint32_t n, uint64_t revision,
                    bool whole)
{
    (void)items;
    (void)revision;
    if (n && !whole)
        coord_applied(context);
}

/* --- what is written --- */

static void on_written(void *context, const struct coord_answer *a)
{
    struct control *c = context;
    struct coordinating *g = g_of(c);
    if (g->busy == COORD_VOTING)
        g->busy = COORD_IDLE;
    if (a->outcome == COORD_FAILED || a->outcome == COORD_UNKNOWN)
        log_warning(c->log, "the coordinator: %s", a->why->text);
    coord_look(c);
}

static bool cluster_text(struct control *c, struct buf *out)
{
    const uint8_t *id = g_of(c)->record.said.line.id;
    buf_printf(out, "{\"id\":\"");
    for (int i = 0; i < MANAGED_ID; i++)
        buf_printf(out, "%02x", id[i]);
    return buf_printf(out, "\",\"name\":\"" STR_FMT "\",\"formed\":%llu}",
                      STR_ARG(c->view->cluster.name),
                      (unsigned long long)(clock_wall() / NS_PER_MS));
}

/* Both keys at once when there are none, else the voters alone. */
void coord_write_voters(struct control *c, const struct voters *v, const struct voters *was,
                        bool first)
{
    struct coordinating *g = g_of(c);
    struct buf set = {0}, id = {0};
    struct err e = {0};
    bool ok = coord_voters_write(v, was, clock_wall() / NS_PER_MS, &set) &&
              (!first || cluster_text(c, &id));
    struct coord_op ops[] = {
        {STR("voters"), buf_str(&set), g->voters_revision, COORD_PUT},
        {STR("cluster"), buf_str(&id), 0, COORD_PUT},
    };
    int r = ok ? coord_cas(g->coord, ops, first ? 2 : 1, loop_now(c->loop) + CAS_NS, on_written, c,
                           NULL, &e)
               : err_set(&e, ERR_NOMEM, "no memory to write the voters");
    if (r == 0)
        g->busy = COORD_VOTING;
    else
        log_warning(c->log, "the coordinator: %s", e.text);
    buf_free(&set);
    buf_free(&id);
}

/* --- the engine --- */

static void on_health(void *context)
{
    struct control *c = context;
    struct coordinating *g = g_of(c);
    struct coord_health h;
    coord_health(g->coord, &h);
    if (h.reachable == g->was_reachable)
        return;
    g->was_reachable = h.reachable;
    rolling_members(c);
    if (h.reachable)
        coordinating_tell(c, EVENT_INFO, "", "it is there, at %s", h.at);
    else
        coordinating_tell(c, EVENT_ERROR, "", "it cannot be reached: %s; what is served goes on",
                          h.problem);
    coord_look(c);
}

static void close_engine(struct control *c)
{
    struct coordinating *g = g_of(c);
    if (!g->coord)
        return;
    configuring_coord(c, NULL);
    rolling_coord(c, NULL);
    coord_restore_end(c); /* what is under way is never answered: it begins anew */
    coord_unwatch(g->watch_cluster);
    coord_unwatch(g->watch_voters);
    coord_unwatch(g->watch_head);
    coord_free(g->coord);
    g->coord = NULL;
    g->watch_cluster = g->watch_voters = g->watch_head = NULL;
    g->cluster_known = g->voters_known = g->has_cluster = g->was_reachable = false;
    g->voters_revision = g->voters_in_key = 0;
    g->endpoints[0] = 0;
    if (g->busy == COORD_VOTING)
        g->busy = COORD_IDLE;
}

static void opened(struct control *c)
{
    struct coordinating *g = g_of(c);
    struct coord_watcher voters = {c, on_voters}, cluster = {c, on_cluster}, head = {c, on_head};
    struct err e = {0};
    coord_on_health(g->coord, on_health, c);
    int r = coord_watch(g->coord, STR("voters"), &voters, &g->watch_voters, &e);
    r = r ? r : coord_watch(g->coord, STR("cluster"), &cluster, &g->watch_cluster, &e);
    r = r ? r : coord_watch(g->coord, STR("config/head"), &head, &g->watch_head, &e);
    if (r)
        log_error(c->log, "the coordinator: %s", e.text);
    configuring_coord(c, g->coord);
    rolling_coord(c, g->coord);
}

static int prefix(const struct control *c, char out[COORD_KEY_MAX])
{
    return snprintf(out, COORD_KEY_MAX, "holdfast/" STR_FMT "/", STR_ARG(c->view->cluster.name));
}

static int read_password(struct str file, struct buf *out, struct err *e)
{
    char path[PATHS_MAX];
    str_copy(path, sizeof path, file);
    int r = buf_reserve(out, 4096) ? file_read(path, 1024, out, e)
                                   : err_set(e, ERR_NOMEM, "no memory for a password");
    while (r == 0 && out->n && (out->p[out->n - 1] == '\n' || out->p[out->n - 1] == '\r'))
        out->n--;
    return r ? r : buf_add(out, "", 1) ? 0 : err_set(e, ERR_NOMEM, "no memory for a password");
}

static int open_external(struct control *c, struct err *e)
{
    const struct view_coordinator *k = &c->view->cluster.coordinator;
    const char *list[VIEW_MAX_ENDPOINTS];
    struct buf password = {0};
    char before[COORD_KEY_MAX];
    prefix(c, before);
    for (uint32_t i = 0; i < k->n_endpoints; i++)
        list[i] = k->endpoints[i].p;
    int r = k->password_file.n ? read_password(k->password_file, &password, e) : 0;
    struct coord_etcd_options o = {list,
                                   k->n_endpoints,
                                   before,
                                   k->ca_file.n ? k->ca_file.p : NULL,
                                   k->cert_file.n ? k->cert_file.p : NULL,
                                   k->key_file.n ? k->key_file.p : NULL,
                                   k->user.n ? k->user.p : NULL,
                                   password.p};
    r = r ? r : coord_etcd_new(&g_of(c)->coord, c->loop, &o, e);
    if (password.p)
        wipe(password.p, password.cap);
    buf_free(&password);
    return r;
}

static int open_managed(struct control *c, struct err *e)
{
    struct coordinating *g = g_of(c);
    char urls[VIEW_MAX_ENDPOINTS][ETCD_MEMBER_URL], before[COORD_KEY_MAX];
    char ca[PATHS_MAX], cert[PATHS_MAX], key[PATHS_MAX];
    const char *list[VIEW_MAX_ENDPOINTS];
    uint32_t n = coord_voter_urls(c, urls);
    for (uint32_t i = 0; i < n; i++)
        list[i] = urls[i];
    prefix(c, before);
    struct coord_etcd_options o = {list, n, before, ca, cert, key, NULL, NULL};
    int r = coord_tls(c, e);
    r = r ? r : coord_tls_files(c, ca, cert, key, e);
    r = r ? r : coord_etcd_new(&g->coord, c->loop, &o, e);
    if (r == 0)
        coord_same_endpoints(g, urls, n);
    return r;
}

/* Managed: open for the line of the record; another line is another history. */
void coord_follow_line(struct control *c)
{
    struct coordinating *g = g_of(c);
    const struct managed_said *s = &g->record.said;
    bool begun = s->record == MANAGED_DATA || (s->record == MANAGED_KNOWS && !s->founder[0]);
    bool same = managed_same_id(&g->line, &s->line) && managed_order(&g->line, &s->line) == 0;
    struct err e = {0};
    if (g->coord && (!begun || !same))
        close_engine(c);
    if (!g->coord && begun) {
        g->line = s->line;
        if (open_managed(c, &e))
            coordinating_tell(c, EVENT_ERROR, "", "%s", e.text);
        else
            opened(c);
    }
}

static int open_local(struct control *c, struct err *e)
{
    char path[PATHS_MAX];
    int r = paths_join(path, c->o.state_dir, "coordinator.db", e);
    return r ? r : coord_embedded_new(&g_of(c)->coord, c->loop, path, e);
}

/* --- with the view --- */

static void on_tick(struct timer *t)
{
    struct control *c = CONTAINER_OF(t, struct control, coordinating.tick);
    loop_timer_set(c->loop, t, loop_now(c->loop) + TICK_NS);
    coord_restore_tick(c);
    coord_backup_tick(c);
    rolling_tick(c);
    if (c->coordinating.kind == COORDINATOR_MANAGED) {
        managed_tick(c);
        rolling_lead(c);
    }
    if (c->coordinating.kind == COORDINATOR_EXTERNAL)
        coord_voters_tick(c);
}

void coordinating_init(struct control *c)
{
    struct coordinating *g = g_of(c);
    memset(g, 0, sizeof *g);
    timer_init(&g->tick, on_tick);
    coord_agent_init(c);
}

void coordinating_end(struct control *c)
{
    struct coordinating *g = g_of(c);
    loop_timer_stop(c->loop, &g->tick);
    close_engine(c);
    etcd_members_free(g->ask);
    etcd_members_free(g->space.ask);
    g->ask = g->space.ask = NULL;
    agent_line_close(&g->agent);
    buf_free(&g->said);
}

/* Another kind: all of the old one ends. */
static void begin(struct control *c, uint8_t kind)
{
    struct coordinating *g = g_of(c);
    struct err e = {0};
    int r = 0;
    close_engine(c);
    loop_timer_stop(c->loop, &g->tick);
    g->kind = kind;
    g->open = true;
    g->backup_next = loop_now(c->loop) + BACKUP_FIRST; /* a crash loop must not push out old ones */
    if (kind != COORDINATOR_LOCAL && kind != COORDINATOR_NONE)
        load_voters(c);
    switch ((enum coordinator_kind)kind) {
    case COORDINATOR_LOCAL:
        coord_restore_begin(c);
        r = open_local(c, &e);
        break;
    case COORDINATOR_EXTERNAL:
        coord_restore_begin(c);
        r = open_external(c, &e);
        break;
    case COORDINATOR_MANAGED: r = managed_begin(c, &e); break;
    case COORDINATOR_NONE:
    case COORDINATOR_KINDS: break;
    }
    if (r)
        coordinating_tell(c, EVENT_ERROR, "", "%s", e.text);
    else if (g->coord && kind != COORDINATOR_MANAGED)
        opened(c);
    if (g->coord)
        loop_timer_set(c->loop, &g->tick, loop_now(c->loop) + TICK_NS);
}

static bool same_settings(struct control *c)
{
    struct coordinating *g = g_of(c);
    const struct view_coordinator *k = &c->view->cluster.coordinator;
    struct buf text = {0};
    for (uint32_t i = 0; i < k->n_endpoints; i++)
        buf_printf(&text, STR_FMT " ", STR_ARG(k->endpoints[i]));
    buf_printf(&text, STR_FMT " " STR_FMT " " STR_FMT " " STR_FMT " " STR_FMT, STR_ARG(k->ca_file),
               STR_ARG(k->cert_file), STR_ARG(k->key_file), STR_ARG(k->user),
               STR_ARG(k->password_file));
    uint64_t sum = str_hash(buf_str(&text));
    bool same = sum == g->settings;
    g->settings = sum;
    buf_free(&text);
    return same;
}

void coordinating_adopt(struct control *c, const struct view *was)
{
    struct coordinating *g = g_of(c);
    uint8_t kind = c->view->cluster.coordinator.kind;
    bool same = same_settings(c);
    (void)was;
    if (!g->open || g->kind != kind || (kind == COORDINATOR_EXTERNAL && !same))
        begin(c, kind);
    meshing_voters(c);
    coord_endpoints(c);
    coord_look(c);
}
