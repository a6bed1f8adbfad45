/* Timers: a wheel of jiffies. A connection whose time is moved on stays in its bucket, and is moved when that is reached.
 * The kernel's own wheel is coarser: when that lets go a connection whose time is over, lapse() tells. */
#include "packet.h"

#define AT_ONCE 32
#define FINE 63 /* jiffies: shorter timers are exact; each level is for timers eight times as long */
#define COARSER 3
#define COARSEST 21 /* where HZ is 100; else one level more */

/* The jiffy at which its timer fires (calc_wheel_index, kernel/time/timer.c, Linux 6.1). */
static int64_t lapse(const struct lane *lane, const struct connection *one)
{
    int64_t born = lane->rules.born, expires = one->expires, delay = one->timeout;
    uint32_t shift = 0, coarsest = lane->rules.jiffy == LANE_JIFFY ? COARSEST : COARSEST + COARSER;
    if (born < 0)
        return expires;
    while (delay >= (int64_t)FINE << shift && shift < coarsest)
        shift += COARSER;
    if (delay >= (int64_t)FINE << coarsest) /* beyond the wheel: as long as it can be */
        expires -= delay - ((int64_t)(FINE - 1) << coarsest);
    return (((born + expires) >> shift) + 1) * ((int64_t)1 << shift) - born;
}

static int64_t jiffy_of(const struct lane *lane, uint32_t bucket)
{
    return lane->done + 1 + ((bucket - (uint32_t)(lane->done + 1)) & (WHEEL - 1));
}

void lane_queue(struct lane *lane, uint32_t number)
{
    struct connection *one = &lane->connections[number];
    int64_t jiffy = lapse(lane, one), last = lane->done + WHEEL - 1;
    if (jiffy <= lane->done)
        jiffy = lane->done + 1;
    if (jiffy > last)
        jiffy = last;
    uint32_t bucket = (uint32_t)jiffy & (WHEEL - 1);
    one->bucket = (uint16_t)bucket;
    one->earlier = NONE;
    one->later = lane->buckets[bucket];
    if (one->later != NONE)
        lane->connections[one->later].earlier = number;
    lane->buckets[bucket] = number;
    lane->filled[bucket / 64] |= (uint64_t)1 << bucket % 64;
    if (lane->next < 0 || jiffy < lane->next)
        lane->next = jiffy;
}

void lane_unqueue(struct lane *lane, uint32_t number)
{
    struct connection *one = &lane->connections[number];
    if (one->later != NONE)
        lane->connections[one->later].earlier = one->earlier;
    if (one->earlier != NONE) {
        lane->connections[one->earlier].later = one->later;
        return;
    }
    lane->buckets[one->bucket] = one->later;
    if (one->later == NONE)
        lane->filled[one->bucket / 64] &= ~((uint64_t)1 << one->bucket % 64);
}

/* Its timer starts anew: it expires its timeout from now, at a whole jiffy and not early; where there is the kernel's wheel,
 * which sees to that, its timeout from this jiffy on. A `fresh` one stands in no bucket yet. */
void lane_start(struct lane *lane, uint32_t number, int64_t now, bool fresh)
{
    struct connection *one = &lane->connections[number];
    int64_t begun = lane->rules.born < 0 ? now + lane->rules.jiffy - 1 : now;
    one->expires = jiffy_of_time(lane, begun) + one->timeout;
    if (!fresh) {
        if (lapse(lane, one) >= jiffy_of(lane, one->bucket))
            return;
        lane_unqueue(lane, number);
    }
    lane_queue(lane, number);
}

/* The first filled bucket's jiffy. */
static int64_t look(const struct lane *lane)
{
    uint32_t first = (uint32_t)(lane->done + 1) & (WHEEL - 1), word = first / 64;
    uint64_t bits = lane->filled[word] >> first % 64 << first % 64;
    for (uint32_t turn = 0; turn <= WHEEL / 64; turn++) {
        if (bits)
            return jiffy_of(lane, word * 64 + (uint32_t)__builtin_ctzll(bits));
        word = (word + 1) % (WHEEL / 64);
        bits = lane->filled[word];
    }
    return -1;
}

int64_t lane_next(const struct lane *lane)
{
    return lane->count ? look(lane) : -1;
}

/* Connections that expire together, and the hashes of their keys. */
struct group {
    uint32_t numbers[AT_ONCE], count;
    uint64_t requests[AT_ONCE], replies[AT_ONCE];
};

/* Take the chains' memory near, of all of a group at once. */
static void approach_all(const struct lane *lane, struct group *group)
{
    uint64_t rows = lane->rows - 1;
    for (uint32_t at = 0; at < group->count; at++) {
        const struct connection *one = &lane->connections[group->numbers[at]];
        group->requests[at] = hash(request_key(one));
        group->replies[at] = hash(reply_key(lane, one));
        __builtin_prefetch(&lane->requests[group->requests[at] & rows]);
        __builtin_prefetch(&lane->replies[group->replies[at] & rows]);
    }
    for (uint32_t at = 0; at < group->count; at++) {
        approach(lane, lane->requests[group->requests[at] & rows]);
        approach(lane, lane->replies[group->replies[at] & rows]);
    }
}

static void let_go(struct lane *lane, const struct group *group, uint32_t at)
{
    const struct connection *one = &lane->connections[group->numbers[at]];
    struct lane_server *server = &lane->servers[one->server];
    if (one->flags & lane->rules.inactive)
        server->gone_inactive++;
    else
        server->gone_active++;
    lane_unbind(lane, one);
    lane_unlink(lane, group->numbers[at], group->requests[at], group->replies[at]);
}

static int64_t empty(struct lane *lane, uint32_t bucket, int64_t jiffy)
{
    int64_t gone = 0;
    uint32_t at = lane->buckets[bucket];
    lane->buckets[bucket] = NONE;
    lane->filled[bucket / 64] &= ~((uint64_t)1 << bucket % 64);
    while (at != NONE) {
        struct group group;
        for (group.count = 0; at != NONE && group.count < AT_ONCE;) {
            uint32_t later = lane->connections[at].later;
            if (lapse(lane, &lane->connections[at]) <= jiffy)
                group.numbers[group.count++] = at;
            else
                lane_queue(lane, at);
            at = later;
        }
        approach_all(lane, &group);
        for (uint32_t each = 0; each < group.count; each++)
            let_go(lane, &group, each);
        gone += group.count;
    }
    return gone;
}

int64_t lane_expire(struct lane *lane, int64_t jiffy)
{
    int64_t gone = 0, next;
    while (lane->count && (next = look(lane)) >= 0 && next <= jiffy) {
        lane->done = next;
        gone += empty(lane, (uint32_t)next & (WHEEL - 1), jiffy);
    }
    if (jiffy > lane->done)
        lane->done = jiffy;
    lane->next = lane->count ? look(lane) : -1;
    return gone;
}

/* Whether nothing else comes before the packet at `at`; then it is its time. */
enum lane_stop lane_at_its_time(const struct lane *lane, struct lane_batch *batch)
{
    if (batch->times == NULL || batch->times[batch->at] <= batch->now)
        return LANE_DONE;
    int64_t time = batch->times[batch->at], jiffy = jiffy_of_time(lane, time);
    if (jiffy >= batch->event || (lane->count && lane->next >= 0 && jiffy >= lane->next))
        return LANE_WAIT;
    batch->now = time;
    return LANE_DONE;
}
