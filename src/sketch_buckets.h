/* What the files of the sketch share: integers of 128 bits, masses, and where a double belongs. */
#ifndef CS_SKETCH_BUCKETS_H
#define CS_SKETCH_BUCKETS_H

#include "exact.h"
#include "sketch.h"

#define CS_SIGN_BIT ((uint64_t)1 << 63)

/* Bits of v: 0 for 0, 64 for the largest. */
CS_INLINE int cs_bit_length(uint64_t v) {
    int length = 0;
    for (int step = 32; step > 0; step /= 2)
        if (v >> step) {
            v >>= step;
            length += step;
        }
    return length + (v != 0);
}

CS_INLINE cs_wide cs_wide_of(uint64_t v) {
    cs_wide w = {v, 0};
    return w;
}

CS_INLINE cs_wide cs_wide_add(cs_wide a, cs_wide b) {
    a.low += b.low;
    a.high += b.high + (a.low < b.low);
    return a;
}

CS_INLINE cs_wide cs_wide_subtract(cs_wide a, cs_wide b) {
    a.high -= b.high + (a.low < b.low);
    a.low -= b.low;
    return a;
}

CS_INLINE int cs_wide_less(cs_wide a, cs_wide b) { return a.high != b.high ? a.high < b.high : a.low < b.low; }

CS_INLINE cs_wide cs_wide_product(uint64_t a, uint64_t b) {
    uint64_t al = a & 0xffffffffu, ah = a >> 32, bl = b & 0xffffffffu, bh = b >> 32;
    uint64_t middle = ah * bl + (al * bl >> 32), other = al * bh + (middle & 0xffffffffu);
    cs_wide w;
    w.low = a * b;
    w.high = ah * bh + (middle >> 32) + (other >> 32);
    return w;
}

/* a >> n for 0 <= n < 128. */
CS_INLINE cs_wide cs_wide_shift_right(cs_wide a, int n) {
    cs_wide w = {0, 0};
    if (n >= 64) {
        w.low = a.high >> (n - 64);
    } else {
        w.high = a.high >> n;
        w.low = n ? a.low >> n | a.high << (64 - n) : a.low;
    }
    return w;
}

/* Quotient and remainder; d > 0, and the quotient below 2^64. */
CS_INLINE uint64_t cs_wide_divide(cs_wide a, uint64_t d, uint64_t *remainder) {
    uint64_t quotient = 0, rest = a.high;
    for (int i = 63; i >= 0; i--) {
        uint64_t carry = rest >> 63;
        rest = rest << 1 | (a.low >> i & 1);
        quotient <<= 1;
        if (carry || rest >= d) {
            rest -= d;
            quotient |= 1;
        }
    }
    *remainder = rest;
    return quotient;
}

CS_INLINE double cs_wide_to_double(cs_wide a) { return (double)a.high * 0x1p64 + (double)a.low; }

/* Exact below 2^106. */
CS_INLINE cs_pair cs_pair_of_wide(cs_wide a) {
    cs_wide high = a;
    int drop = a.high ? cs_bit_length(a.high) + 64 - 53 : cs_bit_length(a.low) - 53;
    if (drop <= 0) return cs_pair_of((double)a.low, 0.0);
    high = cs_wide_shift_right(a, drop);
    a = cs_wide_subtract(a, drop >= 64 ? cs_wide_of(0) : cs_wide_product(high.low, (uint64_t)1 << drop));
    return cs_pair_of(ldexp((double)high.low, drop), cs_wide_to_double(a));
}

CS_INLINE void cs_mass_add(int real, cs_mass *to, const cs_mass *from) {
    if (real) {
        to->of.real.weight = cs_pair_add(to->of.real.weight, from->of.real.weight);
        to->of.real.sum = cs_pair_add(to->of.real.sum, from->of.real.sum);
    } else {
        to->of.whole.count += from->of.whole.count;
        to->of.whole.sum = cs_wide_add(to->of.whole.sum, from->of.whole.sum);
    }
}

CS_INLINE int cs_mass_is_zero(int real, const cs_mass *mass) {
    return real ? mass->of.real.weight.hi == 0.0 : mass->of.whole.count == 0;
}

/* The mass of a significand with a weight, whole if the sketch is. */
CS_INLINE cs_mass cs_mass_of(int real, uint64_t significand, double weight) {
    cs_mass mass;
    memset(&mass, 0, sizeof mass);
    if (real) {
        mass.of.real.weight = cs_pair_of(weight, 0.0);
        mass.of.real.sum.hi = cs_two_product(weight, (double)significand, &mass.of.real.sum.lo);
    } else {
        mass.of.whole.count = (uint64_t)weight;
        mass.of.whole.sum = cs_wide_product(significand, (uint64_t)weight);
    }
    return mass;
}

