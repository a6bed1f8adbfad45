/* What a connection does to its server: counts, thresholds, and that the change is to be told. */
#include "internal.h"

static void change(struct lane *lane, struct lane_server *server)
{
    if (!server->dirty) {
        server->dirty = 1;
        lane->changed[lane->changed_count++] = (uint32_t)(server - lane->servers);
    }
    lane_rank(lane, server);
}

static void mark(struct lane_server *server, uint8_t overloaded)
{
    server->overloaded = overloaded;
    server->marked = 1;
}

void lane_bind(struct lane *lane, const struct connection *one)
{
    struct lane_server *server = &lane->servers[one->server];
    server->conns++;
    if (one->flags & lane->rules.inactive)
        server->inactive++;
    else
        server->active++;
    bool full = lane->rules.recomputes ? server->conns == server->upper : server->conns >= server->upper;
    if (server->upper && !server->overloaded && full)
        mark(server, 1);
    change(lane, server);
}

static bool has_room(const struct lane *lane, const struct lane_server *server)
{
    if (lane->rules.recomputes) {
        uint32_t least = server->lower ? server->lower : server->upper - server->upper / 4;
        return server->conns == least - 1 && server->conns < server->upper;
    }
    if (server->lower)
        return server->conns < server->lower;
    return !server->upper || (uint64_t)server->conns * 4 < (uint64_t)server->upper * 3;
}

void lane_unbind(struct lane *lane, const struct connection *one)
{
    struct lane_server *server = &lane->servers[one->server];
    server->conns--;
    if (one->flags & lane->rules.inactive)
        server->inactive--;
    else
        server->active--;
    if (server->overloaded && has_room(lane, server))
        mark(server, 0);
    change(lane, server);
}

void lane_activity(struct lane *lane, uint32_t number, bool active)
{
    struct lane_server *server = &lane->servers[number];
    server->active += active ? 1u : 0xFFFFFFFFu;
    server->inactive -= active ? 1u : 0xFFFFFFFFu;
    change(lane, server);
}
