/* Routes of the shared configuration: what is in force, what was, and what is to be. */
#include "admin/inside.h"

#include <stdio.h>

#define WAIT_NS (60 * NS_PER_S)

enum { HISTORY_DEFAULT = 20, HISTORY_MOST = 100, NOTE_MAX = 511 };

void admin_config_free(struct admin_config *c)
{
    arena_free(&c->arena);
    *c = (struct admin_config){0};
}

/* ---- as JSON ---- */

static json_t *strings_json(const struct str *list, size_t n)
{
    json_t *a = json_array();
    for (size_t i = 0; i < n; i++)
        if (!json_push(a, json_text(list[i]))) {
            json_decref(a);
            return NULL;
        }
    return a;
}

static json_t *lines_json(struct str text)
{
    json_t *a = json_array();
    while (text.n) {
        const char *end = memchr(text.p, '\n', text.n);
        size_t n = end ? (size_t)(end - text.p) : text.n;
        if (!json_push(a, json_text((struct str){text.p, n}))) {
            json_decref(a);
            return NULL;
        }
        text.p += n + (end != NULL);
        text.n -= n + (end != NULL);
    }
    return a;
}

/* Without its end, since others add to it. */
static void put_version(struct json_object *o, const struct admin_version *v)
{
    json_put_u64(o, "version", v->number);
    json_put_text(o, "digest", v->digest);
    json_put(o, "when", json_time(v->when * NS_PER_MS));
    json_put_text(o, "who", v->who);
    json_put_text(o, "node", v->node);
    json_put_text(o, "note", v->note);
    json_put(o, "from", v->from ? json_integer((json_int_t)v->from) : json_null());
    json_put(o, "changes", lines_json(str_of(v->changes)));
}

static json_t *version_json(const struct admin_version *v)
{
    if (!v->number)
        return json_null();
    struct json_object o = json_begin();
    put_version(&o, v);
    return json_end(&o);
}

static json_t *nodes_json(const struct admin_config *k)
{
    json_t *a = json_array();
    for (uint32_t i = 0; i < k->n_nodes; i++) {
        const struct admin_adoption *n = &k->nodes[i];
        struct json_object o = json_begin();
        json_put_str(&o, "name", n->node);
        json_put_bool(&o, "self", n->self);
        json_put_bool(&o, "alive", n->alive);
        json_put(&o, "version", n->told ? json_integer((json_int_t)n->number) : json_null());
        json_put_text(&o, "problem", n->problem);
        if (!json_push(a, json_end(&o))) {
            json_decref(a);
            return NULL;
        }
    }
    return a;
}

static void put_config(struct json_object *o, const struct admin_config *k)
{
    json_put(o, "used", version_json(&k->used));
    json_put(o, "head", k->head_known ? version_json(&k->head) : json_null());
    json_put_bool(o, "head_known", k->head_known);
    json_put_u64(o, "revision", k->revision);
    json_put(o, "coordinator", k->coordinator[0] ? json_string(k->coordinator) : json_null());
    json_put_bool(o, "reachable", k->reachable);
    json_put_text(o, "problem", k->problem);
    json_put_text(o, "own_file_problem", k->own_problem);
    json_put(o, "nodes", nodes_json(k));
}

bool config_picture(const struct admin *a, struct admin_config *out, struct err *e)
{
    *out = (struct admin_config){0};
    if (!a->host.config)
        err_set(e, ERR_ABSENT, "this node has no shared configuration");
    else if (!a->host.view(a->host.context))
        err_set(e, ERR_BUSY, "the node is still starting");
    else
        return a->host.config(a->host.context, out, e) == 0;
    return false;
}

void answer_config(struct conn *c, const struct captures *m)
{
    (void)m;
    struct admin_config k;
    struct err e = {0};
    struct json_object o = json_begin_schema("config");
    if (config_picture(c->admin, &k, &e)) {
        put_config(&o, &k);
        conn_answer_json(c, 200, json_end(&o));
    } else {
        o.bad = true;
        json_decref(json_end(&o));
        route_error_of(c, &e);
    }
    admin_config_free(&k);
}

json_t *config_json(struct admin *a)
{
    struct admin_config k;
    struct err e = {0};
    json_t *out = json_null();
    if (config_picture(a, &k, &e)) {
        struct json_object o = json_begin();
        json_put_u64(&o, "version", k.used.number);
        json_put(&o, "digest", k.used.number ? json_string(k.used.digest) : json_null());
        json_put(&o, "head", k.head_known ? json_integer((json_int_t)k.head.number) : json_null());
        json_put_text(&o, "problem", k.problem);
        json_put_text(&o, "own_file_problem", k.own_problem);
        out = json_end(&o);
    }
    admin_config_free(&k);
    return out;
}

