/* The worst outcomes of a window that moves, and the tails they make: exact at every step, without looking at the window
 * again.
 *
 * Kept are the candidates: all outcomes of the window up to a threshold T, at least as many as the largest tail needs. One
 * above T enters or leaves for a comparison. Those below T lie sorted in blocks, an outcome's place is found by counting,
 * and outcomes equal to T, of which there may be any number, are only counted. A level keeps where its outcome of rank
 * ceil(c) lies and the exact sum up to it, so that a step costs the same whatever the size of the tail: O(1) but for the
 * search among the blocks. Results are those of tail_kernels.h: the same exact quotient, rounded once.
 *
 * Candidates that run out are collected anew from the window, some more than needed; the less long they lasted, the more,
 * until all outcomes are candidates. So data that drain them at every step (rising ones) cost two steps in the blocks and
 * no search of the window. Too many are cut off at the far end. Both are rare otherwise: the number of outcomes below a
 * threshold strays little.
 *
 * NaN holds a place in the window and is no outcome. */

#include "exact.h"
#include "kernels.h"
#include "lanes.h"
#include "rolling_sum.h"
#include "target.h"
#include "window.h"

/* Candidates that lasted less than so many windows shall be twice as many above the need next time; half as many after
 * so many. */
#define CS_WINDOW_SOON 2
#define CS_WINDOW_LONG 16
#define CS_DIRECTORY_STEP 64 /* blocks whose first outcomes are compared one and all */

CS_INLINE double *block_at(const cs_candidates *c, size_t block) {
    return c->blocks + c->place[block];
}

/* ---- levels ------------------------------------------------------------------------------------------------------- */

/* Finds the outcome of the rank where outcomes were put in, or taken out, ahead of it since it was found. */
CS_INLINE void level_seek_back(const cs_candidates *c, cs_window_level *l) {
    size_t index = l->target.rank - 1;
    while (index < l->before) l->before -= c->fill[--l->block];
    l->value = l->block < c->n_blocks ? block_at(c, l->block)[index - l->before] : c->threshold;
}

CS_INLINE void level_seek_on(const cs_candidates *c, cs_window_level *l) {
    size_t index = l->target.rank - 1;
    while (l->block < c->n_blocks && index >= l->before + c->fill[l->block]) l->before += c->fill[l->block++];
    l->value = l->block < c->n_blocks ? block_at(c, l->block)[index - l->before] : c->threshold;
}

/* From the first. */
static void level_find(const cs_candidates *c, cs_window_level *l) {
    l->block = l->before = 0;
    level_seek_on(c, l);
}

/* The sum up to the rank anew. */
CS_COLD void level_total(const cs_candidates *c, cs_window_level *l) {
    size_t left = l->target.rank;
    double magnitude = 0.0;
    for (int pass = 0; pass < 2; pass++, left = l->target.rank) {
        if (pass) rolling_sum_begin(&l->sum, l->target.count > 1.0 ? magnitude : 0.0, l->terms = 2 * left);
        for (size_t k = 0; k < c->n_blocks && left; k++) {
            const double *a = block_at(c, k);
            size_t some = c->fill[k] < left ? c->fill[k] : left;
            for (size_t j = 0; j < some; j++) {
                if (pass)
                    rolling_sum_add(&l->sum, a[j]);
                else if (fabs(a[j]) > magnitude && fabs(a[j]) < INFINITY)
                    magnitude = fabs(a[j]);
            }
            left -= some;
        }
        if (pass == 0 && left && fabs(c->threshold) > magnitude && fabs(c->threshold) < INFINITY)
            magnitude = fabs(c->threshold);
        for (; pass && left; left--) rolling_sum_add(&l->sum, c->threshold);
    }
    l->wide_for = 0;
}

CS_INLINE void level_change(const cs_candidates *c, cs_window_level *l) {
    l->changed = 1;
    /* A sum that an odd outcome made wide is begun anew when that costs little. */
    if (CS_UNLIKELY(l->sum.wide) && ++l->wide_for > 4 * l->target.rank + 64) level_total(c, l);
}

static void level_aim(cs_window_level *l, size_t present) {
    double e, f;
    cs_target t = cs_target_of(l->level, present);
    l->target = t;
    l->over = cs_two_sum(t.c0 - (double)t.rank, t.c1, &e);
    l->over = cs_two_sum(l->over, e + t.c2, &f);
    l->over_rest = f;
    l->over_err = t.c1 == 0.0 ? 0.0 : 0x1p-100 * t.c0;
    l->changed = 1;
}

