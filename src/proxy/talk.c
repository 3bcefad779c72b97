#include "proxy/talk.h"

enum what {
    WHAT_PLAIN,
    WHAT_KEEP,
    WHAT_RESET,
    WHAT_CLIENT, /* its second word decides */
    WHAT_MULTI,
    WHAT_MULTI_ENDS,
    WHAT_WATCH,
    WHAT_UNWATCH,
    WHAT_WILD,
    WHAT_FIX,
    WHAT_BLOCK,
};

struct name {
    const char *text; /* in capitals */
    uint8_t what, kept;
};
static const struct name names[] = {
    {"AUTH", WHAT_KEEP, KEPT_AUTH},
    {"HELLO", WHAT_KEEP, KEPT_HELLO},
    {"SELECT", WHAT_KEEP, KEPT_SELECT},
    {"READONLY", WHAT_KEEP, KEPT_READONLY},
    {"READWRITE", WHAT_KEEP, KEPT_READONLY},
    {"RESET", WHAT_RESET, 0},
    {"CLIENT", WHAT_CLIENT, 0},
    {"MULTI", WHAT_MULTI, 0},
    {"EXEC", WHAT_MULTI_ENDS, 0},
    {"DISCARD", WHAT_MULTI_ENDS, 0},
    {"WATCH", WHAT_WATCH, 0},
    {"UNWATCH", WHAT_UNWATCH, 0},
    {"SUBSCRIBE", WHAT_WILD, 0},
    {"PSUBSCRIBE", WHAT_WILD, 0},
    {"SSUBSCRIBE", WHAT_WILD, 0},
    {"UNSUBSCRIBE", WHAT_WILD, 0},
    {"PUNSUBSCRIBE", WHAT_WILD, 0},
    {"SUNSUBSCRIBE", WHAT_WILD, 0},
    {"MONITOR", WHAT_WILD, 0},
    {"SYNC", WHAT_WILD, 0},
    {"PSYNC", WHAT_WILD, 0},
    {"REPLCONF", WHAT_WILD, 0},
    {"BLPOP", WHAT_BLOCK, 0},
    {"BRPOP", WHAT_BLOCK, 0},
    {"BLMOVE", WHAT_BLOCK, 0},
    {"BLMPOP", WHAT_BLOCK, 0},
    {"BRPOPLPUSH", WHAT_BLOCK, 0},
    {"BZPOPMIN", WHAT_BLOCK, 0},
    {"BZPOPMAX", WHAT_BLOCK, 0},
    {"BZMPOP", WHAT_BLOCK, 0},
    {"XREAD", WHAT_BLOCK, 0},
    {"XREADGROUP", WHAT_BLOCK, 0},
    {"WAIT", WHAT_BLOCK, 0},
    {"WAITAOF", WHAT_BLOCK, 0},
};
static const struct name client_names[] = {
    {"SETNAME", WHAT_KEEP, KEPT_NAME},   {"NO-EVICT", WHAT_KEEP, KEPT_EVICT},
    {"NO-TOUCH", WHAT_KEEP, KEPT_TOUCH}, {"REPLY", WHAT_WILD, 0},
    {"TRACKING", WHAT_FIX, 0},           {"CACHING", WHAT_FIX, 0},
};

static bool is_word(struct str s, const char *capitals)
{
    if (s.n != strlen(capitals))
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != capitals[i] && (s.p[i] & ~0x20) != capitals[i])
            return false;
    return true;
}

static struct name find(const struct name *table, size_t n, struct str word)
{
    for (size_t i = 0; word.n && i < n; i++)
        if ((word.p[0] & ~0x20) == table[i].text[0] && is_word(word, table[i].text))
            return table[i];
    return (struct name){"", WHAT_PLAIN, 0};
}

static struct name classify(const char *p, size_t n)
{
    struct str w[3];
    size_t words = resp_words(p, n, w, 1);
    if (words == 0)
        return (struct name){"", WHAT_PLAIN, 0};
    struct name found = find(names, ARRAY_LEN(names), w[0]);
    if (found.what != WHAT_CLIENT)
        return found;
    words = resp_words(p, n, w, 3);
    if (words < 2)
        return (struct name){"", WHAT_PLAIN, 0};
    if (words == 3 && is_word(w[1], "SETINFO"))
        return (struct name){"", WHAT_KEEP,
                             is_word(w[2], "LIB-NAME") ? KEPT_LIBRARY : KEPT_VERSION};
    return find(client_names, ARRAY_LEN(client_names), w[1]);
}

/* Its reply decides what becomes of it, so it goes alone. Within MULTI it is only queued: whether
 * it takes effect is not known. */
static void keep(struct talk *t, enum talk_kept as, struct str text, bool whole)
{
    if (!whole || t->multi || text.n > TALK_STATE_MAX) {
        t->fixed = true;
        return;
    }
    buf_clear(&t->next);
    if (!buf_add_str(&t->next, text)) {
        t->fixed = true;
        return;
    }
    t->keeps = true;
    t->next_kept = (uint8_t)as;
    t->barrier = t->asked;
}

