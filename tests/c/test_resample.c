/* Portable elementary functions, moments and bootstrap replicates against long double arithmetic, closed forms and
 * recorded bits. The bits were recorded from another build (-O3): they hold for any compiler, flags and machine. */
#undef NDEBUG
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cshortfall.h"
#include "elementary.h"
#include "kernels.h"
#include "moments.h"
#include "resample.h"

enum { N = 1000 };

static const uint64_t KEY[4] = {1, 2, 3, 4};

/* A deterministic sample, rough enough for tests: the golden ratio's multiples through a steep odd function. */
static double sample_value(size_t i) {
    const double u = fmod((double)(i + 1) * 0.6180339887498949, 1.0) - 0.5;
    return u / (0.51 - fabs(u));
}

static void fill_sample(double *x, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] = sample_value(i);
}

static int descending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

static double ulps(double value, long double exact) {
    const double nearest = (double)exact;
    const double unit = nextafter(fabs(nearest), INFINITY) - fabs(nearest);
    return (double)(fabsl((long double)value - exact) / unit);
}

static int close_to(double value, long double expected, double relative) {
    return fabsl((long double)value - expected) <= relative * fabsl(expected) + 1e-300L;
}

static void test_logarithm_and_exponential_are_within_one_ulp(void) {
    double worst_log = 0.0, worst_log1p = 0.0, worst_exp = 0.0;
    for (int i = 1; i < 200000; i++) {
        const double spread = ldexp(1.0 + fmod(i * 0.6180339887498949, 1.0), i % 2040 - 1020);
        const double near_one = 0.5 + i * 1e-5;
        const double x = -708.0 + i * (1417.7 / 200000);
        const double small = ldexp(1.0 + fmod(i * 0.6180339887498949, 1.0), i % 90 - 80);
        worst_log = fmax(worst_log, fmax(ulps(cs_log(spread), logl(spread)), ulps(cs_log(near_one), logl(near_one))));
        worst_log1p = fmax(worst_log1p, ulps(cs_log1p(small), log1pl(small)));
        worst_exp = fmax(worst_exp, ulps(cs_exp(x), expl(x)));
    }
    assert(worst_log < 1.0 && worst_log1p < 2.0 && worst_exp < 1.0);
    assert(cs_log(1.0) == 0.0 && cs_log1p(0.0) == 0.0 && cs_exp(0.0) == 1.0);
}

static void test_exponential_at_the_ends(void) {
    assert(cs_exp(INFINITY) == INFINITY && cs_exp(-INFINITY) == 0.0 && isnan(cs_exp(NAN)));
    assert(cs_exp(709.79) == INFINITY && isfinite(cs_exp(709.78)) && cs_exp(-708.1) == 0.0 && cs_exp(-707.9) > 0.0);
}

static void test_moments_match_long_double(void) {
    static const size_t sizes[] = {2, 7, 8, 9, 250, N};
    double x[N], weights[N], out[4];
    fill_sample(x, N);
    for (size_t i = 0; i < N; i++) weights[i] = 1.0 + (double)(i % 5);
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        for (int weighted = 0; weighted < 2; weighted++) {
            long double total = 0, mean = 0, m[5] = {0};
            for (size_t i = 0; i < sizes[k]; i++) {
                total += weighted ? weights[i] : 1.0;
                mean += (weighted ? weights[i] : 1.0L) * x[i];
            }
            mean /= total;
            for (size_t i = 0; i < sizes[k]; i++)
                for (int power = 2; power < 5; power++)
                    m[power] += (weighted ? weights[i] : 1.0L) * powl(x[i] - mean, power) / total;
            cs_moments(x, sizes[k], weighted ? weights : NULL, out);
            assert(fabsl(out[0] - mean) < 1e-15L * sqrtl(m[2]));
            assert(close_to(out[1], sqrtl(m[2]), 1e-15));
            assert(fabsl(out[2] - m[3] / (m[2] * sqrtl(m[2]))) < 1e-13L);
            assert(close_to(out[3] + 3.0, m[4] / (m[2] * m[2]), 1e-14));
        }
    }
}

