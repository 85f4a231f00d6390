/* Windows against sorting and integer arithmetic on every instruction set: whole outcomes times a power of two, so that the
 * reference is exact and rounds once. Memory has exactly the size asked for. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "cshortfall.h"
#include "kernels.h"
#include "rational.h"
#include "rolling_sum.h"
#include "window.h"

enum { LEVELS = 5, MOST = 3000 };

/* All are multiples of 2^-56. */
static const double LEVEL[LEVELS] = {0.975, 0.5, 0.0, 0.9, 0.999};

static const char *isas[8];
static size_t n_isas;

static void *reserved(size_t bytes) {
    void *p = malloc(bytes);
    if (!p) abort();
    return p;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* What es and var of whole outcomes times 2^scale must be. */
static void expect(const double *outcomes, size_t n, double level, int scale, double *es, double *var) {
    const wide one = (wide)1 << 56;
    double *sorted = reserved((n + 1) * sizeof *sorted);
    wide count = (wide)n * (one - (wide)ldexp(level, 56)), nearest = (count + one / 2) / one, off, sum = 0;
    size_t rank;
    memcpy(sorted, outcomes, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_value);
    off = nearest * one - count;
    if (nearest >= 1 && (off < 0 ? -off : off) <= (wide)n * 8) count = nearest * one;
    rank = (size_t)((count + one - 1) / one);
    if (rank == 0) rank = 1;
    for (size_t i = 0; i + 1 < rank; i++) sum += (wide)sorted[i];
    *var = 0.0 - ldexp(sorted[rank - 1], scale);
    *es = rank == 1 ? *var
                    : 0.0 - rational_round(sum * one + (count - (wide)(rank - 1) * one) * (wide)sorted[rank - 1], count, scale);
    free(sorted);
}

/* Series: each function of the position. */
static double bell(size_t i) {
    (void)i;
    return (double)(random_below(2000) + random_below(2000)) - 2000.0;
}
static double rising(size_t i) { return (double)i * 3.0 - 1000.0; }
static double falling(size_t i) { return 1000.0 - (double)i * 3.0; }
static double saw(size_t i) { return (double)(i % 7); }
static double wave(size_t i) { return fabs((double)(i % 400) - 200.0) + (double)random_below(9); }
static double constant(size_t i) {
    (void)i;
    return 5.0;
}
static double two(size_t i) {
    (void)i;
    return random_below(20) ? 1.0 : -3.0;
}
static double far(size_t i) { return random_below(40) ? bell(i) : ldexp(bell(i), 40); }

static double (*const SERIES[])(size_t) = {bell, rising, falling, saw, wave, constant, two, far};

static void check_windows(double (*series)(size_t), size_t n, size_t length, size_t min_count, int tail, int scale,
                          int missing) {
    double *x = reserved(n * sizeof *x), *present = reserved(n * sizeof *present);
    size_t bytes = cs_window_size(length, LEVELS);
    void *memory = reserved(bytes);
    for (size_t i = 0; i < n; i++) x[i] = missing && random_below(5) == 0 ? (double)NAN : series(i);
    for (size_t isa = 0; isa < n_isas; isa++) {
        cs_window *window;
        cs_init(isas[isa]);
        CHECK(cs_window_init(memory, bytes, length, LEVEL, LEVELS, tail, min_count, &window) == CS_OK);
        for (size_t i = 0; i < n; i++) {
            double es[LEVELS], var[LEVELS], expected_es, expected_var;
            size_t m = 0;
            int status = cs_window_push(window, ldexp(x[i], scale), es, var);
            if (i % 7 && i > 300) continue;
            for (size_t k = i + 1 > length ? i + 1 - length : 0; k <= i; k++)
                if (x[k] == x[k]) present[m++] = tail == CS_TAIL_UPPER ? -x[k] : x[k];
            CHECK(cs_window_count(window) == m);
            CHECK(status == (m == 0 || m < min_count ? CS_TOO_FEW : CS_OK));
            for (size_t k = 0; k < LEVELS; k++) {
                expected_es = expected_var = (double)NAN;
                if (status == CS_OK) expect(present, m, LEVEL[k], scale, &expected_es, &expected_var);
                CHECK(same_bits(es[k], expected_es) || (isnan(es[k]) && isnan(expected_es)));
                CHECK(same_bits(var[k], expected_var) || (isnan(var[k]) && isnan(expected_var)));
            }
        }
    }
    free(memory);
    free(present);
    free(x);
}

static void every_push_is_what_sorting_gives(void) {
    for (size_t s = 0; s < sizeof SERIES / sizeof *SERIES; s++) {
        check_windows(SERIES[s], 900, 1, 1, CS_TAIL_LOWER, 0, 0);
        check_windows(SERIES[s], 900, 50, 1, CS_TAIL_LOWER, 0, 0);
        check_windows(SERIES[s], 1500, 250, 250, CS_TAIL_UPPER, -30, 0);
        check_windows(SERIES[s], 700, 128, 10, CS_TAIL_LOWER, 0, 1);
    }
}

static void wide_windows_too(void) {
    for (size_t s = 0; s < sizeof SERIES / sizeof *SERIES; s++)
        check_windows(SERIES[s], MOST, 2000, 1, CS_TAIL_LOWER, 0, s % 2 == 0);
}

static void very_large_and_very_small_outcomes_too(void) {
    check_windows(bell, 600, 60, 1, CS_TAIL_LOWER, 1000, 0);
    check_windows(bell, 600, 60, 1, CS_TAIL_LOWER, -1074, 0);
    check_windows(bell, 600, 60, 1, CS_TAIL_LOWER, -1000, 1);
    check_windows(bell, 600, 60, 1, CS_TAIL_LOWER, -900, 0);
}

static void infinite_outcomes_follow_the_rule(void) {
    double level = 0.5, es, var;
    size_t bytes = cs_window_size(4, 1);
    void *memory = reserved(bytes);
    cs_window *window;
    cs_window_init(memory, bytes, 4, &level, 1, CS_TAIL_LOWER, 1, &window);
    cs_window_push(window, INFINITY, &es, &var);
    CHECK(es == -INFINITY && var == -INFINITY);
    cs_window_push(window, -INFINITY, &es, &var);
    CHECK(es == INFINITY && var == INFINITY);
    cs_window_push(window, INFINITY, &es, &var);
    cs_window_push(window, INFINITY, &es, &var);
    CHECK(isnan(es) && var == -INFINITY);
    cs_window_push(window, 1.0, &es, &var);
    CHECK(es == INFINITY && var == -1.0);
    cs_window_push(window, 2.0, &es, &var);
    CHECK(es == -1.5 && var == -2.0);
    free(memory);
}

static void the_values_come_back_in_order(void) {
    double level = 0.9, values[4];
    size_t bytes = cs_window_size(4, 1);
    void *memory = reserved(bytes);
    cs_window *window;
    CHECK(cs_window_init(memory, bytes, 4, &level, 1, CS_TAIL_UPPER, 0, &window) == CS_OK);
    CHECK(cs_window_values(window, values) == 0);
    for (int i = 1; i <= 6; i++) cs_window_push(window, i, NULL, NULL);
    CHECK(cs_window_values(window, values) == 4);
    for (int i = 0; i < 4; i++) CHECK(values[i] == i + 3);
    cs_window_reset(window);
    CHECK(cs_window_values(window, values) == 0 && cs_window_count(window) == 0);
    CHECK(cs_window_push(window, 8.0, values, NULL) == CS_OK && values[0] == 8.0);
    free(memory);
}

static void bad_arguments_have_a_status(void) {
    double level = 0.9, bad = 1.0;
    size_t bytes = cs_window_size(10, 1);
    void *memory = reserved(bytes);
    cs_window *window;
    CHECK(cs_window_init(memory, bytes, 0, &level, 1, CS_TAIL_LOWER, 1, &window) == CS_EMPTY && window == NULL);
    CHECK(cs_window_init(memory, bytes, 10, &level, 0, CS_TAIL_LOWER, 1, &window) == CS_EMPTY);
    CHECK(cs_window_init(memory, bytes, 10, &bad, 1, CS_TAIL_LOWER, 1, &window) == CS_BAD_LEVEL);
    CHECK(cs_window_init(memory, bytes, 10, &level, 1, 2, 1, &window) == CS_BAD_TAIL);
    CHECK(cs_window_init(memory, bytes - 1, 10, &level, 1, CS_TAIL_LOWER, 1, &window) == CS_SMALL_WORKSPACE);
    CHECK(cs_window_init(NULL, bytes, 10, &level, 1, CS_TAIL_LOWER, 1, &window) == CS_SMALL_WORKSPACE);
    CHECK(strcmp(cs_status_message(CS_TOO_FEW), "the window holds too few outcomes") == 0);
    free(memory);
}

/* Windows over series: rising and falling lengths, jumps, and series that change under the kernel's hands. */
static void rolling_stays_within_its_memory(void) {
    int64_t *starts = reserved(MOST * sizeof *starts), *stops = reserved(MOST * sizeof *stops);
    for (int round = 0; round < 200; round++) {
        size_t n = 1 + random_below(MOST), longest = 0, bytes;
        double *x = reserved(n * sizeof *x), *es = reserved(2 * n * sizeof *es), *var = reserved(2 * n * sizeof *var);
        cs_outcomes outcomes = {x, NULL, n, random_below(2) << 63, 0};
        cs_windows windows = {0, NULL, NULL, 0, 1, 1, random_below(20)};
        void *memory;
        for (size_t i = 0; i < n; i++) x[i] = round % 3 || random_below(30) ? SERIES[round % 8](i) : (double)NAN;
        windows.count = n;
        if (round % 2) {
            windows.window = (int64_t)random_below(n + 3);
            windows.lead = (int64_t)random_below(5) - 2;
            longest = (size_t)windows.window < n ? (size_t)windows.window : n;
        } else {
            for (size_t j = 0; j < n; j++) {
                starts[j] = round % 4 ? (int64_t)random_below(n + 2) - 1 : (int64_t)(j / 2);
                stops[j] = round % 4 ? (int64_t)random_below(n + 2) - 1 : (int64_t)(j + random_below(3));
                if (stops[j] > starts[j] && (size_t)(stops[j] - starts[j]) > longest) longest = (size_t)(stops[j] - starts[j]);
            }
            if (longest > n) longest = n;
            windows.starts = starts;
            windows.stops = stops;
        }
        bytes = cs_candidates_size(longest, 2);
        memory = reserved(bytes);
        cs_init(isas[round % n_isas]);
        cs_active()->rolling(&outcomes, &windows, cs_candidates_create(memory, longest, LEVEL, 2), es, round % 3 ? var : NULL,
                             n);
        for (size_t k = 0; k < 20; k++) {
            size_t j = random_below(n), m = 0, a, b;
            double expected_es, expected_var, *present = reserved(n * sizeof *present);
            int64_t stop = windows.stops ? stops[j] : (int64_t)j + windows.lead;
            int64_t start = windows.starts ? starts[j] : stop - windows.window;
            a = start < 0 ? 0 : (size_t)start;
            b = stop < 0 ? 0 : (size_t)stop > n ? n : (size_t)stop;
            for (; a < b; a++)
                if (x[a] == x[a]) present[m++] = outcomes.flip ? -x[a] : x[a];
            expected_es = expected_var = (double)NAN;
            if (m && m >= windows.min_count) expect(present, m, LEVEL[1], 0, &expected_es, &expected_var);
            CHECK(same_bits(es[n + j], expected_es) || (isnan(es[n + j]) && isnan(expected_es)));
            free(present);
        }
        free(memory);
        free(var);
        free(es);
        free(x);
    }
    free(stops);
    free(starts);
}

/* Values of all sizes pass through; the sum of those that stay is exact. */
static void running_sums_do_not_drift(void) {
    static cs_rolling_sum sum;
    double held[64];
    for (int round = 0; round < 50; round++) {
        size_t n = 0;
        wide total = 0;
        rolling_sum_begin(&sum, 1000.0, 64);
        for (int step = 0; step < 5000; step++) {
            cs_sum pair;
            if (n == 64 || (n && random_below(2))) {
                size_t k = random_below(n);
                rolling_sum_take(&sum, held[k]);
                total -= (wide)held[k];
                held[k] = held[--n];
            } else {
                held[n] = random_below(100) ? bell(0) : ldexp(bell(0), (int)random_below(round + 1));
                rolling_sum_add(&sum, held[n]);
                total += (wide)held[n++];
            }
            CHECK(rolling_sum_read(&sum, &pair) && pair.err == 0.0 && (wide)pair.hi + (wide)pair.lo == total);
        }
    }
}

static void carries_are_resolved_in_time(void) {
    static cs_rolling_sum sum;
    cs_sum pair;
    rolling_sum_begin(&sum, 0.0, 1);
    for (int i = 0; i < 3000000; i++) {
        rolling_sum_add(&sum, 0x1.fffffffffffffp+20);
        if (i % 3) rolling_sum_take(&sum, 0x1.fffffffffffffp+20);
    }
    CHECK(rolling_sum_read(&sum, &pair));
    CHECK(pair.err == 0.0 && (wide)(pair.hi * 0x1p32) + (wide)(pair.lo * 0x1p32) == (wide)(0x1.fffffffffffffp+52) * 1000000);
}

int main(void) {
    for (size_t i = 0; cs_isa_name(i) != NULL; i++)
        if (cs_isa_available(cs_isa_name(i))) isas[n_isas++] = cs_isa_name(i);
    RUN(running_sums_do_not_drift);
    RUN(carries_are_resolved_in_time);
    RUN(every_push_is_what_sorting_gives);
    RUN(wide_windows_too);
    RUN(very_large_and_very_small_outcomes_too);
    RUN(infinite_outcomes_follow_the_rule);
    RUN(the_values_come_back_in_order);
    RUN(bad_arguments_have_a_status);
    RUN(rolling_stays_within_its_memory);
    return report();
}
