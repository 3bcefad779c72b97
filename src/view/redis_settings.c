/* Which settings of Redis 7 a service may have of its own: those that are about memory, what is
 * kept on disk, limits and what is told, and that keep what holdfast relies on. Names only: what a
 * value means is Redis's to say, but it is one of a few harmless characters, so that it stays on
 * its line. */
#include <strings.h>

#include "view/view.h"

static const char *const allowed[] = {"activedefrag",
                                      "active-expire-effort",
                                      "activerehashing",
                                      "appendfsync",
                                      "auto-aof-rewrite-min-size",
                                      "auto-aof-rewrite-percentage",
                                      "busy-reply-threshold",
                                      "client-output-buffer-limit",
                                      "client-query-buffer-limit",
                                      "dynamic-hz",
                                      "hash-max-listpack-entries",
                                      "hash-max-listpack-value",
                                      "hll-sparse-max-bytes",
                                      "hz",
                                      "io-threads",
                                      "io-threads-do-reads",
                                      "jemalloc-bg-thread",
                                      "latency-monitor-threshold",
                                      "latency-tracking",
                                      "lazyfree-lazy-eviction",
                                      "lazyfree-lazy-expire",
                                      "lazyfree-lazy-server-del",
                                      "lazyfree-lazy-user-del",
                                      "lazyfree-lazy-user-flush",
                                      "lfu-decay-time",
                                      "lfu-log-factor",
                                      "list-compress-depth",
                                      "list-max-listpack-size",
                                      "maxmemory",
                                      "maxmemory-clients",
                                      "maxmemory-eviction-tenacity",
                                      "maxmemory-policy",
                                      "maxmemory-samples",
                                      "no-appendfsync-on-rewrite",
                                      "notify-keyspace-events",
                                      "proto-max-bulk-len",
                                      "rdbchecksum",
                                      "rdbcompression",
                                      "repl-backlog-size",
                                      "save",
                                      "set-max-intset-entries",
                                      "slowlog-log-slower-than",
                                      "slowlog-max-len",
                                      "stream-node-max-bytes",
                                      "stream-node-max-entries",
                                      "tcp-keepalive",
                                      "timeout",
                                      "tracking-table-max-keys",
                                      "zset-max-listpack-entries",
                                      "zset-max-listpack-value"};

/* It would not start, be reached, be promoted or be followed as it should; or its data would not be
 * there after its own death. */
static const char *const owned[] = {"aclfile",
                                    "acllog-max-len",
                                    "always-show-logo",
                                    "aof-load-truncated",
                                    "aof-use-rdb-preamble",
                                    "appenddirname",
                                    "appendfilename",
                                    "appendonly",
                                    "bind",
                                    "bind-source-addr",
                                    "cluster-enabled",
                                    "daemonize",
                                    "databases",
                                    "dbfilename",
                                    "dir",
                                    "enable-debug-command",
                                    "enable-module-command",
                                    "enable-protected-configs",
                                    "include",
                                    "loadmodule",
                                    "logfile",
                                    "loglevel",
                                    "masterauth",
                                    "masteruser",
                                    "maxclients",
                                    "min-replicas-max-lag",
                                    "min-replicas-to-write",
                                    "pidfile",
                                    "port",
                                    "protected-mode",
                                    "rename-command",
                                    "repl-backlog-ttl",
                                    "repl-disable-tcp-nodelay",
                                    "repl-diskless-load",
                                    "repl-diskless-sync",
                                    "repl-diskless-sync-delay",
                                    "repl-ping-replica-period",
                                    "repl-timeout",
                                    "replica-announce-ip",
                                    "replica-announce-port",
                                    "replica-lazy-flush",
                                    "replica-priority",
                                    "replica-read-only",
                                    "replica-serve-stale-data",
                                    "replicaof",
                                    "requirepass",
                                    "shutdown-timeout",
                                    "slaveof",
                                    "supervised",
                                    "tcp-backlog",
                                    "tls-port",
                                    "unixsocket",
                                    "unixsocketperm",
                                    "user"};

const char *view_redis_name(size_t i)
{
    return i < ARRAY_LEN(allowed) ? allowed[i] : NULL;
}

static bool is_one_of(struct str name, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strlen(list[i]) == name.n && strncasecmp(list[i], name.p, name.n) == 0)
            return true;
    return false;
}

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr(" .,:%_-$", c));
}

enum view_redis view_redis_setting(struct str text, struct str *name)
{
    const char *blank = text.n ? memchr(text.p, ' ', text.n) : NULL;
    *name = (struct str){text.p, blank ? (size_t)(blank - text.p) : text.n};
    if (is_one_of(*name, owned, ARRAY_LEN(owned)))
        return VIEW_REDIS_OWNED;
    if (!is_one_of(*name, allowed, ARRAY_LEN(allowed)))
        return VIEW_REDIS_UNKNOWN;
    bool plain = blank && text.n <= VIEW_REDIS_BYTES && text.n > name->n + 1;
    for (size_t i = 0; plain && i < text.n; i++)
        plain = is_plain(text.p[i]);
    return plain ? VIEW_REDIS_FINE : VIEW_REDIS_BAD;
}
