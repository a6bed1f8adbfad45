/* Services, servers and routes, as they are handed in. */
#include <stdlib.h>

#include "internal.h"

void lane_rule(struct lane *lane, const struct lane_rules *rules)
{
    lane->rules = *rules;
}

/* --- services and servers --- */

static bool more(void *pointer, size_t size, uint32_t old, uint32_t new)
{
    void **memory = pointer;
    void *grown = realloc(*memory, (size_t)new * size);
    if (grown == NULL)
        return false;
    memset((char *)grown + (size_t)old * size, 0, (size_t)(new - old) * size);
    *memory = grown;
    return true;
}

int32_t lane_reserve(struct lane *lane, uint32_t services, uint32_t servers)
{
    if (services > 1u << 28 || servers > 1u << 28)
        return LANE_NO_MEMORY;
    if (services > lane->service_room) {
        uint32_t old = lane->service_room, rows = 16;
        while (rows < services * 2)
            rows *= 2;
        if (!more(&lane->services, sizeof *lane->services, old, services) ||
            !more(&lane->lists, sizeof *lane->lists, old, services) || !more(&lane->moved, sizeof *lane->moved, old, services))
            return LANE_NO_MEMORY;
        uint32_t *by_address = realloc(lane->by_address, rows * sizeof *by_address);
        if (by_address == NULL)
            return LANE_NO_MEMORY;
        lane->by_address = by_address;
        lane->address_rows = rows;
        lane->service_room = services;
        lane_forget(lane);
    }
    if (servers > lane->server_room) {
        uint32_t old = lane->server_room;
        if (!more(&lane->servers, sizeof *lane->servers, old, servers) ||
            !more(&lane->changed, sizeof *lane->changed, old, servers))
            return LANE_NO_MEMORY;
        lane->server_room = servers;
    }
    return 0;
}

struct lane_service *lane_services(struct lane *lane)
{
    return lane->services;
}

struct lane_server *lane_servers(struct lane *lane)
{
    return lane->servers;
}

struct lane_counts *lane_total(struct lane *lane)
{
    return &lane->total;
}

static uint32_t row_of(const struct lane *lane, uint32_t address, uint16_t port, uint8_t protocol)
{
    return mix32(address ^ mix32((uint32_t)port << 8 | protocol)) & (lane->address_rows - 1);
}

uint32_t lane_find_service(const struct lane *lane, uint32_t address, uint16_t port, uint8_t protocol)
{
    if (!lane->address_count)
        return NONE;
    uint32_t row = row_of(lane, address, port, protocol), number;
    while ((number = lane->by_address[row]) != NONE) {
        const struct lane_service *service = &lane->services[number];
        if (service->address == address && service->port == port && service->protocol == protocol)
            return number;
        row = (row + 1) & (lane->address_rows - 1);
    }
    return NONE;
}

uint32_t lane_service_at(const struct lane *lane, uint32_t address, uint16_t port, uint8_t protocol)
{
    return lane_find_service(lane, address, port, protocol);
}

void lane_forget(struct lane *lane)
{
    if (lane->address_rows)
        memset(lane->by_address, 0xFF, lane->address_rows * sizeof *lane->by_address);
    lane->address_count = 0;
}

static void may_come_from(struct lane *lane, uint32_t address)
{
    uint32_t place = mix32(address) % SOURCES;
    lane->sources[place / 64] |= (uint64_t)1 << place % 64;
}

int32_t lane_serve(struct lane *lane, uint32_t number, const uint32_t *servers, uint32_t count)
{
    struct list *list = &lane->lists[number];
    struct lane_service *service = &lane->services[number];
    if (count > list->width || !list->width) {
        uint32_t width = list->width ? list->width : 1;
        while (width < count)
            width *= 2;
        uint32_t *places = realloc(list->servers, width * sizeof *places);
        if (places == NULL)
            return LANE_NO_MEMORY;
        list->servers = places;
        uint32_t *tree = realloc(list->tree, 2 * (size_t)width * sizeof *tree);
        if (tree == NULL)
            return LANE_NO_MEMORY;
        list->tree = tree;
        struct rank *ranks = realloc(list->ranks, width * sizeof *ranks);
        if (ranks == NULL)
            return LANE_NO_MEMORY;
        list->ranks = ranks;
        list->width = width;
    }
    list->count = count;
    service->ranked = 0;
    for (uint32_t place = 0; place < count; place++) {
        list->servers[place] = servers[place];
        lane->servers[servers[place]].place = place;
        may_come_from(lane, lane->servers[servers[place]].address);
    }
    may_come_from(lane, service->address);
    if (lane_find_service(lane, service->address, service->port, service->protocol) == NONE) {
        uint32_t row = row_of(lane, service->address, service->port, service->protocol);
        while (lane->by_address[row] != NONE)
            row = (row + 1) & (lane->address_rows - 1);
        lane->by_address[row] = number;
        lane->address_count++;
    }
    return 0;
}

