/* Steps of a window that moves by one, many at once, where outcomes rise or fall: one after the other takes the first of
 * the candidates out, or puts one ahead of it. What is then ahead of the outcome of the rank, and which outcome that is, is
 * known without a search; sums alone are made step by step. A run ends where a block of the candidates does. */

#include "kernels.h"
#include "lanes.h"
#include "rolling_sum.h"
#include "window.h"

/* Steps in a row with something to do, from which a run is looked for. */
#define CS_RUN_LEAST 8
#define CS_RUN_WAIT 1000 /* outputs at which the wait for another try grows no more */

/* The least of n and of i plus the place of the first lane that is not good. */
CS_INLINE size_t run_cut(size_t n, size_t i, uint64_t good) {
    size_t lane = lowest_bit(~good);
    return lane < CS_LANES && i + lane < n ? i + lane : n;
}

/* The values that the sum of a level takes as they are. */
CS_INLINE uint64_t run_fits(const cs_rolling_sum *s, vd v) {
    vd size = vd_abs(v);
    return (vm_bits(vd_le(vd_set(s->least), size)) & vm_bits(vd_le(size, vd_set(s->most)))) |
           vm_bits(vd_eq(size, vd_set(0.0)));
}

/* Notes n results of a level from output j on: entering[by i] is exchanged for leaving[by i], then the outcome of the rank
 * is value[by i]. */
CS_INLINE void run_note(cs_window_level *l, size_t j, size_t n, const double *entering, const double *leaving,
                        const double *value, ptrdiff_t by) {
    cs_window_pending *p = &l->pending;
    size_t at = p->count;
    double hi = l->sum.hi, lo = l->sum.lo, split = l->sum.split;
    for (size_t i = 0; i < n; i++) {
        double x = entering[by * (ptrdiff_t)i], y = leaving[by * (ptrdiff_t)i];
        double x_high = (x + split) - split, y_high = (y + split) - split;
        hi += x_high - y_high;
        lo += (x - x_high) - (y - y_high);
        p->hi[at + i] = hi;
        p->lo[at + i] = lo;
        p->var[at + i] = 0.0 - value[by * (ptrdiff_t)i];
        p->step[at + i] = j + i;
    }
    p->count = at + n;
    l->sum.hi = hi;
    l->sum.lo = lo;
    l->value = value[by * (ptrdiff_t)(n - 1)];
}

/* At most n steps that take the first candidate out, while those who enter are none or become the last. Returns how many
 * were made. */
static size_t run_rising(cs_candidates *c, const cs_outcomes *x, size_t start, size_t stop, size_t j, size_t n) {
    size_t last = c->n_blocks - 1, fill = c->fill[last];
    double *front = block_at(c, 0), *back = block_at(c, last), entering = outcome_at(x, stop);
    int put = entering < c->threshold;
    vd flip = flip_lanes(x->flip), threshold = vd_set(c->threshold);
    if (c->fill[0] - 1 < n) n = c->fill[0] - 1;
    if (put) {
        if (fill == 0 || entering < back[fill - 1] || c->count >= c->most) return 0;
        if (c->left[last] < n) n = c->left[last];
    }
    for (size_t i = 0; i < c->n_levels; i++) {
        const cs_window_level *l = c->levels + i;
        size_t index = l->target.rank - 1 - l->before, ahead;
        if (l->sum.wide || l->block == c->n_blocks) return 0;
        ahead = c->fill[l->block] - 1 - index;
        if (ahead < n) n = ahead;
        for (size_t k = 0; k < n; k += CS_LANES)
            n = run_cut(n, k, run_fits(&l->sum, vd_load(block_at(c, l->block) + index + 1 + k)));
    }
    for (size_t i = 0; i < n; i += CS_LANES) {
        vd v = outcomes_load(x->data, x->is_f32, stop + i, flip);
        vd before = outcomes_load(x->data, x->is_f32, stop + i - 1, flip);
        uint64_t good = vm_bits(vd_eq(outcomes_load(x->data, x->is_f32, start + i, flip), vd_load(front + i)));
        good &= put ? vm_bits(vd_le(before, v)) & vm_bits(vd_lt(v, threshold)) : vm_bits(vd_lt(threshold, v));
        n = run_cut(n, i, good);
    }
    if (n == 0) return 0;
    for (size_t i = 0; i < c->n_levels; i++) {
        cs_window_level *l = c->levels + i;
        const double *value = block_at(c, l->block) + (l->target.rank - 1 - l->before);
        run_note(l, j, n, value + 1, front, value + 1, 1);
        l->taken += (int64_t)n;
        if (l->taken > l->taken_most) l->taken_most = l->taken;
        if (l->block > 0) l->before -= n;
    }
    c->place[0] += n;
    c->fill[0] -= (uint32_t)n;
    c->count -= n;
    if (put) {
        for (size_t i = 0; i < n; i++) back[fill + i] = outcome_at(x, stop + i);
        c->fill[last] += (uint32_t)n;
        c->left[last] -= (uint32_t)n;
        c->count += n;
    }
    return n;
}

