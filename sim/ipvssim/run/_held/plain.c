/* What programs do with each new socket, answered at once where it is plain: it is made, takes a name, and asks what others
 * asked before. */
#define _GNU_SOURCE

#include "internal.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

_Static_assert(sizeof(struct sockaddr_nl) == HELD_ADDRESS, "struct sockaddr_nl");

static struct sockaddr_nl address_in(const char *bytes)
{
    struct sockaddr_nl found;
    memcpy(&found, bytes, sizeof found);
    return found;
}

static int answered(int listener, const struct held_call *call, int64_t value)
{
    int told = held_respond(listener, call->id, value, 0, 0);
    return told < 0 ? told : HELD_DONE;
}

/* Whether a thread is in the network namespace whose sockets are made here. */
static int is_at_home(const struct held_rules *rules, uint32_t thread)
{
    char path[HELD_WORLD], name[HELD_WORLD] = "";
    snprintf(path, sizeof path, "/proc/%u/ns/net", thread);
    return readlink(path, name, sizeof name - 1) > 0 && strcmp(name, rules->world) == 0;
}

/* A new pair, whose program's end the caller gets: 1, or 0 where it no longer waits. Our end becomes `channel`, if that is
 * one. */
static int begun(int listener, const struct held_rules *rules, const struct held_call *call, struct held_socket *made, int channel)
{
    static const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    char peer[HELD_ADDRESS];
    struct held_file file;
    int32_t pair[2];
    int told = held_pair((call->arguments[1] & SOCK_NONBLOCK) != 0, pair, &file);
    if (told) return told;
    if (channel >= 0) {
        told = dup3(pair[0], channel, O_CLOEXEC) < 0 ? -errno : 0;
        close(pair[0]);
        pair[0] = channel;
    }
    memcpy(peer, &kernel, sizeof peer);
    held_begin(made, &file, pair[0], peer);
    if (!told) told = held_watch(rules->poll, pair[0], EPOLLIN | EPOLLOUT | EPOLLET, HELD_CHANNEL);
    if (!told) told = held_inject(listener, call->id, pair[1], (call->arguments[1] & SOCK_CLOEXEC) != 0);
    close(pair[1]);
    if (told != 1 && channel < 0) close(pair[0]);
    return told;
}

/* A closed socket's place is free: nobody finds it any more. */
static void vacated(struct held_socket *socket)
{
    uint32_t type = socket->type, thread = socket->thread, renewed = socket->renewed;
    struct held_file nothing = {0, 0};
    char nobody[HELD_ADDRESS] = {0};
    held_begin(socket, &nothing, socket->channel, nobody);
    socket->type = type;
    socket->thread = thread;
    socket->renewed = renewed;
    socket->vacant = 1;
}

int held_vacate(const struct held_rules *rules, int channel)
{
    for (uint32_t one = 0; one < rules->sockets; one++) {
        struct held_socket *socket = rules->socket[one];
        if (socket->channel != channel) continue;
        if (socket->plain && socket->thread) vacated(socket);
        return socket->vacant != 0;
    }
    return 0;
}

static struct held_socket *vacant_of(const struct held_rules *rules, uint32_t type)
{
    for (uint32_t one = 0; one < rules->sockets; one++)
        if (rules->socket[one]->vacant && rules->socket[one]->type == type) return rules->socket[one];
    return NULL;
}

