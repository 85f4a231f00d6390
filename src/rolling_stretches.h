/* Windows whose tails are a few outcomes, whatever their order: every lane of a vector moves a window over a stretch of its
 * own, in step with the other lanes, by operations that are the same at each step. Nothing is searched, and nothing branches
 * but for outcomes that rise or fall: lists which a group of steps leaves as they are are passed over, and those of which it
 * takes or grows the worst end in order are shifted as a whole.
 *
 * The windows of a lane all hold the place where its stretch of leaving outcomes ends. What lies ahead of it only leaves,
 * what lies behind it only enters. Of either part the worst outcomes are kept, sorted, as many as the rank. That of
 * the part behind grows by an outcome a step. That of the part ahead is grown once from its end to its start, noting what
 * each outcome pushed off the list, and is undone step by step. Of two sorted lists a and b, the outcome of rank k is the
 * largest of min(a[i], b[k - 1 - i]). With v that of the window before a step and v' that of the window behind it, the
 * exact sum up to the rank becomes the sum - min(leaving, v) + min(entering, v').
 *
 * References: M. van Herk, A fast algorithm for local minimum and maximum filters, Pattern Recogn. Lett. 13 (1992), for
 * windows in two parts; J. Suomela, Median filtering is equivalent to sorting, arXiv:1406.1717 (2014), for the undoing. */

#include "exact.h"
#include "kernels.h"
#include "lanes.h"
#include "rolling_sum.h"
#include "window.h"

/* Outputs that lanes make together, each `steps` of them from first[lane] on. Where `count` is no multiple of CS_LANES they
 * overlap. */
typedef struct {
    size_t count, steps, first[CS_LANES];
} stretches;

/* `count` is at least CS_LANES. */
static stretches stretches_of(size_t count) {
    stretches s;
    s.count = count;
    s.steps = (count + CS_LANES * CS_LANES - 1) / (CS_LANES * CS_LANES) * CS_LANES;
    for (size_t i = 0; i < CS_LANES; i++) s.first[i] = i * (count - s.steps) / (CS_LANES > 1 ? CS_LANES - 1 : 1);
    return s;
}

/* The outcomes of each stretch at `at`, and those of the next steps, a vector for each of CS_LANES steps. */
CS_INLINE void stretches_load(const stretches *s, const cs_outcomes *x, size_t at, vd flip, vd *step) {
    for (size_t i = 0; i < CS_LANES; i++) step[i] = outcomes_load(x->data, x->is_f32, at + s->first[i], flip);
    vd_transpose(step);
}

static void stretches_store(const stretches *s, const double *step, double *out) {
    vd lane[CS_LANES];
    for (size_t i = 0; i < CS_LANES; i++) lane[i] = vd_load(step + i * CS_LANES);
    vd_transpose(lane);
    for (size_t i = 0; i < CS_LANES; i++) vd_store(out + s->first[i], lane[i]);
}

/* What CS_LANES outcomes did to a list. */
enum { LIST_AS_IT_WAS, LIST_GROWN_IN_ORDER, LIST_GROWN };

/* The worst outcomes of both parts of a window, each lane sorted. The lists are of one length, `tiles` times `tile`; of
 * CS_LANES steps all are made in a tile, in registers, before those of the next. */
#define CS_STRETCH_TILE 8
typedef struct {
    vd ahead[CS_STRETCH_RANK], behind[CS_STRETCH_RANK];
} stretch_lists;

/* Whether one of the outcomes x[0], ..., x[CS_LANES - 1] belongs before the last of a list. */
CS_INLINE int list_takes(const vd *list, size_t length, const vd *x) {
    vd least = x[0];
    for (size_t k = 1; k < CS_LANES; k++) least = vd_min(least, x[k]);
    return vm_any(vd_lt(least, list[length - 1]));
}

