/* The replies of a dump become an array of records. */
#include "bytes/reply_shape.h"

/* The last message of a dump: DONE, or an error that refuses the whole dump. */
static int64_t take_end(const struct ipvsnl_message *message, const uint8_t *datagram, size_t length,
                        struct ipvsnl_dump *dump, struct ipvsnl_fault *fault)
{
    struct ipvsnl_extack extack;
    int64_t error;

    if (message->type == IPVSNL_NLMSG_DONE)
        error = ipvsnl_decode_done((uint16_t)message->flags, datagram, length, message->start, message->end, &extack,
                                   fault);
    else
        error = ipvsnl_decode_error((uint16_t)message->flags, datagram, length, message->start, message->end, &extack,
                                    fault);
    if (error < 0)
        return -1;
    dump->finished = 1;
    dump->error = (int32_t)error;
    return 0;
}

/* One reply. Answers the record's size. */
static int64_t take_reply(enum ipvsnl_group group, const uint8_t *datagram, size_t length,
                          const struct ipvsnl_message *message, struct ipvsnl_reply_shape *shape, uint8_t *record,
                          size_t capacity, struct ipvsnl_fault *fault)
{
    const uint8_t *payload = datagram + message->start;
    size_t size = (size_t)(message->end - message->start);
    int64_t read;

    if (size && payload[0] != groups[group]->reply)
        return fail(fault, IPVSNL_OTHER_REPLY, (size_t)message->start, -1);
    if (capacity < groups[group]->extent)
        return fail(fault, IPVSNL_NO_ROOM, (size_t)message->start, -1);
    if (ipvsnl_follow(shape, group, payload, size, record))
        return groups[group]->extent;
    read = ipvsnl_decode(group, datagram, length, message->start, message->end, record, capacity, fault);
    if (read > 0)
        ipvsnl_learn(shape, group, payload, size, record);
    return read;
}

int64_t ipvsnl_take_records(enum ipvsnl_group group, const void *datagram, size_t length, struct ipvsnl_dump *dump,
                            void *records, size_t capacity, struct ipvsnl_fault *fault)
{
    struct ipvsnl_message message;
    size_t here = dump->at, used = 0;
    int64_t count = 0;
    uint32_t marks = 0; /* the flags of all messages */

    if ((unsigned)group >= sizeof groups / sizeof groups[0])
        return fail(fault, IPVSNL_NO_GROUP, here, -1);
    if (here > length)
        return fail(fault, IPVSNL_BOUNDS, here, -1);
    while (here < length) {
        int64_t size;
        if (ipvsnl_split(datagram, length, here, &message, 1, fault) < 0)
            return -1;
        if (message.sequence == dump->sequence) {
            marks |= message.flags;
            if (message.type == IPVSNL_NLMSG_OVERRUN)
                return fail(fault, IPVSNL_LOST, here, -1);
            if (message.type == IPVSNL_NLMSG_DONE || message.type == IPVSNL_NLMSG_ERROR) {
                if (take_end(&message, datagram, length, dump, fault) < 0)
                    return -1;
            } else if (message.type >= IPVSNL_NLMSG_MIN_TYPE) {
                size = take_reply(group, datagram, length, &message, &dump->shape, (uint8_t *)records + used,
                                  capacity - used, fault);
                if (size < 0 && fault->code == IPVSNL_NO_ROOM)
                    break;
                if (size < 0)
                    return -1;
                used += (size_t)size;
                count++;
            }
        }
        here = (size_t)message.end < length ? aligned((size_t)message.end) : length;
        if (here > length)
            here = length;
    }
    dump->at = here;
    dump->changed |= (marks & IPVSNL_NLM_F_DUMP_INTR) != 0;
    return count;
}

size_t ipvsnl_record_size(enum ipvsnl_group group)
{
    return (unsigned)group < sizeof groups / sizeof groups[0] ? groups[group]->extent : 0;
}
