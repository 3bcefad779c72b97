/* X.509 (RFC 5280) by OpenSSL 3. What can fail here for want of anything but memory was checked
 * before; so an OpenSSL call that fails is ERR_NOMEM. What OpenSSL noted about failures is
 * forgotten, or a TLS connection of this thread would take it for its own. */
#include "os/cert.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "os/aead.h"
#include "os/digest.h"

#define FROM  "19700101000000Z"
#define UNTIL "99991231235959Z" /* RFC 5280, 4.1.2.5: no end */

enum { SERIAL = 16 };

/* --- keys --- */

static EVP_PKEY *authority_key(const uint8_t secret[CERT_SECRET])
{
    uint8_t seed[32];
    EVP_PKEY *k = NULL;
    if (hkdf_sha256((struct str){(const char *)secret, CERT_SECRET}, STR(""),
                    STR("holdfast coordinator authority"), seed, sizeof seed))
        k = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof seed);
    wipe(seed, sizeof seed);
    return k;
}

static EVP_PKEY *new_key(void)
{
    return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
}

/* SHA-256 of the public key: what names an authority. */
static bool digest_of(EVP_PKEY *k, uint8_t out[DIGEST_BYTES])
{
    uint8_t raw[32];
    size_t n = sizeof raw;
    return EVP_PKEY_get_raw_public_key(k, raw, &n) == 1 &&
           digest_sha256((struct str){(const char *)raw, n}, out);
}

/* --- parts of a certificate --- */

static bool set_name(X509_NAME *name, struct str text)
{
    return X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                      (const unsigned char *)text.p, (int)text.n, -1, 0) == 1;
}

/* Two authorities differ in name, so that who verifies tries the right one. */
static bool authority_name(X509_NAME *name, EVP_PKEY *k)
{
    uint8_t digest[DIGEST_BYTES];
    char text[64];
    if (!digest_of(k, digest))
        return false;
    int n = snprintf(text, sizeof text, "holdfast coordinator authority %02x%02x%02x%02x",
                     digest[0], digest[1], digest[2], digest[3]);
    return set_name(name, (struct str){text, (size_t)n});
}

static bool set_serial(X509 *x, const uint8_t bytes[SERIAL])
{
    uint8_t positive[SERIAL];
    memcpy(positive, bytes, SERIAL);
    positive[0] = (uint8_t)((positive[0] & 0x7f) | 0x40);
    BIGNUM *n = BN_bin2bn(positive, SERIAL, NULL);
    bool ok = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x));
    BN_free(n);
    return ok;
}

static bool set_times(X509 *x)
{
    return ASN1_TIME_set_string_X509(X509_getm_notBefore(x), FROM) == 1 &&
           ASN1_TIME_set_string_X509(X509_getm_notAfter(x), UNTIL) == 1;
}

static bool extend(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *made = X509V3_EXT_nconf_nid(NULL, &context, nid, value);
    bool ok = made && X509_add_ext(x, made, -1) == 1;
    X509_EXTENSION_free(made);
    return ok;
}

static X509 *authority_of(EVP_PKEY *k)
{
    uint8_t digest[DIGEST_BYTES];
    X509 *x = X509_new();
    if (x && digest_of(k, digest) && X509_set_version(x, X509_VERSION_3) == 1 &&
        set_serial(x, digest + DIGEST_BYTES - SERIAL) && set_times(x) &&
        authority_name(X509_get_subject_name(x), k) && authority_name(X509_get_issuer_name(x), k) &&
        X509_set_pubkey(x, k) == 1 &&
        extend(x, x, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
        extend(x, x, NID_key_usage, "critical,keyCertSign,cRLSign") &&
        extend(x, x, NID_subject_key_identifier, "hash") && X509_sign(x, k, NULL) > 0)
        return x;
    X509_free(x);
    return NULL;
}

/* --- the names of a node --- */

/* Letters, digits, '-' and '_', in labels. */
static bool is_dns_name(struct str s)
{
    char before = '.';
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '_';
        if (!plain && (c != '.' || before == '.'))
            return false;
        before = c;
    }
    return s.n && before != '.';
}

static bool add_name(GENERAL_NAMES *list, int type, ASN1_STRING *value, struct str bytes)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    if (!name || !value || ASN1_STRING_set(value, bytes.p, (int)bytes.n) != 1) {
        GENERAL_NAME_free(name);
        ASN1_STRING_free(value);
        return false;
    }
    GENERAL_NAME_set0_value(name, type, value);
    if (sk_GENERAL_NAME_push(list, name) > 0)
        return true;
    GENERAL_NAME_free(name);
    return false;
}

