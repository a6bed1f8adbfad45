/* The express lane: plain packets of IPVS connections, decided in batches. This is its whole interface.
 *
 * What stands between the two marker comments is also, word for word, what cffi is given (see build.py).
 *
 * Rules of every function here:
 * - A lane is what lane_new made, and its memory is its own until lane_free. One thread at a time uses it. There are no
 *   globals.
 * - Nothing of policy stands here but the picks of six schedulers: states, timeouts and routes are handed in.
 * - Addresses and ports are numbers: the network's bytes read as big-endian. Times are microseconds, jiffies where named so.
 * - Any packet bytes whatever are safe. A packet that is not plain is left: nothing of it has been done then.
 * - Where memory is short a function answers LANE_NO_MEMORY, and nothing of the thing asked for has been done.
 */
#ifndef IPVSSIM_LANE_H
#define IPVSSIM_LANE_H

#include <stddef.h>
#include <stdint.h>

/* BEGIN CDEF */

#define LANE_JIFFY 10000 /* microseconds: a jiffy where HZ is 100, as mostly */
#define LANE_STATES 11
#define LANE_EVENTS 5
#define LANE_NONE 0xFFFFFFFF /* no server, no connection, no place */
#define LANE_NO_MEMORY -1
#define LANE_ROW 13 /* what is told of a server that changed */

/* Why lane_run stopped. */
enum lane_stop {
    LANE_DONE,
    LANE_LEFT, /* the packet at `at` is not plain */
    LANE_WAIT, /* before the packet at `at` something else happens: its time is not before the jiffy `event` */
    LANE_FULL, /* memory is short, or the caller's: the packet at `at` is as yet untouched */
};

/* What became of a packet. */
enum lane_kind {
    LANE_LEAVES, /* it went the general way */
    LANE_KNOWN,
    LANE_OPENED,
    LANE_REPLY,
};

/* How a service picks; LANE_ELSEWHERE: not here. */
enum lane_scheduler {
    LANE_ELSEWHERE,
    LANE_RR,
    LANE_WRR,
    LANE_LC,
    LANE_WLC,
    LANE_SED,
    LANE_NQ,
};

/* What was counted since it was last taken. */
struct lane_counts {
    uint64_t conns, inpkts, inbytes, outpkts, outbytes;
};

/* Where packets leave. */
struct lane_way {
    uint32_t mtu;
    uint16_t device; /* its number in the caller's list */
    uint8_t header_size; /* 14 or 0 */
    uint8_t header[14];
};

/* A route, the longest prefix first, those of the local table before all others. */
struct lane_prefix {
    uint32_t value, mask;
    uint16_t way;
    uint8_t plain; /* 0: a packet for it is left */
    uint8_t local; /* it is of the local table */
};

struct lane_server {
    uint32_t address;
    uint16_t port; /* 0: the virtual one */
    uint8_t usable; /* available, its service is plain, and there is a way to it */
    uint8_t overloaded;
    uint8_t marked; /* `overloaded` changed since it was last written */
    uint8_t dirty;  /* it stands in the list of those to be written back */
    uint8_t one_packet; /* its UDP connections are no plain ones */
    uint8_t method;
    int32_t weight;
    uint32_t upper, lower;
    uint32_t conns, active, inactive;
    uint32_t service, place; /* the service that it belongs to, and where in its list */
    uint32_t held;           /* connections of the lane's */
    uint32_t gone_active, gone_inactive; /* that expired since it was taken */
    struct lane_way way;
    struct lane_counts counts;
    uint64_t opened, packets; /* of what was counted, as much as was taken since the caller wrote 0 */
};

struct lane_service {
    uint32_t address;
    uint16_t port;
    uint8_t protocol;
    uint8_t opens;     /* enum lane_scheduler */
    uint8_t local;     /* its address is the host's own */
    uint8_t one_packet;
    uint8_t dirty;
    uint8_t ranked;    /* its tree is up to date */
    uint32_t risen;    /* changes of it since it was asked last */
    uint8_t odd;       /* a load is so large that it may wrap: picks are made elsewhere */
    uint32_t last;     /* place of the server picked last, or LANE_NONE (rr, wrr) */
    int64_t current, step; /* wrr */
    struct lane_counts counts;
};

