/* What the sketch computes over arrays with vector primitives. */
#ifndef CS_SKETCH_KERNELS_H
#define CS_SKETCH_KERNELS_H

#include "kernels.h"
#include "lanes.h"

/* Lowers *least and raises *most to the extremes of n outcomes. NaN is passed over: no comparison with it is true, and
 * the primitives then give their second argument. Four accumulators hide the latency of one. O(n). */
static void kernel_extremes(const double *x, size_t n, double *least, double *most) {
    vd low[4], high[4];
    size_t i = 0;
    double a, b;
    for (int k = 0; k < 4; k++) {
        low[k] = vd_set(*least);
        high[k] = vd_set(*most);
    }
    for (; i + 4 * CS_LANES <= n; i += 4 * CS_LANES)
        for (int k = 0; k < 4; k++) {
            vd v = vd_load(x + i + k * CS_LANES);
            low[k] = vd_min(v, low[k]);
            high[k] = vd_max(v, high[k]);
        }
    for (; i < n; i++) {
        *least = x[i] < *least ? x[i] : *least;
        *most = x[i] > *most ? x[i] : *most;
    }
    for (int k = 0; k < 4; k++) {
        a = vd_reduce_min(low[k]);
        b = vd_reduce_max(high[k]);
        *least = a < *least ? a : *least;
        *most = b > *most ? b : *most;
    }
}

#endif
