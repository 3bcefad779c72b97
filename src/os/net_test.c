/* Units of sockets and messages: addresses in use, abandoned sockets, descriptors that travel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/os.h"

static struct addr address(const char *text)
{
    struct addr a;
    assert_true(addr_parse(str_of(text), &a));
    return a;
}

/* A listening socket on a free loopback port; *a is where. */
static int listen_somewhere(struct addr *a)
{
    for (unsigned port = 20000; port < 60000; port += 7) {
        char text[ADDR_TEXT_MAX];
        snprintf(text, sizeof text, "127.0.0.1:%u", port + (unsigned)getpid() % 7);
        *a = address(text);
        int fd = net_listen(a, 16, NULL);
        if (fd >= 0)
            return fd;
    }
    fail_msg("no free port");
    return -1;
}

static void wait_for(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};
    assert_int_equal(poll(&p, 1, 5000), 1);
}

static void addresses_of_this_machine(void **state)
{
    struct addr six = address("[::1]:80"), none = address("unix:/run/a"),
                any = address("0.0.0.0:1");
    struct addr near = address("127.0.0.1:80"), nearby = address("127.9.9.9:1");
    struct addr far = address("192.0.2.1:80"); /* for documentation */
    struct addr six_far = address("[2001:db8::1]:80");
    int fd = net_datagram_listen(&six, NULL); /* whether there is IPv6 */
    assert_true(net_has_address(&near));
    assert_true(net_has_address(&nearby));
    assert_int_equal(net_has_address(&six), fd >= 0);
    assert_false(net_has_address(&far));
    assert_false(net_has_address(&six_far));
    assert_false(net_has_address(&any));
    assert_false(net_has_address(&none));
    if (fd >= 0)
        close(fd);
}

static void connects_and_names_the_client(void **state)
{
    (void)state;
    struct addr a, from;
    int l = listen_somewhere(&a);
    assert_int_equal(net_accept(l, &from), -EAGAIN);
    int c = net_connect(&a, NULL);
    assert_true(c >= 0);
    wait_for(c, POLLOUT);
    assert_int_equal(net_connect_result(c), 0);
    wait_for(l, POLLIN);
    int s = net_accept(l, &from);
    assert_true(s >= 0);
    int nodelay = 0;
    socklen_t n = sizeof nodelay;
    assert_int_equal(getsockopt(s, IPPROTO_TCP, TCP_NODELAY, &nodelay, &n), 0);
    assert_int_equal(nodelay, 1); /* as its listener */
    char text[ADDR_TEXT_MAX];
    addr_format_ip(&from, text);
    assert_string_equal(text, "127.0.0.1");
    assert_true(from.port > 0);
    close(c);
    close(s);
    close(l);
}

static void a_refused_connection_says_so(void **state)
{
    (void)state;
    struct addr a;
    int l = listen_somewhere(&a);
    close(l);
    int c = net_connect(&a, NULL);
    if (c < 0) {
        assert_int_equal(errno, ECONNREFUSED);
        return;
    }
    wait_for(c, POLLOUT);
    assert_int_equal(net_connect_result(c), ECONNREFUSED);
    close(c);
}

static void an_address_in_use_is_an_error_with_its_name(void **state)
{
    (void)state;
    struct addr a;
    struct err e = {0};
    int l = listen_somewhere(&a);
    assert_true(net_listen(&a, 16, &e) < 0);
    char text[ADDR_TEXT_MAX];
    addr_format(&a, text);
    assert_non_null(strstr(e.text, text));
    assert_non_null(strstr(e.text, "in use"));
    close(l);
}

static void a_unix_socket_is_taken_over_only_when_abandoned(void **state)
{
    (void)state;
    char dir[] = "/tmp/net-test-XXXXXX", text[ADDR_TEXT_MAX];
    assert_non_null(mkdtemp(dir));
    snprintf(text, sizeof text, "unix:%s/s", dir);
    struct addr a = address(text);
    struct err e = {0};
    int l = net_listen(&a, 16, &e);
    assert_true(l >= 0);
    assert_int_equal(net_listen(&a, 16, &e), -ERR_EXISTS);
    close(l); /* the file stays behind */
    l = net_listen(&a, 16, &e);
    assert_true(l >= 0);
    close(l);
    unlink(a.path);
    rmdir(dir);
}

