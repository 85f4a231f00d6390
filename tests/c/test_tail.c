/* The public functions on every instruction set of the machine against sorting and integer arithmetic: whole outcomes
 * times a power of two, so that the reference is exact and rounds once. Workspaces have exactly the size asked for. */
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "cshortfall.h"
#include "kernels.h"
#include "rational.h"
#include "target.h"

enum { LEVELS = 12, SIZE_MOST = 300, MOST = 20000 };

/* All are multiples of 2^-56. */
static const double LEVEL[LEVELS] = {0.975, 0.0,   0x1p-56, 0x1.fffffffffffffp-1, 0.95, 0.99, 0.5, 0.9, 0.75,
                                     0.999, 0x1p-53, 0.0703125};

static const char *isas[8];
static size_t n_isas;

typedef struct {
    int64_t x, w;
} outcome;

static int by_value(const void *a, const void *b) {
    int64_t x = ((const outcome *)a)->x, y = ((const outcome *)b)->x;
    return (x > y) - (x < y);
}

/* Whole outcomes and weights (NULL: ones), sorted; es and var are those of the outcomes times 2^scale. */
static int expect_sorted(const outcome *sorted, size_t n, double level, int scale, double *es, double *var) {
    const wide one = (wide)1 << 56;
    wide units = (wide)ldexp(level, 56), weight = 0, below = 0, sum = 0, target;
    for (size_t i = 0; i < n; i++) weight += sorted[i].w;
    if (weight == 0) return CS_ZERO_WEIGHT;
    target = weight * (one - units);
    for (size_t i = 0, next; i < n; i = next) {
        wide group = 0, off;
        for (next = i; next < n && sorted[next].x == sorted[i].x; next++) group += sorted[next].w;
        if (group == 0) continue;
        off = (below + group) * one - target;
        if (off >= 0 || -off <= weight * 8) {
            if (off >= 0 ? off <= weight * 8 : 1) target = (below + group) * one;
            *var = 0.0 - ldexp((double)sorted[i].x, scale);
            *es = 0.0 - rational_round(sum * one + (target - below * one) * sorted[i].x, target, scale);
            return CS_OK;
        }
        below += group;
        sum += group * sorted[i].x;
    }
    return CS_EMPTY;
}

/* The tail count of outcomes without weights is within n 2^-53 of whole numbers, not only of the ends of groups. */
static void expect_unweighted(const outcome *sorted, size_t n, double level, int scale, double *es, double *var) {
    const wide one = (wide)1 << 56;
    wide units = (wide)ldexp(level, 56), count = (wide)n * (one - units), sum = 0;
    wide nearest = (count + one / 2) / one, off = nearest * one - count;
    size_t rank, below = 0;
    if (nearest >= 1 && (off < 0 ? -off : off) <= (wide)n * 8) count = nearest * one;
    rank = (size_t)((count + one - 1) / one);
    while (below < rank - 1) sum += sorted[below++].x;
    *var = 0.0 - ldexp((double)sorted[rank - 1].x, scale);
    *es = 0.0 - rational_round(sum * one + (count - (wide)below * one) * sorted[rank - 1].x, count, scale);
}

static void *reserved(size_t bytes) {
    void *p = malloc(bytes);
    if (!p) abort();
    return p;
}

static double scaled(int64_t v, int scale) { return ldexp((double)v, scale); }

/* How many outcomes have weight, if they all have the same; they are moved to the front in their order. 0: unequal. */
static size_t equal_weights(const outcome *sorted, size_t n, outcome *present) {
    size_t m = 0;
    for (size_t i = 0; i < n; i++)
        if (sorted[i].w != 0) present[m++] = sorted[i];
    for (size_t i = 1; i < m; i++)
        if (present[i].w != present[0].w) return 0;
    return m;
}

