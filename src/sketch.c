/* The sketch's state: outcomes come in, sketches are merged, buckets collapse. See docs/sketch.md. */
#include "sketch.h"

#include "sketch_buckets.h"

/* As many more buckets than max_buckets wait for the next collapse, so that it need not move memory each time. */
CS_INLINE size_t slack_of(size_t max_buckets) { return max_buckets / 4 + 16; }

/* Relative distance of the ends of [from, to) from their middle at most accuracy, in exact arithmetic. */
static int is_within(uint32_t from, uint32_t to, double accuracy) {
    double e, p = cs_two_product(accuracy, (double)(from + to), &e), width = (double)(to - from);
    return p > width || (p == width && e >= 0.0);
}

/* At the finest accuracy an octave has 3,564 buckets, so that an offset fits 16 bits. */
static int build_layout(cs_layout *layout, double accuracy, cs_resize resize) {
    uint32_t cells, edge;
    int bits = 4;
    while (bits < 16 && ldexp(1.0, -bits) > accuracy / 4) bits++;
    cells = (uint32_t)1 << bits;
    layout->bits = bits;
    layout->buckets = 0;
    layout->offset_of_cell = resize(NULL, cells * sizeof(uint16_t));
    layout->edges = resize(NULL, (cells + 1) * sizeof(uint32_t));
    if (!layout->offset_of_cell || !layout->edges) return CS_SKETCH_NO_MEMORY;
    for (edge = cells; edge < 2 * cells;) {
        uint32_t next = edge + 1;
        while (next < 2 * cells && is_within(edge, next + 1, accuracy)) next++;
        for (uint32_t cell = edge; cell < next; cell++)
            layout->offset_of_cell[cell - cells] = (uint16_t)(layout->buckets * sizeof(cs_slot));
        layout->edges[layout->buckets++] = edge;
        edge = next;
    }
    layout->edges[layout->buckets] = edge;
    return CS_SKETCH_OK;
}

int cs_sketch_init(cs_sketch *s, double accuracy, size_t max_buckets, cs_resize resize) {
    int status;
    memset(s, 0, sizeof *s);
    s->accuracy = accuracy;
    s->max_buckets = max_buckets;
    s->resize = resize;
    s->least = (double)INFINITY;
    s->most = -(double)INFINITY;
    if (!(accuracy >= CS_SKETCH_LEAST_ACCURACY && accuracy <= CS_SKETCH_MOST_ACCURACY)) return CS_SKETCH_BAD_ACCURACY;
    if (max_buckets < 1 || max_buckets > CS_SKETCH_MOST_BUCKETS) return CS_SKETCH_BAD_MAX_BUCKETS;
    status = build_layout(&s->layout, accuracy, resize);
    if (status != CS_SKETCH_OK) cs_sketch_clear(s);
    return status;
}

void cs_sketch_clear(cs_sketch *s) {
    void *blocks[] = {s->layout.offset_of_cell, s->layout.edges,          s->side[0].fine.items,
                      s->side[0].coarse.items,  s->side[1].fine.items, s->side[1].coarse.items};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        if (blocks[i]) s->resize(blocks[i], 0);
    memset(s, 0, sizeof *s);
}

int cs_buckets_reserve(cs_buckets *list, size_t count, cs_resize resize) {
    size_t capacity = list->capacity + list->capacity / 2 + 8;
    cs_bucket *items;
    if (count <= list->capacity) return CS_SKETCH_OK;
    if (capacity < count) capacity = count;
    items = resize(list->items, capacity * sizeof *items);
    if (!items) return CS_SKETCH_NO_MEMORY;
    list->items = items;
    list->capacity = capacity;
    return CS_SKETCH_OK;
}

/* Position of the first key that is not smaller; without branches on keys, which nobody can predict. */
static size_t position_of(const cs_buckets *list, uint32_t key) {
    const cs_bucket *first = list->items;
    size_t left = list->count;
    while (left > 1) {
        size_t half = left / 2;
        first += first[half - 1].key < key ? half : 0;
        left -= half;
    }
    return (size_t)(first - list->items) + (left && first->key < key);
}

static int holds(const cs_buckets *list, size_t position, uint32_t key) {
    return position < list->count && list->items[position].key == key;
}

/* Adds to the bucket of a key, or puts a new one at its place, for which there must be room. */
static void add_at(int real, cs_buckets *list, size_t position, uint32_t key, const cs_mass *mass) {
    cs_bucket *bucket = list->items + position;
    if (holds(list, position, key)) {
        cs_mass_add(real, &bucket->mass, mass);
        return;
    }
    memmove(bucket + 1, bucket, (list->count - position) * sizeof *bucket);
    bucket->key = key;
    bucket->mass = *mass;
    list->count++;
}

