/* Sketches as bytes and back. docs/sketch.md specifies the format.
 *
 * A state has exactly one encoding: the decoder accepts nothing else, so that what it accepts encodes to the same
 * bytes. It reads hostile bytes safely: memory is asked for only in proportion to the bytes that are there. */
#include "sketch.h"

#include "sketch_buckets.h"

static const uint8_t MAGIC[4] = {'c', 's', 'T', 'S'};

#define HEADER_SIZE 24
#define CHECKSUM_SIZE 4

/* CRC-32 as in zlib and PNG. */
static uint32_t checksum_of(const uint8_t *bytes, size_t size) {
    static const uint32_t table[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
                                       0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                       0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < size; i++) {
        crc = table[(crc ^ bytes[i]) & 15] ^ crc >> 4;
        crc = table[(crc ^ (uint32_t)bytes[i] >> 4) & 15] ^ crc >> 4;
    }
    return ~crc;
}

static void store_bytes(uint8_t *out, uint64_t value, int size) {
    for (int i = 0; i < size; i++) out[i] = (uint8_t)(value >> 8 * i);
}

static uint64_t load_bytes(const uint8_t *bytes, int size) {
    uint64_t value = 0;
    for (int i = 0; i < size; i++) value |= (uint64_t)bytes[i] << 8 * i;
    return value;
}

static uint64_t bits_of(double x) {
    uint64_t bits;
    memcpy(&bits, &x, 8);
    return bits;
}

static double double_of(uint64_t bits) {
    double x;
    memcpy(&x, &bits, 8);
    return x;
}

/* Bits from the least significant end of each byte on; without memory they are only counted. */
typedef struct {
    uint8_t *out;
    size_t capacity, bits;
} writer;

static void put(writer *w, uint64_t value, int count) {
    for (int done = 0; done < count;) {
        size_t byte = w->bits >> 3;
        int offset = (int)(w->bits & 7), part = 8 - offset < count - done ? 8 - offset : count - done;
        uint8_t piece = (uint8_t)((value >> done & (((uint64_t)1 << part) - 1)) << offset);
        if (byte < w->capacity) w->out[byte] = offset ? w->out[byte] | piece : piece;
        done += part;
        w->bits += (size_t)part;
    }
}

/* Elias gamma for values from 1 on: as many ones as bits follow the leading one, a zero, those bits. */
static void put_gamma(writer *w, uint64_t value) {
    int length = cs_bit_length(value) - 1;
    put(w, ~(uint64_t)0, length);
    put(w, 0, 1);
    put(w, value, length);
}

/* Golomb-Rice with k low bits; a quotient of RICE_ESCAPE or more is announced by as many ones, all bits follow. */
#define RICE_ESCAPE 24

static void put_rice(writer *w, cs_wide value, int k) {
    cs_wide quotient = cs_wide_shift_right(value, k);
    if (quotient.high || quotient.low >= RICE_ESCAPE) {
        put(w, ~(uint64_t)0, RICE_ESCAPE);
        put(w, value.low, 64);
        put(w, value.high, 64);
        return;
    }
    put(w, ~(uint64_t)0, (int)quotient.low);
    put(w, 0, 1);
    put(w, value.low, k < 64 ? k : 64);
    if (k > 64) put(w, value.high, k - 64);
}

/* Differences of either sign as 0, -1, 1, -2, ... */
static cs_wide zigzag(cs_wide value, cs_wide centre) {
    int negative = cs_wide_less(value, centre);
    cs_wide distance = negative ? cs_wide_subtract(centre, value) : cs_wide_subtract(value, centre);
    distance = cs_wide_add(distance, distance);
    return negative ? cs_wide_subtract(distance, cs_wide_of(1)) : distance;
}

typedef struct {
    const uint8_t *bytes;
    size_t size, at; /* bits */
    int failed;
} reader;

static uint64_t get(reader *r, int count) {
    uint64_t value = 0;
    if (r->failed || (size_t)count > r->size - r->at) {
        r->failed = 1;
        return 0;
    }
    for (int done = 0; done < count;) {
        int offset = (int)(r->at & 7), part = 8 - offset < count - done ? 8 - offset : count - done;
        value |= ((uint64_t)r->bytes[r->at >> 3] >> offset & (((uint64_t)1 << part) - 1)) << done;
        done += part;
        r->at += (size_t)part;
    }
    return value;
}

