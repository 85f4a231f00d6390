/* Sums and quotients rounded once: the certified way and the accumulator against 128-bit long division. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "exact.h"
#include "rational.h"
#include "target.h"

static size_t pairs; /* quotients that cs_pair_ratio gave */

/* sum of values[i] 2^scale over divisor: what every way must give. */
static void check_ratio(const int64_t *values, size_t n, int64_t divisor, int scale, int divisor_scale) {
    cs_exact numerator, denominator;
    cs_sum sum = cs_sum_zero(), count = cs_sum_zero(), pair = cs_sum_zero();
    wide total = 0;
    double expected, exact, certified, settled;
    int is_pair = 1;
    cs_exact_zero(&numerator);
    cs_exact_zero(&denominator);
    for (size_t i = 0; i < n; i++) {
        double v = ldexp((double)values[i], scale);
        total += values[i];
        cs_exact_add(&numerator, v);
        cs_sum_add(&sum, v);
        is_pair &= cs_sum_add_exactly(&pair, v);
    }
    cs_exact_add(&denominator, ldexp((double)divisor, divisor_scale));
    cs_sum_add(&count, ldexp((double)divisor, divisor_scale));
    expected = rational_round(total, divisor, scale - divisor_scale);
    exact = cs_exact_ratio(&numerator, &denominator);
    CHECK(exact == expected);
    if (cs_sum_ratio(&sum, &count, &certified)) CHECK(certified == expected);
    if (is_pair && divisor < (int64_t)1 << 53 && cs_pair_ratio(&pair, ldexp((double)divisor, divisor_scale), &settled)) {
        CHECK(settled == expected);
        pairs++;
    }
}

static int64_t random_signed(unsigned bits) {
    return (int64_t)(random_bits() >> (64 - bits)) - ((int64_t)1 << (bits - 1));
}

static void test_random_quotients(void) {
    int64_t values[40];
    for (int round = 0; round < 20000; round++) {
        size_t n = 1 + random_below(40);
        unsigned bits = 2 + (unsigned)random_below(50);
        for (size_t i = 0; i < n; i++) values[i] = random_signed(bits);
        check_ratio(values, n, 1 + (int64_t)(random_bits() >> (12 + random_below(51))), (int)random_below(900) - 450,
                    (int)random_below(500) - 250);
    }
}

static void test_quotients_that_are_midpoints_and_their_neighbours(void) {
    for (int round = 0; round < 20000; round++) {
        /* (2 m + 1)/2 d is a midpoint of two doubles, times d. */
        int64_t m = ((int64_t)1 << 52) + (int64_t)(random_bits() >> 12), d = 1 + (int64_t)random_below(200), values[3];
        int64_t twice = 2 * m + 1;
        size_t n = 2, before;
        values[0] = m * 2;
        values[1] = 1;
        values[2] = (int64_t)random_below(3) - 1;
        before = pairs;
        check_ratio(values, 3, 1, 0, 0);
        CHECK(pairs > before);
        if (twice > INT64_MAX / d) d = 1;
        /* As addends of 53 bits: the product d (2 m + 1) in two halves. */
        values[0] = (twice * d) & ~(int64_t)0x7ff;
        values[1] = (twice * d) & 0x7ff;
        before = pairs;
        check_ratio(values, n, d, 0, 1);
        CHECK(pairs > before);
        values[2] = random_below(2) ? 1 : -1;
        check_ratio(values, 3, d, 0, 1);
        check_ratio(values, 3, d, -1074, 0);
    }
}

static void test_exact_pairs_are_divided_once(void) {
    for (int i = 0; i < 200000; i++) {
        /* Numerators of some 100 bits whose quotient lies at or next to a midpoint. */
        int64_t divisor = 1 + (int64_t)random_below(1000), odd = (int64_t)(random_bits() >> 10) | 1;
        wide numerator = (wide)odd * divisor + (wide)random_below(3) - 1;
        cs_sum n;
        double ratio = 0.0;
        if (random_below(2)) numerator = -numerator;
        n.hi = (double)numerator;
        n.lo = (double)(numerator - (wide)n.hi);
        n.err = 0.0;
        if (numerator == 0) continue;
        CHECK(cs_pair_ratio(&n, (double)divisor, &ratio));
        CHECK(same_bits(ratio, rational_round(numerator, divisor, 0)));
    }
}

