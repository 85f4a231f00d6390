/* What moving windows keep: the candidates for their tails, and where that lies in the caller's memory. */
#ifndef CS_WINDOW_H
#define CS_WINDOW_H

#include <stddef.h>
#include <stdint.h>

#include "kernels.h"
#include "lanes.h"

/* An exact sum, see rolling_sum.h: hi + lo, or, when `wide`, the sum of word[i] 2^(32 i - CS_ROLLING_SUM_BIAS), whose words
 * between low and high alone may differ from 0. */
#define CS_ROLLING_SUM_WORDS 68
#define CS_ROLLING_SUM_BIAS 1088

typedef struct {
    double hi, lo;
    double split;       /* a value plus this less this is its high part */
    double least, most; /* magnitudes that may be split */
    int wide, low, high;
    uint32_t pending;
    int64_t word[CS_ROLLING_SUM_WORDS];
} cs_rolling_sum;

/* Steps of a window that are looked at together: the bits of a word. */
#define CS_WINDOW_STRIDE 64

/* Results of a level that are still to be divided: the exact sum up to the rank, VaR, the output where they begin. */
typedef struct {
    double hi[CS_WINDOW_STRIDE], lo[CS_WINDOW_STRIDE], es[CS_WINDOW_STRIDE], var[CS_WINDOW_STRIDE];
    size_t step[CS_WINDOW_STRIDE];
    size_t count, filled; /* outputs that are written */
} cs_window_pending;

/* The tail of one level. */
typedef struct {
    double level;
    cs_target target;
    double over, over_rest, over_err; /* c less the rank, and a bound for what the pair leaves off */
    double value;                     /* the outcome of the rank */
    size_t block, before;             /* where it lies; candidates in the blocks ahead */
    cs_rolling_sum sum;               /* of the outcomes up to the rank */
    size_t terms;                     /* how many the sum may have; changes since it was begun, while it is wide */
    size_t wide_for;
    int changed;                      /* since the result was computed */
    int64_t taken, taken_most;        /* outcomes that left the tail less those that entered it, since `since` */
    cs_tail result;
    cs_window_pending pending;
} cs_window_level;

/* Outcomes of a block of candidates, which need not begin where its memory does; NaN behind the last, for a vector more. */
#define CS_WINDOW_BLOCK 64
#define CS_WINDOW_BLOCK_ROOM (CS_WINDOW_BLOCK + 8)

/* The largest rank of rolling_stretches.h, and the most steps that a lane makes at once; doubles of memory for these. */
#define CS_STRETCH_RANK 64
#define CS_STRETCH_STEPS 1024
#define CS_STRETCHES_ROOM (3 * CS_STRETCH_STEPS * CS_SLACK)

/* The outcomes of a window that are below a threshold, sorted, in blocks, and a count of those equal to it; see
 * window_kernels.h. */
typedef struct cs_candidates {
    double threshold;
    size_t count, ties;  /* outcomes below the threshold; equal to it */
    size_t present;      /* outcomes in the window that are not missing */
    size_t counted;      /* the number of outcomes that the targets are for */
    size_t need, widest; /* the largest rank, and the level that has it */
    size_t most;         /* candidates that are not worth keeping */
    size_t margin;       /* candidates wanted above the need */
    int stale;           /* the candidates are too few, or were never collected */
    uint64_t now, since; /* outcomes entered so far; when candidates were last collected or cut off */
    uint64_t review;     /* when to look whether fewer candidates would do */
    size_t n_levels, n_blocks, blocks_most, capacity;
    cs_window_level *levels;
    double *first;   /* the smallest outcome of each block, -inf for block 0 */
    uint32_t *fill;  /* outcomes in it */
    uint32_t *left;  /* free places behind them */
    size_t *place;   /* where its first outcome lies among all blocks; the places behind n_blocks are free */
    double *blocks;
    double *scratch; /* for as many outcomes as a window holds */
    double *stretches; /* CS_STRETCHES_ROOM, or NULL */
} cs_candidates;

/* A window of the latest outcomes. */
typedef struct cs_window {
    const cs_kernels *kernels;
    size_t length, size, next, min_count;
    uint64_t flip;
    double *values; /* a ring; `next` is the place of the next outcome */
    cs_candidates candidates;
} cs_window;

/* Windows over a series: the j-th covers its positions [starts[j], stops[j]), or, without these,
 * [j step + lead - window, j step + lead), cut at its ends. */
typedef struct cs_windows {
    size_t count;
    const int64_t *starts, *stops;
    int64_t window, lead, step;
    size_t min_count;
} cs_windows;

/* The next `bytes` of memory as whole cache lines; NULL while only the size is wanted. */
CS_INLINE void *cs_memory_take(char *memory, size_t *used, size_t bytes) {
    size_t at = *used;
    *used += (bytes + 63) / 64 * 64;
    return memory ? memory + at : NULL;
}

