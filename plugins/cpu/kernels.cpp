// The exported functions of one instruction set, spair_<set>_<what>_<kind>. Compiled once for each of them. Kinds of
// numbers are f32, i8 (steps of int8) and bf16, see numbers.h.
//
// All structures are plain and have a twin in runtime/cpu/library/structures.py; spair_<set>_size tells their sizes, so
// that a twin that differs is noticed when the library is loaded.

#include "../compaction/cpu.h"
#include "../masked_modulation/cpu.h"
#include "../sparse_conv2d/cpu.h"
#include "../sparse_non_local/cpu.h"
#include "maps.h"
#include "pictures.h"

#define SPAIR_JOIN(set, name) spair_##set##_##name
#define SPAIR_NAME(set, name) SPAIR_JOIN(set, name)
#define SPAIR_EXPORT(name) __attribute__((visibility("default"))) SPAIR_NAME(SPAIR_SET, name)

namespace kernels = SPAIR_SET;

extern "C" {

int64_t SPAIR_EXPORT(size)(int structure) {
    constexpr int64_t kSizes[] = {
        sizeof(kernels::Compaction), sizeof(kernels::RowConvolution), sizeof(kernels::RowAttention), sizeof(kernels::Moments),
        sizeof(kernels::Keys),       sizeof(kernels::Lift),           sizeof(kernels::MapConvolution), sizeof(kernels::Doubling),
        sizeof(kernels::Head),       sizeof(kernels::Finish),         sizeof(kernels::Packing),        sizeof(kernels::Rounding),
        sizeof(kernels::Bytes),      sizeof(kernels::RowTaps),
    };
    constexpr int kCount = sizeof kSizes / sizeof *kSizes;
    return structure >= 0 && structure < kCount ? kSizes[structure] : -1;
}

int SPAIR_EXPORT(lanes_f32)() { return kernels::kLanes; }

int SPAIR_EXPORT(group_i8)() { return kernels::Steps::kGroup; }

int SPAIR_EXPORT(zero_i8)() { return kernels::Steps::kZero; }

void SPAIR_EXPORT(pack_f32)(SpairPool*, const kernels::Packing* a) { kernels::pack<kernels::Floats, float>(*a); }

void SPAIR_EXPORT(pack_i8)(SpairPool*, const kernels::Packing* a) { kernels::pack<kernels::Steps, int8_t>(*a); }

void SPAIR_EXPORT(pack_bf16)(SpairPool*, const kernels::Packing* a) { kernels::pack<kernels::Halves, uint16_t>(*a); }

void SPAIR_EXPORT(round_values)(SpairPool* pool, const kernels::Rounding* a) { kernels::round_values(pool, *a); }

void SPAIR_EXPORT(halve_mask)(SpairPool* pool, const uint8_t* mask, int height, int width, uint8_t* out) {
    kernels::halve_mask(pool, mask, height, width, out);
}

void SPAIR_EXPORT(grow_mask)(SpairPool* pool, const uint8_t* mask, int height, int width, uint8_t* out) {
    kernels::grow_mask(pool, mask, height, width, out);
}

int64_t SPAIR_EXPORT(count_rows)(SpairPool* pool, const kernels::Compaction* a) { return kernels::count_rows(pool, *a); }

void SPAIR_EXPORT(list_rows)(SpairPool* pool, const kernels::Compaction* a) { kernels::list_rows(pool, *a); }

void SPAIR_EXPORT(find_parents)(
    SpairPool* pool, const int32_t* place, int64_t rows, int width, const int32_t* coarse, int32_t* out
) {
    kernels::find_parents(pool, place, rows, width, coarse, out);
}

void SPAIR_EXPORT(convolve_rows_f32)(SpairPool* pool, const kernels::RowConvolution* a) { kernels::convolve_rows<kernels::Floats>(pool, *a); }

void SPAIR_EXPORT(convolve_rows_i8)(SpairPool* pool, const kernels::RowConvolution* a) { kernels::convolve_rows<kernels::Steps>(pool, *a); }

void SPAIR_EXPORT(convolve_rows_bf16)(SpairPool* pool, const kernels::RowConvolution* a) { kernels::convolve_rows<kernels::Halves>(pool, *a); }

void SPAIR_EXPORT(sum_taps_f32)(SpairPool* pool, const kernels::RowTaps* a) { kernels::sum_taps(pool, *a); }

void SPAIR_EXPORT(attend_rows_f32)(SpairPool* pool, const kernels::RowAttention* a) { kernels::attend_rows(pool, *a); }

void SPAIR_EXPORT(measure_moments_f32)(SpairPool* pool, const kernels::Moments* a) { kernels::measure_moments(pool, *a); }

void SPAIR_EXPORT(add_keys_f32)(SpairPool* pool, const kernels::Keys* a) { kernels::add_keys(pool, *a); }

void SPAIR_EXPORT(lift_rows_f32)(SpairPool* pool, const kernels::Lift* a) { kernels::lift_rows(pool, *a); }

void SPAIR_EXPORT(convolve_map_f32)(SpairPool* pool, const kernels::MapConvolution* a) { kernels::convolve_map<kernels::Floats>(pool, *a); }

void SPAIR_EXPORT(convolve_map_i8)(SpairPool* pool, const kernels::MapConvolution* a) { kernels::convolve_map<kernels::Steps>(pool, *a); }

void SPAIR_EXPORT(convolve_map_bf16)(SpairPool* pool, const kernels::MapConvolution* a) { kernels::convolve_map<kernels::Halves>(pool, *a); }

void SPAIR_EXPORT(add_doubled_f32)(SpairPool* pool, const kernels::Doubling* a) { kernels::add_doubled(pool, *a); }

void SPAIR_EXPORT(find_mask_f32)(SpairPool* pool, const kernels::Head* a) { kernels::find_mask<kernels::Floats>(pool, *a); }

void SPAIR_EXPORT(find_mask_i8)(SpairPool* pool, const kernels::Head* a) { kernels::find_mask<kernels::Steps>(pool, *a); }

void SPAIR_EXPORT(find_mask_bf16)(SpairPool* pool, const kernels::Head* a) { kernels::find_mask<kernels::Halves>(pool, *a); }

void SPAIR_EXPORT(read_planes_f32)(
    SpairPool* pool, const float* planes, int64_t size, int64_t next, int height, int width, float* out, int border
) {
    kernels::read_planes(pool, planes, size, next, height, width, out, border);
}

void SPAIR_EXPORT(halve_pixels_f32)(SpairPool* pool, const float* pixels, int height, int width, float* out) {
    kernels::halve_pixels(pool, pixels, height, width, out);
}

void SPAIR_EXPORT(read_bytes)(SpairPool* pool, const kernels::Bytes* a) { kernels::read_bytes(pool, *a); }

void SPAIR_EXPORT(write_bytes)(SpairPool* pool, const kernels::Bytes* a) { kernels::write_bytes(pool, *a); }

int64_t SPAIR_EXPORT(finish_planes_f32)(SpairPool* pool, const kernels::Finish* a) { return kernels::finish_planes(pool, *a); }
}
