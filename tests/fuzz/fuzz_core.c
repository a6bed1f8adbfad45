/* The C core under any bytes: nothing but an answer or a fault, and what was read is written and read again the same.
 *
 * With clang, for as long as wanted (CORPUS: a directory of datagrams; test_core_fuzz.py writes one with --basetemp):
 *   python ipvsnl/_native/build.py
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -Iipvsnl/_native tests/fuzz/fuzz_core.c \
 *         ipvsnl/_native/bytes/encode.c ipvsnl/_native/bytes/decode.c -o fuzz_core && ./fuzz_core CORPUS
 * -O2 -fno-sanitize-coverage=trace-cmp, and -entropic=0 behind ./fuzz_core, make four times as many runs of a second: for when
 * comparisons have taught the corpus what they can.
 * With AFL++: afl-clang-fast -DSTANDALONE ..., then afl-fuzz -i CORPUS -o FOUND -- ./fuzz_core 0 1 @@
 * With gcc, see test_core_fuzz.py: -DSTANDALONE has a main that runs files (or stdin), then mutations of them:
 *   ./fuzz_core MUTATIONS SEED FILE...
 *
 * Every buffer is a heap block of exactly its size, so that AddressSanitizer sees the first byte too far.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "generated.h"

#define GROUPS 5
#define SENT 4 /* of them, those that a request has room for */
#define MESSAGES 3
#define SCRATCH 4096 /* bytes of a scratch block, at most */

enum use { RECORD, AGAIN, REQUEST, SMALL, USES };

static const size_t sizes[GROUPS] = {sizeof(struct ipvsnl_service), sizeof(struct ipvsnl_dest),
                                     sizeof(struct ipvsnl_daemon), sizeof(struct ipvsnl_config),
                                     sizeof(struct ipvsnl_info)};

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

/* A block that is made once for each use and size, and looks new each time: making them was half of the fuzzer's time. */
static uint8_t *scratch(enum use use, size_t size)
{
    static uint8_t *made[USES][SCRATCH];

    require(size < SCRATCH, "a scratch block is small");
    if (made[use][size] == NULL)
        made[use][size] = block(NULL, size);
    memset(made[use][size], 0xbe, size);
    return made[use][size];
}

/* A fault names a code, and a place that is not behind the input. */
static void check_fault(const struct ipvsnl_fault *fault, size_t length)
{
    require(fault->code >= IPVSNL_NO_ROOM && fault->code <= IPVSNL_NO_FAMILY_ID, "a fault has a code");
    require(fault->offset <= length, "a fault's offset lies in the input");
}

static int64_t encode_one(uint8_t *out, size_t capacity, int group, const uint8_t *record, size_t size,
                          struct ipvsnl_fault *fault)
{
    const void *records[SENT] = {NULL, NULL, NULL, NULL};
    size_t lengths[SENT] = {0, 0, 0, 0};

    records[group] = record;
    lengths[group] = size;
    return ipvsnl_encode(out, capacity, 28, 1, 5, 7, records[0], lengths[0], records[1], lengths[1], records[2],
                         lengths[2], records[3], lengths[3], fault);
}

/* A record that can be written is read back; what was read is read back as it was. */
static void round_trip(int group, const uint8_t *record, int canonical, size_t capacity)
{
    struct ipvsnl_fault fault = {0, 0, 0};
    struct ipvsnl_message message;
    uint8_t *out = scratch(REQUEST, capacity), *again = scratch(AGAIN, sizes[group]);
    int64_t length = encode_one(out, capacity, group, record, sizes[group], &fault);

    if (length < 0) {
        check_fault(&fault, capacity > sizes[group] ? capacity : sizes[group]);
        require(!canonical || fault.code == IPVSNL_NO_ROOM, "a record that was read can be written");
        require(fault.code != IPVSNL_NO_ROOM || capacity < ipvsnl_request_max(), "request_max is enough");
    } else {
        uint8_t *exact = block(out, (size_t)length);
        require((size_t)length <= capacity && length % 4 == 0, "a request fits and is padded");
        require(ipvsnl_split(exact, (size_t)length, 0, &message, 1, &fault) == 1, "a request is one message");
        require(ipvsnl_decode((enum ipvsnl_group)group, exact, (size_t)length, message.start, message.end, again,
                              sizes[group], &fault) == (int64_t)sizes[group],
                "a request that was written can be read");
        require(!canonical || memcmp(again, record, sizes[group]) == 0, "what was read stays the same");
        free(exact);
    }
}

