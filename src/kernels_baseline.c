/* The kernels in portable C: SSE2 on x86-64, and whatever any other target's compiler makes of it. */
#define CS_ISA baseline
#define CS_ISA_BASELINE
#include "kernel_table.h"
