#include "daemon/finding_message.h"

enum { WEIGHT_ONE = 1000 };

static struct str cut(struct str s, size_t most)
{
    return (struct str){s.p, MIN(s.n, most)};
}

void finding_put(struct buf *b, const struct sense_finding *f)
{
    const struct finding_signal *s = &f->signal;
    double weight = s->weight < 0 ? 0 : s->weight > 1 ? 1 : s->weight;
    put_u8(b, f->gone);
    put_u8(b, (uint8_t)f->subject);
    put_u8(b, (uint8_t)s->kind);
    put_u8(b, (uint8_t)s->verdict);
    put_u64(b, s->at);
    put_u64(b, s->key);
    put_u16(b, (uint16_t)(weight * WEIGHT_ONE + 0.5));
    put_str(b, cut(f->name, SENSE_NAME_MAX));
    put_str(b, cut(s->says, FINDING_SAYS - 1));
    put_str(b, cut(s->sample, SENSE_SAMPLE_MAX));
}

bool finding_get(struct reader *r, struct sense_finding *f)
{
    uint8_t gone = get_u8(r), subject = get_u8(r), kind = get_u8(r), verdict = get_u8(r);
    uint64_t at = get_u64(r), key = get_u64(r);
    uint16_t weight = get_u16(r);
    struct str name = get_str(r), says = get_str(r), sample = get_str(r);
    if (!reader_done(r) || gone > 1 || subject >= SUBJECT_KINDS || kind >= FINDING_KINDS ||
        weight > WEIGHT_ONE || name.n == 0 || name.n > SENSE_NAME_MAX || says.n >= FINDING_SAYS ||
        sample.n > SENSE_SAMPLE_MAX || verdict >= VERDICTS)
        return false;
    *f = (struct sense_finding){.gone = gone == 1,
                                .subject = (enum subject_kind)subject,
                                .name = name,
                                .signal = {.at = at,
                                           .kind = (enum finding_kind)kind,
                                           .verdict = (enum verdict)verdict,
                                           .key = key,
                                           .weight = weight / (double)WEIGHT_ONE,
                                           .says = says,
                                           .sample = sample}};
    return true;
}
