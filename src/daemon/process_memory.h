/* process_memory: how much memory this process has of its own, without what it shares (the cells,
 * the program's text). The file is opened before a sandbox closes the file system, and read again
 * and again. */
#ifndef HF_PROCESS_MEMORY_H
#define HF_PROCESS_MEMORY_H

#include <stdint.h>

/* A descriptor, or -1: it is not known then. */
int process_memory_open(void);
uint64_t process_memory_read(int fd); /* bytes; 0: not known */

#endif
