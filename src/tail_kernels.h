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
 * same way until it fits the first-level cache, where counting passes over it finish. Counts are exact, so a bracket that
 * missed is known and drawn anew; after a few misses plain bisection over the doubles, at most 64 passes, settles it.
 * Expected cost: one pass. NaN: kept by every pass, hence seen at the end. */

#include "brackets.h"
#include "target.h"

#define CS_FINISH 128        /* outcomes that counting passes finish */
#define CS_EXACT_BLOCK 1024  /* outcomes searched at a time for an exact sum */
#define CS_ATTEMPTS 4        /* brackets drawn before bisection */

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
    const cs_outcomes *x = &s->source;
    cs_exact total, count;
    size_t below = 0, blocks = (x->n + CS_EXACT_BLOCK - 1) / CS_EXACT_BLOCK;
    double kept[CS_EXACT_BLOCK + CS_SLACK];
    int backward = x->n > CS_FAR && end_is_nearer(x);
    cs_exact_zero(&total);
    cs_exact_zero(&count);
    for (size_t k = 0; k < blocks; k++) {
        size_t i = (backward ? blocks - 1 - k : k) * CS_EXACT_BLOCK, m;
        size_t stop = x->n - i < CS_EXACT_BLOCK ? x->n : i + CS_EXACT_BLOCK;
        m = x->is_f32 ? keep_below(x, x->data, 1, i, stop, x->n, 0, s->value, kept, 0)
                      : keep_below(x, x->data, 0, i, stop, x->n, 0, s->value, kept, 0);
        for (size_t j = 0; j < m; j++) cs_exact_add(&total, kept[j]);
        below += m;
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
