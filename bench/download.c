/* download: gets one path over HTTP and throws the bytes away inside the kernel (MSG_TRUNC), so
 * that the client costs as little as a client can. Prints the bytes received and the seconds they
 * took.
 *
 * usage: download PORT PATH     (on loopback) */
#define _GNU_SOURCE
#include "histogram.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: %s PORT PATH\n", argv[0]);
        return 2;
    }
    static char piece[1 << 20];
    struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons((in_port_t)atoi(argv[1]))};
    there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int s = socket(AF_INET, SOCK_STREAM, 0);
    uint64_t begun = now_ns();
    int n = snprintf(piece, sizeof piece,
                     "GET %s HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n", argv[2]);
    if (connect(s, (struct sockaddr *)&there, sizeof there) || send(s, piece, (size_t)n, 0) != n) {
        perror("connect");
        return 1;
    }
    long total = 0;
    ssize_t r;
    while ((r = recv(s, piece, sizeof piece, MSG_TRUNC)) > 0)
        total += r;
    printf("%ld %.6f\n", total, (double)(now_ns() - begun) / 1e9);
    return r < 0;
}