CS_INLINE uint64_t cs_magnitude_bits(double x) {
    uint64_t bits;
    memcpy(&bits, &x, 8);
    return bits & ~CS_SIGN_BIT;
}

/* The octave of a positive finite double by its bits, 1 to CS_SKETCH_OCTAVES, and its integer significand. */
CS_INLINE int cs_octave_of(uint64_t bits, uint64_t *significand) {
    int field = (int)(bits >> 52);
    *significand = field ? (bits & 0xfffffffffffffu) | (uint64_t)1 << 52 : bits;
    return field ? field + 52 : cs_bit_length(bits);
}

/* Significands of an octave are multiples of 2^unit. */
CS_INLINE int cs_octave_unit(int octave) { return octave > 53 ? octave - 1127 : -1074; }

CS_INLINE uint32_t cs_bucket_of(const cs_layout *layout, int octave, uint64_t significand) {
    uint64_t normal = octave < 53 ? significand << (53 - octave) : significand;
    return layout->offset_of_cell[(normal & 0xfffffffffffffu) >> (52 - layout->bits)] / (uint32_t)sizeof(cs_slot);
}

/* The smallest significand at or behind an edge of an octave, counted in cells. */
CS_INLINE uint64_t cs_edge(const cs_layout *layout, int octave, uint32_t cells) {
    uint64_t normal = (uint64_t)cells << (52 - layout->bits);
    if (octave >= 53) return normal;
    return (normal + ((uint64_t)1 << (53 - octave)) - 1) >> (53 - octave);
}

CS_INLINE int cs_key_octave(const cs_layout *layout, uint32_t key) { return (int)(key / layout->buckets); }

/* First significand of a fine bucket, and the one behind its last. */
CS_INLINE uint64_t cs_fine_from(const cs_layout *layout, uint32_t key) {
    return cs_edge(layout, cs_key_octave(layout, key), layout->edges[key % layout->buckets]);
}
CS_INLINE uint64_t cs_fine_to(const cs_layout *layout, uint32_t key) {
    return cs_edge(layout, cs_key_octave(layout, key), layout->edges[key % layout->buckets + 1]);
}

/* The same for what an octave's coarse bucket may hold: all that lies below the fine buckets. */
CS_INLINE uint64_t cs_coarse_from(const cs_layout *layout, uint32_t octave) {
    return cs_edge(layout, (int)octave, layout->edges[0]);
}
CS_INLINE uint64_t cs_coarse_to(const cs_layout *layout, const cs_side *side, uint32_t octave) {
    if (side->fine.count && cs_key_octave(layout, side->fine.items[0].key) == (int)octave)
        return cs_fine_from(layout, side->fine.items[0].key);
    return cs_edge(layout, (int)octave, layout->edges[layout->buckets]);
}

/* Whether outcomes in [from, last] can have this mass: the rounding of pairs is far below 2^-40. */
CS_INLINE int cs_mass_is_possible(int real, const cs_mass *mass, uint64_t from, uint64_t last) {
    if (from > last) return 0;
    if (real) {
        double weight = mass->of.real.weight.hi, sum = mass->of.real.sum.hi;
        return weight >= 0x1p-401 && sum >= weight * (double)from * (1.0 - 0x1p-40) &&
               sum <= weight * (double)last * (1.0 + 0x1p-40);
    }
    return mass->of.whole.count >= 1 && mass->of.whole.count <= CS_SKETCH_MOST &&
           !cs_wide_less(mass->of.whole.sum, cs_wide_product(mass->of.whole.count, from)) &&
           !cs_wide_less(cs_wide_product(mass->of.whole.count, last), mass->of.whole.sum);
}

int cs_buckets_reserve(cs_buckets *list, size_t count, cs_resize resize);
void cs_mass_make_real(cs_mass *mass);
void cs_side_add_coarse(cs_sketch *s, cs_side *side, uint32_t octave, const cs_mass *mass);
int cs_side_reserve(cs_sketch *s, cs_side *side, const cs_bucket *more, size_t n, size_t coarse);
void cs_side_absorb(cs_sketch *s, cs_side *side, const cs_bucket *more, size_t n);
/* Whether buckets can hold what they say together with the extremes. */
int cs_sketch_is_possible(const cs_sketch *s);

#endif
