/* Vector primitives: each is one exactly specified operation, defined for AVX-512, AVX2, NEON and portable C.
 *
 * Kernels are written once over these names. A primitive that acts lane by lane gives the same bits at every width;
 * kernels whose intermediate sums depend on how values meet in lanes certify the correctly rounded quotient instead, see
 * exact.h. Everything is static: the linker must never share a copy compiled for one instruction set with another.
 *
 * vd: CS_LANES doubles. vm: one truth value a lane, bit i of vm_bits that of lane i. Comparisons with NaN: lt, le, eq are
 * false; nge and ngt are true. vu: CS_LANES words of 64 bits; not for AVX-512, whose widest instructions slow down code
 * that seldom uses them. */
#ifndef CS_LANES_H
#define CS_LANES_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(_MSC_VER)
#define CS_INLINE static __forceinline
#define CS_COLD static __declspec(noinline)
#define CS_UNLIKELY(x) (x)
#define CS_RESTRICT __restrict
#define CS_ALIGNED(n) __declspec(align(n))
#else
#define CS_INLINE static inline __attribute__((always_inline))
#define CS_COLD static __attribute__((noinline, unused))
#define CS_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define CS_RESTRICT restrict
#define CS_ALIGNED(n) __attribute__((aligned(n)))
#endif

/* Hints: into the first-level cache, or the second. */
#if defined(_MSC_VER)
#include <intrin.h>
#define prefetch(p) ((void)(p))
#define prefetch_far(p) ((void)(p))
#else
#define prefetch(p) __builtin_prefetch(p)
#define prefetch_far(p) __builtin_prefetch(p, 0, 2)
#endif

/* Ticks of a clock fine enough to tell a cache from memory, once all loads before are done; 0 where there is none. */
CS_INLINE uint64_t ticks(void) {
#if defined(_MSC_VER) && defined(_M_X64)
    _mm_lfence();
    return __rdtsc();
#elif defined(__x86_64__)
    __builtin_ia32_lfence();
    return __builtin_ia32_rdtsc();
#else
    return 0;
#endif
}

/* Every buffer that vd_append writes to needs this many doubles of slack behind its last element. */
#define CS_SLACK 8

