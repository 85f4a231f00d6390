/* Expected Shortfall and Value at Risk of weighted outcomes.
 *
 * With W the sum of the weights, C = W (1 - level) and v the smallest outcome whose weight together with that of all
 * smaller ones reaches C,
 *     VaR = -v,    ES = -(sum_{x < v} w x + (C - sum_{x < v} w) v) / C.
 * A cumulative weight (of whole groups of equal outcomes) within W 2^-53 of C counts as equal to C, as for unweighted
 * outcomes. Outcomes of weight zero are absent. The quotient of the exact numerator and the exact C is rounded once, so
 * neither the order of the outcomes nor the scale of the weights can change a bit; equal weights give the unweighted
 * result.
 *
 * Method: as in tail_kernels.h with weights for counts; what is left at the end is sorted. If the brackets keep missing
 * (a few weights dominate), passes against one pivot halve what is left: two passes as a rule, some ten then, and a sort of
 * everything, O(n log n), only if no bound can compare the weights. */

#define CS_WEIGHTED_FINISH 128
#define CS_WEIGHTED_SAMPLE 2048
#define CS_WEIGHTED_ATTEMPTS 3 /* brackets drawn before pivots */
#define CS_WEIGHTED_PIVOTS 8   /* passes against pivots before the sort */

typedef struct {
    cs_outcomes x;
    const double *w;
} weighted;

typedef struct {
    cs_sum total; /* of all weights */
    double least, most; /* of those above zero */
    size_t positive;
} weight_summary;

typedef struct {
    double value, magnitude;
    cs_sum weight, product; /* below value */
} weighted_selection;

/* Two halves of the caller's scratch, filled from the front to `used`; source lies there unless it is the input. */
typedef struct {
    double *x, *w, mass;
    size_t used, capacity;
    weighted source;
} weighted_scratch;

static int weights_summarize(const double *w, size_t n, weight_summary *r) {
    lane_sums l;
    vd inf = vd_set(INFINITY), zero = vd_set(0.0), least = inf;
    double most = 0.0;
    vm bad = vm_none();
    size_t i = 0;
    lane_sums_zero(&l);
    r->total = cs_sum_zero();
    r->positive = 0;
    while (i + 2 * CS_LANES <= n) {
        size_t start = i, stop = n - i > CS_BLOCK ? i + CS_BLOCK : n;
        for (; i + 2 * CS_LANES <= stop; i += 2 * CS_LANES) {
            if (n > CS_LONG) fetch_ahead(w, 0, i, 2);
            vd a = vd_load(w + i), b = vd_load(w + i + CS_LANES);
            bad = vm_or(bad, vm_or(vd_nge(a, zero), vd_nge(b, zero)));
            vm ka = vd_lt(zero, a), kb = vd_lt(zero, b);
            r->positive += vm_count(ka) + vm_count(kb);
            least = vd_min(least, vd_min(vd_where(ka, a, inf), vd_where(kb, b, inf)));
            l.magnitude = vd_max(l.magnitude, vd_max(a, b));
            LANE_ADD(l.s0, l.c0, a);
            LANE_ADD(l.s1, l.c1, b);
        }
        lane_sums_fold(&l, 2 * CS_LANES, (stop - start) / (2 * CS_LANES) + 1, &r->total, &most);
    }
    r->least = vd_reduce_min(least);
    for (; i < n; i++) {
        if (!(w[i] >= 0.0)) return CS_BAD_WEIGHT;
        if (w[i] > 0.0) {
            r->positive++;
            if (w[i] < r->least) r->least = w[i];
            if (w[i] > most) most = w[i];
            cs_sum_add(&r->total, w[i]);
        }
    }
    r->most = most;
    if (vm_any(bad) || isinf(most)) return CS_BAD_WEIGHT;
    return r->positive ? CS_OK : CS_ZERO_WEIGHT;
}

CS_INLINE weighted weighted_of(double *x, double *w, size_t n) {
    weighted p;
    p.x = outcomes_of(x, n);
    p.w = w;
    return p;
}