/* A connection as it is handed in and out. `timeout` and `expires` are jiffies. */
struct lane_entry {
    int64_t expires;
    uint32_t client, virtual_address, server, flags, timeout, in_packets;
    uint32_t tag; /* the caller's: LANE_NONE for what the lane opens itself */
    uint16_t client_port, virtual_port;
    uint8_t protocol, state;
};

/* What the state machines and the tunables are. */
struct lane_rules {
    uint8_t tcp[3][LANE_EVENTS][LANE_STATES]; /* by direction, event, state */
    uint8_t event[256];                       /* by TCP's flags */
    uint8_t active[LANE_STATES];              /* whether it counts as active */
    uint32_t tcp_timeout[LANE_STATES];        /* jiffies */
    uint32_t udp_timeout;
    uint32_t flags_of_new, inactive, no_output; /* bits of a connection's flags */
    uint8_t masquerade, direct;
    uint8_t time_wait, closed, fin_wait; /* states in which a SYN opens anew */
    uint8_t reuse;                       /* conn_reuse_mode */
    uint8_t recomputes;                  /* the release's rule for thresholds: by all connections */
    uint8_t routed_replies;              /* replies that are not translated are found by the virtual address */
    uint8_t forwards;                    /* the host forwards, so that replies pass */
    uint32_t active_cost;
    int64_t born;  /* the kernel's jiffies at jiffy 0: its timer wheel; negative: there is none, and timers are exact */
    int64_t jiffy; /* microseconds, more than 0 */
};

/* A batch: packets in, and what becomes of them. */
struct lane_batch {
    const uint8_t *data;
    const int64_t *offsets; /* count + 1, ascending, within data: lane_check says so */
    const int64_t *times;   /* NULL: all come now */
    int64_t count, at;
    int64_t now;
    int64_t event;     /* the jiffy at which something else happens */
    uint8_t framed;    /* packets are Ethernet frames to `mac` */
    uint8_t mac[6];
    uint8_t *out;      /* NULL: nobody looks at what leaves, and nothing is written */
    int64_t room, used;
    uint8_t *kinds;    /* by packet */
    int32_t *servers;  /* by packet, -1 for none */
    int64_t *left;     /* by packet: how many had left before it; count + 1 */
    int64_t *ends;     /* of each that left: its end in `out` */
    uint16_t *devices; /* of each that left */
    int64_t leaving, leaving_room;
    uint32_t connection; /* the lane's number of the one that the last packet met */
};

/* What a packet of a flow is to its connection. */
enum lane_part {
    LANE_UNKNOWN, /* a packet of such a kind is left */
    LANE_FIRST,   /* it is to open it */
    LANE_FURTHER,
    LANE_ANSWER, /* its server sends it */
};

#define LANE_PARTS 16 /* kinds of packets of a stream */

/* All packets of one kind, of one stream; client and server are the flow's. */
struct lane_shape {
    uint32_t address; /* the virtual one */
    uint16_t port, length;
    uint8_t protocol, hops, flags; /* TCP's flags, else 0 */
    uint8_t part;                  /* enum lane_part */
};

/* Packets of flows, without bytes: who comes when, and where each flow went. Servers have the caller's numbers here. */
struct lane_flows {
    const int64_t *times; /* by packet, ascending */
    const uint8_t *kinds;
    const int32_t *flows;
    int64_t at, stop;
    int64_t now;
    int64_t event;           /* the jiffy at which something else happens */
    const uint32_t *clients; /* by flow */
    const uint16_t *ports;
    const uint16_t *streams; /* by flow; NULL: all are of the first */
    const struct lane_shape *shapes; /* LANE_PARTS a stream */
    int32_t *placed; /* by flow: its server, or -1 */
    uint8_t *fresh;  /* whether it was opened */
    uint8_t *gone;   /* not 0: its client sends nothing more */
    const int32_t *numbers; /* by the lane's number of a server */
    const uint8_t *dead;    /* by server: whether it answers nothing */
    const uint32_t *addresses;
    const uint16_t *server_ports;
    uint8_t unanswered, lost; /* what `gone` is where a dead server gets the first packet, or another one */
    int64_t reused, reopened; /* flows whose first packet met an old connection; that were opened once more */
};

