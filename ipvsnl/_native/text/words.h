/* The words of a line: where each begins and ends, and which of them are numbers and addresses. */
#ifndef IPVSNL_WORDS_H
#define IPVSNL_WORDS_H

#include <arpa/inet.h>

#include "internal.h"

#define ADDRESS_TEXT_MAX 45 /* the longest IPv6 address */

/* A piece of a text. */
struct word {
    const uint8_t *at;
    size_t length;
};

/* The rest of a line, and the word last read. */
struct line {
    const uint8_t *here;
    const uint8_t *end;
    struct word word;
};

static inline int is_blank(uint8_t letter)
{
    return letter == ' ' || letter == '\t' || letter == '\r';
}

static inline void skip_blanks(struct line *line)
{
    while (line->here < line->end && is_blank(*line->here))
        line->here++;
}

/* The next word. Answers whether there is one. */
static inline int next_word(struct line *line)
{
    skip_blanks(line);
    line->word.at = line->here;
    while (line->here < line->end && !is_blank(*line->here))
        line->here++;
    line->word.length = (size_t)(line->here - line->word.at);
    return line->word.length != 0;
}

static inline int is(const struct word *word, const char *text, size_t length)
{
    return word->length == length && memcmp(word->at, text, length) == 0;
}

#define IS(word, literal) is(word, literal, sizeof literal - 1)

/* Whether the word ends here. */
static inline int at_end(const struct line *line)
{
    return line->here == line->end || is_blank(*line->here);
}

/* Read a decimal number up to the end of the word. Answers whether it is one of at most ten digits, from `low` to
 * `high`. */
static inline int take_number(struct line *line, uint64_t low, uint64_t high, uint64_t *number)
{
    const uint8_t *begin = line->here;
    uint64_t value = 0;
    unsigned digit;

    for (; line->here < line->end && (digit = (unsigned)*line->here - '0') <= 9; line->here++)
        if ((value = value * 10 + digit) > UINT32_MAX)
            return 0;
    *number = value;
    return line->here > begin && line->here - begin <= 10 && at_end(line) && low <= value && value <= high;
}

static inline int next_number(struct line *line, uint64_t low, uint64_t high, uint64_t *number)
{
    skip_blanks(line);
    return take_number(line, low, high, number);
}

/* Read an IPv4 address (four numbers without leading zeros). Answers how many letters it has; 0: it is none. */
static inline size_t take_quad(const uint8_t *at, size_t length, uint8_t quad[4])
{
    size_t here = 0;

    for (unsigned part = 0; part < 4; part++) {
        unsigned value, digit;
        if (part && (here >= length || at[here++] != '.'))
            return 0;
        if (here >= length || (value = (unsigned)at[here] - '0') > 9)
            return 0;
        here++;
        for (unsigned more = 0; more < 2 && value && here < length; more++, here++) {
            if ((digit = (unsigned)at[here] - '0') > 9)
                break;
            value = value * 10 + digit;
        }
        if (value > 255)
            return 0;
        quad[part] = (uint8_t)value;
    }
    return here;
}

/* Read an IPv6 address: `[::1]`. Answers whether it is one. */
static inline int take_address6(struct line *line, uint8_t address[16])
{
    char text[ADDRESS_TEXT_MAX + 1];
    const uint8_t *begin = line->here + 1, *bracket = memchr(begin, ']', (size_t)(line->end - begin));
    size_t length = bracket == NULL ? 0 : (size_t)(bracket - begin);

    if (length == 0 || length > ADDRESS_TEXT_MAX || memchr(begin, 0, length) != NULL)
        return 0;
    memcpy(text, begin, length);
    text[length] = 0;
    line->here = bracket + 1;
    return inet_pton(AF_INET6, text, address) == 1;
}

/* Read the next word: `10.0.0.1:80` or `[::1]:80`. Answers the address family; 0: it is neither. */
static inline uint16_t next_endpoint(struct line *line, uint8_t address[16], uint16_t *port)
{
    uint64_t number;
    uint16_t family = IPVSNL_AF_INET;

    skip_blanks(line);
    memset(address, 0, 16);
    if (line->here < line->end && *line->here == '[') {
        family = IPVSNL_AF_INET6;
        if (!take_address6(line, address))
            return 0;
    } else {
        size_t length = take_quad(line->here, (size_t)(line->end - line->here), address);
        if (length == 0)
            return 0;
        line->here += length;
    }
    if (line->here == line->end || *line->here != ':')
        return 0;
    line->here++;
    if (!take_number(line, 0, 65535, &number))
        return 0;
    *port = (uint16_t)number;
    return family;
}

#endif