int held_make(int listener, struct held_rules *rules, const struct held_call *call)
{
    uint32_t type = (uint32_t)call->arguments[1] & ~(uint32_t)(SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (!rules->complete || (type != SOCK_RAW && type != SOCK_DGRAM)) return HELD_ASKS;
    struct held_socket *vacant = vacant_of(rules, type), *made = vacant;
    if (!vacant && (!rules->spares || rules->sockets == HELD_SOCKETS)) return HELD_ASKS;
    if (!is_at_home(rules, call->tid)) return HELD_ASKS;
    if (!vacant) made = rules->spare[rules->spares - 1];
    int told = begun(listener, rules, call, made, vacant ? vacant->channel : -1);
    made->thread = call->tid;
    made->type = type;
    made->plain = 1;
    if (vacant) {
        made->renewed = 1;
        rules->renewed++;
        if (told != 1) vacated(made);
    } else if (told == 1) {
        rules->spares--;
        rules->socket[rules->sockets++] = made;
    }
    return told == 0 || told == 1 ? HELD_DONE : HELD_ASKS;
}

int held_bind(int listener, const struct held_rules *rules, const struct held_call *call, struct held_socket *socket)
{
    char bytes[HELD_ADDRESS];
    if (!rules->complete || (uint32_t)call->arguments[2] != HELD_ADDRESS) return HELD_ASKS;
    if (held_read((int)call->tid, call->arguments[1], bytes, sizeof bytes)) return HELD_ASKS;
    struct sockaddr_nl wanted = address_in(bytes);
    if (wanted.nl_family != AF_NETLINK || !wanted.nl_pid || wanted.nl_groups || wanted.nl_pad) return HELD_ASKS;
    if (address_in(socket->name).nl_pid || address_in(socket->name).nl_groups) return HELD_ASKS;
    for (uint32_t one = 0; one < rules->sockets; one++)
        if (address_in(rules->socket[one]->name).nl_pid == wanted.nl_pid) return HELD_ASKS;
    if (held_waits(listener, call->id) != 1) return HELD_DONE;
    memcpy(socket->name, bytes, sizeof bytes);
    socket->bound = 1;
    return answered(listener, call, 0);
}

/* Whether a datagram is the question that is known, for the kernel: all but its number and its sender's port. */
static int is_known(const struct held_rules *rules, const struct held_call *call)
{
    enum { NUMBER = offsetof(struct nlmsghdr, nlmsg_seq), REST = sizeof(struct nlmsghdr) };
    const struct held_known *known = &rules->known;
    if (!known->count || (uint32_t)call->sent != known->size) return 0;
    if (call->name_size) {
        struct sockaddr_nl to = address_in(call->name);
        if (call->name_size < HELD_ADDRESS || to.nl_family != AF_NETLINK || to.nl_pid) return 0;
    }
    return !memcmp(rules->bytes, known->question, NUMBER) &&
           !memcmp(rules->bytes + REST, known->question + REST, known->size - REST);
}

/* One of its answers, to this asker: the last is an acknowledgement where it repeats the question's header. */
static size_t answer_of(const struct held_rules *rules, uint32_t port, uint32_t number, char *into)
{
    const struct held_known *known = &rules->known;
    uint32_t start = number ? known->ends[number - 1] : 0, size = known->ends[number] - start;
    struct nlmsghdr question, header;
    memcpy(&question, rules->bytes, sizeof question);
    memcpy(into, known->answers + start, size);
    memcpy(&header, into, sizeof header);
    header.nlmsg_seq = question.nlmsg_seq;
    header.nlmsg_pid = port;
    memcpy(into, &header, sizeof header);
    if (header.nlmsg_type == NLMSG_ERROR)
        memcpy(into + NLMSG_HDRLEN + offsetof(struct nlmsgerr, msg), &question, sizeof question);
    return size;
}

int held_answer(int listener, const struct held_rules *rules, const struct held_call *call, struct held_socket *socket)
{
    uint32_t port = address_in(socket->name).nl_pid;
    char answer[HELD_ANSWERS];
    if (!socket->plain || socket->taken != socket->count || !port || !is_known(rules, call)) return HELD_ASKS;
    uint32_t owed = socket->answered ? socket->owed : socket->taken;
    for (uint32_t one = 0; one < rules->known.count; one++) {
        size_t size = answer_of(rules, port, one, answer);
        held_lay(socket, one, answer, size);
    }
    socket->owed = owed;
    socket->answered = 1;
    int told = held_respond(listener, call->id, call->sent, 0, 0);
    if (told == 0) { /* its caller asks again */
        held_lift(socket, call->copy);
        socket->taken = socket->count;
    }
    return told < 0 ? told : HELD_DONE;
}
