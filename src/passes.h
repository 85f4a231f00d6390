/* Passes over outcomes: what lies below a bracket is counted and summed, what lies in it is kept. */
#ifndef CS_PASSES_H
#define CS_PASSES_H

#include "buffers.h"

#define CS_BLOCK 4096        /* outcomes between two checks of the space left */
#define CS_LONG 65536        /* longer rows wait for memory: passes fetch ahead, and a miss costs much */
#define CS_AHEAD 3072        /* bytes fetched ahead: less than a page */
#define CS_NEAR 1000         /* ticks for a few loads from a cache, and no disk */
#define CS_SEGMENT 98304     /* outcomes of a far row that a pass reads forward in one go */
#define CS_FAR 393216        /* doubles too many for a second-level cache: a pass has time while it waits for them */

/* Outcomes in front of a cache line's border: loads across borders cost twice. */
CS_INLINE size_t before_line(const void *data, int is_f32) { return (size_t)(-(uintptr_t)data & 63) / (is_f32 ? 4 : 8); }

/* The end of the next block: what it may keep fits into `room`. The first block of a long row ends at a line's border. */
CS_INLINE size_t block_end(const void *data, int is_f32, size_t i, size_t n, size_t room) {
    size_t most = room < CS_BLOCK ? room : CS_BLOCK;
    if (i == 0 && n > CS_BLOCK) {
        size_t ahead = before_line(data, is_f32);
        if (ahead && ahead < most) most = ahead;
    }
    return n - i > most ? i + most : n;
}

/* Fetches vectors that lie CS_AHEAD bytes behind outcome i. A processor's own prefetchers stop at the border of a page,
 * which costs a pass up to half the bandwidth of memory. */
CS_INLINE void fetch_ahead(const void *data, int is_f32, size_t i, size_t vectors) {
    size_t width = is_f32 ? 4 : 8;
    const char *ahead = (const char *)data + i * width + CS_AHEAD;
    for (size_t k = 0; k < vectors * CS_LANES * width; k += 64) prefetch(ahead + k);
}

/* Whether the end of a far row is nearer than its start: in a cache, because it was written last, or read last by the pass
 * before this one. Passes begin with the nearer end: of eight megabytes the second-level cache may hold two. What takes long
 * from either end may lie on a disk, which is read forward. */
static int end_is_nearer(const cs_outcomes *x) {
    const volatile char *start = x->data, *end = start + x->n * (x->is_f32 ? 4 : 8);
    uint64_t before = ticks(), between, after;
    (void)start[65600], (void)start[196640], (void)start[393280];
    between = ticks();
    (void)end[-65600], (void)end[-196640], (void)end[-393280];
    after = ticks();
    return after - between < between - before && after - between < CS_NEAR;
}

/* Appends what outcomes [i, stop) have below `high` to the m kept; returns how many are kept then. They belong to a run
 * that ends at `end`; the next one begins `gap` outcomes behind it. */
CS_INLINE size_t keep_below(const cs_outcomes *x, const void *data, int is_f32, size_t i, size_t stop, size_t end, size_t gap,
                            double high, double *kept, size_t m) {
    vd flip = flip_lanes(x->flip), limit = vd_set(high);
    size_t last = end - CS_AHEAD / (is_f32 ? 4 : 8);
    int is_long = x->n > CS_LONG;
    for (; i + 4 * CS_LANES <= stop; i += 4 * CS_LANES) {
        if (is_long) {
            fetch_ahead(data, is_f32, (ptrdiff_t)i < (ptrdiff_t)last ? i : i + gap, 4);
            prefetch(kept + m + 128);
        }
        for (size_t k = 0; k < 4; k++) {
            vd v = outcomes_load(data, is_f32, i + k * CS_LANES, flip);
            m += vd_append(kept + m, vd_nge(v, limit), v);
        }
    }
    for (; i + CS_LANES <= stop; i += CS_LANES) {
        vd v = outcomes_load(data, is_f32, i, flip);
        m += vd_append(kept + m, vd_nge(v, limit), v);
    }
    for (; i < stop; i++) {
        double v = outcome_at(x, i);
        kept[m] = v;
        m += !(v >= high);
    }
    return m;
}