/* Both tails, one level and all at once, double and, where they are exact, float, on every instruction set. */
static void check_outcomes(const outcome *given, size_t n, int scale, int weighted) {
    size_t bytes = (weighted ? cs_weighted_workspace_size : cs_workspace_size)(n, LEVELS);
    size_t bytes_one = (weighted ? cs_weighted_workspace_size : cs_workspace_size)(n, 1);
    void *workspace = reserved(bytes), *workspace_one = reserved(bytes_one);
    double *x = reserved(n * sizeof *x), *w = reserved(n * sizeof *w);
    float *f = reserved(n * sizeof *f);
    outcome *sorted = reserved(n * sizeof *sorted), *present = reserved(n * sizeof *present);
    int as_float = 1;
    for (int tail = CS_TAIL_LOWER; tail <= CS_TAIL_UPPER; tail++) {
        double es[LEVELS], var[LEVELS], expected_es[LEVELS], expected_var[LEVELS];
        int expected = CS_OK;
        for (size_t i = 0; i < n; i++) {
            x[i] = scaled(given[i].x, scale);
            f[i] = fabs(x[i]) <= FLT_MAX ? (float)x[i] : 0.0f;
            as_float = as_float && (double)f[i] == x[i];
            w[i] = (double)given[i].w;
            sorted[i] = given[i];
            if (tail == CS_TAIL_UPPER) sorted[i].x = -sorted[i].x;
        }
        qsort(sorted, n, sizeof *sorted, by_value);
        for (size_t k = 0; k < LEVELS; k++) {
            size_t m = weighted ? equal_weights(sorted, n, present) : 0;
            if (m)
                expect_unweighted(present, m, LEVEL[k], scale, &expected_es[k], &expected_var[k]);
            else if (weighted)
                expected = expect_sorted(sorted, n, LEVEL[k], scale, &expected_es[k], &expected_var[k]);
            else
                expect_unweighted(sorted, n, LEVEL[k], scale, &expected_es[k], &expected_var[k]);
        }
        for (size_t isa = 0; isa < n_isas; isa++) {
            cs_init(isas[isa]);
            for (int is_float = 0; is_float <= as_float; is_float++) {
                int status;
                if (weighted)
                    status = is_float ? cs_es_var_weighted_f32(f, w, n, LEVEL, LEVELS, tail, workspace, bytes, es, var)
                                      : cs_es_var_weighted(x, w, n, LEVEL, LEVELS, tail, workspace, bytes, es, var);
                else
                    status = is_float ? cs_es_var_levels_f32(f, n, LEVEL, LEVELS, tail, workspace, bytes, es, var)
                                      : cs_es_var_levels(x, n, LEVEL, LEVELS, tail, workspace, bytes, es, var);
                CHECK(status == expected);
                for (size_t k = 0; k < LEVELS && status == CS_OK; k++) {
                    int same = same_bits(es[k], expected_es[k]) && same_bits(var[k], expected_var[k]);
                    CHECK(same);
                    if (!same && broken <= 20)
                        fprintf(stderr, "%s n=%zu level=%.17g tail=%d float=%d weighted=%d scale=%d: es %a, not %a; var %a, not %a\n",
                                isas[isa], n, LEVEL[k], tail, is_float, weighted, scale, es[k], expected_es[k], var[k],
                                expected_var[k]);
                }
            }
            for (size_t k = n % LEVELS, end = k + 2; k < end && expected == CS_OK; k++) {
                double one_es, one_var, level = LEVEL[k % LEVELS];
                int status = weighted ? cs_es_var_weighted(x, w, n, &level, 1, tail, workspace_one, bytes_one, &one_es, &one_var)
                                      : cs_es_var(x, n, level, tail, workspace_one, bytes_one, &one_es, &one_var);
                CHECK(status == CS_OK && same_bits(one_es, expected_es[k % LEVELS]));
                CHECK(same_bits(one_var, expected_var[k % LEVELS]));
                if (!weighted && as_float) {
                    status = cs_es_var_f32(f, n, level, tail, workspace_one, bytes_one, &one_es, &one_var);
                    CHECK(status == CS_OK && same_bits(one_es, expected_es[k % LEVELS]));
                }
            }
        }
    }
    cs_init(NULL);
    free(workspace);
    free(workspace_one);
    free(x);
    free(w);
    free(f);
    free(present);
    free(sorted);
}

/* Named sets of whole outcomes. */
enum { RANDOM, FEW_VALUES, CONSTANT, ASCENDING, DESCENDING, ORGAN_PIPE, SAW, HEAVY, TWO_VALUES, SETS };

