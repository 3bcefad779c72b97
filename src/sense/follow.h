/* follow: log files, followed through all that happens to log files.
 *
 * A follow is one path. What is read at it goes to its owner as bytes, each file with a struct
 * lines of its own (detect/logs/lines.h), so that a file that is still written after it was rotated
 * does not mix its lines with those of the next.
 *
 *   renamed, replaced, deleted    the old file is read to its end, and on for FOLLOW_GRACE after it
 *   and made anew, link changed   grew last, or for as long as the new one is empty (a program that
 *                                 has not reopened its log yet); the new one from its start. Files
 *                                 that came and went between two looks are found by their names
 *   copied and truncated          from the start again; what was not read yet, from the copy
 *   truncated and grown again     noticed by the last bytes before the position
 *   truncated under a writer      the hole that is left (zeros) is passed over
 *   that does not append
 *   compressed                    never read: of a rotated file the rest is read as long as it is
 *                                 open here, which it is from before its rotation
 *   absent, not readable, no      a state with a sentence for people; it is looked for every
 *   regular file, unreadable disk FOLLOW_POLL, and goes on by itself
 *
 * Which file it is tells its device, inode and time of birth; where the latter is not known (some
 * network file systems), files between two looks are not looked for. A path is read from the end of
 * its last whole line when it is there at the first look, and from its start when it comes later.
 * follow_save keeps where it stands: a successor that is given this neither repeats nor loses a
 * line. What was read after the last save is read again.
 *
 * inotify tells when there is something to do, and a look every FOLLOW_POLL finds what it did not
 * tell (network file systems, bind mounts, changed links in the middle of a path), also where there
 * is none left. After each look at what inotify told it rests FOLLOW_PAUSE: the cost of a log that
 * grows a thousand times a second is that of fifty.
 *
 * Bounds: a turn reads FOLLOW_TURN bytes, FOLLOW_VISIT of each file that has some, in rounds. The
 * backlog stays on the disk; of what is more than FOLLOW_BEHIND_MOST bytes behind, the oldest is
 * skipped, from line to line, and counted: bytes and line ends, so that read and shed together are
 * what was written. Memory: one block, and for each path some 8 KiB and the beginning of a line.
 *
 * One thread, on the owner's loop. A read may wait for the disk, for ever if that is dead: who
 * follows files is a process that may hang (sense), and nobody waits for it. */
#ifndef HF_SENSE_FOLLOW_H
#define HF_SENSE_FOLLOW_H

#include "base/base.h"
#include "detect/logs/logs.h"
#include "os/os.h"

#define FOLLOW_POLL  NS_PER_S
#define FOLLOW_PAUSE (20 * NS_PER_MS)
#define FOLLOW_GRACE (10 * NS_PER_S)
enum {
    FOLLOW_MOST = 1024, /* paths */
    FOLLOW_BLOCK = 64 << 10,
    FOLLOW_VISIT = 256 << 10,
    FOLLOW_TURN = 1 << 20,
    FOLLOW_BEHIND_MOST = 32 << 20,
    FOLLOW_SAVED_MOST = 8192,
};

enum follow_state {
    FOLLOW_NEW, /* not looked at yet */
    FOLLOW_READS,
    FOLLOW_ABSENT, /* there is no such file yet, or no more */
    FOLLOW_DENIED, /* may not be read */
    FOLLOW_UNFIT,  /* a pipe, a directory, compressed: nothing that can be followed */
    FOLLOW_FAILS,  /* reading ends in an error */
    FOLLOW_STATES
};
const char *follow_state_name(enum follow_state s);

struct follow_owner {
    void *context;
    /* The next bytes of a file. None of these may call follow_stop or follows_free. */
    void (*bytes)(void *context, struct lines *file, struct str bytes, uint64_t now);
    /* A file ended: what it has begun is a line. */
    void (*end)(void *context, struct lines *file, uint64_t now);
    /* So much was skipped. */
    void (*shed)(void *context, uint64_t bytes, uint64_t lines, uint64_t now);
    /* It changed. text: what is the matter, and what to do about it. May be NULL. */
    void (*state)(void *context, enum follow_state s, const char *text);
};

struct follow_counts {
    uint64_t bytes; /* handed out */
    uint64_t shed_bytes, shed_lines;
    uint64_t holes;     /* bytes of zeros passed over */
    uint64_t files;     /* begun */
    uint64_t truncated; /* times */
    uint64_t errors;    /* reads that failed */
    uint64_t behind;    /* bytes, at the last look */
};

struct follows; /* all that a process follows */
struct follow;  /* one */

/* Where there is no inotify left it goes without. */
int follows_new(struct follows **out, struct loop *l, struct err *e);
void follows_free(struct follows *s);        /* NULL is allowed; ends all that is followed */
bool follows_polls(const struct follows *s); /* some change is only found by looking */

/* saved: what follow_save gave, or empty. What is damaged counts as none. The owner is copied;
 * nothing is called before the loop turns. ERR_LIMIT, ERR_INVAL: the path is not absolute. */
int follow_start(struct follows *s, const char *path, const struct follow_owner *owner,
                 struct str saved, struct follow **out, struct err *e);
void follow_stop(struct follow *f); /* NULL is allowed. Tells nothing more */
/* Appends where it stands; check out->failed. Up to FOLLOW_SAVED_MOST bytes. */
void follow_save(struct follow *f, struct buf *out);
const char *follow_path(const struct follow *f);
enum follow_state follow_state(const struct follow *f, const char **text);
const struct follow_counts *follow_counts(const struct follow *f);

#endif
