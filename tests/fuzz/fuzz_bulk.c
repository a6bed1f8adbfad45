/* Rule text, columns and dumps under any bytes: nothing but an answer or a fault, the same in pieces as at once, and the
 * fast ways through give what the slow ones give.
 *
 * With clang, for as long as wanted (the corpus that was found so far is in tests/data/fuzz.tar.xz):
 *   python ipvsnl/_native/build.py
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -Iipvsnl/_native tests/fuzz/fuzz_bulk.c \
 *         $(find ipvsnl/_native/{bytes,text,talk} -name '*.c') -o fuzz_bulk
 *   python -m tests.fuzz.corpus unpack CORPUS && mkdir -p NEW && ./fuzz_bulk -max_len=2000 NEW CORPUS/rules
 *   python -m tests.fuzz.corpus add rules NEW
 * With AFL++: afl-clang-fast -DSTANDALONE ..., then afl-fuzz -i CORPUS/rules -o FOUND -- ./fuzz_bulk 0 1 @@
 * With gcc, see test_bulk_fuzz.py: -DSTANDALONE has a main that runs files, then mutations of them:
 *   ./fuzz_bulk MUTATIONS SEED FILE...
 *
 * Every buffer is a heap block of exactly its size, so that AddressSanitizer sees the first byte too far.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "generated.h"

#define MOST 64
#define ROOM 8192

static void require(int truth, const char *law)
{
    if (truth)
        return;
    fprintf(stderr, "broken law: %s\n", law);
    abort();
}

static uint8_t *block(const void *from, size_t size)
{
    uint8_t *made = malloc(size ? size : 1);
    require(made != NULL, "there is memory");
    if (from != NULL && size)
        memcpy(made, from, size);
    return made;
}

/* --- rule text --------------------------------------------------------------------------------------------------- */

struct reading {
    uint8_t *out;
    size_t length;
    size_t count;
    struct ipvsnl_origin origins[MOST];
    struct ipvsnl_text state;
};

/* Read a text in calls of at most `step` requests and `room` bytes each, up to the first line that is the caller's. */
static void read_text(const uint8_t *text, size_t length, size_t step, size_t room, struct reading *reading)
{
    static const char stops[] = "mh";
    struct ipvsnl_fault fault = {0, 0, 0};

    memset(&reading->state, 0, sizeof reading->state);
    reading->state.line = 1;
    reading->state.sequence = UINT32_MAX - 1;
    reading->state.family_id = 28;
    reading->state.final = 1;
    reading->state.few = (uint32_t)length % 3;
    reading->state.additions = length && text[0] == 'a';
    reading->length = reading->count = 0;
    do {
        size_t most = MOST - reading->count < step ? MOST - reading->count : step;
        size_t left = ROOM - reading->length, capacity = left < room ? left : room;
        uint8_t *out = block(NULL, capacity);
        int64_t made = ipvsnl_rules(text, length, stops, sizeof stops, &reading->state, out, capacity,
                                    reading->origins + reading->count, most, &fault);
        require(made >= 0 && (size_t)made <= most, "text has no faults, only lines that are not understood");
        require(reading->state.length <= capacity, "requests fit");
        memcpy(reading->out + reading->length, out, reading->state.length);
        free(out);
        reading->length += reading->state.length;
        reading->count += (size_t)made;
        if (made == 0)
            break;
    } while (reading->state.stop == IPVSNL_STOP_FULL && reading->count < MOST);
}

static void check_requests(const struct reading *reading, const uint8_t *text, size_t length)
{
    struct ipvsnl_fault fault = {0, 0, 0};
    struct ipvsnl_message message;
    size_t here = 0;

    for (size_t i = 0; i < reading->count; i++) {
        struct ipvsnl_service service;
        uint64_t at = reading->origins[i].at;
        require(at < length && (at == 0 || text[at - 1] == '\n'), "a request came from a line");
        require(reading->origins[i].line >= i + 1, "lines are counted");
        require(ipvsnl_split(reading->out, reading->length, here, &message, 1, &fault) == 1, "requests are messages");
        require(ipvsnl_decode(IPVSNL_GROUP_SERVICE, reading->out, reading->length, message.start, message.end, &service,
                              sizeof service, &fault) == (int64_t)sizeof service,
                "every request names its service");
        here = (message.end + 3) & ~(size_t)3;
    }
    require(here == reading->length, "there is nothing between requests");
}

