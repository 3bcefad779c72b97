/* agentctl: stands in for supervisor and control, to drive one real agent process.
 *
 *   agentctl HOLDFAST STATE
 *
 * Reads a command a line, writes an event a line, as JSON:
 *
 *   line | drop                   control is there, anew | dies
 *   start NAME TOKEN CLIENT PEER new|existing|force NAME=PEER[,NAME=PEER...]
 *   stop GRACE_MS | task aside|remove|disk
 *   beats                         how often the agent has beaten
 *   instance SERVICE KIND PLACE D_MS HANG_MS NAME=ADDRESS[,NAME=ADDRESS...]
 *   role SERVICE ORDER EPOCH [PLACE]   follow fence promote demote stop
 *   lease EPOCH MS                of every service's slot: held for so long from now on
 *   view FILE NAME                the supervisor hands over what this configuration says for that
 * node end 1|0                       the agent is to end, in order or now junk control sends bytes
 * that mean nothing
 *
 *   {"event": "agent", "pid"}  "state"  "answer"  "report"  "gone" (the line)  "beats"  "ended"
 * (status)
 *
 * It ends with the agent, or kills it when standard input ends. */
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conf/conf.h"
#include "daemon/agent.h"
#include "daemon/daemon.h"
#include "view/cells.h"

enum { SERVICES = 8 };

struct ctl {
    struct loop *loop;
    struct ipc supervisor;
    struct agent_line line;
    struct cells cells;
    struct io input;
    char text[8192];
    size_t n;
    pid_t pid;
};

static void say(json_t *event)
{
    json_dumpf(event, stdout, JSON_COMPACT);
    putchar('\n');
    fflush(stdout);
    json_decref(event);
}

static void on_state(void *context, const struct agent_state *s)
{
    json_t *lines = json_array();
    for (uint32_t i = 0; i < s->n_lines; i++)
        json_array_append_new(lines, json_string(s->lines[i]));
    say(json_pack("{ss ss ss sb sb si si si sI ss si so}", "event", "state", "kind",
                  agent_kind_name(s->kind), "life", agent_life_name(s->life), "wanted", s->wanted,
                  "has_data", s->has_data, "pid", (int)s->pid, "starts", (int)s->starts, "status",
                  (int)s->status, "lost", (json_int_t)s->lines_lost, "name", s->etcd.name,
                  "members", (int)s->etcd.n_members, "lines", lines));
}

static void on_report(void *context, const struct agent_report *r)
{
    static const char *const states[] = {"unknown", "down", "replica", "primary"};
    json_t *followers = json_array();
    for (uint32_t i = 0; i < r->n_followers; i++)
        json_array_append_new(followers,
                              json_pack("{sb sI}", "connected", r->followers[i].connected,
                                        "position", (json_int_t)r->followers[i].position));
    say(json_pack("{ss ss ss ss sb sb si sI sI sI si si ss so sI}", "event", "report", "service",
                  r->service, "kind", instance_kind_name(r->kind), "state", states[r->state],
                  "well", r->well, "joined", r->joined, "follows", (int)r->follows, "epoch",
                  (json_int_t)r->epoch, "history", (json_int_t)r->history, "position",
                  (json_int_t)r->position, "pid", (int)r->pid, "starts", (int)r->starts, "sentence",
                  r->sentence, "followers", followers, "at", (json_int_t)clock_now()));
}

static void on_answer(void *context, const struct agent_answer *a)
{
    say(json_pack("{ss sI ss ss si sI sI sI sI sI}", "event", "answer", "ticket",
                  (json_int_t)a->ticket, "code", err_name(a->code), "sentence", a->sentence,
                  "writes", (int)a->disk.writes, "median", (json_int_t)a->disk.median, "p99",
                  (json_int_t)a->disk.p99, "worst", (json_int_t)a->disk.worst, "history",
                  (json_int_t)a->history, "position", (json_int_t)a->position));
}

static void on_gone(void *context, const char *why)
{
    say(json_pack("{ss ss}", "event", "gone", "why", why));
}

static void on_agent_gone(struct ipc *i, const char *why)
{
    struct ctl *c = CONTAINER_OF(i, struct ctl, supervisor);
    int status = 0;
    waitpid(c->pid, &status, 0);
    say(json_pack("{ss si}", "event", "ended", "status", status));
    loop_stop(c->loop);
}

static void on_message(struct ipc *i, struct ipc_message *m)
{
    fprintf(stderr, "agentctl: the agent sent a message of type %u\n", m->type);
}

/* --- commands --- */

static void new_line(struct ctl *c)
{
    int pair[2];
    CHECK(net_message_pair(pair, NULL) == 0);
    CHECK(agent_line_open(&c->line, pair[0], NULL) == 0);
    CHECK(ipc_send(&c->supervisor, IPC_AGENT, STR(""), &pair[1], 1, NULL) == 0);
    close(pair[1]);
}

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "agentctl: bad %s\n", what);
    exit(2);
}

