// Vectors of floats in the notation that GCC and Clang share, so that one source serves every instruction set.
//
// Each instruction set is an object file of its own, compiled with SPAIR_SET as its name. Everything below lives in the
// namespace of that name: the linker must not merge functions that were compiled for different processors. For the same
// reason these headers use no template of the standard library.

#pragma once

#include <cstdint>
#include <cstring>

#if defined(__clang__)
#define SPAIR_UNROLL _Pragma("unroll")
#else
#define SPAIR_UNROLL _Pragma("GCC unroll 16")
#endif

// For functions that would be copied into every panel for nothing but a longer compilation.
#define SPAIR_APART __attribute__((noinline))

namespace SPAIR_SET {

#if defined(__AVX512F__)
constexpr int kLanes = 16, kRegisters = 32;
#elif defined(__AVX2__)
constexpr int kLanes = 8, kRegisters = 16;
#elif defined(__aarch64__)
constexpr int kLanes = 4, kRegisters = 32;
#else
constexpr int kLanes = 4, kRegisters = 16;
#endif

constexpr int kStep = 8;  // channels of every row and map are a multiple of this

typedef float Vector __attribute__((vector_size(kLanes * 4)));
typedef float Unaligned __attribute__((vector_size(kLanes * 4), aligned(4), may_alias));
typedef float Half __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t Integers __attribute__((vector_size(kLanes * 4)));

inline Vector load(const float* p) { return *reinterpret_cast<const Unaligned*>(p); }

inline void store(float* p, Vector v) { *reinterpret_cast<Unaligned*>(p) = v; }

inline Vector all(float x) { return x - Vector{}; }

// Stores as many values as a row has left: a full vector, or 8 of the 16 that AVX-512 has.
inline void store_left(float* p, Vector v, int left) {
    if (left >= kLanes) {
        store(p, v);
    } else if constexpr (kLanes > kStep) {
        *reinterpret_cast<Half*>(p) = *reinterpret_cast<const Half*>(&v);
    }
}

// Vector whose upper half is that of `second`.
template <class T>
inline T join(T first, T second) {
    Integers upper{};
    for (int k = kLanes / 2; k < kLanes; ++k) upper[k] = -1;
    return upper ? second : first;
}

// Vector whose upper half repeats the lower one.
template <class T>
inline T doubled(T v) {
    T both = v;
    for (int k = 0; k < kLanes / 2; ++k) both[kLanes / 2 + k] = v[k];
    return both;
}

constexpr int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
constexpr int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

// Asks for memory that is read or written soon. Processors do that by themselves where memory is passed through line by
// line, but stop at the end of each page.
template <bool Write = false>
inline void ask_for(const void* from, int64_t bytes) {
    constexpr int64_t kLine = 64;
    for (int64_t at = 0; at < bytes; at += kLine) __builtin_prefetch(static_cast<const char*>(from) + at, Write, 2);
}

// e^x for x <= 0 with a relative error of about 2e-7 (Cephes' polynomial); below -87 it is e^-87.
inline Vector exponential(Vector x) {
    x = x < -87.0f ? all(-87.0f) : x;
    const Vector shifted = x * 1.44269504f + 12582912.0f;  // 1.5 * 2^23: the sum is rounded to a whole number
    const Vector n = shifted - 12582912.0f;
    const Vector r = x - n * 0.693359375f + n * 2.12194440e-4f;
    Vector y = r * 1.9875691500e-4f + 1.3981999507e-3f;
    y = y * r + 8.3334519073e-3f;
    y = y * r + 4.1665795894e-2f;
    y = y * r + 1.6666665459e-1f;
    y = y * r + 5.0000001201e-1f;
    y = y * r * r + r + 1.0f;
    const Integers power = (__builtin_convertvector(n, Integers) + 127) << 23;
    return y * reinterpret_cast<Vector>(power);
}

inline float sum_of(Vector v) {
    float total = 0.0f;
    for (int i = 0; i < kLanes; ++i) total += v[i];
    return total;
}

}  // namespace SPAIR_SET