void cs_side_add_coarse(cs_sketch *s, cs_side *side, uint32_t octave, const cs_mass *mass) {
    add_at(s->real, &side->coarse, position_of(&side->coarse, octave), octave, mass);
}

/* Room for the octaves of keys from `first` to `last` among the coarse buckets, and for `more`. */
static int reserve_coarse(cs_sketch *s, cs_side *side, uint32_t first, uint32_t last, size_t more) {
    size_t span = (size_t)(cs_key_octave(&s->layout, last) - cs_key_octave(&s->layout, first)) + 1;
    size_t count = side->coarse.count + more + span;
    return cs_buckets_reserve(&side->coarse, count < CS_SKETCH_OCTAVES ? count : CS_SKETCH_OCTAVES, s->resize);
}

/* The innermost `excess` fine buckets become part of the coarse ones, for which there must be room. */
static void collapse(cs_sketch *s, cs_side *side, size_t excess) {
    cs_buckets *fine = &side->fine;
    for (size_t i = 0; i < excess; i++)
        cs_side_add_coarse(s, side, (uint32_t)cs_key_octave(&s->layout, fine->items[i].key), &fine->items[i].mass);
    fine->count -= excess;
    memmove(fine->items, fine->items + excess, fine->count * sizeof *fine->items);
}

static int settle_side(cs_sketch *s, cs_side *side) {
    size_t excess = side->fine.count > s->max_buckets ? side->fine.count - s->max_buckets : 0;
    int status;
    if (!excess) return CS_SKETCH_OK;
    status = reserve_coarse(s, side, side->fine.items[0].key, side->fine.items[excess - 1].key, 0);
    if (status == CS_SKETCH_OK) collapse(s, side, excess);
    return status;
}

int cs_sketch_settle(cs_sketch *s) {
    int status = settle_side(s, &s->side[0]);
    return status == CS_SKETCH_OK ? settle_side(s, &s->side[1]) : status;
}

int cs_sketch_collapsed(const cs_sketch *s) { return s->side[0].coarse.count || s->side[1].coarse.count; }

static int copy_buckets(cs_buckets *to, const cs_buckets *from, cs_resize resize) {
    int status = from->count ? cs_buckets_reserve(to, from->count, resize) : CS_SKETCH_OK;
    if (status != CS_SKETCH_OK || !from->count) return status;
    memcpy(to->items, from->items, from->count * sizeof *to->items);
    to->count = from->count;
    return CS_SKETCH_OK;
}

int cs_sketch_copy(cs_sketch *to, cs_sketch *from) {
    cs_layout layout;
    int status = cs_sketch_init(to, from->accuracy, from->max_buckets, from->resize);
    if (status != CS_SKETCH_OK) return status;
    layout = to->layout;
    *to = *from;
    to->layout = layout;
    memset(to->side, 0, sizeof to->side);
    for (int i = 0; i < 2 && status == CS_SKETCH_OK; i++) {
        status = copy_buckets(&to->side[i].fine, &from->side[i].fine, to->resize);
        if (status == CS_SKETCH_OK) status = copy_buckets(&to->side[i].coarse, &from->side[i].coarse, to->resize);
    }
    if (status != CS_SKETCH_OK) cs_sketch_clear(to);
    return status;
}

void cs_mass_make_real(cs_mass *mass) {
    cs_mass given = *mass;
    mass->of.real.weight = cs_pair_of((double)given.of.whole.count, 0.0);
    mass->of.real.sum = cs_pair_of_wide(given.of.whole.sum);
}

/* From integers to pairs of doubles, exactly. */
static void become_real(cs_sketch *s) {
    cs_mass *single[] = {&s->missing, &s->below, &s->zero, &s->above, &s->total};
    if (s->real) return;
    for (size_t i = 0; i < sizeof single / sizeof *single; i++) cs_mass_make_real(single[i]);
    for (int i = 0; i < 2; i++) {
        for (size_t k = 0; k < s->side[i].fine.count; k++) cs_mass_make_real(&s->side[i].fine.items[k].mass);
        for (size_t k = 0; k < s->side[i].coarse.count; k++) cs_mass_make_real(&s->side[i].coarse.items[k].mass);
    }
    s->real = 1;
}

