// Products in the tiles of AMX, 16 rows times 16 outputs at a time.
//
// A tile has 16 rows of 64 bytes: values of 16 rows of a layer, 16 words each; weights of 16 words, 16 outputs each, as
// `pack` orders them; or their sums. A layer whose words are no multiple of 16 uses tiles of fewer words, all of one
// size, since the processor takes the same time for them.
//
// With SPAIR_TILES_IN_CPP the instructions are written in C++, so that all around them runs where AMX is absent.

#pragma once

#include "products.h"

namespace SPAIR_SET {

// Panel of a kind of numbers: in registers, or in tiles.
template <class Kind, class Shape, int M, bool Tiled = Kind::kTiled>
struct PanelOf : Panel<Kind, Shape, M> {
    // What panels of one layer share; made for the words of a tap.
    struct Setup {
        explicit Setup(int64_t) {}
    };
    PanelOf(const Setup&, const Factors& factors, int column, unsigned taps, int64_t wide)
        : Panel<Kind, Shape, M>(factors, column, taps, wide) {}
};

#if SPAIR_TILED

constexpr int kTileRows = 16, kTileWords = 16, kTiles = 8, kTileBytes = 64;

// Layout of the tiles: rows and bytes of a row for each.
struct alignas(64) TileLayout {
    uint8_t palette = 1, start = 0, reserved[14] = {};
    uint16_t bytes[16] = {};
    uint8_t rows[16] = {};
};

#if defined(SPAIR_TILES_IN_CPP)

struct TileState {
    TileLayout layout;
    alignas(64) uint8_t tile[kTiles][kTileRows][kTileBytes];
};

inline TileState& tile_state() {
    static thread_local TileState state;
    return state;
}

inline void lay_out_tiles(const TileLayout& layout) { tile_state().layout = layout; }

inline void release_tiles() { tile_state().layout = TileLayout{}; }

template <int T>
inline void load_tile(const void* from, int64_t step) {
    const TileLayout& layout = tile_state().layout;
    for (int r = 0; r < layout.rows[T]; ++r)
        std::memcpy(tile_state().tile[T][r], static_cast<const uint8_t*>(from) + r * step, layout.bytes[T]);
}

template <int T>
inline void store_tile(void* to, int64_t step) {
    const TileLayout& layout = tile_state().layout;
    for (int r = 0; r < layout.rows[T]; ++r)
        std::memcpy(static_cast<uint8_t*>(to) + r * step, tile_state().tile[T][r], layout.bytes[T]);
}

template <class Kind, int Sum, int Value, int Weight>
inline void multiply_tiles() {
    TileState& state = tile_state();
    for (int r = 0; r < state.layout.rows[Sum]; ++r) {
        typename Kind::Sum sum;
        std::memcpy(&sum, state.tile[Sum][r], kTileBytes);
        for (int word = 0; word < state.layout.bytes[Value] / 4; ++word) {
            const auto* value = reinterpret_cast<const typename Kind::Value*>(state.tile[Value][r]) + word * Kind::kGroup;
            Kind::add(sum, Kind::spread(value), Kind::read(reinterpret_cast<const int32_t*>(state.tile[Weight][word])));
        }
        std::memcpy(state.tile[Sum][r], &sum, kTileBytes);
    }
}

#else

inline void lay_out_tiles(const TileLayout& layout) { __asm__ volatile("ldtilecfg %0" : : "m"(layout)); }

inline void release_tiles() { __asm__ volatile("tilerelease"); }

template <int T>
inline void load_tile(const void* from, int64_t step) {
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(step), "i"(T));
}

template <int T>
inline void store_tile(void* to, int64_t step) {
    __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(step), "i"(T) : "memory");
}

template <class Kind, int Sum, int Value, int Weight>
inline void multiply_tiles() {
    if constexpr (Kind::kWhole)
        __asm__ volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(Sum), "i"(Value), "i"(Weight));
    else
        __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(Sum), "i"(Value), "i"(Weight));
}

#endif

// Ends what was written before tiles are loaded, which the compiler does not see reading memory.
inline void finish_writing() { __asm__ volatile("" : : : "memory"); }

template <int I>
struct Number {
    static constexpr int value = I;
};

// Calls f with the numbers from I to below End, each known to the compiler.
template <int I, int End, class Function>
inline void for_numbers(Function f) {
    if constexpr (I < End) {
        f(Number<I>{});
        for_numbers<I + 1, End>(f);
    }
}

// Words of a tile of values where a tap has so many: the most that divide them.
inline int64_t tile_words(int64_t words) {
    int64_t tiles = (words + kTileWords - 1) / kTileWords;
    while (words % tiles != 0) ++tiles;
    return words / tiles;
}

// Sums of one panel in tiles: M / 16 tiles of rows, each of V vectors of outputs.
template <class Kind, class Shape, int M>
struct PanelOf<Kind, Shape, M, true> {
    static constexpr int V = Shape::vectors, kGroups = M / kTileRows, kSums = kGroups * V;
    static constexpr int kWeights = V < 3 ? V : 3, kValues = kTiles - kSums - kWeights;  // tiles of each
    static constexpr int64_t kHeld = 64;  // words of a row that are copied at a time
    static constexpr int64_t kBytes = sizeof(typename Kind::Value);
    static_assert(M % kTileRows == 0 && (kGroups == 1 || kWeights == V) && kLanes == kTileWords, "tiles");

    struct Setup {
        int64_t depth, held;  // words of a tile, and how many are copied at a time

