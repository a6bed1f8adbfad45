/* A capture's packets: which side each was seen on, what the lane makes of those that came, and its flows. The rules are
 * those of ipvssim/doors/captures: sides.py, answers.py, flows.py. */
#include "capturing.h"
#include "packet.h"

#define SECOND 1000000
#define SEGMENT 48u /* bytes of a transport segment that tell packets apart */

enum role {
    CAME,      /* and is no request */
    REQUESTED, /* a request came */
    SERVED,    /* it left for a server */
    ANSWERED,  /* it left for a client */
    AGAIN,
    UNSURE, /* others tell */
};

/* A packet as it was seen. */
struct seen {
    const struct capture_row *row;
    const uint8_t *frame;
    struct found found;
    uint32_t size;         /* the padding behind it included */
    uint32_t flow;         /* that it left for, or answers */
    bool server;           /* it left, and its destination is a server's place */
    uint8_t print_size, print[CAPTURE_PRINT];
};

/* What a request and its copy have in common: as sides.py writes it. */
static void take_print(struct seen *seen)
{
    const uint8_t *data = seen->found.packet.data, *segment = data + 20;
    uint32_t size = seen->size - 20 < SEGMENT ? seen->size - 20 : SEGMENT, check = data[9] == TCP ? 16 : 6;
    uint8_t *to = seen->print;
    *to++ = data[9];
    *to++ = 4;
    memcpy(to, data + 12, 4);
    memcpy(to + 4, data + 2, 4);
    memset(to + 8, 0, 4);
    memcpy(to + 12, segment, 2);
    memcpy(to + 14, segment + 4, check - 4);
    memcpy(to + 10 + check, segment + check + 2, size - check - 2);
    seen->print_size = (uint8_t)(2 + 8 + size);
}

static bool is_copy(const struct capture_first *first, const struct seen *seen, bool other_way)
{
    uint32_t hops = seen->found.packet.hops;
    if (other_way || hops + 1 == first->hops)
        return true;
    bool other = seen->row->target && (!first->has_target || memcmp(seen->frame, first->target, 6) != 0);
    return hops == first->hops && other;
}

static enum role request(const struct capture *capture, struct seen *seen)
{
    const struct packet *packet = &seen->found.packet;
    const struct capture_row *row = seen->row;
    struct capture_first first;
    take_print(seen);
    bool known = capture_recall(capture, seen->print, seen->print_size, &first);
    if (known && (row->when - first.when > SECOND || first.when - row->when > SECOND))
        known = false;
    seen->flow = known ? first.flow : NONE;
    if (seen->flow == NONE)
        seen->flow = client_flow(capture, packet->key.protocol, packet->key.source, packet->key.port);
    if (row->direction == CAPTURE_OUT)
        return capture->counts.any_request ? SERVED : REQUESTED;
    if (!known)
        return REQUESTED;
    bool other_way = row->interface && first.interface && row->interface != first.interface;
    if (row->direction == CAPTURE_IN)
        return other_way ? AGAIN : REQUESTED;
    return is_copy(&first, seen, other_way) ? SERVED : REQUESTED;
}

static enum role role_of(const struct capture *capture, struct seen *seen)
{
    struct key key = seen->found.packet.key;
    if (is_known(capture, CAPTURE_TUNNEL, key.destination))
        return UNSURE;
    if (is_known(capture, CAPTURE_VIRTUAL, key.destination))
        return request(capture, seen);
    uint32_t answered = client_flow(capture, key.protocol, key.destination, key.to);
    const struct capture_flow *flow = answered != NONE ? &capture->flows[answered] : NULL;
    bool from_virtual = flow && flow->answers && flow->virtual_address == key.source && flow->virtual_port == key.port;
    bool translated = is_known(capture, CAPTURE_TRANSLATED, key.source);
    seen->flow = answered;
    if (is_known(capture, CAPTURE_VIRTUAL, key.source) || (!translated && from_virtual))
        return from_virtual && flow->director == CAPTURE_UNKNOWN ? UNSURE : ANSWERED;
    if (is_known(capture, CAPTURE_TRANSLATED, key.destination)) {
        uint32_t asked = client_flow(capture, key.protocol, key.source, key.port);
        if (asked != NONE) {
            seen->flow = asked;
            seen->server = true;
            return SERVED;
        }
    }
    bool own = !translated && seen->row->source && is_known(capture, CAPTURE_OWN_MAC, mac_at(seen->frame + seen->row->source));
    if (own || seen->row->direction == CAPTURE_OUT || is_known(capture, CAPTURE_OWN_ADDRESS, key.destination))
        return UNSURE;
    return CAME;
}

