/* tool: the few things that the programs of the scenario tests share.
 *
 * These programs judge holdfast from outside, so they use none of its code: a mistake in our parser
 * must not be repeated by its judge. */
#ifndef HF_TEST_TOOL_H
#define HF_TEST_TOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define SECOND_NS 1000000000ull
#define MS_NS     1000000ull

uint64_t tool_now(void); /* ns, monotonic */

_Noreturn void tool_die(const char *what);

/* Asks with getopt_long's manners but shorter: the value after --name, or NULL. */
const char *tool_option(int argc, char **argv, const char *name);
uint64_t tool_number(int argc, char **argv, const char *name, uint64_t otherwise);

/* "127.0.0.1:8080" */
int tool_listen(const char *where);  /* non-blocking; dies on failure */
int tool_connect(const char *where); /* non-blocking; -1: refused at once */
int tool_connect_result(int fd);     /* 0 or errno once it is writable */
void tool_watch(int epoll, int fd, uint32_t events, void *data, bool add);

uint32_t tool_fnv(uint32_t sum, const void *p, size_t n); /* FNV-1a; start with TOOL_FNV */
#define TOOL_FNV 2166136261u

/* Finds `name` among the fields of a head of n bytes; copies its value, true when it is there. */
bool tool_field(const char *head, size_t n, const char *name, char *value, size_t size);
/* The length of a head with its empty line, 0 when it is not complete. */
size_t tool_head_end(const char *p, size_t n);

/* Reads what is there from stdin and calls line() for each whole one. False at its end. */
struct tool_lines {
    char bytes[512];
    size_t n;
};
bool tool_lines_read(struct tool_lines *l, void (*line)(void *arg, char *text), void *arg);

/* Numbers with their percentiles. */
struct tool_samples {
    uint32_t *v;
    size_t n, cap;
};
void tool_samples_add(struct tool_samples *s, uint64_t us);
void tool_samples_sort(struct tool_samples *s);
uint32_t tool_samples_at(const struct tool_samples *s, unsigned permille); /* sorted before */

#endif
