/* key: the file with the keys of a cluster: made, shown, and changed by hand. No daemon is needed:
 * a node reads its file again when it reloads. Secrets go from file to file and are never printed;
 * the memory that they passed through is wiped.
 *
 * A change replaces the file whole, with the mode and owner that it has. */
#include <jansson.h>
#include <stdio.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "cli/key_rotate.h"
#include "mesh/seal.h"
#include "os/os.h"

struct key_options {
    bool json;
};

static const struct option options[] = {CLI_OPTION_JSON(struct key_options)};

static const struct usage usage = {
    .command = "key",
    .operands = "new|show|add|use|drop FILE [ID]",
    .min_operands = 2,
    .max_operands = 3,
    .about =
        "Makes and changes the file with the keys of a cluster. All nodes have the same file;\n"
        "its first line that says 'use' is the key that they seal with, the others they\n"
        "accept. 'new' makes a file, 'show' lists ids and states, 'add' puts in a new key\n"
        "that is accepted, 'use' seals with another one, 'drop' takes one away. To change\n"
        "keys, do each of add, use and drop on all nodes before the next. Secrets are\n"
        "never printed. 'holdfast key rotate' does it all on a running cluster.",
    .examples = "  holdfast key new /var/lib/holdfast/cluster.key\n"
                "  holdfast key show cluster.key\n"
                "  holdfast key add cluster.key\n"
                "  holdfast key use cluster.key 3ba3f5f4",
    .options = options,
    .n_options = ARRAY_LEN(options),
};

enum action { NEW, SHOW, ADD, USE, DROP, ACTIONS };

static const struct {
    const char *name;
    bool needs_id;
} actions[ACTIONS] = {
    [NEW] = {"new", false}, [SHOW] = {"show", false}, [ADD] = {"add", false},
    [USE] = {"use", true},  [DROP] = {"drop", true},
};

struct request {
    enum action action;
    const char *path;
    uint32_t id; /* of use and drop; of new and add, what came to be */
    bool changed;
    struct keyring keys;
};

/* ---- what is meant ---- */

static int find_action(const char *word, enum action *out)
{
    struct suggest s = suggest_for(str_of(word));
    for (int i = 0; i < ACTIONS; i++) {
        suggest_try(&s, str_of(actions[i].name));
        *out = (enum action)i;
        if (strcmp(actions[i].name, word) == 0)
            return CLI_OK;
    }
    if (s.n)
        return cli_fail(CLI_USAGE, "keys cannot be told to '%s': did you mean '" STR_FMT "'?", word,
                        STR_ARG(s.name[0]));
    return cli_fail(CLI_USAGE, "keys cannot be told to '%s': 'holdfast key --help' shows what can",
                    word);
}

static bool read_id(const char *text, uint32_t *id)
{
    *id = 0;
    if (strlen(text) != 8)
        return false;
    for (const char *c = text; *c; c++) {
        const char *digits = "0123456789abcdef", *at = strchr(digits, *c);
        if (!at)
            return false;
        *id = *id << 4 | (uint32_t)(at - digits);
    }
    return true;
}

static int read_words(struct request *t, const char *const operands[OPERANDS_MAX])
{
    int code = find_action(operands[0], &t->action);
    if (code)
        return code;
    const char *name = actions[t->action].name;
    t->path = operands[1];
    if (operands[2] && !actions[t->action].needs_id)
        return cli_fail(CLI_USAGE, "'key %s' takes a file alone", name);
    if (!operands[2] && actions[t->action].needs_id)
        return cli_fail(CLI_USAGE, "which key? write its id behind the file: 'holdfast key show' "
                                   "lists them");
    if (operands[2] && !read_id(operands[2], &t->id))
        return cli_fail(CLI_USAGE, "the id of a key is 8 digits of 0-9 and a-f, as in "
                                   "'holdfast key show'");
    return CLI_OK;
}

/* ---- the file ---- */

static int load(struct request *t, struct err *e)
{
    int rc = keyring_load(t->path, &t->keys, e);
    return rc != -ERR_ABSENT
               ? rc
               : err_set(e, ERR_ABSENT, "%s does not exist: 'holdfast key new' makes it", t->path);
}

static int save(const struct request *t, struct err *e)
{
    if (t->action != NEW)
        return keyring_save(t->path, &t->keys, e);
    int rc = keyring_create(t->path, &t->keys, e);
    if (rc != -ERR_EXISTS)
        return rc;
    return err_set(e, ERR_EXISTS,
                   "%s exists already and may be in use: 'holdfast key add' puts a new key in it",
                   t->path);
}

