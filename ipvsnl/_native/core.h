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
    IPVSNL_OTHER_REPLY,
    IPVSNL_MANY_ANSWERS,
    /* Columns, the caller's again. */
    IPVSNL_COLUMN,
    /* The way to the kernel: see ipvsnl_converse. */
    IPVSNL_LOST,
    IPVSNL_SILENT,
    IPVSNL_INTERRUPTED,
    IPVSNL_SYSTEM,
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

#define IPVSNL_REQUEST_ROOM 1536 /* enough for any request */

/* Room for a request, and what was wrong with it. */
struct ipvsnl_request {
    struct ipvsnl_fault fault;
    char bytes[IPVSNL_REQUEST_ROOM];
};

/* The same as ipvsnl_encode for most requests, with half the arguments: what a call from Python costs is its arguments.
 * Both records are there. */
int64_t ipvsnl_encode_rule(struct ipvsnl_request *request, uint16_t family_id, uint8_t command, uint16_t flags,
                           uint32_t sequence, const void *service, size_t service_size, const void *dest,
                           size_t dest_size);

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

/* --- rule text: text/lines.c and text/requests.c ---
 *
 * A *plain* line is one that the C core reads itself. Every other line is the caller's: the core stops before it, the
 * caller reads it and calls again. */

/* Why ipvsnl_rules came back. */
enum ipvsnl_stop {
    IPVSNL_STOP_END,  /* every complete line is read; an incomplete one may be left */
    IPVSNL_STOP_FULL, /* there is no room for another request */
    IPVSNL_STOP_LINE, /* the line at `at` is the caller's: it is not plain, or it adds a service to stop at */
};

/* How far the reading of a rule text has come, and what its requests need. To go on, call again with the same one. */
struct ipvsnl_text {
    uint64_t at;       /* where in the text the next line begins */
    uint64_t line;     /* the number of that line */
    uint64_t length;   /* written only: bytes of requests */
    uint64_t last;     /* written only, if there is a request: where the last one begins */
    uint64_t edits;    /* written only: how many lines change or delete (-E, -D, -e, -d) */
    uint32_t sequence; /* of the next request; 1 follows 2^32-1 */
    uint32_t few;      /* the core stops at a service (see `stops`) only if at least so many servers follow it */
    uint16_t family_id;
    uint8_t final;     /* the text is complete: its last line needs no line feed */
    uint8_t additions; /* the core reads lines that add (-A, -a), and leaves all others to the caller */
    uint8_t dry;       /* the core reads lines and writes no requests; `sequence` stays */
    uint8_t stop;      /* written only: enum ipvsnl_stop */
};

/* The line that a request came from. */
struct ipvsnl_origin {
    uint64_t at; /* where in the text it begins */
    uint64_t line;
};

/* Write the requests of the plain lines from `at` on, one after the other, as ipvsnl_encode writes them, and where each
 * came from. `most` is the room for origins. Empty lines are passed over. Answers how many requests there are.
 *
 * `stops` are names of schedulers, each with its NUL. A line that adds a service with one of them is the caller's, if
 * the next `few` lines all add a server to that service. Where the text ends too early to tell, it is the caller's. */
int64_t ipvsnl_rules(const void *text, size_t length, const void *stops, size_t stops_length,
                     struct ipvsnl_text *state, void *out, size_t capacity, struct ipvsnl_origin *origins, size_t most,
                     struct ipvsnl_fault *fault);

/* Write the requests that delete the services which plain lines add. It reads backwards: from the line that ends before
 * `at` to the text's beginning. Every other line is passed over. The `line` of each origin is 0: lines are not counted.
 * Answers how many requests there are. `at` is 0 when all are written; otherwise there was no room for more. It reads
 * `at`, `sequence` and `family_id` of `state`, and writes `at`, `length`, `last` and `sequence`. */
int64_t ipvsnl_deletions(const void *text, size_t length, struct ipvsnl_text *state, void *out, size_t capacity,
                         struct ipvsnl_origin *origins, size_t most, struct ipvsnl_fault *fault);

/* --- text from records: text/sorting.c and text/printing.c --- */

/* Sort records of services or servers as ipvsadm does. `counts` cuts them into ranges: each range is sorted by itself.
 * `order` becomes the records' numbers (the first record is 0) in the sorted order; `scratch` has the same capacity.
 * Answers how many records there are. */
