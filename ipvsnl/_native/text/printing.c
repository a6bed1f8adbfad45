/* A table becomes text: each service, and its servers under it, as lines to save or lines to look at. */
#include "text/listing.h"
#include "text/saving.h"

/* No line is longer. The longest has two addresses and six numbers with options, or one address and five numbers of 20
 * digits. */
#define LINE_MAX 256

static int put_service(struct text *text, const struct ipvsnl_print *print, const struct ipvsnl_service *service,
                       struct word *named)
{
    if (print->kind == IPVSNL_PRINT_SAVED)
        return ipvsnl_save_service(text, print, service, named);
    return ipvsnl_list_service(text, print, service);
}

static int put_server(struct text *text, const struct ipvsnl_print *print, const struct ipvsnl_service *service,
                      const struct ipvsnl_dest *dest, const struct word *named)
{
    if (!is_family(dest->addr_family) || dest->fwd_method > IPVSNL_FORWARD_ROUTE)
        return 0;
    if (print->kind == IPVSNL_PRINT_SAVED)
        return ipvsnl_save_server(text, print, service, dest, named);
    return ipvsnl_list_server(text, print, dest);
}

/* Write a service and its servers. Answers END: all is written; FULL or LINE: why it is not. */
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
        if (!put_server(text, print, &service, &dest, &named))
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
