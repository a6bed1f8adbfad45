/* What is done to a held system call, in as few calls of the kernel as there can be: it is received, its caller's memory
 * is read and written, it is answered. Nothing is decided here but what others have told in tables, and nothing is
 * allocated: what is kept from call to call lies in those tables. A function returns a negative errno where it failed.
 *
 * What stands between the two marker comments is the declaration that cffi compiles against. */
#ifndef IPVSSIM_HELD_H
#define IPVSSIM_HELD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* BEGIN CDEF */
enum {
    HELD_NUMBERS = 512,
    HELD_PIECES = 1024,
    HELD_NAME = 128,
    HELD_LONGEST = 1048576,
    HELD_READY = 4,
    HELD_SHELF = 4096,
    HELD_SOCKETS = 64,
    HELD_THREADS = 64,
    HELD_ADDRESS = 12, /* bytes of struct sockaddr_nl */
    HELD_EVENTS = 64,
    HELD_SPARE = 8,
    HELD_QUESTION = 64,
    HELD_ANSWERS = 1024,
    HELD_ROOMY = 8192, /* bytes of a receive buffer that holds HELD_ANSWERS bytes in two datagrams, whatever they cost */
    HELD_WORLD = 32,
    HELD_ROUNDS = 32,
    HELD_CALM = 16,
    HELD_QUIET = 4096,
};

/* What becomes of a call that was received. */
enum held_fate {
    HELD_GONE, /* its caller went away, or a signal came: there is none */
    HELD_DONE, /* it was answered, or Linux carries it out */
    HELD_ASKS, /* somebody has to decide */
};

/* What a descriptor is that is watched. */
enum held_watched { HELD_STRANGE, HELD_LISTENER, HELD_CHANNEL };

struct held_event {
    int32_t descriptor;
    uint32_t events;
};

/* What happened at descriptors other than listeners. */
struct held_events {
    uint32_t count;
    int32_t listener; /* that of the call that was received, if somebody has to decide about it */
    struct held_event event[HELD_EVENTS];
};

/* What a call is about. */
enum held_kind { HELD_OTHER, HELD_PATH, HELD_SOCKET, HELD_SENDTO, HELD_SENDMSG, HELD_RECVFROM, HELD_RECVMSG, HELD_GETSOCKNAME, HELD_BIND, HELD_MAKE };

/* struct seccomp_notif of include/uapi/linux/seccomp.h, and what was found out about the socket that the call is about:
 * which file it is, a copy of its descriptor (-1: none, and it may be any), and what is sent to it (-1: that was not read):
 * the size of the datagram, which lies in the rules' buffer, and whom it is for. */
struct held_call {
    uint64_t id;
    uint32_t tid;
    uint32_t flags;
    int32_t number;
    uint32_t machine;
    uint64_t at;
    uint64_t arguments[6];
    uint64_t device;
    uint64_t inode;
    int32_t copy;
    int32_t sent;
    uint32_t name_size;
    char name[HELD_NAME];
};

/* A program's socket, and the datagrams that its readers may take without anybody deciding about it. The first that was
 * not taken lies in the program's end, too, where `posted`. */
struct held_socket {
    uint64_t device; /* of the program's end */
    uint64_t inode;
    int32_t channel; /* our end */
    uint32_t posted;
    uint32_t count; /* of the datagrams, */
    uint32_t ready; /* so many of which may be taken, */
    uint32_t taken; /* and so many of which were */
    uint32_t room;  /* the most bytes that a reader of them offered, HELD_LONGEST at most */
    int32_t send_seen;      /* sizes of the program's buffers when they were last looked at, */
    int32_t receive_seen;
    int32_t send_buffer;    /* and those that were others than before; 0: they were not */
    int32_t receive_buffer;
    uint32_t plain;    /* nothing else waits for it than what lies here, and it may be asked what is known */
    uint32_t answered; /* it was: what lies here are answers of the last question, */
    uint32_t owed;     /* and so many datagrams of before were taken */
    uint32_t left_at;  /* of the answers, those that were not taken when this was last settled: */
    uint32_t left;     /* from which place on, and how many */
    uint32_t bound;    /* it took a name by itself */
    uint32_t thread;   /* whose it is, and its type; of those that are made without asking */
    uint32_t type;
    uint32_t vacant;   /* the program closed it: the next that is made takes its place, */
    uint32_t renewed;  /* as this one took another's */
    uint32_t ends[HELD_READY];
    char bytes[HELD_SHELF];
    char name[HELD_ADDRESS]; /* its own address */
    char peer[HELD_ADDRESS]; /* whom datagrams come from */
};

/* A question, in one datagram, that has the same answers each time, but for its number and the ports in them. */
struct held_known {
    uint32_t size;
    uint32_t count; /* of the answers; 0: there is none */
    uint32_t ends[HELD_READY];
    char question[HELD_QUESTION];
    char answers[HELD_ANSWERS];
};

/* The copy of a descriptor that is kept, since the next call may be about the same; within a turn. While there is one nobody
 * notices that the program closed the socket. */
struct held_kept {
    struct held_socket *socket; /* NULL: there is none */
    uint32_t thread;
    int32_t number; /* of the descriptor there */
    int32_t copy;
};

