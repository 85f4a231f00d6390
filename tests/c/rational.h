/* Quotients of 128-bit integers as doubles, by long division: the reference for results that are rounded once. */
#ifndef RATIONAL_H
#define RATIONAL_H

#include <math.h>
#include <stdint.h>
#include <string.h>

typedef __int128 wide;
typedef unsigned __int128 unsigned_wide;

/* n/d 2^scale rounded once, ties to even, subnormals included; d > 0 and both below 2^126 in magnitude. */
static inline double rational_round(wide n, wide d, int scale) {
    unsigned_wide magnitude = n < 0 ? -(unsigned_wide)n : (unsigned_wide)n, divisor = (unsigned_wide)d, rest, doubled;
    uint64_t digits;
    int bits = 53;
    double result;
    if (n == 0) return 0.0;
    while (magnitude < divisor) magnitude *= 2, scale--;
    while (divisor <= magnitude / 2) divisor *= 2, scale++;
    /* Now 1 <= magnitude/divisor < 2 and 2^scale is the leading bit. */
    if (scale < -1022) bits -= -1022 - scale;
    if (bits < 0) return n < 0 ? -0.0 : 0.0;
    digits = 0;
    rest = magnitude;
    for (int i = 0; i < bits; i++) {
        digits = digits * 2 + (rest >= divisor);
        if (rest >= divisor) rest -= divisor;
        rest *= 2;
    }
    /* rest/divisor is now twice the part of a unit that was left off. */
    doubled = rest;
    if (doubled > divisor || (doubled == divisor && (digits & 1))) digits++;
    result = ldexp((double)digits, scale - bits + 1);
    return n < 0 ? -result : result;
}

static inline int same_bits(double a, double b) {
    uint64_t i, j;
    memcpy(&i, &a, 8);
    memcpy(&j, &b, 8);
    return i == j;
}

/* A repeatable stream of 64 random bits (splitmix64). */
static uint64_t random_state = 1;

static inline uint64_t random_bits(void) {
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline uint64_t random_below(uint64_t n) { return random_bits() % n; }

#endif
