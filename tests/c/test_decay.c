/* ES with decaying weights against the definition written down with sums of long doubles; infinities, missing outcomes
 * and weights that have decayed away. */
#undef NDEBUG
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "decay.h"

enum { N = 300 };

static const double *sorted_by;

static int ascending(const void *a, const void *b) {
    const double x = sorted_by[*(const int64_t *)a], y = sorted_by[*(const int64_t *)b];
    if (x != x || y != y) return (x != x) - (y != y);
    return (x > y) - (x < y);
}

static void order_of(const double *x, size_t n, int64_t *order) {
    for (size_t i = 0; i < n; i++) order[i] = (int64_t)i;
    sorted_by = x;
    qsort(order, n, sizeof *order, ascending);
}

/* Runs with exactly the workspace that is asked for, so that the sanitizer sees the byte behind it. */
static void run(const double *x, size_t n, double decay, int count_outcomes, const double *levels, size_t n_levels,
                size_t min_count, double *es) {
    int64_t order[N];
    void *workspace = malloc(cs_decay_workspace_size(n));
    order_of(x, n, order);
    cs_decay_es(x, order, n, decay, count_outcomes, levels, n_levels, min_count, workspace, es);
    free(workspace);
}

/* The weights of outcomes up to and with t, and their ES. */
static double slow_es(const double *x, const int64_t *order, size_t t, double decay, int count_outcomes, double level) {
    static long double weights[N];
    long double total = 0, mass, below = 0, numerator = 0, weight = 1;
    for (size_t i = t + 1; i-- > 0;) {
        int present = x[i] == x[i];
        weights[i] = present ? weight : 0;
        total += weights[i];
        if (present || !count_outcomes) weight *= decay;
    }
    mass = total * (1 - (long double)level);
    for (size_t k = 0; k < N; k++) {
        size_t i = (size_t)order[k];
        if (i > t || weights[i] == 0) continue;
        if (below + weights[i] >= mass) return (double)(-(numerator + (mass - below) * x[i]) / mass);
        below += weights[i];
        numerator += weights[i] * x[i];
    }
    return NAN;
}

static uint64_t state = 1;

static double uniform(void) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (double)(state >> 11) * 0x1p-53;
}

static void results_are_those_of_the_definition(void) {
    static const double decays[] = {0.5, 0.94, 0.999, 0.03}, levels[] = {0.25, 0.9, 0.99};
    static double x[N], es[3 * N];
    int64_t order[N];
    for (size_t sample = 0; sample < 12; sample++) {
        const double decay = decays[sample % 4];
        const int count_outcomes = sample % 2 == 1;
        for (size_t i = 0; i < N; i++) {
            x[i] = 1 / (uniform() - 0.5);
            if (sample % 3 == 1) x[i] = floor(4 * uniform());
            if (sample % 3 == 2 && uniform() < 0.2) x[i] = NAN;
        }
        order_of(x, N, order);
        run(x, N, decay, count_outcomes, levels, 3, 1, es);
        for (size_t level = 0; level < 3; level++) {
            for (size_t t = 0; t < N; t++) {
                const double found = es[level * N + t];
                const double expected = slow_es(x, order, t, decay, count_outcomes, levels[level]);
                const double allowed = 1e-12 * fabs(expected) + 1e-12;
                CHECK(fabs(found - expected) <= allowed || (found != found && expected != expected));
            }
        }
    }
}

static void every_length_fits_its_workspace(void) {
    static double x[N], es[N];
    const double level = 0.9;
    for (size_t n = 1; n <= 70; n++) {
        for (size_t i = 0; i < n; i++) x[i] = uniform();
        run(x, n, 0.9, 0, &level, 1, 0, es);
        for (size_t i = 0; i < n; i++) CHECK(es[i] <= 0 && es[i] >= -1);
        for (size_t i = 0; i < n; i++) x[i] = NAN;
        run(x, n, 0.9, 0, &level, 1, 0, es);
        for (size_t i = 0; i < n; i++) CHECK(es[i] != es[i]);
    }
}

static void infinities_decide(void) {
    const double x[] = {1, -INFINITY, 2, NAN, INFINITY}, level = 0;
    double es[5];
    run(x, 5, 0.5, 0, &level, 1, 1, es);
    CHECK(es[0] == -1 && es[1] == INFINITY && es[2] == INFINITY && es[3] == INFINITY && es[4] != es[4]);
    run(x + 2, 3, 0.5, 0, &level, 1, 2, es);
    CHECK(es[0] != es[0] && es[1] != es[1] && es[2] == -INFINITY);
}

static void extreme_outcomes_and_factors(void) {
    static const double decays[] = {0, 0x1p-1074, 1e-300, 0.5, 1 - 0x1p-53};
    const double x[] = {-0x1.fffffffffffffp1023, -0x1.fffffffffffffp1023, 0x1p-1074, -0x1p-1074, 0}, level = 0.5;
    double es[5];
    for (size_t k = 0; k < 5; k++) {
        run(x, 5, decays[k], 0, &level, 1, 1, es);
        CHECK(es[0] == 0x1.fffffffffffffp1023 && es[1] == 0x1.fffffffffffffp1023);
        for (size_t i = 2; i < 5; i++) CHECK(es[i] <= 0x1.fffffffffffffp1023 && es[i] >= -0x1p-1074);
    }
    run(x, 5, 0, 0, &level, 1, 1, es);
    CHECK(es[2] == -0x1p-1074 && es[3] == 0x1p-1074 && es[4] == 0 && !signbit(es[4]));
}

int main(void) {
    RUN(results_are_those_of_the_definition);
    RUN(every_length_fits_its_workspace);
    RUN(infinities_decide);
    RUN(extreme_outcomes_and_factors);
    return report();
}
