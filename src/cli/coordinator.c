/* coordinator: how the coordinator is, a backup of it, and its restore. */
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/node.h"
#include "cli/term.h"
#include "coord/etcd_timers.h"
#include "daemon/paths.h"
#include "os/os.h"

struct coordinator_options {
    struct node_place node;
    const char *from;
    uint64_t wait; /* seconds */
    bool json, yes, force;
};

static const struct option options[] = {
    {"from", 0, "FILE", "restore: from a backup instead of what this node has", OPTION_TEXT,
     offsetof(struct coordinator_options, from)},
    {"yes", 'y', NULL, "restore: do not ask", OPTION_FLAG,
     offsetof(struct coordinator_options, yes)},
    {"force", 0, NULL, "restore: also a coordinator that can be reached", OPTION_FLAG,
     offsetof(struct coordinator_options, force)},
    {"wait", 'w', "SECONDS", "how long to wait for the end of it (60)", OPTION_NUMBER,
     offsetof(struct coordinator_options, wait)},
    CLI_OPTION_JSON(struct coordinator_options),
    CLI_OPTIONS_NODE(struct coordinator_options),
};

static const struct usage usage = {
    .command = "coordinator",
    .operands = "[backup [FILE]|restore]",
    .min_operands = 0,
    .max_operands = 2,
    .about =
        "Shows the coordinator of the cluster: whether it can be reached, its members and who\n"
        "leads, the voters, and what it waits for. 'backup' makes a backup now, and copies it\n"
        "to FILE. 'restore' brings back a coordinator that lost most of its members for good:\n"
        "from what this node has, or --from a backup. It says what is given up and asks.",
    .examples = "  holdfast coordinator\n"
                "  holdfast coordinator backup /var/backups/coordinator.json\n"
                "  holdfast coordinator restore\n"
                "  holdfast coordinator restore --from /var/backups/coordinator.json --yes",
    .options = options,
    .n_options = ARRAY_LEN(options),
};

enum { POLL_MS = 200, WAIT_S = 60, BACKUP_MAX = 200 * 1024 * 1024 };
#define UPLOAD "restore-from.json"

/* --- what is shown --- */

static void line(struct buf *out, const char *what, const char *fmt, const char *text)
{
    struct buf clean = {0};
    text_clean(&clean, str_of(text));
    buf_printf(out, "%-12s", what);
    buf_printf(out, "%s" STR_FMT "\n", fmt, STR_ARG(buf_str(&clean)));
    buf_free(&clean);
}

static long long number(const json_t *object, const char *name)
{
    return (long long)json_integer_value(json_object_get(object, name));
}

static void show_member(struct buf *out, const json_t *m)
{
    const char *node = json_text(m, "node");
    long long runs = number(m, "heartbeat_ms"), asks = number(m, "disk_heartbeat_ms");
    buf_printf(out, "  %-12s %-18s %s%s%s", *node ? node : "-", json_text(m, "id"),
               json_is_true(json_object_get(m, "learner")) ? "learner" : "member",
               json_is_true(json_object_get(m, "leader")) ? ", leads" : "",
               json_is_true(json_object_get(m, "healthy")) ? "" : ", not healthy");
    if (runs > ETCD_HEARTBEAT_MS)
        buf_printf(out, ", heartbeat %lld ms", runs);
    if (asks > ETCD_HEARTBEAT_MS)
        buf_printf(out, ", for its slow disk");
    buf_printf(out, "\n");
}

static void show_voters(struct buf *out, const json_t *voters)
{
    const json_t *nodes = json_object_get(voters, "nodes");
    struct buf text = {0};
    for (size_t i = 0; i < json_array_size(nodes); i++)
        buf_printf(&text, "%s%s", i ? ", " : "", json_string_value(json_array_get(nodes, i)));
    buf_printf(&text, " (version %lld)%c",
               (long long)json_integer_value(json_object_get(voters, "version")), 0);
    if (!text.failed)
        line(out, "voters", "", text.p);
    buf_free(&text);
}

