/* The choice of the instruction set: every name that is listed works or says why not, and nothing else is taken. */
#undef NDEBUG
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "cshortfall.h"
#include "kernels.h"

static void test_first_call_chooses_the_best(void) {
    const char *chosen = cs_isa();
    assert(cs_isa_available(chosen));
    for (size_t i = 0; strcmp(cs_isa_name(i), chosen) != 0; i++) assert(!cs_isa_available(cs_isa_name(i)));
    assert(cs_init(NULL) == CS_OK);
    assert(strcmp(cs_isa(), chosen) == 0);
}

static void test_each_listed_name_is_chosen_or_unsupported(void) {
    size_t i;
    for (i = 0; cs_isa_name(i) != NULL; i++) {
        const char *name = cs_isa_name(i);
        const cs_kernels *before = cs_active();
        if (cs_isa_available(name)) {
            assert(cs_init(name) == CS_OK);
            assert(strcmp(cs_isa(), name) == 0);
            assert(strcmp(cs_active()->name, name) == 0);
        } else {
            assert(cs_init(name) == CS_ISA_UNSUPPORTED);
            assert(cs_active() == before);
        }
    }
    assert(strcmp(cs_isa_name(i - 1), "baseline") == 0);
    assert(cs_isa_available("baseline"));
    assert(cs_isa_name(i + 1) == NULL);
}

static void test_unknown_names_change_nothing(void) {
    const char *const unknown[] = {"", "AVX2", "avx", "avx22", "sse9"};
    const cs_kernels *before = cs_active();
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        assert(!cs_isa_available(unknown[i]));
        assert(cs_init(unknown[i]) == CS_ISA_UNKNOWN);
        assert(cs_active() == before);
    }
}

/* The sanitizers' compiler knows what the processor runs in its own way. */
static void test_agrees_with_the_compiler(void) {
#if defined(__x86_64__) && defined(__GNUC__)
    __builtin_cpu_init();
    int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
               __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
    int avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                 __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    assert(cs_isa_available("avx2") == avx2);
    assert(cs_isa_available("avx512") == avx512);
#endif
}

int main(void) {
    test_first_call_chooses_the_best();
    test_each_listed_name_is_chosen_or_unsupported();
    test_unknown_names_change_nothing();
    test_agrees_with_the_compiler();
    puts("4 tests of dispatch passed");
    return 0;
}
