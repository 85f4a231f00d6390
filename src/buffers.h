/* Outcomes loaded in lanes; counting, thresholds and exact sums in buffers of them that a cache holds. */
#ifndef CS_BUFFERS_H
#define CS_BUFFERS_H

#include "exact.h"
#include "kernels.h"
#include "lanes.h"

#define CS_SUM_STEPS 256     /* vectors a lane adds before it is folded into the total: bounds the error term */

CS_INLINE vd outcomes_load(const void *data, int is_f32, size_t i, vd flip) {
    return vd_xor(is_f32 ? vd_load_f32((const float *)data + i) : vd_load((const double *)data + i), flip);
}

CS_INLINE double outcome_at(const cs_outcomes *x, size_t i) {
    double v = x->is_f32 ? (double)((const float *)x->data)[i] : ((const double *)x->data)[i];
    return x->flip ? -v : v;
}

CS_INLINE vd flip_lanes(uint64_t flip) {
    double d;
    memcpy(&d, &flip, 8);
    return vd_set(d);
}

CS_INLINE cs_outcomes outcomes_of(const double *data, size_t n) {
    cs_outcomes x = {data, NULL, n, 0, 0};
    return x;
}

/* Into the second-level cache: more lines are on their way at once than the first one can wait for. */
CS_INLINE void fetch_next_row(cs_ahead *next) {
    size_t share;
    if (!next) return;
    share = next->lines < next->share ? next->lines : next->share;
    for (size_t k = 0; k < share; k++) prefetch_far(next->at + 64 * k);
    next->at += 64 * share;
    next->lines -= share;
}

/* ---- counting in a buffer ------------------------------------------------------------------------------------- */

/* Fills the buffer up to whole vectors; returns how many values that took. */
CS_INLINE size_t buffer_pad(double *b, size_t m, double fill) {
    size_t whole = (m + CS_LANES - 1) / CS_LANES * CS_LANES;
    for (size_t i = m; i < whole; i++) b[i] = fill;
    return whole - m;
}

CS_INLINE size_t buffer_count_lt(const double *b, size_t whole, double t) {
    vd limit = vd_set(t);
    size_t count = 0;
    for (size_t i = 0; i < whole; i += CS_LANES) count += vm_count(vd_lt(vd_load(b + i), limit));
    return count;
}

CS_INLINE size_t buffer_count_le(const double *b, size_t whole, double t) {
    vd limit = vd_set(t);
    size_t count = 0;
    for (size_t i = 0; i < whole; i += CS_LANES) count += vm_count(vd_le(vd_load(b + i), limit));
    return count;
}

CS_INLINE double buffer_least_above(const double *b, size_t whole, double a) {
    vd limit = vd_set(a), inf = vd_set(INFINITY), least = inf;
    for (size_t i = 0; i < whole; i += CS_LANES) {
        vd v = vd_load(b + i);
        least = vd_min(least, vd_where(vd_le(v, limit), inf, v));
    }
    return vd_reduce_min(least);
}

CS_INLINE double buffer_most_up_to(const double *b, size_t whole, double t) {
    vd limit = vd_set(t), inf = vd_set(-INFINITY), most = inf;
    for (size_t i = 0; i < whole; i += CS_LANES) {
        vd v = vd_load(b + i);
        most = vd_max(most, vd_where(vd_le(v, limit), v, inf));
    }
    return vd_reduce_max(most);
}

/* Least and largest value; 0 if any is NaN. */
CS_INLINE int buffer_range(const double *b, size_t whole, double *least, double *most) {
    vd low = vd_load(b), high = low;
    vm missing = vm_none();
    for (size_t i = 0; i < whole; i += CS_LANES) {
        vd v = vd_load(b + i);
        low = vd_min(low, v);
        high = vd_max(high, v);
        missing = vm_or(missing, vd_unordered(v, v));
    }
    *least = vd_reduce_min(low);
    *most = vd_reduce_max(high);
    return !vm_any(missing);
}

/* Doubles in their order as integers, for bisection whose number of steps does not depend on the values. */
CS_INLINE int64_t double_key(double x) {
    int64_t k;
    memcpy(&k, &x, 8);
    return k < 0 ? INT64_MIN - k : k;
}

CS_INLINE double key_double(int64_t k) {
    double x;
    k = k < 0 ? INT64_MIN - k : k;
    memcpy(&x, &k, 8);
    return x;
}

CS_INLINE double key_middle(double a, double b) {
    int64_t i = double_key(a), j = double_key(b);
    return key_double((i & j) + ((i ^ j) >> 1));
}

/* A guess for the value of rank r between a (ca values at or below) and b (cb): interpolation, the middle, the middle in
 * the order of the doubles, in turn. */
CS_INLINE double guess(unsigned step, double a, double b, size_t ca, size_t cb, double r) {
    double share;
    if (step % 4 == 3) return key_middle(a, b);
    if (a < -0x1.fffffffffffffp1023) a = -0x1.fffffffffffffp1023;
    if (b > 0x1.fffffffffffffp1023) b = 0x1.fffffffffffffp1023;
    share = step % 2 == 0 ? (r - (double)ca) / (double)(cb - ca) : 0.5;
    return a * (1.0 - share) + b * share;
}

