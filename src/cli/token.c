/* token: a one-time token with which a new machine joins the cluster. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/node.h"
#include "cli/term.h"

struct token_options {
    struct node_place node;
    const char *ttl, *name;
    bool json;
};

static const struct option options[] = {
    {"ttl", 0, "TIME", "how long it is good, as in 90s, 10m, 2h, 1d; else 10m", OPTION_TEXT,
     offsetof(struct token_options, ttl)},
    {"name", 0, "NODE", "for this node of the configuration alone", OPTION_TEXT,
     offsetof(struct token_options, name)},
    CLI_OPTION_JSON(struct token_options),
    CLI_OPTIONS_NODE(struct token_options),
};

static const struct usage usage = {
    .command = "token",
    .about = "Prints a one-time token for a machine that joins the cluster: with it, 'holdfast\n"
             "join' there asks this node for the cluster's keys. Whoever has the token can join\n"
             "until it is used or has expired: give it only to the new machine. Write the new\n"
             "node into the configuration of all nodes and reload them first.",
    .examples =
        "  holdfast token --name d\n"
        "  ssh d.internal holdfast join $(holdfast token) --key /var/lib/holdfast/cluster.key",
    .options = options,
    .n_options = ARRAY_LEN(options),
};

enum { TTL_MAX = 7 * 24 * 3600 };

/* Seconds; 0: that is no time. */
static uint64_t read_ttl(const char *text)
{
    static const struct {
        char unit;
        uint64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 24 * 3600}};
    size_t n = strlen(text);
    uint64_t number;
    if (n < 2 || !str_u64((struct str){text, n - 1}, TTL_MAX, &number))
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (text[n - 1] == units[i].unit && number * units[i].seconds <= TTL_MAX)
            return number * units[i].seconds;
    return 0;
}

static char *body_of(const struct token_options *o, uint64_t ttl)
{
    json_t *root = json_object();
    bool ok = root != NULL;
    if (ttl)
        ok = ok && json_object_set_new(root, "ttl_seconds", json_integer((json_int_t)ttl)) == 0;
    if (o->name)
        ok = ok && json_object_set_new(root, "node", json_string(o->name)) == 0;
    char *body = ok ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    return body;
}

/* The token alone on standard output, so that it can be piped; what to do with it beside. */
static void print(const struct reply *r)
{
    struct buf out = {0};
    text_clean(&out, str_of(json_text(r->json, "token")));
    buf_add(&out, "\n", 1);
    cli_write(stdout, &out);
    buf_clear(&out);
    buf_add_str(&out, STR("good once, until "));
    text_clean(&out, str_of(json_text(r->json, "expires")));
    buf_add_str(&out, STR("; on the new machine: holdfast join TOKEN --key FILE\n"));
    fflush(stdout);
    cli_write(stderr, &out);
    buf_free(&out);
}

int command_token(int argc, char **argv)
{
    struct token_options o = {0};
    const char *operands[OPERANDS_MAX];
    struct reply r = {0};
    int code;
    if (!cli_options(&usage, argc, argv, &o, operands, &code))
        return code;
    uint64_t ttl = o.ttl ? read_ttl(o.ttl) : 0;
    if (o.ttl && !ttl)
        return cli_fail(CLI_USAGE, "--ttl is 1s to 7d, as in 90s, 10m, 2h or 1d, not '%s'", o.ttl);
    char *body = body_of(&o, ttl);
    if (!body)
        return cli_fail(CLI_USAGE, "a name is not UTF-8, or memory is out");
    code = node_send(&o.node, "POST", "/v1/tokens", str_of(body), &r);
    free(body); /* jansson's own */
    if (o.json)
        reply_print(&r);
    else if (code == CLI_OK)
        print(&r);
    reply_free(&r);
    return code;
}