/* The number of ones before the next zero, at most `most` of which are read. */
static int get_ones(reader *r, int most) {
    int ones = 0;
    while (ones < most && get(r, 1)) ones++;
    return ones;
}

static uint64_t get_gamma(reader *r) {
    int length = get_ones(r, 64);
    if (length == 64) r->failed = 1;
    return r->failed ? 1 : (uint64_t)1 << length | get(r, length);
}

static cs_wide get_rice(reader *r, int k) {
    int quotient = get_ones(r, RICE_ESCAPE);
    cs_wide value = {0, 0}, shifted;
    if (quotient == RICE_ESCAPE) {
        value.low = get(r, 64);
        value.high = get(r, 64);
        shifted = cs_wide_shift_right(value, k);
        if (!shifted.high && shifted.low < RICE_ESCAPE) r->failed = 1;
        return value;
    }
    if (k < 64) {
        value.low = get(r, k);
        shifted = cs_wide_product((uint64_t)quotient, (uint64_t)1 << k);
    } else {
        value.low = get(r, 64);
        value.high = get(r, k - 64);
        shifted = cs_wide_of(0);
        shifted.high = (uint64_t)quotient << (k - 64);
    }
    return cs_wide_add(value, shifted);
}

/* Fails where the value would be negative or exceed 2^127. */
static cs_wide from_zigzag(reader *r, cs_wide code, cs_wide centre) {
    int negative = (int)(code.low & 1);
    cs_wide distance = cs_wide_shift_right(code, 1);
    if (!negative) return cs_wide_add(centre, distance);
    distance = cs_wide_add(distance, cs_wide_of(1));
    if (cs_wide_less(centre, distance)) r->failed = 1;
    return cs_wide_subtract(centre, distance);
}

/* What is expected of a bucket, from its neighbour further out: the outermost expects one outcome in one cell. */
typedef struct {
    uint64_t count, width;
} expectation;

static uint64_t expected_count(const expectation *last, uint64_t width) {
    uint64_t count = last->count / last->width * width + last->count % last->width * width / last->width;
    return count ? count : 1;
}

/* Low bits of the code for the sum of `count` significands in a range of `width`: about the spread of such sums if the
 * bucket is narrow, all of them if it is an octave. */
static int sum_bits(uint64_t count, uint64_t width, int coarse) {
    int bits = cs_bit_length(width) + (coarse ? cs_bit_length(count) : cs_bit_length(count) / 2 - 2);
    return bits < 0 ? 0 : bits;
}

/* The sum of significands is told as its distance from that of as many in the middle of the range. */
static cs_wide middle_sum(uint64_t count, uint64_t from, uint64_t width) {
    return cs_wide_add(cs_wide_product(count, from), cs_wide_shift_right(cs_wide_product(count, width - 1), 1));
}

static void put_pair(writer *w, cs_pair pair) {
    put(w, bits_of(pair.hi), 64);
    put(w, bits_of(pair.lo), 64);
}

static void put_single(writer *w, int real, const cs_mass *mass) {
    if (real)
        put_pair(w, mass->of.real.weight);
    else
        put_gamma(w, mass->of.whole.count + 1);
}

/* The range of significands of a bucket: [*from, *to), and its width in cells, which predicts counts. */
static void range_of(const cs_sketch *s, const cs_side *side, uint32_t key, int coarse, uint64_t *from, uint64_t *to,
                     uint64_t *cells) {
    const cs_layout *layout = &s->layout;
    *from = coarse ? cs_coarse_from(layout, key) : cs_fine_from(layout, key);
    *to = coarse ? cs_coarse_to(layout, side, key) : cs_fine_to(layout, key);
    *cells = coarse ? 1 : layout->edges[key % layout->buckets + 1] - layout->edges[key % layout->buckets];
}

