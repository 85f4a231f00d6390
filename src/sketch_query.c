/* What a sketch says about its outcomes: sum, quantiles, ES and VaR with bounds. See docs/sketch.md for the proofs.
 *
 * Only the bucket that holds the boundary of the tail leaves anything open: of its m outcomes k and a fraction f of the
 * next belong to the tail. The extremes of their sum, given the bucket's ends and the sum of all m, are sums I + f Y of
 * integers, so that bounds are exact quotients, rounded once like every ES of this library. */
#include "sketch.h"

#include "sketch_buckets.h"
#include "target.h"

/* Outcomes between `from` and `last` times 2^unit, all on one side: 1 a loss, -1 a gain, 0 neither. */
typedef struct {
    cs_mass mass;
    uint64_t from, last;
    int unit, side, coarse, infinite;
} segment;

/* Segments from the worst outcomes to the best. */
typedef struct {
    const cs_sketch *s;
    int upper, stage;
    size_t index;
    segment queue[3];
    int queued, given;
} walk;

static walk walk_of(const cs_sketch *s, int upper) {
    walk w;
    memset(&w, 0, sizeof w);
    w.s = s;
    w.upper = upper;
    return w;
}

/* The next bucket, zeros and infinities included. */
static int next_bucket(walk *w, segment *out) {
    const cs_sketch *s = w->s;
    for (; w->stage < 7; w->stage++, w->index = 0) {
        int negative = w->upper ? w->stage >= 4 : w->stage < 3;
        const cs_side *side = &s->side[negative];
        int fine = w->stage == 1 || w->stage == 5;
        const cs_buckets *list = fine ? &side->fine : &side->coarse;
        memset(out, 0, sizeof *out);
        out->side = w->stage < 3 ? 1 : w->stage > 3 ? -1 : 0;
        out->infinite = w->stage == 0 || w->stage == 6;
        if (out->infinite || out->side == 0) {
            out->mass = out->side == 0 ? s->zero : negative ? s->below : s->above;
            if (w->index++ == 0 && !cs_mass_is_zero(s->real, &out->mass)) return 1;
        } else if (w->index < list->count) {
            const cs_bucket *bucket = list->items + (out->side > 0 ? list->count - 1 - w->index : w->index);
            out->mass = bucket->mass;
            out->coarse = !fine;
            out->unit = cs_octave_unit(fine ? cs_key_octave(&s->layout, bucket->key) : (int)bucket->key);
            out->from = fine ? cs_fine_from(&s->layout, bucket->key) : cs_coarse_from(&s->layout, bucket->key);
            out->last = (fine ? cs_fine_to(&s->layout, bucket->key) : cs_coarse_to(&s->layout, side, bucket->key)) - 1;
            w->index++;
            return 1;
        }
    }
    return 0;
}

/* Whether an extreme, told as a loss, lies in a bucket; its significand if it does. */
static int holds_extreme(const segment *bucket, double loss, uint64_t *significand) {
    if (bucket->side == 0 || bucket->infinite || loss - loss != 0.0 || !(bucket->side * loss > 0.0)) return 0;
    return cs_octave_unit(cs_octave_of(cs_magnitude_bits(loss), significand)) == bucket->unit &&
           *significand >= bucket->from && *significand <= bucket->last;
}

/* The least and the greatest outcome are known: they stand alone, and limit the range of those that share their bucket.
 * Weighted, their own weight is unknown, so that they are only limits. */
static int next_segment(walk *w, segment *out) {
    double worst = w->upper ? w->s->most : -w->s->least, best = w->upper ? w->s->least : -w->s->most;
    uint64_t high = 0, low = 0, count;
    segment rest, alone;
    int has_worst, has_best;
    if (w->given < w->queued) {
        *out = w->queue[w->given++];
        return 1;
    }
    if (!next_bucket(w, &rest)) return 0;
    has_worst = holds_extreme(&rest, worst, &high);
    has_best = holds_extreme(&rest, best, &low);
    *out = rest;
    if (!has_worst && !has_best) return 1;
    if (has_worst && rest.side > 0) rest.last = high;
    if (has_worst && rest.side < 0) rest.from = high;
    if (has_best && rest.side > 0) rest.from = low;
    if (has_best && rest.side < 0) rest.last = low;
    count = rest.mass.of.whole.count;
    if (!w->s->real && count == 1) rest.from = rest.last = has_worst ? high : low;
    *out = rest;
    if (w->s->real || count == 1) return 1;
    w->queued = w->given = 0;
    alone = rest;
    alone.coarse = 0;
    alone.mass.of.whole.count = 1;
    if (has_worst) {
        alone.from = alone.last = high;
        alone.mass.of.whole.sum = cs_wide_of(high);
        rest.mass.of.whole.sum = cs_wide_subtract(rest.mass.of.whole.sum, cs_wide_of(high));
        w->queue[w->queued++] = alone;
    }
    if (has_best) {
        alone.from = alone.last = low;
        alone.mass.of.whole.sum = cs_wide_of(low);
        rest.mass.of.whole.sum = cs_wide_subtract(rest.mass.of.whole.sum, cs_wide_of(low));
    }
    rest.mass.of.whole.count -= (uint64_t)(has_worst + has_best);
    if (rest.mass.of.whole.count) w->queue[w->queued++] = rest;
    if (has_best) w->queue[w->queued++] = alone;
    *out = w->queue[w->given++];
    return 1;
}