static void read_members(char *text, struct agent_etcd *a)
{
    for (char *save, *p = strtok_r(text, ",", &save); p; p = strtok_r(NULL, ",", &save)) {
        char *equals = strchr(p, '=');
        must(equals && a->n_members < AGENT_MEMBERS, "member");
        struct agent_member *m = &a->members[a->n_members++];
        str_copy(m->name, sizeof m->name, (struct str){p, (size_t)(equals - p)});
        must(addr_parse(str_of(equals + 1), &m->peer), "member's address");
    }
}

static void start(struct ctl *c, char *words[7])
{
    struct agent_etcd a = {.heartbeat_ms = 100, .election_ms = 1000};
    struct err e;
    uint64_t ticket;
    must(words[6] != NULL, "start");
    str_copy(a.name, sizeof a.name, str_of(words[1]));
    str_copy(a.token, sizeof a.token, str_of(words[2]));
    must(addr_parse(str_of(words[3]), &a.client) && addr_parse(str_of(words[4]), &a.peer),
         "address");
    a.existing = strcmp(words[5], "existing") == 0;
    a.force_new = strcmp(words[5], "force") == 0;
    read_members(words[6], &a);
    if (agent_line_start(&c->line, &a, &ticket, &e))
        say(json_pack("{ss ss ss}", "event", "answer", "code", err_name(e.code), "sentence",
                      e.text));
}

static void instance(struct ctl *c, char *words[8])
{
    struct agent_instance i = {.password = "00112233445566778899aabbccddeeff",
                               .gate_password = "ffeeddccbbaa99887766554433221100"};
    struct err e;
    must(words[6] != NULL, "instance");
    str_copy(i.service, sizeof i.service, str_of(words[1]));
    while (i.kind < INSTANCE_KINDS && strcmp(instance_kind_name(i.kind), words[2]) != 0)
        i.kind++;
    i.place = (uint8_t)atoi(words[3]);
    i.demotion = (uint64_t)atoi(words[4]) * NS_PER_MS;
    i.hang_after = (uint64_t)atoi(words[5]) * NS_PER_MS;
    for (char *save, *p = strtok_r(words[6], ",", &save); p; p = strtok_r(NULL, ",", &save)) {
        char *equals = strchr(p, '=');
        must(equals && i.n_places < ROLE_NODES, "place");
        struct instance_place *to = &i.places[i.n_places++];
        str_copy(to->name, sizeof to->name, (struct str){p, (size_t)(equals - p)});
        must(addr_parse(str_of(equals + 1), &to->address), "place's address");
    }
    if (agent_line_instance(&c->line, &i, &e))
        say(json_pack("{ss ss ss}", "event", "answer", "code", err_name(e.code), "sentence",
                      e.text));
}

static void role(struct ctl *c, char *words[8])
{
    static const char *const orders[INSTANCE_ORDERS] = {"follow", "fence",    "promote",  "demote",
                                                        "stop",   "vip-take", "vip-leave"};
    struct agent_role r = {.primary = ROLE_NOBODY};
    must(words[3] != NULL, "role");
    str_copy(r.service, sizeof r.service, str_of(words[1]));
    while (r.what < INSTANCE_ORDERS && strcmp(orders[r.what], words[2]) != 0)
        r.what++;
    r.epoch = (uint64_t)atoll(words[3]);
    if (words[4])
        r.primary = (uint8_t)atoi(words[4]);
    must(agent_line_role(&c->line, &r, NULL, NULL) == 0, "role");
}

static void lease(struct ctl *c, const char *epoch, const char *ms)
{
    for (uint32_t i = 0; i < SERVICES; i++) {
        struct role_row *row = cells_role(&c->cells, i);
        cell_set(&row->lease_epoch, (uint64_t)atoll(epoch));
        cell_set(&row->lease_until, clock_now() + (uint64_t)atoll(ms) * NS_PER_MS);
    }
}

static void view(struct ctl *c, const char *file, const char *name)
{
    struct conf_env env = daemon_conf_env(name);
    struct conf_problems problems = {0};
    struct view *v = NULL;
    struct buf b = {0};
    struct err e = {0};
    if (conf_load(file, &env, &v, &problems, &e)) {
        fprintf(stderr, "agentctl: %s: %s\n", e.text, problems.n ? problems.list[0].text : "");
        exit(2);
    }
    v->epoch = 1;
    CHECK(view_assign_slots(v, NULL, NULL) == 0);
    view_encode(v, &b);
    int fd = memfd_sealed("view", buf_str(&b), &e);
    CHECK(fd >= 0);
    buf_clear(&b);
    put_u64(&b, 1);
    CHECK(ipc_send(&c->supervisor, IPC_VIEW_BEGIN, buf_str(&b), &fd, 1, NULL) == 0);
    CHECK(ipc_send(&c->supervisor, IPC_VIEW_END, buf_str(&b), NULL, 0, NULL) == 0);
    close(fd);
    buf_free(&b);
    conf_problems_free(&problems);
    view_free(v);
}