static int insert(cs_sketch *s, cs_side *side, int octave, uint64_t significand, const cs_mass *mass) {
    cs_buckets *fine = &side->fine;
    uint32_t key = (uint32_t)octave * s->layout.buckets + cs_bucket_of(&s->layout, octave, significand);
    size_t position;
    int status;
    if (fine->count >= s->max_buckets && key < fine->items[fine->count - s->max_buckets].key) {
        status = cs_buckets_reserve(&side->coarse, side->coarse.count + 1, s->resize);
        if (status == CS_SKETCH_OK) cs_side_add_coarse(s, side, (uint32_t)octave, mass);
        return status;
    }
    position = position_of(fine, key);
    if (!holds(fine, position, key)) {
        if (fine->count >= s->max_buckets + slack_of(s->max_buckets)) {
            status = settle_side(s, side);
            if (status != CS_SKETCH_OK) return status;
            position = position_of(fine, key);
        }
        status = cs_buckets_reserve(fine, fine->count + 1, s->resize);
        if (status != CS_SKETCH_OK) return status;
    }
    add_at(s->real, fine, position, key, mass);
    return CS_SKETCH_OK;
}

/* One outcome whose weight was checked. */
static int place(cs_sketch *s, double x, double weight) {
    uint64_t significand = 0, bits = cs_magnitude_bits(x);
    cs_mass mass;
    int status = CS_SKETCH_OK;
    if (weight == 0.0) return CS_SKETCH_OK;
    if (x != x) {
        mass = cs_mass_of(s->real, 0, weight);
        cs_mass_add(s->real, &s->missing, &mass);
        return CS_SKETCH_OK;
    }
    if (x - x == 0.0 && x != 0.0) {
        int octave = cs_octave_of(bits, &significand);
        mass = cs_mass_of(s->real, significand, weight);
        status = insert(s, &s->side[x < 0.0], octave, significand, &mass);
        if (status != CS_SKETCH_OK) return status;
    } else {
        mass = cs_mass_of(s->real, 0, weight);
        cs_mass_add(s->real, x == 0.0 ? &s->zero : x < 0.0 ? &s->below : &s->above, &mass);
    }
    mass = cs_mass_of(s->real, 0, weight);
    cs_mass_add(s->real, &s->total, &mass);
    x += 0.0;
    if (x < s->least) s->least = x;
    if (x > s->most) s->most = x;
    return CS_SKETCH_OK;
}

/* Checks all weights; *whole says whether they are integers. */
static int check_weights(const cs_sketch *s, const double *weights, size_t n, int *whole) {
    uint64_t room = s->real ? 0 : CS_SKETCH_MOST - s->total.of.whole.count, sum = 0;
    double weight = cs_sketch_count(s) + cs_sketch_missing(s);
    int too_many = 0, far = 0;
    if (!s->real && s->missing.of.whole.count > s->total.of.whole.count)
        room = CS_SKETCH_MOST - s->missing.of.whole.count;
    *whole = 1;
    for (size_t i = 0; i < n; i++) {
        double w = weights[i];
        if (!(w >= 0.0 && w - w == 0.0)) return CS_SKETCH_BAD_WEIGHT;
        if (w != 0.0 && !(w >= 0x1p-400 && w <= 0x1p400)) far = 1;
        if (w != floor(w)) *whole = 0;
        weight += w;
        if (w > 0x1p53 || (sum += (uint64_t)w) > room) {
            too_many = 1;
            sum = room;
        }
    }
    if (*whole && !s->real) return too_many ? CS_SKETCH_FULL : CS_SKETCH_OK;
    return far ? CS_SKETCH_FAR_WEIGHT : weight > CS_SKETCH_MOST_WEIGHT ? CS_SKETCH_FULL : CS_SKETCH_OK;
}

int cs_sketch_add_many(cs_sketch *s, const double *x, const double *weights, size_t n, size_t *taken) {
    uint64_t held = s->real ? 0 : s->total.of.whole.count;
    int status, whole = 1;
    *taken = 0;
    if (weights) {
        status = check_weights(s, weights, n, &whole);
        if (status != CS_SKETCH_OK) return status;
        if (!whole) become_real(s);
    } else if (!s->real) {
        if (s->missing.of.whole.count > held) held = s->missing.of.whole.count;
        if (n > CS_SKETCH_MOST - held) return CS_SKETCH_FULL;
    }
    for (; *taken < n; ++*taken) {
        status = place(s, x[*taken], weights ? weights[*taken] : 1.0);
        if (status != CS_SKETCH_OK) return status;
    }
    return CS_SKETCH_OK;
}

int cs_sketch_add(cs_sketch *s, double x, double weight) {
    size_t taken;
    return cs_sketch_add_many(s, &x, &weight, 1, &taken);
}

