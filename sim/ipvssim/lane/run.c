/* A batch: packets by connection, the few steps that a plain one takes. What is not plain is left before anything is done. */
#include "packet.h"

#define SYN 0x02u
#define RST 0x04u
#define FTP_DATA 20
#define INPUT 0
#define OUTPUT 1
#define AHEAD 8 /* packets */
#define INPUT_ONLY 2

static void count_in(struct lane_counts *counts, uint32_t size)
{
    counts->inpkts++;
    counts->inbytes += size;
}

static void count_out(struct lane_counts *counts, uint32_t size)
{
    counts->outpkts++;
    counts->outbytes += size;
}

/* Counts go to all three; the server is told of even where nothing else of it changes. */
static void counted(struct lane *lane, struct lane_server *server)
{
    if (!server->dirty) {
        server->dirty = 1;
        lane->changed[lane->changed_count++] = (uint32_t)(server - lane->servers);
    }
}

static void touched(struct lane *lane, uint32_t number)
{
    struct lane_service *service = &lane->services[number];
    if (!service->dirty) {
        service->dirty = 1;
        lane->moved[lane->moved_count++] = number;
    }
}

/* Room for what a packet makes: it leaves by `way`. */
static uint8_t *leave(struct lane_batch *batch, const struct lane_way *way, uint32_t length)
{
    uint8_t *out = batch->out + batch->used;
    memcpy(out, way->header, way->header_size);
    batch->used += way->header_size + length;
    batch->ends[batch->leaving] = batch->used;
    batch->devices[batch->leaving++] = way->device;
    return out + way->header_size;
}

static bool has_room(const struct lane_batch *batch, const struct lane_way *way, uint32_t length)
{
    return batch->out == NULL || (batch->leaving < batch->leaving_room && batch->room - batch->used >= (int64_t)way->header_size + length);
}

static void follow(struct lane *lane, struct connection *one, const struct packet *packet, int direction)
{
    const struct lane_rules *rules = &lane->rules;
    if (one->protocol == UDP) {
        one->timeout = rules->udp_timeout;
        return;
    }
    if (one->flags & rules->no_output)
        direction = INPUT_ONLY;
    uint8_t state = rules->tcp[direction][rules->event[packet->flags]][one->state];
    if (state != one->state) {
        one->state = state;
        bool active = rules->active[state], was_inactive = (one->flags & rules->inactive) != 0;
        if (active == was_inactive) {
            one->flags ^= rules->inactive;
            lane_activity(lane, one->server, active);
        }
    }
    one->timeout = rules->tcp_timeout[state];
}

/* What a request makes leaves to its server. */
static void send(const struct lane *lane, struct lane_batch *batch, const struct connection *one, const struct packet *packet)
{
    const struct lane_server *server = &lane->servers[one->server];
    uint8_t *out = leave(batch, &server->way, packet->length);
    if ((one->flags & 7) == lane->rules.masquerade) {
        uint16_t port = server->port ? server->port : one->virtual_port;
        struct translation change = {server->address, packet->key.destination, port, packet->key.to};
        lane_request(out, packet, &change);
    } else {
        lane_routed(out, packet);
    }
}

/* A request of a connection of the lane's, whose server can be reached and whose batch has room. */
static void serve(struct lane *lane, struct lane_batch *batch, uint32_t number, const struct packet *packet,
                  bool fresh)
{
    struct connection *one = &lane->connections[number];
    struct lane_server *server = &lane->servers[one->server];
    count_in(&server->counts, packet->length);
    count_in(&lane->services[server->service].counts, packet->length);
    count_in(&lane->total, packet->length);
    counted(lane, server);
    touched(lane, server->service);
    follow(lane, one, packet, INPUT);
    if (batch->out != NULL)
        send(lane, batch, one, packet);
    one->in_packets++;
    lane_start(lane, number, batch->now, fresh);
    batch->servers[batch->at] = (int32_t)one->server;
    batch->connection = number;
}

