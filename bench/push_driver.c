/* Times cs_window_push: push_driver WINDOW N VALUES ROUNDS
 *
 * The file holds at least N doubles. Prints the ES after the last push, then for each round the nanoseconds of a push:
 * of N pushes, one call each into the library, after a round that is not timed. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cshortfall.h"

static const double level = 0.975;

static double now(void) {
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

static int push_all(cs_window *window, const double *x, size_t n, double *es, double *var) {
    int status = CS_OK;
    for (size_t i = 0; i < n && status == CS_OK; i++) status = cs_window_push(window, x[i], es, var);
    return status;
}

int main(int argc, char **argv) {
    size_t length, n, rounds, size;
    double *x, es = 0, var = 0;
    cs_window *window;
    void *memory;
    FILE *file;
    int status;
    if (argc != 5) {
        fprintf(stderr, "usage: push_driver WINDOW N VALUES ROUNDS\n");
        return 1;
    }
    length = strtoull(argv[1], NULL, 10);
    n = strtoull(argv[2], NULL, 10);
    rounds = strtoull(argv[4], NULL, 10);
    file = fopen(argv[3], "rb");
    x = malloc(n * sizeof *x);
    size = cs_window_size(length, 1);
    memory = malloc(size);
    if (!file || !x || !memory || fread(x, sizeof *x, n, file) != n) {
        fprintf(stderr, "%s: cannot read %zu doubles\n", argv[3], n);
        return 1;
    }
    fclose(file);
    status = cs_window_init(memory, size, length, &level, 1, CS_TAIL_LOWER, 1, &window);
    if (status == CS_OK) status = push_all(window, x, n, &es, &var);
    if (status == CS_OK) printf("%.17g\n", es);
    for (size_t round = 0; round < rounds && status == CS_OK; round++) {
        double start = now();
        status = push_all(window, x, n, &es, &var);
        printf("%.3f\n", (now() - start) / (double)n);
    }
    if (status != CS_OK) fprintf(stderr, "%s\n", cs_status_message(status));
    free(memory);
    free(x);
    return status != CS_OK;
}
