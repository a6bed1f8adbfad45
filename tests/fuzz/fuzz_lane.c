/* The express lane under any bytes: they are read as orders (a batch, time, what others ask), and packets of few addresses.
 *
 * With clang, for as long as wanted:
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -Isim/ipvssim/lane tests/fuzz/fuzz_lane.c sim/ipvssim/lane/[!_]*.c
 * With gcc, see test_lane_fuzz.py: -DSTANDALONE has a main that runs files, then inputs of its own: ./fuzz_lane INPUTS SEED FILE...
 *
 * Every buffer is a heap block of exactly its size, so that AddressSanitizer sees the first byte too far.
 */
#include <stdlib.h>
#include <string.h>

#include "lane_world.h"

#define PACKETS 24
#define FLOWS 8

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
            (void)lane_expire(lane, batch.now / a_jiffy);
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
                               .event = *now / a_jiffy + 1 + take(input), .clients = clients, .ports = ports,
                               .streams = streams, .shapes = shapes, .placed = placed, .fresh = fresh, .gone = gone,
                               .numbers = numbers, .dead = dead, .addresses = addresses, .server_ports = server_ports,
                               .unanswered = 3, .lost = 4};
    for (int32_t stop; (stop = lane_pass(lane, &state)) != LANE_DONE;) {
        require(stop == LANE_LEFT || stop == LANE_WAIT, "there is memory");
        if (stop == LANE_LEFT) {
            state.at++;
            continue;
        }
        require(times[state.at] / a_jiffy >= state.event, "it waits for what comes before");
        (void)lane_expire(lane, times[state.at] / a_jiffy);
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
            (void)lane_expire(lane, now / a_jiffy);
            require(lane_next(lane) < 0 || lane_next(lane) > now / a_jiffy, "what is due has gone");
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
