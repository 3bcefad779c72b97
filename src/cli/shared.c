#include "cli/shared.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/problem.h"
#include "cli/term.h"
#include "daemon/daemon.h"
#include "os/os.h"

enum { ASK_SECONDS = 20, PAUSE_MS = 50 };

int shared_read(const char *file, struct buf *base64)
{
    struct buf bundle = {0};
    struct err e = {0};
    int r = daemon_bundle(file, &bundle, &e);
    if (r == 0 && !base64_write(buf_str(&bundle), base64))
        r = err_set(&e, ERR_NOMEM, "out of memory");
    buf_free(&bundle);
    return r ? cli_fail(CLI_BAD, "%s", e.text) : CLI_OK;
}

int shared_post(const struct node_place *place, const char *path, json_t *body, struct reply *r)
{
    struct node n;
    struct err e;
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    *r = (struct reply){0};
    json_decref(body);
    if (!text)
        return cli_fail(CLI_BAD, "a text is not UTF-8, or memory is out");
    if (node_open(&n, place, &e)) {
        free(text);
        return cli_fail(CLI_USAGE, "%s", e.text);
    }
    n.line.body = str_of(text);
    int rc = node_ask(&n, "POST", path, ASK_SECONDS, r, &e);
    node_close(&n);
    free(text); /* jansson's own */
    return rc ? cli_fail(CLI_UNREACHABLE, "%s", e.text) : CLI_OK;
}

int shared_change(const struct shared_options *o, const char *path, json_t *body,
                  const json_t *base, bool yes, struct reply *r)
{
    bool whole = json_object_set_new(body, "base", json_integer(json_integer_value(base))) == 0 &&
                 json_object_set_new(body, "yes", json_boolean(yes)) == 0 &&
                 json_object_set_new(body, "note", json_string(o->note ? o->note : "")) == 0;
    if (!whole) { /* shared_post says why */
        json_decref(body);
        body = NULL;
    }
    return shared_post(&o->node, path, body, r);
}

/* Files are named as seen from the directory of the main one: here, as seen from where we are. */
static json_t *from_here(const json_t *problems, const char *file)
{
    const char *slash = file ? strrchr(file, '/') : NULL;
    json_t *list = json_deep_copy(problems);
    for (size_t i = 0; slash && i < json_array_size(list); i++) {
        json_t *one = json_array_get(list, i);
        const char *name = json_text(one, "file");
        if (name[0] != '/')
            json_object_set_new(one, "file",
                                json_sprintf("%.*s%s", (int)(slash + 1 - file), file, name));
    }
    return list;
}

int shared_refused(const struct reply *r, const char *file)
{
    json_t *problems = from_here(json_object_get(r->json, "problems"), file);
    struct term t = term_of(stderr);
    struct buf out = {0};
    problems_print(problems, t.colour, &out);
    cli_write(stderr, &out);
    buf_free(&out);
    json_decref(problems);
    return node_refused(r);
}

int shared_plan(const struct node_place *place, const char *file, const struct buf *base64,
                struct reply *r)
{
    json_t *body = json_pack("{s:s%}", "bundle", base64->p, base64->n);
    int code = shared_post(place, "/v1/config/plan", body, r);
    return code == CLI_OK && r->status != 200 ? shared_refused(r, file) : code;
}

void shared_lines(const json_t *list, struct buf *out)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *line = json_string_value(json_array_get(list, i));
        buf_add_str(out, STR("  "));
        text_clean(out, str_of(line ? line : ""));
        buf_add_str(out, STR("\n"));
    }
}

void shared_show(const json_t *plan, struct buf *out)
{
    const json_t *changes = json_object_get(plan, "changes"),
                 *local = json_object_get(plan, "local");
    const json_t *risks = json_object_get(plan, "risks");
    size_t n = json_array_size(changes);
    char what[64] = "what runs here; nobody has applied a configuration yet";
    if (json_count(plan, "version"))
        snprintf(what, sizeof what, "version %u", json_count(plan, "version"));
    if (n)
        buf_printf(out, "%zu change%s to %s:\n", n, n == 1 ? "" : "s", what);
    else
        buf_printf(out, "no differences to %s\n", what);
    shared_lines(changes, out);
    if (json_array_size(risks))
        buf_printf(out, "of these, what takes something away:\n");
    shared_lines(risks, out);
    if (json_array_size(local))
        buf_printf(out, "not part of it, since it is local to a node: to change it, change each "
                        "node's own file and reload\n");
    shared_lines(local, out);
}

