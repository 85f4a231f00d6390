/* Quotients of sums, rounded once, so that no order of addition, lane width or thread count can change a bit.
 *
 * cs_sum is an unevaluated pair hi + lo with a bound on its distance from the exact sum. When every quotient within the
 * bounds rounds to the same double, the rounding is certified. The rare rest (exact midpoints between two doubles,
 * cancellation, overflow, products that underflow) is settled by cs_exact, a fixed-point accumulator that spans every
 * product of three doubles this library forms.
 *
 * References: T. J. Dekker, A floating-point technique for extending the available precision, Numer. Math. 18 (1971);
 * D. E. Knuth, TAOCP 2, 4.2.2 (two-sum); U. Kulisch, Computer Arithmetic and Validity (exact accumulators). */
#ifndef CS_EXACT_H
#define CS_EXACT_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernels.h"
#include "lanes.h"

#define CS_UNIT_ROUNDOFF 0x1p-53

CS_INLINE double cs_two_sum(double a, double b, double *e) {
    double s = a + b, z = s - a;
    *e = (a - (s - z)) + (b - z);
    return s;
}

/* a*b = p + e exactly unless e underflows or, without a fused multiply-add, |a| or |b| exceeds 2^996 (e is then NaN). */
CS_INLINE double cs_two_product(double a, double b, double *e) {
    double p = a * b;
#if defined(__FMA__) || defined(__aarch64__) || defined(CS_ISA_AVX2) || defined(CS_ISA_AVX512)
    *e = fma(a, b, -p);
#else
    double ca = 134217729.0 * a, cb = 134217729.0 * b;
    double ah = ca - (ca - a), al = a - ah, bh = cb - (cb - b), bl = b - bh;
    *e = ((ah * bh - p) + ah * bl + al * bh) + al * bl;
#endif
    return p;
}

CS_INLINE vd vd_two_product(vd a, vd b, vd *e) {
#if CS_LANES == 1
    return cs_two_product(a, b, e);
#else
    vd p = vd_mul(a, b);
    *e = vd_fused_product_minus(a, b, p);
    return p;
#endif
}

CS_INLINE cs_sum cs_sum_zero(void) {
    cs_sum s = {0.0, 0.0, 0.0};
    return s;
}

CS_INLINE void cs_sum_add_low(cs_sum *s, double v) {
    s->lo += v;
    s->err += CS_UNIT_ROUNDOFF * fabs(s->lo);
}

CS_INLINE void cs_sum_add(cs_sum *s, double v) {
    double e;
    s->hi = cs_two_sum(s->hi, v, &e);
    cs_sum_add_low(s, e);
}

CS_INLINE void cs_sum_add_sum(cs_sum *s, const cs_sum *t) {
    cs_sum_add(s, t->hi);
    cs_sum_add_low(s, t->lo);
    s->err += t->err;
}

/* What another part of a pass found; its kept outcomes lie behind these. */
CS_INLINE void cs_pass_add(cs_pass *total, const cs_pass *part) {
    cs_sum_add_sum(&total->sum, &part->sum);
    if (part->magnitude > total->magnitude) total->magnitude = part->magnitude;
    total->below += part->below;
    total->at_low += part->at_low;
    total->at_high += part->at_high;
    total->kept += part->kept;
    total->overflow |= part->overflow;
}

/* += a*b, with a bound for what underflow loses. */
CS_INLINE void cs_sum_add_product(cs_sum *s, double a, double b) {
    double e, p = cs_two_product(a, b, &e);
    cs_sum_add(s, p);
    cs_sum_add_low(s, e);
    /* Below this size the low part of a product may have lost bits to underflow. */
    if (CS_UNLIKELY(fabs(p) < 0x1p-960 && a != 0.0 && b != 0.0)) s->err += 0x1p-1020;
}

/* Fixed point: sum of word[i] * 2^(32 i - CS_EXACT_BIAS). Words are signed and may hold 2^30 unnormalised additions. */
#define CS_EXACT_WORDS 144
#define CS_EXACT_BIAS 2304

typedef struct {
    int64_t word[CS_EXACT_WORDS];
    uint32_t pending;
} cs_exact;

CS_INLINE void cs_exact_zero(cs_exact *a) { memset(a, 0, sizeof *a); }

/* Words into [0, 2^32); returns the sign of the value and leaves its magnitude. */
CS_COLD int cs_exact_normalize(cs_exact *a) {
    int64_t carry = 0;
    int sign = 0;
    for (int i = 0; i < CS_EXACT_WORDS; i++) {
        int64_t w = a->word[i] + carry;
        a->word[i] = (int64_t)((uint64_t)w & 0xffffffffu);
        carry = (w - a->word[i]) / 4294967296;
    }
    a->pending = 0;
    if (carry < 0) {
        int64_t borrow = 0;
        for (int i = 0; i < CS_EXACT_WORDS; i++) {
            int64_t w = -a->word[i] + borrow;
            a->word[i] = (int64_t)((uint64_t)w & 0xffffffffu);
            borrow = (w - a->word[i]) / 4294967296;
        }
        sign = -1;
    }
    if (sign == 0)
        for (int i = 0; i < CS_EXACT_WORDS && sign == 0; i++) sign = a->word[i] != 0;
    return sign;
}