void metrics_config(struct admin *a, struct exposition *x)
{
    static const struct labels no_labels;
    struct admin_config k;
    struct err e = {0};
    if (config_picture(a, &k, &e)) {
        exposition_family(x, "holdfast_config_version", METRIC_GAUGE,
                          "Version of the shared configuration that runs here; 0: the own file.");
        exposition_count(x, &no_labels, k.used.number);
        exposition_family(x, "holdfast_config_head", METRIC_GAUGE,
                          "Version that is in force, as far as this node knows.");
        exposition_count(x, &no_labels, k.head.number);
        exposition_family(x, "holdfast_config_problem", METRIC_GAUGE,
                          "1 while this node cannot run the version that is in force.");
        exposition_count(x, &no_labels, k.problem[0] != 0);
    }
    x->out->failed |= e.code == -ERR_NOMEM;
    admin_config_free(&k);
}

/* ---- what is answered later ---- */

static json_t *planned_json(const struct admin_config_result *r)
{
    struct json_object o = json_begin_schema("plan");
    json_put(&o, "version",
             r->version.number ? json_integer((json_int_t)r->version.number) : json_null());
    json_put_u64(&o, "base", r->revision);
    json_put_bool(&o, "differs", r->n_changes > 0);
    json_put_bool(&o, "same_files", r->same);
    json_put(&o, "changes", strings_json(r->changes, r->n_changes));
    json_put(&o, "risks", strings_json(r->risks, r->n_risks));
    json_put(&o, "local", strings_json(r->left, r->n_left));
    json_put(&o, "warning", r->warning ? json_string(r->warning) : json_null());
    return json_end(&o);
}

static json_t *applied_json(const struct admin_config_result *r)
{
    struct json_object o = json_begin_schema("apply");
    json_put_bool(&o, "applied", !r->same);
    put_version(&o, &r->version);
    return json_end(&o);
}

static json_t *history_json(const struct admin_config_result *r)
{
    struct json_object o = json_begin_schema("history");
    json_t *list = json_array();
    for (uint32_t i = 0; i < r->n_versions; i++)
        if (!json_push(list, version_json(&r->versions[i])))
            o.bad = true;
    json_put(&o, "warning", r->warning ? json_string(r->warning) : json_null());
    json_put(&o, "versions", list);
    return json_end(&o);
}

/* A page may be an image: text only where it is. */
static json_t *file_json(const struct admin_file *f)
{
    struct json_object o = json_begin();
    json_t *text = json_stringn(f->text.p ? f->text.p : "", f->text.n);
    json_put_str(&o, "name", f->name);
    json_put_u64(&o, "bytes", f->text.n);
    json_put(&o, "text", text ? text : json_null());
    return json_end(&o);
}

static json_t *files_json(const struct admin_config_result *r)
{
    struct json_object o = json_begin_schema("config-files");
    json_t *list = json_array();
    for (uint32_t i = 0; i < r->n_files; i++)
        if (!json_push(list, file_json(&r->files[i])))
            o.bad = true;
    put_version(&o, &r->version);
    json_put_str(&o, "main", r->main);
    json_put(&o, "files", list);
    return json_end(&o);
}

static void answer_refused(struct conn *c, const struct admin_config_result *r)
{
    struct err e = {.code = r->code};
    str_copy(e.text, sizeof e.text, str_of(r->text));
    if (r->n_problems) {
        route_error(c, 422, "invalid", r->text, NULL, problems_json(r->problems, r->n_problems));
    } else if (r->asks || r->conflict) {
        struct json_object error = json_begin(), o = json_begin_schema("error");
        json_put_text(&error, "code", r->asks ? "asks" : "conflict");
        json_put_text(&error, "text", r->text);
        json_put(&o, "error", json_end(&error));
        if (r->asks)
            json_put(&o, "risks", strings_json(r->risks, r->n_risks));
        conn_answer_json(c, 409, json_end(&o));
    } else {
        route_error_of(c, &e);
    }
}

static void on_answer(struct admin_config_wait *w, const struct admin_config_result *r)
{
    struct conn *c = CONTAINER_OF(w, struct conn, config);
    if (r->code) {
        answer_refused(c, r);
        return;
    }
    switch ((enum admin_config_what)c->config_asked) {
    case CONFIG_PLAN: conn_answer_json(c, 200, planned_json(r)); return;
    case CONFIG_APPLY:
    case CONFIG_ROLLBACK: conn_answer_json(c, 200, applied_json(r)); return;
    case CONFIG_HISTORY: conn_answer_json(c, 200, history_json(r)); return;
    case CONFIG_FILES: conn_answer_json(c, 200, files_json(r)); return;
    }
    UNREACHABLE();
}

