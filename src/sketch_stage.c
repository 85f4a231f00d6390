/* Many outcomes at once: counted in slots of their own, then folded into the sketch. See docs/sketch.md. */
#include "sketch.h"

#include "sketch_buckets.h"

/* Pages for about this many slots; an octave takes one page of each sign. */
#define STAGE_SLOTS ((size_t)1 << 16)
#define STAGE_FEWEST_PAGES 8
#define STAGE_MOST_ROOM ((size_t)1 << 20)
#define SIGNS_AND_EXPONENTS 4096

static size_t most_pages(const cs_stage *stage) {
    size_t most = STAGE_SLOTS / stage->layout->buckets;
    return most < STAGE_FEWEST_PAGES ? STAGE_FEWEST_PAGES : most;
}

static void free_pages(cs_stage *stage) {
    for (size_t i = 0; i < SIGNS_AND_EXPONENTS; i++) {
        if (stage->page_of[i]) stage->resize(stage->page_of[i], 0);
        stage->page_of[i] = NULL;
    }
    stage->pages = 0;
}

/* Pages stay, emptied, unless other octaves might need them. */
static void start_stage(cs_stage *stage) {
    stage->taken = stage->rest_count = 0;
    stage->zero = stage->below = stage->above = stage->missing = 0;
    stage->least = (double)INFINITY;
    stage->most = -(double)INFINITY;
    if (stage->pages == most_pages(stage)) free_pages(stage);
    for (size_t i = 0; stage->pages && i < SIGNS_AND_EXPONENTS; i++)
        if (stage->page_of[i]) memset(stage->page_of[i], 0, stage->layout->buckets * sizeof(cs_slot));
}

int cs_stage_init(cs_stage *stage, const cs_sketch *s, const cs_kernels *kernels) {
    const cs_layout *layout = &s->layout;
    uint32_t widest = 0;
    memset(stage, 0, sizeof *stage);
    stage->layout = layout;
    stage->kernels = kernels;
    stage->resize = s->resize;
    for (uint32_t i = 0; i < layout->buckets; i++) {
        uint32_t width = layout->edges[i + 1] - layout->edges[i];
        if (width > widest) widest = width;
    }
    /* So many significands less the edge of their bucket add up to less than 2^64. */
    stage->room = (size_t)1 << (64 - (52 - layout->bits) - cs_bit_length(widest));
    if (stage->room > STAGE_MOST_ROOM) stage->room = STAGE_MOST_ROOM;
    stage->page_of = s->resize(NULL, SIGNS_AND_EXPONENTS * sizeof *stage->page_of);
    if (!stage->page_of) return CS_SKETCH_NO_MEMORY;
    for (size_t i = 0; i < SIGNS_AND_EXPONENTS; i++) stage->page_of[i] = NULL;
    start_stage(stage);
    return CS_SKETCH_OK;
}

void cs_stage_clear(cs_stage *stage) {
    if (stage->page_of) {
        free_pages(stage);
        stage->resize(stage->page_of, 0);
    }
    memset(stage, 0, sizeof *stage);
}

/* A page for outcomes of this sign and exponent, NULL if there is no memory or there are enough. */
static cs_slot *new_page(cs_stage *stage, size_t sign_and_exponent) {
    size_t size = stage->layout->buckets * sizeof(cs_slot);
    cs_slot *page = stage->pages < most_pages(stage) ? stage->resize(NULL, size) : NULL;
    if (!page) return NULL;
    memset(page, 0, size);
    stage->pages++;
    stage->page_of[sign_and_exponent] = page;
    return page;
}

CS_INLINE void add_to_slot(cs_slot *page, uint32_t offset, uint64_t bits) {
    cs_slot *slot = (cs_slot *)((char *)page + offset);
    slot->count++;
    slot->bits += bits;
}

static void stage_one(cs_stage *stage, double x) {
    const cs_layout *layout = stage->layout;
    cs_slot *page;
    uint64_t bits;
    memcpy(&bits, &x, 8);
    page = stage->page_of[bits >> 52];
    if (!page && x - x == 0.0 && bits << 1 >> 53) page = new_page(stage, bits >> 52);
    if (page)
        add_to_slot(page, layout->offset_of_cell[(bits & 0xfffffffffffffu) >> (52 - layout->bits)], bits);
    else if (x == 0.0)
        stage->zero++;
    else if (x != x)
        stage->missing++;
    else if (x - x != 0.0 && x < 0.0)
        stage->below++;
    else if (x - x != 0.0)
        stage->above++;
    else
        stage->rest[stage->rest_count++] = x;
}

