/* memory_rig: what memory_test.c turns round: a proxy in this process whose allocations are
 * counted, instances that answer as the path of a request says, and a client that judges answers.
 *
 * All allocations of the program go through the counters (the linker puts them before mem_alloc and
 * its like). Threads of the test are bystanders: theirs are neither counted nor do they fail. What
 * is left is the proxy's: its workers' and, for a conversation that gives it a view, its main
 * thread's.
 *
 * One client, the test's main thread, speaks at a time. Whatever is wrong ends the test there. */
#ifndef HF_PROXY_MEMORY_RIG_TEST_H
#define HF_PROXY_MEMORY_RIG_TEST_H

#include "os/os.h"
#include "proxy/proxy.h"

/* --- memory --- */

void memory_bystander(bool on); /* this thread; none is at first */
void memory_arm(unsigned long n);
bool memory_disarm(void);
bool memory_hit(void); /* the armed failure has happened */
long memory_blocks(void);

/* --- the proxy --- */

enum { INSTANCES = 3, DEAD = INSTANCES - 1 }; /* "a", "b", and one that refuses */

/* The view that every conversation begins with: the service `web` on the front's address, whose
 * instances are a and b, and `other`, without an address of its own, whose instance is b. `adjust`
 * makes of it what the conversation needs. */
typedef void adjust_view(struct view *v);

enum rounds { ROUNDS_NONE, ROUNDS_CONFIRMED, ROUNDS_REFUSED };

struct conversation {
    const char *name;
    uint8_t mode; /* enum view_mode */
    adjust_view *adjust;
    void (*talk)(void);
    bool (*proof)(void); /* that it was what its name says; may be NULL */
    bool blamed;         /* an instance gives reason for evidence against it */
    uint8_t rounds;      /* enum rounds: how instances answer the gate's (VIEW_TCP) */
    bool reloads;        /* the main thread's allocations fail too */
};

void rig_open(void); /* the listening sockets and instances: once */
void rig_close(void);
void rig_start(const struct conversation *c);
void rig_stop(void);
/* Waits until nothing is under way, and finds the books in order. */
void rig_settle(void);
/* The same settings once more, as a new view; false when it was refused. */
bool rig_reload(void);
/* Of this process. */
unsigned rig_descriptors(void);
/* Told against instances since the last look. */
unsigned rig_evidence(void);
uint64_t rig_log_bytes(void);
const struct service_row *rig_row(uint32_t slot); /* 0: web, 1: other */
struct role_row *rig_role(void);                  /* of web */
const struct addr *rig_front(void);
const struct addr *rig_datagrams(void);
const struct addr *rig_dead(void);

/* --- a client --- */

int dial(void);
void send_text(int fd, const char *text);
void say_bytes(int fd, const void *p, size_t n);

/* What must come back. NULL: does not matter. */
struct expected {
    int status;
    const char *body;
    const char *field;  /* a line of the head */
    const char *absent; /* a text that the head does not hold */
};
/* Reads one answer. True: it is the one expected. False: memory ran out in this conversation, and
 * it was an error in due form or the connection's end. Everything else ends the test. */
bool hear(int fd, struct expected e);
const char *heard(void); /* the last answer, for those that go on with what it says */
/* Sends them into a tunnel while they come back; false: memory ran out, and it ended after some. */
bool echo(int fd, const void *p, size_t n);
/* One request on a connection of its own. */
bool ask(const char *request, struct expected e);

#endif
