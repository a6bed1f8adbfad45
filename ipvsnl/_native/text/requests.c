/* Rule text becomes requests, in one pass. Or, read backwards, it becomes the requests that delete its services. */
#define _GNU_SOURCE /* memrchr */
#include "text/lines.h"

#define PATTERN_MAX 256

/* A request that adds a real server, encoded once and copied for every server; and where its fields lie. */
struct pattern {
    uint8_t bytes[PATTERN_MAX];
    size_t length, af, protocol, address, port, mark;
    size_t server, server_port, method, weight, upper, lower, server_family, tunnel, tunnel_port, tunnel_flags;
};

/* Where in the pattern the payload of an attribute of a group lies; 0: nowhere. */
static size_t place(const struct pattern *pattern, enum ipvsnl_group group, unsigned number)
{
    size_t here = IPVSNL_NLMSG_HEADER + IPVSNL_GENL_HEADER, end;
    unsigned container = groups[group]->container;

    while (here < pattern->length && (load16(pattern->bytes + here + 2) & IPVSNL_NLA_TYPE_MASK) != container)
        here += aligned(load16(pattern->bytes + here));
    if (here >= pattern->length)
        return 0;
    end = here + load16(pattern->bytes + here);
    for (here += IPVSNL_NLA_HEADER; here < end; here += aligned(load16(pattern->bytes + here)))
        if ((load16(pattern->bytes + here + 2) & IPVSNL_NLA_TYPE_MASK) == number)
            return here + IPVSNL_NLA_HEADER;
    return 0;
}

/* Make the pattern for services that have this kind of key. */
static int make_pattern(struct pattern *pattern, uint32_t key, uint16_t family_id, struct ipvsnl_fault *fault)
{
    struct ipvsnl_service service;
    struct ipvsnl_dest dest;
    int64_t length;

    memset(&service, 0, sizeof service);
    memset(&dest, 0, sizeof dest);
    service.present = key;
    dest.present = IPVSNL_DEST_FULL;
    length = ipvsnl_encode(pattern->bytes, sizeof pattern->bytes, family_id, 0, IPVSNL_NLM_F_REQUEST, 0, &service,
                           sizeof service, &dest, sizeof dest, NULL, 0, NULL, 0, fault);
    if (length < 0)
        return -1;
    pattern->length = (size_t)length;
    pattern->af = place(pattern, IPVSNL_GROUP_SERVICE, IPVSNL_SERVICE_ATTR_AF);
    pattern->protocol = place(pattern, IPVSNL_GROUP_SERVICE, IPVSNL_SERVICE_ATTR_PROTOCOL);
    pattern->address = place(pattern, IPVSNL_GROUP_SERVICE, IPVSNL_SERVICE_ATTR_ADDR);
    pattern->port = place(pattern, IPVSNL_GROUP_SERVICE, IPVSNL_SERVICE_ATTR_PORT);
    pattern->mark = place(pattern, IPVSNL_GROUP_SERVICE, IPVSNL_SERVICE_ATTR_FWMARK);
    pattern->server = place(pattern, IPVSNL_GROUP_DEST, IPVSNL_DEST_ATTR_ADDR);
    pattern->server_port = place(pattern, IPVSNL_GROUP_DEST, IPVSNL_DEST_ATTR_PORT);
    pattern->method = place(pattern, IPVSNL_GROUP_DEST, IPVSNL_DEST_ATTR_FWD_METHOD);
    pattern->weight = place(pattern, IPVSNL_GROUP_DEST, IPVSNL_DEST_ATTR_WEIGHT);
    pattern->upper = place(pattern, IPVSNL_GROUP_DEST, IPVSNL_DEST_ATTR_U_THRESH);
    pattern->lower = place(pattern, IPVSNL_GROUP_DEST, IPVSNL_DEST_ATTR_L_THRESH);
    pattern->server_family = place(pattern, IPVSNL_GROUP_DEST, IPVSNL_DEST_ATTR_ADDR_FAMILY);
    pattern->tunnel = place(pattern, IPVSNL_GROUP_DEST, IPVSNL_DEST_ATTR_TUN_TYPE);
    pattern->tunnel_port = place(pattern, IPVSNL_GROUP_DEST, IPVSNL_DEST_ATTR_TUN_PORT);
    pattern->tunnel_flags = place(pattern, IPVSNL_GROUP_DEST, IPVSNL_DEST_ATTR_TUN_FLAGS);
    return 0;
}

static void store_be16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

