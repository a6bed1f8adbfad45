/* Dumps become arrays of records: one dump, or the servers of many services. */
#include <errno.h>

#include "talk/socket.h"

#define KEY_MAX 128 /* bytes of a request for the servers of a service */

/* Read the datagrams that lie in the slots. Answers 0 when all are read, 1 when the records are full. */
static int64_t take_slots(enum ipvsnl_group group, struct ipvsnl_talk *talk, uint8_t *records, size_t size,
                          const uint8_t *buffer, struct ipvsnl_fault *fault)
{
    for (; talk->slot < talk->slots; talk->slot++, talk->dump.at = 0) {
        const uint8_t *datagram = buffer + (size_t)talk->slot * IPVSNL_DUMP_SLOT;
        int64_t count = ipvsnl_take_records(group, datagram, talk->lengths[talk->slot], &talk->dump,
                                            records + talk->used, size - (size_t)talk->used, fault);
        if (count < 0)
            return -1;
        talk->count += (uint64_t)count;
        talk->used += (uint64_t)count * ipvsnl_record_size(group);
        if (talk->dump.at < talk->lengths[talk->slot])
            return 1;
    }
    return 0;
}

int64_t ipvsnl_dump(int socket, const void *request, size_t length, enum ipvsnl_group group, struct ipvsnl_talk *talk,
                    void *records, size_t size, void *buffer, size_t buffer_size, int timeout,
                    struct ipvsnl_fault *fault)
{
    int64_t full;

    if (buffer_size < IPVSNL_DUMP_SLOT || talk->used > size)
        return fail(fault, IPVSNL_NO_ROOM, buffer_size, -1);
    if (ipvsnl_send_once(socket, request, length, &talk->sent, timeout, &talk->deadline, fault) < 0)
        return -1;
    for (;;) {
        uint64_t before = talk->used;
        uint32_t unread = talk->slots - talk->slot;
        int64_t count;
        full = take_slots(group, talk, records, size, buffer, fault);
        if (talk->used != before || talk->dump.finished)
            talk->deadline = 0;
        if (full || talk->dump.finished)
            return full;
        if (unread && talk->used == before && ipvsnl_wait(socket, timeout, &talk->deadline, fault) < 0)
            return -1; /* only foreign ones came */
        count = ipvsnl_receive(socket, buffer, buffer_size, IPVSNL_DUMP_SLOT, talk->lengths, fault);
        if (count < 0 || (count == 0 && ipvsnl_wait(socket, timeout, &talk->deadline, fault) < 0))
            return -1;
        talk->slots = (uint32_t)count;
        talk->slot = 0;
    }
}

/* Write the request for the servers of a service. Answers its length. */
static int64_t ask(const uint8_t *record, uint16_t family_id, uint32_t sequence, uint8_t *request,
                   struct ipvsnl_fault *fault)
{
    struct ipvsnl_service service;

    memcpy(&service, record, sizeof service);
    service.present = service.present & IPVSNL_SERVICE_MARK ? IPVSNL_SERVICE_MARK_KEY : IPVSNL_SERVICE_ADDRESS_KEY;
    return ipvsnl_encode(request, KEY_MAX, family_id, IPVSNL_CMD_GET_DEST, IPVSNL_NLM_F_REQUEST | IPVSNL_NLM_F_DUMP,
                         sequence, &service, sizeof service, NULL, 0, NULL, 0, NULL, 0, fault);
}

int64_t ipvsnl_dump_servers(int socket, uint16_t family_id, const void *services, size_t services_size,
                            struct ipvsnl_talk *talk, void *records, size_t size, uint32_t *counts, size_t capacity,
                            void *buffer, size_t buffer_size, int timeout, struct ipvsnl_fault *fault)
{
    uint8_t request[KEY_MAX];
    uint64_t all = services_size / sizeof(struct ipvsnl_service);

    if (capacity < all)
        return fail(fault, IPVSNL_NO_ROOM, capacity, -1);
    while (talk->subject < all) {
        const uint8_t *service = (const uint8_t *)services + talk->subject * sizeof(struct ipvsnl_service);
        int64_t length = ask(service, family_id, talk->dump.sequence, request, fault), full;
        if (length < 0)
            return -1;
        full = ipvsnl_dump(socket, request, (size_t)length, IPVSNL_GROUP_DEST, talk, records, size, buffer,
                           buffer_size, timeout, fault);
        if (full)
            return full;
        if (talk->dump.error)
            return fail(fault, IPVSNL_SYSTEM, (size_t)talk->dump.error, -1);
        counts[talk->subject++] = (uint32_t)talk->count;
        talk->count = 0;
        talk->sent = talk->dump.finished = 0;
        talk->dump.sequence = talk->dump.sequence == UINT32_MAX ? 1 : talk->dump.sequence + 1;
    }
    return 0;
}
