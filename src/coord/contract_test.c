/* The contract on every engine: the rigs.
 *
 * The model and the embedded engine always; etcd when HOLDFAST_ETCD names its endpoints. */
#include "coord/contract_test.h"

#include <stdlib.h>

#include "coord/model.h"

/* ---- The model ---- */

static struct model *model;

static void model_begin(struct loop *l)
{
    assert_int_equal(model_new(&model, l, NULL), 0);
}

/* The same with requests that overtake each other. */
static void slow_model_begin(struct loop *l)
{
    model_begin(l);
    model_delay(model, 0, 3 * NS_PER_MS, 1);
}

static void model_end(void)
{
    model_free(model);
    model = NULL;
}

static struct coord *model_open(struct loop *l)
{
    struct coord *c = NULL;
    assert_int_equal(coord_model_new(&c, model, NULL), 0);
    return c;
}

static void model_is_away(bool away)
{
    model_away(model, away);
}

static void model_forgets(void)
{
    model_compact(model);
}

static void model_unknown(bool happens)
{
    model_order(model, happens ? MODEL_UNANSWERED : MODEL_LOST, 1);
}

static const struct rig rigs[] = {
    {"model", true, true, model_begin, model_end, model_open, model_is_away, coord_model_away,
     model_forgets, model_unknown},
    {"slow model", true, true, slow_model_begin, model_end, model_open, model_is_away,
     coord_model_away, model_forgets, model_unknown},
};

int main(void)
{
    int failed = 0;
    for (uint32_t i = 0; i < ARRAY_LEN(rigs); i++) {
        k.rig = &rigs[i];
        failed += contract_cases();
        failed += contract_faults();
    }
    return failed;
}
