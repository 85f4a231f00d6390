"""The kernels' own types, for the modules of this package; other packages use tail.pxd."""

from libc.stdint cimport int64_t, uint64_t

cdef extern from "kernels.h" nogil:
    enum:
        CS_SCRATCH_MARGIN
        CS_STRETCH
        CS_COLUMN_ROWS
        CS_COLUMNS
        CS_TERMS
        CS_OK
        CS_NAN
        CS_EMPTY
        CS_BAD_WEIGHT
        CS_ZERO_WEIGHT

    ctypedef struct cs_target:
        size_t rank
        double count
        double level

    ctypedef struct cs_tail:
        double es
        double var

    ctypedef struct cs_ahead:
        const char *at
        size_t lines
        size_t share

    ctypedef struct cs_outcomes:
        const void *data
        cs_ahead *next
        size_t n
        uint64_t flip
        int is_f32

    ctypedef struct cs_rows_ahead:
        const char *at
        Py_ssize_t apart
        size_t rows
        size_t bytes
        size_t done

    ctypedef struct cs_columns:
        const void *data
        cs_rows_ahead *next
        Py_ssize_t stride
        size_t n
        uint64_t flip
        int is_f32

    ctypedef struct cs_column_plan:
        size_t scratch

    int cs_column_plan_of(size_t n, size_t rank, cs_column_plan *plan)

    ctypedef struct cs_sum:
        double hi
        double lo
        double err

    ctypedef struct cs_bracket:
        double low
        double high
        int keep_below

    ctypedef struct cs_pass:
        cs_sum sum
        double magnitude
        size_t below
        size_t at_low
        size_t at_high
        size_t kept
        int overflow

    ctypedef struct cs_returns:
        const char *data
        Py_ssize_t row_stride
        Py_ssize_t stride
        size_t n_scenarios
        size_t n_assets
        int is_f32

    ctypedef struct cs_positions:
        const double *cumulative
        const int64_t *guide
        size_t n
    struct cs_candidates
    struct cs_window
    struct cs_windows

    ctypedef struct cs_kernels:
        const char *name
        int (*tail)(const cs_outcomes *x, const cs_target *targets, size_t n_targets, double *scratch,
                    size_t capacity, cs_tail *out) noexcept nogil
        int (*tail_weighted)(const cs_outcomes *x, const double *weights, const cs_target *targets, size_t n_targets,
                             double *scratch, size_t capacity, size_t *used, cs_tail *out) noexcept nogil
        int (*bracket)(const cs_outcomes *x, size_t rank, double *scratch, size_t capacity,
                       cs_bracket *bracket) noexcept nogil
        int (*sample_bracket)(const double *sample, size_t size, double share, double certainty, double most_kept,
                              cs_bracket *bracket) noexcept nogil
        void (*tail_pass "pass")(const cs_outcomes *x, const cs_bracket *bracket, double *kept, size_t capacity,
                                 cs_pass *result) noexcept nogil
        int (*resume)(const cs_outcomes *x, const cs_target *target, const cs_bracket *bracket, const cs_pass *result,
                      double *kept, size_t capacity, cs_tail *out) noexcept nogil
        void (*gather_columns)(const void *x, int is_f32, Py_ssize_t stride, size_t columns, size_t n, double *out,
                               size_t out_stride) noexcept nogil
        uint64_t (*tail_columns)(const cs_columns *x, const cs_target *targets, size_t n_targets, double *scratch,
                                 cs_tail *out) noexcept nogil
        size_t (*drop_missing)(const cs_outcomes *x, const double *weights, double *out,
                               double *out_weights) noexcept nogil
        void (*portfolio_block)(const double *columns, size_t n_assets, size_t n_scenarios, const double *weights,
                                size_t n_portfolios, double *out) noexcept nogil
        void (*resample_tail)(const double *losses, cs_positions positions, size_t draws, double tail_count,
                              const uint64_t *key, size_t block, size_t count, double *es, double *var,
                              double *standard_error) noexcept nogil
        void (*rolling)(const cs_outcomes *x, const cs_windows *windows, cs_candidates *candidates, double *es,
                        double *var, size_t apart) noexcept nogil
        void (*window_push)(cs_window *window, double value) noexcept nogil
        void (*extremes)(const double *x, size_t n, double *least, double *most) noexcept nogil
        int (*scenario_profits)(const cs_returns *r, size_t first, size_t count, const double *x, const double *base,
                                const double *mass, double *scratch, double *out) noexcept nogil
        size_t (*scenarios_between)(const double *profit, size_t n, int64_t first, double low, double high,
                                    int64_t *index, size_t *below) noexcept nogil
        void (*sum_scenarios)(const cs_returns *r, const int64_t *index, size_t count, const double *mass,
                              double *sum, double *rest) noexcept nogil
        void (*gather_scenarios)(const cs_returns *r, const int64_t *index, size_t count, double scale,
                                 double *out) noexcept nogil

cdef extern from "window.h" nogil:
    struct cs_window_level:
        cs_tail result

    struct cs_candidates:
        size_t present
        cs_window_level *levels

    struct cs_window:
        const cs_kernels *kernels
        size_t length
        size_t size
        size_t min_count
        cs_candidates candidates

    struct cs_windows:
        size_t count
        const int64_t *starts
        const int64_t *stops
        int64_t window
        int64_t lead
        int64_t step
        size_t min_count

    size_t cs_candidates_size(size_t length, size_t n_levels)
    cs_candidates *cs_candidates_create(void *memory, size_t length, const double *levels, size_t n_levels)
    size_t cs_window_bytes(size_t length, size_t n_levels)
    cs_window *cs_window_create(void *memory, const cs_kernels *kernels, size_t length, const double *levels,
                                size_t n_levels, uint64_t flip, size_t min_count)
    void cs_window_clear(cs_window *window)
    size_t cs_window_copy(const cs_window *window, double *out)

cdef extern from "target.h" nogil:
    cs_target cs_target_of(double level, size_t n)
    size_t cs_target_next(const cs_target *targets, size_t n_targets, size_t last)

cdef extern from "exact.h" nogil:
    void cs_pass_add(cs_pass *total, const cs_pass *part)
