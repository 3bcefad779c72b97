/* instance: the instances of a service that come and go over the API: add, change, remove, list. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/node.h"
#include "cli/term.h"

struct instance_options {
    struct node_place node;
    const char *weight, *priority, *name;
    bool json, drained;
};

static const struct option options[] = {
    {"weight", 0, "N", "of add and weight: 0 to 1000; 'own' for what its source says", OPTION_TEXT,
     offsetof(struct instance_options, weight)},
    {"priority", 0, "N", "of add: its group, 0 to 15", OPTION_TEXT,
     offsetof(struct instance_options, priority)},
    {"name", 0, "NAME", "of add: what a single instance is called", OPTION_TEXT,
     offsetof(struct instance_options, name)},
    {"drained", 0, NULL, "of add: no new requests until 'undrain'", OPTION_FLAG,
     offsetof(struct instance_options, drained)},
    CLI_OPTION_JSON(struct instance_options),
    CLI_OPTIONS_NODE(struct instance_options),
};

static const struct usage usage = {
    .command = "instance",
    .operands = "list|add|remove|drain|undrain|weight SERVICE [INSTANCE...]",
    .min_operands = 2,
    .max_operands = OPERANDS_MAX,
    .about =
        "Changes the instances of a service while the node runs; INSTANCE is an address, or a\n"
        "name. All of a change is done or nothing, and it stays over reloads and restarts.\n"
        "Doing it twice is harmless. 'remove' takes away only what 'add' added; 'drain' and\n"
        "'weight' are for instances of every source.",
    .examples = "  holdfast instance add web 10.0.0.9:8080 10.0.0.10:8080 --weight 2\n"
                "  holdfast instance weight web 10.0.0.9:8080 --weight 5\n"
                "  holdfast instance remove web 10.0.0.9:8080\n"
                "  holdfast instance list web",
    .options = options,
    .n_options = ARRAY_LEN(options),
};

enum action { LIST, ADD, REMOVE, DRAIN, UNDRAIN, WEIGHT, ACTIONS };

static const struct {
    const char *name, *method;
} actions[ACTIONS] = {
    [LIST] = {"list", "GET"},    [ADD] = {"add", "POST"},         [REMOVE] = {"remove", "DELETE"},
    [DRAIN] = {"drain", "POST"}, [UNDRAIN] = {"undrain", "POST"}, [WEIGHT] = {"weight", "POST"},
};

static enum action action_of(const char *word, int *code)
{
    struct suggest s = suggest_for(str_of(word));
    for (int i = 0; i < ACTIONS; i++) {
        if (strcmp(actions[i].name, word) == 0)
            return (enum action)i;
        suggest_try(&s, str_of(actions[i].name));
    }
    if (s.n)
        *code =
            cli_fail(CLI_USAGE, "an instance cannot be told to '%s': did you mean '" STR_FMT "'?",
                     word, STR_ARG(s.name[0]));
    else
        *code = cli_fail(CLI_USAGE, "an instance cannot be told to '%s'", word);
    return ACTIONS;
}

/* ---- what is sent ---- */

/* The number of an option; NULL after a complaint. */
static json_t *number(const char *option, const char *text, uint64_t most, int *code)
{
    uint64_t n;
    if (str_u64(str_of(text), most, &n))
        return json_integer((json_int_t)n);
    *code =
        cli_fail(CLI_USAGE, "--%s is 0 to %llu, not '%s'", option, (unsigned long long)most, text);
    return NULL;
}

static bool put(json_t *o, const char *key, json_t *value)
{
    return value && json_object_set_new(o, key, value) == 0;
}

/* Of a new one its address; of another what it is called. */
static bool put_name(json_t *o, enum action a, const char *word, const char *name)
{
    if (a != ADD)
        return put(o, "name", json_string(word));
    return put(o, "address", json_string(word)) && (!name || put(o, "name", json_string(name)));
}

static bool put_settings(json_t *o, enum action a, const struct instance_options *x, int *code)
{
    bool ok = true;
    if (x->weight && strcmp(x->weight, "own") == 0)
        ok = put(o, "weight", json_null());
    else if (x->weight)
        ok = put(o, "weight", number("weight", x->weight, 1000, code));
    if (ok && x->priority)
        ok = put(o, "priority", number("priority", x->priority, 15, code));
    if (ok && (a == DRAIN || a == UNDRAIN || x->drained))
        ok = put(o, "draining", json_boolean(a != UNDRAIN));
    return ok;
}

