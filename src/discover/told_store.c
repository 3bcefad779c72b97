/* What the API said, as JSON and back. Loading goes through the same changes as the API, so that a
 * file which somebody edited can do no more than a request could. */
#include "discover/told.h"

static json_t *instance_json(const struct view_instance *n)
{
    char address[ADDR_TEXT_MAX];
    addr_format(&n->addr, address);
    return json_pack("{s:s%,s:s,s:i,s:i}", "name", n->name.p, n->name.n, "address", address,
                     "weight", (int)n->weight, "priority", (int)n->priority);
}

static bool append(json_t *list, json_t *item)
{
    return list && json_array_append_new(list, item) == 0;
}

static json_t *service_json(const struct told_service *s)
{
    json_t *list = json_array(), *weights = json_array(), *out = NULL;
    bool ok = list && weights;
    for (uint32_t i = 0; ok && i < s->n; i++)
        ok = append(list, instance_json(&s->list[i]));
    for (uint32_t i = 0; ok && i < s->n_weights; i++)
        ok = append(weights,
                    json_pack("{s:s%,s:i}", "name", s->weights[i].instance.p,
                              s->weights[i].instance.n, "weight", (int)s->weights[i].weight));
    if (ok)
        out = json_pack("{s:s%,s:O,s:O}", "service", s->name.p, s->name.n, "instances", list,
                        "weights", weights);
    json_decref(list);
    json_decref(weights);
    return out;
}

json_t *told_json(const struct told *t)
{
    json_t *list = json_array();
    const struct map_slot *slot;
    bool ok = list != NULL;
    for (size_t i = 0; ok && (slot = map_next(&t->services, &i));)
        ok = append(list, service_json(slot->value));
    if (ok)
        return list;
    json_decref(list);
    return NULL;
}

static uint32_t number(const json_t *object, const char *key, uint32_t most, uint32_t fallback)
{
    json_int_t n = json_integer_value(json_object_get(object, key));
    return json_is_integer(json_object_get(object, key)) && n >= 0 && n <= (json_int_t)most
               ? (uint32_t)n
               : fallback;
}

static struct str text_of(const json_t *object, const char *key)
{
    const json_t *text = json_object_get(object, key);
    return json_is_string(text) ? (struct str){json_string_value(text), json_string_length(text)}
                                : STR("");
}

static uint32_t read_items(const json_t *list, struct told_item *items)
{
    const json_t *item;
    size_t i;
    uint32_t n = 0;
    json_array_foreach(list, i, item)
    {
        struct told_item *to = &items[n];
        *to = (struct told_item){.name = text_of(item, "name"),
                                 .has_weight = true,
                                 .weight = number(item, "weight", VIEW_MAX_WEIGHT, 1),
                                 .has_priority = true,
                                 .priority = number(item, "priority", POOL_GROUPS - 1, 0)};
        n += n < POOL_MAX - 1u && addr_parse(text_of(item, "address"), &to->addr);
    }
    return n;
}

/* Of instances that no view shows yet: they are not looked for in any. */
static void load_weights(struct told *t, struct str name, const json_t *list)
{
    struct told_service *s = map_get(&t->services, name);
    const json_t *item;
    size_t i;
    struct told_weight *weights =
        s ? arena_array(&s->arena, json_array_size(list) + 1, sizeof *weights) : NULL;
    if (!weights)
        return;
    s->weights = weights;
    json_array_foreach(list, i, item)
    {
        struct str instance = text_of(item, "name");
        if (instance.n == 0 || s->n_weights == POOL_MAX)
            continue;
        instance = arena_str(&s->arena, instance);
        if (instance.p)
            s->weights[s->n_weights++] =
                (struct told_weight){instance, number(item, "weight", VIEW_MAX_WEIGHT, 1)};
    }
}

static void load_service(struct told *t, const json_t *from, struct told_item *items)
{
    struct told_change c = {.mode = TOLD_SET, .service = text_of(from, "service"), .items = items};
    struct told_counts counts;
    c.n = read_items(json_object_get(from, "instances"), items);
    if (c.service.n == 0 || told_apply(t, &c, NULL, &counts, NULL))
        return;
    load_weights(t, c.service, json_object_get(from, "weights"));
    told_keep(t);
}

void told_load(struct told *t, const json_t *root)
{
    struct told_item *items = mem_zero(POOL_MAX, sizeof *items);
    const json_t *service;
    size_t i;
    json_array_foreach(root, i, service)
    {
        if (items)
            load_service(t, service, items);
    }
    mem_free(items);
}
