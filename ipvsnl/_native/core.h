/* Bytes of the generic-netlink family IPVS: the whole interface of the C core.
 *
 * What stands between the two marker comments is also, word for word, what cffi is given (see build.py), so nothing
 * is declared twice. The records' structs (struct ipvsnl_service ...) are generated from ipvsnl/family.py into
 * generated.h, and given to cffi with it.
 *
 * Rules of every function here:
 * - A pointer never comes without its length. Input is never written to; output is the caller's, with its capacity.
 *   Bytes and records (void *) need no alignment.
 * - Nothing is allocated, kept, logged or locked; there are no globals but constant tables. Any thread, any time.
 * - The answer is >= 0 (what it counts, its comment says), or -1, and then *fault says what and where. *fault is
 *   written only then. After -1 the contents of the output are unspecified.
 * - Any input bytes whatever are safe: no undefined behaviour, no read or write outside the given memory.
 */
#ifndef IPVSNL_CORE_H
#define IPVSNL_CORE_H

#include <stddef.h>
#include <stdint.h>

/* BEGIN CDEF */

#define IPVSNL_FAMILY_NAME_MAX 15 /* GENL_NAMSIZ - 1 */
#define IPVSNL_ERRNO_MAX 4095     /* the kernel's own MAX_ERRNO */

/* Every way to fail. The words for each are in ipvsnl/backends/_faults.py, under the same name. */
enum ipvsnl_code {
    /* The caller's: a request that cannot be written. */
    IPVSNL_NO_ROOM = 1,
    IPVSNL_RECORD_SIZE,
    IPVSNL_UNKNOWN_BIT,
    IPVSNL_RECORD_TEXT,
    IPVSNL_FAMILY_NAME,
    /* The sender's: a datagram that cannot be read. */
    IPVSNL_BOUNDS,
    IPVSNL_CUT_HEADER,
    IPVSNL_SHORT_MESSAGE,
    IPVSNL_LONG_MESSAGE,
    IPVSNL_CUT_GENL,
    IPVSNL_STRAY,
    IPVSNL_SHORT_ATTRIBUTE,
    IPVSNL_LONG_ATTRIBUTE,
    IPVSNL_INTEGER_SIZE,
    IPVSNL_LONG_BYTES,
    IPVSNL_NO_NUL,
    IPVSNL_LONG_TEXT,
    IPVSNL_NO_GROUP,
    IPVSNL_CUT_ERROR,
    IPVSNL_ERRNO,
    IPVSNL_ECHO,
    IPVSNL_NO_FAMILY_ID,
};

/* A table of attributes that has a record. The names are those of ipvsnl/family.py. */
enum ipvsnl_group {
    IPVSNL_GROUP_SERVICE,
    IPVSNL_GROUP_DEST,
    IPVSNL_GROUP_DAEMON,
    IPVSNL_GROUP_CONFIG,
    IPVSNL_GROUP_INFO,
};

/* Why a function answered -1. */
struct ipvsnl_fault {
    uint64_t offset; /* reading: in the datagram; writing: in the record */
    int32_t code;    /* enum ipvsnl_code */
    int32_t group;   /* writing: whose record (enum ipvsnl_group), -1 for none */
};

/* One message of a datagram. */
struct ipvsnl_message {
    uint32_t type;
    uint32_t flags;
    uint32_t sequence;
    uint32_t port;
    uint64_t start; /* of its payload, in the datagram */
    uint64_t end;   /* of its payload, before any padding */
};

/* The kernel's own words about a request. */
struct ipvsnl_extack {
    uint64_t text;        /* where NLMSGERR_ATTR_MSG's text begins in the datagram */
    uint64_t text_length; /* without the NUL */
    uint32_t offset;      /* NLMSGERR_ATTR_OFFS: where in the request, from its header on */
    uint8_t has_text;
    uint8_t has_offset;
};

/* Write one request: nlmsghdr (port 0), genlmsghdr, the attributes of each record whose bit is set in its `present`.
 * A record pointer is NULL, or that of one record of the group of its name and its size. Answers the bytes written, a
 * multiple of 4, at most IPVSNL_REQUEST_MAX (see ipvsnl_request_max). */
int64_t ipvsnl_encode(void *out, size_t capacity, uint16_t family_id, uint8_t command, uint16_t flags,
                      uint32_t sequence, const void *service, size_t service_size, const void *dest, size_t dest_size,
                      const void *daemon, size_t daemon_size, const void *config, size_t config_size,
                      struct ipvsnl_fault *fault);

/* The capacity that is enough for any request. */
size_t ipvsnl_request_max(void);

/* Write the controller's CTRL_CMD_GETFAMILY for a family's name (at most 15 bytes, none of them NUL). Answers the bytes
 * written. */
int64_t ipvsnl_encode_getfamily(void *out, size_t capacity, uint32_t sequence, const void *name, size_t name_length,
                                struct ipvsnl_fault *fault);

/* Find the messages of a datagram from `start` on, until it ends or `out` is full. `capacity` counts messages. Answers
 * how many; where that is `capacity`, go on from the last one's end, rounded up to a multiple of 4. */
int64_t ipvsnl_split(const void *datagram, size_t length, size_t start, struct ipvsnl_message *out, size_t capacity,
                     struct ipvsnl_fault *fault);

/* Read the record of `group` from a message's payload (genlmsghdr and attributes) between `start` and `end`. Answers
 * the record's size. */
int64_t ipvsnl_decode(enum ipvsnl_group group, const void *datagram, size_t length, size_t start, size_t end,
                      void *record, size_t capacity, struct ipvsnl_fault *fault);

/* Read an NLMSG_ERROR's payload. `flags` are the message's. Answers the errno, 0 for an ACK. */
int64_t ipvsnl_decode_error(uint16_t flags, const void *datagram, size_t length, size_t start, size_t end,
                            struct ipvsnl_extack *extack, struct ipvsnl_fault *fault);

/* Read an NLMSG_DONE's payload, likewise. */
int64_t ipvsnl_decode_done(uint16_t flags, const void *datagram, size_t length, size_t start, size_t end,
                           struct ipvsnl_extack *extack, struct ipvsnl_fault *fault);

/* Read the family's number from the payload of the controller's CTRL_CMD_NEWFAMILY. Answers the number. */
int64_t ipvsnl_decode_family_id(const void *datagram, size_t length, size_t start, size_t end,
                                struct ipvsnl_fault *fault);

/* END CDEF */

#endif
