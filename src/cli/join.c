/* join: a new machine gets its cluster's keys from a node, with a one-time token. No daemon runs
 * here yet. */
#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/term.h"
#include "mesh/mesh_join.h"
#include "os/os.h"

struct join_options {
    const char *key, *node;
    bool json;
};

static const struct option options[] = {
    {"key", 0, "FILE", "where the keys go; it must not be there yet", OPTION_TEXT,
     offsetof(struct join_options, key)},
    {"node", 0, "NAME", "which node this machine is; else its host name", OPTION_TEXT,
     offsetof(struct join_options, node)},
    CLI_OPTION_JSON(struct join_options),
};

static const struct usage usage = {
    .command = "join",
    .operands = "TOKEN",
    .min_operands = 1,
    .max_operands = 1,
    .about = "Asks the node that made the token ('holdfast token') for the keys of the cluster,\n"
             "writes them to a file that only its owner can read, and prints the cluster block\n"
             "for the configuration of this machine. A token that is '-' is read from the\n"
             "standard input. It works once.",
    .examples = "  holdfast join hf1.AQAAAA... --key /var/lib/holdfast/cluster.key --node d",
    .options = options,
    .n_options = ARRAY_LEN(options),
};

/* --- the token --- */

static int read_token(const char *word, struct token *out)
{
    char line[2 * TOKEN_TEXT_MAX] = "";
    struct err e;
    if (strcmp(word, "-") == 0 && !fgets(line, sizeof line, stdin))
        return cli_fail(CLI_USAGE, "there is no token on the standard input");
    struct str text = str_of(strcmp(word, "-") == 0 ? line : word);
    while (text.n && strchr("\r\n", text.p[text.n - 1]))
        text.n--;
    int rc = token_parse(text, out, &e);
    wipe(line, sizeof line);
    return rc ? cli_fail(CLI_USAGE, "%s", e.text) : CLI_OK;
}

/* --- the file --- */

/* Made before the token is used up: what cannot be written is found out while it costs nothing. */
static int reserve_file(const char *path)
{
    struct err e;
    int rc = file_create(path, STR(""), 0600, &e);
    if (rc == 0)
        return CLI_OK;
    if (rc == -ERR_EXISTS)
        return cli_fail(CLI_BAD,
                        "%s exists already: this machine may have joined before; name another "
                        "file, or remove it",
                        path);
    return cli_fail(CLI_BAD, "%s", e.text);
}

static int write_file(const char *path, const struct keyring *keys)
{
    struct buf text = {0};
    struct err e = {0};
    int rc = 0;
    if (buf_reserve(&text, KEYRING_TEXT_MAX))
        keyring_print(keys, &text);
    rc = text.failed ? err_set(&e, ERR_NOMEM, "out of memory")
                     : file_update(path, buf_str(&text), &e);
    if (text.p)
        wipe(text.p, text.cap);
    buf_free(&text);
    return rc ? cli_fail(CLI_BAD, "%s: the token is used up, make another one", e.text) : CLI_OK;
}

/* --- what is said --- */

static const struct join_node *find_node(const struct join_result *r, const char *name)
{
    for (uint32_t i = 0; i < r->n_nodes; i++)
        if (strcmp(r->nodes[i].name, name) == 0)
            return &r->nodes[i];
    return NULL;
}

static void print_block(const struct join_result *r, const struct token *t, const char *key)
{
    struct buf out = {0};
    buf_printf(&out, "cluster %s {\n  key = file:%s\n", t->cluster, key);
    for (uint32_t i = 0; i < r->n_nodes; i++) {
        const struct join_node *n = &r->nodes[i];
        char at[ADDR_TEXT_MAX];
        addr_format(&n->at, at);
        buf_printf(&out, "  node %s { address = %s", n->name, at);
        if (n->witness)
            buf_printf(&out, "  role = witness");
        if (n->zone[0])
            buf_printf(&out, "  zone = %s", n->zone);
        buf_printf(&out, " }\n");
    }
    buf_printf(&out, "}\n");
    if (out.failed)
        cli_fail(CLI_BAD, "cannot print: out of memory");
    else
        cli_write(stdout, &out);
    buf_free(&out);
}

static json_t *nodes_json(const struct join_result *r)
{
    json_t *list = json_array();
    char at[ADDR_TEXT_MAX];
    for (uint32_t i = 0; i < r->n_nodes; i++) {
        const struct join_node *n = &r->nodes[i];
        addr_format(&n->at, at);
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "name", n->name, "address",
                                              at, "role", n->witness ? "witness" : "member", "zone",
                                              n->zone));
    }
    return list;
}

static int print_json(const struct join_result *r, const struct token *t, const char *key,
                      const char *node)
{
    json_t *all = json_pack("{s:s, s:s, s:s, s:s, s:b, s:o}", "schema", "holdfast.join.v1",
                            "cluster", t->cluster, "node", node, "file", key, "known",
                            find_node(r, node) != NULL, "nodes", nodes_json(r));
    int failed = !all || json_dumpf(all, stdout, JSON_INDENT(2));
    json_decref(all);
    if (failed)
        return cli_fail(CLI_BAD, "cannot print: out of memory");
    fputc('\n', stdout);
    return CLI_OK;
}

static int tell(const struct join_options *o, const struct join_result *r, const struct token *t,
                const char *node)
{
    if (!find_node(r, node))
        cli_fail(0,
                 "the cluster has no node '%s' yet: write 'node %s { address = ... }' into the "
                 "cluster block of every node and reload them",
                 node, node);
    if (o->json)
        return print_json(r, t, o->key, node);
    print_block(r, t, o->key);
    return CLI_OK;
}

/* --- the command --- */

static int join(const struct join_options *o, const struct token *t, const char *node)
{
    struct join_result r;
    struct err e = {0};
    int code = reserve_file(o->key);
    if (code)
        return code;
    if (join_ask(t, str_of(node), &r, &e)) {
        unlink(o->key);
        return cli_fail(e.code == -ERR_ABSENT || e.code == -ERR_TIMEOUT ? CLI_UNREACHABLE : CLI_BAD,
                        "%s", e.text);
    }
    code = write_file(o->key, &r.keys);
    if (code == CLI_OK)
        code = tell(o, &r, t, node);
    join_result_end(&r);
    return code;
}

int command_join(int argc, char **argv)
{
    struct join_options o = {0};
    const char *operands[OPERANDS_MAX];
    char host[256] = "";
    struct token t;
    int code;
    if (!cli_options(&usage, argc, argv, &o, operands, &code))
        return code;
    if (!o.key)
        return cli_fail(CLI_USAGE, "join needs --key FILE: where the cluster's keys go");
    if (!o.node && (gethostname(host, sizeof host - 1) || !host[0]))
        return cli_fail(CLI_USAGE, "this machine has no name: say --node NAME");
    code = read_token(operands[0], &t);
    if (code == CLI_OK)
        code = join(&o, &t, o.node ? o.node : host);
    token_wipe(&t);
    return code;
}
