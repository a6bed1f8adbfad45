/* Datagrams become messages; messages become records, errors and the number of the family. */
#include "internal.h"

/* A walk over the attributes between two offsets of a datagram: type and payload of the present one. */
struct reader {
    const uint8_t *datagram;
    size_t here;
    size_t limit;
    struct ipvsnl_fault *fault;
    unsigned type;
    size_t start;
    size_t end;
};

/* Go to the next attribute. Answers 1; 0: there is none; -1: it is malformed. The last one may lack its padding. */
static inline int next(struct reader *reader)
{
    size_t left = reader->limit - reader->here, length;

    if (left == 0)
        return 0;
    if (left < IPVSNL_NLA_HEADER)
        return (int)fail(reader->fault, IPVSNL_STRAY, reader->here, -1);
    length = load16(reader->datagram + reader->here);
    if (length < IPVSNL_NLA_HEADER)
        return (int)fail(reader->fault, IPVSNL_SHORT_ATTRIBUTE, reader->here, -1);
    if (length > left)
        return (int)fail(reader->fault, IPVSNL_LONG_ATTRIBUTE, reader->here, -1);
    reader->type = load16(reader->datagram + reader->here + 2) & IPVSNL_NLA_TYPE_MASK;
    reader->start = reader->here + IPVSNL_NLA_HEADER;
    reader->end = reader->here + length;
    reader->here += aligned(length) < left ? aligned(length) : left;
    return 1;
}

/* The text of a payload ends at its first NUL, which must be there after at most `most` letters. Answers the length. */
static int64_t text_length(const struct reader *reader, size_t most)
{
    const uint8_t *begin = reader->datagram + reader->start;
    const uint8_t *nul = memchr(begin, 0, reader->end - reader->start);

    if (nul == NULL)
        return fail(reader->fault, IPVSNL_NO_NUL, reader->start, -1);
    if ((size_t)(nul - begin) > most)
        return fail(reader->fault, IPVSNL_LONG_TEXT, reader->start, -1);
    return nul - begin;
}

static int take_text(const struct attribute *attribute, const struct reader *reader, uint8_t *field)
{
    int64_t length = text_length(reader, attribute->size);

    if (length < 0)
        return -1;
    memset(field, 0, attribute->width);
    memcpy(field, reader->datagram + reader->start, (size_t)length);
    return 0;
}

/* A reader over the attributes in the current one. */
static struct reader inside(const struct reader *outer)
{
    struct reader inner = {outer->datagram, outer->start, outer->end, outer->fault, 0, 0, 0};
    return inner;
}

static int take_table(const struct table *table, struct reader reader, uint8_t *record, uint32_t *present);

/* Copy the present attribute into its field of the record. */
static int take_attribute(const struct attribute *attribute, const struct reader *reader, uint8_t *record)
{
    const uint8_t *payload = reader->datagram + reader->start;
    size_t length = reader->end - reader->start;
    uint8_t *field = record + attribute->offset;
    uint32_t ignored = 0;

    switch (attribute->kind) {
    case KIND_INTEGER: /* most of them, by far */
        if (length != attribute->size)
            break;
        store_integer(field, attribute->width, load_integer(payload, length));
        return 0;
    case KIND_BE16:
        if (length != attribute->size)
            break;
        store16(field, (uint16_t)(payload[0] << 8 | payload[1]));
        return 0;
    case KIND_FLAGS: /* flags and their mask, two u32 side by side in both forms */
        if (length != attribute->size)
            break;
        memcpy(field, payload, length);
        return 0;
    case KIND_STRING:
        return take_text(attribute, reader, field);
    case KIND_BYTES:
        if (length > attribute->size)
            return (int)fail(reader->fault, IPVSNL_LONG_BYTES, reader->start, -1);
        memset(field, 0, attribute->width);
        memcpy(field, payload, length);
        return 0;
    default: /* KIND_NESTED; of a repeated one the last wins, whole */
        memset(record + attribute->of->begin, 0, attribute->of->extent);
        return take_table(attribute->of, inside(reader), record, &ignored);
    }
    return (int)fail(reader->fault, IPVSNL_INTEGER_SIZE, reader->start, -1);
}