        explicit Setup(int64_t words) : depth(tile_words(words)), held(kHeld / depth * depth) {
            TileLayout layout;
            for (int t = 0; t < kTiles; ++t) {
                const bool weights = t >= kSums && t < kSums + kWeights;
                layout.rows[t] = static_cast<uint8_t>(weights ? depth : kTileRows);
                layout.bytes[t] = static_cast<uint16_t>(t < kSums || weights ? kTileBytes : depth * 4);
            }
            lay_out_tiles(layout);
        }
        ~Setup() { release_tiles(); }
    };

    PanelOf(const Setup& setup, const Factors& factors, int column, unsigned taps, int64_t wide) : depth(setup.depth), held(setup.held) {
        typename Kind::Sum first[V];
        start_sums<Kind>(factors, column, taps, wide, first);
        finish_writing();
        for_numbers<0, kSums>([&](auto n) { load_tile<n.value>(&first[n.value % V], 0); });
    }

    void add_line(const typename Kind::Value* from, int64_t step, int64_t count, const int32_t* weight, int64_t words) {
        const auto find = [=](int64_t m) { return from + least(m, count - 1) * step; };
        const int64_t whole = count / kTileRows;
        add(find, [=](int g) { return g < whole; }, step, weight, words);
    }

    void add_rows(
        const typename Kind::Value* x, int64_t step, const int32_t* numbers, const int32_t* place, const int32_t* weight, int64_t words
    ) {
        alignas(64) int32_t number[M];
        bool even[kGroups];
        const Integers upward = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
        for (int g = 0; g < kGroups; ++g) {
            const int32_t* at = place + g * kTileRows;
            const bool line = _mm512_cmpneq_epi32_mask((__m512i)load_words(at), (__m512i)(upward + *at)) == 0;
            const __m512i found =
                line ? (__m512i)load_words(numbers + *at) : _mm512_i32gather_epi32((__m512i)load_words(at), numbers, 4);
            _mm512_store_si512(number + g * kTileRows, found);
            even[g] = _mm512_cmpneq_epi32_mask(found, (__m512i)(upward + number[g * kTileRows])) == 0;
        }
        const auto find = [=, &number](int64_t m) { return x + number[m] * step; };
        add(find, [&even](int g) { return even[g]; }, step, weight, words);
    }

    void write(const Factors& factors, int column, Vector* to) const {
        for_numbers<0, kSums>([&](auto n) {
            constexpr int kGroup = n.value / V, kVector = n.value % V;
            store_tile<n.value>(to + kGroup * kTileRows * V + kVector, V * kTileBytes);
        });
        if constexpr (Kind::kWhole)
            for (int v = 0; v < V; ++v)
                for (int m = 0; m < M; ++m) {
                    Vector* value = to + m * V + v;
                    *value = value_of<Kind>(factors, column + v * kLanes, *reinterpret_cast<const Integers*>(value), v >= Shape::own);
                }
    }

  private:
    const int64_t depth, held;  // see Setup

    // Rows of values as a tile reads them.
    struct Source {
        const char* from;
        int64_t step;
    };

    // `find` gives the place of a row, and `even` tells of which tiles the rows lie `step` values apart, so that they are
    // read where they are; the others are copied.
    template <class Find, class Even>
    void add(Find find, Even even, int64_t step, const int32_t* weight, int64_t words) {
        for (int64_t at = 0; at < words; at += held, weight += held * V * kLanes) {
            alignas(64) int32_t copy[M][kHeld];
            const int64_t now = least(held, words - at);
            Source source[kGroups];
            for (int g = 0; g < kGroups; ++g) {
                const int first = g * kTileRows;
                source[g] = even(g) ? Source{reinterpret_cast<const char*>(find(first) + at * Kind::kGroup), step * kBytes}
                                    : copy_rows([&](int m) { return find(first + m) + at * Kind::kGroup; }, now, copy + first);
            }
            finish_writing();
            for (int64_t i = 0; i < now; i += depth) multiply(source, i * 4, weight + i * V * kLanes);
        }
    }

    template <class Find>
    static SPAIR_APART Source copy_rows(Find find, int64_t words, int32_t (*to)[kHeld]) {
        const int64_t whole = words / kLanes * kLanes;
        const __mmask16 rest = static_cast<__mmask16>((1u << (words - whole)) - 1);
        for (int m = 0; m < kTileRows; ++m) {
            const auto* from = reinterpret_cast<const int32_t*>(find(m));
            for (int64_t i = 0; i < whole; i += kLanes) _mm512_store_si512(to[m] + i, _mm512_loadu_si512(from + i));
            if (rest) _mm512_store_si512(to[m] + whole, _mm512_maskz_loadu_epi32(rest, from + whole));
        }
        return {reinterpret_cast<const char*>(to), kHeld * 4};
    }

    static void multiply(const Source (&source)[kGroups], int64_t byte, const int32_t* weight) {
        for_numbers<0, kGroups>([&](auto g) {
            constexpr int kValue = kSums + kWeights + g.value % kValues;
            load_tile<kValue>(source[g.value].from + byte, source[g.value].step);
            for_numbers<0, V>([&](auto v) {
                constexpr int kWeight = kSums + v.value % kWeights;
                if constexpr (g.value == 0) load_tile<kWeight>(weight + v.value * kLanes, V * kTileBytes);
                multiply_tiles<Kind, g.value * V + v.value, kValue, kWeight>();
            });
        });
    }
};

#endif

}  // namespace SPAIR_SET
