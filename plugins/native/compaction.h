// Lists of active pixels in the workspace, which the sparse operators work through.
#pragma once
#include "kernels.h"
#include "layout.h"

namespace spair {

// Addresses of a batch's lists: the number of active pixels of each image, their indices, and which taps of a window
// around each of them may be read.
struct ActivePixels {
    const int32_t* index;  // [N, pixels]
    const int32_t* taps;   // [N, pixels]; null in lists without taps
    const int32_t* count;  // [N]
};

// Side of the window in taps whose taps an index lists, and the bit from which on they are those inside the picture,
// whether their pixels are active or not.
constexpr int32_t kIndexed = 3, kInsideBit = 9;

// Window whose taps are listed.
struct Window {
    int32_t kernel, dilation;
    bool clean_input;  // whether taps are read whatever their mask
};

// Returns the bytes of workspace that the lists of such masks take at any density, with taps or without.
size_t active_pixels_bytes(const Size& mask, bool taps = false);

// Returns the name of the kernel that lists active pixels and the taps of windows of `kernel` x `kernel`.
std::string neighbours_variant(nvinfer1::DataType mask, int32_t kernel);

// Loads the kernel that lists the active pixels of masks of this type.
Kernel load_compaction(nvinfer1::DataType mask);

// Fills `workspace` with the lists of `mask` [N,1,H,W], linear.
ActivePixels find_active_pixels(const Kernel& kernel, const void* mask, const Size& size, char* workspace,
                                CUstream stream);

// Launches the kernel `neighbours_variant`, which fills lists with taps.
void list_neighbours(const Kernel& kernel, const void* mask, const Size& size, const Window& window, int32_t* index,
                     int32_t* taps, int32_t* count, CUstream stream);

// Does the same in `workspace`, which has the bytes of lists with taps.
ActivePixels find_neighbours(const Kernel& kernel, const void* mask, const Size& size, const Window& window,
                             char* workspace, CUstream stream);

// Tells whether tensors have the shapes of a list of the active pixels of such masks: [N,1,H,W] and [N].
bool is_list_of(const Size& mask, const nvinfer1::Dims& index, const nvinfer1::Dims& count);

// Returns the number of blocks that share the active pixels of an image: enough to fill the device, at most one a tile.
// Kernels step through the tiles by this number, so that no block is launched for pixels that are not active.
unsigned blocks_for(int32_t pixels, int32_t tile, int32_t processors);

}  // namespace spair
