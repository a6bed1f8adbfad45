/* What is done to a held system call, in as few calls of the kernel as there can be: it is received, its caller's memory
 * is read and written, it is answered. Nothing is decided here but what the caller of these functions has told in tables.
 *
 * Nothing is allocated, and nothing is kept between two calls. A function returns a negative errno where it failed.
 * What stands between the two marker comments is the declaration that cffi compiles against. */
#ifndef IPVSSIM_HELD_H
#define IPVSSIM_HELD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* BEGIN CDEF */
enum { HELD_NUMBERS = 512, HELD_PIECES = 1024, HELD_NAME = 128, HELD_LONGEST = 1048576 };

/* What becomes of a call that was received. */
enum held_fate {
    HELD_GONE,   /* its caller went away, or a signal came: there is none */
    HELD_PASSED, /* Linux carries it out, and was told so */
    HELD_ASKS,   /* somebody has to decide */
};

/* struct seccomp_notif of include/uapi/linux/seccomp.h. */
struct held_call {
    uint64_t id;
    uint32_t tid;
    uint32_t flags;
    int32_t number;
    uint32_t machine;
    uint64_t at;
    uint64_t arguments[6];
};

/* Which calls may pass at once, by their number. */
struct held_rules {
    int8_t path[HELD_NUMBERS];    /* which argument is a path; -1: none. It passes where `mark` is not in it */
    uint8_t socket[HELD_NUMBERS]; /* 1: it is about a socket. It passes while `sockets` is 0 */
    uint8_t sockets;
    char mark[7];
};

struct held_file {
    uint64_t device;
    uint64_t inode;
};

/* SO_SNDBUF and SO_RCVBUF. */
struct held_buffers {
    int32_t send;
    int32_t receive;
};

struct held_piece {
    uint64_t at;
    uint64_t size;
};

/* struct msghdr of include/linux/socket.h on 64-bit machines. */
struct held_header {
    uint64_t name;
    uint32_t name_size;
    uint32_t unused;
    uint64_t list;
    uint64_t count;
    uint64_t control;
    uint64_t control_size;
    int32_t flags;
    uint32_t unused_too;
};

struct held_message {
    struct held_header header;
    uint64_t at;   /* where the header stands */
    uint64_t room; /* bytes that all pieces hold */
    struct held_piece pieces[HELD_PIECES];
};

/* Receive the next call and let it pass where the rules say so: an enum held_fate. */
int held_receive(int listener, const struct held_rules *rules, struct held_call *call);

/* Say what becomes of a call: 1, or 0 where its caller no longer waits. */
int held_respond(int listener, uint64_t id, int64_t value, int32_t error, uint32_t flags);

/* Whether the caller of a call still waits: 1, or 0. */
int held_waits(int listener, uint64_t id);

/* A copy of a descriptor of the process behind `handle`, and which file it is. */
int held_copy(int handle, int descriptor, struct held_file *file);

/* How large a socket's buffers are. */
int held_buffers(int socket, struct held_buffers *buffers);

/* Memory of a thread's process: exactly `size` bytes, or -EFAULT. */
int held_read(int thread, uint64_t at, void *into, size_t size);
int held_write(int thread, uint64_t at, const void *bytes, size_t size);

/* The message header at an address, with the pieces that it lists. -EMSGSIZE: too many. */
int held_message(int thread, uint64_t at, struct held_message *message);

/* The datagram in a message's pieces, and the name of whom it is for (at most HELD_NAME bytes): the size of the datagram;
 * the name's comes in *name_size. -ENOBUFS: it is longer than `size`, or lies in too many pieces. */
int64_t held_gather(int thread, const struct held_message *message, void *into, size_t size, void *name,
                    uint32_t *name_size);

/* Put a datagram into a message's pieces as far as they hold it, with a name and control messages where there is room for
 * them, and write the header anew. */
int held_fill(int thread, const struct held_message *message, const void *bytes, size_t size, const void *name,
              uint32_t name_size, const void *control, size_t control_size);
/* END CDEF */

#endif
