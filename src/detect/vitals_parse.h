/* vitals_parse: the kernel's texts in /proc, read into numbers. Pure; what is cut, odd or from a
 * newer kernel makes a function say false, or is passed over.
 *
 * Sources: proc(5), Linux Documentation/accounting/psi.rst, admin-guide/iostats.rst. */
#ifndef HF_DETECT_VITALS_PARSE_H
#define HF_DETECT_VITALS_PARSE_H

#include "detect/vitals.h"

/* /proc/pressure/NAME: us in total. full may be NULL. */
bool parse_pressure(struct str text, uint64_t *some, uint64_t *full);
/* /proc/loadavg: tasks that want to run, tasks in all. */
bool parse_loadavg(struct str text, uint64_t *running, uint64_t *tasks);
/* "NAME value" on a line of its own, as in /proc/vmstat and memory.events. */
bool parse_field(struct str text, struct str name, uint64_t *value);
/* The n-th number (from 0) of a line of numbers. */
bool parse_number(struct str text, uint32_t n, uint64_t *value);
/* /proc/net/dev: name, packets, bad of each; how many, at most `room`. */
uint32_t parse_interfaces(struct str text, struct vitals_nic *out, uint32_t room);
/* /proc/diskstats: name, operations, ms of each whole device, at most `room`. Partitions, loop and
 * memory devices are left out. */
uint32_t parse_devices(struct str text, struct vitals_device *out, uint32_t room);
/* "Max open files" of /proc/PID/limits: the soft limit; 0: none. */
bool parse_open_files(struct str text, uint64_t *most);

#endif
