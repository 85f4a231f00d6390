/* The kernels for x86-64 with AVX-512 F, DQ, BW and VL on top of what AVX2's need. */
#define CS_ISA avx512
#define CS_ISA_AVX512
#include "kernel_table.h"
