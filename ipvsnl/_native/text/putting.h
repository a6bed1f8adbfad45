/* A text that grows: its lines are put together piece by piece. Whoever appends has seen to the room. */
#ifndef IPVSNL_PUTTING_H
#define IPVSNL_PUTTING_H

#include "text/words.h"

struct text {
    uint8_t *here;
    uint8_t *end;
};

static inline void put(struct text *text, const void *bytes, size_t length)
{
    memcpy(text->here, bytes, length);
    text->here += length;
}

#define PUT(text, literal) put(text, literal, sizeof literal - 1)

static inline void put_words(struct text *text, const char *words)
{
    put(text, words, strlen(words));
}

void ipvsnl_put_number(struct text *text, uint64_t number);
void ipvsnl_put_signed(struct text *text, int32_t number);
void ipvsnl_put_quad(struct text *text, const uint8_t quad[4]);

/* Blanks up to a column that begins at `from`; none where that is passed. */
void ipvsnl_pad(struct text *text, const uint8_t *from, size_t width);

/* `10.0.0.1:80`, `[::1]:80`. */
void ipvsnl_put_endpoint(struct text *text, uint16_t family, const uint8_t address[16], uint16_t port);

/* What stands before the number or the address of a service, and behind the mark of an IPv6 one. */
struct key_words {
    const char *mark, *six, *tcp, *udp, *sctp;
};

/* What names a service. Answers whether its protocol has a word. */
int ipvsnl_put_key(struct text *text, const struct ipvsnl_service *service, const struct key_words *words);

/* How persistent a service is: the timeout, and the mask unless it is the default, each behind its word. */
void ipvsnl_put_persistence(struct text *text, const struct ipvsnl_service *service, const char *timeout,
                            const char *mask);

static inline int is_family(uint16_t family)
{
    return family == IPVSNL_AF_INET || family == IPVSNL_AF_INET6;
}

/* Whether a service's line takes no thought: addresses that have a form, no flags of a scheduler, no engine, and a name of
 * printable letters, whose length is out. */
int ipvsnl_is_plain(const struct ipvsnl_service *service, size_t *name_length);

#endif
