#include "detect/logs/packs.h"

#define SECONDS(n) ((n)*UINT64_C(1000000000))
#define ONCE       .over = 1, .window = SECONDS(60)
#define SURE       ONCE, .certain = true
#define OFTEN      .over = 10, .window = SECONDS(10)

static const struct logs_rule postgresql[] = {
    {"postgresql-panic", "\\bPANIC:  ", NULL, SURE},
    {"postgresql-crash", "server process \\(PID \\d+\\) was terminated by signal", NULL, SURE},
    {"postgresql-crash-recovery",
     "all server processes terminated; reinitializing|database system was not properly shut down",
     NULL, ONCE},
    {"postgresql-corrupt",
     "invalid page in block \\d+|could not read block \\d+|checksum mismatch|checksum verification "
     "failed|unexpected chunk number|missing chunk number|found xmin \\d+ from before relfrozenxid",
     NULL, SURE},
    {"postgresql-disk-full", "could not (?:write|extend|create) .*No space left on device", NULL,
     SURE},
    {"postgresql-file",
     "could not (?:read|write|open|fsync|access) (?:from |to )?file "
     "\"(?:base|global|pg_wal|pg_xact|pg_multixact)/",
     "No space left on device", ONCE},
    {"postgresql-start",
     "FATAL:  (?:could not (?:create|bind|map|access|open)|lock file \"|data "
     "directory \"|database files are incompatible)|could not find the database "
     "system",
     NULL, ONCE},
    {"postgresql-connections",
     "FATAL:  (?:sorry, too many clients already|remaining connection slots are reserved)", NULL,
     .over = 5, .window = SECONDS(10)},
    {"postgresql-memory", "ERROR:  out of (?:shared )?memory|FATAL:  out of memory", NULL, ONCE},
    {"postgresql-deadlock", "ERROR:  deadlock detected", NULL, .over = 5, .window = SECONDS(60)},
};

static const struct logs_rule redis[] = {
    {"redis-crash", "=== REDIS BUG REPORT START|crashed by signal: \\d+", NULL, SURE},
    {"redis-assertion", "=== ASSERTION FAILED ===", NULL, SURE},
    {"redis-save",
     "Failed opening the (?:temp )?RDB file|Background saving error|Write error (?:saving|while "
     "saving) DB|Error moving temp DB file|Background saving terminated by signal",
     NULL, ONCE},
    {"redis-aof",
     "Background AOF rewrite (?:failed|terminated)|Error writing to the AOF|Fail to fsync the AOF|"
     "AOF file \\S+ is not valid|Bad file format reading the append only file",
     NULL, ONCE},
    {"redis-disk-full", "No space left on device", NULL, SURE},
    {"redis-load",
     "Fatal error loading the DB|Wrong signature trying to load DB|Short read or OOM loading DB|"
     "Internal error in RDB reading",
     NULL, SURE},
    {"redis-memory", "Out Of Memory allocating \\d+ bytes|Can't save in background: fork", NULL,
     SURE},
    {"redis-port", "Could not create server TCP listening socket|Failed listening on port", NULL,
     ONCE},
    {"redis-output-buffer", "scheduled to be closed ASAP for overcoming of output buffer limits",
     NULL, .over = 3, .window = SECONDS(60)},
    {"redis-master-down", "# \\+odown master ", NULL, ONCE},
};

static const struct logs_rule nginx[] = {
    {"nginx-emergency", "\\[emerg\\] ", NULL, ONCE},
    {"nginx-worker-died", "worker process \\d+ exited on signal \\d+",
     "exited on signal (?:15|3)\\b", ONCE},
    {"nginx-alert", "\\[alert\\] ", "worker process \\d+ exited on signal", ONCE},
    {"nginx-disk",
     "\\[crit\\] .*\\((?:28: No space left on device|30: Read-only file system|5: "
     "Input/output error)\\)",
     NULL, SURE},
    {"nginx-no-upstream", "no live upstreams while connecting to upstream", NULL, OFTEN},
    {"nginx-upstream-refused", "connect\\(\\) failed \\(\\d+: .*while connecting to upstream", NULL,
     OFTEN},
    {"nginx-upstream-timeout", "upstream timed out \\(", NULL, OFTEN},
    {"nginx-upstream-broken",
     "upstream prematurely closed connection|upstream sent (?:no valid|invalid|too big) ", NULL,
     OFTEN},
    {"nginx-connections", "\\d+ worker_connections are not enough", NULL, ONCE},
    {"nginx-files", "\\(24: Too many open files\\)", NULL, ONCE},
};

