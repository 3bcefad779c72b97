#include "mesh/mesh_keys.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "os/os.h"

enum { DO = 1, ANSWER = 2, FILE_MAX = 256 };

struct peer_state {
    char name[256];
    bool done, seen;
    uint64_t asked_at; /* 0: not yet */
};

struct rotation {
    struct rotation_host host;
    char path[4096];
    uint8_t state, step;
    bool force, left_out;        /* somebody was not alive */
    bool stuck;                  /* this node itself cannot do the step: text tells */
    uint64_t number, settled_at; /* when everybody had done `use`; 0: not yet */
    uint32_t key;
    uint8_t secret[SEAL_SECRET];
    char text[512];
    struct peer_state peers[VIEW_MAX_NODES]; /* in the order of nodes() */
    bool done[VIEW_MAX_NODES];
    uint32_t n;
    struct rotation_node nodes[VIEW_MAX_NODES]; /* as of the latest look */
};

const char *rotation_step_name(enum rotation_step s)
{
    static const char *const names[ROTATION_STEPS] = {"accept", "use", "drop"};
    CHECK(s < ROTATION_STEPS);
    return names[s];
}

static void tell(struct rotation *r, bool bad, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void tell(struct rotation *r, bool bad, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    r->host.tell(r->host.context, bad, text);
}

/* --- STATE's file: "NUMBER STEP KEY FORCE LEFT-OUT" --- */

static int keep(const struct rotation *r, struct err *e)
{
    char text[FILE_MAX];
    int n =
        snprintf(text, sizeof text, "%016llx %s %08x %d %d\n", (unsigned long long)r->number,
                 rotation_step_name((enum rotation_step)r->step), r->key, r->force, r->left_out);
    return file_replace(r->path, (struct str){text, (size_t)n}, 0600, e);
}

static void forget(const struct rotation *r)
{
    unlink(r->path); /* one that stays is found done, or done again, which changes nothing */
}

static bool parse(struct rotation *r, const char *text)
{
    unsigned long long number;
    char step[16];
    int force, left_out;
    if (sscanf(text, "%16llx %15s %8x %1d %1d", &number, step, &r->key, &force, &left_out) != 5)
        return false;
    r->number = number;
    r->force = force != 0;
    r->left_out = left_out != 0;
    for (unsigned s = 0; s < ROTATION_STEPS; s++)
        if (strcmp(step, rotation_step_name((enum rotation_step)s)) == 0) {
            r->step = (uint8_t)s;
            return true;
        }
    return false;
}

/* --- what a step makes of a key file --- */

static int accept_key(struct keyring *k, const uint8_t secret[SEAL_SECRET], uint32_t id,
                      struct err *e)
{
    return keyring_find(k, id) ? 0 : keyring_add(k, secret, e);
}

static int drop_others(struct keyring *k, uint32_t id, struct err *e)
{
    int rc = 0;
    for (uint32_t i = k->n; rc == 0 && i-- > 0;)
        if (k->keys[i].id != id)
            rc = keyring_drop(k, k->keys[i].id, e);
    return rc;
}

static int apply(struct keyring *k, enum rotation_step step, const uint8_t secret[SEAL_SECRET],
                 uint32_t id, struct err *e)
{
    int rc = accept_key(k, secret, id, e);
    if (rc == 0 && step >= ROTATION_USE)
        rc = keyring_use(k, id, e);
    if (rc == 0 && step == ROTATION_DROP)
        rc = drop_others(k, id, e);
    return rc;
}

static bool same(const struct keyring *a, const struct keyring *b)
{
    bool equal = a->n == b->n;
    for (uint32_t i = 0; equal && i < a->n; i++)
        equal = a->keys[i].id == b->keys[i].id && a->keys[i].use == b->keys[i].use;
    return equal;
}

static bool id_of(const uint8_t secret[SEAL_SECRET], uint32_t *id)
{
    struct keyring k = {0};
    bool ok = keyring_add(&k, secret, NULL) == 0;
    *id = k.keys[0].id;
    keyring_wipe(&k);
    return ok;
}

/* One step here. */
static int do_step(struct rotation *r, enum rotation_step step, const uint8_t secret[SEAL_SECRET],
                   struct err *e)
{
    static const char *const what[ROTATION_STEPS] = {"is accepted", "is in use",
                                                     "is the only one now"};
    struct keyring was = {0}, is;
    uint32_t id;
    int rc = id_of(secret, &id) ? r->host.read(r->host.context, &was, e)
                                : err_set(e, ERR_NOMEM, "no memory for a key");
    is = was;
    if (rc == 0)
        rc = apply(&is, step, secret, id, e);
    if (rc == 0 && same(&was, &is)) {
        rc = r->host.adopt(r->host.context, e);
    } else if (rc == 0) {
        rc = r->host.write(r->host.context, &is, e);
        if (rc == 0)
            tell(r, false, "key %08x %s", id, what[step]);
    }
    keyring_wipe(&was);
    keyring_wipe(&is);
    return rc;
}

/* --- messages --- */

static void send_do(struct rotation *r, struct str node, enum rotation_step step,
                    const uint8_t secret[SEAL_SECRET])
{
    struct buf b = {0};
    buf_reserve(&b, 128);
    put_u8(&b, DO);
    put_u64(&b, r->number);
    put_u8(&b, (uint8_t)step);
    put_str(&b, (struct str){(const char *)secret, SEAL_SECRET});
    put_u8(&b, r->force);
    if (!b.failed)
        r->host.send(r->host.context, node, buf_str(&b));
    if (b.p)
        wipe(b.p, b.cap);
    buf_free(&b);
}

static void send_answer(struct rotation *r, struct str node, uint64_t number, uint8_t step, int rc,
                        const struct err *e)
{
    struct buf b = {0};
    put_u8(&b, ANSWER);
    put_u64(&b, number);
    put_u8(&b, step);
    put_u8(&b, rc == 0);
    put_str(&b, rc ? str_of(e->text) : STR(""));
    if (!b.failed)
        r->host.send(r->host.context, node, buf_str(&b));
    buf_free(&b);
}

/* --- the driver --- */

/* Looks who is there. Peers keep what they have done by their names. */
static void look(struct rotation *r)
{
    uint32_t n = r->host.nodes(r->host.context, r->nodes, VIEW_MAX_NODES);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t k = i;
        while (k < r->n && !str_eq(str_of(r->peers[k].name), r->nodes[i].name))
            k++;
        struct peer_state p = {0};
        if (k < r->n)
            p = r->peers[k];
        else
            str_copy(p.name, sizeof p.name, r->nodes[i].name);
        if (k >= r->n && r->n < VIEW_MAX_NODES)
            k = r->n++;
        r->peers[MIN(k, (uint32_t)VIEW_MAX_NODES - 1)] = r->peers[i];
        r->peers[i] = p;
    }
    r->n = n;
    for (uint32_t i = 0; i < n; i++)
        r->done[i] = r->peers[i].done;
}