/* Not refused, since a group of its own may be wanted; but the world is no group. */
static void warn_of_readers(const char *path)
{
    struct stat st;
    if (stat(path, &st) == 0 && (st.st_mode & 07))
        cli_fail(0, "%s can be read by everybody on this machine (mode %04o): chmod o= %s", path,
                 (unsigned)st.st_mode & 07777, path);
}

/* ---- what is done ---- */

static int put_new_key(struct request *t, struct err *e)
{
    uint8_t secret[SEAL_SECRET];
    entropy(secret, sizeof secret);
    int rc = keyring_add(&t->keys, secret, e);
    wipe(secret, sizeof secret);
    if (rc == 0)
        t->id = t->keys.keys[0].id;
    return rc;
}

static int change(struct request *t, struct err *e)
{
    const struct seal_key *k;
    switch (t->action) {
    case NEW:
    case ADD: return put_new_key(t, e);
    case USE:
        k = keyring_find(&t->keys, t->id);
        t->changed = !k || !k->use;
        return keyring_use(&t->keys, t->id, e);
    case DROP: return keyring_drop(&t->keys, t->id, e);
    case SHOW:
    case ACTIONS: break;
    }
    UNREACHABLE();
}

static int perform(struct request *t, struct err *e)
{
    int rc = t->action == NEW ? 0 : load(t, e);
    if (rc || t->action == SHOW)
        return rc;
    t->changed = true;
    rc = change(t, e);
    if (rc == -ERR_ABSENT)
        return err_set(e, ERR_ABSENT, "there is no key %08x in %s: 'holdfast key show' lists them",
                       t->id, t->path);
    return rc || !t->changed ? rc : save(t, e);
}

/* ---- what is said ---- */

static void print_list(const struct request *t)
{
    printf("ID        STATE\n");
    for (uint32_t i = 0; i < t->keys.n; i++)
        printf("%08x  %s\n", t->keys.keys[i].id, t->keys.keys[i].use ? "use" : "accept");
}

static void print_for_people(const struct request *t)
{
    switch (t->action) {
    case NEW:
        printf("key %08x\nCopy the file to every node, readable by holdfast alone.\n", t->id);
        return;
    case SHOW: print_list(t); return;
    case ADD:
        printf("key %08x is accepted\n"
               "When every node accepts it: 'holdfast key use' lets this one seal with it.\n",
               t->id);
        return;
    case USE:
        printf(t->changed ? "key %08x is in use\n" : "key %08x is in use: nothing to change\n",
               t->id);
        return;
    case DROP: printf("key %08x is gone\n", t->id); return;
    case ACTIONS: break;
    }
    UNREACHABLE();
}

static json_t *list_json(const struct keyring *k)
{
    json_t *list = json_array();
    char id[16];
    for (uint32_t i = 0; i < k->n; i++) {
        snprintf(id, sizeof id, "%08x", k->keys[i].id);
        json_array_append_new(
            list, json_pack("{s:s, s:s}", "id", id, "state", k->keys[i].use ? "use" : "accept"));
    }
    return list;
}

static int print_json(const struct request *t)
{
    char id[16];
    snprintf(id, sizeof id, "%08x", t->id);
    json_t *all =
        json_pack("{s:s, s:s, s:o, s:o}", "schema", "holdfast.key.v1", "file", t->path, "changed",
                  t->changed ? json_string(id) : json_null(), "keys", list_json(&t->keys));
    int failed = !all || json_dumpf(all, stdout, JSON_INDENT(2));
    json_decref(all);
    if (failed)
        return cli_fail(CLI_BAD, "cannot print: out of memory");
    fputc('\n', stdout);
    return CLI_OK;
}

int command_key(int argc, char **argv)
{
    struct key_options o = {0};
    const char *operands[OPERANDS_MAX];
    struct request t = {0};
    struct err e = {0};
    int code;
    if (argc > 1 && strcmp(argv[1], "rotate") == 0)
        return key_rotate(argc - 1, argv + 1);
    if (!cli_options(&usage, argc, argv, &o, operands, &code))
        return code;
    code = read_words(&t, operands);
    if (code)
        return code;
    if (perform(&t, &e))
        code = cli_fail(CLI_BAD, "%s", e.text);
    else if (o.json)
        code = print_json(&t);
    else
        print_for_people(&t);
    if (code == CLI_OK)
        warn_of_readers(t.path);
    keyring_wipe(&t.keys);
    return code;
}
