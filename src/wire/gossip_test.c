/* The bytes of membership messages: what is written reads the same, what is not understood is
 * skipped, and what is malformed is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/gossip.h"

enum { HEADER = 31 };

/* Everything that fits. */
static struct gossip full(void)
{
    struct gossip g;
    gossip_init(&g, GOSSIP_INDIRECT);
    g.flags = GOSSIP_MAINTENANCE | GOSSIP_DENSE;
    g.incarnation = GOSSIP_INCARNATION_MAX;
    g.sequence = 0xfffffffe;
    g.answers = 7;
    g.stamp = 0x80000001;
    g.echo = 9;
    g.held = 10;
    g.has_subject = g.has_hearing = true;
    g.subject = UINT64_C(0x0123456789abcdef);
    g.n_hearing = GOSSIP_HEARING_MAX;
    g.n_rumours = GOSSIP_RUMOURS_MAX;
    for (uint32_t i = 0; i < g.n_hearing; i++) {
        g.ids[i] = i * 0x01010101;
        g.hearing[i] = (uint8_t)(i % 3);
    }
    for (uint32_t i = 0; i < g.n_rumours; i++)
        g.rumours[i] = (struct gossip_rumour){i, i * 3, UINT64_MAX - i, i % 4, i % 5 == 0};
    return g;
}

/* From memory that ends where the message does, so that a read beyond is found. */
static bool read_exactly(const uint8_t *p, size_t n, struct gossip *out)
{
    uint8_t *exact = malloc(n ? n : 1);
    memcpy(exact, p, n);
    bool ok = gossip_read(exact, n, out);
    free(exact);
    return ok;
}

static void what_is_written_reads_the_same(void **state)
{
    struct gossip g = full(), back;
    uint8_t out[GOSSIP_MAX];
    size_t n = gossip_write(&g, out);
    assert_in_range(n, 1000, GOSSIP_MAX);
    assert_true(read_exactly(out, n, &back));
    assert_memory_equal(&g, &back, offsetof(struct gossip, ids));
    assert_memory_equal(g.ids, back.ids, sizeof g.ids);
    assert_memory_equal(g.hearing, back.hearing, sizeof g.hearing);
    for (uint32_t i = 0; i < g.n_rumours; i++) {
        assert_int_equal(back.rumours[i].id, i);
        assert_int_equal(back.rumours[i].incarnation, i * 3);
        assert_int_equal(back.rumours[i].accuser, UINT64_MAX - i);
        assert_int_equal(back.rumours[i].state, i % 4);
        assert_int_equal(back.rumours[i].maintenance, i % 5 == 0);
    }
}

static void the_least_is_short(void **state)
{
    struct gossip g, back;
    uint8_t out[GOSSIP_MAX];
    gossip_init(&g, GOSSIP_HEARTBEAT);
    g.incarnation = 1;
    assert_int_equal(gossip_write(&g, out), HEADER);
    assert_true(read_exactly(out, HEADER, &back));
    assert_false(back.has_subject || back.has_hearing || back.n_rumours);
}

static void no_part_of_a_message_is_one(void **state)
{
    struct gossip g = full(), back;
    uint8_t out[GOSSIP_MAX];
    size_t n = gossip_write(&g, out), whole = 0;
    for (size_t i = 0; i < n; i++)
        whole += read_exactly(out, i, &back);
    assert_int_equal(whole,
                     2); /* after the subject, and after the hearing: sections are optional */
}

static void what_a_later_release_adds_is_skipped(void **state)
{
    struct gossip g, back;
    uint8_t out[2 * GOSSIP_MAX];
    gossip_init(&g, GOSSIP_GOODBYE_ACK + 1); /* a kind that is not known yet */
    g.incarnation = 5;
    g.flags = 0xf0 | GOSSIP_NOT;
    size_t n = gossip_write(&g, out);
    static const uint8_t sections[] = {
        200, 3,  0, 1,  2, 3, /* not known */
        3,   57, 0, 28,       /* rumours of 28 bytes, of which 25 are understood */
        1,   0,  0, 0,  0, 0, 0, 0, 2,    0, 0, 0, 0,   0, 0, 0,
        3,   0,  0, 0,  0, 0, 0, 0, 2,    9, 9, 9, /* */
        4,   0,  0, 0,  0, 0, 0, 0, 5,    0, 0, 0, 0,   0, 0, 0,
        6,   0,  0, 0,  0, 0, 0, 0, 0xff, 9, 9, 9, 200, 0, 0, /* again: only what we know comes once
                                                               */
    };
    memcpy(out + n, sections, sizeof sections);
    assert_true(read_exactly(out, n + sizeof sections, &back));
    assert_int_equal(back.kind, GOSSIP_GOODBYE_ACK + 1);
    assert_int_equal(back.n_rumours, 2);
    assert_int_equal(back.rumours[0].state, GOSSIP_FAILED);
    assert_int_equal(back.rumours[1].id, 4);
    assert_int_equal(back.rumours[1].accuser, 6);
    assert_int_equal(back.rumours[1].state, GOSSIP_LEFT);
    assert_true(back.rumours[1].maintenance);
}

