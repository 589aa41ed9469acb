// MaskedModulation in two halves: moments of clean and distorted features, and features that are changed by them as
// they become rows. Maps have their pixels outermost. See README.md and reference.py.

#pragma once

#include "../cpu/numbers.h"
#include "../cpu/pool.h"

namespace SPAIR_SET {

constexpr int kMostChannels = 1024;
constexpr int kLines = 16;  // lines of a part, small enough to be read from the cache the second time

struct Moments {
    const float* map;     // first pixel
    const uint8_t* mask;  // [height][width], 0 or 1
    double* parts;        // [parts of kLines lines][2][1 + 2 * channels]: count, means, sums of squared deviations
    int64_t line, mask_line;
    int32_t height, width, channels, stride;  // stride: from pixel to pixel, a multiple of 8
};

struct Keys {
    const float* map;
    const uint8_t* mask;
    double* sums;         // [grid][grid][channels] of the clean features; added to
    double* counts;       // [grid][grid]; added to
    int64_t line, mask_line;
    int32_t height, width, channels, stride, grid;
    int32_t top, left, full_height, full_width;  // place of the map in the picture, and the picture's size, at this scale
};

inline void add_squares(const float* x, const float* mean, int stride, float* sum) {
    for (int k = 0; k < stride; k += kLanes) {
        const Vector d = load(x + k) - load(mean + k);
        store(sum + k, load(sum + k) + d * d);
    }
}

inline void add_values(const float* x, int stride, float* sum) {
    for (int k = 0; k < stride; k += kLanes) store(sum + k, load(sum + k) + load(x + k));
}

inline void measure_part(const Moments& a, int64_t part) {
    float line_sum[2][kMostChannels + 16], mean[2][kMostChannels + 16];
    const int64_t top = part * kLines, bottom = least(top + kLines, a.height);
    const int size = 1 + 2 * a.channels;
    double* out = a.parts + part * 2 * size;
    for (int i = 0; i < 2 * size; ++i) out[i] = 0.0;
    for (int pass = 0; pass < 2; ++pass) {
        for (int64_t y = top; y < bottom; ++y) {
            std::memset(line_sum, 0, sizeof line_sum);
            const uint8_t* mask = a.mask + y * a.mask_line;
            for (int64_t x = 0; x < a.width; ++x) {
                const float* pixel = a.map + y * a.line + x * a.stride;
                if (pass == 0) {
                    out[mask[x] * size] += 1.0;
                    add_values(pixel, a.stride, line_sum[mask[x]]);
                } else {
                    add_squares(pixel, mean[mask[x]], a.stride, line_sum[mask[x]]);
                }
            }
            for (int m = 0; m < 2; ++m)
                for (int k = 0; k < a.channels; ++k) out[m * size + 1 + pass * a.channels + k] += line_sum[m][k];
        }
        for (int m = 0; pass == 0 && m < 2; ++m)
            for (int k = 0; k < a.channels; ++k) {
                double& value = out[m * size + 1 + k];
                value /= out[m * size] > 0.0 ? out[m * size] : 1.0;
                mean[m][k] = static_cast<float>(value);
            }
        for (int m = 0; pass == 0 && m < 2; ++m)
            for (int k = a.channels; k < a.stride + 16 && k < kMostChannels + 16; ++k) mean[m][k] = 0.0f;
    }
    for (int m = 0; m < 2; ++m)  // the squares were about a mean that was rounded to float
        for (int k = 0; k < a.channels; ++k) {
            const double shift = out[m * size + 1 + k] - static_cast<double>(mean[m][k]);
            double& squares = out[m * size + 1 + a.channels + k];
            squares = squares - out[m * size] * shift * shift;
            if (squares < 0.0) squares = 0.0;
        }
}

inline void measure_moments(SpairPool* pool, const Moments& a) {
    in_parallel(pool, (a.height + kLines - 1) / kLines, [&a](int64_t part) { measure_part(a, part); });
}

// One row of cells at a time, so that no two threads add to the same cell.
inline void add_keys(SpairPool* pool, const Keys& a) {
    in_parallel(pool, a.grid, [&a](int64_t row) {
        float held[kMostChannels + 16];
        for (int64_t y = 0; y < a.height; ++y) {
            if ((a.top + y) * a.grid / a.full_height != row) continue;
            const uint8_t* mask = a.mask + y * a.mask_line;
            for (int64_t x = 0; x < a.width;) {
                const int64_t cell = (a.left + x) * a.grid / a.full_width;
                int64_t count = 0;
                std::memset(held, 0, sizeof(float) * (a.stride + 8));
                for (; x < a.width && (a.left + x) * a.grid / a.full_width == cell; ++x) {
                    if (mask[x]) continue;
                    add_values(a.map + y * a.line + x * a.stride, a.stride, held);
                    ++count;
                }
                double* sums = a.sums + (row * a.grid + cell) * a.channels;
                for (int k = 0; k < a.channels; ++k) sums[k] += held[k];
                a.counts[row * a.grid + cell] += static_cast<double>(count);
            }
        }
    });
}

struct Lift {
    const float* picture;   // [height][width][3]
    const float* map;       // first pixel of the features
    const float* scale;     // [channels] at distorted pixels; null: features stay as they are
    const float* shift;     // [channels]
    const uint8_t* mask;    // [height][width]
    const int32_t* place;   // [rows], see compaction/cpu.h
    Results to;             // [1 + rows][stride]: colours, features, zeros; row 0 becomes zero
    int64_t rows, line;
    int32_t width, channels, map_stride, stride;
};

inline void lift_rows(SpairPool* pool, const Lift& a) {
    fill_zeros(a.to, 0, a.stride);
    constexpr int64_t kTask = 1024;
    in_parallel(pool, (a.rows + kTask - 1) / kTask, [&a](int64_t task) {
        const int64_t wide = a.width + 2;
        float held[3 + kMostChannels + 24];
        for (int64_t r = task * kTask; r < least((task + 1) * kTask, a.rows); ++r) {
            const int64_t y = a.place[r] / wide - 1, x = a.place[r] % wide - 1, pixel = y * a.width + x;
            const float* colours = a.picture + 3 * pixel;
            const float* features = a.map + y * a.line + x * a.map_stride;
            const int64_t at = (r + 1) * a.stride;
            float* out = a.to.out ? a.to.out + at : held;
            for (int k = 0; k < 3; ++k) out[k] = colours[k];
            if (a.scale && a.mask[pixel]) {
                for (int k = 0; k < a.channels; ++k)
                    out[3 + k] = features[k] + (features[k] * (a.scale[k] - 1.0f) + a.shift[k]);
            } else {
                std::memcpy(out + 3, features, sizeof(float) * a.channels);
            }
            for (int k = 3 + a.channels; k < a.stride; ++k) out[k] = 0.0f;
            const Results rounded{nullptr, a.to.rounded, a.to.step, a.to.form};
            for (int k = 0; a.to.form != kNone && k < a.stride; k += kLanes) store_results(rounded, at + k, load(out + k), a.stride - k);
        }
    });
}

}  // namespace SPAIR_SET
