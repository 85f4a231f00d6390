/* The kernels of one instruction set: included by each kernels_<name>.c, which defines CS_ISA and the lanes' choice. */
#include "tail_kernels.h"
#include "weighted_kernels.h"
#include "block_kernels.h"

#define CS_TABLE_NAME(isa) CS_TABLE_NAME_(isa)
#define CS_TABLE_NAME_(isa) cs_kernels_##isa
#define CS_TEXT(isa) CS_TEXT_(isa)
#define CS_TEXT_(isa) #isa

const cs_kernels CS_TABLE_NAME(CS_ISA) = {
    CS_TEXT(CS_ISA),  kernel_tail,           kernel_tail_weighted, kernel_bracket,         sample_bracket, outcomes_pass,
    kernel_resume, kernel_gather_columns, kernel_drop_missing,  kernel_portfolio_block,
};
