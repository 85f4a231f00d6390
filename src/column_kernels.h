/* Tails of columns of a matrix in C order, a lane a column: nothing is transposed, and all columns take the same steps.
 *
 * Of the least outcomes of groups of rows, at least `rank`, the rank-th smallest has at least `rank` outcomes at or below it,
 * and few more. So one pass over memory takes the least outcomes, one over the second-level cache keeps what is not above
 * that threshold, and what was kept is searched in the first. A column whose threshold was too wide for the room, or that
 * holds NaN or infinities in its tail, is left to the kernels for rows. */

#include "columns.h"

#define CS_COLUMN_STEPS 8  /* most steps to a threshold */
#define CS_VALUE_STEPS 5   /* most steps before what is left is removed a value at a time */
#define CS_COLUMN_CHUNK 64 /* words of bits between two moves of what they name */
#define CS_COLUMN_MISSING 65536 /* what NaN counts: more than there is room for */

/* Into the second-level cache: a few lines at a time, one for some eight vectors of work, because more than memory delivers
 * meanwhile would hold up what reads the second-level cache. */
CS_INLINE void fetch_lines(cs_rows_ahead *next, size_t lines) {
    for (; lines > 0 && next->rows > 0; lines--) {
        prefetch_far(next->at + next->done);
        next->done += 64;
        if (next->done >= next->bytes) {
            next->done = 0;
            next->at += next->apart;
            next->rows--;
        }
    }
}

/* minima[g, c]: the least outcome of column c in group g. */
CS_INLINE void column_minima(const cs_columns *x, int is_f32, const cs_column_plan *plan, double *minima) {
    vd flip = flip_lanes(x->flip);
    ptrdiff_t width = is_f32 ? 4 : 8, apart = x->stride * width;
    size_t group = plan->group;
    for (size_t g = 0; g < plan->groups; g++) {
        size_t first = g * group, rows = g + 1 < plan->groups ? group : x->n - first;
        const char *start = (const char *)x->data + (ptrdiff_t)first * apart;
        for (size_t c = 0; c < CS_COLUMNS; c += CS_LANES) {
            const char *row = start + (ptrdiff_t)c * width;
            vd least = outcomes_load(row, is_f32, 0, flip);
            size_t r = 1;
            /* Rows lie far apart: no prefetcher of the processor sees them coming. */
            if (g + 1 < plan->groups)
                for (size_t k = 0; k < group; k++) prefetch(row + (ptrdiff_t)(group + k) * apart);
            for (; r + 4 <= rows; r += 4, row += 4 * apart) {
                vd u = vd_min(outcomes_load(row + apart, is_f32, 0, flip), outcomes_load(row + 2 * apart, is_f32, 0, flip));
                vd v = vd_min(outcomes_load(row + 3 * apart, is_f32, 0, flip), outcomes_load(row + 4 * apart, is_f32, 0, flip));
                least = vd_min(vd_min(u, v), least);
            }
            for (; r < rows; r++) {
                row += apart;
                least = vd_min(outcomes_load(row, is_f32, 0, flip), least);
            }
            vd_store(minima + g * CS_COLUMNS + c, least);
        }
    }
    for (size_t i = plan->groups * CS_COLUMNS; i < plan->slots * CS_COLUMNS; i++) minima[i] = INFINITY;
}

/* The bits of words[i] tell which of the 64 outcomes from the first of row 64 / CS_COLUMNS * i on are not above their
 * columns' limits. */
CS_INLINE void column_bits(const cs_columns *x, int is_f32, const double *limits, uint64_t *words, cs_rows_ahead *next) {
    vd flip = flip_lanes(x->flip), limit[CS_COLUMNS / CS_LANES];
    ptrdiff_t apart = x->stride * (is_f32 ? 4 : 8);
    const char *row = (const char *)x->data;
    for (size_t c = 0; c < CS_COLUMNS; c += CS_LANES) limit[c / CS_LANES] = vd_load(limits + c);
    for (size_t t = 0; t < x->n; words++) {
        uint64_t word = 0;
        fetch_lines(next, 1);
        for (size_t shift = 0; shift < 64 && t < x->n; shift += CS_COLUMNS, t++, row += apart)
            for (size_t c = 0; c < CS_COLUMNS; c += CS_LANES)
                word |= vm_bits(vd_ngt(outcomes_load(row, is_f32, c, flip), limit[c / CS_LANES])) << (shift + c);
        *words = word;
    }
}

