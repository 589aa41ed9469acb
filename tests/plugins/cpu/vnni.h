// The instruction of AVX-VNNI that the kernels use, for processors without it, so that all around it can run on them.

#pragma once

#include <immintrin.h>

#include <cstdint>

typedef int32_t SpairInts __attribute__((vector_size(32)));
typedef uint8_t SpairBytes __attribute__((vector_size(32)));

static inline __m256i spair_dpbusd(__m256i sum, __m256i values, __m256i weights) {
    SpairInts total = (SpairInts)sum;
    for (int i = 0; i < 32; ++i)
        total[i / 4] += static_cast<int32_t>(((SpairBytes)values)[i]) * static_cast<int8_t>(((SpairBytes)weights)[i]);
    return (__m256i)total;
}

#define _mm256_dpbusd_avx_epi32 spair_dpbusd
#define __AVXVNNI__ 1