/* The targets for another number of outcomes; sums follow the rank. */
static void candidates_aim(cs_candidates *c) {
    c->counted = c->present;
    c->need = c->widest = 0;
    for (size_t i = 0; i < c->n_levels; i++) {
        cs_window_level *l = c->levels + i;
        size_t rank = l->target.rank, aim;
        level_aim(l, c->present);
        aim = l->target.rank;
        if (aim > c->need) {
            c->need = aim;
            c->widest = i;
        }
        if (c->stale) continue; /* targets only */
        if (aim > c->count + c->ties) {
            c->stale = 1;
            continue;
        }
        while (rank > aim) {
            rolling_sum_take(&l->sum, l->value);
            l->target.rank = --rank;
            level_seek_back(c, l);
        }
        while (rank < aim) {
            l->target.rank = ++rank;
            level_seek_on(c, l);
            rolling_sum_add(&l->sum, l->value);
        }
        if (CS_UNLIKELY(aim >= l->terms)) level_total(c, l);
    }
}

/* The quotient from the exact sum up to the rank, by exact numbers. */
CS_COLD double level_exact(const cs_target *t, cs_exact *total, double value) {
    cs_exact count;
    cs_exact_add_product(total, t->c0 - (double)t->rank, value);
    cs_exact_add_product(total, t->c1, value);
    cs_exact_add_product(total, t->c2, value);
    cs_exact_zero(&count);
    cs_exact_add(&count, t->c0);
    cs_exact_add(&count, t->c1);
    cs_exact_add(&count, t->c2);
    return cs_exact_ratio(total, &count);
}

/* Where no quotient is needed, the tail being one outcome or infinite: 1 and the result is made. `worst` is the first of
 * the candidates. */
CS_INLINE int level_is_plain(cs_window_level *l, double worst) {
    double v = l->value;
    if (l->target.count > 1.0 && !CS_UNLIKELY(v == INFINITY || worst == -INFINITY)) return 0;
    l->result.es = l->result.var = 0.0 - v;
    if (l->target.count > 1.0 && worst == -INFINITY && v > -INFINITY)
        l->result.es = v == INFINITY ? (double)NAN : INFINITY;
    return 1;
}

/* The result of a level whose tail lies among the candidates. */
CS_INLINE void level_finish(cs_window_level *l, double worst) {
    const cs_target *t = &l->target;
    cs_sum numerator, count = {t->count, t->rest, l->over_err};
    double v = l->value, ratio;
    l->changed = 0;
    if (level_is_plain(l, worst)) return;
    l->result.var = 0.0 - v;
    if (rolling_sum_read(&l->sum, &numerator)) {
        if (l->over != 0.0) {
            cs_sum_add_product(&numerator, l->over, v);
            cs_sum_add_low(&numerator, l->over_rest * v);
            numerator.err += l->over_err * fabs(v);
        }
        l->result.es = 0.0;
        if (cs_sum_ratio(&numerator, &count, &ratio) ||
            (t->c1 == 0.0 && cs_pair_ratio(&numerator, t->count, &ratio))) {
            l->result.es = 0.0 - ratio;
            return;
        }
    }
    {
        cs_exact total;
        rolling_sum_exact(&l->sum, &total);
        l->result.es = 0.0 - level_exact(t, &total, v);
    }
}

/* Notes a result for level_divide, from output `step` on. 0 if the sum is wide: it may hold infinities, or be that of a
 * tail of one outcome, which none is kept for. */
CS_INLINE int level_note(cs_window_level *l, size_t step) {
    cs_window_pending *p = &l->pending;
    if (CS_UNLIKELY(l->sum.wide)) return 0;
    p->hi[p->count] = l->sum.hi;
    p->lo[p->count] = l->sum.lo;
    p->var[p->count] = 0.0 - l->value;
    p->step[p->count++] = step;
    l->changed = 0;
    return 1;
}

/* The quotient of a sum that is an exact pair. */
CS_COLD double level_quotient(const cs_window_level *l, double hi, double lo, double value) {
    cs_sum sum = {hi, lo, 0.0};
    cs_exact total;
    double ratio;
    if (l->target.c1 == 0.0 && cs_pair_ratio(&sum, l->target.count, &ratio)) return 0.0 - ratio;
    cs_exact_zero(&total);
    cs_exact_add(&total, hi);
    cs_exact_add(&total, lo);
    return 0.0 - level_exact(&l->target, &total, value);
}