static void wait_text(struct rotation *r)
{
    size_t at = 0;
    r->text[0] = 0;
    for (uint32_t i = 0; i < r->n && at + 64 < sizeof r->text; i++) {
        const struct rotation_node *n = &r->nodes[i];
        if (r->peers[i].done || (!n->alive && r->force))
            continue;
        int put = snprintf(r->text + at, sizeof r->text - at, "%s" STR_FMT "%s%s%s",
                           at ? ", " : "waits for ", (int)MIN(n->name.n, 48u), n->name.p,
                           n->alive ? "" : " (", n->alive ? "" : n->state, n->alive ? "" : ")");
        at += put > 0 ? MIN((size_t)put, sizeof r->text - at - 1) : 0;
    }
    if (at == 0 && r->step == ROTATION_USE)
        str_copy(r->text, sizeof r->text, STR("all use it; the old key goes in some seconds"));
}

static void end(struct rotation *r, enum rotation_state state, const char *text)
{
    r->state = (uint8_t)state;
    str_copy(r->text, sizeof r->text, str_of(text));
    wipe(r->secret, sizeof r->secret);
    forget(r);
    tell(r, state == ROTATION_FAILED, "%s", text);
}

/* Everything that the ring still knows of the new key; a driver that comes back has it from there.
 */
static int find_secret(struct rotation *r, struct err *e)
{
    struct keyring k = {0};
    int rc = r->host.read(r->host.context, &k, e);
    const struct seal_key *key = rc ? NULL : keyring_find(&k, r->key);
    if (key)
        memcpy(r->secret, key->secret, SEAL_SECRET);
    else if (rc == 0)
        rc = err_set(e, ERR_ABSENT, "the key %08x is no longer in the key file", r->key);
    keyring_wipe(&k);
    return rc;
}

static void begin_step(struct rotation *r, enum rotation_step step)
{
    r->step = (uint8_t)step;
    r->settled_at = 0;
    for (uint32_t i = 0; i < r->n; i++) {
        r->peers[i].done = false;
        r->peers[i].asked_at = 0;
    }
}

/* A node that uses the new key may yet have something that knows only the old one. */
static bool has_moved(const struct rotation *r, uint8_t step)
{
    return step != ROTATION_USE || !r->host.moved || r->host.moved(r->host.context);
}

