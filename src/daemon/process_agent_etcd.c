/* etcd (3.4 and later), as a program: arguments and environment from the fields of agent.h. Nothing
 * that is not a checked name, an IP address, a number or a constant becomes part of them.
 *
 * - TLS on both ports, certificates required of clients and peers, of the authorities that grow
 * from the cluster's key (os/cert.h). That a certificate proves membership is enough: etcd's own
 *   comparison of a peer's address with its certificate is off, as a node with several addresses
 *   connects from whichever the kernel chooses.
 * - pre-vote: a member that comes back after a partition does not depose the leader.
 * - History is compacted hourly: a watch that was away for longer begins with all there is. When
 *   it grows faster than that, control has it compacted (coord/etcd_space.h).
 * - A snapshot every 10,000 changes keeps the log, which lies in memory, small. */
#include <stdio.h>
#include <unistd.h>

#include "coord/etcd_space.h"
#include "daemon/process_agent.h"

/* Where packages put it; the first that is there. Nothing is searched for along a PATH. */
static const char *const places[] = {"/usr/bin/etcd", "/usr/local/bin/etcd", "/usr/sbin/etcd"};

static const char *const environment[] = {
    "GOTRACEBACK=none", /* the last words are to be the reason, not a stack */
#if defined(__aarch64__)
    "ETCD_UNSUPPORTED_ARCH=arm64", /* 3.4 asks for it; 3.5 supports it */
#endif
    NULL,
};

struct words {
    struct arena *memory;
    const char **argv; /* PROGRAM_WORDS */
    uint32_t n;
    bool failed;
};

static void add(struct words *w, struct buf *b)
{
    char *copy = b->failed ? NULL : arena_cstr(w->memory, buf_str(b));
    if (!copy || w->n + 1 >= PROGRAM_WORDS)
        w->failed = true;
    else
        w->argv[w->n++] = copy;
    buf_free(b);
}

static void add_word(struct words *w, const char *flag, const char *value)
{
    struct buf b = {0};
    buf_printf(&b, "%s%s", flag, value);
    add(w, &b);
}

static void add_number(struct words *w, const char *flag, uint32_t value)
{
    struct buf b = {0};
    buf_printf(&b, "%s%u", flag, value);
    add(w, &b);
}

static void add_url(struct words *w, const char *flag, const struct addr *a)
{
    struct buf b = {0};
    char place[ADDR_TEXT_MAX];
    addr_format(a, place);
    buf_printf(&b, "%shttps://%s", flag, place);
    add(w, &b);
}

static void add_path(struct words *w, const char *flag, const char *state, const char *below)
{
    struct buf b = {0};
    buf_printf(&b, "%s%s/etcd/%s", flag, state, below);
    add(w, &b);
}

static void add_members(struct words *w, const struct agent_etcd *a)
{
    struct buf b = {0};
    buf_printf(&b, "--initial-cluster=");
    for (uint32_t i = 0; i < a->n_members; i++) {
        char place[ADDR_TEXT_MAX];
        addr_format(&a->members[i].peer, place);
        buf_printf(&b, "%s%s=https://%s", i ? "," : "", a->members[i].name, place);
    }
    add(w, &b);
}

static void add_tls(struct words *w, const char *state)
{
    add_word(w, "--client-cert-auth", "");
    add_path(w, "--trusted-ca-file=", state, "tls/ca.pem");
    add_path(w, "--cert-file=", state, "tls/node.pem");
    add_path(w, "--key-file=", state, "tls/node.key");
    add_word(w, "--peer-client-cert-auth", "");
    add_path(w, "--peer-trusted-ca-file=", state, "tls/ca.pem");
    add_path(w, "--peer-cert-file=", state, "tls/node.pem");
    add_path(w, "--peer-key-file=", state, "tls/node.key");
    add_word(w, "--experimental-peer-skip-client-san-verification", "");
}

static void add_all(struct words *w, const struct agent_etcd *a, const char *state)
{
    add_word(w, "etcd", "");
    add_word(w, "--name=", a->name);
    add_path(w, "--data-dir=", state, "data");
    add_url(w, "--listen-client-urls=", &a->client);
    add_url(w, "--advertise-client-urls=", &a->client);
    add_url(w, "--listen-peer-urls=", &a->peer);
    add_url(w, "--initial-advertise-peer-urls=", &a->peer);
    add_members(w, a);
    add_word(w, "--initial-cluster-state=", a->existing ? "existing" : "new");
    add_word(w, "--initial-cluster-token=", a->token);
    add_tls(w, state);
    add_number(w, "--heartbeat-interval=", a->heartbeat_ms);
    add_number(w, "--election-timeout=", a->election_ms);
    add_word(w, "--pre-vote", "");
    add_word(w, "--auto-compaction-mode=", "periodic");
    add_word(w, "--auto-compaction-retention=", "1h");
    add_number(w, "--quota-backend-bytes=", (uint32_t)SPACE_QUOTA);
    add_number(w, "--snapshot-count=", 10000);
    add_word(w, "--logger=", "zap");
    add_word(w, "--log-outputs=", "stderr");
    if (a->force_new)
        add_word(w, "--force-new-cluster", "");
}

int etcd_program(const struct agent_process *p, const struct agent_etcd *etcd, struct arena *memory,
                 struct program *out, struct err *e)
{
    const char *path = NULL;
    int r = agent_etcd_check(etcd, e);
    if (r)
        return r;
    for (size_t i = 0; i < ARRAY_LEN(places) && !path; i++)
        if (access(places[i], X_OK) == 0)
            path = places[i];
    if (!path)
        return err_set(e, ERR_ABSENT,
                       "etcd is not installed (looked for %s): install the package etcd-server",
                       places[0]);
    struct words w = {.memory = memory, .argv = arena_array(memory, PROGRAM_WORDS, sizeof *w.argv)};
    if (w.argv)
        add_all(&w, etcd, p->state);
    if (!w.argv || w.failed)
        return err_set(e, ERR_NOMEM, "no memory to start etcd");
    *out = (struct program){.path = path, .argv = w.argv, .envp = environment};
    agent_fill(p, out);
    return 0;
}

static bool has(struct str line, struct str part)
{
    return line.n >= part.n && memmem(line.p, line.n, part.p, part.n);
}

bool etcd_complains(struct str line)
{
    static const struct str levels[] = {{"\"level\":\"error\"", 15},
                                        {"\"level\":\"panic\"", 15},
                                        {"\"level\":\"dpanic\"", 16},
                                        {"\"level\":\"fatal\"", 15}};
    if (str_starts(line, STR("panic: ")) || str_starts(line, STR("fatal error: ")))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(levels); i++)
        if (has(line, levels[i]))
            return true;
    return false;
}
