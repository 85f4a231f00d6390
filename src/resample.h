/* Bootstrap replicates of the tail of a sample. No Python, no threads, no allocation, no globals.
 *
 * Replicates come in blocks of CS_RESAMPLE_BLOCK; the random numbers of block b are a function of (key, b) only, so
 * that any division of the blocks among threads gives the same bits. Only + - * / sqrt and integer operations are used
 * (see elementary.h): the bits are the same on every machine. */
#ifndef CS_RESAMPLE_H
#define CS_RESAMPLE_H

#include <stddef.h>
#include <stdint.h>

#define CS_RESAMPLE_BLOCK 32

/* A distribution on positions 0..n-1: cumulative[i] is the probability of 0..i with cumulative[n-1] = 1, guide[k] the
 * first position with cumulative > k/n. A NULL cumulative stands for equal probabilities. */
typedef struct {
    const double *cumulative;
    const int64_t *guide;
    size_t n;
} cs_positions;

/* Fill cumulative[0..n) and guide[0..n) from positive weights[0..n). O(n). */
void cs_positions_fill(const double *weights, size_t n, double *cumulative, int64_t *guide);

/* Expected Shortfall, VaR and the standard error of the former in count (<= CS_RESAMPLE_BLOCK) resamples of `draws`
 * independent outcomes, drawn from losses[0..n), which are sorted, the largest first.
 *
 * With c = tail_count in (0, draws] and J = ceil(c), the J-th worst of a resample lies at the quantile U of losses, U
 * distributed as Beta(J, draws + 1 - J), and the J - 1 worse ones are independent and uniform below U, in any order:
 * exact, in O(J) instead of O(draws). The standard error is that of the influence function,
 * sd((L - VaR)+) sqrt(draws)/c with divisor draws - 1; draws >= 2. An infinite VaR of a resample gives that ES and a
 * NaN standard error. */
typedef void cs_resample_tail(const double *losses, cs_positions positions, size_t draws, double tail_count,
                              const uint64_t key[4], size_t block, size_t count, double *es, double *var,
                              double *standard_error);
cs_resample_tail cs_resample_tail_baseline, cs_resample_tail_avx2, cs_resample_tail_neon;

/* The same for count resamples made of circular blocks of block_length consecutive outcomes, the last block cut so
 * that n outcomes result. losses[0..n) are in the order of time, order[0..n) sorts them, the largest first;
 * weights[0..n) or NULL travel with them and tail_fraction is the tail count or mass as a fraction of the total. The
 * standard error is that of the sums of (L - VaR)+ over the blocks. workspace:
 * cs_resample_blocks_workspace(n, block_length) doubles. O(n) per replicate. 1 <= block_length <= n/2. */
size_t cs_resample_blocks_workspace(size_t n, size_t block_length);
void cs_resample_blocks(const double *losses, const int64_t *order, const double *weights, size_t n,
                        double tail_fraction, size_t block_length, const uint64_t key[4], size_t block, size_t count,
                        double *workspace, double *es, double *var, double *standard_error);

/* Mean and standard error of the mean of two columns in count resamples of `draws` >= 2 outcomes drawn from n rows:
 * columns[2 i], columns[2 i + 1]. out[4 r..4 r + 4) = {mean, mean, error, error} of replicate r. O(draws) per
 * replicate. */
void cs_resample_means(const double *columns, cs_positions positions, size_t draws, const uint64_t key[4], size_t block,
                       size_t count, double *out);

/* The same for resamples of circular blocks; the standard errors are those of the block sums. Equal weights. */
void cs_resample_block_means(const double *columns, size_t n, size_t block_length, const uint64_t key[4], size_t block,
                             size_t count, double *out);

/* Studentised deviations of count replicates from the estimate into out: (value - estimate)/error, on the log scale
 * log(value/estimate) value/error if logarithmic is not 0 (every value and the estimate positive). A replicate without
 * an error (0 or NaN) gives 0 where it equals the estimate, else an infinity of the deviation's sign. */
void cs_studentize(const double *value, const double *error, size_t count, double estimate, int logarithmic,
                   double *out);

/* Sum of squares of the deviations from `centre` of n outcomes in circular windows of block_length, divided by
 * n block_length: the long-run variance with Bartlett weights and circular autocovariances, never negative. O(n). */
double cs_long_run_variance(const double *x, size_t n, size_t block_length, double centre);

/* Ranks of the order statistics that enclose a quantile. N is binomial (n, p), 0 < p <= 1, 0 < alpha < 1. ranks[0]:
 * the largest r with P(N <= r - 1) <= alpha, 0 if there is none; ranks[1]: the smallest s with P(N >= s) <= alpha,
 * n + 1 at most. The probabilities are summed relative to the mode's. O(sqrt(n p (1 - p))). */
void cs_binomial_ranks(size_t n, double p, double alpha, int64_t ranks[2]);

#endif
