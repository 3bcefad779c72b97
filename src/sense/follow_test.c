/* A log through all that happens to logs. */
#include "sense/follow_fixture.h"

static void it_begins_at_the_end(void **state)
{
    struct fixture *f = *state;
    append(f, "old\nolder\nhalf");
    begin(f);
    append(f, " and half\nnew\n");
    reads_only(f, "half and half\nnew\n");
    assert_int_equal(follow_state(f->follow, NULL), FOLLOW_READS);
}

static void a_line_longer_than_any_is_not_begun_amid(void **state)
{
    struct fixture *f = *state;
    static char much[3 * LINES_LONGEST];
    memset(much, 'x', sizeof much - 1);
    append(f, much);
    begin(f);
    append(f, "rest\nnew\n");
    reads_only(f, "new\n");
}

static void a_new_one_is_read_from_its_start(void **state)
{
    struct fixture *f = *state;
    begin(f);
    assert_int_equal(follow_state(f->follow, NULL), FOLLOW_ABSENT);
    append(f, "one\n");
    append(f, "two\n");
    reads_only(f, "one\ntwo\n");
}

static void so_is_one_whose_directory_comes(void **state)
{
    struct fixture *f = *state;
    const char *text;
    snprintf(f->log, sizeof f->log, "%s/a/b/app.log", f->dir);
    begin(f);
    assert_int_equal(follow_state(f->follow, &text), FOLLOW_ABSENT);
    assert_non_null(strstr(text, "nor is its directory"));
    mkdir(in_dir(f, "a"), 0755);
    mkdir(in_dir(f, "a/b"), 0755);
    append(f, "one\n");
    reads(f, "one\n");
    append(f, "two\n");
    reads_only(f, "one\ntwo\n");
}

static void a_renamed_one_is_read_to_its_end(void **state)
{
    struct fixture *f = *state;
    append(f, "old\n");
    begin(f);
    int fd = open(f->log, O_WRONLY | O_APPEND | O_CLOEXEC);
    append(f, "1\n");
    move(f, "app.log", "app.log.1");
    append(f, "4\n");
    reads(f, "1\n4\n");
    assert_int_equal(write(fd, "late, ha", 8), 8);
    append(f, "5\n");
    reads(f, "1\n4\n5\n");
    assert_int_equal(write(fd, "lf\n", 3), 3);
    close(fd);
    reads_only(f, "1\n4\n5\nlate, half\n");
    assert_int_equal(follow_counts(f->follow)->files, 2);
}

static void a_writer_that_does_not_reopen_is_followed(void **state)
{
    struct fixture *f = *state;
    append(f, "old\n");
    begin(f);
    move(f, "app.log", "app.log.1");
    append(f, "");
    turn(f, NULL, 50);
    f->follow->current->grew = 0;
    append_to(in_dir(f, "app.log.1"), "1\n");
    reads(f, "1\n");
    struct follow_file *old = LIST_ENTRY(f->follow->files.next, struct follow_file, link);
    assert_ptr_not_equal(old, f->follow->current);
    old->grew -= 2 * FOLLOW_GRACE;
    turn(f, NULL, 200);
    append_to(in_dir(f, "app.log.1"), "2\n");
    reads_only(f, "1\n2\n");
    append(f, "3\n"); /* now it did */
    reads(f, "1\n2\n3\n");
    old->grew -= 2 * FOLLOW_GRACE;
    turn(f, NULL, 200);
    assert_int_equal(f->follow->n_files, 1);
}

static void all_between_two_looks_are_found(void **state)
{
    struct fixture *f = *state;
    append(f, "old\n");
    begin(f);
    append(f, "1\n");
    move(f, "app.log", "app.log.1");
    append(f, "2\n");
    move(f, "app.log.1", "app.log.2");
    move(f, "app.log", "app.log.1");
    append(f, "3\n");
    move(f, "app.log.2", "app.log.3");
    move(f, "app.log.1", "app.log.2");
    move(f, "app.log", "app.log.1");
    append(f, "4\n");
    append_to(in_dir(f, "app.log.4.gz"), "no\n");
    append_to(in_dir(f, "app.log.err"), "no\n");
    append_to(in_dir(f, "app.log.5"), "\x1f\x8b no\n");
    append_to(in_dir(f, "other.log.1"), "no\n");
    reads_only(f, "1\n2\n3\n4\n");
}