static struct str ip_of(const struct addr *a)
{
    return (struct str){(const char *)a->ip, a->kind == ADDR_IP4 ? 4 : 16};
}

static GENERAL_NAMES *names_of(const struct cert_node *n)
{
    GENERAL_NAMES *list = sk_GENERAL_NAME_new_null();
    bool ok =
        list && (!is_dns_name(n->name) || add_name(list, GEN_DNS, ASN1_IA5STRING_new(), n->name));
    for (uint32_t i = 0; ok && i < n->n_addresses; i++)
        ok = add_name(list, GEN_IPADD, ASN1_OCTET_STRING_new(), ip_of(&n->addresses[i]));
    if (ok)
        return list;
    GENERAL_NAMES_free(list);
    return NULL;
}

static bool set_names(X509 *x, const struct cert_node *n)
{
    GENERAL_NAMES *list = names_of(n);
    bool ok = list && X509_add1_ext_i2d(x, NID_subject_alt_name, list, 0, X509V3_ADD_DEFAULT) == 1;
    GENERAL_NAMES_free(list);
    return ok;
}

static int check_node(const struct cert_node *n, struct err *e)
{
    if (n->name.n == 0 || n->name.n > CERT_NAME_MAX)
        return err_set(e, ERR_INVAL, "a certificate's name has 1 to %d bytes", CERT_NAME_MAX);
    if (n->n_addresses == 0 || n->n_addresses > CERT_ADDRESSES)
        return err_set(e, ERR_INVAL, "a certificate has 1 to %d addresses", CERT_ADDRESSES);
    for (uint32_t i = 0; i < n->n_addresses; i++)
        if (n->addresses[i].kind != ADDR_IP4 && n->addresses[i].kind != ADDR_IP6)
            return err_set(e, ERR_INVAL, "a certificate's address is not an IP address");
    return 0;
}

static X509 *leaf_of(EVP_PKEY *authority, X509 *issuer, EVP_PKEY *key, const struct cert_node *n)
{
    uint8_t digest[DIGEST_BYTES];
    X509 *x = X509_new();
    if (x && digest_of(key, digest) && X509_set_version(x, X509_VERSION_3) == 1 &&
        set_serial(x, digest) && set_times(x) && set_name(X509_get_subject_name(x), n->name) &&
        X509_set_issuer_name(x, X509_get_subject_name(issuer)) == 1 &&
        X509_set_pubkey(x, key) == 1 &&
        extend(x, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
        extend(x, issuer, NID_key_usage, "critical,digitalSignature") &&
        extend(x, issuer, NID_ext_key_usage, "serverAuth,clientAuth") &&
        extend(x, issuer, NID_authority_key_identifier, "keyid") && set_names(x, n) &&
        X509_sign(x, authority, NULL) > 0)
        return x;
    X509_free(x);
    return NULL;
}

/* --- PEM --- */

static bool append(struct buf *out, BIO *from)
{
    char *p;
    long n = BIO_get_mem_data(from, &p);
    return n > 0 && buf_add(out, p, (size_t)n);
}

static bool put_certificate(struct buf *out, X509 *x)
{
    BIO *b = x ? BIO_new(BIO_s_mem()) : NULL;
    bool ok = b && PEM_write_bio_X509(b, x) == 1 && append(out, b);
    BIO_free(b);
    return ok;
}

/* The BIO wipes what it held. */
static bool put_key(struct buf *out, EVP_PKEY *k)
{
    BIO *b = BIO_new(BIO_s_secmem());
    bool ok = b && buf_reserve(out, CERT_PEM_MAX) &&
              PEM_write_bio_PrivateKey(b, k, NULL, NULL, 0, NULL, NULL) == 1 && append(out, b);
    BIO_free(b);
    return ok;
}

static BIO *reading(struct str pem)
{
    return pem.n && pem.n <= CERT_PEM_MAX ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;
}

static X509 *get_certificate(struct str pem)
{
    BIO *b = reading(pem);
    X509 *x = b ? PEM_read_bio_X509(b, NULL, NULL, NULL) : NULL;
    BIO_free(b);
    return x;
}

static int no_password(char *buf, int size, int writing, void *context)
{
    (void)buf, (void)size, (void)writing, (void)context;
    return -1;
}

static EVP_PKEY *get_key(struct str pem)
{
    BIO *b = reading(pem);
    EVP_PKEY *k = b ? PEM_read_bio_PrivateKey(b, NULL, no_password, NULL) : NULL;
    BIO_free(b);
    return k;
}

/* --- the front --- */

int cert_authority(const uint8_t secret[CERT_SECRET], struct buf *pem, struct err *e)
{
    EVP_PKEY *k = authority_key(secret);
    X509 *x = k ? authority_of(k) : NULL;
    bool ok = put_certificate(pem, x);
    X509_free(x);
    EVP_PKEY_free(k);
    ERR_clear_error();
    return ok ? 0 : err_set(e, ERR_NOMEM, "no memory for a certificate");
}

int cert_issue(const uint8_t secret[CERT_SECRET], const struct cert_node *n, struct buf *cert,
               struct buf *key, struct err *e)
{
    int r = check_node(n, e);
    if (r)
        return r;
    EVP_PKEY *authority = authority_key(secret), *own = new_key();
    X509 *issuer = authority ? authority_of(authority) : NULL;
    X509 *leaf = issuer && own ? leaf_of(authority, issuer, own, n) : NULL;
    bool ok = put_certificate(cert, leaf) && put_key(key, own);
    X509_free(leaf);
    X509_free(issuer);
    EVP_PKEY_free(own);
    EVP_PKEY_free(authority);
    ERR_clear_error();
    return ok ? 0 : err_set(e, ERR_NOMEM, "no memory for a certificate");
}

/* The names, as they would be issued now. */
static bool has_names(X509 *x, const struct cert_node *n)
{
    char name[CERT_NAME_MAX + 2];
    GENERAL_NAMES *wanted = names_of(n),
                  *has = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    int length =
        X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, name, sizeof name);
    bool same = wanted && has && length >= 0 &&
                str_eq((struct str){name, (size_t)length}, n->name) &&
                sk_GENERAL_NAME_num(wanted) == sk_GENERAL_NAME_num(has);
    for (int i = 0; same && i < sk_GENERAL_NAME_num(has); i++)
        same =
            GENERAL_NAME_cmp(sk_GENERAL_NAME_value(has, i), sk_GENERAL_NAME_value(wanted, i)) == 0;
    GENERAL_NAMES_free(wanted);
    GENERAL_NAMES_free(has);
    return same;
}

