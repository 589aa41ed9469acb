// Names, pitches and sizes of TensorRT's memory layouts, as the kernels use them.
#pragma once
#include "NvInferRuntime.h"

#include <cstddef>
#include <cstdint>
#include <string>

namespace spair {

// Size [N,C,H,W] of a picture, a mask or keys.
struct Size {
    int32_t batch, channels, height, width;

    int32_t pixels() const { return height * width; }
};

// Reads a size. Throws std::runtime_error unless the tensor has four dimensions and at most 2^31 - 1 pixels.
Size size_of(const nvinfer1::Dims& dims);

// Tells whether a tensor has no values.
bool is_empty(const nvinfer1::Dims& dims);

// Returns "fp32", "fp16" or "int8"; throws std::runtime_error for other types.
std::string type_name(nvinfer1::DataType type);

// Returns the bytes of an element.
size_t type_bytes(nvinfer1::DataType type);

// Returns "linear" (kLINEAR), "pixels" (channels of a pixel side by side: kHWC, kHWC8) or "chw32" (kCHW32).
std::string layout_name(nvinfer1::TensorFormat format);

// Returns the format whose pixels have their channels side by side: kHWC for FP32, kHWC8 for FP16, kCHW32 for INT8.
nvinfer1::TensorFormat pixel_format(nvinfer1::DataType type);

// Tells whether a picture of this type, format and number of channels (-1: unknown) is one that the kernels read well:
// the channels of a pixel lie side by side, or are so few that this matters little.
bool is_picture_format(const nvinfer1::PluginTensorDesc& tensor);

// Returns the elements from one pixel to the next in the "pixels" layout, or the number of channels for other layouts.
int32_t pitch_of(nvinfer1::TensorFormat format, int32_t channels);

// Returns the bytes of the tensor with the padding of its layout.
size_t bytes_of(const Size& size, nvinfer1::DataType type, nvinfer1::TensorFormat format);

// Rounds `bytes` up to 256, so that the next part of a workspace is aligned as device memory is.
size_t aligned(size_t bytes);

// Divides and rounds up to a whole number.
constexpr int32_t divide_up(int32_t a, int32_t b) { return a / b + (a % b != 0 ? 1 : 0); }

}  // namespace spair
