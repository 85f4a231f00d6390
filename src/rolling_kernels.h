/* Tails of the windows of a series, each from the one before.
 *
 * Where a window moves by one outcome at a time, those that enter and leave are compared with the threshold of the
 * candidates many at a time, see window_kernels.h; the steps at which neither is a candidate repeat the last result. */

#include "kernels.h"
#include "lanes.h"
#include "rolling_runs.h"
#include "rolling_sieve.h"
#include "window.h"

typedef struct {
    const cs_outcomes *x;
    const cs_windows *windows;
    cs_candidates *candidates;
    double *es, *var; /* of the first level; either may be NULL */
    size_t apart;     /* from one level to the next */
    size_t start, stop;
    int overworked; /* the candidates cost more than stretches would */
    size_t turn;    /* outputs to be made in stretches when they do */
    double left;    /* steps with something to do, of CS_WORK_MOST, before it is too much */
    int runs;       /* steps are looked at for runs */
    size_t try_at;  /* the output from which they shall be */
    size_t wait;    /* outputs to let pass after the next that begins none */
    double sieve;   /* the threshold of the latest stretches, or +inf */
    size_t sieve_at, sieve_wait; /* the output from which stretches are sieved; outputs to let pass after the next failure */
} rolling;

static cs_outcomes rolling_window(const rolling *r) {
    cs_outcomes window = *r->x;
    window.data = (const char *)r->x->data + r->start * (r->x->is_f32 ? 4 : 8);
    window.n = r->stop - r->start;
    return window;
}

static size_t rolling_bound(const rolling *r, int64_t position) {
    return position < 0 ? 0 : (uint64_t)position > r->x->n ? r->x->n : (size_t)position;
}

static void rolling_bounds(const rolling *r, size_t j, size_t *start, size_t *stop) {
    const cs_windows *w = r->windows;
    int64_t end = w->starts ? w->stops[j] : (int64_t)j * w->step + w->lead;
    *start = rolling_bound(r, w->starts ? w->starts[j] : end - w->window);
    *stop = rolling_bound(r, end);
    if (*stop < *start) *stop = *start;
}

/* The window becomes [start, stop). */
static void rolling_move(rolling *r, size_t start, size_t stop) {
    cs_candidates *c = r->candidates;
    if (start < r->start || stop < r->stop || start >= r->stop) {
        c->stale = 1;
        c->present = c->margin = 0;
        r->start = r->stop = start;
    }
    c->now += stop - r->stop;
    while (r->stop < stop || r->start < start) {
        if (r->stop < stop) {
            double x = outcome_at(r->x, r->stop++);
            c->present += x == x;
            candidates_enter(c, c->n_levels, x);
        }
        if (r->start < start) {
            double x = outcome_at(r->x, r->start++);
            c->present -= x == x;
            candidates_leave(c, c->n_levels, x);
        }
    }
}

CS_INLINE int rolling_settle(rolling *r) {
    cs_outcomes window = rolling_window(r);
    return candidates_settle(r->candidates, &window, r->windows->min_count);
}

static void rolling_store(const rolling *r, size_t j, int defined) {
    for (size_t i = 0; i < r->candidates->n_levels; i++) {
        const cs_tail *t = &r->candidates->levels[i].result;
        if (r->es) r->es[i * r->apart + j] = defined ? t->es : (double)NAN;
        if (r->var) r->var[i * r->apart + j] = defined ? t->var : (double)NAN;
    }
}

CS_INLINE void values_fill(double *out, size_t from, size_t to, double value) {
    vd v = vd_set(value);
    for (size_t i = from; i < to; i += CS_LANES) vd_store(out + i, v);
}

