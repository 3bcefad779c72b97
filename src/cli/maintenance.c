/* maintenance: nothing on a node in maintenance is judged failed. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/node.h"
#include "cli/role_ask.h"
#include "cli/term.h"

struct maintenance_options {
    struct node_place node;
    const char *service;
    bool json;
};

enum { SERVICE_WAIT_S = 10 };

static const struct option options[] = {
    {"service", 0, "NAME", "of a service with a primary instead: nothing is decided about it",
     OPTION_TEXT, offsetof(struct maintenance_options, service)},
    CLI_OPTION_JSON(struct maintenance_options),
    CLI_OPTIONS_NODE(struct maintenance_options),
};

static const struct usage usage = {
    .command = "maintenance",
    .operands = "on|off NODE",
    .max_operands = 2,
    .about =
        "Says that a node is worked on: while it is, nothing on it is judged failed. It stays\n"
        "a member, and is judged again after 'off'. Without NODE it is the one that is asked;\n"
        "alone, the command says which nodes are in maintenance. With --service, the primary of\n"
        "a service goes on, and is not replaced when it fails, until 'off'.",
    .examples = "  holdfast maintenance on b\n"
                "  holdfast maintenance on && reboot\n"
                "  holdfast maintenance on --service cache\n"
                "  holdfast maintenance",
    .options = options,
    .n_options = ARRAY_LEN(options),
};

static int on_or_off(const char *word, bool *on)
{
    struct suggest s = suggest_for(str_of(word));
    *on = strcmp(word, "on") == 0;
    if (*on || strcmp(word, "off") == 0)
        return CLI_OK;
    suggest_try(&s, STR("on"));
    suggest_try(&s, STR("off"));
    if (s.n)
        return cli_fail(CLI_USAGE,
                        "maintenance is 'on' or 'off', not '%s': did you mean '" STR_FMT "'?", word,
                        STR_ARG(s.name[0]));
    return cli_fail(CLI_USAGE, "maintenance is 'on' or 'off', not '%s'", word);
}

static int change(const struct maintenance_options *o, bool on, const char *node, struct reply *r)
{
    json_t *root =
        node ? json_pack("{s:b, s:s}", "on", on, "node", node) : json_pack("{s:b}", "on", on);
    char *body = root ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    if (!body)
        return cli_fail(CLI_USAGE, "a name is not UTF-8, or memory is out");
    int code = node_send(&o->node, "POST", "/v1/maintenance", str_of(body), r);
    free(body); /* jansson's own */
    return code;
}

static void print_change(const struct reply *r)
{
    static const char *const said[2][2] = {
        {" was not in maintenance\n", " is judged again\n"},
        {" was in maintenance already\n", " is in maintenance: nothing on it is judged failed\n"},
    };
    struct buf out = {0};
    text_clean(&out, str_of(json_text(r->json, "node")));
    buf_add_str(&out,
                str_of(said[json_flag(r->json, "maintenance")][json_flag(r->json, "changed")]));
    cli_write(stdout, &out);
    buf_free(&out);
}

/* Which nodes are in maintenance besides that one. */
static void print_others(const struct reply *r, const char *but)
{
    const json_t *all = json_object_get(r->json, "members");
    const char *before = *but ? "also in maintenance: " : "in maintenance: ";
    struct buf out = {0};
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *one = json_array_get(all, i);
        if (!json_flag(one, "maintenance") || strcmp(json_text(one, "name"), but) == 0)
            continue;
        buf_add_str(&out, str_of(before));
        text_clean(&out, str_of(json_text(one, "name")));
        before = ", ";
    }
    if (out.n)
        buf_add(&out, "\n", 1);
    else if (!*but)
        buf_add_str(&out, STR("no node is in maintenance\n"));
    cli_write(stdout, &out);
    buf_free(&out);
}

static int show(const struct maintenance_options *o, const char *but)
{
    struct reply r;
    int code = node_once(&o->node, "GET", "/v1/members", &r);
    if (o->json)
        reply_print(&r);
    else if (code == CLI_OK)
        print_others(&r, but);
    reply_free(&r);
    return code;
}

/* Of a service: its role is left as it is. */
static int change_service(const struct maintenance_options *o, bool on)
{
    struct reply r = {0};
    struct role_ask ask = {.node = &o->node,
                           .service = o->service,
                           .action = "maintenance",
                           .body = on ? STR("{\"on\":true}") : STR("{\"on\":false}"),
                           .wait = SERVICE_WAIT_S};
    int code = role_carry_out(&ask, &r);
    if (o->json)
        reply_print(&r);
    else if (code == CLI_OK)
        printf(on ? "%s is in maintenance: its primary is not replaced when it fails\n"
                  : "%s is decided about again\n",
               o->service);
    reply_free(&r);
    return code;
}

int command_maintenance(int argc, char **argv)
{
    struct maintenance_options o = {0};
    const char *operands[OPERANDS_MAX];
    struct reply r = {0};
    bool on = false;
    int code;
    if (!cli_options(&usage, argc, argv, &o, operands, &code))
        return code;
    if (o.service && (!operands[0] || operands[1]))
        return cli_fail(CLI_USAGE, "write 'holdfast maintenance on --service %s', or off",
                        o.service);
    if (!operands[0])
        return show(&o, "");
    code = on_or_off(operands[0], &on);
    if (code == CLI_OK && o.service)
        return change_service(&o, on);
    if (code == CLI_OK)
        code = change(&o, on, operands[1], &r);
    if (o.json)
        reply_print(&r);
    else if (code == CLI_OK) {
        print_change(&r);
        code = show(&o, json_text(r.json, "node"));
    }
    reply_free(&r);
    return code;
}