static int64_t outcome_of(int set, size_t i, size_t n) {
    switch (set) {
    case FEW_VALUES: return (int64_t)random_below(5) - 2;
    case CONSTANT: return -7;
    case ASCENDING: return (int64_t)i - (int64_t)n / 2;
    case DESCENDING: return (int64_t)n / 2 - (int64_t)i;
    case ORGAN_PIPE: return (int64_t)(i < n - i ? i : n - i) - 5;
    case SAW: return (int64_t)(i % 37) - 18;
    case HEAVY: return ((int64_t)(random_bits() >> 44) - (1 << 19)) >> random_below(19);
    case TWO_VALUES: return random_below(40) ? 1 : -1;
    default: return (int64_t)random_below(1 << 20) - (1 << 19);
    }
}

enum { ONES, EQUAL, MIXED, DOMINATED, RARE, WEIGHT_SETS };

static int64_t weight_of(int set, size_t i, size_t n) {
    switch (set) {
    case EQUAL: return 12345;
    case MIXED: return (int64_t)random_below(1000);
    case DOMINATED: return i == n / 3 ? 1 << 30 : 1 + (int64_t)random_below(3);
    case RARE: return random_below(8) ? 0 : 1 + (int64_t)random_below(100);
    default: return 1;
    }
}

static void check_set(size_t n, int set, int weight_set, int scale) {
    outcome *given = reserved(n * sizeof *given);
    for (size_t i = 0; i < n; i++) {
        given[i].x = outcome_of(set, i, n);
        given[i].w = weight_of(weight_set, i, n);
    }
    if (weight_set == ONES) check_outcomes(given, n, scale, 0);
    check_outcomes(given, n, scale, 1);
    free(given);
}

static void test_every_small_size(void) {
    for (size_t n = 1; n <= SIZE_MOST; n++) {
        check_set(n, (int)(n % SETS), ONES, 0);
        check_set(n, RANDOM, ONES, -10);
        check_set(n, (int)(n / SETS % SETS), (int)(n % WEIGHT_SETS), 0);
    }
}

static void test_every_set_at_larger_sizes(void) {
    static const size_t sizes[] = {513, 1000, 4095, 4096, 4097, 10007};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
        for (int set = 0; set < SETS; set++) {
            check_set(sizes[k], set, ONES, 0);
            check_set(sizes[k], set, 1 + (int)((k + (size_t)set) % (WEIGHT_SETS - 1)), 0);
        }
}

static void test_weights_of_every_kind(void) {
    for (int set = 0; set < SETS; set++)
        for (int weights = 0; weights < WEIGHT_SETS; weights++) {
            check_set(137, set, weights, 0);
            check_set(2000, set, weights, 0);
        }
}

static void test_beyond_the_caches(void) {
    check_set(300001, RANDOM, ONES, 0);
    check_set(300001, HEAVY, MIXED, 0);
}

/* Subnormal outcomes, sums that overflow and everything between, by powers of two. */
static void test_scales(void) {
    static const int scales[] = {-1074, -1050, -1022, -970, -900, -300, 300, 900, 1003, 1004};
    for (size_t k = 0; k < sizeof scales / sizeof *scales; k++) {
        check_set(40, RANDOM, ONES, scales[k]);
        check_set(259, HEAVY, MIXED, scales[k]);
        check_set(1500, RANDOM, ONES, scales[k]);
        check_set(1500, FEW_VALUES, DOMINATED, scales[k]);
    }
}

/* Sums of an odd number of halves of the last place, and terms that cancel. */
static void test_midpoints_and_cancellation(void) {
    outcome given[64];
    for (int round = 0; round < 300; round++) {
        size_t n = (size_t)1 << (1 + random_below(6));
        int64_t big = ((int64_t)1 << 52) + (int64_t)random_below(1 << 20), rest = (int64_t)random_below(5) - 2;
        for (size_t i = 0; i < n; i += 2) {
            given[i] = (outcome){big + (int64_t)random_below(4), 1};
            given[i + 1] = (outcome){(round % 2 ? -given[i].x : given[i].x + 1) + (i == 0 ? rest : 0), 1};
        }
        check_outcomes(given, n, -52, 0);
        check_outcomes(given, n, round % 3 ? -1074 : 960, 0);
    }
}

