/* Records to text: the lines of saved tables and of listings, for ordinary services with numbers. */
#include "text/putting.h"

void ipvsnl_put_number(struct text *text, uint64_t number)
{
    uint8_t digits[20], *at = digits + sizeof digits;

    do
        *--at = (uint8_t)('0' + number % 10);
    while (number /= 10);
    put(text, at, (size_t)(digits + sizeof digits - at));
}

void ipvsnl_put_signed(struct text *text, int32_t number)
{
    if (number < 0)
        PUT(text, "-");
    ipvsnl_put_number(text, number < 0 ? 0 - (uint32_t)number : (uint32_t)number);
}

void ipvsnl_put_quad(struct text *text, const uint8_t quad[4])
{
    for (int i = 0; i < 4; i++) {
        if (i)
            PUT(text, ".");
        ipvsnl_put_number(text, quad[i]);
    }
}

void ipvsnl_pad(struct text *text, const uint8_t *from, size_t width)
{
    while ((size_t)(text->here - from) < width)
        *text->here++ = ' ';
}

void ipvsnl_put_endpoint(struct text *text, uint16_t family, const uint8_t address[16], uint16_t port)
{
    char six[ADDRESS_TEXT_MAX + 1];

    if (family == IPVSNL_AF_INET) {
        ipvsnl_put_quad(text, address);
    } else {
        inet_ntop(AF_INET6, address, six, sizeof six);
        PUT(text, "[");
        put_words(text, six);
        PUT(text, "]");
    }
    PUT(text, ":");
    ipvsnl_put_number(text, port);
}

int ipvsnl_put_key(struct text *text, const struct ipvsnl_service *service, const struct key_words *words)
{
    if (service->fwmark) {
        put_words(text, words->mark);
        ipvsnl_put_number(text, service->fwmark);
        if (service->af == IPVSNL_AF_INET6)
            put_words(text, words->six);
        return 1;
    }
    if (service->protocol == IPVSNL_IPPROTO_TCP)
        put_words(text, words->tcp);
    else if (service->protocol == IPVSNL_IPPROTO_UDP)
        put_words(text, words->udp);
    else if (service->protocol == IPVSNL_IPPROTO_SCTP)
        put_words(text, words->sctp);
    else
        return 0;
    ipvsnl_put_endpoint(text, service->af, service->addr, service->port);
    return 1;
}

void ipvsnl_put_persistence(struct text *text, const struct ipvsnl_service *service, const char *timeout,
                            const char *mask)
{
    uint8_t quad[4];

    if (!(service->flags & IPVSNL_SVC_F_PERSISTENT))
        return;
    put_words(text, timeout);
    ipvsnl_put_number(text, service->timeout);
    if (service->netmask == (service->af == IPVSNL_AF_INET6 ? 128 : UINT32_MAX))
        return;
    put_words(text, mask);
    store32(quad, service->netmask);
    if (service->af == IPVSNL_AF_INET6)
        ipvsnl_put_number(text, service->netmask);
    else
        ipvsnl_put_quad(text, quad);
}

static int is_family(uint16_t family)
{
    return family == IPVSNL_AF_INET || family == IPVSNL_AF_INET6;
}

int ipvsnl_is_plain(const struct ipvsnl_service *service, size_t *name_length)
{
    const char *name = service->sched_name, *nul = memchr(name, 0, sizeof service->sched_name);

    *name_length = nul == NULL ? 0 : (size_t)(nul - name);
    for (size_t i = 0; i < *name_length; i++)
        if (name[i] <= ' ' || name[i] > '~')
            return 0;
    return *name_length && is_family(service->af) && !service->pe_name[0] &&
           !(service->flags & (IPVSNL_SVC_F_SCHED1 | IPVSNL_SVC_F_SCHED2 | IPVSNL_SVC_F_SCHED3)) &&
           service->fwmark <= INT32_MAX; /* beyond that, ipvsadm's numbers are negative */
}

static int put_service(struct text *text, const struct ipvsnl_print *print, const struct ipvsnl_service *service,
                       struct word *named)
{
    if (print->kind == IPVSNL_PRINT_SAVED)
        return ipvsnl_save_service(text, service, named);
    return ipvsnl_list_service(text, print, service);
}

static int put_server(struct text *text, const struct ipvsnl_print *print, const struct ipvsnl_dest *dest,
                      const struct word *named)
{
    if (!is_family(dest->addr_family) || dest->fwd_method > ROUTE)
        return 0;
    if (print->kind == IPVSNL_PRINT_SAVED)
        return ipvsnl_save_server(text, print, dest, named);
    return ipvsnl_list_server(text, print, dest);
}

/* A service with its servers. Answers why that was not all, END where it was. */
static enum ipvsnl_stop put_entry(struct text *text, const struct ipvsnl_print *print, const uint32_t *servers,
                                  size_t count, const void *service_record)
{
    struct ipvsnl_service service;
    struct ipvsnl_dest dest;
    struct word named = {NULL, 0};

    memcpy(&service, service_record, sizeof service);
    if (text->end - text->here < LINE_MAX)
        return IPVSNL_STOP_FULL;
    if (!put_service(text, print, &service, &named))
        return IPVSNL_STOP_LINE;
    for (size_t i = 0; i < count; i++) {
        if (text->end - text->here < LINE_MAX)
            return IPVSNL_STOP_FULL;
        memcpy(&dest, (const uint8_t *)print->servers + servers[i] * sizeof dest, sizeof dest);
        if (!put_server(text, print, &dest, &named))
            return IPVSNL_STOP_LINE;
    }
    return IPVSNL_STOP_END;
}

int64_t ipvsnl_print(struct ipvsnl_print *print, void *out, size_t capacity, struct ipvsnl_fault *fault)
{
    uint8_t *begin = out;
    struct text text = {begin, begin + capacity};
    enum ipvsnl_stop stop = IPVSNL_STOP_END;

    while (print->at < print->count) {
        uint32_t index = print->service_order[print->at], first, count;
        uint8_t *entry = text.here;
        if (index >= print->count)
            return fail(fault, IPVSNL_BOUNDS, print->at, -1);
        first = print->first[index];
        count = print->counts[index];
        if (first > print->servers_count || count > print->servers_count - first)
            return fail(fault, IPVSNL_BOUNDS, print->at, -1);
        for (uint32_t i = 0; i < count; i++)
            if (print->server_order[first + i] >= print->servers_count)
                return fail(fault, IPVSNL_BOUNDS, print->at, -1);
        stop = put_entry(&text, print, print->server_order + first, count,
                         (const uint8_t *)print->services + index * sizeof(struct ipvsnl_service));
        if (stop != IPVSNL_STOP_END) {
            text.here = entry;
            break;
        }
        print->at++;
    }
    print->stop = (uint8_t)stop;
    return text.here - begin;
}
