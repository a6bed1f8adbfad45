/* Records become the bytes of requests. */
#include "internal.h"

/* Where the next byte goes. `group` is the group that a fault is in. */
struct writer {
    uint8_t *out;
    size_t length;
    size_t capacity;
    struct ipvsnl_fault *fault;
    int group;
};

/* Write the header of an attribute and zero its padding. Answers where its payload goes, or NULL: there is no room. */
static uint8_t *put(struct writer *writer, unsigned type, size_t payload)
{
    size_t whole = IPVSNL_NLA_HEADER + payload, step = aligned(whole);
    uint8_t *at = writer->out + writer->length;

    if (step > writer->capacity - writer->length) {
        fail(writer->fault, IPVSNL_NO_ROOM, writer->length, -1);
        return NULL;
    }
    store16(at, (uint16_t)whole);
    store16(at + 2, (uint16_t)type);
    if (step != whole) /* the payload overwrites all of it but the padding */
        store32(at + step - 4, 0);
    writer->length += step;
    return at + IPVSNL_NLA_HEADER;
}

static int put_text(struct writer *writer, unsigned number, const uint8_t *field, const struct attribute *attribute,
                    const uint8_t *record)
{
    const uint8_t *nul = memchr(field, 0, (size_t)attribute->size + 1);
    uint8_t *payload;

    if (nul == NULL)
        return (int)fail(writer->fault, IPVSNL_RECORD_TEXT, (size_t)(field - record), writer->group);
    payload = put(writer, number, (size_t)(nul - field) + 1);
    if (payload == NULL)
        return -1;
    memcpy(payload, field, (size_t)(nul - field) + 1);
    return 0;
}

static int put_table(struct writer *writer, const struct table *table, const uint8_t *record, uint32_t present);

static int put_attribute(struct writer *writer, unsigned number, const struct attribute *attribute,
                         const uint8_t *record)
{
    const uint8_t *field = record + attribute->offset;
    size_t before = writer->length;
    uint8_t *payload;

    if (attribute->kind == KIND_STRING)
        return put_text(writer, number, field, attribute, record);
    if (attribute->kind == KIND_NESTED) {
        if (put(writer, number | IPVSNL_NLA_F_NESTED, 0) == NULL)
            return -1;
        if (put_table(writer, attribute->of, record, attribute->of->known) < 0)
            return -1;
        store16(writer->out + before, (uint16_t)(writer->length - before));
        return 0;
    }
    payload = put(writer, number, attribute->size);
    if (payload == NULL)
        return -1;
    if (attribute->kind == KIND_INTEGER) {
        store_integer(payload, attribute->size, load_integer(field, attribute->width));
    } else if (attribute->kind == KIND_BE16) {
        uint16_t value = load16(field);
        payload[0] = (uint8_t)(value >> 8);
        payload[1] = (uint8_t)value;
    } else { /* bytes; flags and their mask, two u32 side by side in both forms */
        memcpy(payload, field, attribute->size);
    }
    return 0;
}

static int put_table(struct writer *writer, const struct table *table, const uint8_t *record, uint32_t present)
{
    for (; present; present &= present - 1) {
        unsigned number = (unsigned)__builtin_ctz(present);
        if (put_attribute(writer, number, &table->attributes[number], record) < 0)
            return -1;
    }
    return 0;
}

static int put_group(struct writer *writer, enum ipvsnl_group group, const uint8_t *record, size_t size)
{
    const struct table *table = groups[group];
    size_t before = writer->length;
    uint32_t present;

    if (record == NULL)
        return 0;
    writer->group = (int)group;
    if (size != table->extent)
        return (int)fail(writer->fault, IPVSNL_RECORD_SIZE, size, writer->group);
    present = load32(record + table->present);
    if (present & ~table->known)
        return (int)fail(writer->fault, IPVSNL_UNKNOWN_BIT, table->present, writer->group);
    if (table->container && put(writer, table->container | IPVSNL_NLA_F_NESTED, 0) == NULL)
        return -1;
    if (put_table(writer, table, record, present) < 0)
        return -1;
    if (table->container)
        store16(writer->out + before, (uint16_t)(writer->length - before));
    return 0;
}

/* Both headers. The message's length is filled in by `finish`. */
static int begin(struct writer *writer, uint16_t type, uint16_t flags, uint32_t sequence, uint8_t command)
{
    uint8_t *at = writer->out;

    if (writer->capacity < IPVSNL_NLMSG_HEADER + IPVSNL_GENL_HEADER)
        return (int)fail(writer->fault, IPVSNL_NO_ROOM, 0, -1);
    store16(at + 4, type);
    store16(at + 6, flags);
    store32(at + 8, sequence);
    store32(at + 12, 0);
    at[16] = command;
    at[17] = IPVSNL_VERSION;
    store16(at + 18, 0);
    writer->length = IPVSNL_NLMSG_HEADER + IPVSNL_GENL_HEADER;
    return 0;
}

static int64_t finish(struct writer *writer)
{
    store32(writer->out, (uint32_t)writer->length);
    return (int64_t)writer->length;
}

int64_t ipvsnl_encode(void *out, size_t capacity, uint16_t family_id, uint8_t command, uint16_t flags,
                      uint32_t sequence, const void *service, size_t service_size, const void *dest, size_t dest_size,
                      const void *daemon, size_t daemon_size, const void *config, size_t config_size,
                      struct ipvsnl_fault *fault)
{
    struct writer writer = {out, 0, capacity, fault, -1};

    if (begin(&writer, family_id, flags, sequence, command) < 0 ||
        put_group(&writer, IPVSNL_GROUP_SERVICE, service, service_size) < 0 ||
        put_group(&writer, IPVSNL_GROUP_DEST, dest, dest_size) < 0 ||
        put_group(&writer, IPVSNL_GROUP_DAEMON, daemon, daemon_size) < 0 ||
        put_group(&writer, IPVSNL_GROUP_CONFIG, config, config_size) < 0)
        return -1;
    return finish(&writer);
}

_Static_assert(IPVSNL_REQUEST_ROOM >= IPVSNL_REQUEST_MAX, "any request has room");

int64_t ipvsnl_encode_rule(struct ipvsnl_request *request, uint16_t family_id, uint8_t command, uint16_t flags,
                           uint32_t sequence, const void *service, size_t service_size, const void *dest,
                           size_t dest_size)
{
    return ipvsnl_encode(request->bytes, sizeof request->bytes, family_id, command, flags, sequence, service,
                         service_size, dest, dest_size, NULL, 0, NULL, 0, &request->fault);
}

size_t ipvsnl_request_max(void)
{
    return IPVSNL_REQUEST_MAX;
}

int64_t ipvsnl_encode_getfamily(void *out, size_t capacity, uint32_t sequence, const void *name, size_t name_length,
                                struct ipvsnl_fault *fault)
{
    struct writer writer = {out, 0, capacity, fault, -1};
    uint8_t *payload;

    if (name_length == 0 || name_length > IPVSNL_FAMILY_NAME_MAX || memchr(name, 0, name_length) != NULL)
        return fail(fault, IPVSNL_FAMILY_NAME, 0, -1);
    if (begin(&writer, IPVSNL_GENL_ID_CTRL, IPVSNL_NLM_F_REQUEST, sequence, IPVSNL_CTRL_CMD_GETFAMILY) < 0)
        return -1;
    payload = put(&writer, IPVSNL_CTRL_ATTR_FAMILY_NAME, name_length + 1);
    if (payload == NULL)
        return -1;
    memcpy(payload, name, name_length);
    payload[name_length] = 0;
    return finish(&writer);
}
