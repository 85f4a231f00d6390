/* Brackets around a wanted rank: from a sample, from least outcomes of groups, from parts of a row that lies far away. */
#ifndef CS_BRACKETS_H
#define CS_BRACKETS_H

#include "passes.h"

#define CS_CACHED 262144     /* outcomes that a second-level cache holds */
#define CS_MINIMA_MOST 4096  /* longest row that is read twice for a bracket that cannot miss */
#define CS_GROUP 16384       /* of those a pass first reads a part of each group of so many */
#define CS_PART 512          /* doubles of such a part: a page */
#define CS_ROOM 256          /* doubles of scratch left for samples and bisection, whatever is kept */
#define CS_SAMPLE_MOST 16384 /* doubles of scratch that a sample may take */

/* ---- the bracket ------------------------------------------------------------------------------------------------ */

CS_INLINE uint64_t scramble(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* After a miss the places depend on where the outcomes lie in memory, which whoever made them did not know: the sample may
 * change the time, never the result. */
CS_INLINE uint64_t sample_seed(const cs_outcomes *x, unsigned attempt) {
    return attempt == 0 ? 0 : scramble((uint64_t)(uintptr_t)x->data + attempt);
}

/* Runs of eight neighbours, one at a random place in each of `runs` equal strata: a run costs one cache line, strata
 * make sorted and trending data harmless. */
static void outcomes_sample(const cs_outcomes *x, size_t runs, uint64_t seed, double *out) {
    size_t stratum = x->n / runs;
    vd flip = flip_lanes(x->flip);
    for (size_t r = 0; r < runs; r++) {
        uint64_t bits = scramble((seed << 32) + r + 1) >> 32;
        size_t i = r * stratum + (size_t)(bits * (stratum - 7) >> 32);
        for (size_t k = 0; k < 8; k += CS_LANES)
            vd_store(out + 8 * r + k, outcomes_load(x->data, x->is_f32, i + k, flip));
    }
}

/* Brackets the outcome that has `share` of all below it, `certainty` standard deviations wide; all below is kept when that
 * is at most the share `most_kept`. 0 if the sample, a whole number of vectors, holds NaN. */
static int sample_bracket(const double *sample, size_t size, double share, double certainty, double most_kept,
                          cs_bracket *bracket) {
    double least, most, expected = share * (double)size;
    double spread = certainty * sqrt(expected * (1.0 - share)) + 1.0, upper = expected + spread, lower = expected - spread;
    size_t slack = (size_t)(0.25 * spread);
    if (!buffer_range(sample, size, &least, &most)) return 0;
    bracket->low = -INFINITY;
    bracket->high = INFINITY;
    bracket->keep_below = bracket->keep_ties = 0;
    if (upper < (double)size) {
        size_t first = (size_t)upper + 1, below;
        bracket->high = buffer_threshold(sample, size, 0, least, most, first, first + slack);
        below = buffer_count_lt(sample, size, bracket->high);
        bracket->keep_below = upper < most_kept * (double)size && (double)below > expected + 0.5 * spread;
    }
    if (!bracket->keep_below && lower >= 2.0) {
        size_t last = (size_t)lower;
        bracket->low = buffer_threshold(sample, size, 0, least, most, slack < last ? last - slack : 1, last);
        if (bracket->low > bracket->high) bracket->low = bracket->high;
    }
    return 1;
}

/* Minima of CS_LANES * groups interleaved groups of outcomes. */
CS_INLINE void group_minima_of(const cs_outcomes *x, int is_f32, size_t groups, double *minima) {
    vd flip = flip_lanes(x->flip), least[8];
    size_t i = groups * CS_LANES, step = groups * CS_LANES;
    for (size_t k = 0; k < groups; k++) least[k] = outcomes_load(x->data, is_f32, k * CS_LANES, flip);
    while (i + step <= x->n) {
        size_t stop = x->next && x->n - i > CS_STRETCH ? i + CS_STRETCH : x->n;
        fetch_next_row(x->next);
        for (; i + step <= stop; i += step)
            for (size_t k = 0; k < groups; k++)
                least[k] = vd_min(outcomes_load(x->data, is_f32, i + k * CS_LANES, flip), least[k]);
    }
    for (size_t k = 0; k < groups; k++) vd_store(minima + k * CS_LANES, least[k]);
}

CS_INLINE void group_minima(const cs_outcomes *x, size_t groups, double *minima) {
#define GROUPS(g)                              \
    if (groups == g) {                         \
        if (x->is_f32)                         \
            group_minima_of(x, 1, g, minima);  \
        else                                   \
            group_minima_of(x, 0, g, minima);  \
    }
    GROUPS(1) else GROUPS(2) else GROUPS(4) else GROUPS(8)
#undef GROUPS
}

/* A short row with a small tail. Of groups' minima, at least `rank`, the rank-th smallest has at least `rank` outcomes at
 * or below it, and few more: a bracket that cannot miss, for one cheap pass more over a row in the first-level cache.
 * 0 if there are too few groups for the rank; -1 if the minima hold NaN. */
static int minima_bracket(const cs_outcomes *x, size_t rank, double *scratch, cs_bracket *bracket) {
    double least, most;
    size_t groups = 1;
    while (groups < 8 && 5 * groups * CS_LANES < 6 * rank) groups *= 2;
    if (groups * CS_LANES < rank || x->n < 4 * groups * CS_LANES || x->n > CS_MINIMA_MOST) return 0;
    group_minima(x, groups, scratch);
    fetch_next_row(x->next);
    if (!buffer_range(scratch, groups * CS_LANES, &least, &most)) return -1;
    bracket->low = -INFINITY;
    bracket->keep_ties = 0;
    fetch_next_row(x->next);
    /* A pass keeps what is below `high`, here up to and including the threshold. */
    most = buffer_threshold(scratch, groups * CS_LANES, 0, least, most, rank, rank + rank / 8);
    bracket->keep_below = most < INFINITY;
    bracket->high = bracket->keep_below ? key_double(double_key(most) + 1) : INFINITY;
    return 1;
}

static int outcomes_bracket(const cs_outcomes *x, size_t rank, unsigned attempt, double *scratch, size_t capacity,
                            cs_bracket *bracket) {
    size_t runs = 8, most_runs = capacity < CS_SAMPLE_MOST ? capacity / 8 : CS_SAMPLE_MOST / 8;
    int bracketed = attempt == 0 ? minima_bracket(x, rank, scratch, bracket) : 0;
    if (bracketed) return bracketed > 0;
    while (2 * runs <= most_runs && 16 * runs * runs < x->n) runs *= 2;
    for (unsigned k = 0; k < attempt && 2 * runs <= most_runs && 64 * runs < x->n; k++) runs *= 2;
    outcomes_sample(x, runs, sample_seed(x, attempt), scratch);
    /* In the caches keeping is cheap and makes what follows short; beyond them it would cost memory. */
    return sample_bracket(scratch, 8 * runs, (double)rank / (double)x->n, (attempt + 1) * (x->n > CS_LONG ? 3.5 : 2.0),
                          x->n <= CS_CACHED ? 0.55 : 0.2, bracket);
}

/* ---- one pass over a far row ------------------------------------------------------------------------------------ */

/* What the parts of a row have below some threshold. */
typedef struct {
    double *kept;
    size_t count, whole; /* whole: count down to a whole vector, for samples */
    double mean, excess; /* of the numbers in one part; how much more they vary than by chance */
} cs_parts;

/* Where the part of a group lies: at random, lest outcomes with a period show it always the same. */
CS_INLINE size_t part_place(size_t origin, size_t group) {
    return origin + group * CS_GROUP + (size_t)(scramble(group + 1) % (CS_GROUP / CS_PART)) * CS_PART;
}

static void parts_read(const cs_outcomes *x, size_t origin, size_t groups, double high, double *kept, cs_parts *parts) {
    size_t m = 0;
    double roughness = 0.0, last = 0.0, chance;
    for (size_t g = 0; g < groups; g++) {
        size_t at = part_place(origin, g), end = at + CS_PART, next = g + 1 < groups ? part_place(origin, g + 1) : 0;
        double count = -(double)m;
        m = keep_below(x, x->data, 0, at, end, end, next - end, high, kept, m);
        count += (double)m;
        /* Neighbours' differences: a trend along the row is no chance of where the parts lie. */
        if (g) roughness += (count - last) * (count - last);
        last = count;
    }
    parts->kept = kept;
    parts->count = m;
    parts->whole = m / CS_LANES * CS_LANES;
    parts->mean = (double)m / (double)groups;
    chance = 2.0 * (double)(groups - 1) * parts->mean * (1.0 - parts->mean / CS_PART);
    parts->excess = roughness > chance ? roughness / chance : 1.0;
}

/* Brackets a share of the row by its parts. Outcomes may be like their neighbours, which widens it. */
static int parts_bracket(const cs_parts *parts, double share, double most_kept, cs_bracket *bracket) {
    double inside = share * CS_PART / parts->mean;
    return parts->whole && inside < 1.0 &&
           sample_bracket(parts->kept, parts->whole, inside, 3.5 * sqrt(parts->excess * (1.0 - share) / (1.0 - inside)),
                          most_kept, bracket);
}

/* Whether the parts narrow a bracket: not if half of what they have would be ties, or if they differ too much. With a next
 * level what it needs must lie below. */
static int parts_narrow(const cs_parts *parts, double share, double next_share, cs_bracket *bracket, double *next_high) {
    cs_bracket narrow, next;
    if (!parts_bracket(parts, share, 0.0, &narrow) || narrow.low == -INFINITY || narrow.high == INFINITY) return 0;
    if (buffer_count_le(parts->kept, parts->whole, narrow.high) - buffer_count_lt(parts->kept, parts->whole, narrow.low) >
        parts->whole / 2)
        return 0;
    if (next_share > 0.0) {
        if (!parts_bracket(parts, next_share, 1.0, &next) || !next.keep_below || next.high > narrow.low) return 0;
        *next_high = next.high;
    }
    *bracket = narrow;
    bracket->keep_ties = 1;
    return 1;
}

/* The parts are read first, and what they have below the bracket narrows it. While the lines of the others are on their way,
 * what these have below the first bracket is summed or kept as a second pass would; what the next level needs goes to the
 * lower half of the scratch. Without a narrow bracket all below the first one is kept. */
static void pass_far(const cs_outcomes *x, size_t rank, size_t next_rank, cs_bracket *bracket, double **scratch,
                     size_t *capacity, cs_inner *inner, cs_pass *r) {
    double block[CS_PART + 2 * CS_SLACK], high = bracket->high, n = (double)x->n;
    size_t origin = (size_t)(-(uintptr_t)x->data & 4095) / 8, groups = (x->n - origin) / CS_GROUP, waiting = 0;
    cs_parts parts;
    int is_narrow, backward = end_is_nearer(x);
    memset(r, 0, sizeof *r);
    parts_read(x, origin, groups, high, *scratch, &parts);
    is_narrow = parts_narrow(&parts, (double)rank / n, (double)next_rank / n, bracket, &inner->high);
    if (is_narrow) {
        if (next_rank) {
            inner->kept = *scratch;
            *capacity /= 2;
            *scratch += *capacity;
        } else {
            inner = NULL;
        }
        buffer_band(parts.kept, parts.count, bracket, *scratch, *capacity - CS_ROOM, inner, r);
    } else {
        r->kept = parts.count;
    }
    for (size_t k = 0; k <= groups; k++) {
        size_t g = backward ? groups - k : k, from = g ? part_place(origin, g - 1) + CS_PART : 0;
        size_t end = g < groups ? part_place(origin, g) : x->n, gap = CS_PART;
        if (backward) gap = (g > 1 ? part_place(origin, g - 2) + CS_PART : 0) - end;
        for (size_t i = from, stop; i < end; i = stop) {
            stop = block_end(x->data, 0, i, end, is_narrow ? CS_PART : CS_BLOCK);
            if (CS_UNLIKELY(r->overflow || *capacity - CS_ROOM - r->kept < CS_BLOCK)) {
                r->overflow = 1;
                return;
            }
            if (is_narrow) {
                size_t whole;
                waiting = keep_below(x, x->data, 0, i, stop, end, gap, high, block, waiting);
                whole = waiting / CS_LANES * CS_LANES;
                buffer_band(block, whole, bracket, *scratch, *capacity - CS_ROOM, inner, r);
                waiting -= whole;
                memcpy(block, block + whole, waiting * sizeof *block);
            } else {
                r->kept = keep_below(x, x->data, 0, i, stop, end, gap, high, *scratch, r->kept);
            }
        }
    }
    if (is_narrow) buffer_band(block, waiting, bracket, *scratch, *capacity - CS_ROOM, inner, r);
}

#endif