/* Weights times a power of two change nothing, to the last bit. */
static void test_weights_of_any_scale(void) {
    enum { N = 700 };
    static const int scales[] = {-1074, -1000, -500, 500, 980, 1003};
    double x[N], w[N], v[N], es[LEVELS], var[LEVELS], first_es[LEVELS], first_var[LEVELS];
    size_t bytes = cs_weighted_workspace_size(N, LEVELS);
    void *workspace = reserved(bytes);
    for (size_t i = 0; i < N; i++) {
        x[i] = ldexp((double)(int64_t)random_bits(), -60);
        w[i] = (double)random_below(1u << 20);
    }
    CHECK(cs_es_var_weighted(x, w, N, LEVEL, LEVELS, CS_TAIL_LOWER, workspace, bytes, first_es, first_var) == CS_OK);
    for (size_t k = 0; k < sizeof scales / sizeof *scales; k++)
        for (size_t isa = 0; isa < n_isas; isa++) {
            cs_init(isas[isa]);
            for (size_t i = 0; i < N; i++) v[i] = ldexp(w[i], scales[k]);
            CHECK(cs_es_var_weighted(x, v, N, LEVEL, LEVELS, CS_TAIL_LOWER, workspace, bytes, es, var) == CS_OK);
            CHECK(memcmp(es, first_es, sizeof es) == 0 && memcmp(var, first_var, sizeof var) == 0);
        }
    free(workspace);
}

/* One weight holds nearly everything and the tail is what others weigh: C = W (1 - level) is a difference whose low part
 * is as large as its high part. */
static void test_tails_of_the_smallest_weights(void) {
    enum { N = 30 };
    outcome given[N];
    for (int round = 0; round < 3000; round++) {
        size_t n = 2 + random_below(N - 1);
        for (size_t i = 0; i < n; i++) given[i] = (outcome){(int64_t)random_below(1000) - 500, 1 + (int64_t)random_below(4)};
        given[random_below(n)] = (outcome){600, ((int64_t)1 << 53) + (int64_t)random_below((uint64_t)1 << 52) * 2};
        check_outcomes(given, n, 0, 1);
    }
}

/* Tiny levels with subnormal outcomes and weights reach the lowest words of the accumulator. */
static void test_tiny_levels_with_subnormal_numbers(void) {
    const double levels[] = {0x1p-1074, 1e-300, 1e-40, 1e-17, 0x1p-53, 0x1.8p-53, 1e-15, 0x1.fffffffffffffp-20};
    double x[200], w[200], es[8], var[8], expected[8];
    size_t bytes = cs_weighted_workspace_size(200, 8);
    void *workspace = reserved(bytes);
    for (size_t i = 0; i < 200; i++) {
        x[i] = ldexp((double)random_below(1000), -1074);
        w[i] = ldexp((double)(1 + random_below(7)), -1074);
    }
    for (size_t isa = 0; isa < n_isas; isa++) {
        cs_init(isas[isa]);
        CHECK(cs_es_var_weighted(x, w, 200, levels, 8, CS_TAIL_LOWER, workspace, bytes, es, var) == CS_OK);
        if (isa == 0) memcpy(expected, es, sizeof es);
        CHECK(memcmp(es, expected, sizeof es) == 0);
        CHECK(es[0] == es[1] && es[1] == es[2] && es[2] == es[3] && es[3] == es[4]);
    }
    free(workspace);
}

static void test_missing_outcomes_are_found_anywhere(void) {
    static const size_t sizes[] = {1, 2, 7, 8, 31, 64, 65, 127, 128, 129, 300, 1000, 5000};
    const double levels[] = {0.975, 0.5, 0.0, 0x1.fffffffffffffp-1};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        size_t n = sizes[k], bytes = cs_weighted_workspace_size(n, 4), stride = n <= 300 ? 1 : 97;
        void *workspace = reserved(bytes);
        double *x = reserved(n * sizeof *x), *w = reserved(n * sizeof *w), es[4], var[4];
        float *f = reserved(n * sizeof *f);
        for (size_t i = 0; i < n; i++) {
            x[i] = (double)(int64_t)random_bits();
            f[i] = (float)x[i];
            w[i] = 1.0 + (double)(i % 3);
        }
        for (size_t i = 0; i < n; i += stride) {
            double kept = x[i];
            float kept_f = f[i];
            x[i] = i % 2 ? NAN : -NAN;
            f[i] = (float)x[i];
            for (size_t isa = 0; isa < n_isas; isa++) {
                int tail = (int)(i + isa) % 2;
                cs_init(isas[isa]);
                CHECK(cs_es_var_levels(x, n, levels, 4, tail, workspace, bytes, es, var) == CS_NAN);
                CHECK(isnan(es[0]) && isnan(var[3]));
                CHECK(cs_es_var_levels_f32(f, n, levels, 4, tail, workspace, bytes, es, var) == CS_NAN);
                CHECK(cs_es_var(x, n, levels[i % 4], tail, workspace, bytes, es, var) == CS_NAN);
                CHECK(cs_es_var_weighted(x, w, n, levels + i % 4, 1, tail, workspace, bytes, es, var) == CS_NAN);
                CHECK(cs_es_var_weighted_f32(f, w, n, levels, 4, tail, workspace, bytes, es, var) == CS_NAN);
                if (n > 1) {
                    double weight = w[i];
                    w[i] = 0.0;
                    CHECK(cs_es_var_weighted(x, w, n, levels, 4, tail, workspace, bytes, es, var) == CS_OK);
                    CHECK(isfinite(es[0]) && isfinite(es[2]));
                    w[i] = weight;
                }
            }
            x[i] = kept;
            f[i] = kept_f;
        }
        free(workspace);
        free(x);
        free(w);
        free(f);
    }
}

