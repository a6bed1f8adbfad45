/* Records to rule text: the lines that ipvsadm -Sn writes, for tables of ordinary services. */
#include "lines.h"

#define LINE_MAX 256 /* no line is longer: two addresses, and six numbers with their options */

enum { MASQ, LOCAL, TUNNEL, ROUTE }; /* for LOCAL ipvsadm has no option of its own: it writes -g */

struct text {
    uint8_t *here;
    uint8_t *end;
};

static void put(struct text *text, const void *bytes, size_t length)
{
    memcpy(text->here, bytes, length);
    text->here += length;
}

#define PUT(text, literal) put(text, literal, sizeof literal - 1)

static void put_number(struct text *text, uint32_t number)
{
    uint8_t digits[10], *at = digits + sizeof digits;

    do
        *--at = (uint8_t)('0' + number % 10);
    while (number /= 10);
    put(text, at, (size_t)(digits + sizeof digits - at));
}

static void put_quad(struct text *text, const uint8_t quad[4])
{
    for (int i = 0; i < 4; i++) {
        if (i)
            PUT(text, ".");
        put_number(text, quad[i]);
    }
}

/* `10.0.0.1:80`, `[::1]:80`. */
static void put_endpoint(struct text *text, uint16_t family, const uint8_t address[16], uint16_t port)
{
    char six[ADDRESS_TEXT_MAX + 1];

    if (family == IPVSNL_AF_INET) {
        put_quad(text, address);
    } else {
        inet_ntop(AF_INET6, address, six, sizeof six);
        PUT(text, "[");
        put(text, six, strlen(six));
        PUT(text, "]");
    }
    PUT(text, ":");
    put_number(text, port);
}

static int is_family(uint16_t family)
{
    return family == IPVSNL_AF_INET || family == IPVSNL_AF_INET6;
}

/* A name that needs no thought; `length` is out. */
static int is_name(const char *name, size_t room, size_t *length)
{
    const char *nul = memchr(name, 0, room);

    *length = nul == NULL ? 0 : (size_t)(nul - name);
    for (size_t i = 0; i < *length; i++)
        if (name[i] <= ' ' || name[i] > '~')
            return 0;
    return *length != 0;
}

/* The options that name a service. Answers whether there are such. */
static int put_selector(struct text *text, const struct ipvsnl_service *service)
{
    if (service->fwmark) {
        PUT(text, "-f ");
        put_number(text, service->fwmark);
        if (service->af == IPVSNL_AF_INET6)
            PUT(text, " -6");
        return service->fwmark <= INT32_MAX; /* beyond that, ipvsadm's numbers are negative */
    }
    if (service->protocol == IPVSNL_IPPROTO_TCP)
        PUT(text, "-t ");
    else if (service->protocol == IPVSNL_IPPROTO_UDP)
        PUT(text, "-u ");
    else if (service->protocol == IPVSNL_IPPROTO_SCTP)
        PUT(text, "--sctp-service ");
    else
        return 0;
    put_endpoint(text, service->af, service->addr, service->port);
    return 1;
}

/* The line that adds a service. Answers whether it is a plain one. */
static int put_service(struct text *text, const struct ipvsnl_service *service, struct word *named)
{
    size_t length;
    uint8_t mask[4];

    if (!is_family(service->af) || service->pe_name[0] ||
        service->flags & (IPVSNL_SVC_F_SCHED1 | IPVSNL_SVC_F_SCHED2 | IPVSNL_SVC_F_SCHED3) ||
        !is_name(service->sched_name, sizeof service->sched_name, &length))
        return 0;
    PUT(text, "-A ");
    named->at = text->here;
    if (!put_selector(text, service))
        return 0;
    named->length = (size_t)(text->here - named->at);
    PUT(text, " -s ");
    put(text, service->sched_name, length);
    if (service->flags & IPVSNL_SVC_F_PERSISTENT) {
        PUT(text, " -p ");
        put_number(text, service->timeout);
        if (service->netmask != (service->af == IPVSNL_AF_INET6 ? 128 : UINT32_MAX)) {
            PUT(text, " -M ");
            store32(mask, service->netmask);
            if (service->af == IPVSNL_AF_INET6)
                put_number(text, service->netmask);
            else
                put_quad(text, mask);
        }
    }
    if (service->flags & IPVSNL_SVC_F_ONEPACKET)
        PUT(text, " -o");
    PUT(text, "\n");
    return 1;
}

