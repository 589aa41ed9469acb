// Convolutions and more on maps of all pixels, [height][width][channels] inside a border of zeros.

#pragma once

#include "tiles.h"

namespace SPAIR_SET {

struct MapConvolution {
    const void* x;         // first tap of the first result
    const int32_t* weight; // packed [lines][run][outputs]
    Factors factors;       // a tap of them is a line of the kernel
    const float* add;      // first pixel of a map that is added before the ReLU; null: none
    Results to;            // first pixel; `out` may be `add`, never x
    int64_t x_line, x_next, add_line, out_line;  // values: from line to line, from a result's first tap to that below it
    int32_t x_step;        // values from a result's first tap to its right neighbour's
    int32_t lines, run;    // of the kernel: lines, and values in each that lie side by side
    int32_t height, width, outputs, border;  // of the result
    int32_t relu;
};

inline void clear_border(const Results& to, int64_t line, int height, int width, int channels, int border) {
    const int64_t origin = -border * line - static_cast<int64_t>(border) * channels;
    const int64_t whole = static_cast<int64_t>(width + 2 * border) * channels, side = static_cast<int64_t>(border) * channels;
    for (int64_t y = 0; y < height + 2 * border; ++y) {
        const int64_t at = origin + y * line;
        if (y < border || y >= height + border) {
            fill_zeros(to, at, whole);
        } else {
            fill_zeros(to, at, side);
            fill_zeros(to, at + whole - side, side);
        }
    }
}

// Results from..to of line y, to places from `at` on.
template <class Kind, class Shape>
SPAIR_APART inline void convolve_line(
    const MapConvolution& a, const int32_t* weight, int column, int64_t y, int64_t from, int64_t to, const Results& results, int64_t at
) {
    constexpr int V = Shape::vectors, M = Kind::rows_of(V);
    typedef PanelOf<Kind, Shape, M> Panel;
    const auto* first = static_cast<const typename Kind::Value*>(a.x) + y * a.x_next;
    const int64_t words = words_of<Kind>(a.run), wide = vectors_of(a.outputs) * kLanes;
    const typename Panel::Setup setup(words);
    for (int64_t x = from; x < to; x += M) {
        const int64_t count = least(M, to - x);
        Panel panel(setup, a.factors, column, (1u << a.lines) - 1, wide);
        for (int line = 0; line < a.lines; ++line)
            panel.add_line(first + line * a.x_line + x * a.x_step, a.x_step, count, weight + line * words * V * kLanes, words);
        Vector values[M * V];
        panel.write(a.factors, column, values);
        const float* add = a.add ? a.add + y * a.add_line + x * a.outputs : nullptr;
        finish_rows<V>(results, at + (x - from) * a.outputs, values, column, {1.0f, add, nullptr, 0, a.relu, a.outputs}, count);
    }
}

template <class Kind>
inline void convolve_map(SpairPool* pool, const MapConvolution& a) {
    clear_border(a.to, a.out_line, a.height, a.width, a.outputs, a.border);
    in_parallel(pool, a.height, [&a](int64_t y) {
        for_panels<Kind>(a.outputs, a.lines * words_of<Kind>(a.run), [&](auto shape, int64_t at, int column) {
            convolve_line<Kind, decltype(shape)>(a, a.weight + at, column, y, 0, a.width, a.to, y * a.out_line);
        });
    });
}

struct Doubling {
    const float* fine;    // first pixel of [height][width][channels]
    const float* coarse;  // first pixel of half that size
    Results to;           // fine + the coarse pixel above; `out` may be `fine`
    int64_t fine_line, coarse_line, out_line;
    int32_t height, width, channels, border;
};

inline void add_doubled(SpairPool* pool, const Doubling& a) {
    clear_border(a.to, a.out_line, a.height, a.width, a.channels, a.border);
    in_parallel(pool, a.height, [&a](int64_t y) {
        for (int64_t x = 0; x < a.width; ++x) {
            const float* fine = a.fine + y * a.fine_line + x * a.channels;
            const float* coarse = a.coarse + y / 2 * a.coarse_line + x / 2 * a.channels;
            const int64_t at = y * a.out_line + x * a.channels;
            for (int k = 0; k < a.channels; k += kLanes)
                store_results(a.to, at + k, load(fine + k) + load(coarse + k), a.channels - k);
        }
    });
}

// The last layer at half size with the pixel shuffle behind it. Its outputs are the features of each of the 4 positions,
// then the 4 logits.
struct Head {
    MapConvolution layer;  // `to` and what belongs to it are not read
    float* features;       // [2 * height][2 * width][channels], after a ReLU
    float* mask;           // [2 * height][2 * width], 1 where the logit is above the threshold, else 0
    int32_t channels;
    float threshold;
};

constexpr int kHeld = 16384;  // results that a thread holds

template <class Kind>
inline void find_line(const Head& a, int64_t y) {
    alignas(64) float held[kHeld + 16];
    const MapConvolution& layer = a.layer;
    const int64_t pixels = most(least(kHeld / layer.outputs, layer.width), 1), wide = 2 * static_cast<int64_t>(layer.width);
    const Results results{held, nullptr, 0.0f, kNone};
    for (int64_t from = 0; from < layer.width; from += pixels) {
        const int64_t to = least(from + pixels, layer.width);
        for_panels<Kind>(layer.outputs, layer.lines * words_of<Kind>(layer.run), [&](auto shape, int64_t at, int column) {
            convolve_line<Kind, decltype(shape)>(layer, layer.weight + at, column, y, from, to, results, 0);
        });
        for (int64_t x = from; x < to; ++x) {
            const float* value = held + (x - from) * layer.outputs;
            for (int position = 0; position < 4; ++position) {
                const int64_t pixel = (2 * y + position / 2) * wide + 2 * x + position % 2;
                float* out = a.features + pixel * a.channels;
                for (int k = 0; k < a.channels; k += kLanes) {
                    const Vector v = load(value + position * a.channels + k);
                    store_left(out + k, v < 0.0f ? all(0.0f) : v, a.channels - k);
                }
                a.mask[pixel] = value[4 * a.channels + position] > a.threshold ? 1.0f : 0.0f;
            }
        }
    }
}

template <class Kind>
inline void find_mask(SpairPool* pool, const Head& a) {
    in_parallel(pool, a.layer.height, [&a](int64_t y) { find_line<Kind>(a, y); });
}

}  // namespace SPAIR_SET