static void test_infinite_outcomes_are_data(void) {
    static const size_t sizes[] = {5, 100, 300, 3000};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
        for (int weighted = 0; weighted < 2; weighted++)
            for (size_t isa = 0; isa < n_isas; isa++) {
                size_t n = sizes[k], bytes = cs_weighted_workspace_size(n, 1);
                void *workspace = reserved(bytes);
                double *x = reserved(n * sizeof *x), *w = reserved(n * sizeof *w), es, var, level[] = {0.6, 0.0};
                cs_init(isas[isa]);
                for (size_t i = 0; i < n; i++) {
                    x[i] = (double)(int64_t)random_bits();
                    w[i] = 1.0;
                }
#define ES_VAR(l)                                                                                            \
    (weighted ? cs_es_var_weighted(x, w, n, l, 1, CS_TAIL_LOWER, workspace, bytes, &es, &var)                \
              : cs_es_var(x, n, *(l), CS_TAIL_LOWER, workspace, bytes, &es, &var))
                x[n / 2] = -INFINITY;
                CHECK(ES_VAR(level) == CS_OK && es == INFINITY && isfinite(var));
                x[n / 3] = INFINITY;
                CHECK(ES_VAR(level) == CS_OK && es == INFINITY && isfinite(var));
                CHECK(ES_VAR(level + 1) == CS_OK && isnan(es) && var == -INFINITY);
                x[n / 2] = 1.0;
                CHECK(ES_VAR(level) == CS_OK && isfinite(es) && isfinite(var));
                CHECK(ES_VAR(level + 1) == CS_OK && es == -INFINITY && var == -INFINITY);
                for (size_t i = 0; i < n; i++) x[i] = -INFINITY;
                CHECK(ES_VAR(level) == CS_OK && es == INFINITY && var == INFINITY);
                for (size_t i = 0; i < n; i++) x[i] = INFINITY;
                CHECK(ES_VAR(level) == CS_OK && es == -INFINITY && var == -INFINITY);
#undef ES_VAR
                free(workspace);
                free(x);
                free(w);
            }
}

static void test_zeros_are_positive(void) {
    double x[600], w[600], es, var, level = 0.5;
    size_t bytes = cs_weighted_workspace_size(600, 1);
    void *workspace = reserved(bytes);
    for (size_t i = 0; i < 600; i++) {
        x[i] = i % 3 ? -0.0 : 0.0;
        w[i] = 1.0;
    }
    for (size_t isa = 0; isa < n_isas; isa++)
        for (size_t n = 1; n <= 600; n = n < 140 ? n + 1 : n + 92)
            for (int tail = 0; tail < 2; tail++) {
                cs_init(isas[isa]);
                CHECK(cs_es_var(x, n, level, tail, workspace, bytes, &es, &var) == CS_OK);
                CHECK(same_bits(es, 0.0) && same_bits(var, 0.0));
                CHECK(cs_es_var_weighted(x, w, n, &level, 1, tail, workspace, bytes, &es, &var) == CS_OK);
                CHECK(same_bits(es, 0.0) && same_bits(var, 0.0));
            }
    free(workspace);
}