int cs_sketch_is_possible(const cs_sketch *s) {
    walk w = walk_of(s, 0);
    segment part;
    while (next_segment(&w, &part))
        if (part.side != 0 && !part.infinite && !cs_mass_is_possible(s->real, &part.mass, part.from, part.last))
            return 0;
    return 1;
}

static double number_of(int real, const cs_mass *mass) {
    return real ? mass->of.real.weight.hi : (double)mass->of.whole.count;
}

double cs_sketch_count(const cs_sketch *s) { return number_of(s->real, &s->total); }

double cs_sketch_missing(const cs_sketch *s) { return number_of(s->real, &s->missing); }

static void add_wide(cs_exact *sum, cs_wide value, int unit, int sign) {
    cs_exact_add_scaled(sum, value.low, unit, sign);
    cs_exact_add_scaled(sum, value.high, unit + 64, sign);
}

/* Of m significands in [from, last] whose sum is known: the sum of the k largest and the next one, `next`, for the
 * multiset that makes it largest. */
static cs_wide largest_sum(const segment *part, uint64_t k, uint64_t *next) {
    uint64_t m = part->mass.of.whole.count;
    cs_wide sum = part->mass.of.whole.sum, top = cs_wide_product(k, part->last);
    cs_wide rest = cs_wide_product(m - k, part->from), y;
    *next = part->from;
    if (!cs_wide_less(cs_wide_add(top, rest), sum)) return cs_wide_subtract(sum, rest);
    y = cs_wide_subtract(cs_wide_subtract(sum, top), cs_wide_product(m - k - 1, part->from));
    *next = cs_wide_less(cs_wide_of(part->last), y) ? part->last : y.low;
    return top;
}

/* The same for the multiset that makes it smallest: all as equal as integers can be. */
static cs_wide smallest_sum(const segment *part, uint64_t k, uint64_t *next) {
    uint64_t remainder, quotient = cs_wide_divide(part->mass.of.whole.sum, part->mass.of.whole.count, &remainder);
    *next = quotient + (k < remainder);
    return cs_wide_add(cs_wide_product(k, quotient), cs_wide_of(k < remainder ? k : remainder));
}

/* What k outcomes of the boundary's bucket and a fraction f of the next add up to, value + f next, where the losses of
 * the tail are smallest (0) or largest (1). */
static cs_wide share_of(const segment *part, uint64_t k, int largest, uint64_t *next) {
    uint64_t others = part->mass.of.whole.count - k - 1;
    cs_wide best;
    if (part->side > 0) return largest ? largest_sum(part, k, next) : smallest_sum(part, k, next);
    /* Gains: the smallest are the whole less the largest of the others. */
    best = largest ? largest_sum(part, others, next) : smallest_sum(part, others, next);
    return cs_wide_subtract(cs_wide_subtract(part->mass.of.whole.sum, best), cs_wide_of(*next));
}

static double ratio_to_count(cs_exact *losses, const cs_target *target) {
    cs_exact count;
    cs_exact_zero(&count);
    cs_exact_add(&count, target->c0);
    cs_exact_add(&count, target->c1);
    cs_exact_add(&count, target->c2);
    return cs_exact_ratio(losses, &count) + 0.0;
}

/* Losses of the tail: numerator + value 2^unit + f next 2^unit with f = c - (rank - 1), over c. */
static double quotient_of(const cs_exact *numerator, const cs_target *target, const segment *part, cs_wide value,
                          uint64_t next) {
    cs_exact sum = *numerator;
    double scaled = part->side * ldexp((double)next, part->unit);
    add_wide(&sum, value, part->unit, part->side);
    cs_exact_add_product(&sum, scaled, target->c0);
    cs_exact_add_product(&sum, scaled, target->c1);
    cs_exact_add_product(&sum, scaled, target->c2);
    cs_exact_add_product(&sum, scaled, -(double)(target->rank - 1));
    return ratio_to_count(&sum, target);
}

