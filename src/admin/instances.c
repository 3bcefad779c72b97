/* Routes of a service's instances: what they are and where each comes from, and what the API adds,
 * changes and removes. A body is JSON; every part of it is checked before anything is done, and a
 * key that is not known is refused, since it may be a mistake for one that is. */
#include "admin/inside.h"

#include <stdio.h>

enum { INSTANCES_MAX = 4096 };

/* ---- what there is ---- */

void answer_instances(struct conn *c, const struct captures *m)
{
    const struct view_service *s = route_service(c, m->name[0]);
    if (!s)
        return;
    struct json_object o = json_begin_schema("instances");
    json_t *list = json_array();
    for (uint32_t i = 0; i < s->n_instances; i++)
        if (!json_push(list, instance_json(c->admin, &s->instances[i])))
            o.bad = true;
    json_put_str(&o, "service", s->name);
    json_put_u64(&o, "epoch", c->admin->host.view(c->admin->host.context)->epoch);
    json_put(&o, "instances", list);
    conn_answer_json(c, 200, json_end(&o));
}

/* ---- a body ---- */

struct reading {
    struct told_item *items; /* owned */
    uint32_t n;
    struct err e;
};

static bool invalid(struct reading *r, size_t at, const char *what)
{
    err_set(&r->e, ERR_INVAL, "instances[%zu]: %s", at, what);
    return false;
}

static bool read_number(struct reading *r, size_t at, const json_t *v, const char *what,
                        uint32_t *out)
{
    json_int_t n = json_integer_value(v);
    if (!json_is_integer(v) || n < 0 || n > UINT32_MAX)
        return invalid(r, at, what);
    *out = (uint32_t)n;
    return true;
}

static bool read_weight(struct reading *r, size_t at, const json_t *v, struct told_item *item)
{
    item->own_weight = json_is_null(v);
    item->has_weight = !item->own_weight;
    return item->own_weight ||
           read_number(r, at, v, "weight is a whole number, or null for its own", &item->weight);
}

static bool read_address(struct reading *r, size_t at, const json_t *v, struct told_item *item)
{
    struct str text = {json_string_value(v), json_string_length(v)};
    if (json_is_string(v) && addr_parse(text, &item->addr))
        return true;
    return invalid(r, at,
                   "address is numeric and has a port, as in 10.0.0.1:8080 or [::1]:8080, or "
                   "is unix:/PATH");
}

static bool read_text(struct reading *r, size_t at, const json_t *v, struct str *out)
{
    *out = (struct str){json_string_value(v), json_string_length(v)};
    return (json_is_string(v) && out->n) || invalid(r, at, "name is a text");
}

static bool read_field(struct reading *r, size_t at, const char *key, const json_t *v,
                       struct told_item *item)
{
    if (strcmp(key, "address") == 0)
        return read_address(r, at, v, item);
    if (strcmp(key, "name") == 0)
        return read_text(r, at, v, &item->name);
    if (strcmp(key, "weight") == 0)
        return read_weight(r, at, v, item);
    if (strcmp(key, "priority") == 0) {
        item->has_priority = true;
        return read_number(r, at, v, "priority is a whole number", &item->priority);
    }
    if (strcmp(key, "draining") == 0) {
        item->drain = json_is_true(v) ? TOLD_DRAIN : TOLD_RESUME;
        return json_is_boolean(v) || invalid(r, at, "draining is true or false");
    }
    return invalid(r, at, "the keys are address, name, weight, priority and draining");
}

/* "10.0.0.1:8080" is as good as {"name": "10.0.0.1:8080"}. */
static bool read_item(struct reading *r, size_t at, json_t *from, struct told_item *item)
{
    const char *key;
    json_t *value;
    *item = (struct told_item){.name = STR("")};
    if (json_is_string(from))
        return read_text(r, at, from, &item->name);
    if (!json_is_object(from))
        return invalid(r, at, "it is neither an object nor a name");
    json_object_foreach(from, key, value)
    {
        if (!read_field(r, at, key, value, item))
            return false;
    }
    if (item->name.n == 0 && item->addr.kind == ADDR_NONE)
        return invalid(r, at, "it has neither an address nor a name");
    return true;
}