/* Outcomes of any exponent: one set of bits, whatever the order, the instruction set and the neighbours among levels. */
static void test_order_and_instruction_set_change_no_bit(void) {
    for (int round = 0; round < 60; round++) {
        size_t n = 1 + random_below(round % 5 ? 400 : MOST), bytes = cs_weighted_workspace_size(n, LEVELS);
        double *x = reserved(n * sizeof *x), *w = reserved(n * sizeof *w);
        double es[LEVELS], var[LEVELS], first_es[LEVELS], first_var[LEVELS];
        void *workspace = reserved(bytes);
        int range = round % 3 ? 20 : 900;
        for (int weighted = 0; weighted < 2; weighted++) {
            for (size_t i = 0; i < n; i++) {
                x[i] = ldexp((double)(int64_t)random_bits(), (int)random_below((uint64_t)range) - range / 2 - 63);
                w[i] = ldexp((double)(random_bits() >> 12), (int)random_below((uint64_t)range) - range / 2);
            }
            for (size_t isa = 0; isa < 2 * n_isas; isa++) {
                int status;
                cs_init(isas[isa % n_isas]);
                for (size_t i = n; i > 1 && isa; i--) {
                    size_t k = random_below(i);
                    double v = x[i - 1], u = w[i - 1];
                    x[i - 1] = x[k];
                    w[i - 1] = w[k];
                    x[k] = v;
                    w[k] = u;
                }
                status = weighted ? cs_es_var_weighted(x, w, n, LEVEL, LEVELS, CS_TAIL_LOWER, workspace, bytes, es, var)
                                  : cs_es_var_levels(x, n, LEVEL, LEVELS, CS_TAIL_LOWER, workspace, bytes, es, var);
                CHECK(status == CS_OK);
                if (isa == 0) {
                    memcpy(first_es, es, sizeof es);
                    memcpy(first_var, var, sizeof var);
                }
                CHECK(memcmp(es, first_es, sizeof es) == 0 && memcmp(var, first_var, sizeof var) == 0);
            }
        }
        free(x);
        free(w);
        free(workspace);
    }
}

/* However little scratch is left behind what was kept, nothing is written beyond it and the result is the same. */
static void test_scratch_that_runs_short(void) {
    enum { N = 1500 };
    outcome sorted[N];
    double x[N];
    for (int set = 0; set < SETS; set++) {
        for (size_t i = 0; i < N; i++) {
            sorted[i] = (outcome){outcome_of(set, i, N), 1};
            x[i] = (double)sorted[i].x;
        }
        qsort(sorted, N, sizeof *sorted, by_value);
        for (size_t capacity = 64; capacity < 3 * N; capacity += capacity < 700 ? 31 : 211) {
            double *scratch = reserved((capacity + CS_SCRATCH_MARGIN) * sizeof *scratch);
            for (size_t isa = 0; isa < n_isas; isa++) {
                cs_outcomes outcomes = {x, NULL, N, 0, 0};
                cs_target targets[LEVELS];
                cs_tail results[LEVELS];
                cs_init(isas[isa]);
                for (size_t k = 0; k < LEVELS; k++) targets[k] = cs_target_of(LEVEL[k], N);
                CHECK(cs_active()->tail(&outcomes, targets, LEVELS, scratch, capacity, results) == CS_OK);
                for (size_t k = 0; k < LEVELS; k++) {
                    double es, var;
                    expect_unweighted(sorted, N, LEVEL[k], 0, &es, &var);
                    CHECK(same_bits(results[k].es, es) && same_bits(results[k].var, var));
                }
            }
            free(scratch);
        }
    }
}

/* Rows of any length, whatever comes next and however much of it: the result is that of the row alone, and no line beyond
 * those given is asked for. */
