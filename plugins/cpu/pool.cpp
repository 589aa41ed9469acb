// The pool of threads, and what the processor can do. Compiled once, for the oldest processor of the architecture.

#define SPAIR_SET shared
#include "pool.h"

#include <pthread.h>

#include <cstdlib>
#include <cstring>

// glibc 2.34 moved these from libpthread to libc and gave them new versions. Asked for by their old ones, which it keeps,
// they let a library that was built here load on older systems. A static program (SPAIR_STATIC) has no versions.
#if defined(__GLIBC__) && (defined(__x86_64__) || defined(__aarch64__)) && !defined(SPAIR_STATIC)
#if defined(__x86_64__)
#define SPAIR_OLD "GLIBC_2.2.5"
#else
#define SPAIR_OLD "GLIBC_2.17"
#endif
__asm__(".symver pthread_create,pthread_create@" SPAIR_OLD);
__asm__(".symver pthread_join,pthread_join@" SPAIR_OLD);
__asm__(".symver pthread_mutex_trylock,pthread_mutex_trylock@" SPAIR_OLD);
#endif

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

#define SPAIR_EXPORT __attribute__((visibility("default")))

// Plain threads of the system in place of the standard library's, so that the library needs libc alone.
struct SpairPool {
    pthread_mutex_t busy, lock;
    pthread_cond_t woken, finished;
    pthread_t* workers;
    int started;
    void (*work)(void*, int64_t);
    void* context;
    int64_t count;
    int64_t next;
    uint64_t turn, open_turn;  // open_turn: the last turn that is over
    int active;
    bool leaving;
};

namespace {

// Checks before a thread sleeps, some 50 microseconds: the next kernel of a picture follows sooner, and to wake a thread
// takes longer than many kernels.
constexpr int kChecks = 2000;

void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

// Waits for a little while until a number that other threads change is no longer the old one.
void wait_briefly(const uint64_t* number, uint64_t old) {
    for (int i = 0; i < kChecks && __atomic_load_n(number, __ATOMIC_RELAXED) == old; ++i) pause();
}

// The same until it is zero.
void wait_briefly(const int* number) {
    for (int i = 0; i < kChecks && __atomic_load_n(number, __ATOMIC_RELAXED) != 0; ++i) pause();
}

void take(SpairPool* pool) {
    for (;;) {
        const int64_t i = __atomic_fetch_add(&pool->next, 1, __ATOMIC_RELAXED);  // the lock orders all else
        if (i >= pool->count) return;
        pool->work(pool->context, i);
    }
}

void* serve(void* argument) {
    SpairPool* pool = static_cast<SpairPool*>(argument);
    uint64_t seen = 0;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        pthread_mutex_unlock(&pool->lock);
        wait_briefly(&pool->turn, seen);
        pthread_mutex_lock(&pool->lock);
        while (!pool->leaving && (pool->turn == seen || pool->turn == pool->open_turn))
            pthread_cond_wait(&pool->woken, &pool->lock);
        if (pool->leaving) break;
        seen = pool->turn;
        __atomic_store_n(&pool->active, pool->active + 1, __ATOMIC_RELAXED);
        pthread_mutex_unlock(&pool->lock);
        take(pool);
        pthread_mutex_lock(&pool->lock);
        __atomic_store_n(&pool->active, pool->active - 1, __ATOMIC_RELAXED);
        if (pool->active == 0) pthread_cond_signal(&pool->finished);
    }
    pthread_mutex_unlock(&pool->lock);
    return nullptr;
}

void close_pool(SpairPool* pool) {
    pthread_mutex_lock(&pool->lock);
    pool->leaving = true;
    pthread_cond_broadcast(&pool->woken);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->started; ++i) pthread_join(pool->workers[i], nullptr);
    pthread_cond_destroy(&pool->finished);
    pthread_cond_destroy(&pool->woken);
    pthread_mutex_destroy(&pool->lock);
    pthread_mutex_destroy(&pool->busy);
    std::free(pool->workers);
    std::free(pool);
}

}  // namespace

