/* faulty_disk: the disk under SQLite, with faults to order: a file system of SQLite's own kind (a
 * VFS) around the real one. */
#ifndef HF_COORD_FAULTY_DISK_TEST_H
#define HF_COORD_FAULTY_DISK_TEST_H

#include <stdbool.h>
#include <stdint.h>

struct faulty_disk;

/* The one of this program; from now on SQLite uses it. */
struct faulty_disk *faulty_disk(void);
void faulty_disk_heal(struct faulty_disk *d);
/* Nothing opens, reads, writes or syncs. */
void faulty_disk_gone(struct faulty_disk *d);
void faulty_disk_gone_for(struct faulty_disk *d, uint64_t ns);
/* The next `times` syncs take so long. */
void faulty_disk_slow(struct faulty_disk *d, uint64_t ns, uint32_t times);
/* So many bytes can be written yet; then it is full, in the middle of a write. */
void faulty_disk_room(struct faulty_disk *d, int64_t bytes);
/* The next `times` syncs fail. forget: and what was written since the last one is lost, as kernels
 * do it after an error. */
void faulty_disk_fail_sync(struct faulty_disk *d, uint32_t times, bool forget);
/* The next so many writes fail. */
void faulty_disk_fail_write(struct faulty_disk *d, uint32_t times);
uint64_t faulty_disk_syncs(const struct faulty_disk *d);

#endif
