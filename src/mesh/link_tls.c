/* link_tls: OpenSSL behind links: contexts, the pre-shared key, and a BIO that counts what comes
 * before the proof and never raises SIGPIPE. */
#include <errno.h>
#include <openssl/err.h>
#include <sys/socket.h>

#include "mesh/link_inside.h"

#define SUITE "TLS_AES_256_GCM_SHA384"
static const unsigned char suite_id[2] = {0x13, 0x02}; /* RFC 8446, B.4 */

/* --- the pre-shared key --- */

/* A session as if both ends had spoken before: that is how OpenSSL takes a key from outside. */
static SSL_SESSION *session_of(SSL *ssl, const uint8_t secret[LINK_SECRET], struct str identity)
{
    uint8_t psk[LINK_SECRET];
    const SSL_CIPHER *cipher = SSL_CIPHER_find(ssl, suite_id);
    SSL_SESSION *s = SSL_SESSION_new();
    bool ok = s && cipher &&
              hkdf_sha256((struct str){(const char *)secret, LINK_SECRET}, STR("holdfast link 1"),
                          identity, psk, sizeof psk) &&
              SSL_SESSION_set1_master_key(s, psk, sizeof psk) &&
              SSL_SESSION_set_cipher(s, cipher) &&
              SSL_SESSION_set_protocol_version(s, TLS1_3_VERSION);
    wipe(psk, sizeof psk);
    if (ok)
        return s;
    SSL_SESSION_free(s);
    return NULL;
}

/* The end that connects: which secret it offers. */
static int on_offer(SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *n,
                    SSL_SESSION **out)
{
    struct link *k = SSL_get_app_data(ssl);
    const SSL_CIPHER *cipher = SSL_CIPHER_find(ssl, suite_id);
    *out = NULL;
    if (md && cipher && SSL_CIPHER_get_handshake_digest(cipher) != md)
        return 1; /* none that would fit */
    *id = (const unsigned char *)k->identity;
    *n = k->identity_n;
    *out = session_of(ssl, k->secret, link_identity(k));
    return *out != NULL;
}

/* The end that accepts. A name that is not known gets a secret that nobody has. */
static int on_claim(SSL *ssl, const unsigned char *id, size_t n, SSL_SESSION **out)
{
    struct link *k = SSL_get_app_data(ssl);
    uint8_t secret[LINK_SECRET];
    k->offered = true;
    k->identity_n = MIN(n, sizeof k->identity);
    memcpy(k->identity, id, k->identity_n);
    if (n > sizeof k->identity || !k->host->secret(k, link_identity(k), secret))
        entropy(secret, sizeof secret);
    *out = session_of(ssl, secret, link_identity(k));
    wipe(secret, sizeof secret);
    return *out != NULL;
}

/* --- the connection --- */

static int bio_read(BIO *b, char *p, int n)
{
    struct link *k = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    if (n <= 0)
        return 0;
    size_t want = (size_t)n;
    if (k->state < LINK_GREETING) {
        want = MIN(want, LINK_UNPROVEN_MAX - k->unproven);
        if (want == 0) {
            link_fail(k, LINK_FLOOD, "more than %d bytes without a proof", LINK_UNPROVEN_MAX);
            return -1;
        }
    }
    ssize_t got;
    do
        got = recv(k->fd, p, want, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got < 0 && errno == EAGAIN)
        BIO_set_retry_read(b);
    else if (got < 0)
        link_fail(k, LINK_BROKEN, "%s", strerror(errno));
    else if (got == 0)
        k->ended_in = true;
    if (got > 0 && k->state < LINK_GREETING)
        k->unproven += (size_t)got;
    return (int)got;
}

static int bio_write(BIO *b, const char *p, int n)
{
    struct link *k = BIO_get_data(b);
    ssize_t put;
    BIO_clear_retry_flags(b);
    do
        put = send(k->fd, p, (size_t)MAX(n, 0), MSG_DONTWAIT | MSG_NOSIGNAL);
    while (put < 0 && errno == EINTR);
    if (put < 0 && errno == EAGAIN)
        BIO_set_retry_write(b);
    else if (put < 0)
        link_fail(k, LINK_BROKEN, "%s", strerror(errno));
    return (int)put;
}

static long bio_ctrl(BIO *b, int command, long number, void *p)
{
    const struct link *k = BIO_get_data(b);
    (void)number;
    (void)p;
    if (command == BIO_CTRL_EOF)
        return k->ended_in;
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *bio_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "holdfast link");
    if (m && BIO_meth_set_read(m, bio_read) && BIO_meth_set_write(m, bio_write) &&
        BIO_meth_set_ctrl(m, bio_ctrl))
        return m;
    BIO_meth_free(m);
    return NULL;
}

/* --- contexts --- */

static SSL_CTX *context(void)
{
    SSL_CTX *c = SSL_CTX_new(TLS_method());
    if (!c)
        return NULL;
    SSL_CTX_set_options(c, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                            SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
    if (SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION) &&
        SSL_CTX_set_max_proto_version(c, TLS1_3_VERSION) && SSL_CTX_set_ciphersuites(c, SUITE) &&
        SSL_CTX_set1_groups_list(c, "X25519:P-256") && SSL_CTX_set_num_tickets(c, 0))
        return c;
    SSL_CTX_free(c);
    return NULL;
}

