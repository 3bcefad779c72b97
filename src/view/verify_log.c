/* The logs that a view names: what each is about, where it is, and rules within bounds. Whether a
 * pattern can be compiled is for who reads the log. */
#include "view/verify.h"

static bool names_its_subject(const struct view_read_log *l)
{
    switch ((enum subject_kind)l->subject) {
    case SUBJECT_NODE: return l->service.n == 0 && l->instance.n == 0;
    case SUBJECT_SERVICE: return l->service.n != 0 && l->instance.n == 0;
    case SUBJECT_INSTANCE: return l->service.n != 0 && l->instance.n != 0;
    case SUBJECT_LINK:
    case SUBJECT_DISK:
    case SUBJECT_KINDS: break;
    }
    return false;
}

static bool rule_is_valid(const struct view_log_rule *r)
{
    return r->match.n && r->match.n <= VIEW_MAX_LOG_PATTERN &&
           r->except.n <= VIEW_MAX_LOG_PATTERN && r->over >= 1 && r->over <= VIEW_MAX_LOG_OVER &&
           r->window && r->window <= VIEW_MAX_DURATION &&
           (r->verdict == VERDICT_DEGRADED || r->verdict == VERDICT_FAILED);
}

static bool log_is_valid(const struct view_read_log *l)
{
    bool file = l->path.n && l->path.p[0] == '/' && l->unit.n == 0;
    bool unit = l->unit.n && l->path.n == 0;
    bool ok = (file || unit) && l->path.n < VIEW_MAX_LOG_PATH && l->unit.n < VIEW_MAX_LOG_PATH &&
              names_its_subject(l) && l->learn <= VIEW_MAX_DURATION &&
              l->n_rules <= VIEW_MAX_LOG_RULES;
    for (uint32_t i = 0; ok && i < l->n_rules; i++)
        ok = rule_is_valid(&l->rules[i]);
    return ok;
}

static int add_key(struct map *seen, const struct view_read_log *l, struct err *e)
{
    struct buf key = {0};
    put_u8(&key, l->subject);
    put_str(&key, l->service);
    put_str(&key, l->instance);
    put_str(&key, l->path);
    put_str(&key, l->unit);
    int rc = key.failed ? err_set(e, ERR_NOMEM, "no memory to check a view")
                        : verify_unique(seen, buf_str(&key), STR(""), "one log twice", e);
    buf_free(&key);
    return rc;
}

int verify_logs(const struct view *v, struct err *e)
{
    struct map seen = {0};
    int rc = v->n_logs > VIEW_MAX_LOGS ? verify_bad(e, STR(""), "too many logs") : 0;
    for (uint32_t i = 0; i < v->n_logs && !rc; i++)
        rc = log_is_valid(&v->logs[i]) ? add_key(&seen, &v->logs[i], e)
                                       : verify_bad(e, STR(""), "an invalid log");
    map_free(&seen);
    return rc;
}
