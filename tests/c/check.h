/* Tests that count: CHECK names the line that failed, RUN runs one test, report() ends the program. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>

static int passed, failed, broken;

#define CHECK(condition)                                                               \
    do {                                                                               \
        if (!(condition) && ++broken <= 20)                                            \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, __func__, #condition); \
    } while (0)

#define RUN(test)                 \
    do {                          \
        broken = 0;               \
        test();                   \
        if (broken)               \
            failed++;             \
        else                      \
            passed++;             \
    } while (0)

static int report(void) {
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}

#endif
