#include "cli/node.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/json.h"
#include "daemon/paths.h"
#include "os/os.h"

enum { ANSWER_MAX = 256 * 1024 * 1024, TOKEN_MAX = 4096 };

/* The first line of a file, without its end. */
static int read_token(struct node *c, const char *path, struct err *e)
{
    struct buf text = {0};
    int rc = file_read(path, TOKEN_MAX, &text, e);
    struct str token = buf_str(&text);
    while (token.n && strchr(" \r\n", token.p[token.n - 1]))
        token.n--;
    bool fits = token.n && token.n < sizeof c->line.token;
    for (size_t i = 0; fits && i < token.n; i++)
        fits = (unsigned char)token.p[i] > 0x20 && (unsigned char)token.p[i] < 0x7f;
    if (!rc && !fits)
        rc = err_set(e, ERR_INVAL, "%s holds no token: one line of visible characters", path);
    if (!rc)
        str_copy(c->line.token, sizeof c->line.token, token);
    buf_free(&text);
    return rc;
}

static int open_admin(struct node *c, const struct node_place *place, struct err *e)
{
    static const struct str scheme = {"http://", 7};
    struct str url = str_of(place->admin);
    if (place->state)
        return err_set(e, ERR_INVAL, "--admin and --state name two nodes: give one of them");
    if (!place->token_file)
        return err_set(e, ERR_INVAL, "--admin needs --token-file FILE");
    struct str at = {url.p + scheme.n, url.n - MIN(url.n, scheme.n)};
    if (at.n && at.p[at.n - 1] == '/')
        at.n--;
    if (!str_starts(url, scheme) || !addr_parse(at, &c->line.to))
        return err_set(e, ERR_INVAL, "'%s' is not as in http://127.0.0.1:9901", place->admin);
    str_copy(c->at, sizeof c->at, url);
    return read_token(c, place->token_file, e);
}

int node_open(struct node *c, const struct node_place *place, struct err *e)
{
    char dir[PATHS_MAX];
    *c = (struct node){.line = {.fd = -1, .connect_within = NODE_TIMEOUT * NS_PER_S}};
    if (place->admin)
        return open_admin(c, place, e);
    if (place->token_file)
        return err_set(e, ERR_INVAL, "--token-file goes with --admin URL");
    int rc = paths_state(dir, place->state, place->node, e);
    rc = rc ? rc : paths_admin_socket(&c->line.to, dir, e);
    str_copy(c->at, sizeof c->at, str_of(c->line.to.path));
    return rc;
}

void node_close(struct node *c)
{
    exchange_close(&c->line);
}

static int explain_no_connection(const struct node *c, struct err *e)
{
    const char *path = c->at;
    if (c->line.to.kind != ADDR_UNIX)
        return err_set(e, ERR_ABSENT, "nobody answers at %s: is that the admin listener of a node?",
                       path);
    if (access(path, W_OK) && errno == EACCES)
        return err_set(e, ERR_DENIED,
                       "%s may not be opened: run this as the user that runs holdfast, or as root",
                       path);
    return err_set(e, ERR_ABSENT,
                   "no holdfast answers at %s: is it running? Start it with 'holdfast run FILE', "
                   "or name its directory with --state DIR, or it with --node NAME",
                   path);
}

static int explain(const struct node *c, const struct err *why, struct err *e)
{
    const char *path = c->at;
    switch (-why->code) {
    case ERR_ABSENT: return explain_no_connection(c, e);
    case ERR_BUSY: return err_set(e, ERR_BUSY, "interrupted");
    case ERR_NOMEM: return err_set(e, ERR_NOMEM, "out of memory");
    case ERR_INVAL: return err_set(e, ERR_INVAL, "%s", why->text);
    case ERR_LIMIT:
        return err_set(e, ERR_LIMIT, "the node's answer is larger than this program accepts");
    case ERR_TIMEOUT:
        return err_set(e, ERR_TIMEOUT,
                       "holdfast at %s does not answer: its control process is stopped or "
                       "overloaded (traffic goes on without it)",
                       path);
    default: return err_set(e, ERR_IO, "holdfast at %s broke off its answer: %s", path, why->text);
    }
}