/* A slot counts outcomes and adds up their bits modulo 2^64: all share sign and exponent, and the bucket's edge times
 * the count is known, so that the sum of the significands can be recovered. Four outcomes at a time are looked up before
 * any is added, which hides the latency of the tables. */
size_t cs_stage_fill(cs_stage *stage, const double *x, size_t n) {
    const uint16_t *CS_RESTRICT offset_of_cell = stage->layout->offset_of_cell;
    cs_slot *const *const page_of = stage->page_of;
    const int shift = 52 - stage->layout->bits;
    const uint64_t mask = ((uint64_t)1 << stage->layout->bits) - 1;
    size_t done = 0;
    if (n > stage->room - stage->taken) n = stage->room - stage->taken;
    while (done < n && stage->rest_count < CS_STAGE_REST) {
        size_t block = n - done < 1024 ? n - done : 1024, i = 0, next;
        const double *values = x + done;
        while (i < block && stage->rest_count < CS_STAGE_REST) {
            for (; i + 4 <= block; i += 4) {
                cs_slot *page[4];
                uint64_t bits[4];
                memcpy(bits, values + i, sizeof bits);
                for (int k = 0; k < 4; k++) page[k] = page_of[bits[k] >> 52];
                if (CS_UNLIKELY(!page[0] || !page[1] || !page[2] || !page[3])) break;
                for (int k = 0; k < 4; k++) add_to_slot(page[k], offset_of_cell[bits[k] >> shift & mask], bits[k]);
            }
            next = i + 4 < block ? i + 4 : block;
            while (i < next && stage->rest_count < CS_STAGE_REST) stage_one(stage, values[i++]);
        }
        stage->kernels->extremes(values, i, &stage->least, &stage->most);
        done += i;
    }
    stage->taken += done;
    return done;
}

/* The mass of a slot: the sum of bits less that of as many lower edges is exact, see cs_stage_init. */
static cs_mass mass_of_slot(const cs_layout *layout, uint32_t sign_and_exponent, uint32_t bucket, const cs_slot *slot) {
    uint64_t edge = (uint64_t)layout->edges[bucket] << (52 - layout->bits);
    uint64_t edge_bits = (uint64_t)sign_and_exponent << 52 | (edge & 0xfffffffffffffu);
    cs_mass mass;
    mass.of.whole.count = slot->count;
    mass.of.whole.sum =
        cs_wide_add(cs_wide_product(edge, slot->count), cs_wide_of(slot->bits - slot->count * edge_bits));
    return mass;
}

/* Slots whose bucket the sketch has already are marked by this bit of their count. */
#define KNOWN ((uint64_t)1 << 63)

/* Marks them, or adds them to their buckets. */
static void visit_known(cs_sketch *s, cs_stage *stage, uint32_t sign, int add) {
    const cs_layout *layout = stage->layout;
    const cs_buckets *fine = &s->side[sign].fine;
    uint32_t octave = 0, first = 0;
    cs_slot *page = NULL;
    for (size_t i = 0; i < fine->count; i++) {
        uint32_t bucket = fine->items[i].key - first;
        cs_slot *slot;
        cs_mass mass;
        if (bucket >= layout->buckets) {
            octave = fine->items[i].key / layout->buckets;
            first = octave * layout->buckets;
            bucket = fine->items[i].key - first;
            page = octave > 52 ? stage->page_of[sign << 11 | (octave - 52)] : NULL;
        }
        if (!page || !page[bucket].count) continue;
        slot = page + bucket;
        if (!add) {
            slot->count |= KNOWN;
            continue;
        }
        slot->count &= ~KNOWN;
        mass = mass_of_slot(layout, sign << 11 | (octave - 52), bucket, slot);
        if (s->real) cs_mass_make_real(&mass);
        cs_mass_add(s->real, &fine->items[i].mass, &mass);
    }
}

/* What the pages of one sign hold beside: the outermost new buckets, as many as may be kept, and the octaves of the
 * others. */
typedef struct {
    cs_bucket *fine;
    size_t first, end;
    cs_buckets coarse;
    uint64_t count; /* with what is known */
} staged_side;

