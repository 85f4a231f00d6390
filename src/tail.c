/* The public functions: arguments checked, workspace divided, one call of the active kernel. */
#include "cshortfall.h"

#include "kernels.h"
#include "target.h"

/* Inputs that fit a cache get room for everything and half of it again and again; longer ones keep at most a fifth in a
 * first pass. A pass that finds too little room says so and is made differently. Allocators give large blocks back to
 * the system, whose new pages cost more than the pass, so the room is no larger than that. */
size_t cs_scratch_size(size_t n, int weighted) {
    size_t plain = n <= 262144 ? 2 * n + 1024 : n / 4 + 524288;
    size_t equal = n + plain, pairs = 2 * (n + n / 4 + 8192);
    if (!weighted) return plain;
    return equal > pairs ? equal : pairs;
}

static size_t workspace_bytes(size_t n, size_t n_levels, int weighted) {
    return cs_scratch_size(n, weighted) * sizeof(double) + n_levels * (sizeof(cs_target) + sizeof(cs_tail));
}

size_t cs_workspace_size(size_t n, size_t n_levels) { return workspace_bytes(n, n_levels, 0); }

size_t cs_weighted_workspace_size(size_t n, size_t n_levels) { return workspace_bytes(n, n_levels, 1); }

int cs_api_version(void) { return CSHORTFALL_API_VERSION; }

const char *cs_status_message(int status) {
    static const char *const messages[] = {
        "no error",
        "an outcome is NaN",
        "there is no outcome or no level",
        "a weight is negative, infinite or NaN",
        "all weights are zero",
        "a level is not in [0, 1)",
        "tail is neither CS_TAIL_LOWER nor CS_TAIL_UPPER",
        "the workspace is smaller than cs_workspace_size says",
        "this build has no such instruction set",
        "this processor lacks the instruction set",
        "the window holds too few outcomes",
    };
    return status >= 0 && status < (int)(sizeof messages / sizeof *messages) ? messages[status] : "unknown status";
}

static int tail_of(const void *x, int is_f32, const double *weights, size_t n, const double *levels, size_t n_levels,
                   int tail, void *workspace, size_t workspace_size, double *es, double *var) {
    cs_outcomes outcomes = {x, NULL, n, tail == CS_TAIL_UPPER ? (uint64_t)1 << 63 : 0, is_f32};
    size_t scratch_size = cs_scratch_size(n, weights != NULL), used;
    double *scratch = workspace;
    cs_target *targets;
    cs_tail *results;
    int status = CS_OK;
    for (size_t i = 0; i < n_levels; i++) {
        if (es) es[i] = (double)NAN;
        if (var) var[i] = (double)NAN;
        if (!(levels[i] >= 0.0 && levels[i] < 1.0)) status = CS_BAD_LEVEL;
    }
    if (tail != CS_TAIL_LOWER && tail != CS_TAIL_UPPER) status = CS_BAD_TAIL;
    if (n == 0 || n_levels == 0) status = CS_EMPTY;
    if (status == CS_OK && (workspace == NULL || workspace_size < workspace_bytes(n, n_levels, weights != NULL)))
        status = CS_SMALL_WORKSPACE;
    if (status != CS_OK) return status;
    targets = (cs_target *)(scratch + scratch_size);
    results = (cs_tail *)(targets + n_levels);
    for (size_t i = 0; i < n_levels; i++) targets[i] = cs_target_of(levels[i], n);
    scratch_size -= CS_SCRATCH_MARGIN;
    status = weights ? cs_active()->tail_weighted(&outcomes, weights, targets, n_levels, scratch, scratch_size, &used, results)
                     : cs_active()->tail(&outcomes, targets, n_levels, scratch, scratch_size, results);
    if (status != CS_OK) return status;
    for (size_t i = 0; i < n_levels; i++) {
        if (es) es[i] = results[i].es;
        if (var) var[i] = results[i].var;
    }
    return CS_OK;
}

int cs_es_var_levels(const double *x, size_t n, const double *levels, size_t n_levels, int tail, void *workspace,
                     size_t workspace_size, double *es, double *var) {
    return tail_of(x, 0, NULL, n, levels, n_levels, tail, workspace, workspace_size, es, var);
}

int cs_es_var_levels_f32(const float *x, size_t n, const double *levels, size_t n_levels, int tail, void *workspace,
                         size_t workspace_size, double *es, double *var) {
    return tail_of(x, 1, NULL, n, levels, n_levels, tail, workspace, workspace_size, es, var);
}

int cs_es_var(const double *x, size_t n, double level, int tail, void *workspace, size_t workspace_size, double *es,
              double *var) {
    return tail_of(x, 0, NULL, n, &level, 1, tail, workspace, workspace_size, es, var);
}

int cs_es_var_f32(const float *x, size_t n, double level, int tail, void *workspace, size_t workspace_size, double *es,
                  double *var) {
    return tail_of(x, 1, NULL, n, &level, 1, tail, workspace, workspace_size, es, var);
}

int cs_es_var_weighted(const double *x, const double *weights, size_t n, const double *levels, size_t n_levels, int tail,
                       void *workspace, size_t workspace_size, double *es, double *var) {
    return tail_of(x, 0, weights, n, levels, n_levels, tail, workspace, workspace_size, es, var);
}

int cs_es_var_weighted_f32(const float *x, const double *weights, size_t n, const double *levels, size_t n_levels,
                           int tail, void *workspace, size_t workspace_size, double *es, double *var) {
    return tail_of(x, 1, weights, n, levels, n_levels, tail, workspace, workspace_size, es, var);
}
