/* One turn of the loop: what programs did without a held call, then a held call. */
#define _GNU_SOURCE

#include "internal.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

int held_watch(int poll, int descriptor, uint32_t events, int watched)
{
    struct epoll_event event = {.events = events};
    event.data.u64 = (uint64_t)watched << 32 | (uint32_t)descriptor;
    return epoll_ctl(poll, EPOLL_CTL_ADD, descriptor, &event) < 0 ? -errno : 0;
}

/* Whether a channel tells no more than that we took something out of the program's end ourselves. */
static int is_ours(const struct held_rules *rules, const struct epoll_event *event)
{
    if (event->events != EPOLLOUT || event->data.u64 >> 32 != HELD_CHANNEL) return 0;
    for (uint32_t one = 0; one < rules->sockets; one++)
        if (rules->socket[one]->channel == (int)(uint32_t)event->data.u64) return !held_was_read(rules->socket[one]);
    return 0;
}

/* Whether a channel tells that the program's end was closed, and that nothing was written there before. */
static int is_closed(const struct epoll_event *event)
{
    char byte;
    if (!(event->events & EPOLLHUP) || event->data.u64 >> 32 != HELD_CHANNEL) return 0;
    return recv((int)(uint32_t)event->data.u64, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* Gather what happened at other descriptors. Closed ends can wait: nobody asks anything of them any more. The listener at which
 * a call waits comes in *calls, and whether something happened that comes before it in *first. HELD_GONE: nothing. */
static int gather(int poll, int timeout, const struct held_rules *rules, struct held_events *events, int *calls, int *first)
{
    struct epoll_event found[HELD_EVENTS];
    int count = epoll_wait(poll, found, (int)(HELD_EVENTS - events->count), timeout);
    *calls = -1;
    *first = 0;
    if (count < 0) return errno == EINTR ? HELD_GONE : -errno;
    if (count == 0) return HELD_GONE;
    for (int one = 0; one < count; one++) {
        if (found[one].data.u64 >> 32 == HELD_LISTENER && found[one].events & EPOLLIN)
            *calls = *calls < 0 ? (int)(uint32_t)found[one].data.u64 : *calls;
        else if (!is_ours(rules, &found[one])) {
            int descriptor = (int)(uint32_t)found[one].data.u64, closed = is_closed(&found[one]);
            if (closed && held_vacate(rules, descriptor)) continue;
            uint32_t what = closed ? (uint32_t)EPOLLHUP : found[one].events;
            events->event[events->count++] = (struct held_event){descriptor, what};
            *first |= !closed;
        }
    }
    return HELD_DONE;
}

/* Whether a call is about a socket, and not the one whose copy is kept. */
static int is_about_another(struct held_rules *rules, const struct held_call *call)
{
    if (!rules->kept.socket || call->number < 0 || call->number >= HELD_NUMBERS) return 0;
    int kind = rules->kind[call->number];
    if (kind == HELD_PATH) return 0;
    return kind == HELD_OTHER || kind == HELD_MAKE || !held_is_kept(rules, call);
}

/* One round of a turn: -1 where there may be another. */
static int round_of(int poll, int timeout, struct held_rules *rules, struct held_call *call, struct held_events *events)
{
    int calls, first, fate = gather(poll, timeout, rules, events, &calls, &first);
    if (fate != HELD_DONE) return fate;
    if (first || events->count == HELD_EVENTS) return HELD_DONE; /* calls are told of again */
    if (calls < 0) return -1;
    int listener = events->listener = calls;
    fate = held_receive(listener, call);
    if (fate == HELD_DONE && is_about_another(rules, call) && held_let_go(rules)) {
        fate = gather(poll, 0, rules, events, &calls, &first); /* the one that was kept may have been closed */
        if (fate < 0 || first || events->count == HELD_EVENTS) return fate < 0 ? fate : HELD_ASKS;
        fate = HELD_DONE;
    }
    if (fate == HELD_DONE) fate = held_decide(listener, rules, call);
    return fate < 0 || fate == HELD_ASKS ? fate : -1;
}

/* Rounds in which only calls are awaited. What else happened comes before the one that does not pass. */
static int quiet(int poll, struct held_rules *rules, struct held_call *call, struct held_events *events)
{
    int calls, first, listener = rules->lone, fate = held_quiet(poll, listener, rules, call);
    if (fate != HELD_ASKS) return fate;
    events->listener = listener;
    fate = gather(poll, 0, rules, events, &calls, &first);
    return fate < 0 ? fate : held_decide(listener, rules, call);
}

static int rounds_of(int poll, int timeout, struct held_rules *rules, struct held_call *call, struct held_events *events)
{
    for (int rounds = 0; rounds < HELD_ROUNDS; rounds++) {
        int fate = round_of(poll, timeout, rules, call, events);
        if (fate != -1) return fate;
        if (rounds == HELD_CALM && timeout < 0 && rules->lone >= 0 && !rules->sockets && !events->count)
            return quiet(poll, rules, call, events);
    }
    return HELD_DONE;
}

int held_turn(int poll, int timeout, struct held_rules *rules, struct held_call *call, struct held_events *events)
{
    events->count = 0;
    int fate = rounds_of(poll, timeout, rules, call, events);
    held_let_go(rules);
    return fate;
}