/* Moves what the bits name: kept[i, c] is the i-th such outcome of column c. Those beyond the room fall on one place, and so
 * do all after NaN. */
CS_INLINE void column_keep(const cs_columns *x, int is_f32, const uint64_t *words, double *kept, size_t room,
                           uint32_t *count, cs_rows_ahead *next) {
    uint32_t places[CS_COLUMN_CHUNK * 64 + 4];
    size_t n_words = (x->n * CS_COLUMNS + 63) / 64;
    const void *data = x->data;
    ptrdiff_t stride = x->stride;
    uint64_t flip = x->flip;
    for (size_t first = 0; first < n_words; first += CS_COLUMN_CHUNK) {
        size_t stop = n_words - first < CS_COLUMN_CHUNK ? n_words : first + CS_COLUMN_CHUNK, m = 0;
        for (size_t i = first; i < stop; i++) {
            uint64_t word = words[i];
            size_t end = m + bit_count(word);
            fetch_lines(next, 1);
            /* Four at a time, wanted or not: a loop that ends with a word's last bit is seldom foreseen. */
            do {
                for (size_t k = 0; k < 4; k++) {
                    places[m + k] = (uint32_t)(64 * i) + lowest_bit(word | (uint64_t)1 << 63);
                    word &= word - 1;
                }
                m += 4;
            } while (CS_UNLIKELY(m < end));
            m = end;
        }
        for (size_t i = 0; i < m; i++) {
            size_t c = places[i] % CS_COLUMNS, slot = count[c] < room ? count[c] : room;
            ptrdiff_t at = (ptrdiff_t)(places[i] / CS_COLUMNS) * stride + (ptrdiff_t)c;
            double v = is_f32 ? (double)((const float *)data)[at] : ((const double *)data)[at];
            kept[slot * CS_COLUMNS + c] = flip ? -v : v;
            count[c] += v == v ? 1 : CS_COLUMN_MISSING;
        }
    }
}

/* How many of a lane's values, CS_COLUMNS apart, are at or below t. Four counts, because an addition takes four cycles. */
CS_INLINE vd lanes_count_le(const double *values, size_t slots, vd t) {
    vd one = vd_set(1.0), c0 = vd_set(0.0), c1 = c0, c2 = c0, c3 = c0;
    for (size_t i = 0; i < slots; i += 4) {
        const double *v = values + i * CS_COLUMNS;
        c0 = vd_add(c0, vd_keep(vd_le(vd_load(v), t), one));
        c1 = vd_add(c1, vd_keep(vd_le(vd_load(v + CS_COLUMNS), t), one));
        c2 = vd_add(c2, vd_keep(vd_le(vd_load(v + 2 * CS_COLUMNS), t), one));
        c3 = vd_add(c3, vd_keep(vd_le(vd_load(v + 3 * CS_COLUMNS), t), one));
    }
    return vd_add(vd_add(c0, c1), vd_add(c2, c3));
}

/* The lane's values, all at or below `limit` but for infinities that fill up: the least, and how far below it they lie in the
 * mean. */
CS_INLINE void lanes_spread(const double *values, size_t slots, vd limit, vd count, vd *least, vd *excess) {
    vd x0 = vd_set(0.0), x1 = x0, l0 = limit, l1 = limit;
    for (size_t i = 0; i < slots; i += 2) {
        vd v = vd_min(vd_load(values + i * CS_COLUMNS), limit), w = vd_min(vd_load(values + (i + 1) * CS_COLUMNS), limit);
        x0 = vd_add(x0, vd_sub(limit, v));
        x1 = vd_add(x1, vd_sub(limit, w));
        l0 = vd_min(v, l0);
        l1 = vd_min(w, l1);
    }
    *least = vd_min(l0, l1);
    *excess = vd_div(vd_add(x0, x1), count);
}

/* Narrows the limit b, which cb >= first of a lane's values lie at or below, until those are at most `last` or the steps end:
 * false position from the guess t, and halving now and then. Where values are infinite or missing b stays as it is. */
