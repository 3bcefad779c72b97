/* The tokens of the admin API. A secret never stands in the file, only a reference to it, and of it
 * only a SHA-256 goes into the view. */
#include "conf/backends.h"
#include "conf/builder.h"
#include "conf/settings.h"
#include "os/digest.h"

enum { SECRET_MIN = 16 };

static const char how[] = "as in: head -c 32 /dev/urandom | base64";

static bool same_secret(const struct view *v, const struct view_token *t)
{
    for (uint32_t i = 0; i < v->n_tokens; i++)
        if (digest_same(v->tokens[i].digest, t->digest))
            return true;
    return false;
}

bool tokens_secret(struct conf *c, const struct node *n, uint8_t digest[32])
{
    const struct value *v = n ? n->value : NULL;
    if (!v || v->bad || v->kind == VALUE_LIST)
        return false;
    if (!v->secret) {
        conf_complain(c, &v->place,
                      conf_text(c, "write " STR_FMT " = file:/PATH or " STR_FMT " = env:NAME",
                                STR_ARG(n->name), STR_ARG(n->name)),
                      "a secret does not belong into this file");
        return false;
    }
    if (v->text.n < SECRET_MIN) {
        conf_complain(c, &v->place, how, "the secret has less than %d bytes", SECRET_MIN);
        return false;
    }
    for (size_t i = 0; i < v->text.n; i++)
        if ((unsigned char)v->text.p[i] <= 0x20 || (unsigned char)v->text.p[i] >= 0x7f) {
            conf_complain(c, &v->place, how,
                          "the secret has bytes that are not visible characters");
            return false;
        }
    if (!digest_sha256(v->text, digest)) {
        c->nomem = true;
        return false;
    }
    return true;
}

static uint32_t right(struct conf *c, const struct value *v)
{
    struct suggest near = suggest_for(v->raw);
    if (v->bad)
        return 0;
    if (str_eq(v->text, STR("all")))
        return (1u << RIGHTS) - 1;
    for (unsigned i = 0; i < RIGHTS; i++) {
        if (str_eq(v->text, str_of(view_right_name(i))))
            return 1u << i;
        suggest_try(&near, str_of(view_right_name(i)));
    }
    const char *hint = near.n ? conf_text(c, "did you mean '" STR_FMT "'?", STR_ARG(near.name[0]))
                              : "rights are read, metrics, drain, instances, reload, restart, "
                                "upgrade, cluster, beat, keys, apply, roles and all";
    conf_complain(c, &v->place, hint, "unknown right '" STR_FMT "'", STR_ARG(conf_shown(v)));
    return 0;
}

static uint32_t rights(struct conf *c, const struct node *n)
{
    uint32_t all = 0;
    if (!n || !n->value)
        return RIGHT_READ | RIGHT_METRICS;
    if (n->value->kind != VALUE_LIST)
        return right(c, n->value);
    for (const struct value *i = n->value->items; i; i = i->next)
        all |= right(c, i);
    return all;
}

static bool name_token(struct builder *b, const struct node *n, struct view_token *t)
{
    const struct value *arg = backends_argument(b->c, n, BLOCK_TOKEN);
    if (!arg)
        return false;
    if (arg->secret || !settings_name_valid(arg->text)) {
        conf_complain(b->c, &arg->place, "a name has up to 63 letters, digits, '.', '_' and '-'",
                      "'" STR_FMT "' is no name for a token", STR_ARG(conf_shown(arg)));
        return false;
    }
    for (uint32_t i = 0; i < b->v->n_tokens; i++)
        if (str_eq(b->v->tokens[i].name, arg->text)) {
            conf_complain(b->c, &arg->place, "", "a second token '" STR_FMT "'",
                          STR_ARG(conf_shown(arg)));
            return false;
        }
    t->name = arena_str(&b->v->arena, arg->text);
    b->c->nomem |= !t->name.p;
    return t->name.p != NULL;
}

static void add_token(struct builder *b, const struct node *n)
{
    struct view_token *t = &b->v->tokens[b->v->n_tokens];
    struct seen seen;
    *t = (struct view_token){0}; /* a refused one may have been here */
    bool ok = name_token(b, n, t);
    uint32_t errors = b->c->problems->errors;
    settings_apply(b->c, BLOCK_TOKEN, n->children, t, &seen);
    const struct node *secret = settings_seen(&seen, BLOCK_TOKEN, "secret");
    t->rights = rights(b->c, settings_seen(&seen, BLOCK_TOKEN, "rights"));
    if (!secret && ok && !n->damaged && b->c->problems->errors == errors)
        conf_complain(b->c, &n->place, "add 'secret = file:/PATH'", "this token has no secret");
    if (!tokens_secret(b->c, secret, t->digest) || !ok)
        return;
    if (same_secret(b->v, t))
        conf_complain(b->c, &secret->place, "", "another token has the same secret");
    b->v->n_tokens++;
}

void tokens_build(struct builder *b, const struct node *admin)
{
    uint32_t n = build_count(admin ? admin->children : NULL, "token"), used = 0;
    uint32_t room = MIN(n, (uint32_t)VIEW_MAX_TOKENS);
    b->v->tokens = build_array(b, room, sizeof *b->v->tokens);
    for (const struct node *k = admin ? admin->children : NULL; k && b->v->tokens; k = k->next) {
        if (!build_is(k, "token"))
            continue;
        if (used++ == room) {
            conf_complain(b->c, &k->place, "", "more than %d tokens", VIEW_MAX_TOKENS);
            break;
        }
        add_token(b, k);
    }
}