/* Carries resolved, sign kept in the words. */
CS_COLD void cs_exact_settle(cs_exact *a) {
    if (cs_exact_normalize(a) < 0)
        for (int i = 0; i < CS_EXACT_WORDS; i++) a->word[i] = -a->word[i];
}

/* += sign * m * 2^e for m < 2^64. */
CS_INLINE void cs_exact_add_scaled(cs_exact *a, uint64_t m, int e, int sign) {
    unsigned position = (unsigned)(e + CS_EXACT_BIAS), shift = position & 31;
    int64_t *w = a->word + (position >> 5), negate = sign < 0 ? -1 : 0;
    uint64_t low = m << shift, high = m >> 32 >> (32 - shift);
    w[0] += ((int64_t)(low & 0xffffffffu) ^ negate) - negate;
    w[1] += ((int64_t)(low >> 32) ^ negate) - negate;
    w[2] += ((int64_t)high ^ negate) - negate;
    if (CS_UNLIKELY(++a->pending == 1u << 28)) cs_exact_settle(a);
}

/* |x| = m * 2^e; returns the sign bit as -1 or 1. x must be finite. */
CS_INLINE int cs_decode(double x, uint64_t *m, int *e) {
    uint64_t bits;
    int exponent;
    memcpy(&bits, &x, 8);
    exponent = (int)(bits >> 52) & 0x7ff;
    *m = (bits & 0xfffffffffffffu) | (exponent ? (uint64_t)1 << 52 : 0);
    *e = (exponent ? exponent : 1) - 1075;
    return bits >> 63 ? -1 : 1;
}

CS_INLINE void cs_exact_add(cs_exact *a, double x) {
    uint64_t m;
    int e, sign = cs_decode(x, &m, &e);
    cs_exact_add_scaled(a, m, e, sign);
}

CS_INLINE void cs_exact_add_product(cs_exact *a, double x, double y) {
    uint64_t mx, my;
    int ex, ey, sign = cs_decode(x, &mx, &ex) * cs_decode(y, &my, &ey), e = ex + ey;
    uint64_t xl = mx & 0xffffffffu, xh = mx >> 32, yl = my & 0xffffffffu, yh = my >> 32;
    cs_exact_add_scaled(a, xl * yl, e, sign);
    cs_exact_add_scaled(a, xl * yh, e + 32, sign);
    cs_exact_add_scaled(a, xh * yl, e + 32, sign);
    cs_exact_add_scaled(a, xh * yh, e + 64, sign);
}

/* a += b * x for an accumulator b; b is settled on the way. The product must stay within the fixed-point range. */
CS_COLD void cs_exact_add_multiple(cs_exact *a, cs_exact *b, double x) {
    uint64_t m;
    int e, sign = cs_decode(x, &m, &e);
    cs_exact_settle(b);
    for (int i = 0; i < CS_EXACT_WORDS; i++) {
        if (b->word[i] != 0) {
            int s = b->word[i] < 0 ? -sign : sign;
            uint64_t digit = (uint64_t)(b->word[i] < 0 ? -b->word[i] : b->word[i]);
            int place = 32 * i - CS_EXACT_BIAS + e;
            cs_exact_add_scaled(a, digit * (m & 0xffffffffu), place, s);
            cs_exact_add_scaled(a, digit * (m >> 32), place + 32, s);
        }
    }
}

CS_COLD void cs_exact_subtract(cs_exact *a, cs_exact *b) {
    cs_exact_settle(a);
    cs_exact_settle(b);
    for (int i = 0; i < CS_EXACT_WORDS; i++) a->word[i] -= b->word[i];
}

/* The value rounded to 53 bits, ties to even, as m * 2^e with no limit on e. Leaves the magnitude in a. */
CS_COLD double cs_exact_round(cs_exact *a, int *e) {
    int sign = cs_exact_normalize(a), top = CS_EXACT_WORDS - 1, zeros = 0;
    uint64_t window, below, mantissa, rest;
    *e = 0;
    while (top >= 0 && a->word[top] == 0) top--;
    if (top < 0) return 0.0;
    while (!((uint64_t)a->word[top] << zeros & 0x80000000u)) zeros++;
    window = (uint64_t)a->word[top] << 32 | (top >= 1 ? (uint64_t)a->word[top - 1] : 0);
    below = top >= 2 ? (uint64_t)a->word[top - 2] << 32 : 0;
    if (zeros) {
        window = window << zeros | below >> (64 - zeros);
        below <<= zeros;
    }
    for (int i = top - 3; i >= 0 && below == 0; i--) below |= (uint64_t)a->word[i];
    mantissa = window >> 11;
    rest = window & 0x7ff;
    if (rest > 0x400 || (rest == 0x400 && (below != 0 || (mantissa & 1)))) mantissa++;
    *e = 32 * (top - 1) - zeros - CS_EXACT_BIAS + 11;
    return sign < 0 ? -(double)mantissa : (double)mantissa;
}

