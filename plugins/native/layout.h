// How TensorRT lays tensors out in memory, in the words of the kernels.
#pragma once
#include "NvInferRuntime.h"

#include <cstddef>
#include <cstdint>
#include <string>

namespace spair {

// [N,C,H,W]; H and W of masks, keys and pictures alike.
struct Size {
    int32_t batch, channels, height, width;

    int32_t pixels() const { return height * width; }
};

// Throws std::runtime_error unless the tensor has four dimensions and at most 2^31 - 1 pixels.
Size size_of(const nvinfer1::Dims& dims);

// "fp32", "fp16" or "int8"; throws std::runtime_error for other types.
std::string type_name(nvinfer1::DataType type);

// Bytes of an element.
size_t type_bytes(nvinfer1::DataType type);

// "linear" (kLINEAR), "pixels" (channels of a pixel side by side: kHWC, kHWC8) or "chw32" (kCHW32).
std::string layout_name(nvinfer1::TensorFormat format);

// The format in which the channels of a pixel lie side by side: kHWC for FP32, kHWC8 for FP16, kCHW32 for INT8.
nvinfer1::TensorFormat pixel_format(nvinfer1::DataType type);

// Elements from one pixel to the next in the "pixels" layout; as many as the channels in the others.
int32_t pitch_of(nvinfer1::TensorFormat format, int32_t channels);

// Bytes of the tensor with the padding that its layout has.
size_t bytes_of(const Size& size, nvinfer1::DataType type, nvinfer1::TensorFormat format);

// `bytes` rounded up, so that what follows it in a workspace is aligned as device memory is.
size_t aligned(size_t bytes);

// The least whole number that is not below a / b.
constexpr int32_t divide_up(int32_t a, int32_t b) { return a / b + (a % b != 0 ? 1 : 0); }

}  // namespace spair
