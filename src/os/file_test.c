/* Units of small files and shared memory, failures included. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/os.h"

static char dir[64], path[128];

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/file-test-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/f", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(dir); /* fails if a temporary file was left behind */
}

static void replaces_and_reads(void **state)
{
    (void)state;
    struct buf b = {0};
    struct stat st;
    assert_int_equal(file_replace(path, STR("first"), 0600, NULL), 0);
    assert_int_equal(file_replace(path, STR("second"), 0640, NULL), 0);
    assert_int_equal(file_read(path, 100, &b, NULL), 0);
    assert_true(str_eq(buf_str(&b), STR("second")));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    buf_free(&b);
}

static void an_update_keeps_mode_and_links(void **state)
{
    struct buf b = {0};
    struct stat st;
    struct err e;
    char other[160];
    snprintf(other, sizeof other, "%s/link", dir);
    assert_int_equal(file_update(path, STR("x"), &e), -ERR_ABSENT);
    assert_int_equal(file_replace(path, STR("first"), 0640, NULL), 0);
    assert_int_equal(symlink(path, other), 0);
    assert_int_equal(file_update(other, STR("second"), &e), 0);
    assert_int_equal(lstat(other, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(file_read(path, 100, &b, NULL), 0);
    assert_true(str_eq(buf_str(&b), STR("second")));
    unlink(other);
    buf_free(&b);
}

static void a_new_file_replaces_none(void **state)
{
    struct buf b = {0};
    struct stat st;
    struct err e;
    assert_int_equal(file_create(path, STR("first"), 0600, &e), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_nlink, 1);
    assert_int_equal(file_create(path, STR("second"), 0644, &e), -ERR_EXISTS);
    assert_non_null(strstr(e.text, path));
    assert_int_equal(file_read(path, 100, &b, NULL), 0);
    assert_true(str_eq(buf_str(&b), STR("first")));
    unlink(path);
    assert_int_equal(symlink("nowhere", path), 0); /* nor a link, though it leads nowhere */
    assert_int_equal(file_create(path, STR("third"), 0600, &e), -ERR_EXISTS);
    assert_int_equal(file_create("/nonexistent/file", STR("x"), 0600, &e), -ERR_IO);
    buf_free(&b);
}

static void what_root_makes_in_a_directory_is_its_owner_s(void **state)
{
    (void)state;
    char place[] = "/tmp/holdfast-whose.XXXXXX", file[64];
    const uid_t somebody = geteuid() == 0 ? 4321 : geteuid();
    struct stat st;
    struct err e;
    assert_non_null(mkdtemp(place));
    snprintf(file, sizeof file, "%s/key", place);
    assert_int_equal(chown(place, somebody, (gid_t)-1), 0);
    assert_int_equal(file_create(file, STR("secret"), 0600, &e), 0);
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_uid, somebody);
    assert_int_equal(st.st_mode & 07777, 0600);
    unlink(file);
    rmdir(place);
}

static void too_large_and_absent_are_told_apart(void **state)
{
    (void)state;
    struct buf b = {0};
    struct err e;
    assert_int_equal(file_read(path, 100, &b, &e), -ERR_ABSENT);
    assert_int_equal(file_replace(path, STR("12345"), 0600, NULL), 0);
    assert_int_equal(file_read(path, 5, &b, &e), 0);
    assert_int_equal(file_read(path, 4, &b, &e), -ERR_LIMIT);
    buf_free(&b);
}

/* In a child, since the limit cannot be lifted again: a write past RLIMIT_FSIZE fails as a full
 * disk does. */
static void a_failed_write_leaves_the_old_file(void **state)
{
    (void)state;
    assert_int_equal(file_replace(path, STR("old"), 0600, NULL), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit small = {2, 2};
        struct err e = {0};
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &small);
        _exit(file_replace(path, STR("a longer text"), 0600, &e) == -ERR_IO && strstr(e.text, path)
                  ? 0
                  : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    struct buf b = {0};
    assert_int_equal(file_read(path, 100, &b, NULL), 0);
    assert_true(str_eq(buf_str(&b), STR("old")));
    buf_free(&b);
}

static void memory_out_is_an_error(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_int_equal(file_replace(path, STR("text"), 0600, NULL), 0);
    mem_fail_at(1);
    assert_int_equal(file_read(path, 100, &b, NULL), -ERR_NOMEM);
    assert_true(mem_failed());
    buf_free(&b);
}

static void makes_a_tree_of_directories(void **state)
{
    (void)state;
    char deep[160], part[160];
    snprintf(deep, sizeof deep, "%s/a/b", dir);
    assert_int_equal(dir_make(deep, 0700, NULL), 0);
    assert_int_equal(dir_make(deep, 0700, NULL), 0);
    struct err e;
    assert_int_equal(file_replace(path, STR("x"), 0600, NULL), 0);
    assert_true(dir_make(path, 0700, &e) < 0);
    rmdir(deep);
    snprintf(part, sizeof part, "%s/a", dir);
    rmdir(part);
}

static void sealed_memory_cannot_change(void **state)
{
    (void)state;
    int fd = memfd_sealed("test", STR("view"), NULL);
    assert_true(fd >= 0);
    assert_true(pwrite(fd, "X", 1, 0) < 0);
    assert_int_equal(ftruncate(fd, 0), -1);
    struct buf b = {0};
    struct err e;
    assert_int_equal(memfd_read(fd, 4, &b, &e), 0);
    assert_true(str_eq(buf_str(&b), STR("view")));
    assert_int_equal(memfd_read(fd, 3, &b, &e), -ERR_LIMIT);
    close(fd);
    int open_one = memfd_create("open", MFD_CLOEXEC);
    assert_int_equal(memfd_read(open_one, 100, &b, &e), -ERR_PROTO);
    close(open_one);
    buf_free(&b);
}

static void a_region_is_shared(void **state)
{
    (void)state;
    void *one, *two;
    size_t size;
    int fd = memfd_region("test", 8192, NULL);
    assert_true(fd >= 0);
    assert_int_equal(memfd_map(fd, &one, &size, NULL), 0);
    assert_int_equal(size, 8192);
    assert_int_equal(memfd_map(fd, &two, &size, NULL), 0);
    ((char *)one)[8191] = 7;
    assert_int_equal(((char *)two)[8191], 7);
    assert_int_equal(ftruncate(fd, 4096), -1);
    munmap(one, size);
    munmap(two, size);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(replaces_and_reads, setup, teardown),
        cmocka_unit_test_setup_teardown(an_update_keeps_mode_and_links, setup, teardown),
        cmocka_unit_test(what_root_makes_in_a_directory_is_its_owner_s),
        cmocka_unit_test_setup_teardown(a_new_file_replaces_none, setup, teardown),
        cmocka_unit_test_setup_teardown(too_large_and_absent_are_told_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failed_write_leaves_the_old_file, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_out_is_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(makes_a_tree_of_directories, setup, teardown),
        cmocka_unit_test_setup_teardown(sealed_memory_cannot_change, setup, teardown),
        cmocka_unit_test_setup_teardown(a_region_is_shared, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
