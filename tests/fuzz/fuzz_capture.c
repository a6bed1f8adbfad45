/* A capture on the express lane, under any bytes: they are read as records of every kind, whole, cut and damaged, and the file
 * that these make is read in pieces, run and written. As fuzz_lane.c, which tells how to build it.
 */
#include "capture.h"
#include "lane_world.h"

#define RECORDS 32
#define FILE_ROOM 8192
#define PACKET_ROOM (1 << 17) /* more than a packet may be filled up to */

struct made {
    uint8_t bytes[FILE_ROOM];
    size_t size;
    int big;
};

static void number(struct made *made, uint32_t value, int size)
{
    for (int at = 0; at < size; at++)
        made->bytes[made->size++] = (uint8_t)(value >> 8 * (made->big ? size - 1 - at : at));
}

static void block(struct made *made, const uint8_t *frame, uint32_t kept, uint32_t size, uint32_t when)
{
    uint32_t padded = (kept + 3) & ~3u, total = 32 + padded + 8;
    uint32_t head[] = {6, total, 0, 0, when, kept, size};
    for (size_t at = 0; at < sizeof head / sizeof *head; at++)
        number(made, head[at], 4);
    memcpy(made->bytes + made->size, frame, padded);
    made->size += padded;
    number(made, 2, 2);
    number(made, 4, 2);
    number(made, when & 3, 4);
    number(made, total, 4);
}

static void record(struct made *made, const struct capture_file *file, struct input *input)
{
    uint8_t frame[128] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 8, 0}, data[LONGEST], how = take(input);
    uint32_t link = file->link == CAPTURE_ETHERNET ? 14 : file->link == CAPTURE_COOKED ? 16 : 20;
    frame[5] = how & 3;
    if (file->link == CAPTURE_NULL || file->link == CAPTURE_LOOP)
        link = 4, frame[0] = 2, frame[1] = frame[2] = frame[3] = 0;
    if (file->link == CAPTURE_RAW)
        link = 0;
    if (file->link == CAPTURE_COOKED)
        frame[1] = how & 4, frame[4] = 0, frame[5] = 6, frame[14] = 8, frame[15] = 0;
    if (file->link == CAPTURE_COOKED2)
        frame[0] = 8, frame[1] = 0, frame[7] = how & 1, frame[10] = how & 4, frame[11] = 6;
    uint32_t size = (uint32_t)packet(data, input) + link, kept = how & 32 ? take(input) % (size + 1) : size;
    memcpy(frame + link, data, LONGEST);
    uint32_t when = (uint32_t)take(input) << (take(input) & 15);
    if (file->blocks) {
        block(made, frame, kept, size, when);
        return;
    }
    number(made, when >> 8, 4);
    number(made, when & 255, 4);
    number(made, how == 255 ? 1u << 30 : kept, 4);
    number(made, size, 4);
    for (int more = 16; more < file->head; more++)
        made->bytes[made->size++] = 0;
    memcpy(made->bytes + made->size, frame, kept);
    made->size += kept;
}

/* Run what was read, as lane_run is run; and write what left. */
static void run(struct capture *capture, struct lane *lane, const struct capture_block *read, int64_t *now)
{
    int64_t count = read->count, size = read->offsets[count], room = size + 14 * count;
    uint8_t *out = malloc((size_t)room + 1), *kinds = malloc((size_t)count + 1), *data = malloc((size_t)size + 1);
    int64_t *left = calloc((size_t)count + 1, 8), *ends = calloc((size_t)count + 1, 8);
    int32_t servers[RECORDS + 1];
    uint16_t devices[RECORDS + 1];
    require(out && kinds && data && left && ends, "there is memory");
    memcpy(data, read->packets, (size_t)size);
    require(lane_check(read->offsets, count, size) == 1, "offsets ascend");
    struct lane_batch batch = {.data = data, .offsets = read->offsets, .times = read->times, .count = count, .now = *now,
                               .event = INT64_MAX, .out = out, .room = room, .kinds = kinds, .servers = servers,
                               .left = left, .ends = ends, .devices = devices, .leaving_room = count};
    while (capture_run(capture, lane, &batch, read) != LANE_DONE) {
        if (batch.times[batch.at] > batch.now) {
            batch.now = batch.times[batch.at];
            (void)lane_expire(lane, batch.now / a_jiffy);
            continue;
        }
        left[batch.at + 1] = batch.leaving;
        batch.at++;
    }
    uint8_t bare[2] = {1, 0}, *file = malloc((size_t)(batch.used + 30 * batch.leaving) + 1);
    require(file != NULL, "there is memory");
    require(capture_write(&batch, read->rows, bare, file) <= batch.used + 30 * batch.leaving, "what is written fits");
    *now = batch.now;
    free(out);
    free(kinds);
    free(data);
    free(left);
    free(ends);
    free(file);
}

