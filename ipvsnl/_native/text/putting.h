/* A text that grows piece by piece. Nothing here checks for room: ipvsnl_print makes sure that a whole line fits. */
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

/* Blanks, until the text from `from` on is `width` wide. */
void ipvsnl_pad(struct text *text, const uint8_t *from, size_t width);

/* `10.0.0.1:80`, `[::1]:80`. */
void ipvsnl_put_endpoint(struct text *text, uint16_t family, const uint8_t address[16], uint16_t port);

/* The words around the key of a service. `six` stands behind the mark of an IPv6 service, the others before the key. */
struct key_words {
    const char *mark, *six, *tcp, *udp, *sctp;
};

/* The key of a service. Answers whether its protocol has a word. */
int ipvsnl_put_key(struct text *text, const struct ipvsnl_service *service, const struct key_words *words);

/* The timeout of a persistent service, and its mask if that is not the default. A word stands before each. */
void ipvsnl_put_persistence(struct text *text, const struct ipvsnl_service *service, const char *timeout,
                            const char *mask);

static inline int is_family(uint16_t family)
{
    return family == IPVSNL_AF_INET || family == IPVSNL_AF_INET6;
}

/* Whether the core can write a service's line: its family is known, it has no flags of a scheduler and no engine, and
 * its scheduler's name is printable. `name_length` becomes the length of that name. */
int ipvsnl_is_plain(const struct ipvsnl_service *service, size_t *name_length);

#endif
