#include "daemon/process_memory.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int process_memory_open(void)
{
    return open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
}

/* proc(5): size, resident, shared, ... in pages. */
uint64_t process_memory_read(int fd)
{
    char text[128];
    unsigned long resident, shared;
    ssize_t n = fd < 0 ? -1 : pread(fd, text, sizeof text - 1, 0);
    if (n <= 0)
        return 0;
    text[n] = 0;
    if (sscanf(text, "%*u %lu %lu", &resident, &shared) != 2 || shared > resident)
        return 0;
    return (uint64_t)(resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE);
}