static void test_moments_of_extreme_samples(void) {
    const double scales[] = {0x1p-1060, 0x1p-600, 0x1p600, 0x1p1015};
    double x[100], scaled[100], plain[4], out[4];
    fill_sample(x, 100);
    /* On a grid of 2^-10 the smallest scale, too, is exact. */
    for (size_t i = 0; i < 100; i++) x[i] = ldexp(floor(ldexp(x[i], 10)), -10);
    cs_moments(x, 100, NULL, plain);
    for (size_t k = 0; k < 4; k++) {
        for (size_t i = 0; i < 100; i++) scaled[i] = scales[k] * x[i];
        cs_moments(scaled, 100, NULL, out);
        assert(close_to(out[0], (long double)plain[0] * scales[k], k ? 1e-15 : 1e-3));
        assert(close_to(out[1], (long double)plain[1] * scales[k], k ? 1e-15 : 1e-3));
        assert(fabs(out[2] - plain[2]) < 1e-14 && fabs(out[3] - plain[3]) < 1e-13);
    }
    for (size_t i = 0; i < 100; i++) x[i] = 0.1;
    cs_moments(x, 100, NULL, out);
    assert(out[0] == 0.1 && out[1] == 0.0 && out[2] == 0.0 && out[3] == 0.0);
}

static void test_excess_counts_the_effective_number(void) {
    const double x[] = {3.0, -INFINITY, 5.0, 1.0}, weights[] = {1.0, 1.0, 2.0, 0.5};
    double out[3];
    cs_excess(x, 4, NULL, 2.0, out);
    assert(out[0] == 1.0 && out[1] == 1.5 && out[2] == 4.0);
    cs_excess(x, 4, weights, 2.0, out);
    assert(close_to(out[0], 7.0L / 4.5L, 1e-15) && close_to(out[1], 19.0L / 4.5L - 49.0L / 20.25L, 1e-14));
    assert(close_to(out[2], 20.25L / 6.25L, 1e-15));
}

static long double student_likelihood(const double *x, size_t n, long double location, long double log_scale,
                                      long double eta) {
    long double sum = 0;
    for (size_t i = 0; i < n; i++) {
        const long double z = (x[i] - location) / expl(log_scale);
        sum += eta == 0 ? -z * z / 2 : -(1 + 1 / eta) / 2 * log1pl(eta * z * z);
    }
    return sum / n - log_scale;
}

static void test_student_sums_are_the_derivatives_of_the_likelihood(void) {
    const double etas[] = {1e-6, 0.01, 0.2, 0.5, 1.0};
    const long double h = 1e-4L;
    double x[N], s[CS_STUDENT_COUNT], scores[N];
    fill_sample(x, N);
    for (size_t k = 0; k < 5; k++) {
        const long double m = 0.1L, l = 0.3L, e = etas[k];
        const long double step = e < 1e-3L ? e / 4 : h;
#define F(dm, dl, de) student_likelihood(x, N, m + (dm) * h, l + (dl) * h, e + (de) * step)
        cs_student_sums(x, N, NULL, 0.1, (double)expl(l), etas[k], s);
        const long double scale = expl(l), middle = F(0, 0, 0);
        const long double d = (F(0, 0, 1) - F(0, 0, -1)) / (2 * step);
        const long double mm = (F(1, 0, 0) + F(-1, 0, 0) - 2 * middle) / (h * h);
        const long double ms = (F(1, 1, 0) - F(1, -1, 0) - F(-1, 1, 0) + F(-1, -1, 0)) / (4 * h * h);
        const long double ss = (F(0, 1, 0) + F(0, -1, 0) - 2 * middle) / (h * h);
        const long double md = (F(1, 0, 1) - F(1, 0, -1) - F(-1, 0, 1) + F(-1, 0, -1)) / (4 * h * step);
        const long double sd = (F(0, 1, 1) - F(0, 1, -1) - F(0, -1, 1) + F(0, -1, -1)) / (4 * h * step);
        const long double dd = (F(0, 0, 1) + F(0, 0, -1) - 2 * middle) / (step * step);
        assert(close_to(s[CS_STUDENT_LIKELIHOOD], middle + l, 1e-13));
        assert(fabsl(s[CS_STUDENT_OMEGA_Z] / scale - (F(1, 0, 0) - F(-1, 0, 0)) / (2 * h)) < 1e-6L);
        assert(fabsl(s[CS_STUDENT_OMEGA_U] - 1 - (F(0, 1, 0) - F(0, -1, 0)) / (2 * h)) < 1e-6L);
        assert(fabsl(-s[CS_STUDENT_MM] / (scale * scale) - mm) < 1e-5L);
        assert(fabsl(-2 * s[CS_STUDENT_MS] / scale - ms) < 1e-5L);
        assert(fabsl(-2 * s[CS_STUDENT_SS] - ss) < 1e-5L);
        assert(close_to(s[CS_STUDENT_D], d, 1e-3) && close_to(s[CS_STUDENT_DD], dd, 1e-2));
        assert(close_to(s[CS_STUDENT_MD] / scale, md, 1e-3) && close_to(s[CS_STUDENT_SD], sd, 1e-3));
#undef F
        cs_student_dof_scores(x, N, 0.1, (double)expl(l), etas[k], scores);
        long double mean = 0;
        for (size_t i = 0; i < N; i++) mean += (long double)scores[i] / N;
        assert(close_to(s[CS_STUDENT_D], mean, 1e-12));
    }
}

