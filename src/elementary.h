/* Natural logarithm and exponential of double made of + - * / and integer operations only, so that every compiler and
 * machine gives the same bits (the C library's own differ by platform). Without branches: loops over them vectorise. */
#ifndef CS_ELEMENTARY_H
#define CS_ELEMENTARY_H

#include <stdint.h>
#include <string.h>

static inline uint64_t cs_bits_of(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline double cs_double_of(uint64_t bits) {
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* log(x) for positive normal finite x, error below 1 ulp; any other argument gives an unspecified number.
 * x = 2^k m with m in [sqrt(1/2), sqrt(2)); log m = f - f^2/2 + s (f^2/2 + R), f = m - 1, s = f/(2 + f), where
 * R = 2 s^2/3 + 2 s^4/5 + ... is the rest of the series of 2 atanh(s), |s| < 0.172. */
static inline double cs_log(double x) {
    const uint64_t root_half = 0x3FE6A09E667F3BCDu;
    const uint64_t bits = cs_bits_of(x);
    /* 1024 is added to the exponent to keep the shifted number positive, so that a logical shift serves. */
    const uint64_t exponent = (bits - root_half + ((uint64_t)1024 << 52)) >> 52;
    const double k = cs_double_of(exponent | 0x4330000000000000u) - 4503599627371520.0; /* 2^52 + 1024 */
    const double f = cs_double_of(bits - ((exponent - 1024) << 52)) - 1.0;
    const double s = f / (2.0 + f);
    const double z = s * s;
    const double w = z * z;
    const double even = w * (2.0 / 5 + w * (2.0 / 9 + w * (2.0 / 13 + w * (2.0 / 17 + w * (2.0 / 21)))));
    const double last = 2.0 / 19 + w * (2.0 / 23);
    const double odd = z * (2.0 / 3 + w * (2.0 / 7 + w * (2.0 / 11 + w * (2.0 / 15 + w * last))));
    const double half_square = 0.5 * f * f;
    const double high = 6.93147180369123816490e-01, low = 1.90821492927058770002e-10; /* log 2 */
    return k * high - ((half_square - (s * (half_square + (odd + even)) + k * low)) - f);
}

/* log(1 + y) for y >= 0 with 1 + y finite, relative error below 2 ulp: the rounding of 1 + y is put back to first
 * order. */
static inline double cs_log1p(double y) {
    const double u = 1.0 + y;
    const double lost = y < 1.0 ? y - (u - 1.0) : 1.0 - (u - y);
    return cs_log(u) + lost / u;
}

/* exp(x), error below 1 ulp for -708 <= x; 0 for smaller x, infinity on overflow, NaN for NaN. */
static inline double cs_exp(double x) {
    const double high = 6.93147180369123816490e-01, low = 1.90821492927058770002e-10; /* log 2 */
    const double shifter = 6755399441055744.0; /* 1.5 * 2^52: adding it rounds to an integer held in the low bits */
    const double bounded = x > 710.0 ? 710.0 : (x < -709.0 ? -709.0 : x);
    const double shifted = bounded * 1.44269504088896338700 + shifter;
    const double k = shifted - shifter;
    const double r = (bounded - k * high) - k * low;
    double p = 1.0 / 6227020800.0;
    double scale, result;
    p = p * r + 1.0 / 479001600.0;
    p = p * r + 1.0 / 39916800.0;
    p = p * r + 1.0 / 3628800.0;
    p = p * r + 1.0 / 362880.0;
    p = p * r + 1.0 / 40320.0;
    p = p * r + 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    p = 1.0 + (r + r * r * p);
    /* 2^(k-1) and a factor 2: 2^1024 is not a double, though p 2^1024 may be one. */
    scale = cs_double_of((cs_bits_of(shifted) + 1022) << 52);
    result = 2.0 * p * scale;
    result = x < -708.0 ? 0.0 : result;
    return x == x ? result : x;
}

#endif
