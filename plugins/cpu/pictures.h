// Pictures: planes to pixels, half size, and restored pixels back into planes.

#pragma once

#include "pool.h"
#include "vectors.h"

namespace SPAIR_SET {

// planes [3][height][width] to pixels [height][width][3] inside a border of zeros; `out` is the first pixel. From a plane
// to the next there are `size` values, from a line to the next `next`.
inline void read_planes(
    SpairPool* pool, const float* planes, int64_t size, int64_t next, int height, int width, float* out, int border
) {
    const int64_t line = 3 * (static_cast<int64_t>(width) + 2 * border);
    in_parallel(pool, height + 2 * static_cast<int64_t>(border), [=](int64_t row) {
        const int64_t y = row - border;
        float* to = out + y * line;
        if (y < 0 || y >= height) {
            std::memset(to - 3 * border, 0, sizeof(float) * line);
            return;
        }
        std::memset(to - 3 * border, 0, sizeof(float) * 3 * border);
        std::memset(to + 3 * static_cast<int64_t>(width), 0, sizeof(float) * 3 * border);
        const float* from = planes + y * next;
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
    const float* pixels;    // [height][width][3], a window of the picture
    const float* residual;  // [1 + rows][stride]
    const int32_t* place;   // [rows], see compaction/cpu.h
    float* out;             // planes of the window's core; its distorted pixels are changed
    int64_t rows, size, next;  // rows; values from a plane of `out` to the next, and from a line to the next
    int32_t width, stride;
    int32_t top, left, bottom, right;  // the core in the window
};

// picture + residual, clipped to 0..1. Returns the number of values that are NaN, which stay it.
inline int64_t finish_planes(SpairPool* pool, const Finish& a) {
    constexpr int64_t kTask = 4096;
    int64_t failed = 0;
    in_parallel(pool, (a.rows + kTask - 1) / kTask, [&a, &failed](int64_t task) {
        const int64_t wide = a.width + 2;
        int64_t nans = 0;
        for (int64_t r = task * kTask; r < least((task + 1) * kTask, a.rows); ++r) {
            const int64_t y = a.place[r] / wide - 1, x = a.place[r] % wide - 1;
            if (y < a.top || y >= a.bottom || x < a.left || x >= a.right) continue;
            const float* pixel = a.pixels + 3 * (y * a.width + x);
            float* out = a.out + (y - a.top) * a.next + x - a.left;
            for (int k = 0; k < 3; ++k) {
                const float sum = pixel[k] + a.residual[(r + 1) * a.stride + k];
                out[k * a.size] = sum < 0.0f ? 0.0f : sum > 1.0f ? 1.0f : sum;
                nans += sum != sum;
            }
        }
        if (nans) __atomic_fetch_add(&failed, nans, __ATOMIC_RELAXED);
    });
    return failed;
}

}  // namespace SPAIR_SET