static void reset(struct talk *t)
{
    t->multi = t->watch = false;
    for (int i = 0; i < KEPTS; i++) {
        t->kept[i].at = 0;
        buf_free(&t->kept[i].text);
    }
}

/* The command is on its way: `asked` counts it. */
static void took(struct talk *t, struct name name, struct str text, bool whole)
{
    switch ((enum what)name.what) {
    case WHAT_PLAIN:
    case WHAT_CLIENT: break;
    case WHAT_KEEP: keep(t, (enum talk_kept)name.kept, text, whole); break;
    case WHAT_RESET:
        t->resets = true;
        t->barrier = t->asked;
        break;
    case WHAT_MULTI: t->multi = true; break;
    case WHAT_MULTI_ENDS: t->multi = t->watch = false; break;
    case WHAT_WATCH: t->watch = true; break;
    case WHAT_UNWATCH: t->watch = t->watch && t->multi; break;
    case WHAT_WILD: t->wild = true; break;
    case WHAT_FIX: t->fixed = true; break;
    case WHAT_BLOCK: t->blocking = t->barrier = t->asked; break;
    }
}

static bool goes_alone(struct name name)
{
    return name.what == WHAT_KEEP || name.what == WHAT_RESET;
}

/* The command at the front: how many of its bytes may go, or -1. */
static ssize_t next_command(struct talk *t, const char *p, size_t n, bool room)
{
    size_t used;
    struct resp_frame look = {0};
    int r = resp_frame_command(&look, p, n, &used);
    if (r == RESP_BAD)
        return -1;
    if (r == RESP_MORE && room)
        return 0;
    struct name name = {"", WHAT_PLAIN, 0};
    if (!look.empty)
        name = classify(p, n);
    if (goes_alone(name) && t->asked != t->answered)
        return 0;
    t->ask = look;
    if (!look.empty) {
        t->asked++;
        took(t, name, (struct str){p, used}, r == RESP_DONE);
    }
    return (ssize_t)used;
}

ssize_t talk_ask(struct talk *t, const char *p, size_t n, bool room)
{
    size_t at = 0;
    while (at < n && !t->wild) {
        if (!resp_frame_between(&t->ask)) {
            size_t used;
            if (resp_frame_command(&t->ask, p + at, n - at, &used) == RESP_BAD)
                return -1;
            at += used;
            continue;
        }
        if (t->stop || t->answered < t->barrier)
            return (ssize_t)at;
        ssize_t used = next_command(t, p + at, n - at, room);
        if (used < 0)
            return -1;
        if (used == 0)
            return (ssize_t)at;
        at += (size_t)used;
    }
    return (ssize_t)(t->wild ? n : at);
}

/* Accepted: it takes the place of the one before. */
static void commit(struct talk *t)
{
    if (t->resets) {
        reset(t);
    } else if (t->keeps) {
        struct buf before = t->kept[t->next_kept].text;
        t->kept[t->next_kept].text = t->next;
        t->kept[t->next_kept].at = ++t->kept_n;
        t->next = before;
    }
}

static void answered(struct talk *t)
{
    if (t->answer.type == '>')
        return; /* nobody asked */
    if (t->answered == t->asked) {
        t->wild = true; /* the instance speaks by itself: it is about to end this */
        return;
    }
    t->answered++;
    if (!t->keeps && !t->resets)
        return;
    if (t->answer.type != '-')
        commit(t);
    t->keeps = t->resets = false;
}

ssize_t talk_answer(struct talk *t, const char *p, size_t n)
{
    size_t at = 0;
    while (at < n && !t->wild) {
        size_t used;
        if (resp_frame_between(&t->answer) && p[at] == 0)
            return (ssize_t)at;
        int r = resp_frame_reply(&t->answer, p + at, n - at, &used);
        if (r == RESP_BAD)
            return -1;
        at += used;
        if (r == RESP_DONE)
            answered(t);
    }
    return (ssize_t)(t->wild ? n : at);
}

bool talk_replay(const struct talk *t, struct buf *out, uint32_t *replies)
{
    uint64_t last = 0;
    *replies = 0;
    for (;;) {
        int next = -1;
        for (int i = 0; i < KEPTS; i++)
            if (t->kept[i].at > last && (next < 0 || t->kept[i].at < t->kept[next].at))
                next = i;
        if (next < 0)
            return true;
        if (!buf_add_str(out, buf_str(&t->kept[next].text)))
            return false;
        last = t->kept[next].at;
        ++*replies;
    }
}

void talk_free(struct talk *t)
{
    for (int i = 0; i < KEPTS; i++)
        buf_free(&t->kept[i].text);
    buf_free(&t->next);
}