static void heap_sift(double *x, double *w, size_t root, size_t n) {
    double vx = x[root], vw = w[root];
    for (size_t child = 2 * root + 1; child < n; child = 2 * root + 1) {
        if (child + 1 < n && x[child + 1] > x[child]) child++;
        if (x[child] <= vx) break;
        x[root] = x[child];
        w[root] = w[child];
        root = child;
    }
    x[root] = vx;
    w[root] = vw;
}

static void heap_sort(double *x, double *w, size_t n) {
    for (size_t i = n / 2; i-- > 0;) heap_sift(x, w, i, n);
    for (size_t i = n; i-- > 1;) {
        double vx = x[0], vw = w[0];
        x[0] = x[i];
        w[0] = w[i];
        x[i] = vx;
        w[i] = vw;
        heap_sift(x, w, 0, i);
    }
}

CS_INLINE void fetch_pairs_ahead(const weighted *p, int is_f32, size_t i) {
    fetch_ahead(p->x.data, is_f32, i, 1);
    fetch_ahead(p->w, 0, i, 1);
}

/* Keeps what has weight and lies in [low, high), NaN included; sums weights and products below low. Returns how many. */
CS_INLINE size_t weighted_pass_of(const weighted *p, int is_f32, double low, double high, double *kx, double *kw,
                                  weighted_selection *s) {
    vd flip = flip_lanes(p->x.flip), lo = vd_set(low), hi = vd_set(high), zero = vd_set(0.0);
    size_t i = 0, m = 0, n = p->x.n;
    int sums = low > -INFINITY;
    while (i < n) {
        size_t start = i, stop = n - i > CS_BLOCK ? i + CS_BLOCK : n;
        double unused = 0.0, largest;
        vd tails = zero;
        lane_sums weights, products;
        if (!sums) {
            for (; i + CS_LANES <= stop; i += CS_LANES) {
                if (n > CS_LONG) fetch_pairs_ahead(p, is_f32, i);
                vd v = outcomes_load(p->x.data, is_f32, i, flip), w = vd_load(p->w + i);
                vm keep = vm_andnot(vd_le(w, zero), vd_nge(v, hi));
                vd_append(kx + m, keep, v);
                m += vd_append(kw + m, keep, w);
            }
        } else {
            lane_sums_zero(&weights);
            lane_sums_zero(&products);
            for (; i + CS_LANES <= stop; i += CS_LANES) {
                if (n > CS_LONG) fetch_pairs_ahead(p, is_f32, i);
                vd v = outcomes_load(p->x.data, is_f32, i, flip), w = vd_load(p->w + i);
                vm absent = vd_le(w, zero), below = vd_lt(v, lo), keep = vm_andnot(absent, vd_nge(v, hi));
                vd tail, mass, product, error;
                keep = vm_andnot(below, keep);
                below = vm_andnot(absent, below);
                tail = vd_keep(below, v);
                mass = vd_keep(below, w);
                product = vd_two_product(tail, mass, &error);
                tails = vd_max(tails, vd_abs(tail));
                weights.magnitude = vd_max(weights.magnitude, mass);
                products.magnitude = vd_max(products.magnitude, vd_abs(product));
                LANE_ADD(weights.s0, weights.c0, mass);
                LANE_ADD(products.s0, products.c0, product);
                products.c0 = vd_add(products.c0, error);
                vd_append(kx + m, keep, v);
                m += vd_append(kw + m, keep, w);
            }
            largest = vd_reduce_max(tails);
            if (largest > s->magnitude) s->magnitude = largest;
            lane_sums_fold(&weights, CS_LANES, (stop - start) / CS_LANES + 1, &s->weight, &unused);
            /* The low parts took two numbers a step; a product that underflows loses less than 2^-1074. */
            lane_sums_fold(&products, CS_LANES, 2 * ((stop - start) / CS_LANES + 1), &s->product, &unused);
            s->product.err += (double)(stop - start) * 0x1p-1070;
        }
        for (; i < stop; i++) {
            double v = outcome_at(&p->x, i), w = p->w[i];
            if (w > 0.0 && v < low) {
                cs_sum_add(&s->weight, w);
                cs_sum_add_product(&s->product, w, v);
                if (fabs(v) > s->magnitude) s->magnitude = fabs(v);
            } else {
                kx[m] = v;
                kw[m] = w;
                m += w > 0.0 && !(v >= high);
            }
        }
    }
    return m;
}

