/* Passes over scenarios on every instruction set, from matrices that end where their memory ends: the stated order of
 * additions, rows by number, sums of rows. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "cshortfall.h"
#include "kernels.h"

static const size_t ROWS[] = {1, 2, 7, 8, 9, 17, 31, CS_COLUMN_ROWS};
static const size_t ASSETS[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 33, 40, 65};
enum { N_ROWS = sizeof ROWS / sizeof ROWS[0], N_ASSETS = sizeof ASSETS / sizeof ASSETS[0] };

enum { ROWS_TOGETHER, COLUMNS_TOGETHER, APART, REVERSED, N_LAYOUTS };

static double value(size_t i) { return fmod((double)(i + 1) * 0.6180339887498949, 1.0) - 0.5; }

/* A matrix in memory of its own, not a byte larger than its layout needs. */
static cs_returns make(int layout, int is_f32, size_t n, size_t n_assets, void **memory) {
    ptrdiff_t width = is_f32 ? 4 : 8, apart = layout == APART ? 3 : 1, last;
    cs_returns r = {NULL, 0, 0, n, n_assets, is_f32};
    r.row_stride = layout == COLUMNS_TOGETHER ? width : (ptrdiff_t)n_assets * apart * width;
    r.stride = layout == COLUMNS_TOGETHER ? (ptrdiff_t)n * width : apart * width;
    last = (ptrdiff_t)(n - 1) * r.row_stride + (ptrdiff_t)(n_assets - 1) * r.stride;
    *memory = malloc((size_t)(last + width));
    r.data = *memory;
    if (layout == REVERSED) {
        r.data = (char *)*memory + (ptrdiff_t)(n - 1) * r.row_stride;
        r.row_stride = -r.row_stride;
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n_assets; j++) {
            char *p = (char *)r.data + (ptrdiff_t)i * r.row_stride + (ptrdiff_t)j * r.stride;
            double v = (double)(float)value(i * n_assets + j);
            if (is_f32)
                *(float *)p = (float)v;
            else
                *(double *)p = v;
        }
    return r;
}

static double at(size_t n_assets, size_t i, size_t j) { return (double)(float)value(i * n_assets + j); }

static double product(size_t n_assets, size_t i, const double *x) {
    double t[8] = {0.0};
    for (size_t j = 0; j < n_assets; j++) t[j % 8] += at(n_assets, i, j) * x[j];
    return ((t[0] + t[4]) + (t[2] + t[6])) + ((t[1] + t[5]) + (t[3] + t[7]));
}

static void for_every_matrix(void (*check)(const cs_kernels *kernels, const cs_returns *r)) {
    for (size_t s = 0; cs_isa_name(s) != NULL; s++) {
        if (cs_init(cs_isa_name(s)) != CS_OK) continue;
        for (size_t a = 0; a < N_ROWS; a++)
            for (size_t b = 0; b < N_ASSETS; b++)
                for (int layout = 0; layout < N_LAYOUTS; layout++)
                    for (int is_f32 = 0; is_f32 < 2; is_f32++) {
                        void *memory;
                        cs_returns r = make(layout, is_f32, ROWS[a], ASSETS[b], &memory);
                        check(cs_active(), &r);
                        free(memory);
                    }
    }
    cs_init(NULL);
}

static void check_profits(const cs_kernels *kernels, const cs_returns *r) {
    size_t n = r->n_scenarios, width = r->n_assets > CS_COLUMN_ROWS ? r->n_assets : CS_COLUMN_ROWS;
    double *x = malloc(r->n_assets * sizeof *x), *base = malloc(n * sizeof *base), *mass = malloc(n * sizeof *mass);
    double *scratch = malloc(CS_TERMS * width * sizeof *scratch), *out = malloc(n * sizeof *out);
    for (size_t j = 0; j < r->n_assets; j++) x[j] = value(j + 5) + 0.1;
    for (size_t i = 0; i < n; i++) {
        base[i] = value(3 * i);
        mass[i] = i % 3 == 1 ? 0.0 : 1.0;
    }
    CHECK(!kernels->scenario_profits(r, 0, n, x, NULL, NULL, scratch, out));
    for (size_t i = 0; i < n; i++) CHECK(out[i] == product(r->n_assets, i, x));
    base[n / 2] = NAN;
    CHECK(kernels->scenario_profits(r, 0, n, x, base, NULL, scratch, out));
    CHECK(kernels->scenario_profits(r, 0, n, x, base, mass, scratch, out) == (mass[n / 2] != 0.0));
    for (size_t i = 0; i < n; i++)
        if (i != n / 2) CHECK(out[i] == (mass[i] != 0.0 ? product(r->n_assets, i, x) + base[i] : INFINITY));
    if (n > 3) {
        CHECK(!kernels->scenario_profits(r, 3, n - 3, x, NULL, NULL, scratch, out));
        for (size_t i = 3; i < n; i++) CHECK(out[i - 3] == product(r->n_assets, i, x));
    }
    free(x), free(base), free(mass), free(scratch), free(out);
}

static void test_profits_keep_the_stated_order(void) { for_every_matrix(check_profits); }

static void check_rows(const cs_kernels *kernels, const cs_returns *r) {
    size_t n = r->n_scenarios, m = 0;
    int64_t *index = malloc(n * sizeof *index);
    double *mass = malloc(n * sizeof *mass), *rows, *sum = calloc(2 * r->n_assets, sizeof *sum);
    for (size_t i = 0; i < n; i++) {
        mass[i] = value(i) + 0.6;
        if (i % 5 != 2) index[m++] = (int64_t)i;
    }
    rows = malloc(m * r->n_assets * sizeof *rows);
    kernels->gather_scenarios(r, index, m, 4.0, rows);
    kernels->sum_scenarios(r, index, m, mass, sum, sum + r->n_assets);
    for (size_t j = 0; j < r->n_assets; j++) {
        long double exact = 0.0L;
        for (size_t k = 0; k < m; k++) {
            CHECK(rows[k * r->n_assets + j] == 4.0 * at(r->n_assets, (size_t)index[k], j));
            exact += (long double)mass[index[k]] * at(r->n_assets, (size_t)index[k], j);
        }
        CHECK(fabsl(sum[j] + sum[r->n_assets + j] - exact) <= 1e-15L * (long double)m);
    }
    free(index), free(mass), free(rows), free(sum);
}

static void test_rows_are_found_by_number(void) { for_every_matrix(check_rows); }

static void test_scenarios_between_are_those_between(void) {
    for (size_t s = 0; cs_isa_name(s) != NULL; s++) {
        if (cs_init(cs_isa_name(s)) != CS_OK) continue;
        for (size_t n = 0; n < 70; n++) {
            double *profit = malloc((n + 1) * sizeof *profit);
            int64_t *index = malloc((n + 1) * sizeof *index);
            size_t below, expected_below = 0, found, k = 0;
            for (size_t i = 0; i < n; i++) profit[i] = floor(10.0 * value(i));
            found = cs_active()->scenarios_between(profit, n, 1000, -2.0, 1.0, index, &below);
            for (size_t i = 0; i < n; i++) {
                expected_below += profit[i] < -2.0;
                if (profit[i] >= -2.0 && profit[i] <= 1.0) CHECK(k < found && index[k++] == 1000 + (int64_t)i);
            }
            CHECK(k == found && below == expected_below);
            free(profit), free(index);
        }
    }
    cs_init(NULL);
}

int main(void) {
    RUN(test_profits_keep_the_stated_order);
    RUN(test_rows_are_found_by_number);
    RUN(test_scenarios_between_are_those_between);
    return report();
}
