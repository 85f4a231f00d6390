/* A sum that values are added to and taken from, always exact: nothing drifts, however many pass through.
 *
 * While the values are of similar size it is a pair of doubles. Every value is split at one place, so that all high parts
 * are whole multiples of a unit, all low parts of a smaller one, and neither sum needs more than 53 bits: additions are
 * then exact. A value too large or too small for that turns the sum into fixed point over the range of the doubles, like
 * cs_exact but only as wide as sums need, until it is begun anew.
 *
 * Reference: J. Demmel, H. D. Nguyen, Parallel reproducible summation, IEEE Trans. Comput. 64 (2015), for the split. */
#ifndef CS_ROLLING_SUM_H
#define CS_ROLLING_SUM_H

#include "exact.h"
#include "window.h"

#define CS_ROLLING_SUM_OFFSET ((CS_EXACT_BIAS - CS_ROLLING_SUM_BIAS) / 32) /* words of cs_exact below the first */
#define CS_ROLLING_SUM_PENDING (1u << 20) /* additions after which words would no longer be exact as doubles */
/* The highest word is read as hi + lo if it is in this range: neither scaling overflows or underflows then. */
#define CS_ROLLING_SUM_LEAST 8
#define CS_ROLLING_SUM_MOST 63

/* 2^e for -1022 <= e <= 1023. */
CS_INLINE double power_of_two(int e) {
    uint64_t bits = (uint64_t)(e + 1023) << 52;
    double x;
    memcpy(&x, &bits, 8);
    return x;
}

/* Zero, for at most `terms` values of about the given magnitude at a time. */
CS_COLD void rolling_sum_begin(cs_rolling_sum *s, double magnitude, size_t terms) {
    uint64_t m;
    int e, bits = 1;
    memset(s, 0, sizeof *s);
    s->low = CS_ROLLING_SUM_WORDS - 1;
    s->wide = 1;
    if (!(magnitude > 0x1p-800 && magnitude < 0x1p900)) return;
    while (bits < 64 && terms >> bits) bits++;
    if (bits > 24) return;
    cs_decode(magnitude, &m, &e);
    /* Values below 2^(e + 53), or sixteen times that; sums of `terms` of them below 2^53 units of 2^unit. */
    e += 53 + 4 + bits - 53;
    s->wide = 0;
    s->split = 0x1.8p52 * power_of_two(e);
    s->most = power_of_two(e + 53 - bits);
    /* Low parts are at most 2^(e - 1), their sums below 2^53 units of 2^(e - 1 + bits - 53). */
    s->least = power_of_two(e - 1 + bits - 53 + 52);
}

/* Carries resolved: all words below 2^32 in magnitude. */
CS_COLD void rolling_sum_settle(cs_rolling_sum *s) {
    int64_t carry = 0;
    for (int i = 0; i < CS_ROLLING_SUM_WORDS; i++) {
        int64_t w = s->word[i] + carry;
        carry = w / 4294967296;
        s->word[i] = w - carry * 4294967296;
    }
    s->low = 0;
    s->high = CS_ROLLING_SUM_WORDS - 1;
    s->pending = 0;
}

/* Fixed point += x, or -= x for `take`; infinities are left out. */
CS_COLD void rolling_sum_change_wide(cs_rolling_sum *s, double x, int take) {
    uint64_t bits, m, low, high;
    int64_t negate, *w;
    int exponent, position, first;
    unsigned shift;
    memcpy(&bits, &x, 8);
    exponent = (int)(bits >> 52) & 0x7ff;
    if (CS_UNLIKELY(bits << 1 == 0 || exponent == 0x7ff)) return;
    m = (bits & 0xfffffffffffffu) | (uint64_t)(exponent != 0) << 52;
    position = (exponent ? exponent : 1) - 1075 + CS_ROLLING_SUM_BIAS;
    first = position >> 5;
    shift = (unsigned)position & 31;
    negate = (bits >> 63) ^ (uint64_t)take ? -1 : 0;
    low = m << shift;
    high = m >> 32 >> (32 - shift);
    w = s->word + first;
    w[0] += ((int64_t)(low & 0xffffffffu) ^ negate) - negate;
    w[1] += ((int64_t)(low >> 32) ^ negate) - negate;
    w[2] += ((int64_t)high ^ negate) - negate;
    s->low = first < s->low ? first : s->low;
    s->high = first + 2 > s->high ? first + 2 : s->high;
    if (CS_UNLIKELY(++s->pending == CS_ROLLING_SUM_PENDING)) rolling_sum_settle(s);
}