static size_t weighted_pass(const weighted *p, double low, double high, double *kx, double *kw, weighted_selection *s) {
    return p->x.is_f32 ? weighted_pass_of(p, 1, low, high, kx, kw, s) : weighted_pass_of(p, 0, low, high, kx, kw, s);
}

/* A sample of the outcomes that have weight, sorted; NaN comes first. Returns how many. */
static size_t weighted_sample(const weighted *p, unsigned attempt, double *sx, double *sw) {
    size_t runs = 8, m = 0;
    cs_outcomes w = outcomes_of(p->w, p->x.n);
    while (8 * runs < CS_WEIGHTED_SAMPLE && 16 * runs * runs < p->x.n) runs *= 2;
    outcomes_sample(&p->x, runs, sample_seed(&p->x, attempt), sx);
    outcomes_sample(&w, runs, sample_seed(&p->x, attempt), sw);
    for (size_t i = 0; i < 8 * runs; i++) {
        double v = sx[i];
        sx[m] = v;
        sw[m] = sw[i];
        if (sw[m] > 0.0 && v != v) {
            sx[0] = v;
            return 1;
        }
        m += sw[m] > 0.0;
    }
    heap_sort(sx, sw, m);
    return m;
}

/* Brackets the outcome at which the cumulative weight reaches `goal` of `total`: low <= it < high. high is NaN, the bound
 * that keeps everything, where the sample shows none or holds NaN. */
static void weighted_bracket(const weighted *p, double goal, double total, unsigned attempt, double *sx, double *sw,
                             double *low, double *high) {
    size_t size = weighted_sample(p, attempt, sx, sw);
    double sum = 0.0, square = 0.0, share = goal / total, spread, cumulative = 0.0;
    *low = -INFINITY;
    *high = NAN;
    for (size_t i = 0; i < size; i++) {
        sum += sw[i];
        square += sw[i] * sw[i];
    }
    if (size == 0 || sx[0] != sx[0] || !(sum > 0.0 && share > 0.0 && share < 1.0)) return;
    spread = 4.0 * sqrt(share * (1.0 - share) * square) / sum + 2.0 / (double)size;
    for (size_t i = 0; i < size; i++) {
        cumulative += sw[i];
        if (cumulative < (share - spread) * sum) *low = sx[i];
        if (cumulative > (share + spread) * sum) {
            /* Just above: of many outcomes equal to it one may be the wanted. */
            *high = key_double(double_key(sx[i]) + 1);
            break;
        }
    }
}

/* -1, 0, 1: is the cumulative weight below, equal within W 2^-53, or above C? 2: the bounds cannot tell. */
CS_INLINE int weight_compare(const cs_sum *cumulative, const cs_sum *total, double level) {
    cs_sum d = *cumulative;
    double value, slack, tolerance = total->hi * 0x1p-53;
    cs_sum_add(&d, -total->hi);
    cs_sum_add_low(&d, -total->lo);
    cs_sum_add_product(&d, total->hi, level);
    cs_sum_add_low(&d, total->lo * level);
    value = d.hi + d.lo;
    slack = 4.0 * (d.err + total->err) + 0x1p-100 * total->hi;
    if (value < -tolerance - slack) return -1;
    if (value > tolerance + slack) return 1;
    if (fabs(value) < tolerance - slack) return 0;
    return 2;
}

/* Certainly at or beyond C? */
CS_INLINE int weight_reached(const cs_sum *cumulative, const cs_sum *total, double level) {
    int order = weight_compare(cumulative, total, level);
    return order == 0 || order == 1;
}