/* n/d rounded once, ties to even, subnormal results and overflowing n too; d > 0 and n/d within the doubles. */
CS_COLD double cs_exact_ratio(cs_exact *n, cs_exact *d) {
    cs_exact work = *n;
    int en, ed, sign = cs_exact_normalize(n);
    double v = fabs(cs_exact_round(&work, &en));
    work = *d;
    v /= cs_exact_round(&work, &ed);
    v = ldexp(v, en - ed);
    if (sign == 0) return 0.0;
    if (v > 0x1.fffffffffffffp1023) v = 0x1.fffffffffffffp1023;
    for (;;) {
        /* 2 (|n| - v d) against the distance from v to its neighbour, times d: beyond it the neighbour is nearer. */
        double step;
        uint64_t bits;
        int side, order;
        cs_exact distance, gap;
        distance = *n;
        cs_exact_add_multiple(&distance, d, -v);
        gap = distance;
        cs_exact_settle(&gap);
        for (int i = 0; i < CS_EXACT_WORDS; i++) distance.word[i] += gap.word[i];
        side = cs_exact_normalize(&distance);
        if (side == 0) break;
        memcpy(&bits, &v, 8);
        bits += side > 0 ? 1 : (uint64_t)-1;
        memcpy(&step, &bits, 8);
        step -= v;
        cs_exact_zero(&gap);
        cs_exact_add_multiple(&gap, d, fabs(step));
        cs_exact_subtract(&distance, &gap);
        order = cs_exact_normalize(&distance);
        if (order < 0 || (order == 0 && bits % 2 == 1)) break;
        memcpy(&v, &bits, 8);
        if (order == 0) break;
    }
    return sign < 0 ? -v : v;
}

/* n/d rounded once if the bounds certify it; d > 0. With both pairs normalised, the part of the quotient behind q is known
 * to about 2^-50 of itself. */
CS_INLINE int cs_sum_ratio(const cs_sum *n, const cs_sum *d, double *value) {
    double nl, dl, nh = cs_two_sum(n->hi, n->lo, &nl), dh = cs_two_sum(d->hi, d->lo, &dl);
    double q = nh / dh, rest, slack, below, above;
    *value = 0.0;
    if (nh == 0.0 && n->err == 0.0) return 1;
    if (!(fabs(nh) > 0x1p-900 && fabs(q) > 0x1p-900)) return 0;
    rest = fma(-q, dh, nh);
    slack = n->err + fabs(q) * d->err + 0x1p-50 * (fabs(rest) + fabs(nl) + fabs(q * dl));
    rest = (rest + (nl - q * dl)) / dh;
    slack = 1.0000001 * slack / dh;
    below = q + (rest - slack);
    above = q + (rest + slack);
    *value = below;
    return below == above && fabs(below) <= 0x1.fffffffffffffp1023;
}

/* += v; whether nothing was lost. */
CS_INLINE int cs_sum_add_exactly(cs_sum *s, double v) {
    double e, lost;
    s->hi = cs_two_sum(s->hi, v, &e);
    s->lo = cs_two_sum(s->lo, e, &lost);
    return lost == 0.0;
}

/* n/d rounded once, ties to even, for an exact pair n and one double d > 0: what cs_sum_ratio cannot certify is nearly
 * always a midpoint, where the exact remainder decides. 0 if n is no exact pair or too large or small, or if neither the
 * quotient of the leading parts nor its neighbour may be nearest. */
CS_INLINE int cs_pair_ratio(const cs_sum *n, double d, double *value) {
    double nl, nh = cs_two_sum(n->hi, n->lo, &nl), q = nh / d, rest, low, neighbour, step, over;
    uint64_t bits;
    if (n->err != 0.0 || !(fabs(nh) > 0x1p-800 && fabs(nh) < 0x1p1000 && fabs(q) > 0x1p-800)) return 0;
    /* The first remainder is exact because q is the nearest to nh/d; nl moves it by less than a unit of q. */
    rest = cs_two_sum(fma(-q, d, nh), nl, &low);
    *value = q;
    if (rest == 0.0) return 1;
    memcpy(&bits, &q, 8);
    bits += (q > 0.0) == (rest > 0.0) ? 1 : (uint64_t)-1;
    memcpy(&neighbour, &bits, 8);
    step = d * fabs(neighbour - q);
    /* Below a power of two the doubles lie twice as close. */
    if (CS_UNLIKELY(fabs(rest) > 1.25 * step)) return 0;
    /* The remainder against that of the midpoint: the difference is exact where the two are near. */
    over = fabs(rest) - 0.5 * step;
    low = rest > 0.0 ? -low : low;
    if (over > low || (over == low && bits % 2 == 0)) *value = neighbour;
    return 1;
}

#endif
