/* A plain packet: IPv4 without options, whole, TCP or UDP with its header; and its bytes as they leave. */
#ifndef IPVSSIM_LANE_PACKET_H
#define IPVSSIM_LANE_PACKET_H

#include "internal.h"

struct packet {
    const uint8_t *data; /* not looked at where nobody looks at what leaves */
    uint32_t length;
    struct key key;
    uint8_t hops, flags; /* TCP's flags, else 0 */
};

/* Where a packet's destination and source are changed to. */
struct translation {
    uint32_t address, old_address;
    uint16_t port, old_port;
};

/* A packet of a batch, and the connections that it may belong to: as a request, as a reply; LANE_NONE: there is none. */
struct found {
    struct packet packet;
    uint64_t hashed;
    uint32_t request, reply;
};

bool lane_parse(const struct lane_batch *batch, const uint8_t *data, int64_t size, struct packet *packet);
void lane_request(uint8_t *out, const struct packet *packet, const struct translation *change);
void lane_routed(uint8_t *out, const struct packet *packet);
void lane_reply(uint8_t *out, const struct packet *packet, const struct translation *change);

/* run.c: a packet of a batch is looked at, and then decided. */
bool lane_look(const struct lane *lane, const struct lane_batch *batch, struct found *found);
enum lane_stop lane_settle(struct lane *lane, struct lane_batch *batch, const struct found *found);
/* The jiffy that a time is in. Mostly that divides by a constant, which is faster. */
static inline int64_t jiffy_of_time(const struct lane *lane, int64_t time)
{
    return lane->rules.jiffy == LANE_JIFFY ? time / LANE_JIFFY : time / lane->rules.jiffy;
}

/* wheel.c: let it be the time of the packet at `at`; LANE_WAIT. */
enum lane_stop lane_at_its_time(const struct lane *lane, struct lane_batch *batch);
/* run.c: decide about a packet, the one at `at` of its batch. */
enum lane_stop lane_decide(struct lane *lane, struct lane_batch *batch, const struct packet *packet);

#endif
