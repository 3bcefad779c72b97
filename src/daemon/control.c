/* Control's start and wiring; control.h tells the whole. */
#include "daemon/control.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/daemon.h"
#include "daemon/paths.h"
#include "daemon/process_memory.h"
#include "daemon/sandbox.h"

#define BEAT_NS (250 * NS_PER_MS)

/* ---- what admin and the prober ask ---- */

static const struct view *host_view(void *context)
{
    return ((struct control *)context)->view;
}

static const struct cells *host_cells(void *context)
{
    return &((struct control *)context)->cells;
}

static const struct judge *host_judge(void *context, uint32_t slot)
{
    struct control *c = context;
    return slot < c->n_subjects && c->subjects[slot].used ? &c->subjects[slot].judge : NULL;
}

static int host_reload(void *context, struct admin_reload *r, struct err *e)
{
    return reload_request(context, r, e);
}

static int host_drain(void *context, uint32_t slot, bool on, bool *did, struct err *e)
{
    struct control *c = context;
    if (slot >= c->n_subjects || !c->subjects[slot].used)
        return err_set(e, ERR_ABSENT, "the instance has left the configuration");
    const struct subject *s = &c->subjects[slot];
    *did = drains_has(c, s->service->name, s->instance->name) != on;
    if (!*did)
        return 0;
    int r = drains_set(c, s->service->name, s->instance->name, on, e);
    if (r)
        return r;
    judging_refresh(c, slot);
    judging_publish(c, slot);
    struct event *ev = control_event(c, on ? EVENT_DRAIN : EVENT_RESUME, EVENT_INFO);
    event_subject(ev, "%.*s/%.*s", (int)MIN(s->service->name.n, 80u), s->service->name.p,
                  (int)MIN(s->instance->name.n, 120u), s->instance->name.p);
    event_text(ev, on ? "takes no new requests" : "takes requests again");
    control_event_end(c, ev);
    drains_save(c);
    return 0;
}

static int host_tell(void *context, const struct told_change *change, struct admin_telling *waits,
                     struct admin_told *told, struct err *e)
{
    return discovering_tell(context, change, waits, told, e);
}

static bool host_shown(void *context, uint32_t slot, struct admin_verdict *out)
{
    const struct control *c = context;
    if (slot >= c->n_subjects || !c->subjects[slot].used)
        return false;
    const struct subject *s = &c->subjects[slot];
    *out = (struct admin_verdict){(uint8_t)s->shown.verdict, (uint8_t)s->shown.reason,
                                  s->shown.kept, s->shown_since};
    return true;
}

static size_t host_explain(void *context, uint32_t slot, char *out, size_t size)
{
    return health_explain(context, slot, out, size);
}

static uint32_t host_observers(void *context, uint32_t slot, struct admin_observer *out,
                               uint32_t size)
{
    return health_observers(context, slot, out, size);
}

static const struct beat_watch *host_beat(void *context, uint32_t index)
{
    return beating_watch(context, index);
}

static void host_beaten(void *context, uint32_t index, bool failed, struct str text)
{
    beating_take(context, index, failed, text);
}

static struct admin_beat_counts host_beat_counts(void *context)
{
    const struct control *c = context;
    struct beat_door_counts n = beat_doors_counts(c->beating.doors);
    return (struct admin_beat_counts){n.taken, n.malformed, n.denied, n.dropped};
}

static int host_restart_proxy(void *context, bool gently, struct err *e)
{
    struct control *c = context;
    str_copy(c->change_by, sizeof c->change_by, str_of(c->auditing.by));
    struct buf body = {0};
    put_u32(&body, gently);
    put_str(&body, STR("an operator asked for it"));
    int r = body.failed ? err_set(e, ERR_NOMEM, "no memory to ask for a restart")
                        : ipc_send(&c->supervisor, IPC_RESTART, buf_str(&body), NULL, 0, e);
    buf_free(&body);
    return r;
}

static int host_upgrade(void *context, struct str path, struct err *e)
{
    struct control *c = context;
    str_copy(c->change_by, sizeof c->change_by, str_of(c->auditing.by));
    struct buf body = {0};
    put_str(&body, path);
    int r = body.failed ? err_set(e, ERR_NOMEM, "no memory to ask for an upgrade")
                        : ipc_send(&c->supervisor, IPC_UPGRADE, buf_str(&body), NULL, 0, e);
    buf_free(&body);
    return r;
}

static const struct admin_change *host_change(void *context)
{
    return &((struct control *)context)->change;
}