/* What may be done with calls at once, by their number; and all sockets. */
struct held_rules {
    uint8_t kind[HELD_NUMBERS]; /* an enum held_kind */
    uint8_t path[HELD_NUMBERS]; /* of a HELD_PATH: which argument it is. The call passes where `mark` is not in it */
    char mark[8];
    uint32_t sockets;  /* how many stand in the list. A call about a socket passes where it is none of them, */
    uint32_t complete; /* if the list is complete */
    struct held_socket *socket[HELD_SOCKETS];
    uint32_t thread[HELD_THREADS]; /* threads, each in the place of its number's remainder, */
    int32_t handle[HELD_THREADS];  /* and what to copy their descriptors by */
    int32_t poll;                  /* where channels are watched */
    int32_t lone;                  /* the listener, if there is one alone; else -1 */
    uint32_t spares;               /* Sockets are made at once by those whose network namespace has this name, */
    char world[HELD_WORLD];        /* while there is memory for them */
    struct held_socket *spare[HELD_SPARE];
    uint32_t renewed; /* how many sockets took others' places */
    uint32_t keeps;   /* whether copies of descriptors are kept */
    int32_t own;      /* our process */
    struct held_kept kept;
    struct held_known known;
    char bytes[HELD_LONGEST];      /* what is sent */
};

struct held_file {
    uint64_t device;
    uint64_t inode;
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

/* Tell of a descriptor's events from now on, by an epoll descriptor. */
int held_watch(int poll, int descriptor, uint32_t events, int watched);

/* Wait for something to do, at most so many milliseconds (-1: for ever). Calls that may pass or be answered by the rules are,
 * some dozens in one turn (where there are no sockets, and nothing else happens, some thousands); then, or when something happened that is for others, it returns an enum held_fate. What happened
 * at other descriptors comes before calls, and before the one that somebody has to decide about: programs did it earlier. */
int held_turn(int poll, int timeout, struct held_rules *rules, struct held_call *call, struct held_events *events);

/* Let a datagram lie in the program's end, if none does. */
void held_post(struct held_socket *socket, const void *bytes, size_t size);

/* Lay one more datagram ready for readers, the first in place 0; that one lies in the program's end, too. 1, or 0 where there
 * is no place for it: then the last that has one is kept back, since what comes after it is not known here. */
int held_lay(struct held_socket *socket, uint32_t place, const void *bytes, size_t size);

/* From now on readers have to ask: what was done without asking. 0 for nothing; else the datagrams that were taken (8 bits),
 * the most room that a reader offered (24 bits), whether buffers were set, whether it was bound, whether answers to what is
 * known are left, and whether it is vacant (a bit each). */
uint64_t held_settle(struct held_socket *socket);

/* The port in its address. */
uint32_t held_port(const struct held_socket *socket);

/* See what sizes the program's buffers have; `copy` is a descriptor of its end. The program sets them there by itself: their
 * limits are those of a netlink socket. */
void held_look(struct held_socket *socket, int copy);

/* Whether the datagram that was posted has been read there. */
int held_was_read(const struct held_socket *socket);

/* Say what becomes of a call: 1, or 0 where its caller no longer waits. */
int held_respond(int listener, uint64_t id, int64_t value, int32_t error, uint32_t flags);

/* Whether the caller of a call still waits: 1, or 0. */
int held_waits(int listener, uint64_t id);

/* A copy of a descriptor of the process behind `handle`, and which file it is. */
int held_copy(int handle, int descriptor, struct held_file *file);

/* A new pair of sockets, ours first, and which file the program's end is; that one may be non-blocking. */
int held_pair(int nonblocking, int32_t *pair, struct held_file *file);

/* Let a call return a descriptor of its own for a file that is open here: 1, or 0 where its caller no longer waits. */
int held_inject(int listener, uint64_t id, int descriptor, int close_on_exec);

/* A socket that nothing lies ready for; `peer` is HELD_ADDRESS bytes long, and its own address, too, at first. */
void held_begin(struct held_socket *socket, const struct held_file *file, int channel, const char *peer);

/* Memory of a thread's process: exactly `size` bytes, or -EFAULT. Several places are written at once. */
int held_read(int thread, uint64_t at, void *into, size_t size);
int held_write(int thread, uint64_t at, const void *bytes, size_t size);

/* The message header at an address, with the pieces that it lists. -EMSGSIZE: too many. */
int held_message(int thread, uint64_t at, struct held_message *message);

/* The datagram in a message's pieces, and the name of whom it is for (at most HELD_NAME bytes): the size of the datagram;
 * the name's comes in *name_size. -ENOBUFS: it is longer than `size`, or lies in too many pieces. */
int32_t held_gather(int thread, const struct held_message *message, void *into, size_t size, void *name,
                    uint32_t *name_size);

/* Put a datagram into a message's pieces as far as they hold it, with a name and control messages where there is room for
 * them, and write the header anew. */
int held_fill(int thread, const struct held_message *message, const void *bytes, size_t size, const void *name,
              uint32_t name_size, const void *control, size_t control_size);
/* END CDEF */

#endif
