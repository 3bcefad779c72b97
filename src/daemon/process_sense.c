/* The sense process: reads logs and what else the view names, and tells control what it finds
 * (sense/sense.h has what that is). One thread, one loop.
 *
 * It has a line to control, which is another after either of them has restarted. What is raised or
 * gone is queued; repetitions are sent at once or not at all: the next says the same. A line that
 * breaks while control lives (its queue is full) is never mended: after a while this process ends,
 * and its successor gets another. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "daemon/daemon.h"
#include "daemon/finding_message.h"
#include "daemon/ipc.h"
#include "daemon/log.h"
#include "daemon/process_memory.h"
#include "daemon/sandbox.h"
#include "view/cells.h"

#define BEAT_EVERY (250 * NS_PER_MS)
#define ALONE_MOST (30 * NS_PER_S) /* without a line to control */
#define COURTESY   5               /* nice: what is watched comes first */

struct sense_process {
    struct log log;
    struct loop *loop;
    struct cells cells;
    struct ipc supervisor, control;
    struct timer beat;
    int memory_fd;
    int folder; /* STATE/logs */
    const char *node;
    struct sense *sense;
    struct view *view, *next; /* in force; between VIEW_BEGIN and VIEW_END. May be NULL */
    uint64_t alone_since;     /* ns; 0: there is a line */
    uint64_t unsaid;          /* messages that control could not take */
    int result;
};

/* --- what is found --- */

static void host_say(void *context, const struct sense_finding *f)
{
    struct sense_process *p = context;
    struct buf b = {0};
    struct err e = {0};
    finding_put(&b, f);
    if (b.failed || !ipc_is_open(&p->control) ||
        ipc_send(&p->control, IPC_FINDING, buf_str(&b), NULL, 0, &e))
        p->unsaid++;
    buf_free(&b);
}

static void host_log(void *context, bool warning, const char *text)
{
    struct sense_process *p = context;
    log_line(&p->log, warning ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, "%s", text);
}

/* --- control --- */

static void on_control(struct ipc *i, struct ipc_message *m)
{
    struct sense_process *p = CONTAINER_OF(i, struct sense_process, control);
    log_warning(&p->log, "control sent a message of type %u, which is not for us", m->type);
}

static void on_control_gone(struct ipc *i, const char *why)
{
    struct sense_process *p = CONTAINER_OF(i, struct sense_process, control);
    log_debug(&p->log, "control is gone: %s", why);
    p->alone_since = loop_now(p->loop);
}

static void take_line(struct sense_process *p, struct ipc_message *m)
{
    struct err e;
    int fd = ipc_take_fd(m);
    if (fd < 0)
        return;
    ipc_close(&p->control);
    if (ipc_open(&p->control, p->loop, fd, &e)) {
        log_error(&p->log, "control cannot be told anything: %s", e.text);
        return;
    }
    p->alone_since = 0;
    sense_repeat(p->sense);
}

/* --- views --- */

static void begin_view(struct sense_process *p, struct ipc_message *m)
{
    struct err e = {0};
    uint64_t epoch = get_u64(&m->body);
    int fd = ipc_take_fd(m);
    view_free(p->next);
    p->next = NULL;
    if (fd < 0 || !reader_done(&m->body) || ipc_read_view(fd, &p->next, &e))
        log_error(&p->log, "view %llu cannot be read: %s", (unsigned long long)epoch, e.text);
    if (fd >= 0)
        close(fd);
}

static void end_view(struct sense_process *p, struct ipc_message *m)
{
    uint64_t epoch = get_u64(&m->body);
    struct view *was = p->view;
    if (!reader_done(&m->body) || !p->next || p->next->epoch != epoch)
        return;
    p->view = p->next;
    p->next = NULL;
    sense_adopt(p->sense, p->view);
    view_free(was);
    cell_set(&p->cells.processes[PROCESS_SENSE].epoch, epoch);
}

/* --- the supervisor --- */

static void on_supervisor(struct ipc *i, struct ipc_message *m)
{
    struct sense_process *p = CONTAINER_OF(i, struct sense_process, supervisor);
    if (m->type == IPC_SENSE)
        take_line(p, m);
    else if (m->type == IPC_VIEW_BEGIN)
        begin_view(p, m);
    else if (m->type == IPC_VIEW_END)
        end_view(p, m);
    else if (m->type == IPC_STOP)
        loop_stop(p->loop);
    else if (m->type != IPC_VIEW_SOCKET)
        log_warning(&p->log, "the supervisor sent a message of type %u, which is not for us",
                    m->type);
}

