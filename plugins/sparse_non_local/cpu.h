// SparseNonLocal on rows of distorted pixels, see README.md and reference.py.

#pragma once

#include "../cpu/pool.h"
#include "../cpu/products.h"

namespace SPAIR_SET {

constexpr int kQueries = 24;     // rows of a task
constexpr int kMostKeys = 4096;  // scores of the rows that are computed at once stand on the stack

struct RowAttention {
    const float* query;     // [1 + rows][stride]; row 0 is not read
    const int32_t* keys;    // packed floats [depth][keys up to a multiple of kLanes]
    const float* barred;    // [keys up to a multiple of 16], 0 for a key, -1e30 behind the last one
    const int32_t* values;  // packed floats [keys][outputs]
    const float* zeros;     // [outputs up to a multiple of 16]
    float* out;             // [1 + rows][outputs]; row 0 becomes zero
    int64_t rows;
    int32_t stride, depth, keys_count, outputs;
    float scale;            // of the scores
};

// Scores to weights: the softmax of one row of `count` vectors, in place, without the division. Returns the sum.
inline float weigh(float* scores, int count, float scale) {
    Vector top = load(scores);
    for (int i = 1; i < count; ++i) {
        const Vector s = load(scores + i * kLanes);
        top = s > top ? s : top;
    }
    float highest = top[0];
    for (int i = 1; i < kLanes; ++i) highest = top[i] > highest ? top[i] : highest;
    Vector total{};
    for (int i = 0; i < count; ++i) {
        const Vector e = exponential((load(scores + i * kLanes) - highest) * scale);
        store(scores + i * kLanes, e);
        total += e;
    }
    return sum_of(total);
}

inline void attend_block(const RowAttention& a, int64_t from, int64_t to) {
    constexpr int kBlock = 4;
    alignas(64) float scores[kBlock][kMostKeys + 16];
    const int count = vectors_of(a.keys_count);
    for (int64_t r = from; r < to; r += kBlock) {
        const int64_t last = least(r + kBlock, to) - 1;
        const float* p[kBlock];
        float total[kBlock];
        SPAIR_UNROLL
        for (int m = 0; m < kBlock; ++m) p[m] = a.query + (least(r + m, last) + 1) * a.stride;
        for_panels<Floats>(count * kLanes, a.depth, [&](auto shape, int64_t at, int first) {
            constexpr int V = shape.vectors;
            Panel<Floats, Shape<V, false>, kBlock> panel({a.barred, nullptr, nullptr}, first);
            panel.add(p, a.keys + at, a.depth);
            SPAIR_UNROLL
            for (int m = 0; m < kBlock; ++m)
                SPAIR_UNROLL
                for (int v = 0; v < V; ++v) store(scores[m] + first + v * kLanes, panel.sum[m][v]);
        });
        for (int m = 0; m < kBlock; ++m) {
            total[m] = weigh(scores[m], count, a.scale);
            p[m] = scores[m];
        }
        for_panels<Floats>(a.outputs, a.keys_count, [&](auto shape, int64_t at, int first) {
            constexpr int V = shape.vectors;
            const Factors zeros{a.zeros, nullptr, nullptr};
            Panel<Floats, decltype(shape), kBlock> panel(zeros, first);
            panel.add(p, a.values + at, a.keys_count);
            Vector values[kBlock * V];
            panel.write(zeros, first, values);
            SPAIR_UNROLL
            for (int m = 0; m < kBlock; ++m) {
                if (r + m > last) continue;
                float* out = a.out + (r + m + 1) * a.outputs + first;
                SPAIR_UNROLL
                for (int v = 0; v < V; ++v) store_left(out + v * kLanes, values[m * V + v] / total[m], a.outputs - first - v * kLanes);
            }
        });
    }
}

// Without a key the rows are zero.
inline void attend_rows(SpairPool* pool, const RowAttention& a) {
    if (!a.keys_count) {
        std::memset(a.out, 0, sizeof(float) * a.outputs * (a.rows + 1));
        return;
    }
    std::memset(a.out, 0, sizeof(float) * a.outputs);
    in_parallel(pool, (a.rows + kQueries - 1) / kQueries, [&a](int64_t task) {
        attend_block(a, task * kQueries, least((task + 1) * kQueries, a.rows));
    });
}

}  // namespace SPAIR_SET