struct admin_host control_host(struct control *c)
{
    return (struct admin_host){
        .context = c,
        .asked = auditing_asked,
        .audit = auditing_audit,
        .events = &c->events,
        .node = c->o.node,
        .view = host_view,
        .cells = host_cells,
        .judge = host_judge,
        .reload = host_reload,
        .drain = host_drain,
        .tell = host_tell,
        .shown = host_shown,
        .explain = host_explain,
        .observers = host_observers,
        .held_at = finding_host_at,
        .held = finding_host_held,
        .held_next = finding_host_next,
        .found = finding_host_found,
        .notify = notifying_counts,
        .beat = host_beat,
        .beaten = host_beaten,
        .beat_counts = host_beat_counts,
        .restart_proxy = host_restart_proxy,
        .upgrade = host_upgrade,
        .change = host_change,
        .cluster = meshing_cluster,
        .leave = meshing_leave,
        .maintenance = meshing_maintenance,
        .coordinator = coordinating_picture,
        .coordinator_backup = coordinating_backup,
        .coordinator_restore = coordinating_restore,
        .role = rolling_role,
        .role_ask = rolling_ask,
        .config = configuring_picture,
        .config_ask = configuring_ask,
        .ticket = keying_token,
        .keys = keying_keys,
        .rotate = keying_rotate,
    };
}

static void on_check(void *context, const struct signal *s)
{
    judging_signal(context, s);
}

static uint64_t check_delay(void *context, uint32_t slot)
{
    const struct judge *j = host_judge(context, slot);
    return j ? judge_check_delay(j) : NS_PER_S;
}

static void on_starved(void *context, const char *why)
{
    struct event *ev = control_event(context, EVENT_PROBES_STARVED, EVENT_ERROR);
    event_text(ev, "%s: checks wait, nobody is blamed", why);
    control_event_end(context, ev);
}

/* ---- start and end ---- */

static void on_proxy_gone(struct ipc *ipc, const char *why)
{
    const struct proxy_line *line = CONTAINER_OF(ipc, struct proxy_line, ipc);
    log_debug(line->owner->log, "a proxy is gone: %s", why);
}

/* Without its supervisor control can change nothing and would only disagree with its successor. */
static void on_supervisor_gone(struct ipc *ipc, const char *why)
{
    struct control *c = CONTAINER_OF(ipc, struct control, supervisor);
    log_error(c->log, "the supervisor is gone: %s", why);
    c->result = 1;
    loop_stop(c->loop);
}

static void on_beat(struct timer *t)
{
    struct control *c = CONTAINER_OF(t, struct control, beat);
    struct process_row *row = &c->cells.processes[PROCESS_CONTROL];
    cell_add(&row->beat, 1);
    cell_set(&row->memory, process_memory_read(c->o.memory_fd));
    meshing_beat(c);
    loop_timer_set(c->loop, t, loop_now(c->loop) + BEAT_NS);
}

static void load_epoch(struct control *c)
{
    char path[PATHS_MAX];
    struct buf text = {0};
    struct err e = {0};
    int r = paths_join(path, c->o.state_dir, "epoch", &e);
    if (r == 0)
        r = file_read(path, 64, &text, &e);
    struct str digits = buf_str(&text);
    if (digits.n && digits.p[digits.n - 1] == '\n')
        digits.n--;
    if (r == 0 && !str_u64(digits, UINT64_MAX - 1, &c->epoch))
        r = err_set(&e, ERR_PROTO, "%s does not hold a number", path);
    if (r && r != -ERR_ABSENT)
        log_warning(c->log, "the epoch of before is lost: %s", e.text);
    buf_free(&text);
}

static int map_cells(struct control *c, int fd, struct err *e)
{
    void *region = NULL;
    size_t size = 0;
    int r = memfd_map(fd, &region, &size, e);
    close(fd);
    if (r)
        return r;
    r = cells_attach(&c->cells, region, size, e);
    if (r) {
        munmap(region, size);
        c->cells = (struct cells){0};
    }
    return r;
}

static int open_parts(struct control *c, struct err *e)
{
    struct prober_owner owner = {c, on_check, check_delay, on_starved};
    struct admin_host host = control_host(c);
    int r = events_init(&c->events, EVENTS_DEFAULT, loop_now(c->loop) / NS_PER_US, e);
    if (r == 0)
        auditing_init(c);
    if (r == 0)
        notifying_init(c);
    if (r == 0)
        r = judging_init(c, e);
    if (r == 0)
        r = discovering_init(c, e);
    if (r == 0)
        r = beating_init(c, e);
    if (r == 0)
        r = prober_new(&c->prober, c->loop, c->n_subjects, c->o.probes, &owner, e);
    if (r == 0)
        r = admin_new(&c->admin, c->loop, &host, e);
    return r;
}