static void put_buckets(writer *w, const cs_sketch *s, const cs_side *side, int coarse) {
    const cs_buckets *list = coarse ? &side->coarse : &side->fine;
    uint64_t key = coarse ? CS_SKETCH_OCTAVES + 1 : (uint64_t)(CS_SKETCH_OCTAVES + 1) * s->layout.buckets;
    expectation last = {1, 1};
    put_gamma(w, list->count + 1);
    for (size_t i = list->count; i-- > 0;) {
        const cs_bucket *bucket = list->items + i;
        uint64_t from, to, cells, count;
        put_gamma(w, key - bucket->key);
        key = bucket->key;
        if (s->real) {
            put_pair(w, bucket->mass.of.real.weight);
            put_pair(w, bucket->mass.of.real.sum);
            continue;
        }
        range_of(s, side, bucket->key, coarse, &from, &to, &cells);
        count = bucket->mass.of.whole.count;
        put_rice(w, zigzag(cs_wide_of(count), cs_wide_of(expected_count(&last, cells))), cs_bit_length(last.count) / 2);
        put_rice(w, zigzag(bucket->mass.of.whole.sum, middle_sum(count, from, to - from)),
                 sum_bits(count, to - from, coarse));
        last.count = count;
        last.width = cells;
    }
}

static void put_state(writer *w, const cs_sketch *s) {
    const cs_mass *single[] = {&s->missing, &s->below, &s->zero, &s->above};
    for (size_t i = 0; i < sizeof single / sizeof *single; i++) put_single(w, s->real, single[i]);
    if (s->real) put_pair(w, s->total.of.real.weight);
    for (int i = 0; i < 2; i++) {
        put_buckets(w, s, &s->side[i], 0);
        put_buckets(w, s, &s->side[i], 1);
    }
    if (!cs_mass_is_zero(s->real, &s->total)) {
        put(w, bits_of(s->least), 64);
        put(w, bits_of(s->most), 64);
    }
}

int cs_sketch_encode(cs_sketch *s, uint8_t *out, size_t capacity, size_t *size) {
    int status = cs_sketch_settle(s);
    writer w = {NULL, 0, 0};
    if (status != CS_SKETCH_OK) return status;
    put_state(&w, s);
    *size = HEADER_SIZE + (w.bits + 7) / 8 + CHECKSUM_SIZE;
    if (capacity != *size) return CS_SKETCH_OK;
    memcpy(out, MAGIC, sizeof MAGIC);
    out[4] = CS_SKETCH_VERSION;
    out[5] = (uint8_t)(s->real | s->policy << 1);
    store_bytes(out + 6, 0, 2);
    store_bytes(out + 8, bits_of(s->accuracy), 8);
    store_bytes(out + 16, s->max_buckets, 4);
    store_bytes(out + 20, *size, 4);
    w.out = out + HEADER_SIZE;
    w.capacity = *size - HEADER_SIZE - CHECKSUM_SIZE;
    w.bits = 0;
    put_state(&w, s);
    store_bytes(out + *size - CHECKSUM_SIZE, checksum_of(out, *size - CHECKSUM_SIZE), CHECKSUM_SIZE);
    return CS_SKETCH_OK;
}

/* Normalised, positive or zero, and far from overflow. */
static cs_pair get_pair(reader *r) {
    cs_pair pair, again;
    pair.hi = double_of(get(r, 64));
    pair.lo = double_of(get(r, 64));
    if (!(pair.hi >= 0.0 && pair.hi <= 0x1p600 && fabs(pair.lo) <= pair.hi) || bits_of(pair.hi) >> 63) {
        r->failed = 1;
        return cs_pair_of(0.0, 0.0);
    }
    again = cs_pair_of(pair.hi, pair.lo);
    if (bits_of(again.hi) != bits_of(pair.hi) || bits_of(again.lo) != bits_of(pair.lo)) r->failed = 1;
    return pair;
}

static void get_single(reader *r, int real, cs_mass *mass) {
    memset(mass, 0, sizeof *mass);
    if (real)
        mass->of.real.weight = get_pair(r);
    else
        mass->of.whole.count = get_gamma(r) - 1;
}

