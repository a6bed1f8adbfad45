/* Records become the lines that ipvsadm -Sn writes. */
#include "text/saving.h"

int ipvsnl_save_service(struct text *text, const struct ipvsnl_service *service, struct word *named)
{
    static const struct key_words options = {"-f ", " -6", "-t ", "-u ", "--sctp-service "};
    size_t length;

    if (!ipvsnl_is_plain(service, &length))
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

int ipvsnl_save_server(struct text *text, const struct ipvsnl_print *print, const struct ipvsnl_dest *dest,
                       const struct word *named)
{
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