static void a_truncated_one_begins_anew(void **state)
{
    struct fixture *f = *state;
    append(f, "old\n");
    begin(f);
    append(f, "one, which is long\nhalf");
    reads(f, "one, which is long\n");
    assert_int_equal(truncate(f->log, 0), 0);
    append(f, "two\n");
    reads_only(f, "one, which is long\nhalf|\ntwo\n");
    assert_int_equal(follow_counts(f->follow)->truncated, 1);
}

static void so_does_one_that_grew_again_meanwhile(void **state)
{
    struct fixture *f = *state;
    append(f, "old\n");
    begin(f);
    append(f, "one\n");
    reads(f, "one\n");
    assert_int_equal(truncate(f->log, 0), 0);
    append(f, "two\nthree, more than there was\n");
    reads_only(f, "one\ntwo\nthree, more than there was\n");
}

static void what_was_not_read_is_in_the_copy(void **state)
{
    struct fixture *f = *state;
    append(f, "old\n");
    begin(f);
    append(f, "one\nha");
    reads(f, "one\n");
    append(f, "lf\ntwo\n");
    copy(f, "app.log", "app.log.1");
    assert_int_equal(truncate(f->log, 0), 0);
    append(f, "three\n");
    reads(f, "one\nhalf\ntwo\nthree\n");
    copy(f, "app.log", "app.log.1");
    assert_int_equal(truncate(f->log, 0), 0);
    append(f, "four\n");
    reads_only(f, "one\nhalf\ntwo\nthree\nfour\n");
    move(f, "app.log", "app.log.2");
    append(f, "five\n");
    reads_only(f, "one\nhalf\ntwo\nthree\nfour\nfive\n");
}

/* --- copies, seen at a bad moment --- */

static int reads_until;
static char truncated_then[96];

static ssize_t read_and_truncate(int fd, void *to, size_t n, off_t at)
{
    ssize_t r = pread(fd, to, n, at);
    if (--reads_until == 0)
        assert_int_equal(truncate(truncated_then, 0), 0);
    return r;
}

static void truncate_after(struct fixture *f, int reads)
{
    reads_until = reads;
    str_copy(truncated_then, sizeof truncated_then, str_of(f->log));
    f->set->calls.read = read_and_truncate;
}

static void a_truncated_one_may_be_renamed_before_it_is_seen(void **state)
{
    struct fixture *f = *state;
    append(f, "old\n");
    begin(f);
    append(f, "one, which is long\nha");
    reads(f, "one, which is long\n");
    append(f, "lf\n");
    copy(f, "app.log", "app.log.1");
    assert_int_equal(truncate(f->log, 0), 0);
    append(f, "two\n");
    move(f, "app.log.1", "app.log.2");
    move(f, "app.log", "app.log.1");
    append(f, "three\n");
    reads(f, "one, which is long\nhalf\ntwo\nthree\n");
    append_to(in_dir(f, "app.log.1"), "late\n");
    reads_only(f, "one, which is long\nhalf\ntwo\nthree\nlate\n");
}

static void what_was_read_may_be_less_than_tells_files_apart(void **state)
{
    struct fixture *f = *state;
    begin(f);
    append(f, "0 a");
    for (int i = 0; i < 5000 && follow_counts(f->follow)->bytes < 3; i++)
        turn(f, NULL, 1);
    append(f, "bc\n1 of the first\n");
    copy(f, "app.log", "app.log.2");
    assert_int_equal(truncate(f->log, 0), 0);
    append(f, "0 again, of another\n");
    copy(f, "app.log", "app.log.1");
    assert_int_equal(truncate(f->log, 0), 0);
    append(f, "2\n");
    reads_only(f, "0 abc\n1 of the first\n0 again, of another\n2\n");
}

