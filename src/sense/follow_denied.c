/* Whose right is missing, and how it is given. */
#include "sense/follow_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static void name_user(char *to, size_t n, uid_t id)
{
    const struct passwd *p = getpwuid(id);
    if (p)
        str_copy(to, n, str_of(p->pw_name));
    else
        snprintf(to, n, "%u", id);
}

static void name_group(char *to, size_t n, gid_t id)
{
    const struct group *g = getgrgid(id);
    if (g)
        str_copy(to, n, str_of(g->gr_name));
    else
        snprintf(to, n, "%u", id);
}

static void say_directory(struct follow *f, const char *directory, const char *me)
{
    follow_say(f, FOLLOW_DENIED,
               "%s cannot be read: the user %s may not enter %s. Let it: setfacl -m u:%s:x %s",
               f->path, me, directory, me, directory);
}

/* The first directory on the way that may not be entered. */
static bool find_closed(const char *path, char directory[512])
{
    for (const char *p = path + 1; (p = strchr(p, '/')); p++) {
        str_copy(directory, 512, (struct str){path, (size_t)(p - path)});
        if (faccessat(AT_FDCWD, directory, X_OK, AT_EACCESS) && errno == EACCES)
            return true;
    }
    return false;
}

void follow_say_denied(struct follow *f, const struct follow_seen *s)
{
    char me[64], user[64], group[64], directory[512];
    name_user(me, sizeof me, geteuid());
    if (find_closed(f->path, directory)) {
        say_directory(f, directory, me);
        return;
    }
    if (!s) {
        follow_say(f, FOLLOW_DENIED, "%s cannot be read: the user %s may not", f->path, me);
        return;
    }
    name_user(user, sizeof user, s->user);
    name_group(group, sizeof group, s->group);
    if (s->mode & S_IRGRP && s->group != 0)
        follow_say(f, FOLLOW_DENIED,
                   "%s cannot be read by the user %s: it belongs to %s:%s, mode %04o. Run: usermod "
                   "-aG %s %s, then restart holdfast",
                   f->path, me, user, group, s->mode & 07777, group, me);
    else
        follow_say(f, FOLLOW_DENIED,
                   "%s cannot be read by the user %s: it belongs to %s:%s, mode %04o. Run: setfacl "
                   "-m u:%s:r %s, and let who rotates it do the same",
                   f->path, me, user, group, s->mode & 07777, me, f->path);
}
