// Table of the machine code in this library; `plugins/compiler/library` generates it.
#pragma once
#include <cstddef>

namespace spair {

// One kernel for one architecture.
struct KernelImage {
    const char* variant;         // kernel, types and layouts: "sparse_conv2d.fp16.fp16.fp16.linear.linear"
    int sm;                      // compute capability, 87 for 8.7
    const unsigned char* code;   // cubin, or PTX text ending in NUL
    size_t size;                 // bytes of `code`
    bool ptx;                    // whether `code` is PTX, which the driver compiles for later architectures
    const char* symbol;          // name of the entry point in `code`
    int warps;                   // warps of a block
    int shared;                  // bytes of dynamic shared memory
    int parameters;              // number of parameters; Triton adds scratch pointers after the arguments, here null
    int tile[4];                 // sizes of the kernel's tiles, by operator; unused ones are 0
};

extern const KernelImage kernel_images[];
extern const size_t kernel_image_count;
extern const char library_version[];  // version of spair-rt
extern const char kernel_digest[];    // hash of all images, which other kernels change
extern const char library_target[];   // name and architectures of the target, for messages

}  // namespace spair
