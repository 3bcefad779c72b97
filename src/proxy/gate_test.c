/* The gate and a round, cell by cell and line by line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "proxy/gate.h"
#include "proxy/round.h"

static void set(struct role_row *r, uint64_t until, uint64_t lease, uint64_t gate, uint64_t primary)
{
    cell_set(&r->lease_until, until);
    cell_set(&r->lease_epoch, lease);
    cell_set(&r->gate, gate);
    cell_set(&r->primary, primary);
}

static void it_is_open_until_the_deadline(void **state)
{
    (void)state;
    struct role_row r = {0};
    static const struct {
        uint64_t until, lease, gate, now;
        bool open;
    } rows[] = {
        {100, 7, 7, 99, true},  {100, 7, 7, 100, false}, {100, 7, 6, 99, false},
        {100, 7, 8, 99, false}, {100, 0, 0, 99, false},  {0, 7, 7, 99, false},
        {100, 7, 0, 99, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        set(&r, rows[i].until, rows[i].lease, rows[i].gate, 1);
        assert_int_equal(gate_open(&r, rows[i].now), rows[i].open);
        struct gate_state g = gate_look(&r, 3, rows[i].now);
        assert_int_equal(g.until, rows[i].open ? 100 : 0);
        assert_int_equal(gate_way(&g, 0, false), rows[i].open ? GATE_HERE : GATE_WAIT);
        assert_int_equal(gate_way(&g, 0, true), rows[i].open ? GATE_HERE : GATE_WAIT);
    }
}

static void else_it_goes_to_the_records_primary_once(void **state)
{
    (void)state;
    struct role_row r = {0};
    for (uint64_t primary = 0; primary < 6; primary++) {
        set(&r, 0, 0, 0, primary);
        struct gate_state g = gate_look(&r, 3, 1);
        bool known = primary >= 1 && primary <= 3;
        assert_int_equal(g.primary, known ? (int)primary - 1 : -1);
        assert_int_equal(gate_way(&g, 1, false), known && primary != 2 ? GATE_THERE : GATE_WAIT);
        assert_int_equal(gate_way(&g, -1, false), known ? GATE_THERE : GATE_WAIT);
        assert_int_equal(gate_way(&g, 1, true), GATE_WAIT);
    }
    set(&r, 100, 7, 7, 1); /* the record is older than the gate: the gate counts */
    struct gate_state g = gate_look(&r, 3, 99);
    assert_int_equal(gate_way(&g, 2, false), GATE_HERE);
}

static const char info[] = "# Replication\r\nrole:master\r\nconnected_slaves:3\r\n"
                           "slave0:ip=10.0.0.2,port=6379,state=online,offset=1000,lag=0\r\n"
                           "slave1:ip=10.0.0.3,port=6379,state=wait_bgsave,offset=2000,lag=0\r\n"
                           "slave2:ip=fd00::4,port=6379,state=online,offset=999,lag=1\r\n"
                           "slave_read_only:1\r\nmaster_failover_state:no-failover\r\n"
                           "master_replid:0123\r\nmaster_repl_offset:1234\r\n";

static void a_picture_has_what_is_online(void **state)
{
    (void)state;
    struct round_picture p;
    assert_true(round_read(str_of(info), &p));
    assert_true(p.primary && p.offset == 1234 && p.n == 2);
    assert_int_equal(p.replicas[0].offset, 1000);
    assert_false(round_read(STR("role:master\r\n"), &p));
    assert_false(round_read(STR("master_repl_offset:1\r\n"), &p));
    assert_true(round_read(STR("role:slave\nmaster_repl_offset:1"), &p));
    assert_false(p.primary);
}

static void only_in_sync_places_count_and_only_from_the_offset_on(void **state)
{
    (void)state;
    struct round_picture p;
    struct round_places places = {.n = 3, .self = 0};
    assert_true(addr_parse(STR("10.0.0.1:6379"), &places.at[0]));
    assert_true(addr_parse(STR("10.0.0.2:6379"), &places.at[1]));
    assert_true(addr_parse(STR("[fd00::4]:6379"), &places.at[2]));
    assert_true(round_read(str_of(info), &p));
    assert_int_equal(round_acknowledged(&p, &places, 7, 999), 6);
    assert_int_equal(round_acknowledged(&p, &places, 7, 1000), 2);
    assert_int_equal(round_acknowledged(&p, &places, 7, 1001), 0);
    assert_int_equal(round_acknowledged(&p, &places, 5, 999), 4);
    places.self = 1;
    assert_int_equal(round_acknowledged(&p, &places, 7, 999), 4);
    assert_true(round_confirms(6, 2) && !round_confirms(4, 2) && round_confirms(0, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_open_until_the_deadline),
        cmocka_unit_test(else_it_goes_to_the_records_primary_once),
        cmocka_unit_test(a_picture_has_what_is_online),
        cmocka_unit_test(only_in_sync_places_count_and_only_from_the_offset_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
