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

bool lane_parse(const struct lane_batch *batch, const uint8_t *data, int64_t size, struct packet *packet);
void lane_request(uint8_t *out, const struct packet *packet, const struct translation *change);
void lane_routed(uint8_t *out, const struct packet *packet);
void lane_reply(uint8_t *out, const struct packet *packet, const struct translation *change);

/* run.c: decide about a packet, the one at `at` of its batch. */
enum lane_stop lane_decide(struct lane *lane, struct lane_batch *batch, const struct packet *packet);

#endif
