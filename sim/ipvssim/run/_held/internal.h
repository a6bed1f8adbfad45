/* What the files of this folder share. */
#ifndef IPVSSIM_HELD_INTERNAL_H
#define IPVSSIM_HELD_INTERNAL_H

/* For our files alone, as in ipvsnl/_native/internal.h: cffi's wrapper is compiled with the same flags. */
#if defined(__GNUC__) && defined(IPVSNL_STRICT)
#pragma GCC diagnostic error "-Wconversion"
#pragma GCC diagnostic error "-Wsign-conversion"
#pragma GCC diagnostic error "-Wshadow"
#pragma GCC diagnostic error "-Wcast-qual"
#endif

#include <errno.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "held.h"

int held_write_all(int thread, const struct iovec *from, size_t sources, const struct iovec *to, size_t places);
int held_receive(int listener, struct held_call *call);
int held_decide(int listener, struct held_rules *rules, struct held_call *call);
int held_passes(const struct held_rules *rules, const struct held_call *call);
int held_quiet(int poll, int listener, const struct held_rules *rules, struct held_call *call);
int held_is_kept(struct held_rules *rules, const struct held_call *call);
int held_let_go(struct held_rules *rules);
int held_serve(int listener, struct held_rules *rules, struct held_call *call);
int held_make(int listener, struct held_rules *rules, const struct held_call *call);
int held_bind(int listener, const struct held_rules *rules, const struct held_call *call, struct held_socket *socket);
int held_answer(int listener, const struct held_rules *rules, const struct held_call *call, struct held_socket *socket);
int held_vacate(const struct held_rules *rules, int channel);
void held_lift(struct held_socket *socket, int copy);

static inline struct iovec place(uint64_t at, uint64_t size)
{
    return (struct iovec){(void *)(uintptr_t)at, (size_t)size};
}

static inline struct iovec ours(const void *at, size_t size)
{
    return place((uintptr_t)at, size);
}

/* ioctl(), without the C library: a request's number is an unsigned long in glibc's, and an int in musl's, which has no room
 * for these. The kernel looks at 32 bits. */
static inline int requested(int listener, unsigned long what, void *argument)
{
    return (int)syscall(SYS_ioctl, listener, what, argument);
}

static inline int whole(ssize_t done, size_t wanted)
{
    if (done < 0) return -errno;
    return (size_t)done < wanted ? -EFAULT : 0;
}

/* Let Linux carry a call out. */
static inline int held_pass(int listener, const struct held_call *call)
{
    int told = held_respond(listener, call->id, 0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
    return told < 0 ? told : HELD_DONE;
}

#endif