static enum lane_stop refused(const struct lane_batch *batch, const struct lane_server *server, const struct packet *packet)
{
    if (packet->hops <= 1 || packet->length > server->way.mtu)
        return LANE_LEFT;
    return has_room(batch, &server->way, packet->length) ? LANE_DONE : LANE_FULL;
}

/* Whether a SYN of this connection opens another in its place. */
static bool makes_way(const struct lane_rules *rules, const struct connection *one)
{
    if (!rules->reuse)
        return false;
    if (one->state == rules->time_wait || one->state == rules->closed)
        return true;
    return rules->reuse & 2 && one->state == rules->fin_wait && one->flags & rules->no_output;
}

static enum lane_stop open(struct lane *lane, struct lane_batch *batch, const struct packet *packet, uint32_t old)
{
    const struct lane_rules *rules = &lane->rules;
    struct key key = packet->key;
    uint32_t number = lane_find_service(lane, key.destination, key.to, key.protocol);
    if (number == NONE || key.port == FTP_DATA || lane_is_own(lane, key.source))
        return LANE_LEFT;
    struct lane_service *service = &lane->services[number];
    if (!service->local || (key.protocol == UDP ? service->one_packet : !(packet->flags & SYN) || packet->flags & RST))
        return LANE_LEFT;
    int64_t current;
    uint32_t place = lane_pick(lane, number, &current);
    if (place == NONE)
        return LANE_LEFT;
    uint32_t picked = lane->lists[number].servers[place];
    const struct lane_server *server = &lane->servers[picked];
    if (!server->usable || (key.protocol == UDP && server->one_packet))
        return LANE_LEFT;
    if (server->method != rules->masquerade && server->method != rules->direct)
        return LANE_LEFT;
    enum lane_stop stop = refused(batch, server, packet);
    if (stop != LANE_DONE)
        return stop;
    struct connection made = {
        .client = key.source, .virtual_address = key.destination, .server = picked,
        .flags = server->method | rules->flags_of_new | rules->inactive, .client_port = key.port,
        .virtual_port = key.to, .protocol = key.protocol, .tag = NONE,
    };
    if (server->method != rules->masquerade)
        made.flags |= rules->no_output;
    if (lane_is_foreign(lane, hash(reply_key(lane, &made))))
        return LANE_LEFT;
    if (!lane_has_room(lane))
        return LANE_FULL;
    if (service->opens == LANE_RR || service->opens == LANE_WRR)
        service->last = place, service->current = current;
    uint32_t opened = lane_add(lane, &made);
    lane_bind(lane, &made);
    lane->servers[picked].counts.conns++;
    service->counts.conns++;
    lane->total.conns++;
    serve(lane, batch, opened, packet, true);
    if (old != NONE) {
        lane_unqueue(lane, old);
        lane_unbind(lane, &lane->connections[old]);
        lane_remove(lane, old);
    }
    batch->kinds[batch->at] = LANE_OPENED;
    return LANE_DONE;
}

static enum lane_stop request(struct lane *lane, struct lane_batch *batch, const struct packet *packet, uint32_t number)
{
    const struct connection *one = &lane->connections[number];
    const struct lane_server *server = &lane->servers[one->server];
    if (!server->usable || !lane->services[server->service].local || !packet->key.port || one->in_packets == NONE)
        return LANE_LEFT;
    if (packet->flags & SYN && packet->key.protocol == TCP) {
        if (lane_is_own(lane, packet->key.source))
            return LANE_LEFT;
        if (makes_way(&lane->rules, one))
            return open(lane, batch, packet, number);
    }
    enum lane_stop stop = refused(batch, server, packet);
    if (stop != LANE_DONE)
        return stop;
    serve(lane, batch, number, packet, false);
    batch->kinds[batch->at] = LANE_KNOWN;
    return LANE_DONE;
}

