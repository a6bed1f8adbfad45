/* Calls that ipvssim run looks at, timed: the least time of one, of 200 batches of 50. See run_cost.py. */
#define _GNU_SOURCE
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCHES = 200, EACH = 50 };

static int other, generic;
static char answer[8192];
static struct {
    struct nlmsghdr header;
    struct genlmsghdr family;
    struct nlattr attribute;
    char name[8];
} question = {
    {sizeof question, GENL_ID_CTRL, NLM_F_REQUEST, 0, 0}, {CTRL_CMD_GETFAMILY, 1, 0}, {11, CTRL_ATTR_FAMILY_NAME}, "nlctrl",
};

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static void look(void) { access("/usr/lib/nothing/here", F_OK); }

static void receive(void) { recv(other, answer, 1, MSG_DONTWAIT); }

static void trip(void) {
    send(generic, &question, sizeof question, 0);
    recv(generic, answer, sizeof answer, 0);
}

/* A question that has to be decided about each time: there is no such family. */
static void refused(void) {
    question.name[0] = 'x';
    trip();
    question.name[0] = 'n';
}

/* As libnl does it: with names, and each datagram looked at before it is taken. */
static void libnl(void) {
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK}, from;
    struct iovec out = {&question, sizeof question}, in = {answer, sizeof answer};
    struct msghdr sent = {.msg_name = &kernel, .msg_namelen = sizeof kernel, .msg_iov = &out, .msg_iovlen = 1};
    sendmsg(generic, &sent, 0);
    for (int flags = MSG_PEEK | MSG_TRUNC; flags >= 0; flags = flags ? 0 : -1) {
        struct msghdr got = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &in, .msg_iovlen = 1};
        recvmsg(generic, &got, flags);
    }
}

static void measure(const char *name, void (*call)(void)) {
    double least = 1e9;
    for (int batch = 0; batch < BATCHES; batch++) {
        double began = now();
        for (int one = 0; one < EACH; one++) call();
        double took = (now() - began) / EACH;
        if (took < least) least = took;
    }
    printf("%s %.2f\n", name, least);
}

int main(void) {
    other = socket(AF_UNIX, SOCK_STREAM, 0);
    measure("a path that passes", look);
    measure("a receive that passes", receive);
    generic = socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC);
    trip();
    measure("a round trip", trip);
    measure("a round trip of libnl", libnl);
    measure("a round trip, decided", refused);
    return 0;
}
