#include "kernels.h"

#include <map>
#include <mutex>
#include <stdexcept>
#include <utility>

#include "driver.h"

namespace spair {
namespace {

constexpr size_t kMostParameters = 36;
constexpr size_t kMostScratch = 2;         // scratch pointers that Triton adds
constexpr int kDefaultShared = 48 * 1024;  // bytes of dynamic shared memory that a kernel gets without asking

void check(CUresult result, const std::string& what) {
    if (result != CUDA_SUCCESS) {
        throw std::runtime_error(what + " failed: " + driver().explain(result));
    }
}

int attribute(CUdevice_attribute which) {
    CUdevice device = 0;
    check(driver().get_device(&device), "finding the device of the CUDA context");
    int value = 0;
    check(driver().get_attribute(&value, which, device), "asking for an attribute of the device");
    return value;
}

int compute_capability() {
    return 10 * attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR) +
           attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
}

// Tells whether an image runs on a device. Machine code runs on devices of its major version whose minor version is
// not below its own; architecture-specific code (Triton's from 9.0 on) runs only on its very device. The driver
// compiles PTX for any later device.
bool runs_on(const KernelImage& image, int sm) {
    if (image.ptx) {
        return image.sm <= sm;
    }
    return image.sm >= 90 ? image.sm == sm : image.sm / 10 == sm / 10 && image.sm <= sm;
}

// Chooses the best code for a device: its own, else the closest below of the same major version, else PTX.
const KernelImage* choose_image(const std::string& variant, int sm, bool& known) {
    const KernelImage* best = nullptr;
    for (size_t i = 0; i < kernel_image_count; ++i) {
        const KernelImage& image = kernel_images[i];
        if (variant != image.variant) {
            continue;
        }
        known = true;
        const bool better = best == nullptr || (best->ptx && !image.ptx) || (best->ptx == image.ptx && image.sm > best->sm);
        if (runs_on(image, sm) && better) {
            best = &image;
        }
    }
    return best;
}

const KernelImage& find_image(const std::string& variant) {
    const int sm = compute_capability();
    bool known = false;
    const KernelImage* image = choose_image(variant, sm, known);
    if (image == nullptr && !known) {
        throw std::runtime_error("the plugin library has no kernel " + variant + "; it was built for " + library_target);
    }
    if (image == nullptr) {
        throw std::runtime_error("the plugin library has no code for a device of compute capability " +
                                 std::to_string(sm / 10) + "." + std::to_string(sm % 10) + "; it was built for " +
                                 library_target + ": run spair build with the target of this device");
    }
    return *image;
}

// Lets this thread load code although a stream is captured, which would else fail and spoil the capture. TensorRT may
// capture while it times formats, and then runs a plugin with formats that it was not attached for.
class RelaxedCapture {
public:
    RelaxedCapture() { check(driver().exchange_capture_mode(&mode_), "relaxing the capture of streams"); }
    ~RelaxedCapture() { driver().exchange_capture_mode(&mode_); }
    RelaxedCapture(const RelaxedCapture&) = delete;
    RelaxedCapture& operator=(const RelaxedCapture&) = delete;

private:
    CUstreamCaptureMode mode_ = CU_STREAM_CAPTURE_MODE_RELAXED;  // then the thread's own
};

Kernel load(const KernelImage& image) {
    const RelaxedCapture relaxed;
    Kernel kernel;
    kernel.image = &image;
    CUmodule module = nullptr;
    const std::string what = std::string("loading the kernel ") + image.variant;
    check(driver().load_module(&module, image.code), what);
    check(driver().get_function(&kernel.function, module, image.symbol), what);
    if (image.shared > kDefaultShared) {
        check(driver().set_attribute(kernel.function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, image.shared), what);
    }
    return kernel;
}

// Returns the number of the current context. A new context may lie where a destroyed one lay, for example after
// cudaDeviceReset(), but has another number. Drivers before CUDA 12.0 count none, and its place stands for it.
unsigned long long context_id() {
    CUcontext context = nullptr;
    check(driver().get_context(&context), "finding the CUDA context");
    if (context == nullptr) {
        throw std::runtime_error("no CUDA context is current; TensorRT makes one before it runs an engine");
    }
    unsigned long long id = reinterpret_cast<uintptr_t>(context);
    if (driver().get_context_id != nullptr) {
        check(driver().get_context_id(context, &id), "numbering the CUDA context");
    }
    return id;
}

}  // namespace

Kernel load_kernel(const std::string& variant) {
    // Modules live as long as their context, so nothing is unloaded here.
    static std::mutex guard;
    static std::map<std::pair<unsigned long long, std::string>, Kernel> loaded;
    const unsigned long long context = context_id();
    const std::lock_guard<std::mutex> lock(guard);
    const auto key = std::make_pair(context, variant);
    const auto found = loaded.find(key);
    if (found != loaded.end()) {
        return found->second;
    }
    return loaded[key] = load(find_image(variant));
}

bool has_kernel(const std::string& variant) {
    bool known = false;
    return choose_image(variant, compute_capability(), known) != nullptr;
}

int multiprocessors() { return attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT); }

void launch(const Kernel& kernel, std::array<unsigned, 3> grid, CUstream stream,
            std::initializer_list<Argument> arguments) {
    const size_t count = static_cast<size_t>(kernel.image->parameters);
    if (arguments.size() > count || arguments.size() + kMostScratch < count || count > kMostParameters) {
        throw std::runtime_error(std::string("the kernel ") + kernel.image->variant + " takes " + std::to_string(count) +
                                 " parameters, the plugin gives " + std::to_string(arguments.size()));
    }
    const void* scratch = nullptr;
    std::array<void*, kMostParameters> parameters{};
    parameters.fill(&scratch);  // Triton adds scratch pointers after the arguments
    size_t position = 0;
    for (const Argument& argument : arguments) {
        parameters[position++] = const_cast<void*>(argument.address());
    }
    const unsigned threads = 32u * static_cast<unsigned>(kernel.image->warps);
    check(driver().launch(kernel.function, grid[0], grid[1], grid[2], threads, 1, 1,
                          static_cast<unsigned>(kernel.image->shared), stream, parameters.data(), nullptr),
          std::string("launching the kernel ") + kernel.image->variant);
}

void clear(void* memory, size_t bytes, CUstream stream) {
    check(driver().set_bytes(reinterpret_cast<CUdeviceptr>(memory), 0, bytes, stream), "clearing memory");
}

}  // namespace spair
