// Lists of distorted pixels for kernels of the processor: one row for each, and where the rows of its neighbours are.
//
// Numbers are a map [height + 2][width + 2] of int32 with a border: 0 at clean pixels and in the border, else 1 + the
// pixel's row. The place of a row is its pixel's index in that map.

#pragma once

#include "../cpu/pool.h"
#include "../cpu/vectors.h"

namespace SPAIR_SET {

constexpr int kChunk = 4096;  // pixels that are ordered by their neighbours at a time, so that their rows stay in the cache

struct Compaction {
    const uint8_t* mask;  // [height][width], 0 or 1
    int64_t* first;       // [height + 1], rows before each line
    int32_t* numbers;     // [height + 2][width + 2]
    int32_t* place;       // [rows]
    uint16_t* near;       // [rows], bit 3 * (dy + 1) + dx + 1 is set where that neighbour is distorted
    int32_t height, width;
};

// 2x2 maximum: mask [2 * height][2 * width] to [height][width].
inline void halve_mask(SpairPool* pool, const uint8_t* mask, int height, int width, uint8_t* out) {
    in_parallel(pool, height, [=](int64_t y) {
        const uint8_t* p = mask + 4 * y * width;
        for (int64_t x = 0; x < width; ++x)
            out[y * width + x] = p[2 * x] | p[2 * x + 1] | p[2 * width + 2 * x] | p[2 * width + 2 * x + 1];
    });
}

// The pixels of a mask and their neighbours.
inline void grow_mask(SpairPool* pool, const uint8_t* mask, int height, int width, uint8_t* out) {
    in_parallel(pool, height, [=](int64_t y) {
        const uint8_t* here = mask + y * width;
        const uint8_t* above = y > 0 ? here - width : here;
        const uint8_t* below = y + 1 < height ? here + width : here;
        uint8_t* to = out + y * width;
        for (int64_t x = 0; x < width; ++x) {
            const int64_t left = most(x - 1, 0), right = least(x + 1, width - 1);
            to[x] = above[left] | here[left] | below[left] | above[x] | here[x] | below[x] | above[right] | here[right] | below[right];
        }
    });
}

// Fills `first`; returns the number of rows.
inline int64_t count_rows(SpairPool* pool, const Compaction& a) {
    in_parallel(pool, a.height, [&a](int64_t y) {
        int64_t count = 0;
        for (int64_t x = 0; x < a.width; ++x) count += a.mask[y * a.width + x];
        a.first[y + 1] = count;
    });
    a.first[0] = 0;
    for (int y = 0; y < a.height; ++y) a.first[y + 1] += a.first[y];
    return a.first[a.height];
}

inline unsigned neighbours_of(const Compaction& a, int64_t y, int64_t x) {
    unsigned near = 0;
    for (int t = 0; t < 9; ++t) {
        const int64_t v = y + t / 3 - 1, u = x + t % 3 - 1;
        const bool inside = v >= 0 && v < a.height && u >= 0 && u < a.width;
        if (inside && a.mask[v * a.width + u]) near |= 1u << t;
    }
    return near;
}

// Fills `place` and `near` of one chunk: raster order, then stable by pattern of neighbours.
inline void order_chunk(const Compaction& a, int64_t begin, int64_t end) {
    int32_t raster[kChunk];
    uint16_t near[kChunk];
    int32_t count[513] = {};
    int64_t low = 0, high = a.height;  // the line that the row `begin` lies in
    while (high - low > 1) {
        const int64_t middle = (low + high) / 2;
        (a.first[middle] <= begin ? low : high) = middle;
    }
    int64_t row = a.first[low];
    for (int64_t y = low; row < end; ++y)
        for (int64_t x = 0; x < a.width && row < end; ++x) {
            if (!a.mask[y * a.width + x]) continue;
            if (row >= begin) {
                const unsigned pattern = neighbours_of(a, y, x);
                raster[row - begin] = static_cast<int32_t>((y + 1) * (a.width + 2) + x + 1);
                near[row - begin] = static_cast<uint16_t>(pattern);
                ++count[pattern + 1];
            }
            ++row;
        }
    for (int k = 0; k < 512; ++k) count[k + 1] += count[k];
    for (int64_t i = 0; i < end - begin; ++i) {
        const int64_t at = begin + count[near[i]]++;
        a.place[at] = raster[i];
        a.near[at] = near[i];
    }
}

// Numbers the rows: by pattern of neighbours inside chunks where `near` is given, else in raster order.
inline void list_rows(SpairPool* pool, const Compaction& a) {
    const int64_t rows = a.first[a.height], wide = a.width + 2;
    in_parallel(pool, a.height + 2, [&a, wide](int64_t y) { std::memset(a.numbers + y * wide, 0, 4 * wide); });
    if (a.near) {
        in_parallel(pool, (rows + kChunk - 1) / kChunk, [&a, rows](int64_t chunk) {
            const int64_t begin = chunk * kChunk, end = least(begin + kChunk, rows);
            order_chunk(a, begin, end);
            for (int64_t i = begin; i < end; ++i) a.numbers[a.place[i]] = static_cast<int32_t>(i + 1);
        });
        return;
    }
    in_parallel(pool, a.height, [&a, wide](int64_t y) {
        int64_t row = a.first[y];
        for (int64_t x = 0; x < a.width; ++x) {
            if (!a.mask[y * a.width + x]) continue;
            a.place[row] = static_cast<int32_t>((y + 1) * wide + x + 1);
            a.numbers[a.place[row]] = static_cast<int32_t>(row + 1);
            ++row;
        }
    });
}

// For each of `rows` fine places: 4 * its coarse row + its position in the 2x2 block.
inline void find_parents(SpairPool* pool, const int32_t* place, int64_t rows, int width, const int32_t* coarse, int32_t* out) {
    const int64_t wide = width + 2, coarse_wide = width / 2 + 2;
    in_parallel(pool, (rows + kChunk - 1) / kChunk, [=](int64_t chunk) {
        for (int64_t r = chunk * kChunk; r < least((chunk + 1) * kChunk, rows); ++r) {
            const int64_t y = place[r] / wide - 1, x = place[r] % wide - 1;
            const int64_t row = coarse[(y / 2 + 1) * coarse_wide + x / 2 + 1] - 1;
            out[r] = static_cast<int32_t>(4 * row + 2 * (y % 2) + x % 2);
        }
    });
}

}  // namespace SPAIR_SET
