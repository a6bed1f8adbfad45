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

/* The thread gets no signals but those that are for it alone. */
static int hung(void)
{
    struct sigaction former, action = {.sa_handler = rung, .sa_flags = SA_NODEFER | SA_RESTART};
    sigset_t all, before, ours;
    pthread_t thread;
    if (bell >= 0) return 1;
    if (sigaction(SIGRTMAX, NULL, &former) || former.sa_handler != SIG_DFL) return 0; /* it is somebody else's */
    int made = epoll_create1(EPOLL_CLOEXEC);
    if (made < 0) return 0;
    bell = made;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int wrong = pthread_create(&thread, NULL, watching, NULL);
    sigemptyset(&ours);
    sigaddset(&ours, SIGRTMAX);
    if (!wrong) sigaction(SIGRTMAX, &action, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (wrong) {
        bell = -1;
        close(made);
        return 0;
    }
    pthread_detach(thread);
    pthread_sigmask(SIG_UNBLOCK, &ours, NULL);
    return 1;
}

/* Receive a call: 1, or 0 where the waiting ended without one. */
static int heard(int listener, struct held_call *call)
{
    memset(call, 0, offsetof(struct held_call, name));
    call->copy = call->sent = -1;
    if (sigsetjmp(awake, 0) == 0) {
        waits = 1;
        if (!rings) ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, call);
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

int held_quiet(int poll, int listener, struct held_rules *rules, struct held_call *call)
{
    struct epoll_event anything = {.events = EPOLLIN | EPOLLONESHOT};
    int fate = HELD_GONE;
    if (!hung()) return HELD_GONE;
    sleeper = (pid_t)syscall(SYS_gettid);
    rings = 0;
    if (!told_of(poll, listener, 0)) return HELD_GONE;
    if (epoll_ctl(bell, EPOLL_CTL_ADD, poll, &anything) == 0) {
        for (int calls = 0; calls < HELD_QUIET && !rules->sockets; calls++) {
            fate = heard(listener, call) ? held_decide(listener, rules, call) : HELD_GONE;
            if (fate != HELD_DONE) break;
        }
        epoll_ctl(bell, EPOLL_CTL_DEL, poll, NULL);
    }
    told_of(poll, listener, EPOLLIN);
    return fate;
}
