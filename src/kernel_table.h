/* The kernels of one instruction set: included by each kernels_<name>.c, which defines CS_ISA and the lanes' choice. */
#define CS_NAME(name, isa) CS_NAME_(name, isa)
#define CS_NAME_(name, isa) name##_##isa
#define CS_TEXT(isa) CS_TEXT_(isa)
#define CS_TEXT_(isa) #isa

#include "tail_kernels.h"
#include "weighted_kernels.h"
#include "block_kernels.h"
#if CS_LANES >= 4
#include "column_kernels.h"
#define CS_TAIL_COLUMNS kernel_tail_columns
#else
#define CS_TAIL_COLUMNS NULL /* gathered columns take less time */
#endif
#include "sketch_kernels.h"
#include "window_kernels.h"
#include "rolling_kernels.h"
#include "scenario_kernels.h"

#if defined(CS_ISA_AVX512)
/* Random numbers are too few at a time for the widest instructions, which would slow down the code around them. */
#define CS_RESAMPLE_TAIL cs_resample_tail_avx2
#else
#include "resample_kernels.h"
#define CS_RESAMPLE_TAIL CS_NAME(cs_resample_tail, CS_ISA)
#endif

const cs_kernels CS_NAME(cs_kernels, CS_ISA) = {
    CS_TEXT(CS_ISA),
    kernel_tail,
    kernel_tail_weighted,
    kernel_bracket,
    sample_bracket,
    outcomes_pass,
    kernel_resume,
    kernel_gather_columns,
    CS_TAIL_COLUMNS,
    kernel_drop_missing,
    kernel_portfolio_block,
    CS_RESAMPLE_TAIL,
    kernel_rolling,
    kernel_window_push,
    kernel_extremes,
    kernel_scenario_profits,
    kernel_scenarios_between,
    kernel_sum_scenarios,
    kernel_gather_scenarios,
};
