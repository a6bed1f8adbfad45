/* Calls about sockets that can be answered at once. Whatever is not plain is left to those who decide: they do the same. */
#define _GNU_SOURCE

#include "internal.h"

#include <linux/kcmp.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

void held_begin(struct held_socket *socket, const struct held_file *file, int channel, const char *peer)
{
    memset(socket, 0, offsetof(struct held_socket, bytes));
    socket->device = file->device;
    socket->inode = file->inode;
    socket->channel = channel;
    memcpy(socket->name, peer, HELD_ADDRESS);
    memcpy(socket->peer, peer, HELD_ADDRESS);
}

void held_post(struct held_socket *socket, const void *bytes, size_t size)
{
    if (socket->posted) return;
    /* It fails where the program has closed its end just now. */
    socket->posted = send(socket->channel, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

int held_lay(struct held_socket *socket, uint32_t place_of, const void *bytes, size_t size)
{
    if (place_of == 0) socket->taken = 0;
    uint32_t start = place_of ? socket->ends[place_of - 1] : 0;
    if (place_of == HELD_READY || size > HELD_SHELF - start) {
        socket->count = place_of;
        socket->ready = place_of ? place_of - 1 : 0;
        return 0;
    }
    memcpy(socket->bytes + start, bytes, size);
    socket->ends[place_of] = start + (uint32_t)size;
    socket->ready = socket->count = place_of + 1;
    if (place_of == 0) held_post(socket, bytes, size);
    return 1;
}

uint64_t held_settle(struct held_socket *socket)
{
    uint64_t set = socket->send_buffer || socket->receive_buffer, bound = socket->bound != 0;
    socket->left_at = socket->taken;
    socket->left = socket->answered ? socket->count - socket->taken : 0;
    uint64_t done = (uint64_t)socket->vacant << 35 | (uint64_t)(socket->left != 0) << 34 | bound << 33 | set << 32;
    done |= (uint64_t)socket->room << 8 | (socket->answered ? socket->owed : socket->taken);
    socket->count = socket->ready = socket->taken = socket->room = 0;
    socket->plain = socket->answered = socket->bound = 0;
    return done;
}

uint32_t held_port(const struct held_socket *socket)
{
    struct sockaddr_nl name;
    memcpy(&name, socket->name, sizeof name);
    return name.nl_pid;
}

int held_was_read(const struct held_socket *socket)
{
    int left = 0;
    return socket->posted && ioctl(socket->channel, SIOCOUTQ, &left) == 0 && left == 0;
}

static void seen(int copy, int name, int32_t *seen, int32_t *set)
{
    int32_t value = 0;
    socklen_t size = sizeof value;
    if (getsockopt(copy, SOL_SOCKET, name, &value, &size) < 0 || value == *seen) return;
    *seen = *set = value;
}

void held_look(struct held_socket *socket, int copy)
{
    seen(copy, SO_SNDBUF, &socket->send_seen, &socket->send_buffer);
    seen(copy, SO_RCVBUF, &socket->receive_seen, &socket->receive_buffer);
    if (socket->receive_buffer && socket->receive_buffer < HELD_ROOMY) socket->plain = 0;
}

/* The next datagram that lies ready, or is kept back. */
static struct iovec next_of(const struct held_socket *socket)
{
    uint32_t start = socket->taken ? socket->ends[socket->taken - 1] : 0;
    return ours(socket->bytes + start, socket->ends[socket->taken] - start);
}

static void post_next(struct held_socket *socket)
{
    if (socket->taken == socket->count) return;
    struct iovec next = next_of(socket);
    held_post(socket, next.iov_base, next.iov_len);
}

/* Take the datagram that lies in the program's end out of it. */
void held_lift(struct held_socket *socket, int copy)
{
    if (socket->posted) recv(copy, NULL, 0, MSG_DONTWAIT);
    socket->posted = 0;
}

/* Let the call return a value; where its caller no longer waits, nothing was taken. */
static int give(int listener, const struct held_call *call, struct held_socket *socket, uint64_t flags, size_t value)
{
    int keep = (flags & MSG_PEEK) != 0;
    if (!keep) {
        held_lift(socket, call->copy);
        socket->taken++;
        post_next(socket);
    }
    int told = held_respond(listener, call->id, (int64_t)value, 0, 0);
    if (told == 0 && !keep) {
        held_lift(socket, call->copy);
        socket->taken--;
        post_next(socket);
    }
    return told < 0 ? told : HELD_DONE;
}

static void offered(struct held_socket *socket, uint64_t room)
{
    if (room > HELD_LONGEST) room = HELD_LONGEST;
    if (room > socket->room) socket->room = (uint32_t)room;
}

static size_t value_of(uint64_t flags, uint64_t size, uint64_t room)
{
    return flags & MSG_TRUNC || size < room ? (size_t)size : (size_t)room;
}

/* A name as far as there is room for it, and its size. Where `where` is 0 there is nothing to tell. */
static int name_pieces(int thread, uint64_t where, uint64_t size_at, size_t *cut)
{
    int32_t room = 0;
    *cut = 0;
    if (!where) return 0;
    int wrong = held_read(thread, size_at, &room, sizeof room);
    if (wrong) return wrong;
    if (room < 0) return -EINVAL;
    *cut = room < HELD_ADDRESS ? (size_t)room : HELD_ADDRESS;
    return 0;
}

static int received(int listener, const struct held_call *call, struct held_socket *socket)
{
    static const int32_t named = HELD_ADDRESS;
    const uint64_t *argument = call->arguments;
    struct iovec next = next_of(socket);
    size_t size = next.iov_len, room = argument[2] < HELD_LONGEST ? (size_t)argument[2] : HELD_LONGEST;
    size_t cut, told = argument[4] ? sizeof named : 0;
    if (name_pieces((int)call->tid, argument[4], argument[5], &cut)) return HELD_ASKS;
    if (held_waits(listener, call->id) != 1) return HELD_DONE;
    size_t part = size < room ? size : room;
    struct iovec from[] = {ours(next.iov_base, part), ours(socket->peer, cut), ours(&named, told)};
    struct iovec to[] = {place(argument[1], part), place(argument[4], cut), place(argument[5], told)};
    if (held_write_all((int)call->tid, from, 3, to, 3)) return HELD_ASKS;
    offered(socket, room);
    return give(listener, call, socket, argument[3], value_of(argument[3], size, room));
}

static int message_received(int listener, const struct held_call *call, struct held_socket *socket)
{
    struct held_message message;
    struct iovec next = next_of(socket);
    uint64_t flags = call->arguments[2];
    if (held_message((int)call->tid, call->arguments[1], &message)) return HELD_ASKS;
    if (held_waits(listener, call->id) != 1) return HELD_DONE;
    if (held_fill((int)call->tid, &message, next.iov_base, next.iov_len, socket->peer, HELD_ADDRESS, NULL, 0))
        return HELD_ASKS;
    offered(socket, message.room);
    return give(listener, call, socket, flags, value_of(flags, next.iov_len, message.room));
}

static int name_told(int listener, const struct held_call *call, const struct held_socket *socket)
{
    static const int32_t named = HELD_ADDRESS;
    const uint64_t *argument = call->arguments;
    size_t cut;
    if (!argument[1] || name_pieces((int)call->tid, argument[1], argument[2], &cut)) return HELD_ASKS;
    if (held_waits(listener, call->id) != 1) return HELD_DONE;
    struct iovec from[] = {ours(socket->name, cut), ours(&named, sizeof named)};
    struct iovec to[] = {place(argument[1], cut), place(argument[2], sizeof named)};
    if (held_write_all((int)call->tid, from, 2, to, 2)) return HELD_ASKS;
    int told = held_respond(listener, call->id, 0, 0, 0);
    return told < 0 ? told : HELD_DONE;
}

/* Read what is sent, for those who decide, unless what it asks is known. */
static int sent(int listener, struct held_rules *rules, struct held_call *call, struct held_socket *socket, int kind)
{
    struct held_message message;
    const uint64_t *argument = call->arguments;
    int thread = (int)call->tid;
    if (kind == HELD_SENDMSG) {
        if (argument[2] & MSG_OOB || held_message(thread, argument[1], &message)) return HELD_ASKS;
    } else {
        if (argument[3] & MSG_OOB) return HELD_ASKS;
        message.header = (struct held_header){.name = argument[4], .name_size = (uint32_t)argument[5], .count = 1};
        message.pieces[0] = (struct held_piece){argument[1], message.room = argument[2]};
    }
    int32_t size = held_gather(thread, &message, rules->bytes, HELD_LONGEST, call->name, &call->name_size);
    if (size < 0) return HELD_ASKS;
    if (held_waits(listener, call->id) != 1) return HELD_DONE;
    call->sent = size;
    held_look(socket, call->copy);
    return held_answer(listener, rules, call, socket);
}

static int served(int listener, struct held_rules *rules, struct held_call *call, struct held_socket *socket)
{
    int kind = rules->kind[call->number], ready = socket->taken < socket->ready;
    if (kind == HELD_RECVFROM && ready && !(call->arguments[3] & MSG_OOB)) return received(listener, call, socket);
    if (kind == HELD_RECVMSG && ready && !(call->arguments[2] & MSG_OOB)) return message_received(listener, call, socket);
    if (kind == HELD_SENDTO || kind == HELD_SENDMSG) return sent(listener, rules, call, socket, kind);
    if (kind == HELD_GETSOCKNAME) return name_told(listener, call, socket);
    if (kind == HELD_BIND) return held_bind(listener, rules, call, socket);
    return HELD_ASKS;
}

static struct held_socket *socket_of(const struct held_rules *rules, const struct held_file *file)
{
    for (uint32_t one = 0; one < rules->sockets; one++)
        if (rules->socket[one]->inode == file->inode && rules->socket[one]->device == file->device)
            return rules->socket[one];
    return NULL;
}

int held_is_kept(struct held_rules *rules, const struct held_call *call)
{
    const struct held_kept *kept = &rules->kept;
    if (kept->thread != call->tid || kept->number != (int32_t)call->arguments[0]) return 0;
    if (!rules->own) rules->own = getpid();
    long differs = syscall(SYS_kcmp, rules->own, call->tid, KCMP_FILE, kept->copy, kept->number);
    if (differs < 0 && errno != EBADF && errno != ESRCH) rules->keeps = 0; /* this kernel does not compare for us */
    return differs == 0;
}

int held_let_go(struct held_rules *rules)
{
    if (!rules->kept.socket) return 0;
    close(rules->kept.copy);
    rules->kept.socket = NULL;
    return 1;
}

/* The copy of the descriptor that a call is about: the one that is kept, or a new one. */
static int copied(struct held_rules *rules, struct held_call *call, struct held_socket **found)
{
    struct held_file file = {0, 0};
    uint32_t place_of = call->tid % HELD_THREADS;
    *found = rules->kept.socket;
    if (*found) {
        file = (struct held_file){(*found)->device, (*found)->inode};
        call->copy = rules->kept.copy;
        rules->kept.socket = NULL;
    } else if (rules->thread[place_of] == call->tid) {
        call->copy = held_copy(rules->handle[place_of], (int)(uint32_t)call->arguments[0], &file);
        *found = socket_of(rules, &file);
    }
    call->device = file.device;
    call->inode = file.inode;
    return call->copy;
}

int held_serve(int listener, struct held_rules *rules, struct held_call *call)
{
    struct held_socket *found;
    int copy = copied(rules, call, &found);
    if (copy < 0) {
        call->copy = -1;
        return HELD_ASKS;
    }
    int fate = found ? served(listener, rules, call, found) : rules->complete ? held_pass(listener, call) : HELD_ASKS;
    if (fate == HELD_ASKS && call->sent < 0) return fate; /* those who decide need it */
    if (fate == HELD_DONE && found && rules->keeps)
        rules->kept = (struct held_kept){found, call->tid, (int32_t)call->arguments[0], copy};
    else
        close(copy);
    call->copy = -1;
    return fate;
}
