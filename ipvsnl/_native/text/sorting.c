/* Services and real servers are sorted as ipvsadm sorts them.
 *
 * ipvsadm compares two 32-bit numbers by their difference in an int, which wraps round. So 200.0.0.1 comes before
 * 10.0.0.1, and three addresses can each come before the next, in a circle: this is no order in the mathematical sense.
 * The result then depends on how qsort works, and here is the same sort: a merge sort from the top down, with halves of
 * n/2 and n-n/2, and the left item first where both are equal. ipvsnl/text/sorting.py is the same in Python. */
#include "internal.h"

typedef int (*compare)(const uint8_t *records, uint32_t left, uint32_t right);

static int difference(uint32_t left, uint32_t right)
{
    uint32_t wrapped = left - right;
    return wrapped == 0 ? 0 : wrapped >> 31 ? -1 : 1;
}

/* A word of an address, which is in network order. */
static uint32_t word(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static int compare_words(const uint8_t *left, const uint8_t *right, size_t words)
{
    int found = 0;

    for (size_t i = 0; !found && i < words; i++)
        found = difference(word(left + 4 * i), word(right + 4 * i));
    return found;
}

static size_t words_of(uint16_t family)
{
    return family == IPVSNL_AF_INET ? 1 : 4;
}

/* By mark, family, protocol, address and port. */
static int compare_services(const uint8_t *records, uint32_t left, uint32_t right)
{
    struct ipvsnl_service one, other;
    int found;

    memcpy(&one, records + left * sizeof one, sizeof one);
    memcpy(&other, records + right * sizeof other, sizeof other);
    if ((found = difference(one.fwmark, other.fwmark)) != 0 || (found = difference(one.af, other.af)) != 0)
        return found;
    if (!one.fwmark && ((found = difference(one.protocol, other.protocol)) != 0 ||
                        (found = compare_words(one.addr, other.addr, words_of(one.af))) != 0))
        return found;
    return difference(one.port, other.port);
}

/* By address and port. The family of the left one says how many words of the addresses count. */
static int compare_servers(const uint8_t *records, uint32_t left, uint32_t right)
{
    struct ipvsnl_dest one, other;
    int found;

    memcpy(&one, records + left * sizeof one, sizeof one);
    memcpy(&other, records + right * sizeof other, sizeof other);
    found = compare_words(one.addr, other.addr, words_of(one.addr_family));
    return found ? found : difference(one.port, other.port);
}

static void sort(const uint8_t *records, compare compared, uint32_t *items, uint32_t *scratch, size_t count)
{
    size_t half = count / 2, left = 0, right = half;

    if (count < 2)
        return;
    sort(records, compared, items, scratch, half);
    sort(records, compared, items + half, scratch, count - half);
    for (size_t i = 0; i < count; i++) {
        int first = right == count || (left < half && compared(records, items[left], items[right]) <= 0);
        scratch[i] = first ? items[left++] : items[right++];
    }
    memcpy(items, scratch, count * sizeof *items);
}

int64_t ipvsnl_order(enum ipvsnl_group group, const void *records, size_t size, const uint32_t *counts, size_t ranges,
                     uint32_t *order, uint32_t *scratch, size_t capacity, struct ipvsnl_fault *fault)
{
    compare compared = group == IPVSNL_GROUP_SERVICE ? compare_services : compare_servers;
    size_t all, here = 0;

    if (group != IPVSNL_GROUP_SERVICE && group != IPVSNL_GROUP_DEST)
        return fail(fault, IPVSNL_NO_GROUP, 0, -1);
    all = size / groups[group]->extent;
    if (all > capacity || all > UINT32_MAX)
        return fail(fault, IPVSNL_NO_ROOM, capacity, -1);
    for (size_t i = 0; i < ranges; i++) {
        if (counts[i] > all - here)
            return fail(fault, IPVSNL_BOUNDS, i, -1);
        for (size_t n = 0; n < counts[i]; n++)
            order[here + n] = (uint32_t)(here + n);
        sort(records, compared, order + here, scratch, counts[i]);
        here += counts[i];
    }
    return (int64_t)here;
}
