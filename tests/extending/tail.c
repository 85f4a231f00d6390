/* Expected Shortfall of the outcomes on standard input: cshortfall's kernels from C.
 *
 *     cc tail.c -I INCLUDE -L LIBRARY_DIR -lcshortfall -lm -o tail
 *     echo 0.3 -2.0 0.5 -1.0 | ./tail 0.5 0.75
 *
 * cshortfall.get_include() and cshortfall.get_library_dir() name the two folders. */
#include <cshortfall.h>
#include <stdio.h>
#include <stdlib.h>

enum { LEVELS_MOST = 8, OUTCOMES_MOST = 100000 };

int main(int argc, char **argv) {
    double levels[LEVELS_MOST], es[LEVELS_MOST], var[LEVELS_MOST];
    size_t n = 0, n_levels = 0, size = cs_workspace_size(OUTCOMES_MOST, LEVELS_MOST);
    double *x = malloc(OUTCOMES_MOST * sizeof *x);
    void *workspace = malloc(size);
    int status = CS_OK;

    if (cs_api_version() < CSHORTFALL_API_VERSION) {
        fputs("libcshortfall is older than its header\n", stderr);
        return 1;
    }
    if (x == NULL || workspace == NULL) return 1;
    while (n_levels < LEVELS_MOST && (int)n_levels + 1 < argc) {
        levels[n_levels] = atof(argv[n_levels + 1]);
        n_levels++;
    }
    while (n < OUTCOMES_MOST && scanf("%lf", &x[n]) == 1) n++;

    status = cs_es_var_levels(x, n, levels, n_levels, CS_TAIL_LOWER, workspace, size, es, var);
    if (status != CS_OK) fprintf(stderr, "%s\n", cs_status_message(status));
    for (size_t i = 0; status == CS_OK && i < n_levels; i++) printf("%a %a\n", es[i], var[i]);
    free(workspace);
    free(x);
    return status;
}