/* A real server's request, made from the pattern. It is byte for byte what ipvsnl_encode would write. */
static inline void put_server(uint8_t *out, const struct pattern *pattern, const struct rule *rule, uint32_t sequence)
{
    const struct ipvsnl_service *service = &rule->service;
    const struct ipvsnl_dest *dest = &rule->dest;

    memcpy(out, pattern->bytes, pattern->length);
    store32(out + 8, sequence);
    out[IPVSNL_NLMSG_HEADER] = rule->command;
    store16(out + pattern->af, service->af);
    if (service->present == IPVSNL_SERVICE_MARK_KEY) {
        store32(out + pattern->mark, service->fwmark);
    } else {
        store16(out + pattern->protocol, service->protocol);
        memcpy(out + pattern->address, service->addr, 16);
        store_be16(out + pattern->port, service->port);
    }
    memcpy(out + pattern->server, dest->addr, 16);
    store_be16(out + pattern->server_port, dest->port);
    store32(out + pattern->method, dest->fwd_method);
    store32(out + pattern->weight, (uint32_t)dest->weight);
    store32(out + pattern->upper, dest->u_thresh);
    store32(out + pattern->lower, dest->l_thresh);
    store16(out + pattern->server_family, dest->addr_family);
    out[pattern->tunnel] = dest->tun_type;
    store_be16(out + pattern->tunnel_port, dest->tun_port);
    store16(out + pattern->tunnel_flags, dest->tun_flags);
}

/* What one call of ipvsnl_rules works with. */
struct work {
    struct pattern by_address, by_mark;
    struct rule rule;
    const uint8_t *stops;
    size_t stops_length;
};

/* Whether this scheduler is one of the names in `stops`. */
static int stops_at(const struct work *work, const char *scheduler)
{
    size_t here = 0, length = strlen(scheduler) + 1;

    while (here + length <= work->stops_length) {
        const uint8_t *nul = memchr(work->stops + here, 0, work->stops_length - here);
        if (memcmp(work->stops + here, scheduler, length) == 0)
            return 1;
        if (nul == NULL)
            return 0;
        here = (size_t)(nul - work->stops) + 1;
    }
    return 0;
}

/* Whether the next `few` lines, from `here` on, add servers to the service of the rule. Also 1 where an incomplete text
 * ends too early to tell. */
static int many_follow(const struct rule *rule, const uint8_t *here, const uint8_t *limit,
                       const struct ipvsnl_text *text)
{
    size_t named = rule->words.length + 4;

    for (uint32_t count = 0; count < text->few; count++) {
        if ((size_t)(limit - here) < named)
            return !text->final;
        if (memcmp(here, "-a ", 3) != 0 || memcmp(here + 3, rule->words.at, rule->words.length) != 0 ||
            !is_blank(here[named - 1]))
            return 0;
        here = memchr(here, '\n', (size_t)(limit - here));
        if (here == NULL)
            return !text->final || count + 1 == text->few;
        here++;
    }
    return 1;
}

/* Whether a line is the caller's, though it was understood: see ipvsnl_text. */
static int is_callers(const struct work *work, const uint8_t *end, const uint8_t *limit, const struct ipvsnl_text *text)
{
    if (work->rule.command == IPVSNL_CMD_NEW_SERVICE)
        return stops_at(work, work->rule.service.sched_name) &&
               many_follow(&work->rule, end < limit ? end + 1 : limit, limit, text);
    return text->additions && work->rule.command != IPVSNL_CMD_NEW_DEST;
}

/* Write the request of the rule. Answers its length; 0: there is no room; -1: a fault. */
static int64_t put_rule(const struct work *work, const struct ipvsnl_text *text, uint8_t *out, size_t capacity,
                        struct ipvsnl_fault *fault)
{
    const struct rule *rule = &work->rule;
    const struct pattern *pattern = rule->service.present & IPVSNL_SERVICE_MARK ? &work->by_mark : &work->by_address;
    int64_t length;

    if (rule->command == IPVSNL_CMD_NEW_DEST || rule->command == IPVSNL_CMD_SET_DEST) {
        if (pattern->length > capacity)
            return 0;
        put_server(out, pattern, rule, text->sequence);
        return (int64_t)pattern->length;
    }
    length = ipvsnl_encode(out, capacity, text->family_id, rule->command, IPVSNL_NLM_F_REQUEST, text->sequence,
                           &rule->service, sizeof rule->service,
                           rule->command == IPVSNL_CMD_DEL_DEST ? &rule->dest : NULL, sizeof rule->dest, NULL, 0,
                           NULL, 0, fault);
    return length < 0 && fault->code == IPVSNL_NO_ROOM ? 0 : length;
}

/* The end of the line at `begin`: its line feed, or the end of a complete text. NULL: the text ends before it. */
static const uint8_t *line_end(const uint8_t *begin, const uint8_t *limit, int final)
{
    const uint8_t *end = memchr(begin, '\n', (size_t)(limit - begin));

    return end == NULL && final ? limit : end;
}

