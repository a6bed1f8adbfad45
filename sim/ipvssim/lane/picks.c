/* Which server a new connection gets: rr, wrr, lc, wlc, sed, nq, as ipvssim/schedulers has them. Places are the list's order.
 *
 * The least of the last four stands at the root of a tree whose nodes name the better of their children; of equals the left one,
 * which is first in the list. What they compare stands in a column of its own, so that a service of a thousand servers stays in
 * the fastest memory. Loads are below 2^31 here (else the service is odd), so products fit 64 bits.
 */
#include "internal.h"

#define MOST 0x7FFFFFFFu

static bool fit(const struct lane *lane, const struct list *list, uint32_t place)
{
    const struct lane_server *server = &lane->servers[list->servers[place]];
    return server->weight > 0 && !server->overloaded;
}

/* What a service compares a server by. One that gets nothing has a load and no weight: it is behind all others. */
static struct rank rank(const struct lane *lane, struct lane_service *service, const struct lane_server *server)
{
    uint64_t overhead = (uint64_t)server->active * lane->rules.active_cost + server->inactive;
    struct rank none = {1, 0}, one = {(uint32_t)overhead, (uint32_t)server->weight};
    if (overhead > MOST)
        service->odd = 1;
    if (server->weight <= 0 || server->overloaded)
        return none;
    if (service->opens == LANE_SED)
        one.load = server->active + 1;
    else if (service->opens == LANE_NQ)
        one.load = server->active ? server->active + 1 : 0;
    else if (service->opens == LANE_LC)
        one.weight = 1;
    return one;
}

/* Without a branch: which one it is can't be foreseen. */
static uint32_t better(const struct rank *ranks, const uint32_t *pair)
{
    struct rank left = ranks[pair[0]], right = ranks[pair[1]];
    return pair[(uint64_t)right.load * left.weight < (uint64_t)left.load * right.weight];
}

static void rise(struct list *list, uint32_t place)
{
    for (uint32_t node = (list->width + place) / 2; node; node /= 2) {
        uint32_t before = list->tree[node], now = better(list->ranks, &list->tree[2 * node]);
        list->tree[node] = now;
        if (now == before && now != place)
            return; /* the same one as before, with the same load: so it is above, too */
    }
}

static void grow(const struct lane *lane, struct lane_service *service, struct list *list)
{
    for (uint32_t place = 0; place < list->width; place++) {
        struct rank none = {1, 0};
        list->ranks[place] = place < list->count ? rank(lane, service, &lane->servers[list->servers[place]]) : none;
        list->tree[list->width + place] = place;
    }
    for (uint32_t node = list->width - 1; node; node--)
        list->tree[node] = better(list->ranks, &list->tree[2 * node]);
    service->ranked = 1;
    service->risen = 0;
}

/* The counts or the mark of a server changed. */
void lane_rank(struct lane *lane, const struct lane_server *server)
{
    if (server->service == NONE)
        return;
    struct lane_service *service = &lane->services[server->service];
    struct list *list = &lane->lists[server->service];
    if (!service->ranked)
        return;
    if (++service->risen > list->width / 8) {
        service->ranked = 0; /* so many changes and no question: when one comes the tree is made anew */
        return;
    }
    list->ranks[server->place] = rank(lane, service, server);
    rise(list, server->place);
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
    case LANE_SED:
    case LANE_NQ:
        if (!service->ranked)
            grow(lane, service, list);
        service->risen = 0;
        return service->odd || !list->ranks[list->tree[1]].weight ? NONE : list->tree[1];
    default:
        return NONE;
    }
}