static void chose(struct capture_flow *flow, uint8_t director, uint64_t place)
{
    if (flow->director == CAPTURE_UNKNOWN) {
        flow->director = director;
        flow->place = place;
    }
}

/* It left for a server: which one, says the captured director. */
static enum lane_stop served(struct capture *capture, const struct seen *seen)
{
    const struct capture_row *row = seen->row;
    struct key key = seen->found.packet.key;
    if (row->source && !is_known(capture, CAPTURE_OWN_MAC, mac_at(seen->frame + row->source)))
        return LANE_LEFT;
    capture->counts.left_server++;
    if (seen->flow == NONE)
        return LANE_DONE;
    if (seen->server)
        chose(&capture->flows[seen->flow], CAPTURE_PLACE, place_of(key.destination, key.to));
    else if (capture->counts.any_direct && row->target)
        chose(&capture->flows[seen->flow], CAPTURE_MAC, mac_at(seen->frame));
    return LANE_DONE;
}

static void saw(struct capture_flow *flow, uint8_t state)
{
    if (flow->last_state == state)
        return;
    flow->states |= (uint64_t)state << 4 * flow->state_count++;
    flow->last_state = state;
}

/* The flow of a connection that has none yet. */
static uint32_t begin(struct capture *capture, const struct lane_batch *batch, struct connection *one)
{
    uint32_t number = capture_open(capture);
    if (number == NONE)
        return NONE;
    struct capture_flow *flow = &capture->flows[number];
    flow->began = batch->now;
    flow->client = one->client;
    flow->virtual_address = one->virtual_address;
    flow->client_port = one->client_port;
    flow->virtual_port = one->virtual_port;
    flow->server = (int32_t)one->server;
    flow->protocol = one->protocol;
    flow->kind = batch->kinds[batch->at];
    flow->answers = 1;
    one->tag = number;
    return number;
}

/* A request was decided: its flow, and by what its copies will be known. Of room there is enough. */
static void account(struct capture *capture, struct lane *lane, const struct lane_batch *batch, const struct seen *seen)
{
    struct connection *one = &lane->connections[batch->connection];
    const struct capture_row *row = seen->row;
    struct key key = seen->found.packet.key;
    uint32_t number = one->tag != NONE ? one->tag : begin(capture, batch, one);
    struct capture_flow *flow = &capture->flows[number];
    flow->in_packets++;
    flow->in_bytes += seen->found.packet.length;
    saw(flow, one->state);
    if (row->target && is_known(capture, CAPTURE_SERVER_MAC, mac_at(seen->frame)))
        chose(flow, CAPTURE_MAC, mac_at(seen->frame));
    if (client_flow(capture, key.protocol, key.source, key.port) != number) {
        (void)capture_note(capture, client_key(key.protocol, key.source, key.port), number);
        (void)capture_note(capture, known_key(CAPTURE_ADDRESS, key.source), 0);
    }
    struct capture_first first = {.when = row->when, .interface = row->interface, .flow = number,
                                  .has_target = row->target, .hops = seen->found.packet.hops};
    if (row->target)
        memcpy(first.target, seen->frame, 6);
    capture_remember(capture, seen->print, seen->print_size, &first);
}

/* Whether the flow of a known connection can take another state. */
static bool is_full(const struct capture *capture, const struct lane *lane, uint32_t number)
{
    uint32_t tag = number != NONE ? lane->connections[number].tag : NONE;
    return tag != NONE && capture->flows[tag].state_count == CAPTURE_STATES;
}