static void test_cancellation(void) {
    for (int round = 0; round < 2000; round++) {
        int64_t values[9], divisor = 1 + (int64_t)random_below(1000);
        for (int i = 0; i < 8; i += 2) {
            values[i] = random_signed(54);
            values[i + 1] = -values[i];
        }
        values[8] = (int64_t)random_below(5) - 2;
        check_ratio(values, 9, divisor, (int)random_below(1500) - 1074, 0);
        check_ratio(values, 9, divisor, -1074, 0);
    }
}

static void test_subnormal_quotients(void) {
    for (int round = 0; round < 20000; round++) {
        int64_t values[3];
        for (int i = 0; i < 3; i++) values[i] = random_signed(2 + (unsigned)random_below(50));
        check_ratio(values, 3, 1 + (int64_t)random_below(100000), -1074, 0);
        check_ratio(values, 3, 1 + (int64_t)random_below(100000), -1074, (int)random_below(30));
    }
}

static void test_sums_that_overflow_have_finite_means(void) {
    cs_exact numerator, count;
    cs_sum sum = cs_sum_zero(), n = cs_sum_zero();
    double value, most = 0x1.fffffffffffffp1023;
    cs_exact_zero(&numerator);
    cs_exact_zero(&count);
    for (int i = 0; i < 1000; i++) {
        cs_exact_add(&numerator, most);
        cs_sum_add(&sum, most);
    }
    cs_exact_add(&count, 1000.0);
    cs_sum_add(&n, 1000.0);
    CHECK(!cs_sum_ratio(&sum, &n, &value));
    CHECK(cs_exact_ratio(&numerator, &count) == most);
}

static void test_products_and_multiples(void) {
    for (int round = 0; round < 20000; round++) {
        cs_exact sum, divisor, multiple;
        wide total = 0;
        int64_t d = 1 + (int64_t)(random_bits() >> 20);
        double factor = (double)(1 + random_below(1u << 20));
        cs_exact_zero(&sum);
        cs_exact_zero(&divisor);
        cs_exact_zero(&multiple);
        cs_exact_add(&divisor, (double)d);
        for (int i = 0; i < 10; i++) {
            int64_t a = random_signed(50), b = random_signed(46);
            total += (wide)a * b;
            cs_exact_add_product(&sum, ldexp((double)a, 300), ldexp((double)b, -300));
        }
        cs_exact_add_multiple(&multiple, &sum, factor);
        CHECK(cs_exact_ratio(&sum, &divisor) == rational_round(total, d, 0));
        CHECK(cs_exact_ratio(&multiple, &divisor) == rational_round(total * (wide)factor, d, 0));
        cs_exact_subtract(&multiple, &multiple);
        CHECK(cs_exact_normalize(&multiple) == 0);
    }
}

static void test_products_at_both_ends_of_the_range(void) {
    cs_exact n, d, large;
    double least = 0x1p-1074, most = 0x1.fffffffffffffp1023;
    cs_exact_zero(&n);
    cs_exact_zero(&d);
    cs_exact_zero(&large);
    cs_exact_add_product(&n, least, least);
    cs_exact_add(&d, least);
    CHECK(cs_exact_ratio(&n, &d) == least);
    for (int i = 0; i < 3; i++) cs_exact_add_product(&large, -most, most);
    cs_exact_zero(&d);
    for (int i = 0; i < 3; i++) cs_exact_add(&d, most);
    CHECK(cs_exact_ratio(&large, &d) == -most);
}

static void test_words_carry_after_many_additions(void) {
    cs_exact sum, count;
    enum { MANY = 300000 };
    cs_exact_zero(&sum);
    cs_exact_zero(&count);
    for (int i = 0; i < MANY; i++) cs_exact_add(&sum, 0x1.fffffffffffffp0);
    sum.pending = (1u << 28) - 1;
    cs_exact_add(&sum, 0x1.fffffffffffffp0);
    CHECK(sum.pending == 0);
    cs_exact_add(&count, MANY + 1);
    CHECK(cs_exact_ratio(&sum, &count) == 0x1.fffffffffffffp0);
}

/* The low parts of divisor and dividend may be as large as the high parts: a quotient must not be certified as if they
 * were small. */
