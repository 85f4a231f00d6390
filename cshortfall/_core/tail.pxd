"""Expected Shortfall and Value at Risk for other Cython packages: plain C types, no GIL, no allocation.

``cimport`` it from ``cshortfall._core.tail``; nothing is linked. Functions, status codes and units are those of
``cshortfall.h`` without the prefix ``cs_``: `tail` is 0 for the smallest outcomes of P&L, 1 for the largest losses; the
workspace holds the bytes that `workspace_size` or `weighted_workspace_size` says. Functions are added, never changed.
"""

cdef int api_version() noexcept nogil
cdef const char *status_message(int status) noexcept nogil
cdef size_t workspace_size(size_t n, size_t n_levels) noexcept nogil
cdef size_t weighted_workspace_size(size_t n, size_t n_levels) noexcept nogil
cdef int es_var(const double *x, size_t n, double level, int tail, void *workspace, size_t workspace_size, double *es,
                double *var) noexcept nogil
cdef int es_var_f32(const float *x, size_t n, double level, int tail, void *workspace, size_t workspace_size,
                    double *es, double *var) noexcept nogil
cdef int es_var_levels(const double *x, size_t n, const double *levels, size_t n_levels, int tail, void *workspace,
                       size_t workspace_size, double *es, double *var) noexcept nogil
cdef int es_var_levels_f32(const float *x, size_t n, const double *levels, size_t n_levels, int tail, void *workspace,
                           size_t workspace_size, double *es, double *var) noexcept nogil
cdef int es_var_weighted(const double *x, const double *weights, size_t n, const double *levels, size_t n_levels,
                         int tail, void *workspace, size_t workspace_size, double *es, double *var) noexcept nogil
cdef int es_var_weighted_f32(const float *x, const double *weights, size_t n, const double *levels, size_t n_levels,
                             int tail, void *workspace, size_t workspace_size, double *es, double *var) noexcept nogil

# For the modules of this package only: they share the table and the path of one long row.
cdef const void *active_kernels() noexcept nogil
cdef size_t scratch_size(size_t n, int weighted) noexcept nogil
cdef enum:
    ROW_LEVELS = 16

cdef int tail_of_row(const void *x, size_t n, int is_f32, int upper, const double *levels, size_t n_levels, double *es,
                     double *var) noexcept nogil
