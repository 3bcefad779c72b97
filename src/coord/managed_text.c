/* Steps, and what is waited for, in words. */
#include <stdio.h>

#include "coord/managed_inside.h"

static const char *const acts[MANAGED_DOS] = {
    [MANAGED_REST] = "",
    [MANAGED_INTEND] = "nobody has ever belonged to a coordinator: this node is going to found one",
    [MANAGED_PROMISE] = "waits for %s to found the coordinator",
    [MANAGED_LEARN] = "belongs to the coordinator that %s told of",
    [MANAGED_FORGET] = "the founding that was promised to %s does not take place",
    [MANAGED_FOUND] = "founds the coordinator, as its first member",
    [MANAGED_JOIN] = "joins the coordinator as a learner",
    [MANAGED_START] = "starts its member of the coordinator",
    [MANAGED_LEAVE] = "is no member any more: its data is put aside",
    [MANAGED_ADD] = "adds %s to the members, as a learner",
    [MANAGED_PROMOTE] = "%s has caught up and becomes a full member",
    [MANAGED_REMOVE] = "removes the member of %s",
    [MANAGED_HAND_OVER] = "lets %s lead from now on",
    [MANAGED_SET_VOTERS] = "%s: the voters change",
    [MANAGED_TURN] = "the member of %s is to start again, with timers for the slowest disk",
    [MANAGED_RESTART] = "its member starts again, with timers for the slowest disk",
};

static const char *const whys[MANAGED_WHYS] = {
    [MANAGED_WELL] = "",
    [MANAGED_FOUNDER] = "waits for node %s to found the coordinator",
    /* NOLINTNEXTLINE(bugprone-suspicious-missing-comma): one long sentence */
    [MANAGED_UNHEARD] = "waits for node %s: a coordinator is founded when all nodes have said that "
                        "they never belonged to one",
    [MANAGED_FILES] = "the file of node %s names other voters: the same file belongs on all nodes",
    [MANAGED_KNOWN] = "node %s knows of a coordinator whose members are not heard",
    [MANAGED_UNPROMISED] = "waits for node %s to agree to the founding",
    [MANAGED_TWO] = "node %s belongs to another coordinator: nothing is done until one of them is "
                    "given up",
    [MANAGED_PLACE] = "waits for the leader to make this node a member",
    [MANAGED_CATCH_UP] = "waits for node %s to catch up",
    [MANAGED_NO_QUORUM] = "fewer than a majority of the members are healthy",
    [MANAGED_SILENT] = "waits for node %s, which votes and is not there",
    [MANAGED_BELOW] = "the member of node %s cannot go: too few healthy ones would be left",
    [MANAGED_PATIENCE] = "voters change one at a time: waits until the last change has settled",
};

void managed_explain(const struct managed_facts *f, const struct managed_step *s, char *out,
                     size_t size)
{
    CHECK(s->act < MANAGED_DOS && s->why < MANAGED_WHYS);
    const char *text = s->act == MANAGED_REST ? whys[s->why] : acts[s->act];
    const char *gap = strstr(text, "%s");
    struct str name = s->node < f->n ? f->nodes[s->node].name : STR("a node of no name");
    if (gap)
        snprintf(out, size, "%.*s" STR_FMT "%s", (int)(gap - text), text, STR_ARG(name), gap + 2);
    else
        snprintf(out, size, "%s", text);
}
