/* What is remembered of a capture: what packets are known by, the last requests, and flows. */
#include <stdlib.h>

#include "capturing.h"

#define FIRST_ROWS 64u
#define CHAINS (2 * REMEMBERED)

struct capture *capture_new(void)
{
    struct capture *capture = calloc(1, sizeof *capture);
    if (capture == NULL)
        return NULL;
    capture->newest = capture->oldest = NONE;
    capture->requests = calloc(REMEMBERED, sizeof *capture->requests);
    capture->chains = malloc(CHAINS * sizeof *capture->chains);
    if (!capture->requests || !capture->chains) {
        capture_free(capture);
        return NULL;
    }
    memset(capture->chains, 0xFF, CHAINS * sizeof *capture->chains);
    return capture;
}

void capture_free(struct capture *capture)
{
    if (capture == NULL)
        return;
    free(capture->known.keys);
    free(capture->known.values);
    free(capture->clients.keys);
    free(capture->clients.values);
    free(capture->requests);
    free(capture->chains);
    free(capture->flows);
    free(capture);
}

struct capture_counts *capture_counts(struct capture *capture)
{
    return &capture->counts;
}

/* --- numbers by key --- */

static uint32_t row_of(uint64_t key, uint32_t rows)
{
    key *= 0x9E3779B97F4A7C15u;
    return (uint32_t)(key >> 32) & (rows - 1);
}

uint32_t capture_find(const struct numbers *numbers, uint64_t key)
{
    if (!numbers->count)
        return NONE;
    uint32_t row = row_of(key, numbers->rows);
    while (numbers->keys[row] && numbers->keys[row] != key)
        row = (row + 1) & (numbers->rows - 1);
    return numbers->keys[row] ? numbers->values[row] : NONE;
}

static void insert(struct numbers *numbers, uint64_t key, uint32_t value)
{
    uint32_t row = row_of(key, numbers->rows);
    while (numbers->keys[row] && numbers->keys[row] != key)
        row = (row + 1) & (numbers->rows - 1);
    if (!numbers->keys[row])
        numbers->count++;
    numbers->keys[row] = key;
    numbers->values[row] = value;
}

/* Room for two more. */
bool capture_has_room(struct numbers *numbers)
{
    if ((numbers->count + 2) * 2 <= numbers->rows)
        return true;
    if (numbers->rows > 1u << 29)
        return false;
    struct numbers wide = {.rows = numbers->rows ? numbers->rows * 2 : FIRST_ROWS};
    wide.keys = calloc(wide.rows, sizeof *wide.keys);
    wide.values = malloc(wide.rows * sizeof *wide.values);
    if (!wide.keys || !wide.values) {
        free(wide.keys);
        free(wide.values);
        return false;
    }
    for (uint32_t row = 0; row < numbers->rows; row++)
        if (numbers->keys[row])
            insert(&wide, numbers->keys[row], numbers->values[row]);
    free(numbers->keys);
    free(numbers->values);
    *numbers = wide;
    return true;
}

static bool is_many(uint64_t key)
{
    return key >> 56 >= CAPTURE_ADDRESS;
}

int32_t capture_note(struct capture *capture, uint64_t key, uint32_t value)
{
    struct numbers *numbers = is_many(key) ? &capture->clients : &capture->known;
    if (!capture_has_room(numbers))
        return LANE_NO_MEMORY;
    insert(numbers, key, value);
    return 0;
}

uint32_t capture_noted(const struct capture *capture, uint64_t key)
{
    return capture_find(is_many(key) ? &capture->clients : &capture->known, key);
}

/* --- the last requests --- */

static uint32_t *chain_of(const struct capture *capture, const uint8_t *print, uint32_t size)
{
    uint64_t hashed = size;
    for (uint32_t at = 0; at < size; at += 8) {
        uint64_t word = 0;
        memcpy(&word, print + at, size - at < 8 ? size - at : 8);
        hashed = (hashed ^ word) * 0xD6E8FEB86659FD93u;
        hashed ^= hashed >> 32;
    }
    return &capture->chains[hashed & (CHAINS - 1)];
}

static uint32_t found(const struct capture *capture, uint32_t number, const uint8_t *print, uint32_t size)
{
    while (number != NONE) {
        const struct request *one = &capture->requests[number];
        if (one->size == size && memcmp(one->print, print, size) == 0)
            break;
        number = one->next;
    }
    return number;
}

int32_t capture_recall(const struct capture *capture, const uint8_t *print, uint32_t size, struct capture_first *first)
{
    uint32_t number = found(capture, *chain_of(capture, print, size), print, size);
    if (number != NONE)
        *first = capture->requests[number].first;
    return number != NONE;
}

/* Take a request out of its chain and of the order. */
static void forget(struct capture *capture, uint32_t number)
{
    struct request *one = &capture->requests[number];
    uint32_t *link = chain_of(capture, one->print, one->size);
    while (*link != number)
        link = &capture->requests[*link].next;
    *link = one->next;
    *(one->earlier != NONE ? &capture->requests[one->earlier].later : &capture->oldest) = one->later;
    *(one->later != NONE ? &capture->requests[one->later].earlier : &capture->newest) = one->earlier;
}

void capture_remember(struct capture *capture, const uint8_t *print, uint32_t size, const struct capture_first *first)
{
    if (size > CAPTURE_PRINT)
        return;
    uint32_t number = found(capture, *chain_of(capture, print, size), print, size);
    if (number == NONE)
        number = capture->remembered < REMEMBERED ? NONE : capture->oldest;
    if (number != NONE)
        forget(capture, number);
    else
        number = capture->remembered++;
    struct request *one = &capture->requests[number];
    uint32_t *chain = chain_of(capture, print, size);
    one->first = *first;
    one->size = (uint8_t)size;
    memcpy(one->print, print, size);
    one->next = *chain;
    *chain = number;
    one->later = NONE;
    one->earlier = capture->newest;
    *(capture->newest != NONE ? &capture->requests[capture->newest].later : &capture->oldest) = number;
    capture->newest = number;
}

/* --- flows --- */

uint32_t capture_open(struct capture *capture)
{
    if (capture->flow_count == capture->flow_room) {
        if (capture->flow_room > 1u << 29)
            return NONE;
        uint32_t room = capture->flow_room ? capture->flow_room * 2 : 64;
        struct capture_flow *flows = realloc(capture->flows, room * sizeof *flows);
        if (flows == NULL)
            return NONE;
        capture->flows = flows;
        capture->flow_room = room;
    }
    memset(&capture->flows[capture->flow_count], 0, sizeof *capture->flows);
    capture->flows[capture->flow_count].last_state = NO_STATE;
    return capture->flow_count++;
}

struct capture_flow *capture_flows(struct capture *capture)
{
    return capture->flows;
}

uint32_t capture_flow_count(const struct capture *capture)
{
    return capture->flow_count;
}

void capture_live(struct capture *capture, const struct lane *lane)
{
    for (uint32_t number = 0; number < capture->flow_count; number++)
        capture->flows[number].live = 0;
    for (uint32_t number = 0; number < lane->used; number++) {
        const struct connection *one = &lane->connections[number];
        if (one->protocol && one->tag < capture->flow_count)
            capture->flows[one->tag].live = 1;
    }
}