/* What sums of a level are divided by, in lanes. */
typedef struct {
    vd over, over_rest, high, low, inverse, lost; /* `lost`: a bound of rounding relative to hi and v */
} level_divisor;

CS_INLINE level_divisor level_divisor_of(const cs_window_level *l) {
    level_divisor d;
    double low, high = cs_two_sum(l->target.count, l->target.rest, &low);
    d.over = vd_set(l->over);
    d.over_rest = vd_set(l->over_rest);
    d.high = vd_set(high);
    d.low = vd_set(low);
    d.inverse = vd_set(1.0 / high);
    d.lost = vd_set(0x1p-99 + 8.0 * l->over_err);
    return d;
}

/* ES of exact sums hi + lo, as pairs that are not wide, up to outcomes v of the rank, and where it is certain: cs_sum_ratio
 * in lanes, with an inverse for the divisions. A quotient off by a unit leaves a larger remainder, which is known as well.
 * All terms but lo that are rounded on the way are at most |hi| + |v| times a few units of roundoff, and are rounded a few
 * times; nothing underflows, and where parts cancel nothing is certain. */
CS_INLINE vm level_divisor_apply(const level_divisor *d, vd hi, vd lo, vd v, vd *es) {
    vd part, part_lo, sum, z, e, nh, nl, q, rest, slack, below;
    slack = vd_add(vd_mul(vd_abs(lo), vd_set(0x1p-51)), vd_mul(vd_add(vd_abs(hi), vd_abs(v)), d->lost));
    slack = vd_mul(slack, vd_mul(d->inverse, vd_set(1.0000001)));
    /* The numerator and what its pair leaves off. */
    part = vd_two_product(d->over, v, &part_lo);
    sum = vd_add(hi, part);
    z = vd_sub(sum, hi);
    e = vd_add(vd_sub(hi, vd_sub(sum, z)), vd_sub(part, z));
    lo = vd_add(vd_add(lo, e), vd_add(part_lo, vd_mul(d->over_rest, v)));
    nh = vd_add(sum, lo);
    nl = vd_add(vd_sub(sum, nh), lo); /* |lo| is less than |sum|, or the slack decides nothing */
    q = vd_mul(nh, d->inverse);
    rest = vd_add(vd_fused_product_minus(q, d->high, nh), vd_sub(vd_mul(q, d->low), nl));
    rest = vd_mul(rest, d->inverse);
    below = vd_sub(q, vd_add(rest, slack));
    *es = vd_sub(vd_set(0.0), below);
    return vd_eq(below, vd_sub(q, vd_sub(rest, slack)));
}

/* Divides what was noted, many at a time. */
static void level_divide(cs_window_level *l) {
    cs_window_pending *p = &l->pending;
    level_divisor divisor = level_divisor_of(l);
    for (size_t i = p->count; i < (p->count + CS_LANES - 1) / CS_LANES * CS_LANES; i++)
        p->hi[i] = p->lo[i] = p->var[i] = 0.0;
    for (size_t i = 0; i < p->count; i += CS_LANES) {
        vd es, value = vd_sub(vd_set(0.0), vd_load(p->var + i));
        vm certain = level_divisor_apply(&divisor, vd_load(p->hi + i), vd_load(p->lo + i), value, &es);
        vd_store(p->es + i, es);
        if (CS_UNLIKELY(vm_count(certain) != CS_LANES)) {
            uint64_t open = ~vm_bits(certain);
            for (size_t k = 0; k < CS_LANES && i + k < p->count; k++)
                if (open >> k & 1) p->es[i + k] = level_quotient(l, p->hi[i + k], p->lo[i + k], 0.0 - p->var[i + k]);
        }
    }
}

CS_INLINE double candidates_worst(const cs_candidates *c) { return c->count ? block_at(c, 0)[0] : c->threshold; }

/* ---- blocks ------------------------------------------------------------------------------------------------------- */