/* The p-th largest of m significands lies between these. */
static void bounds_of_ranked(const segment *part, uint64_t p, uint64_t *low, uint64_t *high) {
    uint64_t m = part->mass.of.whole.count, remainder, quotient;
    cs_wide above = cs_wide_product(p - 1, part->last), below = cs_wide_product(m - p, part->from);
    cs_wide most = cs_wide_subtract(part->mass.of.whole.sum, below), least;
    *low = part->from;
    *high = part->last;
    if (most.high < p) {
        quotient = cs_wide_divide(most, p, &remainder);
        if (quotient < *high) *high = quotient;
    }
    if (cs_wide_less(above, part->mass.of.whole.sum)) {
        least = cs_wide_subtract(part->mass.of.whole.sum, above);
        quotient = cs_wide_divide(least, m - p + 1, &remainder);
        quotient += remainder != 0;
        if (quotient > *low) *low = quotient;
    }
}

/* A value within the accuracy of every value from low to high: their harmonic mean. */
static double middle_of(uint64_t low, uint64_t high, int unit) {
    double a = (double)low, b = (double)high;
    return ldexp(low == high ? a : 2.0 * a * (b / (a + b)), unit);
}

static double clamp(double value, double low, double high) { return value < low ? low : value > high ? high : value; }

static void var_of(const segment *part, uint64_t low, uint64_t high, cs_estimate *out) {
    double least = ldexp((double)low, part->unit), most = ldexp((double)high, part->unit);
    double middle = clamp(middle_of(low, high, part->unit), least, most);
    out->var_low = part->side > 0 ? least : 0.0 - most;
    out->var_high = part->side > 0 ? most : 0.0 - least;
    out->var = part->side > 0 ? middle : 0.0 - middle;
}

static void set_all(cs_estimate *out, double es, double var) {
    out->es = out->es_low = out->es_high = es;
    out->var = out->var_low = out->var_high = var;
    out->collapsed = 0;
}

/* The segment of the outcome of this rank from the worst; *before counts all worse segments, whose losses are added. */
static int find_rank(const cs_sketch *s, int upper, uint64_t rank, segment *part, uint64_t *before, cs_exact *losses) {
    walk w = walk_of(s, upper);
    *before = 0;
    while (next_segment(&w, part)) {
        if (rank - *before <= part->mass.of.whole.count) return 1;
        *before += part->mass.of.whole.count;
        if (losses && part->side != 0 && !part->infinite)
            add_wide(losses, part->mass.of.whole.sum, part->unit, part->side);
    }
    return 0;
}

/* The p-th worst of a segment. */
static void var_at(const segment *part, uint64_t p, cs_estimate *out) {
    uint64_t low = 0, high = 0;
    if (part->infinite || part->side == 0) {
        out->var = out->var_low = out->var_high = part->side == 0 ? 0.0 : part->side * (double)INFINITY;
    } else {
        bounds_of_ranked(part, part->side > 0 ? p : part->mass.of.whole.count - p + 1, &low, &high);
        var_of(part, low, high, out);
    }
}

/* A tail that ends in this segment of finite outcomes; *losses adds up the worse ones. */
static void whole_shortfall(const segment *part, const cs_target *target, uint64_t before, cs_exact *losses,
                            cs_estimate *out) {
    uint64_t k = target->rank - 1 - before, next[2] = {0, 0}, significand;
    cs_wide value[2] = {{0, 0}, {0, 0}};
    double m = (double)part->mass.of.whole.count, t, mean, inside;
    int exponent;
    for (int i = 0; i < 2 && part->side != 0; i++) value[i] = share_of(part, k, i, &next[i]);
    out->es = out->es_low = quotient_of(losses, target, part, value[0], next[0]);
    out->es_high = quotient_of(losses, target, part, value[1], next[1]);
    if (out->es_low == out->es_high) return;
    /* As if the bucket's outcomes were spread evenly about their mean. */
    t = ((double)k + (target->count - (double)(target->rank - 1))) / m;
    mean = cs_wide_to_double(part->mass.of.whole.sum) / m;
    inside = t * m * (mean + part->side * 0.5 * (double)(part->last - part->from) * (1.0 - t));
    cs_decode(inside, &significand, &exponent);
    cs_exact_add_scaled(losses, significand, exponent + part->unit, part->side);
    out->es = clamp(ratio_to_count(losses, target), out->es_low, out->es_high);
}

