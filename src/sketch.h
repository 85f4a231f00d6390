/* A mergeable sketch of a sample: logarithmic buckets with exact counts and exact sums.
 *
 * A bucket lies within one power of two, so that its outcomes share their exponent and their significands add up
 * exactly in 128 bits. The state is a function of the multiset of outcomes: neither their order nor the order of merging
 * shows.
 * Format, guarantee and proofs: docs/sketch.md.
 *
 * Memory comes from the caller's function, as realloc gives it; a call that gets none says so and changes nothing. A
 * sketch belongs to one thread at a time. */
#ifndef CS_SKETCH_H
#define CS_SKETCH_H

#include <stddef.h>
#include <stdint.h>

#include "kernels.h"
#include "pairs.h"

enum {
    CS_SKETCH_OK = 0,
    CS_SKETCH_NO_MEMORY,
    CS_SKETCH_BAD_ACCURACY,
    CS_SKETCH_BAD_MAX_BUCKETS,
    CS_SKETCH_FULL,       /* the count would exceed CS_SKETCH_MOST, or real weights CS_SKETCH_MOST_WEIGHT */
    CS_SKETCH_BAD_WEIGHT, /* negative, infinite or NaN */
    CS_SKETCH_FAR_WEIGHT, /* not whole, or beside such, and outside [2^-400, 2^400] */
    CS_SKETCH_OTHER,      /* sketches of different accuracy or max_buckets */
    /* What is wrong with bytes. */
    CS_SKETCH_NOT_A_SKETCH,
    CS_SKETCH_OTHER_VERSION,
    CS_SKETCH_TRUNCATED,
    CS_SKETCH_TOO_LONG,
    CS_SKETCH_BAD_CHECKSUM,
    CS_SKETCH_INVALID
};

#define CS_SKETCH_MOST ((uint64_t)1 << 53)
#define CS_SKETCH_MOST_WEIGHT 0x1p500
#define CS_SKETCH_LEAST_ACCURACY 0x1.a36e2eb1c432dp-14 /* 0.0001 */
#define CS_SKETCH_MOST_ACCURACY 0.25
#define CS_SKETCH_MOST_BUCKETS ((size_t)1 << 20)
#define CS_SKETCH_VERSION 1
/* Powers of two that hold doubles: 1 to 52 subnormal, 53 to 2098 normal. */
#define CS_SKETCH_OCTAVES 2098

/* realloc: a block of `size` bytes with the contents of `block`, NULL if there is none; size 0 frees. */
typedef void *(*cs_resize)(void *block, size_t size);

typedef struct {
    uint64_t low, high;
} cs_wide;

/* Outcomes and the sum of their significands, |x| = significand 2^unit: integers, or pairs once weights are real. */
typedef struct {
    union {
        struct {
            uint64_t count;
            cs_wide sum;
        } whole;
        struct {
            cs_pair weight, sum;
        } real;
    } of;
} cs_mass;

typedef struct {
    cs_mass mass;
    uint32_t key; /* octave * buckets of an octave + bucket; of a coarse bucket the octave */
} cs_bucket;

/* Ascending keys. */
typedef struct {
    cs_bucket *items;
    size_t count, capacity;
} cs_buckets;

/* The outcomes of one sign: buckets of full resolution outside, one bucket for each octave inside. */
typedef struct {
    cs_buckets fine, coarse;
} cs_side;

/* Outcomes of a bucket that are staged: their number and the sum of their bits modulo 2^64. */
typedef struct {
    uint64_t count, bits;
} cs_slot;

/* The cells of an octave are 2^-bits of it, a bucket is a run of cells: [edges[i], edges[i + 1]) 2^-bits. */
typedef struct {
    uint16_t *offset_of_cell; /* of the bucket's slot in a page, in bytes */
    uint32_t *edges;
    uint32_t buckets;
    int bits;
} cs_layout;

typedef struct {
    double accuracy;
    size_t max_buckets; /* of each sign */
    cs_resize resize;
    cs_layout layout;
    int real;
    int policy; /* kept with the state for the caller: what missing outcomes do */
    cs_mass missing, below, zero, above; /* NaN, -inf, 0, inf */
    cs_mass total;                       /* of all but NaN; the sum is unused */
    double least, most;                  /* inf and -inf while there is none */
    cs_side side[2];                     /* positive, negative */
} cs_sketch;

/* What a sketch says about one level. Losses, as cs_es_var gives them; low <= exact result <= high. */
typedef struct {
    double es, es_low, es_high;
    double var, var_low, var_high;
    int collapsed; /* the boundary of the tail lies where buckets were collapsed */
} cs_estimate;

int cs_sketch_init(cs_sketch *s, double accuracy, size_t max_buckets, cs_resize resize);
void cs_sketch_clear(cs_sketch *s);
int cs_sketch_copy(cs_sketch *to, cs_sketch *from);

/* One outcome, n outcomes one by one. weights may be NULL. Nothing is changed unless the status is CS_SKETCH_OK, but
 * for a lack of memory in the middle of n outcomes: *taken says how many were added. */
int cs_sketch_add(cs_sketch *s, double x, double weight);
int cs_sketch_add_many(cs_sketch *s, const double *x, const double *weights, size_t n, size_t *taken);

#define CS_STAGE_REST 256

/* Many outcomes of weight one: filled without the sketch, any number of times, and folded into it. */
typedef struct {
    const cs_layout *layout;
    const cs_kernels *kernels;
    cs_resize resize;
    cs_slot **page_of; /* by sign and exponent: the slots of its buckets, NULL for none */
    size_t pages;
    size_t room, taken; /* outcomes after which it must be folded; how many there are */
    uint64_t zero, below, above, missing;
    double least, most;
    size_t rest_count;
    double rest[CS_STAGE_REST];
} cs_stage;

int cs_stage_init(cs_stage *stage, const cs_sketch *s, const cs_kernels *kernels);
void cs_stage_clear(cs_stage *stage);
/* Returns how many of n outcomes it took before it had to be folded. */
size_t cs_stage_fill(cs_stage *stage, const double *x, size_t n);
/* What does not fit for lack of memory stays staged. */
int cs_sketch_fold(cs_sketch *s, cs_stage *stage);

/* += other, which is brought into canonical form; they may be the same. */
int cs_sketch_merge(cs_sketch *s, cs_sketch *other);

/* Canonical form: all but the outermost max_buckets buckets of each sign collapsed. Functions below begin with it. */
int cs_sketch_settle(cs_sketch *s);
int cs_sketch_collapsed(const cs_sketch *s);
/* Outcomes, or their weight; without NaN, and NaN alone. */
double cs_sketch_count(const cs_sketch *s);
double cs_sketch_missing(const cs_sketch *s);
/* level in [0, 1); results are NaN for an empty sketch. Missing outcomes are left out. */
int cs_sketch_tail(cs_sketch *s, double level, int upper, cs_estimate *result);
/* The ceil(q count)-th smallest outcome, q in [0, 1]. */
int cs_sketch_quantile(cs_sketch *s, double q, double *result);
double cs_sketch_sum(const cs_sketch *s);

/* The size of the encoding; written if `capacity` is just that. */
int cs_sketch_encode(cs_sketch *s, uint8_t *out, size_t capacity, size_t *size);
/* Initialises s from an encoding; s needs no clearing unless the status is CS_SKETCH_OK. */
int cs_sketch_decode(cs_sketch *s, const uint8_t *bytes, size_t size, cs_resize resize);

#endif
