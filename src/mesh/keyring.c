/* A key file is text: one key a line, `ID STATE SECRET`, newest first; `#` begins a comment. It is
 * read strictly: a line that is nearly right is a mistake, since a node with the wrong key is cut
 * off from all others. What is said of a mistake never quotes the line: its words may be the
 * secret. */
#include "mesh/seal.h"

#include "os/os.h"

enum {
    SECRET_TEXT = 44, /* of 32 bytes in base64, one '=' at its end */
    ID_TEXT = 8,
};

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* ---- secrets as text (RFC 4648, section 4; with no second way to write the same) ---- */

static int digit64(char c)
{
    const char *at = c ? strchr(alphabet, c) : NULL;
    return at ? (int)(at - alphabet) : -1;
}

static bool secret_read(struct str text, uint8_t out[SEAL_SECRET])
{
    uint32_t bits = 0, have = 0;
    size_t n = 0;
    if (text.n != SECRET_TEXT || text.p[SECRET_TEXT - 1] != '=')
        return false;
    for (size_t i = 0; i + 1 < SECRET_TEXT; i++) {
        int d = digit64(text.p[i]);
        if (d < 0)
            return false;
        bits = bits << 6 | (uint32_t)d;
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[n++] = (uint8_t)(bits >> have);
        }
    }
    CHECK(n == SEAL_SECRET && have == 2);
    return (bits & 3) == 0;
}

static void secret_print(const uint8_t secret[SEAL_SECRET], char out[SECRET_TEXT])
{
    uint32_t bits = 0, have = 0;
    size_t n = 0;
    for (size_t i = 0; i < SEAL_SECRET; i++) {
        bits = bits << 8 | secret[i];
        have += 8;
        while (have >= 6) {
            have -= 6;
            out[n++] = alphabet[bits >> have & 63];
        }
    }
    out[n++] = alphabet[bits << (6 - have) & 63];
    out[n++] = '=';
    CHECK(n == SECRET_TEXT);
}

/* ---- ids ---- */

static bool id_of(const uint8_t secret[SEAL_SECRET], uint32_t *id)
{
    uint8_t digest[DIGEST_BYTES];
    if (!digest_sha256((struct str){(const char *)secret, SEAL_SECRET}, digest))
        return false;
    *id = (uint32_t)digest[0] << 24 | (uint32_t)digest[1] << 16 | (uint32_t)digest[2] << 8 |
          digest[3];
    return true;
}

