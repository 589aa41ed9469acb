// SparseConv2d on rows of distorted pixels, see README.md and reference.py.

#pragma once

#include "../cpu/pool.h"
#include "../cpu/tiles.h"

namespace SPAIR_SET {

constexpr unsigned kAllTaps = 0x1ff;
constexpr int64_t kRows = 192;  // rows of a task: with them a panel of weights stays in the cache
constexpr int64_t kAhead = 2;   // panels that memory is asked for ahead of its use

struct RowConvolution {
    const void* x;           // [1 + rows][x_stride] values; row 0 stands for absent neighbours and is zero
    const int32_t* weight;   // packed [taps][inputs][outputs]; tap 3 * (dy + 1) + dx + 1
    Factors factors;
    const void* add;         // rows of `outputs` that are added after the activation; null: none
    const int32_t* add_at;   // [rows] which of them; null: the row's own
    const int32_t* numbers;  // map of the rows of x, see compaction/cpu.h; not read by a kernel of 1
    const int32_t* place;    // [rows] places in that map
    const uint16_t* near;    // [rows] neighbours that are there; null: all may be
    Results to;              // [1 + rows][outputs]; row 0 becomes zero; `out` may be `add` + nothing but never x
    int64_t rows;
    int32_t x_stride, inputs, outputs, kernel, wide;  // wide: width of the map of numbers
    float slope;             // of the activation below zero
    int32_t relu;            // whether a ReLU follows the sum
    int32_t add_halves;      // whether `add` is bfloat16 in place of float32
};

inline int64_t added_bytes(const RowConvolution& a) { return a.outputs * (a.add_halves ? 2 : 4); }

// Asks for what `count` results from row r on read and write. A kernel of 3 comes to the rows below theirs first.
template <class Kind>
inline void ask_for_rows(const RowConvolution& a, int64_t r, int64_t count) {
    const int64_t first = a.kernel == 1 ? r + 1 : a.numbers[a.place[r] + a.wide], line = a.x_stride * sizeof(typename Kind::Value);
    ask_for(static_cast<const char*>(a.x) + first * line, count * line);
    if (a.add && !a.add_at) ask_for(static_cast<const char*>(a.add) + r * added_bytes(a), count * added_bytes(a));
    ask_for_results(a.to, (r + 1) * a.outputs, count * a.outputs);
}

template <class Kind, class Shape>
inline void convolve_panel(const RowConvolution& a, const int32_t* weight, int column, int64_t from, int64_t to) {
    constexpr int V = Shape::vectors, M = Kind::rows_of(V);
    typedef PanelOf<Kind, Shape, M> Panel;
    const auto* x = static_cast<const typename Kind::Value*>(a.x);
    const int64_t words = words_of<Kind>(a.inputs), wide = vectors_of(a.outputs) * kLanes;
    const typename Panel::Setup setup(words);
    for (int64_t r = from; r < to; r += M) {
        const int64_t count = least(M, to - r);
        int32_t held[M];
        const int32_t* place = a.place + r;
        unsigned near = a.kernel == 1 ? 1 : a.near ? 0 : kAllTaps;
        if (a.kernel != 1 && a.near)
            for (int m = 0; m < count; ++m) near |= a.near[r + m];
        if (a.kernel != 1 && count < M) {
            for (int m = 0; m < M; ++m) held[m] = place[least(m, count - 1)];
            place = held;
        }
        Panel panel(setup, a.factors, column, near, wide);
        if (a.kernel == 1) panel.add_line(x + (r + 1) * a.x_stride, a.x_stride, count, weight, words);
        for (int t = 0; a.kernel != 1 && t < 9; ++t) {
            if (!(near >> t & 1)) continue;
            const int32_t* numbers = a.numbers + static_cast<int64_t>(t / 3 - 1) * a.wide + t % 3 - 1;
            panel.add_rows(x, a.x_stride, numbers, place, weight + t * words * V * kLanes, words);
        }
        if (column == 0 && r + kAhead * M < to) ask_for_rows<Kind>(a, r + kAhead * M, M);
        Vector values[M * V];
        panel.write(a.factors, column, values);
        const int32_t* add_at = a.add_at ? a.add_at + r : nullptr;
        const void* add = a.add && !add_at ? static_cast<const char*>(a.add) + r * added_bytes(a) : a.add;
        finish_rows<V>(a.to, (r + 1) * a.outputs, values, column, {a.slope, add, add_at, a.add_halves, a.relu, a.outputs}, count);
    }
}

template <class Kind>
inline void convolve_rows(SpairPool* pool, const RowConvolution& a) {
    fill_zeros(a.to, 0, a.outputs);
    const int64_t taps = a.kernel * a.kernel;
    in_parallel(pool, (a.rows + kRows - 1) / kRows, [&a, taps](int64_t task) {
        for_panels<Kind>(a.outputs, taps * words_of<Kind>(a.inputs), [&](auto shape, int64_t at, int column) {
            convolve_panel<Kind, decltype(shape)>(a, a.weight + at, column, task * kRows, least((task + 1) * kRows, a.rows));
        });
    });
}

// Sums of taps, for a layer of so few outputs that its 9 taps fit into few vectors: a product of a kernel of 1 has
// made the share of every tap beside each row, and each result adds up those of its neighbours.
struct RowTaps {
    const float* x;          // [1 + rows][x_stride], 9 * channels shares: channel of tap t at t * channels; row 0 is zero
    const int32_t* numbers;  // see RowConvolution
    const int32_t* place;
    const float* bias;       // [kStep]
    float* out;              // [1 + rows][kStep]; row 0 and the channels behind the last one become zero
    int64_t rows;
    int32_t x_stride, channels, wide;  // channels: fewer than kStep
};

inline void sum_taps(SpairPool* pool, const RowTaps& a) {
    for (int k = 0; k < kStep; ++k) a.out[k] = 0.0f;
    float used[kStep];
    for (int k = 0; k < kStep; ++k) used[k] = k < a.channels ? 1.0f : 0.0f;
    in_parallel(pool, (a.rows + kRows - 1) / kRows, [&](int64_t task) {
        for (int64_t r = task * kRows; r < least((task + 1) * kRows, a.rows); ++r) {
            const int32_t* numbers = a.numbers + a.place[r];
            Half sum = *reinterpret_cast<const Half*>(a.bias);
            SPAIR_UNROLL
            for (int t = 0; t < 9; ++t) {
                const int64_t row = numbers[static_cast<int64_t>(t / 3 - 1) * a.wide + t % 3 - 1];
                sum += *reinterpret_cast<const Half*>(a.x + row * a.x_stride + t * a.channels);
            }
            for (int k = 0; k < kStep; ++k) a.out[(r + 1) * kStep + k] = used[k] != 0.0f ? sum[k] : 0.0f;
        }
    });
}

}  // namespace SPAIR_SET