struct lane;

struct lane *lane_new(void);
void lane_free(struct lane *lane);

/* The rules that hold from now on. Timeouts are at least one jiffy. */
void lane_rule(struct lane *lane, const struct lane_rules *rules);
/* The routes: `count` prefixes, `ways`, and addresses that are the host's own, or to be left (`own` tells which). */
int32_t lane_route(struct lane *lane, const struct lane_prefix *prefixes, int64_t count, const struct lane_way *ways,
                   int64_t way_count, const uint32_t *hosts, const uint8_t *own, int64_t host_count);

/* Room for so many services and servers; those that are there stay. */
int32_t lane_reserve(struct lane *lane, uint32_t services, uint32_t servers);
/* The caller writes them; they move at lane_reserve. */
struct lane_service *lane_services(struct lane *lane);
struct lane_server *lane_servers(struct lane *lane);
/* Service number `service` is found by its address from now on, and has these servers in list order. */
int32_t lane_serve(struct lane *lane, uint32_t service, const uint32_t *servers, uint32_t count);
/* The number of the service there; LANE_NONE: there is none. */
uint32_t lane_service_at(const struct lane *lane, uint32_t address, uint16_t port, uint8_t protocol);
/* No service is found by its address any more. */
void lane_forget(struct lane *lane);
/* What was counted in all. */
struct lane_counts *lane_total(struct lane *lane);
/* The servers that changed since they were last taken, at most `room` of them: a row of LANE_ROW numbers each. These are its
 * number; conns, inpkts, inbytes, outpkts, outbytes, which are taken; conns, active, inactive; overloaded, whether that
 * changed; active and inactive ones that expired since. */
int64_t lane_changed(struct lane *lane, int64_t *rows, int64_t room);
/* The loads as they are, and what was counted since the caller wrote 0 to `opened` and `packets`, added to columns: of each
 * of the first `count` servers, where its number in `numbers` says, unless that is negative. */
void lane_sample(const struct lane *lane, const int32_t *numbers, int64_t count, int64_t *opened, int64_t *active,
                 int64_t *inactive, int64_t *packets);
/* The same of services, whose schedulers moved on. */
int64_t lane_moved(struct lane *lane, uint32_t *services, int64_t room);

/* Keys of connections that others keep: packets with such a key are left. Each is a client's address, a virtual address,
 * both ports, and the protocol; or a reply's. */
int32_t lane_foreign(struct lane *lane, uint32_t source, uint32_t destination, uint16_t port, uint16_t to, uint8_t protocol);
void lane_forget_foreign(struct lane *lane);

/* How many connections the lane keeps. */
int64_t lane_count(const struct lane *lane);
/* The bytes that it takes. */
int64_t lane_memory(const struct lane *lane);
/* Keep one more: 1; 0 where its keys are taken already (it is not kept then), or where `server` is unknown. */
int32_t lane_keep(struct lane *lane, const struct lane_entry *entry);
/* Hand out the connection of which this is a request, those of which it is a reply, and all that have a key in common with
 * them; of one key the newest first. How many there were; as many as `room`: ask again. */
int64_t lane_give(struct lane *lane, uint32_t source, uint32_t destination, uint16_t port, uint16_t to, uint8_t protocol,
                  struct lane_entry *entries, int64_t room);
/* Hand out any, of one reply key the newest first. How many there were; 0: there are none left. */
int64_t lane_drain(struct lane *lane, struct lane_entry *entries, int64_t room);
/* The first jiffy at which lane_expire has work to do; -1: none. */
int64_t lane_next(const struct lane *lane);
/* Let everything go whose time has come at `jiffy`; how many went. Jiffies before it have passed. Servers that lost some are
 * among the changed ones. */
int64_t lane_expire(struct lane *lane, int64_t jiffy);

/* Whether offsets ascend and end within the data. */
int32_t lane_check(const int64_t *offsets, int64_t count, int64_t size);
/* Go on with a batch. */
int32_t lane_run(struct lane *lane, struct lane_batch *batch);
/* Go on with packets of flows, up to `stop`. Connections expire on the way. */
int32_t lane_pass(struct lane *lane, struct lane_flows *flows);

/* END CDEF */

#endif