/* ES where infinities decide: infinite losses in the tail, and perhaps gains; else only gains. */
static double infinite_shortfall(int has_losses, const segment *part) {
    if (!has_losses) return -(double)INFINITY;
    return part->infinite && part->side < 0 ? (double)NAN : (double)INFINITY;
}

/* Whole counts: everything exact. */
static void whole_tail(const cs_sketch *s, double level, int upper, cs_estimate *out) {
    cs_target target = cs_target_of(level, (size_t)s->total.of.whole.count);
    int infinite = !cs_mass_is_zero(0, upper ? &s->above : &s->below);
    uint64_t before;
    cs_exact losses;
    segment part;
    cs_exact_zero(&losses);
    if (!find_rank(s, upper, target.rank, &part, &before, &losses)) return;
    var_at(&part, target.rank - before, out);
    if (infinite || part.infinite)
        out->es = out->es_low = out->es_high = infinite_shortfall(infinite, &part);
    else
        whole_shortfall(&part, &target, before, &losses, out);
    out->collapsed = part.coarse && (out->var_low != out->var_high || out->es_low < out->es_high);
}

/* Weights that are no integers: pairs of doubles, whose errors the bounds cover. */

static double weight_of(const segment *part) { return part->mass.of.real.weight.hi; }

/* The segment in which the cumulative weight reaches `mass`, *inside of it within the segment; within `close` of the
 * segment's end it is that end. *before counts the worse segments. */
static int find_mass(const cs_sketch *s, int upper, cs_pair mass, double close, segment *part, double *inside,
                     size_t *before) {
    walk w = walk_of(s, upper), ahead;
    segment after;
    for (*before = 0; next_segment(&w, part); ++*before) {
        cs_pair left = cs_pair_add(mass, cs_pair_negative(part->mass.of.real.weight));
        ahead = w;
        *inside = mass.hi;
        if (left.hi <= close || !next_segment(&ahead, &after)) {
            if (left.hi >= -close) *inside = weight_of(part);
            return 1;
        }
        mass = left;
    }
    return 0;
}

/* Losses of the first segments in units of 2^top, where *top is the largest unit of any of them and of `last`; their
 * magnitudes add up to *size. */
static cs_pair losses_of(const cs_sketch *s, int upper, size_t segments, const segment *last, int *top, double *size) {
    walk w = walk_of(s, upper);
    cs_pair losses = {0.0, 0.0};
    segment part;
    *top = last->unit;
    *size = 0.0;
    for (size_t i = 0; i < segments && next_segment(&w, &part); i++)
        if (part.side != 0 && !part.infinite && part.unit > *top) *top = part.unit;
    w = walk_of(s, upper);
    for (size_t i = 0; i < segments && next_segment(&w, &part); i++) {
        cs_pair sum = part.mass.of.real.sum;
        double high = part.side * ldexp(sum.hi, part.unit - *top), low = part.side * ldexp(sum.lo, part.unit - *top);
        losses = cs_pair_add(losses, cs_pair_of(high, low));
        *size += fabs(high);
    }
    return losses;
}

static void real_var(const segment *part, cs_estimate *out) {
    if (part->infinite || part->side == 0)
        out->var = out->var_low = out->var_high = part->side == 0 ? 0.0 : part->side * (double)INFINITY;
    else
        var_of(part, part->from, part->last, out);
}

/* What the boundary's bucket adds to the losses, at least, at most and as if spread evenly about its mean, if `inside`
 * of its weight belongs to the tail. */
static void real_share(const segment *part, double inside, double share[3]) {
    double m = weight_of(part), sum = part->mass.of.real.sum.hi, from = (double)part->from, last = (double)part->last;
    double largest = part->side > 0 ? inside : m - inside, rest = sum - (m - largest) * from;
    double mean = largest * (sum / m), most = fmin(rest, largest * last);
    /* Rounding, or whoever made up the bytes, may have put the mean beyond the bucket's edges. */
    share[0] = fmin(mean, most);
    share[1] = fmax(mean, most);
    share[2] = mean + largest * 0.5 * (last - from) * (1.0 - largest / m);
    for (int i = 0; i < 3; i++) {
        if (largest == m) share[i] = sum;
        if (part->side < 0) share[i] -= sum;
        if (part->side == 0) share[i] = 0.0;
    }
}

