/* The kernels for x86-64 with AVX2, FMA, BMI, BMI2, LZCNT and POPCNT. */
#define CS_ISA avx2
#define CS_ISA_AVX2
#include "kernel_table.h"