/* The same decision from exact sums over the source. */
CS_COLD int weight_compare_exactly(const weighted *all, double value, double level) {
    cs_exact total, cumulative, difference, tolerance;
    int sign;
    cs_exact_zero(&total);
    cs_exact_zero(&cumulative);
    cs_exact_zero(&tolerance);
    for (size_t i = 0; i < all->x.n; i++) {
        if (all->w[i] > 0.0) {
            cs_exact_add(&total, all->w[i]);
            if (outcome_at(&all->x, i) <= value) cs_exact_add(&cumulative, all->w[i]);
        }
    }
    difference = cumulative;
    cs_exact_add_multiple(&difference, &total, level);
    cs_exact_subtract(&difference, &total);
    cs_exact_add_multiple(&tolerance, &total, 0x1p-53);
    sign = cs_exact_normalize(&difference);
    cs_exact_subtract(&tolerance, &difference);
    return cs_exact_normalize(&tolerance) >= 0 ? 0 : sign;
}

/* The first of the sorted x[from..n) that reaches C, by bisection: where the bounds cannot tell once (weights whose sum
 * overflows, hosts of tiny ones) they may not tell for many. */
CS_COLD double first_reached_exactly(const weighted *all, double level, const double *x, size_t from, size_t n,
                                     int *order) {
    size_t last = n - 1;
    while (from < last) {
        size_t middle = from + (last - from) / 2;
        if (weight_compare_exactly(all, x[middle], level) >= 0)
            last = middle;
        else
            from = middle + 1;
    }
    *order = weight_compare_exactly(all, x[from], level);
    return x[from];
}

/* Numerator and denominator exactly. snapped: C is the cumulative weight up to and including value. */
CS_COLD double weighted_exact(const weighted *all, double value, double level, int snapped) {
    cs_exact total, below, numerator, rest;
    cs_exact_zero(&total);
    cs_exact_zero(&below);
    cs_exact_zero(&numerator);
    for (size_t i = 0; i < all->x.n; i++) {
        double v = outcome_at(&all->x, i), w = all->w[i];
        if (w > 0.0) {
            cs_exact_add(&total, w);
            if (v < value || (snapped && v == value)) {
                cs_exact_add(&below, w);
                cs_exact_add_product(&numerator, w, v);
            }
        }
    }
    if (snapped) {
        rest = below;
    } else {
        cs_exact share = total;
        cs_exact_add_multiple(&share, &total, -level);
        rest = share;
        cs_exact_subtract(&rest, &below);
        cs_exact_add_multiple(&numerator, &rest, value);
        rest = share;
    }
    return cs_exact_ratio(&numerator, &rest);
}

static cs_tail weighted_value(const weighted *all, const weighted_selection *s, const cs_sum *total, double level,
                              int snapped, const cs_sum *group) {
    cs_tail r;
    cs_sum numerator = s->product, divisor = *total;
    double ratio;
    r.es = r.var = 0.0 - s->value;
    if (s->weight.hi == 0.0) return r;
    if (s->magnitude > 0x1.fffffffffffffp1023) {
        r.es = s->value > 0x1.fffffffffffffp1023 ? (double)NAN : INFINITY;
        return r;
    }
    if (isinf(s->value)) return r;
    if (snapped) {
        divisor = s->weight;
        cs_sum_add_sum(&divisor, group);
        cs_sum_add_product(&numerator, group->hi, s->value);
        cs_sum_add_low(&numerator, group->lo * s->value);
        numerator.err += (group->err + 0x1p-52 * fabs(group->lo)) * fabs(s->value);
    } else {
        cs_sum rest;
        cs_sum_add_product(&divisor, -total->hi, level);
        cs_sum_add_low(&divisor, -total->lo * level);
        divisor.err += total->err + 0x1p-52 * fabs(total->lo);
        rest = divisor;
        cs_sum_add(&rest, -s->weight.hi);
        cs_sum_add_low(&rest, -s->weight.lo);
        rest.err += s->weight.err;
        cs_sum_add_product(&numerator, rest.hi, s->value);
        cs_sum_add_low(&numerator, rest.lo * s->value);
        numerator.err += (rest.err + 0x1p-52 * fabs(rest.lo)) * fabs(s->value);
    }
    r.es = 0.0 - (cs_sum_ratio(&numerator, &divisor, &ratio) ? ratio : weighted_exact(all, s->value, level, snapped));
    return r;
}

