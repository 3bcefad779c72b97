#include "recover/agents/vip.h"

#include <stdio.h>
#include <string.h>

#include "recover/agents/command.h"
#include "recover/agents/vip_voice.h"

enum { BURST = 5, LIFE = 3 /* s that the address outlives its admission on the interface */ };
#define SLACK    (5 * NS_PER_MS)
#define DEFENCE  (100 * NS_PER_MS)
#define EVERY    (1 * NS_PER_S) /* announcements */
#define RETRY    (5 * NS_PER_S)
#define NFT_TIME (10 * NS_PER_S)

static const char nft_path[] = "/usr/sbin/nft";

struct vip {
    struct vip_options options;
    char interface[IF_NAMESIZE], nft[256]; /* what options point at */
    struct vip_look look;
    struct vip_link link;
    struct vip_kernel kernel;
    struct vip_voice voice;
    struct command *rules; /* under way */
    uint64_t opened_at;    /* the latest attempt */
    struct io news;        /* the kernel's */
    bool ruled;            /* they may be there */
    uint64_t lives_until;  /* ns: the address is on the interface; 0: it is not */
    uint64_t defended_at;
    uint32_t told; /* announcements since it was taken, as far as the burst goes */
    struct timer end, voice_due, retry;
};

const char *vip_state_name(enum vip_state s)
{
    static const char *const names[VIP_STATES] = {[VIP_OPENING] = "opening",
                                                  [VIP_AWAY] = "away",
                                                  [VIP_HELD] = "held",
                                                  [VIP_BROKEN] = "broken"};
    CHECK(s < VIP_STATES);
    return names[s];
}

/* The owner may free the vip in this call: it is always the last of whoever makes it. */
static void tell(struct vip *v)
{
    if (v->options.changed)
        v->options.changed(v->options.context);
}

static void broken(struct vip *v, const struct err *e)
{
    v->look.state = VIP_BROKEN;
    snprintf(v->look.sentence, sizeof v->look.sentence, "%s", e->text);
    loop_timer_set(v->options.loop, &v->retry, clock_now() + RETRY);
    tell(v);
}

/* --- announcements --- */

static void announce(struct vip *v, uint64_t now)
{
    static const uint64_t burst[BURST] = {30 * NS_PER_MS, 70 * NS_PER_MS, 150 * NS_PER_MS,
                                          350 * NS_PER_MS, EVERY};
    if (v->look.state != VIP_HELD || now >= v->look.until)
        return;
    vip_voice_announce(&v->voice);
    v->look.announced++;
    uint64_t wait = v->told < BURST ? burst[v->told++] : EVERY;
    loop_timer_set(v->options.loop, &v->voice_due, now + wait);
}

static void on_voice_due(struct timer *t)
{
    announce(CONTAINER_OF(t, struct vip, voice_due), clock_now());
}

void vip_announce(struct vip *v)
{
    v->told = 0;
    announce(v, clock_now());
}

static void on_claim(struct vip_voice *voice, const uint8_t mac[NEIGHBOUR_MAC])
{
    struct vip *v = CONTAINER_OF(voice, struct vip, voice);
    uint64_t now = clock_now();
    if (v->look.state != VIP_HELD || now >= v->look.until)
        return; /* its owner announces itself */
    v->look.conflicts++;
    memcpy(v->look.rival, mac, NEIGHBOUR_MAC);
    if (now < v->defended_at + DEFENCE)
        return;
    v->defended_at = now;
    vip_voice_announce(voice);
    v->look.announced++;
    tell(v);
}

/* --- holding --- */

/* The address stays on the interface a little longer than it may be answered for, so that it need
 * not be written with every renewal: once a second. */
static int put_address(struct vip *v, uint64_t now, struct err *e)
{
    if (v->lives_until > v->look.until + NS_PER_S)
        return 0;
    uint32_t seconds = (uint32_t)((v->look.until - now) / NS_PER_S) + LIFE;
    int r = vip_kernel_address(&v->kernel, &v->options.address, v->link.index, seconds, e);
    if (r == 0)
        v->lives_until = now + seconds * NS_PER_S;
    return r;
}

