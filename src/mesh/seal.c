/* Who says what, when (A is who begins):
 *
 *     A has to send, without a session   HELLO; each SEAL_HELLO_EVERY with the same nonce
 *     B gets a HELLO                     a session is *offered*: WELCOME, for the same the same
 *     A gets the WELCOME to its HELLO    the session is in use; an empty SEALED says so
 *     B opens a datagram of its offer    the offer is in use; what was in use only opens
 *     B gets a SEALED of no session that it has, and nothing has opened for a while
 *                                        HELLO: the peer believes in one that is gone
 *
 * Both may begin at once. Then the lower id prevails: while its HELLO is under way, and a moment
 * after, it does not answer that of the other. A WELCOME that comes takes an offer back, and an
 * offer that comes into use takes a HELLO back. So both always end with the same session in use.
 *
 * What strangers can do: a forged datagram changes nothing. A recorded HELLO, played again, costs
 * an answer and replaces at most an offer; the session in use, and the one before, stay. Whoever
 * can record and inject can so delay that a *new* session begins, as whoever can drop can; he
 * cannot harm one that is there. */
#include "mesh/seal.h"

#include "mesh/peer.h"
#include "os/os.h"

/* ns */
#define OFFER_WAITS UINT64_C(300000000)  /* an offer may come into use: no HELLO of our own */
#define PREVAILS    UINT64_C(250000000)  /* a HELLO counts as under way */
#define TWIN        UINT64_C(2000000000) /* a handshake's datagrams may come twice for so long */
#define QUIET       UINT64_C(100000000)  /* nothing opened for so long: is the session gone? */
#define SECOND      UINT64_C(1000000000)

enum { ANSWERS = 10, ANSWERS_AT_ONCE = 5 }; /* to one peer, a second */

struct seal {
    uint64_t self;
    uint8_t tag[FRAME_TAG];
    struct keyring keys;
    struct seal_host host;
    struct peers peers;
    uint64_t checks_at, checks; /* in this second */
    uint64_t counts[SEAL_RESULTS];
};

static const char *const names[SEAL_RESULTS] = {
    [SEAL_OK] = "ok",         [SEAL_REPLY] = "reply",       [SEAL_NOTHING] = "nothing",
    [SEAL_SHORT] = "short",   [SEAL_VERSION] = "version",   [SEAL_CLUSTER] = "cluster",
    [SEAL_KEY] = "key",       [SEAL_STRANGER] = "stranger", [SEAL_SESSION] = "session",
    [SEAL_FORGED] = "forged", [SEAL_REPLAYED] = "replayed", [SEAL_LIMITED] = "limited",
};

const char *seal_result_name(enum seal_result r)
{
    CHECK(r < SEAL_RESULTS);
    return names[r];
}

uint64_t seal_count(const struct seal *s, enum seal_result r)
{
    CHECK(r < SEAL_RESULTS);
    return s->counts[r];
}

/* ---- its life, its keys, its peers ---- */

int seal_new(struct seal **out, struct str cluster, uint64_t self, const struct keyring *k,
             const struct seal_host *h, struct err *e)
{
    *out = NULL;
    if (!keyring_in_use(k))
        return err_set(e, ERR_INVAL, "there is no key in use to seal with");
    struct seal *s = mem_zero(1, sizeof *s);
    if (!s || !frame_tag(cluster, s->tag)) {
        mem_free(s);
        return err_set(e, ERR_NOMEM, "no memory to speak with other nodes");
    }
    s->self = self;
    s->keys = *k;
    s->host = *h;
    *out = s;
    return 0;
}

void seal_free(struct seal *s)
{
    if (!s)
        return;
    peers_free(&s->peers);
    wipe(s, sizeof *s);
    mem_free(s);
}

static void end_without_key(struct peer *p, const struct keyring *k)
{
    if (session_live(&p->now) && !keyring_find(k, p->now.hello.key))
        session_end(&p->now);
    if (session_live(&p->other) && !keyring_find(k, p->other.hello.key)) {
        session_end(&p->other);
        p->offered = false;
    }
    if (!session_live(&p->now) && !p->offered)
        session_end(&p->other); /* nobody would ever replace it */
}

