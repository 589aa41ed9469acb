/* A CUDA driver without a device, strict and asynchronous. Built as libcuda.so.1.

   Memory  Two views of one file: addresses that the program sees, and a back door for emulated work. Device memory
   cannot be touched through the first. Nothing is ever placed at an address again, and unused pages cannot be touched.
   Work    Streams are queues. They run when somebody waits (LAZY), at once (EAGER) or at random (RANDOM).
   Checks  Broken rules are sentences in emu_problem(): memory used after it was freed, host memory touched while queued
           work uses it (found by page faults), lost objects, calls that a capture forbids.
   Errors  emu_fail() lets a call or a piece of work fail; what is sticky on a GPU is sticky here. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

typedef int CUresult;
enum {
    OK,
    INVALID_VALUE,
    OUT_OF_MEMORY,
    NOT_INITIALIZED,
    NO_DEVICE = 100,
    INVALID_DEVICE,
    INVALID_IMAGE = 200,
    INVALID_CONTEXT,
    ECC = 214,
    INVALID_HANDLE = 400,
    NOT_FOUND = 500,
    NOT_READY = 600,
    ILLEGAL_ADDRESS = 700,
    LAUNCH_FAILED = 719,
    NOT_SUPPORTED = 801,
    CAPTURE_UNSUPPORTED = 900,
    CAPTURE_INVALIDATED,
    CAPTURE_MERGE,
    CAPTURE_UNMATCHED,
    CAPTURE_UNJOINED,
    CAPTURE_ISOLATION,
    CAPTURE_IMPLICIT,
    CAPTURED_EVENT,
    CAPTURE_WRONG_THREAD
};
static const struct {
    int code;
    const char *name, *words;
} ERRORS[] = {
    {0, "CUDA_SUCCESS", "no error"},
    {1, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {2, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {3, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {100, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {101, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {200, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    {201, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {209, "CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image is available for execution on the device"},
    {214, "CUDA_ERROR_ECC_UNCORRECTABLE", "uncorrectable ECC error encountered"},
    {400, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {500, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {600, "CUDA_ERROR_NOT_READY", "device not ready"},
    {700, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {701, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "too many resources requested for launch"},
    {702, "CUDA_ERROR_LAUNCH_TIMEOUT", "the launch timed out and was terminated"},
    {715, "CUDA_ERROR_ILLEGAL_INSTRUCTION", "an illegal instruction was encountered"},
    {716, "CUDA_ERROR_MISALIGNED_ADDRESS", "misaligned address"},
    {719, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {801, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    {900, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "operation not permitted when stream is capturing"},
    {901, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "operation failed due to a previous error during capture"},
    {902, "CUDA_ERROR_STREAM_CAPTURE_MERGE", "operation would result in a merge of separate capture sequences"},
    {903, "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED", "capture was not ended in the same stream as it began"},
    {904, "CUDA_ERROR_STREAM_CAPTURE_UNJOINED", "capturing stream has unjoined work"},
    {905, "CUDA_ERROR_STREAM_CAPTURE_ISOLATION", "dependency created on uncaptured work in another stream"},
    {906, "CUDA_ERROR_STREAM_CAPTURE_IMPLICIT",
     "operation would make the legacy stream depend on a capturing blocking stream"},
    {907, "CUDA_ERROR_CAPTURED_EVENT", "operation not permitted on an event last recorded in a capturing stream"},
    {908, "CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD",
     "attempt to terminate a thread-local capture sequence from another thread"},
    {999, "CUDA_ERROR_UNKNOWN", "unknown error"}};

enum { LAZY, EAGER, RANDOM };            /* when work runs */
enum { DEVICE, PINNED, MANAGED, KINDS }; /* of memory */
enum { COPY, SET, CALL, RECORD, WAIT };  /* of work */
enum { GLOBAL, THREAD_LOCAL, RELAXED };  /* of capture */
enum { POISON = 0xFF, PAGE = 4096, MOST = 1 << 20, NON_BLOCKING = 1, DEVICEMAP = 2 };
enum { DEEPEST = 64, CONTEXTS = 256, MODULES = 1 << 16 }; /* a thread's stack of contexts; objects of the process */
static const size_t ARENA = (size_t)256 << 30;

