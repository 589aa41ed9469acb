// Kinds of numbers that products read: float32, steps of int8, and bfloat16.
//
// Values of a row are read in words of 32 bits: one float32, two bfloat16, or two or four steps. A vector of packed
// weights has one word of kLanes outputs side by side. Each kind has these members:
//   Value, kGroup      type of a value, and how many of them a word has
//   Packed             type of a packed weight
//   Sum, kWhole        vector of sums, one for each output, and whether they are whole numbers
//   Weights, Spread    vector of weight words, and a word of values in every lane, as the product takes them
//   rows_of            rows that a panel of so many vectors is computed for at once, so that all of it fills the registers;
//                      an even number where the last vector serves two rows
//   kTiled             whether products are made in tiles, see tiles.h; rows_of is a multiple of 16 then
//   place              index of a packed weight in its vector, by output and by input in its word

#pragma once

#include "vectors.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace SPAIR_SET {

typedef int32_t Words __attribute__((vector_size(kLanes * 4), aligned(4), may_alias));

inline Integers load_words(const int32_t* p) { return *reinterpret_cast<const Words*>(p); }

inline Integers spread_word(const void* p) {
    int32_t word;
    std::memcpy(&word, p, 4);
    return word - Integers{};
}

#if defined(__AMX_TILE__) || defined(SPAIR_TILES_IN_CPP)
#define SPAIR_TILED 1
#else
#define SPAIR_TILED 0
#endif

// Rows of a panel in tiles of 16: four tiles of sums, or as few as three.
constexpr int tiled_rows_of(int vectors) { return 16 * (4 / vectors); }

struct Floats {
    typedef float Value;
    typedef float Packed;
    typedef Vector Sum, Weights, Spread;
    static constexpr int kGroup = 1;
    static constexpr bool kWhole = false, kTiled = false;

    static constexpr int rows_of(int vectors) {
        if (kRegisters == 32) return vectors == 4 ? 6 : vectors == 3 ? 8 : 12;
        if (kLanes == 8) return vectors == 3 ? 4 : vectors == 2 ? 6 : 8;
        return vectors == 2 ? 4 : 6;
    }
    static constexpr int place(int output, int) { return output; }
    static Weights read(const int32_t* p) { return load(reinterpret_cast<const float*>(p)); }
    static Spread spread(const float* p) { return all(*p); }
    static void add(Sum& sum, Spread x, Weights w) { sum += x * w; }
};

// Steps of int8 are exact: their sums are whole numbers of 32 bits, which no product can overflow or saturate.
struct Steps {
#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
    typedef uint8_t Value;  // one factor has no sign in these instructions: steps are stored with kZero added
    typedef int8_t Packed;
    static constexpr int kGroup = 4, kZero = 128;
#elif defined(__ARM_FEATURE_DOTPROD)
    typedef int8_t Value;
    typedef int8_t Packed;
    static constexpr int kGroup = 4, kZero = 0;
#else
    typedef int16_t Value;
    typedef int16_t Packed;
    static constexpr int kGroup = 2, kZero = 0;
#endif
    typedef Integers Sum, Weights, Spread;
    static constexpr bool kWhole = true, kTiled = SPAIR_TILED;

    static constexpr int rows_of(int vectors) {
        if (kTiled) return tiled_rows_of(vectors);
        if (kLanes == 8 && kGroup == 2) return vectors == 3 ? 3 : vectors == 2 ? 5 : 8;  // a register holds products
        return Floats::rows_of(vectors);
    }
    static Weights read(const int32_t* p) { return load_words(p); }
    static Spread spread(const Value* p) { return spread_word(p); }
#if defined(__aarch64__) && !defined(__ARM_FEATURE_DOTPROD)
    static constexpr int place(int output, int input) { return input * kLanes + output; }
    static void add(Sum& sum, Spread x, Weights w) {
        const int16x4_t values = vget_low_s16((int16x8_t)x);
        const int32x4_t first = vmlal_lane_s16((int32x4_t)sum, vget_low_s16((int16x8_t)w), values, 0);
        sum = (Integers)vmlal_high_lane_s16(first, (int16x8_t)w, values, 1);
    }
#else
    static constexpr int place(int output, int input) { return output * kGroup + input; }
    static void add(Sum& sum, Spread x, Weights w) {
#if defined(__AVX512VNNI__)
        sum = (Integers)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)x, (__m512i)w);