/* A threshold t with at least first and, ties permitting, at most last values of the buffer at or below it. No value NaN;
 * `pads` of the values are copies of b[0] that do not count. */
static double buffer_threshold(const double *b, size_t whole, size_t pads, double least, double most, size_t first,
                               size_t last) {
    double a = least, t, middle = 0.5 * (double)(first + last) - 0.5;
    size_t cb = whole - pads, ca, count;
#define COUNT_LE(limit) (buffer_count_le(b, whole, limit) - (b[0] <= (limit) ? pads : 0))
    if (cb <= last) return most;
    ca = COUNT_LE(a);
    if (ca >= first) return a;
    for (unsigned step = 0;; step++) {
        if (ca + 1 == first || step % 4 == 2) {
            t = buffer_least_above(b, whole, a);
            if (ca + 1 == first) return t;
            count = COUNT_LE(t);
            if (count >= first) return t;
            a = t;
            ca = count;
            continue;
        }
        t = guess(step, a, most, ca, cb, middle);
        if (!(t > a && t < most)) t = key_middle(a, most);
        count = COUNT_LE(t);
        if (count < first) {
            a = t;
            ca = count;
        } else {
            most = t;
            cb = count;
            if (count <= last) return t;
        }
    }
#undef COUNT_LE
}

/* ---- sums ------------------------------------------------------------------------------------------------------ */

typedef struct {
    vd s0, c0, s1, c1, magnitude;
} lane_sums;

CS_INLINE void lane_sums_zero(lane_sums *l) { l->s0 = l->c0 = l->s1 = l->c1 = l->magnitude = vd_set(0.0); }

#define LANE_ADD(s, c, v)                                                         \
    do {                                                                          \
        vd sum_ = vd_add(s, v), z_ = vd_sub(sum_, s);                             \
        c = vd_add(c, vd_add(vd_sub(s, vd_sub(sum_, z_)), vd_sub(v, z_)));        \
        s = sum_;                                                                 \
    } while (0)

/* Folds the lanes into the total. Each lane added at most `steps` values of at most M in magnitude: its two-sum errors
 * are at most i u M after i steps, so their rounded accumulation is off by less than steps^3 u^2 M; adding up L lanes'
 * low parts and the errors of adding up their high parts is off by less than 2 L u (L steps^2 u M + L^2 steps u M). */
CS_INLINE void lane_sums_fold(lane_sums *l, size_t lanes, size_t steps, cs_sum *total, double *magnitude) {
    double s[2 * CS_LANES], c[2 * CS_LANES], most = vd_reduce_max(l->magnitude), m = (double)steps, n = (double)lanes;
    double e;
    vd_store(s, l->s0);
    vd_store(c, l->c0);
    if (lanes > CS_LANES) {
        vd_store(s + CS_LANES, l->s1);
        vd_store(c + CS_LANES, l->c1);
    }
    for (size_t width = lanes / 2; width > 0; width /= 2)
        for (size_t i = 0; i < width; i++) {
            s[i] = cs_two_sum(s[i], s[i + width], &e);
            c[i] += c[i + width] + e;
        }
    cs_sum_add(total, s[0]);
    cs_sum_add_low(total, c[0]);
    /* In this order neither underflow nor overflow can make the bound too small or infinite. */
    total->err += CS_UNIT_ROUNDOFF * most * (m * n * (m * m + 2.0 * n * m + 2.0 * n * n)) * CS_UNIT_ROUNDOFF;
    if (most > *magnitude) *magnitude = most;
    lane_sums_zero(l);
}

/* Counts and sums the values below t of a buffer padded with infinities. */
static size_t buffer_sum_below(const double *b, size_t whole, double t, cs_sum *total, double *magnitude) {
    lane_sums l;
    vd limit = vd_set(t);
    size_t below = 0, stop;
    lane_sums_zero(&l);
    for (size_t i = 0; i < whole; i = stop) {
        size_t start = i;
        stop = whole - i > 2 * CS_LANES * CS_SUM_STEPS ? i + 2 * CS_LANES * CS_SUM_STEPS : whole;
        for (; i + 2 * CS_LANES <= stop; i += 2 * CS_LANES) {
            vd v = vd_load(b + i), w = vd_load(b + i + CS_LANES);
            vm k = vd_lt(v, limit), h = vd_lt(w, limit);
            below += vm_count(k) + vm_count(h);
            v = vd_keep(k, v);
            w = vd_keep(h, w);
            l.magnitude = vd_max(l.magnitude, vd_max(vd_abs(v), vd_abs(w)));
            LANE_ADD(l.s0, l.c0, v);
            LANE_ADD(l.s1, l.c1, w);
        }
        if (i < stop) {
            vd v = vd_load(b + i);
            vm k = vd_lt(v, limit);
            below += vm_count(k);
            v = vd_keep(k, v);
            l.magnitude = vd_max(l.magnitude, vd_abs(v));
            LANE_ADD(l.s0, l.c0, v);
        }
        lane_sums_fold(&l, 2 * CS_LANES, (stop - start) / (2 * CS_LANES) + 1, total, magnitude);
    }
    return below;
}

#endif