/* Repeats the last result, and each of those noted from its step on, up to `end` and less than CS_LANES behind it. */
CS_INLINE void values_write(double *out, const cs_window_pending *p, double last, const double *noted, size_t end) {
    size_t from = p->filled;
    if (p->count == end - from) {
        for (size_t i = 0; i < p->count; i += CS_LANES) vd_store(out + from + i, vd_load(noted + i));
        return;
    }
    for (size_t i = 0; i < p->count; i++) {
        values_fill(out, from, p->step[i], last);
        from = p->step[i];
        last = noted[i];
    }
    values_fill(out, from, end, last);
}

/* Writes the results of a level up to `end`. */
static void rolling_flush(const rolling *r, size_t level, size_t end) {
    cs_window_level *l = r->candidates->levels + level;
    cs_window_pending *p = &l->pending;
    if (r->es) {
        if (p->count) level_divide(l);
        values_write(r->es + level * r->apart, p, l->result.es, p->es, end);
        if (p->count) l->result.es = p->es[p->count - 1];
    }
    if (r->var) values_write(r->var + level * r->apart, p, l->result.var, p->var, end);
    if (p->count) l->result.var = p->var[p->count - 1];
    p->count = 0;
    p->filled = end;
}

/* Which of the outcomes are candidates or missing. */
CS_INLINE uint64_t rolling_events(const cs_outcomes *x, int is_f32, size_t from, vd flip, vd threshold) {
    uint64_t bits = 0;
    for (size_t i = 0; i < CS_WINDOW_STRIDE; i += CS_LANES)
        bits |= vm_bits(vd_ngt(outcomes_load(x->data, is_f32, from + i, flip), threshold)) << i;
    return bits;
}

CS_INLINE double outcome_in(const cs_outcomes *x, int is_f32, size_t i) {
    double v = is_f32 ? (double)((const float *)x->data)[i] : ((const double *)x->data)[i];
    uint64_t bits;
    memcpy(&bits, &v, 8);
    bits ^= x->flip;
    memcpy(&v, &bits, 8);
    return v;
}

/* Nanoseconds that a step costs: by the candidates where outcomes come in random order, and at those steps where one enters
 * or leaves; in stretches, whatever the order. Rough ones: they choose between ways to the same results. */
#define CS_STEP_OF_CANDIDATES 20.0
#define CS_WORK_MOST (4.0 * CS_WINDOW_STRIDE) /* steps with something to do, before it is too much */
#define CS_SIEVE_WAIT 64 /* turns of all lanes at which the wait for another sieve grows no more */

static double rolling_cost(const cs_candidates *c) {
    return 0.5 + 70.0 * (double)(c->need + margin_of(c->need)) / (double)c->present;
}

static double rolling_cost_of_stretches(const cs_candidates *c) {
    double cost = 0.0;
    if (CS_LANES == 1 || c->need > CS_STRETCH_RANK || c->present < CS_LANES) return INFINITY;
    for (size_t i = 0; i < c->n_levels; i++)
        cost += 0.6 + (5.6 + 2.0 * (double)c->levels[i].target.rank) / CS_LANES;
    return cost;
}

/* Outcomes that a sieve shall leave in a window: four standard deviations of their number above the need, so that in a turn
 * of all lanes hardly a window has too few. */
static size_t rolling_sieve_need(const cs_candidates *c) { return c->need + (size_t)(4.0 * sqrt((double)c->need)) + 2; }

/* Each enters and leaves, and lanes wait for the one that has the most. */
static double rolling_cost_of_sieve(const cs_candidates *c) {
    double share = 2.8 * (double)rolling_sieve_need(c) / (double)c->present;
    return 0.5 + 0.3 * (double)c->n_levels + share * rolling_cost_of_stretches(c);
}

/* The steps of a stride from which as many as a run has in the least have something to do. */
CS_INLINE uint64_t rolling_crowded(uint64_t events) {
    uint64_t idle = ~events;
    for (int i = 1; i < CS_RUN_LEAST; i *= 2) idle |= idle >> i;
    return ~idle;
}

