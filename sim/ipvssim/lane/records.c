/* Records of a capture file, pcap and pcapng, and the IPv4 packets in their frames; and records to be written. Whatever the
 * bytes are, only what is whole and plain is read: all else stops the reading, or is an empty packet. */
#include "capture.h"
#include "internal.h"

#define BLOCK_LONGEST (CAPTURE_LONGEST + 65536u)
#define ENHANCED 6u
#define FLAGS 2u
#define SECOND 1000000
#define MOST ((uint64_t)1 << 62)
#define IPV4 0x0800u
#define IPV6 0x86DDu
#define ETHERNET_HEAD 14u
#define SENT 4u /* a cooked packet type: the host sent it */
#define READ 3

static uint32_t number(const struct capture_file *file, const uint8_t *at)
{
    return file->big ? load32(at) : (uint32_t)at[3] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[1] << 8 | at[0];
}

static uint32_t half(const struct capture_file *file, const uint8_t *at)
{
    return file->big ? load16(at) : (uint32_t)at[1] << 8 | at[0];
}

/* The record at `at` of a pcap file; READ, or an enum capture_stop. */
static int32_t classic(const struct capture_file *file, const struct capture_block *block, struct capture_row *row,
                       int64_t *end)
{
    const uint8_t *at = block->raw + block->at;
    if (block->size - block->at < file->head)
        return CAPTURE_MORE;
    row->kept = number(file, at + 8);
    row->size = number(file, at + 12);
    if (row->kept > CAPTURE_LONGEST)
        return CAPTURE_OTHER;
    row->start = block->at + file->head;
    if (block->size - row->start < row->kept)
        return CAPTURE_MORE;
    row->when = (int64_t)number(file, at) * SECOND + number(file, at + 4) / file->parts;
    *end = row->start + row->kept;
    return READ;
}

static uint8_t direction(const struct capture_file *file, const uint8_t *at, const uint8_t *end)
{
    static const uint8_t directions[4] = {CAPTURE_NEITHER, CAPTURE_IN, CAPTURE_OUT, CAPTURE_NEITHER};
    uint8_t found = CAPTURE_NEITHER;
    while (end - at >= 4) {
        uint32_t code = half(file, at), length = half(file, at + 2);
        if (!code || (uint32_t)(end - at) < 4 + length)
            break;
        if (code == FLAGS && length == 4)
            found = directions[number(file, at + 4) & 3];
        length = 4 + ((length + 3) & ~3u);
        if ((uint32_t)(end - at) < length)
            break;
        at += length;
    }
    return found;
}

/* The block at `at` of a pcapng file, where it is a packet of the only interface. */
static int32_t enhanced(const struct capture_file *file, const struct capture_block *block, struct capture_row *row,
                        int64_t *end)
{
    const uint8_t *at = block->raw + block->at;
    if (block->size - block->at < 8)
        return CAPTURE_MORE;
    uint32_t total = number(file, at + 4);
    if (number(file, at) != ENHANCED || total < 32 || total & 3 || total > BLOCK_LONGEST)
        return CAPTURE_OTHER;
    if (block->size - block->at < total)
        return CAPTURE_MORE;
    uint64_t stamp = (uint64_t)number(file, at + 12) << 32 | number(file, at + 16);
    row->kept = number(file, at + 20);
    row->size = number(file, at + 24);
    if (number(file, at + total - 4) != total || number(file, at + 8) || row->kept > total - 32 || stamp > MOST)
        return CAPTURE_OTHER;
    row->start = block->at + 28;
    row->when = (int64_t)(stamp / file->parts) + file->offset;
    row->direction = direction(file, at + 28 + ((row->kept + 3) & ~3u), at + total - 4);
    *end = block->at + total;
    return READ;
}

static bool is_tag(uint32_t kind)
{
    return kind == 0x8100 || kind == 0x88A8 || kind == 0x9100 || kind == 0x9200;
}

/* What stands behind the EtherType at `at` and its VLAN tags; `kept`: it is not IPv4. */
static uint32_t payload(const uint8_t *frame, uint32_t kept, uint32_t at)
{
    while (at + 2 <= kept && is_tag(load16(frame + at)))
        at += 4;
    return at + 2 <= kept && load16(frame + at) == IPV4 ? at + 2 : kept;
}

static bool is_family(uint32_t value)
{
    return value == 2 || value == 10 || value == 24 || value == 28 || value == 30;
}

static uint32_t cooked(const uint8_t *frame, struct capture_row *row)
{
    if (row->kept < 16)
        return row->kept;
    row->source = load16(frame + 4) == 6 ? 6 : 0;
    if (!row->direction)
        row->direction = load16(frame) == SENT ? CAPTURE_OUT : CAPTURE_IN;
    return payload(frame, row->kept, 14);
}

