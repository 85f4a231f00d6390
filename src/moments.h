/* Sums over a sample that the parametric estimators need. No Python, no threads, no allocation, no globals.
 * Eight fixed lanes and a fixed tree: the bits do not depend on the instruction set, the compiler or its flags. */
#ifndef CS_MOMENTS_H
#define CS_MOMENTS_H

#include <stddef.h>

/* Mean, standard deviation (divisor n), skewness and excess kurtosis of x[0..n), n >= 1, with probabilities
 * proportional to weights[0..n) (NULL: equal). Values and weights are finite, weights are positive.
 *
 * Two passes after an exact scaling by a power of two, so that no power overflows or underflows; the mean is
 * compensated. out[4] = {mean, deviation, skewness, kurtosis}; a constant sample gives exactly {x[0], 0, 0, 0}.
 * O(n). */
void cs_moments(const double *x, size_t n, const double *weights, double *out);

/* Excess (x - threshold)+ over a finite threshold: out[3] = {mean, variance with divisor n, Kish's effective n, the
 * square of the weights' sum over the sum of their squares (n where weights is NULL)}. O(n). */
void cs_excess(const double *x, size_t n, const double *weights, double threshold, double *out);

/* What cs_student_sums adds up, each entry the weighted mean over the sample. u = z^2, q = inverse_dof u,
 * a = 1/(1 + q), omega = (1 + inverse_dof) a. */
enum {
    CS_STUDENT_LIKELIHOOD, /* -(1 + 1/inverse_dof)/2 log(1 + q), for inverse_dof = 0 its limit -u/2 */
    CS_STUDENT_OMEGA,      /* omega */
    CS_STUDENT_OMEGA_Z,    /* omega z */
    CS_STUDENT_OMEGA_U,    /* omega u */
    CS_STUDENT_MM,         /* omega a (1 - q) */
    CS_STUDENT_MS,         /* omega a z */
    CS_STUDENT_SS,         /* omega a u */
    CS_STUDENT_MD,         /* a^2 z (1 - u) */
    CS_STUDENT_SD,         /* a^2 u (1 - u) */
    CS_STUDENT_D,          /* derivative of the likelihood entry in inverse_dof */
    CS_STUDENT_DD,         /* its second derivative */
    CS_STUDENT_COUNT
};

/* Log-likelihood of Student's t and its derivatives in (location, log scale, inverse_dof), without the terms that do
 * not depend on the data: z = (x - location)/scale, 0 <= inverse_dof <= 1, scale > 0. Accurate, relative to the size
 * of the terms, down to inverse_dof = 0, the normal distribution. O(n). */
void cs_student_sums(const double *x, size_t n, const double *weights, double location, double scale,
                     double inverse_dof, double out[CS_STUDENT_COUNT]);

/* Derivative in inverse_dof of each observation's likelihood entry, into out[0..n). */
void cs_student_dof_scores(const double *x, size_t n, double location, double scale, double inverse_dof, double *out);

#endif