/* Room for `cs_side_absorb` of n fine and so many coarse buckets. */
int cs_side_reserve(cs_sketch *s, cs_side *side, const cs_bucket *more, size_t n, size_t coarse) {
    const cs_buckets *fine = &side->fine;
    size_t new_fine = n < s->max_buckets ? n : s->max_buckets;
    uint32_t first, last;
    int status = cs_buckets_reserve(&side->fine, fine->count + new_fine, s->resize);
    if (status != CS_SKETCH_OK) return status;
    if (fine->count + n <= s->max_buckets)
        return coarse ? cs_buckets_reserve(&side->coarse, side->coarse.count + coarse, s->resize) : CS_SKETCH_OK;
    first = n ? more[0].key : fine->items[0].key;
    last = n ? more[n - 1].key : fine->items[0].key;
    if (fine->count && fine->items[0].key < first) first = fine->items[0].key;
    if (fine->count && fine->items[fine->count - 1].key > last) last = fine->items[fine->count - 1].key;
    return reserve_coarse(s, side, first, last, coarse);
}

/* Adds n fine buckets of ascending keys: the max_buckets outermost of both lists stay, the others collapse. */
void cs_side_absorb(cs_sketch *s, cs_side *side, const cs_bucket *more, size_t n) {
    cs_buckets *fine = &side->fine;
    size_t own = fine->count, others = n, kept = 0, first, first_other, end;
    while (kept < s->max_buckets && (own || others)) {
        int take_own = own && (!others || fine->items[own - 1].key >= more[others - 1].key);
        int take_other = others && (!own || more[others - 1].key >= fine->items[own - 1].key);
        own -= (size_t)take_own;
        others -= (size_t)take_other;
        kept++;
    }
    for (size_t i = 0; i < own; i++)
        cs_side_add_coarse(s, side, (uint32_t)cs_key_octave(&s->layout, fine->items[i].key), &fine->items[i].mass);
    for (size_t i = 0; i < others; i++)
        cs_side_add_coarse(s, side, (uint32_t)cs_key_octave(&s->layout, more[i].key), &more[i].mass);
    first = own;
    first_other = others;
    own = fine->count;
    others = n;
    /* Backwards in place: behind the items not yet read there is always room for those not yet written. */
    for (end = first + kept; others > first_other; end--) {
        cs_bucket *to = fine->items + end - 1;
        if (own > first && fine->items[own - 1].key >= more[others - 1].key) {
            cs_bucket bucket = fine->items[--own];
            if (bucket.key == more[others - 1].key) cs_mass_add(s->real, &bucket.mass, &more[--others].mass);
            *to = bucket;
        } else {
            *to = more[--others];
        }
    }
    if (first) memmove(fine->items, fine->items + first, kept * sizeof *fine->items);
    fine->count = kept;
}

int cs_sketch_merge(cs_sketch *s, cs_sketch *other) {
    cs_mass *to[] = {&s->missing, &s->below, &s->zero, &s->above, &s->total};
    cs_mass *from[] = {&other->missing, &other->below, &other->zero, &other->above, &other->total};
    int status;
    if (s->accuracy != other->accuracy || s->max_buckets != other->max_buckets) return CS_SKETCH_OTHER;
    if ((s->real || other->real) && cs_sketch_count(s) + cs_sketch_missing(s) + cs_sketch_count(other) +
                                            cs_sketch_missing(other) > CS_SKETCH_MOST_WEIGHT)
        return CS_SKETCH_FULL;
    if (s == other || s->real != other->real) {
        cs_sketch copy;
        status = cs_sketch_copy(&copy, other);
        if (status != CS_SKETCH_OK) return status;
        if (s->real) become_real(&copy);
        if (copy.real && !s->real) {
            status = cs_sketch_settle(s);
            if (status == CS_SKETCH_OK) become_real(s);
        }
        if (status == CS_SKETCH_OK) status = cs_sketch_merge(s, &copy);
        cs_sketch_clear(&copy);
        return status;
    }
    if (!s->real && (other->total.of.whole.count > CS_SKETCH_MOST - s->total.of.whole.count ||
                     other->missing.of.whole.count > CS_SKETCH_MOST - s->missing.of.whole.count))
        return CS_SKETCH_FULL;
    status = cs_sketch_settle(other);
    for (int i = 0; i < 2 && status == CS_SKETCH_OK; i++) {
        const cs_side *more = &other->side[i];
        status = cs_side_reserve(s, &s->side[i], more->fine.items, more->fine.count, more->coarse.count);
    }
    if (status != CS_SKETCH_OK) return status;
    for (int i = 0; i < 2; i++) {
        const cs_buckets *coarse = &other->side[i].coarse;
        cs_side_absorb(s, &s->side[i], other->side[i].fine.items, other->side[i].fine.count);
        for (size_t k = 0; k < coarse->count; k++)
            cs_side_add_coarse(s, &s->side[i], coarse->items[k].key, &coarse->items[k].mass);
    }
    for (size_t i = 0; i < sizeof to / sizeof *to; i++) cs_mass_add(s->real, to[i], from[i]);
    if (other->least < s->least) s->least = other->least;
    if (other->most > s->most) s->most = other->most;
    return CS_SKETCH_OK;
}
