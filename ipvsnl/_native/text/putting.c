/* Words, numbers and addresses are appended to a text. */
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

int ipvsnl_is_plain(const struct ipvsnl_service *service, size_t *name_length)
{
    const char *name = service->sched_name, *nul = memchr(name, 0, sizeof service->sched_name);

    *name_length = nul == NULL ? 0 : (size_t)(nul - name);
    for (size_t i = 0; i < *name_length; i++)
        if (name[i] <= ' ' || name[i] > '~')
            return 0;
    return *name_length && is_family(service->af) && !service->pe_name[0] &&
           !(service->flags & (IPVSNL_SVC_F_SCHED1 | IPVSNL_SVC_F_SCHED2 | IPVSNL_SVC_F_SCHED3)) &&
           service->fwmark <= INT32_MAX; /* ipvsadm writes larger marks as negative numbers */
}
