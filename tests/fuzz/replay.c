/* Runs the libFuzzer target on files, where there is no clang. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int main(int argc, char **argv) {
    static uint8_t bytes[1 << 20];
    for (int i = 1; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        uint8_t *exact;
        size_t size;
        if (!file) return perror(argv[i]), 1;
        size = fread(bytes, 1, sizeof bytes, file);
        fclose(file);
        exact = malloc(size ? size : 1);
        for (size_t k = 0; k < size; k++) exact[k] = bytes[k];
        LLVMFuzzerTestOneInput(exact, size);
        free(exact);
    }
    printf("%d inputs replayed\n", argc - 1);
    return 0;
}