/* The buckets are told from the outermost inward and stored ascending. */
static int get_buckets(reader *r, cs_sketch *s, cs_side *side, int coarse) {
    cs_buckets *list = coarse ? &side->coarse : &side->fine;
    uint64_t key = coarse ? CS_SKETCH_OCTAVES + 1 : (uint64_t)(CS_SKETCH_OCTAVES + 1) * s->layout.buckets;
    uint64_t first_key = coarse ? 1 : s->layout.buckets, count = get_gamma(r) - 1;
    expectation last = {1, 1};
    int status;
    /* Each takes three bits at least. */
    if (r->failed || count > (coarse ? (uint64_t)CS_SKETCH_OCTAVES : s->max_buckets) || count > (r->size - r->at) / 3)
        return CS_SKETCH_INVALID;
    if (coarse && count && side->fine.count < s->max_buckets) return CS_SKETCH_INVALID;
    if (!count) return CS_SKETCH_OK;
    status = cs_buckets_reserve(list, (size_t)count, s->resize);
    if (status != CS_SKETCH_OK) return status;
    list->count = (size_t)count;
    for (size_t i = (size_t)count; i-- > 0;) {
        cs_bucket *bucket = list->items + i;
        uint64_t gap = get_gamma(r), from, to, cells;
        if (r->failed || gap > key - first_key) return CS_SKETCH_INVALID;
        key -= gap;
        bucket->key = (uint32_t)key;
        memset(&bucket->mass, 0, sizeof bucket->mass);
        if (coarse && key > (uint64_t)cs_key_octave(&s->layout, side->fine.items[0].key)) return CS_SKETCH_INVALID;
        range_of(s, side, bucket->key, coarse, &from, &to, &cells);
        if (from >= to) return CS_SKETCH_INVALID;
        if (s->real) {
            bucket->mass.of.real.weight = get_pair(r);
            bucket->mass.of.real.sum = get_pair(r);
        } else {
            cs_wide counted = get_rice(r, cs_bit_length(last.count) / 2);
            counted = from_zigzag(r, counted, cs_wide_of(expected_count(&last, cells)));
            if (r->failed || counted.high || counted.low < 1 || counted.low > CS_SKETCH_MOST) return CS_SKETCH_INVALID;
            bucket->mass.of.whole.count = counted.low;
            bucket->mass.of.whole.sum = from_zigzag(r, get_rice(r, sum_bits(counted.low, to - from, coarse)),
                                                    middle_sum(counted.low, from, to - from));
            last.count = counted.low;
            last.width = cells;
        }
        if (r->failed || !cs_mass_is_possible(s->real, &bucket->mass, from, to - 1)) return CS_SKETCH_INVALID;
    }
    return CS_SKETCH_OK;
}

/* The least outcome, or the most, belongs to the first bucket from its end. */
static int is_extreme(const cs_sketch *s, double extreme, int least) {
    const cs_mass *near = least ? &s->below : &s->above;
    const cs_side *outward = &s->side[least], *inward = &s->side[!least], *side = outward;
    int coarse = 0, octave;
    const cs_bucket *bucket;
    uint64_t significand, from, to, cells;
    if (!cs_mass_is_zero(s->real, near)) return extreme == (least ? -(double)INFINITY : (double)INFINITY);
    if (outward->fine.count) {
        bucket = outward->fine.items + outward->fine.count - 1;
    } else if (!cs_mass_is_zero(s->real, &s->zero)) {
        return bits_of(extreme) == 0;
    } else if (inward->fine.count) {
        side = inward;
        coarse = inward->coarse.count != 0;
        bucket = coarse ? inward->coarse.items : inward->fine.items;
    } else {
        return extreme == (least ? (double)INFINITY : -(double)INFINITY);
    }
    if (extreme - extreme != 0.0 || extreme == 0.0 || (extreme < 0.0) != (side == &s->side[1])) return 0;
    octave = cs_octave_of(cs_magnitude_bits(extreme), &significand);
    range_of(s, side, bucket->key, coarse, &from, &to, &cells);
    return octave == (coarse ? (int)bucket->key : cs_key_octave(&s->layout, bucket->key)) && significand >= from &&
           significand < to;
}

