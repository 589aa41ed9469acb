// Kernels by variant, loaded once per CUDA context, and their launch.
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

// The kernel for the device of the current context, loading its module the first time it is asked for there.
// Throws std::runtime_error: no such variant, no code for this device, or the driver refuses the code.
Kernel load_kernel(const std::string& variant);

// Number of streaming multiprocessors of the current device.
int multiprocessors();

// Launches on `stream`, and does nothing else: no allocation, no synchronization, so that CUDA graphs capture it.
// Throws std::runtime_error where the driver refuses, or the arguments are not those that the kernel was compiled for.
void launch(const Kernel& kernel, std::array<unsigned, 3> grid, CUstream stream,
            std::initializer_list<Argument> arguments);

// Sets `bytes` bytes to zero on `stream`.
void clear(void* memory, size_t bytes, CUstream stream);

}  // namespace spair