/* The last block whose first outcome is at most x: there x belongs, and there the last outcome equal to it is. */
CS_INLINE size_t blocks_find(const cs_candidates *c, double x) {
    const double *first = c->first;
    size_t n = c->n_blocks, below = 0;
    vd limit = vd_set(x);
    if (n == 1) return 0;
    if (n > CS_LANES) {
        /* Where outcomes rise or fall they enter and leave at the ends. */
        if (x < first[1]) return 0;
        if (x >= first[n - 1]) return n - 1;
    }
    while (n > CS_DIRECTORY_STEP) {
        size_t half = n / 2;
        first = first[half] <= x ? first + half : first;
        n -= half;
    }
    for (size_t i = 0; i < n; i += CS_LANES) below += vm_count(vd_le(vd_load(first + i), limit));
    return (size_t)(first - c->first) + below - 1;
}

/* NaN behind the first `fill` outcomes. */
static void block_cut(cs_candidates *c, size_t block, size_t fill) {
    size_t skipped = c->place[block] % CS_WINDOW_BLOCK_ROOM;
    double *a = block_at(c, block);
    for (size_t i = fill; i < CS_WINDOW_BLOCK_ROOM - skipped; i++) a[i] = (double)NAN;
    c->fill[block] = (uint32_t)fill;
    c->left[block] = (uint32_t)(CS_WINDOW_BLOCK - skipped - fill);
}

/* Moves a block to where its memory begins. */
static void block_rewind(cs_candidates *c, size_t block) {
    size_t skipped = c->place[block] % CS_WINDOW_BLOCK_ROOM;
    double *a = block_at(c, block);
    memmove(a - skipped, a, c->fill[block] * sizeof(double));
    c->place[block] -= skipped;
    block_cut(c, block, c->fill[block]);
}

/* A free block behind `block`, or in front of it. */
static void blocks_open(cs_candidates *c, size_t block) {
    size_t place = c->place[c->n_blocks], behind = c->n_blocks - block;
    memmove(c->place + block + 1, c->place + block, behind * sizeof *c->place);
    memmove(c->fill + block + 1, c->fill + block, behind * sizeof *c->fill);
    memmove(c->left + block + 1, c->left + block, behind * sizeof *c->left);
    memmove(c->first + block + 1, c->first + block, behind * sizeof *c->first);
    c->place[block] = place - place % CS_WINDOW_BLOCK_ROOM;
    c->n_blocks++;
    block_cut(c, block, 0);
    for (size_t i = 0; i < c->n_levels; i++) c->levels[i].block += c->levels[i].block >= block;
}

static void blocks_close(cs_candidates *c, size_t block) {
    size_t place = c->place[block], behind = --c->n_blocks - block;
    memmove(c->place + block, c->place + block + 1, behind * sizeof *c->place);
    memmove(c->fill + block, c->fill + block + 1, behind * sizeof *c->fill);
    memmove(c->left + block, c->left + block + 1, behind * sizeof *c->left);
    memmove(c->first + block, c->first + block + 1, behind * sizeof *c->first);
    c->place[c->n_blocks] = place;
    c->first[c->n_blocks] = (double)NAN;
    c->first[0] = -INFINITY;
    for (size_t i = 0; i < c->n_levels; i++) c->levels[i].block -= c->levels[i].block > block;
}

static void blocks_reset(cs_candidates *c) {
    for (size_t i = 0; i < c->blocks_most; i++) c->place[i] = i * CS_WINDOW_BLOCK_ROOM;
    for (size_t i = 0; i < c->blocks_most + CS_SLACK; i++) c->first[i] = (double)NAN;
    c->n_blocks = 0;
    c->count = 0;
    blocks_open(c, 0);
    c->first[0] = -INFINITY;
    for (size_t i = 0; i < c->n_levels; i++) c->levels[i].block = c->levels[i].before = 0;
}

/* Whole vectors are loaded from where they were stored and shifted in registers: a load across two of them would wait for
 * both to reach the cache. */
CS_INLINE void block_insert(double *a, size_t fill, double x) {
    vd value = vd_set(x), v, below, ahead;
    size_t i = fill / CS_LANES * CS_LANES, last = fill > 0 && a[fill - 1] <= x ? i : 0;
    v = vd_load(a + i);
    for (;; i -= CS_LANES) {
        below = i > 0 ? vd_load(a + i - CS_LANES) : vd_set(-INFINITY);
        ahead = vd_shift_up(v, below);
        vd_store(a + i, vd_where(vd_le(v, value), v, vd_where(vd_le(ahead, value), value, ahead)));
        if (i == last) return;
        v = below;
    }
}

