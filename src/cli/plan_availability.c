#include "cli/plan_availability.h"

#include <jansson.h>
#include <math.h>

#include "conf/scalar.h"
#include "detect/availability.h"

bool plan_availability_asked(const struct availability_options *o)
{
    return o->mtbf || o->repair || o->detect || o->failover || o->data_mtbf || o->resync ||
           o->lag || o->copies || o->voters || o->sync;
}

/* 250 years: nanoseconds of it fit what they are told in. */
#define LONGEST (UINT64_C(91250) * 86400 * 1000000000)

/* ---- reading ---- */

/* Seconds. False: the complaint has been printed. */
static bool seconds(const char *name, const char *given, double usual, bool may_be_none,
                    double *out)
{
    uint64_t ns;
    *out = usual;
    if (!given)
        return true;
    if (scalar_duration(str_of(given), &ns) == SCALAR_OK && (ns || may_be_none) && ns <= LONGEST) {
        *out = (double)ns / 1e9;
        return true;
    }
    cli_fail(CLI_BAD, "option --%s needs a time such as 90d, 4h or 350ms, 91250d at most, not '%s'",
             name, given);
    return false;
}

static bool count(const char *name, const char *given, uint32_t least, uint32_t most, uint32_t *n)
{
    uint64_t v;
    if (!given)
        return true;
    if (str_u64(str_of(given), most, &v) && v >= least) {
        *n = (uint32_t)v;
        return true;
    }
    cli_fail(CLI_BAD, "option --%s needs a number from %u to %u, not '%s'", name, least, most,
             given);
    return false;
}

static bool read_plan(const struct availability_options *o, struct availability_plan *p)
{
    *p = (struct availability_plan){.copies = 3, .voters = 3};
    if (!count("copies", o->copies, 1, AVAILABILITY_COPIES, &p->copies) ||
        !count("voters", o->voters, 1, AVAILABILITY_VOTERS, &p->voters))
        return false;
    p->sync = p->copies > 1;
    return count("sync", o->sync, 0, p->copies - 1, &p->sync) &&
           seconds("mtbf", o->mtbf, 90 * 86400, false, &p->mtbf) &&
           seconds("repair", o->repair, 4 * 3600, false, &p->repair) &&
           seconds("detect", o->detect, 0.35, true, &p->detect) &&
           seconds("failover", o->failover, 0.1, true, &p->failover) &&
           seconds("data-mtbf", o->data_mtbf, p->mtbf, false, &p->data_mtbf) &&
           seconds("resync", o->resync, 3600, false, &p->resync) &&
           seconds("lag", o->lag, 1, true, &p->lag);
}

/* ---- telling ---- */

static const char *text_of(double s, char to[SCALAR_TEXT_MAX])
{
    return scalar_duration_text((uint64_t)llround(s * 1e9), to);
}

/* "1.8 s", "26 min", "3.1 h". */
static void span(struct buf *out, double s)
{
    if (s < 1)
        buf_printf(out, "%.3g ms", s * 1e3);
    else if (s < 100)
        buf_printf(out, "%.3g s", s);
    else if (s < 6000)
        buf_printf(out, "%.3g min", s / 60);
    else if (s < 360000)
        buf_printf(out, "%.3g h", s / 3600);
    else
        buf_printf(out, "%.4g d", s / 86400);
}

static void cause(struct buf *out, const char *what, double s)
{
    buf_printf(out, "    %-40s ", what);
    span(out, s);
    buf_printf(out, "\n");
}

static void tell(const struct availability_plan *p, const struct availability *a, struct buf *out)
{
    char mtbf[SCALAR_TEXT_MAX], repair[SCALAR_TEXT_MAX], data[SCALAR_TEXT_MAX],
        resync[SCALAR_TEXT_MAX];
    buf_printf(out,
               "Each node fails once in %s and is back after %s; %u cop%s, sync = %u, %u voter%s.\n"
               "A node's data is lost once in %s, and copied anew within %s.\n\nIn a year:\n",
               text_of(p->mtbf, mtbf), text_of(p->repair, repair), p->copies,
               p->copies == 1 ? "y" : "ies", p->sync, p->voters, p->voters == 1 ? "" : "s",
               text_of(p->data_mtbf, data), text_of(p->resync, resync));
    buf_printf(out, "  failovers                                  %.3g\n", a->failovers);
    buf_printf(out, "  downtime                                   ");
    span(out, a->downtime);
    buf_printf(out, "\n");
    cause(out, "while another takes over", a->switching);
    cause(out, "while all copies are away", a->copies);
    cause(out, "while no majority of voters is there", a->voters);
    buf_printf(out, "  available                                  %.7f %%\n", 100 * a->available);
    buf_printf(out, "  probability that all copies are lost       %.2g (once in %.2g years)\n",
               a->loss_probability, 1 / a->loss);
    if (p->sync)
        buf_printf(out, "  acknowledged writes lost in failovers      none\n");
    else {
        buf_printf(out, "  acknowledged writes lost in failovers      those of ");
        span(out, a->lost_writes);
        buf_printf(out, "\n");
    }
    buf_printf(out,
               "\nFailures that nodes have in common (power, network, a bad release) are not in "
               "it: put copies where\nthey have little in common.\n");
}

static int tell_json(const struct availability_plan *p, const struct availability *a)
{
    json_t *root = json_pack(
        "{s:s, s:{s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:i, s:i, s:i},"
        " s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}",
        "schema", "holdfast.availability.v1", "of", "mtbf_seconds", p->mtbf, "repair_seconds",
        p->repair, "detect_seconds", p->detect, "failover_seconds", p->failover,
        "data_mtbf_seconds", p->data_mtbf, "resync_seconds", p->resync, "lag_seconds", p->lag,
        "copies", (int)p->copies, "voters", (int)p->voters, "sync", (int)p->sync,
        "failovers_per_year", a->failovers, "downtime_seconds_per_year", a->downtime,
        "switching_seconds_per_year", a->switching, "copies_seconds_per_year", a->copies,
        "voters_seconds_per_year", a->voters, "available", a->available, "losses_per_year", a->loss,
        "loss_probability", a->loss_probability, "lost_write_seconds_per_year", a->lost_writes);
    int failed = root ? json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(12)) : -1;
    json_decref(root);
    if (failed)
        return cli_fail(CLI_BAD, "the answer could not be written");
    putchar('\n');
    return CLI_OK;
}

int plan_availability(const struct availability_options *o, bool json)
{
    struct availability_plan p;
    struct buf out = {0};
    if (!read_plan(o, &p))
        return CLI_BAD;
    struct availability a = availability_of(&p);
    if (json)
        return tell_json(&p, &a);
    tell(&p, &a, &out);
    int code = out.failed ? cli_fail(CLI_BAD, "out of memory") : CLI_OK;
    if (code == CLI_OK && !cli_write(stdout, &out))
        code = CLI_BAD;
    buf_free(&out);
    return code;
}