static uint32_t cooked2(const uint8_t *frame, struct capture_row *row)
{
    if (row->kept < 20 || load16(frame) != IPV4)
        return row->kept;
    row->source = frame[11] == 6 ? 12 : 0;
    row->interface = (int64_t)load32(frame + 4) + 1;
    if (!row->direction)
        row->direction = frame[10] == SENT ? CAPTURE_OUT : CAPTURE_IN;
    return 20;
}

/* Where the IPv4 packet begins in a frame; at its end where there is none that is plain. */
static uint32_t unwrap(const struct capture_file *file, const uint8_t *frame, struct capture_row *row)
{
    switch (file->link) {
    case CAPTURE_ETHERNET:
        row->source = row->kept >= 14 ? 6 : 0;
        row->target = row->kept >= 14;
        return payload(frame, row->kept, 12);
    case CAPTURE_COOKED:
        return cooked(frame, row);
    case CAPTURE_COOKED2:
        return cooked2(frame, row);
    case CAPTURE_NULL:
    case CAPTURE_LOOP:
        if (row->kept < 4 || !(is_family(load32(frame)) || is_family(__builtin_bswap32(load32(frame)))))
            return row->kept;
        return 4;
    default:
        return 0;
    }
}

/* Put the packet of a frame behind the others; false: there is no room. */
static bool put(const struct capture_file *file, struct capture_block *block, struct capture_row *row)
{
    const uint8_t *frame = block->raw + row->start;
    int64_t from = block->offsets[block->count];
    uint32_t begin = unwrap(file, frame, row), size = row->kept - begin;
    block->offsets[block->count + 1] = from;
    if (!size || frame[begin] >> 4 != 4)
        return true;
    uint32_t whole = row->cut && size >= 20 && load16(frame + begin + 2) > size ? load16(frame + begin + 2) : size;
    if (block->packet_room - from < whole)
        return false;
    memcpy(block->packets + from, frame + begin, size);
    memset(block->packets + from + size, 0, whole - size);
    block->offsets[block->count + 1] = from + whole;
    return true;
}

int32_t capture_read(struct capture_file *file, struct capture_block *block)
{
    block->count = 0;
    block->offsets[0] = 0;
    while (block->count < block->room) {
        struct capture_row row = {.interface = file->interface};
        int64_t end = 0;
        int32_t found = file->blocks ? enhanced(file, block, &row, &end) : classic(file, block, &row, &end);
        if (found != READ)
            return found;
        row.cut = row.size > row.kept;
        if (!put(file, block, &row))
            return CAPTURE_FULL;
        if (!file->begun)
            file->first = row.when;
        file->begun = 1;
        block->times[block->count] = file->began + (row.when > file->first ? row.when - file->first : 0);
        block->rows[block->count++] = row;
        block->at = end;
    }
    return CAPTURE_FULL;
}

/* --- what is written --- */

static uint8_t *little(uint8_t *to, uint32_t value)
{
    for (uint32_t shift = 0; shift < 32; shift += 8)
        *to++ = (uint8_t)(value >> shift);
    return to;
}

static uint8_t *stamp(uint8_t *to, int64_t when)
{
    int64_t seconds = when / SECOND, rest = when % SECOND;
    if (rest < 0) {
        rest += SECOND;
        seconds--;
    }
    to = little(to, seconds < 0 ? 0 : seconds > 0xFFFFFFFF ? 0xFFFFFFFFu : (uint32_t)seconds);
    return little(to, (uint32_t)rest);
}

/* An Ethernet header of zero addresses for a packet that had none. */
static uint8_t *head(uint8_t *to, const uint8_t *packet, uint32_t size)
{
    uint32_t version = size ? packet[0] >> 4 : 0;
    memset(to, 0, 12);
    store16(to + 12, version == 4 ? IPV4 : version == 6 ? IPV6 : 0);
    return to + ETHERNET_HEAD;
}

int64_t capture_write(const struct lane_batch *batch, const struct capture_row *rows, const uint8_t *bare, uint8_t *file)
{
    uint8_t *to = file;
    for (int64_t at = 0; at < batch->count; at++) {
        for (int64_t one = batch->left[at]; one < batch->left[at + 1]; one++) {
            int64_t begin = one ? batch->ends[one - 1] : 0;
            uint32_t size = (uint32_t)(batch->ends[one] - begin);
            bool headless = bare[batch->devices[one]];
            to = stamp(to, rows[at].when);
            to = little(to, size + (headless ? ETHERNET_HEAD : 0));
            to = little(to, size + (headless ? ETHERNET_HEAD : 0));
            if (headless)
                to = head(to, batch->out + begin, size);
            memcpy(to, batch->out + begin, size);
            to += size;
        }
    }
    return to - file;
}