static void show_etcd(struct buf *out, const json_t *etcd)
{
    const json_t *disk = json_object_get(etcd, "disk");
    char text[256];
    snprintf(text, sizeof text, "%s %s, heartbeat %lld ms, election %lld ms",
             json_text(etcd, "state"), json_text(etcd, "version"), number(etcd, "heartbeat_ms"),
             number(etcd, "election_ms"));
    line(out, "etcd here", "", text);
    snprintf(text, sizeof text, "%lld kB of at most %lld MB, %lld kB in use%s",
             number(etcd, "bytes") / 1024, number(etcd, "bytes_quota") / 1024 / 1024,
             number(etcd, "bytes_used") / 1024,
             json_is_true(json_object_get(etcd, "full"))
                 ? "; a member's is full: nothing is written until there is room"
                 : "");
    line(out, "file here", "", text);
    if (!json_is_object(disk))
        return;
    snprintf(text, sizeof text, "%.1f ms to sync, %.1f ms at times, measured %lld s ago",
             (double)number(disk, "sync_median_us") / 1000,
             (double)number(disk, "sync_p99_us") / 1000, number(disk, "measured_ms_ago") / 1000);
    line(out, "disk here", "", text);
}

static void show(const struct reply *r)
{
    const json_t *j = r->json, *members = json_object_get(j, "members");
    const json_t *etcd = json_object_get(j, "etcd"), *voters = json_object_get(j, "voters");
    bool up = json_is_true(json_object_get(j, "reachable"));
    struct buf out = {0};
    char text[256];
    snprintf(text, sizeof text, "%s%s%s%s%s", json_text(j, "kind"), up ? ", reachable" : "",
             *json_text(j, "at") ? " at " : "", json_text(j, "at"),
             up || strcmp(json_text(j, "kind"), "none") == 0 ? "" : ", not reachable");
    line(&out, "coordinator", "", text);
    if (!up && *json_text(j, "problem"))
        line(&out, "", "", json_text(j, "problem"));
    if (*json_text(j, "waits"))
        line(&out, "", "", json_text(j, "waits"));
    snprintf(text, sizeof text, "%lld",
             (long long)json_integer_value(json_object_get(j, "revision")));
    line(&out, "revision", "", text);
    if (json_is_object(voters))
        show_voters(&out, voters);
    if (json_array_size(members))
        buf_printf(&out, "members\n");
    for (size_t i = 0; i < json_array_size(members); i++)
        show_member(&out, json_array_get(members, i));
    if (json_is_object(etcd))
        show_etcd(&out, etcd);
    if (*json_text(j, "backup_file"))
        line(&out, "backup", "", json_text(j, "backup_file"));
    cli_write(stdout, &out);
    buf_free(&out);
}

static int look(const struct coordinator_options *o, struct reply *r)
{
    return node_once(&o->node, "GET", "/v1/coordinator", r);
}

static void pause_poll(void)
{
    nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
}

static uint64_t polls(const struct coordinator_options *o)
{
    return (o->wait ? o->wait : WAIT_S) * 1000 / POLL_MS;
}

/* --- backup --- */

static int copy_to(const char *from, const char *to, unsigned mode)
{
    struct buf text = {0};
    struct err e;
    int rc = file_read(from, BACKUP_MAX, &text, &e);
    rc = rc ? rc : file_replace(to, buf_str(&text), mode, &e);
    buf_free(&text);
    return rc ? cli_fail(CLI_BAD, "%s", e.text) : CLI_OK;
}

static int backup(const struct coordinator_options *o, const char *file)
{
    struct reply r = {0};
    char before[64] = "";
    int code = look(o, &r);
    if (code == CLI_OK)
        str_copy(before, sizeof before, str_of(json_text(r.json, "backup_time")));
    reply_free(&r);
    code = code ? code : node_once(&o->node, "POST", "/v1/coordinator/backup", &r);
    for (uint64_t left = polls(o); code == CLI_OK && left--;) {
        if (strcmp(json_text(r.json, "backup_time"), before) != 0)
            break;
        pause_poll();
        reply_free(&r);
        code = look(o, &r);
    }
    if (code == CLI_OK && strcmp(json_text(r.json, "backup_time"), before) == 0)
        code = cli_fail(CLI_BAD, "there is no backup yet: see 'holdfast events'");
    if (code == CLI_OK && file)
        code = copy_to(json_text(r.json, "backup_file"), file, 0600);
    if (o->json)
        reply_print(&r);
    else if (code == CLI_OK)
        printf("%s\n", file ? file : json_text(r.json, "backup_file"));
    reply_free(&r);
    return code;
}

