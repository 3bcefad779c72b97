/* Routes of watched jobs: how they are, and that one of them says so itself. The body of a beat is
 * empty, or {"failed": "why"}; a key that is not known is refused, since it may be a mistake. */
#include "admin/inside.h"

#include <stdio.h>

static json_t *last_json(const struct beat_watch *w, uint64_t now)
{
    return w->heard ? json_real((double)(beat_age(w, now) / NS_PER_MS) / 1e3) : json_null();
}

static double seconds(uint64_t ns)
{
    return (double)ns / (double)NS_PER_S;
}

/* NULL only where memory is out. */
static json_t *beat_json(struct admin *a, const struct view_beat *b, uint32_t index)
{
    const struct beat_watch *w = a->host.beat(a->host.context, index);
    uint64_t now = loop_now(a->loop);
    char text[320] = "";
    struct json_object o = json_begin();
    if (w)
        beat_explain(w, now, text, sizeof text);
    json_put_str(&o, "name", b->name);
    json_put_text(&o, "verdict", verdict_name(w ? w->verdict : VERDICT_SUSPECT));
    json_put_text(&o, "reason", reason_name(w ? w->reason : REASON_BEAT_AWAITED));
    json_put_text(&o, "explanation", text);
    json_put_real(&o, "since_seconds", w ? seconds(beat_since(w, now)) : 0);
    json_put(&o, "last_seconds", w ? last_json(w, now) : json_null());
    json_put_real(&o, "every_seconds", seconds(b->every));
    json_put_real(&o, "grace_seconds", seconds(b->grace));
    json_put_bool(&o, "token", b->secret);
    json_put_u64(&o, "beats", w ? w->beats : 0);
    json_put_u64(&o, "failures", w ? w->failures : 0);
    json_put_u64(&o, "missed", w ? w->missed : 0);
    return json_end(&o);
}

json_t *beats_json(struct admin *a)
{
    const struct view *v = a->host.view(a->host.context);
    json_t *list = json_array();
    for (uint32_t i = 0; v && i < v->n_beats; i++)
        if (!json_push(list, beat_json(a, &v->beats[i], i))) {
            json_decref(list);
            return NULL;
        }
    return list;
}

void answer_beats(struct conn *c, const struct captures *m)
{
    (void)m;
    const struct view *v = c->admin->host.view(c->admin->host.context);
    if (!v) {
        route_error(c, 503, "busy", "the node is still starting", NULL, NULL);
        return;
    }
    struct json_object o = json_begin_schema("beats");
    json_put_u64(&o, "epoch", v->epoch);
    json_put(&o, "beats", beats_json(c->admin));
    conn_answer_json(c, 200, json_end(&o));
}

/* ---- a beat ---- */

/* The view's index, or -1 after an answer. */
static int64_t find(struct conn *c, const char *name)
{
    const struct view *v = c->admin->host.view(c->admin->host.context);
    struct suggest near = suggest_for(str_of(name));
    if (!v) {
        route_error(c, 503, "busy", "the node is still starting", NULL, NULL);
        return -1;
    }
    for (uint32_t i = 0; i < v->n_beats; i++) {
        if (str_eq(v->beats[i].name, str_of(name)) &&
            c->admin->host.beat(c->admin->host.context, i))
            return i;
        suggest_try(&near, v->beats[i].name);
    }
    route_absent(c, &near, "beat \"%s\" does not exist", name);
    return -1;
}

static int read_body(struct str body, json_t **root, const char **text, struct err *e)
{
    json_error_t why;
    const char *key;
    json_t *value;
    *text = NULL;
    *root = body.n ? json_loadb(body.p, body.n, JSON_REJECT_DUPLICATES, &why) : NULL;
    if (body.n && !json_is_object(*root))
        return err_set(e, ERR_INVAL, "the body is empty, or {\"failed\": \"why\"}");
    json_object_foreach(*root, key, value)
    {
        if (strcmp(key, "failed") != 0 || !json_is_string(value))
            return err_set(e, ERR_INVAL, "the only key is failed, a text");
        *text = json_string_value(value);
    }
    return 0;
}

static void beaten(struct conn *c, uint32_t index, const char *failed)
{
    const struct admin_host *h = &c->admin->host;
    const struct beat_watch *w = h->beat(h->context, index);
    enum verdict was = w->verdict;
    h->beaten(h->context, index, failed != NULL, str_of(failed ? failed : ""));
    w = h->beat(h->context, index);
    struct json_object o = json_begin_schema("beat");
    json_put_str(&o, "name", h->view(h->context)->beats[index].name);
    json_put_text(&o, "verdict", verdict_name(w->verdict));
    json_put_text(&o, "reason", reason_name(w->reason));
    json_put_bool(&o, "changed", w->verdict != was);
    conn_answer_json(c, 200, json_end(&o));
}

void answer_beat(struct conn *c, const struct captures *m)
{
    struct err e = {0};
    json_t *root = NULL;
    const char *failed;
    int64_t index = find(c, m->name[0]);
    if (index < 0)
        return;
    if (read_body(m->body, &root, &failed, &e))
        route_error_of(c, &e);
    else
        beaten(c, (uint32_t)index, failed);
    json_decref(root);
}