/* Puts x[CS_LANES - 1], ..., x[0] into a list; each becomes what it pushed off the end. */
CS_INLINE void list_grow(vd *list, size_t tiles, size_t tile, vd *x) {
    for (vd *end = list + tiles * tile; list < end; list += tile) {
        vd a[CS_STRETCH_TILE];
        for (size_t i = 0; i < tile; i++) a[i] = list[i];
        for (size_t k = CS_LANES; k-- > 0;) {
            vd pushed = vd_max(a[tile - 1], x[k]);
            for (size_t i = tile - 1; i > 0; i--) a[i] = vd_min(a[i], vd_max(a[i - 1], x[k]));
            a[0] = vd_min(a[0], x[k]);
            x[k] = pushed;
        }
        for (size_t i = 0; i < tile; i++) list[i] = a[i];
    }
}

/* list_grow at once, where each lane of x rises to below the whole list, or has nothing that belongs before its last: 0 if
 * one does neither. The list is no shorter than CS_LANES. */
static int list_grow_in_order(vd *list, size_t length, vd *x) {
    vd last = list[length - 1], least = x[0], pushed[CS_LANES];
    vm shifts = vd_lt(x[0], last), mixed = vd_le(list[0], x[CS_LANES - 1]);
    for (size_t k = 1; k < CS_LANES; k++) {
        least = vd_min(least, x[k]);
        mixed = vm_or(mixed, vd_lt(x[k], x[k - 1]));
    }
    if (vm_any(vm_andnot(vd_le(last, least), mixed))) return 0;
    for (size_t k = 0; k < CS_LANES; k++) pushed[k] = vd_where(shifts, list[length - CS_LANES + k], x[k]);
    for (size_t i = length; i-- > CS_LANES;) list[i] = vd_where(shifts, list[i - CS_LANES], list[i]);
    for (size_t k = 0; k < CS_LANES; k++) {
        list[k] = vd_where(shifts, x[k], list[k]);
        x[k] = pushed[k];
    }
    return 1;
}

/* CS_LANES steps: what leaves is taken out for what had given way to it, what enters is put in, unless either list stays as
 * it is. value[k] becomes the outcome whose rank in both lists is their length: the largest of the minima of one and the
 * other reversed. */
CS_INLINE void lists_move(stretch_lists *s, size_t tiles, size_t tile, int take, int put, const double *leaving,
                          const double *pushed, const vd *entering, vd *value) {
    vd in[CS_LANES], back[CS_LANES]; /* what each step pushes into the next tile of either list */
    for (size_t k = 0; k < CS_LANES; k++) {
        if (put) in[k] = entering[k];
        if (take) back[k] = vd_load(pushed + k * CS_LANES);
        value[k] = vd_set(-INFINITY);
    }
    for (size_t t = 0; t < tiles; t++) {
        vd *ahead = s->ahead + (tiles - 1 - t) * tile, *behind = s->behind + t * tile;
        vd a[CS_STRETCH_TILE + 1], b[CS_STRETCH_TILE];
        for (size_t i = 0; i < tile; i++) {
            a[i] = ahead[i];
            b[i] = behind[i];
        }
        for (size_t k = 0; k < CS_LANES; k++) {
            vd even, odd;
            if (take) {
                vd x = vd_load(leaving + k * CS_LANES);
                a[tile] = back[k];
                back[k] = a[0];
                for (size_t i = 0; i < tile; i++) a[i] = vd_where(vd_lt(a[i], x), a[i], a[i + 1]);
            }
            if (put) {
                vd x = in[k];
                in[k] = vd_max(b[tile - 1], x);
                for (size_t i = tile - 1; i > 0; i--) b[i] = vd_min(b[i], vd_max(b[i - 1], x));
                b[0] = vd_min(b[0], x);
            }
            even = vd_min(a[0], b[tile - 1]);
            odd = vd_min(a[1], b[tile - 2]);
            for (size_t i = 2; i < tile; i++)
                if (i % 2)
                    odd = vd_max(odd, vd_min(a[i], b[tile - 1 - i]));
                else
                    even = vd_max(even, vd_min(a[i], b[tile - 1 - i]));
            even = vd_max(even, odd);
            value[k] = tiles == 1 ? even : vd_max(value[k], even);
        }
        for (size_t i = 0; i < tile; i++) {
            if (take) ahead[i] = a[i];
            if (put) behind[i] = b[i];
        }
    }
}

