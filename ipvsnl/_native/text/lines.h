/* The rule that a line of rule text says. */
#ifndef IPVSNL_LINES_H
#define IPVSNL_LINES_H

#include "text/words.h"

/* A rule. The counters of its records are never written: requests have none. */
struct rule {
    uint8_t command;
    struct ipvsnl_service service;
    struct ipvsnl_dest dest; /* commands about servers only */
    struct word words;       /* that name the service of this line */
    /* The last service that had an address, and its words: the lines of its servers repeat them. */
    struct ipvsnl_service named;
    const uint8_t *name;
    size_t name_length;
};

/* Read one line, without its line feed. Answers 1: `rule` is what it says; 0: it is not understood.
 * Begin with a rule of zeroes, and use the same one for line after line. */
int ipvsnl_read_line(const uint8_t *begin, const uint8_t *end, struct rule *rule);

#endif
