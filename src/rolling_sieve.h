/* Stretches of which only some steps are made: those at which an outcome up to a threshold enters or leaves. Where every
 * window holds enough of these, the outcomes above can be in no tail, and the steps between repeat the last result.
 *
 * A sieve leaves each lane its own steps. An outcome above the threshold that enters where one below it leaves goes along,
 * to no effect. Lanes that have fewer steps than others end with some at which nothing happens. A threshold that leaves a
 * window too few outcomes shows in its results. */

#include "kernels.h"
#include "lanes.h"
#include "rolling_stretches.h"
#include "rolling_sum.h"
#include "window.h"

/* What is left of stretches, `room` doubles for each lane, and of which steps it is. */
typedef struct {
    size_t room, steps, n_staying;
    double *leaving, *entering, *staying, *es, *var, *rest;
    unsigned char *bits; /* a byte for CS_LANES steps */
} sieve;

/* Steps that the memory of CS_STRETCHES_ROOM holds; more than half are hardly worth it. */
#define CS_SIEVE_ROOM (3 * CS_STRETCH_STEPS / 8)

static sieve sieve_divide(const stretches *s, double *memory) {
    size_t most = s->steps / 2 + 4 * CS_LANES < CS_SIEVE_ROOM ? s->steps / 2 + 4 * CS_LANES : CS_SIEVE_ROOM;
    size_t room = most / CS_LANES * CS_LANES, lanes = CS_LANES * room;
    sieve f = {room, 0, 0, memory, memory + lanes, memory + 2 * lanes, memory + 3 * lanes, memory + 4 * lanes,
               memory + 5 * lanes, (unsigned char *)(memory + 7 * lanes)};
    return f;
}

/* +inf behind the first of each lane as far as a whole number of vectors; returns this number of outcomes. */
static size_t sieve_fill(const sieve *f, double *lanes, const size_t *count) {
    size_t most = 0;
    for (size_t i = 0; i < CS_LANES; i++)
        if (count[i] > most) most = count[i];
    most = (most + CS_LANES - 1) / CS_LANES * CS_LANES;
    for (size_t i = 0; i < CS_LANES; i++)
        for (size_t k = count[i]; k < most; k += CS_LANES) vd_store(lanes + i * f->room + k, vd_set(INFINITY));
    return most;
}

/* The outcomes of stretches of windows from `start` on, at the steps where one up to the threshold, or a missing one, enters
 * or leaves. 0 if they are too many. */
CS_INLINE int sieve_outcomes(sieve *f, const stretches *s, const cs_outcomes *x, int is_f32, size_t start, size_t window,
                             double threshold) {
    size_t n_steps[CS_LANES], n_staying[CS_LANES], steps = s->steps, most = f->room - 3 * CS_LANES;
    vd flip = flip_lanes(x->flip), limit = vd_set(threshold);
    const void *data = x->data;
    for (size_t i = 0; i < CS_LANES; i++) {
        double *leaving = f->leaving + i * f->room, *entering = f->entering + i * f->room;
        double *staying = f->staying + i * f->room;
        unsigned char *bits = f->bits + i * (steps / CS_LANES);
        size_t from = start + s->first[i], n = 1, k;
        /* The window before the first step. */
        leaving[0] = entering[0] = INFINITY;
        for (k = 0; k < steps; k += CS_LANES) {
            vd out = outcomes_load(data, is_f32, from + k, flip);
            vd in = outcomes_load(data, is_f32, from + window + k, flip);
            vm some = vd_ngt(vd_min(out, in), limit); /* NaN if `in` is */
            if (CS_UNLIKELY(n > most)) return 0;
            vd_append(leaving + n, some, out);
            n += vd_append(entering + n, some, in);
            *bits++ = (unsigned char)vm_bits(some);
        }
        n_steps[i] = n;
        for (n = 0; k + CS_LANES <= window; k += CS_LANES) {
            vd v = outcomes_load(data, is_f32, from + k, flip);
            if (CS_UNLIKELY(n > most)) return 0;
            n += vd_append(staying + n, vd_le(v, limit), v);
        }
        for (; k < window; k++) {
            staying[n] = outcome_at(x, from + k);
            n += staying[n] <= threshold;
        }
        n_staying[i] = n;
    }
    f->steps = sieve_fill(f, f->leaving, n_steps);
    sieve_fill(f, f->entering, n_steps);
    f->n_staying = sieve_fill(f, f->staying, n_staying);
    return 1;
}

