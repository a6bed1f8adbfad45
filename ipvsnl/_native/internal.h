/* What all rooms of the core share: the types of attribute tables, and loads and stores that need no alignment. */
#ifndef IPVSNL_INTERNAL_H
#define IPVSNL_INTERNAL_H

/* These warnings are for every file that includes this one. They are not flags of the build: cffi's wrapper is
 * compiled with the same flags and has such conversions. They are errors only in a strict build (make, CI): a newer
 * compiler with a new warning must not break a user's installation. */
#if defined(__GNUC__) && defined(IPVSNL_STRICT)
#pragma GCC diagnostic error "-Wconversion"
#pragma GCC diagnostic error "-Wsign-conversion"
#pragma GCC diagnostic error "-Wshadow"
#pragma GCC diagnostic error "-Wcast-qual"
#elif defined(__GNUC__)
#pragma GCC diagnostic warning "-Wconversion"
#pragma GCC diagnostic warning "-Wsign-conversion"
#pragma GCC diagnostic warning "-Wshadow"
#pragma GCC diagnostic warning "-Wcast-qual"
#endif

#include <string.h>

#include "core.h"

#include "generated.h"

/* How an attribute stands on the wire: Kind of ipvsnl/family.py. NONE: the number has no meaning, or it is padding. */
enum kind { KIND_NONE, KIND_INTEGER, KIND_BE16, KIND_STRING, KIND_BYTES, KIND_FLAGS, KIND_NESTED };

struct table;

struct attribute {
    uint16_t kind;
    uint16_t offset;        /* of its field in the record */
    uint16_t size;          /* integers: bytes on the wire; strings: the most characters; bytes: the most */
    uint16_t width;         /* bytes of its field in the record: legacy counters are wider there */
    const struct table *of; /* nested only */
};

struct table {
    const struct attribute *attributes; /* by number */
    uint32_t known;                     /* bit n: number n has a meaning */
    uint16_t count;                     /* the highest number + 1 */
    uint16_t present;                   /* offset of `present` (groups only) */
    uint16_t begin;                     /* the part of the record that is this table's */
    uint16_t extent;
    uint16_t container; /* the top-level attribute that holds it; 0: it stands flat (groups only) */
    uint8_t reply;      /* the command that a reply with it names (groups only) */
};

static inline uint16_t load16(const uint8_t *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static inline uint32_t load32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static inline void store16(uint8_t *at, uint16_t value)
{
    memcpy(at, &value, sizeof value);
}

static inline void store32(uint8_t *at, uint32_t value)
{
    memcpy(at, &value, sizeof value);
}

/* An integer of 1, 2, 4 or 8 bytes in the host's order. Signed ones pass as their bits. */
static inline uint64_t load_integer(const uint8_t *at, size_t size)
{
    uint64_t eight;
    switch (size) {
    case 1:
        return at[0];
    case 2:
        return load16(at);
    case 4:
        return load32(at);
    default:
        memcpy(&eight, at, sizeof eight);
        return eight;
    }
}

static inline void store_integer(uint8_t *at, size_t size, uint64_t value)
{
    switch (size) {
    case 1:
        at[0] = (uint8_t)value;
        break;
    case 2:
        store16(at, (uint16_t)value);
        break;
    case 4:
        store32(at, (uint32_t)value);
        break;
    default:
        memcpy(at, &value, sizeof value);
    }
}

static inline size_t aligned(size_t length)
{
    return (length + 3) & ~(size_t)3;
}

static inline int64_t fail(struct ipvsnl_fault *fault, enum ipvsnl_code code, size_t offset, int group)
{
    fault->offset = offset;
    fault->code = (int32_t)code;
    fault->group = group;
    return -1;
}

#include "generated_tables.h"

#endif