int64_t lane_changed(struct lane *lane, int64_t *rows, int64_t room)
{
    int64_t taken = 0;
    for (; taken < room && lane->changed_count; taken++, rows += LANE_ROW) {
        uint32_t number = lane->changed[--lane->changed_count];
        struct lane_server *server = &lane->servers[number];
        struct lane_counts *counts = &server->counts;
        const uint64_t row[LANE_ROW] = {
            number, counts->conns, counts->inpkts, counts->inbytes, counts->outpkts, counts->outbytes,
            server->conns, server->active, server->inactive, server->overloaded, server->marked,
            server->gone_active, server->gone_inactive,
        };
        memcpy(rows, row, sizeof row);
        server->opened += counts->conns;
        server->packets += counts->inpkts + counts->outpkts;
        memset(counts, 0, sizeof *counts);
        server->gone_active = server->gone_inactive = 0;
        server->dirty = server->marked = 0;
    }
    return taken;
}

void lane_sample(const struct lane *lane, const int32_t *numbers, int64_t count, int64_t *opened, int64_t *active,
                 int64_t *inactive, int64_t *packets)
{
    for (int64_t at = 0; at < count; at++) {
        const struct lane_server *server = &lane->servers[at];
        const struct lane_counts *counts = &server->counts;
        if (numbers[at] < 0)
            continue;
        opened[numbers[at]] += (int64_t)(server->opened + counts->conns);
        active[numbers[at]] += server->active;
        inactive[numbers[at]] += server->inactive;
        packets[numbers[at]] += (int64_t)(server->packets + counts->inpkts + counts->outpkts);
    }
}

int64_t lane_moved(struct lane *lane, uint32_t *services, int64_t room)
{
    int64_t taken = 0;
    while (taken < room && lane->moved_count) {
        uint32_t number = lane->moved[--lane->moved_count];
        lane->services[number].dirty = 0;
        services[taken++] = number;
    }
    return taken;
}

/* --- routes --- */

static void *copied(const void *from, size_t size)
{
    void *copy = malloc(size ? size : 1);
    if (copy != NULL && size)
        memcpy(copy, from, size);
    return copy;
}

int32_t lane_route(struct lane *lane, const struct lane_prefix *prefixes, int64_t count, const struct lane_way *ways,
                   int64_t way_count, const uint32_t *hosts, const uint8_t *own, int64_t host_count)
{
    uint32_t rows = 16;
    while (rows < host_count * 2)
        rows *= 2;
    struct lane_prefix *all = copied(prefixes, (size_t)count * sizeof *all);
    struct lane_way *each = copied(ways, (size_t)way_count * sizeof *each);
    uint32_t *by_address = calloc(rows, sizeof *by_address);
    uint8_t *whose = calloc(rows, sizeof *whose);
    if (!all || !each || !by_address || !whose) {
        free(all);
        free(each);
        free(by_address);
        free(whose);
        return LANE_NO_MEMORY;
    }
    for (int64_t at = 0; at < host_count; at++) {
        uint32_t row = mix32(hosts[at]) & (rows - 1);
        while (by_address[row] && by_address[row] != hosts[at])
            row = (row + 1) & (rows - 1);
        by_address[row] = hosts[at];
        whose[row] |= own[at];
    }
    free(lane->prefixes);
    free(lane->ways);
    free(lane->hosts);
    free(lane->own);
    lane->prefixes = all;
    lane->ways = each;
    lane->hosts = by_address;
    lane->own = whose;
    lane->host_rows = rows;
    lane->prefix_count = count;
    lane->local_count = 0;
    while (lane->local_count < count && all[lane->local_count].local)
        lane->local_count++;
    return 0;
}

/* The row of an address that stands alone; NONE where it does not. */
static uint32_t alone(const struct lane *lane, uint32_t address)
{
    if (!lane->host_rows)
        return NONE;
    uint32_t row = mix32(address) & (lane->host_rows - 1);
    while (lane->hosts[row] && lane->hosts[row] != address)
        row = (row + 1) & (lane->host_rows - 1);
    return lane->hosts[row] ? row : NONE;
}

/* Whether the local table has the address, or whether it is nobody's to send from or to: not a plain unicast one. */
bool lane_is_own(const struct lane *lane, uint32_t address)
{
    uint32_t first = address >> 24, row = alone(lane, address);
    if (first == 0 || first == 127 || first >> 4 == 14 || address == 0xFFFFFFFF)
        return true;
    if (row != NONE && lane->own[row])
        return true;
    for (int64_t at = 0; at < lane->local_count; at++)
        if ((address & lane->prefixes[at].mask) == lane->prefixes[at].value)
            return true;
    return false;
}

/* The way to an address of others; NULL where that is not plain. */
const struct lane_way *lane_way_to(const struct lane *lane, uint32_t address)
{
    if (lane_is_own(lane, address) || alone(lane, address) != NONE)
        return NULL;
    for (int64_t at = lane->local_count; at < lane->prefix_count; at++) {
        const struct lane_prefix *prefix = &lane->prefixes[at];
        if ((address & prefix->mask) == prefix->value)
            return prefix->plain ? &lane->ways[prefix->way] : NULL;
    }
    return NULL;
}
