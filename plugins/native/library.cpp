// Functions that the library exports: TensorRT's entry points, and facts about this library.
#include "NvInferRuntime.h"

#include <cstdint>

#include "creators.h"
#include "kernel_table.h"
#include "log.h"

#define SPAIR_EXPORT extern "C" __attribute__((visibility("default")))

SPAIR_EXPORT nvinfer1::IPluginCreatorInterface* const* getCreators(int32_t& count) {
    static const spair::Creators creators = [] {
        spair::Creators all;
        for (const auto& some : {spair::sparse_index_creators(), spair::sparse_conv2d_creators(),
                                 spair::sparse_non_local_creators(), spair::masked_modulation_creators(),
                                 spair::sparse_compose_creators()}) {
            all.insert(all.end(), some.begin(), some.end());
        }
        return all;
    }();
    count = static_cast<int32_t>(creators.size());
    return creators.data();
}

SPAIR_EXPORT void setLoggerFinder(void* finder) { spair::set_logger_finder(finder); }

// Version of spair-rt that built the library, and the target that it was built for.
SPAIR_EXPORT const char* spair_plugins_version() { return spair::library_version; }
SPAIR_EXPORT const char* spair_plugins_target() { return spair::library_target; }

// Version of the fields that the library writes into engines and reads from them.
SPAIR_EXPORT int32_t spair_plugins_serial_version() { return spair::kSerialVersion; }

// Version of the TensorRT headers that the library was compiled with, as 10000 * major + 100 * minor + patch.
SPAIR_EXPORT int32_t spair_plugins_tensorrt() { return NV_TENSORRT_MAJOR * 10000 + NV_TENSORRT_MINOR * 100 + NV_TENSORRT_PATCH; }

// Table of the kernels inside. Reports list them; the emulated driver of the tests finds a launched kernel by the
// address of its code.
SPAIR_EXPORT const spair::KernelImage* spair_plugins_kernels(uint64_t* count) {
    *count = spair::kernel_image_count;
    return spair::kernel_images;
}