static void a_copy_may_be_written_over(void **state)
{
    struct fixture *f = *state;
    append(f, "old\n");
    begin(f);
    append(f, "one, which is long\n");
    reads(f, "one, which is long\n");
    move(f, "app.log", "app.log.1");
    append(f, "two, as long\n");
    reads(f, "one, which is long\ntwo, as long\n");
    assert_int_equal(truncate(in_dir(f, "app.log.1"), 0), 0);
    turn(f, NULL, 3 * FIXTURE_POLL / NS_PER_MS);
    copy(f, "app.log", "app.log.1");
    turn(f, NULL, 3 * FIXTURE_POLL / NS_PER_MS);
    append(f, "three, to be copied\n");
    copy(f, "app.log", "app.log.1");
    assert_int_equal(truncate(f->log, 0), 0);
    append(f, "four\n");
    reads_only(f, "one, which is long\ntwo, as long\nthree, to be copied\nfour\n");
}

static void a_copy_is_there_before_the_truncation(void **state)
{
    struct fixture *f = *state;
    append(f, "old\n");
    begin(f);
    append(f, "one, which is long\n");
    reads(f, "one, which is long\n");
    assert_int_equal(truncate(f->log, 0), 0);
    append(f, "two, again\n");
    copy(f, "app.log", "app.log.1"); /* and is not truncated yet */
    reads_only(f, "one, which is long\ntwo, again\n");
    assert_int_equal(truncate(f->log, 0), 0);
    append(f, "three\n");
    reads_only(f, "one, which is long\ntwo, again\nthree\n");
}

static void so_it_is_of_what_was_never_read(void **state)
{
    struct fixture *f = *state;
    append(f, "old\n");
    begin(f);
    append(f, "one, which is long\n");
    reads(f, "one, which is long\n");
    assert_int_equal(truncate(f->log, 0), 0);
    append(f, "two, again\n");
    copy(f, "app.log", "app.log.1");
    truncate_after(f, 4); /* the copy was compared with it */
    reads_only(f, "one, which is long\ntwo, again\n");
    append(f, "three\n");
    reads_only(f, "one, which is long\ntwo, again\nthree\n");
}

/* What is remembered of the past is bounded, and copies outlive it. */
static void forget_all(struct fixture *f)
{
    struct place p = {.birth = 1};
    for (int i = 0; i < FOLLOW_PAST; i++) {
        p.inode++;
        follow_remember(f->follow, &p, 1);
    }
}

static void a_copy_is_known_when_its_file_is_forgotten(void **state)
{
    struct fixture *f = *state;
    append(f, "old\n");
    begin(f);
    append(f, "one, which is long\n");
    reads(f, "one, which is long\n");
    save(f);
    follow_stop(f->follow);
    copy(f, "app.log", "app.log.1");
    assert_int_equal(truncate(f->log, 0), 0);
    append(f, "two\n");
    start(f);
    reads(f, "one, which is long\ntwo\n");
    forget_all(f);
    move(f, "app.log", "app.log.2");
    append(f, "three\n");
    reads_only(f, "one, which is long\ntwo\nthree\n");
}

static void so_is_one_of_a_file_that_goes_on(void **state)
{
    struct fixture *f = *state;
    append(f, "old\n");
    begin(f);
    append(f, "one, which is long\n");
    reads(f, "one, which is long\n");
    copy(f, "app.log", "app.log.8"); /* a backup */
    move(f, "app.log", "app.log.1");
    append(f, "two\n");
    reads(f, "one, which is long\ntwo\n");
    struct follow_file *old = LIST_ENTRY(f->follow->files.next, struct follow_file, link);
    old->grew -= 2 * FOLLOW_GRACE;
    turn(f, NULL, 3 * FIXTURE_POLL / NS_PER_MS);
    assert_int_equal(f->follow->n_files, 1);
    forget_all(f);
    move(f, "app.log", "app.log.2");
    append(f, "three\n");
    reads_only(f, "one, which is long\ntwo\nthree\n");
}