static void take_away(struct vip *v)
{
    /* Nothing to be done where these fail: both run out by themselves. */
    vip_kernel_admit(&v->kernel, &v->options.address, 0, NULL);
    if (v->lives_until)
        vip_kernel_address(&v->kernel, &v->options.address, v->link.index, 0, NULL);
    v->lives_until = 0;
    loop_timer_stop(v->options.loop, &v->voice_due);
    loop_timer_stop(v->options.loop, &v->end);
    v->look.until = 0;
    v->look.state = VIP_AWAY;
}

/* What the kernel hears of is the time that is left: see the story. */
static int admit(struct vip *v, uint64_t until, struct err *e)
{
    for (int attempt = 0; attempt < 3; attempt++) {
        uint64_t before = clock_now();
        if (until < before + SLACK + NS_PER_MS)
            break;
        int r = vip_kernel_admit(&v->kernel, &v->options.address,
                                 (until - before - SLACK) / NS_PER_MS, e);
        if (r || clock_now() < before + SLACK)
            return r;
    }
    vip_kernel_admit(&v->kernel, &v->options.address, 0, NULL);
    return err_set(e, ERR_TIMEOUT, "the time for which the address may be held is over");
}

static int take(struct vip *v, uint64_t until, struct err *e)
{
    bool new = v->look.state != VIP_HELD;
    uint64_t now = clock_now();
    if (until < now + NS_PER_MS)
        return err_set(e, ERR_TIMEOUT, "the time for which the address may be held is over");
    v->look.until = until;
    int r = admit(v, until, e); /* first: without rules there is nothing to admit it to */
    if (r == 0)
        r = put_address(v, now, e);
    if (r)
        return r;
    loop_timer_set(v->options.loop, &v->end, until);
    if (!new)
        return 0;
    v->look.state = VIP_HELD;
    v->look.taken_at = now;
    v->told = 0;
    announce(v, now);
    return 0;
}

/* Somebody flushed the rules, or the interface is another now. */
static void open_again(struct vip *v)
{
    uint64_t now = clock_now();
    v->look.state = VIP_OPENING;
    loop_timer_set(v->options.loop, &v->retry, MAX(now, v->opened_at + EVERY));
}

/* What is written now and then is written now. */
static void on_news(struct io *io, unsigned ready)
{
    struct vip *v = CONTAINER_OF(io, struct vip, news);
    struct err e;
    uint64_t now = clock_now();
    (void)ready;
    bool lost = vip_kernel_lost(&v->kernel, &v->options.address, v->link.index);
    if (!lost || v->look.state != VIP_HELD || now + NS_PER_MS > v->look.until)
        return;
    v->lives_until = 0;
    if (put_address(v, now, &e) == 0)
        vip_announce(v);
}

int vip_hold(struct vip *v, uint64_t until, struct err *e)
{
    if (v->look.state != VIP_AWAY && v->look.state != VIP_HELD)
        return err_set(e, ERR_BUSY, "the address cannot be taken yet: %s",
                       v->look.state == VIP_BROKEN ? v->look.sentence : "its rules are being made");
    if (until < v->look.until)
        return 0; /* it is held for longer already */
    int r = take(v, until, e);
    if (r) {
        take_away(v);
        if (r != -ERR_TIMEOUT)
            open_again(v);
    }
    return r;
}

void vip_release(struct vip *v)
{
    if (v->look.state == VIP_HELD)
        take_away(v);
}

static void on_end(struct timer *t)
{
    struct vip *v = CONTAINER_OF(t, struct vip, end);
    take_away(v);
    tell(v);
}

/* --- opening --- */

