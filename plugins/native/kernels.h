// Loading and launching of kernels, which are loaded once per CUDA context.
#pragma once
#include <cuda.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "kernel_table.h"

namespace spair {

// One argument of a kernel: a pointer, a 32-bit integer or a float.
class Argument {
public:
    Argument(const void* pointer) : bytes_(sizeof pointer) { value_.pointer = pointer; }
    Argument(int32_t number) : bytes_(sizeof number) { value_.integer = number; }
    Argument(float number) : bytes_(sizeof number) { value_.real = number; }

    const void* address() const { return &value_; }
    size_t bytes() const { return bytes_; }

private:
    union {
        const void* pointer;
        int32_t integer;
        float real;
    } value_{};
    size_t bytes_;
};

// A loaded kernel.
struct Kernel {
    CUfunction function = nullptr;
    const KernelImage* image = nullptr;

    int tile(int index) const { return image->tile[index]; }
};

// Returns the kernel for the device of the current context. Its module is loaded at the first call in a context.
// Throws std::runtime_error where the library has no such variant or no code for this device, or the driver refuses it.
Kernel load_kernel(const std::string& variant);

// Tells whether the library has a variant with code for the device of the current context.
bool has_kernel(const std::string& variant);

// Returns the number of streaming multiprocessors of the current device.
int multiprocessors();

// Launches on `stream`, and does nothing else: no allocation, no synchronization, so that CUDA graphs capture it.
// Throws std::runtime_error where the driver refuses, or the kernel was compiled for another number of arguments.
void launch(const Kernel& kernel, std::array<unsigned, 3> grid, CUstream stream,
            std::initializer_list<Argument> arguments);

// Sets `bytes` bytes to zero on `stream`.
void clear(void* memory, size_t bytes, CUstream stream);

}  // namespace spair
