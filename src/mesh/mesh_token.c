#include "mesh/mesh_token.h"

#include <stdio.h>
#include <time.h>

enum {
    KEPT_MAX = 4 * TOKENS_MAX, /* used and expired ones included */
    BOOK_MAX = 128 * 1024,
    PAYLOAD_VERSION = 1,
    CHECKSUM = 4,
};
#define REMEMBER_NS (24 * 3600 * NS_PER_S)

static const struct str PREFIX = {"hf1.", 4};

/* --- base64url without padding --- */

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void put_base64(struct buf *out, const uint8_t *p, size_t n)
{
    uint32_t bits = 0, have = 0;
    for (size_t i = 0; i < n; i++) {
        bits = bits << 8 | p[i];
        for (have += 8; have >= 6; have -= 6)
            buf_add(out, &alphabet[bits >> (have - 6) & 63], 1);
    }
    if (have)
        buf_add(out, &alphabet[bits << (6 - have) & 63], 1);
}

/* In one way only: bits that are left over must be zero. */
static bool get_base64(struct str text, uint8_t *out, size_t size, size_t *n)
{
    uint32_t bits = 0, have = 0;
    *n = 0;
    for (size_t i = 0; i < text.n; i++) {
        const char *at = text.p[i] ? strchr(alphabet, text.p[i]) : NULL;
        if (!at)
            return false;
        bits = bits << 6 | (uint32_t)(at - alphabet);
        have += 6;
        if (have < 8)
            continue;
        if (*n == size)
            return false;
        have -= 8;
        out[(*n)++] = (uint8_t)(bits >> have);
    }
    return have < 6 && (bits & ((1u << have) - 1)) == 0;
}

/* --- a token --- */

bool token_link_key(const uint8_t secret[SEAL_SECRET], uint8_t out[SEAL_SECRET])
{
    return hkdf_sha256((struct str){(const char *)secret, SEAL_SECRET}, STR("holdfast token 1"),
                       STR("link"), out, SEAL_SECRET);
}

bool token_proof(const uint8_t secret[SEAL_SECRET], uint8_t out[TOKEN_PROOF])
{
    return hkdf_sha256((struct str){(const char *)secret, SEAL_SECRET}, STR("holdfast token 1"),
                       STR("proof"), out, TOKEN_PROOF);
}

void token_wipe(struct token *t)
{
    wipe(t, sizeof *t);
}

void token_print(const struct token *t, struct buf *out)
{
    struct buf payload = {0};
    char at[ADDR_TEXT_MAX];
    uint8_t digest[DIGEST_BYTES];
    size_t n = addr_format(&t->at, at);
    /* Enough at once, so that no copy of the secret is left behind. */
    if (!buf_reserve(&payload, TOKEN_TEXT_MAX) || !buf_reserve(out, 2 * TOKEN_TEXT_MAX))
        out->failed = true;
    put_u8(&payload, PAYLOAD_VERSION);
    put_str(&payload, (struct str){at, n});
    put_str(&payload, str_of(t->cluster));
    put_u64(&payload, t->id);
    buf_add(&payload, t->secret, sizeof t->secret);
    if (payload.failed || !digest_sha256(buf_str(&payload), digest) ||
        !buf_add(&payload, digest, CHECKSUM)) {
        out->failed = true;
    } else {
        buf_add_str(out, PREFIX);
        put_base64(out, (const uint8_t *)payload.p, payload.n);
    }
    if (payload.p)
        wipe(payload.p, payload.cap);
    buf_free(&payload);
}

