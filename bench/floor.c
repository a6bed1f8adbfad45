/* The floor that loaders and dumpers are measured against: pre-encoded requests, and nothing but the system calls.
 *
 *   floor load FILE COUNT    send COUNT requests at a time, read the one acknowledgement; prints seconds
 *   floor dump FILE          each request is a dump: send it, then one recv after the other to its DONE
 *
 * The file holds requests with the right family; the last of each COUNT asks for an acknowledgement. */
#define _GNU_SOURCE
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static char buffer[32768];

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void check(int truth, const char *what)
{
    if (!truth) {
        perror(what);
        exit(1);
    }
}

/* Receive until a message of one of the types that end an exchange. */
static void drain(int fd, int type)
{
    for (;;) {
        ssize_t size = recv(fd, buffer, sizeof buffer, 0);
        check(size >= (ssize_t)sizeof(struct nlmsghdr), "recv");
        const struct nlmsghdr *first = (const struct nlmsghdr *)buffer;
        if (first->nlmsg_type == NLMSG_ERROR)
            check(((const struct nlmsgerr *)NLMSG_DATA(first))->error == 0, "refused");
        if (first->nlmsg_type == type)
            return;
    }
}

int main(int argc, char **argv)
{
    check(argc >= 3, "usage");
    FILE *file = fopen(argv[2], "rb");
    check(file != NULL, argv[2]);
    fseek(file, 0, SEEK_END);
    size_t size = (size_t)ftell(file), at = 0;
    rewind(file);
    char *data = malloc(size);
    check(data != NULL && fread(data, 1, size, file) == size, "read");
    int count = argc > 3 ? atoi(argv[3]) : 1, type = strcmp(argv[1], "dump") ? NLMSG_ERROR : NLMSG_DONE;
    int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC), one = 1;
    struct sockaddr_nl self = {.nl_family = AF_NETLINK};
    check(fd >= 0 && bind(fd, (struct sockaddr *)&self, sizeof self) == 0, "socket");
    setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof one);
    double begin = now();
    while (at < size) {
        size_t end = at;
        for (int n = 0; n < count && end < size; n++)
            end += NLMSG_ALIGN(((struct nlmsghdr *)(void *)(data + end))->nlmsg_len);
        check(send(fd, data + at, end - at, 0) == (ssize_t)(end - at), "send");
        drain(fd, type);
        at = end;
    }
    printf("%.6f\n", now() - begin);
    return 0;
}
