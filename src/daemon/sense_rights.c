/* Whether sense may read a file, asked by somebody else (`holdfast check`): by the mode bits of the
 * file and of the directories on the way, for the user and the groups that sense will have. An
 * access control list is believed to be meant for it. What is not there is no question. */
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "daemon/daemon.h"
#include "daemon/sandbox.h"

enum { GROUPS = 256 };

struct reader_user {
    char name[64];
    uid_t uid;
    gid_t groups[GROUPS];
    int n;
};

static void who_reads(struct reader_user *u)
{
    static const char *const more[] = {"adm", "systemd-journal"};
    struct sandbox_user target;
    *u = (struct reader_user){.uid = geteuid(), .n = GROUPS};
    snprintf(u->name, sizeof u->name, "%u", u->uid);
    if (!sandbox_target(&target)) {
        u->n = getgroups(GROUPS - 1, u->groups);
        u->n = u->n < 0 ? 0 : u->n;
        u->groups[u->n++] = getegid();
        return;
    }
    u->uid = target.uid;
    str_copy(u->name, sizeof u->name, str_of(target.name));
    if (getgrouplist(target.name, target.gid, u->groups, &u->n) < 0)
        u->n = 0;
    for (size_t i = 0; i < ARRAY_LEN(more) && u->n < GROUPS; i++) {
        const struct group *g = getgrnam(more[i]);
        if (g)
            u->groups[u->n++] = g->gr_gid;
    }
}

static bool is_in(const struct reader_user *u, gid_t group)
{
    for (int i = 0; i < u->n; i++)
        if (u->groups[i] == group)
            return true;
    return false;
}

/* bit: 4 to read, 1 to enter. */
static bool may(const struct reader_user *u, const struct stat *st, unsigned bit, const char *path)
{
    unsigned shift = st->st_uid == u->uid ? 6 : is_in(u, st->st_gid) ? 3 : 0;
    return u->uid == 0 || st->st_mode >> shift & bit ||
           getxattr(path, "system.posix_acl_access", NULL, 0) > 0;
}

static bool refuse_directory(const struct reader_user *u, const char *directory, struct err *why,
                             struct err *remedy)
{
    err_set(why, ERR_DENIED, "the user %s, who reads logs, may not enter %s", u->name, directory);
    err_set(remedy, ERR_DENIED, "run: setfacl -m u:%s:x %s", u->name, directory);
    return false;
}

static bool refuse_file(const struct reader_user *u, const char *path, const struct stat *st,
                        struct err *why, struct err *remedy)
{
    const struct group *g = getgrgid(st->st_gid);
    err_set(why, ERR_DENIED, "the user %s, who reads logs, may not read %s (mode %04o)", u->name,
            path, st->st_mode & 07777);
    if (g && st->st_gid != 0 && st->st_mode & S_IRGRP)
        err_set(remedy, ERR_DENIED, "add it to the group %s: usermod -aG %s %s", g->gr_name,
                g->gr_name, u->name);
    else
        err_set(remedy, ERR_DENIED, "run: setfacl -m u:%s:r %s, and let who rotates it do the same",
                u->name, path);
    return false;
}

bool sense_may_read(void *self, const char *path, struct err *why, struct err *remedy)
{
    struct reader_user u;
    struct stat st;
    char part[4096];
    (void)self;
    who_reads(&u);
    for (const char *p = path + 1; (p = strchr(p, '/')); p++) {
        str_copy(part, sizeof part, (struct str){path, (size_t)(p - path)});
        if (stat(part, &st) == 0 && !may(&u, &st, 1, part))
            return refuse_directory(&u, part, why, remedy);
    }
    return stat(path, &st) != 0 || may(&u, &st, 4, path) || refuse_file(&u, path, &st, why, remedy);
}