/* --- restore --- */

static bool agreed(const struct coordinator_options *o, const struct reply *r)
{
    char answer[16] = "";
    if (o->from)
        fprintf(stderr,
                "All that the coordinator has is replaced by the backup %s: what was applied "
                "since is lost.\n",
                o->from);
    else
        fprintf(stderr,
                "This node goes on alone with what it has, revision %lld: what other members had "
                "and this one not is\nlost, and they put their data aside and join. Only when most "
                "of them are gone for good.\n",
                (long long)json_integer_value(json_object_get(r->json, "revision")));
    if (o->yes)
        return true;
    if (!isatty(STDIN_FILENO)) {
        cli_fail(CLI_USAGE, "without a terminal it takes --yes");
        return false;
    }
    fprintf(stderr, "Restore? [y/N] ");
    return fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

/* The node may not read where we may: it gets a copy. */
static int upload(const struct coordinator_options *o, char path[PATHS_MAX])
{
    char state[PATHS_MAX];
    struct err e;
    if (paths_state(state, o->node.state, o->node.node, &e) || paths_join(path, state, UPLOAD, &e))
        return cli_fail(CLI_USAGE, "%s", e.text);
    if (path[0] != '/') {
        char here[PATHS_MAX], absolute[PATHS_MAX];
        if (!getcwd(here, sizeof here) || paths_join(absolute, here, path, &e))
            return cli_fail(CLI_USAGE, "the path of the state directory is too long");
        str_copy(path, PATHS_MAX, str_of(absolute));
    }
    return copy_to(o->from, path, 0644);
}

static int restore(const struct coordinator_options *o)
{
    struct reply r = {0};
    struct buf body = {0};
    char path[PATHS_MAX] = "";
    int code = look(o, &r);
    if (code == CLI_OK && !agreed(o, &r))
        code = CLI_BAD;
    reply_free(&r);
    if (code == CLI_OK && o->from)
        code = upload(o, path);
    buf_printf(&body, o->from ? "{\"from\":\"%s\",\"force\":%s}" : "{%s\"force\":%s}", path,
               o->force ? "true" : "false");
    if (code == CLI_OK)
        code = node_send(&o->node, "POST", "/v1/coordinator/restore", buf_str(&body), &r);
    buf_free(&body);
    if (o->from && *path)
        unlink(path);
    for (uint64_t left = polls(o); code == CLI_OK && left--;) {
        pause_poll();
        reply_free(&r);
        code = look(o, &r);
        if (code == CLI_OK && json_is_true(json_object_get(r.json, "reachable")) &&
            !json_is_true(json_object_get(r.json, "restoring")))
            break;
    }
    if (code == CLI_OK && !json_is_true(json_object_get(r.json, "reachable")))
        code = cli_fail(CLI_BAD, "it is not back yet, and goes on: see 'holdfast coordinator'");
    if (o->json)
        reply_print(&r);
    else if (code == CLI_OK)
        show(&r);
    reply_free(&r);
    return code;
}

int command_coordinator(int argc, char **argv)
{
    struct coordinator_options o = {0};
    const char *operands[OPERANDS_MAX] = {0};
    struct reply r = {0};
    int code;
    if (!cli_options(&usage, argc, argv, &o, operands, &code))
        return code;
    if (operands[0] && strcmp(operands[0], "backup") == 0)
        return backup(&o, operands[1]);
    if (operands[0] && strcmp(operands[0], "restore") == 0 && !operands[1])
        return restore(&o);
    if (operands[0])
        return cli_fail(CLI_USAGE,
                        "a coordinator cannot be told to '%s': did you mean 'backup' or "
                        "'restore'?",
                        operands[operands[1] && strcmp(operands[0], "restore") == 0]);
    code = look(&o, &r);
    if (code == CLI_OK && !o.json)
        show(&r);
    else if (r.json)
        reply_print(&r);
    reply_free(&r);
    return code;
}
