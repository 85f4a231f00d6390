/* Expected Shortfall of the latest outcomes on standard input, after each: cshortfall's windows from C.
 *
 *     cc window.c -I INCLUDE -L LIBRARY_DIR -lcshortfall -lm -o window
 *     echo 0.3 -2.0 0.5 -1.0 | ./window 3 0.5
 *
 * cshortfall.get_include() and cshortfall.get_library_dir() name the two folders. */
#include <cshortfall.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    size_t length = argc > 1 ? (size_t)atoi(argv[1]) : 250, size = cs_window_size(length, 1);
    double level = argc > 2 ? atof(argv[2]) : 0.975, value, es;
    void *memory = malloc(size);
    cs_window *window;
    int status;

    if (memory == NULL) return 1;
    status = cs_window_init(memory, size, length, &level, 1, CS_TAIL_LOWER, length, &window);
    if (status != CS_OK) fprintf(stderr, "%s\n", cs_status_message(status));
    while (status == CS_OK && scanf("%lf", &value) == 1)
        if (cs_window_push(window, value, &es, NULL) == CS_OK) printf("%a\n", es);
    free(memory);
    return status;
}
