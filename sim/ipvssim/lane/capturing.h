/* What the files of captures share: what is remembered of packets that were seen. */
#ifndef IPVSSIM_CAPTURING_H
#define IPVSSIM_CAPTURING_H

#include "capture.h"
#include "internal.h"

#define REMEMBERED 8192u /* requests of which a copy may still come */
#define NO_STATE 0xFF

/* Numbers by key, 0 is a free row. */
struct numbers {
    uint64_t *keys;
    uint32_t *values;
    uint32_t rows, count;
};

struct request {
    struct capture_first first;
    uint32_t next;           /* of the same chain */
    uint32_t later, earlier; /* in the order in which they came; of a free one, later is the next free one */
    uint8_t size, print[CAPTURE_PRINT];
};

struct capture {
    struct capture_counts counts;
    struct numbers known, clients;
    struct request *requests;
    uint32_t *chains; /* 2 * REMEMBERED */
    uint32_t newest, oldest, remembered;
    struct capture_flow *flows;
    uint32_t flow_count, flow_room;
};

uint32_t capture_find(const struct numbers *numbers, uint64_t key);
bool capture_has_room(struct numbers *numbers);

static inline uint64_t known_key(uint32_t kind, uint64_t value)
{
    return (uint64_t)kind << 56 | value;
}

static inline uint64_t client_key(uint8_t protocol, uint32_t address, uint16_t port)
{
    return known_key(CAPTURE_CLIENT, (uint64_t)protocol << 48 | (uint64_t)address << 16 | port);
}

static inline bool is_known(const struct capture *capture, uint32_t kind, uint64_t value)
{
    return capture_find(&capture->known, known_key(kind, value)) != NONE;
}

static inline uint32_t client_flow(const struct capture *capture, uint8_t protocol, uint32_t address, uint16_t port)
{
    return capture_find(&capture->clients, client_key(protocol, address, port));
}

static inline uint64_t mac_at(const uint8_t *at)
{
    return (uint64_t)load32(at) << 16 | load16(at + 4);
}

static inline uint64_t place_of(uint32_t address, uint16_t port)
{
    return (uint64_t)address << 16 | port;
}

#endif