int control_open(struct control *c, struct loop *l, struct log *log,
                 const struct control_options *o, int supervisor_fd, int cells_fd, struct err *e)
{
    *c = (struct control){.o = *o, .loop = l, .log = log};
    arriving_init(&c->arriving, 0);
    c->supervisor = (struct ipc){
        .fd = -1, .on_message = control_hear_supervisor, .on_gone = on_supervisor_gone};
    for (uint32_t bank = 0; bank < CELLS_BANKS; bank++)
        c->proxies[bank] = (struct proxy_line){
            c, {.fd = -1, .on_message = control_hear_proxy, .on_gone = on_proxy_gone}};
    reloading_init(c);
    discovering_open(c);
    health_init(c);
    finding_init(c);
    configuring_init(c);
    meshing_init(c);
    rolling_init(c);
    timer_init(&c->beat, on_beat);
    int r = map_cells(c, cells_fd, e);
    if (r == 0)
        r = open_parts(c, e);
    if (r) {
        close(supervisor_fd);
        control_close(c);
        return r;
    }
    load_epoch(c);
    drains_load(c);
    on_beat(&c->beat);
    r = ipc_open(&c->supervisor, l, supervisor_fd, e);
    if (r)
        control_close(c);
    return r;
}

void control_close(struct control *c)
{
    loop_timer_stop(c->loop, &c->beat);
    ipc_close(&c->supervisor);
    for (uint32_t bank = 0; bank < CELLS_BANKS; bank++)
        ipc_close(&c->proxies[bank].ipc);
    admin_free(c->admin);
    prober_free(c->prober);
    rolling_end(c);
    configuring_end(c);
    reloading_end(c);
    discovering_end(c);
    meshing_end(c);
    finding_end(c);
    judging_end(c);
    health_end(c);
    beating_end(c);
    drains_end(c);
    notifying_end(c);
    auditing_end(c);
    events_free(&c->events);
    arriving_close(&c->arriving);
    view_free(c->arriving.view);
    view_free(c->view);
    if (c->cells.header)
        munmap(c->cells.header, c->cells.size);
}

struct arguments {
    const char *file, *state_dir, *node, *log;
};

static bool parse_arguments(int argc, char **argv, struct arguments *a)
{
    static const struct option options[] = {
        {"file", required_argument, NULL, 'f'},
        {"state", required_argument, NULL, 's'},
        {"node", required_argument, NULL, 'n'},
        {"log", required_argument, NULL, 'l'},
        {0},
    };
    optind = 1;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == 'f')
            a->file = optarg;
        else if (o == 's')
            a->state_dir = optarg;
        else if (o == 'n')
            a->node = optarg;
        else if (o == 'l')
            a->log = optarg;
        else
            return false;
    }
    return a->file && a->state_dir && optind == argc;
}

static int run(const struct control_options *o, struct log *log, struct err *e)
{
    struct loop *loop = NULL;
    struct control *c = mem_zero(1, sizeof *c);
    if (!c)
        return err_set(e, ERR_NOMEM, "no memory for control");
    int r = loop_new(&loop, e);
    if (r == 0)
        r = control_open(c, loop, log, o, IPC_FD_SUPERVISOR, IPC_FD_CELLS, e);
    if (r == 0) {
        r = loop_run(loop, e);
        int result = c->result;
        control_close(c);
        if (r == 0 && result)
            r = err_set(e, ERR_IO, "control ends without its supervisor");
    }
    loop_free(loop);
    mem_free(c);
    return r;
}

int control_main(int argc, char **argv)
{
    struct arguments a = {0};
    struct log log;
    struct err e = {0};
    struct sandbox_notes notes = {0};
    char node[256] = "";
    if (!parse_arguments(argc, argv, &a) || log_open(&log, "control", a.log, &e)) {
        fprintf(stderr, "@control is started by holdfast itself: --file FILE --state DIR%s%s\n",
                e.code ? "; " : "", e.text);
        return 2;
    }
    int memory_fd = process_memory_open();
    int r = sandbox_enter(SANDBOX_CONTROL, &notes, &e);
    if (notes.text[0])
        log_info(&log, "%s", notes.text);
    if (a.node)
        str_copy(node, sizeof node, str_of(a.node));
    else if (gethostname(node, sizeof node - 1))
        str_copy(node, sizeof node, STR("unknown"));
    struct control_options o = {.file = a.file,
                                .state_dir = a.state_dir,
                                .node = node,
                                .self = a.node,
                                .reload_deadline = 10 * NS_PER_S,
                                .probes = PROBER_MOST,
                                .memory_fd = memory_fd};
    if (r == 0)
        r = run(&o, &log, &e);
    if (memory_fd >= 0)
        close(memory_fd);
    if (r)
        log_error(&log, "%s", e.text);
    return r ? 1 : 0;
}
