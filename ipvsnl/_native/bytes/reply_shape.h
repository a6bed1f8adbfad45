/* Plans of replies: see plan.c. */
#ifndef IPVSNL_PLAN_H
#define IPVSNL_PLAN_H

#include "internal.h"

/* Make the plan of a payload that ipvsnl_decode has just read into `record`. One that has no plan leaves an empty one. */
void ipvsnl_learn(struct ipvsnl_plan *plan, enum ipvsnl_group group, const uint8_t *payload, size_t length,
                  const uint8_t *record);

/* Read a payload by the plan. Answers whether it could; if not, the record's contents are unspecified. */
int ipvsnl_follow(const struct ipvsnl_plan *plan, enum ipvsnl_group group, const uint8_t *payload, size_t length,
                  uint8_t *record);

#endif