CS_INLINE void pass_keep_below(const cs_outcomes *x, int is_f32, double high, double *kept, size_t capacity, cs_pass *r) {
    const void *data = x->data; /* the stores might alias the struct */
    size_t i = 0, m = 0, n = x->n;
    while (i < n) {
        size_t room = capacity - m, stop = block_end(data, is_f32, i, n, x->next && room > CS_STRETCH ? CS_STRETCH : room);
        if (CS_UNLIKELY(stop == i)) {
            r->overflow = 1;
            return;
        }
        fetch_next_row(x->next);
        m = keep_below(x, data, is_f32, i, stop, n, 0, high, kept, m);
        i = stop;
    }
    r->kept = m;
}

CS_INLINE void pass_three_way(const cs_outcomes *x, int is_f32, double low, double high, double *kept, size_t capacity,
                              cs_pass *r) {
    vd flip = flip_lanes(x->flip), lo = vd_set(low), hi = vd_set(high);
    const void *data = x->data;
    size_t i = 0, m = 0, n = x->n, below = 0, at_low = 0, at_high = 0;
    lane_sums l;
    lane_sums_zero(&l);
    while (i < n) {
        size_t stop = block_end(data, is_f32, i, n, capacity - m), start = i;
        if (CS_UNLIKELY(stop == i)) {
            r->overflow = 1;
            return;
        }
#define THREE_WAY(s, c)                                                            \
    do {                                                                           \
        vd v_ = outcomes_load(data, is_f32, i, flip);                              \
        vm k_ = vd_lt(v_, lo), not_above_ = vd_le(v_, lo);                         \
        vd tail_ = vd_keep(k_, v_);                                                \
        below += vm_count(k_);                                                     \
        at_low += vm_count(not_above_);                                            \
        at_high += vm_count(vd_eq(v_, hi));                                        \
        m += vd_append(kept + m, vm_andnot(not_above_, vd_nge(v_, hi)), v_);       \
        l.magnitude = vd_max(l.magnitude, vd_abs(tail_));                          \
        LANE_ADD(s, c, tail_);                                                     \
        i += CS_LANES;                                                             \
    } while (0)
        while (i + 2 * CS_LANES <= stop) {
            if (n > CS_LONG) fetch_ahead(data, is_f32, i, 2);
            THREE_WAY(l.s0, l.c0);
            THREE_WAY(l.s1, l.c1);
        }
        if (i + CS_LANES <= stop) THREE_WAY(l.s0, l.c0);
        lane_sums_fold(&l, 2 * CS_LANES, (stop - start) / (2 * CS_LANES) + 1, &r->sum, &r->magnitude);
        for (; i < stop; i++) {
            double v = outcome_at(x, i);
            if (v < low) {
                below++;
                cs_sum_add(&r->sum, v);
                if (fabs(v) > r->magnitude) r->magnitude = fabs(v);
            }
            at_low += v <= low;
            at_high += v == high;
            kept[m] = v;
            m += !(v >= high) && !(v <= low);
        }
    }
    r->below = below;
    r->at_low = at_low - below;
    r->at_high = low == high ? 0 : at_high;
    r->kept = m;
}

/* What a pass for one level keeps for the next, which is further in. */
typedef struct {
    double high;
    double *kept;
    size_t count;
} cs_inner;

/* The three-way pass over a buffer with half the comparisons: ties with the bracket's ends are kept. With `inner` those
 * below inner->high are also kept there. Adds to what r and inner hold already; what is kept may overwrite x. */
