/* What the harnesses of the lane share: bytes as orders, a small world, plain packets in it, and a main for gcc. */
#ifndef LANE_WORLD_H
#define LANE_WORLD_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lane.h"

#define SERVICES 3
#define SERVERS 6
#define LONGEST 64

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

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

static int64_t a_jiffy; /* of the world, in microseconds */

static uint8_t take(struct input *input)
{
    return input->at < input->end ? *input->at++ : 0;
}

static void begin(struct lane *lane, struct input *input)
{
    struct lane_rules rules = {.udp_timeout = 1 + take(input), .flags_of_new = 0x40, .inactive = 0x100, .no_output = 0x80,
                               .direct = 3, .time_wait = 5, .closed = 6, .fin_wait = 4, .reuse = take(input) & 3,
                               .recomputes = take(input) & 1, .routed_replies = 1, .forwards = 1, .active_cost = 256};
    uint32_t clock = take(input); /* whether there is the kernel's wheel, and how many jiffies a second */
    rules.born = clock & 1 ? (int64_t)clock * 4099 : -1;
    rules.jiffy = a_jiffy = clock & 2 ? 4000 : LANE_JIFFY;
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
        service->opens = (uint8_t)(LANE_RR + take(input) % 6);
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

#ifdef STANDALONE
/* A file's bytes are an input. */
static void kept(const char *path)
{
    FILE *file = fopen(path, "rb");
    require(file != NULL && fseek(file, 0, SEEK_END) == 0, path);
    size_t size = (size_t)ftell(file);
    uint8_t *bytes = malloc(size + !size);
    require(bytes != NULL && fseek(file, 0, SEEK_SET) == 0 && fread(bytes, 1, size, file) == size, path);
    fclose(file);
    LLVMFuzzerTestOneInput(bytes, size);
    free(bytes);
}

int main(int count, char **words)
{
    require(count >= 3, "fuzz_lane INPUTS SEED FILE...");
    for (int at = 3; at < count; at++)
        kept(words[at]);
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

#endif
