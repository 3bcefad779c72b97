/* Certificates from a secret: the same on every node, good for whoever has the secret, and for
 * nobody else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/aead.h"
#include "os/cert.h"
#include "os/digest.h"
#include "os/file.h"

static const uint8_t secrets[3][CERT_SECRET] = {{1, 2, 3}, {4, 5, 6}, {7, 8, 9}};

struct fixture {
    struct addr addresses[2];
    struct cert_node node;
    struct buf ca, cert, key;
};

static void open_fixture(struct fixture *f)
{
    *f = (struct fixture){.node = {STR("node-a"), f->addresses, 2}};
    assert_true(addr_parse(STR("10.0.0.1:7301"), &f->addresses[0]));
    assert_true(addr_parse(STR("[2001:db8::1]:7301"), &f->addresses[1]));
    assert_int_equal(cert_authority(secrets[0], &f->ca, NULL), 0);
    assert_int_equal(cert_issue(secrets[0], &f->node, &f->cert, &f->key, NULL), 0);
}

static void close_fixture(struct fixture *f)
{
    buf_free(&f->ca);
    buf_free(&f->cert);
    buf_free(&f->key);
}

/* Changing what is derived would split a cluster in the middle of an upgrade. */
static void the_authority_has_the_same_bytes_everywhere_and_always(void **state)
{
    struct buf a = {0}, b = {0};
    uint8_t digest[DIGEST_BYTES];
    char hex[2 * DIGEST_BYTES + 1];
    assert_int_equal(cert_authority(secrets[0], &a, NULL), 0);
    assert_int_equal(cert_authority(secrets[0], &b, NULL), 0);
    assert_true(str_eq(buf_str(&a), buf_str(&b)));
    assert_true(digest_sha256(buf_str(&a), digest));
    for (size_t i = 0; i < DIGEST_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    assert_string_equal(hex, "cf7a2161cfea475c72198949a045e411d4e7519246578f068a722c9da788b9f6");
    buf_clear(&b);
    assert_int_equal(cert_authority(secrets[1], &b, NULL), 0);
    assert_false(str_eq(buf_str(&a), buf_str(&b)));
    buf_free(&a);
    buf_free(&b);
}

static void a_node_is_accepted_by_its_authority_alone(void **state)
{
    struct fixture f;
    struct buf other = {0};
    struct err e = {0};
    open_fixture(&f);
    assert_int_equal(cert_verify(buf_str(&f.ca), buf_str(&f.cert), &e), 0);
    assert_int_equal(cert_authority(secrets[1], &other, NULL), 0);
    assert_int_equal(cert_verify(buf_str(&other), buf_str(&f.cert), &e), -ERR_DENIED);
    assert_true(e.text[0]);
    assert_int_equal(cert_verify(STR(""), buf_str(&f.cert), &e), -ERR_DENIED);
    assert_int_equal(cert_verify(buf_str(&f.ca), STR("no certificate"), &e), -ERR_DENIED);
    /* The authority itself is no server, and a node no authority. */
    assert_int_equal(cert_verify(buf_str(&f.cert), buf_str(&f.cert), &e), -ERR_DENIED);
    buf_free(&other);
    close_fixture(&f);
}

static void two_keys_of_a_ring_are_both_accepted(void **state)
{
    struct fixture f;
    struct buf cert = {0}, key = {0};
    open_fixture(&f);
    assert_int_equal(cert_authority(secrets[1], &f.ca, NULL), 0); /* appended */
    assert_int_equal(cert_issue(secrets[1], &f.node, &cert, &key, NULL), 0);
    assert_int_equal(cert_verify(buf_str(&f.ca), buf_str(&f.cert), NULL), 0);
    assert_int_equal(cert_verify(buf_str(&f.ca), buf_str(&cert), NULL), 0);
    buf_clear(&cert);
    buf_clear(&key);
    assert_int_equal(cert_issue(secrets[2], &f.node, &cert, &key, NULL), 0);
    assert_int_equal(cert_verify(buf_str(&f.ca), buf_str(&cert), NULL), -ERR_DENIED);
    buf_free(&cert);
    buf_free(&key);
    close_fixture(&f);
}

static void keys_of_nodes_differ(void **state)
{
    struct fixture f;
    struct buf cert = {0}, key = {0};
    open_fixture(&f);
    assert_int_equal(cert_issue(secrets[0], &f.node, &cert, &key, NULL), 0);
    assert_false(str_eq(buf_str(&key), buf_str(&f.key)));
    assert_false(cert_fits(secrets[0], &f.node, buf_str(&cert), buf_str(&f.key)));
    buf_free(&cert);
    buf_free(&key);
    close_fixture(&f);
}

static void a_certificate_fits_one_node_as_it_is(void **state)
{
    struct fixture f;
    open_fixture(&f);
    struct cert_node other = f.node;
    struct str cert = buf_str(&f.cert), key = buf_str(&f.key);
    assert_true(cert_fits(secrets[0], &f.node, cert, key));
    assert_false(cert_fits(secrets[1], &f.node, cert, key));
    other.name = STR("node-b");
    assert_false(cert_fits(secrets[0], &other, cert, key));
    other = f.node;
    other.n_addresses = 1;
    assert_false(cert_fits(secrets[0], &other, cert, key));
    struct addr moved[2] = {f.addresses[0], f.addresses[1]};
    moved[0].port = 1; /* is not in it */
    other = f.node;
    other.addresses = moved;
    assert_true(cert_fits(secrets[0], &other, cert, key));
    moved[1].ip[15]++;
    assert_false(cert_fits(secrets[0], &other, cert, key));
    for (size_t n = 0; n < cert.n - 1; n += 7)
        assert_false(cert_fits(secrets[0], &f.node, (struct str){cert.p, n}, key));
    assert_false(cert_fits(secrets[0], &f.node, cert, STR("")));
    close_fixture(&f);
}

static void names_that_cannot_be_are_refused(void **state)
{
    struct fixture f;
    struct buf b = {0};
    char long_name[CERT_NAME_MAX + 1];
    open_fixture(&f);
    memset(long_name, 'x', sizeof long_name);
    struct cert_node n = f.node;
    n.name = (struct str){long_name, sizeof long_name};
    assert_int_equal(cert_issue(secrets[0], &n, &b, &b, NULL), -ERR_INVAL);
    n.name = STR("");
    assert_int_equal(cert_issue(secrets[0], &n, &b, &b, NULL), -ERR_INVAL);
    n = f.node;
    n.n_addresses = 0;
    assert_int_equal(cert_issue(secrets[0], &n, &b, &b, NULL), -ERR_INVAL);
    n = f.node;
    f.addresses[0].kind = ADDR_UNIX;
    assert_int_equal(cert_issue(secrets[0], &n, &b, &b, NULL), -ERR_INVAL);
    f.addresses[0].kind = ADDR_IP4;
    n.name = STR("not a host's name, but one");
    assert_int_equal(cert_issue(secrets[0], &n, &b, &f.key, NULL), 0);
    buf_free(&b);
    close_fixture(&f);
}

/* --- files --- */

static void check_file(const char *dir, const char *name, mode_t mode)
{
    char path[256];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, mode);
}

