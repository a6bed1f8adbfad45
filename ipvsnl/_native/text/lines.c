/* A line of rule text becomes a rule. A line means here what it means to the grammar in Python, which reads
 * all lines that are not understood here. */
#include "text/lines.h"
#include "text/servers.h"

#define TIMEOUT_MAX 2678400 /* 31 days, as the grammar has it */

/* The key of a service: `-t 10.0.0.1:80`, `-f 7`, `-f 7 -6`. What follows it is not yet read. */
static int take_selector(struct line *line, struct ipvsnl_service *service)
{
    uint64_t mark;
    struct line ahead;

    if (!next_word(line))
        return 0;
    if (IS(&line->word, "-f")) {
        if (!next_number(line, 1, UINT32_MAX, &mark))
            return 0;
        service->present = IPVSNL_SERVICE_MARK_KEY;
        service->fwmark = (uint32_t)mark;
        service->af = IPVSNL_AF_INET;
        ahead = *line;
        if (next_word(&ahead) && IS(&ahead.word, "-6")) {
            *line = ahead;
            service->af = IPVSNL_AF_INET6;
        }
        return 1;
    }
    if (IS(&line->word, "-t"))
        service->protocol = IPVSNL_IPPROTO_TCP;
    else if (IS(&line->word, "-u"))
        service->protocol = IPVSNL_IPPROTO_UDP;
    else if (IS(&line->word, "--sctp-service"))
        service->protocol = IPVSNL_IPPROTO_SCTP;
    else
        return 0;
    service->present = IPVSNL_SERVICE_ADDRESS_KEY;
    return (service->af = next_endpoint(line, service->addr, &service->port)) != 0;
}

/* --- services ---------------------------------------------------------------------------------------------------- */

/* A name of printable letters that fits the wire. A word that begins like an option is no name. */
static int take_name(struct line *line, char *field)
{
    if (!next_word(line) || line->word.length > IPVSNL_SCHEDULER_NAME_MAX || line->word.at[0] == '-')
        return 0;
    for (size_t i = 0; i < line->word.length; i++)
        if (line->word.at[i] <= ' ' || line->word.at[i] > '~')
            return 0;
    memcpy(field, line->word.at, line->word.length);
    return 1;
}

static uint32_t flag_bit(const struct word *name, const char *scheduler)
{
    if (IS(name, "flag-1"))
        return IPVSNL_SVC_F_SCHED1;
    if (IS(name, "flag-2"))
        return IPVSNL_SVC_F_SCHED2;
    if (IS(name, "flag-3"))
        return IPVSNL_SVC_F_SCHED3;
    if (name->length < 3 || (strcmp(scheduler, "sh") != 0 && strcmp(scheduler, "mh") != 0) ||
        memcmp(name->at, scheduler, 2) != 0)
        return 0;
    struct word rest = {name->at + 2, name->length - 2};
    if (IS(&rest, "-fallback"))
        return IPVSNL_SVC_F_SCHED1;
    return IS(&rest, "-port") ? IPVSNL_SVC_F_SCHED2 : 0;
}

/* Names of scheduler flags, with commas between them. Answers whether the scheduler has them all. */
static int take_flags(struct word names, const char *scheduler, uint32_t *flags)
{
    while (names.length) {
        const uint8_t *comma = memchr(names.at, ',', names.length);
        struct word name = {names.at, comma != NULL ? (size_t)(comma - names.at) : names.length};
        uint32_t bit = flag_bit(&name, scheduler);
        size_t step = name.length + (comma != NULL);
        if (!bit)
            return 0;
        *flags |= bit;
        names.at += step;
        names.length -= step;
    }
    return 1;
}

static int take_netmask(struct line *line, struct ipvsnl_service *service)
{
    uint8_t quad[4];
    uint64_t prefix;

    if (service->af == IPVSNL_AF_INET6) {
        if (!next_number(line, 1, 128, &prefix))
            return 0;
        service->netmask = (uint32_t)prefix;
        return 1;
    }
    if (!next_word(line) || take_quad(line->word.at, line->word.length, quad) != line->word.length)
        return 0;
    service->netmask = load32(quad);
    return 1;
}

enum { SEEN_SCHEDULER = 1, SEEN_PERSISTENT = 2, SEEN_NETMASK = 4, SEEN_ENGINE = 8, SEEN_OPS = 16, SEEN_FLAGS = 32 };

