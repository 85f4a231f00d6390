#include "resample.h"

#include <math.h>
#include <string.h>

#include "streams.h"

void cs_positions_fill(const double *weights, size_t n, double *cumulative, int64_t *guide) {
    double largest = 0.0, total = 0.0;
    for (size_t i = 0; i < n; i++) largest = weights[i] > largest ? weights[i] : largest;
    for (size_t i = 0; i < n; i++) {
        total += weights[i] / largest;
        cumulative[i] = total;
    }
    for (size_t i = 0; i < n; i++) cumulative[i] /= total;
    for (size_t i = 0, k = 0; k < n; k++) {
        while (cumulative[i] <= (double)k / (double)n) i++;
        guide[k] = (int64_t)i;
    }
}

size_t cs_resample_blocks_workspace(size_t n, size_t block_length) {
    /* Losses and weights with the first block repeated behind the last outcome, counts, and where the blocks start. */
    return 2 * (n + block_length) + (n + 1) + (n / block_length + 1);
}

void cs_resample_blocks(const double *losses, const int64_t *order, const double *weights, size_t n,
                        double tail_fraction, size_t block_length, const uint64_t key[4], size_t block, size_t count,
                        double *workspace, double *es, double *var, double *standard_error) {
    const size_t blocks = (n + block_length - 1) / block_length;
    double *series = workspace;
    double *series_weights = series + n + block_length;
    double *cover = series_weights + n + block_length;
    double *starts = cover + n + 1;
    stream s;

    for (size_t i = 0; i < n + block_length; i++) {
        series[i] = losses[i < n ? i : i - n];
        series_weights[i] = weights ? weights[i < n ? i : i - n] : 1.0;
    }
    stream_start(&s, key, block);
    for (size_t replicate = 0; replicate < count; replicate++) {
        memset(cover, 0, (n + 1) * sizeof *cover);
        for (size_t k = 0; k < blocks; k++) {
            const size_t start = position_of((cs_positions){NULL, NULL, n}, stream_uniform(&s));
            const size_t end = start + (k + 1 < blocks ? block_length : n - (blocks - 1) * block_length);
            starts[k] = (double)start;
            cover[start] += 1.0;
            if (end > n) cover[0] += 1.0;
            cover[end > n ? end - n : end] -= 1.0;
        }
        double total = 0.0;
        for (size_t i = 0; i < n; i++) {
            if (i) cover[i] += cover[i - 1];
            total += cover[i] * series_weights[i];
        }

        const double tail_mass = total * tail_fraction;
        double mass = 0.0, sum = 0.0;
        size_t last = 0;
        for (;; last++) {
            mass += cover[order[last]] * series_weights[order[last]];
            if (mass >= tail_mass - 0x1p-52 * total || last + 1 == n) break;
        }
        const double value = losses[order[last]];
        var[replicate] = value;
        if (value - value != 0.0) {
            es[replicate] = value;
            standard_error[replicate] = cs_double_of(0x7FF8000000000000u);
            continue;
        }
        for (size_t i = 0; i < last; i++)
            sum += cover[order[i]] * series_weights[order[i]] * (losses[order[i]] - value);
        es[replicate] = value + sum / tail_mass;

        const double mean = sum / total;
        double squares = 0.0;
        for (size_t k = 0; k < blocks; k++) {
            const size_t start = (size_t)starts[k];
            const size_t length = k + 1 < blocks ? block_length : n - (blocks - 1) * block_length;
            double deviation = 0.0;
            for (size_t i = start; i < start + length; i++)
                deviation += series_weights[i] * ((series[i] > value ? series[i] - value : 0.0) - mean);
            squares += deviation * deviation;
        }
        standard_error[replicate] = sqrt(squares * (double)blocks / (double)(blocks - 1)) / tail_mass;
    }
}

void cs_resample_means(const double *columns, cs_positions positions, size_t draws, const uint64_t key[4], size_t block,
                       size_t count, double *out) {
    const double n = (double)draws;
    stream s;
    stream_start(&s, key, block);
    for (size_t replicate = 0; replicate < count; replicate++, out += 4) {
        double sum[2] = {0.0}, squares[2] = {0.0};
        for (size_t drawn = 0; drawn < draws; drawn += CS_STREAM_LANES) {
            double u[CS_STREAM_LANES];
            const size_t lanes = draws - drawn < CS_STREAM_LANES ? draws - drawn : CS_STREAM_LANES;
            stream_group(&s, u);
            for (size_t lane = 0; lane < lanes; lane++) {
                const double *row = columns + 2 * position_of(positions, u[lane]);
                for (size_t column = 0; column < 2; column++) {
                    sum[column] += row[column];
                    squares[column] += row[column] * row[column];
                }
            }
        }
        for (size_t column = 0; column < 2; column++) {
            const double spread = squares[column] - sum[column] * sum[column] / n;
            out[column] = sum[column] / n;
            out[2 + column] = sqrt((spread > 0.0 ? spread : 0.0) / (n * (n - 1.0)));
        }
    }
}

