#include "sense/follow_names.h"

/* Numbers and times between separators. */
static bool is_stamp(struct str s)
{
    bool digits = false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] >= '0' && s.p[i] <= '9')
            digits = true;
        else if (!memchr(".-_:TZ+", s.p[i], 7))
            return false;
    }
    return digits || str_eq(s, STR(".old")) || str_eq(s, STR(".bak")) || str_eq(s, STR("~"));
}

static struct str rest(struct str s, size_t from)
{
    return (struct str){s.p + from, s.n - from};
}

/* Short numbers count from the youngest; what is longer is a time. */
static uint64_t number_of(struct str stamp)
{
    uint64_t n = 0;
    if (stamp.n && memchr(".-_", stamp.p[0], 3))
        stamp = rest(stamp, 1);
    return stamp.n <= 5 && str_u64(stamp, 99999, &n) ? n : 0;
}

bool name_is_rotated(struct str base, struct str name, uint64_t *number)
{
    struct str stamp = {0};
    if (str_starts(name, base)) {
        stamp = rest(name, base.n);
    } else {
        size_t stem = base.n;
        while (stem && base.p[stem - 1] != '.')
            stem--;
        if (stem < 2 || name.n <= base.n)
            return false;
        struct str ending = rest(base, stem - 1);
        if (!str_starts(name, (struct str){base.p, stem - 1}) ||
            !str_eq(rest(name, name.n - ending.n), ending))
            return false;
        stamp = (struct str){name.p + stem - 1, name.n - base.n};
    }
    *number = number_of(stamp);
    return is_stamp(stamp);
}

bool bytes_are_compressed(struct str head)
{
    static const struct str magics[] = {
        {"\x1f\x8b", 2},         {"\x1f\x9d", 2},         {"BZh", 3},    {"\xfd\x37zXZ", 5},
        {"\x28\xb5\x2f\xfd", 4}, {"\x04\x22\x4d\x18", 4}, {"PK\3\4", 4},
    };
    for (size_t i = 0; i < ARRAY_LEN(magics); i++)
        if (str_starts(head, magics[i]))
            return true;
    return false;
}
