/* Cuts in words: who does not hear whom, as all those say who are heard here (up to 32 nodes).
 *
 * Three shapes: two that do not hear each other, one that does not hear another which hears it, and
 * one that hears nobody, or whom nobody hears, while others hear it or it hears others. */
#include "member/inside.h"

#include <stdarg.h>
#include <stdio.h>

struct speaker {
    uint16_t slot;
    const char *name;
    bool told; /* one line has said it all */
};
struct story {
    const struct membership *m;
    uint32_t n;
    struct speaker of[MEMBER_DENSE_MAX]; /* by name */
    uint32_t heard; /* the first of them speak, the others are only spoken of */
    char *out;
    size_t size, used;
};

static int says(const struct story *s, uint32_t observer, uint32_t subject)
{
    if (observer >= s->heard)
        return -1; /* what it said last may be old */
    return agree_says(s->m, s->of[observer].slot, s->of[subject].slot);
}

__attribute__((format(printf, 2, 3))) static void say(struct story *s, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(s->out + s->used, s->size - s->used, fmt, args);
    va_end(args);
    s->used = MIN(s->used + (size_t)MAX(n, 0), s->size - 1);
}

/* "c", "c and d", "c, d and e" of those whose bit is set. */
static void say_names(struct story *s, uint32_t set)
{
    uint32_t left = (uint32_t)__builtin_popcount(set);
    for (uint32_t i = 0; i < s->n; i++) {
        if (!(set >> i & 1))
            continue;
        left--;
        say(s, "%s%s", s->of[i].name, left > 1 ? ", " : left == 1 ? " and " : "");
    }
}

/* Of those who speak: bit i is set when i says `what` of the subject, or is the observer's answer.
 */
static uint32_t all_who_say(const struct story *s, uint32_t subject, int what)
{
    uint32_t set = 0;
    for (uint32_t i = 0; i < s->heard; i++)
        if (i != subject && says(s, i, subject) == what)
            set |= UINT32_C(1) << i;
    return set;
}

static uint32_t all_of_whom(const struct story *s, uint32_t observer, int what)
{
    uint32_t set = 0;
    for (uint32_t i = 0; i < s->n; i++)
        if (i != observer && says(s, observer, i) == what)
            set |= UINT32_C(1) << i;
    return set;
}

static const char *plural(uint32_t set, const char *one, const char *many)
{
    return __builtin_popcount(set) == 1 ? one : many;
}

/* All that one is cut off from at once. */
static void tell_one(struct story *s, uint32_t i)
{
    uint32_t hears = all_of_whom(s, i, 1), misses = all_of_whom(s, i, 0);
    uint32_t heard_by = all_who_say(s, i, 1), not_by = all_who_say(s, i, 0);
    if (i < s->heard && !hears && misses && heard_by) {
        s->of[i].told = true;
        say(s, "%s hears nobody; ", s->of[i].name);
        say_names(s, heard_by);
        say(s, " %s it\n", plural(heard_by, "hears", "hear"));
    } else if (i < s->heard && hears && !heard_by && not_by) {
        s->of[i].told = true;
        say(s, "nobody hears %s; it hears ", s->of[i].name);
        say_names(s, hears);
        say(s, "\n");
    }
}

static void tell_mutual(struct story *s, uint32_t a, uint32_t b)
{
    uint32_t both = all_who_say(s, a, 1) & all_who_say(s, b, 1);
    say(s, "%s and %s cannot reach each other", s->of[a].name, s->of[b].name);
    if (both) {
        say(s, "; ");
        say_names(s, both);
        say(s, " %s both", plural(both, "reaches", "reach"));
    }
    say(s, "\n");
}

/* a does not hear b. */
static void tell_pair(struct story *s, uint32_t a, uint32_t b)
{
    uint32_t others = all_who_say(s, b, 1);
    int back = says(s, b, a);
    if (back == 0) {
        if (a < b)
            tell_mutual(s, a, b);
        return;
    }
    if (back == 1)
        say(s, "%s does not hear %s; %s hears %s\n", s->of[a].name, s->of[b].name, s->of[b].name,
            s->of[a].name);
    else if (others) {
        say(s, "%s does not hear %s; ", s->of[a].name, s->of[b].name);
        say_names(s, others);
        say(s, " %s\n", plural(others, "does", "do"));
    }
}

static void place(struct story *s, uint32_t from, struct speaker who)
{
    uint32_t i = s->n++;
    for (; i > from && strcmp(s->of[i - 1].name, who.name) > 0; i--)
        s->of[i] = s->of[i - 1];
    s->of[i] = who;
}

/* Speakers are all that are heard; spoken of are also those for whom somebody vouches. */
static void gather(struct story *s, const char *(*name)(void *, uint64_t), void *context)
{
    const struct membership *m = s->m;
    for (uint16_t i = 0; i < m->n; i++)
        if (i == SELF || m->peers[i].reason == MEMBER_HEARD || m->peers[i].reason == MEMBER_DEAF)
            place(s, 0, (struct speaker){i, name(context, m->peers[i].id), false});
    s->heard = s->n;
    for (uint16_t i = 1; i < m->n; i++)
        if (m->peers[i].reason == MEMBER_VOUCHED)
            place(s, s->heard, (struct speaker){i, name(context, m->peers[i].id), false});
}

size_t member_explain(const struct membership *m, const char *(*name)(void *, uint64_t),
                      void *context, char *out, size_t size)
{
    struct story s = {.m = m, .out = out, .size = size};
    if (size == 0)
        return 0;
    *out = 0;
    if (!m->dense)
        return 0;
    gather(&s, name, context);
    for (uint32_t i = 0; i < s.heard; i++)
        tell_one(&s, i);
    for (uint32_t a = 0; a < s.heard; a++)
        for (uint32_t b = 0; b < s.n; b++)
            if (says(&s, a, b) == 0 && !s.of[a].told && !s.of[b].told)
                tell_pair(&s, a, b);
    if (s.used && out[s.used - 1] == '\n')
        out[--s.used] = 0;
    return s.used;
}
