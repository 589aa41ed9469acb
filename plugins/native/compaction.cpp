#include "compaction.h"

#include <algorithm>

namespace spair {
namespace {

constexpr int32_t kBlocksPerProcessor = 8;

constexpr int32_t kStripRows = 8;  // rows of the strip that a program of compact_neighbours takes

size_t count_bytes(const Size& mask) { return aligned(static_cast<size_t>(mask.batch) * sizeof(int32_t)); }

// Returns the bytes of one word for each pixel.
size_t list_bytes(const Size& mask) {
    return aligned(static_cast<size_t>(mask.batch) * static_cast<size_t>(mask.pixels()) * sizeof(int32_t));
}

}  // namespace

size_t active_pixels_bytes(const Size& mask, bool taps) {
    return count_bytes(mask) + (taps ? 2 : 1) * list_bytes(mask);
}

std::string neighbours_variant(nvinfer1::DataType mask, int32_t kernel) {
    return "compact_neighbours." + type_name(mask) + ".k" + std::to_string(kernel);
}

Kernel load_compaction(nvinfer1::DataType mask) { return load_kernel("compact_mask." + type_name(mask)); }

ActivePixels find_active_pixels(const Kernel& kernel, const void* mask, const Size& size, char* workspace,
                                CUstream stream) {
    int32_t* count = reinterpret_cast<int32_t*>(workspace);
    int32_t* index = reinterpret_cast<int32_t*>(workspace + count_bytes(size));
    clear(count, static_cast<size_t>(size.batch) * sizeof(int32_t), stream);
    const unsigned blocks = static_cast<unsigned>(divide_up(size.pixels(), kernel.tile(0)));
    launch(kernel, {blocks, static_cast<unsigned>(size.batch), 1}, stream, {mask, index, count, size.pixels()});
    return {index, nullptr, count};
}

void list_neighbours(const Kernel& kernel, const void* mask, const Size& size, const Window& window, int32_t* index,
                     int32_t* taps, int32_t* count, CUstream stream) {
    clear(count, static_cast<size_t>(size.batch) * sizeof(int32_t), stream);
    const int32_t strips = divide_up(size.height, kStripRows) * divide_up(size.width, kernel.tile(0) / kStripRows);
    launch(kernel, {static_cast<unsigned>(strips), static_cast<unsigned>(size.batch), 1}, stream,
           {mask, index, taps, count, size.height, size.width, window.dilation, window.clean_input ? 1 : 0});
}

ActivePixels find_neighbours(const Kernel& kernel, const void* mask, const Size& size, const Window& window,
                             char* workspace, CUstream stream) {
    int32_t* count = reinterpret_cast<int32_t*>(workspace);
    int32_t* index = reinterpret_cast<int32_t*>(workspace + count_bytes(size));
    int32_t* taps = reinterpret_cast<int32_t*>(workspace + count_bytes(size) + list_bytes(size));
    list_neighbours(kernel, mask, size, window, index, taps, count, stream);
    return {index, taps, count};
}

bool is_list_of(const Size& mask, const nvinfer1::Dims& index, const nvinfer1::Dims& count) {
    const Size size = size_of(index);
    return size.batch == mask.batch && size.channels == 1 && size.height == mask.height && size.width == mask.width &&
           count.nbDims == 1 && count.d[0] == mask.batch;
}

unsigned blocks_for(int32_t pixels, int32_t tile, int32_t processors) {
    return static_cast<unsigned>(std::max(1, std::min(divide_up(pixels, tile), kBlocksPerProcessor * processors)));
}

}  // namespace spair
