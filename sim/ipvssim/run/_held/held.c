/* See held.h. Linux 5.14 and later: kernel/seccomp.c, mm/process_vm_access.c. */
#define _GNU_SOURCE

#include "held.h"
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PAGE = 4096, PEEKED = 128, BESIDE = 512 };

#ifndef __NR_pidfd_getfd
#define __NR_pidfd_getfd 438
#endif

_Static_assert(offsetof(struct held_call, device) == sizeof(struct seccomp_notif), "struct seccomp_notif");
_Static_assert(offsetof(struct held_call, number) == offsetof(struct seccomp_notif, data.nr), "number");
_Static_assert(offsetof(struct held_call, arguments) == offsetof(struct seccomp_notif, data.args), "arguments");
_Static_assert(sizeof(struct held_header) == sizeof(struct msghdr), "struct msghdr");
_Static_assert(offsetof(struct held_header, flags) == offsetof(struct msghdr, msg_flags), "flags");
_Static_assert(sizeof(struct held_piece) == sizeof(struct iovec), "struct iovec");

/* Whether the beginning of the text at an address has the mark in it. What can't be read has not: Linux will say so. */
static int mentions(int thread, uint64_t at, const char *mark)
{
    char text[PEEKED];
    uint64_t left = PAGE - at % PAGE;
    uint64_t first = left < PEEKED ? left : PEEKED;
    struct iovec to = ours(text, PEEKED), from[2] = {place(at, first), place(at + first, PEEKED - first)};
    ssize_t found = process_vm_readv(thread, &to, 1, from, first < PEEKED ? 2 : 1, 0);
    if (found <= 0) return 0;
    return memmem(text, strnlen(text, (size_t)found), mark, strlen(mark)) != NULL;
}

int held_receive(int listener, struct held_call *call)
{
    memset(call, 0, offsetof(struct held_call, name));
    call->copy = call->sent = -1;
    if (requested(listener, SECCOMP_IOCTL_NOTIF_RECV, call) < 0)
        return errno == ENOENT || errno == EINTR ? HELD_GONE : -errno;
    return HELD_DONE;
}

int held_passes(const struct held_rules *rules, const struct held_call *call)
{
    if (call->number < 0 || call->number >= HELD_NUMBERS) return 0;
    switch (rules->kind[call->number]) {
    case HELD_OTHER:
    case HELD_MAKE: return 0;
    case HELD_PATH: return !mentions((int)call->tid, call->arguments[rules->path[call->number] % 6], rules->mark);
    default: return rules->complete && !rules->sockets;
    }
}

int held_decide(int listener, struct held_rules *rules, struct held_call *call)
{
    if (held_passes(rules, call)) return held_pass(listener, call);
    if (call->number < 0 || call->number >= HELD_NUMBERS) return HELD_ASKS;
    switch (rules->kind[call->number]) {
    case HELD_OTHER:
    case HELD_PATH: return HELD_ASKS;
    case HELD_MAKE: return held_make(listener, rules, call);
    default: return held_serve(listener, rules, call);
    }
}

/* What a request about a held call returns; -ENOENT where its caller no longer waits. */
static int asked(int listener, unsigned long what, void *argument)
{
    int done;
    while ((done = requested(listener, what, argument)) < 0 && errno == EINTR) continue; /* a signal came, and nothing was done */
    if (done >= 0) return done;
    return errno == EINPROGRESS ? -ENOENT : -errno;
}

static int told(int listener, unsigned long what, void *argument)
{
    int done = asked(listener, what, argument);
    return done >= 0 ? 1 : done == -ENOENT ? 0 : done;
}

int held_respond(int listener, uint64_t id, int64_t value, int32_t error, uint32_t flags)
{
    struct seccomp_notif_resp answer = {id, value, error, flags};
    return told(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
}

int held_waits(int listener, uint64_t id)
{
    return told(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id);
}

/* In two steps: a hand-over that answers at once (SECCOMP_ADDFD_FLAG_SEND) is lost where we are stopped meanwhile, and its call
 * returns 0 then (seccomp_notify_addfd of kernel/seccomp.c, seen on Linux 6.18). */
int held_inject(int listener, uint64_t id, int descriptor, int close_on_exec)
{
    struct seccomp_notif_addfd added = {
        .id = id,
        .srcfd = (uint32_t)descriptor,
        .newfd_flags = close_on_exec ? O_CLOEXEC : 0,
    };
    int number = asked(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &added);
    if (number < 0) return number == -ENOENT ? 0 : number;
    return held_respond(listener, id, number, 0, 0);
}

static int identified(int descriptor, struct held_file *file)
{
    struct stat found;
    if (fstat(descriptor, &found) < 0) return -errno;
    file->device = found.st_dev;
    file->inode = found.st_ino;
    return 0;
}

int held_pair(int nonblocking, int32_t *pair, struct held_file *file)
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) return -errno;
    int wrong = identified(pair[1], file);
    if (!wrong && nonblocking && fcntl(pair[1], F_SETFL, O_RDWR | O_NONBLOCK) < 0) wrong = -errno;
    if (wrong) {
        close(pair[0]);
        close(pair[1]);
    }
    return wrong;
}

