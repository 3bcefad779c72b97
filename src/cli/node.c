#include "cli/node.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/json.h"
#include "daemon/paths.h"

enum { ANSWER_MAX = 256 * 1024 * 1024 };

static size_t on_bytes(char *p, size_t size, size_t n, void *arg)
{
    struct reply *r = arg;
    return buf_add(&r->bytes, p, size * n) ? size * n : 0;
}

static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    struct node *n = arg;
    return n->interrupted && n->interrupted(n->arg);
}

static int set_up(struct node *c)
{
    CURL *h = c->curl;
    return curl_easy_setopt(h, CURLOPT_UNIX_SOCKET_PATH, c->socket.path) ||
           curl_easy_setopt(h, CURLOPT_PROXY, "") || curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L) ||
           curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http") ||
           curl_easy_setopt(h, CURLOPT_PATH_AS_IS, 1L) ||
           curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT, (long)NODE_TIMEOUT) ||
           curl_easy_setopt(h, CURLOPT_USERAGENT, "holdfast/" HF_VERSION) ||
           curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_bytes) ||
           curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0L) ||
           curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_progress) ||
           curl_easy_setopt(h, CURLOPT_XFERINFODATA, c);
}

int node_open(struct node *c, const char *state, struct err *e)
{
    char dir[PATHS_MAX];
    *c = (struct node){0};
    int rc = paths_state(dir, state, e);
    if (!rc)
        rc = paths_admin_socket(&c->socket, dir, e);
    if (rc)
        return rc;
    c->curl = curl_easy_init();
    if (!c->curl || set_up(c)) {
        node_close(c);
        return err_set(e, ERR_NOMEM, "cannot set up the HTTP client: out of memory");
    }
    return 0;
}

void node_close(struct node *c)
{
    if (c->curl)
        curl_easy_cleanup(c->curl);
    c->curl = NULL;
}

static int explain_no_connection(const struct node *c, struct err *e)
{
    if (access(c->socket.path, W_OK) && errno == EACCES)
        return err_set(e, ERR_DENIED,
                       "%s may not be opened: run this as the user that runs holdfast, or as root",
                       c->socket.path);
    return err_set(e, ERR_ABSENT,
                   "no holdfast answers at %s: is it running? Start it with 'holdfast run FILE', "
                   "or name its directory with --state DIR",
                   c->socket.path);
}

static int explain(const struct node *c, CURLcode rc, const struct reply *r, struct err *e)
{
    switch ((int)rc) {
    case CURLE_COULDNT_CONNECT: return explain_no_connection(c, e);
    case CURLE_ABORTED_BY_CALLBACK: return err_set(e, ERR_BUSY, "interrupted");
    case CURLE_OUT_OF_MEMORY: return err_set(e, ERR_NOMEM, "out of memory");
    case CURLE_WRITE_ERROR:
        return err_set(e, r->bytes.n < ANSWER_MAX / 2 ? ERR_NOMEM : ERR_LIMIT,
                       "the node's answer is larger than this program accepts");
    case CURLE_OPERATION_TIMEDOUT:
        return err_set(e, ERR_TIMEOUT,
                       "holdfast at %s does not answer: its control process is stopped or "
                       "overloaded (traffic goes on without it)",
                       c->socket.path);
    default:
        return err_set(e, ERR_IO, "holdfast at %s broke off its answer: %s", c->socket.path,
                       curl_easy_strerror(rc));
    }
}

/* The handle is set for one request; its connection is kept. */
static CURLcode perform(struct node *c, const char *method, const char *path, unsigned wait,
                        struct reply *out)
{
    char url[2048];
    bool post = strcmp(method, "POST") == 0;
    if ((size_t)snprintf(url, sizeof url, "http://node%s", path) >= sizeof url)
        return CURLE_URL_MALFORMAT;
    CURLcode rc = curl_easy_setopt(c->curl, CURLOPT_URL, url);
    if (!rc)
        rc = post ? curl_easy_setopt(c->curl, CURLOPT_POST, 1L)
                  : curl_easy_setopt(c->curl, CURLOPT_HTTPGET, 1L);
    if (!rc && post)
        rc = curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, "");
    if (!rc)
        rc = curl_easy_setopt(c->curl, CURLOPT_TIMEOUT, (long)NODE_TIMEOUT + (long)wait);
    if (!rc)
        rc = curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, out);
    if (!rc)
        rc = curl_easy_perform(c->curl);
    if (!rc)
        rc = curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &out->status);
    return rc;
}

int node_ask(struct node *c, const char *method, const char *path, unsigned wait, struct reply *out,
             struct err *e)
{
    json_error_t why;
    *out = (struct reply){.bytes.limit = ANSWER_MAX};
    CURLcode rc = perform(c, method, path, wait, out);
    if (rc) {
        int code = explain(c, rc, out, e);
        reply_free(out);
        return code;
    }
    out->json = json_loadb(out->bytes.p ? out->bytes.p : "", out->bytes.n, 0, &why);
    if (!json_is_object(out->json)) {
        long status = out->status;
        reply_free(out);
        return err_set(e, ERR_PROTO, "what answers at %s is not holdfast (HTTP status %ld)",
                       c->socket.path, status);
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

int node_refused(const struct reply *r)
{
    const char *text = json_text(json_object_get(r->json, "error"), "text");
    const char *meant =
        json_string_value(json_array_get(json_object_get(r->json, "suggestions"), 0));
    if (!*text)
        return cli_fail(CLI_BAD, "the node answered with HTTP status %ld and no reason", r->status);
    if (meant)
        return cli_fail(CLI_BAD, "%s: did you mean '%s'?", text, meant);
    return cli_fail(CLI_BAD, "%s", text);
}

int node_fetch(const char *state, const char *method, const char *path, struct reply *out)
{
    struct node n;
    struct err e;
    *out = (struct reply){0};
    if (node_open(&n, state, &e))
        return cli_fail(CLI_USAGE, "%s", e.text);
    bool change = strcmp(method, "POST") == 0; /* the node itself waits up to 10 s for its parts */
    int rc = node_ask(&n, method, path, change ? 10 : 0, out, &e);
    node_close(&n);
    return rc ? cli_fail(CLI_UNREACHABLE, "%s", e.text) : CLI_OK;
}

int node_once(const char *state, const char *method, const char *path, struct reply *out)
{
    int code = node_fetch(state, method, path, out);
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
