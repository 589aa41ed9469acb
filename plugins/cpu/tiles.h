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
    using Panel<Kind, Shape, M>::Panel;
    struct Setup {
        explicit Setup(int64_t) {}
    };
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
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(step), "i"(T) : "memory");
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

// Copies a row of words, and up to 15 words of zeros behind it.
inline void copy_words(const void* from, int64_t words, int32_t* to) {
    for (; words >= kLanes; words -= kLanes, to += kLanes, from = static_cast<const int32_t*>(from) + kLanes)
        *reinterpret_cast<Words*>(to) = load_words(static_cast<const int32_t*>(from));
    if (words > 0) *reinterpret_cast<__m512i*>(to) = _mm512_maskz_loadu_epi32((1u << words) - 1, from);
}

// Sums of one panel in tiles: M / 16 tiles of rows, each of V vectors of outputs.
template <class Kind, class Shape, int M>
struct PanelOf<Kind, Shape, M, true> {
    static constexpr int V = Shape::vectors, kGroups = M / kTileRows, kSums = kGroups * V;
    static constexpr int kWeights = V < 3 ? V : 3, kValues = kTiles - kSums - kWeights;
    static constexpr int64_t kHeld = 64;  // words of a row that are copied at a time
    static_assert(M % kTileRows == 0 && kValues > 0 && kLanes == kTileWords, "tiles");

    struct Setup {
        explicit Setup(int64_t words) {
            TileLayout layout;
            const int64_t depth = tile_words(words);
            for (int t = 0; t < kTiles; ++t) {
                const bool weights = t >= kSums && t < kSums + kWeights;
                layout.rows[t] = static_cast<uint8_t>(weights ? depth : kTileRows);
                layout.bytes[t] = static_cast<uint16_t>(t < kSums || weights ? kTileBytes : depth * 4);
            }
            lay_out_tiles(layout);
        }
        ~Setup() { release_tiles(); }
    };

    PanelOf(const Factors& factors, int column, unsigned taps = 0, int64_t wide = 0) {
        typename Kind::Sum first[V];
        start_sums<Kind>(factors, column, taps, wide, first);
        for_numbers<0, kSums>([&](auto n) { load_tile<n.value>(&first[n.value % V], 0); });
    }

    void add(const typename Kind::Value* const (&p)[M], const int32_t* weight, int64_t words) {
        const int64_t depth = tile_words(words), held = kHeld / depth * depth;
        for (int64_t at = 0; at < words; at += held, weight += held * V * kLanes)
            add_words(p, at * Kind::kGroup, weight, least(held, words - at), depth);
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
    // Rows of values as a tile reads them.
    struct Source {
        const char* from;
        int64_t step;
    };

    // Whether rows lie at equal distances, so that a tile can read them where they are.
    static bool is_even(const typename Kind::Value* const* p) {
        const int64_t step = p[1] - p[0];
        int64_t differs = 0;
        for (int m = 1; m < kTileRows; ++m) differs |= (p[m] - p[m - 1]) ^ step;
        return differs == 0;
    }

    void add_words(const typename Kind::Value* const (&p)[M], int64_t at, const int32_t* weight, int64_t words, int64_t depth) {
        alignas(64) int32_t copy[M][kHeld];
        Source source[kGroups];
        for (int g = 0; g < kGroups; ++g) {
            const typename Kind::Value* const* row = p + g * kTileRows;
            if (is_even(row)) {
                source[g] = {reinterpret_cast<const char*>(row[0] + at), (row[1] - row[0]) * static_cast<int64_t>(sizeof *row[0])};
                continue;
            }
            SPAIR_UNROLL
            for (int m = 0; m < kTileRows; ++m) copy_words(row[m] + at, words, copy[g * kTileRows + m]);
            source[g] = {reinterpret_cast<const char*>(copy[g * kTileRows]), kHeld * 4};
        }
        for (int64_t i = 0; i < words; i += depth) multiply(source, i * 4, weight + i * V * kLanes);
    }

    static void multiply(const Source (&source)[kGroups], int64_t byte, const int32_t* weight) {
        if constexpr (kGroups > 1) for_numbers<0, V>([&](auto v) { load_weights<v.value>(weight); });
        for_numbers<0, kGroups>([&](auto g) {
            constexpr int kValue = kSums + kWeights + g.value % kValues;
            load_tile<kValue>(source[g.value].from + byte, source[g.value].step);
            for_numbers<0, V>([&](auto v) {
                if constexpr (kGroups == 1) load_weights<v.value>(weight);
                multiply_tiles<Kind, g.value * V + v.value, kValue, kSums + v.value % kWeights>();
            });
        });
    }

    template <int Vth>
    static void load_weights(const int32_t* weight) {
        load_tile<kSums + Vth % kWeights>(weight + Vth * kLanes, V * kTileBytes);
    }
};

#endif

}  // namespace SPAIR_SET