/* The outcome behind a list that `pushed` gave way to, and those behind it. */
CS_INLINE vd list_at(const vd *list, size_t length, const double *pushed, size_t i) {
    return i < length ? list[i] : vd_load(pushed + (i - length) * CS_LANES);
}

/* lists_move where what leaves had grown its list in order, what enters does, and each lane has all outcomes up to the rank
 * in one list. 0 if that is not so: nothing is changed then. The rank is no less than CS_LANES. */
static int lists_move_in_order(stretch_lists *s, size_t length, size_t rank, int take, int put, const double *leaving,
                               const double *pushed, const vd *entering, vd *value) {
    vd *ahead = s->ahead, *behind = s->behind + (length - rank), last = behind[rank - 1], least = behind[0];
    vd left[CS_LANES], in[CS_LANES]; /* the outcome of the rank if it is ahead; what enters, the last first */
    vm taken = take ? vd_lt(vd_load(leaving), vd_load(pushed)) : vm_none(), entered = vm_none(), is_ahead;
    for (size_t k = 0; k < CS_LANES; k++) {
        left[k] = ahead[rank - 1];
        if (take) left[k] = vd_where(taken, list_at(ahead, length, pushed, rank + k), left[k]);
        if (put) in[k] = entering[CS_LANES - 1 - k];
    }
    if (put) {
        entered = vd_lt(in[0], last);
        least = vd_min(least, in[0]);
    }
    is_ahead = vd_le(left[CS_LANES - 1], least);
    if (vm_any(vm_andnot(is_ahead, vd_lt(ahead[0], last)))) return 0;
    if (put && !list_grow_in_order(behind, rank, in)) return 0;
    for (size_t k = 0; k < CS_LANES; k++) {
        vd right = behind[rank - 1];
        if (put && k + 1 < CS_LANES) right = vd_where(entered, in[CS_LANES - 2 - k], right);
        value[k] = vd_where(is_ahead, left[k], right);
    }
    for (size_t i = 0; take && i < length; i++)
        ahead[i] = vd_where(taken, list_at(ahead, length, pushed, i + CS_LANES), ahead[i]);
    return 1;
}

typedef struct {
    vd hi, lo, split;
} split_sums;

CS_INLINE void split_sums_add(split_sums *s, vd x) {
    vd high = vd_sub(vd_add(x, s->split), s->split);
    s->hi = vd_add(s->hi, high);
    s->lo = vd_add(s->lo, vd_sub(x, high));
}

CS_INLINE void split_sums_take(split_sums *s, vd x) {
    vd high = vd_sub(vd_add(x, s->split), s->split);
    s->hi = vd_sub(s->hi, high);
    s->lo = vd_sub(s->lo, vd_sub(x, high));
}

/* Sums of CS_LANES steps up to the outcomes `value` of the rank, and the quotients, all behind those of the step before. */
typedef struct {
    double hi[(CS_LANES + 1) * CS_LANES], lo[(CS_LANES + 1) * CS_LANES], value[(CS_LANES + 1) * CS_LANES];
    double es[(CS_LANES + 1) * CS_LANES];
} stretch_group;

static void group_divide(stretch_group *g, const cs_window_level *l, const level_divisor *divisor) {
    for (size_t i = CS_LANES; i < (CS_LANES + 1) * CS_LANES; i += CS_LANES) {
        vd es;
        vm certain = level_divisor_apply(divisor, vd_load(g->hi + i), vd_load(g->lo + i), vd_load(g->value + i), &es);
        vd_store(g->es + i, es);
        if (CS_UNLIKELY(vm_count(certain) != CS_LANES)) {
            uint64_t bits = vm_bits(certain);
            for (size_t k = i; k < i + CS_LANES; k++) {
                size_t last = k - CS_LANES;
                if (bits >> (k - i) & 1) continue;
                /* Most steps leave the tail as it is. */
                if (g->hi[k] == g->hi[last] && g->lo[k] == g->lo[last] && g->value[k] == g->value[last])
                    g->es[k] = g->es[last];
                else
                    g->es[k] = level_quotient(l, g->hi[k], g->lo[k], g->value[k]);
            }
        }
    }
}