static int collect_side(const cs_sketch *s, const cs_stage *stage, uint32_t sign, staged_side *out) {
    const cs_layout *layout = stage->layout;
    const cs_buckets *fine = &s->side[sign].fine;
    uint32_t floor_key = fine->count >= s->max_buckets ? fine->items[fine->count - s->max_buckets].key : 0;
    size_t octaves = 0;
    int status;
    for (uint32_t field = 1; field < 2047; field++) octaves += stage->page_of[sign << 11 | field] != NULL;
    if (!octaves) return CS_SKETCH_OK;
    out->first = out->end = s->max_buckets < octaves * layout->buckets ? s->max_buckets : octaves * layout->buckets;
    out->fine = s->resize(NULL, out->end * sizeof *out->fine);
    status = out->fine ? cs_buckets_reserve(&out->coarse, octaves, s->resize) : CS_SKETCH_NO_MEMORY;
    for (uint32_t field = 2046; field > 0 && status == CS_SKETCH_OK; field--) {
        const cs_slot *slots = stage->page_of[sign << 11 | field];
        uint32_t key = (field + 52) * layout->buckets + layout->buckets;
        cs_mass mass, inside;
        memset(&inside, 0, sizeof inside);
        for (uint32_t bucket = slots ? layout->buckets : 0; bucket-- > 0;) {
            key--;
            if (!slots[bucket].count) continue;
            out->count += slots[bucket].count & ~KNOWN;
            if (slots[bucket].count & KNOWN) continue;
            mass = mass_of_slot(layout, sign << 11 | field, bucket, slots + bucket);
            if (out->first && key > floor_key) {
                out->fine[--out->first].key = key;
                out->fine[out->first].mass = mass;
            } else {
                cs_mass_add(0, &inside, &mass);
            }
        }
        if (inside.of.whole.count) {
            out->coarse.items[out->coarse.count].key = field + 52;
            out->coarse.items[out->coarse.count++].mass = inside;
        }
    }
    return status;
}

static void add_whole(cs_sketch *s, cs_mass *to, uint64_t count) {
    cs_mass mass;
    memset(&mass, 0, sizeof mass);
    mass.of.whole.count = count;
    if (s->real) cs_mass_make_real(&mass);
    cs_mass_add(s->real, to, &mass);
}

static void fold_side(cs_sketch *s, cs_stage *stage, uint32_t sign, staged_side *from) {
    cs_side *side = &s->side[sign];
    visit_known(s, stage, sign, 1);
    for (size_t i = from->first; s->real && i < from->end; i++) cs_mass_make_real(&from->fine[i].mass);
    for (size_t i = 0; s->real && i < from->coarse.count; i++) cs_mass_make_real(&from->coarse.items[i].mass);
    cs_side_absorb(s, side, from->fine + from->first, from->end - from->first);
    for (size_t i = 0; i < from->coarse.count; i++)
        cs_side_add_coarse(s, side, from->coarse.items[i].key, &from->coarse.items[i].mass);
    add_whole(s, &s->total, from->count);
}

int cs_sketch_fold(cs_sketch *s, cs_stage *stage) {
    staged_side sides[2];
    size_t taken;
    int status;
    memset(sides, 0, sizeof sides);
    if (!s->real && (stage->taken > CS_SKETCH_MOST - s->total.of.whole.count ||
                     stage->taken > CS_SKETCH_MOST - s->missing.of.whole.count))
        return CS_SKETCH_FULL;
    status = cs_sketch_add_many(s, stage->rest, NULL, stage->rest_count, &taken);
    stage->taken -= taken;
    stage->rest_count -= taken;
    memmove(stage->rest, stage->rest + taken, stage->rest_count * sizeof *stage->rest);
    for (uint32_t i = 0; i < 2 && status == CS_SKETCH_OK; i++) {
        visit_known(s, stage, i, 0);
        status = collect_side(s, stage, i, &sides[i]);
        if (status == CS_SKETCH_OK)
            status = cs_side_reserve(s, &s->side[i], sides[i].fine + sides[i].first, sides[i].end - sides[i].first,
                                       sides[i].coarse.count);
    }
    if (status == CS_SKETCH_OK) {
        for (uint32_t i = 0; i < 2; i++)
            if (sides[i].count) fold_side(s, stage, i, &sides[i]);
        add_whole(s, &s->total, stage->zero + stage->below + stage->above);
        add_whole(s, &s->zero, stage->zero);
        add_whole(s, &s->below, stage->below);
        add_whole(s, &s->above, stage->above);
        add_whole(s, &s->missing, stage->missing);
        if (stage->least < s->least) s->least = stage->least + 0.0;
        if (stage->most > s->most) s->most = stage->most + 0.0;
        start_stage(stage);
    }
    for (int i = 0; i < 2; i++) {
        if (sides[i].fine) s->resize(sides[i].fine, 0);
        if (sides[i].coarse.items) s->resize(sides[i].coarse.items, 0);
    }
    return status;
}
