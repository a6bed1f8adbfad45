/* The express lane under any bytes: they are read as orders (a batch, time, what others ask), and packets of few addresses.
 *
 * With clang, for as long as wanted:
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -Isim/ipvssim/lane tests/fuzz/fuzz_lane.c sim/ipvssim/lane/[!_]*.c
 * With gcc, see test_lane_fuzz.py: -DSTANDALONE has a main that makes inputs of its own: ./fuzz_lane INPUTS SEED
 *
 * Every buffer is a heap block of exactly its size, so that AddressSanitizer sees the first byte too far.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lane.h"

#define SERVICES 3
#define SERVERS 6
#define PACKETS 24
#define LONGEST 64
#define FLOWS 8

static void require(int truth, const char *law)
{
    if (truth)
        return;
    fprintf(stderr, "broken law: %s\n", law);
    abort();
}

struct input {
    const uint8_t *at, *end;
};

static uint8_t take(struct input *input)
{
    return input->at < input->end ? *input->at++ : 0;
}

static void begin(struct lane *lane, struct input *input)
{
    struct lane_rules rules = {.udp_timeout = 1 + take(input), .flags_of_new = 0x40, .inactive = 0x100, .no_output = 0x80,
                               .direct = 3, .time_wait = 5, .closed = 6, .fin_wait = 4, .reuse = take(input) & 3,
                               .recomputes = take(input) & 1, .routed_replies = 1, .forwards = 1, .active_cost = 256};
    for (int direction = 0; direction < 3; direction++)
        for (int event = 0; event < LANE_EVENTS; event++)
            for (int state = 0; state < LANE_STATES; state++)
                rules.tcp[direction][event][state] = (uint8_t)((direction + event * 3 + state) % LANE_STATES);
    for (int flags = 0; flags < 256; flags++)
        rules.event[flags] = (uint8_t)(flags % LANE_EVENTS);
    for (int state = 0; state < LANE_STATES; state++) {
        rules.active[state] = (uint8_t)(state & 1);
        rules.tcp_timeout[state] = (uint32_t)(1 + state * 9000);
    }
    lane_rule(lane, &rules);
    require(lane_reserve(lane, SERVICES, SERVERS) == 0, "there is memory");
    struct lane_prefix prefixes[] = {{0, 0, 0, 1, 0}};
    struct lane_way ways[] = {{.mtu = 60, .device = 0}};
    uint32_t hosts[] = {0x0A000001, 0x0B000000};
    uint8_t own[] = {1, 0};
    require(lane_route(lane, prefixes, 1, ways, 1, hosts, own, 2) == 0, "there is memory");
    lane_forget(lane);
    for (uint32_t number = 0; number < SERVERS; number++) {
        struct lane_server *server = &lane_servers(lane)[number];
        server->address = 0x0C000000 + number % 4;
        server->port = number & 1 ? 0 : 8080;
        server->usable = number != 5;
        server->method = number == 4 ? 3 : 0;
        server->weight = take(input) % 4;
        server->upper = take(input) % 5;
        server->service = number / 2;
        server->way = (struct lane_way){.mtu = 1500, .device = 1, .header_size = 14};
    }
    for (uint32_t number = 0; number < SERVICES; number++) {
        uint32_t listed[] = {2 * number, 2 * number + 1};
        struct lane_service *service = &lane_services(lane)[number];
        service->address = 0x0A000001;
        service->port = (uint16_t)(80 + number);
        service->protocol = number == 2 ? 17 : 6;
        service->local = 1;
        service->opens = (uint8_t)(LANE_RR + take(input) % 4);
        service->last = LANE_NONE;
        service->current = service->step = 1;
        require(lane_serve(lane, number, listed, 2) == 0, "there is memory");
    }
}

/* A packet of few addresses and ports, its header's checksum right; now and then it is damaged. */
static int64_t packet(uint8_t *data, struct input *input)
{
    uint8_t shape = take(input), who = take(input), how = take(input);
    int64_t size = 28 + shape % 32;
    memset(data, 0, LONGEST);
    data[0] = 0x45;
    data[3] = (uint8_t)size;
    data[8] = shape & 128 ? 2 : 64;
    data[9] = who & 1 ? 17 : 6;
    int reply = who & 2;
    data[12] = reply ? 12 : 11;
    data[15] = (uint8_t)(reply ? who >> 2 & 3 : 1 + (who >> 2 & 3));
    data[16] = reply ? 11 : 10;
    data[19] = (uint8_t)(reply ? 1 + (who >> 4 & 3) : 1);
    data[20] = reply ? 8080 >> 8 : 4;
    data[21] = (uint8_t)(reply ? 8080 & 255 : who >> 6);
    data[22] = reply ? 4 : 0;
    data[23] = (uint8_t)(reply ? who >> 6 : 80 + how % 4);
    data[33] = how >> 2;
    uint32_t sum = 0;
    for (int at = 0; at < 20; at += 2)
        sum += (uint32_t)(data[at] << 8 | data[at + 1]);
    sum = 65535 - sum % 65535;
    data[10] = (uint8_t)(sum >> 8);
    data[11] = (uint8_t)sum;
    if (how == 255)
        data[take(input) % LONGEST] ^= take(input);
    return how == 254 ? take(input) % size : size;
}