int shared_confirm(const json_t *risks, bool yes, bool json)
{
    char line[16] = "";
    if (yes || json_array_size(risks) == 0)
        return CLI_OK;
    if (json || !isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return cli_fail(CLI_BAD, "nothing was changed: what takes something away needs --yes");
    fputs("Do it all the same? [y/N] ", stdout);
    fflush(stdout);
    if (fgets(line, sizeof line, stdin) && (line[0] == 'y' || line[0] == 'Y'))
        return CLI_OK;
    return cli_fail(CLI_BAD, "nothing was changed");
}

/* ---- until all have it ---- */

struct followed {
    size_t alive, have, refuse;
    json_t *nodes; /* a copy, owned; NULL: nobody could be asked */
};

static void count(struct followed *f, const json_t *config, uint32_t version)
{
    json_decref(f->nodes);
    *f = (struct followed){.nodes = json_deep_copy(json_object_get(config, "nodes"))};
    for (size_t i = 0; i < json_array_size(f->nodes); i++) {
        const json_t *n = json_array_get(f->nodes, i);
        if (!json_flag(n, "alive"))
            continue;
        bool has = json_count(n, "version") >= version;
        f->alive++;
        f->have += has;
        f->refuse += !has && *json_text(n, "problem");
    }
}

static void follow(const struct node_place *place, uint32_t version, uint64_t wait,
                   struct followed *f)
{
    uint64_t until = clock_now() + wait * NS_PER_S;
    struct node n;
    struct err e;
    if (node_open(&n, place, &e))
        return;
    for (;;) {
        struct reply r;
        if (node_ask(&n, "GET", "/v1/config", 0, &r, &e) == 0) {
            if (r.status == 200)
                count(f, r.json, version);
            reply_free(&r);
        }
        if ((f->nodes && f->have + f->refuse == f->alive) || clock_now() >= until)
            break;
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000L}, NULL);
    }
    node_close(&n);
}

static void show_followed(const struct followed *f, uint32_t version, struct buf *out)
{
    size_t all = json_array_size(f->nodes);
    if (f->alive && f->have == f->alive)
        buf_printf(out, all > 1 ? "%zu of %zu nodes run it\n" : "it runs\n", f->have, all);
    for (size_t i = 0; i < all; i++) {
        const json_t *n = json_array_get(f->nodes, i);
        const char *problem = json_text(n, "problem");
        if (json_count(n, "version") >= version && json_flag(n, "alive"))
            continue;
        text_clean(out, str_of(json_text(n, "name")));
        buf_add_str(out, STR(": "));
        if (!json_flag(n, "alive"))
            problem = "not alive; it follows when it is back";
        else if (!*problem)
            problem = "does not run it yet";
        text_clean(out, str_of(problem));
        buf_add_str(out, STR("\n"));
    }
}

static int print_json(const struct reply *applied, const struct followed *f, bool adopted)
{
    json_t *all = json_copy(applied->json);
    json_object_set_new(all, "adopted", json_boolean(adopted));
    json_object_set(all, "nodes", f->nodes ? f->nodes : json_null());
    int failed = !all || json_dumpf(all, stdout, JSON_COMPACT | JSON_REAL_PRECISION(15));
    json_decref(all);
    if (failed)
        return cli_fail(CLI_BAD, "cannot print: out of memory");
    fputc('\n', stdout);
    return CLI_OK;
}

static void print_head(const struct reply *applied, uint32_t version, struct buf *out)
{
    const json_t *from = json_object_get(applied->json, "from");
    if (!json_flag(applied->json, "applied"))
        buf_printf(out, "version %u is that already: nothing to apply\n", version);
    else if (json_is_integer(from))
        buf_printf(out, "version %u is applied, with the files of version %u\n", version,
                   json_count(applied->json, "from"));
    else
        buf_printf(out, "version %u is applied\n", version);
}

int shared_follow(const struct node_place *place, const struct reply *applied, uint64_t wait,
                  bool json)
{
    uint32_t version = json_count(applied->json, "version");
    struct followed f = {0};
    struct buf out = {0};
    if (!json) {
        print_head(applied, version, &out);
        cli_write(stdout, &out);
        fflush(stdout);
        buf_clear(&out);
    }
    follow(place, version, wait, &f);
    bool adopted = f.alive && f.have == f.alive;
    if (json) {
        print_json(applied, &f, adopted);
    } else {
        show_followed(&f, version, &out);
        cli_write(stdout, &out);
    }
    buf_free(&out);
    json_decref(f.nodes);
    if (adopted)
        return CLI_OK;
    return cli_fail(CLI_BAD, "version %u is in force, and not every node that is alive runs it",
                    version);
}
