/* The sketch without Python: arithmetic of 128 bits, buckets, staging, merging, memory that runs out, bytes. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "rational.h"
#include "sketch.h"
#include "sketch_buckets.h"

/* Memory that is counted, and runs out after a number of requests. */
static long requests_left = -1, blocks_held;

static void *resize(void *block, size_t size) {
    if (size == 0) {
        free(block);
        blocks_held--;
        return NULL;
    }
    if (requests_left == 0) return NULL;
    if (requests_left > 0) requests_left--;
    if (!block) blocks_held++;
    return realloc(block, size);
}

static unsigned_wide wide_value(cs_wide a) { return (unsigned_wide)a.high << 64 | a.low; }

static cs_wide random_wide(void) {
    cs_wide w = {random_bits() >> random_below(64), random_below(2) ? random_bits() >> random_below(64) : 0};
    return w;
}

static void test_arithmetic_of_128_bits(void) {
    for (int round = 0; round < 100000; round++) {
        cs_wide a = random_wide(), b = random_wide();
        uint64_t d = (random_bits() >> random_below(63)) + 1, remainder, quotient;
        int shift = (int)random_below(128);
        unsigned_wide x = wide_value(a), y = wide_value(b);
        CHECK(wide_value(cs_wide_add(a, b)) == x + y);
        CHECK(wide_value(cs_wide_subtract(a, b)) == x - y);
        CHECK(cs_wide_less(a, b) == (x < y));
        CHECK(wide_value(cs_wide_product(a.low, b.low)) == (unsigned_wide)a.low * b.low);
        CHECK(wide_value(cs_wide_shift_right(a, shift)) == x >> shift);
        if (a.high < d) {
            quotient = cs_wide_divide(a, d, &remainder);
            CHECK(quotient == (uint64_t)(x / d) && remainder == (uint64_t)(x % d));
        }
        CHECK(cs_bit_length(a.low) == (a.low ? 64 - __builtin_clzll(a.low) : 0));
        if (x >> 106 == 0) {
            cs_pair p = cs_pair_of_wide(a);
            CHECK((wide)p.hi + (wide)p.lo == (wide)x && p.hi + p.lo == p.hi);
        }
    }
}

static double random_double(void) {
    double x;
    uint64_t bits;
    do {
        bits = random_bits();
        if (random_below(3) == 0) bits &= 0x800fffffffffffffu; /* subnormal */
        memcpy(&x, &bits, 8);
    } while (x - x != 0.0);
    return x;
}

static double moderate(void) {
    double u = (double)(random_bits() >> 11) * 0x1p-53 - 0.5;
    return u / (0.5000001 - fabs(u));
}

static void test_every_double_lies_between_the_edges_of_its_bucket(void) {
    static const double accuracies[] = {0.0001, 0.0003, 0.001, 0.02, 0.25};
    for (size_t a = 0; a < sizeof accuracies / sizeof *accuracies; a++) {
        cs_sketch s;
        CHECK(cs_sketch_init(&s, accuracies[a], 10, resize) == CS_SKETCH_OK);
        for (int round = 0; round < 20000; round++) {
            double x = fabs(random_double());
            uint64_t significand, from, to;
            uint32_t key;
            int octave;
            if (x == 0.0) continue;
            octave = cs_octave_of(cs_magnitude_bits(x), &significand);
            CHECK(octave >= 1 && octave <= CS_SKETCH_OCTAVES);
            CHECK(ldexp((double)significand, cs_octave_unit(octave)) == x);
            key = (uint32_t)octave * s.layout.buckets + cs_bucket_of(&s.layout, octave, significand);
            from = cs_fine_from(&s.layout, key);
            to = cs_fine_to(&s.layout, key);
            CHECK(cs_key_octave(&s.layout, key) == octave);
            CHECK(from <= significand && significand < to);
            /* The harmonic mean of the ends is within the accuracy of both. */
            CHECK((double)(to - 1 - from) <= accuracies[a] * (double)(to - 1 + from) * (1 + 0x1p-50));
        }
        cs_sketch_clear(&s);
    }
    CHECK(blocks_held == 0);
}

static uint8_t *encode(cs_sketch *s, size_t *size) {
    uint8_t *bytes;
    CHECK(cs_sketch_encode(s, NULL, 0, size) == CS_SKETCH_OK);
    bytes = malloc(*size);
    CHECK(cs_sketch_encode(s, bytes, *size, size) == CS_SKETCH_OK);
    return bytes;
}

static int are_equal(cs_sketch *a, cs_sketch *b) {
    size_t n, m;
    uint8_t *x = encode(a, &n), *y = encode(b, &m);
    int equal = n == m && memcmp(x, y, n) == 0;
    free(x);
    free(y);
    return equal;
}