#elif defined(__AVXVNNI__)
        sum = (Integers)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)x, (__m256i)w);
#elif defined(__AVX512BW__)
        sum += (Integers)_mm512_madd_epi16((__m512i)x, (__m512i)w);
#elif defined(__AVX2__)
        sum += (Integers)_mm256_madd_epi16((__m256i)x, (__m256i)w);
#elif defined(__x86_64__)
        sum += (Integers)_mm_madd_epi16((__m128i)x, (__m128i)w);
#elif defined(__ARM_FEATURE_DOTPROD)
        sum = (Integers)vdotq_s32((int32x4_t)sum, (int8x16_t)x, (int8x16_t)w);
#else
        sum += (x << 16 >> 16) * (w << 16 >> 16) + (x >> 16) * (w >> 16);
#endif
    }
#endif
};

// Products of bfloat16 values are exact in float32, where they are summed.
struct Halves {
    typedef uint16_t Value;
    typedef uint16_t Packed;
    typedef Vector Sum;
    static constexpr int kGroup = 2;
    static constexpr bool kWhole = false, kTiled = SPAIR_TILED;
    static constexpr int place(int output, int input) { return output * kGroup + input; }
#if defined(__AVX512BF16__) || defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
    typedef Integers Weights, Spread;

    static constexpr int rows_of(int vectors) { return kTiled ? tiled_rows_of(vectors) : Floats::rows_of(vectors); }
    static Weights read(const int32_t* p) { return load_words(p); }
    static Spread spread(const Value* p) { return spread_word(p); }
    static void add(Sum& sum, Spread x, Weights w) {
#if defined(__AVX512BF16__)
        sum = (Vector)_mm512_dpbf16_ps((__m512)sum, (__m512bh)x, (__m512bh)w);
#else
        sum = (Vector)vbfdotq_f32((float32x4_t)sum, (bfloat16x8_t)x, (bfloat16x8_t)w);
#endif
    }
#else
    struct Pair {
        Vector first, second;
    };
    typedef Pair Weights, Spread;

    static constexpr int rows_of(int vectors) {
        if (kRegisters == 32) return vectors == 4 ? 4 : vectors == 3 ? 6 : 8;
        if (kLanes == 8) return vectors == 3 ? 2 : vectors == 2 ? 4 : 6;
        return vectors == 2 ? 3 : 6;
    }
    static Pair widen(Integers words) { return {(Vector)(words << 16), (Vector)(words & ~0xffff)}; }
    static Weights read(const int32_t* p) { return widen(load_words(p)); }
    static Spread spread(const Value* p) { return widen(spread_word(p)); }
    static void add(Sum& sum, const Spread& x, const Weights& w) {
        sum += x.first * w.first;
        sum += x.second * w.second;
    }
#endif
};

#if !defined(__AVX512BF16__) && !defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
inline Halves::Pair join(const Halves::Pair& first, const Halves::Pair& second) {
    return {join(first.first, second.first), join(first.second, second.second)};
}
#endif

template <class Kind>
constexpr int64_t words_of(int64_t values) {
    return (values + Kind::kGroup - 1) / Kind::kGroup;
}

// Where the values of a layer go: as float32, rounded for the layers that read them, or both.
struct Results {
    float* out;     // null: none
    void* rounded;  // as `form` says
    float step;     // value of one step
    int32_t form;   // one of Form
};

enum Form { kNone, kSteps, kHalves };

// Halves are rounded to even, and steps cover -128..127; what is not a number becomes any step.
inline Integers to_steps(Vector y, float step) {
    constexpr float kWhole = 12582912.0f;  // 1.5 * 2^23: a sum with it is rounded to a whole number
    y = y / step;
    y = y < -128.0f ? all(-128.0f) : y;
    y = y > 127.0f ? all(127.0f) : y;
    y = y + kWhole;
    y = y - kWhole;
    return __builtin_convertvector(y, Integers) + Steps::kZero;
}