static void task(struct ctl *c, const char *word)
{
    static const char *const names[AGENT_TASKS] = {"aside", "remove", "disk"};
    for (unsigned i = 0; word && i < AGENT_TASKS; i++)
        if (strcmp(names[i], word) == 0)
            must(agent_line_task(&c->line, i, NULL, NULL) == 0, "line");
}

static void end(struct ctl *c, bool orderly)
{
    struct buf b = {0};
    put_u32(&b, orderly);
    CHECK(ipc_send(&c->supervisor, IPC_STOP, buf_str(&b), NULL, 0, NULL) == 0);
    buf_free(&b);
}

static void command(struct ctl *c, char *text)
{
    char *words[8] = {0}, *save;
    int n = 0;
    for (char *p = strtok_r(text, " ", &save); p && n < 7; p = strtok_r(NULL, " ", &save))
        words[n++] = p;
    if (n == 0)
        return;
    if (strcmp(words[0], "line") == 0)
        new_line(c);
    else if (strcmp(words[0], "drop") == 0)
        agent_line_close(&c->line);
    else if (strcmp(words[0], "start") == 0)
        start(c, words);
    else if (strcmp(words[0], "stop") == 0 && n == 2)
        agent_line_stop(&c->line, AGENT_ETCD, (uint64_t)atoi(words[1]) * NS_PER_MS, NULL, NULL);
    else if (strcmp(words[0], "instance") == 0)
        instance(c, words);
    else if (strcmp(words[0], "role") == 0)
        role(c, words);
    else if (strcmp(words[0], "lease") == 0 && n == 3)
        lease(c, words[1], words[2]);
    else if (strcmp(words[0], "view") == 0 && n == 3)
        view(c, words[1], words[2]);
    else if (strcmp(words[0], "task") == 0)
        task(c, words[1]);
    else if (strcmp(words[0], "end") == 0 && n == 2)
        end(c, words[1][0] == '1');
    else if (strcmp(words[0], "junk") == 0)
        CHECK(ipc_send(&c->line.ipc, IPC_AGENT_START, STR("junk"), NULL, 0, NULL) == 0);
    else if (strcmp(words[0], "beats") == 0)
        say(json_pack("{ss sI}", "event", "beats", "beats",
                      (json_int_t)cell_get(&c->cells.processes[PROCESS_AGENT].beat)));
    else
        must(false, words[0]);
}

static void on_input(struct io *io, unsigned ready)
{
    struct ctl *c = CONTAINER_OF(io, struct ctl, input);
    ssize_t n;
    while ((n = read(STDIN_FILENO, c->text + c->n, sizeof c->text - 1 - c->n)) > 0) {
        c->n += (size_t)n;
        c->text[c->n] = 0;
        for (char *end_; (end_ = strchr(c->text, '\n'));) {
            *end_ = 0;
            command(c, c->text);
            c->n -= (size_t)(end_ + 1 - c->text);
            memmove(c->text, end_ + 1, c->n + 1);
        }
    }
    if (n == 0)
        exit(0); /* the agent sees that its supervisor is gone */
}

/* --- start --- */

static void start_agent(struct ctl *c, const char *program, const char *state)
{
    int pair[2], cells = memfd_region("cells", cells_size(1, SERVICES, 1), NULL);
    void *region;
    size_t size;
    CHECK(net_message_pair(pair, NULL) == 0 && memfd_map(cells, &region, &size, NULL) == 0);
    cells_format(region, 1, SERVICES, 1, clock_now());
    CHECK(cells_attach(&c->cells, region, size, NULL) == 0);
    c->pid = fork();
    if (c->pid == 0) {
        int a = dup(pair[1]), b = dup(cells);
        dup2(a, IPC_FD_SUPERVISOR);
        dup2(b, IPC_FD_CELLS);
        for (int fd = IPC_FD_CELLS + 1; fd < 64; fd++)
            close(fd);
        setpgid(0, 0);
        execl(program, "holdfast", "@agent", "--state", state, "--log", "debug", (char *)NULL);
        _exit(127);
    }
    close(pair[1]);
    CHECK(ipc_open(&c->supervisor, c->loop, pair[0], NULL) == 0);
}

int main(int argc, char **argv)
{
    static struct ctl c;
    must(argc == 3, "arguments");
    CHECK(loop_new(&c.loop, NULL) == 0);
    signal(SIGPIPE, SIG_IGN);
    agent_line_init(&c.line, c.loop);
    c.line.on_state = on_state;
    c.line.on_answer = on_answer;
    c.line.on_report = on_report;
    c.line.on_gone = on_gone;
    c.supervisor = (struct ipc){.fd = -1, .on_message = on_message, .on_gone = on_agent_gone};
    start_agent(&c, argv[1], argv[2]);
    say(json_pack("{ss si}", "event", "agent", "pid", (int)c.pid));
    new_line(&c);
    io_init(&c.input, on_input);
    CHECK(fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK) == 0);
    CHECK(loop_io_start(c.loop, &c.input, STDIN_FILENO, NULL) == 0);
    return loop_run(c.loop, NULL);
}