static int stage_all(cs_sketch *s, const double *x, size_t n) {
    cs_stage stage;
    int status = cs_stage_init(&stage, s, cs_active());
    for (size_t done = 0; done < n && status == CS_SKETCH_OK;) {
        done += cs_stage_fill(&stage, x + done, n - done);
        status = cs_sketch_fold(s, &stage);
    }
    if (stage.page_of) cs_stage_clear(&stage);
    return status;
}

enum { N = 6000 };
static double outcomes[N];

static void fill_outcomes(int wide_range) {
    for (size_t i = 0; i < N; i++) outcomes[i] = wide_range ? random_double() : moderate();
    outcomes[5] = 0.0;
    outcomes[6] = -0.0;
    outcomes[7] = INFINITY;
    outcomes[8] = -INFINITY;
    outcomes[9] = NAN;
}

static void test_staging_and_merging_give_the_state_of_adding(void) {
    static const struct {
        double accuracy;
        size_t max_buckets;
    } shapes[] = {{0.001, 2048}, {0.001, 100}, {0.25, 1}, {0.0001, 3}, {0.1, 100000}};
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
        for (int wide_range = 0; wide_range < 2; wide_range++) {
            cs_sketch added, staged, parts[3];
            size_t taken;
            fill_outcomes(wide_range);
            CHECK(cs_sketch_init(&added, shapes[k].accuracy, shapes[k].max_buckets, resize) == CS_SKETCH_OK);
            CHECK(cs_sketch_init(&staged, shapes[k].accuracy, shapes[k].max_buckets, resize) == CS_SKETCH_OK);
            CHECK(cs_sketch_add_many(&added, outcomes, NULL, N, &taken) == CS_SKETCH_OK && taken == N);
            CHECK(stage_all(&staged, outcomes, N / 2) == CS_SKETCH_OK);
            CHECK(stage_all(&staged, outcomes + N / 2, N - N / 2) == CS_SKETCH_OK);
            CHECK(are_equal(&added, &staged));
            for (int i = 0; i < 3; i++) {
                CHECK(cs_sketch_init(&parts[i], shapes[k].accuracy, shapes[k].max_buckets, resize) == CS_SKETCH_OK);
                CHECK(stage_all(&parts[i], outcomes + i * (N / 3), N / 3) == CS_SKETCH_OK);
            }
            CHECK(cs_sketch_merge(&parts[2], &parts[0]) == CS_SKETCH_OK);
            CHECK(cs_sketch_merge(&parts[1], &parts[2]) == CS_SKETCH_OK);
            CHECK(are_equal(&added, &parts[1]));
            for (int i = 0; i < 3; i++) cs_sketch_clear(&parts[i]);
            cs_sketch_clear(&added);
            cs_sketch_clear(&staged);
        }
    }
    CHECK(blocks_held == 0);
}

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void test_bounds_hold_the_exact_quotient(void) {
    for (int round = 0; round < 300; round++) {
        double x[40], level = (double)random_below(40) / 40;
        size_t n = 1 + random_below(40), count, taken;
        int64_t sum = 0;
        cs_sketch s;
        cs_estimate e;
        /* Whole numbers, so that integers can check. */
        for (size_t i = 0; i < n; i++) x[i] = (double)random_below(2000) - 1000;
        CHECK(cs_sketch_init(&s, 0.2, 1 + random_below(5), resize) == CS_SKETCH_OK);
        CHECK(cs_sketch_add_many(&s, x, NULL, n, &taken) == CS_SKETCH_OK);
        qsort(x, n, sizeof *x, ascending);
        /* n (1 - level) in fortieths. */
        count = (size_t)((double)n * (40 - level * 40) + 0.5);
        for (size_t i = 0; i < n && 40 * i < count; i++) {
            size_t share = count - 40 * i < 40 ? count - 40 * i : 40;
            sum += (int64_t)x[i] * (int64_t)share;
        }
        CHECK(cs_sketch_tail(&s, level, 0, &e) == CS_SKETCH_OK);
        {
            double exact = -(double)sum / (double)count, slack = 1e-9 * fabs(exact) + 1e-12;
            size_t rank = (count + 39) / 40;
            CHECK(e.es_low <= exact + slack && exact <= e.es_high + slack);
            CHECK(e.es_low <= e.es && e.es <= e.es_high);
            CHECK(e.var_low <= -x[rank - 1] && -x[rank - 1] <= e.var_high);
        }
        cs_sketch_clear(&s);
    }
    CHECK(blocks_held == 0);
}