void cs_resample_block_means(const double *columns, size_t n, size_t block_length, const uint64_t key[4], size_t block,
                             size_t count, double *out) {
    const size_t blocks = (n + block_length - 1) / block_length;
    const double correction = (double)blocks / (double)(blocks - 1);
    double centre[2] = {0.0};
    stream s;
    for (size_t i = 0; i < n; i++)
        for (size_t column = 0; column < 2; column++) centre[column] += columns[2 * i + column];
    for (size_t column = 0; column < 2; column++) centre[column] /= (double)n;

    stream_start(&s, key, block);
    for (size_t replicate = 0; replicate < count; replicate++, out += 4) {
        double sum[2] = {0.0}, squares[2] = {0.0}, cross[2] = {0.0}, lengths = 0.0;
        for (size_t k = 0; k < blocks; k++) {
            const size_t start = position_of((cs_positions){NULL, NULL, n}, stream_uniform(&s));
            const size_t length = k + 1 < blocks ? block_length : n - (blocks - 1) * block_length;
            double part[2] = {0.0};
            for (size_t i = start; i < start + length; i++)
                for (size_t column = 0; column < 2; column++)
                    part[column] += columns[2 * (i < n ? i : i - n) + column] - centre[column];
            for (size_t column = 0; column < 2; column++) {
                sum[column] += part[column];
                squares[column] += part[column] * part[column];
                cross[column] += part[column] * (double)length;
            }
            lengths += (double)(length * length);
        }
        for (size_t column = 0; column < 2; column++) {
            /* The squares of the block sums about the replicate's own mean, which the blocks' lengths multiply. */
            const double mean = sum[column] / (double)n;
            const double spread = squares[column] - mean * (2.0 * cross[column] - mean * lengths);
            out[column] = centre[column] + mean;
            out[2 + column] = sqrt((spread > 0.0 ? spread : 0.0) * correction) / (double)n;
        }
    }
}

void cs_studentize(const double *value, const double *error, size_t count, double estimate, int logarithmic,
                   double *out) {
    const double infinity = cs_double_of(0x7FF0000000000000u);
    for (size_t i = 0; i < count; i++) {
        const double deviation = value[i] - estimate;
        if (error[i] > 0.0)
            out[i] = logarithmic ? cs_log(value[i] / estimate) * value[i] / error[i] : deviation / error[i];
        else
            out[i] = deviation == 0.0 ? 0.0 : (deviation > 0.0 ? infinity : -infinity);
    }
}

double cs_long_run_variance(const double *x, size_t n, size_t block_length, double centre) {
    double window = 0.0, squares = 0.0;
    for (size_t i = 0; i < block_length; i++) window += x[i % n] - centre;
    for (size_t i = 0; i < n; i++) {
        squares += window * window;
        window += x[(i + block_length) % n] - x[i];
    }
    return squares / ((double)n * (double)block_length);
}

void cs_binomial_ranks(size_t n, double p, double alpha, int64_t ranks[2]) {
    if (p == 1.0) {
        ranks[0] = (int64_t)n;
        ranks[1] = (int64_t)n + 1;
        return;
    }
    const double trials = (double)n, odds = p / (1.0 - p);
    const double mode = floor((trials + 1.0) * p) > trials ? trials : floor((trials + 1.0) * p);
    double total = 1.0, low = mode, high = mode;
    /* The terms below 2^-60 of the mode's hold too little probability to move a rank. */
    double low_term = 1.0, high_term = 1.0;
    while (low > 0.0 && low_term > 0x1p-60) {
        low_term *= low / ((trials - low + 1.0) * odds);
        low -= 1.0;
        total += low_term;
    }
    while (high < trials && high_term > 0x1p-60) {
        high_term *= (trials - high) * odds / (high + 1.0);
        high += 1.0;
        total += high_term;
    }
    const double limit = alpha * total;
    double sum = 0.0, term = low_term;
    while (low <= high && sum + term <= limit) {
        sum += term;
        term *= (trials - low) * odds / (low + 1.0);
        low += 1.0;
    }
    /* low is now the smallest k with P(N <= k) > alpha. */
    ranks[0] = (int64_t)low;
    sum = 0.0;
    term = high_term;
    while (high >= 0.0 && sum + term <= limit) {
        sum += term;
        term *= high / ((trials - high + 1.0) * odds);
        high -= 1.0;
    }
    ranks[1] = (int64_t)high + 1;
}