static int read_list(struct reading *r, json_t *list)
{
    json_t *one;
    size_t i;
    if (!json_is_array(list))
        return err_set(&r->e, ERR_INVAL,
                       "the body is {\"instances\": [{\"address\": \"10.0.0.1:8080\"}, ...]}");
    if (json_array_size(list) > INSTANCES_MAX)
        return err_set(&r->e, ERR_INVAL, "more than %d instances in one request", INSTANCES_MAX);
    r->items = mem_zero(json_array_size(list), sizeof *r->items);
    if (!r->items)
        return err_set(&r->e, ERR_NOMEM, "no memory for %zu instances", json_array_size(list));
    json_array_foreach(list, i, one)
    {
        if (!read_item(r, i, one, &r->items[i]))
            return r->e.code;
        r->n++;
    }
    return 0;
}

/* ---- a change ---- */

static json_t *told_json(const char *service, size_t n, const struct admin_told *t)
{
    struct json_object o = json_begin_schema("instances-change");
    json_put_str(&o, "service", (struct str){service, n});
    json_put_u64(&o, "epoch", t->epoch);
    json_put_u64(&o, "changed", (uint64_t)t->added + t->removed + t->updated + t->drained);
    json_put_u64(&o, "added", t->added);
    json_put_u64(&o, "removed", t->removed);
    json_put_u64(&o, "updated", t->updated);
    json_put_u64(&o, "drained", t->drained);
    return json_end(&o);
}

static void on_told(struct admin_telling *telling, const struct admin_told *told)
{
    struct conn *c = CONTAINER_OF(telling, struct conn, telling);
    struct err e = {.code = told->code};
    if (told->code == 0) {
        conn_answer_json(c, 200, told_json(c->service, strlen(c->service), told));
        return;
    }
    err_set(&e, (enum err_code) - told->code, "%.180s; what was asked is kept and tried again",
            told->text);
    route_error_of(c, &e);
}

static void change(struct conn *c, const struct told_change *what)
{
    const struct admin_host *h = &c->admin->host;
    struct admin_told told = {0};
    struct err e = {0};
    c->telling.done = on_told;
    str_copy(c->service, sizeof c->service, what->service);
    int rc = h->tell(h->context, what, &c->telling, &told, &e);
    if (rc < 0)
        route_error_of(c, &e);
    else if (rc == 0)
        conn_answer_json(c, 200, told_json(c->service, what->service.n, &told));
    else /* Control answers each within its own deadline; this is only the net below it. */
        conn_wait(c, loop_now(c->admin->loop) + 120 * NS_PER_S);
}

static void change_by_body(struct conn *c, const struct captures *m, enum told_mode mode)
{
    const struct view_service *s = route_service(c, m->name[0]);
    json_error_t why;
    struct reading r = {0};
    if (!s)
        return;
    json_t *root = json_loadb(m->body.n ? m->body.p : "", m->body.n, JSON_REJECT_DUPLICATES, &why);
    int rc = root ? read_list(&r, json_object_get(root, "instances"))
                  : err_set(&r.e, ERR_INVAL, "the body is no JSON: %.100s (line %d)", why.text,
                            why.line);
    if (rc == 0) {
        struct told_change what = {(uint8_t)mode, s->name, r.items, r.n};
        change(c, &what);
    } else {
        route_error_of(c, &r.e);
    }
    mem_free(r.items);
    json_decref(root);
}

void answer_instances_set(struct conn *c, const struct captures *m)
{
    change_by_body(c, m, TOLD_SET);
}

void answer_instances_update(struct conn *c, const struct captures *m)
{
    change_by_body(c, m, TOLD_UPDATE);
}

void answer_instances_remove(struct conn *c, const struct captures *m)
{
    change_by_body(c, m, TOLD_REMOVE);
}

void answer_instance_remove(struct conn *c, const struct captures *m)
{
    const struct view_service *s = route_service(c, m->name[0]);
    if (!s)
        return;
    struct told_item item = {.name = str_of(m->name[1])};
    struct told_change what = {TOLD_REMOVE, s->name, &item, 1};
    change(c, &what);
}
