/* The table through which every call reaches the kernels of one instruction set. */
#ifndef CS_KERNELS_H
#define CS_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "columns.h"
#include "cshortfall.h"
#include "resample.h"

/* What one level asks of n outcomes: the rank of VaR (1 = worst) and the tail count c = c0 + c1 + c2 exactly. */
typedef struct {
    size_t rank;
    double c0, c1, c2;
    double count, rest; /* c rounded, and what that left off */
    double level;
} cs_target;

typedef struct {
    double es, var;
} cs_tail;

/* What is read after the outcomes at hand: cache lines from `at` on. A kernel fetches a share of them at a time, all along
 * its work: a processor waits for few lines at once, and while it computes memory would be idle. */
typedef struct {
    const char *at;
    size_t lines, share;
} cs_ahead;

#define CS_STRETCH 256 /* outcomes of a pass between two shares */

/* Outcomes of one kind in memory. `flip` is 0 or the sign bit: tail="upper" reads losses, the kernels look at the
 * smallest of x ^ flip. */
typedef struct {
    const void *data;
    cs_ahead *next; /* may be NULL */
    size_t n;
    uint64_t flip;
    int is_f32;
} cs_outcomes;

/* hi + lo lies within err of the exact sum, see exact.h. */
typedef struct {
    double hi, lo, err;
} cs_sum;

/* How a first pass over many outcomes is made, see passes.h; parts of one pass may run in parallel. */
typedef struct {
    double low, high;
    int keep_below; /* 1: keep all below high; 0: count and sum below low, keep what lies between */
    int keep_ties;  /* of the second kind: keep what equals low or high instead of counting it; x is a plain buffer */
} cs_bracket;

typedef struct {
    cs_sum sum;       /* of the outcomes below low */
    double magnitude; /* largest absolute value among them */
    size_t below, at_low, at_high, kept;
    int overflow; /* the kept outcomes did not fit; nothing else is valid then */
} cs_pass;

/* Returns of assets in scenarios, see scenario_kernels.h; strides in bytes, of any sign. */
typedef struct {
    const char *data;
    ptrdiff_t row_stride, stride;
    size_t n_scenarios, n_assets;
    int is_f32;
} cs_returns;

#define CS_TERMS 8         /* partial sums of a row times a portfolio */
#define CS_COLUMN_ROWS 2048 /* most scenarios of one call of scenario_profits */
#define CS_SUM_ROWS 16     /* scenarios that sum_scenarios adds at a time */

struct cs_candidates; /* see window.h */
struct cs_window;
struct cs_windows;

typedef struct cs_kernels {
    const char *name;
    int (*tail)(const cs_outcomes *x, const cs_target *targets, size_t n_targets, double *scratch, size_t capacity,
                cs_tail *out);
    int (*tail_weighted)(const cs_outcomes *x, const double *weights, const cs_target *targets, size_t n_targets,
                         double *scratch, size_t capacity, size_t *used, cs_tail *out);
    int (*bracket)(const cs_outcomes *x, size_t rank, double *scratch, size_t capacity, cs_bracket *bracket);
    int (*sample_bracket)(const double *sample, size_t size, double share, double certainty, double most_kept,
                          cs_bracket *bracket);
    void (*pass)(const cs_outcomes *x, const cs_bracket *bracket, double *kept, size_t capacity, cs_pass *result);
    int (*resume)(const cs_outcomes *x, const cs_target *target, const cs_bracket *bracket, const cs_pass *pass,
                  double *kept, size_t capacity, cs_tail *out);
    void (*gather_columns)(const void *x, int is_f32, ptrdiff_t stride, size_t columns, size_t n, double *out,
                           size_t out_stride);
    uint64_t (*tail_columns)(const cs_columns *x, const cs_target *targets, size_t n_targets, double *scratch, cs_tail *out);
    size_t (*drop_missing)(const cs_outcomes *x, const double *weights, double *out, double *out_weights);
    void (*portfolio_block)(const double *columns, size_t n_assets, size_t n_scenarios, const double *weights,
                            size_t n_portfolios, double *out);
    cs_resample_tail *resample_tail;
    void (*rolling)(const cs_outcomes *x, const struct cs_windows *windows, struct cs_candidates *candidates,
                    double *es, double *var, size_t apart);
    void (*window_push)(struct cs_window *window, double value);
    void (*extremes)(const double *x, size_t n, double *least, double *most);
    int (*scenario_profits)(const cs_returns *r, size_t first, size_t count, const double *x, const double *base,
                            const double *mass, double *scratch, double *out);
    size_t (*scenarios_between)(const double *profit, size_t n, int64_t first, double low, double high, int64_t *index,
                                size_t *below);
    void (*sum_scenarios)(const cs_returns *r, const int64_t *index, size_t count, const double *mass, double *sum,
                          double *rest);
    void (*gather_scenarios)(const cs_returns *r, const int64_t *index, size_t count, double scale, double *out);
} cs_kernels;

extern const cs_kernels cs_kernels_baseline, cs_kernels_avx2, cs_kernels_avx512, cs_kernels_neon;

const cs_kernels *cs_active(void);

/* Doubles of scratch a kernel wants for n outcomes; its `capacity` is CS_SCRATCH_MARGIN less. */
#define CS_SCRATCH_MARGIN 16
size_t cs_scratch_size(size_t n, int weighted);

#endif
