/* A CUDA driver without a device: memory is the host's, and every launch is handed to a callback. Built as libcuda.so.1. */
#include <stddef.h>
#include <string.h>

typedef int CUresult;
typedef int (*launch_callback)(const void *code, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned shared,
                               void *stream, void **parameters);

enum { SUCCESS = 0, INVALID_VALUE = 1, NO_DEVICE = 100, INVALID_IMAGE = 200, CAPTURE_UNSUPPORTED = 900 };
enum { MULTIPROCESSORS = 16, MAJOR = 75, MINOR = 76, RELAXED = 2 };

/* What tests set and read. */
int fake_sm = 87, fake_processors = 2, fake_capturing = 0, fake_reject_code = 0, fake_no_context = 0;
int fake_context = 0, fake_capture_mode = 0; /* number of the context at the same place; 2: relaxed */
int fake_loads = 0, fake_launches = 0, fake_memsets = 0;
launch_callback fake_launch = 0;

/* Stays in the process once loaded: whoever else asks is told that there is no device. */
CUresult cuInit(unsigned flags) {
    (void)flags;
    return NO_DEVICE;
}

CUresult cuGetErrorString(CUresult result, const char **words) {
    *words = result == INVALID_IMAGE ? "device kernel image is invalid"
             : result == CAPTURE_UNSUPPORTED ? "operation not permitted when stream is capturing"
                                             : "invalid argument";
    return SUCCESS;
}

CUresult cuCtxGetCurrent(void **context) {
    static char contexts[256]; /* one for each device */
    *context = fake_no_context ? 0 : &contexts[fake_sm];
    return SUCCESS;
}

CUresult cuCtxGetId(void *context, unsigned long long *id) {
    (void)context;
    *id = 1000ull * fake_context + fake_sm;
    return SUCCESS;
}

CUresult cuThreadExchangeStreamCaptureMode(int *mode) {
    int old = fake_capture_mode;
    fake_capture_mode = *mode;
    *mode = old;
    return SUCCESS;
}

CUresult cuCtxGetDevice(int *device) {
    *device = 0;
    return SUCCESS;
}

CUresult cuDeviceGetAttribute(int *value, int attribute, int device) {
    (void)device;
    *value = attribute == MULTIPROCESSORS ? fake_processors : attribute == MAJOR ? fake_sm / 10 : fake_sm % 10;
    return attribute == MULTIPROCESSORS || attribute == MAJOR || attribute == MINOR ? SUCCESS : INVALID_VALUE;
}

CUresult cuModuleLoadData(void **module, const void *code) {
    if (fake_capturing && fake_capture_mode != RELAXED) return CAPTURE_UNSUPPORTED;
    if (fake_reject_code) return INVALID_IMAGE;
    ++fake_loads;
    *module = (void *)code;
    return SUCCESS;
}

CUresult cuModuleGetFunction(void **function, void *module, const char *symbol) {
    *function = module;
    return symbol[0] ? SUCCESS : INVALID_VALUE;
}

CUresult cuFuncSetAttribute(void *function, int attribute, int value) {
    (void)function, (void)attribute, (void)value;
    return fake_capturing && fake_capture_mode != RELAXED ? CAPTURE_UNSUPPORTED : SUCCESS;
}

CUresult cuMemsetD8Async(unsigned long long memory, unsigned char value, size_t bytes, void *stream) {
    (void)stream;
    ++fake_memsets;
    memset((void *)memory, value, bytes);
    return SUCCESS;
}

CUresult cuLaunchKernel(void *function, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned threads_y,
                        unsigned threads_z, unsigned shared, void *stream, void **parameters, void **extra) {
    if (!x || !y || !z || threads_y != 1 || threads_z != 1 || extra) return INVALID_VALUE;
    ++fake_launches;
    return fake_launch(function, x, y, z, threads, shared, stream, parameters);
}
