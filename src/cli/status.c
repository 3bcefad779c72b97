/* status: one picture of the node, now. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/node.h"
#include "cli/picture.h"

struct status_options {
    struct node_place node;
    bool json, fail;
};

static const struct option options[] = {
    {"fail", 0, NULL, "exit 1 when a service has no healthy instance that takes requests",
     OPTION_FLAG, offsetof(struct status_options, fail)},
    CLI_OPTION_JSON(struct status_options),
    CLI_OPTIONS_NODE(struct status_options),
};

static const struct usage usage = {
    .command = "status",
    .about = "Prints services and instances with verdict, reason, requests in flight (BUSY),\n"
             "requests per second, latency, and failed attempts since the daemon's start.",
    .examples =
        "  holdfast status\n  holdfast status --json | jq '.services[].instances[].verdict'\n"
        "  holdfast status --fail > /dev/null || page-somebody",
    .options = options,
    .n_options = ARRAY_LEN(options),
};

static int print_picture(const struct reply *r)
{
    struct term t = term_of(stdout);
    struct picture p = {.now = r->json, .term = &t};
    struct buf out = {0};
    picture_node(&p, &out);
    picture_services(&p, &out);
    picture_beats_short(&p, &out);
    int code = out.failed ? cli_fail(CLI_BAD, "out of memory") : CLI_OK;
    cli_write(stdout, &out);
    buf_free(&out);
    return code;
}

int command_status(int argc, char **argv)
{
    struct status_options o = {0};
    const char *operands[OPERANDS_MAX];
    struct reply r;
    int code;
    if (!cli_options(&usage, argc, argv, &o, operands, &code))
        return code;
    code = node_once(&o.node, "GET", "/v1/status", &r);
    if (o.json)
        reply_print(&r);
    else if (code == CLI_OK)
        code = print_picture(&r);
    const char *unserved = code == CLI_OK && o.fail ? picture_unserved(r.json) : NULL;
    if (unserved)
        code =
            cli_fail(CLI_BAD, "service %s has no healthy instance that takes requests", unserved);
    reply_free(&r);
    return code;
}