static bool id_read(struct str text, uint32_t *id)
{
    *id = 0;
    if (text.n != ID_TEXT)
        return false;
    for (size_t i = 0; i < ID_TEXT; i++) {
        char c = text.p[i];
        if ((c < '0' || c > '9') && (c < 'a' || c > 'f'))
            return false;
        *id = *id << 4 | (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return true;
}

uint64_t node_id(struct str cluster, struct str node)
{
    uint8_t digest[DIGEST_BYTES];
    struct buf text = {0};
    uint64_t id = 0;
    buf_add_str(&text, cluster);
    buf_add(&text, "", 1);
    buf_add_str(&text, node);
    if (!text.failed && digest_sha256(buf_str(&text), digest)) {
        struct reader r = reader_of(digest, sizeof digest);
        id = get_u64(&r);
    }
    buf_free(&text);
    return id;
}

/* ---- reading ---- */

struct parse {
    struct keyring *out;
    unsigned line;
    struct err *e;
};

static int complain(const struct parse *p, const char *what)
{
    return err_set(p->e, ERR_INVAL, "line %u: %s", p->line, what);
}

/* The next word of a line. */
static struct str word(struct str *line)
{
    size_t a = 0;
    while (a < line->n && (line->p[a] == ' ' || line->p[a] == '\t'))
        a++;
    size_t b = a;
    while (b < line->n && line->p[b] != ' ' && line->p[b] != '\t')
        b++;
    struct str w = {line->p + a, b - a};
    *line = (struct str){line->p + b, line->n - b};
    return w;
}

static int parse_words(const struct parse *p, struct str line, struct seal_key *k)
{
    uint32_t id;
    struct str name = word(&line), state = word(&line), secret = word(&line);
    if (!id_read(name, &k->id))
        return complain(p, "a key begins with its id, 8 digits of 0-9 and a-f: a line is "
                           "'ID STATE SECRET', as 'holdfast key new' writes it");
    k->use = str_eq(state, STR("use"));
    if (!k->use && !str_eq(state, STR("accept")))
        return complain(p, "the state of a key is 'use' or 'accept'");
    if (!secret_read(secret, k->secret))
        return complain(p, "the secret is not 32 bytes in base64 (44 characters): copy the file "
                           "from a node that has it whole");
    if (word(&line).n)
        return complain(p, "there is more behind the secret: a line is 'ID STATE SECRET'");
    if (!id_of(k->secret, &id))
        return err_set(p->e, ERR_NOMEM, "no memory to read a key");
    if (id != k->id)
        return complain(p, "id and secret do not belong together: one of them was changed; copy "
                           "the line from a node that has it whole");
    return 0;
}

static int keep(const struct parse *p, const struct seal_key *k)
{
    struct keyring *r = p->out;
    if (r->n == SEAL_KEYS_MAX)
        return complain(p, "there are more than 8 keys: drop old ones with 'holdfast key drop'");
    if (keyring_find(r, k->id))
        return complain(p, "this key is there already: remove one of the two lines");
    if (k->use && keyring_in_use(r))
        return complain(p, "a second key is in state 'use': the other one must be 'accept'");
    r->keys[r->n++] = *k;
    return 0;
}

static int parse_line(const struct parse *p, struct str line)
{
    const char *comment = memchr(line.p, '#', line.n);
    if (comment)
        line.n = (size_t)(comment - line.p);
    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    if (!str_trim(line).n)
        return 0;
    struct seal_key k = {0};
    int rc = parse_words(p, line, &k);
    if (rc == 0)
        rc = keep(p, &k);
    wipe(&k, sizeof k);
    return rc;
}

static int parse_all(struct parse *p, struct str text)
{
    if (text.n > KEYRING_TEXT_MAX)
        return err_set(p->e, ERR_LIMIT, "this is no key file: it is larger than %d bytes",
                       KEYRING_TEXT_MAX);
    while (text.n) {
        const char *end = memchr(text.p, '\n', text.n);
        size_t n = end ? (size_t)(end - text.p) : text.n;
        p->line++;
        int rc = parse_line(p, (struct str){text.p, n});
        if (rc)
            return rc;
        n += end ? 1 : 0;
        text = (struct str){text.p + n, text.n - n};
    }
    if (p->out->n == 0)
        return err_set(p->e, ERR_INVAL, "there is no key: 'holdfast key new FILE' makes one");
    if (!keyring_in_use(p->out))
        return err_set(p->e, ERR_INVAL,
                       "no key is in state 'use': 'holdfast key use FILE ID' chooses one");
    return 0;
}

int keyring_parse(struct str text, struct keyring *out, struct err *e)
{
    *out = (struct keyring){0};
    struct parse p = {out, 0, e};
    int rc = parse_all(&p, text);
    if (rc)
        keyring_wipe(out);
    return rc;
}

/* ---- writing ---- */

void keyring_print(const struct keyring *k, struct buf *out)
{
    char text[SECRET_TEXT];
    buf_add_str(out, STR("# Keys of a holdfast cluster, newest first: ID STATE SECRET.\n"
                         "# Whoever has this file is trusted by every node: keep it secret.\n"));
    for (uint32_t i = 0; i < k->n; i++) {
        secret_print(k->keys[i].secret, text);
        buf_printf(out, "%08x %s ", k->keys[i].id, k->keys[i].use ? "use" : "accept");
        buf_add(out, text, sizeof text);
        buf_add(out, "\n", 1);
    }
    wipe(text, sizeof text);
}

/* ---- the ring ---- */

static struct seal_key *find(struct keyring *k, uint32_t id)
{
    for (uint32_t i = 0; i < k->n; i++)
        if (k->keys[i].id == id)
            return &k->keys[i];
    return NULL;
}

const struct seal_key *keyring_find(const struct keyring *k, uint32_t id)
{
    for (uint32_t i = 0; i < k->n; i++)
        if (k->keys[i].id == id)
            return &k->keys[i];
    return NULL;
}

const struct seal_key *keyring_in_use(const struct keyring *k)
{
    for (uint32_t i = 0; i < k->n; i++)
        if (k->keys[i].use)
            return &k->keys[i];
    return NULL;
}

static int absent(uint32_t id, struct err *e)
{
    return err_set(e, ERR_ABSENT, "there is no key %08x", id);
}

int keyring_add(struct keyring *k, const uint8_t secret[SEAL_SECRET], struct err *e)
{
    uint32_t id;
    if (k->n == SEAL_KEYS_MAX)
        return err_set(e, ERR_LIMIT, "there are %d keys already: drop one that is not in use",
                       SEAL_KEYS_MAX);
    if (!id_of(secret, &id))
        return err_set(e, ERR_NOMEM, "no memory for a key");
    if (find(k, id))
        return err_set(e, ERR_EXISTS, "the key %08x is there already", id);
    memmove(k->keys + 1, k->keys, k->n * sizeof k->keys[0]);
    k->keys[0].id = id;
    k->keys[0].use = k->n++ == 0;
    memcpy(k->keys[0].secret, secret, SEAL_SECRET);
    return 0;
}

int keyring_use(struct keyring *k, uint32_t id, struct err *e)
{
    if (!find(k, id))
        return absent(id, e);
    for (uint32_t i = 0; i < k->n; i++)
        k->keys[i].use = k->keys[i].id == id;
    return 0;
}

int keyring_drop(struct keyring *k, uint32_t id, struct err *e)
{
    struct seal_key *key = find(k, id);
    if (!key)
        return absent(id, e);
    if (key->use)
        return err_set(e, ERR_DENIED, "the key %08x is in use: use another one first", id);
    size_t after = (size_t)(k->keys + k->n - (key + 1));
    memmove(key, key + 1, after * sizeof *key);
    wipe(&k->keys[--k->n], sizeof k->keys[0]);
    return 0;
}

void keyring_wipe(struct keyring *k)
{
    wipe(k, sizeof *k);
}