/* Read dry, a text says as much as it did; and each service that it adds is deleted, in no more pieces than that takes. */
static void fuzz_deletions(const uint8_t *text, size_t size, const struct reading *whole)
{
    struct ipvsnl_fault fault = {0, 0, 0};
    struct ipvsnl_text dry = whole->state, back = whole->state;
    struct ipvsnl_origin origins[2];
    size_t added = 0, deleted = 0;
    uint8_t *out = block(NULL, 200);
    int64_t made;

    dry.at = dry.length = 0;
    dry.line = 1;
    dry.dry = 1;
    made = ipvsnl_rules(text, size, "mh", 3, &dry, NULL, 0, NULL, 0, &fault);
    require(made >= 0 && dry.length == 0, "a dry reading writes nothing");
    require(whole->state.stop == IPVSNL_STOP_FULL || (uint64_t)made == whole->count, "and understands the same lines");
    require((uint64_t)made >= dry.edits, "some of which are no additions");
    for (size_t i = 0, here = 0; i < whole->count; i++) {
        added += whole->out[here + 16] == 1;
        here += (size_t)whole->out[here] | (size_t)whole->out[here + 1] << 8;
    }
    back.at = whole->state.at;
    do {
        made = ipvsnl_deletions(text, size, &back, out, 200, origins, 2, &fault);
        require(made >= 0 && made <= 2 && back.length <= 200, "deletions fit");
        for (int64_t i = 0; i < made; i++)
            require(origins[i].at >= back.at && text[origins[i].at] != '\n', "a deletion came from a line");
        deleted += (size_t)made;
    } while (back.at && made);
    require(back.at == 0 && deleted == added, "whatever is added is deleted");
    free(out);
}

static void fuzz_text(const uint8_t *data, size_t size)
{
    struct reading whole = {block(NULL, ROOM), 0, 0, {{0, 0}}, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}};
    struct reading parts = {block(NULL, ROOM), 0, 0, {{0, 0}}, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}};
    uint8_t *text = block(data, size);

    read_text(text, size, MOST, ROOM, &whole);
    check_requests(&whole, text, size);
    read_text(text, size, 1 + (size ? data[size - 1] % 3 : 0), 400, &parts);
    require(parts.count == whole.count || whole.count == MOST || parts.count == MOST, "pieces have the same requests");
    require(parts.length >= whole.length || memcmp(parts.out, whole.out, parts.length) == 0, "and the same bytes");
    fuzz_deletions(text, size, &whole);
    free(text);
    free(whole.out);
    free(parts.out);
}

/* --- dumps ------------------------------------------------------------------------------------------------------- */

/* A datagram that is read message by message, each without a shape, says the same as one that is read at once. */
static void fuzz_dump(const uint8_t *data, size_t size, enum ipvsnl_group group)
{
    struct ipvsnl_fault fault = {0, 0, 0}, other = {0, 0, 0};
    struct ipvsnl_dump dump;
    size_t record = ipvsnl_record_size(group), room = record * 8;
    uint8_t *datagram = block(data, size), *records = block(NULL, room), *again = block(NULL, record);
    int64_t count;

    memset(&dump, 0, sizeof dump);
    dump.sequence = size >= 12 ? (uint32_t)data[8] | (uint32_t)data[9] << 8 | (uint32_t)data[10] << 16 |
                                     (uint32_t)data[11] << 24
                               : 0;
    count = ipvsnl_take_records(group, datagram, size, &dump, records, room, &fault);
    if (count >= 0) {
        struct ipvsnl_message message;
        size_t here = 0;
        int64_t seen = 0;
        while (seen < count && ipvsnl_split(datagram, size, here, &message, 1, &other) == 1) {
            here = (message.end + 3) & ~(size_t)3;
            if (message.sequence != dump.sequence || message.type < 16)
                continue;
            require(ipvsnl_decode(group, datagram, size, message.start, message.end, again, record, &other) > 0,
                    "what was read by its shape can be read without");
            require(memcmp(again, records + (size_t)seen * record, record) == 0, "and is the same");
            seen++;
        }
        require(seen == count, "every record has its message");
    } else {
        require(fault.offset <= size, "a fault lies in the datagram");
    }
    free(datagram);
    free(records);
    free(again);
}