static bool has_room(struct capture *capture)
{
    if (capture->flow_count == capture->flow_room) {
        if (capture_open(capture) == NONE)
            return false;
        capture->flow_count--;
    }
    return capture_has_room(&capture->clients);
}

static enum lane_stop requested(struct capture *capture, struct lane *lane, struct lane_batch *batch, const struct seen *seen)
{
    if (seen->found.reply != NONE || is_full(capture, lane, seen->found.request))
        return LANE_LEFT;
    if (!has_room(capture))
        return LANE_FULL;
    enum lane_stop stop = lane_settle(lane, batch, &seen->found);
    if (stop != LANE_DONE)
        return stop;
    if (seen->row->direction != CAPTURE_OUT)
        capture->counts.any_request = 1;
    account(capture, lane, batch, seen);
    return LANE_DONE;
}

static enum lane_stop answered(struct capture *capture, struct lane *lane, struct lane_batch *batch, const struct seen *seen)
{
    struct key key = seen->found.packet.key;
    uint32_t number = seen->found.reply;
    if (seen->found.request != NONE || number == NONE || is_full(capture, lane, number))
        return LANE_LEFT;
    if (is_known(capture, CAPTURE_DIRECT, key.source))
        return LANE_LEFT;
    enum lane_stop stop = lane_settle(lane, batch, &seen->found);
    if (stop != LANE_DONE)
        return stop;
    if (seen->flow != NONE && is_known(capture, CAPTURE_TRANSLATED, key.source))
        chose(&capture->flows[seen->flow], CAPTURE_PLACE, place_of(key.source, key.port));
    const struct connection *one = &lane->connections[number];
    if (one->tag != NONE) {
        struct capture_flow *flow = &capture->flows[one->tag];
        flow->back_packets++;
        flow->back_bytes += seen->found.packet.length;
        saw(flow, one->state);
    }
    return LANE_DONE;
}

static enum lane_stop came(struct capture *capture, struct lane *lane, struct lane_batch *batch, const struct seen *seen,
                           bool is_request)
{
    struct capture_counts *counts = &capture->counts;
    const uint8_t *data = seen->found.packet.data;
    if (seen->size > counts->longest || (data[10] == 0 && data[11] == 0))
        return LANE_LEFT;
    enum lane_stop stop = (is_request ? requested : answered)(capture, lane, batch, seen);
    if (stop != LANE_DONE)
        return stop;
    uint8_t kind = batch->kinds[batch->at];
    if (!counts->kinds[kind]++)
        counts->firsts[kind] = batch->at;
    counts->merged += seen->size > counts->mtu;
    return LANE_DONE;
}

static enum lane_stop play(struct capture *capture, struct lane *lane, struct lane_batch *batch,
                           const struct capture_block *block)
{
    const struct capture_row *row = &block->rows[batch->at];
    struct seen seen = {.row = row, .frame = block->raw + row->start, .flow = NONE};
    if (!lane_look(lane, batch, &seen.found))
        return LANE_LEFT;
    seen.size = (uint32_t)(batch->offsets[batch->at + 1] - batch->offsets[batch->at]);
    enum role role = role_of(capture, &seen);
    enum lane_stop stop = LANE_DONE;
    if (role == UNSURE)
        return LANE_LEFT;
    if (role == SERVED)
        stop = served(capture, &seen);
    else if (role == ANSWERED)
        capture->counts.left_client++;
    else if (role == AGAIN)
        capture->counts.again++;
    else
        stop = came(capture, lane, batch, &seen, role == REQUESTED);
    if (stop == LANE_DONE)
        capture->counts.cut += row->cut;
    return stop;
}

int32_t capture_run(struct capture *capture, struct lane *lane, struct lane_batch *batch, const struct capture_block *block)
{
    if (!lane_expect(lane, batch->count - batch->at))
        return LANE_FULL;
    for (; batch->at < batch->count; batch->at++) {
        enum lane_stop stop = lane_at_its_time(lane, batch);
        if (stop == LANE_DONE)
            stop = play(capture, lane, batch, block);
        if (stop != LANE_DONE)
            return (int32_t)stop;
        batch->left[batch->at + 1] = batch->leaving;
    }
    return LANE_DONE;
}
