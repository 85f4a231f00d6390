/* The kernels for arm64, where NEON is always there. */
#define CS_ISA neon
#define CS_ISA_NEON
#include "kernel_table.h"