static void real_shortfall(const cs_sketch *s, int upper, size_t before, const segment *part, double inside,
                           double count, cs_estimate *out) {
    double share[3], es[3], size, slack, boundary = s->total.of.real.weight.hi * 0x1p-48;
    int top;
    cs_pair losses = losses_of(s, upper, before, part, &top, &size);
    real_share(part, inside, share);
    /* For the rounding here, for that of the pairs, and for a boundary that moves by 2^-53 of all weight. */
    size += ldexp(fabs(share[0]) + fabs(share[1]), part->unit - top);
    slack = 0x1p-44 * size + boundary * (ldexp((double)part->last, part->unit - top) + size / count);
    for (int i = 0; i < 3; i++) es[i] = losses.hi + (losses.lo + ldexp(share[i], part->unit - top));
    /* The smallest double is what a subnormal result may lose once more. */
    out->es_low = ldexp((es[0] - slack) / count, top) - 0x1p-1074;
    out->es_high = ldexp((es[1] + slack) / count, top) + 0x1p-1074;
    out->es = clamp(ldexp(es[2] / count, top) + 0.0, out->es_low, out->es_high);
}

static void real_tail(const cs_sketch *s, double level, int upper, cs_estimate *out) {
    cs_pair total = s->total.of.real.weight, count;
    int infinite = !cs_mass_is_zero(1, upper ? &s->above : &s->below);
    double e, p = cs_two_product(total.hi, level, &e), inside;
    size_t before;
    segment part;
    count = cs_pair_add(total, cs_pair_add(cs_pair_of(-p, -e), cs_pair_of(-total.lo * level, 0.0)));
    if (!find_mass(s, upper, count, total.hi * 0x1p-53, &part, &inside, &before)) return;
    real_var(&part, out);
    if (infinite || part.infinite)
        out->es = out->es_low = out->es_high = infinite_shortfall(infinite, &part);
    else
        real_shortfall(s, upper, before, &part, inside, count.hi, out);
    out->collapsed = part.coarse;
}

double cs_sketch_sum(const cs_sketch *s) {
    int above = !cs_mass_is_zero(s->real, &s->above), below = !cs_mass_is_zero(s->real, &s->below), exponent;
    walk w = walk_of(s, 1);
    segment part;
    cs_exact sum;
    double value;
    if (above || below) return above && below ? (double)NAN : above ? (double)INFINITY : -(double)INFINITY;
    if (s->real) {
        segment none;
        memset(&none, 0, sizeof none);
        none.unit = -1074;
        value = losses_of(s, 1, (size_t)-1, &none, &exponent, &value).hi;
    } else {
        cs_exact_zero(&sum);
        while (next_segment(&w, &part))
            if (part.side != 0) add_wide(&sum, part.mass.of.whole.sum, part.unit, part.side);
        value = cs_exact_round(&sum, &exponent);
    }
    return ldexp(value, exponent) + 0.0;
}

int cs_sketch_tail(cs_sketch *s, double level, int upper, cs_estimate *out) {
    int status = cs_sketch_settle(s);
    set_all(out, (double)NAN, (double)NAN);
    if (status != CS_SKETCH_OK || cs_mass_is_zero(s->real, &s->total)) return status;
    if (s->real)
        real_tail(s, level, upper, out);
    else
        whole_tail(s, level, upper, out);
    return status;
}

int cs_sketch_quantile(cs_sketch *s, double q, double *result) {
    cs_estimate estimate;
    segment part;
    int status = cs_sketch_settle(s);
    *result = (double)NAN;
    if (status != CS_SKETCH_OK || cs_mass_is_zero(s->real, &s->total)) return status;
    set_all(&estimate, (double)NAN, (double)NAN);
    if (s->real) {
        double inside, e, p = cs_two_product(s->total.of.real.weight.hi, q, &e);
        cs_pair mass = cs_pair_of(p, e + s->total.of.real.weight.lo * q);
        size_t before;
        if (q == 0.0 || q == 1.0)
            estimate.var = q == 0.0 ? -s->least : -s->most;
        else if (find_mass(s, 0, mass, s->total.of.real.weight.hi * 0x1p-53, &part, &inside, &before))
            real_var(&part, &estimate);
    } else {
        uint64_t n = s->total.of.whole.count, rank, before;
        double e, p = cs_two_product((double)n, q, &e), nearest = rint(p);
        if (nearest >= 1.0 && fabs((p - nearest) + e) <= (double)n * 0x1p-53)
            rank = (uint64_t)nearest;
        else
            rank = (uint64_t)(floor(p) + (p == floor(p) && e < 0.0 ? 0.0 : 1.0));
        if (rank < 1) rank = 1;
        if (rank > n) rank = n;
        if (find_rank(s, 0, rank, &part, &before, NULL)) var_at(&part, rank - before, &estimate);
    }
    *result = 0.0 - estimate.var;
    return status;
}
