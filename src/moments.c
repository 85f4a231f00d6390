#include "moments.h"

#include <math.h>

#include "elementary.h"

#define LANES 8

static double lanes_sum(const double *a) {
    return ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]));
}

/* A power of two that brings the largest of the magnitudes near 1: the scaling is exact but for values so small
 * against the largest that they do not matter. */
static double scale_of(double magnitude) {
    const int64_t exponent = (int64_t)(cs_bits_of(magnitude) >> 52 & 0x7FF) - 1023;
    const int64_t bounded = exponent > 1000 ? 1000 : (exponent < -1000 ? -1000 : exponent);
    return cs_double_of((uint64_t)(1023 - bounded) << 52);
}

static double largest(const double *x, size_t n, int sign) {
    double best[LANES];
    for (size_t lane = 0; lane < LANES; lane++) best[lane] = sign * x[0];
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (size_t lane = 0; lane < LANES; lane++) {
            const double value = sign * x[i + lane];
            best[lane] = value > best[lane] ? value : best[lane];
        }
    }
    for (; i < n; i++) best[0] = sign * x[i] > best[0] ? sign * x[i] : best[0];
    for (size_t lane = 1; lane < LANES; lane++) best[0] = best[lane] > best[0] ? best[lane] : best[0];
    return sign * best[0];
}

/* Adds the first four powers of scale*x - centre, times the weight, to the sums of a lane. */
static inline void add_powers(double sums[5][LANES], size_t lane, double deviation, double weight) {
    const double square = deviation * deviation;
    const double weighted_square = weight * square;
    sums[0][lane] += weight;
    sums[1][lane] += weight * deviation;
    sums[2][lane] += weighted_square;
    sums[3][lane] += weighted_square * deviation;
    sums[4][lane] += weighted_square * square;
}

static void power_means(const double *x, size_t n, const double *weights, double scale, double weight_scale,
                        double centre, double *means) {
    double sums[5][LANES] = {{0.0}};
    size_t i = 0;
    if (weights) {
        for (; i + LANES <= n; i += LANES)
            for (size_t lane = 0; lane < LANES; lane++)
                add_powers(sums, lane, scale * x[i + lane] - centre, weight_scale * weights[i + lane]);
    } else {
        for (; i + LANES <= n; i += LANES)
            for (size_t lane = 0; lane < LANES; lane++) add_powers(sums, lane, scale * x[i + lane] - centre, 1.0);
    }
    for (; i < n; i++) add_powers(sums, i % LANES, scale * x[i] - centre, weights ? weight_scale * weights[i] : 1.0);
    const double total = lanes_sum(sums[0]);
    for (size_t power = 1; power < 5; power++) means[power] = lanes_sum(sums[power]) / total;
}

void cs_moments(const double *x, size_t n, const double *weights, double *out) {
    const double high = largest(x, n, 1), low = largest(x, n, -1);
    out[0] = x[0];
    out[1] = out[2] = out[3] = 0.0;
    if (high == low) return;

    const double scale = scale_of(high > -low ? high : -low);
    const double weight_scale = weights ? scale_of(largest(weights, n, 1)) : 1.0;
    double means[5];
    power_means(x, n, weights, scale, weight_scale, 0.0, means);
    const double centre = means[1];
    power_means(x, n, weights, scale, weight_scale, centre, means);

    /* What the first mean's rounding left over moves the mean and the powers to their exact centre. */
    const double rest = means[1];
    const double second = means[2] - rest * rest;
    const double third = means[3] - rest * (3.0 * means[2] - 2.0 * rest * rest);
    const double fourth = means[4] - rest * (4.0 * means[3] - rest * (6.0 * means[2] - 3.0 * rest * rest));
    out[0] = (centre + rest) / scale;
    out[1] = sqrt(second) / scale;
    out[2] = third / (second * sqrt(second));
    out[3] = fourth / (second * second) - 3.0;
}

void cs_excess(const double *x, size_t n, const double *weights, double threshold, double *out) {
    const double weight_scale = weights ? scale_of(largest(weights, n, 1)) : 1.0;
    double sums[4][LANES] = {{0.0}};
    for (size_t i = 0; i < n; i += LANES) {
        const size_t lanes = n - i < LANES ? n - i : LANES;
        for (size_t lane = 0; lane < lanes; lane++) {
            const double weight = weights ? weight_scale * weights[i + lane] : 1.0;
            const double excess = x[i + lane] > threshold ? x[i + lane] - threshold : 0.0;
            sums[0][lane] += weight;
            sums[1][lane] += weight * weight;
            sums[2][lane] += weight * excess;
            sums[3][lane] += weight * excess * excess;
        }
    }
    const double total = lanes_sum(sums[0]);
    const double mean = lanes_sum(sums[2]) / total;
    const double variance = lanes_sum(sums[3]) / total - mean * mean;
    out[0] = mean;
    out[1] = variance > 0.0 ? variance : 0.0;
    out[2] = total / (lanes_sum(sums[1]) / total);
}