/* Sorts what is left and walks through the groups of equal outcomes until the cumulative weight reaches C. */
static int weighted_finish(const weighted *all, weighted_selection *s, const cs_sum *total, double level, double *x,
                           double *w, size_t m, cs_tail *out) {
    size_t i = 0, next;
    int searched = 0, found_order = 0;
    double found = 0.0;
    for (size_t k = 0; k < m; k++)
        if (x[k] != x[k]) return CS_NAN;
    heap_sort(x, w, m);
    for (; i < m; i = next) {
        cs_sum group = cs_sum_zero(), cumulative = s->weight;
        int order;
        for (next = i; next < m && x[next] == x[i]; next++) cs_sum_add(&group, w[next]);
        cs_sum_add_sum(&cumulative, &group);
        order = searched ? 2 : weight_compare(&cumulative, total, level);
        if (order == 2 && !searched) {
            found = first_reached_exactly(all, level, x, i, m, &found_order);
            searched = 1;
        }
        if (order == 2) order = x[i] < found ? -1 : found_order;
        if (order >= 0 || next == m) {
            s->value = x[i];
            *out = weighted_value(all, s, total, level, order == 0, &group);
            return CS_OK;
        }
        for (size_t k = i; k < next; k++) cs_sum_add_product(&s->product, w[k], x[k]);
        if (fabs(x[i]) > s->magnitude) s->magnitude = fabs(x[i]);
        s->weight = cumulative;
    }
    return CS_EMPTY;
}

/* Are all values, of which there is one at least, the same? */
static int all_equal(double *x, size_t n) {
    double least, most;
    if (!(x[0] == x[n / 2] && x[0] == x[n - 1])) return 0;
    return buffer_range(x, n + buffer_pad(x, n, x[0]), &least, &most) && least == most;
}

