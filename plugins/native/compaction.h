// The lists of active pixels that the sparse operators work through, in the workspace.
#pragma once
#include "kernels.h"
#include "layout.h"

namespace spair {

// Where the lists of a batch lie: `count` active pixels of each image, and their indices.
struct ActivePixels {
    int32_t* index;  // [N, pixels]
    int32_t* count;  // [N]
};

// Bytes of workspace that the lists of masks of this size take at any density.
size_t active_pixels_bytes(const Size& mask);

// The kernel that makes the lists of masks of this type.
Kernel load_compaction(nvinfer1::DataType mask);

// Fills `workspace` with the lists of `mask` [N,1,H,W], linear.
ActivePixels find_active_pixels(const Kernel& kernel, const void* mask, const Size& size, char* workspace,
                                CUstream stream);

// How many blocks share the active pixels of an image: enough to fill the device, no more than there are tiles.
// Kernels step through the tiles by this number, so that no block is launched for pixels that are not active.
unsigned blocks_for(int32_t pixels, int32_t tile, int32_t processors);

}  // namespace spair
