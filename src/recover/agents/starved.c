#include "recover/agents/starved.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { TEXT = 512 };

/* proc(5): "PID (NAME) STATE ..."; a name may have parentheses. */
static char state_of(struct str stat)
{
    size_t i = stat.n;
    while (i > 0 && stat.p[i - 1] != ')')
        i--;
    return i > 0 && i + 1 < stat.n && stat.p[i] == ' ' ? stat.p[i + 1] : 0;
}

static bool number(struct str *text, uint64_t *out)
{
    size_t n = 0;
    while (n < text->n && text->p[n] >= '0' && text->p[n] <= '9')
        n++;
    if (!str_u64((struct str){text->p, n}, UINT64_MAX, out))
        return false;
    n += n < text->n;
    *text = (struct str){text->p + n, text->n - n};
    return true;
}

bool starved_read(struct str schedstat, struct str stat, uint64_t *ran, uint64_t *over, char *state)
{
    *state = state_of(stat);
    return *state && number(&schedstat, ran) && number(&schedstat, over);
}

uint64_t starved_seen(struct starved *s, uint64_t now, uint64_t ran, uint64_t over, char state)
{
    bool waits = state == 'R' && s->state == 'R' && ran == s->ran && over == s->over;
    if (state != 'R')
        s->since = 0;
    else if (!waits || !s->since)
        s->since = now;
    uint64_t all = over + (s->since ? now - s->since : 0);
    uint64_t more = s->state && all > s->most ? all - s->most : 0;
    s->most = MAX(s->most, all);
    s->state = state;
    s->ran = ran;
    s->over = over;
    return more;
}

void starved_init(struct starved *s)
{
    *s = (struct starved){.schedstat = -1, .stat = -1};
}

void starved_close(struct starved *s)
{
    if (s->schedstat >= 0)
        close(s->schedstat);
    if (s->stat >= 0)
        close(s->stat);
    starved_init(s);
}

void starved_open(struct starved *s, pid_t pid)
{
    char path[64];
    starved_close(s);
    snprintf(path, sizeof path, "/proc/%ld/schedstat", (long)pid);
    s->schedstat = open(path, O_RDONLY | O_CLOEXEC);
    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    s->stat = open(path, O_RDONLY | O_CLOEXEC);
}

static struct str text_of(int fd, char out[TEXT])
{
    ssize_t n = fd < 0 ? -1 : pread(fd, out, TEXT, 0);
    return (struct str){out, n > 0 ? (size_t)n : 0};
}

/* The state first: what runs after it was read shows in what is read then. */
uint64_t starved_look(struct starved *s, uint64_t now)
{
    char stat[TEXT], schedstat[TEXT], state;
    uint64_t ran, over;
    struct str says = text_of(s->stat, stat);
    if (!starved_read(text_of(s->schedstat, schedstat), says, &ran, &over, &state))
        return 0;
    return starved_seen(s, now, ran, over, state);
}

const char *starved_state(const struct starved *s)
{
    switch (s->state) {
    case 'R': return s->since ? "it gets no processor" : "it computes";
    case 'D': return "it waits for a disk";
    case 'T':
    case 't': return "it is stopped";
    case 'S': return "it sleeps";
    case 'Z':
    case 'X': return "it ends";
    default: return "it is not known what it does";
    }
}
