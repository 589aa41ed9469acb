#include "driver.h"

#include <dlfcn.h>

#include <stdexcept>

namespace spair {
namespace {

template <typename Function>
void find(void* library, const char* name, Function& function) {
    function = reinterpret_cast<Function>(dlsym(library, name));
    if (function == nullptr) {
        throw std::runtime_error(std::string("libcuda.so.1 has no ") + name + "; install a driver of CUDA 11 or later");
    }
}

Driver open_driver() {
    void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        throw std::runtime_error("libcuda.so.1 is not found: the spair plugins run on a machine with an NVIDIA driver");
    }
    Driver found{};
    find(library, "cuGetErrorString", found.get_error_string);
    find(library, "cuCtxGetCurrent", found.get_context);
    found.get_context_id = reinterpret_cast<decltype(found.get_context_id)>(dlsym(library, "cuCtxGetId"));
    find(library, "cuCtxGetDevice", found.get_device);
    find(library, "cuDeviceGetAttribute", found.get_attribute);
    find(library, "cuThreadExchangeStreamCaptureMode", found.exchange_capture_mode);
    find(library, "cuModuleLoadData", found.load_module);
    find(library, "cuModuleGetFunction", found.get_function);
    find(library, "cuFuncSetAttribute", found.set_attribute);
    find(library, "cuMemsetD8Async", found.set_bytes);
    find(library, "cuLaunchKernel", found.launch);
    return found;
}

}  // namespace

std::string Driver::explain(CUresult result) const {
    const char* words = nullptr;
    get_error_string(result, &words);
    return words == nullptr ? "CUDA error " + std::to_string(result) : words;
}

const Driver& driver() {
    static const Driver opened = open_driver();
    return opened;
}

}  // namespace spair
