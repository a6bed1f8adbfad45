/* Records become the lines that ipvsadm -Ln writes, also with --stats, --rate, --thresholds and --persistent-conn. */
#include "text/listing.h"

#define NAME_WIDTH 33   /* of a service, before its counters */
#define SERVER_WIDTH 28 /* of an address and port, behind the arrow */
#define NUMBER_WIDTH 9

/* A set of counters is five totals and then five rates (per second). These are the places in both. */
enum { CONNS, INPKTS, OUTPKTS, INBYTES, OUTBYTES, COUNTERS };

static void put_right(struct text *text, uint64_t number, size_t width)
{
    uint8_t digits[20];
    struct text apart = {digits, digits + sizeof digits};
    size_t length;

    ipvsnl_put_number(&apart, number);
    length = (size_t)(apart.here - digits);
    for (; width > length; width--)
        PUT(text, " ");
    put(text, digits, length);
}

static void put_left(struct text *text, uint32_t number, size_t width)
{
    const uint8_t *from = text->here;

    ipvsnl_put_number(text, number);
    ipvsnl_pad(text, from, width);
}

/* A number in nine columns. From a hundred million on it is cut (not rounded) to thousands, millions, ..., unless the
 * caller wants exact numbers. */
static void put_counter(struct text *text, const struct ipvsnl_print *print, uint64_t number)
{
    static const struct {
        uint64_t below, unit;
        char letter;
    } steps[] = {
        {1000000000, 1000, 'K'},
        {100000000000, 1000000, 'M'},
        {100000000000000, 1000000000, 'G'},
        {UINT64_MAX, 1000000000000, 'T'},
    };
    size_t step = 0;

    if (number < 100000000) {
        put_right(text, number, NUMBER_WIDTH);
    } else if (print->exact) {
        PUT(text, " ");
        ipvsnl_put_number(text, number);
    } else {
        while (steps[step].below != UINT64_MAX && number >= steps[step].below)
            step++;
        put_right(text, number / steps[step].unit, NUMBER_WIDTH - 1);
        put(text, &steps[step].letter, 1);
    }
}

/* Load what a listing shows: totals or rates. A record begins with the legacy set; the wide set (64 bits) is next. */
static void load_counters(uint64_t counters[COUNTERS], const struct ipvsnl_print *print, const void *record, int wide)
{
    size_t from = print->kind == IPVSNL_PRINT_RATE ? COUNTERS : 0;

    if (wide)
        from += 2 * COUNTERS;
    memcpy(counters, (const uint8_t *)record + 8 * from, COUNTERS * sizeof *counters);
}

int ipvsnl_list_service(struct text *text, const struct ipvsnl_print *print, const struct ipvsnl_service *service)
{
    static const struct key_words names = {"FWM  ", " IPv6", "TCP  ", "UDP  ", "SCTP "};
    const uint8_t *from = text->here;
    uint64_t counters[COUNTERS];
    size_t length;

    if (!ipvsnl_is_plain(service, &length) || !ipvsnl_put_key(text, service, &names))
        return 0;
    if (print->kind == IPVSNL_PRINT_STATS || print->kind == IPVSNL_PRINT_RATE) {
        ipvsnl_pad(text, from, NAME_WIDTH);
        load_counters(counters, print, service, (service->present & IPVSNL_SERVICE_STATS64) != 0);
        for (size_t i = 0; i < COUNTERS; i++)
            put_counter(text, print, counters[i]);
    } else {
        PUT(text, " ");
        put(text, service->sched_name, length);
        ipvsnl_put_persistence(text, service, " persistent ", " mask ");
        if (service->flags & IPVSNL_SVC_F_ONEPACKET)
            PUT(text, " ops");
    }
    PUT(text, "\n");
    return 1;
}

/* The rates of a real server. ipvsadm never shortens its connections and packets. */
static void put_rates(struct text *text, const struct ipvsnl_print *print, const uint64_t rates[COUNTERS])
{
    for (size_t i = CONNS; i <= OUTPKTS; i++) {
        PUT(text, " ");
        put_right(text, rates[i], NUMBER_WIDTH - 1);
    }
    put_counter(text, print, rates[INBYTES]);
    put_counter(text, print, rates[OUTBYTES]);
}

static void put_server_counters(struct text *text, const struct ipvsnl_print *print, const struct ipvsnl_dest *dest)
{
    uint64_t counters[COUNTERS];
    int rates = print->kind == IPVSNL_PRINT_RATE;

    load_counters(counters, print, dest, (dest->present & IPVSNL_DEST_STATS64) != 0);
    for (size_t i = 0; print->narrow && i < (rates ? COUNTERS : INBYTES); i++)
        counters[i] &= UINT32_MAX;
    if (rates) {
        put_rates(text, print, counters);
        return;
    }
    for (size_t i = 0; i < COUNTERS; i++)
        put_counter(text, print, counters[i]);
}

static void put_weight(struct text *text, const struct ipvsnl_dest *dest, size_t width)
{
    const uint8_t *from = text->here;

    ipvsnl_put_signed(text, dest->weight);
    ipvsnl_pad(text, from, width);
    PUT(text, " ");
}

int ipvsnl_list_server(struct text *text, const struct ipvsnl_print *print, const struct ipvsnl_dest *dest)
{
    static const char methods[][9] = {"Masq    ", "Local   ", "Tunnel  ", "Route   "};
    const uint8_t *from;

    PUT(text, "  -> ");
    from = text->here;
    ipvsnl_put_endpoint(text, dest->addr_family, dest->addr, dest->port);
    ipvsnl_pad(text, from, SERVER_WIDTH);
    if (print->kind == IPVSNL_PRINT_STATS || print->kind == IPVSNL_PRINT_RATE) {
        put_server_counters(text, print, dest);
        PUT(text, "\n");
        return 1;
    }
    PUT(text, " ");
    if (print->kind == IPVSNL_PRINT_THRESHOLDS) {
        put_left(text, dest->u_thresh, 11);
        put_left(text, dest->l_thresh, 11);
    } else if (print->kind == IPVSNL_PRINT_PERSISTENT) {
        put_weight(text, dest, 9);
        put_left(text, dest->persist_conns, 12);
    } else {
        put(text, methods[dest->fwd_method], 8);
        put_weight(text, dest, 6);
    }
    put_left(text, dest->active_conns, 11);
    put_left(text, dest->inact_conns, 10);
    PUT(text, "\n");
    return 1;
}