static void test_unnormalised_sums_are_not_certified_wrongly(void) {
    for (int round = 0; round < 20000; round++) {
        int64_t a = 1 + (int64_t)random_below(1 << 20), b = random_signed(20), c = 1 + (int64_t)random_below(1 << 20);
        int64_t d = (int64_t)random_below(2 * (uint64_t)c) - c;
        cs_sum n = {(double)a, (double)b, 0.0}, m = {(double)c, (double)d, 0.0};
        double value;
        if (c + d <= 0) continue;
        if (cs_sum_ratio(&n, &m, &value)) CHECK(value == rational_round(a + b, c + d, 0));
    }
}

/* Terms below the normal numbers whose bounds underflow: the sum of those bounds must not be taken for zero. */
static void test_zero_is_certified_only_when_it_is_the_sum(void) {
    cs_sum n = {0.0, 0x1p-1074, 0.0}, one = {1.0, 0.0, 0.0};
    double value;
    CHECK(!cs_sum_ratio(&n, &one, &value) || value == 0x1p-1074);
    n.lo = 0.0;
    CHECK(cs_sum_ratio(&n, &one, &value) && value == 0.0);
    n.err = 0x1p-1074;
    CHECK(!cs_sum_ratio(&n, &one, &value));
}

static void test_two_product_is_exact(void) {
    for (int round = 0; round < 20000; round++) {
        double a = ldexp((double)random_signed(53), (int)random_below(800) - 400);
        double b = ldexp((double)random_signed(53), (int)random_below(800) - 400), e, p = cs_two_product(a, b, &e);
        CHECK(p == a * b && e == fma(a, b, -p));
    }
}

static void test_tail_counts(void) {
    static const struct {
        double level, count;
        size_t n, rank;
    } known[] = {{0.9, 1, 10, 1},        {0.975, 25, 1000, 25},  {0.0, 7, 7, 7},           {0.99, 1, 100, 1},
                 {0x1p-60, 9, 9, 9},     {0.975, 2.5, 100, 3},   {0x1.fffffffffffffp-1, 0x1p-53, 1, 1},
                 {0.95, 50000, 1000000, 50000}, {1e-17, 300, 300, 300}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        cs_target t = cs_target_of(known[i].level, known[i].n);
        CHECK(t.rank == known[i].rank && fabs(t.count - known[i].count) <= 1e-14 * known[i].count);
        CHECK(known[i].count != rint(known[i].count) || t.rest == 0.0);
    }
    for (int round = 0; round < 20000; round++) {
        uint64_t units = random_bits() >> 11;
        size_t n = 1 + random_below(100000);
        cs_target t = cs_target_of(ldexp((double)units, -53), n);
        wide c = (wide)n * (((wide)1 << 53) - (wide)units), whole = c >> 53, below = c - (whole << 53);
        int up = below > ((wide)1 << 52);
        wide nearest = whole + up, off = up ? ((wide)1 << 53) - below : below;
        if (nearest >= 1 && off <= (wide)n)
            CHECK(t.rank == (size_t)nearest && t.c0 == (double)nearest && t.c1 == 0.0 && t.c2 == 0.0);
        else
            CHECK(t.rank == (size_t)whole + 1 && t.count == rational_round(c, 1, -53));
    }
}

static void test_targets_are_visited_from_the_largest_tail(void) {
    const double levels[] = {0.9, 0.5, 0.99, 0.5, 0.0};
    const size_t order[] = {4, 1, 3, 0, 2, 5};
    cs_target targets[5];
    size_t at = 5;
    for (size_t i = 0; i < 5; i++) targets[i] = cs_target_of(levels[i], 100);
    for (size_t i = 0; i < 6; i++) {
        at = cs_target_next(targets, 5, at);
        CHECK(at == order[i]);
    }
    CHECK(cs_target_next(targets, 0, 0) == 0);
}

int main(void) {
    RUN(test_random_quotients);
    RUN(test_quotients_that_are_midpoints_and_their_neighbours);
    RUN(test_exact_pairs_are_divided_once);
    RUN(test_cancellation);
    RUN(test_subnormal_quotients);
    RUN(test_sums_that_overflow_have_finite_means);
    RUN(test_products_and_multiples);
    RUN(test_products_at_both_ends_of_the_range);
    RUN(test_words_carry_after_many_additions);
    RUN(test_unnormalised_sums_are_not_certified_wrongly);
    RUN(test_zero_is_certified_only_when_it_is_the_sum);
    RUN(test_two_product_is_exact);
    RUN(test_tail_counts);
    RUN(test_targets_are_visited_from_the_largest_tail);
    return report();
}
