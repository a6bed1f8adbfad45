/* The shape of a reply: which attributes it has, and where they stand. See reply_shape.c. */
#ifndef IPVSNL_REPLY_SHAPE_H
#define IPVSNL_REPLY_SHAPE_H

#include "internal.h"

/* Learn the shape of a payload that ipvsnl_decode has just read into `record`. A payload without a shape makes it
 * empty. */
void ipvsnl_learn(struct ipvsnl_reply_shape *shape, enum ipvsnl_group group, const uint8_t *payload, size_t length,
                  const uint8_t *record);

/* Read a payload that has this shape. Answers whether it could; if not, the record's contents are unspecified. */
int ipvsnl_follow(const struct ipvsnl_reply_shape *shape, enum ipvsnl_group group, const uint8_t *payload,
                  size_t length, uint8_t *record);

#endif