int64_t ipvsnl_order(enum ipvsnl_group group, const void *records, size_t size, const uint32_t *counts, size_t ranges,
                     uint32_t *order, uint32_t *scratch, size_t capacity, struct ipvsnl_fault *fault);

/* What a table is written as: what -S writes, or a listing's lines without its titles. */
enum ipvsnl_print_kind {
    IPVSNL_PRINT_SAVED,
    IPVSNL_PRINT_USUAL,
    IPVSNL_PRINT_STATS,
    IPVSNL_PRINT_RATE,
    IPVSNL_PRINT_THRESHOLDS,
    IPVSNL_PRINT_PERSISTENT,
};

/* A table to write as text, and how far the writing has come. To go on, call again with the same one. */
struct ipvsnl_print {
    const void *services;  /* `count` records */
    const void *servers;   /* `servers_count` records */
    const uint32_t *first;  /* of each service: the number of its first server */
    const uint32_t *counts; /* of each service: how many servers it has */
    const uint32_t *service_order; /* `count` numbers */
    const uint32_t *server_order;  /* `servers_count` numbers; a service's stand where its servers do */
    uint64_t count;
    uint64_t servers_count;
    uint64_t at;        /* how many services are written: begin with 0 */
    uint8_t kind;       /* enum ipvsnl_print_kind */
    uint8_t thresholds; /* saved: whether servers have -x and -y */
    uint8_t own;        /* saved: rules that need an option of our own are left to the caller */
    uint8_t exact;      /* with counters: no number is shortened */
    uint8_t narrow;     /* with counters: 32 bits of those of servers that ipvsadm cuts */
    uint8_t stop;       /* written only: enum ipvsnl_stop; LINE: the caller must write the next service itself */
};

/* Write the lines of services and their servers, from the service `at` on, each service whole. Answers the bytes
 * written. */
int64_t ipvsnl_print(struct ipvsnl_print *print, void *out, size_t capacity, struct ipvsnl_fault *fault);

/* --- columns: bytes/columns.c and bytes/records.c --- */

/* How an item of a column stands in a request. */
enum ipvsnl_form {
    IPVSNL_FORM_PLAIN,   /* as it is */
    IPVSNL_FORM_SWAPPED, /* two bytes of the host's order, there in network order */
};

/* One field that differs between the requests of one pattern. Row `n` has the `width` bytes at `n * stride`; they go to
 * `target`. */
struct ipvsnl_column {
    const void *data;
    size_t length; /* of the data, in bytes */
    size_t stride;
    uint32_t width;
    uint32_t target; /* where in the request */
    uint32_t form;   /* enum ipvsnl_form */
};

/* Write the requests of `rows` rows from `first` on: copies of the pattern, each with its sequence number and its
 * items. Answers the bytes written. A column that is too short is a fault, whose offset is the number of the column. */
int64_t ipvsnl_stamp(const void *request, size_t length, uint32_t sequence, const struct ipvsnl_column *columns,
                     size_t count, size_t first, size_t rows, void *out, size_t capacity, struct ipvsnl_fault *fault);

#define IPVSNL_SHAPE_STEPS 64

/* One attribute of a reply: the bytes of its header, where it stands, and how it becomes a field of the record. */
struct ipvsnl_step {
    uint32_t header;
    uint16_t at;
    uint16_t field;
    uint16_t operation;
    uint16_t size;
};

/* Where the attributes of a reply stand, so that the next reply is read faster (bytes/reply_shape.c). It is the core's
 * own: begin with zeroes and leave it alone. */
struct ipvsnl_reply_shape {
    uint64_t length;
    uint32_t group;
    uint32_t outer;
    uint32_t present;
    uint32_t count;
    struct ipvsnl_step steps[IPVSNL_SHAPE_STEPS];
};

/* How far a dump has come. */
struct ipvsnl_dump {
    uint64_t at;       /* where in the datagram to go on: begin with 0 */
    uint32_t sequence; /* of its request */
    int32_t error;     /* written only: the errno that it ended with */
    uint8_t finished;  /* written only: nothing more will come */
    uint8_t changed;   /* written only: what is read changed meanwhile (NLM_F_DUMP_INTR), so it must be read again */
    struct ipvsnl_reply_shape shape;
};

/* Read the dump's replies of a datagram into records of `group`, one after the other; foreign sequence numbers are
 * passed over. A reply that names another command than a reply of the group is a fault. Answers how many. Where `at` is not the datagram's length then, the records were full: go on there. */
