/* Choice of the instruction set, made once: by cs_init, or by the first call of a C program that never calls it.
 *
 * The build defines CS_HAVE_<NAME> for each src/kernels_<name>.c that it compiled. The processor is asked by cpuid and
 * xgetbv themselves: __builtin_cpu_supports does not know "lzcnt" before clang 18, and MSVC has nothing else. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "cshortfall.h"
#include "kernels.h"

#if defined(_MSC_VER)
#include <intrin.h>
#endif

#if defined(CS_HAVE_AVX2) || defined(CS_HAVE_AVX512)

#if defined(_MSC_VER)

static void cpuid(uint32_t leaf, uint32_t subleaf, uint32_t registers[4]) {
    __cpuidex((int *)registers, (int)leaf, (int)subleaf);
}

static uint64_t enabled_states(void) {
    return _xgetbv(0);
}

#else
#include <cpuid.h>

static void cpuid(uint32_t leaf, uint32_t subleaf, uint32_t registers[4]) {
    __cpuid_count(leaf, subleaf, registers[0], registers[1], registers[2], registers[3]);
}

static uint64_t enabled_states(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

#endif

static int holds(uint64_t bits, uint64_t wanted) {
    return (bits & wanted) == wanted;
}

/* Every feature that the flags of kernels_avx2.c or kernels_avx512.c let the compiler use, and the operating system's
 * word that it saves the registers. */
static int runs_vectors(int avx512) {
    enum { EAX, EBX, ECX, EDX };
    const uint32_t fma = 1u << 12, popcnt = 1u << 23, osxsave = 1u << 27, avx = 1u << 28;
    const uint32_t bmi = 1u << 3, avx2 = 1u << 5, bmi2 = 1u << 8;
    const uint32_t avx512f = 1u << 16, avx512dq = 1u << 17, avx512bw = 1u << 30, avx512vl = 1u << 31;
    const uint32_t lzcnt = 1u << 5;
    const uint64_t ymm_state = 0x06, zmm_state = 0xe6;
    uint32_t r[4];

    cpuid(0, 0, r);
    if (r[EAX] < 7) return 0;
    cpuid(1, 0, r);
    if (!holds(r[ECX], fma | popcnt | osxsave | avx)) return 0;
    if (!holds(enabled_states(), avx512 ? zmm_state : ymm_state)) return 0;
    cpuid(7, 0, r);
    if (!holds(r[EBX], bmi | avx2 | bmi2)) return 0;
    if (avx512 && !holds(r[EBX], avx512f | avx512dq | avx512bw | avx512vl)) return 0;
    cpuid(0x80000000u, 0, r);
    if (r[EAX] < 0x80000001u) return 0;
    cpuid(0x80000001u, 0, r);
    return holds(r[ECX], lzcnt);
}

#endif

#if defined(CS_HAVE_AVX2)
static int runs_avx2(void) {
    return runs_vectors(0);
}
#endif

#if defined(CS_HAVE_AVX512)
static int runs_avx512(void) {
    return runs_vectors(1);
}
#endif

static int runs_always(void) {
    return 1;
}

/* What this build holds, best first. */
static const struct {
    const char *name;
    const cs_kernels *kernels;
    int (*runs)(void);
} built[] = {
#if defined(CS_HAVE_AVX512)
    {"avx512", &cs_kernels_avx512, runs_avx512},
#endif
#if defined(CS_HAVE_AVX2)
    {"avx2", &cs_kernels_avx2, runs_avx2},
#endif
#if defined(CS_HAVE_NEON)
    {"neon", &cs_kernels_neon, runs_always},
#endif
    {"baseline", &cs_kernels_baseline, runs_always},
};

enum { N_BUILT = sizeof built / sizeof built[0] };

static const cs_kernels *best_kernels(void) {
    size_t i = 0;
    while (!built[i].runs()) i++;
    return built[i].kernels;
}

/* Threads that race to choose all choose the same table, but none may undo a cs_init. */
#if defined(_MSC_VER)

static void *volatile active;

static const cs_kernels *load_active(void) {
    return (const cs_kernels *)_InterlockedCompareExchangePointer(&active, NULL, NULL);
}

static void store_active(const cs_kernels *kernels) {
    _InterlockedExchangePointer(&active, (void *)kernels);
}

static void store_active_if_none(const cs_kernels *kernels) {
    _InterlockedCompareExchangePointer(&active, (void *)kernels, NULL);
}

#else

static const cs_kernels *active;

static const cs_kernels *load_active(void) {
    return __atomic_load_n(&active, __ATOMIC_ACQUIRE);
}

static void store_active(const cs_kernels *kernels) {
    __atomic_store_n(&active, kernels, __ATOMIC_RELEASE);
}

static void store_active_if_none(const cs_kernels *kernels) {
    const cs_kernels *none = NULL;
    __atomic_compare_exchange_n(&active, &none, kernels, 0, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

#endif

const cs_kernels *cs_active(void) {
    const cs_kernels *kernels = load_active();
    if (kernels != NULL) return kernels;
    store_active_if_none(best_kernels());
    return load_active();
}

int cs_init(const char *isa) {
    if (isa == NULL) {
        store_active(best_kernels());
        return CS_OK;
    }
    for (size_t i = 0; i < N_BUILT; i++) {
        if (strcmp(isa, built[i].name) != 0) continue;
        if (!built[i].runs()) return CS_ISA_UNSUPPORTED;
        store_active(built[i].kernels);
        return CS_OK;
    }
    return CS_ISA_UNKNOWN;
}

const char *cs_isa(void) {
    return cs_active()->name;
}

const char *cs_isa_name(size_t i) {
    return i < N_BUILT ? built[i].name : NULL;
}

int cs_isa_available(const char *isa) {
    for (size_t i = 0; i < N_BUILT; i++)
        if (strcmp(isa, built[i].name) == 0) return built[i].runs();
    return 0;
}
