/* Columns of a matrix in C order that lie side by side, see column_kernels.h. */
#ifndef CS_COLUMNS_H
#define CS_COLUMNS_H

#include <stddef.h>
#include <stdint.h>

#define CS_COLUMNS 32 /* columns at a time: their rows are whole cache lines, and all of them fit a second-level cache */

/* The rows of the columns that are looked at next, of `bytes` each; they are fetched all along the work on those at hand. */
typedef struct {
    const char *at;
    ptrdiff_t apart;
    size_t rows, bytes, done; /* done: bytes of the row at hand that are on their way */
} cs_rows_ahead;

/* x[t stride + c]: outcome t < n of column c < CS_COLUMNS; flip as in cs_outcomes. */
typedef struct {
    const void *data;
    cs_rows_ahead *next; /* may be NULL */
    ptrdiff_t stride;
    size_t n;
    uint64_t flip;
    int is_f32;
} cs_columns;

/* How the tails of such columns are found. */
typedef struct {
    size_t group, groups; /* outcomes whose least one stands for all, the last group takes what is left over */
    size_t slots;         /* groups, in fours */
    size_t room;          /* outcomes of a column that may be kept, in fours */
    size_t scratch;       /* doubles */
} cs_column_plan;

/* 0 if columns are better gathered: too long for the second-level cache, or with tails too large for searches in lanes. */
static inline int cs_column_plan_of(size_t n, size_t rank, cs_column_plan *plan) {
    if (n < 32 || n > 4096 || rank > 64 || n < 10 * rank) return 0;
    plan->group = 2 * n / (5 * rank);
    if (plan->group > 32) plan->group = 32;
    plan->groups = n / plan->group;
    plan->slots = (plan->groups + 3) / 4 * 4;
    plan->room = (rank + rank / 2 + 19) / 4 * 4;
    plan->scratch = CS_COLUMNS * (plan->slots + 1 + plan->room + 1) + plan->room + n / 2 + 16;
    return 1;
}

#endif