/* Count the request that was just written. */
static void go_on(struct ipvsnl_text *state, uint64_t written)
{
    state->last = state->length;
    state->length += written;
    state->sequence = state->sequence == UINT32_MAX ? 1 : state->sequence + 1;
}

static void start(struct work *work, const void *stops, size_t stops_length)
{
    memset(&work->rule, 0, sizeof work->rule);
    work->stops = stops;
    work->stops_length = stops_length;
}

int64_t ipvsnl_rules(const void *text, size_t length, const void *stops, size_t stops_length,
                     struct ipvsnl_text *state, void *out, size_t capacity, struct ipvsnl_origin *origins, size_t most,
                     struct ipvsnl_fault *fault)
{
    struct work work;
    const uint8_t *here, *end, *limit = (const uint8_t *)text + length;
    size_t count = 0;

    if (state->at > length)
        return fail(fault, IPVSNL_BOUNDS, (size_t)state->at, -1);
    if (make_pattern(&work.by_address, IPVSNL_SERVICE_ADDRESS_KEY, state->family_id, fault) < 0 ||
        make_pattern(&work.by_mark, IPVSNL_SERVICE_MARK_KEY, state->family_id, fault) < 0)
        return -1;
    start(&work, stops, stops_length);
    state->length = state->edits = 0;
    state->stop = IPVSNL_STOP_END;
    for (here = (const uint8_t *)text + state->at; here < limit; here = end < limit ? end + 1 : limit) {
        if ((end = line_end(here, limit, state->final)) == NULL)
            break;
        if (end > here) {
            state->stop = IPVSNL_STOP_LINE;
            if (!ipvsnl_read_line(here, end, &work.rule) || is_callers(&work, end, limit, state))
                break;
            if (!state->dry) {
                int64_t written = 0;
                state->stop = IPVSNL_STOP_FULL;
                if (count < most)
                    written = put_rule(&work, state, (uint8_t *)out + state->length, capacity - state->length, fault);
                if (written < 0)
                    return -1;
                if (written == 0)
                    break;
                origins[count].at = (uint64_t)(here - (const uint8_t *)text);
                origins[count].line = state->line;
                go_on(state, (uint64_t)written);
            }
            count++;
            state->edits += work.rule.command != IPVSNL_CMD_NEW_SERVICE && work.rule.command != IPVSNL_CMD_NEW_DEST;
            state->stop = IPVSNL_STOP_END;
        }
        state->line++;
    }
    state->at = (uint64_t)(here - (const uint8_t *)text);
    return (int64_t)count;
}

/* Whether a line may add a service. This glance spares the reading of most lines: they are about servers. */
static int may_add_service(const uint8_t *here, const uint8_t *end)
{
    while (here < end && is_blank(*here))
        here++;
    return end - here > 2 && here[0] == '-' && here[1] == 'A';
}

int64_t ipvsnl_deletions(const void *text, size_t length, struct ipvsnl_text *state, void *out, size_t capacity,
                         struct ipvsnl_origin *origins, size_t most, struct ipvsnl_fault *fault)
{
    const uint8_t *begin = text, *end, *here;
    struct rule rule;
    size_t count = 0;

    if (state->at > length)
        return fail(fault, IPVSNL_BOUNDS, (size_t)state->at, -1);
    memset(&rule, 0, sizeof rule);
    state->length = 0;
    for (; state->at > 0; state->at = (uint64_t)(here - begin)) {
        end = begin + state->at - (begin[state->at - 1] == '\n');
        here = memrchr(begin, '\n', (size_t)(end - begin));
        here = here == NULL ? begin : here + 1;
        if (may_add_service(here, end) && ipvsnl_read_line(here, end, &rule)) {
            int64_t written = 0;
            rule.service.present &= IPVSNL_SERVICE_ADDRESS_KEY | IPVSNL_SERVICE_MARK_KEY;
            if (count < most)
                written = ipvsnl_encode((uint8_t *)out + state->length, capacity - state->length, state->family_id,
                                        IPVSNL_CMD_DEL_SERVICE, IPVSNL_NLM_F_REQUEST, state->sequence, &rule.service,
                                        sizeof rule.service, NULL, 0, NULL, 0, NULL, 0, fault);
            if (written < 0 && fault->code != IPVSNL_NO_ROOM)
                return -1;
            if (written <= 0)
                break;
            origins[count].at = (uint64_t)(here - begin);
            origins[count++].line = 0;
            go_on(state, (uint64_t)written);
        }
    }
    return (int64_t)count;
}
