#include "layout.h"

#include <algorithm>
#include <limits>
#include <stdexcept>

namespace spair {

using nvinfer1::DataType;
using nvinfer1::TensorFormat;

namespace {

// TensorRT times formats on pictures of its own making, whose masks may be empty: then all formats cost the same, and
// it might choose LINEAR, in which the values of a pixel lie apart. From this number of channels on it cannot.
constexpr int64_t kManyChannels = 8;

}  // namespace

Size size_of(const nvinfer1::Dims& dims) {
    if (dims.nbDims != 4) {
        throw std::runtime_error("a tensor has " + std::to_string(dims.nbDims) + " dimensions, expected [N,C,H,W]");
    }
    const int64_t pixels = static_cast<int64_t>(dims.d[2]) * static_cast<int64_t>(dims.d[3]);
    if (pixels > std::numeric_limits<int32_t>::max()) {
        throw std::runtime_error("a tensor has " + std::to_string(pixels) + " pixels, more than 2^31 - 1; give smaller tiles");
    }
    return {static_cast<int32_t>(dims.d[0]), static_cast<int32_t>(dims.d[1]), static_cast<int32_t>(dims.d[2]),
            static_cast<int32_t>(dims.d[3])};
}

bool is_empty(const nvinfer1::Dims& dims) {
    return std::any_of(dims.d, dims.d + dims.nbDims, [](int64_t size) { return size == 0; });
}

std::string type_name(DataType type) {
    switch (type) {
        case DataType::kFLOAT: return "fp32";
        case DataType::kHALF: return "fp16";
        case DataType::kINT8: return "int8";
        default: throw std::runtime_error("a tensor has type " + std::to_string(static_cast<int>(type)) +
                                          ", expected FP32, FP16 or INT8");
    }
}

size_t type_bytes(DataType type) {
    switch (type) {
        case DataType::kFLOAT: return 4;
        case DataType::kHALF: return 2;
        default: return 1;
    }
}

std::string layout_name(TensorFormat format) {
    switch (format) {
        case TensorFormat::kLINEAR: return "linear";
        case TensorFormat::kHWC:
        case TensorFormat::kHWC8: return "pixels";
        case TensorFormat::kCHW32: return "chw32";
        default: throw std::runtime_error("a tensor has format " + std::to_string(static_cast<int>(format)) +
                                          ", expected LINEAR, HWC, HWC8 or CHW32");
    }
}

TensorFormat pixel_format(DataType type) {
    switch (type) {
        case DataType::kFLOAT: return TensorFormat::kHWC;
        case DataType::kHALF: return TensorFormat::kHWC8;
        default: return TensorFormat::kCHW32;
    }
}

bool is_picture_format(const nvinfer1::PluginTensorDesc& tensor) {
    const bool few = tensor.dims.nbDims < 2 || tensor.dims.d[1] < kManyChannels;
    return tensor.format == pixel_format(tensor.type) || (few && tensor.format == TensorFormat::kLINEAR);
}

int32_t pitch_of(TensorFormat format, int32_t channels) {
    return format == TensorFormat::kHWC8 ? 8 * divide_up(channels, 8) : channels;
}

size_t bytes_of(const Size& size, DataType type, TensorFormat format) {
    const int32_t channels = format == TensorFormat::kCHW32 ? 32 * divide_up(size.channels, 32) : pitch_of(format, size.channels);
    return static_cast<size_t>(size.batch) * static_cast<size_t>(channels) * static_cast<size_t>(size.pixels()) * type_bytes(type);
}

size_t aligned(size_t bytes) { return (bytes + 255) / 256 * 256; }

}  // namespace spair