typedef struct Context {
    int live, primary, retained, lost;
    uint64_t id;
} Context;
typedef struct {
    uintptr_t front;
    char* back;
    size_t size, span;
    int kind, live, reads, writes, protection;
    unsigned flags;
    Context* context;
    int forgotten;
} Block;
typedef struct {
    Block* block;
    int write;
} Use;
struct Stream;
typedef struct {
    int live;
    Context* context;
    struct Stream* stream;
    uint64_t recorded, done, serial;
    double time;
    struct Capture* capture;
    int captured;
    unsigned flags;
} Event;
typedef struct Op {
    struct Op* next;
    int kind, width, count, submitted;
    unsigned value;
    uint64_t serial, token, generation;
    uintptr_t to, from;
    size_t bytes;
    Event* event;
    struct Stream* other;
    Use* uses;
} Op;
typedef struct Capture {
    struct Stream* origin;
    int mode, broken;
    pthread_t thread;
    Op *first, *last;
    int nodes;
} Capture;
typedef struct Stream {
    int live, busy, forgotten;
    Context* context;
    unsigned flags;
    Op *head, *tail;
    uint64_t last, done;
    Capture* capture;
    int captured, joined;
} Stream;
typedef struct {
    int live, nodes;
    Op* first;
    Context* context;
} Graph;
typedef struct {
    int live;
    const void* code;
    Context* context;
} Module;

/* What tests set and read. */
int emu_devices = 0, emu_schedule = LAZY, emu_sm = 87, emu_processors = 2, emu_integrated = 0, emu_version = 12060;
int emu_reject_code = 0, emu_loads = 0, emu_launches = 0, emu_memsets = 0, emu_performed = 0;
int emu_pageable = 0; /* whether the device reaches all memory of the host, as some integrated ones do */
uint64_t emu_memory = (uint64_t)8 << 30, emu_seed = 1;
CUresult (*emu_run)(uint64_t token) = 0; /* does a CALL */
uint64_t (*emu_bind)(const void* code, const unsigned* grid, unsigned threads, unsigned shared, uintptr_t stream,
                     void** parameters) = 0; /* makes a CALL of a launch */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
static Block* blocks;
static int block_count;
static char *front, *back;
static size_t used;
static uint64_t allocated[KINDS];
static Stream* streams[MOST];
static int stream_count;
static Event* events[MOST];
static int event_count;
static Graph* graphs[2][MOST];
static int graph_count[2]; /* 0: graphs, 1: executable ones */
static Module* modules[MODULES];
static int module_count;
static Context contexts[CONTEXTS];
static uint64_t context_ids;
static int context_count = 1, ready; /* 0: the primary one */
static Stream legacy = {.live = 1};
static __thread Context* stack[DEEPEST];
static __thread int depth, interaction; /* mode of the thread: which captures forbid it unsafe calls */
static char problems[512][512];
static int problem_count;
static struct {
    const char* name;
    uintptr_t value;
} calls[1 << 16];
static unsigned call_count;
static struct {
    char name[64];
    int after, code, times;
} failing[16];
static int failing_count;
static struct sigaction before;

static void problem(const char* format, ...) {
    va_list list;
    if (problem_count >= 512) return;
    va_start(list, format);
    vsnprintf(problems[problem_count++], sizeof problems[0], format, list);
    va_end(list);
}
static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}
static uint64_t chance(uint64_t below) {
    emu_seed = emu_seed * 6364136223846793005u + 1442695040888963407u;
    return (emu_seed >> 33) % below;
}
static Context* current(void) { return depth ? stack[depth - 1] : 0; }

#include "parts/memory.inc"
#include "parts/calls.inc"
#include "parts/work.inc"
#include "parts/contexts.inc"
#include "parts/allocation.inc"
#include "parts/streams.inc"
#include "parts/graphs.inc"
#include "parts/kernels.inc"
#include "parts/controls.inc"
#include "parts/absent.inc"