CS_INLINE void group_begin(stretch_group *g) {
    vd none = vd_set((double)NAN);
    vd_store(g->hi, none);
    vd_store(g->lo, none);
    vd_store(g->value, none);
    vd_store(g->es, none);
}

/* What was the last step of a group is the one before the next. */
CS_INLINE void group_turn(stretch_group *g) {
    vd_store(g->hi, vd_load(g->hi + CS_LANES * CS_LANES));
    vd_store(g->lo, vd_load(g->lo + CS_LANES * CS_LANES));
    vd_store(g->value, vd_load(g->value + CS_LANES * CS_LANES));
    vd_store(g->es, vd_load(g->es + CS_LANES * CS_LANES));
}

/* Where lanes find their outcomes: `first` of the stretch behind these places of x. Those that leave in its steps, those that
 * stay throughout, those that enter. */
typedef struct {
    const cs_outcomes *x;
    size_t leaving, staying, n_staying, entering;
    double limit; /* outcomes above it may be left out */
} stretch_course;

/* Results of a level of each step. The lists are no shorter than the rank. 0 if fewer outcomes than the rank were up to
 * the limit. */
CS_INLINE int stretches_level(const stretches *s, const stretch_course *course, const cs_window_level *l, size_t tiles,
                              size_t tile, const cs_rolling_sum *sum, double *memory, double *es, double *var) {
    const cs_outcomes *x = course->x;
    size_t rank = l->target.rank, steps = s->steps, length = tiles * tile;
    double *leaving = memory, *pushed = leaving + steps * CS_LANES;
    int plain = l->target.count <= 1.0; /* ES is VaR */
    double losses[CS_LANES * CS_LANES];
    stretch_group group;
    stretch_lists lists;
    unsigned char grown[CS_STRETCH_STEPS / CS_LANES];
    vd some[CS_LANES], values[CS_LANES];
    vd flip = flip_lanes(x->flip), zero = vd_set(0.0), infinity = vd_set(INFINITY), value = vd_set(-INFINITY);
    vd limit = vd_set(course->limit);
    split_sums sums = {zero, zero, vd_set(sum->split)};
    level_divisor divisor = level_divisor_of(l);
    /* A list is longer than the rank by outcomes below all others. */
    for (size_t i = 0; i < length; i++) {
        lists.ahead[i] = infinity;
        lists.behind[i] = vd_set(i < length - rank ? -INFINITY : INFINITY);
    }
    for (size_t i = steps; i > 0; i -= CS_LANES) {
        double *left = leaving + (i - CS_LANES) * CS_LANES, *off = pushed + (i - CS_LANES) * CS_LANES;
        stretches_load(s, x, course->leaving + i - CS_LANES, flip, some);
        for (size_t k = 0; k < CS_LANES; k++) vd_store(left + k * CS_LANES, some[k]);
        grown[i / CS_LANES - 1] = LIST_AS_IT_WAS;
        if (!list_takes(lists.ahead, length, some)) continue;
        grown[i / CS_LANES - 1] = LIST_GROWN_IN_ORDER;
        if (tiles == 1 || !list_grow_in_order(lists.ahead, length, some)) {
            grown[i / CS_LANES - 1] = LIST_GROWN;
            list_grow(lists.ahead, tiles, tile, some);
        }
        for (size_t k = 0; k < CS_LANES; k++) vd_store(off + k * CS_LANES, some[k]);
    }
    for (size_t i = 0; i < course->n_staying; i += CS_LANES) {
        stretches_load(s, x, course->staying + i, flip, some);
        for (size_t k = course->n_staying - i; k < CS_LANES; k++) some[k] = infinity;
        if (list_takes(lists.behind, length, some)) list_grow(lists.behind, tiles, tile, some);
    }
    for (size_t i = 0; i < length; i++) {
        vd least = vd_min(lists.ahead[i], lists.behind[length - 1 - i]);
        value = vd_max(value, least);
        if (i < rank) split_sums_add(&sums, least);
    }
    group_begin(&group);
    for (size_t i = 0; i < steps; i += CS_LANES) {
        const double *left = leaving + i * CS_LANES, *off = pushed + i * CS_LANES;
        vd highest = value;
        int take = grown[i / CS_LANES], put;
        stretches_load(s, x, course->entering + i, flip, some);
        put = list_takes(lists.behind, length, some);
        if (!take && !put) {
            for (size_t k = 0; k < CS_LANES; k++) values[k] = value;
        } else if (take == LIST_GROWN || tiles == 1 ||
                   !lists_move_in_order(&lists, length, rank, take, put, left, off, some, values)) {
            if (!put)
                lists_move(&lists, tiles, tile, 1, 0, left, off, some, values);
            else if (take)
                lists_move(&lists, tiles, tile, 1, 1, left, off, some, values);
            else
                lists_move(&lists, tiles, tile, 0, 1, left, off, some, values);
        }
        for (size_t k = 0; k < CS_LANES; k++) {
            split_sums_take(&sums, vd_min(vd_load(left + k * CS_LANES), value));
            value = values[k];
            highest = vd_max(highest, value);
            split_sums_add(&sums, vd_min(some[k], value));
            vd_store(group.hi + (k + 1) * CS_LANES, sums.hi);
            vd_store(group.lo + (k + 1) * CS_LANES, sums.lo);
            vd_store(group.value + (k + 1) * CS_LANES, value);
            vd_store(losses + k * CS_LANES, vd_sub(zero, value));
        }
        if (CS_UNLIKELY(vm_any(vd_lt(limit, highest)))) return 0;
        if (es && !plain) {
            group_divide(&group, l, &divisor);
            stretches_store(s, group.es + CS_LANES, es + i);
            group_turn(&group);
        }
        if (es && plain) stretches_store(s, losses, es + i);
        if (var) stretches_store(s, losses, var + i);
    }
    return 1;
}