static void on_rules(void *context, const struct command_end *end)
{
    struct vip *v = context;
    struct err e;
    v->rules = NULL;
    if (command_result(end, "nft", &e)) {
        err_wrap(&e, "cannot make the rules that guard the address");
        broken(v, &e);
        return;
    }
    v->look.state = VIP_AWAY;
    tell(v);
}

static int run_nft(struct vip *v, const char *rules, struct err *e)
{
    const char *const words[] = {"nft", rules, NULL};
    const char *const nothing[] = {NULL};
    struct program nft = {.path = v->nft, .argv = words, .envp = nothing};
    int r = command_start(&v->rules, v->options.loop, &nft, NFT_TIME, on_rules, v, e);
    if (r == -ERR_ABSENT)
        return err_set(e, ERR_ABSENT, "there is no program %s: install the package nftables",
                       v->nft);
    return r;
}

/* An address that is there belongs to nobody who lives. */
static int try_open(struct vip *v, struct err *e)
{
    char rules[VIP_RULES];
    const struct vip_options *o = &v->options;
    int r = vip_link_find(&o->address, o->prefix, o->interface, &v->link, e);
    if (r)
        return r;
    memcpy(v->look.interface, v->link.name, sizeof v->look.interface);
    vip_voice_close(&v->voice);
    r = vip_kernel_address(&v->kernel, &o->address, v->link.index, 0, e);
    if (r == 0)
        r = vip_voice_open(&v->voice, o->loop, &o->address, &v->link, e);
    if (r)
        return r;
    vip_rules(&o->address, rules);
    v->ruled = true;
    return run_nft(v, rules, e);
}

static void on_retry(struct timer *t)
{
    struct vip *v = CONTAINER_OF(t, struct vip, retry);
    struct err e;
    v->look.state = VIP_OPENING;
    v->look.sentence[0] = 0;
    v->opened_at = clock_now();
    if (try_open(v, &e))
        broken(v, &e);
}

int vip_new(struct vip **out, const struct vip_options *o, struct err *e)
{
    CHECK(o->address.kind == ADDR_IP4 || o->address.kind == ADDR_IP6);
    struct vip *v = mem_zero(1, sizeof *v);
    if (!v)
        return err_set(e, ERR_NOMEM, "no memory for a virtual address");
    v->options = *o;
    snprintf(v->interface, sizeof v->interface, "%s", o->interface ? o->interface : "");
    snprintf(v->nft, sizeof v->nft, "%s", o->nft ? o->nft : nft_path);
    v->options.interface = v->interface;
    io_init(&v->voice.io, NULL);
    v->voice.on_claim = on_claim;
    timer_init(&v->end, on_end);
    timer_init(&v->voice_due, on_voice_due);
    timer_init(&v->retry, on_retry);
    io_init(&v->news, on_news);
    int r = vip_kernel_open(&v->kernel, e);
    if (r == 0) {
        r = loop_io_start(o->loop, &v->news, vip_kernel_news(&v->kernel), e);
        if (r)
            vip_kernel_close(&v->kernel);
    }
    if (r) {
        mem_free(v);
        return r;
    }
    /* What fails here is found out and told on the loop, like what fails later. */
    loop_timer_set(o->loop, &v->retry, loop_now(o->loop));
    *out = v;
    return 0;
}

void vip_free(struct vip *v)
{
    if (!v)
        return;
    vip_release(v);
    command_abandon(v->rules);
    if (v->ruled) /* what fails here fails for want of rights, without which there are none */
        vip_kernel_forget(&v->kernel, &v->options.address, NULL);
    loop_timer_stop(v->options.loop, &v->retry);
    loop_timer_stop(v->options.loop, &v->end);
    loop_timer_stop(v->options.loop, &v->voice_due);
    vip_voice_close(&v->voice);
    loop_io_stop(v->options.loop, &v->news);
    vip_kernel_close(&v->kernel);
    mem_free(v);
}

void vip_look(const struct vip *v, struct vip_look *out)
{
    *out = v->look;
}