int64_t ipvsnl_take_records(enum ipvsnl_group group, const void *datagram, size_t length, struct ipvsnl_dump *dump,
                            void *records, size_t capacity, struct ipvsnl_fault *fault);

/* The bytes of a group's record; 0 for a number that is no group. */
size_t ipvsnl_record_size(enum ipvsnl_group group);

/* --- sockets: talk/ (Linux) ---
 *
 * These functions wait at most `timeout` milliseconds without progress. Progress is a record or an answer of ours: the
 * deadline is taken when there is none, and only progress lifts it; neither a signal nor a foreign datagram does. What
 * another process sent is passed over. They have faults of their own: IPVSNL_INTERRUPTED: a signal came; call again to
 * go on, with the same deadline. IPVSNL_SILENT: the deadline has passed. IPVSNL_LOST: the kernel dropped answers, since
 * the socket's queue was full (ENOBUFS). IPVSNL_SYSTEM: any other errno; the fault's offset is that errno (ECONNRESET:
 * the other end has gone). */

#define IPVSNL_SLOTS 64          /* datagrams that one system call receives, at most */
#define IPVSNL_ANSWER_SLOT 2048  /* room for an answer: a refusal echoes its request, where it may not be capped */
#define IPVSNL_DUMP_SLOT 32768   /* room for a datagram of a dump: the kernel makes none longer than 32448 */
#define IPVSNL_WORDS_MAX 87

/* A request that was refused, and the kernel's own words, if it sent any (cut to fit, with NUL). */
struct ipvsnl_refusal {
    uint32_t sequence;
    int32_t error;
    char words[IPVSNL_WORDS_MAX + 1];
};

/* What is known of the requests `first` to `closing`. The last one, `closing`, asks for an acknowledgement. Begin with
 * zeroes and these two. */
struct ipvsnl_answers {
    uint32_t first;
    uint32_t closing;
    uint64_t refused;
    uint8_t sent;
    uint8_t finished;
    uint8_t lost; /* the kernel dropped answers: some refusals may be missing */
    uint64_t answered; /* requests: each has one answer at most */
    int64_t deadline;  /* the core's own */
};

/* Take in one datagram: refusals are added to those already there; foreign sequence numbers are passed over. Answers
 * how many answers were ours. More answers than requests are a fault. */
int64_t ipvsnl_take_answers(const void *datagram, size_t length, struct ipvsnl_answers *answers,
                            struct ipvsnl_refusal *refusals, size_t capacity, struct ipvsnl_fault *fault);

/* Send requests and take in their answers. Answers how many were refused. */
int64_t ipvsnl_converse(int socket, const void *requests, size_t length, struct ipvsnl_answers *answers,
                        struct ipvsnl_refusal *refusals, size_t capacity, void *buffer, size_t size, int timeout,
                        struct ipvsnl_fault *fault);

/* A dump under way. Begin with zeroes and `dump.sequence`. */
struct ipvsnl_talk {
    uint64_t used;    /* bytes of records so far */
    uint64_t count;   /* records so far; ipvsnl_dump_servers: of this service */
    uint64_t subject; /* ipvsnl_dump_servers: the number of this service */
    uint32_t slots;   /* how many datagrams were received */
    uint32_t slot;    /* which of them is read next */
    uint32_t lengths[IPVSNL_SLOTS];
    uint8_t sent;
    int64_t deadline; /* the core's own */
    struct ipvsnl_dump dump;
};

/* Ask for a dump and read it into records. Answers 0 when it is over: dump.error says how it went. Answers 1 when the
 * records are full: call again with a larger array that begins with them, and with the same buffer, unchanged. */
int64_t ipvsnl_dump(int socket, const void *request, size_t length, enum ipvsnl_group group, struct ipvsnl_talk *talk,
                    void *records, size_t size, void *buffer, size_t buffer_size, int timeout,
                    struct ipvsnl_fault *fault);

/* Read the servers of many services, one service after the other. `counts` becomes how many servers each has. Answers
 * as ipvsnl_dump does. */
int64_t ipvsnl_dump_servers(int socket, uint16_t family_id, const void *services, size_t services_size,
                            struct ipvsnl_talk *talk, void *records, size_t size, uint32_t *counts, size_t capacity,
                            void *buffer, size_t buffer_size, int timeout, struct ipvsnl_fault *fault);

/* END CDEF */

#endif
