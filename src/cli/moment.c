#include "cli/moment.h"

#include <stdio.h>
#include <time.h>

#define S UINT64_C(1000000000)

static bool ago(struct str s, uint64_t now, uint64_t *out)
{
    static const struct {
        char unit;
        uint64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 7 * 86400}};
    uint64_t n;
    for (size_t i = 0; s.n && i < ARRAY_LEN(units); i++) {
        if (s.p[s.n - 1] != units[i].unit || !str_u64((struct str){s.p, s.n - 1}, 100000000, &n))
            continue;
        uint64_t back = n * units[i].seconds * S;
        *out = now > back ? now - back : 0;
        return true;
    }
    return false;
}

static bool part(struct str *s, char before, size_t n, uint64_t least, uint64_t most, int *out)
{
    uint64_t v;
    size_t skip = before != 0;
    if (s->n < n + skip || (skip && s->p[0] != before) ||
        !str_u64((struct str){s->p + skip, n}, most, &v) || v < least)
        return false;
    *out = (int)v;
    s->p += n + skip;
    s->n -= n + skip;
    return true;
}

/* ":05[:30[.125]]" */
static bool clock_time(struct str *s, struct tm *t, int *ms)
{
    if (!part(s, 0, 2, 0, 23, &t->tm_hour) || !part(s, ':', 2, 0, 59, &t->tm_min))
        return false;
    if (s->n && s->p[0] == ':' && !part(s, ':', 2, 0, 59, &t->tm_sec))
        return false;
    return s->n == 0 || s->p[0] != '.' || part(s, '.', 3, 0, 999, ms);
}

static uint64_t local(struct tm t, int ms)
{
    t.tm_isdst = -1;
    time_t seconds = mktime(&t);
    return seconds < 0 ? 0 : (uint64_t)seconds * S + (uint64_t)ms * 1000000;
}

static bool today(struct str s, uint64_t now, uint64_t *out)
{
    time_t seconds = (time_t)(now / S);
    struct tm t;
    int ms = 0;
    if (!localtime_r(&seconds, &t))
        return false;
    t.tm_sec = 0;
    if (!clock_time(&s, &t, &ms) || s.n)
        return false;
    *out = local(t, ms);
    if (*out > now) {
        t.tm_mday--;
        *out = local(t, ms);
    }
    return true;
}

static bool dated(struct str s, uint64_t *out)
{
    struct tm t = {0};
    int ms = 0;
    if (!part(&s, 0, 4, 1970, 2200, &t.tm_year) || !part(&s, '-', 2, 1, 12, &t.tm_mon) ||
        !part(&s, '-', 2, 1, 31, &t.tm_mday))
        return false;
    t.tm_year -= 1900;
    t.tm_mon--;
    if (s.n && (s.p[0] == 'T' || s.p[0] == ' ')) {
        s.p++;
        s.n--;
        if (!clock_time(&s, &t, &ms))
            return false;
    }
    if (s.n == 1 && s.p[0] == 'Z')
        *out = (uint64_t)timegm(&t) * S + (uint64_t)ms * 1000000;
    else
        *out = local(t, ms);
    return s.n == 0 || (s.n == 1 && s.p[0] == 'Z');
}

bool moment_parse(struct str text, uint64_t now, uint64_t *out)
{
    return ago(text, now, out) || today(text, now, out) || dated(text, out);
}

void moment_format(uint64_t wall, char out[MOMENT_MAX])
{
    time_t seconds = (time_t)(wall / S);
    struct tm t;
    char date[24] = "";
    if (gmtime_r(&seconds, &t))
        strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &t);
    snprintf(out, MOMENT_MAX, "%s.%03uZ", date, (unsigned)(wall / 1000000 % 1000));
}

void moment_local(uint64_t wall, uint64_t now, char out[MOMENT_MAX])
{
    time_t seconds = (time_t)(wall / S), today = (time_t)(now / S);
    struct tm t, n;
    out[0] = 0;
    if (!localtime_r(&seconds, &t) || !localtime_r(&today, &n))
        return;
    bool same = t.tm_year == n.tm_year && t.tm_yday == n.tm_yday;
    strftime(out, MOMENT_MAX, same ? "%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &t);
    size_t used = strlen(out);
    snprintf(out + used, MOMENT_MAX - used, ".%03u", (unsigned)(wall / 1000000 % 1000));
}

uint64_t moment_of(struct str text)
{
    uint64_t wall = 0;
    return text.n && text.p[text.n - 1] == 'Z' && dated(text, &wall) ? wall : 0;
}
