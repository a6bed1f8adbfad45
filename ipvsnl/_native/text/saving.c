/* Records become the lines that ipvsadm -Sn writes. */
#include "text/saving.h"

#define TIMEOUT_MAX (31 * 24 * 3600)
#define FLAGS_WITH_OPTIONS                                                                                              \
    (IPVSNL_SVC_F_PERSISTENT | IPVSNL_SVC_F_HASHED | IPVSNL_SVC_F_ONEPACKET | IPVSNL_SVC_F_SCHED1 |                      \
     IPVSNL_SVC_F_SCHED2 | IPVSNL_SVC_F_SCHED3)

/* Whether ipvsadm's options can't say what the service is. */
static int needs_own(const struct ipvsnl_service *service)
{
    int persistent = (service->flags & IPVSNL_SVC_F_PERSISTENT) != 0;

    if (!service->fwmark && !service->port && !persistent)
        return 1;
    if (!service->fwmark && service->flags & IPVSNL_SVC_F_ONEPACKET && service->protocol != IPVSNL_IPPROTO_UDP)
        return 1;
    if (persistent && (service->timeout == 0 || service->timeout > TIMEOUT_MAX))
        return 1;
    return (service->flags & ~(uint32_t)FLAGS_WITH_OPTIONS) != 0;
}

/* The same of a server. */
static int server_needs_own(const struct ipvsnl_service *service, const struct ipvsnl_dest *dest)
{
    if (dest->fwd_method == IPVSNL_FORWARD_LOCAL || dest->u_thresh > INT32_MAX || dest->l_thresh > INT32_MAX)
        return 1;
    return dest->fwd_method != IPVSNL_FORWARD_MASQ && !service->fwmark && dest->port != service->port;
}

int ipvsnl_save_service(struct text *text, const struct ipvsnl_print *print, const struct ipvsnl_service *service,
                        struct word *named)
{
    static const struct key_words options = {"-f ", " -6", "-t ", "-u ", "--sctp-service "};
    size_t length;

    if (!ipvsnl_is_plain(service, &length) || (print->own && needs_own(service)))
        return 0;
    PUT(text, "-A ");
    named->at = text->here;
    if (!ipvsnl_put_key(text, service, &options))
        return 0;
    named->length = (size_t)(text->here - named->at);
    PUT(text, " -s ");
    put(text, service->sched_name, length);
    ipvsnl_put_persistence(text, service, " -p ", " -M ");
    if (service->flags & IPVSNL_SVC_F_ONEPACKET)
        PUT(text, " -o");
    PUT(text, "\n");
    return 1;
}

/* The option that says how a server is reached. For LOCAL ipvsadm has none of its own: it writes -g. */
static const char *method(const struct ipvsnl_dest *dest)
{
    if (dest->fwd_method == IPVSNL_FORWARD_MASQ)
        return " -m";
    return dest->fwd_method == IPVSNL_FORWARD_TUNNEL ? " -i" : " -g";
}

static void put_option(struct text *text, const char option[5], uint32_t number)
{
    put(text, option, 4);
    ipvsnl_put_number(text, number);
}

int ipvsnl_save_server(struct text *text, const struct ipvsnl_print *print, const struct ipvsnl_service *service,
                       const struct ipvsnl_dest *dest, const struct word *named)
{
    if (print->own && server_needs_own(service, dest))
        return 0;
    if (dest->fwd_method == IPVSNL_FORWARD_TUNNEL && dest->tun_type)
        return 0;
    PUT(text, "-a ");
    put(text, named->at, named->length);
    PUT(text, " -r ");
    ipvsnl_put_endpoint(text, dest->addr_family, dest->addr, dest->port);
    put(text, method(dest), 3);
    PUT(text, " -w ");
    ipvsnl_put_signed(text, dest->weight);
    if (print->thresholds && dest->u_thresh)
        put_option(text, " -x ", dest->u_thresh);
    if (print->thresholds && dest->l_thresh)
        put_option(text, " -y ", dest->l_thresh);
    if (dest->fwd_method == IPVSNL_FORWARD_TUNNEL)
        PUT(text, " --tun-type ipip");
    PUT(text, "\n");
    return 1;
}