/* For q >= 0: *log_part = log(1 + q)/q, *first = (q/(1+q) - log(1+q))/q^2 and *second = (2 log(1+q) - 2q/(1+q) -
 * q^2/(1+q)^2)/q^3, all finite at 0. With t = q/(2+q), log(1+q) = 2t(1 + t^2 rest), where rest = 1/3 + t^2/5 + t^4/7 +
 * ...; written in rest nothing cancels. */
static inline void dof_terms(double q, double *log_part, double *first, double *second) {
    const double t = q / (2.0 + q);
    const double square = t * t;
    double series = 1.0 / 35;
    for (int k = 33; k >= 3; k -= 2) series = series * square + 1.0 / k;
    const double logarithm = cs_log1p(q);
    const double far = square > 0.1 ? square : 0.1;
    const double direct = (logarithm / (2.0 * (t > 0.1 ? t : 0.1)) - 1.0) / far;
    const double rest = square > 0.1 ? direct : series;
    const double one_minus = 2.0 / (2.0 + q); /* 1 - t */
    const double inverse = 1.0 / (1.0 + t);
    *log_part = square > 0.1 ? logarithm / (q > 0.1 ? q : 0.1) : one_minus * (1.0 + square * rest);
    *first = -0.5 * one_minus * one_minus * (inverse + t * rest);
    *second = 0.5 * one_minus * one_minus * one_minus * (inverse * inverse + rest);
}

static inline void add_student(double sums[CS_STUDENT_COUNT][LANES], size_t lane, double z, double inverse_dof,
                               double weight) {
    const double u = z * z;
    const double q = inverse_dof * u;
    const double a = 1.0 / (1.0 + q);
    const double omega = (1.0 + inverse_dof) * a;
    const double cross = a * a * (1.0 - u);
    double log_part, first, second;
    dof_terms(q, &log_part, &first, &second);
    sums[CS_STUDENT_LIKELIHOOD][lane] += weight * (-0.5 * (1.0 + inverse_dof) * u * log_part);
    sums[CS_STUDENT_OMEGA][lane] += weight * omega;
    sums[CS_STUDENT_OMEGA_Z][lane] += weight * (omega * z);
    sums[CS_STUDENT_OMEGA_U][lane] += weight * (omega * u);
    sums[CS_STUDENT_MM][lane] += weight * (omega * a * (1.0 - q));
    sums[CS_STUDENT_MS][lane] += weight * (omega * a * z);
    sums[CS_STUDENT_SS][lane] += weight * (omega * a * u);
    sums[CS_STUDENT_MD][lane] += weight * (cross * z);
    sums[CS_STUDENT_SD][lane] += weight * (cross * u);
    sums[CS_STUDENT_D][lane] += weight * (-0.5 * u * (u * first + a));
    sums[CS_STUDENT_DD][lane] += weight * (-0.5 * u * u * (u * second - a * a));
}

void cs_student_sums(const double *x, size_t n, const double *weights, double location, double scale,
                     double inverse_dof, double out[CS_STUDENT_COUNT]) {
    double sums[CS_STUDENT_COUNT][LANES] = {{0.0}};
    double totals[LANES] = {0.0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (size_t lane = 0; lane < LANES; lane++) {
            const double weight = weights ? weights[i + lane] : 1.0;
            add_student(sums, lane, (x[i + lane] - location) / scale, inverse_dof, weight);
            totals[lane] += weight;
        }
    }
    for (; i < n; i++) {
        const double weight = weights ? weights[i] : 1.0;
        add_student(sums, i % LANES, (x[i] - location) / scale, inverse_dof, weight);
        totals[i % LANES] += weight;
    }
    const double total = lanes_sum(totals);
    for (size_t k = 0; k < CS_STUDENT_COUNT; k++) out[k] = lanes_sum(sums[k]) / total;
}

void cs_student_dof_scores(const double *x, size_t n, double location, double scale, double inverse_dof, double *out) {
    for (size_t i = 0; i < n; i++) {
        const double z = (x[i] - location) / scale;
        const double u = z * z;
        const double q = inverse_dof * u;
        double log_part, first, second;
        dof_terms(q, &log_part, &first, &second);
        out[i] = -0.5 * u * (u * first + 1.0 / (1.0 + q));
    }
}
