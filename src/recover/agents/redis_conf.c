/* The configuration of a Redis 7. It comes to it on its standard input: what is secret in it never
 * lies on a disk, and Redis cannot rewrite it.
 *
 * - Only the node's address: the agent, the gate and the other instances use that one.
 * - appendonly with everysec: what was acknowledged in the last second before its own death may be
 *   lost with it, so another one with the data is preferred, and `sync` waits for such.
 * - The backlog is large and kept for ever: whoever comes back within it is not sent all data.
 * - A replica whose file takes no more writes goes on in memory, and is reported as not well: by
 *   itself Redis would abort at the next write of its primary, and a full disk everywhere would be
 *   the end of all replicas at once.
 * - A 17th database: the probe's key is in none that users see at first. */
#include "recover/agents/keeper_redis.h"

/* Of @admin: what could change roles, replicate, configure, stop. INFO is of @dangerous only. */
static const char users_may[] = "~* &* +@all -@admin -acl -cluster -module -debug "
                                "+acl|whoami +client|list +latency +role +slowlog";

/* The same to look only: for connections past the gate, which a replica that becomes primary keeps.
 */
static const char readers_may[] = "-@write";

static void put_quoted(struct buf *b, const char *s)
{
    buf_add(b, "\"", 1);
    for (; *s; s++) {
        if ((unsigned char)*s < ' ' || *s == 127)
            buf_printf(b, "\\x%02x", (unsigned char)*s);
        else if (*s == '"' || *s == '\\')
            buf_printf(b, "\\%c", *s);
        else
            buf_add(b, s, 1);
    }
    buf_add(b, "\"", 1);
}

static void put_network(struct buf *b, const struct agent_instance *spec, uint16_t sink)
{
    const struct addr *own = &spec->places[spec->place].address;
    char ip[ADDR_TEXT_MAX];
    addr_format_ip(own, ip);
    buf_printf(b, "bind %s\nport %u\nprotected-mode yes\ntcp-backlog 511\ntcp-keepalive 10\n", ip,
               own->port);
    buf_printf(b, "replica-announce-ip %s\nreplica-announce-port %u\n", ip, own->port);
    buf_printf(b, "replicaof 127.0.0.1 %u\n", sink);
}

static void put_users(struct buf *b, const struct agent_instance *spec)
{
    buf_printf(b, "masteruser holdfast\nmasterauth %s\n", spec->password);
    buf_printf(b, "user holdfast on >%s ~* &* +@all\n", spec->password);
    buf_printf(b, "user default on >%s %s\n", spec->gate_password, users_may);
    buf_printf(b, "user reader on >%s %s %s\n", spec->gate_password, users_may, readers_may);
    buf_printf(b, "enable-protected-configs no\nenable-debug-command no\n"
                  "enable-module-command no\n");
}

bool redis_conf_write(struct buf *b, const struct agent_instance *spec, const char *folder,
                      uint16_t sink, const char *const *own)
{
    buf_printf(b,
               "daemonize no\nsupervised no\nloglevel notice\nlogfile \"\"\n"
               "always-show-logo no\ndatabases %d\nshutdown-timeout 2\ndir ",
               REDIS_USER_DB + 1);
    put_quoted(b, folder);
    buf_printf(b, "\n");
    put_network(b, spec, sink);
    put_users(b, spec);
    buf_printf(b,
               "replica-ignore-disk-write-errors yes\n"
               "save \"\"\nappendonly yes\nappendfsync everysec\naof-use-rdb-preamble yes\n"
               "replica-read-only yes\nreplica-serve-stale-data yes\nreplica-lazy-flush yes\n"
               "repl-diskless-sync yes\nrepl-diskless-sync-delay 0\nrepl-diskless-load disabled\n"
               "repl-ping-replica-period 1\nrepl-timeout 15\nrepl-disable-tcp-nodelay no\n"
               "repl-backlog-size 64mb\nrepl-backlog-ttl 0\n"
               "min-replicas-to-write 0\n");
    for (; own && *own; own++) /* checked where they were read; the last of a name counts */
        buf_printf(b, "%s\n", *own);
    return !b->failed;
}
