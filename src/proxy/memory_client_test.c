/* The client of memory_rig: it reads what comes to its end, and judges. */
#include "proxy/memory_rig_test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ANSWER_MOST = 64 * 1024, HANGS_MS = 20000 };

int dial(void)
{
    int fd = net_connect(rig_front(), NULL);
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    assert_true(fd >= 0);
    assert_int_equal(poll(&p, 1, HANGS_MS), 1);
    assert_true(net_connect_result(fd) == 0 || memory_hit()); /* accepted, and closed at once */
    return fd;
}

void say_bytes(int fd, const void *p, size_t n)
{
    ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
    assert_true(sent == (ssize_t)n || memory_hit()); /* a closed one takes nothing */
}

void send_text(int fd, const char *text)
{
    say_bytes(fd, text, strlen(text));
}

/* What came; 0: the connection ended. */
static size_t receive(int fd, char *p, size_t most)
{
    struct pollfd w = {.fd = fd, .events = POLLIN};
    if (poll(&w, 1, HANGS_MS) != 1)
        fail_msg("the client is left waiting");
    ssize_t n = recv(fd, p, most, 0);
    return n > 0 ? (size_t)n : 0;
}

struct heard {
    char bytes[ANSWER_MOST];
    size_t have;
    int status;
    char *body; /* behind the head; without its frames once it is whole */
};

/* The chunks' data, in place. False: not all has come. */
static bool unchunk(char *at, char **end)
{
    char *to = at;
    for (;;) {
        char *line = strstr(at, "\r\n");
        if (!line)
            return false;
        size_t n = strtoul(at, &at, 16);
        if (at != line || strlen(line) < n + 4)
            return false;
        memmove(to, line + 2, n);
        to += n;
        at = line + 2 + n;
        if (strncmp(at, "\r\n", 2) != 0)
            fail_msg("a chunk is longer than it says");
        at += 2;
        if (!n) {
            *to = 0;
            *end = at;
            return true;
        }
    }
}

/* Whether the answer is whole by what its head says. The body is terminated then. */
static bool is_whole(struct heard *h)
{
    char *head_end = strstr(h->bytes, "\r\n\r\n");
    if (!head_end)
        return false;
    h->body = head_end + 4;
    h->status = (int)strtol(h->bytes + 9, NULL, 10);
    if (h->status == 101)
        return true;
    const char *length = strcasestr(h->bytes, "\r\nContent-Length: ");
    if (length && length < head_end) {
        size_t n = strtoul(length + 18, NULL, 10), here = strlen(h->body);
        if (here > n)
            fail_msg("more came than the answer: %s", h->bytes);
        return here == n;
    }
    if (!strcasestr(h->bytes, "\r\nTransfer-Encoding: chunked\r\n"))
        fail_msg("an answer without an end: %s", h->bytes);
    char *copy = strdup(h->body), *end = NULL;
    bool whole = unchunk(copy, &end);
    if (whole) {
        if (*end)
            fail_msg("more came than the answer: %s", h->bytes);
        strcpy(h->body, copy);
    }
    free(copy);
    return whole;
}

static bool is_as(const struct heard *h, struct expected e)
{
    if (h->status != e.status || (e.body && strcmp(h->body, e.body) != 0))
        return false;
    char *head = strndup(h->bytes, (size_t)(h->body - h->bytes));
    bool ok = (!e.field || strstr(head, e.field)) && (!e.absent || !strstr(head, e.absent));
    free(head);
    return ok;
}

static struct heard answer; /* the last answer */

const char *heard(void)
{
    return answer.bytes;
}

bool hear(int fd, struct expected e)
{
    memset(&answer, 0, sizeof answer);
    while (!is_whole(&answer)) {
        size_t n = receive(fd, answer.bytes + answer.have, ANSWER_MOST - 1 - answer.have);
        if (!n) {
            if (!memory_hit())
                fail_msg("cut for no reason, having said: %s", answer.bytes);
            return false;
        }
        answer.have += n;
    }
    if (is_as(&answer, e))
        return true;
    if (!memory_hit() || answer.status < 500)
        fail_msg("instead of %d \"%s\" came: %s", e.status, e.body ? e.body : "", answer.bytes);
    return false;
}

bool echo(int fd, const void *p, size_t n)
{
    const char *bytes = p;
    char back[65536];
    for (size_t sent = 0, seen = 0; seen < n;) {
        struct pollfd w = {.fd = fd, .events = POLLIN};
        if (sent < n)
            w.events |= POLLOUT;
        if (poll(&w, 1, HANGS_MS) != 1)
            fail_msg("the tunnel stands still");
        ssize_t r = sent < n ? send(fd, bytes + sent, n - sent, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;
        sent += r > 0 ? (size_t)r : 0;
        if (!(w.revents & ~POLLOUT))
            continue;
        r = recv(fd, back, sizeof back, MSG_DONTWAIT);
        if (r <= 0) {
            if (!memory_hit())
                fail_msg("the tunnel was cut for no reason");
            return false;
        }
        if ((size_t)r > n - seen || memcmp(back, bytes + seen, (size_t)r) != 0)
            fail_msg("the tunnel says something else");
        seen += (size_t)r;
    }
    return true;
}

bool ask(const char *request, struct expected e)
{
    int fd = dial();
    send_text(fd, request);
    bool right = hear(fd, e);
    close(fd);
    return right;
}