/* Divides memory behind what is used, for windows of at most `length` outcomes. */
CS_INLINE void cs_candidates_divide(cs_candidates *c, char *memory, size_t *used, size_t length, size_t n_levels) {
    c->capacity = length + 1;
    c->n_levels = n_levels;
    c->blocks_most = 2 * (c->capacity / CS_WINDOW_BLOCK + 1) + 2;
    c->levels = (cs_window_level *)cs_memory_take(memory, used, n_levels * sizeof(cs_window_level));
    c->first = (double *)cs_memory_take(memory, used, (c->blocks_most + CS_SLACK) * sizeof(double));
    c->fill = (uint32_t *)cs_memory_take(memory, used, c->blocks_most * sizeof(uint32_t));
    c->left = (uint32_t *)cs_memory_take(memory, used, c->blocks_most * sizeof(uint32_t));
    c->place = (size_t *)cs_memory_take(memory, used, c->blocks_most * sizeof(size_t));
    c->blocks = (double *)cs_memory_take(memory, used, c->blocks_most * CS_WINDOW_BLOCK_ROOM * sizeof(double));
    c->scratch = (double *)cs_memory_take(memory, used, (c->capacity + 4 * CS_SLACK) * sizeof(double));
}

CS_INLINE void cs_candidates_begin(cs_candidates *c, const double *levels) {
    memset(c->levels, 0, c->n_levels * sizeof *c->levels);
    for (size_t i = 0; i < c->n_levels; i++) c->levels[i].level = levels[i];
}

CS_INLINE char *cs_cache_line(void *memory) { return (char *)(((uintptr_t)memory + 63) / 64 * 64); }

/* Bytes of memory for the candidates of windows of at most `length` outcomes, wherever it begins. */
CS_INLINE size_t cs_candidates_size(size_t length, size_t n_levels) {
    cs_candidates c;
    size_t used = 64 + sizeof c;
    cs_candidates_divide(&c, NULL, &used, length, n_levels);
    cs_memory_take(NULL, &used, CS_STRETCHES_ROOM * sizeof(double));
    return used + 64;
}

/* None yet, for windows of at most `length` outcomes and these levels. */
CS_INLINE cs_candidates *cs_candidates_create(void *memory, size_t length, const double *levels, size_t n_levels) {
    char *start = cs_cache_line(memory);
    cs_candidates *c = (cs_candidates *)start;
    size_t used = (sizeof *c + 63) / 64 * 64;
    memset(c, 0, sizeof *c);
    cs_candidates_divide(c, start, &used, length, n_levels);
    c->stretches = (double *)cs_memory_take(start, &used, CS_STRETCHES_ROOM * sizeof(double));
    cs_candidates_begin(c, levels);
    return c;
}

CS_INLINE void cs_window_divide(cs_window *w, char *memory, size_t *used, size_t length, size_t n_levels) {
    w->values = (double *)cs_memory_take(memory, used, (length + CS_SLACK) * sizeof(double));
    cs_candidates_divide(&w->candidates, memory, used, length, n_levels);
}

CS_INLINE size_t cs_window_bytes(size_t length, size_t n_levels) {
    cs_window w;
    size_t used = 64 + sizeof w;
    cs_window_divide(&w, NULL, &used, length, n_levels);
    return used + 64;
}

CS_INLINE void cs_window_clear(cs_window *w) {
    cs_candidates *c = &w->candidates;
    w->size = w->next = 0;
    c->present = c->counted = c->margin = 0;
    c->now = c->since = 0;
    c->stale = 1;
    for (size_t i = 0; i < c->n_levels; i++) c->levels[i].result.es = c->levels[i].result.var = (double)NAN;
}

/* An empty window in memory of cs_window_bytes; `length` is at least 1. */
CS_INLINE cs_window *cs_window_create(void *memory, const cs_kernels *kernels, size_t length, const double *levels,
                                      size_t n_levels, uint64_t flip, size_t min_count) {
    char *start = cs_cache_line(memory);
    cs_window *w = (cs_window *)start;
    size_t used = (sizeof *w + 63) / 64 * 64;
    memset(w, 0, sizeof *w);
    w->kernels = kernels;
    w->length = length;
    w->min_count = min_count;
    w->flip = flip;
    cs_window_divide(w, start, &used, length, n_levels);
    cs_candidates_begin(&w->candidates, levels);
    cs_window_clear(w);
    return w;
}

/* The outcomes in the window, missing ones included, oldest first, as they were pushed; returns how many. */
CS_INLINE size_t cs_window_copy(const cs_window *w, double *out) {
    size_t oldest = w->size == w->length ? w->next : 0;
    for (size_t i = 0; i < w->size; i++) {
        double x = w->values[oldest + i < w->length ? oldest + i : oldest + i - w->length];
        out[i] = w->flip ? -x : x;
    }
    return w->size;
}

#endif