CS_INLINE void pass_band(const double *x, size_t n, double low, double high, double *kept, size_t capacity, cs_inner *inner,
                         cs_pass *r) {
    vd lo = vd_set(low), hi = vd_set(high), innermost = vd_set(inner ? inner->high : 0.0);
    size_t i = 0, m = r->kept, below = r->below, inside = inner ? inner->count : 0;
    while (i < n) {
        size_t used = inner && inside > m ? inside : m;
        size_t stop = block_end(x, 0, i, n, capacity - used), start = i;
        double least;
        lane_sums l;
        if (CS_UNLIKELY(stop == i)) {
            r->overflow = 1;
            return;
        }
        lane_sums_zero(&l);
#define BAND(s, c)                                                                      \
    do {                                                                                \
        vd v_ = vd_load(x + i), tail_;                                                  \
        vm k_ = vd_lt(v_, lo);                                                          \
        m += vd_append(kept + m, vm_andnot(k_, vd_ngt(v_, hi)), v_);                    \
        if (inner) inside += vd_append(inner->kept + inside, vd_lt(v_, innermost), v_); \
        below += vm_count(k_);                                                          \
        tail_ = vd_keep(k_, v_);                                                        \
        l.magnitude = vd_min(l.magnitude, tail_);                                       \
        LANE_ADD(s, c, tail_);                                                          \
        i += CS_LANES;                                                                  \
    } while (0)
        while (i + 2 * CS_LANES <= stop) {
            BAND(l.s0, l.c0);
            BAND(l.s1, l.c1);
        }
        if (i + CS_LANES <= stop) BAND(l.s0, l.c0);
#undef BAND
        /* What was summed lies between its least, or 0, and low. */
        least = vd_reduce_min(l.magnitude);
        l.magnitude = vd_set(below ? fmax(-least, fabs(low)) : 0.0);
        lane_sums_fold(&l, 2 * CS_LANES, (stop - start) / (2 * CS_LANES) + 1, &r->sum, &r->magnitude);
        for (; i < stop; i++) {
            double v = x[i];
            if (v < low) {
                below++;
                cs_sum_add(&r->sum, v);
                if (fabs(v) > r->magnitude) r->magnitude = fabs(v);
            }
            kept[m] = v;
            m += !(v > high) && !(v < low);
            if (inner) {
                inner->kept[inside] = v;
                inside += v < inner->high;
            }
        }
    }
    r->below = below;
    r->kept = m;
    if (inner) inner->count = inside;
}

static void buffer_band(const double *x, size_t n, const cs_bracket *bracket, double *kept, size_t capacity,
                        cs_inner *inner, cs_pass *r) {
    if (inner)
        pass_band(x, n, bracket->low, bracket->high, kept, capacity, inner, r);
    else
        pass_band(x, n, bracket->low, bracket->high, kept, capacity, NULL, r);
}

static void segment_pass(const cs_outcomes *x, const cs_bracket *bracket, double *kept, size_t capacity, cs_pass *r) {
    memset(r, 0, sizeof *r);
    if (bracket->keep_below) {
        if (x->is_f32)
            pass_keep_below(x, 1, bracket->high, kept, capacity, r);
        else
            pass_keep_below(x, 0, bracket->high, kept, capacity, r);
    } else if (bracket->keep_ties) {
        buffer_band(x->data, x->n, bracket, kept, capacity, NULL, r);
    } else {
        if (x->is_f32)
            pass_three_way(x, 1, bracket->low, bracket->high, kept, capacity, r);
        else
            pass_three_way(x, 0, bracket->low, bracket->high, kept, capacity, r);
    }
}

static void outcomes_pass(const cs_outcomes *x, const cs_bracket *bracket, double *kept, size_t capacity, cs_pass *r) {
    cs_outcomes segment = *x;
    if (x->n <= CS_FAR || !end_is_nearer(x)) {
        segment_pass(x, bracket, kept, capacity, r);
        return;
    }
    memset(r, 0, sizeof *r);
    for (size_t stop = x->n, start; stop > 0; stop = start) {
        cs_pass part;
        start = stop > CS_SEGMENT ? stop - CS_SEGMENT : 0;
        segment.data = (const char *)x->data + start * (x->is_f32 ? 4 : 8);
        segment.n = stop - start;
        segment_pass(&segment, bracket, kept + r->kept, capacity - r->kept, &part);
        cs_pass_add(r, &part);
        if (r->overflow) return;
    }
}

#endif