static bool read_payload(const uint8_t *p, size_t n, struct token *out)
{
    uint8_t digest[DIGEST_BYTES];
    if (n < CHECKSUM || !digest_sha256((struct str){(const char *)p, n - CHECKSUM}, digest) ||
        memcmp(digest, p + n - CHECKSUM, CHECKSUM) != 0)
        return false;
    struct reader r = reader_of(p, n - CHECKSUM);
    uint8_t version = get_u8(&r);
    struct str at = get_str(&r), cluster = get_str(&r);
    out->id = get_u64(&r);
    if (r.failed || version != PAYLOAD_VERSION || (size_t)(r.end - r.p) != SEAL_SECRET)
        return false;
    memcpy(out->secret, r.p, SEAL_SECRET);
    return addr_parse(at, &out->at) && cluster.n > 0 && cluster.n <= TOKEN_NAME_MAX &&
           !memchr(cluster.p, 0, cluster.n) &&
           str_copy(out->cluster, sizeof out->cluster, cluster) == cluster.n;
}

int token_parse(struct str text, struct token *out, struct err *e)
{
    uint8_t payload[TOKEN_TEXT_MAX];
    size_t n = 0;
    *out = (struct token){0};
    text = str_trim(text);
    if (!str_starts(text, PREFIX))
        return err_set(e, ERR_INVAL,
                       "this is no token: one begins with 'hf1.', as 'holdfast token' prints it");
    struct str rest = {text.p + PREFIX.n, text.n - PREFIX.n};
    bool ok = get_base64(rest, payload, sizeof payload, &n) && read_payload(payload, n, out);
    wipe(payload, sizeof payload);
    if (ok)
        return 0;
    token_wipe(out);
    return err_set(e, ERR_INVAL,
                   "the token is not whole: copy all of the line that 'holdfast "
                   "token' printed");
}

/* --- the book --- */

struct tokens {
    char path[4096];
    uint32_t n;
    struct token_entry list[KEPT_MAX]; /* the oldest first */
};

static bool is_open(const struct token_entry *k, uint64_t now)
{
    return k->used_at == 0 && k->expires_at > now;
}

/* One line: ID EXPIRES USED LINK-KEY PROOF NODE BY; a name that is not there is "-". Names have no
 * blanks: they are names of nodes. */
static void print_entry(const struct token_entry *k, struct buf *out)
{
    buf_printf(out, "%016llx %llu %llu ", (unsigned long long)k->id,
               (unsigned long long)k->expires_at, (unsigned long long)k->used_at);
    put_base64(out, k->link_key, sizeof k->link_key);
    buf_add(out, " ", 1);
    put_base64(out, k->proof, sizeof k->proof);
    buf_printf(out, " %s %s\n", k->node[0] ? k->node : "-", k->by[0] ? k->by : "-");
}

static struct str word(struct str *line)
{
    const char *blank = line->n ? memchr(line->p, ' ', line->n) : NULL;
    size_t n = blank ? (size_t)(blank - line->p) : line->n;
    struct str w = {line->p, n};
    n += blank ? 1 : 0;
    *line = (struct str){line->p + n, line->n - n};
    return w;
}

static bool read_id(struct str s, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < s.n; i++) {
        const char *digits = "0123456789abcdef", *at = s.p[i] ? strchr(digits, s.p[i]) : NULL;
        if (!at)
            return false;
        *out = *out << 4 | (uint64_t)(at - digits);
    }
    return s.n == 16;
}

/* A name comes from another machine too: it is one word, whatever its bytes. */
static bool read_name(struct str s, char out[TOKEN_NAME_MAX + 1])
{
    if (str_eq(s, STR("-")))
        s = STR("");
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= 0x20 || s.p[i] > 0x7e)
            return false;
    return s.n <= TOKEN_NAME_MAX && str_copy(out, TOKEN_NAME_MAX + 1, s) == s.n;
}

static bool parse_entry(struct str line, struct token_entry *k)
{
    size_t key_n, proof_n;
    *k = (struct token_entry){0};
    return read_id(word(&line), &k->id) && str_u64(word(&line), UINT64_MAX, &k->expires_at) &&
           str_u64(word(&line), UINT64_MAX, &k->used_at) &&
           get_base64(word(&line), k->link_key, sizeof k->link_key, &key_n) &&
           key_n == sizeof k->link_key &&
           get_base64(word(&line), k->proof, sizeof k->proof, &proof_n) &&
           proof_n == sizeof k->proof && read_name(word(&line), k->node) &&
           read_name(word(&line), k->by) && line.n == 0;
}