static void test_student_sums_are_continuous_at_the_normal_distribution(void) {
    double x[N], normal[CS_STUDENT_COUNT], near[CS_STUDENT_COUNT];
    fill_sample(x, N);
    cs_student_sums(x, N, NULL, 0.0, 5.0, 0.0, normal);
    cs_student_sums(x, N, NULL, 0.0, 5.0, 1e-13, near);
    for (size_t k = 0; k < CS_STUDENT_COUNT; k++) assert(fabs(normal[k] - near[k]) <= 1e-7 * (1.0 + fabs(normal[k])));
}

static void test_positions_invert_the_distribution(void) {
    double weights[N], cumulative[N];
    int64_t guide[N];
    for (size_t i = 0; i < N; i++) weights[i] = ldexp(1.0 + (double)(i % 7), (int)(i % 40) - 20);
    cs_positions_fill(weights, N, cumulative, guide);
    assert(cumulative[N - 1] == 1.0);
    for (size_t k = 0; k < N; k++) {
        const double u = (double)k / N;
        assert(guide[k] >= 0 && guide[k] < N && cumulative[guide[k]] > u);
        assert(guide[k] == 0 || cumulative[guide[k] - 1] <= u);
    }
}

typedef struct {
    double es[2000], var[2000], error[2000];
} replicates;

static void draw_tail(const double *losses, cs_positions positions, size_t draws, double tail_count, replicates *out) {
    for (size_t block = 0; block * CS_RESAMPLE_BLOCK < 2000; block++) {
        const size_t first = block * CS_RESAMPLE_BLOCK;
        const size_t count = 2000 - first < CS_RESAMPLE_BLOCK ? 2000 - first : CS_RESAMPLE_BLOCK;
        cs_active()->resample_tail(losses, positions, draws, tail_count, KEY, block, count, out->es + first,
                                   out->var + first, out->error + first);
    }
}

static void test_blocks_of_replicates_stand_alone(void) {
    static replicates whole;
    double losses[N], es[CS_RESAMPLE_BLOCK], var[CS_RESAMPLE_BLOCK], error[CS_RESAMPLE_BLOCK];
    const cs_positions equal = {NULL, NULL, N};
    fill_sample(losses, N);
    qsort(losses, N, sizeof *losses, descending);
    draw_tail(losses, equal, N, 25.0, &whole);
    cs_active()->resample_tail(losses, equal, N, 25.0, KEY, 7, 5, es, var, error);
    assert(memcmp(es, whole.es + 7 * CS_RESAMPLE_BLOCK, 5 * sizeof *es) == 0);
    assert(memcmp(var, whole.var + 7 * CS_RESAMPLE_BLOCK, 5 * sizeof *es) == 0);
    assert(memcmp(error, whole.error + 7 * CS_RESAMPLE_BLOCK, 5 * sizeof *es) == 0);
}