void seal_set_keys(struct seal *s, const struct keyring *k)
{
    struct keyring before = s->keys;
    s->keys = *k;
    wipe(&before, sizeof before);
    for (uint32_t i = 0; i < s->peers.n; i++)
        end_without_key(s->peers.list[i], k);
}

int seal_know(struct seal *s, uint64_t peer, struct err *e)
{
    bool full = false;
    if (peer == s->self)
        return err_set(e, ERR_INVAL, "a node needs no session with itself");
    if (peers_add(&s->peers, peer, &full))
        return 0;
    return full ? err_set(e, ERR_LIMIT, "no more than %d nodes", SEAL_PEERS_MAX)
                : err_set(e, ERR_NOMEM, "no memory to know another node");
}

bool seal_knows(const struct seal *s, uint64_t peer)
{
    return peers_find(&s->peers, peer) != NULL;
}

void seal_forget(struct seal *s, uint64_t peer)
{
    peers_remove(&s->peers, peer);
}

/* NULL: it is not known, or memory is out. */
static struct peer *peer_of(struct seal *s, uint64_t id)
{
    struct peer *p = peers_find(&s->peers, id);
    bool full;
    if (p || id == s->self || !s->host.member || !s->host.member(s->host.context, id))
        return p;
    return peers_add(&s->peers, id, &full);
}

/* ---- HELLO ---- */

static void ask_anew(struct seal *s, struct peer *p, uint32_t key)
{
    p->asked = true;
    p->ask_key = key;
    s->host.entropy(s->host.context, p->ask_nonce, sizeof p->ask_nonce);
}

/* Bytes; 0: not yet. */
static size_t say_hello(struct seal *s, struct peer *p, uint64_t now, uint8_t *out)
{
    const struct seal_key *k = keyring_in_use(&s->keys);
    if (!k || (p->asked_ever && now - p->asked_at < SEAL_HELLO_EVERY) ||
        (p->offered && now - p->other.born < OFFER_WAITS))
        return 0;
    if (!p->asked || p->ask_key != k->id)
        ask_anew(s, p, k->id);
    struct hello h = {
        .kind = FRAME_HELLO, .key = k->id, .from = s->self, .to = p->id, .minor = FRAME_MINOR};
    memcpy(h.a, p->ask_nonce, HELLO_NONCE);
    p->asked_at = now;
    p->asked_ever = true;
    return hello_write(&h, s->tag, k->secret, out);
}

/* ---- sending ---- */

size_t seal_write(struct seal *s, uint64_t to, const void *p, size_t n, uint64_t now, uint8_t *out,
                  bool *sealed)
{
    struct peer *peer = peer_of(s, to);
    CHECK(n <= SEAL_DATAGRAM_MAX - SEAL_OVERHEAD);
    *sealed = false;
    if (!peer)
        return 0;
    size_t wrote = session_live(&peer->now) ? session_seal(&peer->now, s->tag, p, n, out) : 0;
    *sealed = wrote > 0;
    return wrote ? wrote : say_hello(s, peer, now, out);
}

/* Newer keys stand first: a session of a newer one than ours is fine, it is the peer who is ahead.
 */
static bool is_outdated(const struct keyring *k, uint32_t id)
{
    for (uint32_t i = 0; i < k->n && k->keys[i].id != id; i++)
        if (k->keys[i].use)
            return true;
    return false;
}

size_t seal_renew(struct seal *s, uint64_t to, uint64_t now, uint8_t *out)
{
    struct peer *p = peers_find(&s->peers, to);
    if (!p || !session_live(&p->now))
        return 0;
    if (p->now.sent < SESSION_OLD && !is_outdated(&s->keys, p->now.hello.key))
        return 0;
    return say_hello(s, p, now, out);
}

/* ---- handshakes that come ---- */

/* A bound on the work that strangers can cause. */
static bool may_check(struct seal *s, uint64_t now)
{
    if (s->checks == 0 || now - s->checks_at >= SECOND) {
        s->checks_at = now;
        s->checks = 0;
    }
    return s->checks++ < SEAL_CHECKS;
}