static int parse_book(struct tokens *t, struct str text, struct err *e)
{
    for (unsigned number = 1; text.n; number++) {
        const char *end = memchr(text.p, '\n', text.n);
        size_t n = end ? (size_t)(end - text.p) : text.n;
        if (t->n == KEPT_MAX || !parse_entry((struct str){text.p, n}, &t->list[t->n]))
            return err_set(e, ERR_PROTO,
                           "%s, line %u is damaged: remove the file, tokens that are "
                           "open are lost with it",
                           t->path, number);
        t->n++;
        n += end ? 1 : 0;
        text = (struct str){text.p + n, text.n - n};
    }
    return 0;
}

static void free_secret(struct buf *b)
{
    if (b->p)
        wipe(b->p, b->cap);
    buf_free(b);
}

static int save(const struct tokens *t, struct err *e)
{
    struct buf text = {0};
    int r = 0;
    buf_reserve(&text, (size_t)BOOK_MAX);
    for (uint32_t i = 0; i < t->n; i++)
        print_entry(&t->list[i], &text);
    if (text.failed)
        r = err_set(e, ERR_NOMEM, "no memory to keep tokens");
    else
        r = file_replace(t->path, buf_str(&text), 0600, e);
    free_secret(&text);
    return r;
}

int tokens_open(struct tokens **out, const char *path, struct err *e)
{
    struct tokens *t = mem_zero(1, sizeof *t);
    struct buf text = {0};
    if (!t)
        return err_set(e, ERR_NOMEM, "no memory for tokens");
    int r = 0;
    if (str_copy(t->path, sizeof t->path, str_of(path)) < strlen(path))
        r = err_set(e, ERR_LIMIT, "the state directory's path is too long");
    else if (!buf_reserve(&text, 2 * (size_t)BOOK_MAX))
        r = err_set(e, ERR_NOMEM, "no memory for tokens");
    else
        r = file_read(path, BOOK_MAX, &text, e);
    if (r == -ERR_ABSENT)
        r = 0;
    else if (r == 0)
        r = parse_book(t, buf_str(&text), e);
    free_secret(&text);
    if (r)
        tokens_free(t);
    else
        *out = t;
    return r;
}

void tokens_free(struct tokens *t)
{
    if (t)
        wipe(t, sizeof *t);
    mem_free(t);
}

static struct token_entry *find(struct tokens *t, uint64_t id)
{
    for (uint32_t i = 0; i < t->n; i++)
        if (t->list[i].id == id)
            return &t->list[i];
    return NULL;
}

uint32_t tokens_count(const struct tokens *t, uint64_t now)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->n; i++)
        n += is_open(&t->list[i], now);
    return n;
}

static void forget_at(struct tokens *t, uint32_t i)
{
    memmove(&t->list[i], &t->list[i + 1], (t->n - i - 1) * sizeof t->list[0]);
    wipe(&t->list[--t->n], sizeof t->list[0]);
}

/* Those of yesterday; if that is not enough, the oldest that is no longer open. */
static void tidy(struct tokens *t, uint64_t now)
{
    for (uint32_t i = t->n; i-- > 0;) {
        const struct token_entry *k = &t->list[i];
        uint64_t ended = k->used_at ? k->used_at : k->expires_at;
        if (ended < now && now - ended > REMEMBER_NS)
            forget_at(t, i);
    }
    for (uint32_t i = 0; i < t->n && t->n == KEPT_MAX; i++)
        if (!is_open(&t->list[i], now))
            forget_at(t, i);
}

