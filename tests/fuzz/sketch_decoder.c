/* libFuzzer target for cs_sketch_decode: hostile bytes are refused, or they are a sketch's one encoding and every
 * question has an answer. Inputs are tried as they are and again with the size and checksum they should have, which no
 * mutation would hit. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sketch.h"

#define REQUIRE(condition) \
    do {                   \
        if (!(condition)) abort(); \
    } while (0)

/* Memory held, and how much the input may make the decoder ask for. */
static size_t held, allowed;

static void *resize(void *block, size_t size) {
    size_t *old = block ? (size_t *)block - 2 : NULL, *fresh;
    held -= old ? *old : 0;
    held += size;
    if (size == 0) {
        free(old);
        return NULL;
    }
    REQUIRE(held <= allowed);
    fresh = realloc(old, size + 2 * sizeof *fresh);
    REQUIRE(fresh != NULL);
    *fresh = size;
    return fresh + 2;
}

static uint32_t crc32_of(const uint8_t *bytes, size_t size) {
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc;
}

static void put_word(uint8_t *out, uint32_t value) {
    for (int i = 0; i < 4; i++) out[i] = (uint8_t)(value >> 8 * i);
}

static void question(cs_sketch *s) {
    static const double levels[] = {0.0, 0.5, 0.975, 0.9999999};
    cs_sketch twice;
    cs_estimate e;
    double q;
    for (int i = 0; i < 8; i++) {
        REQUIRE(cs_sketch_tail(s, levels[i / 2], i % 2, &e) == CS_SKETCH_OK);
        REQUIRE(!(e.es_low > e.es_high) && !(e.var_low > e.var_high));
        REQUIRE(isnan(e.es) || (e.es_low <= e.es && e.es <= e.es_high));
        REQUIRE(isnan(e.var) || (e.var_low <= e.var && e.var <= e.var_high));
        REQUIRE(cs_sketch_quantile(s, levels[i / 2], &q) == CS_SKETCH_OK);
        REQUIRE(isnan(q) || (s->least <= q && q <= s->most));
    }
    (void)cs_sketch_sum(s);
    (void)cs_sketch_collapsed(s);
    REQUIRE(cs_sketch_copy(&twice, s) == CS_SKETCH_OK);
    if (cs_sketch_count(s) <= 0x1p52 && cs_sketch_missing(s) <= 0x1p52) {
        REQUIRE(cs_sketch_merge(&twice, s) == CS_SKETCH_OK);
        REQUIRE(cs_sketch_count(&twice) == 2.0 * cs_sketch_count(s));
        REQUIRE(cs_sketch_add(&twice, -3.5, 1.0) == CS_SKETCH_OK || cs_sketch_count(s) > 0x1p51);
    }
    cs_sketch_clear(&twice);
}

static void decode(const uint8_t *bytes, size_t size) {
    cs_sketch s;
    size_t again;
    uint8_t *out;
    /* The layout of the finest accuracy, and at most three bits of input for each bucket of 40 bytes, half as many
     * again because lists grow in steps. */
    allowed = ((size_t)1 << 20) + 200 * size;
    if (cs_sketch_decode(&s, bytes, size, resize) != CS_SKETCH_OK) {
        REQUIRE(held == 0);
        return;
    }
    REQUIRE(cs_sketch_encode(&s, NULL, 0, &again) == CS_SKETCH_OK && again == size);
    out = malloc(size);
    REQUIRE(cs_sketch_encode(&s, out, size, &again) == CS_SKETCH_OK && again == size && memcmp(out, bytes, size) == 0);
    free(out);
    allowed = SIZE_MAX;
    question(&s);
    cs_sketch_clear(&s);
    REQUIRE(held == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    uint8_t *sealed;
    decode(bytes, size);
    if (size < 28) return 0;
    sealed = malloc(size);
    memcpy(sealed, bytes, size);
    put_word(sealed + 20, (uint32_t)size);
    put_word(sealed + size - 4, crc32_of(sealed, size - 4));
    decode(sealed, size);
    free(sealed);
    return 0;
}