int node_ask(struct node *c, const char *method, const char *path, unsigned wait, struct reply *out,
             struct err *e)
{
    struct answer a = {.body.limit = ANSWER_MAX};
    struct err why = {0};
    json_error_t ignored;
    *out = (struct reply){0};
    int rc =
        exchange_ask(&c->line, method, path, (NODE_TIMEOUT + (uint64_t)wait) * NS_PER_S, &a, &why);
    if (rc) {
        answer_free(&a);
        return explain(c, &why, e);
    }
    out->status = a.status;
    out->bytes = a.body;
    a.body = (struct buf){0};
    answer_free(&a);
    out->json = json_loadb(out->bytes.p ? out->bytes.p : "", out->bytes.n, 0, &ignored);
    if (!json_is_object(out->json)) {
        long status = out->status;
        reply_free(out);
        return err_set(e, ERR_PROTO, "what answers at %s is not holdfast (HTTP status %ld)", c->at,
                       status);
    }
    return 0;
}

void reply_free(struct reply *r)
{
    json_decref(r->json);
    buf_free(&r->bytes);
    *r = (struct reply){0};
}

void node_segment(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     (c && strchr("-._~:", c));
        if (plain)
            buf_add(out, s.p + i, 1);
        else
            buf_printf(out, "%%%02X", c);
    }
}

static int refused_as_ambiguous(const char *text, const json_t *names)
{
    struct buf all = {0};
    size_t i;
    const json_t *name;
    json_array_foreach(names, i, name) buf_printf(
        &all, "%s%s", i ? ", " : "", json_string_value(name) ? json_string_value(name) : "");
    int code =
        cli_fail(CLI_BAD, "%s: %.*s", text, (int)MIN(all.n, (size_t)2000), all.p ? all.p : "");
    buf_free(&all);
    return code;
}

int node_refused(const struct reply *r)
{
    const char *text = json_text(json_object_get(r->json, "error"), "text");
    const char *meant =
        json_string_value(json_array_get(json_object_get(r->json, "suggestions"), 0));
    if (strcmp(json_text(json_object_get(r->json, "error"), "code"), "ambiguous") == 0)
        return refused_as_ambiguous(text, json_object_get(r->json, "suggestions"));
    if (!*text)
        return cli_fail(CLI_BAD, "the node answered with HTTP status %ld and no reason", r->status);
    if (meant)
        return cli_fail(CLI_BAD, "%s: did you mean '%s'?", text, meant);
    return cli_fail(CLI_BAD, "%s", text);
}

static int fetch(const struct node_place *place, const char *method, const char *path,
                 struct str body, struct reply *out)
{
    struct node n;
    struct err e;
    *out = (struct reply){0};
    if (node_open(&n, place, &e))
        return cli_fail(CLI_USAGE, "%s", e.text);
    n.line.body = body;
    bool change = strcmp(method, "GET") != 0; /* the node itself waits up to 10 s for its parts */
    int rc = node_ask(&n, method, path, change ? 10 : 0, out, &e);
    node_close(&n);
    return rc ? cli_fail(CLI_UNREACHABLE, "%s", e.text) : CLI_OK;
}

int node_fetch(const struct node_place *place, const char *method, const char *path,
               struct reply *out)
{
    return fetch(place, method, path, STR(""), out);
}

int node_once(const struct node_place *place, const char *method, const char *path,
              struct reply *out)
{
    int code = node_fetch(place, method, path, out);
    return code == CLI_OK && out->status / 100 != 2 ? node_refused(out) : code;
}

void reply_print(const struct reply *r)
{
    struct str s = buf_str(&r->bytes);
    while (s.n > 0 && strchr(" \t\r\n", s.p[s.n - 1]))
        s.n--;
    if (s.n > 0)
        printf(STR_FMT "\n", STR_ARG(s));
}

int node_send(const struct node_place *place, const char *method, const char *path, struct str body,
              struct reply *out)
{
    int code = fetch(place, method, path, body, out);
    return code == CLI_OK && out->status / 100 != 2 ? node_refused(out) : code;
}