static int body_of(enum action a, const struct instance_options *x,
                   const char *const operands[OPERANDS_MAX], char **out)
{
    json_t *list = json_array(), *root = NULL;
    int code = CLI_OK;
    bool ok = list != NULL;
    for (unsigned i = 2; ok && i < OPERANDS_MAX && operands[i]; i++) {
        json_t *o = json_object();
        ok = o && put_name(o, a, operands[i], x->name) && put_settings(o, a, x, &code);
        if (ok)
            ok = json_array_append_new(list, o) == 0;
        else
            json_decref(o);
    }
    if (ok)
        root = json_pack("{s:O}", "instances", list);
    json_decref(list);
    *out = root ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    if (*out || code)
        return code;
    return cli_fail(CLI_USAGE, "a name is not UTF-8, or memory is out");
}

/* ---- what is said ---- */

static void print_list(const struct reply *r)
{
    json_t *one;
    size_t i;
    struct buf line = {0};
    printf("%-30s %6s %8s  %-9s %-8s %s\n", "INSTANCE", "WEIGHT", "PRIORITY", "VERDICT", "",
           "SOURCE");
    json_array_foreach(json_object_get(r->json, "instances"), i, one)
    {
        buf_clear(&line);
        buf_printf(&line, "%-30s %6.0f %8.0f  %-9s %-8s %s", json_text(one, "name"),
                   json_number(one, "weight"), json_number(one, "priority"),
                   json_text(one, "verdict"), json_flag(one, "draining") ? "draining" : "",
                   json_text(one, "source"));
        struct buf clean = {0};
        text_clean(&clean, buf_str(&line));
        buf_add(&clean, "\n", 1);
        cli_write(stdout, &clean);
        buf_free(&clean);
    }
    buf_free(&line);
}

static void print_change(const struct reply *r, const char *service)
{
    static const char *const what[] = {"added", "removed", "updated", "drained"};
    static const char *const said[] = {"added", "removed", "changed", "drained or resumed"};
    const char *before = "";
    if (json_number(r->json, "changed") == 0) {
        printf("%s: nothing to change\n", service);
        return;
    }
    printf("%s: ", service);
    for (size_t i = 0; i < ARRAY_LEN(what); i++) {
        if (json_number(r->json, what[i]) == 0)
            continue;
        printf("%s%.0f %s", before, json_number(r->json, what[i]), said[i]);
        before = ", ";
    }
    printf("\n");
}

/* ---- the command ---- */

static int check_usage(enum action a, const struct instance_options *x,
                       const char *const operands[OPERANDS_MAX])
{
    if ((a == LIST) != !operands[2])
        return cli_fail(CLI_USAGE, a == LIST
                                       ? "'list' takes a service alone"
                                       : "which instance? write its address behind the service");
    if (x->name && (a != ADD || operands[3]))
        return cli_fail(CLI_USAGE, "--name is for 'add' and one instance");
    if ((x->priority || x->drained) && a != ADD)
        return cli_fail(CLI_USAGE, "--priority and --drained are for 'add'");
    if (x->weight && a != ADD && a != WEIGHT)
        return cli_fail(CLI_USAGE, "--weight is for 'add' and 'weight'");
    if (a == WEIGHT && !x->weight)
        return cli_fail(CLI_USAGE, "'weight' needs --weight N");
    return CLI_OK;
}

static int ask(enum action a, const struct instance_options *x, const char *service,
               const char *body, struct reply *r)
{
    struct buf path = {0};
    buf_add_str(&path, STR("/v1/services/"));
    node_segment(&path, str_of(service));
    buf_printf(&path, "/instances");
    int code = path.failed ? cli_fail(CLI_BAD, "out of memory")
                           : node_send(&x->node, actions[a].method, path.p, str_of(body), r);
    buf_free(&path);
    return code;
}

int command_instance(int argc, char **argv)
{
    struct instance_options o = {0};
    const char *operands[OPERANDS_MAX];
    struct reply r = {0};
    char *body = NULL;
    int code;
    if (!cli_options(&usage, argc, argv, &o, operands, &code))
        return code;
    enum action a = action_of(operands[0], &code);
    if (a == ACTIONS)
        return code;
    code = check_usage(a, &o, operands);
    if (code == CLI_OK && a != LIST)
        code = body_of(a, &o, operands, &body);
    if (code == CLI_OK)
        code = ask(a, &o, operands[1], body, &r);
    if (o.json)
        reply_print(&r);
    else if (code == CLI_OK && a == LIST)
        print_list(&r);
    else if (code == CLI_OK)
        print_change(&r, operands[1]);
    free(body); /* jansson's own */
    reply_free(&r);
    return code;
}