int link_tls_new(struct link_tls **out, struct err *e)
{
    struct link_tls *t = mem_zero(1, sizeof *t);
    if (!t)
        return err_set(e, ERR_NOMEM, "no memory for links");
    *t = (struct link_tls){.client = context(),
                           .server = context(),
                           .method = bio_method(),
                           .low = LINK_VERSION_LOW,
                           .high = LINK_VERSION_HIGH,
                           .handshake = LINK_HANDSHAKE_NS,
                           .ping = LINK_PING_NS,
                           .silence = LINK_SILENCE_NS};
    if (!t->client || !t->server || !t->method) {
        ERR_clear_error();
        link_tls_free(t);
        return err_set(e, ERR_NOMEM, "OpenSSL cannot be set up for TLS 1.3");
    }
    /* An end that has only a certificate to show is refused: there is nobody to believe it. */
    SSL_CTX_set_verify(t->client, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_psk_use_session_callback(t->client, on_offer);
    SSL_CTX_set_psk_find_session_callback(t->server, on_claim);
    *out = t;
    return 0;
}

void link_tls_free(struct link_tls *t)
{
    if (!t)
        return;
    SSL_CTX_free(t->client);
    SSL_CTX_free(t->server);
    BIO_meth_free(t->method);
    mem_free(t);
}

void link_tls_versions(struct link_tls *t, uint16_t low, uint16_t high)
{
    CHECK(low > 0 && low <= high);
    t->low = low;
    t->high = high;
}

void link_tls_times(struct link_tls *t, uint64_t handshake, uint64_t ping, uint64_t silence)
{
    t->handshake = handshake;
    t->ping = ping;
    t->silence = silence;
}

int link_tls_begin(struct link *k, struct err *e)
{
    k->ssl = SSL_new(k->accepted ? k->tls->server : k->tls->client);
    BIO *b = k->ssl ? BIO_new(k->tls->method) : NULL;
    if (!b) {
        ERR_clear_error();
        return err_set(e, ERR_NOMEM, "no memory for a link");
    }
    BIO_set_data(b, k);
    BIO_set_init(b, 1);
    SSL_set_bio(k->ssl, b, b);
    SSL_set_app_data(k->ssl, k);
    if (k->accepted)
        SSL_set_accept_state(k->ssl);
    else
        SSL_set_connect_state(k->ssl);
    return 0;
}

/* --- what comes of it --- */

static void cut(struct link *k)
{
    if (k->state < LINK_GREETING)
        link_fail(k, LINK_BROKEN, "it closed the connection without a proof");
    else
        link_fail(k, LINK_BROKEN, "the connection was cut");
}

/* In this order: what the connection did, what was said in TLS. Before the proof every complaint of
 * TLS after a secret was named, and all of the end that connects, is about the secret. */
static void failed(struct link *k, int what)
{
    unsigned long error = ERR_peek_last_error();
    const char *reason = error ? ERR_reason_error_string(error) : NULL;
    reason = reason ? reason : "no reason given";
    if (what == SSL_ERROR_ZERO_RETURN)
        link_fail(k, LINK_GOODBYE, "it closed the link");
    else if (k->ended_in)
        cut(k);
    else if (error && ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE)
        link_fail(k, LINK_NOMEM, "%s", reason);
    else if (k->state >= LINK_GREETING)
        link_fail(k, LINK_MALFORMED, "%s", reason);
    else if (k->offered || !k->accepted)
        link_fail(k, LINK_KEY, "%s", reason);
    else
        link_fail(k, LINK_PLAIN, "%s", reason);
    ERR_clear_error();
}

/* True: it is worth trying again when the connection is ready. */
static bool is_patient(struct link *k, int result)
{
    int what = SSL_get_error(k->ssl, result);
    if (what == SSL_ERROR_WANT_READ || what == SSL_ERROR_WANT_WRITE)
        return true;
    failed(k, what);
    return false;
}

int link_tls_prove(struct link *k)
{
    ERR_clear_error();
    int r = SSL_do_handshake(k->ssl);
    if (r != 1) {
        is_patient(k, r);
        return 0;
    }
    if (SSL_version(k->ssl) != TLS1_3_VERSION || !SSL_session_reused(k->ssl)) {
        link_fail(k, LINK_KEY, "it proved no secret");
        return 0;
    }
    return 1;
}

size_t link_tls_read(struct link *k, void *p, size_t n)
{
    size_t got = 0;
    ERR_clear_error();
    int r = SSL_read_ex(k->ssl, p, n, &got);
    if (r != 1)
        is_patient(k, r);
    return r == 1 ? got : 0;
}

size_t link_tls_write(struct link *k, const void *p, size_t n)
{
    size_t put = 0;
    ERR_clear_error();
    int r = SSL_write_ex(k->ssl, p, n, &put);
    if (r != 1)
        is_patient(k, r);
    return r == 1 ? put : 0;
}

void link_tls_close(struct link *k)
{
    ERR_clear_error();
    if (k->state >= LINK_GREETING)
        SSL_shutdown(k->ssl); /* what does not go now, the end of the connection says too */
    ERR_clear_error();
}
