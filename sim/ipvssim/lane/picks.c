/* Which server a new connection gets: rr, wrr, lc, wlc, as ipvssim/schedulers has them. Places are the list's order.
 *
 * The least of lc and wlc stands at the root of a tree whose nodes name the better of their children; of equals the left one,
 * which is first in the list. Loads are below 2^31 here (else the service is odd), so products fit 64 bits.
 */
#include "internal.h"

static bool fit(const struct lane *lane, const struct list *list, uint32_t place)
{
    const struct lane_server *server = &lane->servers[list->servers[place]];
    return server->weight > 0 && !server->overloaded;
}

static uint64_t load(const struct lane *lane, const struct lane_server *server)
{
    return (uint64_t)server->active * lane->rules.active_cost + server->inactive;
}

static uint32_t better(const struct lane *lane, const struct lane_service *service, const struct list *list, uint32_t left,
                       uint32_t right)
{
    if (left == NONE || right == NONE)
        return left == NONE ? right : left;
    const struct lane_server *one = &lane->servers[list->servers[left]], *other = &lane->servers[list->servers[right]];
    uint64_t first = load(lane, one), second = load(lane, other);
    if (service->opens == LANE_WLC) {
        first *= (uint64_t)other->weight;
        second *= (uint64_t)one->weight;
    }
    return second < first ? right : left;
}

static void rise(const struct lane *lane, const struct lane_service *service, struct list *list, uint32_t place)
{
    uint32_t node = list->width + place;
    list->tree[node] = fit(lane, list, place) ? place : NONE;
    for (node /= 2; node; node /= 2)
        list->tree[node] = better(lane, service, list, list->tree[2 * node], list->tree[2 * node + 1]);
}

static void grow(const struct lane *lane, struct lane_service *service, struct list *list)
{
    for (uint32_t place = 0; place < list->width; place++)
        list->tree[list->width + place] = place < list->count && fit(lane, list, place) ? place : NONE;
    for (uint32_t node = list->width - 1; node; node--)
        list->tree[node] = better(lane, service, list, list->tree[2 * node], list->tree[2 * node + 1]);
    service->ranked = 1;
    service->risen = 0;
}

/* The counts or the mark of a server changed. */
void lane_rank(struct lane *lane, const struct lane_server *server)
{
    if (server->service == NONE)
        return;
    struct lane_service *service = &lane->services[server->service];
    if (load(lane, server) > 0x7FFFFFFF)
        service->odd = 1;
    struct list *list = &lane->lists[server->service];
    if (!service->ranked)
        return;
    if (++service->risen > list->width / 8)
        service->ranked = 0; /* so many changes and no question: when one comes the tree is made anew */
    else
        rise(lane, service, list, server->place);
}

static uint32_t next(const struct lane *lane, const struct list *list, uint32_t from, int64_t least)
{
    for (uint32_t place = from; place < list->count; place++)
        if (fit(lane, list, place) && lane->servers[list->servers[place]].weight >= least)
            return place;
    return NONE;
}

static uint32_t weighted(const struct lane *lane, const struct lane_service *service, const struct list *list,
                         int64_t *current)
{
    int64_t lower = service->current - service->step, heaviest = 0;
    uint32_t place = next(lane, list, service->last + 1, service->current);
    *current = service->current;
    if (place != NONE)
        return place;
    for (uint32_t at = 0; at < list->count; at++)
        if (fit(lane, list, at) && lane->servers[list->servers[at]].weight > heaviest)
            heaviest = lane->servers[list->servers[at]].weight;
    if (!heaviest)
        return NONE;
    int64_t findable = heaviest - service->step + 1;
    *current = lower > 0 && lower < findable ? lower : findable;
    return next(lane, list, 0, *current);
}

/* The place of the server that is picked, NONE where there is none, or where others must look; nothing is changed yet.
 * `current` is wrr's weight once it is. */
uint32_t lane_pick(struct lane *lane, uint32_t number, int64_t *current)
{
    struct lane_service *service = &lane->services[number];
    struct list *list = &lane->lists[number];
    uint32_t place;
    *current = service->current;
    if (!list->count)
        return NONE;
    switch (service->opens) {
    case LANE_RR:
        place = next(lane, list, service->last + 1, 1);
        return place != NONE ? place : next(lane, list, 0, 1);
    case LANE_WRR:
        return weighted(lane, service, list, current);
    case LANE_LC:
    case LANE_WLC:
        if (service->odd)
            return NONE;
        if (!service->ranked)
            grow(lane, service, list);
        service->risen = 0;
        return list->tree[1];
    default:
        return NONE;
    }
}
