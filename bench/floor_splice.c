/* floor_splice: the least that moves bytes from one connection to another without touching them: a
 * blocking splice loop, one connection at a time, no event loop at all.
 *
 * usage: floor_splice LISTEN_PORT UPSTREAM_PORT     (both on loopback)
 *
 * A floor to compare proxies with, not a proxy: first what the client sends at once goes to the
 * upstream, then all that the upstream sends goes to the client, until it ends. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <unistd.h>

enum { PIECE = 1 << 20 };

/* Bytes moved, 0 at the end, -1. */
static ssize_t move(int from, const int pipe_fds[2], int to)
{
    ssize_t got = splice(from, NULL, pipe_fds[1], NULL, PIECE, SPLICE_F_MOVE);
    for (ssize_t left = got; left > 0;) {
        ssize_t n = splice(pipe_fds[0], NULL, to, NULL, (size_t)left, SPLICE_F_MOVE);
        if (n <= 0)
            return -1;
        left -= n;
    }
    return got;
}

static void serve(int client, const struct sockaddr_in *there)
{
    int one = 1, pipe_fds[2], upstream = socket(AF_INET, SOCK_STREAM, 0);
    if (upstream < 0 || pipe(pipe_fds))
        abort();
    fcntl(pipe_fds[0], F_SETPIPE_SZ, PIECE);
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(upstream, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (!connect(upstream, (const struct sockaddr *)there, sizeof *there) &&
        move(client, pipe_fds, upstream) > 0) {
        while (move(upstream, pipe_fds, client) > 0)
            continue;
    }
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    close(upstream);
    close(client);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: %s LISTEN_PORT UPSTREAM_PORT\n", argv[0]);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons((in_port_t)atoi(argv[1]))};
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct sockaddr_in there = here;
    there.sin_port = htons((in_port_t)atoi(argv[2]));
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&here, sizeof here) || listen(listener, 16)) {
        perror("bind");
        return 1;
    }
    for (;;) {
        int client = accept(listener, NULL, NULL);
        if (client >= 0)
            serve(client, &there);
    }
}
