/* The public functions of windows: arguments checked, memory divided, one call of the kernel. */
#include "window.h"

size_t cs_window_size(size_t length, size_t n_levels) { return cs_window_bytes(length, n_levels); }

int cs_window_init(void *memory, size_t memory_size, size_t length, const double *levels, size_t n_levels, int tail,
                   size_t min_count, cs_window **window) {
    *window = NULL;
    if (length == 0 || n_levels == 0) return CS_EMPTY;
    if (tail != CS_TAIL_LOWER && tail != CS_TAIL_UPPER) return CS_BAD_TAIL;
    for (size_t i = 0; i < n_levels; i++)
        if (!(levels[i] >= 0.0 && levels[i] < 1.0)) return CS_BAD_LEVEL;
    if (memory == NULL || memory_size < cs_window_bytes(length, n_levels)) return CS_SMALL_WORKSPACE;
    *window = cs_window_create(memory, cs_active(), length, levels, n_levels,
                               tail == CS_TAIL_UPPER ? (uint64_t)1 << 63 : 0, min_count);
    return CS_OK;
}

int cs_window_push(cs_window *window, double value, double *es, double *var) {
    const cs_candidates *c = &window->candidates;
    window->kernels->window_push(window, value);
    for (size_t i = 0; i < c->n_levels; i++) {
        if (es) es[i] = c->levels[i].result.es;
        if (var) var[i] = c->levels[i].result.var;
    }
    return c->present == 0 || c->present < window->min_count ? CS_TOO_FEW : CS_OK;
}

size_t cs_window_count(const cs_window *window) { return window->candidates.present; }

size_t cs_window_values(const cs_window *window, double *values) { return cs_window_copy(window, values); }

void cs_window_reset(cs_window *window) { cs_window_clear(window); }
