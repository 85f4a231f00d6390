/* Expected Shortfall and Value at Risk of one set of outcomes: selection of one order statistic and the exact sum of
 * what lies below it.
 *
 * With c = n (1 - level), j = ceil(c) and v the j-th smallest outcome,
 *     VaR = -v,    ES = -(sum_{x < v} x + (c - #{x < v}) v) / c,
 * which is the Acerbi-Tasche estimator (2002, eq. 12 and 13) and the minimum of the Rockafellar-Uryasev function. So one
 * order statistic is all that is selected, and because the quotient of the exact numerator and the exact c is rounded
 * once, neither the way it was found nor the order of additions can change a bit of the result.
 *
 * Method. A small stratified sample gives a bracket around the wanted rank. One vectorised pass over the outcomes then
 * either keeps all below the bracket's upper end (small tails) or sums below its lower end and keeps what lies between
 * (large tails; small ones where a part of the outcomes, read first, gives a narrow bracket). What is kept is treated the
 * same way until it fits the first-level cache, where counting passes over it finish. Counts are exact, so a bracket that missed is known and drawn anew; after a few misses plain bisection over
 * the doubles, at most 64 passes, settles it. Expected cost: one pass. NaN: kept by every pass, hence seen at the end. */

#include "exact.h"
#include "kernels.h"
#include "lanes.h"
#include "target.h"

#define CS_BLOCK 4096        /* outcomes between two checks of the space left */
#define CS_FINISH 128        /* outcomes that counting passes finish */
#define CS_MINIMA_MOST 4096  /* longest row that is read twice for a bracket that cannot miss */
#define CS_LONG 65536        /* longer rows wait for memory: passes fetch ahead, and a miss costs much */
#define CS_AHEAD 3072        /* bytes fetched ahead: less than a page */
#define CS_CACHED 262144     /* outcomes that a second-level cache holds */
#define CS_NEAR 1000         /* ticks for a few loads from a cache, and no disk */
#define CS_SEGMENT 98304     /* outcomes of a far row that a pass reads forward in one go */
#define CS_FAR 393216        /* doubles too many for a second-level cache: a pass has time while it waits for them */
#define CS_GROUP 16384       /* of those a pass first reads a part of each group of so many */
#define CS_PART 512          /* doubles of such a part: a page */
#define CS_SUM_STEPS 256     /* vectors a lane adds before it is folded into the total: bounds the error term */
#define CS_EXACT_BLOCK 1024  /* outcomes searched at a time for an exact sum */
#define CS_ATTEMPTS 4        /* brackets drawn before bisection */
#define CS_ROOM 256          /* doubles of scratch left for samples and bisection, whatever is kept */
#define CS_SAMPLE_MOST 16384 /* doubles of scratch that a sample may take */

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

/* ---- one pass over outcomes ------------------------------------------------------------------------------------- */

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
        cs_sum_add_sum(&r->sum, &part.sum);
        if (part.magnitude > r->magnitude) r->magnitude = part.magnitude;
        r->below += part.below;
        r->at_low += part.at_low;
        r->at_high += part.at_high;
        r->kept += part.kept;
        r->overflow |= part.overflow;
        if (r->overflow) return;
    }
}

/* ---- the bracket ------------------------------------------------------------------------------------------------ */