int tokens_make(struct tokens *t, struct str cluster, const struct addr *at, struct str node,
                uint64_t ttl, uint64_t now, struct token *out, struct err *e)
{
    uint8_t proof[TOKEN_PROOF];
    struct token_entry k = {.expires_at = now + ttl};
    if (ttl < TOKEN_TTL_MIN || ttl > TOKEN_TTL_MAX)
        return err_set(e, ERR_INVAL, "a token lives from 1 s to 7 days");
    if (cluster.n > TOKEN_NAME_MAX || !read_name(node, k.node))
        return err_set(e, ERR_INVAL, "a node's name is one word of at most %d bytes",
                       TOKEN_NAME_MAX);
    tidy(t, now);
    if (tokens_count(t, now) >= TOKENS_MAX)
        return err_set(e, ERR_LIMIT, "%d tokens are open already: wait until one expires",
                       TOKENS_MAX);
    *out = (struct token){.at = *at};
    str_copy(out->cluster, sizeof out->cluster, cluster);
    entropy(&out->id, sizeof out->id);
    entropy(out->secret, sizeof out->secret);
    k.id = out->id;
    bool ok = token_link_key(out->secret, k.link_key) && token_proof(out->secret, proof) &&
              digest_sha256((struct str){(const char *)proof, sizeof proof}, k.proof);
    int r = ok ? 0 : err_set(e, ERR_NOMEM, "no memory for a token");
    if (r == 0) {
        t->list[t->n++] = k;
        r = save(t, e);
        if (r)
            forget_at(t, t->n - 1);
    }
    if (r)
        token_wipe(out);
    wipe(proof, sizeof proof);
    wipe(&k, sizeof k);
    return r;
}

bool tokens_link_key(const struct tokens *t, uint64_t id, uint8_t out[SEAL_SECRET])
{
    for (uint32_t i = 0; i < t->n; i++)
        if (t->list[i].id == id) {
            memcpy(out, t->list[i].link_key, SEAL_SECRET);
            return true;
        }
    return false;
}

/* "12:03:11 on 23 November" */
static const char *when(uint64_t wall, char out[64])
{
    time_t seconds = (time_t)(wall / NS_PER_S);
    struct tm at;
    if (!gmtime_r(&seconds, &at) || !strftime(out, 64, "%Y-%m-%d %H:%M:%S UTC", &at))
        str_copy(out, 64, STR("some time"));
    return out;
}

static int check(const struct token_entry *k, const uint8_t proof[TOKEN_PROOF], struct str node,
                 uint64_t now, struct err *e)
{
    static const char again[] = "make another one with 'holdfast token'";
    uint8_t digest[DIGEST_BYTES];
    char text[64];
    if (!k)
        return err_set(e, ERR_DENIED, "the token is not known here any more: %s", again);
    if (!digest_sha256((struct str){(const char *)proof, TOKEN_PROOF}, digest))
        return err_set(e, ERR_NOMEM, "no memory to look at a token");
    if (!digest_same(digest, k->proof))
        return err_set(e, ERR_DENIED, "the token is forged");
    if (k->used_at)
        return err_set(e, ERR_DENIED, "the token has been used already, by node %s at %s: %s",
                       k->by, when(k->used_at, text), again);
    if (k->expires_at <= now)
        return err_set(e, ERR_DENIED, "the token has expired at %s: %s", when(k->expires_at, text),
                       again);
    if (k->node[0] && !str_eq(str_of(k->node), node))
        return err_set(e, ERR_DENIED,
                       "the token is for node %s and not for " STR_FMT ": use --node %s, or %s",
                       k->node, STR_ARG(node), k->node, again);
    return 0;
}

int tokens_use(struct tokens *t, uint64_t id, const uint8_t proof[TOKEN_PROOF], struct str node,
               uint64_t now, struct err *e)
{
    struct token_entry *k = find(t, id);
    int r = check(k, proof, node, now, e);
    if (r)
        return r;
    k->used_at = now;
    r = read_name(node, k->by) ? save(t, e)
                               : err_set(e, ERR_INVAL, "the node's name is not one word");
    if (r) {
        k->used_at = 0;
        k->by[0] = 0;
    }
    return r;
}