static void fuzz_answers(const uint8_t *data, size_t size)
{
    struct ipvsnl_fault fault = {0, 0, 0};
    struct ipvsnl_answers answers = {1, size ? data[0] : 7, 0, 1, 0, 0, 0, 0};
    struct ipvsnl_refusal *refusals = (struct ipvsnl_refusal *)(void *)block(NULL, 4 * sizeof *refusals);
    uint8_t *datagram = block(data, size);

    if (ipvsnl_take_answers(datagram, size, &answers, refusals, 4, &fault) < 0)
        require(fault.offset <= size, "a fault lies in the datagram");
    require(answers.refused <= 4, "refusals fit");
    require(!answers.closing || answers.answered <= answers.closing, "each request has one answer at most");
    for (uint64_t i = 0; i < answers.refused; i++)
        require(memchr(refusals[i].words, 0, sizeof refusals[i].words) != NULL, "words end");
    free(datagram);
    free(refusals);
}

/* --- columns ----------------------------------------------------------------------------------------------------- */

static void fuzz_stamp(const uint8_t *data, size_t size)
{
    struct ipvsnl_fault fault = {0, 0, 0};
    struct ipvsnl_column column;
    uint8_t pattern[64] = {0}, *items, *out;
    size_t rows, length;

    if (size < 8)
        return;
    items = block(data + 8, size - 8);
    rows = data[0] % 80;
    length = 16 + data[1] % 48u;
    column.data = items;
    column.length = size - 8;
    column.stride = data[2] % 32;
    column.width = data[3] % 40;
    column.target = data[4] % 64;
    column.form = data[5] % 3;
    out = block(NULL, rows * length);
    if (ipvsnl_stamp(pattern, length, data[6], &column, 1, data[7] % 5, rows, out, rows * length, &fault) >= 0)
        for (size_t row = 0; row < rows && column.form == IPVSNL_FORM_PLAIN; row++)
            require(memcmp(out + row * length + column.target, items + (row + data[7] % 5) * column.stride,
                           column.width) == 0,
                    "an item stands in its request");
    free(items);
    free(out);
}

/* --- printed text -------------------------------------------------------------------------------------------------- */

#define SERVICES 5
#define SERVERS 9

/* Records whose fields are bytes of the input. */
static uint8_t *records_of(const uint8_t *data, size_t size, size_t length)
{
    uint8_t *made = block(NULL, length);

    for (size_t n = 0; n < length; n++)
        made[n] = size ? data[n % size] : 0;
    return made;
}

static uint32_t *ordered(enum ipvsnl_group group, const uint8_t *records, const uint32_t *counts, size_t ranges,
                         size_t count)
{
    struct ipvsnl_fault fault = {0, 0, 0};
    uint32_t *order = (uint32_t *)(void *)block(NULL, count * sizeof *order);
    uint32_t *scratch = (uint32_t *)(void *)block(NULL, count * sizeof *order);
    uint32_t seen = 0;

    require(ipvsnl_order(group, records, count * ipvsnl_record_size(group), counts, ranges, order, scratch, count,
                         &fault) == (int64_t)count, "everything is put in order");
    for (size_t i = 0; i < count; i++)
        seen |= UINT32_C(1) << order[i];
    require(seen == (UINT32_C(1) << count) - 1, "an order has everything once");
    free(scratch);
    return order;
}