static void test_equal_weights_draw_as_no_weights(void) {
    static replicates plain, weighted;
    double losses[N], weights[N], cumulative[N];
    int64_t guide[N];
    fill_sample(losses, N);
    qsort(losses, N, sizeof *losses, descending);
    for (size_t i = 0; i < N; i++) weights[i] = 0.3;
    cs_positions_fill(weights, N, cumulative, guide);
    draw_tail(losses, (cs_positions){NULL, NULL, N}, N, 24.5, &plain);
    draw_tail(losses, (cs_positions){cumulative, guide, N}, N, 24.5, &weighted);
    assert(memcmp(&plain, &weighted, sizeof plain) == 0);
}

/* The J-th largest of n draws has the rank distribution P(rank <= i) = P(Bin(n, i/n) >= J); here n = 40, J = 3. */
static void test_var_of_a_resample_has_its_exact_distribution(void) {
    enum { SMALL = 40 };
    static replicates drawn;
    double losses[SMALL];
    int counts[SMALL + 1] = {0};
    for (size_t i = 0; i < SMALL; i++) losses[i] = (double)(SMALL - i);
    draw_tail(losses, (cs_positions){NULL, NULL, SMALL}, SMALL, 2.5, &drawn);
    for (size_t r = 0; r < 2000; r++) {
        counts[SMALL - (int)drawn.var[r]]++;
        assert(drawn.es[r] >= drawn.var[r] && drawn.es[r] <= SMALL && drawn.error[r] >= 0.0);
    }
    double cumulative = 0.0;
    for (int i = 0; i < 12; i++) {
        const double p = (i + 1) / 40.0, q = 1.0 - p;
        const double exact = 1.0 - pow(q, 40) - 40 * p * pow(q, 39) - 780 * p * p * pow(q, 38);
        cumulative += counts[i] / 2000.0;
        assert(fabs(cumulative - exact) < 4.5 * sqrt(exact * (1.0 - exact) / 2000) + 1e-3);
    }
}

static void test_mean_of_replicates_is_that_of_full_resampling(void) {
    static replicates drawn;
    double losses[N], mean = 0.0, brute = 0.0, spread = 0.0;
    uint64_t state = 1;
    fill_sample(losses, N);
    qsort(losses, N, sizeof *losses, descending);
    draw_tail(losses, (cs_positions){NULL, NULL, N}, N, 50.0, &drawn);
    for (size_t r = 0; r < 2000; r++) mean += drawn.es[r] / 2000;
    for (size_t r = 0; r < 2000; r++) {
        int counts[N] = {0};
        for (size_t i = 0; i < N; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            counts[(state >> 33) % N]++;
        }
        double sum = 0.0, left = 50.0;
        for (size_t i = 0; left > 0.0; i++) {
            const double taken = counts[i] < left ? counts[i] : left;
            sum += taken * losses[i];
            left -= taken;
        }
        brute += sum / 50.0 / 2000;
        spread += (sum / 50.0) * (sum / 50.0) / 2000;
    }
    assert(fabs(mean - brute) < 5.0 * sqrt(2.0 * (spread - brute * brute) / 2000));
}

