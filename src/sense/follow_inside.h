/* follow_inside: what the parts of follow know of each other. */
#ifndef HF_SENSE_FOLLOW_INSIDE_H
#define HF_SENSE_FOLLOW_INSIDE_H

#include <sys/types.h>

#include "sense/follow.h"
#include "sense/follow_place.h"

enum { FOLLOW_FILES = 16, FOLLOW_PAST = PLACES_MOST, FOLLOW_BUCKETS = 256, COPY_LEAST = 8 };

/* What tests replace. */
struct follow_calls {
    ssize_t (*read)(int fd, void *to, size_t n, off_t at);
    int (*watch)(int fd, const char *path, uint32_t mask);
    uint64_t poll; /* FOLLOW_POLL */
};

/* An open file. */
struct follow_file {
    struct list link;     /* in follow.files, oldest first */
    struct list by_watch; /* in follows.files */
    struct follow *follow;
    int fd, watch; /* watch: -1, none */
    struct place place;
    uint64_t line; /* where the line that `place.at` is in begins */
    uint64_t size, grew;
    bool unlinked;
    bool held;      /* others come first */
    bool hole;      /* zeros at place.at are no content */
    bool dropping;  /* the rest of the line is skipped */
    bool unsettled; /* an old one that was begun anew: as itself, or as a copy of another */
    int failed;     /* errno of the last read */
    uint64_t failed_at;
    struct lines lines;
};

struct follow {
    struct follows *set;
    struct list link, ready, by_name; /* in follows.all, .ready, .names */
    char *path, *directory;
    struct str name; /* the last part of path */
    struct follow_owner owner;
    struct follow_counts counts;
    enum follow_state state;
    char *text; /* of the state; NULL: none */
    struct list files;
    uint32_t n_files;
    struct follow_file *current; /* what was at the path at the last look that found something */
    struct follow_file *cut;     /* is being begun anew: its lines go to who has the rest */
    bool continued;              /* ... who was found */
    struct place *past;          /* what is no more open, or no more the content; youngest last */
    uint32_t n_past;
    uint64_t floor; /* what was born before is read, or is none of ours */
    int watch;      /* of the directory; -1: none */
    bool look;      /* something may be new at the path */
    bool met;       /* it was looked at: what comes later is new */
    bool restoring; /* what a predecessor had open is in past */
    bool sized;     /* denied, but its size was seen: */
    uint64_t denied_size;
};

struct follows {
    struct loop *loop;
    struct follow_calls calls;
    int fd; /* of inotify; -1: none */
    struct io io;
    struct timer pause, poll;
    struct task turn;
    struct list all, ready;
    uint32_t n;
    uint32_t unwatched; /* in this round of looks */
    bool polls;
    bool calling; /* the owner runs */
    struct list files[FOLLOW_BUCKETS], names[FOLLOW_BUCKETS];
    char block[FOLLOW_BLOCK];
};

/* What a file is said to be. */
struct follow_seen {
    struct place id; /* device, inode, birth */
    uint64_t size;
    uint32_t mode, links, user, group;
};

/* follow.c */
void follow_mark(struct follow *f); /* it is visited in this turn or the next */
void follow_say(struct follow *f, enum follow_state s, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void follow_end_lines(struct follow *f, struct lines *l);

/* follow_watch.c */
void follows_watch_start(struct follows *s);
void follows_watch_stop(struct follows *s);
void follow_watch_directory(struct follow *f);
void follow_unwatch_directory(struct follow *f);
void follow_watch_file(struct follow_file *g);
void follow_unwatch_file(struct follow_file *g);

/* follow_file.c */
uint64_t follow_wall(void); /* the wall clock as births of files are told by it */
int follow_stat(int fd, const char *path, struct follow_seen *out); /* errno */
/* fd is taken. NULL: no memory. `before`: NULL, or what it shall be read before. */
struct follow_file *follow_file_new(struct follow *f, int fd, const struct follow_seen *s,
                                    struct follow_file *before);
void follow_file_at(struct follow_file *g, uint64_t at);
/* Goes on where p ends. Nothing is read: it may have been begun anew since it was compared. */
void follow_file_resume(struct follow_file *g, const struct place *p);
/* What it begins with, where too little of that was read to know a copy of it. */
void follow_file_look_ahead(struct follow_file *g);
void follow_file_close(struct follow_file *g, bool ended);
void follow_remember(struct follow *f, const struct place *p, uint64_t until);
void follow_forget(struct follow *f, uint32_t i); /* it is open again */
/* Is what is before the position still there, or at it what was when the file was opened? -1: it
 * cannot be read. */
int follow_holds(const struct follows *s, const struct follow_file *g);
uint32_t follow_edge(const struct follows *s, int fd, uint64_t at, uint32_t n, char *to);
/* Has it what p had, before p->at? */
bool follow_goes_on(const struct follows *s, const struct place *p, int fd, uint64_t size);
bool follow_at_end(struct follow_file *g); /* by what it is now */
bool follow_has_room(struct follow *f, uint32_t n);

/* follow_look.c */
void follow_look(struct follow *f);
/* follow_others.c: opens the files that were at the path since the last look, and are no more.
 * False: there is no room for all of them now. */
bool follow_others(struct follow *f, struct follow_file *before);
/* What an old one has after it was begun anew. False: a copy of what is read elsewhere. */
bool follow_settle(struct follow *f, struct follow_file *g);
/* follow_read.c: bytes read; *more: there are more. */
size_t follow_visit(struct follow *f, bool *more);
/* follow_denied.c */
void follow_say_denied(struct follow *f, const struct follow_seen *s);

#endif