static void read_file(const char *dir, const char *name, struct buf *out)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(file_read(path, CERT_PEM_MAX, out, NULL), 0);
}

static void write_file(const char *dir, const char *name, struct str bytes)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(file_replace(path, bytes, 0600, NULL), 0);
}

static void remove_all(const char *dir)
{
    static const char *const names[] = {"ca.pem", "node.pem", "node.key"};
    char path[256];
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    rmdir(dir);
}

static void a_directory_is_brought_up_to_date(void **state)
{
    struct fixture f;
    struct cert_changes c;
    struct buf ca = {0}, cert = {0}, key = {0};
    char parent[] = "/tmp/holdfast-cert-XXXXXX", dir[64];
    open_fixture(&f);
    assert_non_null(mkdtemp(parent));
    snprintf(dir, sizeof dir, "%s/tls", parent);
    assert_int_equal(cert_write(dir, secrets, 1, 0, &f.node, &c, NULL), 0);
    assert_true(c.authorities && c.node);
    check_file(parent, "tls", 0700);
    check_file(dir, "ca.pem", 0600);
    check_file(dir, "node.pem", 0600);
    check_file(dir, "node.key", 0600);
    read_file(dir, "ca.pem", &ca);
    assert_true(str_eq(buf_str(&ca), buf_str(&f.ca)));
    read_file(dir, "node.pem", &cert);
    read_file(dir, "node.key", &key);
    assert_true(cert_fits(secrets[0], &f.node, buf_str(&cert), buf_str(&key)));
    assert_int_equal(cert_write(dir, secrets, 1, 0, &f.node, &c, NULL), 0);
    assert_false(c.authorities || c.node);
    /* A key is added, then used: nodes accept each other at every step. */
    assert_int_equal(cert_write(dir, secrets, 2, 0, &f.node, &c, NULL), 0);
    assert_true(c.authorities && !c.node);
    assert_int_equal(cert_write(dir, secrets, 2, 1, &f.node, &c, NULL), 0);
    assert_true(!c.authorities && c.node);
    read_file(dir, "ca.pem", &ca);
    read_file(dir, "node.pem", &key);
    assert_int_equal(cert_verify(buf_str(&ca), buf_str(&cert), NULL), 0);
    assert_int_equal(cert_verify(buf_str(&ca), buf_str(&key), NULL), 0);
    /* Cut between the two files. */
    write_file(dir, "node.key", buf_str(&f.key));
    assert_int_equal(cert_write(dir, secrets, 2, 1, &f.node, &c, NULL), 0);
    assert_true(c.node);
    remove_all(dir);
    assert_int_equal(rmdir(parent), 0);
    buf_free(&ca);
    buf_free(&cert);
    buf_free(&key);
    close_fixture(&f);
}

static void a_directory_that_cannot_be_is_an_error(void **state)
{
    struct fixture f;
    struct err e = {0};
    open_fixture(&f);
    assert_true(cert_write("/proc/none/tls", secrets, 1, 0, &f.node, NULL, &e) < 0);
    assert_non_null(strstr(e.text, "cannot write certificates"));
    close_fixture(&f);
}

static void memory_may_run_out(void **state)
{
    struct fixture f;
    open_fixture(&f);
    bool done = false;
    for (unsigned long n = 1; !done; n++) {
        struct buf cert = {0}, key = {0};
        mem_fail_at(n);
        int r = cert_issue(secrets[0], &f.node, &cert, &key, NULL);
        done = !mem_failed();
        mem_fail_at(0);
        assert_int_equal(r, done ? 0 : -ERR_NOMEM);
        buf_free(&cert);
        buf_free(&key);
    }
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_authority_has_the_same_bytes_everywhere_and_always),
        cmocka_unit_test(a_node_is_accepted_by_its_authority_alone),
        cmocka_unit_test(two_keys_of_a_ring_are_both_accepted),
        cmocka_unit_test(keys_of_nodes_differ),
        cmocka_unit_test(a_certificate_fits_one_node_as_it_is),
        cmocka_unit_test(names_that_cannot_be_are_refused),
        cmocka_unit_test(a_directory_is_brought_up_to_date),
        cmocka_unit_test(a_directory_that_cannot_be_is_an_error),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
