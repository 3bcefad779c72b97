#include "conf/scalar.h"

#include <stdio.h>

struct unit {
    const char *name;
    uint64_t factor;
};

/* Largest first, for writing. */
static const struct unit durations[] = {
    {"d", 86400000000000}, {"h", 3600000000000}, {"m", 60000000000},
    {"s", 1000000000},     {"ms", 1000000},      {"us", 1000},
};
static const struct unit sizes[] = {
    {"t", 1ull << 40},
    {"g", 1ull << 30},
    {"m", 1ull << 20},
    {"k", 1ull << 10},
};

enum scalar_result scalar_count(struct str s, uint64_t *out)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return SCALAR_SYNTAX;
    if (s.n == 0)
        return SCALAR_SYNTAX;
    return str_u64(s, UINT64_MAX, out) ? SCALAR_OK : SCALAR_HUGE;
}

/* Digits and a unit of the table. */
static enum scalar_result with_unit(struct str s, const struct unit *units, size_t n, uint64_t *out)
{
    size_t digits = 0;
    while (digits < s.n && s.p[digits] >= '0' && s.p[digits] <= '9')
        digits++;
    if (digits == 0)
        return SCALAR_SYNTAX;
    struct str name = {s.p + digits, s.n - digits};
    if (name.n && (name.p[0] == '.' || name.p[0] == ','))
        return SCALAR_SYNTAX; /* no fractions: 1500ms */
    for (size_t i = 0; i < n; i++) {
        if (!str_eq_nocase(name, str_of(units[i].name)))
            continue;
        uint64_t number;
        if (!str_u64((struct str){s.p, digits}, UINT64_MAX / units[i].factor, &number))
            return SCALAR_HUGE;
        *out = number * units[i].factor;
        return SCALAR_OK;
    }
    return SCALAR_UNIT;
}

/* Zero is zero in every unit. */
enum scalar_result scalar_duration(struct str s, uint64_t *ns)
{
    if (str_eq(s, STR("0"))) {
        *ns = 0;
        return SCALAR_OK;
    }
    return with_unit(s, durations, ARRAY_LEN(durations), ns);
}

enum scalar_result scalar_size(struct str s, uint64_t *bytes)
{
    if (scalar_count(s, bytes) == SCALAR_OK)
        return SCALAR_OK;
    return with_unit(s, sizes, ARRAY_LEN(sizes), bytes);
}

enum scalar_result scalar_share(struct str s, uint64_t *permille)
{
    uint64_t whole, tenth = 0;
    if (s.n < 2 || s.p[s.n - 1] != '%')
        return scalar_count(s, &whole) == SCALAR_SYNTAX ? SCALAR_SYNTAX : SCALAR_UNIT;
    s.n--;
    if (s.n >= 3 && s.p[s.n - 2] == '.') {
        if (scalar_count((struct str){s.p + s.n - 1, 1}, &tenth) != SCALAR_OK)
            return SCALAR_SYNTAX;
        s.n -= 2;
    }
    enum scalar_result r = scalar_count(s, &whole);
    if (r != SCALAR_OK)
        return r;
    if (whole > 1000000)
        return SCALAR_HUGE;
    *permille = whole * 10 + tenth;
    return SCALAR_OK;
}

static const char *in_units(uint64_t v, const struct unit *units, size_t n, const char *rest,
                            char to[SCALAR_TEXT_MAX])
{
    for (size_t i = 0; i < n; i++) {
        if (v && v % units[i].factor == 0) {
            snprintf(to, SCALAR_TEXT_MAX, "%llu%s", (unsigned long long)(v / units[i].factor),
                     units[i].name);
            return to;
        }
    }
    snprintf(to, SCALAR_TEXT_MAX, "%llu%s", (unsigned long long)v, v ? rest : "");
    return to;
}

const char *scalar_duration_text(uint64_t ns, char to[SCALAR_TEXT_MAX])
{
    return in_units(ns, durations, ARRAY_LEN(durations), "ns", to);
}

const char *scalar_size_text(uint64_t bytes, char to[SCALAR_TEXT_MAX])
{
    return in_units(bytes, sizes, ARRAY_LEN(sizes), "", to);
}

const char *scalar_share_text(uint64_t permille, char to[SCALAR_TEXT_MAX])
{
    if (permille % 10)
        snprintf(to, SCALAR_TEXT_MAX, "%llu.%llu%%", (unsigned long long)(permille / 10),
                 (unsigned long long)(permille % 10));
    else
        snprintf(to, SCALAR_TEXT_MAX, "%llu%%", (unsigned long long)(permille / 10));
    return to;
}