CS_INLINE uint64_t scramble(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* After a miss the places depend on where the outcomes lie in memory, which whoever made them did not know: the sample may
 * change the time, never the result. */
CS_INLINE uint64_t sample_seed(const cs_outcomes *x, unsigned attempt) {
    return attempt == 0 ? 0 : scramble((uint64_t)(uintptr_t)x->data + attempt);
}

/* Runs of eight neighbours, one at a random place in each of `runs` equal strata: a run costs one cache line, strata
 * make sorted and trending data harmless. */
static void outcomes_sample(const cs_outcomes *x, size_t runs, uint64_t seed, double *out) {
    size_t stratum = x->n / runs;
    vd flip = flip_lanes(x->flip);
    for (size_t r = 0; r < runs; r++) {
        uint64_t bits = scramble((seed << 32) + r + 1) >> 32;
        size_t i = r * stratum + (size_t)(bits * (stratum - 7) >> 32);
        for (size_t k = 0; k < 8; k += CS_LANES)
            vd_store(out + 8 * r + k, outcomes_load(x->data, x->is_f32, i + k, flip));
    }
}

/* Brackets the outcome that has `share` of all below it, `certainty` standard deviations wide; all below is kept when that
 * is at most the share `most_kept`. 0 if the sample, a whole number of vectors, holds NaN. */
static int sample_bracket(const double *sample, size_t size, double share, double certainty, double most_kept,
                          cs_bracket *bracket) {
    double least, most, expected = share * (double)size;
    double spread = certainty * sqrt(expected * (1.0 - share)) + 1.0, upper = expected + spread, lower = expected - spread;
    size_t slack = (size_t)(0.25 * spread);
    if (!buffer_range(sample, size, &least, &most)) return 0;
    bracket->low = -INFINITY;
    bracket->high = INFINITY;
    bracket->keep_below = bracket->keep_ties = 0;
    if (upper < (double)size) {
        size_t first = (size_t)upper + 1, below;
        bracket->high = buffer_threshold(sample, size, 0, least, most, first, first + slack);
        below = buffer_count_lt(sample, size, bracket->high);
        bracket->keep_below = upper < most_kept * (double)size && (double)below > expected + 0.5 * spread;
    }
    if (!bracket->keep_below && lower >= 2.0) {
        size_t last = (size_t)lower;
        bracket->low = buffer_threshold(sample, size, 0, least, most, slack < last ? last - slack : 1, last);
        if (bracket->low > bracket->high) bracket->low = bracket->high;
    }
    return 1;
}

/* Minima of CS_LANES * groups interleaved groups of outcomes. */
CS_INLINE void group_minima_of(const cs_outcomes *x, int is_f32, size_t groups, double *minima) {
    vd flip = flip_lanes(x->flip), least[8];
    size_t i = groups * CS_LANES, step = groups * CS_LANES;
    for (size_t k = 0; k < groups; k++) least[k] = outcomes_load(x->data, is_f32, k * CS_LANES, flip);
    while (i + step <= x->n) {
        size_t stop = x->next && x->n - i > CS_STRETCH ? i + CS_STRETCH : x->n;
        fetch_next_row(x->next);
        for (; i + step <= stop; i += step)
            for (size_t k = 0; k < groups; k++)
                least[k] = vd_min(outcomes_load(x->data, is_f32, i + k * CS_LANES, flip), least[k]);
    }
    for (size_t k = 0; k < groups; k++) vd_store(minima + k * CS_LANES, least[k]);
}

CS_INLINE void group_minima(const cs_outcomes *x, size_t groups, double *minima) {
#define GROUPS(g)                              \
    if (groups == g) {                         \
        if (x->is_f32)                         \
            group_minima_of(x, 1, g, minima);  \
        else                                   \
            group_minima_of(x, 0, g, minima);  \
    }
    GROUPS(1) else GROUPS(2) else GROUPS(4) else GROUPS(8)
#undef GROUPS
}

/* A short row with a small tail. Of groups' minima, at least `rank`, the rank-th smallest has at least `rank` outcomes at
 * or below it, and few more: a bracket that cannot miss, for one cheap pass more over a row in the first-level cache.
 * 0 if there are too few groups for the rank; -1 if the minima hold NaN. */
static int minima_bracket(const cs_outcomes *x, size_t rank, double *scratch, cs_bracket *bracket) {
    double least, most;
    size_t groups = 1;
    while (groups < 8 && 5 * groups * CS_LANES < 6 * rank) groups *= 2;
    if (groups * CS_LANES < rank || x->n < 4 * groups * CS_LANES || x->n > CS_MINIMA_MOST) return 0;
    group_minima(x, groups, scratch);
    fetch_next_row(x->next);
    if (!buffer_range(scratch, groups * CS_LANES, &least, &most)) return -1;
    bracket->low = -INFINITY;
    bracket->keep_ties = 0;
    fetch_next_row(x->next);
    /* A pass keeps what is below `high`, here up to and including the threshold. */
    most = buffer_threshold(scratch, groups * CS_LANES, 0, least, most, rank, rank + rank / 8);
    bracket->keep_below = most < INFINITY;
    bracket->high = bracket->keep_below ? key_double(double_key(most) + 1) : INFINITY;
    return 1;
}

static int outcomes_bracket(const cs_outcomes *x, size_t rank, unsigned attempt, double *scratch, size_t capacity,
                            cs_bracket *bracket) {
    size_t runs = 8, most_runs = capacity < CS_SAMPLE_MOST ? capacity / 8 : CS_SAMPLE_MOST / 8;
    int bracketed = attempt == 0 ? minima_bracket(x, rank, scratch, bracket) : 0;
    if (bracketed) return bracketed > 0;
    while (2 * runs <= most_runs && 16 * runs * runs < x->n) runs *= 2;
    for (unsigned k = 0; k < attempt && 2 * runs <= most_runs && 64 * runs < x->n; k++) runs *= 2;
    outcomes_sample(x, runs, sample_seed(x, attempt), scratch);
    /* In the caches keeping is cheap and makes what follows short; beyond them it would cost memory. */
    return sample_bracket(scratch, 8 * runs, (double)rank / (double)x->n, (attempt + 1) * (x->n > CS_LONG ? 3.5 : 2.0),
                          x->n <= CS_CACHED ? 0.55 : 0.2, bracket);
}

/* ---- one pass over a far row ------------------------------------------------------------------------------------ */

/* What the parts of a row have below some threshold. */
typedef struct {
    double *kept;
    size_t count, whole; /* whole: count down to a whole vector, for samples */
    double mean, excess; /* of the numbers in one part; how much more they vary than by chance */
} cs_parts;

/* Where the part of a group lies: at random, lest outcomes with a period show it always the same. */
CS_INLINE size_t part_place(size_t origin, size_t group) {
    return origin + group * CS_GROUP + (size_t)(scramble(group + 1) % (CS_GROUP / CS_PART)) * CS_PART;
}

static void parts_read(const cs_outcomes *x, size_t origin, size_t groups, double high, double *kept, cs_parts *parts) {
    size_t m = 0;
    double roughness = 0.0, last = 0.0, chance;
    for (size_t g = 0; g < groups; g++) {
        size_t at = part_place(origin, g), end = at + CS_PART, next = g + 1 < groups ? part_place(origin, g + 1) : 0;
        double count = -(double)m;
        m = keep_below(x, x->data, 0, at, end, end, next - end, high, kept, m);
        count += (double)m;
        /* Neighbours' differences: a trend along the row is no chance of where the parts lie. */
        if (g) roughness += (count - last) * (count - last);
        last = count;
    }
    parts->kept = kept;
    parts->count = m;
    parts->whole = m / CS_LANES * CS_LANES;
    parts->mean = (double)m / (double)groups;
    chance = 2.0 * (double)(groups - 1) * parts->mean * (1.0 - parts->mean / CS_PART);
    parts->excess = roughness > chance ? roughness / chance : 1.0;
}

/* Brackets a share of the row by its parts. Outcomes may be like their neighbours, which widens it. */
static int parts_bracket(const cs_parts *parts, double share, double most_kept, cs_bracket *bracket) {
    double inside = share * CS_PART / parts->mean;
    return parts->whole && inside < 1.0 &&
           sample_bracket(parts->kept, parts->whole, inside, 3.5 * sqrt(parts->excess * (1.0 - share) / (1.0 - inside)),
                          most_kept, bracket);
}

/* Whether the parts narrow a bracket: not if half of what they have would be ties, or if they differ too much. With a next
 * level what it needs must lie below. */
static int parts_narrow(const cs_parts *parts, double share, double next_share, cs_bracket *bracket, double *next_high) {
    cs_bracket narrow, next;
    if (!parts_bracket(parts, share, 0.0, &narrow) || narrow.low == -INFINITY || narrow.high == INFINITY) return 0;
    if (buffer_count_le(parts->kept, parts->whole, narrow.high) - buffer_count_lt(parts->kept, parts->whole, narrow.low) >
        parts->whole / 2)
        return 0;
    if (next_share > 0.0) {
        if (!parts_bracket(parts, next_share, 1.0, &next) || !next.keep_below || next.high > narrow.low) return 0;
        *next_high = next.high;
    }
    *bracket = narrow;
    bracket->keep_ties = 1;
    return 1;
}

/* The parts are read first, and what they have below the bracket narrows it. While the lines of the others are on their way,
 * what these have below the first bracket is summed or kept as a second pass would; what the next level needs goes to the
 * lower half of the scratch. Without a narrow bracket all below the first one is kept. */
static void pass_far(const cs_outcomes *x, size_t rank, size_t next_rank, cs_bracket *bracket, double **scratch,
                     size_t *capacity, cs_inner *inner, cs_pass *r) {
    double block[CS_PART + 2 * CS_SLACK], high = bracket->high, n = (double)x->n;
    size_t origin = (size_t)(-(uintptr_t)x->data & 4095) / 8, groups = (x->n - origin) / CS_GROUP, waiting = 0;
    cs_parts parts;
    int is_narrow, backward = end_is_nearer(x);
    memset(r, 0, sizeof *r);
    parts_read(x, origin, groups, high, *scratch, &parts);
    is_narrow = parts_narrow(&parts, (double)rank / n, (double)next_rank / n, bracket, &inner->high);
    if (is_narrow) {
        if (next_rank) {
            inner->kept = *scratch;
            *capacity /= 2;
            *scratch += *capacity;
        } else {
            inner = NULL;
        }
        buffer_band(parts.kept, parts.count, bracket, *scratch, *capacity - CS_ROOM, inner, r);
    } else {
        r->kept = parts.count;
    }
    for (size_t k = 0; k <= groups; k++) {
        size_t g = backward ? groups - k : k, from = g ? part_place(origin, g - 1) + CS_PART : 0;
        size_t end = g < groups ? part_place(origin, g) : x->n, gap = CS_PART;
        if (backward) gap = (g > 1 ? part_place(origin, g - 2) + CS_PART : 0) - end;
        for (size_t i = from, stop; i < end; i = stop) {
            stop = block_end(x->data, 0, i, end, is_narrow ? CS_PART : CS_BLOCK);
            if (CS_UNLIKELY(r->overflow || *capacity - CS_ROOM - r->kept < CS_BLOCK)) {
                r->overflow = 1;
                return;
            }
            if (is_narrow) {
                size_t whole;
                waiting = keep_below(x, x->data, 0, i, stop, end, gap, high, block, waiting);
                whole = waiting / CS_LANES * CS_LANES;
                buffer_band(block, whole, bracket, *scratch, *capacity - CS_ROOM, inner, r);
                waiting -= whole;
                memcpy(block, block + whole, waiting * sizeof *block);
            } else {
                r->kept = keep_below(x, x->data, 0, i, stop, end, gap, high, *scratch, r->kept);
            }
        }
    }
    if (is_narrow) buffer_band(block, waiting, bracket, *scratch, *capacity - CS_ROOM, inner, r);
}

/* ---- selection -------------------------------------------------------------------------------------------------- */

/* The outcome v of a rank, the count and sum of those below it. `source` then holds every outcome below v, within the
 * scratch if anything was kept. */
typedef struct {
    double value, magnitude;
    size_t below;
    cs_sum sum;
    cs_outcomes source;
    double *free; /* scratch behind source */
    size_t capacity;
    cs_ahead *next;   /* may be NULL */
    size_t next_rank; /* of the next level, 0 after the last */
    cs_inner inner;   /* what was kept for it, if anything, at `free` */
} selection;

static void selection_add_equal(selection *s, double v, size_t count) {
    if (count == 0) return;
    s->below += count;
    cs_sum_add_product(&s->sum, (double)count, v);
    if (fabs(v) > s->magnitude) s->magnitude = fabs(v);
}

/* Rank within a buffer that holds everything not yet counted in s up to that rank; the buffer is padded in place. */
static int selection_finish(selection *s, double *b, size_t m, size_t rank) {
    double least, most;
    size_t pads = buffer_pad(b, m, b[0]), whole = m + pads;
    fetch_next_row(s->next);
    if (!buffer_range(b, whole, &least, &most)) return CS_NAN;
    fetch_next_row(s->next);
    s->value = rank == 1 ? least : buffer_threshold(b, whole, pads, least, most, rank, rank);
    fetch_next_row(s->next);
    s->value = buffer_most_up_to(b, whole, s->value);
    fetch_next_row(s->next);
    buffer_pad(b, m, INFINITY);
    s->below += buffer_sum_below(b, whole, s->value, &s->sum, &s->magnitude);
    return CS_OK;
}

/* Bisection over the doubles: at most 64 passes whatever the outcomes. */
static int selection_bisect(selection *s, const cs_outcomes *x, size_t rank, double *scratch, size_t capacity) {
    double a = -INFINITY, b = INFINITY;
    cs_bracket at;
    cs_pass pass;
    at.keep_below = at.keep_ties = 0;
    while (a < b) {
        double t = key_middle(a, b);
        at.low = at.high = t;
        outcomes_pass(x, &at, scratch, capacity, &pass);
        if (pass.overflow || pass.kept) return CS_NAN;
        if (pass.below + pass.at_low >= rank)
            b = t;
        else
            a = key_double(double_key(t) + 1);
    }
    at.low = at.high = s->value = b;
    outcomes_pass(x, &at, scratch, capacity, &pass);
    if (pass.overflow || pass.kept) return CS_NAN;
    s->below += pass.below;
    cs_sum_add_sum(&s->sum, &pass.sum);
    if (pass.magnitude > s->magnitude) s->magnitude = pass.magnitude;
    return CS_OK;
}

/* What a pass says: 1 and x becomes what is left to search, or s is complete and x is empty; 0: the bracket missed.
 * -1: NaN among the kept. */
static int selection_narrow(selection *s, cs_outcomes *x, size_t rank, const cs_bracket *bracket, const cs_pass *pass,
                            double *kept) {
    size_t r = rank - s->below, up_to_low = pass->below + pass->at_low;
    if (bracket->keep_below) {
        if (pass->kept < r) return 0;
        *x = outcomes_of(kept, pass->kept);
        return 1;
    }
    if (r <= pass->below || r > up_to_low + pass->kept + pass->at_high) return 0;
    if (pass->kept && (r <= up_to_low || r > up_to_low + pass->kept)) {
        /* The kept are searched no further, but NaN among them must be seen. */
        double least, most;
        size_t whole = pass->kept + buffer_pad(kept, pass->kept, kept[0]);
        if (!buffer_range(kept, whole, &least, &most)) return -1;
        if (r > up_to_low) {
            buffer_pad(kept, pass->kept, INFINITY);
            s->below += buffer_sum_below(kept, whole, INFINITY, &s->sum, &s->magnitude);
        }
    }
    s->below += pass->below;
    cs_sum_add_sum(&s->sum, &pass->sum);
    if (pass->magnitude > s->magnitude) s->magnitude = pass->magnitude;
    if (r <= up_to_low) {
        s->value = bracket->low;
        *x = outcomes_of(kept, 0);
        return 1;
    }
    selection_add_equal(s, bracket->low, pass->at_low);
    if (r > up_to_low + pass->kept) {
        s->value = bracket->high;
        *x = outcomes_of(kept, 0);
        return 1;
    }
    *x = outcomes_of(kept, pass->kept);
    return 1;
}

static void outcomes_copy(const cs_outcomes *x, double *out) {
    vd flip = flip_lanes(x->flip);
    size_t i = 0;
    for (; i + CS_LANES <= x->n; i += CS_LANES) vd_store(out + i, outcomes_load(x->data, x->is_f32, i, flip));
    for (; i < x->n; i++) out[i] = outcome_at(x, i);
}

/* Whether a pass over the source that sums below a bracket can keep what the next level needs as well. */
static int nest(selection *s, const cs_outcomes *x, const cs_bracket *outer, double *free, size_t capacity) {
    cs_bracket next;
    if (s->next_rank == 0 || s->inner.count || x->data != s->source.data || capacity < 8 * CS_ROOM) return 0;
    if (!outcomes_bracket(x, s->next_rank, 0, free, capacity, &next)) return 0;
    s->inner.high = next.high;
    s->inner.kept = free;
    return next.keep_below && next.high <= outer->low;
}

/* Finishes a selection whose remaining outcomes are x. While nothing has been counted, what a pass keeps becomes the
 * source, for the exact sum and for levels further out. `writable`: x lies in scratch with slack behind it. */
static int selection_run(selection *s, cs_outcomes x, size_t rank, int writable) {
    double *free = s->free;
    size_t capacity = s->capacity;
    unsigned attempt = 0;
    int all_below = s->below == 0;
    while (x.n) {
        cs_bracket bracket;
        cs_pass pass;
        int narrowed;
        size_t before = x.n;
        if (x.n <= CS_FINISH) {
            if (!writable) {
                outcomes_copy(&x, free);
                x = outcomes_of(free, x.n);
            }
            return selection_finish(s, (double *)x.data, x.n, rank - s->below);
        }
        if (attempt == CS_ATTEMPTS || capacity < 2 * CS_ROOM)
            return selection_bisect(s, &x, rank - s->below, free, capacity);
        if (!outcomes_bracket(&x, rank - s->below, attempt, free, capacity, &bracket)) return CS_NAN;
        bracket.keep_ties = !bracket.keep_below && writable && attempt == 0 && bracket.low < INFINITY;
        if (bracket.keep_ties && all_below && nest(s, &x, &bracket, free, capacity)) {
            /* One pass for this level and the next, which takes the lower half of the scratch. */
            capacity /= 2;
            free += capacity;
            memset(&pass, 0, sizeof pass);
            buffer_band(x.data, x.n, &bracket, free, capacity - CS_ROOM, &s->inner, &pass);
            if (pass.overflow) s->inner.count = 0;
        } else if (bracket.keep_below && attempt == 0 && x.n > CS_FAR && !writable && !x.is_f32 && capacity > x.n / 8) {
            pass_far(&x, rank, s->next_rank, &bracket, &free, &capacity, &s->inner, &pass);
            if (pass.overflow) s->inner.count = 0;
        } else {
            outcomes_pass(&x, &bracket, free, capacity - CS_ROOM, &pass);
        }
        /* Of a constant a bracket keeps all: not worth the scratch, which every level would take anew. */
        if (bracket.keep_below && pass.kept > before - before / 4) pass.overflow = 1;
        narrowed = pass.overflow ? 0 : selection_narrow(s, &x, rank, &bracket, &pass, free);
        if (narrowed < 0) return CS_NAN;
        if (!narrowed) {
            attempt++;
            continue;
        }
        /* Ties may keep a bracket from narrowing; the next one then lies elsewhere. */
        attempt = x.n > before - before / 4 ? attempt + 1 : 0;
        writable = 1;
        free += pass.kept + CS_SLACK;
        capacity -= pass.kept + CS_SLACK;
        all_below = all_below && bracket.keep_below;
        if (all_below) {
            s->source = x;
            s->free = free;
            s->capacity = capacity;
        }
    }
    return CS_OK;
}

CS_INLINE void selection_begin(selection *s, size_t next_rank) {
    s->next_rank = next_rank;
    s->inner.count = 0;
    s->below = 0;
    s->sum = cs_sum_zero();
    s->magnitude = 0.0;
}

/* The usual reason why a rounding is not certified: few outcomes and a quotient that lies exactly between two doubles. Their
 * sum then mostly is an exact pair. */
CS_COLD int tail_tie(const selection *s, const cs_target *t, double *ratio) {
    double kept[CS_EXACT_BLOCK + CS_SLACK], e, p;
    cs_bracket bracket = {-INFINITY, s->value, 1, 0};
    cs_sum total = cs_sum_zero();
    cs_pass pass;
    int exact = 1;
    if (s->source.n > CS_EXACT_BLOCK || t->c1 != 0.0 || t->c2 != 0.0) return 0;
    outcomes_pass(&s->source, &bracket, kept, CS_EXACT_BLOCK, &pass);
    for (size_t k = 0; k < pass.kept; k++) exact &= cs_sum_add_exactly(&total, kept[k]);
    p = cs_two_product(t->c0 - (double)pass.kept, s->value, &e);
    exact &= cs_sum_add_exactly(&total, p) & cs_sum_add_exactly(&total, e);
    return exact && (p == 0.0 || fabs(p) > 0x1p-900) && cs_pair_ratio(&total, t->c0, ratio);
}

CS_COLD double tail_exact(const selection *s, const cs_target *t) {
    cs_exact total, count;
    size_t below = 0;
    double kept[CS_EXACT_BLOCK + CS_SLACK];
    cs_bracket bracket = {-INFINITY, s->value, 1, 0};
    cs_outcomes block = s->source;
    size_t blocks = (s->source.n + CS_EXACT_BLOCK - 1) / CS_EXACT_BLOCK;
    int backward = s->source.n > CS_FAR && end_is_nearer(&s->source);
    cs_exact_zero(&total);
    cs_exact_zero(&count);
    for (size_t k = 0; k < blocks; k++) {
        cs_pass pass;
        size_t i = (backward ? blocks - 1 - k : k) * CS_EXACT_BLOCK;
        block.data = (const char *)s->source.data + i * (block.is_f32 ? 4 : 8);
        block.n = s->source.n - i < CS_EXACT_BLOCK ? s->source.n - i : CS_EXACT_BLOCK;
        outcomes_pass(&block, &bracket, kept, CS_EXACT_BLOCK, &pass);
        for (size_t k = 0; k < pass.kept; k++) cs_exact_add(&total, kept[k]);
        below += pass.kept;
    }
    cs_exact_add_product(&total, t->c0 - (double)below, s->value);
    cs_exact_add_product(&total, t->c1, s->value);
    cs_exact_add_product(&total, t->c2, s->value);
    cs_exact_add(&count, t->c0);
    cs_exact_add(&count, t->c1);
    cs_exact_add(&count, t->c2);
    return cs_exact_ratio(&total, &count);
}

/* Zeros are returned as +0.0: which of two equal zeros was selected must not show. 0 if the quotient is not certified; only
 * then is the source needed. */
CS_INLINE int tail_certified(const selection *s, const cs_target *t, cs_tail *r) {
    cs_sum numerator = s->sum, count = {t->count, t->rest, 0x1p-100 * t->count};
    double ratio;
    int certified;
    r->es = r->var = 0.0 - s->value;
    if (t->count <= 1.0) return 1;
    if (s->magnitude > 0x1.fffffffffffffp1023) {
        r->es = s->value > 0x1.fffffffffffffp1023 ? (double)NAN : INFINITY;
        return 1;
    }
    if (isinf(s->value)) return 1;
    cs_sum_add_product(&numerator, t->c0 - (double)s->below, s->value);
    if (t->c1 != 0.0) {
        cs_sum_add_product(&numerator, t->c1, s->value);
        cs_sum_add_product(&numerator, t->c2, s->value);
    }
    certified = cs_sum_ratio(&numerator, &count, &ratio);
    r->es = 0.0 - ratio;
    return certified;
}

static cs_tail tail_value(const selection *s, const cs_target *t) {
    cs_tail r;
    double ratio;
    if (tail_certified(s, t, &r)) return r;
    if (!tail_tie(s, t, &ratio)) ratio = tail_exact(s, t);
    r.es = 0.0 - ratio;
    return r;
}

static int kernel_tail(const cs_outcomes *x, const cs_target *targets, size_t n_targets, double *scratch,
                       size_t capacity, cs_tail *out) {
    selection s;
    s.source = *x;
    s.next = x->next;
    s.free = scratch;
    s.capacity = capacity;
    for (size_t i = cs_target_next(targets, n_targets, n_targets), next; i < n_targets; i = next) {
        int status;
        next = cs_target_next(targets, n_targets, i);
        selection_begin(&s, next < n_targets ? targets[next].rank : 0);
        status = selection_run(&s, s.source, targets[i].rank, s.free != scratch);
        if (status) return status;
        out[i] = tail_value(&s, &targets[i]);
        if (next < n_targets && s.inner.count >= targets[next].rank) {
            size_t taken = s.inner.count + CS_SLACK;
            s.source = outcomes_of(s.inner.kept, s.inner.count);
            s.free = s.inner.kept + taken;
            s.capacity -= taken;
        }
    }
    return CS_OK;
}

/* ---- a first pass whose parts run in parallel -------------------------------------------------------------------- */

static int kernel_bracket(const cs_outcomes *x, size_t rank, double *scratch, size_t capacity, cs_bracket *bracket) {
    return outcomes_bracket(x, rank, 0, scratch, capacity, bracket) ? CS_OK : CS_NAN;
}

/* One level from a merged pass; a bracket that missed starts anew. */
static int kernel_resume(const cs_outcomes *x, const cs_target *target, const cs_bracket *bracket, const cs_pass *pass,
                         double *kept, size_t capacity, cs_tail *out) {
    selection s;
    cs_outcomes rest = *x;
    int narrowed, status;
    s.source = *x;
    s.next = NULL;
    selection_begin(&s, 0);
    narrowed = pass->overflow ? 0 : selection_narrow(&s, &rest, target->rank, bracket, pass, kept);
    if (narrowed < 0) return CS_NAN;
    if (!narrowed) return kernel_tail(x, target, 1, kept, capacity, out);
    s.free = kept + pass->kept + CS_SLACK;
    s.capacity = capacity - pass->kept - CS_SLACK;
    if (bracket->keep_below) s.source = rest;
    status = selection_run(&s, rest, target->rank, 1);
    if (status) return status;
    *out = tail_value(&s, target);
    return CS_OK;
}