extern "C" {

// Null where the system gives no more threads.
SPAIR_EXPORT SpairPool* spair_pool_open(int threads) {
    SpairPool* pool = static_cast<SpairPool*>(std::calloc(1, sizeof(SpairPool)));
    if (!pool) return nullptr;
    pthread_mutex_init(&pool->busy, nullptr);
    pthread_mutex_init(&pool->lock, nullptr);
    pthread_cond_init(&pool->woken, nullptr);
    pthread_cond_init(&pool->finished, nullptr);
    pool->workers = static_cast<pthread_t*>(std::calloc(threads > 1 ? threads - 1 : 1, sizeof(pthread_t)));
    bool made = pool->workers != nullptr;
    while (made && pool->started < threads - 1) {
        made = pthread_create(&pool->workers[pool->started], nullptr, serve, pool) == 0;
        pool->started += made;
    }
    if (made) return pool;
    close_pool(pool);
    return nullptr;
}

SPAIR_EXPORT void spair_pool_close(SpairPool* pool) { close_pool(pool); }

void spair_pool_run(SpairPool* pool, int64_t count, void (*work)(void*, int64_t), void* context) {
    if (!pool->started || count < 2 || pthread_mutex_trylock(&pool->busy) != 0) {
        for (int64_t i = 0; i < count; ++i) work(context, i);
        return;
    }
    pthread_mutex_lock(&pool->lock);
    pool->work = work, pool->context = context, pool->count = count;
    __atomic_store_n(&pool->next, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&pool->turn, pool->turn + 1, __ATOMIC_RELAXED);
    pthread_cond_broadcast(&pool->woken);
    pthread_mutex_unlock(&pool->lock);
    take(pool);
    pthread_mutex_lock(&pool->lock);
    pool->open_turn = pool->turn;  // workers that wake up now find the turn over
    pthread_mutex_unlock(&pool->lock);
    wait_briefly(&pool->active);
    pthread_mutex_lock(&pool->lock);
    while (pool->active != 0) pthread_cond_wait(&pool->finished, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
    pthread_mutex_unlock(&pool->busy);
}

#if defined(__x86_64__)
// A bit of leaf 7 of cpuid; compilers know the names of some of these later than their instructions.
static bool has_leaf(unsigned part, int place, int bit) {
    unsigned found[4] = {};
    return __get_cpuid_count(7, part, &found[0], &found[1], &found[2], &found[3]) && (found[place] >> bit & 1);
}

// Linux gives a process the memory for tiles only if it asks; later threads have it too.
static bool allows_tiles() {
#if defined(__linux__)
    constexpr long kAsk = 0x1023, kTiles = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    return syscall(SYS_arch_prctl, kAsk, kTiles) == 0;
#else
    return false;
#endif
}
#elif defined(__aarch64__)
#if defined(__linux__)
static bool has_capability(unsigned long type, int bit) { return getauxval(type) >> bit & 1; }
#else
enum { AT_HWCAP, AT_HWCAP2 };
static bool has_capability(int, int) { return false; }
#endif
#endif

// Whether this processor and its system run an instruction set.
SPAIR_EXPORT int spair_runs(const char* set) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma");
    const bool avx512vnni = avx512 && has_leaf(0, 2, 11);
    if (!std::strcmp(set, "amx"))
        return avx512vnni && has_leaf(1, 0, 5) && has_leaf(0, 3, 22) && has_leaf(0, 3, 24) && has_leaf(0, 3, 25) && allows_tiles();
    if (!std::strcmp(set, "avx512bf16")) return avx512vnni && has_leaf(1, 0, 5);
    if (!std::strcmp(set, "avx512vnni")) return avx512vnni;
    if (!std::strcmp(set, "avx512")) return avx512;
    if (!std::strcmp(set, "avxvnni")) return avx2 && has_leaf(1, 0, 4);
    if (!std::strcmp(set, "avx2")) return avx2;
    return !std::strcmp(set, "sse2");
#elif defined(__aarch64__)
    const bool dot = has_capability(AT_HWCAP, 20);
    if (!std::strcmp(set, "neonbf16")) return dot && has_capability(AT_HWCAP2, 14);
    if (!std::strcmp(set, "neondot")) return dot;
    return !std::strcmp(set, "neon");
#else
    return !std::strcmp(set, "plain");
#endif
}
}