/* True when this node has done it, or does it now. */
static bool do_own(struct rotation *r, uint32_t i, uint64_t now)
{
    struct err e = {0};
    struct peer_state *p = &r->peers[i];
    if (p->done)
        return true;
    if (p->asked_at && now - p->asked_at < ROTATION_AGAIN_NS)
        return false;
    if (do_step(r, (enum rotation_step)r->step, r->secret, &e)) {
        if (r->step == ROTATION_ACCEPT)
            end(r, ROTATION_FAILED, e.text);
        else
            str_copy(r->text, sizeof r->text, str_of(e.text));
        r->stuck = true;
        return false;
    }
    p->done = r->done[i] = has_moved(r, r->step);
    p->asked_at = p->done ? 0 : MAX(now, UINT64_C(1));
    return p->done;
}

/* Asks whoever has not done the step. True: all have. */
static bool ask_all(struct rotation *r, uint64_t now)
{
    bool all = true;
    for (uint32_t i = 0; i < r->n && r->state == ROTATION_RUNS; i++) {
        struct peer_state *p = &r->peers[i];
        const struct rotation_node *n = &r->nodes[i];
        if (n->self) {
            all = do_own(r, i, now) && all;
            continue;
        }
        if (!n->alive && r->force) {
            r->left_out = r->left_out || !p->done;
            continue;
        }
        if (p->done)
            continue;
        all = false;
        if (!n->alive || (p->asked_at && now - p->asked_at < ROTATION_AGAIN_NS))
            continue;
        p->asked_at = MAX(now, UINT64_C(1));
        send_do(r, n->name, (enum rotation_step)r->step, r->secret);
    }
    return all;
}

static void finish(struct rotation *r)
{
    char text[256];
    if (r->left_out)
        snprintf(text, sizeof text,
                 "all nodes that are alive use key %08x; the old one is still accepted for those "
                 "that were not: rotate again when they are back",
                 r->key);
    else
        snprintf(text, sizeof text, "all nodes use key %08x, and no other is accepted", r->key);
    end(r, ROTATION_DONE, text);
}

static void next(struct rotation *r, uint64_t now)
{
    struct err e = {0};
    if (r->step == ROTATION_DROP || (r->step == ROTATION_USE && r->left_out)) {
        finish(r);
        return;
    }
    if (r->step == ROTATION_USE) {
        if (!r->settled_at)
            r->settled_at = MAX(now, UINT64_C(1));
        if (now - r->settled_at < ROTATION_SETTLE_NS)
            return;
    }
    uint8_t was = r->step;
    r->step++;
    if (keep(r, &e)) { /* a step that is not kept is not begun */
        r->step = was;
        str_copy(r->text, sizeof r->text, str_of(e.text));
        return;
    }
    begin_step(r, (enum rotation_step)r->step);
}

void rotation_tick(struct rotation *r, uint64_t now)
{
    if (r->state != ROTATION_RUNS)
        return;
    look(r);
    r->stuck = false;
    bool all = ask_all(r, now);
    if (r->state != ROTATION_RUNS || r->stuck)
        return;
    wait_text(r);
    if (all)
        next(r, now);
}

static int check_alive(struct rotation *r, bool force, struct err *e)
{
    look(r);
    if (r->n < 2)
        return err_set(e, ERR_ABSENT,
                       "this node is alone: change its key file with 'holdfast key'");
    for (uint32_t i = 0; i < r->n && !force; i++)
        if (!r->nodes[i].alive)
            return err_set(e, ERR_DENIED,
                           "node " STR_FMT " is %s: wait until it is back, remove it from the "
                           "configuration, or leave it out with --force, which keeps the old key "
                           "accepted",
                           STR_ARG(r->nodes[i].name), r->nodes[i].state);
    return 0;
}

static void start_fresh(struct rotation *r, bool force)
{
    r->state = ROTATION_RUNS;
    r->force = force;
    r->left_out = false;
    r->n = 0;
    r->host.entropy(r->host.context, &r->number, sizeof r->number);
    r->host.entropy(r->host.context, r->secret, sizeof r->secret);
    begin_step(r, ROTATION_ACCEPT);
}

int rotation_start(struct rotation *r, bool force, uint64_t now, struct err *e)
{
    if (r->state == ROTATION_RUNS)
        return err_set(e, ERR_EXISTS, "a rotation to key %08x runs already: %s", r->key, r->text);
    int rc = check_alive(r, force, e);
    if (rc)
        return rc;
    start_fresh(r, force);
    if (!id_of(r->secret, &r->key))
        rc = err_set(e, ERR_NOMEM, "no memory for a key");
    if (rc == 0)
        rc = do_step(r, ROTATION_ACCEPT, r->secret, e);
    if (rc == 0)
        rc = keep(r, e);
    if (rc) {
        r->state = ROTATION_NONE;
        wipe(r->secret, sizeof r->secret);
        return rc;
    }
    tell(r, false, "a rotation to key %08x begins", r->key);
    rotation_tick(r, now);
    return 0;
}