CS_COLD void rolling_sum_widen(cs_rolling_sum *s) {
    s->wide = 1;
    rolling_sum_change_wide(s, s->hi, 0);
    rolling_sum_change_wide(s, s->lo, 0);
}

CS_COLD void rolling_sum_add_wide(cs_rolling_sum *s, double x) {
    if (!s->wide) rolling_sum_widen(s);
    rolling_sum_change_wide(s, x, 0);
}

CS_INLINE void rolling_sum_add(cs_rolling_sum *s, double x) {
    double size = fabs(x), high;
    if (CS_UNLIKELY(s->wide || !((size >= s->least && size <= s->most) || size == 0.0))) {
        rolling_sum_add_wide(s, x);
        return;
    }
    high = (x + s->split) - s->split;
    s->hi += high;
    s->lo += x - high;
}

/* -= x, which was added before. */
CS_INLINE void rolling_sum_take(cs_rolling_sum *s, double x) {
    double high;
    if (CS_UNLIKELY(s->wide)) {
        rolling_sum_change_wide(s, x, 1);
        return;
    }
    high = (x + s->split) - s->split;
    s->hi -= high;
    s->lo -= x - high;
}

/* += x - y for a y that was added before. The difference of the parts is exact as well, and waits for no sum. */
CS_INLINE void rolling_sum_exchange(cs_rolling_sum *s, double x, double y) {
    double size = fabs(x), x_high, y_high;
    if (CS_UNLIKELY(s->wide || !((size >= s->least && size <= s->most) || size == 0.0))) {
        rolling_sum_take(s, y);
        rolling_sum_add_wide(s, x);
        return;
    }
    x_high = (x + s->split) - s->split;
    y_high = (y + s->split) - s->split;
    s->hi += x_high - y_high;
    s->lo += (x - x_high) - (y - y_high);
}

/* The sum as a pair, with err 0 if that is exact: 0 if its size needs cs_exact. */
CS_COLD int rolling_sum_read_wide(cs_rolling_sum *s, cs_sum *r) {
    double a, b, c, scale, rest;
    const int64_t *w;
    while (s->high > 0 && s->word[s->high] == 0) s->high--;
    while (s->low < s->high && s->word[s->low] == 0) s->low++;
    *r = cs_sum_zero();
    if (s->high == 0 && s->word[0] == 0) return 1;
    if (CS_UNLIKELY(s->high < CS_ROLLING_SUM_LEAST || s->high > CS_ROLLING_SUM_MOST)) return 0;
    /* Units of the third word. */
    w = s->word + s->high;
    r->hi = cs_two_sum((double)w[0] * 0x1p64, (double)w[-1] * 0x1p32, &a);
    r->hi = cs_two_sum(r->hi, (double)w[-2], &b);
    r->lo = cs_two_sum(a, b, &rest);
    r->hi = cs_two_sum(r->hi, (double)w[-3] * 0x1p-32, &a);
    r->lo = cs_two_sum(r->lo, a, &b);
    rest = fabs(rest) + fabs(b);
    r->hi = cs_two_sum(r->hi, (double)w[-4] * 0x1p-64, &a);
    r->lo = cs_two_sum(r->lo, a, &c);
    rest = (rest + fabs(c)) * 1.0000001;
    /* Words further down are below 2^53 each. */
    if (CS_UNLIKELY(s->low < s->high - 4)) rest += 0x1p-42;
    scale = power_of_two(32 * (s->high - 2) - CS_ROLLING_SUM_BIAS);
    r->hi *= scale;
    r->lo *= scale;
    r->err = rest * scale;
    return 1;
}

CS_INLINE int rolling_sum_read(cs_rolling_sum *s, cs_sum *r) {
    if (CS_UNLIKELY(s->wide)) return rolling_sum_read_wide(s, r);
    r->hi = s->hi;
    r->lo = s->lo;
    r->err = 0.0;
    return 1;
}

CS_COLD void rolling_sum_exact(const cs_rolling_sum *s, cs_exact *r) {
    cs_exact_zero(r);
    cs_exact_add(r, s->wide ? 0.0 : s->hi);
    cs_exact_add(r, s->wide ? 0.0 : s->lo);
    if (!s->wide) return;
    for (int i = 0; i < CS_ROLLING_SUM_WORDS; i++) r->word[i + CS_ROLLING_SUM_OFFSET] = s->word[i];
    cs_exact_settle(r);
}

#endif