static void run(struct lane *lane, struct input *input, int64_t *now)
{
    int64_t count = take(input) % (PACKETS + 1), size = 0, offsets[PACKETS + 1] = {0}, times[PACKETS];
    uint8_t made[PACKETS][LONGEST];
    for (int64_t at = 0; at < count; at++) {
        size += packet(made[at], input);
        offsets[at + 1] = size;
        times[at] = *now + take(input) * 1000 * at;
    }
    uint8_t *data = malloc((size_t)size + 1), *out = malloc((size_t)(size + 14 * count) + 1), *kinds = malloc((size_t)count + 1);
    int64_t *left = calloc((size_t)count + 1, 8), *ends = calloc((size_t)count + 1, 8);
    int32_t servers[PACKETS + 1];
    uint16_t devices[PACKETS + 1];
    require(data && out && kinds && left && ends, "there is memory");
    for (int64_t at = 0; at < count; at++)
        memcpy(data + offsets[at], made[at], (size_t)(offsets[at + 1] - offsets[at]));
    require(lane_check(offsets, count, size) == 1, "offsets ascend");
    struct lane_batch batch = {.data = data, .offsets = offsets, .times = take(input) & 1 ? times : NULL, .count = count,
                               .now = *now, .event = INT64_MAX, .out = out, .room = size + 14 * count, .kinds = kinds,
                               .servers = servers, .left = left, .ends = ends, .devices = devices, .leaving_room = count};
    while (lane_run(lane, &batch) != LANE_DONE) {
        if (batch.times != NULL && batch.at < count && times[batch.at] > batch.now) {
            batch.now = times[batch.at];
            (void)lane_expire(lane, batch.now / LANE_JIFFY);
            continue;
        }
        left[batch.at + 1] = batch.leaving; /* it is left: somebody else's */
        batch.at++;
    }
    require(batch.used <= batch.room && batch.leaving <= count, "what leaves fits");
    *now = batch.now;
    free(data);
    free(out);
    free(kinds);
    free(left);
    free(ends);
}

static void *block(size_t size)
{
    void *memory = calloc(1, size ? size : 1);
    require(memory != NULL, "there is memory");
    return memory;
}

/* Packets of few flows of two streams, without bytes: each column is a block of its own. */
static void pass(struct lane *lane, struct input *input, int64_t *now)
{
    int64_t count = take(input) % (PACKETS + 1);
    int64_t *times = block((size_t)count * 8);
    uint8_t *kinds = block((size_t)count), *fresh = block(FLOWS), *gone = block(FLOWS), *dead = block(SERVERS);
    int32_t *flows = block((size_t)count * 4), *placed = block(FLOWS * 4), *numbers = block(SERVERS * 4);
    uint32_t *clients = block(FLOWS * 4), *addresses = block(SERVERS * 4);
    uint16_t *ports = block(FLOWS * 2), *streams = block(FLOWS * 2), *server_ports = block(SERVERS * 2);
    struct lane_shape *shapes = block(2 * LANE_PARTS * sizeof *shapes);
    for (int64_t at = 0; at < count; at++) {
        times[at] = (at ? times[at - 1] : *now) + take(input) * 1000;
        kinds[at] = take(input) % LANE_PARTS;
        flows[at] = take(input) % FLOWS;
    }
    for (uint32_t flow = 0; flow < FLOWS; flow++) {
        clients[flow] = 0x0B000001 + flow % 3;
        ports[flow] = (uint16_t)(1024 + flow % 4);
        streams[flow] = flow & 1;
        placed[flow] = -1;
    }
    for (uint32_t number = 0; number < SERVERS; number++) {
        numbers[number] = (int32_t)(SERVERS - 1 - number);
        addresses[SERVERS - 1 - number] = 0x0C000000 + number % 4;
        server_ports[SERVERS - 1 - number] = number & 1 ? 80 : 8080;
        dead[number] = !(take(input) % 4);
    }
    for (uint32_t kind = 0; kind < 2 * LANE_PARTS; kind++)
        shapes[kind] = (struct lane_shape){.address = 0x0A000001, .port = (uint16_t)(80 + kind / LANE_PARTS * (kind & 3)),
            .length = 40, .protocol = 6, .hops = 64, .flags = take(input), .part = (uint8_t)(kind % 4)};
    struct lane_flows state = {.times = times, .kinds = kinds, .flows = flows, .stop = count, .now = *now,
                               .event = *now / LANE_JIFFY + 1 + take(input), .clients = clients, .ports = ports,
                               .streams = streams, .shapes = shapes, .placed = placed, .fresh = fresh, .gone = gone,
                               .numbers = numbers, .dead = dead, .addresses = addresses, .server_ports = server_ports,
                               .unanswered = 3, .lost = 4};
    for (int32_t stop; (stop = lane_pass(lane, &state)) != LANE_DONE;) {
        require(stop == LANE_LEFT || stop == LANE_WAIT, "there is memory");
        if (stop == LANE_LEFT) {
            state.at++;
            continue;
        }
        require(times[state.at] / LANE_JIFFY >= state.event, "it waits for what comes before");
        (void)lane_expire(lane, times[state.at] / LANE_JIFFY);
        state.now = times[state.at];
        state.event = INT64_MAX;
    }
    for (uint32_t flow = 0; flow < FLOWS; flow++)
        require(!gone[flow] || dead[placed[flow]], "only a dead server ends a flow");
    *now = state.now;
    void *all[] = {times, kinds, fresh, gone, dead, flows, placed, numbers, clients, addresses, ports, streams,
                   server_ports, shapes};
    for (size_t at = 0; at < sizeof all / sizeof *all; at++)
        free(all[at]);
}

