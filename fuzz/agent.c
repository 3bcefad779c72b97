/* Messages between control and the agent: any bytes as the body of each. What is accepted is in
 * range and encodes to the same bytes; of a start, nothing but names and addresses is left. */
#include <stddef.h>
#include <stdint.h>

#include "daemon/agent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same(struct buf *again, const uint8_t *data, size_t size)
{
    CHECK(!again->failed && again->n == size && memcmp(again->p, data, size) == 0);
    buf_free(again);
}

static void check_etcd(const struct agent_etcd *a)
{
    CHECK(agent_etcd_check(a, NULL) == 0);
    CHECK(a->n_members >= 1 && a->n_members <= AGENT_MEMBERS);
    CHECK(!strpbrk(a->name, "/=, \n") && !strpbrk(a->token, "/=, \n") && a->name[0] != '-');
}

static void start(const uint8_t *data, size_t size)
{
    struct reader r = reader_of(data, size);
    struct agent_start s;
    struct buf again = {0};
    struct err e = {0};
    if (agent_get_start(&r, &s, &e)) {
        CHECK(e.text[0]);
        return;
    }
    check_etcd(&s.etcd);
    agent_put_start(&again, &s);
    same(&again, data, size);
}

static void state(const uint8_t *data, size_t size)
{
    struct reader r = reader_of(data, size);
    struct agent_state s;
    struct buf again = {0};
    if (!agent_get_state(&r, &s))
        return;
    if (s.life != AGENT_NEVER)
        check_etcd(&s.etcd);
    CHECK(agent_kind_name(s.kind) && agent_life_name(s.life) && s.n_lines <= AGENT_LINES);
    agent_put_state(&again, &s);
    same(&again, data, size);
}

static void others(const uint8_t *data, size_t size)
{
    struct agent_stop stop;
    struct agent_order order;
    struct agent_answer answer;
    struct buf again = {0};
    struct reader r = reader_of(data, size);
    if (agent_get_stop(&r, &stop)) {
        agent_put_stop(&again, &stop);
        same(&again, data, size);
    }
    again = (struct buf){0};
    r = reader_of(data, size);
    if (agent_get_order(&r, &order)) {
        agent_put_order(&again, &order);
        same(&again, data, size);
    }
    again = (struct buf){0};
    r = reader_of(data, size);
    if (agent_get_answer(&r, &answer)) {
        CHECK(answer.code <= 0 && answer.code > -ERR_CODES);
        agent_put_answer(&again, &answer);
        same(&again, data, size);
    }
}

static void instance(const uint8_t *data, size_t size)
{
    struct reader r = reader_of(data, size);
    struct agent_instance i;
    struct buf again = {0};
    struct err e = {0};
    if (agent_get_instance(&r, &i, &e)) {
        CHECK(e.text[0]);
        return;
    }
    CHECK(i.place < i.n_places && i.n_places <= ROLE_NODES && !strpbrk(i.service, "/ \n"));
    CHECK(i.kind != KIND_REDIS || (!strpbrk(i.password, " \n") && i.places[0].address.port));
    agent_put_instance(&again, &i);
    same(&again, data, size);
}

static void role_and_report(const uint8_t *data, size_t size)
{
    struct reader r = reader_of(data, size);
    struct agent_role role;
    struct agent_report report;
    struct buf again = {0};
    uint64_t ticket;
    if (agent_get_role(&r, &role, &ticket)) {
        CHECK(instance_order_name(role.what) && !strchr(role.service, '/'));
        agent_put_role(&again, &role, ticket);
        same(&again, data, size);
    }
    again = (struct buf){0};
    r = reader_of(data, size);
    if (agent_get_report(&r, &report)) {
        CHECK(instance_kind_name(report.kind) && report.n_followers <= ROLE_NODES);
        agent_put_report(&again, &report);
        same(&again, data, size);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    start(data, size);
    state(data, size);
    others(data, size);
    instance(data, size);
    role_and_report(data, size);
    return 0;
}