static void test_fetching_ahead_shows_in_no_result(void) {
    enum { N = 3000 };
    double *x = reserved(2 * N * sizeof *x), *scratch = reserved(cs_scratch_size(N, 0) * sizeof *scratch);
    for (size_t i = 0; i < 2 * N; i++) x[i] = (double)random_below(1 << 20);
    for (size_t n = 1; n <= N; n += n < 40 ? 1 : 37)
        for (size_t lines = 0; lines <= n / 8; lines += 1 + n / 24)
            for (size_t isa = 0; isa < n_isas; isa++) {
                cs_ahead ahead = {(const char *)(x + n), lines, 1 + lines / 8};
                cs_outcomes alone = {x, NULL, n, 0, 0}, followed = {x, &ahead, n, 0, 0};
                cs_target target = cs_target_of(0.975, n);
                cs_tail expected, result;
                cs_init(isas[isa]);
                CHECK(cs_active()->tail(&alone, &target, 1, scratch, cs_scratch_size(n, 0) - CS_SCRATCH_MARGIN,
                                        &expected) == CS_OK);
                CHECK(cs_active()->tail(&followed, &target, 1, scratch, cs_scratch_size(n, 0) - CS_SCRATCH_MARGIN,
                                        &result) == CS_OK);
                CHECK(same_bits(result.es, expected.es) && same_bits(result.var, expected.var));
                CHECK(ahead.lines <= lines && ahead.at == (const char *)(x + n) + 64 * (lines - ahead.lines));
            }
    free(x);
    free(scratch);
}

/* Long weighted rows of few values, or whose weight lies where no sample looks, take brackets, pivots and sorts. */
static void test_weighted_rows_that_brackets_miss(void) {
    enum { N = 20000 };
    outcome *given = reserved(N * sizeof *given);
    for (int kind = 0; kind < 6; kind++) {
        for (size_t i = 0; i < N; i++) {
            int tail = i * 40 < N;
            int64_t v = kind == 0   ? (tail ? -1 : 1)
                        : kind == 1 ? (int64_t)random_below(3)
                        : kind == 2 ? (tail ? -2 : (int64_t)i % 2)
                                    : (int64_t)random_below(1 << 20);
            int64_t w = kind == 3   ? (i % 5000 == 77 ? 1 << 24 : 1)
                        : kind == 4 ? (int64_t)(i % 1000 == 3)
                        : kind == 5 ? (i < N / 2 ? 0 : 1 + (int64_t)random_below(9))
                                    : 1;
            given[i] = (outcome){v, w};
        }
        check_outcomes(given, N, 0, 1);
    }
    free(given);
}

/* A total weight beyond the doubles, and hosts of outcomes whose weights decide nothing. */
static void test_weights_that_no_bound_can_compare(void) {
    enum { N = 20000 };
    double *x = reserved(N * sizeof *x), *w = reserved(N * sizeof *w), es, var, level[] = {0.5, 0.5 - 0x1p-53};
    size_t bytes = cs_weighted_workspace_size(N, 1);
    void *workspace = reserved(bytes);
    for (size_t i = 0; i < N; i++) {
        x[i] = (double)((i * 7919) % N);
        w[i] = 1e308;
    }
    CHECK(cs_es_var_weighted(x, w, N, level, 1, CS_TAIL_LOWER, workspace, bytes, &es, &var) == CS_OK);
    CHECK(var == -(N / 2 - 1.0) && es == -(N / 2 - 1.0) / 2);
    for (size_t i = 0; i < N; i++) {
        x[i] = (double)i;
        w[i] = i == 0 || i == N - 1 ? 1.0 : 1e-300;
    }
    CHECK(cs_es_var_weighted(x, w, N, level + 1, 1, CS_TAIL_LOWER, workspace, bytes, &es, &var) == CS_OK);
    CHECK(var < -1.0 && var > -(N - 1.0));
    free(x);
    free(w);
    free(workspace);
}