bool cert_fits(const uint8_t secret[CERT_SECRET], const struct cert_node *n, struct str cert,
               struct str key)
{
    if (check_node(n, NULL))
        return false;
    EVP_PKEY *authority = authority_key(secret), *own = get_key(key);
    X509 *x = get_certificate(cert);
    bool fits = authority && own && x && X509_verify(x, authority) == 1 &&
                X509_check_private_key(x, own) == 1 && has_names(x, n);
    X509_free(x);
    EVP_PKEY_free(own);
    EVP_PKEY_free(authority);
    ERR_clear_error();
    return fits;
}

static X509_STORE *store_of(struct str authorities)
{
    X509_STORE *s = X509_STORE_new();
    BIO *b = reading(authorities);
    for (X509 *x; s && b && (x = PEM_read_bio_X509(b, NULL, NULL, NULL)); X509_free(x))
        X509_STORE_add_cert(s, x);
    BIO_free(b);
    return s;
}

static int verify_for(X509_STORE *store, X509 *x, int purpose, struct err *e)
{
    X509_STORE_CTX *c = X509_STORE_CTX_new();
    int r = 0;
    if (!c || X509_STORE_CTX_init(c, store, x, NULL) != 1 ||
        X509_STORE_CTX_set_purpose(c, purpose) != 1)
        r = err_set(e, ERR_NOMEM, "no memory to verify a certificate");
    else if (X509_verify_cert(c) != 1)
        r = err_set(e, ERR_DENIED, "%s",
                    X509_verify_cert_error_string(X509_STORE_CTX_get_error(c)));
    X509_STORE_CTX_free(c);
    return r;
}

int cert_verify(struct str authorities, struct str cert, struct err *e)
{
    X509_STORE *store = store_of(authorities);
    X509 *x = get_certificate(cert);
    int r = !x      ? err_set(e, ERR_DENIED, "this is no certificate")
            : store ? verify_for(store, x, X509_PURPOSE_SSL_SERVER, e)
                    : err_set(e, ERR_NOMEM, "no memory to verify a certificate");
    if (r == 0)
        r = verify_for(store, x, X509_PURPOSE_SSL_CLIENT, e);
    X509_free(x);
    X509_STORE_free(store);
    ERR_clear_error();
    return r;
}
