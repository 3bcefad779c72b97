/* Who is told of events, and of which (docs/notifications.md). What a key's file holds is read by
 * who signs with it, and is in no view. */
#include "conf/backends.h"
#include "conf/builder.h"
#include "conf/settings.h"

static bool name_notify(struct builder *b, const struct node *n, struct view_notify *t)
{
    const struct value *arg = backends_argument(b->c, n, BLOCK_NOTIFY);
    struct str name = arg ? build_name(b, arg, "notify") : (struct str){NULL, 0};
    for (uint32_t i = 0; name.p && i < b->v->n_notifies; i++)
        if (str_eq(b->v->notifies[i].name, name)) {
            conf_complain(b->c, &arg->place, "", "a second notify '" STR_FMT "'", STR_ARG(name));
            return false;
        }
    t->name = name;
    return name.p != NULL;
}

static bool is_event(struct conf *c, const struct value *v, struct suggest *near)
{
    static const char *const levels[] = {"info", "warning", "error"};
    const struct conf_env *env = c->env;
    bool found = !env->event;
    for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
        found |= str_eq(v->text, str_of(levels[i]));
        suggest_try(near, str_of(levels[i]));
    }
    const char *name = NULL;
    for (unsigned i = 0; env->event && (name = env->event(env->self, i)); i++) {
        found |= str_eq(v->text, str_of(name));
        suggest_try(near, str_of(name));
    }
    return found;
}

static void add_event(struct conf *c, const struct value *v, struct view_words *w)
{
    struct suggest near = suggest_for(v->raw);
    if (v->bad)
        return;
    if (!is_event(c, v, &near)) {
        const char *hint = near.n
                               ? conf_text(c, "did you mean '" STR_FMT "'?", STR_ARG(near.name[0]))
                               : "a level (info, warning, error) or a code of docs/events.md";
        conf_complain(c, &v->place, hint, "there is no event '" STR_FMT "'",
                      STR_ARG(conf_shown(v)));
        return;
    }
    struct str copy = arena_str(&c->view->arena, v->text);
    c->nomem |= !copy.p;
    if (copy.p)
        w->list[w->n++] = copy;
}

static void add_events(struct builder *b, const struct node *n, struct view_words *w)
{
    uint32_t count = n && n->value ? build_count_items(n->value) : 0;
    if (!count)
        return;
    if (count > VIEW_MAX_NOTIFY_EVENTS) {
        conf_complain(b->c, &n->place, "", "more than %d events", VIEW_MAX_NOTIFY_EVENTS);
        return;
    }
    w->list = build_array(b, count, sizeof *w->list);
    if (w->list && n->value->kind != VALUE_LIST)
        add_event(b->c, n->value, w);
    for (const struct value *i = w->list && n->value->kind == VALUE_LIST ? n->value->items : NULL;
         i; i = i->next)
        add_event(b->c, i, w);
}

static void check_webhook(struct builder *b, const struct node *n, const struct view_notify *t)
{
    const struct value *v = n->value;
    bool plain = str_starts(t->webhook, STR("http://"));
    bool ok = plain || str_starts(t->webhook, STR("https://"));
    if (!v || v->bad || v->kind == VALUE_LIST)
        return;
    for (size_t i = 0; i < t->webhook.n; i++)
        ok &= t->webhook.p[i] > 0x20 && t->webhook.p[i] < 0x7f;
    if (!ok || t->webhook.n > VIEW_MAX_WEBHOOK)
        conf_complain(b->c, &v->place, "as in https://hooks.example.com/holdfast",
                      "the webhook is no http:// or https:// URL of at most %d bytes",
                      VIEW_MAX_WEBHOOK);
    else if (plain && !t->key_file.n)
        conf_warn(b->c, &v->place, "add 'key = file:PATH', or use https://",
                  "whoever is on the way can read and forge what is told");
}

static void add_notify(struct builder *b, const struct node *n)
{
    struct view_notify *t = &b->v->notifies[b->v->n_notifies];
    struct seen seen;
    *t = (struct view_notify){.key_file = STR("")}; /* a refused one may have been here */
    bool ok = name_notify(b, n, t);
    uint32_t errors = b->c->problems->errors;
    settings_apply(b->c, BLOCK_NOTIFY, n->children, t, &seen);
    const struct node *key = settings_seen(&seen, BLOCK_NOTIFY, "key");
    const struct node *webhook = settings_seen(&seen, BLOCK_NOTIFY, "webhook");
    if (key)
        t->key_file = cluster_file(b->c, key->value, "the key that signs", true);
    add_events(b, settings_seen(&seen, BLOCK_NOTIFY, "events"), &t->events);
    if (webhook)
        check_webhook(b, webhook, t);
    else if (ok && !n->damaged && b->c->problems->errors == errors)
        conf_complain(b->c, &n->place, "add 'webhook = https://...'",
                      "notify '" STR_FMT "' has no webhook", STR_ARG(t->name));
    b->v->n_notifies += ok && webhook && t->webhook.n;
}

void notify_build(struct builder *b, const struct node *top)
{
    uint32_t used = 0, room = MIN(build_count(top, "notify"), (uint32_t)VIEW_MAX_NOTIFIES);
    b->v->notifies = build_array(b, room, sizeof *b->v->notifies);
    for (const struct node *k = top; k && b->v->notifies; k = k->next) {
        if (!build_is(k, "notify"))
            continue;
        if (used++ == room) {
            conf_complain(b->c, &k->place, "", "more than %d notify blocks", VIEW_MAX_NOTIFIES);
            break;
        }
        add_notify(b, k);
    }
}
