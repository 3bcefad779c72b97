/* What the senses hold against subjects, for the status and for who asks why. */
#include "admin/inside.h"

#include <stdio.h>

enum { LISTED_MOST = 1000 /* subjects in one answer */ };

static double seconds(uint64_t ns)
{
    return (double)ns / (double)NS_PER_S;
}

static json_t *finding_json(const struct finding *f, uint64_t now)
{
    char key[17];
    snprintf(key, sizeof key, "%llx", (unsigned long long)f->key);
    struct json_object o = json_begin();
    json_put_text(&o, "finding", finding_name(f->kind));
    json_put_text(&o, "verdict", verdict_name(f->verdict));
    json_put_bool(&o, "certain", finding_is_certain(f->kind));
    json_put_text(&o, "key", key);
    json_put_text(&o, "text", f->says);
    json_put_text(&o, "means", finding_meaning(f->kind));
    json_put_u64(&o, "signals", f->count);
    json_put_real(&o, "since_seconds", seconds(now - MIN(f->since, now)));
    json_put_real(&o, "age_seconds", seconds(now - MIN(f->at, now)));
    return json_end(&o);
}

json_t *findings_json(const struct findings *f, uint64_t now)
{
    json_t *list = json_array();
    for (uint32_t i = 0; f && i < f->n; i++)
        if (f->list[i].raised && !json_push(list, finding_json(&f->list[i], now))) {
            json_decref(list);
            return NULL;
        }
    return list;
}

json_t *held_json(struct admin *a, const struct admin_held *h)
{
    uint64_t now = loop_now(a->loop);
    const struct finding *worst = findings_worst(h->findings);
    char text[512];
    struct json_object o = json_begin();
    findings_explain(h->findings, now, text, sizeof text);
    json_put_text(&o, "of", subject_kind_name(h->kind));
    json_put_text(&o, "name", h->name);
    json_put_text(&o, "verdict", verdict_name(worst ? worst->verdict : VERDICT_HEALTHY));
    json_put_text(&o, "reason",
                  worst ? reason_name(finding_reason(worst->kind, worst->verdict)) : "");
    json_put_text(&o, "explanation", text);
    json_put_real(&o, "since_seconds", worst ? seconds(now - MIN(worst->since, now)) : 0);
    json_put(&o, "findings", findings_json(h->findings, now));
    return json_end(&o);
}

bool held_next(struct admin *a, size_t *at, struct admin_held *out)
{
    while (a->host.held_next && a->host.held_next(a->host.context, at, out))
        if (findings_worst(out->findings))
            return true;
    return false;
}

const struct findings *held_of(struct admin *a, enum subject_kind kind, struct str name)
{
    return a->host.held ? a->host.held(a->host.context, kind, name) : NULL;
}

json_t *held_all_json(struct admin *a)
{
    json_t *list = json_array();
    struct admin_held h;
    for (size_t at = 0; json_array_size(list) < LISTED_MOST && held_next(a, &at, &h);)
        if (!json_push(list, held_json(a, &h))) {
            json_decref(list);
            return NULL;
        }
    return list;
}