/* A good message with one thing wrong. */
static void refused(const uint8_t *sections, size_t n, size_t at, uint8_t value)
{
    struct gossip g, back;
    uint8_t out[2 * GOSSIP_MAX];
    gossip_init(&g, GOSSIP_PROBE);
    g.incarnation = 1;
    size_t head = gossip_write(&g, out);
    memcpy(out + head, sections, n);
    assert_true(read_exactly(out, head, &back));
    out[at] = value;
    if (read_exactly(out, head + n, &back))
        fail_msg("byte %zu as %u is taken", at, value);
}

static void malformed_is_refused(void **state)
{
    static const uint8_t subject_twice[] = {1, 8, 0, 1, 2, 3, 4, 5, 6, 7, 8,
                                            1, 8, 0, 1, 2, 3, 4, 5, 6, 7, 8};
    static const uint8_t subject_short[] = {1, 7, 0, 1, 2, 3, 4, 5, 6, 7};
    static const uint8_t subject_long[] = {1, 9, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    static const uint8_t beyond[] = {99, 4, 0, 1, 2, 3};
    static const uint8_t no_length[] = {99, 4};
    static const uint8_t hearing_more[] = {2, 6, 0, 2, 1, 2, 3, 4, 0};
    static const uint8_t hearing_odd[] = {2, 6, 0, 1, 1, 2, 3, 4, 3};
    static const uint8_t hearing_many[] = {2, 1, 0, 33};
    static const uint8_t rumours_none[] = {3, 0, 0};
    static const uint8_t rumours_small[] = {3, 3, 0, 1, 1, 1};
    static const uint8_t rumours_part[] = {3, 3, 0, 25, 1, 1};
    uint8_t rumour_far[3 + 1 + 25] = {3, 26, 0, 25, [4 + 15] = 0x41};
    uint8_t rumours_many[3 + 1 + 37 * 25] = {3, 0x9e, 3, 25};
    refused(subject_twice, sizeof subject_twice, 0, 1);
    refused(subject_short, sizeof subject_short, 0, 1);
    refused(subject_long, sizeof subject_long, 0, 1);
    refused(beyond, sizeof beyond, 0, 1);
    refused(no_length, sizeof no_length, 0, 1);
    refused(hearing_more, sizeof hearing_more, 0, 1);
    refused(hearing_odd, sizeof hearing_odd, 0, 1);
    refused(hearing_many, sizeof hearing_many, 0, 1);
    refused(rumours_none, sizeof rumours_none, 0, 1);
    refused(rumours_small, sizeof rumours_small, 0, 1);
    refused(rumours_part, sizeof rumours_part, 0, 1);
    refused(rumour_far, sizeof rumour_far, 0, 1);
    refused(rumours_many, sizeof rumours_many, 0, 1);
    refused(NULL, 0, 0, 2);               /* version */
    refused(NULL, 0, 0, 0);               /* version */
    refused(NULL, 0, 1, 0);               /* kind */
    refused(NULL, 0, 1, GOSSIP_INDIRECT); /* without a subject */
    refused(NULL, 0, 3, 0);               /* incarnation 0 */
    refused(NULL, 0, 10, 0x40);           /* incarnation above the greatest */
}

static void longer_than_a_datagram_is_refused(void **state)
{
    struct gossip g, back;
    uint8_t out[GOSSIP_MAX + 1] = {0};
    gossip_init(&g, GOSSIP_PROBE);
    g.incarnation = 1;
    size_t n = gossip_write(&g, out), more = GOSSIP_MAX - n - 3;
    out[n] = 77;
    out[n + 1] = (uint8_t)more;
    out[n + 2] = (uint8_t)(more >> 8);
    assert_true(read_exactly(out, GOSSIP_MAX, &back));
    out[n + 1]++;
    assert_false(read_exactly(out, GOSSIP_MAX + 1, &back));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_reads_the_same),
        cmocka_unit_test(the_least_is_short),
        cmocka_unit_test(no_part_of_a_message_is_one),
        cmocka_unit_test(what_a_later_release_adds_is_skipped),
        cmocka_unit_test(malformed_is_refused),
        cmocka_unit_test(longer_than_a_datagram_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
