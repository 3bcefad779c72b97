/* vitals_fixture: a host that keeps findings as control does. For tests. */
#ifndef HF_DETECT_VITALS_FIXTURE_H
#define HF_DETECT_VITALS_FIXTURE_H

#include "detect/vitals.h"

#define S  UINT64_C(1000000000)
#define MS UINT64_C(1000000)

struct ear {
    struct findings f; /* of all subjects together: each test has one */
    enum subject_kind kind;
    char name[256];
    uint32_t found, gone;
};

static void ear_found(void *context, enum subject_kind kind, struct str name,
                      const struct finding_signal *s)
{
    struct ear *e = context;
    e->found++;
    e->kind = kind;
    str_copy(e->name, sizeof e->name, name);
    findings_signal(&e->f, s);
}

static void ear_gone(void *context, enum subject_kind kind, struct str name, enum finding_kind what,
                     uint64_t key, uint64_t now)
{
    struct ear *e = context;
    (void)kind, (void)name;
    e->gone++;
    findings_clear(&e->f, what, key, now);
}

static inline struct vitals_host ear_host(struct ear *e)
{
    return (struct vitals_host){e, ear_found, ear_gone};
}

/* The kind of what is raised and worst; FINDING_KINDS: nothing is. */
static inline enum finding_kind heard(struct ear *e, uint64_t now)
{
    findings_tick(&e->f, now);
    const struct finding *f = findings_worst(&e->f);
    return f ? f->kind : FINDING_KINDS;
}

#endif
