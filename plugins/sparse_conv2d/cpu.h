// SparseConv2d on rows of distorted pixels, see README.md and reference.py.

#pragma once

#include "../cpu/pool.h"
#include "../cpu/tiles.h"

namespace SPAIR_SET {

constexpr unsigned kAllTaps = 0x1ff;
constexpr int64_t kRows = 192;  // rows of a task: with them a panel of weights stays in the cache

struct RowConvolution {
    const void* x;           // [1 + rows][x_stride] values; row 0 stands for absent neighbours and is zero
    const int32_t* weight;   // packed [taps][inputs][outputs]; tap 3 * (dy + 1) + dx + 1
    Factors factors;
    const float* add;        // rows of `outputs` that are added after the activation; null: none
    const int32_t* add_at;   // [rows] which of them; null: the row's own
    const int32_t* numbers;  // map of the rows of x, see compaction/cpu.h; not read by a kernel of 1
    const int32_t* place;    // [rows] places in that map
    const uint16_t* near;    // [rows] neighbours that are there; null: all may be
    Results to;              // [1 + rows][outputs]; row 0 becomes zero; `out` may be `add` + nothing but never x
    int64_t rows;
    int32_t x_stride, inputs, outputs, kernel, wide;  // wide: width of the map of numbers
    float slope;             // of the activation below zero
    int32_t relu;            // whether a ReLU follows the sum
};

template <class Kind, class Shape, int M>
inline void finish_panel(const RowConvolution& a, const PanelOf<Kind, Shape, M>& panel, int column, int64_t first, int64_t last) {
    constexpr int V = Shape::vectors;
    Vector values[M * V];
    panel.write(a.factors, column, values);
    for (int64_t m = 0; first + m <= last; ++m) {
        const int64_t at = (first + m + 1) * a.outputs + column;
        const float* add = a.add ? a.add + (a.add_at ? a.add_at[first + m] : first + m) * a.outputs + column : nullptr;
        finish_row(a.to, at, values + m * V, V, a.slope, add, a.relu, a.outputs - column);
    }
}

template <class Kind, class Shape>
inline void convolve_panel(const RowConvolution& a, const int32_t* weight, int column, int64_t from, int64_t to) {
    constexpr int V = Shape::vectors, M = Kind::rows_of(V);
    typedef typename Kind::Value Value;
    typedef PanelOf<Kind, Shape, M> Panel;
    const Value* x = static_cast<const Value*>(a.x);
    const int64_t words = words_of<Kind>(a.inputs), wide = vectors_of(a.outputs) * kLanes;
    const typename Panel::Setup setup(words);
    for (int64_t r = from; r < to; r += M) {
        const int64_t last = least(r + M, to) - 1;
        const Value* p[M];
        if (a.kernel == 1) {
            Panel panel(a.factors, column, 1, wide);
            SPAIR_UNROLL
            for (int m = 0; m < M; ++m) p[m] = x + (least(r + m, last) + 1) * a.x_stride;
            panel.add(p, weight, words);
            finish_panel<Kind, Shape, M>(a, panel, column, r, last);
        } else {
            const int32_t* numbers[M];
            unsigned near = a.near ? 0 : kAllTaps;
            for (int m = 0; m < M; ++m) {
                numbers[m] = a.numbers + a.place[least(r + m, last)];
                if (a.near) near |= a.near[least(r + m, last)];
            }
            Panel panel(a.factors, column, near, wide);
            for (int t = 0; t < 9; ++t) {
                if (!(near >> t & 1)) continue;
                const int64_t offset = static_cast<int64_t>(t / 3 - 1) * a.wide + t % 3 - 1;
                SPAIR_UNROLL
                for (int m = 0; m < M; ++m) p[m] = x + static_cast<int64_t>(numbers[m][offset]) * a.x_stride;
                panel.add(p, weight + t * words * V * kLanes, words);
            }
            finish_panel<Kind, Shape, M>(a, panel, column, r, last);
        }
    }
}

template <class Kind>
inline void convolve_rows(SpairPool* pool, const RowConvolution& a) {
    fill_zeros(a.to, 0, a.outputs);
    const int64_t taps = a.kernel * a.kernel;
    in_parallel(pool, (a.rows + kRows - 1) / kRows, [&a, taps](int64_t task) {
        for_panels(a.outputs, taps * words_of<Kind>(a.inputs), [&](auto shape, int64_t at, int column) {
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
