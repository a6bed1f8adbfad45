/* Captures on the express lane: a file's records, which side each was seen on, what became of it, and what is written.
 *
 * What stands between the two marker comments is also, word for word, what cffi is given (see build.py). The rules are those
 * of lane.h. What a packet is to a capture is decided in ipvssim/doors/captures; here is what is plain of that, and the rest
 * is left: nothing of it has been done then.
 */
#ifndef IPVSSIM_CAPTURE_H
#define IPVSSIM_CAPTURE_H

#include "lane.h"

/* BEGIN CDEF */

#define CAPTURE_LONGEST 262144 /* bytes of a record that libpcap writes */
#define CAPTURE_STATES 16      /* states of a flow that fit into its row */
#define CAPTURE_PRINT 72       /* bytes that a request is remembered by, at most */

/* Why capture_read stopped. */
enum capture_stop {
    CAPTURE_MORE,  /* the bytes end within a record, or behind the last */
    CAPTURE_OTHER, /* what stands at `at` is no plain record */
    CAPTURE_FULL,  /* the caller's room is used up */
};

/* Link types that are read here (https://www.tcpdump.org/linktypes.html), by their numbers in a file. */
enum capture_link {
    CAPTURE_NULL = 0,
    CAPTURE_ETHERNET = 1,
    CAPTURE_RAW = 101,
    CAPTURE_LOOP = 108,
    CAPTURE_COOKED = 113,
    CAPTURE_COOKED2 = 276,
};

enum capture_direction {
    CAPTURE_NEITHER,
    CAPTURE_IN,
    CAPTURE_OUT,
};

/* How a file's records are read. */
struct capture_file {
    uint8_t big;         /* numbers are big-endian */
    uint8_t blocks;      /* pcapng */
    uint8_t head;        /* bytes before a packet (pcap) */
    uint8_t begun;       /* `first` is known */
    uint32_t parts;      /* of a microsecond: the unit of times */
    uint32_t link;       /* enum capture_link */
    int64_t offset;      /* microseconds that are added to times */
    int64_t first;       /* the first record's time */
    int64_t began;       /* the clock's time then */
    int64_t interface;   /* what packets are seen on whose link does not say it; 0: nothing tells */
};

/* A record: its time in microseconds, its frame in the file's bytes, and what its link says. */
struct capture_row {
    int64_t when, start;
    int64_t interface;  /* 0: nothing tells */
    uint32_t kept, size;
    uint8_t direction;
    uint8_t source;     /* where the sender's MAC address stands in the frame; 0: nowhere */
    uint8_t target;     /* the receiver's stands at the frame's beginning */
    uint8_t cut;        /* the file has only its beginning */
};

/* A piece of a file, and the records in it: packet n is what stands in `packets` from offsets[n] to offsets[n + 1], filled
 * up with zeros where it was cut; empty where it is left to others. */
struct capture_block {
    const uint8_t *raw;
    int64_t size, at;
    struct capture_row *rows;
    int64_t *times;    /* of the clock */
    int64_t *offsets;  /* room + 1 */
    uint8_t *packets;
    int64_t room, packet_room, count;
};

/* Read on, from `at`: the records found take the place of those before. */
int32_t capture_read(struct capture_file *file, struct capture_block *block);

/* What packets are known by: what the rules name, and what was seen. A key is one of these, shifted by 56, and a number. */
enum capture_known {
    CAPTURE_NOTHING,
    CAPTURE_VIRTUAL,     /* addresses */
    CAPTURE_TRANSLATED,
    CAPTURE_DIRECT,
    CAPTURE_TUNNEL,
    CAPTURE_OWN_ADDRESS,
    CAPTURE_OWN_MAC,
    CAPTURE_SERVER_MAC,
    CAPTURE_ADDRESS,     /* of a client */
    CAPTURE_CLIENT,      /* protocol, address and port: its flow */
};

enum capture_director {
    CAPTURE_UNKNOWN,
    CAPTURE_PLACE, /* an address and a port */
    CAPTURE_MAC,
    CAPTURE_TOLD,  /* the caller has it */
};

/* A flow: what was counted since the caller took it. `kind` is an enum lane_kind, LANE_LEAVES for the caller's own. */
struct capture_flow {
    uint64_t in_packets, in_bytes, back_packets, back_bytes;
    uint64_t states;      /* of four bits, the first one lowest */
    uint64_t place;       /* what the captured director used: address and port, or a MAC address */
    int64_t began;
    uint32_t client, virtual_address;
    int32_t server;
    uint16_t client_port, virtual_port;
    uint8_t protocol, kind, state_count, last_state, director;
    uint8_t answers;      /* its virtual address and port are known here */
    uint8_t live;         /* capture_live said so */
};

/* A request that came: its copies are known by it. */
struct capture_first {
    int64_t when, interface;
    uint32_t flow;
    uint8_t target[6];
    uint8_t has_target, hops;
};

/* What was counted; `firsts` are the packets at which each kind came up first since the caller wrote zeros. */
struct capture_counts {
    int64_t kinds[4], firsts[4];
    int64_t left_server, left_client, again, cut, merged;
    int64_t mtu, longest; /* a packet that is longer than `mtu` was merged; one longer than `longest` is left */
    uint8_t any_request, any_direct;
};

struct capture;

struct capture *capture_new(void);
void capture_free(struct capture *capture);
struct capture_counts *capture_counts(struct capture *capture);
/* Remember a number by a key; LANE_NO_MEMORY. */
int32_t capture_note(struct capture *capture, uint64_t key, uint32_t value);
/* That number; LANE_NONE: there is none. */
uint32_t capture_noted(const struct capture *capture, uint64_t key);
/* Remember a request by its print, among the last ones. */
void capture_remember(struct capture *capture, const uint8_t *print, uint32_t size, const struct capture_first *first);
int32_t capture_recall(const struct capture *capture, const uint8_t *print, uint32_t size, struct capture_first *first);
/* The flows are the caller's to write and read; one more moves them. Its number (from 0), or LANE_NONE: no memory. */
uint32_t capture_open(struct capture *capture);
struct capture_flow *capture_flows(struct capture *capture);
uint32_t capture_flow_count(const struct capture *capture);
/* Let `live` be right in all rows. */
void capture_live(struct capture *capture, const struct lane *lane);
/* Go on with a batch of a block's packets: as lane_run. */
int32_t capture_run(struct capture *capture, struct lane *lane, struct lane_batch *batch, const struct capture_block *block);
/* What left, as records of a pcap file (Ethernet, microseconds, little-endian): how many bytes of `file`, whose room is
 * 30 bytes for each that left and their bytes. bare[d]: what leaves on device d has no Ethernet header. */
int64_t capture_write(const struct lane_batch *batch, const struct capture_row *rows, const uint8_t *bare, uint8_t *file);

/* END CDEF */

#endif
