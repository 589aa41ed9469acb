// The CUDA driver, which is found at run time, because the library links neither with CUDA nor with TensorRT.
#pragma once
#include <cuda.h>
#include <string>

namespace spair {

// Entry points of libcuda.so.1. They are called on the context that is current, which is TensorRT's.
struct Driver {
    decltype(&::cuGetErrorString) get_error_string;
    decltype(&::cuCtxGetCurrent) get_context;
    decltype(&::cuCtxGetId) get_context_id;  // null in drivers before CUDA 12.0
    decltype(&::cuCtxGetDevice) get_device;
    decltype(&::cuDeviceGetAttribute) get_attribute;
    decltype(&::cuThreadExchangeStreamCaptureMode) exchange_capture_mode;
    decltype(&::cuModuleLoadData) load_module;
    decltype(&::cuModuleGetFunction) get_function;
    decltype(&::cuFuncSetAttribute) set_attribute;
    decltype(&::cuMemsetD8Async) set_bytes;
    decltype(&::cuLaunchKernel) launch;

    // Returns the driver's words about a failed call.
    std::string explain(CUresult result) const;
};

// Returns the driver of this process, which is opened once. Throws std::runtime_error where no driver is installed.
const Driver& driver();

}  // namespace spair