/* One level. While nothing is counted, what a pass keeps becomes the source of levels further out. */
static int weighted_level(const weighted *all, const cs_sum *total, double level, weighted_scratch *scratch,
                          cs_tail *out) {
    const unsigned pivots = CS_WEIGHTED_ATTEMPTS, last = CS_WEIGHTED_ATTEMPTS + CS_WEIGHTED_PIVOTS;
    weighted_selection s;
    weighted p = scratch->source;
    double goal = total->hi - total->hi * level, mass = scratch->mass, pivot = NAN;
    size_t used = scratch->used;
    unsigned attempt = 0;
    int writable = used > 0, counted = 0;
    s.weight = s.product = cs_sum_zero();
    s.magnitude = 0.0;
    for (;;) {
        double *kx = scratch->x + used, *kw = scratch->w + used, low = -INFINITY, high = NAN;
        weighted_selection t = s;
        weight_summary kept;
        cs_sum reached;
        size_t m;
        int narrowed, give_up = attempt == last || p.x.n <= CS_WEIGHTED_FINISH ||
                      scratch->capacity - used < p.x.n + CS_WEIGHTED_SAMPLE + CS_SLACK;
        if (give_up && writable)
            return weighted_finish(all, &s, total, level, (double *)p.x.data, (double *)p.w, p.x.n, out);
        if (!give_up && attempt < pivots) {
            weighted_bracket(&p, goal - s.weight.hi, mass, attempt, kx, kw, &low, &high);
            if (!counted && attempt == 0 && goal < 0.25 * mass && high < INFINITY) low = -INFINITY;
        } else if (!give_up) {
            /* What lies at or above the pivot; if that misses, what lies below; then the same with the pivot below. */
            unsigned step = attempt - pivots;
            if (step % 2 == 0) {
                size_t size = weighted_sample(&p, attempt, kx, kw);
                pivot = size ? kx[size / 2] : NAN;
                if (step % 4 == 2) pivot = key_double(double_key(pivot) + 1);
            }
            if (pivot != pivot) {
                attempt = last;
                continue;
            }
            if (step % 2 == 0)
                low = pivot;
            else
                high = pivot;
        }
        m = weighted_pass(&p, low, high, kx, kw, &t);
        weights_summarize(kw, m, &kept);
        reached = t.weight;
        cs_sum_add_sum(&reached, &kept.total);
        if (!give_up && ((low > -INFINITY && weight_compare(&t.weight, total, level) != -1) ||
                         (high == high && !weight_reached(&reached, total, level)))) {
            attempt++;
            continue;
        }
        if (m > CS_WEIGHTED_FINISH && all_equal(kx, m)) {
            int order = weight_compare(&reached, total, level);
            if (order == 0 || order == 1) {
                t.value = kx[0];
                *out = weighted_value(all, &t, total, level, order == 0, &kept.total);
                return CS_OK;
            }
        }
        /* A bracket that hardly narrows (one outcome dominates) is as good as none. */
        narrowed = m <= p.x.n - p.x.n / 8;
        if (!give_up && !narrowed) {
            /* Of two or three different values brackets keep too many: pivots part them. */
            attempt = attempt > 0 && attempt < pivots ? pivots : attempt + 1;
            continue;
        }
        if (narrowed) attempt = give_up || attempt < pivots ? 0 : pivots - 1;
        s = t;
        p = weighted_of(kx, kw, m);
        mass = kept.total.hi;
        writable = 1;
        used += m + CS_SLACK;
        counted = counted || low > -INFINITY;
        if (!counted) {
            scratch->source = p;
            scratch->mass = mass;
            scratch->used = used;
        }
    }
}

/* Outcomes of equal weights, those of weight zero left out, are outcomes without weights: the tail count then snaps to
 * whole outcomes, which may lie within a group of equal ones. */
static int tail_equal_weights(const cs_outcomes *x, const double *w, size_t present, const cs_target *targets,
                              size_t n_targets, double *scratch, size_t capacity, cs_tail *out) {
    cs_outcomes rest = *x;
    if (present < x->n) {
        size_t m = 0;
        for (size_t i = 0; i < x->n; i++) {
            scratch[m] = outcome_at(x, i);
            m += w[i] > 0.0;
        }
        rest = outcomes_of(scratch, present);
        scratch += x->n + CS_SLACK;
        capacity -= x->n + CS_SLACK;
    }
    for (size_t i = 0; i < n_targets; i++) {
        cs_target t = cs_target_of(targets[i].level, present);
        int status = kernel_tail(&rest, &t, 1, scratch, capacity, out + i);
        if (status) return status;
    }
    return CS_OK;
}

static int kernel_tail_weighted(const cs_outcomes *x, const double *w, const cs_target *targets, size_t n_targets,
                                double *scratch, size_t capacity, size_t *used, cs_tail *out) {
    weight_summary weights;
    weighted_scratch s;
    weighted all;
    int status = weights_summarize(w, x->n, &weights);
    if (status) return status;
    *used = weights.positive;
    if (weights.least == weights.most)
        return tail_equal_weights(x, w, weights.positive, targets, n_targets, scratch, capacity, out);
    all.x = *x;
    all.w = w;
    s.source = all;
    s.mass = weights.total.hi;
    s.x = scratch;
    s.w = scratch + capacity / 2;
    s.capacity = capacity / 2 - CS_SLACK;
    s.used = 0;
    for (size_t i = cs_target_next(targets, n_targets, n_targets); i < n_targets && !status;
         i = cs_target_next(targets, n_targets, i))
        status = weighted_level(&all, &weights.total, targets[i].level, &s, out + i);
    return status;
}