/* The same for any rank up to CS_STRETCH_RANK: tiles lie in registers. */
static int stretches_results(const stretches *s, const stretch_course *course, const cs_window_level *l,
                             const cs_rolling_sum *sum, double *memory, double *es, double *var) {
    size_t rank = l->target.rank, tiles = (rank + CS_STRETCH_TILE - 1) / CS_STRETCH_TILE;
    if (rank <= 4) return stretches_level(s, course, l, 1, 4, sum, memory, es, var);
    if (rank <= 6) return stretches_level(s, course, l, 1, 6, sum, memory, es, var);
    if (rank == 7) return stretches_level(s, course, l, 1, 7, sum, memory, es, var);
    if (rank == 8) return stretches_level(s, course, l, 1, 8, sum, memory, es, var);
    switch ((rank + tiles - 1) / tiles) {
        case 5: return stretches_level(s, course, l, tiles, 5, sum, memory, es, var);
        case 6: return stretches_level(s, course, l, tiles, 6, sum, memory, es, var);
        case 7: return stretches_level(s, course, l, tiles, 7, sum, memory, es, var);
        default: return stretches_level(s, course, l, tiles, 8, sum, memory, es, var);
    }
}

/* Begins exact sums of `terms` outcomes of these least and largest sizes in lanes; 0 if one is missing or they differ too
 * much. */
static int stretches_sum_begin(vd least, vd most, vm missing, size_t terms, cs_rolling_sum *sum) {
    if (vm_any(missing)) return 0;
    rolling_sum_begin(sum, vd_reduce_max(most), terms);
    return !sum->wide && vd_reduce_min(least) >= sum->least;
}

/* Begins exact sums of `terms` of the outcomes [from, to), at least CS_LANES; 0 if one is missing or they differ too much
 * in size. */
static int stretches_begin(const cs_outcomes *x, size_t from, size_t to, size_t terms, cs_rolling_sum *sum) {
    vd flip = flip_lanes(x->flip), zero = vd_set(0.0), infinity = vd_set(INFINITY), least = infinity, most = zero;
    vm missing = vm_none();
    for (size_t i = from; i < to; i += CS_LANES) {
        vd v = vd_abs(outcomes_load(x->data, x->is_f32, i + CS_LANES < to ? i : to - CS_LANES, flip));
        missing = vm_or(missing, vd_unordered(v, v));
        most = vd_max(most, v);
        least = vd_min(least, vd_where(vd_eq(v, zero), infinity, v));
    }
    return stretches_sum_begin(least, most, missing, terms, sum);
}
