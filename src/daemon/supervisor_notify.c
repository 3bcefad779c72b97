/* What a service manager is told, by the protocol of sd_notify(3): a datagram of NAME=VALUE lines
 * to the Unix socket that $NOTIFY_SOCKET names. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/supervisor.h"

/* Failing is harmless: the manager then learns less. The variable is not for our children. */
void notify_open(struct supervisor *s)
{
    s->notify_fd = -1;
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (!path || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof to.sun_path)
        return;
    size_t n = strlen(path);
    memcpy(to.sun_path, path, n);
    if (path[0] == '@')
        to.sun_path[0] = 0;
    unsetenv("NOTIFY_SOCKET");
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    if (connect(fd, (const struct sockaddr *)&to, size)) {
        close(fd);
        return;
    }
    s->notify_fd = fd;
}

void notify_send(struct supervisor *s, const char *text)
{
    if (s->notify_fd >= 0)
        send(s->notify_fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
}

void notify_patience(struct supervisor *s, uint64_t seconds)
{
    char text[64];
    snprintf(text, sizeof text, "EXTEND_TIMEOUT_USEC=%llu\n",
             (unsigned long long)seconds * 1000000);
    notify_send(s, text);
}
