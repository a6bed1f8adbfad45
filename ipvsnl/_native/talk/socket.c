/* Send, wait and receive. The caller's thread sleeps in here, so a signal ends every function (IPVSNL_INTERRUPTED), and
 * the same call again goes on where it was.
 *
 * The kernel carries out the requests before `send` returns, so answers usually are there already: look first, then
 * wait. */
#define _GNU_SOURCE /* recvmmsg */
#include <errno.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#include "talk/socket.h"

/* Milliseconds of the monotonic clock. */
static int64_t now_is(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t fail_system(struct ipvsnl_fault *fault, int error)
{
    if (error == EINTR)
        return fail(fault, IPVSNL_INTERRUPTED, 0, -1);
    return fail(fault, error == ENOBUFS ? IPVSNL_LOST : IPVSNL_SYSTEM, (size_t)error, -1);
}

/* Sleep until the socket is ready for the events, or the deadline has passed. */
static int wait_for(int socket, short events, int timeout, int64_t *deadline, struct ipvsnl_fault *fault)
{
    struct pollfd waiting = {socket, events, 0};
    int64_t now = now_is(), left;
    int ready;

    if (*deadline == 0)
        *deadline = now + timeout;
    left = *deadline - now;
    if (left <= 0)
        return (int)fail(fault, IPVSNL_SILENT, 0, -1);
    ready = poll(&waiting, 1, left > INT32_MAX ? INT32_MAX : (int)left);
    if (ready < 0)
        return (int)fail_system(fault, errno);
    return ready ? 0 : (int)fail(fault, IPVSNL_SILENT, 0, -1);
}

int ipvsnl_send_once(int socket, const void *requests, size_t length, uint8_t *sent, int timeout, int64_t *deadline,
                     struct ipvsnl_fault *fault)
{
    while (!*sent) {
        if (send(socket, requests, length, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
            *sent = 1;
            *deadline = 0;
        } else if (errno != EAGAIN && errno != EWOULDBLOCK) {
            return (int)fail_system(fault, errno);
        } else if (wait_for(socket, POLLOUT, timeout, deadline, fault) < 0) {
            return -1;
        }
    }
    return 0;
}

int64_t ipvsnl_wait(int socket, int timeout, int64_t *deadline, struct ipvsnl_fault *fault)
{
    return wait_for(socket, POLLIN, timeout, deadline, fault);
}

/* Whether the kernel sent a datagram: any process may send to a netlink socket. Sockets of other kinds have one peer. */
static int is_from_kernel(const struct msghdr *header, const struct sockaddr_nl *sender)
{
    return header->msg_namelen != sizeof *sender || sender->nl_family != AF_NETLINK || sender->nl_pid == 0;
}

int64_t ipvsnl_receive(int socket, uint8_t *buffer, size_t size, size_t slot, uint32_t *lengths,
                       struct ipvsnl_fault *fault)
{
    struct mmsghdr messages[IPVSNL_SLOTS];
    struct sockaddr_nl senders[IPVSNL_SLOTS];
    struct iovec parts[IPVSNL_SLOTS];
    size_t slots = size / slot < IPVSNL_SLOTS ? size / slot : IPVSNL_SLOTS;
    int count;

    memset(messages, 0, sizeof messages);
    for (size_t i = 0; i < slots; i++) {
        parts[i].iov_base = buffer + i * slot;
        parts[i].iov_len = slot;
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
        messages[i].msg_hdr.msg_name = &senders[i];
        messages[i].msg_hdr.msg_namelen = sizeof senders[i];
    }
    count = recvmmsg(socket, messages, (unsigned)slots, MSG_DONTWAIT, NULL);
    if (count < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : fail_system(fault, errno);
    for (int i = 0; i < count; i++) {
        lengths[i] = 0;
        if (!is_from_kernel(&messages[i].msg_hdr, &senders[i]))
            continue;
        if (messages[i].msg_hdr.msg_flags & MSG_TRUNC)
            return fail(fault, IPVSNL_SYSTEM, EMSGSIZE, -1);
        if (messages[i].msg_len == 0) /* the end of a connection: no kernel sends such a datagram */
            return fail(fault, IPVSNL_SYSTEM, ECONNRESET, -1);
        lengths[i] = messages[i].msg_len;
    }
    return count;
}
