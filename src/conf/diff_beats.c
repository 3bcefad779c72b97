/* What a reload changes about watched jobs. Of a token, only that it is another one. */
#include "conf/diff.h"
#include "conf/print.h"

static const struct view_beat *find(const struct view *v, struct str name)
{
    for (uint32_t i = 0; i < v->n_beats; i++)
        if (str_eq(v->beats[i].name, name))
            return &v->beats[i];
    return NULL;
}

static void line(struct diff *d, const char *sign, struct str name, const char *what)
{
    d->n++;
    buf_printf(d->out, "%sbeat " STR_FMT "%s", sign, STR_ARG(name), what);
}

static void changes(struct diff *d, const struct view_beat *was, const struct view_beat *is)
{
    const struct block *b = schema_block(BLOCK_BEAT);
    for (size_t i = 0; i < b->n; i++) {
        const struct setting *s = &b->settings[i];
        if (!has_field(s) || same_setting(s, was, is))
            continue;
        line(d, "", is->name, ": ");
        buf_printf(d->out, "%s ", s->key);
        print_setting(s, was, d->out);
        buf_printf(d->out, " -> ");
        print_setting(s, is, d->out);
        diff_end(d);
    }
    if (was->secret == is->secret && memcmp(was->digest, is->digest, sizeof is->digest) == 0)
        return;
    line(d, "", is->name,
         !was->secret  ? ": has a token now"
         : !is->secret ? ": has no token any more"
                       : ": token changed");
    diff_end(d);
}

static void listeners(struct diff *d, char sign, const struct view *v, const struct view *other)
{
    char text[ADDR_TEXT_MAX];
    for (uint32_t i = 0; i < v->n_sockets; i++) {
        const struct view_socket *s = &v->sockets[i];
        bool ours = s->use == SOCKET_BEAT || s->use == SOCKET_BEAT_DATAGRAM;
        if (!ours || diff_has_socket(other, s))
            continue;
        addr_format(&s->addr, text);
        d->n++;
        buf_printf(d->out, "beats: %c listen %s://%s\n", sign,
                   s->use == SOCKET_BEAT ? "tcp" : "udp", text);
    }
}

void diff_beats(struct diff *d)
{
    listeners(d, '-', d->now, d->next);
    listeners(d, '+', d->next, d->now);
    for (uint32_t i = 0; i < d->now->n_beats; i++)
        if (!find(d->next, d->now->beats[i].name)) {
            line(d, "- ", d->now->beats[i].name, "");
            diff_end(d);
        }
    for (uint32_t i = 0; i < d->next->n_beats; i++) {
        const struct view_beat *is = &d->next->beats[i], *was = find(d->now, is->name);
        if (was) {
            changes(d, was, is);
            continue;
        }
        line(d, "+ ", is->name, "");
        diff_end(d);
    }
}
