/* Bootstrap replicates of a tail, see resample.h: what of the bootstrap is worth kernels of its own. */
#include <math.h>

#include "resample.h"
#include "streams.h"

CS_INLINE double lanes_sum(const double *a) {
    return ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]));
}

/* Sums of the excess over `value` of `count` outcomes, drawn below `limit`, and of its square. */
CS_INLINE void add_excesses_at(stream *s, const double *losses, cs_positions positions, size_t count, double limit,
                                double value, double *sum, double *square_sum) {
    double sums[CS_STREAM_LANES] = {0.0}, squares[CS_STREAM_LANES] = {0.0};
    for (size_t drawn = 0; drawn < count; drawn += CS_STREAM_LANES) {
        double u[CS_STREAM_LANES], excess[CS_STREAM_LANES];
        stream_group(s, u);
        for (size_t lane = 0; lane < CS_STREAM_LANES; lane++) u[lane] *= limit;
        /* At the limit the excess is 0. */
        for (size_t lane = count - drawn; lane < CS_STREAM_LANES; lane++) u[lane] = limit;
        for (size_t lane = 0; lane < CS_STREAM_LANES; lane++) excess[lane] = losses[position_of(positions, u[lane])] - value;
        for (size_t lane = 0; lane < CS_STREAM_LANES; lane++) {
            sums[lane] += excess[lane];
            squares[lane] += excess[lane] * excess[lane];
        }
    }
    *sum = lanes_sum(sums);
    *square_sum = lanes_sum(squares);
}

/* The same for equal probabilities of less than 2^31 positions. */
CS_INLINE void add_excesses(stream *s, const double *losses, size_t n, size_t count, double limit, double value,
                            double *sum, double *square_sum) {
    static const double lanes[CS_STREAM_LANES] = {0, 1, 2, 3, 4, 5, 6, 7};
    double sums[CS_STREAM_LANES], squares[CS_STREAM_LANES];
    const vd most = vd_set(limit), size = vd_set((double)n), least = vd_set(value);
    vd total[CS_STREAM_LANES / CS_LANES], total_squares[CS_STREAM_LANES / CS_LANES];
    for (size_t k = 0; k < CS_STREAM_LANES / CS_LANES; k++) total[k] = total_squares[k] = vd_set(0.0);
    for (size_t drawn = 0; drawn < count; drawn += CS_STREAM_LANES) {
        const vd left = vd_set((double)(count - drawn));
        for (size_t k = 0; k < CS_STREAM_LANES / CS_LANES; k++) {
            vd u = vd_mul(stream_lanes(s, k * CS_LANES), most), excess;
            /* At the limit the excess is 0. */
            u = vd_where(vd_lt(vd_load(lanes + k * CS_LANES), left), u, most);
            excess = vd_sub(vd_gather(losses, vd_mul(u, size)), least);
            total[k] = vd_add(total[k], excess);
            total_squares[k] = vd_add(total_squares[k], vd_mul(excess, excess));
        }
    }
    for (size_t k = 0; k < CS_STREAM_LANES / CS_LANES; k++) {
        vd_store(sums + k * CS_LANES, total[k]);
        vd_store(squares + k * CS_LANES, total_squares[k]);
    }
    *sum = lanes_sum(sums);
    *square_sum = lanes_sum(squares);
}

void CS_NAME(cs_resample_tail, CS_ISA)(const double *losses, cs_positions positions, size_t draws, double tail_count,
                                       const uint64_t key[4], size_t block, size_t count, double *es, double *var,
                                       double *standard_error) {
    const size_t worst = (size_t)ceil(tail_count);
    const gamma_shape inside = gamma_of((double)worst), outside = gamma_of((double)(draws + 1 - worst));
    const double n = (double)draws, scale = n / (n - 1.0) / (tail_count * tail_count);
    double limits[CS_RESAMPLE_BLOCK];
    stream s;
    stream_start(&s, key, block);
    /* All limits come first, where their rejections cost less, also beyond count: no replicate depends on it. */
    for (size_t replicate = 0; replicate < CS_RESAMPLE_BLOCK; replicate++) {
        const double below = stream_gamma(&s, inside);
        const double share = below / (below + stream_gamma(&s, outside));
        limits[replicate] = share < 1.0 ? share : 1.0 - 0x1p-53;
    }
    for (size_t replicate = 0; replicate < count; replicate++) {
        const double limit = limits[replicate], value = losses[position_of(positions, limit)];
        double sum, squares;
        if (positions.cumulative || positions.n > 0x7fffffff)
            add_excesses_at(&s, losses, positions, worst - 1, limit, value, &sum, &squares);
        else
            add_excesses(&s, losses, positions.n, worst - 1, limit, value, &sum, &squares);
        var[replicate] = value;
        if (value - value == 0.0) {
            const double spread = squares - sum * sum / n;
            es[replicate] = value + sum / tail_count;
            standard_error[replicate] = sqrt((spread > 0.0 ? spread : 0.0) * scale);
        } else {
            es[replicate] = value;
            standard_error[replicate] = cs_double_of(0x7FF8000000000000u);
        }
    }
}