/* No run begins at output j: the more often that is so, the later the next is looked for. */
static void rolling_wait(rolling *r, size_t j) {
    if (r->wait < CS_RUN_WAIT) r->wait = 2 * r->wait + 1;
    r->try_at = j + r->wait;
}

/* Makes runs of the steps `later` of a stride that begins with output j. Returns the steps to be made one by one before
 * another run is looked for, and leaves those behind them. */
static uint64_t rolling_runs(rolling *r, size_t j, uint64_t *later, size_t *worked) {
    cs_candidates *c = r->candidates;
    uint64_t alone;
    for (;;) {
        uint64_t crowded = rolling_crowded(*later);
        size_t k = crowded ? lowest_bit(crowded) : CS_WINDOW_STRIDE, run = 0;
        if (j + k < r->try_at) k = r->try_at - j;
        alone = k < CS_WINDOW_STRIDE ? *later & (((uint64_t)1 << k) - 1) : *later;
        if (alone || !*later) break;
        run = rolling_run(c, r->x, r->start + k, r->stop + k, j + k, CS_WINDOW_STRIDE - k);
        if (run >= CS_RUN_LEAST) r->wait = 0;
        if (run == 0) rolling_wait(r, j + k);
        *worked += run;
        for (size_t i = 0; i < c->n_levels; i++)
            if (c->levels[i].pending.count == CS_WINDOW_STRIDE) rolling_flush(r, i, j + k + run);
        *later = k + run < CS_WINDOW_STRIDE ? *later >> (k + run) << (k + run) : 0;
    }
    *later ^= alone;
    return alone;
}

/* Outputs j, ... of windows that move by one, in whole strides while the candidates last and are not overworked, and while
 * steps have to be looked at for runs or not; returns the next output. */
CS_INLINE size_t rolling_slide(rolling *r, int is_f32, size_t n_levels, int runs, size_t j, size_t end) {
    const cs_outcomes *x = r->x;
    cs_candidates *c = r->candidates;
    vd flip = flip_lanes(x->flip);
    double left = r->left, most = left > CS_WORK_MOST ? left : CS_WORK_MOST;
    double share = rolling_cost_of_stretches(c) / CS_STEP_OF_CANDIDATES;
    for (size_t i = 0; i < c->n_levels; i++) c->levels[i].pending.filled = j;
    while (j + CS_WINDOW_STRIDE + CS_LANES <= end && left >= 0.0) {
        size_t start = r->start, stop = r->stop, done = CS_WINDOW_STRIDE, worked = 0;
        vd threshold = vd_set(c->threshold);
        uint64_t events = rolling_events(x, is_f32, stop, flip, threshold) |
                          rolling_events(x, is_f32, start, flip, threshold);
        uint64_t later = 0;
        if (runs) {
            if (rolling_crowded(events) == 0) rolling_wait(r, j);
            if (r->try_at >= j + CS_WINDOW_STRIDE) {
                r->runs = 0;
                break;
            }
            later = events;
            events = rolling_runs(r, j, &later, &worked);
        }
        while (events) {
            unsigned k = lowest_bit(events);
            events &= events - 1;
            worked++;
            double entering = outcome_in(x, is_f32, stop + k), leaving = outcome_in(x, is_f32, start + k);
            candidates_enter(c, n_levels, entering);
            candidates_leave(c, n_levels, leaving);
            c->present += (size_t)(entering == entering) - (size_t)(leaving == leaving);
            if (CS_UNLIKELY(c->present != c->counted) && !c->stale && c->present > 0 &&
                c->present >= r->windows->min_count && c->present <= c->capacity) {
                /* What was noted is divided by the count it is for. */
                for (size_t i = 0; i < n_levels; i++) rolling_flush(r, i, j + k);
                candidates_aim(c);
                for (size_t i = 0; i < n_levels && !c->stale; i++) level_finish(c->levels + i, candidates_worst(c));
            }
            if (CS_UNLIKELY(c->stale || c->present != c->counted)) {
                done = k;
                break;
            }
            for (size_t i = 0; i < n_levels; i++) {
                cs_window_level *l = c->levels + i;
                if (!l->changed) continue;
                if (level_note(l, j + k)) {
                    if (l->pending.count == CS_WINDOW_STRIDE) rolling_flush(r, i, j + k + 1);
                    continue;
                }
                rolling_flush(r, i, j + k);
                level_finish(l, candidates_worst(c));
            }
            if (runs && events == 0) events = rolling_runs(r, j, &later, &worked);
        }
        left += share * CS_WINDOW_STRIDE - (double)worked;
        if (left > most) left = most;
        if (CS_UNLIKELY(done < CS_WINDOW_STRIDE)) {
            /* Too few candidates, or too few outcomes. */
            int defined;
            for (size_t i = 0; i < c->n_levels; i++) rolling_flush(r, i, j + done);
            r->stop = stop + ++done;
            r->start = start + done;
            c->now += done;
            defined = rolling_settle(r);
            rolling_store(r, j + done - 1, defined);
            j += done;
            left -= CS_WINDOW_STRIDE + (double)c->present / 16.0;
            if (!defined) return j;
            for (size_t i = 0; i < c->n_levels; i++) c->levels[i].pending.filled = j;
            continue;
        }
        r->stop = stop + done;
        r->start = start + done;
        c->now += done;
        j += done;
        if (CS_UNLIKELY(c->now > c->review)) candidates_review(c);
        if (!runs && CS_UNLIKELY(worked >= CS_WINDOW_STRIDE / 2) && j >= r->try_at) {
            r->runs = 1;
            break;
        }
    }
    for (size_t i = 0; i < c->n_levels; i++) rolling_flush(r, i, j);
    r->left = left;
    return j;
}

