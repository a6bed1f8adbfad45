/* Columns become requests: every request is a copy of one pattern, and its own items are stamped into the copy. */
#include "internal.h"

#define BLOCK 64 /* rows at a time: their requests stay in the first cache while column after column is stamped */

/* Whether a column has `end` rows, and its items lie in the request. */
static int fits(const struct ipvsnl_column *column, size_t end, size_t request)
{
    if (column->width > request || column->target > request - column->width)
        return 0;
    if (column->form == IPVSNL_FORM_SWAPPED ? column->width != 2 : column->form != IPVSNL_FORM_PLAIN)
        return 0;
    if (end == 0)
        return 1;
    if (column->width > column->length)
        return 0;
    return column->stride == 0 || end - 1 <= (column->length - column->width) / column->stride;
}

/* The items of a column, one for each row. Each usual width has a loop of its own, which the compiler makes fast. */
#define STAMP(width)                                                                                                   \
    for (; rows; rows--, from += column->stride, to += length)                                                         \
    memcpy(to, from, width)

static void stamp(const struct ipvsnl_column *column, size_t row, size_t rows, uint8_t *to, size_t length)
{
    const uint8_t *from = (const uint8_t *)column->data + row * column->stride;

    to += column->target;
    if (column->form == IPVSNL_FORM_SWAPPED) {
        for (; rows; rows--, from += column->stride, to += length) {
            uint16_t value = load16(from);
            to[0] = (uint8_t)(value >> 8);
            to[1] = (uint8_t)value;
        }
        return;
    }
    switch (column->width) {
    case 1:
        STAMP(1);
        break;
    case 2:
        STAMP(2);
        break;
    case 4:
        STAMP(4);
        break;
    case 16:
        STAMP(16);
        break;
    default:
        STAMP(column->width);
    }
}

int64_t ipvsnl_stamp(const void *request, size_t length, uint32_t sequence, const struct ipvsnl_column *columns,
                     size_t count, size_t first, size_t rows, void *out, size_t capacity, struct ipvsnl_fault *fault)
{
    uint8_t *to = out;

    if (length < IPVSNL_NLMSG_HEADER || rows > SIZE_MAX - first)
        return fail(fault, IPVSNL_SHORT_MESSAGE, 0, -1);
    if (rows > capacity / length)
        return fail(fault, IPVSNL_NO_ROOM, capacity, -1);
    for (size_t i = 0; i < count; i++)
        if (!fits(&columns[i], rows ? first + rows : 0, length))
            return fail(fault, IPVSNL_COLUMN, i, -1);
    for (size_t row = 0; row < rows; row += BLOCK, to += BLOCK * length) {
        size_t block = rows - row < BLOCK ? rows - row : BLOCK;
        for (size_t i = 0; i < block; i++) {
            memcpy(to + i * length, request, length);
            store32(to + i * length + 8, sequence);
            sequence = sequence == UINT32_MAX ? 1 : sequence + 1;
        }
        for (size_t i = 0; i < count; i++)
            stamp(&columns[i], first + row, block, to, length);
    }
    return (int64_t)(rows * length);
}