static bool may_answer(struct peer *p, uint64_t now)
{
    const uint32_t one = 1000, most = ANSWERS_AT_ONCE * one;
    uint64_t earned = (now - p->answers_at) / (SECOND / (ANSWERS * one));
    if (p->answers_at == 0)
        earned = most;
    p->answers = (uint32_t)MIN((uint64_t)most, p->answers + earned);
    p->answers_at = MAX(now, 1);
    if (p->answers < one)
        return false;
    p->answers -= one;
    return true;
}

static bool same_nonce(const uint8_t *a, const uint8_t *b)
{
    return same_bytes(a, b, HELLO_NONCE);
}

/* A datagram of a handshake that is over, since then or a little later: is it late or doubled by
 * the network, or played by somebody? */
static enum seal_result twin(uint64_t since, uint64_t now)
{
    return now - since < TWIN ? SEAL_NOTHING : SEAL_REPLAYED;
}

/* What both kinds have to pass: SEAL_OK, its peer and its key. */
static enum seal_result admit(struct seal *s, const uint8_t *p, size_t n, uint64_t now,
                              const struct hello *h, struct peer **peer,
                              const struct seal_key **key)
{
    *key = keyring_find(&s->keys, h->key);
    if (!*key)
        return SEAL_KEY;
    *peer = h->to == s->self ? peer_of(s, h->from) : NULL;
    if (!*peer)
        return SEAL_STRANGER;
    if (!may_check(s, now))
        return SEAL_LIMITED;
    return hello_genuine(p, n, (*key)->secret) ? SEAL_OK : SEAL_FORGED;
}

static enum seal_result replied(struct seal_opened *out, size_t n)
{
    out->reply_n = n;
    return n ? SEAL_REPLY : SEAL_LIMITED;
}

static bool made(const struct session *s, const uint8_t *nonce)
{
    return session_live(s) && !s->mine && same_nonce(s->hello.a, nonce);
}

/* A new session is offered beside the one in use. */
static bool offer(struct seal *s, struct peer *p, const struct hello *heard,
                  const struct seal_key *k, uint64_t now)
{
    struct session fresh;
    struct hello h = {
        .kind = FRAME_WELCOME, .key = k->id, .from = s->self, .to = p->id, .minor = FRAME_MINOR};
    memcpy(h.a, heard->a, HELLO_NONCE);
    s->host.entropy(s->host.context, h.b, sizeof h.b);
    s->host.entropy(s->host.context, &h.sid, sizeof h.sid);
    if (!session_begin(&fresh, &h, false, k->secret, now))
        return false;
    session_end(&p->other);
    p->other = fresh;
    p->offered = true;
    return true;
}

/* The peer's HELLO has crossed one of our own, which counts; or whose answer, already here, it was
 * overtaken by. */
static bool prevails(const struct seal *s, const struct peer *p, uint32_t key, uint64_t now)
{
    const struct session *n = &p->now;
    if (s->self > p->id)
        return false;
    return (p->asked && p->ask_key == key && now - p->asked_at < PREVAILS) ||
           (session_live(n) && n->mine && n->hello.key == key && now - n->born < SEAL_HELLO_EVERY);
}

static enum seal_result answer(struct seal *s, struct peer *p, const struct hello *h,
                               const struct seal_key *k, uint64_t now, struct seal_opened *out)
{
    if (made(&p->now, h->a))
        return twin(p->now.born, now);
    if (!p->offered && made(&p->other, h->a))
        return twin(p->other.born, now);
    if (prevails(s, p, h->key, now)) {
        out->reply_n = p->asked ? say_hello(s, p, now, out->reply) : 0;
        return out->reply_n ? SEAL_REPLY : SEAL_NOTHING;
    }
    if (!may_answer(p, now))
        return SEAL_LIMITED;
    if (!(p->offered && made(&p->other, h->a)) && !offer(s, p, h, k, now))
        return SEAL_LIMITED;
    return replied(out, hello_write(&p->other.hello, s->tag, k->secret, out->reply));
}

static enum seal_result read_hello(struct seal *s, const uint8_t *p, size_t n, uint64_t now,
                                   struct seal_opened *out)
{
    struct hello h;
    struct peer *peer;
    const struct seal_key *k;
    if (!hello_read(p, n, FRAME_HELLO, &h))
        return SEAL_SHORT;
    out->from = h.from;
    enum seal_result r = admit(s, p, n, now, &h, &peer, &k);
    return r == SEAL_OK ? answer(s, peer, &h, k, now, out) : r;
}