static size_t stretches_most(size_t window) {
    return (window < CS_STRETCH_STEPS ? window : CS_STRETCH_STEPS) / CS_LANES * CS_LANES * CS_LANES;
}

/* Makes outputs j, ... of stretches through the sieve of those before, or a new one; 0 if neither does. */
static int rolling_sieved(rolling *r, size_t j, const stretches *s) {
    const cs_candidates *c = r->candidates;
    size_t window = r->stop - r->start, n = window + s->count;
    sieve f = sieve_divide(s, c->stretches);
    if (f.room < 6 * CS_LANES || window - s->steps > s->steps) return 0;
    for (int fresh = r->sieve == INFINITY;; fresh = 1) {
        if (fresh) {
            size_t keep = rolling_sieve_need(c) * n / window;
            r->sieve = sieve_threshold(r->x, r->start, n, keep, c->stretches);
            if (r->sieve == INFINITY) return 0;
        }
        if (sieve_results(&f, s, r->x, r->start, window, r->sieve, c, r->es ? r->es + j : NULL,
                          r->var ? r->var + j : NULL, r->apart)) {
            /* One that lets too much through is good for no more. */
            if (f.steps > CS_LANES + s->steps * 4 * rolling_sieve_need(c) / window) r->sieve = INFINITY;
            return 1;
        }
        r->sieve = INFINITY;
        if (fresh) return 0;
    }
}

/* Outputs j, ... of windows that move by one and miss nothing, in stretches: through a sieve, in whole, or only in one of
 * these ways; returns the next output. */