static void put_option(struct text *text, const char option[5], uint32_t number)
{
    put(text, option, 4);
    put_number(text, number);
}

/* The line that adds a real server. Answers whether it is a plain one. */
static int put_server(struct text *text, const struct ipvsnl_dest *dest, const struct word *named, int thresholds)
{
    if (!is_family(dest->addr_family) || dest->fwd_method > ROUTE || (dest->fwd_method == TUNNEL && dest->tun_type))
        return 0;
    PUT(text, "-a ");
    put(text, named->at, named->length);
    PUT(text, " -r ");
    put_endpoint(text, dest->addr_family, dest->addr, dest->port);
    put(text, dest->fwd_method == MASQ ? " -m" : dest->fwd_method == TUNNEL ? " -i" : " -g", 3);
    PUT(text, " -w ");
    if (dest->weight < 0)
        PUT(text, "-");
    put_number(text, dest->weight < 0 ? 0 - (uint32_t)dest->weight : (uint32_t)dest->weight);
    if (thresholds && dest->u_thresh)
        put_option(text, " -x ", dest->u_thresh);
    if (thresholds && dest->l_thresh)
        put_option(text, " -y ", dest->l_thresh);
    if (dest->fwd_method == TUNNEL)
        PUT(text, " --tun-type ipip");
    PUT(text, "\n");
    return 1;
}

/* A service with its servers. Answers why that was not all, END where it was. */
static enum ipvsnl_stop put_entry(struct text *text, const struct ipvsnl_save *save, const uint32_t *servers,
                                  size_t count, const void *service_record)
{
    struct ipvsnl_service service;
    struct ipvsnl_dest dest;
    struct word named;

    memcpy(&service, service_record, sizeof service);
    if (text->end - text->here < LINE_MAX)
        return IPVSNL_STOP_FULL;
    if (!put_service(text, &service, &named))
        return IPVSNL_STOP_LINE;
    for (size_t i = 0; i < count; i++) {
        if (text->end - text->here < LINE_MAX)
            return IPVSNL_STOP_FULL;
        memcpy(&dest, (const uint8_t *)save->servers + servers[i] * sizeof dest, sizeof dest);
        if (!put_server(text, &dest, &named, save->thresholds))
            return IPVSNL_STOP_LINE;
    }
    return IPVSNL_STOP_END;
}

int64_t ipvsnl_save(struct ipvsnl_save *save, void *out, size_t capacity, struct ipvsnl_fault *fault)
{
    uint8_t *begin = out;
    struct text text = {begin, begin + capacity};
    enum ipvsnl_stop stop = IPVSNL_STOP_END;

    while (save->at < save->count) {
        uint32_t index = save->service_order[save->at], first, count;
        uint8_t *entry = text.here;
        if (index >= save->count)
            return fail(fault, IPVSNL_BOUNDS, save->at, -1);
        first = save->first[index];
        count = save->counts[index];
        if (first > save->servers_count || count > save->servers_count - first)
            return fail(fault, IPVSNL_BOUNDS, save->at, -1);
        for (uint32_t i = 0; i < count; i++)
            if (save->server_order[first + i] >= save->servers_count)
                return fail(fault, IPVSNL_BOUNDS, save->at, -1);
        stop = put_entry(&text, save, save->server_order + first, count,
                         (const uint8_t *)save->services + index * sizeof(struct ipvsnl_service));
        if (stop != IPVSNL_STOP_END) {
            text.here = entry;
            break;
        }
        save->at++;
    }
    save->stop = (uint8_t)stop;
    return text.here - begin;
}
