/* Packets of flows, of which nobody sees the bytes: each goes the way of every packet of a batch, and where its flow went is
 * noted. */
#include "packet.h"

#define AHEAD 8 /* packets */

/* Let time pass to a packet; whether nothing else happens before it. */
static bool passes(struct lane *lane, struct lane_flows *flows, int64_t time)
{
    int64_t jiffy = jiffy_of_time(lane, time);
    if (time <= flows->now)
        return true;
    if (jiffy >= flows->event)
        return false;
    if (lane->count && lane->next >= 0 && jiffy >= lane->next)
        lane_expire(lane, jiffy);
    flows->now = time;
    return true;
}

static const struct lane_shape *shape_of(const struct lane_flows *flows, int64_t at)
{
    int32_t flow = flows->flows[at];
    uint32_t stream = flows->streams != NULL ? flows->streams[flow] : 0;
    return &flows->shapes[stream * LANE_PARTS + flows->kinds[at]];
}

static struct key key_of(const struct lane_flows *flows, const struct lane_shape *shape, int32_t flow)
{
    struct key key = {flows->clients[flow], shape->address, flows->ports[flow], shape->port, shape->protocol};
    if (shape->part == LANE_ANSWER) {
        int32_t server = flows->placed[flow];
        struct key answer = {flows->addresses[server], key.source, flows->server_ports[server], key.port, key.protocol};
        return answer;
    }
    return key;
}

/* A request was decided: where its flow is now. */
static void note(struct lane_flows *flows, int32_t flow, bool first, uint8_t kind, int32_t server)
{
    if (kind == LANE_OPENED) {
        if (flows->fresh[flow])
            flows->reopened++;
        flows->fresh[flow] = 1;
    } else if (first) {
        flows->reused++;
    } else {
        return;
    }
    int32_t number = flows->numbers[server];
    flows->placed[flow] = number;
    if (flows->dead[number])
        flows->gone[flow] = first ? flows->unanswered : flows->lost;
}

/* Take near what a later packet will ask for: first the row that it is found in, then what stands there. */
static void look_ahead(const struct lane *lane, const struct lane_flows *flows, uint64_t *rows)
{
    int64_t far = flows->at + 2 * AHEAD, near = flows->at + AHEAD;
    if (far < flows->stop) {
        const struct lane_shape *shape = shape_of(flows, far);
        if (shape->part == LANE_FIRST || shape->part == LANE_FURTHER)
            rows[far % (2 * AHEAD)] = hash(key_of(flows, shape, flows->flows[far])) & (lane->rows - 1);
        __builtin_prefetch(&lane->requests[rows[far % (2 * AHEAD)] & (lane->rows - 1)]);
    }
    if (near < flows->stop)
        approach(lane, lane->requests[rows[near % (2 * AHEAD)] & (lane->rows - 1)]);
}

static enum lane_stop pass(struct lane *lane, struct lane_flows *flows)
{
    const struct lane_shape *shape = shape_of(flows, flows->at);
    int32_t flow = flows->flows[flows->at], server = -1;
    if (flows->gone[flow])
        return LANE_DONE;
    if (!passes(lane, flows, flows->times[flows->at]))
        return LANE_WAIT;
    if (shape->part == LANE_UNKNOWN)
        return LANE_LEFT;
    bool answers = shape->part == LANE_ANSWER;
    if (answers && (flows->placed[flow] < 0 || flows->dead[flows->placed[flow]]))
        return LANE_DONE;
    struct packet packet = {
        .length = shape->length, .key = key_of(flows, shape, flow), .hops = shape->hops, .flags = shape->flags,
    };
    uint8_t kind = LANE_LEAVES;
    struct lane_batch batch = {.count = 1, .now = flows->now, .kinds = &kind, .servers = &server};
    enum lane_stop stop = lane_decide(lane, &batch, &packet);
    if (stop == LANE_DONE && !answers)
        note(flows, flow, shape->part == LANE_FIRST, kind, server);
    return stop;
}

int32_t lane_pass(struct lane *lane, struct lane_flows *flows)
{
    uint64_t rows[2 * AHEAD] = {0};
    for (; flows->at < flows->stop; flows->at++) {
        look_ahead(lane, flows, rows);
        enum lane_stop stop = pass(lane, flows);
        if (stop != LANE_DONE)
            return (int32_t)stop;
    }
    return LANE_DONE;
}
