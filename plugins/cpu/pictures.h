// Pictures: planes to pixels, half size, and restored pixels back into planes.

#pragma once

#include "pool.h"
#include "vectors.h"

namespace SPAIR_SET {

// planes [3][height][width] to pixels [height][width][3] inside a border of zeros; `out` is the first pixel.
inline void read_planes(SpairPool* pool, const float* planes, int height, int width, float* out, int border) {
    const int64_t line = 3 * (static_cast<int64_t>(width) + 2 * border), size = static_cast<int64_t>(height) * width;
    in_parallel(pool, height + 2 * static_cast<int64_t>(border), [=](int64_t row) {
        const int64_t y = row - border;
        float* to = out + y * line;
        if (y < 0 || y >= height) {
            std::memset(to - 3 * border, 0, sizeof(float) * line);
            return;
        }
        std::memset(to - 3 * border, 0, sizeof(float) * 3 * border);
        std::memset(to + 3 * static_cast<int64_t>(width), 0, sizeof(float) * 3 * border);
        const float* from = planes + y * width;
        for (int64_t x = 0; x < width; ++x) {
            to[3 * x] = from[x];
            to[3 * x + 1] = from[size + x];
            to[3 * x + 2] = from[2 * size + x];
        }
    });
}

// 2x2 mean: pixels [2 * height][2 * width][3] to [height][width][3].
inline void halve_pixels(SpairPool* pool, const float* pixels, int height, int width, float* out) {
    in_parallel(pool, height, [=](int64_t y) {
        const int64_t line = 6 * static_cast<int64_t>(width);
        const float* p = pixels + 2 * y * line;
        float* to = out + 3 * y * width;
        for (int64_t x = 0; x < width; ++x)
            for (int k = 0; k < 3; ++k) {
                const int64_t at = 6 * x + k;
                to[3 * x + k] = (p[at] + p[at + 3] + p[line + at] + p[line + at + 3]) * 0.25f;
            }
    });
}

// An 8-bit picture and its planes, which repeat its last line and column up to their own size.
struct Bytes {
    const uint8_t* image;  // [height][width], three values each `step` bytes
    float* planes;         // [3][full_height][full_width] in 0..1
    const uint8_t* mask;   // [height][width], 0 or 1; read by write_bytes only
    uint8_t* out;          // [height][width][3]; the same
    int64_t line;          // bytes from a line of the image to the next
    int32_t step, height, width, full_height, full_width;
};

inline void read_bytes(SpairPool* pool, const Bytes& a) {
    in_parallel(pool, a.full_height, [&a](int64_t y) {
        const int64_t size = static_cast<int64_t>(a.full_height) * a.full_width;
        const uint8_t* from = a.image + least(y, a.height - 1) * a.line;
        float* to = a.planes + y * a.full_width;
        for (int64_t x = 0; x < a.full_width; ++x) {
            const uint8_t* pixel = from + least(x, a.width - 1) * a.step;
            for (int k = 0; k < 3; ++k) to[k * size + x] = pixel[k] / 255.0f;
        }
    });
}

// The restored colours where the mask is 1, and the image's elsewhere.
inline void write_bytes(SpairPool* pool, const Bytes& a) {
    in_parallel(pool, a.height, [&a](int64_t y) {
        const int64_t size = static_cast<int64_t>(a.full_height) * a.full_width;
        const uint8_t* image = a.image + y * a.line;
        const uint8_t* mask = a.mask + y * a.width;
        const float* planes = a.planes + y * a.full_width;
        uint8_t* to = a.out + 3 * y * a.width;
        for (int64_t x = 0; x < a.width; ++x)
            for (int k = 0; k < 3; ++k) {
                if (!mask[x]) {
                    to[3 * x + k] = image[x * a.step + k];
                    continue;
                }
                float value = planes[k * size + x];
                value = value < 0.0f ? 0.0f : value > 1.0f ? 1.0f : value;
                // Rounded before the sum, as in Python, and not joined with it.
                const float scaled = static_cast<float>(static_cast<double>(value) * 255.0);
                to[3 * x + k] = static_cast<uint8_t>(scaled + 0.5f);
            }
    });
}

struct Finish {
    float* planes;          // [3][height][width], the picture; its distorted pixels are changed
    const float* residual;  // [1 + rows][stride]
    const int32_t* place;   // [rows], see compaction/cpu.h
    int64_t rows;
    int32_t height, width, stride;
};

// picture + residual, clipped to 0..1.
inline void finish_planes(SpairPool* pool, const Finish& a) {
    constexpr int64_t kTask = 4096;
    in_parallel(pool, (a.rows + kTask - 1) / kTask, [&a](int64_t task) {
        const int64_t wide = a.width + 2, size = static_cast<int64_t>(a.height) * a.width;
        for (int64_t r = task * kTask; r < least((task + 1) * kTask, a.rows); ++r) {
            const int64_t pixel = (a.place[r] / wide - 1) * a.width + a.place[r] % wide - 1;
            for (int k = 0; k < 3; ++k) {
                float& value = a.planes[k * size + pixel];
                const float sum = value + a.residual[(r + 1) * a.stride + k];
                value = sum < 0.0f ? 0.0f : sum > 1.0f ? 1.0f : sum;  // NaN stays NaN
            }
        }
    });
}

}  // namespace SPAIR_SET