static void on_supervisor_gone(struct ipc *i, const char *why)
{
    struct sense_process *p = CONTAINER_OF(i, struct sense_process, supervisor);
    log_error(&p->log, "the supervisor is gone: %s", why);
    p->result = 1;
    loop_stop(p->loop);
}

/* --- the process --- */

static void on_beat(struct timer *t)
{
    struct sense_process *p = CONTAINER_OF(t, struct sense_process, beat);
    struct process_row *row = &p->cells.processes[PROCESS_SENSE];
    uint64_t now = loop_now(p->loop);
    cell_add(&row->beat, 1);
    cell_set(&row->memory, process_memory_read(p->memory_fd));
    loop_timer_set(p->loop, t, now + BEAT_EVERY);
    if (p->alone_since && now - p->alone_since > ALONE_MOST) {
        log_warning(&p->log, "there is no line to control: another sense process is to get one");
        p->result = 1;
        loop_stop(p->loop);
    }
}

struct arguments {
    const char *state, *level, *node;
};

static bool read_arguments(int argc, char **argv, struct arguments *a)
{
    static const struct option options[] = {
        {"state", required_argument, NULL, 's'},
        {"log", required_argument, NULL, 'l'},
        {"node", required_argument, NULL, 'n'},
        {0},
    };
    optind = 1;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == 's')
            a->state = optarg;
        else if (o == 'l')
            a->level = optarg;
        else if (o == 'n')
            a->node = optarg;
        else
            return false;
    }
    return a->state && optind == argc;
}

static int attach_cells(struct sense_process *p, struct err *e)
{
    void *region;
    size_t size;
    int r = memfd_map(IPC_FD_CELLS, &region, &size, e);
    return r ? r : cells_attach(&p->cells, region, size, e);
}

static int prepare(struct sense_process *p, const struct arguments *a, struct err *e)
{
    struct sandbox_notes notes = {0};
    setpriority(PRIO_PROCESS, 0, COURTESY);
    int r = sandbox_enter_sense(a->state, &p->folder, &notes, e);
    if (notes.text[0])
        log_info(&p->log, "%s", notes.text);
    if (r == 0)
        r = attach_cells(p, e);
    if (r == 0)
        r = loop_new(&p->loop, e);
    if (r)
        return r;
    struct sense_host host = {.context = p,
                              .say = host_say,
                              .log = host_log,
                              .folder = p->folder,
                              .node = p->node,
                              .row = &p->cells.processes[PROCESS_SENSE]};
    r = sense_new(&p->sense, p->loop, &host, e);
    return r ? r : ipc_open(&p->supervisor, p->loop, IPC_FD_SUPERVISOR, e);
}

static int run(struct sense_process *p, const struct arguments *a, struct err *e)
{
    int r = prepare(p, a, e);
    if (r == 0) {
        p->alone_since = loop_now(p->loop);
        on_beat(&p->beat);
        r = loop_run(p->loop, e);
    }
    sense_free(p->sense);
    ipc_close(&p->control);
    ipc_close(&p->supervisor);
    view_free(p->view);
    view_free(p->next);
    loop_free(p->loop);
    if (p->folder >= 0)
        close(p->folder);
    return r;
}

int sense_main(int argc, char **argv)
{
    struct arguments a = {0};
    struct err e = {0};
    char host[256] = "unknown";
    struct sense_process *p = mem_zero(1, sizeof *p);
    if (!p)
        return EXIT_FAILURE;
    if (!read_arguments(argc, argv, &a) || log_open(&p->log, "sense", a.level, &e)) {
        fprintf(stderr, "@sense is started by holdfast itself: --state DIR%s%s\n",
                e.code ? "; " : "", e.text);
        mem_free(p);
        return 2;
    }
    if (!a.node && gethostname(host, sizeof host - 1) == 0)
        host[sizeof host - 1] = 0;
    p->node = a.node ? a.node : host;
    p->supervisor =
        (struct ipc){.fd = -1, .on_message = on_supervisor, .on_gone = on_supervisor_gone};
    p->control = (struct ipc){.fd = -1, .on_message = on_control, .on_gone = on_control_gone};
    p->memory_fd = process_memory_open();
    p->folder = -1;
    timer_init(&p->beat, on_beat);
    int r = run(p, &a, &e);
    if (r)
        log_error(&p->log, "%s", e.text);
    if (p->memory_fd >= 0)
        close(p->memory_fd);
    r = r ? r : p->result;
    mem_free(p);
    return r ? EXIT_FAILURE : EXIT_SUCCESS;
}