static void give(struct lane *lane, struct input *input, int64_t *kept)
{
    struct lane_entry entries[4];
    uint8_t who = take(input);
    int64_t given = lane_give(lane, 0x0B000001 + (who & 3), 0x0A000001, (uint16_t)(1024 + (who >> 2 & 3)),
                              (uint16_t)(80 + (who >> 4 & 1)), 6, entries, 4);
    require(given <= 4 && *kept - given == lane_count(lane), "who is given is gone");
    for (int64_t at = 0; at < given && who & 128; at++)
        require(lane_keep(lane, &entries[at]) >= 0, "there is memory");
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input input = {bytes, bytes + size};
    struct lane *lane = lane_new();
    uint32_t numbers[SERVERS];
    int64_t now = 0, kept, rows[SERVERS * LANE_ROW];
    require(lane != NULL, "there is memory");
    begin(lane, &input);
    while (input.at < input.end) {
        kept = lane_count(lane);
        switch (take(&input) % 10) {
        case 0:
            now += (int64_t)take(&input) * take(&input) * 100000;
            (void)lane_expire(lane, now / LANE_JIFFY);
            require(lane_next(lane) < 0 || lane_next(lane) > now / LANE_JIFFY, "what is due has gone");
            break;
        case 1:
            give(lane, &input, &kept);
            break;
        case 2:
            (void)lane_foreign(lane, 0x0B000001, 0x0A000001, 1024 + (take(&input) & 3), 80, 6);
            break;
        case 3:
            lane_forget_foreign(lane);
            break;
        case 4:
        case 5:
            pass(lane, &input, &now);
            break;
        default:
            run(lane, &input, &now);
        }
        (void)lane_changed(lane, rows, SERVERS);
        (void)lane_moved(lane, numbers, SERVERS);
        uint32_t held = 0;
        for (uint32_t number = 0; number < SERVERS; number++)
            held += lane_servers(lane)[number].held;
        require(held == lane_count(lane), "every connection is some server's");
    }
    struct lane_entry entries[8];
    for (int64_t given; (kept = lane_count(lane)) > 0;) {
        given = lane_drain(lane, entries, 8);
        require(given > 0 && lane_count(lane) == kept - given, "all are given in the end");
    }
    lane_free(lane);
    return 0;
}

#ifdef STANDALONE
int main(int count, char **words)
{
    require(count == 3, "fuzz_lane INPUTS SEED");
    uint64_t state = strtoull(words[2], NULL, 10) * 2654435761u + 1;
    for (long inputs = atol(words[1]); inputs > 0; inputs--) {
        uint8_t *bytes;
        size_t size = 64 + inputs % 2000;
        require((bytes = malloc(size)) != NULL, "there is memory");
        for (size_t at = 0; at < size; at++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            bytes[at] = (uint8_t)(state >> 56);
        }
        LLVMFuzzerTestOneInput(bytes, size);
        free(bytes);
    }
    return 0;
}
#endif
