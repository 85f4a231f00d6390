/* cshortfall: Expected Shortfall and Value at Risk from C.
 *
 * Link libcshortfall.a (folder: cshortfall.get_library_dir(); add -lm on Unix). No function allocates, keeps state, locks or sets
 * errno; all may be called from any thread. Results are the bits that the Python package returns, on every instruction
 * set.
 *
 * Outcomes are P&L or returns, gains positive; with CS_TAIL_UPPER they are losses. `level` is the confidence in [0, 1):
 * 0.975 means the worst 2.5 %. es and var are losses: positive when money is lost. Any of the result pointers may be
 * NULL. Functions return a status; results are NaN unless it is CS_OK.
 *
 * Versions of the interface: 2 added the windows. */
#ifndef CSHORTFALL_H
#define CSHORTFALL_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CSHORTFALL_VERSION "0.1.0"
/* Raised by one when functions are added; none is ever changed or removed. */
#define CSHORTFALL_API_VERSION 2

enum {
    CS_OK = 0,
    CS_NAN = 1,             /* an outcome is NaN */
    CS_EMPTY = 2,           /* no outcome, or no level */
    CS_BAD_WEIGHT = 3,      /* a weight is negative, infinite or NaN */
    CS_ZERO_WEIGHT = 4,     /* all weights are zero */
    CS_BAD_LEVEL = 5,       /* a level is not in [0, 1) */
    CS_BAD_TAIL = 6,        /* tail is neither CS_TAIL_LOWER nor CS_TAIL_UPPER */
    CS_SMALL_WORKSPACE = 7, /* the workspace is NULL or has fewer bytes than cs_workspace_size says */
    CS_ISA_UNKNOWN = 8,     /* no such instruction set in this build */
    CS_ISA_UNSUPPORTED = 9, /* this processor lacks the instruction set */
    CS_TOO_FEW = 10         /* a window holds fewer outcomes than it was told to wait for */
};

enum { CS_TAIL_LOWER = 0, CS_TAIL_UPPER = 1 };

/* CSHORTFALL_API_VERSION of the library, to compare with the header's. */
int cs_api_version(void);

/* A sentence for a status code. */
const char *cs_status_message(int status);

/* Chooses the instruction set by name, or the best one (NULL). Optional: the first call does it otherwise. */
int cs_init(const char *isa);
/* The name of the one in use; the i-th of this build, best first, NULL behind the last; does the processor have it? */
const char *cs_isa(void);
const char *cs_isa_name(size_t i);
int cs_isa_available(const char *isa);

/* Bytes of workspace for n outcomes and n_levels levels, aligned as malloc aligns. */
size_t cs_workspace_size(size_t n, size_t n_levels);
size_t cs_weighted_workspace_size(size_t n, size_t n_levels);

/* One level. */
int cs_es_var(const double *x, size_t n, double level, int tail, void *workspace, size_t workspace_size, double *es,
              double *var);
int cs_es_var_f32(const float *x, size_t n, double level, int tail, void *workspace, size_t workspace_size, double *es,
                  double *var);

/* Several levels in any order, es[i] and var[i] for levels[i], in little more than the time of one. */
int cs_es_var_levels(const double *x, size_t n, const double *levels, size_t n_levels, int tail, void *workspace,
                     size_t workspace_size, double *es, double *var);
int cs_es_var_levels_f32(const float *x, size_t n, const double *levels, size_t n_levels, int tail, void *workspace,
                         size_t workspace_size, double *es, double *var);

/* Outcomes with weights of any scale. */
int cs_es_var_weighted(const double *x, const double *weights, size_t n, const double *levels, size_t n_levels, int tail,
                       void *workspace, size_t workspace_size, double *es, double *var);
int cs_es_var_weighted_f32(const float *x, const double *weights, size_t n, const double *levels, size_t n_levels,
                           int tail, void *workspace, size_t workspace_size, double *es, double *var);

/* A window of the latest outcomes, from version 2 on. Results are the bits of cs_es_var_levels on the outcomes that it
 * holds; NaN holds a place and is no outcome. One thread at a time may use a window. */
typedef struct cs_window cs_window;

/* Bytes of memory for a window of `length` places. */
size_t cs_window_size(size_t length, size_t n_levels);

/* Makes an empty window in the memory, which the caller keeps in place while the window is used. Results are NaN while
 * the window holds fewer than min_count outcomes, or none. */
int cs_window_init(void *memory, size_t memory_size, size_t length, const double *levels, size_t n_levels, int tail,
                   size_t min_count, cs_window **window);

/* Puts a value in, in the place of the oldest if the window is full: es[i] and var[i] for levels[i]. */
int cs_window_push(cs_window *window, double value, double *es, double *var);

/* How many outcomes the window holds; all places that are taken, NaN included, oldest first, and their number. */
size_t cs_window_count(const cs_window *window);
size_t cs_window_values(const cs_window *window, double *values);

/* Makes the window empty. */
void cs_window_reset(cs_window *window);

#ifdef __cplusplus
}
#endif

#endif
