/* One line of rule text, read: the rule that it says. */
#ifndef IPVSNL_LINES_H
#define IPVSNL_LINES_H

#include "text/words.h"

/* A rule. The counters of its records are never touched: requests have none. */
struct rule {
    uint8_t command;
    struct ipvsnl_service service;
    struct ipvsnl_dest dest; /* of the commands about servers */
    /* The last service that was named, and in which words: its servers' lines name it again. */
    struct ipvsnl_service named;
    const uint8_t *name;
    size_t name_length;
    struct word words; /* that name the service of this line */
};

/* Read one line, without its end. Answers 1: `rule` is what it says; 0: it is not understood. */
int ipvsnl_read_line(const uint8_t *begin, const uint8_t *end, struct rule *rule);

#endif