static void test_whole_weights_are_repetitions_and_limited(void) {
    cs_sketch a, b;
    size_t taken;
    double x[3] = {-1.5, 2.5, 1e300}, weights[3] = {3, 1, 2}, twice[6] = {-1.5, -1.5, -1.5, 2.5, 1e300, 1e300};
    CHECK(cs_sketch_init(&a, 0.01, 10, resize) == CS_SKETCH_OK && cs_sketch_init(&b, 0.01, 10, resize) == CS_SKETCH_OK);
    CHECK(cs_sketch_add_many(&a, x, weights, 3, &taken) == CS_SKETCH_OK);
    CHECK(cs_sketch_add_many(&b, twice, NULL, 6, &taken) == CS_SKETCH_OK);
    CHECK(are_equal(&a, &b));
    CHECK(cs_sketch_add(&a, 1.0, 0x1p53) == CS_SKETCH_FULL && cs_sketch_add(&a, 1.0, 0x1p53 - 5) == CS_SKETCH_FULL);
    CHECK(cs_sketch_add(&a, 1.0, -1.0) == CS_SKETCH_BAD_WEIGHT && cs_sketch_add(&a, 1.0, NAN) == CS_SKETCH_BAD_WEIGHT);
    CHECK(cs_sketch_add(&a, 1.0, 0x1p-500) == CS_SKETCH_FAR_WEIGHT);
    CHECK(are_equal(&a, &b));
    CHECK(cs_sketch_add(&a, 1.0, 0x1p53 - 6) == CS_SKETCH_OK && cs_sketch_count(&a) == 0x1p53);
    CHECK(cs_sketch_merge(&a, &b) == CS_SKETCH_FULL && cs_sketch_count(&a) == 0x1p53);
    cs_sketch_clear(&a);
    cs_sketch_clear(&b);
}

static void test_weights_as_pairs_of_doubles(void) {
    cs_sketch a, b;
    cs_estimate e;
    size_t taken;
    double x[4] = {-4.0, -2.0, 1.0, 8.0}, weights[4] = {0.5, 0.25, 0.75, 0.5};
    CHECK(cs_sketch_init(&a, 0.01, 10, resize) == CS_SKETCH_OK && cs_sketch_init(&b, 0.01, 10, resize) == CS_SKETCH_OK);
    CHECK(cs_sketch_add_many(&a, x, weights, 4, &taken) == CS_SKETCH_OK && cs_sketch_count(&a) == 2.0);
    CHECK(cs_sketch_tail(&a, 0.625, 0, &e) == CS_SKETCH_OK);
    /* The worst 0.75: 0.5 of -4 and 0.25 of -2. */
    CHECK(fabs(e.es - 2.5 / 0.75) < 1e-14 && e.es_low <= 2.5 / 0.75 && 2.5 / 0.75 <= e.es_high);
    CHECK(cs_sketch_sum(&a) == 2.25);
    CHECK(stage_all(&b, x, 4) == CS_SKETCH_OK && cs_sketch_merge(&b, &a) == CS_SKETCH_OK && b.real);
    CHECK(stage_all(&a, x, 4) == CS_SKETCH_OK && are_equal(&a, &b));
    cs_sketch_clear(&a);
    cs_sketch_clear(&b);
    CHECK(blocks_held == 0);
}

/* Every request for memory fails once: nothing changes but that some of many outcomes may have come in. */
static void test_memory_that_runs_out(void) {
    for (int kind = 0; kind < 6; kind++) {
        int status = CS_SKETCH_NO_MEMORY;
        for (long allowed = 0; status != CS_SKETCH_OK; allowed++) {
            cs_sketch s, other, before, made;
            size_t taken, size;
            uint8_t *bytes;
            fill_outcomes(0);
            CHECK(cs_sketch_init(&s, 0.01, 50, resize) == CS_SKETCH_OK);
            CHECK(cs_sketch_init(&other, 0.01, 50, resize) == CS_SKETCH_OK);
            CHECK(cs_sketch_add_many(&s, outcomes, NULL, 30, &taken) == CS_SKETCH_OK);
            CHECK(cs_sketch_add_many(&other, outcomes + 30, NULL, 2000, &taken) == CS_SKETCH_OK);
            CHECK(cs_sketch_copy(&before, &s) == CS_SKETCH_OK);
            bytes = encode(&other, &size);
            requests_left = allowed;
            if (kind == 0) status = cs_sketch_merge(&s, &other);
            if (kind == 1) status = stage_all(&s, outcomes, N);
            if (kind == 2) status = cs_sketch_init(&made, 0.01, 50, resize);
            if (kind == 3) status = cs_sketch_copy(&made, &other);
            if (kind == 4) status = cs_sketch_decode(&made, bytes, size, resize);
            if (kind == 5) status = cs_sketch_add_many(&s, outcomes, NULL, N, &taken);
            requests_left = -1;
            CHECK(status == CS_SKETCH_OK || status == CS_SKETCH_NO_MEMORY);
            if (kind >= 2 && kind <= 4 && status == CS_SKETCH_OK) cs_sketch_clear(&made);
            if (kind == 5) {
                size_t ignored;
                CHECK(cs_sketch_add_many(&before, outcomes, NULL, taken, &ignored) == CS_SKETCH_OK);
            }
            if (status != CS_SKETCH_OK && kind != 1) CHECK(are_equal(&s, &before));
            free(bytes);
            bytes = encode(&s, &size);
            CHECK(cs_sketch_decode(&made, bytes, size, resize) == CS_SKETCH_OK);
            cs_sketch_clear(&made);
            free(bytes);
            cs_sketch_clear(&s);
            cs_sketch_clear(&other);
            cs_sketch_clear(&before);
            CHECK(blocks_held == 0);
        }
    }
}

