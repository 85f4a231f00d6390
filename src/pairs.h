/* Sums and products of pairs of doubles, hi + lo with lo within half a unit of hi: about twice the precision.
 *
 * Reference: M. Joldes, J.-M. Muller, V. Popescu, Tight and rigorous error bounds for basic building blocks of double-word
 * arithmetic, ACM TOMS 44 (2017). */
#ifndef CS_PAIRS_H
#define CS_PAIRS_H

#include "exact.h"

typedef struct {
    double hi, lo;
} cs_pair;

CS_INLINE cs_pair cs_pair_of(double hi, double lo) {
    cs_pair p;
    p.hi = cs_two_sum(hi, lo, &p.lo);
    return p;
}

/* The same where |hi| is not below |lo|, or is 0. */
CS_INLINE cs_pair cs_pair_fast(double hi, double lo) {
    cs_pair p;
    p.hi = hi + lo;
    p.lo = lo - (p.hi - hi);
    return p;
}

/* Algorithm 6; relative error at most 3 2^-106 for terms of one sign. */
CS_INLINE cs_pair cs_pair_add(cs_pair a, cs_pair b) {
    double e, f, s = cs_two_sum(a.hi, b.hi, &e), t = cs_two_sum(a.lo, b.lo, &f);
    cs_pair p = cs_pair_fast(s, e + t);
    return cs_pair_fast(p.hi, f + p.lo);
}

/* Algorithm 9; relative error below 2 2^-106. */
CS_INLINE cs_pair cs_pair_times(cs_pair a, double b) {
    double low, high = cs_two_product(a.hi, b, &low);
    cs_pair p = cs_pair_fast(high, a.lo * b);
    return cs_pair_fast(p.hi, p.lo + low);
}

/* Algorithm 11; relative error below 5 2^-106. */
CS_INLINE cs_pair cs_pair_times_pair(cs_pair a, cs_pair b) {
    double low, high = cs_two_product(a.hi, b.hi, &low);
    return cs_pair_fast(high, low + (a.hi * b.lo + a.lo * b.hi));
}

CS_INLINE cs_pair cs_pair_negative(cs_pair a) {
    a.hi = -a.hi;
    a.lo = -a.lo;
    return a;
}

/* Times a power of two, which is exact. */
CS_INLINE cs_pair cs_pair_scaled(cs_pair a, double factor) {
    a.hi *= factor;
    a.lo *= factor;
    return a;
}

CS_INLINE int cs_pair_less(cs_pair a, cs_pair b) { return a.hi < b.hi || (a.hi == b.hi && a.lo < b.lo); }

#endif