static int take_table(const struct table *table, struct reader reader, uint8_t *record, uint32_t *present)
{
    int found;

    while ((found = next(&reader)) > 0) {
        if (reader.type >= table->count || table->attributes[reader.type].kind == KIND_NONE)
            continue;
        if (take_attribute(&table->attributes[reader.type], &reader, record) < 0)
            return -1;
        *present |= UINT32_C(1) << reader.type;
    }
    return found;
}

/* Clear a record, and read the attributes of a group into it. */
static int take_group(const struct table *table, struct reader reader, uint8_t *record)
{
    uint32_t present = 0;

    memset(record, 0, table->extent);
    if (take_table(table, reader, record, &present) < 0)
        return -1;
    store32(record + table->present, present);
    return 0;
}

/* A reader over a message's attributes, past `header` bytes that must be there. */
static int open_payload(struct reader *reader, size_t length, size_t start, size_t end, size_t header,
                        enum ipvsnl_code cut)
{
    if (start > end || end > length)
        return (int)fail(reader->fault, IPVSNL_BOUNDS, start, -1);
    if (end - start < header)
        return (int)fail(reader->fault, cut, start, -1);
    reader->here = start + header;
    reader->limit = end;
    return 0;
}

int64_t ipvsnl_split(const void *datagram, size_t length, size_t start, struct ipvsnl_message *out, size_t capacity,
                     struct ipvsnl_fault *fault)
{
    size_t count = 0;

    while (start < length && count < capacity) {
        const uint8_t *at = (const uint8_t *)datagram + start;
        size_t left = length - start, size;

        if (left < IPVSNL_NLMSG_HEADER)
            return fail(fault, IPVSNL_CUT_HEADER, start, -1);
        size = load32(at);
        if (size < IPVSNL_NLMSG_HEADER)
            return fail(fault, IPVSNL_SHORT_MESSAGE, start, -1);
        if (size > left)
            return fail(fault, IPVSNL_LONG_MESSAGE, start, -1);
        struct ipvsnl_message message = {load16(at + 4),  load16(at + 6),       load32(at + 8),
                                         load32(at + 12), start + IPVSNL_NLMSG_HEADER, start + size};
        out[count++] = message;
        start += aligned(size) < left ? aligned(size) : left;
    }
    return (int64_t)count;
}

int64_t ipvsnl_decode(enum ipvsnl_group group, const void *datagram, size_t length, size_t start, size_t end,
                      void *record, size_t capacity, struct ipvsnl_fault *fault)
{
    struct reader reader = {datagram, 0, 0, fault, 0, 0, 0};
    const struct table *table;
    int found, seen = 0;

    if ((unsigned)group >= sizeof groups / sizeof groups[0])
        return fail(fault, IPVSNL_NO_GROUP, start, -1);
    table = groups[group];
    if (capacity < table->extent)
        return fail(fault, IPVSNL_NO_ROOM, start, -1);
    if (open_payload(&reader, length, start, end, IPVSNL_GENL_HEADER, IPVSNL_CUT_GENL) < 0)
        return -1;
    if (table->container == 0)
        return take_group(table, reader, record) < 0 ? -1 : table->extent;
    while ((found = next(&reader)) > 0) {
        if (reader.type != table->container)
            continue;
        if (take_group(table, inside(&reader), record) < 0)
            return -1;
        seen = 1;
    }
    if (found < 0)
        return -1;
    return seen ? table->extent : fail(fault, IPVSNL_NO_GROUP, start, -1);
}