static void know(struct capture *capture, struct input *input)
{
    static const uint64_t addresses[] = {0x0A000001, 0x0C000000, 0x0C000001, 0x0C000002, 0x0B000001};
    struct capture_counts *counts = capture_counts(capture);
    counts->mtu = take(input) % 70;
    counts->longest = 40 + take(input);
    counts->any_direct = take(input) & 1;
    require(capture_note(capture, (uint64_t)CAPTURE_VIRTUAL << 56 | 0x0A000001, 0) == 0, "there is memory");
    for (int at = 0; at < 6; at++) {
        uint64_t kind = CAPTURE_TRANSLATED + take(input) % 3;
        require(capture_note(capture, kind << 56 | addresses[take(input) % 5], 0) == 0, "there is memory");
    }
    for (uint64_t mac = 0; mac < 4; mac++) {
        require(capture_note(capture, (uint64_t)CAPTURE_OWN_MAC << 56 | mac << 1, 0) == 0, "there is memory");
        require(capture_note(capture, (uint64_t)CAPTURE_SERVER_MAC << 56 | 0x020000000000 | mac, 0) == 0, "there is memory");
    }
}

static void play(struct capture *capture, struct lane *lane, struct capture_file *file, const struct made *made, size_t piece)
{
    struct capture_row rows[RECORDS];
    int64_t times[RECORDS], offsets[RECORDS + 1], now = 0;
    uint8_t *packets = malloc(PACKET_ROOM);
    require(packets != NULL, "there is memory");
    for (size_t at = 0, size = piece; at < made->size;) {
        size = size < made->size - at ? size : made->size - at;
        uint8_t *raw = malloc(size);
        require(raw != NULL, "there is memory");
        memcpy(raw, made->bytes + at, size);
        struct capture_block read = {.raw = raw, .size = (int64_t)size, .rows = rows, .times = times, .offsets = offsets,
                                     .packets = packets, .room = RECORDS, .packet_room = PACKET_ROOM};
        int32_t stop = capture_read(file, &read);
        require(read.at <= read.size && read.count <= RECORDS, "what is read was there");
        require(stop != CAPTURE_FULL || read.count > 0, "there is room for one");
        run(capture, lane, &read, &now);
        free(raw);
        at += (size_t)read.at;
        if (stop == CAPTURE_OTHER || (stop == CAPTURE_MORE && !read.count && at + size >= made->size))
            break;
        size = read.count ? piece : size * 2;
    }
    free(packets);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const uint32_t links[] = {CAPTURE_ETHERNET, CAPTURE_RAW, CAPTURE_COOKED, CAPTURE_COOKED2, CAPTURE_NULL, CAPTURE_LOOP};
    static struct made made;
    struct input input = {bytes, bytes + size};
    struct lane *lane = lane_new();
    struct capture *capture = capture_new();
    require(lane != NULL && capture != NULL, "there is memory");
    begin(lane, &input);
    know(capture, &input);
    uint8_t how = take(&input), piece = take(&input), damage = take(&input);
    struct capture_file file = {.big = how & 1, .blocks = how >> 1 & 1, .head = how & 4 ? 24 : 16,
                                .parts = how & 8 ? 1000 : 1, .link = links[how >> 4 & 7 ? (how >> 4 & 7) % 6 : 0],
                                .offset = how & 128 ? -5000 : 0};
    made.size = 0;
    made.big = file.big;
    while (input.at < input.end && made.size < FILE_ROOM - 256)
        record(&made, &file, &input);
    if (damage & 128 && made.size)
        made.bytes[(size_t)piece * 31 % made.size] ^= damage;
    play(capture, lane, &file, &made, piece ? piece * 4u : FILE_ROOM);
    capture_live(capture, lane);
    uint64_t live = 0;
    for (uint32_t number_of = 0; number_of < capture_flow_count(capture); number_of++)
        live += capture_flows(capture)[number_of].live;
    require(live == (uint64_t)lane_count(lane), "every connection is of one flow");
    capture_free(capture);
    lane_free(lane);
    return 0;
}