static enum lane_stop reply(struct lane *lane, struct lane_batch *batch, const struct packet *packet, uint32_t number)
{
    struct connection *one = &lane->connections[number];
    struct lane_server *server = &lane->servers[one->server];
    if (!server->usable || (one->flags & 7) != lane->rules.masquerade || !lane->rules.forwards)
        return LANE_LEFT;
    if (!lane->services[server->service].local) /* a group's address, which no way begins at */
        return LANE_LEFT;
    const struct lane_way *way = lane_way_to(lane, packet->key.destination);
    if (way == NULL || lane_is_own(lane, packet->key.source) || packet->hops <= 1 || packet->length > way->mtu)
        return LANE_LEFT;
    if (!has_room(batch, way, packet->length))
        return LANE_FULL;
    if (batch->out != NULL) {
        struct translation change = {one->virtual_address, packet->key.source, one->virtual_port, packet->key.port};
        lane_reply(leave(batch, way, packet->length), packet, &change);
    }
    count_out(&server->counts, packet->length);
    count_out(&lane->services[server->service].counts, packet->length);
    count_out(&lane->total, packet->length);
    counted(lane, server);
    touched(lane, server->service);
    follow(lane, one, packet, OUTPUT);
    lane_start(lane, number, batch->now, false);
    batch->servers[batch->at] = (int32_t)one->server;
    batch->connection = number;
    batch->kinds[batch->at] = LANE_REPLY;
    return LANE_DONE;
}

/* Take near what a later packet of the batch will ask for: first the row that it is found in, then what stands there. */
static void look_ahead(const struct lane *lane, const struct lane_batch *batch, uint64_t *rows)
{
    int64_t far = batch->at + 2 * AHEAD, near = batch->at + AHEAD, link = batch->framed ? 14 : 0;
    if (far < batch->count && batch->offsets[far] + link + 24 <= batch->offsets[far + 1]) {
        const uint8_t *data = batch->data + batch->offsets[far] + link;
        struct key key = {load32(data + 12), load32(data + 16), load16(data + 20), load16(data + 22), data[9]};
        rows[far % (2 * AHEAD)] = hash(key) & (lane->rows - 1);
        __builtin_prefetch(&lane->requests[rows[far % (2 * AHEAD)]]);
    }
    if (near < batch->count)
        approach(lane, lane->requests[rows[near % (2 * AHEAD)] & (lane->rows - 1)]);
}

static void find(const struct lane *lane, struct found *found)
{
    struct key key = found->packet.key;
    found->hashed = hash(key);
    found->request = lane_find_request(lane, key, found->hashed);
    found->reply = may_reply(lane, key.source) ? lane_find_reply(lane, key, found->hashed) : NONE;
}

bool lane_look(const struct lane *lane, const struct lane_batch *batch, struct found *found)
{
    const int64_t *offsets = batch->offsets + batch->at;
    struct packet *packet = &found->packet;
    if (!lane_parse(batch, batch->data + offsets[0], offsets[1] - offsets[0], packet))
        return false;
    find(lane, found);
    return true;
}

enum lane_stop lane_settle(struct lane *lane, struct lane_batch *batch, const struct found *found)
{
    if (lane_is_foreign(lane, found->hashed))
        return LANE_LEFT;
    if (found->request != NONE)
        return found->reply != NONE ? LANE_LEFT : request(lane, batch, &found->packet, found->request);
    if (found->reply != NONE)
        return reply(lane, batch, &found->packet, found->reply);
    return open(lane, batch, &found->packet, NONE);
}

enum lane_stop lane_decide(struct lane *lane, struct lane_batch *batch, const struct packet *packet)
{
    struct found found = {.packet = *packet};
    find(lane, &found);
    return lane_settle(lane, batch, &found);
}

int32_t lane_run(struct lane *lane, struct lane_batch *batch)
{
    uint64_t rows[2 * AHEAD] = {0};
    if (!lane_expect(lane, batch->count - batch->at))
        return LANE_FULL;
    for (; batch->at < batch->count; batch->at++) {
        look_ahead(lane, batch, rows);
        struct found found;
        enum lane_stop stop = lane_at_its_time(lane, batch);
        if (stop == LANE_DONE)
            stop = lane_look(lane, batch, &found) ? lane_settle(lane, batch, &found) : LANE_LEFT;
        if (stop != LANE_DONE)
            return (int32_t)stop;
        batch->left[batch->at + 1] = batch->leaving;
    }
    return LANE_DONE;
}