static const struct logs_rule kernel[] = {
    {"kernel-oom-kill", "(?:Out of memory|Memory cgroup out of memory): Kill(?:ed)? process \\d+",
     NULL, SURE},
    {"kernel-io-error",
     "I/O error, dev \\w+, sector \\d+|Buffer I/O error on (?:dev|device) |critical "
     "(?:medium|target"
     "|space allocation) error, dev|Medium Error",
     "dev fd0,", SURE},
    {"kernel-filesystem",
     "EXT4-fs error \\(|EXT4-fs \\(\\S+\\): (?:failed|Remounting filesystem read-only)|"
     "Aborting journal on device|XFS \\(\\S+\\): (?:Corruption|Metadata (?:corruption|I/O "
     "error)|Log "
     "I/O error|Filesystem has been shut down)|BTRFS (?:error|critical) ",
     NULL, SURE},
    {"kernel-hung-task", "INFO: task .* blocked (?:in I/O wait )?for more than \\d+ seconds", NULL,
     SURE},
    {"kernel-lockup",
     "BUG: soft lockup|hard LOCKUP|rcu_\\w+ (?:self-)?detected stall|detected stalls "
     "on CPUs",
     NULL, SURE},
    {"kernel-bug",
     "kernel BUG at |BUG: unable to handle|general protection fault, |Oops: |Kernel "
     "panic - not syncing",
     NULL, SURE},
    {"kernel-segfault", "\\S+\\[\\d+\\]: segfault at |traps: \\S+\\[\\d+\\] ", NULL, ONCE},
    {"kernel-machine-check", "\\[Hardware Error\\]|mce: .*Machine check|EDAC .* [CU]E ", NULL,
     SURE},
    {"kernel-ata",
     "ata\\d+(?:\\.\\d+)?: (?:failed command|hard resetting link|SRST failed|exception "
     "Emask)|nvme nvme\\d+: (?:I/O .* timeout|controller is down)",
     NULL, ONCE},
    {"kernel-conntrack-full", "nf_conntrack: (?:nf_conntrack: )?table full, dropping packet", NULL,
     SURE},
    {"kernel-nic", "NETDEV WATCHDOG: |transmit queue \\d+ timed out", NULL, SURE},
};

static const struct logs_rule systemd[] = {
    {"systemd-crashed", "\\.service: Main process exited, code=(?:dumped|killed), status=",
     "status=(?:15/TERM|2/INT|1/HUP|9/KILL)", SURE},
    {"systemd-killed", "\\.service: Main process exited, code=killed, status=9/KILL", NULL, ONCE},
    {"systemd-failed", "\\.service: Failed with result '", NULL, ONCE},
    {"systemd-watchdog", "\\.service: Watchdog timeout \\(limit ", NULL, SURE},
    {"systemd-restart-limit", "\\.service: Start request repeated too quickly", NULL, SURE},
    {"systemd-start-timeout", "\\.service: (?:start|start-pre|reload) operation timed out", NULL,
     ONCE},
    {"systemd-stop-timeout", "State '(?:stop|final)-\\S*' timed out|stop-sig\\w+ timed out", NULL,
     ONCE},
    {"systemd-exec", "\\.service: (?:Failed to locate executable|Failed at step \\w+ spawning) ",
     NULL, SURE},
    {"systemd-dependency", "Dependency failed for ", NULL, ONCE},
};

static const struct {
    const char *name;
    const struct logs_rule *rules;
    uint32_t n;
} packs[LOGS_PACKS] = {
    [PACK_POSTGRESQL] = {"postgresql", postgresql, ARRAY_LEN(postgresql)},
    [PACK_REDIS] = {"redis", redis, ARRAY_LEN(redis)},
    [PACK_NGINX] = {"nginx", nginx, ARRAY_LEN(nginx)},
    [PACK_KERNEL] = {"kernel", kernel, ARRAY_LEN(kernel)},
    [PACK_SYSTEMD] = {"systemd", systemd, ARRAY_LEN(systemd)},
};

const char *logs_pack_name(enum logs_pack p)
{
    return packs[p].name;
}

enum logs_pack logs_pack_of(struct str name)
{
    for (uint32_t i = 0; i < LOGS_PACKS; i++)
        if (str_eq(name, str_of(packs[i].name)))
            return (enum logs_pack)i;
    return LOGS_PACKS;
}

const struct logs_rule *logs_pack_rules(enum logs_pack p, uint32_t *n)
{
    *n = packs[p].n;
    return packs[p].rules;
}