int held_copy(int handle, int descriptor, struct held_file *file)
{
    long copy = syscall(__NR_pidfd_getfd, handle, descriptor, 0);
    if (copy < 0) return -errno;
    int wrong = identified((int)copy, file);
    if (wrong) {
        close((int)copy);
        return wrong;
    }
    return (int)copy;
}

int held_read(int thread, uint64_t at, void *into, size_t size)
{
    struct iovec to = ours(into, size), from = place(at, size);
    return size ? whole(process_vm_readv(thread, &to, 1, &from, 1, 0), size) : 0;
}

int held_write(int thread, uint64_t at, const void *bytes, size_t size)
{
    struct iovec from = ours(bytes, size), to = place(at, size);
    return held_write_all(thread, &from, 1, &to, 1);
}

int held_write_all(int thread, const struct iovec *from, size_t sources, const struct iovec *to, size_t places)
{
    size_t size = 0;
    for (size_t one = 0; one < sources; one++) size += from[one].iov_len;
    return size ? whole(process_vm_writev(thread, from, sources, to, places, 0), size) : 0;
}

/* Most programs have the list of pieces beside the header, on their stack; so what stands around it is read with it. Where
 * the header goes on on another page, what follows there may be nobody's. */
int held_message(int thread, uint64_t at, struct held_message *message)
{
    enum { HEADER = sizeof message->header };
    char around[2 * BESIDE + HEADER];
    uint64_t page = at - at % PAGE, start = at - page > BESIDE ? at - BESIDE : page;
    uint64_t end = at + HEADER + BESIDE < page + PAGE ? at + HEADER + BESIDE : page + PAGE;
    if (at + HEADER > end) {
        start = at;
        end = at + HEADER;
    }
    int wrong = held_read(thread, start, around, (size_t)(end - start));
    if (wrong) return wrong;
    struct held_header *header = &message->header;
    memcpy(header, around + (at - start), HEADER);
    message->at = at;
    message->room = 0;
    if (header->count > HELD_PIECES) return -EMSGSIZE;
    size_t size = (size_t)header->count * sizeof *message->pieces;
    if (header->list >= start && header->list <= end && size <= end - header->list)
        memcpy(message->pieces, around + (header->list - start), size);
    else if ((wrong = held_read(thread, header->list, message->pieces, size)))
        return wrong;
    for (size_t one = 0; one < header->count; one++) message->room += message->pieces[one].size;
    return 0;
}

int32_t held_gather(int thread, const struct held_message *message, void *into, size_t size, void *name,
                    uint32_t *name_size)
{
    const struct held_header *header = &message->header;
    struct iovec to[2], from[HELD_PIECES];
    size_t count = 0, named = !header->name ? 0 : header->name_size < HELD_NAME ? header->name_size : HELD_NAME;
    if (message->room > size || message->room > INT32_MAX || header->count >= HELD_PIECES) return -ENOBUFS;
    from[count++] = place(header->name, named);
    for (size_t one = 0; one < header->count; one++)
        from[count++] = place(message->pieces[one].at, message->pieces[one].size);
    to[0] = ours(name, named);
    to[1] = ours(into, (size_t)message->room);
    *name_size = (uint32_t)named;
    size_t both = named + (size_t)message->room;
    int wrong = both ? whole(process_vm_readv(thread, to, 2, from, count, 0), both) : 0;
    return wrong ? wrong : (int32_t)message->room;
}

int held_fill(int thread, const struct held_message *message, const void *bytes, size_t size, const void *name,
              uint32_t name_size, const void *control, size_t control_size)
{
    struct held_header header = message->header;
    size_t named = !header.name ? 0 : header.name_size < name_size ? header.name_size : name_size;
    if (header.name) header.name_size = name_size;
    header.flags = size > message->room ? MSG_TRUNC : 0;
    if (control_size > header.control_size) {
        control_size = 0;
        header.flags |= MSG_CTRUNC;
    }
    header.control_size = control_size;
    struct iovec to[HELD_PIECES];
    size_t count = 0, taken = 0, altered = memcmp(&header, &message->header, sizeof header) ? sizeof header : 0;
    to[count++] = place(message->at, altered); /* each place costs, also one whose bytes stay what they are */
    to[count++] = place(header.name, named);
    to[count++] = place(header.control, control_size);
    for (size_t one = 0; one < header.count && taken < size; one++) {
        size_t left = size - taken, part = message->pieces[one].size < left ? (size_t)message->pieces[one].size : left;
        if (count == HELD_PIECES) return -ENOBUFS;
        to[count++] = place(message->pieces[one].at, part);
        taken += part;
    }
    struct iovec from[4] = {ours(&header, altered), ours(name, named), ours(control, control_size), ours(bytes, taken)};
    return held_write_all(thread, from, 4, to, count);
}
