/* Key files on disk. The buffers that secrets pass through are as large from the start as they will
 * ever be, so that growing them leaves no copy behind, and are wiped. */
#include "mesh/seal.h"
#include "os/os.h"

enum { ROOM = 4 * KEYRING_TEXT_MAX }; /* file_read wants more than it reads */

static void end(struct buf *b)
{
    if (b->p)
        wipe(b->p, b->cap);
    buf_free(b);
}

int keyring_load(const char *path, struct keyring *out, struct err *e)
{
    struct buf text = {0};
    *out = (struct keyring){0};
    int rc = buf_reserve(&text, ROOM) ? file_read(path, KEYRING_TEXT_MAX, &text, e)
                                      : err_set(e, ERR_NOMEM, "no memory to read %s", path);
    if (rc == 0) {
        rc = keyring_parse(buf_str(&text), out, e);
        if (rc)
            err_wrap(e, "%s", path);
    }
    end(&text);
    return rc;
}

static int save(const char *path, const struct keyring *k, bool create, struct err *e)
{
    struct buf text = {0};
    int rc = 0;
    if (buf_reserve(&text, ROOM))
        keyring_print(k, &text);
    if (text.failed)
        rc = err_set(e, ERR_NOMEM, "no memory to write %s", path);
    else if (create)
        rc = file_create(path, buf_str(&text), 0600, e);
    else
        rc = file_update(path, buf_str(&text), e);
    end(&text);
    return rc;
}

int keyring_save(const char *path, const struct keyring *k, struct err *e)
{
    return save(path, k, false, e);
}

int keyring_create(const char *path, const struct keyring *k, struct err *e)
{
    return save(path, k, true, e);
}