inline Integers to_halves(Vector y) {
#if defined(__AVX512BF16__)
    return (Integers)_mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)y));  // what is nearly zero becomes zero
#else
    typedef uint32_t Bits __attribute__((vector_size(kLanes * 4)));
    const Bits bits = (Bits)y;
    const Bits rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    return (Integers)(y == y ? rounded : (Bits)(0x7fc0 - Integers{}));  // NaN stays NaN
#endif
}

// Stores the low bits of whole numbers, 8 of 16 where a row has no more left.
template <class T>
inline void store_low(T* p, Integers v, int left) {
    typedef T Narrow __attribute__((vector_size(kLanes * sizeof(T))));
    typedef T Unaligned __attribute__((vector_size(kLanes * sizeof(T)), aligned(1), may_alias));
    typedef T Part __attribute__((vector_size(kStep * sizeof(T)), aligned(1), may_alias));
    const Narrow low = __builtin_convertvector(v, Narrow);
    if (left >= kLanes) {
        *reinterpret_cast<Unaligned*>(p) = low;
    } else if constexpr (kLanes > kStep) {
        *reinterpret_cast<Part*>(p) = *reinterpret_cast<const Part*>(&low);
    }
}

inline Vector load_halves(const uint16_t* p) {
    typedef uint16_t Narrow __attribute__((vector_size(kLanes * 2), aligned(2), may_alias));
    return (Vector)(__builtin_convertvector(*reinterpret_cast<const Narrow*>(p), Integers) << 16);
}

// Stores a vector of results whose forms the compiler knows.
template <bool Out, int Rounded>
inline void store_forms(const Results& to, int64_t at, Vector y, int left) {
    if constexpr (Out) store_left(to.out + at, y, left);
    if constexpr (Rounded == kSteps) store_low(static_cast<Steps::Value*>(to.rounded) + at, to_steps(y, to.step), left);
    if constexpr (Rounded == kHalves) store_low(static_cast<Halves::Value*>(to.rounded) + at, to_halves(y), left);
}

template <bool Out, int Rounded>
struct Forms {
    static constexpr bool out = Out;
    static constexpr int rounded = Rounded;
};

// Calls f with the forms of results, so that what it does to many of them asks once.
template <class Function>
inline void with_forms(const Results& to, Function f) {
    if (to.form == kNone) return f(Forms<true, kNone>{});
    if (to.form == kSteps) return to.out ? f(Forms<true, kSteps>{}) : f(Forms<false, kSteps>{});
    return to.out ? f(Forms<true, kHalves>{}) : f(Forms<false, kHalves>{});
}

inline void store_results(const Results& to, int64_t at, Vector y, int left) {
    with_forms(to, [&](auto forms) { store_forms<forms.out, forms.rounded>(to, at, y, left); });
}

// Asks for the memory of a stretch of results.
inline void ask_for_results(const Results& to, int64_t at, int64_t count) {
    if (to.out) ask_for<true>(to.out + at, count * sizeof(float));
    if (to.form == kSteps) ask_for<true>(static_cast<Steps::Value*>(to.rounded) + at, count * sizeof(Steps::Value));
    if (to.form == kHalves) ask_for<true>(static_cast<Halves::Value*>(to.rounded) + at, count * sizeof(Halves::Value));
}

template <class T>
inline void fill(T* to, int64_t count, T value) {
    for (int64_t i = 0; i < count; ++i) to[i] = value;
}

// Fills a stretch of results with what stands for zero.
inline void fill_zeros(const Results& to, int64_t at, int64_t count) {
    if (to.out) fill(to.out + at, count, 0.0f);
    if (to.form == kSteps) fill(static_cast<Steps::Value*>(to.rounded) + at, count, static_cast<Steps::Value>(Steps::kZero));
    if (to.form == kHalves) fill(static_cast<Halves::Value*>(to.rounded) + at, count, static_cast<Halves::Value>(0));
}

}  // namespace SPAIR_SET
