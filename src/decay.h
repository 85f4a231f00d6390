/* Expected Shortfall of all outcomes so far, the weight of each the power of a decay factor that its age says.
 *
 * No Python, no threads, no allocation, no globals; the same bits on every machine. */
#ifndef CS_DECAY_H
#define CS_DECAY_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of workspace for n outcomes: 60 to 80 for each. */
size_t cs_decay_workspace_size(size_t n);

/* ES of x[0..t] with weights decay^age for t = 0..n-1, into es[level * n + t]; 0 <= decay < 1, 0 <= level < 1.
 *
 * The age of an outcome is the number of positions since or, if count_outcomes is not 0, of outcomes since. NaN is no
 * outcome: its position repeats the result before it. NaN where fewer than min_count (at least one) outcomes are.
 * order[0..n) sorts x, the smallest first and NaN last; equal outcomes in any order.
 *
 * With W the sum of the weights, C = W (1 - level) and v the smallest outcome whose weight together with that of all
 * smaller ones reaches C, ES = -(sum_{x < v} w x + (C - sum_{x < v} w) v) / C; a cumulative weight (of whole groups of
 * equal outcomes) within W 2^-53 of C counts as C. Infinities as in weighted_kernels.h.
 *
 * Complexity: O(log n) per outcome and level.
 *
 * Error: with u = 2^-53 and M the largest |x| of the tail, the result lies within
 *     2 u |ES| + 40 (n + 64) u^2 M / (1 - level)
 * of the exact value at the exact powers of the decay factor given, while the magnitudes of the outcomes lie within
 * 2^1600 of each other: a weight is a product of at most n factors, 7 u^2 each, a sum of weights adds at most
 * n + 2 log2(n) errors of 3 u^2, and ES is made of three such sums over C. Whether a cumulative weight counts as C is
 * decided with that error as well. An outcome whose weight is below 2^-896 of the newest one's may count as absent. */
void cs_decay_es(const double *x, const int64_t *order, size_t n, double decay, int count_outcomes,
                 const double *levels, size_t n_levels, size_t min_count, void *workspace, double *es);

#endif