/* Takes the last outcome out that is at most x. */
CS_INLINE void block_remove(double *a, size_t fill, double x) {
    vd value = vd_set(x), v = vd_load(a), above, next;
    size_t i = 0;
    for (; i + CS_LANES < fill; i += CS_LANES) {
        above = vd_load(a + i + CS_LANES);
        next = vd_shift_down(v, above);
        vd_store(a + i, vd_where(vd_le(next, value), v, next));
        v = above;
    }
    next = vd_shift_down(v, vd_set((double)NAN));
    vd_store(a + i, vd_where(vd_le(next, value), v, next));
}

/* All outcomes into blocks with room, when no block is free. */
CS_COLD void blocks_repack(cs_candidates *c) {
    size_t n = 0;
    for (size_t b = 0; b < c->n_blocks; b++) {
        memcpy(c->scratch + n, block_at(c, b), c->fill[b] * sizeof(double));
        n += c->fill[b];
    }
    blocks_reset(c);
    for (size_t i = 0; i < n;) {
        size_t m = n - i < CS_WINDOW_BLOCK / 4 * 3 ? n - i : CS_WINDOW_BLOCK / 4 * 3;
        if (i) blocks_open(c, c->n_blocks);
        memcpy(block_at(c, c->n_blocks - 1), c->scratch + i, m * sizeof(double));
        block_cut(c, c->n_blocks - 1, m);
        if (i) c->first[c->n_blocks - 1] = c->scratch[i];
        i += m;
    }
    c->count = n;
    for (size_t i = 0; i < c->n_levels; i++) {
        level_find(c, c->levels + i);
    }
}

/* Makes room in a full block and returns the block for x, which has room. */
static size_t blocks_split(cs_candidates *c, size_t block, double x) {
    double *a, *b;
    size_t half = CS_WINDOW_BLOCK / 2;
    if (c->n_blocks == c->blocks_most) {
        blocks_repack(c);
        return blocks_find(c, x);
    }
    a = block_at(c, block);
    if (block + 1 == c->n_blocks && x >= a[CS_WINDOW_BLOCK - 1]) {
        /* Outcomes that rise, or fall, would leave halves behind. */
        blocks_open(c, block + 1);
        c->first[block + 1] = x;
        return block + 1;
    }
    if (block == 0 && x < a[0]) {
        blocks_open(c, 0);
        c->first[0] = -INFINITY;
        c->first[1] = a[0];
        c->place[0] += CS_WINDOW_BLOCK - 1;
        block_cut(c, 0, 0);
        return 0;
    }
    blocks_open(c, block + 1);
    b = block_at(c, block + 1);
    memcpy(b, a + half, half * sizeof(double));
    block_cut(c, block, half);
    block_cut(c, block + 1, half);
    c->first[block + 1] = b[0];
    for (size_t i = 0; i < c->n_levels; i++) level_seek_on(c, c->levels + i);
    return x < b[0] ? block : block + 1;
}

/* ---- candidates --------------------------------------------------------------------------------------------------- */

/* The block that x was put into. */
CS_INLINE size_t candidates_put(cs_candidates *c, double x) {
    size_t block = blocks_find(c, x);
    if (CS_UNLIKELY(x < block_at(c, block)[0]) && c->place[block] % CS_WINDOW_BLOCK_ROOM > 0) {
        /* Outcomes that fall enter at the front. */
        c->place[block]--;
        c->fill[block]++;
        c->count++;
        block_at(c, block)[0] = x;
        return block;
    }
    if (CS_UNLIKELY(c->left[block] == 0)) {
        if (c->fill[block] == CS_WINDOW_BLOCK)
            block = blocks_split(c, block, x);
        else
            block_rewind(c, block);
    }
    block_insert(block_at(c, block), c->fill[block], x);
    c->fill[block]++;
    c->left[block]--;
    c->count++;
    return block;
}

CS_INLINE void levels_after_put(cs_candidates *c, size_t n_levels, size_t block, double x) {
    for (size_t i = 0; i < n_levels; i++) {
        cs_window_level *l = c->levels + i;
        l->before += l->block > block;
        if (x < l->value) {
            l->taken--;
            rolling_sum_exchange(&l->sum, x, l->value);
            level_seek_back(c, l);
            level_change(c, l);
        }
    }
}