/* Whole counts must add up to no more than may be held; pairs to the total that was told, but for rounding. */
static int check_total(cs_sketch *s) {
    const cs_mass *single[] = {&s->below, &s->zero, &s->above};
    cs_mass total;
    memset(&total, 0, sizeof total);
    for (int i = 0; i < 7; i++) {
        const cs_buckets *list = i < 3 ? NULL : i < 5 ? &s->side[i - 3].fine : &s->side[i - 5].coarse;
        for (size_t k = 0; k < (list ? list->count : 1); k++) {
            const cs_mass *mass = list ? &list->items[k].mass : single[i];
            if (s->real)
                total.of.real.weight = cs_pair_add(total.of.real.weight, mass->of.real.weight);
            else if (mass->of.whole.count > CS_SKETCH_MOST - total.of.whole.count)
                return CS_SKETCH_INVALID;
            else
                total.of.whole.count += mass->of.whole.count;
        }
    }
    if (!s->real) {
        s->total = total;
        return s->missing.of.whole.count > CS_SKETCH_MOST ? CS_SKETCH_INVALID : CS_SKETCH_OK;
    }
    if (s->total.of.real.weight.hi + s->missing.of.real.weight.hi > CS_SKETCH_MOST_WEIGHT) return CS_SKETCH_INVALID;
    return fabs(total.of.real.weight.hi - s->total.of.real.weight.hi) <= 0x1p-40 * total.of.real.weight.hi
               ? CS_SKETCH_OK
               : CS_SKETCH_INVALID;
}

static int get_state(reader *r, cs_sketch *s) {
    cs_mass *single[] = {&s->missing, &s->below, &s->zero, &s->above};
    int status = CS_SKETCH_OK;
    for (size_t i = 0; i < sizeof single / sizeof *single; i++) get_single(r, s->real, single[i]);
    if (s->real) s->total.of.real.weight = get_pair(r);
    for (int i = 0; i < 4 && status == CS_SKETCH_OK; i++) status = get_buckets(r, s, &s->side[i / 2], i % 2);
    if (status == CS_SKETCH_OK) status = check_total(s);
    if (status != CS_SKETCH_OK) return status;
    if (!cs_mass_is_zero(s->real, &s->total)) {
        s->least = double_of(get(r, 64));
        s->most = double_of(get(r, 64));
        if (r->failed || !(s->least <= s->most) || !is_extreme(s, s->least, 1) || !is_extreme(s, s->most, 0) ||
            !cs_sketch_is_possible(s))
            return CS_SKETCH_INVALID;
    }
    /* The last byte is filled up with zeros. */
    return r->failed || r->size - r->at > 7 || get(r, (int)(r->size - r->at)) ? CS_SKETCH_INVALID : CS_SKETCH_OK;
}

int cs_sketch_decode(cs_sketch *s, const uint8_t *bytes, size_t size, cs_resize resize) {
    uint64_t told;
    int status;
    reader r = {NULL, 0, 0, 0};
    memset(s, 0, sizeof *s);
    if (size < 5 && memcmp(bytes, MAGIC, size < sizeof MAGIC ? size : sizeof MAGIC) == 0) return CS_SKETCH_TRUNCATED;
    if (size < 5 || memcmp(bytes, MAGIC, sizeof MAGIC) != 0) return CS_SKETCH_NOT_A_SKETCH;
    if (bytes[4] != CS_SKETCH_VERSION) return CS_SKETCH_OTHER_VERSION;
    if (size < HEADER_SIZE + CHECKSUM_SIZE) return CS_SKETCH_TRUNCATED;
    told = load_bytes(bytes + 20, 4);
    if (size < told) return CS_SKETCH_TRUNCATED;
    if (size > told) return CS_SKETCH_TOO_LONG;
    if (checksum_of(bytes, size - CHECKSUM_SIZE) != load_bytes(bytes + size - CHECKSUM_SIZE, CHECKSUM_SIZE))
        return CS_SKETCH_BAD_CHECKSUM;
    if (bytes[5] > 5 || load_bytes(bytes + 6, 2)) return CS_SKETCH_INVALID;
    status = cs_sketch_init(s, double_of(load_bytes(bytes + 8, 8)), (size_t)load_bytes(bytes + 16, 4), resize);
    if (status == CS_SKETCH_NO_MEMORY) return status;
    if (status != CS_SKETCH_OK) return CS_SKETCH_INVALID;
    s->real = bytes[5] & 1;
    s->policy = bytes[5] >> 1;
    r.bytes = bytes + HEADER_SIZE;
    r.size = 8 * (size - HEADER_SIZE - CHECKSUM_SIZE);
    status = get_state(&r, s);
    if (status != CS_SKETCH_OK) cs_sketch_clear(s);
    return status;
}