static size_t rolling_stretches(rolling *r, size_t j, size_t end, int sieved, int whole) {
    cs_candidates *c = r->candidates;
    size_t window = r->stop - r->start, first = j, most = stretches_most(window);
    while (end - j >= CS_LANES) {
        size_t chunks = (end - j + most - 1) / most;
        stretches s = stretches_of((end - j + chunks - 1) / chunks);
        int made = 0;
        if (sieved && j >= r->sieve_at) {
            made = rolling_sieved(r, j, &s);
            if (made) {
                r->sieve_wait /= 2;
            } else {
                if (r->sieve_wait < CS_SIEVE_WAIT * most) r->sieve_wait = 4 * r->sieve_wait + most;
                r->sieve_at = j + s.count + r->sieve_wait;
            }
        }
        if (!made) {
            stretch_course course = {r->x, r->start, r->start + s.steps, window - s.steps, r->stop, INFINITY};
            cs_rolling_sum sum;
            if (!whole || !stretches_begin(r->x, r->start, r->stop + s.count, c->need + 1, &sum)) break;
            for (size_t i = 0; i < c->n_levels; i++)
                stretches_results(&s, &course, c->levels + i, &sum, c->stretches,
                                  r->es ? r->es + i * r->apart + j : NULL, r->var ? r->var + i * r->apart + j : NULL);
        }
        j += s.count;
        r->start += s.count;
        r->stop += s.count;
    }
    c->now += j - first;
    c->stale |= j > first;
    return j;
}

/* Outputs j, ... of windows that move by one, in the way that costs least; returns the next output. */
static size_t rolling_move_on(rolling *r, size_t j, size_t end) {
    const cs_candidates *c = r->candidates;
    size_t window = r->stop - r->start, most = stretches_most(window), first, again;
    double cost = rolling_cost_of_stretches(c), sieve_cost = rolling_cost_of_sieve(c);
    int refused = 0, cheaper = cost < rolling_cost(c), sieved = sieve_cost < cost && sieve_cost < rolling_cost(c);
    if (c->present == window && cost < INFINITY && (cheaper || r->overworked || (sieved && j >= r->sieve_at))) {
        size_t next, stop = end;
        if (!cheaper && r->overworked) {
            r->turn = r->turn ? 2 * r->turn : most;
            if (end - j > r->turn) stop = j + r->turn;
        }
        next = rolling_stretches(r, j, stop, sieved, cheaper || r->overworked);
        refused = cheaper || r->overworked;
        r->overworked = 0;
        if (next > j) return next;
    }
    /* Then another try. Until then no work is too much where stretches were of no use. */
    again = !cheaper && !refused && r->sieve_at > j + most ? r->sieve_at : j + most;
    if ((cheaper || sieved || refused) && again < end) end = again;
    r->left = refused ? INFINITY : CS_WORK_MOST;
    for (first = j;;) {
        int runs = r->runs;
        if (runs)
            j = rolling_slide(r, r->x->is_f32, c->n_levels, 1, j, end);
        else if (r->x->is_f32)
            j = rolling_slide(r, 1, c->n_levels, 0, j, end);
        else
            j = c->n_levels == 1 ? rolling_slide(r, 0, 1, 0, j, end) : rolling_slide(r, 0, c->n_levels, 0, j, end);
        if (r->runs == runs) break;
    }
    r->overworked = r->left < 0.0;
    if (j - first > r->turn) r->turn = 0;
    return j;
}

static void kernel_rolling(const cs_outcomes *x, const cs_windows *windows, cs_candidates *candidates, double *es,
                           double *var, size_t apart) {
    rolling r = {x, windows, candidates, es, var, apart, 0, 0, 0, 0, 0.0, 0, 0, 0, INFINITY, 0, 0};
    /* Windows from `steady` to `end` move by one within the series. */
    int64_t steady = windows->window - windows->lead + 1, end = (int64_t)x->n - windows->lead + 1;
    if (windows->starts || windows->step != 1) end = 0;
    if (end > (int64_t)windows->count) end = (int64_t)windows->count;
    candidates_clear(candidates);
    for (size_t j = 0; j < windows->count;) {
        size_t start, stop;
        int defined;
        rolling_bounds(&r, j, &start, &stop);
        rolling_move(&r, start, stop);
        defined = rolling_settle(&r);
        rolling_store(&r, j++, defined);
        if (defined && (int64_t)j >= steady && (int64_t)j < end) j = rolling_move_on(&r, j, (size_t)end);
    }
}