static void what_is_saved_is_what_was_read(void **state)
{
    struct fixture *f = *state;
    append(f, "old\n");
    begin(f);
    append(f, "one, which is long\nha");
    reads(f, "one, which is long\n");
    append(f, "lf\n");
    copy(f, "app.log", "app.log.1");
    assert_int_equal(truncate(f->log, 0), 0);
    append(f, "two, which is longer than what was read of the other\n");
    save(f);
    follow_stop(f->follow);
    start(f);
    reads_only(f, "one, which is long\nhalf\ntwo, which is longer than what was read of the "
                  "other\n");
}

static void truncated_while_it_is_found_again(void **state)
{
    struct fixture *f = *state;
    append(f, "old\n");
    begin(f);
    append(f, "one, which is long\n");
    reads(f, "one, which is long\n");
    save(f);
    follow_stop(f->follow);
    copy(f, "app.log", "app.log.1");
    truncate_after(f, 3); /* its first bytes and those before the place were compared */
    start(f);
    turn(f, NULL, 3 * FIXTURE_POLL / NS_PER_MS);
    append(f, "two\n");
    reads_only(f, "one, which is long\ntwo\n");
}

/* As many are open as may be: what is found needs the room of others, but not of the one that is
 * begun anew. */
static void one_is_begun_anew_where_there_is_no_room(void **state)
{
    struct fixture *f = *state;
    struct buf all = {0};
    append(f, "old\n");
    begin(f);
    for (int i = FOLLOW_FILES; i > 1; i--) {
        char name[32], line[32];
        snprintf(line, sizeof line, "a line of %d\n", i);
        append(f, line);
        buf_printf(&all, "%s", line);
        reads(f, buf_add(&all, "", 1) ? all.p : "");
        all.n--;
        snprintf(name, sizeof name, "app.log.%d", i);
        move(f, "app.log", name);
        append(f, "");
        turn(f, NULL, FIXTURE_POLL / NS_PER_MS);
    }
    for (int i = 0; i < 500 && f->follow->n_files < FOLLOW_FILES; i++)
        turn(f, NULL, 1);
    assert_int_equal(f->follow->n_files, FOLLOW_FILES);
    append_to(in_dir(f, "app.log.16"), "late, of the oldest\n");
    copy(f, "app.log.16", "app.log.40");
    assert_int_equal(truncate(in_dir(f, "app.log.16"), 0), 0);
    append_to(in_dir(f, "app.log.31"), "of a new one\n");
    append_to(in_dir(f, "app.log.30"), "of another\n");
    buf_printf(&all, "late, of the oldest\nof a new one\nof another\n");
    reads_only(f, buf_add(&all, "", 1) ? all.p : "");
    buf_free(&all);
}

static void a_hole_is_passed_over(void **state)
{
    struct fixture *f = *state;
    append(f, "old\n");
    begin(f);
    int fd = open(f->log, O_WRONLY | O_CLOEXEC);
    lseek(fd, 0, SEEK_END);
    static char line[9000];
    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = '\n';
    assert_int_equal(write(fd, line, sizeof line), sizeof line);
    turn(f, "\n", 20000);
    buf_clear(&f->got);
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(write(fd, "after\n", 6), 6);
    close(fd);
    reads_only(f, "after\n");
    assert_int_equal(follow_counts(f->follow)->holes, 9004);
}

static void a_link_leads_elsewhere(void **state)
{
    struct fixture *f = *state;
    mkdir(in_dir(f, "far"), 0755);
    append_to(in_dir(f, "far/a"), "old\n");
    append_to(in_dir(f, "b"), "b1\n");
    assert_int_equal(symlink("far/a", f->log), 0);
    begin(f);
    append_to(in_dir(f, "far/a"), "a1\n");
    reads(f, "a1\n");
    assert_int_equal(symlink("b", in_dir(f, "new")), 0);
    move(f, "new", "app.log");
    reads(f, "a1\nb1\n");
    append_to(in_dir(f, "b"), "b2\n");
    reads(f, "a1\nb1\nb2\n");
    append_to(in_dir(f, "far/a"), "a2\n");
    assert_int_equal(symlink("far/a", in_dir(f, "new")), 0);
    move(f, "new", "app.log"); /* back, and goes on */
    reads_only(f, "a1\nb1\nb2\na2\n");
}