CS_INLINE vd lanes_threshold(const double *values, size_t slots, vd a, vd b, vd cb, vd t, double first, double last,
                             unsigned steps, cs_rows_ahead *next) {
    vd ca = vd_set(0.0), half = vd_set(0.5), middle = vd_set(0.5 * (first + last) - 0.25);
    for (unsigned step = 1; step <= steps && vm_any(vd_lt(vd_set(last), cb)); step++) {
        vd c = lanes_count_le(values, slots, t);
        fetch_lines(next, slots / 8);
        vm enough = vd_le(vd_set(first), c);
        b = vd_where(enough, t, b);
        cb = vd_where(enough, c, cb);
        a = vd_where(enough, a, t);
        ca = vd_where(enough, ca, c);
        t = vd_add(a, vd_mul(vd_sub(b, a), step % 3 == 0 ? half : vd_div(vd_sub(middle, ca), vd_sub(cb, ca))));
    }
    return b;
}

/* limits[c]: a threshold for column c. */
CS_INLINE void column_limits(const double *minima, const cs_column_plan *plan, size_t rank, double *limits, cs_rows_ahead *next) {
    vd count = vd_set((double)plan->groups);
    for (size_t c = 0; c < CS_COLUMNS; c += CS_LANES) {
        vd most = vd_load(minima + c), least, excess;
        fetch_lines(next, plan->slots / 8);
        for (size_t i = 1; i < plan->groups; i++) most = vd_max(vd_load(minima + i * CS_COLUMNS + c), most);
        lanes_spread(minima + c, plan->slots, most, count, &least, &excess);
        vd_store(limits + c, lanes_threshold(minima + c, plan->slots, least, most, count, vd_sub(most, excess),
                                             (double)rank, (double)(rank + rank / 8 + 1), CS_COLUMN_STEPS, next));
    }
}

/* The largest value at or below, or below, `value`, and how many those are. */
#define LANES_NEXT(compare)                                                          \
    do {                                                                             \
        vd m0 = vd_set(-INFINITY), m1 = m0, c0 = vd_set(0.0), c1 = c0;               \
        for (size_t i = 0; i < slots; i += 2) {                                      \
            vd v = vd_load(kept + i * CS_COLUMNS), w = vd_load(kept + (i + 1) * CS_COLUMNS); \
            vm k = compare(v, value), h = compare(w, value);                         \
            m0 = vd_max(vd_where(k, v, m0), m0);                                     \
            m1 = vd_max(vd_where(h, w, m1), m1);                                     \
            c0 = vd_add(c0, vd_keep(k, one));                                        \
            c1 = vd_add(c1, vd_keep(h, one));                                        \
        }                                                                            \
        next = vd_max(m0, m1);                                                       \
        below = vd_add(c0, c1);                                                      \
    } while (0)

/* The tails of CS_LANES columns of which all outcomes up to `limit` were kept; the rest of the slots holds infinities. Bits
 * of the columns that could be told. */
