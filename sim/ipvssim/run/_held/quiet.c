/* Waiting where nothing but calls is awaited. To ask epoll first costs a call of the kernel for each held call, so the
 * supervisor waits where calls are received, which nothing else ends. A thread of its own watches everything else
 * meanwhile, and ends the waiting by a signal.
 *
 * The signal may come just before the waiting begins, and must not be lost then: so its handler leaves by siglongjmp. Whether a
 * call had been received by then is seen by its number, which is 0 before. */
#define _GNU_SOURCE

#include "internal.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* One process has one bell: there is one supervisor in it that waits without a limit of time. */
static int bell = -1; /* an epoll descriptor: what the thread watches */
static pid_t sleeper; /* the thread that waits for calls */
static sigjmp_buf awake;
static volatile sig_atomic_t waits, rings;

static void rung(int number)
{
    (void)number;
    rings = 1;
    if (waits) siglongjmp(awake, 1);
}

static void *watching(void *unused)
{
    struct epoll_event event;
    (void)unused;
    for (;;)
        if (epoll_wait(bell, &event, 1, -1) == 1) syscall(SYS_tgkill, getpid(), sleeper, SIGRTMAX);
    return NULL;
}

/* The bell is heard only where calls are awaited. Elsewhere a signal may do harm: a call that is given a descriptor by an
 * SECCOMP_IOCTL_NOTIF_ADDFD that a signal interrupts returns 0 (kernel/seccomp.c, seen on Linux 6.18). */
static void listen_to_it(int how)
{
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, SIGRTMAX);
    pthread_sigmask(how, &one, NULL);
}

/* There is a bell: 1, or 0 where there can be none. Its thread gets no signals. */
static int hung(void)
{
    struct sigaction former, action = {.sa_handler = rung, .sa_flags = SA_NODEFER | SA_RESTART};
    sigset_t all, before;
    pthread_t thread;
    if (bell >= 0) return 1;
    if (sigaction(SIGRTMAX, NULL, &former) || former.sa_handler != SIG_DFL) return 0; /* it is somebody else's */
    if ((bell = epoll_create1(EPOLL_CLOEXEC)) < 0) return 0;
    listen_to_it(SIG_BLOCK);
    sigaction(SIGRTMAX, &action, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int wrong = pthread_create(&thread, NULL, watching, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!wrong) return !pthread_detach(thread);
    sigaction(SIGRTMAX, &former, NULL);
    close(bell);
    bell = -1;
    return 0;
}

/* Receive a call: 1, or 0 where the waiting ended without one. */
static int heard(int listener, struct held_call *call)
{
    memset(call, 0, offsetof(struct held_call, name));
    call->copy = call->sent = -1;
    if (sigsetjmp(awake, 0) == 0) {
        waits = 1;
        if (!rings) requested(listener, SECCOMP_IOCTL_NOTIF_RECV, call);
    }
    waits = 0;
    return call->id != 0;
}

/* Let calls be told to epoll, or to those alone who wait for them. (That there will be none any more is told all the same.) */
static int told_of(int poll, int listener, uint32_t events)
{
    struct epoll_event event = {.events = events};
    event.data.u64 = (uint64_t)HELD_LISTENER << 32 | (uint32_t)listener;
    return epoll_ctl(poll, EPOLL_CTL_MOD, listener, &event) == 0;
}

static int passed_on(int listener, const struct held_rules *rules, struct held_call *call)
{
    int fate = HELD_DONE;
    for (int calls = 0; calls < HELD_QUIET && fate == HELD_DONE; calls++) {
        if (!heard(listener, call)) return HELD_GONE;
        fate = held_passes(rules, call) ? held_pass(listener, call) : HELD_ASKS;
    }
    return fate;
}

int held_quiet(int poll, int listener, const struct held_rules *rules, struct held_call *call)
{
    struct epoll_event anything = {.events = EPOLLIN | EPOLLONESHOT};
    int fate = HELD_GONE;
    if (!hung()) return HELD_GONE;
    sleeper = (pid_t)syscall(SYS_gettid);
    rings = 0;
    if (told_of(poll, listener, 0) && epoll_ctl(bell, EPOLL_CTL_ADD, poll, &anything) == 0) {
        listen_to_it(SIG_UNBLOCK);
        fate = passed_on(listener, rules, call);
        listen_to_it(SIG_BLOCK);
        epoll_ctl(bell, EPOLL_CTL_DEL, poll, NULL);
    }
    told_of(poll, listener, EPOLLIN);
    return fate;
}
