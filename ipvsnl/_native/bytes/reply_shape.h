/* Shapes of replies: see shape.c. */
#ifndef IPVSNL_REPLY_SHAPE_H
#define IPVSNL_REPLY_SHAPE_H

#include "internal.h"

/* Make the shape of a payload that ipvsnl_decode has just read into `record`. One that has no shape leaves an empty one. */
void ipvsnl_learn(struct ipvsnl_reply_shape *shape, enum ipvsnl_group group, const uint8_t *payload, size_t length,
                  const uint8_t *record);

/* Read a payload by the shape. Answers whether it could; if not, the record's contents are unspecified. */
int ipvsnl_follow(const struct ipvsnl_reply_shape *shape, enum ipvsnl_group group, const uint8_t *payload, size_t length,
                  uint8_t *record);

#endif
