/* The connections: found by the keys of requests and of replies, handed in and out. Of those with one reply key the newest
 * stands first in its chain, and is found. */
#include <stdlib.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

#include "internal.h"

#define FIRST_ROWS 1024u
#define AHEAD 16u
#define LARGE_PAGE ((size_t)1 << 21)

struct lane *lane_new(void)
{
    struct lane *lane = calloc(1, sizeof *lane);
    if (lane == NULL)
        return NULL;
    lane->free = NONE;
    lane->next = -1;
    lane->rows = FIRST_ROWS;
    lane->requests = malloc(FIRST_ROWS * sizeof *lane->requests);
    lane->replies = malloc(FIRST_ROWS * sizeof *lane->replies);
    lane->buckets = malloc(WHEEL * sizeof *lane->buckets);
    lane->filled = calloc(WHEEL / 64, sizeof *lane->filled);
    if (!lane->requests || !lane->replies || !lane->buckets || !lane->filled) {
        lane_free(lane);
        return NULL;
    }
    memset(lane->requests, 0xFF, FIRST_ROWS * sizeof *lane->requests);
    memset(lane->replies, 0xFF, FIRST_ROWS * sizeof *lane->replies);
    memset(lane->buckets, 0xFF, WHEEL * sizeof *lane->buckets);
    return lane;
}

void lane_free(struct lane *lane)
{
    if (lane == NULL)
        return;
    for (uint32_t number = 0; number < lane->service_room; number++) {
        free(lane->lists[number].servers);
        free(lane->lists[number].ranks);
        free(lane->lists[number].tree);
    }
    free(lane->connections);
    free(lane->requests);
    free(lane->replies);
    free(lane->buckets);
    free(lane->filled);
    free(lane->services);
    free(lane->lists);
    free(lane->servers);
    free(lane->by_address);
    free(lane->changed);
    free(lane->moved);
    free(lane->foreign);
    free(lane->prefixes);
    free(lane->ways);
    free(lane->hosts);
    free(lane->own);
    free(lane);
}

int64_t lane_count(const struct lane *lane)
{
    return lane->count;
}

int64_t lane_memory(const struct lane *lane)
{
    int64_t wheel = (int64_t)(WHEEL * sizeof *lane->buckets + WHEEL / 8);
    int64_t index = 2 * (int64_t)lane->rows * (int64_t)sizeof *lane->requests;
    return (int64_t)lane->used * (int64_t)sizeof *lane->connections + index + wheel;
}

uint32_t lane_find_request(const struct lane *lane, struct key key, uint64_t hashed)
{
    uint32_t number = lane->requests[hashed & (lane->rows - 1)];
    while (number != NONE && !same(request_key(&lane->connections[number]), key))
        number = lane->connections[number].next_request;
    return number;
}

uint32_t lane_find_reply(const struct lane *lane, struct key key, uint64_t hashed)
{
    uint32_t number = lane->replies[hashed & (lane->rows - 1)];
    while (number != NONE && !same(reply_key(lane, &lane->connections[number]), key))
        number = lane->connections[number].next_reply;
    return number;
}

/* Memory for rows, in large pages where there are many: they are asked for in no order. */
static uint32_t *table(uint32_t rows)
{
    size_t size = rows * sizeof(uint32_t);
#ifdef MADV_HUGEPAGE
    void *memory;
    if (size >= 2 * LARGE_PAGE && posix_memalign(&memory, LARGE_PAGE, size) == 0) {
        (void)madvise(memory, size, MADV_HUGEPAGE); /* advice: who does not take it gives small ones */
        return memory;
    }
#endif
    return malloc(size);
}

/* Twice as many rows: each chain is split in two, in its order. */
static bool widen(struct lane *lane)
{
    uint32_t rows = lane->rows, wide = rows * 2;
    uint32_t *requests = table(wide), *replies = table(wide);
    if (!requests || !replies) {
        free(requests);
        free(replies);
        return false;
    }
    for (uint32_t row = 0; row < rows; row++) {
        uint32_t *ends[2] = {&requests[row], &requests[row + rows]};
        if (row + AHEAD < rows) {
            approach(lane, lane->requests[row + AHEAD]);
            approach(lane, lane->replies[row + AHEAD]);
        }
        for (uint32_t at = lane->requests[row], next; at != NONE; at = next) {
            struct connection *one = &lane->connections[at];
            uint32_t **end = &ends[(hash(request_key(one)) & rows) != 0];
            next = one->next_request;
            **end = at;
            *end = &one->next_request;
        }
        *ends[0] = *ends[1] = NONE;
        ends[0] = &replies[row];
        ends[1] = &replies[row + rows];
        for (uint32_t at = lane->replies[row], next; at != NONE; at = next) {
            struct connection *one = &lane->connections[at];
            uint32_t **end = &ends[(hash(reply_key(lane, one)) & rows) != 0];
            next = one->next_reply;
            **end = at;
            *end = &one->next_reply;
        }
        *ends[0] = *ends[1] = NONE;
    }
    free(lane->requests);
    free(lane->replies);
    lane->requests = requests;
    lane->replies = replies;
    lane->rows = wide;
    return true;
}