static void test_replicates_have_the_recorded_bits(void) {
    static const uint64_t expected[3][3] = {
        {0x403717828077A203u, 0x4026687BDBFFF6F5u, 0x4009ADF5257AC08Bu},
        {0x403D1EDBDFD078D0u, 0x403194B8964BCC1Eu, 0x400700D9F68A68EFu},
        {0x4039D47F0E580CCBu, 0x402E9A2980EFA2E5u, 0x4006E0568CE9913Cu},
    };
    static const uint64_t expected_block[3] = {0x4039F788126EBCD9u, 0x402BA87EBE831945u, 0x4008C73106546569u};
    double sample[N], losses[N], es[33], var[33], error[33];
    int64_t order[N];
    fill_sample(sample, N);
    memcpy(losses, sample, sizeof sample);
    qsort(losses, N, sizeof *losses, descending);
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < N; k++)
            if (losses[i] == sample[k]) order[i] = (int64_t)k;
    cs_active()->resample_tail(losses, (cs_positions){NULL, NULL, N}, N, 25.0, KEY, 0, 32, es, var, error);
    cs_active()->resample_tail(losses, (cs_positions){NULL, NULL, N}, N, 25.0, KEY, 1, 1, es + 32, var + 32, error + 32);
    const size_t shown[3] = {0, 31, 32};
    for (size_t i = 0; i < 3; i++) {
        assert(cs_bits_of(es[shown[i]]) == expected[i][0]);
        assert(cs_bits_of(var[shown[i]]) == expected[i][1]);
        assert(cs_bits_of(error[shown[i]]) == expected[i][2]);
    }
    double *workspace = malloc(cs_resample_blocks_workspace(N, 10) * sizeof *workspace);
    cs_resample_blocks(sample, order, NULL, N, 0.025, 10, KEY, 0, 32, workspace, es, var, error);
    free(workspace);
    assert(cs_bits_of(es[31]) == expected_block[0]);
    assert(cs_bits_of(var[31]) == expected_block[1]);
    assert(cs_bits_of(error[31]) == expected_block[2]);
}

static void test_block_replicates_of_sizes_that_do_not_divide(void) {
    static const size_t cases[][2] = {{5, 1}, {5, 2}, {17, 8}, {100, 7}, {101, 50}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        const size_t n = cases[k][0], length = cases[k][1];
        double losses[101], sorted[101], weights[101], columns[202], es[32], var[32], error[32], means[128];
        int64_t order[101];
        fill_sample(losses, n);
        memcpy(sorted, losses, n * sizeof *losses);
        qsort(sorted, n, sizeof *sorted, descending);
        for (size_t i = 0; i < n; i++) {
            weights[i] = 1.0 + (double)(i % 3);
            columns[2 * i] = losses[i];
            columns[2 * i + 1] = -losses[i];
            for (size_t j = 0; j < n; j++)
                if (sorted[i] == losses[j]) order[i] = (int64_t)j;
        }
        double *workspace = malloc(cs_resample_blocks_workspace(n, length) * sizeof *workspace);
        for (int weighted = 0; weighted < 2; weighted++) {
            cs_resample_blocks(losses, order, weighted ? weights : NULL, n, 0.4, length, KEY, 3, 32, workspace, es, var,
                               error);
            for (size_t r = 0; r < 32; r++) {
                assert(var[r] <= es[r] && es[r] <= sorted[0] * (1 + 1e-12) && var[r] >= sorted[n - 1]);
                assert(error[r] >= 0.0 && isfinite(error[r]));
            }
        }
        free(workspace);
        cs_resample_block_means(columns, n, length, KEY, 3, 32, means);
        for (size_t r = 0; r < 32; r++) assert(fabs(means[4 * r] + means[4 * r + 1]) < 1e-12 && means[4 * r + 2] >= 0);
        cs_resample_means(columns, (cs_positions){NULL, NULL, n}, n, KEY, 3, 32, means);
        for (size_t r = 0; r < 32; r++) assert(fabs(means[4 * r] + means[4 * r + 1]) < 1e-12 && means[4 * r + 2] >= 0);
    }
}

static void test_infinite_losses_give_infinite_replicates(void) {
    double losses[10] = {1.0, 0.5, 0.25, -1.0, -INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY};
    double es[32], var[32], error[32];
    int infinite = 0;
    cs_active()->resample_tail(losses, (cs_positions){NULL, NULL, 10}, 10, 4.0, KEY, 0, 32, es, var, error);
    for (size_t r = 0; r < 32; r++) {
        if (isinf(var[r])) {
            infinite++;
            assert(es[r] == -INFINITY && isnan(error[r]));
        } else {
            assert(isfinite(es[r]) && isfinite(error[r]));
        }
    }
    assert(infinite > 0 && infinite < 32);
}