#if defined(CS_ISA_AVX512)
#include <immintrin.h>
#define CS_LANES 8
typedef __m512d vd;
typedef __mmask8 vm;
CS_INLINE vd vd_set(double a) { return _mm512_set1_pd(a); }
CS_INLINE vd vd_load(const double *p) { return _mm512_loadu_pd(p); }
CS_INLINE vd vd_load_f32(const float *p) { return _mm512_cvtps_pd(_mm256_loadu_ps(p)); }
CS_INLINE void vd_store(double *p, vd a) { _mm512_storeu_pd(p, a); }
CS_INLINE vd vd_xor(vd a, vd b) { return _mm512_xor_pd(a, b); }
CS_INLINE vd vd_add(vd a, vd b) { return _mm512_add_pd(a, b); }
CS_INLINE vd vd_sub(vd a, vd b) { return _mm512_sub_pd(a, b); }
CS_INLINE vd vd_mul(vd a, vd b) { return _mm512_mul_pd(a, b); }
CS_INLINE vd vd_div(vd a, vd b) { return _mm512_div_pd(a, b); }
CS_INLINE vd vd_fused_product_minus(vd a, vd b, vd c) { return _mm512_fmsub_pd(a, b, c); }
CS_INLINE vd vd_min(vd a, vd b) { return _mm512_min_pd(a, b); }
CS_INLINE vd vd_max(vd a, vd b) { return _mm512_max_pd(a, b); }
CS_INLINE vd vd_abs(vd a) { return _mm512_abs_pd(a); }
CS_INLINE vm vd_lt(vd a, vd b) { return _mm512_cmp_pd_mask(a, b, _CMP_LT_OQ); }
CS_INLINE vm vd_le(vd a, vd b) { return _mm512_cmp_pd_mask(a, b, _CMP_LE_OQ); }
CS_INLINE vm vd_eq(vd a, vd b) { return _mm512_cmp_pd_mask(a, b, _CMP_EQ_OQ); }
CS_INLINE vm vd_nge(vd a, vd b) { return _mm512_cmp_pd_mask(a, b, _CMP_NGE_UQ); }
CS_INLINE vm vd_ngt(vd a, vd b) { return _mm512_cmp_pd_mask(a, b, _CMP_NGT_UQ); }
CS_INLINE vm vd_unordered(vd a, vd b) { return _mm512_cmp_pd_mask(a, b, _CMP_UNORD_Q); }
CS_INLINE vm vm_or(vm a, vm b) { return (vm)(a | b); }
CS_INLINE vm vm_andnot(vm a, vm b) { return (vm)(~a & b); }
CS_INLINE vm vm_none(void) { return 0; }
CS_INLINE int vm_any(vm m) { return m != 0; }
CS_INLINE uint64_t vm_bits(vm m) { return (uint64_t)m; }
CS_INLINE size_t vm_count(vm m) { return (size_t)_mm_popcnt_u32(m); }
CS_INLINE vd vd_where(vm m, vd a, vd b) { return _mm512_mask_blend_pd(m, b, a); }
CS_INLINE vd vd_keep(vm m, vd a) { return _mm512_maskz_mov_pd(m, a); }
CS_INLINE size_t vd_append(double *out, vm m, vd a) {
    _mm512_storeu_pd(out, _mm512_maskz_compress_pd(m, a));
    return vm_count(m);
}
/* Lane i is lane i - 1 of a, lane 0 the last of below; or lane i + 1 of a, the last lane the first of above. */
CS_INLINE vd vd_shift_up(vd a, vd below) {
    return _mm512_castsi512_pd(_mm512_alignr_epi64(_mm512_castpd_si512(a), _mm512_castpd_si512(below), 7));
}
CS_INLINE vd vd_shift_down(vd a, vd above) {
    return _mm512_castsi512_pd(_mm512_alignr_epi64(_mm512_castpd_si512(above), _mm512_castpd_si512(a), 1));
}
/* Lane i is p[k] with k the number of the bits 0 to i that are set. p is read as far as p[CS_LANES]. */
CS_INLINE vd vd_spread(const double *p, unsigned bits) {
    uint64_t ones = 0x0101010101010101u, index = _pdep_u64(bits >> 1, ones << 8) * ones;
    return _mm512_permutexvar_pd(_mm512_cvtepu8_epi64(_mm_cvtsi64_si128((long long)index)), vd_load(p + (bits & 1)));
}
/* Square of CS_LANES rows to its transpose. */
CS_INLINE void vd_transpose(vd r[8]) {
    vd t[8], u[8];
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm512_unpacklo_pd(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_pd(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4)
        for (int k = 0; k < 2; k++) {
            u[i + k] = _mm512_shuffle_f64x2(t[i + k], t[i + k + 2], 0x88);
            u[i + k + 2] = _mm512_shuffle_f64x2(t[i + k], t[i + k + 2], 0xdd);
        }
    for (int k = 0; k < 4; k++) {
        r[k] = _mm512_shuffle_f64x2(u[k], u[k + 4], 0x88);
        r[k + 4] = _mm512_shuffle_f64x2(u[k], u[k + 4], 0xdd);
    }
}

#elif defined(CS_ISA_AVX2)
#include <immintrin.h>
#define CS_LANES 4
typedef __m256d vd;
typedef __m256d vm;
CS_INLINE vd vd_set(double a) { return _mm256_set1_pd(a); }
CS_INLINE vd vd_load(const double *p) { return _mm256_loadu_pd(p); }
CS_INLINE vd vd_load_f32(const float *p) { return _mm256_cvtps_pd(_mm_loadu_ps(p)); }
CS_INLINE void vd_store(double *p, vd a) { _mm256_storeu_pd(p, a); }
CS_INLINE vd vd_xor(vd a, vd b) { return _mm256_xor_pd(a, b); }
CS_INLINE vd vd_add(vd a, vd b) { return _mm256_add_pd(a, b); }
CS_INLINE vd vd_sub(vd a, vd b) { return _mm256_sub_pd(a, b); }
CS_INLINE vd vd_mul(vd a, vd b) { return _mm256_mul_pd(a, b); }
CS_INLINE vd vd_div(vd a, vd b) { return _mm256_div_pd(a, b); }
CS_INLINE vd vd_fused_product_minus(vd a, vd b, vd c) { return _mm256_fmsub_pd(a, b, c); }
CS_INLINE vd vd_min(vd a, vd b) { return _mm256_min_pd(a, b); }
CS_INLINE vd vd_max(vd a, vd b) { return _mm256_max_pd(a, b); }
CS_INLINE vd vd_abs(vd a) { return _mm256_andnot_pd(_mm256_set1_pd(-0.0), a); }
CS_INLINE vm vd_lt(vd a, vd b) { return _mm256_cmp_pd(a, b, _CMP_LT_OQ); }
CS_INLINE vm vd_le(vd a, vd b) { return _mm256_cmp_pd(a, b, _CMP_LE_OQ); }
CS_INLINE vm vd_eq(vd a, vd b) { return _mm256_cmp_pd(a, b, _CMP_EQ_OQ); }
CS_INLINE vm vd_nge(vd a, vd b) { return _mm256_cmp_pd(a, b, _CMP_NGE_UQ); }
CS_INLINE vm vd_ngt(vd a, vd b) { return _mm256_cmp_pd(a, b, _CMP_NGT_UQ); }
CS_INLINE vm vd_unordered(vd a, vd b) { return _mm256_cmp_pd(a, b, _CMP_UNORD_Q); }
CS_INLINE vm vm_or(vm a, vm b) { return _mm256_or_pd(a, b); }
CS_INLINE vm vm_andnot(vm a, vm b) { return _mm256_andnot_pd(a, b); }
CS_INLINE vm vm_none(void) { return _mm256_setzero_pd(); }
CS_INLINE int vm_any(vm m) { return _mm256_movemask_pd(m) != 0; }
CS_INLINE uint64_t vm_bits(vm m) { return (uint64_t)(unsigned)_mm256_movemask_pd(m); }
CS_INLINE size_t vm_count(vm m) { return (size_t)_mm_popcnt_u32((unsigned)_mm256_movemask_pd(m)); }
CS_INLINE vd vd_where(vm m, vd a, vd b) { return _mm256_blendv_pd(b, a, m); }
CS_INLINE vd vd_keep(vm m, vd a) { return _mm256_and_pd(m, a); }
/* Row k moves the lanes named by the bits of k to the front: AVX2 has no compress. */
static const CS_ALIGNED(32) int32_t cs_compress_table[16][8] = {
    {0, 1, 2, 3, 4, 5, 6, 7}, {0, 1, 2, 3, 4, 5, 6, 7}, {2, 3, 0, 1, 4, 5, 6, 7}, {0, 1, 2, 3, 4, 5, 6, 7},
    {4, 5, 0, 1, 2, 3, 6, 7}, {0, 1, 4, 5, 2, 3, 6, 7}, {2, 3, 4, 5, 0, 1, 6, 7}, {0, 1, 2, 3, 4, 5, 6, 7},
    {6, 7, 0, 1, 2, 3, 4, 5}, {0, 1, 6, 7, 2, 3, 4, 5}, {2, 3, 6, 7, 0, 1, 4, 5}, {0, 1, 2, 3, 6, 7, 4, 5},
    {4, 5, 6, 7, 0, 1, 2, 3}, {0, 1, 4, 5, 6, 7, 2, 3}, {2, 3, 4, 5, 6, 7, 0, 1}, {0, 1, 2, 3, 4, 5, 6, 7}};
CS_INLINE size_t vd_append(double *out, vm m, vd a) {
    unsigned bits = (unsigned)_mm256_movemask_pd(m);
    __m256i order = _mm256_load_si256((const __m256i *)cs_compress_table[bits]);
    _mm256_storeu_pd(out, _mm256_castps_pd(_mm256_permutevar8x32_ps(_mm256_castpd_ps(a), order)));
    return (size_t)_mm_popcnt_u32(bits);
}
CS_INLINE vd vd_shift_up(vd a, vd below) {
    return _mm256_shuffle_pd(_mm256_permute2f128_pd(below, a, 0x21), a, 0x5);
}
CS_INLINE vd vd_shift_down(vd a, vd above) {
    return _mm256_shuffle_pd(a, _mm256_permute2f128_pd(a, above, 0x21), 0x5);
}
static const CS_ALIGNED(32) int32_t cs_spread_table[8][8] = {
    {0, 1, 0, 1, 0, 1, 0, 1}, {0, 1, 2, 3, 2, 3, 2, 3}, {0, 1, 0, 1, 2, 3, 2, 3}, {0, 1, 2, 3, 4, 5, 4, 5},
    {0, 1, 0, 1, 0, 1, 2, 3}, {0, 1, 2, 3, 2, 3, 4, 5}, {0, 1, 0, 1, 2, 3, 4, 5}, {0, 1, 2, 3, 4, 5, 6, 7}};
CS_INLINE vd vd_spread(const double *p, unsigned bits) {
    __m256i order = _mm256_load_si256((const __m256i *)cs_spread_table[bits >> 1]);
    return _mm256_castps_pd(_mm256_permutevar8x32_ps(_mm256_castpd_ps(vd_load(p + (bits & 1))), order));
}
CS_INLINE void vd_transpose(vd r[4]) {
    vd a = _mm256_unpacklo_pd(r[0], r[1]), b = _mm256_unpackhi_pd(r[0], r[1]);
    vd c = _mm256_unpacklo_pd(r[2], r[3]), d = _mm256_unpackhi_pd(r[2], r[3]);
    r[0] = _mm256_permute2f128_pd(a, c, 0x20);
    r[1] = _mm256_permute2f128_pd(b, d, 0x20);
    r[2] = _mm256_permute2f128_pd(a, c, 0x31);
    r[3] = _mm256_permute2f128_pd(b, d, 0x31);
}
typedef __m256i vu;
CS_INLINE vu vu_load(const uint64_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
CS_INLINE void vu_store(uint64_t *p, vu a) { _mm256_storeu_si256((__m256i *)p, a); }
CS_INLINE vu vu_set(uint64_t a) { return _mm256_set1_epi64x((long long)a); }
CS_INLINE vu vu_add(vu a, vu b) { return _mm256_add_epi64(a, b); }
CS_INLINE vu vu_xor(vu a, vu b) { return _mm256_xor_si256(a, b); }
CS_INLINE vu vu_or(vu a, vu b) { return _mm256_or_si256(a, b); }
#define vu_left(a, bits) _mm256_slli_epi64(a, bits)
#define vu_right(a, bits) _mm256_srli_epi64(a, bits)
CS_INLINE vd vd_of_bits(vu a) { return _mm256_castsi256_pd(a); }
/* p[i] for indices i that are doubles from 0 to 2^31, truncated. */
CS_INLINE vd vd_gather(const double *p, vd i) { return _mm256_i32gather_pd(p, _mm256_cvttpd_epi32(i), 8); }

#elif defined(CS_ISA_NEON)
#include <arm_neon.h>
#define CS_LANES 2
typedef float64x2_t vd;
typedef uint64x2_t vm;
CS_INLINE vd vd_set(double a) { return vdupq_n_f64(a); }
CS_INLINE vd vd_load(const double *p) { return vld1q_f64(p); }
CS_INLINE vd vd_load_f32(const float *p) { return vcvt_f64_f32(vld1_f32(p)); }
CS_INLINE void vd_store(double *p, vd a) { vst1q_f64(p, a); }
CS_INLINE vd vd_xor(vd a, vd b) {
    return vreinterpretq_f64_u64(veorq_u64(vreinterpretq_u64_f64(a), vreinterpretq_u64_f64(b)));
}
CS_INLINE vd vd_add(vd a, vd b) { return vaddq_f64(a, b); }
CS_INLINE vd vd_sub(vd a, vd b) { return vsubq_f64(a, b); }
CS_INLINE vd vd_mul(vd a, vd b) { return vmulq_f64(a, b); }
CS_INLINE vd vd_div(vd a, vd b) { return vdivq_f64(a, b); }
CS_INLINE vd vd_fused_product_minus(vd a, vd b, vd c) { return vfmaq_f64(vnegq_f64(c), a, b); }
CS_INLINE vm vd_lt(vd a, vd b) { return vcltq_f64(a, b); }
CS_INLINE vm vd_le(vd a, vd b) { return vcleq_f64(a, b); }
CS_INLINE vm vd_eq(vd a, vd b) { return vceqq_f64(a, b); }
CS_INLINE vm vm_not(vm a) { return veorq_u64(a, vdupq_n_u64(~(uint64_t)0)); }
CS_INLINE vm vd_nge(vd a, vd b) { return vm_not(vcgeq_f64(a, b)); }
CS_INLINE vm vd_ngt(vd a, vd b) { return vm_not(vcgtq_f64(a, b)); }
CS_INLINE vm vm_or(vm a, vm b) { return vorrq_u64(a, b); }
CS_INLINE vm vm_andnot(vm a, vm b) { return vbicq_u64(b, a); }
CS_INLINE vm vd_unordered(vd a, vd b) { return vm_or(vm_not(vceqq_f64(a, a)), vm_not(vceqq_f64(b, b))); }
CS_INLINE vm vm_none(void) { return vdupq_n_u64(0); }
CS_INLINE size_t vm_count(vm m) {
    uint64x2_t ones = vshrq_n_u64(m, 63);
    return (size_t)(vgetq_lane_u64(ones, 0) + vgetq_lane_u64(ones, 1));
}
CS_INLINE int vm_any(vm m) { return vm_count(m) != 0; }
CS_INLINE uint64_t vm_bits(vm m) { return (vgetq_lane_u64(m, 0) & 1) | (vgetq_lane_u64(m, 1) & 2); }
CS_INLINE vd vd_where(vm m, vd a, vd b) { return vbslq_f64(m, a, b); }
CS_INLINE vd vd_min(vd a, vd b) { return vd_where(vd_lt(a, b), a, b); }
CS_INLINE vd vd_max(vd a, vd b) { return vd_where(vd_lt(b, a), a, b); }
CS_INLINE vd vd_abs(vd a) { return vabsq_f64(a); }
CS_INLINE vd vd_keep(vm m, vd a) { return vreinterpretq_f64_u64(vandq_u64(m, vreinterpretq_u64_f64(a))); }
CS_INLINE size_t vd_append(double *out, vm m, vd a) {
    size_t first = (size_t)(vgetq_lane_u64(m, 0) & 1);
    out[0] = vgetq_lane_f64(a, 0);
    out[first] = vgetq_lane_f64(a, 1);
    return first + (size_t)(vgetq_lane_u64(m, 1) & 1);
}
CS_INLINE vd vd_shift_up(vd a, vd below) { return vextq_f64(below, a, 1); }
CS_INLINE vd vd_shift_down(vd a, vd above) { return vextq_f64(a, above, 1); }
CS_INLINE vd vd_spread(const double *p, unsigned bits) {
    p += bits & 1;
    return vcombine_f64(vld1_f64(p), vld1_f64(p + (bits >> 1)));
}
CS_INLINE void vd_transpose(vd r[2]) {
    vd a = vzip1q_f64(r[0], r[1]), b = vzip2q_f64(r[0], r[1]);
    r[0] = a;
    r[1] = b;
}
typedef uint64x2_t vu;
CS_INLINE vu vu_load(const uint64_t *p) { return vld1q_u64(p); }
CS_INLINE void vu_store(uint64_t *p, vu a) { vst1q_u64(p, a); }
CS_INLINE vu vu_set(uint64_t a) { return vdupq_n_u64(a); }
CS_INLINE vu vu_add(vu a, vu b) { return vaddq_u64(a, b); }
CS_INLINE vu vu_xor(vu a, vu b) { return veorq_u64(a, b); }
CS_INLINE vu vu_or(vu a, vu b) { return vorrq_u64(a, b); }
#define vu_left(a, bits) vshlq_n_u64(a, bits)
#define vu_right(a, bits) vshrq_n_u64(a, bits)
CS_INLINE vd vd_of_bits(vu a) { return vreinterpretq_f64_u64(a); }
CS_INLINE vd vd_gather(const double *p, vd i) {
    int64x2_t at = vcvtq_s64_f64(i);
    return vcombine_f64(vld1_f64(p + vgetq_lane_s64(at, 0)), vld1_f64(p + vgetq_lane_s64(at, 1)));
}

#else
#define CS_LANES 1
typedef double vd;
typedef int vm;
CS_INLINE vd vd_set(double a) { return a; }
CS_INLINE vd vd_load(const double *p) { return *p; }
CS_INLINE vd vd_load_f32(const float *p) { return (double)*p; }
CS_INLINE void vd_store(double *p, vd a) { *p = a; }
CS_INLINE vd vd_xor(vd a, vd b) {
    uint64_t i, j;
    memcpy(&i, &a, 8);
    memcpy(&j, &b, 8);
    i ^= j;
    memcpy(&a, &i, 8);
    return a;
}
CS_INLINE vd vd_add(vd a, vd b) { return a + b; }
CS_INLINE vd vd_sub(vd a, vd b) { return a - b; }
CS_INLINE vd vd_mul(vd a, vd b) { return a * b; }
CS_INLINE vd vd_div(vd a, vd b) { return a / b; }
CS_INLINE vd vd_fused_product_minus(vd a, vd b, vd c) { return fma(a, b, -c); }
CS_INLINE vd vd_min(vd a, vd b) { return a < b ? a : b; }
CS_INLINE vd vd_max(vd a, vd b) { return a > b ? a : b; }
CS_INLINE vd vd_abs(vd a) { return a < 0 ? -a : a; }
CS_INLINE vm vd_lt(vd a, vd b) { return a < b; }
CS_INLINE vm vd_le(vd a, vd b) { return a <= b; }
CS_INLINE vm vd_eq(vd a, vd b) { return a == b; }
CS_INLINE vm vd_nge(vd a, vd b) { return !(a >= b); }
CS_INLINE vm vd_ngt(vd a, vd b) { return !(a > b); }
CS_INLINE vm vd_unordered(vd a, vd b) { return a != a || b != b; }
CS_INLINE vm vm_or(vm a, vm b) { return a | b; }
CS_INLINE vm vm_andnot(vm a, vm b) { return (a == 0) & b; }
CS_INLINE vm vm_none(void) { return 0; }
CS_INLINE int vm_any(vm m) { return m; }
CS_INLINE uint64_t vm_bits(vm m) { return (uint64_t)m; }
CS_INLINE size_t vm_count(vm m) { return (size_t)m; }
CS_INLINE vd vd_where(vm m, vd a, vd b) { return m ? a : b; }
CS_INLINE vd vd_keep(vm m, vd a) { return m ? a : 0.0; }
CS_INLINE size_t vd_append(double *out, vm m, vd a) {
    *out = a;
    return (size_t)m;
}
CS_INLINE vd vd_spread(const double *p, unsigned bits) { return p[bits]; }
CS_INLINE void vd_transpose(vd r[1]) { (void)r; }
typedef uint64_t vu;
CS_INLINE vu vu_load(const uint64_t *p) { return *p; }
CS_INLINE void vu_store(uint64_t *p, vu a) { *p = a; }
CS_INLINE vu vu_set(uint64_t a) { return a; }
CS_INLINE vu vu_add(vu a, vu b) { return a + b; }
CS_INLINE vu vu_xor(vu a, vu b) { return a ^ b; }
CS_INLINE vu vu_or(vu a, vu b) { return a | b; }
#define vu_left(a, bits) ((a) << (bits))
#define vu_right(a, bits) ((a) >> (bits))
CS_INLINE vd vd_of_bits(vu a) {
    vd d;
    memcpy(&d, &a, 8);
    return d;
}
CS_INLINE vd vd_gather(const double *p, vd i) { return p[(int64_t)i]; }
CS_INLINE vd vd_shift_up(vd a, vd below) {
    (void)a;
    return below;
}
CS_INLINE vd vd_shift_down(vd a, vd above) {
    (void)a;
    return above;
}

#endif

/* The position of the lowest bit that is set. */
CS_INLINE unsigned lowest_bit(uint64_t bits) {
#if defined(_MSC_VER)
    unsigned long position;
    _BitScanForward64(&position, bits);
    return (unsigned)position;
#else
    return (unsigned)__builtin_ctzll(bits);
#endif
}

/* How many bits are set. */
CS_INLINE size_t bit_count(uint64_t bits) {
#if defined(_MSC_VER)
    bits -= bits >> 1 & 0x5555555555555555u;
    bits = (bits & 0x3333333333333333u) + (bits >> 2 & 0x3333333333333333u);
    bits = (bits + (bits >> 4)) & 0x0f0f0f0f0f0f0f0fu;
    return (size_t)(bits * 0x0101010101010101u >> 56);
#else
    return (size_t)__builtin_popcountll(bits);
#endif
}

/* In pairs, pairs of pairs, ...: the compiler turns halves of a vector into vectors. */
CS_INLINE double vd_reduce_min(vd a) {
    double lane[CS_LANES];
    vd_store(lane, a);
    for (size_t width = CS_LANES / 2; width > 0; width /= 2)
        for (size_t i = 0; i < width; i++) lane[i] = lane[i + width] < lane[i] ? lane[i + width] : lane[i];
    return lane[0];
}
CS_INLINE double vd_reduce_max(vd a) {
    double lane[CS_LANES];
    vd_store(lane, a);
    for (size_t width = CS_LANES / 2; width > 0; width /= 2)
        for (size_t i = 0; i < width; i++) lane[i] = lane[i + width] > lane[i] ? lane[i + width] : lane[i];
    return lane[0];
}

#endif