static void a_file_that_is_no_socket_is_left_alone(void **state)
{
    (void)state;
    char path[] = "/tmp/net-test-XXXXXX", text[ADDR_TEXT_MAX];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    snprintf(text, sizeof text, "unix:%s", path);
    struct addr a = address(text);
    struct err e = {0};
    assert_true(net_listen(&a, 16, &e) < 0);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_true(S_ISREG(st.st_mode));
    close(fd);
    unlink(path);
}

static void messages_keep_their_bounds_and_bring_descriptors(void **state)
{
    (void)state;
    int pair[2], sent[2], got[4];
    char bytes[64];
    size_t n_fds;
    assert_int_equal(net_message_pair(pair, NULL), 0);
    assert_int_equal(pipe(sent), 0);
    assert_int_equal(net_message_send(pair[0], "one", 3, sent, 2, NULL), 0);
    assert_int_equal(net_message_send(pair[0], "second", 6, NULL, 0, NULL), 0);
    assert_int_equal(net_message_receive(pair[1], bytes, sizeof bytes, got, 4, &n_fds, NULL), 3);
    assert_int_equal(n_fds, 2);
    assert_int_equal(write(got[1], "x", 1), 1);
    assert_int_equal(read(sent[0], bytes, 1), 1);
    close(got[0]);
    close(got[1]);
    assert_int_equal(net_message_receive(pair[1], bytes, sizeof bytes, got, 4, &n_fds, NULL), 6);
    assert_int_equal(n_fds, 0);
    assert_int_equal(net_message_receive(pair[1], bytes, sizeof bytes, got, 4, &n_fds, NULL),
                     -ERR_BUSY);
    close(pair[0]);
    assert_int_equal(net_message_receive(pair[1], bytes, sizeof bytes, got, 4, &n_fds, NULL), 0);
    close(pair[1]);
    close(sent[0]);
    close(sent[1]);
}

static int lowest_free_fd(void)
{
    int fd = dup(0);
    close(fd);
    return fd;
}

static void too_much_is_refused_and_leaks_nothing(void **state)
{
    (void)state;
    int pair[2], three[3] = {0, 1, 2}, got[2];
    char small[4];
    size_t n_fds;
    assert_int_equal(net_message_pair(pair, NULL), 0);
    int free_before = lowest_free_fd();
    assert_int_equal(net_message_send(pair[0], "abc", 3, three, 3, NULL), 0);
    assert_int_equal(net_message_receive(pair[1], small, sizeof small, got, 2, &n_fds, NULL),
                     -ERR_PROTO);
    assert_int_equal(net_message_send(pair[0], "abcdef", 6, three, 1, NULL), 0);
    assert_int_equal(net_message_receive(pair[1], small, sizeof small, got, 2, &n_fds, NULL),
                     -ERR_PROTO);
    assert_int_equal(lowest_free_fd(), free_before);
    close(pair[0]);
    close(pair[1]);
}

static void a_peer_that_does_not_read_makes_busy(void **state)
{
    (void)state;
    int pair[2], r;
    char bytes[1000] = {0};
    assert_int_equal(net_message_pair(pair, NULL), 0);
    int sent = 0;
    while ((r = net_message_send(pair[0], bytes, sizeof bytes, NULL, 0, NULL)) == 0)
        assert_true(++sent < 100000);
    assert_int_equal(r, -ERR_BUSY);
    close(pair[1]);
    assert_int_equal(net_message_send(pair[0], bytes, 1, NULL, 0, NULL), -ERR_IO);
    close(pair[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_of_this_machine),
        cmocka_unit_test(connects_and_names_the_client),
        cmocka_unit_test(a_refused_connection_says_so),
        cmocka_unit_test(an_address_in_use_is_an_error_with_its_name),
        cmocka_unit_test(a_unix_socket_is_taken_over_only_when_abandoned),
        cmocka_unit_test(a_file_that_is_no_socket_is_left_alone),
        cmocka_unit_test(messages_keep_their_bounds_and_bring_descriptors),
        cmocka_unit_test(too_much_is_refused_and_leaks_nothing),
        cmocka_unit_test(a_peer_that_does_not_read_makes_busy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
