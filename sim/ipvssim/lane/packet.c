/* The bytes of plain packets: read, and translated as ipvssim/path/forwarding has it. Checksums change by the difference only.
 *
 * A sum is taken modulo 65535, and where it is 0 the checksum is 0: as net/checksums.py explains.
 */
#include "packet.h"

#define ONES 0xFFFFu

static uint32_t modulo(int64_t sum)
{
    int64_t rest = sum % ONES;
    return (uint32_t)(rest < 0 ? rest + ONES : rest);
}

static uint32_t finish(int64_t sum)
{
    uint32_t rest = modulo(sum);
    return rest ? ONES - rest : 0;
}

static int64_t words(uint32_t value)
{
    return (int64_t)(value >> 16) + (value & ONES);
}

/* A checksum when `shift` is added to what it is the checksum of. */
static uint32_t shifted(uint32_t check, int64_t shift)
{
    return finish((int64_t)(ONES - check) + shift);
}

static uint64_t sum(const uint8_t *data, uint32_t size)
{
    uint64_t total = 0;
    for (; size >= 2; data += 2, size -= 2)
        total += load16(data);
    return size ? total + ((uint64_t)data[0] << 8) : total;
}

int32_t lane_check(const int64_t *offsets, int64_t count, int64_t size)
{
    if (offsets[0] < 0 || offsets[count] > size)
        return 0;
    for (int64_t at = 0; at < count; at++)
        if (offsets[at] > offsets[at + 1])
            return 0;
    return 1;
}

bool lane_parse(const struct lane_batch *batch, const uint8_t *data, int64_t size, struct packet *packet)
{
    if (batch->framed) {
        if (size < 14 || memcmp(data, batch->mac, 6) != 0 || data[12] != 8 || data[13] != 0)
            return false;
        data += 14;
        size -= 14;
    }
    if (size < 28 || data[0] != 0x45 || (load16(data + 6) & 0x3FFF))
        return false;
    uint32_t length = load16(data + 2);
    packet->key.protocol = data[9];
    if (length > size || length < (data[9] == TCP ? 40u : 28u) || (data[9] != TCP && data[9] != UDP))
        return false;
    if (sum(data, 20) % ONES)
        return false;
    packet->data = data;
    packet->length = length;
    packet->hops = data[8];
    packet->flags = data[9] == TCP ? data[33] : 0;
    packet->key.source = load32(data + 12);
    packet->key.destination = load32(data + 16);
    packet->key.port = load16(data + 20);
    packet->key.to = load16(data + 22);
    return true;
}

static int64_t header_shift(const struct translation *change)
{
    return words(change->address) - words(change->old_address);
}

/* The transport's checksum, `shift` added to what it covers; the ports and addresses of `out` are the new ones. */
static void sign(uint8_t *out, uint32_t length, uint8_t protocol, int64_t shift)
{
    if (protocol == TCP) {
        store16(out + 36, shifted(load16(out + 36), shift));
        return;
    }
    uint32_t check = load16(out + 26);
    if (check)
        check = shifted(check, shift);
    else
        check = finish((int64_t)sum(out + 12, length - 12) + UDP + (length - 20));
    store16(out + 26, check ? check : ONES);
}

/* A request on its way to its server. */
void lane_request(uint8_t *out, const struct packet *packet, const struct translation *change)
{
    int64_t header = header_shift(change);
    memcpy(out, packet->data, packet->length);
    out[8] = (uint8_t)(packet->hops - 1);
    store16(out + 10, finish((int64_t)(ONES - load16(out + 10)) + header - (1 << 8)));
    store32(out + 16, change->address);
    store16(out + 22, change->port);
    sign(out, packet->length, packet->key.protocol, header + change->port - change->old_port);
}

/* A request that is routed: its lifetime alone changes. */
void lane_routed(uint8_t *out, const struct packet *packet)
{
    memcpy(out, packet->data, packet->length);
    out[8] = (uint8_t)(packet->hops - 1);
    store16(out + 10, shifted(load16(out + 10), -(1 << 8)));
}

/* The lifetime of a packet that the host forwards (ip_decrease_ttl, include/net/ip.h, Linux 6.1). */
static void decrease(uint8_t *out)
{
    out[8]--;
    uint32_t check = load16(out + 10) + (1u << 8);
    check = (check & ONES) + (check >> 16);
    store16(out + 10, check == ONES ? 0 : check);
}

/* A reply on its way to the client: forwarded first, then translated. */
void lane_reply(uint8_t *out, const struct packet *packet, const struct translation *change)
{
    int64_t header = header_shift(change);
    memcpy(out, packet->data, packet->length);
    decrease(out);
    store16(out + 10, shifted(load16(out + 10), header));
    store32(out + 12, change->address);
    store16(out + 20, change->port);
    sign(out, packet->length, packet->key.protocol, header + change->port - change->old_port);
}