static void test_bytes_come_back_and_prefixes_do_not(void) {
    for (int kind = 0; kind < 3; kind++) {
        cs_sketch s, again;
        size_t size, taken;
        uint8_t *bytes;
        double weights[N];
        fill_outcomes(kind == 1);
        for (size_t i = 0; i < N; i++) weights[i] = (double)(1 + i % 7) * 0.1;
        CHECK(cs_sketch_init(&s, 0.01, 20, resize) == CS_SKETCH_OK);
        CHECK(cs_sketch_add_many(&s, outcomes, kind == 2 ? weights : NULL, N, &taken) == CS_SKETCH_OK);
        bytes = encode(&s, &size);
        CHECK(cs_sketch_decode(&again, bytes, size, resize) == CS_SKETCH_OK && are_equal(&s, &again));
        cs_sketch_clear(&again);
        for (size_t n = 0; n < size; n++) {
            /* A block of its own, so that the sanitizer sees reading beyond it. */
            uint8_t *prefix = malloc(n ? n : 1);
            memcpy(prefix, bytes, n);
            CHECK(cs_sketch_decode(&again, prefix, n, resize) == CS_SKETCH_TRUNCATED);
            free(prefix);
        }
        bytes[size / 2] ^= 4;
        CHECK(cs_sketch_decode(&again, bytes, size, resize) == CS_SKETCH_BAD_CHECKSUM);
        bytes[4] = 9;
        CHECK(cs_sketch_decode(&again, bytes, size, resize) == CS_SKETCH_OTHER_VERSION);
        bytes[0] = 'C';
        CHECK(cs_sketch_decode(&again, bytes, size, resize) == CS_SKETCH_NOT_A_SKETCH);
        free(bytes);
        cs_sketch_clear(&s);
    }
    CHECK(blocks_held == 0);
}

static void test_parameters_have_domains(void) {
    cs_sketch s, t;
    CHECK(cs_sketch_init(&s, 0.3, 10, resize) == CS_SKETCH_BAD_ACCURACY);
    CHECK(cs_sketch_init(&s, NAN, 10, resize) == CS_SKETCH_BAD_ACCURACY);
    CHECK(cs_sketch_init(&s, 0.1, 0, resize) == CS_SKETCH_BAD_MAX_BUCKETS);
    CHECK(cs_sketch_init(&s, 0.1, CS_SKETCH_MOST_BUCKETS + 1, resize) == CS_SKETCH_BAD_MAX_BUCKETS);
    CHECK(cs_sketch_init(&s, 0.1, 10, resize) == CS_SKETCH_OK && cs_sketch_init(&t, 0.1, 11, resize) == CS_SKETCH_OK);
    CHECK(cs_sketch_merge(&s, &t) == CS_SKETCH_OTHER);
    cs_sketch_clear(&s);
    cs_sketch_clear(&t);
}

int main(void) {
    RUN(test_arithmetic_of_128_bits);
    RUN(test_every_double_lies_between_the_edges_of_its_bucket);
    RUN(test_staging_and_merging_give_the_state_of_adding);
    RUN(test_bounds_hold_the_exact_quotient);
    RUN(test_whole_weights_are_repetitions_and_limited);
    RUN(test_weights_as_pairs_of_doubles);
    RUN(test_memory_that_runs_out);
    RUN(test_bytes_come_back_and_prefixes_do_not);
    RUN(test_parameters_have_domains);
    return report();
}