static int take_extack(struct reader reader, struct ipvsnl_extack *extack)
{
    int found;

    while ((found = next(&reader)) > 0) {
        if (reader.type == IPVSNL_NLMSGERR_ATTR_MSG) {
            int64_t text = text_length(&reader, SIZE_MAX);
            if (text < 0)
                return -1;
            extack->has_text = 1;
            extack->text = reader.start;
            extack->text_length = (uint64_t)text;
        } else if (reader.type == IPVSNL_NLMSGERR_ATTR_OFFS) {
            if (reader.end - reader.start != 4)
                return (int)fail(reader.fault, IPVSNL_INTEGER_SIZE, reader.start, -1);
            extack->has_offset = 1;
            extack->offset = load32(reader.datagram + reader.start);
        }
    }
    return found;
}

/* Bytes of the echoed request between the errno and the TLVs; -1 where it leaves the message. It is only looked at when
 * there are TLVs: kernels before 4.12 echo a bare header without setting NLM_F_CAPPED. */
static int64_t echo_length(const struct reader *reader, unsigned flags)
{
    size_t left = reader->limit - reader->here, length = load32(reader->datagram + reader->here);

    if (flags & IPVSNL_NLM_F_CAPPED)
        return IPVSNL_NLMSG_HEADER;
    if (length < IPVSNL_NLMSG_HEADER || length > left)
        return fail(reader->fault, IPVSNL_ECHO, reader->here, -1);
    return (int64_t)(aligned(length) < left ? aligned(length) : left);
}

static int64_t take_error(unsigned flags, struct reader reader, size_t header, struct ipvsnl_extack *extack)
{
    size_t at = reader.here - header;
    int32_t error;
    int64_t echo = 0;

    memcpy(&error, reader.datagram + at, sizeof error);
    if (error > 0 || error < -IPVSNL_ERRNO_MAX)
        return fail(reader.fault, IPVSNL_ERRNO, at, -1);
    memset(extack, 0, sizeof *extack);
    if (flags & IPVSNL_NLM_F_ACK_TLVS) {
        if (header > sizeof error) {
            reader.here = at + sizeof error;
            echo = echo_length(&reader, flags);
            if (echo < 0)
                return -1;
            reader.here += (size_t)echo;
        }
        if (take_extack(reader, extack) < 0)
            return -1;
    }
    return -error;
}

int64_t ipvsnl_decode_error(uint16_t flags, const void *datagram, size_t length, size_t start, size_t end,
                            struct ipvsnl_extack *extack, struct ipvsnl_fault *fault)
{
    struct reader reader = {datagram, 0, 0, fault, 0, 0, 0};

    if (open_payload(&reader, length, start, end, 4 + IPVSNL_NLMSG_HEADER, IPVSNL_CUT_ERROR) < 0)
        return -1;
    return take_error(flags, reader, 4 + IPVSNL_NLMSG_HEADER, extack);
}

int64_t ipvsnl_decode_done(uint16_t flags, const void *datagram, size_t length, size_t start, size_t end,
                           struct ipvsnl_extack *extack, struct ipvsnl_fault *fault)
{
    struct reader reader = {datagram, 0, 0, fault, 0, 0, 0};

    if (open_payload(&reader, length, start, end, 4, IPVSNL_CUT_ERROR) < 0)
        return -1;
    return take_error(flags, reader, 4, extack);
}

int64_t ipvsnl_decode_family_id(const void *datagram, size_t length, size_t start, size_t end,
                                struct ipvsnl_fault *fault)
{
    struct reader reader = {datagram, 0, 0, fault, 0, 0, 0};
    int64_t family_id = -1;
    int found;

    if (open_payload(&reader, length, start, end, IPVSNL_GENL_HEADER, IPVSNL_CUT_GENL) < 0)
        return -1;
    while ((found = next(&reader)) > 0) {
        if (reader.type != IPVSNL_CTRL_ATTR_FAMILY_ID)
            continue;
        if (reader.end - reader.start != 2)
            return fail(fault, IPVSNL_INTEGER_SIZE, reader.start, -1);
        family_id = load16(reader.datagram + reader.start);
    }
    if (found < 0)
        return -1;
    return family_id >= 0 ? family_id : fail(fault, IPVSNL_NO_FAMILY_ID, start, -1);
}