static void test_every_bad_argument_has_its_status(void) {
    const double x[] = {1.0, -2.0, 3.0}, w[] = {1.0, 1.0, 1.0}, level = 0.5;
    const double bad_levels[] = {-0x1p-1074, 1.0, 2.0, 97.5, NAN, INFINITY, -INFINITY};
    const double bad_weights[] = {-1.0, NAN, -NAN, INFINITY, -INFINITY, -0x1p-1074};
    size_t bytes = cs_workspace_size(3, 1), weighted_bytes = cs_weighted_workspace_size(3, 1);
    void *workspace = reserved(weighted_bytes);
    double es = 0.0, var = 0.0;
    for (size_t i = 0; i < sizeof bad_levels / sizeof *bad_levels; i++) {
        es = var = 0.0;
        CHECK(cs_es_var(x, 3, bad_levels[i], CS_TAIL_LOWER, workspace, bytes, &es, &var) == CS_BAD_LEVEL);
        CHECK(isnan(es) && isnan(var));
    }
    CHECK(cs_es_var(x, 3, level, 2, workspace, bytes, &es, &var) == CS_BAD_TAIL);
    CHECK(cs_es_var(x, 3, level, -1, workspace, bytes, &es, &var) == CS_BAD_TAIL);
    CHECK(cs_es_var(x, 0, level, CS_TAIL_LOWER, workspace, bytes, &es, &var) == CS_EMPTY && isnan(es));
    CHECK(cs_es_var_levels(x, 3, &level, 0, CS_TAIL_LOWER, workspace, bytes, &es, &var) == CS_EMPTY);
    CHECK(cs_es_var(x, 3, level, CS_TAIL_LOWER, NULL, bytes, &es, &var) == CS_SMALL_WORKSPACE && isnan(es));
    CHECK(cs_es_var(x, 3, level, CS_TAIL_LOWER, workspace, bytes - 1, &es, &var) == CS_SMALL_WORKSPACE);
    CHECK(cs_es_var_weighted(x, w, 3, &level, 1, CS_TAIL_LOWER, workspace, weighted_bytes - 1, &es, &var) ==
          CS_SMALL_WORKSPACE);
    CHECK(cs_es_var(x, 3, level, CS_TAIL_LOWER, workspace, bytes, NULL, NULL) == CS_OK);
    CHECK(cs_es_var(x, 3, level, CS_TAIL_LOWER, workspace, bytes, NULL, &var) == CS_OK && var == -1.0);
    for (size_t isa = 0; isa < n_isas; isa++) {
        cs_init(isas[isa]);
        for (size_t n = 1; n < 70; n += 4) {
            double y[70], v[70];
            size_t room = cs_weighted_workspace_size(n, 1);
            void *space = reserved(room);
            for (size_t i = 0; i < n; i++) y[i] = (double)i, v[i] = 1.0;
            for (size_t i = 0; i < n; i++)
                for (size_t k = 0; k < sizeof bad_weights / sizeof *bad_weights; k++) {
                    v[i] = bad_weights[k];
                    CHECK(cs_es_var_weighted(y, v, n, &level, 1, CS_TAIL_LOWER, space, room, &es, &var) == CS_BAD_WEIGHT);
                    v[i] = 1.0;
                }
            for (size_t i = 0; i < n; i++) v[i] = i % 2 ? 0.0 : -0.0;
            CHECK(cs_es_var_weighted(y, v, n, &level, 1, CS_TAIL_LOWER, space, room, &es, &var) == CS_ZERO_WEIGHT);
            CHECK(isnan(es) && isnan(var));
            free(space);
        }
    }
    free(workspace);
}

static void test_statuses_have_messages(void) {
    for (int status = CS_OK; status <= CS_TOO_FEW; status++)
        for (int other = CS_OK; other < status; other++)
            CHECK(strcmp(cs_status_message(status), cs_status_message(other)) != 0);
    CHECK(strcmp(cs_status_message(-1), "unknown status") == 0);
    CHECK(strcmp(cs_status_message(CS_TOO_FEW + 1), "unknown status") == 0);
    CHECK(cs_api_version() == CSHORTFALL_API_VERSION);
}

int main(void) {
    for (size_t i = 0; cs_isa_name(i) != NULL; i++)
        if (cs_isa_available(cs_isa_name(i))) isas[n_isas++] = cs_isa_name(i);
    RUN(test_every_small_size);
    RUN(test_every_set_at_larger_sizes);
    RUN(test_weights_of_every_kind);
    RUN(test_beyond_the_caches);
    RUN(test_scales);
    RUN(test_midpoints_and_cancellation);
    RUN(test_weights_of_any_scale);
    RUN(test_tails_of_the_smallest_weights);
    RUN(test_tiny_levels_with_subnormal_numbers);
    RUN(test_missing_outcomes_are_found_anywhere);
    RUN(test_infinite_outcomes_are_data);
    RUN(test_zeros_are_positive);
    RUN(test_order_and_instruction_set_change_no_bit);
    RUN(test_scratch_that_runs_short);
    RUN(test_fetching_ahead_shows_in_no_result);
    RUN(test_weighted_rows_that_brackets_miss);
    RUN(test_weights_that_no_bound_can_compare);
    RUN(test_every_bad_argument_has_its_status);
    RUN(test_statuses_have_messages);
    return report();
}