static void ask(struct conn *c, struct admin_config_ask *a)
{
    const struct admin_host *h = &c->admin->host;
    struct err e = {0};
    a->who = str_of(c->who);
    c->config.done = on_answer;
    c->config_asked = a->what;
    conn_wait(c, loop_now(c->admin->loop) + WAIT_NS);
    if (!h->config_ask)
        err_set(&e, ERR_ABSENT, "this node has no shared configuration");
    else if (!h->view(h->context))
        err_set(&e, ERR_BUSY, "the node is still starting");
    else
        h->config_ask(h->context, a, &c->config, &e);
    if (e.code)
        route_error_of(c, &e);
}

/* ---- what is asked ---- */

static bool get_number(const json_t *o, const char *key, bool *given, uint64_t *out)
{
    const json_t *v = json_object_get(o, key);
    *given = v != NULL;
    if (v && (!json_is_integer(v) || json_integer_value(v) < 0))
        return false;
    *out = v ? (uint64_t)json_integer_value(v) : 0;
    return true;
}

static struct str text_of(const json_t *v)
{
    return (struct str){json_string_value(v), json_string_length(v)};
}

/* {"bundle": BASE64, "version": N, "base": N, "note": TEXT, "yes": BOOL}; a key that is not known
 * is refused, since it may be a mistake. */
static bool read_ask(const json_t *o, struct admin_config_ask *a, struct buf *bundle)
{
    static const char *const known[] = {"bundle", "version", "base", "note", "yes"};
    const json_t *b = json_object_get(o, "bundle"), *note = json_object_get(o, "note");
    const json_t *yes = json_object_get(o, "yes");
    bool numbered;
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        n += json_object_get(o, known[i]) != NULL;
    if (!json_is_object(o) || json_object_size(o) != n || (yes && !json_is_boolean(yes)) ||
        (note && (!json_is_string(note) || json_string_length(note) > NOTE_MAX)) ||
        !get_number(o, "base", &a->has_base, &a->base) ||
        !get_number(o, "version", &numbered, &a->number) ||
        numbered != (a->what == CONFIG_ROLLBACK) || (b != NULL) == numbered)
        return false;
    a->yes = json_is_true(yes);
    a->note = note ? text_of(note) : STR("");
    if (b && (!json_is_string(b) || !base64_read(text_of(b), bundle)))
        return false;
    a->bundle = buf_str(bundle);
    return true;
}

static void answer_ask(struct conn *c, const struct captures *m, enum admin_config_what what)
{
    struct admin_config_ask a = {.what = (uint8_t)what};
    struct buf bundle = {0};
    json_error_t why;
    json_t *root = json_loadb(m->body.n ? m->body.p : "", m->body.n, JSON_REJECT_DUPLICATES, &why);
    if (read_ask(root, &a, &bundle))
        ask(c, &a);
    else if (bundle.failed)
        conn_answer_json(c, 500, NULL);
    else
        route_error(c, 422, "invalid",
                    what == CONFIG_ROLLBACK
                        ? "the body is {\"version\": N, \"base\": N, \"note\": TEXT, \"yes\": "
                          "BOOL}, all but version optional"
                        : "the body is {\"bundle\": BASE64, \"base\": N, \"note\": TEXT, \"yes\": "
                          "BOOL}, all but bundle optional",
                    NULL, NULL);
    json_decref(root);
    buf_free(&bundle);
}

void answer_config_plan(struct conn *c, const struct captures *m)
{
    answer_ask(c, m, CONFIG_PLAN);
}

void answer_config_apply(struct conn *c, const struct captures *m)
{
    answer_ask(c, m, CONFIG_APPLY);
}

void answer_config_rollback(struct conn *c, const struct captures *m)
{
    answer_ask(c, m, CONFIG_ROLLBACK);
}

void answer_config_history(struct conn *c, const struct captures *m)
{
    uint64_t count = HISTORY_DEFAULT;
    if (!query_u64(m->query, "last", 1, HISTORY_MOST, &count, NULL)) {
        route_error(c, 400, "malformed", "last is 1 to 100", NULL, NULL);
        return;
    }
    struct admin_config_ask a = {.what = CONFIG_HISTORY, .count = (uint32_t)count};
    ask(c, &a);
}

void answer_config_files(struct conn *c, const struct captures *m)
{
    uint64_t number = 0;
    if (!query_u64(m->query, "version", 1, UINT64_C(9999999999), &number, NULL)) {
        route_error(c, 400, "malformed", "version is the number of one", NULL, NULL);
        return;
    }
    struct admin_config_ask a = {.what = CONFIG_FILES, .number = number};
    ask(c, &a);
}