/* Candidates above the need, wanted at first: more than a standard deviation of the number below a threshold. */
static size_t margin_of(size_t need) { return (size_t)(1.5 * sqrt((double)need)) + 2; }

/* When to look whether fewer would do. */
static void candidates_schedule(cs_candidates *c) {
    c->since = c->now;
    c->review = c->now + (c->threshold < INFINITY ? CS_WINDOW_LONG * c->present : c->present / 2);
}

static size_t most_of(const cs_candidates *c) {
    size_t most = c->need + 4 * c->margin;
    return most < c->capacity ? most : c->capacity;
}

/* Cuts off what lies beyond the need and the margin. */
CS_COLD void candidates_shrink(cs_candidates *c) {
    size_t keep, before = 0, block = 0, ties = 0, below;
    double t;
    if (c->count > c->capacity) {
        c->stale = 1; /* never, unless someone writes into the outcomes meanwhile */
        return;
    }
    if (c->margin < margin_of(c->need)) c->margin = margin_of(c->need);
    keep = c->need + c->margin;
    c->most = most_of(c);
    if (c->count <= keep) return;
    while (keep >= before + c->fill[block]) before += c->fill[block++];
    t = block_at(c, block)[keep - before];
    /* Outcomes equal to t may begin in a block before this one and end in one behind it. */
    while (block > 0 && c->first[block] == t) before -= c->fill[--block];
    below = 0;
    for (const double *a = block_at(c, block); below < c->fill[block] && a[below] < t; below++) continue;
    for (size_t b = block, i = below; b < c->n_blocks; b++, i = 0) {
        const double *a = block_at(c, b);
        for (; i < c->fill[b] && a[i] == t; i++) ties++;
        if (i < c->fill[b]) break;
    }
    c->threshold = t;
    c->ties = ties;
    c->count = before + below;
    block_cut(c, block, below);
    for (size_t b = block + 1; b < c->n_blocks; b++) c->first[b] = (double)NAN;
    c->n_blocks = block + 1;
    for (size_t i = 0; i < c->n_levels; i++) {
        level_find(c, c->levels + i);
    }
}

/* Collects the candidates from the window's outcomes; missing ones are left out. */
CS_COLD void candidates_collect(cs_candidates *c, const cs_outcomes *window) {
    double *b = c->scratch, least, most;
    size_t m = kernel_drop_missing(window, NULL, b, NULL), pads, whole, keep, base, below = 0;
    vd limit;
    c->stale = 1;
    c->present = m;
    candidates_aim(c);
    if (m == 0) return;
    base = margin_of(c->need);
    if (c->margin < base)
        c->margin = base;
    else if (c->now - c->since < CS_WINDOW_SOON * m)
        c->margin = c->margin < m ? 2 * c->margin : m;
    keep = c->need + c->margin;
    c->most = most_of(c);
    c->threshold = INFINITY;
    if (keep + keep / 4 < m) {
        pads = buffer_pad(b, m, b[0]);
        whole = m + pads;
        buffer_range(b, whole, &least, &most);
        c->threshold = buffer_threshold(b, whole, pads, least, most, keep - c->margin / 4, keep + c->margin / 4);
        c->threshold = buffer_most_up_to(b, whole, c->threshold);
    }
    if (c->threshold == INFINITY) c->most = c->capacity;
    candidates_schedule(c);
    c->stale = 0;
    c->ties = 0;
    blocks_reset(c);
    limit = vd_set(c->threshold);
    buffer_pad(b, m, (double)NAN);
    for (size_t i = 0; i < m; i += CS_LANES) {
        vd v = vd_load(b + i);
        c->ties += vm_count(vd_eq(v, limit));
        below += vd_append(b + below, vd_lt(v, limit), v);
    }
    for (size_t i = 0; i < below; i++) candidates_put(c, b[i]);
    for (size_t i = 0; i < c->n_levels; i++) {
        level_total(c, c->levels + i);
        c->levels[i].changed = 1;
        c->levels[i].taken = c->levels[i].taken_most = 0;
        level_find(c, c->levels + i);
    }
}

/* The candidates have lasted long: fewer may do. If all outcomes are candidates, are they still taken from the tail faster
 * than they enter it? */