/* The text of a table in pieces of at most `room` bytes; what is not plain is passed over. Answers its length. */
static size_t print_text(struct ipvsnl_print print, uint8_t *out, size_t room)
{
    struct ipvsnl_fault fault = {0, 0, 0};
    size_t used = 0;

    while (print.at < print.count) {
        uint8_t *piece = block(NULL, room);
        int64_t length = ipvsnl_print(&print, piece, room, &fault);
        require(length >= 0 && (size_t)length <= room, "a table that holds together is written");
        require(print.stop != IPVSNL_STOP_FULL || length > 0, "an entry of this size has room");
        memcpy(out + used, piece, (size_t)length);
        used += (size_t)length;
        print.at += print.stop == IPVSNL_STOP_LINE;
        free(piece);
    }
    return used;
}

static void fuzz_print(const uint8_t *data, size_t size)
{
    static const uint32_t counts[SERVICES] = {2, 0, 4, 1, 2}, first[SERVICES] = {0, 2, 2, 6, 7}, all = SERVICES;
    size_t room = SERVICES * 2560;
    uint8_t *services = records_of(data, size, SERVICES * sizeof(struct ipvsnl_service));
    uint8_t *servers = records_of(data, size, SERVERS * sizeof(struct ipvsnl_dest));
    uint32_t *service_order = ordered(IPVSNL_GROUP_SERVICE, services, &all, 1, SERVICES);
    uint32_t *server_order = ordered(IPVSNL_GROUP_DEST, servers, counts, SERVICES, SERVERS);
    uint8_t bits = size ? data[0] : 0;
    struct ipvsnl_print print = {services, servers, first, counts, service_order, server_order, SERVICES, SERVERS, 0, 0,
                                 bits & 1, bits >> 3 & 1, bits >> 1 & 1, bits >> 2 & 1, 0};
    uint8_t *whole = block(NULL, room), *parts = block(NULL, room);

    for (int kind = IPVSNL_PRINT_SAVED; kind <= IPVSNL_PRINT_PERSISTENT; kind++) {
        size_t length;
        print.kind = (uint8_t)kind;
        length = print_text(print, whole, room);
        require(length == print_text(print, parts, 1300) && memcmp(whole, parts, length) == 0, "pieces are the same");
        require(!length || whole[length - 1] == '\n', "lines end");
    }
    free(services);
    free(servers);
    free(service_order);
    free(server_order);
    free(whole);
    free(parts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_text(data, size);
    fuzz_dump(data, size, IPVSNL_GROUP_SERVICE);
    fuzz_dump(data, size, IPVSNL_GROUP_DEST);
    fuzz_answers(data, size);
    fuzz_stamp(data, size);
    fuzz_print(data, size);
    return 0;
}

#ifdef STANDALONE
#define LARGEST 65536

static uint64_t state;

static uint32_t chance(uint32_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 33) % below;
}

/* Change, move or double some bytes, favouring what rule text is made of. */
static size_t mutate(uint8_t *data, size_t size)
{
    static const uint8_t likely[] = "0123456789.:[]-aAdDeErswmigtuf \n\t,\0\377";

    for (uint32_t n = 1 + chance(6); size && n; n--) {
        size_t at = chance((uint32_t)size), from = chance((uint32_t)size), most = size - (at > from ? at : from);
        if (chance(4) == 0)
            memmove(data + at, data + from, most < 20 ? most : 20);
        else
            data[at] = chance(3) ? likely[chance(sizeof likely)] : (uint8_t)chance(256);
    }
    return chance(4) || !size ? size : chance((uint32_t)size);
}

int main(int argc, char **argv)
{
    long mutations = argc > 1 ? strtol(argv[1], NULL, 10) : 0;
    static uint8_t data[LARGEST];

    state = (argc > 2 ? strtoull(argv[2], NULL, 10) : 1) * 0x9e3779b97f4a7c15u | 1;
    for (int i = 3; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        if (file == NULL) {
            perror(argv[i]);
            return 2;
        }
        size_t size = fread(data, 1, sizeof data, file);
        fclose(file);
        LLVMFuzzerTestOneInput(data, size);
        for (long n = mutations / (argc - 3); n > 0; n--) {
            uint8_t *copy = block(data, size);
            LLVMFuzzerTestOneInput(copy, mutate(copy, size));
            free(copy);
        }
    }
    return 0;
}
#endif
