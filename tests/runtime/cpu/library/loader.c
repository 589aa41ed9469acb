// Loads a library of kernels and says what it runs; under QEMU it stands for another machine.
#include <dlfcn.h>
#include <stdio.h>

int main(int count, char** words) {
    void* library = count > 2 ? dlopen(words[1], RTLD_NOW) : 0;
    if (!library) return fprintf(stderr, "%s\n", dlerror()), 1;
    int (*runs)(const char*) = (int (*)(const char*))dlsym(library, "spair_runs");
    void* (*open)(int) = (void* (*)(int))dlsym(library, "spair_pool_open");
    void (*close)(void*) = (void (*)(void*))dlsym(library, "spair_pool_close");
    void* pool = open(3);
    printf("%d %d\n", runs(words[2]), pool != 0);
    close(pool);
    return 0;
}