CS_COLD void candidates_review(cs_candidates *c) {
    size_t base = margin_of(c->need), margin = c->threshold < INFINITY ? c->margin / 2 : 4 * base;
    int drained = c->threshold == INFINITY && c->levels[c->widest].taken_most > (int64_t)margin;
    if (margin >= base && !drained && c->need + 4 * margin < c->present) {
        c->margin = margin;
        candidates_shrink(c);
    }
    candidates_schedule(c);
    for (size_t i = 0; i < c->n_levels; i++) c->levels[i].taken = c->levels[i].taken_most = 0;
}

/* An outcome enters; `present` is the caller's to keep. n_levels is that of the candidates, here and below, so that one
 * level is no loop. */
CS_INLINE void candidates_enter(cs_candidates *c, size_t n_levels, double x) {
    if (c->stale || !(x <= c->threshold)) return;
    if (x == c->threshold) {
        c->ties++;
        return;
    }
    levels_after_put(c, n_levels, candidates_put(c, x), x);
    if (CS_UNLIKELY(c->count > c->most)) candidates_shrink(c);
}

CS_INLINE void levels_after_take(cs_candidates *c, size_t n_levels, double x) {
    for (size_t i = 0; i < n_levels; i++) {
        cs_window_level *l = c->levels + i;
        if (x <= l->value) {
            if (++l->taken > l->taken_most) l->taken_most = l->taken;
            level_seek_on(c, l);
            rolling_sum_exchange(&l->sum, l->value, x);
            level_change(c, l);
        }
    }
}

/* An outcome that entered leaves. */
CS_INLINE void candidates_leave(cs_candidates *c, size_t n_levels, double x) {
    if (c->stale || !(x <= c->threshold)) return;
    if (x == c->threshold) {
        c->stale = c->ties == 0;
        c->ties -= c->ties != 0;
    } else {
        size_t block = blocks_find(c, x);
        double *a = block_at(c, block);
        if (CS_UNLIKELY(c->fill[block] == 0)) {
            c->stale = 1;
            return;
        }
        if (x == a[0] && c->fill[block] > 1) {
            /* Outcomes that rise leave at the front. */
            c->place[block]++;
            a++;
        } else {
            block_remove(a, c->fill[block], x);
            c->left[block]++;
        }
        c->fill[block]--;
        c->count--;
        for (size_t i = 0; i < n_levels; i++) c->levels[i].before -= c->levels[i].block > block;
        if (block > 0) c->first[block] = a[0];
        if (CS_UNLIKELY(c->fill[block] == 0) && c->n_blocks > 1) blocks_close(c, block);
        levels_after_take(c, n_levels, x);
    }
    if (CS_UNLIKELY(c->count + c->ties < c->need)) c->stale = 1;
}

/* Brings the results up to date after outcomes entered and left; `window` holds those present. 0 if they are fewer than
 * min_count: the results are NaN then. */
CS_INLINE int candidates_settle(cs_candidates *c, const cs_outcomes *window, size_t min_count) {
    if (c->present < min_count || c->present == 0) {
        c->stale = 1;
        return 0;
    }
    if (CS_UNLIKELY(c->present > c->capacity)) c->stale = 1; /* as above: someone writes into the outcomes */
    if (!c->stale && c->present != c->counted) candidates_aim(c);
    if (CS_UNLIKELY(c->stale)) candidates_collect(c, window);
    else if (CS_UNLIKELY(c->now > c->review)) candidates_review(c);
    for (size_t i = 0; i < c->n_levels; i++)
        if (c->levels[i].changed) level_finish(c->levels + i, candidates_worst(c));
    return 1;
}

static void candidates_clear(cs_candidates *c) {
    c->present = c->counted = 0;
    c->margin = 0;
    c->now = c->since = 0;
    c->stale = 1;
}

static void kernel_window_push(cs_window *w, double value) {
    cs_candidates *c = &w->candidates;
    cs_outcomes window;
    double x = w->flip ? -value : value;
    c->present += x == x;
    candidates_enter(c, c->n_levels, x);
    if (w->size == w->length) {
        double leaving = w->values[w->next];
        c->present -= leaving == leaving;
        candidates_leave(c, c->n_levels, leaving);
    } else {
        w->size++;
    }
    w->values[w->next] = x;
    if (++w->next == w->length) w->next = 0;
    c->now++;
    window = outcomes_of(w->values, w->size);
    if (!candidates_settle(c, &window, w->min_count))
        for (size_t i = 0; i < c->n_levels; i++) {
            c->levels[i].result.es = c->levels[i].result.var = (double)NAN;
            c->levels[i].changed = 1;
        }
}
