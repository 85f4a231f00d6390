/* Runs one kernel once, for instruction counts: kernel_driver ISA KERNEL N OUTCOMES WEIGHTS
 *
 * KERNEL is es, es_f32, es_levels or es_weighted; the files hold at least N doubles each. Exit code 3: the processor, or
 * the emulator, lacks the instruction set. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cshortfall.h"

#if defined(__GNUC__)
#define NOINLINE __attribute__((noinline, used))
#else
#define NOINLINE
#endif

enum { UNSUPPORTED = 3, LEVELS = 5 };

typedef struct {
    const char *kernel;
    size_t n, size;
    double *x, *weights;
    float *single;
    void *workspace;
    double es[LEVELS], var[LEVELS];
} job;

static const double levels[LEVELS] = {0.9, 0.95, 0.975, 0.99, 0.995};

/* The only function that callgrind collects. */
NOINLINE int measured(job *j) {
    const double one = 0.975;
    if (strcmp(j->kernel, "es") == 0)
        return cs_es_var(j->x, j->n, one, CS_TAIL_LOWER, j->workspace, j->size, j->es, j->var);
    if (strcmp(j->kernel, "es_f32") == 0)
        return cs_es_var_f32(j->single, j->n, one, CS_TAIL_LOWER, j->workspace, j->size, j->es, j->var);
    if (strcmp(j->kernel, "es_levels") == 0)
        return cs_es_var_levels(j->x, j->n, levels, LEVELS, CS_TAIL_LOWER, j->workspace, j->size, j->es, j->var);
    if (strcmp(j->kernel, "es_weighted") == 0)
        return cs_es_var_weighted(j->x, j->weights, j->n, &one, 1, CS_TAIL_LOWER, j->workspace, j->size, j->es, j->var);
    return CS_EMPTY;
}

static double *read_doubles(const char *path, size_t n) {
    double *x = malloc(n * sizeof *x);
    FILE *file = fopen(path, "rb");
    if (!x || !file || fread(x, sizeof *x, n, file) != n) {
        fprintf(stderr, "%s: cannot read %zu doubles\n", path, n);
        exit(1);
    }
    fclose(file);
    return x;
}

int main(int argc, char **argv) {
    job j = {0};
    size_t weighted_size;
    int status;
    if (argc != 6) {
        fprintf(stderr, "usage: kernel_driver ISA KERNEL N OUTCOMES WEIGHTS\n");
        return 1;
    }
    status = cs_init(argv[1]);
    if (status != CS_OK) {
        fprintf(stderr, "%s: %s\n", argv[1], cs_status_message(status));
        return status == CS_ISA_UNSUPPORTED || status == CS_ISA_UNKNOWN ? UNSUPPORTED : 1;
    }
    j.kernel = argv[2];
    j.n = strtoull(argv[3], NULL, 10);
    j.x = read_doubles(argv[4], j.n);
    j.weights = read_doubles(argv[5], j.n);
    j.size = cs_workspace_size(j.n, LEVELS);
    weighted_size = cs_weighted_workspace_size(j.n, LEVELS);
    if (weighted_size > j.size) j.size = weighted_size;
    j.workspace = malloc(j.size);
    j.single = malloc(j.n * sizeof *j.single);
    if (!j.workspace || !j.single) return 1;
    for (size_t i = 0; i < j.n; i++) j.single[i] = (float)j.x[i];
    status = measured(&j);
    if (status != CS_OK) fprintf(stderr, "%s\n", cs_status_message(status));
    printf("%.17g\n", j.es[0]);
    free(j.single);
    free(j.workspace);
    free(j.weights);
    free(j.x);
    return status != CS_OK;
}
