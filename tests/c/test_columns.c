/* Columns side by side against the same columns as rows: the same bits, on every instruction set that has the kernel. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "columns.h"
#include "cshortfall.h"
#include "kernels.h"
#include "rational.h"
#include "target.h"

#define MOST 1200
#define APART (CS_COLUMNS + 5)
#define LEVELS 3
#define KINDS 12

static const cs_kernels *active[8];
static size_t n_active;
static double matrix[MOST * APART], row[MOST + 8], workspace[400000];
static float narrow[MOST * APART];

static double uniform(void) { return ((double)(random_bits() >> 12) + 0.5) * 0x1p-52; }

static double outcome_of(size_t kind, size_t t, size_t n) {
    double u = uniform(), v = uniform();
    switch (kind) {
    case 0: return u + v + uniform() - 1.5;
    case 1: return (u - 0.5) / (v * v);
    case 2: return (double)random_below(7) - 3.0;         /* ties */
    case 3: return -1.25;                                 /* a constant */
    case 4: return (double)t - 40.0;                      /* sorted */
    case 5: return ldexp(u - 0.5, (int)random_below(600) - 300);
    case 6: return (u - 0.5) * 0x1p-1050;                 /* subnormal */
    case 7: return t % 17 == 3 ? -INFINITY : u;
    case 8: return t % 3 ? INFINITY : u;
    case 9: return t == n - 1 ? (double)NAN : u;
    case 10: return (double)random_below(4096) * 0x1p-10; /* few bits: quotients between two doubles */
    default: return t % 5 ? 0.0 : -0.0;
    }
}

static void check_columns(size_t n, const double *levels, int is_f32, int upper, int must_tell) {
    cs_target targets[LEVELS];
    size_t widest;
    cs_column_plan plan;
    for (size_t i = 0; i < LEVELS; i++) targets[i] = cs_target_of(levels[i], n);
    widest = cs_target_next(targets, LEVELS, LEVELS);
    if (!cs_column_plan_of(n, targets[widest].rank, &plan)) {
        CHECK(!must_tell);
        return;
    }
    for (size_t k = 0; k < n_active; k++) {
        cs_rows_ahead ahead = {(const char *)(matrix + CS_COLUMNS), APART * 8, n, (APART - CS_COLUMNS) * 8, 0};
        cs_columns x = {is_f32 ? (void *)narrow : (void *)matrix, upper ? &ahead : NULL, APART, n, upper ? (uint64_t)1 << 63 : 0, is_f32};
        double *scratch = malloc(plan.scratch * sizeof(double)); /* not a double more: the sanitizer looks on */
        cs_tail out[CS_COLUMNS * LEVELS], expected[LEVELS];
        uint64_t told = active[k]->tail_columns(&x, targets, LEVELS, scratch, out);
        CHECK(told >> CS_COLUMNS == 0);
        if (must_tell) CHECK(told == ((uint64_t)1 << CS_COLUMNS) - 1);
        for (size_t c = 0; c < CS_COLUMNS; c++) {
            cs_outcomes outcomes = {row, NULL, n, x.flip, 0};
            int status;
            for (size_t t = 0; t < n; t++) row[t] = is_f32 ? (double)narrow[t * APART + c] : matrix[t * APART + c];
            status = active[k]->tail(&outcomes, targets, LEVELS, workspace, 300000, expected);
            if (status != CS_OK) CHECK(!(told >> c & 1));
            if (!(told >> c & 1)) continue;
            for (size_t i = 0; i < LEVELS; i++) {
                CHECK(same_bits(out[c * LEVELS + i].es, expected[i].es));
                CHECK(same_bits(out[c * LEVELS + i].var, expected[i].var));
            }
        }
        free(scratch);
    }
}

static void fill(size_t n, size_t kind) {
    for (size_t t = 0; t < n; t++)
        for (size_t c = 0; c < APART; c++) {
            size_t own = kind < KINDS ? kind : (size_t)random_below(KINDS);
            if (kind > KINDS) own = c % KINDS; /* columns of all kinds side by side */
            matrix[t * APART + c] = outcome_of(own, t, n);
            narrow[t * APART + c] = (float)matrix[t * APART + c];
        }
}

static void test_columns_are_rows(void) {
    static const size_t sizes[] = {32, 33, 50, 99, 250, 251, 512, 1000, 1200};
    static const double levels[][LEVELS] = {{0.975, 0.99, 0.95}, {0.9, 0.9, 0.999}, {0.96, 0.97, 0.98765}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (size_t kind = 0; kind < KINDS + 2; kind++) {
            fill(sizes[i], kind);
            for (size_t k = 0; k < sizeof levels / sizeof *levels; k++)
                for (int upper = 0; upper < 2; upper++) {
                    check_columns(sizes[i], levels[k], 0, upper, 0);
                    check_columns(sizes[i], levels[k], 1, upper, 0);
                }
        }
}

static void test_ordinary_columns_are_told(void) {
    static const double levels[LEVELS] = {0.975, 0.99, 0.975};
    for (size_t n = 40; n <= MOST; n += 290) {
        fill(n, 0);
        check_columns(n, levels, 0, 0, 1);
        check_columns(n, levels, 0, 1, 1);
        check_columns(n, levels, 1, 0, 1);
    }
}

static void test_what_is_gathered_instead(void) {
    cs_column_plan plan;
    CHECK(!cs_column_plan_of(31, 1, &plan));
    CHECK(!cs_column_plan_of(1000, 101, &plan));
    CHECK(!cs_column_plan_of(100000, 10, &plan));
    CHECK(cs_column_plan_of(1000, 25, &plan));
    CHECK(plan.groups >= 2 * 25 && plan.room >= 25);
}

int main(void) {
    for (size_t i = 0; cs_isa_name(i) != NULL; i++)
        if (cs_isa_available(cs_isa_name(i)) && cs_init(cs_isa_name(i)) == CS_OK && cs_active()->tail_columns)
            active[n_active++] = cs_active();
    RUN(test_columns_are_rows);
    RUN(test_ordinary_columns_are_told);
    RUN(test_what_is_gathered_instead);
    return report();
}
