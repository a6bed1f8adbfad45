/* The part of a line of rule text that is about a real server. Most lines are such lines. In a file of its own the
 * compiler makes this part fastest (a tenth fewer instructions for a rule text). */
#include "text/servers.h"

#define NUMBER_MAX 2147483647

enum {
    SEEN_METHOD = 1,
    SEEN_WEIGHT = 2,
    SEEN_UPPER = 4,
    SEEN_LOWER = 8,
    SEEN_TUNNEL = 16,
    SEEN_TUNNEL_PORT = 32,
    SEEN_CHECKSUM = 64,
    SEEN_OF_TUNNEL = SEEN_TUNNEL | SEEN_TUNNEL_PORT | SEEN_CHECKSUM,
};

static unsigned take_tunnel_option(struct line *line, struct ipvsnl_dest *dest)
{
    uint64_t number;

    if (IS(&line->word, "--tun-type")) {
        if (!next_word(line))
            return 0;
        if (IS(&line->word, "gue"))
            dest->tun_type = IPVSNL_TUNNEL_GUE;
        else if (IS(&line->word, "gre"))
            dest->tun_type = IPVSNL_TUNNEL_GRE;
        else if (!IS(&line->word, "ipip"))
            return 0;
        return SEEN_TUNNEL;
    }
    if (IS(&line->word, "--tun-port")) {
        if (!next_number(line, 1, 65535, &number))
            return 0;
        dest->tun_port = (uint16_t)number;
        return SEEN_TUNNEL_PORT;
    }
    if (IS(&line->word, "--tun-csum"))
        dest->tun_flags = IPVSNL_TUNNEL_F_CSUM;
    else if (IS(&line->word, "--tun-remcsum"))
        dest->tun_flags = IPVSNL_TUNNEL_F_REMCSUM;
    else if (!IS(&line->word, "--tun-nocsum"))
        return 0;
    return SEEN_CHECKSUM;
}

/* Read one option of a real server. Answers its SEEN bit; 0: it is not understood. */
static inline unsigned take_server_option(struct line *line, struct ipvsnl_dest *dest)
{
    uint64_t number;
    uint8_t letter;

    if (line->word.length != 2 || line->word.at[0] != '-')
        return take_tunnel_option(line, dest);
    letter = line->word.at[1];
    if (letter == 'm' || letter == 'g' || letter == 'i') {
        dest->fwd_method = letter == 'm'   ? IPVSNL_FORWARD_MASQ
                           : letter == 'g' ? IPVSNL_FORWARD_ROUTE
                                           : IPVSNL_FORWARD_TUNNEL;
        return SEEN_METHOD;
    }
    if ((letter != 'w' && letter != 'x' && letter != 'y') || !next_number(line, 0, NUMBER_MAX, &number))
        return 0;
    if (letter == 'w') {
        dest->weight = (int32_t)number;
        return SEEN_WEIGHT;
    }
    *(letter == 'x' ? &dest->u_thresh : &dest->l_thresh) = (uint32_t)number;
    return letter == 'x' ? SEEN_UPPER : SEEN_LOWER;
}

/* Whether the options of a tunnel belong together. */
static int fits_tunnel(const struct ipvsnl_dest *dest, unsigned seen)
{
    if (dest->tun_type == IPVSNL_TUNNEL_GUE)
        return (seen & SEEN_TUNNEL_PORT) != 0;
    if (seen & SEEN_TUNNEL_PORT)
        return 0;
    return dest->tun_type == IPVSNL_TUNNEL_GRE ? dest->tun_flags != IPVSNL_TUNNEL_F_REMCSUM : !(seen & SEEN_CHECKSUM);
}

int ipvsnl_read_server_key(struct line *line, struct ipvsnl_dest *dest)
{
    dest->present = IPVSNL_DEST_KEY;
    return next_word(line) && IS(&line->word, "-r") &&
           (dest->addr_family = next_endpoint(line, dest->addr, &dest->port)) != 0;
}

int ipvsnl_read_server(struct line *line, const struct ipvsnl_service *service, struct ipvsnl_dest *dest)
{
    unsigned seen = 0, bit;

    if (!ipvsnl_read_server_key(line, dest))
        return 0;
    dest->fwd_method = IPVSNL_FORWARD_ROUTE;
    dest->weight = 1;
    while (next_word(line)) {
        bit = take_server_option(line, dest);
        if (bit == 0 || seen & bit)
            return 0;
        seen |= bit;
    }
    if (dest->fwd_method != IPVSNL_FORWARD_MASQ && !service->fwmark && dest->port != service->port)
        return 0; /* these methods leave the packet's port alone: the caller takes the service's, and says so */
    if (dest->fwd_method != IPVSNL_FORWARD_TUNNEL && (dest->addr_family != service->af || seen & SEEN_OF_TUNNEL))
        return 0;
    dest->present = IPVSNL_DEST_FULL;
    return dest->fwd_method != IPVSNL_FORWARD_TUNNEL || fits_tunnel(dest, seen);
}