static void test_studentized_replicates_without_error(void) {
    const double values[] = {2.0, 3.0, 1.0, 2.0, -INFINITY}, errors[] = {0.5, 0.0, 0.0, 0.0, NAN};
    double out[5];
    cs_studentize(values, errors, 5, 2.0, 0, out);
    assert(out[0] == 0.0 && out[1] == INFINITY && out[2] == -INFINITY && out[3] == 0.0 && out[4] == -INFINITY);
    cs_studentize(values, errors, 1, 1.0, 1, out);
    assert(close_to(out[0], logl(2.0L) * 2.0L / 0.5L, 1e-15));
}

static void test_long_run_variance_is_the_bartlett_sum(void) {
    enum { SMALL = 50 };
    double x[SMALL], mean = 0.0;
    fill_sample(x, SMALL);
    for (size_t i = 0; i < SMALL; i++) mean += x[i] / SMALL;
    for (size_t length = 1; length <= SMALL / 2; length++) {
        long double sum = 0;
        for (size_t lag = 0; lag < length; lag++) {
            long double covariance = 0;
            for (size_t i = 0; i < SMALL; i++)
                covariance += (x[i] - (long double)mean) * (x[(i + lag) % SMALL] - (long double)mean) / SMALL;
            sum += (lag ? 2.0L : 1.0L) * (1.0L - (long double)lag / length) * covariance;
        }
        assert(fabsl(cs_long_run_variance(x, SMALL, length, mean) - sum) < 1e-12L);
    }
}

static long double binomial_term(size_t n, size_t k, long double p) {
    if (p == 1) return k == n;
    return expl(lgammal(n + 1) - lgammal(k + 1) - lgammal(n - k + 1) + k * logl(p) + (n - k) * log1pl(-p));
}

static void test_binomial_ranks_enclose_the_probability(void) {
    static const size_t trials[] = {1, 2, 10, 40, 250, 1000};
    static const double shares[] = {1e-6, 0.01, 0.025, 0.5, 0.9, 1.0}, alphas[] = {0.005, 0.03, 0.2};
    for (size_t a = 0; a < 6; a++) {
        for (size_t b = 0; b < 6; b++) {
            for (size_t c = 0; c < 3; c++) {
                const size_t n = trials[a];
                const long double p = shares[b];
                int64_t ranks[2], low = 0, high = (int64_t)n + 1;
                long double below = 0, above = 0;
                cs_binomial_ranks(n, shares[b], alphas[c], ranks);
                for (size_t k = 0; k <= n && below + binomial_term(n, k, p) <= alphas[c]; k++) {
                    below += binomial_term(n, k, p);
                    low = (int64_t)k + 1;
                }
                for (size_t k = n + 1; k-- > 0 && above + binomial_term(n, k, p) <= alphas[c];) {
                    above += binomial_term(n, k, p);
                    high = (int64_t)k;
                }
                assert(ranks[0] == low && ranks[1] == high);
            }
        }
    }
}

int main(void) {
    test_logarithm_and_exponential_are_within_one_ulp();
    test_exponential_at_the_ends();
    test_moments_match_long_double();
    test_moments_of_extreme_samples();
    test_excess_counts_the_effective_number();
    test_student_sums_are_the_derivatives_of_the_likelihood();
    test_student_sums_are_continuous_at_the_normal_distribution();
    test_positions_invert_the_distribution();
    for (size_t i = 0; cs_isa_name(i) != NULL; i++) {
        if (cs_init(cs_isa_name(i)) != CS_OK) continue;
        test_blocks_of_replicates_stand_alone();
        test_equal_weights_draw_as_no_weights();
        test_var_of_a_resample_has_its_exact_distribution();
        test_mean_of_replicates_is_that_of_full_resampling();
        test_replicates_have_the_recorded_bits();
        test_infinite_losses_give_infinite_replicates();
    }
    test_block_replicates_of_sizes_that_do_not_divide();
    test_studentized_replicates_without_error();
    test_long_run_variance_is_the_bartlett_sum();
    test_binomial_ranks_enclose_the_probability();
    return 0;
}