/* Begins exact sums of `terms` of the outcomes up to the threshold; 0 if they differ too much in size, or one is missing. */
static int sieve_begin(const sieve *f, double threshold, size_t terms, cs_rolling_sum *sum) {
    const double *lanes[3] = {f->leaving, f->entering, f->staying};
    vd limit = vd_set(threshold), zero = vd_set(0.0), infinity = vd_set(INFINITY), least = infinity, most = zero;
    vm missing = vm_none();
    for (size_t part = 0; part < 3; part++)
        for (size_t i = 0; i < CS_LANES; i++)
            for (size_t k = 0; k < (part < 2 ? f->steps : f->n_staying); k += CS_LANES) {
                vd v = vd_load(lanes[part] + i * f->room + k), size = vd_where(vd_le(v, limit), vd_abs(v), zero);
                missing = vm_or(missing, vd_unordered(v, v));
                most = vd_max(most, size);
                least = vd_min(least, vd_where(vd_eq(size, zero), infinity, size));
            }
    return stretches_sum_begin(least, most, missing, terms, sum);
}

/* The results of all steps from those of the steps made. */
static void sieve_spread(const sieve *f, const stretches *s, const double *made, double *out) {
    for (size_t i = 0; i < CS_LANES; i++) {
        const double *last = made + i * f->room;
        const unsigned char *bits = f->bits + i * (s->steps / CS_LANES);
        for (size_t k = 0; k < s->steps; k += CS_LANES, bits++) {
            vd_store(out + s->first[i] + k, vd_spread(last, *bits));
            last += bit_count(*bits);
        }
    }
}

/* Results of stretches of windows from `start` on, the first of which misses nothing, from outcomes up to the threshold; es
 * and var are those of the first step, or NULL. 0 if they are too few or too many, missing, or differ too much in size. */
static int sieve_results(sieve *f, const stretches *s, const cs_outcomes *x, size_t start, size_t window,
                         double threshold, const cs_candidates *c, double *es, double *var, size_t apart) {
    cs_rolling_sum sum;
    cs_outcomes left = outcomes_of(f->leaving, 0);
    stretches made = *s;
    stretch_course course = {&left, 0, (size_t)(f->staying - f->leaving), 0, (size_t)(f->entering - f->leaving), threshold};
    if (!(x->is_f32 ? sieve_outcomes(f, s, x, 1, start, window, threshold)
                    : sieve_outcomes(f, s, x, 0, start, window, threshold)))
        return 0;
    if (!sieve_begin(f, threshold, c->need + 1, &sum)) return 0;
    course.n_staying = f->n_staying;
    made.steps = f->steps;
    for (size_t i = 0; i < CS_LANES; i++) made.first[i] = i * f->room;
    for (size_t i = 0; i < c->n_levels; i++) {
        if (!stretches_results(&made, &course, c->levels + i, &sum, f->rest, es ? f->es : NULL, var ? f->var : NULL))
            return 0;
        if (es) sieve_spread(f, s, f->es, es + i * apart);
        if (var) sieve_spread(f, s, f->var, var + i * apart);
    }
    return 1;
}

/* A threshold for about `keep` of the n outcomes from `start` on, or +inf. */
static double sieve_threshold(const cs_outcomes *x, size_t start, size_t n, size_t keep, double *memory) {
    cs_outcomes part = *x;
    size_t m, pads;
    double least, most;
    part.data = (const char *)x->data + start * (x->is_f32 ? 4 : 8);
    part.n = n;
    m = kernel_drop_missing(&part, NULL, memory, NULL);
    if (keep + keep / 4 >= m) return INFINITY;
    pads = buffer_pad(memory, m, memory[0]);
    buffer_range(memory, m + pads, &least, &most);
    return buffer_threshold(memory, m + pads, pads, least, most, keep - keep / 16, keep + keep / 16);
}