CS_INLINE uint64_t lanes_finish(const double *kept, const cs_column_plan *plan, const uint32_t *count, vd limit,
                                const cs_target *target, double *tail, cs_tail *out, size_t apart,
                                cs_rows_ahead *ahead) {
    vd one = vd_set(1.0), rank = vd_set((double)target->rank), middle = vd_set((double)target->rank + 0.25);
    vd counts, least, excess, value, next, below, s0 = vd_set(0.0), c0 = s0, s1 = s0, c1 = s0;
    double lane[5][CS_LANES], steps;
    size_t slots = 0;
    uint64_t told = 0;
    for (size_t k = 0; k < CS_LANES; k++) {
        lane[0][k] = (double)count[k];
        if (count[k] > slots) slots = count[k];
    }
    slots = slots > plan->room ? plan->room : (slots + 3) / 4 * 4;
    counts = vd_load(lane[0]);
    lanes_spread(kept, slots, limit, counts, &least, &excess);
    /* As if the tail were exponential, 2 (m - r) / (m + r) standing for log(m / r). */
    next = vd_div(vd_sub(counts, middle), vd_add(counts, middle));
    next = vd_sub(limit, vd_mul(vd_add(excess, excess), next));
    value = lanes_threshold(kept, slots, least, limit, counts, next, (double)target->rank, (double)target->rank,
                            CS_VALUE_STEPS, ahead);
    LANES_NEXT(vd_le);
    for (;;) {
        vm more = vd_le(rank, below);
        if (!vm_any(more)) break;
        value = vd_where(more, next, value);
        fetch_lines(ahead, slots / 8);
        LANES_NEXT(vd_lt);
    }
    for (size_t i = 0; i < slots; i += 2) {
        vd v = vd_load(kept + i * CS_COLUMNS), w = vd_load(kept + (i + 1) * CS_COLUMNS);
        v = vd_keep(vd_lt(v, value), v);
        w = vd_keep(vd_lt(w, value), w);
        LANE_ADD(s0, c0, v);
        LANE_ADD(s1, c1, w);
    }
    LANE_ADD(s0, c0, s1);
    c0 = vd_add(c0, c1);
    vd_store(lane[0], value);
    vd_store(lane[1], below);
    vd_store(lane[2], least);
    vd_store(lane[3], s0);
    vd_store(lane[4], c0);
    steps = (double)slots + 2.0;
    for (size_t k = 0; k < CS_LANES; k++) {
        selection s;
        fetch_lines(ahead, 6);
        if (count[k] > plan->room || !isfinite(lane[0][k]) || !isfinite(lane[2][k])) continue;
        s.value = lane[0][k];
        s.below = (size_t)lane[1][k];
        s.magnitude = fmax(fabs(lane[2][k]), fabs(lane[0][k]));
        s.sum.hi = lane[3][k];
        s.sum.lo = lane[4][k];
        /* More than lane_sums_fold has for two lanes of half the steps. */
        s.sum.err = CS_UNIT_ROUNDOFF * s.magnitude * (steps * steps * steps) * CS_UNIT_ROUNDOFF;
        if (!tail_certified(&s, target, &out[k * apart])) {
            for (size_t i = 0; i < count[k]; i++) tail[i] = kept[i * CS_COLUMNS + k];
            s.source = outcomes_of(tail, count[k]);
            out[k * apart] = tail_value(&s, target);
        }
        told |= (uint64_t)1 << k;
    }
    return told;
}
#undef LANES_NEXT

/* out[c, i]: of column c for target i. Returns the bits of the columns that could be told. */
static uint64_t kernel_tail_columns(const cs_columns *x, const cs_target *targets, size_t n_targets, double *scratch,
                                    cs_tail *out) {
    size_t widest = cs_target_next(targets, n_targets, n_targets), rank = targets[widest].rank;
    cs_column_plan plan;
    double *minima = scratch, *limits, *kept, *tail;
    uint64_t *words, told = 0;
    uint32_t count[CS_COLUMNS] = {0};
    cs_rows_ahead next = {0}; /* a copy, which stays in registers */
    if (!cs_column_plan_of(x->n, rank, &plan)) return 0;
    if (x->next) next = *x->next;
    limits = minima + plan.slots * CS_COLUMNS;
    kept = limits + CS_COLUMNS;
    tail = kept + (plan.room + 1) * CS_COLUMNS;
    words = (uint64_t *)(tail + plan.room + CS_SLACK);
    for (size_t i = 0; i < plan.room * CS_COLUMNS; i++) kept[i] = INFINITY;
#define COLLECT(is_f32)                                                      \
    do {                                                                     \
        column_minima(x, is_f32, &plan, minima);                             \
        column_limits(minima, &plan, rank, limits, &next);                   \
        column_bits(x, is_f32, limits, words, &next);                        \
        column_keep(x, is_f32, words, kept, plan.room, count, &next);        \
    } while (0)
    if (x->is_f32)
        COLLECT(1);
    else
        COLLECT(0);
#undef COLLECT
    for (size_t c = 0; c < CS_COLUMNS; c += CS_LANES) {
        uint64_t lanes = ((uint64_t)1 << CS_LANES) - 1;
        fetch_lines(&next, 4);
        for (size_t i = 0; i < n_targets; i++)
            lanes &= lanes_finish(kept + c, &plan, count + c, vd_load(limits + c), &targets[i], tail, out + c * n_targets + i,
                                  n_targets, &next);
        told |= lanes << c;
    }
    return told;
}
