/* access_log: one line a request, and never a wait for the disk.
 *
 * Each worker writes whole lines into a ring of its own (one producer, one consumer); one writer
 * thread empties all rings to the files. A ring that is full drops the line and counts it: the data
 * path never blocks and never allocates here. A log's descriptor is replaced in place when a new
 * view brings a fresh one, so that rotation needs no agreement with the workers. */
#ifndef HF_ACCESS_LOG_H
#define HF_ACCESS_LOG_H

#include "base/base.h"
#include "proxy/log_line.h"
#include "view/cells.h"

struct access_log; /* one file; lives as long as the logger. Shared */
struct log_ring;   /* one worker's; written by its thread alone */
struct logger;     /* the writer thread */

enum { LOG_RING_BYTES = 1 << 20, LOG_FILES_MAX = 256 };

/* complain is told, on the writer's thread, when a file cannot be written: once until it can again.
 */
int logger_new(struct logger **out, void (*complain)(void *context, const char *text),
               void *context, struct err *e);
void logger_free(struct logger *g); /* writes what is left, then ends */
/* The log of this path with this descriptor, which it takes; the same object for the same path.
 * NULL: memory is out or LOG_FILES_MAX. */
struct access_log *logger_file(struct logger *g, struct str path, int fd);
/* A ring for a worker; dropped lines are counted in *dropped. */
struct log_ring *logger_ring(struct logger *g, cell *dropped, struct err *e);

/* A line without its newline. */
void log_write(struct log_ring *r, struct access_log *log, struct str line);

#endif