/* Read one option of a service. Answers its SEEN bit; 0: it is not understood. */
static unsigned take_service_option(struct line *line, struct ipvsnl_service *service, struct word *flags)
{
    uint64_t seconds;

    if (IS(&line->word, "-s"))
        return take_name(line, service->sched_name) ? SEEN_SCHEDULER : 0;
    if (IS(&line->word, "-p")) {
        if (!next_number(line, 1, TIMEOUT_MAX, &seconds))
            return 0;
        service->timeout = (uint32_t)seconds;
        service->flags |= IPVSNL_SVC_F_PERSISTENT;
        return SEEN_PERSISTENT;
    }
    if (IS(&line->word, "-M"))
        return take_netmask(line, service) ? SEEN_NETMASK : 0;
    if (IS(&line->word, "--pe"))
        return take_name(line, service->pe_name) ? SEEN_ENGINE : 0;
    if (IS(&line->word, "-o")) {
        service->flags |= IPVSNL_SVC_F_ONEPACKET;
        return SEEN_OPS;
    }
    if (IS(&line->word, "-b") && next_word(line)) {
        *flags = line->word;
        return SEEN_FLAGS;
    }
    return 0;
}

/* Read what stands behind the key in -A and -E. Answers whether it is understood. */
static int take_service(struct line *line, struct ipvsnl_service *service)
{
    struct word flags = {line->here, 0};
    unsigned seen = 0, bit;

    service->netmask = service->af == IPVSNL_AF_INET6 ? 128 : UINT32_MAX;
    service->flags_mask = UINT32_MAX;
    while (next_word(line)) {
        bit = take_service_option(line, service, &flags);
        if (bit == 0 || seen & bit)
            return 0;
        seen |= bit;
    }
    if (!(seen & SEEN_SCHEDULER) || !take_flags(flags, service->sched_name, &service->flags))
        return 0;
    if (!service->fwmark && !service->port && !(seen & SEEN_PERSISTENT))
        return 0;
    if (seen & SEEN_OPS && !service->fwmark && service->protocol != IPVSNL_IPPROTO_UDP)
        return 0;
    service->present |= IPVSNL_SERVICE_FULL | (seen & SEEN_ENGINE ? IPVSNL_SERVICE_ENGINE : 0);
    return 1;
}

/* --- lines ------------------------------------------------------------------------------------------------------- */

#define CLEAR_TAIL(record, type)                                                                                       \
    memset((uint8_t *)(record) + offsetof(type, present), 0, sizeof(type) - offsetof(type, present))

/* Read the key of the service. Where its words are those of the line before, the service is copied: that is faster. */
static int take_service_key(struct line *line, struct rule *rule)
{
    const uint8_t *begin;

    skip_blanks(line);
    begin = line->here;
    if (rule->name_length && (size_t)(line->end - begin) > rule->name_length && is_blank(begin[rule->name_length]) &&
        memcmp(begin, rule->name, rule->name_length) == 0) {
        memcpy((uint8_t *)&rule->service + offsetof(struct ipvsnl_service, present),
               (const uint8_t *)&rule->named + offsetof(struct ipvsnl_service, present),
               sizeof rule->named - offsetof(struct ipvsnl_service, present));
        line->here += rule->name_length;
        rule->words.at = begin;
        rule->words.length = rule->name_length;
        return 1;
    }
    CLEAR_TAIL(&rule->service, struct ipvsnl_service);
    rule->name_length = 0;
    if (!take_selector(line, &rule->service))
        return 0;
    rule->words.at = begin;
    rule->words.length = (size_t)(line->here - begin);
    if (rule->service.present == IPVSNL_SERVICE_ADDRESS_KEY) { /* the words of a mark may go on: -6 */
        rule->name = begin;
        rule->name_length = (size_t)(line->here - begin);
        rule->named = rule->service;
    }
    return 1;
}

int ipvsnl_read_line(const uint8_t *begin, const uint8_t *end, struct rule *rule)
{
    struct line line = {begin, end, {begin, 0}};

    if (!next_word(&line) || line.word.length != 2 || line.word.at[0] != '-')
        return 0;
    switch (line.word.at[1]) {
    case 'a':
    case 'e':
        rule->command = line.word.at[1] == 'a' ? IPVSNL_CMD_NEW_DEST : IPVSNL_CMD_SET_DEST;
        CLEAR_TAIL(&rule->dest, struct ipvsnl_dest);
        return take_service_key(&line, rule) && ipvsnl_read_server(&line, &rule->service, &rule->dest);
    case 'd':
        rule->command = IPVSNL_CMD_DEL_DEST;
        CLEAR_TAIL(&rule->dest, struct ipvsnl_dest);
        return take_service_key(&line, rule) && ipvsnl_read_server_key(&line, &rule->dest) && !next_word(&line);
    case 'A':
    case 'E':
        rule->command = line.word.at[1] == 'A' ? IPVSNL_CMD_NEW_SERVICE : IPVSNL_CMD_SET_SERVICE;
        return take_service_key(&line, rule) && take_service(&line, &rule->service);
    case 'D':
        rule->command = IPVSNL_CMD_DEL_SERVICE;
        return take_service_key(&line, rule) && !next_word(&line);
    default:
        return 0;
    }
}