/* --- hearing --- */

static void hear_do(struct rotation *r, struct str from, struct reader *b)
{
    struct err e = {0};
    uint64_t number = get_u64(b);
    uint8_t step = get_u8(b);
    struct str secret = get_str(b);
    bool force = get_u8(b) == 1;
    if (b->failed || step >= ROTATION_STEPS || secret.n != SEAL_SECRET)
        return;
    int rc;
    if (r->state == ROTATION_RUNS && number != r->number && !force)
        rc = err_set(&e, ERR_EXISTS, "it drives a rotation itself");
    else
        rc = do_step(r, (enum rotation_step)step, (const uint8_t *)secret.p, &e);
    if (rc == 0 && !has_moved(r, step))
        return; /* it is asked again */
    send_answer(r, from, number, step, rc, &e);
}

static void hear_answer(struct rotation *r, struct str from, struct reader *b)
{
    uint64_t number = get_u64(b);
    uint8_t step = get_u8(b);
    bool done = get_u8(b) == 1;
    struct str why = get_str(b);
    char text[400];
    if (b->failed || r->state != ROTATION_RUNS || number != r->number || step != r->step)
        return;
    for (uint32_t i = 0; i < r->n; i++)
        if (str_eq(str_of(r->peers[i].name), from))
            r->peers[i].done = r->done[i] = r->peers[i].done || done;
    if (done)
        return;
    snprintf(text, sizeof text, "node " STR_FMT " cannot: " STR_FMT, STR_ARG(from),
             (int)MIN(why.n, 240u), why.p);
    if (step == ROTATION_ACCEPT)
        end(r, ROTATION_FAILED, text);
    else
        tell(r, true, "%s; it is asked again", text);
}

void rotation_hear(struct rotation *r, struct str from, struct str bytes, uint64_t now)
{
    struct reader b = reader_of(bytes.p, bytes.n);
    uint8_t what = get_u8(&b);
    if (what == DO) {
        hear_do(r, from, &b);
    } else if (what == ANSWER) {
        hear_answer(r, from, &b);
        rotation_tick(r, now);
    }
}

/* Whoever comes in by an older key than the one in use has slept through a rotation. */
void rotation_link(struct rotation *r, struct str node, uint32_t key)
{
    struct keyring k = {0};
    if (r->host.read(r->host.context, &k, NULL) == 0) {
        const struct seal_key *used = keyring_in_use(&k), *his = keyring_find(&k, key);
        if (used && his && his > used) /* the newest come first */
            send_do(r, node, ROTATION_USE, used->secret);
    }
    keyring_wipe(&k);
}

/* --- start and end --- */

static int load(struct rotation *r, struct err *e)
{
    struct buf text = {0};
    int rc = file_read(r->path, FILE_MAX, &text, e);
    buf_add(&text, "", 1);
    if (rc == 0 && (text.failed || !parse(r, text.p)))
        rc = err_set(e, ERR_PROTO, "%s is damaged: a rotation of keys that ran is not gone on with",
                     r->path);
    buf_free(&text);
    return rc;
}

int rotation_open(struct rotation **out, const char *path, const struct rotation_host *h,
                  struct err *e)
{
    struct rotation *r = mem_zero(1, sizeof *r);
    struct err why = {0};
    if (!r)
        return err_set(e, ERR_NOMEM, "no memory for the cluster's keys");
    r->host = *h;
    if (str_copy(r->path, sizeof r->path, str_of(path)) < strlen(path)) {
        mem_free(r);
        return err_set(e, ERR_LIMIT, "the state directory's path is too long");
    }
    int rc = load(r, &why);
    if (rc == 0)
        rc = find_secret(r, &why);
    if (rc == 0) {
        r->state = ROTATION_RUNS;
        tell(r, false, "the rotation to key %08x goes on at its step '%s'", r->key,
             rotation_step_name((enum rotation_step)r->step));
    } else if (rc != -ERR_ABSENT || r->number) {
        end(r, ROTATION_FAILED, why.text);
    }
    *out = r;
    return 0;
}

void rotation_free(struct rotation *r)
{
    if (r)
        wipe(r->secret, sizeof r->secret);
    mem_free(r);
}

struct rotation_status rotation_status(const struct rotation *r)
{
    struct rotation_status s = {.number = r->number,
                                .state = r->state,
                                .step = r->step,
                                .force = r->force,
                                .key = r->key,
                                .n = r->n,
                                .done = r->done};
    str_copy(s.text, sizeof s.text, str_of(r->text));
    return s;
}
