/* Streams of random numbers that are a function of a key and a block's number, with the same bits everywhere. */
#ifndef CS_STREAMS_H
#define CS_STREAMS_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "elementary.h"
#include "lanes.h"
#include "resample.h"

#define CS_STREAM_LANES 8

/* Eight interleaved xoshiro256++ generators (Blackman and Vigna 2021) and a group of numbers kept for single draws. */
typedef struct {
    uint64_t state[4][CS_STREAM_LANES];
    double group[CS_STREAM_LANES];
    size_t used;
    double spare_normal;
    int has_spare;
} stream;

/* The finaliser of SplitMix64: a bijection in which every input bit moves every output bit. */
CS_INLINE uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

CS_INLINE uint64_t rotate(uint64_t x, int bits) {
    return (x << bits) | (x >> (64 - bits));
}

CS_INLINE void stream_start(stream *s, const uint64_t key[4], size_t block) {
    for (size_t lane = 0; lane < CS_STREAM_LANES; lane++) {
        const uint64_t position = 0x9E3779B97F4A7C15u * (uint64_t)(block * CS_STREAM_LANES + lane + 1);
        for (size_t word = 0; word < 4; word++)
            s->state[word][lane] = mix(mix(key[word] + position) ^ rotate(key[(word + 1) & 3], 23));
        /* The state of zeros is the one xoshiro cannot leave. */
        if (!(s->state[0][lane] | s->state[1][lane] | s->state[2][lane] | s->state[3][lane]))
            s->state[0][lane] = position;
    }
    s->used = CS_STREAM_LANES;
    s->has_spare = 0;
}

/* Eight uniforms in (0, 1), odd multiples of 2^-53. */
CS_INLINE vd stream_lanes(stream *s, size_t lane) {
    const vu a = vu_load(s->state[0] + lane), b = vu_load(s->state[1] + lane);
    const vu c = vu_load(s->state[2] + lane), d = vu_load(s->state[3] + lane);
    const vu sum = vu_add(a, d);
    const vu bits = vu_add(vu_or(vu_left(sum, 23), vu_right(sum, 41)), a);
    const vu c1 = vu_xor(c, a), d1 = vu_xor(d, b);
    vu_store(s->state[1] + lane, vu_xor(b, c1));
    vu_store(s->state[0] + lane, vu_xor(a, d1));
    vu_store(s->state[2] + lane, vu_xor(c1, vu_left(b, 17)));
    vu_store(s->state[3] + lane, vu_or(vu_left(d1, 45), vu_right(d1, 19)));
    return vd_sub(vd_of_bits(vu_or(vu_right(bits, 12), vu_set(0x3FF0000000000000u))), vd_set(1.0 - 0x1p-53));
}

CS_INLINE void stream_group(stream *s, double *out) {
    for (size_t lane = 0; lane < CS_STREAM_LANES; lane += CS_LANES) vd_store(out + lane, stream_lanes(s, lane));
}

CS_INLINE double stream_uniform(stream *s) {
    if (s->used == CS_STREAM_LANES) {
        stream_group(s, s->group);
        s->used = 0;
    }
    return s->group[s->used++];
}

/* Marsaglia's polar method. */
CS_INLINE double stream_normal(stream *s) {
    double a, b, square, factor;
    if (s->has_spare) {
        s->has_spare = 0;
        return s->spare_normal;
    }
    do {
        a = 2.0 * stream_uniform(s) - 1.0;
        b = 2.0 * stream_uniform(s) - 1.0;
        square = a * a + b * b;
    } while (square >= 1.0);
    factor = sqrt(-2.0 * cs_log(square) / square);
    s->spare_normal = a * factor;
    s->has_spare = 1;
    return b * factor;
}

/* What Marsaglia and Tsang's method (2000) needs of a shape >= 1. */
typedef struct {
    double d, c;
} gamma_shape;

CS_INLINE gamma_shape gamma_of(double shape) {
    const double d = shape - 1.0 / 3.0;
    return (gamma_shape){d, 1.0 / sqrt(9.0 * d)};
}

static inline double stream_gamma(stream *s, gamma_shape shape) {
    for (;;) {
        const double x = stream_normal(s);
        const double root = 1.0 + shape.c * x;
        if (root <= 0.0) continue;
        const double v = root * root * root;
        const double u = stream_uniform(s);
        const double square = x * x;
        if (u < 1.0 - 0.0331 * square * square) return shape.d * v;
        if (cs_log(u) < 0.5 * square + shape.d * (1.0 - v + cs_log(v))) return shape.d * v;
    }
}

/* The position of u in [0, 1 - 2^-53], for which u n rounds to less than n. */
CS_INLINE size_t position_of(cs_positions positions, double u) {
    size_t i = (size_t)(int64_t)(u * (double)positions.n);
    if (positions.cumulative) {
        i = (size_t)positions.guide[i];
        while (i + 1 < positions.n && positions.cumulative[i] <= u) i++;
    }
    return i;
}

#endif
