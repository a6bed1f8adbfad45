/* What the files of the lane share: the store, the wheel, and small helpers. */
#ifndef IPVSSIM_LANE_INTERNAL_H
#define IPVSSIM_LANE_INTERNAL_H

#if defined(__GNUC__) && defined(IPVSNL_STRICT)
#pragma GCC diagnostic error "-Wconversion"
#pragma GCC diagnostic error "-Wsign-conversion"
#pragma GCC diagnostic error "-Wshadow"
#pragma GCC diagnostic error "-Wcast-qual"
#elif defined(__GNUC__)
#pragma GCC diagnostic warning "-Wconversion"
#pragma GCC diagnostic warning "-Wsign-conversion"
#pragma GCC diagnostic warning "-Wshadow"
#pragma GCC diagnostic warning "-Wcast-qual"
#endif

#include <stdbool.h>
#include <string.h>

#include "lane.h"

#define NONE 0xFFFFFFFFu
#define TCP 6
#define UDP 17
#define WHEEL 65536u /* jiffies of the wheel: who expires later waits in its last bucket, and is moved on from there */
#define SOURCES 65536u

/* What a packet is found by: its addresses and ports, as a request or as a reply. */
struct key {
    uint32_t source, destination;
    uint16_t port, to;
    uint8_t protocol;
};

struct connection {
    int64_t expires; /* jiffies */
    uint32_t client, virtual_address;
    uint32_t server;
    uint32_t flags;
    uint32_t timeout; /* jiffies */
    uint32_t in_packets;
    uint32_t tag; /* the caller's */
    uint32_t next_request, next_reply; /* of the same chain; of a free one, next_request is the next free one */
    uint32_t later, earlier;           /* of the same bucket of the wheel */
    uint16_t client_port, virtual_port;
    uint16_t bucket;
    uint8_t protocol, state; /* protocol 0: free */
};

_Static_assert(sizeof(struct connection) <= 80, "a connection is small");

/* What servers are compared by: the lesser load by weight is the better one. */
struct rank {
    uint32_t load, weight;
};

/* A service's servers, and the least loaded of them: a tree of places, each node the better of its two children. */
struct list {
    uint32_t *servers;  /* by place */
    struct rank *ranks; /* by place, `width` of them */
    uint32_t *tree;     /* `width` leaves from `width` on; the root is 1 */
    uint32_t count, width;
};

struct lane {
    struct lane_rules rules;
    /* connections */
    struct connection *connections;
    uint32_t used, capacity, free;
    int64_t count;
    uint32_t *requests, *replies; /* chains by hash */
    uint32_t rows;                /* a power of two */
    /* the wheel */
    uint32_t *buckets;
    uint64_t *filled; /* a bit a bucket */
    int64_t done;     /* the jiffy up to which the wheel has turned */
    int64_t next;     /* no bucket before it is filled */
    /* services and servers */
    struct lane_service *services;
    struct list *lists;
    struct lane_server *servers;
    uint32_t service_room, server_room;
    uint32_t *by_address; /* services by hash of address, port and protocol: open addressing, NONE is free */
    uint32_t address_rows, address_count;
    uint32_t *changed, *moved;
    uint32_t changed_count, moved_count;
    struct lane_counts total;
    uint64_t sources[SOURCES / 64]; /* addresses that replies may come from, by hash */
    /* keys of others */
    uint64_t *foreign; /* open addressing, 0 is free */
    uint32_t foreign_rows, foreign_count;
    /* routes */
    struct lane_prefix *prefixes;
    struct lane_way *ways;
    int64_t prefix_count, local_count;
    uint32_t *hosts; /* open addressing, 0 is free */
    uint8_t *own;
    uint32_t host_rows;
};

static inline uint16_t load16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t load32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static inline void store16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static inline void store32(uint8_t *at, uint32_t value)
{
    store16(at, value >> 16);
    store16(at + 2, value & 0xFFFF);
}

static inline uint32_t mix32(uint32_t value)
{
    value ^= value >> 16;
    value *= 0x7FEB352Du;
    value ^= value >> 15;
    value *= 0x846CA68Bu;
    return value ^ value >> 16;
}

static inline uint64_t hash(struct key key)
{
    uint64_t x = ((uint64_t)key.source << 32 | key.destination) * 0x9E3779B97F4A7C15u;
    x ^= x >> 32;
    x += (uint64_t)key.protocol << 32 | (uint64_t)key.port << 16 | key.to;
    x *= 0xD6E8FEB86659FD93u;
    x ^= x >> 32;
    x *= 0xD6E8FEB86659FD93u;
    return x ^ x >> 32;
}

static inline struct key request_key(const struct connection *one)
{
    struct key key = {one->client, one->virtual_address, one->client_port, one->virtual_port, one->protocol};
    return key;
}

/* What a reply carries: a translated one comes from the server, any other from the virtual address. */
static inline struct key reply_key(const struct lane *lane, const struct connection *one)
{
    const struct lane_server *server = &lane->servers[one->server];
    bool translated = (one->flags & 7) == lane->rules.masquerade || !lane->rules.routed_replies;
    uint16_t port = server->port ? server->port : one->virtual_port;
    struct key key = {translated ? server->address : one->virtual_address, one->client,
                      translated ? port : one->virtual_port, one->client_port, one->protocol};
    return key;
}

static inline bool same(struct key one, struct key other)
{
    return one.source == other.source && one.destination == other.destination && one.port == other.port &&
           one.to == other.to && one.protocol == other.protocol;
}

/* Take a connection's memory near: it may lie in two lines of the cache. */
static inline void approach(const struct lane *lane, uint32_t number)
{
    if (number == NONE)
        return;
    const char *one = (const char *)&lane->connections[number];
    __builtin_prefetch(one);
    __builtin_prefetch(one + sizeof(struct connection) - 1);
}

static inline bool may_reply(const struct lane *lane, uint32_t address)
{
    uint32_t place = mix32(address) % SOURCES;
    return lane->sources[place / 64] >> place % 64 & 1;
}

/* store.c */
uint32_t lane_find_request(const struct lane *lane, struct key key, uint64_t hashed);
uint32_t lane_find_reply(const struct lane *lane, struct key key, uint64_t hashed);
bool lane_has_room(struct lane *lane);
bool lane_expect(struct lane *lane, int64_t more);
uint32_t lane_add(struct lane *lane, const struct connection *made);
void lane_remove(struct lane *lane, uint32_t number);
void lane_unlink(struct lane *lane, uint32_t number, uint64_t request, uint64_t reply);
/* foreign.c */
bool lane_is_foreign(const struct lane *lane, uint64_t hashed);
/* wheel.c */
void lane_start(struct lane *lane, uint32_t number, int64_t now, bool fresh);
void lane_queue(struct lane *lane, uint32_t number);
void lane_unqueue(struct lane *lane, uint32_t number);
/* loads.c */
void lane_bind(struct lane *lane, const struct connection *one);
void lane_unbind(struct lane *lane, const struct connection *one);
void lane_activity(struct lane *lane, uint32_t server, bool active);
/* picks.c */
uint32_t lane_pick(struct lane *lane, uint32_t service, int64_t *current);
void lane_rank(struct lane *lane, const struct lane_server *server);
/* tables.c */
uint32_t lane_find_service(const struct lane *lane, uint32_t address, uint16_t port, uint8_t protocol);
bool lane_is_own(const struct lane *lane, uint32_t address);
const struct lane_way *lane_way_to(const struct lane *lane, uint32_t address);

#endif
