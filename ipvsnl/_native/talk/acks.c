/* The answers to a batch of changes: which changes the kernel refused, and whether all answers have come. */
#include <errno.h>

#include "talk/socket.h"

static int is_ours(const struct ipvsnl_answers *answers, uint32_t sequence)
{
    if (answers->first <= answers->closing)
        return answers->first <= sequence && sequence <= answers->closing;
    return sequence >= answers->first || (sequence && sequence <= answers->closing);
}

/* How many requests there are: numbers go from 1 to UINT32_MAX and begin anew. */
static uint32_t requests_of(const struct ipvsnl_answers *answers)
{
    return answers->closing - answers->first + (answers->first <= answers->closing);
}

static void note_words(struct ipvsnl_refusal *refusal, const uint8_t *datagram, const struct ipvsnl_extack *extack)
{
    size_t length = extack->has_text ? (size_t)extack->text_length : 0;

    if (length > IPVSNL_WORDS_MAX)
        length = IPVSNL_WORDS_MAX;
    memset(refusal->words, 0, sizeof refusal->words);
    if (length)
        memcpy(refusal->words, datagram + extack->text, length);
}

int64_t ipvsnl_take_answers(const void *datagram, size_t length, struct ipvsnl_answers *answers,
                            struct ipvsnl_refusal *refusals, size_t capacity, struct ipvsnl_fault *fault)
{
    struct ipvsnl_message message;
    struct ipvsnl_extack extack;
    size_t here = 0;
    int64_t ours = 0;

    while (here < length) {
        int64_t error;
        if (ipvsnl_split(datagram, length, here, &message, 1, fault) < 0)
            return -1;
        here = (size_t)message.end < length ? aligned((size_t)message.end) : length;
        if (!is_ours(answers, message.sequence) || message.type >= IPVSNL_NLMSG_MIN_TYPE)
            continue;
        if (message.type == IPVSNL_NLMSG_OVERRUN)
            return fail(fault, IPVSNL_LOST, (size_t)message.start, -1);
        if (message.type != IPVSNL_NLMSG_ERROR)
            continue;
        error = ipvsnl_decode_error((uint16_t)message.flags, datagram, length, message.start, message.end, &extack,
                                    fault);
        if (error < 0)
            return -1;
        if (answers->answered >= requests_of(answers))
            return fail(fault, IPVSNL_MANY_ANSWERS, (size_t)message.start, -1);
        answers->answered++;
        ours++;
        if (message.sequence == answers->closing)
            answers->finished = 1;
        if (error == 0)
            continue;
        if (answers->refused >= capacity)
            return fail(fault, IPVSNL_NO_ROOM, (size_t)message.start, -1);
        refusals[answers->refused].sequence = message.sequence;
        refusals[answers->refused].error = (int32_t)error;
        note_words(&refusals[answers->refused++], datagram, &extack);
    }
    return ours;
}

/* Take in the datagrams that lie in the slots. Answers how many answers were ours. */
static int64_t take_slots(const uint8_t *buffer, const uint32_t *lengths, int64_t count, struct ipvsnl_answers *answers,
                          struct ipvsnl_refusal *refusals, size_t capacity, struct ipvsnl_fault *fault)
{
    int64_t ours = 0;

    for (int64_t i = 0; i < count; i++) {
        int64_t found = ipvsnl_take_answers(buffer + (size_t)i * IPVSNL_ANSWER_SLOT, lengths[i], answers, refusals,
                                            capacity, fault);
        if (found < 0)
            return -1;
        ours += found;
    }
    return ours;
}

int64_t ipvsnl_converse(int socket, const void *requests, size_t length, struct ipvsnl_answers *answers,
                        struct ipvsnl_refusal *refusals, size_t capacity, void *buffer, size_t size, int timeout,
                        struct ipvsnl_fault *fault)
{
    uint32_t lengths[IPVSNL_SLOTS];

    if (size < IPVSNL_ANSWER_SLOT)
        return fail(fault, IPVSNL_NO_ROOM, size, -1);
    if (ipvsnl_send_once(socket, requests, length, &answers->sent, timeout, &answers->deadline, fault) < 0)
        return -1;
    while (!answers->finished) {
        int64_t count = ipvsnl_receive(socket, buffer, size, IPVSNL_ANSWER_SLOT, lengths, fault), ours;
        if (count < 0 && fault->code == IPVSNL_LOST && !answers->lost) {
            answers->lost = 1; /* only once; what came before the loss can still be read */
            continue;
        }
        if (count == 0 && answers->lost)
            return fail(fault, IPVSNL_LOST, ENOBUFS, -1);
        if (count < 0)
            return -1;
        ours = take_slots(buffer, lengths, count, answers, refusals, capacity, fault);
        if (ours < 0)
            return -1;
        if (ours)
            answers->deadline = 0;
        else if (ipvsnl_wait(socket, timeout, &answers->deadline, fault) < 0)
            return -1;
    }
    return (int64_t)answers->refused;
}
