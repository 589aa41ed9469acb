#include "compaction.h"

#include <algorithm>

namespace spair {
namespace {

constexpr int32_t kBlocksPerProcessor = 8;

size_t count_bytes(const Size& mask) { return aligned(static_cast<size_t>(mask.batch) * sizeof(int32_t)); }

}  // namespace

size_t active_pixels_bytes(const Size& mask) {
    const size_t indices = static_cast<size_t>(mask.batch) * static_cast<size_t>(mask.pixels());
    return count_bytes(mask) + aligned(indices * sizeof(int32_t));
}

Kernel load_compaction(nvinfer1::DataType mask) { return load_kernel("compact_mask." + type_name(mask)); }

ActivePixels find_active_pixels(const Kernel& kernel, const void* mask, const Size& size, char* workspace,
                                CUstream stream) {
    ActivePixels active{};
    active.count = reinterpret_cast<int32_t*>(workspace);
    active.index = reinterpret_cast<int32_t*>(workspace + count_bytes(size));
    clear(active.count, static_cast<size_t>(size.batch) * sizeof(int32_t), stream);
    const unsigned blocks = static_cast<unsigned>(divide_up(size.pixels(), kernel.tile(0)));
    launch(kernel, {blocks, static_cast<unsigned>(size.batch), 1}, stream,
           {mask, active.index, active.count, size.pixels()});
    return active;
}

unsigned blocks_for(int32_t pixels, int32_t tile, int32_t processors) {
    return static_cast<unsigned>(std::max(1, std::min(divide_up(pixels, tile), kBlocksPerProcessor * processors)));
}

}  // namespace spair
