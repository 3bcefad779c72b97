/* The jobs that say themselves that they live (detect/beat.h), and where they may say so. */
#include "conf/backends.h"
#include "conf/builder.h"
#include "conf/settings.h"

enum { TOKEN_MAX = 256 /* what a line has room for */ };

static bool name_beat(struct builder *b, const struct node *n, struct view_beat *t)
{
    const struct value *arg = backends_argument(b->c, n, BLOCK_BEAT);
    struct str name = arg ? build_name(b, arg, "beat") : (struct str){NULL, 0};
    for (uint32_t i = 0; name.p && i < b->v->n_beats; i++)
        if (str_eq(b->v->beats[i].name, name)) {
            conf_complain(b->c, &arg->place, "", "a second beat '" STR_FMT "'", STR_ARG(name));
            return false;
        }
    t->name = name;
    return name.p != NULL;
}

static void add_beat(struct builder *b, const struct node *n)
{
    struct view_beat *t = &b->v->beats[b->v->n_beats];
    struct seen seen;
    *t = (struct view_beat){0}; /* a refused one may have been here */
    bool ok = name_beat(b, n, t);
    uint32_t errors = b->c->problems->errors;
    settings_apply(b->c, BLOCK_BEAT, n->children, t, &seen);
    const struct node *token = settings_seen(&seen, BLOCK_BEAT, "token");
    t->secret = token && tokens_secret(b->c, token, t->digest);
    if (t->secret && token->value->text.n > TOKEN_MAX)
        conf_complain(b->c, &token->value->place, "", "the token has more than %d bytes",
                      TOKEN_MAX);
    if (!settings_seen(&seen, BLOCK_BEAT, "grace"))
        t->grace = t->every / 2;
    bool complete = ok && !n->damaged && b->c->problems->errors == errors;
    if (complete && !settings_seen(&seen, BLOCK_BEAT, "every"))
        conf_complain(b->c, &n->place, "add 'every = 1m'", "beat '" STR_FMT "' has no every",
                      STR_ARG(t->name));
    b->v->n_beats += ok && t->every;
}

/* What comes from elsewhere is neither secret on its way nor from whom it says, but for a token. */
static void check_far(struct builder *b, const struct node *listen)
{
    bool far = false, open = false;
    for (uint32_t i = 0; i < b->v->n_sockets; i++) {
        const struct view_socket *s = &b->v->sockets[i];
        bool ours = s->use == SOCKET_BEAT || s->use == SOCKET_BEAT_DATAGRAM;
        far |= ours && !build_is_near(&s->addr);
    }
    for (uint32_t i = 0; i < b->v->n_beats; i++)
        open |= !b->v->beats[i].secret;
    if (far && open)
        conf_warn(b->c, &listen->place, "give each beat a 'token', or listen on 127.0.0.1",
                  "whoever reaches this address may send beats that have no token");
}

void beats_build(struct builder *b, const struct node *top)
{
    struct node parent = {.children = (struct node *)(uintptr_t)top};
    struct seen seen;
    uint32_t n = build_count(top, "beat"), used = 0;
    uint32_t room = MIN(n, (uint32_t)VIEW_MAX_BEATS);
    const struct node *beats = settings_block(b->c, &parent, BLOCK_BEATS);
    settings_apply(b->c, BLOCK_BEATS, beats ? beats->children : NULL, b->v, &seen);
    build_listen(b, beats, "listen", SOCKET_BEAT, "the beats block");
    b->v->beats = build_array(b, room, sizeof *b->v->beats);
    for (const struct node *k = top; k && b->v->beats; k = k->next) {
        if (!build_is(k, "beat"))
            continue;
        if (used++ == room) {
            conf_complain(b->c, &k->place, "", "more than %d beats", VIEW_MAX_BEATS);
            break;
        }
        add_beat(b, k);
    }
    const struct node *listen = settings_seen(&seen, BLOCK_BEATS, "listen");
    if (listen && n == 0)
        conf_warn(b->c, &listen->place, "add 'beat NAME { every = 1m }'", "no beat is watched");
    if (listen)
        check_far(b, listen);
}
