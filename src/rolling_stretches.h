/* Windows whose tails are a few outcomes, whatever their order: every lane of a vector moves a window over a stretch of its
 * own, in step with the other lanes, by operations that are the same at each step. Nothing is searched, nothing branches.
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

/* The worst outcomes of both parts of a window, each lane sorted: those ahead in ahead[0, length), those behind in
 * behind[1, length], after one that is worse than all. */
typedef struct {
    vd ahead[CS_STRETCH_RANK + 1], behind[CS_STRETCH_RANK + 1];
} stretch_lists;

/* Puts x into a list; the last outcome gives way. */
CS_INLINE void list_insert(vd *list, size_t length, vd x) {
    for (size_t i = length - 1; i > 0; i--) list[i] = vd_min(list[i], vd_max(list[i - 1], x));
    list[0] = vd_min(list[0], x);
}

/* The outcome whose rank in both lists is their length. */
CS_INLINE vd lists_value(const stretch_lists *s, size_t length) {
    vd value = vd_set(-INFINITY);
    for (size_t i = 0; i < length; i++) value = vd_max(value, vd_min(s->ahead[i], s->behind[length - i]));
    return value;
}

/* The same after a step: what leaves is taken out for what had given way to it, what enters is put in. */
CS_INLINE vd lists_step(stretch_lists *s, size_t length, vd leaving, vd pushed, vd entering) {
    vd value = vd_set(-INFINITY);
    s->ahead[length] = pushed;
    for (size_t i = 0; i < length; i++) {
        vd a = vd_where(vd_lt(s->ahead[i], leaving), s->ahead[i], s->ahead[i + 1]);
        vd b = vd_min(s->behind[length - i], vd_max(s->behind[length - i - 1], entering));
        s->ahead[i] = a;
        s->behind[length - i] = b;
        value = vd_max(value, vd_min(a, b));
    }
    return value;
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
} stretch_course;

/* Results of a level of each step. `length` is at least the rank. 0 if fewer outcomes than the rank were below +inf. */
CS_INLINE int stretches_level(const stretches *s, const stretch_course *course, const cs_window_level *l, size_t length,
                              const cs_rolling_sum *sum, double *memory, double *es, double *var) {
    const cs_outcomes *x = course->x;
    size_t rank = l->target.rank, steps = s->steps;
    double *leaving = memory, *pushed = leaving + steps * CS_LANES;
    int plain = l->target.count <= 1.0; /* ES is VaR */
    double losses[CS_LANES * CS_LANES];
    stretch_group group;
    stretch_lists lists;
    vd some[CS_LANES];
    vd flip = flip_lanes(x->flip), zero = vd_set(0.0), value;
    split_sums sums = {zero, zero, vd_set(sum->split)};
    level_divisor divisor = level_divisor_of(l);
    /* A list is longer than the rank by outcomes below all others. */
    lists.behind[0] = vd_set(-INFINITY);
    for (size_t i = 0; i < length; i++) {
        lists.ahead[i] = vd_set(INFINITY);
        lists.behind[i + 1] = vd_set(i < length - rank ? -INFINITY : INFINITY);
    }
    for (size_t i = steps; i > 0; i -= CS_LANES) {
        stretches_load(s, x, course->leaving + i - CS_LANES, flip, some);
        for (size_t k = CS_LANES; k-- > 0;) {
            size_t at = (i - CS_LANES + k) * CS_LANES;
            vd_store(leaving + at, some[k]);
            vd_store(pushed + at, vd_max(lists.ahead[length - 1], some[k]));
            list_insert(lists.ahead, length, some[k]);
        }
    }
    for (size_t i = 0; i < course->n_staying; i += CS_LANES) {
        stretches_load(s, x, course->staying + i, flip, some);
        for (size_t k = 0; k < CS_LANES && i + k < course->n_staying; k++) list_insert(lists.behind + 1, length, some[k]);
    }
    value = lists_value(&lists, length);
    for (size_t i = 0; i < length; i++)
        if (i < rank) split_sums_add(&sums, vd_min(lists.ahead[i], lists.behind[length - i]));
    group_begin(&group);
    for (size_t i = 0; i < steps; i += CS_LANES) {
        vd highest = value;
        stretches_load(s, x, course->entering + i, flip, some);
        for (size_t k = 0; k < CS_LANES; k++) {
            vd left = vd_load(leaving + (i + k) * CS_LANES);
            split_sums_take(&sums, vd_min(left, value));
            value = lists_step(&lists, length, left, vd_load(pushed + (i + k) * CS_LANES), some[k]);
            highest = vd_max(highest, value);
            split_sums_add(&sums, vd_min(some[k], value));
            vd_store(group.hi + (k + 1) * CS_LANES, sums.hi);
            vd_store(group.lo + (k + 1) * CS_LANES, sums.lo);
            vd_store(group.value + (k + 1) * CS_LANES, value);
            vd_store(losses + k * CS_LANES, vd_sub(zero, value));
        }
        if (CS_UNLIKELY(vm_any(vd_eq(highest, vd_set(INFINITY))))) return 0;
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

/* The same for any rank up to CS_STRETCH_RANK: short lists lie in registers. */
static int stretches_results(const stretches *s, const stretch_course *course, const cs_window_level *l,
                             const cs_rolling_sum *sum, double *memory, double *es, double *var) {
    size_t rank = l->target.rank;
    if (rank <= 4) return stretches_level(s, course, l, 4, sum, memory, es, var);
    if (rank <= 8) return stretches_level(s, course, l, 8, sum, memory, es, var);
    if (rank <= 16) return stretches_level(s, course, l, 16, sum, memory, es, var);
    return stretches_level(s, course, l, rank, sum, memory, es, var);
}

/* Begins exact sums of `terms` of the outcomes [from, to), at least CS_LANES; 0 if one is missing or they differ too much
 * in size. */
static int stretches_begin(const cs_outcomes *x, size_t from, size_t to, size_t terms, cs_rolling_sum *sum) {
    vd flip = flip_lanes(x->flip), zero = vd_set(0.0), infinity = vd_set(INFINITY), least = infinity, most = zero;
    vm missing = vm_none();
    double smallest[CS_LANES], largest[CS_LANES];
    for (size_t i = from; i < to; i += CS_LANES) {
        vd v = vd_abs(outcomes_load(x->data, x->is_f32, i + CS_LANES < to ? i : to - CS_LANES, flip));
        missing = vm_or(missing, vd_unordered(v, v));
        most = vd_max(most, v);
        least = vd_min(least, vd_where(vd_eq(v, zero), infinity, v));
    }
    if (vm_any(missing)) return 0;
    vd_store(smallest, least);
    vd_store(largest, most);
    for (size_t i = 1; i < CS_LANES; i++) {
        if (smallest[i] < smallest[0]) smallest[0] = smallest[i];
        if (largest[i] > largest[0]) largest[0] = largest[i];
    }
    rolling_sum_begin(sum, largest[0], terms);
    return !sum->wide && smallest[0] >= sum->least;
}