static void deleted_and_made_anew(void **state)
{
    struct fixture *f = *state;
    append(f, "old\n");
    begin(f);
    append(f, "1\n");
    unlink(f->log);
    append(f, "2\n");
    reads(f, "1\n2\n");
    unlink(f->log);
    assert_true(await_state(f, FOLLOW_ABSENT));
    append(f, "3\n");
    reads_only(f, "1\n2\n3\n");
}

static void the_directory_too(void **state)
{
    struct fixture *f = *state;
    mkdir(in_dir(f, "d"), 0755);
    snprintf(f->log, sizeof f->log, "%s/d/app.log", f->dir);
    append(f, "old\n");
    begin(f);
    append(f, "1\n");
    move(f, "d", "e");
    mkdir(in_dir(f, "d"), 0755);
    append(f, "2\n");
    reads(f, "1\n2\n");
    append(f, "3\n");
    reads_only(f, "1\n2\n3\n");
}

static void what_is_no_file_is_refused(void **state)
{
    struct fixture *f = *state;
    const char *text;
    assert_int_equal(mkfifo(f->log, 0600), 0);
    begin(f);
    assert_int_equal(follow_state(f->follow, &text), FOLLOW_UNFIT);
    assert_non_null(strstr(text, "is a pipe: only files"));
    unlink(f->log);
    mkdir(f->log, 0700);
    turn(f, NULL, 100);
    assert_int_equal(follow_state(f->follow, &text), FOLLOW_UNFIT);
    assert_non_null(strstr(text, "is a directory: only files"));
    rmdir(f->log);
    append(f, "\x1f\x8b\x08 nonsense\n");
    turn(f, NULL, 100);
    assert_int_equal(follow_state(f->follow, &text), FOLLOW_UNFIT);
    assert_non_null(strstr(text, "is compressed"));
    unlink(f->log);
    append(f, "1\n");
    reads(f, "1\n");
    assert_int_equal(follow_state(f->follow, NULL), FOLLOW_READS);
}

static void paths_are_whole(void **state)
{
    struct fixture *f = *state;
    struct follow_owner owner = {0};
    struct err e;
    assert_int_equal(follow_start(f->set, "app.log", &owner, STR(""), &f->follow, &e), -ERR_INVAL);
    assert_int_equal(follow_start(f->set, "/tmp/", &owner, STR(""), &f->follow, &e), -ERR_INVAL);
    assert_null(f->follow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(it_begins_at_the_end),
        CASE(a_line_longer_than_any_is_not_begun_amid),
        CASE(a_new_one_is_read_from_its_start),
        CASE(so_is_one_whose_directory_comes),
        CASE(a_renamed_one_is_read_to_its_end),
        CASE(a_writer_that_does_not_reopen_is_followed),
        CASE(all_between_two_looks_are_found),
        CASE(a_truncated_one_begins_anew),
        CASE(so_does_one_that_grew_again_meanwhile),
        CASE(what_was_not_read_is_in_the_copy),
        CASE(a_truncated_one_may_be_renamed_before_it_is_seen),
        CASE(what_was_read_may_be_less_than_tells_files_apart),
        CASE(a_copy_may_be_written_over),
        CASE(a_copy_is_there_before_the_truncation),
        CASE(so_it_is_of_what_was_never_read),
        CASE(a_copy_is_known_when_its_file_is_forgotten),
        CASE(so_is_one_of_a_file_that_goes_on),
        CASE(what_is_saved_is_what_was_read),
        CASE(truncated_while_it_is_found_again),
        CASE(one_is_begun_anew_where_there_is_no_room),
        CASE(a_hole_is_passed_over),
        CASE(a_link_leads_elsewhere),
        CASE(deleted_and_made_anew),
        CASE(the_directory_too),
        CASE(what_is_no_file_is_refused),
        CASE(paths_are_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