/* The session that this node asked for is in use. What was in use still opens; an offer of our own
 * is taken back. */
static bool take(struct seal *s, struct peer *p, const struct hello *h, const struct seal_key *k,
                 uint64_t now)
{
    struct session fresh;
    if (!session_begin(&fresh, h, true, k->secret, now))
        return false;
    session_end(&p->other);
    p->other = p->now;
    p->now = fresh;
    p->offered = p->asked = false;
    p->heard_at = now;
    return true;
}

static enum seal_result read_welcome(struct seal *s, const uint8_t *p, size_t n, uint64_t now,
                                     struct seal_opened *out)
{
    struct hello h;
    struct peer *peer;
    const struct seal_key *k;
    if (!hello_read(p, n, FRAME_WELCOME, &h))
        return SEAL_SHORT;
    out->from = h.from;
    enum seal_result r = admit(s, p, n, now, &h, &peer, &k);
    if (r != SEAL_OK)
        return r;
    if (!peer->asked_ever || peer->ask_key != h.key || !same_nonce(peer->ask_nonce, h.a))
        return SEAL_REPLAYED;
    if (!peer->asked) /* answered before, or no longer needed */
        return twin(peer->asked_at, now);
    if (!take(s, peer, &h, k, now))
        return SEAL_LIMITED;
    out->up = true;
    return replied(out, session_seal(&peer->now, s->tag, NULL, 0, out->reply));
}

/* ---- sealed datagrams that come ---- */

static enum seal_result of_no_session(struct seal *s, struct peer *p, uint64_t now,
                                      struct seal_opened *out)
{
    if (!session_live(&p->now) || now - p->heard_at >= QUIET)
        out->reply_n = say_hello(s, p, now, out->reply);
    return SEAL_SESSION;
}

/* The peer uses what it was offered. */
static void come_into_use(struct peer *p)
{
    struct session before = p->now;
    p->now = p->other;
    p->other = before;
    p->offered = p->asked = false;
}

static enum seal_result read_sealed(struct seal *s, uint8_t *p, size_t n, uint64_t now,
                                    struct seal_opened *out)
{
    if (n < SEAL_OVERHEAD)
        return SEAL_SHORT;
    uint32_t sid = le32_get(p + SEALED_SID);
    out->from = le64_get(p + SEALED_FROM);
    struct peer *peer = peer_of(s, out->from);
    if (!peer)
        return SEAL_STRANGER;
    bool first = session_live(&peer->now) && peer->now.hello.sid == sid;
    if (!first && !(session_live(&peer->other) && peer->other.hello.sid == sid))
        return of_no_session(s, peer, now, out);
    enum seal_result r = session_open(first ? &peer->now : &peer->other, p, n);
    if (r != SEAL_OK)
        return r;
    peer->heard_at = now;
    out->up = !first && peer->offered;
    if (out->up)
        come_into_use(peer);
    out->p = p + SEALED_BODY;
    out->n = n - SEAL_OVERHEAD;
    return out->n ? SEAL_OK : SEAL_NOTHING;
}

static enum seal_result read_any(struct seal *s, uint8_t *p, size_t n, uint64_t now,
                                 struct seal_opened *out)
{
    enum frame_kind kind;
    enum seal_result r = frame_read(p, n, s->tag, &kind);
    if (r != SEAL_OK)
        return r;
    switch (kind) {
    case FRAME_HELLO: return read_hello(s, p, n, now, out);
    case FRAME_WELCOME: return read_welcome(s, p, n, now, out);
    case FRAME_SEALED: return read_sealed(s, p, n, now, out);
    case FRAME_PLAIN: return SEAL_VERSION; /* of simulations */
    }
    UNREACHABLE();
}

enum seal_result seal_read(struct seal *s, uint8_t *datagram, size_t n, uint64_t now,
                           struct seal_opened *out)
{
    *out = (struct seal_opened){0};
    enum seal_result r = read_any(s, datagram, n, now, out);
    s->counts[r]++;
    return r;
}
