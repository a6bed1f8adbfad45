/* Keys of connections that others keep: a packet that has one of them is left. */
#include <stdlib.h>

#include "internal.h"

#define FIRST_ROWS 1024u

static void enter(uint64_t *foreign, uint32_t rows, uint64_t hashed)
{
    uint32_t row = (uint32_t)hashed & (rows - 1);
    while (foreign[row] && foreign[row] != hashed)
        row = (row + 1) & (rows - 1);
    foreign[row] = hashed;
}

int32_t lane_foreign(struct lane *lane, uint32_t source, uint32_t destination, uint16_t port, uint16_t to, uint8_t protocol)
{
    struct key key = {source, destination, port, to, protocol};
    if (lane->foreign_count >= lane->foreign_rows / 2) {
        uint32_t rows = lane->foreign_rows ? lane->foreign_rows * 2 : FIRST_ROWS;
        uint64_t *more = calloc(rows, sizeof *more);
        if (more == NULL)
            return LANE_NO_MEMORY;
        for (uint32_t row = 0; row < lane->foreign_rows; row++)
            if (lane->foreign[row])
                enter(more, rows, lane->foreign[row]);
        free(lane->foreign);
        lane->foreign = more;
        lane->foreign_rows = rows;
    }
    enter(lane->foreign, lane->foreign_rows, hash(key) | 1);
    lane->foreign_count++;
    return 0;
}

void lane_forget_foreign(struct lane *lane)
{
    if (lane->foreign_count)
        memset(lane->foreign, 0, lane->foreign_rows * sizeof *lane->foreign);
    lane->foreign_count = 0;
}

bool lane_is_foreign(const struct lane *lane, uint64_t hashed)
{
    if (!lane->foreign_count)
        return false;
    hashed |= 1;
    uint32_t row = (uint32_t)hashed & (lane->foreign_rows - 1);
    while (lane->foreign[row] && lane->foreign[row] != hashed)
        row = (row + 1) & (lane->foreign_rows - 1);
    return lane->foreign[row] != 0;
}