static void read_payload(const uint8_t *datagram, size_t length, size_t start, size_t end, uint16_t flags)
{
    struct ipvsnl_fault fault = {0, 0, 0};
    struct ipvsnl_extack extack = {0, 0, 0, 0, 0};

    for (int group = 0; group < GROUPS; group++) {
        uint8_t *record = scratch(RECORD, sizes[group]);
        if (ipvsnl_decode((enum ipvsnl_group)group, datagram, length, start, end, record, sizes[group], &fault) < 0)
            check_fault(&fault, start > length ? start : length);
        else if (group < SENT)
            round_trip(group, record, 1, ipvsnl_request_max());
    }
    for (unsigned bits = 0; bits < 4; bits++) {
        uint16_t all = (uint16_t)(flags ^ bits << 8);
        if (ipvsnl_decode_error(all, datagram, length, start, end, &extack, &fault) >= 0 && extack.has_text)
            require(extack.text + extack.text_length < length, "the words lie in the datagram");
        if (ipvsnl_decode_done(all, datagram, length, start, end, &extack, &fault) >= 0 && extack.has_text)
            require(extack.text + extack.text_length < length, "the words lie in the datagram");
    }
    if (ipvsnl_decode_family_id(datagram, length, start, end, &fault) < 0)
        check_fault(&fault, start > length ? start : length);
}

static void read_datagram(const uint8_t *datagram, size_t length)
{
    struct ipvsnl_fault fault = {0, 0, 0};
    struct ipvsnl_message messages[MESSAGES];
    size_t start = 0;

    for (;;) {
        int64_t count = ipvsnl_split(datagram, length, start, messages, MESSAGES, &fault);
        if (count < 0)
            check_fault(&fault, length);
        for (int64_t i = 0; i < count; i++) {
            require(messages[i].start <= messages[i].end, "a message has a payload");
            require(messages[i].end <= length, "a message lies in its datagram");
            read_payload(datagram, length, messages[i].start, messages[i].end, (uint16_t)messages[i].flags);
        }
        if (count < MESSAGES)
            return;
        start = (messages[MESSAGES - 1].end + 3) & ~(size_t)3;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ipvsnl_fault fault = {0, 0, 0};
    uint8_t *datagram = block(data, size), *out = scratch(SMALL, 64);
    size_t first = size ? data[0] % 32 : 0, capacity = size > 1 ? (size_t)data[1] * 6 : 0;

    read_datagram(datagram, size);
    read_payload(datagram, size, first, size, 0x200); /* also where no message would begin: unaligned, out of bounds */
    for (int group = 0; group < SENT; group++) {
        uint8_t *record = scratch(RECORD, sizes[group]);
        for (size_t i = 0; i < sizes[group]; i++)
            record[i] = size ? data[i % size] : 0;
        round_trip(group, record, 0, capacity);
        round_trip(group, record, 0, ipvsnl_request_max());
        require(encode_one(out, 64, group, record, sizes[group] - 1, &fault) < 0, "a record has one size");
    }
    if (ipvsnl_encode_getfamily(out, capacity % 65, 1, datagram, size, &fault) < 0)
        require(fault.code == IPVSNL_FAMILY_NAME || fault.code == IPVSNL_NO_ROOM, "a name has two faults");
    free(datagram);
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

/* Change some bytes, favouring small numbers (lengths, types), and sometimes cut. */
static size_t mutate(uint8_t *data, size_t size)
{
    static const uint8_t interesting[] = {0, 1, 2, 3, 4, 5, 8, 11, 12, 16, 0x40, 0x7f, 0x80, 0xff};

    for (uint32_t n = 1 + chance(6); size && n; n--) {
        uint8_t value = chance(2) ? interesting[chance(sizeof interesting)] : (uint8_t)chance(256);
        data[chance((uint32_t)size)] = value;
    }
    return chance(4) || !size ? size : chance((uint32_t)size);
}

int main(int argc, char **argv)
{
    long mutations = argc > 1 ? strtol(argv[1], NULL, 10) : 0;
    static uint8_t data[LARGEST];

    state = (argc > 2 ? strtoull(argv[2], NULL, 10) : 1) * 0x9e3779b97f4a7c15u | 1;
    if (argc < 4)
        return LLVMFuzzerTestOneInput(data, fread(data, 1, sizeof data, stdin));
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