/* Have rows enough for so many more: at least two for each. */
bool lane_expect(struct lane *lane, int64_t more)
{
    while (lane->count + more > lane->rows / 2 && lane->rows < 1u << 30)
        if (!widen(lane))
            return false;
    return true;
}

/* Whether one more can be added; makes the room for it. */
bool lane_has_room(struct lane *lane)
{
    if (!lane_expect(lane, 1))
        return false;
    if (lane->free != NONE || lane->used < lane->capacity)
        return true;
    uint32_t capacity = lane->capacity ? lane->capacity * 2 : FIRST_ROWS;
    if (capacity > 1u << 30)
        return false;
    struct connection *more = realloc(lane->connections, capacity * sizeof *more);
    if (more == NULL)
        return false;
    lane->connections = more;
    lane->capacity = capacity;
    return true;
}

/* Add one, for which there is room. Its timer is not started. */
uint32_t lane_add(struct lane *lane, const struct connection *made)
{
    uint32_t number = lane->free;
    if (number != NONE)
        lane->free = lane->connections[number].next_request;
    else
        number = lane->used++;
    struct connection *one = &lane->connections[number];
    *one = *made;
    one->later = one->earlier = NONE;
    uint32_t *row = &lane->requests[hash(request_key(one)) & (lane->rows - 1)];
    one->next_request = *row;
    *row = number;
    row = &lane->replies[hash(reply_key(lane, one)) & (lane->rows - 1)];
    one->next_reply = *row;
    *row = number;
    lane->servers[one->server].held++;
    lane->count++;
    return number;
}

/* Take one out of the chains. Its timer was stopped. */
void lane_remove(struct lane *lane, uint32_t number)
{
    const struct connection *one = &lane->connections[number];
    lane_unlink(lane, number, hash(request_key(one)), hash(reply_key(lane, one)));
}

/* The same, its keys' hashes known. */
void lane_unlink(struct lane *lane, uint32_t number, uint64_t request, uint64_t reply)
{
    struct connection *one = &lane->connections[number];
    uint32_t *link = &lane->requests[request & (lane->rows - 1)];
    while (*link != number)
        link = &lane->connections[*link].next_request;
    *link = one->next_request;
    link = &lane->replies[reply & (lane->rows - 1)];
    while (*link != number)
        link = &lane->connections[*link].next_reply;
    *link = one->next_reply;
    lane->servers[one->server].held--;
    one->protocol = 0;
    one->next_request = lane->free;
    lane->free = number;
    lane->count--;
}

int32_t lane_keep(struct lane *lane, const struct lane_entry *entry)
{
    struct connection made = {
        .expires = entry->expires, .client = entry->client, .virtual_address = entry->virtual_address,
        .server = entry->server, .flags = entry->flags, .timeout = entry->timeout, .in_packets = entry->in_packets,
        .client_port = entry->client_port, .virtual_port = entry->virtual_port, .protocol = entry->protocol,
        .state = entry->state, .tag = entry->tag,
    };
    if (made.server >= lane->server_room || made.state >= LANE_STATES || (made.protocol != TCP && made.protocol != UDP))
        return 0;
    struct key key = request_key(&made), reply = reply_key(lane, &made);
    if (lane_find_request(lane, key, hash(key)) != NONE || lane_find_reply(lane, reply, hash(reply)) != NONE)
        return 0;
    if (!lane_has_room(lane))
        return LANE_NO_MEMORY;
    lane_queue(lane, lane_add(lane, &made));
    return 1;
}

static void give(struct lane *lane, uint32_t number, struct lane_entry *entry)
{
    const struct connection *one = &lane->connections[number];
    struct lane_entry given = {
        .expires = one->expires, .client = one->client, .virtual_address = one->virtual_address, .server = one->server,
        .flags = one->flags, .timeout = one->timeout, .in_packets = one->in_packets, .client_port = one->client_port,
        .virtual_port = one->virtual_port, .protocol = one->protocol, .state = one->state, .tag = one->tag,
    };
    *entry = given;
    lane_unqueue(lane, number);
    lane_remove(lane, number);
}

static int64_t give_replies(struct lane *lane, struct key key, struct lane_entry *entries, int64_t room)
{
    int64_t given = 0;
    uint64_t hashed = hash(key);
    uint32_t number;
    while (given < room && (number = lane_find_reply(lane, key, hashed)) != NONE)
        give(lane, number, &entries[given++]);
    return given;
}

int64_t lane_give(struct lane *lane, uint32_t source, uint32_t destination, uint16_t port, uint16_t to, uint8_t protocol,
                  struct lane_entry *entries, int64_t room)
{
    struct key key = {source, destination, port, to, protocol};
    uint32_t number = lane_find_request(lane, key, hash(key));
    int64_t given = 0;
    if (number != NONE)
        given = give_replies(lane, reply_key(lane, &lane->connections[number]), entries, room);
    return given + give_replies(lane, key, entries + given, room - given);
}

int64_t lane_drain(struct lane *lane, struct lane_entry *entries, int64_t room)
{
    int64_t given = 0;
    for (uint32_t row = 0; row < lane->rows && given < room && lane->count; row++)
        while (given < room && lane->replies[row] != NONE)
            give(lane, lane->replies[row], &entries[given++]);
    if (!lane->count)
        lane->used = 0, lane->free = NONE;
    return given;
}
