/* Replies of a dump look alike. So the core learns the shape of one reply, and reads the next one without a search.
 *
 * A shape is the headers of all attributes and the places where they stand. A reply that has the same headers at the
 * same places, and the same end, has the same attributes. Any other reply is read by ipvsnl_decode. So a shape changes
 * how fast a record is read and nothing else.
 *
 * A reply that repeats an attribute has no shape: there the last one counts. No kernel sends such a reply. */
#include "bytes/reply_shape.h"

/* How an attribute becomes its field. */
enum { NOTHING, COPY1, COPY2, COPY4, WIDEN4, COPY8, SWAP2, COPY16, TEXT };

static int operation(const struct attribute *attribute, size_t length)
{
    switch (attribute->kind) {
    case KIND_INTEGER:
        if (length == 4 && attribute->width == 8)
            return WIDEN4;
        return length == 1 ? COPY1 : length == 2 ? COPY2 : length == 4 ? COPY4 : COPY8;
    case KIND_BE16:
        return SWAP2;
    case KIND_FLAGS:
        return COPY8;
    case KIND_BYTES:
        return length == 16 ? COPY16 : -1;
    case KIND_STRING:
        return TEXT;
    default:
        return NOTHING;
    }
}

/* Note the attributes between two places of a payload that ipvsnl_decode has understood. Answers whether the shape can
 * hold them. */
static int note(struct ipvsnl_reply_shape *shape, const struct table *table, const uint8_t *payload, size_t here,
                size_t end)
{
    uint32_t seen = 0;

    while (here < end) {
        size_t length = load16(payload + here), type = load16(payload + here + 2) & IPVSNL_NLA_TYPE_MASK;
        const struct attribute *attribute = type < table->count ? &table->attributes[type] : NULL;
        struct ipvsnl_step *step = &shape->steps[shape->count];
        int what = attribute != NULL ? operation(attribute, length - IPVSNL_NLA_HEADER) : NOTHING;

        if (what < 0 || shape->count == IPVSNL_SHAPE_STEPS)
            return 0;
        if (attribute != NULL && attribute->kind != KIND_NONE) {
            if (seen >> type & 1)
                return 0;
            seen |= UINT32_C(1) << type;
        }
        shape->count++;
        step->header = load32(payload + here);
        step->at = (uint16_t)here;
        step->field = attribute != NULL ? attribute->offset : 0;
        step->operation = (uint16_t)what;
        step->size = attribute != NULL ? attribute->size : 0;
        if (attribute != NULL && attribute->kind == KIND_NESTED &&
            !note(shape, attribute->of, payload, here + IPVSNL_NLA_HEADER, here + length))
            return 0;
        here += aligned(length);
    }
    return 1;
}

void ipvsnl_learn(struct ipvsnl_reply_shape *shape, enum ipvsnl_group group, const uint8_t *payload, size_t length,
                  const uint8_t *record)
{
    const struct table *table = groups[group];
    size_t here = IPVSNL_GENL_HEADER, outer = length > UINT16_MAX || length < 8 ? 0 : load16(payload + here);

    shape->count = 0;
    shape->length = 0;
    if (table->container == 0 || outer < IPVSNL_NLA_HEADER || here + outer != length ||
        (load16(payload + here + 2) & IPVSNL_NLA_TYPE_MASK) != table->container)
        return; /* a reply of one container has a shape; this is another */
    shape->outer = load32(payload + here);
    if (!note(shape, table, payload, here + IPVSNL_NLA_HEADER, length))
        return;
    shape->group = (uint32_t)group;
    shape->present = load32(record + table->present);
    shape->length = length;
}

static int take_text(const struct ipvsnl_step *step, const uint8_t *payload, uint8_t *field)
{
    size_t length = (step->header & UINT16_MAX) - IPVSNL_NLA_HEADER;
    const uint8_t *nul = memchr(payload, 0, length);

    if (nul == NULL || (size_t)(nul - payload) > step->size)
        return 0;
    memcpy(field, payload, (size_t)(nul - payload));
    return 1;
}

static inline int take_step(const struct ipvsnl_step *step, const uint8_t *payload, uint8_t *field)
{
    uint64_t wide;

    switch (step->operation) {
    case COPY8:
        memcpy(field, payload, 8);
        break;
    case WIDEN4:
        wide = load32(payload);
        memcpy(field, &wide, 8);
        break;
    case COPY4:
        memcpy(field, payload, 4);
        break;
    case COPY2:
        memcpy(field, payload, 2);
        break;
    case COPY1:
        *field = *payload;
        break;
    case SWAP2:
        store16(field, (uint16_t)(payload[0] << 8 | payload[1]));
        break;
    case COPY16:
        memcpy(field, payload, 16);
        break;
    case TEXT:
        return take_text(step, payload, field);
    default:
        break;
    }
    return 1;
}

int ipvsnl_follow(const struct ipvsnl_reply_shape *shape, enum ipvsnl_group group, const uint8_t *payload,
                  size_t length, uint8_t *record)
{
    const struct ipvsnl_step *step = shape->steps, *end = step + shape->count;

    if (shape->length != length || shape->group != (uint32_t)group || length == 0 ||
        load32(payload + IPVSNL_GENL_HEADER) != shape->outer)
        return 0;
    memset(record, 0, groups[group]->extent);
    for (; step < end; step++)
        if (load32(payload + step->at) != step->header ||
            !take_step(step, payload + step->at + IPVSNL_NLA_HEADER, record + step->field))
            return 0;
    store32(record + groups[group]->present, shape->present);
    return 1;
}