/* At most n steps that put an outcome ahead of the first candidate, while those who leave are none. */
static size_t run_falling(cs_candidates *c, const cs_outcomes *x, size_t start, size_t stop, size_t j, size_t n) {
    double *front = block_at(c, 0);
    size_t room = c->place[0] % CS_WINDOW_BLOCK_ROOM;
    vd flip = flip_lanes(x->flip), threshold = vd_set(c->threshold);
    if (c->count >= c->most) return 0;
    if (c->most - c->count < n) n = c->most - c->count;
    if (room < n) n = room;
    for (size_t i = 0; i < c->n_levels; i++) {
        const cs_window_level *l = c->levels + i;
        size_t index = l->target.rank - 1 - l->before;
        if (l->sum.wide || l->block == c->n_blocks) return 0;
        if (index < n) n = index;
        for (size_t k = 0; k < n; k += CS_LANES)
            n = run_cut(n, k, run_fits(&l->sum, outcomes_load(x->data, x->is_f32, stop + k, flip)));
    }
    for (size_t i = 0; i < n; i += CS_LANES) {
        vd v = outcomes_load(x->data, x->is_f32, stop + i, flip);
        uint64_t good = vm_bits(vd_lt(v, outcomes_load(x->data, x->is_f32, stop + i - 1, flip)));
        n = run_cut(n, i, good & vm_bits(vd_lt(threshold, outcomes_load(x->data, x->is_f32, start + i, flip))));
    }
    if (n == 0) return 0;
    for (size_t i = 1; i <= n; i++) *(front - i) = outcome_at(x, stop + i - 1);
    for (size_t i = 0; i < c->n_levels; i++) {
        cs_window_level *l = c->levels + i;
        const double *value = block_at(c, l->block) + (l->target.rank - 1 - l->before);
        run_note(l, j, n, front - 1, value, value - 1, -1);
        l->taken -= (int64_t)n;
        if (l->block > 0) l->before += n;
    }
    c->place[0] -= n;
    c->fill[0] += (uint32_t)n;
    c->count += n;
    return n;
}

/* Makes the next steps, at most n, from output j on, if they are a run; returns how many were made. */
static size_t rolling_run(cs_candidates *c, const cs_outcomes *x, size_t start, size_t stop, size_t j, size_t n) {
    double front = candidates_worst(c);
    if (c->count == 0) return 0;
    for (size_t i = 0; i < c->n_levels; i++)
        if (CS_WINDOW_STRIDE - c->levels[i].pending.count < n) n = CS_WINDOW_STRIDE - c->levels[i].pending.count;
    if (outcome_at(x, start) == front) return run_rising(c, x, start, stop, j, n);
    if (outcome_at(x, stop) < front) return run_falling(c, x, start, stop, j, n);
    return 0;
}
